/* ==== doctor ======================================================================

   Does:  checks, one line each, what all other verbs need: keys, root certificates, name,
          connection, clock, signature, project, self.
   May:   read from the API; resolve a name.
   Never: changes anything. */

/* One line: a verdict (M_DOCTOR_OK, _WARNING, _FAILED), and what was found, broken at column 80. */
static void checked(int verdict, int message, ...)
{
    static const char *const words[] = { "ok", "warning", "failed" };
    char line[1200], *word;
    int at = 0;
    va_list args;
    va_start(args, message);
    (void)vsnprintf(line, sizeof line, tr(message), args);
    va_end(args);
    if (as_json) {
        json_text("verdict", words[verdict - M_DOCTOR_OK]);
        json_text("text", line);
        json_end();
        return;
    }
    (void)fputs(tr(verdict), stdout);
    for (word = strtok(line, " "); word != NULL; word = strtok(NULL, " ")) {
        int columns = width(word);
        (void)printf("%s%s", at == 0 ? "" : at + 1 + columns > 71 ? "\n         " : " ", word);
        at = at + 1 + columns > 71 ? columns : at + (at > 0) + columns;
    }
    (void)putchar('\n');
}

/* The way to the server's name, or to the proxy that knows it. */
static void doctor_name(const char *base_url)
{
    char host[256];
    const char *at = strstr(base_url, "://");
    struct addrinfo hints, *list = NULL, *i;
    uint64_t began = monotonic_ms(NULL);
    size_t count = 0;
    int r;
    if (config.proxy != NULL) {     /* without its user and password */
        at = strrchr(config.proxy, '@');
        checked(M_DOCTOR_OK, M_DOCTOR_PROXY, at != NULL ? at + 1 : config.proxy);
        return;
    }
    at = at != NULL ? at + 3 : base_url;
    (void)snprintf(host, sizeof host, "%.*s", (int)strcspn(at, ":/"), at);
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if ((r = getaddrinfo(host, NULL, &hints, &list)) != 0) {
        checked(M_DOCTOR_FAILED, M_DOCTOR_NO_NAME, host, gai_strerror(r));
        return;
    }
    for (i = list; i != NULL; i = i->ai_next) count++;
    freeaddrinfo(list);
    checked(M_DOCTOR_OK, M_DOCTOR_NAME, host, count, (long)(monotonic_ms(NULL) - began));
}

/* What the handshake agreed on, and how long the server's certificate will do. */
static void doctor_tls(long ms)
{
    static const struct { uint16_t number; char name[44]; } suites[] = {
        { 0xC02B, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" },
        { 0xC02C, "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" },
        { 0xC02F, "ECDHE_RSA_WITH_AES_128_GCM_SHA256" },
        { 0xC030, "ECDHE_RSA_WITH_AES_256_GCM_SHA384" },
        { 0xCCA8, "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" },
        { 0xCCA9, "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" },
        { 0, "?" }
    };
    compshare_handshake h = compshare_last_handshake(client);
    long days = (long)((h.not_after - unix_time(NULL)) / 86400);
    size_t i;
    for (i = 0; i < COUNT(suites) - 1 && suites[i].number != h.suite; i++) {}
    checked(M_DOCTOR_OK, M_DOCTOR_TLS, h.version - 0x301, suites[i].name, ms);
    if (h.not_after == 0) return;
    if (days >= 7) checked(M_DOCTOR_OK, M_DOCTOR_DAYS, days);
    else checked(M_DOCTOR_WARNING, M_DOCTOR_RENEW, days);
}

static void doctor_clock(void)
{
    int64_t server = compshare_server_time(client), off = unix_time(NULL) - server;
    if (server == 0) return;
    if (off >= -60 && off <= 60)
        checked(M_DOCTOR_OK, M_DOCTOR_CLOCK_FINE, show_duration(off < 0 ? -off + 1 : off + 1));
    else
        checked(M_DOCTOR_WARNING, M_DOCTOR_CLOCK, tr(off > 0 ? M_AHEAD_OF : M_BEHIND),
            show_duration(off > 0 ? off : -off));
}

/* The account's projects: their ids, and how many there are. */
typedef struct project_list { char ids[512]; size_t count; } project_list;

static int join_project(void *user, const compshare_project *p)
{
    project_list *list = (project_list *)user;
    size_t len = strlen(list->ids);
    list->count++;
    (void)snprintf(list->ids + len, sizeof list->ids - len, "%s%s", len > 0 ? ", " : "",
        p->project_id);
    return 0;
}

/* What "self" would be. That this host is no instance is no fault. */
static int doctor_self(void)
{
    char why[600];
    const char *id;
    compshare_target target = { NULL, NULL, NULL, NULL };
    compshare_instance instance;
    int status, code = find_self(&id, why, sizeof why);
    if (code == UNSCHEDULABLE && id[0] == '\0') {
        checked(M_DOCTOR_OK, M_DOCTOR_NO_SELF);
        return DONE;
    }
    if (code != DONE) {
        checked(M_DOCTOR_FAILED, M_FAILED, why);
        return code;
    }
    target.uhost_id = id;
    status = compshare_describe_instance(client, &target, &instance);
    checked(status == COMPSHARE_OK ? M_DOCTOR_OK : M_DOCTOR_FAILED, M_SELF_FAILED,
        status == COMPSHARE_OK ? id : error_text());
    return read_outcome(status);
}

/* What is known before anything is sent. */
static void doctor_settings(const char *base_url)
{
    const char *roots = tr(config.ca_pem != NULL ? M_DOCTOR_EMBEDDED : M_DOCTOR_SYSTEM);
    if (config.ca_file != NULL) roots = config.ca_file;
    checked(M_DOCTOR_OK, M_DOCTOR_KEYS, settings.keys_from);
    checked(M_DOCTOR_OK, M_DOCTOR_ROOTS, roots);
    doctor_name(base_url);
}

/* The first call: connection, clock, signature. DONE, or the exit status. */
static int doctor_call(const char *base_url, compshare_project *project, project_list *list,
    int *status)
{
    uint64_t began = monotonic_ms(NULL);
    int code;
    *status = compshare_get_project_list(client, project, join_project, list);
    code = read_outcome(*status);
    if (code != DONE && (compshare_last_error(client)->http_status == 0 || code == NETWORK)) {
        checked(M_DOCTOR_FAILED, M_DOCTOR_NO_TLS, base_url, error_text());
        return code;
    }
    doctor_tls((long)(monotonic_ms(NULL) - began));
    doctor_clock();
    if (code != DONE && *status != COMPSHARE_E_PROJECT) {
        checked(M_DOCTOR_FAILED, M_DOCTOR_NO_SIGNATURE, error_text());
        return code;
    }
    checked(M_DOCTOR_OK, M_DOCTOR_SIGNATURE);
    return DONE;
}

/* From the keys to self; what fails first ends it. The exit status. */
static int doctor(void)
{
    const char *base_url = config.base_url != NULL ? config.base_url : "https://api.compshare.cn";
    compshare_project project;
    project_list list;
    uint64_t began;
    int status, code;
    memset(&list, 0, sizeof list);
    doctor_settings(base_url);
    code = doctor_call(base_url, &project, &list, &status);
    if (code != DONE) return code;
    if (status == COMPSHARE_E_PROJECT)
        checked(M_DOCTOR_WARNING, M_DOCTOR_SET_PROJECT, error_text());
    else
        checked(M_DOCTOR_OK, M_DOCTOR_PROJECT, project.project_id, list.count, list.ids);
    began = monotonic_ms(NULL);
    if (compshare_get_project_list(client, NULL, NULL, NULL) == COMPSHARE_OK)
        checked(M_DOCTOR_OK, M_DOCTOR_TRIPS, (long)(monotonic_ms(NULL) - began));
    return status == COMPSHARE_OK ? doctor_self() : CONFIGURATION;
}
