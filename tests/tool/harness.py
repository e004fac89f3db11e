"""What the tests of compshare-schedule stand on: a registry of tests, a World (a gateway
of one's own, its clock and the tool's moved together, the tool's processes), and a pty.
Waits are for events, never for time: a slow machine makes a test slow, not wrong."""

import fcntl
import glob
import http.client
import json
import mmap
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time
import urllib.parse

SETTLE = 0.1                        # until a reply that was seen to be asked for has arrived: clocks must not move under it
PATIENCE = 60                       # seconds until an event that must come is given up
PUBLIC_KEY = "planted-public-key-4b1d@example.com1296235120"
PRIVATE_KEY = "planted0private0key09e2c57a1d"
TOKEN = "planted0security0token0c3f88"
PASSWORD = "VGVzdC1QYXNzd29yZC0yMDI0IQ=="      # of every instance of the gateway
SECRETS = [PRIVATE_KEY, TOKEN, PASSWORD, "ssh -p 23", "198.51.100.", "10.60."]

args = None                         # the command line: tool, tool_clock, gateway, certs, source
tests = []                          # (name, function)
captured = []                       # (what, text): everything the tool said, but for --reveal


class Skip(Exception):
    pass


def test(name):
    def add(function):
        tests.append((name, function))
        return function
    return add


def equal(a, b, what=""):
    assert a == b, "%s: %r is not %r" % (what or "got", a, b)


def contains(text, part):
    assert part in text, "%r is not in %r" % (part, text)


def lacks(text, part):
    assert part not in text, "%r is in %r" % (part, text)


def wait_for(what, predicate, patience=PATIENCE):
    end = time.monotonic() + patience
    while True:
        got = predicate()
        if got:
            return got
        assert time.monotonic() < end, "never came: " + (what if isinstance(what, str) else what())
        time.sleep(0.01)


def source(*programs):
    """The parts, and the main files of the programs."""
    parts = sorted(glob.glob(os.path.join(args.source, "*.h")))
    return "\n".join(read(path) for path in parts + [os.path.join(args.source, name + ".c") for name in programs])


def read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def is_(self, code):
        assert self.code == code, "exit status %d, not %d\nstdout: %s\nstderr: %s" % (self.code, code, self.out, self.err)
        return self

    def objects(self):
        """Every line of standard output as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    def object(self):
        got = self.objects()
        equal(len(got), 1, "objects in %r" % self.out)
        return got[0]


class Process:
    """The tool in the background, its output in files."""

    def __init__(self, world, argv, env, cwd=None, **options):
        world.count += 1
        self.base = os.path.join(world.dir, "process%d" % world.count)
        self.argv = argv
        with open(self.base + ".out", "wb") as out, open(self.base + ".err", "wb") as err:
            self.popen = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err, **options)
        self.pid = self.popen.pid

    @property
    def out(self):
        return read(self.base + ".out")

    @property
    def err(self):
        return read(self.base + ".err")

    def signal(self, number):
        os.kill(self.pid, number)

    def running(self):
        return self.popen.poll() is None

    def said(self, text):
        def seen():
            if text in self.err:
                return True
            assert self.running() or text in self.err, "ended with %r, and had not said %r: %r" % (self.popen.returncode, text, self.err)
            return False
        wait_for(lambda: "%r in %r" % (text, self.err), seen)

    def wait(self):
        try:
            code = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError("did not end: %s\n%s" % (self.argv, self.err)) from None
        return Result(128 - code if code < 0 else code, self.out, self.err)


class World:
    def __init__(self, instances=12, certificate="ec", options=()):
        self.dir = tempfile.mkdtemp(prefix="cstool-")
        self.count = 0
        self.processes = []
        self.pids = []
        self.gateway = None
        ahead = os.path.join(self.dir, "ahead")
        with open(ahead, "wb") as f:
            f.write(struct.pack("q", 0))
        self.ahead_file = open(ahead, "r+b")
        self.ahead = mmap.mmap(self.ahead_file.fileno(), 8)
        self.ports = os.path.join(self.dir, "ports")
        self.command = [args.gateway, "--cert", "%s/%s-chain.pem" % (args.certs, certificate), "--key",
                        "%s/%s-key.pem" % (args.certs, certificate), "--port-file", self.ports, "--instances", str(instances),
                        "--public-key", PUBLIC_KEY, "--private-key", PRIVATE_KEY, "--token", TOKEN]
        for option in options:
            self.command += ["--option", option]
        self.gateway = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        found = dict(line.split("=") for line in wait_for("the gateway's ports", lambda: read(self.ports)).split())
        self.port, self.control = int(found["port"]), int(found["control"])
        self.env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.dir, "TZ": "UTC", "LANG": "C",
            "COMPSHARE_BASE_URL": "https://localhost:%d" % self.port, "COMPSHARE_CA_FILE": args.certs + "/roots.pem",
            "COMPSHARE_PUBLIC_KEY": PUBLIC_KEY, "COMPSHARE_PRIVATE_KEY": PRIVATE_KEY, "COMPSHARE_SECURITY_TOKEN": TOKEN,
            "COMPSHARE_TEST_AHEAD": ahead, "COMPSHARE_TEST_LOCKS": self.dir,
        }

    def __enter__(self):
        return self

    def __exit__(self, *what):
        for process in self.processes:
            if process.running():
                process.popen.kill()
                process.popen.wait()
            captured.append((" ".join(process.argv), process.out + process.err))
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.gateway.poll() is None:
            self.gateway.terminate()
        self.gateway.wait()
        self.ahead.close()
        self.ahead_file.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- the gateway

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=PATIENCE)
        connection.request("GET", path)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        assert reply.status == 200, "%s: %s" % (path, text)
        return text

    def set(self, **options):
        """name=value; "__" stands for the "." before an instance's number."""
        pairs = []
        for name, value in options.items():
            head, dot, number = name.partition("__")
            pairs.append((head + ("." + uhost(int(number)) if dot else ""), value))
        self.ask("/set?" + urllib.parse.urlencode(pairs))

    def stats(self):
        return json.loads(self.ask("/stats"))

    def now(self):
        return self.stats()["now"]

    def state(self, number):
        return self.stats()["instances"][uhost(number)]["state"]

    def schedule(self, number):
        return self.stats()["instances"][uhost(number)]["schedule"]

    def requests(self, action=None):
        stats = self.stats()
        return stats["requests"] if action is None else stats["requests_by_action"].get(action, 0)

    def advance(self, seconds):
        """Moves the server's clock, then the tool's two."""
        self.set(advance=seconds)
        struct.pack_into("q", self.ahead, 0, struct.unpack_from("q", self.ahead, 0)[0] + seconds * 1000)

    def advance_while(self, process, step=5, pause=0.02):
        """Lets the clocks run until a process that waits for them ends."""
        while process.running():
            self.advance(step)
            time.sleep(pause)
        return process.wait()

    def until(self, what, predicate, step, steady=False):
        """Moves on little by little until something has come, and ever more slowly, unless
        told not to: a tool that is at work must not see its timeouts fly past."""
        end, pause = time.monotonic() + PATIENCE * 2, 0.2
        while not predicate():
            assert time.monotonic() < end, "never came: " + what
            self.advance(step)
            wait = time.monotonic() + pause
            while time.monotonic() < wait and not predicate():
                time.sleep(0.01)
            if not steady:
                pause *= 1.3

    def unanswered(self, *words, changes=1):
        """Runs the tool; once its changes are sent, lets the clocks run."""
        update = "UpdateCompShareStopScheduler"
        before = self.requests(update)
        process = self.start(*words)
        wait_for("%d changes" % changes, lambda: self.requests(update) >= before + changes or not process.running())
        return self.advance_while(process)

    def renewed(self, number, seconds=601):
        """Moves on until the next renewal, and waits for it and for its reading back."""
        before, readings = self.schedule(number), self.requests("DescribeCompShareInstance")
        self.advance(seconds)
        wait_for("a renewal of %d" % number, lambda: self.schedule(number) > before)
        wait_for("reading back", lambda: self.requests("DescribeCompShareInstance") >= readings + 2)
        time.sleep(SETTLE)

    def looked(self, number, seconds=601):
        """Moves on until the tool reads the instance again."""
        before = self.requests("DescribeCompShareInstance")
        self.advance(seconds)
        wait_for("a reading of %d" % number, lambda: self.requests("DescribeCompShareInstance") > before)
        time.sleep(SETTLE)

    # ---- the tool

    def environment(self, env):
        merged = dict(self.env)
        for name, value in (env or {}).items():
            if value is None:
                merged.pop(name, None)
            else:
                merged[name] = value
        return merged

    def tool(self, *words, clock=False, env=None, stdin="", record=True):
        argv = [args.tool_clock if clock else args.tool] + [str(w) for w in words]
        done = subprocess.run(argv, env=self.environment(env), input=stdin.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=PATIENCE * 2, check=False)
        result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        if record:
            captured.append((" ".join(argv), result.out + result.err))
        return result

    def start(self, *words, env=None, wrap=(), cwd=None, **options):
        """The tool with the test clock, in the background."""
        process = Process(self, list(wrap) + [args.tool_clock] + [str(w) for w in words], self.environment(env), cwd, **options)
        self.processes.append(process)
        return process

    def path(self, name):
        return os.path.join(self.dir, name)

    def script(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), 0o755)
        return self.path(name)

    def job(self, ending="exit 0"):
        """A command that notes its signals in "log", and ends once "end" is there."""
        return ["sh", self.script("job.sh", """
cd %s
for s in INT TERM HUP QUIT USR1 USR2; do trap "echo $s >>log" $s; done
trap 'echo TERM >>log; exit 9' TERM
echo $$ >pid
env >env
ls -l /proc/self/fd >fds 2>/dev/null
echo ready >>log
while [ ! -e end ]; do sleep 0.03; done
%s
""" % (self.dir, ending))]

    def log(self):
        return read(self.path("log")).split()

    def end(self):
        with open(self.path("end"), "w"):
            pass

    def started(self):
        wait_for("the command's start", lambda: "ready" in self.log())
        pid = int(read(self.path("pid")))
        self.pids.append(pid)
        return pid


    def lease(self):
        """`run` for the first instance, whose command has started."""
        process = self.start("run", uhost(1), "--", *self.job())
        self.started()
        return process

    def released(self, process, left=900):
        """The job ends well, and so does its lease: so many seconds are left of it."""
        self.end()
        process.wait().is_(0)
        near(self.schedule(1), self.now() + left)


def near(got, wanted, slack=60):
    assert wanted - slack <= got <= wanted + slack, "%d is not near %d" % (got, wanted)


def uhost(number):
    return "uhost-%04d" % number


def process_fields(pid):
    """/proc/PID/stat from the state on; empty strings where there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return [""] * 50


def process_state(pid):
    return process_fields(pid)[0]


def alive(pid):
    return process_state(pid) not in ("", "Z")


def children(pid):
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and process_fields(int(name))[1] == str(pid)]


class Terminal:
    """A pty with a program as the leader of its session."""

    def __init__(self, world, argv, env=None, leader=True):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        self.popen = subprocess.Popen(["setsid", "-c"] + argv if leader else argv, env=world.environment(dict({"TERM": "xterm", "PS1": "$ "}, **(env or {}))),
                                      stdin=slave, stdout=slave, stderr=slave, cwd=world.dir)
        os.close(slave)
        self.text = ""
        self.hung_up = False
        self.lock = threading.Lock()
        self.reader = threading.Thread(target=self.follow, daemon=True)
        self.reader.start()

    def follow(self):
        while not self.hung_up:
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            with self.lock:
                self.text += data.decode(errors="replace")

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, text, after=0):
        wait_for(lambda: "%r on the terminal, which shows %r" % (text, self.text), lambda: text in self.text[after:])
        return self.text.index(text, after) + len(text)

    def running(self):
        return self.popen.poll() is None

    def hang_up(self):
        if not self.hung_up:
            self.hung_up = True
            self.reader.join()                  # a read that waits would keep it open
            os.close(self.master)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        if self.running():
            self.popen.kill()
        self.popen.wait()
        captured.append(("a terminal", self.text))
        self.hang_up()
