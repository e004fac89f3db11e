/* TLS sessions in the caller's compshare_session: resumed where that is safe, and
   nowhere else, because a resumed handshake checks no certificate. What a client
   offers is read off its ClientHello. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"

#define REBOOT "RebootCompShareInstance"

static harness_process gateway;
static harness_client h, other;
static shim t, u;
static compshare_session session;

static int start(void **state) { (void)state; gateway = harness_gateway("rsa", NULL); return 0; }
static int stop(void **state) { (void)state; harness_stop(&gateway); return 0; }

static void configure_one(harness_client *c, shim *tapped, unsigned port)
{
    if (c->client != NULL) harness_close(c);
    harness_configure(c, port);
    c->config.zone = "cn-wlcb-01";
    c->config.project_id = PROJECT;
    c->config.session = &session;
    tap_insert(tapped, c, false);
}

static void configure(unsigned port)
{
    configure_one(&h, &t, port);
}

static int fresh(void **state)
{
    (void)state;
    harness_set(&gateway, "session_cache=0");       /* forgets those of earlier tests */
    harness_reset(&gateway);
    memset(&session, 0, sizeof session);
    configure(gateway.port);
    return 0;
}

static int done(void **state)
{
    (void)state;
    if (h.client != NULL) harness_close(&h);
    if (other.client != NULL) harness_close(&other);
    compshare_session_forget(&session);
    return 0;
}

static int act_of(harness_client *c, const char *action)
{
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    return compshare_call(c->client, action, &p, 1);
}

/* A client for one call. */
static int once(const char *action)
{
    int r;
    harness_open(&h);
    r = act_of(&h, action);
    if (r != COMPSHARE_OK) return r;
    harness_close(&h);
    return r;
}

#define expect_handshakes(full, resumed) expect_handshakes_at(full, resumed, __FILE__, __LINE__)
static void expect_handshakes_at(json_int_t full, json_int_t resumed, const char *file, int line)
{
    json_int_t a = harness_count(&gateway, "handshakes_full"), b = harness_count(&gateway, "handshakes_resumed");
    if (a != full || b != resumed)
        fail_msg("%s:%d: %d full and %d resumed handshakes, not %d and %d", file, line, (int)a, (int)b, (int)full,
            (int)resumed);
}

static bool is_empty(void)
{
    static const compshare_session none;
    return memcmp(&session, &none, sizeof none) == 0;
}

/* ---- resumed ---- */

static void second_client_resumes(void **state)
{
    compshare_handshake handshake;
    size_t full, resumed;
    (void)state;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 0);
    full = t.moved[0] + t.moved[1];
    assert_false(is_empty());
    harness_open(&h);
    harness_expect(&h, act_of(&h, DELETE), COMPSHARE_OK);
    handshake = compshare_last_handshake(h.client);
    assert_int_equal(handshake.version, 0x0303);
    assert_true(handshake.suite != 0 && handshake.resumed && handshake.not_after == 0);
    harness_close(&h);
    assert_int_equal(tap_offered(&t), 32);
    resumed = t.moved[0] + t.moved[1];
    expect_handshakes(1, 1);
    printf("# figure: bytes of one call, full handshake %u, resumed %u\n", (unsigned)full, (unsigned)resumed);
    assert_true(resumed + 1500 < full);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(once(REBOOT), COMPSHARE_OK);
    expect_handshakes(1, 3);
    expect_executed(&gateway, REBOOT, 1);
}

static void reconnects_resume(void **state)
{
    int i;
    (void)state;
    harness_set(&gateway, "close_every=1");
    harness_open(&h);
    for (i = 0; i < 5; i++) harness_expect(&h, act_of(&h, REBOOT), COMPSHARE_OK);
    expect_handshakes(1, 4);
    harness_set(&gateway, "close_every=0");
    harness_expect(&h, act_of(&h, REBOOT), COMPSHARE_OK);
    assert_int_equal(shutdown(t.posix.fd, SHUT_RDWR), 0);       /* a kept connection dies */
    harness_expect(&h, act_of(&h, REBOOT), COMPSHARE_OK);
    harness_set(&gateway, "drop_after=1");
    harness_expect(&h, act_of(&h, DELETE), COMPSHARE_OK);
    expect_handshakes(1, 7);
}

/* compshare_last_handshake is about the newest that succeeded, and about nothing before. */
static void last_handshake(void **state)
{
    compshare_handshake first, last;
    (void)state;
    harness_set(&gateway, "close_every=1");
    harness_open(&h);
    harness_expect(&h, act_of(&h, DELETE), COMPSHARE_OK);
    first = compshare_last_handshake(h.client);
    assert_true(!first.resumed && first.not_after > (int64_t)time(NULL));
    harness_expect(&h, act_of(&h, DELETE), COMPSHARE_OK);
    last = compshare_last_handshake(h.client);
    assert_true(last.resumed && last.not_after == 0 && last.suite == first.suite && last.version == first.version);
    t.refuse = -1;
    t.refuse_status = COMPSHARE_E_CONNECT;
    harness_expect(&h, act_of(&h, DELETE), COMPSHARE_E_CONNECT);
    assert_true(compshare_last_handshake(h.client).resumed);
    t.refuse = 0;
    harness_set(&gateway, "session_cache=0");
    harness_expect(&h, act_of(&h, DELETE), COMPSHARE_OK);
    last = compshare_last_handshake(h.client);
    assert_true(!last.resumed && last.not_after == first.not_after);
    harness_set(&gateway, "close_every=0");
    expect_handshakes(2, 1);
}

/* Forgotten while it is being resumed: it is, and stays forgotten. */
static void forgotten_meanwhile(void **state)
{
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    int r;
    (void)state;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    harness_open(&h);
    t.moved[0] = 0;
    assert_int_equal(compshare_call_start(h.client, DELETE, &p, 1), COMPSHARE_OK);
    while ((r = compshare_step(h.client)) == COMPSHARE_PENDING && t.moved[0] == 0) harness_sleep_ms(1);
    assert_int_equal(r, COMPSHARE_PENDING);
    compshare_session_forget(&session);
    while ((r = compshare_step(h.client)) == COMPSHARE_PENDING) harness_sleep_ms(1);
    harness_expect(&h, r, COMPSHARE_OK);
    assert_true(compshare_last_handshake(h.client).resumed);
    assert_true(is_empty());
    expect_handshakes(1, 1);
}

/* The end of a resumed handshake waits for the request: however large that is, and in
   however small pieces it leaves. */
static void large_requests_resume(void **state)
{
    static char note[5000];
    compshare_param params[2];
    size_t piece;
    (void)state;
    memset(note, 'n', sizeof note - 1);
    params[0] = compshare_text("UHostId", "uhost-0001");
    params[1] = compshare_text("Note", note);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    for (piece = 0; piece < 60; piece += 7) {
        harness_open(&h);
        t.send_piece = piece;
        t.full_every = piece > 0 ? 3 : 0;
        harness_expect(&h, compshare_call(h.client, DELETE, params, 2), COMPSHARE_OK);
        harness_close(&h);
    }
    expect_handshakes(1, 9);
    t.send_piece = 0;
    t.full_every = 0;
}

/* Without one, nothing is resumed, kept or offered. */
static void without_a_session(void **state)
{
    (void)state;
    h.config.session = NULL;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 0);
    expect_handshakes(2, 0);
    assert_true(is_empty());
    compshare_session_forget(NULL);
}

/* A reply that is cut or refused leaves the session as good as it was. Where none at
   all comes on a resumed connection (the last row), the session may be to blame. */
static void failures_behind_the_handshake(void **state)
{
    static const char *const options[] = { "drop_after=1", "truncate=1", "fail_next=1&fail_http=502",
        "fail_next=1&fail_code=171", "pad_reply=300000",
        "drop_before=1" };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(options); i++) {
        harness_reset(&gateway);
        harness_set(&gateway, options[i]);
        assert_true(once(REBOOT) < 0);
        harness_close(&h);
        harness_set(&gateway, "pad_reply=0");
        assert_int_equal(once(REBOOT), COMPSHARE_OK);
        expect_handshakes(i == 0 || i == 5 ? 1 : 0, i == 0 || i == 5 ? 1 : 2);
    }
}

static void side_by_side(void **state)
{
    int i;
    (void)state;
    configure_one(&other, &u, gateway.port);
    harness_set(&gateway, "close_every=1");
    harness_open(&h);
    harness_open(&other);
    for (i = 0; i < 4; i++) {
        harness_expect(&h, act_of(&h, REBOOT), COMPSHARE_OK);
        harness_expect(&other, act_of(&other, DELETE), COMPSHARE_OK);
    }
    expect_handshakes(1, 7);
    {       /* both at once, in steps */
        compshare_param p = compshare_text("UHostId", "uhost-0001");
        int a = COMPSHARE_PENDING, b = COMPSHARE_PENDING;
        compshare_session_forget(&session);
        assert_int_equal(compshare_call_start(h.client, DELETE, &p, 1), COMPSHARE_OK);
        assert_int_equal(compshare_call_start(other.client, DELETE, &p, 1), COMPSHARE_OK);
        while (a == COMPSHARE_PENDING || b == COMPSHARE_PENDING) {
            if (a == COMPSHARE_PENDING) a = compshare_step(h.client);
            if (b == COMPSHARE_PENDING) b = compshare_step(other.client);
        }
        harness_expect(&h, a, COMPSHARE_OK);
        harness_expect(&other, b, COMPSHARE_OK);
        expect_handshakes(3, 7);
        harness_expect(&h, act_of(&h, DELETE), COMPSHARE_OK);
        harness_expect(&other, act_of(&other, DELETE), COMPSHARE_OK);
        expect_handshakes(3, 9);
    }
}

static void forgotten(void **state)
{
    (void)state;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_false(is_empty());
    compshare_session_forget(&session);
    assert_true(is_empty());
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 0);
    expect_handshakes(2, 0);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    expect_handshakes(2, 1);
}

/* The server forgot it: a full handshake, and the new session is the one. */
static void server_forgot(void **state)
{
    (void)state;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    harness_set(&gateway, "session_cache=0");
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 32);
    expect_handshakes(2, 0);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    expect_handshakes(3, 0);
    harness_set(&gateway, "session_cache=1");
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    expect_handshakes(4, 0);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    expect_handshakes(4, 1);
}

static void other_curve(void **state)
{
    harness_process ec = harness_gateway("ec", NULL);
    (void)state;
    configure(ec.port);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(harness_count(&ec, "handshakes_resumed"), 1);
    harness_stop(&ec);
}

/* ---- bound ---- */

static char *pem_of(const char *name)
{
    static char text[2][65536];
    static unsigned next;
    char *into = text[next++ % 2];
    FILE *f = fopen(harness_cert(name), "r");
    assert_non_null(f);
    into[fread(into, 1, sizeof text[0] - 1, f)] = '\0';
    fclose(f);
    return into;
}

/* Another port, another host, other roots: it is not even offered. */
static void bound_to_port(void **state)
{
    harness_process second = harness_gateway("rsa", NULL);
    (void)state;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    configure(second.port);
    t.real_port = gateway.port;     /* the same server would know it */
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 0);
    t.real_port = 0;
    expect_handshakes(2, 0);
    harness_stop(&second);
}

/* To each byte of the host's name, and to its length. */
static void bound_to_the_whole_name(void **state)
{
    static const char *const others[] = { "Localhost", "localhosu", "localhoss", "localhost.", "localhos", "locaxhost",
        "" };
    unsigned char own[br_sha256_SIZE], hash[br_sha256_SIZE];
    size_t i;
    (void)state;
    h.config.ca_file = NULL;
    h.config.ca_pem = "";
    harness_open(&h);
    assert_true(compshare__session_binding(&h.client->connection, &h.client->config, own));
    for (i = 0; i < sizeof others / sizeof others[0]; i++) {
        strcpy(h.client->connection.url.host, others[i]);
        assert_true(compshare__session_binding(&h.client->connection, &h.client->config, hash));
        if (memcmp(own, hash, sizeof own) == 0) fail_msg("%s is taken for localhost", others[i]);
    }
    strcpy(h.client->connection.url.host, "localhost");
    assert_true(compshare__session_binding(&h.client->connection, &h.client->config, hash));
    assert_memory_equal(own, hash, sizeof own);
}

static void bound_to_host(void **state)
{
    char url[64];
    (void)state;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    snprintf(url, sizeof url, "https://other.example:%u", gateway.port);
    h.config.base_url = url;
    t.real_port = gateway.port;
    harness_open(&h);               /* resumed, it would be taken for other.example */
    expect_failure(&h, act_of(&h, DELETE), COMPSHARE_E_CERTIFICATE, COMPSHARE_STAGE_HANDSHAKE, false);
    assert_int_equal(tap_offered(&t), 0);
    assert_int_equal(last(&h)->tls_code, 56);
    expect_count(&gateway, "requests", 1);
    harness_close(&h);
    snprintf(url, sizeof url, "https://localhos:%u", gateway.port);     /* and not by its beginning */
    harness_open(&h);
    harness_expect(&h, act_of(&h, DELETE), COMPSHARE_E_CERTIFICATE);
    assert_int_equal(tap_offered(&t), 0);
}

static void bound_to_roots(void **state)
{
    char copy[96];
    FILE *f;
    (void)state;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    h.config.ca_file = harness_cert("root-ec.pem");     /* does not trust this server */
    harness_open(&h);
    expect_failure(&h, act_of(&h, DELETE), COMPSHARE_E_CERTIFICATE, COMPSHARE_STAGE_HANDSHAKE, false);
    assert_int_equal(last(&h)->tls_code, 62);
    assert_int_equal(tap_offered(&t), 0);
    harness_close(&h);
    h.config.ca_file = harness_cert("root-rsa.pem");    /* does, but is another one */
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 0);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 32);
    h.config.ca_file = NULL;
    h.config.ca_pem = pem_of("root-rsa.pem");
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 0);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 32);
    h.config.ca_pem = pem_of("roots.pem");
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 0);
    h.config.ca_pem = pem_of("root-ec.pem");
    harness_open(&h);
    harness_expect(&h, act_of(&h, DELETE), COMPSHARE_E_CERTIFICATE);
    assert_int_equal(tap_offered(&t), 0);
    harness_close(&h);
    /* a file that is no longer what it was */
    snprintf(copy, sizeof copy, "/tmp/compshare-roots-%ld", (long)getpid());
    h.config.ca_pem = NULL;
    h.config.ca_file = copy;
    f = fopen(copy, "w");
    assert_non_null(f);
    fputs(pem_of("root-rsa.pem"), f);
    fclose(f);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 32);
    f = fopen(copy, "w");
    assert_non_null(f);
    fputs(pem_of("root-ec.pem"), f);
    fclose(f);
    harness_open(&h);
    harness_expect(&h, act_of(&h, DELETE), COMPSHARE_E_CERTIFICATE);
    assert_int_equal(tap_offered(&t), 0);
    harness_close(&h);
    unlink(copy);
}

/* ---- how long ---- */

static void a_day_at_the_most(void **state)
{
    static const struct { int64_t later; unsigned offered; } rows[] = { { 0, 32 }, { 3600, 32 }, { 86300, 32 },
        { 86500, 0 }, { 20 * 86400, 0 } };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        compshare_session_forget(&session);
        h.clock.begin_unix = 0;
        assert_int_equal(once(DELETE), COMPSHARE_OK);
        h.clock.begin_unix = rows[i].later;
        assert_int_equal(once(DELETE), COMPSHARE_OK);
        if (tap_offered(&t) != rows[i].offered)
            fail_msg("%d s later: %u bytes were offered", (int)rows[i].later, tap_offered(&t));
    }
    /* resuming does not make it younger */
    compshare_session_forget(&session);
    h.clock.begin_unix = 0;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    h.clock.begin_unix = 80000;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 32);
    h.clock.begin_unix = 90000;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 0);
    h.clock.begin_unix = 0;         /* nor does a clock that was set back: it cannot be told */
    (void)once(DELETE);
    assert_int_equal(tap_offered(&t), 0);
}

/* ---- failures ---- */

/* Before any handshake, nothing happens to it. */
static void untouched_before_a_handshake(void **state)
{
    compshare_session before;
    int i;
    (void)state;
    for (i = 0; i < 2; i++) {
        if (i == 1) assert_int_equal(once(DELETE), COMPSHARE_OK);
        before = session;
        t.refuse = 3;
        t.refuse_status = COMPSHARE_E_CONNECT;
        harness_open(&h);
        harness_expect(&h, act_of(&h, DELETE), COMPSHARE_E_CONNECT);
        t.refuse_status = COMPSHARE_E_RESOLVE;
        harness_expect(&h, act_of(&h, DELETE), COMPSHARE_E_RESOLVE);
        t.refuse_status = COMPSHARE_E_IO;
        harness_expect(&h, act_of(&h, DELETE), COMPSHARE_E_IO);
        h.clock.begin_unix = -(int64_t)time(NULL);
        harness_expect(&h, act_of(&h, DELETE), COMPSHARE_E_CLOCK);
        h.clock.begin_unix = 0;
        {
            compshare_param two[2];
            two[0] = two[1] = compshare_text("UHostId", "x");
            harness_expect(&h, compshare_call(h.client, DELETE, two, 2), COMPSHARE_E_PARAM);
            assert_int_equal(compshare_call_start(h.client, DELETE, two, 1), COMPSHARE_OK);
            assert_int_equal(compshare_abort(h.client), COMPSHARE_E_ABORTED);
        }
        harness_close(&h);
        h.config.ca_file = "/nonexistent";
        harness_open(&h);
        harness_expect(&h, act_of(&h, DELETE), COMPSHARE_E_TRUST);
        harness_close(&h);
        h.config.ca_file = harness_cert("roots.pem");
        assert_memory_equal(&session, &before, sizeof session);
    }
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    expect_handshakes(1, 1);
}

/* A handshake that failed leaves none behind, and drops the one it tried. */
static void dropped_after_a_failed_handshake(void **state)
{
    static const char good[] = "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: "
        "13\\r\\n\\r\\n{\\\"RetCode\\\":0}\"\nabort\n";
    static const char *const bad[] = { "cut-handshake 50\n", "cut-handshake 120\n",
        "send-raw \"\\x15\\x03\\x03\\x00\\x02\\x02\\x28\"\nclose\n", "refuse\n",
        "send-raw \"SSH-2.0-OpenSSH\\r\\n\"\nclose\n" };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(bad); i++) {
        const char *scripts[] = { good, good, NULL, good, good, NULL };
        wire w;
        scripts[2] = bad[i];
        w = wire_serve("rsa", scripts);
        configure(w.server.port);
        compshare_session_forget(&session);
        assert_int_equal(once(REBOOT), COMPSHARE_OK);
        assert_int_equal(once(REBOOT), COMPSHARE_OK);
        assert_int_equal(tap_offered(&t), 32);
        wire_await(&w, "conn 2 closed");
        assert_int_equal(wire_count(&w, "resumed=1"), 1);
        harness_open(&h);
        assert_true(act_of(&h, REBOOT) < 0);
        assert_int_equal(tap_offered(&t), 32);
        assert_false(last(&h)->outcome_unknown);
        assert_int_equal(last(&h)->stage, COMPSHARE_STAGE_HANDSHAKE);
        assert_true(is_empty());
        harness_expect(&h, act_of(&h, REBOOT), COMPSHARE_OK);       /* the same client goes on */
        assert_int_equal(tap_offered(&t), 0);
        harness_close(&h);
        assert_int_equal(once(REBOOT), COMPSHARE_OK);
        assert_int_equal(tap_offered(&t), 32);
        wire_await(&w, "conn 5 closed");
        assert_int_equal(wire_count(&w, "resumed=1"), 2);
        wire_stop(&w);
    }
}

/* With retries, the caller does not even notice. */
static void retried_without_it(void **state)
{
    static const char good[] = "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: "
        "13\\r\\n\\r\\n{\\\"RetCode\\\":0}\"\nabort\n";
    static const char *const scripts[] = { good, "cut-handshake 50\n", good, NULL };
    wire w = wire_serve("rsa", scripts);
    (void)state;
    configure(w.server.port);
    h.config.max_retries = 1;
    assert_int_equal(once(REBOOT), COMPSHARE_OK);
    assert_int_equal(once(REBOOT), COMPSHARE_OK);
    assert_int_equal(t.pause_count, 1);
    assert_int_equal(tap_offered(&t), 0);
    wire_await(&w, "conn 3 closed");
    assert_int_equal(wire_count(&w, " request "), 2);
    wire_stop(&w);
}

static void no_session_from_a_bad_certificate(void **state)
{
    harness_process wrong = harness_gateway("wronghost", NULL);
    int i;
    (void)state;
    configure(wrong.port);
    for (i = 0; i < 3; i++) {
        harness_open(&h);
        harness_expect(&h, act_of(&h, DELETE), COMPSHARE_E_CERTIFICATE);
        assert_int_equal(tap_offered(&t), 0);
        harness_close(&h);
        assert_true(is_empty());
    }
    harness_stop(&wrong);
}

/* The client that made it is closed, its memory wiped; the session outlives it. */
static void nothing_stays_in_the_block(void **state)
{
    size_t i;
    (void)state;
    memset(h.memory, 0xEE, sizeof h.memory);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    for (i = 0; i < sizeof h.memory; i++) assert_int_equal(h.memory[i], 0);
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    for (i = 0; i < sizeof h.memory; i++) assert_int_equal(h.memory[i], 0);
    expect_handshakes(1, 1);
}

/* Whoever shares a session need not share the size of records. RFC 6066 4: a server
   may refuse a resumption that asks for another one. */
static void with_small_records(void **state)
{
    static const char good[] = "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: "
        "13\\r\\n\\r\\n{\\\"RetCode\\\":0}\"\nabort\n";
    static const char *const scripts[] = { good, NULL };
    static const unsigned flags[] = { COMPSHARE_SMALL_RECORDS, COMPSHARE_SMALL_RECORDS, 0, 0, COMPSHARE_SMALL_RECORDS };
    wire w = wire_serve("rsa", scripts);
    size_t i;
    (void)state;
    configure(w.server.port);
    for (i = 0; i < COUNT(flags); i++) {
        h.config.flags = flags[i];
        harness_open(&h);
        if (act_of(&h, REBOOT) != COMPSHARE_OK) fail_msg("client %zu: %s", i, last(&h)->detail);
        harness_close(&h);
        if (tap_fragment_code(&t) != (flags[i] ? 4 : 0)) fail_msg("client %zu: code %u", i, tap_fragment_code(&t));
    }
    wire_await(&w, "conn 2 handshake");
    assert_true(wire_count(&w, "resumed=1") >= 1);
    wire_stop(&w);
}

/* ---- servers that others wrote ---- */

static const char short_reply[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    "13\r\nConnection: close\r\n\r\n{\"RetCode\":0}";

static void with_s_server(void **state)
{
    static const struct { const char *options; int resumed; } rows[] = { { "-no_ticket", 2 },
        { "-no_ticket -no_cache", 0 }, { "", 2 }, { "-no_cache", 0 } };
    size_t i;
    int k;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        peer p = peer_openssl("3", rows[i].options);
        compshare_param q = compshare_text("UHostId", "uhost-0001");
        configure(p.port);
        compshare_session_forget(&session);
        for (k = 1; k <= 3; k++) {
            harness_open(&h);
            harness_expect(&h, peer_answer(&p, &h, compshare_call_start(h.client, REBOOT, &q, 1), k, short_reply,
                sizeof short_reply - 1), COMPSHARE_OK);
            harness_close(&h);
        }
        waitpid(p.pid, NULL, 0);        /* it ends after three, its output is then complete */
        p.pid = 0;
        if (peer_count(&p, "out", "Reused session-id") != rows[i].resumed)
            fail_msg("s_server %s: %d were resumed", rows[i].options, peer_count(&p, "out", "Reused session-id"));
        peer_stop(&p);
    }
}

static void with_nginx(void **state)
{
    static const struct { const char *lines; int resumed; } rows[] = {
        { "ssl_session_cache shared:s:1m;\nssl_session_tickets off;", 3 },
        { "ssl_session_cache shared:s:1m;", 3 },
        { "ssl_session_cache none;", 0 },       /* its default: an id that it never honours */
        { "ssl_session_cache off;", 0 },
    };
    harness_process plain = plain_gateway();
    size_t i;
    int k;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        peer n = peer_nginx("rsa", plain.port, rows[i].lines);
        if (n.pid == 0) {
            harness_stop(&plain);
            skip();
        }
        configure(n.port);
        compshare_session_forget(&session);
        for (k = 0; k < 4; k++) assert_int_equal(once(REBOOT), COMPSHARE_OK);
        peer_await(&n, "access", "200", 4);
        if (peer_count(&n, "access", "reused=r") != rows[i].resumed)
            fail_msg("%s %d were resumed", rows[i].lines, peer_count(&n, "access", "reused=r"));
        peer_stop(&n);
    }
    expect_executed(&plain, REBOOT, 16);
    harness_stop(&plain);
}

/* A server that declines a session, and gives none in its place: it is not offered again. */
static void declined_is_dropped(void **state)
{
    static char text[65536];
    FILE *from = fopen(harness_cert("roots.pem"), "rb");
    harness_process plain = plain_gateway();
    peer n = peer_nginx("rsa", plain.port, "ssl_session_cache off;\nssl_session_tickets off;");
    compshare__session s;
    int k;
    (void)state;
    text[fread(text, 1, sizeof text - 1, from)] = '\0';
    fclose(from);
    if (n.pid == 0) {
        harness_stop(&plain);
        skip();
    }
    assert_int_equal(once(DELETE), COMPSHARE_OK);       /* at the gateway: it becomes one of nginx's */
    configure(n.port);
    h.config.ca_file = NULL;
    h.config.ca_pem = text;
    harness_open(&h);
    memcpy(&s, &session, sizeof s);
    assert_true(compshare__session_binding(&h.client->connection, &h.client->config, s.bound));
    memcpy(&session, &s, sizeof s);
    harness_close(&h);
    for (k = 0; k < 2; k++) {
        assert_int_equal(once(REBOOT), COMPSHARE_OK);
        assert_int_equal(tap_offered(&t), k == 0 ? 32 : 0);
        assert_true(is_empty());
    }
    peer_stop(&n);
    harness_stop(&plain);
}

/* A file that tests may write, with the text of a certificate file behind `before`. */
static void write_bundle(const char *path, const char *before, const char *name)
{
    FILE *from = fopen(harness_cert(name), "rb"), *to = fopen(path, "wb");
    int c;
    assert_non_null(from);
    assert_non_null(to);
    fputs(before, to);
    while ((c = getc(from)) != EOF) putc(c, to);
    fclose(from);
    assert_int_equal(fclose(to), 0);
}

/* The bundle is written over once the certificate has been judged under it: a session is
   not good for what stands there now. */
static void bundle_changes_meanwhile(void **state)
{
    char path[] = "/tmp/compshare-bundle-XXXXXX";
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    int fd = mkstemp(path), r;
    (void)state;
    close(fd);
    write_bundle(path, "", "roots.pem");
    h.config.ca_file = path;
    harness_open(&h);
    assert_int_equal(compshare_call_start(h.client, DELETE, &p, 1), COMPSHARE_OK);
    while ((r = compshare_step(h.client)) == COMPSHARE_PENDING
        && (h.client->connection.trust == NULL || h.client->connection.trust->filled == 0)) harness_sleep_ms(1);
    assert_int_equal(r, COMPSHARE_PENDING);
    write_bundle(path, "", "bundle-norsaroot.pem");
    while ((r = compshare_step(h.client)) == COMPSHARE_PENDING) harness_sleep_ms(1);
    harness_expect(&h, r, COMPSHARE_OK);
    harness_close(&h);
    harness_expect(&h, once(DELETE), COMPSHARE_E_CERTIFICATE);
    unlink(path);
    h.config.ca_file = NULL;
}

/* It is the origin's, however the way there leads. */
static void through_a_proxy(void **state)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\n\r\n";
    (void)state;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    h.config.proxy = "http://gate.example:3128";
    t.answer = answer;
    t.answer_len = sizeof answer - 1;
    t.tunnel = true;
    t.real_port = gateway.port;
    assert_int_equal(once(DELETE), COMPSHARE_OK);
    assert_int_equal(tap_offered(&t), 32);
    expect_handshakes(1, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(second_client_resumes), T(reconnects_resume), T(last_handshake), T(forgotten_meanwhile),
            T(large_requests_resume), T(without_a_session), T(failures_behind_the_handshake), T(side_by_side),
            T(forgotten),
        T(server_forgot), T(other_curve), T(bound_to_port), T(bound_to_host), T(bound_to_the_whole_name),
            T(bound_to_roots), T(a_day_at_the_most),
        T(untouched_before_a_handshake), T(dropped_after_a_failed_handshake), T(retried_without_it),
            T(no_session_from_a_bad_certificate),
        T(nothing_stays_in_the_block), T(with_small_records), T(with_s_server), T(with_nginx), T(declined_is_dropped),
            T(bundle_changes_meanwhile), T(through_a_proxy)
    };
    return cmocka_run_group_tests_name("sessions", tests, start, stop);
}
