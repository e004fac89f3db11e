"""What the benchmark measures: instructions, system calls, bytes, memory, sizes, and times."""
import collections
import os
import re
import statistics
import struct
import subprocess

from servers import ENV, Gateway, HERE, Relay, SERIAL, TOP, output, place, program


# ---- instructions ----

Cost = collections.namedtuple("Cost", "source symbol inclusive total")


def callgrind(*command):
    """Instructions by source function, by symbol, and by symbol with what it calls."""
    path = os.path.join(place.work, f"callgrind{next(SERIAL)}")
    output("valgrind", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no",
           f"--callgrind-out-file={path}", *command)
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
        symbols = map(str.split, output("nm", library).decode().splitlines())
        self.bearssl = {words[-1] for words in symbols if len(words) > 2}

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
        def line(value, name):
            return f"{value:12,.0f} {100 * value / cost.total:5.1f} %  {name}"
        lines = ["by room:"] + [line(value, room) for room, value in self.rooms(cost).most_common() if value >= 0.5]
        lines += [f"{cost.total:12,.0f}          all", ""]
        lines += [f"by function, inlined code told apart, itself, the first {top}:"]
        lines += [line(value, f"{name} ({room})") for (name, room), value in functions.most_common(top)]
        lines += ["", f"by symbol with all that it calls, the first {top}:"]
        lines += [line(value, name) for name, value in
                  sorted(cost.inclusive.items(), key=lambda item: -item[1])[:top]]
        return "\n".join(lines)


def warm_instructions(client, url, roots, few=101, many=201):
    more, some = (callgrind(program(client), url, roots, str(number), "keep") for number in (many, few))
    return less(more, some, many - few)


# ---- counts ----

# What each must not exceed, with gcc 12 on x86-64, so that nothing gets worse unseen: what is reached, and a little
# more where certificates or the arrival of bytes move it. Tighten them here.
LIMITS = {
    "warm": 49_500,            # instructions of one Update call, static musl at -Oz
    "warm_dynamic": 41_500,     # and glibc at -O2
    "describe": 163_500,        # of a description of the widest instance, without TLS
    "set": 351_000,             # of a complete schedule_set: two of them and a change
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
    "describe": "instructions of a warm describe_instance, no TLS",
    "set": "instructions of a warm schedule_set, no TLS",
    "cold": "instructions, cold, system bundle", "cold2": "instructions, cold, 2 roots",
    "bytes_full": "bytes both ways, full handshake", "bytes_resumed": "bytes both ways, resumed handshake",
    "warm_connections": "connections of 1,000 calls", "warm_handshakes": "handshakes of 1,000 calls",
    "syscalls": "system calls, cold, static", "peak": "peak resident set, static, KiB",
    "client": "bench client, static, stripped, bytes",
    "client_small": "the same with the smallest of BearSSL's implementations",
    "stop_scheduler": "stop_scheduler, static, stripped, bytes", "text": ".text of compshare.h, -Os, x86-64",
    "text_m4": ".text of compshare.h, -Os, Cortex-M4", "memory": "memory that completes schedule_set, bytes",
    "memory_small": "the same, small records", "stack_rsa": "stack, RSA chain, bytes",
    "stack_ec": "stack, P-256 chain, bytes", "linear": "instructions per byte of a reply, 512 KB / 32 KB",
    "fleet": "instructions per instance, 600 / 300, 8 connections",
}


def traced(*command):
    """The system calls of one run, a line each."""
    path = os.path.join(place.work, f"strace{next(SERIAL)}")
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
        command = [program("fleet"), gateway.url, f"{place.certs}/roots.pem", "1", "1", str(4 * middle)] + small
        done = subprocess.run(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        low, high = (low, middle) if done.returncode == 0 else (middle + 1, high)
    return 4 * low


def size_report():
    return output("sh", os.path.join(HERE, "../scripts/size.sh"), place.bench, check=False).decode()


def sizes():
    done = size_report()
    text = [int(number) for number in re.findall(r"^\.text +(\d+)", done, re.M)]
    needed = re.search(r"memory needed +(\d+) bytes \(COMPSHARE_SMALL_RECORDS: (\d+)", done)
    return text[0], text[1] if len(text) > 1 else None, int(needed[1]), int(needed[2])


def stacks():
    ENV.update(COMPSHARE_TEST_BIN=f"{place.build}/tests", COMPSHARE_TEST_CERTS=place.certs)
    done = output(f"{place.build}/tests/integration/test_limits").decode(errors="replace")
    return tuple(map(int, re.search(r"figure: stack RSA (\d+) bytes, EC (\d+)", done).groups()))


def linear_instructions():
    def per_byte(size):
        cost = less(callgrind(program("parse"), str(size), "3"), callgrind(program("parse"), str(size), "1"), 2)
        return cost.total / int(output(program("parse"), str(size), "1").split()[0])
    return per_byte(524288) / per_byte(32768)


def typed_instructions(what):
    """One call of the widest documented instance, over a transport in memory."""
    reply = os.path.join(TOP, "tests/data/widest_instance.json")
    few, many = (callgrind(program("warm"), reply, what, times) for times in ("2", "12"))
    return round(less(many, few, 10).total)


def fleet_instructions(gateway, roots):
    few, some, many = (callgrind(program("fleet"), gateway.url, roots, "8", str(instances)).total
                       for instances in (1, 301, 601))
    return (many - some) / (some - few)


def count(bundle):
    """Everything that comes out the same every time."""
    roots = f"{place.certs}/roots.pem"
    found = {}
    gateway = Gateway()
    found["warm"] = round(warm_instructions("ours", gateway.url, bundle).total)
    found["warm_dynamic"] = round(warm_instructions("ours-dynamic", gateway.url, bundle).total)
    found["describe"], found["set"] = typed_instructions("describe"), typed_instructions("set")
    found["cold"] = callgrind(program("ours"), gateway.url, bundle, "1", "keep").total
    found["cold2"] = callgrind(program("ours"), gateway.url, roots, "1", "keep").total
    found["bytes_full"] = sum(bytes_of(gateway, [program("ours"), gateway.url, roots, "1", "keep"]))
    found["bytes_resumed"] = sum(bytes_resumed(gateway, "ours", roots))
    connections, full, resumed, _ = gateway.counted(lambda: output(program("ours"), gateway.url, roots, "1000", "keep"))
    found["warm_connections"], found["warm_handshakes"] = connections, full + resumed
    found["syscalls"] = min(len(traced(program("ours"), gateway.url, bundle, "1", "keep")) for _ in range(5))
    found["peak"] = max(int(output(program("run"), "peak", program("ours"), gateway.url, bundle, "1", "keep"))
                        for _ in range(3))
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
    return ({name: sample(values, 1e6) for name, values in wall.items()},
            {name: sample(values, 1e3) for name, values in cpu.items()})


def calls(client, url, roots, number, mode):
    """CPU of one call in us, and the wall time of each in us."""
    numbers = struct.unpack(f"{number + 1}Q", output(program(client), url, roots, str(number + 1), mode))
    return numbers[0] / number / 1e3, [value / 1e3 for value in numbers[1:]]


def repeated(clients, url, roots, number, mode, rounds):
    """The same in turns: CPU, and wall time of one call (median over all, 99 % of them, each a sample over the
    rounds)."""
    cpu, middle, late = (collections.defaultdict(list) for _ in range(3))
    for turn in range(rounds):
        for client in clients[turn % len(clients):] + clients[:turn % len(clients)]:
            used, walls = calls(client, url, roots, number, mode)
            walls.sort()
            cpu[client].append(used)
            middle[client].append(statistics.median(walls))
            late[client].append(walls[min(len(walls) - 1, len(walls) * 99 // 100)])
    return tuple({client: sample(part[client]) for client in clients} for part in (cpu, middle, late))
