#!/bin/sh
# memcheck.sh BUILD_DIR: the main job, and the unit tests of what reads bytes from
# outside, under valgrind.
set -eu
build=$1
certs=$build/tests/certs
ports=$(mktemp -u)
check="valgrind -q --error-exitcode=9 --leak-check=full --track-fds=no"
"$build/tests/gateway" --cert "$certs/ec-chain.pem" --key "$certs/ec-key.pem" --port-file "$ports" &
gateway=$!
trap 'kill $gateway; rm -f "$ports"' EXIT
tries=0
while [ ! -s "$ports" ] && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
COMPSHARE_BASE_URL="https://localhost:$(sed -n 's/^port=//p' "$ports")"
export COMPSHARE_BASE_URL COMPSHARE_CA_FILE="$certs/roots.pem"
export COMPSHARE_PUBLIC_KEY=ucloudsomeone@example.com1296235120854146120
export COMPSHARE_PRIVATE_KEY=46f09bb9fab4f12dfc160dae12273d5332b5debe
$check "$build/examples/stop_scheduler" uhost-0001 3600 >/dev/null
$check "$build/examples/compshare-invoke" DescribeCompShareInstance >/dev/null
for program in test_http test_json test_trust test_value; do
    COMPSHARE_TEST_CERTS=$certs $check "$build/tests/unit/$program" >/dev/null 2>&1
done
