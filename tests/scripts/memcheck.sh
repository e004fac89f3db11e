#!/bin/sh
# memcheck.sh BUILD_DIR: the main job, the unit tests of what reads bytes from outside,
# and the integration tests of calls, connections and workflows, under valgrind. The
# servers that they start are not looked into.
set -eu
build=$1
certs=$build/tests/certs
work=$(mktemp -d)
ports=$work/ports
check="valgrind -q --error-exitcode=9 --leak-check=full --track-fds=no --child-silent-after-fork=yes"
"$build/tests/gateway" --cert "$certs/ec-chain.pem" --key "$certs/ec-key.pem" --port-file "$ports" &
gateway=$!
trap 'kill $gateway; rm -rf "$work"' EXIT
tries=0
while [ ! -s "$ports" ] && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.1; done

# main_job PROGRAM ARGUMENT...
main_job() {
    COMPSHARE_BASE_URL="https://localhost:$(sed -n 's/^port=\([0-9]*\).*/\1/p' "$ports")" COMPSHARE_CA_FILE="$certs/roots.pem" \
    COMPSHARE_PUBLIC_KEY=ucloudsomeone@example.com1296235120854146120 COMPSHARE_PRIVATE_KEY=46f09bb9fab4f12dfc160dae12273d5332b5debe \
        $check "$build/examples/$@" >/dev/null
}
main_job stop_scheduler uhost-0001 3600
main_job compshare-invoke DescribeCompShareInstance

# all workflows would take minutes: those in which something is lost take every path back
printf '%s\n' '#include <setjmp.h>' '#include <stdarg.h>' '#include <stddef.h>' '#include <stdint.h>' '#include <cmocka.h>' \
    'int every_workflow(void);' 'int main(void) { cmocka_set_test_filter("*lost*"); return every_workflow(); }' >"$work/some.c"
${CC:-cc} -std=c99 -O1 -g -D_GNU_SOURCE -I. -Itests/integration -Itests/support -Dmain=every_workflow -c -o "$work/all.o" tests/integration/test_schedule.c
${CC:-cc} -std=c99 -o "$work/test_lost_workflows" "$work/some.c" "$work/all.o" -lcmocka -lbearssl -ljansson -lcurl -lm -ldl -pthread

export check work COMPSHARE_TEST_CERTS="$certs" COMPSHARE_TEST_BIN="$build/tests"
for program in unit/test_http unit/test_json unit/test_trust unit/test_value \
    integration/test_calls integration/test_connection integration/test_proxy integration/test_raw integration/test_session; do
    echo "$build/tests/$program"
done | sed "\$a $work/test_lost_workflows" | xargs -n 1 -P 2 sh -c '
    log=$work/$(basename "$0").log
    $check "$0" >"$log" 2>&1 || { echo "memcheck: $0"; grep -v "OK \]\|RUN  " "$log"; exit 1; }'
