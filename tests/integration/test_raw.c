/* Replies that no HTTP library would send, over real TLS: what is definite, what
   is unknown, and that nothing of one reply ever reaches the next call. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"
#include "one.h"

#define REBOOT "RebootCompShareInstance"
#define BODY_OK "{\\\"RetCode\\\":0}"
#define SEND_OK "send \"HTTP/1.1 200 OK\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK "\"\n"
#define GOOD "read-request\n" SEND_OK
#define HEAD "HTTP/1.1 200 OK\\r\\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\\r\\n\\r\\n"
#define REFUSED "{\\\"RetCode\\\":171,\\\"Message\\\":\\\"no\\\"}"
#define SEND_REFUSED "send \"" HEAD "Content-Length: 30\\r\\n\\r\\n" REFUSED "\"\n"

static wire w;
static shim s;
static char big[300001];

static void serve_all(const char *mode, const char *const *scripts)
{
    w = wire_serve(mode, scripts);
    configure_known(&h, w.server.port);
    harness_open(&h);
}

/* One script, then connections that work. */
static void serve(const char *script)
{
    const char *scripts[3];
    scripts[0] = script;
    scripts[1] = GOOD "loop\n";
    scripts[2] = NULL;
    serve_all("rsa", scripts);
}

static void finish(void)
{
    harness_close(&h);
    wire_stop(&w);
}

static int act_big(const char *action)
{
    compshare_param p = compshare_text("Value", big);
    memset(big, 'x', sizeof big - 1);
    return compshare_call(h.client, action, &p, 1);
}

/* The next call works, on connection `number`. */
#define expect_next(number) expect_next_at(number, __LINE__)
static void expect_next_at(int number, int line)
{
    char text[32];
    harness_expect_at(&h, act(REBOOT), COMPSHARE_OK, __FILE__, line);
    snprintf(text, sizeof text, "conn %d request", number);
    if (wire_count(&w, text) == 0) fail_msg("line %d: connection %d served no request", line, number);
}

/* ---- replies before the request is complete ---- */

/* A connection that takes 60,000 bytes of a request of 300,000, whatever the
   kernel's buffers hold. */
static void serve_narrow(const char *script)
{
    serve(script);
    harness_close(&h);
    shim_insert(&s, &h);
    s.send_full_at = 60000;
    harness_open(&h);
}

static void early_refusal(void **state)
{
    static const char *const scripts[] = {
        "read 2000\n" SEND_REFUSED "half-close\nstall\n",
        "read 100\n" SEND_REFUSED "stall\n",
        "read 2000\nsend \"" HEAD "Transfer-Encoding: chunked\\r\\n\\r\\n1e\\r\\n\"\nsend \"" REFUSED "\\r\\n0\\r\\n\\r\\n\"\nstall\n",
        "read 40000\n" SEND_REFUSED "stall\n"
    };
    size_t i;
    (void)state;
    for (i = 0; i < 4; i++) {
        serve_narrow(scripts[i]);
        expect_failure(&h, act_big(i % 2 ? DELETE : REBOOT), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE, false);
        assert_int_equal(last(&h)->ret_code, 171);
        assert_string_equal(last(&h)->message, "no");
        assert_int_equal(s.open_now, 0);
        s.send_full_at = 0;
        expect_next(2);
        finish();
    }
}

static void early_status(void **state)
{
    static const char *const scripts[] = {
        "read 2000\nsend \"HTTP/1.1 413 Content Too Large\\r\\nConnection: close\\r\\nContent-Length: "
            "5\\r\\n\\r\\nlarge\"\nhalf-close\nstall\n",
        "read 2000\nsend \"HTTP/1.1 413 Content Too Large\\r\\nConnection: "
            "close\\r\\n\\r\\nlarge\"\nhalf-close\nstall\n"
    };
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        serve_narrow(scripts[i]);
        expect_failure(&h, act_big(REBOOT), COMPSHARE_E_STATUS, COMPSHARE_STAGE_JUDGE, true);
        assert_int_equal(last(&h)->http_status, 413);
        s.send_full_at = 0;
        expect_next(2);
        finish();
    }
    /* closed for good in the middle of the upload: a reset may overtake the reply */
    serve("read 2000\nsend \"HTTP/1.1 413 Content Too Large\\r\\nConnection: close\\r\\nContent-Length: "
        "0\\r\\n\\r\\n\"\nclose\n");
    {
        int got = act_big(REBOOT);
        assert_true(got == COMPSHARE_E_STATUS || got == COMPSHARE_E_IO || got == COMPSHARE_E_CLOSED);
        assert_true(last(&h)->outcome_unknown);
    }
    expect_next(2);
    finish();
}

/* A reply that begins before the request is complete and then breaks off. */
static void early_half_reply(void **state)
{
    (void)state;
    serve_narrow("read 2000\nsend \"" HEAD "Content-Length: 30\\r\\n\\r\\n{\\\"Ret\"\nhalf-close\nstall\n");
    expect_failure(&h, act_big(DELETE), COMPSHARE_E_CLOSED, COMPSHARE_STAGE_RECEIVE, true);
    s.send_full_at = 0;
    expect_next(2);
    finish();
}

static void large_request_read_slowly(void **state)
{
    (void)state;
    serve("read 1000\nsleep 20\nread 100000\nsleep 20\nread 100000\nsleep 10\nread 99400\n" SEND_OK "stall\n");
    harness_expect(&h, act_big(REBOOT), COMPSHARE_OK);
    finish();
}

/* ---- bytes that belong to no request ---- */

static void surplus_in_the_same_record(void **state)
{
    static const char *const scripts[] = {
        "read-request\nsend \"" HEAD "Content-Length: 13\\r\\n\\r\\n" BODY_OK "x\"\nstall\n",
        "read-request\nsend \"" HEAD "Content-Length: 13\\r\\n\\r\\n" BODY_OK HEAD "Content-Length: 13\\r\\n\\r\\n" BODY_OK "\"\nstall\n",
        "read-request\nsend \"" CHUNKED "d\\r\\n" BODY_OK "\\r\\n0\\r\\n\\r\\n\\r\\n\"\nstall\n",
        "read-request\nsend \"HTTP/1.1 204 No Content\\r\\n\\r\\n" BODY_OK "\"\nstall\n"
    };
    size_t i;
    (void)state;
    for (i = 0; i < 4; i++) {
        serve(scripts[i]);
        harness_expect(&h, act(REBOOT), i < 3 ? COMPSHARE_OK : COMPSHARE_E_JSON);
        assert_int_equal(compshare_fd(h.client), -1);
        expect_next(2);
        finish();
    }
}

/* A whole reply that says success arrives between two requests. It must not
   become the answer to the second. */
static void reply_between_requests(void **state)
{
    static const char *const scripts[] = {
        GOOD "sleep 30\n" SEND_OK "read-request\n" SEND_REFUSED "stall\n",
        GOOD "sleep 30\nsend \"x\"\nread-request\n" SEND_REFUSED "stall\n",
        GOOD "sleep 30\nsend-raw \"\\x17\"\nstall\n",        /* a record begun */
        GOOD "sleep 30\nhalf-close\nstall\n",
        GOOD "sleep 30\nclose\n",
        GOOD "sleep 30\nreset\n"
    };
    size_t i;
    (void)state;
    for (i = 0; i < 6; i++) {
        serve(scripts[i]);
        harness_expect(&h, act(REBOOT), COMPSHARE_OK);
        await_bytes();
        expect_next(2);
        assert_int_equal(wire_count(&w, "conn 1 request"), 1);
        finish();
    }
}

/* The server speaks before it was asked: its words are in the same piece of TCP
   as the end of the handshake. They answer nothing. */
static void reply_before_any_request(void **state)
{
    static const char *const scripts[] = {
        "handshake\n" SEND_OK "read-request\n" SEND_REFUSED "stall\n",
        "handshake\n" SEND_OK "stall\n", NULL };
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        compshare_param p = compshare_text("UHostId", "uhost-0001");
        const char *chosen[2];
        int r = COMPSHARE_PENDING;
        chosen[0] = scripts[i];
        chosen[1] = NULL;
        serve_all("rsa", chosen);
        harness_expect(&h, compshare_call_start(h.client, REBOOT, &p, 1), COMPSHARE_OK);
        while (r == COMPSHARE_PENDING && wire_count(&w, "conn 1 handshake") == 0) {
            r = compshare_step(h.client);
            harness_sleep_ms(60);       /* the end of the handshake and what follows gather */
        }
        while (r == COMPSHARE_PENDING) {
            r = compshare_step(h.client);
            if (r == COMPSHARE_PENDING) step_wait(h.client);
        }
        if (r == COMPSHARE_OK)
            fail_msg("script %zu: a reply that was sent before the request was taken for its answer", i);
        assert_int_equal(compshare_fd(h.client), -1);
        finish();
    }
}

/* ---- cut and disturbed replies ---- */

typedef struct cut { const char *script; int status, or_status, stage; bool unknown; } cut;

static void disturbed_replies(void **state)
{
    static const cut rows[] = {
        /* too short */
        { "read-request\nsend \"" HEAD "Content-Length: 14\\r\\n\\r\\n" BODY_OK "\"\nclose\n", COMPSHARE_E_CLOSED, 0,
            COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"" HEAD "Content-Length: 14\\r\\n\\r\\n" BODY_OK "\"\nabort\n", COMPSHARE_E_CLOSED, 0,
            COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"" HEAD "Content-Length: 14\\r\\n\\r\\n" BODY_OK "\"\nhalf-close\nstall\n",
            COMPSHARE_E_CLOSED, 0, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"" HEAD "Content-Length: 14\\r\\n\\r\\n" BODY_OK "\"\nsleep 30\nreset\n", COMPSHARE_E_IO,
            COMPSHARE_E_CLOSED, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"" CHUNKED "d\\r\\n" BODY_OK "\\r\\n\"\nclose\n", COMPSHARE_E_CLOSED, 0,
            COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"" CHUNKED "d\\r\\n" BODY_OK "\\r\\n0\\r\\n\"\nclose\n", COMPSHARE_E_CLOSED, 0,
            COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"HTTP/1.1 200 OK\\r\\nConte\"\nclose\n", COMPSHARE_E_CLOSED, 0, COMPSHARE_STAGE_RECEIVE,
            true },
        { "read-request\nclose\n", COMPSHARE_E_CLOSED, 0, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nabort\n", COMPSHARE_E_CLOSED, COMPSHARE_E_IO, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nreset\n", COMPSHARE_E_IO, COMPSHARE_E_CLOSED, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"HTTP/1.1 100 Continue\\r\\n\\r\\n\"\nclose\n", COMPSHARE_E_CLOSED, 0,
            COMPSHARE_STAGE_RECEIVE, true },
        /* ends with the connection */
        { "read-request\nsend \"" HEAD "\\r\\n" BODY_OK "\"\nclose\n", COMPSHARE_OK, 0, COMPSHARE_STAGE_NONE, false },
        { "read-request\nsend \"" HEAD "\\r\\n" BODY_OK "\"\nhalf-close\nstall\n", COMPSHARE_OK, 0,
            COMPSHARE_STAGE_NONE, false },
        { "read-request\nsend \"HTTP/1.0 200 OK\\r\\n\\r\\n" BODY_OK "\"\nclose\n", COMPSHARE_OK, 0,
            COMPSHARE_STAGE_NONE, false },
        { "read-request\nsend \"" HEAD "\\r\\n" BODY_OK "\"\nabort\n", COMPSHARE_E_CLOSED, 0, COMPSHARE_STAGE_RECEIVE,
            true },
        { "read-request\nsend \"" HEAD "\\r\\n" BODY_OK "\"\nsleep 30\nreset\n", COMPSHARE_E_IO, COMPSHARE_E_CLOSED,
            COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"" HEAD "\\r\\n" REFUSED "\"\nabort\n", COMPSHARE_E_CLOSED, 0, COMPSHARE_STAGE_RECEIVE,
            true },
        { "read-request\nsend \"" HEAD "Connection: close\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK "\"\nabort\n",
            COMPSHARE_OK, 0, COMPSHARE_STAGE_NONE, false },
        /* records that are none */
        { "read-request\nsend \"" HEAD "Content-Length: 14\\r\\n\\r\\n{\"\nsend-raw "
            "\"\\x17\\x03\\x03\\x00\\x20abcdefghijklmnopqrstuvwxyzabcdef\"\nstall\n", COMPSHARE_E_TLS, 0,
            COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"" HEAD "Content-Length: 14\\r\\n\\r\\n{\"\nsend-raw \"HTTP/1.1 400 Bad "
            "Request\\r\\n\\r\\n\"\nstall\n", COMPSHARE_E_TLS, 0, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend-raw \"HTTP/1.1 200 OK\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK "\"\nstall\n",
            COMPSHARE_E_TLS, 0, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend-raw \"\\x17\\x03\\x03\\xff\\xff\"\nstall\n", COMPSHARE_E_TLS, 0, COMPSHARE_STAGE_RECEIVE,
            true },
        /* close_notify in the clear */
        { "read-request\nsend-raw \"\\x15\\x03\\x03\\x00\\x02\\x01\\x00\"\nstall\n", COMPSHARE_E_TLS, 0,
            COMPSHARE_STAGE_RECEIVE, true },
        { "send-raw \"HTTP/1.1 400 Bad Request\\r\\n\\r\\n\"\nstall\n", COMPSHARE_E_TLS, 0, COMPSHARE_STAGE_HANDSHAKE,
            false },
        { "refuse\n", COMPSHARE_E_CLOSED, COMPSHARE_E_IO, COMPSHARE_STAGE_HANDSHAKE, false },
        { "cut-handshake 5\n", COMPSHARE_E_CLOSED, COMPSHARE_E_IO, COMPSHARE_STAGE_HANDSHAKE, false },
        { "cut-handshake 900\n", COMPSHARE_E_CLOSED, COMPSHARE_E_IO, COMPSHARE_STAGE_HANDSHAKE, false },
        /* not HTTP */
        { "read-request\nsend \"hello\\r\\n\"\nstall\n", COMPSHARE_E_HTTP, 0, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"" HEAD "Content-Length: 13\\r\\nContent-Length: 14\\r\\n\\r\\n" BODY_OK "\"\nstall\n",
            COMPSHARE_E_HTTP, 0, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"" HEAD "Content-Length: 13\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n" BODY_OK "\"\nstall\n", COMPSHARE_E_HTTP, 0, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"HTTP/1.1 200 OK\\nContent-Length: 13\\n\\n" BODY_OK "\"\nstall\n", COMPSHARE_E_HTTP, 0,
            COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"HTTP/2 200\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK "\"\nstall\n", COMPSHARE_E_HTTP,
            0, COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"HTTP/1.1 101 Switching\\r\\n\\r\\n\"\nstall\n", COMPSHARE_E_HTTP, 0,
            COMPSHARE_STAGE_RECEIVE, true },
        { "read-request\nsend \"" CHUNKED "e\\r\\n" BODY_OK "\\r\\n0\\r\\n\\r\\n\"\nstall\n", COMPSHARE_E_HTTP, 0,
            COMPSHARE_STAGE_RECEIVE, true }
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const cut *row = &rows[i];
        int got;
        serve(row->script);
        got = act(i % 2 ? DELETE : REBOOT);
        if (got != row->status && got != row->or_status) print_message("script: %s", row->script);
        if (row->or_status != 0 && got == row->or_status)
            expect_failure(&h, got, row->or_status, row->stage, row->unknown);
        else if (row->status != COMPSHARE_OK) expect_failure(&h, got, row->status, row->stage, row->unknown);
        else harness_expect(&h, got, COMPSHARE_OK);
        assert_int_equal(compshare_fd(h.client), -1);
        expect_next(2);
        assert_true(wire_count(&w, "conn 1 request") <= 1);
        finish();
    }
}

static void one_byte_records(void **state)
{
    (void)state;
    serve("read-request\nsend-bytes 0 \"" HEAD "Transfer-Encoding: chunked\\r\\n\\r\\n5;a=b\\r\\n{\\\"Ret\\r\\n8\\r\\nCode\\\":0}\\r\\n0\\r\\nX: y\\r\\n\\r\\n\"\n"
        "read-request\nsend-bytes 0 \"HTTP/1.1 100 Continue\\r\\n\\r\\n" HEAD "Content-Length: 13\\r\\n\\r\\n" BODY_OK "\"\n"
        GOOD "stall\n");
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    expect_next(1);
    finish();
}

/* The same reply cut in two records at every point. */
static void split_everywhere(void **state)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 2033 08:49:37 GMT\r\nTransfer-Encoding: "
        "chunked\r\n\r\n6\r\n{\"RetC\r\n7\r\node\":0}\r\n0\r\n\r\n";
    static char script[65536];
    size_t at, i, n = 0;
    (void)state;
    for (at = 1; at < sizeof reply - 1; at++) {
        n += (size_t)snprintf(script + n, sizeof script - n, "read-request\nsend \"");
        for (i = 0; i < sizeof reply - 1; i++) {
            if (i == at) n += (size_t)snprintf(script + n, sizeof script - n, "\"\nsend \"");
            if (reply[i] == '\r' || reply[i] == '\n' || reply[i] == '"')
                n += (size_t)snprintf(script + n, sizeof script - n, "\\%c", reply[i] == '\r' ? 'r' : reply[i] == '\n'
                    ? 'n' : '"');
            else script[n++] = reply[i];
        }
        n += (size_t)snprintf(script + n, sizeof script - n, "\"\n");
        assert_true(n + 512 < sizeof script);
    }
    script[n] = '\0';
    serve(script);
    for (at = 1; at < sizeof reply - 1; at++) harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    assert_int_equal(wire_count(&w, "accepted"), 1);
    assert_true(compshare_server_time(h.client) - INT64_C(2014966177) < 30);
    finish();
}

static void renegotiation_is_ignored(void **state)
{
    (void)state;
    serve("read-request\nsend \"" HEAD "Content-Length: 13\\r\\n\\r\\n{\\\"Ret\"\nrenegotiate\nsend "
        "\"Code\\\":0}\"\nstall\n");
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    finish();
    serve(GOOD "renegotiate\nstall\n");
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    finish();
}

static void large_replies(void **state)
{
    static const char *const scripts[] = {
        "read-request\nsend \"" HEAD "Content-Length: 300013\\r\\n\\r\\n\"\nsend-repeat 30000 \"          \"\nsend \"" BODY_OK "\"\nstall\n",
        "read-request\nsend \"" CHUNKED "493ed\\r\\n\"\nsend-repeat 30000 \"          \"\nsend \"" BODY_OK "\\r\\n0\\r\\n\\r\\n\"\nstall\n",
        "read-request\nsend \"" HEAD "\\r\\n\"\nsend-repeat 30000 \"          \"\nsend \"" BODY_OK "\"\nclose\n"
    };
    size_t i;
    (void)state;
    for (i = 0; i < 3; i++) {
        serve(scripts[i]);
        expect_failure(&h, act(REBOOT), COMPSHARE_E_TOO_LARGE, COMPSHARE_STAGE_RECEIVE, true);
        assert_int_equal(compshare_type(compshare_reply(h.client)), COMPSHARE_NONE);
        expect_next(2);
        finish();
    }
    /* an error status matters more than its long page */
    serve("read-request\nsend \"HTTP/1.1 502 Bad Gateway\\r\\nContent-Length: 300000\\r\\n\\r\\n\"\nsend-repeat 30000 "
        "\"<br> <br> \"\n" GOOD "stall\n");
    expect_failure(&h, act(REBOOT), COMPSHARE_E_STATUS, COMPSHARE_STAGE_JUDGE, true);
    assert_int_equal(last(&h)->http_status, 502);
    expect_next(1);
    finish();
}

static int count_element(void *user, compshare_value element)
{
    (void)element;
    ++*(int *)user;
    return 0;
}

/* A streamed reply that is refused keeps its other members, and no body: that has gone by. */
static void refused_stream(void **state)
{
    int n = 0;
    (void)state;
    serve("read-request\nsend \"" HEAD "Content-Length: 52\\r\\n\\r\\n"
        "{\\\"UHostSet\\\":[{},{}],\\\"RetCode\\\":171,\\\"Message\\\":\\\"no\\\"}   \"\n" GOOD "stall\n");
    expect_failure(&h, compshare_call_each(h.client, "DescribeCompShareInstance", NULL, 0, "UHostSet", count_element,
        &n),
        COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE, false);
    assert_int_equal(n, 2);
    assert_string_equal(reply_text(&h, "Message"), "no");
    assert_int_equal(compshare_type(compshare_get(compshare_reply(h.client), "UHostSet")), COMPSHARE_ARRAY);
    assert_int_equal(compshare_body(h.client).len, 0);
    finish();
}

static void redirects_are_not_followed(void **state)
{
    static const char *const statuses[] = { "301 Moved", "302 Found", "303 See Other", "307 Temporary",
        "308 Permanent" };
    size_t i;
    (void)state;
    for (i = 0; i < 5; i++) {
        char script[512];
        snprintf(script, sizeof script,
            "read-request\nsend \"HTTP/1.1 %s\\r\\nLocation: /elsewhere\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK "\"\n" GOOD "stall\n", statuses[i]);
        serve(script);
        expect_failure(&h, act(DELETE), COMPSHARE_E_STATUS, COMPSHARE_STAGE_JUDGE, true);
        expect_contains(last(&h)->detail, "redirect");
        assert_int_equal(wire_count(&w, "request"), 1);
        expect_next(1);
        finish();
    }
}

/* ---- law 1: what is a success ---- */

typedef struct verdict { const char *body; int status; } verdict;

static void only_success_is_success(void **state)
{
    static const verdict rows[] = {
        { "{\\\"RetCode\\\":0}", COMPSHARE_OK },
        { "{\\\"RetCode\\\":\\\"0\\\"}", COMPSHARE_OK },
        { " \\t\\r\\n{ \\\"RetCode\\\" : 0 } \\n", COMPSHARE_OK },
        { "{\\\"R\\\\u0065tCode\\\":0}", COMPSHARE_OK },
        { "\\xef\\xbb\\xbf{\\\"RetCode\\\":0}", COMPSHARE_OK },
        { "{\\\"a\\\":{\\\"RetCode\\\":171},\\\"RetCode\\\":0}", COMPSHARE_OK },
        { "", COMPSHARE_E_JSON }, { "0", COMPSHARE_E_REPLY }, { "[]", COMPSHARE_E_REPLY }, { "{}",
            COMPSHARE_E_REPLY }, { "null", COMPSHARE_E_REPLY },
        { "[{\\\"RetCode\\\":0}]", COMPSHARE_E_REPLY }, { "{\\\"a\\\":{\\\"RetCode\\\":0}}", COMPSHARE_E_REPLY },
        { "{\\\"RetCode\\\":0,\\\"RetCode\\\":0}",
            COMPSHARE_E_REPLY }, { "{\\\"RetCode\\\":0,\\\"Ret\\\\u0043ode\\\":171}", COMPSHARE_E_REPLY },
        { "{\\\"retcode\\\":0}", COMPSHARE_E_REPLY }, { "{\\\"RetCode \\\":0}", COMPSHARE_E_REPLY },
        { "{\\\"RetCode\\\":null}", COMPSHARE_E_REPLY }, { "{\\\"RetCode\\\":false}",
            COMPSHARE_E_REPLY }, { "{\\\"RetCode\\\":[]}", COMPSHARE_E_REPLY },
        { "{\\\"RetCode\\\":\\\"\\\"}", COMPSHARE_E_REPLY }, { "{\\\"RetCode\\\":\\\"00\\\"}",
            COMPSHARE_E_REPLY }, { "{\\\"RetCode\\\":\\\" 0\\\"}", COMPSHARE_E_REPLY },
        { "{\\\"RetCode\\\":0.0}", COMPSHARE_E_REPLY }, { "{\\\"RetCode\\\":0e0}",
            COMPSHARE_E_REPLY }, { "{\\\"RetCode\\\":4294967296}", COMPSHARE_E_REPLY },
        { "{\\\"RetCode\\\":00}", COMPSHARE_E_JSON }, { "{\\\"RetCode\\\":0}{}",
            COMPSHARE_E_JSON }, { "{\\\"RetCode\\\":0}x", COMPSHARE_E_JSON },
        { "{\\\"RetCode\\\":0,}", COMPSHARE_E_JSON }, { "{\\\"RetCode\\\":0", COMPSHARE_E_JSON }, { "{RetCode:0}",
            COMPSHARE_E_JSON },
        { "{'RetCode':0}", COMPSHARE_E_JSON }, { "{\\\"a\\\":\\\"\\x01\\\",\\\"RetCode\\\":0}",
            COMPSHARE_E_JSON }, { "{\\\"a\\\":\\\"\\xff\\\",\\\"RetCode\\\":0}", COMPSHARE_E_JSON },
        { "{\\\"RetCode\\\":0}\\x00", COMPSHARE_E_JSON }, { "<html>", COMPSHARE_E_JSON }, { "a,b\\r\\n",
            COMPSHARE_E_JSON },
        { "{\\\"RetCode\\\":171}", COMPSHARE_E_API }, { "{\\\"RetCode\\\":\\\"171\\\"}",
            COMPSHARE_E_API }, { "{\\\"RetCode\\\":-1}", COMPSHARE_E_API }
    };
    static char script[65536];
    size_t i, n = 0;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *c;
        size_t len = 0;
        for (c = rows[i].body; *c != '\0'; len++) c += *c != '\\' ? 1 : c[1] == 'x' ? 4 : 2;
        n += (size_t)snprintf(script + n, sizeof script - n,
            "read-request\nsend \"" HEAD "Content-Length: %zu\\r\\n\\r\\n%s\"\n", len, rows[i].body);
    }
    serve(script);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int got = act(DELETE);
        if (got != rows[i].status) fail_msg("%s: %s: %s", rows[i].body, compshare_status_name(got), last(&h)->detail);
        if (got != COMPSHARE_OK) expect_failure(&h, got, rows[i].status, COMPSHARE_STAGE_JUDGE, got != COMPSHARE_E_API);
    }
    assert_int_equal(wire_count(&w, "accepted"), 1);
    finish();
}

static void odd_heads(void **state)
{
    static const verdict rows[] = {
        { "HTTP/1.1 200\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK, COMPSHARE_OK },
        { "HTTP/1.1 201 Created\\r\\nCONTENT-length:13\\r\\n\\r\\n" BODY_OK, COMPSHARE_OK },
        { "HTTP/1.1 200 OK\\r\\nContent-Length: 13, 13\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK, COMPSHARE_OK },
        { "HTTP/1.1 200 OK\\r\\nDate: yesterday\\r\\nContent-Type: text/html\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK, COMPSHARE_OK },
        { "HTTP/1.1 200 OK\\r\\nDate: Sun, 99 Nov 1994 08:49:37 GMT\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK,
            COMPSHARE_OK },
        { "HTTP/1.1 200 OK\\r\\nDate: \\r\\nDate:\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK, COMPSHARE_OK },
        { "HTTP/1.1 200 OK\\r\\nDate: Sun, 06 Nov 2033 08:49:37 CET\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK,
            COMPSHARE_OK },
        { "HTTP/1.1 103 Early Hints\\r\\nContent-Length: 5\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\nContent-Length: "
            "13\\r\\n\\r\\n" BODY_OK, COMPSHARE_OK },
        { "HTTP/1.1 200 OK\\r\\nContent-Encoding: identity\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK, COMPSHARE_OK },
        { "HTTP/1.1 200 OK\\r\\nContent-Encoding: gzip\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK, COMPSHARE_E_HTTP },
        { "HTTP/1.1 199 What\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK, COMPSHARE_OK },
        { "HTTP/1.1 300 Choices\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK, COMPSHARE_E_STATUS },
        { "HTTP/1.1 500 Oops\\r\\nContent-Length: 13\\r\\n\\r\\n" BODY_OK, COMPSHARE_E_STATUS },
        { "HTTP/1.1 204 None\\r\\n\\r\\n", COMPSHARE_E_JSON },
        { "HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n", COMPSHARE_E_JSON }
    };
    static char script[16384];
    size_t i, n = 0;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
        n += (size_t)snprintf(script + n, sizeof script - n, "read-request\nsend \"%s\"\n", rows[i].body);
    serve(script);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int got = act(DELETE);
        if (got != rows[i].status) fail_msg("%s: %s: %s", rows[i].body, compshare_status_name(got), last(&h)->detail);
        if (got != COMPSHARE_OK) assert_true(last(&h)->outcome_unknown);
        assert_int_equal(compshare_server_time(h.client), 0);
    }
    assert_int_equal(wire_count(&w, "accepted"), 1);
    finish();
}

/* A RetCode inside a status that is none of 2xx: definite below 500, unless it
   says success or "timed out". */
static void ret_codes_with_statuses(void **state)
{
    static const struct { const char *status, *body; int code; bool unknown; } rows[] = {
        { "403 Forbidden", REFUSED, 171, false }, { "400 Bad", REFUSED, 171, false }, { "429 Slow", REFUSED, 171,
            false },
        { "500 Oops", REFUSED, 171, true }, { "503 Later", REFUSED, 171, true },
        { "403 Forbidden", "{\\\"RetCode\\\":110}", 110, true }, { "403 Forbidden", "{\\\"RetCode\\\":0}", 0, true },
        { "403 Forbidden", "{\\\"RetCode\\\":171}x", 0, true }
    };
    static char script[8192];
    size_t i, n = 0, count = sizeof rows / sizeof rows[0];
    (void)state;
    for (i = 0; i < count; i++) {
        const char *c;
        size_t len = 0;
        for (c = rows[i].body; *c != '\0'; len++) c += *c == '\\' ? 2 : 1;
        n += (size_t)snprintf(script + n, sizeof script - n,
            "read-request\nsend \"HTTP/1.1 %s\\r\\nContent-Length: %zu\\r\\n\\r\\n%s\"\n", rows[i].status, len,
            rows[i].body);
    }
    serve(script);
    for (i = 0; i < count; i++) {
        if (act(REBOOT) != COMPSHARE_E_STATUS || last(&h)->outcome_unknown != rows[i].unknown
            || last(&h)->ret_code != rows[i].code)
            fail_msg("%s %s: %s, unknown %d, RetCode %d", rows[i].status, rows[i].body, last(&h)->detail,
                last(&h)->outcome_unknown, last(&h)->ret_code);
    }
    finish();
}

/* ---- typed calls and replies that do not fit them ---- */

static char typed_script[65536];
static size_t typed_len;

static void typed_reply(const char *json)
{
    const char *c;
    typed_len += (size_t)snprintf(typed_script + typed_len, sizeof typed_script - typed_len,
        "read-request\nsend \"" HEAD "Content-Length: %zu\\r\\n\\r\\n", strlen(json));
    for (c = json; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') typed_script[typed_len++] = '\\';
        typed_script[typed_len++] = *c;
    }
    typed_len += (size_t)snprintf(typed_script + typed_len, sizeof typed_script - typed_len, "\"\n");
}

static void exactly_this_instance(void **state)
{
    static const char *const replies[] = {
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-00010\"},{\"UHostId\":\"uhost-000\"},{\"UHostId\":\"uhost-0001\",\"Zone\":\"cn-a-01\",\"SchedulerStopTime\":1900000005},{\"UHostId\":\"xuhost-0001\"}]}",
        "{\"UHostSet\":[{\"UHostId\":\"uhost-\\u00300\\u00301\",\"StopSchedulerTime\":\"1900000007\",\"StopTime\":9}],\"RetCode\":\"0\"}",
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-00010\"}]}",
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-0001 \"},{\"UHostId\":\"Uhost-0001\"}]}",
        "{\"RetCode\":0,\"UHostSet\":null}", "{\"RetCode\":0}", "{\"RetCode\":0,\"UHostSet\":[]}",
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-0001\"},{\"UHostId\":\"uhost-0001\",\"State\":\"Running\"}]}",
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-0001\",\"UHostId\":\"uhost-0001\"}]}",
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-0001\",\"SchedulerStopTime\":1,\"SchedulerStopTime\":2}]}",
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-0001\",\"SchedulerStopTime\":\"soon\"}]}",
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-0001\",\"SchedulerStopTime\":-5}]}",
        "{\"RetCode\":0,\"UHostSet\":{\"UHostId\":\"uhost-0001\"}}",
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-0001\"}],\"UHostSet\":[]}",
        "{\"RetCode\":171,\"UHostSet\":[{\"UHostId\":\"uhost-0001\"}]}",
        "{\"UHostSet\":[{\"UHostId\":\"uhost-0001\"}]}",
        "{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"uhost-0001\"}],\"x\":}"
    };
    static const int statuses[] = { 0, 0, COMPSHARE_E_NOT_FOUND, COMPSHARE_E_NOT_FOUND, COMPSHARE_E_NOT_FOUND,
        COMPSHARE_E_NOT_FOUND, COMPSHARE_E_NOT_FOUND,
        COMPSHARE_E_REPLY, COMPSHARE_E_REPLY, COMPSHARE_E_REPLY, COMPSHARE_E_REPLY, COMPSHARE_OK, COMPSHARE_E_REPLY,
            COMPSHARE_E_REPLY,
        COMPSHARE_E_API, COMPSHARE_E_REPLY, COMPSHARE_E_JSON };
    compshare_target t = target_of("uhost-0001");
    size_t i;
    (void)state;
    for (i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        compshare_instance x;
        int got;
        memset(&x, 'x', sizeof x);
        typed_len = 0;
        typed_reply(replies[i]);
        serve(typed_script);
        got = compshare_describe_instance(h.client, &t, &x);
        if (got != statuses[i]) fail_msg("%s: %s", replies[i], compshare_status_name(got));
        assert_string_equal(x.uhost_id, got == COMPSHARE_OK ? "uhost-0001" : "");
        if (i == 0) assert_true(x.stop_time == 1900000005 && strcmp(x.region, "cn-a") == 0);
        if (i == 1) assert_true(x.stop_time == 1900000007);
        if (got != COMPSHARE_OK) assert_int_equal(x.stop_time, 0);
        finish();
    }
}

static void another_instance_answers(void **state)
{
    compshare_target t = target_of("uhost-0001");
    (void)state;
    typed_len = 0;
    typed_reply("{\"RetCode\":0,\"UHostId\":\"uhost-0002\"}");
    typed_reply("{\"RetCode\":0,\"UHostId\":\"uhost-0001\",\"UHostId\":\"uhost-0001\"}");
    typed_reply("{\"RetCode\":0,\"UHostId\":\"uhost-0001\"}");
    typed_reply("{\"RetCode\":0}");
    serve(typed_script);
    expect_failure(&h, compshare_update_stop_scheduler(h.client, &t, (int64_t)time(NULL) + 3600), COMPSHARE_E_REPLY,
        COMPSHARE_STAGE_JUDGE, true);
    expect_failure(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_E_REPLY, COMPSHARE_STAGE_JUDGE, true);
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, (int64_t)time(NULL) + 3600), COMPSHARE_OK);
    harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
    finish();
}

static int count_instance(void *user, const compshare_instance *i, compshare_value element)
{
    (void)i;
    (void)element;
    ++*(int *)user;
    return 0;
}

/* Totals that lie must not make a list endless, nor stop it silently too early. */
static void lying_totals(void **state)
{
    int n = 0, i;
    (void)state;
    typed_len = 0;
    typed_reply("{\"RetCode\":0,\"TotalCount\":3,\"UHostSet\":[{\"UHostId\":\"a\"},{\"UHostId\":\"b\"}]}");
    typed_reply("{\"RetCode\":0,\"TotalCount\":3,\"UHostSet\":[{\"UHostId\":\"b\"},{\"UHostId\":\"c\"}]}");
    typed_reply("{\"RetCode\":0,\"TotalCount\":1,\"UHostSet\":[{\"UHostId\":\"c\"}]}");
    typed_reply("{\"RetCode\":0,\"TotalCount\":999,\"UHostSet\":[{\"UHostId\":\"a\"},{\"UHostId\":\"b\"}]}");
    typed_reply("{\"RetCode\":0,\"TotalCount\":999,\"UHostSet\":null}");
    typed_reply("{\"RetCode\":0,\"TotalCount\":999,\"UHostSet\":[{\"UHostId\":\"a\"},{\"UHostId\":\"b\"}]}");
    typed_reply("{\"RetCode\":0,\"Total\":1,\"UHostSet\":[{\"UHostId\":\"a\"}]}");
    typed_reply("{\"RetCode\":0,\"UHostSet\":[{\"UHostId\":\"a\"}]}");
    typed_reply("{\"RetCode\":0,\"TotalCount\":1,\"TotalCount\":250,\"UHostSet\":[{\"UHostId\":\"a\"}]}");
    typed_reply("{\"RetCode\":0,\"TotalCount\":\"many\",\"UHostSet\":[{\"UHostId\":\"a\"}]}");
    serve(typed_script);
    harness_expect(&h, compshare_each_instance(h.client, NULL, count_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 3);
    harness_expect(&h, compshare_each_instance(h.client, NULL, count_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 5);
    for (i = 0; i < 4; i++)
        harness_expect(&h, compshare_each_instance(h.client, NULL, count_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 9);
    assert_int_equal(wire_count(&w, "conn 1 request"), 10);
    finish();
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(early_refusal), T(early_status), T(early_half_reply), T(large_request_read_slowly),
            T(surplus_in_the_same_record),
        T(reply_between_requests), T(reply_before_any_request), T(disturbed_replies), T(one_byte_records),
            T(split_everywhere),
        T(renegotiation_is_ignored), T(large_replies), T(refused_stream), T(redirects_are_not_followed),
            T(only_success_is_success), T(odd_heads),
        T(ret_codes_with_statuses), T(exactly_this_instance), T(another_instance_answers), T(lying_totals)
    };
    return cmocka_run_group_tests_name("raw replies", tests, NULL, NULL);
}
