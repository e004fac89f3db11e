/* ---- options ---- */

enum { SET = 1, SHOW = 2, AUDIT = 4, EXTEND = 8, CANCEL = 16, RUN = 32, DOCTOR = 64, EVERY = 127,
    MANY = SET | SHOW | AUDIT | EXTEND | CANCEL };

static const struct { const char *name; unsigned verb; } verbs[] = {
    { "set", SET }, { "show", SHOW }, { "audit", AUDIT }, { "extend", EXTEND }, { "cancel", CANCEL }, { "run", RUN }, { "doctor", DOCTOR }
};

enum { ON_GRACE, ON_STOP, ON_CANCEL, ON_KEEP, ON_RESTORE };

typedef struct options {
    unsigned verb;
    const char *verb_name;
    char **uhosts;
    size_t count;
    bool all, if_none, only_extend, only_shorten, all_projects, yes, reveal, prepaid_ok, unarmed_ok, json, verbose, version, help;
    bool from_input;            /* ids were to come from standard input */
    bool given[64];             /* by row of option_table */
    const char *name_glob;
    int64_t in, at, by;
    unsigned mode;              /* of compshare_plan */
    /* run */
    int64_t ttl, grace, until, most, warn, linger;
    int on_exit, signal;
    const char *signal_name, *status_file;
    long pid;
    char **command, **argv;
    /* everywhere */
    const char *region, *zone, *project_id, *profile, *base_url, *ca_file, *proxy;
    int64_t timeout;
    long retries;
    int lang;
} options;

/* What an option's value is, where it is put, and which verbs take it. */
enum { FLAG, TEXT, DURATION, TIME, OTHER };

#define OPTIONS(X) \
    X(ALL, "all", FLAG, all, MANY) \
    X(NAME, "name", TEXT, name_glob, MANY) \
    X(IF_NONE, "if-none", FLAG, if_none, SET) \
    X(IN, "in", DURATION, in, SET) \
    X(AT, "at", OTHER, at, SET) \
    X(ONLY_EXTEND, "only-extend", FLAG, only_extend, SET) \
    X(ONLY_SHORTEN, "only-shorten", FLAG, only_shorten, SET) \
    X(ALL_PROJECTS, "all-projects", FLAG, all_projects, AUDIT) \
    X(BY, "by", DURATION, by, EXTEND) \
    X(YES, "yes", FLAG, yes, SET | CANCEL) \
    X(REVEAL, "reveal", FLAG, reveal, SHOW) \
    X(TTL, "ttl", DURATION, ttl, RUN) \
    X(GRACE, "grace", DURATION, grace, RUN) \
    X(ON_EXIT, "on-exit", OTHER, on_exit, RUN) \
    X(UNTIL, "until", TIME, until, RUN) \
    X(MAX, "max", DURATION, most, RUN) \
    X(WARN, "warn", DURATION, warn, RUN) \
    X(SIGNAL, "signal", OTHER, signal, RUN) \
    X(LINGER, "linger", OTHER, linger, RUN) \
    X(PID, "pid", OTHER, pid, RUN) \
    X(PREPAID_OK, "prepaid-ok", FLAG, prepaid_ok, SET | RUN) \
    X(UNARMED_OK, "unarmed-ok", FLAG, unarmed_ok, RUN) \
    X(STATUS_FILE, "status-file", TEXT, status_file, RUN) \
    X(JSON, "json", FLAG, json, EVERY) \
    X(REGION, "region", TEXT, region, EVERY) \
    X(ZONE, "zone", TEXT, zone, EVERY) \
    X(PROJECT_ID, "project-id", TEXT, project_id, EVERY) \
    X(PROFILE, "profile", TEXT, profile, EVERY) \
    X(BASE_URL, "base-url", TEXT, base_url, EVERY) \
    X(CA_FILE, "ca-file", TEXT, ca_file, EVERY) \
    X(PROXY, "proxy", TEXT, proxy, EVERY) \
    X(TIMEOUT, "timeout", DURATION, timeout, EVERY) \
    X(RETRIES, "retries", OTHER, retries, EVERY) \
    X(VERBOSE, "verbose", FLAG, verbose, EVERY) \
    X(LANG, "lang", OTHER, lang, EVERY) \
    X(VERSION, "version", FLAG, version, EVERY) \
    X(HELP, "help", FLAG, help, EVERY)

#define OPTION_ID(id, name, kind, member, of) O_##id,
#define OPTION_ROW(id, name, kind, member, of) { name, kind, of, offsetof(options, member) },
enum { OPTIONS(OPTION_ID) O_COUNT };
static const struct { const char *name; int kind; unsigned of; size_t offset; } option_table[] = { OPTIONS(OPTION_ROW) };

#define VALUES 256              /* getopt_long's numbers of them begin behind the letters */

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

/* Refuses a word; names the one that was probably meant. */
static int refuse_word(int message, const char *word, bool option, unsigned verb)
{
    char shown[128], plain[64];
    const char *best = NULL;
    size_t i, nearest = 3;
    (void)snprintf(plain, sizeof plain, "%.*s", (int)strcspn(word, "="), word);
    for (i = 0; i < (option ? COUNT(option_table) : COUNT(verbs)); i++) {
        const char *name = option ? option_table[i].name : verbs[i].name;
        size_t d = distance(plain, name);
        if (d >= nearest || (option && !(option_table[i].of & verb))) continue;
        nearest = d;
        best = name;
    }
    (void)snprintf(shown, sizeof shown, option ? "--%s" : "%s", plain);
    (void)fputs("compshare-schedule: ", stderr);
    out(stderr, message, shown);
    if (best != NULL) {
        (void)snprintf(shown, sizeof shown, option ? "--%s" : "%s", best);
        out(stderr, M_MEANT, shown);
    }
    (void)fprintf(stderr, "\ncompshare-schedule: %s\n", tr(M_SEE_HELP));
    return USAGE;
}

/* ": 2m or 2h?" where a unit may have been forgotten. */
static const char *units(const char *text)
{
    static char question[32];
    size_t len = strspn(text, "0123456789");
    question[0] = '\0';
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
    if (end != text && *end == '\0' && errno == 0 && *number >= least && *number <= most) return true;
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

static bool take_signal(options *o, const char *option, const char *text)
{
    static const int numbers[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT };
    int index;
    o->signal_name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    if (!take_word(option, o->signal_name, "HUP INT QUIT TERM USR1 USR2 ALRM WINCH CONT", &index)) return false;
    o->signal = numbers[index];
    return true;
}

/* One option with its value. False: refused, and said why. */
static bool take_option(options *o, int id, const char *value)
{
    char name[32];
    void *to = (char *)o + option_table[id].offset;
    (void)snprintf(name, sizeof name, "--%s", option_table[id].name);
    o->given[id] = true;
    switch (option_table[id].kind) {
    case FLAG: *(bool *)to = true; return true;
    case TEXT: *(const char **)to = value; return true;
    case DURATION: return take_duration(name, value, (int64_t *)to);
    case TIME: return take_time(name, value, (int64_t *)to);
    default: break;
    }
    switch (id) {
    case O_AT:
        o->in = o->at = 0;      /* the last one counts */
        /* the official CLI takes --at 2h */
        return read_duration(value + (*value == '+'), &o->in) || take_time(name, value, &o->at);
    case O_ON_EXIT: return take_word(name, value, "grace stop cancel keep restore", &o->on_exit);
    case O_SIGNAL: return take_signal(o, name, value);
    case O_LINGER:
        o->linger = 0;
        return strcmp(value, "0") == 0 || strcmp(value, "0s") == 0
            || take_duration(name, value, &o->linger);
    case O_PID: return take_number(name, value, 2, INT_MAX, &o->pid);
    case O_RETRIES: return take_number(name, value, 0, 10, &o->retries);
    default: break;
    }
    if (!take_word(name, value, "en zh", &o->lang)) return false;
    language = o->lang;         /* at once, for what is said of the options that follow */
    return true;
}

/* Each option must be one of the verb's, wherever it stands. */
static int check_verb(const options *o)
{
    char shown[32];
    size_t i;
    for (i = 0; i < COUNT(option_table); i++) {
        if (!o->given[i] || (option_table[i].of & o->verb)) continue;
        (void)snprintf(shown, sizeof shown, "--%s", option_table[i].name);
        return say(M_NOT_HERE, shown, o->verb_name), say(M_SEE_HELP), USAGE;
    }
    if (o->command != NULL && o->verb != RUN) return say(M_NOT_HERE, "--", o->verb_name), say(M_SEE_HELP), USAGE;
    return DONE;
}

/* Whether a word has the form of an instance's id: uhost-xxxx. "30m", "now" and
   "2026-11-23" have not. */
static bool names_instance(const char *word)
{
    size_t len = 0;
    while (isalnum((unsigned char)word[len])) len++;
    return strcmp(word, "self") == 0
        || (isalpha((unsigned char)word[0]) && word[len] == '-' && isalnum((unsigned char)word[len + 1]));
}

/* Half of what was typed is not done: that "30m" is no instance is found out before. */
static int check_names(const options *o)
{
    int64_t seconds;
    size_t i;
    for (i = 0; i < o->count && names_instance(o->uhosts[i]); i++) {}
    if (i == o->count) return DONE;
    (void)fputs("compshare-schedule: ", stderr);
    out(stderr, M_BAD_UHOST, o->uhosts[i]);
    (void)fprintf(stderr, "%s\n", read_duration(o->uhosts[i], &seconds) ? tr(M_ONE_WORD) : "");
    return USAGE;
}

/* What only all options together can tell. */
static int check_options(options *o)
{
    bool some = o->count > 0;
    o->mode = o->only_extend ? COMPSHARE_ONLY_EXTEND : o->only_shorten ? COMPSHARE_ONLY_SHORTEN : 0;
    if (check_verb(o) != DONE) return USAGE;
    if (o->only_extend && o->only_shorten) return say(M_EXCLUSIVE, "--only-extend", "--only-shorten"), USAGE;
    if (o->all && some) return say(M_ALL_AND_SOME), USAGE;
    if (o->name_glob != NULL && !o->all && (some || (o->verb & (SET | EXTEND | CANCEL))))
        return say(M_NOT_HERE, "--name", "UHOST"), USAGE;
    if (((o->verb & (SET | EXTEND | CANCEL | RUN)) || o->from_input) && !some && !o->all) return say(M_NO_UHOST), USAGE;
    if (o->verb == RUN && o->count != 1) return say(M_ONE_UHOST), USAGE;
    if ((o->verb & (AUDIT | DOCTOR)) && some) return say(M_NOT_HERE, o->uhosts[0], o->verb_name), USAGE;
    if (o->verb == SET && o->given[O_IN] == o->given[O_AT]) return say(M_NO_TIME), USAGE;
    if (o->verb == SET && o->in != 0 && o->in < 300) return say(M_SHORT_IN, o->given[O_IN] ? "--in" : "--at"), USAGE;
    if (o->verb == EXTEND && o->by == 0) return say(M_NO_BY), USAGE;
    as_json = o->json;
    verbose = o->verbose;
    if (o->verb != RUN) return check_names(o);
    if ((o->pid != 0) == (o->command != NULL)) return say(M_NO_COMMAND_GIVEN), USAGE;
    if (o->until != 0 && o->most != 0) return say(M_EXCLUSIVE, "--until", "--max"), USAGE;
    if ((o->warn != 0) != (o->signal != 0)) return say(M_WARN_AND_SIGNAL), USAGE;
    if (o->ttl < 900) return say(M_SHORT_TTL), USAGE;
    if (o->grace < 300) return say(M_SHORT_IN, "--grace"), USAGE;
    return DONE;
}

/* Whether the API could know it as an instance: such ids are safe in a terminal, in a
   path and in JSON as they are. */
static bool is_id(const char *text)
{
    size_t len = 0;
    while (isalnum((unsigned char)text[len]) || (text[len] != '\0' && strchr("._-", text[len]) != NULL)) len++;
    return text[len] == '\0' && len > 0 && len < sizeof ((compshare_instance *)0)->uhost_id;
}

static int add_uhost(options *o, char *text)
{
    size_t i;
    char **more;
    for (i = 0; i < o->count; i++)
        if (strcmp(o->uhosts[i], text) == 0) return DONE;
    more = is_id(text) ? (char **)realloc(o->uhosts, (o->count + 1) * sizeof *more) : NULL;
    if (!is_id(text)) return say(M_BAD_UHOST, text), USAGE;
    if (more == NULL || (more[o->count] = strdup(text)) == NULL) return say(M_NO_MEMORY), CONFIGURATION;
    o->uhosts = more;
    o->count++;
    return DONE;
}

/* Instances from standard input, for "-". What cannot be one is refused, a NUL among
   them too: who lists instances to be switched off must not lose some of them. */
static int read_ids(options *o)
{
    char input[512], word[128];
    size_t len = 0;
    ssize_t n, i;
    bool ended;
    int code = DONE;
    o->from_input = true;
    do {
        n = read(STDIN_FILENO, input, sizeof input - 1);
        if (n < 0) return say(M_CANNOT_READ, "-", strerror(errno)), CONFIGURATION;
        ended = n == 0;
        if (ended) input[n++] = '\n';          /* which ends a word */
        for (i = 0; i < n && code == DONE; i++) {
            unsigned char c = (unsigned char)input[i];
            if (!isspace(c) && len < sizeof word - 1) word[len++] = (char)(isgraph(c) ? c : '?');
            if (!isspace(c) || len == 0) continue;
            word[len] = '\0';
            len = 0;
            code = add_uhost(o, word);
        }
    } while (code == DONE && !ended);
    return code;
}

static bool is_key_option(const char *word)
{
    return strstr(word, "key") != NULL || strstr(word, "secret") != NULL || strstr(word, "token") != NULL;
}

/* Refuses -y, and names the option that begins with it. */
static int refuse_letter(const options *o, const char *letter)
{
    char shown[32];
    size_t i;
    (void)snprintf(shown, sizeof shown, "-%s", letter);
    (void)fputs("compshare-schedule: ", stderr);
    out(stderr, M_BAD_OPTION, shown);
    for (i = 0; i < COUNT(option_table); i++) {
        if (option_table[i].name[0] != letter[0]
            || (o->verb != 0 && !(option_table[i].of & o->verb))) continue;
        (void)snprintf(shown, sizeof shown, "--%s", option_table[i].name);
        out(stderr, M_MEANT, shown);
        break;
    }
    (void)fputc('\n', stderr);
    return say(M_SEE_HELP), USAGE;
}

/* What getopt_long could not take; id is its answer. */
static int refuse_option(const options *o, int id, const char *word)
{
    char shown[32] = "";
    if (optopt >= VALUES) (void)snprintf(shown, sizeof shown, "--%s", option_table[optopt - VALUES].name);
    if (shown[0] != '\0') return say(id == ':' ? M_NEEDS_VALUE : M_TAKES_NO_VALUE, shown), USAGE;
    if (optopt != 0) {
        (void)snprintf(shown, sizeof shown, "%c", isprint(optopt) ? optopt : '?');
        return refuse_letter(o, shown);
    }
    if (is_key_option(word)) return say(M_KEY_OPTION), USAGE;
    return refuse_word(M_BAD_OPTION, word + strspn(word, "-"), true, o->verb != 0 ? o->verb : (unsigned)EVERY);
}

/* A word that is no option: the verb, then instances. DONE, or the exit status. */
static int take_argument(options *o, char *word)
{
    static const char *const others[][2] = {
        { "list", "show" }, { "ls", "show" }, { "status", "show" }
    };
    size_t i;
    if (o->verb != 0) return strcmp(word, "-") == 0 ? read_ids(o) : add_uhost(o, word);
    o->help = o->help || strcmp(word, "help") == 0;
    o->version = o->version || strcmp(word, "version") == 0;
    if (o->help || o->version) return DONE;
    for (i = 0; i < COUNT(others); i++)
        if (strcmp(others[i][0], word) == 0)
            return take_argument(o, (char *)(uintptr_t)others[i][1]);
    for (i = 0; i < COUNT(verbs) && strcmp(verbs[i].name, word) != 0; i++) {}
    if (i == COUNT(verbs)) return refuse_word(M_BAD_VERB, word, false, 0);
    o->verb = verbs[i].verb;
    o->verb_name = verbs[i].name;
    return DONE;
}

/* How each verb is written, and what is said of it. */
static const struct { const char *form; int message; } synopses[] = {
    { "set UHOST... --in 2h | --at TIME [--if-none] [--yes]\n"
      "         [--only-extend | --only-shorten] [--prepaid-ok]", M_HELP_SET },
    { "show [UHOST...] [--reveal]", M_HELP_SHOW },
    { "extend UHOST... --by 90m", M_HELP_EXTEND },
    { "cancel UHOST... [--yes]", M_HELP_CANCEL },
    { "audit [--all-projects]", M_HELP_AUDIT },
    { "run UHOST [--ttl 60m] [--grace 15m]\n"
      "         [--on-exit grace|stop|cancel|keep|restore]\n"
      "         [--until TIME | --max 24h] [--warn 10m --signal USR1]\n"
      "         [--linger 1h] [--prepaid-ok] [--unarmed-ok] [--status-file FILE]\n"
      "         (--pid N | -- COMMAND [ARG...])", M_HELP_RUN },
    { "doctor", M_HELP_DOCTOR }
};

static int print_help(void)
{
    static const char everywhere[] =
        "  --json --region R --zone Z --project-id P --profile NAME --base-url URL\n"
        "  --ca-file FILE --proxy URL --timeout 60s --retries N --verbose --lang zh|en\n"
        "  --version --help\n";
    size_t i;
    (void)printf("%s\n", tr(M_USAGE));
    for (i = 0; i < COUNT(synopses); i++)
        (void)printf("  compshare-schedule %s\n      %s\n", synopses[i].form,
            tr(synopses[i].message));
    (void)printf("%s\n%s\n%s", tr(M_HELP_EVERYWHERE), everywhere, tr(M_HELP));
    return DONE;
}

/* The verb is the first word that is no option. -1: go on; else the exit status. */
static int read_options(options *o, int argc, char **argv)
{
    struct option table[COUNT(option_table) + 1];
    size_t i;
    int id, code, at;
    memset(table, 0, sizeof table);
    for (i = 0; i < COUNT(option_table); i++) {
        table[i].name = option_table[i].name;
        table[i].has_arg = option_table[i].kind == FLAG ? no_argument : required_argument;
        table[i].val = VALUES + (int)i;
    }
    for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {}
    if (at + 1 < argc) o->command = argv + at + 1;
    opterr = 0;
    while ((id = getopt_long(at, argv, "-:hV", table, NULL)) != -1 || optind < at) {
        if (id == 1 || id == -1) {      /* musl's ends at a lone "-" */
            if ((code = take_argument(o, id == 1 ? optarg : argv[optind++])) != DONE) return code;
        } else if (id == ':' || id == '?') {
            return refuse_option(o, id, argv[optind - 1]);
        } else if (!take_option(o, id == 'h' ? O_HELP : id == 'V' ? O_VERSION : id - VALUES, optarg)) {
            return USAGE;
        }
        if (o->version) return (void)printf("compshare-schedule %s\n", compshare_version()), DONE;
    }
    if (o->help) return print_help();      /* in the language that any option asked for */
    if (o->verb == 0) return say(M_NO_VERB), say(M_SEE_HELP), USAGE;
    return check_options(o) == DONE ? -1 : USAGE;
}

