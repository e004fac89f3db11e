/* Room settings: base_url, proxy, identities and whole configurations, against libcurl's
   URL parser and libcrypto's base64.

   Input: a byte that says what the text is (0 base_url, 1 proxy, 2 a configuration whose
   fields are parted by newlines), two bytes of choices, the text.

   Where both accept, host, port, path, user and password must agree. What the room takes
   libcurl must take, too, but for: an IPv6 address, whose form is not checked; a plain
   host that libcurl reads as an old form of IPv4 (0x7f.1); and '?', '#', '\' or another '@'
   before the last '@' of a proxy, which the room takes for a part of the password. */

#include "fuzz.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <openssl/evp.h>

/* A part of an URL as libcurl sees it, "" if there is none; curl_free. */
static char *part(CURLU *u, CURLUPart what, unsigned flags)
{
    char *text = NULL;
    if (curl_url_get(u, what, &text, flags) == CURLUE_OK) return text;
    u = curl_url();     /* an empty string that curl_free takes */
    (void)curl_url_set(u, CURLUPART_FRAGMENT, "", 0);
    (void)curl_url_set(u, CURLUPART_HOST, "x", 0);
    if (curl_url_get(u, CURLUPART_HOST, &text, 0) != CURLUE_OK) exit(2);
    text[0] = '\0';
    curl_url_cleanup(u);
    return text;
}

/* Digits and dots, and hexadecimal: libcurl may make an IPv4 address of it. */
static bool is_number_like(const char *host)
{
    return strspn(host, "0123456789abcdefABCDEFxX.") == strlen(host) && strpbrk(host, "0123456789") != NULL;
}

static void check_host(CURLU *theirs, const compshare__config_origin *ours)
{
    char *host = part(theirs, CURLUPART_HOST, 0), *port = part(theirs, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    size_t len = strlen(host);
    CHECK(fuzz_is_text(ours->host, sizeof ours->host, true) && ours->host[0] != '\0');
    if (len > 1 && host[len - 1] == '.') len--;
    if (host[0] == '[') {       /* libcurl shortens it */
        unsigned char a[16], b[16];
        host[len - 1] = '\0';
        CHECK(inet_pton(AF_INET6, host + 1, a) == 1 && inet_pton(AF_INET6, ours->host, b) == 1
            && memcmp(a, b, 16) == 0);
    } else if (!is_number_like(ours->host)) CHECK(fuzz_same(host, len, ours->host, strlen(ours->host)));
    CHECK(strtoul(port, NULL, 10) == ours->port);
    curl_free(host);
    curl_free(port);
}

/* ---- base_url ---- */

static void check_base(const char *s)
{
    compshare__config_origin url;
    CURLU *u = curl_url();
    char *path, *user, *query, *fragment;
    CURLUcode code = curl_url_set(u, CURLUPART_URL, s, CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME);
    if (compshare__config_url(s, &url) == NULL) {
        CHECK(code == CURLUE_OK);
        check_host(u, &url);
        path = part(u, CURLUPART_PATH, 0);
        user = part(u, CURLUPART_USER, 0);
        query = part(u, CURLUPART_QUERY, 0);
        fragment = part(u, CURLUPART_FRAGMENT, 0);
        CHECK(fuzz_same(url.path.ptr, url.path.len, path, strlen(path)) && url.path.len <= COMPSHARE__PATH_MAX);
        CHECK(user[0] == '\0' && query[0] == '\0' && fragment[0] == '\0');
        CHECK(url.port_shown == (url.port != (url.plain ? 80 : 443)));
        curl_free(path); curl_free(user); curl_free(query); curl_free(fragment);
    }
    curl_url_cleanup(u);
}

/* ---- proxy ---- */

static void check_basic(CURLU *u, const compshare__config_origin *ours)
{
    char *user = part(u, CURLUPART_USER, 0), *password = part(u, CURLUPART_PASSWORD, 0);
    int user_len, password_len, wanted_len;
    char *plain_user = curl_easy_unescape(NULL, user, 0, &user_len),
        *plain_password = curl_easy_unescape(NULL, password, 0, &password_len);
    size_t both = (size_t)user_len + 1 + (size_t)password_len;
    unsigned char *credentials = (unsigned char *)fuzz_room(both), *wanted = (unsigned char *)fuzz_room(both * 2 + 8);
    char *room = (char *)fuzz_room(1024);
    compshare__bytes_text t = compshare__bytes_into(room, 1024);
    memcpy(credentials, plain_user, (size_t)user_len);
    credentials[user_len] = ':';
    memcpy(credentials + user_len + 1, plain_password, (size_t)password_len);
    wanted_len = EVP_EncodeBlock(wanted, credentials, (int)both);
    compshare__encode_basic(&t, ours->credentials);
    CHECK(fuzz_same(room, t.len, wanted, (size_t)wanted_len));
    free(credentials); free(wanted); free(room);
    curl_free(user); curl_free(password); curl_free(plain_user); curl_free(plain_password);
}

/* The request for a tunnel is what it should be: one line for each thing. */
static void check_connect(const compshare__config_origin *ours)
{
    char *room = (char *)fuzz_room(COMPSHARE__TX), host[COMPSHARE__HOST_MAX + 1], *at;
    size_t len, lines = 0;
    memset(host, 'h', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    len = compshare__encode_connect(host, 65535, ours->credentials, room, COMPSHARE__TX);
    CHECK(len == strlen(room) && len < COMPSHARE__TX - 1 && strcmp(room + len - 4, "\r\n\r\n") == 0);
    for (at = room; (at = strchr(at, '\n')) != NULL; at++) lines++;
    CHECK(lines == (ours->credentials.len > 0 ? 4 : 3));
    free(room);
}

static void check_proxy(const char *s)
{
    compshare__config_origin url;
    CURLU *u = curl_url();
    const char *at = strrchr(s, '@');
    CURLUcode code = curl_url_set(u, CURLUPART_URL, s, CURLU_PATH_AS_IS);
    size_t i;
    bool odd = false;
    if (compshare__config_proxy(s, &url) == NULL) {
        for (i = 0; at != NULL && s + i < at; i++) odd = odd || s[i] == '?' || s[i] == '#' || s[i] == '\\'
            || s[i] == '@';
        CHECK(code == CURLUE_OK || odd || strchr(s, '[') != NULL);
        CHECK(fuzz_is_text(url.host, sizeof url.host, true) && url.port != 0
            && url.credentials.len <= COMPSHARE__CREDENTIALS_MAX);
        if (code == CURLUE_OK && !odd) {
            check_host(u, &url);
            if (url.credentials.len > 0) check_basic(u, &url);
        }
        check_connect(&url);
    }
    curl_url_cleanup(u);
}

/* ---- configurations ---- */

static bool is_plain_id(const char *s, bool key)
{
    for (; *s != '\0'; s++)
        if (key ? (unsigned char)*s <= 0x20 || *s == 0x7F
            : strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *s) == NULL) return false;
    return true;
}

/* Takes a line off the text; NULL for one that begins with '!'. */
static const char *line(char **at)
{
    char *s = *at, *end = strchr(s, '\n');
    if (end != NULL) *end = '\0';
    *at = end != NULL ? end + 1 : s + strlen(s);
    return s[0] == '!' ? NULL : s;
}

static void check_opened(compshare_config *config, bool accepted, const char *reason, unsigned more)
{
    compshare *client = (compshare *)(void *)&client;
    int r = compshare_open(&client, config);
    const unsigned char *memory = (const unsigned char *)config->memory;
    CHECK((r == COMPSHARE_OK) == accepted && (client != NULL) == accepted);
    if (r == COMPSHARE_E_MEMORY) CHECK(config->memory_size < compshare_memory_needed(config));
    if (r == COMPSHARE_OK) CHECK(strcmp(reason, "done") == 0 && config->memory_size >= compshare_memory_needed(config)
        && more < 200);
    compshare_close(client);
    if (r == COMPSHARE_OK) CHECK(memory[0] == 0 && memcmp(memory, memory + 1, config->memory_size - 1) == 0);
}

static void check_config(const uint8_t *data, size_t size)
{
    compshare_config config;
    char *text = fuzz_string(data + 3, size - 3), *at = text, reason[COMPSHARE_ERROR_TEXT], few[16];
    const char *ids[6];
    size_t i;
    bool refused = false;
    memset(&config, 0, sizeof config);
    for (i = 0; i < 6; i++) ids[i] = line(&at);
    config.public_key = ids[0];
    config.private_key = ids[1];
    config.security_token = ids[2];
    config.region = ids[3];
    config.zone = ids[4];
    config.project_id = ids[5];
    config.base_url = line(&at);
    config.proxy = line(&at);
    config.user_agent = line(&at);
    config.ca_file = line(&at);
    config.flags = data[1] & 3;
    config.memory_size = compshare_memory_needed(&config) + data[2] - (data[2] >= 200 ? 256 : 0);
    config.memory = fuzz_room(config.memory_size);
    CHECK(compshare_open_text(&config, reason, sizeof reason) == reason && fuzz_is_text(reason, sizeof reason, true));
    (void)compshare_open_text(&config, few, sizeof few);
    CHECK(strlen(few) == (strlen(reason) < 15 ? strlen(reason) : 15) && strncmp(reason, few, strlen(few)) == 0);
    for (i = 0; i < 6; i++) refused = refused
        || (ids[i] == NULL ? i < 2 : !is_plain_id(ids[i], i < 3) || (i < 3 && ids[i][0] == '\0'));
    if (refused) CHECK(strcmp(reason, "done") != 0);
    if (config.private_key != NULL && strlen(config.private_key) > 24) CHECK(strstr(reason,
        config.private_key) == NULL);
    check_opened(&config, strcmp(reason, "done") == 0, reason, data[2]);
    free(config.memory);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;
    if (size < 4) return 0;
    text = fuzz_string(data + 3, size - 3);
    if (data[0] % 3 == 0) check_base(text);
    if (data[0] % 3 == 1) check_proxy(text);
    if (data[0] % 3 == 2) check_config(data, size);
    free(text);
    return 0;
}
