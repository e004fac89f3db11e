#!/bin/sh
# run.sh NAME=COMMAND...: runs test programs that speak TAP, one after the other,
# shows only what failed, and ends with "N passed, N failed".
set -u
export CMOCKA_MESSAGE_OUTPUT=TAP
for variable in $(env | sed -n 's/^\(COMPSHARE_[A-Z_]*\|[A-Za-z]*_PROXY\|[a-z]*_proxy\|SSL_CERT_FILE\)=.*/\1/p'); do
    case $variable in COMPSHARE_TEST_*) ;; *) unset "$variable" ;; esac
done
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
passed=0 failed=0
for item in "$@"; do
    name=${item%%=*}
    sh -c "${item#*=}" >"$log" 2>&1 </dev/null
    status=$?
    good=$(grep -c '^ok ' "$log")
    bad=$(grep -c '^not ok ' "$log")
    # a program that dies, runs nothing, or fails outside its tests has failed
    if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$good" -eq 0 ]; }; then bad=1; fi
    if [ "$bad" -gt 0 ]; then
        echo "--- $name (exit status $status)"
        grep -v '^ok ' "$log" | head -n 200
    elif [ -n "${VERBOSE:-}" ]; then
        echo "--- $name"
        cat "$log"
    else
        case $name in *sanitized*) ;; *) sed -n 's/^# figure: //p' "$log" ;; esac
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
