/* ==== schedule ====================================================================

   Does:  knows compshare-schedule's verbs and options, and what goes with what.
   May:   print refusals and the help; read ids from standard input.
   Never: calls the API. */

enum {
    SET = 1, SHOW = 2, AUDIT = 4, EXTEND = 8, CANCEL = 16, RUN = 32, DOCTOR = 64,
    MANY = SET | SHOW | AUDIT | EXTEND | CANCEL
};

static const struct { const char *name; unsigned verb; } verbs[] = {
    { "set", SET }, { "show", SHOW }, { "audit", AUDIT }, { "extend", EXTEND },
    { "cancel", CANCEL }, { "run", RUN }, { "doctor", DOCTOR }
};

/* Which instances are meant. */
typedef struct chosen {
    char **ids;
    size_t count;
    bool all, from_input;       /* ids were to come from standard input */
    const char *name_glob;
} chosen;

/* What set, extend and cancel are to do. */
typedef struct wish {
    int64_t in, at, by;
    bool if_none, only_extend, only_shorten, yes;
    unsigned mode;              /* of compshare_plan */
} wish;

enum { ON_GRACE, ON_STOP, ON_CANCEL, ON_KEEP, ON_RESTORE };

/* What a lease is reckoned by; all times in s. */
typedef struct terms {
    int64_t ttl, grace;
    int64_t until, most;        /* the latest end, and as long after the start; 0: none */
    int64_t warn;               /* when a signal is to be sent before the end; 0: never */
    int on_exit;
    bool prepaid_ok;
} terms;

/* What the lease is for, and what else run does. */
typedef struct work {
    long pid;
    char **command, **argv;     /* one to start; and the whole command line */
    int64_t linger;             /* how long what a command leaves is waited for; -1: for ever */
    int signal;
    const char *signal_name, *status_file;
    bool unarmed_ok;
} work;

typedef struct options {
    common_options common;
    const char *verb_name;
    bool json, reveal, all_projects;
    chosen which;
    wish change;
    terms lease;                /* prepaid_ok is set's, too */
    work run;
} options;

#define OPTIONS(X) \
    X(ALL, "all", FLAG, which.all, MANY) \
    X(NAME, "name", TEXT, which.name_glob, MANY) \
    X(IF_NONE, "if-none", FLAG, change.if_none, SET) \
    X(IN, "in", DURATION, change.in, SET) \
    X(AT, "at", OTHER, change.at, SET) \
    X(ONLY_EXTEND, "only-extend", FLAG, change.only_extend, SET) \
    X(ONLY_SHORTEN, "only-shorten", FLAG, change.only_shorten, SET) \
    X(ALL_PROJECTS, "all-projects", FLAG, all_projects, AUDIT) \
    X(BY, "by", DURATION, change.by, EXTEND) \
    X(YES, "yes", FLAG, change.yes, SET | CANCEL) \
    X(REVEAL, "reveal", FLAG, reveal, SHOW) \
    X(TTL, "ttl", DURATION, lease.ttl, RUN) \
    X(GRACE, "grace", DURATION, lease.grace, RUN) \
    X(ON_EXIT, "on-exit", OTHER, lease.on_exit, RUN) \
    X(UNTIL, "until", TIME, lease.until, RUN) \
    X(MAX, "max", DURATION, lease.most, RUN) \
    X(WARN, "warn", DURATION, lease.warn, RUN) \
    X(SIGNAL, "signal", OTHER, run.signal, RUN) \
    X(LINGER, "linger", OTHER, run.linger, RUN) \
    X(PID, "pid", OTHER, run.pid, RUN) \
    X(PREPAID_OK, "prepaid-ok", FLAG, lease.prepaid_ok, SET | RUN) \
    X(UNARMED_OK, "unarmed-ok", FLAG, run.unarmed_ok, RUN) \
    X(STATUS_FILE, "status-file", TEXT, run.status_file, RUN) \
    X(JSON, "json", FLAG, json, EVERY)

enum { OPTIONS(OPTION_ID) COMMON_OPTIONS(OPTION_ID) O_COUNT };
static const option_row option_table[] = { OPTIONS(OPTION_ROW) COMMON_OPTIONS(OPTION_ROW) };

/* ---- values ---- */

static bool take_signal(work *w, const char *option, const char *text)
{
    static const int numbers[] = {
        SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT
    };
    static const char names[] = "HUP INT QUIT TERM USR1 USR2 ALRM WINCH CONT";
    int index;
    w->signal_name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    if (!take_word(option, w->signal_name, names, &index)) return false;
    w->signal = numbers[index];
    return true;
}

/* --at takes a duration as well: the official CLI does. */
static bool take_at(wish *w, const char *option, const char *text)
{
    w->in = w->at = 0;          /* the last one counts */
    return read_duration(text + (*text == '+'), &w->in) || take_time(option, text, &w->at);
}

static bool take_linger(work *w, const char *option, const char *text)
{
    w->linger = 0;
    return strcmp(text, "0") == 0 || strcmp(text, "0s") == 0
        || take_duration(option, text, &w->linger);
}

static bool take_own(common_options *common, int id, const char *name, const char *value)
{
    options *o = (options *)common;
    switch (id) {
    case O_AT: return take_at(&o->change, name, value);
    case O_ON_EXIT:
        return take_word(name, value, "grace stop cancel keep restore", &o->lease.on_exit);
    case O_SIGNAL: return take_signal(&o->run, name, value);
    case O_LINGER: return take_linger(&o->run, name, value);
    default: return take_number(name, value, 2, INT_MAX, &o->run.pid);
    }
}

/* ---- words: the verb, then instances ---- */

/* Whether the API could know it as an instance: such ids are safe in a terminal, in a
   path and in JSON as they are. */
static bool is_id(const char *text)
{
    size_t len = 0;
    while (isalnum((unsigned char)text[len])
        || (text[len] != '\0' && strchr("._-", text[len]) != NULL)) len++;
    return text[len] == '\0' && len > 0 && len < sizeof ((compshare_instance *)0)->uhost_id;
}

/* Each instance is meant once. DONE, or the exit status. */
static int add_uhost(chosen *c, const char *text)
{
    size_t i;
    char **more;
    for (i = 0; i < c->count; i++)
        if (strcmp(c->ids[i], text) == 0) return DONE;
    if (!is_id(text)) return refuse(USAGE, M_BAD_UHOST, text);
    more = (char **)realloc(c->ids, (c->count + 1) * sizeof *more);
    if (more != NULL) c->ids = more;
    if (more == NULL || (more[c->count] = strdup(text)) == NULL) {
        say(M_NO_MEMORY);
        return CONFIGURATION;
    }
    c->count++;
    return DONE;
}

/* Instances from standard input, for "-". What cannot be one is refused, a NUL among
   them too: who lists instances to be switched off must not lose some of them. */
static int read_ids(chosen *c)
{
    char input[512], word[128];
    size_t len = 0;
    ssize_t n, i;
    bool ended;
    int code = DONE;
    c->from_input = true;
    do {
        n = read(STDIN_FILENO, input, sizeof input - 1);
        if (n < 0) {
            say(M_CANNOT_READ, "-", strerror(errno));
            return CONFIGURATION;
        }
        ended = n == 0;
        if (ended) input[n++] = '\n';          /* which ends a word */
        for (i = 0; i < n && code == DONE; i++) {
            unsigned char b = (unsigned char)input[i];
            if (!isspace(b) && len < sizeof word - 1) word[len++] = (char)(isgraph(b) ? b : '?');
            if (!isspace(b) || len == 0) continue;
            word[len] = '\0';
            len = 0;
            code = add_uhost(c, word);
        }
    } while (code == DONE && !ended);
    return code;
}

/* What people type for a verb out of habit. */
static const char *verb_for(const char *word)
{
    static const char *const others[][2] = {
        { "list", "show" }, { "ls", "show" }, { "status", "show" }
    };
    size_t i;
    for (i = 0; i < COUNT(others); i++)
        if (strcmp(others[i][0], word) == 0) return others[i][1];
    return word;
}

static int refuse_verb(const char *word)
{
    char plain[64];
    guess meant = { plain, NULL, 3 };
    size_t i;
    (void)snprintf(plain, sizeof plain, "%s", word);
    for (i = 0; i < COUNT(verbs); i++) consider(&meant, verbs[i].name);
    return refuse_word(M_BAD_VERB, "%s", plain, meant.best);
}

/* A word that is no option: the verb is the first. DONE, or the exit status. */
static int take_argument(common_options *common, char *word)
{
    options *o = (options *)common;
    const char *verb = verb_for(word);
    size_t i;
    if (common->verb != 0)
        return strcmp(word, "-") == 0 ? read_ids(&o->which) : add_uhost(&o->which, word);
    common->help = common->help || strcmp(word, "help") == 0;
    common->version = common->version || strcmp(word, "version") == 0;
    if (common->help || common->version) return DONE;
    for (i = 0; i < COUNT(verbs) && strcmp(verbs[i].name, verb) != 0; i++) {}
    if (i == COUNT(verbs)) return refuse_verb(word);
    common->verb = verbs[i].verb;
    o->verb_name = verbs[i].name;
    return DONE;
}

static const grammar schedule_grammar = {
    option_table, COUNT(option_table), O_VERSION, O_HELP, take_own, take_argument
};

/* ---- what only all options together can tell ---- */

/* Each option must be one of the verb's, wherever it stands. */
static int check_verb(const options *o)
{
    char shown[32];
    size_t i;
    for (i = 0; i < COUNT(option_table); i++) {
        if (!o->common.given[i] || (option_table[i].of & o->common.verb)) continue;
        (void)snprintf(shown, sizeof shown, "--%s", option_table[i].name);
        (void)refuse(USAGE, M_NOT_HERE, shown, o->verb_name);
        return see_help();
    }
    if (o->run.command == NULL || o->common.verb == RUN) return DONE;
    (void)refuse(USAGE, M_NOT_HERE, "--", o->verb_name);
    return see_help();
}

/* Whether a word has the form of an instance's id: uhost-xxxx. "30m", "now" and
   "2026-11-23" have not. */
static bool names_instance(const char *word)
{
    size_t len = 0;
    while (isalnum((unsigned char)word[len])) len++;
    return strcmp(word, "self") == 0 || (isalpha((unsigned char)word[0]) && word[len] == '-'
        && isalnum((unsigned char)word[len + 1]));
}

/* Half of what was typed is not done: that "30m" is no instance is found out before. */
static int check_names(const chosen *c)
{
    int64_t seconds;
    size_t i;
    for (i = 0; i < c->count && names_instance(c->ids[i]); i++) {}
    if (i == c->count) return DONE;
    (void)fputs(PROGRAM ": ", stderr);
    out(stderr, M_BAD_UHOST, c->ids[i]);
    (void)fprintf(stderr, "%s\n", read_duration(c->ids[i], &seconds) ? tr(M_ONE_WORD) : "");
    return USAGE;
}

/* Whether the instances that are named go with the verb. */
static int check_which(const options *o)
{
    const chosen *c = &o->which;
    unsigned verb = o->common.verb;
    bool some = c->count > 0, changes = (verb & (SET | EXTEND | CANCEL)) != 0;
    if (c->all && some) return refuse(USAGE, M_ALL_AND_SOME);
    if (c->name_glob != NULL && !c->all && (some || changes))
        return refuse(USAGE, M_NOT_HERE, "--name", "UHOST");
    if ((changes || verb == RUN || c->from_input) && !some && !c->all)
        return refuse(USAGE, M_NO_UHOST);
    if (verb == RUN && c->count > 1) return refuse(USAGE, M_ONE_UHOST, c->ids[0], c->ids[1]);
    if ((verb & (AUDIT | DOCTOR)) && some)
        return refuse(USAGE, M_NOT_HERE, c->ids[0], o->verb_name);
    return DONE;
}

static int check_change(const options *o)
{
    const wish *w = &o->change;
    const bool *given = o->common.given;
    if (given[O_IN] && given[O_AT]) return refuse(USAGE, M_BOTH_TIMES);
    if (o->common.verb == SET && !given[O_IN] && !given[O_AT]) return refuse(USAGE, M_NO_TIME);
    if (o->common.verb == SET && w->in != 0 && w->in < 300)
        return refuse(USAGE, M_SHORT_IN, given[O_IN] ? "--in" : "--at");
    if (o->common.verb == EXTEND && w->by == 0) return refuse(USAGE, M_NO_BY);
    return DONE;
}

static int check_run(const options *o)
{
    const terms *t = &o->lease;
    if ((o->run.pid != 0) == (o->run.command != NULL)) return refuse(USAGE, M_NO_COMMAND_GIVEN);
    if (t->until != 0 && t->most != 0) return refuse(USAGE, M_EXCLUSIVE, "--until", "--max");
    if ((t->warn != 0) != (o->run.signal != 0)) return refuse(USAGE, M_WARN_AND_SIGNAL);
    if (t->ttl < 900) return refuse(USAGE, M_SHORT_TTL);
    if (t->grace < 300) return refuse(USAGE, M_SHORT_IN, "--grace");
    return DONE;
}

/* All options together. DONE, or the exit status. */
static int check_options(options *o)
{
    wish *w = &o->change;
    int code = check_verb(o);
    w->mode = w->only_extend ? COMPSHARE_ONLY_EXTEND : w->only_shorten ? COMPSHARE_ONLY_SHORTEN : 0;
    if (code == DONE && w->only_extend && w->only_shorten)
        code = refuse(USAGE, M_EXCLUSIVE, "--only-extend", "--only-shorten");
    if (code == DONE) code = check_which(o);
    if (code == DONE) code = check_change(o);
    if (code == DONE) code = o->common.verb == RUN ? check_run(o) : check_names(&o->which);
    as_json = o->json;          /* what is refused up to here is told a person */
    verbose = o->common.verbose;
    return code;
}

/* ---- help ---- */

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

static void print_help(void)
{
    static const char everywhere[] =
        "  --json --region R --zone Z --project-id P --profile NAME --base-url URL\n"
        "  --ca-file FILE --proxy URL --timeout 60s --retries N --verbose --lang zh|en\n"
        "  --version --help\n";
    size_t i;
    (void)printf("%s\n", tr(M_USAGE));
    for (i = 0; i < COUNT(synopses); i++)
        (void)printf("  " PROGRAM " %s\n      %s\n", synopses[i].form, tr(synopses[i].message));
    (void)printf("%s\n%s\n%s", tr(M_HELP_EVERYWHERE), everywhere, tr(M_HELP));
}

/* Reads the whole command line. -1: go on; else the exit status. */
static int read_options(options *o, int argc, char **argv)
{
    int code = read_words(&schedule_grammar, &o->common, argc, argv);
    o->run.command = o->common.rest;
    if (code != DONE) return code;
    if (o->common.version) {
        print_version();
        return DONE;
    }
    if (o->common.help) {
        print_help();
        return DONE;
    }
    if (o->common.verb == 0) {
        say(M_NO_VERB);
        return see_help();
    }
    return check_options(o) == DONE ? -1 : USAGE;
}
