#!/bin/sh
# fuzz.sh BUILD_DIR SECONDS [TARGET...]: fuzzes the rooms of compshare.h, and what
# compshare-schedule reads itself, for SECONDS in all, two targets at a time, and speaks
# TAP. Inputs that bring something new are kept in BUILD_DIR/fuzz/corpus, what breaks a
# target in BUILD_DIR/fuzz/crashes.
#
#   ENGINE=libfuzzer   clang's (default), with the address and undefined sanitizers
#   ENGINE=afl         AFL++, the same targets and sanitizers
#   ENGINE=replay      no fuzzing: seeds, corpus and reproducers once, with $CC
#   HEADER=DIR         where compshare.h lies, default the repository
set -u
[ $# -ge 2 ] || { echo "usage: fuzz.sh BUILD_DIR SECONDS [TARGET...]" >&2; exit 2; }
cd "$(dirname "$0")/../.." || exit 2
build=$1 seconds=$2
shift 2
case $build in /*) ;; *) build=$PWD/$build ;; esac
engine=${ENGINE:-libfuzzer}
src=tests/fuzz out=$build/fuzz
[ $# -gt 0 ] || set -- call http json pem url encode date tool
targets=$*
flags="-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror -I${HEADER:-.} -I$src"
sanitize='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
libs='-lbearssl -ljansson -lcurl -lcrypto -lm'

# No longer than what teaches something: time goes by input length.
most() {
    case $1 in http) echo 16384 ;; date) echo 256 ;; tool) echo 512 ;; url) echo 1024 ;; encode) echo 4096 ;; *) echo 8192 ;; esac
}

compile() {
    case $engine in
    libfuzzer) clang $flags $sanitize -fsanitize=fuzzer -o "$out/bin/$1" $src/$1.c $libs ;;
    afl) AFL_QUIET=1 AFL_USE_ASAN=1 AFL_USE_UBSAN=1 afl-clang-fast $flags -O1 -g -fsanitize=fuzzer -o "$out/bin/$1" $src/$1.c $libs ;;
    replay) ${CC:-cc} $flags ${CFLAGS:--O2 -g} -o "$out/bin/$1" $src/$1.c $src/standalone.c $libs ;;
    *) echo "fuzz.sh: unknown ENGINE $engine" >&2; return 2 ;;
    esac
}

seed() {
    rm -rf "$out/seeds/$1"
    mkdir -p "$out/seeds/$1" "$out/corpus/$1"
    python3 $src/seeds.py "$1" "$out/seeds/$1" "$build/tests/certs" || return 1
    [ ! -d "$src/seeds/$1" ] || cp "$src/seeds/$1"/* "$out/seeds/$1/"
}

# Reproducers of what was once wrong, one process each. Prints those that fail.
regress() {
    : >"$out/log/$1.regress"
    for input in "$src/regress/$1"/*; do
        [ -f "$input" ] || continue
        timeout 60 "$out/bin/$1" "$input" >>"$out/log/$1.regress" 2>&1 </dev/null || echo "$input"
    done
}

field() { sed -n "s/^$2 *: *//p" "$1" | tail -n 1; }

# Each of these leaves "executions inputs edges" in the target's .figures file.
run_libfuzzer() {
    "$out/bin/$1" -max_total_time="$each" -max_len="$(most "$1")" -timeout=10 -rss_limit_mb=2048 -dict="$src/$1.dict" \
        -print_final_stats=1 -artifact_prefix="$out/crashes/$1-" "$out/corpus/$1" "$out/seeds/$1" >"$out/log/$1" 2>&1 </dev/null
    status=$?
    echo "$(field "$out/log/$1" stat::number_of_executed_units)" "$(ls "$out/corpus/$1" | wc -l)" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$out/log/$1" | tail -n 1)" >"$out/log/$1.figures"
    return $status
}

run_afl() {
    stats=$out/afl/$1/default/fuzzer_stats
    [ -n "$(ls -A "$out/corpus/$1")" ] && from=$out/corpus/$1 || from=$out/seeds/$1
    AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_SKIP_CPUFREQ=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1 AFL_AUTORESUME=1 \
        afl-fuzz -V "$each" -m none -t 5000 -G "$(most "$1")" -x "$src/$1.dict" -i "$from" -o "$out/afl/$1" -- "$out/bin/$1" \
        >"$out/log/$1" 2>&1 </dev/null || return 1
    echo "$(field "$stats" execs_done)" "$(field "$stats" corpus_count)" "$(field "$stats" edges_found)" >"$out/log/$1.figures"
    for input in "$out/afl/$1/default/crashes"/id* "$out/afl/$1/default/hangs"/id*; do
        [ ! -f "$input" ] || cp "$input" "$out/crashes/$1-$(basename "$input" | tr ':,' '__')"
    done
    [ -z "$(ls "$out/crashes" | grep "^$1-")" ]
}

run_replay() {
    timeout 600 "$out/bin/$1" "$out/seeds/$1" "$out/corpus/$1" >"$out/log/$1" 2>&1 </dev/null || return 1
    echo "$(sed -n 's/^\([0-9]*\) inputs$/\1/p' "$out/log/$1") $(ls "$out/corpus/$1" | wc -l) 0" >"$out/log/$1.figures"
}

one() {
    echo 1 >"$out/log/$1.status"
    rm -f "$out/log/$1.figures" "$out/log/$1.bad"
    { compile "$1" && seed "$1"; } >"$out/log/$1" 2>&1 || return
    regress "$1" >"$out/log/$1.bad"
    run_$engine "$1" && [ ! -s "$out/log/$1.bad" ] && echo 0 >"$out/log/$1.status"
}

report() {
    number=0 failed=0
    echo "1..$(echo $targets | wc -w)"
    for t in $targets; do
        number=$((number + 1))
        runs=0 inputs=0 edges=0
        [ ! -s "$out/log/$t.figures" ] || read -r runs inputs edges <"$out/log/$t.figures"
        if [ "$(cat "$out/log/$t.status")" = 0 ]; then
            echo "ok $number - fuzz $t: $runs executions, corpus $inputs, edges $edges"
            echo "# figure: fuzz $t: $runs executions, $inputs inputs"
        else
            failed=1
            echo "not ok $number - fuzz $t"
            sed -n 's/^/# /; /does not hold\|ERROR\|runtime error\|error:\|Error/p' "$out/log/$t" "$out/log/$t.regress" | head -n 8
            for input in "$out/crashes/$t"-*; do [ ! -f "$input" ] || echo "# reproducer: $input"; done
            [ ! -s "$out/log/$t.bad" ] || sed 's/^/# reproducer: /' "$out/log/$t.bad"
            echo "# again: $out/bin/$t FILE; the log is $out/log/$t"
        fi
    done
    return $failed
}

mkdir -p "$out/bin" "$out/log" "$out/crashes" "$out/afl"
for t in $targets; do rm -f "$out/crashes/$t"-*; done
[ -f "$build/tests/certs/stamp" ] || sh tests/scripts/certs.sh "$build/tests/certs" >/dev/null || exit 2
export UBSAN_OPTIONS=print_stacktrace=1
count=$(echo $targets | wc -w)
each=$((count > 1 ? seconds * 2 / count : seconds))
[ "$each" -gt 0 ] || each=1
# two lanes, each with every other target
lane() {
    for t in $targets; do
        [ $turn -eq 0 ] && one "$t"
        turn=$((1 - turn))
    done
}
turn=0 lane & first=$!
turn=1 lane & second=$!
trap 'kill $first $second 2>/dev/null; exit 130' INT TERM
wait $first $second
report
