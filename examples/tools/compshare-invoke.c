/* compshare-invoke [--reveal] [--print PATH] ACTION [Name=value ...]
   Calls any action of the API and prints its reply; passwords, tokens and URLs in
   it are masked without --reveal. --print UHostSet.0.State prints one value only.
   Environment: as stop_scheduler, and COMPSHARE_SECURITY_TOKEN. Exit status: 0 done,
   1 usage or configuration, 3 refused by the API, 4 not executed, 5 outcome unknown,
   or it could not be printed, 6 done, but the reply has nothing at PATH. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned char memory[1 << 20];   /* room for replies of many instances */
static char text[1 << 18];
static bool reveal;

static bool ends_with(const char *s, const char *end)
{
    size_t a = strlen(s), b = strlen(end), i;
    if (a < b) return false;
    for (i = 0; i < b; i++)
        if ((s[a - b + i] | 0x20) != end[i]) return false;
    return true;
}

/* What gives access to an instance, by the name of its member. */
static bool is_secret(const char *key)
{
    return ends_with(key, "password") || ends_with(key, "secret") || ends_with(key, "token") || ends_with(key, "url") || ends_with(key, "logincommand");
}

/* What may steer a terminal: control characters, and marks that turn the direction of
   writing. The character at s, of so many bytes. */
static bool steers(const char *s, size_t bytes, unsigned *code)
{
    size_t i;
    *code = (unsigned char)*s & (0xFFu >> (bytes > 1 ? bytes + 1 : 0));
    for (i = 1; i < bytes; i++) *code = *code << 6 | ((unsigned char)s[i] & 0x3Fu);
    return *code < 0x20 || (*code >= 0x7F && *code < 0xA0) || *code == 0x61C || *code == 0x200E || *code == 0x200F
        || (*code >= 0x2028 && *code <= 0x202E) || (*code >= 0x2066 && *code <= 0x2069);
}

static size_t bytes_of(char first)
{
    unsigned char c = (unsigned char)first;
    return c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* Strings go out unescaped where that is safe, so that a person can read them. */
static void print_text(const char *s, bool masked)
{
    unsigned code;
    size_t n;
    putchar('"');
    for (s = masked && *s != '\0' ? "***" : s; *s != '\0'; s += n) {
        n = bytes_of(*s);
        if (*s == '"' || *s == '\\') printf("\\%c", *s);
        else if (steers(s, n, &code)) printf("\\u%04x", code);
        else printf("%.*s", (int)n, s);
    }
    putchar('"');
}

/* A table goes into a file as it is; on a terminal what may steer it becomes '?'. */
static void print_table(compshare_view body)
{
    bool terminal = isatty(STDOUT_FILENO);
    unsigned code;
    size_t i, n;
    for (i = 0; i < body.len; i += n) {
        const char *s = body.ptr + i;
        n = bytes_of(*s) <= body.len - i ? bytes_of(*s) : 1;
        if (terminal && *s != '\n' && *s != '\t' && *s != '\r' && steers(s, n, &code)) putchar('?');
        else fwrite(s, 1, n, stdout);
    }
}

static void print(compshare_value value, int depth, bool masked)
{
    int type = compshare_type(value);
    bool object = type == COMPSHARE_OBJECT, yes = false;
    compshare_value at;
    char key[128];
    const char *comma = "\n";
    compshare_view number;
    switch (type) {
    case COMPSHARE_STRING:
        print_text(compshare_copy_text(value, text, sizeof text) < 0 ? "(too long)" : text, masked);
        return;
    case COMPSHARE_NUMBER: number = compshare_number_text(value); printf("%.*s", (int)number.len, number.ptr); return;
    case COMPSHARE_BOOL: (void)compshare_as_bool(value, &yes); printf(yes ? "true" : "false"); return;
    case COMPSHARE_ARRAY: case COMPSHARE_OBJECT: break;
    default: printf("null"); return;
    }
    if (compshare_count(value) == 0) { printf(object ? "{}" : "[]"); return; }
    putchar(object ? '{' : '[');
    for (at = compshare_first(value); compshare_type(at) != COMPSHARE_NONE; at = compshare_next(at), comma = ",\n") {
        printf("%s%*s", comma, 2 * (depth + 1), "");
        if (object && compshare_copy_key(at, key, sizeof key) < 0) strcpy(key, "(long name)");
        if (object) print_text(key, false);
        if (object) printf(": ");
        print(at, depth + 1, !reveal && (object ? is_secret(key) : masked));
    }
    printf("\n%*s%c", 2 * depth, "", object ? '}' : ']');
}

/* One step of "UHostSet.0.State"; none where there is nothing. */
static compshare_value step(compshare_value value, const char *part)
{
    char *end;
    unsigned long index = strtoul(part, &end, 10);
    bool number = part[0] >= '0' && part[0] <= '9' && *end == '\0';
    size_t count = compshare_type(value) == COMPSHARE_ARRAY && number ? compshare_count(value) : 0;
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
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        value = step(value, part);
        if (path[n] == '\0') return value;
    }
}

static int failed(compshare *client)
{
    const compshare_error *error = compshare_last_error(client);
    int status = error->status == COMPSHARE_E_PARAM ? 1 : error->outcome_unknown ? 5 : error->ret_code != 0 ? 3 : 4;
    fprintf(stderr, "compshare-invoke: %s\n", compshare_error_text(client, text, sizeof text));
    compshare_close(client);
    return status;
}

int main(int argc, char **argv)
{
    static compshare_param params[COMPSHARE_MAX_PARAMS];
    compshare_config config = { 0 };
    compshare *client;
    compshare_value at;
    bool table, missing;
    const char *path = NULL, *action;
    size_t count = 0;
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--reveal") == 0) reveal = true;
        else if (strcmp(argv[i], "--print") == 0 && i + 1 < argc) path = argv[++i];
        else break;
    }
    action = i < argc && argv[i][0] != '-' ? argv[i++] : NULL;
    for (; action != NULL && i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value == NULL || count == COMPSHARE_MAX_PARAMS) { action = NULL; break; }
        *value++ = '\0';
        params[count++] = compshare_text(argv[i], value);
    }
    if (action == NULL) return fprintf(stderr, "usage: compshare-invoke [--reveal] [--print PATH] ACTION [Name=value ...]\n"), 1;

    config.memory = memory;
    config.memory_size = sizeof memory;
    config.public_key = getenv("COMPSHARE_PUBLIC_KEY");
    config.private_key = getenv("COMPSHARE_PRIVATE_KEY");
    config.security_token = getenv("COMPSHARE_SECURITY_TOKEN");
    config.region = getenv("COMPSHARE_REGION") != NULL ? getenv("COMPSHARE_REGION") : "cn-wlcb";
    config.zone = getenv("COMPSHARE_ZONE");
    config.project_id = getenv("COMPSHARE_PROJECT_ID");
    config.base_url = getenv("COMPSHARE_BASE_URL");
    config.ca_file = getenv("COMPSHARE_CA_FILE");
    if (compshare_open(&client, &config) != COMPSHARE_OK)
        return fprintf(stderr, "compshare-invoke: %s\n", compshare_open_text(&config, text, sizeof text)), 1;
    if (compshare_call(client, action, params, count) != COMPSHARE_OK) return failed(client);

    at = compshare_reply(client);
    table = compshare_type(at) == COMPSHARE_NONE;     /* CSV */
    if (path != NULL) at = find(at, path);
    missing = path != NULL && compshare_type(at) == COMPSHARE_NONE;
    if (missing) fprintf(stderr, "compshare-invoke: done, but the reply has nothing at %s\n", path);
    else if (table) print_table(compshare_body(client));
    else print(at, 0, path != NULL && !reveal && is_secret(path));
    if (!missing && !table) putchar('\n');
    compshare_close(client);
    return fflush(stdout) != 0 ? 5 : missing ? 6 : 0;
}
