/* Rooms pem and trust: the lazy scanner over bundles gives the same roots with every size of its
   buffer and of single reads; it finds every certificate that libcrypto finds; and a
   chain is judged alike however it is cut into pieces.

   Input: a byte that says what the rest is (the bundle as text; one certificate as DER,
   to be armoured here; a chain and its root, each DER behind its length in two bytes), a
   byte of options, six sizes of pieces and reads.

   libcrypto is laxer in what PEM it takes: control characters at the end of a line. Its
   names beyond the scanner's 1,024 bytes of prefix, and BER that is not DER, are not
   compared. The scanner is laxer in that the line of BEGIN need not end behind it, and needs no END. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE     /* memmem */
#endif
#include "fuzz.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#define NOW INT64_C(1800000000)

/* ---- a bundle that is read in pieces ---- */

typedef struct bundle {
    const uint8_t *text;
    size_t len;
    pieces sizes;
    size_t fails_at;            /* reading beyond it fails */
} bundle;

static ptrdiff_t read_bundle(void *ctx, size_t offset, void *dst, size_t cap)
{
    bundle *b = (bundle *)ctx;
    size_t n;
    CHECK(cap > 0);
    if (offset >= b->fails_at) return -1;
    if (offset >= b->len) return 0;
    n = b->len - offset < cap ? b->len - offset : cap;
    if (b->sizes.count > 0) n = fuzz_piece(&b->sizes, n);
    memcpy(dst, b->text + offset, n);
    return (ptrdiff_t)n;
}

static bundle bundle_whole(const uint8_t *text, size_t len)
{
    bundle b = { NULL, 0, { NULL, 0, 0 }, SIZE_MAX };
    b.text = text;
    b.len = len;
    return b;
}

/* ---- scanning ---- */

static compshare__pem_scratch block_at(compshare__trust *t, size_t size)
{
    compshare__pem_scratch block = { (unsigned char *)t, size };
    return block;
}

static compshare__trust *scan(bundle *b, size_t buffer, const unsigned char name[32])
{
    size_t size = sizeof(compshare__trust) + buffer;
    compshare__trust *t = (compshare__trust *)fuzz_room(size);
    (void)compshare__trust_init(block_at(t, size), read_bundle, b, NOW);
    memcpy(t->looked_up, name, 32);
    compshare__trust_fill(t);
    return t;
}

static void check_anchor(const compshare__trust *t, size_t i)
{
    const br_x509_trust_anchor *a = &t->anchor[i];
    unsigned char hash[32];
    CHECK(a->dn.data == t->name && a->dn.len <= COMPSHARE__DN_MAX && a->flags == BR_X509_TA_CA);
    (void)SHA256(a->dn.data, a->dn.len, hash);
    CHECK(memcmp(hash, t->looked_up, 32) == 0);
    if (a->pkey.key_type == BR_KEYTYPE_RSA) CHECK(a->pkey.key.rsa.n == t->key[i]
        && a->pkey.key.rsa.nlen >= COMPSHARE__RSA_MIN
        && a->pkey.key.rsa.nlen + a->pkey.key.rsa.elen <= sizeof t->key[i]);
    else CHECK(a->pkey.key_type == BR_KEYTYPE_EC && a->pkey.key.ec.q == t->key[i]
        && a->pkey.key.ec.qlen <= sizeof t->key[i]);
}

static void check_slots(const compshare__trust *t)
{
    size_t i;
    CHECK(t->filled <= 2);
    for (i = 0; i < 2; i++) {
        if (i < t->filled) check_anchor(t, i);
        else CHECK(t->anchor[i].dn.len == 0);      /* no name has that hash */
    }
    if (t->trouble == COMPSHARE__TRUST_UNREADABLE || t->trouble == COMPSHARE__TRUST_TOO_LONG
        || t->trouble == COMPSHARE__TRUST_EMPTY
        || t->trouble == COMPSHARE__TRUST_ROOTLESS || t->trouble == COMPSHARE__TRUST_THREE) CHECK(t->filled == 0);
}

static void check_same(const compshare__trust *a, const compshare__trust *b)
{
    size_t i;
    CHECK(a->trouble == b->trouble && a->filled == b->filled);
    for (i = 0; i < a->filled; i++) {
        const br_x509_trust_anchor *x = &a->anchor[i], *y = &b->anchor[i];
        CHECK(fuzz_same(x->dn.data, x->dn.len, y->dn.data, y->dn.len) && x->pkey.key_type == y->pkey.key_type);
        if (x->pkey.key_type == BR_KEYTYPE_RSA) {
            CHECK(fuzz_same(x->pkey.key.rsa.n, x->pkey.key.rsa.nlen, y->pkey.key.rsa.n, y->pkey.key.rsa.nlen));
            CHECK(fuzz_same(x->pkey.key.rsa.e, x->pkey.key.rsa.elen, y->pkey.key.rsa.e, y->pkey.key.rsa.elen));
        } else {
            CHECK(x->pkey.key.ec.curve == y->pkey.key.ec.curve);
            CHECK(fuzz_same(x->pkey.key.ec.q, x->pkey.key.ec.qlen, y->pkey.key.ec.q, y->pkey.key.ec.qlen));
        }
    }
}

/* At the start of a line. */
static bool has_marker(const uint8_t *text, size_t len)
{
    static const char marker[] = "-----BEGIN CERTIFICATE-----";
    const uint8_t *at = text, *end = text + len;
    while (len > 0 && (at = (const uint8_t *)memmem(at, (size_t)(end - at), marker, sizeof marker - 1)) != NULL) {
        if (at == text || at[-1] == '\n' || at[-1] == '\r') return true;
        at++;
    }
    return false;
}

/* One name, looked for in every way. True: it was met. */
static bool look_for(const uint8_t *text, size_t len, const uint8_t *options, const unsigned char name[32])
{
    bundle whole = bundle_whole(text, len), tiny = whole, cut = whole, broken = whole;
    compshare__trust *a = scan(&whole, 4096, name), *b = scan(&tiny, 1, name), *c, *d;
    bool met = a->filled > 0 || (a->trouble != COMPSHARE__TRUST_FINE && a->trouble != COMPSHARE__TRUST_ROOTLESS
        && a->trouble != COMPSHARE__TRUST_EMPTY);
    cut.sizes.sizes = options + 1;
    cut.sizes.count = 6;
    c = scan(&cut, (size_t)options[0] + 2, name);
    broken.fails_at = len > 0 ? (size_t)options[1] * 131 % len : 0;
    d = scan(&broken, (size_t)options[0] + 2, name);
    CHECK((a->trouble == COMPSHARE__TRUST_EMPTY) == (len == 0));
    CHECK((a->trouble == COMPSHARE__TRUST_ROOTLESS) == (len > 0 && !has_marker(text, len)));
    check_slots(a);
    check_slots(d);
    check_same(a, b);
    check_same(a, c);
    compshare__trust_fill(a);       /* once more, from what it kept in mind */
    compshare__trust_fill(c);
    check_slots(a);
    check_same(a, b);
    check_same(c, b);
    CHECK(d->trouble == COMPSHARE__TRUST_UNREADABLE && d->filled == 0);
    free(a); free(b); free(c); free(d);
    return met;
}

/* ---- libcrypto's view ---- */

/* Whether a certificate is DER through and through as far as its subject. */
static bool is_der(X509 *x, const unsigned char *der, size_t len)
{
    unsigned char *again = NULL, *tbs = NULL;
    int n = i2d_X509(x, &again), m = i2d_re_X509_tbs(x, &tbs);
    size_t header = 4;
    bool same = n > 0 && m > 0 && fuzz_same(again, (size_t)n, der, len) && len > header + (size_t)m
        && (memcmp(der + header, tbs, (size_t)m) == 0);
    OPENSSL_free(again);
    OPENSSL_free(tbs);
    return same;
}

/* A name that libcrypto keeps as it came: of the right tag, its length in three bytes at
   the most. */
static bool is_der_name(const X509_NAME *name)
{
    unsigned char *dn = NULL;
    int n = i2d_X509_NAME(name, &dn);
    bool good = n >= 2 && dn[0] == 0x30 && dn[1] != 0x80 && dn[1] <= 0x83;
    OPENSSL_free(dn);
    return good;
}

/* Where the scanner sees the subject, against where libcrypto does. True: it should be
   found by its name. */
static bool check_subject(const unsigned char *der, size_t len, unsigned char name[32])
{
    const unsigned char *at = der;
    unsigned char *dn = NULL;
    size_t start = 0, end = 0, prefix = len < COMPSHARE__DER_PREFIX ? len : COMPSHARE__DER_PREFIX;
    X509 *x = d2i_X509(NULL, &at, (long)len);
    int n = x != NULL ? i2d_X509_NAME(X509_get_subject_name(x), &dn) : -1;
    unsigned char *copy = (unsigned char *)fuzz_copy(der, prefix);
    bool ours = compshare__pem_der_subject(copy, prefix, &start, &end), strict;
    free(copy);
    if (ours) CHECK(start < end && end <= prefix);
    strict = n > 0 && is_der(x, der, (size_t)(at - der)) && is_der_name(X509_get_subject_name(x))
        && is_der_name(X509_get_issuer_name(x));
    if (n > 0 && ours && strict) CHECK(fuzz_same(dn, (size_t)n, der + start, end - start));
    if (strict && !ours) {      /* only because it lies too far behind */
        size_t far_start, far_end;
        CHECK(len > prefix && compshare__pem_der_subject(der, len, &far_start, &far_end) && far_end > prefix);
    }
    if (n > 0) (void)SHA256(dn, (size_t)n, name);
    OPENSSL_free(dn);
    X509_free(x);
    ERR_clear_error();
    return strict && ours;
}

static bool is_plain_text(const uint8_t *text, size_t len)
{
    for (; len > 0; len--, text++)
        if ((*text < 0x20 && *text != '\n' && *text != '\r' && *text != '\t') || *text >= 0x7F) return false;
    return true;
}

/* Every certificate that libcrypto reads from the text must be met by its name. */
static void check_bundle(const uint8_t *text, size_t len, const uint8_t *options)
{
    unsigned char hash[32] = { 0 };
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    bool plain = is_plain_text(text, len), met;
    char *kind = NULL, *header = NULL;
    unsigned char *der = NULL;
    long der_len = 0;
    int read = 0;
    (void)look_for(text, len, options, hash);
    while (read++ < 4 && PEM_read_bio(bio, &kind, &header, &der, &der_len) == 1) {
        if (strcmp(kind, "CERTIFICATE") == 0 && header[0] == '\0' && check_subject(der, (size_t)der_len, hash)
            && plain) {
            met = look_for(text, len, options, hash);
            CHECK(met);
        }
        OPENSSL_free(kind);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    ERR_clear_error();
    BIO_free(bio);
}

/* ---- DER armoured here ---- */

typedef struct text { char *ptr; size_t len; } text;

static void armour(text *t, const uint8_t *der, size_t len)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----\n", end[] = "\n-----END CERTIFICATE-----\n";
    t->ptr = (char *)realloc(t->ptr, t->len + len * 2 + 128);
    if (t->ptr == NULL) exit(2);
    memcpy(t->ptr + t->len, begin, sizeof begin - 1);
    t->len += sizeof begin - 1;
    while (len > 0) {
        size_t n = len < 48 ? len : 48;
        t->len += (size_t)EVP_EncodeBlock((unsigned char *)t->ptr + t->len, der, (int)n);
        der += n;
        len -= n;
        if (len > 0) t->ptr[t->len++] = '\n';
    }
    memcpy(t->ptr + t->len, end, sizeof end - 1);
    t->len += sizeof end - 1;
}

/* The same certificate up to three times. */
static void check_der(const uint8_t *der, size_t len, const uint8_t *options)
{
    text t = { NULL, 0 };
    unsigned copies = options[0] % 3, i;
    for (i = 0; i <= copies; i++) armour(&t, der, len);
    check_bundle((const uint8_t *)t.ptr, t.len, options);
    free(t.ptr);
}

/* ---- chains ---- */

/* Takes one DER behind its length off the input. */
static bool next_der(const uint8_t **at, size_t *left, const uint8_t **der, size_t *len)
{
    if (*left < 3) return false;
    *len = (size_t)(*at)[0] << 8 | (*at)[1];
    if (*len > *left - 2) *len = *left - 2;
    if (*len == 0) return false;
    *der = *at + 2;
    *at += 2 + *len;
    *left -= 2 + *len;
    return true;
}

/* A day after the first certificate became valid, so that most inputs are about other
   things than time. */
static int64_t time_of(const uint8_t *data, size_t size)
{
    const uint8_t *der = NULL;
    size_t len = 0;
    int day = 0, second = 0;
    X509 *x = next_der(&data, &size, &der, &len) ? d2i_X509(NULL, &der, (long)len) : NULL;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool known = x != NULL && ASN1_TIME_diff(&day, &second, epoch, X509_get0_notBefore(x)) == 1 && day > 0;
    ASN1_TIME_free(epoch);
    X509_free(x);
    ERR_clear_error();
    return known ? (int64_t)(day + 1) * 86400 + second : NOW;
}

/* BearSSL's verdict on the chain; sizes NULL: every certificate in one piece. */
static unsigned judge_chain(const uint8_t *data, size_t size, bundle *roots, pieces *sizes, size_t buffer,
    compshare__trust *t)
{
    const br_x509_class **ctx = &t->minimal.vtable;
    const uint8_t *der;
    size_t len, n;
    (void)compshare__trust_init(block_at(t, sizeof *t + buffer / 2), read_bundle, roots, time_of(data, size));
    if (sizes != NULL) compshare__trust_prescan(t, block_at(t, sizeof *t + buffer));
    br_x509_minimal_set_rsa(&t->minimal, &br_rsa_i31_pkcs1_vrfy);
    br_x509_minimal_set_ecdsa(&t->minimal, &br_ec_all_m31, &br_ecdsa_i31_vrfy_asn1);
    (*ctx)->start_chain(ctx, "localhost");
    while (next_der(&data, &size, &der, &len)) {
        (*ctx)->start_cert(ctx, (uint32_t)len);
        for (; len > 0; der += n, len -= n) {
            unsigned char *piece;
            n = sizes != NULL ? fuzz_piece(sizes, len) : len;
            piece = (unsigned char *)fuzz_copy(der, n);
            (*ctx)->append(ctx, piece, n);
            free(piece);
        }
        (*ctx)->end_cert(ctx);
    }
    return (*ctx)->end_chain(ctx);
}

/* The last certificate is the bundle, all of them are the chain. */
static void check_chain(const uint8_t *data, size_t size, const uint8_t *options)
{
    text t = { NULL, 0 };
    const uint8_t *at = data, *der = NULL, *last = NULL;
    size_t left = size, len = 0, last_len = 0, count = 0;
    pieces sizes = { options + 1, 6, 0 };
    compshare__trust *a = (compshare__trust *)fuzz_room(sizeof *a + 2048),
        *b = (compshare__trust *)fuzz_room(sizeof *b + 40);
    bundle roots, slow;
    unsigned verdict;
    while (count++ < 6 && next_der(&at, &left, &der, &len)) { last = der; last_len = len; }
    armour(&t, last, last_len);
    roots = slow = bundle_whole((const uint8_t *)t.ptr, t.len);
    slow.sizes = sizes;
    size = (size_t)(at - data);
    if (options[0] & 1) size -= last != NULL ? last_len + 2 : 0;     /* the root itself is not sent */
    verdict = judge_chain(data, size, &roots, NULL, 2048, a);
    CHECK(judge_chain(data, size, &slow, &sizes, 40, b) == verdict);
    CHECK(a->certificates == b->certificates);
    /* else nothing need have been looked for */
    if (verdict == 0 || verdict == BR_ERR_X509_NOT_TRUSTED) check_same(a, b);
    if (verdict == 0) CHECK(a->filled > 0 && a->trouble != COMPSHARE__TRUST_UNREADABLE);
    free(a);
    free(b);
    free(t.ptr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8) return 0;
    if (data[0] % 3 == 0) check_bundle(data + 8, size - 8, data + 1);
    if (data[0] % 3 == 1) check_der(data + 8, size - 8, data + 1);
    if (data[0] % 3 == 2) check_chain(data + 8, size - 8, data + 1);
    return 0;
}
