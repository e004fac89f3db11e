#!/bin/sh
# examples.sh BUILD_DIR: the example programs against the loopback gateway. TAP.
set -u
build=$1
stop=$build/examples/stop_scheduler
invoke=$build/examples/compshare-invoke
certs=$build/tests/certs
work=$(mktemp -d)
gateway=''
trap '[ -z "$gateway" ] || kill "$gateway"; rm -rf "$work"' EXIT
n=0

"$build/tests/gateway" --cert "$certs/ec-chain.pem" --key "$certs/ec-key.pem" --port-file "$work/ports" --instances 12 &
gateway=$!
tries=0
while [ ! -s "$work/ports" ] && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
port=$(sed -n 's/^port=//p' "$work/ports")
export COMPSHARE_PUBLIC_KEY=ucloudsomeone@example.com1296235120854146120
export COMPSHARE_PRIVATE_KEY=46f09bb9fab4f12dfc160dae12273d5332b5debe
export COMPSHARE_BASE_URL="https://localhost:$port" COMPSHARE_CA_FILE="$certs/roots.pem"

# check NAME STATUS WHERE PATTERN COMMAND...: the exit status, and a pattern that
# must stand in "out" or "err"; the other must be empty where WHERE ends in "only"
check() {
    name=$1 want=$2 where=$3 pattern=$4
    shift 4
    n=$((n + 1))
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ "$got" -eq "$want" ] && grep -q -e "$pattern" "$work/$where"; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name (exit status $got)"
        sed 's/^/# /' "$work/out" "$work/err"
    fi
}

check 'stop_scheduler confirms' 0 out '^confirmed .* local time, .* Beijing time, in 1 h 0 min$' "$stop" uhost-0001 3600
check 'stop_scheduler names the project' 0 out '^project    org-default' "$stop" uhost-0001 900
check 'a zone from the environment' 0 out '^confirmed' env COMPSHARE_ZONE=cn-wlcb-01 "$stop" uhost-0001 900
check 'a project from the environment' 0 out '^project    org-default $' env COMPSHARE_PROJECT_ID=org-default "$stop" uhost-0001 900
check '100 s is refused' 1 err 'it is 200 s short' "$stop" uhost-0001 100
check 'an unknown instance is refused' 1 err 'no instance uhost-9999' "$stop" uhost-9999 3600
check 'a stopped instance is refused by the API' 1 err 'RetCode 8905' "$stop" uhost-0002 3600
check 'a Spot instance is refused by the API' 1 err 'RetCode 230' "$stop" uhost-0003 3600
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
echo "1..$n"
