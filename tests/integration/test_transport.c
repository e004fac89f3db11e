/* Transports that a program may bring: slow, stuttering, lying, failing ones
   between the client and the gateway. */
#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"

#define REBOOT "RebootCompShareInstance"

static harness_process gateway, plain;
static harness_client h;
static shim s;

static int start(void **state)
{
    static const char *args[4];
    (void)state;
    gateway = harness_gateway("ec", NULL);
    args[0] = harness_program("gateway");
    args[1] = "--plain";
    plain = harness_serve(args);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    harness_stop(&gateway);
    harness_stop(&plain);
    return 0;
}

static void configure(void)
{
    configure_known(&h, gateway.port);
    shim_insert(&s, &h);
}

static int fresh(void **state)
{
    (void)state;
    harness_reset(&gateway);
    harness_reset(&plain);
    configure();
    harness_open(&h);
    return 0;
}

static int done(void **state)
{
    (void)state;
    harness_close(&h);
    assert_int_equal(s.open_now, 0);
    return 0;
}

static int act(const char *action)
{
    return call_for_one(&h, action);
}

/* As after every failure: nothing disturbs any more, and a call works. */
static void expect_recovery(void)
{
    s.mark = NULL;
    s.send_cap = s.recv_cap = s.send_fail_at = s.recv_fail_at = 0;
    s.stutter = s.restless = s.send_lies = s.recv_lies = s.wait_fails = false;
    s.open_status = s.open_late = 0;
    s.recv_answer = 0;
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    assert_int_equal(s.open_now, 1);
}

static int count_instance(void *user, const compshare_instance *i, compshare_value element)
{
    (void)i;
    (void)element;
    ++*(int *)user;
    return 0;
}

/* Every typed call and a long request. */
static void whole_round(const harness_process *g)
{
    static char value[40001];
    compshare_param p = compshare_text("Value", value);
    compshare_target t = target_of("uhost-0001");
    compshare_project project;
    compshare_instance i;
    int64_t at = (int64_t)time(NULL) + 3600;
    int n = 0;
    harness_set(g, "extra_action=Long");
    memset(value, '%', sizeof value - 1);
    harness_expect(&h, compshare_get_project_list(h.client, &project, NULL, NULL), COMPSHARE_OK);
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, at), COMPSHARE_OK);
    harness_expect(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_OK);
    assert_true(i.stop_time == at);
    harness_expect(&h, compshare_each_instance(h.client, NULL, count_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 3);
    harness_expect(&h, compshare_call(h.client, "Long", &p, 1), COMPSHARE_OK);
    harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
    assert_int_equal(harness_schedule(g, "uhost-0001"), 0);
}

static void undisturbed(void **state)
{
    (void)state;
    whole_round(&gateway);
    assert_true(s.opens == 1 && s.sends < 40);
}

static void one_byte_at_a_time(void **state)
{
    (void)state;
    s.send_cap = 1;
    s.recv_cap = 1;
    whole_round(&gateway);
    assert_int_equal(s.opens, 1);
}

static void odd_pieces(void **state)
{
    static const size_t pieces[] = { 2, 3, 5, 7, 64, 1023, 1024, 1025, 2047, 2048, 2049, 16384, 16389 };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        harness_close(&h);
        configure();
        harness_open(&h);
        s.send_cap = pieces[i];
        s.recv_cap = pieces[sizeof pieces / sizeof pieces[0] - 1 - i];
        whole_round(&gateway);
    }
}

static void would_block_every_second_time(void **state)
{
    (void)state;
    s.stutter = true;
    whole_round(&gateway);
    s.send_cap = s.recv_cap = 100;
    whole_round(&gateway);
    assert_int_equal(harness_count(&gateway, "handshakes_full"), s.opens);
}

/* As a transport that is TLS itself may do: what waits to be sent must outlive it. */
static void sending_waits_for_reading(void **state)
{
    (void)state;
    harness_close(&h);
    h.config.ca_file = harness_cert("bundle-big.pem");      /* long enough to fill every buffer */
    harness_open(&h);
    s.crossed = true;
    whole_round(&gateway);
    s.send_cap = 50;
    harness_close(&h);
    harness_open(&h);
    whole_round(&gateway);
    assert_int_equal(harness_count(&gateway, "handshakes_full"), s.opens);
}

static void wait_returns_early(void **state)
{
    (void)state;
    s.restless = true;
    s.stutter = true;
    harness_set(&gateway, "delay_ms=5");
    whole_round(&gateway);
}

/* No wait is longer than poll's argument can say. */
static void longest_wait(void **state)
{
    compshare__posix p;
    compshare_transport io;
    int ends[2];
    (void)state;
    compshare__posix_init(&p, &io);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    p.fd = ends[0];
    assert_int_equal(io.wait(io.user, COMPSHARE_READ, UINT32_MAX), COMPSHARE_OK);
    io.close(io.user);
    assert_int_equal(close(ends[1]), 0);
}

static void opens_late(void **state)
{
    (void)state;
    s.open_late = 5;
    whole_round(&gateway);
    assert_int_equal(s.opens, 1);
    assert_int_equal(s.open_late, 0);
}

/* ---- lies and failures ---- */

static void send_takes_more_than_it_was_given(void **state)
{
    (void)state;
    s.send_lies = true;
    expect_failure(&h, act(REBOOT), COMPSHARE_E_IO, COMPSHARE_STAGE_HANDSHAKE, false);
    expect_recovery();
    s.send_lies = true;
    assert_int_equal(act(REBOOT), COMPSHARE_E_IO);
    s.send_lies = false;
    expect_executed(&gateway, REBOOT, 1);
    expect_recovery();
}

static void recv_gives_more_than_was_asked(void **state)
{
    (void)state;
    s.recv_lies = true;
    expect_failure(&h, act(REBOOT), COMPSHARE_E_IO, COMPSHARE_STAGE_HANDSHAKE, false);
    expect_recovery();
}

/* What recv may not answer is its failure. */
static void recv_answers_nonsense(void **state)
{
    static const ptrdiff_t answers[] = { -3, COMPSHARE_E_API, COMPSHARE_E_TIMEOUT, PTRDIFF_MIN, PTRDIFF_MAX, -1000 };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        harness_close(&h);
        harness_open(&h);
        s.recv_answer = answers[i];
        expect_failure(&h, act(REBOOT), COMPSHARE_E_IO, COMPSHARE_STAGE_HANDSHAKE, false);
        expect_recovery();
    }
}

/* Fails at every byte of the way out. Nothing is ever executed and yet known as
   not sent, nor twice. */
static void send_fails_everywhere(void **state)
{
    size_t total, at;
    (void)state;
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    total = s.taken;
    for (at = 1; at < total; at += at < 20 ? 1 : 23) {
        json_int_t before = harness_count_action(&gateway, "executed_by_action", REBOOT);
        int got;
        harness_close(&h);
        configure();
        s.send_fail_at = at;
        s.send_cap = at;        /* stop exactly there */
        s.mark = "";            /* nobody answers half a request: let the time pass */
        harness_open(&h);
        got = act(REBOOT);
        assert_true(got == COMPSHARE_E_IO || got == COMPSHARE_E_CLOSED || got == COMPSHARE_E_TIMEOUT
            || got == COMPSHARE_OK);
        s.mark = NULL;
        if (got == COMPSHARE_OK) continue;
        if (last(&h)->stage <= COMPSHARE_STAGE_HANDSHAKE) assert_false(last(&h)->outcome_unknown);
        if (!last(&h)->outcome_unknown)
            assert_true(harness_count_action(&gateway, "executed_by_action", REBOOT) == before);
        assert_int_equal(s.open_now, 0);
        expect_recovery();
    }
}

/* The same on the way in: the reply breaks off at every byte. */
static void recv_fails_everywhere(void **state)
{
    size_t handshake, total, at;
    (void)state;
    harness_expect(&h, act("GetProjectList"), COMPSHARE_OK);
    handshake = s.given;
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    total = s.given - handshake;
    assert_true(total > 100);
    for (at = 1; at < total; at += at < 40 ? 1 : 17) {
        harness_close(&h);
        configure();
        harness_open(&h);
        harness_expect(&h, act("GetProjectList"), COMPSHARE_OK);
        s.recv_cap = at;
        s.recv_fail_at = s.given + at;
        expect_failure(&h, act(REBOOT), COMPSHARE_E_IO, COMPSHARE_STAGE_RECEIVE, true);
        assert_int_equal(s.opens, 1);
        expect_recovery();
        assert_int_equal(s.opens, 2);
    }
}

/* An error right after the last byte of a complete reply changes nothing. */
static void recv_fails_after_the_reply(void **state)
{
    size_t handshake, reply;
    (void)state;
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    handshake = s.given;
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    reply = s.given - handshake;
    s.recv_fail_at = s.given + reply;
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    assert_int_equal(s.opens, 1);
    s.recv_fail_at = s.given;       /* found before sending: another connection, for any action */
    {
        compshare_param p = compshare_text("UHostId", "uhost-0001");
        /* the new one is broken too */
        harness_expect(&h, step_to_the_end(h.client, compshare_call_start(h.client, REBOOT, &p, 1)), COMPSHARE_E_IO);
        assert_false(last(&h)->outcome_unknown);
    }
    s.recv_fail_at = 0;
    assert_int_equal(s.opens, 2);
    expect_recovery();
    expect_executed(&gateway, REBOOT, 1);
}

/* The first send on a kept connection fails: nothing has left, so any action is
   sent on another one. */
static void kept_connection_refuses_the_first_byte(void **state)
{
    (void)state;
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    s.send_fail_at = s.taken;
    {
        compshare_param p = compshare_text("UHostId", "uhost-0001");
        int r;
        s.open_late = 1;            /* the new connection waits once: there the sends heal */
        harness_expect(&h, compshare_call_start(h.client, REBOOT, &p, 1), COMPSHARE_OK);
        r = compshare_step(h.client);
        assert_int_equal(r, COMPSHARE_PENDING);
        s.send_fail_at = 0;
        while ((r = compshare_step(h.client)) == COMPSHARE_PENDING) harness_sleep_ms(1);
        harness_expect(&h, r, COMPSHARE_OK);
    }
    assert_false(last(&h)->outcome_unknown);
    assert_int_equal(s.opens, 2);
    expect_executed(&gateway, REBOOT, 1);
    expect_count(&gateway, "requests", 2);
}

static void open_fails(void **state)
{
    static const int statuses[] = { COMPSHARE_E_CONNECT, COMPSHARE_E_RESOLVE, COMPSHARE_E_IO, COMPSHARE_E_TIMEOUT,
        COMPSHARE_E_CLOSED, COMPSHARE_E_CONFIG,
        COMPSHARE_E_MEMORY, COMPSHARE_E_BUSY, COMPSHARE_E_IDLE, COMPSHARE_E_ABORTED, COMPSHARE_E_PARAM,
            COMPSHARE_E_TRUST, COMPSHARE_E_TLS, COMPSHARE_E_API,
        COMPSHARE_E_NOT_FOUND };
    static const int nonsense[] = { COMPSHARE_PENDING, 2, 3, 4, 5, 99 };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        int closes = s.closes;
        s.open_status = statuses[i];
        expect_failure(&h, act(REBOOT), statuses[i], COMPSHARE_STAGE_CONNECT, false);
        assert_true(s.closes > closes);
        expect_recovery();
        harness_close(&h);
        harness_open(&h);
    }
    for (i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        int got;
        s.open_status = nonsense[i];
        got = act(REBOOT);
        assert_true(got < 0);
        assert_int_equal(last(&h)->stage, COMPSHARE_STAGE_CONNECT);
        assert_false(last(&h)->outcome_unknown);
        expect_recovery();
        harness_close(&h);
        harness_open(&h);
    }
    expect_executed(&gateway, REBOOT,
        (json_int_t)(sizeof statuses / sizeof statuses[0] + sizeof nonsense / sizeof nonsense[0]));
}

/* ---- what may be missing ---- */

static void no_wait(void **state)
{
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    (void)state;
    harness_close(&h);
    configure();
    s.io.wait = NULL;
    harness_open(&h);
    harness_set(&gateway, "delay_ms=20");
    harness_expect(&h, act(REBOOT), COMPSHARE_E_CONFIG);
    expect_contains(last(&h)->detail, "wait");
    assert_false(last(&h)->outcome_unknown);
    assert_int_equal(s.open_now, 0);
    harness_expect(&h, step_to_the_end(h.client, compshare_call_start(h.client, REBOOT, &p, 1)), COMPSHARE_OK);
    expect_executed(&gateway, REBOOT, 1);
    /* nor does anything leave on a connection that is there already */
    expect_failure(&h, act(REBOOT), COMPSHARE_E_CONFIG, COMPSHARE_STAGE_PREPARE, false);
    expect_executed(&gateway, REBOOT, 1);
    expect_failure(&h, compshare_schedule_cancel(h.client, "uhost-0001", NULL), COMPSHARE_E_CONFIG,
        COMPSHARE_STAGE_PREPARE, false);
    harness_expect(&h, step_to_the_end(h.client, compshare_call_start(h.client, DELETE, &p, 1)), COMPSHARE_OK);
}

static void no_fd(void **state)
{
    (void)state;
    harness_close(&h);
    configure();
    s.io.fd = NULL;
    harness_open(&h);
    whole_round(&gateway);
    assert_int_equal(compshare_fd(h.client), -1);
}

static void wait_fails(void **state)
{
    (void)state;
    s.wait_fails = true;
    harness_expect(&h, act(REBOOT), COMPSHARE_E_IO);
    assert_true(last(&h)->stage == COMPSHARE_STAGE_CONNECT || last(&h)->stage == COMPSHARE_STAGE_HANDSHAKE);
    assert_false(last(&h)->outcome_unknown);
    expect_recovery();
    harness_set(&gateway, "delay_ms=20");
    s.wait_fails = true;
    expect_failure(&h, act(REBOOT), COMPSHARE_E_IO, COMPSHARE_STAGE_RECEIVE, true);
    harness_set(&gateway, "delay_ms=0");
    expect_recovery();
}

/* A program's mistake in wait: it calls back into its client. */
static int meddling_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    shim *x = (shim *)user;
    assert_int_equal(compshare_step(h.client), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_abort(h.client), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_call(h.client, DELETE, NULL, 0), COMPSHARE_E_BUSY);
    return x->inner.wait(x->inner.user, want, timeout_ms);
}

static void wait_calls_back(void **state)
{
    (void)state;
    harness_close(&h);
    configure();
    s.io.wait = meddling_wait;
    harness_open(&h);
    harness_set(&gateway, "delay_ms=5");
    whole_round(&gateway);
    expect_executed(&gateway, DELETE, 1);
}

/* ---- plain text, compiled in for tests only ---- */

static void plaintext(void **state)
{
    int round;
    (void)state;
    for (round = 0; round < 3; round++) {
        harness_close(&h);
        configure();
        snprintf(h.base_url, sizeof h.base_url, "http://localhost:%u", plain.port);
        h.config.ca_file = NULL;
        harness_open(&h);
        harness_reset(&plain);
        s.stutter = round > 0;
        s.send_cap = s.recv_cap = round == 2 ? 1 : 0;
        whole_round(&plain);
        assert_int_equal(s.opens, 1);
        harness_set(&plain, "drop_after=1");
        assert_true(act(REBOOT) < 0);
        assert_true(last(&h)->outcome_unknown);
        expect_executed(&plain, REBOOT, 1);
        harness_set(&plain, "truncate=1");
        harness_expect(&h, act(REBOOT), COMPSHARE_E_CLOSED);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(undisturbed), T(one_byte_at_a_time), T(odd_pieces), T(would_block_every_second_time),
            T(sending_waits_for_reading), T(wait_returns_early), T(opens_late), T(longest_wait),
        T(send_takes_more_than_it_was_given), T(recv_gives_more_than_was_asked), T(recv_answers_nonsense),
            T(send_fails_everywhere),
        T(recv_fails_everywhere), T(recv_fails_after_the_reply), T(kept_connection_refuses_the_first_byte),
            T(open_fails), T(no_wait),
        T(no_fd), T(wait_fails), T(wait_calls_back), T(plaintext)
    };
    return cmocka_run_group_tests_name("transports", tests, start, stop);
}
