/* Every operation that compshare.h asks of the system goes wrong once, in every way
   that it can: for every scenario, operation and kind of failure the k-th one fails,
   for every k until a run has come to its end without a k-th one. After each run an
   oracle of its own says what must be true: what left is read off the wire, what was
   executed is read off the gateway. A model of the truth goes with it: whatever a workflow
   ends with is compared with what is so in the gateway, also in worlds where readings lag,
   show what is over or nothing at all, or where changes get lost, refused, or executed late.

       torture                              everything
       torture SCENARIO                     one scenario
       torture SCENARIO OPERATION KIND K    one point: torture set/stepped recv EOF+ 7
       COMPSHARE_TEST_STRIDE=N torture   every N-th k only

   The pieces in which a peer's bytes arrive are not the same in every run, so that a
   point that does not show again may do so one k before or behind. */
#undef _FORTIFY_SOURCE          /* its checked forms of recv and others would pass the layer by */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "faults.h"
#include "world.h"
#include "worlds.h"

#define CANARY 64               /* bytes around the memory block that nobody may touch */
#define CANARY_BYTE 0xC5
#define FLEET 130               /* two pages */
#define AHEAD_S 36000           /* of a plan: more than a leap of the clock */
#define BY_S 600                /* of an extension */
#define SLACK_MS (20 * TICK_MS) /* a deadline is looked at between waits */

/* ---- scenarios ---- */

/* How the connection stands when the call begins. */
enum { FRESH, KEPT, CLOSED, DEAD };     /* CLOSED by the peer, DEAD: and that shows only after sending */

typedef struct scenario {
    const char *name;
    int act;
    const char *action;         /* what is called, or changes something */
    int connection;
    bool full;                  /* begins with a full handshake; else a session is resumed, which is cheaper */
    bool proxy, transport;
    unsigned retries;
    uint32_t timeout_ms;
    bool fails;                 /* even if nothing goes wrong */
} scenario;

static const scenario scenarios[] = {
    { "always", CALL, DELETE, FRESH, false, false, false, 0, 6000, false },
    { "never", CALL, REBOOTING, FRESH, true, false, false, 0, 6000, false },
    { "verify", CALL, STOPPING, FRESH, false, false, false, 0, 6000, false },
    { "kept-always", CALL, DELETE, KEPT, false, false, false, 0, 6000, false },
    { "kept-never", CALL, REBOOTING, KEPT, false, false, false, 0, 6000, false },
    { "closed-always", CALL, DELETE, CLOSED, false, false, false, 0, 6000, false },
    { "closed-never", CALL, REBOOTING, CLOSED, false, false, false, 0, 6000, false },
    { "dead-always", CALL, DELETE, DEAD, false, false, false, 0, 6000, false },
    { "dead-never", CALL, REBOOTING, DEAD, false, false, false, 0, 6000, true },
    { "proxy", CALL, REBOOTING, FRESH, true, true, false, 0, 6000, false },
    { "retries-always", CALL, DELETE, FRESH, false, false, false, 2, 12000, false },
    { "retries-never", CALL, REBOOTING, FRESH, false, false, false, 2, 12000, false },
    { "projects", LIST, PROJECTS, FRESH, false, false, false, 0, 6000, false },
    { "each", EACH, DESCRIBE, FRESH, false, false, false, 0, 12000, false },
    { "set", SET, UPDATE, FRESH, false, false, false, 0, 60000, false },
    { "set-retries", SET, UPDATE, FRESH, false, false, false, 2, 60000, false },
    { "get", GET, DESCRIBE, FRESH, false, false, false, 0, 6000, false },
    { "extend", EXTEND, UPDATE, FRESH, false, false, false, 0, 60000, false },
    { "cancel", CANCEL, DELETE, FRESH, false, false, false, 0, 60000, false },
    { "stop", STOP, STOPPING, FRESH, false, false, false, 0, 60000, false },
    { "stop-retries", STOP, STOPPING, FRESH, false, false, false, 2, 120000, false },
    { "stop-dead-retries", STOP, STOPPING, DEAD, false, false, false, 2, 120000, false },
    { "start", START, STARTING, FRESH, false, false, false, 0, 60000, false },
    { "reboot", REBOOT, REBOOTING, FRESH, false, false, false, 0, 60000, false },
    { "wait", WAIT, DESCRIBE, FRESH, false, false, false, 0, 20000, false },
    { "transport-never", CALL, REBOOTING, FRESH, true, false, true, 0, 6000, false },
    { "transport-set", SET, UPDATE, FRESH, false, false, true, 0, 60000, false }
};

/* ---- what a run works on ---- */

static const world plain;              /* all is as it is shown */
static const world *in = &plain;       /* where the scenario takes place */
static const scenario *now;
static bool stepped;
static fault point;
static char point_name[160];            /* for replays; async signals may print it */

static unsigned char block[CANARY + COMPSHARE_MEMORY + CANARY];
static unsigned char *memory;           /* the client's part of it, of any alignment */
static compshare *client;
static char base_url[64], proxy_url[64];
static harness_process proxy;
static compshare_session primed, session;
static int64_t planned;                 /* the plan of ONE where a scenario needs one */
static view before;

static compshare_schedule schedule;
static compshare_instance instance;
static compshare_project project;
static unsigned char each_seen[FLEET];
static int pauses;

static unsigned tried[COUNT(kinds)];     /* points of each kind, in all scenarios */
static unsigned usual[OPERATIONS];      /* operations in a run without a fault */
static unsigned points, false_oks, doubled, repeated, problems, scenario_problems;
static char first_problem[512];

static void describe_point(void)
{
    const kind *k = point.kind;
    snprintf(point_name, sizeof point_name, "%s/%s %s %s%s %u", now->name, stepped ? "stepped" : "blocking",
        k != NULL ? operation_names[k->operation] : "without", k != NULL ? k->name : "fault",
        point.mode == ONWARD ? "+" : point.mode == STORMY ? "*" : "", point.k);
}

__attribute__((format(printf, 1, 2)))
static void problem(const char *form, ...)
{
    char why[320], text[COMPSHARE_ERROR_TEXT];
    va_list args;
    va_start(args, form);
    vsnprintf(why, sizeof why, form, args);
    va_end(args);
    problems++;
    if (scenario_problems++ == 0) snprintf(first_problem, sizeof first_problem, "%s: %s", point_name, why);
    if (scenario_problems > 40) return;
    printf("# torture %s: %s (%s)\n", point_name, why, client != NULL ? compshare_error_text(client, text, sizeof text)
        : "closed");
    fflush(stdout);
}

/* A crash or a run without end must name its point, too. */
static void on_signal(int number)
{
    static const char said[] = "# torture died at ";
    (void)!write(1, said, sizeof said - 1);
    (void)!write(1, point_name, strlen(point_name));
    (void)!write(1, number == SIGALRM ? ": no end\n" : ": crash\n", number == SIGALRM ? 9 : 8);
    _exit(1);
}

/* ---- acting ---- */

static int on_instance(void *user, const compshare_instance *i, compshare_value element)
{
    unsigned number = (unsigned)strtoul(i->uhost_id + 6, NULL, 10);
    (void)user;
    (void)element;
    if (number < 1 || number > FLEET) problem("an instance that does not exist: %s", i->uhost_id);
    else if (each_seen[number - 1]++ > 0) problem("%s twice", i->uhost_id);
    return 0;
}

/* What is waited for comes with the second pause. A clock that stands still goes on where
   the client's will be then. */
static void on_pause(uint32_t ms)
{
    char query[48];
    pauses++;
    if (pauses == 2 && now->act == WAIT) world_set("state." ONE "=Stopped");
    if (in == &plain) return;
    snprintf(query, sizeof query, "clock_ms=%lld",
        (long long)(books.since * 1000 + (int64_t)(books.passed - books.leapt + ms)));
    world_set(query);
}

static int act(void)
{
    static compshare_target t;
    static compshare_param params[4];
    compshare_plan plan;
    t = target_of(ONE);
    params[0] = compshare_text("UHostId", ONE);
    memset(&plan, 0, sizeof plan);
    plan.uhost_id = ONE;
    if (in->at != 0) plan.at = books.since + in->at;
    else plan.in_seconds = AHEAD_S;
    switch (now->act) {
    case CALL: return stepped ? compshare_call_start(client, now->action, params, 1) : compshare_call(client,
        now->action, params, 1);
    case LIST: return stepped ? compshare_get_project_list_start(client, &project, NULL,
        NULL) : compshare_get_project_list(client, &project, NULL, NULL);
    case EACH: return stepped ? compshare_each_instance_start(client, NULL, on_instance,
        NULL) : compshare_each_instance(client, NULL, on_instance, NULL);
    case SET: return stepped ? compshare_schedule_set_start(client, &plan, &schedule) : compshare_schedule_set(client,
        &plan, &schedule);
    case GET: return stepped ? compshare_schedule_get_start(client, ONE, &schedule) : compshare_schedule_get(client,
        ONE, &schedule);
    case EXTEND: return stepped ? compshare_schedule_extend_start(client, ONE, BY_S, &schedule)
        : compshare_schedule_extend(client, ONE, BY_S, &schedule);
    case CANCEL: return stepped ? compshare_schedule_cancel_start(client, ONE,
        &schedule) : compshare_schedule_cancel(client, ONE, &schedule);
    case STOP: return stepped ? compshare_stop_instance_start(client, &t) : compshare_stop_instance(client, &t);
    case START: return stepped ? compshare_start_instance_start(client, &t) : compshare_start_instance(client, &t);
    case REBOOT: return stepped ? compshare_reboot_instance_start(client, &t) : compshare_reboot_instance(client, &t);
    default: return stepped ? compshare_wait_state_start(client, ONE, "Stopped", 0,
        &instance) : compshare_wait_state(client, ONE, "Stopped", 0, &instance);
    }
}

/* What an event loop does between two steps. */
static void between(void)
{
    unsigned want = compshare_wants(client);
    uint32_t timeout = compshare_timeout_ms(client);
    short events = (short)((want & COMPSHARE_READ ? POLLIN : 0) | (want & COMPSHARE_WRITE ? POLLOUT : 0)), ready;
    if (timeout == 0) return;
    (void)faults_wait(want != 0 ? compshare_fd(client) : -1, events, (int)timeout, &ready);
}

static int act_to_the_end(void)
{
    int r = act(), steps;
    if (!stepped || r != COMPSHARE_OK) return r;
    for (steps = 0; (r = compshare_step(client)) == COMPSHARE_PENDING; steps++) {
        if (faults_now(STEP) != NULL) {
            r = compshare_abort(client);
            break;
        }
        between();
    }
    if (compshare_step(client) != COMPSHARE_E_IDLE) problem("a call that has ended goes on");
    return r;
}

/* ---- before ---- */

static void open_client(void)
{
    compshare_config config;
    char text[512];
    memset(block, CANARY_BYTE, sizeof block);
    memset(&config, 0, sizeof config);
    memory = block + CANARY - point.k % 16;
    config.memory = memory;
    config.memory_size = COMPSHARE_MEMORY;
    config.public_key = HARNESS_PUBLIC_KEY;
    config.private_key = HARNESS_PRIVATE_KEY;
    config.region = "cn-wlcb";
    config.zone = now->act == EACH ? NULL : "cn-wlcb-01";
    config.project_id = now->act == CALL ? PROJECT : NULL;
    config.base_url = base_url;
    config.proxy = now->proxy ? proxy_url : NULL;
    config.ca_file = harness_cert("roots.pem");
    config.connect_timeout_ms = 2000;
    config.timeout_ms = now->timeout_ms;
    config.max_retries = now->retries;
    config.session = &session;
    config.transport = now->transport ? &io_transport : NULL;
    if (now->full) memset(&session, 0, sizeof session);
    else session = primed;
    if (compshare_open(&client, &config) != COMPSHARE_OK)
        fail_msg("%s", compshare_open_text(&config, text, sizeof text));
}

static int read_one(compshare_instance *i)
{
    compshare_target t = target_of(ONE);
    return compshare_describe_instance(client, &t, i);
}

/* A change that readings do not show yet. */
static void set_plan(void)
{
    compshare_target t = target_of(ONE);
    t.zone = "cn-wlcb-01";
    if (compshare_update_stop_scheduler(client, &t, books.since + in->at) != COMPSHARE_OK)
        fail_msg("%s: no plan to begin with", point_name);
}

/* A connection that stands, or stood once. */
static void make_connection(void)
{
    compshare_instance i;
    short ready;
    int fd;
    if (now->connection == FRESH) return;
    if (now->connection >= CLOSED) world_set("drop_idle=1");
    if (read_one(&i) != COMPSHARE_OK) fail_msg("%s: no connection to begin with", point_name);
    if (in->at != 0 && now->act == GET) set_plan();
    if (now->connection < CLOSED) return;
    fd = compshare_fd(client);
    if (faults_wait(fd, POLLIN, 1, &ready) != 1) fail_msg("%s: the gateway does not close", point_name);
    descriptors[fd].blind = now->connection == DEAD;
    world_set("drop_idle=0");
}

static void restore_world(void)
{
    const char *state = now->act == START ? "Stopped" : "Running";
    json_int_t plan = now->act == EXTEND || now->act == GET || (now->action != NULL
        && strcmp(now->action, DELETE) == 0) ? planned : 0;
    char query[512];
    if (in != &plain) {
        snprintf(query, sizeof query, "instances=3&brief=0&projects=2&frozen=1&clock=@0&%s",
            in->options);
        world_reset(query, books.since);
        return;
    }
    if (before.schedule == plan && strcmp(before.state, state) == 0) return;
    snprintf(query, sizeof query, "state." ONE "=%s&schedule." ONE "=%lld", state, (long long)plan);
    world_set(query);
    before.schedule = plan;
    snprintf(before.state, sizeof before.state, "%s", state);
}

/* ---- after: the oracle ---- */

static bool all_zero(const void *ptr, size_t len)
{
    const unsigned char *p = (const unsigned char *)ptr;
    while (len-- > 0)
        if (*p++ != 0) return false;
    return true;
}

static bool all_canary(const unsigned char *from, const unsigned char *to)
{
    while (from < to)
        if (*from++ != CANARY_BYTE) return false;
    return true;
}

/* Actions that a repetition would execute twice. */
static bool only_once(void)
{
    return compshare_action_info(now->action).retry != COMPSHARE_RETRY_ALWAYS;
}

static bool changes(void)
{
    return compshare_action_info(now->action).mutating;
}

/* Where each status may come from: bits of stages. What is not here cannot come of
   trouble with the system, the network or the clock. */
static unsigned stages_of(int status)
{
    const unsigned prepare = 1u << COMPSHARE_STAGE_PREPARE, connecting = 1u << COMPSHARE_STAGE_CONNECT,
        handshake = 1u << COMPSHARE_STAGE_HANDSHAKE, sending = 1u << COMPSHARE_STAGE_SEND,
            receiving = 1u << COMPSHARE_STAGE_RECEIVE,
        judging = 1u << COMPSHARE_STAGE_JUDGE;
    switch (status) {
    case COMPSHARE_E_RESOLVE: case COMPSHARE_E_CONNECT: case COMPSHARE_E_PROXY: return connecting;
    case COMPSHARE_E_TIMEOUT: case COMPSHARE_E_IO: case COMPSHARE_E_ABORTED:
        return prepare | connecting | handshake | sending | receiving | judging;
    case COMPSHARE_E_CLOSED: return connecting | handshake | sending | receiving;
    case COMPSHARE_E_TRUST: return connecting | handshake;
    case COMPSHARE_E_CLOCK: return prepare | connecting;
    case COMPSHARE_E_ENTROPY: case COMPSHARE_E_CERTIFICATE: return handshake;
    case COMPSHARE_E_TLS: return handshake | sending | receiving;
    case COMPSHARE_E_UNCONFIRMED: case COMPSHARE_E_NO_PLAN: case COMPSHARE_E_API: return judging;
    default: return 0;
    }
}

static void judge_error(int status)
{
    const compshare_error *e = compshare_last_error(client);
    char text[COMPSHARE_ERROR_TEXT];
    bool told;
    if (e->status != status)
        problem("%s was returned, and the error says %s", compshare_status_name(status),
            compshare_status_name(e->status));
    compshare_error_text(client, text, sizeof text);
    told = strstr(text, "OUTCOME UNKNOWN") != NULL;
    if (told != (e->outcome_unknown && compshare_action_info(e->action).mutating))
        problem("told of the outcome: %d", told);
    if (strstr(text, HARNESS_PRIVATE_KEY) != NULL) problem("a key is in the error");
    if (status == COMPSHARE_OK) {
        if (e->outcome_unknown || e->detail[0] != '\0' || e->sys_errno != 0 || e->ret_code != 0)
            problem("a success leaves an error");
        return;
    }
    if (!(stages_of(status) >> e->stage & 1u)) problem("%s in stage %d", compshare_status_name(status), e->stage);
    if (e->detail[0] == '\0') problem("%s without a word", compshare_status_name(status));
    if (e->ret_code != 0 && e->ret_code != in->code) problem("RetCode %d", e->ret_code);
    if (status == COMPSHARE_E_API && e->ret_code == 0) problem("the API refused without a RetCode");
    /* what retries and reconnects sent before shows in a later attempt's stage */
    if (now->act == CALL && now->retries == 0 && now->connection == FRESH && e->outcome_unknown
        && e->stage < COMPSHARE_STAGE_SEND)
        problem("nothing can be unknown in stage %d", e->stage);
}

/* A system call that failed for good is named by its errno. Only a single exchange ends
   with the first failure that it meets; a poll that cannot tell whether a connection
   stands is no failure, but ends in a timeout. */
static void judge_errno(int status)
{
    int said = compshare_last_error(client)->sys_errno;
    const kind *k = point.kind;
    bool connecting = status == COMPSHARE_E_CONNECT && point.mode == ONWARD;
    if (now->act != CALL || now->connection != FRESH || now->retries != 0 || now->transport) return;
    if (k == NULL || k->effect != FAIL || k->operation == ANY || (k->operation == POLL && connecting)) return;
    if (status != COMPSHARE_E_IO && status != COMPSHARE_E_TRUST && !connecting) return;
    if (said != k->value) problem("errno %d became %d", k->value, said);
}

/* Law 3, from what was seen on the wire: but for a refusal, the gateway gives no other
   answer here than RetCode 0, so a failure with bytes sent is unknown, and any other is
   not. Readings change nothing, so workflows that only read know their outcome. */
static void judge_outcome(int status)
{
    bool unknown = compshare_last_error(client)->outcome_unknown, reader = now->act == GET || now->act == WAIT;
    size_t sent = books_sent(now->action);
    if (status == COMPSHARE_OK) return;
    if (now->act == EACH) {     /* the bytes of which page is not seen from here */
        if (unknown && sent == 0) problem("unknown, and nothing was sent");
        return;
    }
    if (unknown != (!reader && sent > 0 && status != COMPSHARE_E_API))
        problem("outcome_unknown is %d, and %u bytes of %s were sent", unknown, (unsigned)sent,
            now->action);
}

static void judge_descriptors(int status)
{
    int open = books_open_now();
    if (books.misuse[0] != '\0') problem("%s", books.misuse);
    if (open > 1) problem("%d descriptors are open", open);
    if (books.lists != 0) problem("a list of addresses was not freed");
    if (status == COMPSHARE_OK && open == 1 && compshare_fd(client) < 0 && point.kind != NULL
        && point.kind->operation != IO_FD)
        problem("the descriptor that is open is not the transport's");
}

static void judge_time(void)
{
    uint64_t took = books.passed - books.begun - books.leapt;
    if (books.hung) problem("it waited for what never came");
    if (took > now->timeout_ms + SLACK_MS) problem("it took %u ms of %u", (unsigned)took, now->timeout_ms);
}

static void judge_schedule(int status)
{
    if (status == COMPSHARE_OK) {
        if (strcmp(schedule.uhost_id, ONE) != 0) problem("the result is about \"%s\"", schedule.uhost_id);
        return;
    }
    if (schedule.stop_time != 0 || schedule.seconds_left != 0 || schedule.changed) problem("a failure shows a plan");
    if (schedule.uhost_id[0] == '\0' && !all_zero(&schedule, sizeof schedule)) problem("a failure left a result");
    if (schedule.uhost_id[0] != '\0' && strcmp(schedule.uhost_id, ONE) != 0)
        problem("the result is about \"%s\"", schedule.uhost_id);
}

static void judge_results(int status)
{
    int i;
    switch (now->act) {
    case SET: case GET: case EXTEND: case CANCEL:
        judge_schedule(status);
        break;
    case LIST:
        if (status != COMPSHARE_OK ? !all_zero(&project, sizeof project) : strcmp(project.project_id, PROJECT) != 0)
            problem("the project is \"%s\"", project.project_id);
        break;
    case WAIT:
        if (status == COMPSHARE_OK && strcmp(instance.state, "Stopped") != 0)
            problem("the state is \"%s\"", instance.state);
        if (instance.uhost_id[0] == '\0' ? !all_zero(&instance, sizeof instance) : strcmp(instance.uhost_id, ONE) != 0)
            problem("a half filled instance");
        break;
    case EACH:
        for (i = 0; status == COMPSHARE_OK && i < FLEET; i++)
            if (each_seen[i] == 0) problem("uhost-%04d was missed", i + 1);
        break;
    default:
        break;
    }
}

/* Nothing twice. A workflow sends what may be repeated 6 times at the most, and only where
   readings show that it was not executed: one fault makes for one repetition. */
static void judge_world(const view *after)
{
    json_int_t executed = after->executed - before.executed, received = after->received - before.received;
    /* a workflow changes things on the connection that it read from */
    bool kept = now->connection != FRESH || now->act != CALL;
    json_int_t most = only_once() ? 1 : in != &plain ? 6 : 1 + kept + (json_int_t)now->retries;
    if (!changes()) return;
    if (executed > 1 && only_once()) doubled++;
    if (executed > 1 && !only_once()) repeated++;
    if (received > most) problem("%s was received %d times", now->action, (int)received);
    if (only_once() && executed > 1) problem("%s was executed %d times", now->action, (int)executed);
    if (received > 0 && books_sent(now->action) == 0) problem("%s came out of nothing", now->action);
}

/* ---- after: the model of the truth ---- */

/* Law 7: gateways round. */
static bool same_time(int64_t a, int64_t b)
{
    return (a == 0) == (b == 0) && a - b <= 59 && b - a <= 59;
}

/* Whether a reading could show `time` in the beginning: what is so, what was, or nothing
   where one is odd. */
static bool stood(int64_t time)
{
    if (time == before.schedule) return true;
    if (in == &plain) return false;
    if (time == 0 && strstr(in->options, "odd=no_schedule") != NULL) return true;
    return time == (in->shows != 0 ? books.since + in->shows : 0);
}

/* Whether `time` is what was asked for; one from now on is reckoned by the client. */
static bool is_asked(int64_t time)
{
    int64_t from = books.since + AHEAD_S - 2;
    int64_t to = (int64_t)__real_time(NULL) + AHEAD_S + 2 + (int64_t)(books.passed / 1000);
    switch (now->act) {
    case SET: return in->at != 0 ? time == books.since + in->at : time >= from && time <= to;
    case EXTEND: return time == schedule.previous + BY_S;
    default: return time == 0;
    }
}

/* Whether what was asked for is so. What get shows may be old, but not older than what this
   client has changed itself. */
static bool is_true(const view *v)
{
    switch (now->act) {
    case SET: case EXTEND:
        return is_asked(schedule.requested) && same_time(v->schedule, schedule.requested);
    case CANCEL: return v->schedule == 0;
    case GET:
        return schedule.stop_time == v->schedule || (in->at == 0 && stood(schedule.stop_time));
    case STOP: return strcmp(v->state, "Stopped") == 0;
    case START: return strcmp(v->state, "Running") == 0;
    default: return true;
    }
}

/* What a result tells beside its status. */
static void judge_told(int status, const view *after, const view *later)
{
    const compshare_schedule *r = &schedule;
    bool ok = status == COMPSHARE_OK, read = r->uhost_id[0] != '\0';
    bool sent = after->received > before.received;
    bool could_show = stood(r->shown) || r->shown == after->schedule || r->shown == later->schedule;
    if (r->accepted && after->executed == before.executed) problem("accepted, and never executed");
    if (r->changed != (ok && now->act != GET)) problem("changed is %d", r->changed);
    if (!is_asked(r->requested) && (r->requested != 0 || (now->act != GET && sent)))
        problem("requested is %lld", (long long)r->requested);
    if (read ? !could_show : r->shown != 0)
        problem("shown is %lld, which never was", (long long)r->shown);
    if (read && !stood(r->previous)) problem("previous is %lld", (long long)r->previous);
    if (ok && (r->stop_time != r->shown || (now->act != GET && !same_time(r->shown, r->requested))))
        problem("%lld was asked for, %lld shown, and %lld told", (long long)r->requested,
            (long long)r->shown, (long long)r->stop_time);
}

/* The verdict against what is so, now and once everything that is late has come. */
static void judge_truth(int status, bool unknown, const view *after, const view *later)
{
    json_int_t executed = later->executed - before.executed;
    bool scheduling = now->act >= SET && now->act <= CANCEL;
    bool done = !changes() || after->executed > before.executed;
    if (status == COMPSHARE_OK && !(done && is_true(after) && is_true(later))) {
        false_oks++;
        problem("a false OK: executed %d times, plan %lld, state %s", (int)executed,
            (long long)after->schedule, after->state);
    }
    if (status != COMPSHARE_OK && !unknown && changes() && executed > 0)
        problem("%s was executed, and its outcome is not unknown", now->action);
    if (status == COMPSHARE_E_UNCONFIRMED && unknown != (now->act != GET))
        problem("unconfirmed, and unknown is %d", unknown);
    if (status == COMPSHARE_E_ABORTED && (point.kind == NULL || point.kind->operation != STEP))
        problem("aborted by nobody");
    if (scheduling) judge_told(status, after, later);
}

/* What later runs resume. A handshake that failed has emptied it. */
static void keep_session(void)
{
    if (!all_zero(&session, sizeof session)) primed = session;
}

/* The fault is lifted: the client must be as good as new. */
static void judge_use(void)
{
    compshare_instance i;
    int r;
    keep_session();
    session = primed;           /* a full handshake would only cost time */
    r = read_one(&i);
    if (r != COMPSHARE_OK) problem("of no more use: %s", compshare_status_name(r));
    else if (strcmp(i.uhost_id, ONE) != 0) problem("it read \"%s\"", i.uhost_id);
    if (books.hung) problem("it waited for what never came");
    keep_session();
}

static void judge_close(void)
{
    size_t i;
    compshare_close(client);
    client = NULL;
    if (books_open_now() != 0) problem("%d descriptors are left open", books_open_now());
    if (books.misuse[0] != '\0') problem("%s", books.misuse);
    if (!all_zero(memory, COMPSHARE_MEMORY)) problem("the memory block is not wiped");
    if (!all_canary(block, memory) || !all_canary(memory + COMPSHARE_MEMORY, block + sizeof block))
        problem("written outside of the memory block");
    for (i = 0; i < COUNT(descriptors); i++)    /* a leak must not pile up */
        if (descriptors[i].open) (void)__real_close((int)i);
}

/* ---- points ---- */

/* Whether the fault was reached. The gateway is looked at after the client has used it
   again: by then it has done with all that came before. */
static bool run_point(void)
{
    view after, later;
    bool unknown;
    int status;
    describe_point();
    alarm(120);
    faults_clear();
    restore_world();
    open_client();
    make_connection();
    if (in != &plain) before = world_look(now->action, "");
    memset(&schedule, 0xEE, sizeof schedule);
    memset(&instance, 0xEE, sizeof instance);
    memset(&project, 0xEE, sizeof project);
    memset(each_seen, 0, sizeof each_seen);
    pauses = 0;
    books.on_pause = on_pause;
    faults_arm(&point);
    status = act_to_the_end();
    faults_disarm();
    books.on_pause = NULL;
    unknown = compshare_last_error(client)->outcome_unknown;
    if (point.kind == NULL && (now->fails ? status == COMPSHARE_OK : status != in->status))
        problem("%s without any fault", compshare_status_name(status));
    judge_error(status);
    judge_errno(status);
    judge_outcome(status);
    judge_descriptors(status);
    judge_time();
    judge_results(status);
    judge_use();
    after = world_look(now->action, "");
    later = in != &plain ? world_look(now->action, "advance=200") : after;
    judge_world(&later);
    judge_truth(status, unknown, &after, &later);
    before = after;
    judge_close();
    return books.reached;
}

static unsigned stride(void)
{
    const char *text = getenv("COMPSHARE_TEST_STRIDE");
    unsigned n = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 1;
    return n > 0 ? n : 1;
}

/* Every k of one kind. Strides begin at different ones, so that together they leave
   out no region. */
static void search(const kind *k, unsigned mode)
{
    unsigned many = usual[k->operation] > 0 ? usual[k->operation] : 1, index = (unsigned)(k - kinds);
    unsigned first = (7 * index + 3 * mode + 5 * stepped) % (stride() < many ? stride() : many);
    for (point.kind = k, point.mode = mode, point.k = 1 + first; run_point(); point.k += stride()) {
        points++;
        tried[index]++;
        if (point.k > 20000) fail_msg("%s: no end", point_name);
    }
}

/* Small records let a list arrive in pieces, so that it can break off inside. A brief
   instance is cheaper to read, but shows no plan. */
static const char *world_of(int what)
{
    switch (what) {
    case LIST: return "instances=3&brief=1&projects=20&record_cap=512";
    case EACH: return "instances=130&brief=1&projects=2&record_cap=2048";
    case GET: return "instances=3&brief=0&projects=2&record_cap=512";
    case SET: case EXTEND: case CANCEL: return "instances=3&brief=0&projects=2&record_cap=0";
    default: return "instances=3&brief=1&projects=2&record_cap=0";
    }
}

static const world *world_named(const char *name)
{
    size_t i;
    for (i = 0; i < COUNT(worlds); i++)
        if (strcmp(worlds[i].name, name) == 0) return &worlds[i];
    return &plain;
}

static void begin_scenario(const scenario *s, bool steps)
{
    in = world_named(s->name);
    now = s;
    stepped = steps;
    memset(&point, 0, sizeof point);
    world_reset(world_of(now->act), 0);
    before = world_look(now->action, "");
}

static void torture(void **state)
{
    const scenario *s = (const scenario *)*state;
    unsigned mode, had;
    size_t i;
    int form;
    scenario_problems = 0;
    /* worlds in steps only: a call can be aborted then */
    for (form = world_named(s->name) != &plain; form < 2; form++) {
        begin_scenario(s, form == 1);
        had = points;
        (void)run_point();
        memcpy(usual, books.seen, sizeof usual);
        for (i = 0; i < COUNT(kinds); i++)
            for (mode = ONCE; mode <= STORMY; mode *= 2)
                if ((kinds[i].modes & mode) && (in == &plain || (kinds[i].modes & LOSSY)))
                    search(&kinds[i], mode);
        printf("# points: %s, %s: %u\n", s->name, stepped ? "stepped" : "blocking", points - had);
    }
    if (scenario_problems > 0) fail_msg("%u problems; the first: %s", scenario_problems, first_problem);
}

/* A layer that nothing goes through finds nothing wrong. */
static void every_kind_was_reached(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(kinds); i++)
        if (tried[i] == 0) fail_msg("no %s ever met %s", operation_names[kinds[i].operation], kinds[i].name);
}

/* ---- all scenarios ---- */

static scenario all[COUNT(scenarios) + COUNT(worlds)];

/* A world is a scenario on a kept connection, on which there is less that can go wrong. */
static void gather(void)
{
    static const char *const actions[] = {
        NULL, NULL, NULL, UPDATE, DESCRIBE, UPDATE, DELETE, STOPPING, STARTING, REBOOTING, DESCRIBE
    };
    size_t i;
    memcpy(all, scenarios, sizeof scenarios);
    for (i = 0; i < COUNT(worlds); i++) {
        scenario *s = &all[COUNT(scenarios) + i];
        s->name = worlds[i].name;
        s->act = worlds[i].act;
        s->action = actions[s->act];
        s->connection = KEPT;
        s->timeout_ms = worlds[i].timeout_ms;
    }
}

/* ---- one point ---- */

static const scenario *find_scenario(const char *name, bool *steps)
{
    size_t i, len = strcspn(name, "/");
    *steps = strcmp(name + len, "/stepped") == 0;
    for (i = 0; i < COUNT(all); i++)
        if (strlen(all[i].name) == len && strncmp(all[i].name, name, len) == 0) return &all[i];
    return NULL;
}

static bool find_kind(const char *operation, const char *name)
{
    size_t i, len = strcspn(name, "+*");
    for (i = 0; i < COUNT(kinds); i++) {
        if (strcmp(operation_names[kinds[i].operation], operation) != 0) continue;
        if (strlen(kinds[i].name) != len || strncmp(kinds[i].name, name, len) != 0) continue;
        point.kind = &kinds[i];
        point.mode = name[len] == '+' ? ONWARD : name[len] == '*' ? STORMY : ONCE;
        return true;
    }
    return false;
}

static char **replayed;

static void replay(void **state)
{
    bool steps;
    const scenario *s = find_scenario(replayed[0], &steps);
    (void)state;
    if (s == NULL) fail_msg("no such scenario: %s", replayed[0]);
    begin_scenario(s, steps);
    (void)run_point();          /* makes the session that the point is to resume */
    if (!find_kind(replayed[1], replayed[2])) fail_msg("no such kind: %s %s", replayed[1], replayed[2]);
    point.k = (unsigned)strtoul(replayed[3], NULL, 10);
    printf("# %s\n", run_point() ? "reached" : "not reached");
    if (scenario_problems > 0) fail_msg("%s", first_problem);
}

/* ---- everything ---- */

static int start(void **state)
{
    char query[64];
    (void)state;
    gateway = harness_gateway("ec", NULL);
    proxy = world_proxy();
    planned = (int64_t)__real_time(NULL) + 7200;
    snprintf(base_url, sizeof base_url, "https://localhost:%u", gateway.port);
    snprintf(proxy_url, sizeof proxy_url, "http://localhost:%u", proxy.port);
    snprintf(query, sizeof query, "schedule." ONE "=%lld", (long long)planned);
    world_set(query);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    harness_stop(&gateway);
    harness_stop(&proxy);
    return 0;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[COUNT(all) + 1];
    const struct CMUnitTest one[] = { cmocka_unit_test(replay) };
    size_t i, count = 0;
    int failed;
    signal(SIGALRM, on_signal);
    gather();
    if (argc == 5) {
        replayed = argv + 1;
        return cmocka_run_group_tests(one, start, stop);
    }
    for (i = 0; i < COUNT(all); i++) {
        if (argc > 1 && strcmp(argv[1], all[i].name) != 0) continue;
        tests[count].name = all[i].name;
        tests[count].test_func = torture;
        tests[count++].initial_state = &all[i];
    }
    if (argc == 1) {
        tests[count].name = "every kind was reached";
        tests[count++].test_func = every_kind_was_reached;
    }
    failed = _cmocka_run_group_tests("torture", tests, count, start, stop);
    printf("# figure: torture: %u points tried, %u false OKs, %u doubled executions, "
        "%u repetitions of what may be repeated, %u problems\n",
        points, false_oks, doubled, repeated, problems);
    return failed;
}
