/* Room bytes: bounded text, numbers, times, what may reach a terminal. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include <time.h>
#include "support.h"

static void bounded_text(void **state)
{
    static const char source[] = "abcdefghij";
    guard g = guard_open(64);
    size_t cap, first, second;
    (void)state;
    for (cap = 0; cap <= 24; cap++)
        for (first = 0; first <= 10; first++)
            for (second = 0; second <= 10; second++) {
                char *at = (char *)guard_tail(&g, cap), wanted[32];
                compshare__bytes_text t;
                size_t fits, room = cap > 0 ? cap - 1 : 0;
                support_case("capacity %u, %u and %u bytes", (unsigned)cap, (unsigned)first, (unsigned)second);
                if (cap > 0) memset(at, '!', cap);
                t = compshare__bytes_into(at, cap);
                if (cap > 0) CHECK(at[0] == '\0');
                compshare__bytes_append(&t, source, first);
                compshare__bytes_append(&t, source, second);
                memcpy(wanted, source, first);
                memcpy(wanted + first, source, second);
                fits = first + second < room ? first + second : room;
                CHECK_NUMBER(t.len, fits);
                if (cap > 0) CHECK(memcmp(at, wanted, fits) == 0 && at[fits] == '\0');
            }
    {
        char *at = (char *)guard_tail(&g, 8);
        compshare__bytes_text t = compshare__bytes_into(at, 8);
        support_case("put and int");
        compshare__bytes_put(&t, "");
        CHECK_TEXT(at, "");
        compshare__bytes_put(&t, "ab");
        compshare__bytes_put_int(&t, -12);
        CHECK_TEXT(at, "ab-12");
        compshare__bytes_put_int(&t, 345678);
        CHECK_TEXT(at, "ab-1234");
        compshare__bytes_put(&t, "x");
        CHECK_TEXT(at, "ab-1234");
        t = compshare__bytes_into(at, 2);
        compshare__bytes_put(&t, "\xC3\xA9");
        CHECK_TEXT(at, "");
    }
    guard_close(&g);
}

static void decimal(void **state)
{
    static const struct { int64_t number; const char *text; } cases[] = {
        { 0, "0" }, { 9, "9" }, { 10, "10" }, { -1, "-1" }, { -10, "-10" }, { INT64_MAX, "9223372036854775807" },
        { INT64_MIN, "-9223372036854775808" }, { INT64_MIN + 1, "-9223372036854775807" },
            { INT64_C(1000000000000000000), "1000000000000000000" }
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases) + 2000; i++) {
        char scratch[24], wanted[32];
        int64_t number = i < COUNT_OF(cases) ? cases[i].number : (int64_t)(support_random64() >> support_random(64));
        compshare_view v = compshare__bytes_decimal(scratch, number);
        (void)snprintf(wanted, sizeof wanted, "%lld", (long long)number);
        support_case("%s", wanted);
        if (i < COUNT_OF(cases)) CHECK_TEXT(wanted, cases[i].text);
        CHECK(v.ptr >= scratch && v.ptr + v.len == scratch + sizeof scratch);
        CHECK(v.len == strlen(wanted) && memcmp(v.ptr, wanted, v.len) == 0);
    }
}

static void time_is(int64_t seconds, const char *wanted)
{
    char buf[64];
    compshare__bytes_text t = compshare__bytes_into(buf, sizeof buf);
    support_case("time %lld", (long long)seconds);
    compshare__bytes_put_time(&t, seconds);
    CHECK_TEXT(buf, wanted);
}

static void times(void **state)
{
    int i;
    (void)state;
    time_is(0, "1970-01-01 00:00:00 UTC");
    time_is(-1, "-1");
    time_is(59, "1970-01-01 00:00:59 UTC");
    time_is(31535999, "1970-12-31 23:59:59 UTC");
    time_is(31536000, "1971-01-01 00:00:00 UTC");
    time_is(86399, "1970-01-01 23:59:59 UTC");
    time_is(951782400, "2000-02-29 00:00:00 UTC");
    time_is(951868800, "2000-03-01 00:00:00 UTC");
    time_is(1709164800, "2024-02-29 00:00:00 UTC");
    time_is(1740787199, "2025-02-28 23:59:59 UTC");
    time_is(1740787200, "2025-03-01 00:00:00 UTC");
    time_is(INT64_C(4107542399), "2100-02-28 23:59:59 UTC");
    time_is(INT64_C(4107542400), "2100-03-01 00:00:00 UTC");
    time_is(INT64_C(2147483648), "2038-01-19 03:14:08 UTC");
    time_is(1795442700, "2026-11-23 14:05:00 UTC");
    time_is(INT64_C(253402300799), "9999-12-31 23:59:59 UTC");
    time_is(INT64_C(253402300800), "253402300800");
    time_is(INT64_MAX, "9223372036854775807");
    time_is(INT64_MIN, "-9223372036854775808");
    support_seed(2);
    for (i = 0; i < 2000; i++) {
        uint64_t span = i % 2 == 0 ? UINT64_C(253402300800) : UINT64_C(6000000000);
        int64_t seconds = (int64_t)(support_random64() % span);
        time_t when = (time_t)seconds;
        struct tm tm;
        char wanted[96];
        if (gmtime_r(&when, &tm) == NULL) fail();
        (void)snprintf(wanted, sizeof wanted, "%d-%02d-%02d %02d:%02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
            tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        time_is(seconds, wanted);
    }
}

/* Texts cut anywhere: no capacity is overrun, and the end is a NUL. */
static void cut_times(void **state)
{
    guard g = guard_open(64);
    size_t cap;
    (void)state;
    for (cap = 1; cap <= 24; cap++) {
        char *at = (char *)guard_tail(&g, cap);
        compshare__bytes_text t = compshare__bytes_into(at, cap);
        support_case("time into %u bytes", (unsigned)cap);
        compshare__bytes_put_time(&t, 1795442700);
        CHECK_NUMBER(strlen(at), cap - 1 < 23 ? cap - 1 : 23);
        CHECK(memcmp(at, "2026-11-23 14:05:00 UTC", strlen(at)) == 0);
    }
    guard_close(&g);
}

static bool unsafe(const char *character)
{
    guard g = guard_open(8);
    size_t len = strlen(character);
    bool answer = compshare__bytes_unsafe(guard_copy(&g, character, len), len);
    guard_close(&g);
    support_case("character %02X %02X...", (unsigned char)character[0], len > 1 ? (unsigned char)character[1] : 0);
    return answer;
}

static void terminal_characters(void **state)
{
    static const char *const bad[] = {
        "\x01", "\a", "\b", "\t", "\n", "\r", "\x1B", "\x1F", "\x7F",
        "\xC2\x80", "\xC2\x85", "\xC2\x9B", "\xC2\x9F", "\xD8\x9C",
        "\xE2\x80\x8E", "\xE2\x80\x8F", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAA", "\xE2\x80\xAB", "\xE2\x80\xAC",
            "\xE2\x80\xAD",
        "\xE2\x80\xAE", "\xE2\x81\xA6", "\xE2\x81\xA7", "\xE2\x81\xA8", "\xE2\x81\xA9"
    };
    static const char *const good[] = {
        " ", "A", "~", "\xC2\xA0", "\xC3\xBC", "\xD8\x9B", "\xD8\x9D", "\xD7\x90", "\xE4\xB8\xAD", "\xE6\x96\x87",
            "\xE3\x80\x82", "\xEF\xBC\x81",
        "\xE2\x80\x8D", "\xE2\x80\x90", "\xE2\x80\xA7", "\xE2\x80\xAF", "\xE2\x81\xA5", "\xE2\x81\xAA", "\xEF\xBF\xBD",
            "\xF0\x9F\x98\x80", "\xF0\x9F\x87\xA8"
    };
    static const unsigned char nul[1] = { 0 };
    size_t i;
    unsigned c;
    (void)state;
    for (i = 0; i < COUNT_OF(bad); i++) CHECK(unsafe(bad[i]));
    for (i = 0; i < COUNT_OF(good); i++) CHECK(!unsafe(good[i]));
    support_case("NUL");
    CHECK(compshare__bytes_unsafe(nul, 1));
    for (c = 1; c < 0x80; c++) {
        char one[2] = { (char)c, '\0' };
        CHECK(unsafe(one) == (c < 0x20 || c == 0x7F));
    }
    for (c = 0x80; c < 0x800; c++) {
        char two[3] = { (char)(0xC0 | c >> 6), (char)(0x80 | (c & 0x3F)), '\0' };
        CHECK(unsafe(two) == (c < 0xA0 || c == 0x61C));
    }
}

static void comparison(void **state)
{
    static const char *const texts[] = { "", "A", "A.", "AB", "Aa", "B", "a", "a0", "\x7F", "\x80", "\xC3\xA9", "\xFF",
        "\xFF\x01" };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT_OF(texts); i++)
        for (k = 0; k < COUNT_OF(texts); k++) {
            int order = compshare__bytes_compare(texts[i], texts[k]);
            support_case("texts %u and %u", (unsigned)i, (unsigned)k);
            CHECK((order < 0) == (i < k) && (order == 0) == (i == k));
            CHECK(compshare__bytes_equal(texts[i], texts[k]) == (i == k));
        }
    support_case("the first that is given");
    CHECK_TEXT(compshare__bytes_first("a", "b"), "a");
    CHECK_TEXT(compshare__bytes_first("", "b"), "b");
    CHECK_TEXT(compshare__bytes_first(NULL, "b"), "b");
    CHECK(compshare__bytes_first("", "") == NULL && compshare__bytes_first(NULL, NULL) == NULL);
}

static void digits_and_wiping(void **state)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char area[100];
    unsigned c;
    size_t i;
    (void)state;
    for (c = 0; c < 256; c++) {
        unsigned char lower = (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        const char *at = lower != 0 ? strchr(hex, (int)lower) : NULL;
        support_case("byte %u", c);
        CHECK_NUMBER(compshare__bytes_hex((unsigned char)c), at != NULL ? at - hex : -1);
        CHECK((unsigned char)compshare__bytes_lower((char)c) == lower);
        CHECK(compshare__bytes_digit((int)c) == (c >= '0' && c <= '9'));
        {
            bool label = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
            bool identifier = label || c == '.', unreserved = identifier || c == '~';
            bool token = unreserved || (c != 0 && strchr("!#$%&'*+^`|", (int)c) != NULL);
            CHECK(compshare__bytes_in((unsigned char)c, COMPSHARE__BYTES_LABEL) == label);
            CHECK(compshare__bytes_in((unsigned char)c, COMPSHARE__BYTES_IDENTIFIER) == identifier);
            CHECK(compshare__bytes_in((unsigned char)c, COMPSHARE__BYTES_UNRESERVED) == unreserved);
            CHECK(compshare__bytes_in((unsigned char)c, COMPSHARE__BYTES_TOKEN) == token);
            CHECK(compshare__bytes_in((unsigned char)c, COMPSHARE__BYTES_QUOTED) == (c >= 0x20 && c < 0x80 && c != '"'
                && c != '\\'));
        }
    }
    CHECK(compshare__bytes_all("", 0, COMPSHARE__BYTES_LABEL)
        && compshare__bytes_all("ab c", 2, COMPSHARE__BYTES_LABEL));
    CHECK(!compshare__bytes_all("ab c", 4, COMPSHARE__BYTES_TOKEN)
        && compshare__bytes_run("ab c", 4, COMPSHARE__BYTES_TOKEN) == 2);
    memset(area, 0xAA, sizeof area);
    compshare__bytes_wipe(area + 1, sizeof area - 2);
    for (i = 0; i < sizeof area; i++) CHECK(area[i] == (i == 0 || i == sizeof area - 1 ? 0xAA : 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounded_text),
        cmocka_unit_test(decimal),
        cmocka_unit_test(times),
        cmocka_unit_test(cut_times),
        cmocka_unit_test(terminal_characters),
        cmocka_unit_test(comparison),
        cmocka_unit_test(digits_and_wiping)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
