#!/usr/bin/env python3
"""The benchmark: bench.py all|counts|ir, run by `make bench`, `make bench-counts` and `make bench-ir`.

It starts what it measures against (the gateway, nginx, relays), all on loopback, ends it by
its process id, and runs the programs beside this file. Of what is timed, nothing is judged
by its time: `counts` checks what comes out the same every time.
"""
import argparse
import atexit
import collections
import glob
import json
import os
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
KEYS = {"COMPSHARE_PUBLIC_KEY": "ucloudsomeone@example.com1296235120854146120",
        "COMPSHARE_PRIVATE_KEY": "46f09bb9fab4f12dfc160dae12273d5332b5debe"}
ENV = {"PATH": os.environ["PATH"] + ":/usr/sbin", "LC_ALL": "C", "HOME": "/nonexistent", **KEYS}

BUILD = BENCH = CERTS = WORK = ""


def program(name):
    return os.path.join(BENCH, name)


def output(*command, check=True):
    done = subprocess.run(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if check and done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)}\n{done.stdout[-500:].decode(errors='replace')}{done.stderr[-2000:].decode(errors='replace')}")
    return done.stdout


# ---- servers ----

RUNNING = []


def begin(*command, out=None):
    process = subprocess.Popen(command, env=ENV, stdout=out, stderr=subprocess.DEVNULL)
    RUNNING.append(process)
    return process


def end(process):
    """Its output, once it has ended."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process in RUNNING:
        RUNNING.remove(process)
    return process.stdout.read() if process.stdout else b""


def end_all():
    for process in reversed(RUNNING[:]):
        end(process)


atexit.register(end_all)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def ports_of(path, process):
    for _ in range(200):
        if os.path.exists(path) and os.path.getsize(path) > 0:
            return dict(line.split("=") for line in open(path).read().split())
        if process.poll() is not None:
            break
        time.sleep(0.02)
    sys.exit(f"bench: {process.args[0]} did not start")


SERIAL = iter(range(1000))


class Gateway:
    def __init__(self, *options, chain="rsa", plain=False):
        path = os.path.join(WORK, f"ports{next(SERIAL)}")
        tls = ["--plain"] if plain else ["--cert", f"{CERTS}/{chain}-chain.pem", "--key", f"{CERTS}/{chain}-key.pem"]
        self.process = begin(os.path.join(BUILD, "tests/gateway"), *tls, "--port-file", path, "--instances", "1003", *options)
        ports = ports_of(path, self.process)
        self.port, self.control = int(ports["port"]), int(ports["control"])
        self.url = f"https://localhost:{self.port}"

    def ask(self, what):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/{what}", timeout=10) as reply:
            return reply.read()

    def counted(self, run):
        """What one run makes: connections, full and resumed handshakes, requests."""
        names = "connections", "handshakes_full", "handshakes_resumed", "requests"
        before = json.loads(self.ask("stats"))
        run()
        after = json.loads(self.ask("stats"))
        return tuple(after[name] - before[name] for name in names)

    def end(self):
        end(self.process)


class Relay:
    def __init__(self, port, rtt):
        path = os.path.join(WORK, f"ports{next(SERIAL)}")
        self.process = begin(program("relay"), str(port), str(rtt), path, out=subprocess.PIPE)
        self.port = int(ports_of(path, self.process)["port"])
        self.url = f"https://localhost:{self.port}"

    def end(self):
        """Connections, bytes to the server, bytes from it."""
        return tuple(int(word) for word in end(self.process).split())


class Nginx:
    """TLS 1.2 and 1.3 with a session cache and tickets, before a gateway without TLS."""

    def __init__(self, upstream):
        import socket
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"https://localhost:{self.port}"
        self.log = os.path.join(WORK, "nginx.log")
        conf = os.path.join(WORK, "nginx.conf")
        with open(conf, "w") as out:
            out.write(f"""daemon off; master_process off; pid {WORK}/nginx.pid; error_log {WORK}/nginx.err;
events {{ }}
http {{
    log_format tls '$connection_requests $ssl_protocol $ssl_session_reused $ssl_cipher $ssl_curves';
    access_log {self.log} tls;
    client_body_temp_path {WORK}/body; proxy_temp_path {WORK}/proxy; fastcgi_temp_path {WORK}/a; uwsgi_temp_path {WORK}/b; scgi_temp_path {WORK}/c;
    keepalive_requests 1000000;
    upstream gateway {{ server 127.0.0.1:{upstream}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{self.port} ssl;
        ssl_certificate {CERTS}/rsa-chain.pem; ssl_certificate_key {CERTS}/rsa-key.pem;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:bench:1m; ssl_session_tickets on;
        location / {{ proxy_pass http://gateway; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
""")
        self.process = begin("nginx", "-p", WORK, "-c", conf)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        sys.exit("bench: nginx did not start: " + open(f"{WORK}/nginx.err").read())

    def handshakes(self, run):
        """The protocol of a run's connections, and how many of them were resumed."""
        skip = os.path.getsize(self.log)
        run()
        time.sleep(0.1)
        with open(self.log) as log:
            log.seek(skip)
            first = [line.split() for line in log if line.startswith("1 ")]
        return first[0][1], len(first), sum(line[2] == "r" for line in first)

    def end(self):
        end(self.process)


# ---- inputs ----

def make_bundle():
    """The system's roots with the test's two behind the middle one."""
    with open("/etc/ssl/certs/ca-certificates.crt") as file:
        blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", file.read(), re.S)
    middle = len(blocks) // 2
    with open(f"{CERTS}/roots.pem") as file:
        own = file.read()
    path = program("system.pem")
    with open(path, "w") as file:
        file.write("".join(blocks[:middle]) + own + "".join(blocks[middle:]))
    return path, len(blocks), middle


# ---- instructions ----

Cost = collections.namedtuple("Cost", "source symbol inclusive total")


def callgrind(*command):
    """Instructions by source function, by symbol, and by symbol with what it calls."""
    path = os.path.join(WORK, f"callgrind{next(SERIAL)}")
    output("valgrind", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no", f"--callgrind-out-file={path}", *command)
    source, symbol, inclusive = collections.Counter(), collections.Counter(), collections.Counter()
    file = function = ""
    called = False
    for line in open(path, errors="replace"):
        name, is_name, value = line.rstrip("\n").partition("=")
        if is_name and name in ("fl", "fi", "fe"):
            file = value
        elif is_name and name == "fn":
            function = value.split("'")[0]
        elif is_name and name == "calls":
            called = True
        elif line[0].isdigit():
            at, cost = (int(word) for word in line.split()[:2])
            inclusive[function] += cost
            if not called:
                symbol[function] += cost
                source[(os.path.basename(file), at, function)] += cost
            called = False
    return Cost(source, symbol, inclusive, sum(symbol.values()))


def less(a, b, times):
    """What one of `times` more calls costs."""
    def part(name):
        both = collections.Counter(getattr(a, name))
        both.subtract(getattr(b, name))
        return {key: value / times for key, value in both.items() if value}
    return Cost(part("source"), part("symbol"), part("inclusive"), (a.total - b.total) / times)


class Names:
    """Which room and function a line of compshare.h is in, and whose a symbol is."""

    def __init__(self):
        self.room, self.function = ["?"], ["?"]
        room = function = "?"
        for line in open(os.path.join(TOP, "compshare.h")):
            mark = re.match(r"/\* >> (\w+)", line)
            room = mark[1] if mark else room
            head = re.match(r"(?:static|COMPSHARE_API|[a-z]).*?\b(\w+)\(", line)
            if head and ";" not in line:
                function = head[1]
            self.room.append(room)
            self.function.append(function)
        library = output("gcc", "-print-file-name=libbearssl.a").decode().strip()
        self.bearssl = {words[-1] for words in map(str.split, output("nm", library).decode().splitlines()) if len(words) > 2}

    def of(self, key):
        file, line, symbol = key
        if file == "compshare.h":
            return self.room[line], self.function[line]
        if file == "jsmn.h" or "jsmn" in symbol:
            return "jsmn", symbol
        if file.startswith("bearssl") or symbol in self.bearssl or symbol.startswith("br_"):
            return "BearSSL", symbol
        if file in ("ours.c", "bench.h"):
            return "(the program)", symbol
        return "libc", symbol

    def tables(self, cost, top):
        rooms, functions = collections.Counter(), collections.Counter()
        for key, value in cost.source.items():
            room, function = self.of(key)
            rooms[room] += value
            functions[(function, room)] += value
        lines = ["by room:"] + [f"{value:12,.0f} {100 * value / cost.total:5.1f} %  {room}" for room, value in rooms.most_common() if value >= 0.5]
        lines += [f"{cost.total:12,.0f}          all", "", f"by function, inlined code told apart, itself, the first {top}:"]
        lines += [f"{value:12,.0f} {100 * value / cost.total:5.1f} %  {name} ({room})" for (name, room), value in functions.most_common(top)]
        lines += ["", f"by symbol with all that it calls, the first {top}:"]
        lines += [f"{value:12,.0f} {100 * value / cost.total:5.1f} %  {name}" for name, value in
                  sorted(cost.inclusive.items(), key=lambda item: -item[1])[:top]]
        return "\n".join(lines)


def warm_instructions(client, url, roots, few=101, many=201):
    return less(callgrind(program(client), url, roots, str(many), "keep"), callgrind(program(client), url, roots, str(few), "keep"), many - few)


def do_ir(top):
    bundle, count, middle = make_bundle()
    gateway = Gateway()
    names = Names()
    print("Instructions in user space, callgrind; static, musl, the flags of examples/static/build.sh. RSA chain.\n")
    print("one warm call\n\n" + names.tables(warm_instructions("ours-symbols", gateway.url, bundle), top))
    cold = callgrind(program("ours-symbols"), gateway.url, bundle, "1", "keep")
    print(f"\none cold call: the process, bundle of {count + 2} roots, the one needed is number {middle + 1}\n\n" + names.tables(cold, top))
    cold = callgrind(program("ours-symbols"), gateway.url, f"{CERTS}/roots.pem", "1", "keep")
    print("\none cold call, 2 roots\n\n" + names.tables(cold, 15))
    gateway.end()


def main():
    global BUILD, BENCH, CERTS, WORK
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["all", "counts", "ir"])
    parser.add_argument("--build", default="build")
    parser.add_argument("--top", type=int, default=40)
    arguments = parser.parse_args()
    BUILD = os.path.abspath(arguments.build)
    BENCH, CERTS = os.path.join(BUILD, "bench"), os.path.join(BUILD, "tests/certs")
    with tempfile.TemporaryDirectory() as WORK:
        try:
            if arguments.what == "ir":
                return do_ir(arguments.top)
            return do_all() if arguments.what == "all" else do_counts()
        finally:
            end_all()


if __name__ == "__main__":
    sys.exit(main())
