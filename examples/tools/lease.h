/* ==== lease =======================================================================

   Does:  decides what a lease does next. State, an answer of the API and the clocks go in;
          the next action, and the sentences to be said, come out.
   May:   read its arguments and write the lease.
   Never: calls the API, reads a clock, prints, touches a process or a file. Whoever wants to
          know what happens when something happens, asks here: tests/unit/test_lease.c.

   Two promises rule it. The stop time is renewed while the job lives, each time a whole ttl
   ahead; so the server stops the instance at the last one if everything here dies. What may
   have been set counts as set, and only what a reading has shown is promised. */

#define FLOOR_S 300             /* the API sets no stop time that is nearer */

/* All that a decision takes from outside. */
typedef struct moment {
    uint64_t ms;                /* monotonic: what pauses are measured by */
    int64_t s;                  /* since 1970, on the server's clock: what plans are made by */
    unsigned chance;            /* 0 to 999: many leases are not to renew together */
} moment;

/* How a call has ended. */
typedef struct answer {
    int status;                 /* the library's */
    int code;                   /* the exit status that it stands for; UNCONFIRMED: unknown */
    bool retryable;             /* the library calls it so */
    unsigned sent;              /* how many requests for a change were sent */
    uint64_t begun;             /* when, by moment.ms */
    const compshare_schedule *read;     /* what it has shown */
} answer;

/* What is to be done, and with what: DO_SET time and mode, as compshare_plan has them. */
enum { DO_NOTHING, DO_READ, DO_SET, DO_CANCEL, DO_WAIT, DO_LEAVE, DO_REFUSE };
typedef struct action { int what; unsigned mode; int64_t time; } action;

/* A sentence that is to be said, with its times or durations. */
typedef struct news {
    int message;
    int64_t first, second;
    int because;                /* a message, too; -1: what the client says of its last call */
} news;

/* What the loop's call is for: to renew, to look, to bring down to the limit. */
enum { NO_CALL, RENEW, LOOK, CAP };

typedef struct lease {
    terms terms;
    uint64_t began, call_ms;    /* when the run began; how long a call may take */
    int64_t limit;              /* --until, --max, in whole minutes; 0: none, or not known yet */
    bool talkative;             /* every renewal is said */
    bool leasable;              /* it was looked at, and may be leased */
    int why;                    /* why it may not: a message */
    bool over;                  /* there is nothing to renew or to end any more */

    int64_t armed;              /* when it goes off, as the API showed it; 0: not armed */
    int64_t end;                /* when it is to go off after the job; 0: not reckoned yet */
    int64_t theirs;             /* a time that somebody else has set since, and that is kept */
    struct {                    /* before this run */
        bool known;
        int64_t stood;          /* when it was to go off; 0: never */
        int64_t foreign;        /* the same, where no run of this user had set it */
    } before;

    struct {                    /* what this run has asked for */
        int64_t times[8];       /* the newest first */
        int64_t unproved;       /* the latest that may have been set, and was not shown; 0: none;
                                   INT64_MAX: there may be none */
        uint64_t accepted_at;   /* when a change was that no reading has shown yet; 0: none */
        uint64_t answer_by;     /* until when one without an answer may still be executed */
        bool stop;              /* it may have been told to stop */
    } asked;
    const char *noted;          /* what runs on this host have asked for: a time a line */

    int purpose;                /* of the loop's call that is under way */
    struct {                    /* the next renewal */
        uint64_t at, pause;     /* when; how long is waited after a failure, 0: none */
        uint64_t failing_since; /* 0: the last one was confirmed */
        int missing;            /* readings in a row that did not list the instance */
    } next;
    struct {                    /* what was said */
        int64_t left;           /* of the lease, when a failure was last told; 0: none was */
        bool warned, ran_out;
        bool off;               /* it is not Running, and is looked at */
        bool unreachable;       /* the last renewal failed */
    } told;

    news news[4];               /* for the caller, who takes them away */
    size_t news_count;
} lease;

/* ---- reckoning ---- */

static action do_this(int what, int64_t time, unsigned mode)
{
    action a;
    a.what = what;
    a.time = time;
    a.mode = mode;
    return a;
}

static void add_news(lease *l, int message, int64_t first, int64_t second, int because)
{
    news *n;
    if (l->news_count == COUNT(l->news)) return;
    n = &l->news[l->news_count++];
    n->message = message;
    n->first = first;
    n->second = second;
    n->because = because;
}

/* The nearest time that can be set. */
static int64_t soonest(const moment *at) { return whole_minute(at->s + FLOOR_S + 30); }

static bool is_beyond(const lease *l, int64_t time)
{
    return l->limit != 0 && time > l->limit && !is_same(time, l->limit);
}

/* When it should go off: a ttl from now, and never beyond the limit. */
static int64_t lease_end(const lease *l, const moment *at)
{
    int64_t end = whole_minute(at->s + l->terms.ttl);
    return l->limit != 0 && end > l->limit ? l->limit : end;
}

/* Whether the limit is too near to be set. */
static bool is_late(const lease *l, const moment *at)
{
    return l->limit != 0 && l->limit - at->s < FLOOR_S + 10;
}

/* Where a plan beyond the limit is brought down to: the limit, or what comes next to it. */
static int64_t ceiling(const lease *l, const moment *at)
{
    return l->limit - at->s >= FLOOR_S + 10 ? l->limit : soonest(at);
}

static int64_t interval_s(const terms *t) { return t->ttl / 3 < 600 ? t->ttl / 3 : 600; }

/* Up to a fifth earlier, so that many leases do not renew together. */
static void plan_renewal(lease *l, const moment *at)
{
    uint64_t ms = (uint64_t)interval_s(&l->terms) * 1000;
    l->next.at = at->ms + ms - ms / 5 * (uint64_t)at->chance / 1000;
}

/* ---- whose a plan is ---- */

/* What is asked for is noted before it is sent, so that no other run takes it for somebody
   else's. True: the caller notes it, too, where others read it. */
static bool note_asked(lease *l, int64_t time)
{
    int64_t *times = l->asked.times;
    if (time == times[0]) return false;
    memmove(times + 1, times, sizeof l->asked.times - sizeof times[0]);
    times[0] = time;
    return true;
}

/* Whether this run, or another of this user on this host, has asked for a time. */
static bool was_asked(const lease *l, int64_t time)
{
    const char *at = l->noted;
    char *end;
    size_t i;
    for (i = 0; i < COUNT(l->asked.times); i++)
        if (l->asked.times[i] != 0 && is_same(time, l->asked.times[i])) return true;
    for (; !is_same(strtoll(at, &end, 10), time); at = end)
        if (end == at) return false;
    return end != at;
}

static bool is_ours(const lease *l, int64_t time)
{
    return time == l->armed || is_same(time, l->armed) || was_asked(l, time);
}

static bool stood_before(const lease *l, int64_t time)
{
    return l->before.foreign != 0 && is_same(time, l->before.foreign);
}

/* What stood before this run is known by its first reading, and by that alone. */
static void note_before(lease *l, const compshare_schedule *s, const moment *at)
{
    int64_t time = s->stop_time;
    if (!l->before.known && time > at->s) {
        l->before.stood = time;
        if (!is_ours(l, time)) l->before.foreign = time;
    }
    l->before.known = true;
}

/* A first reading may lack the plan: the one that a change began with counts, too. */
static void note_found(lease *l, const compshare_schedule *s, const moment *at)
{
    int64_t found = s->changed ? s->previous : s->stop_time;
    if (l->before.stood == 0 && found > at->s && !was_asked(l, found))
        l->before.stood = l->before.foreign = found;
}

/* ---- what an answer says ---- */

/* A change that failed may have been made all the same. And one without an answer may be
   made for as long as it can be on its way, though a second sending of it has succeeded. */
static void note_outcome(lease *l, const answer *a, int64_t wanted, const moment *at)
{
    bool unknown = a->code == UNCONFIRMED;
    if (a->sent > 1 || (unknown && !a->read->accepted))
        l->asked.answer_by = a->begun + l->call_ms + 30000;
    if (!unknown) return;
    if (wanted > l->asked.unproved) l->asked.unproved = wanted;
    if (a->read->accepted) l->asked.accepted_at = at->ms;
}

/* A reading, or a change that was confirmed by one, shows what stands. */
static void note_shown(lease *l, const compshare_schedule *s)
{
    l->armed = s->stop_time;
    l->asked.unproved = 0;
    l->asked.accepted_at = 0;
}

/* Whether an instance that was read may be leased; where not, why says why. --max counts
   from the start of the run, by the server's clock, which is known by now. */
static bool check_leasable(lease *l, const compshare_schedule *s, const moment *at)
{
    int64_t ran = (int64_t)((at->ms - l->began) / 1000);
    if (l->terms.most != 0 && l->limit == 0) l->limit = (at->s - ran + l->terms.most) / 60 * 60;
    l->leasable = false;
    if (is_spot(s->charge_type)) l->why = M_IS_SPOT;
    else if (is_prepaid(s->charge_type) && !l->terms.prepaid_ok) l->why = M_IS_PREPAID;
    else l->leasable = true;
    l->over = !l->leasable;
    return l->leasable;
}

/* Whether what failed may succeed in a while, nothing having been done twice by then. */
static bool worth_repeating(const lease *l, const answer *a, bool arming)
{
    return a->code == NETWORK || a->code == UNCONFIRMED || a->retryable
        || (a->status == COMPSHARE_E_NOT_FOUND && l->before.known && arming)    /* it was there */
        || (a->status == COMPSHARE_E_STATE && !is_off(a->read->state));
}

/* ---- arming ---- */

/* What an attempt to arm does once it has read. DO_WAIT: a change that was accepted is not
   asked for again, but looked for; DO_NOTHING: the lease stands. */
static action arm_next(lease *l, const compshare_schedule *s, const moment *at)
{
    bool cap;
    if (l->asked.accepted_at != 0) {
        if (!is_same(s->stop_time, l->asked.unproved)) return do_this(DO_WAIT, 0, 0);
        note_shown(l, s);
        return do_this(DO_NOTHING, 0, 0);
    }
    if (!check_leasable(l, s, at)) return do_this(DO_REFUSE, 0, 0);
    if (l->limit != 0 && l->limit - at->s < FLOOR_S) {
        l->why = M_TOO_LATE;
        return do_this(DO_REFUSE, 0, 0);
    }
    note_before(l, s, at);
    cap = s->stop_time > at->s && is_beyond(l, s->stop_time);
    if (cap) return do_this(DO_SET, ceiling(l, at), COMPSHARE_ONLY_SHORTEN);
    return do_this(DO_SET, lease_end(l, at), COMPSHARE_ONLY_EXTEND);
}

/* Nothing was started though the lease stood: what stood before is put back. DO_LEAVE: what
   another run has set, or shares, is not this one's to undo. */
static action put_back_next(const lease *l, bool shared, const moment *at)
{
    if (l->armed == 0) return do_this(DO_NOTHING, 0, 0);
    if (shared || !is_same(l->armed, l->asked.times[0])) return do_this(DO_LEAVE, 0, 0);
    if (l->before.stood == 0) return do_this(DO_CANCEL, 0, 0);
    return do_this(DO_SET, l->before.stood - at->s > FLOOR_S ? l->before.stood : soonest(at), 0);
}

/* ---- while the job lives ---- */

/* What is due: a renewal, or a reading where nothing may be sent now. */
static action lease_due(lease *l, const moment *at)
{
    if (l->over || at->ms < l->next.at) return do_this(DO_NOTHING, 0, 0);
    l->purpose = RENEW;
    if (!l->leasable || l->asked.accepted_at != 0 || is_late(l, at)) l->purpose = LOOK;
    if (l->purpose == LOOK) return do_this(DO_READ, 0, 0);
    return do_this(DO_SET, lease_end(l, at), COMPSHARE_ONLY_EXTEND);
}

/* Something was confirmed after failures that were told. */
static void works_again(lease *l, const moment *at)
{
    if (l->told.left != 0 || l->told.off) add_news(l, M_RENEWED_AGAIN, l->armed, 0, -1);
    l->told.left = 0;
    l->told.ran_out = l->told.off = l->told.unreachable = false;
    l->next.failing_since = l->next.pause = 0;
    l->next.missing = 0;
    if (l->armed - l->terms.warn > at->s) l->told.warned = false;
    plan_renewal(l, at);
}

/* What a renewal has found and done. */
static void renewed(lease *l, const compshare_schedule *s, const moment *at)
{
    int64_t found = s->changed ? s->previous : s->stop_time, armed = l->armed;
    bool ours = stood_before(l, found) || is_ours(l, found);
    bool lost = l->told.off || l->told.ran_out;
    note_shown(l, s);
    if (armed == 0) l->told.left = 0;
    if (armed != 0 && s->changed && found <= at->s && !lost)
        add_news(l, M_GONE_PLAN, l->armed, 0, -1);
    else if (armed != 0 && s->changed && l->purpose == CAP)
        add_news(l, M_LATER_CAPPED, found, l->armed, -1);
    else if (armed != 0 && !s->changed && !ours)
        add_news(l, M_LATER_PLAN, found, 0, -1);
    else if (s->changed && !ours && found > at->s && found < armed)
        add_news(l, M_MOVED_BACK, found, l->armed, -1);
    else if (l->talkative || armed == 0)
        add_news(l, M_RENEWED, l->armed, 0, -1);
    if (!ours) l->theirs = l->purpose != CAP && (!s->changed || found > armed) ? found : 0;
    works_again(l, at);
}

/* One line for the first failure, and one whenever the time that is left has halved. */
static void tell_failure(lease *l, int because, const moment *at)
{
    int64_t left = l->armed - at->s;
    bool soon = l->told.left != 0 && (l->armed == 0 || left > l->told.left / 2);
    if (l->told.ran_out || l->told.off || soon) return;
    l->told.left = left > 0 ? left : 1;
    if (l->armed == 0 || left > 0) add_news(l, M_RENEWAL_FAILED, l->armed, left, because);
}

/* A change that was accepted only has to be shown; that is no failure yet. While the job
   lives no reading ends the lease, but what fails for long is tried less often. */
static void renewal_failed(lease *l, const answer *a, const moment *at)
{
    uint64_t pause = l->next.pause, *since = &l->next.failing_since;
    if (*since == 0) *since = at->ms;
    l->next.pause = pause == 0 ? 5000 : pause < 30000 ? pause * 2 : 60000;
    l->next.at = at->ms + l->next.pause;
    if (l->asked.accepted_at != 0 && at->ms - *since < (uint64_t)interval_s(&l->terms) * 1000)
        return;
    l->told.unreachable = true;
    if (a->status == COMPSHARE_E_STATE && is_off(a->read->state)) {
        if (!l->told.off) add_news(l, M_AWAY, 0, 0, -1);
        l->told.off = true;
    }
    tell_failure(l, a->status == COMPSHARE_OK ? M_NOT_SHOWN : -1, at);
    if ((l->told.off || a->status == COMPSHARE_E_NOT_FOUND) && at->ms - *since > 600000)
        plan_renewal(l, at);
}

/* What a reading says of a change that was accepted and not shown yet. */
static void look_for_accepted(lease *l, const answer *a, const moment *at)
{
    int64_t time = a->read->stop_time;
    if (is_same(time, l->asked.unproved)) {
        note_shown(l, a->read);
        works_again(l, at);
    } else if (at->ms - l->asked.accepted_at < (uint64_t)interval_s(&l->terms) * 1000) {
        if (time > l->armed && is_ours(l, time)) l->armed = time;
        renewal_failed(l, a, at);
    } else {
        l->asked.accepted_at = 0;       /* never shown: asked for once more */
        l->next.at = at->ms;
    }
}

/* What a mere reading is good for: to see whether it may be leased at all, whether what was
   accepted is shown by now, and, where nothing can be set up to the limit any more, whether
   a plan stands behind it, or none does. True: it is to be brought down to the limit. */
static bool looked(lease *l, const answer *a, const moment *at)
{
    int64_t time = a->read->stop_time;
    bool stray = time <= at->s || is_beyond(l, time);
    if (!l->leasable) {
        if (check_leasable(l, a->read, at)) l->next.at = at->ms;
        else add_news(l, l->why, 0, 0, -1);
    } else if (l->asked.accepted_at != 0) {
        look_for_accepted(l, a, at);
    } else if (stray && is_running(a->read->state)) {
        return true;
    } else {
        plan_renewal(l, at);
    }
    return false;
}

/* The loop's call has ended. DO_SET: another one follows, in one go with what has found it
   necessary; should that not even begin, its failure is an answer, too. */
static action lease_answered(lease *l, const answer *a, const moment *at)
{
    const compshare_schedule *s = a->read;
    bool fine = a->status == COMPSHARE_OK, cap = false;
    if (fine && l->purpose == LOOK) cap = looked(l, a, at);
    if (fine && l->purpose == RENEW) cap = !s->changed && is_beyond(l, s->stop_time);
    if (cap) {
        l->purpose = CAP;
        return do_this(DO_SET, ceiling(l, at), s->stop_time > at->s ? COMPSHARE_ONLY_SHORTEN : 0);
    }
    if (l->purpose != LOOK) note_outcome(l, a, l->asked.times[0], at);
    if (!fine) renewal_failed(l, a, at);
    else if (l->purpose != LOOK) renewed(l, s, at);
    l->purpose = NO_CALL;
    return do_this(DO_NOTHING, 0, 0);
}

/* The loop's call has ended, and so has the job: what it has shown counts, and no more. */
static void lease_finished(lease *l, const answer *a, const moment *at)
{
    if (l->purpose != LOOK) note_outcome(l, a, l->asked.times[0], at);
    if (l->purpose != LOOK && a->status == COMPSHARE_OK) renewed(l, a->read, at);
    l->purpose = NO_CALL;
}

/* The command is told while there is time to write a checkpoint; and what has run out is
   said once. True: the signal is to be sent. */
static bool must_warn(lease *l, bool job_ended, const moment *at)
{
    bool ending = l->told.unreachable || (l->limit != 0 && l->armed > l->limit - 60);
    if (!ending || l->over || l->armed == 0) return false;
    if (!l->told.ran_out && !l->told.off && at->s >= l->armed) {
        l->told.ran_out = true;
        add_news(l, M_RAN_OUT, l->armed, 0, -1);
    }
    if (l->terms.warn == 0 || l->told.warned || job_ended) return false;
    if (at->s < l->armed - l->terms.warn) return false;
    l->told.warned = true;
    add_news(l, M_WARNED, l->armed - at->s, 0, -1);
    return true;
}

/* Milliseconds until something is due by the clock, at most a minute; below 1: it is now. */
static int64_t lease_due_ms(const lease *l, const moment *at)
{
    int64_t due = 60000, left;
    if (!l->over) {
        left = (int64_t)(l->next.at - at->ms);
        if (left < due) due = left;
    }
    if (l->terms.warn != 0 && !l->told.warned && l->armed != 0) {
        left = (l->armed - l->terms.warn - at->s) * 1000;
        if (left > 0 && left < due) due = left;
    }
    return due;
}

/* ---- the end ---- */

/* When it is to go off now that the job has ended: reckoned once. What somebody has set
   while the job lived counts, what stood before only where it is to be restored. */
static int64_t exit_time(lease *l, const moment *at)
{
    const terms *t = &l->terms;
    int64_t nearest = soonest(at);
    int64_t end = t->on_exit == ON_STOP ? nearest : whole_minute(at->s + t->grace);
    if (l->end != 0) return l->end;
    if (l->limit != 0 && end > l->limit) end = l->limit > nearest ? l->limit : nearest;
    if (t->on_exit == ON_RESTORE && l->before.foreign - at->s > FLOOR_S) end = l->before.foreign;
    if (l->theirs > end && t->on_exit != ON_STOP) end = l->theirs;
    l->end = end;
    return end;
}

/* Whether there is anything left to end, by a reading. Lists that lack the instance may
   be the API's mistake; after half a minute, seven in a row, they are none. */
static bool is_over(lease *l, const answer *a, const moment *at)
{
    bool fine = a->status == COMPSHARE_OK;
    l->next.missing = a->status == COMPSHARE_E_NOT_FOUND ? l->next.missing + 1 : 0;
    if (l->next.missing >= 7 || (fine && is_off(a->read->state)))
        add_news(l, M_GONE, 0, 0, fine ? -1 : M_NOT_LISTED);
    else if (fine && !l->leasable && !check_leasable(l, a->read, at))
        add_news(l, l->why, 0, 0, -1);
    else return false;
    l->over = true;
    return true;
}

/* What the last reading says of other people's plans: one that was not there before counts
   from now on, an earlier one, too. */
static void note_theirs(lease *l, int64_t time, const moment *at)
{
    if (is_ours(l, time) || stood_before(l, time)) return;
    l->theirs = time > at->s ? time : 0;
    if (is_beyond(l, time)) l->theirs = l->limit;
    else if (l->theirs != 0 && l->terms.on_exit != ON_STOP) l->end = time;
}

/* The job has ended, and the instance was read: what --on-exit asks for. DO_NOTHING: that
   stands, and this was all; DO_LEAVE: the plan stands, and is not set again. */
static action end_next(lease *l, const answer *a, const moment *at)
{
    const compshare_schedule *s = a->read;
    int on_exit = l->terms.on_exit;
    bool fine = a->status == COMPSHARE_OK, none;
    if (fine && l->asked.stop && strcmp(s->state, "Stopped") == 0)
        return do_this(DO_NOTHING, 0, 0);
    if (is_over(l, a, at)) return do_this(DO_NOTHING, 0, 0);
    if (!fine) return do_this(DO_REFUSE, 0, 0);
    note_theirs(l, s->stop_time, at);
    none = on_exit == ON_CANCEL && l->theirs <= at->s;
    if (none && (s->stop_time != 0 || l->armed != 0)) return do_this(DO_CANCEL, 0, 0);
    if (none || on_exit == ON_KEEP) {
        note_shown(l, s);
        return do_this(DO_NOTHING, 0, 0);
    }
    if (s->stop_time <= at->s || !is_same(s->stop_time, exit_time(l, at)))
        return do_this(DO_SET, exit_time(l, at), 0);
    note_shown(l, s);
    return do_this(DO_LEAVE, 0, 0);
}

/* What stands now, as it was read. */
static int end_message(const lease *l, const moment *at)
{
    int on_exit = l->terms.on_exit;
    if (on_exit == ON_STOP) return M_ENDED_STOP;
    if (l->armed == 0) return M_ENDED_CANCEL;
    if (l->theirs > at->s && is_same(l->armed, l->theirs)) return M_ENDED_THEIRS;
    if (on_exit == ON_RESTORE && is_same(l->armed, l->before.foreign)) return M_ENDED_RESTORED;
    return M_ENDED_GRACE;
}

/* The latest time that it may go off at, where its end could not be told to the API; 0: it
   was never armed; INT64_MAX: maybe never. */
static int64_t latest_end(const lease *l)
{
    return l->asked.unproved > l->armed ? l->asked.unproved : l->armed;
}
