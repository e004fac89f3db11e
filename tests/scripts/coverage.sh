#!/bin/sh
# coverage.sh BUILD_DIR: compiles every test program once more for gcov, runs them,
# and prints what of compshare.h they reached, by room. Fails where a line was never
# run, or a branch never taken that tests/scripts/coverage.excuses does not explain.
set -eu
dir=$1/coverage
CC=${CC:-cc}
export CC
libs='-lcmocka -lbearssl -ljansson -lcurl -lcrypto -lm -ldl -pthread'

# Programs that switch COMPSHARE_PLAINTEXT on compile some lines in another form, which
# has other branches: the two forms are counted apart.
compile() {
    source=$1
    form=product
    link=$libs
    if grep -q 'define COMPSHARE_PLAINTEXT' "$source"; then form=plaintext; fi
    case $source in */torture.c) link="$libs $TORTURE_LINK" ;; esac
    $CC -std=c99 -O0 -g --coverage -fprofile-abs-path -D_GNU_SOURCE -I. -I"$(dirname "$source")" -Itests/integration -Itests/support \
        -o "$dir/$form/$(basename "$source" .c)" "$source" $link
}

if [ "${2:-}" = --compile ]; then
    compile "$3"
    exit
fi
rm -rf "$dir"
mkdir -p "$dir/product" "$dir/plaintext"
export COMPSHARE_TEST_STRIDE=5    # of its points: they differ little in what they reach
printf '%s\n' tests/unit/test_*.c tests/integration/test_*.c tests/torture/torture.c | xargs -n 1 -P 2 sh "$0" "$1" --compile
set --
for program in "$dir"/product/* "$dir"/plaintext/*; do
    case $program in *.gcno) ;; *) set -- "$@" "$(basename "$program") for coverage=$program" ;; esac
done
status=0
sh tests/scripts/run.sh "$@" >"$dir/log" || status=1
[ $status -eq 0 ] || cat "$dir/log"
for form in product plaintext; do
    gcovr --root . --filter 'compshare\.h$' --json "$dir/$form.json" "$dir/$form"
done
python3 tests/scripts/coverage.py compshare.h tests/scripts/coverage.excuses "$dir/product.json" "$dir/plaintext.json" || status=1
exit $status
