"""Which test proves each sentence of `run`: the rows of PROMISES in the tool's source, and
nothing else. Read last: the sentences must have been said by then, too."""

import re

import harness
from harness import Skip, captured, equal, test

PROVED_BY = {
    "STAYS_ON": "run: three sentences at the start: while the job lives, after it, and if this program dies",
    "STAYS_UNTIL": "run: three sentences at the start: while the job lives, after it, and if this program dies",
    "AFTER_GRACE": "run: the end extends to the grace as well as it shortens",
    "AFTER_STOP": "run --max: a job that hangs is off at the limit though a later plan stood before, also when one comes in the last minutes",
    "AFTER_CANCEL": "run --on-exit: grace, stop, cancel, keep; --grace",
    "AFTER_KEEP": "run --on-exit: grace, stop, cancel, keep; --grace",
    "AFTER_RESTORE": "run --on-exit restore: what stood before is put back; nothing stood: the grace",
    "IF_IT_DIES": "run: SIGKILL of the wrapper: the server stops the instance at the last lease",
    "BEFORE_MOVED": "run: a plan that stood before is announced, and does not outlive the grace",
    "BEFORE_LEFT": "run: a plan that stood before is announced, and does not outlive the grace",
    "BEFORE_CAPPED": "run --max, --until: ceilings, which bring a later plan down and say so, before and during the run",
    "NOT_ARMED": "run: busy for longer than 3 minutes, not reached for longer than 60 s: 125, not started",
    "MAY_BE_SET": "run: 125 at the start says what may have been set, and the line that mends it",
    "UNARMED_ON": "run --unarmed-ok: starts all the same; renews once the network is back; leaves Spot and prepaid alone",
    "INTERRUPTED": "run: interrupted before the command is let go: what stood before is put back",
    "PUT_BACK": "run: a command that is gone when the lease stands: what stood before is put back, and said",
    "PUT_BACK_NONE": "run: a command that is gone when the lease stands: what stood before is put back, and said",
    "STAYS_SET": "run: a command that is gone when the lease stands: what stood before is put back, and said",
    "NOT_PUT_BACK": "run: what stood before cannot be put back: the line that does it",
    "OTHER_ENDS": "run: while the last one out ends the lease no other begins: it would be undone",
    "STRANGERS": "run: children that it had before the command (a script that became it) are not waited for",
    "RENEWED": "run --unarmed-ok: starts all the same; renews once the network is back; leaves Spot and prepaid alone",
    "RENEWED_AGAIN": "run: an instance that is stopped for hours and started again by hand is leased again",
    "MOVED_BACK": "run: an earlier plan that somebody sets is extended and said; one that stood before is announced",
    "GONE_PLAN": "run: a plan that somebody has cancelled is set again, and said",
    "LATER_PLAN": "run: a later plan that somebody sets is left alone and kept at the end, but for --on-exit stop; one that stood before is not kept",
    "LATER_CAPPED": "run --max, --until: ceilings, which bring a later plan down and say so, before and during the run",
    "RENEWAL_FAILED": "run: failing renewals are said once, when the time left halves, when they work again, and when the lease has run out",
    "RAN_OUT": "run: failing renewals are said once, when the time left halves, when they work again, and when the lease has run out",
    "AWAY": "run: an instance that is stopped for hours and started again by hand is leased again",
    "WARNED": "run --warn --signal: sent once, when the lease runs out with the network down",
    "SUSPENDED": "terminal: Ctrl-Z below a shell stops both and says so; fg, bg and CONT renew at once",
    "WAITING": "run: what a command leaves behind is named, again and again, and waited for as long as --linger says",
    "MORE_LEFT": "run: what a command leaves behind is named, again and again, and waited for as long as --linger says",
    "NOT_AWAITED": "run: what a command leaves behind is named, again and again, and waited for as long as --linger says",
    "QUICK_END": "run: a command that ends at once is warned about, one that takes longer is not",
    "GONE": "run: an instance that is stopped, or gone, when the job ends: nothing is started, no exit action",
    "STILL_RUNS": "run --pid: leases for a process that runs already; one that does not is 125",
    "WATCHING": "run: a renewal that the server executes after everybody gave it up does not outlive the end",
    "ENDED_GRACE": "run: a renewal in flight when the job ends is let end first; what is said then is so",
    "ENDED_THEIRS": "run: a later plan that somebody sets is left alone and kept at the end, but for --on-exit stop; one that stood before is not kept",
    "ENDED_RESTORED": "run --on-exit restore: what stood before is put back; nothing stood: the grace",
    "ENDED_STOP": "run --on-exit: grace, stop, cancel, keep; --grace",
    "ENDED_CANCEL": "run: a renewal in flight when the job ends is let end first; what is said then is so",
    "ENDED_OTHERS": "run: of two on one instance only the last one out shortens; neither takes the other for somebody else",
    "END_FAILED": "run: the network down at the end: tried for 60 s, then off by ... at the latest, and the job's status",
    "END_UNARMED": "run --unarmed-ok: the network never comes: its end says that no lease was ever set",
    "END_DOUBT": "run: what may have been changed when the network is lost at the end is not promised away",
}


def sentences():
    """Name and English text of every row."""
    table = harness.source().split("#define PROMISES(X)", 1)[1].split("\n\n", 1)[0]
    rows = re.findall(r'X\((\w+),[\s\\]*((?:"(?:[^"\\]|\\.)*"[\s\\]*)+),', table)
    return {name: "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text)) for name, text in rows}


@test("promises: every sentence of run has a test that there is, and no test proves a sentence that there is not")
def each_is_proved():
    rows = sentences()
    assert len(rows) > 40, rows
    equal(sorted(rows), sorted(PROVED_BY))
    names = {name for name, _ in harness.tests}
    for row, name in PROVED_BY.items():
        assert name in names, "%s: there is no test \"%s\"" % (row, name)


@test("promises: every sentence of run was said while the tests ran")
def each_is_said():
    if harness.args.only:
        raise Skip("only some tests were run")
    said = "\n".join(text for _, text in captured)
    for row, text in sentences().items():
        pattern = ".*?".join(re.escape(part) for part in re.split("%(?:zu|ld|s)", text.replace("\\n", "\n")))
        assert re.search(pattern, said), "nobody said %s: %s" % (row, text)
