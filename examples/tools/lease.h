/* ---- the lease ---- */

#define FLOOR_S 300             /* the API sets no stop time that is nearer */
#define ARM_MS 60000            /* how long arming is tried, and the end */

enum { NO_CALL, RENEW, LOOK, CAP };

typedef struct lease {
    options *o;
    const char *uhost_id;
    int64_t armed;              /* when it goes off, as the API showed it; 0: not armed */
    int64_t asked[8];           /* what this run has asked for, the newest first */
    int64_t unsettled;          /* what was asked for and may have been set; 0: nothing */
    int64_t stood;              /* when it was to go off before this run; 0: never */
    int64_t before;             /* the same, where no run of this user had set it */
    int64_t theirs;             /* a time that somebody else has set since, and that is kept */
    int64_t limit;              /* --until, --max, in whole minutes; 0: none */
    int64_t wanted;             /* when it is to go off after the job; 0: not reckoned yet */
    uint64_t began;
    uint64_t next;              /* when to renew, by monotonic_ms */
    uint64_t backoff_ms;
    uint64_t failing;           /* since when nothing has been confirmed; 0: it is */
    uint64_t accepted;          /* when a change was that no reading has shown yet; 0: none */
    uint64_t called;            /* when the change under way was begun */
    uint64_t doubt;             /* until when one without an answer may still be executed */
    int64_t said_left;          /* of the lease, when a failure was last told; 0: none was */
    int call;                   /* what the call of the loop that is under way is for */
    bool waiting;               /* a call is under way: of the loop, or of finish_call */
    bool over, warned, ran_out, off;
    bool arming, given_up;      /* nothing has been started yet, and nothing is to be */
    bool leasable;              /* it was looked at, and may be leased */
    bool stopping;              /* this run may have told it to stop */
    bool unreachable;           /* the last renewal failed */
    bool looked;                /* what stood before is known */
    int missing;                /* readings in a row that did not list it */
    compshare_plan plan;
    compshare_schedule schedule;
    pid_t child;                /* the command, held back until the lease stands */
    int go, report;             /* ends of its pipes; -1: none */
    uint64_t started, ended_at;
    bool ended;                 /* the command has */
    bool strangers;             /* there were children before the command */
    bool halted, stopped;       /* it is not running; and that was the terminal */
    uint64_t stop_by;           /* when to stop though the command has not; 0: not asked to */
    uint64_t tell_at, tell_in;  /* when what is left behind is named again, and then again */
    bool named;                 /* it was named */
    int status;                 /* of the command, as waitpid has it */
    unsigned long long birth;   /* of the process that --pid names */
    int lock;
    bool locked;
    char held[2048];            /* said once the terminal is ours again */
    char reason[COMPSHARE_ERROR_TEXT];      /* why it could not be armed */
    const char *how_ended;
} lease;

/* Says what was held back. On a terminal the command may have left the cursor anywhere. */
static void show_notes(lease *l)
{
    static bool alone;          /* nobody else has written since */
    if (l->held[0] == '\0' || terminal_is_taken()) return;
    if (l->started != 0 && !alone && isatty(STDERR_FILENO)) (void)fputc('\n', stderr);
    alone = l->ended && !l->named;
    (void)fputs(l->held, stderr);
    l->held[0] = '\0';
}

/* A line while the command runs. */
static void note(lease *l, int message, ...)
{
    char line[1400];
    size_t len = strlen(l->held);
    va_list args;
    va_start(args, message);
    (void)vsnprintf(line, sizeof line, tr(message), args);
    va_end(args);
    if (len + strlen(line) + 32 > sizeof l->held) len = 0;      /* the newest matter most */
    (void)snprintf(l->held + len, sizeof l->held - len, "compshare-schedule: %s\n", line);
    show_notes(l);
}

/* When it goes off, for a person. */
static const char *off_at(const lease *l)
{
    return l->armed != 0 ? local_time(l->armed) : "?";
}

static void give_reason(lease *l, const char *text)
{
    (void)snprintf(l->reason, sizeof l->reason, "%s", text);
}

/* The nearest time that can be set. */
static int64_t soonest(void) { return whole_minute(now() + FLOOR_S + 30); }

static bool is_beyond(const lease *l, int64_t time)
{
    return l->limit != 0 && time > l->limit && !is_same(time, l->limit);
}

/* When it should go off: a ttl from now, and never beyond the limit. */
static int64_t lease_end(const lease *l)
{
    int64_t end = whole_minute(now() + l->o->ttl);
    return l->limit != 0 && end > l->limit ? l->limit : end;
}

/* Where a plan beyond the limit is brought down to: the limit, or what comes next to it. */
static int64_t ceiling(const lease *l)
{
    return l->limit - now() >= FLOOR_S + 10 ? l->limit : soonest();
}

static int64_t interval_s(const options *o)
{
    return o->ttl / 3 < 600 ? o->ttl / 3 : 600;
}

/* Up to a fifth earlier, so that many leases do not renew together. */
static void plan_renewal(lease *l)
{
    uint64_t ms = (uint64_t)interval_s(l->o) * 1000;
    l->next = monotonic_ms(NULL) + ms - ms / 5 * (uint64_t)(rand() % 1000) / 1000;
}

/* Where nothing is left to switch off. Every other state passes. */
static bool is_off(const char *state)
{
    return strcmp(state, "Stopped") == 0 || strcmp(state, "Install Fail") == 0;
}

/* ---- other runs of this user on this host: a lock, and the stop times that they have set ---- */

/* Whether a directory is this user's, and nobody else of those that `mode` stands for can
   write to it. */
static bool is_private(const char *path, mode_t mode)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid()
        && (info.st_mode & mode) == 0;
}

/* `below` of `base`, whose last part is the program's own. */
static bool make_private(char *path, size_t cap, const char *base, const char *below)
{
    const char *slash;
    if (base == NULL || base[0] != '/' || !is_private(base, S_IWOTH)) return false;
    for (slash = strchr(below, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)snprintf(path, cap, "%s/%.*s", base, (int)(slash - below), below);
        (void)mkdir(path, 0700);
    }
    (void)snprintf(path, cap, "%s/%s", base, below);
    (void)mkdir(path, 0700);
    return is_private(path, S_IWGRP | S_IWOTH);
}

static bool lock_directory(char *path, size_t cap)
{
#ifdef SCHEDULE_TEST_CLOCK
    const char *test = from_environment("COMPSHARE_TEST_LOCKS");
    if (test != NULL) return (void)snprintf(path, cap, "%s", test), true;
#endif
    return make_private(path, cap, from_environment("XDG_RUNTIME_DIR"), "compshare-schedule")
        || make_private(path, cap, from_environment("XDG_STATE_HOME"), "compshare-schedule")
        || make_private(path, cap, from_environment("HOME"), ".local/state/compshare-schedule");
}

/* Whoever is last on its way out has it alone for a moment: tried again with every
   renewal. */
static void try_lock(lease *l)
{
    if (l->lock >= 0 && !l->locked) l->locked = flock(l->lock, LOCK_SH | LOCK_NB) == 0;
}

static void leave_lock(lease *l)
{
    if (l->lock >= 0) (void)close(l->lock);
    l->lock = -1;
}

/* Neither a symbolic link nor a second name of some file of ours is written to. */
static void open_lock(lease *l)
{
    char dir[PATH_MAX - 128], path[PATH_MAX];
    struct stat info;
    if (!lock_directory(dir, sizeof dir)) { say(M_NO_LOCK, dir); return; }
    (void)snprintf(path, sizeof path, "%s/compshare-schedule-%s.lock", dir, l->uhost_id);
    l->lock = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (l->lock >= 0 && (fstat(l->lock, &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1)) leave_lock(l);
    try_lock(l);
    if (l->lock >= 0 && !l->locked && errno != EWOULDBLOCK) leave_lock(l);      /* a file system without locks */
    if (l->lock < 0) say(M_NO_LOCK, path);
    else if (info.st_size > 65536) (void)!ftruncate(l->lock, 0);
}

/* Whether another run on this host still leases the instance. Of several that end
   together at least one finds itself alone: a failed attempt drops the lock. */
static bool shared_with_others(const lease *l)
{
    return l->lock >= 0 && flock(l->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/* Written down before it is set, so that no other run takes it for somebody else's. */
static void remember(lease *l, int64_t time)
{
    char line[32];
    int len = snprintf(line, sizeof line, "%lld\n", (long long)time);
    if (time == l->asked[0]) return;
    memmove(l->asked + 1, l->asked, sizeof l->asked - sizeof l->asked[0]);
    l->asked[0] = time;
    if (l->lock >= 0) (void)!write(l->lock, line, (size_t)len);
}

/* Whether this run, or another of this user on this host, has set a time. */
static bool set_here(const lease *l, int64_t time)
{
    char text[4097], *at = text, *end;
    off_t size = l->lock >= 0 ? lseek(l->lock, 0, SEEK_END) : 0;
    ssize_t n;
    size_t i;
    if (time == l->armed || is_same(time, l->armed)) return true;
    for (i = 0; i < COUNT(l->asked); i++)
        if (l->asked[i] != 0 && is_same(time, l->asked[i])) return true;
    n = size > 0 ? pread(l->lock, text, sizeof text - 1, size > 4096 ? size - 4096 : 0) : 0;
    text[n > 0 ? n : 0] = '\0';
    for (; !is_same(strtoll(at, &end, 10), time); at = end)
        if (end == at) return false;
    return end != at;
}

/* ---- what changes and readings say of the lease ---- */

/* The workflow that moves the shutdown to a time. */
static int begin_change(lease *l, int64_t at, unsigned mode)
{
    l->plan.uhost_id = l->uhost_id;
    l->plan.at = at;
    l->plan.mode = mode;
    l->called = monotonic_ms(NULL);
    changes_sent = 0;
    remember(l, at);
    trace_change(l->uhost_id, at);
    return compshare_schedule_set_start(client, &l->plan, &l->schedule);
}

/* A change that failed may have been made all the same. And one without an answer may be
   made for as long as it can be on its way, though a second sending of it has succeeded. */
static int unsettled(lease *l, int status, int64_t wanted)
{
    bool unknown = status != COMPSHARE_OK && outcome(status) == UNCONFIRMED;
    if (changes_sent > 1 || (unknown && !l->schedule.accepted))
        l->doubt = l->called + config.timeout_ms + 30000;
    if (!unknown) return status;
    if (wanted > l->unsettled) l->unsettled = wanted;
    if (l->schedule.accepted) l->accepted = monotonic_ms(NULL);
    return status;
}

static void settled(lease *l)
{
    l->armed = l->schedule.stop_time;
    l->unsettled = 0;
    l->accepted = 0;
}

/* Whether an instance that was read may be leased; where not, why. --max counts from the
   start of the run, by the server's clock, which is known by now. */
static bool check_leasable(lease *l)
{
    const char *charge_type = l->schedule.charge_type;
    int64_t ran = (int64_t)((monotonic_ms(NULL) - l->began) / 1000);
    if (l->o->most != 0 && l->limit == 0) l->limit = (now() - ran + l->o->most) / 60 * 60;
    if (is_spot(charge_type)) give_reason(l, tr(M_IS_SPOT));
    else if (is_prepaid(charge_type) && !l->o->prepaid_ok)
        (void)snprintf(l->reason, sizeof l->reason, tr(M_IS_PREPAID), l->uhost_id, charge_type);
    else l->leasable = true;
    l->over = !l->leasable;
    return l->leasable;
}

/* What stood before this run is known by its first reading, and by that alone. */
static void note_before(lease *l)
{
    int64_t time = l->schedule.stop_time;
    if (!l->looked && time > now()) l->stood = time;
    if (l->stood != 0 && !l->looked && !set_here(l, time)) l->before = time;
    l->looked = true;
}

/* A first reading may lack the plan: the one that a change began with counts, too. */
static void note_found(lease *l)
{
    const compshare_schedule *s = &l->schedule;
    int64_t found = s->changed ? s->previous : s->stop_time, armed = l->armed;
    bool ours;
    l->armed = 0;               /* which would be taken for set here */
    ours = set_here(l, found);
    l->armed = armed;
    if (l->stood == 0 && found > now() && !ours) l->stood = l->before = found;
}

/* Something was confirmed after failures that were told. */
static void works_again(lease *l)
{
    if (l->said_left != 0 || l->off) note(l, M_RENEWED_AGAIN, off_at(l));
    l->said_left = 0;
    l->ran_out = l->off = l->unreachable = false;
    l->failing = l->backoff_ms = 0;
    l->missing = 0;
    if (l->armed - l->o->warn > now()) l->warned = false;
    try_lock(l);
    plan_renewal(l);
}

/* What a renewal has found and done. */
static void renewed(lease *l)
{
    const compshare_schedule *s = &l->schedule;
    int64_t found = s->changed ? s->previous : s->stop_time;
    bool stood = l->before != 0 && is_same(found, l->before);
    bool ours = stood || set_here(l, found), lost = l->off || l->ran_out;
    int64_t armed = l->armed;
    settled(l);
    if (armed == 0) l->said_left = 0;
    if (armed != 0 && s->changed && found <= now() && !lost) note(l, M_GONE_PLAN, off_at(l));
    else if (armed != 0 && s->changed && l->call == CAP)
        note(l, M_LATER_CAPPED, local_time(found), off_at(l));
    else if (armed != 0 && !s->changed && !ours) note(l, M_LATER_PLAN, local_time(found));
    else if (s->changed && !ours && found > now() && found < armed)
        note(l, M_MOVED_BACK, local_time(found), off_at(l));
    else if (verbose || armed == 0) note(l, M_RENEWED, off_at(l));
    if (!ours) l->theirs = l->call != CAP && (!s->changed || found > armed) ? found : 0;
    works_again(l);
}

/* One line for the first failure, and one whenever the time that is left has halved. */
static void tell_failure(lease *l, const char *text)
{
    int64_t left = l->armed - now();
    bool soon = l->said_left != 0 && (l->armed == 0 || left > l->said_left / 2);
    if (l->ran_out || l->off || soon) return;
    l->said_left = left > 0 ? left : 1;
    if (l->armed == 0 || left > 0)
        note(l, M_RENEWAL_FAILED, off_at(l), show_duration(left), text);
}

/* A change that was accepted only has to be shown; that is no failure yet. While the job
   lives no reading ends the lease, but what fails for long is tried less often. */
static void renewal_failed(lease *l, int status)
{
    uint64_t at = monotonic_ms(NULL);
    if (l->failing == 0) l->failing = at;
    l->backoff_ms = l->backoff_ms == 0 ? 5000 : l->backoff_ms < 30000 ? l->backoff_ms * 2 : 60000;
    l->next = at + l->backoff_ms;
    if (l->accepted != 0 && at - l->failing < (uint64_t)interval_s(l->o) * 1000) return;
    l->unreachable = true;
    if (status == COMPSHARE_E_STATE && is_off(l->schedule.state)) {
        if (!l->off) note(l, M_AWAY, l->uhost_id, l->schedule.state);
        l->off = true;
    }
    tell_failure(l, status == COMPSHARE_OK ? tr(M_NOT_SHOWN) : error_text());
    if ((l->off || status == COMPSHARE_E_NOT_FOUND) && at - l->failing > 600000) plan_renewal(l);
}

/* What a mere reading is good for: to see whether it may be leased at all, whether what was
   accepted is shown by now, and, where nothing can be set up to the limit any more, whether
   a plan stands behind it, or none does. DONE once it is dealt with. */
static int looked(lease *l)
{
    int64_t time = l->schedule.stop_time;
    uint64_t at = monotonic_ms(NULL);
    if (!l->leasable) {
        if (check_leasable(l)) l->next = monotonic_ms(NULL);
        else { leave_lock(l); note(l, M_FAILED, l->reason); }
    } else if (l->accepted != 0 && is_same(time, l->unsettled)) {
        settled(l);
        works_again(l);
    } else if (l->accepted != 0 && at - l->accepted < (uint64_t)interval_s(l->o) * 1000) {
        if (time > l->armed && set_here(l, time)) l->armed = time;
        renewal_failed(l, COMPSHARE_OK);
    } else if (l->accepted != 0) {
        l->accepted = 0;        /* never shown: asked for once more */
        l->next = at;
    } else if ((time <= now() || is_beyond(l, time))
        && strcmp(l->schedule.state, "Running") == 0) {
        return CAP;
    } else {
        plan_renewal(l);
    }
    return DONE;
}

/* Begins what is due: a renewal, or a reading where nothing may be sent now. */
static int begin_renewal(lease *l)
{
    bool late = l->limit != 0 && l->limit - now() < FLOOR_S + 10;
    l->call = !l->leasable || l->accepted != 0 || late ? LOOK : RENEW;
    l->called = monotonic_ms(NULL);
    if (l->call == RENEW) return begin_change(l, lease_end(l), COMPSHARE_ONLY_EXTEND);
    return compshare_schedule_get_start(client, l->uhost_id, &l->schedule);
}

/* A step of the renewal that is under way, or its beginning when it is due. */
static void renew(lease *l)
{
    int status = COMPSHARE_PENDING;
    if (l->call == NO_CALL) {
        if (l->over || monotonic_ms(NULL) < l->next) return;
        status = begin_renewal(l);
        l->waiting = status == COMPSHARE_OK;
    }
    if (l->waiting) status = compshare_step(client);
    if (status == COMPSHARE_PENDING) return;
    l->waiting = false;
    if (status == COMPSHARE_OK && ((l->call == LOOK && looked(l) == CAP)
        || (l->call == RENEW && !l->schedule.changed && is_beyond(l, l->schedule.stop_time)))) {
        l->call = CAP;          /* in one go with what has found it necessary */
        status = begin_change(l, ceiling(l),
            l->schedule.stop_time > now() ? COMPSHARE_ONLY_SHORTEN : 0);
        if (status == COMPSHARE_OK) { l->waiting = true; return; }
    }
    if (l->call != LOOK) (void)unsettled(l, status, l->plan.at);
    if (status != COMPSHARE_OK) renewal_failed(l, status);
    else if (l->call != LOOK) renewed(l);
    l->call = NO_CALL;
}

/* The command is told while there is time to write a checkpoint; and what has run out is
   said once. */
static void warn(lease *l)
{
    bool ending = l->unreachable || (l->limit != 0 && l->armed > l->limit - 60);
    pid_t to = l->o->pid != 0 ? (pid_t)l->o->pid : l->child;
    if (!ending || l->over || l->armed == 0) return;
    if (!l->ran_out && !l->off && now() >= l->armed) {
        l->ran_out = true;
        note(l, M_RAN_OUT, off_at(l));
    }
    if (l->o->warn == 0 || l->warned || l->ended || now() < l->armed - l->o->warn) return;
    l->warned = true;
    if (to > 0) (void)kill(to, l->o->signal);
    note(l, M_WARNED, show_duration(l->armed - now()), l->o->signal_name);
}

/* ---- the command ---- */

static bool gives_up(int n)
{
    return n != SIGUSR1 && n != SIGUSR2 && n != SIGCONT && n != SIGTSTP && n != SIGCHLD;
}

/* Somebody does not want to wait. While nothing has been started, any signal that ends
   programs says so (process 1 of a container would not be ended by it); later only a
   Ctrl-C, because the others may come twice. */
static bool interrupted(lease *l)
{
    bool any = false;
    int n;
    for (n = 1; n <= SIGTERM || (l->arming && n < NSIG); n++) {
        bool typed, asked;
        if (n != SIGINT && !(l->arming && gives_up(n))) continue;
        typed = taken(from_terminal, n);
        asked = taken(from_process, n);
        any = any || typed || asked;
    }
    l->given_up = l->given_up || (l->arming && any);
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

/* Where execvp would find it: 0, or the exit status that says why not. */
static int find_command(const char *name)
{
    const char *path = from_environment("PATH"), *at;
    char file[PATH_MAX], culprit[PATH_MAX], text[PATH_MAX + 128] = "";
    int error = ENOENT, wrong;
    struct stat info;
    if (strchr(name, '/') != NULL) path = "";
    else if (path == NULL) path = "/bin:/usr/bin";
    for (at = name[0] != '\0' ? path : NULL; at != NULL; at = strchr(at, ':') != NULL ? strchr(at, ':') + 1 : NULL) {
        int len = (int)strcspn(at, ":");
        (void)snprintf(file, sizeof file, *path == '\0' ? "%.*s%s" : len == 0 ? "%.*s./%s" : "%.*s/%s", len, at, name);
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
static void count_strangers(lease *l)
{
    pid_t pid;
    do pid = waitpid(-1, NULL, WNOHANG); while (pid > 0);
    l->strangers = pid == 0;
    if (l->strangers) say(M_STRANGERS);
}

/* Everything that the command needs is got before anything is set: the child is there, and
   waits. DONE, or the exit status. */
static int hold_command(lease *l)
{
    int go[2], report[2], error;
    sigset_t mask;
    count_strangers(l);
    call_witness(l->o->argv);
#ifdef PR_SET_CHILD_SUBREAPER
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
#endif
    if (!open_pipe(go, 0) || !open_pipe(report, 0))
        return refuse(UNARMED, M_CANNOT_RUN, l->o->command[0], strerror(errno));
    (void)fflush(NULL);
    block_signals(&mask);
    l->child = fork();
    if (l->child == 0) {
        (void)close(go[1]);
        (void)close(report[0]);
        become(l->o->command, go[0], report[1]);
    }
    error = errno;
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    (void)close(go[0]);
    (void)close(report[1]);
    l->go = go[1];
    l->report = report[0];
    return l->child > 0 ? DONE : refuse(UNARMED, M_CANNOT_RUN, l->o->command[0], strerror(error));
}

/* What the child reports: *error, 0 where it has done as it was told. */
static bool hear_command(lease *l, int *error)
{
    ssize_t n;
    *error = 0;
    do n = read(l->report, error, sizeof *error); while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *error;
}

/* A child that was not let go ends. */
static void drop_command(lease *l)
{
    if (l->go >= 0) (void)close(l->go);
    if (l->report >= 0) (void)close(l->report);
    l->go = l->report = -1;
    if (l->child > 0 && l->started == 0) (void)waitpid(l->child, NULL, 0);
}

/* Lets the child become the command. A signal that comes before it has forgotten the earlier
   ones gives everything up; one that comes later reaches the command, or is passed on. */
static int start_command(lease *l)
{
    sigset_t mask;
    int error = ECHILD;
    bool ready = write(l->go, "f", 1) == 1 && hear_command(l, &error);
    block_signals(&mask);
    if (ready && !interrupted(l)) {
        forget_signals();
        command_pid = l->child;
        ready = write(l->go, "g", 1) == 1;
        l->arming = false;
    }
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    l->arming = false;
    if (!l->given_up && ready && !hear_command(l, &error)) {
        command_runs = true;
        l->started = monotonic_ms(NULL);
    } else {
        command_pid = 0;
    }
    drop_command(l);
    if (command_runs) return DONE;
    if (l->given_up) return refuse(UNARMED, M_INTERRUPTED);
    say(M_CANNOT_RUN, l->o->command[0], strerror(error != 0 ? error : ECHILD));
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
    if ((fields[3] == 'Z' || fields[3] == 'X') && fields[20] < 2) return false;     /* other threads may outlive the first */
    if (*birth == 0) *birth = fields[22];
    return *birth == fields[22];
}

/* Reaps everything that has ended. False: nothing is left to wait for. */
static bool job_lives(lease *l)
{
    sigset_t mask;
    int status;
    pid_t pid;
    if (l->o->pid != 0) return process_lives(l->o->pid, &l->birth);
    block_signals(&mask);       /* none is passed on to a number that is free again */
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        if (pid != l->child) continue;
        l->halted = WIFSTOPPED(status);
        l->stopped = WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP;     /* which is a debugger's business */
        if (WIFSTOPPED(status) || WIFCONTINUED(status)) continue;
        l->ended = true;
        l->ended_at = monotonic_ms(NULL);
        l->status = status;
        command_runs = false;
        command_pid = 0;
        dismiss_witness();
    }
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    if (!l->ended) return true;
    return pid == 0 && !l->strangers;       /* orphans of the command */
}

/* Names what the command has left behind: one of its processes, and how many more. */
static void name_leftovers(lease *l, int message)
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
    note(l, message, first_pid, first);
    if (count > 1) note(l, M_MORE_LEFT, count - 1);
}

/* Names what is left behind half a second after the command's end, and then ever more
   seldom. What came until it was first named was meant for the command; a signal that ends
   programs is heard from then on. True: the wait is over. */
static bool tell_leftovers(lease *l)
{
    uint64_t at = monotonic_ms(NULL);
    if (!l->ended) return false;
    if (!l->named && at >= l->ended_at + 500) {
        l->named = true;
        forget_signals();
        l->tell_in = 600000;
        l->tell_at = at + l->tell_in;
        if (l->o->linger != 0) name_leftovers(l, M_WAITING);
    } else if (l->named && at >= l->tell_at) {
        l->tell_in *= 2;
        l->tell_at = at + l->tell_in;
        name_leftovers(l, M_WAITING);
    }
    if (!l->named || l->o->linger < 0) return false;
    if (at < l->ended_at + (uint64_t)l->o->linger * 1000) return false;
    name_leftovers(l, M_NOT_AWAITED);
    return true;
}

static void send_command(const lease *l, int number)
{
    if (l->child > 0 && !l->ended) (void)kill(l->child, number);
}

/* Stops once the command has stopped and left the terminal in order: the shell, which
   knows only this process, takes it then. By the default action, which spares a process
   that no shell could continue. */
static void suspend(lease *l)
{
    note(l, M_SUSPENDED, off_at(l));
    (void)signal(SIGTSTP, SIG_DFL);
    (void)raise(SIGTSTP);
    handle_signal(SIGTSTP);
    (void)poll(NULL, 0, 100);   /* who continues a whole group continues the command, too */
    (void)job_lives(l);
    if (l->halted) send_command(l, SIGCONT);
    l->stopped = false;
    l->stop_by = 0;
    l->next = monotonic_ms(NULL);
}

/* Asked to stop: once the command has, or in 2 s where it does not or cannot. Nothing
   where no shell could continue either of them. */
static void stop_soon(lease *l)
{
    pid_t parent = getppid();
    if (l->child <= 0 || l->ended) l->stopped = true;
    else if (parent > 0 && getsid(parent) == getsid(0)) l->stop_by = monotonic_ms(NULL) + 2000;
}

/* What signals mean for the lease. True: the wait is to end. */
static bool take_signals(lease *l)
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
        if (typed && n == SIGHUP && getsid(0) == getpid()) send_command(l, n);
        if (n == SIGTSTP) stop_soon(l);
        else if (n == SIGCONT) l->next = monotonic_ms(NULL);
        else if (n != SIGUSR1 && n != SIGUSR2)
            end = end || l->named || l->o->pid != 0;        /* no command that could decide */
    }
    return end;
}

/* Waits for a signal, the client's descriptor, or the next thing that is due. */
static void wait_event(const lease *l, int64_t most_ms)
{
    struct pollfd fds[2];
    char drained[64];
    nfds_t count = 1;
    int64_t timeout = most_ms;
    memset(fds, 0, sizeof fds);
    fds[0].fd = wake[0];
    fds[0].events = POLLIN;
    if (l->waiting) {
        unsigned wants = compshare_wants(client);
        fds[1].fd = compshare_fd(client);
        fds[1].events = (short)((wants & COMPSHARE_READ ? POLLIN : 0) | (wants & COMPSHARE_WRITE ? POLLOUT : 0));
        count = 2;
        if (timeout > compshare_timeout_ms(client)) timeout = compshare_timeout_ms(client);
    }
#ifdef SCHEDULE_TEST_CLOCK
    if (timeout > 20 && from_environment("COMPSHARE_TEST_PACE") == NULL) timeout = 20;
#endif
    (void)poll(fds, count, (int)timeout);
    while (read(wake[0], drained, sizeof drained) > 0) {}
}

/* Pauses. False: a Ctrl-C ended it. */
static bool rest(lease *l, uint64_t ms)
{
    uint64_t until = monotonic_ms(NULL) + ms, at;
    while ((at = monotonic_ms(NULL)) < until) {
        if (interrupted(l)) return false;
        wait_event(l, (int64_t)(until - at));
    }
    return true;
}

/* Milliseconds until something other than an event is due. */
static int64_t until_due(const lease *l)
{
    int64_t due = 60000, left;
    if (!l->over) {
        left = (int64_t)(l->next - monotonic_ms(NULL));
        if (left < due) due = left;
    }
    if (l->o->warn != 0 && !l->warned && l->armed != 0) {
        left = (l->armed - l->o->warn - now()) * 1000;
        if (left > 0 && left < due) due = left;
    }
    if (l->ended && due > (l->named ? 5000 : 100)) due = l->named ? 5000 : 100;
    if ((l->o->pid != 0 || l->stop_by != 0) && due > 1000) due = 1000;
    return due > 0 ? due : l->waiting ? 60000 : 1;
}

/* Until the job has ended. */
static void attend(lease *l)
{
    while (job_lives(l) && !take_signals(l) && !tell_leftovers(l)) {
        if (l->stopped || (l->stop_by != 0 && monotonic_ms(NULL) >= l->stop_by)) suspend(l);
        renew(l);
        warn(l);
        show_notes(l);
        wait_event(l, until_due(l));
    }
    command_runs = false;
    show_notes(l);
    if (l->ended && !l->named && l->ended_at - l->started < 10000) note(l, M_QUICK_END);
}

/* ---- arming ---- */

/* Drives a call that was started to its end; a Ctrl-C, or `until`, gives it up. */
static int finish_call(lease *l, int status, uint64_t until)
{
    if (status != COMPSHARE_OK) return status;
    l->waiting = true;
    while ((status = compshare_step(client)) == COMPSHARE_PENDING) {
        uint64_t at = monotonic_ms(NULL);
        if (at >= until || interrupted(l)) { status = compshare_abort(client); break; }
        wait_event(l, (int64_t)(until - at));
    }
    l->waiting = false;
    return status;
}

/* A change, to its end, with what it leaves open. */
static int finish_change(lease *l, int64_t at, unsigned mode, uint64_t until)
{
    int status = unsettled(l, finish_call(l, begin_change(l, at, mode), until), at);
    if (status == COMPSHARE_OK) settled(l);
    return status;
}

static int cancel_lease(lease *l, uint64_t until)
{
    int status;
    l->called = monotonic_ms(NULL);
    changes_sent = 0;
    trace_change(l->uhost_id, 0);
    status = finish_call(l, compshare_schedule_cancel_start(client, l->uhost_id, &l->schedule), until);
    if (status == COMPSHARE_OK) settled(l);
    return unsettled(l, status, INT64_MAX);
}

/* Whether what failed may succeed in a while, nothing having been done twice by then. */
static bool worth_repeating(const lease *l, int status)
{
    int code = outcome(status);
    return code == NETWORK || code == UNCONFIRMED || compshare_last_error(client)->retryable
        || (status == COMPSHARE_E_NOT_FOUND && l->looked && l->arming)      /* it was there */
        || (status == COMPSHARE_E_STATE && !is_off(l->schedule.state));
}

/* Asks for the lease, or brings a plan beyond the limit down to it. */
static int arm_change(lease *l, uint64_t until)
{
    bool cap = l->schedule.stop_time > now() && is_beyond(l, l->schedule.stop_time);
    if (cap) return finish_change(l, ceiling(l), COMPSHARE_ONLY_SHORTEN, until);
    return finish_change(l, lease_end(l), COMPSHARE_ONLY_EXTEND, until);
}

/* One attempt. DONE, or the exit status and the reason. *again: worth another attempt. A
   change that was accepted is not asked for again, but looked for. */
static int arm_once(lease *l, uint64_t until, bool *again, bool *starting)
{
    compshare_schedule *s = &l->schedule;
    int status = finish_call(l, compshare_schedule_get_start(client, l->uhost_id, s), until);
    *again = true;
    check_clock();
    if (status == COMPSHARE_OK && l->accepted != 0) {
        if (!is_same(s->stop_time, l->unsettled)) return UNCONFIRMED;
        settled(l);
        return DONE;
    }
    if (status == COMPSHARE_OK) {
        *again = false;
        if (!check_leasable(l)) return UNSCHEDULABLE;
        if (l->limit != 0 && l->limit - now() < FLOOR_S)
            return give_reason(l, tr(M_TOO_LATE)), USAGE;
        note_before(l);
        if ((status = arm_change(l, until)) == COMPSHARE_OK) return note_found(l), DONE;
    }
    if (status != COMPSHARE_E_ABORTED || l->reason[0] == '\0') give_reason(l, error_text());
    *starting = *starting || (status == COMPSHARE_E_STATE && !is_off(s->state)) || compshare_last_error(client)->ret_code == 8903;
    l->missing = status == COMPSHARE_E_NOT_FOUND ? l->missing + 1 : 0;
    *again = worth_repeating(l, status) || (l->missing > 0 && l->missing < 3);
    return outcome(status);
}

/* The last one out has the lock alone while it shortens or stops, for a minute at the
   most: a lease that is set meanwhile would be undone. */
static void wait_for_others(lease *l)
{
    uint64_t until = monotonic_ms(NULL) + 75000;
    if (l->lock < 0 || l->locked) return;
    say(M_OTHER_ENDS, l->uhost_id);
    while (!l->locked && monotonic_ms(NULL) < until && rest(l, 250)) try_lock(l);
}

/* Until when arming is tried: for 60 s, or as long as a call may take, or 3 min while the
   instance starts; and once a change was accepted for as long again, for it to be shown. */
static uint64_t arm_until(const lease *l, uint64_t began, bool starting)
{
    uint64_t most = config.timeout_ms > ARM_MS ? config.timeout_ms : ARM_MS;
    if (l->accepted != 0) return l->accepted + most;
    return began + (starting && most < 180000 ? 180000 : most);
}

/* DONE, or the exit status. */
static int arm(lease *l)
{
    uint64_t began;
    bool again, starting = false;
    int code;
    wait_for_others(l);
    if (l->given_up) return give_reason(l, tr(M_NOTHING_CHANGED)), UNARMED;
    began = monotonic_ms(NULL);
    do {
        code = arm_once(l, arm_until(l, began, starting), &again, &starting);
        if (code == DONE || !again || l->given_up) break;
    } while (monotonic_ms(NULL) < arm_until(l, began, starting)
        && rest(l, l->missing > 0 ? 1000 : 5000));
    return code;
}

/* The command line that brings back what stood before this run. */
static const char *mend_line(const lease *l)
{
    static char line[1200];
    const options *o = l->o;
    size_t i, len;
    if (l->stood - now() > FLOOR_S)
        (void)snprintf(line, sizeof line, "compshare-schedule set %s --at %lld", l->uhost_id,
            (long long)l->stood);
    else
        (void)snprintf(line, sizeof line, l->stood != 0 ? "compshare-schedule set %s --in 5m"
            : "compshare-schedule cancel %s", l->uhost_id);
    for (i = 0; i < COUNT(option_table); i++) {
        const void *at = (const char *)o + option_table[i].offset;
        const char *value;
        bool odd;
        if (!o->given[i] || option_table[i].kind != TEXT || option_table[i].of != EVERY) continue;
        value = *(const char *const *)at;
        if (i == O_PROXY && strchr(value, '@') != NULL) continue;   /* a password may be in it */
        odd = strpbrk(value, " \t$&;|<>()*?\"\\") != NULL;
        len = strlen(line);
        (void)snprintf(line + len, sizeof line - len, odd ? " --%s '%s'" : " --%s %s",
            option_table[i].name, value);
    }
    return line;
}

/* Nothing was started because the lease could not be set: why, and what may be. */
static int refuse_unarmed(const lease *l)
{
    char text[2600];
    size_t len;
    (void)snprintf(text, sizeof text, tr(M_NOT_ARMED), l->reason);
    len = strlen(text);
    if (l->unsettled != 0)
        (void)snprintf(text + len, sizeof text - len, tr(M_MAY_BE_SET), local_time(l->unsettled),
            mend_line(l));
    return refuse(UNARMED, M_FAILED, text);
}

/* Nothing was started though the lease stood: what stood before is put back. What another
   run has set, or left behind, is not this one's to undo. */
static void put_back(lease *l)
{
    uint64_t until = monotonic_ms(NULL) + ARM_MS;
    int status;
    if (l->armed == 0) return;
    if (shared_with_others(l) || !is_same(l->armed, l->asked[0])) {
        note(l, M_STAYS_SET, off_at(l));
        return;
    }
    status = l->stood == 0 ? cancel_lease(l, until)
        : finish_change(l, l->stood - now() > FLOOR_S ? l->stood : soonest(), 0, until);
    if (status != COMPSHARE_OK) note(l, M_NOT_PUT_BACK, error_text(), off_at(l), mend_line(l));
    else if (l->armed != 0) note(l, M_PUT_BACK, off_at(l));
    else note(l, M_PUT_BACK_NONE);
}

/* ---- the end ---- */

/* StopCompShareInstance, confirmed by reading. It is sent once: whatever came of that is only
   looked at from then on. */
static int stop_now(lease *l, uint64_t until)
{
    compshare_target target = { NULL, NULL, NULL, NULL };
    int status;
    target.uhost_id = l->uhost_id;
    if (!l->stopping) {
        status = finish_call(l, compshare_stop_instance_start(client, &target), until);
        l->stopping = status == COMPSHARE_OK || compshare_last_error(client)->outcome_unknown;
        if (!l->stopping || status == COMPSHARE_E_ABORTED) return status;
    }
    return finish_call(l, compshare_wait_state_start(client, l->uhost_id, "Stopped", 30000, NULL), until);
}

/* When it is to go off now that the job has ended: reckoned once. What somebody has set
   while the job lived counts, what stood before only where it is to be restored. */
static int64_t exit_time(lease *l)
{
    const options *o = l->o;
    int64_t nearest = soonest();
    int64_t end = o->on_exit == ON_STOP ? nearest : whole_minute(now() + o->grace);
    if (l->wanted != 0) return l->wanted;
    if (l->limit != 0 && end > l->limit) end = l->limit > nearest ? l->limit : nearest;
    if (o->on_exit == ON_RESTORE && l->before - now() > FLOOR_S) end = l->before;
    if (l->theirs > end && o->on_exit != ON_STOP) end = l->theirs;
    return l->wanted = end;
}

/* Whether there is anything left to end, by a reading. Lists that lack the instance may
   be the API's mistake; after half a minute, seven in a row, they are none. */
static bool is_over(lease *l, int status)
{
    l->missing = status == COMPSHARE_E_NOT_FOUND ? l->missing + 1 : 0;
    if (l->missing >= 7 || (status == COMPSHARE_OK && is_off(l->schedule.state)))
        note(l, M_GONE, l->uhost_id, status != COMPSHARE_OK ? tr(M_NOT_LISTED) : l->schedule.state);
    else if (status == COMPSHARE_OK && !l->leasable && !check_leasable(l)) note(l, M_FAILED, l->reason);
    else return false;
    l->over = true;
    return true;
}

/* What the last reading says of other people's plans: one that was not there before counts
   from now on, an earlier one, too. */
static void note_theirs(lease *l)
{
    int64_t time = l->schedule.stop_time;
    if (set_here(l, time) || (l->before != 0 && is_same(time, l->before))) return;
    l->theirs = time > now() ? time : 0;
    if (l->theirs != 0 && !is_beyond(l, time) && l->o->on_exit != ON_STOP) l->wanted = time;
    else if (is_beyond(l, time)) l->theirs = l->limit;
}

/* The job has ended: what --on-exit asks for. What stands already is not set again. */
static int end_once(lease *l, uint64_t until)
{
    compshare_schedule *s = &l->schedule;
    int end = l->o->on_exit, status = compshare_schedule_get_start(client, l->uhost_id, s);
    status = finish_call(l, status, until);
    if (status == COMPSHARE_OK && l->stopping && strcmp(s->state, "Stopped") == 0) return status;
    if (is_over(l, status)) return COMPSHARE_OK;
    if (status != COMPSHARE_OK) return status;
    note_theirs(l);
    if (end == ON_KEEP) { settled(l); return COMPSHARE_OK; }
    if (end == ON_CANCEL && l->theirs <= now()) {
        if (s->stop_time != 0 || l->armed != 0) return cancel_lease(l, until);
        settled(l);
        return COMPSHARE_OK;
    }
    if (s->stop_time > now() && is_same(s->stop_time, exit_time(l))) settled(l);
    else status = finish_change(l, exit_time(l), 0, until);
    if (status == COMPSHARE_E_ABORTED || (status != COMPSHARE_OK && outcome(status) != UNCONFIRMED))
        return status;
    return end == ON_STOP ? stop_now(l, until) : status;
}

/* What could not be told to the API now may be told later, for as long as a minute. And
   where a renewal was never answered, the end is looked at until that can be on its way no
   longer. */
static int end_patiently(lease *l)
{
    uint64_t until = monotonic_ms(NULL) + ARM_MS, doubt = l->doubt;
    int status;
    l->missing = 0;
    while ((status = end_once(l, until)) != COMPSHARE_OK && status != COMPSHARE_E_ABORTED && monotonic_ms(NULL) < until)
        if ((!worth_repeating(l, status) && status != COMPSHARE_E_NOT_FOUND) || !rest(l, 5000)) break;
    if (l->o->on_exit == ON_STOP || monotonic_ms(NULL) >= doubt) return status;
    note(l, M_WATCHING, show_duration((int64_t)(doubt - monotonic_ms(NULL)) / 1000));
    while (status == COMPSHARE_OK && !l->over && monotonic_ms(NULL) < doubt && rest(l, 5000))
        status = end_once(l, doubt + ARM_MS);
    return status;
}

/* What is not known is not promised: a change that may have been made counts. */
static void end_failed(lease *l)
{
    int64_t latest = l->unsettled > l->armed ? l->unsettled : l->armed;
    if (latest == INT64_MAX) note(l, M_END_DOUBT, error_text(), l->uhost_id);
    else if (latest == 0) note(l, M_END_UNARMED, error_text());
    else note(l, M_END_FAILED, error_text(), local_time(latest));
}

static const char *how_over(const lease *l) { return l->armed != 0 ? "gone" : "unarmed"; }

/* What stands now, as it was read. */
static void say_end(lease *l)
{
    const options *o = l->o;
    if (o->on_exit == ON_STOP) note(l, M_ENDED_STOP);
    else if (l->armed == 0) note(l, M_ENDED_CANCEL);
    else if (l->theirs > now() && is_same(l->armed, l->theirs)) note(l, M_ENDED_THEIRS, off_at(l));
    else if (o->on_exit == ON_RESTORE && is_same(l->armed, l->before))
        note(l, M_ENDED_RESTORED, off_at(l));
    else note(l, M_ENDED_GRACE, off_at(l));
}

/* A renewal that is under way is let end: its time is bounded, and the server may execute
   it after everything that is sent from here on. */
static void finish_renewal(lease *l)
{
    int status;
    if (l->call == NO_CALL) return;
    status = finish_call(l, COMPSHARE_OK, l->called + config.timeout_ms + 1000);
    if (l->call != LOOK) (void)unsettled(l, status, l->plan.at);
    if (l->call != LOOK && status == COMPSHARE_OK) renewed(l);
    l->call = NO_CALL;
}

static void end_lease(lease *l)
{
    int status;
    (void)interrupted(l);       /* the one that ended the job */
    finish_renewal(l);
    l->how_ended = "kept";
    if (l->over) { l->how_ended = how_over(l); return; }
    if (l->o->pid != 0 && job_lives(l)) { note(l, M_STILL_RUNS, l->o->pid, off_at(l)); return; }
    if (shared_with_others(l)) { note(l, M_ENDED_OTHERS, l->uhost_id); l->how_ended = "shared"; return; }
    status = end_patiently(l);
    l->how_ended = l->over ? how_over(l) : status != COMPSHARE_OK ? "failed"
        : l->o->on_exit == ON_KEEP ? "kept" : "done";
    if (status != COMPSHARE_OK) end_failed(l);
    else if (!l->over) say_end(l);
}

static int job_status(const lease *l)
{
    if (l->child <= 0) return DONE;
    if (!l->ended) return UNCONFIRMED;
    return WIFSIGNALED(l->status) ? 128 + WTERMSIG(l->status) : WEXITSTATUS(l->status);
}

/* Replaces a file as a whole: nobody reads half of it, and a full disk leaves the old one.
   What is no regular file, or a link to one, is written to. */
static bool replace_file(const char *path, const char *text)
{
    char beside[PATH_MAX];
    struct stat info;
    bool plain = lstat(path, &info) != 0 || S_ISREG(info.st_mode), written;
    ssize_t len = (ssize_t)strlen(text);
    int fd, error;
    (void)snprintf(beside, sizeof beside, plain ? "%s.%ld" : "%s", path, (long)getpid());
    fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    errno = ENOSPC;     /* which a short write means */
    written = write(fd, text, (size_t)len) == len;
    if (close(fd) == 0 && written && (!plain || rename(beside, path) == 0)) return true;
    error = errno;
    if (plain) (void)unlink(beside);
    errno = error;
    return false;
}

static void write_status(const lease *l, int code)
{
    char text[256];
    if (l->o->status_file == NULL) return;
    (void)snprintf(text, sizeof text, "{\"uhost_id\":\"%s\",\"stop_time\":%lld,\"ended\":\"%s\",\"exit_status\":%d}\n", l->uhost_id,
        (long long)l->armed, l->how_ended, code);
    if (!replace_file(l->o->status_file, text)) say(M_CANNOT_WRITE, l->o->status_file, strerror(errno));
}

/* A plan that stood before, and what has become of it. */
static void announce_before(const lease *l)
{
    if (l->before == 0) return;
    if (is_same(l->armed, l->before)) say(M_BEFORE_LEFT, local_time(l->before));
    else say(l->before > l->armed ? M_BEFORE_CAPPED : M_BEFORE_MOVED, local_time(l->before), off_at(l));
}

/* What holds while the job lives, after its end, and if this program does not live. */
static void announce(const lease *l)
{
    const options *o = l->o;
    announce_before(l);
    if (l->limit != 0) say(M_STAYS_UNTIL, l->uhost_id, local_time(l->limit));
    else say(M_STAYS_ON, l->uhost_id);
    if (o->on_exit == ON_RESTORE && l->before != 0) say(M_AFTER_RESTORE, local_time(l->before));
    else if (o->on_exit == ON_STOP) say(M_AFTER_STOP);
    else if (o->on_exit == ON_CANCEL) say(M_AFTER_CANCEL);
    else if (o->on_exit == ON_KEEP) say(M_AFTER_KEEP);
    else say(M_AFTER_GRACE, show_duration(o->grace));
    say(M_IF_IT_DIES, local_time(l->armed));
}

/* The lease while the job lives, and its end. The exit status. */
static int hold(lease *l)
{
    options *o = l->o;
    int code = arm(l);
    if (code == USAGE || l->given_up || (code != DONE && !o->unarmed_ok)) return refuse_unarmed(l);
    if (code == DONE) { announce(l); plan_renewal(l); }
    else { say(M_UNARMED_ON, l->reason); l->unreachable = true; }
    code = o->command != NULL ? start_command(l) : DONE;
    l->arming = false;
    if (code != DONE) { put_back(l); return code; }
    attend(l);
    code = job_status(l);
    end_lease(l);
    return code;
}

/* What is found out before anything is set. DONE, or the exit status. */
static int prepare(lease *l)
{
    options *o = l->o;
    int code;
    if (o->command != NULL && (code = find_command(o->command[0])) != DONE) return code;
    if (o->pid != 0 && !process_lives(o->pid, &l->birth))
        return refuse(UNARMED, M_NO_PROCESS, o->pid);
    if (o->pid != 0 && o->warn != 0 && kill((pid_t)o->pid, 0) != 0)
        return refuse(UNARMED, M_NOT_OURS, o->pid);
    if (!open_pipe(wake, O_NONBLOCK)) return refuse(UNARMED, M_CANNOT_RUN, "pipe", strerror(errno));
    handle_signals();
    l->arming = true;
    if (o->command != NULL && (code = hold_command(l)) != DONE) return code;
    open_lock(l);
    return DONE;
}

static int run(options *o)
{
    static lease l;
    int code;
    l.o = o;
    l.uhost_id = o->uhosts[0];
    l.limit = o->until / 60 * 60;
    l.lock = l.go = l.report = -1;
    l.began = monotonic_ms(NULL);
    l.how_ended = "unarmed";
    srand((unsigned)(getpid() ^ (int)l.began));
    if (o->grace < interval_s(o) + 300) o->grace = interval_s(o) + 300;
    code = prepare(&l);
    if (code == DONE) code = hold(&l);
    drop_command(&l);
    dismiss_witness();
    write_status(&l, code);
    (void)fputs(l.held, stderr);
    if (l.ended && WIFSIGNALED(l.status)) ended_by = WTERMSIG(l.status);
    return code;
}

