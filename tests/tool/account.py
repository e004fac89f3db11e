"""The account as a whole: projects, filters, prepaid machines, many at once, what a line
looks like, and what people type. Bent stands in front of the gateway and changes what is
asked and answered: what the gateway itself does not offer is tried through it."""

import hashlib
import http.client
import json
import os
import re
import resource
import ssl
import subprocess
import time
import unicodedata
import urllib.parse

import harness
from harness import PRIVATE_KEY, World, contains, equal, lacks, test, uhost, wait_for
from listen import Requests, TlsListener
from verbs import NO_KEYS, plain

UPDATE, DELETE, DESCRIBE = "UpdateCompShareStopScheduler", "DeleteCompShareStopScheduler", "DescribeCompShareInstance"


class Bent(TlsListener):
    """HTTPS in front of a world's gateway. ask(params) may change what is asked, which is
    then signed anew; answer(params, reply) what is answered, an object or bytes."""

    def __init__(self, world, ask=None, answer=None):
        self.world, self.ask, self.answer, self.asked, self.type = world, ask, answer, [], "application/json"
        self.trust = ssl.create_default_context(cafile=harness.args.certs + "/roots.pem")
        super().__init__()

    def __enter__(self):
        self.world.env["COMPSHARE_BASE_URL"] = self.url
        return self

    def __exit__(self, *what):
        self.world.env["COMPSHARE_BASE_URL"] = "https://localhost:%d" % self.world.port
        self.server.close()

    def talk(self, connection):
        for _, body in Requests(connection):
            date, reply = self.forward(dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nDate: %s\r\nContent-Length: %d\r\n\r\n"
                               % (self.type.encode(), date.encode(), len(reply)) + reply)

    def forward(self, params):
        original = dict(params)
        self.asked.append(original)
        if self.ask is not None:
            self.ask(params)
            params.pop("Signature")
            text = "".join(k + v for k, v in sorted(params.items())) + PRIVATE_KEY
            params["Signature"] = hashlib.sha1(text.encode()).hexdigest()
        connection = http.client.HTTPSConnection("localhost", self.world.port, context=self.trust, timeout=60)
        connection.request("POST", "/", urllib.parse.urlencode(params), {"Content-Type": "application/x-www-form-urlencoded"})
        reply = connection.getresponse()
        body, date = reply.read(), reply.getheader("Date")
        connection.close()
        if self.answer is not None:
            changed = json.loads(body) if body.startswith(b"{") else None
            changed = self.answer(original, changed) or changed
            body = changed if isinstance(changed, bytes) else json.dumps(changed, ensure_ascii=False).encode()
        return date, body


def ids(result):
    return [o["uhost_id"] for o in result.objects() if "uhost_id" in o]


def executed(w, action):
    return w.stats()["executed_by_action"].get(action, 0)


def columns(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


# ---- which instances

@test("account: set --all, audit, extend --all and cancel --all reach every project; --project-id narrows")
def every_project():
    with World(instances=8) as w, Bent(w) as bent:
        w.set(project__4="org-other", project__6="org-other")
        r = w.tool("audit", "--json").is_(7)
        equal(sorted(ids(r)), [uhost(n) for n in (1, 4, 5, 6, 7, 8)])
        r = w.tool("set", "--all", "--in", "2h", "--json").is_(0)
        equal(sorted(ids(r)), [uhost(n) for n in (1, 4, 5, 6, 7, 8)])
        for o in r.objects():
            equal(o["stop_time"], w.stats()["instances"][o["uhost_id"]]["schedule"])
            assert o["stop_time"] > w.now() + 7000
        equal({p["ProjectId"] for p in bent.asked if p["Action"] == UPDATE}, {"org-default", "org-other"})
        w.tool("audit").is_(0)
        before = w.schedule(4), w.schedule(1)
        equal(ids(w.tool("extend", "--all", "--by", "1h", "--project-id", "org-other", "--json").is_(0)), [uhost(4), uhost(6)])
        equal((w.schedule(4), w.schedule(1)), (before[0] + 3600, before[1]))
        equal(len(ids(w.tool("extend", "--all", "--by", "1h", "--json").is_(0))), 6)
        equal((w.schedule(4), w.schedule(1)), (before[0] + 7200, before[1] + 3600))
        equal(ids(w.tool("cancel", "--all", "--yes", "--json", "--project-id", "org-other").is_(0)), [uhost(4), uhost(6)])
        assert (w.schedule(4), w.schedule(6)) == (0, 0) and w.schedule(1) != 0
        equal(len(ids(w.tool("cancel", "--all", "--yes", "--json").is_(0))), 4)
        assert all(w.schedule(n) == 0 for n in range(1, 9))
        # the project, region and zone of the configuration are where one instance is looked for, not what the account is
        for name, value in (("PROJECT_ID", "org-other"), ("REGION", "cn-sh2"), ("ZONE", "cn-sh2-02")):
            equal(len(ids(w.tool("audit", "--json", env={"COMPSHARE_" + name: value}).is_(7))), 6, name)
        equal(len(ids(w.tool("set", "--all", "--in", "2h", "--json", env={"COMPSHARE_PROJECT_ID": "org-other"}).is_(0))), 6)


@test("account: several named instances, and self, are found in whichever project they are")
def named_anywhere():
    with World(instances=8) as w:
        w.set(project__4="org-other")
        equal(sorted(ids(w.tool("set", uhost(1), uhost(4), "--in", "2h", "--json").is_(0))), [uhost(1), uhost(4)])
        equal(sorted(ids(w.tool("show", uhost(1), uhost(4), "--json").is_(0))), [uhost(1), uhost(4)])
        assert w.schedule(1) > w.now() + 7000 and w.schedule(4) > w.now() + 7000
        equal(len(ids(w.tool("show", "--json").is_(0))), 8)
        equal(len(ids(w.tool("show", "--all", "--json").is_(0))), 8)
        w.tool("cancel", uhost(1), uhost(4), "--yes").is_(0)
        equal((w.schedule(1), w.schedule(4)), (0, 0))


@test("account: where the list of projects may not be read, the one that the API takes is looked at")
def no_project_list():
    with World(instances=6) as w:
        w.set(projects_code=299, project_optional=1)
        equal(len(ids(w.tool("audit", "--json").is_(7))), 4)
        equal(len(ids(w.tool("set", "--all", "--in", "2h", "--json").is_(0))), 4)


@test("account: nothing matched is 6, with a sentence; so is an audit that saw nothing behind a filter")
def nothing_matched():
    with World(instances=6) as w:
        for words, part in ((["--zone", "cn-wlbc-01"], "--zone cn-wlbc-01"), (["--region", "cn-wlbc"], "--region cn-wlbc"), (["--name", "trian-*"], "--name trian-*"),
                            (["--project-id", "org-other"], "--project-id org-other")):
            for verb in (["set", "--all", "--in", "2h"], ["extend", "--all", "--by", "1h"], ["cancel", "--all", "--yes"], ["audit"], ["show", "--all"], ["show"]):
                r = w.tool(*verb, *words).is_(6)
                contains(r.err, "no instance matches")
                contains(r.err, part)
                equal(w.tool(*verb, *words, "--json").is_(6).object()["error"]["exit_status"], 6)
        contains(w.tool("set", "--all", "--in", "2h", "--name", "x*", "--lang", "zh").is_(6).err, "没有匹配的实例")
        equal(executed(w, UPDATE) + executed(w, DELETE), 0)
        # what is there but needs nothing is no error: a cron line is silent on a day without work
        w.set(name__2="dev-1", name__3="dev-2")
        contains(w.tool("set", "--all", "--name", "dev-*", "--in", "2h").is_(0).err, "nothing to do")
        contains(w.tool("extend", "--all", "--by", "2h").is_(0).err, "nothing to do")
        contains(w.tool("cancel", "--all", "--yes").is_(0).err, "nothing to do")
        w.set(name__1="dev-3", schedule__1=w.now() + 4000)
        w.tool("audit", "--name", "dev-*").is_(0)
        contains(w.tool("show", env={"COMPSHARE_ZONE": "cn-wlbc-01"}).is_(6).err, "cn-wlbc-01")
    with World(instances=0) as w:
        w.tool("audit").is_(0)
        contains(w.tool("show").is_(0).err, "no instance matches")
        w.tool("set", "--all", "--in", "2h").is_(6)


# ---- what costs

@test("set --all leaves prepaid instances out, and says so, unless --prepaid-ok; one that is named is set")
def prepaid():
    with World(instances=8) as w:
        w.set(charge__4="Month", charge__5="Day", charge__6="Year")
        r = w.tool("set", "--all", "--in", "2h").is_(0)
        equal([w.schedule(n) != 0 for n in (1, 4, 5, 6, 7, 8)], [True, False, False, False, True, True])
        contains(r.err, "3 prepaid instances were left out")
        contains(r.err, "--prepaid-ok")
        lacks(r.out, uhost(4))
        contains(w.tool("set", "--all", "--in", "2h", "--lang", "zh").is_(0).err, "包年包月")
        r = w.tool("set", "--all", "--in", "3h", "--prepaid-ok").is_(0)
        contains(r.out, "billed on while stopped")
        assert all(w.schedule(n) > w.now() + 10000 for n in (1, 4, 5, 6, 7, 8))
        w.set(schedule__4=0)
        w.tool("set", uhost(4), "--in", "2h").is_(0)
        assert w.schedule(4) > w.now() + 7000


@test("a plan under an hour for several instances needs --yes, or is asked for on a terminal")
def soon():
    with World(instances=8) as w:
        for words in (["--all", "--in", "59m"], ["--all", "--at", w.now() + 1800], [uhost(1), uhost(4), "--in", "10m"], ["--all", "--if-none", "--in", "59m"]):
            r = w.tool("set", *words).is_(1)
            contains(r.err, "--yes")
            equal(w.tool("set", *words, "--json").is_(1).object()["error"]["exit_status"], 1)
        equal(executed(w, UPDATE), 0)
        w.tool("set", uhost(1), "--in", "10m").is_(0)
        w.tool("set", uhost(1), uhost(1), "--in", "20m").is_(0)
        w.tool("set", uhost(1), uhost(4), "--in", "10m", "--yes").is_(0)
        assert w.schedule(4) < w.now() + 700
        for answer, code in (("n", 1), ("y", 0)):
            w.set(schedule__4=0)
            with harness.Terminal(w, [harness.args.tool, "set", "--all", "--in", "30m"]) as t:
                t.expect("6 instances")
                t.expect("[y/N]")
                t.type(answer + "\n")
                equal(t.popen.wait(60), code)
            equal(w.schedule(4) != 0, answer == "y")


@test("cancel --all and extend --all: as many as have one, and what is said is so")
def cancel_all():
    with World(instances=8) as w:
        plan = w.now() + 9000
        w.set(schedule__1=plan, schedule__4=plan, schedule__7=plan)
        contains(w.tool("cancel", "--all").is_(1).err, "3 timed shutdowns")
        equal(w.tool("cancel", "--all", "--json").is_(1).object()["error"]["exit_status"], 1)
        equal(executed(w, DELETE), 0)
        r = w.tool("extend", "--all", "--by", "1h").is_(0)
        contains(r.err, "3 done, 0 failed")
        equal([w.schedule(n) for n in (1, 4, 5, 7)], [plan + 3600, plan + 3600, 0, plan + 3600])
        for answer, code in (("n", 1), ("y", 0)):
            with harness.Terminal(w, [harness.args.tool, "cancel", "--all"]) as t:
                t.expect("3 timed shutdowns")
                t.expect("[y/N]")
                t.type(answer + "\n")
                equal(t.popen.wait(60), code)
            equal(w.schedule(1) == 0, answer == "y")
        equal(executed(w, DELETE), 3)


@test("set --all, extend --all, cancel --all: what is said is so, whatever the server does")
def said_is_so():
    for options in ({}, {"hide_next": 3, "drop_action": UPDATE}, {"hide_next": 2, "hide_http": 502, "drop_action": DELETE}, {"drop_after": 3, "drop_action": UPDATE},
                    {"drop_before": 3, "drop_action": UPDATE}, {"drop_before": 2, "drop_action": DELETE}, {"fail_next": 2, "fail_code": 8903, "drop_action": UPDATE},
                    {"schedule_lag": 2}, {"rounding": "up"}, {"rounding": "down", "schedule_lag": 1}, {"schedule_type": "string,absent_when_none"}, {"schedule_type": "decimal,minus_when_none"},
                    {"odd": "html", "odd_after": 4, "odd_next": 2}, {"odd": "empty", "odd_after": 3, "odd_next": 1}, {"odd": "no_schedule", "odd_after": 3, "odd_next": 1},
                    {"page_cap": 3}, {"total_extra": -3}, {"describe_region": 0}, {"schedule_field": "StopSchedulerTime"}, {"unnamed_project": "default"}):
        with World(instances=8) as w:
            w.set(project__4="org-other", schedule__1=w.now() + 4000, **options)
            for verb in (["set", "--in", "2h"], ["extend", "--by", "1h"], ["cancel", "--yes"]):
                before = {i: v["schedule"] for i, v in w.stats()["instances"].items()}
                r = w.tool(*verb, "--all", "--json", "--timeout", "10s")
                entries = [o for o in r.objects() if "uhost_id" in o]
                if r.code == 0:
                    equal(len(entries), 6 if verb[0] == "set" else len([i for i in before if before[i] != 0]), (options, verb))
                now = {i: v["schedule"] for i, v in w.stats()["instances"].items()}
                failed = [o for o in entries if o["error"] is not None]
                assert (r.code == 0) == (failed == []) or not entries, (options, r.code, failed)
                for o in entries:
                    if o["error"] is None:
                        assert abs(now[o["uhost_id"]] - o["stop_time"]) < 60, (options, verb, o, now[o["uhost_id"]])
                        assert o["stop_time"] == 0 if verb[0] == "cancel" else o["stop_time"] > before[o["uhost_id"]], (options, verb, o)
                    elif not o["error"]["outcome_unknown"]:
                        equal(now[o["uhost_id"]], before[o["uhost_id"]], (options, verb, o))
                for i in before:
                    if i not in [o["uhost_id"] for o in entries]:
                        equal(now[i], before[i], (options, verb, i))


# ---- words and times

@test("words that are no instances are refused before anything is done")
def no_instances():
    with World(instances=6) as w:
        for words in (["set", uhost(1), "--in", "1h", "30m"], ["set", uhost(1), "--in", "2h", "hours"], ["set", uhost(1), "and", uhost(4), "--in", "2h"],
                      ["extend", uhost(1), "--by", "1h", "30m"], ["cancel", uhost(1), "now"], ["cancel", uhost(1), "--yes", "2"], ["show", "uhost"],
                      ["set", uhost(1), "--at", "2099-11-23", "22:00+08:00"], ["set", uhost(1), "--in", "2h", "2026-11-23"], ["show", uhost(1), "-5"],
                      ["set", uhost(1), "set", "--in", "2h"], ["show", "uhost-"]):
            r = w.tool(*words).is_(1)
            equal(r.out, "")
        contains(w.tool("set", uhost(1), "--in", "1h", "30m").is_(1).err, "--in 1h30m")
        contains(w.tool("set", "-", "--in", "2h", stdin=uhost(1) + " 2h").is_(1).err, '"2h" is not the id of an instance')
        equal(w.requests(), 0)


@test("what people type: -V, version, help, list, status, --in 2, --at +2h, fractions, +08")
def guesses():
    version = plain("--version").is_(0).out
    for word in ("-V", "version"):
        equal(plain(word).is_(0).out, version)
    equal(plain("help").is_(0).out, plain("--help").is_(0).out)
    for option in ("--in", "--at"):
        r = plain("set", uhost(1), option, "2").is_(1)
        contains(r.err, "2m or 2h?")
    contains(plain("extend", uhost(1), "--by", "90").is_(1).err, "90m or 90h?")
    contains(plain("cancel", uhost(1), "-y").is_(1).err, "did you mean --yes?")
    contains(plain("show", "-v").is_(1).err, "did you mean --verbose?")
    lacks(plain("show", "-x").is_(1).err, "did you mean")
    contains(plain("set", uhost(1), "--in", "2h", "--dry-run").is_(1).err, "--dry-run is not an option")
    r = plain("set", uhost(1), "--at", "18:30").is_(1)
    contains(r.err, "T18:30+08:00")
    with World(instances=6) as w:
        for word in ("list", "status", "ls"):
            equal(w.tool(word, uhost(1), "--json").is_(0).out.split('"seconds_left"')[0], w.tool("show", uhost(1), "--json").is_(0).out.split('"seconds_left"')[0])
        for text in ("2100-01-01T00:00:00.000Z", "2100-01-01T00:00:00.25+00:00", "2100-01-01T08:00+08", "2100-01-01T08:00:00.999999999+08", "2099-12-31T19:00-05"):
            equal(w.tool("set", uhost(1), "--at", text, "--json").is_(0).object()["stop_time"], 4102444800, text)
        assert abs(w.tool("set", uhost(1), "--at", "+2h", "--json").is_(0).object()["stop_time"] - w.now() - 7200) < 100
        for text in ("2100-01-01T00:00:00.Z", "2100-01-01T00:00.5Z", "2100-01-01T08:00+8", "++2h", "2100-01-01T08:00+", "2100-01-01T08:00+08:"):
            contains(w.tool("set", uhost(1), "--at", text).is_(1).err, "--at")


@test("usage errors have one status, with the API asked nothing")
def usage_status():
    with World(instances=6) as w:
        for words in ([], ["nothing"], ["show", "--nothing"], ["set", uhost(1)], ["set", "--all"], ["set", uhost(1), "--in", "x"], ["set", uhost(1), "--in", "10s"], ["extend", uhost(1)],
                      ["cancel"], ["audit", uhost(1)], ["doctor", uhost(1)], ["show", "--lang", "xx"], ["show", "--retries", "-1"],
                      ["set", "--all", uhost(1), "--in", "2h"], ["extend", uhost(1), "--by", "99999999d"], ["set", uhost(1), "--at", "999999999999d"]):
            w.tool(*words).is_(1)
        equal(w.requests(), 0)
        w.tool("set", uhost(1), "--at", "2020-01-01T00:00Z").is_(1)
        w.set(schedule__1=w.now() + 4000)
        w.tool("extend", uhost(1), "--by", "999999d").is_(0)
        w.set(schedule__1=253402300000)
        w.tool("extend", uhost(1), "--by", "10d").is_(1)
        r = w.tool("extend", uhost(1), uhost(4), "--by", "10d", "--json")
        equal([o["error"]["exit_status"] for o in r.objects()], [1, 6])


# ---- servers that round, and that are slow to show

@test("a server that rounds to the minute, either way: set, set --all and extend succeed")
def rounding():
    for way in ("down", "up"):
        with World(instances=8) as w:
            w.set(rounding=way)
            w.tool("set", "--all", "--at", w.now() // 60 * 60 + 7231).is_(0)
            w.tool("set", "--all", "--in", "3h").is_(0)
            w.tool("set", uhost(1), "--at", w.now() // 60 * 60 + 7231).is_(0)
            w.tool("extend", uhost(1), uhost(4), "--by", "90s").is_(0)
            w.tool("extend", uhost(1), "--by", "90s").is_(0)
            w.tool("set", uhost(1), "--in", "4h").is_(0)
            w.tool("set", uhost(1), "--in", "300s").is_(0)
            w.tool("cancel", "--all", "--yes").is_(0)


@test("what is relative is asked for in whole minutes, rounded up")
def whole_minutes():
    with World(instances=6) as w:
        for words in ([uhost(1)], [uhost(1), uhost(4)], ["--all"]):
            for given, seconds in (("2h", 7200), ("301s", 301), ("300s", 300)):
                before = w.now()
                w.tool("set", *words, "--in", given, "--yes").is_(0)
                equal(w.schedule(1) % 60, 0)
                assert before + seconds <= w.schedule(1) <= w.now() + seconds + 62, (before, w.schedule(1))


@test("set and cancel that are not confirmed say what was asked for, whether it was accepted, what is shown, and what to type")
def unconfirmed():
    with World(instances=6) as w:
        plan = w.now() + 9000
        w.set(schedule__1=plan, schedule__4=plan, schedule__5=plan, schedule__6=plan, visibility_delay=100000)
        for words in ([uhost(1)], [uhost(4), uhost(5)]):
            r = w.unanswered("set", *words, "--at", "4102444800", changes=len(words)).is_(5)
            for part in ("off at 2100-01-01 00:00:00 +0000", "accepted", "%s is shown" % time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(plan)),
                         "compshare-schedule show " + words[0], "compshare-schedule set %s --at 4102444800" % words[0], "compshare-schedule cancel " + words[0]):
                contains(r.err, part)
        equal(w.schedule(4), 4102444800)
        for words in ([uhost(6)], [uhost(1), uhost(6)]):
            r = w.tool("cancel", *words, "--yes", "--timeout", "2s").is_(5)
            for part in ("no timed shutdown", "accepted", "compshare-schedule show " + uhost(6), "compshare-schedule cancel " + uhost(6)):
                contains(r.err, part)
        w.set(schedule__4=0, schedule__5=0, visibility_delay=0, drop_before=1000, drop_action=UPDATE)
        for words in ([uhost(4)], [uhost(4), uhost(5)]):
            r = w.tool("set", *words, "--at", "4102444800", "--timeout", "3s").is_(5)
            for part in ("no clear answer", "no timed shutdown is shown", "compshare-schedule show " + uhost(4)):
                contains(r.err, part)
            lacks(r.err, "accepted")


@test("a reading that shows what was shown before proves nothing for several, as for one")
def no_proof():
    with World(instances=6) as w:
        plan = 4102444800
        w.set(schedule__1=plan, schedule__4=plan)
        # the plans are taken away, which is not shown yet; setting them anew is lost
        w.set(visibility_delay=1000)
        w.tool("cancel", uhost(1), uhost(4), "--yes", "--timeout", "1s").is_(5)
        w.set(drop_before=2, drop_action=UPDATE)
        r = w.tool("set", uhost(1), uhost(4), "--at", plan, "--json", "--timeout", "5s")
        for o in r.objects():
            number = int(o["uhost_id"][-1])
            assert o["error"] is not None or w.schedule(number) == plan, (o, w.schedule(number))
        # executed, but never shown within the time
        w.set(drop_before=0)


# ---- lines

@test("lines fit 80 columns; one time where local and Beijing time are the same; names, cards, aligned")
def lines():
    with World(instances=8) as w:
        w.set(schedule__1=w.now() + 7200, schedule__4=4102444800, schedule__7=w.now() + 4000, name__1="训练-大模型-llama", name__2="平" * 42, state__5="Install Fail", state__6="Initializing",
              charge__7="Month", name__7="x" * 120)
        for env in ({"TZ": "Asia/Shanghai"}, {"TZ": "CST-8"}, {"TZ": "UTC"}, {"TZ": "America/New_York"}):
            for lang in ("en", "zh"):
                for words in (["show"], ["show", uhost(1)], ["audit"], ["doctor"], ["doctor", "--base-url", "https://localhost:1"], ["set", uhost(1), "--in", "100h"], ["set", uhost(1), "--in", "2h"], ["extend", uhost(1), uhost(7), "--by", "1h"],
                              ["set", "--all", "--in", "30h", "--only-extend", "--prepaid-ok"]):
                    r = w.tool(*words, "--lang", lang, env=env)
                    for line in r.out.splitlines() + [m for m in r.err.splitlines() if "left out" in m or "failed" in m]:
                        assert columns(line) <= 80, (columns(line), line)
                    if env["TZ"].startswith(("Asia", "CST")):
                        lacks(r.out, "Beijing" if lang == "en" else "北京")
                        equal(r.out.count("2100-01-01 08:00:00 +0800") <= 1, True)
                    lacks(r.out, "\n\n")
                    assert all(line == line.rstrip() for line in r.out.splitlines()), r.out
        r = w.tool("show", env={"TZ": "Asia/Shanghai"})
        for part in ("训练-大模型-llama", "4090", "Install Fail", "Initializing", "Month"):
            contains(r.out, part)
        at = {line.index("4090") for line in r.out.splitlines() if line.startswith("uhost-") and "4090" in line and "off at" not in line and "no timed" not in line}
        starts = {columns(line[:line.index("no timed")]) for line in r.out.splitlines() if line.startswith("uhost-") and "no timed" in line}
        assert len(at) <= 1 and len(starts) == 1, (at, starts, r.out)
        starts = {columns(line[:line.index("没有定时")]) for line in w.tool("show", "--lang", "zh", env={"TZ": "Asia/Shanghai"}).out.splitlines() if line.startswith("uhost-") and "没有定时" in line}
        equal(len(starts), 1)
        contains(w.tool("show", env={"TZ": "UTC"}).out, "Beijing")


@test("help explains every verb, in 80 columns, in both languages")
def help_lines():
    for lang in ("en", "zh"):
        r = plain("--lang", lang, "--help").is_(0)
        equal(plain("--help", "--lang", lang).is_(0).out, r.out)
        for line in r.out.splitlines():
            assert columns(line) <= 80, (columns(line), line)
        for verb in ("set", "show", "audit", "extend", "cancel", "run", "doctor"):
            assert re.search(r"compshare-schedule %s\b" % verb, r.out), verb


@test("Chinese output is Chinese: units, states, charge types")
def chinese():
    with World(instances=6) as w:
        w.set(schedule__1=w.now() + 7260, schedule__4=w.now() + 1000, state__5="Install Fail", charge__6="Month")
        r = w.tool("show", "--lang", "zh", env={"TZ": "Asia/Shanghai"}).is_(0)
        for part in ("小时", "分", "运行中", "按量", "包月", "安装失败", "已关机"):
            contains(r.out, part)
        for part in (" min", " h ", " s\n", "Running", "Stopped", "Postpay", "Month"):
            lacks(r.out, part)
        equal(w.tool("show", uhost(1), "--lang", "zh", "--json").is_(0).object()["state"], "Running")
        r = w.tool("set", uhost(2), "--in", "2h", "--lang", "zh").is_(6)


# ---- limits of the machine

def limited(which, value):
    return lambda: resource.setrlimit(which, (value, value))


@test("too few descriptors, too little memory, a configuration file that is too long: each its own sentence")
def limits():
    with World(instances=6) as w:
        def run(words, which, value):
            done = subprocess.run([harness.args.tool] + words, env=w.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=limited(which, value), check=False)
            return done.returncode, done.stderr.decode()
        for count in (4, 5, 6, 7):
            code, err = run(["show", uhost(1)], resource.RLIMIT_NOFILE, count)
            assert code == 0 or (code == 2 and "ulimit -n" in err), (count, code, err)
            lacks(err, "no such name")
        code, err = run(["show", uhost(1)], resource.RLIMIT_NOFILE, 32)
        equal(code, 0, err)
        path = w.path("config.json")
        profile = {"profiles": {"default": {"public_key": harness.PUBLIC_KEY, "private_key": PRIVATE_KEY}}}
        for more, part in (({"x": "y" * 40000}, "longer than 32 KB"), ({"x": [0] * 9000}, "more values")):
            with open(path, "w") as f:
                f.write(json.dumps(dict(profile, **more)))
            os.chmod(path, 0o600)
            contains(w.tool("show", env=dict(NO_KEYS, COMPSHARE_CONFIG_FILE=path)).is_(2).err, part)
        with open(path, "w") as f:
            f.write(json.dumps(dict(profile, x="y" * 30000)))
        w.tool("show", env=dict(NO_KEYS, COMPSHARE_CONFIG_FILE=path)).is_(0)
        with open(path, "w") as f:
            f.write("\ufeff" + json.dumps(profile))
        w.tool("show", env=dict(NO_KEYS, COMPSHARE_CONFIG_FILE=path)).is_(0)


@test("odd names do not make a list unreadable")
def odd_names():
    with World(instances=6) as w:
        w.set(name__1="a\u202eb\u2066c\u009b31m\x1b[0m")
        r = w.tool("show").is_(0)
        for c in ("\u202e", "\u2066", "\u009b", "\x1b"):
            lacks(r.out, c)
        for option in ({"wild": 1}, {"odd_gpu": 1}, {"odd_times": 1}, {"odd_name": "null"}, {"odd_name": "number"}, {"odd_name": "object"}, {"odd_name": "absent"}):
            w.set(**option)
            equal(len(w.tool("show", "--json").is_(0).objects()), 6, option)
            w.tool("set", uhost(1), "--in", "2h").is_(0)
            w.tool("set", "--all", "--in", "3h").is_(0)


# ---- proxies

@test("proxies as curl has them: which variable, which form, and what no_proxy says")
def curl_proxies():
    from verbs import Proxy
    proxy, other = Proxy(), "http://127.0.0.1:1"
    here = "127.0.0.1:%d" % proxy.port
    url = "http://" + here
    with World(instances=6) as w:
        for used, env in (
                (True, {"https_proxy": url, "HTTPS_PROXY": other}), (True, {"https_proxy": "", "HTTPS_PROXY": url}), (True, {"ALL_PROXY": url}), (True, {"all_proxy": url}),
                (True, {"all_proxy": url, "ALL_PROXY": other}), (True, {"https_proxy": url, "all_proxy": other}), (True, {"HTTPS_PROXY": url, "all_proxy": other}),
                (False, {"http_proxy": url}), (False, {"HTTP_PROXY": url}), (True, {"https_proxy": "HTTP://" + here}), (True, {"https_proxy": "Http://%s/" % here}),
                (True, {"https_proxy": url + "/some/path?x#y"}), (True, {"https_proxy": here + "/path"}), (True, {"https_proxy": "http://u:p@%s/path" % here}),
                (False, {"https_proxy": url, "no_proxy": "localhost", "NO_PROXY": "elsewhere"}), (True, {"https_proxy": url, "no_proxy": "elsewhere", "NO_PROXY": "localhost"}),
                (False, {"https_proxy": url, "no_proxy": "", "NO_PROXY": "localhost"}), (False, {"https_proxy": url, "no_proxy": "localhost."}), (False, {"https_proxy": url, "no_proxy": ".localhost"}),
                (False, {"https_proxy": url, "no_proxy": "a,,\tlocalhost"}), (True, {"https_proxy": url, "no_proxy": "localhost:443"}), (True, {"https_proxy": url, "no_proxy": "*.localhost"}),
                (True, {"https_proxy": url, "no_proxy": "a,*"}), (True, {"https_proxy": url, "no_proxy": "host"}), (True, {"https_proxy": url, "no_proxy": "www.localhost"}),
                (False, {"ALL_PROXY": url, "no_proxy": "*"}), (True, {"https_proxy": url, "no_proxy": "."})):
            before = proxy.count
            w.tool("show", uhost(1), env=env).is_(0)
            equal(proxy.count - before, int(used), env)
        for env in ({"ALL_PROXY": "socks5://127.0.0.1:1"}, {"https_proxy": "SOCKS5h://127.0.0.1:1"}, {"https_proxy": "https://127.0.0.1:1"}):
            contains(w.tool("show", env=env).is_(2).err, "proxy")
        # without a port it is 1080, as for curl
        r = w.tool("show", env={"https_proxy": "http://127.0.0.1"}).is_(4)
        contains(r.err, "1080")
    proxy.server.close()


# ---- doctor and self

@test("doctor says whether this host is an instance, and how to say so")
def doctor_self():
    with World(instances=6) as w:
        contains(w.tool("doctor").is_(0).out, "COMPSHARE_UHOST_ID")
        r = w.tool("doctor", env={"COMPSHARE_UHOST_ID": uhost(4)}).is_(0)
        contains(r.out, "ok       self: %s" % uhost(4))
        r = w.tool("doctor", env={"COMPSHARE_UHOST_ID": "uhost-none"}).is_(6)
        contains(r.out, "failed   self")
        r = w.tool("doctor", env={"COMPSHARE_UHOST_ID": "../x"}).is_(2)
        contains(r.out, "failed   self")
        contains(w.tool("doctor", "--lang", "zh").is_(0).out, "COMPSHARE_UHOST_ID")


# ---- compshare-invoke

def invoke(w, *words, env=None):
    path = os.path.join(harness.args.certs, "../../examples/compshare-invoke")
    if not os.path.exists(path):
        raise harness.Skip("compshare-invoke is not built")
    done = subprocess.run([path] + list(words), env=w.environment(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return harness.Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@test("invoke: what the reply lacks is not null and 0; a null that is there is")
def invoke_missing():
    with World(instances=6) as w:
        equal(invoke(w, "--print", "UHostSet.0.PodId", DESCRIBE).is_(0).out, "null\n")
        equal(invoke(w, "--print", "UHostSet.1.UHostId", DESCRIBE).is_(0).out, '"%s"\n' % uhost(2))
        for path in ("UHostSet.0.Stat", "UHostSet.6.State", "UHostSet.x.State", "UHostSet.-1.State", "UHostSet.00x", "RetCode.0", "Nothing", "UHostSet..State", "UHostSet.0.", ".",
                     "UHostSet.99999999999999999999.State", "UHostSet.18446744073709551616.State", "UHostSet. 1.State", "UHostSet.0.PodId.x"):
            r = invoke(w, "--print", path, DESCRIBE).is_(6)
            equal(r.out, "")
            contains(r.err, path)
        invoke(w, "--print").is_(1)
        invoke(w, DESCRIBE, env={"COMPSHARE_SECURITY_TOKEN": "wrong"}).is_(3)
        invoke(w, DESCRIBE, env={"COMPSHARE_BASE_URL": "https://localhost:1"}).is_(4)


@test("invoke: keys, profile, proxy, place and language as the other tool has them")
def invoke_account():
    from verbs import Proxy, profiles
    with World(instances=6) as w:
        with open(w.path("c.json"), "w") as f:
            f.write(profiles())
        os.chmod(w.path("c.json"), 0o600)
        env = dict(NO_KEYS, COMPSHARE_CONFIG_FILE=w.path("c.json"))
        state = ["--print", "UHostSet.0.State", DESCRIBE]
        equal(invoke(w, *state, env=env).is_(0).out, '"Running"\n')
        invoke(w, "--profile", "other", *state, env=env).is_(3)
        invoke(w, *state, "--profile", "work", env=dict(env, COMPSHARE_PROFILE="other")).is_(0)
        contains(invoke(w, *state, env=dict(NO_KEYS, COMPSHARE_CONFIG_FILE=w.path("none"))).is_(1).err, "no credentials")
        proxy = Proxy()
        invoke(w, *state, env={"https_proxy": "http://127.0.0.1:%d" % proxy.port}).is_(0)
        equal(proxy.count, 1)
        proxy.server.close()
        contains(invoke(w, "--lang", "zh", "--print", "Nothing", DESCRIBE).is_(6).err, "没有 Nothing")
        contains(invoke(w, DESCRIBE, "Limit", env={"LANG": "zh_CN.UTF-8"}).is_(1).err, "用法:")
        contains(invoke(w, "--prnt", "x", DESCRIBE).is_(1).err, "did you mean --print?")
        contains(invoke(w, "--private-key", "x", DESCRIBE).is_(1).err, "never taken from the command line")
        equal(invoke(w, "--print", "TotalCount", "--", DESCRIBE, "Limit=1").is_(0).out, "6\n")
        contains(invoke(w, "--help").is_(0).out, "--profile")
        contains(invoke(w, "--version").is_(0).out, "compshare-invoke ")


@test("invoke: no text of the reply can steer a terminal, in strings, names, or CSV")
def invoke_cleaned():
    bad = "\u202e\u2066\u200e\u2028\u009b31m\x1b[0m\x7f"
    with World(instances=6) as w:
        path = os.path.join(harness.args.certs, "../../examples/compshare-invoke")

        def spoil(params, reply):
            if params["Action"] == "DownloadTeamOrder":
                return ("a,b\nc,%s\n" % bad).encode() + b"\xff"
            reply["UHostSet"][0]["Name"] = "名字😀" + bad
            reply["UHostSet"][0]["x" + bad] = 1
            return None
        with Bent(w, answer=spoil) as bent:
            r = invoke(w, DESCRIBE).is_(0)
            equal(json.loads(r.out)["UHostSet"][0]["Name"], "名字😀" + bad)         # escaped, not lost
            contains(r.out, "名字😀\\u202e\\u2066\\u200e\\u2028\\u009b31m")
            for words in ([DESCRIBE], ["--print", "UHostSet.0.Name", DESCRIBE]):
                with harness.Terminal(w, [path] + words) as t:
                    equal(t.popen.wait(60), 0)
                    wait_for("the name", lambda: "名字" in t.text)
                    time.sleep(0.1)
                    for c in bad.replace("31m", "").replace("[0m", ""):
                        lacks(t.text, c)
                    t.text = ""     # it has addresses, as the API's reply has
            bent.type = "text/csv"
            contains(subprocess.run([path, "DownloadTeamOrder"], env=w.env, stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace"), bad)
            with harness.Terminal(w, [path, "DownloadTeamOrder"]) as t:
                equal(t.popen.wait(60), 0)
                wait_for("the table", lambda: "a,b" in t.text and "c," in t.text)
                time.sleep(0.1)
                for c in bad.replace("31m", "").replace("[0m", ""):
                    lacks(t.text, c)
                t.text = ""         # it has addresses, as the API's reply has


@test("invoke: its source tells every exit status")
def invoke_statuses():
    text = harness.read(os.path.join(harness.args.source, "compshare-invoke.c")).split("*/")[0]
    for status in "013456":
        assert re.search(r"\b%s\b" % status, text), status
