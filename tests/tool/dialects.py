"""Every verb in every dialect of tests/gateway/dialects.h, and each of them a cell: it is judged
by what is so in the gateway at the end, beside what the tool said and its exit status.

    test_tool.py ... --only "dialects: lag-45"              one dialect
    test_tool.py ... --only "dialects: lag-45/run-stop"     one cell, and all that it said
    COMPSHARE_TEST_ALL=1                                    those that are left out of two alike, too

Nothing is slept for: pace.c moves both clocks by what the tool would sleep."""

import calendar
import http.client
import json
import mmap
import os
import queue
import re
import struct
import subprocess
import threading
import time
import urllib.parse

import harness
from harness import World, read

UPDATE, DELETE = "UpdateCompShareStopScheduler", "DeleteCompShareStopScheduler"
STOP = "StopCompShareInstance"
NEAR = 59               # s by which a time may differ: gateways round to the minute
HOUR2 = 7200            # s: what is asked for
LATER, EARLIER = 9000, 5000     # s from the beginning: a plan that was there before
TTL, GRACE, JOB = 900, 600, 1100        # s, of a lease; without renewals the job would not see its end
SLACK = 20              # s that a change that has to be sent again may cost
PAUSES = 5              # s that pass before a reading is due
DEADLINE = 60           # s, of every call
REPEATS = 6             # how often a change of one instance may be executed by one verb
OFTEN = 12              # and by a run: six changes, each of them sent once more where it is not shown
WORKERS = 2
EVERYTHING = bool(os.environ.get("COMPSHARE_TEST_ALL"))

# name: (arguments, the plan that is there before, what is to come of it)
CELLS = {
    "set-in": ("set ID --in 2h", None, "in"),
    "set-at": ("set ID --at AT", LATER, "at"),
    "set-if-none": ("set ID --in 2h --if-none", LATER, "left"),
    "extend-only-up": ("set ID --at AT --only-extend", EARLIER, "at"),
    "extend-only-leave": ("set ID --at AT --only-extend", LATER, "left"),
    "set-all": ("set --all --in 2h", None, "in"),
    "set-two": ("set ID OTHER --in 2h", None, "in"),
    "extend": ("extend ID --by 10m", LATER, "by"),
    "extend-none": ("extend ID --by 10m", None, "nothing"),
    "extend-all": ("extend --all --by 10m", LATER, "by"),
    "cancel": ("cancel ID", LATER, "gone"),
    "cancel-none": ("cancel ID", None, "gone"),
    "cancel-all": ("cancel --all --yes", LATER, "gone"),
    "show": ("show ID", LATER, "shown"),
    "show-none": ("show ID", None, "shown"),
    "show-account": ("show --all", LATER, "shown"),
    "audit": ("audit", None, "audit"),
    "audit-clean": ("audit", LATER, "audit"),
    "run-grace": ("grace", None, "run"),
    "run-stop": ("stop", None, "run"),
    "run-cancel": ("cancel", None, "run"),
    "run-restore": ("restore", LATER, "run"),
    "run-keep": ("keep", None, "run"),
    # the first change is lost
    "set-in-lost": ("set ID --in 2h", None, "in"),
    "set-all-lost": ("set --all --in 2h", None, "in"),
    "extend-all-lost": ("extend --all --by 10m", LATER, "by"),
    "cancel-all-lost": ("cancel --all --yes", LATER, "gone"),
    # executed, and the answer is lost
    "set-two-unheard": ("set ID OTHER --in 2h", None, "in"),
    "extend-unheard": ("extend ID --by 10m", LATER, "by"),
    "cancel-unheard": ("cancel ID", LATER, "gone"),
    "run-grace-unheard": ("grace", None, "run"),
    # what is odd begins with the first change, with the job, or with its end
    "run-grace-armed": ("grace", None, "run"),
    "run-grace-begun": ("grace", None, "run"),
    "run-restore-begun": ("restore", LATER, "run"),
    "run-grace-ended": ("grace", None, "run"),
    "run-stop-ended": ("stop", None, "run"),
    "run-cancel-ended": ("cancel", None, "run"),
    "run-restore-ended": ("restore", LATER, "run"),
}
MOMENTS = ("armed", "begun", "ended")

# The exit statuses that a flag of a dialect makes right, by what a cell is about
CHANGES = ("in", "at", "left", "by", "gone")
PLANS = ("in", "at", "by")
REFUSALS = [
    ("gone", CHANGES + ("nothing", "shown"), (6,)),
    ("no-region", CHANGES + ("nothing", "shown", "audit"), (1, 3)),
    ("no-project", CHANGES + ("nothing",), (2, 3)),
    ("hidden", PLANS + ("left",), (5,)),
    ("hidden", ("by",), (6,)),
    ("cannot-set", PLANS, (5,)),
    ("odd-state", ("in", "at", "left", "by", "nothing"), (3, 6)),
    ("unreadable", CHANGES + ("shown", "audit"), (3, 5)),
    ("empty-long", CHANGES + ("nothing", "shown", "audit"), (6,)),
    ("odd-plan-once", ("by",), (6,)),
]
UNARMABLE = ("gone", "no-region", "no-project", "hidden", "cannot-set", "odd-state", "unreadable", "empty-long")


class Dialect:
    def __init__(self, line):
        fields = [None if f == "-" else f for f in line.split("\t")]
        (self.name, self.options, self.later, self.id, self.region, self.zone, self.project) = fields[:7]
        self.schedule_lag, self.state_lag = int(fields[7]), int(fields[8])
        self.may = fields[9].split(",") if fields[9] else []
        self.options = self.options or ""
        self.required = "describe_requires" in self.options
        self.odd = self.options.startswith("odd=")

    def configured(self):
        return [(k, v) for k, v in (("region", self.region), ("zone", self.zone), ("project-id", self.project)) if v]


class Desk(World):
    """A gateway that serves one cell after the other."""

    def __init__(self):
        super().__init__(instances=3)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=harness.PATIENCE)
        self.fifo = self.path("fifo")
        os.mkfifo(self.fifo)
        self.command = self.script("lease.sh", """
trap 'echo USR1 >>%s' USR1
exec 3<>%s
echo ready >>%s
while ! read -r line <&3; do :; done
exit 7
""" % (self.path("log"), self.fifo, self.path("log")))
        self.ahead_file.truncate(24)
        self.times = mmap.mmap(self.ahead_file.fileno(), 24)
        self.env["COMPSHARE_TEST_PACE"] = str(self.control)

    def ask(self, path):
        self.connection.request("GET", path)
        reply = self.connection.getresponse()
        text = reply.read().decode()
        assert reply.status == 200, "%s: %s" % (path, text)
        return text

    def passed(self, which=0):
        """Seconds that were skipped until now, the job's begin (1) or its end (2)."""
        return struct.unpack_from("q", self.times, 8 * which)[0] / 1000

    def clear(self):
        struct.pack_into("qqq", self.times, 0, 0, 0, 0)
        for name in os.listdir(self.dir):
            if name in ("log", "status") or name.endswith(".lock"):
                os.unlink(self.path(name))


class Said:
    """What the tool said of one instance: stop_time is 0 for none, None for not known."""

    def __init__(self, stop_time=None, state=None, error=None, code=0, changed=None, previous=None, unknown=None):
        self.stop_time, self.state, self.error, self.code = stop_time, state, error, code
        self.changed, self.previous, self.unknown = changed, previous, unknown


def near(a, b):
    return abs(a - b) <= NEAR if a and b else not a and not b


def time_in(text):
    found = re.search(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) \+0000", text)
    return calendar.timegm(time.strptime(found.group(1), "%Y-%m-%d %H:%M:%S")) if found else 0


def said_in_json(out):
    said = {}
    for line in out.splitlines():
        o = json.loads(line)
        if "uhost_id" not in o:
            continue                        # about the program as a whole
        e = o["error"]
        said[o["uhost_id"]] = Said(o["stop_time"], o["state"], e and e["text"], e["exit_status"] if e else 0,
                                   o["changed"], o["previous_stop_time"], e and e["outcome_unknown"])
    return said


def said_in_words(out, err):
    """A line that begins with blanks goes on with the one before."""
    said = {}
    for line in out.replace("\n    ", "  ").splitlines():
        words = line.split()
        if len(words) > 1 and re.match(r"(uhost|cpod)-\d+$", words[0]):
            planned = "RUNS WITHOUT" not in line and "no timed shutdown" not in line
            was = line.partition("(was ")[2]
            changed = False if "(left as it was)" in line else None
            said[words[0]] = Said(time_in(line) if planned else 0, words[1], changed=changed,
                                  previous=time_in(was) if was else None)
    for line in err.splitlines():
        words = line.split(None, 1)
        if len(words) > 1 and re.match(r"(uhost|cpod)-\d+$", words[0]):
            said[words[0]] = Said(error=words[1], code=None)
    return said


class Cell:
    def __init__(self, dialect, name, number):
        self.d, self.name, self.number = dialect, name, number
        self.words, self.plan, self.kind = CELLS[name]
        self.words = self.words.split()
        self.how = name.rpartition("-")[2]
        self.account = "--all" in self.words or self.kind == "audit"
        self.json = number % 2 == 0
        self.id = dialect.id
        self.other = self.id[:-1] + "5"
        self.faults = []

    def makes_sense(self):
        d = self.d
        if "gone" in d.may and self.plan is not None and self.kind != "audit":
            return False
        if "list" in d.may and not (self.account or self.name in ("set-two", "show", "run-grace")):
            return False
        if d.name == "total-of-all" and not self.account:
            return False                    # which is about a list without the first instance
        if self.how in ("lost", "unheard") and d.odd:
            return False
        return self.how not in MOMENTS or d.odd or d.later is not None

    # ---- the world

    def reset(self, w):
        """Three instances, the second is Stopped and the third Spot; a fourth is brought
        about where two are to be changed."""
        d, plan, options = self.d, self.plan, [("brief", 2)]
        if "OTHER" in self.words and "instances=" not in d.options:
            options.append(("instances", 5))
        if self.how not in MOMENTS or d.later is not None:
            options.append(("dialect", d.name))
        if self.how == "armed":
            options += [("then_action", UPDATE), ("then_set", self.later())]
        if self.how in ("lost", "unheard"):
            options += [("drop_before" if self.how == "lost" else "drop_after", 1),
                        ("drop_action", DELETE if self.kind == "gone" else UPDATE)]
        if plan is not None and "gone" not in d.may:
            options.append(("schedule.uhost-0001", self.base + plan))
        w.clear()
        w.ask("/reset?" + urllib.parse.urlencode(options))

    def later(self):
        return ("dialect_later=" if self.d.later else "dialect=") + self.d.name

    def environment(self, w):
        env = dict(w.env)
        if self.how in ("begun", "ended"):
            env["COMPSHARE_TEST_BEGIN" if self.how == "begun" else "COMPSHARE_TEST_END"] = self.later()
        if not (self.account and self.d.required):
            for name, value in self.d.configured():
                env["COMPSHARE_" + name.upper().replace("-", "_")] = value
        if self.kind == "run":
            env["COMPSHARE_TEST_JOB"] = "%d %s" % (JOB * 1000, w.fifo)
        return env

    def arguments(self, w):
        if self.kind == "run":
            return ["run", self.id, "--ttl", "%ds" % TTL, "--grace", "%ds" % GRACE, "--on-exit", self.words[0],
                    "--warn", "5m", "--signal", "USR1", "--status-file", w.path("status"), "--", "sh", w.command]
        at = str(self.base + HOUR2 + 17)
        words = [{"ID": self.id, "OTHER": self.other, "AT": at}.get(word, word) for word in self.words]
        if self.account and self.d.required:
            words += [word for name, value in self.d.configured() for word in ("--" + name, value)]
        return words + (["--json"] if self.json else [])

    def run(self, w):
        self.base = int(time.time())
        self.reset(w)
        argv = [harness.args.tool_clock] + self.arguments(w)
        self.argv = " ".join(argv[1:])
        done = subprocess.run(argv, env=self.environment(w), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=harness.PATIENCE * 2, check=False)
        self.code, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()
        harness.captured.append((self.argv, self.out + self.err))
        stats = json.loads(w.ask("/stats"))
        self.took = stats["now"] - self.base
        self.instances, self.executed = stats["instances"], stats["executed_by_action"]
        self.truth = self.instances.get(self.id, {"state": "gone", "schedule": 0})
        self.log = read(w.path("log")).split()
        self.status = json.loads(read(w.path("status")) or "null")
        self.began, self.ended = self.base + w.passed(1), self.base + w.passed(2)
        if self.kind == "run":
            self.judge_run()
        else:
            self.judge_verb()

    # ---- judging

    def fault(self, kind, why):
        self.faults.append((kind, why))

    def concerned(self):
        """The instances that the verb is about, by what is so now."""
        if "OTHER" in self.words:
            return [self.id, self.other]
        if not self.account:
            return [self.id]
        if self.kind == "shown":
            return list(self.instances)
        if self.kind in ("by", "gone"):
            return [self.id] if self.id in self.instances else []
        return [i for i, v in self.instances.items() if v["state"] == "Running" and not i.endswith("-0003")]

    def wanted(self, plan):
        """Whether a plan is what was asked for."""
        if self.kind == "gone":
            return plan == 0
        if self.kind == "left" and not self.may("odd-plan-once"):
            return near(plan, self.base + LATER)
        if self.kind == "left":             # by the one reading that there was, there was none
            return bool(plan)
        after = plan - self.base
        if self.kind == "in":
            return HOUR2 - 1 <= after <= HOUR2 + self.took + 62 + NEAR
        return near(after, HOUR2 + 17 if self.kind == "at" else LATER + 600)

    def may(self, *flags):
        return any(f in self.d.may for f in flags)

    def late(self):
        """The dialect shows a change later than a call waits for it."""
        return self.d.schedule_lag + PAUSES > DEADLINE

    def refusal_allowed(self, code):
        if self.kind == "nothing" and code == 6:
            return True
        doubtful = self.d.schedule_lag + SLACK > DEADLINE or self.may("hidden", "no-project")
        if code == 5 and self.how in ("lost", "unheard") and doubtful:
            return True
        if code == 5 and self.late() and self.kind in ("in", "at", "by", "gone"):
            return True
        return any(f in self.d.may and self.kind in kinds and code in codes for f, kinds, codes in REFUSALS)

    def judge_verb(self):
        try:
            said = said_in_json(self.out) if self.json else said_in_words(self.out, self.err)
        except (ValueError, KeyError) as problem:
            self.fault("lie", "no JSON: %s" % problem)
            return
        change = DELETE if self.kind == "gone" else UPDATE
        executed = self.executed.get(change, 0)
        ids = self.concerned()
        if self.code not in range(8):
            self.fault("lie", "no exit status of this program's")
        if executed > REPEATS * max(1, len(ids)):
            self.fault("often", "%s executed %d times" % (change, executed))
        if self.kind in ("shown", "audit"):
            self.judge_reading(said, ids)
        elif self.kind == "nothing":
            if self.code == 0:
                self.fault("lie", "there was nothing to extend")
        else:
            self.judge_change(said, ids, executed)
        good = (0, 7) if self.kind == "audit" else (6,) if self.kind == "nothing" else (0,)
        if self.code not in good and not self.refusal_allowed(self.code):
            self.fault("needless", "it could have been done")
        if self.code not in (0, 7) and not (self.err + self.out).strip():
            self.fault("lie", "it has no words")

    def judge_change(self, said, ids, executed):
        for i in ids:
            plan = self.instances.get(i, {"schedule": 0})["schedule"]
            s = said.get(i)
            failed = s is not None and s.error is not None
            if self.code == 0 and failed:
                self.fault("lie", "%s failed, and the exit status is 0" % i)
            if self.code == 0 and "gone" in self.d.may and not self.account:
                self.fault("lie", "there is no such instance")
            elif self.code == 0 or (s is not None and not failed):
                self.judge_success(i, s, plan)
            if s is not None:
                self.judge_details(s, executed)
        if self.code not in (0, 5) and len(ids) <= 1 and executed > 0:
            self.fault("lie", "it was executed, and the exit status says that it was not")
        if self.code == 5 and self.kind != "gone" and not time_in(self.err + self.out):
            self.fault("lie", "it does not say what was asked for")

    def judge_success(self, i, s, plan):
        if s is None:
            if not (self.account and self.may("odd-state", "hidden", "unreadable")):
                self.fault("lie", "nothing is said of %s" % i if self.wanted(plan) else "%s was passed over" % i)
            return
        if not near(s.stop_time if s.stop_time and s.stop_time > self.base else 0, plan):
            self.fault("lie", "%s: another plan stands than was said" % i)
        elif not self.wanted(plan):
            self.fault("lie", "%s: the plan is not what was asked for" % i)

    def judge_details(self, s, executed):
        """What is said beside the plan."""
        unseen = self.may("hidden", "odd-plan-once", "gone", "unreadable") or self.account
        before = s.previous and max(s.previous, self.base) - self.base      # a time that is over is none
        if s.error is None and s.changed is not None and len(self.concerned()) == 1 and s.changed != (executed > 0):
            self.fault("lie", "changed is %s" % s.changed)
        if s.error is None and s.previous is not None and not unseen and not near(before, self.plan):
            self.fault("lie", "another plan stood before")
        if s.unknown is not None and s.unknown != (s.code == 5):
            self.fault("lie", "whether the outcome is known does not fit the exit status")
        if s.error is not None and s.code is not None and len(self.concerned()) == 1 and s.code != self.code:
            self.fault("lie", "the exit status is not the instance's")
        if s.error is not None and " and accepted;" in s.error and executed == 0:
            self.fault("lie", "nothing was accepted")

    def judge_reading(self, said, ids):
        running = [i for i in ids if self.instances.get(i, {"schedule": 1})["schedule"] == 0]
        unseen = self.may("hidden", "odd-plan-once", "odd-state", "odd-state-once", "unreadable", "empty-long")
        if self.kind == "audit":
            if self.code in (0, 7) and not unseen and set(said) != set(running):
                self.fault("lie", "runs without a plan: %s" % running)
            if self.code in (0, 7) and (self.code == 7) != bool(said):
                self.fault("lie", "the exit status does not fit")
            return
        for i in ids if self.code == 0 and not self.may("empty-long") else []:
            s, so = said.get(i), self.instances.get(i)
            if so is None or s is None:
                self.fault("lie", "%s is not shown" % i if so else "there is no such instance")
                continue
            shown = s.stop_time if s.stop_time and s.stop_time > self.base else 0
            if not near(shown, so["schedule"]) and not (shown == 0 and self.may("hidden", "odd-plan-once")):
                self.fault("lie", "%s: another plan stands than was shown" % i)
            nothing = so["state"] == "" and (s.state is None or not self.json)
            if s.state != so["state"] and not (nothing or self.may("odd-state-once")):
                self.fault("lie", "%s: it is not %s" % (i, s.state))

    # ---- run

    def judge_run(self):
        updates, stops = self.executed.get(UPDATE, 0), self.executed.get(STOP, 0)
        if stops > 1 or updates > OFTEN:
            self.fault("often", "%d stops, %d updates" % (stops, updates))
        if "ready" not in self.log:
            self.judge_unarmed()
            return
        if self.code != 7:
            self.fault("lie", "the job ended with 7")
        if "USR1" in self.log:
            self.fault("lie", "the job was warned")
        told = self.err.partition("or its machine dies")[2]
        true = {"cancelled?": self.may("odd-plan-once"), "renewal failed": self.how in ("armed", "begun")}
        for part in ("somebody", "cancelled?", "has run out", "renewal failed", "may go off", "nothing to end"):
            if part in told and not true.get(part):
                self.fault("lie", "it says %r" % part)
        if self.status is None or self.status["exit_status"] != 7:
            self.fault("lie", "the status file says %s" % self.status)
        elif self.words[0] != "stop" and not near(self.status["stop_time"], self.truth["schedule"]):
            self.fault("lie", "the status file has another time")
        if self.words[0] != "stop" and self.truth["state"] not in ("Running", "") and not self.may("odd-state"):
            self.fault("lie", "the lease was not kept")
        promise = time_in(self.err.partition("compshare-schedule: off by ")[2]) - self.began
        stood = self.plan and near(self.began + promise, self.base + self.plan)
        if not TTL - 2 * NEAR - 45 <= promise <= TTL + 2 * NEAR and not stood:
            self.fault("lie", "that is not when it goes off if this program dies")
        self.judge_end(self.err.rstrip().rpartition("\n")[2])

    def judge_unarmed(self):
        before = self.plan and self.base + self.plan
        if self.code != 125:
            self.fault("lie", "the job was not started")
        if not self.may(*UNARMABLE) and not self.late():
            self.fault("needless", "it could have been leased")
        if "the command was not started" not in self.err:
            self.fault("lie", "it has no words")
        plan = self.truth["schedule"]
        if plan and not near(plan, before or 0) and not near(time_in(self.err.partition("may go off at")[2]), plan):
            self.fault("lie", "it does not say that it may go off")

    def judge_end(self, line):
        end, plan = self.words[0], self.truth["schedule"]
        after = plan - self.ended
        slow = {"grace": self.d.schedule_lag, "cancel": self.d.schedule_lag, "restore": self.d.schedule_lag,
                "stop": self.d.schedule_lag + self.d.state_lag, "keep": 0}[end]
        if "could not be told" in line:
            if slow + PAUSES <= DEADLINE:
                self.fault("needless", "the end could have been told")
            if time_in(line) and plan > time_in(line) + NEAR:
                self.fault("lie", "it goes off later than that")
            if not plan and self.truth["state"] == "Running" and "may have been cancelled" not in line:
                self.fault("lie", "it does not say that nothing may stand")
            return
        if end == "stop":
            if self.truth["state"] != "Stopped" or "is stopped" not in line:
                self.fault("lie", "it is %s" % self.truth["state"])
        elif end == "cancel":
            if plan or "no timed shutdown any more" not in line:
                self.fault("lie", "the plan stands" if plan else "it is not said")
        elif not near(time_in(line), plan) or "has ended: off at" not in line:
            self.fault("lie", "another plan stands than was said")
        elif end == "restore" and not (near(plan, self.base + self.plan) and "as it was set before" in line):
            self.fault("lie", "it was not restored")
        elif end == "grace" and not GRACE - NEAR <= after <= GRACE + self.took + self.base - self.ended + 2 * NEAR:
            self.fault("lie", "that is not the grace")
        elif end == "keep" and not TTL - 300 - 2 * NEAR <= after <= TTL + 2 * NEAR:
            self.fault("lie", "that is not the last lease")

    def describe(self):
        plan = self.truth["schedule"]
        return "\n  ".join([
            self.argv, "beginning %d, job's end %+d" % (self.base, self.ended - self.base),
            "exit status %d after %d s" % (self.code, self.took),
            "stdout: " + self.out.strip(), "stderr: " + self.err.strip(),
            "truth: %s, plan %s" % (self.truth["state"], "%d (%+d)" % (plan, plan - self.base) if plan else "none"),
            "executed %s, the job %s, status file %s" % (self.executed, self.log, self.status)])


desks, opened, lock = queue.Queue(), [], threading.Lock()
figures = {"cells": 0, "lie": 0, "needless": 0, "often": 0}


def borrow():
    with lock:
        if len(opened) < WORKERS:
            opened.append(Desk())
            desks.put(opened[-1])
    return desks.get()


def close():
    for desk in opened:
        desk.connection.close()
        desk.times.close()
        desk.__exit__()


def try_dialect(dialect, which, names):
    """All cells of a dialect; what is wrong with them."""
    problems = []
    desk = borrow()
    try:
        for at, name in enumerate(CELLS):
            cell = Cell(dialect, name, which + at)
            if name not in names or not cell.makes_sense():
                continue
            if cell.how in ("lost", "unheard") and (which // 2 + at) % 2 and len(names) > 1 and not EVERYTHING:
                continue                    # every other one, as on a chequerboard
            cell.run(desk)
            with lock:
                figures["cells"] += 1
                for kind, _ in cell.faults:
                    figures[kind] += 1
            told = ["%s: %s/%s: %s" % (kind, dialect.name, name, why) for kind, why in cell.faults]
            if told or len(names) == 1:
                problems.append("\n".join(told + [cell.describe()]))
                if not told:
                    print("# " + problems.pop().replace("\n", "\n# "), flush=True)
    finally:
        desks.put(desk)
    assert not problems, "\n".join(["%d bad cells" % len(problems)] + problems)


def register(only):
    """A test for each dialect that the gateway lists; for one cell where a "/" asks for it."""
    listed = subprocess.run([harness.args.gateway, "--dialects"], stdout=subprocess.PIPE, check=True).stdout.decode()
    wanted, slash, cell = only.partition("/")
    for which, line in enumerate(listed.splitlines()):
        dialect = Dialect(line)
        name = "dialects: " + dialect.name
        if slash and (name != wanted or cell not in CELLS):
            continue
        names = [cell] if slash else list(CELLS)

        def run(dialect=dialect, which=which, names=names):
            try_dialect(dialect, which, names)
        harness.tests.append((name + slash + cell, run))


def figure():
    text = "%(cells)d cells, %(lie)d lies, %(needless)d needless refusals, %(often)d executed too often" % figures
    return "# figure: tool dialects: " + text if figures["cells"] else ""
