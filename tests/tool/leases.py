"""run, hazard by hazard, with real processes. Each test has instances and locks of its own."""

import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import time

import harness
from harness import Skip, World, alive, children, contains, equal, lacks, near, process_state, read, test, uhost, wait_for

UPDATE = "UpdateCompShareStopScheduler"
DESCRIBE = "DescribeCompShareInstance"
DOWN = {"drop_before": 1000000000, "drop_action": ""}
UP = {"drop_before": 0}


def refused(w, *words):
    """A run that must not start its command."""
    r = w.start("run", *words, "--", "sh", "-c", "echo ready >>%s" % w.path("log"))
    return r


def never_started(w):
    equal(w.log(), [], "what the command did")


def namespace():
    """What starts a command as process 1; None where that is not possible."""
    for prefix in (["unshare", "-p", "-f", "--kill-child"], ["unshare", "-U", "-r", "-p", "-f", "--kill-child"]):
        if shutil.which("unshare") and subprocess.run(prefix + ["true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return prefix
    return None


# ---- arming

@test("run: the lease is set and confirmed before the command starts, and says what will happen")
def arms_first():
    with World() as w:
        w.set(visibility_delay=20)
        p = w.start("run", uhost(1), "--", *w.job())
        wait_for("the change", lambda: w.requests(UPDATE) >= 1)
        wait_for("reading back", lambda: w.requests(DESCRIBE) >= 4)
        never_started(w)                            # accepted, but not shown
        w.until("the start", lambda: "ready" in w.log(), 5)
        w.started()
        contains(p.err, "%s stays on while the job lives" % uhost(1))
        contains(p.err, "it goes off 15 min after the job ends")
        near(w.schedule(1), w.now() + 3600)
        w.set(visibility_delay=0)
        w.end()
        p.wait().is_(0)


@test("run: waits up to 3 minutes while the instance is busy, and then starts")
def busy():
    with World() as w:
        w.set(fail_next=1000000, fail_code=8903, drop_action=UPDATE)
        p = w.start("run", uhost(1), "--", *w.job())
        for n in range(1, 25):
            wait_for("attempt %d" % n, lambda: w.requests(UPDATE) >= n)
            w.advance(6)
        never_started(w)
        assert p.running(), p.err
        w.set(fail_next=0)
        w.advance(6)
        w.started()
        w.end()
        p.wait().is_(0)


@test("run: busy for longer than 3 minutes, not reached for longer than 60 s: 125, not started")
def never_armed():
    with World() as w:
        w.set(fail_next=1000000, fail_code=8903, drop_action=UPDATE)
        began = w.now()
        p = w.start("run", uhost(1), "--", *w.job())
        wait_for("an attempt", lambda: w.requests(UPDATE) >= 1)
        time.sleep(harness.SETTLE)
        w.until("the end", lambda: not p.running(), 6, steady=True)
        r = p.wait().is_(125)
        assert w.now() - began >= 170, w.now() - began
        contains(r.err, "the command was not started")
        contains(r.err, "8903")
        w.set(fail_next=0, **DOWN)
        began, connections = w.now(), w.stats()["connections"]
        p = w.start("run", uhost(4), "--", *w.job())
        wait_for("an attempt", lambda: w.stats()["connections"] > connections)
        r = w.advance_while(p, step=3, pause=0.05).is_(125)
        assert 55 <= w.now() - began < 180, w.now() - began
        contains(r.err, "the lease could not be set")
        w.set(**UP)
        w.set(visibility_delay=1000000)
        p = w.start("run", uhost(5), "--", *w.job())
        w.until("the end", lambda: not p.running(), 6, steady=True)
        contains(p.wait().is_(125).err, "the command was not started")
        never_started(w)


@test("run: a signal while it arms: 125, nothing is started, --unarmed-ok or not, as PID 1 too")
def interrupted_arming():
    prefix = namespace()
    with World() as w:
        w.set(fail_next=1000000, fail_code=8903, drop_action=UPDATE)
        for number, words, wrap in ((signal.SIGINT, [], []), (signal.SIGTERM, ["--unarmed-ok"], []), (signal.SIGHUP, [], []), (signal.SIGTERM, [], prefix)):
            if wrap is None:
                continue
            before = w.requests(UPDATE)
            p = w.start("run", uhost(1), *words, "--", *w.job(), wrap=wrap)
            wait_for("an attempt", lambda: w.requests(UPDATE) > before)
            os.kill(children(p.pid)[0] if wrap else p.pid, number)
            contains(p.wait().is_(125).err, "the command was not started")
        never_started(w)


@test("run: waits while the instance starts")
def starting():
    with World() as w:
        w.set(state__1="Starting")
        p = w.start("run", uhost(1), "--", *w.job())
        for _ in range(14):
            before = w.requests(DESCRIBE)
            w.advance(6)
            wait_for("an attempt", lambda: w.requests(DESCRIBE) > before)
        assert p.running(), p.err
        never_started(w)
        w.set(state__1="Running")
        w.until("the start", lambda: "ready" in w.log(), 1)
        w.end()
        p.wait().is_(0)


@test("run: prepaid is refused unless --prepaid-ok, Spot always, Stopped and unknown instances too: 125")
def unleasable():
    with World() as w:
        for charge in ("Day", "Month", "Year"):
            w.set(charge__1=charge)
            r = w.start("run", uhost(1), "--", *w.job()).wait().is_(125)
            contains(r.err, "is prepaid (%s): stopping it saves nothing" % charge)
        equal(w.requests(UPDATE), 0)
        r = w.start("run", uhost(1), "--json", "--", *w.job()).wait().is_(125)
        equal(r.object()["error"]["exit_status"], 125)
        contains(w.start("run", uhost(3), "--", *w.job()).wait().is_(125).err, "Spot")
        contains(w.start("run", uhost(2), "--", *w.job()).wait().is_(125).err, "Stopped")
        contains(w.start("run", "uhost-none", "--", *w.job()).wait().is_(125).err, "uhost-none")
        contains(w.start("run", "../x", "--", *w.job()).wait().is_(125).err, "not the id of an instance")
        w.start("run", uhost(4), "--", *w.job(), env={"COMPSHARE_PRIVATE_KEY": "wrong"}).wait().is_(125)
        contains(w.start("run", uhost(4), "--until", w.now() + 200, "--", *w.job()).wait().is_(125).err, "less than 300 s")
        contains(w.start("run", uhost(4), "--max", "200s", "--unarmed-ok", "--", *w.job()).wait().is_(125).err, "less than 300 s")
        never_started(w)
        w.end()
        w.start("run", uhost(1), "--prepaid-ok", "--", *w.job("exit 3")).wait().is_(3)


@test("run --unarmed-ok: starts all the same; renews once the network is back; leaves Spot and prepaid alone")
def unarmed():
    with World() as w:
        w.set(charge__1="Month")
        w.end()
        for n in (1, 3):
            r = w.start("run", uhost(n), "--unarmed-ok", "--status-file", w.path("status"), "--", *w.job("exit 5")).wait().is_(5)
            contains(r.err, "the command starts all the same")
            equal(json.loads(read(w.path("status")))["ended"], "unarmed")
            equal(w.schedule(n), 0)
        os.unlink(w.path("end"))
        os.unlink(w.path("log"))
        w.set(**DOWN)
        p = w.start("run", uhost(4), "--unarmed-ok", "--", *w.job())
        w.until("the start", lambda: "ready" in w.log(), 3)
        w.set(**UP)
        w.until("a lease", lambda: w.schedule(4) > 0, 3)
        p.said("renewed: off by")
        w.end()
        p.wait().is_(0)
        near(w.schedule(4), w.now() + 900)


@test("run --unarmed-ok: what arming would have refused or limited holds as well once the network is back")
def unarmed_later():
    with World() as w:
        w.set(charge__5="Month", clock_offset=-86400, **DOWN)
        began = time.time() - 86400
        waits = ["--", "sh", "-c", "while [ ! -e %s ]; do sleep 0.03; done" % w.path("end")]
        limited = w.start("run", uhost(4), "--unarmed-ok", "--max", "40m", *waits)
        prepaid = w.start("run", uhost(5), "--unarmed-ok", *waits)
        free = w.start("run", uhost(6), "--unarmed-ok", *waits)
        for p in (limited, prepaid, free):
            w.until("the start", lambda p=p: "starts all the same" in p.err, 3)
        w.set(**UP)
        w.until("both leases", lambda: w.schedule(4) > 0 and w.schedule(6) > 0, 3)
        near(w.schedule(4), began + 2400, 90)
        near(w.schedule(6), began + 3600, 300)              # by the server's clock, not by ours
        w.until("the refusal", lambda: "is prepaid" in prepaid.err, 3)
        w.end()
        for p in (limited, prepaid, free):
            p.wait().is_(0)
        equal(w.schedule(5), 0)


# ---- the command

@test("run: the command's own status, and 128 + n for a signal")
def status():
    with World() as w:
        for n, code in enumerate((0, 1, 7, 124, 125, 255), 1):
            w.start("run", uhost(4), "--", "sh", "-c", "exit %d" % code).wait().is_(code)
        for number in (9, 15, 10):
            w.start("run", uhost(4), "--", "sh", "-c", "kill -%d $$" % number).wait().is_(128 + number)
        w.start("run", uhost(4), "--", "echo", "--json", "-x").wait().is_(0)
        equal(w.processes[-1].out, "--json -x\n")


@test("run: a command that cannot be run is found out before arming: 127 and 126")
def not_runnable():
    with World() as w:
        with open(w.path("plain"), "w") as f:
            f.write("text")
        for command, code in (("no-such-command-here", 127), (w.path("nothing"), 127), ("", 127), (w.path("plain"), 126), (w.dir, 126)):
            r = w.start("run", uhost(1), "--", command).wait().is_(code)
            contains(r.err, "cannot be run")
        equal(w.requests(), 0)
        w.script("here", "#!/bin/sh\nexit 4\n")
        w.start("run", uhost(1), "--", "here", env={"PATH": "/nonexistent:" + w.dir}).wait().is_(4)
        w.start("run", uhost(1), "--", "./here", cwd=w.dir).wait().is_(4)
        w.start("run", uhost(1), "--", w.script("odd", "#!/nonexistent/interpreter\n")).wait().is_(127)


@test("run: the command's environment holds no keys, and none of the tool's descriptors")
def environment():
    with World() as w:
        w.end()
        w.start("run", uhost(1), "--", *w.job()).wait().is_(0)
        env = read(w.path("env"))
        for part in ("COMPSHARE_PUBLIC_KEY", "COMPSHARE_PRIVATE_KEY", "COMPSHARE_SECURITY_TOKEN", harness.PRIVATE_KEY, harness.PUBLIC_KEY, harness.TOKEN):
            lacks(env, part)
        contains(env, "COMPSHARE_CA_FILE")
        fds = [line.split()[-3] for line in read(w.path("fds")).splitlines()[1:]]
        equal([fd for fd in fds if int(fd) > 2 and int(fd) != max(map(int, fds))], [], "descriptors")


@test("run: TERM, HUP, QUIT, INT, USR1 and USR2 sent to the wrapper reach the command once")
def passed_on():
    with World() as w:
        p = w.lease()
        for n, name in enumerate(("INT", "HUP", "QUIT", "USR1", "USR2"), 1):
            p.signal(getattr(signal, "SIG" + name))
            wait_for(name, lambda: len(w.log()) > n)
        equal(w.log(), ["ready", "INT", "HUP", "QUIT", "USR1", "USR2"])
        p.signal(signal.SIGTERM)
        p.wait().is_(9)
        equal(w.log()[-1], "TERM")
        near(w.schedule(1), w.now() + 900)


@test("run: a signal is passed on at once, though a name is being looked up that nobody answers for")
def passed_on_at_once():
    with World() as w:
        with open(w.path("slow.c"), "w") as f:
            f.write("""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    if (access(getenv("SLOW"), F_OK) == 0) close(open(getenv("ENTERED"), O_CREAT | O_WRONLY, 0666));
    while (access(getenv("SLOW"), F_OK) == 0) usleep(10000);
    return next(host, port, hints, list);
}
""")
        if b"ld-linux" not in open(harness.args.tool_clock, "rb").read() or subprocess.run(["cc", "-shared", "-fPIC", "-o", w.path("slow.so"), w.path("slow.c"), "-ldl"], check=False).returncode != 0:
            raise Skip("needs a dynamic program and a compiler")
        w.set(close_every=1)
        p = w.start("run", uhost(1), "--", *w.job(), env={"LD_PRELOAD": w.path("slow.so"), "SLOW": w.path("slow"), "ENTERED": w.path("entered")})
        w.started()
        with open(w.path("slow"), "w"):
            pass
        w.advance(601)
        wait_for("the name to be looked up", lambda: os.path.exists(w.path("entered")))
        p.signal(signal.SIGUSR1)
        wait_for("USR1", lambda: "USR1" in w.log(), 10)
        os.unlink(w.path("slow"))
        p.signal(signal.SIGUSR2)
        wait_for("USR2", lambda: "USR2" in w.log())
        w.end()
        p.wait().is_(0)
        equal(w.log(), ["ready", "USR1", "USR2"])


@test("run: what the command sends to its whole group is not passed back to it")
def own_group():
    with World() as w:
        p = w.start("run", uhost(1), "--", "sh", "-c", "trap 'echo USR1 >>log' USR1; trap 'echo USR2 >>log' USR2; kill -USR1 0; kill -USR1 0; echo ready >>log; while [ ! -e end ]; do sleep 0.03; done",
                    cwd=w.dir, start_new_session=True)
        wait_for("the start", lambda: "ready" in w.log())
        p.signal(signal.SIGUSR2)                            # the wrapper has dealt with what came before it
        wait_for("USR2", lambda: "USR2" in w.log())
        p.signal(signal.SIGUSR1)
        wait_for("a third one", lambda: len(w.log()) > 4)
        w.end()
        p.wait().is_(0)
        equal(w.log(), ["USR1", "USR1", "ready", "USR2", "USR1"])


@test("run: what was ignored stays ignored (nohup), what was not is as it was")
def dispositions():
    with World() as w:
        p = w.start("run", uhost(1), "--", *["sh", "-c", "cat /proc/self/status >status; echo ready >>log; while [ ! -e end ]; do sleep 0.03; done"],
                    wrap=["sh", "-c", 'trap "" HUP; exec "$0" "$@"'], cwd=w.dir)
        wait_for("the start", lambda: "ready" in w.log())
        p.signal(signal.SIGHUP)
        w.end()
        p.wait().is_(0)
        fields = dict(line.split(":\t", 1) for line in read(w.path("status")).splitlines() if ":\t" in line)
        ignored, blocked = int(fields["SigIgn"], 16), int(fields["SigBlk"], 16)
        equal(ignored >> (signal.SIGHUP - 1) & 1, 1)
        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGTSTP, signal.SIGTTOU, signal.SIGPIPE):
            equal(ignored >> (s - 1) & 1, 0, str(s))
        equal(blocked, 0)


@test("run: nobody reads what it says, or nobody ever could: the lease goes on")
def no_reader():
    with World() as w:
        reading, writing = os.pipe()
        argv = [harness.args.tool_clock, "run", uhost(1), "--"] + w.job("exit 3")
        popen = subprocess.Popen(argv, env=w.env, stderr=writing, stdin=subprocess.DEVNULL)
        os.close(writing)
        w.started()
        os.close(reading)
        w.set(schedule__1=w.now() + 1000)
        w.renewed(1)                                        # which is said
        w.renewed(1)
        w.end()
        equal(popen.wait(harness.PATIENCE), 3)
        near(w.schedule(1), w.now() + 900)
        p = w.start("run", uhost(4), "--", "sh", "-c", "exit 6", wrap=["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-'])
        p.wait().is_(6)
        near(w.schedule(4), w.now() + 900)
        lacks(read(w.path("compshare-schedule-%s.lock" % uhost(4))), "compshare")


@test("run: signals that whoever starts it has blocked are heard, and blocked for the command")
def blocked():
    def block():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})

    with World() as w:
        r = w.start("run", uhost(1), "--", "grep", "SigBlk", "/proc/self/status", preexec_fn=block).wait().is_(0)
        equal(int(r.out.split()[1], 16), 1 << (signal.SIGTERM - 1) | 1 << (signal.SIGCHLD - 1))
        w.set(fail_next=1000000, fail_code=8903, drop_action=UPDATE)
        before = w.requests(UPDATE)
        p = w.start("run", uhost(4), "--", *w.job(), preexec_fn=block)
        wait_for("an attempt", lambda: w.requests(UPDATE) > before)
        p.signal(signal.SIGTERM)
        p.wait().is_(125)


@test("run: a signal that comes with the last reply of arming starts nothing")
def last_moment():
    with World() as w:
        w.set(delay_ms=700)
        p = w.start("run", uhost(1), "--status-file", w.path("status"), "--", *w.job())
        wait_for("reading back", lambda: w.requests(DESCRIBE) >= 3)
        p.signal(signal.SIGSTOP)
        time.sleep(1.2)                                     # the reply is there
        p.signal(signal.SIGTERM)
        p.signal(signal.SIGCONT)
        contains(p.wait().is_(125).err, "interrupted: the command was not started")
        never_started(w)
        equal(json.loads(read(w.path("status")))["ended"], "unarmed")


@test("run: children that it had before the command (a script that became it) are not waited for")
def strangers():
    with World() as w:
        p = w.start("run", uhost(1), "--", "sh", "-c", "exit 4",
                    wrap=["sh", "-c", 'sleep 1000 & echo $! >%s; exec "$0" "$@"' % w.path("stranger")])
        r = p.wait()
        w.pids.append(int(read(w.path("stranger"))))
        contains(r.is_(4).err, "had children before the command")
        near(w.schedule(1), w.now() + 900)


@test("run --verbose: standard error that nobody reads from stops no renewals")
def stuck_reader():
    with World() as w:
        reading, writing = os.pipe()
        fcntl.fcntl(writing, 1031, 4096)                    # F_SETPIPE_SZ
        popen = subprocess.Popen([harness.args.tool_clock, "run", uhost(1), "--verbose", "--"] + w.job("exit 3"), env=w.env, stderr=writing, stdin=subprocess.DEVNULL)
        w.started()
        os.set_blocking(writing, False)
        try:
            while True:
                os.write(writing, b"x")
        except BlockingIOError:
            pass
        os.set_blocking(writing, True)
        for _ in range(4):
            w.renewed(1)
        os.close(writing)
        os.close(reading)
        w.end()
        equal(popen.wait(harness.PATIENCE), 3)


@test("run: a command that ends at once is warned about, one that takes longer is not")
def quick_end():
    with World() as w:
        contains(w.start("run", uhost(1), "--", "true").wait().is_(0).err, "within 10 s")
        contains(w.start("run", uhost(1), "--lang", "zh", "--", "true").wait().is_(0).err, "不到 10 秒")
        p = w.start("run", uhost(4), "--", *w.job())
        w.started()
        w.advance(11)
        w.end()
        lacks(p.wait().is_(0).err, "within 10 s")


@test("run: waits for the descendants of a command that forks and exits, and renews meanwhile")
def daemons():
    if os.uname().sysname != "Linux":
        raise Skip("subreapers are Linux's")
    with World() as w:
        job = " ".join(w.job())
        p = w.start("run", uhost(1), "--", "sh", "-c", "setsid sh -c 'setsid %s & exit 0' & exit 6" % job)
        w.started()
        p.said("waiting for them")
        w.renewed(1)
        w.renewed(1)
        assert p.running()
        w.end()
        p.wait().is_(6)
        near(w.schedule(1), w.now() + 900)
        os.unlink(w.path("end"))
        os.unlink(w.path("log"))
        p = w.start("run", uhost(4), "--", "sh", "-c", "sh %s & while [ ! -e %s ]; do sleep 0.03; done; exit 6" % (w.path("job.sh"), w.path("leave")))
        w.started()
        w.advance(20)
        with open(w.path("leave"), "w"):
            pass
        p.said("waiting for them")
        p.signal(signal.SIGTERM)                            # nobody is left to pass it on to
        p.wait().is_(6)
        w.end()


@test("run as PID 1 of a container: reaps orphans, passes signals on, passes the status through")
def pid_one():
    prefix = namespace()
    if prefix is None:
        raise Skip("unshare --pid --fork is not possible here")
    with World() as w:
        p = w.start("run", uhost(1), "--", "sh", "-c", "for i in 1 2 3; do (sh -c 'sleep 0.05' &) ; done; sleep 0.3; exec %s" % " ".join(w.job()), wrap=prefix)
        wait_for("the start", lambda: "ready" in w.log())
        inner, = children(p.pid)
        wait_for("the orphans' end", lambda: len(children(inner)) == 1)
        os.kill(inner, signal.SIGTSTP)                      # nobody could continue it
        w.renewed(1)
        os.kill(inner, signal.SIGUSR1)
        wait_for("USR1", lambda: "USR1" in w.log())
        os.kill(inner, signal.SIGTERM)
        p.wait().is_(9)
        near(w.schedule(1), w.now() + 900)


# ---- renewals

@test("run: renews every 8 to 10 minutes, a reading before every change, silently")
def renewals():
    with World() as w:
        p = w.lease()
        for _ in range(6):
            updates, readings = w.requests(UPDATE), w.requests(DESCRIBE)
            w.advance(470)
            time.sleep(0.1)
            equal(w.requests(UPDATE), updates)              # not yet
            w.renewed(1, 131)
            near(w.schedule(1), w.now() + 3600)
            equal(w.requests(UPDATE), updates + 1)
            wait_for("reading back", lambda: w.requests(DESCRIBE) >= readings + 2)
        equal(len(p.err.splitlines()), 3, p.err)            # what was said at the start
        w.end()
        p.wait().is_(0)
        equal(w.stats()["connections"] >= 1, True)


@test("run --ttl 15m --verbose: renews every 5 minutes at the most, and says so")
def short_ttl():
    with World() as w:
        p = w.start("run", uhost(1), "--ttl", "15m", "--grace", "5m", "--verbose", "--", *w.job())
        w.started()
        for _ in range(3):
            w.renewed(1, 301)
            near(w.schedule(1), w.now() + 900)
        p.said("renewed: off by")
        w.end()
        p.wait().is_(0)
        near(w.schedule(1), w.now() + 600)                  # the grace is at least the interval and 5 min


@test("run: an earlier plan that somebody sets is extended and said; one that stood before is announced")
def moved_back():
    with World() as w:
        w.set(schedule__1=w.now() + 1000)
        p = w.lease()
        contains(p.err, "a timed shutdown stood before")
        near(w.schedule(1), w.now() + 3600)
        w.set(schedule__1=w.now() + 1500)
        w.renewed(1)
        near(w.schedule(1), w.now() + 3600)
        wait_for("what is said", lambda: p.err.count("somebody had set") == 1 and p.err.count("extended to") == 1)
        w.released(p)


@test("run: a plan that somebody has cancelled is set again, and said")
def cancelled():
    with World() as w:
        p = w.lease()
        w.set(schedule__1=0)
        w.renewed(1)
        near(w.schedule(1), w.now() + 3600)
        p.said("no timed shutdown was shown (was it cancelled?): set again")
        w.end()
        p.wait().is_(0)


@test("run: a later plan that somebody sets is left alone and kept at the end, but for --on-exit stop; one that stood before is not kept")
def later_plan():
    with World() as w:
        for n, end, when in ((1, "grace", "during"), (4, "cancel", "during"), (5, "keep", "during"), (6, "grace", "before"), (7, "cancel", "before"), (8, "stop", "before")):
            for name in ("end", "log"):
                if os.path.exists(w.path(name)):
                    os.unlink(w.path(name))
            plan = w.now() + 50000
            if when == "before":
                w.set(**{"schedule__%d" % n: plan})
            p = w.start("run", uhost(n), "--on-exit", end, "--", *w.job())
            w.started()
            w.set(**{"schedule__%d" % n: plan})
            w.looked(n)
            if when == "during":
                p.said("which is later: left alone")
            equal(w.schedule(n), plan)
            w.end()
            r = p.wait().is_(0)
            if end == "stop":
                equal(w.state(n), "Stopped")
            elif when == "during":
                equal(w.schedule(n), plan, end + " " + when)
                contains(r.err, "as somebody else had set")
            elif end == "cancel":
                equal(w.schedule(n), 0)
            else:
                near(w.schedule(n), w.now() + 900)


@test("run: a later plan that the lease has overtaken is restored; one that was withdrawn is not")
def overtaken():
    with World() as w:
        p = w.lease()
        plan = w.schedule(1) + 100
        w.set(schedule__1=plan)
        w.renewed(1)
        assert w.schedule(1) > plan
        w.end()
        contains(p.wait().is_(0).err, "as somebody else had set")
        equal(w.schedule(1), plan)
    with World() as w:
        p = w.lease()
        w.set(schedule__1=w.now() + 50000)
        w.looked(1)
        p.said("left alone")
        w.set(schedule__1=0)
        w.renewed(1)
        p.said("cancelled")
        w.end()
        lacks(p.wait().is_(0).err, "as somebody else had set")
        near(w.schedule(1), w.now() + 900)


@test("run --until, --max: never beyond; a plan that is cancelled there is set again")
def limits():
    for option in ("--until", "--max"):
        with World() as w:
            limit = w.now() + 5400
            p = w.start("run", uhost(1), option, limit if option == "--until" else "90m", "--", *w.job())
            w.started()
            near(w.schedule(1), w.now() + 3600)
            for _ in range(3):
                w.renewed(1)
            w.looked(1)
            near(w.schedule(1), limit, 60)
            assert w.schedule(1) <= limit + 10
            limit = w.schedule(1)
            w.set(schedule__1=0)
            w.looked(1)
            wait_for("the plan", lambda: w.schedule(1) == limit)
            p.said("cancelled")
            while w.now() < limit - 400:
                w.advance(100)
                time.sleep(0.03)
            w.advance(limit - 295 - w.now())
            time.sleep(0.1)
            changes = w.requests(UPDATE)
            w.advance(limit - 20 - w.now())
            time.sleep(0.1)
            equal(w.requests(UPDATE), changes)              # nothing can be set any more
            assert p.running()
            equal(w.state(1), "Running")
            w.advance(60)
            equal(w.state(1), "Stopped")
            w.end()
            p.wait().is_(0)


@test("run --until: the end of the job sets no time beyond it")
def limit_at_end():
    with World() as w:
        limit = w.now() + 700
        p = w.start("run", uhost(1), "--until", limit, "--ttl", "1h", "--", *w.job())
        w.started()
        equal(w.schedule(1), limit // 60 * 60)
        w.end()
        p.wait().is_(0)
        equal(w.schedule(1), limit // 60 * 60)


@test("run: an instance that is stopped, or gone, when the job ends: nothing is started, no exit action")
def gone():
    with World() as w:
        for n, end in ((1, "stop"), (4, "grace")):
            for name in ("end", "log"):
                if os.path.exists(w.path(name)):
                    os.unlink(w.path(name))
            p = w.start("run", uhost(n), "--on-exit", end, "--status-file", w.path("status"), "--", *w.job("exit 8"))
            w.started()
            if n == 1:
                w.set(state__1="Stopped")
            else:
                w.set(remove=4)
            w.looked(n)
            p.said("is Stopped: looked at until it is Running" if n == 1 else "renewal failed")
            before = w.requests(UPDATE)
            w.advance(2000)
            time.sleep(0.1)
            w.end()
            contains(w.advance_while(p, step=1).is_(8).err, "there is nothing to end")
            equal(w.requests(UPDATE), before)
            equal(json.loads(read(w.path("status")))["ended"], "gone")
        equal(w.state(1), "Stopped")
        equal((w.requests("StartCompShareInstance"), w.requests("StopCompShareInstance")), (0, 0))


@test("run: a state that passes is no end, neither during the run nor when the job ends")
def passing():
    with World() as w:
        p = w.start("run", uhost(1), "--on-exit", "stop", "--", *w.job())
        w.started()
        for state in ("Resizing", "Rebooting"):
            w.set(state__1=state)
            w.looked(1)
            p.said("renewal failed")
            schedule = w.schedule(1)
            w.set(state__1="Running")
            w.until("a renewal", lambda: w.schedule(1) > schedule, 3)
        before = w.requests(DESCRIBE)
        w.set(state__1="Rebooting")
        w.end()
        wait_for("the end to be tried", lambda: w.requests(DESCRIBE) > before)
        time.sleep(harness.SETTLE)
        w.set(state__1="Running")
        w.advance_while(p, step=1).is_(0)
        equal(w.state(1), "Stopped")


@test("run: one list that lacks the instance when the job ends does not skip the end")
def missing_at_end():
    with World() as w:
        p = w.lease()
        before = w.requests(DESCRIBE)
        w.set(remove=1)
        w.end()
        wait_for("the end to be tried", lambda: w.requests(DESCRIBE) > before)
        time.sleep(harness.SETTLE)
        w.set(restore=1)
        w.advance_while(p, step=1).is_(0)
        near(w.schedule(1), w.now() + 900)


@test("run: an own renewal whose answer was lost is not taken for somebody else's plan, without a lock file either")
def own_renewal():
    with World() as w:
        p = w.start("run", uhost(1), "--", *w.job(), env={"COMPSHARE_TEST_LOCKS": "/nonexistent"})
        w.started()
        before = w.schedule(1)
        w.set(visibility_delay=1000)
        w.advance(601)
        wait_for("a renewal", lambda: w.schedule(1) > before)
        began, readings = w.now(), w.requests(DESCRIBE)
        w.until("reading back to be given up", lambda: w.now() - began > 45, 2)
        assert w.requests(DESCRIBE) > readings
        w.set(visibility_delay=0, schedule__1=w.schedule(1))            # shown now
        w.end()
        lacks(p.wait().is_(0).err, "somebody")
        near(w.schedule(1), w.now() + 900)


@test("run: one list that lacks the instance is no end; an end that finds it stopped says so")
def missing_once():
    with World() as w:
        p = w.lease()
        w.set(remove=1)
        w.looked(1)
        p.said("renewal failed")
        w.set(restore=1)
        schedule = w.schedule(1)
        w.until("a renewal", lambda: w.schedule(1) > schedule, 3)
        w.set(state__1="Stopped")
        before = w.requests(UPDATE)
        w.end()
        contains(p.wait().is_(0).err, "is Stopped: there is nothing to end")
        equal(w.requests(UPDATE), before)


@test("run: renewals that fail are tried again after 5 to 60 s until the network is back; the margin is printed")
def failed_renewals():
    with World() as w:
        p = w.lease()
        w.set(**DOWN)
        before = w.requests()
        w.advance(601)
        wait_for("a failure", lambda: "renewal failed" in p.err)
        for pause in (5, 10, 20, 40, 60, 60):
            tried = w.stats()["connections"]
            w.advance(pause // 2)
            time.sleep(0.05)
            equal(w.stats()["connections"], tried)          # not yet
            w.advance(pause // 2 + 2)
            wait_for("the next attempt", lambda: w.stats()["connections"] > tried)
            time.sleep(harness.SETTLE)
        equal(p.err.count("renewal failed"), 1)
        contains(p.err, "off by 20")
        contains(p.err, "min left: ")
        assert w.requests() > before or True
        equal(w.log(), ["ready"])
        w.set(**UP)
        schedule = w.schedule(1)
        w.until("a renewal", lambda: w.schedule(1) > schedule, 20)
        w.end()
        p.wait().is_(0)


@test("run --warn --signal: sent once, when the lease runs out with the network down")
def warned():
    with World() as w:
        p = w.start("run", uhost(1), "--warn", "10m", "--signal", "USR1", "--", *w.job())
        w.started()
        w.renewed(1)
        end = w.schedule(1)
        w.set(**DOWN)
        while w.now() < end - 640:
            w.advance(200 if w.now() < end - 900 else 30)
            time.sleep(0.05)
        wait_for("a failure", lambda: "renewal failed" in p.err)
        equal(w.log(), ["ready"])
        w.advance(60)
        wait_for("USR1", lambda: "USR1" in w.log())
        p.said("before the card goes off: signal USR1 sent")
        w.advance(200)
        p.signal(signal.SIGUSR2)
        wait_for("USR2", lambda: "USR2" in w.log())
        equal(w.log(), ["ready", "USR1", "USR2"])
        w.set(**UP)
        w.until("a renewal", lambda: w.schedule(1) > end, 20)
        w.end()
        p.wait().is_(0)


@test("run --warn --signal: sent once before --until, though the network is fine; to --pid as well")
def warned_limit():
    with World() as w:
        p = w.start("run", uhost(1), "--until", w.now() + 2000, "--warn", "15m", "--signal", "SIGUSR2", "--", *w.job())
        pid = w.started()
        q = w.start("run", uhost(4), "--until", w.now() + 2000, "--warn", "15m", "--signal", "USR1", "--pid", pid)
        q.said("off by")
        w.advance(1000)
        time.sleep(0.1)
        equal(w.log(), ["ready"])
        w.advance(120)
        wait_for("both", lambda: sorted(w.log()) == ["USR1", "USR2", "ready"])
        w.looked(1, 500)
        w.advance(100)
        p.signal(signal.SIGHUP)
        wait_for("HUP", lambda: "HUP" in w.log())
        equal(len(w.log()), 4, w.log())
        w.end()
        p.wait().is_(0)
        q.wait().is_(0)


@test("run: a machine that slept renews at once when it wakes; so does a wrapper that was stopped")
def slept():
    with World() as w:
        p = w.lease()
        p.signal(signal.SIGSTOP)
        wait_for("the stop", lambda: process_state(p.pid) == "T")
        w.advance(1800)
        before = w.schedule(1)
        p.signal(signal.SIGCONT)
        wait_for("a renewal", lambda: w.schedule(1) > before)
        before = w.requests(DESCRIBE)
        p.signal(signal.SIGSTOP)
        wait_for("the stop", lambda: process_state(p.pid) == "T")
        p.signal(signal.SIGCONT)                            # no time has passed
        wait_for("a reading", lambda: w.requests(DESCRIBE) > before)
        w.end()
        p.wait().is_(0)


@test("run: SIGKILL of the wrapper: the server stops the instance at the last lease")
def killed():
    with World() as w:
        p = w.start("run", uhost(1), "--", *w.job())
        pid = w.started()
        w.renewed(1)
        end = w.schedule(1)
        p.signal(signal.SIGKILL)
        p.wait().is_(128 + 9)
        os.kill(pid, signal.SIGKILL)
        w.advance(end - w.now() - 20)
        equal(w.state(1), "Running")
        w.advance(30)
        equal(w.state(1), "Stopped")
        # the next run on this host knows the lease that is left for its own
        w.set(schedule__4=0)
        for name in ("log",):
            os.unlink(w.path(name))
        p = w.start("run", uhost(4), "--ttl", "3h", "--", *w.job())
        pid = w.started()
        p.signal(signal.SIGKILL)
        p.wait()
        os.kill(pid, signal.SIGKILL)
        os.unlink(w.path("log"))
        p = w.start("run", uhost(4), "--", *w.job())
        w.started()
        w.end()
        lacks(p.wait().is_(0).err, "somebody")
        near(w.schedule(4), w.now() + 900)


# ---- several runs, and processes that run already

@test("run: of two on one instance only the last one out shortens; neither takes the other for somebody else")
def two():
    with World() as w:
        stop = [w.path("a"), w.path("b")]
        runs = [w.start("run", uhost(1), "--on-exit", end, "--", "sh", "-c", "while [ ! -e %s ]; do sleep 0.03; done" % path)
                for path, end in zip(stop, ("stop", "grace"))]
        for run in runs:
            run.said("off by")
        for _ in range(3):
            w.renewed(1)
        wait_for("both to have looked", lambda: True)
        schedule = w.schedule(1)
        with open(stop[0], "w"):
            pass
        contains(runs[0].wait().is_(0).err, "another run on this host still leases " + uhost(1))
        equal((w.state(1), w.schedule(1) >= schedule), ("Running", True))
        w.renewed(1)
        with open(stop[1], "w"):
            pass
        r = runs[1].wait().is_(0)
        near(w.schedule(1), w.now() + 900)
        for run in runs:
            lacks(run.err, "somebody")
        contains(r.err, "the job has ended: off at")


@test("run: two with different ttl, and one that is killed: the longer lease stands until the last one out")
def two_ttls():
    with World() as w:
        def waits(name, ttl):
            return w.start("run", uhost(1), "--ttl", ttl, "--", "sh", "-c", "echo $$ >%s.pid; while [ ! -e %s ]; do sleep 0.03; done" % (w.path(name), w.path(name)))

        def leave(name):
            with open(w.path(name), "w"):
                pass
        short = waits("short", "15m")
        short.said("off by")
        for name in ("long", "killed"):
            long = waits(name, "3h")
            long.said("off by")
            near(w.schedule(1), w.now() + 10800)
            schedule = w.schedule(1)
            if name == "long":
                leave(name)
                contains(long.wait().is_(0).err, "another run on this host still leases")
            else:
                wait_for("its command", lambda: read(w.path("killed.pid")).strip())
                long.signal(signal.SIGKILL)
                long.wait()
                leave(name)
            w.looked(1, 301)
            equal(w.schedule(1), schedule)
        leave("short")
        lacks(short.wait().is_(0).err, "somebody")
        near(w.schedule(1), w.now() + 900)


@test("run: two that end together: one of them shortens")
def together():
    with World() as w:
        runs = [w.start("run", uhost(1), "--", "sh", "-c", "while [ ! -e %s ]; do sleep 0.01; done" % w.path("end")) for _ in range(4)]
        for run in runs:
            run.said("off by")
        w.end()
        for run in runs:
            run.wait().is_(0)
        near(w.schedule(1), w.now() + 900)


@test("run: while the last one out ends the lease no other begins: it would be undone")
def waits_for_end():
    with World() as w, open(w.path("compshare-schedule-%s.lock" % uhost(1)), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        p = w.start("run", uhost(1), "--", *w.job())
        p.said("is just ending its lease")
        w.advance(5)
        time.sleep(0.3)
        equal(w.requests(), 0)
        fcntl.flock(lock, fcntl.LOCK_UN)
        w.until("the start", lambda: "ready" in w.log(), 1)
        w.end()
        p.wait().is_(0)
        fcntl.flock(lock, fcntl.LOCK_EX)
        p = w.start("run", uhost(1), "--", *w.job())
        p.said("is just ending its lease")
        p.signal(signal.SIGTERM)
        contains(p.wait().is_(125).err, "nothing was changed")


@test("run: one whose instance is stopped leases it again, and another one on this host does not end that")
def stopped_is_shared():
    with World() as w:
        p = w.lease()
        w.set(state__1="Stopped", schedule__1=0)
        w.looked(1)
        p.said("is Stopped")
        w.set(state__1="Running")
        contains(w.start("run", uhost(1), "--", "true").wait().is_(0).err, "another run")
        w.until("a lease", lambda: "renewed again" in p.err, 5)
        near(w.schedule(1), w.now() + 3600, 120)
        w.released(p)


@test("run: a lock that cannot be had is said, and is no hindrance")
def no_lock():
    with World() as w:
        r = w.start("run", uhost(1), "--", "true", env={"COMPSHARE_TEST_LOCKS": "/nonexistent"}).wait().is_(0)
        contains(r.err, "cannot be locked")
        os.symlink("/etc/passwd", w.path("compshare-schedule-%s.lock" % uhost(4)))
        contains(w.start("run", uhost(4), "--", "true").wait().is_(0).err, "cannot be locked")
        with open(w.path("file"), "w") as f:
            f.write("mine\n")
        os.link(w.path("file"), w.path("compshare-schedule-%s.lock" % uhost(5)))
        contains(w.start("run", uhost(5), "--", "true").wait().is_(0).err, "cannot be locked")
        equal(read(w.path("file")), "mine\n")
        equal(oct(os.stat(w.path("compshare-schedule-%s.lock" % uhost(1))).st_mode & 0o7133) if os.path.exists(w.path("compshare-schedule-%s.lock" % uhost(1))) else "0o0", "0o0")


@test("run --pid: leases for a process that runs already; one that does not is 125")
def by_pid():
    with World() as w:
        sleeper = subprocess.Popen(["sleep", "1000"])
        try:
            p = w.start("run", uhost(1), "--pid", sleeper.pid)
            p.said("off by")
            w.renewed(1)
            w.renewed(1)
            sleeper.kill()                                  # a zombie is no job
            p.wait().is_(0)
            near(w.schedule(1), w.now() + 900)
        finally:
            sleeper.kill()
            sleeper.wait()
        before = w.requests()
        contains(w.start("run", uhost(1), "--pid", sleeper.pid).wait().is_(125).err, "no such process")
        equal(w.requests(), before)
        sleeper = subprocess.Popen(["sleep", "1000"])
        try:
            p = w.start("run", uhost(4), "--pid", sleeper.pid, "--on-exit", "stop")
            p.said("off by")
            before = w.schedule(4)
            p.signal(signal.SIGTERM)                        # which is not the end of the job
            contains(p.wait().is_(0).err, "still runs: nothing is changed")
            assert alive(sleeper.pid)
            equal((w.schedule(4), w.state(4)), (before, "Running"))
        finally:
            sleeper.kill()
            sleeper.wait()


@test("run --pid: what cannot be looked at is no end, and neither is the first thread's")
def pid_lives():
    with World() as w:
        sleeper = subprocess.Popen(["sleep", "1000"])
        p = w.start("run", uhost(1), "--pid", sleeper.pid)
        p.said("off by")
        limits = resource.prlimit(p.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(p.pid, resource.RLIMIT_NOFILE, (3, limits[1]))     # not one descriptor more
        time.sleep(0.3)
        assert p.running(), p.err
        resource.prlimit(p.pid, resource.RLIMIT_NOFILE, limits)
        sleeper.kill()
        sleeper.wait()
        p.wait().is_(0)
        near(w.schedule(1), w.now() + 900)
        if os.uname().machine != "x86_64":
            return
        threads = subprocess.Popen(["python3", "-c", """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
ctypes.CDLL(None).syscall(60, 0)
"""])
        try:
            wait_for("the first thread's end", lambda: process_state(threads.pid) == "Z")
            p = w.start("run", uhost(4), "--pid", threads.pid)
            p.said("off by")
            time.sleep(0.3)
            assert p.running(), p.err
            threads.kill()
            p.wait().is_(0)
        finally:
            threads.kill()
            threads.wait()


@test("run --pid --warn: a process of another user, which could not be signalled, is refused at once")
def pid_of_another():
    if os.getuid() != 0:
        raise Skip("needs root")
    with World() as w:
        argv = [harness.args.tool_clock, "run", uhost(1), "--warn", "10m", "--signal", "USR1", "--pid", str(os.getpid())]
        done = subprocess.run(argv, env=w.env, user=65534, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        contains(done.stderr.decode(), "is another user's")
        equal((done.returncode, w.requests()), (125, 0))


# ---- the end

@test("run --on-exit: grace, stop, cancel, keep; --grace")
def on_exit():
    with World() as w:
        for n, words, text in ((1, [], "off at"), (4, ["--on-exit", "grace", "--grace", "40m"], "off at"), (5, ["--on-exit", "stop"], "the instance is stopped"),
                               (6, ["--on-exit", "cancel"], "no timed shutdown"), (7, ["--on-exit", "keep"], "off at")):
            r = w.start("run", uhost(n), "--ttl", "2h", *words, "--status-file", w.path("status"), "--", "true").wait().is_(0)
            contains(r.err, "the job has ended: ")
            contains(r.err, text)
            s = json.loads(read(w.path("status")))
            equal((s["uhost_id"], s["exit_status"], s["ended"]), (uhost(n), 0, "kept" if "keep" in words else "done"))
            if n != 5:
                equal(s["stop_time"], w.schedule(n))
        near(w.schedule(1), w.now() + 900)
        near(w.schedule(4), w.now() + 2400)
        equal((w.state(5), w.requests("StopCompShareInstance")), ("Stopped", 1))
        equal(w.schedule(6), 0)
        near(w.schedule(7), w.now() + 7200)
        w.set(fail_next=1, fail_code=160, drop_action="StopCompShareInstance")
        r = w.start("run", uhost(8), "--on-exit", "stop", "--", "true").wait().is_(0)
        contains(r.err, "at the latest")
        near(w.schedule(8), w.now() + 330)                  # shortened first
        w.set(drop_after=1)
        w.start("run", uhost(9), "--on-exit", "stop", "--", "true").wait().is_(0)
        equal(w.state(9), "Stopped")


@test("run --on-exit stop: stops though the API does not show in time that the lease was shortened")
def stops_unshown():
    with World() as w:
        p = w.start("run", uhost(1), "--on-exit", "stop", "--", *w.job("exit 3"))
        w.started()
        before = w.requests(UPDATE)
        w.set(visibility_delay=100000)
        w.end()
        wait_for("the change", lambda: w.requests(UPDATE) > before)
        w.advance_while(p, step=1, pause=0.05).is_(3)
        equal((w.state(1), w.requests("StopCompShareInstance")), ("Stopped", 1))


@test("run: what may have been changed when the network is lost at the end is not promised away")
def doubtful_end():
    delete = "DeleteCompShareStopScheduler"
    for end, action in (("cancel", delete), ("grace", UPDATE)):
        with World() as w:
            p = w.start("run", uhost(1), "--on-exit", end, "--", *w.job("exit 3"))
            w.started()
            before = w.requests(action)
            w.set(visibility_delay=100000)
            if end == "grace":
                w.advance(601)                              # a renewal that nobody confirms
            else:
                w.end()
            wait_for("the change", lambda: w.requests(action) > before)
            latest = w.schedule(1)
            w.gateway.kill()
            w.gateway.wait()
            w.end()
            ahead = harness.struct.unpack_from("q", w.ahead, 0)[0]
            while p.running():
                ahead += 3000
                harness.struct.pack_into("q", w.ahead, 0, ahead)
                time.sleep(0.02)
            r = p.wait().is_(3)
            if end == "cancel":
                contains(r.err, "may have been cancelled")
                lacks(r.err, "at the latest")
            else:
                contains(r.err, "off by %s +0000 at the latest" % time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(latest)))


@test("run --status-file: replaced as a whole, after a failure to arm too; a link and a device are written to")
def status_replaced():
    with World() as w:
        with open(w.path("status"), "w") as f:
            f.write("old")
        old = os.stat(w.path("status")).st_ino
        os.symlink(w.path("status"), w.path("link"))
        w.start("run", uhost(2), "--status-file", w.path("link"), "--", "true").wait().is_(125)
        equal(json.loads(read(w.path("status"))), {"uhost_id": uhost(2), "stop_time": 0, "ended": "unarmed", "exit_status": 125})
        equal((os.path.islink(w.path("link")), os.stat(w.path("status")).st_ino), (True, old))
        w.start("run", uhost(1), "--status-file", w.path("status"), "--", "no-such-command-here").wait().is_(127)
        equal(json.loads(read(w.path("status")))["exit_status"], 127)
        equal([name for name in os.listdir(w.dir) if name.startswith("status")], ["status"])
        contains(w.start("run", uhost(1), "--status-file", "/dev/full", "--", "sh", "-c", "exit 7").wait().is_(7).err, "/dev/full: cannot be written")


@test("run --status-file: one that cannot be written is said, and changes no status")
def status_file():
    with World() as w:
        contains(w.start("run", uhost(1), "--status-file", "/nonexistent/x", "--", "sh", "-c", "exit 7").wait().is_(7).err, "/nonexistent/x: cannot be written")


@test("run: the network down at the end: tried for 60 s, then off by ... at the latest, and the job's status")
def down_at_end():
    with World() as w:
        p = w.start("run", uhost(1), "--status-file", w.path("status"), "--", *w.job("exit 7"))
        w.started()
        w.advance(20)
        w.set(**DOWN)
        schedule, before = w.schedule(1), w.requests()
        began = w.now()
        w.end()
        r = w.advance_while(p, step=3).is_(7)
        assert w.now() - began >= 55, w.now() - began
        contains(r.err, "off by ")
        contains(r.err, "at the latest")
        equal(json.loads(read(w.path("status"))), {"uhost_id": uhost(1), "stop_time": schedule, "ended": "failed", "exit_status": 7})
        equal(w.schedule(1), schedule)
        assert w.requests() >= before


@test("run: the network down at the end, and back within the minute; the gateway killed")
def back_in_time():
    with World() as w:
        p = w.lease()
        w.advance(20)
        w.set(**DOWN)
        w.end()
        time.sleep(0.2)
        w.advance(6)
        time.sleep(0.2)
        w.set(**UP)
        w.until("the grace", lambda: w.schedule(1) < w.now() + 1000, 1)
        lacks(p.wait().is_(0).err, "at the latest")
    with World() as w:
        p = w.start("run", uhost(1), "--", *w.job("exit 3"))
        w.started()
        w.gateway.kill()
        w.gateway.wait()
        ahead = 0
        w.end()
        while p.running():
            ahead += 3000
            harness.struct.pack_into("q", w.ahead, 0, ahead)
            time.sleep(0.02)
        contains(p.wait().is_(3).err, "at the latest")


@test("run: an interrupt while the end is tried skips it")
def skipped():
    with World() as w:
        p = w.start("run", uhost(1), "--status-file", w.path("status"), "--", *w.job("exit 7"))
        w.started()
        w.set(**DOWN)
        before = w.requests()
        w.end()
        wait_for("an attempt", lambda: w.stats()["connections"] >= 2 or w.requests() > before)
        number = signal.SIGINT
        while p.running():
            p.signal(number)
            time.sleep(0.1)
        contains(p.wait().is_(7).err, "at the latest")
        equal(json.loads(read(w.path("status")))["ended"], "failed")


@test("run: everything it says is said in Chinese, too")
def chinese():
    with World() as w:
        w.set(schedule__1=w.now() + 1000)
        p = w.start("run", uhost(1), "--lang", "zh", "--", *w.job())
        w.started()
        w.set(**DOWN)
        w.advance(601)
        p.said("续租失败")
        w.set(**UP)
        w.end()
        r = p.wait().is_(0)
        for part in ("之前已有定时关机", "任务运行期间", "任务结束 15", "如果本程序、网络或本机出故障", "任务已结束"):
            contains(r.err, part)


@test("run with the tool as it is installed: a lease around a job")
def installed():
    with World() as w:
        number = 1500
        w.set(instances=2000)
        r = w.tool("run", uhost(number), "--", "sh", "-c", "echo out; exit 7", stdin="")
        r.is_(7)
        equal(r.out, "out\n")
        contains(r.err, "stays on while the job lives")
        near(w.schedule(number), w.now() + 900, 120)
        equal(len(read(w.path(".local/state/compshare-schedule/compshare-schedule-%s.lock" % uhost(number))).split()), 2)
