/* ---- lines on a terminal, objects in JSON ---- */

static bool as_json, verbose;
static bool leasing;            /* the verb is run: what fails before its command fails with 125 */
static int ended_by;            /* the signal that has ended the command of run */

static void out(FILE *to, int message, ...)
{
    va_list args;
    va_start(args, message);
    (void)vfprintf(to, tr(message), args);
    va_end(args);
}

/* A line about the program itself, on standard error. */
static void say(int message, ...)
{
    va_list args;
    va_start(args, message);
    (void)fputs("compshare-schedule: ", stderr);
    (void)vfprintf(stderr, tr(message), args);
    (void)fputc('\n', stderr);
    va_end(args);
}

/* What is no UTF-8, as a name of the environment may be, or a text that was cut to fit,
   becomes U+FFFD. */
static void json_string(const char *text)
{
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        int n = character((const unsigned char *)text);
        if (n == 0) (void)printf("\\ufffd");
        else if (c == '"' || c == '\\') (void)printf("\\%c", c);
        else if (c < 0x20 || c == 0x7F) (void)printf("\\u%04x", c);
        else (void)fwrite(text, 1, (size_t)n, stdout);
        text += n > 1 ? n - 1 : 0;
    }
    (void)putchar('"');
}

/* Members of one object; the first call of a line opens it, json_end closes it. */
static bool json_open;

static void json_key(const char *key)
{
    (void)printf(json_open ? ",\"%s\":" : "{\"%s\":", key);
    json_open = true;
}

static void json_text(const char *key, const char *text) { json_key(key); json_string(text); }
static void json_number(const char *key, int64_t number) { json_key(key); (void)printf("%lld", (long long)number); }
static void json_truth(const char *key, bool truth) { json_key(key); (void)fputs(truth ? "true" : "false", stdout); }
static void json_null(const char *key) { json_key(key); (void)fputs("null", stdout); }
static void json_end(void) { (void)puts(json_open ? "}" : "{}"); json_open = false; }

static void json_error(int code, const char *text)
{
    json_key("error");
    (void)printf("{\"exit_status\":%d,\"outcome_unknown\":%s,\"text\":", code, code == UNCONFIRMED ? "true" : "false");
    json_string(text);
    (void)putchar('}');
}

/* What keeps the whole command from being done, as a line or an object. Returns code. */
static int refuse(int code, int message, ...)
{
    char text[1400];
    va_list args;
    va_start(args, message);
    (void)vsnprintf(text, sizeof text, tr(message), args);
    va_end(args);
    if (!as_json) return (void)fprintf(stderr, "compshare-schedule: %s\n", text), code;
    json_error(leasing ? UNARMED : code, text);
    json_end();
    return code;
}

