/* How a reply arrives must not matter, nor when it ends: every case of tests/data cut
   at every point and dripped byte by byte, replies without an end, bytes too many and
   too early. Pure rooms first, then a whole client over a transport in memory. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include "support.h"
#include "memory.h"

#define REBOOT "RebootCompShareInstance"
#define OK_200 "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_200 "Transfer-Encoding: chunked\r\n\r\n"
#define SUCCESS OK_200 "Content-Length: 13\r\n\r\n{\"RetCode\":0}"
#define REFUSAL OK_200 "Content-Length: 15\r\n\r\n{\"RetCode\":171}"
#define NEVER MEMORY_NEVER
#define ENOUGH (4u << 20)       /* bytes of one reply that no limit lets a client take */

/* ---- a connection in memory ---- */

/* What it hands out: a text, then a unit for ever or not at all. */
typedef struct stream {
    const char *text;
    size_t len;
    const char *unit;           /* NULL: the text is all */
} stream;

static memory_peer wire;
static fake_clock present;
static guard block;             /* the client's memory ends at a forbidden page */
static compshare *client;

static int set_up(void **state)
{
    compshare_config config;
    (void)state;
    memory_begin(&wire, &present, 1795442700);
    wire.lossy = true;
    wire.send_after = COMPSHARE_WANT_WRITE;
    memory_configure(&config, &wire);
    block = guard_open(COMPSHARE_MEMORY);
    config.memory = guard_tail(&block, COMPSHARE_MEMORY);
    config.memory_size = COMPSHARE_MEMORY;
    config.region = "cn-wlcb";
    CHECK_NUMBER(compshare_open(&client, &config), COMPSHARE_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    compshare_close(client);
    guard_close(&block);
    return 0;
}

/* The connection hands this out behind the next request. One that ended is dead;
   one that is idle may be used again. */
static void arm(stream out, ptrdiff_t after)
{
    wire.dead = wire.after != COMPSHARE_WANT_READ;
    memory_says(&wire, out.text, out.len);
    wire.unit = out.unit;
    if (out.unit != NULL) wire.total = NEVER;
    wire.next = 0;
    wire.after = after;
    wire.paused = wire.pausing = wire.stutter = false;
    wire.cut = NEVER;
    wire.need = 1;
    wire.piece = 0;
    wire.send_room = SIZE_MAX;
    wire.sent = 0;
    wire.looks = 0;
    wire.per_look = wire.drip = 0;
}

static stream text(const char *bytes_)
{
    stream s;
    s.text = bytes_;
    s.len = strlen(bytes_);
    s.unit = NULL;
    return s;
}

/* ---- what a call says ---- */

typedef struct result {
    int status, stage, http_status, ret_code;
    bool unknown, retryable, kept;
    char detail[320], message[256], request_id[64];
    compshare_view body;
    size_t values;              /* of the reply, or elements handed out */
    uint64_t hash;              /* of those elements */
} result;

static int take_element(void *user, compshare_value element)
{
    result *r = (result *)user;
    compshare_view raw = compshare__tokens_raw(&client->reply.tree, 0);
    size_t i;
    (void)element;
    r->values++;
    for (i = 0; i < raw.len; i++) r->hash = (r->hash ^ (unsigned char)raw.ptr[i]) * UINT64_C(1099511628211);
    return 0;
}

static unsigned long calls;

static void act(result *r, bool each)
{
    const compshare_error *e = compshare_last_error(client);
    calls++;
    r->values = 0;
    r->hash = 14695981039346656037u;
    if (each) {
        r->status = compshare_call_each(client, REBOOT, NULL, 0, "UHostSet", take_element, r);
    } else {
        r->status = compshare_call(client, REBOOT, NULL, 0);
        r->values = compshare_count(compshare_reply(client));
    }
    CHECK_NUMBER(e->status, r->status);
    r->stage = e->stage;
    r->http_status = e->http_status;
    r->ret_code = e->ret_code;
    r->unknown = e->outcome_unknown;
    r->retryable = e->retryable;
    r->kept = client->connection.open;
    strcpy(r->detail, e->detail);
    strcpy(r->message, e->message);
    strcpy(r->request_id, e->request_id);
    r->body = compshare_body(client);
}

static result want, got;
static char want_body[COMPSHARE_MEMORY];

/* The body of `want` outlives the next call. */
static void remember(void)
{
    CHECK(want.body.len <= sizeof want_body);
    if (want.body.len > 0) memcpy(want_body, want.body.ptr, want.body.len);
    want.body.ptr = want_body;
}

static void same_verdict(void)
{
    CHECK_NUMBER(got.status, want.status);
    CHECK_NUMBER(got.stage, want.stage);
    CHECK_NUMBER(got.http_status, want.http_status);
    CHECK_NUMBER(got.ret_code, want.ret_code);
    CHECK(got.unknown == want.unknown && got.retryable == want.retryable);
    CHECK_TEXT(got.detail, want.detail);
    CHECK_TEXT(got.message, want.message);
    CHECK_TEXT(got.request_id, want.request_id);
    CHECK(got.body.len == want.body.len && (got.body.len == 0 || memcmp(got.body.ptr, want.body.ptr,
        got.body.len) == 0));
    CHECK(got.values == want.values && got.hash == want.hash);
}

/* Success, on a new connection if the last one cannot be trusted. */
static void next_call_works(void)
{
    unsigned opened = wire.opened;
    bool kept = client->connection.open && wire.after == COMPSHARE_WANT_READ;
    arm(text(SUCCESS), COMPSHARE_WANT_READ);
    act(&got, false);
    CHECK_NUMBER(got.status, COMPSHARE_OK);
    CHECK(!got.unknown && got.kept && got.body.len == 13);
    CHECK_NUMBER(wire.opened, opened + !kept);
}

/* ---- cut at every point ---- */

/* All points of what is not too long; of the rest both ends, and one in 61: the parsers
   alone are cut at all of them. */
static uint64_t next_cut(uint64_t at, uint64_t end)
{
    if (end <= 6144 || at < 512 || end - at <= 512) return at + 1;
    return end - at - 512 < 61 ? end - 512 : at + 61;
}

/* At once into `want`; byte by byte with pauses, and in two pieces: all the same. What
   lies behind the bytes that the client asked for cannot matter to it. */
static void everyhow(stream out, ptrdiff_t after, bool each)
{
    uint64_t cut, reach;
    arm(out, after);
    act(&want, each);
    remember();
    reach = wire.at;
    arm(out, after);
    wire.piece = 1;
    wire.stutter = true;
    act(&got, each);
    same_verdict();
    for (cut = 0; cut <= reach; cut = next_cut(cut, reach)) {
        arm(out, after);
        wire.cut = cut;
        act(&got, each);
        same_verdict();
        /* what is surplus is not seen while it has not come */
        if (got.kept != want.kept && want.status != COMPSHARE_E_TOO_LARGE
            && want.status != COMPSHARE_E_JSON) CHECK(got.kept && wire.at < wire.total);
    }
}

static void http_cases(void **state)
{
    json_t *rows = support_rows("tests/data/http_cases.jsonl");
    size_t i, accepted = 0, kept = 0;
    (void)state;
    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        bytes raw = support_base64(support_text(row, "raw_base64"));
        ptrdiff_t end = strcmp(support_text(row, "close"), "abrupt") == 0 ? COMPSHARE_E_IO : 0;
        const char *framing;
        stream out = { NULL, 0, NULL };
        out.text = (const char *)raw.ptr;
        out.len = raw.len;
        support_case("%s, streamed", support_text(row, "name"));
        everyhow(out, end, true);
        support_case("%s", support_text(row, "name"));
        everyhow(out, end, false);
        framing = want.status == COMPSHARE_E_HTTP || want.status == COMPSHARE_E_CLOSED || want.status == COMPSHARE_E_IO
            ? "error" : "ok";
        if (strcmp(framing, support_text(row, "alt_verdict")) != 0) CHECK_TEXT(framing, support_text(row, "verdict"));
        if (framing[0] == 'e') CHECK(want.unknown && want.stage == COMPSHARE_STAGE_RECEIVE);
        accepted += framing[0] == 'o';
        next_call_works();
        arm(out, COMPSHARE_WANT_READ);      /* and where the connection stays open */
        act(&want, false);
        if (want.status != COMPSHARE_E_TIMEOUT) everyhow(out, COMPSHARE_WANT_READ, false);
        kept += want.kept;
        next_call_works();
        free(raw.ptr);
    }
    support_case("how many cases ran");
    CHECK_NUMBER(json_array_size(rows), 96);
    CHECK(accepted >= 30 && kept >= 20);
    json_decref(rows);
}

static char message[600000];

static stream fixed(const char *body, size_t len)
{
    stream s = { message, 0, NULL };
    s.len = (size_t)sprintf(message, OK_200 "Content-Type: application/json\r\nContent-Length: %lu\r\n\r\n",
        (unsigned long)len);
    CHECK(s.len + len <= sizeof message);
    memcpy(message + s.len, body, len);
    s.len += len;
    return s;
}

/* Two chunks, the first of `cut` bytes; one, where one would be the last. */
static stream chunked(const char *body, size_t len, size_t cut)
{
    stream s = { message, 0, NULL };
    size_t at = 0, i;
    s.len = (size_t)sprintf(message, OK_200 "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (i = 0; i < 2; i++) {
        size_t n = i == 0 ? cut : len - cut;
        if (n == 0) continue;
        s.len += (size_t)sprintf(message + s.len, "%lx\r\n", (unsigned long)n);
        memcpy(message + s.len, body + at, n);
        at += n;
        s.len += n;
        s.len += (size_t)sprintf(message + s.len, "\r\n");
    }
    s.len += (size_t)sprintf(message + s.len, "0\r\n\r\n");
    return s;
}

/* Cut by the transport, and by the chunks of its encoding. */
static void json_everyhow(const char *body, size_t len, bool each)
{
    uint64_t cut;
    everyhow(fixed(body, len), 0, each);
    for (cut = 0; cut <= len; cut = next_cut(cut, len)) {
        arm(chunked(body, len, (size_t)cut), 0);
        act(&got, each);
        same_verdict();
    }
}

/* What law 1 says of a case. */
static void json_verdict(const json_t *row)
{
    bool valid = strcmp(support_text(row, "json"), "valid") == 0,
        either = strcmp(support_text(row, "verdict"), "either") == 0;
    int code = (int)json_integer_value(json_object_get(row, "retcode"));
    bool refused = want.status == COMPSHARE_E_JSON || want.status == COMPSHARE_E_TOO_LARGE
        || (valid && want.status == COMPSHARE_E_REPLY);
    if (refused) CHECK(want.unknown);
    if (strcmp(support_text(row, "verdict"), "error") == 0) CHECK(refused);
    else if (!either || !refused) CHECK(valid && want.ret_code == code
        && want.status == (code == 0 ? COMPSHARE_OK : COMPSHARE_E_API));
}

static void json_cases(void **state)
{
    json_t *rows = support_rows("tests/data/json_cases.jsonl");
    size_t i, good = 0, elements = 0;
    (void)state;
    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        bytes raw = support_base64(support_text(row, "raw_base64"));
        int whole;
        support_case("%s", support_text(row, "name"));
        json_everyhow((const char *)raw.ptr, raw.len, false);
        json_verdict(row);
        whole = want.status;
        support_case("%s, streamed", support_text(row, "name"));
        json_everyhow((const char *)raw.ptr, raw.len, true);
        if (want.status == COMPSHARE_OK) CHECK(whole == COMPSHARE_OK || whole == COMPSHARE_E_TOO_LARGE);
        good += want.status == COMPSHARE_OK;
        elements += want.values;
        next_call_works();
        free(raw.ptr);
    }
    support_case("how many cases ran");
    CHECK_NUMBER(json_array_size(rows), 120);
    CHECK(good >= 19 && elements >= 2);
    json_decref(rows);
}

/* Escapes, UTF-8, numbers, literals and nested containers, each cut in its middle. */
static void elements_cut_everywhere(void **state)
{
    static const char body[] =
        "\xEF\xBB\xBF {\"a\":[-1.5e+3,tru" "e,null],\"UHostSet\":[ {\"Name\":\"\xE4\xB8\xAD\\ud83d\\ude00\\n\",\"x\":[[],{}]} ,\t-12.5e-7,\"\\u0000\","
        "false,null,[{\"UHostSet\":[1]}],0,17 ],\"Message\":\"\\u4e2d\",\"RetCode\":0}\r\n";
    (void)state;
    support_case("elements");
    json_everyhow(body, sizeof body - 1, true);
    CHECK_NUMBER(want.status, COMPSHARE_OK);
    CHECK_NUMBER(want.values, 8);
    json_everyhow(body, sizeof body - 1, false);
    CHECK_NUMBER(want.status, COMPSHARE_OK);
    CHECK_NUMBER(want.values, 4);
}

/* ---- the parsers alone, however long the case ---- */

#define WINDOW 48

/* From every state that single bytes lead to, a piece of WINDOW bytes and a second one
   lead to the same state as single bytes: by induction, so do any such pieces. */
static void http_windows(const unsigned char *src, size_t len)
{
    compshare__http base, middle, ahead, one;
    compshare_view body;
    size_t at = 0, tip = 0, k;
    compshare__http_init(&base, false);
    ahead = base;
    for (at = 0; at < len && base.state < COMPSHARE__HTTP_DONE; at++) {
        size_t first = at + WINDOW < len ? at + WINDOW : len, second = first + WINDOW < len ? first + WINDOW : len;
        while (tip < second) (void)compshare__http_feed(&ahead, src + tip++, 1, &body);
        one = base;
        for (k = at; k < first && one.state < COMPSHARE__HTTP_DONE;) k += compshare__http_feed(&one, src + k,
            first - k, &body);
        middle = one;
        for (; k < second && one.state < COMPSHARE__HTTP_DONE;) k += compshare__http_feed(&one, src + k, second - k,
            &body);
        CHECK(memcmp(&one, &ahead, sizeof one) == 0);
        CHECK(middle.head_bytes <= COMPSHARE__HTTP_HEAD_MAX + 1 && middle.received <= first);
        (void)compshare__http_feed(&base, src + at, 1, &body);
    }
}

static void json_windows(const char *src, size_t len)
{
    compshare__json base, ahead, one;
    size_t at, tip = 0;
    compshare__json_init(&base);
    ahead = base;
    for (at = 0; at < len && base.state != COMPSHARE__JSON_FAILED; at++) {
        size_t first = at + WINDOW < len ? at + WINDOW : len, second = first + WINDOW < len ? first + WINDOW : len;
        while (tip < second) compshare__json_feed(&ahead, src + tip++, 1);
        one = base;
        compshare__json_feed(&one, src + at, first - at);
        compshare__json_feed(&one, src + first, second - first);
        CHECK(memcmp(&one, &ahead, sizeof one) == 0);
        compshare__json_feed(&base, src + at, 1);
    }
}

static void json_cut_in_two(const char *src, size_t len)
{
    compshare__json whole, parts;
    size_t cut;
    compshare__json_init(&whole);
    for (cut = 0; cut < len; cut++) compshare__json_feed(&whole, src + cut, 1);
    for (cut = 0; cut <= len; cut++) {
        compshare__json_init(&parts);
        compshare__json_feed(&parts, src, cut);
        compshare__json_feed(&parts, src + cut, len - cut);
        CHECK(parts.state == whole.state && parts.at == whole.at && parts.depth == whole.depth);
    }
}

static void parsers_everywhere(void **state)
{
    /* bytes whose range depends on the one before them */
    static const char *const texts[] = { "\"\xE0\x80\x80\"", "\"\xED\xA0\x80\"", "\"\xF0\x8F\xBF\xBF\"",
        "\"\xF4\x90\x80\x80\"", "\"\xE0\xA0\x80\xF4\x8F\xBF\xBF\"", "[-0.5E+7,1e]", "\"\\ud83d\\ude0\"", "[tru,false]",
        "{\"a\":{\"b\":[]}}" };
    static const char *const files[] = { "tests/data/http_cases.jsonl", "tests/data/json_cases.jsonl" };
    size_t f, i;
    (void)state;
    for (i = 0; i < COUNT_OF(texts); i++) {
        support_case("text %u", (unsigned)i);
        json_cut_in_two(texts[i], strlen(texts[i]));
    }
    for (f = 0; f < 2; f++) {
        json_t *rows = support_rows(files[f]);
        for (i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i);
            bytes raw = support_base64(support_text(row, "raw_base64"));
            support_case("%s", support_text(row, "name"));
            if (f == 0) http_windows(raw.ptr, raw.len);
            else json_windows((const char *)raw.ptr, raw.len);
            free(raw.ptr);
        }
        json_decref(rows);
    }
}

/* ---- one byte a second ---- */

/* The deadline of 15 s leaves 15 bytes: what they do not decide ends in a timeout. */
static void dripped(void **state)
{
    json_t *rows = support_rows("tests/data/http_cases.jsonl");
    size_t i, over = 0;
    (void)state;
    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        bytes raw = support_base64(support_text(row, "raw_base64"));
        stream out = { NULL, 0, NULL };
        uint64_t before;
        out.text = (const char *)raw.ptr;
        out.len = raw.len;
        support_case("%s, a byte a second", support_text(row, "name"));
        arm(out, 0);
        act(&want, false);
        remember();
        arm(out, 0);
        wire.piece = 1;
        wire.drip = 1000;
        before = present.ms;
        act(&got, i % 2 == 0);
        if (got.status == COMPSHARE_E_TIMEOUT) {
            CHECK(present.ms - before >= 15000 && present.ms - before < 16000);
            CHECK(got.unknown && got.stage == COMPSHARE_STAGE_RECEIVE && got.retryable && !got.kept);
            over++;
        } else {
            CHECK(present.ms - before <= 15000 && wire.at <= 16);
            if (i % 2 != 0) same_verdict();
        }
        next_call_works();
        free(raw.ptr);
    }
    support_case("how many cases ran");
    CHECK(over >= 80 && over < json_array_size(rows));
    json_decref(rows);
}

/* ---- without an end ---- */

typedef struct endless { const char *begin, *unit; int whole, each; const char *why; } endless;

#define HEAD_LONG "the head or trailer is longer than 32,768 bytes"
#define LINE_LONG "a line of the head is longer than 8,192 bytes"
#define EXT_LONG "chunk extensions are longer than 4,096 bytes"
#define NO_STATUS "the reply does not begin with an HTTP/1 status line"
#define TIMEOUT "timed out after 15000 ms"
#define HTTP_ COMPSHARE_E_HTTP, COMPSHARE_E_HTTP
#define LARGE COMPSHARE_E_TOO_LARGE, COMPSHARE_E_TOO_LARGE
#define LARGE_OR_LATE COMPSHARE_E_TOO_LARGE, COMPSHARE_E_TIMEOUT

static const endless rows_without_end[] = {
    { "", "\r\n", HTTP_, NO_STATUS }, { "", " ", HTTP_, NO_STATUS }, { "", "\n", HTTP_, NO_STATUS },
        { "", "HTTP/1.1", HTTP_, NO_STATUS },
    { "HTTP/1.1 ", "2", HTTP_, "the status code is not three digits" }, { "HTTP/1.1 200 ", "a", HTTP_, LINE_LONG },
    { OK_200, "X: y\r\n", HTTP_, HEAD_LONG }, { OK_200, "X:\r\n", HTTP_, HEAD_LONG },
        { OK_200, "x", HTTP_, LINE_LONG }, { OK_200 "X:", " ", HTTP_, LINE_LONG },
    { OK_200 "X: ", "y", HTTP_, LINE_LONG }, { OK_200 "X: y\r\n", " z\r\n", HTTP_, HEAD_LONG },
        { OK_200 "X: y\r\n ", "\t", HTTP_, LINE_LONG },
    { OK_200 "Content-Length: ", "0", HTTP_, LINE_LONG }, { OK_200 "Content-Length: 1", ",1", HTTP_, LINE_LONG },
        { OK_200, "Content-Length: 9\r\n", HTTP_, HEAD_LONG },
    { OK_200, "Connection: keep-alive\r\n", HTTP_, HEAD_LONG },
        { "", "HTTP/1.1 100 Continue\r\n\r\n", HTTP_, "too many 1xx responses" },
    { "HTTP/1.1 103 Early\r\n", "X: y\r\n", HTTP_, HEAD_LONG },
        { "", "HTTP/1.1 199 x\r\nA: b\r\n\r\n", HTTP_, "too many 1xx responses" },
    { CHUNKED, "0", HTTP_, "a chunk size has more than 64 digits" }, { CHUNKED "1", " ", HTTP_, EXT_LONG },
        { CHUNKED "1;", "e", HTTP_, EXT_LONG },
    { CHUNKED "1;", ";", HTTP_, EXT_LONG }, { CHUNKED, "1;e\r\n \r\n", HTTP_, EXT_LONG },
        { CHUNKED, "1 ;\r\n \r\n", HTTP_, EXT_LONG },
    { CHUNKED "d\r\n{\"RetCode\":0}\r\n0\r\n", "X: y\r\n", HTTP_, HEAD_LONG },
        { CHUNKED "d\r\n{\"RetCode\":0}\r\n0\r\nX:", "y", HTTP_, LINE_LONG },
    { CHUNKED "d\r\n{\"RetCode\":0}\r\n", "0", HTTP_, "a chunk size has more than 64 digits" },
    /* a body that stays valid */
    { OK_200 "\r\n", " ", LARGE, NULL }, { OK_200 "\r\n{\"RetCode\":0}", "\n", LARGE, NULL },
        { OK_200 "\r\n{\"RetCode\":0,\"UHostSet\":[", "\t", LARGE_OR_LATE, NULL },
    { CHUNKED, "1\r\n \r\n", LARGE, NULL }, { CHUNKED "d\r\n{\"UHostSet\":[\r\n", "01\r\n \r\n", LARGE_OR_LATE, NULL },
    { OK_200 "\r\n{\"RetCode\":", "0", COMPSHARE_E_TOO_LARGE, COMPSHARE_E_JSON, NULL },
        { OK_200 "\r\n{\"RetCode\":", "1", LARGE, NULL },
    { OK_200 "\r\n{\"RetCode\":-0.", "0", LARGE, NULL }, { OK_200 "\r\n{\"UHostSet\":[", "7", LARGE, NULL },
        { OK_200 "\r\n{\"UHostSet\":[\"", "s", LARGE, NULL },
    { OK_200 "\r\n{\"", "k", LARGE, NULL }, { OK_200 "\r\n{\"k\":\"", "\\u0000", LARGE, NULL },
        { OK_200 "\r\n{\"k\":1", ",\"k\":1", LARGE, NULL },
    { OK_200 "\r\n{\"UHostSet\":[{}", ",{\"a\":1}", LARGE_OR_LATE, NULL },
        { OK_200 "\r\n{\"UHostSet\":[0", ",0", LARGE_OR_LATE, NULL },
    { CHUNKED "e\r\n{\"UHostSet\":[0\r\n", "1\r\n,\r\n1\r\n0\r\n", LARGE_OR_LATE, NULL },
        { OK_200 "\r\n{\"UHostSet\":[[", "1,", LARGE, NULL },
    { OK_200 "\r\n", "[", COMPSHARE_E_TOO_LARGE, COMPSHARE_E_JSON, NULL },
        { OK_200 "Content-Length: 18446744073709551615\r\n\r\n{\"UHostSet\":[", " ", LARGE_OR_LATE, NULL },
    { CHUNKED "ffffffffffffffff\r\n{\"UHostSet\":[", " ", LARGE_OR_LATE, NULL },
    { "HTTP/1.1 502 x\r\n\r\n", "<br>", COMPSHARE_E_TIMEOUT, COMPSHARE_E_TIMEOUT, TIMEOUT },
    { "HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nno\r\n", COMPSHARE_E_TIMEOUT, COMPSHARE_E_TIMEOUT,
        TIMEOUT }
};

/* Every one ends by a limit that is named, or by the deadline, having taken no more
   than the reply area, what is drained and a head; in any pieces. */
static void without_an_end(void **state)
{
    static const size_t pieces[] = { 0, 1, 7 };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT_OF(rows_without_end) * COUNT_OF(pieces) * 2; i++) {
        const endless *row = &rows_without_end[i / 2 / COUNT_OF(pieces)];
        bool each = i % 2 != 0;
        int status = each ? row->each : row->whole;
        stream out = text(row->begin);
        uint64_t before = present.ms;
        k = i / 2 % COUNT_OF(pieces);
        out.unit = row->unit;
        support_case("%.60s... and %.20s for ever, in pieces of %u%s", row->begin, row->unit, (unsigned)pieces[k], each
            ? ", streamed" : "");
        arm(out, 0);
        wire.piece = pieces[k];
        wire.per_look = status == COMPSHARE_E_TIMEOUT ? 40 : 0;
        act(&got, each);
        CHECK_NUMBER(got.status, status);
        CHECK(got.unknown && !got.kept && got.stage == COMPSHARE_STAGE_RECEIVE);
        if (row->why != NULL && strstr(got.detail, row->why) == NULL) CHECK_TEXT(got.detail, row->why);
        if (status == COMPSHARE_E_TIMEOUT) CHECK(present.ms - before >= 15000 && present.ms - before < 16000);
        else CHECK(wire.at < COMPSHARE_MEMORY + COMPSHARE__DRAIN * 12 && present.ms == before);
        next_call_works();
    }
}

/* ---- bytes too many ---- */

/* A whole reply and more, in two pieces cut at every point, the second before or after
   the first call has ended. Nothing of it may reach the second request. */
static void surplus_everywhere(void **state)
{
    static const char *const replies[] = { SUCCESS, CHUNKED "d\r\n{\"RetCode\":0}\r\n0\r\n\r\n",
        CHUNKED "d;x\r\n{\"RetCode\":0}\r\n0\r\nT: u\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 13\r\n\r\n{\"RetCode\":0}" };
    static const char *const more[] = { "x", "\r", "\r\n\r\n", " ", "0\r\n\r\n", SUCCESS, REFUSAL, SUCCESS SUCCESS,
        "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200", "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n" };
    size_t i, cut;
    (void)state;
    for (i = 0; i < COUNT_OF(replies) * COUNT_OF(more); i++) {
        const char *reply = replies[i / COUNT_OF(more)];
        size_t len = strlen(strcpy(message, reply)) + strlen(more[i % COUNT_OF(more)]);
        strcat(message, more[i % COUNT_OF(more)]);
        for (cut = 1; cut <= len; cut++) {
            unsigned opened = wire.opened;
            support_case("%s and %s, cut at %u", reply, more[i % COUNT_OF(more)], (unsigned)cut);
            wire.after = 0;
            arm(text(message), COMPSHARE_WANT_READ);
            wire.cut = cut;
            act(&got, false);
            CHECK_NUMBER(got.status, COMPSHARE_OK);
            CHECK(got.kept == (cut == strlen(reply)));
            CHECK_NUMBER(wire.opened, opened + 1);
            wire.paused = true;                     /* what is left may now be read */
            wire.need = wire.sent = 0;
            CHECK_NUMBER(compshare_call_start(client, REBOOT, NULL, 0), COMPSHARE_OK);
            CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);
            CHECK_NUMBER(wire.opened, opened + 2);
            CHECK(wire.sent > 0);
            CHECK_NUMBER(compshare_abort(client), COMPSHARE_E_ABORTED);
        }
    }
}

/* ---- bytes too early ---- */

/* The peer answers when it has taken so many bytes of the request, and takes no more. */
static void answered_at(const char *reply, size_t taken, size_t piece, compshare_param *p, size_t count)
{
    wire.after = 0;
    arm(text(reply), COMPSHARE_WANT_READ);
    wire.send_room = wire.need = taken;
    wire.piece = piece;
    calls++;
    (void)compshare_call(client, REBOOT, p, count);
    CHECK(!client->connection.open);
}

/* A refusal of half a request is a refusal; a success of half a request is none. */
static void answered_before_the_end(void **state)
{
    static const struct { const char *reply; int status; bool unknown; int code; } rows[] = {
        { SUCCESS, COMPSHARE_E_REPLY, true, 0 },
            { CHUNKED "d\r\n{\"RetCode\":0}\r\n0\r\n\r\n", COMPSHARE_E_REPLY, true, 0 },
        { "HTTP/1.1 100 Continue\r\n\r\n" SUCCESS, COMPSHARE_E_REPLY, true, 0 },
            { "HTTP/1.1 204 x\r\n\r\n", COMPSHARE_E_JSON, true, 0 },
        { REFUSAL, COMPSHARE_E_API, false, 171 },
            { "HTTP/1.1 100 Continue\r\n\r\n" REFUSAL, COMPSHARE_E_API, false, 171 },
        { "HTTP/1.1 400 x\r\nContent-Length: 15\r\n\r\n{\"RetCode\":230}", COMPSHARE_E_STATUS, false, 230 },
        { "HTTP/1.1 413 x\r\nContent-Length: 4\r\n\r\nlong", COMPSHARE_E_STATUS, true, 0 },
        { "HTTP/1.1 400 x\r\nContent-Length: 13\r\n\r\n{\"RetCode\":0}", COMPSHARE_E_STATUS, true, 0 },
        { "HTTP/1.1 502 x\r\nContent-Length: 15\r\n\r\n{\"RetCode\":171}", COMPSHARE_E_STATUS, true, 171 },
        { OK_200 "Content-Length: 15\r\n\r\n{\"RetCode\":110}", COMPSHARE_E_API, true, 110 },
            { "hello\r\n", COMPSHARE_E_HTTP, true, 0 }
    };
    static char value[50001];
    compshare_param p = compshare_text("Value", value);
    const compshare_error *e = compshare_last_error(client);
    size_t i, at, whole, count;
    (void)state;
    memset(value, 'v', sizeof value - 1);
    for (count = 0; count < 2; count++) {       /* one record, and four */
        for (whole = SIZE_MAX, i = 0; i < 2; i++) {
            arm(text(SUCCESS), 0);
            wire.need = whole;
            CHECK_NUMBER(compshare_call(client, REBOOT, &p, count), i == 0 ? COMPSHARE_E_TIMEOUT : COMPSHARE_OK);
            whole = wire.sent;
        }
        CHECK(count == 0 ? whole < 1000 : whole > 50000);
        for (i = 0; i < COUNT_OF(rows); i++)
            for (at = 1; at < whole; at += count == 0 ? 1 : 1009) {
                support_case("%s after %u of %u bytes", rows[i].reply, (unsigned)at, (unsigned)whole);
                answered_at(rows[i].reply, at, at % 2, &p, count);
                CHECK_NUMBER(e->status, rows[i].status);
                CHECK(e->outcome_unknown == rows[i].unknown);
                CHECK_NUMBER(e->ret_code, rows[i].code);
                CHECK_NUMBER(wire.sent, at);
            }
        next_call_works();
    }
}

/* Nobody was asked anything on a kept connection: what its peer says there, before a
   byte of the next request was sent, answers nothing. */
static void spoken_unasked(void **state)
{
    static const char *const words[] = { SUCCESS, REFUSAL, "x", "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n" };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(words); i++) {
        unsigned opened;
        support_case("%s", words[i]);
        next_call_works();
        opened = wire.opened;
        arm(text(words[i]), COMPSHARE_WANT_READ);
        wire.need = 0;
        CHECK_NUMBER(compshare_call_start(client, REBOOT, NULL, 0), COMPSHARE_OK);
        while (wire.opened == opened) {
            CHECK_NUMBER(wire.sent, 0);
            (void)compshare_step(client);
        }
        (void)compshare_abort(client);
    }
    next_call_works();
}

static int say_how_many(void **state)
{
    print_message("# replies read: %lu\n", calls);
    return tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsers_everywhere),
        cmocka_unit_test(http_cases),
        cmocka_unit_test(json_cases),
        cmocka_unit_test(elements_cut_everywhere),
        cmocka_unit_test(dripped),
        cmocka_unit_test(without_an_end),
        cmocka_unit_test(surplus_everywhere),
        cmocka_unit_test(answered_before_the_end),
        cmocka_unit_test(spoken_unasked)
    };
    return cmocka_run_group_tests_name("split", tests, set_up, say_how_many);
}
