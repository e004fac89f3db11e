/* A server that nobody has verified chooses its certificates: however many it sends, how
   dear and in what pieces, the call ends in time and no step keeps an event loop waiting.
   The server is a text in memory, for until its key exchange nothing it says is secret. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "memory.h"

#define OPENSSL_SUPPRESS_DEPRECATED      /* exponents of one's own choice */
#include <openssl/bn.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define STEP_MS 100.0       /* CPU time of one step; measured: a third of it */
#define CALL_MS 300u        /* the call's own time; CPU time may be twice as much */

static harness_client h;

/* ---- a server in memory ---- */

static struct {
    unsigned char *text;
    size_t len, cap;
    size_t piece;           /* bytes of one reading at most; 0: any */
} server;

static void put(const void *bytes, size_t len)
{
    if (server.len + len > server.cap) {
        server.cap = 2 * (server.len + len);
        server.text = (unsigned char *)realloc(server.text, server.cap);
        assert_non_null(server.text);
    }
    memcpy(server.text + server.len, bytes, len);
    server.len += len;
}

static void put_number(size_t number, int bytes)
{
    unsigned char c;
    while (bytes-- > 0) {
        c = (unsigned char)(number >> (8 * bytes));
        put(&c, 1);
    }
}

/* Handshake bytes as plain records of this size. */
static void put_records(const unsigned char *bytes, size_t len, size_t size)
{
    size_t n;
    for (; len > 0; bytes += n, len -= n) {
        n = len < size ? len : size;
        put("\x16\x03\x03", 3);
        put_number(n, 2);
        put(bytes, n);
    }
}

static const unsigned char *take(size_t *len)
{
    unsigned char *text = server.text;
    *len = server.len;
    server.text = NULL;
    server.len = server.cap = 0;
    return text;
}

typedef struct der { unsigned char *ptr; int len; } der;

/* ServerHello, and a Certificate message with `count` certificates, a and b in turn. */
static void serve(der a, der b, unsigned count, size_t record)
{
    static const unsigned char hello[] = { 2, 0, 0, 38, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
        18,
        19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0xC0, 0x2B, 0 };
    size_t size = (count + 1) / 2 * (size_t)(a.len + 3) + count / 2 * (size_t)(b.len + 3), len;
    const unsigned char *message;
    unsigned i;
    free(server.text);
    memset(&server, 0, sizeof server);
    put_number(11, 1);
    put_number(size + 3, 3);
    put_number(size, 3);
    for (i = 0; i < count; i++) {
        der one = i % 2 == 0 ? a : b;
        put_number((size_t)one.len, 3);
        put(one.ptr, (size_t)one.len);
    }
    message = take(&len);
    put_records(hello, sizeof hello, sizeof hello);
    put_records(message, len, record);
    free((void *)(uintptr_t)message);
}

/* ---- certificates that are dear to check ---- */

/* A CA that has signed itself. */
static der make_ca(EVP_PKEY *key, const char *name, int serial, const EVP_MD *hash)
{
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    der d = { NULL, 0 };
    assert_true(key != NULL && ca != NULL && X509_set_version(cert, 2)
        && ASN1_INTEGER_set(X509_get_serialNumber(cert), serial));
    assert_true(X509_gmtime_adj(X509_getm_notBefore(cert), -3600) && X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_true(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0));
    assert_true(X509_set_issuer_name(cert, subject) && X509_set_pubkey(cert, key) && X509_add_ext(cert, ca, -1));
    assert_true(X509_sign(cert, key, hash) > 0);
    d.len = i2d_X509(cert, &d.ptr);
    assert_true(d.len > 0);
    X509_EXTENSION_free(ca);
    X509_free(cert);
    return d;
}

/* RSA with the exponents changed over: what checks a signature is as long as the modulus,
   and takes a hundred times as long as any exponent in use. */
static EVP_PKEY *long_exponent(void)
{
    EVP_PKEY *key = EVP_RSA_gen(2048), *swapped = EVP_PKEY_new();
    const RSA *rsa = EVP_PKEY_get0_RSA(key);
    RSA *other = RSA_new();
    assert_true(RSA_set0_key(other, BN_dup(RSA_get0_n(rsa)), BN_dup(RSA_get0_d(rsa)), BN_dup(RSA_get0_e(rsa))));
    assert_true(EVP_PKEY_assign_RSA(swapped, other));
    EVP_PKEY_free(key);
    return swapped;
}

static double cpu_ms(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A call against what is served: refused or out of time, within twice its time, in short steps. */
static void endure(const char *name, bool smallest)
{
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    double begin, longest = 0, all;
    static memory_peer flood;
    int r, steps = 0;
    configure_known(&h, 443);
    memory_reset(&flood, &h.clock);
    memory_says(&flood, (const char *)server.text, server.len);
    flood.piece = server.piece;
    flood.need = 1;
    flood.fresh = true;
    flood.after = COMPSHARE_WANT_READ;
    h.config.transport = &flood.io;
    h.config.timeout_ms = h.config.connect_timeout_ms = CALL_MS;
    if (smallest) h.config.memory_size = compshare_memory_needed(&h.config);
    harness_open(&h);
    all = cpu_ms();
    r = compshare_call_start(h.client, "RebootCompShareInstance", &p, 1);
    while (r == COMPSHARE_OK || r == COMPSHARE_PENDING) {
        uint32_t timeout;
        begin = cpu_ms();
        r = compshare_step(h.client);
        begin = cpu_ms() - begin;
        if (begin > longest) longest = begin;
        steps++;
        if (r == COMPSHARE_OK) break;
        if (r == COMPSHARE_PENDING && (timeout = compshare_timeout_ms(h.client)) > 0)
            memory_wait(&flood, compshare_wants(h.client), timeout);
    }
    all = cpu_ms() - all;
    print_message("%s: %s after %.0f ms of CPU time, the longest of %d steps %.1f ms\n", name, compshare_status_name(r),
        all, steps, longest);
    if (r != COMPSHARE_E_CERTIFICATE && r != COMPSHARE_E_TIMEOUT)
        fail_msg("%s: %s: %s", name, compshare_status_name(r), last(&h)->detail);
    assert_int_equal(last(&h)->stage, COMPSHARE_STAGE_HANDSHAKE);
    assert_false(last(&h)->outcome_unknown);
    if (all > 2.0 * CALL_MS) fail_msg("%s: %.0f ms of CPU time for a call of %u ms", name, all, CALL_MS);
    if (longest > STEP_MS) fail_msg("%s: a step of %.0f ms", name, longest);
    harness_close(&h);
}

/* Each kind of certificate as copies of one, and as two that take turns; in records as
   large as may be, and in pieces that cut them anywhere. */
static void floods(void **state)
{
    static const struct { const char *name; int kind; } kinds[] = {
        { "P-521", 521 }, { "P-384", 384 }, { "RSA 4096", 4096 }, { "RSA 2048 with a long exponent", 0 }
    };
    static const struct { size_t record, piece; } ways[] = { { 16384, 0 }, { 1000, 0 }, { 16384, 1400 }, { 50, 0 } };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT(kinds); i++) {
        EVP_PKEY *key = kinds[i].kind == 521 ? EVP_EC_gen("P-521") : kinds[i].kind == 384 ? EVP_EC_gen("P-384")
            : kinds[i].kind == 4096 ? EVP_RSA_gen(4096) : long_exponent();
        const EVP_MD *hash = kinds[i].kind == 384 ? EVP_sha384() : EVP_sha512();
        der one = make_ca(key, "localhost", 1, hash), two = make_ca(key, "localhost", 2, hash);
        for (k = 0; k < COUNT(ways); k++) {
            char name[96];
            serve(one, k % 2 == 0 ? one : two, 1500, ways[k].record);
            server.piece = ways[k].piece;
            snprintf(name, sizeof name, "1,500 of %s, records of %d", kinds[i].name, (int)ways[k].record);
            endure(name, k == 1);
        }
        OPENSSL_free(one.ptr);
        OPENSSL_free(two.ptr);
        EVP_PKEY_free(key);
    }
    free(server.text);
    memset(&server, 0, sizeof server);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(floods) };
    return cmocka_run_group_tests_name("chains", tests, NULL, NULL);
}
