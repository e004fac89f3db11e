/* Hostile and merely unusual TLS: every wrong certificate, version, suite and
   byte must be refused, with its own sentence, before one byte of a request has
   left. The peers are `openssl s_server`, tests/raw and the gateway; the
   certificates come from tests/scripts/certs.sh. Nothing here judges by wall time. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "transport.h"


/* ---- files ---- */

static char directory[64];

static const char *temporary(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    return harness_path(paths[next++ % 8], sizeof paths[0], directory, name);
}

static char *slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t n = 0, got;
    assert_non_null(f);
    do {
        text = (char *)realloc(text, n + 65537);
        assert_non_null(text);
        got = fread(text + n, 1, 65536, f);
        n += got;
    } while (got > 0);
    fclose(f);
    text[n] = '\0';
    if (len != NULL) *len = n;
    return text;
}

static const char *spill(const char *name, const void *data, size_t len)
{
    const char *path = temporary(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fwrite(data, 1, len, f) == len);
    assert_int_equal(fclose(f), 0);
    return path;
}

static size_t occurrences(const char *text, const char *what)
{
    size_t n = 0;
    for (text = strstr(text, what); text != NULL; text = strstr(text + 1, what)) n++;
    return n;
}

static size_t in_file(const char *path, const char *what)
{
    char *text = slurp(path, NULL);
    size_t n = occurrences(text, what);
    free(text);
    return n;
}

/* ---- servers ---- */

typedef struct server {
    harness_process process;
    int input;              /* what s_server is to say; -1: none */
    bool openssl;
    char log[80];
} server;

static server *running[16];
static unsigned serial;

static server *server_new(void)
{
    size_t i;
    server *s = (server *)calloc(1, sizeof *s);
    assert_non_null(s);
    s->input = -1;
    for (i = 0; i < COUNT(running) && running[i] != NULL; i++) {}
    assert_true(i < COUNT(running));
    running[i] = s;
    snprintf(s->log, sizeof s->log, "%s/log%u", directory, serial++);
    return s;
}

static void server_stop(server *s)
{
    size_t i;
    if (s->input >= 0) close(s->input);
    harness_stop(&s->process);
    for (i = 0; i < COUNT(running); i++)
        if (running[i] == s) running[i] = NULL;
    unlink(s->log);
    free(s);
}

static int descriptors(void)
{
    int fd, n = 0;
    for (fd = 0; fd < 1024; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static int descriptors_before;

static int count_descriptors(void **state)
{
    (void)state;
    descriptors_before = descriptors();
    return 0;
}

/* After every test, failed ones included. Whoever has closed its clients has no
   more descriptors than before. */
static int stop_all(void **state)
{
    size_t i;
    int after;
    (void)state;
    for (i = 0; i < COUNT(running); i++)
        if (running[i] != NULL) server_stop(running[i]);
    after = descriptors();
    if (after > descriptors_before) fprintf(stderr, "%d descriptors are left open\n", after - descriptors_before);
    return after > descriptors_before ? -1 : 0;
}

/* Appends the words of a string to a list of arguments. */
static int words_into(const char **argv, int argc, char *words)
{
    char *word;
    for (word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc < 40);
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    return argc;
}

/* The chain without its first certificate: s_server takes the leaf apart. */
static const char *intermediates(const char *chain)
{
    static const char begin[] = "-----BEGIN";
    char name[64], *text, *second;
    const char *path = NULL;
    snprintf(name, sizeof name, "%s-chain.pem", chain);
    text = slurp(harness_cert(name), NULL);
    second = strstr(strstr(text, begin) + 1, begin);
    if (second != NULL) {
        snprintf(name, sizeof name, "inter%u.pem", serial++);
        path = spill(name, second, strlen(second));
    }
    free(text);
    return path;
}

/* `openssl s_server` for one connection; options are divided by spaces. */
static server *serve_openssl(const char *chain, const char *options)
{
    char cert[64], key[64], words[256], number[16];
    const char *argv[42] = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-cert" };
    const char *more = intermediates(chain);
    server *s = server_new();
    int argc = 7, pipes[2], tries;
    snprintf(cert, sizeof cert, "%s-chain.pem", chain);
    snprintf(key, sizeof key, "%s-key.pem", chain);
    snprintf(words, sizeof words, "%s", options);
    argv[argc++] = harness_cert(cert);
    argv[argc++] = "-key";
    argv[argc++] = harness_cert(key);
    if (more != NULL) {
        argv[argc++] = "-cert_chain";
        argv[argc++] = more;
    }
    words_into(argv, argc, words);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    s->openssl = true;
    s->input = pipes[1];
    fclose(fopen(s->log, "w"));
    s->process.pid = harness_spawn(argv, pipes[0], s->log);
    close(pipes[0]);
    for (tries = 0; tries < 1000 && s->process.port == 0; tries++) {
        char *log = slurp(s->log, NULL);
        const char *at = strstr(log, "ACCEPT 127.0.0.1:");
        if (at != NULL && strchr(at, '\n') != NULL && sscanf(at, "ACCEPT 127.0.0.1:%15[0-9]", number) == 1)
            s->process.port = (unsigned)strtoul(number, NULL, 10);
        if (s->process.port == 0 && waitpid(s->process.pid, NULL, WNOHANG) != 0) {
            s->process.pid = 0;
            fail_msg("s_server %s: %s", options, log);
        }
        free(log);
        if (s->process.port == 0) harness_sleep_ms(5);
    }
    assert_true(s->process.port != 0);
    return s;
}

/* tests/raw with one script per connection; chain NULL: plain TCP. */
static server *serve_raw(const char *chain, const char *options, const char *const *scripts)
{
    char cert[64], key[64], words[128], paths[32][80];
    const char *argv[62];
    server *s = server_new();
    int argc = 0, i;
    snprintf(words, sizeof words, "%s", options);
    argv[argc++] = harness_program("raw_server");
    argv[argc++] = "--log";
    argv[argc++] = s->log;
    if (chain != NULL) {
        snprintf(cert, sizeof cert, "%s-chain.pem", chain);
        snprintf(key, sizeof key, "%s-key.pem", chain);
        argv[argc++] = "--cert";
        argv[argc++] = harness_cert(cert);
        argv[argc++] = "--key";
        argv[argc++] = harness_cert(key);
    } else {
        argv[argc++] = "--plain";
    }
    argc = words_into(argv, argc, words);
    for (i = 0; scripts[i] != NULL && i < 32; i++) {
        char name[32];
        snprintf(name, sizeof name, "script%u", serial++);
        snprintf(paths[i], sizeof paths[i], "%s", spill(name, scripts[i], strlen(scripts[i])));
        argv[argc++] = paths[i];
    }
    assert_null(scripts[i]);
    argv[argc] = NULL;
    s->process = harness_serve(argv);
    return s;
}

#define REPLY(headers, body) "HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n" headers "\\r\\n" body
#define GOOD "read-request\nsend \"" REPLY("Content-Length: 13\\r\\nConnection: close\\r\\n", "{\\\"RetCode\\\":0}") "\"\nclose\n"

/* Waits until the peer is done with its connections, and says how many requests,
   or pieces of one, it has seen. */
static size_t server_requests(server *s, unsigned connections)
{
    char closed[40];
    size_t n;
    int tries;
    if (s->openssl) {
        for (tries = 0; tries < 1000 && waitpid(s->process.pid, NULL, WNOHANG) == 0; tries++) harness_sleep_ms(5);
        if (tries == 1000) fail_msg("s_server did not end");
        s->process.pid = 0;
        return in_file(s->log, "POST /") + in_file(s->log, "Action=");
    }
    snprintf(closed, sizeof closed, "conn %u closed\n", connections);
    for (tries = 0; connections > 0 && tries < 1000 && in_file(s->log, closed) == 0; tries++) harness_sleep_ms(5);
    if (connections > 0 && tries == 1000) fail_msg("the server's connection %u did not end", connections);
    n = in_file(s->log, " request ");
    return n;
}

/* ---- calls ---- */

static int call(harness_client *h)
{
    return compshare_call(h->client, "GetProjectList", NULL, 0);
}

/* The same in steps, while s_server is given its reply once it shows a request. */
static int call_openssl(harness_client *h, server *s, const char *reply, size_t len)
{
    int r = compshare_call_start(h->client, "GetProjectList", NULL, 0);
    bool answered = false;
    int rounds;
    if (r != COMPSHARE_OK) return r;
    for (rounds = 0; (r = compshare_step(h->client)) == COMPSHARE_PENDING; rounds++) {
        assert_true(rounds < 10000);
        if (compshare_timeout_ms(h->client) > 0) poll_for(compshare_fd(h->client), compshare_wants(h->client), 5);
        if (answered || in_file(s->log, "Action=GetProjectList&") == 0) continue;
        assert_true(write(s->input, reply, len) == (ssize_t)len);
        answered = true;
    }
    return r;
}

/* ---- sentences ---- */

/* Everything that error texts said: what means something else must say so in
   words, not by its number alone. */
static struct { char name[48], words[96], text[1024]; } said[96];
static size_t said_count;

/* Takes out what differs anyway: port, BearSSL's number, the temporary directory. */
static void plain_words(char *text)
{
    char *at = strstr(text, "localhost:"), *end;
    if (at != NULL) {
        at += strlen("localhost");
        end = at + 1 + strspn(at + 1, "0123456789");
        memmove(at, end, strlen(end) + 1);
    }
    at = strstr(text, " (BearSSL ");
    if (at != NULL) *at = '\0';
    while ((at = strchr(text, '/')) != NULL) {
        end = at + strcspn(at, " ,");
        memmove(at, end, strlen(end) + 1);
    }
}

static void remember(const char *name, const char *words, const char *text)
{
    assert_true(said_count < COUNT(said));
    snprintf(said[said_count].name, sizeof said[0].name, "%s", name);
    snprintf(said[said_count].words, sizeof said[0].words, "%s", words);
    snprintf(said[said_count].text, sizeof said[0].text, "%s", text);
    plain_words(said[said_count++].text);
}

/* Every word of "one|another" is in the text. */
static void has_words(const char *name, const char *text, const char *words)
{
    char copy[160], *word;
    snprintf(copy, sizeof copy, "%s", words);
    for (word = strtok(copy, "|"); word != NULL; word = strtok(NULL, "|"))
        if (strstr(text, word) == NULL) fail_msg("%s: \"%s\" is not in: %s", name, word, text);
}

/* A refusal before the request: all that must be true of it. tls_code -1: any. */
static void refused(const harness_client *h, int r, const char *name, int status, int tls_code, int stage,
    const char *words)
{
    const compshare_error *e = compshare_last_error(h->client);
    char text[1024];
    compshare_error_text(h->client, text, sizeof text);
    if (r != status || e->status != status)
        fail_msg("%s: %s (BearSSL %d) where %s was expected: %s", name, compshare_status_name(r), e->tls_code,
            compshare_status_name(status), text);
    if (tls_code >= 0 && e->tls_code != tls_code)
        fail_msg("%s: tls_code %d where %d was expected: %s", name, e->tls_code, tls_code, text);
    if (e->stage != stage) fail_msg("%s: stage %d where %d was expected: %s", name, e->stage, stage, text);
    if (e->outcome_unknown) fail_msg("%s: outcome_unknown although nothing was sent: %s", name, text);
    assert_int_equal(e->http_status, 0);
    assert_int_equal(e->ret_code, 0);
    assert_string_equal(e->message, "");
    assert_string_equal(e->request_id, "");
    assert_string_equal(e->action, "GetProjectList");
    assert_false(compshare_type(compshare_reply(h->client)) != COMPSHARE_NONE);
    assert_true(strchr(text, '\n') == NULL);
    has_words(name, text, words);
    remember(name, words, text);
}

/* ---- refused handshakes ---- */

#define WEAK "-cipher ALL:@SECLEVEL=0"

/* Where BearSSL itself cannot tell, the sentence names every cause. */
#define NO_ROOT "no trusted root|or an intermediate certificate is missing"
#define NO_COMMON "no common cipher|client certificate"

static const struct {
    const char *name, *chain, *options;
    int status, tls_code;
    const char *words;
} refusals[] = {
    { "wrong host", "wronghost", "", COMPSHARE_E_CERTIFICATE, 56, "certificate is for another host" },
    { "wildcard of another domain", "wildcard", "", COMPSHARE_E_CERTIFICATE, 56, "certificate is for another host" },
    { "address in CN only", "ip", "", COMPSHARE_E_CERTIFICATE, 56, "certificate is for another host" },
    { "address in SAN only", "ipsan", "", COMPSHARE_E_CERTIFICATE, 56, "certificate is for another host" },
    { "expired", "expired", "", COMPSHARE_E_CERTIFICATE, 54, "expired or not yet valid|clock|UTC" },
    { "not yet valid", "notyet", "", COMPSHARE_E_CERTIFICATE, 54, "expired or not yet valid|clock|UTC" },
    { "self-signed", "selfsigned", "", COMPSHARE_E_CERTIFICATE, 62, NO_ROOT },
    { "unknown root", "unknown", "", COMPSHARE_E_CERTIFICATE, 62, NO_ROOT },
    { "missing intermediate", "leafonly", "", COMPSHARE_E_CERTIFICATE, 62, NO_ROOT },
    { "reversed chain", "reversed", "", COMPSHARE_E_CERTIFICATE, 55, "chain is out of order" },
    { "RSA 1024", "rsa1024", WEAK, COMPSHARE_E_CERTIFICATE, 60, "shorter than RSA 2048" },
    { "SHA-1 signature", "sha1", WEAK, COMPSHARE_E_CERTIFICATE, 49, "not supported|SHA-1|PSS" },
    { "PSS signature", "pss", "", COMPSHARE_E_CERTIFICATE, 49, "not supported|SHA-1|PSS" },
    { "critical extension", "critext", "", COMPSHARE_E_CERTIFICATE, 57, "critical extension" },
    { "intermediate is no CA", "notca", "", COMPSHARE_E_CERTIFICATE, 58, "not a CA" },
    { "TLS 1.0 only", "rsa", "-tls1 " WEAK, COMPSHARE_E_TLS, 296, NO_COMMON },
    { "TLS 1.1 only", "rsa", "-tls1_1 " WEAK, COMPSHARE_E_TLS, 296, NO_COMMON },
    { "TLS 1.3 only", "rsa", "-tls1_3", COMPSHARE_E_TLS, 326, "refuses TLS 1.2" },
    { "CBC only", "rsa", "-cipher ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384",
        COMPSHARE_E_TLS, 296, NO_COMMON },
    { "static RSA only", "rsa", "-cipher AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA", COMPSHARE_E_TLS, 296,
        NO_COMMON },
    { "DHE only", "rsa", "-cipher DHE-RSA-AES128-GCM-SHA256:DHE-RSA-CHACHA20-POLY1305", COMPSHARE_E_TLS, 296,
        NO_COMMON },
    { "ECDSA suites with an RSA key", "rsa", "-cipher ECDHE-ECDSA-AES128-GCM-SHA256", COMPSHARE_E_TLS, 296, NO_COMMON },
    { "PSS key exchange only", "rsa", "-sigalgs RSA-PSS+SHA256:RSA-PSS+SHA384", COMPSHARE_E_TLS, 296, NO_COMMON },
    { "P-224 only", "rsa", "-groups P-224", COMPSHARE_E_TLS, 296, NO_COMMON },
    { "X448 only", "rsa", "-groups X448", COMPSHARE_E_TLS, 296, NO_COMMON },
    { "client certificate demanded", "rsa", "-Verify 1 -verify_return_error", COMPSHARE_E_TLS, 296, NO_COMMON },
    { "HTTP/2 only", "rsa", "-alpn h2", COMPSHARE_E_TLS, 376, "http/1.1" },
};

static void test_handshakes_refused(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(refusals); i++) {
        static harness_client h;
        server *s = serve_openssl(refusals[i].chain, refusals[i].options);
        int r;
        harness_configure(&h, s->process.port);
        harness_open(&h);
        r = call(&h);
        refused(&h, r, refusals[i].name, refusals[i].status, refusals[i].tls_code, COMPSHARE_STAGE_HANDSHAKE,
            refusals[i].words);
        harness_close(&h);
        if (server_requests(s, 1) != 0) fail_msg("%s: the server has seen a request", refusals[i].name);
        server_stop(s);
    }
}

/* The clock that a date is judged by must be in the text. */
static void test_expired_shows_clock(void **state)
{
    static harness_client h;
    server *s = serve_openssl("expired", "");
    char text[1024], year[32];
    time_t now = time(NULL);
    struct tm tm;
    (void)state;
    harness_configure(&h, s->process.port);
    harness_open(&h);
    assert_int_equal(call(&h), COMPSHARE_E_CERTIFICATE);
    gmtime_r(&now, &tm);
    strftime(year, sizeof year, "%Y-%m-", &tm);
    has_words("expired", compshare_error_text(h.client, text, sizeof text), year);
    harness_close(&h);
    server_stop(s);
}

/* What no TLS library would say. */
static const struct {
    const char *name, *script;
    int status, tls_code;
    const char *words;
} babble[] = {
    { "plain HTTP", "read 50\nsend \"HTTP/1.1 400 Bad Request\\r\\nContent-Length: 0\\r\\n\\r\\n\"\nclose",
        COMPSHARE_E_TLS, 3, "does not speak TLS" },
    { "SSH", "send \"SSH-2.0-OpenSSH_9.2\\r\\n\"\nread 50\nclose", COMPSHARE_E_TLS, 3, "does not speak TLS" },
    { "SMTP", "send \"220 mail.example ESMTP\\r\\n\"\nread 50\nclose", COMPSHARE_E_TLS, 3, "does not speak TLS" },
    { "garbage", "read 50\nsend \"\\xDE\\xAD\\xBE\\xEF\\x00\\x11\\x22\\x33\\x44\\x55\\x66\\x77\"\nclose",
        COMPSHARE_E_TLS, 3, "does not speak TLS" },
    { "zeros", "read 50\nsend \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"\nclose", COMPSHARE_E_TLS, 3,
        "does not speak TLS" },
    { "handshake record of garbage",
        "read 50\nsend \"\\x16\\x03\\x03\\x00\\x08\\xFF\\xFF\\xFF\\xFF\\xFF\\xFF\\xFF\\xFF\"\nclose", COMPSHARE_E_TLS,
        -1, "broke the TLS protocol" },
    { "ServerHello of nothing", "read 50\nsend \"\\x16\\x03\\x03\\x00\\x04\\x02\\x00\\x00\\x00\"\nclose",
        COMPSHARE_E_TLS, -1, "broke the TLS protocol" },
    { "ServerHello for SSL 3",
        "read 50\nsend \"\\x16\\x03\\x00\\x00\\x2A\\x02\\x00\\x00\\x26\\x03\\x00ABCDEFGHIJKLMNOPQRSTUVWXYZ012345\\x00\\xC0\\x2F\\x00\"\nclose", COMPSHARE_E_TLS, 3, "does not speak TLS" },
    { "ServerHello for TLS 1.1",
        "read 50\nsend \"\\x16\\x03\\x02\\x00\\x2A\\x02\\x00\\x00\\x26\\x03\\x02ABCDEFGHIJKLMNOPQRSTUVWXYZ012345\\x00\\xC0\\x2F\\x00\"\nclose", COMPSHARE_E_TLS, 3, "does not speak TLS" },
    { "application data first", "read 50\nsend \"\\x17\\x03\\x03\\x00\\x05hello\"\nclose", COMPSHARE_E_TLS, -1,
        "broke the TLS protocol" },
    { "ChangeCipherSpec first", "read 50\nsend \"\\x14\\x03\\x03\\x00\\x01\\x01\"\nclose", COMPSHARE_E_TLS, -1,
        "broke the TLS protocol" },
    { "record of 64 KB", "read 50\nsend \"\\x16\\x03\\x03\\xFF\\xFF\\x02\\x00\\x00\\x00\"\nclose", COMPSHARE_E_TLS, 5,
        "broke the TLS protocol" },
    { "alert handshake_failure", "read 50\nsend \"\\x15\\x03\\x03\\x00\\x02\\x02\\x28\"\nclose", COMPSHARE_E_TLS, 296,
        NO_COMMON },
    { "alert protocol_version", "read 50\nsend \"\\x15\\x03\\x03\\x00\\x02\\x02\\x46\"\nclose", COMPSHARE_E_TLS, 326,
        "refuses TLS 1.2" },
    { "alert unrecognized_name", "read 50\nsend \"\\x15\\x03\\x03\\x00\\x02\\x02\\x70\"\nclose", COMPSHARE_E_TLS, 368,
        "does not know this host name" },
    { "alert no_application_protocol", "read 50\nsend \"\\x15\\x03\\x03\\x00\\x02\\x02\\x78\"\nclose", COMPSHARE_E_TLS,
        376, "http/1.1" },
    { "alert internal_error", "read 50\nsend \"\\x15\\x03\\x03\\x00\\x02\\x02\\x50\"\nclose", COMPSHARE_E_TLS, 336,
        "ended TLS with an alert" },
    { "close_notify first", "read 50\nsend \"\\x15\\x03\\x03\\x00\\x02\\x01\\x00\"\nclose", COMPSHARE_E_CLOSED, 0,
        "closed the connection during the TLS handshake" },
    { "nothing", "refuse", COMPSHARE_E_CLOSED, 0, "closed the connection during the TLS handshake" },
    { "half a record header", "read 50\nsend \"\\x16\\x03\\x03\"\nclose", COMPSHARE_E_CLOSED, 0,
        "closed the connection during the TLS handshake" },
    { "half a record", "read 50\nsend \"\\x16\\x03\\x03\\x00\\x40\\x02\\x00\"\nclose", COMPSHARE_E_CLOSED, 0,
        "closed the connection during the TLS handshake" },
    { "reset", "read 50\nreset", COMPSHARE_E_IO, 0, "the connection broke during the TLS handshake" },
};

static void test_babble(void **state)
{
    const char *scripts[COUNT(babble) + 1] = { NULL };
    static harness_client h;
    server *s;
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(babble); i++) scripts[i] = babble[i].script;
    s = serve_raw(NULL, "", scripts);
    harness_configure(&h, s->process.port);
    harness_open(&h);
    for (i = 0; i < COUNT(babble); i++) {
        int r = call(&h);
        refused(&h, r, babble[i].name, babble[i].status, babble[i].tls_code, COMPSHARE_STAGE_HANDSHAKE,
            babble[i].words);
    }
    harness_close(&h);
    (void)server_requests(s, COUNT(babble));
    server_stop(s);
}

/* The server's part of a handshake ends after n bytes, for many n. */
static void test_cut_handshakes(void **state)
{
    enum { SCRIPTS = 30 };
    static char texts[SCRIPTS][40];
    const char *scripts[SCRIPTS + 1] = { "cut-handshake 1000000", NULL };
    static harness_client h;
    const char *at;
    unsigned total, i;
    char *log;
    server *s = serve_raw("rsa", "", scripts);
    (void)state;

    /* with nothing cut off the handshake succeeds, and then the end comes too early */
    harness_configure(&h, s->process.port);
    harness_open(&h);
    total = (unsigned)call(&h);
    assert_true((int)total == COMPSHARE_E_CLOSED || (int)total == COMPSHARE_E_IO);
    assert_true(compshare_last_error(h.client)->stage > COMPSHARE_STAGE_HANDSHAKE);
    harness_close(&h);
    (void)server_requests(s, 1);
    log = slurp(s->log, NULL);
    at = strstr(log, "handshake cut after ");
    assert_non_null(at);
    total = (unsigned)strtoul(at + strlen("handshake cut after "), NULL, 10);
    free(log);
    server_stop(s);
    assert_true(total > 1500);

    for (i = 0; i < SCRIPTS - 1; i++) {
        static const unsigned first[] = { 0, 1, 4, 5, 6, 9, 43, 44 };
        unsigned n = i < COUNT(first) ? first[i]
            : 44 + (total - 45) * (i + 1 - (unsigned)COUNT(first)) / (SCRIPTS - 1 - (unsigned)COUNT(first));
        assert_true(n < total);
        snprintf(texts[i], sizeof texts[i], "cut-handshake %u\n", n);
        scripts[i] = texts[i];
    }
    scripts[SCRIPTS - 1] = GOOD;
    scripts[SCRIPTS] = NULL;
    s = serve_raw("rsa", "", scripts);
    harness_configure(&h, s->process.port);
    harness_open(&h);
    for (i = 0; i < SCRIPTS - 1; i++) {
        int r = call(&h);
        refused(&h, r, texts[i], COMPSHARE_E_CLOSED, 0, COMPSHARE_STAGE_HANDSHAKE,
            "closed the connection during the TLS handshake");
        said_count--;       /* one sentence, and it is known already */
    }
    harness_expect(&h, call(&h), COMPSHARE_OK);
    harness_close(&h);
    assert_int_equal(server_requests(s, SCRIPTS), 1);
    server_stop(s);
}

/* ---- a transport that may change a byte ---- */

static struct {
    shim io;
    int fd;
    uint64_t flip_at;           /* this received byte is changed */
    unsigned char flip;         /* how; 0: not at all */
} cable;

static int line_open(void *user, const char *host, uint16_t port)
{
    cable.io.taken = cable.io.given = 0;
    return shim_open(user, host, port);
}

static ptrdiff_t line_recv(void *user, void *dst, size_t cap)
{
    uint64_t before = cable.io.given;
    ptrdiff_t n = shim_recv(user, dst, cap);
    if (n > 0 && cable.flip != 0 && cable.flip_at >= before && cable.flip_at < before + (uint64_t)n)
        ((unsigned char *)dst)[cable.flip_at - before] ^= cable.flip;
    return n;
}

/* Where both sides wait for ever, the clock that the client sees moves on. */
static int line_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    (void)user;
    (void)timeout_ms;
    if (poll_for(cable.fd, want, cable.flip != 0 ? 150 : 5000) == 0) cable.io.h->clock.ms += 3600000;
    return COMPSHARE_OK;
}

static void line_insert(harness_client *h)
{
    memset(&cable, 0, sizeof cable);
    shim_insert(&cable.io, h);
    cable.io.inner = loopback(&cable.fd);
    cable.io.io.open = line_open;
    cable.io.io.recv = line_recv;
    cable.io.io.wait = line_wait;
    cable.io.io.fd = NULL;
}

/* One bit of the server's handshake is changed on the way, all along it. */
static void test_corrupted_handshakes(void **state)
{
    static const char *const scripts[] = { GOOD, NULL };
    static const char *const chains[] = { "rsa", "ec" };
    static harness_client h;
    size_t k;
    (void)state;
    for (k = 0; k < COUNT(chains); k++) {
        server *s = serve_raw(chains[k], "", scripts);
        unsigned connections = 0;
        uint64_t total;
        harness_configure(&h, s->process.port);
        line_insert(&h);
        harness_open(&h);
        harness_expect(&h, call(&h), COMPSHARE_OK);
        connections++;
        total = cable.io.given - 200;       /* what comes behind are the reply and close_notify */
        assert_true(total > 800);
        for (cable.flip_at = 0; cable.flip_at < total; cable.flip_at += cable.flip_at < 120 ? 7 : 53) {
            int r;
            cable.flip = (unsigned char)(1u << (cable.flip_at % 8));
            r = call(&h);
            connections++;
            if (r >= 0) fail_msg("%s: byte %u changed, and nothing noticed it", chains[k], (unsigned)cable.flip_at);
            if (compshare_last_error(h.client)->stage != COMPSHARE_STAGE_HANDSHAKE
                || compshare_last_error(h.client)->outcome_unknown)
                fail_msg("%s: byte %u changed: stage %d", chains[k], (unsigned)cable.flip_at,
                    compshare_last_error(h.client)->stage);
        }
        cable.flip = 0;
        harness_expect(&h, call(&h), COMPSHARE_OK);
        connections++;
        harness_close(&h);
        assert_int_equal(server_requests(s, connections), 2);
        server_stop(s);
    }
}

/* ---- after the handshake ---- */

static void test_truncation_and_corruption(void **state)
{
    static const char *const scripts[] = {
        "read-request\nsend \"" REPLY("Connection: close\\r\\n", "{\\\"RetCode\\\":0}") "\"\nabort\n",
        "read-request\nsend \"" REPLY("Connection: close\\r\\n", "{\\\"RetCode\\\":0}") "\"\nclose\n",
        "read-request\nsend \"" REPLY("Content-Length: 13\\r\\n", "{\\\"Ret") "\"\nclose\n",
        "read-request\nsend \"" REPLY("Content-Length: 13\\r\\n", "{\\\"Ret") "\"\nabort\n",
        "read-request\nsend-raw \"\\x17\\x03\\x03\\x00\\x30ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUV\"\nclose\n",
        "read-request\nsend-raw \"\\x17\\x03\\x03\\x7F\\xFFABCDEFGH\"\nclose\n",
        "read-request\nsend-raw \"HTTP/1.1 200 OK\\r\\n\\r\\n\"\nclose\n",
        "read-request\nclose\n",
        "read-request\nsend \"" REPLY("Content-Length: 13\\r\\n", "{\\\"RetCode\\\":0}") "\"\nabort\n",
        NULL
    };
    static const struct { const char *name; int status, tls_code; const char *words; } expected[] = {
        { "body until the end, no close_notify", COMPSHARE_E_CLOSED, 0, "" },
        { "body until close_notify", COMPSHARE_OK, 0, "done" },
        { "body too short", COMPSHARE_E_CLOSED, 0, "" },
        { "body cut off", COMPSHARE_E_CLOSED, 0, "" },
        { "corrupted record", COMPSHARE_E_TLS, 7, "corrupted" },
        { "oversized record", COMPSHARE_E_TLS, 5, "broke the TLS protocol" },
        { "plain text inside TLS", COMPSHARE_E_TLS, -1, "" },
        { "no reply", COMPSHARE_E_CLOSED, 0, "" },
        { "whole body, no close_notify", COMPSHARE_OK, 0, "done" },
    };
    static harness_client h;
    server *s = serve_raw("rsa", "", scripts);
    size_t i;
    (void)state;
    harness_configure(&h, s->process.port);
    harness_open(&h);
    for (i = 0; i < COUNT(expected); i++) {
        const compshare_error *e;
        char text[1024];
        int r = call(&h);
        e = compshare_last_error(h.client);
        compshare_error_text(h.client, text, sizeof text);
        if (r != expected[i].status) fail_msg("%s: %s: %s", expected[i].name, compshare_status_name(r), text);
        if (expected[i].tls_code >= 0) assert_int_equal(e->tls_code, expected[i].tls_code);
        assert_int_equal(e->outcome_unknown, r != COMPSHARE_OK);
        if (r != COMPSHARE_OK) assert_int_equal(e->stage, COMPSHARE_STAGE_RECEIVE);
        has_words(expected[i].name, text, expected[i].words);
    }
    harness_close(&h);
    assert_int_equal(server_requests(s, COUNT(expected)), COUNT(expected));
    server_stop(s);
}

/* One client fails in every way that a server can arrange, and then succeeds. */
static void test_client_survives(void **state)
{
    static const char *const scripts[] = {
        "cut-handshake 700\n", GOOD, "refuse\n", GOOD, "send-raw \"\\x15\\x03\\x03\\x00\\x02\\x02\\x28\"\nclose\n",
            GOOD,
        "reset\n", GOOD, "read-request\nabort\n", GOOD,
            "read-request\nsend-raw \"\\x17\\x03\\x03\\x00\\x20ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF\"\nclose\n", GOOD,
        "send-raw \"HTTP/1.0 400 no\\r\\n\\r\\n\"\nclose\n", GOOD, NULL
    };
    static harness_client h;
    server *s = serve_raw("rsa", "", scripts);
    unsigned k;
    (void)state;
    harness_configure(&h, s->process.port);
    harness_open(&h);
    for (k = 0; scripts[k] != NULL; k++) {
        int r = call(&h);
        if (k % 2 == 0) assert_true(r < 0 && r == compshare_last_error(h.client)->status);
        else harness_expect(&h, r, COMPSHARE_OK);
    }
    assert_int_equal(server_requests(s, k), k / 2 + 2);
    server_stop(s);
    harness_close(&h);
}

/* ---- good servers ---- */

static const char short_reply[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    "13\r\nConnection: close\r\n\r\n{\"RetCode\":0}";

static const struct {
    const char *name, *chain, *options, *host, *log;
    unsigned suite;             /* 0: whatever is agreed on */
} good[] = {
    { "RSA", "rsa", "", "localhost", "CIPHER is ECDHE-RSA-", 0 },
    { "EC", "ec", "", "localhost", "CIPHER is ECDHE-ECDSA-", 0 },
    { "upper case", "rsa", "", "LOCALHOST", "CIPHER", 0 },
    { "trailing dot", "rsa", "", "localhost.", "CIPHER", 0 },
    { "trailing dot, mixed case, EC", "ec", "", "LocalHost.", "CIPHER", 0 },
    { "RSA AES-128-GCM", "rsa", "-cipher ECDHE-RSA-AES128-GCM-SHA256", "localhost",
        "CIPHER is ECDHE-RSA-AES128-GCM-SHA256", 0xC02F },
    { "RSA AES-256-GCM", "rsa", "-cipher ECDHE-RSA-AES256-GCM-SHA384", "localhost",
        "CIPHER is ECDHE-RSA-AES256-GCM-SHA384", 0xC030 },
    { "RSA ChaCha20", "rsa", "-cipher ECDHE-RSA-CHACHA20-POLY1305", "localhost",
        "CIPHER is ECDHE-RSA-CHACHA20-POLY1305", 0xCCA8 },
    { "EC AES-128-GCM", "ec", "-cipher ECDHE-ECDSA-AES128-GCM-SHA256", "localhost",
        "CIPHER is ECDHE-ECDSA-AES128-GCM-SHA256", 0xC02B },
    { "EC AES-256-GCM", "ec", "-cipher ECDHE-ECDSA-AES256-GCM-SHA384", "localhost",
        "CIPHER is ECDHE-ECDSA-AES256-GCM-SHA384", 0xC02C },
    { "EC ChaCha20", "ec", "-cipher ECDHE-ECDSA-CHACHA20-POLY1305", "localhost",
        "CIPHER is ECDHE-ECDSA-CHACHA20-POLY1305", 0xCCA9 },
    { "X25519 only", "rsa", "-groups X25519", "localhost", "CIPHER", 0 },
    { "P-256 only", "rsa", "-groups P-256", "localhost", "CIPHER", 0 },
    { "P-384 only", "rsa", "-groups P-384", "localhost", "CIPHER", 0 },
    { "P-521 only", "rsa", "-groups P-521", "localhost", "CIPHER", 0 },
    { "EC, P-384 exchange", "ec", "-groups P-384:P-256", "localhost", "CIPHER", 0 },
    { "RSA-SHA384 exchange", "rsa", "-sigalgs RSA+SHA384", "localhost", "CIPHER", 0 },
    { "RSA-SHA512 exchange", "rsa", "-sigalgs RSA+SHA512", "localhost", "CIPHER", 0 },
    { "http/1.1 by ALPN", "rsa", "-alpn http/1.1", "localhost", "CIPHER", 0 },
    { "h2 and http/1.1 by ALPN", "rsa", "-alpn h2,http/1.1", "localhost", "CIPHER", 0 },
    { "client certificate asked for", "rsa", "-verify 1", "localhost", "CIPHER", 0 },
    { "no extended master secret, TLS 1.2 only", "rsa", "-tls1_2", "localhost", "CIPHER", 0 },
    { "clientAuth only (documented: no check)", "clientauth", "", "localhost", "CIPHER", 0 },
};

/* When the first certificate of a chain expires, as openssl says. */
static int64_t end_of_validity(const char *chain)
{
    char command[600], name[64], line[64] = "";
    struct tm tm;
    FILE *f;
    memset(&tm, 0, sizeof tm);
    snprintf(name, sizeof name, "%s-chain.pem", chain);
    snprintf(command, sizeof command, "openssl x509 -in '%s' -noout -enddate -dateopt iso_8601", harness_cert(name));
    f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(pclose(f), 0);
    assert_int_equal(sscanf(line, "notAfter=%d-%d-%d %d:%d:%dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
        &tm.tm_min, &tm.tm_sec), 6);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm);
}

/* What the client says of the handshake is what the server says. */
static void expect_handshake(const harness_client *h, const char *chain, unsigned suite)
{
    compshare_handshake handshake = compshare_last_handshake(h->client);
    assert_int_equal(handshake.version, 0x0303);
    if (suite != 0) assert_int_equal(handshake.suite, suite);
    else assert_int_not_equal(handshake.suite, 0);
    assert_false(handshake.resumed);
    assert_int_equal(handshake.not_after, end_of_validity(chain));
}

static void test_good_servers(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(good); i++) {
        static harness_client h;
        server *s = serve_openssl(good[i].chain, good[i].options);
        char text[1024];
        int64_t code = 1;
        int r;
        harness_configure(&h, s->process.port);
        snprintf(h.base_url, sizeof h.base_url, "https://%s:%u", good[i].host, s->process.port);
        harness_open(&h);
        assert_int_equal(compshare_last_handshake(h.client).version, 0);
        r = call_openssl(&h, s, short_reply, sizeof short_reply - 1);
        if (r != COMPSHARE_OK) fail_msg("%s: %s", good[i].name, compshare_error_text(h.client, text, sizeof text));
        expect_handshake(&h, good[i].chain, good[i].suite);
        assert_true(compshare_as_int(compshare_get(compshare_reply(h.client), "RetCode"), &code) && code == 0);
        harness_close(&h);
        assert_int_equal(server_requests(s, 1), 2);     /* "POST /" and "Action=": the look-out works */
        if (in_file(s->log, good[i].log) == 0) fail_msg("%s: s_server negotiated something else", good[i].name);
        server_stop(s);
    }
}

/* The name that is asked for has no dot at its end. */
static void test_server_name(void **state)
{
    static const char *const scripts[] = { GOOD, NULL };
    static harness_client h;
    server *s = serve_raw("rsa", "", scripts);
    (void)state;
    harness_configure(&h, s->process.port);
    snprintf(h.base_url, sizeof h.base_url, "https://localhost.:%u/", s->process.port);
    harness_open(&h);
    harness_expect(&h, call(&h), COMPSHARE_OK);
    harness_close(&h);
    assert_int_equal(server_requests(s, 1), 1);
    assert_int_equal(in_file(s->log, "sni localhost\n"), 1);
    server_stop(s);
}

/* The answer to HelloRequest is a refusal, and the reply is read all the same. */
static void test_renegotiation(void **state)
{
    static const char *const scripts[] = {
        "read-request\nrenegotiate\nsend \"" REPLY("Content-Length: 13\\r\\n",
            "{\\\"RetCode\\\":0}") "\"\nread 1\nclose\n", NULL
    };
    static harness_client h;
    server *s = serve_raw("rsa", "", scripts);
    (void)state;
    harness_configure(&h, s->process.port);
    harness_open(&h);
    harness_expect(&h, call(&h), COMPSHARE_OK);
    harness_close(&h);
    assert_int_equal(server_requests(s, 1), 1);
    assert_int_equal(in_file(s->log, " handshake TLSv1.2"), 1);
    server_stop(s);
}

/* ---- roots ---- */

typedef struct source {
    const char *name, *file;    /* from tests/scripts/certs.sh; "/...": from the temporary directory */
    const char *chain;
    int status, tls_code;
    const char *words;
    bool text;                  /* has no NUL: works without ca_pem_len */
} source;

static const source sources[] = {
    { "both roots", "roots.pem", "rsa", COMPSHARE_OK, 0, "", true },
    { "both roots, EC", "roots.pem", "ec", COMPSHARE_OK, 0, "", true },
    { "CRLF", "bundle-crlf.pem", "rsa", COMPSHARE_OK, 0, "", true },
    { "preambles", "bundle-text.pem", "rsa", COMPSHARE_OK, 0, "", true },
    { "noise before the root", "bundle-noise.pem", "rsa", COMPSHARE_OK, 0, "", false },
    { "wrong key, then the right one", "bundle-samename.pem", "rsa", COMPSHARE_OK, 0, "", true },
    { "big", "bundle-big.pem", "rsa", COMPSHARE_OK, 0, "", true },
    { "big, EC", "bundle-big.pem", "ec", COMPSHARE_OK, 0, "", true },
    { "empty", "bundle-empty.pem", "rsa", COMPSHARE_E_TRUST, -1, "is empty", true },
    { "no certificate", "bundle-rootless.pem", "rsa", COMPSHARE_E_TRUST, -1, "holds no certificate", true },
    { "a key only", "bundle-keyonly.pem", "rsa", COMPSHARE_E_TRUST, -1, "holds no certificate", true },
    { "three of one name", "bundle-three.pem", "rsa", COMPSHARE_E_TRUST, -1, "more than two", true },
    { "truncated", "bundle-truncated.pem", "rsa", COMPSHARE_E_TRUST, -1, "cannot be used", true },
    { "the right name, not a CA", "selfsigned.pem", "selfsigned", COMPSHARE_E_TRUST, -1, "not a CA", true },
    { "wrong key only", "bundle-wrongkey.pem", "rsa", COMPSHARE_E_CERTIFICATE, 62, NO_ROOT, true },
    { "other root", "bundle-norsaroot.pem", "rsa", COMPSHARE_E_CERTIFICATE, 62, NO_ROOT, true },
    { "the leaf itself", "leafonly.pem", "rsa", COMPSHARE_E_CERTIFICATE, 62, NO_ROOT, true },
    { "roots in 8 MiB", "/most", "rsa", COMPSHARE_OK, 0, "", true },
    { "roots in 8 MiB and a byte", "/over", "rsa", COMPSHARE_E_TRUST, -1, "longer than 8 MiB", true },
    { "roots, then 9 MiB", "/long", "rsa", COMPSHARE_E_TRUST, -1, "longer than 8 MiB", true },
    { "9 MiB, then roots", "/later", "rsa", COMPSHARE_E_TRUST, -1, "longer than 8 MiB", true },
};

static const char *source_path(const source *from)
{
    return from->file[0] == '/' ? temporary(from->file + 1) : harness_cert(from->file);
}

static void make_long_bundles(void)
{
    const size_t filler = (size_t)9 << 20;
    size_t roots_len, i;
    char *roots = slurp(harness_cert("roots.pem"), &roots_len), *text = (char *)malloc(filler + roots_len);
    assert_non_null(text);
    memcpy(text, roots, roots_len);
    for (i = 0; i < filler; i++) text[roots_len + i] = i % 64 == 63 ? '\n' : 'z';
    spill("most", text, (size_t)8 << 20);
    spill("over", text, ((size_t)8 << 20) + 1);
    spill("long", text, filler + roots_len);
    memmove(text, text + roots_len, filler);
    memcpy(text + filler, roots, roots_len);
    spill("later", text, filler + roots_len);
    free(text);
    free(roots);
}

static void check_source(harness_client *h, const source *from, const char *what)
{
    int r;
    char name[64];
    snprintf(name, sizeof name, "%s (%s)", from->name, what);
    harness_open(h);
    r = call(h);
    if (from->status == COMPSHARE_OK) {
        char text[1024];
        if (r != COMPSHARE_OK) fail_msg("%s: %s", name, compshare_error_text(h->client, text, sizeof text));
    } else {
        refused(h, r, name, from->status, from->tls_code, COMPSHARE_STAGE_HANDSHAKE, from->words);
        assert_int_equal(compshare_last_error(h->client)->sys_errno, 0);   /* what is in it is wrong */
        if (strcmp(what, "file") != 0) {
            has_words(name, compshare_last_error(h->client)->detail, "ca_pem");
            said_count--;       /* the sentence of the file, about memory */
        }
    }
    harness_close(h);
}

static void test_trust_sources(void **state)
{
    static const char *const scripts[] = { GOOD, NULL };
    static const char *const chains[] = { "rsa", "ec", "selfsigned" };
    server *servers[COUNT(chains)];
    unsigned connections[COUNT(chains)] = { 0 };
    size_t successes[COUNT(chains)] = { 0 }, i, k;
    (void)state;
    make_long_bundles();
    for (k = 0; k < COUNT(chains); k++) servers[k] = serve_raw(chains[k], "", scripts);
    for (i = 0; i < COUNT(sources); i++) {
        static harness_client h;
        const source *from = &sources[i];
        size_t len, runs;
        char *pem, *exact;
        for (k = 0; strcmp(chains[k], from->chain) != 0; k++) {}
        harness_configure(&h, servers[k]->process.port);
        h.config.ca_file = source_path(from);
        check_source(&h, from, "file");
        runs = 1;

        pem = slurp(source_path(from), &len);
        harness_configure(&h, servers[k]->process.port);
        h.config.ca_file = NULL;
        h.config.ca_pem = pem;
        if (from->text) {
            check_source(&h, from, "memory");
            runs++;
        }
        if (len > 0) {          /* no NUL behind it: a byte too far is ASan's */
            exact = (char *)malloc(len);
            assert_non_null(exact);
            memcpy(exact, pem, len);
            h.config.ca_pem = exact;
            h.config.ca_pem_len = len;
            check_source(&h, from, "memory, length");
            runs++;
            free(exact);
        }
        free(pem);
        connections[k] += (unsigned)runs;
        if (from->status == COMPSHARE_OK) successes[k] += runs;
    }
    for (k = 0; k < COUNT(chains); k++) {
        assert_int_equal(server_requests(servers[k], connections[k]), successes[k]);
        server_stop(servers[k]);
    }
}

/* Noise with a NUL in it and no length: what can be seen of it holds no root. */
static void test_pem_with_nul(void **state)
{
    static const char *const scripts[] = { GOOD, NULL };
    static harness_client h;
    server *s = serve_raw("rsa", "", scripts);
    char *pem = slurp(harness_cert("bundle-noise.pem"), NULL);
    (void)state;
    harness_configure(&h, s->process.port);
    h.config.ca_file = NULL;
    h.config.ca_pem = pem;
    harness_open(&h);
    assert_int_equal(call(&h), COMPSHARE_E_TRUST);
    harness_close(&h);
    assert_int_equal(server_requests(s, 1), 0);
    server_stop(s);
    free(pem);
}

/* What is no file with text in it. None of these may block. */
static void test_trust_oddities(void **state)
{
    static const char *const scripts[] = { GOOD, NULL };
    static const struct { const char *name, *words; int stage, error; } odd[] = {
        { "missing", "cannot be opened|no such file", COMPSHARE_STAGE_CONNECT, ENOENT },
        { "directory", "could not be read|directory", COMPSHARE_STAGE_HANDSHAKE, EISDIR },
        { "fifo", "could not be read|not a regular file", COMPSHARE_STAGE_HANDSHAKE, ESPIPE },
        { "secret", "cannot be opened|permission denied", COMPSHARE_STAGE_CONNECT, EACCES },
    };
    static harness_client h;
    server *s = serve_raw("rsa", "", scripts);
    unsigned connections = 0;
    size_t i;
    (void)state;
    assert_int_equal(mkdir(temporary("directory"), 0700), 0);
    assert_int_equal(mkfifo(temporary("fifo"), 0600), 0);
    spill("secret", "", 0);
    assert_int_equal(chmod(temporary("secret"), 0), 0);
    for (i = 0; i < COUNT(odd); i++) {
        int r;
        if (odd[i].error == EACCES && access(temporary(odd[i].name), R_OK) == 0) continue;
        harness_configure(&h, s->process.port);
        h.config.ca_file = temporary(odd[i].name);
        harness_open(&h);
        r = call(&h);
        refused(&h, r, odd[i].name, COMPSHARE_E_TRUST, -1, odd[i].stage, odd[i].words);
        assert_int_equal(compshare_last_error(h.client)->sys_errno, odd[i].error);
        has_words(odd[i].name, compshare_last_error(h.client)->detail, h.config.ca_file);
        if (odd[i].stage == COMPSHARE_STAGE_HANDSHAKE) connections++;
        harness_close(&h);
    }
    assert_int_equal(server_requests(s, connections), 0);
    assert_int_equal(in_file(s->log, " accepted\n"), connections);
    server_stop(s);
}

/* The roots are mended under a client that has failed: it needs no reopening. */
static void test_trust_mended(void **state)
{
    static const char *const scripts[] = { GOOD, NULL };
    static harness_client h;
    server *s = serve_raw("rsa", "", scripts);
    size_t len;
    char *roots = slurp(harness_cert("roots.pem"), &len);
    (void)state;
    harness_configure(&h, s->process.port);
    h.config.ca_file = temporary("mended");
    harness_open(&h);
    assert_int_equal(call(&h), COMPSHARE_E_TRUST);
    spill("mended", "", 0);
    assert_int_equal(call(&h), COMPSHARE_E_TRUST);
    spill("mended", roots, len);
    harness_expect(&h, call(&h), COMPSHARE_OK);
    harness_close(&h);
    assert_int_equal(server_requests(s, 2), 1);
    server_stop(s);
    free(roots);
}

/* Of several places the first that has something in it is taken. Where none has, the first
   that is there is what has to be mended, not the last that is missing. */
static void test_places_of_bundles(void **state)
{
    static const struct { const char *first, *second, *third, *opened, *reported; int error; } rows[] = {
        { "a-roots", "a-empty", "missing", "a-roots", NULL, 0 },
        { "missing", "a-roots", "missing", "a-roots", NULL, 0 },
        { "a-empty", "missing", "a-roots", "a-roots", NULL, 0 },
        { "a-directory", "a-secret", "a-roots", "a-roots", NULL, 0 },
        { "a-fifo", "a-empty", "a-roots", "a-roots", NULL, 0 },
        { "a-empty", "missing", "missing", NULL, "a-empty", 0 },
        { "missing", "a-secret", "missing", NULL, "a-secret", EACCES },
        { "missing", "a-directory", "a-empty", NULL, "a-directory", EISDIR },
        { "a-secret", "a-directory", "missing", NULL, "a-secret", EACCES },
        { "missing", "missing", "missing", NULL, NULL, ENOENT }
    };
    static harness_client h;
    size_t i, k, len;
    char *roots = slurp(harness_cert("roots.pem"), &len);
    (void)state;
    spill("a-roots", roots, len);
    spill("a-empty", "", 0);
    spill("a-secret", roots, len);
    assert_int_equal(chmod(temporary("a-secret"), 0), 0);
    assert_int_equal(mkdir(temporary("a-directory"), 0700), 0);
    assert_int_equal(mkfifo(temporary("a-fifo"), 0600), 0);
    for (i = 0; i < COUNT(rows); i++) {
        compshare__posix p;
        compshare_transport io;
        char places[3][512];
        const char *names[3], *paths[3], *got;
        names[0] = rows[i].first;
        names[1] = rows[i].second;
        names[2] = rows[i].third;
        for (k = 0; k < 3; k++) {
            snprintf(places[k], sizeof places[k], "%s", temporary(names[k]));
            paths[k] = places[k];
        }
        /* root reads all */
        if (access(temporary("a-secret"), R_OK) == 0 && strstr("a-secret", rows[i].first) != NULL) continue;
        if (access(temporary("a-secret"), R_OK) == 0 && strstr("a-secret", rows[i].second) != NULL) continue;
        compshare__posix_init(&p, &io);
        got = compshare__posix_open_bundle(&p, paths, 3);
        if ((p.bundle >= 0) != (rows[i].opened != NULL)) fail_msg("row %zu: open or not", i);
        assert_int_equal(p.bundle_errno, rows[i].error);
        if (rows[i].opened == NULL && rows[i].reported == NULL) assert_null(got);
        else assert_string_equal(got, temporary(rows[i].opened != NULL ? rows[i].opened : rows[i].reported));
        compshare__posix_close_fd(&p.bundle);
    }
    harness_configure(&h, 9);       /* and where nothing is left to be tried */
    h.config.ca_file = temporary("missing");
    harness_open(&h);
    refused(&h, call(&h), "missing", COMPSHARE_E_TRUST, -1, COMPSHARE_STAGE_CONNECT, "cannot be opened|no such file");
    harness_close(&h);
    free(roots);
}

static void test_default_bundle(void **state)
{
    static const char path[] = "/etc/ssl/certs/ca-certificates.crt";
    static const char *const scripts[] = { GOOD, NULL };
    static harness_client h;
    server *s;
    char text[1024];
    int r;
    (void)state;
    if (access(path, R_OK) != 0) skip();
    s = serve_raw("rsa", "", scripts);
    harness_configure(&h, s->process.port);
    h.config.ca_file = NULL;
    harness_open(&h);
    r = call(&h);
    refused(&h, r, "default bundle", COMPSHARE_E_CERTIFICATE, 62, COMPSHARE_STAGE_HANDSHAKE, NO_ROOT);
    has_words("default bundle", compshare_error_text(h.client, text, sizeof text), path);
    harness_close(&h);
    assert_int_equal(server_requests(s, 1), 0);
    server_stop(s);
}

/* ---- clock ---- */

static void test_clock(void **state)
{
    static const char *const scripts[] = { GOOD, NULL };
    static const struct { const char *name; int64_t time; int status; const char *words; } clocks[] = {
        { "1970", 0, COMPSHARE_E_CLOCK, "clock reads 1970-01-01 00:00:00 UTC|cannot be" },
        { "one second", 1, COMPSHARE_E_CLOCK, "clock reads 1970-01-01 00:00:01 UTC|cannot be" },
        { "2020", INT64_C(1577836800), COMPSHARE_E_CLOCK, "clock reads 2020-01-01 00:00:00 UTC|cannot be" },
        { "the last second before", INT64_C(1767225599), COMPSHARE_E_CLOCK,
            "clock reads 2025-12-31 23:59:59 UTC|cannot be" },
        { "negative", -1, COMPSHARE_E_CLOCK, "clock reads|cannot be" },
        { "most negative", INT64_MIN, COMPSHARE_E_CLOCK, "clock reads|cannot be" },
        { "the first second", INT64_C(1767225600), COMPSHARE_E_CERTIFICATE,
            "not yet valid|clock, 2026-01-01 00:00:00 UTC" },
        { "2079", INT64_C(3439756800), COMPSHARE_E_CERTIFICATE, "expired|clock, 2079-01-01 00:00:00 UTC" },
        { "9999", INT64_C(253402300799), COMPSHARE_E_CERTIFICATE, "expired|clock, 9999-12-31 23:59:59 UTC" },
        { "after 9999", INT64_C(253402300800), COMPSHARE_E_CERTIFICATE, "expired|clock, 253402300800" },
        { "huge", INT64_MAX, COMPSHARE_E_CLOCK, "clock reads 9223372036854775807|cannot be" },
    };
    static harness_client h;
    server *s = serve_raw("rsa", "", scripts);
    unsigned connections = 0;
    size_t i;
    (void)state;
    harness_configure(&h, s->process.port);
    h.clock.real_unix = false;
    harness_open(&h);
    for (i = 0; i < COUNT(clocks); i++) {
        int r;
        bool early = clocks[i].status == COMPSHARE_E_CLOCK;
        h.clock.begin_unix = clocks[i].time;
        r = call(&h);
        refused(&h, r, clocks[i].name, clocks[i].status, early ? 0 : 54, early ? COMPSHARE_STAGE_CONNECT
            : COMPSHARE_STAGE_HANDSHAKE, clocks[i].words);
        said_count--;           /* they differ in the reading */
        if (!early) connections++;
    }
    h.clock.begin_unix = time(NULL);
    harness_expect(&h, call(&h), COMPSHARE_OK);
    h.clock.begin_unix = 0;
    refused(&h, call(&h), "clock at zero", COMPSHARE_E_CLOCK, 0, COMPSHARE_STAGE_CONNECT, "clock reads|cannot be");
    harness_close(&h);
    assert_int_equal(server_requests(s, connections + 1), 1);
    assert_int_equal(in_file(s->log, " accepted\n"), connections + 1);
    server_stop(s);
}

/* ---- entropy ---- */

static struct { unsigned calls; size_t len; int answer; unsigned char last[32]; } dice;

static int roll(void *user, void *dst, size_t len)
{
    size_t i;
    (void)user;
    dice.calls++;
    dice.len = len;
    for (i = 0; i < len; i++) ((unsigned char *)dst)[i] = (unsigned char)(rand() >> 7);
    memcpy(dice.last, dst, len < sizeof dice.last ? len : sizeof dice.last);
    return dice.answer;
}

static void test_entropy(void **state)
{
    static const char *const scripts[] = { "read-raw 1\nclose\n", GOOD, GOOD, "read-raw 1\nclose\n", GOOD, NULL };
    static const int answers[] = { -1, 0, 0, 1, 0 };
    static harness_client h;
    server *s = serve_raw("rsa", "", scripts);
    unsigned i;
    (void)state;
    memset(&dice, 0, sizeof dice);
    harness_configure(&h, s->process.port);
    line_insert(&h);
    h.config.entropy = roll;
    harness_open(&h);
    assert_int_equal(dice.calls, 0);
    for (i = 0; i < COUNT(answers); i++) {
        int r;
        dice.answer = answers[i];
        r = call(&h);
        assert_int_equal(dice.calls, i + 1);
        assert_int_equal(dice.len, 32);
        if (answers[i] == 0) {
            harness_expect(&h, r, COMPSHARE_OK);
            continue;
        }
        refused(&h, r, "no entropy", COMPSHARE_E_ENTROPY, 0, COMPSHARE_STAGE_HANDSHAKE, "random bytes");
        assert_true(cable.io.taken == 0);
    }
    harness_close(&h);
    assert_int_equal(server_requests(s, COUNT(answers)), 3);
    server_stop(s);
}

/* ---- addresses instead of names ---- */

static void test_addresses_refused(void **state)
{
    static const char *const urls[] = {
        "https://127.0.0.1", "https://127.0.0.1:443/", "https://127.0.0.1.", "https://127.1", "https://2130706433",
            "https://0x7f000001",
        "https://0x7F.1", "https://0177.0.0.1", "https://[::1]", "https://[::1]:8443", "https://[::ffff:127.0.0.1]/",
            "https://[fe80::1%25eth0]",
        "https://1.2.3.4/path", "https://name.example.1", "https://0x", "https://::1"
    };
    static const char *const names[] = { "https://1password.example", "https://4chan.4.example", "https://7zip",
        "https://127.0.0.1.example:444/" };
    static harness_client h;
    char text[512];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(urls); i++) {
        harness_configure(&h, 1);
        h.config.base_url = urls[i];
        if (compshare_open(&h.client, &h.config) != COMPSHARE_E_CONFIG) fail_msg("%s was accepted", urls[i]);
        assert_null(h.client);
        has_words(urls[i], compshare_open_text(&h.config, text, sizeof text), "base_url: ");
        if (i + 1 < COUNT(urls)) has_words(urls[i], text, "IP address|host name");
    }
    for (i = 0; i < COUNT(names); i++) {
        harness_configure(&h, 1);
        h.config.base_url = names[i];
        harness_open(&h);
        harness_close(&h);
    }
    harness_configure(&h, 1);
    h.config.base_url = "http://localhost:1";
    assert_int_equal(compshare_open(&h.client, &h.config), COMPSHARE_E_CONFIG);
    has_words(h.config.base_url, compshare_open_text(&h.config, text, sizeof text), "in the open: use https://");
}

/* ---- small records ---- */

static char *long_reply(size_t pad, size_t *len)
{
    char *reply = (char *)malloc(pad + 256);
    int n;
    assert_non_null(reply);
    n = snprintf(reply, 256, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %u\r\nConnection: "
        "close\r\n\r\n{\"RetCode\":0,\"Pad\":\"", (unsigned)(pad + 22));
    assert_true(n > 0 && n < 256);
    memset(reply + n, 'x', pad);
    memcpy(reply + (size_t)n + pad, "\"}", 2);
    *len = (size_t)n + pad + 2;
    return reply;
}

static void test_small_records(void **state)
{
    static const char *const chains[] = { "rsa", "ec" };
    static harness_client h;
    size_t len, k, pad = 20000;
    char *reply = long_reply(pad, &len);
    (void)state;
    for (k = 0; k < COUNT(chains); k++) {
        server *s = serve_openssl(chains[k], "");
        harness_configure(&h, s->process.port);
        h.config.flags = COMPSHARE_SMALL_RECORDS;
        harness_open(&h);
        harness_expect(&h, call_openssl(&h, s, reply, len), COMPSHARE_OK);
        assert_int_equal(compshare_number_text(compshare_get(compshare_reply(h.client), "Pad")).len, pad);
        harness_close(&h);
        assert_int_equal(server_requests(s, 1), 2);
        server_stop(s);
    }
    free(reply);
}

/* The gateway agrees to 4,096 bytes and sends 16,384 all the same. */
static void test_small_records_ignored(void **state)
{
    static const char *const more[] = { "--option", "pad_reply=20000", NULL };
    static harness_client h;
    server *s = server_new();
    const compshare_error *e;
    char text[1024];
    (void)state;
    s->process = harness_gateway("rsa", more);
    harness_configure(&h, s->process.port);
    h.config.flags = COMPSHARE_SMALL_RECORDS;
    harness_open(&h);
    assert_int_equal(call(&h), COMPSHARE_E_TLS);
    e = compshare_last_error(h.client);
    assert_int_equal(e->tls_code, 6);
    assert_int_equal(e->stage, COMPSHARE_STAGE_RECEIVE);
    assert_true(e->outcome_unknown);
    has_words("small records ignored", compshare_error_text(h.client, text, sizeof text),
        "larger than the record buffer|COMPSHARE_SMALL_RECORDS");
    harness_close(&h);

    harness_configure(&h, s->process.port);     /* the same server, full records */
    harness_open(&h);
    harness_expect(&h, call(&h), COMPSHARE_OK);
    harness_close(&h);
    server_stop(s);
}

/* ---- sentences, last ---- */

static void test_sentences_differ(void **state)
{
    size_t i, k;
    (void)state;
    assert_true(said_count > COUNT(refusals) + COUNT(babble));
    for (i = 0; i < said_count; i++)
        for (k = 0; k < i; k++)
            if (strcmp(said[i].words, said[k].words) != 0 && strcmp(said[i].text, said[k].text) == 0)
                fail_msg("\"%s\" and \"%s\" read the same: %s", said[i].name, said[k].name, said[i].text);
}

/* ---- the program ---- */

static void remove_directory(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (system(command) != 0) fprintf(stderr, "%s is left behind\n", directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_handshakes_refused, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_expired_shows_clock, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_babble, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_cut_handshakes, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_corrupted_handshakes, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_truncation_and_corruption, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_client_survives, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_good_servers, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_server_name, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_renegotiation, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_trust_sources, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_pem_with_nul, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_trust_oddities, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_trust_mended, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_places_of_bundles, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_default_bundle, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_clock, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_entropy, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_addresses_refused, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_small_records, count_descriptors, stop_all),
        cmocka_unit_test_setup_teardown(test_small_records_ignored, count_descriptors, stop_all),
        cmocka_unit_test(test_sentences_differ),
    };
    int failures;
    signal(SIGPIPE, SIG_IGN);       /* s_server may end while its input is written */
    unsetenv("SSLKEYLOGFILE");
    snprintf(directory, sizeof directory, "/tmp/compshare-tls-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        perror("mkdtemp");
        return 1;
    }
    failures = cmocka_run_group_tests(tests, NULL, NULL);
    remove_directory();
    return failures;
}
