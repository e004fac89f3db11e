/* Typed and generic calls against the gateway: one connection that works, every
   form a reply may take, every refusal of the API. Runs under both chains. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "one.h"

static int start_rsa(void **state) { (void)state; gateway = harness_gateway("rsa", NULL); return 0; }
static int start_ec(void **state) { (void)state; gateway = harness_gateway("ec", NULL); return 0; }

static int fresh(void **state)
{
    (void)state;
    harness_reset(&gateway);
    harness_configure(&h, gateway.port);
    harness_open(&h);
    return 0;
}

/* From now on they stand still until a test moves them. */
static void stop_the_clocks(void)
{
    h.clock.begin_unix = (int64_t)time(NULL);
    h.clock.real_unix = false;
    fake_clock_hold(&h.clock, 1000000);
    reopen();
}

static void set_clock(int64_t at)
{
    char text[64];
    snprintf(text, sizeof text, "clock=%lld", (long long)at);
    harness_set(&gateway, text);
}

static int64_t soon(void) { return (int64_t)time(NULL) + 3600; }

static void describe(const char *id, compshare_instance *out)
{
    compshare_target t = target_of(id);
    harness_expect(&h, compshare_describe_instance(h.client, &t, out), COMPSHARE_OK);
    assert_string_equal(out->uhost_id, id);
}

/* ---- a typed call of the program's own: the lines of README.md ---- */

/* README: */
typedef struct price { char charge_type[16], instance[24]; int64_t discount; } price;
static const compshare_field price_fields[] = {
    COMPSHARE_FIELD_TEXT(price, charge_type, "ChargeType"),
    COMPSHARE_FIELD_DECIMAL(price, instance, "Instance"),       /* yuan */
    COMPSHARE_FIELD_INT(price, discount, "InstanceDiscountType")
};

static int get_price(compshare *client, const compshare_param *params, price *out)
{
    price p;
    int r = COMPSHARE_E_REPLY;
    memset(&p, 0, sizeof p);
    /* README: */
    if (compshare_call(client, "GetCompShareInstancePrice", params, 6) == COMPSHARE_OK
        && compshare_read(compshare_first(compshare_get(compshare_reply(client), "PriceDetails")),
            price_fields, 3, &p) == COMPSHARE_OK)
        r = COMPSHARE_OK;
    *out = p;
    return r;
}

static void a_price_in_nine_lines(void **state)
{
    compshare_param params[6];
    price p;
    (void)state;
    params[0] = compshare_text("Zone", "cn-wlcb-01");
    params[1] = compshare_text("GpuType", "4090");
    params[2] = compshare_int("Gpu", 2);
    params[3] = compshare_int("Cpu", 16);
    params[4] = compshare_int("Memory", 65536);
    params[5] = compshare_text("ChargeType", "Day");
    assert_int_equal(get_price(h.client, params, &p), COMPSHARE_OK);
    assert_string_equal(p.charge_type, "Day");
    assert_string_equal(p.instance, "75.84");
    assert_int_equal(p.discount, 0);
    /* a path that leads nowhere is an error of its own */
    assert_int_equal(compshare_read(compshare_first(compshare_get(compshare_reply(h.client), "PriceDetail")),
        price_fields, 3, &p), COMPSHARE_E_TYPE);
    assert_string_equal(last(&h)->detail, "what is to be read is not an object");
    params[2] = compshare_text("Gpu", "two");
    assert_int_equal(get_price(h.client, params, &p), COMPSHARE_E_REPLY);
    assert_int_equal(last(&h)->status, COMPSHARE_E_API);
}

typedef struct prices { int seen, bad; price last; } prices;

static int see_price(void *user, compshare_value element)
{
    static const compshare_field wrong[] = { COMPSHARE_FIELD_INT(price, discount, "ChargeType") };
    prices *s = (prices *)user;
    s->seen++;
    s->bad += compshare_read(element, price_fields, 3, &s->last) != COMPSHARE_OK;
    assert_int_equal(compshare_read(element, wrong, 1, &s->last), COMPSHARE_E_TYPE);
    assert_string_equal(last(&h)->detail, "ChargeType is not an integer");
    return 0;
}

/* A failure that a callback met and let pass is none of the call. */
static void prices_as_they_arrive(void **state)
{
    compshare_param params[5];
    prices s;
    (void)state;
    memset(&s, 0, sizeof s);
    params[0] = compshare_text("Zone", "cn-wlcb-01");
    params[1] = compshare_text("GpuType", "4090");
    params[2] = compshare_int("Gpu", 1);
    params[3] = compshare_int("Cpu", 16);
    params[4] = compshare_int("Memory", 65536);
    harness_expect(&h, compshare_call_each(h.client, "GetCompShareInstancePrice", params, 5, "PriceDetails", see_price,
        &s), COMPSHARE_OK);
    assert_int_equal(s.seen, 1);
    assert_int_equal(s.bad, 0);
    assert_string_equal(s.last.instance, "1.58");
    assert_int_equal(last(&h)->status, COMPSHARE_OK);
    assert_string_equal(last(&h)->detail, "");
}

/* ---- projects ---- */

typedef struct seen_projects { int count, defaults; char all[2048]; } seen_projects;

static int see_project(void *user, const compshare_project *p)
{
    seen_projects *s = (seen_projects *)user;
    s->count++;
    s->defaults += p->is_default;
    strcat(strcat(s->all, p->project_id), " ");
    return 0;
}

static void list_projects(int expected, int count, compshare_project *chosen)
{
    seen_projects s;
    memset(&s, 0, sizeof s);
    harness_expect(&h, compshare_get_project_list(h.client, chosen, see_project, &s), expected);
    assert_int_equal(s.count, count);
}

static void projects_default_is_the_second(void **state)
{
    compshare_project p;
    seen_projects s;
    (void)state;
    memset(&s, 0, sizeof s);
    harness_expect(&h, compshare_get_project_list(h.client, &p, see_project, &s), COMPSHARE_OK);
    assert_string_equal(p.project_id, PROJECT);
    assert_string_equal(p.project_name, "默认项目");
    assert_true(p.is_default);
    assert_string_equal(s.all, "org-other org-default ");
    assert_int_equal(s.defaults, 1);
    harness_expect(&h, compshare_get_project_list(h.client, NULL, NULL, NULL), COMPSHARE_OK);
}

static void projects_default_anywhere(void **state)
{
    static const char *const options[] = { "projects=1", "projects=2&default_project=0",
        "projects=50&default_project=0",
        "projects=50&default_project=25", "projects=50&default_project=49" };
    static const int counts[] = { 1, 2, 50, 50, 50 };
    compshare_project p;
    size_t i;
    (void)state;
    for (i = 0; i < 5; i++) {
        harness_set(&gateway, options[i]);
        list_projects(COMPSHARE_OK, counts[i], &p);
        assert_string_equal(p.project_id, PROJECT);
        assert_true(p.is_default);
    }
}

static void projects_without_default(void **state)
{
    compshare_project p;
    (void)state;
    harness_set(&gateway, "no_default=1");
    memset(&p, 'x', sizeof p);
    list_projects(COMPSHARE_E_PROJECT, 2, &p);
    expect_failure(&h, last(&h)->status, COMPSHARE_E_PROJECT, COMPSHARE_STAGE_JUDGE, false);
    expect_contains(last(&h)->detail, "org-other");
    expect_contains(last(&h)->detail, PROJECT);
    assert_int_equal(p.project_id[0], '\0');
    harness_set(&gateway, "projects=50");
    list_projects(COMPSHARE_E_PROJECT, 50, &p);
    expect_contains(last(&h)->detail, "org-other");
    list_projects(COMPSHARE_OK, 50, NULL);
    harness_set(&gateway, "projects=1");
    list_projects(COMPSHARE_OK, 1, &p);
    assert_string_equal(p.project_id, PROJECT);
    assert_false(p.is_default);
}

static void projects_configured(void **state)
{
    compshare_project p;
    (void)state;
    h.config.project_id = "org-other";
    reopen();
    list_projects(COMPSHARE_OK, 2, &p);
    assert_string_equal(p.project_id, "org-other");
    assert_false(p.is_default);
    harness_set(&gateway, "projects=50");
    list_projects(COMPSHARE_OK, 50, &p);
    assert_string_equal(p.project_id, "org-other");
    h.config.project_id = "org-stranger";
    reopen();
    list_projects(COMPSHARE_E_PROJECT, 50, &p);
    harness_set(&gateway, "projects=2");
    list_projects(COMPSHARE_E_PROJECT, 2, &p);
    expect_contains(last(&h)->detail, "project_id");
    expect_contains(last(&h)->detail, "org-other");
    expect_contains(last(&h)->detail, PROJECT);
    harness_set(&gateway, "projects=1");
    list_projects(COMPSHARE_E_PROJECT, 1, &p);
}

/* ---- the main job ---- */

/* Every typed call once, on whatever form of replies is set. */
static void whole_round(int64_t at)
{
    compshare_project p;
    compshare_instance i;
    compshare_target t = target_of("uhost-0001");
    harness_expect(&h, compshare_get_project_list(h.client, &p, NULL, NULL), COMPSHARE_OK);
    t.project_id = p.project_id;
    describe("uhost-0001", &i);
    assert_int_equal(i.stop_time, 0);
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, at), COMPSHARE_OK);
    describe("uhost-0001", &i);
    assert_true(i.stop_time == at);
    assert_true(harness_schedule(&gateway, "uhost-0001") == at);
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, at + 77), COMPSHARE_OK);
    describe("uhost-0001", &i);
    assert_true(i.stop_time == at + 77);
    harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
    describe("uhost-0001", &i);
    assert_int_equal(i.stop_time, 0);
    assert_int_equal(harness_schedule(&gateway, "uhost-0001"), 0);
    harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
    expect_executed(&gateway, UPDATE, 2);
    expect_executed(&gateway, DELETE, 2);
    assert_int_equal(last(&h)->status, COMPSHARE_OK);
    assert_false(last(&h)->outcome_unknown);
    assert_int_equal(strlen(last(&h)->request_id), 36);
}

static void main_job(void **state)
{
    compshare_instance i;
    (void)state;
    whole_round(soon());
    expect_count(&gateway, "connections", 1);
    describe("uhost-0001", &i);
    assert_string_equal(i.state, "Running");
    assert_string_equal(i.charge_type, "Postpay");
    assert_string_equal(i.zone, "cn-wlcb-01");
    assert_string_equal(i.region, "cn-wlcb");
    expect_contains(i.name, "训练机-0001");
    assert_true(i.gpu > 0 && i.gpu_type[0] != '\0');
    assert_true(i.create_time > 1000000000 && i.expire_time >= 0);
    describe("uhost-0002", &i);
    assert_string_equal(i.state, "Stopped");
    assert_true(i.create_time > 1000000000);    /* a string here */
}

static void forms_of_replies(void **state)
{
    static const char *const options[] = { "retcode_string=1", "chunked=1", "chunked=1&retcode_string=1&null_lists=1",
        "describe_region=0", "close_every=1", "close_every=3&chunked=1", "record_cap=512", "record_cap=512&chunked=1",
        "extra_date_form=rfc850", "extra_date_form=asctime", "no_date=1", "pad_reply=1", "pad_reply=5000&chunked=1" };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        harness_reset(&gateway);
        harness_set(&gateway, options[i]);
        reopen();
        whole_round(soon());
    }
}

static void close_every_reply(void **state)
{
    (void)state;
    harness_set(&gateway, "close_every=1");
    whole_round(soon());
    assert_true(harness_count(&gateway, "connections") == harness_count(&gateway, "requests"));
}

static void forms_of_schedules(void **state)
{
    static const char *const types[] = { "int", "string", "int,zero_when_none", "int,absent_when_none",
        "int,null_when_none",
        "int,empty_when_none", "string,zero_when_none", "string,absent_when_none", "string,null_when_none",
            "string,empty_when_none" };
    static const char *const fields[] = { "SchedulerStopTime", "StopSchedulerTime" };
    size_t i, k;
    (void)state;
    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        for (k = 0; k < 2; k++) {
            char query[128];
            harness_reset(&gateway);
            snprintf(query, sizeof query, "schedule_type=%s&schedule_field=%s", types[i], fields[k]);
            harness_set(&gateway, query);
            whole_round(soon());
        }
    }
}

static void state_lags(void **state)
{
    compshare_target t = target_of("uhost-0001");
    compshare_instance i;
    int64_t at = soon();
    (void)state;
    harness_set(&gateway, "visibility_delay=60");
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, at), COMPSHARE_OK);
    describe("uhost-0001", &i);
    assert_int_equal(i.stop_time, 0);
    harness_set(&gateway, "advance=61");
    describe("uhost-0001", &i);
    assert_true(i.stop_time == at);
}

static void stopped_by_the_clock(void **state)
{
    compshare_target t = target_of("uhost-0001");
    compshare_instance i;
    (void)state;
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, soon()), COMPSHARE_OK);
    harness_set(&gateway, "advance=3700");
    describe("uhost-0001", &i);
    assert_string_equal(i.state, "Stopped");
    assert_int_equal(i.stop_time, 0);
}

static void null_lists(void **state)
{
    compshare_target t = target_of("uhost-0001");
    compshare_instance i;
    (void)state;
    memset(&i, 'x', sizeof i);
    harness_set(&gateway, "null_lists=1&instances=0");
    expect_failure(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_E_NOT_FOUND, COMPSHARE_STAGE_JUDGE,
        false);
    assert_int_equal(i.uhost_id[0], '\0');
    harness_set(&gateway, "null_lists=0");
    expect_failure(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_E_NOT_FOUND, COMPSHARE_STAGE_JUDGE,
        false);
    expect_contains(last(&h)->detail, "uhost-0001");
}

static void region_as_the_reply_says(void **state)
{
    compshare_instance i;
    (void)state;
    harness_set(&gateway, "describe_region=1&zone.uhost-0001=cn-sh2-02");
    h.config.region = NULL;
    reopen();
    describe("uhost-0001", &i);
    assert_string_equal(i.region, "cn-sh2");
    assert_string_equal(i.zone, "cn-sh2-02");
    harness_set(&gateway, "describe_region=0");
    describe("uhost-0001", &i);
    assert_string_equal(i.region, "cn-sh2");
}

/* ---- exactly this instance ---- */

static void exact_id(void **state)
{
    static const char *const absent[] = { "uhost-1", "uhost-001", "uhost-00001", "uhost-0004", "UHOST-0001",
        "uhost-0001x", "uhost-" };
    compshare_instance i;
    size_t k;
    (void)state;
    for (k = 0; k < sizeof absent / sizeof absent[0]; k++) {
        compshare_target t = target_of(absent[k]);
        expect_failure(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_E_NOT_FOUND, COMPSHARE_STAGE_JUDGE,
            false);
    }
    harness_set(&gateway, "instances=10001");
    describe("uhost-1000", &i);
    describe("uhost-10000", &i);
    describe("uhost-0001", &i);
}

static void refused_instances(void **state)
{
    compshare_target spot = target_of("uhost-0003"), stopped = target_of("uhost-0002"), gone = target_of("uhost-0009"),
        busy = target_of("uhost-0001");
    compshare_param params[4];
    char text[1024];
    (void)state;
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &spot, soon()), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE,
        false);
    assert_int_equal(last(&h)->ret_code, 230);
    expect_contains(last(&h)->message, "抢占式实例不支持定时关机");
    expect_contains(compshare_error_text(h.client, text, sizeof text), "230");
    expect_contains(text, "抢占式实例不支持定时关机");
    expect_contains(text, last(&h)->request_id);
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &stopped, soon()), COMPSHARE_E_API,
        COMPSHARE_STAGE_JUDGE, false);
    assert_int_equal(last(&h)->ret_code, 8905);
    expect_contains(last(&h)->message, "Stopped");
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &gone, soon()), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE,
        false);
    assert_int_equal(last(&h)->ret_code, 8039);
    expect_contains(last(&h)->message, "uhost-0009");
    expect_failure(&h, compshare_delete_stop_scheduler(h.client, &gone), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE, false);
    assert_int_equal(last(&h)->ret_code, 8039);
    busy.region = "cn-sh2";
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &busy, soon()), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE,
        false);
    assert_int_equal(last(&h)->ret_code, 230);
    busy.region = NULL;
    busy.project_id = "org-nobody";
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &busy, soon()), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE,
        false);
    assert_int_equal(last(&h)->ret_code, 292);
    busy.project_id = PROJECT;
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &busy, INT64_MAX), COMPSHARE_E_PARAM,
        COMPSHARE_STAGE_PREPARE, false);
    expect_contains(last(&h)->detail, "up to the year 9999");
    harness_set(&gateway, "busy.uhost-0001=1");
    params[0] = compshare_text("UHostId", "uhost-0001");
    params[1] = compshare_text("ProjectId", PROJECT);
    params[2] = compshare_text("Zone", "cn-wlcb-01");
    expect_failure(&h, compshare_call(h.client, "RebootCompShareInstance", params, 3), COMPSHARE_E_API,
        COMPSHARE_STAGE_JUDGE, false);
    assert_int_equal(last(&h)->ret_code, 8903);
    assert_true(last(&h)->retryable);
    expect_executed(&gateway, UPDATE, 0);
    expect_count(&gateway, "connections", 1);
}

/* ---- lists ---- */

typedef struct seen_instances { unsigned char seen[1200]; size_t count; long twice; } seen_instances;

static int see_instance(void *user, const compshare_instance *i, compshare_value element)
{
    seen_instances *s = (seen_instances *)user;
    unsigned long n = strtoul(i->uhost_id + 6, NULL, 10);
    char zone[32];
    assert_true(n >= 1 && n < sizeof s->seen);
    s->twice += s->seen[n];
    s->seen[n] = 1;
    s->count++;
    assert_true(compshare_copy_text(compshare_get(element, "Zone"), zone, sizeof zone) > 0);
    assert_string_equal(zone, i->zone);
    assert_true(compshare_count(element) > 50);
    return 0;
}

static void list_fleet(size_t size, json_int_t requests)
{
    static seen_instances s;
    char query[64];
    harness_reset(&gateway);
    snprintf(query, sizeof query, "instances=%zu", size);
    harness_set(&gateway, query);
    memset(&s, 0, sizeof s);
    reopen();
    harness_expect(&h, compshare_each_instance(h.client, NULL, see_instance, &s), COMPSHARE_OK);
    assert_true(s.count == size && s.twice == 0);
    expect_requested(&gateway, DESCRIBE, requests);
    expect_count(&gateway, "connections", 1);
    expect_count(&gateway, "handshakes_full", 1);
}

static void whole_fleet(void **state)
{
    static const size_t sizes[] = { 0, 1, 3, 99, 100, 101, 250, 1000 };
    static const json_int_t requests[] = { 2, 1, 2, 2, 2, 3, 4, 12 };
    size_t i;
    (void)state;
    for (i = 0; i < 8; i++) list_fleet(sizes[i], requests[i]);
}

static void whole_fleet_in_little_memory(void **state)
{
    (void)state;
    h.config.memory_size = compshare_memory_needed(&h.config);
    list_fleet(1, 1);
    list_fleet(100, 2);
    list_fleet(1000, 12);
    harness_set(&gateway, "chunked=1&record_cap=512");
    list_fleet(100, 2);
    whole_round(soon());
    h.config.memory_size--;
    harness_close(&h);
    assert_int_equal(compshare_open(&h.client, &h.config), COMPSHARE_E_MEMORY);
    assert_null(h.client);
}

static void fleet_filters(void **state)
{
    compshare_target filter;
    static seen_instances s;
    (void)state;
    memset(&filter, 0, sizeof filter);
    memset(&s, 0, sizeof s);
    harness_set(&gateway, "instances=9&zone.uhost-0005=cn-wlcb-02&zone.uhost-0006=cn-sh2-02");
    filter.zone = "cn-wlcb-02";
    harness_expect(&h, compshare_each_instance(h.client, &filter, see_instance, &s), COMPSHARE_OK);
    assert_true(s.count == 1 && s.seen[5]);
    filter.zone = NULL;
    filter.region = "cn-sh2";
    harness_expect(&h, compshare_each_instance(h.client, &filter, see_instance, &s), COMPSHARE_OK);
    assert_true(s.count == 2 && s.seen[6]);
    filter.region = NULL;
    filter.project_id = "org-other";
    harness_expect(&h, compshare_each_instance(h.client, &filter, see_instance, &s), COMPSHARE_OK);
    assert_true(s.count == 2);
    filter.project_id = "org-nobody";
    expect_failure(&h, compshare_each_instance(h.client, &filter, see_instance, &s), COMPSHARE_E_API,
        COMPSHARE_STAGE_JUDGE, false);
    assert_int_equal(last(&h)->ret_code, 292);
}

static int stop_at_second(void *user, const compshare_instance *i, compshare_value element)
{
    (void)i;
    (void)element;
    return ++*(int *)user == 2;
}

static void callback_stops(void **state)
{
    int n = 0;
    compshare_instance i;
    (void)state;
    harness_set(&gateway, "instances=100");
    harness_expect(&h, compshare_each_instance(h.client, NULL, stop_at_second, &n), COMPSHARE_E_STOPPED);
    assert_int_equal(n, 2);
    describe("uhost-0001", &i);
}

/* ---- clocks ---- */

static void server_time_follows_date(void **state)
{
    static const char *const offsets[] = { "clock_offset=0", "clock_offset=7200", "clock_offset=-7200",
        "clock_offset=-100000000",
        "clock_offset=86400&extra_date_form=rfc850", "clock_offset=-86400&extra_date_form=asctime" };
    static const int64_t shifts[] = { 0, 7200, -7200, -100000000, 86400, -86400 };
    size_t i;
    (void)state;
    stop_the_clocks();
    assert_int_equal(compshare_server_time(h.client), 0);
    for (i = 0; i < 6; i++) {
        int64_t expected, got;
        harness_set(&gateway, offsets[i]);
        list_projects(COMPSHARE_OK, 2, NULL);
        expected = (int64_t)time(NULL) + shifts[i];
        got = compshare_server_time(h.client);
        if (got < expected - 5 || got > expected + 1)
            fail_msg("%s: server time is %lld, not %lld", offsets[i], (long long)got, (long long)expected);
        h.clock.ms += 123456;
        assert_true(compshare_server_time(h.client) == got + 123);
        h.clock.ms += 544;
        assert_true(compshare_server_time(h.client) == got + 124);
    }
    h.clock.begin_unix += 9999;     /* only the monotonic clock counts */
    assert_true(compshare_server_time(h.client) - (int64_t)time(NULL) + 86400 < 200);
    harness_set(&gateway, "no_date=1");
    list_projects(COMPSHARE_OK, 2, NULL);
    assert_true(compshare_server_time(h.client) != 0);
    reopen();
    list_projects(COMPSHARE_OK, 2, NULL);
    assert_int_equal(compshare_server_time(h.client), 0);
}

/* The floor on the clock `now`, which the client believes; the gateway's is 60 s
   behind it, so that the gateway's own floor never decides. */
static void check_floor(int64_t now)
{
    compshare_target t = target_of("uhost-0001");
    json_int_t before = harness_count(&gateway, "requests");
    static const int64_t ahead[] = { 299, 0, -1, -100000, 298 };
    size_t i;
    for (i = 0; i < 5; i++) {
        char words[64];
        expect_failure(&h, compshare_update_stop_scheduler(h.client, &t, now + ahead[i]), COMPSHARE_E_TOO_SOON,
            COMPSHARE_STAGE_PREPARE, false);
        snprintf(words, sizeof words, "it is %lld s short", (long long)(300 - ahead[i]));
        expect_contains(last(&h)->detail, words);
    }
    assert_true(harness_count(&gateway, "requests") == before);
    assert_int_equal(harness_schedule(&gateway, "uhost-0001"), 0);
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, now + 300), COMPSHARE_OK);
    assert_true(harness_count(&gateway, "requests") == before + 1);
    assert_true(harness_schedule(&gateway, "uhost-0001") == now + 300);
}

/* While the server's time is not known, the server judges. */
static void floor_without_the_servers_clock(void **state)
{
    static const int64_t wrong[] = { 7200, -7200 };
    compshare_target t = target_of("uhost-0001");
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        harness_reset(&gateway);
        stop_the_clocks();
        harness_set(&gateway, "no_date=1");
        set_clock(h.clock.begin_unix + wrong[i]);
        harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, h.clock.begin_unix + wrong[i] + 310),
            COMPSHARE_OK);
        expect_failure(&h, compshare_update_stop_scheduler(h.client, &t, h.clock.begin_unix + wrong[i] + 200),
            COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE, false);
        assert_int_equal(last(&h)->ret_code, 220);
    }
}

static void floor_301(void **state)
{
    compshare_target t = target_of("uhost-0001");
    (void)state;
    stop_the_clocks();
    set_clock(h.clock.begin_unix - 60);
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, h.clock.begin_unix + 301), COMPSHARE_OK);
}

/* The local clock is two hours wrong, either way: the server's decides. */
static void floor_on_the_servers_clock(void **state)
{
    static const int64_t wrong[] = { 7200, -7200 };
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        int64_t server;
        harness_reset(&gateway);
        stop_the_clocks();
        set_clock(h.clock.begin_unix + wrong[i]);
        list_projects(COMPSHARE_OK, 2, NULL);
        server = compshare_server_time(h.client);
        assert_true(server - h.clock.begin_unix >= wrong[i] && server - h.clock.begin_unix < wrong[i] + 30);
        set_clock(server - 60);
        check_floor(server);
    }
}

/* The clocks agree, then 100 s pass on the monotonic one. */
static void floor_moves_with_the_monotonic_clock(void **state)
{
    int64_t server;
    (void)state;
    stop_the_clocks();
    list_projects(COMPSHARE_OK, 2, NULL);
    server = compshare_server_time(h.client);
    h.clock.ms += 100000;
    set_clock(server + 40);
    check_floor(server + 100);
}

/* Nothing is known of the server: the local clock lets it pass, the server judges. */
static void server_judges_what_the_client_lets_pass(void **state)
{
    compshare_target t = target_of("uhost-0001");
    (void)state;
    stop_the_clocks();
    set_clock(h.clock.begin_unix + 7200);
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &t, h.clock.begin_unix + 600), COMPSHARE_E_API,
        COMPSHARE_STAGE_JUDGE, false);
    assert_int_equal(last(&h)->ret_code, 220);
    expect_contains(last(&h)->message, "5 分钟");
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &t, h.clock.begin_unix + 600), COMPSHARE_E_TOO_SOON,
        COMPSHARE_STAGE_PREPARE, false);
    expect_count(&gateway, "requests", 1);
}

/* ---- parameters ---- */

static void missing_identifiers(void **state)
{
    static const char *const names[] = { "UHostId", "Region", "Zone", "ProjectId" };
    compshare_instance instance;
    size_t i;
    int empty;
    (void)state;
    h.config.region = NULL;
    reopen();
    for (i = 0; i < 4; i++) {
        for (empty = 0; empty < 2; empty++) {
            compshare_target t = target_of("uhost-0001");
            const char *none = empty ? "" : NULL;
            t.region = "cn-wlcb";
            if (i == 0) t.uhost_id = none;
            if (i == 1) { t.region = none; t.zone = "nodash"; }
            if (i == 2) t.zone = none;
            if (i == 3) t.project_id = none;
            expect_failure(&h, compshare_update_stop_scheduler(h.client, &t, soon()), COMPSHARE_E_PARAM,
                COMPSHARE_STAGE_PREPARE, false);
            expect_contains(last(&h)->detail, names[i]);
            if (i == 2) continue;
            expect_failure(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_E_PARAM,
                COMPSHARE_STAGE_PREPARE, false);
            expect_contains(last(&h)->detail, names[i]);
        }
    }
    {
        compshare_target t = target_of(NULL);
        expect_failure(&h, compshare_describe_instance(h.client, &t, &instance), COMPSHARE_E_PARAM,
            COMPSHARE_STAGE_PREPARE, false);
        expect_contains(last(&h)->detail, "UHostId");
        expect_failure(&h, compshare_describe_instance(h.client, NULL, &instance), COMPSHARE_E_PARAM,
            COMPSHARE_STAGE_PREPARE, false);
        t.uhost_id = "uhost-0001&Region=x";
        expect_failure(&h, compshare_describe_instance(h.client, &t, &instance), COMPSHARE_E_PARAM,
            COMPSHARE_STAGE_PREPARE, false);
        expect_failure(&h, compshare_update_stop_scheduler(h.client, &t, soon()), COMPSHARE_E_PARAM,
            COMPSHARE_STAGE_PREPARE, false);
    }
    expect_count(&gateway, "requests", 0);
    expect_count(&gateway, "connections", 0);
}

static void expect_sent(const char *key, const char *value)
{
    json_t *stats = harness_stats(&gateway);
    const char *sent = json_string_value(json_object_get(json_object_get(stats, "last_params"), key));
    if ((sent == NULL) != (value == NULL) || (sent != NULL && strcmp(sent, value) != 0))
        fail_msg("%s was sent as %s, not as %s", key, sent != NULL ? sent : "nothing", value != NULL ? value
            : "nothing");
    json_decref(stats);
}

static void region_from_zone(void **state)
{
    compshare_target t = target_of("uhost-0001");
    compshare_instance i;
    (void)state;
    h.config.region = NULL;
    reopen();
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, soon()), COMPSHARE_OK);
    expect_sent("Region", "cn-wlcb");
    expect_sent("Zone", "cn-wlcb-01");
    harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
    expect_sent("Region", "cn-wlcb");
    harness_expect(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_OK);
    expect_sent("Zone", NULL);
    expect_sent("UHostIds.0", "uhost-0001");
    h.config.zone = "cn-wlcb-01";
    h.config.project_id = PROJECT;
    reopen();
    memset(&t, 0, sizeof t);
    t.uhost_id = "uhost-0001";
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, soon()), COMPSHARE_OK);
    expect_sent("Region", "cn-wlcb");
    expect_sent("ProjectId", PROJECT);
    t.region = "cn-sh2";        /* said aloud, it wins; the configured zone is not in it */
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &t, soon()), COMPSHARE_E_PARAM,
        COMPSHARE_STAGE_PREPARE, false);
    expect_contains(last(&h)->detail, "Zone");
    t.zone = "cn-sh2-01";
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &t, soon()), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE,
        false);
    expect_sent("Region", "cn-sh2");
    expect_sent("Zone", "cn-sh2-01");
    t.zone = NULL;
    t.region = NULL;
    h.config.region = "cn-sh2";     /* only configured, it gives way to the zone that is sent */
    reopen();
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, soon()), COMPSHARE_OK);
    expect_sent("Region", "cn-wlcb");
    expect_sent("Zone", "cn-wlcb-01");
}

static void defaults_of_generic_calls(void **state)
{
    compshare_param params[4];
    (void)state;
    h.config.zone = "cn-wlcb-01";
    h.config.project_id = PROJECT;
    reopen();
    harness_set(&gateway, "extra_action=AnythingAtAll");
    harness_expect(&h, compshare_call(h.client, "AnythingAtAll", NULL, 0), COMPSHARE_OK);
    expect_sent("Region", "cn-wlcb");
    expect_sent("Zone", "cn-wlcb-01");
    expect_sent("ProjectId", PROJECT);
    params[0] = compshare_text("Region", "");
    params[1] = compshare_text("Zone", "cn-sh2-02");
    harness_expect(&h, compshare_call(h.client, "AnythingAtAll", params, 2), COMPSHARE_OK);
    expect_sent("Region", "");
    expect_sent("Zone", "cn-sh2-02");
    expect_sent("ProjectId", PROJECT);
    harness_expect(&h, compshare_call(h.client, "GetProjectList", NULL, 0), COMPSHARE_OK);
    expect_sent("Region", NULL);
    expect_sent("Zone", NULL);
    expect_sent("ProjectId", NULL);
    harness_expect(&h, compshare_get_project_list(h.client, NULL, NULL, NULL), COMPSHARE_OK);
    expect_sent("Region", NULL);
    expect_sent("ProjectId", NULL);
}

static void stop_time_by_its_other_name(void **state)
{
    compshare_param params[5];
    int64_t at = soon();
    (void)state;
    harness_set(&gateway, "scheduler_param=StopTime");
    params[0] = compshare_text("UHostId", "uhost-0001");
    params[1] = compshare_text("Zone", "cn-wlcb-01");
    params[2] = compshare_text("ProjectId", PROJECT);
    params[3] = compshare_int("StopTime", at);
    harness_expect(&h, compshare_call(h.client, UPDATE, params, 4), COMPSHARE_OK);
    assert_true(harness_schedule(&gateway, "uhost-0001") == at);
    assert_string_equal(reply_text(&h, "UHostId"), "uhost-0001");
    assert_string_equal(reply_text(&h, "Action"), UPDATE "Response");
}

/* Signed by the client, checked by the gateway: a wrong byte would be RetCode 171. */
static void signed_unicode(void **state)
{
    static const char *const values[] = { "训练机 🚀", "a&b=c d+e%f", "\xc3\xa9\xc3\xa8", "~-._*'()!", "", " ", "%25",
        "\"\\{}[]<>#?/:;@,$^`|",
        "line\r\nbreak\ttab", "\x01\x7f", "=&=&", "e\xcc\x81" };
    compshare_param params[16];
    size_t i, n = sizeof values / sizeof values[0];
    static char keys[16][32];
    (void)state;
    harness_set(&gateway, "extra_action=Odd.Name_-1");
    for (i = 0; i < n; i++) {
        snprintf(keys[i], sizeof keys[i], i % 3 == 0 ? "Disks.%zu.Name" : i % 3 == 1 ? "键%zu" : "K y&=+%zu", i);
        params[i] = compshare_text(keys[i], values[i]);
    }
    params[n] = compshare_int("Big", INT64_MIN);
    params[n + 1] = compshare_bool("Flag", true);
    params[n + 2] = compshare_decimal("Price", "-0.05");
    harness_expect(&h, compshare_call(h.client, "Odd.Name_-1", params, n + 3), COMPSHARE_OK);
    for (i = 0; i < n; i++) expect_sent(keys[i], values[i]);
    expect_sent("Big", "-9223372036854775808");
    expect_sent("Flag", "true");
    expect_sent("Price", "-0.05");
}

static void many_parameters(void **state)
{
    static char keys[COMPSHARE_MAX_PARAMS + 1][24], values[COMPSHARE_MAX_PARAMS + 1][24];
    static compshare_param params[COMPSHARE_MAX_PARAMS + 1];
    size_t i;
    (void)state;
    harness_set(&gateway, "extra_action=Many");
    for (i = 0; i <= COMPSHARE_MAX_PARAMS; i++) {       /* backwards: worst for the sort */
        snprintf(keys[i], sizeof keys[i], "Key.%zu", COMPSHARE_MAX_PARAMS - i);
        snprintf(values[i], sizeof values[i], "值 %zu", i);
        params[i] = compshare_text(keys[i], values[i]);
    }
    harness_expect(&h, compshare_call(h.client, "Many", params, 100), COMPSHARE_OK);
    for (i = 0; i < 100; i += 33) expect_sent(keys[i], values[i]);
    harness_expect(&h, compshare_call(h.client, "Many", params, COMPSHARE_MAX_PARAMS), COMPSHARE_OK);
    expect_failure(&h, compshare_call(h.client, "Many", params, COMPSHARE_MAX_PARAMS + 1), COMPSHARE_E_PARAM,
        COMPSHARE_STAGE_PREPARE, false);
    params[1] = params[0];
    expect_failure(&h, compshare_call(h.client, "Many", params, 2), COMPSHARE_E_PARAM, COMPSHARE_STAGE_PREPARE, false);
    expect_count(&gateway, "requests", 2);
}

/* Bodies that end just around the borders of records, and long ones. */
static void long_bodies(void **state)
{
    static char value[100001];
    size_t len;
    json_t *stats;
    (void)state;
    harness_set(&gateway, "extra_action=Long");
    for (len = 15700; len < 16400; len += 37) {
        compshare_param p = compshare_text("Value", value);
        memset(value, 'x', len);
        value[len] = '\0';
        harness_expect(&h, compshare_call(h.client, "Long", &p, 1), COMPSHARE_OK);
    }
    for (len = 40000; len <= 100000; len += 60000) {
        compshare_param p[2];
        size_t i;
        p[0] = compshare_text("Value", value);
        p[1] = compshare_int("Z", (int64_t)len);
        /* escapes cross the borders */
        for (i = 0; i < len; i++) value[i] = i % 7 == 0 ? '%' : (char)('a' + i % 26);
        value[len] = '\0';
        harness_expect(&h, compshare_call(h.client, "Long", p, 2), COMPSHARE_OK);
        stats = harness_stats(&gateway);
        assert_string_equal(json_string_value(json_object_get(json_object_get(stats, "last_params"), "Value")), value);
        json_decref(stats);
    }
    expect_count(&gateway, "connections", 1);
}

static void headers(void **state)
{
    json_t *stats, *sent;
    (void)state;
    list_projects(COMPSHARE_OK, 2, NULL);
    stats = harness_stats(&gateway);
    sent = json_object_get(stats, "last_headers");
    assert_string_equal(json_string_value(json_object_get(stats, "last_content_type")),
        "application/x-www-form-urlencoded");
    assert_string_equal(json_string_value(json_object_get(sent, "User-Agent")), "compshare.h/" COMPSHARE_VERSION);
    assert_non_null(json_object_get(sent, "U-Timestamp-Ms"));
    assert_null(json_object_get(sent, "Accept-Encoding"));
    expect_contains(h.base_url, json_string_value(json_object_get(sent, "Host")));
    json_decref(stats);
}

/* ---- refusals ---- */

typedef struct code_row { int code; bool retryable, unknown; } code_row;

static void every_ret_code(void **state)
{
    static const code_row rows[] = {
        { 160, false, false }, { 161, false, false }, { 170, false, false }, { 171, false, false }, { 172, false,
            false },
        { 174, false, false }, { 210, false, false }, { 220, false, false }, { 230, false, false }, { 280, false,
            false },
        { 240, false, false }, { 292, false, false }, { 299, false, false }, { 520, false, false }, { 8010, false,
            false },
        { 8039, false, false }, { 8314, false, false }, { 8905, false, false }, { 226607, false, false }, { 1, false,
            false },
        { -1, false, false }, { 2147483647, false, false }, { -2147483647 - 1, false, false },
        { 120, true, false }, { 130, true, false }, { 150, true, false }, { 153, true, false }, { 8357, true, false },
        { 226604, true, false }, { 8433, true, false }, { 8434, true, false }, { 8441, true, false }, { 226619, true,
            false },
        { 8903, true, false }, { 226609, true, false }, { 226622, true, false },
        { 110, true, true }, { 8438, true, true }
    };
    compshare_target t = target_of("uhost-0001");
    int as_text;
    size_t i;
    (void)state;
    for (as_text = 0; as_text < 2; as_text++) {
        for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            char query[256];
            const compshare_error *e = last(&h);
            snprintf(query, sizeof query,
                "retcode_string=%d&fail_next=1&fail_code=%d&fail_message=%%E4%%BD%%99%%E9%%A2%%9D%%1b%%5B31m%%0aend",
                as_text, rows[i].code);
            harness_set(&gateway, query);
            expect_failure(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE,
                rows[i].unknown);
            assert_int_equal(e->ret_code, rows[i].code);
            assert_int_equal(e->http_status, 200);
            if (e->retryable != rows[i].retryable) fail_msg("RetCode %d: retryable is %d", rows[i].code, e->retryable);
            expect_contains(e->message, "余额");
            expect_contains(e->message, "end");
            assert_null(strchr(e->message, 27));
            assert_null(strchr(e->message, '\n'));
            assert_string_equal(e->action, DELETE);
            assert_int_equal(strlen(e->request_id), 36);
        }
    }
    harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
    assert_int_equal(last(&h)->ret_code, 0);
    assert_int_equal(last(&h)->message[0], '\0');
    expect_executed(&gateway, DELETE, 1);
    expect_count(&gateway, "connections", 1);
}

static void zero_cannot_be_injected_as_failure(void **state)
{
    compshare_instance i;
    compshare_target t = target_of("uhost-0001");
    (void)state;
    harness_set(&gateway, "reply_retcode=150");     /* executed, but refused in words */
    expect_failure(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE, false);
    expect_failure(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE, false);
    expect_failure(&h, compshare_get_project_list(h.client, NULL, NULL, NULL), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE,
        false);
    expect_executed(&gateway, DELETE, 1);
}

static void expect_code(int code)
{
    compshare_project p;
    expect_failure(&h, compshare_get_project_list(h.client, &p, NULL, NULL), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE,
        false);
    assert_int_equal(last(&h)->ret_code, code);
    assert_false(last(&h)->retryable);
    assert_int_equal(p.project_id[0], '\0');
}

static void credentials(void **state)
{
    compshare_param p = compshare_text("Offset", "abc");
    (void)state;
    h.config.private_key = "wrong";
    reopen();
    expect_code(171);
    h.config.private_key = HARNESS_PRIVATE_KEY;
    h.config.public_key = "nobody@example.com";
    reopen();
    expect_code(172);
    h.config.public_key = HARNESS_PUBLIC_KEY;
    reopen();
    expect_failure(&h, compshare_call(h.client, "NoSuchAction", NULL, 0), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE,
        false);
    assert_int_equal(last(&h)->ret_code, 161);
    expect_failure(&h, compshare_call(h.client, DESCRIBE, &p, 1), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE, false);
    assert_int_equal(last(&h)->ret_code, 220 + 60);
    expect_failure(&h, compshare_call(h.client, UPDATE, NULL, 0), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE, false);
    assert_int_equal(last(&h)->ret_code, 210);
    expect_contains(last(&h)->message, "Zone");
    h.config.security_token = "spare";      /* signed like any parameter */
    reopen();
    list_projects(COMPSHARE_OK, 2, NULL);
    expect_sent("SecurityToken", "spare");
}

static void security_token(void **state)
{
    static const char *const args[] = { "--token", "some_stoken=&+", NULL };
    harness_process with_token = harness_gateway("rsa", args);
    (void)state;
    harness_close(&h);
    harness_configure(&h, with_token.port);
    harness_open(&h);
    expect_code(174);
    h.config.security_token = "other";
    reopen();
    expect_code(174);
    h.config.security_token = "some_stoken=&+";
    reopen();
    list_projects(COMPSHARE_OK, 2, NULL);
    harness_stop(&with_token);
}

static void http_statuses(void **state)
{
    static const int statuses[] = { 502, 503, 500, 504, 403, 404, 400, 429, 302, 301, 307 };
    compshare_target t = target_of("uhost-0001");
    size_t i;
    (void)state;
    for (i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        char query[64];
        const compshare_error *e = last(&h);
        snprintf(query, sizeof query, "fail_next=1&fail_http=%d", statuses[i]);
        harness_set(&gateway, query);
        expect_failure(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_E_STATUS, COMPSHARE_STAGE_JUDGE,
            true);
        assert_int_equal(e->http_status, statuses[i]);
        assert_int_equal(e->ret_code, 0);
        assert_true(e->retryable == (statuses[i] >= 500 || statuses[i] == 429));
    }
    harness_set(&gateway, "fail_next=1&fail_http=200");     /* 200 with a page of HTML */
    expect_failure(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_E_JSON, COMPSHARE_STAGE_JUDGE, true);
    harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
    expect_requested(&gateway, DELETE, (json_int_t)(sizeof statuses / sizeof statuses[0]) + 2);
    expect_executed(&gateway, DELETE, 1);
}

static void csv(void **state)
{
    compshare_view body;
    int chunked;
    (void)state;
    for (chunked = 0; chunked < 2; chunked++) {
        harness_set(&gateway, chunked ? "chunked=1" : "chunked=0");
        harness_expect(&h, compshare_call(h.client, "DownloadTeamOrder", NULL, 0), COMPSHARE_OK);
        body = compshare_body(h.client);
        assert_int_equal(memcmp(body.ptr, "订单号,成员,金额\r\n", 24), 0);
        assert_int_equal(memcmp(body.ptr + body.len - 6, "0.05\r\n", 6), 0);
        assert_int_equal(compshare_type(compshare_reply(h.client)), COMPSHARE_NONE);
    }
    harness_set(&gateway, "fail_next=1&fail_code=240");
    expect_failure(&h, compshare_call(h.client, "DownloadTeamOrder", NULL, 0), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE,
        false);
    assert_int_equal(last(&h)->ret_code, 240);
    harness_set(&gateway, "truncate=1");
    expect_failure(&h, compshare_call(h.client, "DownloadTeamOrder", NULL, 0), COMPSHARE_E_CLOSED,
        COMPSHARE_STAGE_RECEIVE, true);
}

static void padded_replies(void **state)
{
    compshare_target t = target_of("uhost-0001");
    compshare_instance i;
    int chunked;
    (void)state;
    for (chunked = 0; chunked < 2; chunked++) {
        harness_set(&gateway, chunked ? "chunked=1" : "chunked=0");
        harness_set(&gateway, "pad_reply=10240");
        harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
        describe("uhost-0001", &i);
        harness_set(&gateway, "pad_reply=204800");
        expect_failure(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_E_TOO_LARGE,
            COMPSHARE_STAGE_RECEIVE, true);
        harness_expect(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_E_TOO_LARGE);
        harness_expect(&h, compshare_get_project_list(h.client, NULL, NULL, NULL), COMPSHARE_E_TOO_LARGE);
        harness_set(&gateway, "pad_reply=0");
        harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
        describe("uhost-0001", &i);
    }
}

static int count_elements(void *user, compshare_value element)
{
    assert_int_equal(compshare_type(element), COMPSHARE_OBJECT);
    ++*(int *)user;
    return 0;
}

static void generic_stream(void **state)
{
    compshare_param p = compshare_int("Limit", 100);
    int n = 0;
    int64_t total = 0;
    (void)state;
    harness_set(&gateway, "instances=100");
    harness_expect(&h, compshare_call_each(h.client, DESCRIBE, &p, 1, "UHostSet", count_elements, &n), COMPSHARE_OK);
    assert_int_equal(n, 100);
    assert_true(compshare_as_int(compshare_get(compshare_reply(h.client), "TotalCount"), &total) && total == 100);
    harness_expect(&h, compshare_call(h.client, DESCRIBE, &p, 1), COMPSHARE_E_TOO_LARGE);    /* 270 KB at once */
    harness_expect(&h, compshare_call_each(h.client, DESCRIBE, &p, 1, "NoSuchSet", count_elements, &n),
        COMPSHARE_E_TOO_LARGE);
    n = 0;
    harness_expect(&h, compshare_call_each(h.client, "GetProjectList", NULL, 0, "NoSuchSet", count_elements, &n),
        COMPSHARE_OK);
    assert_int_equal(n, 0);
}

/* ---- secrets ---- */

static char traced[65536];
static void trace(void *user, const char *line)
{
    (void)user;
    assert_true(strlen(traced) + strlen(line) + 2 < sizeof traced);
    strcat(strcat(traced, line), "\n");
}

static void traces_hold_no_secrets(void **state)
{
    compshare_param p = compshare_text("Password", "cGFzc3dvcmQ");
    json_t *stats;
    const char *signature;
    char text[1024];
    (void)state;
    traced[0] = '\0';
    h.config.trace = trace;
    h.config.security_token = "some_stoken";
    reopen();
    list_projects(COMPSHARE_OK, 2, NULL);
    (void)compshare_call(h.client, "ResetCompShareInstancePassword", &p, 1);
    stats = harness_stats(&gateway);
    signature = json_string_value(json_object_get(json_object_get(stats, "last_params"), "Signature"));
    assert_int_equal(strlen(signature), 40);
    compshare_error_text(h.client, text, sizeof text);
    assert_null(strstr(text, signature));
    assert_null(strstr(traced, signature));
    assert_null(strstr(traced, HARNESS_PRIVATE_KEY));
    assert_null(strstr(traced, HARNESS_PUBLIC_KEY));
    assert_null(strstr(traced, "some_stoken"));
    assert_null(strstr(traced, "cGFzc3dvcmQ"));
    expect_contains(traced, "GetProjectList");
    json_decref(stats);
}

static void memory_is_wiped(void **state)
{
    size_t i;
    (void)state;
    list_projects(COMPSHARE_OK, 2, NULL);
    compshare_close(h.client);
    h.client = NULL;
    for (i = 0; i < sizeof h.memory; i++) assert_int_equal(h.memory[i], 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_price_in_nine_lines), T(prices_as_they_arrive),
        T(projects_default_is_the_second), T(projects_default_anywhere), T(projects_without_default),
            T(projects_configured),
        T(main_job), T(forms_of_replies), T(close_every_reply), T(forms_of_schedules), T(state_lags),
            T(stopped_by_the_clock),
        T(null_lists), T(region_as_the_reply_says), T(exact_id), T(refused_instances), T(whole_fleet),
            T(whole_fleet_in_little_memory),
        T(fleet_filters), T(callback_stops), T(server_time_follows_date), T(floor_without_the_servers_clock),
            T(floor_301),
        T(floor_on_the_servers_clock), T(floor_moves_with_the_monotonic_clock),
            T(server_judges_what_the_client_lets_pass),
        T(missing_identifiers), T(region_from_zone), T(defaults_of_generic_calls), T(stop_time_by_its_other_name),
            T(signed_unicode),
        T(many_parameters), T(long_bodies), T(headers), T(every_ret_code), T(zero_cannot_be_injected_as_failure),
            T(credentials),
        T(security_token), T(http_statuses), T(csv), T(padded_replies), T(generic_stream), T(traces_hold_no_secrets),
            T(memory_is_wiped)
    };
    int failed = cmocka_run_group_tests_name("calls, RSA chain", tests, start_rsa, stop);
    return failed + cmocka_run_group_tests_name("calls, EC chain", tests, start_ec, stop);
}
