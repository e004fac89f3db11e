/* compshare-invoke [--reveal] [--print PATH] ACTION [Name=value ...]
   Calls any action of the API and prints its reply; passwords, tokens and URLs in
   it are masked without --reveal. --print UHostSet.0.State prints one value only.
   Environment: as stop_scheduler. Exit status: 0 done, 1 usage or configuration,
   3 refused by the API, 4 not executed, 5 outcome unknown. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <stdio.h>
#include <stdlib.h>

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

/* Strings go out unescaped where that is safe, so that a person can read them. */
static void print_text(compshare_value value, bool masked)
{
    const char *s = text;
    if (compshare_copy_text(value, text, sizeof text) < 0) s = "(too long)";
    putchar('"');
    for (s = masked && *s != '\0' ? "***" : s; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\') printf("\\%c", *s);
        else if ((unsigned char)*s < 0x20 || *s == 0x7F) printf("\\u%04x", (unsigned)(unsigned char)*s);
        else putchar(*s);
    }
    putchar('"');
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
    case COMPSHARE_STRING: print_text(value, masked); return;
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
        if (object) printf("\"%s\": ", key);
        print(at, depth + 1, !reveal && (object ? is_secret(key) : masked));
    }
    printf("\n%*s%c", 2 * depth, "", object ? '}' : ']');
}

/* Follows "UHostSet.0.State". */
static compshare_value find(compshare_value value, const char *path)
{
    char part[128];
    size_t n;
    while (*path != '\0') {
        for (n = 0; path[n] != '\0' && path[n] != '.' && n + 1 < sizeof part; n++) part[n] = path[n];
        part[n] = '\0';
        path += path[n] == '.' ? n + 1 : n;
        if (compshare_type(value) == COMPSHARE_OBJECT) { value = compshare_get(value, part); continue; }
        n = (size_t)strtoul(part, NULL, 10);
        for (value = compshare_first(value); n > 0; n--) value = compshare_next(value);
    }
    return value;
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
    config.region = getenv("COMPSHARE_REGION") != NULL ? getenv("COMPSHARE_REGION") : "cn-wlcb";
    config.zone = getenv("COMPSHARE_ZONE");
    config.project_id = getenv("COMPSHARE_PROJECT_ID");
    config.base_url = getenv("COMPSHARE_BASE_URL");
    config.ca_file = getenv("COMPSHARE_CA_FILE");
    if (compshare_open(&client, &config) != COMPSHARE_OK)
        return fprintf(stderr, "compshare-invoke: %s\n", compshare_open_text(&config, text, sizeof text)), 1;
    if (compshare_call(client, action, params, count) != COMPSHARE_OK) return failed(client);

    if (compshare_type(compshare_reply(client)) == COMPSHARE_NONE) {    /* CSV */
        compshare_view body = compshare_body(client);
        fwrite(body.ptr, 1, body.len, stdout);
    } else {
        print(path != NULL ? find(compshare_reply(client), path) : compshare_reply(client), 0, path != NULL && !reveal && is_secret(path));
        putchar('\n');
    }
    compshare_close(client);
    return fflush(stdout) == 0 ? 0 : 1;
}
