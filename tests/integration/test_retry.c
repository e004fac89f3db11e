/* Opt-in retries: what is sent again, when, and above all what is not; and too large
   replies, of which the rest is read to keep the connection. No test sleeps: pauses
   pass on an injected clock. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"
#include "one.h"

#define REBOOT "RebootCompShareInstance"            /* retry class: never */
#define STOP "StopCompShareInstance"                /* verify */
#define DELETE "DeleteCompShareStopScheduler"       /* always */
#define UPDATE "UpdateCompShareStopScheduler"       /* always */
#define DESCRIBE "DescribeCompShareInstance"        /* always */
#define UNKNOWN "NobodyKnowsThis"

#define GOOD_REPLY "HTTP/1.1 200 OK\\r\\nContent-Length: 13\\r\\n\\r\\n{\\\"RetCode\\\":0}"
#define GOOD "read-request\nsend \"" GOOD_REPLY "\"\nloop\n"

static shim t;

static void begin_at(unsigned port, unsigned max_retries)
{
    if (h.client != NULL) harness_close(&h);
    configure_known(&h, port);
    h.config.max_retries = max_retries;
    tap_insert(&t, &h, true);
    harness_open(&h);
}

static void begin(unsigned max_retries)
{
    harness_reset(&gateway);
    begin_at(gateway.port, max_retries);
}

static int fresh(void **state)
{
    (void)state;
    begin(0);
    return 0;
}

/* A reset may overtake the end of a stream. */
static int end_is_end(int got)
{
    return got == COMPSHARE_E_IO ? COMPSHARE_E_CLOSED : got;
}

/* ---- what is sent again ---- */

typedef struct row {
    const char *option, *action;
    unsigned retries;
    int status;
    bool unknown;
    json_int_t requests, executed;
} row;

static void judge(const row *r)
{
    const compshare_error *e = last(&h);
    json_int_t requests = harness_count(&gateway, "requests"), executed = harness_count_action(&gateway,
        "executed_by_action", r->action);
    if (e->outcome_unknown != r->unknown)
        fail_msg("%s, %s: outcome_unknown is %d: %s", r->option, r->action, e->outcome_unknown, e->detail);
    if (requests != r->requests || executed != r->executed)
        fail_msg("%s, %s: %d requests, %d executed", r->option, r->action, (int)requests, (int)executed);
    if (t.pause_count != (int)r->requests - 1) fail_msg("%s, %s: %d pauses", r->option, r->action, t.pause_count);
    if (r->status == COMPSHARE_OK)
        assert_true(e->status == COMPSHARE_OK && e->stage == COMPSHARE_STAGE_NONE && e->detail[0] == '\0'
            && e->ret_code == 0 && !e->retryable
            && e->sys_errno == 0 && e->message[0] == '\0');
}

static void run(const row *r)
{
    int k, got;
    for (k = 0; k < 2; k++) {
        compshare_param p = compshare_text("UHostId", "uhost-0001");
        begin(r->retries);
        harness_set(&gateway, "extra_action=" UNKNOWN);
        harness_set(&gateway, r->option);
        got = k == 0 ? act(r->action) : tap_step_to_the_end(&t, compshare_call_start(h.client, r->action, &p, 1));
        if (end_is_end(got) != r->status)
            fail_msg("%s, %s: %s: %s", r->option, r->action, compshare_status_name(got), last(&h)->detail);
        judge(r);
    }
}

static void repeatable_actions(void **state)
{
    static const row rows[] = {
        { "drop_before=1", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "drop_after=1", DELETE, 1, COMPSHARE_OK, false, 2, 2 },
        { "truncate=1", DELETE, 1, COMPSHARE_OK, false, 2, 2 },
        { "drop_before=3", "GetProjectList", 3, COMPSHARE_OK, false, 4, 1 },
        { "drop_before=3", DELETE, 9, COMPSHARE_OK, false, 4, 1 },
        { "drop_before=9", DELETE, 2, COMPSHARE_E_CLOSED, true, 3, 0 },
        { "drop_after=9", DELETE, 2, COMPSHARE_E_CLOSED, true, 3, 3 },
        { "truncate=9", DELETE, 1, COMPSHARE_E_CLOSED, true, 2, 2 },
        { "fail_next=1&fail_http=429", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=1&fail_http=500", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=1&fail_http=502", "GetProjectList", 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=1&fail_http=503", DESCRIBE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=1&fail_http=504", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=1&fail_http=599", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=9&fail_http=503", DELETE, 3, COMPSHARE_E_STATUS, true, 4, 0 },
        { "fail_next=9&fail_http=429", DELETE, 2, COMPSHARE_E_STATUS, true, 3, 0 },
        { "fail_next=1&fail_code=153", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=1&fail_code=150", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=1&fail_code=8441", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=1&fail_code=8903", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=1&fail_code=110", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=1&fail_code=153&retcode_string=1", DELETE, 1, COMPSHARE_OK, false, 2, 1 },
        { "fail_next=9&fail_code=153", DELETE, 4, COMPSHARE_E_API, false, 5, 0 },
        { "fail_next=9&fail_code=110", DELETE, 1, COMPSHARE_E_API, true, 2, 0 },        /* a gateway gave up waiting */
        { "fail_next=2&fail_code=8903", DELETE, 1, COMPSHARE_E_API, false, 2, 0 },
        { "close_every=1&fail_next=2&fail_code=153", DELETE, 2, COMPSHARE_OK, false, 3, 1 },
        { "chunked=1&fail_next=2&fail_http=503", DELETE, 2, COMPSHARE_OK, false, 3, 1 },
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) run(&rows[i]);
}

/* Refusals that a repetition cannot change. */
static void final_refusals(void **state)
{
    static const int codes[] = { 160, 161, 170, 171, 172, 174, 210, 220, 230, 280, 292, 8039, 8905, 1, -1, 999999 };
    static const int statuses[] = { 301, 302, 307, 400, 401, 403, 404, 405, 410, 413 };
    char option[64];
    row r = { NULL, DELETE, 5, COMPSHARE_E_API, false, 1, 0 };
    size_t i;
    (void)state;
    r.option = option;
    for (i = 0; i < COUNT(codes); i++) {
        snprintf(option, sizeof option, "fail_next=1&fail_code=%d", codes[i]);
        run(&r);
        assert_int_equal(last(&h)->ret_code, codes[i]);
        assert_false(last(&h)->retryable);
    }
    r.status = COMPSHARE_E_STATUS;
    r.unknown = true;
    for (i = 0; i < COUNT(statuses); i++) {
        snprintf(option, sizeof option, "fail_next=1&fail_http=%d", statuses[i]);
        run(&r);
        assert_int_equal(last(&h)->http_status, statuses[i]);
    }
}

/* Whatever happens to them, once. */
static void others_only_once(void **state)
{
    static const char *const actions[] = { REBOOT, STOP, UNKNOWN };
    static const struct { const char *option; int status; bool unknown; json_int_t executed; } ends[] = {
        { "drop_before=1", COMPSHARE_E_CLOSED, true, 0 },
        { "drop_after=1", COMPSHARE_E_CLOSED, true, 1 },
        { "truncate=1", COMPSHARE_E_CLOSED, true, 1 },
        { "fail_next=1&fail_code=153", COMPSHARE_E_API, false, 0 },
        { "fail_next=1&fail_code=8903", COMPSHARE_E_API, false, 0 },
        { "fail_next=1&fail_code=150", COMPSHARE_E_API, false, 0 },
        { "fail_next=1&fail_code=110", COMPSHARE_E_API, true, 0 },
        { "fail_next=1&fail_http=503", COMPSHARE_E_STATUS, true, 0 },
        { "fail_next=1&fail_http=429", COMPSHARE_E_STATUS, true, 0 },
    };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT(actions); i++) {
        for (k = 0; k < COUNT(ends); k++) {
            row r = { NULL, NULL, 5, 0, false, 1, 0 };
            r.option = ends[k].option;
            r.action = actions[i];
            r.status = ends[k].status;
            r.unknown = ends[k].unknown;
            r.executed = ends[k].executed;
            run(&r);
        }
    }
}

/* Without the setting, nothing at all is. */
static void never_without_the_setting(void **state)
{
    static const row rows[] = {
        { "drop_before=1", DELETE, 0, COMPSHARE_E_CLOSED, true, 1, 0 },
        { "drop_after=1", DELETE, 0, COMPSHARE_E_CLOSED, true, 1, 1 },
        { "truncate=1", DELETE, 0, COMPSHARE_E_CLOSED, true, 1, 1 },
        { "fail_next=1&fail_code=153", DELETE, 0, COMPSHARE_E_API, false, 1, 0 },
        { "fail_next=1&fail_http=503", DELETE, 0, COMPSHARE_E_STATUS, true, 1, 0 },
        { "fail_next=1&fail_http=429", DELETE, 0, COMPSHARE_E_STATUS, true, 1, 0 },
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) run(&rows[i]);
    begin(0);
    t.refuse = 1;
    t.refuse_status = COMPSHARE_E_CONNECT;
    harness_expect(&h, act(DELETE), COMPSHARE_E_CONNECT);
    assert_int_equal(t.opens, 1);
    assert_int_equal(t.pause_count, 0);
}

/* ---- nothing was sent ---- */

static void no_connection(void **state)
{
    static const int statuses[] = { COMPSHARE_E_CONNECT, COMPSHARE_E_RESOLVE, COMPSHARE_E_IO, COMPSHARE_E_CLOSED };
    static const char *const actions[] = { REBOOT, STOP, UNKNOWN, DELETE };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT(statuses); i++) {
        for (k = 0; k < COUNT(actions); k++) {
            begin(3);
            harness_set(&gateway, "extra_action=" UNKNOWN);
            t.refuse = 2;
            t.refuse_status = statuses[i];
            harness_expect(&h, act(actions[k]), COMPSHARE_OK);
            assert_int_equal(t.opens, 3);
            assert_int_equal(t.pause_count, 2);
            expect_requested(&gateway, actions[k], 1);
            assert_false(last(&h)->retryable);
        }
        begin(3);
        t.refuse = -1;
        t.refuse_status = statuses[i];
        expect_failure(&h, act(REBOOT), statuses[i], COMPSHARE_STAGE_CONNECT, false);
        assert_int_equal(t.opens, 4);
        assert_int_equal(t.pause_count, 3);
        assert_true(last(&h)->retryable);
    }
}

/* What no repetition mends is not repeated. */
static int bad_entropy(void *user, void *dst, size_t len)
{
    (void)user;
    memset(dst, 0, len);
    return -1;
}

static void nothing_to_wait_for(void **state)
{
    harness_process wrong = harness_gateway("wronghost", NULL);
    (void)state;
    begin_at(wrong.port, 5);
    expect_failure(&h, act(DELETE), COMPSHARE_E_CERTIFICATE, COMPSHARE_STAGE_HANDSHAKE, false);
    assert_int_equal(t.opens, 1);
    harness_stop(&wrong);
    begin(5);
    h.clock.begin_unix = -(int64_t)time(NULL);
    harness_expect(&h, act(DELETE), COMPSHARE_E_CLOCK);
    assert_int_equal(t.opens + t.pause_count, 0);
    begin(5);
    h.clock.begin_unix = 400 * 86400;
    harness_expect(&h, act(DELETE), COMPSHARE_E_CERTIFICATE);
    assert_int_equal(t.opens, 1);
    begin(5);
    harness_close(&h);
    h.config.entropy = bad_entropy;
    harness_open(&h);
    harness_expect(&h, act(DELETE), COMPSHARE_E_ENTROPY);
    assert_int_equal(t.pause_count, 0);
    harness_close(&h);
    h.config.entropy = NULL;
    h.config.ca_file = harness_cert("bundle-empty.pem");
    harness_open(&h);
    assert_true(act(DELETE) < 0);
    assert_int_equal(t.pause_count, 0);
    harness_close(&h);
    h.config.ca_file = "/nonexistent";
    harness_open(&h);
    harness_expect(&h, act(DELETE), COMPSHARE_E_TRUST);
    assert_int_equal(t.pause_count, 0);
}

/* Handshakes that the network breaks off; the request leaves once. */
static void unmark(shim *tapped)
{
    tapped->mark = tapped->pause_count == 2 ? "conn 3 handshake cut" : NULL;
}

static void broken_handshakes(void **state)
{
    static const char *const scripts[] = { "cut-handshake 700\n", "refuse\n", "stall-handshake 500\n", "reset\n", GOOD,
        NULL };
    static const char *const actions[] = { REBOOT, DELETE };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(actions); i++) {
        wire w = wire_serve("rsa", scripts);
        begin_at(w.server.port, 4);
        harness_close(&h);
        h.config.timeout_ms = 60000;
        harness_open(&h);
        t.until = &w;
        t.on_pause = unmark;
        harness_expect(&h, act(actions[i]), COMPSHARE_OK);
        assert_in_range(t.opens, 3, 5);     /* "refuse" and "reset" may come before the connection is seen to stand */
        assert_int_equal(t.pause_count, 4);
        assert_true(t.passed > 5000);       /* the one that stalled */
        harness_close(&h);
        wire_await(&w, "conn 5 closed");
        assert_int_equal(wire_count(&w, " request "), 1);
        wire_stop(&w);
    }
}

/* A server that comes up a little later. */
static harness_process late;
static unsigned late_port;

static void come_up(shim *tapped)
{
    char port[16];
    const char *more[] = { "--port", NULL, NULL };
    snprintf(port, sizeof port, "%u", late_port);
    more[1] = port;
    if (tapped->pause_count == 2 && late.pid == 0) late = harness_gateway("ec", more);
}

static void server_comes_up(void **state)
{
    (void)state;
    late_port = free_port(false);
    begin_at(late_port, 5);
    t.on_pause = come_up;
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    assert_int_equal(t.pause_count, 2);
    expect_executed(&late, REBOOT, 1);
    harness_close(&h);
    harness_stop(&late);
}

/* A kept connection died, and its replacement cannot be had at once. */
static void kept_then_refused(void **state)
{
    (void)state;
    begin(2);
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    assert_int_equal(shutdown(t.posix.fd, SHUT_RDWR), 0);
    t.refuse = 2;
    t.refuse_status = COMPSHARE_E_CONNECT;
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    assert_int_equal(t.pause_count, 2);
    expect_executed(&gateway, REBOOT, 2);
    harness_set(&gateway, "drop_after=1");      /* sent on a kept connection, and lost */
    t.pause_count = 0;
    assert_true(act(REBOOT) < 0);
    assert_true(last(&h)->outcome_unknown);
    assert_int_equal(t.pause_count, 0);
    expect_executed(&gateway, REBOOT, 3);
}

/* ---- replies that are malformed ---- */

static void malformed_replies(void **state)
{
    static const struct { const char *script; int status; } rows[] = {
        { "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: x\\r\\n\\r\\n\"\nstall\n", COMPSHARE_E_HTTP },
        { "read-request\nsend \"SSH-2.0\\r\\n\"\nstall\n", COMPSHARE_E_HTTP },
        { "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\n{x}\"\nstall\n", COMPSHARE_E_JSON },
        { "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}\"\nstall\n", COMPSHARE_E_REPLY },
        { "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: "
            "25\\r\\n\\r\\n{\\\"RetCode\\\":0,\\\"RetCode\\\":0}\"\nstall\n", COMPSHARE_E_REPLY },
        { "read-request\nsend-raw "
            "\"\\x17\\x03\\x03\\x00\\x30ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUV\"\nstall\n", COMPSHARE_E_TLS },
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const char *scripts[] = { NULL, GOOD, NULL };
        wire w;
        scripts[0] = rows[i].script;
        w = wire_serve("rsa", scripts);
        begin_at(w.server.port, 5);
        harness_expect(&h, act(DELETE), rows[i].status);
        assert_int_equal(t.opens, 1);
        assert_int_equal(t.pause_count, 0);
        assert_true(last(&h)->outcome_unknown);
        harness_close(&h);
        wire_stop(&w);
    }
}

/* ---- how long a pause is ---- */

static uint32_t whole_pause(int k)
{
    return k >= 4 ? 8000 : 500u << k;
}

static void pauses_grow_by_chance(void **state)
{
    enum { TIMES = 8, ROUNDS = 60 };
    uint32_t least[TIMES], most[TIMES];
    int round, k;
    (void)state;
    memset(least, 0xFF, sizeof least);
    memset(most, 0, sizeof most);
    for (round = 0; round < ROUNDS; round++) {
        begin_at(1, TIMES);
        harness_close(&h);
        h.config.timeout_ms = 600000;
        if (round == 0) h.config.entropy = bad_entropy;
        harness_open(&h);
        t.refuse = -1;
        t.refuse_status = COMPSHARE_E_CONNECT;
        harness_expect(&h, act(REBOOT), COMPSHARE_E_CONNECT);
        assert_int_equal(t.pause_count, TIMES);
        for (k = 0; k < TIMES; k++) {
            if (t.pauses[k] < whole_pause(k) / 2 || t.pauses[k] > whole_pause(k))
                fail_msg("pause %d lasts %u ms", k, t.pauses[k]);
            if (t.pauses[k] < least[k]) least[k] = t.pauses[k];
            if (t.pauses[k] > most[k]) most[k] = t.pauses[k];
        }
    }
    for (k = 0; k < TIMES; k++) {
        if (least[k] > whole_pause(k) * 6 / 10 || most[k] < whole_pause(k) * 9 / 10)
            fail_msg("pause %d: from %u to %u ms in %d rounds", k, least[k], most[k], ROUNDS);
    }
}

/* The failure itself comes back, and at once, where a pause would overstay. */
static void deadline_wins(void **state)
{
    static const uint32_t limits[] = { 1, 200, 249, 600, 1000, 2000, 5000, 15000 };
    size_t i;
    int k;
    (void)state;
    for (i = 0; i < COUNT(limits); i++) {
        uint64_t sum = 0;
        begin_at(1, 1000000);
        harness_close(&h);
        h.config.timeout_ms = limits[i];
        harness_open(&h);
        t.refuse = -1;
        t.refuse_status = COMPSHARE_E_CONNECT;
        harness_expect(&h, act(REBOOT), COMPSHARE_E_CONNECT);
        assert_int_equal(t.opens, t.pause_count + 1);
        for (k = 0; k < t.pause_count; k++) sum += t.pauses[k];
        assert_true(sum == t.passed && sum < limits[i]);
        if (sum + whole_pause(t.pause_count) < limits[i])
            fail_msg("%u ms: given up after %u although there was time", limits[i], (unsigned)sum);
        if (limits[i] < 250) assert_int_equal(t.pause_count, 0);
    }
}

static const char *http_date(char *buf, size_t cap, time_t at, const char *form)
{
    struct tm tm;
    gmtime_r(&at, &tm);
    assert_true(strftime(buf, cap, form, &tm) > 0);
    return buf;
}

#define IMF "%a, %d %b %Y %H:%M:%S GMT"

/* One reply with these header lines, then a good one; returns the pause. -1: none. */
static int pause_after(const char *status, const char *headers, const char *body, int want)
{
    char script[2000];
    const char *scripts[] = { NULL, NULL };
    int pause;
    wire w;
    snprintf(script, sizeof script, "read-request\nsend \"HTTP/1.1 %s\\r\\n%sContent-Length: %u\\r\\n\\r\\n%s\"\n" GOOD,
        status, headers,
        (unsigned)(strlen(body) - (strchr(body, '\\') != NULL ? 2 : 0)), body);
    scripts[0] = script;
    w = wire_serve("rsa", scripts);
    begin_at(w.server.port, 1);
    harness_expect(&h, act(DELETE), want);
    pause = t.pause_count > 0 ? (int)t.pauses[0] : -1;
    assert_true(t.pause_count <= 1);
    if (t.pause_count == 0) assert_true(t.passed == 0);
    harness_close(&h);
    wire_stop(&w);
    return pause;
}

#define BUSY_BODY "{\\\"RetCode\\\":153}"

static void retry_after(void **state)
{
    static const struct { const char *headers; int from, to; } rows[] = {
        { "", 250, 500 },
        { "Retry-After: 7\\r\\n", 7000, 7500 },
        { "retry-after:   7  \\r\\n", 7000, 7500 },
        { "Retry-After: 007\\r\\n", 7000, 7500 },
        { "Retry-After: 0\\r\\n", 250, 500 },
        { "Retry-After: \\r\\n", 250, 500 },
        { "Retry-After: -7\\r\\n", 250, 500 },
        { "Retry-After: 7.5\\r\\n", 250, 500 },
        { "Retry-After: soon\\r\\n", 250, 500 },
        { "Retry-After: Tue, 02 Jan 2001 03:04:05 GMT\\r\\n", 250, 500 },
        { "Date: Tue, 02 Jan 2001 03:04:05 GMT\\r\\nRetry-After: Tue, 02 Jan 2001 03:04:12 GMT\\r\\n", 7000, 7500 },
        { "Date: Tue, 02 Jan 2035 03:04:05 GMT\\r\\nRetry-After: Tue, 02 Jan 2035 03:04:12 GMT\\r\\n", 7000, 7500 },
        { "Date: Tue, 02 Jan 2035 03:04:05 GMT\\r\\nRetry-After: Tuesday, 02-Jan-35 03:04:12 GMT\\r\\n", 7000, 7500 },
        { "Date: Tue, 02 Jan 2035 03:04:05 GMT\\r\\nRetry-After: Tue, 02 Jan 2035 03:03:12 GMT\\r\\n", 250, 500 },
        { "Retry-After: 16\\r\\n", -1, -1 },          /* timeout_ms is 15 s */
        { "Retry-After: 15\\r\\n", -1, -1 },
        { "Retry-After: 2147483647\\r\\n", -1, -1 },
        { "Retry-After: 99999999999999999999999999\\r\\n", -1, -1 },
        { "Date: Tue, 02 Jan 2035 03:04:05 GMT\\r\\nRetry-After: Tue, 02 Jan 2035 03:05:12 GMT\\r\\n", -1, -1 },
        { "Date: Tue, 02 Jan 2035 03:04:05 GMT\\r\\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\\r\\n", -1, -1 },
    };
    char headers[128], date[64];
    size_t i;
    int pause;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        pause = pause_after("503 Service Unavailable", rows[i].headers, "", rows[i].to < 0 ? COMPSHARE_E_STATUS
            : COMPSHARE_OK);
        if (pause < rows[i].from || pause > rows[i].to) fail_msg("%s: a pause of %d ms", rows[i].headers, pause);
    }
    pause = pause_after("429 Too Many Requests", "Retry-After: 3\\r\\n", "", COMPSHARE_OK);
    assert_true(pause >= 3000 && pause <= 3500);
    pause = pause_after("200 OK", "Retry-After: 3\\r\\n", "{\\\"RetCode\\\":153}", COMPSHARE_OK);
    if (pause < 3000 || pause > 3500) fail_msg("with a RetCode: %d ms", pause);
    /* without Date, the local clock counts */
    snprintf(headers, sizeof headers, "Retry-After: %s\\r\\n", http_date(date, sizeof date, time(NULL) + 8, IMF));
    pause = pause_after("503 Service Unavailable", headers, "", COMPSHARE_OK);
    if (pause < 5000 || pause > 8500) fail_msg("a date without Date: %d ms", pause);
}

/* It belongs to its own reply: a later failure has a pause of its own. */
static void refuse_once(shim *tapped)
{
    if (tapped->pause_count == 1) {
        shutdown(tapped->posix.fd, SHUT_RDWR);
        tapped->refuse = 1;
        tapped->refuse_status = COMPSHARE_E_CONNECT;
    }
}

static void retry_after_counts_once(void **state)
{
    static const char *const scripts[] = {
        "read-request\nsend \"HTTP/1.1 503 Busy\\r\\nRetry-After: 6\\r\\nContent-Length: 0\\r\\n\\r\\n\"\nstall\n",
            GOOD, NULL };
    wire w = wire_serve("rsa", scripts);
    (void)state;
    begin_at(w.server.port, 3);
    t.on_pause = refuse_once;
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    assert_int_equal(t.pause_count, 2);
    assert_true(t.pauses[0] >= 6000 && t.pauses[0] <= 6500);
    if (t.pauses[1] < 500 || t.pauses[1] > 1000) fail_msg("the second pause lasts %u ms", t.pauses[1]);
    harness_close(&h);
    wire_stop(&w);
}

/* ---- what became of it ---- */

static void (*next_event)(void);
static void event(shim *tapped) { if (tapped->pause_count == 1) next_event(); }
static void refuse_for_ever(void) { shutdown(t.posix.fd,
    SHUT_RDWR); t.refuse = -1; t.refuse_status = COMPSHARE_E_CONNECT; }
static void lose_all(void) { harness_set(&gateway, "drop_before=9"); }
static void be_busy(void) { harness_set(&gateway, "fail_next=9&fail_code=153"); }
static void deny(void) { harness_set(&gateway, "fail_next=9&fail_code=171"); }
static void stopped(void) { harness_set(&gateway, "state.uhost-0001=Stopped"); }
static void nothing(void) { }

static void mixed_results(void **state)
{
    static const struct { const char *option; bool refuse; void (*then)(void); int status,
        code; bool unknown; } rows[] = {
        { "drop_after=1&state.uhost-0001=Stopped", false, nothing, COMPSHARE_E_API, 8905, true },
        { "drop_before=1", false, stopped, COMPSHARE_E_API, 8905, true },
        { "fail_next=1&fail_http=503", false, stopped, COMPSHARE_E_API, 8905, true },
        { "fail_next=1&fail_code=110", false, stopped, COMPSHARE_E_API, 8905, true },
        { "fail_next=1&fail_code=153", false, stopped, COMPSHARE_E_API, 8905, false },
        { "drop_after=0", true, stopped, COMPSHARE_E_API, 8905, false },
        { "drop_after=1", false, deny, COMPSHARE_E_API, 171, true },
        { "drop_after=1", false, be_busy, COMPSHARE_E_API, 153, true },
        { "fail_next=1&fail_code=153", false, be_busy, COMPSHARE_E_API, 153, false },
        { "fail_next=1&fail_code=153", false, lose_all, COMPSHARE_E_CLOSED, 0, true },
        { "drop_after=0", true, lose_all, COMPSHARE_E_CLOSED, 0, true },
        { "drop_after=1", false, refuse_for_ever, COMPSHARE_E_CONNECT, 0, true },
        { "fail_next=1&fail_code=153", false, refuse_for_ever, COMPSHARE_E_CONNECT, 0, false },
        { "drop_after=0", true, refuse_for_ever, COMPSHARE_E_CONNECT, 0, false },
        { "drop_after=1", false, nothing, COMPSHARE_OK, 0, false },
        { "fail_next=1&fail_http=503", false, nothing, COMPSHARE_OK, 0, false },
    };
    compshare_target target = target_of("uhost-0001");
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        int got;
        begin(2);
        harness_set(&gateway, rows[i].option);
        if (rows[i].refuse) {
            t.refuse = 1;
            t.refuse_status = COMPSHARE_E_CONNECT;
        }
        next_event = rows[i].then;
        t.on_pause = event;
        got = end_is_end(compshare_update_stop_scheduler(h.client, &target, (int64_t)time(NULL) + 3600));
        if (got != rows[i].status) fail_msg("row %zu: %s: %s", i, compshare_status_name(got), last(&h)->detail);
        if (last(&h)->ret_code != rows[i].code) fail_msg("row %zu: RetCode %d", i, last(&h)->ret_code);
        if (last(&h)->outcome_unknown != rows[i].unknown)
            fail_msg("row %zu: outcome_unknown is %d", i, last(&h)->outcome_unknown);
        if (t.pause_count == 0) fail_msg("row %zu: no pause", i);
    }
}

/* The 300 s are looked at again before every sending. */
static void twenty_seconds(shim *tapped)
{
    tap_pass(tapped, 20000);
}

static void floor_holds_at_every_sending(void **state)
{
    static const struct { const char *option; bool refuse, unknown; json_int_t requests; } rows[] = {
        { "fail_next=1&fail_http=503", false, true, 1 },
        { "fail_next=1&fail_code=153", false, false, 1 },
        { "drop_after=1", false, true, 1 },
        { "drop_before=1", false, true, 1 },
        { "drop_after=0", true, false, 0 },
    };
    compshare_target target = target_of("uhost-0001");
    size_t i;
    int k;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        for (k = 0; k < 2; k++) {
            int64_t at;
            begin(3);
            harness_close(&h);
            h.config.timeout_ms = 600000;
            harness_open(&h);
            harness_expect(&h, act("GetProjectList"), COMPSHARE_OK);        /* tells the server's clock */
            assert_int_equal(shutdown(t.posix.fd, SHUT_RDWR), 0);
            harness_set(&gateway, rows[i].option);
            t.refuse = rows[i].refuse;
            t.refuse_status = COMPSHARE_E_CONNECT;
            t.on_pause = k == 0 ? twenty_seconds : NULL;
            at = compshare_server_time(h.client) + 310;
            if (k == 1) {
                harness_expect(&h, compshare_update_stop_scheduler(h.client, &target, at), COMPSHARE_OK);
                assert_true(harness_schedule(&gateway, "uhost-0001") == at);
                continue;
            }
            expect_failure(&h, compshare_update_stop_scheduler(h.client, &target, at), COMPSHARE_E_TOO_SOON,
                COMPSHARE_STAGE_PREPARE, rows[i].unknown);
            assert_int_equal(t.pause_count, 1);
            expect_count(&gateway, "requests", 1 + rows[i].requests);
        }
    }
}

/* ---- streams ---- */

typedef struct seen { int n, at; const char *option; } seen;

static int on_element(void *user, compshare_value element)
{
    seen *s = (seen *)user;
    (void)element;
    s->n++;
    return 0;
}

static int on_instance(void *user, const compshare_instance *i, compshare_value element)
{
    seen *s = (seen *)user;
    (void)i;
    (void)element;
    if (++s->n == s->at) harness_set(&gateway, s->option);
    return 0;
}

static int on_project(void *user, const compshare_project *p)
{
    (void)p;
    ((seen *)user)->n++;
    return 0;
}

/* Nobody can take back an element that a callback has seen. */
static void streams(void **state)
{
    compshare_param limit = compshare_int("Limit", 100), id = compshare_text("UHostIds.0", "uhost-9999");
    seen s = { 0, 0, NULL };
    (void)state;
    begin(3);
    harness_set(&gateway, "instances=100&truncate=1");
    expect_failure(&h, end_is_end(compshare_call_each(h.client, DESCRIBE, &limit, 1, "UHostSet", on_element, &s)),
        COMPSHARE_E_CLOSED,
        COMPSHARE_STAGE_RECEIVE, true);
    assert_true(s.n > 0 && s.n < 100);
    assert_int_equal(t.pause_count, 0);
    expect_count(&gateway, "requests", 1);
    /* before the first one there is nothing to take back */
    begin(3);
    harness_set(&gateway, "instances=100&fail_next=2&fail_http=503");
    s.n = 0;
    harness_expect(&h, compshare_call_each(h.client, DESCRIBE, &limit, 1, "UHostSet", on_element, &s), COMPSHARE_OK);
    assert_int_equal(s.n, 100);
    assert_int_equal(t.pause_count, 2);
    begin(3);
    harness_set(&gateway, "instances=100&fail_next=1&fail_code=153");
    s.n = 0;
    harness_expect(&h, compshare_call_each(h.client, DESCRIBE, &limit, 1, "UHostSet", on_element, &s), COMPSHARE_OK);
    assert_int_equal(s.n, 100);
    begin(3);
    harness_set(&gateway, "truncate=1");
    s.n = 0;
    harness_expect(&h, compshare_call_each(h.client, DESCRIBE, &id, 1, "UHostSet", on_element, &s), COMPSHARE_OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(t.pause_count, 1);
}

/* Each page is a request of its own, and read again where it breaks behind others. */
static void pages(void **state)
{
    seen s = { 0, 100, "fail_next=2&fail_http=503" };
    (void)state;
    begin(2);
    harness_set(&gateway, "instances=250");
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &s), COMPSHARE_OK);
    assert_int_equal(s.n, 250);
    assert_int_equal(t.pause_count, 2);
    begin(1);
    harness_set(&gateway, "instances=250");
    s.n = 0;
    s.at = 150;         /* on the second page */
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &s), COMPSHARE_OK);
    assert_int_equal(s.n, 250);
    assert_int_equal(t.pause_count, 2);
    begin(1);
    harness_set(&gateway, "instances=250");
    s.n = 0;
    s.option = "fail_next=99&fail_http=503";
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &s), COMPSHARE_E_STATUS);
    assert_true(s.n >= 150 && s.n <= 200);
    assert_true(t.pause_count <= 14);
    begin(3);
    harness_set(&gateway, "instances=250");
    s.n = 0;
    s.at = 100;
    s.option = "truncate=1";
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &s), COMPSHARE_OK);
    assert_int_equal(s.n, 250);
    assert_int_equal(t.pause_count, 1);
    /* projects are seen once, whatever it takes */
    begin(3);
    harness_set(&gateway, "drop_after=1");
    s.n = 0;
    harness_expect(&h, compshare_get_project_list(h.client, NULL, on_project, &s), COMPSHARE_OK);
    assert_int_equal(s.n, 2);
}

/* ---- steps ---- */

/* Up to the first pause. */
static void into_pause(const char *option, bool refuse)
{
    static compshare_param p;       /* borrowed until the call has ended */
    int rounds;
    p = compshare_text("UHostId", "uhost-0001");
    begin(3);
    harness_set(&gateway, option);
    t.refuse = refuse ? -1 : 0;
    t.refuse_status = COMPSHARE_E_CONNECT;
    harness_expect(&h, compshare_call_start(h.client, DELETE, &p, 1), COMPSHARE_OK);
    for (rounds = 0; rounds < 1000; rounds++) {
        uint32_t timeout;
        assert_int_equal(compshare_step(h.client), COMPSHARE_PENDING);
        timeout = compshare_timeout_ms(h.client);
        if (timeout > 0 && compshare_wants(h.client) == 0) return;
        if (timeout > 0) tap_wait(&t, compshare_wants(h.client), timeout);
    }
    fail_msg("no pause came");
}

static void pauses_in_steps(void **state)
{
    static const struct { const char *option; bool refuse, unknown; } rows[] = {
        { "drop_after=1", false, true }, { "fail_next=1&fail_http=503", false, true }, { "fail_next=1&fail_code=153",
            false, false }, { "drop_after=0", true, false }
    };
    size_t i;
    int k;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        uint32_t timeout;
        json_int_t requests;
        int opens;
        into_pause(rows[i].option, rows[i].refuse);
        requests = harness_count(&gateway, "requests");
        opens = t.opens;
        timeout = compshare_timeout_ms(h.client);
        assert_true(timeout >= 250 && timeout <= 500);
        assert_int_equal(compshare_fd(h.client), -1);
        for (k = 0; k < 5; k++) {       /* too early: nothing happens */
            assert_int_equal(compshare_step(h.client), COMPSHARE_PENDING);
            assert_int_equal(compshare_timeout_ms(h.client), timeout);
            assert_int_equal(compshare_wants(h.client), 0);
            assert_int_equal(compshare_fd(h.client), -1);
        }
        assert_int_equal(act(DELETE), COMPSHARE_E_BUSY);
        tap_pass(&t, timeout - 1);
        assert_int_equal(compshare_step(h.client), COMPSHARE_PENDING);
        assert_int_equal(compshare_timeout_ms(h.client), 1);
        assert_int_equal(t.opens, opens);
        assert_int_equal(harness_count(&gateway, "requests"), requests);
        if (i % 2 == 0) {
            assert_int_equal(compshare_abort(h.client), COMPSHARE_E_ABORTED);
            assert_int_equal(last(&h)->status, COMPSHARE_E_ABORTED);
            assert_true(last(&h)->outcome_unknown == rows[i].unknown);
            assert_int_equal(compshare_step(h.client), COMPSHARE_E_IDLE);
            assert_int_equal(compshare_timeout_ms(h.client), 0);
            assert_int_equal(harness_count(&gateway, "requests"), requests);
            harness_expect(&h, act(DELETE), COMPSHARE_OK);
        } else {
            tap_pass(&t, 1);
            t.refuse = 0;
            harness_expect(&h, tap_step_to_the_end(&t, COMPSHARE_OK), COMPSHARE_OK);
            assert_int_equal(harness_count(&gateway, "requests"), requests + 1);
        }
    }
    for (i = 0; i < COUNT(rows); i++) {         /* aborted: what is known */
        into_pause(rows[i].option, rows[i].refuse);
        assert_int_equal(compshare_abort(h.client), COMPSHARE_E_ABORTED);
        if (last(&h)->outcome_unknown != rows[i].unknown)
            fail_msg("row %zu: outcome_unknown is %d", i, last(&h)->outcome_unknown);
    }
    into_pause("drop_after=1", false);
    harness_close(&h);
    for (i = 0; i < sizeof h.memory; i++) assert_int_equal(h.memory[i], 0);
}

/* A pause that is waited out late ends by the deadline all the same. */
static void late_after_a_pause(void **state)
{
    (void)state;
    into_pause("fail_next=1&fail_http=503", false);
    tap_pass(&t, 20000);
    harness_expect(&h, compshare_step(h.client), COMPSHARE_E_TIMEOUT);
    assert_true(last(&h)->outcome_unknown);
    expect_count(&gateway, "requests", 1);
}

/* ---- too large ---- */

static size_t area(void)
{
    return h.client->reply.area_cap;
}

/* A failure of the reply, complete or not. */
static void expect_too_large(int got)
{
    harness_expect(&h, got, COMPSHARE_E_TOO_LARGE);
    expect_failure(&h, got, COMPSHARE_E_TOO_LARGE, last(&h)->stage, true);
    assert_true(last(&h)->stage == COMPSHARE_STAGE_RECEIVE || last(&h)->stage == COMPSHARE_STAGE_JUDGE);
    expect_contains(last(&h)->detail, "memory_size");
}

/* `over` bytes more than the memory takes; then another call. */
static void too_large(size_t over, const char *option, bool kept)
{
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    char query[160];
    int k;
    for (k = 0; k < 2; k++) {
        begin(k == 0 ? 0 : 3);
        snprintf(query, sizeof query, "pad_reply=%zu%s", area() + over, option);
        harness_set(&gateway, query);
        expect_too_large(k == 0 ? act(REBOOT) : tap_step_to_the_end(&t, compshare_call_start(h.client, REBOOT, &p, 1)));
        assert_int_equal(last(&h)->http_status, 200);
        assert_int_equal(compshare_type(compshare_reply(h.client)), COMPSHARE_NONE);
        assert_int_equal(t.pause_count, 0);
        assert_int_equal(t.open_now, kept);
        if (t.moved[1] > area() + 65536 + 2 * 16384 + 5000) fail_msg("%zu bytes were read", t.moved[1]);
        harness_set(&gateway, "pad_reply=0");
        harness_expect(&h, act(REBOOT), COMPSHARE_OK);
        if (harness_count(&gateway, "connections") != (kept ? 1 : 2))
            fail_msg("%zu bytes too many%s: %d connections", over, option, (int)harness_count(&gateway, "connections"));
        expect_count(&gateway, "handshakes_full", kept ? 1 : 2);
        expect_executed(&gateway, REBOOT, 2);
    }
}

static void too_large_and_kept(void **state)
{
    static const size_t over[] = { 0, 1, 100, 5000, 16384, 30000, 45000 };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(over); i++) {
        too_large(over[i], "", true);
        too_large(over[i], "&chunked=1", true);
    }
}

static void too_large_and_closed(void **state)
{
    static const size_t over[] = { 90000, 300000, 2000000 };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(over); i++) {
        too_large(over[i], "", false);
        too_large(over[i], "&chunked=1", false);
    }
    too_large(5000, "&close_every=1", false);
}

/* The body fits, its values do not: it is complete all the same. */
static void too_many_values(void **state)
{
    compshare_param limit = compshare_int("Limit", 12);
    (void)state;
    begin(0);
    harness_set(&gateway, "instances=12");
    harness_expect(&h, compshare_call(h.client, DESCRIBE, &limit, 1), COMPSHARE_E_TOO_LARGE);
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    expect_count(&gateway, "connections", 1);
}

static void rest_is_hostile(void **state)
{
    /* N fills the memory; what comes behind it is the matter */
    static const struct { const char *head, *rest; const char *end; int opens; } rows[] = {
        { "Content-Length: 80000\\r\\n\\r\\n", "", "stall\n", 2 },
        { "Content-Length: 80000\\r\\n\\r\\n", "", "close\n", 2 },
        { "Content-Length: 80000\\r\\n\\r\\n", "", "abort\n", 2 },
        { "Content-Length: 80000\\r\\n\\r\\n", "", "reset\n", 2 },
        { "Content-Length: 80000\\r\\n\\r\\n", "",
            "send-raw \"\\x17\\x03\\x03\\x00\\x20ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF\"\nstall\n", 2 },
        /* 40,000 bytes, then no size */
        { "Transfer-Encoding: chunked\\r\\n\\r\\n9c40\\r\\n", "\\r\\nxyz\\r\\n", "stall\n", 2 },
        { "Transfer-Encoding: chunked\\r\\n\\r\\n9c40\\r\\n", "oops", "stall\n", 2 },
        { "Transfer-Encoding: chunked\\r\\n\\r\\n9c40\\r\\n", "\\r\\n0\\r\\nno colon\\r\\n\\r\\n", "stall\n", 2 },
        { "Transfer-Encoding: chunked\\r\\n\\r\\n9c40\\r\\n", "\\r\\nffffffff\\r\\n",
            "send-repeat 300000 \"          \"\nstall\n", 2 },
        { "Transfer-Encoding: chunked\\r\\n\\r\\n9c40\\r\\n", "\\r\\n0\\r\\n\\r\\nsurplus", "stall\n", 2 },
        { "Content-Length: 40007\\r\\n\\r\\n", "the endsurplus", "stall\n", 2 },
        { "X: y\\r\\n\\r\\n", "", "send-repeat 300000 \"          \"\nstall\n", 2 },
        { "Content-Length: 99999999999\\r\\n\\r\\n", "", "send-repeat 300000 \"          \"\nstall\n", 2 },
        { "Transfer-Encoding: chunked\\r\\n\\r\\n9c40\\r\\n", "\\r\\n0\\r\\n\\r\\n",
            "read-request\nsend \"" GOOD_REPLY "\"\nstall\n", 1 },
        /* what was kept looks like a success */
        { "Content-Length: 40013\\r\\n\\r\\n{\\\"RetCode\\\":0}", "", "read-request\nsend \"" GOOD_REPLY "\"\nstall\n",
            1 },
        { "Content-Length: 40000\\r\\n\\r\\n", "", "read-request\nsend \"" GOOD_REPLY "\"\nstall\n", 1 },
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        char script[1000];
        const char *scripts[] = { NULL, GOOD, NULL };
        wire w;
        uint64_t before;
        scripts[0] = script;
        snprintf(script, sizeof script,
            "read-request\nsend \"HTTP/1.1 200 OK\\r\\n%s\"\nsend-repeat 40000 \" \"\nsend \"%s\"\n%s", rows[i].head,
            rows[i].rest[0] != '\0' ? rows[i].rest : "", rows[i].end);
        if (rows[i].rest[0] == '\0')
            snprintf(script, sizeof script,
                "read-request\nsend \"HTTP/1.1 200 OK\\r\\n%s\"\nsend-repeat 40000 \" \"\n%s", rows[i].head,
                rows[i].end);
        w = wire_serve("rsa", scripts);
        begin_at(w.server.port, 3);
        assert_true(area() < 40000);
        t.until = &w;
        t.mark = "conn 1 request";
        h.clock.tick_ms = 1;        /* whoever turns in a circle is ended by the clock, and found out */
        before = h.clock.ms;
        expect_too_large(act(REBOOT));
        if (h.clock.ms - before > 15500)
            fail_msg("row %zu: ended %d ms after the deadline", i, (int)(h.clock.ms - before - 15000));
        if (i != 0 && h.clock.ms - before > 5000) fail_msg("row %zu: %d ms were spent", i, (int)(h.clock.ms - before));
        if (t.moved[1] > area() + 65536 + 2 * 16384 + 5000) fail_msg("row %zu: %zu bytes were read", i, t.moved[1]);
        assert_int_equal(t.pause_count, 0);
        t.mark = NULL;
        /* kept so far: what is too much may still be under way */
        if (rows[i].opens > 1 && compshare_fd(h.client) >= 0) {
            struct pollfd pfd = { compshare_fd(h.client), POLLIN, 0 };
            assert_true(poll(&pfd, 1, 5000) > 0);
        }
        harness_expect(&h, act(REBOOT), COMPSHARE_OK);
        if (t.opens != rows[i].opens) fail_msg("row %zu: %d connections", i, t.opens);
        harness_close(&h);
        wire_stop(&w);
    }
    h.clock.tick_ms = 0;
}

/* Given up while the rest is read. */
static void aborted_while_draining(void **state)
{
    static const char *const scripts[] = {
        "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: 80000\\r\\n\\r\\n\"\nsend-repeat 50000 \" "
            "\"\nstall\n", GOOD, NULL };
    wire w = wire_serve("rsa", scripts);
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    int rounds;
    (void)state;
    begin_at(w.server.port, 0);
    harness_expect(&h, compshare_call_start(h.client, REBOOT, &p, 1), COMPSHARE_OK);
    for (rounds = 0; rounds < 10000 && t.moved[1] < 50000; rounds++) {
        assert_int_equal(compshare_step(h.client), COMPSHARE_PENDING);
        if (compshare_timeout_ms(h.client) > 0 && t.moved[1] < 50000) tap_wait(&t, compshare_wants(h.client), 1000);
    }
    assert_int_equal(compshare_abort(h.client), COMPSHARE_E_ABORTED);
    assert_int_equal(last(&h)->status, COMPSHARE_E_ABORTED);
    assert_true(last(&h)->outcome_unknown);
    assert_int_equal(t.open_now, 0);
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    harness_close(&h);
    wire_stop(&w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(repeatable_actions), T(final_refusals), T(others_only_once), T(never_without_the_setting), T(no_connection),
            T(nothing_to_wait_for),
        T(broken_handshakes), T(server_comes_up), T(kept_then_refused), T(malformed_replies), T(pauses_grow_by_chance),
            T(deadline_wins),
        T(retry_after), T(retry_after_counts_once), T(mixed_results), T(floor_holds_at_every_sending), T(streams),
            T(pages),
        T(pauses_in_steps), T(late_after_a_pause), T(too_large_and_kept), T(too_large_and_closed), T(too_many_values),
            T(rest_is_hostile), T(aborted_while_draining)
    };
    return cmocka_run_group_tests_name("retries", tests, start, stop);
}
