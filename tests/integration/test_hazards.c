/* The rest of what a TLS peer can do to a client: certificates that most servers never
   send, names at their limits, bundles of roots that are cut, doubled or buried in noise,
   and the servers that people really put in front of an API: nginx, stunnel, haproxy.
   Where BearSSL does not check something, the manual says so, and a row here shows it. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"

#include <sys/time.h>

#define REBOOT "RebootCompShareInstance"
#define RECORD (4096u + 320u)       /* what BearSSL allows a record of 4,096 bytes to grow to */
#define NO_ROOT "no trusted root|or an intermediate certificate is missing"
#define NO_COMMON "no common cipher|client certificate"
#define OTHER_HOST "certificate is for another host"

#define REPLY "HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 13\\r\\nConnection: close\\r\\n\\r\\n{\\\"RetCode\\\":0}"
static const char *const good[] = { "read-request\nsend \"" REPLY "\"\nclose\n", NULL };

static harness_client h;
static shim t;
static char base_url[320];

/* A client of https://host:port, wherever that name leads: the port is on loopback. */
static void configure(const char *host, unsigned port)
{
    if (h.client != NULL) harness_close(&h);
    harness_configure(&h, port);
    snprintf(base_url, sizeof base_url, "https://%s:%u", host, port);
    h.config.base_url = base_url;
    h.config.zone = "cn-wlcb-01";
    h.config.project_id = PROJECT;
    tap_insert(&t, &h, false);
    t.real_port = port;
}

static int descriptors_before;

static int fresh(void **state)
{
    (void)state;
    descriptors_before = count_descriptors();
    return 0;
}

static int done(void **state)
{
    int after;
    (void)state;
    if (h.client != NULL) harness_close(&h);
    after = count_descriptors();
    if (after > descriptors_before) fprintf(stderr, "%d descriptors are left open\n", after - descriptors_before);
    return after > descriptors_before ? -1 : 0;
}

static int act(void)
{
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    return compshare_call(h.client, REBOOT, &p, 1);
}

/* Every word of "one|another" is in the text. */
static void has_words(const char *name, const char *text, const char *words)
{
    char copy[160], *word;
    snprintf(copy, sizeof copy, "%s", words);
    for (word = strtok(copy, "|"); word != NULL; word = strtok(NULL, "|"))
        if (strstr(text, word) == NULL) fail_msg("%s: \"%s\" is not in: %s", name, word, text);
}

/* How a call must end: success, or a refusal before a byte of the request has left. */
static void expect_end(const char *name, int r, int status, int tls_code, const char *words)
{
    const compshare_error *e = last(&h);
    char text[COMPSHARE_ERROR_TEXT];
    compshare_error_text(h.client, text, sizeof text);
    if (r != status || e->status != status)
        fail_msg("%s: %s (BearSSL %d) where %s was expected: %s", name, compshare_status_name(r), e->tls_code,
            compshare_status_name(status), text);
    if (tls_code >= 0 && e->tls_code != tls_code) fail_msg("%s: tls_code %d where %d was expected: %s", name,
        e->tls_code, tls_code, text);
    if (status == COMPSHARE_OK) return;
    if (e->stage != COMPSHARE_STAGE_HANDSHAKE) fail_msg("%s: stage %d: %s", name, e->stage, text);
    if (e->outcome_unknown) fail_msg("%s: outcome_unknown although nothing was sent: %s", name, text);
    has_words(name, text, words);
}

/* ---- certificates ---- */

#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL_61 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME_253 LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_61

/* Grouped by chain: one server each. ca NULL: both roots. */
static const struct {
    const char *name, *chain, *host, *ca;
    int status, tls_code;
    const char *words;
} certificates[] = {
    { "signed with SHA-384", "sha384", "localhost", NULL, COMPSHARE_OK, 0, "" },
    { "signed with SHA-512", "sha512", "localhost", NULL, COMPSHARE_OK, 0, "" },
    { "wildcard, one label", "wildcard", "api.example.test", NULL, COMPSHARE_OK, 0, "" },
    { "wildcard, upper case", "wildcard", "API.Example.TEST", NULL, COMPSHARE_OK, 0, "" },
    { "wildcard, trailing dot", "wildcard", "api.example.test.", NULL, COMPSHARE_OK, 0, "" },
    { "wildcard, label of 63 bytes", "wildcard", LABEL_63 ".example.test", NULL, COMPSHARE_OK, 0, "" },
    { "wildcard, apex", "wildcard", "example.test", NULL, COMPSHARE_E_CERTIFICATE, 56, OTHER_HOST },
    { "wildcard, two labels", "wildcard", "a.api.example.test", NULL, COMPSHARE_E_CERTIFICATE, 56, OTHER_HOST },
    { "wildcard, longer ending", "wildcard", "api.notexample.test", NULL, COMPSHARE_E_CERTIFICATE, 56, OTHER_HOST },
    { "wildcard, label only", "wildcard", "api", NULL, COMPSHARE_E_CERTIFICATE, 56, OTHER_HOST },
    { "253 bytes", "long", NAME_253, NULL, COMPSHARE_OK, 0, "" },
    { "253 bytes and a dot", "long", NAME_253 ".", NULL, COMPSHARE_OK, 0, "" },
    { "253 other bytes", "long", LABEL_63 "." LABEL_63 "." LABEL_61 "." LABEL_63, NULL, COMPSHARE_E_CERTIFICATE, 56,
        OTHER_HOST },
    { "name constraints, critical", "nccrit", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 57, "critical extension" },
    { "name constraints, not critical: not looked at", "ncsoft", "localhost", NULL, COMPSHARE_OK, 0, "" },
    { "name constraints of a root: not looked at", "ncroot", "localhost", "nc-root.pem", COMPSHARE_OK, 0, "" },
    { "root that may not sign: not looked at", "kuroot", "localhost", "ku-root.pem", COMPSHARE_OK, 0, "" },
    { "name as CN, without other names", "cnonly", "localhost", NULL, COMPSHARE_OK, 0, "" },
    { "name as CN, beside other names", "cnother", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 56, OTHER_HOST },
    { "extended key usage, critical", "ekucrit", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 57, "critical extension" },
    { "key usage without signing", "encipher", "localhost", NULL, COMPSHARE_E_TLS, 28, "may not be used for this" },
    { "intermediate that may not sign", "nosigning", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 59,
        "may not be used for this" },
    { "signature of another key", "badsig", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 52,
        "signature in its certificate chain is wrong" },
    { "leaf twice", "duplicate", "localhost", NULL, COMPSHARE_OK, 0, "" },
    { "intermediate twice, behind a leaf that is there three times", "stutter", "localhost", NULL, COMPSHARE_OK, 0,
        "" },
    { "leaf once more, behind its issuer", "again", "localhost", "unknown-root.pem", COMPSHARE_E_CERTIFICATE, 55,
        "chain is out of order" },
    { "certificates behind the chain", "trailing", "localhost", NULL, COMPSHARE_OK, 0, "" },
    { "certificates behind the chain, EC root only", "trailing", "localhost", "root-ec.pem", COMPSHARE_E_CERTIFICATE,
        -1, "" },
    { "cross-signed, old root", "cross", "localhost", "root-rsa.pem", COMPSHARE_OK, 0, "" },
    { "cross-signed, new root", "cross", "localhost", "unknown-root.pem", COMPSHARE_OK, 0, "" },
    { "cross-signed, neither", "cross", "localhost", "root-ec.pem", COMPSHARE_E_CERTIFICATE, 62, NO_ROOT },
    { "cross-signed, wrong key under the old name", "cross", "localhost", "bundle-wrongkey.pem",
        COMPSHARE_E_CERTIFICATE, 62, NO_ROOT },
    { "cross-signed, three of the old name, and the chain goes on", "cross", "localhost", "bundle-three.pem",
        COMPSHARE_E_TRUST, 62, "more than two CAs" },
    { "cross-signed, three of the old name, and then a root", "cross", "localhost", "bundle-crossed.pem", COMPSHARE_OK,
        0, "" },
    { "intermediate below one with path length 0", "pathlen", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 58,
        "not a CA" },
    { "intermediate below a root with path length 0: not looked at", "shortroot", "localhost", "short-root.pem",
        COMPSHARE_OK, 0, "" },
    { "eight intermediates: one issuer too many", "deep", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 62,
        "no trusted root|behind the eighth" },
    { "seven, and then a root", "deep", "localhost", "deep1.pem", COMPSHARE_OK, 0, "" },
    { "missing intermediate", "leafonly", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 62, NO_ROOT },
    { "expired root: not looked at", "expiredroot", "localhost", "old-root.pem", COMPSHARE_OK, 0, "" },
    { "expired root, not trusted", "expiredroot", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 62, NO_ROOT },
    { "root of 1,024 bits", "weakroot", "localhost", "weak-root.pem", COMPSHARE_E_TRUST, 62,
        "root of the right name that cannot be used" },
    { "leaf of 2,047 bits", "rsa2047", "localhost", NULL, COMPSHARE_E_TLS, 27, "under 2,048 bits" },
    { "intermediate of 2,047 bits", "under2047", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 52, "under 2,048 bits" },
    { "Ed25519 leaf", "ed25519", "localhost", NULL, COMPSHARE_E_TLS, 296, NO_COMMON },
    { "Ed25519 intermediate", "edinter", "localhost", NULL, COMPSHARE_E_CERTIFICATE, 49, "not supported|Ed25519" },
    { "key for RSA-PSS only", "psskey", "localhost", NULL, COMPSHARE_E_TLS, 296, NO_COMMON },
    { "extended key usage clientAuth: not looked at", "clientauth", "localhost", NULL, COMPSHARE_OK, 0, "" },
};

static void odd_certificates(void **state)
{
    wire w;
    size_t i;
    int successes = 0, connections = 0;
    (void)state;
    memset(&w, 0, sizeof w);
    for (i = 0; i < COUNT(certificates); i++) {
        char closed[40];
        bool last_one = i + 1 == COUNT(certificates) || strcmp(certificates[i].chain, certificates[i + 1].chain) != 0;
        int r;
        if (connections == 0) w = wire_serve(certificates[i].chain, good);
        configure(certificates[i].host, w.server.port);
        if (certificates[i].ca != NULL) h.config.ca_file = harness_cert(certificates[i].ca);
        harness_open(&h);
        r = act();
        expect_end(certificates[i].name, r, certificates[i].status, certificates[i].tls_code, certificates[i].words);
        harness_close(&h);
        connections++;
        successes += certificates[i].status == COMPSHARE_OK;
        if (!last_one) continue;
        snprintf(closed, sizeof closed, "conn %d closed", connections);
        wire_await(&w, closed);
        if (wire_count(&w, " request ") != successes)
            fail_msg("%s: the server has seen %d requests, not %d", certificates[i].chain, wire_count(&w, " request "),
                successes);
        wire_stop(&w);
        connections = successes = 0;
    }
}

/* ---- names ---- */

static void names_at_their_limits(void **state)
{
    static const char too_long[] = "longer than 253 bytes", empty[] = "empty label|no host name",
        label[] = "longer than 63 bytes";
    static const struct { const char *url, *words; } refused[] = {
        { "https://" NAME_253 "a", too_long }, { "https://" NAME_253 "a.", too_long },
            { "https://" NAME_253 ".a", too_long },
        { "https://" NAME_253 ".aa", too_long }, { "https://" NAME_253 ".aaa:443/", too_long },
        { "https://", empty }, { "https:///path", empty }, { "https://:443", empty }, { "https://.", empty },
            { "https://..", empty },
        { "https://.localhost", empty }, { "https://localhost..", empty }, { "https://a..b", empty },
            { "https://@localhost", NULL },
        { "https://" LABEL_63 "a.example", label }, { "https://*.example.test", "not allowed" },
            { "https://local host", "space" },
        { "https://localhost\t", "control character" }, { "https://caf\xC3\xA9.example", "not allowed" }, { "https://a%00b", "not allowed" },
    };
    char text[COMPSHARE_ERROR_TEXT];
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(refused); i++) {
        char words[64], *word;
        bool said = refused[i].words == NULL;
        configure("localhost", 1);
        h.config.base_url = refused[i].url;
        if (compshare_open(&h.client, &h.config) != COMPSHARE_E_CONFIG) fail_msg("%s was accepted", refused[i].url);
        assert_null(h.client);
        has_words(refused[i].url, compshare_open_text(&h.config, text, sizeof text), "base_url: ");
        snprintf(words, sizeof words, "%s", refused[i].words != NULL ? refused[i].words : "");
        for (word = strtok(words, "|"); word != NULL; word = strtok(NULL, "|")) said = said || strstr(text, word) != NULL;
        if (!said) fail_msg("%s: %s", refused[i].url, text);
    }
}

/* The name goes out as it is checked: whole, and without a dot at its end. */
static void long_name_is_asked_for(void **state)
{
    static char wanted[] = "sni " NAME_253;
    wire w = wire_serve("long", good);
    (void)state;
    configure(NAME_253 ".", w.server.port);
    harness_open(&h);
    harness_expect(&h, act(), COMPSHARE_OK);
    harness_close(&h);
    wire_await(&w, "conn 1 closed");
    assert_int_equal(wire_count(&w, wanted), 1);
    assert_int_equal(wire_count(&w, "sni " NAME_253 "."), 0);
    wire_stop(&w);
}

/* ---- what OpenSSL can be told to do ---- */

static void odd_handshakes(void **state)
{
    static const struct { const char *name, *options; int status, tls_code; const char *words; } rows[] = {
        { "key exchange signed with SHA-1 only", "-sigalgs RSA+SHA1 -cipher ALL:@SECLEVEL=0", COMPSHARE_E_TLS, 296,
            NO_COMMON },
        { "key exchange signed with SHA-224 only", "-sigalgs RSA+SHA224 -cipher ALL:@SECLEVEL=0", COMPSHARE_E_TLS, 296,
            NO_COMMON },
        { "RSA-PSS only", "-sigalgs rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512", COMPSHARE_E_TLS, 296,
            NO_COMMON },
        { "TLS 1.0 only", "-tls1 -cipher ALL:@SECLEVEL=0", COMPSHARE_E_TLS, 296, NO_COMMON },
        { "TLS 1.3 only", "-tls1_3", COMPSHARE_E_TLS, 326, "refuses TLS 1.2" },
        { "brainpool curves only", "-groups brainpoolP256r1:brainpoolP384r1", COMPSHARE_E_TLS, 296, NO_COMMON },
        { "finite fields only", "-cipher DHE-RSA-AES256-GCM-SHA384", COMPSHARE_E_TLS, 296, NO_COMMON },
        { "CCM only", "-cipher ECDHE-ECDSA-AES128-CCM:DHE-RSA-AES128-CCM", COMPSHARE_E_TLS, 296, NO_COMMON },
        { "no authentication", "-cipher aNULL:@SECLEVEL=0 -tls1_2", COMPSHARE_E_TLS, 296, NO_COMMON },
        { "no encryption", "-cipher eNULL:@SECLEVEL=0 -tls1_2", COMPSHARE_E_TLS, 296, NO_COMMON },
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        peer p = peer_openssl("1", rows[i].options);
        configure("localhost", p.port);
        harness_open(&h);
        expect_end(rows[i].name, act(), rows[i].status, rows[i].tls_code, rows[i].words);
        assert_int_equal(peer_count(&p, "out", "Signature="), 0);
        harness_close(&h);
        peer_stop(&p);
    }
}

/* ---- one bit of the key exchange ---- */

static ptrdiff_t (*inner_recv)(void *user, void *dst, size_t cap);
static struct { unsigned char header[6]; size_t have, left; unsigned type; bool flipped; } spoiler;

/* Changes the last byte of the first handshake record of a given type, RFC 5246 7.4. */
static ptrdiff_t spoil(void *user, void *dst, size_t cap)
{
    unsigned char *bytes = (unsigned char *)dst;
    ptrdiff_t n = inner_recv(user, dst, cap), i;
    for (i = 0; i < n; i++) {
        if (spoiler.have < sizeof spoiler.header) {
            spoiler.header[spoiler.have++] = bytes[i];
            if (spoiler.have == 5) spoiler.left = (size_t)spoiler.header[3] << 8 | spoiler.header[4];
            if (spoiler.have < 6) continue;
        }
        if (--spoiler.left > 0) continue;
        if (!spoiler.flipped && spoiler.header[0] == 22 && spoiler.header[5] == spoiler.type) {
            bytes[i] ^= 1;
            spoiler.flipped = true;
        }
        spoiler.have = 0;
    }
    return n;
}

static void spoiled_messages(void **state)
{
    static const struct { const char *name; unsigned type; int status, tls_code; const char *words; } rows[] = {
        { "key exchange", 12, COMPSHARE_E_TLS, 27, "key exchange signature is wrong" },
        { "last certificate", 11, COMPSHARE_E_CERTIFICATE, 62, NO_ROOT },
    };
    static const char *const chains[] = { "rsa", "ec" };
    size_t i, k;
    (void)state;
    for (k = 0; k < COUNT(chains); k++) {
        wire w = wire_serve(chains[k], good);
        for (i = 0; i < COUNT(rows); i++) {
            configure("localhost", w.server.port);
            inner_recv = t.inner.recv;
            t.inner.recv = spoil;
            memset(&spoiler, 0, sizeof spoiler);
            spoiler.type = rows[i].type;
            harness_open(&h);
            expect_end(rows[i].name, act(), rows[i].status, rows[i].tls_code, rows[i].words);
            assert_true(spoiler.flipped);
            harness_close(&h);
        }
        wire_stop(&w);
    }
}

/* ---- bundles ---- */

typedef struct text { char *ptr; size_t len, cap; } text;

static void add(text *to, const void *src, size_t len)
{
    if (to->len + len >= to->cap) {
        to->cap = 2 * (to->len + len) + 1;
        to->ptr = (char *)realloc(to->ptr, to->cap);
        assert_non_null(to->ptr);
    }
    memcpy(to->ptr + to->len, src, len);
    to->len += len;
    to->ptr[to->len] = '\0';
}

static void add_file(text *to, const char *name)
{
    char buf[4096];
    size_t n;
    FILE *f = fopen(harness_cert(name), "rb");
    assert_non_null(f);
    while ((n = fread(buf, 1, sizeof buf, f)) > 0) add(to, buf, n);
    fclose(f);
}

static void release(text *to)
{
    free(to->ptr);
    memset(to, 0, sizeof *to);
}

/* A call with these roots, from memory that ends where they end. */
static int act_with(unsigned port, const text *pem)
{
    char *exact = (char *)malloc(pem->len);
    int r;
    assert_non_null(exact);
    memcpy(exact, pem->ptr, pem->len);
    configure("localhost", port);
    h.config.ca_file = NULL;
    h.config.ca_pem = exact;
    h.config.ca_pem_len = pem->len;
    harness_open(&h);
    r = act();
    if (r != COMPSHARE_OK && r != COMPSHARE_E_TRUST && r != COMPSHARE_E_CERTIFICATE) fail_msg("%s",
        compshare_status_name(r));
    if (r != COMPSHARE_OK) {
        assert_int_equal(last(&h)->tls_code, 62);
        assert_int_equal(last(&h)->stage, COMPSHARE_STAGE_HANDSHAKE);
        expect_contains(last(&h)->detail, "ca_pem");
    }
    compshare_close(h.client);
    h.client = NULL;
    free(exact);
    return r;
}

/* Where the first certificate is whole: behind the last digit that is no padding. */
static size_t first_whole(const text *pem)
{
    const char *end = strstr(pem->ptr, "\n-----END");
    assert_non_null(end);
    while (end[-1] == '=') end--;
    return (size_t)(end - pem->ptr);
}

/* Cut anywhere: it counts once it is whole, and nothing else ever does. */
static void bundles_cut(void **state)
{
    wire w = wire_serve("rsa", good);
    text right = { NULL, 0, 0 }, wrong = { NULL, 0, 0 }, cut;
    size_t whole;
    unsigned trusted = 0, refused = 0;
    (void)state;
    add_file(&right, "roots.pem");
    add_file(&wrong, "bundle-wrongkey.pem");
    add_file(&wrong, "unknown-root.pem");
    add_file(&wrong, "root-ec.pem");
    whole = first_whole(&right);
    for (cut = right, cut.len = 1; cut.len <= right.len; cut.len += 97) {
        int r = act_with(w.server.port, &cut);
        if ((r == COMPSHARE_OK) != (cut.len >= whole))
            fail_msg("%u of %u bytes: %s", (unsigned)cut.len, (unsigned)right.len, compshare_status_name(r));
        if (r == COMPSHARE_OK) trusted++;
        else refused++;
    }
    for (cut.len = whole - 2; cut.len <= whole + 4; cut.len++) assert_int_equal(act_with(w.server.port,
        &cut) == COMPSHARE_OK, cut.len >= whole);
    assert_true(trusted > 3 && refused > 8);
    for (cut = wrong, cut.len = 1; cut.len <= wrong.len; cut.len += 97) assert_true(act_with(w.server.port,
        &cut) != COMPSHARE_OK);
    release(&right);
    release(&wrong);
    wire_stop(&w);
}

/* 1 MiB of it, and a PEM line may follow: on a line of its own, or behind a dash. */
static void add_noise(text *to, int kind)
{
    static const char *const lines[] = {
        "-----BEGIN CERTIFICATE----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n",
        "----------BEGIN CERTIFICATE -----\n", "Subject: CN=Test RSA Root, O=Certificate Tests\r\n", "\n",
            "-----BEGIN CERTIFICATE-----", "-",
    };
    size_t end = to->len + ((size_t)1 << 20);
    uint32_t seed = 12345;
    while (to->len < end) {
        char bytes[4096];
        size_t n = 0, len = strlen(lines[kind % (int)COUNT(lines)]);
        if (kind < (int)COUNT(lines))
            for (; n + len < sizeof bytes; n += len) memcpy(bytes + n, lines[kind], len);
        for (; n < sizeof bytes && kind >= (int)COUNT(lines); n++) bytes[n] = (char)((seed =
            seed * 1103515245u + 12345u) >> 16);
        add(to, bytes, n);
    }
    add(to, kind == 7 ? "-" : "\n", 1);
}

static void bundles_in_noise(void **state)
{
    wire w = wire_serve("rsa", good);
    int kind;
    (void)state;
    for (kind = 0; kind < 9; kind++) {
        static const char *const roots[] = { "root-rsa.pem", "bundle-wrongkey.pem" };
        size_t i;
        for (i = 0; i < COUNT(roots); i++) {
            text pem = { NULL, 0, 0 };
            int r;
            add_noise(&pem, kind);
            add_file(&pem, "root-ec.pem");
            add_noise(&pem, kind);
            add_file(&pem, roots[i]);
            add_noise(&pem, kind);
            r = act_with(w.server.port, &pem);
            if (kind == 7 ? r != COMPSHARE_E_TRUST
                : r != (i == 0 ? COMPSHARE_OK : COMPSHARE_E_CERTIFICATE)) fail_msg("noise %d, %s: %s", kind, roots[i],
                compshare_status_name(r));
            release(&pem);
        }
    }
    wire_stop(&w);
}

/* Files one after the other, and what is done to the text: each '\n' becomes this. */
static const struct { const char *name, *files[4], *newline; int status; const char *words; } bundles[] = {
    { "twice", { "root-rsa.pem", "root-rsa.pem" }, NULL, COMPSHARE_OK, "" },
    { "three times", { "root-rsa.pem", "root-rsa.pem", "root-rsa.pem" }, NULL, COMPSHARE_OK, "" },
    { "three times, with another of its name",
        { "root-rsa.pem", "bundle-wrongkey.pem", "root-rsa.pem", "bundle-wrongkey.pem" }, NULL, COMPSHARE_OK, "" },
    { "two others of its name, and one of them again", { "bundle-three.pem", "bundle-wrongkey.pem" }, NULL,
        COMPSHARE_E_TRUST, "more than two CAs" },
    { "another of its name three times", { "bundle-wrongkey.pem", "bundle-wrongkey.pem", "bundle-wrongkey.pem" }, NULL,
        COMPSHARE_E_CERTIFICATE, "no trusted root" },
    { "another of its name before it", { "bundle-wrongkey.pem", "root-rsa.pem" }, NULL, COMPSHARE_OK, "" },
    { "another of its name behind it", { "root-rsa.pem", "bundle-wrongkey.pem" }, NULL, COMPSHARE_OK, "" },
    { "another of its name twice", { "bundle-wrongkey.pem", "bundle-wrongkey.pem" }, NULL, COMPSHARE_E_CERTIFICATE,
        "no trusted root" },
    { "another of its name twice, then it", { "bundle-wrongkey.pem", "bundle-wrongkey.pem", "root-rsa.pem" }, NULL,
        COMPSHARE_OK, "" },
    { "two others of its name before it, and half of it behind it", { "bundle-three.pem", "bundle-truncated.pem" },
        NULL, COMPSHARE_E_TRUST, "more than two CAs" },
    { "a key before it", { "bundle-keyonly.pem", "root-rsa.pem" }, NULL, COMPSHARE_OK, "" },
    { "the leaf before it", { "leafonly.pem", "root-rsa.pem" }, NULL, COMPSHARE_OK, "" },
    { "the chain before it", { "rsa-chain.pem", "root-rsa.pem" }, NULL, COMPSHARE_OK, "" },
    { "the chain only", { "rsa-chain.pem" }, NULL, COMPSHARE_OK, "" },
    { "half of it before it", { "bundle-truncated.pem", "root-rsa.pem" }, NULL, COMPSHARE_OK, "" },
    { "half of it behind it", { "root-rsa.pem", "bundle-truncated.pem" }, NULL, COMPSHARE_OK, "" },
    { "half of it behind another of its name", { "bundle-wrongkey.pem", "bundle-truncated.pem" }, NULL,
        COMPSHARE_E_TRUST, "cannot be used" },
    { "text before each", { "bundle-text.pem" }, NULL, COMPSHARE_OK, "" },
    { "CRLF", { "root-ec.pem", "root-rsa.pem" }, "\r\n", COMPSHARE_OK, "" },
    { "CR", { "root-ec.pem", "root-rsa.pem" }, "\r", COMPSHARE_OK, "" },
    { "blanks at the ends of lines", { "root-ec.pem", "root-rsa.pem" }, " \t\n", COMPSHARE_OK, "" },
    { "empty lines", { "root-ec.pem", "root-rsa.pem" }, "\n\n", COMPSHARE_OK, "" },
    { "no line ends", { "root-ec.pem", "root-rsa.pem" }, "", COMPSHARE_E_CERTIFICATE, "no trusted root" },
    { "no line ends, the first", { "root-rsa.pem", "root-ec.pem" }, "", COMPSHARE_OK, "" },
    { "in a comment", { "root-ec.pem", "root-rsa.pem" }, "\n# ", COMPSHARE_E_TRUST, "name cannot be read" },
        /* the first, which is cut off */
    { "indented", { "root-ec.pem", "root-rsa.pem" }, "\n    ", COMPSHARE_E_CERTIFICATE, "no trusted root" },
    { "a byte that is no base64 at each end of a line", { "root-rsa.pem" }, "!\n", COMPSHARE_E_TRUST,
        "name cannot be read" },
};

static void odd_bundles(void **state)
{
    wire w = wire_serve("rsa", good);
    size_t i, k, n;
    (void)state;
    for (i = 0; i < COUNT(bundles); i++) {
        text plain = { NULL, 0, 0 }, pem = { NULL, 0, 0 };
        char words[160];
        int r;
        for (k = 0; k < COUNT(bundles[i].files) && bundles[i].files[k] != NULL; k++) add_file(&plain,
            bundles[i].files[k]);
        for (n = 0; n < plain.len; n++) {
            if (plain.ptr[n] == '\n' && bundles[i].newline != NULL) add(&pem, bundles[i].newline,
                strlen(bundles[i].newline));
            else add(&pem, plain.ptr + n, 1);
        }
        configure("localhost", w.server.port);
        h.config.ca_file = NULL;
        h.config.ca_pem = pem.ptr;
        harness_open(&h);
        r = act();
        snprintf(words, sizeof words, "%s", bundles[i].words);
        expect_end(bundles[i].name, r, bundles[i].status, r == COMPSHARE_OK ? 0 : 62, words);
        harness_close(&h);
        release(&plain);
        release(&pem);
    }
    wire_stop(&w);
}

/* ---- real servers ---- */

static int on_instance(void *user, const compshare_instance *instance, compshare_value element)
{
    (void)instance;
    (void)element;
    ++*(int *)user;
    return 0;
}

static unsigned resumed;        /* handshakes that the client said were resumed */

static void count_resumed(void *user, const char *line)
{
    (void)user;
    if (strcmp(line, "TLS 1.2, resumed") == 0) resumed++;
}

static void configure_peer(const launch *l)
{
    configure("localhost", l->p.port);
    h.config.trace = count_resumed;
    resumed = 0;
}

/* Waits until the peer has ended the kept connection, in whichever way. */
static void await_close(void)
{
    struct pollfd pfd;
    pfd.fd = t.posix.fd;
    pfd.events = POLLIN;
    pfd.revents = 0;
    if (poll(&pfd, 1, 8000) != 1) fail_msg("the peer keeps the connection");
}

/* Calls on one connection, a page of instances, and a long request. */
static void keeps_connections(const launch *l, const harness_process *backend)
{
    static char value[20001];
    compshare_target target = target_of("uhost-0001");
    compshare_instance instance;
    compshare_param p[2];
    int n, seen = 0;
    memset(value, 'v', sizeof value - 1);
    p[0] = compshare_text("UHostId", "uhost-0001");
    p[1] = compshare_text("Comment", value);
    configure_peer(l);
    harness_reset(backend);
    harness_set(backend, "instances=100");
    harness_open(&h);
    for (n = 0; n < 3; n++) {
        harness_expect(&h, compshare_describe_instance(h.client, &target, &instance), COMPSHARE_OK);
        harness_expect(&h, act(), COMPSHARE_OK);
    }
    harness_expect(&h, compshare_call(h.client, REBOOT, p, 2), COMPSHARE_OK);
    harness_expect(&h, compshare_call(h.client, "NoSuchAction", NULL, 0), COMPSHARE_E_API);
    harness_expect(&h, act(), COMPSHARE_OK);
    harness_expect(&h, compshare_each_instance(h.client, NULL, on_instance, &seen), COMPSHARE_OK);
    assert_int_equal(seen, 100);
    assert_int_equal(t.opens, 1);
    expect_executed(backend, REBOOT, 5);
    harness_close(&h);
}

/* By session id, as TLS 1.2 without tickets does it. */
static void resumes(const launch *l)
{
    static compshare_session session;
    size_t full = 0;
    int n;
    memset(&session, 0, sizeof session);
    for (n = 0; n < 3; n++) {
        configure_peer(l);
        h.config.session = &session;
        harness_open(&h);
        harness_expect(&h, act(), COMPSHARE_OK);
        if (n == 0) full = t.moved[1];
        else if (resumed != 1 || tap_offered(&t) != 32 || t.moved[1] + 700 > full)
            fail_msg("the session was not resumed: %zu and %zu bytes", full, t.moved[1]);
        harness_close(&h);
    }
    compshare_session_forget(&session);
}

static void sends_small_records(const launch *l, const harness_process *backend)
{
    harness_set(backend, "pad_reply=9000");
    configure_peer(l);
    h.config.flags = COMPSHARE_SMALL_RECORDS;
    harness_open(&h);
    harness_expect(&h, act(), COMPSHARE_OK);
    harness_expect(&h, act(), COMPSHARE_OK);
    assert_int_equal(tap_fragment_code(&t), 4);
    if (t.largest[0] > RECORD || t.largest[1] > RECORD) fail_msg("records of %zu and %zu bytes", t.largest[0],
        t.largest[1]);
    if (t.largest[1] < 2000) fail_msg("records of %zu bytes at the most", t.largest[1]);
    harness_close(&h);
    harness_set(backend, "pad_reply=0");
}

/* A connection that the peer has ended is opened again, and nothing is sent twice. */
static void opens_again(launch *l, const harness_process *backend, bool idle, bool again, bool reload)
{
    static compshare_session session;
    int opens = 1;
    memset(&session, 0, sizeof session);
    configure_peer(l);
    h.config.session = &session;
    harness_reset(backend);
    harness_open(&h);
    harness_expect(&h, act(), COMPSHARE_OK);
    if (idle) {
        await_close();
        harness_expect(&h, act(), COMPSHARE_OK);
        opens++;
        assert_int_equal(resumed, 1);
    }
    if (again) {
        launch_again(l);
        harness_expect(&h, act(), COMPSHARE_OK);
        opens++;
    }
    if (reload) {           /* whether it keeps its connections is its own affair */
        kill(l->p.pid, SIGHUP);
        harness_sleep_ms(200);
        harness_expect(&h, act(), COMPSHARE_OK);
        assert_true(t.opens == opens || t.opens == opens + 1);
    } else {
        assert_int_equal(t.opens, opens);
    }
    expect_executed(backend, REBOOT, 1 + idle + again + reload);
    harness_close(&h);
    compshare_session_forget(&session);
}

/* A call that must fail during the handshake. */
static void refuses(const char *name, const launch *l, const char *host, int status, int tls_code, const char *words)
{
    configure(host, l->p.port);
    harness_open(&h);
    expect_end(name, act(), status, tls_code, words);
    harness_close(&h);
}

static void behind_nginx(void **state)
{
    harness_process backend = plain_gateway();
    launch l = launch_nginx("rsa", backend.port,
        "keepalive_timeout 1s;\nssl_session_cache shared:s:1m;\nssl_session_tickets off;");
    (void)state;
    if (l.p.pid == 0) {
        harness_stop(&backend);
        skip();
    }
    keeps_connections(&l, &backend);
    resumes(&l);
    sends_small_records(&l, &backend);
    opens_again(&l, &backend, true, true, false);
    /* without a master it cannot reload */
    launch_change(&l, "master_process off;", geteuid() == 0 ? "user root;" : "");
    launch_again(&l);
    opens_again(&l, &backend, false, false, true);
    launch_change(&l, "TLSv1.2 TLSv1.3", "TLSv1.3");
    launch_again(&l);
    refuses("nginx, TLS 1.3 only", &l, "localhost", COMPSHARE_E_TLS, 326, "refuses TLS 1.2");
    launch_change(&l, "ssl_protocols TLSv1.3;", "ssl_protocols TLSv1.2;\nssl_reject_handshake on;");
    launch_again(&l);
    refuses("nginx, unknown name", &l, "localhost", COMPSHARE_E_TLS, 368, "does not know this host name");
    launch_change(&l, "ssl_reject_handshake on;", "ssl_ciphers ECDHE-RSA-AES256-GCM-SHA384;");
    launch_again(&l);
    keeps_connections(&l, &backend);
    launch_stop(&l);
    harness_stop(&backend);
}

static void behind_stunnel(void **state)
{
    harness_process backend = plain_gateway();
    launch l = launch_stunnel("ec", backend.port, "TIMEOUTidle = 1"), wrong;
    (void)state;
    if (l.p.pid == 0) {
        harness_stop(&backend);
        skip();
    }
    keeps_connections(&l, &backend);
    resumes(&l);
    sends_small_records(&l, &backend);
    opens_again(&l, &backend, true, true, true);
    launch_stop(&l);
    wrong = launch_stunnel("wronghost", backend.port, NULL);
    refuses("stunnel, wrong certificate", &wrong, "localhost", COMPSHARE_E_CERTIFICATE, 56, OTHER_HOST);
    configure("other.example", wrong.p.port);       /* and for whom it is */
    harness_open(&h);
    harness_expect(&h, act(), COMPSHARE_OK);
    harness_close(&h);
    launch_stop(&wrong);
    wrong = launch_stunnel("expired", backend.port, NULL);
    refuses("stunnel, expired", &wrong, "localhost", COMPSHARE_E_CERTIFICATE, 54, "expired or not yet valid|UTC");
    launch_stop(&wrong);
    harness_stop(&backend);
}

/* What a bind line may say of ciphers, and how a call then ends. */
static const struct { const char *name, *words; int status, tls_code; const char *sentence; } binds[] = {
    { "AES-128-GCM", "ciphers ECDHE-RSA-AES128-GCM-SHA256", COMPSHARE_OK, 0, "" },
    { "AES-256-GCM", "ciphers ECDHE-RSA-AES256-GCM-SHA384", COMPSHARE_OK, 0, "" },
    { "ChaCha20", "ciphers ECDHE-RSA-CHACHA20-POLY1305", COMPSHARE_OK, 0, "" },
    { "X25519 only", "curves X25519", COMPSHARE_OK, 0, "" },
    { "P-521 only", "curves P-521", COMPSHARE_OK, 0, "" },
    { "http/1.1", "alpn http/1.1", COMPSHARE_OK, 0, "" },
    { "h2 and http/1.1", "alpn h2,http/1.1", COMPSHARE_OK, 0, "" },
    { "CBC", "ciphers ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA", COMPSHARE_E_TLS, 296,
        NO_COMMON },
    { "static RSA", "ciphers AES128-GCM-SHA256:AES256-GCM-SHA384", COMPSHARE_E_TLS, 296, NO_COMMON },
    { "ECDSA suites, RSA key", "ciphers ECDHE-ECDSA-AES128-GCM-SHA256", COMPSHARE_E_TLS, 296, NO_COMMON },
    { "TLS 1.3 only", "ssl-min-ver TLSv1.3", COMPSHARE_E_TLS, 326, "refuses TLS 1.2" },
    { "client certificate", "ca-file @ca@ verify required", COMPSHARE_E_TLS, -1, "" },
};

static void behind_haproxy(void **state)
{
    harness_process backend = plain_gateway();
    launch l = launch_haproxy("rsa", backend.port, "ciphers ECDHE+AESGCM");
    char was[512] = "ciphers ECDHE+AESGCM", now[512];
    size_t i;
    (void)state;
    if (l.p.pid == 0) {
        harness_stop(&backend);
        skip();
    }
    keeps_connections(&l, &backend);
    resumes(&l);
    sends_small_records(&l, &backend);
    opens_again(&l, &backend, false, true, false);
    launch_change(&l, "http-keep-alive 10s", "http-keep-alive 300ms");
    launch_again(&l);
    opens_again(&l, &backend, true, false, false);
    for (i = 0; i < COUNT(binds); i++) {
        const char *at = strstr(binds[i].words, "@ca@");
        if (at == NULL) snprintf(now, sizeof now, "%s", binds[i].words);
        else snprintf(now, sizeof now, "ca-file %s/both.pem verify required", l.p.dir);
        launch_change(&l, was, now);
        launch_again(&l);
        snprintf(was, sizeof was, "%s", now);
        configure("localhost", l.p.port);
        harness_open(&h);
        expect_end(binds[i].name, act(), binds[i].status, binds[i].tls_code, binds[i].sentence);
        harness_close(&h);
    }
    launch_stop(&l);
    harness_stop(&backend);
}

/* ---- signals ---- */

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

/* Every system call may be interrupted, and none has failed because of that. */
static void signals_interrupt(void **state)
{
    static const char *const more[] = { "--option", "delay_ms=5", "--option", "close_every=2", "--instances", "100",
        NULL };
    harness_process gateway = harness_gateway("ec", more);
    struct itimerval every, never;
    struct sigaction action, old;
    int n, seen = 0;
    (void)state;
    memset(&action, 0, sizeof action);
    memset(&every, 0, sizeof every);
    memset(&never, 0, sizeof never);
    action.sa_handler = on_alarm;       /* without SA_RESTART */
    every.it_interval.tv_usec = every.it_value.tv_usec = 700;
    alarms = 0;
    configure("localhost", gateway.port);
    h.config.transport = NULL;
    harness_open(&h);
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
    for (n = 0; n < 10; n++) {
        int r = act();
        if (r == COMPSHARE_OK) r = compshare_each_instance(h.client, NULL, on_instance, &seen);
        if (r != COMPSHARE_OK) setitimer(ITIMER_REAL, &never, NULL);
        harness_expect(&h, r, COMPSHARE_OK);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
    assert_int_equal(seen, 1000);
    assert_true(alarms > 50);
    harness_close(&h);
    harness_stop(&gateway);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(odd_certificates), T(names_at_their_limits), T(long_name_is_asked_for), T(odd_handshakes),
            T(spoiled_messages), T(bundles_cut),
        T(bundles_in_noise), T(odd_bundles), T(behind_nginx), T(behind_stunnel), T(behind_haproxy), T(signals_interrupt)
    };
    return cmocka_run_group_tests_name("hazards", tests, NULL, NULL);
}
