"""How the benchmark is told: tables, targets, pictures."""
import json
import os
import re
import shutil
import subprocess

from measures import TEXTS
from servers import output, place, program


SHOWN = {"ours": "compshare.h, static musl", "ours-small": "compshare.h, static musl, small",
         "ours-dynamic": "compshare.h, dynamic glibc", "curl": "libcurl + OpenSSL",
         "floor": "bare BearSSL, static musl (the floor)", "cli": "curl and openssl commands"}


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
            return [shown(name), f"{s.median / samples[base].median:.3f}"] + [f"{value:,.{digits}f}" for value in s]
        head = [what, "to libcurl", f"median, {unit}", "least", "most"]
        self.table(head, [row(name, s) for name, s in samples.items()])


def machine(bundle_bytes, roots, middle):
    def first(*command):
        return output(*command, check=False).decode(errors="replace").splitlines()[0].strip()
    cpu = next(line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    packages = []
    if shutil.which("dpkg-query"):
        packages = output("dpkg-query", "-W", "-f=${Package} ${Version}\n", "libbearssl-dev", "libcurl4", "libssl3",
                          "musl", "libgnutls30", "nginx", check=False).decode().split("\n")
    return [f"- CPU: {cpu}, {os.cpu_count()} cores, not reserved for this", f"- kernel: {os.uname().release}",
            f"- compiler: {first(os.environ.get('CC') or 'cc', '--version')}",
            "- " + ", ".join(line for line in packages if line and not line.endswith(" ")),
            f"- system bundle: {bundle_bytes:,} bytes, {roots} roots and the test's two; the one needed stands as "
            f"number {middle + 1}, in the middle"]


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


RULES = """Made by `make bench`, on loopback. No time is judged; counts are, by `make bench-counts`.

Every program makes exactly one kind of call: a signed UpdateCompShareStopScheduler, POST, form body, and checks
that RetCode is 0. All resolve `localhost` with getaddrinfo, verify chain and host name, and talk to the gateway of
`tests/gateway` (libmicrohttpd and GnuTLS, TLS 1.2, session-ID cache); where said, to nginx with TLS 1.2 and 1.3 in front of it.
Programs run in turns, in batches of 10, all on one core, together with the servers; medians, least and most. CPU is
the scheduler's own account of the process.

- libcurl: Debian's, with OpenSSL; one handle, HTTP/1.1, its default TCP_NODELAY, session cache and cache of parsed
  roots (CURLOPT_CA_CACHE_TIMEOUT), no CA directory, signature by libcrypto, and no JSON parser: RetCode is searched
  for as text.
- bare BearSSL: br_sslio on a blocking socket, the cipher suites of compshare.h, roots compiled in, no deadlines, no
  parser.
- stop_scheduler, and a second bench client that is shown beside the first, have the smallest of BearSSL's
  implementations (examples/static/small.c); all else has BearSSL's own choice.
- the curl and openssl commands: a shell script of one signature and one transfer.
- compshare.h: nothing is switched off.
"""


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
TARGETS = [("warm", 25_000), ("warm_dynamic", 25_000), ("peak", 600), ("client", 153_600), ("client_small", 153_600),
           ("stop_scheduler", 168_960), ("text", 36_864), ("text_m4", 24_576), ("memory", 40_960),
           ("memory_small", 24_576), ("stack_rsa", 8_192), ("stack_ec", 8_192), ("warm_connections", 1),
           ("warm_handshakes", 1)]


def accept(report, found, value):
    report.heading("Targets")
    rows = [[name, f"{value[key]:.3f}", f"{target}", "ok" if value[key] <= target else "short"]
            for name, key, target in ACCEPTANCE]
    rows += [[TEXTS[key], f"{found[key]:,}", f"{target:,}", "ok" if found[key] <= target else "short"]
             for key, target in TARGETS if key in found]
    rows.append([TEXTS["syscalls"], found["syscalls"], "", "each explained above"])
    report.table(["name", "value", "target", ""], rows)


# ---- pictures ----

def gnuplot(script):
    done = subprocess.run(["gnuplot"], input="\n".join(script).encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0 or done.stdout:
        print("gnuplot: " + done.stdout.decode())


FONT = "font 'Helvetica,Arial,sans-serif,14' background '#ffffff'"


def solid(colour):
    return f"fillcolor '{colour}' fillstyle solid 1 noborder"


def plot(picture):
    def size(number):
        return f"{number / 1048576:.1f} MiB" if number >= 1048576 else f"{number / 1024:.0f} KiB"

    def ms(number):
        return f"{number:.1f} ms" if number < 100 else f"{number:.0f} ms"

    rows = [("CPU: new process, one call", "cold", ms),
            ("CPU: next call on its connection", "warm", lambda number: f"{number:.0f} µs"),
            ("peak memory", "peak", lambda number: size(number * 1024)),
            ("files: program and its libraries", "file", size),
            ("30 ms away: reconnect, resumed", "resumed13", ms),
            ("30 ms away: new process, server with TLS 1.2", "rtt12", ms),
            ("30 ms away: new process, server with TLS 1.3", "rtt13", ms)]
    rows = [row for row in rows if row[1] in picture]
    script = [f"""set terminal svg size 900,{90 + 44 * len(rows)} {FONT}
set output '{place.build}/bench-ratios.svg'
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
set object 1 rectangle from screen 0.40, screen 0.925 to screen 0.42, screen 0.96 {solid('#26a69a')}
set object 2 rectangle from screen 0.542, screen 0.925 to screen 0.562, screen 0.96 {solid('#dddddd')}
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
        script.append(f"set label {10 + number} '{{/:Bold {unit(ours)}}}' at graph 1.04, "
                      f"first {number} textcolor '#222222'\n"
                      f"set label {30 + number} '{unit(curl)}' at graph 1.36, first {number} textcolor '#777777'")
    script += ["$bars << E", *data, "E", "$floor << E", *floors, "E",
               "plot $bars using (0.5):2:(0):(1):($2-0.34):($2+0.34):ytic(3) with boxxyerror linecolor '#dddddd', \\",
               "     $bars using ($1/2):2:(0):1:($2-0.22):($2+0.22) with boxxyerror linecolor '#26a69a', \\",
               "     $floor using 1:($2-0.3):(0):(0.6) with vectors nohead linewidth 2 linecolor '#333333'"]
    gnuplot(script)
    gnuplot([f"""set terminal svg size 640,300 {FONT}
set output '{place.build}/bench-linear.svg'
set logscale x
set xrange [1:1000]
set yrange [0:*]
set border 3 linecolor '#777777'
set tics nomirror textcolor '#444444'
set grid ytics linecolor '#e4e4e4' linetype 1
set key off
set xlabel 'length of the reply, KB' textcolor '#444444'
set ylabel 'µs for each KB' textcolor '#444444'
$cost << E"""] + [f"{size:.3f} {cost:.4f}" for size, cost in picture["linear"]]
            + ["E", "plot $cost with linespoints linewidth 2 pointtype 7 linecolor '#26a69a'"])
    with open(program("picture.json"), "w") as file:
        json.dump(picture, file)
