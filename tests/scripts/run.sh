#!/bin/sh
# run.sh NAME=COMMAND...: runs test programs that speak TAP, two at a time, shows in their
# order only what failed, and ends with "N passed, N failed".
set -u
export CMOCKA_MESSAGE_OUTPUT=TAP
for variable in $(env | sed -n 's/^\(COMPSHARE_[A-Z_]*\|[A-Za-z]*_PROXY\|[a-z]*_proxy\|SSL_CERT_FILE\)=.*/\1/p'); do
    case $variable in COMPSHARE_TEST_*) ;; *) unset "$variable" ;; esac
done
work=$(mktemp -d) || exit 1
lanes=
trap 'rm -rf "$work"' EXIT
trap 'kill $lanes 2>/dev/null; exit 1' HUP INT TERM

# a shell's background job ignores SIGINT, which some tests are about
default='env --default-signal=INT,QUIT'
$default true 2>/dev/null || default=

# runs what the other lane has not taken
lane() {
    number=0
    for item in "$@"; do
        number=$((number + 1))
        mkdir "$work/$number" 2>/dev/null || continue
        $default sh -c "${item#*=}" >"$work/$number/log" 2>&1 </dev/null &
        trap 'kill $! 2>/dev/null; exit 1' TERM
        wait $!
        echo $? >"$work/$number/ended"
        mv "$work/$number/ended" "$work/$number/status"
    done
}
lane "$@" & lanes=$!
lane "$@" & lanes="$lanes $!"

running() {
    for lane in $lanes; do kill -0 "$lane" 2>/dev/null && return; done
    return 1
}

passed=0 failed=0 number=0
for item in "$@"; do
    name=${item%%=*}
    number=$((number + 1))
    log=$work/$number/log
    while [ ! -f "$work/$number/status" ] && running; do sleep 0.1; done
    [ -f "$work/$number/status" ] || { mkdir -p "$work/$number"; echo 'not ok - its lane has died' >>"$log"; echo lost >"$work/$number/status"; }
    status=$(cat "$work/$number/status")
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
