/* Peers that never come to an end, judged on a clock that only the test moves:
   every call ends after its time, at the right stage, with the right knowledge,
   and the client can be used again. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"
#include "one.h"

#define REBOOT "RebootCompShareInstance"
#define TEXT_OF_GOOD "HTTP/1.1 200 OK\\r\\nContent-Length: 13\\r\\n\\r\\n{\\\"RetCode\\\":0}"
#define GOOD "read-request\nsend \"" TEXT_OF_GOOD "\"\n"
#define HEAD "read-request\nsend \"HTTP/1.1 200 OK\\r\\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\\r\\n\\r\\n"

static shim s;
static wire w;

/* A client whose clock stands still unless wait moves it. */
static void prepare(unsigned port)
{
    harness_configure(&h, port);
    h.config.region = "cn-wlcb";
    h.config.zone = "cn-wlcb-01";
    h.config.project_id = PROJECT;
    fake_clock_hold(&h.clock, 1000);
    shim_insert(&s, &h);
    s.until = &w;
}

static void serve(const char *script)
{
    w = wire_serve_then("rsa", script, GOOD "loop\n");
    prepare(w.server.port);
}

static void finish(void)
{
    harness_close(&h);
    wire_stop(&w);
}

/* A moment for the peer, of the real clock. */
static void step_wait_briefly(const shim *with)
{
    struct pollfd pfd;
    pfd.fd = with->posix.fd;
    pfd.events = POLLIN;
    pfd.revents = 0;
    (void)poll(&pfd, 1, 20);
}

/* The call's time in injected milliseconds: not early, hardly late. */
#define expect_spent(before, limit) expect_spent_at(before, limit, __LINE__)
static void expect_spent_at(uint64_t before, uint64_t limit, int line)
{
    uint64_t spent = h.clock.ms - before;
    if (spent < limit || spent >= limit + 1000)
        fail_msg("line %d: %d ms were spent, %d were given", line, (int)spent, (int)limit);
}

typedef struct row {
    const char *script, *mark;
    int status, stage;
    bool unknown;
    uint64_t tick_ms;
} row;

/* One bad connection, judged; then a good one. */
static void judge(const row *r, const char *action)
{
    uint64_t before;
    int got;
    serve(r->script);
    s.mark = r->mark;
    s.tick_ms = r->tick_ms;
    h.config.timeout_ms = r->tick_ms != 0 ? 3000 : 0;
    harness_open(&h);
    before = h.clock.ms;
    got = act(action);
    if (got != r->status) print_message("script: %s", r->script);
    expect_failure(&h, got, r->status, r->stage, r->unknown);
    if (got == COMPSHARE_E_TIMEOUT) {
        uint64_t limit = r->tick_ms != 0 ? 3000 : r->stage <= COMPSHARE_STAGE_HANDSHAKE ? 5000 : 15000;
        char words[64];
        expect_spent(before, limit);
        snprintf(words, sizeof words, "timed out after %d ms", (int)limit);
        expect_contains(last(&h)->detail, words);
        assert_true(last(&h)->retryable);
    } else {
        assert_true(h.clock.ms - before < 15000);
    }
    assert_int_equal(s.open_now, 0);
    s.mark = NULL;
    harness_expect(&h, act(action), COMPSHARE_OK);
    assert_int_equal(s.opens, 2);
    assert_int_equal(wire_count(&w, "conn 2 request"), 1);
    assert_true(wire_count(&w, "conn 1 request") <= 1);
    finish();
}

static void stalled_handshakes(void **state)
{
    static const size_t bytes[] = { 1, 4, 5, 6, 60, 100, 500, 1500, 1700 };
    static const row silent[] = {
        { "accept-delay 600000\nstall\n", "accepted", COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_HANDSHAKE, false, 0 },
        { "stall\n", "accepted", COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_HANDSHAKE, false, 0 }
    };
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) judge(&silent[i], DELETE);
    for (i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        char script[64];
        row r = { NULL, "handshake cut", COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_HANDSHAKE, false, 0 };
        snprintf(script, sizeof script, "stall-handshake %zu\n", bytes[i]);
        r.script = script;
        judge(&r, DELETE);
    }
}

static void stalled_replies(void **state)
{
    static const char *const scripts[] = {
        "read-request\nstall\n",
        "read-request\nsend \"H\"\nstall\n",
        "read-request\nsend \"HTTP/1.1 20\"\nstall\n",
        HEAD "\"\nstall\n",
        HEAD "Content-Le\"\nstall\n",
        HEAD "Content-Length: 13\\r\\n\\r\"\nstall\n",
        HEAD "Content-Length: 13\\r\\n\\r\\n\"\nstall\n",
        HEAD "Content-Length: 14\\r\\n\\r\\n{\\\"RetCode\\\":0}\"\nstall\n",
        HEAD "\\r\\n{\\\"RetCode\\\":0}\"\nstall\n",           /* no length: the end may still come */
        CHUNKED "d\\r\\n{\\\"Ret\"\nstall\n",
        CHUNKED "d\\r\\n{\\\"RetCode\\\":0}\"\nstall\n",
        CHUNKED "d\\r\\n{\\\"RetCode\\\":0}\\r\\n0\\r\\n\"\nstall\n",
        "read-request\nsend \"HTTP/1.1 100 Continue\\r\\n\\r\\n\"\nstall\n",
        "read-request\nsend-raw \"\\x17\\x03\"\nstall\n",        /* half a record's head, half a record */
        "read-request\nsend-raw \"\\x17\\x03\\x03\\x01\\x00abcdef\"\nstall\n"
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        row r = { NULL, "conn 1 request", COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_RECEIVE, true, 0 };
        r.script = scripts[i];
        judge(&r, i % 2 ? REBOOT : DELETE);
    }
}

/* Something always comes, so nothing but the clock can end it. */
static void dripping(void **state)
{
    static const row rows[] = {
        { HEAD "\"\nsend-bytes 1 \"X: "
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\nstall\n",
            NULL, COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_RECEIVE, true, 100 },
        { HEAD "Content-Length: 10000\\r\\n\\r\\n\"\nsend-bytes 1 \"                                                  "
            "                                                                       \"\nstall\n",
            NULL, COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_RECEIVE, true, 100 },
        { CHUNKED "\"\nsend-bytes 1 \"1\\r\\n \\r\\n1\\r\\n \\r\\n1\\r\\n \\r\\n1\\r\\n \\r\\n1\\r\\n \\r\\n1\\r\\n "
            "\\r\\n1\\r\\n \\r\\n1\\r\\n \\r\\n1\\r\\n \\r\\n1\\r\\n \\r\\n\"\nstall\n",
            NULL, COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_RECEIVE, true, 100 }
    };
    size_t i;
    (void)state;
    for (i = 0; i < 3; i++) judge(&rows[i], REBOOT);
}

/* A handshake that comes byte by byte, with time passing between them. */
static void dripping_handshake(void **state)
{
    uint64_t before;
    (void)state;
    serve(GOOD "stall\n");
    s.recv_cap = 1;
    s.stutter = true;
    s.tick_ms = 50;
    harness_open(&h);
    before = h.clock.ms;
    expect_failure(&h, act(REBOOT), COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_HANDSHAKE, false);
    expect_spent(before, 5000);
    s.recv_cap = 0;
    s.stutter = false;
    s.tick_ms = 0;
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    finish();
}

static void floods_meet_limits(void **state)
{
    static const char *const scripts[] = {
        HEAD "\"\nsend-repeat 20000 \"X-Header: value\\r\\n\"\nstall\n",
        HEAD "X: \"\nsend-repeat 20000 \"aaaaaaaaaaaa\"\nstall\n",
        "read-request\nsend \"HTTP/1.1 200 \"\nsend-repeat 20000 \"aaaaaaaaaaaa\"\nstall\n",
        HEAD "X: a\\r\\n\"\nsend-repeat 20000 \" folded\\r\\n\"\nstall\n",
        HEAD "\"\nsend-repeat 20000 \"nameless\"\nstall\n",
        CHUNKED "1;\"\nsend-repeat 20000 \"extension\"\nstall\n",
        CHUNKED "\"\nsend-repeat 20000 \"1;a=b\\r\\n \\r\\n\"\nstall\n",
        CHUNKED "1\"\nsend-repeat 20000 \"   \"\nstall\n",
        CHUNKED "\"\nsend-repeat 20000 \"0000\"\nstall\n",
        CHUNKED "d\\r\\n{\\\"RetCode\\\":0}\\r\\n0\\r\\n\"\nsend-repeat 20000 \"X-Trailer: value\\r\\n\"\nstall\n",
        "read-request\nsend-repeat 20000 \"HTTP/1.1 100 Continue\\r\\n\\r\\n\"\nstall\n",
        "read-request\nsend-repeat 20000 \"HTTP/1.1 103 Early Hints\\r\\nLink: x\\r\\n\\r\\n\"\nstall\n"
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        row r = { NULL, NULL, COMPSHARE_E_HTTP, COMPSHARE_STAGE_RECEIVE, true, 0 };
        r.script = scripts[i];
        judge(&r, i % 2 ? REBOOT : DELETE);
    }
    {
        static const row body = { HEAD "\\r\\n{\"\nsend-repeat 20000 \"              \"\nstall\n", NULL,
            COMPSHARE_E_TOO_LARGE, COMPSHARE_STAGE_RECEIVE, true, 0 };
        judge(&body, REBOOT);
    }
}

static int ignore_element(void *user, compshare_value element)
{
    (void)element;
    ++*(int *)user;
    return 0;
}

/* A stream that stays valid for ever and faster than the client can read: wait
   is never called, only the clock ends it. */
static void endless_stream(void **state)
{
    static const char *const scripts[] = {
        HEAD "\\r\\n{\\\"UHostSet\\\":[\"\nsend-repeat 500000 \"                                                      "
            "          \"\nstall\n",
        HEAD "\\r\\n{\\\"UHostSet\\\":[{}\"\nsend-repeat 500000 "
            "\",{\\\"a\\\":1},{\\\"b\\\":[]},{\\\"c\\\":null}\"\nstall\n"
    };
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        uint64_t before;
        int n = 0;
        serve(scripts[i]);
        h.config.timeout_ms = 2000;
        harness_open(&h);
        before = h.clock.ms;
        h.clock.tick_ms = 40;
        expect_failure(&h, compshare_call_each(h.client, "DescribeCompShareInstance", NULL, 0, "UHostSet",
            ignore_element, &n),
            COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_RECEIVE, true);
        expect_spent(before, 2000);
        assert_true(i == 0 ? n == 0 : n > 0);
        h.clock.tick_ms = 0;
        harness_expect(&h, act(REBOOT), COMPSHARE_OK);
        finish();
    }
}

/* However much is there at once, a step takes 16 KB of it: an event loop has others to serve. */
static void long_reply_in_steps(void **state)
{
    uint64_t before = 0;
    int r, n = 0, steps = 0;
    (void)state;
    serve(HEAD "Content-Length: 1080029\\r\\n\\r\\n{\\\"RetCode\\\":0,\\\"UHostSet\\\":[\"\n"
        "send-repeat 60000 \"{\\\"a\\\":1},{\\\"bcd\\\":2},\"\nsend \"{}]}\"\nclose\n");
    harness_open(&h);
    r = compshare_call_each_start(h.client, "DescribeCompShareInstance", NULL, 0, "UHostSet", ignore_element, &n);
    while (r == COMPSHARE_OK || r == COMPSHARE_PENDING) {
        before = h.client->reply.http.received;
        if ((r = compshare_step(h.client)) == COMPSHARE_OK) break;
        if (h.client->reply.http.received >= before + 2 * 16384)
            fail_msg("a step took %d bytes", (int)(h.client->reply.http.received - before));
        steps++;
        if (compshare_timeout_ms(h.client) > 0) step_wait_briefly(&s);
    }
    harness_expect(&h, r, COMPSHARE_OK);
    assert_int_equal(n, 120001);
    assert_true(steps > 1200000 / (2 * 16384));
    finish();
}

/* The server shakes hands and never reads: the request gets stuck on its way. */
static void stuck_request(void **state)
{
    static char value[24u << 20];
    compshare_param p = compshare_text("Value", value);
    uint64_t before;
    (void)state;
    memset(value, 'x', sizeof value - 1);
    serve("handshake\nsleep 600000\n");
    s.mark = "conn 1 handshake";
    harness_open(&h);
    before = h.clock.ms;
    expect_failure(&h, compshare_call(h.client, REBOOT, &p, 1), COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_SEND, true);
    expect_spent(before, 15000);
    s.mark = NULL;
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    finish();
}

/* No reply comes once the server has written `mark`: the call takes its whole time. */
static void expect_stall(const char *mark, int opens)
{
    uint64_t before = h.clock.ms;
    s.mark = mark;
    expect_failure(&h, act(DELETE), COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_RECEIVE, true);
    expect_spent(before, 15000);
    assert_int_equal(s.opens, opens);
}

/* An `always` action is not sent again after a timeout, kept connection or not. */
static void kept_connection_stalls(void **state)
{
    (void)state;
    serve(GOOD "read-request\nstall\n");
    harness_open(&h);
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    expect_stall("conn 1 request", 1);
    s.mark = NULL;
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    assert_int_equal(s.opens, 2);
    finish();
}

/* The second sending of an `always` action shares the time of the first. */
static void second_sending_stalls(void **state)
{
    const char *scripts[] = { GOOD "read-request\nabort\n", "read-request\nstall\n", GOOD "loop\n", NULL };
    (void)state;
    w = wire_serve("ec", scripts);
    prepare(w.server.port);
    harness_open(&h);
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    expect_stall("conn 2 request", 2);
    finish();
}

/* The same, but the new connection stalls before the request: the first sending
   still leaves the outcome unknown. */
static void second_connection_stalls(void **state)
{
    const char *scripts[] = { GOOD "read-request\nabort\n", "stall\n", NULL };
    (void)state;
    w = wire_serve("ec", scripts);
    prepare(w.server.port);
    harness_open(&h);
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    s.mark = "conn 2 accepted";
    expect_failure(&h, act(DELETE), COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_HANDSHAKE, true);
    finish();
}

/* ---- a clock that steps back ---- */

static uint64_t wraps(uint64_t ms) { return (uint32_t)(0xFFFFFFFFu - 4000 + ms); }       /* 3 s from now */
static uint64_t wraps_early(uint64_t ms) { return (0xFFFFFFFFu - 1001 + ms) & 0xFFFFFFFFu; }     /* at once */
static uint64_t slips(uint64_t ms) { return ms < 4000 ? ms + 101 : ms; }       /* by a millisecond */
static uint64_t circles(uint64_t ms) { return 5000 + ms % 3000; }

/* Its 32 bits are used up, or it is set: no deadline can be told by it any more, and the
   call ends at the first look at it. The next one counts on the new time. */
static void clock_steps_back(void **state)
{
    static uint64_t (*const kinds[])(uint64_t ms) = { wraps, wraps_early, slips, circles };
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    size_t i;
    (void)state;
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        int r, steps;
        serve("read-request\nstall\n");
        h.clock.bent = kinds[i];
        harness_open(&h);
        r = compshare_call_start(h.client, DELETE, &p, 1);
        for (steps = 0; steps < 200 && (r == COMPSHARE_OK || r == COMPSHARE_PENDING); steps++) {
            if (r == COMPSHARE_PENDING) {
                uint32_t timeout = compshare_timeout_ms(h.client);
                if (timeout > 15000) fail_msg("kind %zu: to wait for %u ms of 15,000", i, timeout);
                if (timeout > 0) step_wait_briefly(&s);
                h.clock.ms += 100;
            }
            r = compshare_step(h.client);
        }
        expect_failure(&h, r, COMPSHARE_E_TIMEOUT, last(&h)->stage, h.client->connection.tls.sent
            || last(&h)->outcome_unknown);
        assert_true(last(&h)->retryable);
        expect_contains(last(&h)->detail, "monotonic_ms: it stepped back");
        assert_true(h.clock.ms < 5000);
        h.clock.bent = wraps_early;     /* the time after it */
        harness_expect(&h, act(DELETE), COMPSHARE_OK);
        finish();
    }
}

/* ---- the whole workflow has one deadline ---- */

static int slow_instance(void *user, const compshare_instance *i, compshare_value element)
{
    (void)i;
    (void)element;
    h.clock.ms += 50;
    ++*(int *)user;
    return 0;
}

static void whole_list_has_one_deadline(void **state)
{
    static const char *const more[] = { "--instances", "1000", NULL };
    harness_process g = harness_gateway("ec", more);
    uint64_t before;
    int n = 0;
    (void)state;
    prepare(g.port);
    h.config.timeout_ms = 15000;
    harness_open(&h);
    before = h.clock.ms;
    harness_expect(&h, compshare_each_instance(h.client, NULL, slow_instance, &n), COMPSHARE_E_TIMEOUT);
    assert_true(n >= 300 && n < 401);      /* noticed at the latest at the end of a page */
    assert_true(h.clock.ms - before >= 15000 && h.clock.ms - before < 15000 + 100 * 50);
    n = 0;
    h.config.timeout_ms = 60000;
    harness_close(&h);
    harness_open(&h);
    harness_expect(&h, compshare_each_instance(h.client, NULL, slow_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 1000);
    harness_close(&h);
    harness_stop(&g);
}

/* ---- connecting ---- */

/* A socket that listens on 127.0.0.1 and whose queue is full: new connections
   get no answer. */
typedef struct hole { int listener, fill[16]; unsigned port; } hole;

static int loopback_socket(unsigned *port, bool listening)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)*port);
    assert_true(fd >= 0);
    if (listening) {
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
        assert_int_equal(listen(fd, 0), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        *port = ntohs(a.sin_port);
    } else {
        assert_true(connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || errno == EINPROGRESS);
    }
    return fd;
}

static hole dig(void)
{
    hole x;
    size_t i;
    x.port = 0;
    x.listener = loopback_socket(&x.port, true);
    for (i = 0; i < 16; i++) x.fill[i] = loopback_socket(&x.port, false);
    return x;
}

static void fill_in(hole *x)
{
    size_t i;
    for (i = 0; i < 16; i++) close(x->fill[i]);
    close(x->listener);
}

static void black_hole(void **state)
{
    hole x = dig();
    uint64_t before;
    int round;
    (void)state;
    for (round = 0; round < 4; round++) {
        uint64_t limit = round == 0 ? 5000 : round == 1 ? 1234 : round == 2 ? 60000 : 700;
        prepare(x.port);
        s.mark = "";
        if (round == 1) h.config.connect_timeout_ms = 1234;
        /* the shorter one rules */
        if (round == 2) { h.config.connect_timeout_ms = 90000; h.config.timeout_ms = 60000; }
        if (round == 3) h.config.timeout_ms = 700;
        harness_open(&h);
        before = h.clock.ms;
        expect_failure(&h, act(REBOOT), COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_CONNECT, false);
        expect_spent(before, limit);
        assert_true(last(&h)->retryable);
        harness_close(&h);
    }
    fill_in(&x);
}

/* The default transport, with nothing replaced but its wait. */
static int jump(void *user, unsigned want, uint32_t timeout_ms)
{
    if (poll_for(compshare__posix_fd(user), want, 30) <= 0) h.clock.ms += timeout_ms;
    return COMPSHARE_OK;
}

static void black_hole_for_real_sockets(void **state)
{
    hole x = dig();
    int before_fds = count_descriptors();
    uint64_t before;
    (void)state;
    prepare(x.port);
    h.config.transport = NULL;
    harness_open(&h);
    h.client->connection.io.wait = jump;
    before = h.clock.ms;
    expect_failure(&h, act(REBOOT), COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_CONNECT, false);
    expect_spent(before, 5000);
    assert_int_equal(count_descriptors(), before_fds);
    harness_close(&h);
    fill_in(&x);
}

static void open_for_ever(void **state)
{
    uint64_t before;
    (void)state;
    prepare(9);
    s.open_late = INT32_MAX;
    s.mark = "";
    harness_open(&h);
    before = h.clock.ms;
    expect_failure(&h, act(REBOOT), COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_CONNECT, false);
    expect_spent(before, 5000);
    assert_int_equal(s.closes, 1 + (s.closes > 1));
    harness_close(&h);
}

/* ---- several addresses ---- */

static compshare__posix_address address_of(unsigned port)
{
    compshare__posix_address a;
    memset(&a, 0, sizeof a);
    a.v4.sin_family = AF_INET;
    a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.v4.sin_port = htons((uint16_t)port);
    return a;
}

static compshare__posix_address address6_of(unsigned port)
{
    compshare__posix_address a;
    memset(&a, 0, sizeof a);
    a.v6.sin6_family = AF_INET6;
    a.v6.sin6_addr.s6_addr[15] = 1;
    a.v6.sin6_port = htons((uint16_t)port);
    return a;
}

static fake_clock hand;

/* A port where nobody listens. */
static unsigned closed_port(void)
{
    unsigned port = 0;
    close(loopback_socket(&port, true));
    return port;
}

static int open_addresses(compshare__posix *p)
{
    int r, tries;
    for (tries = 0; tries < 100; tries++) {
        struct pollfd pfd;
        r = compshare__posix_open(p, "unused.invalid", 1);
        if (r != COMPSHARE_WANT_WRITE) return r;
        pfd.fd = p->fd;
        pfd.events = POLLOUT;
        if (poll(&pfd, 1, 30) == 0) return r;      /* a hole */
    }
    return r;
}

static void by_hand(compshare__posix *p)
{
    compshare_transport io;
    compshare__posix_init(p, &io);
    p->monotonic_ms = fake_clock_monotonic_ms;
    p->user = &hand;
    fake_clock_hold(&hand, 100000);
    p->deadline = 100000 + 9000;
}

static void several_addresses(void **state)
{
    unsigned good_port = 0;
    int before = count_descriptors(), listener = loopback_socket(&good_port, true);
    hole x = dig();
    compshare__posix p;
    struct sockaddr_in found;
    socklen_t len = sizeof found;
    (void)state;

    by_hand(&p);        /* refused, refused over IPv6, good */
    p.address[0] = address_of(closed_port());
    p.address[1] = address6_of(closed_port());
    p.address[2] = address_of(good_port);
    p.count = 3;
    p.resolved = true;
    assert_int_equal(open_addresses(&p), COMPSHARE_OK);
    assert_int_equal(p.at, 2);
    assert_int_equal(p.last_errno, 0);
    assert_int_equal(getpeername(p.fd, (struct sockaddr *)&found, &len), 0);
    assert_int_equal(ntohs(found.sin_port), good_port);
    compshare__posix_close(&p);
    assert_int_equal(p.fd, -1);
    assert_false(p.resolved);
    close(accept(listener, NULL, NULL));

    by_hand(&p);        /* nobody */
    p.address[0] = address6_of(closed_port());
    p.address[1] = address_of(closed_port());
    p.count = 2;
    p.resolved = true;
    assert_int_equal(open_addresses(&p), COMPSHARE_E_CONNECT);
    assert_int_equal(p.last_errno, ECONNREFUSED);
    assert_int_equal(p.fd, -1);
    compshare__posix_close(&p);

    by_hand(&p);        /* no answer from two, each for its share of the time; then good */
    p.address[0] = address_of(x.port);
    p.address[1] = address_of(x.port);
    p.address[2] = address_of(good_port);
    p.count = 3;
    p.resolved = true;
    assert_int_equal(open_addresses(&p), COMPSHARE_WANT_WRITE);
    assert_true(p.at == 0 && p.attempt_deadline == 103000);
    hand.ms = 2999;
    assert_int_equal(open_addresses(&p), COMPSHARE_WANT_WRITE);
    assert_int_equal(p.at, 0);
    hand.ms = 3000;
    assert_int_equal(open_addresses(&p), COMPSHARE_WANT_WRITE);
    assert_true(p.at == 1 && p.attempt_deadline == 106000);
    hand.ms = 7000;        /* woken late: the last one has what is left */
    assert_int_equal(open_addresses(&p), COMPSHARE_OK);
    assert_true(p.at == 2 && p.attempt_deadline == 109000);
    compshare__posix_close(&p);
    close(accept(listener, NULL, NULL));

    by_hand(&p);        /* no answer at all */
    p.address[0] = address_of(x.port);
    p.count = 1;
    p.resolved = true;
    assert_int_equal(open_addresses(&p), COMPSHARE_WANT_WRITE);
    hand.ms = 9000;
    assert_int_equal(open_addresses(&p), COMPSHARE_E_CONNECT);
    assert_int_equal(p.last_errno, ETIMEDOUT);
    compshare__posix_close(&p);

    close(listener);
    fill_in(&x);
    assert_int_equal(count_descriptors(), before);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(stalled_handshakes), T(stalled_replies), T(dripping), T(dripping_handshake), T(floods_meet_limits),
            T(endless_stream),
        T(stuck_request), T(kept_connection_stalls), T(second_sending_stalls), T(second_connection_stalls),
        T(long_reply_in_steps), T(clock_steps_back), T(whole_list_has_one_deadline), T(black_hole),
            T(black_hole_for_real_sockets), T(open_for_ever), T(several_addresses)
    };
    return cmocka_run_group_tests_name("deadlines", tests, NULL, NULL);
}
