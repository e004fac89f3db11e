/* ==== run =========================================================================

   Does:  keeps a lease while a job lives: asks lease.h what to do next, does it through the
          API, and says what comes of it; ends it as --on-exit says.
   May:   all that signals, job and lock may; change the plan of one instance, and stop it.
   Never: decides what the plan is to be. */

#define ARM_MS 60000            /* how long arming is tried, and the end */

/* The call to the API that is under way, and what it shows. */
typedef struct call {
    bool in_flight;
    uint64_t begun;
    compshare_plan plan;
    compshare_schedule schedule;
} call;

typedef struct run {
    const options *o;
    const char *uhost_id;
    lease lease;
    job job;
    lock lock;
    call call;
    answer answer;              /* of the last call */
    moment now;                 /* as last looked at: moment_now */
    char reason[COMPSHARE_ERROR_TEXT];      /* why it could not be armed */
    const char *how_ended;      /* for --status-file */
} run;

/* Looks at the clocks. */
static const moment *moment_now(run *r)
{
    r->now.ms = monotonic_ms(NULL);
    r->now.s = now();
    r->now.chance = (unsigned)rand() % 1000;
    return &r->now;
}

/* ---- sentences ---- */

/* When it goes off, for a person. */
static const char *off_at(int64_t time) { return time != 0 ? local_time(time) : "?"; }

static void give_reason(run *r, const char *text)
{
    (void)snprintf(r->reason, sizeof r->reason, "%s", text);
}

/* Why it may not be leased. */
static void give_why(run *r)
{
    (void)snprintf(r->reason, sizeof r->reason, tr(r->lease.why), r->uhost_id,
        r->call.schedule.charge_type);
}

/* A sentence with its values: times, unless the message has others. */
static void tell(run *r, const news *n)
{
    const char *because = n->because >= 0 ? tr(n->because) : "", *state = r->call.schedule.state;
    const char *first = off_at(n->first), *second = off_at(n->second);
    switch (n->message) {
    case M_IS_SPOT: case M_IS_PREPAID: case M_AWAY: case M_GONE:
        first = r->uhost_id;
        second = state;
        if (n->message == M_IS_PREPAID) second = r->call.schedule.charge_type;
        if (n->because >= 0) second = because;
        break;
    case M_RENEWAL_FAILED:
        second = show_duration(n->second);
        if (n->because < 0) because = error_text();
        break;
    case M_WARNED:
        first = show_duration(n->first);
        second = r->o->run.signal_name;
        break;
    default: break;
    }
    note(&r->job, n->message, first, second, because);
}

/* Says what the lease has to say. */
static void tell_news(run *r)
{
    size_t i;
    for (i = 0; i < r->lease.news_count; i++) tell(r, &r->lease.news[i]);
    r->lease.news_count = 0;
}

/* ---- calls ---- */

/* How the call that was begun last has ended. What other runs have asked for is read for
   whoever judges it. */
static const answer *answer_of(run *r, int status)
{
    answer *a = &r->answer;
    a->status = status;
    a->code = outcome(status);
    a->retryable = compshare_last_error(client)->retryable;
    a->sent = changes_sent;
    a->begun = r->call.begun;
    a->read = &r->call.schedule;
    r->lease.noted = read_times(&r->lock);
    return a;
}

static void begin_call(run *r)
{
    r->call.begun = monotonic_ms(NULL);
    changes_sent = 0;
}

static int begin_reading(run *r)
{
    begin_call(r);
    return compshare_schedule_get_start(client, r->uhost_id, &r->call.schedule);
}

/* The workflow that moves the shutdown to a time. */
static int begin_change(run *r, int64_t at, unsigned mode)
{
    call *c = &r->call;
    c->plan.uhost_id = r->uhost_id;
    c->plan.at = at;
    c->plan.mode = mode;
    begin_call(r);
    if (note_asked(&r->lease, at)) write_time(&r->lock, at);
    trace_change(r->uhost_id, at);
    return compshare_schedule_set_start(client, &c->plan, &c->schedule);
}

/* Waits for a signal, the client's descriptor, or the next thing that is due. */
static void wait_event(const call *c, int64_t most_ms)
{
    struct pollfd fds[2];
    char drained[64];
    nfds_t count = 1;
    int64_t timeout = most_ms;
    memset(fds, 0, sizeof fds);
    fds[0].fd = wake[0];
    fds[0].events = POLLIN;
    if (c->in_flight) {
        unsigned wants = compshare_wants(client);
        fds[1].fd = compshare_fd(client);
        fds[1].events = (short)((wants & COMPSHARE_READ ? POLLIN : 0)
            | (wants & COMPSHARE_WRITE ? POLLOUT : 0));
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
static bool rest(run *r, uint64_t ms)
{
    uint64_t until = monotonic_ms(NULL) + ms, at;
    while ((at = monotonic_ms(NULL)) < until) {
        if (interrupted(&r->job)) return false;
        wait_event(&r->call, (int64_t)(until - at));
    }
    return true;
}

/* Drives a call that was started to its end; a Ctrl-C, or `until`, gives it up. */
static int finish_call(run *r, int status, uint64_t until)
{
    if (status != COMPSHARE_OK) return status;
    r->call.in_flight = true;
    while ((status = compshare_step(client)) == COMPSHARE_PENDING) {
        uint64_t at = monotonic_ms(NULL);
        if (at >= until || interrupted(&r->job)) {
            status = compshare_abort(client);
            break;
        }
        wait_event(&r->call, (int64_t)(until - at));
    }
    r->call.in_flight = false;
    return status;
}

static const answer *read_plan(run *r, uint64_t until)
{
    return answer_of(r, finish_call(r, begin_reading(r), until));
}

/* A change, to its end, with what it leaves open. */
static const answer *change_plan(run *r, int64_t time, unsigned mode, uint64_t until)
{
    const answer *a = answer_of(r, finish_call(r, begin_change(r, time, mode), until));
    note_outcome(&r->lease, a, time, moment_now(r));
    if (a->status == COMPSHARE_OK) note_shown(&r->lease, a->read);
    return a;
}

static const answer *cancel_plan(run *r, uint64_t until)
{
    const answer *a;
    int status;
    begin_call(r);
    trace_change(r->uhost_id, 0);
    status = compshare_schedule_cancel_start(client, r->uhost_id, &r->call.schedule);
    a = answer_of(r, finish_call(r, status, until));
    if (a->status == COMPSHARE_OK) note_shown(&r->lease, a->read);
    note_outcome(&r->lease, a, INT64_MAX, moment_now(r));
    return a;
}

/* StopCompShareInstance, confirmed by reading. It is sent once: whatever came of that is only
   looked at from then on. */
static const answer *stop_now(run *r, uint64_t until)
{
    compshare_target target = { NULL, NULL, NULL, NULL };
    bool *sent = &r->lease.asked.stop;
    int status;
    target.uhost_id = r->uhost_id;
    if (!*sent) {
        status = finish_call(r, compshare_stop_instance_start(client, &target), until);
        *sent = status == COMPSHARE_OK || compshare_last_error(client)->outcome_unknown;
        if (!*sent || status == COMPSHARE_E_ABORTED) return answer_of(r, status);
    }
    status = compshare_wait_state_start(client, r->uhost_id, "Stopped", 30000, NULL);
    return answer_of(r, finish_call(r, status, until));
}

/* ---- arming ---- */

/* Asks for the lease once it was read that it may be asked for. DONE, or the exit status. */
static int arm_by(run *r, action next, uint64_t until)
{
    const answer *a;
    if (next.what == DO_NOTHING) return DONE;
    if (next.what == DO_WAIT) return UNCONFIRMED;
    if (next.what == DO_REFUSE) {
        give_why(r);
        return r->lease.leasable ? USAGE : UNSCHEDULABLE;
    }
    a = change_plan(r, next.time, next.mode, until);
    if (a->status == COMPSHARE_OK) note_found(&r->lease, a->read, moment_now(r));
    return a->code;
}

/* Whether the instance is not ready yet, but will be. */
static bool is_starting(const answer *a)
{
    return (a->status == COMPSHARE_E_STATE && !is_off(a->read->state))
        || compshare_last_error(client)->ret_code == 8903;
}

/* One attempt. DONE, or the exit status and the reason. *again: worth another attempt. */
static int arm_once(run *r, uint64_t until, bool *again, bool *starting)
{
    lease *l = &r->lease;
    const answer *a = read_plan(r, until);
    action next;
    int code;
    check_clock();
    if (a->status == COMPSHARE_OK) {
        next = arm_next(l, a->read, moment_now(r));
        *again = next.what == DO_WAIT;
        code = arm_by(r, next, until);
        if (next.what != DO_SET || a->status == COMPSHARE_OK) return code;
    }
    if (a->status != COMPSHARE_E_ABORTED || r->reason[0] == '\0') give_reason(r, error_text());
    *starting = *starting || is_starting(a);
    l->next.missing = a->status == COMPSHARE_E_NOT_FOUND ? l->next.missing + 1 : 0;
    *again = worth_repeating(l, a, r->job.arming)
        || (l->next.missing > 0 && l->next.missing < 3);
    return a->code;
}

/* The last one out has the lock alone while it shortens or stops, for a minute at the
   most: a lease that is set meanwhile would be undone. */
static void wait_for_others(run *r)
{
    uint64_t until = monotonic_ms(NULL) + 75000;
    if (r->lock.file < 0 || r->lock.held) return;
    say(M_OTHER_ENDS, r->uhost_id);
    while (!r->lock.held && monotonic_ms(NULL) < until && rest(r, 250)) try_lock(&r->lock);
}

/* Until when arming is tried: for 60 s, or as long as a call may take, or 3 min while the
   instance starts; and once a change was accepted for as long again, for it to be shown. */
static uint64_t arm_until(const lease *l, uint64_t began, bool starting)
{
    uint64_t most = l->call_ms > ARM_MS ? l->call_ms : ARM_MS;
    if (l->asked.accepted_at != 0) return l->asked.accepted_at + most;
    return began + (starting && most < 180000 ? 180000 : most);
}

/* DONE, or the exit status. */
static int arm(run *r)
{
    const lease *l = &r->lease;
    uint64_t began;
    bool again, starting = false;
    int code;
    wait_for_others(r);
    if (r->job.given_up) {
        give_reason(r, tr(M_NOTHING_CHANGED));
        return UNARMED;
    }
    began = monotonic_ms(NULL);
    do {
        code = arm_once(r, arm_until(l, began, starting), &again, &starting);
        if (code == DONE || !again || r->job.given_up) break;
    } while (monotonic_ms(NULL) < arm_until(l, began, starting)
        && rest(r, l->next.missing > 0 ? 1000 : 5000));
    return code;
}

/* Appends the options that every verb takes and that were given, as a shell reads them. */
static void append_options(const options *o, char *line, size_t cap)
{
    size_t i, len;
    for (i = 0; i < COUNT(option_table); i++) {
        const option_row *row = &option_table[i];
        const char *value;
        bool odd;
        if (!o->common.given[i] || row->kind != TEXT || row->of != EVERY) continue;
        value = *(const char *const *)(const void *)((const char *)o + row->offset);
        if (i == O_PROXY && strchr(value, '@') != NULL) continue;   /* a password may be in it */
        odd = strpbrk(value, " \t$&;|<>()*?\"\\") != NULL;
        len = strlen(line);
        (void)snprintf(line + len, cap - len, odd ? " --%s '%s'" : " --%s %s", row->name, value);
    }
}

/* The command line that brings back what stood before this run. */
static const char *mend_line(const run *r)
{
    static char line[1200];
    int64_t stood = r->lease.before.stood;
    const char *form = stood - now() > FLOOR_S ? "compshare-schedule set %s --at %lld"
        : stood != 0 ? "compshare-schedule set %s --in 5m" : "compshare-schedule cancel %s";
    (void)snprintf(line, sizeof line, form, r->uhost_id, (long long)stood);
    append_options(r->o, line, sizeof line);
    return line;
}

/* Nothing was started because the lease could not be set: why, and what may be. */
static int refuse_unarmed(const run *r)
{
    char text[2600];
    size_t len;
    (void)snprintf(text, sizeof text, tr(M_NOT_ARMED), r->reason);
    len = strlen(text);
    if (r->lease.asked.unproved != 0)
        (void)snprintf(text + len, sizeof text - len, tr(M_MAY_BE_SET),
            local_time(r->lease.asked.unproved), mend_line(r));
    return refuse(UNARMED, M_FAILED, text);
}

/* Nothing was started though the lease stood. */
static void put_back(run *r)
{
    lease *l = &r->lease;
    job *j = &r->job;
    uint64_t until = monotonic_ms(NULL) + ARM_MS;
    bool shared = l->armed != 0 && shared_with_others(&r->lock);
    action next = put_back_next(l, shared, moment_now(r));
    int status;
    if (next.what == DO_LEAVE) note(j, M_STAYS_SET, off_at(l->armed));
    if (next.what == DO_NOTHING || next.what == DO_LEAVE) return;
    if (next.what == DO_CANCEL) status = cancel_plan(r, until)->status;
    else status = change_plan(r, next.time, next.mode, until)->status;
    if (status != COMPSHARE_OK)
        note(j, M_NOT_PUT_BACK, error_text(), off_at(l->armed), mend_line(r));
    else if (l->armed != 0) note(j, M_PUT_BACK, off_at(l->armed));
    else note(j, M_PUT_BACK_NONE);
}

/* A plan that stood before, and what has become of it. */
static void announce_before(const lease *l)
{
    int64_t before = l->before.foreign;
    if (before == 0) return;
    if (is_same(l->armed, before)) say(M_BEFORE_LEFT, local_time(before));
    else if (before > l->armed) say(M_BEFORE_CAPPED, local_time(before), off_at(l->armed));
    else say(M_BEFORE_MOVED, local_time(before), off_at(l->armed));
}

/* What holds while the job lives, after its end, and if this program does not live. */
static void announce(const run *r)
{
    const lease *l = &r->lease;
    int on_exit = l->terms.on_exit;
    announce_before(l);
    if (l->limit != 0) say(M_STAYS_UNTIL, r->uhost_id, local_time(l->limit));
    else say(M_STAYS_ON, r->uhost_id);
    if (on_exit == ON_RESTORE && l->before.foreign != 0)
        say(M_AFTER_RESTORE, local_time(l->before.foreign));
    else if (on_exit == ON_STOP) say(M_AFTER_STOP);
    else if (on_exit == ON_CANCEL) say(M_AFTER_CANCEL);
    else if (on_exit == ON_KEEP) say(M_AFTER_KEEP);
    else say(M_AFTER_GRACE, show_duration(l->terms.grace));
    say(M_IF_IT_DIES, local_time(l->armed));
}

/* ---- while the job lives ---- */

static int begin(run *r, action next)
{
    return next.what == DO_READ ? begin_reading(r) : begin_change(r, next.time, next.mode);
}

/* The loop's call has ended; and so may one that follows from it. */
static void take_answer(run *r, int status)
{
    action next;
    do {
        next = lease_answered(&r->lease, answer_of(r, status), moment_now(r));
        tell_news(r);
        if (next.what == DO_NOTHING) break;
        status = begin(r, next);
        r->call.in_flight = status == COMPSHARE_OK;
    } while (!r->call.in_flight);
    if (r->lease.over) leave_lock(&r->lock);
    else if (status == COMPSHARE_OK) try_lock(&r->lock);
}

/* A step of the renewal that is under way, or its beginning when it is due. */
static void renew(run *r)
{
    call *c = &r->call;
    int status = COMPSHARE_PENDING;
    if (r->lease.purpose == NO_CALL) {
        action next = lease_due(&r->lease, moment_now(r));
        if (next.what == DO_NOTHING) return;
        status = begin(r, next);
        c->in_flight = status == COMPSHARE_OK;
    }
    if (c->in_flight) status = compshare_step(client);
    if (status == COMPSHARE_PENDING) return;
    c->in_flight = false;
    take_answer(r, status);
}

static void warn(run *r)
{
    const work *w = r->job.work;
    pid_t to = w->pid != 0 ? (pid_t)w->pid : r->job.child;
    if (must_warn(&r->lease, r->job.ended, moment_now(r)) && to > 0) (void)kill(to, w->signal);
    tell_news(r);
}

/* Milliseconds until something other than an event is due. */
static int64_t until_due(run *r)
{
    int64_t due = job_due_ms(&r->job, lease_due_ms(&r->lease, moment_now(r)));
    return due > 0 ? due : r->call.in_flight ? 60000 : 1;
}

/* Until the job has ended. */
static void attend(run *r)
{
    job *j = &r->job;
    while (job_lives(j) && !take_signals(j) && !tell_leftovers(j)) {
        if (must_suspend(j)) {
            note(j, M_SUSPENDED, off_at(r->lease.armed));
            suspend(j);
        }
        if (j->pause.over) r->lease.next.at = monotonic_ms(NULL);
        j->pause.over = false;
        renew(r);
        warn(r);
        show_notes(j);
        wait_event(&r->call, until_due(r));
    }
    terminal_shared = false;
    show_notes(j);
    if (j->ended && !j->rest.named && j->ended_at - j->started < 10000) note(j, M_QUICK_END);
}

/* ---- the end ---- */

/* The job has ended: what --on-exit asks for. What stands already is not set again. */
static const answer *end_once(run *r, uint64_t until)
{
    const answer *a = read_plan(r, until);
    action next = end_next(&r->lease, a, moment_now(r));
    tell_news(r);
    if (next.what == DO_NOTHING) r->answer.status = COMPSHARE_OK;
    if (next.what == DO_NOTHING || next.what == DO_REFUSE) return a;
    if (next.what == DO_CANCEL) return cancel_plan(r, until);
    if (next.what == DO_SET) a = change_plan(r, next.time, next.mode, until);
    if (a->status == COMPSHARE_E_ABORTED) return a;
    if (a->status != COMPSHARE_OK && a->code != UNCONFIRMED) return a;
    return r->lease.terms.on_exit == ON_STOP ? stop_now(r, until) : a;
}

/* Whether the end is tried again, after a pause. */
static bool try_end_again(run *r, const answer *a, uint64_t until)
{
    if (a->status == COMPSHARE_OK || a->status == COMPSHARE_E_ABORTED) return false;
    if (monotonic_ms(NULL) >= until) return false;
    if (!worth_repeating(&r->lease, a, false) && a->status != COMPSHARE_E_NOT_FOUND) return false;
    return rest(r, 5000);
}

/* What could not be told to the API now may be told later, for as long as a minute. And
   where a renewal was never answered, the end is looked at until that can be on its way no
   longer. */
static int end_patiently(run *r)
{
    lease *l = &r->lease;
    uint64_t until = monotonic_ms(NULL) + ARM_MS, doubt = l->asked.answer_by;
    const answer *a;
    l->next.missing = 0;
    do a = end_once(r, until);
    while (try_end_again(r, a, until));
    if (l->terms.on_exit == ON_STOP || monotonic_ms(NULL) >= doubt) return a->status;
    note(&r->job, M_WATCHING, show_duration((int64_t)(doubt - monotonic_ms(NULL)) / 1000));
    while (a->status == COMPSHARE_OK && !l->over && monotonic_ms(NULL) < doubt && rest(r, 5000))
        a = end_once(r, doubt + ARM_MS);
    return a->status;
}

/* What is not known is not promised: a change that may have been made counts. */
static void end_failed(run *r)
{
    int64_t latest = latest_end(&r->lease);
    if (latest == INT64_MAX) note(&r->job, M_END_DOUBT, error_text(), r->uhost_id);
    else if (latest == 0) note(&r->job, M_END_UNARMED, error_text());
    else note(&r->job, M_END_FAILED, error_text(), local_time(latest));
}

/* A renewal that is under way is let end: its time is bounded, and the server may execute
   it after everything that is sent from here on. */
static void finish_renewal(run *r)
{
    const answer *a;
    uint64_t until = r->call.begun + r->lease.call_ms + 1000;
    if (r->lease.purpose == NO_CALL) return;
    a = answer_of(r, finish_call(r, COMPSHARE_OK, until));
    lease_finished(&r->lease, a, moment_now(r));
    if (a->status == COMPSHARE_OK) try_lock(&r->lock);
    tell_news(r);
}

/* What is left to be done at the end. A word for --status-file. */
static const char *end_lease(run *r)
{
    lease *l = &r->lease;
    job *j = &r->job;
    int status;
    const char *over;
    (void)interrupted(j);       /* the one that ended the job */
    finish_renewal(r);
    over = l->armed != 0 ? "gone" : "unarmed";
    if (l->over) return over;
    if (j->work->pid != 0 && job_lives(j)) {
        note(j, M_STILL_RUNS, j->work->pid, off_at(l->armed));
        return "kept";
    }
    if (shared_with_others(&r->lock)) {
        note(j, M_ENDED_OTHERS, r->uhost_id);
        return "shared";
    }
    status = end_patiently(r);
    if (l->over && status == COMPSHARE_OK) return l->armed != 0 ? "gone" : "unarmed";
    if (status != COMPSHARE_OK) {
        end_failed(r);
        return "failed";
    }
    note(j, end_message(l, moment_now(r)), off_at(l->armed));
    return l->terms.on_exit == ON_KEEP ? "kept" : "done";
}

/* ---- the whole of it ---- */

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

static void write_status(const run *r, int code)
{
    const char *path = r->o->run.status_file;
    char text[256];
    if (path == NULL) return;
    (void)snprintf(text, sizeof text,
        "{\"uhost_id\":\"%s\",\"stop_time\":%lld,\"ended\":\"%s\",\"exit_status\":%d}\n",
        r->uhost_id, (long long)r->lease.armed, r->how_ended, code);
    if (!replace_file(path, text)) say(M_CANNOT_WRITE, path, strerror(errno));
}

/* The lease while the job lives, and its end. The exit status. */
static int hold(run *r)
{
    lease *l = &r->lease;
    job *j = &r->job;
    int code = arm(r);
    bool armed = code == DONE, anyway = r->o->run.unarmed_ok && code != USAGE;
    if (j->given_up || (!armed && !anyway)) return refuse_unarmed(r);
    if (armed) {
        announce(r);
        plan_renewal(l, moment_now(r));
    } else {
        say(M_UNARMED_ON, r->reason);
        l->told.unreachable = true;
    }
    code = j->work->command != NULL ? start_command(j) : DONE;
    j->arming = false;
    if (code != DONE) {
        put_back(r);
        return code;
    }
    attend(r);
    code = job_status(j);
    r->how_ended = end_lease(r);
    return code;
}

static void init_lease(lease *l, const options *o)
{
    int64_t least = interval_s(&o->lease) + 300;
    l->terms = o->lease;
    if (l->terms.grace < least) l->terms.grace = least;
    l->limit = o->lease.until / 60 * 60;
    l->began = monotonic_ms(NULL);
    l->call_ms = config.timeout_ms;
    l->talkative = verbose;
    l->noted = "";
}

/* *ended_by is the signal that has ended the command, 0: none. The exit status. */
static int run_lease(const options *o, int *ended_by)
{
    static run r;
    int code;
    r.o = o;
    r.uhost_id = o->which.ids[0];
    r.lock.file = -1;
    r.how_ended = "unarmed";
    init_lease(&r.lease, o);
    srand((unsigned)(getpid() ^ (int)r.lease.began));
    code = prepare_job(&r.job, &o->run);
    if (code == DONE) {
        open_lock(&r.lock, r.uhost_id);
        code = hold(&r);
    }
    drop_command(&r.job);
    dismiss_witness();
    write_status(&r, code);
    (void)fputs(r.job.held, stderr);
    *ended_by = job_signal(&r.job);
    return code;
}
