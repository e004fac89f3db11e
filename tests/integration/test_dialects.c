/* Every workflow in every dialect of tests/gateway/dialects.h, blocking and stepped, with
   its change delivered in every way, after every history that matters. One such
   combination is a cell. It is judged by what is really so in the gateway afterwards, and
   by what a client could know: law 7 of the manual.

       test_dialects [-v] [PATTERN...]     cells by name, "stop/lag-*"; -v: with their traces
       COMPSHARE_TEST_ALL=1                every cell in both forms

   Clocks stand still; a pause moves the client's and the gateway's. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "transport.h"
#include "../gateway/dialects.h"

#include <fnmatch.h>

#define UPDATE "UpdateCompShareStopScheduler"
#define DELETE "DeleteCompShareStopScheduler"
#define STOPPING "StopCompShareInstance"
#define STARTING "StartCompShareInstance"
#define REBOOTING "RebootCompShareInstance"
#define AHEAD 36000         /* s: the certificates are too new for the present */
#define DEADLINE 60         /* s, of every call */
#define PAUSES 5            /* s of it that pass before a reading is due */
#define SLACK 20            /* s of it that a change that has to be sent again may cost */
#define MEMORY 60           /* s for which a client holds to what it did itself */
#define NEAR 59             /* s by which a time may differ: gateways round to the minute */
#define LATE 8              /* s after which the gateway executes what it executes late */
#define PLAN 9000           /* s from the beginning: the plan that was there before */
#define WANTED 7200         /* the one that is asked for by its time */
#define THEIRS 12000        /* the one that somebody else sets */
#define HOUR 3600           /* or in so many seconds */
#define LEAST 300
#define MORE 600            /* by which a plan is extended */
#define OTHER "uhost-0003"  /* an instance that is none of a cell's business */
#define REPEATS 6           /* how often a change that may be repeated may be executed at most */

/* ---- cells ---- */

typedef enum task {
    SET_AT, SET_IN, SET_FLOOR, ONLY_EXTEND, ONLY_SHORTEN, EXTEND, CANCEL, STOP, START, REBOOT,
    GET, WAIT, DESCRIBE, EACH, TASKS
} task;

/* What happens to the change. UNCLEAR: a 502, or RetCode 110 or 8438. OVERTAKEN: it is lost,
   and somebody else sets another plan. */
typedef enum fault {
    NO_FAULT, LOST_BEFORE, LOST_AFTER, UNCLEAR_NOT_DONE, UNCLEAR_DONE, DONE_LATE, OVERTAKEN, FAULTS
} fault;

/* What was so before. BY_OTHER and BY_SELF: the opposite of what is asked for was done 2 s
   ago, so that a late reading may show what is asked for. */
typedef enum history { NOTHING, PLANNED, BY_OTHER, BY_SELF, HISTORIES } history;

typedef struct cell {
    task task;
    const dialect *d;
    bool stepped;
    fault fault;
    history history;
} cell;

static const struct { const char *name, *change; } tasks[TASKS] = {
    { "set_at", UPDATE }, { "set_in", UPDATE }, { "set_floor", UPDATE },
    { "only_extend", UPDATE }, { "only_shorten", UPDATE }, { "extend", UPDATE },
    { "cancel", DELETE }, { "stop", STOPPING }, { "start", STARTING }, { "reboot", REBOOTING },
    { "get", NULL }, { "wait", NULL }, { "describe", NULL }, { "each", NULL }
};

static const struct { const char *name, *options; } faults[FAULTS] = {
    { "sent", "" }, { "lost-before", "&drop_before=1" }, { "lost-after", "&drop_after=1" },
    { "unclear-not-done", "&fail_next=1&fail_" }, { "unclear-done", "&hide_next=1&hide_" },
    { "done-late", "&late_next=1" }, { "overtaken", "&drop_before=1" }
};

static const char *const histories[HISTORIES] = { "nothing", "planned", "by-other", "by-self" };

static bool is_power(task t) { return t == STOP || t == START || t == REBOOT; }
static bool is_set(task t) { return t <= EXTEND; }
static bool about_state(task t) { return is_power(t) || t == WAIT || t == DESCRIBE || t == EACH; }

static bool is_about_power(const dialect *d)
{
    return d == dialects || strstr(d->options, "state") != NULL
        || strstr(d->options, "power") != NULL;
}

/* Combinations that say nothing new are left out. */
static bool cell_makes_sense(const cell *c)
{
    bool list = (c->d->may & DIALECT_LIST) != 0, changes = tasks[c->task].change != NULL;
    if (c->task == EACH) return c->fault == NO_FAULT && c->history == NOTHING;
    if (c->fault == OVERTAKEN && (about_state(c->task) || c->history > PLANNED)) return false;
    if (list || (!changes && c->fault != NO_FAULT)) return false;
    if (c->task == SET_FLOOR) return (c->d->may & DIALECT_FLOOR) && c->history == NOTHING;
    if (c->d->may & DIALECT_GONE) return c->fault == NO_FAULT && c->history == NOTHING;
    if (!about_state(c->task)) return true;
    if ((c->d->may & DIALECT_ODD_STATE) && c->history != NOTHING) return false;
    /* what is read to the end in vain is read to the end in a few dialects */
    if (c->fault == UNCLEAR_NOT_DONE || (c->task == REBOOT && c->fault != NO_FAULT))
        if (!is_about_power(c->d)) return false;
    return c->history != PLANNED;
}

static const char *cell_name(const cell *c)
{
    static char name[128];
    snprintf(name, sizeof name, "%s/%s/%s/%s/%s", tasks[c->task].name, c->d->name,
        c->stepped ? "stepped" : "blocking", faults[c->fault].name, histories[c->history]);
    return name;
}

/* ---- the gateway ---- */

static harness_process gateway;
static harness_client h;
static int64_t base;        /* the present when a cell begins */

/* The caller frees the text. */
static char *control(const char *path, const char *query)
{
    static char all[2048];
    int n = snprintf(all, sizeof all, "/%s?%s", path, query);
    assert_true(n > 0 && (size_t)n < sizeof all);
    return harness_control_kept(&gateway, all);
}

static void control_set(const char *query) { free(control("set", query)); }

static void pass(uint32_t ms)
{
    char query[48];
    h.clock.ms += ms;
    snprintf(query, sizeof query, "advance_ms=%u", ms);
    control_set(query);
}

/* What is so, in the gateway. */
typedef struct truth {
    int64_t plan;           /* from the beginning; 0: none */
    char state[32];
    int reboots, executed, requested;
    size_t instances;
} truth;

static truth look(const cell *c, const char *query)
{
    char *text = control("stats", query);
    json_t *stats = json_loads(text, 0, NULL), *one, *all;
    const char *change = tasks[c->task].change, *state;
    truth t;
    free(text);
    assert_non_null(stats);
    memset(&t, 0, sizeof t);
    all = json_object_get(stats, "instances");
    one = json_object_get(all, c->d->id != NULL ? c->d->id : "uhost-0001");
    state = json_string_value(json_object_get(one, "state"));
    t.plan = (int64_t)json_integer_value(json_object_get(one, "schedule"));
    if (t.plan != 0) t.plan -= base;
    snprintf(t.state, sizeof t.state, "%s", state != NULL ? state : "gone");
    t.reboots = (int)json_integer_value(json_object_get(one, "reboots"));
    t.instances = json_object_size(all);
    if (change != NULL) {
        json_t *executed = json_object_get(stats, "executed_by_action");
        json_t *requested = json_object_get(stats, "requests_by_action");
        t.executed = (int)json_integer_value(json_object_get(executed, change));
        t.requested = (int)json_integer_value(json_object_get(requested, change));
    }
    json_decref(stats);
    return t;
}

/* ---- the client ---- */

static shim s;
static compshare_session session;
static bool tracing;

/* What a cell came to. */
static struct outcome {
    int status;
    bool unknown, worded;
    char text[COMPSHARE_ERROR_TEXT];
    compshare_schedule schedule;
    compshare_instance instance;
    bool seen[256];         /* instances of a list, by number */
    uint64_t took;          /* ms */
} out;

static void cell_trace(void *user, const char *line)
{
    (void)user;
    if (tracing) printf("#   %6.2f s  %s\n", (double)h.clock.ms / 1000, line);
}

/* Real time passes only until the peer has answered, which it always does. */
static int cell_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    (void)user;
    if (want == 0) pass(timeout_ms);
    else if (poll_for(s.posix.fd, want, 20000) == 0) fail_msg("the peer is silent");
    return COMPSHARE_OK;
}

static void client_open(const cell *c)
{
    uint64_t passed = h.clock.ms;
    harness_configure(&h, gateway.port);
    fake_clock_together(&h.clock, base);
    h.clock.ms = passed;
    h.config.region = c->d->region;
    h.config.zone = c->d->zone;
    h.config.project_id = c->d->project;
    h.config.timeout_ms = DEADLINE * 1000;
    h.config.session = &session;
    h.config.trace = cell_trace;
    shim_insert(&s, &h);
    s.io.wait = cell_wait;
    harness_open(&h);
}

static int on_instance(void *user, const compshare_instance *i, compshare_value element)
{
    const char *dash = strrchr(i->uhost_id, '-');
    unsigned long n = dash != NULL ? strtoul(dash + 1, NULL, 10) : 0;
    (void)user;
    (void)element;
    if (n < COUNT(out.seen)) out.seen[n] = true;
    return 0;
}

static const char *cell_id(const cell *c) { return c->d->id != NULL ? c->d->id : "uhost-0001"; }

/* What the library does not find by itself, for single calls of the past. */
static compshare_target full_target(const cell *c)
{
    bool moved = strstr(c->d->options, DIALECT_SH2) != NULL;
    compshare_target t;
    memset(&t, 0, sizeof t);
    t.uhost_id = cell_id(c);
    t.region = moved ? "cn-sh2" : "cn-wlcb";
    t.zone = moved ? "cn-sh2-02" : "cn-wlcb-01";
    t.project_id = strstr(c->d->options, DIALECT_OTHER) != NULL ? "org-other" : "org-default";
    return t;
}

static compshare_plan plan_of(const cell *c)
{
    compshare_plan p;
    memset(&p, 0, sizeof p);
    p.uhost_id = cell_id(c);
    if (c->task == SET_IN) p.in_seconds = HOUR;
    else if (c->task == SET_FLOOR) p.in_seconds = LEAST;
    else p.at = base + WANTED;
    if (c->task == ONLY_EXTEND) p.mode = COMPSHARE_ONLY_EXTEND;
    if (c->task == ONLY_SHORTEN) p.mode = COMPSHARE_ONLY_SHORTEN;
    return p;
}

static int run_blocking(const cell *c)
{
    const char *id = cell_id(c);
    compshare_plan p = plan_of(c);
    compshare_target t;
    memset(&t, 0, sizeof t);
    t.uhost_id = id;
    switch (c->task) {
    case EXTEND: return compshare_schedule_extend(h.client, id, MORE, &out.schedule);
    case CANCEL: return compshare_schedule_cancel(h.client, id, &out.schedule);
    case GET: return compshare_schedule_get(h.client, id, &out.schedule);
    case STOP: return compshare_stop_instance(h.client, &t);
    case START: return compshare_start_instance(h.client, &t);
    case REBOOT: return compshare_reboot_instance(h.client, &t);
    case WAIT: return compshare_wait_state(h.client, id, "Stopped", 0, &out.instance);
    case DESCRIBE: return compshare_describe_instance(h.client, &t, &out.instance);
    case EACH: return compshare_each_instance(h.client, NULL, on_instance, NULL);
    default: return compshare_schedule_set(h.client, &p, &out.schedule);
    }
}

static int start_stepped(const cell *c, const compshare_plan *p, const compshare_target *t)
{
    const char *id = cell_id(c);
    switch (c->task) {
    case EXTEND: return compshare_schedule_extend_start(h.client, id, MORE, &out.schedule);
    case CANCEL: return compshare_schedule_cancel_start(h.client, id, &out.schedule);
    case GET: return compshare_schedule_get_start(h.client, id, &out.schedule);
    case STOP: return compshare_stop_instance_start(h.client, t);
    case START: return compshare_start_instance_start(h.client, t);
    case REBOOT: return compshare_reboot_instance_start(h.client, t);
    case WAIT: return compshare_wait_state_start(h.client, id, "Stopped", 0, &out.instance);
    case DESCRIBE: return compshare_describe_instance_start(h.client, t, &out.instance);
    case EACH: return compshare_each_instance_start(h.client, NULL, on_instance, NULL);
    default: return compshare_schedule_set_start(h.client, p, &out.schedule);
    }
}

static int run_stepped(const cell *c)
{
    compshare_plan p = plan_of(c);
    compshare_target t;
    int r;
    memset(&t, 0, sizeof t);
    t.uhost_id = cell_id(c);
    r = start_stepped(c, &p, &t);
    if (r != COMPSHARE_OK) return r;
    while ((r = compshare_step(h.client)) == COMPSHARE_PENDING) {
        uint32_t timeout = compshare_timeout_ms(h.client);
        if (timeout > 0) (void)cell_wait(NULL, compshare_wants(h.client), timeout);
    }
    return r;
}

/* ---- the past ---- */

/* The state in which the task finds its instance; NULL: the dialect's. */
static const char *state_before(const cell *c)
{
    if (c->d->may & (DIALECT_ODD_STATE | DIALECT_GONE)) return NULL;
    if (c->task == START || (c->task == WAIT && c->history == NOTHING)) return "Stopped";
    return "Running";
}

static const char *opposite(const char *state)
{
    return strcmp(state, "Running") == 0 ? "Stopped" : "Running";
}

/* Adds "&name.uhost-0001=..." */
static void add(char *query, size_t cap, const char *format, ...)
{
    size_t len = strlen(query);
    va_list args;
    int n;
    va_start(args, format);
    n = vsnprintf(query + len, cap - len, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < cap - len);
}

/* For tasks about the state: it was the other one until 2 s ago. A wait is for what has
   come about by then. */
static void past_state(const cell *c, char *query, size_t cap)
{
    const char *state = state_before(c);
    bool recent = c->history == BY_OTHER || c->history == BY_SELF;
    if (state == NULL) return;
    if (c->task == WAIT && recent) state = opposite(state);
    add(query, cap, "&state.uhost-0001=%s", recent ? opposite(state) : state);
    if (c->history == BY_OTHER) add(query, cap, "&other_state.uhost-0001=%s&advance=2", state);
}

/* Cancel and extend have something to do only where there is a plan. */
static bool needs_plan(task t) { return t == CANCEL || t == EXTEND; }

/* For tasks about the plan: the time that is asked for stood there until 2 s ago, or, where
   a plan is needed, there was none until then. */
static void past_plan(const cell *c, char *query, size_t cap)
{
    long long plan = (long long)(base + PLAN);
    long long wanted = (long long)base + (c->task == SET_IN ? HOUR : WANTED);
    const char *state = state_before(c);
    if (state != NULL) add(query, cap, "&state.uhost-0001=%s", state);
    if (c->history == NOTHING) return;
    if (c->history == PLANNED) add(query, cap, "&schedule.uhost-0001=%lld", plan);
    else if (!needs_plan(c->task)) add(query, cap, "&schedule.uhost-0001=%lld", wanted);
    if (c->history != BY_OTHER) return;
    if (!needs_plan(c->task)) plan = 0;
    add(query, cap, "&other_schedule.uhost-0001=%lld&advance=2", plan);
}

/* What this client itself did 2 s ago. False: this dialect does not let it. */
static bool past_self(const cell *c)
{
    compshare_target t = full_target(c);
    switch (c->task) {
    case STOP: case REBOOT: case DESCRIBE:
        return compshare_start_instance(h.client, &t) == COMPSHARE_OK;
    case START: case WAIT: return compshare_stop_instance(h.client, &t) == COMPSHARE_OK;
    case CANCEL: case EXTEND:
        return compshare_update_stop_scheduler(h.client, &t, base + PLAN) == COMPSHARE_OK;
    default: return compshare_delete_stop_scheduler(h.client, &t) == COMPSHARE_OK;
    }
}

static void arm(const cell *c, char *query, size_t cap)
{
    static const char *const unclear[] = { "http=502", "code=110", "code=8438", "http=504" };
    const char *change = tasks[c->task].change;
    if (c->fault == NO_FAULT) return;
    add(query, cap, "&drop_action=%s%s", change, faults[c->fault].options);
    if (c->fault == UNCLEAR_DONE || c->fault == UNCLEAR_NOT_DONE)
        add(query, cap, "%s", unclear[c->history]);
    if (c->fault == OVERTAKEN)
        add(query, cap, "&then_action=%s&then_set=other_schedule.uhost-0001=%lld", change,
            (long long)(base + THEIRS));
}

/* Makes the world of a cell, and a client in it. Whatever the client did before is in
   *before. False: not in this dialect. */
static bool prepare(const cell *c, truth *before)
{
    bool used = c->d->later != NULL || c->history == BY_SELF;
    bool odd = strncmp(c->d->options, "odd=", 4) == 0;      /* readings of what is asked for */
    char query[1024] = "";
    h.clock.ms = 0;
    memset(&out, 0, sizeof out);
    memset(before, 0, sizeof *before);
    add(query, sizeof query, "frozen=1&brief=2&clock=%lld&dialect=%s", (long long)base, c->d->name);
    if (about_state(c->task)) past_state(c, query, sizeof query);
    else past_plan(c, query, sizeof query);
    if (c->history == BY_OTHER) h.clock.ms += 2000;
    if (!used) arm(c, query, sizeof query);
    else if (odd) add(query, sizeof query, "&odd=none");
    free(control("reset", query));
    client_open(c);
    if (!used) return true;
    if (c->d->later != NULL) (void)compshare_schedule_cancel(h.client, OTHER, NULL);
    if (c->history == BY_SELF && !past_self(c)) return false;
    h.clock.ms += 2000;
    snprintf(query, sizeof query, "advance=2&dialect_later=%s", c->d->name);
    if (odd) add(query, sizeof query, "&dialect=%s", c->d->name);
    arm(c, query, sizeof query);
    control_set(query);
    *before = look(c, "");
    /* a change that this dialect has accepted and not made is no past */
    return c->history != BY_SELF || !needs_plan(c->task) || before->plan != 0;
}

static void run(const cell *c)
{
    uint64_t began = h.clock.ms;
    const compshare_error *e;
    out.status = c->stepped ? run_stepped(c) : run_blocking(c);
    out.took = h.clock.ms - began;
    e = compshare_last_error(h.client);
    out.unknown = e->outcome_unknown;
    out.worded = out.status == COMPSHARE_OK || e->detail[0] != '\0';
    compshare_error_text(h.client, out.text, sizeof out.text);
}

/* ---- judging ---- */

static int64_t from_base(int64_t time) { return time != 0 ? time - base : 0; }

static bool is_near(int64_t a, int64_t b)
{
    int64_t apart = a > b ? a - b : b - a;
    return a == 0 || b == 0 ? a == b : apart <= NEAR;
}

/* Somebody else's change of 2 s ago does not show yet: nobody can know of it. */
static bool is_stale(const cell *c)
{
    int lag = about_state(c->task) ? c->d->state_lag : c->d->schedule_lag;
    return c->history == BY_OTHER && lag > 2;
}

/* The plan that a client sees first. */
static int64_t plan_seen(const cell *c)
{
    bool there = needs_plan(c->task);
    if (c->d->may & DIALECT_HIDDEN || c->history == NOTHING) return 0;
    if (c->history == PLANNED) return PLAN;
    if (is_stale(c)) there = !there;
    if (!there) return 0;
    return needs_plan(c->task) ? PLAN : c->task == SET_IN ? HOUR : WANTED;
}

/* A reading that lacks the plan is no proof, but what else can a client go by. */
static bool plan_may_be_missed(const cell *c)
{
    return (c->d->may & (DIALECT_HIDDEN | DIALECT_ODD_PLAN_ONCE)) != 0;
}

static bool plan_is_wanted(const cell *c, int64_t plan)
{
    int64_t took = (int64_t)(h.clock.ms / 1000);
    int64_t in = c->task == SET_IN ? HOUR : c->task == SET_FLOOR ? LEAST : 0;
    if (in != 0) return plan >= in - NEAR && plan <= in + took + NEAR;
    return is_near(plan, c->task == EXTEND ? PLAN + MORE : WANTED);
}

/* A mode that leaves a plan alone does so by what it can see. */
static bool left_alone_rightly(const cell *c, int64_t said, int64_t plan)
{
    if (c->task == ONLY_EXTEND ? said < WANTED - NEAR : said > WANTED + NEAR) return false;
    if (said == 0 || (c->task != ONLY_EXTEND && c->task != ONLY_SHORTEN)) return false;
    return is_near(said, plan) || (is_stale(c) && is_near(said, plan_seen(c)));
}

static const char *lie_of_get(const cell *c, int64_t said, int64_t plan)
{
    bool forgotten = c->history == BY_SELF && c->d->schedule_lag > MEMORY;
    if (forgotten && out.took + 2000 >= MEMORY * 1000) return NULL;
    if (is_near(said, plan) || (said == 0 && plan_may_be_missed(c))) return NULL;
    return is_stale(c) && is_near(said, plan_seen(c)) ? NULL : "it shows another plan";
}

static const char *lie_of_cancel(int64_t said, int64_t plan)
{
    return said != 0 ? "it shows a plan" : plan != 0 ? "the plan is still there" : NULL;
}

static const char *lie_of_set(const cell *c, int64_t said, int64_t plan)
{
    bool down = c->task == ONLY_EXTEND && c->history == PLANNED && !plan_may_be_missed(c);
    if (!out.schedule.changed)
        return left_alone_rightly(c, said, plan) ? NULL : "it was not to be left alone";
    if (!is_near(said, plan)) return "the plan is another one";
    if (!plan_is_wanted(c, plan)) return "the plan is not what was asked for";
    return down ? "it was brought down" : NULL;
}

static bool any_state(const char *state, const char *a, const char *b)
{
    return strcmp(state, a) == 0 || strcmp(state, b) == 0;
}

static const char *lie_about_list(const cell *c, const truth *t)
{
    size_t n, total = c->d->may & DIALECT_LIST && c->d->region == NULL ? t->instances : 3;
    size_t first = c->d->may & (DIALECT_ELSEWHERE | DIALECT_GONE) ? 2 : 1;
    if (strcmp(c->d->name, "total-of-all") == 0) { first = 2; total = t->instances; }
    if (c->d->may & DIALECT_EMPTY_LONG) return NULL;
    for (n = first; n <= total; n++)
        if (!out.seen[n]) return "an instance was missed";
    return NULL;
}

static const char *lie_about_state(const cell *c, const truth *t)
{
    switch (c->task) {
    case STOP: return any_state(t->state, "Stopped", "Stopping") ? NULL : "it is not stopped";
    case START: return any_state(t->state, "Running", "Starting") ? NULL : "it is not started";
    case REBOOT: return t->reboots == 1 ? NULL : "it was not rebooted";
    case WAIT: return strcmp(t->state, "Stopped") == 0 ? NULL : "it is not Stopped";
    case EACH: return lie_about_list(c, t);
    default: break;
    }
    if (strcmp(out.instance.state, t->state) == 0 || is_stale(c)) return NULL;
    return c->d->may & DIALECT_ODD_STATE_ONCE ? NULL : "it shows another state";
}

/* What is wrong with a success, or with a failure that claims to have changed nothing. */
static const char *find_lie(const cell *c, const truth *t, int executed)
{
    int64_t said = from_base(out.schedule.stop_time);
    if (out.status != COMPSHARE_OK)
        return !out.unknown && executed > 0 ? "it was executed, and is not told" : NULL;
    if (c->d->may & DIALECT_GONE && c->task != EACH) return "there is no such instance";
    if (about_state(c->task)) return lie_about_state(c, t);
    if (c->task == GET) return lie_of_get(c, said, t->plan);
    return c->task == CANCEL ? lie_of_cancel(said, t->plan) : lie_of_set(c, said, t->plan);
}

/* What the result says beside the plan, of a change that was sent. */
static const char *find_contradiction(const cell *c, int executed)
{
    const compshare_schedule *r = &out.schedule;
    bool told = out.status == COMPSHARE_OK ? r->changed : out.status == COMPSHARE_E_UNCONFIRMED;
    if (about_state(c->task) || c->task == GET || !told) return NULL;
    if (r->accepted && executed == 0) return "nothing was accepted";
    if (!r->accepted && executed > 0 && c->fault == NO_FAULT) return "it was accepted";
    if (out.status == COMPSHARE_OK && r->shown != r->stop_time) return "it showed another time";
    if (c->task == CANCEL ? r->requested != 0 : !plan_is_wanted(c, from_base(r->requested)))
        return "another time was asked for";
    return NULL;
}

/* Whether a plan is gone that somebody else has set meanwhile, and that could be seen. */
static bool overwrites(const cell *c, const truth *t, int requested)
{
    if (c->fault != OVERTAKEN || c->d->schedule_lag > 0 || plan_may_be_missed(c)) return false;
    return requested > 0 && t->plan < THEIRS - NEAR;
}

/* A change that is never sent twice, of whose outcome no answer tells. */
static bool power_unknowable(const cell *c, int executed)
{
    int lag = c->d->state_lag;
    if (c->fault == NO_FAULT) return lag + PAUSES > DEADLINE;
    if (c->task == REBOOT || executed == 0) return true;
    if (is_stale(c) || (c->d->may & DIALECT_ODD_STATE_ONCE)) return true;
    return lag + (c->fault == DONE_LATE ? LATE : 0) + SLACK > DEADLINE;
}

/* Who first waits until a reading agrees with what this client did sees two lags. */
static bool unconfirmed_rightly(const cell *c, int executed)
{
    int lag = c->d->schedule_lag;
    bool sets = is_set(c->task), faulty = c->fault != NO_FAULT;
    if (!out.unknown) return false;
    if (faulty && c->d->may & (DIALECT_NO_PROJECT | DIALECT_ODD_STATE)) return true;
    /* what looks like somebody else's change meanwhile is not overwritten */
    if (faulty && c->d->may & DIALECT_ODD_PLAN_ONCE) return true;
    if (c->fault == OVERTAKEN) return true;
    if (is_power(c->task)) return power_unknowable(c, executed);
    if (sets && c->d->may & (DIALECT_HIDDEN | DIALECT_UNREADABLE | DIALECT_CANNOT_SET)) return true;
    if (c->history == BY_SELF && c->task != SET_AT && c->task != SET_IN) lag *= 2;
    return tasks[c->task].change != NULL && lag + (faulty ? SLACK : PAUSES) > DEADLINE;
}

/* What this client did itself is not shown before its time is over. */
static bool own_unknowable(const cell *c)
{
    int lag = about_state(c->task) ? c->d->state_lag : c->d->schedule_lag;
    if (c->task == WAIT && is_stale(c)) return lag + PAUSES > DEADLINE;
    return c->history == BY_SELF && lag + PAUSES > DEADLINE;
}

#define BIT(t) (1u << (t))
#define OF_PLAN (BIT(SET_AT) | BIT(SET_IN) | BIT(SET_FLOOR) | BIT(ONLY_EXTEND) | BIT(ONLY_SHORTEN) \
    | BIT(EXTEND))
#define OF_POWER (BIT(STOP) | BIT(START) | BIT(REBOOT))
#define OF_CHANGE (OF_PLAN | OF_POWER | BIT(CANCEL))
#define OF_ALL (OF_CHANGE | BIT(GET) | BIT(WAIT) | BIT(DESCRIBE) | BIT(EACH))

/* What a dialect lets which tasks be refused with. E_API stands for what the API itself
   refuses: in words, with its RetCode. */
static const struct { unsigned may, tasks; int status; } refusals[] = {
    { DIALECT_GONE, OF_ALL & ~BIT(EACH), COMPSHARE_E_NOT_FOUND },
    { DIALECT_NO_REGION, OF_ALL, COMPSHARE_E_API },
    { DIALECT_NO_PROJECT, OF_CHANGE, COMPSHARE_E_PROJECT },
    { DIALECT_NO_PROJECT, OF_CHANGE, COMPSHARE_E_API },
    { DIALECT_ODD_STATE, OF_PLAN | OF_POWER, COMPSHARE_E_STATE },
    { DIALECT_ODD_STATE, OF_PLAN | OF_POWER, COMPSHARE_E_API },
    { DIALECT_ODD_STATE, BIT(WAIT), COMPSHARE_E_TIMEOUT },
    { DIALECT_EMPTY_LONG, OF_ALL & ~(BIT(WAIT) | BIT(EACH)), COMPSHARE_E_NOT_FOUND },
    { DIALECT_FIRST_FAILS, OF_ALL & ~BIT(WAIT), COMPSHARE_E_JSON },
    { DIALECT_FIRST_FAILS, OF_ALL & ~BIT(WAIT), COMPSHARE_E_STATUS },
    { DIALECT_UNREADABLE, OF_PLAN | BIT(CANCEL) | BIT(GET), COMPSHARE_E_REPLY }
};

static bool refused_rightly(const cell *c)
{
    size_t i;
    for (i = 0; i < COUNT(refusals); i++)
        if (c->d->may & refusals[i].may && BIT(c->task) & refusals[i].tasks
            && out.status == refusals[i].status) return true;
    if (c->task == EXTEND && out.status == COMPSHARE_E_NO_PLAN) return plan_seen(c) == 0;
    return is_power(c->task) && out.status == COMPSHARE_E_STATE && is_stale(c);
}

static bool refused_as_unknowable(int status)
{
    return status == COMPSHARE_E_UNCONFIRMED || status == COMPSHARE_E_TIMEOUT
        || status == COMPSHARE_E_NO_PLAN || status == COMPSHARE_E_STATE;
}

/* What is wrong with a failure. */
static const char *find_refusal(const cell *c, const truth *t, int executed)
{
    bool moving = any_state(t->state, "Starting", "Stopping");
    if (out.status == COMPSHARE_OK) return NULL;
    if (own_unknowable(c) && refused_as_unknowable(out.status)) return NULL;
    if (is_power(c->task) && moving && c->history == BY_SELF) return NULL;
    if (out.status == COMPSHARE_E_UNCONFIRMED)
        return unconfirmed_rightly(c, executed) ? NULL : "it could have been confirmed";
    if (c->task == EXTEND && t->plan == 0) return NULL;     /* there was nothing to extend */
    return refused_rightly(c) ? NULL : "it could have been done";
}

/* ---- the matrix ---- */

static char **patterns;     /* of the command line, up to NULL */
static bool everything;     /* both forms of every cell */

static struct { unsigned cells, skipped, bad, lies, doubled, needless, other; } sum;

static void report(const cell *c, const char *kind, const char *why, const truth *t, int executed)
{
    printf("# %s: %s: %s; ", kind, cell_name(c), why);
    printf("%s%s after %.1f s, ", compshare_status_name(out.status),
        out.unknown ? " (outcome unknown)" : "", (double)out.took / 1000);
    if (!about_state(c->task)) printf("says %lld, ", (long long)from_base(out.schedule.stop_time));
    printf("is %lld, %s, executed %d times: ", (long long)t->plan, t->state, executed);
    printf("%s\n", out.text);
}

static void judge(const cell *c, const truth *t, const truth *before)
{
    int executed = t->executed - before->executed;
    const char *lie = find_lie(c, t, executed), *odd = find_contradiction(c, executed);
    const char *refusal = find_refusal(c, t, executed);
    bool doubled = executed > (is_power(c->task) ? 1 : REPEATS);
    int requested = t->requested - before->requested;
    const char *other = odd != NULL ? odd : !out.worded ? "it has no words"
        : overwrites(c, t, requested) ? "somebody else's plan is gone"
        : out.took > DEADLINE * 1000 ? "it took too long"
        : requested > 2 * REPEATS ? "it asked too often" : NULL;
    sum.lies += lie != NULL;
    sum.doubled += doubled;
    sum.needless += refusal != NULL;
    sum.other += other != NULL;
    if (lie != NULL) report(c, "lie", lie, t, executed);
    if (doubled) report(c, "doubled", "too often", t, executed);
    if (refusal != NULL) report(c, "needless", refusal, t, executed);
    if (other != NULL) report(c, "other", other, t, executed);
    if (lie != NULL || doubled || refusal != NULL || other != NULL) sum.bad++;
    else if (tracing) report(c, "good", "as it should be", t, executed);
}

/* The blocking form is a loop around the stepped one, so each takes every other cell, as on
   a chequerboard: half the time, and every pair of columns is met in both forms. */
static bool is_my_turn(const cell *c)
{
    unsigned place = (unsigned)c->task + (unsigned)c->fault + (unsigned)c->history;
    if (everything || (c->fault == NO_FAULT && c->history == NOTHING)) return true;
    return (place + (unsigned)(c->d - dialects)) % 2 == (c->stepped ? 1 : 0);
}

static bool is_asked_for(const cell *c)
{
    char **p = patterns;
    if (p == NULL || *p == NULL) return is_my_turn(c);
    for (; *p != NULL; p++) {
        size_t len = strlen(*p);
        if (fnmatch(*p, cell_name(c), 0) == 0 || strncmp(*p, cell_name(c), len) == 0) return true;
    }
    return false;
}

static void try_cell(const cell *c)
{
    truth before, t;
    if (!cell_makes_sense(c) || !is_asked_for(c)) return;
    if (tracing) printf("# cell: %s\n", cell_name(c));
    if (prepare(c, &before)) {
        run(c);
        harness_close(&h);
        t = look(c, c->fault == DONE_LATE ? "advance=10" : "");
        sum.cells++;
        judge(c, &t, &before);
    } else {
        compshare_error_text(h.client, out.text, sizeof out.text);
        harness_close(&h);
        if (tracing) printf("# left out: %s: %s\n", cell_name(c), out.text);
        sum.skipped++;
    }
}

/* The state is the dialect. */
static void all_cells(void **state)
{
    unsigned bad = sum.bad;
    cell c;
    int task_, fault_, history_, stepped_;
    memset(&c, 0, sizeof c);
    c.d = (const dialect *)*state;
    for (task_ = 0; task_ < TASKS; task_++)
        for (history_ = 0; history_ < HISTORIES; history_++)
            for (fault_ = 0; fault_ < FAULTS; fault_++)
                for (stepped_ = 0; stepped_ < 2; stepped_++) {
                    c.task = (task)task_;
                    c.history = (history)history_;
                    c.fault = (fault)fault_;
                    c.stepped = stepped_ != 0;
                    try_cell(&c);
                }
    if (sum.bad != bad) fail_msg("%u cells are bad", sum.bad - bad);
}

static int begin(void **state)
{
    (void)state;
    gateway = harness_gateway("ec", NULL);
    base = (int64_t)time(NULL) + AHEAD;
    base += 17 - base % 60;     /* no time of a cell is a whole minute */
    return 0;
}

static int end(void **state)
{
    (void)state;
    harness_stop(&gateway);
    printf("# figure: dialects: %u cells, %u lies, %u doubled executions, %u needless refusals",
        sum.cells, sum.lies, sum.doubled, sum.needless);
    if (sum.other > 0) printf(", %u other faults", sum.other);
    if (sum.skipped > 0) printf(", %u left out", sum.skipped);
    printf("\n");
    return 0;
}

/* A test that failed inside a callback leaves a client that cannot be closed. */
static int tidy(void **state)
{
    (void)state;
    if (h.client != NULL) {
        h.client->entered = false;
        harness_close(&h);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[DIALECT_COUNT];
    size_t i;
    tracing = argc > 1 && strcmp(argv[1], "-v") == 0;
    patterns = argv + 1 + tracing;
    everything = getenv("COMPSHARE_TEST_ALL") != NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 0; i < DIALECT_COUNT; i++) {
        tests[i].name = dialects[i].name;
        tests[i].test_func = all_cells;
        tests[i].teardown_func = tidy;
        tests[i].initial_state = (void *)(uintptr_t)&dialects[i];
    }
    return _cmocka_run_group_tests("dialects", tests, DIALECT_COUNT, begin, end);
}
