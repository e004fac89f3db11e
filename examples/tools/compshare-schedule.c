/* compshare-schedule: timed shutdowns of rented GPUs from the shell, and leases that
   keep one on for as long as a job lives. `compshare-schedule --help` says how, the
   manual page compshare-schedule(1) in full.

   Needs a POSIX system; waits for orphaned descendants on Linux only. Exit status:
   0 done and confirmed, 1 usage, 2 configuration or credentials, 3 refused by the API,
   4 network or TLS and nothing executed, 5 not confirmed or outcome unknown, 6 not
   found or not schedulable, 7 audit found something. `run` passes the command's own on,
   125 where it could not arm, 126 and 127 where the command cannot be run. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64    /* else stat fails for a large inode, where long has 32 bits */
#define PROGRAM "compshare-schedule"
#define MESSAGES(X) COMMON_MESSAGES(X) SCHEDULE_MESSAGES(X) PROMISES(X)
#include "base.h"
#include "print.h"
#include "messages.h"
#include "text.h"
#include "times.h"
#include "clock.h"
#include "options.h"
#include "account.h"
#include "schedule.h"
#include "instance.h"
#include "fleet.h"
#include "change.h"
#include "show.h"
#include "self.h"
#include "signals.h"
#include "job.h"
#include "lease.h"
#include "lock.h"
#include "run.h"
#include "doctor.h"

/* ==== main ======================================================================== */

static unsigned char memory[COMPSHARE_MEMORY];

/* Where 0, 1 or 2 is closed, the next file that is opened would get what is printed. */
static void open_standard(void)
{
    int fd;
    do fd = open("/dev/null", O_RDWR); while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) (void)close(fd);
}

/* Without some descriptors no name is resolved, and the C library calls it unknown. */
static bool has_descriptors(bool leasing)
{
    int fds[9];
    size_t i, n, most = leasing ? COUNT(fds) : 5;
    for (n = 0; n < most && (fds[n] = dup(STDERR_FILENO)) >= 0; n++) {}
    for (i = 0; i < n; i++) (void)close(fds[i]);
    return n == most;
}

static int act_by_verb(const options *o, int *ended_by)
{
    switch (o->common.verb) {
    case RUN: return run_lease(o, ended_by);
    case DOCTOR: return doctor();
    case SHOW: case AUDIT: return show(o);
    default: return change(o);
    }
}

static int act(options *o, int *ended_by)
{
    bool leasing = o->common.verb == RUN;
    bool whole_account = o->which.all || o->common.verb == AUDIT;
    int code = has_descriptors(leasing) ? DONE : refuse(CONFIGURATION, M_FEW_DESCRIPTORS);
    if (code == DONE) code = open_client(&o->common, whole_account, memory, sizeof memory);
    if (code != DONE) return leasing ? UNARMED : code;
    code = resolve_self(&o->which);
    if (code == DONE) code = act_by_verb(o, ended_by);
    else if (leasing) code = UNARMED;
    close_client();
    return code;
}

/* As the command was: whoever waits for this program learns of its signal. */
static void end_by(int number)
{
    sigset_t all;
    if (number == 0 || getpid() == 1) return;
    (void)signal(number, SIG_DFL);
    (void)sigemptyset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)raise(number);
}

/* Whether the verb is run, as far as can be told before the options are read: whatever is
   refused must not look like the end of its command. */
static bool looks_like_run(int argc, char **argv)
{
    int i;
    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "run") == 0) return true;
    return false;
}

int main(int argc, char **argv)
{
    static options o;
    int code, ended_by = 0;
    bool leasing = looks_like_run(argc, argv);
    hide_secrets();
    open_standard();
    o.lease.ttl = 3600;
    o.lease.grace = 900;
    o.run.linger = -1;
    o.run.argv = argv;
    guess_language();
    code = read_options(&o, argc, argv);
    if (o.common.verb != 0) leasing = o.common.verb == RUN;
    only_failure = leasing ? UNARMED : 0;
    if (leasing && o.common.timeout == 0) o.common.timeout = 30;
    if (code == -1) code = act(&o, &ended_by);
    else if (leasing && code != DONE) code = UNARMED;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        say(M_CANNOT_WRITE, "stdout", strerror(errno));
        if (code == DONE) code = UNCONFIRMED;       /* done, but nobody has heard of it */
    }
    end_by(ended_by);
    return code;
}
