/* Rooms exchange and read, over a transport in memory: what a reply becomes. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include "support.h"
#include "memory.h"

/* ---- the transport: takes any request, hands out one canned reply ---- */

enum { END_ORDERLY = 0, END_BROKEN = COMPSHARE_E_IO, END_SILENT = COMPSHARE_WANT_READ,
    NO_CONNECTION = COMPSHARE_E_CONNECT };

static memory_peer fake;
static fake_clock present;

static void expect_address(memory_peer *p, const char *host, uint16_t port)
{
    (void)p;
    CHECK_TEXT(host, "localhost");
    CHECK_NUMBER(port, 80);
}

static void expect_no_pause(memory_peer *p, unsigned want)
{
    (void)p;
    CHECK(want != 0);
}

/* How the reply ends, or that there is no connection to hand it out. */
static void ends_in(int end)
{
    fake.after = end;
    fake.open_status = end == NO_CONNECTION ? end : COMPSHARE_OK;
}

static size_t small_piece(void) { return 1 + support_random(50); }

static unsigned char block[COMPSHARE_MEMORY];
static compshare *client;

static void open_client(void *memory, size_t size)
{
    compshare_config config;
    memory_begin(&fake, &present, 1795442700);
    fake.fresh = true;
    fake.send_piece = 100;
    fake.any_piece = small_piece;
    fake.on_open = expect_address;
    fake.on_wait = expect_no_pause;
    memory_configure(&config, &fake);
    config.memory = memory;
    config.memory_size = size;
    config.private_key = "secret-private-key";
    config.region = "cn-wlcb";
    config.entropy = NULL;
    CHECK_NUMBER(compshare_open(&client, &config), COMPSHARE_OK);
}

static int set_up(void **state)
{
    (void)state;
    support_seed(9);
    open_client(block, sizeof block);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    compshare_close(client);
    return 0;
}

static void canned(const char *bytes_, size_t len)
{
    memory_says(&fake, bytes_, len);
}

static char wire[300000];

/* A reply of status 200 with this JSON. */
static void canned_body(const char *body, size_t len)
{
    size_t n = (size_t)sprintf(wire,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-UCLOUD-REQUEST-UUID: req-1\r\nContent-Length: %lu\r\n\r\n", (unsigned long)len);
    CHECK(n + len <= sizeof wire);
    memcpy(wire + n, body, len);
    canned(wire, n + len);
}

static void canned_text(const char *body) { canned_body(body, strlen(body)); }

static int call(const char *body)
{
    canned_text(body);
    return compshare_call(client, "DescribeCompShareInstance", NULL, 0);
}

static compshare_value reply_of(const char *body)
{
    support_case("%.200s", body);
    CHECK_NUMBER(call(body), COMPSHARE_OK);
    return compshare_reply(client);
}

static compshare_value member(compshare_value from, const char *key) { return compshare_get(from, key); }

/* ---- values ---- */

static void is_none(compshare_value v)
{
    int64_t number = 4711;
    bool truth = true;
    char buf[8] = "xx";
    CHECK_NUMBER(compshare_type(v), COMPSHARE_NONE);
    CHECK_NUMBER(compshare_count(v), 0);
    CHECK_NUMBER(compshare_type(compshare_get(v, "x")), COMPSHARE_NONE);
    CHECK_NUMBER(compshare_type(compshare_get(compshare_get(v, "x"), "y")), COMPSHARE_NONE);
    CHECK_NUMBER(compshare_type(compshare_get(v, NULL)), COMPSHARE_NONE);
    CHECK_NUMBER(compshare_type(compshare_first(v)), COMPSHARE_NONE);
    CHECK_NUMBER(compshare_type(compshare_next(v)), COMPSHARE_NONE);
    CHECK(!compshare_as_int(v, &number) && number == 4711);
    CHECK(!compshare_as_bool(v, &truth) && truth);
    CHECK_NUMBER(compshare_number_text(v).len, 0);
    CHECK(compshare_number_text(v).ptr != NULL);
    CHECK_NUMBER(compshare_copy_text(v, buf, sizeof buf), COMPSHARE_E_TYPE);
    CHECK_TEXT(buf, "");
    strcpy(buf, "xx");
    CHECK_NUMBER(compshare_copy_key(v, buf, sizeof buf), COMPSHARE_E_TYPE);
    CHECK_TEXT(buf, "");
}

static void none_and_stale(void **state)
{
    compshare_value root, inner, zero;
    (void)state;
    support_case("before any call");
    is_none(compshare_reply(client));
    is_none(compshare_reply(NULL));
    memset(&zero, 0, sizeof zero);
    is_none(zero);
    root = reply_of("{\"RetCode\":0,\"A\":{\"B\":[1,2,{\"C\":\"x\"}]}}");
    inner = member(member(root, "A"), "B");
    CHECK_NUMBER(compshare_type(root), COMPSHARE_OBJECT);
    CHECK_NUMBER(compshare_count(inner), 3);
    is_none(member(root, "B"));
    is_none(member(member(root, "no"), "A"));
    is_none(member(inner, "C"));
    is_none(compshare_first(member(root, "RetCode")));
    is_none(compshare_next(root));
    is_none(compshare_next(compshare_next(compshare_next(compshare_first(inner)))));
    support_case("after the next call has started");
    canned_text("{\"RetCode\":0,\"A\":{\"B\":[1,2,3]}}");
    CHECK_NUMBER(compshare_call_start(client, "X", NULL, 0), COMPSHARE_OK);
    is_none(root);
    is_none(inner);
    is_none(compshare_reply(client));
    while (compshare_step(client) == COMPSHARE_PENDING) {}
    is_none(root);
    is_none(inner);
    CHECK_NUMBER(compshare_type(compshare_reply(client)), COMPSHARE_OBJECT);
    support_case("after a refused call");
    root = reply_of("{\"RetCode\":0}");
    CHECK_NUMBER(compshare_call(client, "bad name", NULL, 0), COMPSHARE_E_PARAM);
    is_none(root);
    support_case("after a failed call");
    root = reply_of("{\"RetCode\":0}");
    CHECK_NUMBER(call("{"), COMPSHARE_E_JSON);
    is_none(root);
    is_none(compshare_reply(client));
}

static void readers(void **state)
{
    compshare_value root, v;
    int64_t n = 0;
    bool b;
    size_t i;
    char buf[64];
    static const char *const no_bools[] = { "n", "one", "zero", "yes", "TRUE", "empty", "list", "spaced" };
    (void)state;
    root =
        reply_of("{\"RetCode\":0,\"twice\":1,\"tw\\u0069ce\":2,\"max\":9223372036854775807,\"min\":-9223372036854775808,\"over\":9223372036854775808,"
        "\"s\":\"-12\",\"s0\":\"012\",\"f\":1.5,\"e\":1e2,\"z\":-0,\"t\":true,\"fa\":false,\"st\":\"true\",\"sT\":\"True\",\"sf\":\"false\",\"sF\":\"False\","
        "\"n\":null,\"one\":1,\"zero\":0,\"yes\":\"yes\",\"TRUE\":\"TRUE\",\"empty\":\"\",\"list\":[true],\"spaced\":\"true \",\"esc\":\"\\u0074rue\","
        "\"text\":\"a\\u00e9\\n\\ud83d\\ude00\\u0000z\",\"k\\u00e9y\":\"v\"}");
    is_none(member(root, "twice"));
    is_none(member(root, ""));
    is_none(member(root, "textual"));
    CHECK(compshare_as_int(member(root, "max"), &n) && n == INT64_MAX);
    CHECK(compshare_as_int(member(root, "min"), &n) && n == INT64_MIN);
    CHECK(compshare_as_int(member(root, "s"), &n) && n == -12);
    n = 7;
    CHECK(!compshare_as_int(member(root, "over"), &n) && !compshare_as_int(member(root, "s0"), &n)
        && !compshare_as_int(member(root, "f"), &n));
    CHECK(!compshare_as_int(member(root, "e"), &n) && !compshare_as_int(member(root, "z"), &n)
        && !compshare_as_int(member(root, "t"), &n));
    CHECK(!compshare_as_int(member(root, "n"), &n) && !compshare_as_int(member(root, "empty"), &n)
        && !compshare_as_int(root, &n) && n == 7);
    b = false;
    CHECK(compshare_as_bool(member(root, "t"), &b) && b);
    CHECK(compshare_as_bool(member(root, "fa"), &b) && !b);
    CHECK(compshare_as_bool(member(root, "st"), &b) && b);
    CHECK(compshare_as_bool(member(root, "sf"), &b) && !b);
    CHECK(compshare_as_bool(member(root, "sT"), &b) && b);
    CHECK(compshare_as_bool(member(root, "sF"), &b) && !b);
    CHECK(compshare_as_bool(member(root, "esc"), &b) && b);
    for (i = 0; i < COUNT_OF(no_bools); i++) {
        support_case("no bool: %s", no_bools[i]);
        CHECK(compshare_type(member(root, no_bools[i])) != COMPSHARE_NONE);
        CHECK(!compshare_as_bool(member(root, no_bools[i]), &b) && b);
    }
    support_case("texts");
    {
        static const struct { const char *key, *text; } texts[] = {
            { "over", "9223372036854775808" }, { "f", "1.5" }, { "e", "1e2" }, { "z", "-0" }, { "s0", "012" },
                { "esc", "\\u0074rue" }, { "t", "" }, { "n", "" }, { "list", "" }
        };
        for (i = 0; i < COUNT_OF(texts); i++) {
            compshare_view view = compshare_number_text(member(root, texts[i].key));
            support_case("text of %s", texts[i].key);
            CHECK(view.len == strlen(texts[i].text) && memcmp(view.ptr, texts[i].text, view.len) == 0);
        }
    }
    support_case("copies");
    v = member(root, "text");
    CHECK_NUMBER(compshare_copy_text(v, buf, sizeof buf), 10);
    CHECK(memcmp(buf, "a\xC3\xA9\n\xF0\x9F\x98\x80\0z", 11) == 0);
    CHECK_NUMBER(compshare_copy_text(v, buf, 11), 10);
    for (i = 1; i <= 10; i++) {
        memset(buf, '!', sizeof buf);
        CHECK_NUMBER(compshare_copy_text(v, buf, i), COMPSHARE_E_TOO_LARGE);
        CHECK(buf[0] == '\0' && buf[i] == '!');
    }
    CHECK_NUMBER(compshare_copy_text(v, NULL, 0), COMPSHARE_E_TOO_LARGE);
    CHECK_NUMBER(compshare_copy_text(member(root, "empty"), buf, 1), 0);
    CHECK_NUMBER(compshare_copy_text(member(root, "max"), buf, sizeof buf), COMPSHARE_E_TYPE);
    CHECK_NUMBER(compshare_copy_text(member(root, "n"), buf, sizeof buf), COMPSHARE_E_TYPE);
    v = member(root, "k\xC3\xA9y");
    CHECK_NUMBER(compshare_copy_key(v, buf, sizeof buf), 4);
    CHECK_TEXT(buf, "k\xC3\xA9y");
    CHECK_NUMBER(compshare_copy_key(v, buf, 5), 4);
    CHECK_NUMBER(compshare_copy_key(v, buf, 4), COMPSHARE_E_TOO_LARGE);
    CHECK_TEXT(buf, "");
    CHECK_NUMBER(compshare_copy_key(root, buf, sizeof buf), COMPSHARE_E_TYPE);
    CHECK_NUMBER(compshare_copy_key(compshare_first(member(root, "list")), buf, sizeof buf), COMPSHARE_E_TYPE);
    CHECK_NUMBER(compshare_copy_key(compshare_first(root), buf, sizeof buf), 7);
    CHECK_TEXT(buf, "RetCode");
    root = reply_of("{\"RetCode\":0,\"\":3}");       /* a name may be empty */
    CHECK(compshare_as_int(member(root, ""), &n) && n == 3);
}

/* ---- an object into a struct ---- */

typedef struct row {
    char before[4], text[5], shown[5], decimal[8], after[4];
    int64_t number;
    bool flag;
} row;

static void put_row(row *r) { memset(r, 0x5A, sizeof *r); }

/* One value for one kind, in a struct whose other members must stay. */
static void read_one(const char *json, int kind, int need, int status, const char *detail, const char *text,
    int64_t number)
{
    compshare_field f = COMPSHARE_FIELD(row, text, "A", "B", COMPSHARE_KIND_TEXT, COMPSHARE_OPTIONAL);
    char body[256];
    row r;
    compshare_value root;
    f.kind = kind;
    f.need = need;
    if (kind == COMPSHARE_KIND_SHOWN) { f.offset = offsetof(row, shown); f.size = sizeof r.shown; }
    if (kind == COMPSHARE_KIND_DECIMAL) { f.offset = offsetof(row, decimal); f.size = sizeof r.decimal; }
    if (kind == COMPSHARE_KIND_INT) { f.offset = offsetof(row, number); f.size = sizeof r.number; }
    if (kind == COMPSHARE_KIND_BOOL) { f.offset = offsetof(row, flag); f.size = sizeof r.flag; }
    (void)sprintf(body, "{\"RetCode\":0%s%s}", *json != '\0' ? "," : "", json);
    root = reply_of(body);
    put_row(&r);
    CHECK_TEXT(compshare_status_name(compshare_read(root, &f, 1, &r)), compshare_status_name(status));
    CHECK_NUMBER(compshare_last_error(client)->status, status);
    CHECK_TEXT(compshare_last_error(client)->detail, detail);
    if (status != COMPSHARE_OK) CHECK_NUMBER(compshare_last_error(client)->stage, COMPSHARE_STAGE_JUDGE);
    if (kind == COMPSHARE_KIND_INT) CHECK_NUMBER(r.number, number);
    else if (kind == COMPSHARE_KIND_BOOL) CHECK_NUMBER(r.flag, number);
    else CHECK_TEXT((char *)&r + f.offset, text);
    CHECK(r.before[0] == 0x5A && r.before[3] == 0x5A && r.after[0] == 0x5A && r.after[3] == 0x5A);
    CHECK(r.text[0] == 0x5A || kind == COMPSHARE_KIND_TEXT);
    CHECK(r.decimal[0] == 0x5A || kind == COMPSHARE_KIND_DECIMAL);
}

static void fields(void **state)
{
    enum { T = COMPSHARE_KIND_TEXT, S = COMPSHARE_KIND_SHOWN, I = COMPSHARE_KIND_INT, D = COMPSHARE_KIND_DECIMAL,
        B = COMPSHARE_KIND_BOOL };
    enum { may = COMPSHARE_OPTIONAL, must = COMPSHARE_REQUIRED, any = COMPSHARE_LENIENT };
    enum { OK = COMPSHARE_OK, TYPE = COMPSHARE_E_TYPE, REPLY = COMPSHARE_E_REPLY };
#define UNFIT "A does not fit, or holds control characters"
#define TWICE "A is there more than once"
    static const struct { const char *json; int kind, need, status; const char *detail,
        *text; int64_t number; } cases[] = {
        { "\"A\":\"abcd\"", T, must, OK, "", "abcd", 0 }, { "\"A\":\"a\\u0062\"", T, must, OK, "", "ab", 0 },
        { "\"A\":\"\"", T, must, OK, "", "", 0 }, { "\"A\":\"abcde\"", T, may, REPLY, UNFIT, "", 0 },
        { "\"A\":\"a\\u0007\"", T, may, REPLY, UNFIT, "", 0 }, { "\"A\":\"a\\u0000\"", T, may, REPLY, UNFIT, "", 0 },
        { "\"A\":7", T, may, TYPE, "A is not a string", "", 0 }, { "\"A\":7", T, any, OK, "", "", 0 },
        { "\"A\":\"abcde\"", T, any, OK, "", "", 0 },
        { "", T, may, OK, "", "", 0 }, { "", T, any, OK, "", "", 0 }, { "", T, must, REPLY, "A is missing", "", 0 },
        { "\"A\":null", T, may, OK, "", "", 0 }, { "\"A\":null", T, must, REPLY, "A is missing", "", 0 },
        { "\"A\":\"a\",\"A\":\"a\"", T, may, REPLY, TWICE, "", 0 },
            { "\"A\":null,\"\\u0041\":\"a\"", T, may, REPLY, TWICE, "", 0 },
        { "\"A\":\"a\",\"A\":\"b\"", T, any, OK, "", "", 0 }, { "\"B\":null,\"B\":null", T, may, REPLY, TWICE, "", 0 },
        { "\"B\":\"b\"", T, must, OK, "", "b", 0 }, { "\"B\":\"b\",\"A\":\"a\"", T, must, OK, "", "a", 0 },
        { "\"A\":\"a\",\"B\":7", T, must, OK, "", "a", 0 }, { "\"B\":7,\"A\":\"a\"", T, must, OK, "", "a", 0 },
        { "\"A\":null,\"B\":\"b\"", T, must, OK, "", "b", 0 }, { "\"B\":\"b\",\"A\":null", T, must, OK, "", "b", 0 },
        { "\"X\":{\"A\":\"x\"},\"AA\":\"x\",\"\":\"x\"", T, must, REPLY, "A is missing", "", 0 },
        { "\"A\":\"abcdefg\"", S, may, OK, "", "abcd", 0 }, { "\"A\":\"abc\u00e9\"", S, may, OK, "", "abc", 0 },
        { "\"A\":\"a\\u001bc\"", S, may, OK, "", "a?c", 0 }, { "\"A\":[]", S, may, TYPE, "A is not a string", "", 0 },
        { "\"A\":9223372036854775807", I, may, OK, "", "", INT64_MAX }, { "\"A\":\"-12\"", I, may, OK, "", "", -12 },
        { "\"A\":9223372036854775808", I, may, TYPE, "A is not an integer", "", 0 },
            { "\"A\":1.5", I, may, TYPE, "A is not an integer", "", 0 },
        { "\"A\":\"\"", I, may, TYPE, "A is not an integer", "", 0 }, { "\"A\":true", I, any, OK, "", "", 0 },
            { "", I, must, REPLY, "A is missing", "", 0 },
        { "\"A\":0.740", D, may, OK, "", "0.740", 0 }, { "\"A\":-1e-3", D, may, OK, "", "-1e-3", 0 },
            { "\"A\":\"1.5\"", D, may, OK, "", "1.5", 0 },
        { "\"A\":12345.78", D, may, REPLY, UNFIT, "", 0 }, { "\"A\":\"1.\"", D, may, TYPE, "A is not a number", "", 0 },
        { "\"A\":\" 1\"", D, may, TYPE, "A is not a number", "", 0 },
            { "\"A\":\"1 \"", D, may, TYPE, "A is not a number", "", 0 },
        { "\"A\":\"[1\"", D, may, TYPE, "A is not a number", "", 0 },
            { "\"A\":\"\"", D, may, TYPE, "A is not a number", "", 0 },
        { "\"A\":\"1-1\"", D, may, TYPE, "A is not a number", "", 0 },
        { "\"A\":\"NaN\"", D, may, TYPE, "A is not a number", "", 0 },
            { "\"A\":false", D, may, TYPE, "A is not a number", "", 0 },
        { "\"A\":true", B, may, OK, "", "", 1 }, { "\"A\":\"False\"", B, may, OK, "", "", 0 },
            { "\"A\":1", B, may, OK, "", "", 1 },
        { "\"A\":\"0\"", B, may, OK, "", "", 0 }, { "\"A\":2", B, may, TYPE, "A is neither true nor false", "", 0 },
        { "\"A\":-1", B, may, TYPE, "A is neither true nor false", "", 0 },
        { "\"A\":\"yes\"", B, may, TYPE, "A is neither true nor false", "", 0 }, { "\"A\":{}", B, any, OK, "", "", 0 }
    };
#undef UNFIT
#undef TWICE
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++)
        read_one(cases[i].json, cases[i].kind, cases[i].need, cases[i].status, cases[i].detail, cases[i].text,
            cases[i].number);
}

/* A whole table: the first bad row is named, the others are read all the same. */
static void tables(void **state)
{
    static const compshare_field table[] = {
        COMPSHARE_FIELD_TEXT(row, text, "T"), COMPSHARE_FIELD_SHOWN(row, shown, "S"),
            COMPSHARE_FIELD_DECIMAL(row, decimal, "D"),
        COMPSHARE_FIELD_INT(row, number, "N"), COMPSHARE_FIELD_BOOL(row, flag, "F")
    };
    compshare_field odd[COMPSHARE_MAX_FIELDS + 1];
    compshare_value root, zero;
    size_t i;
    row r;
    (void)state;
    root = reply_of("{\"F\":true,\"N\":\"x\",\"D\":2.5,\"S\":\"s\",\"RetCode\":0,\"T\":7,\"In\":[{\"T\":\"deep\"}]}");
    put_row(&r);
    CHECK_NUMBER(compshare_read(root, table, 5, &r), COMPSHARE_E_TYPE);
    CHECK_TEXT(compshare_last_error(client)->detail, "T is not a string");
    CHECK_TEXT(r.text, "");
    CHECK_TEXT(r.shown, "s");
    CHECK_TEXT(r.decimal, "2.5");
    CHECK(r.number == 0 && r.flag);
    CHECK_NUMBER(compshare_read(compshare_first(member(root, "In")), table, 1, &r), COMPSHARE_OK);
    CHECK_TEXT(r.text, "deep");
    CHECK_NUMBER(compshare_last_error(client)->status, COMPSHARE_OK);      /* of this reading */
    CHECK_TEXT(compshare_last_error(client)->detail, "");
    CHECK_NUMBER(compshare_read(root, table, 0, &r), COMPSHARE_OK);
    support_case("no object");
    memset(&zero, 0, sizeof zero);
    CHECK_NUMBER(compshare_read(zero, table, 5, &r), COMPSHARE_E_TYPE);
    CHECK(r.text[0] == '\0' && r.decimal[0] == '\0' && !r.flag);
    put_row(&r);
    CHECK_NUMBER(compshare_read(root, table, 5, &r), COMPSHARE_E_TYPE);
    CHECK_NUMBER(compshare_read(member(root, "In"), table, 5, &r), COMPSHARE_E_TYPE);    /* the newest is told */
    CHECK_TEXT(compshare_last_error(client)->detail, "what is to be read is not an object");
    CHECK(r.text[0] == '\0' && r.decimal[0] == '\0' && !r.flag);
    CHECK_NUMBER(compshare_read(root, table, 0, &r), COMPSHARE_OK);
    CHECK_NUMBER(compshare_read(compshare_first(member(root, "none")), table, 5, &r), COMPSHARE_E_TYPE);
    CHECK_TEXT(compshare_last_error(client)->detail, "what is to be read is not an object");
    support_case("tables that cannot be right");
    for (i = 0; i <= COMPSHARE_MAX_FIELDS; i++) odd[i] = table[0];
    put_row(&r);
    CHECK_NUMBER(compshare_read(root, odd, COMPSHARE_MAX_FIELDS + 1, &r), COMPSHARE_E_PARAM);
    CHECK_NUMBER(compshare_read(root, NULL, 1, &r), COMPSHARE_E_PARAM);
    CHECK_NUMBER(compshare_read(root, table, 1, NULL), COMPSHARE_E_PARAM);
    for (i = 0; i < 6; i++) {
        odd[0] = table[i == 4 ? 3 : i == 5 ? 4 : 0];
        if (i == 0) odd[0].name = NULL;
        if (i == 1) odd[0].kind = -1;
        if (i == 2) odd[0].kind = COMPSHARE_KIND_BOOL + 1;
        if (i == 3) odd[0].size = 0;
        if (i > 3) odd[0].size++;
        CHECK_NUMBER(compshare_read(root, odd, 1, &r), COMPSHARE_E_PARAM);
    }
    CHECK(r.text[0] == 0x5A && r.number != 0);
    support_case("as many rows as there may be");
    for (i = 0; i < COMPSHARE_MAX_FIELDS; i++) odd[i] = table[2];
    CHECK_NUMBER(compshare_read(root, odd, COMPSHARE_MAX_FIELDS, &r), COMPSHARE_OK);
    CHECK_TEXT(r.decimal, "2.5");
    support_case("a call that failed by itself");
    CHECK_NUMBER(call("{\"T\":7}"), COMPSHARE_E_REPLY);
    CHECK_NUMBER(compshare_read(compshare_reply(client), table, 5, &r), COMPSHARE_E_TYPE);
    CHECK_NUMBER(compshare_last_error(client)->status, COMPSHARE_E_REPLY);
    CHECK(compshare_last_error(client)->outcome_unknown);
    CHECK_TEXT(compshare_last_error(client)->detail, "the reply holds no RetCode");
    CHECK_NUMBER(call("{\"RetCode\":230,\"T\":7}"), COMPSHARE_E_API);
    CHECK_NUMBER(compshare_read(compshare_reply(client), table, 5, &r), COMPSHARE_E_TYPE);
    CHECK_NUMBER(compshare_last_error(client)->status, COMPSHARE_E_API);
    CHECK_NUMBER(compshare_read(root, table, 5, &r), COMPSHARE_E_TYPE);     /* stale */
}

/* ---- call against call_each ---- */

static char dump_text[65536];
static size_t dump_len;

static void dump_put(const char *text, size_t len)
{
    if (dump_len + len >= sizeof dump_text) return;
    memcpy(dump_text + dump_len, text, len);
    dump_len += len;
    dump_text[dump_len] = '\0';
}

/* A value in a form of its own, through the public getters only. */
static void dump(compshare_value v)
{
    static char text[32768];
    int type = compshare_type(v);
    compshare_value at;
    ptrdiff_t n;
    bool b = false;
    size_t count = 0;
    dump_put(&"?nbdsao"[type], 1);
    if (type == COMPSHARE_BOOL && compshare_as_bool(v, &b)) dump_put(b ? "1" : "0", 1);
    if (type == COMPSHARE_NUMBER) dump_put(compshare_number_text(v).ptr, compshare_number_text(v).len);
    if (type == COMPSHARE_STRING && (n = compshare_copy_text(v, text, sizeof text)) > 0) dump_put(text, (size_t)n);
    for (at = compshare_first(v); compshare_type(at) != COMPSHARE_NONE; at = compshare_next(at)) {
        if (type == COMPSHARE_OBJECT && (n = compshare_copy_key(at, text, sizeof text)) > 0) dump_put(text, (size_t)n);
        dump_put("(", 1);
        dump(at);
        dump_put(")", 1);
        count++;
    }
    CHECK_NUMBER(compshare_count(v), count);
}

static int dump_element(void *user, compshare_value element)
{
    ++*(size_t *)user;
    dump_put("(", 1);
    dump(element);
    dump_put(")", 1);
    return 0;
}

static void both_ways(const char *body, size_t len, bool *equal)
{
    static char whole[65536];
    size_t seen = 0;
    int once, streamed;
    compshare_error first;
    int set_type;
    canned_body(body, len);
    once = compshare_call(client, "DescribeCompShareInstance", NULL, 0);
    first = *compshare_last_error(client);
    dump_len = 0;
    dump_text[0] = '\0';
    set_type = compshare_type(compshare_get(compshare_reply(client), "UHostSet"));
    if (set_type == COMPSHARE_ARRAY) {
        compshare_value at;
        for (at = compshare_first(compshare_get(compshare_reply(client),
            "UHostSet")); compshare_type(at) != COMPSHARE_NONE; at = compshare_next(at)) {
            dump_put("(", 1);
            dump(at);
            dump_put(")", 1);
        }
    }
    memcpy(whole, dump_text, dump_len + 1);
    dump_len = 0;
    dump_text[0] = '\0';
    canned_body(body, len);
    streamed = compshare_call_each(client, "DescribeCompShareInstance", NULL, 0, "UHostSet", dump_element, &seen);
    if (once == COMPSHARE_OK && set_type != COMPSHARE_NONE && set_type != COMPSHARE_NULL
        && set_type != COMPSHARE_ARRAY) {
        CHECK_NUMBER(streamed, COMPSHARE_E_REPLY);
        return;
    }
    CHECK_TEXT(compshare_status_name(streamed), compshare_status_name(once));
    CHECK_NUMBER(compshare_last_error(client)->ret_code, first.ret_code);
    CHECK(compshare_last_error(client)->outcome_unknown == first.outcome_unknown);
    CHECK_TEXT(compshare_last_error(client)->message, first.message);
    if (once == COMPSHARE_OK) CHECK_TEXT(dump_text, whole);
    if (once == COMPSHARE_OK) CHECK_NUMBER(compshare_body(client).len, 0);
    *equal = *equal && once == COMPSHARE_OK;
}

static void streamed_or_whole(void **state)
{
    static const size_t sizes[] = { 1, 2, 7, 100, 5000, 0 };
    static const char *const own[] = {
        "{\"RetCode\":0,\"UHostSet\":[1,2,3],\"TotalCount\":3}",
            "{\"UHostSet\":[{\"a\":[{\"b\":null}]},\"x\",[],{}],\"RetCode\":\"0\"}",
        "\xEF\xBB\xBF{\"RetCode\":0,\"UHostSet\":[true,false,null,-1.5e3]}",
            " \r\n {\"UHostSet\":[ {\"\\u0041\":\"\\u00e9\"} , 7 ] , \"RetCode\" : 0 }\n",
        "{\"RetCode\":0,\"UHostSet\":[]}", "{\"RetCode\":0,\"UHostSet\":null}", "{\"RetCode\":0}",
            "{\"RetCode\":0,\"UHostSet\":{\"a\":1}}",
        "{\"RetCode\":8903,\"Message\":\"busy\",\"UHostSet\":[1]}",
            "{\"UHostSet\":[{\"RetCode\":0}],\"RetCode\":230,\"Message\":\"x\"}",
        "{\"UHostSet\":[{\"RetCode\":0}]}", "{\"RetCode\":0,\"RetCode\":0,\"UHostSet\":[1]}", "[{\"UHostSet\":[1]}]",
            "{\"RetCode\":0,\"UHostSet\":[1"
    };
    json_t *rows = support_rows("tests/data/json_cases.jsonl");
    size_t i, k, ran = 0, good = 0;
    (void)state;
    for (i = 0; i < json_array_size(rows) + COUNT_OF(own); i++) {
        bytes raw = { NULL, 0 };
        if (i < COUNT_OF(own)) {
            raw.len = strlen(own[i]);
            raw.ptr = (unsigned char *)malloc(raw.len);
            if (raw.ptr == NULL) exit(2);
            memcpy(raw.ptr, own[i], raw.len);
        } else {
            raw = support_base64(support_text(json_array_get(rows, i - COUNT_OF(own)), "raw_base64"));
        }
        for (k = 0; k < COUNT_OF(sizes) && raw.len < 5000; k++) {
            bool equal = true;
            support_case("%s in pieces of %u", i < COUNT_OF(own) ? own[i]
                : support_text(json_array_get(rows, i - COUNT_OF(own)), "name"), (unsigned)sizes[k]);
            fake.piece = sizes[k];
            both_ways((const char *)raw.ptr, raw.len, &equal);
            if (equal) good++;
            ran++;
        }
        free(raw.ptr);
    }
    support_case("how many cases ran");
    CHECK_NUMBER(ran, (115 + COUNT_OF(own)) * COUNT_OF(sizes));
    CHECK(good > 100);
    json_decref(rows);
}

/* ---- failures, field by field ---- */

#define HEAD(status) "HTTP/1.1 " status "\r\nX-UCLOUD-REQUEST-UUID: req-1\r\n"
#define CLOSE HEAD("200 OK") "Connection: close\r\n"
#define JUDGE COMPSHARE_STAGE_JUDGE
#define RECEIVE COMPSHARE_STAGE_RECEIVE

static void failures(void **state)
{
    static const struct {
        const char *reply;
        int end, status, stage;
        bool unknown, retryable;
        int http_status, ret_code;
        const char *message, *request_id;
    } cases[] = {
        { CLOSE "\r\n{\"RetCode\":171,\"Message\":\"Signature VerifyAC Error\"}", END_ORDERLY, COMPSHARE_E_API, JUDGE,
            false, false, 200, 171, "Signature VerifyAC Error", "req-1" },
        { CLOSE "\r\n{\"RetCode\":8903,\"Message\":\"\xE4\xB8\xAD\"}", END_ORDERLY, COMPSHARE_E_API, JUDGE, false,
            true, 200, 8903, "\xE4\xB8\xAD", "req-1" },
        { CLOSE "\r\n{\"RetCode\":-1}", END_ORDERLY, COMPSHARE_E_API, JUDGE, false, false, 200, -1, "", "req-1" },
        { CLOSE "\r\n{\"RetCode\":110,\"Message\":\"timeout\"}", END_ORDERLY, COMPSHARE_E_API, JUDGE, true, true, 200,
            110, "timeout", "req-1" },
        { CLOSE "\r\n{\"RetCode\":8438,\"Message\":7}", END_ORDERLY, COMPSHARE_E_API, JUDGE, true, true, 200, 8438, "",
            "req-1" },
        { HEAD("400 Bad Request") "\r\n{\"RetCode\":230,\"Message\":\"x\"}", END_ORDERLY, COMPSHARE_E_STATUS, JUDGE,
            false, false, 400, 230, "x", "req-1" },
        { HEAD("400 Bad Request") "\r\n{\"RetCode\":0}", END_ORDERLY, COMPSHARE_E_STATUS, JUDGE, true, false, 400, 0,
            "", "req-1" },
        { HEAD("403 No") "\r\n<html>", END_ORDERLY, COMPSHARE_E_STATUS, JUDGE, true, false, 403, 0, "", "req-1" },
        { HEAD("429 Slow") "\r\n", END_ORDERLY, COMPSHARE_E_STATUS, JUDGE, true, true, 429, 0, "", "req-1" },
        { HEAD("500 x") "\r\n{\"RetCode\":230,\"Message\":\"x\"}", END_ORDERLY, COMPSHARE_E_STATUS, JUDGE, true, true,
            500, 230, "x", "req-1" },
        { HEAD("500 x") "\r\n{}", END_ORDERLY, COMPSHARE_E_STATUS, JUDGE, true, true, 500, 0, "", "req-1" },
        { HEAD("502 Bad Gateway") "Content-Type: text/html\r\n\r\n<html>", END_ORDERLY, COMPSHARE_E_STATUS, JUDGE,
            true, true, 502, 0, "", "req-1" },
        { HEAD("302 Found") "Location: https://evil.example/\r\n\r\n", END_ORDERLY, COMPSHARE_E_STATUS, JUDGE, true,
            false, 302, 0, "", "req-1" },
        { HEAD("308 x") "Location: /\r\nContent-Length: 0\r\n\r\n", END_ORDERLY, COMPSHARE_E_STATUS, JUDGE, true,
            false, 308, 0, "", "req-1" },
        { HEAD("304 Not Modified") "\r\n", END_ORDERLY, COMPSHARE_E_STATUS, JUDGE, true, false, 304, 0, "", "req-1" },
        { HEAD("204 No Content") "\r\n", END_ORDERLY, COMPSHARE_E_JSON, JUDGE, true, false, 204, 0, "", "req-1" },
        { CLOSE "Content-Length: 0\r\n\r\n", END_ORDERLY, COMPSHARE_E_JSON, JUDGE, true, false, 200, 0, "", "req-1" },
        { CLOSE "\r\n{\"RetCode\":0", END_ORDERLY, COMPSHARE_E_JSON, JUDGE, true, false, 200, 0, "", "req-1" },
        { CLOSE "\r\n{\"RetCode\":0}{}", END_ORDERLY, COMPSHARE_E_JSON, JUDGE, true, false, 200, 0, "", "req-1" },
        { CLOSE "\r\n<html>login</html>", END_ORDERLY, COMPSHARE_E_JSON, JUDGE, true, false, 200, 0, "", "req-1" },
        { CLOSE "\r\n{}", END_ORDERLY, COMPSHARE_E_REPLY, JUDGE, true, false, 200, 0, "", "req-1" },
        { CLOSE "\r\n[]", END_ORDERLY, COMPSHARE_E_REPLY, JUDGE, true, false, 200, 0, "", "req-1" },
        { CLOSE "\r\n0", END_ORDERLY, COMPSHARE_E_REPLY, JUDGE, true, false, 200, 0, "", "req-1" },
        { CLOSE "\r\n{\"RetCode\":0,\"RetCode\":0}", END_ORDERLY, COMPSHARE_E_REPLY, JUDGE, true, false, 200, 0, "",
            "req-1" },
        { CLOSE "\r\n{\"RetCode\":2147483648}", END_ORDERLY, COMPSHARE_E_REPLY, JUDGE, true, false, 200, 0, "",
            "req-1" },
        { CLOSE "\r\n{\"RetCode\":null}", END_ORDERLY, COMPSHARE_E_REPLY, JUDGE, true, false, 200, 0, "", "req-1" },
        { CLOSE "Content-Encoding: gzip\r\n\r\n{\"RetCode\":0}", END_ORDERLY, COMPSHARE_E_HTTP, JUDGE, true, false,
            200, 0, "", "req-1" },
        { "HTTP/2 200\r\n\r\n", END_ORDERLY, COMPSHARE_E_HTTP, RECEIVE, true, false, 0, 0, "", "" },
        { "SSH-2.0-x\r\n", END_ORDERLY, COMPSHARE_E_HTTP, RECEIVE, true, false, 0, 0, "", "" },
        { "", END_ORDERLY, COMPSHARE_E_CLOSED, RECEIVE, true, true, 0, 0, "", "" },
        { "HTTP/1.1 20", END_ORDERLY, COMPSHARE_E_CLOSED, RECEIVE, true, true, 0, 0, "", "" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"RetCode\":0}", END_ORDERLY, COMPSHARE_E_CLOSED, RECEIVE,
            true, true, 200, 0, "", "" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"RetCode\":0}", END_BROKEN, COMPSHARE_E_IO, RECEIVE, true,
            true, 200, 0, "", "" },
        { "HTTP/1.1 200 OK\r\n\r\n{\"RetCode\":0}", END_BROKEN, COMPSHARE_E_IO, RECEIVE, true, true, 200, 0, "", "" },
        { "", END_BROKEN, COMPSHARE_E_IO, RECEIVE, true, true, 0, 0, "", "" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"RetCode\":0}", END_SILENT, COMPSHARE_E_TIMEOUT, RECEIVE,
            true, true, 200, 0, "", "" },
        { "", END_SILENT, COMPSHARE_E_TIMEOUT, RECEIVE, true, true, 0, 0, "", "" },
        { "", NO_CONNECTION, COMPSHARE_E_CONNECT, COMPSHARE_STAGE_CONNECT, false, true, 0, 0, "", "" }
    };
    static const size_t sizes[] = { 1, 11, 5000, 0 };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++)
        for (k = 0; k < COUNT_OF(sizes); k++) {
            const compshare_error *e;
            char text[1024];
            int status;
            support_case("failure %u in pieces of %u: %.150s", (unsigned)i, (unsigned)sizes[k], cases[i].reply);
            canned(cases[i].reply, strlen(cases[i].reply));
            ends_in(cases[i].end);
            fake.piece = sizes[k];
            status = compshare_call(client, "StopCompShareInstance", NULL, 0);
            e = compshare_last_error(client);
            CHECK_TEXT(compshare_status_name(status), compshare_status_name(cases[i].status));
            CHECK_NUMBER(e->status, status);
            CHECK_NUMBER(e->stage, cases[i].stage);
            CHECK_NUMBER(e->outcome_unknown, cases[i].unknown);
            CHECK_NUMBER(e->retryable, cases[i].retryable);
            CHECK_NUMBER(e->ret_code, cases[i].ret_code);
            CHECK_TEXT(e->message, cases[i].message);
            CHECK_TEXT(e->request_id, cases[i].request_id);
            CHECK_TEXT(e->action, "StopCompShareInstance");
            CHECK(e->detail[0] != '\0' && e->tls_code == 0);
            CHECK_NUMBER(e->http_status, cases[i].http_status);
            (void)compshare_error_text(client, text, sizeof text);
            CHECK((strstr(text, "OUTCOME UNKNOWN") != NULL) == cases[i].unknown);
            CHECK(strstr(text, "secret-private-key") == NULL && strstr(text, "Signature=") == NULL);
        }
    support_case("how many cases ran");
    CHECK_NUMBER(i, 38);
}

/* Which project, where the configuration names none. */
static void no_one_project(void **state)
{
    compshare_project chosen;
    (void)state;
    canned_text("{\"RetCode\":0,\"ProjectSet\":[{\"ProjectId\":\"org-1\",\"IsDefault\":true},{\"ProjectId\":\"org-2\",\"IsDefault\":true}]}");
    CHECK_NUMBER(compshare_get_project_list(client, &chosen, NULL, NULL), COMPSHARE_E_PROJECT);
    CHECK_TEXT(compshare_last_error(client)->detail, "several projects are the default; set project_id: org-1, org-2");
    canned_text("{\"RetCode\":0,\"ProjectSet\":[{\"ProjectId\":\"org-1\"},{\"ProjectId\":\"org-2\"}]}");
    CHECK_NUMBER(compshare_get_project_list(client, &chosen, NULL, NULL), COMPSHARE_E_PROJECT);
    CHECK_TEXT(compshare_last_error(client)->detail, "no project is the default; set project_id: org-1, org-2");
    CHECK_TEXT(chosen.project_id, "");
}

static void text_is(const char *wanted)
{
    char text[1024], small[40];
    CHECK(compshare_error_text(client, text, sizeof text) == text);
    CHECK_TEXT(text, wanted);
    (void)compshare_error_text(client, small, sizeof small);
    CHECK(strlen(small) == sizeof small - 1 && strncmp(small, wanted, sizeof small - 1) == 0);
}

static void error_lines(void **state)
{
    static const char unknown[] = "OUTCOME UNKNOWN: it may have been executed, read back before repeating it";
    char wanted[512];
    compshare_param bad = compshare_text("Region", "cn wlcb");
    (void)state;
    fake.piece = 3;
    support_case("API");
    (void)call("{\"RetCode\":171,\"Message\":\"Signature VerifyAC Error\"}");
    text_is("DescribeCompShareInstance: the API refused: RetCode 171: Signature VerifyAC Error (request req-1)");
    support_case("status");
    canned(HEAD("502 Bad Gateway") "\r\n", strlen(HEAD("502 Bad Gateway") "\r\n"));
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_STATUS);
    (void)snprintf(wanted, sizeof wanted, "StopCompShareInstance: HTTP status 502 (request req-1); %s", unknown);
    text_is(wanted);
    support_case("JSON");
    (void)call("{\"RetCode\":0");
    (void)snprintf(wanted, sizeof wanted,
        "DescribeCompShareInstance: the reply is not valid JSON: it ends too early at byte 12 (content type application/json) (request req-1)");
    text_is(wanted);    /* reading changes nothing, so there is no warning */
    CHECK(compshare_last_error(client)->outcome_unknown);
    support_case("parameter");
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", &bad, 1), COMPSHARE_E_PARAM);
    text_is("StopCompShareInstance: parameter Region: only A-Z a-z 0-9 . _ - are allowed in it");
    CHECK(!compshare_last_error(client)->outcome_unknown
        && compshare_last_error(client)->stage == COMPSHARE_STAGE_PREPARE);
    support_case("closed");
    canned("", 0);
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_CLOSED);
    (void)snprintf(wanted, sizeof wanted,
        "StopCompShareInstance: localhost:80: the connection was closed without a reply; %s", unknown);
    text_is(wanted);
    support_case("an action that nobody knows may change anything");
    CHECK_NUMBER(compshare_call(client, "SomeNewAction", NULL, 0), COMPSHARE_E_CLOSED);
    (void)snprintf(wanted, sizeof wanted, "SomeNewAction: localhost:80: the connection was closed without a reply; %s",
        unknown);
    text_is(wanted);
    support_case("connect");
    ends_in(NO_CONNECTION);
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_CONNECT);
    text_is("StopCompShareInstance: localhost:80: no connection");
    support_case("timeout");
    ends_in(END_SILENT);
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_TIMEOUT);
    (void)snprintf(wanted, sizeof wanted,
        "StopCompShareInstance: localhost:80: timed out after 15000 ms while the reply was awaited; %s", unknown);
    text_is(wanted);
    support_case("redirect");
    ends_in(END_ORDERLY);
    canned("HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n", strlen("HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n"));
    CHECK_NUMBER(compshare_call(client, "StopCompShareInstance", NULL, 0), COMPSHARE_E_STATUS);
    (void)snprintf(wanted, sizeof wanted,
        "StopCompShareInstance: HTTP status 302: a redirect, which is never followed, because it would hand the signed request on; %s", unknown);
    text_is(wanted);
    support_case("no client");
    {
        char text[64];
        CHECK_TEXT(compshare_error_text(NULL, text, sizeof text), "there is no client");
    }
}

static void messages(void **state)
{
    char body[2048];
    size_t n, i;
    const compshare_error *e = compshare_last_error(client);
    (void)state;
    support_case("control characters and overrides");
    CHECK_NUMBER(call("{\"RetCode\":1,\"Message\":\"a\\u001b[31mb\\u202ec\\nd\\u0085\xE2\x80\xAE\\u2066\\u0000\\u007f\xE4\xB8\xAD\"}"), COMPSHARE_E_API);
    CHECK_TEXT(e->message, "a?[31mb?c?d?????\xE4\xB8\xAD");
    CHECK(strlen(e->detail) > 0);
    support_case("twice: none of them, or one");
    CHECK_NUMBER(call("{\"RetCode\":1,\"Message\":null}"), COMPSHARE_E_API);
    CHECK_TEXT(e->message, "");
    support_case("cut at a character");
    n = (size_t)sprintf(body, "{\"RetCode\":1,\"Message\":\"x");
    for (i = 0; i < 200; i++) n += (size_t)sprintf(body + n, "\xE4\xB8\xAD");
    (void)sprintf(body + n, "\"}");
    CHECK_NUMBER(call(body), COMPSHARE_E_API);
    CHECK_NUMBER(strlen(e->message), 253);
    CHECK(memcmp(e->message + 250, "\xE4\xB8\xAD", 4) == 0);
    support_case("gone after a success");
    CHECK_NUMBER(call("{\"RetCode\":0,\"Message\":\"fine\"}"), COMPSHARE_OK);
    CHECK(e->status == COMPSHARE_OK && e->message[0] == '\0' && e->ret_code == 0 && !e->outcome_unknown
        && e->detail[0] == '\0');
    CHECK_NUMBER(e->http_status, 200);
    CHECK_TEXT(e->request_id, "req-1");
}

/* ---- callbacks ---- */

static size_t stop_after;

static int stopping(void *user, compshare_value element)
{
    (void)element;
    return ++*(size_t *)user == stop_after;
}

static compshare_value kept_value;

static int calling_back(void *user, compshare_value element)
{
    compshare_project project;
    ++*(size_t *)user;
    CHECK_NUMBER(compshare_call(client, "X", NULL, 0), COMPSHARE_E_BUSY);
    CHECK_NUMBER(compshare_call_start(client, "X", NULL, 0), COMPSHARE_E_BUSY);
    CHECK_NUMBER(compshare_call_each(client, "X", NULL, 0, "a", stopping, NULL), COMPSHARE_E_BUSY);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_E_BUSY);
    CHECK_NUMBER(compshare_abort(client), COMPSHARE_E_BUSY);
    CHECK_NUMBER(compshare_get_project_list(client, &project, NULL, NULL), COMPSHARE_E_BUSY);
    CHECK_NUMBER(compshare_delete_stop_scheduler(client, NULL), COMPSHARE_E_BUSY);
    compshare_close(client);    /* does nothing here */
    CHECK_NUMBER(compshare_type(element), COMPSHARE_NUMBER);
    kept_value = element;
    return 0;
}

static void callbacks(void **state)
{
    size_t seen = 0;
    const compshare_error *e = compshare_last_error(client);
    static const char body[] = "{\"UHostSet\":[1,2,3],\"RetCode\":0,\"TotalCount\":3}";
    int64_t n = 0;
    (void)state;
    support_case("busy");
    canned_body(body, sizeof body - 1);
    CHECK_NUMBER(compshare_call_each(client, "DescribeCompShareInstance", NULL, 0, "UHostSet", calling_back, &seen),
        COMPSHARE_OK);
    CHECK_NUMBER(seen, 3);
    is_none(kept_value);
    CHECK(compshare_as_int(member(compshare_reply(client), "TotalCount"), &n) && n == 3);
    CHECK_NUMBER(compshare_count(member(compshare_reply(client), "UHostSet")), 0);
    support_case("stopped");
    for (stop_after = 1; stop_after <= 3; stop_after++) {
        seen = 0;
        canned_body(body, sizeof body - 1);
        CHECK_NUMBER(compshare_call_each(client, "DescribeCompShareInstance", NULL, 0, "UHostSet", stopping, &seen),
            COMPSHARE_E_STOPPED);
        CHECK_NUMBER(seen, stop_after);
        CHECK(e->status == COMPSHARE_E_STOPPED && e->outcome_unknown && e->ret_code == 0 && e->http_status == 200);
        CHECK(e->stage == RECEIVE || e->stage == JUDGE);
        is_none(compshare_reply(client));
    }
    support_case("no callback");
    canned_body(body, sizeof body - 1);
    CHECK_NUMBER(compshare_call_each(client, "DescribeCompShareInstance", NULL, 0, "UHostSet", NULL, NULL),
        COMPSHARE_OK);
    support_case("seen, and then refused");
    seen = 0;
    stop_after = 99;
    canned_text("{\"UHostSet\":[1,2],\"RetCode\":230}");
    CHECK_NUMBER(compshare_call_each(client, "DescribeCompShareInstance", NULL, 0, "UHostSet", stopping, &seen),
        COMPSHARE_E_API);
    CHECK(seen == 2 && !e->outcome_unknown && e->ret_code == 230);
    support_case("an error status is not streamed");
    seen = 0;
    canned(HEAD("500 x") "\r\n{\"UHostSet\":[1,2],\"RetCode\":230}",
        strlen(HEAD("500 x") "\r\n{\"UHostSet\":[1,2],\"RetCode\":230}"));
    CHECK_NUMBER(compshare_call_each(client, "DescribeCompShareInstance", NULL, 0, "UHostSet", stopping, &seen),
        COMPSHARE_E_STATUS);
    CHECK(seen == 0 && e->outcome_unknown && e->ret_code == 230);
    support_case("twice");
    canned_text("{\"UHostSet\":[1],\"UHostSet\":[2],\"RetCode\":0}");
    CHECK_NUMBER(compshare_call_each(client, "DescribeCompShareInstance", NULL, 0, "UHostSet", stopping, &seen),
        COMPSHARE_E_REPLY);
}

static void steps(void **state)
{
    static const char body[] = "{\"RetCode\":0}";
    int r, count = 0;
    (void)state;
    support_case("idle");
    CHECK_NUMBER(compshare_step(client), COMPSHARE_E_IDLE);
    CHECK_NUMBER(compshare_abort(client), COMPSHARE_E_IDLE);
    CHECK(compshare_wants(client) == 0 && compshare_timeout_ms(client) == 0 && compshare_fd(client) == -1);
    CHECK_NUMBER(compshare_step(NULL), COMPSHARE_E_CONFIG);
    CHECK_NUMBER(compshare_call(NULL, "X", NULL, 0), COMPSHARE_E_CONFIG);
    support_case("aborted");
    canned("", 0);
    ends_in(END_SILENT);
    CHECK_NUMBER(compshare_call_start(client, "X", NULL, 0), COMPSHARE_OK);
    CHECK_NUMBER(compshare_call_start(client, "X", NULL, 0), COMPSHARE_E_BUSY);
    CHECK_NUMBER(compshare_timeout_ms(client), 0);
    while (compshare_wants(client) == 0 && ++count < 100) CHECK_NUMBER(compshare_step(client), COMPSHARE_PENDING);
    CHECK_NUMBER(compshare_wants(client), COMPSHARE_READ);
    CHECK(compshare_timeout_ms(client) > 14000 && compshare_timeout_ms(client) <= 15000);
    CHECK_NUMBER(compshare_abort(client), COMPSHARE_E_ABORTED);
    CHECK(compshare_last_error(client)->outcome_unknown && compshare_last_error(client)->status == COMPSHARE_E_ABORTED);
    CHECK_NUMBER(compshare_step(client), COMPSHARE_E_IDLE);
    support_case("aborted before anything was sent");
    CHECK_NUMBER(compshare_call_start(client, "X", NULL, 0), COMPSHARE_OK);
    CHECK_NUMBER(compshare_abort(client), COMPSHARE_E_ABORTED);
    CHECK(!compshare_last_error(client)->outcome_unknown);
    support_case("to the end");
    ends_in(END_ORDERLY);
    canned_body(body, sizeof body - 1);
    fake.piece = 1;
    CHECK_NUMBER(compshare_call_start(client, "X", NULL, 0), COMPSHARE_OK);
    while ((r = compshare_step(client)) == COMPSHARE_PENDING) CHECK_NUMBER(compshare_timeout_ms(client), 0);
    CHECK_NUMBER(r, COMPSHARE_OK);
    CHECK(fake.opened > 0 && fake.closed > 0);
}

static void request(void **state)
{
    compshare_param params[2];
    (void)state;
    support_case("the request that left");
    params[0] = compshare_text("UHostId", "uhost-1");
    params[1] = compshare_text("Name", "\xE4\xB8\xAD +");
    canned_text("{\"RetCode\":0}");
    fake.piece = 5000;
    CHECK_NUMBER(compshare_call(client, "ModifyCompShareInstanceName", params, 2), COMPSHARE_OK);
    CHECK_TEXT(fake.request,
        "POST / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: compshare.h/" COMPSHARE_VERSION "\r\nAccept: application/json\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 152\r\nU-Timestamp-Ms: 1795442700000\r\n\r\n"
        "Action=ModifyCompShareInstanceName&Name=%E4%B8%AD+%2B&PublicKey=public&Region=cn-wlcb"
        "&Signature=cdec7fb0dc974835c747a74c310adc5e09997597&UHostId=uhost-1");
    support_case("no region for an account's action, and none twice");
    canned_text("{\"RetCode\":0}");
    CHECK_NUMBER(compshare_call(client, "GetProjectList", NULL, 0), COMPSHARE_OK);
    CHECK(strstr(fake.request, "Region") == NULL
        && strstr(fake.request, "Action=GetProjectList&PublicKey=public&Signature=") != NULL);
    params[0] = compshare_text("Region", "cn-other");
    canned_text("{\"RetCode\":0}");
    CHECK_NUMBER(compshare_call(client, "X", params, 1), COMPSHARE_OK);
    CHECK(strstr(fake.request, "&Region=cn-other&") != NULL && strstr(fake.request, "cn-wlcb") == NULL);
}

/* ---- replies that are not plain JSON ---- */

static int raw(const char *action, const char *type, const char *body)
{
    size_t n = (size_t)sprintf(wire, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %lu\r\n\r\n%s", type,
        (unsigned long)strlen(body), body);
    support_case("%s, %s: %s", action, type, body);
    canned(wire, n);
    return compshare_call(client, action, NULL, 0);
}

static void csv(void **state)
{
    static const char *const types[] = { "text/csv", "Text/CSV; charset=utf-8", "application/csv",
        "application/octet-stream", "application/vnd.ms-excel" };
    static const char body[] = "\xEF\xBB\xBF" "order,amount\r\n\"a,b\",1.5\r\n";
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(types); i++) {
        compshare_view view;
        CHECK_NUMBER(raw("DownloadTeamOrder", types[i], body), COMPSHARE_OK);
        CHECK(strstr(fake.request, "Accept: application/json, text/csv\r\n") != NULL);
        view = compshare_body(client);
        CHECK(view.len == sizeof body - 1 && memcmp(view.ptr, body, view.len) == 0);
        is_none(compshare_reply(client));
    }
    CHECK_NUMBER(raw("DownloadTeamOrder", "text/html", "<html>"), COMPSHARE_E_JSON);
    CHECK_NUMBER(raw("DownloadTeamOrder", "", "a,b"), COMPSHARE_E_JSON);
    CHECK_NUMBER(raw("DownloadTeamOrder", "text/csv", ""), COMPSHARE_E_JSON);
    CHECK_NUMBER(raw("DownloadTeamOrder", "text/csv", " \r\n"), COMPSHARE_E_JSON);
    CHECK_NUMBER(raw("DownloadTeamOrder", "text/csv", "{\"RetCode\":171,\"Message\":\"x\"}"), COMPSHARE_E_API);
    CHECK_NUMBER(compshare_last_error(client)->ret_code, 171);
    CHECK_NUMBER(raw("DownloadTeamOrder", "application/json", "{\"RetCode\":0}"), COMPSHARE_OK);
    CHECK_NUMBER(raw("DownloadTeamOrder", "application/json", "a,b"), COMPSHARE_E_JSON);
    CHECK_NUMBER(raw("ListCompShareTeam", "text/csv", "a,b"), COMPSHARE_E_JSON);
    CHECK(strstr(fake.request, "csv") == NULL);
    canned(HEAD("500 x") "Content-Type: text/csv\r\n\r\na,b",
        strlen(HEAD("500 x") "Content-Type: text/csv\r\n\r\na,b"));
    CHECK_NUMBER(compshare_call(client, "DownloadTeamOrder", NULL, 0), COMPSHARE_E_STATUS);
}

static void forms_of_success(void **state)
{
    static const char *const bodies[] = {
        "{\"RetCode\":0}", "{\"RetCode\":\"0\"}", "\xEF\xBB\xBF{\"RetCode\":0}", " \r\n\t{\"RetCode\":0}\r\n",
            "\xEF\xBB\xBF {\"RetCode\":0} ", "{\"R\\u0065tCode\":\"\\u0030\"}"
    };
    static const char chunked[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"R\r\na;x\r\netCode\":0}\r\n0\r\n\r\n";
    size_t i, k;
    (void)state;
    for (k = 1; k <= 4; k++) {
        fake.piece = k == 4 ? 5000 : k;
        for (i = 0; i < COUNT_OF(bodies); i++) {
            int64_t code = 7;
            compshare_value root = reply_of(bodies[i]);
            CHECK_NUMBER(compshare_type(root), COMPSHARE_OBJECT);
            CHECK(compshare_as_int(member(root, "RetCode"), &code) && code == 0);
            CHECK_NUMBER(compshare_body(client).len, strlen(bodies[i]));
        }
        support_case("chunked");
        canned(chunked, sizeof chunked - 1);
        CHECK_NUMBER(compshare_call(client, "X", NULL, 0), COMPSHARE_OK);
        support_case("no length, orderly end");
        canned(CLOSE "\r\n{\"RetCode\":0}", strlen(CLOSE "\r\n{\"RetCode\":0}"));
        CHECK_NUMBER(compshare_call(client, "X", NULL, 0), COMPSHARE_OK);
    }
}

/* ---- memory ---- */

static size_t long_body(char *body, size_t elements, size_t element)
{
    size_t n = (size_t)sprintf(body, "{\"RetCode\":0,\"UHostSet\":["), i;
    for (i = 0; i < elements; i++) {
        n += (size_t)sprintf(body + n, "%s\"", i > 0 ? "," : "");
        memset(body + n, 'e', element);
        n += element;
        body[n++] = '"';
    }
    return n + (size_t)sprintf(body + n, "],\"TotalCount\":%lu}", (unsigned long)elements);
}

static void small_memory(void **state)
{
    static char body[250000];
    static unsigned char memory[COMPSHARE_MEMORY];
    size_t needed = compshare_memory_needed(NULL), offset, len, seen;
    int64_t n;
    const compshare_error *e;
    (void)state;
    compshare_close(client);
    for (offset = 0; offset < 16; offset++) {
        support_case("smallest memory at offset %u", (unsigned)offset);
        memset(memory, 0xA5, sizeof memory);
        open_client(memory + 16 + offset, needed);
        e = compshare_last_error(client);
        fake.piece = offset % 2 == 0 ? 5000 : 0;
        stop_after = 0;
        CHECK_NUMBER(call("{\"RetCode\":0,\"A\":[1,2,3]}"), COMPSHARE_OK);
        len = long_body(body, 100, 2000);       /* 200 KB pass through 12 KB */
        canned_body(body, len);
        seen = 0;
        CHECK_NUMBER(compshare_call_each(client, "DescribeCompShareInstance", NULL, 0, "UHostSet", stopping, &seen),
            COMPSHARE_OK);
        CHECK_NUMBER(seen, 100);
        CHECK(compshare_as_int(member(compshare_reply(client), "TotalCount"), &n) && n == 100);
        canned_body(body, len);
        CHECK_NUMBER(compshare_call(client, "DescribeCompShareInstance", NULL, 0), COMPSHARE_E_TOO_LARGE);
        CHECK(e->outcome_unknown && e->http_status == 200 && (e->stage == RECEIVE || e->stage == JUDGE));
        CHECK_TEXT(e->request_id, "req-1");
        is_none(compshare_reply(client));
        len = long_body(body, 1, 13000);
        canned_body(body, len);
        seen = 0;
        CHECK_NUMBER(compshare_call_each(client, "DescribeCompShareInstance", NULL, 0, "UHostSet", stopping, &seen),
            COMPSHARE_E_TOO_LARGE);
        CHECK_NUMBER(seen, 0);
        len = (size_t)sprintf(body, "{\"RetCode\":0,\"UHostSet\":[[");     /* short, and of many values */
        for (n = 0; n < 1000; n++) len += (size_t)sprintf(body + len, "%s0", n > 0 ? "," : "");
        len += (size_t)sprintf(body + len, "]]}");
        canned_body(body, len);
        CHECK_NUMBER(compshare_call_each(client, "DescribeCompShareInstance", NULL, 0, "UHostSet", stopping, &seen),
            COMPSHARE_E_TOO_LARGE);
        CHECK_NUMBER(seen, 0);
        compshare_close(client);
        for (n = 0; n < (int64_t)sizeof memory; n++) {
            bool inside = (size_t)n >= 16 + offset && (size_t)n < 16 + offset + needed;
            CHECK(memory[n] == (inside ? 0 : 0xA5));
        }
    }
    /* every length around the point where a body, and then its tokens, stop fitting */
    open_client(memory, needed);
    fake.piece = 5000;
    {
        bool fitted = true;
        size_t fits = 0, fails = 0, element;
        for (element = 12100; element < 12400; element++) {
            int r;
            support_case("one element of %u bytes", (unsigned)element);
            len = long_body(body, 1, element);
            canned_body(body, len);
            r = compshare_call(client, "DescribeCompShareInstance", NULL, 0);
            CHECK(r == COMPSHARE_OK || r == COMPSHARE_E_TOO_LARGE);
            CHECK(fitted || r != COMPSHARE_OK);
            fitted = r == COMPSHARE_OK;
            if (fitted) fits++;
            else fails++;
        }
        support_case("both happened");
        CHECK(fails > 0 && fits + fails == 300);
    }
    compshare_close(client);
    open_client(block, sizeof block);
}

static void secrets_are_wiped(void **state)
{
    static unsigned char memory[COMPSHARE_MEMORY];
    size_t i;
    (void)state;
    support_case("close wipes everything");
    compshare_close(client);
    memset(memory, 0x5A, sizeof memory);
    open_client(memory, sizeof memory);
    CHECK_NUMBER(call("{\"RetCode\":0,\"Password\":\"cGFzcw==\"}"), COMPSHARE_OK);
    compshare_close(client);
    for (i = 0; i < sizeof memory; i++) CHECK(memory[i] == 0);
    open_client(block, sizeof block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(none_and_stale, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streamed_or_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_one_project, set_up, tear_down),
        cmocka_unit_test_setup_teardown(error_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(callbacks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(csv, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forms_of_success, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_are_wiped, set_up, tear_down)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
