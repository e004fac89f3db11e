/* ==== account =====================================================================

   Does:  finds the keys, the profile and the proxy, opens the one client, and says how a
          call ended.
   May:   read the environment and config.json; take the keys out
          of the environment.
   Never: prints a key or a signed body; changes an instance. */

static compshare_config config;
static compshare *client;

/* `make static CA=FILE` puts the roots into the program. */
#ifdef SCHEDULE_CA
static const char embedded_roots[] =
#include SCHEDULE_CA
    ;
#endif

/* ---- the keys of the environment ---- */

static const char *const secret_names[] = {
    "COMPSHARE_PUBLIC_KEY", "COMPSHARE_PRIVATE_KEY", "COMPSHARE_SECURITY_TOKEN"
};
static char *secrets[COUNT(secret_names)];      /* what the environment had of them */
static struct rlimit core_limit;                /* as it was found, for the command */

/* The first thing that is done: no other process of this user may look into this one, no
   core is written, and the block of the environment, which others read in /proc, is
   cleared of the keys. What is started does not inherit them. */
static void hide_secrets(void)
{
    extern char **environ;
    struct rlimit none;
    size_t i;
    char **at;
#ifdef __linux__
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    if (getrlimit(RLIMIT_CORE, &core_limit) == 0) {
        none = core_limit;
        none.rlim_cur = 0;
        (void)setrlimit(RLIMIT_CORE, &none);
    }
    for (i = 0; i < COUNT(secret_names); i++) {
        size_t len = strlen(secret_names[i]);
        for (at = environ; at != NULL && *at != NULL; at++) {
            if (strncmp(*at, secret_names[i], len) != 0 || (*at)[len] != '=') continue;
            if (secrets[i] == NULL && (*at)[len + 1] != '\0') secrets[i] = strdup(*at + len + 1);
            memset(*at + len + 1, 0, strlen(*at + len + 1));
        }
        (void)unsetenv(secret_names[i]);
    }
}

static void forget_secrets(void)
{
    size_t i;
    for (i = 0; i < COUNT(secrets); i++)
        if (secrets[i] != NULL) memset(secrets[i], 0, strlen(secrets[i]));
}

/* ---- config.json ---- */

/* What the configuration borrows from, but for the environment and the command line. */
static struct settings {
    char public_key[256], private_key[256], path[PATH_MAX], proxy[512];
    const char *keys_from;
} settings;

static bool token_is(const char *text, const jsmntok_t *t, const char *word)
{
    size_t len = strlen(word);
    return t->type == JSMN_STRING && (size_t)(t->end - t->start) == len
        && memcmp(text + t->start, word, len) == 0;
}

/* A parsed file. */
typedef struct document { const char *text; jsmntok_t *tokens; int count; } document;

/* The value of a member of the object at `at`; -1 if it has none, -2 if it has more than
   one: which of two keys is meant must not depend on who reads the file. */
static int token_member(const document *d, int at, const char *name)
{
    int i, found = -1;
    if (at < 0 || d->tokens[at].type != JSMN_OBJECT) return -1;
    for (i = at + 1; i + 1 < d->count && d->tokens[i].start < d->tokens[at].end; i++) {
        const jsmntok_t *t = &d->tokens[i];
        if (t->parent != at || t->size != 1 || !token_is(d->text, t, name)) continue;
        if (found >= 0) return -2;
        found = i + 1;
    }
    return found;
}

static bool token_copy(const document *d, int at, char *buf, size_t cap)
{
    const char *from;
    size_t len;
    if (at < 0 || d->tokens[at].type != JSMN_STRING) return false;
    from = d->text + d->tokens[at].start;
    len = (size_t)(d->tokens[at].end - d->tokens[at].start);
    if (len == 0 || len >= cap || memchr(from, '\\', len) != NULL) return false;
    memcpy(buf, from, len);
    buf[len] = '\0';
    return true;
}

/* The profile that the file itself names. False: it names one that cannot be used, for
   which the keys of another account, "default", are no substitute. */
static bool read_current(const document *d, char name[128])
{
    int at = token_member(d, 0, "current_profile");
    if (at == -1) return true;
    if (at == -2) return false;
    return d->tokens[at].end == d->tokens[at].start || token_copy(d, at, name, 128);
}

/* current_profile and profiles.NAME.public_key, .private_key of the official CLI's
   config.json. A message that says what is wrong, or -1. */
static int read_profile(const char *text, size_t len, const char *profile, char name[128],
    struct settings *s)
{
    static jsmntok_t tokens[512];
    document d = { text, tokens, 0 };
    jsmn_parser parser;
    int at;
    jsmn_init(&parser);
    d.count = jsmn_parse(&parser, text, len, tokens, COUNT(tokens));
    (void)snprintf(name, 128, "%s", profile != NULL ? profile : "default");
    if (d.count == JSMN_ERROR_NOMEM) return M_FULL_CONFIG;
    if (d.count < 1 || tokens[0].type != JSMN_OBJECT) return M_BAD_CONFIG;
    if (profile == NULL && !read_current(&d, name)) return M_BAD_CURRENT;
    at = token_member(&d, token_member(&d, 0, "profiles"), name);
    if (!token_copy(&d, token_member(&d, at, "public_key"), s->public_key, sizeof s->public_key)
        || !token_copy(&d, token_member(&d, at, "private_key"), s->private_key,
            sizeof s->private_key)) return M_NO_PROFILE;
    return -1;
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *or_empty(const char *text) { return text != NULL ? text : ""; }

/* What an option gave, else a variable of the environment. */
static const char *given_or(const char *option, const char *name)
{
    return option != NULL ? option : from_environment(name);
}

static bool config_path(char *path, size_t cap)
{
    const char *file = from_environment("COMPSHARE_CONFIG_FILE");
    const char *dir = from_environment("XDG_CONFIG_HOME"), *home = from_environment("HOME");
    int n;
    if (file != NULL) n = snprintf(path, cap, "%s", file);
    else if (dir != NULL) n = snprintf(path, cap, "%s/compshare/config.json", dir);
    else n = snprintf(path, cap, "%s/.config/compshare/config.json", or_empty(home));
    return n > 0 && (size_t)n < cap;
}

/* The whole of a file, at most cap bytes of it; *mode says who may read it. -1: errno. */
static ssize_t read_file(const char *path, char *text, size_t cap, mode_t *mode)
{
    struct stat info;
    size_t len = 0;
    ssize_t n = 1;
    int error, fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, &info) != 0) n = -1;
    else *mode = info.st_mode;
    while (n > 0 && len < cap) {
        n = read(fd, text + len, cap - len);
        if (n > 0) len += (size_t)n;
    }
    error = errno;
    (void)close(fd);
    errno = error;
    return n < 0 ? -1 : (ssize_t)len;
}

/* Keys of the profile, where the environment has none or a profile was asked for. DONE, or the
   exit status. */
static int read_config_file(const common_options *o)
{
    static char text[32768];
    char name[128];
    mode_t mode = 0;
    ssize_t len;
    size_t skip;
    int wrong;
    if (!config_path(settings.path, sizeof settings.path))
        return refuse(CONFIGURATION, M_NO_KEYS, settings.path);
    len = read_file(settings.path, text, sizeof text, &mode);
    if (len < 0 && errno == ENOENT && o->profile != NULL)
        return refuse(CONFIGURATION, M_NO_FILE, o->profile, settings.path);
    if (len < 0 && errno == ENOENT) return refuse(CONFIGURATION, M_NO_KEYS, settings.path);
    if (len < 0) return refuse(CONFIGURATION, M_CANNOT_READ, settings.path, strerror(errno));
    if (mode & (S_IRGRP | S_IROTH)) say(M_OTHERS_READ, settings.path);
    if (len == sizeof text) return refuse(CONFIGURATION, M_LONG_CONFIG, settings.path);
    /* a byte order mark, as editors leave it */
    skip = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    wrong = read_profile(text + skip, (size_t)len - skip,
        given_or(o->profile, "COMPSHARE_PROFILE"), name, &settings);
    memset(text, 0, sizeof text);
    if (wrong >= 0) return refuse(CONFIGURATION, wrong, settings.path, name);
    config.public_key = settings.public_key;
    config.private_key = settings.private_key;
    settings.keys_from = settings.path;
    return DONE;
}

static int read_credentials(const common_options *o)
{
    const char *public_name = secret_names[0], *private_name = secret_names[1];
    config.public_key = secrets[0];
    config.private_key = secrets[1];
    settings.keys_from = public_name;
    if (o->profile != NULL || (secrets[0] == NULL && secrets[1] == NULL))
        return read_config_file(o);
    if (secrets[0] == NULL) return refuse(CONFIGURATION, M_HALF_A_KEY, private_name, public_name);
    if (secrets[1] == NULL) return refuse(CONFIGURATION, M_HALF_A_KEY, public_name, private_name);
    return DONE;
}

/* ---- the proxy, as curl understands its variables ---- */

/* A variable in lower case, which comes first, or in upper case. */
static const char *either_case(const char *lower, const char *upper)
{
    const char *value = from_environment(lower);
    return value != NULL ? value : from_environment(upper);
}

/* Whether no_proxy names the host: "*" alone, a name, or the end of one behind a dot. A dot
   in front of a name or behind it does not count. */
static bool proxy_excepts(const char *list, const char *host)
{
    size_t host_len = strcspn(host, ":/"), len;
    if (list == NULL) return false;
    if (strcmp(list, "*") == 0) return true;
    if (host_len > 0 && host[host_len - 1] == '.') host_len--;
    for (; *list != '\0'; list += len) {
        const char *name = list += strspn(list, ", \t");
        size_t n = len = strcspn(list, ", \t");
        if (n > 0 && name[n - 1] == '.') n--;
        if (n > 0 && *name == '.') { name++; n--; }
        if (n > 0 && n <= host_len && strncasecmp(host + host_len - n, name, n) == 0
            && (n == host_len || host[host_len - n - 1] == '.')) return true;
    }
    return false;
}

/* The proxy as the library wants it: curl takes it without a scheme, the scheme in any
   case, with a path that means nothing, and without a port, which then is 1080. */
static const char *plain_proxy(const char *proxy)
{
    const char *from = strstr(proxy, "://"), *at, *host;
    size_t len;
    /* which is refused */
    if (from != NULL && strncasecmp(proxy, "http://", 7) != 0) return proxy;
    from = from != NULL ? from + 3 : proxy;
    len = strcspn(from, "/?#");
    if (len + sizeof "http://:1080" > sizeof settings.proxy) return proxy;
    (void)snprintf(settings.proxy, sizeof settings.proxy, "http://%.*s", (int)len, from);
    at = strrchr(settings.proxy + 7, '@');
    host = at != NULL ? at + 1 : settings.proxy + 7;
    if (*host == '[' && strchr(host, ']') != NULL) host = strchr(host, ']');
    if (strchr(host, ':') == NULL) memcpy(settings.proxy + 7 + len, ":1080", sizeof ":1080");
    return settings.proxy;
}

static const char *choose_proxy(const char *option, const char *base_url)
{
    const char *proxy = option, *host = strstr(base_url, "://");
    if (proxy != NULL) return proxy[0] != '\0' ? plain_proxy(proxy) : NULL;
    proxy = either_case("https_proxy", "HTTPS_PROXY");
    if (proxy == NULL) proxy = either_case("all_proxy", "ALL_PROXY");
    host = host != NULL ? host + 3 : base_url;
    if (proxy == NULL || proxy_excepts(either_case("no_proxy", "NO_PROXY"), host)) return NULL;
    return plain_proxy(proxy);
}

/* ---- the client ---- */

/* Requests to set or cancel a plan that were sent, some of them perhaps in vain: only the
   trace tells of each. Whoever counts sets it to 0 first. */
static unsigned changes_sent;

static void print_trace(void *user, const char *line)
{
    (void)user;
    changes_sent += strncmp(line, "sent ", 5) == 0 && strstr(line, "StopScheduler") != NULL;
    if (verbose && !terminal_is_taken()) (void)fprintf(stderr, "# %s\n", line);
}

/* "ucl****": enough to tell one key from another. */
static const char *masked(const char *key)
{
    static char text[16];
    (void)snprintf(text, sizeof text, "%.*s****", strlen(key) > 12 ? 3 : 0, key);
    return text;
}

static const char *or_none(const char *text) { return text != NULL ? text : "-"; }

/* What goes with every request. */
static void trace_settings(void)
{
    if (!verbose) return;
    (void)fprintf(stderr, "# PublicKey=%s PrivateKey=****%s Region=%s Zone=%s ProjectId=%s\n",
        masked(config.public_key), config.security_token != NULL ? " SecurityToken=****" : "",
        or_none(config.region), or_none(config.zone), or_none(config.project_id));
}

/* What a change is about to ask for; time 0: that there be none; below: not known yet. */
static void trace_change(const char *uhost_id, int64_t time)
{
    char line[160];
    if (!verbose) return;
    (void)snprintf(line, sizeof line,
        time < 0 ? "UHostId=%s" : "UHostId=%s SchedulerStopTime=%lld", uhost_id, (long long)time);
    print_trace(NULL, line);
}

/* Seconds since 1970 by the server's clock, or by this machine's until that is known. */
static int64_t now(void)
{
    int64_t server = compshare_server_time(client);
    return server != 0 ? server : unix_time(NULL);
}

/* Where to look. Of what means the whole account only options narrow it. */
static void configure_place(const common_options *o, bool whole_account)
{
    config.region = o->region;
    config.zone = o->zone;
    config.project_id = o->project_id;
    if (whole_account) return;
    config.region = given_or(config.region, "COMPSHARE_REGION");
    config.zone = given_or(config.zone, "COMPSHARE_ZONE");
    config.project_id = given_or(config.project_id, "COMPSHARE_PROJECT_ID");
}

/* Whom to trust, and the way there. */
static void configure_way(const common_options *o)
{
    config.base_url = given_or(o->base_url, "COMPSHARE_BASE_URL");
    config.ca_file = given_or(o->ca_file, "COMPSHARE_CA_FILE");
    config.ca_file = given_or(config.ca_file, "SSL_CERT_FILE");
#ifdef SCHEDULE_CA
    if (config.ca_file == NULL) {
        config.ca_pem = embedded_roots;
        config.ca_pem_len = sizeof embedded_roots - 1;
    }
#endif
    config.proxy = choose_proxy(o->proxy,
        config.base_url != NULL ? config.base_url : "https://api.compshare.cn");
}

/* Opens the client in a block of memory. DONE, or the exit status. */
static int open_client(const common_options *o, bool whole_account, void *memory, size_t size)
{
    char text[COMPSHARE_ERROR_TEXT];
    int64_t timeout = o->timeout == 0 ? 60 : o->timeout < 86400 ? o->timeout : 86400;
    int r = read_credentials(o);
    if (r != DONE) return r;
    config.memory = memory;
    config.memory_size = size;
    config.security_token = secrets[2];
    configure_place(o, whole_account);
    configure_way(o);
    config.timeout_ms = (uint32_t)(timeout * 1000);
    config.connect_timeout_ms = config.timeout_ms / 2;
    config.max_retries = (unsigned)o->retries;
    config.user_agent = PROGRAM "/" COMPSHARE_VERSION;
    config.monotonic_ms = monotonic_ms;
    config.unix_time = unix_time;
    config.trace = print_trace;
    trace_settings();
    if (compshare_open(&client, &config) == COMPSHARE_OK) return DONE;
    return refuse(CONFIGURATION, M_FAILED, compshare_open_text(&config, text, sizeof text));
}

/* In a process that has no business with the account: what came by fork. */
static void forget_account(void)
{
    memset(&settings, 0, sizeof settings);
    memset(config.memory, 0, config.memory_size);
}

static void close_client(void)
{
    compshare_close(client);
    memset(&settings, 0, sizeof settings);
    forget_secrets();
}

/* ---- how a call ended ---- */

/* The exit status that a failure to read stands for. */
static int read_outcome(int status)
{
    switch (status) {
    case COMPSHARE_OK: return DONE;
    case COMPSHARE_E_NOT_FOUND: case COMPSHARE_E_STATE: case COMPSHARE_E_SPOT:
    case COMPSHARE_E_NO_PLAN: return UNSCHEDULABLE;
    case COMPSHARE_E_PARAM: case COMPSHARE_E_TOO_SOON: return USAGE;
    case COMPSHARE_E_CONFIG: case COMPSHARE_E_MEMORY: case COMPSHARE_E_PROJECT:
    case COMPSHARE_E_CLOCK: case COMPSHARE_E_TRUST: return CONFIGURATION;
    case COMPSHARE_E_API: case COMPSHARE_E_STATUS: case COMPSHARE_E_REPLY: return REFUSED;
    default: return NETWORK;
    }
}

/* The same for a call that changes something. */
static int outcome(int status)
{
    bool unknown = status == COMPSHARE_E_UNCONFIRMED
        || compshare_last_error(client)->outcome_unknown;
    return status != COMPSHARE_OK && unknown ? UNCONFIRMED : read_outcome(status);
}

/* A reading that got no answer (a 502, a web page, half of a reply) is tried again, twice:
   nothing was done. So is what does not find an instance that was seen a moment ago. */
static bool try_again(int status, bool seen, int *tries)
{
    const compshare_error *e = compshare_last_error(client);
    bool garbled = status == COMPSHARE_E_JSON || status == COMPSHARE_E_HTTP
        || (status == COMPSHARE_E_STATUS && e->retryable);
    if (!garbled && !(seen && status == COMPSHARE_E_NOT_FOUND)) return false;
    if (strstr(e->action, "StopScheduler") != NULL || ++*tries > 2) return false;
    (void)poll(NULL, 0, *tries * 1000);
    return true;
}

/* The most serious of two: 5, 3, 6, 4, what is left, 0. */
static int graver(int a, int b)
{
    static const int order[] = {
        UNCONFIRMED, REFUSED, UNSCHEDULABLE, NETWORK, CONFIGURATION, USAGE, FOUND
    };
    size_t i;
    for (i = 0; i < COUNT(order); i++)
        if (a == order[i] || b == order[i]) return order[i];
    return DONE;
}

static const char *error_text(void)
{
    static char text[COMPSHARE_ERROR_TEXT];
    return compshare_error_text(client, text, sizeof text);
}

/* A clock that is wrong by more than a minute, said once. */
static void check_clock(void)
{
    static bool said;
    int64_t server = compshare_server_time(client), off = unix_time(NULL) - server;
    if (said || server == 0 || (off >= -60 && off <= 60)) return;
    said = true;
    say(M_CLOCK_OFF, tr(off > 0 ? M_AHEAD_OF : M_BEHIND), show_duration(off > 0 ? off : -off));
}

