#!/bin/sh
# demo.sh BUILD_DIR: the main job against the loopback gateway: set, read back,
# cancel. With DEMO_LIVE=1, COMPSHARE_PUBLIC_KEY, COMPSHARE_PRIVATE_KEY and
# DEMO_UHOST=uhost-... it does the same to a real instance.
set -eu
build=$1
uhost=${DEMO_UHOST:-uhost-0001}
seconds=${DEMO_SECONDS:-3600}

if [ "${DEMO_LIVE:-}" = 1 ]; then
    if [ -z "${COMPSHARE_PUBLIC_KEY:-}" ] || [ -z "${COMPSHARE_PRIVATE_KEY:-}" ] || [ -z "${DEMO_UHOST:-}" ]; then
        echo 'DEMO_LIVE=1 needs COMPSHARE_PUBLIC_KEY, COMPSHARE_PRIVATE_KEY and DEMO_UHOST' >&2
        exit 1
    fi
    echo "demo       the real instance $uhost"
else
    unset COMPSHARE_ZONE COMPSHARE_PROJECT_ID COMPSHARE_REGION
    ports=$(mktemp -u)
    "$build/tests/gateway" --cert "$build/tests/certs/rsa-chain.pem" --key "$build/tests/certs/rsa-key.pem" --port-file "$ports" &
    gateway=$!
    trap 'kill $gateway 2>/dev/null || true; rm -f "$ports"' EXIT
    tries=0
    while [ ! -s "$ports" ]; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { echo 'the gateway did not start' >&2; exit 1; }
        sleep 0.1
    done
    COMPSHARE_BASE_URL="https://localhost:$(sed -n 's/^port=//p' "$ports")"
    export COMPSHARE_BASE_URL
    export COMPSHARE_CA_FILE="$build/tests/certs/root-rsa.pem"
    export COMPSHARE_PUBLIC_KEY=ucloudsomeone@example.com1296235120854146120
    export COMPSHARE_PRIVATE_KEY=46f09bb9fab4f12dfc160dae12273d5332b5debe
    echo "demo       loopback gateway at $COMPSHARE_BASE_URL, TLS verified, no real account touched"
fi

"$build/examples/stop_scheduler" "$uhost" "$seconds"
at=$("$build/examples/compshare-invoke" --print UHostSet.0.SchedulerStopTime DescribeCompShareInstance UHostIds.0="$uhost")
echo "read back  SchedulerStopTime is $at"
"$build/examples/stop_scheduler" "$uhost" 0
