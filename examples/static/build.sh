#!/bin/sh
# build.sh static BUILD_DIR [CA_FILE]: compshare-schedule as one static file with musl, in
# BUILD_DIR/static; CA_FILE's certificates are put into it, so that it needs no file at all.
# build.sh clock BUILD_DIR: the same with clocks that tests move, compshare-schedule-clock.
# build.sh small BUILD_DIR SOURCE OUT [FLAG...]: any other program in the same way.
# build.sh program BUILD_DIR SOURCE OUT [FLAG...]: the same with BearSSL's own choice of its
# implementations, the fast ones (see small.c); with the flag -g it keeps its symbols.
# build.sh release BUILD_DIR [CA_FILE]: the same for x86-64, arm64 and armhf, in
# BUILD_DIR/release, with sha256 sums. What other machines need of musl and BearSSL is
# fetched from Debian and unpacked below BUILD_DIR/cross; nothing of it is installed.
set -eu
what=$1 build=$2 ca=${3:-} define='' strip=-s
here=$(dirname "$0")
tool=$here/../tools/compshare-schedule.c
if [ "$what" = program ] || [ "$what" = small ]; then
    tool=$3 program=$4 ca=
    shift 4
    define=$*
    case " $define " in *' -g '*) strip= ;; esac
fi

fail() {
    echo "$*" >&2
    exit 1
}

# BearSSL and jsmn stand among this machine's headers, which must not come along
headers() {
    mkdir -p "$build/static/headers"
    for header in bearssl jsmn; do
        from=$(echo "#include <$header.h>" | ${CC:-cc} -E -x c - | sed -n "s|^# 1 \"\(.*\)/$header\.h\".*|\1|p" | head -n 1)
        ln -sf "$from/$header"* "$build/static/headers/"
    done
}

# The PEM blocks of a file as a C string literal
embed() {
    sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p' "$1" | tr -d '\r' | sed 's/.*/"&\\n"/' >"$build/static/roots.inc"
    grep -q BEGIN "$build/static/roots.inc" || fail "$1: there is no certificate in it"
}

# compile OUT BEARSSL COMPILER...
compile() {
    out=$1 bearssl=$2
    shift 2
    smallest=-Os
    ! echo 'int x;' | "$@" -Oz -x c -c -o /dev/null - 2>/dev/null || smallest=-Oz
    # No tables for unwinding: nothing here throws, and Debian's libraries bring 12 KB of
    # them. No RELRO, as nothing applies it to a static program.
    # shellcheck disable=SC2086
    set -- "$@" -std=c99 $smallest -fno-pie -fno-asynchronous-unwind-tables -fno-unwind-tables -ffunction-sections -fdata-sections \
        -isystem "$build/static/headers" -I"$here/../.." $define
    mkdir -p "$(dirname "$out")"
    echo 'SECTIONS { /DISCARD/ : { *(.eh_frame .eh_frame_hdr .ARM.exidx* .ARM.extab* .comment) } } INSERT BEFORE .text;' >"$out.ld"
    if [ -n "$ca" ]; then "$@" "-DSCHEDULE_CA=\"$(cd "$build/static" && pwd)/roots.inc\"" -fwhole-program -c -o "$out.o" "$tool"
    else "$@" -fwhole-program -c -o "$out.o" "$tool"; fi
    "$@" -c -o "$out.chk.o" "$here/chk.c"
    small=
    if [ "$what" != program ]; then
        "$@" -c -o "$out.small.o" "$here/small.c"
        small=$out.small.o
    fi
    # shellcheck disable=SC2086
    "$@" -static -no-pie $strip -Wl,--gc-sections,--build-id=none,-z,noseparate-code,-z,norelro,-z,common-page-size=64,-T,"$out.ld" -o "$out" "$out.o" "$out.chk.o" $small "$bearssl"
    rm -f "$out.ld" "$out.o" "$out.chk.o" "$out.small.o"
}

# fetch ARCH: its musl and BearSSL, with lists and a cache of their own
fetch() {
    to=$build/cross/$1
    [ ! -f "$to/fetched" ] || return 0
    command -v apt-get >/dev/null 2>&1 || fail 'release needs apt-get: it takes the libraries of other machines from Debian'
    mkdir -p "$to/state/lists/partial" "$to/cache/archives/partial" "$to/root"
    : >"$to/state/status"
    top=$(cd "$to" && pwd)
    # shellcheck disable=SC2086
    (
        cd "$to/cache"
        own="-o APT::Architecture=$1 -o APT::Architectures=$1 -o Dir::State=$top/state -o Dir::State::status=$top/state/status -o Dir::Cache=$top/cache -o APT::Sandbox::User="
        apt-get $own -qq update || :        # one of several lists may be missing
        apt-get $own -qq download musl-dev libbearssl-dev
    ) >"$to/log" 2>&1 || { cat "$to/log" >&2; fail "$1: its libraries cannot be fetched"; }
    for package in "$to"/cache/*.deb; do dpkg-deb -x "$package" "$to/root"; done
    rm -rf "$to/state" "$to/cache"
    : >"$to/fetched"
}

# specs ARCH MUSL_TRIPLET LOADER: what musl-gcc does, for a cross compiler
specs() {
    root=$(cd "$build/cross/$1/root" && pwd)
    cat >"$build/cross/$1/musl.specs" <<SPECS
%rename cpp_options old_cpp_options

*cpp_options:
-nostdinc -isystem $root/usr/include/$2 -isystem include%s %(old_cpp_options)

*cc1:
%(cc1_cpu) -nostdinc -isystem $root/usr/include/$2 -isystem include%s

*link_libgcc:
-L$root/usr/lib/$2 -L .%s

*libgcc:
libgcc.a%s %:if-exists(libgcc_eh.a%s)

*startfile:
$root/usr/lib/$2/crt1.o $root/usr/lib/$2/crti.o crtbegin.o%s

*endfile:
crtend.o%s $root/usr/lib/$2/crtn.o

*link:
-nostdlib %{static:-static}

SPECS
}

# the compiler for musl on this machine: musl-gcc, or cc where musl is the system's libc
native() {
    if command -v musl-gcc >/dev/null 2>&1; then echo musl-gcc
    elif ${CC:-cc} -dumpmachine | grep -q musl; then echo "${CC:-cc}"
    else fail 'musl-gcc is missing: sh tests/scripts/setup.sh static'; fi
}

# static_for OUT
static_for() {
    compiler=$(native)
    compile "$1" "$(${CC:-cc} -print-file-name=libbearssl.a)" "$compiler"
}

# cross_for OUT ARCH COMPILER MUSL_TRIPLET
cross_for() {
    command -v "$3" >/dev/null 2>&1 || fail "$3 is missing: sh tests/scripts/setup.sh release"
    fetch "$2"
    specs "$2" "$4"
    compile "$1" "$(ls "$build/cross/$2/root/usr/lib/"*/libbearssl.a)" "$3" "-specs=$build/cross/$2/musl.specs"
}

headers
[ -z "$ca" ] || embed "$ca"
case $what in
static)
    static_for "$build/static/compshare-schedule"
    wc -c "$build/static/compshare-schedule"
    ;;
program | small) static_for "$program" ;;
clock)
    define=-DSCHEDULE_TEST_CLOCK
    static_for "$build/static/compshare-schedule-clock"
    ;;
release)
    mkdir -p "$build/release"
    case $(uname -m) in
    x86_64) static_for "$build/release/compshare-schedule-x86_64" ;;
    *) cross_for "$build/release/compshare-schedule-x86_64" amd64 x86_64-linux-gnu-gcc x86_64-linux-musl ;;
    esac
    cross_for "$build/release/compshare-schedule-arm64" arm64 aarch64-linux-gnu-gcc aarch64-linux-musl
    cross_for "$build/release/compshare-schedule-armhf" armhf arm-linux-gnueabihf-gcc arm-linux-musleabihf
    (cd "$build/release" && sha256sum compshare-schedule-x86_64 compshare-schedule-arm64 compshare-schedule-armhf >SHA256SUMS && wc -c compshare-schedule-* && cat SHA256SUMS)
    ;;
*) fail "usage: build.sh static|clock|program|small|release BUILD_DIR ..." ;;
esac
