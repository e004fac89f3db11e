#!/bin/sh
# setup.sh demo|test|static|release|check|bench: installs what is missing for `make demo`,
# `make test`, the static files, the longer checks and the benchmark. Does nothing when
# all is there. With apt-get it installs by itself (through sudo when not root); elsewhere
# it names the packages.
set -eu
level=${1:-test}
CC=${CC:-cc}
PATH=$PATH:/usr/sbin:/usr/local/sbin    # servers are there

# level | how to see that it is there | Debian | Alpine | Fedora | Homebrew
# What a system has no name for is not asked for there; the tests then skip it.
table='
demo|cc|gcc libc6-dev|build-base|gcc|
demo|header bearssl.h|libbearssl-dev|bearssl-dev|bearssl-devel|bearssl
demo|header jsmn.h|libjsmn-dev|jsmn (from source)|jsmn-devel|jsmn
demo|header microhttpd.h|libmicrohttpd-dev|libmicrohttpd-dev|libmicrohttpd-devel|libmicrohttpd
demo|header gnutls/gnutls.h|libgnutls28-dev|gnutls-dev|gnutls-devel|gnutls
demo|header jansson.h|libjansson-dev|jansson-dev|jansson-devel|jansson
demo|command openssl|openssl|openssl|openssl|openssl
test|header cmocka.h|libcmocka-dev|cmocka-dev|libcmocka-devel|cmocka
test|header curl/curl.h|libcurl4-openssl-dev|curl-dev|libcurl-devel|curl
test|header openssl/ssl.h|libssl-dev|openssl-dev|openssl-devel|openssl
test|command socat|socat|socat|socat|socat
test|command tinyproxy|tinyproxy-bin|tinyproxy|tinyproxy|tinyproxy
test|command nginx|nginx|nginx|nginx|nginx
test|command stunnel|stunnel4|stunnel|stunnel|stunnel
test|command haproxy|haproxy|haproxy|haproxy|haproxy
test|command g++|g++|g++|gcc-c++|
test|command python3|python3|python3|python3|python3
test|command tmux|tmux|tmux|tmux|tmux
test|cross arm-none-eabi-gcc|gcc-arm-none-eabi libnewlib-arm-none-eabi|gcc-arm-none-eabi newlib-arm-none-eabi|arm-none-eabi-gcc-cs arm-none-eabi-newlib|
test|cross riscv64-unknown-elf-gcc --specs=picolibc.specs|gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf|||
static|header bearssl.h|libbearssl-dev|bearssl-dev|bearssl-devel|bearssl
static|header jsmn.h|libjsmn-dev|jsmn (from source)|jsmn-devel|jsmn
static|musl|musl-tools|gcc musl-dev||
release|command x86_64-linux-gnu-gcc|gcc-x86-64-linux-gnu|||
release|command aarch64-linux-gnu-gcc|gcc-aarch64-linux-gnu|||
release|command arm-linux-gnueabihf-gcc|gcc-arm-linux-gnueabihf|||
bench|command curl|curl|curl|curl|curl
bench|command strace|strace|strace|strace|
bench|command valgrind|valgrind|valgrind|valgrind|
bench|command gnuplot|gnuplot-nox|gnuplot|gnuplot|gnuplot
bench|file /etc/ssl/certs/ca-certificates.crt|ca-certificates|ca-certificates||
check|command clang|clang|clang|clang|llvm
check|clang-runtime|libclang-rt-dev|compiler-rt|compiler-rt|
check|command valgrind|valgrind|valgrind|valgrind|
check|command gcovr|gcovr|gcovr|gcovr|gcovr
check|command qemu-aarch64|qemu-user|qemu-aarch64 qemu-arm|qemu-user|
check|command mandoc|mandoc|mandoc|mandoc|mandoc
check|command zsh|zsh|zsh|zsh|zsh
'

present() {
    case $1 in
    cc) command -v "$CC" >/dev/null 2>&1 && echo 'int main(void){return 0;}' | "$CC" -x c -o /dev/null - 2>/dev/null ;;
    header\ *) printf '#include <stdio.h>\n#include <stdarg.h>\n#include <stddef.h>\n#include <setjmp.h>\n#include <%s>\n' "${1#header }" | "$CC" -x c -fsyntax-only - 2>/dev/null ;;
    command\ *) command -v "${1#command }" >/dev/null 2>&1 ;;
    file\ *) [ -s "${1#file }" ] ;;
    musl) command -v musl-gcc >/dev/null 2>&1 || "$CC" -dumpmachine 2>/dev/null | grep -q musl ;;
    # with its C library's headers, which are a package of their own
    cross\ *) echo '#include <string.h>' | ${1#cross } -x c -fsyntax-only - 2>/dev/null ;;
    clang-runtime) echo 'int main(void){return 0;}' | clang -fsanitize=address -x c -o /dev/null - 2>/dev/null ;;
    esac
}

wanted() {
    case $level in
    demo) [ "$1" = demo ] ;;
    static) [ "$1" = static ] ;;
    release) [ "$1" = static ] || [ "$1" = release ] ;;
    test) [ "$1" != check ] && [ "$1" != release ] && [ "$1" != bench ] ;;
    bench) [ "$1" != check ] && [ "$1" != release ] ;;
    *) true ;;
    esac
}

debian='' alpine='' fedora='' brew=''
while IFS='|' read -r need how d a f b; do
    [ -n "$need" ] || continue
    wanted "$need" || continue
    present "$how" && continue
    debian="$debian $d" alpine="$alpine $a" fedora="$fedora $f" brew="$brew $b"
done <<TABLE
$table
TABLE
[ -n "$debian" ] || exit 0

# name_them INSTALL PACKAGE...
name_them() {
    [ $# -gt 1 ] || exit 0
    echo "missing; install with: $*" >&2
    exit 1
}

# apt WORD...: waits for another apt, as every machine that has just started has one
apt() {
    tries=0
    until $sudo env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; do
        # the locks of lists and archives have no such option
        grep -q 'Could not get lock' "$log" && [ $tries -lt 60 ] || return 1
        tries=$((tries + 1))
        sleep 5
    done
}

if command -v apt-get >/dev/null 2>&1; then
    sudo=''
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "installing:$debian"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    # one foreign source that cannot be read need not matter: installing decides
    apt update || { echo 'warning: apt-get update failed:'; cat "$log"; } >&2
    # shellcheck disable=SC2086
    apt install -y --no-install-recommends $debian || { cat "$log" >&2; exit 1; }
elif command -v apk >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    name_them 'apk add' $alpine
elif command -v dnf >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    name_them 'dnf install' $fedora
elif command -v brew >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    name_them 'brew install' $brew
else
    echo "missing; in Debian's names:$debian" >&2
    exit 1
fi
