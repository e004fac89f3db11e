/*
 * gateway.c - a loopback CompShare API server for tests
 *
 * HTTP is libmicrohttpd's, TLS and SHA-1 are GnuTLS's, request JSON is
 * Jansson's: nothing here is shared with the client under test.  README.md
 * lists the options, the control endpoint and the limits.
 *
 * Reading order: text, clock, fleet, history, options, parameters, signature,
 * reply fields, actions, odd readings, late requests, judgement, TLS, timers,
 * API endpoint, control endpoint, start and stop.
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

#include "dialects.h"

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
#define LATE_MAX 64
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

enum schedule_none { NONE_ZERO, NONE_ABSENT, NONE_NULL, NONE_EMPTY, NONE_MINUS };
enum schedule_form { FORM_INT, FORM_STRING, FORM_DECIMAL, FORM_MS, FORM_ISO };
enum schedule_field { FIELD_SCHEDULER, FIELD_STOP_SCHEDULER, FIELD_NONE };
enum schedule_other { OTHER_ABSENT, OTHER_SAME, OTHER_ZERO, OTHER_EMPTY, OTHER_NULL, OTHER_ISO };
enum rounding { ROUND_NONE, ROUND_DOWN, ROUND_UP };
enum total_name { TOTAL_COUNT, TOTAL, TOTAL_ABSENT };
enum name_form { NAME_TEXT, NAME_NULL, NAME_NUMBER, NAME_OBJECT, NAME_ABSENT };
enum odd { ODD_NONE, ODD_EMPTY, ODD_NO_SCHEDULE, ODD_HTML, ODD_HTTP_502, ODD_CUT_JSON, ODD_STATE };
enum default_form {
    DEFAULT_BOOL,
    DEFAULT_INT,
    DEFAULT_STRING,
    DEFAULT_STRING_INT,
    DEFAULT_UNREADABLE,
    DEFAULT_ABSENT
};

/* Every number is int64_t so that one table can set them all. */
struct options {
    int64_t retcode_string, reply_retcode, chunked, pad_reply, no_date, date_form;
    int64_t close_every, drop_idle, idle_timeout, delay_ms;
    int64_t fail_next, fail_code, fail_http, drop_before, drop_after, truncate;
    int64_t hide_next, hide_code, hide_http, late_next, late_seconds;
    int64_t visibility_delay, schedule_lag, state_lag, clock_offset;
    int64_t projects, default_project, no_default, is_default_type, projects_code;
    int64_t project_optional, project_missing_code, unnamed_project;
    int64_t describe_region, null_lists, schedule_form, schedule_none, schedule_field;
    int64_t schedule_other, past_stays, last_stop, rounding, floor_ms, power_takes;
    int64_t odd, odd_after, odd_next, odd_until;
    int64_t gone_code, gone_describe, offset_code;
    int64_t odd_name, odd_times, odd_gpu, wild;
    int64_t newest_first, brief, ignore_offset, page_cap, total_name, total_extra, total_all;
    int64_t session_cache, record_cap;
    char fail_message[512], drop_action[64], scheduler_param[64], scheduler_honours[64];
    char then_action[64], then_set[256];
    char describe_requires[64], ignore_filter[64], forget_project[64], id_prefix[16], odd_state[32];
    char extra_actions[EXTRA_ACTIONS_MAX][64];
    size_t extra_action_count;
};

/* Something that has happened and that Describe shows only later. */
struct change {
    struct change *next;
    int64_t visible_at;
    bool of_state;         /* else of the schedule */
    int64_t schedule;
    char state[32];
};

struct instance {
    char name[128], state[32], charge[32], zone[32], project[64];
    int64_t schedule;      /* 0: none */
    int64_t shown_schedule; /* what Describe answers, until a change below is visible */
    char shown_state[32];
    struct change *changes; /* in the order in which they happened */
    char settles_to[32];   /* the state that it will have at settles_at; 0: it stays */
    int64_t settles_at, stopped_at;
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

/* A request whose connection was dropped and that is executed later all the same. */
struct late {
    int64_t due;
    struct param_list params;
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
    bool frozen;                  /* the clock stands at clock_ms */
    struct instance *fleet;
    size_t fleet_size;
    struct late late[LATE_MAX];
    size_t late_count;
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
    return g.frozen ? g.clock_ms : g.clock_ms + monotonic_ms() - g.clock_mark;
}

static void clock_freeze(bool frozen)
{
    int64_t now = fake_ms();

    g.frozen = frozen;
    clock_set(now);
}

/* The one clock that judges requests and dates replies. */
static int64_t server_now(void)
{
    int64_t now = fake_ms() / 1000 + g.options.clock_offset;

    return now < 0 ? 0 : now > LAST_SECOND ? LAST_SECOND : now;
}

/* The Date header, in the form that date_form names. */
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

static void history_forget(struct instance *it, bool of_state, const struct change *last)
{
    struct change **link = &it->changes;
    bool over = false;

    while (*link != NULL && !over) {
        struct change *change = *link;

        over = change == last;
        if (change->of_state != of_state) {
            link = &change->next;
            continue;
        }
        *link = change->next;
        free(change);
    }
}

static void fleet_free(void)
{
    for (size_t i = 0; i < g.fleet_size; i++) {
        history_forget(&g.fleet[i], true, NULL);
        history_forget(&g.fleet[i], false, NULL);
    }
    g.fleet_size = 0;
}

/* Instance 2 is Stopped, 3 is Spot, the rest run and are paid for by use. */
static void fleet_create(size_t count)
{
    fleet_free();
    g.fleet = reallocate(g.fleet, (count + 1) * sizeof *g.fleet);
    memset(g.fleet, 0, (count + 1) * sizeof *g.fleet);
    g.fleet_size = count;
    for (size_t i = 0; i < count; i++) {
        struct instance *it = &g.fleet[i];

        snprintf(it->name, sizeof it->name, "训练机-%04zu 🚀", i + 1);
        copy_string(it->state, sizeof it->state, i == 1 ? "Stopped" : "Running");
        copy_string(it->charge, sizeof it->charge, i == 2 ? "Spot" : "Postpay");
        copy_string(it->zone, sizeof it->zone, DEFAULT_ZONE);
        copy_string(it->project, sizeof it->project, DEFAULT_PROJECT);
        memcpy(it->shown_state, it->state, sizeof it->state);
    }
}

static size_t instance_number(const struct instance *it)
{
    return (size_t)(it - g.fleet) + 1;
}

static void instance_id(const struct instance *it, char id[32])
{
    snprintf(id, 32, "%s%04zu", g.options.id_prefix, instance_number(it));
}

/* By number, whatever its id is called. */
static struct instance *instance_at(const char *number)
{
    int64_t place;

    if (!parse_integer(number, &place) || place < 1 || (uint64_t)place > g.fleet_size) return NULL;
    return &g.fleet[place - 1];
}

static struct instance *instance_find(const char *id)
{
    size_t prefix = strlen(g.options.id_prefix);
    struct instance *it;
    char canonical[32];

    if (strncmp(id, g.options.id_prefix, prefix) != 0) return NULL;
    it = instance_at(id + prefix);
    if (it == NULL || it->gone) return NULL;
    instance_id(it, canonical);
    return strcmp(id, canonical) == 0 ? it : NULL;
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

/* ---- history --------------------------------------------------------------
   Describe shows what was true some seconds ago: every change is remembered with
   the time from which on it is shown, so that several within one lag come out in
   their order. */

static void history_show(struct instance *it, const struct change *change)
{
    if (change->of_state)
        memcpy(it->shown_state, change->state, sizeof it->shown_state);
    else
        it->shown_schedule = change->schedule;
}

/* A later change that is visible hides the earlier ones, even those that are not. */
static void history_settle(struct instance *it, int64_t now)
{
    const struct change *last[2] = { NULL, NULL };

    for (const struct change *change = it->changes; change != NULL; change = change->next)
        if (change->visible_at <= now)
            last[change->of_state] = change;
    for (int of_state = 0; of_state < 2; of_state++) {
        if (last[of_state] == NULL) continue;
        history_show(it, last[of_state]);
        history_forget(it, of_state != 0, last[of_state]);
    }
}

/* Notes how the instance looks now, to be shown from visible_at on. */
static void history_add(struct instance *it, bool of_state, int64_t visible_at)
{
    struct change **link = &it->changes, *change = reallocate(NULL, sizeof *change);

    memset(change, 0, sizeof *change);
    change->visible_at = visible_at;
    change->of_state = of_state;
    change->schedule = it->schedule;
    memcpy(change->state, it->state, sizeof change->state);
    while (*link != NULL)
        link = &(*link)->next;
    *link = change;
}

/* As if it had been so for ever. */
static void history_overwrite(struct instance *it, bool of_state)
{
    history_forget(it, of_state, NULL);
    if (of_state)
        memcpy(it->shown_state, it->state, sizeof it->shown_state);
    else
        it->shown_schedule = it->schedule;
}

static void schedule_change(struct instance *it, int64_t time, int64_t now)
{
    int64_t lag = g.options.schedule_lag, delay = g.options.visibility_delay;

    it->schedule = time;
    history_add(it, false, now + (lag > delay ? lag : delay));
}

static void state_change(struct instance *it, const char *state, int64_t now)
{
    copy_string(it->state, sizeof it->state, state);
    it->settles_at = 0;
    if (strcmp(state, "Stopped") == 0)
        it->stopped_at = now;
    history_add(it, true, now + g.options.state_lag);
}

/* With past_stays Describe goes on showing a time that is over. */
static void schedule_fire(struct instance *it)
{
    int64_t time = it->schedule;

    it->schedule = 0;
    if (!g.options.past_stays)
        history_add(it, false, time + g.options.schedule_lag);
    if (strcmp(it->state, "Running") == 0)
        state_change(it, "Stopped", time);
}

/* What comes by itself as time passes. */
static void fleet_until(int64_t now)
{
    for (size_t i = 0; i < g.fleet_size; i++) {
        struct instance *it = &g.fleet[i];

        if (it->settles_at != 0 && it->settles_at <= now)
            state_change(it, it->settles_to, it->settles_at);
        if (it->schedule != 0 && it->schedule <= now)
            schedule_fire(it);
        if (it->changes != NULL)
            history_settle(it, now);
    }
}

/* ---- options ------------------------------------------------------------- */

static void catch_up(int64_t now);

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
    NUMBER_RULE(hide_next, 0, INT32_MAX),
    NUMBER_RULE(hide_code, INT32_MIN, INT32_MAX),
    OFF_OR_RULE(hide_http, 200, 599),
    NUMBER_RULE(late_next, 0, LATE_MAX),
    NUMBER_RULE(late_seconds, 1, INT32_MAX),
    NUMBER_RULE(visibility_delay, 0, INT32_MAX),
    NUMBER_RULE(schedule_lag, 0, INT32_MAX),
    NUMBER_RULE(state_lag, 0, INT32_MAX),
    NUMBER_RULE(clock_offset, -LAST_SECOND, LAST_SECOND),
    NUMBER_RULE(projects, 1, 50),
    NUMBER_RULE(default_project, 0, 49),
    NUMBER_RULE(no_default, 0, 1),
    NUMBER_RULE(projects_code, 0, INT32_MAX),
    NUMBER_RULE(project_optional, 0, 1),
    NUMBER_RULE(project_missing_code, 1, INT32_MAX),
    NUMBER_RULE(past_stays, 0, 1),
    NUMBER_RULE(last_stop, 0, 1),
    NUMBER_RULE(floor_ms, 0, 1),
    NUMBER_RULE(power_takes, 0, INT32_MAX),
    NUMBER_RULE(odd_after, 0, INT32_MAX),
    NUMBER_RULE(odd_next, 0, INT32_MAX),
    NUMBER_RULE(gone_code, 1, INT32_MAX),
    NUMBER_RULE(offset_code, 0, INT32_MAX),
    NUMBER_RULE(odd_times, 0, 1),
    NUMBER_RULE(odd_gpu, 0, 1),
    NUMBER_RULE(wild, 0, 1),
    NUMBER_RULE(describe_region, 0, 1),
    NUMBER_RULE(null_lists, 0, 1),
    NUMBER_RULE(brief, 0, 2),
    NUMBER_RULE(ignore_offset, 0, 1),
    OFF_OR_RULE(page_cap, 1, 100),
    NUMBER_RULE(total_extra, INT32_MIN, INT32_MAX),
    NUMBER_RULE(total_all, 0, 1),
    NUMBER_RULE(session_cache, 0, 1),
    OFF_OR_RULE(record_cap, 512, 16384),
    TEXT_RULE(fail_message),
    TEXT_RULE(drop_action),
    TEXT_RULE(scheduler_param),
    TEXT_RULE(scheduler_honours),
    TEXT_RULE(describe_requires),
    TEXT_RULE(ignore_filter),
    TEXT_RULE(forget_project),
    TEXT_RULE(id_prefix),
    TEXT_RULE(odd_state),
    TEXT_RULE(then_action),
    TEXT_RULE(then_set),
    { "extra_date_form", AT(date_form), CHOICE, 0, 2, "imf|rfc850|asctime" },
    { "schedule_field", AT(schedule_field), CHOICE, 0, FIELD_NONE,
      "SchedulerStopTime|StopSchedulerTime|none" },
    { "schedule_other", AT(schedule_other), CHOICE, 0, OTHER_ISO,
      "absent|same|zero|empty|null|iso" },
    { "rounding", AT(rounding), CHOICE, 0, ROUND_UP, "none|down|up" },
    { "odd", AT(odd), CHOICE, 0, ODD_STATE, "none|empty|no_schedule|html|http_502|cut_json|state" },
    { "odd_name", AT(odd_name), CHOICE, 0, NAME_ABSENT, "text|null|number|object|absent" },
    { "gone_describe", AT(gone_describe), CHOICE, 0, 1, "list|code" },
    { "unnamed_project", AT(unnamed_project), CHOICE, 0, 1, "all|default" },
    { "is_default_type", AT(is_default_type), CHOICE, 0, DEFAULT_ABSENT,
      "bool|int|string|string_int|unreadable|absent" },
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
    options->describe_region = 1;
    options->hide_code = 110;
    options->late_seconds = 8;
    options->project_missing_code = PROJECT_UNKNOWN;
    options->gone_code = INSTANCE_UNKNOWN;
    copy_string(options->scheduler_param, sizeof options->scheduler_param, "SchedulerStopTime");
    copy_string(options->id_prefix, sizeof options->id_prefix, "uhost-");
}

/* Whether "a,b,c" holds a word. */
static bool list_has(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (;; list++) {
        size_t here = strcspn(list, ",");

        if (here == len && memcmp(list, word, len) == 0) return true;
        list += here;
        if (*list == '\0') return false;
    }
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

/* Sets one field of g.options, as its row in the table of rules says. */
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
    static const char when_none[] =
        "zero_when_none|absent_when_none|null_when_none|empty_when_none|minus_when_none";
    int64_t form = FORM_INT, none = NONE_ZERO, index;

    if (strcmp(name, "schedule_type") != 0) return NOT_MINE;
    for (;;) {
        size_t len = strcspn(value, ",");

        if ((index = word_index("int|string|decimal|ms|iso", value, len)) >= 0)
            form = index;
        else if ((index = word_index(when_none, value, len)) >= 0)
            none = index;
        else
            return BAD;
        if (value[len] == '\0') break;
        value += len + 1;
    }
    g.options.schedule_form = form;
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

/* Sets, advances or freezes the clock, in seconds or milliseconds. */
static enum verdict set_clock(const char *name, const char *value)
{
    int64_t which = word_index("clock|advance|clock_ms|advance_ms|frozen", name, strlen(name));
    int64_t number, unit = which < 2 ? 1000 : 1, limit = LAST_SECOND * 1000 / unit;

    if (which < 0) return NOT_MINE;
    if (!parse_integer(value, &number) || number > limit || number < (which % 2 == 1 ? -limit : 0))
        return BAD;
    if (which < 4)
        clock_set(number * unit + (which % 2 == 1 ? fake_ms() : 0));
    else if (number <= 1)
        clock_freeze(number != 0);
    else
        return BAD;
    return TAKEN;
}

static enum verdict set_fleet(const char *name, const char *value)
{
    int64_t which = word_index("instances|odd_for", name, strlen(name)), number;
    int64_t most = which == 0 ? FLEET_MAX : LAST_SECOND;

    if (which < 0) return NOT_MINE;
    if (!parse_integer(value, &number) || number < 0 || number > most) return BAD;
    if (which == 0)
        fleet_create((size_t)number);
    else
        g.options.odd_until = number > 0 ? server_now() + number : 0;
    return TAKEN;
}

static enum verdict set_presence(const char *name, const char *value)
{
    int64_t which = word_index("restore|remove", name, strlen(name));

    if (which < 0) return NOT_MINE;
    return fleet_change(value, which == 1) ? TAKEN : BAD;
}

enum instance_option {
    SET_STATE,
    SET_CHARGE,
    SET_ZONE,
    SET_NAME,
    SET_PROJECT,
    SET_OTHER_STATE,
    SET_BUSY, /* from here on numbers */
    SET_SCHEDULE,
    SET_OTHER_SCHEDULE
};

static bool change_text(struct instance *it, enum instance_option what, const char *value)
{
    switch (what) {
    case SET_CHARGE: return copy_string(it->charge, sizeof it->charge, value);
    case SET_ZONE: return copy_string(it->zone, sizeof it->zone, value);
    case SET_NAME: return copy_string(it->name, sizeof it->name, value);
    case SET_PROJECT: return copy_string(it->project, sizeof it->project, value);
    default: break;
    }
    if (strlen(value) >= sizeof it->state) return false;
    state_change(it, value, server_now());
    if (what == SET_STATE)
        history_overwrite(it, true);
    return true;
}

/* What is set is shown at once; what "other" does, somebody else has done through the API. */
static bool change_instance(struct instance *it, enum instance_option what, const char *value)
{
    int64_t number, most = what == SET_BUSY ? 1 : LAST_SECOND;

    if (what < SET_BUSY) return change_text(it, what, value);
    if (!parse_integer(value, &number) || number < 0 || number > most) return false;
    if (what == SET_BUSY)
        it->busy = number != 0;
    else
        schedule_change(it, number, server_now());
    if (what == SET_SCHEDULE)
        history_overwrite(it, false);
    return true;
}

static enum verdict set_instance(const char *name, const char *value)
{
    static const char words[] =
        "state|charge|zone|name|project|other_state|busy|schedule|other_schedule";
    size_t len = strcspn(name, "."), prefix = strlen(g.options.id_prefix);
    int64_t what = word_index(words, name, len);
    struct instance *it;

    if (name[len] != '.' || what < 0) return NOT_MINE;
    name += len + 1;
    it = instance_at(strncmp(name, g.options.id_prefix, prefix) == 0 ? name + prefix
                     : strncmp(name, "uhost-", 6) == 0               ? name + 6
                                                                     : "");
    if (it == NULL || it->gone) return BAD;
    return change_instance(it, (enum instance_option)what, value) ? TAKEN : BAD;
}

static bool option_set(const char *name, const char *value, char *why, size_t size);

/* A row of dialects.h: "name=value&name=value", as a table has it and not as a URL. */
static enum verdict set_row(const char *options)
{
    char store[512], why[256], *at = store;

    if (!copy_string(store, sizeof store, options)) return BAD;
    while (*at != '\0') {
        char *end = at + strcspn(at, "&"), *value = at + strcspn(at, "=&");
        bool last = *end == '\0';

        *end = '\0';
        if (*value != '=') return BAD;
        *value = '\0';
        catch_up(server_now());
        if (!option_set(at, value + 1, why, sizeof why)) return BAD;
        at = last ? end : end + 1;
    }
    return TAKEN;
}

/* Applies the options of a row of dialects.h. */
static enum verdict set_dialect(const char *name, const char *value)
{
    int64_t later = word_index("dialect|dialect_later", name, strlen(name));

    if (later < 0) return NOT_MINE;
    for (size_t i = 0; i < DIALECT_COUNT; i++) {
        const dialect *row = &dialects[i];

        if (strcmp(value, row->name) != 0) continue;
        return set_row(later == 0 ? row->options : row->later != NULL ? row->later : "");
    }
    return BAD;
}

/* Asks each setter in turn; the first one that knows the name decides. */
static bool option_set(const char *name, const char *value, char *why, size_t size)
{
    static enum verdict (*const setters[])(const char *, const char *) = {
        set_plain, set_schedule_type, set_extra_action, set_clock,
        set_fleet, set_presence,      set_instance,     set_dialect
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

/* A JSON value as parameters: members and indexes are joined to names by dots. */
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

/* The signature: SHA-1 over names and values in the order of params, then the key. */
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
    int64_t now, now_ms;
    enum odd odd;        /* how this reading differs from all others */
    struct text fields;  /* the members behind RetCode, each with its leading comma */
    const char *csv;     /* this instead of JSON */
    char message[512];
};

static void put_date(struct text *out, int64_t time)
{
    char date[64];
    time_t local = (time_t)(time + 8 * 3600);
    struct tm parts;

    gmtime_r(&local, &parts);
    if (strftime(date, sizeof date, "\"%Y-%m-%dT%H:%M:%S+08:00\"", &parts) == 0)
        date[0] = '\0';
    text_string(out, date);
}

static void put_time(struct text *out, int64_t time)
{
    switch (g.options.schedule_form) {
    case FORM_STRING: text_printf(out, "\"%" PRId64 "\"", time); break;
    case FORM_DECIMAL: text_printf(out, "%" PRId64 ".0", time); break;
    case FORM_MS: text_printf(out, "%" PRId64, time * 1000); break;
    case FORM_ISO: put_date(out, time); break;
    default: text_printf(out, "%" PRId64, time); break;
    }
}

static void put_no_time(struct text *out, int64_t none)
{
    const char *quote = g.options.schedule_form == FORM_STRING ? "\"" : "";

    if (none == NONE_NULL)
        text_string(out, "null");
    else if (none == NONE_EMPTY)
        text_string(out, "\"\"");
    else
        text_printf(out, "%s%d%s", quote, none == NONE_MINUS ? -1 : 0, quote);
}

/* The member of the schedule that nothing is kept in. */
static void field_other_schedule(struct text *out, const char *name, int64_t time)
{
    int64_t other = g.options.schedule_other;

    if (other == OTHER_ABSENT) return;
    text_printf(out, ",\"%s\":", name);
    if (other == OTHER_SAME && time != 0)
        put_time(out, time);
    else if (other == OTHER_ISO && time != 0)
        put_date(out, time);
    else
        put_no_time(out, other == OTHER_EMPTY || other == OTHER_ISO ? NONE_EMPTY
                         : other == OTHER_NULL                      ? NONE_NULL
                                                                    : NONE_ZERO);
}

static void field_schedule(struct text *out, int64_t time)
{
    static const char *const names[] = { "SchedulerStopTime", "StopSchedulerTime" };
    int64_t field = g.options.schedule_field, none = g.options.schedule_none;

    if (field == FIELD_NONE) return;
    if (time != 0 || none != NONE_ABSENT) {
        text_printf(out, ",\"%s\":", names[field]);
        if (time != 0)
            put_time(out, time);
        else
            put_no_time(out, none);
    }
    field_other_schedule(out, names[1 - field], time);
}

static void field_name(struct text *out, const struct instance *it)
{
    static const char *const odd[] = { "", "null", "4090", "{\"zh\":[\"训练机\"]}" };

    if (g.options.odd_name == NAME_ABSENT) return;
    text_string(out, ",\"Name\":");
    if (g.options.odd_name == NAME_TEXT)
        text_json(out, it->name);
    else
        text_string(out, odd[g.options.odd_name]);
}

static void fields_identity(struct text *out, const struct instance *it, const char *state)
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
    text_printf(out, ",\"UHostId\":\"%s\"", id);
    field_name(out, it);
    text_string(out, ",\"Tag\":\"Default\",\"Remark\":\"\\u7528\\u4e8e\\u8bad\\u7ec3 \\ud83d\\udd25 大模型微调\","
                "\"State\":");
    text_json(out, state);
    text_string(out, ",\"ChargeType\":");
    text_json(out, it->charge);
    text_printf(out, ",\"UUID\":\"5d0c2f8e-7b1a-4c3d-9e6f-%012zu\",\"InstanceType\":\"UHost\",\"IsPod\":false,"
                "\"PodId\":null,\"HostIp\":\"\",\"SetId\":0", instance_number(it));
}

/* Every member that nothing is decided by has a type that nobody expects. */
static void fields_wild(struct text *out)
{
    text_string(out,
        ",\"MachineType\":{},\"GpuType\":[4090],\"GPU\":\"one\",\"CPU\":true,"
        "\"Memory\":{\"MB\":65536},"
        "\"CreateTime\":{\"s\":1},\"ExpireTime\":[],\"StartTime\":\"soon\",\"UpdateTime\":1e400,"
        "\"StopTime\":\"none\",\"InstancePrice\":\"a lot\",\"IPSet\":\"none\",\"DiskSet\":7,"
        "\"Softwares\":\"\",\"Password\":0,\"AutoRenew\":null,\"OsName\":-0.0");
}

static void fields_hardware_and_image(struct text *out)
{
    text_printf(out, ",\"GPU\":%s", g.options.odd_gpu ? "0.5" : "1");
    text_string(out,
        ",\"MachineType\":\"G\",\"GpuType\":\"4090\",\"CPU\":16,\"Memory\":\"65536\","
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
static void fields_created(struct text *out, const struct instance *it)
{
    const char *quote = instance_number(it) % 2 == 0 ? "\"" : "";

    if (g.options.odd_times)
        text_string(out, ",\"CreateTime\":\"2026-11-30 10:00:00\",\"ExpireTime\":-1");
    else
        text_printf(out, ",\"CreateTime\":%s1712044800%s,\"ExpireTime\":%s0%s", quote, quote, quote,
                    quote);
}

/* StopTime is the time of the last stop where it is anything at all: never the plan. */
static void fields_schedule(struct text *out, const struct instance *it, enum odd odd)
{
    int64_t stopped_at = it->stopped_at != 0 ? it->stopped_at : 1712048600;

    if (!g.options.wild)
        text_printf(out, ",\"StopTime\":%" PRId64, g.options.last_stop ? stopped_at : 0);
    if (odd != ODD_NO_SCHEDULE)
        field_schedule(out, it->shown_schedule);
}

static void fields_times_and_price(struct text *out, const struct instance *it, const char *state,
                                   int64_t now)
{
    bool running = strcmp(state, "Running") == 0;

    fields_created(out, it);
    text_printf(out, ",\"StartTime\":1712045000,\"UpdateTime\":1712045012,\"ReleaseTime\":%" PRId64,
                running ? INT64_C(0) : now + 7 * 86400);
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

enum { BRIEF = 1, BRIEF_WITH_SCHEDULE };

static void put_instance(struct text *out, const struct instance *it, const struct call *call)
{
    const char *state = call->odd == ODD_STATE ? g.options.odd_state : it->shown_state;
    size_t number = instance_number(it);

    fields_identity(out, it, state);
    if (g.options.wild) {
        fields_wild(out);
    } else if (g.options.brief == BRIEF_WITH_SCHEDULE) {
        text_printf(out, ",\"GPU\":%s", g.options.odd_gpu ? "0.5" : "1");
        fields_created(out, it);
    } else if (!g.options.brief) {
        fields_hardware_and_image(out);
        fields_network(out, number);
        fields_disks(out, number);
        fields_times_and_price(out, it, state, call->now);
    }
    if (g.options.brief != BRIEF)
        fields_schedule(out, it, call->odd);
    if (!g.options.brief && !g.options.wild)
        fields_access(out, number);
    else
        text_string(out, "}");
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
        if (strcmp(id, wanted) == 0) return strcmp(id, g.options.forget_project) != 0;
    }
    return false;
}

/* What a request without ProjectId reaches is an option. */
static bool project_has(const char *wanted, const struct instance *it)
{
    if (wanted == NULL && !g.options.unnamed_project) return true;
    return strcmp(wanted != NULL ? wanted : DEFAULT_PROJECT, it->project) == 0;
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
        if (strcmp(*names, "ProjectId") == 0 && g.options.project_optional) continue;
        if (strcmp(*names, "ProjectId") == 0)
            return refuse(call, (int)g.options.project_missing_code,
                          "Params [ProjectID] not available");
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

/* The instance that a call names, in the project that it names. */
static int find_instance(struct call *call, const char *const *required, struct instance **found)
{
    int code = require(call, required);

    if (code == OK)
        code = check_project(call);
    if (code != OK) return code;
    *found = instance_find(given(call, "UHostId"));
    if (*found == NULL || !project_has(given(call, "ProjectId"), *found))
        return refuse(call, (int)g.options.gone_code, "UHost [%s] not found",
                      given(call, "UHostId"));
    return OK;
}

/* Region and Zone, where given, must be the instance's own. */
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

static void field_default(struct text *out, bool is_default)
{
    static const char *const no[] = { "false", "0", "\"false\"", "\"0\"", "{\"Value\":false}" };
    static const char *const yes[] = { "true", "1", "\"true\"", "\"1\"", "{\"Value\":true}" };
    int64_t type = g.options.is_default_type;

    if (type != DEFAULT_ABSENT)
        text_printf(out, ",\"IsDefault\":%s", is_default ? yes[type] : no[type]);
}

static size_t project_size(const char *id)
{
    size_t size = 0;

    for (size_t i = 0; i < g.fleet_size; i++)
        size += !g.fleet[i].gone && strcmp(g.fleet[i].project, id) == 0;
    return size;
}

static void put_project(struct text *out, int64_t index, const char *id)
{
    bool is_default = index == default_project_index();

    text_printf(out, "{\"ProjectId\":\"%s\",\"ProjectName\":", id);
    text_string(out, g.options.wild ? "null" : is_default ? "\"默认项目\"" : "\"其他项目\"");
    text_printf(out, ",\"ParentId\":\"\",\"ParentName\":\"\",\"CreateTime\":%" PRId64,
                INT64_C(1480000000) + index);
    field_default(out, is_default && !g.options.no_default);
    text_printf(out, ",\"ResourceCount\":%zu,\"MemberCount\":2}", project_size(id));
}

static int get_project_list(struct call *call)
{
    struct text *out = &call->fields;
    int64_t count = 0;
    char id[32];

    if (g.options.projects_code != 0)
        return refuse(call, (int)g.options.projects_code, "Permission denied: GetProjectList");
    text_string(out, ",\"ProjectSet\":[");
    for (int64_t i = 0; i < g.options.projects; i++) {
        project_id(i, id);
        if (!project_known(id)) continue;
        if (count++ > 0)
            text_string(out, ",");
        put_project(out, i, id);
    }
    text_printf(out, "],\"ProjectCount\":%" PRId64, count);
    return OK;
}

/* Whether UHostIds.N names it; without any of these every instance is meant. */
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

static bool filter_off(const char *name)
{
    return list_has(g.options.ignore_filter, name);
}

/* Whether Describe lists it: every filter that is given and not switched off fits. */
static bool is_wanted(const struct call *call, const struct instance *it)
{
    const char *region = given(call, "Region"), *zone = given(call, "Zone"), *project = given(call, "ProjectId");
    char own_region[32], id[32];

    if (it->gone) return false;
    instance_id(it, id);
    region_of(it->zone, own_region);
    return (region == NULL || filter_off("Region") || strcmp(region, own_region) == 0) &&
           (zone == NULL || filter_off("Zone") || strcmp(zone, it->zone) == 0) &&
           (filter_off("ProjectId") || project_has(project, it)) &&
           (filter_off("UHostIds") || id_is_listed(call->params, id));
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

/* A Zone must stand in the Region that is given with it. */
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

    int64_t total = g.options.total_all ? (int64_t)fleet_present() : matched;

    total += g.options.total_extra;
    if (g.options.total_name != TOTAL_ABSENT)
        text_printf(out, ",\"%s\":%" PRId64, names[g.options.total_name], total > 0 ? total : 0);
}

/* Up to five names in "a,b,c", as an array; `store` holds them. */
static void split_names(const char *list, char store[64], const char *names[6])
{
    size_t count = 0;

    snprintf(store, 64, "%s", list);
    while (*store != '\0' && count < 5) {
        char *comma = strchr(store, ',');

        names[count++] = store;
        if (comma == NULL) break;
        *comma = '\0';
        store = comma + 1;
    }
    names[count] = NULL;
}

static int check_describe(struct call *call)
{
    const char *names[6];
    char store[64];
    int code;

    split_names(g.options.describe_requires, store, names);
    if ((code = require(call, names)) == OK)
        code = check_project(call);
    return code == OK ? check_zone_filter(call) : code;
}

/* The page of the list; *matched becomes how many there are in all. */
static bool put_page(struct call *call, int64_t offset, int64_t limit, int64_t *matched)
{
    struct text *out = &call->fields;
    bool any = false;

    *matched = 0;
    for (size_t i = 0; i < g.fleet_size && call->odd != ODD_EMPTY; i++) {
        const struct instance *it = &g.fleet[g.options.newest_first ? g.fleet_size - 1 - i : i];

        if (!is_wanted(call, it)) continue;
        if (*matched >= offset && *matched < offset + limit) {
            text_string(out, any ? "," : "[");
            put_instance(out, it, call);
            any = true;
        }
        ++*matched;
    }
    return any;
}

static int describe_instance(struct call *call)
{
    const char *id = given(call, "UHostIds.0");
    int64_t offset, limit, matched;
    struct text *out = &call->fields;
    bool any;
    int code;

    if ((code = page_number(call, "Offset", 0, INT32_MAX, &offset)) != OK ||
        (code = page_number(call, "Limit", 20, 100, &limit)) != OK ||
        (code = check_describe(call)) != OK)
        return code;
    if (g.options.ignore_offset)
        offset = 0;
    if (g.options.page_cap != 0 && limit > g.options.page_cap)
        limit = g.options.page_cap;
    text_string(out, ",\"UHostSet\":");
    any = put_page(call, offset, limit, &matched);
    if (matched == 0 && id != NULL && call->odd != ODD_EMPTY && g.options.gone_describe)
        return refuse(call, (int)g.options.gone_code, "UHost [%s] not found", id);
    if (g.options.offset_code != 0 && offset > 0 && offset >= matched)
        return refuse(call, (int)g.options.offset_code, "Params [Offset] is beyond the list");
    text_string(out, any ? "]" : g.options.null_lists ? "null" : "[]");
    field_total(out, matched);
    return OK;
}

static int64_t to_the_minute(int64_t time)
{
    if (g.options.rounding == ROUND_NONE) return time;
    return (time + (g.options.rounding == ROUND_UP ? 59 : 0)) / 60 * 60;
}

/* Every time that is given is judged, also one that nothing is done with. */
static int check_times(struct call *call, const char *const *names)
{
    int64_t now = g.options.floor_ms ? call->now_ms : call->now * 1000, time;

    for (; *names != NULL; names++) {
        if (given(call, *names) == NULL) continue;
        if (!parse_integer(given(call, *names), &time))
            return refuse(call, PARAM_FORMAT, "Params [%s] is not an integer", *names);
        if (time < 0 || time > LAST_SECOND || time * 1000 < now + STOP_TIME_FLOOR * 1000)
            return refuse(call, PARAM_RANGE, "定时关机时间必须晚于当前时间至少 5 分钟 [%s]",
                          *names);
    }
    return OK;
}

static int check_update(struct call *call, struct instance **it)
{
    const char *required[10] = { "Region", "Zone", "ProjectId", "UHostId" };
    char store[64];
    int code;

    split_names(g.options.scheduler_param, store, required + 4);
    if ((code = find_instance(call, required, it)) != OK ||
        (code = check_times(call, required + 4)) != OK || (code = check_place(call, *it)) != OK)
        return code;
    if (strcmp((*it)->charge, "Spot") == 0)
        return refuse(call, PARAM_CONFLICT,
                      "Spot instance is unsupported: 抢占式实例不支持定时关机");
    if (strcmp((*it)->state, "Running") != 0)
        return refuse(call, STATE_WRONG, "Instance state [%s] is not Running", (*it)->state);
    return OK;
}

/* A name that is honoured and not given is a change of nothing, and a success. */
static int update_stop_scheduler(struct call *call)
{
    const char *honoured = g.options.scheduler_honours, *names[6];
    char store[64];
    struct instance *it;
    int64_t time;
    int code = check_update(call, &it);

    if (code != OK) return code;
    split_names(honoured[0] != '\0' ? honoured : g.options.scheduler_param, store, names);
    if ((code = check_times(call, names)) != OK) return code;
    if (names[0] != NULL && given(call, names[0]) != NULL &&
        parse_integer(given(call, names[0]), &time))
        schedule_change(it, to_the_minute(time), call->now);
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
    if (code == OK && (it->schedule != 0 || it->shown_schedule != 0))
        schedule_change(it, 0, call->now);
    return code;
}

/* Where it takes time, the state is `meanwhile` first. */
static int change_power(struct call *call, const char *from, const char *meanwhile, const char *to)
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
    state_change(it, g.options.power_takes > 0 ? meanwhile : to, call->now);
    if (g.options.power_takes > 0) {
        it->settles_at = call->now + g.options.power_takes;
        copy_string(it->settles_to, sizeof it->settles_to, to);
    }
    it->reboots += strcmp(from, to) == 0;
    answer_with_id(call, it);
    return OK;
}

static int stop_instance(struct call *call)
{
    return change_power(call, "Running", "Stopping", "Stopped");
}

static int start_instance(struct call *call)
{
    return change_power(call, "Stopped", "Starting", "Running");
}

static int reboot_instance(struct call *call)
{
    return change_power(call, "Running", "Rebooting", "Running");
}

/* One row of a price list; fen of 100 to a yuan. */
static void put_price(struct text *out, const char *list, const char *charge_type, int64_t fen)
{
    text_printf(out, ",\"%s\":[{\"ChargeType\":\"%s\",\"Instance\":%" PRId64 ".%02" PRId64
                     ",\"Disks\":0,\"SystemDisks\":0,\"CompShareImage\":0}]",
                list, charge_type, fen / 100, fen % 100);
}

/* One price: 1.58 yuan an hour for a card, or 24 or 720 times as much. */
static int get_instance_price(struct call *call)
{
    static const char *const required[] = { "Region", "Zone", "GpuType", "Gpu", "Cpu", "Memory", NULL };
    const char *charge_type = given(call, "ChargeType");
    int64_t cards = 0, hours = 1;
    int code = require(call, required);

    if (code == OK)
        code = page_number(call, "Gpu", 0, 10, &cards);
    if (code != OK) return code;
    if (charge_type == NULL) charge_type = "Postpay";
    if (strcmp(charge_type, "Day") == 0) hours = 24;
    if (strcmp(charge_type, "Month") == 0) hours = 720;
    put_price(&call->fields, "PriceDetails", charge_type, 158 * cards * hours);
    put_price(&call->fields, "OriginalPriceDetails", charge_type, 168 * cards * hours);
    put_price(&call->fields, "ListPriceDetails", charge_type, 188 * cards * hours);
    return OK;
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
        { "GetCompShareInstancePrice", get_instance_price },
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

/* The counters of one action; the last of TALLIES_MAX takes what is too many. */
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

/* User, signature and token, refused in the API's order. */
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

/* ---- odd readings and late requests ---------------------------------------- */

/* How the Describe that is being answered differs from all others. */
static enum odd odd_reading(int64_t now)
{
    struct options *o = &g.options;

    if (o->odd == ODD_NONE) return ODD_NONE;
    if (o->odd_after > 0) {
        o->odd_after--;
        return ODD_NONE;
    }
    if (o->odd_next == 0) return now < o->odd_until ? (enum odd)o->odd : ODD_NONE;
    o->odd_next--;
    return (enum odd)o->odd;
}

/* Keeps a call, to be executed late_seconds from now. */
static void late_add(const struct param_list *params, int64_t now)
{
    struct late *late = &g.late[g.late_count];

    if (g.late_count == LATE_MAX) return;
    memset(late, 0, sizeof *late);
    late->due = now + g.options.late_seconds;
    for (size_t i = 0; i < params->count; i++) {
        const struct param *item = &params->items[i];

        params_add(&late->params, item->name, item->name_len, item->value, item->value_len);
    }
    g.late_count++;
}

static void late_remove(size_t index)
{
    params_free(&g.late[index].params);
    memmove(&g.late[index], &g.late[index + 1], (--g.late_count - index) * sizeof *g.late);
}

/* Executes what is due, in order, each at its own time, and lets the fleet live until now. */
static void catch_up(int64_t now)
{
    for (;;) {
        struct call call = { 0 };
        size_t next = 0;

        for (size_t i = 1; i < g.late_count; i++)
            if (g.late[i].due < g.late[next].due)
                next = i;
        if (g.late_count == 0 || g.late[next].due > now) break;
        call.params = &g.late[next].params;
        call.now = g.late[next].due;
        call.now_ms = call.now * 1000;
        fleet_until(call.now);
        (void)execute(&call, param_value(call.params, "Action"));
        text_free(&call.fields);
        late_remove(next);
    }
    fleet_until(now);
}

/* ---- composing ------------------------------------------------------------- */

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

/* An answer in the place of the true one: an error page, or a RetCode. */
static void answer_injected(struct answer *answer, struct call *call, const char *action,
                            int64_t http, int64_t code)
{
    const char *message = g.options.fail_message;

    if (http != 0) {
        answer_error_page(answer, (unsigned)http);
        return;
    }
    refuse(call, 0, "%s", message[0] != '\0' ? message : "injected failure");
    compose(answer, call, action, (int)code);
}

/* True: the request is not executed now. */
static bool answer_disturbed(struct answer *answer, struct call *call, const char *name)
{
    if (consume(&g.options.drop_before, name)) {
        answer->drop = true;
    } else if (consume(&g.options.fail_next, name)) {
        answer_injected(answer, call, name, g.options.fail_http, g.options.fail_code);
    } else if (consume(&g.options.late_next, name)) {
        late_add(call->params, call->now);
        answer->drop = true;
    } else {
        return false;
    }
    return true;
}

/* An odd reading that is no reading at all. */
static void answer_odd(struct answer *answer, enum odd odd)
{
    if (odd == ODD_CUT_JSON) {
        answer->body.len /= 2;
    } else if (odd == ODD_HTML || odd == ODD_HTTP_502) {
        text_free(&answer->body);
        answer_error_page(answer, odd == ODD_HTML ? MHD_HTTP_OK : MHD_HTTP_BAD_GATEWAY);
    }
}

/* What somebody else does as soon as the next call of an action is over. */
static void somebody_else(const char *name)
{
    char once[sizeof g.options.then_set];

    if (name[0] == '\0' || strcmp(g.options.then_action, name) != 0) return;
    g.options.then_action[0] = '\0';
    memcpy(once, g.options.then_set, sizeof once);
    catch_up(server_now());
    (void)set_row(once);
}

/* Judges one request whose parameters are parsed; `malformed` is the parser's RetCode. */
static void judge(struct answer *answer, const struct param_list *params, int malformed)
{
    struct call call = { .params = params, .now = server_now() };
    const char *action = param_value(params, "Action"), *name = action != NULL ? action : "";
    int code;

    call.now_ms = fake_ms() + g.options.clock_offset * 1000;
    catch_up(call.now);
    if (action != NULL)
        tally_of(action)->requests++;
    if (answer_disturbed(answer, &call, name)) return;
    if (strcmp(name, "DescribeCompShareInstance") == 0)
        call.odd = odd_reading(call.now);
    if (malformed != OK)
        code = refuse(&call, malformed, malformed == PARAM_CONFLICT ? "Duplicate parameter" : "Malformed body");
    else
        code = execute(&call, action);
    if (g.options.reply_retcode != 0)
        code = refuse(&call, (int)g.options.reply_retcode, "injected RetCode");
    if (consume(&g.options.hide_next, name))
        answer_injected(answer, &call, name, g.options.hide_http, g.options.hide_code);
    else
        compose(answer, &call, name, code);
    answer_odd(answer, call.odd);
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

/* GnuTLS asks for a session to be kept; the oldest of SESSIONS_MAX gives way. */
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

/* A new TCP connection: it is counted, and gets its limits. */
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

/* The thread that resumes connections whose delay is over. */
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

/* Parses, records and judges one API request. */
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
    somebody_else(g.last.action.data);
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

/* The body at once, or in pieces where it is chunked or cut in the middle. */
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

/* MHD_NO ends the connection without an answer. */
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

/* Counts a request whose head has come; drop_before may end it here. */
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

/* libmicrohttpd calls this for the head, for each part of the body, and for its end. */
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

/* A request is over; drop_idle ends the connection a while later. */
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

    catch_up(server_now());
    stats = json_pack("{s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:o}",
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
                      "late", (json_int_t)g.late_count,
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
    while (g.late_count > 0)
        late_remove(0);
    g.frozen = false;
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
    catch_up(server_now());
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

/* Options are taken with /reset and /stats, too: after the one, before the other. */
static enum MHD_Result control_settings(struct MHD_Connection *connection, bool needed, bool stats)
{
    struct setting setting = { 0 };

    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, on_setting, &setting);
    if (!g.options.session_cache)
        sessions_forget();
    if (setting.bad) return control_text(connection, MHD_HTTP_BAD_REQUEST, setting.why);
    if (setting.count == 0 && needed)
        return control_text(connection, MHD_HTTP_BAD_REQUEST, "nothing to set");
    if (stats) return control_reply(connection, MHD_HTTP_OK, "application/json", stats_json());
    return control_text(connection, MHD_HTTP_OK, "ok");
}

static enum MHD_Result control_reset(struct MHD_Connection *connection)
{
    char why[256];

    memset(&g.counters, 0, sizeof g.counters);
    record_free(&g.last);
    start_state(why, sizeof why);
    return control_settings(connection, false, false);
}

/* /reset, /set and /stats; all may set options. */
static enum MHD_Result control_world(struct MHD_Connection *connection, const char *path)
{
    enum MHD_Result result;

    pthread_mutex_lock(&g.lock);
    if (strcmp(path, "/reset") == 0)
        result = control_reset(connection);
    else
        result = control_settings(connection, strcmp(path, "/set") == 0,
                                  strcmp(path, "/stats") == 0);
    pthread_mutex_unlock(&g.lock);
    return result;
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
    if (strcmp(path, "/set") == 0 || strcmp(path, "/stats") == 0 || strcmp(path, "/reset") == 0)
        return control_world(connection, path);
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
    "  --dialects                list the dialects, one a line: name, options, later options,\n"
    "                            id, region, zone, project, schedule lag, state lag, what may\n"
    "                            come of it, sentence; with tabs between, - for nothing\n"
    "  --verbose                 one line per API request on stderr\n"
    "  --help\n";

static int64_t number_argument(const char *name, const char *text, int64_t max)
{
    int64_t value;

    if (!parse_integer(text, &value) || value < 0 || value > max)
        die(EXIT_USAGE, "--%s wants an integer from 0 to %" PRId64, name, max);
    return value;
}

static const char *or_dash(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : "-";
}

static void list_dialects(void)
{
    for (size_t i = 0; i < DIALECT_COUNT; i++) {
        const dialect *row = &dialects[i];
        const char *comma = "";

        printf("%s\t%s\t%s\t%s\t", row->name, or_dash(row->options), or_dash(row->later),
               row->id != NULL ? row->id : "uhost-0001");
        printf("%s\t%s\t%s\t%d\t%d\t", or_dash(row->region), or_dash(row->zone),
               or_dash(row->project), row->schedule_lag, row->state_lag);
        for (size_t bit = 0; bit < COUNT(dialect_words); bit++)
            if (row->may & 1U << bit) {
                printf("%s%s", comma, dialect_words[bit]);
                comma = ",";
            }
        printf("%s\t%s\n", row->may == 0 ? "-" : "", row->sentence);
    }
}

static void setup_defaults(struct setup *setup, size_t options_at_most)
{
    setup->public_key = "ucloudsomeone@example.com1296235120854146120";
    setup->private_key = "46f09bb9fab4f12dfc160dae12273d5332b5debe";
    setup->clock = -1;
    setup->instances = 3;
    setup->replay = reallocate(NULL, options_at_most * sizeof *setup->replay);
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
        { "dialects", no_argument, NULL, 'd' },         { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 }
    };
    struct setup *setup = &g.setup;
    int option;

    setup_defaults(setup, (size_t)argc);
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
        case 'd': list_dialects(); exit(0);
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
    fleet_free();
    while (g.late_count > 0)
        late_remove(0);
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
