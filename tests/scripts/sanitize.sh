#!/bin/sh
# sanitize.sh BUILD_DIR: what the other runs cannot see. Memory that was never written,
# integers that wrap or lose bits unawares, the checks that distributions compile in,
# 32 bits where there is a BearSSL for it, and static analysis. Speaks TAP; the gateway,
# raw_server and the certificates must have been made.
set -u
build=$1
dir=$build/sanitize
flags='-std=c99 -g -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror'
libs='-lcmocka -lbearssl -ljansson -lcurl -lcrypto -lm -ldl -pthread'
hardened='-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection'
case $(uname -m) in x86_64|i?86) hardened="$hardened -fcf-protection" ;; esac
integers='-O1 -fsanitize=undefined,integer,implicit-conversion'
export COMPSHARE_TEST_BIN="$build/tests" COMPSHARE_TEST_CERTS="$build/tests/certs" CMOCKA_MESSAGE_OUTPUT=TAP
mkdir -p "$dir"

# check NAME|COMMAND|ARGUMENT...: to be run, two at a time; quiet unless it fails
check() { echo "$1" >>"$dir/checks"; }

run_check() {
    work=$(mktemp -d "$dir/XXXXXX") || exit 255
    IFS='|'
    # shellcheck disable=SC2086
    set -- $1
    unset IFS
    name=$1
    shift
    bad=0
    if "$@" >"$work/log" 2>&1; then
        echo "ok - $name"
    else
        bad=1
        { echo "not ok - $name"; grep -v '^ok ' "$work/log" | cut -c 1-300 | head -n 40 | sed 's/^/# /'; } >"$work/report"
        cat "$work/report"
    fi
    rm -rf "$work"
    return $bad
}

skip() { echo "ok - $1 # SKIP $2"; }

have() { command -v "$1" >/dev/null 2>&1; }

# compile CC FLAGS TEST
compile() {
    case $3 in
    */integration/*) $1 $flags $2 -D_GNU_SOURCE -I. -Itests/integration -Itests/support -o "$work/program" "$3" $libs ;;
    *) $1 $flags $2 -I. -Itests/unit -Itests/support -o "$work/program" "$3" $libs ;;
    esac
}

compile_and_run() { compile "$@" && "$work/program"; }

msan() {
    clang $flags -O1 -fno-omit-frame-pointer -fsanitize=memory -fsanitize-memory-track-origins -I. -Itests/support -o "$work/msan" tests/unit/msan.c \
        -Wl,--wrap=br_sha1_out -lbearssl && "$work/msan"
}

# integer_test TEST: no other place of compshare.h wraps, cuts or changes a sign
integer_test() {
    compile clang "$integers -fsanitize-ignorelist=$dir/meant" "$1" || return 1
    "$work/program" >"$work/integers" 2>&1 || { cat "$work/integers"; return 1; }
    ! grep 'compshare\.h.*runtime error' "$work/integers"
}

if [ "${2:-}" = --check ]; then
    run_check "$3"
    exit
fi
: >"$dir/checks"
failed=0

# ---- memory that was never written ----

if echo 'int main(void) { return 0; }' | clang -fsanitize=memory -x c -o "$dir/probe" - 2>/dev/null; then
    check 'memory sanitizer|msan'
else
    skip 'memory sanitizer' 'no clang with its runtime'
fi

# ---- integers ----

# Unsigned arithmetic that is meant to wrap: two's complement, hashes, digits, base64.
cat >"$dir/meant" <<'LIST'
fun:compshare__bytes_decimal
fun:compshare__bytes_number
fun:compshare__bytes_int
fun:compshare__tokens_parse
fun:compshare__encode_basic
fun:compshare__pem_decode
fun:compshare__bytes_mark
fun:compshare_action_at
fun:compshare_open
src:tests/*
LIST

if have clang; then
    for test in tests/unit/test_*.c; do
        case $test in */test_split.c) ;; *) check "integers, $(basename "$test" .c)|integer_test|$test" ;; esac
    done
fi

# ---- as distributions compile it ----

for cc in gcc clang; do
    have $cc || { skip "hardened, $cc" 'no such compiler'; continue; }
    for test in tests/unit/test_*.c tests/integration/test_calls.c tests/integration/test_raw.c tests/integration/test_session.c; do
        case $test in */test_split.c) ;; *) check "hardened, $cc, $(basename "$test" .c)|compile_and_run|$cc|$hardened|$test" ;; esac
    done
done

# ---- 32 bits ----

if printf '#include <bearssl.h>\nint main(void) { return br_sha1_SIZE - 20; }\n' | cc -m32 -x c -o "$dir/probe" - -lbearssl -lcmocka -ljansson 2>/dev/null; then
    for test in tests/unit/test_http.c tests/unit/test_json.c tests/unit/test_value.c; do
        check "32 bits, $(basename "$test" .c)|compile_and_run|cc -m32|-O2|$test"
    done
else
    skip '32 bits' 'no libraries for it'
fi

xargs -d '\n' -n 1 -P 2 sh "$0" "$build" --check <"$dir/checks" || failed=1

# ---- static analysis: shown, and judged by a person ----

# findings NAME COMMAND...
findings() {
    name=$1
    shift
    "$@" 2>&1 | grep -E '(warning|error):' | cut -c 1-200 | sort -u >"$dir/findings"
    echo "ok - $name, findings: $(wc -l <"$dir/findings")"
    sed 's/^/# /' "$dir/findings"
}

printf '#define COMPSHARE_IMPLEMENTATION\n#include "compshare.h"\n' >"$dir/whole.c"
if have gcc; then findings 'gcc -fanalyzer' gcc -std=c99 -O2 -fanalyzer -I. -c -o /dev/null "$dir/whole.c"; fi
if have clang; then
    findings 'clang --analyze' clang --analyze -fno-caret-diagnostics -x c -std=c99 -D_GNU_SOURCE -DCOMPSHARE_IMPLEMENTATION compshare.h -o /dev/null
fi
if have cppcheck; then
    findings cppcheck cppcheck --std=c99 --language=c --enable=warning,portability -q -I. -DCOMPSHARE_IMPLEMENTATION -D__linux__ -D__GNUC__=12 -DAI_PASSIVE=1 compshare.h
fi

[ "$failed" -eq 0 ]
