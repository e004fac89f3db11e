/* What may not be left behind or let out: keys, tokens, passwords, signatures, signed
   bodies, and TLS's own secrets. BearSSL's functions that touch them are watched, so
   that the very bytes are known; then stack, block and everything that was said are
   searched for them: after every public call, every step and every abort. */
#include <bearssl.h>
#include <stddef.h>

static void watch_prf_sha256(void *dst, size_t len, const void *input, size_t input_len, const char *label,
    size_t seeds, const br_tls_prf_seed_chunk *seed);
static void watch_prf_sha384(void *dst, size_t len, const void *input, size_t input_len, const char *label,
    size_t seeds, const br_tls_prf_seed_chunk *seed);
static void watch_sha1_update(br_sha1_context *sha1, const void *data, size_t len);
static void watch_sha1_out(const br_sha1_context *sha1, void *out);
static void watch_ec(br_ssl_engine_context *engine);
#define br_tls12_sha256_prf watch_prf_sha256
#define br_tls12_sha384_prf watch_prf_sha384
#define br_sha1_update watch_sha1_update
#define br_sha1_out watch_sha1_out
#define br_ssl_engine_set_default_ecdsa watch_ec
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#undef br_tls12_sha256_prf
#undef br_tls12_sha384_prf
#undef br_sha1_update
#undef br_sha1_out
#undef br_ssl_engine_set_default_ecdsa
#include "harness.h"
#include "calls.h"
#include "transport.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <sys/mman.h>

/* Values that appear nowhere else; none holds a byte that a form body would escape. The
   private key is longer than a block of SHA-1, so that one is full of it. */
#define PUBLIC_KEY "Zq81-account-Vb7.1xTnPublicRr05"
#define PRIVATE_KEY "k9fQ2mZ7rKw4Lx8NcPrivateHd63Tt0Wb5Gy.Vd81-Jp40Ms95Rf27Xb66Ue12La03Cz78Yo54_Ai39Gq"
#define TOKEN "Hs5vY3Jd6Gb1PtTokenXe27-Qm90Lf"
#define VALUE "Rk3Wq8PasswordJn46Bz_Uc71Sd2"
#define PROXY_PASSWORD "Mw28ProxyFt90Kd.Ly63"
#define PROXY_USER "operator-with-a-name-that-is-longer-than-a-ClientHello-which-would-otherwise-be-written-over-the-password-" \
    "in-the-same-buffer-and-so-hide-that-nobody-has-wiped-it-before-the-handshake-began"
#define PROXY_LOGIN PROXY_USER ":" PROXY_PASSWORD
#define REPLY_PASSWORD "Uy6EfReplyPassOx34Ca97"
#define REPLY_LOGIN "ssh-root-Ik52LoginPv18Nz"
#define ACTION "ResetCompShareInstancePassword"

/* ---- what is secret ---- */

typedef struct secret {
    const char *name;
    unsigned char bytes[96];
    size_t len, piece;          /* so many bytes of it in a row count as found */
    bool is_hmac_key;           /* HMAC's own forms of it are secrets, too */
} secret;

static secret secrets[512];
static size_t secret_count, derived;
static bool watching;           /* during the jobs, not while the test itself signs */

/* Called in the middle of the client's work: copies, and leaves nothing on the stack. */
static void learn(const char *name, const void *bytes, size_t len, size_t piece, bool is_hmac_key)
{
    size_t i;
    secret *s = &secrets[secret_count];
    if (secret_count >= COUNT(secrets) || len < piece || len > sizeof s->bytes) abort();
    for (i = 0; i < secret_count; i++)
        if (secrets[i].len == len && memcmp(secrets[i].bytes, bytes, len) == 0) return;
    s->name = name;
    memcpy(s->bytes, bytes, len);
    s->len = len;
    s->piece = piece;
    s->is_hmac_key = is_hmac_key;
    secret_count++;
}

static void learn_text(const char *name, const char *text)
{
    learn(name, text, strlen(text), 10, false);
}

/* SHA works on big-endian words: every four bytes turned round, from any alignment. */
static void learn_turned(const char *name, const unsigned char *bytes, size_t len, size_t alignments, size_t piece)
{
    unsigned char turned[96];
    size_t shift, i;
    for (shift = 0; shift < alignments; shift++) {
        size_t n = (len - shift) / 4 * 4;
        for (i = 0; i < n; i++) turned[i] = bytes[shift + (i ^ 3)];
        learn(name, turned, n, piece, false);
    }
}

/* What HMAC makes of a key, RFC 2104 2: the padded key, and the hash state behind it,
   which serves as well as the key. */
static void learn_hmac_forms(const secret *key)
{
    static const unsigned char pads[2] = { 0x36, 0x5C };
    size_t k, i;
    for (k = 0; k < 2; k++) {
        unsigned char block[64], state[32];
        br_sha256_context sha256;
        for (i = 0; i < sizeof block; i++) block[i] = (unsigned char)((i < key->len ? key->bytes[i] : 0) ^ pads[k]);
        learn(key->name, block, key->len, 12, false);
        learn_turned(key->name, block, key->len, 1, 12);
        br_sha256_init(&sha256);
        br_sha256_update(&sha256, block, sizeof block);
        br_sha256_state(&sha256, state);
        learn(key->name, state, sizeof state, 12, false);
        learn_turned(key->name, state, sizeof state, 1, 12);
    }
}

static void derive(void)
{
    for (; derived < secret_count; derived++) {
        secret *s = &secrets[derived];
        if (s->is_hmac_key) learn_hmac_forms(s);
        if (strcmp(s->name, "the signature's hash") == 0) {
            char hex[41];
            size_t i;
            for (i = 0; i < 20; i++) snprintf(hex + 2 * i, 3, "%02x", s->bytes[i]);
            learn("the signature", hex, 40, 12, false);
            learn_turned("the signature's hash state", s->bytes, 20, 1, 8);
        }
    }
}

static void forget_secrets(void)
{
    unsigned char login[400];
    secret_count = derived = 0;
    learn_text("the private key", PRIVATE_KEY);
    learn_turned("the private key, as SHA-1's words", (const unsigned char *)PRIVATE_KEY, sizeof PRIVATE_KEY - 1, 4, 8);
    learn_text("the public key", PUBLIC_KEY);
    learn_text("the security token", TOKEN);
    learn_turned("the security token, as SHA-1's words", (const unsigned char *)TOKEN, sizeof TOKEN - 1, 4, 8);
    learn_text("the value of a parameter", VALUE);
    learn_text("the proxy's password", PROXY_PASSWORD);
    (void)EVP_EncodeBlock(login, (const unsigned char *)PROXY_LOGIN, (int)sizeof PROXY_LOGIN - 1);
    learn_text("the proxy's login", (const char *)login + strlen((const char *)login) - 30);
    learn_text("a signed body", "Signature=");
}

/* NULL, or the secret of which a piece is in memory. */
static const char *search(const void *memory, size_t len)
{
    size_t i, at;
    for (i = 0; i < secret_count; i++)
        for (at = 0; at + secrets[i].piece <= secrets[i].len; at += secrets[i].piece)
            if (memmem(memory, len, secrets[i].bytes + at, secrets[i].piece) != NULL) return secrets[i].name;
    return NULL;
}

/* ---- what is watched ---- */

static void learn_prf(const void *dst, size_t len, const void *input, size_t input_len, const char *label)
{
    if (!watching) return;
    if (strcmp(label, "master secret") == 0) {
        learn("the premaster secret", input, input_len, 12, true);
        learn("the master secret", dst, len, 12, true);
    } else if (strcmp(label, "key expansion") == 0) {
        learn("TLS keys", dst, len == 40 ? 32 : 64, 16, false);     /* what follows are nonces */
    }
}

static void watch_prf_sha256(void *dst, size_t len, const void *input, size_t input_len, const char *label,
    size_t seeds, const br_tls_prf_seed_chunk *seed)
{
    br_tls12_sha256_prf(dst, len, input, input_len, label, seeds, seed);
    learn_prf(dst, len, input, input_len, label);
}

static void watch_prf_sha384(void *dst, size_t len, const void *input, size_t input_len, const char *label,
    size_t seeds, const br_tls_prf_seed_chunk *seed)
{
    br_tls12_sha384_prf(dst, len, input, input_len, label, seeds, seed);
    learn_prf(dst, len, input, input_len, label);
}

/* With the key, which comes last, the state is as good as the key. */
static void watch_sha1_update(br_sha1_context *sha1, const void *data, size_t len)
{
    static uint32_t before[5];
    memcpy(before, sha1->val, sizeof before);
    br_sha1_update(sha1, data, len);
    if (watching && len == sizeof PRIVATE_KEY - 1 && memcmp(data, PRIVATE_KEY, len) == 0
        && memcmp(before, sha1->val, sizeof before) != 0)
        learn("SHA-1's state with the private key in it", sha1->val, sizeof sha1->val, 8, false);
}

static void watch_sha1_out(const br_sha1_context *sha1, void *out)
{
    br_sha1_out(sha1, out);
    if (watching) learn("the signature's hash", out, br_sha1_SIZE, 8, false);
}

/* The client's half of the key exchange goes through one of these. */
static const br_ec_impl *real_ec;
static br_ec_impl watched_ec;

static size_t watch_mulgen(unsigned char *point, const unsigned char *x, size_t len, int curve)
{
    if (watching) learn("the key of the key exchange", x, len, 12, false);
    return real_ec->mulgen(point, x, len, curve);
}

static uint32_t watch_mul(unsigned char *point, size_t point_len, const unsigned char *x, size_t len, int curve)
{
    if (watching) learn("the key of the key exchange", x, len, 12, false);
    return real_ec->mul(point, point_len, x, len, curve);
}

static void watch_ec(br_ssl_engine_context *engine)
{
    br_ssl_engine_set_default_ecdsa(engine);
    real_ec = br_ssl_engine_get_ec(engine);
    watched_ec = *real_ec;
    watched_ec.mulgen = watch_mulgen;
    watched_ec.mul = watch_mul;
    br_ssl_engine_set_ec(engine, &watched_ec);
}

static int watch_entropy(void *user, void *dst, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && read(fd, dst, len) == (ssize_t)len;
    (void)user;
    if (fd >= 0) close(fd);
    if (good && watching && len >= 32) learn("the entropy", dst, len, 12, false);
    return good ? 0 : -1;
}

/* ---- servers and clients ---- */

static harness_process gateway;
static harness_client h;
static shim t;
static compshare_session session;
static char said[1 << 18];      /* everything that a program could log or show */
static size_t said_len;

static harness_process serve(const char *chain)
{
    static const char *const more[] = { "--public-key", PUBLIC_KEY, "--private-key", PRIVATE_KEY, "--token", TOKEN,
        "--option", "extra_action=" ACTION, NULL };
    return harness_gateway(chain, more);
}

static void configure(unsigned port)
{
    if (h.client != NULL) harness_close(&h);
    harness_configure(&h, port);
    h.config.public_key = PUBLIC_KEY;
    h.config.private_key = PRIVATE_KEY;
    h.config.security_token = TOKEN;
    h.config.zone = "cn-wlcb-01";
    h.config.project_id = PROJECT;
    h.config.entropy = watch_entropy;
    tap_insert(&t, &h, false);
}

/* The proxy opens the tunnel, or refuses. */
static void behind_proxy(const char *answer)
{
    h.config.proxy = "http://" PROXY_LOGIN "@gate.example:3128";
    t.real_port = gateway.port;
    t.answer = answer;
    t.answer_len = strlen(answer);
    t.tunnel = strstr(answer, " 200 ") != NULL;
}

static int start(void **state) { (void)state; gateway = serve("rsa"); return 0; }
static int stop(void **state) { (void)state; harness_stop(&gateway); return 0; }

static int fresh(void **state)
{
    (void)state;
    harness_reset(&gateway);
    forget_secrets();
    memset(&session, 0, sizeof session);
    said_len = 0;
    said[0] = '\0';
    configure(gateway.port);
    return 0;
}

static int done(void **state)
{
    (void)state;
    watching = false;
    if (h.client != NULL) harness_close(&h);
    return 0;
}

/* ---- jobs: calls on a stack of their own ---- */

#define STACK_SIZE ((size_t)1 << 18)
#define PAINT 0xA7

typedef struct job {
    void (*run)(struct job *j);
    unsigned char *stack;
    int ask[2], answer[2];      /* pipes: the search happens on another stack */
    const char *after;          /* the call that has returned; NULL: the job is over */
    size_t seen_len, used;
    unsigned checks;
    char finding[400];
} job;

static uint64_t seen[STACK_SIZE / 8];

/* Copies what lies below its caller's frame. Reads, on purpose, where no object is. */
__attribute__((noinline, no_sanitize("address", "undefined")))
static size_t copy_stack(const unsigned char *stack)
{
    const volatile uint64_t *from = (const volatile uint64_t *)(const void *)stack;
    size_t n = (size_t)((const unsigned char *)__builtin_frame_address(0) - stack) / 8, i;
    for (i = 0; i < n; i++) seen[i] = from[i];
    return n * 8;
}

__attribute__((noinline))
static void check(job *j, const char *after)
{
    char byte = 0;
    j->seen_len = copy_stack(j->stack);
    j->after = after;
    if (write(j->ask[1], &byte, 1) != 1 || read(j->answer[0], &byte, 1) != 1) abort();
}

static void find(job *j, const char *place, const char *what)
{
    if (what != NULL && j->finding[0] == '\0')
        snprintf(j->finding, sizeof j->finding, "after %s the %s holds %s", j->after, place, what);
}

static void expect(job *j, int got, int want, const char *call)
{
    char text[COMPSHARE_ERROR_TEXT];
    if (got != want && j->finding[0] == '\0')
        snprintf(j->finding, sizeof j->finding, "%s: %s where %s was expected: %s", call, compshare_status_name(got),
            compshare_status_name(want),
            compshare_error_text(h.client, text, 300));
}

/* While a connection stands, TLS needs its keys, and the master secret only for
   renegotiation and resumption, where BearSSL keeps it; everything else must be gone. */
static void search_block(job *j)
{
    static unsigned char block[sizeof h.memory];
    br_ssl_engine_context *engine = &h.client->connection.tls.client.eng;
    memcpy(block, h.memory, sizeof block);
    if (h.client->connection.open) {
        memset(block + ((unsigned char *)engine->session.master_secret - h.memory), 0,
            sizeof engine->session.master_secret);
        memset(block + ((unsigned char *)&engine->in - h.memory), 0, sizeof engine->in);
        memset(block + ((unsigned char *)&engine->out - h.memory), 0, sizeof engine->out);
    }
    find(j, "block", search(block, sizeof block));
}

/* One answer to a job's question. */
static void examine(job *j)
{
    size_t i, low = 0;
    const unsigned char *bytes = (const unsigned char *)seen;
    derive();
    while (low < j->seen_len && bytes[low] == PAINT) low++;
    if (j->seen_len - low > j->used) j->used = j->seen_len - low;
    find(j, "stack", search(bytes + low, j->seen_len - low));
    if (h.client != NULL && h.client->task.step == NULL) search_block(j);
    for (i = 0; i < sizeof h.memory && h.client == NULL; i++)
        if (h.memory[i] != 0) find(j, "block", "something that is not zero");
    j->checks++;
}

static void *run_job(void *arg)
{
    job *j = (job *)arg;
    char byte = 0;
    j->run(j);
    j->after = NULL;
    return write(j->ask[1], &byte, 1) == 1 ? NULL : j;
}

static void run_on_painted_stack(job *j, void (*run)(job *j))
{
    pthread_attr_t attr;
    pthread_t thread;
    char byte;
    memset(j, 0, sizeof *j);
    j->run = run;
    j->stack = (unsigned char *)mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true((void *)j->stack != MAP_FAILED);
    memset(j->stack, PAINT, STACK_SIZE);
    assert_int_equal(pipe(j->ask), 0);
    assert_int_equal(pipe(j->answer), 0);
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstack(&attr, j->stack, STACK_SIZE), 0);
    watching = true;
    assert_int_equal(pthread_create(&thread, &attr, run_job, j), 0);
    while (read(j->ask[0], &byte, 1) == 1 && j->after != NULL) {
        examine(j);
        assert_int_equal(write(j->answer[1], &byte, 1), 1);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    watching = false;
    pthread_attr_destroy(&attr);
    close(j->ask[0]); close(j->ask[1]); close(j->answer[0]); close(j->answer[1]);
    munmap(j->stack, STACK_SIZE);
}

/* Runs a job and fails with what it found. */
static job succeed(void (*run)(job *j))
{
    job j;
    run_on_painted_stack(&j, run);
    if (j.finding[0] != '\0') fail_msg("%s", j.finding);
    assert_true(j.checks > 0);
    return j;
}

/* ---- the search finds what is there ---- */

__attribute__((noinline))
static void spill(const unsigned char *bytes, size_t len)
{
    volatile unsigned char area[1024];
    size_t i;
    for (i = 0; i < sizeof area; i++) area[i] = (unsigned char)(i < len ? bytes[i] : 1);
    (void)area[0];
}

static const secret *spilled;

static void run_spill(job *j)
{
    spill(spilled->bytes, spilled->len);
    check(j, "a spill");
}

static void run_kept(job *j)
{
    compshare_param p = compshare_text("Password", VALUE);
    (void)compshare_open(&h.client, &h.config);
    expect(j, compshare_call(h.client, ACTION, &p, 1), COMPSHARE_OK, ACTION);
    check(j, ACTION);
}

/* Each secret, left on the stack on purpose, is found there; and the handshake and the
   signature were watched. */
static void the_search_works(void **state)
{
    static const char *const names[] = { "the premaster secret", "the master secret", "TLS keys",
        "the signature's hash", "the signature",
        "the signature's hash state", "SHA-1's state with the private key in it", "the key of the key exchange",
            "the entropy" };
    size_t i, k, all;
    job j;
    (void)state;
    (void)succeed(run_kept);
    assert_true(h.client->connection.open);
    assert_non_null(search(h.memory, sizeof h.memory));       /* what TLS needs */
    for (i = 0; i < COUNT(names); i++) {
        for (k = 0; k < secret_count && strcmp(secrets[k].name, names[i]) != 0; k++) {}
        if (k == secret_count) fail_msg("%s was never seen", names[i]);
    }
    harness_close(&h);
    all = secret_count;
    for (i = 0; i < all; i++) {
        spilled = &secrets[i];
        run_on_painted_stack(&j, run_spill);
        if (strstr(j.finding, "the stack holds ") == NULL) fail_msg("%s is not found: %s", secrets[i].name, j.finding);
    }
}

/* ---- every call ---- */

static int on_project(void *user, const compshare_project *project) { (void)user; (void)project; return 0; }
static int on_instance(void *user, const compshare_instance *instance,
    compshare_value element) { (void)user; (void)instance; (void)element; return 0; }
static int on_element(void *user, compshare_value element) { (void)user; (void)element; return 0; }

static void close_and_check(job *j)
{
    compshare_close(h.client);
    h.client = NULL;
    check(j, "compshare_close");
}

static void run_typed(job *j)
{
    compshare_target target = target_of("uhost-0001");
    compshare_instance instance;
    compshare_project project;
#define CALL(call, want) do { expect(j, call, want, #call); check(j, #call); } while (0)
    CALL(compshare_open(&h.client, &h.config), COMPSHARE_OK);
    CALL(compshare_get_project_list(h.client, &project, on_project, NULL), COMPSHARE_OK);
    CALL(compshare_describe_instance(h.client, &target, &instance), COMPSHARE_OK);
    CALL(compshare_each_instance(h.client, NULL, on_instance, NULL), COMPSHARE_OK);
    CALL(compshare_update_stop_scheduler(h.client, &target, (int64_t)time(NULL) + 7200), COMPSHARE_OK);
    CALL(compshare_update_stop_scheduler(h.client, &target, (int64_t)time(NULL) + 7), COMPSHARE_E_TOO_SOON);
    CALL(compshare_delete_stop_scheduler(h.client, &target), COMPSHARE_OK);
    CALL(compshare_reboot_instance(h.client, &target), COMPSHARE_OK);
    CALL(compshare_wait_state(h.client, "uhost-0001", "Running", 0, &instance), COMPSHARE_OK);
    close_and_check(j);
}

static void run_generic(job *j)
{
    compshare_param p[2];
    compshare_plan plan;
    compshare_schedule schedule;
    char text[COMPSHARE_ERROR_TEXT];
    memset(&plan, 0, sizeof plan);
    plan.uhost_id = "uhost-0001";
    plan.in_seconds = 3600;
    p[0] = compshare_text("Password", VALUE);
    p[1] = compshare_text("UHostId", "not/an/id");
    CALL(compshare_open(&h.client, &h.config), COMPSHARE_OK);
    CALL(compshare_schedule_set(h.client, &plan, &schedule), COMPSHARE_OK);
    CALL(compshare_schedule_extend(h.client, "uhost-0001", 600, &schedule), COMPSHARE_OK);
    CALL(compshare_schedule_cancel(h.client, "uhost-0001", &schedule), COMPSHARE_OK);
    CALL(compshare_call(h.client, ACTION, p, 1), COMPSHARE_OK);
    CALL(compshare_call(h.client, ACTION, p, 2), COMPSHARE_E_PARAM);
    CALL(compshare_call_each(h.client, "GetProjectList", NULL, 0, "ProjectSet", on_element, NULL), COMPSHARE_OK);
    CALL(compshare_call(h.client, "NoSuchAction", p, 1), COMPSHARE_E_API);
    (void)compshare_error_text(h.client, text, sizeof text);
    check(j, "compshare_error_text");
    close_and_check(j);
    (void)compshare_open_text(&h.config, text, sizeof text);
    check(j, "compshare_open_text");
}

static void calls_leave_nothing(void **state)
{
    static const char *const chains[] = { "rsa", "ec" };
    size_t i, used = 0;
    unsigned checks = 0;
    (void)state;
    for (i = 0; i < COUNT(chains); i++) {
        harness_process g = serve(chains[i]);
        unsigned k;
        for (k = 0; k < 4; k++) {       /* then the same with records of 4 KB */
            job j;
            forget_secrets();
            configure(g.port);
            if (k >= 2) h.config.flags = COMPSHARE_SMALL_RECORDS;
            if (k >= 2) harness_set(&g, "record_cap=4096");
            j = succeed(k % 2 == 0 ? run_typed : run_generic);
            checks += j.checks;
            if (j.used > used) used = j.used;
        }
        harness_stop(&g);
    }
    printf("# figure: stacks searched %u, up to %u bytes deep\n", checks, (unsigned)used);
}

/* ---- every step ---- */

static int start_one(void)
{
    static compshare_param p;
    p = compshare_text("Password", VALUE);
    return compshare_call_start(h.client, ACTION, &p, 1);
}

/* Between steps an event loop waits; what a step has left must be looked for before. */
static void run_steps(job *j)
{
    int r;
    expect(j, compshare_open(&h.client, &h.config), COMPSHARE_OK, "compshare_open");
    expect(j, start_one(), COMPSHARE_OK, "compshare_call_start");
    check(j, "compshare_call_start");
    while ((r = compshare_step(h.client)) == COMPSHARE_PENDING) {
        check(j, "a step");
        if (compshare_timeout_ms(h.client) > 0)
            (void)tap_wait(&t, compshare_wants(h.client), compshare_timeout_ms(h.client));
    }
    check(j, "the last step");
    expect(j, r, COMPSHARE_OK, "compshare_step");
    close_and_check(j);
}

static void steps_leave_nothing(void **state)
{
    static const char tunnel[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    static const size_t pieces[] = { 0, 300 };
    size_t i;
    job j;
    (void)state;
    for (i = 0; i < COUNT(pieces); i++) {
        configure(gateway.port);
        behind_proxy(tunnel);
        t.piece = t.send_piece = pieces[i];
        j = succeed(run_steps);
        assert_true(j.checks > 5);
        assert_true(t.head_len > 0 && strstr(t.head, "Proxy-Authorization: Basic ") != NULL);
    }
    h.config.session = &session;
    for (i = 0; i < 2; i++) (void)succeed(run_steps);       /* a full handshake, and one that resumes it */
    assert_int_equal(harness_count(&gateway, "handshakes_resumed"), 1);
    compshare_session_forget(&session);
}

/* ---- aborted after every number of steps ---- */

static int abort_after;
static bool came_to_its_end;

static void run_abort(job *j)
{
    int n, r = COMPSHARE_PENDING;
    expect(j, compshare_open(&h.client, &h.config), COMPSHARE_OK, "compshare_open");
    expect(j, start_one(), COMPSHARE_OK, "compshare_call_start");
    for (n = 0; n < abort_after && r == COMPSHARE_PENDING; n++) {
        r = compshare_step(h.client);
        if (r == COMPSHARE_PENDING && compshare_timeout_ms(h.client) > 0)
            (void)tap_wait(&t, compshare_wants(h.client), compshare_timeout_ms(h.client));
    }
    came_to_its_end = r != COMPSHARE_PENDING;
    if (!came_to_its_end) expect(j, compshare_abort(h.client), COMPSHARE_E_ABORTED, "compshare_abort");
    check(j, "compshare_abort");
    close_and_check(j);
}

/* In pieces, for more places to stop at. */
static void aborts_leave_nothing(void **state)
{
    static const char tunnel[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    (void)state;
    came_to_its_end = false;
    for (abort_after = 0; !came_to_its_end; abort_after++) {
        forget_secrets();
        configure(gateway.port);
        behind_proxy(tunnel);
        t.piece = t.send_piece = 700;
        (void)succeed(run_abort);
        assert_true(abort_after < 200);
    }
    printf("# figure: places of an abort %d\n", abort_after - 1);
    assert_true(abort_after > 3);      /* a handshake's records alone are as many */
}

/* Closed instead: the block is zero, wherever the call was. */
static void closing_in_the_middle(void **state)
{
    int n, r = COMPSHARE_PENDING;
    size_t i;
    (void)state;
    for (n = 0; r == COMPSHARE_PENDING; n++) {
        int k;
        configure(gateway.port);
        memset(h.memory, 0xEE, sizeof h.memory);
        harness_open(&h);
        assert_int_equal(start_one(), COMPSHARE_OK);
        for (k = 0; k < n && (r = compshare_step(h.client)) == COMPSHARE_PENDING; k++)
            if (compshare_timeout_ms(h.client) > 0)
                (void)tap_wait(&t, compshare_wants(h.client), compshare_timeout_ms(h.client));
        harness_close(&h);
        for (i = 0; i < sizeof h.memory; i++)
            if (h.memory[i] != 0) fail_msg("closed after %d steps: byte %u of the block is not zero", n, (unsigned)i);
        assert_true(n < 200);
    }
}

/* ---- failures ---- */

typedef struct failure {
    const char *name, *option;  /* of the gateway */
    const char *ca, *proxy;     /* a file with other roots; a proxy's answer */
    int status;
} failure;

static const failure failures[] = {
    { "no reply", "drop_before=1", NULL, NULL, COMPSHARE_E_CLOSED },
    { "executed, no reply", "drop_after=1", NULL, NULL, COMPSHARE_E_CLOSED },
    { "half a reply", "truncate=1", NULL, NULL, COMPSHARE_E_CLOSED },
    { "RetCode 171", "fail_next=1&fail_code=171&fail_message=VerifyAC", NULL, NULL, COMPSHARE_E_API },
    { "HTTP 502", "fail_next=1&fail_http=502", NULL, NULL, COMPSHARE_E_STATUS },
    { "too large", "pad_reply=300000", NULL, NULL, COMPSHARE_E_TOO_LARGE },
    { "unknown root", "pad_reply=0", "unknown-root.pem", NULL, COMPSHARE_E_CERTIFICATE },
    { "no root", "pad_reply=0", "bundle-empty.pem", NULL, COMPSHARE_E_TRUST },
    { "proxy 407", "pad_reply=0", NULL, "HTTP/1.1 407 no\r\nContent-Length: 4\r\n\r\nno!\n", COMPSHARE_E_PROXY },
    { "proxy garbage", "pad_reply=0", NULL, "SSH-2.0-OpenSSH_9.2\r\n\r\n", COMPSHARE_E_PROXY },
    { "proxy echoes", "pad_reply=0", NULL, "HTTP/1.1 403 " PROXY_LOGIN "\r\nProxy-Authenticate: " PROXY_LOGIN
        "\r\nX-UCLOUD-REQUEST-UUID: " PROXY_PASSWORD "\r\nContent-Length: 22\r\n\r\n" PROXY_PASSWORD "\r\n",
            COMPSHARE_E_PROXY },
};

static const failure *failing;

static void set_failure(const failure *f)
{
    failing = f;
    harness_reset(&gateway);
    harness_set(&gateway, f->option);
    configure(gateway.port);
    if (f->ca != NULL) h.config.ca_file = harness_cert(f->ca);
    if (f->proxy != NULL) behind_proxy(f->proxy);
}

static void run_failure(job *j)
{
    compshare_param p = compshare_text("Password", VALUE);
    expect(j, compshare_open(&h.client, &h.config), COMPSHARE_OK, "compshare_open");
    expect(j, compshare_call(h.client, ACTION, &p, 1), failing->status, failing->name);
    check(j, failing->name);
    close_and_check(j);
}

static void failures_leave_nothing(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(failures); i++) {
        /* what a peer has just said is there until the next bytes come */
        if (strcmp(failures[i].name, "proxy echoes") == 0) continue;
        forget_secrets();
        set_failure(&failures[i]);
        (void)succeed(run_failure);
    }
}

/* ---- sessions ---- */

/* The caller's session holds the master secret, as the manual says, and nothing after
   compshare_session_forget; it holds no key of the connection itself. */
static void sessions_are_forgotten(void **state)
{
    size_t i;
    (void)state;
    h.config.session = &session;
    (void)succeed(run_typed);
    assert_string_equal(search(&session, sizeof session), "the master secret");
    for (i = 0; i < secret_count; i++)
        if (strcmp(secrets[i].name, "TLS keys") == 0)
            assert_null(memmem(&session, sizeof session, secrets[i].bytes, 16));
    compshare_session_forget(&session);
    for (i = 0; i < sizeof session; i++) assert_int_equal(((const unsigned char *)&session)[i], 0);
}

/* ---- replies ---- */

static const char *const secret_reply[] = {
    "read-request\nsend \"HTTP/1.1 200 OK\\r\\nContent-Length: 230\\r\\nConnection: "
        "close\\r\\n\\r\\n{\\\"RetCode\\\":0,\\\"UHostSet\\\":[{\\\"Password\\\":\\\""
    REPLY_PASSWORD "\\\",\\\"SshLoginCommand\\\":\\\"" REPLY_LOGIN "\\\",\\\"JupyterUrl\\\":\\\"" REPLY_LOGIN "\\\",\\\"SecurityToken\\\":\\\""
    REPLY_PASSWORD "\\\"}]}\"\nsend-repeat 100 \" \"\nclose\n", NULL
};

static void run_reply(job *j)
{
    static char copy[64];       /* the program's own */
    compshare_value instance;
    expect(j, compshare_open(&h.client, &h.config), COMPSHARE_OK, "compshare_open");
    expect(j, compshare_call(h.client, "DescribeCompShareInstance", NULL, 0), COMPSHARE_OK, "compshare_call");
    instance = compshare_first(compshare_get(compshare_reply(h.client), "UHostSet"));
    if (compshare_copy_text(compshare_get(instance, "Password"), copy, sizeof copy) < 0
        || strcmp(copy, REPLY_PASSWORD) != 0)
        snprintf(j->finding, sizeof j->finding, "the reply's password is \"%s\"", copy);
    if (search(h.memory, sizeof h.memory) == NULL) snprintf(j->finding, sizeof j->finding, "the block holds no reply");
    close_and_check(j);
}

/* A reply stays in the block, for compshare_reply and compshare_body, until other bytes
   take its place or the client is closed; nowhere else is anything of it. */
static void replies_end_with_the_client(void **state)
{
    wire w = wire_serve("rsa", secret_reply);
    (void)state;
    learn_text("a reply's password", REPLY_PASSWORD);
    learn_text("a reply's login command", REPLY_LOGIN);
    configure(w.server.port);
    (void)succeed(run_reply);
    wire_stop(&w);
}

/* ---- nothing is said ---- */

static void say(const char *text)
{
    add_line(said, sizeof said, &said_len, text);
}

static void trace(void *user, const char *line)
{
    (void)user;
    say(line);
}

/* So many hexadecimal digits in a row are a signature. */
static bool has_signature(const char *text)
{
    size_t run = 0;
    for (; *text != '\0' && run < 32; text++)
        run = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f') ? run + 1 : 0;
    return run >= 32;
}

static void expect_clean(const char *name)
{
    const char *what;
    const char *c;
    derive();
    what = search(said, said_len);
    if (what == NULL && has_signature(said)) what = "what looks like a signature";
    if (what != NULL) fail_msg("%s: %s got out: %s", name, what, said);
    for (c = said; *c != '\0'; c++)
        if (((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7F) fail_msg("%s: a control character got out", name);
    said_len = 0;
    said[0] = '\0';
}

static void say_error(void)
{
    const compshare_error *e = compshare_last_error(h.client);
    char text[COMPSHARE_ERROR_TEXT];
    say(compshare_error_text(h.client, text, sizeof text));
    say(e->detail);
    say(e->message);
    say(e->request_id);
    say(e->action);
}

/* A call, with and without a trace; `want` 0: success. */
static void call_and_listen(const char *name, int want)
{
    compshare_param p = compshare_text("Password", VALUE);
    bool tracing;
    forget_secrets();
    for (tracing = false; ; tracing = true) {
        h.config.trace = tracing ? trace : NULL;
        harness_open(&h);
        watching = true;
        harness_expect(&h, compshare_call(h.client, ACTION, &p, 1), want);
        watching = false;
        say_error();
        if (tracing) assert_non_null(strstr(said, want == COMPSHARE_E_CONFIG ? "" : "connect "));
        expect_clean(name);
        harness_close(&h);
        if (tracing) return;
    }
}

static void failures_say_nothing(void **state)
{
    unsigned port;
    int silent;
    size_t i;
    (void)state;
    call_and_listen("success", COMPSHARE_OK);
    for (i = 0; i < COUNT(failures); i++) {
        char twice[96];
        set_failure(&failures[i]);
        snprintf(twice, sizeof twice, "%s", failures[i].option);
        if (strstr(twice, "=1") != NULL) strstr(twice, "=1")[1] = '2';      /* once for each of both */
        harness_set(&gateway, twice);
        call_and_listen(failures[i].name, failures[i].status);
    }
    configure(free_port(false));
    call_and_listen("nobody listens", COMPSHARE_E_CONNECT);
    silent = loopback_listen(false, &port);
    configure(port);
    h.config.timeout_ms = 100;
    h.config.transport = NULL;
    call_and_listen("a silent server", COMPSHARE_E_TIMEOUT);
    close(silent);
}

/* ---- a server that sends the request back ---- */

static char echo_dir[64];

/* What nginx answers at /echo/NAME: `reply` is one directive, and $http_x_echo the
   request's body. */
static const struct { const char *name, *reply; int status; } echoes[] = {
    { "400", "return 400 \"$http_x_echo\";", COMPSHARE_E_STATUS },
    { "403", "return 403 \"$http_x_echo\";", COMPSHARE_E_STATUS },
    { "500", "return 500 \"$http_x_echo\";", COMPSHARE_E_STATUS },
    { "503json", "return 503 '{\"RetCode\":150,\"Echo\":\"$http_x_echo\"}';", COMPSHARE_E_STATUS },
    { "redirect", "return 307 https://localhost/?$http_x_echo;", COMPSHARE_E_STATUS },
    { "nojson", "return 200 \"$http_x_echo\";", COMPSHARE_E_JSON },
    { "noretcode", "return 200 '{\"Echo\":\"$http_x_echo\"}';", COMPSHARE_E_REPLY },
    { "oddretcode", "return 200 '{\"RetCode\":\"$http_x_echo\"}';", COMPSHARE_E_REPLY },
    { "refused", "return 200 '{\"RetCode\":171,\"Echo\":\"$http_x_echo\"}';", COMPSHARE_E_API },
    { "message", "return 200 '{\"RetCode\":171,\"Message\":\"$http_x_echo\"}';", COMPSHARE_E_API },
    { "400message", "return 400 '{\"RetCode\":171,\"Message\":\"no: $http_x_echo\"}';", COMPSHARE_E_STATUS },
    { "control", "return 200 '{\"RetCode\":171,\"Message\":\"\\\\u001b[31mred\\\\u0007\\\\r\\\\n\\\\u202e\"}';",
        COMPSHARE_E_API },
    { "header", "add_header X-UCLOUD-REQUEST-UUID $http_x_echo always; add_header Retry-After $http_x_echo always; "
        "return 429;", COMPSHARE_E_STATUS },
};

static peer serve_echoes(void)
{
    char path[96], include[128];
    size_t i;
    FILE *f;
    snprintf(echo_dir, sizeof echo_dir, "/tmp/compshare-echo-XXXXXX");
    assert_non_null(mkdtemp(echo_dir));
    f = fopen(harness_path(path, sizeof path, echo_dir, "conf"), "w");
    assert_non_null(f);
    fprintf(f, "default_type application/json;\nclient_body_buffer_size 64k;\nclient_body_in_single_buffer "
        "on;\nlisten unix:%s/say;\n"
        "location /echo/ {\nproxy_set_header X-Echo $request_body;\nproxy_pass_request_body off;\nproxy_set_header "
            "Content-Length \"\";\n"
        "proxy_pass http://unix:%s/say:/say/;\n}\n", echo_dir, echo_dir);
    for (i = 0; i < COUNT(echoes); i++) fprintf(f, "location = /say/%s { %s }\n", echoes[i].name, echoes[i].reply);
    assert_int_equal(fclose(f), 0);
    snprintf(include, sizeof include, "include %s;", path);
    return peer_nginx("rsa", gateway.port, include);
}

static void stop_echoes(peer *p)
{
    char path[96];
    if (p->pid != 0) peer_stop(p);
    unlink(harness_path(path, sizeof path, echo_dir, "say"));
    unlink(harness_path(path, sizeof path, echo_dir, "conf"));
    rmdir(echo_dir);
}

static void echoes_are_not_repeated(void **state)
{
    peer p = serve_echoes();
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(echoes) && p.pid != 0; i++) {
        compshare_view body;
        char url[96];
        configure(p.port);
        snprintf(url, sizeof url, "https://localhost:%u/echo/%s", p.port, echoes[i].name);
        h.config.base_url = url;
        call_and_listen(echoes[i].name, echoes[i].status);
        if (strstr(echoes[i].reply, "return 400") == NULL) continue;
        harness_open(&h);           /* the server did send it back */
        assert_int_equal(start_one(), COMPSHARE_OK);
        assert_int_equal(step_to_the_end(h.client, COMPSHARE_OK), COMPSHARE_E_STATUS);
        body = compshare_body(h.client);
        assert_non_null(memmem(body.ptr, body.len, "Signature=", 10));
        harness_close(&h);
    }
    stop_echoes(&p);
    if (i == 0) skip();
}

/* ---- refused configurations ---- */

/* A field of compshare_config, and a value that it cannot have. */
static const struct { size_t field; const char *value; } refusals[] = {
    { offsetof(compshare_config, private_key), PRIVATE_KEY " " },
    { offsetof(compshare_config, private_key), PRIVATE_KEY "\n" },
    { offsetof(compshare_config, public_key), PUBLIC_KEY "\r\n" },
    { offsetof(compshare_config, public_key), "\x7F" PUBLIC_KEY },
    { offsetof(compshare_config, security_token), TOKEN "\t" },
    { offsetof(compshare_config, security_token), " " TOKEN },
    { offsetof(compshare_config, region), PRIVATE_KEY "/" },
    { offsetof(compshare_config, zone), TOKEN " " },
    { offsetof(compshare_config, project_id), "a b" PRIVATE_KEY },
    { offsetof(compshare_config, base_url), "https://user:" VALUE "@api.compshare.cn" },
    { offsetof(compshare_config, base_url), "https://api.compshare.cn/?Signature=" VALUE },
    { offsetof(compshare_config, base_url), "http://api.compshare.cn/" VALUE },
    { offsetof(compshare_config, base_url), "https://api.compshare.cn:" VALUE },
    { offsetof(compshare_config, proxy), "https://" PROXY_LOGIN "@gate.example" },
    { offsetof(compshare_config, proxy), "http://" PROXY_LOGIN "%zz@gate.example" },
    { offsetof(compshare_config, proxy), "http://" PROXY_LOGIN "@gate.example:0" },
    { offsetof(compshare_config, proxy), "http://" PROXY_LOGIN "/@gate.example" },
    { offsetof(compshare_config, proxy), "http://" PROXY_LOGIN " @gate.example" },
    { offsetof(compshare_config, proxy), "http://" PROXY_LOGIN "@" },
    { offsetof(compshare_config, proxy), PROXY_LOGIN "@gate.example" },
    { offsetof(compshare_config, user_agent), "agent\r\n" VALUE },
};

static void refusals_say_nothing(void **state)
{
    size_t i;
    char text[COMPSHARE_ERROR_TEXT];
    (void)state;
    for (i = 0; i < COUNT(refusals); i++) {
        configure(gateway.port);
        memcpy((unsigned char *)&h.config + refusals[i].field, &refusals[i].value, sizeof refusals[i].value);
        h.config.trace = trace;
        if (compshare_open(&h.client, &h.config) != COMPSHARE_E_CONFIG) fail_msg("row %u was accepted", (unsigned)i);
        say(compshare_open_text(&h.config, text, sizeof text));
        assert_true(strlen(said) > 10);
        expect_clean(text);
    }
    configure(gateway.port);
    h.config.memory_size = 1000;
    assert_int_equal(compshare_open(&h.client, &h.config), COMPSHARE_E_MEMORY);
    say(compshare_open_text(&h.config, text, sizeof text));
    expect_clean("memory_size");
}

static void refused_parameters_say_nothing(void **state)
{
    compshare_param p[7];
    size_t i;
    (void)state;
    p[0] = compshare_text("UHostId", VALUE "/");
    p[1] = compshare_decimal("Price", VALUE);
    p[2] = compshare_text("Signature", VALUE);
    p[3] = compshare_text("SecurityToken", VALUE);
    p[4] = compshare_text("", VALUE);
    p[5] = p[6] = compshare_text("Twice", VALUE);
    for (i = 0; i < 6; i++) {
        h.config.trace = trace;
        harness_open(&h);
        assert_int_equal(compshare_call(h.client, ACTION, p + i, i == 5 ? 2 : 1), COMPSHARE_E_PARAM);
        say_error();
        expect_clean("a refused parameter");
        harness_close(&h);
    }
}

/* ---- the built examples ---- */

/* Runs one with planted keys; what it writes is added to what was said. */
static int run_example(const char *const *argv, const char *url, const char *roots)
{
    int pipes[2], status;
    ssize_t n;
    pid_t pid;
    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("COMPSHARE_PUBLIC_KEY", PUBLIC_KEY, 1);
        setenv("COMPSHARE_PRIVATE_KEY", PRIVATE_KEY, 1);
        setenv("COMPSHARE_CA_FILE", harness_cert(roots), 1);
        setenv("COMPSHARE_BASE_URL", url, 1);
        setenv("COMPSHARE_PROJECT_ID", PROJECT, 1);
        if (dup2(pipes[1], 1) < 0 || dup2(pipes[1], 2) < 0) _exit(126);
        close(pipes[0]);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(pipes[1]);
    while ((n = read(pipes[0], said + said_len, sizeof said - 1 - said_len)) > 0) said_len += (size_t)n;
    said[said_len] = '\0';
    close(pipes[0]);
    assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) < 126);
    return WEXITSTATUS(status);
}

static void check_example(const char *name, const char *url, const char *roots, bool succeeds)
{
    const char *programs[2];
    const char *argv[6];
    size_t i;
    programs[0] = harness_program("../examples/stop_scheduler");
    programs[1] = harness_program("../examples/compshare-invoke");
    for (i = 0; i < COUNT(programs); i++) {
        int n = 0, r;
        argv[n++] = programs[i];
        if (i == 0) { argv[n++] = "uhost-0001"; argv[n++] = "3600"; }
        else { argv[n++] = ACTION; argv[n++] = "Password=" VALUE; argv[n++] = "UHostId=uhost-0001"; }
        argv[n] = NULL;
        r = run_example(argv, url, roots);
        if ((r == 0) != succeeds) fail_msg("%s, %s: exit status %d: %s", name, argv[0], r, said);
        assert_true(said_len > 10);
        expect_clean(name);
    }
}

static void examples_say_nothing(void **state)
{
    static const char *const more[] = { "--public-key", PUBLIC_KEY, "--private-key", PRIVATE_KEY, "--option",
        "extra_action=" ACTION, NULL };
    static const char *const options[] = { "drop_before=9", "truncate=9", "fail_next=9&fail_http=502",
        "fail_next=9&fail_code=171" };
    harness_process g;
    peer p;
    char url[128];
    size_t i;
    (void)state;
    if (access(harness_program("../examples/stop_scheduler"), X_OK) != 0) skip();
    g = harness_gateway("ec", more);
    snprintf(url, sizeof url, "https://localhost:%u", g.port);
    check_example("success", url, "roots.pem", true);
    for (i = 0; i < COUNT(options); i++) {
        harness_reset(&g);
        harness_set(&g, options[i]);
        check_example(options[i], url, "roots.pem", false);
    }
    check_example("unknown root", url, "unknown-root.pem", false);
    snprintf(url, sizeof url, "https://localhost:%u", free_port(false));
    check_example("nobody listens", url, "roots.pem", false);
    check_example("refused", "https://user:" VALUE "@localhost", "roots.pem", false);
    p = serve_echoes();
    for (i = 0; i < COUNT(echoes) && p.pid != 0; i++) {
        snprintf(url, sizeof url, "https://localhost:%u/echo/%s", p.port, echoes[i].name);
        check_example(echoes[i].name, url, "roots.pem", false);
    }
    stop_echoes(&p);
    harness_stop(&g);
}

/* A reply's own secrets are masked by the tool unless they are asked for. */
static void replies_are_masked(void **state)
{
    static const struct { const char *option; bool shown; } ways[] = { { NULL, false }, { "--reveal", true } };
    wire w;
    size_t i;
    (void)state;
    if (access(harness_program("../examples/compshare-invoke"), X_OK) != 0) skip();
    w = wire_serve("rsa", secret_reply);
    for (i = 0; i < COUNT(ways); i++) {
        const char *argv[5];
        char url[64];
        int n = 0, r;
        argv[n++] = harness_program("../examples/compshare-invoke");
        if (ways[i].option != NULL) argv[n++] = ways[i].option;
        argv[n++] = "DescribeCompShareInstance";
        argv[n] = NULL;
        snprintf(url, sizeof url, "https://localhost:%u", w.server.port);
        r = run_example(argv, url, "roots.pem");
        if (r != 0) fail_msg("exit status %d: %s", r, said);
        assert_int_equal(strstr(said, REPLY_PASSWORD) != NULL, ways[i].shown);
        assert_int_equal(strstr(said, REPLY_LOGIN) != NULL, ways[i].shown);
        expect_clean("a reply");
    }
    wire_stop(&w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_search_works), T(calls_leave_nothing), T(steps_leave_nothing), T(aborts_leave_nothing),
            T(closing_in_the_middle),
        T(failures_leave_nothing), T(sessions_are_forgotten), T(replies_end_with_the_client), T(failures_say_nothing),
            T(echoes_are_not_repeated), T(refusals_say_nothing),
        T(refused_parameters_say_nothing), T(examples_say_nothing), T(replies_are_masked)
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("secrets", tests, start, stop);
}
