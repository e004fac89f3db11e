/* Configuration: base_url taken apart, every refusal, and the memory block. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include "support.h"
#include "memory.h"
#include <openssl/evp.h>

static unsigned char block[COMPSHARE_MEMORY];

static compshare_config good(void)
{
    compshare_config config;
    memset(&config, 0, sizeof config);
    config.memory = block;
    config.memory_size = sizeof block;
    config.public_key = "public";
    config.private_key = "private";
    return config;
}

/* compshare_open and compshare_open_text agree. */
static void refused(const compshare_config *config, int status, const char *wanted)
{
    compshare *client = (compshare *)(void *)block;
    char text[512], small[10];
    CHECK_NUMBER(compshare_open(&client, config), status);
    CHECK(client == NULL);
    CHECK(compshare_open_text(config, text, sizeof text) == text);
    CHECK_TEXT(text, wanted);
    (void)compshare_open_text(config, small, sizeof small);
    CHECK(strlen(small) < sizeof small && strncmp(small, wanted, strlen(small)) == 0);
}

static void taken(const compshare_config *config)
{
    compshare *client = NULL;
    char text[512];
    CHECK_TEXT(compshare_open_text(config, text, sizeof text), "done");
    CHECK_NUMBER(compshare_open(&client, config), COMPSHARE_OK);
    CHECK(client != NULL);
    compshare_close(client);
}

static const char *url(const char *text, compshare__config_origin *parts)
{
    guard g = guard_open(1024);
    size_t len = strlen(text);
    static char path[512];
    const char *reason;
    support_case("url %s", text);
    reason = compshare__config_url((const char *)guard_copy(&g, text, len + 1), parts);
    if (reason == NULL) {       /* the path is a view: keep a copy */
        CHECK(parts->path.len < sizeof path);
        memcpy(path, parts->path.ptr, parts->path.len);
        path[parts->path.len] = '\0';
        parts->path.ptr = path;
    }
    guard_close(&g);
    return reason;
}

static char host_of[512];

static const char *host(size_t total, bool dot)
{
    size_t i;
    (void)strcpy(host_of, "https://");
    for (i = 0; i < total; i++) host_of[8 + i] = i % 64 == 63 && i + 1 < total ? '.' : 'a';
    (void)strcpy(host_of + 8 + total, dot ? "." : "");
    return host_of;
}

static void good_urls(void **state)
{
    static const struct { const char *text, *host; unsigned port; bool shown, plain; const char *path; } cases[] = {
        { "https://api.compshare.cn", "api.compshare.cn", 443, false, false, "/" },
        { "https://api.compshare.cn/", "api.compshare.cn", 443, false, false, "/" },
        { "https://api.compshare.cn:443", "api.compshare.cn", 443, false, false, "/" },
        { "https://api.compshare.cn:443/", "api.compshare.cn", 443, false, false, "/" },
        { "https://api.compshare.cn:8443", "api.compshare.cn", 8443, true, false, "/" },
        { "https://api.compshare.cn:80", "api.compshare.cn", 80, true, false, "/" },
        { "https://localhost:1", "localhost", 1, true, false, "/" },
        { "https://localhost:65535/a", "localhost", 65535, true, false, "/a" },
        { "https://a.b/api/v1/", "a.b", 443, false, false, "/api/v1/" },
        { "https://a.b/%20//../x:y@z;a=b,c", "a.b", 443, false, false, "/%20//../x:y@z;a=b,c" },
        { "https://API.CompShare.CN", "API.CompShare.CN", 443, false, false, "/" },
        { "https://api.compshare.cn.", "api.compshare.cn", 443, false, false, "/" },
        { "https://api.compshare.cn.:8443/x", "api.compshare.cn", 8443, true, false, "/x" },
        { "https://a", "a", 443, false, false, "/" },
        { "https://x--y_z.1a.example", "x--y_z.1a.example", 443, false, false, "/" },
        { "https://127.0.0.1.example", "127.0.0.1.example", 443, false, false, "/" },
        { "https://api.0z", "api.0z", 443, false, false, "/" },
        { "https://xn--fiqs8s", "xn--fiqs8s", 443, false, false, "/" },
        { "http://localhost", "localhost", 80, false, true, "/" },
        { "http://localhost:8080/api", "localhost", 8080, true, true, "/api" },
        { "http://localhost:443", "localhost", 443, true, true, "/" },
        { "http://127.0.0.1:8080", "127.0.0.1", 8080, true, true, "/" }     /* nothing is verified there */
    };
    compshare__config_origin parts;
    char path[300];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        const char *reason = url(cases[i].text, &parts);
        CHECK_TEXT(reason != NULL ? reason : "", "");
        CHECK_TEXT(parts.host, cases[i].host);
        CHECK_NUMBER(parts.port, cases[i].port);
        CHECK(parts.port_shown == cases[i].shown && parts.plain == cases[i].plain);
        CHECK_TEXT(parts.path.ptr, cases[i].path);
    }
    CHECK(url(host(253, false), &parts) == NULL && strlen(parts.host) == 253);
    CHECK(url(host(253, true), &parts) == NULL && strlen(parts.host) == 253);
    (void)strcpy(path, "https://a.b/");
    memset(path + 12, 'p', 254);
    path[12 + 254] = '\0';
    CHECK(url(path, &parts) == NULL && parts.path.len == 255);
    (void)strcpy(path + 12 + 254, "p");
    CHECK_TEXT(url(path, &parts), "its path is longer than 255 bytes");
}

static void bad_urls(void **state)
{
    static const char scheme[] = "it does not begin with https://",
        control[] = "it holds a space or a control character";
    static const char port[] = "its port is not a number from 1 to 65535", label[] = "the host name has an empty label";
    static const char address[] = "an IP address cannot be verified: use a host name",
        character[] = "the host name holds a character that is not allowed";
    static const char after[] = "nothing but a port and a path may follow its host name",
        path[] = "its path holds a character that is not allowed";
    static const struct { const char *text, *reason; } cases[] = {
        { "", scheme }, { "api.compshare.cn", scheme }, { "//a.b", scheme }, { "ftp://a.b", scheme },
            { "HTTPS://a.b", scheme }, { "https:/a.b", scheme },
        { "https:", scheme }, { "https:a.b", scheme }, { "http", scheme }, { "httpss://a.b", scheme },
            { "wss://a.b", scheme },
        { "https://", "it has no host name" }, { "https:///x", "it has no host name" },
            { "https://:443", "it has no host name" }, { "https://.", "it has no host name" },
        { "https://?x", "it has no host name" },
        { "https://a.b:", port }, { "https://a.b:/", port }, { "https://a.b:0", port }, { "https://a.b:65536", port },
            { "https://a.b:99999", port },
        { "https://a.b:100000", port }, { "https://a.b:-1", port }, { "https://a.b:+1", port },
            { "https://a.b:80x", port }, { "https://a.b:80:80", port },
        { "https://a.b:80?x", port }, { "https://a.b:80#x", port }, { "https://a.b:https", port },
            { "https://a.b:0x50", port },
        { "https://a..b", label }, { "https://.a.b", label }, { "https://a.b..", label }, { "https://..", label },
        { "https://127.0.0.1", address }, { "https://127.0.0.1.", address }, { "https://127.0.0.1:443/", address },
            { "https://127.1", address }, { "https://2130706433", address },
        { "https://0x7f.1", address }, { "https://0x7f000001", address }, { "https://1.0x7f", address },
            { "https://0177.0.0.1", address }, { "https://a.b.1", address },
        { "https://[::1]", address }, { "https://[::1]:443/", address }, { "https://[", address },
        { "https://::1", "it has no host name" },
        { "https://user@a.b", after }, { "https://a.b?x=1", after }, { "https://a.b#x", after },
            { "https://user:pass@a.b", port }, { "https://user:1@a.b", port },
        { "https://a.b/?x=1", path }, { "https://a.b/#x", path }, { "https://a.b/\xC3\xA9", path },
            { "https://a.b/\x80", path }, { "https://a.b/x\xFF", path }, { "https://a.b:81/x?y", path },
        { "https://a b", control }, { " https://a.b", control }, { "https://a.b ", control },
            { "https://a.b\r\n", control }, { "https://a.b/\r\nX: y", control },
        { "https://a.b\n", control }, { "https://a.b/\t", control }, { "https://a.b/\x7F", control },
            { "https://a\x01", control },
        { "https://\xE4\xB8\xAD.cn", character }, { "https://a,b", character }, { "https://a%2eb", character },
            { "https://a*b", character }, { "https://*.b", character },
        { "https://a\\b", character }, { "https://a;b", character }, { "https://a&b", character }, { "https://a=b", character }
    };
    compshare__config_origin parts;
    size_t i;
    char long_label[100];
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        const char *reason = url(cases[i].text, &parts);
        CHECK(reason != NULL);
        CHECK_TEXT(reason, cases[i].reason);
        {
            compshare_config config = good();
            char wanted[256];
            config.base_url = cases[i].text;
            (void)snprintf(wanted, sizeof wanted, "base_url: %s", cases[i].reason);
            refused(&config, COMPSHARE_E_CONFIG, wanted);
        }
    }
    CHECK_TEXT(url(host(254, false), &parts), "the host name is longer than 253 bytes");
    CHECK_TEXT(url(host(254, true), &parts), "the host name is longer than 253 bytes");
    CHECK_TEXT(url(host(400, false), &parts), "the host name is longer than 253 bytes");
    (void)strcpy(long_label, "https://");
    memset(long_label + 8, 'l', 64);
    (void)strcpy(long_label + 8 + 63, ".cn");
    CHECK(url(long_label, &parts) == NULL);
    memset(long_label + 8, 'l', 64);
    (void)strcpy(long_label + 8 + 64, ".cn");
    CHECK_TEXT(url(long_label, &parts), "a label of the host name is longer than 63 bytes");
}

static void keys_and_identifiers(void **state)
{
    static const char *const hidden[] = { "a\n", "a\r", "a b", " a", "a ", "\ta", "a\x7F", "\x01" };
    static const char *const odd[] = { "a/b", "a+b", "a=b", "\xE4\xB8\xAD", "a&b", "a%b" };
    const char *names[] = { "public_key", "private_key", "security_token", "region", "zone", "project_id" };
    size_t i, k;
    char wanted[128];
    (void)state;
    for (i = 0; i < 6; i++) {
        compshare_config config = good();
        const char **field[6];
        field[0] = &config.public_key; field[1] = &config.private_key; field[2] = &config.security_token;
        field[3] = &config.region; field[4] = &config.zone; field[5] = &config.project_id;
        support_case("field %s", names[i]);
        *field[i] = NULL;
        (void)snprintf(wanted, sizeof wanted, "%s: it is missing", names[i]);
        if (i < 2) refused(&config, COMPSHARE_E_CONFIG, wanted);
        else taken(&config);
        *field[i] = "";
        (void)snprintf(wanted, sizeof wanted, "%s: it is empty", names[i]);
        if (i < 3) refused(&config, COMPSHARE_E_CONFIG, wanted);
        for (k = 0; k < COUNT_OF(hidden); k++) {
            *field[i] = hidden[k];
            (void)snprintf(wanted, sizeof wanted, "%s: it holds a space, a line end or a control character", names[i]);
            refused(&config, COMPSHARE_E_CONFIG, wanted);
        }
        for (k = 0; k < COUNT_OF(odd); k++) {
            *field[i] = odd[k];
            (void)snprintf(wanted, sizeof wanted, "%s: only A-Z a-z 0-9 . _ - are allowed in it", names[i]);
            if (i >= 3) refused(&config, COMPSHARE_E_CONFIG, wanted);
            else taken(&config);
        }
        *field[i] = "cn-wlcb_1.2";
        taken(&config);
    }
}

static int some_fd(void *user) { (void)user; return -1; }

static void other_fields(void **state)
{
    static memory_peer peer;
    compshare_transport io, part;
    compshare_config config = good();
    char agent[300];
    unsigned bit;
    (void)state;
    memory_reset(&peer, NULL);
    io = peer.io;
    io.fd = some_fd;
    support_case("defaults");
    taken(&config);
    support_case("no config");
    refused(NULL, COMPSHARE_E_CONFIG, "config: it is NULL");
    CHECK_NUMBER(compshare_open(NULL, &config), COMPSHARE_E_CONFIG);
    compshare_close(NULL);
    support_case("flags");
    config.flags = COMPSHARE_SMALL_RECORDS;
    taken(&config);
    config.flags = COMPSHARE_SMALL_RECORDS | COMPSHARE_FAST_OPEN;
    taken(&config);
    for (bit = 2; bit < 32; bit++) {
        config.flags = 1u << bit;
        refused(&config, COMPSHARE_E_CONFIG, "flags: it has an unknown bit");
        config.flags |= COMPSHARE_SMALL_RECORDS;
        refused(&config, COMPSHARE_E_CONFIG, "flags: it has an unknown bit");
    }
    config.flags = COMPSHARE_FAST_OPEN;
    config.transport = &io;
    refused(&config, COMPSHARE_E_CONFIG, "flags: COMPSHARE_FAST_OPEN is for POSIX sockets, and transport is given");
    config.transport = NULL;
    config.base_url = "http://localhost:80";
    refused(&config, COMPSHARE_E_CONFIG, "flags: COMPSHARE_FAST_OPEN is for https://: a SYN may arrive twice, and the request in it");
    config.flags = 0;
    taken(&config);
    support_case("roots");
    config = good();
    config.ca_pem = "x";
    taken(&config);
    config.ca_file = "/nowhere";
    refused(&config, COMPSHARE_E_CONFIG, "ca_pem: ca_file is given as well: give one of them");
    config.ca_pem = NULL;
    taken(&config);     /* files are opened when they are needed */
    support_case("transport");
    config = good();
    config.transport = &part;
    part = io;
    taken(&config);
    part.wait = NULL;
    part.fd = NULL;
    taken(&config);
    part = io;
    part.open = NULL;
    refused(&config, COMPSHARE_E_CONFIG, "transport: open, send, recv and close are all needed");
    part = io;
    part.send = NULL;
    refused(&config, COMPSHARE_E_CONFIG, "transport: open, send, recv and close are all needed");
    part = io;
    part.recv = NULL;
    refused(&config, COMPSHARE_E_CONFIG, "transport: open, send, recv and close are all needed");
    part = io;
    part.close = NULL;
    refused(&config, COMPSHARE_E_CONFIG, "transport: open, send, recv and close are all needed");
    support_case("user agent");
    config = good();
    memset(agent, 'u', sizeof agent);
    agent[255] = '\0';
    config.user_agent = agent;
    taken(&config);
    agent[255] = 'u';
    agent[256] = '\0';
    refused(&config, COMPSHARE_E_CONFIG, "user_agent: 1 to 255 bytes are needed");
    config.user_agent = "";
    refused(&config, COMPSHARE_E_CONFIG, "user_agent: 1 to 255 bytes are needed");
    config.user_agent = "a\r\nX: y";
    refused(&config, COMPSHARE_E_CONFIG, "user_agent: it holds a control character");
    config.user_agent = "tool/1 (x; y)";
    taken(&config);
}

/* ---- proxies ---- */

static void proxy_is(const char *text, const char *host, unsigned port, const char *credentials)
{
    compshare_config config = good();
    compshare__config_origin base, proxy;
    char why[128];
    compshare__bytes_text t = compshare__bytes_into(why, sizeof why);
    support_case("proxy %s", text);
    config.proxy = text;
    CHECK_NUMBER(compshare__config_check(&config, compshare_memory_needed(&config), &base, &proxy, &t), COMPSHARE_OK);
    CHECK_TEXT(proxy.host, host);
    CHECK_NUMBER(proxy.port, port);
    CHECK(proxy.credentials.len == strlen(credentials));
    CHECK(memcmp(proxy.credentials.ptr, credentials, proxy.credentials.len) == 0);
}

static void good_proxies(void **state)
{
    (void)state;
    proxy_is("http://proxy", "proxy", 80, "");
    proxy_is("http://proxy.example.:3128/", "proxy.example", 3128, "");
    proxy_is("http://10.1.2.3:8080", "10.1.2.3", 8080, "");
    proxy_is("http://[2001:db8::1]:3128", "2001:db8::1", 3128, "");
    proxy_is("http://[::1]", "::1", 80, "");
    proxy_is("http://user:pass@proxy:1", "proxy", 1, "user:pass");
    proxy_is("http://us%40er:p%3a@ss@proxy:65535", "proxy", 65535, "us%40er:p%3a@ss");
    proxy_is("http://user@10.0.0.1", "10.0.0.1", 80, "user");
    proxy_is("http://us%70er:%7e@proxy", "proxy", 80, "us%70er:%7e");
}

static void bad_proxies(void **state)
{
    static const struct { const char *text, *why; } cases[] = {
        { "", "proxy: only http:// proxies are supported" },
        { "https://proxy", "proxy: only http:// proxies are supported" },
        { "socks5://proxy", "proxy: only http:// proxies are supported" },
        { "proxy:3128", "proxy: only http:// proxies are supported" },
        { "http://", "proxy: it has no host name" },
        { "http://user@", "proxy: it has no host name" },
        { "http://pro xy", "proxy: it holds a space or a control character" },
        { "http://proxy:0", "proxy: its port is not a number from 1 to 65535" },
        { "http://proxy:65536", "proxy: its port is not a number from 1 to 65535" },
        { "http://proxy/path", "proxy: nothing but a port may follow its host name" },
        { "http://proxy?x", "proxy: nothing but a port may follow its host name" },
        { "http://[::1", "proxy: its IPv6 address is malformed" },
        { "http://[::g]", "proxy: its IPv6 address is malformed" },
        { "http://[]:1", "proxy: its IPv6 address is malformed" },
        { "http://[1111111111222222222233333333334444444444555555]", "proxy: its IPv6 address is malformed" },
        { "http://a%:b@proxy", "proxy: a % in its user or password is not followed by two hexadecimal digits" },
        { "http://a%4@proxy", "proxy: a % in its user or password is not followed by two hexadecimal digits" },
        { "http://a:%0ab@proxy", "proxy: its user or password holds a control character" },
        { "http://a:%7F@proxy", "proxy: its user or password holds a control character" },
        { "http://us%3Aer:b@proxy", "proxy: its user holds a colon" },
        { "http://us%3aer@proxy", "proxy: its user holds a colon" }
    };
    char text[300];
    size_t i;
    compshare_config config = good();
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        support_case("proxy %s", cases[i].text);
        config.proxy = cases[i].text;
        refused(&config, COMPSHARE_E_CONFIG, cases[i].why);
    }
    support_case("long credentials");
    memset(text, 'x', sizeof text);
    memcpy(text, "http://", 7);
    memcpy(text + 7 + 256, "@h", 3);
    config.proxy = text;
    refused(&config, COMPSHARE_E_CONFIG, "proxy: its user and password are longer than 255 bytes");
    memcpy(text + 7 + 255, "@h", 3);
    taken(&config);
}

/* The request for a tunnel, against base64 of another library. */
static void connect_request(void **state)
{
    static const struct { const char *credentials, *plain; } cases[] = {
        { "a:", "a:" }, { "a", "a:" }, { "ab", "ab:" }, { "Aladdin:open sesame", "Aladdin:open sesame" },
        { "a:b:c", "a:b:c" }, { "%61%3a:%ff%80", "a::\xff\x80" }, { "u:%20%7e", "u: ~" }
    };
    size_t i, n;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        char got[1024], wanted[1024], basic[512];
        compshare_view v;
        support_case("credentials %s", cases[i].credentials);
        v.ptr = cases[i].credentials;
        v.len = strlen(v.ptr);
        n = compshare__encode_connect("api.example", 443, v, got, sizeof got);
        CHECK_NUMBER(EVP_EncodeBlock((unsigned char *)basic, (const unsigned char *)cases[i].plain,
            (int)strlen(cases[i].plain)) > 0, 1);
        (void)snprintf(wanted, sizeof wanted, "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n"
            "Proxy-Authorization: Basic %s\r\n\r\n", basic);
        CHECK_TEXT(got, wanted);
        CHECK_NUMBER(n, strlen(wanted));
    }
}

static void memory(void **state)
{
    size_t needed = compshare_memory_needed(NULL), offset, i;
    compshare_config config = good();
    char wanted[128];
    (void)state;
    support_case("memory needed");
    CHECK(needed > 30000 && needed < COMPSHARE_MEMORY);
    CHECK_NUMBER(compshare_memory_needed(&config), needed);
    config.flags = COMPSHARE_SMALL_RECORDS;
    CHECK_NUMBER(compshare_memory_needed(&config), needed - 12288);
    config.memory_size = needed - 12288;
    taken(&config);
    config.memory_size--;
    (void)snprintf(wanted, sizeof wanted, "memory_size: %u bytes given, at least %u needed",
        (unsigned)(needed - 12289), (unsigned)(needed - 12288));
    refused(&config, COMPSHARE_E_MEMORY, wanted);
    config = good();
    config.memory_size = needed - 1;
    (void)snprintf(wanted, sizeof wanted, "memory_size: %u bytes given, at least %u needed", (unsigned)(needed - 1),
        (unsigned)needed);
    refused(&config, COMPSHARE_E_MEMORY, wanted);
    config.memory_size = 0;
    (void)snprintf(wanted, sizeof wanted, "memory_size: 0 bytes given, at least %u needed", (unsigned)needed);
    refused(&config, COMPSHARE_E_MEMORY, wanted);
    config.memory = NULL;
    refused(&config, COMPSHARE_E_CONFIG, "memory: it is NULL");
    /* exactly enough, at any alignment, touches nothing else and is wiped */
    for (offset = 0; offset < 32; offset++) {
        compshare *client;
        support_case("memory at offset %u", (unsigned)offset);
        memset(block, 0xA5, sizeof block);
        config = good();
        config.memory = block + 64 + offset;
        config.memory_size = needed;
        CHECK_NUMBER(compshare_open(&client, &config), COMPSHARE_OK);
        CHECK((uintptr_t)client % COMPSHARE__ALIGN == 0 && (unsigned char *)client >= block + 64 + offset);
        CHECK(client->connection.tls.record.ptr + client->connection.tls.record.cap <= block + 64 + offset + needed);
        CHECK(client->reply.area_cap >= COMPSHARE__REPLY_MIN);
        CHECK((uintptr_t)client->reply.area % sizeof(uint64_t) == 0);
        compshare_close(client);
        for (i = 0; i < sizeof block; i++) {
            bool inside = i >= 64 + offset && i < 64 + offset + needed;
            CHECK(block[i] == (inside ? 0 : 0xA5));
        }
    }
    {   /* and ends at a forbidden page */
        guard g = guard_open(needed);
        compshare *client;
        config.memory = guard_tail(&g, needed);
        CHECK_NUMBER(compshare_open(&client, &config), COMPSHARE_OK);
        compshare_close(client);
        guard_close(&g);
    }
}

static void names(void **state)
{
    (void)state;
    support_case("version and status names");
    CHECK_TEXT(compshare_version(), COMPSHARE_VERSION);
    CHECK_TEXT(compshare_status_name(COMPSHARE_OK), "COMPSHARE_OK");
    CHECK_TEXT(compshare_status_name(COMPSHARE_PENDING), "COMPSHARE_PENDING");
    CHECK_TEXT(compshare_status_name(COMPSHARE_WANT_READ), "COMPSHARE_WANT_READ");
    CHECK_TEXT(compshare_status_name(COMPSHARE_E_TIMEOUT), "COMPSHARE_E_TIMEOUT");
    CHECK_TEXT(compshare_status_name(-22), "COMPSHARE_E_TIMEOUT");
    CHECK_TEXT(compshare_status_name(COMPSHARE_E_TYPE), "COMPSHARE_E_TYPE");
    CHECK_TEXT(compshare_status_name(-99), "COMPSHARE_E_?");
    CHECK_TEXT(compshare_status_name(99), "COMPSHARE_E_?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls),
        cmocka_unit_test(bad_urls),
        cmocka_unit_test(keys_and_identifiers),
        cmocka_unit_test(other_fields),
        cmocka_unit_test(good_proxies),
        cmocka_unit_test(bad_proxies),
        cmocka_unit_test(connect_request),
        cmocka_unit_test(memory),
        cmocka_unit_test(names)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
