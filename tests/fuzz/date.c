/* Dates of HTTP, shown times, numbers and bounded text, against the C library.

   Input: eight bytes of a time, a byte of room, then a text.

   The room is laxer than RFC 9110 in the day's name, which it does not compare, and
   reads a two-digit year from 70 on as 19xx, as POSIX does. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE     /* timegm, strptime */
#endif
#include "fuzz.h"
#include <time.h>

/* ---- the three forms, by the C library ---- */

/* Letters, digits and the rest stand where the form has A, 9 and themselves; a '_' is a
   digit or a space. */
static bool has_shape(const char *s, const char *shape)
{
    for (; *shape != '\0'; s++, shape++) {
        bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z'), digit = *s >= '0' && *s <= '9';
        if (*shape == 'A' ? !letter : *shape == '9' ? !digit : *shape == '_' ? !digit && *s != ' '
            : *s != *shape) return false;
    }
    return *s == '\0';
}

/* Seconds of a text of that form, 0 if the calendar does not have it. */
static int64_t by_form(const char *s, const char *form, int century)
{
    static const char months[] = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    struct tm t, back;
    time_t seconds;
    char month[4] = "";
    const char *at;
    int n;
    memset(&t, 0, sizeof t);
    n = form[0] == 'a' ? sscanf(s, "%*3c %3c %d %d:%d:%d %d", month, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec,
        &t.tm_year)
        : form[0] == 'b' ? sscanf(s, ", %d-%3c-%d %d:%d:%d", &t.tm_mday, month, &t.tm_year, &t.tm_hour, &t.tm_min,
            &t.tm_sec)
        : sscanf(s, "%*3c, %d %3c %d %d:%d:%d", &t.tm_mday, month, &t.tm_year, &t.tm_hour, &t.tm_min, &t.tm_sec);
    at = strstr(months, month);
    if (n != 6 || at == NULL || strlen(month) != 3 || (at - months) % 4 != 0) return 0;
    t.tm_mon = (int)(at - months) / 4;
    t.tm_year += century == 0 ? -1900 : t.tm_year < 70 ? 100 : 0;
    if (t.tm_year < 70 || t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60) return 0;
    n = t.tm_mday;
    back = t;
    back.tm_hour = back.tm_min = back.tm_sec = 0;
    seconds = timegm(&back);
    if (n < 1 || back.tm_mday != n) return 0;   /* the month is shorter */
    return (int64_t)seconds + t.tm_hour * 3600 + t.tm_min * 60 + t.tm_sec;
}

static int64_t by_library(const char *s, size_t len)
{
    const char *comma = strchr(s, ',');
    if (strlen(s) != len) return 0;
    if (has_shape(s, "AAA AAA _9 99:99:99 9999")) return by_form(s, "a", 0);
    if (comma == s + 3 && has_shape(comma, ", 99 AAA 9999 99:99:99 GMT")
        && has_shape(s, "AAA, 99 AAA 9999 99:99:99 GMT")) return by_form(s, "c", 0);
    if (comma >= s + 6 && comma <= s + 9 && has_shape(comma, ", 99-AAA-99 99:99:99 GMT")) return by_form(comma, "b",
        19);
    return 0;
}

static int64_t ours(const char *s)
{
    compshare_view v;
    int64_t t;
    v.len = strlen(s);
    v.ptr = (char *)fuzz_copy(s, v.len);
    t = compshare__http_date(v);
    free((void *)(uintptr_t)v.ptr);
    return t;
}

/* A time in all three forms comes back. */
static void check_forms(int64_t seconds)
{
    time_t when = (time_t)seconds;
    struct tm t;
    char text[64];
    CHECK(gmtime_r(&when, &t) != NULL);
    (void)strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &t);
    CHECK(ours(text) == seconds);
    (void)strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &t);
    CHECK(ours(text) == seconds);
    if (t.tm_year >= 170) return;
    (void)strftime(text, sizeof text, "%A, %d-%b-%y %H:%M:%S GMT", &t);
    CHECK(ours(text) == seconds);
}

/* ---- shown times and numbers ---- */

static void check_shown(int64_t seconds)
{
    char text[64], wanted[64];
    time_t when = (time_t)seconds;
    struct tm t;
    compshare__bytes_text out = compshare__bytes_into(text, sizeof text);
    compshare__bytes_put_time(&out, seconds);
    if (seconds < 0 || seconds > INT64_C(253402300799)) {
        (void)snprintf(wanted, sizeof wanted, "%lld", (long long)seconds);
    } else {
        CHECK(gmtime_r(&when, &t) != NULL);
        (void)strftime(wanted, sizeof wanted, "%Y-%m-%d %H:%M:%S UTC", &t);
    }
    CHECK(strcmp(text, wanted) == 0 && out.len == strlen(text));
}

static void check_numbers(const char *text, size_t len)
{
    compshare_view v;
    int64_t got = 77;
    char back[32];
    long long n = strtoll(text, NULL, 10);
    bool canonical;
    (void)snprintf(back, sizeof back, "%lld", n);
    canonical = len > 0 && fuzz_same(text, len, back, strlen(back));
    v.ptr = (char *)fuzz_copy(text, len);
    v.len = len;
    CHECK(compshare__bytes_int(v, &got) == canonical && got == (canonical ? n : 77));
    free((void *)(uintptr_t)v.ptr);
}

/* ---- bounded text ---- */

/* All of it where it fits; where not, ASCII is cut at the last byte, and what is not
   may be cut up to three bytes before. */
static void check_form(const char *words, int64_t number, size_t cap)
{
    char *all, *room = (char *)fuzz_room(cap);
    compshare__bytes_text t = compshare__bytes_into(room, cap);
    size_t size = strlen(words) * 2 + 128, len;
    bool ascii = true;
    const char *w;
    for (w = words; *w != '\0'; w++) ascii = ascii && (unsigned char)*w < 0x80;
    all = (char *)fuzz_room(size);
    (void)snprintf(all, size, "<%s>%d-%lld=%s", words, (int)number, (long long)number, words);
    compshare__bytes_form(&t, "<%s>%d-%l=%s", words, (int)number, number, words);
    len = strlen(all);
    if (cap > 0) CHECK(t.len < cap && room[t.len] == '\0');
    if (cap > len) CHECK(t.len == len && strcmp(room, all) == 0);
    else if (cap > 0 && ascii) CHECK(t.len == cap - 1 && memcmp(room, all, t.len) == 0);
    free(all);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t bits = 0;
    int64_t in_range;
    char *text;
    size_t i, len = size - 9;
    if (size < 9) return 0;
    for (i = 0; i < 8; i++) bits = bits << 8 | data[i];
    in_range = (int64_t)(bits % UINT64_C(253402300800));
    check_forms(in_range);
    check_shown(in_range);
    check_shown((int64_t)bits);
    text = fuzz_string(data + 9, len);
    if (strlen(text) == len) CHECK(ours(text) == by_library(text, len));
    check_numbers(text, len);
    check_form(text, (int64_t)bits, data[8]);
    free(text);
    return 0;
}
