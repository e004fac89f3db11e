#!/usr/bin/env python3
"""The benchmark: bench.py all|counts|ir, run by `make bench`, `make bench-counts` and `make bench-ir`.

    ours.c      the client on compshare.h        run.c     runs a program, and measures it from outside
    curl.c      on libcurl and OpenSSL           relay.c   makes the way to the server longer
    floor.c     on bare BearSSL                  fleet.c   many instances through many connections
    cli.sh      the curl and openssl commands    parse.c   replies from 1 KB to 1 MB
    bench.h     what the clients have in common  warm.c    typed calls of the widest instance
    roots.py    certificates as C, for floor.c   servers.py  what they talk to
    measures.py what is measured                 report.py  tables, targets and pictures

Nothing is judged by its time; `counts` checks what comes out the same every time.
"""
import argparse
import os
import re
import statistics
import sys
import tempfile

from measures import (
    LIMITS, Names, Sample, TEXTS, bytes_of, bytes_resumed, callgrind, cold, count, repeated, sample,
    size_report, traced, warm_instructions)
from report import RULES, Report, accept, machine, plot, shown, syscall_rows
from servers import CORES, Gateway, HERE, Nginx, Relay, end_all, make_bundle, output, place, program


def do_ir(top):
    bundle, count, middle = make_bundle()
    gateway = Gateway()
    names = Names()
    print("Instructions in user space, callgrind; static, musl, the flags of examples/static/build.sh. RSA chain.\n")
    print("one warm call\n\n" + names.tables(warm_instructions("ours-symbols", gateway.url, bundle), top))
    cold = callgrind(program("ours-symbols"), gateway.url, bundle, "1", "keep")
    print(f"\none cold call: the process, bundle of {count + 2} roots, the one needed is number {middle + 1}\n\n"
          + names.tables(cold, top))
    cold = callgrind(program("ours-symbols"), gateway.url, f"{place.certs}/roots.pem", "1", "keep")
    print("\none cold call, 2 roots\n\n" + names.tables(cold, 15))
    gateway.end()


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


COMPARED = "ours system bundle", "curl system bundle", "floor embedded roots"


def cold_processes(report, gateway, bundle, small, value, picture):
    """One process, one call; the commands by name."""
    report.heading("Cold: one process, one call, RSA chain")
    url = gateway.url
    commands = {f"{client} {which}": [program(client), url, file, "1", "keep"]
                for which, file in (("system bundle", bundle), ("2 roots", small))
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
    picture["cold"] = tuple(cpu[name].median for name in COMPARED)

    ec = Gateway(chain="ec")
    ec_commands = {name: [ec.url if word == url else word for word in command]
                   for name, command in commands.items() if not name.startswith("cli")}
    _, ec_cpu = cold(ec_commands, 50)
    ec.end()
    report.heading("Cold: the same with a P-256 chain under a P-384 root")
    report.samples("CPU, user and system", ec_cpu, "curl system bundle", "ms")
    return commands


def cold_costs(report, gateway, commands, picture):
    """Memory, system calls and bytes of these."""
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
    head = ["", "peak resident set, KiB", "system calls", "connections / handshakes", "bytes sent", "received"]
    report.table(head, rows)
    picture["peak"] = tuple(peaks[name] for name in COMPARED)
    lines = min((traced(*commands["ours system bundle"]) for _ in range(5)), key=len)
    report.note(f"System calls of compshare.h, static musl, system bundle, {len(lines)} in all:\n")
    report.text += ["| times | call | what for |", "|---|---|---|"]
    report.text += [f"| {times} | {name} | {text} |" for times, name, text in syscall_rows(lines)] + [""]


def warm_calls(report, gateway, small, value, picture):
    report.heading("Warm: many calls on one connection")
    url = gateway.url
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


def files_and_memory(report, found, needed, needed_small, picture):
    report.heading("Sizes")
    libraries, loaded = with_libraries("curl")
    own_libraries, own_loaded = with_libraries("ours-dynamic")
    floor = os.path.getsize(program("floor"))
    keys = ("client", "client_small", "stop_scheduler", "text", "text_m4", "memory", "memory_small", "stack_rsa",
            "stack_ec")
    report.table(["", "bytes"], [[TEXTS[key], f"{found[key]:,}"] for key in keys if key in found] + [
        ["compshare_memory_needed", f"{needed:,}"], ["the same, small records", f"{needed_small:,}"],
        ["floor, static, stripped", f"{floor:,}"],
        [f"libcurl client, with the {libraries} libraries that it loads", f"{loaded:,}"],
        [f"compshare.h, dynamic, with the {own_libraries} libraries that it loads", f"{own_loaded:,}"]])
    picture["file"] = (found["client"], loaded, floor)


def do_all():
    report, value, picture = Report(), {}, {}
    bundle, roots, middle = make_bundle()
    small = f"{place.certs}/roots.pem"
    gateway = Gateway()
    about = machine(os.path.getsize(bundle), roots, middle)
    print("\n".join(about))
    found, needed, needed_small = count(bundle)

    commands = cold_processes(report, gateway, bundle, small, value, picture)
    cold_costs(report, gateway, commands, picture)
    warm_calls(report, gateway, small, value, picture)
    network(report, gateway, bundle, small, value, picture)
    fleet(report, small, needed)
    linearity(report, picture)
    files_and_memory(report, found, needed, needed_small, picture)
    by_room(report, gateway, small)
    gateway.end()
    accept(report, found, value)
    plot(picture)
    path = os.path.join(place.build, "bench.md")
    with open(path, "w") as file:
        file.write("# compshare.h beside libcurl, the curl command and bare BearSSL\n\n"
                   "![what each takes, libcurl is 1](bench-ratios.svg)\n\n"
                   + RULES + "\n" + "\n".join(about) + "\n" + "\n".join(report.text) + "\n")
    print(f"\n{os.path.relpath(path)}, {os.path.relpath(place.build)}/bench-*.svg")


def network(report, gateway, bundle, small, value, picture):
    clients = ["ours", "curl", "floor"]
    plain = Gateway(plain=True)
    nginx = Nginx(plain.port)
    report.heading("Over 30 ms of round trip")
    report.note("A relay hands every chunk on 15 ms later, and each connection's first bytes another 30 ms later, for "
                "the round trip of TCP's connect. Wall time in ms. compshare.h has TLS 1.2 and no more; libcurl takes "
                "TLS 1.3 where the server, nginx, offers it, and saves a round trip in a full handshake.\n")
    for server, target, tls in (("gateway, TLS 1.2", gateway, "12"), ("nginx, TLS 1.2 and 1.3", nginx, "13")):
        relay = Relay(target.port, 30)
        commands = {f"{client} cold": [program(client), relay.url, bundle, "1", "keep"] for client in clients}
        wall = cold(commands, 16, 4)[0]
        report.note(f"{server}:\n")
        print(f"  {server}")
        report.samples("cold process, system bundle, full handshake", wall, "curl cold", "ms", 1)
        value[f"rtt_full{tls}"] = wall["ours cold"].median / wall["curl cold"].median
        for mode, number, what in (("full", 8, "new connection, full handshake"),
                                   ("resume", 12, "new connection, resumed"),
                                   ("keep", 50, "50 calls on one connection, each")):
            _, middle, _ = repeated(clients, relay.url, small, number, mode, 2)
            in_ms = {name: Sample(*(part / 1e3 for part in s)) for name, s in middle.items()}
            report.samples(what, in_ms, "curl", "ms", 1)
            if mode == "resume":
                value[f"rtt_resumed{tls}"] = middle["ours"].median / middle["curl"].median
                picture[f"resumed{tls}"] = tuple(in_ms[name].median for name in clients)
        picture[f"rtt{tls}"] = tuple(wall[f"{name} cold"].median for name in clients)
        relay.end()
    # both sides must have resumed where resumed times are compared
    rows = []
    for client in clients:
        counted = gateway.counted(lambda: output(program(client), gateway.url, small, "11", "resume"))
        moved = sum(bytes_resumed(gateway, client, small))
        rows.append([shown(client), "gateway", "TLSv1.2", counted[0], counted[2], moved])
        protocol, connections, resumed = nginx.handshakes(
            lambda: output(program(client), nginx.url, small, "11", "resume"))
        rows.append([shown(client), "nginx", protocol, connections, resumed, ""])
        if counted[2] != 10 or resumed != 10:
            sys.exit(f"bench: {client} did not resume: {rows[-2:]}")
    head = ["11 calls, each with a new connection", "server", "protocol", "connections", "resumed",
            "bytes of one resumed"]
    report.table(head, rows)
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
        rows.append([connections, f"{instances:,}", f"{requests:,}", f"{cpu / requests / 1e3:.1f}",
                     f"{requests / wall * 1e9:,.0f}", f"{connecting / 1e6:.2f}", f"{memory:,}"])
    report.table(["connections", "instances", "requests", "CPU of one, us", "requests per second",
                  "CPU of a connection with its first reading, ms", "memory of a connection, bytes"], rows)
    report.note("CPU is the least of five runs. Requests per second with the gateway on a core of its own: its one "
                "thread, for all connections, is what bounds them.\n")
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


def by_room(report, gateway, roots):
    """What the figures that miss their targets are made of."""
    report.heading("Instructions of a warm call, and code, by room")
    cost, floor = (warm_instructions(client, gateway.url, roots) for client in ("ours-symbols", "floor"))
    rooms = Names().rooms(cost)
    report.note(f"Bare BearSSL makes the same call in {floor.total:,.0f} instructions, without a parser, a deadline "
                "or a check of what comes back.\n")
    rows = [[f"{value:,.0f}", f"{100 * value / cost.total:.1f} %", room]
            for room, value in rooms.most_common() if value >= 50]
    report.table(["instructions, musl -Oz", "", "room"], rows)
    text = size_report().partition(".text")[2].partition("\n.text")[0]
    rows = re.findall(r"^ +(\d+) (\S.*)$", text, re.M)
    if len(rows) < 20:
        sys.exit("bench: size.sh told no rooms")
    report.table([".text at -Os, x86-64, not inlined, bytes", "room"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["all", "counts", "ir"])
    parser.add_argument("--build", default="build")
    parser.add_argument("--top", type=int, default=40)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(CORES)})
    with tempfile.TemporaryDirectory() as work:
        place.settle(arguments.build, work)
        try:
            if arguments.what == "ir":
                return do_ir(arguments.top)
            return do_all() if arguments.what == "all" else do_counts()
        finally:
            end_all()


if __name__ == "__main__":
    sys.exit(main())
