/* ==== job =========================================================================

   Does:  starts the command and holds it back until it is let go, or watches the process
          that --pid names; tells when it has ended, with all that it has left behind; stops
          and goes on as a shell asks; keeps lines back while the terminal is the command's.
   May:   fork, signal and reap; look at /proc; print.
   Never: calls the API; knows what a lease is. */

typedef struct job {
    const work *work;           /* what is to be started, or to be watched */
    pid_t child;                /* the command; 0: there is none */
    int go, report;             /* ends of its pipes; -1: none */
    bool arming, given_up;      /* nothing has been started yet, and nothing is to be */
    uint64_t started, ended_at;
    bool ended;                 /* the command has */
    int status;                 /* of the command, as waitpid has it */
    unsigned long long birth;   /* of the process that --pid names; 0: not known */
    struct {                    /* Ctrl-Z and what is like it */
        bool halted, by_terminal;       /* the command is not running; because of the terminal */
        bool over;              /* this program was continued: whoever looks takes it away */
        uint64_t stop_by;       /* when to stop though the command has not; 0: not asked to */
    } pause;
    struct {                    /* what the command leaves behind */
        bool strangers;         /* there were children before it: cannot be told apart */
        bool named;             /* what is left was named once */
        uint64_t tell_at, tell_in;      /* when it is named again, and then again */
    } rest;
    char held[2048];            /* lines, said once the terminal is ours again */
} job;

/* ---- lines while the command runs ---- */

/* Says what was held back. On a terminal the command may have left the cursor anywhere. */
static void show_notes(job *j)
{
    static bool alone;          /* nobody else has written since */
    if (j->held[0] == '\0' || terminal_is_taken()) return;
    if (j->started != 0 && !alone && isatty(STDERR_FILENO)) (void)fputc('\n', stderr);
    alone = j->ended && !j->rest.named;
    (void)fputs(j->held, stderr);
    j->held[0] = '\0';
}

/* A line while the command runs. */
static void note(job *j, int message, ...)
{
    char line[1400];
    size_t len = strlen(j->held);
    va_list args;
    va_start(args, message);
    (void)vsnprintf(line, sizeof line, tr(message), args);
    va_end(args);
    if (len + strlen(line) + 32 > sizeof j->held) len = 0;      /* the newest matter most */
    (void)snprintf(j->held + len, sizeof j->held - len, PROGRAM ": %s\n", line);
    show_notes(j);
}

/* ---- the command ---- */

static bool gives_up(int n)
{
    return n != SIGUSR1 && n != SIGUSR2 && n != SIGCONT && n != SIGTSTP && n != SIGCHLD;
}

/* Somebody does not want to wait. While nothing has been started, any signal that ends
   programs says so (process 1 of a container would not be ended by it); later only a
   Ctrl-C, because the others may come twice. */
static bool interrupted(job *j)
{
    bool any = false;
    int n;
    for (n = 1; n <= SIGTERM || (j->arming && n < NSIG); n++) {
        bool typed, asked;
        if (n != SIGINT && !(j->arming && gives_up(n))) continue;
        typed = taken(from_terminal, n);
        asked = taken(from_process, n);
        any = any || typed || asked;
    }
    j->given_up = j->given_up || (j->arming && any);
    return any;
}

/* What a script needs to be run, and what that needs. 0, or errno, of what `name` then is. */
static int check_interpreter(const char *file, char name[PATH_MAX])
{
    char line[256];             /* the kernel looks at as much of one */
    struct stat info;
    int fd, depth, len;
    ssize_t n;
    (void)snprintf(name, PATH_MAX, "%s", file);
    for (depth = 0; depth < 5; depth++) {
        if (stat(name, &info) != 0) return errno;
        if (!S_ISREG(info.st_mode) || access(name, X_OK) != 0) return EACCES;
        if ((fd = open(name, O_RDONLY | O_CLOEXEC)) < 0) return 0;  /* it need not be readable */
        n = read(fd, line, sizeof line - 1);
        (void)close(fd);
        line[n > 0 ? n : 0] = '\0';
        if (line[0] != '#' || line[1] != '!') return 0;
        file = line + 2 + strspn(line + 2, " \t");
        len = (int)strcspn(file, " \t\n");
        if (len == 0) return 0;
        (void)snprintf(name, PATH_MAX, "%.*s", len, file);
    }
    return ELOOP;
}

/* The next file that execvp would look for: in the first directory of *path, which moves on.
   False: there is none left. An empty directory is the one that this is in. */
static bool next_place(const char **path, const char *name, char file[PATH_MAX])
{
    const char *at = *path;
    int len;
    if (at == NULL) return false;
    len = (int)strcspn(at, ":");
    (void)snprintf(file, PATH_MAX, len == 0 ? "%.*s./%s" : "%.*s/%s", len, at, name);
    *path = at[len] == ':' ? at + len + 1 : NULL;
    return true;
}

/* Whether execvp would find it, and could run it: DONE, or the exit status, and why not. */
static int find_command(const char *name)
{
    const char *path = from_environment("PATH");
    char file[PATH_MAX], culprit[PATH_MAX], text[PATH_MAX + 128] = "";
    int error = ENOENT, wrong;
    struct stat info;
    bool named = strchr(name, '/') != NULL, more;
    if (path == NULL) path = "/bin:/usr/bin";
    if (named) (void)snprintf(file, sizeof file, "%s", name);
    for (more = named || (name[0] != '\0' && next_place(&path, name, file)); more;
        more = !named && next_place(&path, name, file)) {
        if (stat(file, &info) != 0) continue;
        if ((wrong = check_interpreter(file, culprit)) == 0) return DONE;
        if (error != ENOENT) continue;
        error = wrong;
        if (strcmp(file, culprit) != 0)
            (void)snprintf(text, sizeof text, "%s: %s", culprit, strerror(wrong));
    }
    say(M_CANNOT_RUN, name, text[0] != '\0' ? text : strerror(error));
    return error == ENOENT ? NO_COMMAND : NOT_RUNNABLE;
}

/* In the child: waits to be let go, with all signals blocked, then becomes the command,
   with signals and limits as they were found and nothing of the keys. What came before it
   is asked to forget ('f') was not meant for a command; what comes later is. */
static void become(char **command, int go, int report)
{
    char word = 0;
    int error, n;
    for (;;) {
        ssize_t got = read(go, &word, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got != 1) _exit(UNARMED);
        if (word != 'f') break;
        for (n = 1; n < NSIG; n++)
            if (is_heard(n)) (void)signal(n, SIG_IGN);
        for (n = 1; n < NSIG; n++)
            if (is_heard(n) && !sigismember(&found_ignored, n)) (void)signal(n, SIG_DFL);
        error = 0;
        (void)!write(report, &error, sizeof error);
    }
    (void)setrlimit(RLIMIT_CORE, &core_limit);
    (void)sigprocmask(SIG_SETMASK, &found_mask, NULL);
    (void)execvp(command[0], command);
    error = errno;
    (void)!write(report, &error, sizeof error);
    _exit(error == ENOENT ? NO_COMMAND : NOT_RUNNABLE);
}

/* Children that were there before, as of a script that has put something into the
   background and become this, cannot be told from what the command leaves behind. */
static void count_strangers(job *j)
{
    pid_t pid;
    do pid = waitpid(-1, NULL, WNOHANG); while (pid > 0);
    j->rest.strangers = pid == 0;
    if (j->rest.strangers) say(M_STRANGERS);
}

/* Everything that the command needs is got before anything is set: the child is there, and
   waits. DONE, or the exit status. */
static int hold_command(job *j)
{
    int go[2], report[2], error;
    sigset_t mask;
    count_strangers(j);
    call_witness(j->work->argv);
#ifdef PR_SET_CHILD_SUBREAPER
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
#endif
    if (!open_pipe(go, 0) || !open_pipe(report, 0))
        return refuse(UNARMED, M_CANNOT_RUN, j->work->command[0], strerror(errno));
    (void)fflush(NULL);
    block_signals(&mask);
    j->child = fork();
    if (j->child == 0) {
        (void)close(go[1]);
        (void)close(report[0]);
        become(j->work->command, go[0], report[1]);
    }
    error = errno;
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    (void)close(go[0]);
    (void)close(report[1]);
    j->go = go[1];
    j->report = report[0];
    if (j->child > 0) return DONE;
    return refuse(UNARMED, M_CANNOT_RUN, j->work->command[0], strerror(error));
}

/* What the child reports: *error, 0 where it has done as it was told. */
static bool hear_command(job *j, int *error)
{
    ssize_t n;
    *error = 0;
    do n = read(j->report, error, sizeof *error); while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *error;
}

/* A child that was not let go ends. */
static void drop_command(job *j)
{
    if (j->go >= 0) (void)close(j->go);
    if (j->report >= 0) (void)close(j->report);
    j->go = j->report = -1;
    if (j->child > 0 && j->started == 0) (void)waitpid(j->child, NULL, 0);
}

/* Lets the child become the command. A signal that comes before it has forgotten the earlier
   ones gives everything up; one that comes later reaches the command, or is passed on. */
static int start_command(job *j)
{
    sigset_t mask;
    int error = ECHILD;
    bool ready = write(j->go, "f", 1) == 1 && hear_command(j, &error);
    block_signals(&mask);
    if (ready && !interrupted(j)) {
        forget_signals();
        command_pid = j->child;
        ready = write(j->go, "g", 1) == 1;
        j->arming = false;
    }
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    j->arming = false;
    if (!j->given_up && ready && !hear_command(j, &error)) {
        terminal_shared = true;
        j->started = monotonic_ms(NULL);
    } else {
        command_pid = 0;
    }
    drop_command(j);
    if (terminal_shared) return DONE;
    if (j->given_up) return refuse(UNARMED, M_INTERRUPTED);
    say(M_CANNOT_RUN, j->work->command[0], strerror(error != 0 ? error : ECHILD));
    return error == ENOENT ? NO_COMMAND : NOT_RUNNABLE;
}

/* Of a process, as proc(5) numbers the fields; `name` is the second. False: it cannot be
   looked at. */
static bool read_stat(long pid, unsigned long long fields[23], char name[32])
{
    char path[64], text[1024], *at, *open_at;
    ssize_t n = 0;
    int i, fd;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) n = read(fd, text, sizeof text - 1);
    if (fd >= 0) (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    open_at = strchr(text, '(');
    if ((at = strrchr(text, ')')) == NULL || at[1] == '\0' || open_at == NULL) return false;
    (void)snprintf(name, 32, "%.*s", (int)(at - open_at - 1), open_at + 1);
    memset(fields, 0, 23 * sizeof fields[0]);
    for (i = 3; i < 23 && (at = strchr(at + 1, ' ')) != NULL; i++)
        fields[i] = i == 3 ? (unsigned char)at[1] : strtoull(at, NULL, 10);
    return true;
}

/* Whether the process that --pid names lives: not after its end, and not as another one
   that has been given the same number, which began at another tick of the kernel. What
   cannot be looked at now (no free descriptor, no /proc) is no end. */
static bool process_lives(long pid, unsigned long long *birth)
{
    unsigned long long fields[23];
    char name[32];
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) return false;
    if (!read_stat(pid, fields, name)) return true;
    /* other threads may outlive the first */
    if ((fields[3] == 'Z' || fields[3] == 'X') && fields[20] < 2) return false;
    if (*birth == 0) *birth = fields[22];
    return *birth == fields[22];
}

/* Reaps everything that has ended. False: nothing is left to wait for. */
static bool job_lives(job *j)
{
    sigset_t mask;
    int status;
    pid_t pid;
    if (j->work->pid != 0) return process_lives(j->work->pid, &j->birth);
    block_signals(&mask);       /* none is passed on to a number that is free again */
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        if (pid != j->child) continue;
        j->pause.halted = WIFSTOPPED(status);
        /* SIGSTOP is a debugger's business */
        j->pause.by_terminal = WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP;
        if (WIFSTOPPED(status) || WIFCONTINUED(status)) continue;
        j->ended = true;
        j->ended_at = monotonic_ms(NULL);
        j->status = status;
        terminal_shared = false;
        command_pid = 0;
        dismiss_witness();
    }
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    if (!j->ended) return true;
    return pid == 0 && !j->rest.strangers;       /* orphans of the command */
}

/* Names what the command has left behind: one of its processes, and how many more. */
static void name_leftovers(job *j, int message)
{
    unsigned long long fields[23];
    char name[32], first[32] = "?";
    size_t count = 0;
    long pid, first_pid = 0;
    DIR *dir = opendir("/proc");
    const struct dirent *found;
    char *c;
    while (dir != NULL && (found = readdir(dir)) != NULL) {
        pid = strtol(found->d_name, NULL, 10);
        if (pid <= 0 || !read_stat(pid, fields, name)) continue;
        if (fields[4] != (unsigned long long)getpid()) continue;
        if (count++ > 0) continue;
        first_pid = pid;
        memcpy(first, name, sizeof first);
    }
    if (dir != NULL) (void)closedir(dir);
    for (c = first; *c != '\0'; c++)        /* whoever names a process may name it anything */
        if (!isgraph((unsigned char)*c)) *c = '?';
    note(j, message, first_pid, first);
    if (count > 1) note(j, M_MORE_LEFT, count - 1);
}

/* Names what is left behind half a second after the command's end, and then ever more
   seldom. What came until it was first named was meant for the command; a signal that ends
   programs is heard from then on. True: the wait is over. */
static bool tell_leftovers(job *j)
{
    uint64_t at = monotonic_ms(NULL);
    if (!j->ended) return false;
    if (!j->rest.named && at >= j->ended_at + 500) {
        j->rest.named = true;
        forget_signals();
        j->rest.tell_in = 600000;
        j->rest.tell_at = at + j->rest.tell_in;
        if (j->work->linger != 0) name_leftovers(j, M_WAITING);
    } else if (j->rest.named && at >= j->rest.tell_at) {
        j->rest.tell_in *= 2;
        j->rest.tell_at = at + j->rest.tell_in;
        name_leftovers(j, M_WAITING);
    }
    if (!j->rest.named || j->work->linger < 0) return false;
    if (at < j->ended_at + (uint64_t)j->work->linger * 1000) return false;
    name_leftovers(j, M_NOT_AWAITED);
    return true;
}

static void send_command(const job *j, int number)
{
    if (j->child > 0 && !j->ended) (void)kill(j->child, number);
}

/* Stops once the command has stopped and left the terminal in order: the shell, which
   knows only this process, takes it then. By the default action, which spares a process
   that no shell could continue. */
static void suspend(job *j)
{
    (void)signal(SIGTSTP, SIG_DFL);
    (void)raise(SIGTSTP);
    handle_signal(SIGTSTP);
    (void)poll(NULL, 0, 100);   /* who continues a whole group continues the command, too */
    (void)job_lives(j);
    if (j->pause.halted) send_command(j, SIGCONT);
    j->pause.by_terminal = false;
    j->pause.stop_by = 0;
    j->pause.over = true;
}

/* Whether it is time to stop. */
static bool must_suspend(const job *j)
{
    return j->pause.by_terminal
        || (j->pause.stop_by != 0 && monotonic_ms(NULL) >= j->pause.stop_by);
}

/* Asked to stop: once the command has, or in 2 s where it does not or cannot. Nothing
   where no shell could continue either of them. */
static void stop_soon(job *j)
{
    pid_t parent = getppid();
    if (j->child <= 0 || j->ended) j->pause.by_terminal = true;
    else if (parent > 0 && getsid(parent) == getsid(0))
        j->pause.stop_by = monotonic_ms(NULL) + 2000;
}

/* What signals mean. True: the wait is to end. */
static bool take_signals(job *j)
{
    bool end = false;
    int n;
    for (n = 1; n < NSIG; n++) {
        bool asked, typed;
        if (n == SIGCHLD) continue;
        asked = taken(from_process, n);
        typed = taken(from_terminal, n);
        if (!asked && !typed) continue;
        /* of a hangup the terminal tells the leader of its session alone */
        if (typed && n == SIGHUP && getsid(0) == getpid()) send_command(j, n);
        if (n == SIGTSTP) stop_soon(j);
        else if (n == SIGCONT) j->pause.over = true;
        else if (n != SIGUSR1 && n != SIGUSR2)
            /* there is no command that could decide */
            end = end || j->rest.named || j->work->pid != 0;
    }
    return end;
}

/* At most so many ms, and fewer where something of the job is to be looked at before. */
static int64_t job_due_ms(const job *j, int64_t most)
{
    int64_t pause = j->rest.named ? 5000 : 100;
    if (j->ended && most > pause) most = pause;
    if ((j->work->pid != 0 || j->pause.stop_by != 0) && most > 1000) most = 1000;
    return most;
}

/* The exit status that run passes on. */
static int job_status(const job *j)
{
    if (j->child <= 0) return DONE;
    if (!j->ended) return UNCONFIRMED;
    return WIFSIGNALED(j->status) ? 128 + WTERMSIG(j->status) : WEXITSTATUS(j->status);
}

/* The signal that has ended the command; 0: none. */
static int job_signal(const job *j)
{
    return j->ended && WIFSIGNALED(j->status) ? WTERMSIG(j->status) : 0;
}

/* What is found out, and got ready, before anything is set. DONE, or the exit status. */
static int prepare_job(job *j, const work *w)
{
    int code;
    j->work = w;
    j->go = j->report = -1;
    if (w->command != NULL && (code = find_command(w->command[0])) != DONE) return code;
    if (w->pid != 0 && !process_lives(w->pid, &j->birth))
        return refuse(UNARMED, M_NO_PROCESS, w->pid);
    if (w->pid != 0 && w->signal != 0 && kill((pid_t)w->pid, 0) != 0)
        return refuse(UNARMED, M_NOT_OURS, w->pid);
    if (!open_pipe(wake, O_NONBLOCK)) return refuse(UNARMED, M_CANNOT_RUN, "pipe", strerror(errno));
    handle_signals();
    j->arming = true;
    return w->command != NULL ? hold_command(j) : DONE;
}
