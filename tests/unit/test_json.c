/* Rooms json, split and tokens: validator, strings, elements, tokens; jansson is the oracle. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include "support.h"
#include "tokens.h"

#define TOKEN (sizeof(compshare__jsmntok_t))

static compshare_view view(const char *text)
{
    compshare_view v;
    v.ptr = text;
    v.len = strlen(text);
    return v;
}

/* ---- validating in any pieces ---- */

/* NULL or the reason; all ways of feeding must agree. */
static const char *validate(compshare__json *j, const char *src, size_t len)
{
    guard g = guard_open(len);
    const char *at = (const char *)guard_copy(&g, src, len), *reason, *other;
    compshare__json one;
    size_t i, round;
    compshare__json_init(j);
    compshare__json_feed(j, at, len);
    reason = compshare__json_finish(j);
    compshare__json_init(&one);
    for (i = 0; i < len; i++) compshare__json_feed(&one, at + i, 1);
    other = compshare__json_finish(&one);
    CHECK_TEXT(other != NULL ? other : "", reason != NULL ? reason : "");
    CHECK(one.at == j->at && one.depth == j->depth && one.state == j->state);
    for (round = 0; round < 3; round++) {
        compshare__json_init(&one);
        for (i = 0; i < len;) {
            size_t n = support_random(len > 5000 ? 3000 : 9);
            if (n > len - i) n = len - i;
            compshare__json_feed(&one, at + i, n);
            i += n;
        }
        other = compshare__json_finish(&one);
        CHECK_TEXT(other != NULL ? other : "", reason != NULL ? reason : "");
        CHECK(one.at == j->at && one.depth == j->depth && one.state == j->state);
    }
    guard_close(&g);
    return reason;
}

/* A tree over src with exactly enough room, ending at a forbidden page. */
static guard tree_guard;

static bool plant(compshare__tokens *tree, const char *src, size_t len, size_t tokens)
{
    size_t room = tokens * TOKEN;
    unsigned char *at;
    tree_guard = guard_open(len + room + 16);
    at = guard_tail(&tree_guard, (len + room + 3) / 4 * 4);
    memcpy(at, src, len);
    return compshare__tokens_parse(tree, (const char *)at, len, (char *)at + len,
        tree_guard.usable - (size_t)(at - tree_guard.base) - len);
}

static void uproot(void)
{
    guard_close(&tree_guard);
}

static void data_cases(void **state)
{
    json_t *rows = support_rows("tests/data/json_cases.jsonl");
    size_t i, valid = 0, invalid = 0, accepted = 0, either = 0;
    (void)state;
    support_seed(5);
    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        bytes raw = support_base64(support_text(row, "raw_base64"));
        const char *verdict = support_text(row, "verdict"), *reason, *src = (const char *)raw.ptr;
        bool may_refuse = strcmp(verdict, "either") == 0, is_valid = strcmp(support_text(row, "json"), "valid") == 0;
        size_t skip = compshare__json_bom(src, raw.len), len = raw.len - skip;
        compshare__json j;
        compshare__tokens tree;
        size_t tokens;
        int code = 4711;
        support_case("%s", support_text(row, "name"));
        reason = validate(&j, src + skip, len);
        if (!is_valid) {
            CHECK(reason != NULL);
            CHECK(strcmp(verdict, "error") == 0);
            invalid++;
            free(raw.ptr);
            continue;
        }
        valid++;
        if (reason != NULL) {
            CHECK(may_refuse);
            CHECK_TEXT(reason, "it is nested deeper than 64 levels");
            either++;
            free(raw.ptr);
            continue;
        }
        tokens = count_tokens(src + skip, len);
        CHECK(plant(&tree, src + skip, len, tokens));
        CHECK_NUMBER(tree.count, tokens);
        reason = compshare__judge_ret_code(&tree, &code);
        uproot();
        if (may_refuse) either++;
        else CHECK_TEXT(reason == NULL ? "ok" : "error", verdict);
        if (reason == NULL) {
            CHECK_NUMBER(code, json_integer_value(json_object_get(row, "retcode")));
            accepted++;
        } else {
            CHECK_NUMBER(code, 4711);
        }
        CHECK(!plant(&tree, src + skip, len, tokens - 1) || TOKEN * (tokens - 1) + 16 > TOKEN * tokens);
        uproot();
        free(raw.ptr);
    }
    support_case("how many cases ran");
    CHECK_NUMBER(valid, 68);
    CHECK_NUMBER(invalid, 52);
    CHECK_NUMBER(either, 7);
    CHECK(accepted >= 32);
    json_decref(rows);
}

static void valid_is(const char *text, bool wanted)
{
    compshare__json j;
    support_case("JSON %s", text);
    CHECK((validate(&j, text, strlen(text)) == NULL) == wanted);
}

static void grammar(void **state)
{
    static const char *const good[] = {
        "0", "-0", "1", "-1", "10", "0.0", "-0.5e+10", "1E5", "1e-5", "12.34e56", "true", "false", "null", "\"\"",
            "[]", "{}", " [ ] ", "\t{\n}\r",
        "[[],{}]", "{\"\":0}", "{\"a\":{\"a\":[]}}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD800\\uffff\"", "\"\x7F\"",
            "\"\xC2\x80\xDF\xBF\"",
        "\"\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\"", "\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"", "[1 ,2\n,3 ]",
            "[1,true,null,\"x\"]", " 1 "
    };
    static const char *const wrong[] = {
        "", " ", "-", "+1", "01", "-01", "1.", ".1", "1.e1", "1e", "1e+", "1e+.", "1e-.5", "1e.", "1e.5", "1e+e",
            "1e++1", "1e1+", "-.", "-e1", "0.e", "0..", "1.-", "1e1.", "1.5.5", "0x1", "1a", "1 2", "NaN", "Infinity",
            "-Infinity", "True", "nul", "nulll", "trux", "falsy", "nuii",
        "truefalse", "'a'", "\"", "\"a", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\U0041\"", "\"\n\"",
            "\"\t\"", "[", "]", "[1", "[1,", "[1,]", "[,1]",
        "[,]", "[1 2]", "[1:2]", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{a:1}",
            "{1:1}", "{\"a\" 1}", "{\"a\"::1}",
        "{\"a\",1}", "{\"a\":1 \"b\":2}", "[}", "{]", "[{]}", "{\"a\":[}]", "[]]", "{}}", "[][]", "{},", "//x\n1",
            "/**/1", "1#", "\xEF\xBB\xBF" "1",
        "\"\x80\"", "\"\xC0\x80\"", "\"\xC1\xBF\"", "\"\xC2\"", "\"\xC2\x7F\"", "\"\xE0\x9F\xBF\"", "\"\xED\xA0\x80\"",
            "\"\xED\xBF\xBF\"", "\"\xE2\x82\"",
        "\"\xF0\x8F\xBF\xBF\"", "\"\xF4\x90\x80\x80\"", "\"\xF5\x80\x80\x80\"", "\"\xF8\x88\x80\x80\x80\"", "\"\xFF\"",
            "\"\xE2\x28\xA1\"", "\xE4\xB8\xAD",
        "[1]\f", "[\v1]", "\xC2\xA0" "1"
    };
    compshare__json j;
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(good); i++) valid_is(good[i], true);
    for (i = 0; i < COUNT_OF(wrong); i++) valid_is(wrong[i], false);
    support_case("NUL");
    CHECK(validate(&j, "1\0", 2) != NULL);
    CHECK(validate(&j, "\0", 1) != NULL);
    CHECK(validate(&j, "\"a\0b\"", 5) != NULL);
    support_case("words of failure");
    CHECK_TEXT(validate(&j, "", 0), "it is empty");
    CHECK_TEXT(validate(&j, "{", 1), "it ends too early");
    CHECK_TEXT(validate(&j, "  ", 2), "it ends too early");
    CHECK_TEXT(validate(&j, "{\"a\":1}x", 8), "something follows the end");
    CHECK_NUMBER(j.at, 8);
    CHECK_TEXT(validate(&j, "[1,}", 4), "a value is expected");
    CHECK_NUMBER(j.at, 4);
    /* every character of two bytes and more that UTF-8 has, and none that it has not */
    support_case("all lead and second bytes");
    {
        unsigned a, b;
        for (a = 0x80; a < 0x100; a++)
            for (b = 0; b < 0x100; b++) {
                char text[6] = { '"', 0, 0, '\x80', '\x80', '"' };
                size_t extra = a >= 0xF0 ? 2 : a >= 0xE0 ? 1 : 0;
                bool fine = a >= 0xC2 && a <= 0xF4 && b >= 0x80 && b <= 0xBF && !(a == 0xE0 && b < 0xA0)
                    && !(a == 0xED && b > 0x9F)
                    && !(a == 0xF0 && b < 0x90) && !(a == 0xF4 && b > 0x8F);
                text[1] = (char)a;
                text[2] = (char)b;
                text[3 + extra] = '"';
                compshare__json_init(&j);
                compshare__json_feed(&j, text, 4 + extra);
                if ((compshare__json_finish(&j) == NULL) != fine) {
                    support_case("bytes %02X %02X", a, b);
                    CHECK(false);
                }
            }
    }
}

static void depth(void **state)
{
    char text[512];
    unsigned levels, kind;
    (void)state;
    for (levels = 62; levels <= 66; levels++)
        for (kind = 0; kind < 3; kind++) {      /* arrays, objects, both in turn */
            size_t n = 0;
            unsigned i;
            compshare__json j;
            const char *reason;
            compshare__tokens tree;
            support_case("%u levels, kind %u", levels, kind);
            for (i = 0; i < levels; i++)
                n += (size_t)sprintf(text + n, "%s", kind == 0 || (kind == 2 && i % 2 == 0) ? "[" : i + 1 < levels
                    ? "{\"\":" : "{");
            for (i = levels; i-- > 0;)
                text[n++] = kind == 0 || (kind == 2 && i % 2 == 0) ? ']' : '}';
            reason = validate(&j, text, n);
            CHECK_TEXT(reason != NULL ? reason : "", levels <= 64 ? "" : "it is nested deeper than 64 levels");
            if (reason != NULL) continue;
            CHECK(plant(&tree, text, n, count_tokens(text, n)));
            CHECK_NUMBER(tree.count, count_tokens(text, n));
            uproot();
        }
}

/* ---- integers ---- */

static void integers(void **state)
{
    static const struct { const char *text; int64_t value; } good[] = {
        { "0", 0 }, { "1", 1 }, { "-1", -1 }, { "10", 10 }, { "9223372036854775807", INT64_MAX },
            { "9223372036854775806", INT64_MAX - 1 },
        { "-9223372036854775808", INT64_MIN }, { "-9223372036854775807", -INT64_MAX },
            { "1000000000000000000", INT64_C(1000000000000000000) },
        { "2147483648", INT64_C(2147483648) }, { "-2147483649", -INT64_C(2147483649) }
    };
    static const char *const wrong[] = {
        "", "-", "-0", "00", "01", "-01", "+1", " 1", "1 ", "1.0", "1e1", "0x1", "9223372036854775808",
            "9223372036854775810", "-9223372036854775809",
        "18446744073709551616", "18446744073709551615", "99999999999999999999", "-99999999999999999999", "--1", "1-",
            "a", "\xEF\xBC\x91", "1,000"
    };
    guard g = guard_open(64);
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(good); i++) {
        int64_t value = 4711;
        compshare_view v = view(good[i].text);
        v.ptr = (const char *)guard_copy(&g, v.ptr, v.len);
        support_case("integer %s", good[i].text);
        CHECK(compshare__bytes_int(v, &value));
        CHECK(value == good[i].value);
    }
    for (i = 0; i < COUNT_OF(wrong); i++) {
        int64_t value = 4711;
        compshare_view v = view(wrong[i]);
        v.ptr = (const char *)guard_copy(&g, v.ptr, v.len);
        support_case("no integer \"%s\"", wrong[i]);
        CHECK(!compshare__bytes_int(v, &value));
        CHECK(value == 4711);
    }
    guard_close(&g);
}

/* ---- strings ---- */

static void unescapes_to(const char *raw, const char *wanted, size_t len)
{
    guard from = guard_open(256), to = guard_open(256);
    compshare_view v;
    size_t cap;
    v.len = strlen(raw);
    v.ptr = (const char *)guard_copy(&from, raw, v.len);
    support_case("unescape %s", raw);
    for (cap = 1; cap <= len + 3; cap++) {
        char *buf = (char *)guard_tail(&to, cap);
        size_t end;
        memset(buf, '!', cap);
        CHECK_NUMBER(compshare__json_copy(v, buf, cap, false), len);
        if (cap > len) {
            CHECK(memcmp(buf, wanted, len) == 0 && buf[len] == '\0');
            continue;
        }
        /* cut: a prefix in whole characters, as long as fits */
        end = cap - 1;
        while (end > 0 && ((unsigned char)wanted[end] & 0xC0) == 0x80) end--;
        CHECK(memcmp(buf, wanted, end) == 0 && buf[end] == '\0');
    }
    CHECK_NUMBER(compshare__json_copy(v, NULL, 0, false), len);
    guard_close(&from);
    guard_close(&to);
}

static void strings(void **state)
{
    (void)state;
    unescapes_to("", "", 0);
    unescapes_to("abc", "abc", 3);
    unescapes_to("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8);
    unescapes_to("\\u0041\\u007f\\u0080\\u07FF\\u0800\\uFFFF\\ud7ff\\ue000",
        "A\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xED\x9F\xBF\xEE\x80\x80", 18);
    unescapes_to("a\\u0000b", "a\0b", 3);
    unescapes_to("\\u0000", "\0", 1);
    unescapes_to("\\ud83d\\ude00", "\xF0\x9F\x98\x80", 4);
    unescapes_to("\\uD800\\uDC00\\uDBFF\\uDFFF", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8);
    unescapes_to("\\ud83d", "\xEF\xBF\xBD", 3);
    unescapes_to("\\ude00", "\xEF\xBF\xBD", 3);
    unescapes_to("x\\ud83dy", "x\xEF\xBF\xBDy", 5);
    unescapes_to("\\ud83d\\ud83d\\ude00", "\xEF\xBF\xBD\xF0\x9F\x98\x80", 7);
    unescapes_to("\\ude00\\ud83d", "\xEF\xBF\xBD\xEF\xBF\xBD", 6);
    unescapes_to("\\ud83d\\u0041", "\xEF\xBF\xBD" "A", 4);
    unescapes_to("\\ud83dabcdef", "\xEF\xBF\xBD" "abcdef", 9);
    unescapes_to("\\ud83d\\ue000", "\xEF\xBF\xBD\xEE\x80\x80", 6);
    unescapes_to("\\ud83d\\n", "\xEF\xBF\xBD\n", 4);
    unescapes_to("\\ud83d\\\\de00", "\xEF\xBF\xBD\\de00", 8);
    unescapes_to("\\ud83d\xE4\xB8\xAD", "\xEF\xBF\xBD\xE4\xB8\xAD", 6);
    unescapes_to("\xE4\xB8\xAD\xE6\x96\x87\xC3\xBC\xF0\x9F\x98\x80z",
        "\xE4\xB8\xAD\xE6\x96\x87\xC3\xBC\xF0\x9F\x98\x80z", 13);
    {
        char buf[32];
        size_t n;
        support_case("cleaned for a terminal");
        n = compshare__json_copy(view("a\\u001b[31m\\u202eb\\u0085\\n\xE2\x80\xAE\xE4\xB8\xAD\\u0000"), buf,
            sizeof buf, true);
        CHECK_TEXT(buf, "a?[31m?b???\xE4\xB8\xAD?");
        CHECK_NUMBER(n, strlen(buf));
    }
}

static void equality(void **state)
{
    static const struct { const char *raw, *text; bool equal; } cases[] = {
        { "", "", true }, { "", "a", false }, { "a", "", false }, { "RetCode", "RetCode", true },
            { "RetCode", "RetCodeX", false }, { "RetCodeX", "RetCode", false },
        { "retCode", "RetCode", false }, { "Ret\\u0043ode", "RetCode", true },
            { "\\u0052\\u0065\\u0074\\u0043\\u006F\\u0064\\u0065", "RetCode", true },
        { "Ret\\u0043od", "RetCode", false }, { "RetCode\\u0000", "RetCode", false },
            { "RetCode\\u0000x", "RetCode", false }, { "\\u0000", "", false },
        { "a\\/b", "a/b", true }, { "a\\\\b", "a\\b", true }, { "\\n", "\n", true }, { "\\u00e9", "\xC3\xA9", true },
            { "\xC3\xA9", "\xC3\xA9", true },
        { "\\ud83d\\ude00", "\xF0\x9F\x98\x80", true }, { "\\ud83d", "\xEF\xBF\xBD", true },
            { "\\u4e2d", "\xE4\xB8", false }, { "x", "\xC3\xA9", false }
    };
    guard from = guard_open(64), to = guard_open(64);
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        compshare_view v = view(cases[i].raw);
        v.ptr = (const char *)guard_copy(&from, v.ptr, v.len);
        support_case("\"%s\" and \"%s\"", cases[i].raw, cases[i].text);
        CHECK(compshare__json_equals(v, (const char *)guard_copy(&to, cases[i].text,
            strlen(cases[i].text) + 1)) == cases[i].equal);
    }
    guard_close(&from);
    guard_close(&to);
}

/* ---- random documents ---- */

static char doc[262144];
static size_t doc_len;
static unsigned key_number;

static void put(const char *text)
{
    size_t len = strlen(text);
    if (doc_len + len + 16 > sizeof doc) return;
    memcpy(doc + doc_len, text, len + 1);
    doc_len += len;
}

static void put_space(void)
{
    static const char *const spaces[] = { "", "", "", " ", "\n", "\t ", "\r\n  " };
    put(spaces[support_random(COUNT_OF(spaces))]);
}

static void put_characters(size_t count, bool nul)
{
    static const char *const fixed[] = { "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\xC3\xBC",
        "\xE4\xB8\xAD", "\xF0\x9F\x98\x80", "\\ud83d\\uDE00", "\x7F" };
    while (count-- > 0) {
        char text[16];
        unsigned code;
        switch (support_random(4)) {
        case 0:
            put(fixed[support_random(COUNT_OF(fixed))]);
            break;
        case 1:
            do code = (unsigned)support_random(0x10000); while (code >= 0xD800 && code < 0xE000);
            if (support_random(3) == 0) code &= 0x7F;
            if (code == 0 && !nul) code = 0x41;
            (void)snprintf(text, sizeof text, support_random(2) == 0 ? "\\u%04x" : "\\u%04X", code);
            put(text);
            break;
        default:
            do text[0] = (char)(' ' + support_random(95)); while (text[0] == '"' || text[0] == '\\');
            text[1] = '\0';
            put(text);
        }
    }
}

static void put_key(void)
{
    char text[32];
    (void)snprintf(text, sizeof text, "\"k%u_", key_number++);
    put(text);
    put_characters(support_random(5), false);
    put("\"");
    put_space();
    put(":");
    put_space();
}

static void put_value(unsigned level);

static void put_container(unsigned level, bool object)
{
    size_t n = support_random(5), i;
    put(object ? "{" : "[");
    put_space();
    for (i = 0; i < n; i++) {
        if (i > 0) { put(","); put_space(); }
        if (object) put_key();
        put_value(level + 1);
        put_space();
    }
    put(object ? "}" : "]");
}

static void put_value(unsigned level)
{
    char text[48];
    switch (support_random(level >= 6 ? 6 : 9)) {
    case 0: put("true"); break;
    case 1: put("false"); break;
    case 2: put("null"); break;
    case 3:
        (void)snprintf(text, sizeof text, "%lld", (long long)((int64_t)support_random64() >> support_random(64)));
        put(support_random(3) == 0 ? "7" : text);
        break;
    case 4:
        (void)snprintf(text, sizeof text, "%s%u.%u%s", support_random(2) == 0 ? "-" : "",
            (unsigned)support_random(1000), (unsigned)support_random(1000), support_random(2) == 0 ? ""
            : support_random(2) == 0 ? "e5" : "E-07");
        put(text);
        break;
    case 5:
        put("\"");
        if (support_random(4) == 0) {
            (void)snprintf(text, sizeof text, "%lld", (long long)((int64_t)support_random64() >> support_random(64)));
            put(text);
        } else put_characters(support_random(12), true);
        put("\"");
        break;
    default:
        put_container(level, support_random(2) == 0);
    }
}

/* ---- the tree against jansson ---- */

static void same_value(const compshare__tokens *tree, uint32_t at, json_t *oracle);

static void same_string(compshare_view raw, const char *text, size_t len)
{
    char *buf = (char *)malloc(len + 1);
    if (buf == NULL) exit(2);
    CHECK_NUMBER(compshare__json_copy(raw, buf, len + 1, false), len);
    CHECK(memcmp(buf, text, len) == 0 && buf[len] == '\0');
    free(buf);
}

static void same_object(const compshare__tokens *tree, uint32_t at, json_t *oracle)
{
    uint32_t child = compshare__tokens_first(tree, at);
    void *iter;
    for (iter = json_object_iter(oracle); iter != NULL; iter = json_object_iter_next(oracle, iter)) {
        const char *key = json_object_iter_key(iter);
        uint32_t found, name;
        CHECK(child != COMPSHARE__TOKENS_NONE);
        name = compshare__tokens_key(tree, child);
        CHECK(name != COMPSHARE__TOKENS_NONE);
        same_string(compshare__tokens_raw(tree, name), key, strlen(key));
        CHECK(compshare__json_equals(compshare__tokens_raw(tree, name), key));
        CHECK_NUMBER(compshare__tokens_find(tree, at, key, &found), 1);
        CHECK(found == child);
        same_value(tree, child, json_object_iter_value(iter));
        child = compshare__tokens_next(tree, child);
    }
    CHECK(child == COMPSHARE__TOKENS_NONE);
    CHECK(compshare__tokens_find(tree, at, "no such name", &child) == 0 && child == COMPSHARE__TOKENS_NONE);
}

static void same_array(const compshare__tokens *tree, uint32_t at, const json_t *oracle)
{
    uint32_t child = compshare__tokens_first(tree, at);
    size_t i;
    for (i = 0; i < json_array_size(oracle); i++) {
        CHECK(child != COMPSHARE__TOKENS_NONE);
        CHECK(compshare__tokens_key(tree, child) == COMPSHARE__TOKENS_NONE);
        same_value(tree, child, json_array_get(oracle, i));
        child = compshare__tokens_next(tree, child);
    }
    CHECK(child == COMPSHARE__TOKENS_NONE);
}

static void same_value(const compshare__tokens *tree, uint32_t at, json_t *oracle)
{
    compshare_view raw = compshare__tokens_raw(tree, at);
    int64_t number = 0;
    bool is_int = compshare__tokens_int(tree, at, &number);
    char text[64];
    uint32_t none;
    switch (json_typeof(oracle)) {
    case JSON_OBJECT:
        CHECK_NUMBER(compshare__tokens_type(tree, at), COMPSHARE_OBJECT);
        CHECK_NUMBER(tree->token[at].size, json_object_size(oracle));
        same_object(tree, at, oracle);
        CHECK(!is_int);
        return;
    case JSON_ARRAY:
        CHECK_NUMBER(compshare__tokens_type(tree, at), COMPSHARE_ARRAY);
        CHECK_NUMBER(tree->token[at].size, json_array_size(oracle));
        same_array(tree, at, oracle);
        CHECK(!is_int);
        return;
    case JSON_STRING:
        CHECK_NUMBER(compshare__tokens_type(tree, at), COMPSHARE_STRING);
        same_string(raw, json_string_value(oracle), json_string_length(oracle));
        if (is_int) {
            (void)snprintf(text, sizeof text, "%lld", (long long)number);
            CHECK_TEXT(json_string_value(oracle), text);
        }
        break;
    case JSON_INTEGER:
        CHECK_NUMBER(compshare__tokens_type(tree, at), COMPSHARE_NUMBER);
        CHECK(is_int);
        CHECK_NUMBER(number, json_integer_value(oracle));
        break;
    case JSON_REAL:
        CHECK_NUMBER(compshare__tokens_type(tree, at), COMPSHARE_NUMBER);
        CHECK(!is_int && raw.len < sizeof text);
        memcpy(text, raw.ptr, raw.len);
        text[raw.len] = '\0';
        CHECK(strtod(text, NULL) >= json_real_value(oracle) && strtod(text, NULL) <= json_real_value(oracle));
        break;
    case JSON_TRUE: case JSON_FALSE:
        CHECK_NUMBER(compshare__tokens_type(tree, at), COMPSHARE_BOOL);
        CHECK(raw.len == (json_is_true(oracle) ? 4u : 5u) && !is_int);
        break;
    default:
        CHECK_NUMBER(compshare__tokens_type(tree, at), COMPSHARE_NULL);
        CHECK(raw.len == 4 && !is_int);
    }
    CHECK(compshare__tokens_first(tree, at) == COMPSHARE__TOKENS_NONE);
    CHECK(compshare__tokens_find(tree, at, "x", &none) == 0);
}

static json_t *oracle_of(const char *text, size_t len)
{
    json_error_t error;
    json_t *value = json_loadb(text, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (value == NULL) support_fail_text(__FILE__, __LINE__, error.text, text, "jansson reads it");
    return value;
}

static void random_documents(void **state)
{
    int round;
    size_t tokens = 0;
    (void)state;
    support_seed(6);
    for (round = 0; round < 400; round++) {
        compshare__json j;
        compshare__tokens tree;
        json_t *oracle;
        support_case("random document %d", round);
        doc_len = 0;
        doc[0] = '\0';
        put_space();
        if (round % 10 == 0) put_value(6);
        else put_container(0, round % 2 == 0);
        put_space();
        oracle = oracle_of(doc, doc_len);
        CHECK(validate(&j, doc, doc_len) == NULL);
        CHECK(plant(&tree, doc, doc_len, count_tokens(doc, doc_len)));
        CHECK_NUMBER(tree.count, count_tokens(doc, doc_len));
        same_value(&tree, 0, oracle);
        CHECK(compshare__tokens_next(&tree, 0) == COMPSHARE__TOKENS_NONE
            && compshare__tokens_key(&tree, 0) == COMPSHARE__TOKENS_NONE);
        tokens += tree.count;
        uproot();
        json_decref(oracle);
    }
    support_case("how much was compared");
    CHECK(tokens > 3000);
}

/* White space around the root is not part of it. */
static void roots(void **state)
{
    static const struct { const char *text, *raw; int type; } cases[] = {
        { "{}", "{}", COMPSHARE_OBJECT }, { " {} ", "{}", COMPSHARE_OBJECT },
            { "\r\n\t [1]\n", "[1]", COMPSHARE_ARRAY }, { "\n\"a\"\n", "a", COMPSHARE_STRING },
        { "12", "12", COMPSHARE_NUMBER }, { " 12 ", "12", COMPSHARE_NUMBER }, { "\ttrue\n", "true", COMPSHARE_BOOL },
            { " false", "false", COMPSHARE_BOOL },
        { "\r\nnull\r\n", "null", COMPSHARE_NULL }, { "null", "null", COMPSHARE_NULL },
            { " -1.5e3\n", "-1.5e3", COMPSHARE_NUMBER }
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        compshare__json j;
        compshare__tokens tree;
        compshare_view raw;
        support_case("root %s", cases[i].text);
        CHECK(validate(&j, cases[i].text, strlen(cases[i].text)) == NULL);
        CHECK(plant(&tree, cases[i].text, strlen(cases[i].text), count_tokens(cases[i].text, strlen(cases[i].text))));
        CHECK_NUMBER(tree.count, count_tokens(cases[i].text, strlen(cases[i].text)));
        CHECK_NUMBER(compshare__tokens_type(&tree, 0), cases[i].type);
        raw = compshare__tokens_raw(&tree, 0);
        CHECK(raw.len == strlen(cases[i].raw) && memcmp(raw.ptr, cases[i].raw, raw.len) == 0);
        uproot();
    }
}

/* ---- splitter ---- */

typedef struct taken_out {
    char *text[512];
    size_t len[512], count;
} taken_out;

static taken_out split_elements;

static void elements_free(taken_out *e)
{
    while (e->count > 0) free(e->text[--e->count]);
}

static void split_forget(void)
{
    elements_free(&split_elements);
}

/* Splits src, so many bytes at a time, in an area that ends at a forbidden page. Every
   element is taken out and its place overwritten with tokens, as the client does. */
static const char *split_pieces(compshare__split *s, taken_out *e, const char *src, size_t len, size_t piece, guard *g,
    size_t cap)
{
    char *area = (char *)guard_tail(g, cap);
    size_t at = 0;
    if (cap > 0) memset(area, '!', cap);
    compshare__split_init(s, "UHostSet", area, cap);
    while (at < len && s->json.state != COMPSHARE__JSON_FAILED) {
        size_t n = piece - at % piece, taken, size;
        compshare__tokens tree;
        bool complete;
        if (n > len - at) n = len - at;
        taken = compshare__split_feed(s, src + at, n, &complete);
        CHECK(taken <= n && (complete || taken == n || s->json.state == COMPSHARE__JSON_FAILED));
        CHECK(s->kept <= cap && s->used <= cap);
        at += taken;
        if (!complete) continue;
        CHECK(!s->full && s->used > s->kept && e->count < COUNT_OF(e->text));
        size = e->len[e->count] = s->used - s->kept;
        e->text[e->count] = (char *)malloc(size);
        if (e->text[e->count] == NULL) exit(2);
        memcpy(e->text[e->count++], area + s->kept, size);
        (void)compshare__tokens_parse(&tree, area + s->kept, size, area + s->used, cap - s->used);
        memset(area + s->kept, '~', cap - s->kept);
    }
    return compshare__json_finish(&s->json);
}

/* The same whole and in pieces. */
static const char *split(compshare__split *s, const char *src, size_t len, guard *g, size_t cap)
{
    static const size_t pieces[] = { 1, 2, 7, 64 };
    static taken_out other;
    compshare__split t;
    guard room = guard_open(cap);
    const char *reason;
    size_t i, k;
    split_forget();
    reason = split_pieces(s, &split_elements, src, len, len + 1, g, cap);
    for (i = 0; i < COUNT_OF(pieces); i++) {
        const char *again = split_pieces(&t, &other, src, len, pieces[i], &room, cap);
        CHECK_TEXT(again != NULL ? again : "", reason != NULL ? reason : "");
        CHECK(t.json.at == s->json.at && t.json.state == s->json.state && t.bom == s->bom);
        CHECK(t.seen == s->seen && t.twice == s->twice && t.not_array == s->not_array && t.full == s->full);
        CHECK(t.kept == s->kept && (t.kept == 0 || memcmp(t.area, s->area, t.kept) == 0));
        CHECK_NUMBER(other.count, split_elements.count);
        for (k = 0; k < other.count; k++)
            CHECK(other.len[k] == split_elements.len[k]
                && memcmp(other.text[k], split_elements.text[k], other.len[k]) == 0);
        elements_free(&other);
    }
    guard_close(&room);
    return reason;
}

/* Against jansson: the elements, and what is kept. */
static void check_split(const char *src, size_t len, const json_t *oracle)
{
    compshare__split s;
    guard g = guard_open(len + 8);
    const char *reason = split(&s, src, len, &g, len + 8);
    json_t *wanted = json_object_get(oracle, "UHostSet"), *kept, *copy;
    size_t i;
    CHECK_TEXT(reason != NULL ? reason : "", "");
    CHECK(!s.full && !s.twice);
    CHECK(s.seen == (wanted != NULL));
    CHECK(s.not_array == (wanted != NULL && !json_is_array(wanted) && !json_is_null(wanted)));
    CHECK_NUMBER(split_elements.count, json_array_size(wanted));
    for (i = 0; i < split_elements.count; i++) {
        json_t *element = oracle_of(split_elements.text[i], split_elements.len[i]);
        CHECK(json_equal(element, json_array_get(wanted, i)));
        CHECK(split_elements.text[i][0] != ' ' && split_elements.text[i][split_elements.len[i] - 1] != ' ');
        json_decref(element);
    }
    kept = oracle_of(s.area, s.kept);
    copy = json_deep_copy(oracle);
    if (json_is_array(wanted)) (void)json_object_set_new(copy, "UHostSet", json_array());
    CHECK(json_equal(kept, copy));
    {   /* the kept text is valid by the validator, too, and can be tokenized */
        compshare__json j;
        CHECK(validate(&j, s.area, s.kept) == NULL);
    }
    json_decref(kept);
    json_decref(copy);
    split_forget();
    guard_close(&g);
}

static void splitter_on_data(void **state)
{
    json_t *rows = support_rows("tests/data/json_cases.jsonl");
    size_t i, compared = 0, refused = 0, alone = 0;
    (void)state;
    support_seed(7);
    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        bytes raw = support_base64(support_text(row, "raw_base64"));
        size_t skip = compshare__json_bom((const char *)raw.ptr, raw.len);
        compshare__json j;
        const char *whole;
        support_case("%s", support_text(row, "name"));
        compshare__json_init(&j);
        compshare__json_feed(&j, (const char *)raw.ptr + skip, raw.len - skip);
        whole = compshare__json_finish(&j);
        if (whole != NULL || strcmp(support_text(row, "json"), "valid") != 0) {
            compshare__split s;
            guard g = guard_open(raw.len + 8);
            const char *reason = split(&s, (const char *)raw.ptr, raw.len, &g, raw.len + 8);
            CHECK(reason != NULL);
            split_forget();
            guard_close(&g);
            refused++;
        } else {
            json_error_t error;
            json_t *oracle = json_loadb((const char *)raw.ptr + skip, raw.len - skip,
                JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
            if (oracle != NULL) {
                check_split((const char *)raw.ptr, raw.len, oracle);
                compared++;
            } else {        /* beyond jansson: nothing to stream, so all of it is kept */
                compshare__split s;
                guard g = guard_open(raw.len + 8);
                CHECK(split(&s, (const char *)raw.ptr, raw.len, &g, raw.len + 8) == NULL);
                CHECK(split_elements.count == 0 && s.kept == raw.len - skip
                    && memcmp(s.area, raw.ptr + skip, s.kept) == 0);
                guard_close(&g);
                alone++;
            }
            json_decref(oracle);
        }
        free(raw.ptr);
    }
    support_case("how many cases ran");
    CHECK_NUMBER(compared + refused + alone, 120);
    CHECK(compared >= 50 && refused >= 52 && alone <= 18);
    json_decref(rows);
}

static void splitter_on_random(void **state)
{
    static const char *const names[] = { "\"UHostSet\"", "\"\\u0055HostSet\"", "\"UHost\\u0053et\"",
        "\"\\u0055\\u0048\\u006f\\u0073\\u0074\\u0053\\u0065\\u0074\"" };
    int round;
    size_t elements = 0;
    (void)state;
    support_seed(8);
    for (round = 0; round < 400; round++) {
        size_t members = support_random(5), place = support_random(members + 1), i, k;
        json_t *oracle;
        support_case("random document %d", round);
        doc_len = 0;
        if (round % 7 == 0) put("\xEF\xBB\xBF");
        put_space();
        put("{");
        put_space();
        for (i = 0; i <= members; i++) {
            if (i > 0) { put(","); put_space(); }
            if (i == place && round % 11 != 0) {
                put(names[support_random(4)]);
                put_space();
                put(":");
                put_space();
                if (round % 13 == 0) put("null");
                else if (round % 17 == 0) put_value(6);
                else {
                    size_t n = support_random(6);
                    put("[");
                    put_space();
                    for (k = 0; k < n; k++) {
                        if (k > 0) { put(","); put_space(); }
                        if (support_random(4) == 0) put(support_random(2) == 0 ? "123" : "-4.5e6");
                        else if (support_random(8) == 0) put("{\"UHostSet\":[1,[2]]}");
                        else put_value(1);
                        if (support_random(2) == 0) put_space();
                        elements++;
                    }
                    put("]");
                }
            } else {
                put_key();
                if (support_random(6) == 0) put("{\"UHostSet\":[1,2]}");
                else if (support_random(8) == 0) put("\"UHostSet\"");
                else put_value(1);
            }
            put_space();
        }
        put("}");
        put_space();
        i = compshare__json_bom(doc, doc_len);
        oracle = oracle_of(doc + i, doc_len - i);
        check_split(doc, doc_len, oracle);
        json_decref(oracle);
    }
    support_case("how many elements passed");
    CHECK(elements > 500);
}

static void split_is(const char *text, size_t elements, const char *kept, bool twice, bool not_array)
{
    compshare__split s;
    guard g = guard_open(512);
    support_case("split %s", text);
    CHECK(split(&s, text, strlen(text), &g, 512) == NULL);
    CHECK_NUMBER(split_elements.count, elements);
    CHECK(s.kept == strlen(kept) && memcmp(s.area, kept, s.kept) == 0);
    CHECK(s.twice == twice && s.not_array == not_array && !s.full);
    split_forget();
    guard_close(&g);
}

static void splitter_forms(void **state)
{
    (void)state;
    split_is("{\"UHostSet\":[1]}", 1, "{\"UHostSet\":[]}", false, false);
    split_is("{\"UHostSet\":[1,2,3]}", 3, "{\"UHostSet\":[]}", false, false);
    split_is("{\"UHostSet\":[ 1 , 2 ] , \"a\":1}", 2, "{\"UHostSet\":[] , \"a\":1}", false, false);
    split_is("{\"UHostSet\":[]}", 0, "{\"UHostSet\":[]}", false, false);
    split_is("{\"UHostSet\":null}", 0, "{\"UHostSet\":null}", false, false);
    split_is("{\"UHostSet\":{}}", 0, "{\"UHostSet\":{}}", false, true);
    split_is("{\"UHostSet\":{\"UHostSet\":[1]}}", 0, "{\"UHostSet\":{\"UHostSet\":[1]}}", false, true);
    split_is("{\"UHostSet\":0}", 0, "{\"UHostSet\":0}", false, true);
    split_is("{\"UHostSet\":false}", 0, "{\"UHostSet\":false}", false, true);
    split_is("{\"UHostSet\":\"[1]\"}", 0, "{\"UHostSet\":\"[1]\"}", false, true);
    split_is("{\"UHostSet\":[1],\"UHostSet\":[2,3]}", 3, "{\"UHostSet\":[],\"UHostSet\":[]}", true, false);
    split_is("{\"UHostSet\":[1],\"UHostSet\":[2],\"UHostSet\":[3]}", 3,
        "{\"UHostSet\":[],\"UHostSet\":[],\"UHostSet\":[]}", true, false);
    split_is("{\"UHostSet\":0,\"UHostSet\":[1]}", 1, "{\"UHostSet\":0,\"UHostSet\":[]}", true, true);
    split_is("{\"UHostSet\":null,\"UHostS\\u0065t\":[2]}", 1, "{\"UHostSet\":null,\"UHostS\\u0065t\":[]}", true, false);
    split_is("{\"UHostSet\\u0000\":[1]}", 0, "{\"UHostSet\\u0000\":[1]}", false, false);
    split_is("{\"UHostSets\":[1],\"uhostset\":[2]}", 0, "{\"UHostSets\":[1],\"uhostset\":[2]}", false, false);
    split_is("[\"UHostSet\",[1]]", 0, "[\"UHostSet\",[1]]", false, false);
    split_is("[{\"UHostSet\":[1]}]", 0, "[{\"UHostSet\":[1]}]", false, false);
    split_is("{\"a\":{\"UHostSet\":[1]}}", 0, "{\"a\":{\"UHostSet\":[1]}}", false, false);
    split_is("\"UHostSet\"", 0, "\"UHostSet\"", false, false);
    split_is("{\"UHostSet\":[[],{},\"\",true,null,-0,1e5]}", 7, "{\"UHostSet\":[]}", false, false);
    split_is("{\"UHostSet\":[[[1],2],{\"a\":[{}]}]}", 2, "{\"UHostSet\":[]}", false, false);
    {
        static const char *const broken[] = {
            "{\"UHostSet\":[1,]}", "{\"UHostSet\":[1}", "{\"UHostSet\":[1", "{\"UHostSet\":[1]", "{\"UHostSet\":[1]}x",
                "{\"UHostSet\":[01]}",
            "\xEF\xBB{}", "\xEF{}", "\xEF\xBB\xBF\xEF\xBB\xBF{}", "\xEF\xBB\xBF", "\xEF", "", "{\"UHostSet\":[1 2]}"
        };
        size_t i;
        for (i = 0; i < COUNT_OF(broken); i++) {
            compshare__split s;
            guard g = guard_open(512);
            support_case("split %s", broken[i]);
            CHECK(split(&s, broken[i], strlen(broken[i]), &g, 512) != NULL);
            split_forget();
            guard_close(&g);
        }
    }
}

/* ---- exhaustion ---- */

static void no_room_for_tokens(void **state)
{
    static const char text[] = "{\"a\":[1,\"b\",{\"c\":null}],\"d\":true}";
    guard from = guard_open(64), g = guard_open(1024);
    const char *src = (const char *)guard_copy(&from, text, sizeof text - 1);
    compshare__json j;
    size_t room;
    (void)state;
    support_case("tokens");
    CHECK(validate(&j, text, sizeof text - 1) == NULL);
    CHECK_NUMBER(count_tokens(text, sizeof text - 1), 10);
    for (room = 0; room <= 12 * TOKEN; room++) {
        compshare__tokens tree;
        char *at = (char *)guard_tail(&g, room);
        size_t skew = (size_t)(-(uintptr_t)at % sizeof(int));
        support_case("room for tokens: %u bytes", (unsigned)room);
        CHECK(compshare__tokens_parse(&tree, src, sizeof text - 1, at, room) == (room >= skew + 10 * TOKEN));
        CHECK(tree.count == (room >= skew + 10 * TOKEN ? 10u : 0u));
        CHECK(compshare__tokens_parse(&tree, "7", 1, at, room) == (room >= skew + TOKEN));
    }
    {
        compshare__tokens tree;
        char *at = (char *)guard_tail(&g, 16 * TOKEN);
        support_case("sizes beyond 31 bits");
        CHECK(!compshare__tokens_parse(&tree, "7", 1, at + 1, 1));     /* alignment alone takes more */
        CHECK(!compshare__tokens_parse(&tree, src, (size_t)INT32_MAX + 1, at, 16 * TOKEN));
        CHECK(compshare__tokens_parse(&tree, src, sizeof text - 1, at, (size_t)INT32_MAX * TOKEN + 4 * TOKEN));
        CHECK(tree.count == 10);
    }
    guard_close(&from);
    guard_close(&g);
}

static void no_room_for_splitting(void **state)
{
    static const char text[] = "{\"RetCode\":0,\"UHostSet\":[{\"A\":1},22,\"xyz\"],\"TotalCount\":3}";
    static const char kept[] = "{\"RetCode\":0,\"UHostSet\":[],\"TotalCount\":3}";
    static const char *const elements[] = { "{\"A\":1}", "22", "\"xyz\"" };
    guard g = guard_open(256);
    size_t cap, enough = sizeof kept - 1;
    (void)state;
    for (cap = 0; cap <= sizeof text + 8; cap++) {
        compshare__split s;
        size_t i;
        support_case("area of %u bytes", (unsigned)cap);
        CHECK(split(&s, text, sizeof text - 1, &g, cap) == NULL);      /* the validator goes on regardless */
        CHECK(s.full == (cap < enough));
        for (i = 0; i < split_elements.count; i++)
            CHECK(split_elements.len[i] == strlen(elements[i])
                && memcmp(split_elements.text[i], elements[i], split_elements.len[i]) == 0);
        if (!s.full) {
            CHECK_NUMBER(split_elements.count, 3);
            CHECK(s.kept == sizeof kept - 1 && memcmp(s.area, kept, s.kept) == 0);
        }
    }
    split_forget();
    guard_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_cases),
        cmocka_unit_test(grammar),
        cmocka_unit_test(depth),
        cmocka_unit_test(integers),
        cmocka_unit_test(strings),
        cmocka_unit_test(equality),
        cmocka_unit_test(random_documents),
        cmocka_unit_test(roots),
        cmocka_unit_test(splitter_on_data),
        cmocka_unit_test(splitter_on_random),
        cmocka_unit_test(splitter_forms),
        cmocka_unit_test(no_room_for_tokens),
        cmocka_unit_test(no_room_for_splitting)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
