#!/usr/bin/env python3
"""roots.py FILE.pem...: their certificates as BearSSL trust anchors, C on standard output."""
import base64
import re
import sys


def item(der, at):
    """The value at `at`: its tag, where its content begins, and where it ends."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2:start], "big")
    return der[at], start, start + length


def items(der, start, end):
    while start < end:
        tag, inside, after = item(der, start)
        yield tag, der[start:after], der[inside:after]
        start = after


def inside(der):
    _, start, end = item(der, 0)
    return list(items(der, start, end))


def array(name, data):
    print(f"static unsigned char {name}[] = {{ {', '.join(str(b) for b in data)} }};")


def main():
    anchors = []
    for path in sys.argv[1:]:
        for block in re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END", open(path).read(), re.S):
            number = len(anchors)
            fields = [part for part in inside(inside(base64.b64decode(block))[0][1]) if part[0] != 0xA0]
            subject, key = fields[4][1], inside(fields[5][1])
            array(f"root{number}_dn", subject)
            bits = key[1][2][1:]
            if b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" in key[0][1]:
                n, e = (part[2].lstrip(b"\0") for part in inside(bits))
                array(f"root{number}_n", n)
                array(f"root{number}_e", e)
                shown = (f"BR_KEYTYPE_RSA, {{ .rsa = {{ root{number}_n, sizeof root{number}_n, root{number}_e, sizeof root{number}_e }} }}")
            else:
                curve = "BR_EC_secp384r1" if b"\x2b\x81\x04\x00\x22" in key[0][1] else "BR_EC_secp256r1"
                array(f"root{number}_q", bits)
                shown = f"BR_KEYTYPE_EC, {{ .ec = {{ {curve}, root{number}_q, sizeof root{number}_q }} }}"
            anchors.append(f"    {{ {{ root{number}_dn, sizeof root{number}_dn }}, BR_X509_TA_CA, {{ {shown} }} }}")
    print("static const br_x509_trust_anchor roots[] = {\n" + ",\n".join(anchors) + "\n};")


main()
