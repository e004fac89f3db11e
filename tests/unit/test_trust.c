/* Rooms pem and trust: the PEM reader and the DER walk on their own. OpenSSL is the
   oracle. COMPSHARE_TEST_CERTS names the directory of test certificates, default
   build/tests/certs; tests/scripts/certs.sh makes what is missing. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>
#include "support.h"

static char directory[512];
static guard text_guard, buffer_guard, der_guard;

static const char *path_of(const char *name)
{
    static char path[640];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int prepare(void **state)
{
    const char *chosen = getenv("COMPSHARE_TEST_CERTS");
    char command[640];
    (void)state;
    (void)snprintf(directory, sizeof directory, "%s", chosen != NULL && chosen[0] != '\0' ? chosen
        : "build/tests/certs");
    if (access(path_of("stamp"), R_OK) != 0) {
        (void)snprintf(command, sizeof command, "sh tests/scripts/certs.sh '%s'", directory);
        if (system(command) != 0) return -1;
    }
    text_guard = guard_open(8u << 20);
    buffer_guard = guard_open(8192);
    der_guard = guard_open(65536);
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    guard_close(&text_guard);
    guard_close(&buffer_guard);
    guard_close(&der_guard);
    return 0;
}

/* ---- a reader that may be cut short, give little, or fail ---- */

typedef struct source {
    const unsigned char *ptr;
    size_t len, most;           /* most: bytes of one answer, 0: as many as asked for */
    size_t calls, fail_at;      /* fail_at: the call that fails, 0: none */
    ptrdiff_t failure;
} source;

static ptrdiff_t read_source(void *ctx, size_t offset, void *dst, size_t cap)
{
    source *s = (source *)ctx;
    size_t n = offset < s->len ? s->len - offset : 0;
    if (++s->calls == s->fail_at) return s->failure;
    if (n > cap) n = cap;
    if (s->most != 0 && n > s->most) n = s->most;
    if (n > 0) memcpy(dst, s->ptr + offset, n);
    return (ptrdiff_t)n;
}

static void pem_open(compshare__pem *p, source *s, size_t cap)
{
    memset(p, 0, sizeof *p);
    p->read = read_source;
    p->ctx = s;
    p->buf.ptr = guard_tail(&buffer_guard, cap);
    p->buf.cap = cap;
    compshare__pem_seek(p, 0);
}

static source source_of(const void *ptr, size_t len)
{
    source s;
    memset(&s, 0, sizeof s);
    s.ptr = (const unsigned char *)ptr;
    s.len = len;
    return s;
}

/* ---- certificates against OpenSSL ---- */

static const size_t sizes[] = { 1, 7, 64, 4096 };

/* Every certificate of one PEM file: its bytes and its subject. */
static size_t compare_file(const char *path, size_t buffers)
{
    bytes file = support_file(path);
    size_t found = 0, k;
    CHECK(file.ptr != NULL);
    for (k = 0; k < buffers; k++) {
        BIO *bio = BIO_new_mem_buf(file.ptr, (int)file.len);
        source s = source_of(file.ptr, file.len);
        compshare__pem p;
        X509 *cert;
        found = 0;
        pem_open(&p, &s, sizes[COUNT_OF(sizes) - 1 - k]);
        while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
            unsigned char *der = NULL, *name = NULL, *got;
            int len = i2d_X509(cert, &der), name_len = i2d_X509_NAME(X509_get_subject_name(cert), &name);
            size_t start = 0, end = 0, n;
            size_t offset;
            found++;
            support_case("%s, certificate %u, buffer of %u", path, (unsigned)found, (unsigned)p.buf.cap);
            CHECK(len > 0 && name_len > 0);
            CHECK(compshare__pem_find(&p));
            offset = p.base + p.at;
            CHECK(offset >= 27 && memcmp(file.ptr + offset - 27, "-----BEGIN CERTIFICATE-----", 27) == 0);
            p.bit_count = 0;
            got = guard_tail(&der_guard, (size_t)len);
            n = compshare__pem_decode(&p, got, (size_t)len);
            CHECK_NUMBER(n, len);
            CHECK(memcmp(got, der, n) == 0);
            CHECK(compshare__pem_decode(&p, guard_tail(&der_guard, 1), 1) == 0);
            got = guard_copy(&der_guard, der, (size_t)len);
            CHECK(compshare__pem_der_subject(got, (size_t)len, &start, &end));
            CHECK_NUMBER(end - start, name_len);
            CHECK(memcmp(got + start, name, (size_t)name_len) == 0);
            CHECK(end <= COMPSHARE__DER_PREFIX);
            if (n > COMPSHARE__DER_PREFIX) n = COMPSHARE__DER_PREFIX;   /* what a scan looks at is enough */
            got = guard_copy(&der_guard, der, n);
            CHECK(compshare__pem_der_subject(got, n, &start, &end) && end - start == (size_t)name_len);
            compshare__pem_seek(&p, offset);        /* and once more, from its offset, in pieces */
            for (n = 0; n < (size_t)len;) {
                size_t want = 1 + support_random(500), put;
                if (want > (size_t)len - n) want = (size_t)len - n;
                got = guard_tail(&der_guard, want);
                put = compshare__pem_decode(&p, got, want);
                CHECK(put == want && memcmp(got, der + n, put) == 0);
                n += put;
            }
            OPENSSL_free(der);
            OPENSSL_free(name);
            X509_free(cert);
        }
        support_case("%s, behind the last certificate", path);
        CHECK(!compshare__pem_find(&p));
        CHECK(!p.failed && !p.too_long);
        BIO_free(bio);
    }
    free(file.ptr);
    return found;
}

static void against_openssl(void **state)
{
    static const struct { const char *name; size_t certificates; } files[] = {
        { "roots.pem", 2 }, { "root-rsa.pem", 1 }, { "root-ec.pem", 1 }, { "rsa-chain.pem", 2 }, { "ec-chain.pem", 2 },
            { "pss-chain.pem", 2 },
        { "rsa1024-chain.pem", 2 }, { "reversed-chain.pem", 3 }, { "selfsigned.pem", 1 }, { "unknown-root.pem", 1 },
            { "wildcard-chain.pem", 2 },
        { "bundle-noise.pem", 1 }, { "bundle-crlf.pem", 2 }, { "bundle-text.pem", 2 }, { "bundle-norsaroot.pem", 1 },
            { "bundle-samename.pem", 2 },
        { "bundle-wrongkey.pem", 1 }, { "bundle-three.pem", 3 }, { "bundle-rootless.pem", 0 },
            { "bundle-keyonly.pem", 0 }, { "bundle-empty.pem", 0 }
    };
    static const char system_bundle[] = "/etc/ssl/certs/ca-certificates.crt";
    size_t i;
    (void)state;
    support_seed(10);
    for (i = 0; i < COUNT_OF(files); i++) {
        size_t n = compare_file(path_of(files[i].name), COUNT_OF(sizes));
        support_case("%s", files[i].name);
        CHECK_NUMBER(n, files[i].certificates);
    }
    CHECK(compare_file(path_of("bundle-big.pem"), 2) >= 42);
    if (access(system_bundle, R_OK) == 0) CHECK(compare_file(system_bundle, 1) > 50);
}

/* The first certificate of a file as DER, in a malloc'd block. */
static bytes first_der(const char *name)
{
    bytes file = support_file(path_of(name)), der = { NULL, 0 };
    source s = source_of(file.ptr, file.len);
    compshare__pem p;
    CHECK(file.ptr != NULL);
    pem_open(&p, &s, 4096);
    CHECK(compshare__pem_find(&p));
    der.ptr = (unsigned char *)malloc(8192);
    if (der.ptr == NULL) exit(2);
    der.len = compshare__pem_decode(&p, der.ptr, 8192);
    CHECK(der.len > 200 && der.len < 8192);
    free(file.ptr);
    return der;
}

static void truncated_der(void **state)
{
    static const char *const names[] = { "root-rsa.pem", "root-ec.pem", "rsa-chain.pem", "selfsigned.pem" };
    size_t i, len;
    (void)state;
    for (i = 0; i < COUNT_OF(names); i++) {
        bytes der = first_der(names[i]);
        size_t start, end, whole_start, whole_end;
        CHECK(compshare__pem_der_subject(der.ptr, der.len, &whole_start, &whole_end));
        for (len = 0; len <= der.len; len++) {
            const unsigned char *at = guard_copy(&der_guard, der.ptr, len);
            support_case("%s, first %u bytes", names[i], (unsigned)len);
            CHECK(compshare__pem_der_subject(at, len, &start, &end) == (len >= whole_end));
            if (len >= whole_end) CHECK(start == whole_start && end == whole_end);
        }
        free(der.ptr);
    }
}

static void damaged_der(void **state)
{
    static const char *const names[] = { "root-rsa.pem", "root-ec.pem" };
    size_t i, round, accepted = 0, refused = 0;
    (void)state;
    support_seed(11);
    for (i = 0; i < COUNT_OF(names); i++) {
        bytes der = first_der(names[i]);
        for (round = 0; round < 20000; round++) {
            size_t len = support_random(4) == 0 ? support_random(der.len + 1) : der.len, start = 0, end = 0,
                flips = 1 + support_random(4);
            unsigned char *at = guard_copy(&der_guard, der.ptr, len);
            while (flips-- > 0 && len > 0) at[support_random(len < 300 ? len
                : 300)] ^= (unsigned char)(1u << support_random(8));
            support_case("%s, damage %u", names[i], (unsigned)round);
            if (compshare__pem_der_subject(at, len, &start, &end)) {
                CHECK(start < end && end <= len && at[start] == 0x30);
                accepted++;
            } else {
                refused++;
            }
        }
        free(der.ptr);
    }
    support_case("both happened");
    CHECK(accepted > 1000 && refused > 1000);
}

static void der_forms(void **state)
{
    static const struct { const char *der; size_t len; bool fine; } cases[] = {
        { "\x30\x0C\x30\x0A\x02\x00\x30\x00\x30\x00\x30\x00\x30\x00", 14, true },               /* version 1: no [0] */
        { "\x30\x11\x30\x0F\xA0\x03\x02\x01\x02\x02\x00\x30\x00\x30\x00\x30\x00\x30\x00", 19, true },
        { "\x30\x81\x0C\x30\x81\x0A\x02\x81\x00\x30\x00\x30\x00\x30\x00\x30\x00", 17, true },
        { "\x30\x80\x30\x0A\x02\x00\x30\x00\x30\x00\x30\x00\x30\x00", 14, false },              /* indefinite length */
        { "\x30\x0C\x30\x0A\x02\x80\x30\x00\x30\x00\x30\x00\x30\x00", 14, false },
        { "\x30\x84\x00\x00\x00\x0C\x30\x0A\x02\x00\x30\x00\x30\x00\x30\x00\x30\x00", 18, false },
            /* four length octets */
        { "\x30\xFF\x30\x0A\x02\x00\x30\x00\x30\x00\x30\x00\x30\x00", 14, false },
        { "\x31\x0C\x30\x0A\x02\x00\x30\x00\x30\x00\x30\x00\x30\x00", 14, false },
        { "\x30\x0C\x30\x0A\x02\x00\x30\x00\x30\x00\x30\x00\x31\x00", 14, false },
        { "\x30\x0C\x30\x0A\x02\x00\x30\x00\x30\x00\x30\x00\x30\x01", 14, false },
            /* longer than what is there */
        { "\x30\x0C\x30\x0A\x02\x83\xFF\xFF\xFF\x30\x00\x30\x00\x30\x00", 15, false },
        { "\x30", 1, false }, { "", 0, false }, { "\x30\x83\x01", 3, false }
    };
    size_t i, start, end;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        support_case("DER form %u", (unsigned)i);
        CHECK(compshare__pem_der_subject(guard_copy(&der_guard, cases[i].der, cases[i].len), cases[i].len, &start,
            &end) == cases[i].fine);
        if (cases[i].fine) CHECK(end == cases[i].len && end - start == 2);
    }
}

/* ---- PEM forms ---- */

static void decodes(const char *pem, const char *wanted, size_t len)
{
    size_t k, most;
    for (k = 0; k < COUNT_OF(sizes); k++)
        for (most = 0; most <= 3; most++) {
            source s = source_of(guard_copy(&text_guard, pem, strlen(pem)), strlen(pem));
            compshare__pem p;
            unsigned char out[256];
            s.most = most;
            support_case("buffer of %u, answers of %u: %s", (unsigned)sizes[k], (unsigned)most, pem);
            pem_open(&p, &s, sizes[k]);
            CHECK(compshare__pem_find(&p));
            CHECK_NUMBER(compshare__pem_decode(&p, out, sizeof out), len);
            CHECK(memcmp(out, wanted, len) == 0);
            CHECK(!p.failed);
        }
}

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----\n"

static void pem_forms(void **state)
{
    static const char *const nothing[] = {
        "", "-", "-----BEGIN CERTIFICATE----", "-----BEGIN CERTIFICAT-----",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n",
            "-----begin certificate-----\n", "----BEGIN CERTIFICATE-----",
        "-----BEGIN  CERTIFICATE-----", "-----END CERTIFICATE-----\n",
        /* not at the start of a line: OpenSSL reads none of these either */
        " " BEGIN "\nQUJD\n", "\t" BEGIN "\nQUJD\n", "# " BEGIN "\n# QUJD\n", "text\n#" BEGIN "\nQUJD\n",
            "text " BEGIN "\nQUJD\n",
        "---------" BEGIN "\nQUJD\n", "-" BEGIN "\nQUJD\n", "-----BEGIN CERT" BEGIN "\nQUJD\n",
            "\xEF\xBB\xBF" BEGIN "\nQUJD\n",
        "-----END CERTIFICATE-----" BEGIN "\nQUJD\n", "\n -----BEGIN CERTIFICATE-----",
            "\n-----BEGIN CERTIFICATE----\n-"
    };
    size_t i, k;
    (void)state;
    decodes(BEGIN "\nQUJD\n" END, "ABC", 3);
    decodes(BEGIN "\r\nQUJD\r\nREVG\r\n" END, "ABCDEF", 6);
    decodes("text\n" BEGIN "\nQUI=\n" END, "AB", 2);
    decodes(BEGIN "\nQQ==\n" END, "A", 1);
    decodes(BEGIN "\n Q\tU J D \n" END, "ABC", 3);
    decodes(BEGIN "\n+/+/\n" END, "\xFB\xFF\xBF", 3);
    decodes(BEGIN "QUJD" END, "ABC", 3);
    decodes(BEGIN "\nQUJD!REVG\n" END, "ABC", 3);
    decodes(BEGIN "\nQUJD", "ABC", 3);
    decodes(BEGIN, "", 0);
    decodes("-----BEGIN CERTIFICATE----\n" BEGIN "\nQUJD\n", "ABC", 3);
    decodes("# " BEGIN "\n# QQ==\n" BEGIN "\nQUJD\n", "ABC", 3);
    decodes("\n\n" BEGIN "\nQUJD\n", "ABC", 3);
    decodes("text\r" BEGIN "\rQUJD\r", "ABC", 3);
    for (i = 0; i < COUNT_OF(nothing); i++)
        for (k = 0; k < COUNT_OF(sizes); k++) {
            source s = source_of(nothing[i], strlen(nothing[i]));
            compshare__pem p;
            support_case("nothing in %s", nothing[i]);
            pem_open(&p, &s, sizes[k]);
            CHECK(!compshare__pem_find(&p) && !p.failed && !p.too_long);
            CHECK(!compshare__pem_find(&p));
        }
    {   /* half a certificate is found, and cannot be walked to its end */
        bytes file = support_file(path_of("bundle-truncated.pem"));
        source s = source_of(file.ptr, file.len);
        compshare__pem p;
        unsigned char out[8192];
        bytes whole = first_der("root-rsa.pem");
        size_t n;
        support_case("truncated bundle");
        pem_open(&p, &s, 64);
        CHECK(compshare__pem_find(&p));
        n = compshare__pem_decode(&p, out, sizeof out);
        CHECK(n > 0 && n < whole.len && memcmp(out, whole.ptr, n) == 0);
        CHECK(!compshare__pem_find(&p) && !p.failed);
        free(whole.ptr);
        free(file.ptr);
    }
    {   /* random noise that speaks PEM's alphabet */
        static const char alphabet[] = "-----BEGIN CERTIFICATE-----\n=+/Aa0 ";
        size_t round;
        support_seed(12);
        for (round = 0; round < 2000; round++) {
            char noise[400];
            unsigned char out[300];
            source s;
            compshare__pem p;
            size_t len = support_random(sizeof noise), at, found = 0, wanted = 0;
            for (at = 0; at < len; at++) noise[at] = alphabet[support_random(sizeof alphabet - 1)];
            if (len > 60) memcpy(noise + support_random(len - 30), "\n" BEGIN, 28);
            support_case("noise %u", (unsigned)round);
            for (at = 0; at + 27 <= len; at++)
                if (memcmp(noise + at, BEGIN, 27) == 0 && (at == 0 || noise[at - 1] == '\n')) wanted++;
            s = source_of(guard_copy(&text_guard, noise, len), len);
            s.most = support_random(5);
            pem_open(&p, &s, sizes[round % COUNT_OF(sizes)]);
            while (compshare__pem_find(&p)) found++;
            CHECK_NUMBER(found, wanted);
            compshare__pem_seek(&p, 0);
            while (compshare__pem_find(&p)) (void)compshare__pem_decode(&p, out, sizeof out);
        }
    }
}

static void failing_reader(void **state)
{
    /* more than asked for is a failure, too */
    static const ptrdiff_t failures[] = { -1, -23, PTRDIFF_MIN, 65, 4097, PTRDIFF_MAX };
    bytes file = support_file(path_of("roots.pem"));
    size_t total, k, f;
    source s = source_of(file.ptr, file.len);
    compshare__pem p;
    (void)state;
    CHECK(file.ptr != NULL);
    pem_open(&p, &s, 64);
    while (compshare__pem_find(&p)) {}
    total = s.calls;
    CHECK(total > 20);
    for (f = 0; f < COUNT_OF(failures); f++)
        for (k = 1; k <= total; k++) {
            unsigned char out[4096];
            size_t calls;
            s = source_of(file.ptr, file.len);
            s.fail_at = k;
            s.failure = failures[f];
            support_case("reader fails with %ld at call %u", (long)failures[f], (unsigned)k);
            pem_open(&p, &s, 64);
            while (compshare__pem_find(&p)) (void)compshare__pem_decode(&p, out, sizeof out);
            CHECK(p.failed);
            calls = s.calls;
            CHECK(!compshare__pem_find(&p) && compshare__pem_decode(&p, out, 1) == 0);
            CHECK_NUMBER(s.calls, calls);       /* a failure is final: it is not asked again */
        }
    free(file.ptr);
}

/* An endless text: given up at 8 MiB, not searched for ever. */
static ptrdiff_t read_endless(void *ctx, size_t offset, void *dst, size_t cap)
{
    *(size_t *)ctx = offset + cap;
    memset(dst, 'x', cap);
    return (ptrdiff_t)cap;
}

static void endless_reader(void **state)
{
    size_t most = 0;
    compshare__pem p;
    (void)state;
    support_case("endless text");
    memset(&p, 0, sizeof p);
    p.read = read_endless;
    p.ctx = &most;
    p.buf.ptr = guard_tail(&buffer_guard, 4096);
    p.buf.cap = 4096;
    CHECK(!compshare__pem_find(&p));
    CHECK(p.too_long && !p.failed);
    CHECK_NUMBER(most, (8 << 20) + 4096);
}

/* ---- one scan: which slots a name fills, and what trouble there is ---- */

#define ROOM 1024
static union { uint64_t align; unsigned char memory[sizeof(compshare__trust) + ROOM]; } area;

/* Memory for a chain check, and so much behind its struct. */
static compshare__pem_scratch block_of(size_t room)
{
    compshare__pem_scratch block;
    CHECK(room <= ROOM);
    block.ptr = area.memory;
    block.cap = sizeof(compshare__trust) + room;
    return block;
}

static compshare__trust *scan(const char *bundle, const bytes *der, source *s, bytes *file)
{
    compshare__trust *t;
    br_sha256_context sha256;
    size_t start, end;
    *file = support_file(path_of(bundle));
    CHECK(file->ptr != NULL);
    *s = source_of(file->ptr, file->len);
    t = compshare__trust_init(block_of(ROOM), read_source, s, 1795442700);
    CHECK(compshare__pem_der_subject(der->ptr, der->len, &start, &end));
    br_sha256_init(&sha256);
    br_sha256_update(&sha256, der->ptr + start, end - start);
    br_sha256_out(&sha256, t->looked_up);
    compshare__trust_fill(t);
    return t;
}

static void scans(void **state)
{
    static const struct { const char *bundle; size_t filled; int trouble; } cases[] = {
        { "root-rsa.pem", 1, COMPSHARE__TRUST_FINE }, { "roots.pem", 1, COMPSHARE__TRUST_FINE },
            { "bundle-crlf.pem", 1, COMPSHARE__TRUST_FINE },
        { "bundle-noise.pem", 1, COMPSHARE__TRUST_FINE }, { "bundle-text.pem", 1, COMPSHARE__TRUST_FINE },
            { "bundle-big.pem", 1, COMPSHARE__TRUST_FINE },
        { "bundle-norsaroot.pem", 0, COMPSHARE__TRUST_FINE }, { "bundle-samename.pem", 2, COMPSHARE__TRUST_FINE },
            { "bundle-wrongkey.pem", 1, COMPSHARE__TRUST_FINE },
        { "bundle-three.pem", 0, COMPSHARE__TRUST_THREE }, { "bundle-empty.pem", 0, COMPSHARE__TRUST_EMPTY },
            { "bundle-rootless.pem", 0, COMPSHARE__TRUST_ROOTLESS },
        { "bundle-keyonly.pem", 0, COMPSHARE__TRUST_ROOTLESS }, { "bundle-truncated.pem", 0, COMPSHARE__TRUST_UNUSABLE }
    };
    bytes root = first_der("root-rsa.pem"), file, self = first_der("selfsigned.pem");
    size_t i, k;
    source s;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        compshare__trust *t = scan(cases[i].bundle, &root, &s, &file);
        support_case("scan of %s", cases[i].bundle);
        CHECK_NUMBER(t->filled, cases[i].filled);
        CHECK_NUMBER(t->trouble, cases[i].trouble);
        for (k = 0; k < 2; k++) {
            CHECK((t->anchor[k].dn.len > 0) == (k < cases[i].filled));
            CHECK(t->anchor[k].flags == BR_X509_TA_CA);
            if (k < cases[i].filled) CHECK(t->anchor[k].pkey.key_type == BR_KEYTYPE_RSA
                && t->anchor[k].pkey.key.rsa.nlen >= 256);
        }
        free(file.ptr);
    }
    support_case("a certificate that is not a CA");
    {
        compshare__trust *t = scan("selfsigned.pem", &self, &s, &file);
        CHECK(t->filled == 0 && t->trouble == COMPSHARE__TRUST_NOT_CA);
        free(file.ptr);
    }
    support_case("a reader that fails in the middle leaves nothing to trust");
    file = support_file(path_of("roots.pem"));
    for (k = 1; k < 100; k++) {
        compshare__trust *t;
        size_t start, end, calls;
        br_sha256_context sha256;
        s = source_of(file.ptr, file.len);
        s.fail_at = k;
        s.failure = -1;
        t = compshare__trust_init(block_of(ROOM), read_source, &s, 1795442700);
        CHECK(compshare__pem_der_subject(root.ptr, root.len, &start, &end));
        br_sha256_init(&sha256);
        br_sha256_update(&sha256, root.ptr + start, end - start);
        br_sha256_out(&sha256, t->looked_up);
        compshare__trust_fill(t);
        calls = s.calls;
        if (calls < k) break;
        CHECK(t->filled == 0 && t->anchor[0].dn.len == 0 && t->anchor[1].dn.len == 0);
        CHECK_NUMBER(t->trouble, COMPSHARE__TRUST_UNREADABLE);
    }
    CHECK(k > 3 && k < 100);
    free(file.ptr);
    free(root.ptr);
    free(self.ptr);
}

/* Lent memory never becomes more by taking from it. */
static void lent_memory(void **state)
{
    static const size_t used[] = { 0, 1, 63, 64, 65, SIZE_MAX };
    unsigned char memory[64];
    compshare__pem_scratch block, rest;
    size_t i;
    (void)state;
    block.ptr = memory;
    block.cap = sizeof memory;
    for (i = 0; i < COUNT_OF(used); i++) {
        size_t taken = used[i] < sizeof memory ? used[i] : sizeof memory;
        rest = compshare__pem_rest(block, used[i]);
        CHECK(rest.ptr == memory + taken);
        CHECK_NUMBER(rest.cap, sizeof memory - taken);
    }
}

/* ---- roots that cannot be used, made for the purpose ---- */

/* A self-signed CA with `units` organisational units in its name, as PEM. */
static bytes make_named(EVP_PKEY *key, const char *common, int serial, unsigned units, const EVP_MD *hash)
{
    static unsigned char unit[] = "0123456789012345678901234567890123456789";
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    BIO *bio = BIO_new(BIO_s_mem());
    bytes text;
    char *ptr;
    long len;
    CHECK(key != NULL && ca != NULL);
    CHECK(X509_set_version(cert, 2) && ASN1_INTEGER_set(X509_get_serialNumber(cert), serial));
    CHECK(X509_gmtime_adj(X509_getm_notBefore(cert), -60) && X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1, 0));
    for (; units > 0; units--) CHECK(X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_ASC, unit, -1, -1, 0));
    CHECK(X509_set_issuer_name(cert, name) && X509_set_pubkey(cert, key) && X509_add_ext(cert, ca, -1));
    CHECK(X509_sign(cert, key, hash) > 0 && PEM_write_bio_X509(bio, cert));
    len = BIO_get_mem_data(bio, &ptr);
    text.ptr = (unsigned char *)malloc((size_t)len);
    text.len = (size_t)len;
    memcpy(text.ptr, ptr, text.len);
    BIO_free(bio);
    X509_EXTENSION_free(ca);
    X509_free(cert);
    return text;
}

static bytes make_root(EVP_PKEY *key, unsigned units, const EVP_MD *hash)
{
    bytes text = make_named(key, "0123456789", 1, units, hash);
    EVP_PKEY_free(key);
    return text;
}


/* Looks for the first certificate's own name in these bundles, through a read buffer of
   three quarters of `room`. */
static compshare__trust *look_up_in(source *s, size_t room)
{
    compshare__trust *t = compshare__trust_init(block_of(room), read_source, s, 1795442700);
    br_sha256_context sha256;
    size_t start, end, len;
    CHECK(compshare__pem_find(&t->pem));
    len = compshare__pem_decode(&t->pem, t->der, sizeof t->der);
    CHECK(compshare__pem_der_subject(t->der, len, &start, &end));
    br_sha256_init(&sha256);
    br_sha256_update(&sha256, t->der + start, end - start);
    br_sha256_out(&sha256, t->minimal.saved_dn_hash);
    compshare__trust_look_up(t);
    return t;
}

static compshare__trust *look_up(source *s)
{
    return look_up_in(s, 1024);
}

static void unusable_roots(void **state)
{
    static const struct { const char *name; unsigned rsa_bits; const char *curve; unsigned units; size_t filled; int trouble; } cases[] = {
        { "RSA 2048", 2048, NULL, 0, 1, COMPSHARE__TRUST_FINE }, { "P-256", 0, "P-256", 0, 1, COMPSHARE__TRUST_FINE },
        { "a name of 384 bytes at most", 0, "P-256", 7, 1, COMPSHARE__TRUST_FINE },
            { "a longer name", 0, "P-256", 8, 0, COMPSHARE__TRUST_UNUSABLE },
        { "RSA 1024", 1024, NULL, 0, 0, COMPSHARE__TRUST_UNUSABLE },
            { "RSA 2047", 2047, NULL, 0, 0, COMPSHARE__TRUST_UNUSABLE },
            { "Ed25519", 0, NULL, 0, 0, COMPSHARE__TRUST_UNUSABLE }
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(cases); i++) {
        bool edwards = cases[i].rsa_bits == 0 && cases[i].curve == NULL;
        EVP_PKEY *key = edwards ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
            : cases[i].curve != NULL ? EVP_EC_gen(cases[i].curve) : EVP_RSA_gen(cases[i].rsa_bits);
        bytes pem = make_root(key, cases[i].units, edwards ? NULL : EVP_sha256());
        source s = source_of(pem.ptr, pem.len);
        compshare__trust *t = look_up(&s);
        support_case("root: %s", cases[i].name);
        CHECK_NUMBER(t->filled, cases[i].filled);
        CHECK_NUMBER(t->trouble, cases[i].trouble);
        free(pem.ptr);
    }
}

/* Two roots of one name: each anchor has its own key, in its own place, whatever the decoder
   has read since. */
static void two_of_one_name(void **state)
{
    EVP_PKEY *keys[3];
    size_t i, k, len;
    (void)state;
    keys[0] = EVP_EC_gen("P-384");
    keys[1] = EVP_EC_gen("P-256");
    keys[2] = EVP_RSA_gen(2048);
    for (i = 0; i < 3; i++)
        for (k = 0; k < 3; k++) {
            bytes one = make_named(keys[i], "twins", 1, 0, EVP_sha256()),
                two = make_named(keys[k], "twins", 2, 0, EVP_sha256());
            size_t pair[2], a;
            source s;
            compshare__trust *t;
            pair[0] = i;
            pair[1] = k;
            one.ptr = (unsigned char *)realloc(one.ptr, one.len + two.len);
            CHECK(one.ptr != NULL);
            memcpy(one.ptr + one.len, two.ptr, two.len);
            s = source_of(one.ptr, one.len + two.len);
            t = look_up(&s);
            support_case("keys %u and %u", (unsigned)i, (unsigned)k);
            CHECK_NUMBER(t->filled, i == k ? 1u : 2u);
            CHECK_NUMBER(t->trouble, COMPSHARE__TRUST_FINE);
            memset(&t->decoder, 0xEE, sizeof t->decoder);
            for (a = 0; a < t->filled; a++) {
                unsigned char point[256];
                const br_x509_pkey *got = &t->anchor[a].pkey;
                if (pair[a] == 2) {
                    BIGNUM *n = NULL;
                    CHECK(EVP_PKEY_get_bn_param(keys[2], "n", &n) && BN_num_bytes(n) == 256
                        && BN_bn2bin(n, point) == 256);
                    BN_free(n);
                    CHECK(got->key_type == BR_KEYTYPE_RSA && got->key.rsa.nlen == 256
                        && memcmp(got->key.rsa.n, point, 256) == 0);
                    CHECK(got->key.rsa.elen == 3 && memcmp(got->key.rsa.e, "\1\0\1", 3) == 0);
                } else {
                    CHECK(EVP_PKEY_get_octet_string_param(keys[pair[a]], "pub", point, sizeof point, &len));
                    CHECK(got->key_type == BR_KEYTYPE_EC && got->key.ec.qlen == len
                        && memcmp(got->key.ec.q, point, len) == 0);
                }
            }
            free(one.ptr);
            free(two.ptr);
        }
    for (i = 0; i < 3; i++) EVP_PKEY_free(keys[i]);
}

/* What stands between BEGIN and END need not be a certificate. */
static void other_blocks(void **state)
{
    bytes pem = make_root(EVP_EC_gen("P-256"), 0, EVP_sha256());
    char *text = (char *)malloc(pem.len + 200);
    source s;
    compshare__trust *t;
    (void)state;
    CHECK(text != NULL);
    memcpy(text, pem.ptr, pem.len);
    s = source_of(text, pem.len + (size_t)sprintf(text + pem.len, "%s",
        "-----BEGIN CERTIFICATE-----\nQUJDREVGR0g=\n-----END CERTIFICATE-----\n"));
    support_case("a block that is no certificate");
    t = look_up(&s);
    CHECK(t->filled == 1 && t->trouble == COMPSHARE__TRUST_FINE);
    free(text);
    free(pem.ptr);
}

/* The bundle is replaced between the scan and the second reading of a root. */
typedef struct changing { source before, after; size_t calls, until; } changing;

static ptrdiff_t read_changing(void *ctx, size_t offset, void *dst, size_t cap)
{
    changing *c = (changing *)ctx;
    return read_source(c->calls++ < c->until ? &c->before : &c->after, offset, dst, cap);
}

static void bundle_replaced(void **state)
{
    bytes one = make_root(EVP_EC_gen("P-256"), 0, EVP_sha256()), two = make_root(EVP_EC_gen("P-256"), 1, EVP_sha256());
    size_t calls, until, refused = 0;
    changing c;
    (void)state;
    memset(&c, 0, sizeof c);
    c.before = source_of(one.ptr, one.len);
    c.after = source_of(two.ptr, two.len);
    c.until = SIZE_MAX;
    CHECK(look_up_in(&c.before, 256)->filled == 1);
    calls = c.before.calls;
    for (until = 1; until <= calls; until++) {
        compshare__trust *t;
        unsigned char name[32];
        c.before.calls = c.calls = 0;
        c.until = until;
        memcpy(name, look_up(&c.before)->looked_up, sizeof name);
        t = compshare__trust_init(block_of(256), read_changing, &c, 1795442700);
        memcpy(t->minimal.saved_dn_hash, name, sizeof name);
        support_case("replaced at reading %u of %u", (unsigned)until, (unsigned)calls);
        compshare__trust_look_up(t);
        CHECK(t->filled == 0 || memcmp(t->name, "\x30", 1) == 0);
        if (t->filled == 0 && t->trouble == COMPSHARE__TRUST_UNUSABLE) refused++;
    }
    CHECK(refused > 0);
    free(one.ptr);
    free(two.ptr);
}

/* ---- the index ---- */

/* Eight roots of different names, and behind them another one that is named like the
   fourth. */
#define NAMES 8
typedef struct many { bytes text; size_t second; unsigned char name[NAMES][32]; } many;

static many make_many(void)
{
    many m;
    unsigned i;
    memset(&m, 0, sizeof m);
    for (i = 0; i <= NAMES; i++) {
        bytes pem = make_root(EVP_EC_gen("P-256"), i < NAMES ? i : 3, EVP_sha256());
        source s = source_of(pem.ptr, pem.len);
        if (i < NAMES - 1) memcpy(m.name[i], look_up(&s)->looked_up, 32);
        m.text.ptr = (unsigned char *)realloc(m.text.ptr, m.text.len + pem.len);
        CHECK(m.text.ptr != NULL);
        memcpy(m.text.ptr + m.text.len, pem.ptr, pem.len);
        m.text.len += pem.len;
        if (i == 0) m.second = m.text.len;
        free(pem.ptr);
    }
    return m;
}

/* Looks for every name, in this order or the other; the eighth's is too long for a slot. */
static void check_names(compshare__trust *t, const many *m, bool backwards)
{
    unsigned k;
    for (k = 0; k < NAMES - 1; k++) {
        unsigned i = backwards ? NAMES - 2 - k : k;
        memcpy(t->looked_up, m->name[i], 32);
        compshare__trust_fill(t);
        CHECK_NUMBER(t->filled, i == 3 ? 2u : 1u);
        CHECK_NUMBER(t->trouble, COMPSHARE__TRUST_FINE);
    }
    memset(t->looked_up, 7, 32);
    compshare__trust_fill(t);
    CHECK(t->filled == 0 && t->trouble == COMPSHARE__TRUST_FINE);
}

/* However many of them are kept in mind, the same roots are found. */
static void index_sizes(void **state)
{
    many m = make_many();
    size_t room;
    (void)state;
    for (room = 16; room <= 1024; room += 8) {
        source s = source_of(m.text.ptr, m.text.len);
        compshare__trust *t = compshare__trust_init(block_of(room), read_source, &s, 1795442700);
        support_case("%u bytes behind the struct", (unsigned)room);
        check_names(t, &m, (room & 8) != 0);
        CHECK_NUMBER(t->known.count, room / 32 < NAMES + 1 ? room / 32 : NAMES + 1);
        CHECK(t->known.complete == (room / 32 >= NAMES + 1) && !t->known.nameless);
        check_names(t, &m, (room & 8) == 0);
    }
    free(m.text.ptr);
}

/* Learned before a name is looked for: what is found later costs one certificate. */
static void index_learned(void **state)
{
    many m = make_many();
    source s = source_of(m.text.ptr, m.text.len);
    compshare__trust *t;
    size_t whole;
    (void)state;
    support_case("learned at leisure");
    t = compshare__trust_init(block_of(768), read_source, &s, 1795442700);
    CHECK_NUMBER(t->pem.buf.cap, 576);
    compshare__trust_prescan(t, block_of(1024));
    whole = s.calls;
    CHECK_NUMBER(whole, m.text.len / (576 + 256) + 2);
    CHECK(t->known.count == NAMES + 1 && t->known.complete && !t->known.nameless);
    CHECK(t->filled == 0 && t->trouble == COMPSHARE__TRUST_FINE && t->pem.buf.cap == 576);
    compshare__trust_prescan(t, block_of(1024));
    CHECK(s.calls == whole);
    s.calls = 0;
    memcpy(t->looked_up, m.name[5], 32);
    compshare__trust_fill(t);
    CHECK(t->filled == 1 && s.calls <= 4);
    memset(t->looked_up, 7, 32);
    s.calls = 0;
    compshare__trust_fill(t);
    CHECK(t->filled == 0 && s.calls == 0);
    check_names(t, &m, false);
    check_names(t, &m, true);
    free(m.text.ptr);
}

/* The bundle is another one from here on, and nothing of the old one is in the buffer. */
static void replace(compshare__trust *t, source *s, const unsigned char *ptr, size_t len)
{
    *s = source_of(ptr, len);
    t->pem.len = t->pem.at = 0;
}

/* The bundle changes during a handshake: what is known of it is never taken for what it was. */
static void index_outdated(void **state)
{
    many m = make_many();
    source s = source_of(m.text.ptr, m.text.len);
    unsigned char *shifted = (unsigned char *)malloc(m.text.len + 1);
    compshare__trust *t = compshare__trust_init(block_of(ROOM), read_source, &s, 1795442700);
    (void)state;
    CHECK(shifted != NULL);
    shifted[0] = '\n';
    memcpy(shifted + 1, m.text.ptr, m.text.len);
    check_names(t, &m, false);
    support_case("every certificate has moved");
    replace(t, &s, shifted, m.text.len + 1);
    check_names(t, &m, true);
    support_case("the first certificate is gone");
    replace(t, &s, m.text.ptr + m.second, m.text.len - m.second);
    memcpy(t->looked_up, m.name[3], 32);
    compshare__trust_fill(t);
    CHECK_NUMBER(t->filled, 2);
    memcpy(t->looked_up, m.name[0], 32);
    compshare__trust_fill(t);
    CHECK_NUMBER(t->filled, 0);
    CHECK_NUMBER(t->known.count, NAMES);
    support_case("the bundle is gone");
    replace(t, &s, m.text.ptr, 0);
    memcpy(t->looked_up, m.name[3], 32);
    compshare__trust_fill(t);
    CHECK(t->filled == 0 && t->trouble == COMPSHARE__TRUST_EMPTY);
    support_case("the bundle cannot be read");
    s = source_of(m.text.ptr, m.text.len);
    t = compshare__trust_init(block_of(ROOM), read_source, &s, 1795442700);
    check_names(t, &m, false);
    replace(t, &s, m.text.ptr, m.text.len);
    s.fail_at = s.calls + 1;
    s.failure = -1;
    memcpy(t->looked_up, m.name[3], 32);
    compshare__trust_fill(t);
    CHECK(t->filled == 0 && t->trouble == COMPSHARE__TRUST_UNREADABLE);
    free(shifted);
    free(m.text.ptr);
}

/* ---- chains ---- */

/* A chain check under these roots. */
static compshare__trust *begin_chain(source *s, const char *host)
{
    compshare__trust *t = compshare__trust_init(block_of(ROOM), read_source, s, (int64_t)time(NULL));
    const br_x509_class **x509 = &t->minimal.vtable;
    br_x509_minimal_set_rsa(&t->minimal, br_rsa_pkcs1_vrfy_get_default());
    br_x509_minimal_set_ecdsa(&t->minimal, br_ec_get_default(), br_ecdsa_vrfy_asn1_get_default());
    (*x509)->start_chain(x509, host);
    return t;
}

static void send_certificate(compshare__trust *t, bytes der, size_t piece)
{
    const br_x509_class **x509 = &t->minimal.vtable;
    size_t at, n;
    (*x509)->start_cert(x509, (uint32_t)der.len);
    for (at = 0; at < der.len; at += n) {
        n = piece < der.len - at ? piece : der.len - at;
        (*x509)->append(x509, guard_copy(&der_guard, der.ptr + at, n), n);
    }
    (*x509)->end_cert(x509);
}

static unsigned end_chain(compshare__trust *t)
{
    return t->minimal.vtable->end_chain(&t->minimal.vtable);
}

/* The DER of a certificate in PEM, in place of it. */
static bytes to_der(bytes pem)
{
    source s = source_of(pem.ptr, pem.len);
    bytes der = { NULL, 0 };
    compshare__pem p;
    pem_open(&p, &s, 4096);
    CHECK(compshare__pem_find(&p));
    der.ptr = (unsigned char *)malloc(8192);
    if (der.ptr == NULL) exit(2);
    der.len = compshare__pem_decode(&p, der.ptr, 8192);
    free(pem.ptr);
    return der;
}

/* So many certificates are judged, and then none: their sender chose how many there are.
   They bear one name and have one key, so that each is the issuer of the one before. */
static void long_chains(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    bytes der[2];
    source s = source_of(NULL, 0);
    compshare__trust *t;
    unsigned i;
    (void)state;
    der[0] = to_der(make_named(key, "localhost", 2, 0, EVP_sha256()));
    der[1] = to_der(make_named(key, "localhost", 3, 0, EVP_sha256()));
    support_case("none is trusted: what comes behind the eighth costs nothing");
    t = begin_chain(&s, "localhost");
    for (i = 1; i <= 1000; i++) {
        send_certificate(t, der[i % 2], 100);
        CHECK_NUMBER(t->minimal.err, i > COMPSHARE__CHAIN_MAX ? BR_ERR_X509_NOT_TRUSTED : 0);
    }
    CHECK_NUMBER(t->certificates, 1000);
    CHECK_NUMBER(end_chain(t), BR_ERR_X509_NOT_TRUSTED);
    free(der[0].ptr);
    free(der[1].ptr);
    EVP_PKEY_free(key);
}

/* A certificate twice in a row counts once, however the two are cut; one that is merely
   as long is another. */
static void repeated_certificates(void **state)
{
    static const size_t pieces[] = { 1, 2, 3, 100, 256, 1023, 1024, 1025, 8192 };
    EVP_PKEY *key = EVP_EC_gen("P-256"), *long_key = EVP_RSA_gen(4096);
    bytes pem = support_file(path_of("root-rsa.pem")), leaf = first_der("rsa-chain.pem"), self[4],
        whole = support_file(path_of("rsa-chain.pem")), inter;
    const char *second = strstr((const char *)whole.ptr + 1, "-----BEGIN");
    size_t i, k;
    (void)state;
    CHECK(second != NULL);
    inter.len = strlen(second);
    inter.ptr = (unsigned char *)malloc(inter.len + 1);
    memcpy(inter.ptr, second, inter.len + 1);
    inter = to_der(inter);
    for (i = 0; i < 4; i++) self[i] = to_der(make_named(i < 2 ? key : long_key, "localhost", 1 + (int)(i % 2), 0,
        EVP_sha256()));
    CHECK(self[2].len == self[3].len && self[2].len > COMPSHARE__DER_PREFIX);
    for (i = 0; i < COUNT_OF(pieces); i++) {
        source s = source_of(pem.ptr, pem.len);
        compshare__trust *t = begin_chain(&s, "localhost");
        support_case("pieces of %u", (unsigned)pieces[i]);
        send_certificate(t, leaf, pieces[i]);
        send_certificate(t, leaf, pieces[i]);
        CHECK(t->repeated && t->minimal.err == 0);
        send_certificate(t, inter, pieces[i]);
        CHECK_NUMBER(end_chain(t), 0);
        CHECK_NUMBER(t->certificates, 3);
        for (k = 0; k < 4; k += 2) {
            t = begin_chain(&s, "localhost");
            send_certificate(t, self[k], pieces[i]);
            send_certificate(t, self[k + 1], pieces[i]);
            CHECK(!t->repeated);
            CHECK_NUMBER(t->minimal.err, 0);
            t = begin_chain(&s, "localhost");   /* as long, and wrong */
            send_certificate(t, self[k], pieces[i]);
            self[k].ptr[sizeof t->beginning - 1] ^= 1;
            send_certificate(t, self[k], pieces[i]);
            self[k].ptr[sizeof t->beginning - 1] ^= 1;
            CHECK(!t->repeated && t->minimal.err != 0);
        }
    }
    {   /* nothing is no repetition of nothing */
        source s = source_of(pem.ptr, pem.len);
        compshare__trust *t = begin_chain(&s, "localhost");
        bytes none = { NULL, 0 };
        support_case("certificates of no bytes");
        send_certificate(t, none, 1);
        send_certificate(t, none, 1);
        send_certificate(t, leaf, 100);
        CHECK(end_chain(t) != 0);
    }
    for (i = 0; i < 4; i++) free(self[i].ptr);
    free(leaf.ptr);
    free(inter.ptr);
    free(whole.ptr);
    free(pem.ptr);
    EVP_PKEY_free(key);
    EVP_PKEY_free(long_key);
}

/* However a certificate is cut into pieces, its last byte is held back, alone too. */
static void held_back(void **state)
{
    bytes der = first_der("root-ec.pem"), pem = support_file(path_of("root-ec.pem"));
    size_t last;
    (void)state;
    for (last = 1; last <= 3; last++) {
        source s = source_of(pem.ptr, pem.len);
        compshare__trust *t = begin_chain(&s, NULL);
        const br_x509_class **x509 = &t->minimal.vtable;
        support_case("last piece of %u", (unsigned)last);
        (*x509)->start_cert(x509, (uint32_t)der.len);
        (*x509)->append(x509, der.ptr, der.len - last);
        CHECK(t->filled == 0 && t->left == last);
        (*x509)->append(x509, der.ptr + der.len - last, last);
        CHECK(t->filled == 1 && t->left == 0);
        (*x509)->end_cert(x509);
        CHECK_NUMBER(end_chain(t), 0);
    }
    free(der.ptr);
    free(pem.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_openssl),
        cmocka_unit_test(truncated_der),
        cmocka_unit_test(damaged_der),
        cmocka_unit_test(der_forms),
        cmocka_unit_test(pem_forms),
        cmocka_unit_test(failing_reader),
        cmocka_unit_test(endless_reader),
        cmocka_unit_test(scans),
        cmocka_unit_test(lent_memory),
        cmocka_unit_test(unusable_roots),
        cmocka_unit_test(two_of_one_name),
        cmocka_unit_test(other_blocks),
        cmocka_unit_test(bundle_replaced),
        cmocka_unit_test(index_sizes),
        cmocka_unit_test(index_learned),
        cmocka_unit_test(index_outdated),
        cmocka_unit_test(long_chains),
        cmocka_unit_test(repeated_certificates),
        cmocka_unit_test(held_back)
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
