#!/bin/sh
# static.sh BUILD_DIR: the tests of compshare-schedule once more, with its static file; the
# dialects need tests/tool/pace.c in it, and tell nothing new there.
set -eu
build=$1
if ! command -v musl-gcc >/dev/null 2>&1; then
    echo 'ok 1 - static tool # SKIP no musl'
    exit 0
fi
sh examples/static/build.sh static "$build" >/dev/null
sh examples/static/build.sh clock "$build" >/dev/null
exec python3 tests/tool/test_tool.py --tool "$build/static/compshare-schedule" --tool-clock "$build/static/compshare-schedule-clock" \
    --gateway "$build/tests/gateway" --certs "$build/tests/certs" --skip dialects:
