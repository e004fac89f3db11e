/* Through a proxy: what is asked of it, what is believed of it, and that nothing of
   the account, of TLS or of the proxy's own password gets into the wrong hands.
   tinyproxy is a proxy that others wrote; the hostile ones are played, by a
   transport and by raw_server. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"
#include "one.h"

#define REBOOT "RebootCompShareInstance"
#define USER "planted-user"
#define CREDENTIALS USER ":PLANTED%3Apass%2Fw%25ord"
#define OK_200 "HTTP/1.1 200 Connection established\r\n"

static shim t;
static char proxy[512];

/* ---- what a program could log ---- */

static char logged[1 << 17];
static size_t logged_len;

static void note(void *user, const char *line)
{
    size_t n = strlen(line);
    (void)user;
    if (logged_len + n + 2 >= sizeof logged) logged_len = 0;
    memcpy(logged + logged_len, line, n);
    logged_len += n;
    logged[logged_len++] = '\n';
    logged[logged_len] = '\0';
}

static void note_error(void)
{
    char text[COMPSHARE_ERROR_TEXT];
    note(NULL, compshare_error_text(h.client, text, sizeof text));
    note(NULL, last(&h)->detail);
    note(NULL, last(&h)->message);
    note(NULL, last(&h)->request_id);
}

/* A piece of either secret, as it stands in the URL, decoded, or in the header. */
static bool has_secret(const char *text)
{
    static const char *const secrets[] = { "planted", "PLANTED", "pass/w", "pass%2F", "pass-w", "cGxhbnRl", "UExBTlRF",
        "TEFOVEVE", "QU5URUQ", HARNESS_PRIVATE_KEY };
    size_t i;
    for (i = 0; i < COUNT(secrets); i++)
        if (strstr(text, secrets[i]) != NULL) return true;
    return false;
}

/* ---- set-up ---- */

static void configure(unsigned port)
{
    configure_known(&h, port);
    h.config.trace = note;
    logged_len = 0;
    logged[0] = '\0';
}

static int fresh(void **state)
{
    (void)state;
    harness_reset(&gateway);
    configure(gateway.port);
    return 0;
}

/* Whatever a test did, nothing of a proxy's user and password was said. */
static int done_in_silence(void **state)
{
    (void)state;
    if (h.client != NULL) harness_close(&h);
    if (has_secret(logged)) {
        fprintf(stderr, "a secret was logged: %s\n", logged);
        return -1;
    }
    return 0;
}

static void use_proxy(const char *userinfo, const char *host, unsigned port)
{
    snprintf(proxy, sizeof proxy, "http://%s%s%s:%u", userinfo, userinfo[0] != '\0' ? "@" : "", host, port);
    h.config.proxy = proxy;
}

/* The client with a proxy that the transport plays; behind it stands the gateway. */
static void play(const char *answer, size_t len, bool tunnel)
{
    tap_insert(&t, &h, true);
    t.answer = answer;
    t.answer_len = len;
    t.tunnel = tunnel;
    t.real_port = gateway.port;
    h.config.proxy = "http://" CREDENTIALS "@gate.example:3128";
    harness_open(&h);
}

/* ---- the setting ---- */

static const struct { const char *url, *host; unsigned port; const char *basic; } accepted[] = {
    { "http://proxy.example", "proxy.example", 80, "" },
    { "http://proxy.example:3128", "proxy.example", 3128, "" },
    { "http://proxy.example:1", "proxy.example", 1, "" },
    { "http://proxy.example:65535", "proxy.example", 65535, "" },
    { "http://127.0.0.1:8080", "127.0.0.1", 8080, "" },
    { "http://10.1.2.3", "10.1.2.3", 80, "" },
    { "http://[::1]:8080", "::1", 8080, "" },
    { "http://[2001:db8::a:1]", "2001:db8::a:1", 80, "" },
    { "http://[::ffff:127.0.0.1]:99", "::ffff:127.0.0.1", 99, "" },
    /* the examples of RFC 7617, sections 2 and 2.1 */
    { "http://Aladdin:open%20sesame@proxy.example", "proxy.example", 80, "QWxhZGRpbjpvcGVuIHNlc2FtZQ==" },
    { "http://test:123%C2%A3@[::1]:8080", "::1", 8080, "dGVzdDoxMjPCow==" },
    { "http://user:@proxy.example", "proxy.example", 80, "dXNlcjo=" },
    { "http://user@proxy.example:8", "proxy.example", 8, "dXNlcjo=" },
    { "http://u:p@127.0.0.1:80", "127.0.0.1", 80, "dTpw" },
    { "http://u:pp@127.0.0.1:80", "127.0.0.1", 80, "dTpwcA==" },
    { "http://u:a%3Ab%40c%2Fd%25@127.0.0.1:80", "127.0.0.1", 80, "dTphOmJAYy9kJQ==" },
    { "http://u:a%3ab%40c%2fd%25@127.0.0.1:80", "127.0.0.1", 80, "dTphOmJAYy9kJQ==" },
    { "http://u:a:b@127.0.0.1:80", "127.0.0.1", 80, "dTphOmI=" },
    { "http://u:%ff%FE~!$&'()*+,;=@h", "h", 80, "dTr//n4hJCYnKCkqKyw7PQ==" },
};

/* Every accepted form connects where it says and asks for exactly this. */
static void settings_accepted(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(accepted); i++) {
        static const char answer[] = OK_200 "\r\n";
        char want[512];
        configure(gateway.port);
        tap_tunnel(&t, &h, answer, gateway.port);
        h.config.proxy = accepted[i].url;
        harness_open(&h);
        harness_expect(&h, act(DELETE), COMPSHARE_OK);
        assert_string_equal(t.host, accepted[i].host);
        assert_int_equal(t.port, accepted[i].port);
        snprintf(want, sizeof want, "CONNECT localhost:%u HTTP/1.1\r\nHost: localhost:%u\r\n%s%s%s\r\n", gateway.port,
            gateway.port,
            accepted[i].basic[0] != '\0' ? "Proxy-Authorization: Basic " : "", accepted[i].basic,
                accepted[i].basic[0] != '\0' ? "\r\n" : "");
        assert_string_equal(t.head, want);
        assert_false(t.too_early);
        harness_close(&h);
    }
    expect_executed(&gateway, DELETE, (json_int_t)COUNT(accepted));
}

/* The origin's port is always written, the default one too; its name is base_url's. */
static void connect_names_the_origin(void **state)
{
    static const struct { const char *base_url, *request; } rows[] = {
        { "https://localhost", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n" },
        { "https://localhost:443/", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n" },
        { "https://localhost:80", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n" },
        { "https://localhost.", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n" },
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        static const char answer[] = OK_200 "\r\n";
        configure(gateway.port);
        h.config.base_url = rows[i].base_url;
        tap_tunnel(&t, &h, answer, gateway.port);
        h.config.proxy = "http://proxy.example";
        harness_open(&h);
        harness_expect(&h, act(DELETE), COMPSHARE_OK);
        assert_string_equal(t.head, rows[i].request);
        harness_close(&h);
    }
}

static void settings_refused(void **state)
{
    static const char *const urls[] = {
        "", "proxy.example", "proxy.example:3128", "//proxy.example", "https://proxy.example:3128",
            "https://" CREDENTIALS "@proxy.example",
        "socks5://proxy.example:1080", "socks5h://" CREDENTIALS "@proxy.example:1080", "ftp://proxy.example",
            "http:/proxy.example", "http//proxy.example",
        "http://", "http://:3128", "http://" CREDENTIALS "@", "http://" CREDENTIALS "@:3128",
        "http://proxy.example:", "http://proxy.example:0", "http://proxy.example:65536",
            "http://proxy.example:99999999999", "http://proxy.example:-1",
        "http://proxy.example:8o8o", "http://proxy.example: 80", "http://" CREDENTIALS "@proxy.example:80:80",
            "http://[::1]:0", "http://[::1]:65536",
        "http://proxy.example:3128/path", "http://proxy.example?query", "http://proxy.example#fragment",
            "http://" CREDENTIALS "@proxy.example:3128/x@y",
        "http://[::1", "http://::1", "http://[::1]]", "http://[::1]x", "http://[::1]3128", "http://[]",
            "http://[]:3128", "http://[::g]", "http://[proxy.example]",
        "http://[::1%25lo]", "http://" CREDENTIALS "@[::1",
        "http://proxy..example", "http://.proxy.example", "http://pro xy.example", "http://proxy.example ",
            " http://proxy.example", "http://proxy\texample",
        "http://proxy.example\r\nX-Injected: 1", "http://proxy.ex\x7F" "ample", "http://pro%78y.example",
            "http://proxy/example", "http://pr\\oxy",
        "http://" USER ":PLANTED%@proxy.example", "http://" USER ":PLANTED%4@proxy.example",
            "http://" USER ":PLANTED%4g@proxy.example",
        "http://" USER ":PLANTED%zz@proxy.example", "http://" USER ":PLANTED%%@proxy.example",
            "http://planted%-user:PLANTED@proxy.example",
        "http://" USER ":PLANTED%00@proxy.example", "http://" USER ":PLANTED%0A@proxy.example",
            "http://" USER ":PLANTED%0d%0aX:1@proxy.example",
        "http://" USER ":PLANTED%1F@proxy.example", "http://" USER ":PLANTED%7f@proxy.example",
            "http://planted%09user:PLANTED@proxy.example",
        "http://" USER ":PLAN TED@proxy.example", "http://" USER ":PLANTED\n@proxy.example",
            "http://" USER ":PLAN/TED@proxy.example",
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(urls); i++) {
        char text[COMPSHARE_ERROR_TEXT];
        int r;
        h.config.proxy = urls[i];
        r = compshare_open(&h.client, &h.config);
        if (r != COMPSHARE_E_CONFIG) fail_msg("\"%s\": %s", urls[i], compshare_status_name(r));
        assert_null(h.client);
        compshare_open_text(&h.config, text, sizeof text);
        if (strncmp(text, "proxy: ", 7) != 0 && strstr(text, ": proxy: ") == NULL)
            fail_msg("\"%s\": \"%s\" does not name proxy", urls[i], text);
        if (has_secret(text)) fail_msg("\"%s\": \"%s\" gives the password away", urls[i], text);
    }
}

/* A long user and password is refused or sent whole, never cut. */
static void long_credentials(void **state)
{
    static char url[5000], value[3000];
    static const size_t lengths[] = { 1, 100, 189, 190, 191, 192, 200, 250, 251, 252, 253, 254, 255, 256, 257, 300, 511,
        512, 1000, 2000 };
    size_t i, sent = 0;
    (void)state;
    for (i = 0; i < COUNT(lengths); i++) {
        static const char answer[] = OK_200 "\r\n";
        char text[COMPSHARE_ERROR_TEXT];
        int r;
        configure(gateway.port);
        memset(value, 'x', lengths[i]);
        value[lengths[i]] = '\0';
        snprintf(url, sizeof url, "http://u:%s@proxy.example", value);
        tap_tunnel(&t, &h, answer, gateway.port);
        h.config.proxy = url;
        r = compshare_open(&h.client, &h.config);
        if (r != COMPSHARE_OK) {
            assert_int_equal(r, COMPSHARE_E_CONFIG);
            expect_contains(compshare_open_text(&h.config, text, sizeof text), "proxy");
            continue;
        }
        harness_expect(&h, act(DELETE), COMPSHARE_OK);
        {
            const char *at = strstr(t.head, "Basic ");
            assert_non_null(at);
            assert_int_equal(strcspn(at + 6, "\r"), (lengths[i] + 2 + 2) / 3 * 4);
        }
        sent = lengths[i];
        harness_close(&h);
    }
    assert_true(sent >= 200);
}

/* ---- what a played proxy may answer ---- */

#define FORTY "0000000000000000000000000000000000000000"
static const char *const good[] = {
    OK_200 "\r\n",
    "HTTP/1.0 200 Connection established\r\n\r\n",
    "HTTP/1.1 200 \r\n\r\n",
    "HTTP/1.1 201 Created\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 299 Whatever\r\n\r\n",
    OK_200 "Proxy-Agent: tinyproxy/1.11.1\r\nVia: 1.1 proxy (squid/5.7)\r\nX-Cache: MISS\r\n\r\n",
    OK_200 "Connection: close\r\nProxy-Connection: close\r\n\r\n",
    OK_200 "Content-Length: 0\r\n\r\n",
    OK_200 "Content-Length: 100\r\n\r\n",                       /* RFC 9110 9.3.6: ignored in a 2xx to CONNECT */
    OK_200 "Transfer-Encoding: chunked\r\n\r\n",
    OK_200 "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK_200 "Transfer-Encoding: identity\r\n\r\n",             /* in any form */
    OK_200 "Transfer-Encoding: gzip, chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK_200 "Content-Length: -1\r\nContent-Length: 5\r\n\r\n",
    OK_200 "Content-Length: 18446744073709551616\r\nContent-Length:\r\n\r\n",
    OK_200 "Content-Length: " FORTY FORTY FORTY FORTY FORTY "\r\n\r\n",
    OK_200 "Content-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n" OK_200 "\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" OK_200 "Date: Tue, 02 Jan 2001 03:04:05 GMT\r\n\r\n",
};

static void tunnels_open(void **state)
{
    static const size_t pieces[] = { 0, 1, 2, 3, 7, 50 };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT(good); i++) {
        for (k = 0; k < COUNT(pieces); k++) {
            configure(gateway.port);
            play(good[i], strlen(good[i]), true);
            t.piece = pieces[k];
            t.send_piece = pieces[COUNT(pieces) - 1 - k];
            if (act(REBOOT) != COMPSHARE_OK) fail_msg("%s (pieces of %zu): %s", good[i], pieces[k], last(&h)->detail);
            if (t.too_early) fail_msg("%s: bytes went into the tunnel before it was open", good[i]);
            assert_int_equal(t.open_now, 1);
            harness_expect(&h, act(REBOOT), COMPSHARE_OK);
            assert_int_equal(t.opens, 1);
            harness_close(&h);
            if (has_secret(logged)) fail_msg("%s: a secret was logged: %s", good[i], logged);
        }
    }
    expect_executed(&gateway, REBOOT, (json_int_t)(2 * COUNT(good) * COUNT(pieces)));
}

/* Not one header of the proxy's reply says anything about the API's. */
static void proxy_headers_stay_outside(void **state)
{
    static const char answer[] = OK_200 "Date: Tue, 02 Jan 2001 03:04:05 GMT\r\nX-UCLOUD-REQUEST-UUID: of-the-proxy\r\n"
        "Content-Type: text/csv\r\nRetry-After: 5\r\nContent-Length: 5\r\n\r\n";
    (void)state;
    harness_set(&gateway, "no_date=1");
    play(answer, sizeof answer - 1, true);
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    assert_true(compshare_server_time(h.client) == 0);
    assert_string_not_equal(last(&h)->request_id, "of-the-proxy");
    assert_int_equal(last(&h)->http_status, 200);
    harness_close(&h);
    harness_set(&gateway, "no_date=0&clock=1900000000");
    harness_open(&h);
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    assert_true(compshare_server_time(h.client) >= 1900000000 && compshare_server_time(h.client) < 1900000060);
    /* and after a refusal by the proxy itself */
    harness_close(&h);
    t.answer = "HTTP/1.1 502 Bad Gateway\r\nDate: Tue, 02 Jan 2001 03:04:05 GMT\r\n\r\n";
    t.answer_len = strlen(t.answer);
    t.tunnel = false;
    harness_open(&h);
    expect_failure(&h, act(DELETE), COMPSHARE_E_PROXY, COMPSHARE_STAGE_CONNECT, false);
    assert_true(compshare_server_time(h.client) == 0);
}

/* A failure of the tunnel, with all that must be true of it. The client lives on. */
static void refused(const char *what, int got, int want, const char *words)
{
    char text[COMPSHARE_ERROR_TEXT];
    const compshare_error *e = last(&h);
    compshare_error_text(h.client, text, sizeof text);
    note_error();
    if (got != want)
        fail_msg("%s: %s where %s was expected: %s", what, compshare_status_name(got), compshare_status_name(want),
            text);
    if (e->status != want || e->stage != COMPSHARE_STAGE_CONNECT || e->outcome_unknown)
        fail_msg("%s: status %d, stage %d, outcome_unknown %d: %s", what, e->status, e->stage, e->outcome_unknown,
            text);
    if (strstr(text, words) == NULL) fail_msg("%s: \"%s\" is not in: %s", what, words, text);
    if (words[0] >= '3' && words[0] <= '5' && strstr(text, "proxy") == NULL)
        fail_msg("%s: the proxy is not named: %s", what, text);
    if (has_secret(logged)) fail_msg("%s: a secret was logged: %s", what, logged);
    assert_int_equal(e->ret_code, 0);
    assert_int_equal(e->tls_code, 0);
    assert_int_equal(t.open_now, 0);
    assert_int_equal(t.hello_len, 0);       /* TLS never began */
    if (t.too_early) fail_msg("%s: bytes went into a tunnel that was never open", what);
}

#define HTML "<html><body>planted page</body></html>"

static const struct { const char *answer, *words; } refusals[] = {
    { "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: "
        "38\r\n\r\n" HTML, "407" },
    { "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407" },
    { "HTTP/1.0 403 Forbidden\r\nContent-Type: text/html\r\n\r\n" HTML, "403" },
    { "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "400" },
    { "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n26\r\n" HTML "\r\n0\r\n\r\n", "404" },
    { "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n", "405" },
    { "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n\r\n", "429" },
    { "HTTP/1.1 301 Moved\r\nLocation: https://evil.example/\r\n\r\n", "301" },
    { "HTTP/1.1 304 Not Modified\r\n\r\n", "304" },
    { "HTTP/1.1 500 Internal Server Error\r\n\r\n", "500" },
    { "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 38\r\n\r\n" HTML, "502" },
    { "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n", "503" },
    { "HTTP/1.1 504 Gateway Timeout\r\n\r\n", "504" },
    { "HTTP/1.1 599 x\r\n\r\n", "599" },
    { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407" },
};

static void refusals_are_named(void **state)
{
    static const size_t pieces[] = { 0, 1, 5 };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT(refusals); i++) {
        for (k = 0; k < COUNT(pieces); k++) {
            configure(gateway.port);
            play(refusals[i].answer, strlen(refusals[i].answer), false);
            t.piece = pieces[k];
            refused(refusals[i].answer, act(REBOOT), COMPSHARE_E_PROXY, refusals[i].words);
            assert_int_equal(t.opens, 1);
            t.answer = good[0];
            t.answer_len = strlen(good[0]);
            t.tunnel = true;
            harness_expect(&h, act(DELETE), COMPSHARE_OK);
            harness_close(&h);
        }
    }
    expect_requested(&gateway, REBOOT, 0);
}

/* What is no reply to CONNECT at all. */
static const char *const malformed[] = {
    "SSH-2.0-OpenSSH_9.2\r\n",
    "\x15\x03\x03\x00\x02\x02\x46 a proxy that wants TLS itself",
    "220 mail.example ESMTP\r\n",
    "\r\n\r\n",
    "\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/1.1 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 -20 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 600 OK\r\n\r\n",
    "http/1.1 200 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    " HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\n\n",
    "HTTP/1.1 200 OK\nVia: x\n\n",
    "HTTP/1.1 200 OK\r\nVia: x\n\r\n",
    "HTTP/1.1 200 OK\r\nVia: x\rY: z\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
    "HTTP/1.1 200 OK\r\nName : space\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
};

static void malformed_replies(void **state)
{
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT(malformed); i++) {
        for (k = 0; k < 3; k++) {
            configure(gateway.port);
            play(malformed[i], strlen(malformed[i]), false);
            t.piece = k == 1 ? 1 : 0;
            t.behind = k == 2 ? TAP_END : TAP_STALL;
            refused(malformed[i], act(REBOOT), COMPSHARE_E_PROXY, "");
            harness_close(&h);
        }
    }
    configure(gateway.port);        /* with a NUL in it */
    play("HTTP/1.1 200 OK\r\nVia: a\0b\r\n\r\n", 28, false);
    refused("NUL", act(REBOOT), COMPSHARE_E_PROXY, "");
}

/* TLS begins with the client: a byte behind the head is no part of it. */
static void surplus_bytes(void **state)
{
    static const char *const answers[] = {
        OK_200 "\r\nx",
        OK_200 "\r\n\r\n",
        OK_200 "Content-Length: 5\r\n\r\nhello",
        OK_200 "\r\n\x16\x03\x03\x00\x04\x02\x00\x00\x00",
        OK_200 "\r\nHTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"RetCode\":0}",
        "HTTP/1.1 204 No Content\r\n\r\n{\"RetCode\":0}",
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(answers); i++) {
        configure(gateway.port);
        play(answers[i], strlen(answers[i]), true);
        refused(answers[i], act(REBOOT), COMPSHARE_E_PROXY, "");
        harness_close(&h);
    }
    /* a byte that comes behind the last one of the head breaks TLS, if nothing sooner */
    for (i = 0; i < COUNT(answers); i++) {
        int r;
        configure(gateway.port);
        play(answers[i], strlen(answers[i]), true);
        t.piece = 1;
        r = act(REBOOT);
        if (r != COMPSHARE_E_PROXY && r != COMPSHARE_E_TLS) fail_msg("%s: %s", answers[i], compshare_status_name(r));
        assert_false(last(&h)->outcome_unknown);
        harness_close(&h);
    }
    expect_count(&gateway, "requests", 0);
}

/* Nobody's memory is endless, nobody's patience either. */
static void endless_heads(void **state)
{
    static char flood[300000];
    static const char *const lines[] = { "X-Header: value\r\n", "a", "X: y\r\n folded\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n" };
    size_t i, n;
    (void)state;
    for (i = 0; i <= COUNT(lines); i++) {
        size_t each = i < COUNT(lines) ? strlen(lines[i]) : 1;
        n = (size_t)snprintf(flood, sizeof flood, "%s", i == 3 ? "" : i == 1 ? "HTTP/1.1 200 " : OK_200);
        for (; n + each < sizeof flood; n += each) memcpy(flood + n, i < COUNT(lines) ? lines[i] : "n", each);
        configure(gateway.port);
        play(flood, n, false);
        refused("a flood", act(REBOOT), COMPSHARE_E_PROXY, "");
        if (t.answer_at > 100000) fail_msg("flood %zu: %zu bytes were read", i, t.answer_at);
        harness_close(&h);
    }
}

/* The reply ends, breaks off or stalls after every byte of it. */
static void cut_and_stalled(void **state)
{
    static const char answer[] = OK_200 "Via: x\r\n\r\n";
    size_t n;
    int behind;
    (void)state;
    for (n = 0; n < sizeof answer - 1; n++) {
        for (behind = TAP_STALL; behind <= TAP_ERROR; behind++) {
            uint64_t before;
            configure(gateway.port);
            play(answer, n, false);
            t.behind = behind;
            h.config.connect_timeout_ms = 0;
            before = h.clock.ms;
            refused("cut", act(REBOOT), behind == TAP_STALL ? COMPSHARE_E_TIMEOUT : behind == TAP_END
                ? COMPSHARE_E_CLOSED : COMPSHARE_E_IO,
                "gate.example:3128");
            assert_true(last(&h)->retryable);
            if (behind == TAP_STALL) assert_true(h.clock.ms - before >= 5000 && h.clock.ms - before < 6000);
            else assert_true(h.clock.ms == before);
            harness_close(&h);
        }
    }
    expect_count(&gateway, "requests", 0);
}

/* connect_timeout_ms is for the proxy, the tunnel and TLS together. */
static void one_time_for_all(void **state)
{
    static const char answer[] = OK_200 "\r\n";
    (void)state;
    configure(gateway.port);
    tap_insert(&t, &h, true);
    t.answer = answer;
    t.answer_len = sizeof answer - 2;
    h.config.proxy = "http://proxy.example";
    h.config.connect_timeout_ms = 700;
    harness_open(&h);
    refused("short", act(REBOOT), COMPSHARE_E_TIMEOUT, "700 ms");
    assert_true(t.passed >= 700 && t.passed < 1700);
    harness_close(&h);
    h.config.connect_timeout_ms = 60000;        /* timeout_ms ends it sooner */
    h.config.timeout_ms = 900;
    tap_insert(&t, &h, true);
    t.answer = answer;
    t.answer_len = sizeof answer - 2;
    harness_open(&h);
    refused("the whole call", act(REBOOT), COMPSHARE_E_TIMEOUT, "900 ms");
    assert_true(t.passed >= 900 && t.passed < 1900);
}

/* In steps, with a byte for each of them; given up after each. */
static void steps_and_aborts(void **state)
{
    static const char answer[] = OK_200 "\r\n";
    int steps = 0, in_connect = 0;
    bool ended = false;
    (void)state;
    while (!ended) {
        compshare_param p = compshare_text("UHostId", "uhost-0001");
        int k, r = COMPSHARE_PENDING;
        configure(gateway.port);
        play(answer, sizeof answer - 1, true);
        t.piece = t.send_piece = steps % 2 == 0 ? 1 : 0;
        harness_expect(&h, compshare_call_start(h.client, DELETE, &p, 1), COMPSHARE_OK);
        for (k = 0; k < steps && r == COMPSHARE_PENDING; k++) {
            uint32_t timeout;
            r = compshare_step(h.client);
            if (r == COMPSHARE_PENDING && (timeout = compshare_timeout_ms(h.client)) > 0)
                tap_wait(&t, compshare_wants(h.client), timeout);
        }
        ended = r != COMPSHARE_PENDING;
        if (ended) {
            harness_expect(&h, r, COMPSHARE_OK);
        } else {
            bool was_sent = h.client->connection.tls.sent;
            assert_int_equal(compshare_abort(h.client), COMPSHARE_E_ABORTED);
            assert_true(last(&h)->outcome_unknown == was_sent);
            in_connect += last(&h)->stage == COMPSHARE_STAGE_CONNECT;
            note_error();
        }
        assert_false(t.too_early);
        t.piece = t.send_piece = 0;
        harness_expect(&h, act(DELETE), COMPSHARE_OK);
        harness_close(&h);
        steps++;
    }
    assert_true(steps > 5);
    assert_true(in_connect > 0);
}

/* A piece of what was sent as Proxy-Authorization, from its beginning or its end. */
static bool block_holds_password(void)
{
    const char *at = strstr(t.head, "Basic ");
    size_t len, i;
    assert_non_null(at);
    at += 6;
    len = strcspn(at, "\r");
    for (i = 4; i + 16 <= len; i += 4)
        if (memmem(h.memory, sizeof h.memory, at + i, 16) != NULL) return true;
    return memmem(h.memory, sizeof h.memory, "PLANTED:", 8) != NULL;
}

/* The block holds the password while it is sent, and afterwards no longer. */
static void password_is_wiped(void **state)
{
    static const char answer[] = OK_200 "\r\n";
    /* longer than what TLS writes to the same place */
    static const char url[] =
        "http://" CREDENTIALS "-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789-abcdefghijklmnopqrstuvwxyz"
        "-ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789-abcdefghijklmnopqrstuvwxyz@gate.example:3128";
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    size_t i;
    (void)state;
    configure(gateway.port);
    memset(h.memory, 0xEE, sizeof h.memory);
    play(answer, sizeof answer - 1, true);
    harness_close(&h);
    h.config.proxy = url;
    harness_open(&h);
    harness_expect(&h, act(DELETE), COMPSHARE_OK);
    if (block_holds_password()) fail_msg("the password stays in the block after the call");
    harness_close(&h);
    t.tunnel = false;
    t.answer = refusals[0].answer;
    t.answer_len = strlen(refusals[0].answer);
    harness_open(&h);
    refused("407", act(DELETE), COMPSHARE_E_PROXY, "407");
    if (block_holds_password()) fail_msg("the password stays in the block after a refusal");
    t.behind = TAP_STALL;
    t.answer_len = 10;
    refused("a timeout", act(DELETE), COMPSHARE_E_TIMEOUT, "gate.example");
    if (block_holds_password()) fail_msg("the password stays in the block after a timeout");
    harness_expect(&h, compshare_call_start(h.client, DELETE, &p, 1), COMPSHARE_OK);
    for (i = 0; i < 5; i++) assert_int_equal(compshare_step(h.client), COMPSHARE_PENDING);
    assert_int_equal(compshare_abort(h.client), COMPSHARE_E_ABORTED);
    if (block_holds_password()) fail_msg("the password stays in the block after an abort");
    harness_expect(&h, compshare_call_start(h.client, DELETE, &p, 1), COMPSHARE_OK);
    for (i = 0; i < 5; i++) assert_int_equal(compshare_step(h.client), COMPSHARE_PENDING);
    harness_close(&h);
    for (i = 0; i < sizeof h.memory; i++) assert_int_equal(h.memory[i], 0);
}

/* A kept connection that died is opened again, tunnel and all. */
static void dead_tunnels_are_dug_again(void **state)
{
    static const char answer[] = OK_200 "\r\n";
    (void)state;
    play(answer, sizeof answer - 1, true);
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    assert_int_equal(shutdown(t.posix.fd, SHUT_RDWR), 0);
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    assert_int_equal(t.opens, 2);
    expect_contains(t.head, "CONNECT localhost:");
    expect_executed(&gateway, REBOOT, 2);
    harness_set(&gateway, "drop_after=1");
    harness_expect(&h, act(DELETE), COMPSHARE_OK);      /* once more, its class is "always" */
    assert_int_equal(t.opens, 3);
    harness_set(&gateway, "drop_after=1");
    assert_true(act(REBOOT) < 0);
    assert_true(last(&h)->outcome_unknown);
    assert_int_equal(t.opens, 3);
    expect_executed(&gateway, REBOOT, 3);
}

/* Until the tunnel is open nothing was sent: a proxy that is busy is asked again, for
   any action, one that says no is not. */
static void open_now(shim *tapped)
{
    tapped->answer = good[0];
    tapped->answer_len = strlen(good[0]);
    tapped->tunnel = true;
}

static void retries(void **state)
{
    static const struct { const char *answer; bool again; } rows[] = {
        { "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nbusy", true },
        { "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\n\r\n", true },
        { "HTTP/1.1 504 Gateway Timeout\r\n\r\n", true },
        { "HTTP/1.1 2", true },                     /* ends there */
        { "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", false },
        { "HTTP/1.1 403 Forbidden\r\n\r\n", false },
        { OK_200 "\r\nsurplus", false },
        { "SSH-2.0-OpenSSH_9.2\r\n", false },
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        configure(gateway.port);
        h.config.max_retries = 3;
        play(rows[i].answer, strlen(rows[i].answer), false);
        t.behind = TAP_END;
        t.on_pause = open_now;
        if (rows[i].again) {
            if (act(REBOOT) != COMPSHARE_OK) fail_msg("%s: %s", rows[i].answer, last(&h)->detail);
            assert_int_equal(t.opens, 2);
            assert_int_equal(t.pause_count, 1);
            assert_true(strstr(rows[i].answer, "Retry-After") == NULL || t.pauses[0] >= 3000);
        } else {
            refused(rows[i].answer, act(REBOOT), COMPSHARE_E_PROXY, "");
            assert_int_equal(t.opens, 1);
            assert_int_equal(t.pause_count, 0);
        }
        harness_close(&h);
    }
    expect_executed(&gateway, REBOOT, 4);
}

/* ---- whose certificate ---- */

/* The proxy's name and the origin's certificate agree, which says nothing. */
static void the_origin_is_verified(void **state)
{
    static const char answer[] = OK_200 "\r\n";
    harness_process wrong = harness_gateway("wronghost", NULL), unknown = harness_gateway("unknown", NULL);
    (void)state;
    configure(wrong.port);
    tap_tunnel(&t, &h, answer, wrong.port);
    h.config.proxy = "http://other.example:3128";       /* the name in that certificate */
    harness_open(&h);
    expect_failure(&h, act(REBOOT), COMPSHARE_E_CERTIFICATE, COMPSHARE_STAGE_HANDSHAKE, false);
    expect_contains(last(&h)->detail, "certificate is for another host");
    expect_contains(last(&h)->detail, "localhost:");
    t.real_port = unknown.port;         /* a proxy that reads along */
    expect_failure(&h, act(REBOOT), COMPSHARE_E_CERTIFICATE, COMPSHARE_STAGE_HANDSHAKE, false);
    expect_contains(last(&h)->detail, "no trusted root");
    expect_count(&wrong, "requests", 0);
    expect_count(&unknown, "requests", 0);
    harness_close(&h);
    harness_stop(&wrong);
    harness_stop(&unknown);
}

/* ---- tinyproxy ---- */

/* It knows only letters, digits and -._ in its configuration. */
#define AUTH "BasicAuth " USER " PLANTED.pass-word\n"
#define AUTH_USERINFO USER ":PLANTED%2Epass%2dword"

static bool tinyproxy(peer *p, bool v6, const char *more)
{
    *p = peer_tinyproxy(v6, more);
    return p->pid != 0;
}

static void through_tinyproxy(void **state)
{
    peer p;
    int i;
    (void)state;
    if (!tinyproxy(&p, false, NULL)) skip();
    use_proxy("", "127.0.0.1", p.port);
    harness_open(&h);
    for (i = 0; i < 5; i++) harness_expect(&h, act(i % 2 ? DELETE : REBOOT), COMPSHARE_OK);
    expect_count(&gateway, "connections", 1);
    expect_count(&gateway, "handshakes_full", 1);
    peer_await(&p, "log", "CONNECT localhost:", 1);
    assert_true(compshare_server_time(h.client) > 1700000000);
    harness_set(&gateway, "close_every=1");
    for (i = 0; i < 3; i++) harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    peer_await(&p, "log", "CONNECT localhost:", 3);     /* the first of them still took the kept connection */
    expect_count(&gateway, "connections", 3);
    /* by name, and in steps */
    harness_close(&h);
    use_proxy("", "localhost", p.port);
    harness_open(&h);
    {
        compshare_param q = compshare_text("UHostId", "uhost-0001");
        harness_expect(&h, step_to_the_end(h.client, compshare_call_start(h.client, REBOOT, &q, 1)), COMPSHARE_OK);
    }
    harness_close(&h);
    peer_stop(&p);
}

static void with_password(void **state)
{
    static const char *const wrong[] = { "", USER, USER ":", USER ":planted", "other:PLANTED%2Epass%2dword",
        USER ":PLANTED%2Epass%2dworD" };
    peer p;
    size_t i;
    (void)state;
    if (!tinyproxy(&p, false, AUTH)) skip();
    use_proxy(AUTH_USERINFO, "127.0.0.1", p.port);
    harness_open(&h);
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    harness_close(&h);
    for (i = 0; i < COUNT(wrong); i++) {
        configure(gateway.port);
        memset(&t, 0, sizeof t);
        use_proxy(wrong[i], "127.0.0.1", p.port);
        harness_open(&h);
        /* that is how tinyproxy says it */
        refused(wrong[i], act(REBOOT), COMPSHARE_E_PROXY, wrong[i][0] == '\0' ? "407" : "401");
        assert_false(last(&h)->retryable);
        assert_int_equal(compshare_fd(h.client), -1);
        harness_close(&h);
    }
    expect_executed(&gateway, REBOOT, 1);
    peer_stop(&p);
}

static void over_ipv6(void **state)
{
    peer p;
    (void)state;
    if (!tinyproxy(&p, true, NULL)) skip();
    use_proxy("", "[::1]", p.port);
    harness_open(&h);
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    peer_await(&p, "log", "CONNECT localhost:", 1);
    harness_close(&h);
    peer_stop(&p);
}

/* What the proxy cannot or will not reach is told apart from what the API says. */
static void tinyproxy_refuses(void **state)
{
    peer p;
    (void)state;
    memset(&t, 0, sizeof t);
    if (!tinyproxy(&p, false, NULL)) skip();
    use_proxy(CREDENTIALS, "127.0.0.1", p.port);
    snprintf(h.base_url, sizeof h.base_url, "https://localhost:%u", free_port(false));
    harness_open(&h);
    refused("nobody behind it", act(REBOOT), COMPSHARE_E_PROXY, "50");
    harness_close(&h);
    peer_stop(&p);
    if (!tinyproxy(&p, false, "ConnectPort 563\n")) skip();
    configure(gateway.port);
    use_proxy(CREDENTIALS, "127.0.0.1", p.port);
    harness_open(&h);
    refused("a port not allowed", act(REBOOT), COMPSHARE_E_PROXY, "403");
    harness_close(&h);
    /* the proxy goes away under a kept connection, and does not come back */
    peer_stop(&p);
    if (!tinyproxy(&p, false, NULL)) skip();
    configure(gateway.port);
    use_proxy(CREDENTIALS, "127.0.0.1", p.port);
    harness_open(&h);
    harness_expect(&h, act(REBOOT), COMPSHARE_OK);
    peer_stop(&p);
    refused("no proxy", act(REBOOT), COMPSHARE_E_CONNECT, "127.0.0.1:");
    assert_int_equal(last(&h)->sys_errno, ECONNREFUSED);
    assert_null(strstr(last(&h)->detail, "localhost"));
    expect_executed(&gateway, REBOOT, 1);
}

/* All at once: a proxy, a password, a page of instances, a lost reply, a retry. */
static int count_instance(void *user, const compshare_instance *i, compshare_value element)
{
    (void)i;
    (void)element;
    ++*(int *)user;
    return 0;
}

static void big_replies_pass(void **state)
{
    peer p;
    int n = 0;
    (void)state;
    if (!tinyproxy(&p, false, AUTH)) skip();
    harness_set(&gateway, "instances=250");
    use_proxy(AUTH_USERINFO, "127.0.0.1", p.port);
    harness_open(&h);
    harness_expect(&h, compshare_each_instance(h.client, NULL, count_instance, &n), COMPSHARE_OK);
    assert_int_equal(n, 250);
    expect_count(&gateway, "connections", 1);
    harness_close(&h);
    peer_stop(&p);
}

/* ---- raw_server: the same over real sockets ---- */

static void hostile_sockets(void **state)
{
    static const char *const scripts[] = {
        "read-request\nsend \"HTTP/1.1 407 Proxy Authentication Required\\r\\nContent-Length: "
            "4\\r\\n\\r\\nplea\"\nclose\n",
        "read-request\nsend \"HTTP/1.1 200 OK\\r\\n\\r\\nsurplus\"\nstall\n",
        "read-request\nsend-bytes 1 \"HTTP/1.1 502 Bad Gateway\\r\\n\\r\\n\"\nclose\n",
        "read-request\nsend-repeat 20000 \"HTTP/1.1 100 Continue\\r\\n\\r\\n\"\nstall\n",
        "read-request\nsend \"HTTP/1.1 200 OK\\n\\n\"\nstall\n",
        "read-request\nsend \"HTTP/1.1 200 OK\\r\\nVia: \"\nclose\n",
        "refuse\n",
        "read-request\nreset\n",
        NULL };
    static const int want[] = { COMPSHARE_E_PROXY, COMPSHARE_E_PROXY, COMPSHARE_E_PROXY, COMPSHARE_E_PROXY,
        COMPSHARE_E_PROXY,
        COMPSHARE_E_CLOSED, COMPSHARE_E_CLOSED, COMPSHARE_E_IO };
    wire w = wire_serve("plain", scripts);
    size_t i;
    (void)state;
    memset(&t, 0, sizeof t);
    use_proxy(CREDENTIALS, "127.0.0.1", w.server.port);
    harness_open(&h);
    for (i = 0; i < COUNT(want); i++) {
        int r = act(REBOOT);
        /* an end, or a reset that overtook it */
        if (i >= 5 && (r == COMPSHARE_E_IO || r == COMPSHARE_E_CLOSED)) r = want[i];
        if (last(&h)->status != r)
            assert_true(last(&h)->status == COMPSHARE_E_IO || last(&h)->status == COMPSHARE_E_CLOSED);
        else refused(scripts[i], r, want[i], "");
        assert_false(last(&h)->outcome_unknown);
        assert_int_equal(last(&h)->stage, COMPSHARE_STAGE_CONNECT);
    }
    harness_close(&h);
    wire_stop(&w);
}

/* A proxy that says nothing, on real sockets and an injected clock. */
static void silent_sockets(void **state)
{
    static const char *const scripts[] = { "stall\n", "read-request\nstall\n",
        "read-request\nsend \"HTTP/1.1 200 OK\\r\\n\"\nstall\n",
        "read-request\nsend-bytes 1 \"HTTP/1.1 200 OK\\r\\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\nstall\n",
        "read-request\nsend \"HTTP/1.1 200 OK\\r\\n\\r\\n\"\nstall\n", NULL };
    static const char *const marks[] = { "conn 1 accepted", "conn 2 request", "conn 3 request", "conn 4 request",
        "conn 5 request" };
    wire w = wire_serve("plain", scripts);
    size_t i;
    (void)state;
    tap_insert(&t, &h, true);
    t.until = &w;
    use_proxy(CREDENTIALS, "127.0.0.1", w.server.port);
    harness_open(&h);
    for (i = 0; i < COUNT(marks); i++) {
        uint64_t before = h.clock.ms;
        t.mark = marks[i];
        harness_expect(&h, act(REBOOT), COMPSHARE_E_TIMEOUT);
        note_error();
        assert_true(h.clock.ms - before >= 5000 && h.clock.ms - before < 6000);
        assert_int_equal(last(&h)->stage, i < 4 ? COMPSHARE_STAGE_CONNECT : COMPSHARE_STAGE_HANDSHAKE);
        expect_contains(last(&h)->detail, i < 4 ? "127.0.0.1:" : "localhost:");
        assert_false(last(&h)->outcome_unknown);
    }
    harness_close(&h);
    wire_stop(&w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done_in_silence)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(settings_accepted), T(connect_names_the_origin), T(settings_refused), T(long_credentials), T(tunnels_open),
            T(proxy_headers_stay_outside),
        T(refusals_are_named), T(malformed_replies), T(surplus_bytes), T(endless_heads), T(cut_and_stalled),
            T(one_time_for_all),
        T(steps_and_aborts), T(password_is_wiped), T(retries), T(dead_tunnels_are_dug_again), T(the_origin_is_verified),
        T(through_tinyproxy), T(with_password), T(over_ipv6), T(tinyproxy_refuses), T(big_replies_pass),
            T(hostile_sockets), T(silent_sockets)
    };
    return cmocka_run_group_tests_name("proxy", tests, start, stop);
}
