#!/usr/bin/env python3
"""Tests of compshare-schedule against the gateway: prints TAP, exits 1 where one fails.

    test_tool.py --tool BIN --tool-clock BIN --gateway BIN --certs DIR [--source DIR] [--only WORD] [--jobs N]

--tool        the tool as it is installed (dynamic or static)
--tool-clock  the same, compiled with -DSCHEDULE_TEST_CLOCK: its clocks are moved by the tests
--only WORD   only tests with WORD in their name
--skip WORD   none that begin with WORD
"""

import argparse
import concurrent.futures
import os
import signal
import sys
import threading
import time
import traceback

import account
import dialects
import harness
import hazards
import leases
import promises
import secrets_check
import terminal
import verbs


def run(name, function):
    began = time.monotonic()
    try:
        function()
        return name, "ok", "", time.monotonic() - began
    except harness.Skip as reason:
        return name, "ok", " # SKIP %s" % reason, 0
    except Exception:                                           # any failure is this test's alone
        return name, "not ok", traceback.format_exc(), time.monotonic() - began


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser()
    for name in ("tool", "tool-clock", "gateway", "certs"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--source", default=os.path.join(here, "../../examples/tools"))
    parser.add_argument("--only", default="")
    parser.add_argument("--skip", default=None)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--times", action="store_true")
    harness.args = parser.parse_args()
    for name in ("tool", "tool_clock", "gateway", "certs", "source"):
        setattr(harness.args, name, os.path.abspath(getattr(harness.args, name)))

    # nohup, or a shell's "&", may have had signals ignored: what is started here would inherit that
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)

    dialects.register(harness.args.only)
    skip = harness.args.skip
    chosen = [t for t in harness.tests if harness.args.only in t[0] and not (skip and t[0].startswith(skip))]
    last = [t for t in chosen if t[1].__module__ in (promises.__name__, secrets_check.__name__)]     # these read what the others said
    first = [t for t in chosen if t not in last]
    print("1..%d" % len(chosen), flush=True)
    number, failed, lock = 0, 0, threading.Lock()

    def report(done):
        nonlocal number, failed
        name, verdict, more, seconds = done
        with lock:
            number += 1
            failed += verdict != "ok"
            print("%s %d - %s%s" % (verdict, number, name, more if verdict == "ok" else ""))
            if harness.args.times and seconds > 2:
                print("# %.1f s" % seconds)
            if verdict != "ok":
                print("\n".join("# " + line for line in more.rstrip().splitlines()))
            sys.stdout.flush()

    with concurrent.futures.ThreadPoolExecutor(harness.args.jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run, *t) for t in first]):
            report(done.result())
    dialects.close()
    for t in last:
        report(run(*t))
    if dialects.figure():
        print(dialects.figure())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
