"""run among its neighbours: a gateway that lags, plans of other people, networks that are
slow or lose a request for a while, signals to whole groups, and what a job leaves behind."""

import os
import resource
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import Skip, Terminal, World, alive, contains, equal, lacks, process_fields, read, test, uhost, wait_for
from leases import DESCRIBE, DOWN, UP, UPDATE, namespace, near, never_started
from listen import Listener, Requests, copy

NOBODY = 65534


def again(w):
    """Makes room for the next job in the same world."""
    for name in ("end", "log", "pid"):
        if os.path.exists(w.path(name)):
            os.unlink(w.path(name))


def shown(time_):
    return time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(time_))


def step_until(w, what, predicate, step=1, pause=0.03):
    """Lets the clocks run evenly."""
    end = time.monotonic() + harness.PATIENCE * 2
    while not predicate():
        assert time.monotonic() < end, "never came: " + what
        w.advance(step)
        time.sleep(pause)


class Relay(Listener):
    """In front of the gateway: keeps what the tool sends until it is let go, also after the
    tool has given that connection up; or asks `on_sent` at every piece that it passes on."""

    def __init__(self, w, on_sent=None):
        self.gateway, self.on_sent = w.port, on_sent
        self.keep = None                    # whether this piece is to be kept, and all that come behind it
        self.held = threading.Event()
        self.free = threading.Event()
        super().__init__()

    def serve(self, client):
        server = socket.create_connection(("127.0.0.1", self.gateway))
        threading.Thread(target=self.send, args=(client, server), daemon=True).start()
        self.reply(server, client)

    def send(self, tool, server):
        try:
            while True:
                piece = tool.recv(65536)
                if not piece:
                    break
                if self.keep and self.keep():
                    self.keep = None
                    self.held.set()
                    self.free.wait(harness.PATIENCE)
                if self.on_sent:
                    self.on_sent()
                server.sendall(piece)
            time.sleep(0.5)                 # so that the server has read it
            server.close()
        except OSError:
            pass

    @staticmethod
    def reply(server, tool):
        try:
            while True:
                piece = server.recv(65536)
                if not piece:
                    break
                tool.sendall(piece)
            tool.close()
        except OSError:
            pass

    def close(self):
        self.free.set()
        super().close()


def hold_renewal(w, relay):
    """Moves on until a renewal is on its way to the server, and keeps it there."""
    readings = w.requests(DESCRIBE)
    relay.keep = lambda: w.requests(DESCRIBE) > readings
    w.advance(601)
    assert relay.held.wait(harness.PATIENCE), "no renewal"


# ---- what is in flight when the job ends

@test("run: a renewal in flight when the job ends is let end first; what is said then is so")
def in_flight():
    for end in ("grace", "cancel", "keep"):
        with World() as w:
            relay = Relay(w)
            p = w.start("run", uhost(1), "--on-exit", end, "--", *w.job(), env={"COMPSHARE_BASE_URL": relay.url})
            w.started()
            hold_renewal(w, relay)
            updates = w.stats()["executed_by_action"].get(UPDATE, 0)
            w.end()
            time.sleep(0.7)
            w.advance(8)
            relay.free.set()
            wait_for("the late renewal", lambda: w.stats()["executed_by_action"].get(UPDATE, 0) > updates)
            r = p.wait().is_(0)
            time.sleep(0.3)
            if end == "cancel":
                equal(w.schedule(1), 0)
                contains(r.err, "no timed shutdown")
            else:
                near(w.schedule(1), w.now() + (900 if end == "grace" else 3600))
                contains(r.err, "the job has ended: off at " + shown(w.schedule(1)))
            relay.close()


@test("run: a renewal that the server executes after everybody gave it up does not outlive the end")
def executed_late():
    for end in ("grace", "cancel"):
        with World() as w:
            relay = Relay(w)
            p = w.start("run", uhost(1), "--on-exit", end, "--", *w.job(), env={"COMPSHARE_BASE_URL": relay.url})
            w.started()
            hold_renewal(w, relay)
            w.end()
            began = w.now()
            step_until(w, "the end of waiting", lambda: w.now() - began >= 45 or not p.running())
            time.sleep(0.3)
            relay.free.set()
            r = w.advance_while(p, step=1, pause=0.03).is_(0)
            time.sleep(0.3)
            if end == "cancel":
                equal(w.schedule(1), 0)
            else:
                near(w.schedule(1), w.now() + 900, 120)
                contains(r.err, "off at " + shown(w.schedule(1)))
            relay.close()


# ---- plans of other people

@test("run: a plan that stood before is announced, and does not outlive the grace")
def stood_before():
    with World() as w:
        for n, ahead in ((1, 43200), (4, 1800)):
            again(w)
            plan = w.now() + ahead
            w.set(**{"schedule__%d" % n: plan})
            p = w.start("run", uhost(n), "--", *w.job())
            w.started()
            contains(p.err, "a timed shutdown stood before, at " + shown(plan))
            assert w.schedule(n) >= min(plan, w.now() + 3500)
            w.looked(n)
            lacks(p.err, "somebody")
            w.end()
            p.wait().is_(0)
            near(w.schedule(n), w.now() + 900)


@test("run --on-exit restore: what stood before is put back; nothing stood: the grace")
def restored():
    with World() as w:
        for n, ahead in ((1, 43200), (4, 1800), (5, 0)):
            again(w)
            plan = w.now() + ahead if ahead else 0
            w.set(**{"schedule__%d" % n: plan})
            p = w.start("run", uhost(n), "--on-exit", "restore", "--", *w.job())
            w.started()
            w.renewed(n) if ahead < 3600 else w.looked(n)
            w.end()
            r = p.wait().is_(0)
            if ahead:
                contains(r.err, "put back: off at " + shown(plan))
                near(w.schedule(n), plan, 59)
                contains(r.err, "as it was set before")
            else:
                near(w.schedule(n), w.now() + 900)


@test("run --max, --until: ceilings, which bring a later plan down and say so, before and during the run")
def ceilings():
    for option in ("--max", "--until"):
        with World() as w:
            limit = w.now() + 3600
            w.set(schedule__1=w.now() + 43200)
            p = w.start("run", uhost(1), option, "60m" if option == "--max" else limit, "--", *w.job())
            w.started()
            contains(p.err, "brought down to " + shown(w.schedule(1)))
            near(w.schedule(1), limit, 60)
            assert w.schedule(1) <= limit + 10
            w.set(schedule__1=w.now() + 40000)
            w.advance(601)
            wait_for("the ceiling", lambda: w.schedule(1) <= limit + 10)
            p.said("beyond the limit: brought down to ")
            w.released(p)


@test("run --max: a job that hangs is off at the limit though a later plan stood before, also when one comes in the last minutes")
def hangs():
    with World() as w:
        limit = w.now() + 3600
        w.set(schedule__1=w.now() + 43200)
        w.start("run", uhost(1), "--max", "1h", "--on-exit", "stop", "--", *w.job())
        w.started()
        w.advance(limit - 150 - w.now())
        w.set(schedule__1=limit + 40000)
        step_until(w, "a plan brought down", lambda: w.schedule(1) < limit + 1200, 5, 0.06)
        step_until(w, "the end", lambda: w.state(1) == "Stopped", 20, 0.02)
        assert w.now() < limit + 1200, w.now() - limit


# ---- the end

@test("run: the end extends to the grace as well as it shortens")
def extends():
    with World() as w:
        p = w.start("run", uhost(1), "--ttl", "60m", "--grace", "3h", "--", *w.job())
        w.started()
        contains(p.err, "it goes off 3 h 0 min after the job ends")
        w.end()
        contains(p.wait().is_(0).err, "the job has ended: off at " + shown(w.schedule(1)))
        near(w.schedule(1), w.now() + 10800)
        again(w)
        limit = w.now() + 4000
        p = w.start("run", uhost(4), "--grace", "3h", "--until", limit, "--", *w.job())
        w.started()
        w.end()
        p.wait().is_(0)
        near(w.schedule(4), limit)
        assert w.schedule(4) <= limit


# ---- an API that shows late

@test("run: readings that lag 40 s: no change is asked for again with every reading, no failure, no false warning")
def lagging():
    with World() as w:
        w.set(visibility_delay=40)
        p = w.start("run", uhost(1), "--warn", "50m", "--signal", "USR1", "--", *w.job())
        step_until(w, "the start", lambda: "ready" in w.log(), 2)
        w.started()
        began, updates = w.now(), w.requests(UPDATE)
        assert updates <= 2, updates                # once by each of the names that the time may have
        for _ in range(6):
            time.sleep(0.2)
            w.advance(440)                          # nothing is under way
            until = w.now() + 170
            step_until(w, "the next renewal", lambda: w.now() >= until, 3, 0.06)
        equal(w.log(), ["ready"])
        lacks(p.err, "fail")
        assert 5 <= w.requests(UPDATE) - updates <= 2 * (w.now() - began) // 480 + 2, w.requests(UPDATE) - updates
        near(w.schedule(1), w.now() + 3300, 400)
        w.end()
        w.advance_while(p, step=1, pause=0.03).is_(0)
        near(w.schedule(1), w.now() + 900, 120)


@test("run: 125 at the start says what may have been set, and the line that mends it")
def mending():
    with World() as w:
        w.set(visibility_delay=1000000)
        for n, plan in ((1, 0), (4, w.now() + 2000)):
            w.set(**{"schedule__%d" % n: plan})
            p = w.start("run", uhost(n), "--zone", "cn-wlcb-01", "--", *w.job())
            step_until(w, "the end", lambda: not p.running(), 3)
            r = p.wait().is_(125)
            wait_for("the change", lambda: w.schedule(n) != plan)
            contains(r.err, "it may go off at " + shown(w.schedule(n)))
            line = [l for l in r.err.splitlines() if "    compshare-schedule " in l]
            equal(len(line), 1, r.err)
            words = line[0].split()
            equal(words[1:5], ["cancel", uhost(n), "--zone", "cn-wlcb-01"] if plan == 0 else ["set", uhost(n), "--at", str(plan)])
            w.set(visibility_delay=0)
            w.tool(*words[1:]).is_(0)
            equal(w.schedule(n), plan)
            w.set(visibility_delay=1000000)
        never_started(w)


@test("run: whole minutes are asked for, and a time shown within 59 s is the one that was asked for")
def whole_minutes():
    with World() as w:
        p = w.start("run", uhost(1), "--grace", "20m", "--", *w.job())
        w.started()
        equal(w.schedule(1) % 60, 0)
        w.renewed(1)
        equal(w.schedule(1) % 60, 0)
        for shift in (-59, 59):
            w.set(schedule__1=w.schedule(1) + shift)
            w.renewed(1)
        lacks(p.err, "somebody")
        w.end()
        p.wait().is_(0)
        equal(w.schedule(1) % 60, 0)
        near(w.schedule(1), w.now() + 1200)


DIALECTS = [
    {"rounding": "down"}, {"rounding": "up"}, {"rounding": "up", "schedule_lag": 40}, {"schedule_lag": 20}, {"visibility_delay": 15, "state_lag": 15},
    {"schedule_type": "string,minus_when_none"}, {"schedule_type": "decimal,null_when_none"}, {"schedule_type": "int,absent_when_none"},
    {"schedule_field": "StopSchedulerTime", "schedule_other": "zero"}, {"past_stays": 1, "last_stop": 1}, {"wild": 1, "odd_times": 1, "odd_gpu": 1},
    {"describe_region": 0}, {"is_default_type": "int"}, {"projects_code": 299, "project_optional": 1}, {"describe_requires": "ProjectId"},
    {"scheduler_param": "SchedulerStopTime,StopTime"}, {"scheduler_param": "StopTime", "scheduler_honours": "StopTime"}, {"gone_describe": "code"},
    {"floor_ms": 1}, {"null_lists": 1, "brief": 2}, {"clock_offset": -500}, {"clock_offset": 4000},
]
ODD = ["empty", "no_schedule", "html", "http_502", "cut_json", "state"]


def through(w, n, words=(), between=None, lag=2):
    """A lease with two renewals, each with the time for its reading back."""
    again(w)
    p = w.start("run", uhost(n), *words, "--", *w.job())
    step_until(w, "the start", lambda: "ready" in w.log() or not p.running(), 1, 0.08)
    w.started()
    for _ in range(2):
        before = w.schedule(n)
        if between:
            between()
        w.advance(601)
        step_until(w, "a renewal", lambda: w.schedule(n) > before, 1, 0.08)
        near(w.schedule(n), w.now() + 3600, 400)
        for _ in range(lag):
            w.advance(1)
            time.sleep(0.08)
    w.end()
    return w.advance_while(p, step=1, pause=0.08).is_(0)


def in_dialect(dialect):
    def check():
        with World() as w:
            w.set(**dialect)
            r = through(w, 1, lag=3 + max([0] + [dialect[name] for name in dialect if name in ("schedule_lag", "visibility_delay")]))
            lacks(r.err, "somebody")
            lacks(r.err, "failed")
            near(w.schedule(1), w.now() + 900, 150)
            said = time.strptime(r.err.rpartition("off at ")[2].split(" +")[0], "%Y-%m-%d %H:%M:%S")
            near(int(time.mktime(said)) - time.timezone, w.schedule(1), 59)
    return check


for spoken in DIALECTS:
    test("run: a lease where the API has " + ", ".join("%s=%s" % pair for pair in spoken.items())
         + ": what is said at the end is what stands")(in_dialect(spoken))


@test("run: odd readings around renewals, a renewal answered with an error or executed late: the lease goes on, and nothing false is said")
def oddities():
    for odd in ODD + ["late", "hidden"]:
        with World() as w:
            def strange():
                if odd == "late":
                    w.set(late_next=1, late_seconds=8, drop_action=UPDATE)
                elif odd == "hidden":
                    w.set(hide_next=1, hide_http=502, drop_action=UPDATE)
                else:
                    w.set(odd=odd, odd_state="Stopping", odd_next=1)
            try:
                r = through(w, 1, between=strange)
                lacks(r.err, "somebody")
                near(w.schedule(1), w.now() + 900, 150)
                if odd == "late":       # a renewal that is executed while the lease is ended
                    for end in ("grace", "cancel", "stop"):
                        again(w)
                        w.set(late_next=0, state__4="Running")
                        p = w.start("run", uhost(4), "--on-exit", end, "--", *w.job())
                        w.started()
                        updates = w.requests(UPDATE)
                        w.set(late_next=1, late_seconds=25, drop_action=UPDATE)
                        w.advance(601)
                        wait_for("a renewal", lambda: w.requests(UPDATE) > updates)
                        w.end()
                        w.advance_while(p, step=1, pause=0.05).is_(0)
                        for _ in range(40):
                            w.advance(1)
                        if end == "grace":
                            near(w.schedule(4), w.now() + 900, 200)
                        elif end == "cancel":
                            equal((w.schedule(4), w.state(4)), (0, "Running"))
                        else:
                            equal(w.state(4), "Stopped")
            except AssertionError as problem:
                raise AssertionError("%s: %s" % (odd, problem)) from None


# ---- what is said

@test("run: three sentences at the start: while the job lives, after it, and if this program dies")
def three_sentences():
    with World() as w:
        w.set(schedule__9=w.now() + 2400)
        plan = w.schedule(9)
        for n, words, after in ((1, [], "it goes off 15 min after the job ends"), (4, ["--on-exit", "stop"], "it is stopped as soon as the job ends"),
                                (5, ["--on-exit", "cancel"], "nothing switches it off after the job"), (6, ["--on-exit", "keep"], "the job's end changes nothing"),
                                (9, ["--on-exit", "restore"], "put back: off at " + shown(plan))):
            again(w)
            p = w.start("run", uhost(n), *words, "--", *w.job())
            w.started()
            lines = [line.split(": ", 1)[1] for line in p.err.splitlines()]
            contains("\n".join(lines), uhost(n) + " stays on while the job lives")
            contains(p.err, after)
            contains(lines[-1], "off by " + shown(w.schedule(n)))
            contains(lines[-1], "if this program, its network or its machine dies")
            lacks(p.err, "whatever happens")
            w.end()
            p.wait().is_(0)
        limit = w.now() + 7200
        again(w)
        p = w.start("run", uhost(7), "--until", limit, "--", *w.job())
        w.started()
        contains(p.err, "stays on while the job lives, until %s at the longest" % shown(limit - limit % 60))
        w.end()
        p.wait().is_(0)


@test("run: failing renewals are said once, when the time left halves, when they work again, and when the lease has run out")
def few_words():
    with World() as w:
        p = w.lease()
        w.set(**DOWN)
        w.advance(601)
        p.said("renewal failed")
        step_until(w, "25 min", lambda: w.now() > w.schedule(1) - 1500, 10)
        assert 1 <= p.err.count("renewal failed") <= 2, p.err
        w.set(**UP)
        schedule = w.schedule(1)
        step_until(w, "a renewal", lambda: w.schedule(1) > schedule, 3, 0.06)
        p.said("renewed again: off by " + shown(w.schedule(1)))
        w.set(**DOWN)
        end = w.schedule(1)
        step_until(w, "the end of the lease", lambda: "the lease has run out" in p.err, 20)
        assert w.now() >= end
        assert p.err.count("renewal failed") <= 12, p.err
        said = p.err.count("renewal failed")
        for _ in range(40):
            w.advance(60)
            time.sleep(0.02)
        equal((p.err.count("the lease has run out"), p.err.count("renewal failed")), (1, said), p.err)
        w.set(state__1="Running", **UP)
        step_until(w, "a lease", lambda: w.schedule(1) > 0, 3, 0.06)
        p.said("renewed again: off by " + shown(w.schedule(1)))
        w.end()
        p.wait().is_(0)


# ---- slow networks

def slow_names(w):
    """A library for LD_PRELOAD under which each look-up of a name takes 5 s of the test's time."""
    with open(w.path("slow.c"), "w") as f:
        f.write("""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    int fd = open(getenv("COMPSHARE_TEST_AHEAD"), O_RDWR);
    volatile int64_t *ahead = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    *ahead += 5200;
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    return next(host, port, hints, list);
}
""")
    dynamic = b"ld-linux" in open(harness.args.tool_clock, "rb").read()
    if not dynamic or subprocess.run(["cc", "-shared", "-fPIC", "-o", w.path("slow.so"), w.path("slow.c"), "-ldl"], check=False).returncode != 0:
        raise Skip("needs a dynamic program and a compiler")
    return w.path("slow.so")


def lives(w, p):
    """Three renewals that work, and the end of the job."""
    w.started()
    for _ in range(3):
        w.renewed(1)
    lacks(p.err, "failed")
    w.end()
    p.wait().is_(0)


@test("run: a lease lives on a name server that takes 5 s, and on round trips of 3 s")
def slow_network():
    with World() as w:
        w.set(close_every=1)                # every request looks the name up again
        p = w.start("run", uhost(1), "--timeout", "60s", "--", *w.job(), env={"LD_PRELOAD": slow_names(w)})
        lives(w, p)
    with World() as w:
        relay = Relay(w, lambda: w.advance(3))
        p = w.start("run", uhost(1), "--timeout", "60s", "--", *w.job(), env={"COMPSHARE_BASE_URL": relay.url})
        w.started()
        for _ in range(2):
            w.renewed(1)
        w.set(idle_timeout=0, close_every=3)
        lives(w, p)
        relay.close()


class SlowProxy(Listener):
    """CONNECT to the gateway, which takes 6 s of the clock."""

    def __init__(self, w):
        self.world = w
        super().__init__()

    def serve(self, client):
        if Requests(client).head() is None:
            return
        self.world.advance(6)
        time.sleep(0.1)
        server = socket.create_connection(("127.0.0.1", self.world.port))
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        threading.Thread(target=copy, args=(client, server), daemon=True).start()
        copy(server, client)


@test("run: a lease lives on a proxy that takes 6 s to connect")
def slow_proxy():
    with World() as w:
        w.set(close_every=2)
        proxy = SlowProxy(w)
        p = w.start("run", uhost(1), "--proxy", "http://127.0.0.1:%d" % proxy.port, "--", *w.job())
        lives(w, p)
        proxy.close()


# ---- readings of every kind

@test("run: while the job lives no reading ends the lease: empty lists, Stopping, Stopped, gone, odd")
def readings():
    with World() as w:
        p = w.lease()
        for state in (None, "Stopping", "Stopped", "Install Fail", "Odd State"):
            if state is None:
                w.set(remove=1)
            else:
                w.set(state__1=state)
            w.looked(1)
            for _ in range(3):
                w.advance(20)
                time.sleep(0.1)
            w.set(restore=1) if state is None else w.set(state__1="Running")
            schedule = w.schedule(1)
            step_until(w, "a renewal after " + str(state), lambda: w.schedule(1) > schedule, 3, 0.06)
            near(w.schedule(1), w.now() + 3600, 120)
        lacks(p.err, "renewals stop")
        w.released(p)


@test("run: an instance that is stopped for hours and started again by hand is leased again")
def by_hand():
    with World() as w:
        p = w.lease()
        w.set(state__1="Stopped", schedule__1=0)
        w.looked(1)
        p.said("is Stopped")
        for _ in range(30):
            w.advance(300)
            time.sleep(0.05)
        began = w.now()
        w.set(state__1="Running")
        step_until(w, "a lease", lambda: w.schedule(1) > 0, 5, 0.08)
        assert w.now() - began < 700, w.now() - began
        near(w.schedule(1), w.now() + 3600, 120)
        p.said("renewed again: off by ")
        lacks(p.err, "somebody")
        equal(w.requests("StartCompShareInstance"), 0)
        w.released(p)


# ---- a command that cannot be started

@test("run: a script without its interpreter, a fork that fails: found out before anything is set")
def found_before():
    with World() as w:
        with open(w.path("plain"), "w") as f:
            f.write("text")
        for first, code in (("#!/nonexistent/interpreter", 127), ("#! /nonexistent/x -u", 127), ("#!" + w.path("plain"), 126), ("#!" + w.dir, 126)):
            r = w.start("run", uhost(1), "--on-exit", "stop", "--", w.script("odd", first + "\n")).wait().is_(code)
            contains(r.err, "odd: cannot be run: %s: " % first[2:].split()[0])
        w.script("inner", "#!/nonexistent/interpreter\n")
        w.start("run", uhost(1), "--", w.script("outer", "#!%s\n" % w.path("inner"))).wait().is_(127)
        equal(w.requests(), 0)
        if os.getuid() != 0:
            return
        os.chmod(w.dir, 0o755)

        def few():
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        contains(w.start("run", uhost(1), "--", "true", preexec_fn=few).wait().is_(125).err, "cannot be run")
        equal(w.requests(), 0)


@test("run: a command that is gone when the lease stands: what stood before is put back, and said")
def put_back():
    with World() as w:
        for n, plan, words in ((1, 0, "the timed shutdown is taken away again"), (4, w.now() + 50000, "it stays as it is, off at "),
                               (5, w.now() + 1500, "what stood before is put back, off at ")):
            command = w.script("soon-gone", "#!/bin/sh\nexit 0\n")
            w.set(visibility_delay=0, **{"schedule__%d" % n: plan})
            w.set(delay_ms=400)
            p = w.start("run", uhost(n), "--on-exit", "stop", "--status-file", w.path("status"), "--", command)
            readings = w.requests(DESCRIBE)
            wait_for("a reading", lambda: w.requests(DESCRIBE) > readings)
            os.unlink(command)
            w.set(delay_ms=0)
            r = p.wait().is_(127)
            contains(r.err, "nothing was started: " + words)
            near(w.schedule(n), plan, 59)
            equal(w.state(n), "Running")
            contains(read(w.path("status")), '"ended":"unarmed"')


@test("run: what stood before cannot be put back: the line that does it")
def not_put_back():
    with World() as w:
        command = w.script("soon-gone", "#!/bin/sh\nexit 0\n")
        w.set(delay_ms=400)
        p = w.start("run", uhost(1), "--", command)
        wait_for("a reading", lambda: w.requests(DESCRIBE) > 0)
        os.unlink(command)
        w.set(delay_ms=0, fail_next=1000, fail_code=299, drop_action="DeleteCompShareStopScheduler")
        r = p.wait().is_(127)
        contains(r.err, "off by " + shown(w.schedule(1)))
        contains(r.err, "\n    compshare-schedule cancel %s\n" % uhost(1))


@test("run --unarmed-ok: the network never comes: its end says that no lease was ever set")
def never_leased():
    with World() as w:
        w.set(**DOWN)
        r = w.advance_while(w.start("run", uhost(1), "--unarmed-ok", "--", "true"), step=3).is_(0)
        contains(r.err, "no lease was ever set: stop it by hand")


@test("run: interrupted before the command is let go: what stood before is put back")
def interrupted_put_back():
    with World() as w:
        w.set(delay_ms=700)
        p = w.start("run", uhost(1), "--", *w.job())
        wait_for("reading back", lambda: w.requests(DESCRIBE) >= 3)
        p.signal(signal.SIGSTOP)
        time.sleep(1.2)
        p.signal(signal.SIGTERM)
        p.signal(signal.SIGCONT)
        r = p.wait().is_(125)
        contains(r.err, "interrupted: the command was not started")
        contains(r.err, "nothing was started: ")
        equal(w.schedule(1), 0)
        never_started(w)


# ---- how it ends itself

@test("run: a job killed by a signal: the wrapper ends by the same one, without a core; process 1 by 128 + n")
def same_signal():
    with World() as w:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGQUIT, signal.SIGSEGV, signal.SIGRTMIN + 3):
            p = w.start("run", uhost(1), "--status-file", w.path("status"), "--", "sh", "-c", "kill -%d $$" % number, cwd=w.dir)
            p.wait()
            equal(p.popen.returncode, -number)
            contains(read(w.path("status")), '"exit_status":%d' % (128 + number))
            near(w.schedule(1), w.now() + 900)
        equal([name for name in os.listdir(w.dir) if name.startswith("core")], [])
        prefix = namespace()
        if prefix is not None:
            p = w.start("run", uhost(4), "--", "sh", "-c", "kill -TERM $$", wrap=prefix)
            p.wait().is_(128 + 15)
            equal(p.popen.returncode, 128 + 15)
        tool = " ".join([harness.args.tool_clock, "run", uhost(5), "--", "sh", "-c", "'echo x >>count; kill -INT 0; sleep 1'"])      # as a terminal does
        subprocess.run(["bash", "-c", "for i in 1 2 3; do %s; done" % tool], env=w.env, cwd=w.dir, stderr=subprocess.DEVNULL, check=False,
                       start_new_session=True)
        equal(read(w.path("count")), "x\n", "how often a loop went on after a Ctrl-C")


@test("run: what fails before the job starts ends with 125: usage, a process that is not there, no keys")
def before_the_job():
    with World() as w:
        for words in (["run"], ["run", "--", "true"], ["run", "a", "b", "--", "true"], ["run", "a", "--bogus", "--", "true"], ["--bogus", "run", "a", "--", "true"],
                      ["run", "a", "--ttl", "1m", "--", "true"], ["run", "a", "--ttl", "x", "--", "true"], ["run", "../x", "--", "true"],
                      ["run", "a", "--in", "1h", "--", "true"], ["run", uhost(1), "--pid", "999999999"], ["run", "a", "--lang", "fr", "--", "true"]):
            w.start(*words).wait().is_(125)
        w.start("run", uhost(1), "--", "true", env={"COMPSHARE_PRIVATE_KEY": None}).wait().is_(125)
        w.start("run", "--help").wait().is_(0)
        w.start("set", "--bogus").wait().is_(1)
        equal(w.requests(), 0)


# ---- signals

def logs_all(w, names):
    """A job that notes each of these signals as often as it comes: it waits for them."""
    return ["python3", "-c", """
import os, signal, sys, time
os.chdir(sys.argv[1])
names = {getattr(signal, "SIG" + name): name for name in sys.argv[2:]}
signal.pthread_sigmask(signal.SIG_BLOCK, names)
def note(path, text):
    with open(path, "a") as f:
        f.write(text)
note("pid", str(os.getpid()))
note("log", "ready\\n")
while not os.path.exists("end"):
    got = signal.sigtimedwait(names, 0.03)
    if got:
        note("log", names[got.si_signo] + "\\n")
""", w.dir] + names.split()


@test("run: a signal to the whole group or to every process of a cgroup reaches the command once, one to the wrapper alone too")
def once():
    if os.uname().sysname != "Linux":
        raise Skip("Linux only")
    with World() as w:
        p = w.start("run", uhost(1), "--", *logs_all(w, "TERM HUP USR1 INT USR2"), start_new_session=True)
        w.started()
        everybody = lambda: [int(n) for n in os.listdir("/proc") if n.isdigit() and process_fields(int(n))[2] == str(p.pid)]
        for n in range(6):
            os.killpg(p.pid, signal.SIGTERM)
            wait_for("TERM", lambda: w.log().count("TERM") > n)
            for pid in everybody():             # as systemd does it with a cgroup
                try:
                    os.kill(pid, signal.SIGHUP)
                except ProcessLookupError:
                    pass
            wait_for("HUP", lambda: w.log().count("HUP") > n)
            p.signal(signal.SIGUSR1)
            wait_for("USR1", lambda: w.log().count("USR1") > n)
        time.sleep(0.5)
        equal([w.log().count(name) for name in ("TERM", "HUP", "USR1")], [6, 6, 6])
        w.end()
        p.wait().is_(0)
        again(w)                                # a command in a group of its own gets none from there
        p = w.start("run", uhost(4), "--", "setsid", *logs_all(w, "TERM INT"), start_new_session=True)
        w.started()
        for n in range(3):
            os.killpg(p.pid, signal.SIGTERM)
            wait_for("TERM", lambda: w.log().count("TERM") > n)
        p.signal(signal.SIGINT)
        wait_for("INT", lambda: "INT" in w.log())
        time.sleep(0.5)
        equal([w.log().count(name) for name in ("TERM", "INT")], [3, 1])
        w.end()
        p.wait().is_(0)


@test("run: no process is left of those that it starts for itself, however it ends, and none for others to bury")
def no_helper():
    with World() as w:
        nanny = w.script("nanny.py", """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)         # orphans below are this one's
print(subprocess.run(sys.argv[1:]).returncode, flush=True)
try:
    print("orphan", os.waitpid(-1, 0))
except ChildProcessError:
    print("none")
""")
        for code, words in ((3, ["sh", "-c", "exit 3"]), (125, ["sh", "-c", "exit 3"])):
            w.set(state__5="Running" if code == 3 else "Stopped")
            p = w.start("run", uhost(5), "--", *words, wrap=["python3", nanny])
            equal(p.wait().out.split(), [str(code), "none"])
        for end in ("end", "kill"):
            again(w)
            p = w.start("run", uhost(1), "--", *w.job(), start_new_session=True)
            pid = w.started()
            if end == "kill":
                p.signal(signal.SIGKILL)
            w.end()
            p.wait()
            group = lambda: [int(n) for n in os.listdir("/proc") if n.isdigit() and process_fields(int(n))[2] == str(p.pid) and int(n) != pid and alive(int(n))]
            wait_for("all to be gone", lambda: not group())
        w.set(fail_next=1000000, fail_code=8903, drop_action=UPDATE)
        before = w.requests(UPDATE)
        p = w.start("run", uhost(4), "--", *w.job(), start_new_session=True)
        wait_for("an attempt", lambda: w.requests(UPDATE) > before)
        p.signal(signal.SIGKILL)                # while the command waits to be let go
        p.wait()
        wait_for("all to be gone", lambda: not group())


@test("run: every signal that would end the wrapper is passed on")
def every_signal():
    names = "ALRM XCPU PWR VTALRM PROF IO STKFLT ABRT SYS TRAP RTMIN+1 RTMIN+5 RTMAX"
    numbers = {"RTMIN+1": signal.SIGRTMIN + 1, "RTMIN+5": signal.SIGRTMIN + 5, "RTMAX": signal.SIGRTMAX, "STKFLT": 16, "IO": 29, "PWR": 30}
    with World() as w:
        job = ["bash", w.script("all.sh", "cd %s\nfor s in %s; do trap \"echo $s >>log\" $s; done\necho $$ >pid\necho ready >>log\nwhile [ ! -e end ]; do sleep 0.03; done\n" % (w.dir, names))]
        p = w.start("run", uhost(1), "--", *job)
        w.started()
        for name in names.split():
            p.signal(numbers[name] if name in numbers else getattr(signal, "SIG" + name))
            wait_for(name, lambda: name in w.log())
            assert p.running(), name
        equal(sorted(w.log()), sorted(["ready"] + names.split()))
        p.signal(signal.SIGXFSZ)
        w.released(p)
        # an alarm clock that was wound up before this program was
        again(w)
        p = w.start("run", uhost(4), "--", *logs_all(w, "ALRM"), wrap=["perl", "-e", "alarm 2; exec @ARGV"])
        w.started()
        wait_for("ALRM", lambda: "ALRM" in w.log())
        w.end()
        p.wait().is_(0)


@test("run: a child that the command leaves behind when it is ended is waited for, every time")
def left_behind():
    if os.uname().sysname != "Linux":
        raise Skip("subreapers are Linux's")
    with World() as w:
        for n in range(8):
            again(w)
            group = n % 2 == 1
            p = w.start("run", uhost(1), "--", "sh", "-c", "setsid sleep 1000 & echo $! >child; echo ready >>log; wait; :", cwd=w.dir, start_new_session=group)
            wait_for("the start", lambda: "ready" in w.log())
            child = int(read(w.path("child")))
            w.pids.append(child)
            wait_for("its own session", lambda: process_fields(child)[3] == str(child))
            if group:
                os.killpg(p.pid, signal.SIGTERM)
            else:
                p.signal(signal.SIGTERM)
            p.said("%d (sleep)" % child)
            time.sleep(0.2)
            assert p.running(), p.err
            os.kill(child, signal.SIGKILL)
            p.wait().is_(128 + 15)
            near(w.schedule(1), w.now() + 900)


# ---- what a job leaves behind

@test("run: what a command leaves behind is named, again and again, and waited for as long as --linger says")
def lingers():
    if os.uname().sysname != "Linux":
        raise Skip("subreapers are Linux's")
    with World() as w:
        leaves = ["--", "sh", "-c", "setsid sleep 1000 & echo $! >%s; exit 6" % w.path("child")]
        p = w.start("run", uhost(1), *leaves)
        p.said("(sleep)")
        child = int(read(w.path("child")))
        w.pids.append(child)
        contains(p.err, "the command has ended, but processes that it started still run: waiting for them: %d (sleep)" % child)
        lacks(p.err, "docker")
        first = w.schedule(1)
        step_until(w, "more words", lambda: p.err.count("%d (sleep)" % child) >= 3, 30, 0.05)
        assert w.schedule(1) > first + 600, w.schedule(1) - first
        os.kill(child, signal.SIGKILL)
        lacks(p.wait().is_(6).err, "docker")
        near(w.schedule(1), w.now() + 900)
        p = w.start("run", uhost(4), "--linger", "20m", *leaves)
        p.said("(sleep)")
        w.advance(1000)
        time.sleep(0.3)
        assert p.running(), p.err
        w.advance(250)
        r = p.wait().is_(6)
        w.pids.append(int(read(w.path("child"))))
        contains(r.err, "not waited for any longer: ")
        near(w.schedule(4), w.now() + 900)
        p = w.start("run", uhost(5), "--linger", "0", "--", "sh", "-c", "setsid sleep 1000 & " + leaves[-1])
        contains(p.wait().is_(6).err, "and 1 more")
        for pid in [int(n) for n in os.listdir("/proc") if n.isdigit() and read("/proc/%s/cmdline" % n) == "sleep\0001000\0"]:
            if read("/proc/%d/environ" % pid).find(w.dir) >= 0:
                w.pids.append(pid)
        contains(w.start("run", uhost(6), "--", "true").wait().is_(0).err, "docker run -d")


# ---- secrets and locks

@test("run: the job finds no key in the wrapper's environment, memory or limits, whichever way they came")
def no_key_to_be_found():
    with World() as w:
        os.chmod(w.dir, 0o777)
        job = w.script("look.sh", "cd %s\ncat /proc/$PPID/environ >environ 2>&1\ndd if=/proc/$PPID/mem bs=1 count=1 >mem 2>&1; ls /proc/$PPID/fd >fd 2>&1\n"
                                  "cat /proc/$PPID/limits >limits\nulimit -c >core\necho done >>log\nwhile [ ! -e end ]; do sleep 0.03; done\n" % w.dir)
        drop = {"preexec_fn": lambda: (os.setgid(NOBODY), os.setuid(NOBODY))} if os.getuid() == 0 else {}
        for state in (w.path("state"),):
            os.mkdir(state, 0o777)
        p = w.start("run", uhost(1), "--", "sh", job, **drop)
        wait_for("the job", lambda: "done" in w.log())
        with open("/proc/%d/environ" % p.pid, "rb") as f:          # root, or nobody at all, may read it
            block = f.read()
        for secret in (harness.PRIVATE_KEY, harness.PUBLIC_KEY, harness.TOKEN):
            assert secret.encode() not in block, "the environment block holds a key"
            for name in ("environ", "mem", "fd"):
                lacks(read(w.path(name)), secret)
        contains(read(w.path("mem")), "denied")
        contains(read(w.path("environ")), "denied")
        contains(read(w.path("fd")), "denied")
        core = [line.split()[4] for line in read(w.path("limits")).splitlines() if line.startswith("Max core file size")]
        equal(core, ["0"], "the soft limit of core dumps")
        with open(w.path("end"), "w"):
            pass
        p.wait().is_(0)
        # the job's own limit is what it was
        w.start("run", uhost(4), "--", "sh", "-c", "ulimit -c >%s" % w.path("core"),
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (12288, resource.RLIM_INFINITY) if os.getuid() == 0 else (0, 0))).wait().is_(0)
        if os.getuid() == 0:
            assert read(w.path("core")).strip() not in ("0", ""), "the job's core limit"
        # nor while the keys wait for an answer, and for every verb
        for words in (["show"], ["doctor"], ["set", uhost(5), "--in", "1h"]):
            w.set(delay_ms=600)
            before = w.requests()
            q = w.start(*words)
            wait_for("a request", lambda: w.requests() > before)
            with open("/proc/%d/environ" % q.pid, "rb") as f:
                assert harness.PRIVATE_KEY.encode() not in f.read(), words
            equal(os.stat("/proc/%d/mem" % q.pid).st_uid, 0, "who may read its memory")
            w.set(delay_ms=0)
            q.wait().is_(0)


@test("run: locks are in a directory that only their user can write; another's, or everybody's, is not used")
def lock_places():
    with World() as w:
        lock = "compshare-schedule/compshare-schedule-%s.lock" % uhost(11)
        runtime = w.path("runtime")
        os.mkdir(runtime, 0o700)
        env = {"COMPSHARE_TEST_LOCKS": None, "XDG_RUNTIME_DIR": runtime}
        lacks(w.start("run", uhost(11), "--", "true", env=env).wait().is_(0).err, "cannot be locked")
        contains(read(os.path.join(runtime, lock)), str(w.stats()["instances"][uhost(11)]["schedule"])[:5])
        equal(os.stat(os.path.join(runtime, "compshare-schedule")).st_mode & 0o077, 0)
        os.chmod(runtime, 0o777)
        w.start("run", uhost(11), "--", "true", env=env).wait().is_(0)
        assert os.path.exists(w.path(".local/state/" + lock)), "the home's state directory"
        equal(os.stat(w.path(".local/state/compshare-schedule")).st_mode & 0o077, 0)
        os.chmod(w.path(".local/state/compshare-schedule"), 0o777)
        contains(w.start("run", uhost(11), "--", "true", env=env).wait().is_(0).err, "cannot be locked")
        os.chmod(w.path(".local/state/compshare-schedule"), 0o700)
        lacks(w.start("run", uhost(11), "--", "true", env=dict(env, XDG_RUNTIME_DIR=None)).wait().is_(0).err, "cannot be locked")
        if os.getuid() == 0:
            os.chown(w.path(".local/state/compshare-schedule"), NOBODY, NOBODY)
            contains(w.start("run", uhost(11), "--", "true", env=env).wait().is_(0).err, "cannot be locked")
        assert not os.path.exists("/tmp/compshare-schedule-%s.lock" % uhost(11))


@test("run: a lock that another user holds where everybody writes keeps nobody from stopping")
def strangers_lock():
    import fcntl
    path = "/tmp/compshare-schedule-%s.lock" % uhost(7)
    with World() as w, open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            w.start("run", uhost(7), "--on-exit", "stop", "--", "true", env={"COMPSHARE_TEST_LOCKS": None}).wait().is_(0)
            equal(w.state(7), "Stopped")
        finally:
            os.unlink(path)


# ---- the terminal

@test("terminal: what is said while the command draws a progress bar begins on a line of its own")
def own_line():
    with World() as w:
        job = w.script("bar.sh", "cd %s\nprintf 'loss=0.123]'\necho ready >>log\nwhile [ ! -e end ]; do sleep 0.03; done\nprintf 'loss=0.001]'\n" % w.dir)
        with Terminal(w, [harness.args.tool_clock, "run", uhost(1), "--", "sh", job]) as t:
            t.expect("loss=0.123]")
            w.set(schedule__1=w.now() + 1000)
            w.renewed(1)
            t.expect("somebody had set")
            w.end()
            equal(t.popen.wait(harness.PATIENCE), 0)
            t.expect("the job has ended")
            for line in t.text.replace("\r", "\n").split("\n"):
                assert "compshare-schedule: " not in line or line.startswith("compshare-schedule: "), line
