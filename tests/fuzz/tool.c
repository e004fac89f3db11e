/* What compshare-schedule reads besides the API's replies: durations, times, lists of ids,
   config.json, patterns, the lock file, NO_PROXY; and the strings that it writes as JSON.

   Input: a byte that says which, then the text. Each is held against a second reading,
   written from the manual page alone, against the C library or against jansson. */

#define main tool_main
#define json_string tool_json_string    /* which jansson has, too */
#define json_null tool_json_null
#include "../../examples/tools/compshare-schedule.c"
#undef main
#undef json_string
#undef json_null
#include "fuzz.h"
#include <fnmatch.h>
#include <jansson.h>
#include <sys/mman.h>

static bool digits(const char *s, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        if (s[i] < '0' || s[i] > '9') return false;
    return true;
}

/* What the tool says of an input is of no interest here. */
static FILE *hush(FILE **stream)
{
    FILE *loud = *stream;
    *stream = fopen("/dev/null", "w");
    if (*stream == NULL) exit(2);
    return loud;
}

static void unhush(FILE **stream, FILE *loud)
{
    (void)fclose(*stream);
    *stream = loud;
}

/* ---- durations ---- */

/* By sscanf, which numbers of up to six digits cannot overflow. */
static int64_t duration_by_form(const char *s)
{
    static const char units[] = "dhms";
    static const int64_t worth[] = { 86400, 3600, 60, 1 };
    int64_t total = 0;
    size_t at = 0;
    while (*s != '\0') {
        int number, used = 0;
        size_t zeros = strspn(s, "0");
        const char *unit;
        if (!digits(s, 1)) return 0;
        if (zeros > 0 && !digits(s + zeros, 1)) zeros--;        /* one is the number */
        s += zeros;
        if (sscanf(s, "%7d%n", &number, &used) != 1 || used > 6) return 0;
        s += used;
        unit = *s != '\0' ? strchr(units, *s) : NULL;
        if (unit == NULL || (size_t)(unit - units) < at) return 0;
        at = (size_t)(unit - units) + 1;
        total += number * worth[at - 1];
        s++;
    }
    return total;
}

static void check_duration(const char *text)
{
    int64_t got = -7, again, wanted = duration_by_form(text);
    char back[64];
    bool good = read_duration(text, &got);
    CHECK(good == (wanted > 0));
    if (!good) return;
    CHECK(got == wanted);
    (void)snprintf(back, sizeof back, "%lldd%lldh%lldm%llds", (long long)(got / 86400), (long long)(got / 3600 % 24),
        (long long)(got / 60 % 60), (long long)(got % 60));
    CHECK(got / 86400 >= 1000000 || (read_duration(back, &again) && again == got));
    CHECK(strlen(show_duration(got)) > 2);
}

/* ---- times ---- */

/* An accepted time says which instant it means: ten digits, or an offset at its end. */
static bool has_offset(const char *s)
{
    size_t len = strlen(s);
    const char *end = s + len;
    if (len == 10 && digits(s, len)) return true;
    if (len >= 17 && (end[-1] == 'Z' || end[-1] == 'z')) return true;
    if (len >= 19 && (end[-3] == '+' || end[-3] == '-') && digits(end - 2, 2)) return true;
    if (len >= 21 && (end[-5] == '+' || end[-5] == '-') && digits(end - 4, 4)) return true;
    return len >= 22 && (end[-6] == '+' || end[-6] == '-') && end[-3] == ':' && digits(end - 5, 2)
        && digits(end - 2, 2);
}

/* The same date by timegm, its offset left out. */
static int64_t time_by_library(const char *s)
{
    struct tm t, back;
    time_t seconds;
    int n = 0;
    memset(&t, 0, sizeof t);
    if (sscanf(s, "%4d-%2d-%2d%*c%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min,
        &n) != 5) return -1;
    if (s[n] == ':' && sscanf(s + n + 1, "%2d", &t.tm_sec) != 1) return -1;
    t.tm_year -= 1900;
    t.tm_mon--;
    back = t;
    seconds = timegm(&back);
    return back.tm_mday == t.tm_mday && back.tm_mon == t.tm_mon && back.tm_hour == t.tm_hour && back.tm_min == t.tm_min
        && back.tm_sec == t.tm_sec ? (int64_t)seconds : -1;
}

static void check_time(const char *text)
{
    int64_t got = -7, again, zoned;
    char back[64], with[64];
    int r = read_time(text, &got);
    if (r == TIME_MALFORMED) return;
    if (strlen(text) == 10) {
        CHECK(r == TIME_FINE && digits(text, 10) && got == strtoll(text, NULL, 10));
    } else {
        int64_t plain = time_by_library(text);
        CHECK(plain >= 0 && plain - got <= 14 * 3600 && got - plain <= 14 * 3600 && (plain - got) % 60 == 0);
        CHECK((r == TIME_WITHOUT_OFFSET) == !has_offset(text));
        if (r == TIME_WITHOUT_OFFSET) {
            CHECK(got == plain && (strlen(text) < 20 || strchr(text, '.') != NULL));
            (void)snprintf(with, sizeof with, "%s+08:00", text);
            CHECK(read_time(with, &zoned) == TIME_FINE && zoned == got - 8 * 3600);
        }
    }
    if (r == TIME_FINE) CHECK(has_offset(text));
    if (got < 0) return;        /* 1970-01-01T00:00+08:00 */
    {
        time_t when = (time_t)got;
        struct tm t;
        CHECK(gmtime_r(&when, &t) != NULL);
        if (strftime(back, sizeof back, "%Y-%m-%dT%H:%M:%SZ", &t) == 20) CHECK(read_time(back, &again) == TIME_FINE
            && again == got);
    }
    CHECK(strlen(local_time(got)) >= 10 && strlen(beijing_time(got)) == 11);
}

/* ---- ids ---- */

static bool could_be_id(const char *s, size_t len)
{
    size_t i;
    for (i = 0; i < len; i++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", s[i]) == NULL
            || s[i] == '\0') return false;
    return len > 0 && len <= 63;
}

static bool is_among(char *const *ids, size_t count, const char *s, size_t len)
{
    size_t i;
    for (i = 0; i < count && !fuzz_same(ids[i], strlen(ids[i]), s, len); i++) {}
    return i < count;
}

/* The words of the input are the ids, each once, up to the first that cannot be one. */
static void check_words(const chosen *o, int code, const char *s, size_t len)
{
    size_t at = 0, count = 0;
    while (at < len) {
        size_t end = at;
        while (end < len && (s[end] == '\0' || strchr(" \t\n\v\f\r", s[end]) == NULL)) end++;
        if (end > at) {
            if (!could_be_id(s + at, end - at)) { CHECK(code == USAGE && o->count == count); return; }
            if (!is_among(o->ids, count, s + at, end - at)) {
                CHECK(count < o->count && fuzz_same(o->ids[count], strlen(o->ids[count]), s + at, end - at));
                count++;
            }
        }
        at = end + 1;
    }
    CHECK(code == DONE && o->count == count);
}

static int file_of(const void *src, size_t len)
{
    int fd = memfd_create("input", 0);
    if (fd < 0 || write(fd, src, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0) exit(2);
    return fd;
}

static void check_ids(const char *s, size_t len)
{
    static chosen o;
    int code, fd = file_of(s, len), input = dup(STDIN_FILENO);
    FILE *loud = hush(&stderr);
    memset(&o, 0, sizeof o);
    (void)dup2(fd, STDIN_FILENO);
    code = read_ids(&o);
    if (input >= 0) { (void)dup2(input, STDIN_FILENO); (void)close(input); }
    (void)close(fd);
    unhush(&stderr, loud);
    check_words(&o, code, s, len);
    while (o.count > 0) free(o.ids[--o.count]);
    free(o.ids);
}

/* ---- config.json ---- */

static const char *member(json_t *object, const char *key, size_t cap)
{
    json_t *value = json_object_get(object, key);
    size_t len = json_string_length(value);
    return len > 0 && len < cap && strlen(json_string_value(value)) == len ? json_string_value(value) : NULL;
}

/* Where jansson takes the whole of it, without an escape or a name that stands twice, both
   find the same keys. */
static void check_config(const char *s, size_t len)
{
    static struct settings found;
    size_t named = strnlen(s, len);
    char name[128], *profile = s[0] != '\0' ? fuzz_string(s, named) : NULL;
    const char *json = s + named + 1, *current, *public_key, *private_key;
    json_t *root, *of;
    int wrong;
    if (named == len) { free(profile); return; }
    len -= named + 1;
    memset(&found, 0, sizeof found);
    wrong = read_profile(json, len, profile, name, &found);
    if (wrong == -1) CHECK(found.public_key[0] != '\0' && found.private_key[0] != '\0' && strlen(name) < sizeof name);
    root = memchr(json, '\\', len) == NULL && len < 1000 ? json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    current = member(root, "current_profile", sizeof name);
    of = json_object_get(json_object_get(root, "profiles"), profile != NULL ? profile : current != NULL ? current
        : "default");
    public_key = member(of, "public_key", sizeof found.public_key);
    private_key = member(of, "private_key", sizeof found.private_key);
    if (root != NULL && json_is_object(root) && (profile == NULL || named < sizeof name)) {
        bool unusable = profile == NULL && current == NULL && json_object_get(root, "current_profile") != NULL
            && json_string_length(json_object_get(root, "current_profile")) + !json_is_string(json_object_get(root,
                "current_profile")) > 0;
        CHECK((wrong == -1) == (!unusable && public_key != NULL && private_key != NULL));
        if (wrong == -1) CHECK(strcmp(found.public_key, public_key) == 0
            && strcmp(found.private_key, private_key) == 0);
    }
    json_decref(root);
    free(profile);
}

/* ---- patterns, JSON strings, the lock file, NO_PROXY ---- */

static void check_pattern(const char *s, size_t len)
{
    size_t cut = strnlen(s, len), i;
    char *pattern = fuzz_string(s, cut), *name = cut < len ? fuzz_string(s + cut + 1, len - cut - 1)
        : fuzz_string("", 0);
    bool got = matches(pattern, name), plain = strpbrk(pattern, "[\\") == NULL, got_all = matches("*", name),
        got_self = strpbrk(name, "*?") != NULL || matches(name, name);
    for (i = 0; i < strlen(name); i++) plain = plain && (unsigned char)name[i] < 0x80;
    for (i = 0; i < cut; i++) plain = plain && (unsigned char)pattern[i] < 0x80;
    CHECK(got_all && got_self);
    if (plain && strlen(pattern) < 64) CHECK(got == (fnmatch(pattern, name, 0) == 0));
    free(pattern);
    free(name);
}

static void check_json(const char *text)
{
    char *made = NULL;
    size_t size = 0, len = strlen(text);
    FILE *loud = stdout;
    json_t *whole, *back;
    stdout = open_memstream(&made, &size);
    if (stdout == NULL) exit(2);
    tool_json_string(text);
    (void)fclose(stdout);
    stdout = loud;
    back = json_loadb(made, size, JSON_DECODE_ANY, NULL);
    CHECK(json_is_string(back));
    whole = json_stringn(text, len);        /* NULL: it is no UTF-8 */
    CHECK(whole != NULL ? json_equal(whole, back) : strstr(json_string_value(back), "\xef\xbf\xbd") != NULL);
    json_decref(whole);
    json_decref(back);
    free(made);
}

/* A time that this run has noted is found behind notes, never where none is; a time of
   another minute is not found. */
static void check_lock(const char *s, size_t len)
{
    static lease l;
    static lock k;
    char note_of[32];
    int n = snprintf(note_of, sizeof note_of, "\n%d\n", 1800000123);
    memset(&l, 0, sizeof l);
    k.file = file_of(s, len);
    l.noted = read_times(&k);
    CHECK(!is_ours(&l, 1800000123) || len >= 10);
    (void)is_ours(&l, 0);
    if (ftruncate(k.file, 0) != 0 || pwrite(k.file, note_of, (size_t)n, 0) != n) exit(2);
    l.noted = read_times(&k);
    CHECK(is_ours(&l, 1800000123) && !is_ours(&l, 1800000323));
    (void)close(k.file);
}

static void check_proxy(const char *s, size_t len)
{
    size_t cut = strnlen(s, len);
    char *list = fuzz_string(s, cut), *host = cut < len ? fuzz_string(s + cut + 1, len - cut - 1)
        : fuzz_string("a.b", 3);
    char *all = (char *)fuzz_room(strlen(list) + sizeof ",a.b");
    (void)proxy_excepts(list, host);
    (void)sprintf(all, "%s,a.b", list);
    CHECK(proxy_excepts(all, "a.b") && proxy_excepts("*", host) && !proxy_excepts("", host));
    free(all);
    free(list);
    free(host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text, *bytes;
    size_t len = size - 1;
    if (size < 1) return 0;
    text = fuzz_string(data + 1, len);
    bytes = (char *)fuzz_copy(data + 1, len);
    switch (data[0] % 8) {
    case 0: check_duration(text); break;
    case 1: check_time(text); break;
    case 2: check_ids(bytes, len); break;
    case 3: if (len > 0) check_config(bytes, len); break;
    case 4: check_pattern(bytes, len); break;
    case 5: check_json(text); break;
    case 6: check_lock(bytes, len); break;
    default: check_proxy(bytes, len); break;
    }
    free(bytes);
    free(text);
    return 0;
}
