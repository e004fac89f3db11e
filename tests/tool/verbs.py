"""Verbs, options, exit codes, credentials, proxies, both languages: everything but run."""

import base64
import fcntl
import json
import os
import re
import socket
import struct
import threading
import time

import harness
from harness import PRIVATE_KEY, PUBLIC_KEY, Skip, World, contains, equal, lacks, test, uhost
from listen import Listener, Requests, TlsListener, copy

KEYS = ["uhost_id", "name", "state", "charge_type", "zone", "stop_time", "previous_stop_time", "seconds_left", "changed", "keeps_billing", "error"]


def plain(*words, env=None, stdin=""):
    """The tool where it gets no further than its options."""
    world = World.__new__(World)
    world.env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C"}
    return World.tool(world, *words, env=env, stdin=stdin)


def near(got, wanted, what=""):
    assert wanted - 400 <= got <= wanted + 400, "%s: %d is not near %d" % (what, got, wanted)


# ---- the command line

@test("help and version, in both languages; every option is in the help or the source's table")
def help_text():
    r = plain("--help").is_(0)
    for verb in ("set", "show", "audit", "extend", "cancel", "run", "doctor"):
        contains(r.out, "compshare-schedule " + verb)
    equal(plain("-h").out, r.out)
    equal(plain("show", "--help").out, r.out)
    contains(plain("--lang", "zh", "--help").is_(0).out, "用法")
    source = harness.source("compshare-schedule")
    names = re.findall(r'X\([A-Z_]+, "([a-z-]+)", [A-Z]+, [\w.]+, [A-Z]+\)', source)
    assert len(names) > 30, names
    for name in names:
        contains(r.out, "--" + name)
    assert re.match(r"compshare-schedule \d+\.\d+\.\d+\n$", plain("--version").is_(0).out)


@test("message table: both languages convert the same values in the same order")
def table():
    source = harness.source("compshare-schedule", "compshare-invoke")
    body = source[source.index("#define COMMON_MESSAGES(X)"):source.index("#define MESSAGE_ID")]
    rows = re.findall(r'X\(([A-Z_]+),((?:[^"()]|"(?:[^"\\]|\\.)*")*)\)', body)
    assert len(rows) > 80, len(rows)
    equal(len(rows), body.count("X("), "rows that this test can read")
    conversion = re.compile(r"%(?!%)[-0-9.*]*(?:l|ll|z)?[a-z]")
    for name, texts in rows:
        english, chinese = re.split(r'"\s*,\s*\\?\s*"', texts.strip().strip("\\").strip(), maxsplit=1)
        equal(conversion.findall(english), conversion.findall(chinese), name)
        if name not in ("FAILED", "FAILED_LINE", "SELF_FAILED"):
            assert re.search("[\u4e00-\u9fff]", chinese), name + " is not in Chinese"
        assert re.search(r"\bM_%s\b" % name, source), name + " is not used"


@test("no verb, a wrong verb, a wrong option: 1, and a hint")
def hints():
    contains(plain().is_(1).err, "a verb is needed")
    r = plain("shwo").is_(1)
    contains(r.err, '"shwo"')
    contains(r.err, "did you mean show?")
    contains(r.err, "--help")
    r = plain("show", "--jsn").is_(1)
    contains(r.err, "--jsn is not an option")
    contains(r.err, "did you mean --json?")
    contains(plain("set", "--only-extent", "x").is_(1).err, "did you mean --only-extend?")
    lacks(plain("show", "--only-extemd").is_(1).err, "--only-extend?")      # no option of show
    contains(plain("show", "-x").is_(1).err, "-x is not an option")
    contains(plain("show", "-xyz").is_(1).err, "-x is not an option")
    contains(plain("show", "--nonsense=1").is_(1).err, "--nonsense is not")
    contains(plain("--lang", "zh", "shwo").is_(1).err, "是不是想写")


@test("keys on the command line are refused, and not repeated")
def key_options():
    for words in (["--private-key=SECRETSECRET"], ["--private-key", "SECRETSECRET"], ["--public-key", "SECRETSECRET"],
                  ["--secret=SECRETSECRET"], ["--security-token", "SECRETSECRET"], ["--api-key=SECRETSECRET"]):
        r = plain("show", *words).is_(1)
        contains(r.err, "keys are never taken from the command line")
        lacks(r.err + r.out, "SECRETSECRET")


@test("an option of another verb is refused, before and behind the verb")
def other_verbs():
    for verb, words, option in (
            ("show", ["--by", "90m"], "--by"), ("doctor", ["--all"], "--all"), ("audit", ["--in", "2h"], "--in"), ("set", ["--ttl", "1h"], "--ttl"),
            ("extend", ["--only-extend"], "--only-extend"), ("cancel", ["--at", "2h"], "--at"), ("run", ["--yes"], "--yes"),
            ("doctor", ["--reveal"], "--reveal"), ("audit", ["--reveal"], "--reveal"), ("set", ["--all-projects"], "--all-projects"),
            ("show", ["--unarmed-ok"], "--unarmed-ok"), ("cancel", ["--prepaid-ok"], "--prepaid-ok"), ("show", ["--status-file", "f"], "--status-file")):
        for line in ([verb] + words, words + [verb]):
            r = plain(*line).is_(125 if verb == "run" else 1)
            contains(r.err, "%s does not go with %s" % (option, verb))


@test("what does not fit together: 1, for run 125, and it says what")
def combinations():
    for words, part in (
            (["set", "--in", "1h"], "an instance is needed"), (["extend", "--by", "1h"], "an instance is needed"), (["cancel"], "an instance is needed"),
            (["run", "--", "true"], "an instance is needed"), (["run", "a", "b", "--", "true"], "exactly one"),
            (["set", "a"], "--in or --at"), (["set", "a", "--in", "1h", "--at", "2h"], "--in or --at"),
            (["set", "a", "--in", "1h", "--at", "1900000000"], "--in or --at"), (["extend", "a"], "--by is needed"),
            (["set", "a", "--all", "--in", "1h"], "not both"), (["set", "a", "--name", "x*", "--in", "1h"], "--name"),
            (["set", "a", "--in", "1h", "--only-extend", "--only-shorten"], "exclude each other"), (["audit", "a"], "does not go with audit"),
            (["doctor", "a"], "does not go with doctor"), (["show", "--", "a"], "-- does not go with show"),
            (["run", "a"], "--pid N or -- COMMAND"), (["run", "a", "--"], "--pid N or -- COMMAND"), (["run", "a", "--pid", "5", "--", "true"], "--pid N or -- COMMAND"),
            (["run", "a", "--until", "1900000000", "--max", "2h", "--", "true"], "exclude each other"),
            (["run", "a", "--warn", "10m", "--", "true"], "belong together"), (["run", "a", "--signal", "USR1", "--", "true"], "belong together"),
            (["run", "a", "--ttl", "14m", "--", "true"], "15 minutes"), (["run", "a", "--grace", "299s", "--", "true"], "300"),
            (["run", "a", "--on-exit", "never", "--", "true"], "grace stop cancel keep"), (["run", "a", "--signal", "KILL", "--", "true"], "--signal"),
            (["run", "a", "--pid", "1x", "--", "true"], "--pid"), (["show", "--retries", "11"], "0 to 10"), (["show", "--retries", ""], "--retries"),
            (["show", "--lang", "fr"], "en zh"), (["show", "--timeout", "5"], "--timeout"), (["set", "a", "--in"], "--in needs a value"),
            (["show", "--region"], "--region needs a value"), (["show", "--json=1"], "--json takes no value"), (["set", "a", "--in", "299s"], "300"),
            (["set", "a", "--at", "4m"], "--at"), (["show", "-"], "an instance is needed"), (["set", "-", "--in", "1h"], "an instance is needed")):
        contains(plain(*words).is_(125 if words[0] == "run" else 1).err, part)


@test("what is refused says what to write instead")
def instead():
    for words, part in (
            (["set", "a", "--in", "1h", "--at", "2h"], "not both"), (["set", "a", "--in", "0s"], "write 1s at least"),
            (["set", "a", "--in", "0h0m"], "write 1s at least"), (["run", "uhost-1", "ls", "--pid", "5"], "compshare-schedule run uhost-1 -- ls")):
        contains(plain(*words).is_(125 if words[0] == "run" else 1).err, part)
    with World() as w:
        r = w.tool("show", "--profile", "work", env={"COMPSHARE_CONFIG_FILE": w.path("none.json")}).is_(2)
        contains(r.err, "--profile work: there is no " + w.path("none.json"))
        lacks(r.err, "COMPSHARE_PUBLIC_KEY")
        contains(w.tool("doctor", env={"COMPSHARE_PRIVATE_KEY": "wrong"}).is_(3).out.replace("\n         ", " "), "they must be one pair")


@test("durations and times that are none are refused with what would be one")
def malformed():
    for text in ("2", "h", "1m1h", "-5m", "1.5h", "0s", "", "1h 30m", "2h2h", "99999999999d", "1H"):
        contains(plain("set", "a", "--in", text).is_(1).err, "is not a duration like 90s, 30m, 2h, 1h30m or 3d")
    for text in ("tomorrow", "2026-13-01T00:00Z", "2026-02-29T00:00Z", "2026-00-10T00:00Z", "2026-01-32T00:00Z", "2026-01-01T24:00Z", "2026-01-01T00:60Z",
                 "1712646000000", "12", "2026-01-01", "2026-01-01T10:00+25:00", "202611232200", "999999999", "2026-01-01T10:00+14:01", "2026-01-01T10:00-18:00", "2026-01-01T10:00 PST", "2026-01-01T10:00+08:0", ""):
        contains(plain("set", "a", "--at", text).is_(1).err, "is not a time")


@test("a time without an offset is refused, with both readings")
def no_offset():
    for text in ("2026-11-23T22:00", "2026-11-23 22:00", "2026-11-23T22:00:00"):
        r = plain("set", "a", "--at", text, env={"TZ": "UTC"}).is_(1)
        contains(r.err, "has no offset")
        contains(r.err, "In Beijing it is 2026-11-23 14:00:00 +0000")
        contains(r.err, "in UTC it is 2026-11-23 22:00:00 +0000")
    contains(plain("run", "a", "--until", "2026-11-23T22:00", "--", "true").is_(125).err, "has no offset")


@test("times: epoch seconds, Z, +08:00, +0800, a leap day, and --at 2h")
def times():
    with World() as w:
        for text, wanted in (("4102444800", 4102444800), ("2100-01-01T00:00Z", 4102444800), ("2100-01-01T08:00:00+08:00", 4102444800),
                             ("2100-01-01t08:00+0800", 4102444800), ("2100-01-01T14:00+14:00", 4102444800), ("2100-01-01T00:00-00:00", 4102444800), ("2099-12-31 19:00:00-05:00", 4102444800), ("2096-02-29T12:00:30z", 3981355230)):
            equal(w.tool("set", uhost(1), "--at", text, "--json").is_(0).object()["stop_time"], wanted, text)
        near(w.tool("set", uhost(1), "--at", "2h", "--json").is_(0).object()["stop_time"], w.now() + 7200)
        for text, seconds in (("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("3d", 259200), ("900s", 900), ("1d2h3m4s", 93784)):
            near(w.tool("set", uhost(1), "--in", text, "--json").is_(0).object()["seconds_left"], seconds, text)
        contains(w.tool("set", uhost(1), "--at", str(w.now() + 100)).is_(1).err, "300")
        equal(w.tool("set", uhost(1), "--at", "2h", "--at", "4102444800", "--json").is_(0).object()["stop_time"], 4102444800)


# ---- set, show, extend, cancel

@test("set: text, JSON with stable keys, what it was before")
def set_one():
    with World() as w:
        r = w.tool("set", uhost(1), "--in", "2h").is_(0)
        for part in (uhost(1), "Running", "Postpay", "off at ", " Beijing, in 2 h 0 min", "+0000", "7 days"):
            contains(r.out, part)
        first = w.schedule(1)
        o = w.tool("set", uhost(1), "--in", "3h", "--json").is_(0).object()
        equal(list(o), KEYS)
        equal((o["previous_stop_time"], o["stop_time"], o["changed"], o["keeps_billing"], o["error"]), (first, w.schedule(1), True, False, None))
        contains(w.tool("set", uhost(1), "--in", "5h").is_(0).out, "(was ")
        contains(w.tool("set", uhost(1), "--in", "5h", "--lang", "zh").is_(0).out, "北京时间")
        contains(w.tool("set", uhost(1), "--in", "5h", env={"LANG": "zh_CN.UTF-8"}).is_(0).out, "关机")
        contains(w.tool("set", uhost(1), "--in", "5h", env={"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}).is_(0).out, "off at")
        w.set(charge__1="Month")
        contains(w.tool("set", uhost(1), "--in", "5h").is_(0).out, "billed on while stopped")
        equal(w.tool("set", uhost(1), "--in", "5h", "--json").is_(0).object()["keeps_billing"], True)


@test("set: --only-extend, --only-shorten and --if-none, with a plan and without")
def modes():
    with World() as w:
        now = w.now()
        for many in ([], [uhost(4)]):           # one goes by the library's workflow, several by lists
            for option, plan, wanted in (("--only-extend", 0, 7200), ("--only-shorten", 0, 7200), ("--if-none", 0, 7200),
                                         ("--only-extend", 3600, 7200), ("--only-extend", 9000, 9000),
                                         ("--only-shorten", 3600, 3600), ("--only-shorten", 9000, 7200), ("--if-none", 3600, 3600)):
                w.set(schedule__1=now + plan if plan else 0, schedule__4=now + 500000)
                r = w.tool("set", uhost(1), *many, "--at", now + 7200, option, "--json").is_(0)
                o = r.objects()[0]
                equal((o["stop_time"], w.schedule(1)), (now + wanted, now + wanted), "%s with %d" % (option, plan))
                equal(o["changed"], plan != wanted)
        w.set(schedule__1=now + 9000)
        contains(w.tool("set", uhost(1), "--at", now + 7200, "--only-extend").is_(0).out, "(left as it was)")


@test("exit 6: not found, not Running, Spot")
def unschedulable():
    with World() as w:
        contains(w.tool("set", "uhost-none", "--in", "1h").is_(6).err, "uhost-none")
        contains(w.tool("set", uhost(2), "--in", "1h").is_(6).err, "Stopped")
        contains(w.tool("set", uhost(3), "--in", "1h").is_(6).err, "Spot")
        contains(w.tool("extend", uhost(1), "--by", "1h").is_(6).err, "no timed shutdown")
        o = w.tool("set", uhost(2), "--in", "1h", "--json").is_(6).object()
        equal(list(o), KEYS)
        equal((o["error"]["exit_status"], o["error"]["outcome_unknown"], o["state"]), (6, False, "Stopped"))
        o = w.tool("set", "uhost-none", "--in", "1h", "--json").is_(6).object()
        equal((list(o), o["state"], o["stop_time"]), (KEYS, None, None))
        contains(w.tool("cancel", "uhost-none").is_(6).err, "uhost-none")


@test("exit 3: refused by the API, for one and for all, as text and object")
def refused():
    with World() as w:
        w.set(fail_next=1, fail_code=160, fail_message="no such thing", drop_action="UpdateCompShareStopScheduler")
        contains(w.tool("set", uhost(1), "--in", "1h").is_(3).err, "160")
        r = w.tool("show", env={"COMPSHARE_PRIVATE_KEY": "wrong"}).is_(3)
        contains(r.err, "171")
        assert not r.err.startswith("compshare-schedule:  "), r.err
        for words in (["show"], ["audit"], ["set", "--all", "--in", "1h"], ["cancel", uhost(1), uhost(4), "--yes"], ["set", uhost(1), "--in", "1h"]):
            r = w.tool(*words, "--json", env={"COMPSHARE_PRIVATE_KEY": "wrong"}).is_(3)
            equal(r.object()["error"]["exit_status"], 3)
        contains(w.tool("show", "--project-id", "org-none").is_(3).err, "292")
        w.set(fail_next=2, fail_http=500, drop_action="DescribeCompShareInstance")
        w.tool("show").is_(0)               # a reading is tried three times
        w.set(fail_next=3)
        w.tool("show").is_(3)


@test("exit 4: nobody there, a certificate that is refused, a reply that never comes; nothing executed")
def network():
    with World() as w:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            url = "https://localhost:%d" % s.getsockname()[1]
            for words in (["show"], ["set", uhost(1), "--in", "1h"], ["set", uhost(1), uhost(4), "--in", "1h"], ["audit"], ["doctor"], ["extend", uhost(1), "--by", "1h"]):
                w.tool(*words, "--base-url", url).is_(4)
            equal(w.tool("show", "--json", "--base-url", url).is_(4).object()["error"]["exit_status"], 4)
            equal(w.tool("set", uhost(1), "--in", "1h", "--json", "--base-url", url).is_(4).object()["error"]["exit_status"], 4)
        w.tool("show", env={"COMPSHARE_BASE_URL": w.env["COMPSHARE_BASE_URL"].replace("https", "http")}).is_(2)
        w.set(drop_before=1)
        w.tool("show").is_(4)
        w.set(drop_before=1)
        w.tool("set", uhost(1), "--in", "1h").is_(4)
        w.set(drop_before=1)
        w.tool("set", uhost(1), uhost(4), "--in", "1h").is_(4)
        w.set(delay_ms=60000)
        w.tool("show", "--timeout", "1s").is_(4)
        w.set(delay_ms=0)
        equal(w.stats()["executed_by_action"].get("UpdateCompShareStopScheduler", 0), 0)
    with World(certificate="expired") as w:
        contains(w.tool("show").is_(4).err, "ertificate")
    with World(certificate="selfsigned") as w:
        w.tool("set", uhost(1), "--in", "1h").is_(4)


@test("exit 5: lost and not confirmed, accepted and not shown; a lost reply that is shown is 0")
def unknown():
    with World() as w:
        w.set(drop_after=1, drop_action="UpdateCompShareStopScheduler")
        near(w.tool("set", uhost(1), "--in", "1h", "--json").is_(0).object()["stop_time"], w.now() + 3600)
        w.set(schedule__1=0, drop_before=99)        # what readings do not show is sent again
        r = w.unanswered("set", uhost(1), "--in", "1h", "--json").is_(5)
        equal((r.object()["error"]["outcome_unknown"], r.object()["error"]["exit_status"]), (True, 5))
        w.set(drop_before=0, drop_action="", visibility_delay=100000)
        r = w.unanswered("set", uhost(1), "--in", "1h").is_(5)
        contains(r.err, "not confirmed")
        r = w.unanswered("set", uhost(4), uhost(5), "--in", "2h", changes=2).is_(5)
        contains(r.err, "reading back did not show it")
        contains(r.err, "0 done, 2 failed")
        w.set(visibility_delay=0, drop_after=2, drop_action="UpdateCompShareStopScheduler")
        w.tool("set", uhost(6), uhost(7), "--in", "2h").is_(0)
        near(w.schedule(7), w.now() + 7200)


@test("the most serious exit status of many: 5, 3, 6, 4, 0; partial failure says which")
def partial():
    with World() as w:
        r = w.tool("set", uhost(1), "uhost-none", uhost(2), uhost(3), uhost(4), "--in", "1h").is_(6)
        equal(len([line for line in r.out.splitlines() if "off at" in line]), 2)
        for part in ("uhost-none", uhost(2), uhost(3), "2 done, 3 failed"):
            contains(r.err, part)
        w.set(fail_next=1, fail_code=160, drop_action="UpdateCompShareStopScheduler")
        r = w.tool("set", uhost(1), "uhost-none", uhost(4), "--in", "2h", "--json").is_(3)
        codes = {o["uhost_id"]: o["error"] and o["error"]["exit_status"] for o in r.objects()}
        equal(codes, {uhost(1): 3, "uhost-none": 6, uhost(4): None})
        w.set(fail_next=2, fail_code=160, drop_before=2)        # one of them, tried twice, then refused, which proves nothing
        r = w.unanswered("set", uhost(1), uhost(4), uhost(5), uhost(6), "uhost-none", "--in", "3h", "--json", changes=4).is_(5)
        codes = sorted(o["error"]["exit_status"] if o["error"] else 0 for o in r.objects())
        equal(codes, [0, 0, 3, 5, 6])


@test("instances from standard input, and one that is named twice")
def from_stdin():
    with World() as w:
        ids = "%s\n  %s\n%s" % (uhost(1), uhost(4), uhost(5))
        r = w.tool("set", "-", "--in", "1h", "--json", stdin=ids).is_(0)
        equal([o["uhost_id"] for o in r.objects()], [uhost(1), uhost(4), uhost(5)])
        equal(len(w.tool("show", "-", "--json", stdin=ids).is_(0).objects()), 3)
        contains(w.tool("show", "-", stdin="").is_(1).err, "an instance is needed")
        equal(len(w.tool("show", uhost(1), uhost(1), "--json").is_(0).objects()), 1)
        equal(len(w.tool("extend", uhost(1), uhost(1), "--by", "1h", "--json").is_(0).objects()), 1)
        w.tool("cancel", "-", stdin=ids).is_(1)
        w.tool("cancel", "-", "--yes", stdin=ids).is_(0)
        equal([w.schedule(n) for n in (1, 4, 5)], [0, 0, 0])


@test("ids that cannot be any are refused, from standard input too, before anything is changed")
def bad_ids():
    for word in ("", "a b", "../x", "a\x1b[31m", "编号", "a" * 64):
        contains(plain("show", word).is_(1).err, "is not the id of an instance")
    with World() as w:
        for text in (uhost(1) + "\0" + uhost(4) + "\0", uhost(1) + "\n" + "a" * 100000, uhost(1) + "," + uhost(4), uhost(1) + "\n\x1b]0;x\a\n"):
            r = w.tool("set", "-", "--in", "2h", stdin=text).is_(1)
            contains(r.err, "is not the id of an instance")
            lacks(r.err, "\x1b")
        directory = os.open(w.dir, os.O_RDONLY)
        done = harness.subprocess.run([harness.args.tool, "show", "-"], env=w.env, stdin=directory, stderr=harness.subprocess.PIPE, check=False)
        os.close(directory)
        contains(done.stderr.decode(), "cannot be read")
        equal((done.returncode, w.requests()), (2, 0))
        w.tool("set", "-", "--in", "2h", stdin=uhost(1) + "\r\n" + uhost(4) + "\r\n").is_(0)
        near(w.schedule(4), w.now() + 7200)


@test("JSON stays UTF-8 where what it quotes is none, or was cut in the middle of a character")
def json_is_utf8():
    with World() as w:
        for name, shown in (("\udcff", "\ufffd"), ("\udce4\udcb8", "\ufffd\ufffd"), ("é中😀", "é中😀"), ("\udced\udca0\udc80", "\ufffd" * 3)):
            o = w.tool("show", "--json", env=dict(NO_KEYS, COMPSHARE_CONFIG_FILE="/nonexistent/" + name)).is_(2).object()
            assert o["error"]["text"].endswith("/nonexistent/" + shown), o
        for n in range(3):
            w.set(fail_next=1, fail_code=160, fail_message="x" * n + "中" * 80, drop_action="UpdateCompShareStopScheduler")
            contains(w.tool("set", uhost(1), uhost(4), "--in", "2h", "--json").is_(3).out, "中中中")


@test("show: local and Beijing time, every instance, those named, what is not there")
def show():
    with World() as w:
        w.set(schedule__1=4102444800, name__4="名字\x07 four")
        r = w.tool("show", env={"TZ": "America/New_York"}).is_(0)
        equal(len([line for line in r.out.splitlines() if line.startswith("uhost-")]), 12)
        contains(r.out, "2099-12-31 19:00:00 -0500, 01-01 08:00 Beijing")
        contains(r.out, "no timed shutdown")
        for zone, time_there in (("XXX3:30", "2099-12-31 20:30:00 -0330"), ("XXX-5:45", "2100-01-01 05:45:00 +0545"), ("XXX0:20", "2099-12-31 23:40:00 -0020")):
            contains(w.tool("show", uhost(1), env={"TZ": zone}).is_(0).out, time_there)
        r = w.tool("show", "--json").is_(0)
        equal([o["uhost_id"] for o in r.objects()], [uhost(n) for n in range(1, 13)])
        equal(list(r.objects()[0]), KEYS)
        contains(r.objects()[3]["name"], "名字")
        r = w.tool("show", uhost(1), "uhost-none").is_(6)
        contains(r.out, uhost(1))
        contains(r.err, "uhost-none")
        r = w.tool("show", uhost(1), "uhost-none", "--json").is_(6)
        equal([o["error"] and o["error"]["exit_status"] for o in r.objects()], [None, 6])
        contains(w.tool("show", uhost(1), "--lang", "zh").is_(0).out, "关机,北京时间")
        w.set(total_name="absent", schedule_type="string,null_when_none", null_lists=1)
        equal(len(w.tool("show", "--json").is_(0).objects()), 12)


@test("show --reveal, and only that, shows password, login command, addresses and URLs")
def reveal():
    with World() as w:
        r = w.tool("show", uhost(1), "--reveal", record=False).is_(0)
        for part in ("Password", harness.PASSWORD, "SshLoginCommand", "ssh -p 23", "10.60.0.1", "198.51.100.1", "http://198.51.100.1:8888/lab?reset&token="):
            contains(r.out, part)
        o = w.tool("show", uhost(1), "--reveal", "--json", record=False).is_(0).object()
        equal((o["password"], o["ips"], len(o["urls"])), (harness.PASSWORD, ["10.60.0.1", "198.51.100.1"], 2))
        contains(o["ssh_login_command"], "root@198.51.100.1")
        equal(list(o)[-len(KEYS):], KEYS)
        for words in (["show"], ["show", "--json"], ["show", "--verbose"], ["audit", "--json"], ["set", uhost(1), "--in", "1h", "--verbose"], ["doctor", "--verbose"]):
            r = w.tool(*words)
            for secret in harness.SECRETS:
                lacks(r.out + r.err, secret)


@test("audit: 7 where a Running pay-as-you-go instance has no plan; Spot, prepaid and Stopped do not count")
def audit():
    with World(instances=6) as w:
        soon = w.now() + 4000
        r = w.tool("audit").is_(7)
        for n, there in ((1, True), (2, False), (3, False), (4, True), (6, True)):
            equal(uhost(n) in r.out, there, uhost(n))
        contains(r.err, "6 instances, 4 run pay-as-you-go without a timed shutdown")
        w.set(schedule__1=soon, schedule__4=soon, charge__5="Month", charge__6="Preemptive")
        equal(w.tool("audit").is_(0).out, "")
        equal(w.tool("audit", "--json").is_(0).out, "")
        w.set(schedule__4=0)
        equal([(o["uhost_id"], o["error"]) for o in w.tool("audit", "--json").is_(7).objects()], [(uhost(4), None)])
        contains(w.tool("audit", "--lang", "zh").is_(7).out, "没有定时关机")
        before = w.requests("GetProjectList"), w.requests("DescribeCompShareInstance")
        w.tool("audit", "--all-projects").is_(7)
        equal((w.requests("GetProjectList") - before[0], w.requests("DescribeCompShareInstance") - before[1]), (1, 4))     # two projects, each until a page brings nothing new


@test("extend: from the plan on; many at once")
def extend():
    with World() as w:
        plan = w.now() + 4000
        w.set(schedule__1=plan, schedule__4=plan)
        contains(w.tool("extend", uhost(1), "--by", "90m").is_(0).out, "(was ")
        equal(w.schedule(1), plan + 5400)
        r = w.tool("extend", uhost(1), uhost(4), uhost(5), "--by", "1h", "--json").is_(6)
        equal((w.schedule(1), w.schedule(4), w.schedule(5)), (plan + 9000, plan + 3600, 0))
        equal([o["previous_stop_time"] for o in r.objects()], [plan + 5400, plan, 0])
        contains(w.tool("extend", uhost(1), "--by", "1h", "--lang", "zh").is_(0).out, "原为")


@test("cancel: one without a question, many with --yes; on a terminal it asks")
def cancel():
    with World() as w:
        plan = w.now() + 4000
        w.set(schedule__1=plan, schedule__4=plan)
        contains(w.tool("cancel", uhost(1)).is_(0).out, "no timed shutdown")
        equal(w.tool("cancel", uhost(1), "--json").is_(0).object()["stop_time"], 0)
        contains(w.tool("cancel", uhost(1), uhost(4)).is_(1).err, "--yes")
        equal(w.tool("cancel", uhost(1), uhost(4), "--json").is_(1).object()["error"]["exit_status"], 1)
        equal(w.schedule(4), plan)
        r = w.tool("cancel", uhost(1), uhost(4), "--yes").is_(0)
        contains(r.err, "2 done, 0 failed")
        equal(w.schedule(4), 0)
        for answer, left in (("n", plan), ("y", 0)):
            w.set(schedule__1=plan)
            with harness.Terminal(w, [harness.args.tool, "cancel", uhost(1)]) as t:
                t.expect("[y/N]")
                t.type(answer + "\n")
                equal(t.popen.wait(60), 0 if answer == "y" else 1)
            equal(w.schedule(1), left)


@test("a change of a stopped instance, and an order of pages, do not confuse a list")
def lists():
    with World(instances=230) as w:
        w.set(order="newest_first")
        ids = [o["uhost_id"] for o in w.tool("show", "--json").is_(0).objects()]
        equal((len(ids), len(set(ids))), (230, 230))
        w.set(ignore_offset=1)
        w.tool("show").is_(3)


@test("--region, --zone, --project-id, and their variables, go with the requests; --zone narrows a list")
def places():
    with World() as w:
        w.tool("set", uhost(1), "--in", "1h", "--region", "cn-wlcb", "--zone", "cn-wlcb-01", "--project-id", "org-default").is_(0)
        def params():
            return {k: v for k, v in (w.stats()["last_params"] or {}).items()} if isinstance(w.stats()["last_params"], dict) else dict(w.stats()["last_params"])
        p = params()
        equal((p["Region"], p["ProjectId"]), ("cn-wlcb", "org-default"))
        w.tool("show", env={"COMPSHARE_REGION": "cn-wlcb", "COMPSHARE_ZONE": "cn-wlcb-01", "COMPSHARE_PROJECT_ID": "org-default"}).is_(0)
        p = params()
        equal((p["Region"], p["Zone"], p["ProjectId"]), ("cn-wlcb", "cn-wlcb-01", "org-default"))
        w.set(zone__4="cn-sh2-02")
        shown = [o["uhost_id"] for o in w.tool("show", "--json", "--zone", "cn-wlcb-01").is_(0).objects()]
        lacks(shown, uhost(4))
        contains(shown, uhost(1))
        w.tool("set", "--all", "--in", "2h", "--zone", "cn-sh2-02").is_(0)
        equal((w.schedule(4) > w.now() + 7000, w.schedule(1) > w.now() + 7000), (True, False))
        w.set(no_default=1)
        contains(w.tool("set", uhost(1), "--in", "1h").is_(2).err, "org-default")
        w.tool("set", uhost(1), "--in", "1h", "--project-id", "org-default").is_(0)


# ---- credentials

def profiles(**more):
    return json.dumps(dict({"current_profile": "work", "profiles": {
        "work": {"public_key": PUBLIC_KEY, "private_key": PRIVATE_KEY}, "other": {"public_key": PUBLIC_KEY, "private_key": "wrong"},
        "half": {"public_key": PUBLIC_KEY}, "default": {"public_key": PUBLIC_KEY, "private_key": "wrong"}}}, **more))


NO_KEYS = {"COMPSHARE_PUBLIC_KEY": None, "COMPSHARE_PRIVATE_KEY": None}


@test("credentials: the environment, both halves of them; no configuration at all")
def credentials():
    with World() as w:
        w.tool("show").is_(0)
        contains(w.tool("show", env={"COMPSHARE_PUBLIC_KEY": None}).is_(2).err, "COMPSHARE_PRIVATE_KEY is set, but COMPSHARE_PUBLIC_KEY is not")
        contains(w.tool("show", env={"COMPSHARE_PRIVATE_KEY": ""}).is_(2).err, "COMPSHARE_PRIVATE_KEY is not")
        contains(w.tool("show", env=NO_KEYS).is_(2).err, w.dir + "/.config/compshare/config.json")
        equal(w.tool("show", "--json", env=NO_KEYS).is_(2).object()["error"]["exit_status"], 2)
        equal(w.tool("run", uhost(1), "--json", "--", "true", env=NO_KEYS).is_(125).object()["error"]["exit_status"], 125)


@test("credentials: COMPSHARE_CONFIG_FILE, XDG_CONFIG_HOME, HOME; profiles; who can read the file")
def config_files():
    with World() as w:
        os.makedirs(w.path("xdg/compshare"))
        os.makedirs(w.path(".config/compshare"))
        for env, path in (({"COMPSHARE_CONFIG_FILE": w.path("mine.json"), "XDG_CONFIG_HOME": "/nonexistent"}, "mine.json"),
                          ({"XDG_CONFIG_HOME": w.path("xdg")}, "xdg/compshare/config.json"), ({}, ".config/compshare/config.json")):
            with open(w.path(path), "w") as f:
                f.write(profiles())
            os.chmod(w.path(path), 0o600)
            env = dict(NO_KEYS, **env)
            lacks(w.tool("show", uhost(1), env=env).is_(0).err, "can be read")
            contains(w.tool("doctor", env=env).is_(0).out, w.path(path))
            os.chmod(w.path(path), 0o644)
            contains(w.tool("show", uhost(1), env=env).is_(0).err, "can be read by others")
            os.chmod(w.path(path), 0o600)
        env = dict(NO_KEYS, COMPSHARE_CONFIG_FILE=w.path("mine.json"))
        w.tool("show", "--profile", "other", env=env).is_(3)
        w.tool("show", env=dict(env, COMPSHARE_PROFILE="other")).is_(3)
        w.tool("show", "--profile", "work", env=dict(env, COMPSHARE_PROFILE="other")).is_(0)
        w.tool("show", "--profile", "other", env={"COMPSHARE_CONFIG_FILE": w.path("mine.json")}).is_(3)      # before the variables
        contains(w.tool("show", "--profile", "half", env=env).is_(2).err, '"half"')
        contains(w.tool("show", "--profile", "none", env=env).is_(2).err, '"none"')
        with open(w.path("mine.json"), "w") as f:
            f.write(json.dumps({"profiles": {"default": {"public_key": PUBLIC_KEY, "private_key": PRIVATE_KEY}}}))
        w.tool("show", env=env).is_(0)
        for text in ("", "{", "[]", "null", '{"profiles":{"default":{"public_key":1,"private_key":2}}}', '{"profiles":[]}', '{"current_profile":'):
            with open(w.path("mine.json"), "w") as f:
                f.write(text)
            contains(w.tool("show", env=env).is_(2).err, "mine.json")
        good = '{"public_key":"%s","private_key":"%s"}' % (PUBLIC_KEY, PRIVATE_KEY)
        for text, part in (                                 # the keys of another account are no substitute
                ('{"current_profile":"w\\u006frk","profiles":{"default":%s}}' % good, "current_profile"),
                ('{"current_profile":["work"],"profiles":{"default":%s}}' % good, "current_profile"),
                ('{"current_profile":"%s","profiles":{"default":%s}}' % ("x" * 200, good), "current_profile"),
                ('{"current_profile":"work","current_profile":"default","profiles":{"default":%s}}' % good, "current_profile"),
                ('{"profiles":{"default":%s,"default":%s}}' % (good, good), '"default"'),
                ('{"profiles":{"default":{"public_key":"%s","private_key":"wrong","private_key":"%s"}}}' % (PUBLIC_KEY, PRIVATE_KEY), '"default"')):
            with open(w.path("mine.json"), "w") as f:
                f.write(text)
            contains(w.tool("show", env=env).is_(2).err, part)
        with open(w.path("mine.json"), "w") as f:
            f.write('{"current_profile":"","profiles":{"default":%s}}' % good)
        w.tool("show", env=env).is_(0)
        contains(w.tool("show", env=dict(NO_KEYS, COMPSHARE_CONFIG_FILE=w.dir)).is_(2).err, "cannot be read")


# ---- the way there

class Proxy(Listener):
    """CONNECT to anywhere on the loopback; counts, and keeps the credentials it was shown."""

    def __init__(self):
        self.count, self.authorization = 0, None
        super().__init__()

    def serve(self, client):
        head = Requests(client).head()
        if head is None:
            return
        self.count += 1
        found = re.search(rb"(?i)proxy-authorization: basic (\S+)", head)
        self.authorization = base64.b64decode(found.group(1)).decode() if found else None
        port = int(head.split()[1].rpartition(b":")[2])
        upstream = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=copy, args=(upstream, client), daemon=True).start()
        copy(client, upstream)


@test("proxies: HTTPS_PROXY, https_proxy, --proxy, NO_PROXY; user and password are not shown")
def proxies():
    proxy = Proxy()
    url = "http://127.0.0.1:%d" % proxy.port
    with World() as w:
        for used, words, env in (
                (True, [], {"HTTPS_PROXY": url}), (True, [], {"https_proxy": url}), (True, [], {"HTTPS_PROXY": "127.0.0.1:%d" % proxy.port}),
                (True, ["--proxy", url], {}), (True, ["--proxy", url], {"NO_PROXY": "*"}), (False, ["--proxy", ""], {"HTTPS_PROXY": url}), (False, [], {"HTTPS_PROXY": ""}),
                (False, [], {"HTTPS_PROXY": url, "NO_PROXY": "localhost"}), (False, [], {"HTTPS_PROXY": url, "NO_PROXY": "a.b, LOCALHOST ,c"}),
                (False, [], {"HTTPS_PROXY": url, "no_proxy": "*"}), (False, [], {"HTTPS_PROXY": url, "NO_PROXY": ".localhost"}),
                (True, [], {"HTTPS_PROXY": url, "NO_PROXY": "host,ocalhost,xlocalhost"}), (False, [], {"HTTP_PROXY": url})):
            before = proxy.count
            w.tool("show", uhost(1), *words, env=env).is_(0)
            equal(proxy.count - before, int(used), "%s %s" % (words, env))
        r = w.tool("doctor", "--verbose", env={"HTTPS_PROXY": "http://me:pr0xypass@127.0.0.1:%d" % proxy.port}).is_(0)
        equal(proxy.authorization, "me:pr0xypass")
        contains(r.out, "127.0.0.1:%d" % proxy.port)
        lacks(r.out + r.err, "pr0xypass")
        w.tool("show", env={"HTTPS_PROXY": "socks5://127.0.0.1:1"}).is_(2)
    proxy.server.close()


@test("roots: --ca-file, COMPSHARE_CA_FILE, SSL_CERT_FILE; a bundle that is not there")
def roots():
    with World() as w:
        good, none = w.env["COMPSHARE_CA_FILE"], {"COMPSHARE_CA_FILE": None}
        w.tool("show", env=dict(none, SSL_CERT_FILE=good)).is_(0)
        w.tool("show", "--ca-file", good, env=dict(none, SSL_CERT_FILE="/nonexistent")).is_(0)
        w.tool("show", env={"SSL_CERT_FILE": "/nonexistent"}).is_(0)
        contains(w.tool("show", env=dict(none, SSL_CERT_FILE="/nonexistent")).is_(2).err, "/nonexistent")
        contains(w.tool("doctor", env={"COMPSHARE_CA_FILE": "/nonexistent"}).is_(2).out, "failed")
        w.tool("show", "--ca-file", harness.args.certs + "/selfsigned.pem").is_(4)


@test("a clock that is off by more than a minute is reported, and times are the server's")
def clock():
    with World() as w:
        w.set(clock_offset=3600)
        r = w.tool("set", uhost(1), "--in", "2h", "--json").is_(0)
        contains(r.err, "this machine's clock is behind the server's by ")
        near(r.object()["stop_time"], int(time.time()) + 10800)
        near(r.object()["seconds_left"], 7200)
        w.set(clock_offset=-3600)
        r = w.tool("set", uhost(1), uhost(4), "--in", "2h")
        contains(r.is_(0).err, "ahead of the server's by ")
        equal(r.err.count("ahead of"), 1)
        near(w.schedule(4), int(time.time()) + 3600)
        contains(w.tool("doctor").is_(0).out, "warning  clock")
        w.set(clock_offset=30)
        lacks(w.tool("show").is_(0).err, "clock")


@test("--verbose: stages, and parameters without what is secret")
def verbosely():
    with World() as w:
        r = w.tool("set", uhost(1), "--in", "1h", "--verbose", "--region", "cn-wlcb").is_(0)
        for part in ("# connect localhost", "# TLS 1.2", "# sent UpdateCompShareStopScheduler", "PublicKey=pla****", "PrivateKey=****", "SecurityToken=****",
                     "Region=cn-wlcb", "UHostId=" + uhost(1)):
            contains(r.err, part)
        lacks(r.err, PUBLIC_KEY)
        r = w.tool("set", uhost(1), uhost(4), "--at", "4102444800", "--verbose").is_(0)
        contains(r.err, "UHostId=%s SchedulerStopTime=4102444800" % uhost(4))
        lacks(r.out, "#")


@test("--timeout and --retries")
def patience():
    with World() as w:
        w.set(fail_next=1, fail_code=153)
        w.tool("show").is_(3)
        w.set(fail_next=1, fail_code=153)
        w.tool("show", "--retries", "2").is_(0)
        w.set(delay_ms=300)
        w.tool("show").is_(0)
        w.tool("set", uhost(1), "--in", "1h", "--timeout", "99999d").is_(0)
        w.set(delay_ms=60000, drop_action="UpdateCompShareStopScheduler")
        w.tool("show", "--timeout", "1s").is_(4)


@test("colours and progress: none on a pipe, no escape sequence anywhere")
def colours():
    with World() as w:
        for words in (["show"], ["audit"], ["doctor"], ["set", "--all", "--in", "1h"]):
            r = w.tool(*words, env={"TERM": "xterm-256color"})
            lacks(r.out + r.err, "\033")


@test("output that cannot be written is a failure")
def full_disk():
    if not os.path.exists("/dev/full"):
        raise Skip("there is no /dev/full")
    with World() as w, open("/dev/full", "w") as full:
        for words in (["show"], ["show", "--json"], ["set", uhost(1), "--in", "1h"], ["--help"], ["--version"]):
            done = harness.subprocess.run([harness.args.tool] + words, env=w.env, stdout=full, stderr=harness.subprocess.PIPE, check=False)
            equal(done.returncode, 5)
            contains(done.stderr.decode(), "cannot be written")


@test("doctor: keys, roots, name, TLS, clock, signature, projects, round trip; text, JSON, Chinese, and what is wrong")
def doctor():
    with World() as w:
        r = w.tool("doctor").is_(0)
        for part in ("COMPSHARE_PUBLIC_KEY", w.env["COMPSHARE_CA_FILE"], "name resolution: localhost", "TLS 1.2, ECDHE_ECDSA_WITH_", " day(s)", "clock: within", "signature: accepted",
                     "org-default", "round trip"):
            contains(r.out, part)
        assert all(line.startswith("ok ") for line in r.out.splitlines()), r.out
        equal({o["verdict"] for o in w.tool("doctor", "--json").is_(0).objects()}, {"ok"})
        left = int(re.search(r"certificate: expires in (\d+) day", r.out).group(1))
        assert left in (28, 29), left         # made for 30 days, and again after 20 hours
        contains(w.tool("doctor", "--lang", "zh").is_(0).out, "签名: 已接受")
        contains(w.tool("doctor", "--lang", "zh").is_(0).out, "%d 天后到期" % left)
        r = w.tool("doctor", env={"COMPSHARE_PRIVATE_KEY": "wrong"}).is_(3)
        contains(r.out, "failed   signature")
        contains(r.out, "ok       TLS")
        r = w.tool("doctor", "--base-url", "https://localhost:1").is_(4)
        contains(r.out, "failed   connection to https://localhost:1")
        lacks(r.out, "TLS 1.2")
        w.set(no_default=1)
        contains(w.tool("doctor").is_(2).out, "--project-id")
        equal([o["verdict"] for o in w.tool("doctor", "--json").is_(2).objects()].count("warning"), 1)
        contains(w.tool("doctor", env=NO_KEYS).is_(2).err, "no credentials")
        w.advance((left - 7) * 86400)
        contains(w.tool("doctor", clock=True).out, "ok       server's certificate: expires in 7 day(s)\n")
        w.advance(86400)
        contains(w.tool("doctor", clock=True).out, "warning  server's certificate: expires in 6 day(s). Unless it is renewed")
        contains(w.tool("doctor", "--lang", "zh", clock=True).out, "警告 服务器证书: 6 天后到期。如不续期")
    with World() as w:
        for suite, name in (("AES128-GCM-SHA256", "AES_128_GCM_SHA256"), ("AES256-GCM-SHA384", "AES_256_GCM_SHA384"), ("CHACHA20-POLY1305", "CHACHA20_POLY1305_SHA256")):
            for certificate, kind in (("rsa", "RSA"), ("ec", "ECDSA")):
                api = Api([], certificate, "ECDHE-%s-%s" % (kind, suite))
                contains(w.tool("doctor", "--base-url", api.url).out, "TLS 1.2, ECDHE_%s_WITH_%s, " % (kind, name))
                api.server.close()
    with World(certificate="expired") as w:
        contains(w.tool("doctor").is_(4).out, "failed   connection")


# ---- self

class Api(TlsListener):
    """A server that lists instances as it is told to: the gateway's have no MAC of this host."""

    def __init__(self, instances, certificate="ec", suite=None):
        body = json.dumps({"Action": "DescribeCompShareInstanceResponse", "RetCode": 0, "TotalCount": len(instances),
                           "UHostSet": instances}).encode()
        self.reply = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(body)) + body
        super().__init__(certificate, suite)

    def talk(self, connection):
        if next(iter(Requests(connection)), None) is not None:
            connection.sendall(self.reply)


def own_address():
    """IPv4 address and MAC of an interface that is not the loopback."""
    for _, name in socket.if_nameindex():
        mac = harness.read("/sys/class/net/%s/address" % name).strip()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                flags = struct.unpack_from("H", fcntl.ioctl(s, 0x8913, struct.pack("256s", name.encode())), 16)[0]
                ip = socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack("256s", name.encode()))[20:24])
            except OSError:
                continue
        if not flags & 8 and re.match(r"..(:..){5}$", mac):
            return ip, mac
    raise Skip("this host has no interface with an IPv4 address and a MAC")


def described(number, *addresses):
    return {"UHostId": uhost(number), "Name": "n", "State": "Running", "ChargeType": "Postpay", "Zone": "cn-wlcb-01", "SchedulerStopTime": 0,
            "IPSet": [{"Type": kind, "IP": ip, "Mac": mac} for kind, ip, mac in addresses]}


@test("self by the environment")
def self_by_name():
    with World() as w:
        contains(w.tool("show", "self", env={"COMPSHARE_UHOST_ID": uhost(4), "COMPSHARE_INSTANCE_ID": uhost(5)}).is_(0).out, uhost(4))
        contains(w.tool("show", "self", env={"COMPSHARE_INSTANCE_ID": uhost(5)}).is_(0).out, uhost(5))
        r = w.tool("show", "self", uhost(1), "--json", env={"COMPSHARE_UHOST_ID": uhost(4)}).is_(0)
        equal([o["uhost_id"] for o in r.objects()], [uhost(1), uhost(4)])
        r = w.tool("show", "self").is_(6)
        contains(r.err, "candidates: %s, %s" % (uhost(1), uhost(2)))
        equal(w.tool("show", "self", "--json").is_(6).object()["error"]["exit_status"], 6)
        w.tool("run", "self", "--", "true").is_(125)
        for word in ("../x", "a\nb"):
            contains(w.tool("show", "self", env={"COMPSHARE_UHOST_ID": word}).is_(2).err, "is not the id of an instance")
        w.tool("run", "self", "--unarmed-ok", "--", "true", env={"COMPSHARE_UHOST_ID": "../../x"}).is_(125)


@test("self by this host's interfaces: one match, none, two; the loopback is nobody's")
def self_by_address():
    ip, mac = own_address()
    with World() as w:
        for instances, code, part in (
                ([described(1, ("Private", "10.0.0.1", "52:54:00:00:00:01")), described(4, ("Bgp", "1.2.3.4", ""), ("Private", ip, mac.upper()))], 0, uhost(4)),
                ([described(1, ("Private", ip, "52:54:00:00:00:01")), described(4, ("Bgp", ip, mac)), described(5, ("Private", "10.0.0.9", mac))], 6, "candidates: %s, %s, %s" % (uhost(1), uhost(4), uhost(5))),
                ([described(1), described(4, ("Private", ip, mac)), described(5, ("Private", ip, mac))], 6, "more than one instance has this host's private address and MAC: %s, %s" % (uhost(4), uhost(5))),
                ([described(1, ("Private", "127.0.0.1", "00:00:00:00:00:00"))], 6, "candidates: " + uhost(1))):
            api = Api(instances)
            r = w.tool("show", "self", "--base-url", api.url).is_(code)
            contains(r.out + r.err, part)
            api.server.close()


# ---- 300 instances

@test("300 instances: set --all on one connection, at most 8 + 2 * 300 requests, a line each; audit finds exactly three")
def many():
    with World(instances=302) as w:
        equal(w.stats()["requests"], 0)
        r = w.tool("set", "--all", "--in", "2h", "--json").is_(0)
        stats = w.stats()
        equal(stats["connections"], 1)
        assert stats["requests"] <= 8 + 2 * 300, stats["requests"]
        ids = [o["uhost_id"] for o in r.objects()]
        equal((len(ids), len(set(ids))), (300, 300))
        assert all(stats["instances"][i]["schedule"] > stats["now"] for i in ids)
        contains(r.err, "300 done, 0 failed")
        w.set(schedule__17=0, schedule__150=0, schedule__302=0)
        before = w.requests()
        r = w.tool("audit", "--json").is_(7)
        equal([o["uhost_id"] for o in r.objects()], [uhost(17), uhost(150), uhost(302)])
        assert w.requests() - before <= 8, w.requests() - before        # the projects, four pages of one, none of the other, and the empty ones behind
        contains(r.err, "302 instances, 3 run")
        r = w.tool("set", "--all", "--if-none", "--in", "3h").is_(0)
        equal(len([line for line in r.out.splitlines() if "uhost-" in line]), 300)
        equal(r.out.count("(left as it was)"), 297)
        equal(w.stats()["executed_by_action"]["UpdateCompShareStopScheduler"], 303)
        w.set(name__20="train-a", name__21="train-b")
        r = w.tool("set", "--all", "--name", "train-*", "--in", "4h", "--json").is_(0)
        equal([o["uhost_id"] for o in r.objects()], [uhost(20), uhost(21)])
        w.set(name__30="丙丁-甲", name__31="丙丁-乙乙")
        for glob, numbers in (("丙丁-?", [30]), ("丙丁-??", [31]), ("*丁*", [30, 31]), ("t*a*-b", [21]), ("train-?*", [20, 21]), ("*-a", [20]), ("train-a", [20]), ("train", []),
                              ("**丙**", [30, 31])):
            r = w.tool("set", "--all", "--if-none", "--name", glob, "--in", "4h", "--json").is_(0 if numbers else 6)
            equal([o["uhost_id"] for o in r.objects() if "uhost_id" in o], [uhost(n) for n in numbers], glob)
        contains(w.tool("set", "--all", "--name", "none-*", "--in", "4h").is_(6).err, "no instance matches")
        w.set(fail_next=2, fail_code=160, drop_action="UpdateCompShareStopScheduler")
        r = w.tool("set", "--all", "--in", "5h").is_(3)
        contains(r.err, "298 done, 2 failed")
        equal(w.stats()["connections"], 15)
