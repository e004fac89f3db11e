/* Rooms read to schedule over a transport in memory: what typed calls and
   workflows make of members that are missing, malformed, or there twice, and of times
   at the edge of what they can be. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include "support.h"
#include "memory.h"

/* ---- a transport that answers each request with the next body ---- */

#define NOW INT64_C(1795442700)

static struct script {
    const char *bodies[12];
    const char *rest;           /* behind the last of these; NULL: it ends without an answer */
    const char *updates[4];     /* of UpdateCompShareStopScheduler alone; the last one goes on */
    unsigned updated;
    bool mute;                  /* the second of these gets no answer */
    size_t next;
    bool asked;                 /* a request is being taken in */
    char reply[4096];
    unsigned requests;
} script;

static memory_peer peer;
static fake_clock present;

static void on_request(memory_peer *p, const void *src, size_t len)
{
    (void)src;
    if (!script.asked) {
        p->sent = 0;
        script.requests++;
    }
    script.asked = true;
    CHECK(p->sent + len < sizeof p->request);
}

static bool script_updating(void)
{
    return script.updates[0] != NULL && strstr(peer.request, "Action=UpdateComp") != NULL;
}

/* NULL: there is none. */
static const char *script_body(void)
{
    size_t i = script.updated;
    const char *body = script.next < COUNT_OF(script.bodies) ? script.bodies[script.next] : NULL;
    if (script_updating()) {
        while (i > 0 && (i >= COUNT_OF(script.updates) || script.updates[i] == NULL)) i--;
        script.updated++;
        return script.updates[i];
    }
    script.next += body != NULL;
    return body != NULL ? body : script.rest;
}

/* The next reply, once a request has come. */
static void answer(memory_peer *p, void *dst, size_t cap)
{
    const char *body = NULL;
    int n = 0;
    (void)dst; (void)cap;
    if (!script.asked) return;
    p->after = COMPSHARE_WANT_READ;
    memory_says(p, "", 0);
    if (script.mute && script.updated == 1 && script_updating()) return;
    body = script_body();
    if (body == NULL || *body == '\0') {     /* it ends without an answer */
        p->after = 0;
        return;
    }
    script.asked = false;
    if (strncmp(body, "HTTP/", 5) == 0) n = snprintf(script.reply, sizeof script.reply, "%s", body);
    else n = snprintf(script.reply, sizeof script.reply, "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n\r\n%s",
        (unsigned long)strlen(body), body);
    CHECK(n > 0 && (size_t)n < sizeof script.reply);
    memory_says(p, script.reply, (size_t)n);
}

static void forget(memory_peer *p)
{
    memory_says(p, "", 0);
    p->after = COMPSHARE_WANT_READ;
    script.asked = false;
}

static unsigned char block[COMPSHARE_MEMORY];
static compshare *client;
static compshare_config config;

static int open_it(void **state)
{
    (void)state;
    memset(&script, 0, sizeof script);
    memory_begin(&peer, &present, NOW);
    forget(&peer);
    peer.on_send = on_request;
    peer.on_recv = answer;
    peer.on_close = forget;
    memory_configure(&config, &peer);
    config.memory = block;
    config.memory_size = sizeof block;
    config.project_id = "org-1";
    CHECK_NUMBER(compshare_open(&client, &config), COMPSHARE_OK);
    return 0;
}

/* Another client, configured as `config` says now. */
static void reopen(void)
{
    compshare_close(client);
    CHECK_NUMBER(compshare_open(&client, &config), COMPSHARE_OK);
}

static int close_it(void **state)
{
    (void)state;
    compshare_close(client);
    return 0;
}

static void bodies(const char *first, const char *second, const char *third)
{
    memset(script.bodies, 0, sizeof script.bodies);
    memset(script.updates, 0, sizeof script.updates);
    script.rest = NULL;
    script.updated = 0;
    script.bodies[0] = first;
    script.bodies[1] = second;
    script.bodies[2] = third;
    script.next = 0;
    support_case("%.200s", first);
}

static void ended(int got, int wanted, const char *detail)
{
    const compshare_error *e = compshare_last_error(client);
    CHECK_TEXT(compshare_status_name(got), compshare_status_name(wanted));
    CHECK_NUMBER(e->status, wanted);
    if (strstr(e->detail, detail) == NULL) CHECK_TEXT(e->detail, detail);
}

/* ---- GetProjectList ---- */

#define PROJECTS(elements) "{\"RetCode\":0,\"ProjectSet\":[" elements "]}"

static void projects(void **state)
{
    static const struct { const char *body; int status; const char *detail; } cases[] = {
        { PROJECTS("{\"ProjectId\":\"org-1\",\"ProjectName\":7}"), COMPSHARE_OK, "" },
        { PROJECTS("{\"ProjectId\":\"org-1\",\"IsDefault\":null}"), COMPSHARE_OK, "" },
        { PROJECTS("7"), COMPSHARE_E_REPLY, "ProjectSet: " },
        { PROJECTS("[]"), COMPSHARE_E_REPLY, "ProjectSet: " },
        { PROJECTS("{}"), COMPSHARE_E_REPLY, "ProjectSet: " },
        { PROJECTS("{\"ProjectId\":7}"), COMPSHARE_E_REPLY, "ProjectSet: " },
        { PROJECTS("{\"ProjectId\":\"\"}"), COMPSHARE_E_REPLY, "ProjectSet: " },
        { PROJECTS("{\"ProjectId\":\"org\\u0007\"}"), COMPSHARE_E_REPLY, "ProjectSet: " },
        { PROJECTS("{\"ProjectId\":\"org-1\",\"ProjectId\":\"org-2\"}"), COMPSHARE_E_REPLY, "ProjectSet: " },
        { PROJECTS("{\"ProjectId\":\"org-1\",\"ProjectName\":\"a\",\"ProjectName\":\"b\"}"), COMPSHARE_OK, "" },
        { PROJECTS("{\"ProjectId\":\"org-1\",\"IsDefault\":true,\"IsDefault\":false}"), COMPSHARE_OK, "" },
        { PROJECTS("{\"ProjectId\":\"org-1\",\"IsDefault\":\"maybe\"}"), COMPSHARE_OK, "" },
        { PROJECTS("{\"ProjectId\":\"org-2\"}"), COMPSHARE_E_PROJECT,
            "project_id is not among the account's projects: org-2" },
        { PROJECTS(""), COMPSHARE_E_PROJECT, "the account has no project" }
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        compshare_project chosen;
        memset(&chosen, 0x5A, sizeof chosen);
        bodies(cases[i].body, NULL, NULL);
        ended(compshare_get_project_list(client, &chosen, NULL, NULL), cases[i].status, cases[i].detail);
        CHECK_TEXT(chosen.project_id, cases[i].status == COMPSHARE_OK ? "org-1" : "");
    }
    bodies(PROJECTS(""), NULL, NULL);
    support_case("none is to be chosen");
    ended(compshare_get_project_list(client, NULL, NULL, NULL), COMPSHARE_OK, "");
    CHECK_TEXT(compshare_last_error(client)->detail, "");
}

/* ---- DescribeCompShareInstance ---- */

#define INSTANCES(elements) "{\"RetCode\":0,\"UHostSet\":[" elements "],\"TotalCount\":1}"
#define ONE(members) INSTANCES("{\"UHostId\":\"uhost-1\"" members "}")

static void instances(void **state)
{
    static const struct { const char *body; int status; const char *detail; } cases[] = {
        { ONE(",\"Name\":7"), COMPSHARE_OK, "" },
        { ONE(",\"GPU\":null,\"CreateTime\":\"\",\"SchedulerStopTime\":\"0\""), COMPSHARE_OK, "" },
        { INSTANCES("7"), COMPSHARE_E_REPLY, "UHostSet: an element" },
        { INSTANCES("[]"), COMPSHARE_E_REPLY, "UHostSet: an element" },
        { INSTANCES("{\"UHostId\":\"\"}"), COMPSHARE_E_REPLY, "UHostSet: UHostId" },
        { INSTANCES("{\"UHostId\":7}"), COMPSHARE_E_REPLY, "UHostSet: UHostId" },
        { INSTANCES("{}"), COMPSHARE_E_REPLY, "UHostSet: UHostId" },
        { ONE(",\"State\":7"), COMPSHARE_E_REPLY, "UHostSet: State" },
        { ONE(",\"State\":\"a\",\"State\":\"a\""), COMPSHARE_E_REPLY, "UHostSet: State" },
        { ONE(",\"State\":\"\\u0007\""), COMPSHARE_E_REPLY, "UHostSet: State" },
        { ONE(",\"Zone\":[]"), COMPSHARE_E_REPLY, "UHostSet: Zone" },
        { ONE(",\"Zone\":\"01234567890123456789012345678901\""), COMPSHARE_E_REPLY, "UHostSet: Zone" },
        { ONE(",\"ChargeType\":\"Spot\",\"ChargeType\":\"Month\""), COMPSHARE_E_REPLY, "UHostSet: ChargeType" },
        /* nothing is decided by these */
        { ONE(",\"Name\":\"a\",\"Name\":\"b\""), COMPSHARE_OK, "" },
        { ONE(",\"Name\":{}"), COMPSHARE_OK, "" },
        { ONE(",\"Region\":7,\"GpuType\":[]"), COMPSHARE_OK, "" },
        { ONE(",\"Region\":\"cn wlcb\",\"Zone\":\"cn-wlcb-01\""), COMPSHARE_OK, "" },
        { ONE(",\"GPU\":-1"), COMPSHARE_OK, "" },
        { ONE(",\"GPU\":1.5"), COMPSHARE_OK, "" },
        { ONE(",\"GPU\":1,\"GPU\":2"), COMPSHARE_OK, "" },
        { ONE(",\"ExpireTime\":-1,\"CreateTime\":\"2026-11-30 10:00:00\""), COMPSHARE_OK, "" },
        { ONE(",\"CreateTime\":-1"), COMPSHARE_OK, "" },
        { ONE(",\"CreateTime\":\"111111111111111111111111111111\""), COMPSHARE_OK, "" },
        { ONE(",\"SchedulerStopTime\":0,\"StopSchedulerTime\":\"2026-11-30T10:00:00Z\""), COMPSHARE_OK, "" },
        /* the time itself */
        { ONE(",\"SchedulerStopTime\":\"2026-11-30T10:00:00Z\""), COMPSHARE_E_REPLY, "it is 2026-11-30T10:00:00Z" },
        { ONE(",\"SchedulerStopTime\":1796060000000"), COMPSHARE_E_REPLY, "it is 1796060000000" },
        { ONE(",\"SchedulerStopTime\":0,\"StopSchedulerTime\":1796060000000"), COMPSHARE_E_REPLY,
          "it is 1796060000000" },
        { ONE(",\"SchedulerStopTime\":1796060000.5"), COMPSHARE_E_REPLY, "it is 1796060000.5" },
        { ONE(",\"SchedulerStopTime\":1796060000."), COMPSHARE_E_JSON, "" },
        { ONE(",\"SchedulerStopTime\":\"1796060000.\""), COMPSHARE_E_REPLY, "it is 1796060000." },
        { ONE(",\"SchedulerStopTime\":1.79606e9"), COMPSHARE_E_REPLY, "it is 1.79606e9" },
        { ONE(",\"SchedulerStopTime\":false,\"StopSchedulerTime\":0"), COMPSHARE_E_REPLY, "it is false" },
        { ONE(",\"SchedulerStopTime\":[]"), COMPSHARE_E_REPLY, "UHostSet: SchedulerStopTime" },
        { ONE(",\"StopSchedulerTime\":1,\"StopSchedulerTime\":1"), COMPSHARE_E_REPLY, "UHostSet: StopSchedulerTime" },
        { ONE(",\"StopSchedulerTime\":true"), COMPSHARE_E_REPLY, "UHostSet: StopSchedulerTime" },
        { INSTANCES("{\"UHostId\":\"uhost-1\"},{\"UHostId\":\"uhost-1\",\"State\":\"Running\"}"), COMPSHARE_E_REPLY,
            "UHostSet: the instance" },
        { INSTANCES("{\"UHostId\":\"uhost-1\"},{\"UHostId\":\"uhost-1\"}"), COMPSHARE_OK, "" },
        /* a neighbour's row decides nothing */
        { INSTANCES("{\"UHostId\":\"uhost-1\"},{\"UHostId\":\"uhost-2\",\"State\":7,\"SchedulerStopTime\":1796060000000}"), COMPSHARE_OK, "" },
        { INSTANCES("{\"UHostId\":\"uhost-2\"}"), COMPSHARE_E_NOT_FOUND, "no instance uhost-1" }
    };
    compshare_target target = { "uhost-1", NULL, NULL, NULL };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        compshare_instance instance;
        bodies(cases[i].body, NULL, NULL);
        ended(compshare_describe_instance(client, &target, &instance), cases[i].status, cases[i].detail);
        CHECK_TEXT(instance.uhost_id, cases[i].status == COMPSHARE_OK ? "uhost-1" : "");
        CHECK_TEXT(instance.name, "");
    }
    support_case("no place for the result");
    ended(compshare_describe_instance(client, &target, NULL), COMPSHARE_E_PARAM, "instance is NULL");
    support_case("an id that no instance has");
    target.uhost_id = "uhost-6789012345678901234567890123456789012345678901234567890123";
    ended(compshare_describe_instance(client, &target, NULL), COMPSHARE_E_PARAM,
        "uhost_id is longer than any of its kind");
}

/* Every form of a timed shutdown, and of none. */
static void stop_times(void **state)
{
#define AT "1795446300"
    static const struct { const char *members; int64_t stop_time; } cases[] = {
        { ",\"SchedulerStopTime\":" AT, NOW + 3600 }, { ",\"SchedulerStopTime\":\"" AT "\"", NOW + 3600 },
        { ",\"SchedulerStopTime\":" AT ".0", NOW + 3600 }, { ",\"SchedulerStopTime\":\"" AT ".000\"", NOW + 3600 },
        { ",\"StopSchedulerTime\":" AT, NOW + 3600 },
            { ",\"SchedulerStopTime\":0,\"StopSchedulerTime\":" AT, NOW + 3600 },
        { ",\"SchedulerStopTime\":null,\"StopSchedulerTime\":\"" AT "\"", NOW + 3600 },
        { ",\"SchedulerStopTime\":" AT ",\"StopSchedulerTime\":[]", NOW + 3600 },
        { ",\"SchedulerStopTime\":" AT ",\"StopTime\":0", NOW + 3600 }, { ",\"StopTime\":" AT, 0 },
        { "", 0 }, { ",\"SchedulerStopTime\":null", 0 }, { ",\"SchedulerStopTime\":\"\"", 0 },
            { ",\"SchedulerStopTime\":0", 0 },
        { ",\"SchedulerStopTime\":-1", 0 }, { ",\"SchedulerStopTime\":\"-1\"", 0 }, { ",\"SchedulerStopTime\":0.0", 0 },
        { ",\"SchedulerStopTime\":1795442700", 0 }, { ",\"SchedulerStopTime\":1795442701", NOW + 1 },
            { ",\"SchedulerStopTime\":5", 0 }
    };
    compshare_target target = { "uhost-1", NULL, NULL, NULL };
    char body[512], reply[1024];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        compshare_instance instance;
        compshare_schedule schedule;
        (void)snprintf(body, sizeof body, ONE("%s"), cases[i].members);
        (void)snprintf(reply, sizeof reply,
            "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 14:05:00 GMT\r\nContent-Length: %lu\r\n\r\n%s",
            (unsigned long)strlen(body), body);
        bodies(reply, reply, NULL);
        support_case("%s", cases[i].members);
        ended(compshare_describe_instance(client, &target, &instance), COMPSHARE_OK, "");
        CHECK_NUMBER(instance.stop_time, cases[i].stop_time);
        ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_OK, "");
        CHECK_NUMBER(schedule.stop_time, cases[i].stop_time);
        CHECK_NUMBER(schedule.shown, cases[i].stop_time);
    }
#undef AT
}

/* What is told of the projects: true in every form. */
static void default_projects(void **state)
{
    static const struct { const char *value; bool is_default; } cases[] = {
        { "true", true }, { "\"true\"", true }, { "\"True\"", true }, { "1", true }, { "\"1\"", true },
        { "false", false }, { "0", false }, { "\"0\"", false }, { "2", false }, { "\"maybe\"", false },
            { "{}", false }, { "null", false }
    };
    char body[256];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        compshare_project chosen;
        (void)snprintf(body, sizeof body, PROJECTS("{\"ProjectId\":\"org-1\",\"IsDefault\":%s}"), cases[i].value);
        bodies(body, NULL, NULL);
        ended(compshare_get_project_list(client, &chosen, NULL, NULL), COMPSHARE_OK, "");
        CHECK_NUMBER(chosen.is_default, cases[i].is_default);
    }
}

/* ---- lists ---- */

static int count_it(void *user, const compshare_instance *instance, compshare_value element)
{
    (void)instance; (void)element;
    ++*(size_t *)user;
    return 0;
}

#define LIST(total) "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-1\"}]" total "}"

static void lists(void **state)
{
    static const struct { const char *body; int status; const char *detail; } cases[] = {
        { LIST(""), COMPSHARE_OK, "" },
        { LIST(",\"TotalCount\":null"), COMPSHARE_OK, "" },
        { LIST(",\"TotalCount\":null,\"Total\":1"), COMPSHARE_OK, "" },
        { LIST(",\"TotalCount\":\"1\""), COMPSHARE_OK, "" },
        { LIST(",\"TotalCount\":-1"), COMPSHARE_OK, "" },
        { LIST(",\"TotalCount\":1.0"), COMPSHARE_OK, "" },
        { LIST(",\"TotalCount\":1,\"TotalCount\":1"), COMPSHARE_OK, "" },
        { LIST(",\"Total\":{}"), COMPSHARE_OK, "" },
        { LIST(",\"TotalCount\":2"), COMPSHARE_OK, "" },      /* counts what is not shown */
        { INSTANCES("7"), COMPSHARE_E_REPLY, "UHostSet: an element" }
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        size_t count = 0;
        bodies(cases[i].body, "{\"RetCode\":8401,\"Message\":\"Offset\"}", cases[i].body);
        ended(compshare_each_instance(client, NULL, count_it, &count), cases[i].status, cases[i].detail);
        CHECK(count == 1 || (count == 0 && i + 1 == COUNT_OF(cases)));
    }
    support_case("no callback");
    ended(compshare_each_instance(client, NULL, NULL, NULL), COMPSHARE_E_PARAM, "each is NULL");
}

/* ---- changes ---- */

static void changes(void **state)
{
    static const struct { const char *body; int status; bool unknown; } cases[] = {
        { "{\"RetCode\":0}", COMPSHARE_OK, false },
        { "{\"RetCode\":0,\"UHostId\":\"uhost-1\"}", COMPSHARE_OK, false },
        { "{\"RetCode\":0,\"UHostId\":\"uhost-2\"}", COMPSHARE_E_REPLY, true },
        { "{\"RetCode\":0,\"UHostId\":1}", COMPSHARE_E_REPLY, true },
        { "{\"RetCode\":0,\"UHostId\":\"uhost-1\",\"UHostId\":\"uhost-1\"}", COMPSHARE_E_REPLY, true },
        { "{\"RetCode\":-2147483649}", COMPSHARE_E_REPLY, true },
        { "{\"RetCode\":2147483648}", COMPSHARE_E_REPLY, true },
        { "{\"RetCode\":\"111111111111111111111111111111\"}", COMPSHARE_E_REPLY, true }
    };
    compshare_target target = { "uhost-1", NULL, "cn-wlcb-01", NULL };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        bodies(cases[i].body, NULL, NULL);
        ended(compshare_update_stop_scheduler(client, &target, NOW + 3600), cases[i].status, "");
        CHECK_NUMBER(compshare_last_error(client)->outcome_unknown, cases[i].unknown);
    }
    support_case("no time");
    ended(compshare_update_stop_scheduler(client, &target, 0), COMPSHARE_E_PARAM, "seconds since 1970 are needed");
    ended(compshare_update_stop_scheduler(client, &target, -5), COMPSHARE_E_PARAM, "seconds since 1970 are needed");
    support_case("milliseconds");
    ended(compshare_update_stop_scheduler(client, &target, NOW * 1000), COMPSHARE_E_PARAM,
        "seconds since 1970 are needed, up to the year 9999");
}

/* ---- workflows ---- */

static void far_times(void **state)
{
    static const char plan_in_9999[] =
        ONE(",\"State\":\"Running\",\"Zone\":\"cn-wlcb-01\",\"SchedulerStopTime\":253402300799");
    static const char plan_later[] =
        ONE(",\"State\":\"Running\",\"Zone\":\"cn-wlcb-01\",\"SchedulerStopTime\":253402300800");
    static const char no_plan[] = ONE(",\"State\":\"Running\",\"Zone\":\"cn-wlcb-01\"");
    compshare_plan plan = { "uhost-1", 0, INT64_MAX, 0 };
    compshare_schedule schedule;
    (void)state;
    bodies(plan_in_9999, NULL, NULL);
    ended(compshare_schedule_extend(client, "uhost-1", 1, &schedule), COMPSHARE_E_PARAM,
        "would be after the year 9999");
    bodies(plan_later, NULL, NULL);
    ended(compshare_schedule_extend(client, "uhost-1", 1, &schedule), COMPSHARE_E_REPLY, "it is 253402300800");
    bodies(no_plan, NULL, NULL);
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_PARAM, "would be after the year 9999");
    support_case("no clock to reckon by");
    present.begin_unix = 5;
    plan.in_seconds = 3600;
    bodies(no_plan, NULL, NULL);
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_CLOCK,
        "no stop time can be calculated from it");
    CHECK(!compshare_last_error(client)->outcome_unknown);
    support_case("a clock behind the last year");
    present.begin_unix = INT64_C(253402300800);
    bodies(no_plan, NULL, NULL);
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_PARAM,
        "after the year 9999");
    support_case("a plan that has passed");
    present.begin_unix = NOW;
    bodies(ONE(",\"State\":\"Stopped\",\"SchedulerStopTime\":1"), NULL, NULL);
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_OK, "");
    CHECK(schedule.stop_time == 0 && schedule.seconds_left == 0);
}

/* A server's clock from before this file existed is used all the same: it judges. */
static void old_server_clock(void **state)
{
    compshare_target target = { "uhost-1", NULL, "cn-wlcb-01", NULL };
    (void)state;
    present.begin_unix = 5;
    bodies("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2015 00:00:00 GMT\r\nContent-Length: 13\r\n\r\n{\"RetCode\":0}",
        "{\"RetCode\":0}", NULL);
    ended(compshare_call(client, "GetProjectList", NULL, 0), COMPSHARE_OK, "");
    ended(compshare_update_stop_scheduler(client, &target, INT64_C(1420070400) + 3600), COMPSHARE_OK, "");
    bodies("{\"RetCode\":0}", NULL, NULL);
    ended(compshare_update_stop_scheduler(client, &target, INT64_C(1420070400) + 200), COMPSHARE_E_TOO_SOON,
        "100 s short");
}

#define BUSY(after) "HTTP/1.1 503 Busy\r\nRetry-After: " after "\r\nContent-Length: 0\r\n\r\n"

/* Between readings, too, the server says when to come again; not beyond the time there is. */
static void asked_to_wait(void **state)
{
    compshare_instance instance;
    uint64_t began;
    (void)state;
    bodies(BUSY("20"), ONE(",\"State\":\"Running\""), NULL);
    began = present.ms;
    ended(compshare_wait_state(client, "uhost-1", "Running", 60000, &instance), COMPSHARE_OK, "");
    CHECK_NUMBER(present.ms - began, 20000);
    bodies(BUSY("600"), ONE(",\"State\":\"Running\""), NULL);
    ended(compshare_wait_state(client, "uhost-1", "Running", 60000, &instance), COMPSHARE_E_TIMEOUT,
        "last seen: never; reading failed: HTTP status 503");
    CHECK_NUMBER(script.next, 1);
}

/* A state that is shorter than "Fail" is no failure. */
static void short_states(void **state)
{
    compshare_instance instance;
    (void)state;
    bodies(ONE(",\"State\":\"On\""), ONE(",\"State\":\"ail\""), ONE(",\"State\":\"Running\""));
    ended(compshare_wait_state(client, "uhost-1", "Running", 60000, &instance), COMPSHARE_OK, "");
    bodies(ONE(",\"State\":\"Fail\""), NULL, NULL);
    ended(compshare_wait_state(client, "uhost-1", "Running", 60000, &instance), COMPSHARE_E_STATE, "will not become");
}

/* ---- a single change ---- */

#define DONE "{\"RetCode\":0}"
#define REFUSED(code, message) "{\"RetCode\":" #code ",\"Message\":\"" message "\"}"

/* What the time is called is asked about once, and remembered. */
static void both_names(void **state)
{
    compshare_target target = { "uhost-1", NULL, "cn-wlcb-01", NULL };
    (void)state;
    bodies(REFUSED(210, "Zone is missing"), DONE, NULL);
    ended(compshare_update_stop_scheduler(client, &target, NOW + 3600), COMPSHARE_E_API, "");
    CHECK_NUMBER(script.next, 1);
    bodies(REFUSED(210, "a parameter is missing"), REFUSED(210, "a parameter is missing"), DONE);
    ended(compshare_update_stop_scheduler(client, &target, NOW + 3600), COMPSHARE_E_API, "");
    CHECK_NUMBER(script.next, 2);
    bodies(REFUSED(230, "StopTime is missing"), DONE, NULL);
    ended(compshare_update_stop_scheduler(client, &target, NOW + 3600), COMPSHARE_OK, "");
    CHECK(strstr(peer.request, "&StopTime=") != NULL);
    bodies(REFUSED(210, "StopTime is missing"), DONE, NULL);
    ended(compshare_update_stop_scheduler(client, &target, NOW + 3600), COMPSHARE_E_API, "");
    CHECK_NUMBER(script.next, 1);
    CHECK(strstr(peer.request, "&StopTime=") != NULL);
}

static void aborted_changes(void **state)
{
    compshare_target target = { "uhost-1", NULL, "cn-wlcb-01", NULL };
    compshare_instance instance;
    (void)state;
    bodies(DONE, NULL, NULL);
    CHECK_NUMBER(compshare_update_stop_scheduler_start(client, &target, NOW + 3600), COMPSHARE_OK);
    support_case("busy");
    memset(&instance, 0x5A, sizeof instance);
    CHECK_NUMBER(compshare_wait_state_start(client, "uhost-1", "Running", 0, &instance),
        COMPSHARE_E_BUSY);
    CHECK_NUMBER((unsigned char)instance.uhost_id[0], 0x5A);
    ended(compshare_abort(client), COMPSHARE_E_ABORTED, "");
    CHECK(!compshare_last_error(client)->outcome_unknown);
}

/* ---- lists that break ---- */

#define TWO "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-1\"},{\"UHostId\":\"uhost-2\"}]}"
#define SECOND "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-2\"}]}"

/* An instance of 1,800 values, which the smallest client cannot hold. */
static const char *large_instance(void)
{
    static char body[4000];
    size_t n = (size_t)snprintf(body, sizeof body,
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-1\",\"A\":[0");
    while (n < 3700) n += (size_t)snprintf(body + n, sizeof body - n, ",0");
    (void)snprintf(body + n, sizeof body - n, "]}]}");
    return body;
}

static void broken_lists(void **state)
{
    compshare_target filter = { NULL, NULL, "cn-sh2-02", NULL };
    compshare_instance instance;
    size_t count = 0;
    uint64_t began = present.ms;
    (void)state;
    bodies(REFUSED(299, "no"), NULL, NULL);
    ended(compshare_each_instance(client, NULL, count_it, &count), COMPSHARE_E_API, "");
    bodies(REFUSED(153, "later"), NULL, NULL);
    ended(compshare_each_instance(client, NULL, count_it, &count), COMPSHARE_E_API, "");
    bodies(REFUSED(8401, "Offset"), NULL, NULL);
    ended(compshare_each_instance(client, NULL, count_it, &count), COMPSHARE_E_API, "");
    bodies(TWO, BUSY("2"), SECOND);
    ended(compshare_each_instance(client, NULL, count_it, &count), COMPSHARE_OK, "");
    CHECK_NUMBER(count, 2);
    CHECK_NUMBER(present.ms - began, 2000);
    bodies(SECOND, SECOND, NULL);
    ended(compshare_each_instance(client, &filter, count_it, &count), COMPSHARE_OK, "");
    CHECK(strstr(peer.request, "Region=cn-sh2&") != NULL);
    filter.zone = "somewhere";
    bodies(SECOND, SECOND, NULL);
    ended(compshare_each_instance(client, &filter, count_it, &count), COMPSHARE_OK, "");
    CHECK(strstr(peer.request, "Region=") == NULL);
    config.memory_size = compshare_memory_needed(&config);
    config.timeout_ms = 2500;
    reopen();
    bodies(large_instance(), NULL, NULL);
    ended(compshare_each_instance(client, NULL, count_it, &count), COMPSHARE_E_TOO_LARGE, "");
    bodies(large_instance(), NULL, NULL);
    ended(compshare_wait_state(client, "uhost-1", "Running", 0, &instance), COMPSHARE_E_TOO_LARGE,
        "");
    support_case("empty, and no time to look twice");
    bodies(INSTANCES(""), NULL, NULL);
    ended(compshare_each_instance(client, NULL, count_it, &count), COMPSHARE_OK, "");
    CHECK_NUMBER(script.next, 1);
}

/* ---- finding an instance ---- */

/* A reading of a running instance that is to be stopped at that time; 0: not at all. */
static const char *running(int64_t stop_time)
{
    static char bodies_made[8][256];
    static unsigned next;
    char *body = bodies_made[next++ % 8];
    (void)snprintf(body, sizeof bodies_made[0],
        ONE(",\"State\":\"Running\",\"Zone\":\"cn-wlcb-01\",\"SchedulerStopTime\":%lld"),
        (long long)stop_time);
    return body;
}

#define ONLY_PROJECT PROJECTS("{\"ProjectId\":\"org-1\"}")

static void found_nowhere(void **state)
{
    compshare_target target = { "uhost-1", NULL, NULL, NULL };
    compshare_instance instance;
    compshare_schedule schedule;
    (void)state;
    config.project_id = NULL;
    reopen();
    bodies(ONE(""), INSTANCES(""), REFUSED(299, "no"));
    ended(compshare_describe_instance(client, &target, &instance), COMPSHARE_OK, "");
    ended(compshare_describe_instance(client, &target, &instance), COMPSHARE_E_NOT_FOUND,
        "no instance uhost-1");
    support_case("in the only project, twice");
    bodies(ONLY_PROJECT, INSTANCES(""), ONLY_PROJECT);
    script.bodies[3] = INSTANCES("");
    script.bodies[4] = ONLY_PROJECT;
    ended(compshare_schedule_cancel(client, "uhost-1", &schedule), COMPSHARE_E_NOT_FOUND,
        "no instance uhost-1");
    CHECK_NUMBER(script.next, 5);
}

/* What is asked of the projects may be refused as well. */
static void found_without_projects(void **state)
{
    compshare_schedule schedule;
    (void)state;
    config.project_id = NULL;
    reopen();
    bodies(REFUSED(299, "no"), INSTANCES(""), INSTANCES(""));
    ended(compshare_schedule_cancel(client, "uhost-1", &schedule), COMPSHARE_E_NOT_FOUND,
        "no instance uhost-1");
    CHECK_NUMBER(script.next, 3);
    bodies(REFUSED(240, "no"), running(NOW + 600), DONE);
    script.bodies[3] = running(0);
    ended(compshare_schedule_cancel(client, "uhost-1", &schedule), COMPSHARE_OK, "");
    bodies(REFUSED(210, "ProjectId is missing"), REFUSED(299, "no"), REFUSED(210,
        "ProjectId is missing"));
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_E_API,
        "and so was GetProjectList: set project_id");
    support_case("the project is no more, whatever it is called");
    bodies(REFUSED(292, "gone"), ONLY_PROJECT, REFUSED(292, "gone"));
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_E_API, "");
    CHECK_NUMBER(script.next, 3);
    support_case("no time to look twice");
    config.project_id = "org-1";
    config.timeout_ms = 2500;
    reopen();
    bodies(INSTANCES(""), NULL, NULL);
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_E_NOT_FOUND,
        "no instance uhost-1");
    CHECK_NUMBER(script.next, 1);
}

static void waited_for_nothing(void **state)
{
    compshare_instance instance;
    uint64_t began = present.ms;
    (void)state;
    bodies(INSTANCES(""), NULL, NULL);
    script.rest = INSTANCES("");
    ended(compshare_wait_state(client, "uhost-1", "Running", 120000, &instance),
        COMPSHARE_E_NOT_FOUND, "");
    CHECK(present.ms - began >= 60000 && present.ms - began < 66000);
    support_case("gone just before the end");
    bodies(ONE(",\"State\":\"Running\""), ONE(",\"State\":\"Running\""), NULL);
    script.rest = INSTANCES("");
    ended(compshare_wait_state(client, "uhost-1", "Stopped", 1000, &instance), COMPSHARE_E_TIMEOUT,
        "last seen: Running; reading failed");
    support_case("the projects may not be listed");
    config.project_id = NULL;
    reopen();
    bodies(INSTANCES(""), REFUSED(299, "no"), INSTANCES(""));
    script.rest = INSTANCES("");
    ended(compshare_wait_state(client, "uhost-1", "Running", 3000, &instance),
        COMPSHARE_E_NOT_FOUND, "");
}

/* A clock that steps back while it is waited makes the next step due, and that ends the call. */
static void back_in_time(void **state)
{
    compshare_instance instance;
    (void)state;
    bodies(ONE(",\"State\":\"Running\""), NULL, NULL);
    CHECK_NUMBER(compshare_wait_state_start(client, "uhost-1", "Stopped", 0, &instance), COMPSHARE_OK);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);
    CHECK_NUMBER(compshare_timeout_ms(client), 250);
    present.ms -= 500;
    CHECK_NUMBER(compshare_timeout_ms(client), 0);
    ended(compshare_step(client), COMPSHARE_E_TIMEOUT, "");
}

/* ---- what this client has changed itself ---- */

/* Readings that go on showing what was there before. */
static void own_changes(void **state)
{
    compshare_target target = { "uhost-1", NULL, "cn-wlcb-01", NULL };
    compshare_plan plan = { "uhost-1", NOW + 8000, 0, COMPSHARE_ONLY_EXTEND };
    compshare_schedule schedule;
    (void)state;
    support_case("deleted");
    bodies(DONE, NULL, NULL);
    script.rest = running(NOW + 9000);
    ended(compshare_delete_stop_scheduler(client, &target), COMPSHARE_OK, "");
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_E_UNCONFIRMED,
        "no timed shutdown was accepted a moment ago, but the API still shows ");
    CHECK(!compshare_last_error(client)->outcome_unknown);
    support_case("set");
    bodies(DONE, NULL, NULL);
    script.rest = running(0);
    ended(compshare_update_stop_scheduler(client, &target, NOW + 9000), COMPSHARE_OK, "");
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_E_UNCONFIRMED,
        " was accepted a moment ago, but the API still shows no timed shutdown");
    support_case("set, and later already");
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_UNCONFIRMED,
        " was accepted a moment ago");
    CHECK_NUMBER(schedule.requested, NOW + 8000);
    CHECK(!compshare_last_error(client)->outcome_unknown);
    support_case("accepted, not shown, and then another: somebody else's");
    present.ms += 100000;
    plan.mode = 0;
    bodies(running(NOW + 600), DONE, NULL);
    script.rest = running(NOW + 600);
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_UNCONFIRMED,
        "accepted, not confirmed");
    bodies(running(NOW + 600), NULL, NULL);
    script.rest = running(NOW + 5000);
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_OK, "");
    CHECK_NUMBER(schedule.stop_time, NOW + 5000);
}

/* Of generic calls, too; a time that has come since is no plan any more. */
static void own_calls(void **state)
{
    compshare_param params[2];
    compshare_schedule schedule;
    (void)state;
    params[0] = compshare_text("UHostId", "uhost-1");
    params[1] = compshare_int("SchedulerStopTime", NOW + 1);
    bodies("HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 14:05:00 GMT\r\n"
        "Content-Length: 13\r\n\r\n" DONE, running(0), NULL);
    ended(compshare_call(client, "UpdateCompShareStopScheduler", params, 2), COMPSHARE_OK, "");
    present.ms += 2000;
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_OK, "");
    CHECK_NUMBER(schedule.stop_time, 0);
    support_case("of no instance");
    bodies(DONE, DONE, running(0));
    ended(compshare_call(client, "DeleteCompShareStopScheduler", NULL, 0), COMPSHARE_OK, "");
    params[0] = compshare_int("UHostId", 1);
    ended(compshare_call(client, "DeleteCompShareStopScheduler", params, 1), COMPSHARE_OK, "");
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_OK, "");
    support_case("at no time, or at one given as text");
    params[0] = compshare_text("UHostId", "uhost-1");
    params[1] = compshare_text("SchedulerStopTime", "1795446300");
    bodies(DONE, DONE, running(0));
    ended(compshare_call(client, "UpdateCompShareStopScheduler", params, 1), COMPSHARE_OK, "");
    ended(compshare_call(client, "UpdateCompShareStopScheduler", params, 2), COMPSHARE_OK, "");
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_OK, "");
    support_case("deleted");
    bodies(DONE, running(NOW + 9000), running(0));
    ended(compshare_call(client, "DeleteCompShareStopScheduler", params, 1), COMPSHARE_OK, "");
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_OK, "");
    CHECK_NUMBER(schedule.stop_time, 0);
}

/* Readings that fail behind one that is not believed. */
static void own_change_unread(void **state)
{
    compshare_target target = { "uhost-1", NULL, "cn-wlcb-01", NULL };
    compshare_plan plan = { "uhost-1", NOW + 9000, 0, 0 };
    compshare_schedule schedule;
    (void)state;
    support_case("none is left");
    bodies(DONE, running(0), NULL);
    ended(compshare_update_stop_scheduler(client, &target, NOW + 9000), COMPSHARE_OK, "");
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_E_UNCONFIRMED,
        " was accepted a moment ago, but the API still shows no timed shutdown");
    support_case("set again, and that got lost: what shows it proves nothing");
    bodies(running(0), "", NULL);
    script.rest = running(NOW + 9000);
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_OK, "");
    CHECK(schedule.accepted);   /* so it was sent once more */
    support_case("one that shows it comes in the end");
    present.ms += 100000;
    bodies(DONE, NULL, NULL);
    ended(compshare_update_stop_scheduler(client, &target, NOW + 9000), COMPSHARE_OK, "");
    bodies(running(0), BUSY("1"), running(NOW + 9000));
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_OK, "");
    CHECK_NUMBER(schedule.stop_time, NOW + 9000);
}

/* ---- a reading that refuses a workflow is looked at again ---- */

static void refused_twice(void **state)
{
    static const char stopped[] = ONE(",\"State\":\"Stopped\",\"Zone\":\"cn-wlcb-01\"");
    compshare_schedule schedule;
    size_t i;
    (void)state;
    support_case("readings that never agree");
    bodies(NULL, NULL, NULL);
    for (i = 0; i < 12; i++) script.bodies[i] = i % 2 == 0 ? stopped : running(0);
    ended(compshare_schedule_extend(client, "uhost-1", 600, &schedule), COMPSHARE_E_STATE, "");
    CHECK_NUMBER(script.next, 7);
    support_case("no other reading");
    bodies(stopped, NULL, NULL);
    ended(compshare_schedule_extend(client, "uhost-1", 600, &schedule), COMPSHARE_E_STATE,
        "is \"Stopped\"");
    CHECK_TEXT(schedule.state, "Stopped");
    support_case("no time for one");
    config.timeout_ms = 2500;
    reopen();
    bodies(stopped, running(0), NULL);
    ended(compshare_schedule_extend(client, "uhost-1", 600, &schedule), COMPSHARE_E_STATE, "");
    CHECK_NUMBER(script.next, 1);
    support_case("no time for a third");
    config.timeout_ms = 3500;
    reopen();
    bodies(stopped, NULL, NULL);
    ended(compshare_schedule_extend(client, "uhost-1", 600, &schedule), COMPSHARE_E_STATE,
        "is \"Stopped\"");
}

/* ---- confirming ---- */

static void confirmed(void **state)
{
    compshare_plan plan = { "uhost-1", NOW + 7200, 0, 0 };
    compshare_schedule schedule;
    uint64_t began = present.ms;
    (void)state;
    support_case("asked to wait for longer than there is time");
    bodies(running(0), DONE, BUSY("600"));
    script.bodies[3] = running(NOW + 7200);
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_OK, "");
    CHECK_NUMBER(present.ms - began, 13000);
    support_case("a definite refusal ends it");
    present.ms += 100000;
    bodies(running(0), "", running(0));
    script.bodies[3] = REFUSED(299, "no");
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_UNCONFIRMED,
        "reading back failed: the API refused: RetCode 299");
    CHECK(compshare_last_error(client)->outcome_unknown);
    support_case("accepted, not shown, and refused later");
    bodies(running(0), NULL, NULL);
    script.rest = running(0);
    script.updates[0] = DONE;
    script.updates[1] = REFUSED(230, "no");
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_UNCONFIRMED,
        "accepted, not confirmed");
    CHECK_NUMBER(script.updated, 2);
    CHECK(schedule.accepted && compshare_last_error(client)->outcome_unknown);
}

static void confirmed_otherwise(void **state)
{
    compshare_target target = { "uhost-1", NULL, NULL, NULL };
    compshare_plan plan = { "uhost-1", NOW + 7200, 0, 0 };
    compshare_schedule schedule;
    (void)state;
    support_case("a stop does not care for the time");
    bodies(ONE(",\"State\":\"Running\",\"Zone\":\"cn-wlcb-01\",\"SchedulerStopTime\":\"soon\""),
        DONE, ONE(",\"State\":\"Stopped\""));
    ended(compshare_stop_instance(client, &target), COMPSHARE_OK, "");
    support_case("both names are known: accepted is sent once");
    bodies(REFUSED(230, "StopTime is missing"), DONE, NULL);
    target.zone = "cn-wlcb-01";
    ended(compshare_update_stop_scheduler(client, &target, NOW + 7200), COMPSHARE_OK, "");
    bodies(running(0), NULL, NULL);
    script.rest = running(0);
    script.updates[0] = DONE;
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_UNCONFIRMED,
        "accepted, not confirmed");
    CHECK_NUMBER(script.updated, 1);
}

/* Given up while it is sent again: the sending before may have been executed. */
static void aborted_repetition(void **state)
{
    compshare_plan plan = { "uhost-1", NOW + 7200, 0, 0 };
    (void)state;
    bodies(running(0), NULL, NULL);
    script.rest = running(0);
    script.updates[0] = "";
    script.mute = true;
    CHECK_NUMBER(compshare_schedule_set_start(client, &plan, NULL), COMPSHARE_OK);
    while (compshare_step(client) == COMPSHARE_PENDING && compshare_wants(client) == 0)
        (void)memory_wait(&peer, 0, compshare_timeout_ms(client));
    CHECK_NUMBER(script.updated, 1);
    ended(compshare_abort(client), COMPSHARE_E_ABORTED, "");
    CHECK(compshare_last_error(client)->outcome_unknown);
}

/* What is not executed is sent 6 times at the most. */
static void six_sendings(void **state)
{
    compshare_plan plan = { "uhost-1", NOW + 7200, 0, 0 };
    compshare_schedule schedule;
    (void)state;
    config.timeout_ms = 200000;
    reopen();
    bodies(running(0), NULL, NULL);
    script.rest = running(0);
    script.updates[0] = "";
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_UNCONFIRMED,
        "no clear answer");
    CHECK_NUMBER(script.updated, 6);
    CHECK(!schedule.accepted && schedule.requested == NOW + 7200 && schedule.shown == 0);
}

/* A time from now on that is found too soon is moved, twice at the most, and not beyond what
   the mode leaves alone. */
static void too_soon(void **state)
{
    compshare_plan plan = { "uhost-1", 0, 300, 0 };
    compshare_schedule schedule;
    (void)state;
    bodies(running(0), NULL, NULL);
    script.updates[0] = REFUSED(220, "too soon");
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_API, "");
    CHECK_NUMBER(script.updated, 3);
    CHECK(!compshare_last_error(client)->outcome_unknown);
    support_case("a plan that is so already, more or less");
    bodies(running(NOW + 340), running(NOW + 308), NULL);
    script.updates[0] = REFUSED(220, "too soon");
    script.updates[1] = DONE;
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_OK, "");
    CHECK_NUMBER(schedule.stop_time, NOW + 308);
    support_case("one that is so once the time has been moved: no proof");
    present.ms += 100000;
    bodies(running(NOW + 365), NULL, NULL);
    script.rest = running(NOW + 365);
    script.updates[0] = REFUSED(220, "too soon");
    script.updates[1] = "";
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_UNCONFIRMED,
        "no clear answer");
    support_case("one that is earlier then");
    plan.mode = COMPSHARE_ONLY_SHORTEN;
    bodies(running(NOW + 306), NULL, NULL);
    script.updates[0] = REFUSED(220, "too soon");
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_API, "");
    CHECK_NUMBER(script.updated, 1);
}

/* ---- sent once more, and no more than that ---- */

/* A kept connection that turns out to be dead is replaced once for each call, however the
   replacement ends: what dies there, too, is a failure. */
static void replaced_once(void **state)
{
    (void)state;
    config.max_retries = 1;
    reopen();
    bodies("{\"RetCode\":0}", "", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    script.bodies[3] = "";
    script.bodies[4] = "{\"RetCode\":0}";
    ended(compshare_call(client, "GetProjectList", NULL, 0), COMPSHARE_OK, "");
    ended(compshare_call(client, "GetProjectList", NULL, 0), COMPSHARE_E_CLOSED, "closed without a reply");
    CHECK_NUMBER(script.requests, 4);
    CHECK(compshare_last_error(client)->outcome_unknown);
}

/* ---- readings that fail ---- */

#define CUT(members) "{\"UHostSet\":[{\"UHostId\":\"uhost-1\"" members "}],\"RetCode\":153}"

/* What a reply showed that failed in the end decides nothing, and is not told. */
static void failed_readings(void **state)
{
    compshare_plan plan = { "uhost-1", NOW + 7200, 0, 0 };
    compshare_schedule schedule;
    (void)state;
    config.timeout_ms = 4500;
    reopen();
    bodies(ONE(",\"State\":\"Stopping\",\"Zone\":\"cn-wlcb-01\""), NULL, NULL);
    script.rest = CUT(",\"State\":\"Running\",\"Zone\":\"cn-wlcb-01\"");
    script.updates[0] = DONE;
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_API, "");
    CHECK_NUMBER(script.updated, 0);
    support_case("after a change");
    bodies(running(0), running(0), NULL);
    script.rest = CUT(",\"State\":\"Elsewhere\"");
    script.updates[0] = DONE;
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_UNCONFIRMED, "reading back failed");
    CHECK(schedule.accepted && strstr(compshare_last_error(client)->detail, "Elsewhere") == NULL);
}

#define STATUS(line, body) "HTTP/1.1 " line "\r\nContent-Length: 16\r\n\r\n" body

/* An HTTP status of a gateway in trouble is no refusal, whatever its body says. */
static void statuses_of_gateways(void **state)
{
    compshare_instance instance;
    (void)state;
    bodies(STATUS("500 Broken", "{\"RetCode\":5000}"), STATUS("429 Slowly", "{\"RetCode\":5001}"),
        ONE(",\"State\":\"Running\""));
    ended(compshare_wait_state(client, "uhost-1", "Running", 60000, &instance), COMPSHARE_OK, "");
    bodies(STATUS("404 None", "not a JSON text."), ONE(",\"State\":\"Running\""), NULL);
    ended(compshare_wait_state(client, "uhost-1", "Running", 60000, &instance), COMPSHARE_OK, "");
    bodies(STATUS("403 No", "{\"RetCode\":5002}"), NULL, NULL);
    ended(compshare_wait_state(client, "uhost-1", "Running", 60000, &instance), COMPSHARE_E_STATUS, "");
    CHECK_NUMBER(script.next, 1);
}

/* A list of projects that fails, behind a refusal for want of one, is asked for again. */
static void lists_that_fail(void **state)
{
    compshare_instance instance;
    (void)state;
    config.project_id = NULL;
    reopen();
    bodies(REFUSED(292, "no project"), STATUS("502 Bad", "not a JSON text."), REFUSED(292, "no project"));
    script.bodies[3] = ONLY_PROJECT;
    script.bodies[4] = ONE(",\"State\":\"Running\"");
    ended(compshare_wait_state(client, "uhost-1", "Running", 60000, &instance), COMPSHARE_OK, "");
    CHECK_NUMBER(script.next, 5);
    support_case("one that may not be read");
    bodies(REFUSED(292, "no project"), REFUSED(299, "no"), REFUSED(292, "no project"));
    ended(compshare_wait_state(client, "uhost-1", "Running", 60000, &instance), COMPSHARE_E_API, "");
    CHECK_NUMBER(script.next, 3);
    support_case("TLS that is none: it goes on to the end");
    config.base_url = "https://localhost";
    config.ca_pem = "";
    reopen();
    bodies("HTTP/1.1 400 Bad\r\n\r\n", NULL, NULL);
    script.rest = "HTTP/1.1 400 Bad\r\n\r\n";
    ended(compshare_wait_state(client, "uhost-1", "Running", 60000, &instance), COMPSHARE_E_TIMEOUT,
        "last seen: never");
}

/* What is refused after a sending that got no answer moves no time any more. */
static void raised_no_more(void **state)
{
    compshare_plan plan = { "uhost-1", 0, 300, 0 };
    compshare_schedule schedule;
    (void)state;
    bodies(running(0), NULL, NULL);
    script.rest = running(0);
    script.updates[0] = "";
    script.updates[1] = REFUSED(230, "too soon");
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_UNCONFIRMED, "");
    CHECK_NUMBER(script.updated, 2);
    CHECK_NUMBER(schedule.requested, NOW + 303);
    support_case("nor after one that was accepted");
    present.ms += 100000;
    bodies(running(0), NULL, NULL);
    script.rest = running(0);
    script.updates[0] = DONE;
    script.updates[1] = REFUSED(230, "too soon");
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_UNCONFIRMED, "accepted");
    CHECK_NUMBER(script.updated, 2);
}

/* "Later" after a lost sending is no end of it. */
static void later_is_no_end(void **state)
{
    compshare_plan plan = { "uhost-1", NOW + 7200, 0, 0 };
    compshare_schedule schedule;
    (void)state;
    config.timeout_ms = 60000;
    reopen();
    bodies(running(0), running(0), running(0));
    script.bodies[3] = script.bodies[4] = script.bodies[5] = running(0);
    script.rest = running(0);
    script.updates[0] = "";
    script.updates[1] = REFUSED(153, "slowly");
    script.updates[2] = DONE;
    (void)compshare_schedule_set(client, &plan, &schedule);
    CHECK(script.updated >= 3 && schedule.accepted);
}

/* The caller's own changes of more instances than are kept in mind. */
static void many_changes(void **state)
{
    static const char *const ids[] = { "uhost-5", "uhost-4", "uhost-3", "uhost-2", "uhost-1" };
    compshare_target target = { NULL, NULL, "cn-wlcb-01", NULL };
    compshare_param params[2];
    compshare_schedule schedule;
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(ids); i++) {
        target.uhost_id = ids[i];
        present.ms += 10;
        bodies(DONE, NULL, NULL);
        ended(compshare_delete_stop_scheduler(client, &target), COMPSHARE_OK, "");
    }
    bodies(running(NOW + 600), NULL, NULL);
    script.rest = running(NOW + 600);
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_E_UNCONFIRMED, "");
    support_case("one with a time as text is forgotten");
    params[0] = compshare_text("UHostId", "uhost-1");
    params[1] = compshare_text("SchedulerStopTime", "1795446300");
    bodies(DONE, running(NOW + 600), NULL);
    ended(compshare_call(client, "UpdateCompShareStopScheduler", params, 2), COMPSHARE_OK, "");
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_OK, "");
    CHECK_NUMBER(schedule.stop_time, NOW + 600);
}

/* A zone that tells no region goes with any. */
static void odd_zones(void **state)
{
    compshare_param region = compshare_text("Region", "cn-a");
    (void)state;
    config.zone = "somewhere";
    reopen();
    bodies(DONE, NULL, NULL);
    ended(compshare_call(client, "RebootCompShareInstance", &region, 1), COMPSHARE_OK, "");
    CHECK(strstr(peer.request, "Region=cn-a") != NULL && strstr(peer.request, "Zone=somewhere") != NULL);
    support_case("a zone of the region that is given, and one of another");
    config.zone = "cn-a-01";
    reopen();
    bodies(DONE, NULL, NULL);
    ended(compshare_call(client, "RebootCompShareInstance", &region, 1), COMPSHARE_OK, "");
    CHECK(strstr(peer.request, "Zone=cn-a-01") != NULL);
    config.zone = "cn-b-01";
    reopen();
    bodies(DONE, NULL, NULL);
    ended(compshare_call(client, "RebootCompShareInstance", &region, 1), COMPSHARE_OK, "");
    CHECK(strstr(peer.request, "Zone=") == NULL);
}

/* ---- echoes ---- */

/* What a server repeats of the signed request comes into no error: not even cut off. */
static void echoes(void **state)
{
    static const char *const forms[] = {
        "{\"RetCode\":171,\"Message\":\"bad request: %.40s\"}", "{\"RetCode\":171,\"Message\":\"Signature=%.39s\"}",
        "{\"RetCode\":171,\"Message\":\"%.16s\"}", "{\"RetCode\":171,\"Message\":\"token temporary-token is too old\"}",
        "HTTP/1.1 200 OK\r\nX-UCLOUD-REQUEST-UUID: %.40s\r\nContent-Length: 15\r\n\r\n{\"RetCode\":171}"
    };
    char body[512], signature[41], text[COMPSHARE_ERROR_TEXT];
    const char *at;
    size_t i;
    (void)state;
    compshare_close(client);
    config.security_token = "temporary-token";
    CHECK_NUMBER(compshare_open(&client, &config), COMPSHARE_OK);
    config.security_token = NULL;
    bodies("{\"RetCode\":171,\"Message\":\"Signature VerifyAC Error\"}", NULL, NULL);
    ended(compshare_call(client, "GetProjectList", NULL, 0), COMPSHARE_E_API, "");
    CHECK_TEXT(compshare_last_error(client)->message, "Signature VerifyAC Error");
    at = strstr(peer.request, "Signature=");
    CHECK(at != NULL);
    memcpy(signature, at + 10, 40);
    signature[40] = '\0';
    for (i = 0; i < COUNT_OF(forms); i++) {
        (void)snprintf(body, sizeof body, forms[i], signature);
        bodies(body, NULL, NULL);
        ended(compshare_call(client, "GetProjectList", NULL, 0), COMPSHARE_E_API, "");
        CHECK_TEXT(compshare_last_error(client)->message, "");
        CHECK_TEXT(compshare_last_error(client)->request_id, "");
        (void)compshare_error_text(client, text, sizeof text);
        signature[16] = '\0';
        CHECK(strstr(text, signature) == NULL && strstr(text, "temporary-token") == NULL);
        memcpy(signature, at + 10, 40);
    }
}

/* Nor by way of an instance. */
static void echoed_instances(void **state)
{
    compshare_plan plan = { "uhost-1", NOW + 7200, 0, 0 };
    compshare_schedule schedule;
    char body[256], signature[24], text[COMPSHARE_ERROR_TEXT];
    const char *at;
    (void)state;
    bodies(running(0), NULL, NULL);
    ended(compshare_schedule_get(client, "uhost-1", &schedule), COMPSHARE_OK, "");
    at = strstr(peer.request, "Signature=");
    CHECK(at != NULL);
    memcpy(signature, at + 10, 23);
    signature[23] = '\0';
    (void)snprintf(body, sizeof body, ONE(",\"State\":\"%s\""), signature);
    bodies(body, NULL, NULL);
    ended(compshare_schedule_set(client, &plan, &schedule), COMPSHARE_E_REPLY, "a repetition of the request");
    CHECK(strstr(compshare_error_text(client, text, sizeof text), signature) == NULL);
}

/* ---- zones ---- */

static void zones(void **state)
{
    static const struct { const char *zone, *region; } cases[] = {
        { "cn-wlcb-01", "cn-wlcb" }, { "a-1", "a" }, { "", "" }, { "1", "" }, { "-1", "" }, { "cn", "" },
            { "cn-", "" }, { "cn1", "" },
        { "0123456789012345678901234567890-1", "0123456789012345678901234567890" },
            { "01234567890123456789012345678901-1", "" }
    };
    char region[32];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        support_case("zone %s", cases[i].zone);
        compshare__config_zone_region(cases[i].zone, region, sizeof region);
        CHECK_TEXT(region, cases[i].region);
    }
}

/* ---- no client ---- */

static void no_client(void **state)
{
    compshare_value none;
    (void)state;
    memset(&none, 0, sizeof none);
    CHECK_NUMBER(compshare_step(NULL), COMPSHARE_E_CONFIG);
    CHECK_NUMBER(compshare_abort(NULL), COMPSHARE_E_CONFIG);
    CHECK_NUMBER(compshare_call(NULL, "GetProjectList", NULL, 0), COMPSHARE_E_CONFIG);
    CHECK_NUMBER(compshare_fd(NULL), -1);
    CHECK_NUMBER(compshare_wants(NULL), 0);
    CHECK_NUMBER(compshare_timeout_ms(NULL), 0);
    CHECK_NUMBER(compshare_server_time(NULL), 0);
    CHECK_NUMBER(compshare_last_handshake(NULL).version, 0);
    CHECK_NUMBER(compshare_body(NULL).len, 0);
    CHECK(compshare_body(NULL).ptr != NULL);
    CHECK_NUMBER(compshare_type(compshare_reply(NULL)), COMPSHARE_NONE);
    CHECK_NUMBER(compshare_last_error(NULL)->status, COMPSHARE_E_CONFIG);
    compshare_close(NULL);
    compshare_session_forget(NULL);
    support_case("no action");
    ended(compshare_call(client, NULL, NULL, 0), COMPSHARE_E_PARAM, "action: 1 to 63");
    ended(compshare_call(client, "", NULL, 0), COMPSHARE_E_PARAM, "action: 1 to 63");
    ended(compshare_call(client, "A123456789012345678901234567890123456789012345678901234567890123", NULL, 0),
        COMPSHARE_E_PARAM, "action: 1 to 63");
    support_case("nothing under way");
    CHECK_NUMBER(compshare_timeout_ms(client), 0);
    CHECK_NUMBER(compshare_fd(client), -1);
    support_case("no key, and a value that was never one");
    bodies("{\"RetCode\":0}", NULL, NULL);
    ended(compshare_call(client, "GetProjectList", NULL, 0), COMPSHARE_OK, "");
    CHECK_NUMBER(compshare_type(compshare_get(compshare_reply(client), NULL)), COMPSHARE_NONE);
    none = compshare_reply(client);
    none.token = 3;
    CHECK_NUMBER(compshare_type(none), COMPSHARE_NONE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_it, close_it)

/* A parameter too many is not written behind the others, nor left out in silence. */
static void too_many_parameters(void **state)
{
    static compshare c;
    size_t i;
    (void)state;
    memset(&c, 0, sizeof c);
    support_case("parameters of a typed call");
    for (i = 0; i < COMPSHARE__TYPED_PARAMS; i++) compshare__typed_put(&c, "N", NULL, (int64_t)i);
    CHECK_NUMBER(c.exchange.request.count, COMPSHARE__TYPED_PARAMS);
    for (i = 0; i < 3; i++) {
        compshare__typed_put(&c, "N", NULL, 99);
        CHECK_NUMBER(c.exchange.request.count, COMPSHARE_MAX_PARAMS + 1);
    }
    for (i = 0; i < COMPSHARE__TYPED_PARAMS; i++) CHECK_NUMBER(c.task.params[i].number, i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(too_many_parameters), T(projects), T(instances), T(stop_times), T(default_projects),
        T(lists), T(changes), T(far_times), T(old_server_clock), T(asked_to_wait), T(short_states),
        T(both_names), T(aborted_changes), T(broken_lists), T(found_nowhere),
        T(found_without_projects), T(waited_for_nothing), T(own_changes), T(back_in_time), T(own_calls),
        T(own_change_unread), T(refused_twice), T(confirmed), T(confirmed_otherwise),
        T(aborted_repetition), T(six_sendings), T(too_soon), T(replaced_once), T(echoes), T(zones), T(failed_readings),
        T(statuses_of_gateways), T(lists_that_fail), T(raised_no_more), T(later_is_no_end),
        T(many_changes), T(odd_zones), T(echoed_instances),
        T(no_client)
    };
    return cmocka_run_group_tests_name("typed", tests, NULL, NULL);
}
