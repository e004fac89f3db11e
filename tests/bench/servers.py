"""What the benchmark talks to: the gateway, nginx, relays, all on loopback, each ended by its
process id; and how a program is found and run."""
import atexit
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
KEYS = {"COMPSHARE_PUBLIC_KEY": "ucloudsomeone@example.com1296235120854146120",
        "COMPSHARE_PRIVATE_KEY": "46f09bb9fab4f12dfc160dae12273d5332b5debe"}
ENV = {"PATH": os.environ["PATH"] + ":/usr/sbin", "LC_ALL": "C", "HOME": "/nonexistent", **KEYS}

class Place:
    """Where everything is; `settle` says it."""
    build = bench = certs = work = ""

    def settle(self, build, work):
        self.build, self.work = os.path.abspath(build), work
        self.bench, self.certs = os.path.join(self.build, "bench"), os.path.join(self.build, "tests/certs")


place = Place()


def program(name):
    return os.path.join(place.bench, name)


def output(*command, check=True):
    done = subprocess.run(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if check and done.returncode != 0:
        said = done.stdout[-500:] + done.stderr[-2000:]
        sys.exit(f"bench: {' '.join(command)}\n{said.decode(errors='replace')}")
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
    process = subprocess.Popen(command, env=ENV, stdout=out, stderr=subprocess.DEVNULL,
                               preexec_fn=lambda: prepare(core))
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
        path = os.path.join(place.work, f"ports{next(SERIAL)}")
        keys = f"{place.certs}/{chain}"
        tls = ["--plain"] if plain else ["--cert", f"{keys}-chain.pem", "--key", f"{keys}-key.pem"]
        self.process = begin(os.path.join(place.build, "tests/gateway"), *tls, "--port-file", path,
                             "--instances", "1003", *options, core=core)
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
        path = os.path.join(place.work, f"ports{next(SERIAL)}")
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
        self.log = os.path.join(place.work, "nginx.log")
        conf = os.path.join(place.work, "nginx.conf")
        with open(conf, "w") as out:
            out.write(f"""daemon off; master_process off; pid {place.work}/nginx.pid; error_log {place.work}/nginx.err;
events {{ }}
http {{
    log_format tls '$connection_requests $ssl_protocol $ssl_session_reused $ssl_cipher $ssl_curves';
    access_log {self.log} tls;
    client_body_temp_path {place.work}/body; proxy_temp_path {place.work}/proxy;
    fastcgi_temp_path {place.work}/a; uwsgi_temp_path {place.work}/b; scgi_temp_path {place.work}/c;
    keepalive_requests 1000000;
    upstream gateway {{ server 127.0.0.1:{upstream}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{self.port} ssl;
        ssl_certificate {place.certs}/rsa-chain.pem; ssl_certificate_key {place.certs}/rsa-key.pem;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:bench:1m; ssl_session_tickets on;
        location / {{ proxy_pass http://gateway; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
""")
        self.process = begin("nginx", "-p", place.work, "-c", conf)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        sys.exit("bench: nginx did not start: " + open(f"{place.work}/nginx.err").read())

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
    with open(f"{place.certs}/roots.pem") as file:
        own = file.read()
    path = program("system.pem")
    with open(path, "w") as file:
        file.write("".join(blocks[:middle]) + own + "".join(blocks[middle:]))
    return path, len(blocks), middle
