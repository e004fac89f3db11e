"""What must be nowhere: read last, when everything has been said."""

from harness import PRIVATE_KEY, SECRETS, TOKEN, captured, test
import harness


@test("secrets: no captured output holds a key, token, password, login command or address")
def no_output():
    assert len(captured) > 0
    for what, text in captured:
        for secret in SECRETS:
            assert secret not in text, "%s said %s: %s" % (what, secret, text)


@test("secrets: the binaries hold none of them")
def no_binary():
    for binary in (harness.args.tool, harness.args.tool_clock):
        with open(binary, "rb") as f:
            data = f.read()
        for secret in (PRIVATE_KEY, TOKEN, SECRETS[2]):
            assert secret.encode() not in data, "%s holds %s" % (binary, secret)
