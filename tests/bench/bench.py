#!/usr/bin/env python3
"""The benchmark: bench.py all|counts|ir, run by `make bench`, `make bench-counts` and `make bench-ir`.

    ours.c      the client on compshare.h        run.c     runs a program, and measures it from outside
    curl.c      on libcurl and OpenSSL           relay.c   makes the way to the server longer
    floor.c     on bare BearSSL                  fleet.c   many instances through many connections
    cli.sh      the curl and openssl commands    parse.c   replies from 1 KB to 1 MB
    bench.h     what the clients have in common  roots.py  certificates as C, for floor.c

It starts what they talk to (the gateway, nginx, relays), all on loopback, and ends it by its
process id. Nothing is judged by its time; `counts` checks what comes out the same every time.
"""
import argparse
import atexit
import collections
import ctypes
import json
import os
import re
import shutil
import signal
import socket
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
CORES = os.sched_getaffinity(0)


def prepare(core):
    os.sched_setaffinity(0, {core})
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)      # PR_SET_PDEATHSIG: it ends with this program, however that ends


def begin(*command, out=None, core=max(CORES)):
    # On the core of what is measured: the two take turns anyway, and waking another core
    # would be charged to who does it, by how idle that one happens to be.
    process = subprocess.Popen(command, env=ENV, stdout=out, stderr=subprocess.DEVNULL, preexec_fn=lambda: prepare(core))
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
    def __init__(self, *options, chain="rsa", plain=False, core=max(CORES)):
        path = os.path.join(WORK, f"ports{next(SERIAL)}")
        tls = ["--plain"] if plain else ["--cert", f"{CERTS}/{chain}-chain.pem", "--key", f"{CERTS}/{chain}-key.pem"]
        self.process = begin(os.path.join(BUILD, "tests/gateway"), *tls, "--port-file", path, "--instances", "1003", *options, core=core)
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
            mark = re.match(r"/\* ==== (\w+) =", line)
            room = mark[1] if mark else room
            head = re.match(r"(?:static|COMPSHARE_API|[a-z]).*?\b(\w+)\(", line)
            if head and ";" not in line:
                function = head[1]
            self.room.append(room)
            self.function.append(function)
        library = output(os.environ.get("CC") or "cc", "-print-file-name=libbearssl.a").decode().strip()
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

    def rooms(self, cost):
        rooms = collections.Counter()
        for key, value in cost.source.items():
            rooms[self.of(key)[0]] += value
        return rooms

    def tables(self, cost, top):
        functions = collections.Counter()
        for key, value in cost.source.items():
            room, function = self.of(key)
            functions[(function, room)] += value
        lines = ["by room:"] + [f"{value:12,.0f} {100 * value / cost.total:5.1f} %  {room}" for room, value in self.rooms(cost).most_common() if value >= 0.5]
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


# ---- counts ----

# What each must not exceed, with gcc 12 on x86-64, so that nothing gets worse unseen: what is reached, and a little
# more where certificates or the arrival of bytes move it. Tighten them here.
LIMITS = {
    "warm": 49_500,            # instructions of one Update call, static musl at -Oz
    "warm_dynamic": 41_500,     # and glibc at -O2
    "cold": 23_500_000,         # of the process, system bundle
    "cold2": 19_000_000,        # of the process, two roots
    "bytes_full": 3_430,        # both ways, a call with a full handshake
    "bytes_resumed": 1_260,     # with the alert that closes a connection, where it is seen
    "warm_connections": 1,
    "warm_handshakes": 1,
    "syscalls": 52,            # of a cold static process, system bundle
    "peak": 260,                # KiB
    "client": 172_500,          # bytes of the file, with BearSSL's own choice of its implementations
    "client_small": 151_000,    # and with the smallest
    "stop_scheduler": 176_500,
    "text": 51_200,             # bytes of code
    "text_m4": 36_200,
    "memory": 36_992,           # bytes that complete schedule_set
    "memory_small": 24_704,
    "stack_rsa": 7_392,
    "stack_ec": 7_392,
    "linear": 1.1,              # instructions per byte, 512 KB to 32 KB
    "fleet": 1.03,              # instructions of an instance, 301st to 600th to the first 300
}

TEXTS = {
    "warm": "instructions of a warm call, musl -Oz", "warm_dynamic": "instructions of a warm call, glibc -O2",
    "cold": "instructions, cold, system bundle", "cold2": "instructions, cold, 2 roots",
    "bytes_full": "bytes both ways, full handshake", "bytes_resumed": "bytes both ways, resumed handshake",
    "warm_connections": "connections of 1,000 calls", "warm_handshakes": "handshakes of 1,000 calls",
    "syscalls": "system calls, cold, static", "peak": "peak resident set, static, KiB", "client": "bench client, static, stripped, bytes",
    "client_small": "the same with the smallest of BearSSL's implementations",
    "stop_scheduler": "stop_scheduler, static, stripped, bytes", "text": ".text of compshare.h, -Os, x86-64",
    "text_m4": ".text of compshare.h, -Os, Cortex-M4", "memory": "memory that completes schedule_set, bytes",
    "memory_small": "the same, small records", "stack_rsa": "stack, RSA chain, bytes", "stack_ec": "stack, P-256 chain, bytes",
    "linear": "instructions per byte of a reply, 512 KB / 32 KB", "fleet": "instructions per instance, 600 / 300, 8 connections",
}


def traced(*command):
    """The system calls of one run, a line each."""
    path = os.path.join(WORK, f"strace{next(SERIAL)}")
    output("strace", "-f", "-o", path, *command)
    lines = [line.split(None, 1)[1].rstrip("\n") for line in open(path, errors="replace")]
    return [line for line in lines if re.match(r"\w+\(", line)]


def bytes_of(gateway, command):
    """To and from the server."""
    relay = Relay(gateway.port, 0)
    output(*(relay.url if word == gateway.url else word for word in command))
    return relay.end()[1:]


def bytes_resumed(gateway, client, roots):
    one, two = (bytes_of(gateway, [program(client), gateway.url, roots, calls, "resume"]) for calls in "12")
    return tuple(b - a for a, b in zip(one, two))


def memory_that_completes(gateway, small):
    """The least block with which the widest instance is set, to four bytes."""
    low, high = 0, 16384
    while low < high:
        middle = (low + high) // 2
        command = [program("fleet"), gateway.url, f"{CERTS}/roots.pem", "1", "1", str(4 * middle)] + small
        done = subprocess.run(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        low, high = (low, middle) if done.returncode == 0 else (middle + 1, high)
    return 4 * low


def size_report():
    return output("sh", os.path.join(HERE, "../scripts/size.sh"), BENCH, check=False).decode()


def sizes():
    done = size_report()
    text = [int(number) for number in re.findall(r"^\.text +(\d+)", done, re.M)]
    needed = re.search(r"memory needed +(\d+) bytes \(COMPSHARE_SMALL_RECORDS: (\d+)", done)
    return text[0], text[1] if len(text) > 1 else None, int(needed[1]), int(needed[2])


def stacks():
    ENV.update(COMPSHARE_TEST_BIN=f"{BUILD}/tests", COMPSHARE_TEST_CERTS=CERTS)
    done = output(f"{BUILD}/tests/integration/test_limits").decode(errors="replace")
    return tuple(map(int, re.search(r"figure: stack RSA (\d+) bytes, EC (\d+)", done).groups()))


def linear_instructions():
    def per_byte(size):
        cost = less(callgrind(program("parse"), str(size), "3"), callgrind(program("parse"), str(size), "1"), 2)
        return cost.total / int(output(program("parse"), str(size), "1").split()[0])
    return per_byte(524288) / per_byte(32768)


def fleet_instructions(gateway, roots):
    few, some, many = (callgrind(program("fleet"), gateway.url, roots, "8", str(instances)).total for instances in (1, 301, 601))
    return (many - some) / (some - few)


def count(bundle):
    """Everything that comes out the same every time."""
    roots = f"{CERTS}/roots.pem"
    found = {}
    gateway = Gateway()
    found["warm"] = round(warm_instructions("ours", gateway.url, bundle).total)
    found["warm_dynamic"] = round(warm_instructions("ours-dynamic", gateway.url, bundle).total)
    found["cold"] = callgrind(program("ours"), gateway.url, bundle, "1", "keep").total
    found["cold2"] = callgrind(program("ours"), gateway.url, roots, "1", "keep").total
    found["bytes_full"] = sum(bytes_of(gateway, [program("ours"), gateway.url, roots, "1", "keep"]))
    found["bytes_resumed"] = sum(bytes_resumed(gateway, "ours", roots))
    connections, full, resumed, _ = gateway.counted(lambda: output(program("ours"), gateway.url, roots, "1000", "keep"))
    found["warm_connections"], found["warm_handshakes"] = connections, full + resumed
    found["syscalls"] = min(len(traced(program("ours"), gateway.url, bundle, "1", "keep")) for _ in range(5))
    found["peak"] = max(int(output(program("run"), "peak", program("ours"), gateway.url, bundle, "1", "keep")) for _ in range(3))
    ratio = fleet_instructions(gateway, roots)
    found["client"] = os.path.getsize(program("ours"))
    found["client_small"] = os.path.getsize(program("ours-small"))
    found["stop_scheduler"] = os.path.getsize(program("stop_scheduler"))
    found["text"], found["text_m4"], needed, needed_small = sizes()
    gateway.ask("set?name.uhost-0004=" + "%01" * 127)       # six bytes each in JSON
    found["memory"] = memory_that_completes(gateway, [])
    gateway.ask("set?record_cap=4096")
    found["memory_small"] = memory_that_completes(gateway, ["small"])
    gateway.end()
    found["stack_rsa"], found["stack_ec"] = stacks()
    found["fleet"] = round(ratio, 3)
    found["linear"] = round(linear_instructions(), 3)
    return {key: value for key, value in found.items() if value is not None}, needed, needed_small


def do_counts():
    found = count(make_bundle()[0])[0]
    failed = 0
    for key, value in found.items():
        fine = value <= LIMITS[key] and value != 0
        failed += not fine
        print(f"{'ok' if fine else 'FAILED'}  {TEXTS[key]:50} {value:>12,} at most {LIMITS[key]:,}")
    for key in LIMITS.keys() - found.keys():
        print(f"--  {TEXTS[key]:50}  not here: a program for it is missing")
    print(f"{len(found) - failed} passed, {failed} failed")
    return failed > 0


# ---- times ----

Sample = collections.namedtuple("Sample", "median low high")


def sample(values, scale=1.0):
    values = [value / scale for value in values]
    return Sample(statistics.median(values), min(values), max(values))


def cold(commands, times, batch=10):
    """Runs the programs in turns, a batch each; wall in ms and CPU in ms by name."""
    wall, cpu = collections.defaultdict(list), collections.defaultdict(list)
    order = list(commands)
    done = 0
    while done < times:
        for name in order:
            runs = min(batch, times - done)
            if name.startswith("cli"):
                runs = max(1, runs // 4)
            for line in output(program("run"), str(runs), *commands[name]).decode().splitlines():
                took, used, _ = line.split()
                wall[name].append(int(took))
                cpu[name].append(int(used))
        order = order[1:] + order[:1]
        done += batch
    return {name: sample(values, 1e6) for name, values in wall.items()}, {name: sample(values, 1e3) for name, values in cpu.items()}


def calls(client, url, roots, number, mode):
    """CPU of one call in us, and the wall time of each in us."""
    numbers = struct.unpack(f"{number + 1}Q", output(program(client), url, roots, str(number + 1), mode))
    return numbers[0] / number / 1e3, [value / 1e3 for value in numbers[1:]]


def repeated(clients, url, roots, number, mode, rounds):
    """The same in turns: CPU, and wall time of one call (median over all, 99 % of them, each a sample over the rounds)."""
    cpu, middle, late = (collections.defaultdict(list) for _ in range(3))
    for turn in range(rounds):
        for client in clients[turn % len(clients):] + clients[:turn % len(clients)]:
            used, walls = calls(client, url, roots, number, mode)
            walls.sort()
            cpu[client].append(used)
            middle[client].append(statistics.median(walls))
            late[client].append(walls[min(len(walls) - 1, len(walls) * 99 // 100)])
    return tuple({client: sample(part[client]) for client in clients} for part in (cpu, middle, late))


SHOWN = {"ours": "compshare.h, static musl", "ours-small": "compshare.h, static musl, small", "ours-dynamic": "compshare.h, dynamic glibc", "curl": "libcurl + OpenSSL", "floor": "bare BearSSL, static musl (the floor)",
         "cli": "curl and openssl commands"}


def shown(name):
    client, _, rest = name.partition(" ")
    return SHOWN[client] + (f", {rest}" if rest else "")


class Report:
    def __init__(self):
        self.text = []

    def heading(self, text):
        print(f"\n{text}", flush=True)
        self.text.append(f"\n## {text}\n")

    def note(self, text):
        self.text.append(text + "\n")

    def table(self, head, rows):
        widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
        self.text.append("| " + " | ".join(head) + " |")
        self.text.append("|" + "---|" * len(head))
        for row in rows:
            self.text.append("| " + " | ".join(str(cell) for cell in row) + " |")
        self.text.append("")
        for row in [head] + rows:
            print("  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())

    def samples(self, what, samples, base, unit, digits=2):
        def row(name, s):
            return [shown(name), f"{s.median / samples[base].median:.3f}", f"{s.median:,.{digits}f}", f"{s.low:,.{digits}f}", f"{s.high:,.{digits}f}"]
        self.table([what, "to libcurl", f"median, {unit}", "least", "most"], [row(name, s) for name, s in samples.items()])


def machine(bundle_bytes, roots, middle):
    def first(*command):
        return output(*command, check=False).decode(errors="replace").splitlines()[0].strip()
    cpu = next(line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    packages = output("dpkg-query", "-W", "-f=${Package} ${Version}\n", "libbearssl-dev", "libcurl4", "libssl3", "musl", "libgnutls30", "nginx", check=False).decode().split("\n") if shutil.which("dpkg-query") else []
    return [f"- CPU: {cpu}, {os.cpu_count()} cores, not reserved for this", f"- kernel: {os.uname().release}",
            f"- compiler: {first(os.environ.get('CC') or 'cc', '--version')}", "- " + ", ".join(line for line in packages if line and not line.endswith(" ")),
            f"- system bundle: {bundle_bytes:,} bytes, {roots} roots and the test's two; the one needed stands as number {middle + 1}, in the middle"]


# What each system call of a cold static run is for, in the order in which they are tried.
EXPLAINED = [
    (r"execve", "the program starts"),
    (r"arch_prctl|set_tid_address", "musl begins: the thread's own data"),
    (r"(open|openat)\(.*\.pem", "the root bundle; kept open until the handshake is over"),
    (r"(open|openat)\(.*/etc/hosts", "getaddrinfo looks the name up"),
    (r"(open|openat)\(.*/etc/(resolv|services)", "getaddrinfo"),
    (r"fcntl.*F_SETFD", "musl's open sets close-on-exec once more, for old kernels"),
    (r"f?stat|lseek", "the size of the root bundle"),
    (r"brk|mmap|munmap|mprotect", "musl's malloc and free, for the result of getaddrinfo"),
    (r"socket\(", "the connection"),
    (r"setsockopt.*NODELAY", "a small request must not wait for an acknowledgement"),
    (r"connect\(", "begins to connect, without waiting"),
    (r"getsockopt.*SO_ERROR", "whether it is connected"),
    (r"getrandom", "entropy for TLS"),
    (r"poll\(", "waits for the connection, or for bytes"),
    (r"pread64|read\(.*(CERTIFICATE|BEGIN)", "reads the root bundle"),
    (r"read\(", "reads /etc/hosts"),
    (r"(sendto|write|sendmsg)\(\d+, \"\\26\\3", "handshake: a flight, whole"),
    (r"(sendto|write|sendmsg)\(\d+, \"\\27\\3", "the request, one record"),
    (r"(sendto|write|sendmsg)\(\d+, \"\\25\\3", "close_notify"),
    (r"(recvfrom|read)\(.*EAGAIN", "is there anything to read yet? No"),
    (r"(recvfrom|read|recvmsg)\(", "reads what has come of TLS"),
    (r"exit", "the end"),
    (r"clock_gettime|time\(", "the clock, without the kernel's shortcut"),
    (r"rt_sig|sigaltstack", "musl blocks signals for a moment"),
]


def syscall_rows(lines):
    """One row for each call, those in a row that are alike as one."""
    rows, opened = [], {}
    for line in lines:
        name, number = line.split("(")[0], re.match(r"\w+\((\d+)", line)
        text = next((text for pattern, text in EXPLAINED if re.match(pattern, line)), "(not explained)")
        if name in ("open", "openat", "socket"):
            path = re.search(r'"(.*)"', line)
            opened[line.split()[-1]] = os.path.basename(path[1]) if path else "the connection"
        elif name == "close" and number:
            text = f"closes {opened.get(number[1], 'it')}"
        if rows and rows[-1][1:] == [name, text]:
            rows[-1][0] += 1
        else:
            rows.append([1, name, text])
    return rows


def do_all():
    report = Report()
    bundle, roots, middle = make_bundle()
    small = f"{CERTS}/roots.pem"
    gateway = Gateway()
    about = machine(os.path.getsize(bundle), roots, middle)
    print("\n".join(about))
    found, needed, needed_small = count(bundle)
    value = {}

    report.heading("Cold: one process, one call, RSA chain")
    url = gateway.url
    commands = {f"{client} {which}": [program(client), url, file, "1", "keep"] for which, file in (("system bundle", bundle), ("2 roots", small))
                for client in ("ours", "ours-dynamic", "curl")}
    commands["ours-small system bundle"] = [program("ours-small"), url, bundle, "1", "keep"]
    commands["floor embedded roots"] = [program("floor"), url, "-", "1", "keep"]
    commands["cli system bundle"] = [os.path.join(HERE, "cli.sh"), url, bundle]
    wall, cpu = cold(commands, 200)
    report.samples("CPU, user and system", cpu, "curl system bundle", "ms")
    report.samples("wall", wall, "curl system bundle", "ms")
    value["cold"] = cpu["ours system bundle"].median / cpu["curl system bundle"].median
    value["floor"] = cpu["ours system bundle"].median / cpu["floor embedded roots"].median
    value["cold2"] = cpu["ours-dynamic 2 roots"].median / cpu["curl 2 roots"].median
    picture = {"cold": (cpu["ours system bundle"].median, cpu["curl system bundle"].median, cpu["floor embedded roots"].median)}

    ec = Gateway(chain="ec")
    ec_commands = {name: [ec.url if word == url else word for word in command] for name, command in commands.items() if not name.startswith("cli")}
    ec_wall, ec_cpu = cold(ec_commands, 50)
    ec.end()
    report.heading("Cold: the same with a P-256 chain under a P-384 root")
    report.samples("CPU, user and system", ec_cpu, "curl system bundle", "ms")

    report.heading("Cold: what else it takes")
    rows, peaks = [], {}
    for name, command in commands.items():
        calls_made = min(len(traced(*command)) for _ in range(3))
        if name.startswith("cli"):      # a script: that of its largest process
            peak = int(output(program("run"), "1", *command).split()[2])
        else:
            peak = max(int(output(program("run"), "peak", *command)) for _ in range(3))
        connections, full, resumed, _ = gateway.counted(lambda: output(*command))
        up, down = bytes_of(gateway, command)
        peaks[name] = peak
        rows.append([shown(name), f"{peak:,}", calls_made, f"{connections} / {full + resumed}", f"{up:,}", f"{down:,}"])
    report.table(["", "peak resident set, KiB", "system calls", "connections / handshakes", "bytes sent", "received"], rows)
    picture["peak"] = (peaks["ours system bundle"], peaks["curl system bundle"], peaks["floor embedded roots"])
    lines = min((traced(*commands["ours system bundle"]) for _ in range(5)), key=len)
    report.note(f"System calls of compshare.h, static musl, system bundle, {len(lines)} in all:\n")
    report.text += ["| times | call | what for |", "|---|---|---|"] + [f"| {times} | {name} | {text} |" for times, name, text in syscall_rows(lines)] + [""]

    report.heading("Warm: many calls on one connection")
    clients = ["ours", "ours-dynamic", "curl", "floor"]
    for number, rounds in ((20000, 3), (1000, 25)):
        cpu, middle_wall, late = repeated(clients, url, small, number, "keep", rounds)
        report.note(f"{number:,} calls, {rounds} rounds:\n")
        print(f"  {number:,} calls, {rounds} rounds")
        report.samples("CPU of one call", cpu, "curl", "us", 1)
        report.samples("wall time of one call, median", middle_wall, "curl", "us", 1)
        report.samples("wall time of one call, 99 % are faster", late, "curl", "us", 1)
    # of the many short rounds: what else the machine does then meets all of them alike
    value["warm"] = cpu["ours"].median / cpu["curl"].median
    picture["warm"] = tuple(cpu[name].median for name in ("ours", "curl", "floor"))
    rows = []
    for client in clients:
        counted = gateway.counted(lambda: output(program(client), url, small, "1000", "keep"))
        warm = warm_instructions(client, url, small).total
        rows.append([shown(client), f"{warm:,.0f}", counted[0], counted[1] + counted[2], counted[3]])
    report.table(["1,000 calls", "instructions of one", "connections", "handshakes", "requests"], rows)

    network(report, gateway, bundle, small, value, picture)
    fleet(report, small, needed)
    linearity(report, picture)

    report.heading("Sizes")
    libraries, loaded = with_libraries("curl")
    own_libraries, own_loaded = with_libraries("ours-dynamic")
    report.table(["", "bytes"], [[TEXTS[key], f"{found[key]:,}"] for key in ("client", "client_small", "stop_scheduler", "text", "text_m4", "memory", "memory_small", "stack_rsa", "stack_ec") if key in found]
                 + [["compshare_memory_needed", f"{needed:,}"], ["the same, small records", f"{needed_small:,}"], ["floor, static, stripped", f"{os.path.getsize(program('floor')):,}"],
                    [f"libcurl client, with the {libraries} libraries that it loads", f"{loaded:,}"],
                    [f"compshare.h, dynamic, with the {own_libraries} libraries that it loads", f"{own_loaded:,}"]])
    picture["file"] = (found["client"], loaded, os.path.getsize(program("floor")))
    by_room(report, gateway, small)
    gateway.end()
    accept(report, found, value)
    plot(picture)
    path = os.path.join(BUILD, "bench.md")
    with open(path, "w") as file:
        file.write("# compshare.h beside libcurl, the curl command and bare BearSSL\n\n![what each takes, libcurl is 1](bench-ratios.svg)\n\n" + RULES + "\n" + "\n".join(about) + "\n" + "\n".join(report.text) + "\n")
    print(f"\n{os.path.relpath(path)}, {os.path.relpath(BUILD)}/bench-*.svg")


RULES = """Made by `make bench`, on loopback. No time is judged; counts are, by `make bench-counts`.

Every program makes exactly one kind of call: a signed UpdateCompShareStopScheduler, POST, form body, and checks that RetCode
is 0. All resolve `localhost` with getaddrinfo, verify chain and host name, and talk to the gateway of `tests/gateway`
(libmicrohttpd and GnuTLS, TLS 1.2, session-ID cache); where said, to nginx with TLS 1.2 and 1.3 in front of it.
Programs run in turns, in batches of 10, all on one core, together with the servers; medians, least and most. CPU is the scheduler's own account of the process.

- libcurl: Debian's, with OpenSSL; one handle, HTTP/1.1, its default TCP_NODELAY, session cache and cache of parsed roots
  (CURLOPT_CA_CACHE_TIMEOUT), no CA directory, signature by libcrypto, and no JSON parser: RetCode is searched for as text.
- bare BearSSL: br_sslio on a blocking socket, the cipher suites of compshare.h, roots compiled in, no deadlines, no parser.
- stop_scheduler, and a second bench client that is shown beside the first, have the smallest of BearSSL's implementations
  (examples/static/small.c); all else has BearSSL's own choice.
- the curl and openssl commands: a shell script of one signature and one transfer.
- compshare.h: nothing is switched off.
"""


def network(report, gateway, bundle, small, value, picture):
    plain = Gateway(plain=True)
    nginx = Nginx(plain.port)
    report.heading("Over 30 ms of round trip")
    report.note("A relay hands every chunk on 15 ms later, and each connection's first bytes another 30 ms later, for the round trip of TCP's connect. "
                "Wall time in ms. compshare.h has TLS 1.2 and no more; libcurl takes TLS 1.3 where the server, nginx, offers it, and saves a round trip in a full handshake.\n")
    for server, target, tls in (("gateway, TLS 1.2", gateway, "12"), ("nginx, TLS 1.2 and 1.3", nginx, "13")):
        relay = Relay(target.port, 30)
        commands = {f"{client} cold": [program(client), relay.url, bundle, "1", "keep"] for client in ("ours", "curl", "floor")}
        wall = cold(commands, 16, 4)[0]
        report.note(f"{server}:\n")
        print(f"  {server}")
        report.samples("cold process, system bundle, full handshake", wall, "curl cold", "ms", 1)
        value[f"rtt_full{tls}"] = wall["ours cold"].median / wall["curl cold"].median
        for mode, number, what in (("full", 8, "new connection, full handshake"), ("resume", 12, "new connection, resumed"), ("keep", 50, "50 calls on one connection, each")):
            cpu, middle, late = repeated(["ours", "curl", "floor"], relay.url, small, number, mode, 2)
            report.samples(what, {name: Sample(*(part / 1e3 for part in s)) for name, s in middle.items()}, "curl", "ms", 1)
            if mode == "resume":
                value[f"rtt_resumed{tls}"] = middle["ours"].median / middle["curl"].median
                picture[f"resumed{tls}"] = tuple(middle[name].median / 1e3 for name in ("ours", "curl", "floor"))
        picture[f"rtt{tls}"] = tuple(wall[f"{name} cold"].median for name in ("ours", "curl", "floor"))
        relay.end()
    # both sides must have resumed where resumed times are compared
    rows = []
    for client in ("ours", "curl", "floor"):
        counted = gateway.counted(lambda: output(program(client), gateway.url, small, "11", "resume"))
        rows.append([shown(client), "gateway", "TLSv1.2", counted[0], counted[2], sum(bytes_resumed(gateway, client, small))])
        protocol, connections, resumed = nginx.handshakes(lambda: output(program(client), nginx.url, small, "11", "resume"))
        rows.append([shown(client), "nginx", protocol, connections, resumed, ""])
        if counted[2] != 10 or resumed != 10:
            sys.exit(f"bench: {client} did not resume: {rows[-2:]}")
    report.table(["11 calls, each with a new connection", "server", "protocol", "connections", "resumed", "bytes of one resumed"], rows)
    nginx.end()
    plain.end()


def with_libraries(name):
    """How many libraries a program loads, and the bytes of all their files and its own."""
    paths = re.findall(r"(/\S+) \(0x", output("ldd", program(name)).decode())
    return len(paths), sum(os.path.getsize(path) for path in paths + [program(name)])


def fleet(report, small, memory):
    report.heading("Fleet: schedule_set of many instances, one thread")
    beside, apart = Gateway(), Gateway(core=min(CORES))
    rows = []
    for connections, instances in ((1, 1000), (8, 1000), (64, 1000), (8, 250), (8, 500)):
        def run(gateway):
            samples = []
            counted = gateway.counted(lambda: samples.append([int(word) for word in
                output(program("fleet"), gateway.url, small, str(connections), str(instances), str(memory)).split()]))
            return counted[3] - connections, samples[0]         # each connection begins with one
        together, parallel = [run(beside) for _ in range(5)], [run(apart) for _ in range(3)]
        requests = together[0][0]
        connecting, _, cpu = (min(part) for part in zip(*(sample for _, sample in together)))
        wall = statistics.median(sample[1] for _, sample in parallel)
        rows.append([connections, f"{instances:,}", f"{requests:,}", f"{cpu / requests / 1e3:.1f}", f"{requests / wall * 1e9:,.0f}", f"{connecting / 1e6:.2f}", f"{memory:,}"])
    report.table(["connections", "instances", "requests", "CPU of one, us", "requests per second", "CPU of a connection with its first reading, ms", "memory of a connection, bytes"], rows)
    report.note("CPU is the least of five runs. Requests per second with the gateway on a core of its own: its one thread, for all connections, is what bounds them.\n")
    beside.end()
    apart.end()


def linearity(report, picture):
    picture["linear"] = []
    report.heading("Replies from 1 KB to 1 MB: validation, tokens, RetCode")
    rows = []
    for size in (1000, 4000, 16000, 64000, 256000, 1000000):
        runs = [output(program("parse"), str(size), str(max(3, 8000000 // size))).split() for _ in range(3)]
        length, took = int(runs[0][0]), statistics.median(int(run[1]) for run in runs)
        rows.append([f"{length:,}", f"{took / 1e3:,.1f}", f"{took / length * 1000:,.0f}"])
        picture["linear"].append((length / 1000, took / length))
    report.table(["bytes", "us", "ns for each 1,000 bytes"], rows)
    report.note("![cost for each KB](bench-linear.svg)\n")


# Name, where its value is, target.
ACCEPTANCE = [
    ("cold CPU, static musl, system bundle / libcurl dynamic", "cold", 0.13),
    ("cold CPU, static musl, system bundle / floor, embedded roots", "floor", 1.35),
    ("cold CPU, dynamic, 2 roots / libcurl dynamic", "cold2", 0.8),
    ("reconnect over 30 ms, resumed / libcurl resumed, TLS 1.2", "rtt_resumed12", 1.05),
    ("reconnect over 30 ms, resumed / libcurl resumed, TLS 1.3", "rtt_resumed13", 1.05),
    ("cold over 30 ms, full / libcurl, TLS 1.2", "rtt_full12", 1.27),
    ("cold over 30 ms, full / libcurl, TLS 1.3", "rtt_full13", 1.27),
    ("warm CPU per call / libcurl", "warm", 0.8),
]
TARGETS = [("warm", 25_000), ("warm_dynamic", 25_000), ("peak", 600), ("client", 153_600), ("client_small", 153_600), ("stop_scheduler", 168_960), ("text", 36_864), ("text_m4", 24_576), ("memory", 40_960),
           ("memory_small", 24_576), ("stack_rsa", 8_192), ("stack_ec", 8_192), ("warm_connections", 1), ("warm_handshakes", 1)]


def accept(report, found, value):
    report.heading("Targets")
    rows = [[name, f"{value[key]:.3f}", f"{target}", "ok" if value[key] <= target else "short"] for name, key, target in ACCEPTANCE]
    rows += [[TEXTS[key], f"{found[key]:,}", f"{target:,}", "ok" if found[key] <= target else "short"] for key, target in TARGETS if key in found]
    rows.append([TEXTS["syscalls"], found["syscalls"], "", "each explained above"])
    report.table(["name", "value", "target", ""], rows)


def by_room(report, gateway, roots):
    """What the figures that miss their targets are made of."""
    report.heading("Instructions of a warm call, and code, by room")
    cost, floor = (warm_instructions(client, gateway.url, roots) for client in ("ours-symbols", "floor"))
    rooms = Names().rooms(cost)
    report.note(f"Bare BearSSL makes the same call in {floor.total:,.0f} instructions, without a parser, a deadline or a check of what comes back.\n")
    report.table(["instructions, musl -Oz", "", "room"], [[f"{value:,.0f}", f"{100 * value / cost.total:.1f} %", room] for room, value in rooms.most_common() if value >= 50])
    text = size_report().partition(".text")[2].partition("\n.text")[0]
    rows = re.findall(r"^ +(\d+) (\S.*)$", text, re.M)
    if len(rows) < 20:
        sys.exit("bench: size.sh told no rooms")
    report.table([".text at -Os, x86-64, not inlined, bytes", "room"], rows)


# ---- pictures ----

def gnuplot(script):
    done = subprocess.run(["gnuplot"], input="\n".join(script).encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0 or done.stdout:
        print("gnuplot: " + done.stdout.decode())


def plot(picture):
    def size(number):
        return f"{number / 1048576:.1f} MiB" if number >= 1048576 else f"{number / 1024:.0f} KiB"

    def ms(number):
        return f"{number:.1f} ms" if number < 100 else f"{number:.0f} ms"

    rows = [("CPU: new process, one call", "cold", ms), ("CPU: next call on its connection", "warm", lambda number: f"{number:.0f} µs"),
            ("peak memory", "peak", lambda number: size(number * 1024)), ("files: program and its libraries", "file", size),
            ("30 ms away: reconnect, resumed", "resumed13", ms), ("30 ms away: new process, server with TLS 1.2", "rtt12", ms), ("30 ms away: new process, server with TLS 1.3", "rtt13", ms)]
    rows = [row for row in rows if row[1] in picture]
    script = [f"""set terminal svg size 900,{90 + 44 * len(rows)} font 'Helvetica,Arial,sans-serif,14' background '#ffffff'
set output '{BUILD}/bench-ratios.svg'
set lmargin at screen 0.40
set rmargin at screen 0.72
set tmargin at screen 0.89
set bmargin at screen 0.16
set xrange [0:1.28]
set yrange [{len(rows) - 0.4}:-0.6]
set border 0
set xtics 0, 0.25, 1.25 scale 0 textcolor '#777777' offset 0, 0.4
set format x '%g'
set grid xtics linecolor '#e4e4e4' linetype 1
set ytics scale 0 textcolor '#222222'
set style fill solid 1 noborder
set key off
set object 1 rectangle from screen 0.40, screen 0.925 to screen 0.42, screen 0.96 fillcolor '#26a69a' fillstyle solid 1 noborder
set object 2 rectangle from screen 0.542, screen 0.925 to screen 0.562, screen 0.96 fillcolor '#dddddd' fillstyle solid 1 noborder
set arrow 1 from screen 0.765, screen 0.922 to screen 0.765, screen 0.963 nohead linewidth 2 linecolor '#333333'
set label 1 'compshare.h' at screen 0.427, screen 0.942 textcolor '#222222'
set label 2 'libcurl + OpenSSL = 1' at screen 0.569, screen 0.942 textcolor '#222222'
set label 3 'bare BearSSL' at screen 0.775, screen 0.942 textcolor '#222222'
set label 4 'shorter is better' at screen 0.40, screen 0.045 textcolor '#777777'"""]
    data, floors = [], []
    for number, (name, key, unit) in enumerate(rows):
        ours, curl, floor = picture[key]
        data.append(f'{ours / curl:.4f} {number} "{name}" "{unit(ours)}" "{unit(curl)}"')
        floors.append(f"{floor / curl:.4f} {number}")
        script.append(f"set label {10 + number} '{{/:Bold {unit(ours)}}}' at graph 1.04, first {number} textcolor '#222222'\n"
                      f"set label {30 + number} '{unit(curl)}' at graph 1.36, first {number} textcolor '#777777'")
    script += ["$bars << E", *data, "E", "$floor << E", *floors, "E",
               "plot $bars using (0.5):2:(0):(1):($2-0.34):($2+0.34):ytic(3) with boxxyerror linecolor '#dddddd', \\",
               "     $bars using ($1/2):2:(0):1:($2-0.22):($2+0.22) with boxxyerror linecolor '#26a69a', \\",
               "     $floor using 1:($2-0.3):(0):(0.6) with vectors nohead linewidth 2 linecolor '#333333'"]
    gnuplot(script)
    gnuplot([f"""set terminal svg size 640,300 font 'Helvetica,Arial,sans-serif,14' background '#ffffff'
set output '{BUILD}/bench-linear.svg'
set logscale x
set xrange [1:1000]
set yrange [0:*]
set border 3 linecolor '#777777'
set tics nomirror textcolor '#444444'
set grid ytics linecolor '#e4e4e4' linetype 1
set key off
set xlabel 'length of the reply, KB' textcolor '#444444'
set ylabel 'µs for each KB' textcolor '#444444'
$cost << E"""] + [f"{size:.3f} {cost:.4f}" for size, cost in picture["linear"]] + ["E", "plot $cost with linespoints linewidth 2 pointtype 7 linecolor '#26a69a'"])
    with open(program("picture.json"), "w") as file:
        json.dump(picture, file)


def main():
    global BUILD, BENCH, CERTS, WORK
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["all", "counts", "ir"])
    parser.add_argument("--build", default="build")
    parser.add_argument("--top", type=int, default=40)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(CORES)})
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
