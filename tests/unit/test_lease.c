/* What a lease does next, as a table: state, answer and clocks in, action and sentences out.
   No process, no socket, no clock: examples/tools/lease.h decides alone. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define PROGRAM "test_lease"
#define MESSAGES(X) COMMON_MESSAGES(X) SCHEDULE_MESSAGES(X) PROMISES(X)
#include "examples/tools/base.h"
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"
#endif
#include "examples/tools/print.h"
#include "examples/tools/messages.h"
#include "examples/tools/text.h"
#include "examples/tools/times.h"
#include "examples/tools/clock.h"
#include "examples/tools/options.h"
#include "examples/tools/account.h"
#include "examples/tools/schedule.h"
#include "examples/tools/instance.h"
#include "examples/tools/lease.h"
#include <setjmp.h>
#include <cmocka.h>

#define START 1800000000        /* a whole minute */
#define MIN 60

static lease l;
static compshare_schedule shown;
static answer a;
static moment at;

/* A lease of an hour with a grace of 15 minutes, not armed, at START. */
static int fresh(void **state)
{
    (void)state;
    memset(&l, 0, sizeof l);
    memset(&shown, 0, sizeof shown);
    memset(&a, 0, sizeof a);
    l.terms.ttl = 60 * MIN;
    l.terms.grace = 15 * MIN;
    l.call_ms = 30000;
    l.noted = "";
    at.ms = l.began = 1000000;
    at.s = START;
    at.chance = 0;
    a.read = &shown;
    strcpy(shown.state, "Running");
    strcpy(shown.charge_type, "Postpay");
    return 0;
}

static void pass(int64_t seconds)
{
    at.s += seconds;
    at.ms += (uint64_t)seconds * 1000;
}

/* The next answer: a reading, or a change and the reading that has confirmed it. */
static const answer *answers(int status, int64_t stop_time, bool changed, int64_t previous)
{
    a.status = status;
    a.code = read_outcome(status);
    if (status == COMPSHARE_E_UNCONFIRMED) a.code = UNCONFIRMED;
    a.begun = at.ms;
    a.sent = changed ? 1 : 0;
    shown.stop_time = stop_time;
    shown.changed = changed;
    shown.previous = previous;
    return &a;
}

static void expect(action next, int what, int64_t time, unsigned mode)
{
    assert_int_equal(next.what, what);
    assert_int_equal(next.time, time);
    assert_int_equal(next.mode, mode);
}

/* The sentences since the last look, M_COUNT: none. */
static void expect_news(int first, int second)
{
    assert_int_equal(l.news_count > 0 ? l.news[0].message : M_COUNT, first);
    assert_int_equal(l.news_count > 1 ? l.news[1].message : M_COUNT, second);
    l.news_count = 0;
}

/* Armed at START for an hour; the first renewal is due ten minutes later. */
static void arm_it(void)
{
    expect(arm_next(&l, answers(COMPSHARE_OK, 0, false, 0)->read, &at), DO_SET,
        START + 60 * MIN, COMPSHARE_ONLY_EXTEND);
    assert_true(note_asked(&l, START + 60 * MIN));
    note_outcome(&l, answers(COMPSHARE_OK, START + 60 * MIN, true, 0), START + 60 * MIN, &at);
    note_shown(&l, &shown);
    note_found(&l, &shown, &at);
    plan_renewal(&l, &at);
}

/* What the loop does when a renewal is due, and what comes of the answer. */
static action renew_by(int status, int64_t stop_time, bool changed, int64_t previous)
{
    action next = lease_due(&l, &at);
    if (next.what == DO_SET) (void)note_asked(&l, next.time);
    return lease_answered(&l, answers(status, stop_time, changed, previous), &at);
}

/* ---- arming ---- */

static void arming_asks_for_a_ttl(void **state)
{
    (void)state;
    arm_it();
    assert_int_equal(l.armed, START + 60 * MIN);
    assert_true(l.leasable && !l.over);
    assert_int_equal(l.before.stood, 0);
    assert_int_equal(l.next.at, at.ms + 600000);
}

static void arming_refuses_what_may_not_be_leased(void **state)
{
    static const struct { const char *charge_type; bool prepaid_ok; int what, why; } rows[] = {
        { "Spot", false, DO_REFUSE, M_IS_SPOT }, { "Preemptive", true, DO_REFUSE, M_IS_SPOT },
        { "Month", false, DO_REFUSE, M_IS_PREPAID }, { "Day", false, DO_REFUSE, M_IS_PREPAID },
        { "Month", true, DO_SET, 0 }, { "Postpay", false, DO_SET, 0 }, { "", false, DO_SET, 0 }
    };
    size_t i;
    for (i = 0; i < COUNT(rows); i++) {
        (void)fresh(state);
        strcpy(shown.charge_type, rows[i].charge_type);
        l.terms.prepaid_ok = rows[i].prepaid_ok;
        assert_int_equal(arm_next(&l, &shown, &at).what, rows[i].what);
        assert_int_equal(l.over, rows[i].what == DO_REFUSE);
        if (l.over) assert_int_equal(l.why, rows[i].why);
    }
}

static void arming_keeps_to_the_limit(void **state)
{
    /* until, what stands; what is done, to when */
    static const struct { int64_t until, stands; int what; int64_t time; unsigned mode; } rows[] = {
        { 30 * MIN, 0, DO_SET, 30 * MIN, COMPSHARE_ONLY_EXTEND },
        { 30 * MIN, 90 * MIN, DO_SET, 30 * MIN, COMPSHARE_ONLY_SHORTEN },
        { 120 * MIN, 90 * MIN, DO_SET, 60 * MIN, COMPSHARE_ONLY_EXTEND },
        { 299, 0, DO_REFUSE, 0, 0 },
        { 300, 90 * MIN, DO_SET, 6 * MIN, COMPSHARE_ONLY_SHORTEN }
    };
    size_t i;
    for (i = 0; i < COUNT(rows); i++) {
        action next;
        (void)fresh(state);
        l.limit = START + rows[i].until;
        shown.stop_time = rows[i].stands != 0 ? START + rows[i].stands : 0;
        next = arm_next(&l, &shown, &at);
        expect(next, rows[i].what, rows[i].time != 0 ? START + rows[i].time : 0, rows[i].mode);
    }
    assert_int_equal(l.before.foreign, START + 90 * MIN);
}

static void max_counts_from_the_start_of_the_run(void **state)
{
    (void)state;
    l.terms.most = 60 * MIN;
    pass(70);
    (void)arm_next(&l, &shown, &at);
    assert_int_equal(l.limit, START + 60 * MIN);
}

/* What was accepted is looked for, not asked for again. */
static void accepted_is_looked_for(void **state)
{
    (void)state;
    shown.accepted = true;
    note_outcome(&l, answers(COMPSHARE_E_UNCONFIRMED, 0, true, 0), START + 60 * MIN, &at);
    assert_int_equal(l.asked.unproved, START + 60 * MIN);
    assert_int_equal(l.asked.answer_by, 0);
    expect(arm_next(&l, answers(COMPSHARE_OK, 0, false, 0)->read, &at), DO_WAIT, 0, 0);
    expect(arm_next(&l, answers(COMPSHARE_OK, START + 59 * MIN + 1, false, 0)->read, &at),
        DO_NOTHING, 0, 0);
    assert_int_equal(l.armed, START + 59 * MIN + 1);
    assert_int_equal(l.asked.unproved, 0);
}

/* A change without an answer may be executed for as long as it can be on its way. */
static void unanswered_is_doubted(void **state)
{
    (void)state;
    note_outcome(&l, answers(COMPSHARE_E_UNCONFIRMED, 0, true, 0), START + 60 * MIN, &at);
    assert_int_equal(l.asked.answer_by, at.ms + 30000 + 30000);
    assert_int_equal(latest_end(&l), START + 60 * MIN);
    note_outcome(&l, &a, INT64_MAX, &at);
    assert_int_equal(latest_end(&l), INT64_MAX);
}

static void what_stood_is_put_back(void **state)
{
    (void)state;
    expect(put_back_next(&l, false, &at), DO_NOTHING, 0, 0);
    arm_it();
    expect(put_back_next(&l, true, &at), DO_LEAVE, 0, 0);
    expect(put_back_next(&l, false, &at), DO_CANCEL, 0, 0);
    l.before.stood = START + 20 * MIN;
    expect(put_back_next(&l, false, &at), DO_SET, START + 20 * MIN, 0);
    l.before.stood = START + 5 * MIN;
    expect(put_back_next(&l, false, &at), DO_SET, START + 6 * MIN, 0);
    l.armed = START + 90 * MIN;         /* somebody else's */
    expect(put_back_next(&l, false, &at), DO_LEAVE, 0, 0);
}

/* ---- renewing ---- */

static void renews_a_ttl_ahead(void **state)
{
    (void)state;
    arm_it();
    pass(599);
    expect(lease_due(&l, &at), DO_NOTHING, 0, 0);
    pass(1);
    expect(lease_due(&l, &at), DO_SET, START + 70 * MIN, COMPSHARE_ONLY_EXTEND);
    expect(renew_by(COMPSHARE_OK, START + 70 * MIN, true, START + 60 * MIN), DO_NOTHING, 0, 0);
    expect_news(M_COUNT, M_COUNT);
    assert_int_equal(l.armed, START + 70 * MIN);
    assert_int_equal(l.purpose, NO_CALL);
}

/* What a renewal finds, and what is said of it. */
static void other_peoples_plans(void **state)
{
    static const struct { int64_t found; bool changed; int said; int64_t theirs; } rows[] = {
        { 60, true, M_COUNT, 0 },               /* ours */
        { 0, true, M_GONE_PLAN, 0 },
        { 30, true, M_MOVED_BACK, 0 },
        { 90, false, M_LATER_PLAN, 90 }
    };
    size_t i;
    for (i = 0; i < COUNT(rows); i++) {
        int64_t found = rows[i].found != 0 ? START + rows[i].found * MIN : 0;
        (void)fresh(state);
        arm_it();
        pass(600);
        (void)renew_by(COMPSHARE_OK, rows[i].changed ? START + 70 * MIN : found, rows[i].changed,
            rows[i].changed ? found : 0);
        expect_news(rows[i].said, M_COUNT);
        assert_int_equal(l.theirs, rows[i].theirs != 0 ? START + rows[i].theirs * MIN : 0);
    }
}

/* What another run of this user on this host has asked for is not somebody else's. */
static void another_runs_time_is_ours(void **state)
{
    (void)state;
    arm_it();
    l.noted = "1800000120\n1800005400\n";
    pass(600);
    (void)renew_by(COMPSHARE_OK, START + 90 * MIN, false, 0);
    expect_news(M_COUNT, M_COUNT);
    assert_int_equal(l.theirs, 0);
}

static void a_plan_beyond_the_limit_is_brought_down(void **state)
{
    (void)state;
    l.limit = START + 65 * MIN;
    arm_it();
    pass(600);
    expect(renew_by(COMPSHARE_OK, START + 90 * MIN, false, 0), DO_SET, START + 65 * MIN,
        COMPSHARE_ONLY_SHORTEN);
    assert_int_equal(l.purpose, CAP);
    (void)note_asked(&l, START + 65 * MIN);
    expect(lease_answered(&l, answers(COMPSHARE_OK, START + 65 * MIN, true, START + 90 * MIN),
        &at), DO_NOTHING, 0, 0);
    expect_news(M_LATER_CAPPED, M_COUNT);
    assert_int_equal(l.theirs, 0);
}

/* Failures: said once, when what is left has halved, and when it works again. */
static void failures_are_said_and_spaced(void **state)
{
    static const uint64_t pauses[] = { 5000, 10000, 20000, 40000, 60000, 60000 };
    size_t i;
    (void)state;
    arm_it();
    pass(600);
    for (i = 0; i < COUNT(pauses); i++) {
        expect(renew_by(COMPSHARE_E_CONNECT, 0, false, 0), DO_NOTHING, 0, 0);
        expect_news(i == 0 ? M_RENEWAL_FAILED : M_COUNT, M_COUNT);
        assert_int_equal(l.next.at - at.ms, pauses[i]);
        at.ms = l.next.at;
    }
    assert_true(l.told.unreachable);
    pass(26 * MIN);                     /* 24 of 50 minutes are left */
    (void)renew_by(COMPSHARE_E_CONNECT, 0, false, 0);
    expect_news(M_RENEWAL_FAILED, M_COUNT);
    pass(MIN);
    (void)renew_by(COMPSHARE_OK, START + 97 * MIN, true, START + 60 * MIN);
    expect_news(M_RENEWED_AGAIN, M_COUNT);
    assert_false(l.told.unreachable);
}

static void an_instance_that_is_off_is_looked_at(void **state)
{
    (void)state;
    arm_it();
    pass(600);
    strcpy(shown.state, "Stopped");
    (void)renew_by(COMPSHARE_E_STATE, 0, false, 0);
    expect_news(M_AWAY, M_COUNT);
    assert_false(l.over);
    pass(10);
    (void)renew_by(COMPSHARE_E_STATE, 0, false, 0);
    expect_news(M_COUNT, M_COUNT);
    pass(700);
    (void)renew_by(COMPSHARE_E_STATE, 0, false, 0);
    assert_int_equal(l.next.at - at.ms, 600000);        /* no longer every minute */
    strcpy(shown.state, "Running");
    pass(600);
    (void)renew_by(COMPSHARE_OK, START + 92 * MIN, true, 0);
    expect_news(M_RENEWED_AGAIN, M_COUNT);
}

static void warns_once_before_it_runs_out(void **state)
{
    (void)state;
    l.terms.warn = 10 * MIN;
    arm_it();
    pass(600);
    (void)renew_by(COMPSHARE_E_CONNECT, 0, false, 0);
    l.news_count = 0;
    assert_false(must_warn(&l, false, &at));
    pass(40 * MIN);
    assert_false(must_warn(&l, true, &at));     /* there is no job any more */
    assert_true(must_warn(&l, false, &at));
    expect_news(M_WARNED, M_COUNT);
    assert_false(must_warn(&l, false, &at));
    pass(10 * MIN);
    assert_false(must_warn(&l, false, &at));
    expect_news(M_RAN_OUT, M_COUNT);
}

static void due_is_at_most_a_minute_away(void **state)
{
    (void)state;
    arm_it();
    assert_int_equal(lease_due_ms(&l, &at), 60000);
    pass(570);
    assert_int_equal(lease_due_ms(&l, &at), 30000);
    pass(31);
    assert_true(lease_due_ms(&l, &at) < 1);
    l.over = true;
    assert_int_equal(lease_due_ms(&l, &at), 60000);
}

/* ---- the end ---- */

static void the_end_by_on_exit(void **state)
{
    /* what stands, what somebody else has set; what is done, to when */
    static const struct { int on_exit; int64_t stands; int what; int64_t time; int said; } rows[] = {
        { ON_GRACE, 60, DO_SET, 15, M_ENDED_GRACE },
        { ON_GRACE, 15, DO_LEAVE, 0, M_ENDED_THEIRS },
        { ON_GRACE, 0, DO_SET, 15, M_ENDED_GRACE },
        { ON_GRACE, 90, DO_LEAVE, 0, M_ENDED_THEIRS },
        { ON_GRACE, 10, DO_LEAVE, 0, M_ENDED_THEIRS },
        { ON_STOP, 60, DO_SET, 6, M_ENDED_STOP },
        { ON_STOP, 90, DO_SET, 6, M_ENDED_STOP },
        { ON_CANCEL, 60, DO_CANCEL, 0, M_ENDED_CANCEL },
        { ON_CANCEL, 90, DO_LEAVE, 0, M_ENDED_THEIRS },
        { ON_KEEP, 60, DO_NOTHING, 0, M_ENDED_GRACE },
        { ON_RESTORE, 60, DO_SET, 15, M_ENDED_GRACE }
    };
    size_t i;
    for (i = 0; i < COUNT(rows); i++) {
        int64_t stands = rows[i].stands != 0 ? START + rows[i].stands * MIN : 0;
        action next;
        (void)fresh(state);
        arm_it();
        l.terms.on_exit = rows[i].on_exit;
        next = end_next(&l, answers(COMPSHARE_OK, stands, false, 0), &at);
        expect(next, rows[i].what, rows[i].time != 0 ? START + rows[i].time * MIN : 0, 0);
        if (next.what == DO_SET) l.armed = next.time;
        if (next.what == DO_CANCEL) l.armed = 0;
        assert_int_equal(end_message(&l, &at), rows[i].said);
    }
}

static void the_end_restores_what_stood(void **state)
{
    (void)state;
    l.terms.on_exit = ON_RESTORE;
    shown.stop_time = START + 40 * MIN;
    (void)arm_next(&l, &shown, &at);
    (void)note_asked(&l, START + 60 * MIN);
    note_shown(&l, answers(COMPSHARE_OK, START + 60 * MIN, true, START + 40 * MIN)->read);
    expect(end_next(&l, answers(COMPSHARE_OK, START + 60 * MIN, false, 0), &at), DO_SET,
        START + 40 * MIN, 0);
    l.armed = START + 40 * MIN;
    assert_int_equal(end_message(&l, &at), M_ENDED_RESTORED);
}

/* When it is to go off is reckoned once: a second attempt asks for the same. */
static void the_end_is_reckoned_once(void **state)
{
    (void)state;
    arm_it();
    expect(end_next(&l, answers(COMPSHARE_OK, START + 60 * MIN, false, 0), &at), DO_SET,
        START + 15 * MIN, 0);
    pass(5 * MIN);
    expect(end_next(&l, &a, &at), DO_SET, START + 15 * MIN, 0);
}

static void nothing_is_left_to_end(void **state)
{
    int i;
    arm_it();
    for (i = 0; i < 6; i++)
        expect(end_next(&l, answers(COMPSHARE_E_NOT_FOUND, 0, false, 0), &at), DO_REFUSE, 0, 0);
    assert_false(l.over);
    expect(end_next(&l, &a, &at), DO_NOTHING, 0, 0);
    expect_news(M_GONE, M_COUNT);
    assert_true(l.over);

    (void)fresh(state);
    arm_it();
    strcpy(shown.state, "Stopped");
    expect(end_next(&l, answers(COMPSHARE_OK, 0, false, 0), &at), DO_NOTHING, 0, 0);
    expect_news(M_GONE, M_COUNT);

    (void)fresh(state);
    arm_it();
    l.asked.stop = true;
    strcpy(shown.state, "Stopped");
    expect(end_next(&l, answers(COMPSHARE_OK, 0, false, 0), &at), DO_NOTHING, 0, 0);
    expect_news(M_COUNT, M_COUNT);
}

#define T(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(arming_asks_for_a_ttl), T(arming_refuses_what_may_not_be_leased),
        T(arming_keeps_to_the_limit), T(max_counts_from_the_start_of_the_run),
        T(accepted_is_looked_for), T(unanswered_is_doubted), T(what_stood_is_put_back),
        T(renews_a_ttl_ahead), T(other_peoples_plans), T(another_runs_time_is_ours),
        T(a_plan_beyond_the_limit_is_brought_down), T(failures_are_said_and_spaced),
        T(an_instance_that_is_off_is_looked_at), T(warns_once_before_it_runs_out),
        T(due_is_at_most_a_minute_away), T(the_end_by_on_exit), T(the_end_restores_what_stood),
        T(the_end_is_reckoned_once), T(nothing_is_left_to_end)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
