/* Rooms proxy and exchange against peers that keep them busy, stop in the middle, or answer too
   early: over a transport in memory, on an injected clock. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include "support.h"
#include "memory.h"

/* ---- a transport that follows a plan ---- */

static memory_peer plan;
static fake_clock present;

static void few_waits(memory_peer *p, unsigned want)
{
    (void)want;
    CHECK(p->waits < 100);
}

static void (*on_close)(void);

static void tell_of_close(memory_peer *p)
{
    (void)p;
    if (on_close != NULL) on_close();
}

static unsigned char block[COMPSHARE_MEMORY];
static compshare *client;
static compshare_config config;

static void open_at(const char *base_url)
{
    memory_begin(&plan, &present, 1795442700);
    plan.on_wait = few_waits;
    plan.on_close = tell_of_close;
    memory_configure(&config, &plan);
    config.memory = block;
    config.memory_size = sizeof block;
    config.region = "cn-wlcb";
    config.base_url = base_url;
    config.ca_pem = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    CHECK_NUMBER(compshare_open(&client, &config), COMPSHARE_OK);
}

static int close_it(void **state)
{
    (void)state;
    compshare_close(client);
    client = NULL;
    return 0;
}

static void reply_is(const char *reply, size_t len)
{
    memory_says(&plan, reply, len);
}

static void reply_text(const char *text) { reply_is(text, strlen(text)); }

#define OK_REPLY(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " #length "\r\n\r\n" body

static const compshare_error *last(void) { return compshare_last_error(client); }

/* ---- a TLS engine that a peer keeps busy or stuck ---- */

/* A close_notify inside a longer clear record: BearSSL's engine then wants nothing
   and gives nothing. */
static void engine_stuck(void **state)
{
    char record[5 + 100] = "\x15\x03\x03\x00\x64\x01\x00";
    (void)state;
    memset(record + 7, 'z', sizeof record - 7);
    open_at("https://localhost");
    reply_is(record, sizeof record);
    plan.piece = 1;
    CHECK_NUMBER(compshare_call(client, "GetProjectList", NULL, 0), COMPSHARE_E_TLS);
    CHECK_NUMBER(last()->stage, COMPSHARE_STAGE_HANDSHAKE);
    CHECK(!last()->outcome_unknown);
}

/* Records without content, for ever: the deadline must still be met. */
static void engine_flooded(void **state)
{
    static const struct { const char *bytes; size_t len; } floods[] = {
        { "\x16\x03\x03\x00\x00", 5 },                  /* an empty handshake record */
        { "\x15\x03\x03\x00\x02\x01\x5a", 7 }           /* a warning: user_canceled */
    };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT_OF(floods); i++)
        for (k = 0; k < 2; k++) {
            open_at("https://localhost");
            reply_is(floods[i].bytes, floods[i].len);
            plan.repeat = true;
            plan.per_look = 3;
            plan.piece = k == 0 ? 1 : 0;
            support_case("flood %u, pieces of %u", (unsigned)i, (unsigned)plan.piece);
            CHECK_NUMBER(compshare_call(client, "GetProjectList", NULL, 0), COMPSHARE_E_TIMEOUT);
            CHECK(present.ms >= 1000 + 5000 && present.ms < 1000 + 6000);
            (void)close_it(state);
        }
    open_at("https://localhost");
}

/* In steps, a flood must not hold the caller's loop. */
static void engine_flooded_in_steps(void **state)
{
    (void)state;
    open_at("https://localhost");
    reply_is("\x16\x03\x03\x00\x00", 5);
    plan.repeat = true;
    CHECK_NUMBER(compshare_call_start(client, "GetProjectList", NULL, 0), COMPSHARE_OK);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);
    CHECK_NUMBER(compshare_timeout_ms(client), 0);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);
    CHECK_NUMBER(compshare_abort(client), COMPSHARE_E_ABORTED);
}

/* ---- requests that break off ---- */

/* Only a part of the request left, and yet there is a success: it belongs to
   something else. A refusal, on the other hand, is believed. */
static void success_before_the_request(void **state)
{
    (void)state;
    open_at("http://localhost");
    plan.send_room = 100;
    plan.send_after = COMPSHARE_E_IO;
    reply_text(OK_REPLY(13, "{\"RetCode\":0}"));
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_REPLY);
    CHECK(last()->outcome_unknown);
    plan.send_room = 100;
    reply_text(OK_REPLY(15, "{\"RetCode\":171}"));
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_API);
    CHECK(!last()->outcome_unknown);
    CHECK_NUMBER(last()->ret_code, 171);
    CHECK_NUMBER(plan.opened, 2);
}

/* Sending fails and nothing is there to read: that is the error, at once. */
static void sending_fails(void **state)
{
    (void)state;
    open_at("http://localhost");
    plan.send_room = 100;
    plan.send_after = COMPSHARE_E_IO;
    plan.after = COMPSHARE_WANT_READ;
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_IO);
    CHECK(last()->outcome_unknown);
    CHECK_NUMBER(plan.waits, 0);
    plan.send_room = 0;
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_IO);
    CHECK(!last()->outcome_unknown);
}

/* The peer has ended its side while sending is stuck: no hot loop. */
static void stuck_at_the_end(void **state)
{
    (void)state;
    open_at("http://localhost");
    plan.send_room = 100;
    plan.send_after = COMPSHARE_WANT_WRITE;
    plan.after = 0;
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_CLOSED);
    CHECK(last()->outcome_unknown);
    CHECK_NUMBER(plan.waits, 0);
}

/* The first sending got no answer, the second a refusal: the first may have run. */
static void lost_then_refused(void **state)
{
    int r;
    (void)state;
    open_at("http://localhost");
    reply_text(OK_REPLY(13, "{\"RetCode\":0}"));
    plan.after = COMPSHARE_WANT_READ;
    CHECK_NUMBER(compshare_call(client, "DeleteCompShareStopScheduler", NULL, 0), COMPSHARE_OK);
    CHECK_NUMBER(compshare_call_start(client, "DeleteCompShareStopScheduler", NULL, 0), COMPSHARE_OK);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);    /* sent on the kept connection */
    CHECK_NUMBER(plan.opened, 1);
    plan.after = 0;                                             /* which now turns out to be dead */
    plan.second = OK_REPLY(15, "{\"RetCode\":153}");
    while ((r = compshare_step(client)) == COMPSHARE_PENDING) {}
    CHECK_NUMBER(plan.opened, 2);
    CHECK_NUMBER(r, COMPSHARE_E_API);
    CHECK_NUMBER(last()->ret_code, 153);
    CHECK(last()->outcome_unknown);
}

/* ---- results and texts ---- */

static void nothing_half_filled(void **state)
{
    static const char half[] = OK_REPLY(500,
        "{\"UHostSet\":[{\"UHostId\":\"uhost-1\",\"SchedulerStopTime\":1900000000}],");
    compshare_instance instance;
    compshare_target target = { "uhost-1", NULL, NULL, NULL };
    (void)state;
    open_at("http://localhost");
    reply_text(half);
    plan.after = COMPSHARE_WANT_READ;
    CHECK_NUMBER(compshare_describe_instance_start(client, &target, &instance), COMPSHARE_OK);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);
    CHECK_TEXT(instance.uhost_id, "");          /* written only when the reply is complete */
    CHECK_NUMBER(compshare_abort(client), COMPSHARE_E_ABORTED);
    CHECK_TEXT(instance.uhost_id, "");
    CHECK_NUMBER(instance.stop_time, 0);
    CHECK_NUMBER(last()->status, COMPSHARE_E_ABORTED);
}

static void remote_text_is_clean(void **state)
{
    const unsigned char *c;
    compshare_project project;
    char text[1024];
    (void)state;
    open_at("http://localhost");
    reply_text("HTTP/1.1 200 OK\r\nContent-Type: \x1b]0;pwn\x07\x1b[2J\x9b\r\nContent-Length: 1\r\n\r\nx");
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_JSON);
    for (c = (const unsigned char *)compshare_error_text(client, text, sizeof text); *c != '\0'; c++) CHECK(*c >= 0x20
        && *c < 0x7F);
    reply_text(OK_REPLY(72,
        "{\"RetCode\":0,\"ProjectSet\":[{\"ProjectId\":\"org\\u009b31m\"},{\"ProjectId\":\"b\"}]}"));
    plan.after = 0;
    CHECK(compshare_get_project_list(client, &project, NULL, NULL) != COMPSHARE_OK);
    reply_text(OK_REPLY(73,
        "{\"RetCode\":0,\"ProjectSet\":[{\"ProjectId\":\"org\\u202e31m\"},{\"ProjectId\":\"b\"}]} "));
    CHECK_NUMBER(compshare_get_project_list(client, &project, NULL, NULL), COMPSHARE_E_REPLY);
    CHECK_TEXT(project.project_id, "");
}

static void nothing_left_of_the_last_reply(void **state)
{
    compshare_param bad = compshare_text("Signature", "x");
    (void)state;
    open_at("http://localhost");
    reply_text(OK_REPLY(13, "{\"RetCode\":0}"));
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_OK);
    CHECK_NUMBER(compshare_body(client).len, 13);
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", &bad, 1), COMPSHARE_E_PARAM);
    CHECK_NUMBER(compshare_body(client).len, 0);
    CHECK_NUMBER(compshare_type(compshare_reply(client)), COMPSHARE_NONE);
}

/* A callback may not call back, whatever the client is doing. */
static int refused;

static void call_back(void)
{
    refused += compshare_abort(client) == COMPSHARE_E_BUSY;
    refused += compshare_call(client, "GetProjectList", NULL, 0) == COMPSHARE_E_BUSY;
    refused += compshare_step(client) == COMPSHARE_E_BUSY;
    compshare_close(client);        /* does nothing */
}

static void callbacks_are_refused(void **state)
{
    (void)state;
    open_at("http://localhost");
    plan.after = COMPSHARE_WANT_READ;
    CHECK_NUMBER(compshare_call_start(client, "StopCompShareInstance", NULL, 0), COMPSHARE_OK);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);
    on_close = call_back;
    refused = 0;
    CHECK_NUMBER(compshare_abort(client), COMPSHARE_E_ABORTED);
    CHECK_NUMBER(refused, 3);
    CHECK_NUMBER(compshare_call_start(client, "StopCompShareInstance", NULL, 0), COMPSHARE_OK);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);
    refused = 0;
    compshare_close(client);
    CHECK(refused >= 3);
    on_close = NULL;
    open_at("http://localhost");
}

/* Refused before anything was sent, closed in the middle: no result is left. */
static void results_are_empty(void **state)
{
    compshare_instance instance;
    compshare_project project;
    compshare_target target = { "uhost 1", NULL, NULL, NULL };
    (void)state;
    open_at("http://localhost");
    memset(&instance, 0x5A, sizeof instance);
    CHECK_NUMBER(compshare_describe_instance(client, &target, &instance), COMPSHARE_E_PARAM);
    CHECK_TEXT(instance.uhost_id, "");
    target.uhost_id = "uhost-1";
    reply_text(OK_REPLY(500, "{\"UHostSet\":[{\"UHostId\":\"uhost-1\"}],"));
    plan.after = COMPSHARE_WANT_READ;
    CHECK_NUMBER(compshare_describe_instance_start(client, &target, &instance), COMPSHARE_OK);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);
    CHECK_TEXT(instance.uhost_id, "");
    compshare_close(client);
    CHECK_TEXT(instance.uhost_id, "");
    open_at("http://localhost");
    memset(&project, 0x5A, sizeof project);
    plan.after = 0;
    CHECK_NUMBER(compshare_get_project_list(client, &project, NULL, NULL), COMPSHARE_E_CLOSED);
    CHECK_TEXT(project.project_id, "");
}

/* The local clock is absurd: no certificate can be judged by it, so nothing is sent. */
static int64_t absurd;
static int64_t absurd_time(void *user) { (void)user; return absurd; }

static void absurd_clocks(void **state)
{
    static const int64_t clocks[] = { INT64_MAX, (int64_t)INT32_MAX * 86400 + 5, 0, -5, INT64_MIN, 1, 1767225599 };
    compshare_target target = { "uhost-1", "cn-wlcb", "cn-wlcb-01", "org-1" };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(clocks); i++) {
        open_at("https://localhost");
        (void)close_it(state);
        config.unix_time = absurd_time;
        absurd = clocks[i];
        CHECK_NUMBER(compshare_open(&client, &config), COMPSHARE_OK);
        support_case("clock %lld", (long long)absurd);
        CHECK_NUMBER(compshare_update_stop_scheduler(client, &target, 1900000000), COMPSHARE_E_CLOCK);
        CHECK(plan.opened == 0 && !last()->outcome_unknown);
        (void)close_it(state);
    }
    open_at("http://localhost");
    reply_text(OK_REPLY(13, "{\"RetCode\":0}"));
    CHECK_NUMBER(compshare_update_stop_scheduler(client, &target, 1900000000), COMPSHARE_OK);
}

/* An idle transport may answer either WANT: the connection is alive. */
static void idle_either_way(void **state)
{
    (void)state;
    open_at("http://localhost");
    reply_text(OK_REPLY(13, "{\"RetCode\":0}"));
    plan.after = COMPSHARE_WANT_WRITE;
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_OK);
    CHECK_NUMBER(compshare_call_start(client, "StopCompShareInstance", NULL, 0), COMPSHARE_OK);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);
    CHECK_NUMBER(plan.opened, 1);
}

/* What BearSSL's codes mean, where no peer can bring them about. */
static void meanings(void **state)
{
    (void)state;
    CHECK_TEXT(compshare__tls_meaning(BR_ERR_SEND_FATAL_ALERT + 40), "TLS was ended by this client");
    CHECK_TEXT(compshare__tls_meaning(BR_ERR_BAD_PARAM), "the server broke the TLS protocol");
}

/* An empty setting, as from an empty environment variable, is none. */
static void empty_defaults(void **state)
{
    (void)state;
    open_at("http://localhost");
    (void)close_it(state);
    config.region = config.zone = config.project_id = "";
    CHECK_NUMBER(compshare_open(&client, &config), COMPSHARE_OK);
    reply_text(OK_REPLY(13, "{\"RetCode\":0}"));
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_OK);
    CHECK(strstr(plan.request, "Region") == NULL && strstr(plan.request, "Zone") == NULL
        && strstr(plan.request, "ProjectId") == NULL);
    CHECK(strstr(plan.request, "Action=StopCompShareInstance&") != NULL);
    plan.second = OK_REPLY(53, "{\"RetCode\":0,\"ProjectSet\":[{\"ProjectId\":\"org-only\"}]}");
    {
        compshare_project project;
        CHECK_NUMBER(compshare_get_project_list(client, &project, NULL, NULL), COMPSHARE_OK);
        CHECK_TEXT(project.project_id, "org-only");
    }
}

/* ---- times ---- */

/* What a request gets that another must follow: half, a reading's least, the most, what is left. */
static void half_of_the_time(void **state)
{
    static const struct { uint64_t left; uint32_t most, half; } rows[] = {
        { 15000, 15000, 7500 }, { 15001, 15000, 7500 }, { 4002, 15000, 2001 }, { 4000, 15000, 2000 },
            { 3999, 15000, 2000 },
        { 2001, 15000, 2000 }, { 2000, 15000, 2000 }, { 1999, 15000, 1999 }, { 1, 15000, 1 },
        { 60000, 15000, 15000 }, { 30000, 15000, 15000 }, { 29999, 15000, 14999 }, { 15000, 1500, 1500 },
            { 1000, 1500, 1000 },
        { UINT32_MAX, UINT32_MAX, UINT32_MAX / 2 }, { UINT64_MAX, UINT32_MAX, UINT32_MAX }
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(rows); i++) {
        support_case("%u of the time", (unsigned)i);
        CHECK_NUMBER(compshare__exchange_half(rows[i].left, rows[i].most), rows[i].half);
    }
}

/* A silent one: after half of the request's time, 4 s at least, and never behind its deadline. */
static void kept_connection_given_up(void **state)
{
    static const struct { uint32_t allowed_ms; uint64_t deadline, until; } rows[] = {
        { 15000, 16000, 8500 }, { 8002, 9002, 5001 }, { 8000, 9000, 5000 }, { 7000, 8000, 5000 }, { 4000, 5000, 5000 },
        { 3000, 4000, 4000 }, { 15000, 8000, 8000 }
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(rows); i++) {
        compshare__exchange x;
        memset(&x, 0, sizeof x);
        x.allowed_ms = rows[i].allowed_ms;
        x.deadline = rows[i].deadline;
        support_case("kept connection %u", (unsigned)i);
        CHECK_NUMBER(compshare__exchange_reuse_until(&x, 1000), rows[i].until);
    }
}

static uint32_t jitter;
static int jitter_entropy(void *user, void *dst, size_t len) { (void)user; memcpy(dst, &jitter, len); return 0; }
static int no_entropy(void *user, void *dst, size_t len) { (void)user; (void)dst; (void)len; return -1; }

/* Doubled from 500 to 8,000 ms, and half of each is jitter. */
static void backoff(void **state)
{
    static const uint32_t most[] = { 500, 1000, 2000, 4000, 8000, 8000, 8000 };
    unsigned i;
    compshare_config f;
    (void)state;
    memset(&f, 0, sizeof f);
    for (i = 0; i < COUNT_OF(most); i++) {
        f.entropy = jitter_entropy;
        jitter = most[i] / 2;
        CHECK_NUMBER(compshare__exchange_backoff(&f, i), most[i]);
        jitter = most[i] / 2 + 1;
        CHECK_NUMBER(compshare__exchange_backoff(&f, i), most[i] / 2);
        f.entropy = no_entropy;
        CHECK_NUMBER(compshare__exchange_backoff(&f, i), most[i] / 2);
    }
    CHECK_NUMBER(compshare__exchange_backoff(&f, UINT32_MAX), 4000);
}

/* ---- the rest of a reply that was too large ---- */

static const char *too_large_reply(size_t *len)
{
    static char text[COMPSHARE_MEMORY];
    size_t area = client->reply.area_cap;
    int head = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", (unsigned)area + 1000);
    memset(text + head, ' ', area + 10);
    *len = (size_t)head + area + 10;
    return text;
}

/* The verdict stands, whatever becomes of that rest; the connection is not kept. */
static void drained(int after)
{
    const char *text;
    size_t len;
    open_at("http://localhost");
    text = too_large_reply(&len);
    reply_is(text, len);
    plan.after = after;
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_TOO_LARGE);
    CHECK_NUMBER(last()->status, COMPSHARE_E_TOO_LARGE);
    CHECK_NUMBER(last()->stage, COMPSHARE_STAGE_RECEIVE);
    CHECK_NUMBER(last()->http_status, 200);
    CHECK(strstr(last()->detail, "the reply does not fit the reply area") == last()->detail);
    CHECK(last()->outcome_unknown && !last()->retryable);
    CHECK(!client->connection.open);
}

static void drained_until_the_deadline(void **state)
{
    (void)state;
    drained(COMPSHARE_WANT_READ);
    CHECK(present.ms >= 15000);
}

static void drained_until_broken(void **state)
{
    (void)state;
    drained(COMPSHARE_E_IO);
    (void)close_it(state);
    drained(0);
    CHECK(present.ms < 15000);
}

#define T(name) cmocka_unit_test_teardown(name, close_it)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(engine_stuck), T(engine_flooded), T(engine_flooded_in_steps), T(success_before_the_request), T(sending_fails),
        T(stuck_at_the_end), T(lost_then_refused), T(nothing_half_filled), T(remote_text_is_clean),
        T(nothing_left_of_the_last_reply), T(callbacks_are_refused), T(results_are_empty), T(absurd_clocks),
            T(idle_either_way),
        T(meanings), T(empty_defaults), T(half_of_the_time), T(kept_connection_given_up), T(backoff),
            T(drained_until_the_deadline),
        T(drained_until_broken)
    };
    return cmocka_run_group_tests_name("exchange", tests, NULL, NULL);
}
