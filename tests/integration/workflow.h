/* What the tests of workflows share: rows that say what is done, what somebody else
   does meanwhile, and what must come of it; and one way to run a row that is used in
   blocking and in stepped form. All clocks are injected and stand still: a pause moves
   them and the gateway's, so that nothing waits. Include after compshare.h, with its
   implementation, harness.h, calls.h and wire.h. */
#ifndef WORKFLOW_H
#define WORKFLOW_H

/* The tests' present, seconds after the real one: the certificates are too new for a
   local clock that is wrong by 2 h now. */
#define AHEAD 36000

enum { SET, EXTEND, CANCEL, GET, STOP, START, REBOOT, WAIT, KINDS };

/* The action by which a workflow changes something; NULL: it only reads. */
static const char *const changes[KINDS] = { UPDATE, UPDATE, DELETE, NULL, STOPPING, STARTING, REBOOTING, NULL };

/* What is not given is 0. "@N" in options is the time N seconds from the beginning,
   in words the same time as a person reads it. An event is a line of the trace, or
   "answered ACTION" once that action's reply is complete. */
typedef struct row {
    const char *name;
    int kind;
    const char *id;             /* NULL: ONE */
    int64_t at, in;             /* plan.at, from the beginning; plan.in_seconds or by_seconds */
    unsigned mode;
    const char *state;          /* waited for */
    uint32_t wait_ms;
    /* the client */
    const char *region, *zone, *project;                /* configured */
    const char *target_region;  /* of stop, start, reboot */
    unsigned retries;
    uint32_t timeout_ms;        /* 0: 60 s */
    int64_t local;              /* how much the local clock is off */
    bool warm;                  /* a connection is there already */
    /* the world */
    const char *options;        /* of the gateway, before */
    const char *event;          /* when it happens for the nth time (0: first), ... */
    int nth;
    const char *then;           /* ... these options are set */
    const char *event2, *then2; /* the same once more, afterwards */
    int nth2;
    const char *stall;          /* from this event on no byte of the reply comes, ... */
    int stalls;                 /* ... on so many connections at the most */
    int refusals;               /* connections refused */
    uint32_t latency;           /* ms until a reply comes */
    /* what must come of it */
    int status;
    bool unknown;
    int executed;               /* changes that the gateway executed */
    int requested;              /* and received; 0: as many as executed */
    int64_t plan;               /* the gateway's in the end, from the beginning; 0: none */
    int64_t previous;           /* of the result */
    bool unchanged;             /* a success that sent nothing */
    const char *seen;           /* state in the result; NULL: "Running" after a success, no result after a failure */
    int reads;                  /* Describes; 0: at most 20; -1: none; -2: at most 40 */
    int from, to;               /* ms that it takes: pauses and silence; 0 and 0: none */
    int http;                   /* http_status of the error; 0: whatever it is */
    const char *words, *words2; /* in the error text */
} row;

typedef struct flow_test { const row *r; bool stepped; } flow_test;

static harness_process gateway;
static harness_client h;
static shim s;
static bool stepped;
static int64_t base;            /* the present when a test begins */
static compshare_schedule schedule;
static compshare_instance instance;

/* ---- time ---- */

static uint32_t pauses[64];     /* ms */
static size_t pause_count;

/* Puts the gateway's clock where ours stands: it goes on by itself otherwise. */
static void set_gateway_clock(void)
{
    char query[64];
    snprintf(query, sizeof query, "clock=%lld", (long long)(base + (int64_t)(h.clock.ms / 1000)));
    harness_set(&gateway, query);
}

static void pass(uint64_t ms)
{
    h.clock.ms += ms;
    set_gateway_clock();
}

static int64_t gateway_now(void) { return (int64_t)harness_count(&gateway, "now"); }

/* ---- what happens meanwhile ---- */

typedef struct hook {
    const char *event, *then;
    int left;
    bool due;
} hook;

static hook hooks[2];
static const char *stall_event;
static int stalls, refusals;
static bool stalled, hold_send;
static bool restless;           /* pauses end early, as after a signal */
static uint32_t latency, owed;  /* ms that a reply takes; those still to pass */
static char trace_log[65536], asked[64];

/* Puts times in the place of "@N". */
static const char *flow_expand(const char *text, bool for_people)
{
    static char all[2][1024];
    static unsigned next;
    char *out = all[next++ % 2];
    size_t n = 0;
    while (*text != '\0') {
        char *end;
        time_t at;
        struct tm parts;
        assert_true(n < sizeof all[0] - 40);
        if (*text != '@') { out[n++] = *text++; continue; }
        at = (time_t)(base + strtoll(text + 1, &end, 10));
        text = end;
        gmtime_r(&at, &parts);
        n += for_people ? strftime(out + n, 40, "%Y-%m-%d %H:%M:%S UTC", &parts) : (size_t)snprintf(out + n, 40, "%lld",
            (long long)at);
    }
    out[n] = '\0';
    return out;
}

static void set_options(const char *options)
{
    if (options != NULL && options[0] != '\0') harness_set(&gateway, flow_expand(options, false));
}

static int count_in_trace(const char *text)
{
    const char *p = trace_log;
    int n = 0;
    while ((p = strstr(p, text)) != NULL) { n++; p++; }
    return n;
}

static void flow_fire(hook *k)
{
    k->due = false;
    set_options(k->then);
}

/* In stepped form the options wait until the step is over. */
static void flow_event(const char *event)
{
    size_t i;
    if (stall_event != NULL && stalls > 0 && strcmp(event, stall_event) == 0) {
        stalls--;
        stalled = true;
    }
    for (i = 0; i < COUNT(hooks); i++) {
        if (hooks[i].event == NULL || strcmp(event, hooks[i].event) != 0 || (i > 0 && hooks[i - 1].left > 0)) continue;
        if (--hooks[i].left != 0) continue;
        if (stepped) hooks[i].due = true;
        else flow_fire(&hooks[i]);
        return;
    }
}

static void flow_log(const char *line)
{
    size_t n = strlen(trace_log);
    assert_true(n + strlen(line) + 2 < sizeof trace_log);
    snprintf(trace_log + n, sizeof trace_log - n, "%s\n", line);
}

/* The next request is held back for one step: what is done between two steps must
   come before it. */
static void flow_trace(void *user, const char *line)
{
    char event[96];
    (void)user;
    flow_log(line);
    flow_event(line);
    if (strncmp(line, "sent ", 5) == 0) {
        snprintf(asked, sizeof asked, "%s", line + 5);
        owed = latency;
    }
    if (strncmp(line, "HTTP status", 11) != 0) return;
    hold_send = true;
    snprintf(event, sizeof event, "answered %s", asked);
    flow_log(event);
    flow_event(event);
}

/* ---- the transport ---- */

static int flow_open(void *user, const char *host, uint16_t port)
{
    if (refusals > 0) {
        refusals--;
        return COMPSHARE_E_CONNECT;
    }
    return shim_open(user, host, port);
}

static ptrdiff_t flow_send(void *user, const void *src, size_t len)
{
    if (hold_send) {
        hold_send = false;
        return COMPSHARE_WANT_WRITE;
    }
    return shim_send(user, src, len);
}

static ptrdiff_t flow_recv(void *user, void *dst, size_t cap)
{
    return stalled || owed > 0 ? COMPSHARE_WANT_READ : shim_recv(user, dst, cap);
}

static void flow_close(void *user)
{
    stalled = false;
    owed = 0;
    shim_close(user);
}

/* Real time passes only until the peer has answered. Where nothing is to come of that,
   the clocks go to where the client said that it would look again. */
static int flow_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    (void)user;
    if (want == 0 && restless) {
        pass(timeout_ms / 2 + 1);
        return COMPSHARE_OK;
    }
    if (want == 0) {
        if (pause_count < COUNT(pauses)) pauses[pause_count++] = timeout_ms;
        pass(timeout_ms);
        return COMPSHARE_OK;
    }
    if (stalled && want == COMPSHARE_READ) {
        char line[96];
        int tries = 0;
        snprintf(line, sizeof line, "sent %s\n", asked);
        while (harness_count_action(&gateway, "requests_by_action", asked) < count_in_trace(line) && tries++ < 1000)
            harness_sleep_ms(5);
        pass(timeout_ms);
        return COMPSHARE_OK;
    }
    if (owed > 0 && want == COMPSHARE_READ) {
        uint32_t ms = owed < timeout_ms ? owed : timeout_ms;
        owed -= ms;
        pass(ms);
        return COMPSHARE_OK;
    }
    if (poll_for(s.posix.fd, want, 20000) == 0) fail_msg("the peer is silent");
    return COMPSHARE_OK;
}

/* ---- running ---- */

/* A function of the public half for every kind, each in two forms. */
static int flow_begin(const row *r, bool steps)
{
    const char *id = r->id != NULL ? r->id : ONE;
    compshare_plan plan;
    static compshare_target t;
    memset(&plan, 0, sizeof plan);
    plan.uhost_id = id;
    plan.at = r->at != 0 ? base + r->at : 0;
    plan.in_seconds = r->in;
    plan.mode = r->mode;
    t = target_of(id);
    t.region = r->target_region;
    switch (r->kind) {
    case SET: return steps ? compshare_schedule_set_start(h.client, &plan, &schedule) : compshare_schedule_set(h.client,
        &plan, &schedule);
    case EXTEND: return steps ? compshare_schedule_extend_start(h.client, id, r->in, &schedule)
        : compshare_schedule_extend(h.client, id, r->in, &schedule);
    case CANCEL: return steps ? compshare_schedule_cancel_start(h.client, id,
        &schedule) : compshare_schedule_cancel(h.client, id, &schedule);
    case GET: return steps ? compshare_schedule_get_start(h.client, id, &schedule) : compshare_schedule_get(h.client,
        id, &schedule);
    case STOP: return steps ? compshare_stop_instance_start(h.client, &t) : compshare_stop_instance(h.client, &t);
    case START: return steps ? compshare_start_instance_start(h.client, &t) : compshare_start_instance(h.client, &t);
    case REBOOT: return steps ? compshare_reboot_instance_start(h.client, &t) : compshare_reboot_instance(h.client, &t);
    default: return steps ? compshare_wait_state_start(h.client, id, r->state, r->wait_ms, &instance)
        : compshare_wait_state(h.client, id, r->state, r->wait_ms, &instance);
    }
}

/* What an event loop does between two steps. */
static void flow_between(void)
{
    unsigned want = compshare_wants(h.client);
    uint32_t timeout = compshare_timeout_ms(h.client);
    size_t i;
    for (i = 0; i < COUNT(hooks); i++)
        if (hooks[i].due) flow_fire(&hooks[i]);
    if (timeout == 0) return;
    assert_int_equal(compshare_fd(h.client), want != 0 ? s.posix.fd : -1);
    if (want == 0) {            /* a step too early is none */
        size_t n = strlen(trace_log);
        assert_int_equal(compshare_step(h.client), COMPSHARE_PENDING);
        assert_int_equal(strlen(trace_log), n);
        assert_int_equal(compshare_timeout_ms(h.client), timeout);
    }
    (void)flow_wait(NULL, want, timeout);
}

static int flow_steps(int started)
{
    int r = started;
    if (r != COMPSHARE_OK) return r;
    while ((r = compshare_step(h.client)) == COMPSHARE_PENDING) flow_between();
    return r;
}

static int flow_run(const row *r)
{
    int started = flow_begin(r, stepped);
    return stepped ? flow_steps(started) : started;
}

/* A reading that must work: of no workflow, and without side effects. */
static void expect_useful(void)
{
    compshare_target t = target_of(ONE);
    compshare_instance i;
    int r;
    stalls = refusals = 0;
    latency = 0;
    harness_set(&gateway, "drop_before=0&drop_after=0&fail_next=0&truncate=0&reply_retcode=0&restore=1&zone." ONE "=cn-wlcb-01");
    h.clock.begin_unix = base;
    t.region = "cn-wlcb";
    r = compshare_describe_instance(h.client, &t, &i);
    if (r != COMPSHARE_OK) fail_msg("the client is of no more use: %s: %s", compshare_status_name(r), last(&h)->detail);
    assert_string_equal(i.uhost_id, ONE);
    assert_false(last(&h)->outcome_unknown);
}

static void flow_configure(uint32_t timeout_ms)
{
    harness_reset(&gateway);
    base = (int64_t)time(NULL) + AHEAD;
    pause_count = 0;
    harness_configure(&h, gateway.port);
    fake_clock_together(&h.clock, base);
    set_gateway_clock();
    h.config.region = NULL;
    h.config.timeout_ms = timeout_ms;
    h.config.trace = flow_trace;
    shim_insert(&s, &h);
    s.io.open = flow_open;
    s.io.send = flow_send;
    s.io.recv = flow_recv;
    s.io.wait = flow_wait;
    s.io.close = flow_close;
    stalls = refusals = 0;
    latency = owed = 0;
    stalled = hold_send = restless = false;
    trace_log[0] = asked[0] = '\0';
    memset(hooks, 0, sizeof hooks);
    stall_event = NULL;
    memset(&schedule, 0xEE, sizeof schedule);       /* nothing may be left of it */
    memset(&instance, 0xEE, sizeof instance);
}

static void flow_prepare(const row *r)
{
    flow_configure(r->timeout_ms != 0 ? r->timeout_ms : 60000);
    h.config.region = r->region;
    h.config.zone = r->zone;
    h.config.project_id = r->project;
    h.config.max_retries = r->retries;
    h.clock.begin_unix = base + r->local;
    harness_open(&h);
    if (r->warm) {
        compshare_target t = target_of(ONE);
        compshare_instance i;
        t.region = r->target_region;
        harness_expect(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_OK);
    }
    set_gateway_clock();
    set_options(r->options);
    hooks[0].event = r->event;
    hooks[0].then = r->then;
    hooks[0].left = r->nth > 0 ? r->nth : 1;
    hooks[1].event = r->event2;
    hooks[1].then = r->then2;
    hooks[1].left = r->nth2 > 0 ? r->nth2 : 1;
    stall_event = r->stall;
    stalls = r->stalls;
    refusals = r->refusals;
    latency = r->latency;
}

/* ---- judging ---- */

static bool all_zero(const void *ptr, size_t len)
{
    const unsigned char *p = (const unsigned char *)ptr;
    while (len-- > 0)
        if (*p++ != 0) return false;
    return true;
}

/* The result of a schedule workflow, given the gateway's clock before and after it. */
static void expect_schedule(const row *r, int64_t before, int64_t after)
{
    int64_t stop = schedule.stop_time;
    if (r->status != COMPSHARE_OK) {
        if (r->seen == NULL && !all_zero(&schedule, sizeof schedule)) fail_msg("a failure left a result");
        if (stop != 0 || schedule.seconds_left != 0 || schedule.changed) fail_msg("a failure shows a plan");
        if (r->seen == NULL) return;
    } else {
        if (stop != (int64_t)harness_schedule(&gateway, ONE))
            fail_msg("the result is not what the API has: %lld", (long long)(stop - base));
        if (stop != 0 && strstr(r->options != NULL ? r->options : "", "no_date") == NULL
            && (schedule.seconds_left < stop - after || schedule.seconds_left > stop - before + 1))
            fail_msg("%lld s left of %lld", (long long)schedule.seconds_left, (long long)(stop - before));
        if (stop == 0 && schedule.seconds_left != 0) fail_msg("seconds are left of nothing");
        if (schedule.changed != (changes[r->kind] != NULL && !r->unchanged))
            fail_msg("changed is %d", schedule.changed);
    }
    if (schedule.previous != (r->previous != 0 ? base + r->previous : 0))
        fail_msg("previous is %lld", (long long)(schedule.previous - base));
    if (strcmp(schedule.state, r->seen != NULL ? r->seen : "Running") != 0)
        fail_msg("the state is \"%s\"", schedule.state);
    assert_string_equal(schedule.uhost_id, ONE);
    assert_string_equal(schedule.zone, "cn-wlcb-01");
    assert_true(schedule.charge_type[0] != '\0' && schedule.caveats != 0);
}

static void expect_instance(const row *r)
{
    if (r->status != COMPSHARE_OK && r->seen == NULL) {
        if (!all_zero(&instance, sizeof instance)) fail_msg("an instance that was never read");
        return;
    }
    assert_string_equal(instance.uhost_id, ONE);
    assert_string_equal(instance.state, r->seen != NULL ? r->seen : r->state);
    assert_string_equal(instance.region, "cn-wlcb");
}

static void expect_error(const row *r, int status)
{
    char text[COMPSHARE_ERROR_TEXT];
    const compshare_error *e = last(&h);
    const char *change = changes[r->kind];
    compshare_error_text(h.client, text, sizeof text);
    if (status != r->status) fail_msg("%s: %s", compshare_status_name(status), text);
    if (e->status != status) fail_msg("the error says %s", compshare_status_name(e->status));
    if (e->outcome_unknown != r->unknown) fail_msg("outcome_unknown is %d: %s", e->outcome_unknown, text);
    if ((strstr(text, "OUTCOME UNKNOWN") != NULL) != r->unknown) fail_msg("the outcome is not told: %s", text);
    if (r->http != 0 && e->http_status != r->http) fail_msg("HTTP status %d", e->http_status);
    if (r->unknown && strcmp(e->action, change) != 0) fail_msg("unknown is \"%s\"", e->action);
    if (r->words != NULL && strstr(text, flow_expand(r->words, true)) == NULL)
        fail_msg("\"%s\" is not in: %s", flow_expand(r->words, true), text);
    if (r->words2 != NULL && strstr(text, flow_expand(r->words2, true)) == NULL)
        fail_msg("\"%s\" is not in: %s", flow_expand(r->words2, true), text);
}

static void expect_gateway(const row *r, int64_t before, int64_t after)
{
    const char *change = changes[r->kind];
    int reads = (int)harness_count_action(&gateway, "requests_by_action", DESCRIBE) - r->warm;
    int64_t plan = (int64_t)harness_schedule(&gateway,
        ONE), slack = r->kind == SET && r->in != 0 ? after - before + 3 : 0;
    if (change != NULL) {
        int executed = (int)harness_count_action(&gateway, "executed_by_action", change);
        int requested = (int)harness_count_action(&gateway, "requests_by_action", change);
        if (executed != r->executed) fail_msg("%d executed", executed);
        if (requested != (r->requested != 0 ? r->requested : r->executed)) fail_msg("%d received", requested);
    }
    if (r->plan == 0 ? plan != 0 : plan < base + r->plan || plan > base + r->plan + slack)
        fail_msg("the gateway's plan is %lld", (long long)(plan - base));
    if (r->reads == 0 || r->reads == -2 ? reads > (r->reads == 0 ? 20 : 40) : reads != (r->reads > 0 ? r->reads : 0))
        fail_msg("%d readings", reads);
    if (h.clock.ms < (uint64_t)r->from || h.clock.ms > (uint64_t)r->to) fail_msg("it took %d ms", (int)h.clock.ms);
    if (h.clock.ms > (r->wait_ms != 0 ? r->wait_ms : h.config.timeout_ms))
        fail_msg("%d ms are over the time allowed", (int)h.clock.ms);
}

/* Runs a row in the form that its test's state names. */
static void run_row(void **state)
{
    const row *r = ((const flow_test *)*state)->r;
    int64_t before, after;
    int status, descriptors;
    size_t i;
    stepped = ((const flow_test *)*state)->stepped;
    flow_prepare(r);
    descriptors = count_descriptors();
    before = gateway_now();
    status = flow_run(r);
    after = gateway_now();
    expect_error(r, status);
    expect_gateway(r, before, after);
    if (r->kind <= GET) expect_schedule(r, before, after);
    else if (r->kind == WAIT) expect_instance(r);
    for (i = 0; i < COUNT(hooks); i++)
        if (hooks[i].event != NULL && (hooks[i].left > 0 || hooks[i].due))
            fail_msg("\"%s\" never happened", hooks[i].event);
    if ((r->stalls > 0 && stalls == r->stalls) || refusals > 0) fail_msg("what was to disturb it did not");
    assert_null(strstr(trace_log, HARNESS_PRIVATE_KEY));
    assert_int_equal(compshare_step(h.client), COMPSHARE_E_IDLE);
    expect_useful();
    if (count_descriptors() > descriptors + !r->warm) fail_msg("a descriptor is left open");
}

/* ---- tests ---- */

/* Every row and every test below it is one test in each form. */
static struct CMUnitTest flow_tests[512];
static flow_test flow_states[512];
static char flow_names[512][96];
static size_t flow_count;

static void flow_add_form(const char *name, CMUnitTestFunction body, CMFixtureFunction done, const row *r, bool steps)
{
    struct CMUnitTest *t = &flow_tests[flow_count];
    assert(flow_count < COUNT(flow_tests));
    snprintf(flow_names[flow_count], sizeof flow_names[0], "%s, %s", name, steps ? "stepped" : "blocking");
    flow_states[flow_count].r = r;
    flow_states[flow_count].stepped = steps;
    t->name = flow_names[flow_count];
    t->test_func = body;
    t->teardown_func = done;
    t->initial_state = &flow_states[flow_count++];
}

static void flow_add(const char *name, CMUnitTestFunction body, CMFixtureFunction done, const row *r)
{
    flow_add_form(name, body, done, r, false);
    flow_add_form(name, body, done, r, true);
}

/* A test that failed inside a callback leaves a client that cannot be closed. */
static int flow_done(void **state)
{
    (void)state;
    if (h.client != NULL) {
        h.client->entered = false;
        harness_close(&h);
    }
    return 0;
}

static void flow_fresh(void **state, uint32_t timeout_ms)
{
    stepped = ((const flow_test *)*state)->stepped;
    flow_configure(timeout_ms);
    harness_open(&h);
}

static void flow_add_rows(const row *rows, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) flow_add(rows[i].name, run_row, flow_done, &rows[i]);
}

/* ---- the end of a workflow from outside, at every step ---- */

/* Runs r for at most so many steps. Returns how it stands. */
static int flow_run_for(const row *r, int steps)
{
    int status = flow_begin(r, true);
    while (status == COMPSHARE_OK && steps-- > 0) {
        if ((status = compshare_step(h.client)) != COMPSHARE_PENDING) return status;
        flow_between();
        status = COMPSHARE_OK;
    }
    return status == COMPSHARE_OK ? COMPSHARE_PENDING : status;
}

/* After an abort. Whole requests leave in one piece here, so the trace tells exactly
   whether the change was sent. */
static void expect_aborted(const row *r, int status)
{
    const compshare_error *e = last(&h);
    const char *change = changes[r->kind];
    char sent[96];
    bool was_sent;
    snprintf(sent, sizeof sent, "sent %s\n", change != NULL ? change : "nothing");
    was_sent = change != NULL && count_in_trace(sent) > 0;
    assert_int_equal(status, COMPSHARE_E_ABORTED);
    assert_int_equal(e->status, COMPSHARE_E_ABORTED);
    if (e->outcome_unknown != was_sent) fail_msg("outcome_unknown is %d, after:\n%s", e->outcome_unknown, trace_log);
    if (was_sent) assert_string_equal(e->action, change);
    if (!was_sent && change != NULL) expect_executed(&gateway, change, 0);
    if (r->kind <= GET) {
        bool found = count_in_trace("answered " DESCRIBE) > r->warm;
        assert_true(schedule.stop_time == 0 && schedule.seconds_left == 0 && !schedule.changed);
        if (!found) assert_true(all_zero(&schedule, sizeof schedule));
        else assert_string_equal(schedule.uhost_id, ONE);
    }
    if (r->kind == WAIT) {
        bool found = count_in_trace("answered " DESCRIBE) > r->warm;
        if (!found) assert_true(all_zero(&instance, sizeof instance));
        else assert_string_equal(instance.uhost_id, ONE);
    }
    assert_int_equal(compshare_step(h.client), COMPSHARE_E_IDLE);
    assert_int_equal(compshare_abort(h.client), COMPSHARE_E_IDLE);
}

/* The state is the row: it is run from the beginning for every number of steps. */
static void abort_everywhere(void **state)
{
    const row *r = ((const flow_test *)*state)->r;
    int k, status = COMPSHARE_PENDING, before = count_descriptors();
    stepped = true;
    for (k = 0; ; k++) {
        flow_prepare(r);
        status = flow_run_for(r, k);
        if (status != COMPSHARE_PENDING) break;
        expect_aborted(r, compshare_abort(h.client));
        expect_useful();
        harness_close(&h);
        assert_int_equal(s.open_now, 0);
        assert_int_equal(count_descriptors(), before);
    }
    if (k < 5) fail_msg("it took %d steps", k);
    expect_error(r, status);
}

static void close_everywhere(void **state)
{
    const row *r = ((const flow_test *)*state)->r;
    int k, status = COMPSHARE_PENDING, before = count_descriptors();
    stepped = true;
    for (k = 0; status == COMPSHARE_PENDING; k++) {
        flow_prepare(r);
        status = flow_run_for(r, k);
        harness_close(&h);
        if (!all_zero(h.memory, sizeof h.memory)) fail_msg("the memory block is not wiped after %d steps", k);
        assert_int_equal(s.open_now, 0);
        assert_int_equal(count_descriptors(), before);
    }
    assert_true(k > 5);
}

/* Only the stepped form of a workflow can be ended between steps. */
static void flow_add_ends(const row *rows, size_t count)
{
    char name[96];
    size_t i;
    for (i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s: aborted", rows[i].name);
        flow_add_form(name, abort_everywhere, flow_done, &rows[i], true);
        snprintf(name, sizeof name, "%s: closed", rows[i].name);
        flow_add_form(name, close_everywhere, flow_done, &rows[i], true);
    }
}

static int flow_start(void **state) { (void)state; gateway = harness_gateway("ec", NULL); return 0; }
static int flow_stop(void **state) { (void)state; harness_stop(&gateway); return 0; }

static int flow_main(const char *name)
{
    return _cmocka_run_group_tests(name, flow_tests, flow_count, flow_start, flow_stop);
}

#endif
