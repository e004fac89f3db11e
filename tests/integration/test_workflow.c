/* Workflows against the gateway, from one table, each row in blocking and in stepped
   form with the same results: set, get, extend, cancel, stop, start, reboot, wait.
   Pauses do not wait: they move the client's clock and the gateway's. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "wire.h"

#define UPDATE "UpdateCompShareStopScheduler"
#define DELETE "DeleteCompShareStopScheduler"
#define DESCRIBE "DescribeCompShareInstance"
#define PROJECTS "GetProjectList"
#define ONE "uhost-0001"
#define AHEAD 36000             /* everybody's clock: the certificates are too new for one that is 2 h behind now */
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum { SET, SET_AT, EXTEND, CANCEL, GET, STOP, START, REBOOT, WAIT_RUNNING, WAIT_STOPPED };
static const char *const changes[] = { UPDATE, UPDATE, UPDATE, DELETE, DESCRIBE, "StopCompShareInstance",
    "StartCompShareInstance", "RebootCompShareInstance", DESCRIBE, DESCRIBE };

static harness_process gateway;
static harness_client h;
static shim s;
static int64_t base;            /* the gateway's clock when a case begins */
static uint64_t paused, carry;  /* milliseconds of pauses; those not yet passed on */

/* ---- time ---- */

static void pass(uint64_t ms)
{
    char query[64];
    h.mono_offset += ms;
    h.clock_offset += (int64_t)((carry + ms) / 1000);
    paused += ms;
    carry += ms;
    if (carry < 1000) return;
    snprintf(query, sizeof query, "advance=%d", (int)(carry / 1000));
    carry %= 1000;
    harness_set(&gateway, query);
}

static int wait_fast(void *user, unsigned want, uint32_t timeout_ms)
{
    (void)user;
    if (want == 0) {
        pass(timeout_ms);
        return COMPSHARE_OK;
    }
    return s.inner.wait(s.inner.user, want, timeout_ms < 5000 ? timeout_ms : 5000);
}

/* ---- somebody else, between two steps ---- */

static const char *meddle_line, *meddle_query;
static int meddle_left;
static char trace_log[8192];

/* "@3600" stands for a time so many seconds from the beginning of the case. */
static void set_options(const char *options)
{
    char query[900];
    size_t n = 0;
    for (; *options != '\0' && n < sizeof query - 32; ) {
        char *end;
        if (*options != '@') { query[n++] = *options++; continue; }
        n += (size_t)snprintf(query + n, 24, "%lld", (long long)(base + strtoll(options + 1, &end, 10)));
        options = end;
    }
    query[n] = '\0';
    if (n > 0) harness_set(&gateway, query);
}

static void see_trace(void *user, const char *line)
{
    (void)user;
    if (strlen(trace_log) + strlen(line) + 2 < sizeof trace_log) strcat(strcat(trace_log, line), "\n");
    if (meddle_line == NULL || strcmp(line, meddle_line) != 0 || --meddle_left != 0) return;
    set_options(meddle_query);
}

static int count_in_trace(const char *text)
{
    const char *p = trace_log;
    int n = 0;
    while ((p = strstr(p, text)) != NULL) { n++; p++; }
    return n;
}

/* ---- running ---- */

static compshare_schedule schedule;
static compshare_instance instance;
static int64_t seconds = 3600;
static unsigned mode;
static uint32_t wait_ms;
static const char *id = ONE;

static int begin(int kind, bool stepped)
{
    compshare_plan plan = { NULL, 0, 0, 0 };
    compshare_target t = target_of(id);
    plan.uhost_id = id;
    plan.mode = mode;
    if (kind == SET) plan.in_seconds = seconds;
    if (kind == SET_AT) plan.at = base + seconds;
    switch (kind) {
    case SET:
    case SET_AT: return stepped ? compshare_schedule_set_start(h.client, &plan, &schedule) : compshare_schedule_set(h.client, &plan, &schedule);
    case EXTEND: return stepped ? compshare_schedule_extend_start(h.client, id, seconds, &schedule)
        : compshare_schedule_extend(h.client, id, seconds, &schedule);
    case CANCEL: return stepped ? compshare_schedule_cancel_start(h.client, id, &schedule) : compshare_schedule_cancel(h.client, id, &schedule);
    case GET: return stepped ? compshare_schedule_get_start(h.client, id, &schedule) : compshare_schedule_get(h.client, id, &schedule);
    case STOP: return stepped ? compshare_stop_instance_start(h.client, &t) : compshare_stop_instance(h.client, &t);
    case START: return stepped ? compshare_start_instance_start(h.client, &t) : compshare_start_instance(h.client, &t);
    case REBOOT: return stepped ? compshare_reboot_instance_start(h.client, &t) : compshare_reboot_instance(h.client, &t);
    default: break;
    }
    return stepped ? compshare_wait_state_start(h.client, id, kind == WAIT_RUNNING ? "Running" : "Stopped", wait_ms, &instance)
        : compshare_wait_state(h.client, id, kind == WAIT_RUNNING ? "Running" : "Stopped", wait_ms, &instance);
}

/* What an event loop does, with pauses as fast as in wait_fast. */
static void between_steps(void)
{
    if (compshare_wants(h.client) != 0) step_wait(h.client);
    else if (compshare_timeout_ms(h.client) > 0) {
        assert_int_equal(compshare_fd(h.client), -1);
        pass(compshare_timeout_ms(h.client));
    }
}

static int run(int kind, bool stepped)
{
    int r = begin(kind, stepped);
    if (!stepped || r != COMPSHARE_OK) return r;
    while ((r = compshare_step(h.client)) == COMPSHARE_PENDING) between_steps();
    return r;
}

static void fresh_case(uint32_t timeout_ms)
{
    char clock[64];
    harness_reset(&gateway);
    base = (int64_t)time(NULL) + AHEAD;
    snprintf(clock, sizeof clock, "clock=%lld", (long long)base);
    harness_set(&gateway, clock);
    harness_configure(&h, gateway.port);
    h.config.region = NULL;
    h.clock_offset = AHEAD;
    h.config.timeout_ms = timeout_ms;
    h.config.trace = see_trace;
    shim_insert(&s, &h);
    s.io.wait = wait_fast;
    paused = carry = 0;
    trace_log[0] = '\0';
    meddle_line = NULL;
    memset(&schedule, 0xEE, sizeof schedule);
    memset(&instance, 0xEE, sizeof instance);
    seconds = 3600;
    mode = 0;
    wait_ms = 0;
    id = ONE;
}

/* ---- the table ---- */

#define LOST "drop_action=" UPDATE "&"
#define LOST_DELETE "drop_action=" DELETE "&"
#define SEEN "HTTP status 200"
#define ANY (-1)

typedef struct row {
    const char *name;
    int kind;
    const char *options;        /* of the gateway, before */
    const char *line;           /* when this line is traced for the nth time, ... */
    int nth;
    const char *query;          /* ... these options are set */
    int64_t seconds;
    unsigned mode;
    uint32_t timeout_ms;
    int64_t clock_offset;       /* of the client's local clock */
    int status;
    bool unknown;
    int executed;               /* changes at the gateway */
    int64_t plan;               /* at the gateway in the end, from base; 0 none; ANY */
    const char *words;          /* in the error text */
} row;

static const row rows[] = {
    /* plain */
    { "set", SET, "", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "set at", SET_AT, "", NULL, 0, "", 7200, 0, 15000, 0, COMPSHARE_OK, false, 1, 7200, "" },
    { "set replaces", SET, "schedule.uhost-0001=@9000", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "get", GET, "schedule.uhost-0001=@9000", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, ANY, 9000, "" },
    { "get none", GET, "", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, ANY, 0, "" },
    { "get stopped", GET, "state.uhost-0001=Stopped", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, ANY, 0, "" },
    { "extend", EXTEND, "schedule.uhost-0001=@9000", NULL, 0, "", 600, 0, 15000, 0, COMPSHARE_OK, false, 1, 9600, "" },
    { "cancel", CANCEL, "schedule.uhost-0001=@9000", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, 1, 0, "" },
    { "cancel none", CANCEL, "", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, 1, 0, "" },
    { "cancel stopped", CANCEL, "state.uhost-0001=Stopped&schedule.uhost-0001=@9000", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, 1, 0, "" },
    { "stop", STOP, "", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, 1, ANY, "" },
    { "start", START, "state.uhost-0001=Stopped", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, 1, ANY, "" },
    { "reboot", REBOOT, "", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, 1, ANY, "" },
    /* refused before the change */
    { "not running", SET, "state.uhost-0001=Starting", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_E_STATE, false, 0, 0, "\"Starting\"" },
    { "spot", SET, "charge.uhost-0001=Spot", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_E_SPOT, false, 0, 0, "Spot" },
    { "spot, extended", EXTEND, "charge.uhost-0001=Spot&schedule.uhost-0001=@9000", NULL, 0, "", 600, 0, 15000, 0, COMPSHARE_E_SPOT, false, 0, 9000, "Spot" },
    { "no project", SET, "no_default=1", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_E_PROJECT, false, 0, 0, "org-other, org-default" },
    { "no project to cancel in", CANCEL, "no_default=1", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_E_PROJECT, false, 0, 0, "set project_id" },
    { "no project needed", GET, "no_default=1", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, ANY, 0, "" },
    { "299 s", SET_AT, "", NULL, 0, "", 299, 0, 15000, 0, COMPSHARE_E_TOO_SOON, false, 0, 0, "s short" },
    { "in 299 s", SET, "", NULL, 0, "", 299, 0, 15000, 0, COMPSHARE_E_TOO_SOON, false, 0, 0, "at least 300" },
    { "in the past", SET_AT, "", NULL, 0, "", -5, 0, 15000, 0, COMPSHARE_E_TOO_SOON, false, 0, 0, "s short" },
    { "extend none", EXTEND, "", NULL, 0, "", 600, 0, 15000, 0, COMPSHARE_E_NO_PLAN, false, 0, 0, "no timed shutdown" },
    { "extend under the floor", EXTEND, "schedule.uhost-0001=@100", NULL, 0, "", 100, 0, 15000, 0, COMPSHARE_E_TOO_SOON, false, 0, 100, "s short" },
    { "extend beyond all years", EXTEND, "schedule.uhost-0001=@9000", NULL, 0, "", INT64_MAX, 0, 15000, 0, COMPSHARE_E_PARAM, false, 0, 9000, "9999" },
    { "set beyond all years", SET, "", NULL, 0, "", INT64_MAX, 0, 15000, 0, COMPSHARE_E_PARAM, false, 0, 0, "9999" },
    /* modes */
    { "only extend: later already", SET, "schedule.uhost-0001=@9000", NULL, 0, "", 3600, COMPSHARE_ONLY_EXTEND, 15000, 0, COMPSHARE_OK, false, 0, 9000, "" },
    { "only extend: the same", SET_AT, "schedule.uhost-0001=@3600", NULL, 0, "", 3600, COMPSHARE_ONLY_EXTEND, 15000, 0, COMPSHARE_OK, false, 0, 3600, "" },
    { "only extend: earlier", SET, "schedule.uhost-0001=@1800", NULL, 0, "", 3600, COMPSHARE_ONLY_EXTEND, 15000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "only extend: none", SET, "", NULL, 0, "", 3600, COMPSHARE_ONLY_EXTEND, 15000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "only shorten: later", SET, "schedule.uhost-0001=@9000", NULL, 0, "", 3600, COMPSHARE_ONLY_SHORTEN, 15000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "only shorten: earlier already", SET, "schedule.uhost-0001=@1800", NULL, 0, "", 3600, COMPSHARE_ONLY_SHORTEN, 15000, 0, COMPSHARE_OK, false, 0, 1800, "" },
    { "only shorten: none", SET, "", NULL, 0, "", 3600, COMPSHARE_ONLY_SHORTEN, 15000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    /* replies lost. An action that may be repeated is sent once more where a kept
       connection dies without a reply: two drops lose both. */
    { "lost once after", SET, LOST "drop_after=1", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_OK, false, 2, 3600, "" },
    { "lost after", SET, LOST "drop_after=2", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_OK, false, 2, 3600, "" },
    { "lost before", SET, LOST "drop_before=2", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 0, 0, "OUTCOME UNKNOWN" },
    { "extend lost after", EXTEND, LOST "drop_after=2&schedule.uhost-0001=@9000", NULL, 0, "", 600, 0, 15000, 0, COMPSHARE_OK, false, 2, 9600, "" },
    { "extend lost before", EXTEND, LOST "drop_before=2&schedule.uhost-0001=@9000", NULL, 0, "", 600, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 0, 9000, "not confirmed" },
    { "cancel lost after", CANCEL, LOST_DELETE "drop_after=2&schedule.uhost-0001=@9000", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, 2, 0, "" },
    { "cancel lost before", CANCEL, LOST_DELETE "drop_before=2&schedule.uhost-0001=@9000", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 0, 9000, DELETE },
    { "truncated", SET, LOST "truncate=1", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "502", SET, LOST "fail_next=1&fail_http=502", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 0, 0, "status is not 2xx" },
    { "110, not executed", SET, LOST "fail_next=1&fail_code=110", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 0, 0, "RetCode 110" },
    { "8438, not executed", CANCEL, LOST_DELETE "fail_next=1&fail_code=8438&schedule.uhost-0001=@9000", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 0, 9000, "RetCode 8438" },
    { "stop lost after", STOP, "drop_action=StopCompShareInstance&drop_after=1", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, 1, ANY, "" },
    { "stop lost before", STOP, "drop_action=StopCompShareInstance&drop_before=1", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 0, ANY, "state Running" },
    { "start lost after", START, "state.uhost-0001=Stopped&drop_action=StartCompShareInstance&drop_after=1", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, 1, ANY, "" },
    { "start lost before", START, "state.uhost-0001=Stopped&drop_action=StartCompShareInstance&drop_before=1", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 0, ANY, "state Stopped" },
    { "reboot lost after", REBOOT, "drop_action=RebootCompShareInstance&drop_after=1", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 1, ANY, "RebootCompShareInstance" },
    { "stop fails", STOP, "drop_action=StopCompShareInstance&drop_before=1", SEEN, 1, "state.uhost-0001=Stop%20Fail", 0, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 0, ANY, "state Stop Fail" },
    { "stop, not listed for a while", STOP, "drop_action=StopCompShareInstance&drop_after=1", "sent StopCompShareInstance", 1, "remove=1", 0, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, ANY, ANY, "no instance" },
    { "reboot seen", REBOOT, "drop_action=RebootCompShareInstance&drop_after=1", SEEN, 1, "state.uhost-0001=Rebooting", 0, 0, 15000, 0, COMPSHARE_OK, false, 1, ANY, "" },
    /* definite refusals are not read back */
    { "busy", SET, LOST "fail_next=1&fail_code=8903", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_E_API, false, 0, 0, "8903" },
    { "refused list", SET, "drop_action=" PROJECTS "&fail_next=1&fail_code=171", NULL, 0, "", 3600, 0, 15000, 0, COMPSHARE_E_API, false, 0, 0, "171" },
    { "refused reading", CANCEL, "drop_action=" DESCRIBE "&fail_next=1&fail_code=299&schedule.uhost-0001=@9000", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_E_API, false, 0, 9000, "299" },
    { "stop refused", STOP, "state.uhost-0001=Stopped", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_E_API, false, 0, ANY, "8905" },
    { "reboot refused", REBOOT, "busy.uhost-0001=1", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_E_API, false, 0, ANY, "8903" },
    /* visibility lags */
    { "lag 1", SET, "visibility_delay=1", NULL, 0, "", 3600, 0, 60000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "lag 3", EXTEND, "schedule.uhost-0001=@9000&visibility_delay=3", NULL, 0, "", 600, 0, 60000, 0, COMPSHARE_OK, false, 1, 9600, "" },
    { "lag 5", CANCEL, "schedule.uhost-0001=@9000&visibility_delay=5", NULL, 0, "", 0, 0, 60000, 0, COMPSHARE_OK, false, 1, 0, "" },
    { "lag 10", SET, "visibility_delay=10", NULL, 0, "", 3600, 0, 60000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "lag 20", SET, "visibility_delay=20", NULL, 0, "", 3600, 0, 60000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "lag 20, reply lost", SET, LOST "drop_after=2&visibility_delay=20", NULL, 0, "", 3600, 0, 60000, 0, COMPSHARE_OK, false, 2, 3600, "" },
    { "lag 40", SET, "visibility_delay=40", NULL, 0, "", 3600, 0, 120000, 0, COMPSHARE_E_UNCONFIRMED, true, 1, 3600, "accepted" },
    { "lag 25 in 10 s", CANCEL, "schedule.uhost-0001=@9000&visibility_delay=25", NULL, 0, "", 0, 0, 10000, 0, COMPSHARE_E_UNCONFIRMED, true, 1, 0, "accepted" },
    { "reading back fails for a while", SET, "", "sent " UPDATE, 1, "drop_action=" DESCRIBE "&fail_next=5&fail_http=503", 3600, 0, 60000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "reading back is dropped for a while", SET, "", "sent " UPDATE, 1, "drop_action=" DESCRIBE "&drop_after=5", 3600, 0, 60000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "reading back fails to the end", SET, "", "sent " UPDATE, 1, "drop_action=" DESCRIBE "&fail_next=99&fail_http=503", 3600, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 1, 3600, "reading back failed: HTTP status 503" },
    { "reading back is forbidden", SET, "", "sent " UPDATE, 1, "drop_action=" DESCRIBE "&fail_next=99&fail_code=299", 3600, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 1, 3600, "reading back failed" },
    /* a wrong local clock: the server's counts */
    { "2 h behind", SET, "", NULL, 0, "", 3600, 0, 15000, -7200, COMPSHARE_OK, false, 1, 3600, "" },
    { "2 h ahead", SET, "", NULL, 0, "", 3600, 0, 15000, 7200, COMPSHARE_OK, false, 1, 3600, "" },
    { "2 h ahead, 301 s", SET, "", NULL, 0, "", 301, 0, 15000, 7200, COMPSHARE_OK, false, 1, 301, "" },
    { "2 h behind, 100 s", SET_AT, "", NULL, 0, "", 100, 0, 15000, -7200, COMPSHARE_E_TOO_SOON, false, 0, 0, "s short" },
    { "2 h ahead, extended", EXTEND, "schedule.uhost-0001=@900", NULL, 0, "", 600, 0, 15000, 7200, COMPSHARE_OK, false, 1, 1500, "" },
    { "1970", SET, "", NULL, 0, "", 3600, 0, 15000, -1700000000, COMPSHARE_E_CLOCK, false, 0, 0, "clock" },
    { "2099", SET, "", NULL, 0, "", 3600, 0, 15000, INT64_C(2300000000), COMPSHARE_E_CERTIFICATE, false, 0, 0, "2099" },
    { "2 h ahead, no Date", SET, "no_date=1", NULL, 0, "", 3600, 0, 15000, 7200, COMPSHARE_OK, false, 1, 10800, "" },
    /* somebody else between two steps */
    { "changed before the update", SET, "", SEEN, 2, "schedule.uhost-0001=@9000", 3600, 0, 15000, 0, COMPSHARE_OK, false, 1, 3600, "" },
    { "changed after the update", SET, "", SEEN, 3, "schedule.uhost-0001=@9000", 3600, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 1, 9000, "the API shows 20" },
    { "cancelled after the extension", EXTEND, "schedule.uhost-0001=@9000", SEEN, 3, "schedule.uhost-0001=0", 600, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 1, 0, "no timed shutdown, state Running" },
    { "set after the cancellation", CANCEL, "schedule.uhost-0001=@9000", SEEN, 3, "schedule.uhost-0001=@5000", 0, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 1, 5000, "the API shows 20" },
    { "stopped before the update", SET, "", SEEN, 2, "state.uhost-0001=Stopped", 3600, 0, 15000, 0, COMPSHARE_E_API, false, 0, 0, "8905" },
    { "stopped after the update", SET, "", SEEN, 3, "state.uhost-0001=Stopped&schedule.uhost-0001=0", 3600, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 1, 0, "state Stopped" },
    { "stopped before the cancellation", CANCEL, "schedule.uhost-0001=@9000", SEEN, 2, "state.uhost-0001=Stopped", 0, 0, 15000, 0, COMPSHARE_OK, false, 1, 0, "" },
    { "gone before the update", SET, "", SEEN, 2, "remove=1", 3600, 0, 15000, 0, COMPSHARE_E_API, false, 0, ANY, "8039" },
    { "gone after the update", SET, "", SEEN, 3, "remove=1", 3600, 0, 15000, 0, COMPSHARE_E_UNCONFIRMED, true, 1, ANY, "reading back failed: no instance" },
    /* waiting for a state */
    { "is running", WAIT_RUNNING, "", NULL, 0, "", 0, 0, 15000, 0, COMPSHARE_OK, false, ANY, ANY, "" },
    { "starts", WAIT_RUNNING, "state.uhost-0001=Starting", SEEN, 4, "state.uhost-0001=Running", 0, 0, 60000, 0, COMPSHARE_OK, false, ANY, ANY, "" },
    { "never stops", WAIT_STOPPED, "", NULL, 0, "", 0, 0, 60000, 0, COMPSHARE_E_TIMEOUT, false, ANY, ANY, "last seen \"Running\"" },
    { "fails", WAIT_RUNNING, "state.uhost-0001=Install%20Fail", NULL, 0, "", 0, 0, 60000, 0, COMPSHARE_E_STATE, false, ANY, ANY, "Install Fail" },
    { "vanishes", WAIT_STOPPED, "", SEEN, 2, "remove=1", 0, 0, 60000, 0, COMPSHARE_E_NOT_FOUND, false, ANY, ANY, "no instance" },
    { "comes back", WAIT_RUNNING, "remove=1", SEEN, 2, "restore=1", 0, 0, 60000, 0, COMPSHARE_OK, false, ANY, ANY, "" },
    { "busy readings", WAIT_RUNNING, "drop_action=" DESCRIBE "&fail_next=4&fail_code=8903", NULL, 0, "", 0, 0, 60000, 0, COMPSHARE_OK, false, ANY, ANY, "" },
    { "unsure readings", WAIT_RUNNING, "drop_action=" DESCRIBE "&fail_next=4&fail_code=8905", NULL, 0, "", 0, 0, 60000, 0, COMPSHARE_OK, false, ANY, ANY, "" },
    { "readings fail", WAIT_RUNNING, "drop_action=" DESCRIBE "&fail_next=4&fail_http=502", NULL, 0, "", 0, 0, 60000, 0, COMPSHARE_OK, false, ANY, ANY, "" },
    { "readings forbidden", WAIT_RUNNING, "drop_action=" DESCRIBE "&fail_next=4&fail_code=299", NULL, 0, "", 0, 0, 60000, 0, COMPSHARE_E_API, false, ANY, ANY, "299" }
};

#define SAY(...) do { \
        snprintf(why, sizeof why, __VA_ARGS__); \
        fail_msg("%s, %s: %s", r->name, stepped ? "stepped" : "blocking", why); \
    } while (0)

static void check_result(const row *r, bool stepped)
{
    char why[1200];
    int64_t plan = harness_schedule(&gateway, ONE);
    bool timed = r->kind <= GET;
    if (timed && r->status != COMPSHARE_OK) {
        if (schedule.stop_time != 0 || schedule.changed || schedule.seconds_left != 0) SAY("a failure shows a result");
        return;
    }
    if (!timed) return;
    if (schedule.stop_time != plan) SAY("the result is %lld, the plan %lld", (long long)schedule.stop_time, (long long)plan);
    if (schedule.changed != (r->executed > 0)) SAY("changed is %d", schedule.changed);
    if (strcmp(schedule.uhost_id, ONE) != 0 || strcmp(schedule.zone, "cn-wlcb-01") != 0 || schedule.caveats == 0) SAY("no instance in the result");
    if (strstr(r->options, "no_date") == NULL && plan != 0 && (schedule.seconds_left > plan - base || schedule.seconds_left < plan - base - 60)) SAY("%lld s left", (long long)schedule.seconds_left);
}

static void run_row(const row *r, bool stepped)
{
    char why[1200], text[1024];
    int status, executed, reads;
    int64_t plan;
    fresh_case(r->timeout_ms);
    h.clock_offset += r->clock_offset;
    harness_open(&h);
    set_options(r->options);
    meddle_line = r->line;
    meddle_left = r->nth;
    meddle_query = r->query;
    seconds = r->seconds;
    mode = r->mode;
    status = run(r->kind, stepped);
    compshare_error_text(h.client, text, sizeof text);
    if (status != r->status) SAY("%s: %s", compshare_status_name(status), text);
    if (last(&h)->status != status || last(&h)->outcome_unknown != r->unknown) SAY("outcome_unknown is %d: %s", last(&h)->outcome_unknown, text);
    if (strstr(text, r->words) == NULL) SAY("\"%s\" is not in: %s", r->words, text);
    if (r->line != NULL && meddle_left > 0) SAY("nobody meddled");
    executed = (int)harness_count_action(&gateway, "executed_by_action", changes[r->kind]);
    if (r->executed != ANY && executed != r->executed) SAY("%d executed", executed);
    plan = harness_schedule(&gateway, ONE);
    if (r->plan != ANY && plan != (r->plan != 0 ? base + r->plan : 0) && plan != base + r->plan + 1)
        SAY("the plan is %lld from the beginning", (long long)(plan - base));
    check_result(r, stepped);
    reads = (int)harness_count_action(&gateway, "requests_by_action", DESCRIBE);
    if (reads > 22) SAY("%d readings", reads);
    if (paused > r->timeout_ms || paused > 60000) SAY("%d ms of pauses", (int)paused);
    if (strstr(trace_log, HARNESS_PRIVATE_KEY) != NULL) SAY("the trace holds a key");
    harness_set(&gateway, "drop_before=0&drop_after=0&fail_next=0&truncate=0&drop_action=&restore=1");
    h.clock_offset = AHEAD;
    id = ONE;
    if (r->status != COMPSHARE_E_CLOCK && (status = run(GET, stepped)) != COMPSHARE_OK) SAY("the client is of no more use: %s", compshare_status_name(status));
    harness_close(&h);
}

static void every_row(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        run_row(&rows[i], false);
        run_row(&rows[i], true);
    }
}

/* ---- abort and close at every step ---- */

/* Runs `kind` for at most `steps` steps. Returns how it stands. */
static int run_for(int kind, int steps)
{
    int r = begin(kind, true);
    while (r == COMPSHARE_OK && steps-- > 0) {
        if ((r = compshare_step(h.client)) != COMPSHARE_PENDING) return r;
        between_steps();
        r = COMPSHARE_OK;
    }
    return r == COMPSHARE_OK ? COMPSHARE_PENDING : r;
}

static void prepare(int kind)
{
    fresh_case(60000);
    set_options(kind == START ? "state.uhost-0001=Stopped" : kind == WAIT_STOPPED ? "" : "schedule.uhost-0001=@9000&visibility_delay=2");
    harness_open(&h);
}

static void abort_everywhere(void **state)
{
    int kind, k, r, before = count_descriptors();
    (void)state;
    for (kind = SET; kind <= WAIT_STOPPED; kind++) {
        for (k = 0; ; k++) {
            char sent[64];
            bool change = kind <= CANCEL || kind == STOP || kind == START || kind == REBOOT, was_sent;
            prepare(kind);
            r = run_for(kind, k);
            if (r != COMPSHARE_PENDING) break;
            r = compshare_abort(h.client);
            snprintf(sent, sizeof sent, "sent %s\n", changes[kind]);
            was_sent = change && count_in_trace(sent) > 0;
            if (r != COMPSHARE_E_ABORTED || last(&h)->status != r) fail_msg("kind %d, step %d: %d", kind, k, r);
            if (was_sent && !last(&h)->outcome_unknown) fail_msg("kind %d, step %d: sent, and not unknown", kind, k);
            if (change && !was_sent && strcmp(last(&h)->action, changes[kind]) != 0 && last(&h)->outcome_unknown && strstr(trace_log, "sent") == NULL)
                fail_msg("kind %d, step %d: unknown, and nothing was sent", kind, k);
            if (harness_count_action(&gateway, "executed_by_action", changes[kind]) > 0 && change && !last(&h)->outcome_unknown)
                fail_msg("kind %d, step %d: executed, and not unknown", kind, k);
            if (kind <= GET && (schedule.stop_time != 0 || schedule.changed)) fail_msg("kind %d, step %d: a result is left", kind, k);
            assert_int_equal(compshare_step(h.client), COMPSHARE_E_IDLE);
            set_options("visibility_delay=0");
            if ((r = run(GET, k % 2 == 0)) != COMPSHARE_OK) fail_msg("kind %d, step %d: of no more use: %s", kind, k, last(&h)->detail);
            harness_close(&h);
            assert_int_equal(s.open_now, 0);
            assert_int_equal(count_descriptors(), before);
        }
        if (k < 3) fail_msg("kind %d took %d steps", kind, k);
        if (kind != WAIT_STOPPED) harness_expect(&h, r, COMPSHARE_OK);
        harness_close(&h);
    }
}

static void close_everywhere(void **state)
{
    int kind, k, r, before = count_descriptors();
    size_t i;
    (void)state;
    for (kind = SET; kind <= WAIT_STOPPED; kind++)
        for (k = 0, r = COMPSHARE_PENDING; r == COMPSHARE_PENDING; k++) {
            prepare(kind);
            r = run_for(kind, k);
            harness_close(&h);
            for (i = 0; i < sizeof h.memory; i++)
                if (h.memory[i] != 0) fail_msg("kind %d, step %d: byte %zu is not wiped", kind, k, i);
            assert_int_equal(count_descriptors(), before);
        }
}

/* ---- single questions ---- */

static void parameters(void **state)
{
    static const compshare_plan plans[] = {
        { NULL, 0, 3600, 0 }, { "", 0, 3600, 0 }, { ONE, 0, 0, 0 }, { ONE, 1, 3600, 0 }, { ONE, -1, 0, 0 }, { ONE, 0, -1, 0 }, { ONE, 0, 3600, 3 }, { ONE, 0, 3600, 4 }
    };
    size_t i;
    (void)state;
    fresh_case(15000);
    harness_open(&h);
    for (i = 0; i < COUNT(plans); i++) {
        assert_int_equal(compshare_schedule_set(h.client, &plans[i], &schedule), COMPSHARE_E_PARAM);
        assert_int_equal(compshare_schedule_set_start(h.client, &plans[i], NULL), COMPSHARE_E_PARAM);
        assert_int_equal(last(&h)->stage, COMPSHARE_STAGE_PREPARE);
    }
    assert_int_equal(compshare_schedule_set(h.client, NULL, NULL), COMPSHARE_E_PARAM);
    assert_int_equal(compshare_schedule_extend(h.client, ONE, 0, NULL), COMPSHARE_E_PARAM);
    assert_int_equal(compshare_schedule_extend(h.client, ONE, INT64_MIN, NULL), COMPSHARE_E_PARAM);
    assert_int_equal(compshare_schedule_cancel(h.client, "", NULL), COMPSHARE_E_PARAM);
    assert_int_equal(compshare_schedule_get(h.client, NULL, NULL), COMPSHARE_E_PARAM);
    assert_int_equal(compshare_wait_state(h.client, ONE, NULL, 0, NULL), COMPSHARE_E_PARAM);
    assert_int_equal(compshare_wait_state(h.client, ONE, "", 0, NULL), COMPSHARE_E_PARAM);
    assert_int_equal(compshare_wait_state(h.client, NULL, "Running", 0, NULL), COMPSHARE_E_PARAM);
    expect_count(&gateway, "requests", 0);
    assert_int_equal(compshare_schedule_set(NULL, &plans[0], NULL), COMPSHARE_E_CONFIG);
    assert_int_equal(compshare_schedule_get(NULL, ONE, NULL), COMPSHARE_E_CONFIG);
    assert_int_equal(compshare_stop_instance(NULL, NULL), COMPSHARE_E_CONFIG);
    id = "uhost-9999";
    assert_int_equal(run(SET, false), COMPSHARE_E_NOT_FOUND);
    assert_int_equal(run(EXTEND, true), COMPSHARE_E_NOT_FOUND);
    assert_int_equal(run(CANCEL, false), COMPSHARE_E_NOT_FOUND);
    assert_int_equal(run(GET, true), COMPSHARE_E_NOT_FOUND);
    expect_executed(&gateway, UPDATE, 0);
    expect_executed(&gateway, DELETE, 0);
    harness_close(&h);
}

/* One list of projects a client, none where the configuration has one. */
static void project_is_remembered(void **state)
{
    (void)state;
    fresh_case(15000);
    harness_open(&h);
    harness_expect(&h, run(SET, false), COMPSHARE_OK);
    harness_expect(&h, run(EXTEND, true), COMPSHARE_OK);
    harness_expect(&h, run(CANCEL, false), COMPSHARE_OK);
    expect_requested(&gateway, PROJECTS, 1);
    expect_requested(&gateway, DESCRIBE, 6);
    expect_count(&gateway, "connections", 1);
    harness_close(&h);
    h.config.project_id = PROJECT;
    harness_open(&h);
    harness_expect(&h, run(SET, false), COMPSHARE_OK);
    expect_requested(&gateway, PROJECTS, 1);
    harness_close(&h);
    h.config.project_id = "org-stranger";
    harness_open(&h);
    assert_int_equal(run(SET, false), COMPSHARE_E_API);
    expect_executed(&gateway, UPDATE, 3);
    harness_close(&h);
}

static void caveats(void **state)
{
    static const struct { const char *charge; unsigned caveats; } cases[] = {
        { "Postpay", COMPSHARE_GETS_RELEASED }, { "Day", COMPSHARE_KEEPS_BILLING | COMPSHARE_GETS_RELEASED },
        { "Month", COMPSHARE_KEEPS_BILLING | COMPSHARE_GETS_RELEASED }, { "Year", COMPSHARE_KEEPS_BILLING | COMPSHARE_GETS_RELEASED }
    };
    size_t i;
    (void)state;
    fresh_case(15000);
    harness_open(&h);
    for (i = 0; i < COUNT(cases); i++) {
        char query[64];
        snprintf(query, sizeof query, "charge." ONE "=%s", cases[i].charge);
        harness_set(&gateway, query);
        harness_expect(&h, run(SET, i % 2 == 0), COMPSHARE_OK);
        assert_int_equal(schedule.caveats, cases[i].caveats);
        assert_string_equal(schedule.charge_type, cases[i].charge);
        assert_string_equal(schedule.state, "Running");
        assert_true(schedule.previous == 0 || i > 0);
    }
    harness_close(&h);
}

/* A reply that does not come at all: half of the time is left to read back. */
static void stalled_reply(void **state)
{
    int stepped;
    (void)state;
    for (stepped = 0; stepped < 2; stepped++) {
        fresh_case(3000);
        harness_open(&h);
        meddle_line = "sent " DESCRIBE;     /* the reading before it is over by then */
        meddle_left = 1;
        meddle_query = "delay_ms=0";
        harness_expect(&h, run(GET, false), COMPSHARE_OK);
        meddle_line = "HTTP status 200";
        meddle_left = 2;
        meddle_query = "delay_ms=1800";
        s.tick_ms = 0;
        harness_expect(&h, run(SET, stepped != 0), COMPSHARE_E_UNCONFIRMED);
        assert_true(last(&h)->outcome_unknown);
        expect_executed(&gateway, UPDATE, 1);
        harness_close(&h);
    }
}

/* The wait's own time counts, longer or shorter than the configuration's. */
static void time_of_a_wait(void **state)
{
    static const uint32_t times[] = { 0, 3000, 60000 };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(times); i++) {
        uint64_t whole = times[i] != 0 ? times[i] : 10000;
        fresh_case(10000);
        harness_open(&h);
        wait_ms = times[i];
        assert_int_equal(run(WAIT_STOPPED, i % 2 == 1), COMPSHARE_E_TIMEOUT);
        assert_true(paused <= whole && paused > whole - 1000);
        assert_string_equal(instance.state, "Running");
        assert_true(harness_count_action(&gateway, "requests_by_action", DESCRIBE) <= 20);
        harness_close(&h);
    }
}

/* Only where readings have shown to the end that nothing happened is a stop sent
   again, and only where that was asked for; a reboot never. */
static void sent_again_after_reading(void **state)
{
    (void)state;
    fresh_case(20000);          /* not time enough for such readings */
    h.config.max_retries = 1;
    harness_open(&h);
    harness_set(&gateway, "drop_action=StopCompShareInstance&drop_before=1");
    assert_int_equal(run(STOP, true), COMPSHARE_E_UNCONFIRMED);
    expect_requested(&gateway, "StopCompShareInstance", 1);
    harness_close(&h);
    fresh_case(90000);          /* one of them fails */
    h.config.max_retries = 1;
    harness_open(&h);
    harness_set(&gateway, "drop_action=StopCompShareInstance&drop_before=1");
    meddle_line = "sent " DESCRIBE;
    meddle_left = 3;
    meddle_query = "drop_action=" DESCRIBE "&drop_after=9";
    assert_int_equal(run(STOP, false), COMPSHARE_E_UNCONFIRMED);
    assert_true(meddle_left <= 0);
    expect_requested(&gateway, "StopCompShareInstance", 1);
    harness_close(&h);
    fresh_case(90000);
    h.config.max_retries = 1;
    harness_open(&h);
    harness_set(&gateway, "drop_action=StopCompShareInstance&drop_before=1");
    harness_expect(&h, run(STOP, false), COMPSHARE_OK);
    expect_executed(&gateway, "StopCompShareInstance", 1);
    assert_true(paused > 28000 && paused < 31000);
    harness_set(&gateway, "state." ONE "=Running&drop_action=RebootCompShareInstance&drop_before=1");
    assert_int_equal(run(REBOOT, true), COMPSHARE_E_UNCONFIRMED);
    expect_executed(&gateway, "RebootCompShareInstance", 0);
    harness_close(&h);
}

static int start(void **state) { (void)state; gateway = harness_gateway("ec", NULL); return 0; }
static int stop(void **state) { (void)state; harness_stop(&gateway); return 0; }

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_row), T(abort_everywhere), T(close_everywhere), T(parameters), T(project_is_remembered), T(caveats),
        T(stalled_reply), T(time_of_a_wait), T(sent_again_after_reading)
    };
    return cmocka_run_group_tests_name("workflows", tests, start, stop);
}
