#!/bin/sh
# examples.sh BUILD_DIR: the example programs against the loopback gateway. TAP.
set -u
build=$1
stop=$build/examples/stop_scheduler
invoke=$build/examples/compshare-invoke
certs=$build/tests/certs
loop=$build/examples/event_loop
memory=$build/examples/transport_memory
descriptor=$build/examples/transport_fd
relay=$build/examples/transport_relay
work=$(mktemp -d)
pids=''
trap 'kill $pids; rm -rf "$work"' EXIT
n=0

# wait_for FILE PATTERN
wait_for() {
    tries=0
    until grep -q -e "$2" "$1" 2>/dev/null || [ $tries -eq 100 ]; do tries=$((tries + 1)); sleep 0.1; done
}

# serve CHAIN INSTANCES [OPTION...]: a gateway, at $port and COMPSHARE_BASE_URL
serve() {
    chain=$1 instances=$2
    shift 2
    rm -f "$work/ports"
    "$build/tests/gateway" --cert "$certs/$chain-chain.pem" --key "$certs/$chain-key.pem" --port-file "$work/ports" --instances "$instances" "$@" &
    pids="$pids $!"
    wait_for "$work/ports" '^port='
    port=$(sed -n 's/^port=//p' "$work/ports")
    export COMPSHARE_BASE_URL="https://localhost:$port"
}

serve ec 12
export COMPSHARE_PUBLIC_KEY=ucloudsomeone@example.com1296235120854146120
export COMPSHARE_PRIVATE_KEY=46f09bb9fab4f12dfc160dae12273d5332b5debe
export COMPSHARE_CA_FILE="$certs/roots.pem"

# A program that hangs fails, where there is a command to end it.
limit=''
! command -v timeout >/dev/null || limit='timeout 60'

# check NAME STATUS WHERE PATTERN COMMAND...: the exit status, and a pattern that
# must stand in "out" or "err"; the other must be empty where WHERE ends in "only"
check() {
    name=$1 want=$2 where=$3 pattern=$4
    shift 4
    n=$((n + 1))
    $limit "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ "$got" -eq "$want" ] && grep -q -e "$pattern" "$work/$where"; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name (exit status $got)"
        sed 's/^/# /' "$work/out" "$work/err"
    fi
}

check 'stop_scheduler confirms' 0 out '^confirmed  20[0-9-]* [0-9:]* Beijing time, 20[0-9-]* [0-9:]* UTC, in 1 h 0 min$' "$stop" uhost-0001 3600
check 'stop_scheduler shows the instance' 0 out '^instance   uhost-0001, Running, Postpay, cn-wlcb-01$' "$stop" uhost-0001 900
check 'stop_scheduler cancels' 0 out '^confirmed  no timed shutdown$' "$stop" uhost-0001 0
check 'a region from the environment' 1 err 'no instance uhost-0001' env COMPSHARE_REGION=cn-sh2 "$stop" uhost-0001 900
check 'a project from the environment' 0 out '^confirmed' env COMPSHARE_PROJECT_ID=org-default "$stop" uhost-0001 900
check '100 s is refused' 1 err 'in_seconds must be at least 300' "$stop" uhost-0001 100
check 'an unknown instance is refused' 1 err 'no instance uhost-9999' "$stop" uhost-9999 3600
check 'a stopped instance is refused' 1 err 'uhost-0002 is "Stopped"' "$stop" uhost-0002 3600
check 'a Spot instance is refused' 1 err 'uhost-0003 is a Spot instance' "$stop" uhost-0003 3600
check 'a wrong key is refused, with request id' 1 err 'RetCode 171: .*(request ' env COMPSHARE_PRIVATE_KEY=wrong "$stop" uhost-0001 3600
check 'an unknown CA is refused' 1 err 'no trusted root' env COMPSHARE_CA_FILE="$certs/unknown-root.pem" "$stop" uhost-0001 3600
check 'a missing bundle is refused' 1 err 'cannot be opened: no such file' env COMPSHARE_CA_FILE="$certs/none.pem" "$stop" uhost-0001 3600
check 'an IP literal is refused' 1 err 'base_url: an IP address' env COMPSHARE_BASE_URL="https://127.0.0.1:$port" "$stop" uhost-0001 3600
check 'plain http is refused' 1 err 'base_url: http://' env COMPSHARE_BASE_URL="http://localhost:$port" "$stop" uhost-0001 3600
check 'a missing key is refused' 1 err 'private_key: it is missing' env -u COMPSHARE_PRIVATE_KEY "$stop" uhost-0001 3600
check 'seconds must be a number' 1 err '^usage: ' "$stop" uhost-0001 1h
check 'arguments are needed' 1 err '^usage: ' "$stop"

check 'invoke prints a reply' 0 out '"TotalCount": 12' "$invoke" DescribeCompShareInstance Limit=1
check 'invoke masks passwords' 0 out '"Password": "\*\*\*"' "$invoke" DescribeCompShareInstance Limit=1
n=$((n + 1))
password=$("$invoke" --reveal --print UHostSet.0.Password DescribeCompShareInstance Limit=1)
if [ -n "$password" ] && [ "$password" != '"***"' ] && ! "$invoke" DescribeCompShareInstance Limit=1 | grep -qF "$password"; then echo "ok $n - invoke shows them only with --reveal"
else echo "not ok $n - invoke shows them only with --reveal"; fi
check 'invoke prints one value' 0 out '^"uhost-0002"$' "$invoke" --print UHostSet.1.UHostId DescribeCompShareInstance
check 'invoke prints CSV as it is' 0 out ',' "$invoke" DownloadTeamOrder
check 'invoke: refused by the API' 3 err 'RetCode 161' "$invoke" NoSuchAction
check 'invoke: refused parameter' 1 err 'parameter Signature: the client itself adds it' "$invoke" GetProjectList Signature=x
check 'invoke: not executed' 4 err 'no trusted root' env COMPSHARE_CA_FILE="$certs/unknown-root.pem" "$invoke" GetProjectList
check 'invoke: usage' 1 err '^usage: ' "$invoke" GetProjectList novalue

check 'transport_memory makes two calls' 0 out '^project org-memory$' "$memory"
check 'transport_fd makes its calls' 0 out '^uhost-0001 Running, off at ' "$descriptor" 127.0.0.1 "$port" uhost-0001
check 'transport_fd: the name counts, not the address' 1 err 'certificate is for another host' env COMPSHARE_BASE_URL=https://api.compshare.cn "$descriptor" 127.0.0.1 "$port" uhost-0001
check 'transport_fd: usage' 1 err 'usage: ' "$descriptor" localhost "$port" uhost-0001

# through_relay: a relay to the gateway, at $relay_port
through_relay() {
    : >"$work/relay"
    socat -d -d TCP-LISTEN:0,bind=127.0.0.1,fork "TCP:127.0.0.1:$port" 2>"$work/relay" &
    pids="$pids $!"
    wait_for "$work/relay" 'listening on'
    relay_port=$(sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' "$work/relay")
}
through_relay
check 'transport_relay keeps its connection' 0 out '^uhost-0001 Running, off at .*connections: 1$' "$relay" "$relay_port" uhost-0001
check 'transport_relay: the relay is no other host' 1 err 'certificate is for another host' env COMPSHARE_BASE_URL=https://api.compshare.cn "$relay" "$relay_port" uhost-0001
check 'transport_relay: no relay' 1 err 'no connection' "$relay" 1 uhost-0001

# event_loop: 42 instances, of which 2 is Stopped and 3 is a Spot instance
forty=$(echo uhost-0001; i=3; while [ $i -lt 42 ]; do i=$((i + 1)); printf 'uhost-00%02d\n' $i; done)
for chain in rsa ec p384; do
    serve $chain 42
    # shellcheck disable=SC2086
    check "event_loop confirms 40 ($chain)" 0 out '^confirmed 40, failed 0$' "$loop" --clients 8 $forty
    check "event_loop finds 40 ($chain)" 1 out '^confirmed 40, failed 1$' "$loop" --clients 8 --all
    check "event_loop says which it cannot do ($chain)" 1 err 'uhost-0003: .*Spot' "$loop" --in 7200 --all
    # The longest step of a client that makes a full handshake. The machine may do
    # something else meanwhile: the best of three counts. Both EC chains end in a root of
    # P-384; rsa and ec have two certificates of their own kind below it.
    best=''
    for i in 1 2 3; do
        longest=$("$loop" --clients 1 uhost-0001 | sed -n 's/^longest step \([0-9]*\) us.*/\1/p')
        if [ -z "$best" ] || [ "${longest:-0}" -lt "$best" ]; then best=${longest:-0}; fi
    done
    eval "longest_$chain=$best"
done
n=$((n + 1))
# shellcheck disable=SC2154
if [ "$longest_rsa" -gt 0 ] && [ "$longest_ec" -gt 0 ] && [ "$longest_p384" -gt 0 ]; then echo "ok $n - event_loop measures its steps"
else echo "not ok $n - event_loop measures its steps"; fi
echo "# figure: longest step RSA $longest_rsa us, P-256 $longest_ec us, P-384 $longest_p384 us"
check 'event_loop: seconds under the floor' 1 err 'uhost-0001: .*at least 300' "$loop" --in 200 uhost-0001
check 'event_loop: an unknown instance among others' 1 err 'uhost-9999: .*no instance' "$loop" uhost-0001 uhost-9999 uhost-0004
check 'event_loop: the others are confirmed' 1 out '^confirmed 2, failed 1$' "$loop" uhost-0001 uhost-9999 uhost-0004
# shellcheck disable=SC2086
check 'event_loop: a wrong key fails all' 1 out '^confirmed 0, failed 40$' env COMPSHARE_PRIVATE_KEY=wrong "$loop" --clients 64 $forty
check 'event_loop: no list, no instances' 1 err '^event_loop: list: .*RetCode 171' env COMPSHARE_PRIVATE_KEY=wrong "$loop" --all
serve ec 42 --option drop_action=DescribeCompShareInstance --option truncate=99
check 'event_loop: half a list is none' 1 out '^confirmed 0, failed 1$' "$loop" --all
check 'event_loop: usage' 1 err '^usage: ' "$loop" --clients 65 --all

# A new connection for every request, so that the descriptor changes.
serve ec 42 --option close_every=1
through_relay
# shellcheck disable=SC2086
check 'event_loop: the descriptor changes' 0 out '^confirmed 40, failed 0$' "$loop" --clients 8 $forty
check 'transport_relay connects again' 0 out 'connections: 2$' "$relay" "$relay_port" uhost-0001
check 'transport_fd cannot' 1 err 'no connection' "$descriptor" 127.0.0.1 "$port" uhost-0001

serve ec 5 --option visibility_delay=1
check 'event_loop: pauses until a change shows' 0 out '^confirmed 3, failed 0$' "$loop" --clients 2 uhost-0001 uhost-0004 uhost-0005

# While replies take 150 ms, time goes on for the rest of the program: a step that
# waited for its reply would leave the timer one tick for each.
serve ec 3 --option delay_ms=150
check 'event_loop ticks while it waits' 0 out '^\(1[2-9]\|[2-9][0-9]\|[0-9]\{3,\}\) ticks' "$loop" --clients 1 uhost-0001
echo "1..$n"
