/* ==== options =====================================================================

   Does:  reads a command line by a program's table of options, refuses what is not in it
          and names what was probably meant.
   May:   print refusals, the help's common end and the version; set the language.
   Never: knows a verb by name, or what an option is for. */

/* What an option's value is, and so where it is put. OTHER: grammar.take knows. */
enum { FLAG, TEXT, DURATION, TIME, LANGUAGE, RETRIES, OTHER };

typedef struct option_row {
    const char *name;
    int kind;
    unsigned of;                /* the verbs that take it, one bit each */
    size_t offset;              /* of its value in the program's options */
} option_row;

/* The options that all programs take. A program's options begin with them. */
typedef struct common_options {
    unsigned verb;              /* 0: none was read yet */
    bool given[64];             /* by row of the table */
    char **rest;                /* what stands behind a lone --; NULL: there is none */
    bool verbose, version, help;
    const char *region, *zone, *project_id, *profile, *base_url, *ca_file, *proxy;
    int64_t timeout;            /* in s; 0: the program's own */
    long retries;
    int lang;
} common_options;

#define EVERY 127u

#define COMMON_OPTIONS(X) \
    X(REGION, "region", TEXT, common.region, EVERY) \
    X(ZONE, "zone", TEXT, common.zone, EVERY) \
    X(PROJECT_ID, "project-id", TEXT, common.project_id, EVERY) \
    X(PROFILE, "profile", TEXT, common.profile, EVERY) \
    X(BASE_URL, "base-url", TEXT, common.base_url, EVERY) \
    X(CA_FILE, "ca-file", TEXT, common.ca_file, EVERY) \
    X(PROXY, "proxy", TEXT, common.proxy, EVERY) \
    X(TIMEOUT, "timeout", DURATION, common.timeout, EVERY) \
    X(RETRIES, "retries", RETRIES, common.retries, EVERY) \
    X(VERBOSE, "verbose", FLAG, common.verbose, EVERY) \
    X(LANG, "lang", LANGUAGE, common.lang, EVERY) \
    X(VERSION, "version", FLAG, common.version, EVERY) \
    X(HELP, "help", FLAG, common.help, EVERY)

/* How a program makes its table: an enum of O_..., and the rows. */
#define OPTION_ID(id, name, kind, member, of) O_##id,
#define OPTION_ROW(id, name, kind, member, of) { name, kind, of, offsetof(options, member) },

/* A program's command line. */
typedef struct grammar {
    const option_row *rows;
    size_t count;
    int version, help;          /* their rows */
    /* An option of kind OTHER. False: refused, and said why. */
    bool (*take)(common_options *o, int id, const char *name, const char *value);
    /* A word that is no option. DONE, or the exit status. */
    int (*argument)(common_options *o, char *word);
} grammar;

/* ---- what was probably meant ---- */

/* How many edits lead from one word to another (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[32], i, k, len = strlen(b);
    if (len >= COUNT(row)) return 99;
    for (k = 0; k <= len; k++) row[k] = k;
    for (i = 0; a[i] != '\0'; i++) {
        size_t before = row[0];
        row[0] = i + 1;
        for (k = 1; k <= len; k++) {
            size_t change = before + (a[i] != b[k - 1]);
            before = row[k];
            if (row[k] > row[k - 1]) row[k] = row[k - 1];
            row[k]++;
            if (row[k] > change) row[k] = change;
        }
    }
    return row[len];
}

/* The name that is nearest to a word, of those that are at most two edits away. */
typedef struct guess { const char *word, *best; size_t edits; } guess;

static void consider(guess *g, const char *name)
{
    size_t edits = distance(g->word, name);
    if (edits >= g->edits) return;
    g->edits = edits;
    g->best = name;
}

static int see_help(void)
{
    say(M_SEE_HELP, PROGRAM);
    return USAGE;
}

/* Refuses a word, and names the one that was meant if there is such a one. */
static int refuse_word(int message, const char *form, const char *word, const char *meant)
{
    char shown[128];
    (void)snprintf(shown, sizeof shown, form, word);
    (void)fputs(PROGRAM ": ", stderr);
    out(stderr, message, shown);
    if (meant != NULL) {
        (void)snprintf(shown, sizeof shown, form, meant);
        out(stderr, M_MEANT, shown);
    }
    (void)fputc('\n', stderr);
    return see_help();
}

static bool is_key_option(const char *word)
{
    return strstr(word, "key") != NULL || strstr(word, "secret") != NULL
        || strstr(word, "token") != NULL;
}

/* Refuses --word or --word=value. */
static int refuse_long(const grammar *g, const common_options *o, const char *word)
{
    char plain[64];
    guess meant = { plain, NULL, 3 };
    unsigned verb = o->verb != 0 ? o->verb : EVERY;
    size_t i;
    if (is_key_option(word)) return refuse(USAGE, M_KEY_OPTION);
    word += strspn(word, "-");
    (void)snprintf(plain, sizeof plain, "%.*s", (int)strcspn(word, "="), word);
    for (i = 0; i < g->count; i++)
        if (g->rows[i].of & verb) consider(&meant, g->rows[i].name);
    return refuse_word(M_BAD_OPTION, "--%s", plain, meant.best);
}

/* Refuses -y, and names the option that begins with it. */
static int refuse_letter(const grammar *g, const common_options *o, char letter)
{
    char shown[32];
    size_t i;
    (void)snprintf(shown, sizeof shown, "-%c", letter);
    (void)fputs(PROGRAM ": ", stderr);
    out(stderr, M_BAD_OPTION, shown);
    for (i = 0; i < g->count; i++) {
        if (g->rows[i].name[0] != letter || (o->verb != 0 && !(g->rows[i].of & o->verb))) continue;
        (void)snprintf(shown, sizeof shown, "--%s", g->rows[i].name);
        out(stderr, M_MEANT, shown);
        break;
    }
    (void)fputc('\n', stderr);
    return see_help();
}

/* ---- values ---- */

/* ": 2m or 2h?" where a unit may have been forgotten; and what to write for nothing. */
static const char *units(const char *text)
{
    static char question[32];
    size_t len = strspn(text, "0123456789");
    question[0] = '\0';
    if (text[0] == '0' && text[1] != '\0' && text[strspn(text, "0dhms")] == '\0')
        return tr(M_ABOVE_ZERO);
    if (len > 0 && len < 5 && text[len] == '\0')
        (void)snprintf(question, sizeof question, tr(M_UNITS), text, text);
    return question;
}

static bool take_duration(const char *option, const char *text, int64_t *seconds)
{
    if (read_duration(text, seconds)) return true;
    say(M_BAD_DURATION, option, text, units(text));
    return false;
}

/* Refuses 18:30, which names neither a day nor a place, and offers the next one. */
static bool refuse_clock(const char *option, const char *text)
{
    int64_t hour, minute, today = (int64_t)time(NULL) + 8 * 3600;
    const char *p = text;
    const struct tm *day;
    time_t t;
    if (!read_digits(&p, 2, &hour) || *p++ != ':' || !read_digits(&p, 2, &minute) || *p != '\0')
        return false;
    t = (time_t)(today % 86400 < hour * 3600 + minute * 60 ? today : today + 86400);
    day = gmtime(&t);
    say(M_NO_DATE, option, text, day->tm_year + 1900, day->tm_mon + 1, day->tm_mday, text);
    return true;
}

static bool take_time(const char *option, const char *text, int64_t *time)
{
    int r = read_time(text, time);
    if (r == TIME_FINE) return true;
    if (r == TIME_MALFORMED && !refuse_clock(option, text))
        say(M_BAD_TIME, option, text, units(text));
    else if (r == TIME_WITHOUT_OFFSET)
        say(M_NO_OFFSET, option, text, local_time(*time - 8 * 3600), local_time(*time));
    return false;
}

static bool take_number(const char *option, const char *text, long least, long most, long *number)
{
    char *end;
    errno = 0;
    *number = strtol(text, &end, 10);
    if (end != text && *end == '\0' && errno == 0 && *number >= least && *number <= most)
        return true;
    say(M_BAD_NUMBER, option, text, least, most);
    return false;
}

/* One of some words, between spaces: which. */
static bool take_word(const char *option, const char *text, const char *words, int *index)
{
    const char *at = words;
    size_t len = strlen(text);
    for (*index = 0; *at != '\0'; ++*index) {
        size_t n = strcspn(at, " ");
        if (n == len && strncmp(at, text, n) == 0) return true;
        at += n + strspn(at + n, " ");
    }
    say(M_BAD_WORD, option, text, words);
    return false;
}

/* The language counts at once, for what is said of the options that follow. */
static bool take_language(const char *option, const char *text, int *lang)
{
    if (!take_word(option, text, "en zh", lang)) return false;
    language = *lang;
    return true;
}

/* One option with its value. False: refused, and said why. */
static bool take_option(const grammar *g, common_options *o, int id, const char *value)
{
    char name[32];
    const option_row *row = &g->rows[id];
    void *to = (char *)o + row->offset;
    (void)snprintf(name, sizeof name, "--%s", row->name);
    o->given[id] = true;
    switch (row->kind) {
    case FLAG: *(bool *)to = true; return true;
    case TEXT: *(const char **)to = value; return true;
    case DURATION: return take_duration(name, value, (int64_t *)to);
    case TIME: return take_time(name, value, (int64_t *)to);
    case RETRIES: return take_number(name, value, 0, 10, (long *)to);
    case LANGUAGE: return take_language(name, value, (int *)to);
    default: return g->take(o, id, name, value);
    }
}

/* ---- the command line ---- */

#define VALUES 256              /* getopt_long's numbers of them begin behind the letters */

/* What getopt_long could not take; id is its answer. */
static int refuse_option(const grammar *g, const common_options *o, int id, const char *word)
{
    char shown[32];
    if (optopt >= VALUES) {
        (void)snprintf(shown, sizeof shown, "--%s", g->rows[optopt - VALUES].name);
        return refuse(USAGE, id == ':' ? M_NEEDS_VALUE : M_TAKES_NO_VALUE, shown);
    }
    if (optopt != 0) return refuse_letter(g, o, (char)(isprint(optopt) ? optopt : '?'));
    return refuse_long(g, o, word);
}

/* What getopt_long is to know of a table. */
static void list_options(const grammar *g, struct option *table)
{
    size_t i;
    memset(table, 0, (g->count + 1) * sizeof *table);
    for (i = 0; i < g->count; i++) {
        table[i].name = g->rows[i].name;
        table[i].has_arg = g->rows[i].kind == FLAG ? no_argument : required_argument;
        table[i].val = VALUES + (int)i;
    }
}

/* Takes all options and words up to a lone "--", wherever they stand. DONE, or the exit
   status. */
static int read_words(const grammar *g, common_options *o, int argc, char **argv)
{
    struct option table[COUNT(o->given) + 1];
    int id, code = DONE, at;
    list_options(g, table);
    for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {}
    if (at + 1 < argc) o->rest = argv + at + 1;
    opterr = 0;
    while (code == DONE && !o->version
        && ((id = getopt_long(at, argv, "-:hV", table, NULL)) != -1 || optind < at)) {
        if (id == 1 || id == -1)        /* musl's ends at a lone "-" */
            code = g->argument(o, id == 1 ? optarg : argv[optind++]);
        else if (id == ':' || id == '?')
            code = refuse_option(g, o, id, argv[optind - 1]);
        else if (!take_option(g, o, id == 'h' ? g->help : id == 'V' ? g->version : id - VALUES,
            optarg))
            code = USAGE;
    }
    return code;
}

static void print_version(void)
{
    (void)printf("%s %s\n", PROGRAM, compshare_version());
}

/* A language before the options, so that a refused option is refused in it. */
static void guess_language(void)
{
    static const char *const variables[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
    size_t i;
    for (i = 0; i < COUNT(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value == NULL || value[0] == '\0') continue;
        language = strncmp(value, "zh", 2) == 0;
        return;
    }
}
