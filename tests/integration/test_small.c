/* The small profile: 24 KB of memory and TLS records of 4,096 bytes. Against servers
   that honour max_fragment_length (OpenSSL, nginx) and one that does not (GnuTLS, in
   the gateway). How large records are is read off the wire. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"
#include "one.h"

#define SMALL 24576u
#define RECORD (4096u + 320u)       /* what BearSSL allows a record of 4,096 bytes to grow to */
#define REBOOT "RebootCompShareInstance"

static shim t;

static void configure(unsigned port)
{
    if (h.client != NULL) harness_close(&h);
    harness_configure(&h, port);
    h.config.memory_size = SMALL;
    h.config.flags = COMPSHARE_SMALL_RECORDS;
    h.config.zone = "cn-wlcb-01";
    h.config.project_id = PROJECT;
    tap_insert(&t, &h, false);
}

static int fresh(void **state)
{
    (void)state;
    harness_reset(&gateway);
    configure(gateway.port);
    return 0;
}

static int on_instance(void *user, const compshare_instance *i, compshare_value element)
{
    char id[64];
    assert_true(compshare_copy_text(compshare_get(element, "UHostId"), id, sizeof id) > 0);
    assert_string_equal(id, i->uhost_id);
    ++*(int *)user;
    return 0;
}

/* Both sides kept to records of 4,096 bytes, and the client had asked for it. */
static void expect_small_records(void)
{
    assert_int_equal(tap_fragment_code(&t), 4);         /* RFC 6066 4: 2^12 */
    if (t.largest[0] > RECORD || t.largest[1] > RECORD)
        fail_msg("records of %zu and %zu bytes", t.largest[0], t.largest[1]);
}

/* ---- memory ---- */

static void twenty_four_kilobytes(void **state)
{
    compshare_config config;
    (void)state;
    memset(&config, 0, sizeof config);
    config.flags = COMPSHARE_SMALL_RECORDS;
    printf("# figure: compshare_memory_needed with small records %u\n", (unsigned)compshare_memory_needed(&config));
    if (compshare_memory_needed(&config) > SMALL)
        fail_msg("%u bytes are needed", (unsigned)compshare_memory_needed(&config));
    assert_true(compshare_memory_needed(NULL) > SMALL);
}

/* ---- the main job ---- */

static void schedule_set(void **state)
{
    compshare_plan plan;
    compshare_schedule s;
    (void)state;
    memset(&plan, 0, sizeof plan);
    plan.uhost_id = "uhost-0001";
    plan.in_seconds = 3600;
    harness_set(&gateway, "record_cap=4096");
    h.config.project_id = NULL;         /* as an empty configuration would: everything is looked up */
    h.config.zone = NULL;
    h.config.region = NULL;
    harness_open(&h);
    harness_expect(&h, compshare_schedule_set(h.client, &plan, &s), COMPSHARE_OK);
    assert_true(s.changed && s.stop_time > 0 && s.previous == 0);
    assert_true(harness_schedule(&gateway, "uhost-0001") == s.stop_time);
    expect_small_records();
    harness_expect(&h, compshare_schedule_extend(h.client, "uhost-0001", 600, &s), COMPSHARE_OK);
    harness_expect(&h, compshare_schedule_get(h.client, "uhost-0001", &s), COMPSHARE_OK);
    assert_true(s.stop_time == harness_schedule(&gateway, "uhost-0001"));
    harness_expect(&h, compshare_schedule_cancel(h.client, "uhost-0001", &s), COMPSHARE_OK);
    assert_int_equal(harness_schedule(&gateway, "uhost-0001"), 0);
    expect_count(&gateway, "connections", 1);
    expect_small_records();
}

/* With the EC chain, and with exactly as much memory as the client says. */
static void exact_memory(void **state)
{
    static const char *const chains[] = { "rsa", "ec" };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(chains); i++) {
        const char *more[] = { "--option", "record_cap=4096", "--instances", "250", NULL };
        harness_process g = harness_gateway(chains[i], more);
        compshare_plan plan;
        int n = 0;
        configure(g.port);
        h.config.memory_size = compshare_memory_needed(&h.config);
        h.config.project_id = NULL;
        memset(&plan, 0, sizeof plan);
        plan.uhost_id = "uhost-0001";
        plan.in_seconds = 3600;
        harness_open(&h);
        harness_expect(&h, compshare_schedule_set(h.client, &plan, NULL), COMPSHARE_OK);
        harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &n), COMPSHARE_OK);
        assert_int_equal(n, 250);
        harness_close(&h);
        harness_stop(&g);
    }
}

/* ---- GnuTLS acknowledges the extension and sends what it likes ---- */

static void server_does_not_keep_to_it(void **state)
{
    compshare_instance instance;
    compshare_target target = target_of("uhost-0001");
    int n = 0;
    (void)state;
    harness_set(&gateway, "instances=100");
    harness_open(&h);
    /* 2.7 KB fit anyway */
    harness_expect(&h, compshare_describe_instance(h.client, &target, &instance), COMPSHARE_OK);
    expect_failure(&h, compshare_each_instance(h.client, NULL, on_instance, &n), COMPSHARE_E_TLS,
        COMPSHARE_STAGE_RECEIVE, true);
    assert_int_equal(last(&h)->tls_code, 6);
    expect_contains(last(&h)->detail, "record larger than");
    expect_contains(last(&h)->detail, "COMPSHARE_SMALL_RECORDS");
    assert_true(t.largest[1] > RECORD);
    assert_int_equal(t.open_now, 0);
    /* and the client goes on */
    harness_expect(&h, compshare_describe_instance(h.client, &target, &instance), COMPSHARE_OK);
    /* an action that changes something: nobody knows what became of it */
    harness_set(&gateway, "pad_reply=9000");
    expect_failure(&h, act(REBOOT), COMPSHARE_E_TLS, COMPSHARE_STAGE_RECEIVE, true);
    assert_int_equal(last(&h)->tls_code, 6);
    expect_executed(&gateway, REBOOT, 1);
    harness_set(&gateway, "pad_reply=0&record_cap=4096");
    n = 0;
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 100);
    expect_small_records();
}

/* ---- nginx, in front of a gateway without TLS ---- */

static void through_nginx(void **state)
{
    static char value[20001];
    harness_process plain = plain_gateway();
    peer nginx = peer_nginx("rsa", plain.port, "proxy_buffering on;");
    compshare_target target = target_of("uhost-0001");
    compshare_instance instance;
    compshare_plan plan;
    compshare_param p[2];
    int64_t at = (int64_t)time(NULL) + 7200;
    int n = 0, k;
    (void)state;
    if (nginx.pid == 0) {
        harness_stop(&plain);
        skip();
    }
    harness_set(&plain, "instances=250");
    configure(nginx.port);
    harness_open(&h);
    harness_expect(&h, compshare_describe_instance(h.client, &target, &instance), COMPSHARE_OK);
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &target, at), COMPSHARE_OK);
    harness_expect(&h, compshare_describe_instance(h.client, &target, &instance), COMPSHARE_OK);
    assert_true(instance.stop_time == at);
    harness_expect(&h, compshare_delete_stop_scheduler(h.client, &target), COMPSHARE_OK);
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 250);
    memset(&plan, 0, sizeof plan);
    plan.uhost_id = "uhost-0002";
    plan.in_seconds = 600;
    harness_expect(&h, compshare_schedule_set(h.client, &plan, NULL), COMPSHARE_E_STATE);
    plan.uhost_id = "uhost-0001";
    harness_expect(&h, compshare_schedule_set(h.client, &plan, NULL), COMPSHARE_OK);
    /* a request of many records */
    memset(value, 'v', sizeof value - 1);
    p[0] = compshare_text("UHostId", "uhost-0001");
    p[1] = compshare_text("Comment", value);
    harness_expect(&h, compshare_call(h.client, REBOOT, p, 2), COMPSHARE_OK);
    /* a reply that does not fit, and the next one */
    harness_set(&plain, "pad_reply=20000");
    harness_expect(&h, act(REBOOT), COMPSHARE_E_TOO_LARGE);
    harness_set(&plain, "pad_reply=0");
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    assert_int_equal(t.opens, 1);
    expect_small_records();
    assert_true(t.largest[1] > 2000);
    harness_close(&h);
    /* the same server sends larger ones to those who do not ask for small ones */
    configure(nginx.port);
    h.config.flags = 0;
    h.config.memory_size = sizeof h.memory;
    harness_open(&h);
    n = 0;
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 250);
    assert_true(t.largest[1] > RECORD);
    assert_int_equal(tap_fragment_code(&t), 0);
    harness_close(&h);
    for (k = 1; k <= 3; k++) {          /* and new connections, resumed with the extension */
        static compshare_session session;
        configure(nginx.port);
        h.config.session = &session;
        harness_open(&h);
        harness_expect(&h, act(REBOOT), COMPSHARE_OK);
        expect_small_records();
        harness_close(&h);
    }
    peer_stop(&nginx);
    harness_stop(&plain);
}

/* The EC chain has the larger stack and the longer handshake messages. */
static void through_nginx_with_ec(void **state)
{
    harness_process plain = plain_gateway();
    peer nginx = peer_nginx("ec", plain.port, "");
    int n = 0;
    (void)state;
    if (nginx.pid == 0) {
        harness_stop(&plain);
        skip();
    }
    configure(nginx.port);
    harness_set(&plain, "instances=100");
    h.config.ca_file = harness_cert("bundle-big.pem");
    harness_open(&h);
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 100);
    expect_small_records();
    harness_close(&h);
    peer_stop(&nginx);
    harness_stop(&plain);
}

/* A proxy's reply is read in the same memory. */
static void through_a_proxy(void **state)
{
    static const char answer[] = "HTTP/1.1 200 Connection established\r\nVia: 1.1 gate (squid/5.7)\r\nX-Cache: MISS "
        "from gate\r\n\r\n";
    int n = 0;
    (void)state;
    harness_set(&gateway, "record_cap=4096&instances=100");
    h.config.proxy = "http://user:password@gate.example:3128";
    t.answer = answer;
    t.answer_len = sizeof answer - 1;
    t.tunnel = true;
    t.piece = 1000;
    t.real_port = gateway.port;
    harness_open(&h);
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 100);
    expect_small_records();
}

/* ---- openssl ---- */

/* A page of elements like this one, as one reply; returns its length. */
static size_t page(char *dst, size_t cap, int elements)
{
    static char body[60000];
    size_t n = 0;
    int i, len;
    n += (size_t)snprintf(body + n, sizeof body - n, "{\"RetCode\":0,\"UHostSet\":[");
    for (i = 0; i < elements; i++)
        n += (size_t)snprintf(body + n, sizeof body - n,
            "%s{\"UHostId\":\"uhost-%04d\",\"Name\":\"n\",\"State\":\"Running\",\"Padding\":\"%0400d\"}", i ? "," : "",
                i, i);
    n += (size_t)snprintf(body + n, sizeof body - n, "]}");
    assert_true(n < sizeof body - 1);
    len = snprintf(dst, cap, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: "
        "close\r\n\r\n%s", n, body);
    assert_true(len > 0 && (size_t)len < cap);
    return (size_t)len;
}

static int on_element(void *user, compshare_value element)
{
    char id[64];
    assert_true(compshare_copy_text(compshare_get(element, "UHostId"), id, sizeof id) > 0);
    ++*(int *)user;
    return 0;
}

static void with_s_server(void **state)
{
    static const char *const options[] = { "-no_ticket", "-no_ticket -cipher ECDHE-RSA-CHACHA20-POLY1305",
        "-no_ticket -cipher ECDHE-RSA-AES256-GCM-SHA384" };
    static char reply[62000];
    size_t i, len = page(reply, sizeof reply, 100);
    (void)state;
    for (i = 0; i < COUNT(options); i++) {
        peer p = peer_openssl("1", options[i]);
        int n = 0;
        configure(p.port);
        harness_open(&h);
        harness_expect(&h, peer_answer(&p, &h,
            compshare_call_each_start(h.client, "DescribeCompShareInstance", NULL, 0, "UHostSet", on_element,
                &n), 1, reply, len), COMPSHARE_OK);
        assert_int_equal(n, 100);
        expect_small_records();
        assert_true(t.largest[1] > 4096);       /* full ones, of the size that was agreed on */
        harness_close(&h);
        peer_stop(&p);
    }
}

/* Records at the border, and the largest there may be. */
static void borders(void **state)
{
    static const int sizes[] = { 1, 4000, 4095, 4096, 4097, 8191, 8192, 8193, 30000 };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(sizes); i++) {
        char script[300];
        const char *scripts[] = { NULL, NULL };
        wire w;
        int r;
        scripts[0] = script;
        snprintf(script, sizeof script,
            "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: "
                "%d\\r\\n\\r\\n{\\\"RetCode\\\":0}\"\nsend-repeat %d \" \"\nloop\n",
            sizes[i] + 13, sizes[i]);
        w = wire_serve("rsa", scripts);
        configure(w.server.port);
        harness_open(&h);
        r = act(REBOOT);
        if (sizes[i] < 9000) harness_expect(&h, r, COMPSHARE_OK);
        else harness_expect(&h, r, COMPSHARE_E_TOO_LARGE);
        expect_small_records();
        if (sizes[i] >= 4096) assert_true(t.largest[1] >= 4096);
        harness_close(&h);
        wire_stop(&w);
    }
    {       /* a record of one byte too many, whoever sends it */
        static const char *const scripts[] = { "read-request\nsend-raw \"\\x17\\x03\\x03\\x11\\x41\"\nsend-raw "
            "\"abcdefgh\"\nstall\n", NULL };
        wire w = wire_serve("rsa", scripts);
        configure(w.server.port);
        harness_open(&h);
        expect_failure(&h, act(REBOOT), COMPSHARE_E_TLS, COMPSHARE_STAGE_RECEIVE, true);
        assert_int_equal(last(&h)->tls_code, 6);
        harness_close(&h);
        wire_stop(&w);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(twenty_four_kilobytes), T(schedule_set), T(exact_memory), T(server_does_not_keep_to_it), T(through_nginx),
            T(through_nginx_with_ec),
        T(through_a_proxy), T(with_s_server), T(borders)
    };
    return cmocka_run_group_tests_name("small records", tests, start, stop);
}
