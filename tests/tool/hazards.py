"""run among its neighbours."""

import os
import resource

import harness
from harness import World, contains, equal, lacks, read, test, uhost, wait_for

NOBODY = 65534


# ---- secrets and locks

@test("run: the job finds no key in the wrapper's environment, memory or limits, whichever way they came")
def no_key_to_be_found():
    with World() as w:
        os.chmod(w.dir, 0o777)
        job = w.script("look.sh", "cd %s\ncat /proc/$PPID/environ >environ 2>&1\ndd if=/proc/$PPID/mem bs=1 count=1 >mem 2>&1; ls /proc/$PPID/fd >fd 2>&1\n"
                                  "cat /proc/$PPID/limits >limits\nulimit -c >core\necho done >>log\nwhile [ ! -e end ]; do sleep 0.03; done\n" % w.dir)
        drop = {"preexec_fn": lambda: (os.setgid(NOBODY), os.setuid(NOBODY))} if os.getuid() == 0 else {}
        for state in (w.path("state"),):
            os.mkdir(state, 0o777)
        p = w.start("run", uhost(1), "--", "sh", job, **drop)
        wait_for("the job", lambda: "done" in w.log())
        with open("/proc/%d/environ" % p.pid, "rb") as f:          # root, or nobody at all, may read it
            block = f.read()
        for secret in (harness.PRIVATE_KEY, harness.PUBLIC_KEY, harness.TOKEN):
            assert secret.encode() not in block, "the environment block holds a key"
            for name in ("environ", "mem", "fd"):
                lacks(read(w.path(name)), secret)
        contains(read(w.path("mem")), "denied")
        contains(read(w.path("environ")), "denied")
        contains(read(w.path("fd")), "denied")
        core = [line.split()[4] for line in read(w.path("limits")).splitlines() if line.startswith("Max core file size")]
        equal(core, ["0"], "the soft limit of core dumps")
        with open(w.path("end"), "w"):
            pass
        p.wait().is_(0)
        # the job's own limit is what it was
        w.start("run", uhost(4), "--", "sh", "-c", "ulimit -c >%s" % w.path("core"),
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (12288, resource.RLIM_INFINITY) if os.getuid() == 0 else (0, 0))).wait().is_(0)
        if os.getuid() == 0:
            assert read(w.path("core")).strip() not in ("0", ""), "the job's core limit"
        # nor while the keys wait for an answer, and for every verb
        for words in (["show"], ["doctor"], ["set", uhost(5), "--in", "1h"]):
            w.set(delay_ms=600)
            before = w.requests()
            q = w.start(*words)
            wait_for("a request", lambda: w.requests() > before)
            with open("/proc/%d/environ" % q.pid, "rb") as f:
                assert harness.PRIVATE_KEY.encode() not in f.read(), words
            equal(os.stat("/proc/%d/mem" % q.pid).st_uid, 0, "who may read its memory")
            w.set(delay_ms=0)
            q.wait().is_(0)
