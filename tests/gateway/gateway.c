/*
 * gateway.c - a loopback CompShare API server for tests
 *
 * HTTP is libmicrohttpd's, TLS and SHA-1 are GnuTLS's, request JSON is
 * Jansson's: nothing here is shared with the client under test.  README.md
 * lists the options, the control endpoint and the limits.
 *
 * Reading order: text, clock, fleet, options, parameters, signature, reply
 * fields, actions, judgement, TLS, timers, API endpoint, control endpoint,
 * start and stop.
 *
 * Threads: one per listener (MHD's own), one for timers, and main, which only
 * waits for a signal.  Everything in `g` is guarded by g.lock.
 */
#define _GNU_SOURCE

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <microhttpd.h>

enum {
    OK = 0,
    ACTION_MISSING = 160,
    ACTION_UNKNOWN = 161,
    SIGNATURE_MISSING = 170,
    SIGNATURE_WRONG = 171,
    USER_UNKNOWN = 172,
    TOKEN_WRONG = 174,
    PARAM_MISSING = 210,
    PARAM_RANGE = 220,
    PARAM_CONFLICT = 230,
    PARAM_FORMAT = 280,
    PROJECT_UNKNOWN = 292,
    INSTANCE_UNKNOWN = 8039,
    INSTANCE_BUSY = 8903,
    STATE_WRONG = 8905
};

#define DEFAULT_ZONE "cn-wlcb-01"
#define DEFAULT_PROJECT "org-default"
#define STOP_TIME_FLOOR 300
#define LAST_SECOND INT64_C(253402300799) /* the end of year 9999, which gmtime_r and the Date header bear */
#define FLEET_MAX 100000
#define STATS_INSTANCES_MAX 2000
#define BODY_MAX ((size_t)64 << 20)
#define EXTRA_ACTIONS_MAX 256
#define TALLIES_MAX 512
#define SESSIONS_MAX 1024

#define PRINTF_LIKE(at, first) __attribute__((format(printf, at, first)))

struct text {
    char *data;
    size_t len, cap;
};

struct param {
    char *name, *value;
    size_t name_len, value_len;
};

struct param_list {
    struct param *items;
    size_t count, cap;
};

enum schedule_none { NONE_ZERO, NONE_ABSENT, NONE_NULL, NONE_EMPTY };
enum total_name { TOTAL_COUNT, TOTAL, TOTAL_ABSENT };

/* Every number is int64_t so that one table can set them all. */
struct options {
    int64_t retcode_string, reply_retcode, chunked, pad_reply, no_date, date_form;
    int64_t close_every, drop_idle, idle_timeout, delay_ms;
    int64_t fail_next, fail_code, fail_http, drop_before, drop_after, truncate;
    int64_t visibility_delay, clock_offset;
    int64_t projects, default_project, no_default;
    int64_t describe_region, null_lists, schedule_as_string, schedule_none, schedule_field;
    int64_t newest_first, brief, ignore_offset, total_name, total_extra;
    int64_t session_cache, record_cap;
    char fail_message[512], drop_action[64], scheduler_param[64];
    char extra_actions[EXTRA_ACTIONS_MAX][64];
    size_t extra_action_count;
};

struct instance {
    char name[128], state[32], charge[32], zone[32];
    int64_t schedule;      /* 0: none */
    int64_t shown;         /* what Describe answers until visible_at */
    int64_t visible_at;
    unsigned reboots;
    bool busy;
    bool gone;             /* keeps its place for when it is restored */
};

struct tally {
    char action[64];
    uint64_t requests, executed;
};

struct counters {
    uint64_t connections, handshakes_full, handshakes_resumed, requests;
    struct tally tallies[TALLIES_MAX];
    size_t tally_count;
};

/* The last API request, kept raw; /stats turns it into JSON. */
struct record {
    struct text action, content_type, body;
    struct param_list params, headers;
};

/* One accepted connection of the API listener. */
struct link {
    struct link *prev, *next;
    struct MHD_Connection *connection;
    int fd;
    int64_t replies;
    int64_t resume_at, drop_at; /* monotonic milliseconds, 0: not planned */
};

struct cached_session {
    gnutls_datum_t id, data;
};

struct setup {
    const char *cert_file, *key_file, *port_file;
    const char *public_key, *private_key, *token;
    bool plain, verbose;
    uint16_t port;
    int64_t clock, instances; /* clock -1: real time */
    char **replay;            /* the --option arguments, in order */
    size_t replay_count;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    struct setup setup;
    struct options options;
    int64_t clock_ms, clock_mark; /* fake time at a monotonic time */
    struct instance *fleet;
    size_t fleet_size;
    struct counters counters;
    struct record last;
    struct link *links;
    struct cached_session sessions[SESSIONS_MAX];
    size_t next_session;
} g;

/* ---- text ---------------------------------------------------------------- */

enum { EXIT_BROKEN = 1, EXIT_USAGE = 2 };

PRINTF_LIKE(2, 3) static void die(int status, const char *format, ...)
{
    va_list args;

    fputs("gateway: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(status);
}

static void *reallocate(void *old, size_t size)
{
    void *fresh = realloc(old, size);

    if (fresh == NULL)
        die(EXIT_BROKEN, "out of memory");
    return fresh;
}

/* Leaves a NUL behind the last byte and room for `more` bytes before it. */
static void text_reserve(struct text *text, size_t more)
{
    if (text->cap - text->len <= more) {
        text->cap = (text->len + more + 1) * 2;
        text->data = reallocate(text->data, text->cap);
    }
    text->data[text->len] = '\0';
}

static void text_add(struct text *text, const void *bytes, size_t len)
{
    text_reserve(text, len);
    if (len > 0)
        memcpy(text->data + text->len, bytes, len);
    text->len += len;
    text->data[text->len] = '\0';
}

static void text_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

PRINTF_LIKE(2, 3) static void text_printf(struct text *text, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        die(EXIT_BROKEN, "cannot format");
    text_reserve(text, (size_t)len);
    va_start(args, format);
    vsnprintf(text->data + text->len, (size_t)len + 1, format, args);
    va_end(args);
    text->len += (size_t)len;
}

static void text_free(struct text *text)
{
    free(text->data);
    memset(text, 0, sizeof *text);
}

static char *copy_bytes(const char *bytes, size_t len)
{
    char *copy = reallocate(NULL, len + 1);

    if (len > 0)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

/* JSON holds Unicode only; what a broken client sent otherwise is shown with '?'. */
static json_t *json_of_bytes(const char *bytes, size_t len)
{
    json_t *string = json_stringn(bytes, len);
    char *copy;

    if (string != NULL) return string;
    copy = copy_bytes(bytes, len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)copy[i] >= 0x80)
            copy[i] = '?';
    string = json_stringn_nocheck(copy, len);
    free(copy);
    return string;
}

static void text_json(struct text *text, const char *string)
{
    json_t *json = json_of_bytes(string, strlen(string));
    char *quoted = json_dumps(json, JSON_ENCODE_ANY);

    if (quoted == NULL)
        die(EXIT_BROKEN, "out of memory");
    text_string(text, quoted);
    free(quoted);
    json_decref(json);
}

static bool parse_integer(const char *string, int64_t *value)
{
    const char *digits = string + (*string == '-');
    char *end;

    if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits)) return false;
    errno = 0;
    *value = strtoll(string, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool copy_string(char *to, size_t size, const char *from)
{
    size_t len = strlen(from);

    if (len >= size) return false;
    memcpy(to, from, len + 1);
    return true;
}

/* ---- clock --------------------------------------------------------------- */

static int64_t clock_milliseconds(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t monotonic_ms(void)
{
    return clock_milliseconds(CLOCK_MONOTONIC);
}

static void clock_set(int64_t milliseconds)
{
    int64_t limit = LAST_SECOND * 1000;

    g.clock_ms = milliseconds < -limit ? -limit : milliseconds > limit ? limit : milliseconds;
    g.clock_mark = monotonic_ms();
}

static int64_t fake_ms(void)
{
    return g.clock_ms + monotonic_ms() - g.clock_mark;
}

/* The one clock that judges requests and dates replies. */
static int64_t server_now(void)
{
    int64_t now = fake_ms() / 1000 + g.options.clock_offset;

    return now < 0 ? 0 : now > LAST_SECOND ? LAST_SECOND : now;
}

static void format_date(char *date, size_t size)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"
    };
    time_t now = (time_t)server_now();
    struct tm parts;

    gmtime_r(&now, &parts);
    if (strftime(date, size, forms[g.options.date_form], &parts) == 0)
        date[0] = '\0';
}

/* ---- fleet --------------------------------------------------------------- */

static void fleet_create(size_t count)
{
    g.fleet = reallocate(g.fleet, (count + 1) * sizeof *g.fleet);
    memset(g.fleet, 0, (count + 1) * sizeof *g.fleet);
    g.fleet_size = count;
    for (size_t i = 0; i < count; i++) {
        struct instance *it = &g.fleet[i];

        snprintf(it->name, sizeof it->name, "训练机-%04zu 🚀", i + 1);
        copy_string(it->state, sizeof it->state, i == 1 ? "Stopped" : "Running");
        copy_string(it->charge, sizeof it->charge, i == 2 ? "Spot" : "Postpay");
        copy_string(it->zone, sizeof it->zone, DEFAULT_ZONE);
    }
}

static size_t instance_number(const struct instance *it)
{
    return (size_t)(it - g.fleet) + 1;
}

static void instance_id(const struct instance *it, char id[32])
{
    snprintf(id, 32, "uhost-%04zu", instance_number(it));
}

static struct instance *instance_find(const char *id)
{
    char canonical[32];
    int64_t number;

    if (strncmp(id, "uhost-", 6) != 0 || !parse_integer(id + 6, &number)) return NULL;
    if (number < 1 || (uint64_t)number > g.fleet_size) return NULL;
    if (g.fleet[number - 1].gone) return NULL;
    instance_id(&g.fleet[number - 1], canonical);
    return strcmp(id, canonical) == 0 ? &g.fleet[number - 1] : NULL;
}

static size_t fleet_present(void)
{
    size_t present = 0;

    for (size_t i = 0; i < g.fleet_size; i++)
        present += !g.fleet[i].gone;
    return present;
}

/* Numbers and ranges, "1-50,77": all are there afterwards, or all are gone. */
static bool fleet_change(const char *numbers, bool gone)
{
    char *end;

    do {
        unsigned long long first = strtoull(numbers, &end, 10), last = first;

        if (*end == '-')
            last = strtoull(end + 1, &end, 10);
        if ((*end != ',' && *end != '\0') || first < 1 || last < first || last > g.fleet_size) return false;
        for (; first <= last; first++)
            g.fleet[first - 1].gone = gone;
        numbers = end + 1;
    } while (*end != '\0');
    return true;
}

static void region_of(const char *zone, char region[32])
{
    const char *dash = strrchr(zone, '-');
    size_t len = dash != NULL ? (size_t)(dash - zone) : strlen(zone);

    snprintf(region, 32, "%.*s", (int)(len < 32 ? len : 31), zone);
}

static int64_t schedule_visible(const struct instance *it, int64_t now)
{
    return now >= it->visible_at ? it->schedule : it->shown;
}

static void schedule_change(struct instance *it, int64_t time, int64_t now)
{
    it->shown = schedule_visible(it, now);
    it->schedule = time;
    it->visible_at = now + g.options.visibility_delay;
}

static void schedules_fire(int64_t now)
{
    for (size_t i = 0; i < g.fleet_size; i++) {
        struct instance *it = &g.fleet[i];

        if (it->schedule == 0 || it->schedule > now) continue;
        it->schedule = it->shown = it->visible_at = 0;
        if (strcmp(it->state, "Running") == 0)
            copy_string(it->state, sizeof it->state, "Stopped");
    }
}

/* ---- options ------------------------------------------------------------- */

enum kind { NUMBER, NUMBER_OR_OFF, CHOICE, TEXT }; /* NUMBER_OR_OFF takes 0 too, below its range */

struct rule {
    const char *name;
    size_t offset;
    enum kind kind;
    int64_t min, max;    /* of a text: its size */
    const char *choices; /* "a|b|c" are 0, 1, 2 */
};

#define AT(field) offsetof(struct options, field)
#define NUMBER_RULE(field, min, max) { #field, AT(field), NUMBER, min, max, NULL }
#define OFF_OR_RULE(field, min, max) { #field, AT(field), NUMBER_OR_OFF, min, max, NULL }
#define TEXT_RULE(field) { #field, AT(field), TEXT, 0, sizeof ((struct options *)0)->field, NULL }

static const struct rule rules[] = {
    NUMBER_RULE(retcode_string, 0, 1),
    NUMBER_RULE(reply_retcode, INT32_MIN, INT32_MAX),
    NUMBER_RULE(chunked, 0, 1),
    NUMBER_RULE(pad_reply, 0, 16 << 20),
    NUMBER_RULE(no_date, 0, 1),
    NUMBER_RULE(close_every, 0, INT32_MAX),
    NUMBER_RULE(drop_idle, 0, 600000),
    NUMBER_RULE(idle_timeout, 0, 3600),
    NUMBER_RULE(delay_ms, 0, 600000),
    NUMBER_RULE(fail_next, 0, INT32_MAX),
    NUMBER_RULE(fail_code, INT32_MIN, INT32_MAX),
    OFF_OR_RULE(fail_http, 200, 599),
    NUMBER_RULE(drop_before, 0, INT32_MAX),
    NUMBER_RULE(drop_after, 0, INT32_MAX),
    NUMBER_RULE(truncate, 0, INT32_MAX),
    NUMBER_RULE(visibility_delay, 0, INT32_MAX),
    NUMBER_RULE(clock_offset, -LAST_SECOND, LAST_SECOND),
    NUMBER_RULE(projects, 1, 50),
    NUMBER_RULE(default_project, 0, 49),
    NUMBER_RULE(no_default, 0, 1),
    NUMBER_RULE(describe_region, 0, 1),
    NUMBER_RULE(null_lists, 0, 1),
    NUMBER_RULE(brief, 0, 1),
    NUMBER_RULE(ignore_offset, 0, 1),
    NUMBER_RULE(total_extra, 0, INT32_MAX),
    NUMBER_RULE(session_cache, 0, 1),
    OFF_OR_RULE(record_cap, 512, 16384),
    TEXT_RULE(fail_message),
    TEXT_RULE(drop_action),
    TEXT_RULE(scheduler_param),
    { "extra_date_form", AT(date_form), CHOICE, 0, 2, "imf|rfc850|asctime" },
    { "schedule_field", AT(schedule_field), CHOICE, 0, 1, "SchedulerStopTime|StopSchedulerTime" },
    { "order", AT(newest_first), CHOICE, 0, 1, "oldest_first|newest_first" },
    { "total_name", AT(total_name), CHOICE, 0, TOTAL_ABSENT, "TotalCount|Total|absent" }
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void options_default(struct options *options)
{
    memset(options, 0, sizeof *options);
    options->fail_code = 150;
    options->projects = 2;
    options->default_project = 1;
    options->session_cache = 1;
    copy_string(options->scheduler_param, sizeof options->scheduler_param, "SchedulerStopTime");
}

/* The place of a word in "a|b|c", -1 if it is not there. */
static int64_t word_index(const char *words, const char *word, size_t len)
{
    int64_t index;

    for (index = 0; ; index++, words++) {
        size_t here = strcspn(words, "|");

        if (here == len && memcmp(words, word, len) == 0) return index;
        words += here;
        if (*words == '\0') return -1;
    }
}

enum verdict { NOT_MINE, TAKEN, BAD };

static enum verdict set_by_rule(const struct rule *rule, const char *value)
{
    char *field = (char *)&g.options + rule->offset;
    int64_t number;

    if (rule->kind == TEXT) return copy_string(field, (size_t)rule->max, value) ? TAKEN : BAD;
    if (rule->kind == CHOICE)
        number = word_index(rule->choices, value, strlen(value));
    else if (!parse_integer(value, &number))
        return BAD;
    if ((number < rule->min || number > rule->max) && (number != 0 || rule->kind != NUMBER_OR_OFF))
        return BAD;
    memcpy(field, &number, sizeof number);
    return TAKEN;
}

static enum verdict set_plain(const char *name, const char *value)
{
    for (size_t i = 0; i < COUNT(rules); i++)
        if (strcmp(name, rules[i].name) == 0)
            return set_by_rule(&rules[i], value);
    return NOT_MINE;
}

/* Words joined by commas; what no word names returns to int and zero_when_none. */
static enum verdict set_schedule_type(const char *name, const char *value)
{
    static const char when_none[] = "zero_when_none|absent_when_none|null_when_none|empty_when_none";
    int64_t as_string = 0, none = NONE_ZERO, index;

    if (strcmp(name, "schedule_type") != 0) return NOT_MINE;
    for (;;) {
        size_t len = strcspn(value, ",");

        if ((index = word_index("int|string", value, len)) >= 0)
            as_string = index;
        else if ((index = word_index(when_none, value, len)) >= 0)
            none = index;
        else
            return BAD;
        if (value[len] == '\0') break;
        value += len + 1;
    }
    g.options.schedule_as_string = as_string;
    g.options.schedule_none = none;
    return TAKEN;
}

static enum verdict set_extra_action(const char *name, const char *value)
{
    struct options *options = &g.options;
    size_t next = options->extra_action_count;

    if (strcmp(name, "extra_action") != 0) return NOT_MINE;
    if (*value == '\0' || next == EXTRA_ACTIONS_MAX ||
        !copy_string(options->extra_actions[next], sizeof options->extra_actions[next], value))
        return BAD;
    options->extra_action_count++;
    return TAKEN;
}

static enum verdict set_clock_or_fleet(const char *name, const char *value)
{
    int64_t which = word_index("clock|advance|instances", name, strlen(name)), number;

    if (which < 0) return NOT_MINE;
    if (!parse_integer(value, &number) || number < (which == 1 ? -LAST_SECOND : 0) ||
        number > (which == 2 ? FLEET_MAX : LAST_SECOND))
        return BAD;
    if (which == 2)
        fleet_create((size_t)number);
    else
        clock_set(number * 1000 + (which == 1 ? fake_ms() : 0));
    return TAKEN;
}

static enum verdict set_presence(const char *name, const char *value)
{
    int64_t which = word_index("restore|remove", name, strlen(name));

    if (which < 0) return NOT_MINE;
    return fleet_change(value, which == 1) ? TAKEN : BAD;
}

static bool change_instance(struct instance *it, int64_t what, const char *value)
{
    int64_t number;

    switch (what) {
    case 0: return copy_string(it->state, sizeof it->state, value);
    case 1: return copy_string(it->charge, sizeof it->charge, value);
    case 2: return copy_string(it->zone, sizeof it->zone, value);
    case 3: return copy_string(it->name, sizeof it->name, value);
    default: break;
    }
    if (!parse_integer(value, &number) || number < 0 || number > (what == 4 ? 1 : LAST_SECOND))
        return false;
    if (what == 4) {
        it->busy = number != 0;
    } else {
        it->schedule = it->shown = number;
        it->visible_at = 0;
    }
    return true;
}

static enum verdict set_instance(const char *name, const char *value)
{
    size_t len = strcspn(name, ".");
    int64_t what = word_index("state|charge|zone|name|busy|schedule", name, len);
    struct instance *it;

    if (name[len] != '.' || what < 0) return NOT_MINE;
    it = instance_find(name + len + 1);
    return it != NULL && change_instance(it, what, value) ? TAKEN : BAD;
}

static bool option_set(const char *name, const char *value, char *why, size_t size)
{
    static enum verdict (*const setters[])(const char *, const char *) = {
        set_plain, set_schedule_type, set_extra_action, set_clock_or_fleet, set_presence, set_instance
    };
    enum verdict verdict = NOT_MINE;

    for (size_t i = 0; i < COUNT(setters) && verdict == NOT_MINE; i++)
        verdict = setters[i](name, value);
    if (verdict != TAKEN)
        snprintf(why, size, verdict == BAD ? "bad value for option \"%.100s\"" : "unknown option \"%.100s\"", name);
    return verdict == TAKEN;
}

/* ---- parameters ---------------------------------------------------------- */

static void params_add(struct param_list *params, const char *name, size_t name_len, const char *value,
                       size_t value_len)
{
    struct param *item;

    if (params->count == params->cap) {
        params->cap = params->cap * 2 + 16;
        params->items = reallocate(params->items, params->cap * sizeof *params->items);
    }
    item = &params->items[params->count++];
    item->name = copy_bytes(name, name_len);
    item->name_len = name_len;
    item->value = copy_bytes(value, value_len);
    item->value_len = value_len;
}

static void params_free(struct param_list *params)
{
    for (size_t i = 0; i < params->count; i++) {
        free(params->items[i].name);
        free(params->items[i].value);
    }
    free(params->items);
    memset(params, 0, sizeof *params);
}

static int compare_names(const void *left, const void *right)
{
    const struct param *a = left, *b = right;
    int order = memcmp(a->name, b->name, a->name_len < b->name_len ? a->name_len : b->name_len);

    return order != 0 ? order : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static const struct param *params_find(const struct param_list *params, const char *name)
{
    for (size_t i = 0; i < params->count; i++)
        if (strcmp(params->items[i].name, name) == 0)
            return &params->items[i];
    return NULL;
}

/* A missing, an empty and a NUL-cut parameter are one: NULL. */
static const char *param_value(const struct param_list *params, const char *name)
{
    const struct param *item = params_find(params, name);

    if (item == NULL || item->value_len == 0 || strlen(item->value) != item->value_len) return NULL;
    return item->value;
}

static bool form_decode(const char *from, size_t len, struct text *to)
{
    to->len = 0;
    text_reserve(to, len);
    for (size_t i = 0; i < len; i++) {
        char byte = from[i];

        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            char hex[3] = { 0 };

            if (len - i < 3 || !isxdigit((unsigned char)from[i + 1]) || !isxdigit((unsigned char)from[i + 2]))
                return false;
            memcpy(hex, from + i + 1, 2);
            byte = (char)strtol(hex, NULL, 16);
            i += 2;
        }
        text_add(to, &byte, 1);
    }
    return true;
}

static int parse_form(const struct text *body, struct param_list *params)
{
    struct text name = { 0 }, value = { 0 };
    const char *at = body->data, *end = at + body->len;
    int code = OK;

    while (at < end && code == OK) {
        const char *stop = memchr(at, '&', (size_t)(end - at)), *equals;

        if (stop == NULL)
            stop = end;
        equals = memchr(at, '=', (size_t)(stop - at));
        if (equals == NULL || equals == at || stop + 1 == end ||
            !form_decode(at, (size_t)(equals - at), &name) ||
            !form_decode(equals + 1, (size_t)(stop - equals - 1), &value))
            code = PARAM_FORMAT;
        else
            params_add(params, name.data, name.len, value.data, value.len);
        at = stop + 1;
    }
    text_free(&name);
    text_free(&value);
    return code;
}

/* The shortest plain decimal that reads back as the same double: 1.0 is 1, 1e3 is 1000. */
static void format_real(double real, char *text, size_t size)
{
    int digits;

    for (digits = 0; digits < 400; digits++) {
        int len = snprintf(text, size, "%.*f", digits, real);

        if (len < 0 || (size_t)len >= size || strtod(text, NULL) == real) return;
    }
}

static void flatten(const json_t *value, struct text *path, struct param_list *params);

static void flatten_member(const char *name, const json_t *value, struct text *path, struct param_list *params)
{
    size_t len = path->len;

    text_printf(path, "%s%s", len > 0 ? "." : "", name);
    flatten(value, path, params);
    path->len = len;
}

static void flatten(const json_t *value, struct text *path, struct param_list *params)
{
    char number[800];
    const char *name;
    json_t *item;
    size_t i;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        json_object_foreach((json_t *)(uintptr_t)value, name, item)
            flatten_member(name, item, path, params);
        return;
    case JSON_ARRAY:
        json_array_foreach(value, i, item) {
            snprintf(number, sizeof number, "%zu", i);
            flatten_member(number, item, path, params);
        }
        return;
    case JSON_STRING:
        params_add(params, path->data, path->len, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        format_real(json_real_value(value), number, sizeof number);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(number, sizeof number, "%s", json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
    default:
        return;
    }
    params_add(params, path->data, path->len, number, strlen(number));
}

static int parse_json(const struct text *body, struct param_list *params)
{
    struct text path = { 0 };
    json_error_t error;
    json_t *root = json_loadb(body->data, body->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

    if (root == NULL)
        return json_error_code(&error) == json_error_duplicate_key ? PARAM_CONFLICT : PARAM_FORMAT;
    text_reserve(&path, 0);
    if (json_is_object(root))
        flatten(root, &path, params);
    json_decref(root);
    text_free(&path);
    return params->count > 0 ? OK : PARAM_FORMAT;
}

/* Sorts by name in byte order, which is the order the signature wants. */
static int parse_params(const struct text *body, bool json, struct param_list *params)
{
    int code = json ? parse_json(body, params) : parse_form(body, params);

    if (params->count > 0)
        qsort(params->items, params->count, sizeof *params->items, compare_names);
    for (size_t i = 1; i < params->count && code == OK; i++)
        if (compare_names(&params->items[i - 1], &params->items[i]) == 0)
            code = PARAM_CONFLICT;
    return code;
}

/* ---- signature ----------------------------------------------------------- */

static void sign(const struct param_list *params, const char *private_key, char hex[41])
{
    struct text preimage = { 0 };
    unsigned char digest[20];

    for (size_t i = 0; i < params->count; i++) {
        const struct param *item = &params->items[i];

        if (strcmp(item->name, "Signature") == 0 && item->name_len == 9) continue;
        text_add(&preimage, item->name, item->name_len);
        text_add(&preimage, item->value, item->value_len);
    }
    text_string(&preimage, private_key);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA1, preimage.data, preimage.len, digest) != 0)
        die(EXIT_BROKEN, "SHA-1 is not available");
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned)digest[i]);
    text_free(&preimage);
}

/* ---- reply fields -------------------------------------------------------- */

struct call {
    const struct param_list *params;
    int64_t now;
    struct text fields;  /* the members behind RetCode, each with its leading comma */
    const char *csv;     /* this instead of JSON */
    char message[512];
};

static void field_schedule(struct text *out, int64_t time)
{
    static const char *const names[] = { "SchedulerStopTime", "StopSchedulerTime" };
    const char *name = names[g.options.schedule_field];
    const char *quote = g.options.schedule_as_string ? "\"" : "";

    if (time != 0 || g.options.schedule_none == NONE_ZERO)
        text_printf(out, ",\"%s\":%s%" PRId64 "%s", name, quote, time, quote);
    else if (g.options.schedule_none != NONE_ABSENT)
        text_printf(out, ",\"%s\":%s", name, g.options.schedule_none == NONE_NULL ? "null" : "\"\"");
}

static void fields_identity(struct text *out, const struct instance *it)
{
    char id[32], region[32];

    instance_id(it, id);
    region_of(it->zone, region);
    text_string(out, "{\"Zone\":");
    text_json(out, it->zone);
    if (g.options.describe_region) {
        text_string(out, ",\"Region\":");
        text_json(out, region);
    }
    text_printf(out, ",\"UHostId\":\"%s\",\"Name\":", id);
    text_json(out, it->name);
    text_string(out, ",\"Tag\":\"Default\",\"Remark\":\"\\u7528\\u4e8e\\u8bad\\u7ec3 \\ud83d\\udd25 大模型微调\","
                "\"State\":");
    text_json(out, it->state);
    text_string(out, ",\"ChargeType\":");
    text_json(out, it->charge);
    text_printf(out, ",\"UUID\":\"5d0c2f8e-7b1a-4c3d-9e6f-%012zu\",\"InstanceType\":\"UHost\",\"IsPod\":false,"
                "\"PodId\":null,\"HostIp\":\"\",\"SetId\":0", instance_number(it));
}

static void fields_hardware_and_image(struct text *out)
{
    text_string(out,
        ",\"MachineType\":\"G\",\"GpuType\":\"4090\",\"GPU\":1,\"CPU\":16,\"Memory\":\"65536\","
        "\"GraphicsMemory\":{\"Rate\":4,\"Value\":24},\"CpuArch\":\"x86_64\",\"CpuPlatform\":\"Amd/Auto\","
        "\"HugepageCfg\":null,\"QemuVersion\":\"\",\"QemuFullVersion\":null,\"HotplugFeature\":false,"
        "\"WithoutGpuSpec\":{\"Cpu\":2,\"Gpu\":0,\"Memory\":4096},\"SupportWithoutGpuStart\":true,"
        "\"MonitorMessages\":{\"CpuUsageRate\":\"3.2\",\"GpuInfo\":null,\"MemUsageRate\":\"11.05\"},"
        "\"CompShareImageId\":\"compshareImage-1nzqq8qj3yhw\","
        "\"CompShareImageName\":\"PyTorch 2.3.0 + Python 3.12 (CUDA 12.1, cuDNN 8.9) \\/ 平台公共镜像\","
        "\"CompShareImageType\":\"System\",\"CompShareImageOwnerAlias\":\"Official\","
        "\"CompShareImageStatus\":\"Available\",\"CompShareImagePrice\":0,\"CompShareImageBillId\":\"\","
        "\"OsName\":\"Ubuntu 22.04 64位\",\"OsType\":\"Linux\",\"BootDiskState\":\"Normal\","
        "\"ImageId\":\"uimage-pb3e0f2xq1\"");
}

static void fields_network(struct text *out, size_t number)
{
    size_t high = number >> 8 & 255, low = number & 255;

    text_printf(out,
        ",\"IPSet\":[{\"Default\":\"true\",\"IP\":\"10.60.%zu.%zu\",\"IPMode\":\"IPv4\","
        "\"Mac\":\"52:54:00:%02zX:%02zX:01\",\"SubnetId\":\"subnet-5kd2w0rq\",\"Type\":\"Private\","
        "\"VPCId\":\"uvnet-ov0oe2yd\",\"Weight\":0},"
        "{\"Bandwidth\":300,\"IP\":\"198.51.100.%zu\",\"IPId\":\"eip-%08zx\",\"IPMode\":\"IPv4\",\"Mac\":\"\","
        "\"Type\":\"Bgp\",\"Weight\":50}],\"NetworkState\":\"Connected\",\"RdmaClusterId\":\"\"",
        high, low, high, low, low, number);
}

static void fields_disks(struct text *out, size_t number)
{
    text_printf(out,
        ",\"DiskSet\":[{\"BackupType\":\"NONE\",\"DiskId\":\"bsi-%08zx\",\"DiskType\":\"CLOUD_SSD\","
        "\"Drive\":\"/dev/vda\",\"Encrypted\":\"False\",\"IsBoot\":\"True\",\"Size\":100,\"Type\":\"Boot\"},"
        "{\"DiskId\":\"bsm-%08zx\",\"DiskType\":\"CLOUD_SSD\",\"Drive\":\"/dev/vdb\",\"IsBoot\":\"False\","
        "\"Name\":\"数据盘-训练数据集\",\"Size\":200,\"Type\":\"Udisk\"}],\"TotalDiskSpace\":200,"
        "\"DiskPriceInfo\":[{\"ChargeType\":\"Postpay\",\"IsBoot\":false,\"Price\":0.0467}],"
        "\"PostPayPowerOffBillingResource\":%s", number, number, g.options.null_lists ? "null" : "[]");
}

/* CreateTime and ExpireTime are integers for odd instances and strings for even ones: documents disagree. */
static void fields_times_and_price(struct text *out, const struct instance *it, int64_t now)
{
    const char *quote = instance_number(it) % 2 == 0 ? "\"" : "";
    bool running = strcmp(it->state, "Running") == 0;

    text_printf(out, ",\"CreateTime\":%s1712044800%s,\"ExpireTime\":%s0%s,\"StartTime\":1712045000,"
                "\"UpdateTime\":1712045012,\"ReleaseTime\":%" PRId64 ",\"StopTime\":0",
                quote, quote, quote, quote, running ? INT64_C(0) : now + 7 * 86400);
    field_schedule(out, schedule_visible(it, now));
    text_string(out, ",\"InstancePrice\":1.8799999999999999,\"DiscountType\":0,\"AutoRenew\":\"No\","
                "\"SupportAutoRenew\":false,\"IsExpire\":\"No\",\"PostPayShutdown\":true");
}

static void fields_access(struct text *out, size_t number)
{
    size_t low = number & 255;

    text_printf(out,
        ",\"Password\":\"VGVzdC1QYXNzd29yZC0yMDI0IQ==\","
        "\"SshLoginCommand\":\"ssh -p 23 -o ServerAliveInterval=30 root@198.51.100.%zu\","
        "\"Softwares\":[{\"Name\":\"JupyterLab\",\"URL\":\"http:\\/\\/198.51.100.%zu:8888\\/lab?reset\\u0026"
        "token=0123456789abcdef0123456789abcdef0123456789abcdef\"},"
        "{\"Name\":\"ComfyUI\",\"URL\":\"http://198.51.100.%zu:8188/?token=0123456789abcdef0123456789abcdef"
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}]}",
        low, low, low);
}

static void put_instance(struct text *out, const struct instance *it, int64_t now)
{
    size_t number = instance_number(it);

    fields_identity(out, it);
    if (g.options.brief) {
        text_string(out, "}");
        return;
    }
    fields_hardware_and_image(out);
    fields_network(out, number);
    fields_disks(out, number);
    fields_times_and_price(out, it, now);
    fields_access(out, number);
}

static int64_t default_project_index(void)
{
    return g.options.default_project < g.options.projects ? g.options.default_project : g.options.projects - 1;
}

static void project_id(int64_t index, char id[32])
{
    int64_t ordinal = index < default_project_index() ? index + 1 : index;

    if (index == default_project_index())
        snprintf(id, 32, "%s", DEFAULT_PROJECT);
    else if (ordinal == 1)
        snprintf(id, 32, "org-other");
    else
        snprintf(id, 32, "org-other%" PRId64, ordinal);
}

static bool project_known(const char *wanted)
{
    char id[32];

    for (int64_t i = 0; i < g.options.projects; i++) {
        project_id(i, id);
        if (strcmp(id, wanted) == 0) return true;
    }
    return false;
}

/* ---- actions ------------------------------------------------------------- */

PRINTF_LIKE(3, 4) static int refuse(struct call *call, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(call->message, sizeof call->message, format, args);
    va_end(args);
    return code;
}

static const char *given(const struct call *call, const char *name)
{
    return param_value(call->params, name);
}

/* The live gateway spells ProjectID in this message and answers 292, not 210, for it. */
static int require(struct call *call, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (given(call, *names) != NULL) continue;
        if (strcmp(*names, "ProjectId") == 0)
            return refuse(call, PROJECT_UNKNOWN, "Params [ProjectID] not available");
        return refuse(call, PARAM_MISSING, "Params [%s] not available", *names);
    }
    return OK;
}

static int check_project(struct call *call)
{
    const char *project = given(call, "ProjectId");

    if (project != NULL && !project_known(project))
        return refuse(call, PROJECT_UNKNOWN, "Project [%s] not found", project);
    return OK;
}

static int find_instance(struct call *call, const char *const *required, struct instance **found)
{
    int code = require(call, required);

    if (code == OK)
        code = check_project(call);
    if (code != OK) return code;
    *found = instance_find(given(call, "UHostId"));
    if (*found == NULL || strcmp(given(call, "ProjectId"), DEFAULT_PROJECT) != 0)
        return refuse(call, INSTANCE_UNKNOWN, "UHost [%s] not found", given(call, "UHostId"));
    return OK;
}

static int check_place(struct call *call, const struct instance *it)
{
    const char *zone = given(call, "Zone");
    char region[32];

    region_of(it->zone, region);
    if (strcmp(given(call, "Region"), region) != 0)
        return refuse(call, PARAM_CONFLICT, "Params [Region] invalid: the instance is in %s", region);
    if (zone != NULL && strcmp(zone, it->zone) != 0)
        return refuse(call, PARAM_CONFLICT, "Params [Zone] invalid: the instance is in %s", it->zone);
    return OK;
}

static void answer_with_id(struct call *call, const struct instance *it)
{
    char id[32];

    instance_id(it, id);
    text_printf(&call->fields, ",\"UHostId\":\"%s\"", id);
}

static int get_project_list(struct call *call)
{
    char id[32];

    text_printf(&call->fields, ",\"ProjectCount\":%" PRId64 ",\"ProjectSet\":[", g.options.projects);
    for (int64_t i = 0; i < g.options.projects; i++) {
        bool is_default = i == default_project_index();

        project_id(i, id);
        text_printf(&call->fields,
                    "%s{\"ProjectId\":\"%s\",\"ProjectName\":\"%s\",\"ParentId\":\"\",\"ParentName\":\"\","
                    "\"CreateTime\":%" PRId64 ",\"IsDefault\":%s,\"ResourceCount\":%zu,\"MemberCount\":%d}",
                    i > 0 ? "," : "", id, is_default ? "默认项目" : "其他项目", INT64_C(1480000000) + i,
                    is_default && !g.options.no_default ? "true" : "false", is_default ? fleet_present() : 0, 2);
    }
    text_string(&call->fields, "]");
    return OK;
}

static bool id_is_listed(const struct param_list *params, const char *id)
{
    bool any = false;

    for (size_t i = 0; i < params->count; i++) {
        const char *name = params->items[i].name;

        if (strncmp(name, "UHostIds.", 9) != 0 || name[9] == '\0') continue;
        any = true;
        if (strcmp(params->items[i].value, id) == 0) return true;
    }
    return !any;
}

static bool is_wanted(const struct call *call, const struct instance *it)
{
    const char *region = given(call, "Region"), *zone = given(call, "Zone"), *project = given(call, "ProjectId");
    char own_region[32], id[32];

    if (it->gone) return false;
    instance_id(it, id);
    region_of(it->zone, own_region);
    return (region == NULL || strcmp(region, own_region) == 0) && (zone == NULL || strcmp(zone, it->zone) == 0) &&
           (project == NULL || strcmp(project, DEFAULT_PROJECT) == 0) && id_is_listed(call->params, id);
}

static int page_number(struct call *call, const char *name, int64_t otherwise, int64_t max, int64_t *value)
{
    const char *text = given(call, name);

    *value = otherwise;
    if (text != NULL && !parse_integer(text, value))
        return refuse(call, PARAM_FORMAT, "Params [%s] is not an integer", name);
    if (*value < 0 || *value > max)
        return refuse(call, PARAM_RANGE, "Params [%s] out of range: 0 to %" PRId64, name, max);
    return OK;
}

static int check_zone_filter(struct call *call)
{
    const char *region = given(call, "Region"), *zone = given(call, "Zone");
    char zone_region[32];

    if (zone == NULL) return OK;
    region_of(zone, zone_region);
    if (region == NULL && strcmp(zone, DEFAULT_ZONE) != 0)
        return refuse(call, PARAM_CONFLICT, "Params [Zone] invalid: Region is needed with %s", zone);
    if (region != NULL && strcmp(region, zone_region) != 0)
        return refuse(call, PARAM_CONFLICT, "Params [Zone] invalid: %s is not in %s", zone, region);
    return OK;
}

static void field_total(struct text *out, int64_t matched)
{
    static const char *const names[] = { "TotalCount", "Total" };

    if (g.options.total_name != TOTAL_ABSENT)
        text_printf(out, ",\"%s\":%" PRId64, names[g.options.total_name], matched + g.options.total_extra);
}

static int describe_instance(struct call *call)
{
    int64_t offset, limit, matched = 0;
    struct text *out = &call->fields;
    bool any = false;
    int code;

    if ((code = page_number(call, "Offset", 0, INT32_MAX, &offset)) != OK ||
        (code = page_number(call, "Limit", 20, 100, &limit)) != OK ||
        (code = check_project(call)) != OK || (code = check_zone_filter(call)) != OK)
        return code;
    if (g.options.ignore_offset)
        offset = 0;
    text_string(out, ",\"UHostSet\":");
    for (size_t i = 0; i < g.fleet_size; i++) {
        const struct instance *it = &g.fleet[g.options.newest_first ? g.fleet_size - 1 - i : i];

        if (!is_wanted(call, it)) continue;
        if (matched >= offset && matched < offset + limit) {
            text_string(out, any ? "," : "[");
            put_instance(out, it, call->now);
            any = true;
        }
        matched++;
    }
    text_string(out, any ? "]" : g.options.null_lists ? "null" : "[]");
    field_total(out, matched);
    return OK;
}

static int update_stop_scheduler(struct call *call)
{
    const char *parameter = g.options.scheduler_param;
    const char *const required[] = { "Region", "Zone", "ProjectId", "UHostId", parameter, NULL };
    struct instance *it;
    int64_t time;
    int code = find_instance(call, required, &it);

    if (code != OK) return code;
    if (!parse_integer(given(call, parameter), &time))
        return refuse(call, PARAM_FORMAT, "Params [%s] is not an integer", parameter);
    if (time < call->now + STOP_TIME_FLOOR || time > LAST_SECOND)
        return refuse(call, PARAM_RANGE, "定时关机时间必须晚于当前时间至少 5 分钟 [%s]", parameter);
    if ((code = check_place(call, it)) != OK) return code;
    if (strcmp(it->charge, "Spot") == 0)
        return refuse(call, PARAM_CONFLICT, "Spot instance is unsupported: 抢占式实例不支持定时关机");
    if (strcmp(it->state, "Running") != 0)
        return refuse(call, STATE_WRONG, "Instance state [%s] is not Running", it->state);
    schedule_change(it, time, call->now);
    answer_with_id(call, it);
    return OK;
}

static int delete_stop_scheduler(struct call *call)
{
    static const char *const required[] = { "Region", "ProjectId", "UHostId", NULL };
    struct instance *it;
    int code = find_instance(call, required, &it);

    if (code == OK)
        code = check_place(call, it);
    if (code == OK && it->schedule != 0)
        schedule_change(it, 0, call->now);
    return code;
}

static int change_power(struct call *call, const char *from, const char *to, unsigned reboots)
{
    static const char *const required[] = { "Region", "Zone", "ProjectId", "UHostId", NULL };
    struct instance *it;
    int code = find_instance(call, required, &it);

    if (code == OK)
        code = check_place(call, it);
    if (code != OK) return code;
    if (it->busy) return refuse(call, INSTANCE_BUSY, "InstanceOperationInProgress");
    if (strcmp(it->state, from) != 0)
        return refuse(call, STATE_WRONG, "Instance state [%s] is not %s", it->state, from);
    copy_string(it->state, sizeof it->state, to);
    it->reboots += reboots;
    answer_with_id(call, it);
    return OK;
}

static int stop_instance(struct call *call)
{
    return change_power(call, "Running", "Stopped", 0);
}

static int start_instance(struct call *call)
{
    return change_power(call, "Stopped", "Running", 0);
}

static int reboot_instance(struct call *call)
{
    return change_power(call, "Running", "Running", 1);
}

static int download_team_order(struct call *call)
{
    call->csv = "订单号,成员,金额\r\n20240403-0001,张三,1.88\r\n20240403-0002,\"李, 四\",0.05\r\n";
    return OK;
}

static int extra_action(struct call *call)
{
    (void)call;
    return OK;
}

typedef int action_function(struct call *call);

static action_function *action_find(const char *name)
{
    static const struct {
        const char *name;
        action_function *function;
    } actions[] = {
        { "GetProjectList", get_project_list },
        { "DescribeCompShareInstance", describe_instance },
        { "UpdateCompShareStopScheduler", update_stop_scheduler },
        { "DeleteCompShareStopScheduler", delete_stop_scheduler },
        { "StopCompShareInstance", stop_instance },
        { "StartCompShareInstance", start_instance },
        { "RebootCompShareInstance", reboot_instance },
        { "DownloadTeamOrder", download_team_order }
    };

    for (size_t i = 0; i < COUNT(actions); i++)
        if (strcmp(name, actions[i].name) == 0)
            return actions[i].function;
    for (size_t i = 0; i < g.options.extra_action_count; i++)
        if (strcmp(name, g.options.extra_actions[i]) == 0)
            return extra_action;
    return NULL;
}

/* ---- judgement ----------------------------------------------------------- */

struct answer {
    unsigned status;
    int code; /* the RetCode told, for --verbose */
    const char *type;
    struct text body;
    bool drop, truncate;
};

static struct tally *tally_of(const char *action)
{
    struct counters *counters = &g.counters;
    struct tally *tally;

    for (size_t i = 0; i < counters->tally_count; i++)
        if (strcmp(counters->tallies[i].action, action) == 0)
            return &counters->tallies[i];
    tally = &counters->tallies[counters->tally_count < TALLIES_MAX ? counters->tally_count++ : TALLIES_MAX - 1];
    snprintf(tally->action, sizeof tally->action, "%s", action);
    return tally;
}

static bool consume(int64_t *remaining, const char *action)
{
    if (*remaining == 0 || (g.options.drop_action[0] != '\0' && strcmp(g.options.drop_action, action) != 0))
        return false;
    --*remaining;
    return true;
}

static int authenticate(struct call *call)
{
    const char *user = given(call, "PublicKey"), *signature = given(call, "Signature");
    const char *token = given(call, "SecurityToken");
    char expected[41];

    if (user == NULL || signature == NULL)
        return refuse(call, SIGNATURE_MISSING, "Missing Signature");
    sign(call->params, g.setup.private_key, expected);
    if (strlen(signature) != 40 || gnutls_memcmp(signature, expected, 40) != 0)
        return refuse(call, SIGNATURE_WRONG, "Signature VerifyAC Error");
    if (strcmp(user, g.setup.public_key) != 0) return refuse(call, USER_UNKNOWN, "User not found");
    if (g.setup.token != NULL && (token == NULL || strcmp(token, g.setup.token) != 0))
        return refuse(call, TOKEN_WRONG, "Missing Token");
    return OK;
}

static int execute(struct call *call, const char *action)
{
    action_function *function;
    int code;

    if (action == NULL) return refuse(call, ACTION_MISSING, "Missing Action");
    function = action_find(action);
    if (function == NULL) return refuse(call, ACTION_UNKNOWN, "Action [%s] not found", action);
    if ((code = authenticate(call)) != OK || (code = function(call)) != OK) return code;
    tally_of(action)->executed++;
    return OK;
}

/* Names come from the request: only what a name may hold goes back into the reply. */
static void compose(struct answer *answer, const struct call *call, const char *action, int code)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *quote = g.options.retcode_string ? "\"" : "";
    struct text *out = &answer->body;

    answer->code = code;
    answer->status = MHD_HTTP_OK;
    answer->type = "application/json";
    if (code == OK && call->csv != NULL) {
        answer->type = "text/csv; charset=utf-8";
        text_string(out, call->csv);
        return;
    }
    text_printf(out, "{\"Action\":\"%.*sResponse\",\"RetCode\":%s%d%s", (int)strspn(action, letters), action, quote,
                code, quote);
    if (code != OK) {
        text_string(out, ",\"Message\":");
        text_json(out, call->message);
    } else if (call->fields.len > 0) {
        text_add(out, call->fields.data, call->fields.len);
    }
    if (g.options.pad_reply > 0) {
        text_string(out, ",\"Padding\":\"");
        text_reserve(out, (size_t)g.options.pad_reply);
        memset(out->data + out->len, 'x', (size_t)g.options.pad_reply);
        out->len += (size_t)g.options.pad_reply;
        text_string(out, "\"");
    }
    text_string(out, "}");
}

static void answer_error_page(struct answer *answer, unsigned status)
{
    answer->status = status;
    answer->type = "text/html";
    text_printf(&answer->body, "<html><head><title>%u</title></head><body><h1>%u</h1></body></html>\n", status,
                status);
}

static void answer_http_error(struct answer *answer, unsigned status, const char *message)
{
    answer->status = status;
    answer->type = "application/json";
    text_printf(&answer->body, "{\"Message\":\"%s\"}", message);
}

static void answer_injected(struct answer *answer, struct call *call, const char *action)
{
    const char *message = g.options.fail_message;

    if (g.options.fail_http != 0) {
        answer_error_page(answer, (unsigned)g.options.fail_http);
        return;
    }
    refuse(call, 0, "%s", message[0] != '\0' ? message : "injected failure");
    compose(answer, call, action, (int)g.options.fail_code);
}

/* Judges one request whose parameters are parsed; `malformed` is the parser's RetCode. */
static void judge(struct answer *answer, const struct param_list *params, int malformed)
{
    struct call call = { .params = params, .now = server_now() };
    const char *action = param_value(params, "Action"), *name = action != NULL ? action : "";
    int code;

    schedules_fire(call.now);
    if (action != NULL)
        tally_of(action)->requests++;
    if (consume(&g.options.drop_before, name)) {
        answer->drop = true;
        return;
    }
    if (consume(&g.options.fail_next, name)) {
        answer_injected(answer, &call, name);
        return;
    }
    if (malformed != OK)
        code = refuse(&call, malformed, malformed == PARAM_CONFLICT ? "Duplicate parameter" : "Malformed body");
    else
        code = execute(&call, action);
    if (g.options.reply_retcode != 0)
        code = refuse(&call, (int)g.options.reply_retcode, "injected RetCode");
    compose(answer, &call, name, code);
    answer->drop = consume(&g.options.drop_after, name);
    answer->truncate = !answer->drop && consume(&g.options.truncate, name);
    text_free(&call.fields);
}

/* ---- TLS ----------------------------------------------------------------- */

static bool same_id(const gnutls_datum_t *a, const gnutls_datum_t *b)
{
    return a->size == b->size && a->size > 0 && memcmp(a->data, b->data, a->size) == 0;
}

static void session_forget(struct cached_session *session)
{
    free(session->id.data);
    free(session->data.data);
    memset(session, 0, sizeof *session);
}

static void sessions_forget(void)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        session_forget(&g.sessions[i]);
}

static struct cached_session *session_find(const gnutls_datum_t *id)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (same_id(&g.sessions[i].id, id))
            return &g.sessions[i];
    return NULL;
}

static int on_session_store(void *unused, gnutls_datum_t id, gnutls_datum_t data)
{
    struct cached_session *slot;

    (void)unused;
    pthread_mutex_lock(&g.lock);
    if (g.options.session_cache) {
        slot = session_find(&id);
        if (slot == NULL)
            slot = &g.sessions[g.next_session++ % SESSIONS_MAX];
        session_forget(slot);
        slot->id.data = (unsigned char *)copy_bytes((char *)id.data, id.size);
        slot->id.size = id.size;
        slot->data.data = (unsigned char *)copy_bytes((char *)data.data, data.size);
        slot->data.size = data.size;
    }
    pthread_mutex_unlock(&g.lock);
    return 0;
}

/* GnuTLS frees what it gets with its own allocator. */
static gnutls_datum_t on_session_retrieve(void *unused, gnutls_datum_t id)
{
    gnutls_datum_t copy = { NULL, 0 };
    const struct cached_session *found;

    (void)unused;
    pthread_mutex_lock(&g.lock);
    found = g.options.session_cache ? session_find(&id) : NULL;
    if (found != NULL && (copy.data = gnutls_malloc(found->data.size)) != NULL) {
        memcpy(copy.data, found->data.data, found->data.size);
        copy.size = found->data.size;
    }
    pthread_mutex_unlock(&g.lock);
    return copy;
}

static int on_session_remove(void *unused, gnutls_datum_t id)
{
    struct cached_session *found;

    (void)unused;
    pthread_mutex_lock(&g.lock);
    found = session_find(&id);
    if (found != NULL)
        session_forget(found);
    pthread_mutex_unlock(&g.lock);
    return 0;
}

/* The client's Finished is the last or the last but one message: the handshake counts even if no request follows. */
static int on_finished(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                       const gnutls_datum_t *message)
{
    (void)type;
    (void)when;
    (void)message;
    if (incoming) {
        pthread_mutex_lock(&g.lock);
        if (gnutls_session_is_resumed(session))
            g.counters.handshakes_resumed++;
        else
            g.counters.handshakes_full++;
        pthread_mutex_unlock(&g.lock);
    }
    return 0;
}

static void prepare_tls(struct MHD_Connection *connection, int64_t record_cap)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session;

    if (info == NULL || info->tls_session == NULL) return;
    session = info->tls_session;
    gnutls_db_set_ptr(session, NULL);
    gnutls_db_set_store_function(session, on_session_store);
    gnutls_db_set_retrieve_function(session, on_session_retrieve);
    gnutls_db_set_remove_function(session, on_session_remove);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST, on_finished);
    if (record_cap != 0)
        gnutls_record_set_max_size(session, (size_t)record_cap);
}

/* ---- connections and timers ---------------------------------------------- */

static void link_open(struct MHD_Connection *connection, void **socket_context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct link *link = reallocate(NULL, sizeof *link);
    int64_t record_cap, idle_timeout;

    memset(link, 0, sizeof *link);
    link->connection = connection;
    link->fd = info != NULL ? info->connect_fd : -1;
    *socket_context = link;
    pthread_mutex_lock(&g.lock);
    link->next = g.links;
    if (g.links != NULL)
        g.links->prev = link;
    g.links = link;
    g.counters.connections++;
    record_cap = g.options.record_cap;
    idle_timeout = g.options.idle_timeout;
    pthread_mutex_unlock(&g.lock);
    if (idle_timeout != 0)
        MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)idle_timeout);
    prepare_tls(connection, record_cap);
}

static void link_close(struct link *link)
{
    pthread_mutex_lock(&g.lock);
    if (link->prev != NULL)
        link->prev->next = link->next;
    else
        g.links = link->next;
    if (link->next != NULL)
        link->next->prev = link->prev;
    pthread_mutex_unlock(&g.lock);
    free(link);
}

static void on_connection(void *unused, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode event)
{
    (void)unused;
    if (event == MHD_CONNECTION_NOTIFY_STARTED)
        link_open(connection, socket_context);
    else if (*socket_context != NULL)
        link_close(*socket_context);
}

/* A link that is due to resume, or NULL; drops idle sockets on the way and lowers *next to the next due time.
   MHD reports the end of a connection before it closes the socket, so a listed fd is never a stale one. */
static struct link *timers_due(int64_t now, int64_t *next)
{
    struct link *link, *due = NULL;

    for (link = g.links; link != NULL; link = link->next) {
        if (link->drop_at != 0 && link->drop_at <= now) {
            shutdown(link->fd, SHUT_RDWR);
            link->drop_at = 0;
        }
        if (link->resume_at != 0 && (link->resume_at <= now || g.stopping))
            due = link;
        if (link->drop_at != 0 && link->drop_at < *next)
            *next = link->drop_at;
        if (link->resume_at != 0 && link->resume_at < *next)
            *next = link->resume_at;
    }
    return due;
}

static void *run_timers(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&g.lock);
    for (;;) {
        int64_t now = monotonic_ms(), next = now + 60000;
        struct link *due = timers_due(now, &next);

        if (due != NULL) {
            struct MHD_Connection *connection = due->connection;

            due->resume_at = 0;
            pthread_mutex_unlock(&g.lock);
            MHD_resume_connection(connection); /* suspended until now, so still there */
            pthread_mutex_lock(&g.lock);
        } else if (g.stopping) {
            break;
        } else {
            struct timespec until = { .tv_sec = (time_t)(next / 1000), .tv_nsec = (long)(next % 1000) * 1000000 };

            pthread_cond_timedwait(&g.wake, &g.lock, &until);
        }
    }
    pthread_mutex_unlock(&g.lock);
    return NULL;
}

/* ---- API endpoint -------------------------------------------------------- */

struct request {
    struct text body;
    struct answer answer;
    bool too_large, answered;
};

struct stream {
    struct text body;
    size_t end, step;
};

static void record_free(struct record *record)
{
    text_free(&record->action);
    text_free(&record->content_type);
    text_free(&record->body);
    params_free(&record->params);
    params_free(&record->headers);
}

static void request_free(struct request *request)
{
    text_free(&request->body);
    text_free(&request->answer.body);
    free(request);
}

static enum MHD_Result on_header(void *headers, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    if (value == NULL)
        value = "";
    params_add(headers, name, strlen(name), value, strlen(value));
    return MHD_YES;
}

/* Takes the body and the parameters over. */
static void record_request(struct MHD_Connection *connection, struct text *body, struct param_list *params,
                           const char *content_type)
{
    struct record *last = &g.last;
    const char *action = param_value(params, "Action");

    record_free(last);
    text_string(&last->action, action != NULL ? action : "");
    text_string(&last->content_type, content_type != NULL ? content_type : "");
    last->body = *body;
    last->params = *params;
    memset(body, 0, sizeof *body);
    MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, &last->headers);
}

static bool is_type(const char *content_type, const char *type)
{
    size_t len = strlen(type);

    return strncasecmp(content_type, type, len) == 0 && strchr(" \t;", content_type[len]) != NULL;
}

static void answer_post(struct MHD_Connection *connection, struct request *request)
{
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    bool json = type != NULL && is_type(type, "application/json");
    struct param_list params = { 0 };
    int malformed;

    if (request->too_large) {
        answer_http_error(&request->answer, MHD_HTTP_CONTENT_TOO_LARGE, "Body too large");
        return;
    }
    if (!json && type != NULL && !is_type(type, "application/x-www-form-urlencoded")) {
        answer_http_error(&request->answer, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "Unsupported Content-Type");
        return;
    }
    text_reserve(&request->body, 0);
    malformed = parse_params(&request->body, json, &params);
    record_request(connection, &request->body, &params, type);
    judge(&request->answer, &g.last.params, malformed);
    if (g.setup.verbose)
        fprintf(stderr, "gateway: %s -> HTTP %u RetCode %d%s%s\n", g.last.action.data, request->answer.status,
                request->answer.code, request->answer.drop ? ", dropped" : "",
                request->answer.truncate ? ", truncated" : "");
}

static ssize_t on_read(void *cls, uint64_t position, char *to, size_t max)
{
    const struct stream *stream = cls;
    size_t left;

    if (position >= stream->end)
        return stream->end < stream->body.len ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    left = stream->end - (size_t)position;
    left = left < stream->step ? left : stream->step;
    left = left < max ? left : max;
    memcpy(to, stream->body.data + position, left);
    return (ssize_t)left;
}

static void on_stream_end(void *cls)
{
    struct stream *stream = cls;

    text_free(&stream->body);
    free(stream);
}

static struct MHD_Response *make_response(struct answer *answer)
{
    uint64_t size = g.options.chunked ? MHD_SIZE_UNKNOWN : answer->body.len;
    struct MHD_Response *response;
    struct stream *stream;

    if (!g.options.chunked && !answer->truncate) {
        response = MHD_create_response_from_buffer(answer->body.len, answer->body.data, MHD_RESPMEM_MUST_FREE);
    } else {
        stream = reallocate(NULL, sizeof *stream);
        stream->body = answer->body;
        stream->end = answer->truncate ? answer->body.len / 2 : answer->body.len;
        stream->step = answer->body.len / 4 + 1;
        response = MHD_create_response_from_callback(size, 16384, on_read, stream, on_stream_end);
    }
    if (response == NULL)
        die(EXIT_BROKEN, "out of memory");
    memset(&answer->body, 0, sizeof answer->body);
    return response;
}

static void make_uuid(char uuid[37])
{
    uint32_t r[4];

    if (gnutls_rnd(GNUTLS_RND_NONCE, r, sizeof r) != 0)
        die(EXIT_BROKEN, "no random bytes");
    snprintf(uuid, 37, "%08" PRIx32 "-%04" PRIx32 "-4%03" PRIx32 "-a%03" PRIx32 "-%08" PRIx32 "%04" PRIx32, r[0],
             r[1] >> 16, r[1] & 0xfff, r[2] >> 20, r[3], r[2] & 0xffff);
}

static void add_headers(struct MHD_Response *response, const struct answer *answer, struct link *link)
{
    char date[64], uuid[37];

    make_uuid(uuid);
    MHD_add_response_header(response, "X-UCLOUD-REQUEST-UUID", uuid);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_POST);
    if (!g.options.no_date) {
        format_date(date, sizeof date);
        MHD_add_response_header(response, MHD_HTTP_HEADER_DATE, date);
    }
    link->replies++;
    if (g.options.close_every != 0 && link->replies % g.options.close_every == 0)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer *answer, struct link *link)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    if (answer->drop) return MHD_NO;
    pthread_mutex_lock(&g.lock);
    response = make_response(answer);
    add_headers(response, answer, link);
    pthread_mutex_unlock(&g.lock);
    result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result begin_request(struct link *link, void **request)
{
    bool drop;

    pthread_mutex_lock(&g.lock);
    g.counters.requests++;
    link->drop_at = 0;
    drop = g.options.drop_action[0] == '\0' && consume(&g.options.drop_before, "");
    pthread_mutex_unlock(&g.lock);
    if (drop) return MHD_NO;
    *request = reallocate(NULL, sizeof(struct request));
    memset(*request, 0, sizeof(struct request));
    return MHD_YES;
}

static void read_body(struct request *request, const char *data, size_t len)
{
    if (request->too_large || len > BODY_MAX - request->body.len)
        request->too_large = true;
    else
        text_add(&request->body, data, len);
}

/* True if the reply has to wait.  Suspends under the lock: the timer must not resume what is not suspended yet. */
static bool answer_request(struct MHD_Connection *connection, struct link *link, struct request *request,
                           const char *path, const char *method)
{
    bool wait;

    pthread_mutex_lock(&g.lock);
    request->answered = true;
    if (strcmp(path, "/") != 0)
        answer_http_error(&request->answer, MHD_HTTP_NOT_FOUND, "Not Found");
    else if (strcmp(method, MHD_HTTP_METHOD_POST) != 0)
        answer_http_error(&request->answer, MHD_HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed");
    else
        answer_post(connection, request);
    wait = g.options.delay_ms != 0 && !g.stopping;
    if (wait) {
        MHD_suspend_connection(connection);
        link->resume_at = monotonic_ms() + g.options.delay_ms;
        pthread_cond_signal(&g.wake);
    }
    pthread_mutex_unlock(&g.lock);
    return wait;
}

static enum MHD_Result on_api(void *unused, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *data, size_t *len, void **context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct link *link = info->socket_context;
    struct request *request = *context;

    (void)unused;
    (void)version;
    if (request == NULL) return begin_request(link, context);
    if (*len > 0) {
        read_body(request, data, *len);
        *len = 0;
        return MHD_YES;
    }
    if (!request->answered && answer_request(connection, link, request, path, method))
        return MHD_YES;
    return send_answer(connection, &request->answer, link);
}

static void on_api_done(void *unused, struct MHD_Connection *connection, void **context,
                        enum MHD_RequestTerminationCode how)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct link *link = info->socket_context;

    (void)unused;
    pthread_mutex_lock(&g.lock);
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK && g.options.drop_idle != 0) {
        link->drop_at = monotonic_ms() + g.options.drop_idle;
        pthread_cond_signal(&g.wake);
    }
    pthread_mutex_unlock(&g.lock);
    if (*context != NULL)
        request_free(*context);
    *context = NULL;
}

/* ---- control endpoint ---------------------------------------------------- */

static json_t *json_of_text(const struct text *text)
{
    return json_of_bytes(text->data != NULL ? text->data : "", text->len);
}

/* Repeated headers are joined as HTTP joins them; repeated parameters show the first. */
static json_t *json_of_params(const struct param_list *params, bool join)
{
    json_t *object = json_object();

    for (size_t i = 0; i < params->count; i++) {
        const struct param *item = &params->items[i];
        json_t *name = json_of_bytes(item->name, item->name_len);
        const json_t *old = json_object_get(object, json_string_value(name));

        if (old == NULL)
            json_object_set_new(object, json_string_value(name), json_of_bytes(item->value, item->value_len));
        else if (join)
            json_object_set_new(object, json_string_value(name),
                                json_sprintf("%s, %s", json_string_value(old), item->value));
        json_decref(name);
    }
    return object;
}

static json_t *json_of_tallies(bool executed)
{
    json_t *object = json_object();

    for (size_t i = 0; i < g.counters.tally_count; i++) {
        const struct tally *tally = &g.counters.tallies[i];
        json_t *name = json_of_bytes(tally->action, strlen(tally->action));
        uint64_t count = executed ? tally->executed : tally->requests;

        if (count > 0)
            json_object_set_new(object, json_string_value(name), json_integer((json_int_t)count));
        json_decref(name);
    }
    return object;
}

static json_t *json_of_fleet(void)
{
    json_t *object = json_object();

    for (size_t i = 0; i < g.fleet_size && i < STATS_INSTANCES_MAX; i++) {
        const struct instance *it = &g.fleet[i];
        char id[32];

        if (it->gone) continue;
        instance_id(it, id);
        json_object_set_new(object, id,
                            json_pack("{s:o,s:I,s:i}", "state", json_of_bytes(it->state, strlen(it->state)), "schedule",
                                      (json_int_t)it->schedule, "reboots", (int)it->reboots));
    }
    return object;
}

static char *stats_json(void)
{
    const struct counters *counters = &g.counters;
    json_t *stats;
    char *text;

    schedules_fire(server_now());
    stats = json_pack("{s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:o}",
                      "connections", (json_int_t)counters->connections,
                      "handshakes_full", (json_int_t)counters->handshakes_full,
                      "handshakes_resumed", (json_int_t)counters->handshakes_resumed,
                      "requests", (json_int_t)counters->requests,
                      "requests_by_action", json_of_tallies(false),
                      "executed_by_action", json_of_tallies(true),
                      "last_action", json_of_text(&g.last.action),
                      "last_params", json_of_params(&g.last.params, false),
                      "last_headers", json_of_params(&g.last.headers, true),
                      "last_content_type", json_of_text(&g.last.content_type),
                      "last_body", json_of_text(&g.last.body),
                      "now", (json_int_t)server_now(),
                      "instances", json_of_fleet());
    text = json_dumps(stats, JSON_COMPACT);
    json_decref(stats);
    if (text == NULL)
        die(EXIT_BROKEN, "cannot write the statistics");
    return text;
}

/* Options, fleet and clock as the command line gave them. */
static bool start_state(char *why, size_t size)
{
    options_default(&g.options);
    clock_set(g.setup.clock >= 0 ? g.setup.clock * 1000 : clock_milliseconds(CLOCK_REALTIME));
    fleet_create((size_t)g.setup.instances);
    for (size_t i = 0; i < g.setup.replay_count; i++) {
        const char *argument = g.setup.replay[i], *equals = strchr(argument, '=');
        char name[128];

        if (equals == NULL || (size_t)(equals - argument) >= sizeof name) {
            snprintf(why, size, "--option wants name=value, not \"%s\"", argument);
            return false;
        }
        memcpy(name, argument, (size_t)(equals - argument));
        name[equals - argument] = '\0';
        if (!option_set(name, equals + 1, why, size)) return false;
    }
    return true;
}

struct setting {
    unsigned count;
    bool bad;
    char why[256];
};

static enum MHD_Result on_setting(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct setting *setting = cls;

    (void)kind;
    setting->count++;
    setting->bad = !option_set(name, value != NULL ? value : "", setting->why, sizeof setting->why);
    return setting->bad ? MHD_NO : MHD_YES;
}

static enum MHD_Result control_reply(struct MHD_Connection *connection, unsigned status, const char *type, char *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (response == NULL)
        die(EXIT_BROKEN, "out of memory");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result control_text(struct MHD_Connection *connection, unsigned status, const char *line)
{
    struct text body = { 0 };

    text_printf(&body, "%s\n", line);
    return control_reply(connection, status, "text/plain; charset=utf-8", body.data);
}

static enum MHD_Result control_set(struct MHD_Connection *connection)
{
    struct setting setting = { 0 };

    pthread_mutex_lock(&g.lock);
    schedules_fire(server_now());
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, on_setting, &setting);
    if (!g.options.session_cache)
        sessions_forget();
    pthread_mutex_unlock(&g.lock);
    if (setting.count == 0) return control_text(connection, MHD_HTTP_BAD_REQUEST, "nothing to set");
    if (setting.bad) return control_text(connection, MHD_HTTP_BAD_REQUEST, setting.why);
    return control_text(connection, MHD_HTTP_OK, "ok");
}

static enum MHD_Result control_stats(struct MHD_Connection *connection)
{
    char *json;

    pthread_mutex_lock(&g.lock);
    json = stats_json();
    pthread_mutex_unlock(&g.lock);
    return control_reply(connection, MHD_HTTP_OK, "application/json", json);
}

static enum MHD_Result control_reset(struct MHD_Connection *connection)
{
    char why[256];

    pthread_mutex_lock(&g.lock);
    memset(&g.counters, 0, sizeof g.counters);
    record_free(&g.last);
    start_state(why, sizeof why);
    pthread_mutex_unlock(&g.lock);
    return control_text(connection, MHD_HTTP_OK, "ok");
}

static char seen_mark, quit_mark;

static enum MHD_Result on_control(void *unused, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *len,
                                  void **context)
{
    (void)unused;
    (void)version;
    (void)data;
    if (*context == NULL) {
        *context = &seen_mark;
        return MHD_YES;
    }
    if (*len > 0) {
        *len = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return control_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET");
    if (strcmp(path, "/set") == 0) return control_set(connection);
    if (strcmp(path, "/stats") == 0) return control_stats(connection);
    if (strcmp(path, "/reset") == 0) return control_reset(connection);
    if (strcmp(path, "/quit") != 0)
        return control_text(connection, MHD_HTTP_NOT_FOUND, "only /set, /stats, /reset and /quit");
    *context = &quit_mark;
    return control_text(connection, MHD_HTTP_OK, "ok");
}

/* Quits only when the reply is out. */
static void on_control_done(void *unused, struct MHD_Connection *connection, void **context,
                            enum MHD_RequestTerminationCode how)
{
    (void)unused;
    (void)connection;
    (void)how;
    if (*context == &quit_mark)
        kill(getpid(), SIGTERM);
}

/* ---- start and stop ------------------------------------------------------ */

static const char usage[] =
    "usage: gateway (--cert FILE --key FILE | --plain) [options]\n"
    "  --cert FILE --key FILE    PEM chain and key: serve TLS 1.2\n"
    "  --plain                   serve plain HTTP\n"
    "  --port N                  port of the API on 127.0.0.1 (0: any, the default)\n"
    "  --port-file FILE          write both ports here once they listen\n"
    "  --public-key K --private-key K --token T   the one user known\n"
    "  --clock EPOCH             where the fake clock starts (default: real time)\n"
    "  --instances N             size of the fleet (default: 3)\n"
    "  --option NAME=VALUE       any option of the control endpoint; repeatable\n"
    "  --verbose                 one line per API request on stderr\n"
    "  --help\n";

static int64_t number_argument(const char *name, const char *text, int64_t max)
{
    int64_t value;

    if (!parse_integer(text, &value) || value < 0 || value > max)
        die(EXIT_USAGE, "--%s wants an integer from 0 to %" PRId64, name, max);
    return value;
}

static void setup_read(int argc, char **argv)
{
    static const struct option longs[] = {
        { "cert", required_argument, NULL, 'c' },       { "key", required_argument, NULL, 'k' },
        { "plain", no_argument, NULL, 'p' },            { "port", required_argument, NULL, 'P' },
        { "port-file", required_argument, NULL, 'f' },  { "public-key", required_argument, NULL, 'u' },
        { "private-key", required_argument, NULL, 's' }, { "token", required_argument, NULL, 't' },
        { "clock", required_argument, NULL, 'C' },      { "instances", required_argument, NULL, 'n' },
        { "option", required_argument, NULL, 'o' },     { "verbose", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },             { NULL, 0, NULL, 0 }
    };
    struct setup *setup = &g.setup;
    int option;

    setup->public_key = "ucloudsomeone@example.com1296235120854146120";
    setup->private_key = "46f09bb9fab4f12dfc160dae12273d5332b5debe";
    setup->clock = -1;
    setup->instances = 3;
    setup->replay = reallocate(NULL, (size_t)argc * sizeof *setup->replay);
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'c': setup->cert_file = optarg; break;
        case 'k': setup->key_file = optarg; break;
        case 'p': setup->plain = true; break;
        case 'P': setup->port = (uint16_t)number_argument("port", optarg, 65535); break;
        case 'f': setup->port_file = optarg; break;
        case 'u': setup->public_key = optarg; break;
        case 's': setup->private_key = optarg; break;
        case 't': setup->token = optarg; break;
        case 'C': setup->clock = number_argument("clock", optarg, LAST_SECOND); break;
        case 'n': setup->instances = number_argument("instances", optarg, FLEET_MAX); break;
        case 'o': setup->replay[setup->replay_count++] = optarg; break;
        case 'v': setup->verbose = true; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: exit(EXIT_USAGE);
        }
    }
    if (optind < argc)
        die(EXIT_USAGE, "unexpected argument \"%s\"", argv[optind]);
    if (!setup->plain && (setup->cert_file == NULL || setup->key_file == NULL))
        die(EXIT_USAGE, "--cert and --key are needed, or --plain");
}

static gnutls_datum_t read_file(const char *path)
{
    gnutls_datum_t text;
    int error = gnutls_load_file(path, &text);

    if (error != 0)
        die(EXIT_BROKEN, "%s: %s", path, gnutls_strerror(error));
    return text;
}

/* MHD only says that it could not start; GnuTLS says why. */
static void check_certificate(const gnutls_datum_t *cert, const gnutls_datum_t *key)
{
    gnutls_certificate_credentials_t credentials;
    int error = gnutls_certificate_allocate_credentials(&credentials);

    if (error == 0) {
        error = gnutls_certificate_set_x509_key_mem(credentials, cert, key, GNUTLS_X509_FMT_PEM);
        gnutls_certificate_free_credentials(credentials);
    }
    if (error < 0)
        die(EXIT_BROKEN, "%s, %s: %s", g.setup.cert_file, g.setup.key_file, gnutls_strerror(error));
}

static uint16_t port_of(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);

    if (info == NULL || info->port == 0)
        die(EXIT_BROKEN, "cannot learn the port");
    return info->port;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Poll, never epoll: with TLS, MHD's epoll loop spins during an unfinished handshake. */
static struct MHD_Daemon *start_api(gnutls_datum_t cert, gnutls_datum_t key)
{
    struct sockaddr_in address = loopback(g.setup.port);
    char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
    struct MHD_OptionItem tls[] = { { MHD_OPTION_HTTPS_MEM_CERT, 0, cert.data },
                                    { MHD_OPTION_HTTPS_MEM_KEY, 0, key.data },
                                    { MHD_OPTION_HTTPS_PRIORITIES, 0, priorities },
                                    { MHD_OPTION_END, 0, NULL } };
    struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };
    unsigned flags = (unsigned)MHD_USE_INTERNAL_POLLING_THREAD | (unsigned)MHD_USE_POLL |
                     (unsigned)MHD_ALLOW_SUSPEND_RESUME | (unsigned)MHD_USE_SUPPRESS_DATE_NO_CLOCK |
                     (unsigned)(g.setup.plain ? 0 : MHD_USE_TLS) | (unsigned)(g.setup.verbose ? MHD_USE_ERROR_LOG : 0);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, g.setup.port, NULL, NULL, on_api, NULL,
                         MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
                         MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL,
                         MHD_OPTION_NOTIFY_COMPLETED, on_api_done, NULL,
                         MHD_OPTION_LISTEN_BACKLOG_SIZE, 512U,
                         MHD_OPTION_ARRAY, g.setup.plain ? none : tls, MHD_OPTION_END);

    if (daemon == NULL)
        die(EXIT_BROKEN, "cannot listen on 127.0.0.1:%u: %s", (unsigned)g.setup.port, strerror(errno));
    return daemon;
}

static struct MHD_Daemon *start_control(void)
{
    struct sockaddr_in address = loopback(0);
    struct MHD_Daemon *daemon =
        MHD_start_daemon((unsigned)MHD_USE_INTERNAL_POLLING_THREAD | (unsigned)MHD_USE_POLL, 0, NULL, NULL, on_control,
                         NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
                         MHD_OPTION_NOTIFY_COMPLETED, on_control_done, NULL, MHD_OPTION_END);

    if (daemon == NULL)
        die(EXIT_BROKEN, "cannot start the control endpoint: %s", strerror(errno));
    return daemon;
}

static void write_port_file(uint16_t port, uint16_t control)
{
    struct text temporary = { 0 };
    FILE *file;

    text_printf(&temporary, "%s.tmp", g.setup.port_file);
    file = fopen(temporary.data, "w");
    if (file == NULL)
        die(EXIT_BROKEN, "%s: %s", temporary.data, strerror(errno));
    fprintf(file, "port=%u\ncontrol=%u\n", (unsigned)port, (unsigned)control);
    if (fclose(file) != 0 || rename(temporary.data, g.setup.port_file) != 0)
        die(EXIT_BROKEN, "%s: %s", g.setup.port_file, strerror(errno));
    text_free(&temporary);
}

/* SIGTERM when the parent dies; a parent that died before the request is noticed by its changed id. */
static void follow_parent(pid_t parent)
{
#ifdef __linux__
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        die(EXIT_BROKEN, "prctl: %s", strerror(errno));
#endif
    if (getppid() != parent)
        exit(EXIT_BROKEN);
}

static void free_everything(void)
{
    sessions_forget();
    record_free(&g.last);
    free(g.fleet);
    free(g.setup.replay);
}

static void start_lock(void)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&g.lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&g.wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Suspended connections are resumed before MHD stops: it does not bear them then. */
static void stop(struct MHD_Daemon *api, struct MHD_Daemon *control, pthread_t timers)
{
    pthread_mutex_lock(&g.lock);
    g.stopping = true;
    pthread_cond_signal(&g.wake);
    pthread_mutex_unlock(&g.lock);
    pthread_join(timers, NULL);
    MHD_stop_daemon(api);
    MHD_stop_daemon(control);
    free_everything();
}

int main(int argc, char **argv)
{
    pid_t parent = getppid();
    struct MHD_Daemon *api, *control;
    gnutls_datum_t cert = { NULL, 0 }, key = { NULL, 0 };
    char why[256];
    pthread_t timers;
    sigset_t signals;
    int received;

    setup_read(argc, argv);
    follow_parent(parent);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread starts, so that all inherit it */
    start_lock();
    if (!start_state(why, sizeof why))
        die(EXIT_USAGE, "%s", why);
    if (!g.setup.plain) {
        cert = read_file(g.setup.cert_file);
        key = read_file(g.setup.key_file);
        check_certificate(&cert, &key);
    }
    api = start_api(cert, key);
    control = start_control();
    if (pthread_create(&timers, NULL, run_timers, NULL) != 0)
        die(EXIT_BROKEN, "cannot start a thread");
    if (g.setup.port_file != NULL)
        write_port_file(port_of(api), port_of(control));
    sigwait(&signals, &received);
    stop(api, control, timers);
    gnutls_free(cert.data);
    gnutls_free(key.data);
    return 0;
}
