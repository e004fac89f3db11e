/* Room http: replies in any pieces, whole, cut and malformed. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include "support.h"

/* ---- feeding ---- */

typedef struct outcome {
    compshare__http h;
    unsigned char body[131072];
    size_t body_len, consumed;
} outcome;

static guard pieces;            /* every piece of input ends at a forbidden page */
static outcome once, again;

static int make_guard(void **state)
{
    (void)state;
    pieces = guard_open(400000);
    return 0;
}

static int drop_guard(void **state)
{
    (void)state;
    guard_close(&pieces);
    return 0;
}

static void begin(outcome *o)
{
    compshare__http_init(&o->h, false);
    o->body_len = o->consumed = 0;
}

static void feed(outcome *o, const void *src, size_t len)
{
    const unsigned char *at = guard_copy(&pieces, src, len);
    size_t used = 0;
    while (used < len && o->h.state < COMPSHARE__HTTP_DONE) {
        compshare_view body;
        size_t n = compshare__http_feed(&o->h, at + used, len - used, &body);
        CHECK(n > 0 && n <= len - used);
        CHECK(body.len == 0 || ((const unsigned char *)body.ptr >= at + used
            && (const unsigned char *)body.ptr + body.len == at + used + n));
        CHECK(o->body_len + body.len <= sizeof o->body);
        if (body.len > 0) memcpy(o->body + o->body_len, body.ptr, body.len);
        o->body_len += body.len;
        used += n;
    }
    o->consumed += used;
    if (used < len) {           /* done or failed: nothing more is taken */
        compshare_view body;
        CHECK(compshare__http_feed(&o->h, at + used, len - used, &body) == 0 && body.len == 0);
    }
}

static void finish(outcome *o, bool orderly)
{
    compshare__http_end(&o->h, orderly);
    CHECK(o->h.state == COMPSHARE__HTTP_DONE || o->h.state == COMPSHARE__HTTP_FAILED);
    CHECK((o->h.state == COMPSHARE__HTTP_FAILED) == (o->h.reason != NULL));
}

static void in_pieces(outcome *o, const void *src, size_t len, size_t first, size_t rest, bool orderly)
{
    size_t at = first < len ? first : len;
    begin(o);
    feed(o, src, at);
    while (at < len) {
        size_t n = rest != 0 ? rest : 1 + support_random(97);
        if (n > len - at) n = len - at;
        feed(o, (const unsigned char *)src + at, n);
        at += n;
    }
    finish(o, orderly);
}

static void same(const outcome *a, const outcome *b)
{
    CHECK_NUMBER(b->h.state, a->h.state);
    CHECK_TEXT(b->h.reason != NULL ? b->h.reason : "", a->h.reason != NULL ? a->h.reason : "");
    CHECK_NUMBER(b->h.status, a->h.status);
    CHECK_NUMBER(b->consumed, a->consumed);
    CHECK(a->body_len == b->body_len && memcmp(a->body, b->body, a->body_len) == 0);
    CHECK(a->h.keep_alive == b->h.keep_alive && a->h.encoded == b->h.encoded && a->h.received == b->h.received);
    CHECK(a->h.date == b->h.date && a->h.retry_after_s == b->h.retry_after_s
        && a->h.retry_after_date == b->h.retry_after_date);
    CHECK_TEXT(b->h.content_type, a->h.content_type);
    CHECK_TEXT(b->h.request_id, a->h.request_id);
}

/* At once into `once`; byte by byte, and split at every point or at random ones:
   all must agree. */
static void everyhow(const void *src, size_t len, bool orderly)
{
    size_t i;
    in_pieces(&once, src, len, len, 1, orderly);
    in_pieces(&again, src, len, 1, 1, orderly);
    same(&once, &again);
    for (i = 0; len <= 2048 && i < len; i++) {
        in_pieces(&again, src, len, i, len, orderly);
        same(&once, &again);
    }
    for (i = 0; i < 20; i++) {
        in_pieces(&again, src, len, 0, 0, orderly);
        same(&once, &again);
    }
}

static void reply(const char *message)
{
    size_t len = strlen(message);
    support_case("%.200s", message);
    everyhow(message, len, true);
}

static void ok(const char *message, int status, const char *body)
{
    reply(message);
    CHECK_TEXT(once.h.reason != NULL ? once.h.reason : "", "");
    CHECK_NUMBER(once.h.state, COMPSHARE__HTTP_DONE);
    CHECK_NUMBER(once.h.status, status);
    CHECK(once.body_len == strlen(body) && memcmp(once.body, body, once.body_len) == 0);
}

static void bad(const char *message, const char *reason)
{
    reply(message);
    CHECK_NUMBER(once.h.state, COMPSHARE__HTTP_FAILED);
    CHECK_TEXT(once.h.reason, reason);
}

#define OK_200 "HTTP/1.1 200 OK\r\n"
#define BODY_2 "Content-Length: 2\r\n\r\n{}"

/* ---- the data ---- */

static void data_cases(void **state)
{
    json_t *rows = support_rows("tests/data/http_cases.jsonl");
    size_t i, ran = 0, right = 0, wrong = 0;
    (void)state;
    support_seed(3);
    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        bytes raw = support_base64(support_text(row, "raw_base64")),
            body = support_base64(support_text(row, "body_base64"));
        const char *verdict = support_text(row, "verdict"), *got;
        support_case("%s", support_text(row, "name"));
        CHECK(strcmp(verdict, "ok") == 0 || strcmp(verdict, "error") == 0);
        everyhow(raw.ptr, raw.len, strcmp(support_text(row, "close"), "abrupt") != 0);
        got = once.h.state == COMPSHARE__HTTP_DONE ? "ok" : "error";
        if (strcmp(got, support_text(row, "alt_verdict")) != 0) CHECK_TEXT(got, verdict);
        if (strcmp(got, verdict) == 0 && json_object_get(row, "status") != NULL)
            CHECK_NUMBER(once.h.status, json_integer_value(json_object_get(row, "status")));
        if (strcmp(got, "ok") == 0 && strcmp(verdict, "ok") == 0)
            CHECK(once.body_len == body.len && memcmp(once.body, body.ptr, body.len) == 0);
        if (strcmp(got, "ok") == 0) right++;
        else wrong++;
        ran++;
        free(raw.ptr);
        free(body.ptr);
    }
    support_case("how many cases ran");
    CHECK_NUMBER(ran, 96);
    CHECK(right >= 30 && wrong >= 50);
    json_decref(rows);
}

/* ---- status lines ---- */

static void status_lines(void **state)
{
    static const char *const version[] = {
        "http/1.1 200 OK", "HTTP/1,1 200 OK", "HTTP/1. 200 OK", "HTTP/11 200 OK", "HTTP/0.9 200 OK", "HTTP/2.0 200 OK",
            "HTTP/3 200", "HTTP/1.1200 OK",
        " HTTP/1.1 200 OK", "HTTP /1.1 200 OK", "HTTP/1.a 200 OK", "HTTP/1.1\t200 OK", "HTTPS/1.1 200 OK",
            "\r\nHTTP/1.1 200 OK", "\xEF\xBB\xBFHTTP/1.1 200 OK"
    };
    static const char *const code[] = {
        "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 099 OK", "HTTP/1.1 000 OK", "HTTP/1.1 600 OK",
            "HTTP/1.1 999 OK", "HTTP/1.1 -20 OK",
        "HTTP/1.1 +20 OK", "HTTP/1.1 2O0 OK", "HTTP/1.1 200\tOK", "HTTP/1.1 200OK", "HTTP/1.1  200 OK", "HTTP/1.1 OK",
            "HTTP/1.1 \xEF\xBC\x92\x30\x30 OK"
    };
    static const char *const fine[] = {
        "HTTP/1.1 200 OK", "HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.0 200 OK", "HTTP/1.2 200 OK",
            "HTTP/1.9 200 \xE5\xA5\xBD", "HTTP/1.1 200 a  b\tc"
    };
    char message[256];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(version); i++) {
        (void)snprintf(message, sizeof message, "%s\r\n%s", version[i], BODY_2);
        bad(message, "the reply does not begin with an HTTP/1 status line");
        CHECK_NUMBER(once.h.status, 0);
    }
    for (i = 0; i < COUNT_OF(code); i++) {
        (void)snprintf(message, sizeof message, "%s\r\n%s", code[i], BODY_2);
        bad(message, "the status code is not three digits from 100 to 599");
        CHECK_NUMBER(once.h.status, 0);
    }
    for (i = 0; i < COUNT_OF(fine); i++) {
        (void)snprintf(message, sizeof message, "%s\r\n%s", fine[i], BODY_2);
        ok(message, 200, "{}");
    }
    ok("HTTP/1.1 599 x\r\n" BODY_2, 599, "{}");
    ok("HTTP/1.1 304 x\r\nContent-Length: 10\r\n\r\n", 304, "");
    ok("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", 204, "");
    bad("HTTP/1.1 200 a\nContent-Length: 0\r\n\r\n", "the status line holds a bare LF or a NUL");
    bad("HTTP/1.1 200 a\rb\r\n\r\n", "a CR is not followed by LF");
    support_case("NUL in a reason");
    everyhow("HTTP/1.1 200 a\0b\r\n\r\n", 20, true);
    CHECK_TEXT(once.h.reason, "the status line holds a bare LF or a NUL");
}

static void interim(void **state)
{
    char message[2048];
    unsigned count, i;
    (void)state;
    for (count = 0; count <= 10; count++) {
        message[0] = '\0';
        for (i = 0; i < count; i++) strcat(message, i % 2 == 0 ? "HTTP/1.1 100 Continue\r\n\r\n"
            : "HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n");
        strcat(message, OK_200 BODY_2);
        if (count <= COMPSHARE__HTTP_INTERIM_MAX) ok(message, 200, "{}");
        else bad(message, "too many 1xx responses");
    }
    CHECK_NUMBER(COMPSHARE__HTTP_INTERIM_MAX, 8);
    bad("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" OK_200 BODY_2,
        "101 Switching Protocols was not asked for");
    CHECK_NUMBER(once.h.status, 0);
    /* nothing of an interim response is kept */
    ok("HTTP/1.1 100 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nX-UCLOUD-REQUEST-UUID: no\r\n"
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n" OK_200 BODY_2, 200, "{}");
    CHECK(once.h.keep_alive && !once.h.encoded && once.h.date == 0 && once.h.request_id[0] == '\0'
        && once.h.content_type[0] == '\0');
    bad("HTTP/1.1 100 x\r\n\r\n", "the connection was closed without a reply");
}

/* ---- limits, exactly ---- */

static char big[140000];

static size_t head_of(size_t total, size_t line)
{
    size_t n = strlen(strcpy(big, OK_200 "Content-Length: 2\r\n"));
    while (n + 2 < total) {
        size_t left = total - 2 - n, length = left < line ? left : line;
        if (left > length && left - length < 8) length = left - 8;
        memset(big + n, 'x', length);
        big[n + 1] = ':';
        big[n + length - 2] = '\r';
        big[n + length - 1] = '\n';
        n += length;
    }
    memcpy(big + n, "\r\n{}", 5);
    CHECK_NUMBER(n + 2, total);
    return n + 4;
}

static void limit(const char *name, size_t len, bool fits, const char *reason)
{
    support_case("%s", name);
    everyhow(big, len, true);
    CHECK_TEXT(once.h.reason != NULL ? once.h.reason : "", fits ? "" : reason);
    CHECK_NUMBER(once.h.state, fits ? COMPSHARE__HTTP_DONE : COMPSHARE__HTTP_FAILED);
}

/* A line that is too long is refused where it becomes so, not where it ends. */
static void long_lines_at_once(void **state)
{
    static const char *const begins[] = { OK_200 "X: ", OK_200 "", "HTTP/1.1 200 ", OK_200 "X: a\r\n " };
    size_t i, piece;
    (void)state;
    for (i = 0; i < COUNT_OF(begins); i++)
        for (piece = 1; piece <= 20000; piece *= 10) {
            compshare__http h;
            size_t at, used = 0, len = 20000, n = strlen(strcpy(big, begins[i]));
            compshare_view body;
            support_case("line %u, pieces of %u", (unsigned)i, (unsigned)piece);
            memset(big + n, 'x', len - n);
            compshare__http_init(&h, false);
            for (at = 0; at < len && h.state != COMPSHARE__HTTP_FAILED; at += used)
                used = compshare__http_feed(&h, (const unsigned char *)big + at, piece < len - at ? piece : len - at,
                    &body);
            CHECK_NUMBER(h.state, COMPSHARE__HTTP_FAILED);
            CHECK_TEXT(h.reason, "a line of the head is longer than 8,192 bytes");
            CHECK_NUMBER(h.line_bytes, COMPSHARE__HTTP_LINE_MAX + 1);
        }
}

static void head_limits(void **state)
{
    static const char too_long[] = "the head or trailer is longer than 32,768 bytes",
        line[] = "a line of the head is longer than 8,192 bytes";
    size_t i, n;
    (void)state;
    CHECK_NUMBER(COMPSHARE__HTTP_HEAD_MAX, 32768);
    CHECK_NUMBER(COMPSHARE__HTTP_LINE_MAX, 8192);
    limit("head of 32767", head_of(32767, 1000), true, "");
    limit("head of 32768", head_of(32768, 1000), true, "");
    limit("head of 32769", head_of(32769, 1000), false, too_long);
    limit("head of 32770", head_of(32770, 1000), false, too_long);
    limit("line of 8191", head_of(36 + 8191 + 2, 8191), true, "");
    limit("line of 8192", head_of(36 + 8192 + 2, 8192), true, "");
    limit("line of 8193", head_of(36 + 8193 + 2, 8193), false, line);
    for (i = 8191; i <= 8193; i++) {        /* the status line is a line, too */
        n = strlen(strcpy(big, OK_200)) - 2;
        memset(big + n, 'r', i - n);
        strcpy(big + i - 2, "\r\n" BODY_2);
        limit(i == 8191 ? "status line of 8191" : i == 8192 ? "status line of 8192" : "status line of 8193",
            i + strlen(BODY_2), i <= 8192, line);
    }
    for (i = 8190; i <= 8193; i++) {        /* in every line after the first, and in trailers */
        n = strlen(strcpy(big, OK_200 "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"));
        memset(big + n, 't', i);
        big[n + 1] = ':';
        strcpy(big + n + i - 2, "\r\n\r\n");
        limit("trailer line", strlen(big), i <= 8192, line);
    }
    for (i = 32766; i <= 32770; i++) {      /* a trailer section has the limit of a head */
        size_t start = strlen(strcpy(big, OK_200 "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"));
        n = start;
        while (n + 2 < start + i) {
            size_t left = start + i - 2 - n, length = left < 500 ? left : 500;
            if (left > length && left - length < 8) length = left - 8;
            memset(big + n, 't', length);
            big[n + 1] = ':';
            memcpy(big + n + length - 2, "\r\n", 2);
            n += length;
        }
        memcpy(big + n, "\r\n", 3);
        limit("trailer section", n + 2, i <= 32768, too_long);
    }
    /* interim heads do not add up: each has the limit of its own */
    n = 0;
    for (i = 0; i < 3; i++) {
        n += strlen(strcpy(big + n, "HTTP/1.1 100 x\r\nX: "));
        memset(big + n, 'x', 8000);
        n += 8000;
        n += strlen(strcpy(big + n, "\r\nX: "));
        memset(big + n, 'x', 8000);
        n += 8000;
        n += strlen(strcpy(big + n, "\r\n\r\n"));
    }
    n += strlen(strcpy(big + n, OK_200 BODY_2));
    limit("three interim heads of 16 KB", n, true, "");
}

static void chunk_limits(void **state)
{
    static const char reason[] = "chunk extensions are longer than 4,096 bytes";
    size_t i, n;
    (void)state;
    CHECK_NUMBER(COMPSHARE__HTTP_EXT_MAX, 4096);
    for (i = 4095; i <= 4097; i++) {        /* in one extension */
        n = strlen(strcpy(big, OK_200 "Transfer-Encoding: chunked\r\n\r\n2;"));
        memset(big + n, 'e', i);
        strcpy(big + n + i, "\r\n{}\r\n0\r\n\r\n");
        limit("one extension", strlen(big), i <= 4096, reason);
    }
    for (i = 4095; i <= 4097; i++) {        /* and in many: half, then the rest */
        n = strlen(strcpy(big, OK_200 "Transfer-Encoding: chunked\r\n\r\n1;"));
        memset(big + n, 'e', 2048);
        n += 2048;
        n += strlen(strcpy(big + n, "\r\n{\r\n1;"));
        memset(big + n, 'f', i - 2048);
        strcpy(big + n + i - 2048, "\r\n}\r\n0\r\n\r\n");
        limit("two extensions", strlen(big), i <= 4096, reason);
    }
    n = strlen(strcpy(big, OK_200 "Transfer-Encoding: chunked\r\n\r\n2"));
    memset(big + n, ' ', 4097);
    strcpy(big + n + 4097, ";a\r\n{}\r\n0\r\n\r\n");
    limit("4,097 spaces after a size", strlen(big), false, reason);
    n = strlen(strcpy(big, OK_200 "Transfer-Encoding: chunked\r\n\r\n"));
    memset(big + n, '0', 63);
    strcpy(big + n + 63, "2\r\n{}\r\n0\r\n\r\n");
    limit("64 digits", strlen(big), true, "");
    n = strlen(strcpy(big, OK_200 "Transfer-Encoding: chunked\r\n\r\n"));
    memset(big + n, '0', 64);
    strcpy(big + n + 64, "2\r\n{}\r\n0\r\n\r\n");
    limit("65 digits", strlen(big), false, "a chunk size has more than 64 digits");
}

/* ---- header lines ---- */

static void header_form(void **state)
{
    static const char name[] = "a header name holds a character that is not allowed, or has no colon";
    (void)state;
    bad(OK_200 "Content-Length : 2\r\n\r\n{}", name);
    bad(OK_200 "Content Length: 2\r\n\r\n{}", name);
    bad(OK_200 "Content-Length\r\n\r\n{}", name);
    bad(OK_200 "X\x80: 2\r\n\r\n{}", name);
    bad(OK_200 "X(: 2\r\n\r\n{}", name);
    bad(OK_200 ": 2\r\n\r\n{}", "a header line does not begin with a name");
    bad(OK_200 " X: 2\r\n\r\n{}", "a header line does not begin with a name");
    bad(OK_200 "\tX: 2\r\n\r\n{}", "a header line does not begin with a name");
    bad(OK_200 "X: a\nContent-Length: 2\r\n\r\n{}", "a header line holds a bare LF or a NUL");
    bad(OK_200 "X: a\rContent-Length: 2\r\n\r\n{}", "a CR is not followed by LF");
    bad(OK_200 "X: a\r\r\nContent-Length: 2\r\n\r\n{}", "a CR is not followed by LF");
    bad(OK_200 "X: a\r\n\rContent-Length: 2\r\n\r\n{}", "a CR is not followed by LF");
    support_case("NUL in a value");
    everyhow(OK_200 "X: a\0b\r\n\r\n", strlen(OK_200) + 10, true);
    CHECK_TEXT(once.h.reason, "a header line holds a bare LF or a NUL");
    ok(OK_200 "!#$%&'*+-.^_`|~09azAZ: x\r\nCONTENT-LENGTH:2\r\n\r\n{}", 200, "{}");
    ok(OK_200 "X:\r\nY: \r\nZ:\t \t\r\ncontent-length:\t2\t \r\n\r\n{}", 200, "{}");
    /* names of 31 to 33 bytes that begin like one that matters */
    ok(OK_200 "Content-Lengthxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: 9\r\n" BODY_2, 200, "{}");
    ok(OK_200 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 9\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 9\r\n" BODY_2, 200, "{}");
}

static void folding(void **state)
{
    char message[512];
    (void)state;
    ok(OK_200 "X: a\r\n b\r\n\tc\r\n" BODY_2, 200, "{}");
    ok(OK_200 "Content-Length:\r\n 2\r\n\r\n{}", 200, "{}");
    ok(OK_200 "Content-Length: 2\r\n \r\n\r\n{}", 200, "{}");
    ok(OK_200 "Content-Length: 2\r\n\t\r\n \r\n\r\n{}", 200, "{}");
    /* just full before the fold */
    (void)snprintf(message, sizeof message, OK_200 "Content-Length: %0160u\r\n \r\n\r\n{}", 2u);
    ok(message, 200, "{}");
    (void)snprintf(message, sizeof message, OK_200 "Content-Length: %0160u\r\n 2\r\n\r\n{}", 2u);
    bad(message, "a Content-Length or Transfer-Encoding header is too long");
    bad(OK_200 "Content-Length: 1\r\n 2\r\n\r\n{}", "Content-Length is not a decimal number of at most 64 bits");
    bad(OK_200 "Transfer-Encoding: chun\r\n ked\r\n\r\n0\r\n\r\n", "Transfer-Encoding is not exactly \"chunked\"");
    ok(OK_200 "Transfer-Encoding:\r\n chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, "{}");
    ok(OK_200 "Connection: x,\r\n close\r\n" BODY_2, 200, "{}");
    CHECK(!once.h.keep_alive);
    ok(OK_200 "X-UCLOUD-REQUEST-UUID: a\r\n b\r\n" BODY_2, 200, "{}");
    CHECK_TEXT(once.h.request_id, "a?b");
}

static void content_length(void **state)
{
    static const char *const fine[] = { "26", "026", "00000000000000000000000000026", "26, 26", "26,26", "26 ,\t26",
        "26, 26, 026" };
    static const struct { const char *value, *reason; } refused[] = {
        { "", "Content-Length is empty" }, { "26,", "Content-Length is empty" }, { ",26", "Content-Length is empty" },
            { ",", "Content-Length is empty" },
        { "26,,26", "Content-Length is empty" }, { "26, ", "Content-Length is empty" },
        { "26, 27", "two Content-Length values differ" }, { "27,26", "two Content-Length values differ" },
        { "26 26", "" }, { "+26", "" }, { "-26", "" }, { "0x1a", "" }, { "26.0", "" }, { "2 6", "" }, { "26;", "" },
            { "1a", "" }, { "\"26\"", "" },
        { "\xEF\xBC\x92", "" }, { "18446744073709551616", "" }, { "99999999999999999999", "" }, { "26, x", "" }
    };
    static const char body[] = "{\"Action\":\"X\",\"RetCode\":0}";
    char message[512];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(fine); i++) {
        (void)snprintf(message, sizeof message, OK_200 "Content-Length: %s\r\n\r\n%s", fine[i], body);
        ok(message, 200, body);
    }
    for (i = 0; i < COUNT_OF(refused); i++) {
        (void)snprintf(message, sizeof message, OK_200 "Content-Length: %s\r\n\r\n%s", refused[i].value, body);
        bad(message, refused[i].reason[0] != '\0' ? refused[i].reason
            : "Content-Length is not a decimal number of at most 64 bits");
    }
    ok(OK_200 "Content-Length: 2\r\nX: y\r\nContent-Length: 2\r\n\r\n{}", 200, "{}");
    bad(OK_200 "Content-Length: 2\r\ncontent-length: 3\r\n\r\n{} ", "two Content-Length values differ");
    bad(OK_200 "Content-Length: 18446744073709551615\r\n\r\n{}",
        "the connection was closed in the middle of the reply's body");
    bad(OK_200 "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "both Transfer-Encoding and Content-Length are present");
    bad(OK_200 "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
        "both Transfer-Encoding and Content-Length are present");
    bad("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding in an HTTP/1.0 response");
    bad(OK_200 "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding is not exactly \"chunked\"");
    bad(OK_200 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding is not exactly \"chunked\"");
    bad(OK_200 "Transfer-Encoding: deflate\r\n\r\n0\r\n\r\n", "Transfer-Encoding is not exactly \"chunked\"");
    bad(OK_200 "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", "Transfer-Encoding is not exactly \"chunked\"");
    bad(OK_200 "Transfer-Encoding:\r\n\r\n0\r\n\r\n", "Transfer-Encoding is not exactly \"chunked\"");
    (void)snprintf(message, sizeof message, OK_200 "Content-Length: %0161u\r\n\r\n{}", 2u);
    bad(message, "a Content-Length or Transfer-Encoding header is too long");
    (void)snprintf(message, sizeof message, OK_200 "Content-Length: %0160u\r\n\r\n{}", 2u);
    ok(message, 200, "{}");
}

static void chunks(void **state)
{
    static const char *const broken[] = {
        "\r\n", "g\r\n", " 2\r\n{}\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", "+2\r\n{}\r\n0\r\n\r\n",
            "0x2\r\n{}\r\n0\r\n\r\n", "2\n{}\r\n0\r\n\r\n", "2\r{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n", "2\r\n{}\n0\r\n\r\n", "2\r\n{} \r\n0\r\n\r\n", "2\r\n{}\r\n\r\n", "3\r\n{}\r\n0\r\n\r\n",
            "1\r\n{}\r\n0\r\n\r\n", "2;a\nb\r\n{}\r\n0\r\n\r\n",
        "2 x\r\n{}\r\n0\r\n\r\n", "2;\x01\r\n{}\r\n0\r\n\r\n", "2;\x7F\r\n{}\r\n0\r\n\r\n", "10000000000000000\r\n",
            "2 \r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nbad trailer\r\n\r\n", "2\r\n{}\r\n0\r\n: x\r\n\r\n", "2\r\n{}\r\n0\r\nA: x\n\r\n",
            "2\r\n{}\r\n0\r\n\n", "2\r\n{}\r\n0\r\n\rX"
    };
    static const char *const fine[] = {
        "2\r\n{}\r\n0\r\n\r\n", "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", "02\r\n{}\r\n000\r\n\r\n",
            "2;a=b\r\n{}\r\n0;c\r\n\r\n", "2 \t;a\r\n{}\r\n0\r\n\r\n",
        "2;a=\"x\ty\"\r\n{}\r\n0\r\n\r\n", "2;\xC3\xA9\r\n{}\r\n0\r\n\r\n",
            "2\r\n{}\r\n0\r\nA: x\r\nContent-Length: 99\r\nTransfer-Encoding: gzip\r\n\r\n",
        "2;\r\n{}\r\n0\r\nA: x\r\n folded\r\n\r\n"
    };
    char message[256];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(broken); i++) {
        (void)snprintf(message, sizeof message, OK_200 "Transfer-Encoding: chunked\r\n\r\n%s", broken[i]);
        reply(message);
        CHECK_NUMBER(once.h.state, COMPSHARE__HTTP_FAILED);
        CHECK_NUMBER(once.h.status, 200);
        CHECK(strstr(once.h.reason, "closed") == NULL || strchr("3", broken[i][0]) != NULL);
    }
    for (i = 0; i < COUNT_OF(fine); i++) {
        (void)snprintf(message, sizeof message, OK_200 "Transfer-Encoding: chunked\r\n\r\n%s", fine[i]);
        ok(message, 200, "{}");
    }
    /* trailer fields are not merged into the head's */
    ok(OK_200 "Transfer-Encoding: chunked\r\nX-UCLOUD-REQUEST-UUID: head\r\n\r\n2\r\n{}\r\n0\r\nX-UCLOUD-REQUEST-UUID: trailer\r\n"
        "Connection: close\r\nContent-Encoding: gzip\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", 200, "{}");
    CHECK_TEXT(once.h.request_id, "head");
    CHECK(once.h.keep_alive && !once.h.encoded && once.h.date == 0);
    /* a chunk as large as 64 bits can say */
    bad(OK_200 "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
        "the connection was closed in the middle of the reply's body");
    /* surplus is left alone */
    ok(OK_200 "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nHTTP/1.1 500 x", 200, "{}");
    CHECK_NUMBER(once.consumed, strlen(OK_200) + strlen("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"));
    ok(OK_200 BODY_2 "HTTP/1.1 500 x\r\n\r\n", 200, "{}");
    CHECK_NUMBER(once.consumed, strlen(OK_200 BODY_2));
}

static void keep_alive(void **state)
{
    static const struct { const char *head; bool keep; } cases[] = {
        { "HTTP/1.1 200 OK\r\n", true }, { "HTTP/1.0 200 OK\r\n", false }, { "HTTP/1.2 200 OK\r\n", true },
        { "HTTP/1.1 200 OK\r\nConnection: close\r\n", false }, { "HTTP/1.1 200 OK\r\nConnection: CLOSE\r\n", false },
        { "HTTP/1.1 200 OK\r\nconnection:close\r\n", false },
            { "HTTP/1.1 200 OK\r\nConnection: \t close \t\r\n", false },
        { "HTTP/1.1 200 OK\r\nConnection: x , Close\r\n", false },
            { "HTTP/1.1 200 OK\r\nConnection: ,,close,,\r\n", false },
        { "HTTP/1.1 200 OK\r\nConnection: keep-alive,close\r\n", false },
            { "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n", false },
        { "HTTP/1.1 200 OK\r\nConnection: closed\r\n", true }, { "HTTP/1.1 200 OK\r\nConnection: not close\r\n", true },
        { "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", true }, { "HTTP/1.1 200 OK\r\nConnection:\r\n", true },
        { "HTTP/1.1 200 OK\r\nProxy-Connection: close\r\n", true },
            { "HTTP/1.1 200 OK\r\nConnections: close\r\n", true },
        { "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", true },
            { "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", true },
        { "HTTP/1.0 200 OK\r\nConnection:\tx,\tKEEP-ALIVE\t,y\r\n", true },
            { "HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n", false },
        { "HTTP/1.0 200 OK\r\nConnection: keepalive\r\n", false },
            { "HTTP/1.0 200 OK\r\nKeep-Alive: timeout=5\r\n", false }
    };
    char message[1024];
    size_t i, n;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        (void)snprintf(message, sizeof message, "%s%s", cases[i].head, BODY_2);
        ok(message, 200, "{}");
        CHECK(once.h.keep_alive == cases[i].keep);
    }
    n = strlen(strcpy(message, OK_200 "Connection: "));    /* what lies beyond is not known: close */
    memset(message + n, 'x', 300);
    strcpy(message + n + 300, ", close\r\n" BODY_2);
    ok(message, 200, "{}");
    CHECK(!once.h.keep_alive);
    ok(OK_200 "\r\n{}", 200, "{}");
    CHECK(!once.h.keep_alive);
    ok("HTTP/1.1 204 x\r\n\r\n", 204, "");
    CHECK(once.h.keep_alive);
}

/* ---- what is read out of the head ---- */

static void date_is(const char *text, int64_t wanted)
{
    size_t len = strlen(text);
    compshare_view v;
    v.ptr = (const char *)guard_copy(&pieces, text, len);
    v.len = len;
    support_case("date \"%s\"", text);
    CHECK_NUMBER(compshare__http_date(v), wanted);
}

static void dates(void **state)
{
    static const char *const malformed[] = {
        "", "0", "784111777", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Nvo 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT", "Sun, 06 Nov 1994 08:49:3x GMT", "Sun, 06 Nov 199x 08:49:37 GMT",
            "Sun, 06 Nov -994 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994 GMT", "Sun Nov 6 08:49:37 1994", "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 EST",
        "Sunday, 06-Nov-94 08:49:37", "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMTx",
            " Sun, 06 Nov 1994 08:49:37 GMT", ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
        "Sun, +6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 -8:49:37 GMT", "tomorrow"
    };
    size_t i, cut;
    char text[64];
    (void)state;
    date_is("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    date_is("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    date_is("Sun Nov  6 08:49:37 1994", 784111777);
    date_is("Wednesday, 01-Jan-70 00:00:01 GMT", 1);
    date_is("Thu, 01 Jan 1970 00:00:01 GMT", 1);
    date_is("Mon, 23 Nov 2026 14:05:00 GMT", 1795442700);
    date_is("Monday, 23-Nov-26 14:05:00 GMT", 1795442700);
    date_is("Mon Nov 23 14:05:00 2026", 1795442700);
    date_is("Tue, 29 Feb 2000 00:00:00 GMT", 951782400);
    date_is("Thu, 29 Feb 2024 12:00:00 GMT", 1709208000);
    date_is("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800);
    date_is("Tue, 19 Jan 2038 03:14:08 GMT", INT64_C(2147483648));
    date_is("Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799));
    date_is("Sunday, 31-Dec-69 23:59:59 GMT", INT64_C(3155759999));
    for (i = 0; i < COUNT_OF(malformed); i++) date_is(malformed[i], 0);
    CHECK(COUNT_OF(malformed) >= 20);
    date_is("Sat, 31 Feb 2026 08:49:37 GMT", 0);
    date_is("Sun, 29 Feb 2026 08:49:37 GMT", 0);
    date_is("Thu, 29 Feb 2100 08:49:37 GMT", 0);
    date_is("Thu, 31 Apr 2026 08:49:37 GMT", 0);
    date_is("Sun,X06XNovX1994X08:49:37 GMT", 0);
    date_is("Wed, 31 Dec 1969 23:59:59 GMT", 0);
    date_is("1un, 06 Nov 1994 08:49:37 GMT", 0);
    date_is("Sun, \x20""6 Nov 1994 08:49:37 GMT", 0);
    for (cut = 0; cut < 29; cut++) {
        (void)snprintf(text, sizeof text, "%.*s", (int)cut, "Sun, 06 Nov 1994 08:49:37 GMT");
        date_is(text, 0);
    }
    support_seed(4);
    for (i = 0; i < 20000; i++) {       /* whatever comes, no byte outside is read */
        compshare_view v;
        size_t k, len = strlen(strcpy(text, i % 3 == 0 ? "Sun, 06 Nov 1994 08:49:37 GMT" : i % 3 == 1
            ? "Sunday, 06-Nov-94 08:49:37 GMT" : "Sun Nov  6 08:49:37 1994"));
        for (k = 0; k < 3; k++) text[support_random(len)] = (char)support_random(256);
        v.ptr = (const char *)guard_copy(&pieces, text, len);
        v.len = len;
        (void)compshare__http_date(v);
    }
    ok(OK_200 "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" BODY_2, 200, "{}");
    CHECK_NUMBER(once.h.date, 784111777);
    ok(OK_200 "Date:   Sun Nov  6 08:49:37 1994  \r\n" BODY_2, 200, "{}");
    CHECK_NUMBER(once.h.date, 784111777);
}

static void retry_after(void **state)
{
    static const struct { const char *value; int64_t seconds, date; } cases[] = {
        { "0", 0, 0 }, { "120", 120, 0 }, { "9223372036854775807", INT32_MAX, 0 }, { "007", 7, 0 },
            { "2147483646", 2147483646, 0 }, { "Sun, 06 Nov 1994 08:49:37 GMT", -1, 784111777 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", -1, 784111777 }, { "-1", -1, 0 }, { "1.5", -1, 0 }, { "soon", -1, 0 },
            { "", -1, 0 }, { "+5", -1, 0 },
        { "5 s", -1, 0 }, { "99999999999999999999999", INT32_MAX, 0 }
    };
    char message[256];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        (void)snprintf(message, sizeof message, "HTTP/1.1 429 x\r\nRetry-After: %s\r\n" BODY_2, cases[i].value);
        ok(message, 429, "{}");
        CHECK_NUMBER(once.h.retry_after_s, cases[i].seconds);
        CHECK_NUMBER(once.h.retry_after_date, cases[i].date);
    }
    ok(OK_200 BODY_2, 200, "{}");
    CHECK(once.h.retry_after_s == -1 && once.h.retry_after_date == 0);
}

static void other_fields(void **state)
{
    static const struct { const char *value, *wanted; } types[] = {
        { "application/json", "application/json" }, { "Application/JSON; charset=utf-8", "application/json" },
            { "text/csv;charset=GBK", "text/csv" },
        { "text/csv ; header=present", "text/csv" }, { "text/csv\t;x", "text/csv" }, { "", "" }, { ";x", "" },
        { "a/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "a/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" }
    };
    static const struct { const char *value, *wanted; } ids[] = {
        { "abc-123_XYZ", "abc-123_XYZ" }, { "a b\tc", "a?b?c" }, { "\x1B[31m", "?[31m" }, { "\xE4\xB8\xAD", "???" },
            { "a\x7F\x01", "a??" }, { "", "" },
        { "1234567890123456789012345678901234567890123456789012345678901234567890",
            "123456789012345678901234567890123456789012345678901234567890123" }
    };
    static const struct { const char *value; bool encoded; } codings[] = {
        { "identity", false }, { "IDENTITY", false }, { "gzip", true }, { "br", true }, { "identity, gzip", true },
            { "x", true }
    };
    char message[512];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(types); i++) {
        (void)snprintf(message, sizeof message, OK_200 "Content-Type: %s\r\n" BODY_2, types[i].value);
        ok(message, 200, "{}");
        CHECK_TEXT(once.h.content_type, types[i].wanted);
    }
    for (i = 0; i < COUNT_OF(ids); i++) {
        (void)snprintf(message, sizeof message, OK_200 "x-Ucloud-REQUEST-uuid: %s\r\n" BODY_2, ids[i].value);
        ok(message, 200, "{}");
        CHECK_TEXT(once.h.request_id, ids[i].wanted);
    }
    for (i = 0; i < COUNT_OF(codings); i++) {
        (void)snprintf(message, sizeof message, OK_200 "Content-Encoding: %s\r\n" BODY_2, codings[i].value);
        ok(message, 200, "{}");
        CHECK(once.h.encoded == codings[i].encoded);
    }
    ok(OK_200 "Content-Encoding: gzip\r\nContent-Encoding: identity\r\n" BODY_2, 200, "{}");
    CHECK(once.h.encoded);
}

/* ---- the end of the stream ---- */

static void cut_everywhere(const char *message, size_t head, bool to_close)
{
    size_t len = strlen(message), cut;
    int orderly;
    for (orderly = 0; orderly <= 1; orderly++)
        for (cut = 0; cut <= len; cut++) {
            const char *reason = cut == 0 ? "the connection was closed without a reply"
                : cut < head ? "the connection was closed in the middle of the reply's head"
                : to_close ? (orderly ? "" : "the connection was cut: no length was given and no close_notify came")
                : cut < len ? "the connection was closed in the middle of the reply's body" : "";
            support_case("first %u bytes, %s end, of %.60s", (unsigned)cut, orderly ? "orderly" : "abrupt", message);
            in_pieces(&once, message, cut, cut, 1, orderly != 0);
            CHECK_TEXT(once.h.reason != NULL ? once.h.reason : "", reason);
            CHECK_NUMBER(once.h.state, reason[0] == '\0' ? COMPSHARE__HTTP_DONE : COMPSHARE__HTTP_FAILED);
            in_pieces(&again, message, cut, 0, 1, orderly != 0);
            same(&once, &again);
        }
}

static void end_of_stream(void **state)
{
    static const char fixed[] = OK_200 "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"RetCode\":0}";
    static const char chunked[] =
        OK_200 "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"Ret\r\n8;x=y\r\nCode\":0}\r\n0\r\nT: u\r\n\r\n";
    static const char to_close[] = OK_200 "Content-Type: application/json\r\n\r\n{\"RetCode\":0}";
    (void)state;
    cut_everywhere(fixed, strlen(fixed) - 13, false);
    cut_everywhere(chunked, strlen(OK_200 "Transfer-Encoding: chunked\r\n\r\n"), false);
    cut_everywhere(to_close, strlen(to_close) - 13, true);
    support_case("an end after the end changes nothing");
    in_pieces(&once, fixed, strlen(fixed), 7, 3, true);
    compshare__http_end(&once.h, false);
    CHECK(once.h.state == COMPSHARE__HTTP_DONE && once.h.reason == NULL);
    in_pieces(&once, "X", 1, 1, 1, true);
    compshare__http_end(&once.h, true);
    CHECK_TEXT(once.h.reason, "the reply does not begin with an HTTP/1 status line");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_cases),
        cmocka_unit_test(status_lines),
        cmocka_unit_test(interim),
        cmocka_unit_test(long_lines_at_once), cmocka_unit_test(head_limits),
        cmocka_unit_test(chunk_limits),
        cmocka_unit_test(header_form),
        cmocka_unit_test(folding),
        cmocka_unit_test(content_length),
        cmocka_unit_test(chunks),
        cmocka_unit_test(keep_alive),
        cmocka_unit_test(dates),
        cmocka_unit_test(retry_after),
        cmocka_unit_test(other_fields),
        cmocka_unit_test(end_of_stream)
    };
    return cmocka_run_group_tests(tests, make_guard, drop_guard);
}
