/* compshare-invoke [OPTION...] [--reveal] [--print PATH] ACTION [Name=value ...]
   Calls any action of the API and prints its reply; passwords, tokens and URLs in
   it are masked without --reveal. --print UHostSet.0.State prints one value only.
   Keys, profile, region, zone, project, proxy and language are found as by
   compshare-schedule. Exit status: 0 done, 1 usage, configuration or credentials,
   3 refused by the API, 4 not executed, 5 outcome unknown, or it could not be printed,
   6 done, but the reply has nothing at PATH. compshare-invoke(1) has it in full. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64    /* else stat fails for a large inode, where long has 32 bits */
#define PROGRAM "compshare-invoke"
#define MESSAGES(X) COMMON_MESSAGES(X) INVOKE_MESSAGES(X)
#include "base.h"
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"      /* the parts have more than it needs */
#endif
#include "print.h"
#include "messages.h"
#include "text.h"
#include "times.h"
#include "clock.h"
#include "options.h"
#include "account.h"

/* ==== invoke ====================================================================== */

enum { NOTHING_THERE = 6 };

static unsigned char memory[1 << 20];   /* room for replies of many instances */
static char text[1 << 18];              /* one string of them, unescaped */

typedef struct options {
    common_options common;
    bool reveal;
    const char *path;           /* of the one value to be printed; NULL: all of them */
    const char *action;
    compshare_param params[COMPSHARE_MAX_PARAMS];
    size_t count;
} options;

#define OPTIONS(X) \
    X(REVEAL, "reveal", FLAG, reveal, EVERY) \
    X(PRINT, "print", TEXT, path, EVERY)

enum { OPTIONS(OPTION_ID) COMMON_OPTIONS(OPTION_ID) O_COUNT };
static const option_row option_table[] = { OPTIONS(OPTION_ROW) COMMON_OPTIONS(OPTION_ROW) };

/* The action, then Name=value. DONE, or the exit status. */
static int take_word_of(common_options *common, char *word)
{
    options *o = (options *)common;
    char *value = strchr(word, '=');
    if (o->action == NULL && value == NULL) {
        o->action = word;
        return DONE;
    }
    if (o->action == NULL) return refuse(USAGE, M_NO_ACTION);
    if (value == NULL) return refuse(USAGE, M_BAD_PARAM, word);
    if (o->count == COMPSHARE_MAX_PARAMS)
        return refuse(USAGE, M_MANY_PARAMS, (long)COMPSHARE_MAX_PARAMS);
    *value++ = '\0';
    o->params[o->count++] = compshare_text(word, value);
    return DONE;
}

static const grammar invoke_grammar = {
    option_table, COUNT(option_table), O_VERSION, O_HELP, NULL, take_word_of
};

/* How it is written, below what was wrong. */
static int show_usage(void)
{
    (void)fprintf(stderr, "%s %s\n", tr(M_USAGE), tr(M_INVOKE_FORM));
    return USAGE;
}

/* Reads the whole command line. -1: go on; else the exit status. */
static int read_options(options *o, int argc, char **argv)
{
    char **word;
    int code = read_words(&invoke_grammar, &o->common, argc, argv);
    for (word = o->common.rest; code == DONE && word != NULL && *word != NULL; word++)
        code = take_word_of(&o->common, *word);
    verbose = o->common.verbose;
    if (code != DONE) return show_usage();
    if (o->common.version) print_version();
    else if (o->common.help)
        (void)printf("%s %s\n%s", tr(M_USAGE), tr(M_INVOKE_FORM), tr(M_INVOKE_HELP));
    if (o->common.version || o->common.help) return DONE;
    if (o->action != NULL) return -1;
    say(M_NO_ACTION);
    return show_usage();
}

/* ---- what may be shown ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t a = strlen(s), b = strlen(end);
    return a >= b && strcasecmp(s + a - b, end) == 0;
}

/* What gives access to an instance, by the name of its member. */
static bool is_secret(const char *key)
{
    static const char *const ends[] = { "password", "secret", "token", "url", "logincommand" };
    size_t i;
    for (i = 0; i < COUNT(ends); i++)
        if (ends_with(key, ends[i])) return true;
    return false;
}

/* What may steer a terminal: control characters, and marks that turn the direction of
   writing. */
static bool steers(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C || code == 0x200E
        || code == 0x200F || (code >= 0x2028 && code <= 0x202E)
        || (code >= 0x2066 && code <= 0x2069);
}

static bool is_layout(char c) { return c == '\n' || c == '\t' || c == '\r'; }

/* A string goes out unescaped where that is safe, so that a person can read it. */
static void print_text(const char *s, bool masked)
{
    (void)putchar('"');
    for (s = masked && *s != '\0' ? "***" : s; *s != '\0';) {
        uint32_t code;
        int n = next_code(s, &code);
        if (*s == '"' || *s == '\\') (void)printf("\\%c", *s);
        else if (n == 0) (void)printf("\\ufffd");
        else if (steers(code)) (void)printf("\\u%04x", (unsigned)code);
        else (void)fwrite(s, 1, (size_t)n, stdout);
        s += n > 0 ? n : 1;
    }
    (void)putchar('"');
}

/* A table goes into a file as it is; on a terminal what may steer it becomes '?'. */
static void print_table(compshare_view body)
{
    bool terminal = isatty(STDOUT_FILENO);
    char at[5];
    uint32_t code;
    size_t i = 0, left;
    while (i < body.len) {
        int n;
        memset(at, 0, sizeof at);       /* which ends a character that is cut off */
        left = body.len - i;
        memcpy(at, body.ptr + i, left < 4 ? left : 4);
        n = next_code(at, &code);
        if (terminal && (n == 0 || (steers(code) && !is_layout(*at))))
            (void)putchar('?');
        else
            (void)fwrite(at, 1, n > 0 ? (size_t)n : 1, stdout);
        i += n > 0 ? (size_t)n : 1;
    }
}

/* ---- the reply ---- */

static void print_value(compshare_value value, int depth, bool masked, bool reveal);

/* What is between the brackets. A member whose name says that it gives access is masked; an
   element of an array is what the array was. */
static void print_members(compshare_value value, int depth, bool masked, bool reveal)
{
    bool object = compshare_type(value) == COMPSHARE_OBJECT;
    compshare_value at = compshare_first(value);
    const char *comma = "\n";
    char key[128];
    for (; compshare_type(at) != COMPSHARE_NONE; at = compshare_next(at), comma = ",\n") {
        bool hide = masked;
        (void)printf("%s%*s", comma, 2 * (depth + 1), "");
        if (object) {
            if (compshare_copy_key(at, key, sizeof key) < 0)
                (void)snprintf(key, sizeof key, "%s", "(long name)");
            print_text(key, false);
            (void)printf(": ");
            hide = !reveal && is_secret(key);
        }
        print_value(at, depth + 1, hide, reveal);
    }
}

/* One value, so many levels deep. */
static void print_value(compshare_value value, int depth, bool masked, bool reveal)
{
    int type = compshare_type(value);
    bool object = type == COMPSHARE_OBJECT, yes = false;
    compshare_view number = compshare_number_text(value);
    if (type == COMPSHARE_STRING) {
        bool fits = compshare_copy_text(value, text, sizeof text) >= 0;
        print_text(fits ? text : "(too long)", masked);
    } else if (type == COMPSHARE_NUMBER) {
        (void)fwrite(number.ptr, 1, number.len, stdout);
    } else if (type == COMPSHARE_BOOL) {
        (void)printf("%s", compshare_as_bool(value, &yes) && yes ? "true" : "false");
    } else if (type != COMPSHARE_ARRAY && !object) {
        (void)printf("null");
    } else if (compshare_count(value) == 0) {
        (void)printf("%s", object ? "{}" : "[]");
    } else {
        (void)putchar(object ? '{' : '[');
        print_members(value, depth, masked, reveal);
        (void)printf("\n%*s%c", 2 * depth, "", object ? '}' : ']');
    }
}

/* One step of "UHostSet.0.State"; none where there is nothing. */
static compshare_value step(compshare_value value, const char *part)
{
    char *end;
    unsigned long index = strtoul(part, &end, 10);
    bool number = isdigit((unsigned char)part[0]) && *end == '\0';
    bool array = compshare_type(value) == COMPSHARE_ARRAY;
    size_t count = array && number ? compshare_count(value) : 0;
    if (index >= count) return compshare_get(value, part);      /* by name: no array has any */
    for (value = compshare_first(value); index > 0; index--) value = compshare_next(value);
    return value;
}

static compshare_value find(compshare_value value, const char *path)
{
    char part[128];
    size_t n;
    if (*path == '\0') return value;
    for (;; path += n + 1) {
        n = strcspn(path, ".");
        (void)snprintf(part, sizeof part, "%.*s", (int)n, path);
        value = step(value, part);
        if (path[n] == '\0') return value;
    }
}

/* The reply, or what stands at --print in it. DONE, or NOTHING_THERE. */
static int print_reply(const options *o)
{
    compshare_value at = compshare_reply(client);
    bool table = compshare_type(at) == COMPSHARE_NONE;      /* CSV */
    bool masked = o->path != NULL && !o->reveal && is_secret(o->path);
    if (o->path != NULL) at = find(at, o->path);
    if (o->path != NULL && compshare_type(at) == COMPSHARE_NONE) {
        say(M_NOTHING_AT, o->path);
        return NOTHING_THERE;
    }
    if (table) {
        print_table(compshare_body(client));
    } else {
        print_value(at, 0, masked, o->reveal);
        (void)putchar('\n');
    }
    return DONE;
}

/* ---- main ---- */

static int call(const options *o)
{
    int status = compshare_call(client, o->action, o->params, o->count);
    if (status == COMPSHARE_OK) return print_reply(o);
    say(M_FAILED, error_text());
    if (status == COMPSHARE_E_PARAM) return USAGE;
    if (compshare_last_error(client)->outcome_unknown) return UNCONFIRMED;
    return compshare_last_error(client)->ret_code != 0 ? REFUSED : NETWORK;
}

int main(int argc, char **argv)
{
    static options o;
    int code;
    hide_secrets();
    guess_language();
    code = read_options(&o, argc, argv);
    if (code != -1) return code;
    if (o.common.timeout == 0) o.common.timeout = 15;
    o.common.region = given_or(o.common.region, "COMPSHARE_REGION");
    if (o.common.region == NULL) o.common.region = "cn-wlcb";
    if (open_client(&o.common, false, memory, sizeof memory) != DONE) return USAGE;
    code = call(&o);
    close_client();
    return fflush(stdout) != 0 || ferror(stdout) ? UNCONFIRMED : code;
}
