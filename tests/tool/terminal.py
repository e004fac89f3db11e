"""run on a terminal: Ctrl-C, Ctrl-Z, fg, full-screen programs, first on a bare pty, then in tmux."""

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import termios
import time

import harness
from harness import Skip, Terminal, World, children, contains, equal, lacks, process_state, read, test, uhost, wait_for
from leases import DESCRIBE, DOWN, UP, UPDATE, near


def tool_below(pid):
    """The wrapper's pid, where a shell has started it."""
    def find():
        for child in children(pid):
            if os.path.realpath("/proc/%d/exe" % child) == os.path.realpath(harness.args.tool_clock):
                return child
        return None
    return wait_for("the tool below the shell", find)


def in_front(pid):
    """Waits until a shell has given the terminal to the process's group."""
    def given():
        fields = harness.process_fields(pid)
        return fields[2] == fields[5]
    wait_for("the terminal for %d" % pid, given)


def both(tool, pid, stopped):
    """A shell in the middle of a vfork counts as stopped: it waits for a child that is."""
    wait_for(lambda: "both %s: the tool is %s, the command %s" % ("stopped" if stopped else "going on", process_state(tool), process_state(pid)),
             lambda: (process_state(tool) == "T") == stopped and (process_state(pid) in ("T", "D") if stopped else process_state(pid) != "T"))


def quote(words):
    return " ".join("'%s'" % str(w).replace("'", "'\\''") for w in words)


def run_words(number, *words):
    return [harness.args.tool_clock, "run", uhost(number)] + list(words)


def logged(w, pid, name):
    """What was typed before has arrived by now: a signal that was sent later has."""
    count = w.log().count(name)
    os.kill(pid, getattr(signal, "SIG" + name))
    wait_for(name, lambda: w.log().count(name) > count)


@test("terminal: Ctrl-C reaches the command exactly once; Ctrl-\\ too")
def interrupt():
    with World() as w, Terminal(w, run_words(1, "--", *w.job("exit 5"))) as t:
        w.started()
        for n in (1, 2, 3):
            t.type("\x03")
            wait_for("INT", lambda: w.log().count("INT") >= n)
            logged(w, t.popen.pid, "USR1")
            equal(w.log().count("INT"), n)
        t.type("\x1c")
        wait_for("QUIT", lambda: "QUIT" in w.log())
        logged(w, t.popen.pid, "USR2")
        equal(w.log().count("QUIT"), 1)
        w.end()
        equal(t.popen.wait(harness.PATIENCE), 5)
        near(w.schedule(1), w.now() + 900)
    with World() as w, Terminal(w, run_words(1, "--", "sh", "-c", "echo ready; exec sleep 1000")) as t:
        t.expect("ready")
        t.type("\x03")
        equal(t.popen.wait(harness.PATIENCE), -2)


@test("terminal: Ctrl-Z where no shell could continue it stops nothing")
def orphaned():
    with World() as w, Terminal(w, run_words(1, "--", *w.job())) as t:
        pid = w.started()
        t.type("\x1a")
        logged(w, t.popen.pid, "USR1")
        assert process_state(t.popen.pid) != "T" and process_state(pid) != "T"
        lacks(t.text, "suspended")
        w.renewed(1)
        w.end()
        equal(t.popen.wait(harness.PATIENCE), 0)


@test("terminal: Ctrl-Z below a shell stops both and says so; fg, bg and CONT renew at once")
def suspended():
    with World() as w, Terminal(w, ["bash", "--norc", "--noprofile", "-i"]) as t:
        t.expect("$ ")
        t.type(quote(run_words(1, "--", *w.job())) + "\n")
        pid = w.started()
        tool = tool_below(t.popen.pid)
        for how in ("fg\n", "bg\n"):
            in_front(tool)
            t.type("\x1a")
            both(tool, pid, True)
            t.expect("suspended: renewals pause, off by ")
            t.expect("Stopped")
            before = w.requests(DESCRIBE)
            t.type(how)
            both(tool, pid, False)
            wait_for("a reading at once", lambda: w.requests(DESCRIBE) > before)
        os.kill(tool, signal.SIGCONT)
        for stop in (lambda: os.kill(tool, signal.SIGTSTP), lambda: os.kill(pid, signal.SIGTSTP)):      # asked for by a process
            stop()
            both(tool, pid, True)
            os.kill(tool, signal.SIGCONT)                   # the wrapper alone
            both(tool, pid, False)
            wait_for("the wrapper to be ready", lambda: process_state(tool) == "S")
            time.sleep(0.3)
        os.kill(tool, signal.SIGTSTP)
        both(tool, pid, True)
        before = w.schedule(1)
        w.advance(700)
        equal(w.schedule(1), before)
        os.kill(tool, signal.SIGCONT)
        both(tool, pid, False)
        wait_for("a renewal at once", lambda: w.schedule(1) > before)
        w.end()
        wait_for("the end", lambda: not os.path.exists("/proc/%d" % tool))
        t.type("exit\n")


@test("terminal: Ctrl-Z while the lease is being set stops nothing afterwards")
def early_stop():
    with World() as w, Terminal(w, ["bash", "--norc", "--noprofile", "-i"]) as t:
        t.expect("$ ")
        w.set(visibility_delay=20)
        t.type(quote(run_words(1, "--", *w.job())) + "\n")
        wait_for("reading back", lambda: w.requests(DESCRIBE) >= 3)
        tool = tool_below(t.popen.pid)
        in_front(tool)
        t.type("\x1a")
        time.sleep(0.2)
        w.until("the start", lambda: "ready" in w.log(), 5)
        w.started()
        w.set(visibility_delay=0)
        w.advance(5)
        logged(w, tool, "USR1")
        logged(w, tool, "USR2")
        assert process_state(tool) != "T"
        lacks(t.text, "suspended")
        w.end()
        t.expect("the job has ended")
        t.type("exit\n")


@test("terminal: input, window size and settings are the command's; its interrupt ends the job, the second one the end")
def undisturbed():
    with World() as w:
        job = w.script("ask.sh", "cd %s\ntrap 'stty size >size' WINCH\nstty -a >stty\necho ready\nread line; echo \"got $line\"; while [ ! -e end ]; do sleep 0.03; done\n" % w.dir)
        with Terminal(w, run_words(1, "--", "sh", job)) as t:
            t.expect("ready")
            contains(read(w.path("stty")), " icanon")
            t.type("words\n")
            t.expect("got words")
            fcntl.ioctl(t.master, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 99, 0, 0))
            wait_for("the size", lambda: read(w.path("size")) == "41 99\n")
            w.end()
            equal(t.popen.wait(harness.PATIENCE), 0)
    with World() as w:
        job = w.script("int.sh", "trap 'exit 4' INT\necho ready\nwhile :; do sleep 0.03; done\n")
        with Terminal(w, run_words(1, "--", "sh", job)) as t:
            t.expect("ready")
            w.set(**DOWN)
            connections = w.stats()["connections"]
            t.type("\x03")
            wait_for("the end to be tried", lambda: w.stats()["connections"] > connections)
            while t.running():
                t.type("\x03")
                time.sleep(0.1)
            equal(t.popen.wait(), 4)
            t.expect("at the latest")


@test("terminal: nothing is printed while a program has it raw; it is said afterwards")
def raw():
    with World() as w:
        job = w.script("full.sh", "cd %s\nstty raw -echo\nprintf 'FULL SCREEN'\nwhile [ ! -e cooked ]; do sleep 0.03; done\nstty sane\nwhile [ ! -e end ]; do sleep 0.03; done\n" % w.dir)
        with Terminal(w, run_words(1, "--verbose", "--warn", "50m", "--signal", "WINCH", "--", "sh", job)) as t:
            at = t.expect("FULL SCREEN")
            w.renewed(1)
            w.set(schedule__1=w.now() + 90000)
            w.looked(1)
            w.set(schedule__1=0, **DOWN)
            connections = w.stats()["connections"]
            w.advance(601)
            w.until("failures", lambda: w.stats()["connections"] > connections + 2, 15)
            equal(t.text[at:], "")
            with open(w.path("cooked"), "w"):
                pass
            t.expect("renewal failed", at)
            contains(t.text, "which is later: left alone")
            w.set(**UP)
            w.end()
            equal(t.popen.wait(harness.PATIENCE), 0)


@test("terminal: stopped by Ctrl-S it stops no renewals; what was to be said comes with Ctrl-Q")
def flow():
    with World() as w, Terminal(w, run_words(1, "--", *w.job())) as t:
        w.started()
        t.expect("machine dies")
        t.type("\x13")
        logged(w, t.popen.pid, "USR1")
        for _ in range(3):
            w.set(schedule__1=w.now() + 1000)
            w.renewed(1)
        lacks(t.text, "somebody had set")
        t.type("\x11")
        t.expect("somebody had set")
        w.end()
        equal(t.popen.wait(harness.PATIENCE), 0)


@test("terminal: a hangup reaches the command")
def hangup():
    with World() as w:
        with Terminal(w, run_words(1, "--", *w.job("exit 6"))) as t:
            w.started()
            t.hang_up()
            wait_for("HUP", lambda: "HUP" in w.log())
            w.end()
            equal(t.popen.wait(harness.PATIENCE), 6)
        equal(w.log().count("HUP"), 1)
        near(w.schedule(1), w.now() + 900)


@test("terminal: Ctrl-Z stops the wrapper though the command does not; fg brings both back")
def ignores():
    with World() as w, Terminal(w, ["bash", "--norc", "--noprofile", "-i"]) as t:
        t.expect("$ ")
        w.job()
        t.type(quote(run_words(1, "--", "sh", "-c", "trap '' TSTP; exec sh job.sh")) + "\n")
        w.started()
        tool = tool_below(t.popen.pid)
        in_front(tool)
        t.type("\x1a")
        wait_for("the tool to stop", lambda: process_state(tool) == "T")
        t.expect("Stopped")
        before = w.requests(DESCRIBE)
        t.type("fg\n")
        wait_for("a reading at once", lambda: w.requests(DESCRIBE) > before)
        w.end()
        t.expect("the job has ended")
        t.type("exit\n")


# ---- tmux

class Tmux:
    def __init__(self, world):
        if shutil.which("tmux") is None:
            raise Skip("there is no tmux")
        self.base = ["tmux", "-S", world.path("tmux"), "-f", "/dev/null"]
        env = world.environment({"TERM": "xterm-256color", "PS1": "$ ", "LANG": "C.UTF-8", "SHELL": "/bin/bash"})
        env.pop("TMUX", None)
        subprocess.run(self.base + ["new-session", "-d", "-x", "110", "-y", "30", "exec env PS1='$ ' bash --norc --noprofile -i"], env=env, cwd=world.dir, check=True,
                       stdin=subprocess.DEVNULL)
        self.shell = int(self.call("display-message", "-p", "#{pane_pid}"))
        self.shows("$")

    def call(self, *words):
        return subprocess.run(self.base + list(words), stdout=subprocess.PIPE, check=True).stdout.decode()

    def screen(self):
        return self.call("capture-pane", "-p")

    def shows(self, text):
        wait_for(lambda: "%r on the screen: %s" % (text, self.screen()), lambda: text in self.screen())

    def type(self, text):
        self.call("send-keys", "-l", text)

    def keys(self, *keys):
        self.call("send-keys", *keys)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        harness.captured.append(("tmux", self.call("capture-pane", "-p", "-S", "-")))
        server = int(self.call("display-message", "-p", "#{pid}"))
        self.call("kill-server")
        wait_for("tmux to end", lambda: not harness.alive(server))


def short(w):
    """A command line that fits the screen."""
    os.symlink(harness.args.tool_clock, w.path("cs"))


@test("tmux: Ctrl-C once; Ctrl-Z, fg with a real shell")
def tmux_keys():
    with World() as w, Tmux(w) as t:
        short(w)
        w.job("exit 5")
        t.type("./cs run %s -- sh job.sh; echo status=$?" % uhost(1))
        t.keys("Enter")
        pid = w.started()
        tool = tool_below(t.shell)
        t.keys("C-c")
        wait_for("INT", lambda: "INT" in w.log())
        logged(w, tool, "USR1")
        equal(w.log().count("INT"), 1)
        t.keys("C-z")
        both(tool, pid, True)
        t.shows("renewals pause")
        t.shows("Stopped")
        before = w.requests(DESCRIBE)
        t.type("fg")
        t.keys("Enter")
        wait_for("a reading at once", lambda: w.requests(DESCRIBE) > before)
        both(tool, pid, False)
        w.end()
        t.shows("the job has ended: off at")
        near(w.schedule(1), w.now() + 900)


def full_screen(program, leave):
    with World() as w, Tmux(w) as t:
        short(w)
        with open(w.path("text"), "w") as f:
            f.write("".join("this is line %d\n" % n for n in range(1, 200)))
        t.type("./cs run %s -- %s" % (uhost(1), program))
        t.keys("Enter")
        t.shows("this is line 20")
        tool = tool_below(t.shell)
        before = t.screen()
        w.renewed(1)
        w.set(schedule__1=w.now() + 1000)
        w.renewed(1)
        w.set(**DOWN)
        connections = w.stats()["connections"]
        w.advance(601)
        w.until("failures", lambda: w.stats()["connections"] > connections + 2, 15)
        equal(t.screen(), before)
        w.set(**UP)
        t.keys("C-z")
        wait_for("the tool to stop", lambda: process_state(tool) == "T")
        t.shows("Stopped")
        t.type("fg")
        t.keys("Enter")
        t.shows("this is line 20")
        wait_for("the tool to go on", lambda: process_state(tool) != "T")
        t.keys(*leave)
        t.shows("the job has ended: off at")
        contains(t.screen(), "somebody had set")


@test("tmux: less in full screen is not disturbed; what happened is said afterwards")
def tmux_less():
    if shutil.which("less") is None:
        raise Skip("there is no less")
    full_screen("less text", ("q",))


@test("tmux: vim in full screen is not disturbed; its Ctrl-Z and fg work")
def tmux_vim():
    if shutil.which("vim") is None:
        raise Skip("there is no vim")
    full_screen("vim -u NONE -N -i NONE -n text", (":q!", "Enter"))
