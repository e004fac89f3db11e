/* ==== signals =====================================================================

   Does:  notes what is sent to this program, for a loop that looks at the notes, and passes
          on at once what is meant for the command.
   May:   set handlers and masks; signal the command; keep one small process beside it.
   Never: ends the program; prints. */

static sigset_t found_ignored, found_mask;              /* what the command is to have */
static volatile sig_atomic_t from_terminal[NSIG], from_process[NSIG], command_pid;
static int wake[2];

/* Whatever would end this program, and what a shell does to it; TTIN never comes. */
static bool is_heard(int n)
{
    return n != SIGKILL && n != SIGSTOP && n != SIGTTIN && n != SIGURG && n != SIGWINCH;
}

/* Whoever reads what is said may go, the lease stays; and the terminal may be another's. */
static bool is_ignored(int n) { return n == SIGPIPE || n == SIGTTOU || n == SIGXFSZ; }

/* What a terminal sends to every process in front of it. */
static bool is_typed(int n)
{
    return n == SIGINT || n == SIGQUIT || n == SIGTSTP || n == SIGHUP || n == SIGCONT;
}

static bool is_fault(int n)
{
    return n == SIGSEGV || n == SIGBUS || n == SIGFPE || n == SIGILL || n == SIGTRAP || n == SIGSYS;
}

#ifdef __linux__
/* ---- the witness ----

   A signal to a whole process group, or to every process of a cgroup, has reached the
   command already; one to this process alone has to be passed on. Who is told it only
   here cannot know which it was. So a small process stands beside the command, in the same
   group and cgroup, and reports what reaches it, too. */
#define WITNESS_MS 200          /* how long its report is waited for */

typedef struct sighting { int number; int64_t ms; } sighting;
static int witness = -1;
static pid_t witness_pid;

static int64_t real_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until this program is no more. Holds no key, no descriptor of others, and no name by
   which it would be taken for the program itself. */
static void stand_witness(int to, char **argv)
{
    struct pollfd fds[2];
    struct signalfd_siginfo info;
    sigset_t all;
    sighting r;
    int i;
    (void)sigfillset(&all);
    fds[0].fd = signalfd(-1, &all, SFD_CLOEXEC);
    fds[1].fd = to;
    fds[0].events = fds[1].events = POLLIN;
    (void)prctl(PR_SET_NAME, "lease-witness", 0, 0, 0);
    for (i = 0; argv[i] != NULL; i++) memset(argv[i], 0, strlen(argv[i]));
    forget_account();
    for (i = 0; i < 256; i++)
        if (i != to && i != fds[0].fd) (void)close(i);
    while (fds[0].fd >= 0 && poll(fds, 2, -1) >= 0 && fds[1].revents == 0) {
        if (read(fds[0].fd, &info, sizeof info) != (ssize_t)sizeof info) break;
        r.number = (int)info.ssi_signo;
        r.ms = real_ms();
        (void)send(to, &r, sizeof r, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    _exit(0);
}

/* Process 1 of a container is sent its signals alone: it does without. */
static void call_witness(char **argv)
{
    sigset_t all, mask;
    int ends[2];
    if (getpid() == 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &mask);
    witness_pid = fork();
    if (witness_pid == 0) {
        (void)close(ends[0]);
        stand_witness(ends[1], argv);
    }
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    (void)close(ends[1]);
    if (witness_pid > 0) witness = ends[0];
    else (void)close(ends[0]);
}

/* Where there is no command any more, so that it is not taken for something that
   the command has left behind. */
static void dismiss_witness(void)
{
    if (witness < 0) return;
    (void)close(witness);
    (void)kill(witness_pid, SIGKILL);
    (void)waitpid(witness_pid, NULL, 0);
    witness = -1;
}

/* Whether a signal has reached the witness as well: in a handler, with all blocked. */
static bool reached_all(int number)
{
    static int64_t seen[NSIG];
    int64_t began = real_ms(), left = WITNESS_MS;
    struct pollfd from = { witness, POLLIN, 0 };
    sighting r;
    if (witness < 0 || number == SIGTSTP || number == SIGCONT) return false;
    while (seen[number] < began - WITNESS_MS && left > 0 && poll(&from, 1, (int)left) > 0) {
        if (read(witness, &r, sizeof r) != (ssize_t)sizeof r) break;
        if (r.number > 0 && r.number < NSIG) seen[r.number] = r.ms;
        left = began + WITNESS_MS - real_ms();
    }
    left = seen[number];
    seen[number] = 0;
    return left >= began - WITNESS_MS;
}
#else
static void call_witness(char **argv) { (void)argv; }
static void dismiss_witness(void) {}
static bool reached_all(int number)
{
    (void)number;
    return false;
}
#endif

/* A terminal sends to every process in front of it, the command included, as does a
   command that stops or ends its whole group; what another process sends to this one alone
   has to be passed on, and at once: looking a name up may keep the loop for seconds. So has
   everything for a command that has left the group. */
static void note_signal(int number, siginfo_t *info, void *context)
{
    int error = errno;
    pid_t command = (pid_t)command_pid;
    bool asked = info->si_code <= 0, apart = command > 0 && getpgid(command) != getpgrp();
    bool sent = asked ? info->si_pid != command
        : !is_typed(number) || (apart && number != SIGHUP);
    (void)context;
    if (!asked && is_fault(number)) {
        (void)signal(number, SIG_DFL);
        return;
    }
    (sent ? from_process : from_terminal)[number] = 1;
    if (sent && command > 0 && number != SIGCHLD && (!asked || apart || !reached_all(number)))
        (void)kill(command, number);
    (void)!write(wake[1], "", 1);
    errno = error;
}

static void handle_signal(int number)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    (void)sigfillset(&action.sa_mask);
    action.sa_sigaction = note_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    if (is_ignored(number)) {
        action.sa_handler = SIG_IGN;
        action.sa_flags = 0;
    }
    (void)sigaction(number, &action, NULL);
}

/* Blocks all of them; what was blocked before goes to *found. */
static void block_signals(sigset_t *found)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, found);
}

/* What is ignored stays so: nohup, and a shell's background. What whoever started this
   had blocked is not: the end of the command would not be noticed. */
static void handle_signals(void)
{
    struct sigaction found;
    sigset_t none;
    int n;
    (void)sigemptyset(&found_ignored);
    for (n = 1; n < NSIG; n++) {
        if (!is_heard(n) || sigaction(n, NULL, &found) != 0) continue;
        if (found.sa_handler == SIG_IGN) (void)sigaddset(&found_ignored, n);
        if (found.sa_handler != SIG_IGN || n == SIGCHLD || n == SIGCONT) handle_signal(n);
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, &found_mask);
}

static bool open_pipe(int ends[2], int flags)
{
    size_t i;
    if (pipe(ends) != 0) return false;
    for (i = 0; i < 2; i++) {
        (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        if (flags != 0) (void)fcntl(ends[i], F_SETFL, flags);
    }
    return true;
}

/* Takes a note away. */
static bool taken(volatile sig_atomic_t *noted, int number)
{
    bool was = noted[number] != 0;
    noted[number] = 0;
    return was;
}

static void forget_signals(void)
{
    int n;
    for (n = 1; n < NSIG; n++)
        if (n != SIGCHLD) from_process[n] = from_terminal[n] = 0;
}

