#!/usr/bin/env python3
"""seeds.py TARGET OUT [CERTS]: writes first inputs of a fuzz target into OUT, from the
case data in tests/data and the certificates of `make certs`."""

import base64
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "data")
CERTS = sys.argv[3] if len(sys.argv) > 3 else os.path.join(HERE, "..", "..", "build", "tests", "certs")
LIMIT = 16384       # longer ones slow a fuzzer down and teach it nothing


def rows(name):
    with open(os.path.join(DATA, name), encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def http():
    for row in rows("http_cases.jsonl"):
        ends = {"clean": 6}.get(row.get("close"), 2)
        yield bytes([ends, 1, 2, 3, 5, 8, 64, 255]) + base64.b64decode(row["raw_base64"])
    yield bytes([1, 1, 2, 3, 5, 8, 64, 255]) + b"HTTP/1.1 200 Connection established\r\n\r\n"
    yield bytes([1, 9, 9, 9, 9, 9, 9, 9]) + b"HTTP/1.0 407 No\r\nContent-Length: 3\r\n\r\nabc"


def json_():
    for row in rows("json_cases.jsonl"):
        for first in (0, 0x51):
            yield bytes([first, 1, 2, 3, 5, 8, 64, 255]) + base64.b64decode(row["raw_base64"])
    for text in (b'{"UHostSet":[1,{"a":2}],"UHostSet":[]}', b'{"UHostSet":null,"x":0}', b'{"UHostSet":5}', b'["\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"]',
                 b'{"\\u0055HostSet":["\\ud83d\\ude00\\ud800"]}'):
        yield bytes([0xf0, 1, 2, 3, 5, 8, 64, 255]) + text
    for body in bodies().values():
        yield bytes([0x11, 9, 2, 3, 5, 8, 64, 255]) + body


# ---- pem ----

def certs(name):
    with open(os.path.join(CERTS, name), "rb") as f:
        return f.read()


def ders(text):
    """The certificates of a PEM text."""
    found = []
    for part in text.split(b"-----BEGIN CERTIFICATE-----")[1:]:
        digits = b"".join(part.split(b"-----END")[0].split()).rstrip(b"=")
        found.append(base64.b64decode(digits[:len(digits) // 4 * 4] + (digits[len(digits) // 4 * 4:] + b"==")[:4] if len(digits) % 4 > 1
                                      else digits[:len(digits) // 4 * 4]))
    return found


def pem():
    rest = bytes([7, 1, 2, 3, 31, 64, 255])
    names = sorted(n for n in os.listdir(CERTS) if n.endswith(".pem") and not n.endswith("-key.pem"))
    for name in names:
        text = certs(name)
        yield b"\0" + rest + text
        for der in ders(text)[:3]:
            yield b"\1" + rest + der
        if not name.endswith("-chain.pem"):
            continue
        for root in ("root-rsa.pem", "root-ec.pem"):
            chain = ders(text) + ders(certs(root))[:1]
            yield b"\2" + rest + b"".join(len(d).to_bytes(2, "big") + d for d in chain)
            yield b"\2\1" + rest[1:] + b"".join(len(d).to_bytes(2, "big") + d for d in chain)


# ---- call ----

CALLS = ("read create terminate unknown csv each_read each_create projects describe each_instance update delete set_at set_in get "
         "extend cancel stop start reboot wait").split()
DATE = b"Date: Fri, 15 Jan 2027 08:00:00 GMT\r\n"
BASE = 1800000000


def reply(body, status=b"200 OK", more=DATE, kind=b"application/json"):
    return (b"HTTP/1.1 " + status + b"\r\nContent-Type: " + kind + b"\r\n" + more
            + b"\xffL\r\n" + body)


def chunked(body):
    middle = len(body) // 2
    return (b"HTTP/1.1 200 OK\r\n" + DATE + b"Transfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n" % len(p) + p + b"\r\n" for p in (body[:middle], body[middle:]) if p) + b"0\r\n\r\n")


def script(*replies):
    return b"".join(r + b"\xffN" for r in replies)


def shown(**changed):
    return json.dumps({"RetCode": 0, "TotalCount": 1, "UHostSet": [dict(instance(), **changed)]}).encode()


def choices(*calls, flags=0, retries=0, sizes=(255, 255, 255, 255), wait=0, stop=0, plan=0, timeout=0, skew=0, end=0, step=0):
    kinds = [CALLS.index(c) for c in calls] + [0, 0]
    return bytes(kinds[:3] + [len(calls) - 1, flags, retries] + list(sizes) + list(sizes)
                 + [wait, stop, plan, timeout, skew, 0x55, 0, 0, end, step])


def call():
    b = bodies()
    ok, refused, busy = reply(b["plain"]), reply(b["refused"]), reply(b'{"RetCode":8903,"Message":"busy"}')
    projects, found = reply(b["projects"]), reply(shown())
    later = reply(b"{}", b"429 Too Many Requests", b"Retry-After: 1\r\n")
    unframed = lambda body: b"HTTP/1.1 200 OK\r\n" + DATE + b"\r\n" + body + b"\xffE"
    counted = lambda body: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body + b"\xffN"
    broken = reply(b'{"RetCode":110,"Message":"timeout"}')
    set_ = reply(b'{"RetCode":0,"UHostId":"uhost-1"}')
    at, within, more = (chunked(shown(SchedulerStopTime=t)) for t in (BASE + 7200, BASE + 3600, BASE + 8600))
    planned = reply(shown(SchedulerStopTime=BASE + 5000))
    states = {s: reply(shown(State=s)) for s in ("Running", "Stopped", "Stopping", "Starting", "Rebooting", "Install Fail")}
    csv = reply(b"a,b\r\n1,2\r\n", kind=b"text/csv")
    many = reply(json.dumps({"RetCode": 0, "TotalCount": 3, "UHostSet": [dict(instance(), UHostId="uhost-%d" % i) for i in range(3)]}).encode())
    page = lambda n, total: reply(json.dumps({"RetCode": 0, "TotalCount": total, "UHostSet": [
        {"UHostId": "u%d" % i} for i in range(n, min(n + 100, total))]}).encode())
    whole = {
        "read": [ok], "create": [ok], "terminate": [ok], "unknown": [refused], "csv": [csv], "each_read": [many], "each_create": [many],
        "projects": [projects], "describe": [found], "each_instance": [many], "update": [set_], "delete": [ok],
        "set_at": [projects, found, set_, at], "set_in": [projects, found, set_, within], "get": [planned],
        "extend": [projects, planned, set_, more], "cancel": [projects, planned, ok, found], "stop": [ok], "start": [ok],
        "reboot": [ok], "wait": [states["Starting"], states["Running"]],
    }
    for name, replies in whole.items():
        for flags in (0, 1, 16, 2 + 4, 8, 32 + 64 + 128):
            first = replies[1:] if flags & 2 and replies[0] is projects else replies
            first = [b"HTTP/1.1 200 OK\r\n\r\n\xffN" + r if flags & 8 and i == 0 else r for i, r in enumerate(first)]
            yield choices(name, flags=flags) + script(*first)
        yield choices(name, sizes=(1, 7, 64, 3), retries=2) + script(later, *replies)
        yield choices(name, flags=1, retries=1) + script(*replies[:-1], broken, *replies[-1:], *replies[-1:])
        yield choices(name, retries=3, timeout=1) + b"HTTP/1.1 200 OK\r\n\xffE" + script(*replies)
        yield choices(name, name, flags=1) + script(*replies, *replies)
        yield choices(name, retries=1, end=1) + b"\xffO\x00" + script(*replies)[:-20]
        yield choices(name, flags=16, step=7) + script(*replies)
        for frame in (unframed, counted):
            yield choices(name) + b"".join(frame(r.split(b"\xffL\r\n")[1]) if b"\xffL" in r else r + b"\xffN" for r in replies)
    for body in (b'{"RetCode":0,"RetCode":0}', b'{"RetCode":"0"}', b'[{"RetCode":0}]', b'{"RetCode":0.0}', b'{"A":{"RetCode":0}}', b'{"RetCode":0}x'):
        yield choices("create") + script(reply(body))
    yield choices("describe", retries=1) + script(later, reply(b'{"RetCode":0,"U\\u0000":0}'))
    yield choices("create") + unframed(b["plain"])[:-1] + b"X"
    yield choices("create", flags=32) + b"\xffS\x40\xffS\x00\xffG" + ok + b"\xffE"
    yield choices("set_at", flags=2) + script(found, broken, found, at)
    yield choices("set_at", flags=2) + script(found) + b"\xffE" + script(found, at)
    yield choices("set_at", plan=1) + script(projects, planned)
    yield choices("cancel", timeout=1) + script(projects, planned, ok, planned, planned, found)
    yield choices("stop", retries=1, timeout=3) + script(broken, *[states["Running"]] * 12, ok)
    yield choices("stop") + script(broken, states["Running"], states["Stopping"])
    yield choices("start") + script(broken, states["Stopped"], states["Starting"])
    yield choices("reboot") + script(broken, states["Rebooting"])
    yield choices("wait") + script(states["Starting"], states["Install Fail"])
    yield choices("wait", timeout=2) + script(*[states["Starting"]] * 4)
    yield choices("each_instance", flags=1) + script(page(0, 150), page(99, 150))
    yield choices("each_instance", flags=1) + script(page(0, 250), page(110, 250), page(99, 250))
    yield choices("each_create", stop=2) + script(many)
    yield choices("create", "create", "read", flags=1) + script(ok) + b"\xffE" + script(ok, refused)
    yield choices("read", "read", "read", flags=1, retries=1) + script(ok, busy, later, ok, ok)
    yield choices("create", flags=32) + b"\xffS\x40\xffS\x00\xffG" + refused + b"\xffE"
    yield choices("read", flags=32, retries=1) + b"\xffS\x40\xffS\x01" + script(ok, ok)
    yield choices("read", end=1) + b"HTTP/1.1 200 OK\r\n\r\n" + b["plain"] + b"\xffE"
    yield choices("read") + script(reply(b'{"a":"' + b"x" * 12000 + b'"}'))


# ---- encode, date ----

def encode():
    sizes = bytes([1, 2, 3, 5, 8, 64, 255])
    for i, row in enumerate(rows("signature_vectors.jsonl")):
        own = ("Action", "PublicKey", "Signature", "SecurityToken")
        yield sizes + bytes([i % 256]) + b"".join(b"\0" + k.encode() + b"\0" + str(v).encode() + b"\0" for k, v in row["params"] if k not in own)
    for text in (b"\1UHostIds.0\0-7\0\2Price\0" + b"0.5\0\3Flag\0y\0", b"\0Region\0a b\0", b"\0B\0x\0\0A\0y\0", b"\0A\0x\0\1A\0" + b"1\0",
                 b"\2P\0-0\0", b"\2P\0" + b"1.50\0", b"\1N\0-9223372036854775808\0", b"\0UHostIds.\0 \0", b"\0Signature\0x\0"):
        yield sizes + b"\5" + text


def date():
    for text in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                 "Thu, 29 Feb 2024 23:59:60 GMT", "Fri, 30 Feb 2024 00:00:00 GMT", "Wednesday, 31-Dec-69 23:59:59 GMT", "-9223372036854775808",
                 "9223372036854775807", "0", "-0", "\u5361\U0001F600 text", "Fri, 01 Jan 9999 00:00:00 GMT"):
        for when in (0, 1800000000, 951782400, 253402300799, 2 ** 64 - 1):
            yield when.to_bytes(8, "big") + bytes([when % 61]) + text.encode()


# ---- url ----

def url():
    for s in ("https://api.compshare.cn", "http://api.test", "https://a.b:8443/x/y", "https://1.2.3.4", "http://127.0.0.1:8080/", "https://a..b",
              "https://" + "a" * 64 + ".b", "https://host./p", "https://u@h", "https://h?q", "https://h/" + "p" * 254, "https://0x7f.1", "ftp://x",
              "https://[::1]/", "https://a_b-c.D9:65535", "http://h:0", "http://h:00080"):
        yield b"\0\0\0" + s.encode()
    for s in ("http://proxy", "http://proxy:3128/", "http://user:pass%20word@proxy.test:3128", "http://u@h", "http://u:p:q@h:1", "http://%41%3a:%40@h",
              "http://[::1]:8080", "http://u:@[fe80::1]", "http://:p@h", "http://@h", "http://a@b@h", "https://h", "http://u%zz@h", "http://h:65536",
              "http://" + "u" * 255 + "@h", "http://u:p?x@h", "http://h/x"):
        yield b"\1\0\0" + s.encode()
    for s in ("public\nprivate\n!\n!\n!\n!\n!\n!\n!\n!", "p\nq\nt\ncn-wlcb\ncn-wlcb-01\norg-1\nhttps://h/p\nhttp://u:p@h:1\nagent/1\n/etc/ssl/cert.pem",
              "p\n\n!\n!", "p \nq", "p\nq\n\n", "p\nq\n!\na b\n", "p\nq\n!\n\n\n\n!\n!\n\n!"):
        for more in (0, 60, 255):
            yield bytes([2, more & 1, more]) + s.encode()


# ---- tool: what compshare-schedule reads itself ----

def tool():
    def config(profile, **more):
        profiles = {name: {"public_key": name + "-p", "private_key": name + "-q"} for name in ("default", "work")}
        return profile.encode() + b"\0" + json.dumps(dict({"current_profile": "work", "profiles": profiles}, **more)).encode()

    texts = (
        ("90s", "30m", "2h", "1h30m", "3d", "1d2h3m4s", "0s", "2h2h", "999999d", "1000000s", "0000001h", "h"),
        ("1800000000", "2026-11-23T22:00+08:00", "2026-11-23 22:00:01-0330", "2026-11-23t14:00Z", "2024-02-29T23:59:59z", "2026-11-23T22:00",
         "202611232200", "1970-01-01T00:00+14:00", "9999-12-31T23:59:59-14:00", "2100-02-29T00:00Z"),
        ("uhost-1\nuhost-2\r\n  self\tx", "a\0b", "a" * 64, "编号", ""),
        (config(""), config("default"), config("", current_profile=""), config("", current_profile=7), config("none"), b"\0{", b"\0[]",
         b'\0{"profiles":{"default":{"public_key":"p","private_key":"q","public_key":"r"}}}', b'\0{"profiles" {"default" "public_key"}}'),
        ("train-*\0train-a", "*a*b?\0xaxbxb", "?\0中", "\0", "**\0", "a*\0b"),
        ("plain", "\x1b\"\\\x7f", "中文😀", b"\xff\xed\xa0\x80\xe4\xb8", b"\xc0\x80\xf4\x90\x80\x80"),
        ("1800000000\n1800000123\n", "x\n1800000123\n", "\n" * 5000 + "1800000123", ""),
        ("localhost,.example.com\0api.example.com:443/x", "*\0a", ",, .\0b", " a b\0c"))
    for kind, group in enumerate(texts):
        for text in group:
            yield bytes([kind]) + (text if isinstance(text, bytes) else text.encode())


TARGETS = {"tool": tool, "http": http, "json": json_, "pem": pem, "call": call, "encode": encode, "date": date, "url": url}


def instance():
    return {
        "UHostId": "uhost-1", "Name": "card \u5361", "State": "Running", "ChargeType": "Postpay", "Zone": "cn-wlcb-01",
        "Region": "cn-wlcb", "GpuType": "4090", "GPU": 1, "CreateTime": 1790000000, "ExpireTime": 0, "SchedulerStopTime": 0,
    }


def bodies():
    return {
        "plain": b'{"RetCode":0}',
        "refused": b'{"RetCode":171,"Message":"Signature VerifyAC Error"}',
        "projects": json.dumps({"RetCode": 0, "ProjectSet": [{"ProjectId": "org-1", "ProjectName": "Default", "IsDefault": True},
                                                           {"ProjectId": "org-2", "IsDefault": False}]}).encode(),
        "instance": json.dumps({"RetCode": 0, "TotalCount": 1, "UHostSet": [instance()]}).encode(),
    }


def main():
    target, out = sys.argv[1], sys.argv[2]
    os.makedirs(out, exist_ok=True)
    made = 0
    for seed in TARGETS[target]():
        if len(seed) > LIMIT:
            continue
        with open(os.path.join(out, "%03d" % made), "wb") as f:
            f.write(seed)
        made += 1
    if made == 0:
        sys.exit("seeds.py: no seeds for %s" % target)


main()
