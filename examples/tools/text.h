/* ==== text ========================================================================

   Does:  writes what people and programs read: lines with the program's name in front,
          refusals, lines that are broken at column 80, objects in JSON.
   May:   write to standard output and standard error; ask the terminal for its mode.
   Never: decides an exit status. */

static bool as_json, verbose;
static int only_failure;        /* the one exit status that failures have; 0: each has its own */
static bool terminal_shared;    /* a command runs, and the terminal may be its */

/* Whether a full-screen program has the terminal, or nothing can be written to it now
   (Ctrl-S, a pipe that nobody reads): renewals must not wait for that. */
static bool terminal_is_taken(void)
{
    struct pollfd to = { STDERR_FILENO, POLLOUT, 0 };
    struct termios mode;
    if (!terminal_shared) return false;
    return (tcgetattr(STDERR_FILENO, &mode) == 0 && !(mode.c_lflag & ICANON))
        || poll(&to, 1, 0) == 0;
}

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
    (void)fputs(PROGRAM ": ", stderr);
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

static void json_text(const char *key, const char *text)
{
    json_key(key);
    json_string(text);
}

static void json_number(const char *key, int64_t number)
{
    json_key(key);
    (void)printf("%lld", (long long)number);
}

static void json_word(const char *key, const char *word)
{
    json_key(key);
    (void)fputs(word, stdout);
}

static void json_truth(const char *key, bool truth) { json_word(key, truth ? "true" : "false"); }
static void json_null(const char *key) { json_word(key, "null"); }

static void json_end(void)
{
    (void)puts(json_open ? "}" : "{}");
    json_open = false;
}

static void json_error(int code, const char *text)
{
    json_key("error");
    (void)printf("{\"exit_status\":%d,\"outcome_unknown\":%s,\"text\":", code,
        code == UNCONFIRMED ? "true" : "false");
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
    if (as_json) {
        json_error(only_failure != 0 ? only_failure : code, text);
        json_end();
    } else {
        (void)fprintf(stderr, PROGRAM ": %s\n", text);
    }
    return code;
}

/* ---- lines of standard output, broken at column 80 ---- */

/* Where the line on standard output stands, and how far the next piece of it is. */
static int column, gap;

/* A piece of a line, in a field of some columns; one that passes column 80 goes on the next. */
static void put(int field, const char *text)
{
    int columns = width(text);
    if (text[0] == '\0') return;
    if (column > 0 && column + gap + columns > 80) {
        (void)fputs("\n    ", stdout);
        column = 4;
        gap = 0;
    }
    (void)printf("%*s%s", gap, "", text);
    column += gap + columns;
    gap = (field > columns ? field - columns : 0) + 2;
}

static void end_line(void)
{
    (void)putchar('\n');
    column = gap = 0;
}

static void put_form(int message, const char *text)
{
    char line[128];
    (void)snprintf(line, sizeof line, tr(message), text);
    put(0, line);
}

/* Cuts a text that takes more columns than these. */
static void cut(char *text, int columns)
{
    size_t len = strlen(text);
    if (width(text) <= columns) return;
    while (width(text) > columns - 3) {
        do len--; while ((text[len] & 0xC0) == 0x80);
        text[len] = '\0';
    }
    memcpy(text + len, "...", sizeof "...");
}
