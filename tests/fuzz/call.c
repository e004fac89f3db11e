/* Whole calls over a transport in memory: a server that follows a script, a clock that
   moves while the client waits, and an independent judge of what the client says.

   Input: 24 bytes of choices (see `choice`), then the script: what the server sends, with
   commands between that begin with 0xFF:

       N    the reply is complete: wait for the next request
       E    end of stream              X    the connection breaks
       W    nothing for one reading    T n  n tenths of a second pass
       D n  pieces of n + 1 bytes      G    speak without being asked
       O n  how the next open ends     S n  how the next send ends
       L    a Content-Length line that is right

   A reply is sent once the request is complete. What a closed connection leaves unsent is
   passed over. */

#include "fuzz_json.h"

#define BASE INT64_C(1800000000)        /* the local clock when a run begins */
#define AT (BASE + 7200)                /* the stop time that is set */
#define SECRET "S3cr3t-private"

enum {
    CHOICE_CALL = 0, CHOICE_COUNT = 3, CHOICE_FLAGS, CHOICE_RETRIES, CHOICE_SEND, CHOICE_RECV = 10, CHOICE_WAIT = 14,
    CHOICE_STOP, CHOICE_PLAN, CHOICE_TIMEOUT, CHOICE_SKEW, CHOICE_ENTROPY, CHOICE_CLOCK, CHOICE_BROKEN_WAIT,
        CHOICE_END, CHOICE_STEP,
    CHOICES
};

/* Bits of CHOICE_FLAGS. */
enum { FLAG_ROOMY = 1, FLAG_PROJECT = 2, FLAG_REGION = 4, FLAG_PROXY = 8, FLAG_STEPS = 16, FLAG_LONG = 32,
    FLAG_TOKEN = 64, FLAG_SMALL = 128 };

/* ---- what was asked and answered ---- */

typedef struct exchange {
    char action[64];
    bool tunnel;                /* a CONNECT */
    size_t sent;                /* bytes that the transport took */
    bool whole;                 /* the request is complete */
    bool answered, ended;       /* a byte came; the stream ended */
    bool murky;                 /* the judge cannot tell */
    bool definite, success;
    int code;
    int64_t stop_time;          /* SchedulerStopTime of the request */
} exchange;

#define EXCHANGES 2048
static exchange exchanges[EXCHANGES];

typedef struct world {
    const uint8_t *choice, *script;
    size_t len, at;
    bool told;                  /* the script holds the private key itself */
    bool turn;                  /* the server may speak */
    bool begun;                 /* something of this reply has gone */
    bool over;                  /* the script stands at an end of the connection */
    bool connected, asked;      /* asked: an exchange is going on */
    size_t limit;
    pieces send_sizes, recv_sizes;
    uint64_t clock, jumps;
    long turns;
    unsigned waits, elements;
    compshare *client;
    unsigned char request[16384];
    size_t request_len;
    char said[48];              /* a line of the server's own, */
    size_t said_at, said_len;   /* how much of it has gone, and all of it */
    unsigned char *log;         /* what was delivered in this exchange */
    size_t log_len;
    exchange *exchanges;
    size_t count;
    json_t *last;               /* the last reply, where it is JSON */
} world;

static exchange *current(world *w)
{
    CHECK(w->count > 0);
    return &w->exchanges[w->count - 1];
}

/* ---- the judge ---- */

static bool is_csv(const exchange *e, const reply *r)
{
    size_t i = compshare__json_bom((const char *)r->body, r->body_len);
    while (i < r->body_len && memchr(" \t\r\n", r->body[i], 4) != NULL) i++;
    return strcmp(e->action, "DownloadTeamOrder") == 0 && i < r->body_len && r->body[i] != '{'
        && (strcmp(r->content_type, "text/csv") == 0 || strcmp(r->content_type, "application/csv") == 0
        || strcmp(r->content_type, "application/octet-stream") == 0
            || strcmp(r->content_type, "application/vnd.ms-excel") == 0);
}

static void judge_body(world *w, exchange *e, const reply *r)
{
    size_t bom = r->body_len >= 3 && memcmp(r->body, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    const char *text = (const char *)r->body + bom;
    size_t len = r->body_len - bom;
    bool fine = r->status >= 200 && r->status < 300, known;
    compshare_view value;
    int opinion = fuzz_opinion(text, len, &w->last);
    if (opinion == OPINION_NONE) e->murky = true;
    known = opinion == OPINION_ACCEPTED && json_is_object(w->last) && fuzz_members(text, len, "RetCode", &value) == 1
        && fuzz_ret_code(value, &e->code);
    if (!known && fine && is_csv(e, r)) {
        known = true;
        e->code = 0;
    }
    e->success = known && fine && e->code == 0 && e->whole;
    e->definite = known && r->status < 500 && e->code != 110 && e->code != 8438 && (e->code != 0 || e->success);
}

/* The exchange is over: what did the server say? */
static void judge(world *w)
{
    exchange *e;
    reply r;
    if (!w->asked) return;
    w->asked = false;
    e = current(w);
    json_decref(w->last);
    w->last = NULL;
    if (e->tunnel) return;
    reply_read(&r, w->log, w->log_len, false, e->ended);
    if (r.verdict == REPLY_WHOLE && !r.encoded) judge_body(w, e, &r);
    reply_free(&r);
}

/* ---- the script ---- */

static bool command(const world *w, int name)
{
    return w->at + 1 < w->len && w->script[w->at] == 0xFF && w->script[w->at + 1] == name;
}

/* The byte behind a command; it and the command are passed. */
static unsigned argument(world *w)
{
    unsigned n = w->at + 2 < w->len ? w->script[w->at + 2] : 0;
    w->at += 3;
    if (w->at > w->len) w->at = w->len;
    return n;
}

/* To the beginning of the next reply. */
static void skip_reply(world *w)
{
    while (w->at < w->len) {
        bool end = command(w, 'N') || command(w, 'E') || command(w, 'X');
        w->at += end ? 2 : 1;
        if (end) break;
    }
    w->begun = false;
}

static bool bounded(world *w)
{
    CHECK(w->turns++ < 200000);
    return true;
}

/* All of n bytes, or one of the sizes given. */
static size_t some_of(pieces *sizes, size_t n)
{
    size_t some = fuzz_piece(sizes, 255);
    return some >= 128 || some > n ? n : some;
}

/* Length of the command at a place of the script, 0 if there is none. A 0xFF that begins
   none stands for the byte behind it. */
static size_t command_len(const world *w, size_t at)
{
    if (w->script[at] != 0xFF || at + 1 == w->len || w->script[at + 1] == '\0') return 0;
    return strchr("NEXWGL", w->script[at + 1]) != NULL ? 2 : strchr("TDOS", w->script[at + 1]) != NULL ? 3 : 0;
}

/* Bytes of this reply's body that are to come. */
static size_t rest_of_body(const world *w)
{
    size_t at = w->at, n = 0, head = 2, len;       /* L stands where a line begins */
    static const char blank[] = "\r\n\r\n";
    while (at < w->len) {
        len = command_len(w, at);
        if (len > 0 && strchr("NEX", w->script[at + 1]) != NULL) break;
        if (len == 0) {
            if (w->script[at] == 0xFF && at + 1 < w->len) at++;
            if (head == 4) n++;
            else if (w->script[at] == (unsigned char)blank[head]) head++;
            else head = w->script[at] == '\r';
            len = 1;
        }
        at += len;
    }
    return n;
}

static void say_length(world *w)
{
    w->at += 2;
    w->said_at = 0;
    w->said_len = (size_t)snprintf(w->said, sizeof w->said, "Content-Length: %lu\r\n", (unsigned long)rest_of_body(w));
}

/* Bytes of a reply, up to the next command. */
static ptrdiff_t deliver(world *w, void *dst, size_t cap)
{
    size_t n = 0, most = some_of(&w->recv_sizes, cap);
    if (w->limit > 0 && most > w->limit) most = w->limit;
    if (w->said_at < w->said_len) {
        n = w->said_len - w->said_at < most ? w->said_len - w->said_at : most;
        memcpy(dst, w->said + w->said_at, n);
        w->said_at += n;
    } else {
        while (n < most && w->at + n < w->len && w->script[w->at + n] != 0xFF) n++;
        if (n == 0) {
            n = 1;
            w->at += w->at + 1 < w->len;
        }
        memcpy(dst, w->script + w->at, n);
        w->at += n;
    }
    memcpy(w->log + w->log_len, dst, n);
    w->log_len += n;
    w->begun = true;
    if (w->asked) current(w)->answered = true;
    return (ptrdiff_t)n;
}

static ptrdiff_t end_of_script(world *w)
{
    if (!(w->choice[CHOICE_END] & 1)) return COMPSHARE_WANT_READ;
    if (w->asked) current(w)->ended = true;
    return 0;
}

static ptrdiff_t world_recv(void *user, void *dst, size_t cap)
{
    world *w = (world *)user;
    CHECK(w->connected && cap > 0 && bounded(w));
    for (;;) {
        if (w->turn && w->said_at < w->said_len) return deliver(w, dst, cap);
        if (w->at >= w->len) return w->turn ? end_of_script(w) : COMPSHARE_WANT_READ;
        if (command(w, 'G')) { w->at += 2; w->turn = true; continue; }
        if (!w->turn) return COMPSHARE_WANT_READ;
        if (command(w, 'E') || command(w, 'X')) {
            w->over = true;
            if (w->asked && command(w, 'E')) current(w)->ended = true;
            return command(w, 'E') ? 0 : COMPSHARE_E_IO;
        }
        if (command(w, 'N') || command(w, 'W')) {
            if (command(w, 'N')) w->turn = w->begun = false;
            w->at += 2;
            return COMPSHARE_WANT_READ;
        }
        if (command(w, 'L')) {
            say_length(w);
        } else if (command(w, 'T')) {
            uint64_t ms = argument(w) * 100u;
            w->clock += ms;
            w->jumps += ms;
        } else if (command(w, 'D')) {
            w->limit = argument(w) + 1;
        } else if (command(w, 'O') || command(w, 'S')) {
            (void)argument(w);
        } else {
            return deliver(w, dst, cap);
        }
    }
}

/* ---- secrets ---- */

#ifdef __clang__
#define UNSEEN __attribute__((noinline, no_sanitize("coverage")))
#else
#define UNSEEN
#endif

/* By hand: the fuzzer reads what strstr and memmem look for and puts it into its inputs. */
UNSEEN static bool holds_secret(const void *data, size_t len)
{
    const char *text = (const char *)data;
    size_t i, n;
    for (i = 0; i + sizeof SECRET - 1 <= len; i++) {
        for (n = 0; n < sizeof SECRET - 1 && text[i + n] == SECRET[n]; n++) {}
        if (n == sizeof SECRET - 1) return true;
    }
    return false;
}

/* Whether the private key gets out; a server that says it itself may see it again. */
static bool leaks(const world *w, const char *text)
{
    return !w->told && holds_secret(text, strlen(text));
}

/* ---- requests ---- */

static int64_t request_number(const char *body, const char *name)
{
    const char *at = strstr(body, name);
    return at != NULL ? strtoll(at + strlen(name), NULL, 10) : 0;
}

/* Whether the request is complete now; it must never be longer than it says. */
static void look_at_request(world *w)
{
    exchange *e = current(w);
    char *text = (char *)w->request, *end, *length;
    text[w->request_len] = '\0';
    end = strstr(text, "\r\n\r\n");
    if (end == NULL) return;
    if (e->tunnel) {
        CHECK(strncmp(text, "CONNECT api.test:80 HTTP/1.1\r\n", 30) == 0 && end[4] == '\0');
        e->whole = true;
    } else {
        size_t have = strlen(end + 4), wanted;
        length = strstr(text, "\r\nContent-Length: ");
        CHECK(strncmp(text, "POST / HTTP/1.1\r\nHost: api.test\r\n", 33) == 0 && length != NULL && length < end);
        wanted = (size_t)strtoul(length + 18, NULL, 10);
        CHECK(have <= wanted);
        e->whole = have == wanted;
        e->stop_time = request_number(end, "SchedulerStopTime=");
        if (e->whole) CHECK(strstr(end, "Signature=") != NULL && strstr(end, e->action) != NULL);
    }
    if (!e->whole) return;
    CHECK(!leaks(w, text));
    w->turn = true;
}

static void begin_exchange(world *w, bool tunnel)
{
    exchange *e;
    judge(w);
    CHECK(w->count < EXCHANGES);
    e = &w->exchanges[w->count++];
    memset(e, 0, sizeof *e);
    if (!tunnel) (void)snprintf(e->action, sizeof e->action, "%s", w->client->exchange.request.action);
    e->tunnel = tunnel;
    w->asked = true;
    w->request_len = w->log_len = 0;
}

static ptrdiff_t world_send(void *user, const void *src, size_t len)
{
    world *w = (world *)user;
    size_t n = len;
    CHECK(w->connected && len > 0 && bounded(w));
    if (!w->asked || current(w)->answered || current(w)->whole || current(w)->ended)
        begin_exchange(w, w->client->exchange.phase == COMPSHARE__PHASE_PROXY);
    if (command(w, 'S')) {
        unsigned how = argument(w);
        if (how == 0) return COMPSHARE_WANT_WRITE;
        if (how == 1) return COMPSHARE_E_IO;
        if (how == 2) return 0;
        if (how == 3) return (ptrdiff_t)len + 1;
        if (how == 4) return COMPSHARE_WANT_READ;
        if (n > how) n = how;
    }
    n = some_of(&w->send_sizes, n);
    CHECK(n <= sizeof w->request - 1 - w->request_len);
    memcpy(w->request + w->request_len, src, n);
    w->request_len += n;
    current(w)->sent += n;
    look_at_request(w);
    return (ptrdiff_t)n;
}

/* ---- connections and time ---- */

static int world_open(void *user, const char *host, uint16_t port)
{
    world *w = (world *)user;
    bool proxy = (w->choice[CHOICE_FLAGS] & FLAG_PROXY) != 0;
    CHECK(bounded(w) && !w->connected);
    CHECK(strcmp(host, proxy ? "proxy.test" : "api.test") == 0 && port == (proxy ? 3128 : 80));
    if (command(w, 'O')) {
        static const int ends[] = { COMPSHARE_E_CONNECT, COMPSHARE_E_RESOLVE, COMPSHARE_WANT_WRITE,
            COMPSHARE_WANT_READ, 7, COMPSHARE_E_TLS };
        return ends[argument(w) % 6];
    }
    w->connected = true;
    w->turn = w->begun = w->over = false;
    w->said_at = w->said_len = 0;
    w->limit = w->log_len = 0;
    return COMPSHARE_OK;
}

static void world_close(void *user)
{
    world *w = (world *)user;
    judge(w);
    if (w->over) w->at += 2;
    else if (w->begun) skip_reply(w);
    w->connected = w->turn = w->begun = w->over = false;
    w->log_len = 0;
}

static int world_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    world *w = (world *)user;
    uint64_t part = (uint64_t)timeout_ms * w->choice[CHOICE_WAIT] / 256 + 1;
    CHECK(bounded(w) && timeout_ms > 0 && want <= (COMPSHARE_READ | COMPSHARE_WRITE));
    w->clock += w->choice[CHOICE_WAIT] == 0 || part > timeout_ms ? timeout_ms : part;
    return ++w->waits == w->choice[CHOICE_BROKEN_WAIT] ? COMPSHARE_E_IO : COMPSHARE_OK;
}

static int64_t world_unix_time(void *user)
{
    const world *w = (const world *)user;
    switch (w->choice[CHOICE_CLOCK] & 7) {
    case 1: return 0;
    case 2: return INT64_MAX;
    case 3: return -1;
    default: return BASE + (int64_t)(w->clock / 1000);
    }
}

static uint64_t world_monotonic(void *user)
{
    return ((const world *)user)->clock;
}

static int world_entropy(void *user, void *dst, size_t len)
{
    memset(dst, ((const world *)user)->choice[CHOICE_ENTROPY], len);
    return 0;
}

static void world_trace(void *user, const char *line)
{
    (void)user;
    CHECK(!holds_secret(line, strlen(line)) && strchr(line, '\n') == NULL && strlen(line) < 384);
}

/* ---- the client's answers ---- */

static void walk(compshare_value v, int depth)
{
    compshare_value inner;
    char text[16];
    int64_t n;
    bool truth;
    ptrdiff_t len = compshare_copy_text(v, text, sizeof text);
    CHECK(fuzz_is_text(text, sizeof text, false) && (len < 0 || len < (ptrdiff_t)sizeof text));
    (void)compshare_as_int(v, &n);
    (void)compshare_as_bool(v, &truth);
    (void)compshare_copy_key(v, text, sizeof text);
    for (inner = compshare_first(v); depth > 0
        && compshare_type(inner) != COMPSHARE_NONE; inner = compshare_next(inner)) walk(inner, depth - 1);
}

/* A callback may not call back, and sees a whole element. */
static int seen(world *w)
{
    CHECK(compshare_call(w->client, "GetProjectList", NULL, 0) == COMPSHARE_E_BUSY);
    CHECK(compshare_abort(w->client) == COMPSHARE_E_BUSY);
    compshare_close(w->client);
    w->elements++;
    return w->elements == w->choice[CHOICE_STOP];
}

static int on_element(void *user, compshare_value element)
{
    CHECK(compshare_type(element) != COMPSHARE_NONE);
    walk(element, 3);
    return seen((world *)user);
}

static void check_instance(const compshare_instance *i)
{
    CHECK_TEXT(i->uhost_id); CHECK_TEXT(i->name); CHECK_TEXT(i->state); CHECK_TEXT(i->charge_type);
    CHECK_TEXT(i->region); CHECK_TEXT(i->zone); CHECK_TEXT(i->gpu_type);
    CHECK(i->gpu >= 0 && i->create_time >= 0 && i->expire_time >= 0 && i->stop_time >= 0);
}

static int on_instance(void *user, const compshare_instance *instance, compshare_value element)
{
    check_instance(instance);
    CHECK(instance->uhost_id[0] != '\0' && compshare_type(element) == COMPSHARE_OBJECT);
    return seen((world *)user);
}

static int on_project(void *user, const compshare_project *project)
{
    CHECK_TEXT(project->project_id);
    CHECK_TEXT(project->project_name);
    CHECK(project->project_id[0] != '\0');
    return seen((world *)user);
}

/* ---- calls ---- */

enum {
    CALL_READ, CALL_CREATE, CALL_TERMINATE, CALL_UNKNOWN, CALL_CSV, CALL_EACH_READ, CALL_EACH_CREATE,
    CALL_PROJECTS, CALL_DESCRIBE, CALL_EACH_INSTANCE, CALL_UPDATE, CALL_DELETE,
    CALL_SET_AT, CALL_SET_IN, CALL_GET, CALL_EXTEND, CALL_CANCEL, CALL_STOP, CALL_START, CALL_REBOOT, CALL_WAIT, CALLS
};

typedef struct results {
    compshare_project project;
    compshare_instance instance;
    compshare_schedule schedule;
    compshare_plan plan;
    compshare_target target;
    compshare_param params[20];
    char filler[512];
    size_t count;
} results;

static const char *const names[] = {
    "DescribeCompShareInstance", "CreateCompShareInstance", "TerminateCompShareInstance", "NoSuchAction",
        "DownloadTeamOrder",
    "DescribeCompShareInstance", "CreateCompShareInstance"
};

static const char *changes(int kind)
{
    switch (kind) {
    case CALL_UPDATE: case CALL_SET_AT: case CALL_SET_IN: case CALL_EXTEND: return "UpdateCompShareStopScheduler";
    case CALL_DELETE: case CALL_CANCEL: return "DeleteCompShareStopScheduler";
    case CALL_STOP: return "StopCompShareInstance";
    case CALL_START: return "StartCompShareInstance";
    case CALL_REBOOT: return "RebootCompShareInstance";
    default: return NULL;
    }
}

/* Some parameters, or with FLAG_LONG more than one record holds in small buffers. */
static void fill_params(const world *w, results *r)
{
    static const char *const keys[] = {
        "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T"
    };
    size_t i;
    memset(r->filler, 0xE5, sizeof r->filler - 1);
    r->count = w->choice[CHOICE_FLAGS] & FLAG_LONG ? 12 : 2;
    for (i = 0; i < r->count; i++) r->params[i] = compshare_text(keys[i], r->count > 2 ? r->filler : "some text");
    r->params[1] = compshare_int("UHostIds.0", 7);
    if (r->count > 2) r->params[2] = compshare_decimal("Price", "0.5");
}

static int start(world *w, int kind, results *r)
{
    compshare *c = w->client;
    const uint8_t *choice = w->choice;
    r->target.uhost_id = "uhost-1";
    r->target.zone = choice[CHOICE_FLAGS] & FLAG_REGION ? NULL : "cn-wlcb-01";
    r->target.project_id = choice[CHOICE_FLAGS] & FLAG_PROJECT ? NULL : "org-1";
    r->plan.uhost_id = "uhost-1";
    r->plan.mode = choice[CHOICE_PLAN] & 3;
    fill_params(w, r);
    switch (kind) {
    case CALL_EACH_READ:
    case CALL_EACH_CREATE: return compshare_call_each_start(c, names[kind], r->params, r->count, "UHostSet",
        on_element, w);
    case CALL_PROJECTS: return compshare_get_project_list_start(c, &r->project, choice[CHOICE_PLAN] & 4 ? on_project
        : NULL, w);
    case CALL_DESCRIBE: return compshare_describe_instance_start(c, &r->target, &r->instance);
    case CALL_EACH_INSTANCE: return compshare_each_instance_start(c, &r->target, on_instance, w);
    case CALL_UPDATE: return compshare_update_stop_scheduler_start(c, &r->target, AT);
    case CALL_DELETE: return compshare_delete_stop_scheduler_start(c, &r->target);
    case CALL_SET_AT: r->plan.at = AT; return compshare_schedule_set_start(c, &r->plan, &r->schedule);
    case CALL_SET_IN: r->plan.in_seconds = 3600; return compshare_schedule_set_start(c, &r->plan, &r->schedule);
    case CALL_GET: return compshare_schedule_get_start(c, "uhost-1", &r->schedule);
    case CALL_EXTEND: return compshare_schedule_extend_start(c, "uhost-1", choice[CHOICE_PLAN] & 8 ? INT64_MAX : 3600,
        &r->schedule);
    case CALL_CANCEL: return compshare_schedule_cancel_start(c, "uhost-1", &r->schedule);
    case CALL_STOP: return compshare_stop_instance_start(c, &r->target);
    case CALL_START: return compshare_start_instance_start(c, &r->target);
    case CALL_REBOOT: return compshare_reboot_instance_start(c, &r->target);
    case CALL_WAIT: return compshare_wait_state_start(c, "uhost-1", "Running", choice[CHOICE_PLAN] & 16 ? 90000 : 0,
        &r->instance);
    default: return compshare_call_start(c, names[kind], r->params, r->count);
    }
}

/* The loop around the steps, as a program with an event loop has it. False: given up by
   closing the client. */
static bool run_steps(world *w, int *r)
{
    unsigned steps = 0, stop = w->choice[CHOICE_STEP];
    while ((*r = compshare_step(w->client)) == COMPSHARE_PENDING) {
        uint32_t ms = compshare_timeout_ms(w->client);
        CHECK(bounded(w) && compshare_wants(w->client) <= 3 && compshare_fd(w->client) == -1);
        if (++steps == stop / 2u + 1 && stop > 1) {
            if (stop & 1) return false;
            *r = compshare_abort(w->client);
            CHECK(*r == COMPSHARE_E_ABORTED);
            return true;
        }
        if (ms > 0) (void)world_wait(w, compshare_wants(w->client), ms);
    }
    return true;
}

/* ---- oracles ---- */

/* The instance of the last reply, as jansson reads it. */
static json_t *last_instance(const world *w)
{
    size_t i;
    json_t *element;
    json_array_foreach(json_object_get(w->last, "UHostSet"), i, element) {
        const char *id = json_string_value(json_object_get(element, "UHostId"));
        if (id != NULL && strcmp(id, "uhost-1") == 0) return element;
    }
    return NULL;
}

static int64_t count_of(const json_t *value)
{
    int64_t n = (int64_t)json_integer_value(value);
    if (json_is_string(value)) n = strtoll(json_string_value(value), NULL, 10);
    if (json_is_real(value)) n = (int64_t)json_real_value(value);
    return n > 0 ? n : 0;
}

/* Whether the last reply shows this stop time; one that is over is none. */
static bool last_stop_time_is(const world *w, int64_t stop_time)
{
    json_t *instance = last_instance(w);
    int64_t n = count_of(json_object_get(instance, "SchedulerStopTime"));
    CHECK(instance != NULL);
    if (n == 0) n = count_of(json_object_get(instance, "StopSchedulerTime"));
    return n == stop_time || (stop_time == 0 && n <= compshare_server_time(w->client));
}

static bool is_near(int64_t a, int64_t b)
{
    return a - b < 60 && b - a < 60;
}

static bool last_state_is(const world *w, const char *a, const char *b)
{
    const char *state = json_string_value(json_object_get(last_instance(w), "State"));
    return state != NULL && (strcmp(state, a) == 0 || strcmp(state, b) == 0);
}

/* Exchanges of an action of which bytes were sent. */
static size_t sendings(const world *w, size_t from, const char *action)
{
    size_t n = 0;
    for (; from < w->count; from++) n += w->exchanges[from].sent > 0 && !w->exchanges[from].tunnel
        && (action == NULL || strcmp(w->exchanges[from].action, action) == 0);
    return n;
}

/* Nothing happens twice by itself. */
static void check_sendings(const world *w, size_t from, int kind)
{
    size_t retries = w->choice[CHOICE_RETRIES] % 4;
    const char *action = kind < CALL_PROJECTS ? names[kind] : changes(kind);
    if (action == NULL) return;
    switch (compshare_action_info(action).retry) {
    case COMPSHARE_RETRY_ALWAYS: CHECK(sendings(w, from, action) <= (kind < CALL_SET_AT ? 3 + retries
        : 7 * (1 + retries))); break;
    default: CHECK(sendings(w, from, action) <= 1);
    }
}

/* Success is what an independent reading of the last reply calls one. */
static void check_success(const world *w, size_t from, int kind, const results *r)
{
    const exchange *e = &w->exchanges[w->count - 1];
    const char *change = changes(kind);
    size_t i;
    CHECK(w->count > from && !e->tunnel);
    CHECK(e->success || e->murky);
    if (e->murky) return;
    if (kind == CALL_DESCRIBE || kind == CALL_WAIT) CHECK(strcmp(r->instance.uhost_id, "uhost-1") == 0
        && last_instance(w) != NULL);
    if (kind == CALL_DESCRIBE) CHECK(last_stop_time_is(w, r->instance.stop_time));
    if (kind == CALL_WAIT) CHECK(last_state_is(w, "Running", "Running"));
    if (kind == CALL_PROJECTS) CHECK(r->project.project_id[0] != '\0');
    if (kind == CALL_STOP && strcmp(e->action, change) != 0) CHECK(last_state_is(w, "Stopping", "Stopped"));
    if (kind == CALL_START && strcmp(e->action, change) != 0) CHECK(last_state_is(w, "Starting", "Running"));
    if (kind == CALL_REBOOT && strcmp(e->action, change) != 0) CHECK(last_state_is(w, "Rebooting", "Rebooting"));
    if (kind < CALL_SET_AT || kind > CALL_CANCEL) return;
    CHECK(strcmp(e->action, "DescribeCompShareInstance") == 0 && last_stop_time_is(w, r->schedule.stop_time));
    CHECK(r->schedule.shown == r->schedule.stop_time && r->schedule.accepted <= r->schedule.changed);
    CHECK(strcmp(r->schedule.uhost_id, "uhost-1") == 0);
    CHECK(r->schedule.changed == (change != NULL && sendings(w, from, change) > 0));
    if (kind == CALL_CANCEL) CHECK(r->schedule.stop_time == 0);
    if (kind == CALL_SET_AT && r->schedule.changed) CHECK(is_near(r->schedule.stop_time, AT)
        && r->schedule.requested == AT);
    for (i = from; i < w->count; i++)
        if (change != NULL && strcmp(w->exchanges[i].action, change) == 0 && w->exchanges[i].whole)
            CHECK(is_near(w->exchanges[i].stop_time, r->schedule.stop_time));
}

/* A failure of which nothing is unknown has been refused in so many words, or has not
   been sent. */
static void check_unknown(const world *w, size_t from, int kind, bool unknown)
{
    bool workflow = kind >= CALL_SET_AT;
    const char *change = workflow ? changes(kind) : NULL;
    size_t i;
    if (workflow && change == NULL) CHECK(!unknown);
    if (unknown) CHECK(sendings(w, from, change) > 0);
    /* lists and descriptions are read again, in other pages and projects */
    if (unknown || kind == CALL_EACH_INSTANCE || kind == CALL_DESCRIBE || (workflow && change == NULL)) return;
    /* a reading that was understood at last, and refused for what it says; where the judge
       cannot read it, the client has to have found a RetCode in it */
    if (kind == CALL_PROJECTS && w->count > from
        && (w->exchanges[w->count - 1].success
            || (w->exchanges[w->count - 1].murky && w->client->reply.body.definite))) return;
    for (i = from; i < w->count; i++) {
        const exchange *e = &w->exchanges[i];
        if (e->tunnel || e->sent == 0 || e->murky || (change != NULL && strcmp(e->action, change) != 0)) continue;
        CHECK(e->definite && (!workflow || e->code != 0));
    }
}

static void check_error(const world *w, int status)
{
    const compshare_error *e = compshare_last_error(w->client);
    char text[COMPSHARE_ERROR_TEXT], few[9];
    CHECK(e->status == status);
    CHECK_TEXT(e->action); CHECK_TEXT(e->request_id); CHECK_TEXT(e->message); CHECK_TEXT(e->detail);
    CHECK(strlen(compshare_error_text(w->client, text, sizeof text)) < sizeof text - 1);
    CHECK(!leaks(w, text));
    CHECK(strncmp(text, compshare_error_text(w->client, few, sizeof few), strlen(few)) == 0
        && strlen(few) < sizeof few);
    CHECK(status != COMPSHARE_OK || (!e->outcome_unknown && e->ret_code == 0 && e->detail[0] == '\0'));
    CHECK(strcmp(compshare_status_name(status), "COMPSHARE_E_?") != 0
        && (status == COMPSHARE_OK || status <= COMPSHARE_E_CONFIG));
    walk(compshare_reply(w->client), 4);
    CHECK(compshare_body(w->client).len <= w->client->reply.area_cap);
}

static bool all_zero(const void *ptr, size_t len)
{
    const unsigned char *p = (const unsigned char *)ptr;
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static void check_results(int status, const results *r)
{
    const compshare_schedule *s = &r->schedule;
    CHECK_TEXT(s->uhost_id); CHECK_TEXT(s->state); CHECK_TEXT(s->charge_type); CHECK_TEXT(s->zone);
    CHECK_TEXT(r->project.project_id); CHECK_TEXT(r->project.project_name);
    check_instance(&r->instance);
    CHECK(s->stop_time >= 0 && s->previous >= 0 && s->seconds_left >= 0);
    if (status != COMPSHARE_OK) CHECK(s->stop_time == 0 && s->seconds_left == 0 && !s->changed);
}

/* One call, to its end. False: the client was closed in the middle of it. */
static bool one_call(world *w, int kind, results *r)
{
    size_t from = w->count;
    uint64_t begun = w->clock, jumps = w->jumps, allowed;
    int status;
    bool ended = true, zero;
    memset(r, 0, sizeof *r);
    w->elements = 0;
    status = start(w, kind, r);
    if (status == COMPSHARE_OK && (w->choice[CHOICE_FLAGS] & FLAG_STEPS)) ended = run_steps(w, &status);
    else if (status == COMPSHARE_OK) status = compshare__task_run(w->client, COMPSHARE_OK);
    if (ended) {
        judge(w);
        allowed = kind == CALL_WAIT && (w->choice[CHOICE_PLAN] & 16) ? 90000 : w->client->config.timeout_ms;
        CHECK(w->clock - begun <= allowed + (w->jumps - jumps));
        check_error(w, status);
        check_sendings(w, from, kind);
        check_results(status, r);
        if (status == COMPSHARE_OK) check_success(w, from, kind, r);
        else check_unknown(w, from, kind, compshare_last_error(w->client)->outcome_unknown);
        zero = all_zero(&r->project, sizeof r->project) && all_zero(&r->instance, sizeof r->instance);
        CHECK(status == COMPSHARE_OK || kind == CALL_WAIT || zero);
        CHECK(compshare_step(w->client) == COMPSHARE_E_IDLE);
    }
    return ended;
}

/* ---- the whole ---- */

static void configure(world *w, compshare_config *config, const compshare_transport *io)
{
    static const uint32_t timeouts[] = { 15000, 60000, 1000, 300000, 1, 100000, 4000, 30000 };
    const uint8_t *choice = w->choice;
    unsigned flags = choice[CHOICE_FLAGS];
    config->public_key = "public";
    config->private_key = SECRET;
    config->base_url = "http://api.test";
    config->transport = io;
    config->unix_time = world_unix_time;
    config->monotonic_ms = world_monotonic;
    config->entropy = world_entropy;
    config->trace = world_trace;
    config->user = w;
    config->max_retries = choice[CHOICE_RETRIES] % 4;
    config->timeout_ms = timeouts[choice[CHOICE_TIMEOUT] % 8];
    if (flags & FLAG_PROJECT) config->project_id = "org-1";
    if (flags & FLAG_REGION) config->region = "cn-wlcb";
    if (flags & FLAG_REGION) config->zone = "cn-wlcb-01";
    if (flags & FLAG_PROXY) config->proxy = "http://user:pass%20word@proxy.test:3128";
    if (flags & FLAG_TOKEN) config->security_token = "token";
    if (flags & FLAG_SMALL) config->flags = COMPSHARE_SMALL_RECORDS;
}

#define CANARY 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world w;
    compshare_transport io = { &w, world_open, world_send, world_recv, world_wait, world_close, NULL };
    compshare_config config;
    unsigned char *block, canary[CANARY];
    size_t skew, i, calls;
    results *r;         /* borrowed until the client is closed */
    if (size < CHOICES) return 0;
    memset(&w, 0, sizeof w);
    memset(&config, 0, sizeof config);
    w.choice = data;
    w.exchanges = exchanges;
    w.script = data + CHOICES;
    w.len = size - CHOICES;
    w.told = holds_secret(w.script, w.len);
    w.clock = data[CHOICE_CLOCK] & 8 ? UINT64_C(1) << 40 : 1;
    w.send_sizes.sizes = data + CHOICE_SEND;
    w.recv_sizes.sizes = data + CHOICE_RECV;
    w.send_sizes.count = w.recv_sizes.count = 4;
    w.log = (unsigned char *)fuzz_room(w.len * sizeof w.said / 2 + 1);
    configure(&w, &config, &io);
    skew = data[CHOICE_SKEW] % 16;
    config.memory_size = compshare_memory_needed(&config) + (data[CHOICE_FLAGS] & FLAG_ROOMY ? 30000 : 0);
    block = (unsigned char *)fuzz_room(config.memory_size + skew + CANARY);
    memset(canary, 0xA5, sizeof canary);
    memcpy(block, canary, skew);
    memcpy(block + skew + config.memory_size, canary, CANARY);
    config.memory = block + skew;
    CHECK(compshare_open(&w.client, &config) == COMPSHARE_OK);
    r = (results *)fuzz_room(sizeof *r);
    calls = data[CHOICE_COUNT] % 3 + 1u;
    for (i = 0; i < calls && one_call(&w, data[CHOICE_CALL + i] % CALLS, r); i++) {}
    compshare_close(w.client);
    CHECK(all_zero(config.memory, config.memory_size));
    CHECK(memcmp(block, canary, skew) == 0 && memcmp(block + skew + config.memory_size, canary, CANARY) == 0);
    json_decref(w.last);
    free(w.log);
    free(block);
    free(r);
    return 0;
}
