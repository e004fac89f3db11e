/* What happens to connections: kept, reopened, lost at every point, given up in
   the middle, driven by steps. Law 3 decides what is known afterwards. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"
#include "one.h"

#define REBOOT "RebootCompShareInstance"

static harness_client other;

static int fresh(void **state)
{
    (void)state;
    harness_reset(&gateway);
    configure_known(&h, gateway.port);
    harness_open(&h);
    return 0;
}

static void expect_ok(const char *action)
{
    harness_expect(&h, act(action), COMPSHARE_OK);
}

/* ---- kept ---- */

static void ten_calls_one_connection(void **state)
{
    int i;
    (void)state;
    for (i = 0; i < 10; i++) expect_ok(i % 2 ? REBOOT : DELETE);
    printf("# figure: 10 calls, connections %d, handshakes %d\n", (int)harness_count(&gateway, "connections"),
        (int)harness_count(&gateway, "handshakes_full"));
    expect_count(&gateway, "connections", 1);
    expect_count(&gateway, "handshakes_full", 1);
    expect_count(&gateway, "requests", 10);
    expect_executed(&gateway, REBOOT, 5);
}

/* Connections that were begun with data in the SYN, of this machine. */
static long fast_opens(void)
{
    FILE *f = fopen("/proc/net/netstat", "r");
    static char names[8192], values[8192];
    long found = -1;
    while (f != NULL && found < 0 && fgets(names, sizeof names, f) != NULL && fgets(values, sizeof values, f) != NULL) {
        char *name, *value, *rest = names, *others = values;
        while ((name = strtok_r(rest, " \n", &rest)) != NULL && (value = strtok_r(others, " \n", &others)) != NULL)
            if (strcmp(name, "TCPFastOpenActive") == 0) found = atol(value);
    }
    if (f != NULL) fclose(f);
    return found;
}

/* With a cookie or, as on most machines, without: net.ipv4.tcp_fastopen = 1027 makes
   every listener give one. */
static void fast_open(void **state)
{
    long before = fast_opens();
    int i, r;
    (void)state;
    for (i = 0; i < 4; i++) {
        h.config.flags = COMPSHARE_FAST_OPEN;
        reopen();
        expect_ok(REBOOT);
    }
    printf("# figure: 4 connections with COMPSHARE_FAST_OPEN, %ld of them begun with data\n", fast_opens() - before);
    expect_count(&gateway, "connections", 4);
    expect_executed(&gateway, REBOOT, 4);
    harness_close(&h);
    h.config.base_url = "https://localhost:1";
    harness_open(&h);
    r = act(REBOOT);            /* with a cookie of this address only the first reading tells */
    assert_true(r == COMPSHARE_E_CONNECT || r == COMPSHARE_E_IO);
    assert_true(last(&h)->sys_errno == ECONNREFUSED && last(&h)->retryable && !last(&h)->outcome_unknown);
    h.config.flags = 0;
}

static void kept_after_a_refusal(void **state)
{
    (void)state;
    harness_set(&gateway, "fail_next=1&fail_code=8905");
    harness_expect(&h, act(REBOOT), COMPSHARE_E_API);
    harness_set(&gateway, "fail_next=1&fail_http=502");
    harness_expect(&h, act(REBOOT), COMPSHARE_E_STATUS);
    expect_ok(REBOOT);
    expect_count(&gateway, "connections", 1);
    expect_executed(&gateway, REBOOT, 1);
}

static void closed_by_the_server(void **state)
{
    static const int every[] = { 1, 2, 3 };
    static const json_int_t connections[] = { 6, 3, 2 };
    size_t i;
    int k;
    (void)state;
    for (i = 0; i < 3; i++) {
        char query[32];
        harness_reset(&gateway);
        reopen();
        snprintf(query, sizeof query, "close_every=%d", every[i]);
        harness_set(&gateway, query);
        for (k = 0; k < 6; k++) expect_ok(REBOOT);
        expect_count(&gateway, "connections", connections[i]);
        expect_executed(&gateway, REBOOT, 6);
    }
}

static void reopened_before_sending(const char *query)
{
    const compshare_error *e = last(&h);
    harness_set(&gateway, query);
    expect_ok(REBOOT);
    await_bytes();
    harness_set(&gateway, "drop_idle=0&idle_timeout=0");
    expect_ok(REBOOT);
    assert_true(e->status == COMPSHARE_OK && !e->outcome_unknown && e->stage == COMPSHARE_STAGE_NONE
        && e->detail[0] == '\0' && e->sys_errno == 0);
    expect_count(&gateway, "connections", 2);
    expect_count(&gateway, "requests", 2);
    expect_executed(&gateway, REBOOT, 2);
}

static void dropped_while_idle(void **state) { (void)state; reopened_before_sending("drop_idle=1"); }
static void timed_out_while_idle(void **state) { (void)state; reopened_before_sending("idle_timeout=1"); }

/* ---- lost ---- */

typedef struct loss {
    const char *option;
    const char *action;
    bool kept;
    int status;
    json_int_t requests, executed, connections;     /* of the lost call alone */
} loss;

static void lost(void **state)
{
    static const loss rows[] = {
        { "drop_before", DELETE, false, COMPSHARE_E_CLOSED, 1, 0, 1 },
        { "drop_before", REBOOT, false, COMPSHARE_E_CLOSED, 1, 0, 1 },
        { "drop_after", DELETE, false, COMPSHARE_E_CLOSED, 1, 1, 1 },
        { "drop_after", REBOOT, false, COMPSHARE_E_CLOSED, 1, 1, 1 },
        { "truncate", DELETE, false, COMPSHARE_E_CLOSED, 1, 1, 1 },
        { "truncate", REBOOT, false, COMPSHARE_E_CLOSED, 1, 1, 1 },
        { "drop_before", DELETE, true, COMPSHARE_OK, 2, 1, 2 },
        { "drop_before", REBOOT, true, COMPSHARE_E_CLOSED, 1, 0, 1 },
        { "drop_after", DELETE, true, COMPSHARE_OK, 2, 2, 2 },
        { "drop_after", REBOOT, true, COMPSHARE_E_CLOSED, 1, 1, 1 },
        { "truncate", DELETE, true, COMPSHARE_E_CLOSED, 1, 1, 1 },
        { "truncate", REBOOT, true, COMPSHARE_E_CLOSED, 1, 1, 1 },
        /* verify: never by itself */
        { "drop_before", "StopCompShareInstance", true, COMPSHARE_E_CLOSED, 1, 0, 1 },
        { "drop_before", "NobodyKnowsThis", true, COMPSHARE_E_CLOSED, 1, 0, 1 }
    };
    size_t i;
    int by_action, got;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (by_action = 0; by_action < 2; by_action++) {
            const loss *row = &rows[i];
            const compshare_error *e;
            char query[160];
            harness_reset(&gateway);
            reopen();
            e = last(&h);
            harness_set(&gateway, "extra_action=NobodyKnowsThis");
            if (row->kept) expect_ok("GetProjectList");
            snprintf(query, sizeof query, "%s=1%s%s", row->option, by_action ? "&drop_action=" : "", by_action
                ? row->action : "");
            harness_set(&gateway, query);
            got = act(row->action);
            /* a reset overtook the end */
            if (got == COMPSHARE_E_IO && row->status == COMPSHARE_E_CLOSED) got = row->status;
            if (got != row->status) fail_msg("row %zu: %s: %s", i, compshare_status_name(got), e->detail);
            if (e->outcome_unknown != (got != COMPSHARE_OK))
                fail_msg("row %zu: outcome_unknown is %d", i, e->outcome_unknown);
            if (got != COMPSHARE_OK && (e->stage != COMPSHARE_STAGE_RECEIVE || !e->retryable))
                fail_msg("row %zu: stage %d, retryable %d", i, e->stage, e->retryable);
            if (harness_count(&gateway, "requests") != row->requests + row->kept)
                fail_msg("row %zu: %d requests", i, (int)harness_count(&gateway, "requests"));
            expect_executed(&gateway, row->action, row->executed);
            /* a kept connection counts once, for the call before as well */
            expect_count(&gateway, "connections", row->connections);
            harness_set(&gateway, "drop_before=0&drop_after=0&truncate=0");
            expect_ok(DELETE);
            expect_executed(&gateway, REBOOT, strcmp(row->action, REBOOT) == 0 ? row->executed : 0);
        }
    }
}

/* After a silent second sending nothing of the first remains in the error. */
static void resent_leaves_no_trace(void **state)
{
    const compshare_error *e = last(&h);
    (void)state;
    expect_ok("GetProjectList");
    harness_set(&gateway, "drop_after=1");
    expect_ok(DELETE);
    assert_int_equal(e->status, COMPSHARE_OK);
    assert_int_equal(e->stage, COMPSHARE_STAGE_NONE);
    assert_int_equal(e->sys_errno, 0);
    assert_false(e->retryable);
    assert_int_equal(e->detail[0], '\0');
}

/* The second connection dies as well: not a third time. */
static void once_more_and_not_twice(void **state)
{
    int k;
    (void)state;
    for (k = 0; k < 2; k++) {
        harness_reset(&gateway);
        reopen();
        expect_ok("GetProjectList");
        harness_set(&gateway, k == 0 ? "drop_before=9" : "drop_after=9");
        assert_true(act(DELETE) < 0);
        assert_true(last(&h)->outcome_unknown);
        expect_count(&gateway, "requests", 3);
        expect_executed(&gateway, DELETE, k == 0 ? 0 : 2);
        harness_set(&gateway, "drop_before=0&drop_after=0");
        expect_ok(DELETE);
    }
}

/* The second sending is refused in words, or cannot even connect. */
static void resent_and_refused(void **state)
{
    compshare_target t = target_of("uhost-0001");
    (void)state;
    expect_ok("GetProjectList");
    harness_set(&gateway, "drop_after=1&drop_action=" DELETE);
    harness_set(&gateway, "state.uhost-0001=Stopped");
    harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
    expect_executed(&gateway, DELETE, 2);
    /* a refusal that is lost, and told the second time */
    harness_set(&gateway, "drop_after=1&drop_action=" UPDATE);
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &t, (int64_t)time(NULL) + 3600), COMPSHARE_E_API,
        COMPSHARE_STAGE_JUDGE, true);
    assert_int_equal(last(&h)->ret_code, 8905);     /* of the second sending: what became of the first, nobody said */
}

/* The kept connection dies after sending, and no server is there any more: the
   first sending still counts. */
static void resent_to_nobody(void **state)
{
    static const char *const scripts[] = {
        "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: "
            "13\\r\\n\\r\\n{\\\"RetCode\\\":0}\"\nread-request\nabort\n",
        "refuse\n", NULL };
    wire w = wire_serve("rsa", scripts);
    int got;
    (void)state;
    harness_close(&h);
    harness_configure(&h, w.server.port);
    harness_open(&h);
    expect_ok(DELETE);
    got = act(DELETE);
    assert_true(got == COMPSHARE_E_CLOSED || got == COMPSHARE_E_IO);
    assert_true(last(&h)->outcome_unknown);
    assert_int_equal(last(&h)->stage, COMPSHARE_STAGE_HANDSHAKE);
    got = act(DELETE);
    assert_true(got == COMPSHARE_E_CLOSED || got == COMPSHARE_E_IO);
    assert_false(last(&h)->outcome_unknown);
    wire_stop(&w);
}

static void nobody_listens(void **state)
{
    harness_process g = harness_gateway("rsa", NULL);
    (void)state;
    harness_close(&h);
    harness_configure(&h, g.port);
    harness_stop(&g);
    harness_open(&h);
    expect_failure(&h, act(REBOOT), COMPSHARE_E_CONNECT, COMPSHARE_STAGE_CONNECT, false);
    assert_int_equal(last(&h)->sys_errno, ECONNREFUSED);
    assert_true(last(&h)->retryable);
    assert_int_equal(compshare_fd(h.client), -1);
}

/* ---- steps ---- */

typedef struct listed { int n, defaults; } listed;
static int on_project(void *user, const compshare_project *p)
{
    listed *l = (listed *)user;
    l->n++;
    l->defaults += p->is_default;
    return 0;
}

static int on_instance(void *user, const compshare_instance *i, compshare_value element)
{
    (void)i;
    (void)element;
    ((listed *)user)->n++;
    return 0;
}

static int on_element(void *user, compshare_value element)
{
    (void)element;
    ((listed *)user)->n++;
    return 0;
}

static void steps_equal_calls(void **state)
{
    compshare_target t = target_of("uhost-0001");
    compshare_project p, q;
    compshare_instance i, k;
    compshare_param params[2];
    listed a = { 0, 0 }, b = { 0, 0 };
    int64_t at = (int64_t)time(NULL) + 3600;
    (void)state;
    harness_set(&gateway, "instances=250");
    harness_expect(&h, compshare_get_project_list(h.client, &p, on_project, &a), COMPSHARE_OK);
    harness_expect(&h, step_to_the_end(h.client, compshare_get_project_list_start(h.client, &q, on_project, &b)),
        COMPSHARE_OK);
    assert_true(strcmp(p.project_id, q.project_id) == 0 && a.n == b.n && a.defaults == b.defaults && a.n == 2);
    harness_expect(&h, step_to_the_end(h.client, compshare_update_stop_scheduler_start(h.client, &t, at)),
        COMPSHARE_OK);
    harness_expect(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_OK);
    harness_expect(&h, step_to_the_end(h.client, compshare_describe_instance_start(h.client, &t, &k)), COMPSHARE_OK);
    assert_memory_equal(&i, &k, sizeof i);
    assert_true(k.stop_time == at);
    harness_expect(&h, step_to_the_end(h.client, compshare_delete_stop_scheduler_start(h.client, &t)), COMPSHARE_OK);
    assert_int_equal(harness_schedule(&gateway, "uhost-0001"), 0);
    a.n = b.n = 0;
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &a), COMPSHARE_OK);
    harness_expect(&h, step_to_the_end(h.client, compshare_each_instance_start(h.client, NULL, on_instance, &b)),
        COMPSHARE_OK);
    assert_true(a.n == 250 && b.n == 250);
    params[0] = compshare_text("UHostId", "uhost-0001");
    harness_expect(&h, step_to_the_end(h.client, compshare_call_start(h.client, REBOOT, params, 1)), COMPSHARE_OK);
    assert_string_equal(reply_text(&h, "UHostId"), "uhost-0001");
    params[0] = compshare_int("Limit", 100);
    b.n = 0;
    harness_expect(&h, step_to_the_end(h.client, compshare_call_each_start(h.client, DESCRIBE, params, 1, "UHostSet",
        on_element, &b)), COMPSHARE_OK);
    assert_int_equal(b.n, 100);
    /* failures as well */
    expect_failure(&h, step_to_the_end(h.client, compshare_update_stop_scheduler_start(h.client, &t, at - 3599)),
        COMPSHARE_E_TOO_SOON, COMPSHARE_STAGE_PREPARE, false);
    t.uhost_id = "uhost-0003";
    expect_failure(&h, step_to_the_end(h.client, compshare_update_stop_scheduler_start(h.client, &t, at)),
        COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE, false);
    t.uhost_id = "uhost-9999";
    expect_failure(&h, step_to_the_end(h.client, compshare_describe_instance_start(h.client, &t, &k)),
        COMPSHARE_E_NOT_FOUND, COMPSHARE_STAGE_JUDGE, false);
    expect_count(&gateway, "connections", 1);
}

/* Gives the call up after each number of steps that it takes, with a reply that
   comes late; again, until every phase has been met: how many steps a handshake
   takes depends on how its bytes arrive. */
static void abort_everywhere(void **state)
{
    int steps = 0, rounds = 0, k, stages[8] = { 0 };
    bool ended = false;
    (void)state;
    harness_set(&gateway, "delay_ms=10");
    while (rounds < 20) {
        compshare_param p = compshare_text("UHostId", "uhost-0001");
        bool was_sent;
        reopen();
        harness_expect(&h, compshare_call_start(h.client, REBOOT, &p, 1), COMPSHARE_OK);
        for (ended = false, k = 0; k < steps && !ended; k++) {
            int r = compshare_step(h.client);
            ended = r != COMPSHARE_PENDING;
            if (!ended) step_wait(h.client);
            else harness_expect(&h, r, COMPSHARE_OK);
        }
        steps++;
        if (ended) {
            rounds++;
            steps = 0;
            if (stages[COMPSHARE_STAGE_CONNECT] + stages[COMPSHARE_STAGE_HANDSHAKE] > 0
                && stages[COMPSHARE_STAGE_RECEIVE] > 0) break;
            continue;
        }
        was_sent = h.client->connection.tls.sent;
        assert_int_equal(compshare_abort(h.client), COMPSHARE_E_ABORTED);
        assert_int_equal(last(&h)->status, COMPSHARE_E_ABORTED);
        assert_true(last(&h)->outcome_unknown == was_sent);
        stages[last(&h)->stage]++;
        assert_int_equal(compshare_step(h.client), COMPSHARE_E_IDLE);
        assert_int_equal(compshare_abort(h.client), COMPSHARE_E_IDLE);
        assert_int_equal(compshare_wants(h.client), 0);
        assert_int_equal(compshare_timeout_ms(h.client), 0);
        expect_ok(DELETE);      /* and the client lives on */
    }
    assert_true(ended);
    assert_true(stages[COMPSHARE_STAGE_PREPARE] > 0
        && stages[COMPSHARE_STAGE_CONNECT] + stages[COMPSHARE_STAGE_HANDSHAKE] > 0
        && stages[COMPSHARE_STAGE_RECEIVE] > 0);
}

/* The same with a shim that moves one byte per step in either direction, so that
   the request itself is met half sent. */
static void abort_half_sent(void **state)
{
    static shim s;
    int seen_unsent = 0, seen_sent = 0;
    size_t bytes;
    (void)state;
    for (bytes = 1; bytes < 400; bytes += bytes < 40 ? 1 : 60) {      /* the request is longer */
        compshare_param p = compshare_text("UHostId", "uhost-0001");
        size_t before;
        int r = COMPSHARE_PENDING;
        harness_close(&h);
        shim_insert(&s, &h);
        harness_open(&h);
        expect_ok("GetProjectList");
        before = s.taken;
        s.send_cap = bytes;
        harness_expect(&h, compshare_call_start(h.client, REBOOT, &p, 1), COMPSHARE_OK);
        s.send_fail_at = 0;
        s.stutter = true;
        s.sends = 0;                    /* the first send would block, the next moves `bytes` */
        r = compshare_step(h.client);
        assert_int_equal(r, COMPSHARE_PENDING);
        if (s.taken == before) {
            assert_int_equal(compshare_abort(h.client), COMPSHARE_E_ABORTED);
            assert_int_equal(last(&h)->stage, COMPSHARE_STAGE_SEND);
            assert_false(last(&h)->outcome_unknown);
            seen_unsent++;
        }
        s.stutter = false;
        s.send_cap = 0;
        expect_ok(DELETE);
        before = s.taken;
        s.send_cap = bytes;
        s.stutter = true;
        s.sends = 1;                    /* now the first one moves `bytes`, the next would block */
        harness_expect(&h, compshare_call_start(h.client, REBOOT, &p, 1), COMPSHARE_OK);
        r = compshare_step(h.client);
        if (r == COMPSHARE_PENDING && s.taken == before) r = compshare_step(h.client);
        assert_int_equal(r, COMPSHARE_PENDING);
        if (s.taken > before) {
            assert_int_equal(compshare_abort(h.client), COMPSHARE_E_ABORTED);
            assert_true(last(&h)->outcome_unknown);
            seen_sent++;
        } else {
            assert_int_equal(compshare_abort(h.client), COMPSHARE_E_ABORTED);
        }
        s.stutter = false;
        s.send_cap = 0;
        expect_ok(DELETE);
    }
    harness_close(&h);
    h.config.transport = NULL;
    harness_open(&h);
    assert_true(seen_unsent > 5 && seen_sent > 5);
    assert_true(harness_count_action(&gateway, "executed_by_action", REBOOT) == 0);
}

static void idle(void **state)
{
    (void)state;
    assert_int_equal(compshare_step(h.client), COMPSHARE_E_IDLE);
    assert_int_equal(compshare_abort(h.client), COMPSHARE_E_IDLE);
    assert_int_equal(compshare_fd(h.client), -1);
    assert_int_equal(compshare_wants(h.client), 0);
    assert_int_equal(compshare_timeout_ms(h.client), 0);
    expect_ok(DELETE);
    assert_int_equal(compshare_step(h.client), COMPSHARE_E_IDLE);
    assert_int_equal(last(&h)->status, COMPSHARE_OK);
}

static int everything_is_busy(compshare *client)
{
    compshare_target t = target_of("uhost-0001");
    compshare_project p;
    compshare_instance i;
    assert_int_equal(compshare_call(client, DELETE, NULL, 0), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_call_start(client, DELETE, NULL, 0), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_call_each(client, DELETE, NULL, 0, "A", on_element, NULL), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_get_project_list(client, &p, NULL, NULL), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_describe_instance(client, &t, &i), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_each_instance(client, &t, on_instance, NULL), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_update_stop_scheduler(client, &t, 1), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_delete_stop_scheduler(client, &t), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_get_project_list_start(client, NULL, NULL, NULL), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_describe_instance_start(client, &t, NULL), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_each_instance_start(client, &t, NULL, NULL), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_update_stop_scheduler_start(client, &t, 0), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_delete_stop_scheduler_start(client, NULL), COMPSHARE_E_BUSY);
    return 0;
}

static int busy_instance(void *user, const compshare_instance *i, compshare_value element)
{
    char id[64];
    listed *l = (listed *)user;
    everything_is_busy(h.client);
    assert_int_equal(compshare_step(h.client), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_abort(h.client), COMPSHARE_E_BUSY);
    assert_true(compshare_copy_text(compshare_get(element, "UHostId"), id, sizeof id) > 0);
    assert_string_equal(id, i->uhost_id);       /* the element is untouched by all that */
    l->n++;
    return 0;
}

static int busy_project(void *user, const compshare_project *p)
{
    (void)p;
    everything_is_busy(h.client);
    ((listed *)user)->n++;
    return 0;
}

static int64_t busy_clock(void *user)
{
    if (h.client != NULL && h.client->entered) assert_int_equal(compshare_step(h.client), COMPSHARE_E_BUSY);
    return fake_clock_unix_time(user);
}

static void busy_trace(void *user, const char *line)
{
    (void)user;
    (void)line;
    assert_int_equal(compshare_step(h.client), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_call(h.client, DELETE, NULL, 0), COMPSHARE_E_BUSY);
    assert_int_equal(compshare_abort(h.client), COMPSHARE_E_BUSY);
}

static void busy(void **state)
{
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    listed l = { 0, 0 };
    (void)state;
    harness_set(&gateway, "instances=150");
    h.config.trace = busy_trace;
    h.config.unix_time = busy_clock;
    reopen();
    harness_expect(&h, compshare_each_instance(h.client, NULL, busy_instance, &l), COMPSHARE_OK);
    assert_int_equal(l.n, 150);
    harness_expect(&h, compshare_get_project_list(h.client, NULL, busy_project, &l), COMPSHARE_OK);
    assert_int_equal(l.n, 152);
    harness_set(&gateway, "delay_ms=20");
    harness_expect(&h, compshare_call_start(h.client, REBOOT, &p, 1), COMPSHARE_OK);
    everything_is_busy(h.client);
    assert_int_equal(compshare_step(h.client), COMPSHARE_PENDING);
    everything_is_busy(h.client);
    harness_expect(&h, step_to_the_end(h.client, COMPSHARE_OK), COMPSHARE_OK);
    expect_executed(&gateway, REBOOT, 1);
    expect_executed(&gateway, DELETE, 0);
}

static void two_clients_one_thread(void **state)
{
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    compshare_target t = target_of("uhost-0001");
    listed l = { 0, 0 };
    int round;
    (void)state;
    harness_set(&gateway, "instances=250");
    harness_configure(&other, gateway.port);
    other.config.zone = "cn-wlcb-01";
    other.config.project_id = PROJECT;
    harness_open(&other);
    for (round = 0; round < 3; round++) {
        int a, b;
        l.n = 0;
        harness_expect(&h, compshare_each_instance_start(h.client, &t, on_instance, &l), COMPSHARE_OK);
        harness_expect(&other, compshare_call_start(other.client, REBOOT, &p, 1), COMPSHARE_OK);
        a = b = COMPSHARE_PENDING;
        while (a == COMPSHARE_PENDING || b == COMPSHARE_PENDING) {
            struct pollfd pfd[2];
            memset(pfd, 0, sizeof pfd);
            if (a == COMPSHARE_PENDING) a = compshare_step(h.client);
            if (b == COMPSHARE_PENDING) b = compshare_step(other.client);
            pfd[0].fd = a == COMPSHARE_PENDING && compshare_timeout_ms(h.client) > 0 ? compshare_fd(h.client) : -1;
            pfd[1].fd = b == COMPSHARE_PENDING && compshare_timeout_ms(other.client) > 0 ? compshare_fd(other.client)
                : -1;
            pfd[0].events = pfd[1].events = 0;
            if (compshare_wants(h.client) & COMPSHARE_READ) pfd[0].events |= POLLIN;
            if (compshare_wants(h.client) & COMPSHARE_WRITE) pfd[0].events |= POLLOUT;
            if (compshare_wants(other.client) & COMPSHARE_READ) pfd[1].events |= POLLIN;
            if (compshare_wants(other.client) & COMPSHARE_WRITE) pfd[1].events |= POLLOUT;
            if (pfd[0].fd >= 0 || pfd[1].fd >= 0) poll(pfd, 2, 20);
        }
        harness_expect(&h, a, COMPSHARE_OK);
        harness_expect(&other, b, COMPSHARE_OK);
        assert_int_equal(l.n, 250);
    }
    harness_close(&other);
    expect_executed(&gateway, REBOOT, 3);
    expect_count(&gateway, "connections", 2);
}

static void close_in_the_middle(void **state)
{
    int steps, before = count_descriptors();
    (void)state;
    harness_set(&gateway, "delay_ms=20");
    for (steps = 0; steps < 12; steps++) {
        compshare_param p = compshare_text("UHostId", "uhost-0001");
        int k, r = COMPSHARE_PENDING;
        reopen();
        harness_expect(&h, compshare_call_start(h.client, DELETE, &p, 1), COMPSHARE_OK);
        for (k = 0; k < steps && r == COMPSHARE_PENDING; k++) {
            r = compshare_step(h.client);
            if (r == COMPSHARE_PENDING) step_wait(h.client);
        }
        harness_close(&h);
        assert_int_equal(count_descriptors(), before);
        for (k = 0; k < (int)sizeof h.memory; k += 7) assert_int_equal(h.memory[k], 0);
    }
    harness_set(&gateway, "delay_ms=0");
    harness_open(&h);
    expect_ok(DELETE);
    compshare_close(NULL);
}

/* ---- descriptors and signals ---- */

static void no_descriptor_leaks(void **state)
{
    int before, round;
    (void)state;
    reopen();
    before = count_descriptors();
    for (round = 0; round < 20; round++) {
        static const char *const options[] = { "drop_before=1", "drop_after=1", "truncate=1", "close_every=1",
            "fail_next=1&fail_http=502", "pad_reply=200000" };
        harness_reset(&gateway);
        harness_set(&gateway, options[round % 6]);
        (void)act(round % 2 ? DELETE : REBOOT);
        h.config.ca_file = harness_cert(round % 5 == 4 ? "unknown-root.pem" : "roots.pem");
        (void)act(DELETE);
        harness_close(&h);
        assert_int_equal(count_descriptors(), before);
        harness_open(&h);
    }
    h.config.ca_file = harness_cert("bundle-empty.pem");
    reopen();
    assert_true(act(DELETE) < 0);
    h.config.ca_file = "/nonexistent/roots.pem";
    reopen();
    harness_expect(&h, act(DELETE), COMPSHARE_E_TRUST);
    assert_int_equal(count_descriptors(), before);
    h.config.ca_file = harness_cert("roots.pem");
    reopen();
    expect_ok(DELETE);
    assert_int_equal(count_descriptors(), before + 1);
}

/* The server resets while a long request is on its way, with the default action
   for SIGPIPE: the program would die. */
static void no_sigpipe(void **state)
{
    static const char *const scripts[] = { "read 2000\nreset\n", NULL };
    static char value[300001];
    wire w = wire_serve("rsa", scripts);
    compshare_param p = compshare_text("Value", value);
    struct sigaction action;
    int i;
    (void)state;
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    memset(value, 'x', sizeof value - 1);
    harness_close(&h);
    harness_configure(&h, w.server.port);
    harness_open(&h);
    for (i = 0; i < 3; i++) {
        int got = compshare_call(h.client, REBOOT, &p, 1);
        assert_true(got == COMPSHARE_E_IO || got == COMPSHARE_E_CLOSED);
        assert_true(last(&h)->outcome_unknown);
    }
    harness_close(&h);
    harness_open(&h);
    wire_stop(&w);
}

/* The last thing closed says goodbye: the server sees close_notify. */
static void goodbye(void **state)
{
    static const char *const scripts[] = { "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: "
        "13\\r\\n\\r\\n{\\\"RetCode\\\":0}\"\nloop\n", NULL };
    wire w = wire_serve("ec", scripts);
    (void)state;
    harness_close(&h);
    harness_configure(&h, w.server.port);
    harness_open(&h);
    expect_ok(REBOOT);
    expect_ok(REBOOT);
    harness_close(&h);
    wire_await(&w, "conn 1 closed");
    assert_int_equal(wire_count(&w, "conn 1 eof close_notify"), 1);
    assert_int_equal(wire_count(&w, "conn 1 request"), 2);
    harness_open(&h);
    wire_stop(&w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ten_calls_one_connection), T(fast_open), T(kept_after_a_refusal), T(closed_by_the_server),
            T(dropped_while_idle), T(timed_out_while_idle),
        T(lost), T(resent_leaves_no_trace), T(once_more_and_not_twice), T(resent_and_refused), T(resent_to_nobody),
            T(nobody_listens),
        T(steps_equal_calls), T(abort_everywhere), T(abort_half_sent), T(idle), T(busy), T(two_clients_one_thread),
        T(close_in_the_middle), T(no_descriptor_leaks), T(no_sigpipe), T(goodbye)
    };
    return cmocka_run_group_tests_name("connections", tests, start, stop);
}
