/* compshare-schedule: timed shutdowns of rented GPUs from the shell, and leases that
   keep one on for as long as a job lives. `compshare-schedule --help` says how, the
   manual page compshare-schedule(1) in full.

   Needs a POSIX system; waits for orphaned descendants on Linux only. Exit status:
   0 done and confirmed, 1 usage, 2 configuration or credentials, 3 refused by the API,
   4 network or TLS and nothing executed, 5 not confirmed or outcome unknown, 6 not
   found or not schedulable, 7 audit found something. `run` passes the command's own on,
   125 where it could not arm, 126 and 127 where the command cannot be run. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64    /* a large inode is no reason for stat to fail, where long has 32 bits */
#include "base.h"
#include "print.h"
#include "messages.h"
#include "text.h"
#include "times.h"
#include "options.h"
#include "account.h"
#include "instance.h"
#include "fleet.h"
#include "change.h"
#include "show.h"
#include "self.h"
#include "job.h"
#include "lease.h"
#include "doctor.h"

/* ---- main ---- */

/* A language before the options, so that a refused option is refused in it. */
static void guess_language(void)
{
    static const char *const variables[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
    size_t i;
    for (i = 0; i < COUNT(variables); i++) {
        const char *value = from_environment(variables[i]);
        if (value == NULL) continue;
        language = strncmp(value, "zh", 2) == 0;
        return;
    }
}

/* Where 0, 1 or 2 is closed, the next file that is opened would get what is printed. */
static void open_standard(void)
{
    int fd;
    do fd = open("/dev/null", O_RDWR); while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) (void)close(fd);
}

/* Without some descriptors no name is resolved, and the C library calls it unknown. */
static bool has_descriptors(void)
{
    int fds[9];
    size_t i, n, most = leasing ? COUNT(fds) : 5;
    for (n = 0; n < most && (fds[n] = dup(STDERR_FILENO)) >= 0; n++) {}
    for (i = 0; i < n; i++) (void)close(fds[i]);
    return n == most;
}

static int act(options *o)
{
    int code = has_descriptors() ? open_client(o) : refuse(CONFIGURATION, M_FEW_DESCRIPTORS);
    if (code != DONE) return leasing ? UNARMED : code;
    code = resolve_self(o);
    if (code != DONE) code = leasing ? UNARMED : code;
    else if (leasing) code = run(o);
    else if (o->verb == DOCTOR) code = doctor();
    else code = o->verb & (SHOW | AUDIT) ? show(o) : change(o);
    compshare_close(client);
    memset(&settings, 0, sizeof settings);
    forget_secrets();
    return code;
}

/* As the command was: whoever waits for this program learns of its signal. */
static void end_alike(void)
{
    sigset_t all;
    if (ended_by == 0 || getpid() == 1) return;
    (void)signal(ended_by, SIG_DFL);
    (void)sigemptyset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)raise(ended_by);
}

int main(int argc, char **argv)
{
    static options o;
    int code, i;
    hide_secrets();
    open_standard();
    o.ttl = 3600;
    o.grace = 900;
    o.linger = -1;
    o.argv = argv;
    guess_language();
    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        leasing = leasing || strcmp(argv[i], "run") == 0;
    code = read_options(&o, argc, argv);
    if (o.verb != 0) leasing = o.verb == RUN;
    if (leasing && o.timeout == 0) o.timeout = 30;
    if (code == -1) code = act(&o);
    else if (leasing && code != DONE) code = UNARMED;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        say(M_CANNOT_WRITE, "stdout", strerror(errno));
        if (code == DONE) code = UNCONFIRMED;       /* done, but nobody has heard of it */
    }
    end_alike();
    return code;
}
