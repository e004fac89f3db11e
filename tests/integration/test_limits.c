/* What the client promises to stay within: no allocation, a small stack, the
   caller's block and not a byte beside it, and no secret left behind or let out.
   Figures that it prints stand in the manual. Nothing here judges by wall time. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "transport.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Keys that appear nowhere else, and what may never be seen of a request. */
#define PUBLIC_KEY "planted-public-key-Vb71xT"
#define PRIVATE_KEY "PLANTED/private=key/9fQ2mZ7rKw4Lx8Nc"
#define TOKEN "PLANTED.security.token-Hs5vY3Jd6Gb1Pt"
#define PASSWORD "PLANTED_password_Rk3Wq8"
#define SECRET_REPLY "PLANTED_reply_Uy6Ef2"

/* ---- allocations ---- */

/* Counted while `on` is set and no name is being resolved: libc's resolver
   allocates, and the manual says so. */
static volatile struct { bool on; int resolving; unsigned long count, resolved; } heap;

static void heap_count(void)
{
    if (heap.on && heap.resolving == 0) heap.count++;
}

static void find_next(const char *name, void *function, size_t size)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) _exit(99);
    memcpy(function, &found, size);
}

#if SANITIZED
/* from <sanitizer/allocator_interface.h>, which not every compiler brings along */
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t), void (*)(const volatile void *));

static void on_malloc(const volatile void *ptr, size_t size)
{
    (void)ptr;
    (void)size;
    heap_count();
}

static void on_free(const volatile void *ptr)
{
    (void)ptr;
    heap_count();
}

static void heap_watch(void)
{
    __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}
#else
/* dlsym itself may want a little memory before the real calloc is known. */
static unsigned char early[4096] __attribute__((aligned(16)));
static size_t early_used;

static bool is_early(const void *ptr)
{
    return (const unsigned char *)ptr >= early && (const unsigned char *)ptr < early + sizeof early;
}

static void *early_take(size_t size)
{
    void *ptr = early + early_used;
    early_used += (size + 15) / 16 * 16;
    return early_used <= sizeof early ? ptr : NULL;
}

void *malloc(size_t size)
{
    static void *(*real)(size_t);
    static bool looking;
    if (real == NULL && looking) return early_take(size);
    if (real == NULL) {
        looking = true;
        find_next("malloc", &real, sizeof real);
    }
    heap_count();
    return real(size);
}

void *calloc(size_t count, size_t size)
{
    static void *(*real)(size_t, size_t);
    static bool looking;
    if (real == NULL && looking) return early_take(count * size);
    if (real == NULL) {
        looking = true;
        find_next("calloc", &real, sizeof real);
    }
    heap_count();
    return real(count, size);
}

void *realloc(void *ptr, size_t size)
{
    static void *(*real)(void *, size_t);
    if (real == NULL) find_next("realloc", &real, sizeof real);
    heap_count();
    return real(ptr, size);
}

void free(void *ptr)
{
    static void (*real)(void *);
    if (ptr == NULL || is_early(ptr)) return;
    if (real == NULL) find_next("free", &real, sizeof real);
    heap_count();
    real(ptr);
}

static void heap_watch(void)
{
}
#endif

/* Names under .invalid never reach the network. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    size_t len = node != NULL ? strlen(node) : 0;
    int r;
    if (len >= 8 && strcmp(node + len - 8, ".invalid") == 0) return EAI_NONAME;
    heap.resolving++;
    if (real == NULL) find_next("getaddrinfo", &real, sizeof real);
    r = real(node, service, hints, list);
    heap.resolved++;
    heap.resolving--;
    return r;
}

void freeaddrinfo(struct addrinfo *list)
{
    static void (*real)(struct addrinfo *);
    heap.resolving++;
    if (real == NULL) find_next("freeaddrinfo", &real, sizeof real);
    real(list);
    heap.resolving--;
}

/* ---- servers and clients ---- */

static harness_process servers[4];

static int stop_all(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(servers); i++)
        if (servers[i].pid > 0) harness_stop(&servers[i]);
    return 0;
}

/* A gateway that knows the planted keys. */
static harness_process *start_gateway(const char *chain, const char *option, const char *value)
{
    const char *more[] = { "--public-key", PUBLIC_KEY, "--private-key", PRIVATE_KEY, "--token", TOKEN, "--instances",
        "20", option, value, NULL };
    size_t i;
    for (i = 0; servers[i].pid > 0; i++) assert_true(i + 1 < COUNT(servers));
    servers[i] = harness_gateway(chain, more);
    return &servers[i];
}

static void configure(harness_client *h, unsigned port)
{
    harness_configure(h, port);
    h->config.public_key = PUBLIC_KEY;
    h->config.private_key = PRIVATE_KEY;
    h->config.security_token = TOKEN;
}

static int count_instance(void *user, const compshare_instance *instance, compshare_value element)
{
    (void)instance;
    (void)element;
    ++*(unsigned *)user;
    return 0;
}

/* libc's getaddrinfo takes many times the client's stack. */
static int direct_fd;

static const compshare_transport *without_resolver(void)
{
    static compshare_transport io;
    if (io.open == NULL) io = loopback(&direct_fd);
    return &io;
}

/* ---- (a) no allocation ---- */

static void test_no_allocation(void **state)
{
    static harness_client h;
    static char text[1024];
    harness_process *gateway = start_gateway("rsa", "--instances", "1000");
    compshare_project project;
    compshare_instance instance;
    compshare_target target, nobody;
    compshare_param twice[2];
    unsigned seen = 0;
    unsigned long counted;
    void *volatile probe;
    int r[16], i = 0;
    size_t k;
    (void)state;

    heap_watch();
    heap.count = 0;
    heap.on = true;
    probe = malloc(10);
    free(probe);
    heap.on = false;
    assert_int_equal(heap.count, 2);        /* the counter counts */

    memset(&target, 0, sizeof target);
    target.uhost_id = "uhost-0001";
    target.zone = "cn-wlcb-01";
    nobody = target;
    nobody.uhost_id = "uhost-nobody";
    twice[0] = compshare_text("Password", PASSWORD);
    twice[1] = twice[0];
    configure(&h, gateway->port);
    heap.count = heap.resolved = 0;
    heap.on = true;
    r[i++] = compshare_open(&h.client, &h.config);
    r[i++] = compshare_get_project_list(h.client, &project, NULL, NULL);
    target.project_id = project.project_id;
    nobody.project_id = project.project_id;
    r[i++] = compshare_update_stop_scheduler(h.client, &target, (int64_t)time(NULL) + 7200);
    r[i++] = compshare_describe_instance(h.client, &target, &instance);
    r[i++] = compshare_each_instance(h.client, &target, count_instance, &seen);
    r[i++] = compshare_delete_stop_scheduler(h.client, &target);
    r[i++] = compshare_describe_instance(h.client, &nobody, &instance);
    (void)compshare_error_text(h.client, text, sizeof text);
    r[i++] = compshare_call(h.client, "RebootCompShareInstance", twice, 2);
    r[i++] = compshare_update_stop_scheduler(h.client, &target, (int64_t)time(NULL) + 10);
    r[i++] = compshare_call(h.client, "RebootCompShareInstance", NULL, 0);
    (void)compshare_error_text(h.client, text, sizeof text);
    compshare_close(h.client);
    h.config.ca_file = harness_cert("root-ec.pem");
    r[i++] = compshare_open(&h.client, &h.config);
    r[i++] = compshare_get_project_list(h.client, NULL, NULL, NULL);
    (void)compshare_error_text(h.client, text, sizeof text);
    compshare_close(h.client);
    h.config.ca_file = "/nonexistent";
    r[i++] = compshare_open(&h.client, &h.config);
    r[i++] = compshare_get_project_list(h.client, NULL, NULL, NULL);
    (void)compshare_error_text(h.client, text, sizeof text);
    compshare_close(h.client);
    heap.on = false;
    counted = heap.count;
    printf("# figure: malloc and free calls from compshare.h %lu\n", counted);

    for (k = 0; k < 6; k++) assert_int_equal(r[k], COMPSHARE_OK);
    assert_int_equal(seen, 1000);
    assert_int_equal(r[6], COMPSHARE_E_NOT_FOUND);
    assert_int_equal(r[7], COMPSHARE_E_PARAM);
    assert_int_equal(r[8], COMPSHARE_E_TOO_SOON);
    assert_int_equal(r[9], COMPSHARE_E_API);
    assert_int_equal(r[10], COMPSHARE_OK);
    assert_int_equal(r[11], COMPSHARE_E_CERTIFICATE);
    assert_int_equal(r[12], COMPSHARE_OK);
    assert_int_equal(r[13], COMPSHARE_E_TRUST);
    assert_true(heap.resolved >= 2);
    assert_int_equal(counted, 0);
}

/* ---- secrets ---- */

typedef struct secrets {
    char signature[48];
    unsigned char master[48], keys[40];     /* keys: of both directions, or their beginning */
    bool has_master, sha384;
    unsigned char randoms[64];
} secrets;

/* Whether `size` bytes in a row of a secret are in memory. */
static bool holds_piece(const unsigned char *memory, size_t len, const void *secret, size_t secret_len, size_t size)
{
    size_t i;
    for (i = 0; i + size <= secret_len; i++)
        if (memmem(memory, len, (const unsigned char *)secret + i, size) != NULL) return true;
    return false;
}

/* SHA-1 works on big-endian words: the same bytes with every four turned round,
   from each of the four alignments. */
static bool holds_turned(const unsigned char *memory, size_t len, const void *secret, size_t secret_len)
{
    unsigned char turned[128];
    size_t shift, i;
    for (shift = 0; shift < 4; shift++) {
        size_t n = (secret_len - shift) / 4 * 4;
        assert_true(n <= sizeof turned);
        for (i = 0; i < n; i++) turned[i] = ((const unsigned char *)secret)[shift + (i ^ 3)];
        for (i = 0; i + 8 <= n; i += 4)
            if (memmem(memory, len, turned + i, 8) != NULL) return true;
    }
    return false;
}

/* NULL, or what memory holds that it should not. */
static const char *leak(const unsigned char *memory, size_t len, const secrets *s)
{
    unsigned char digest[20];
    size_t i;
    if (holds_piece(memory, len, PRIVATE_KEY, sizeof PRIVATE_KEY - 1, 8)) return "the private key";
    if (holds_turned(memory, len, PRIVATE_KEY, sizeof PRIVATE_KEY - 1)) return "the private key, as SHA-1's words";
    if (holds_piece(memory, len, TOKEN, sizeof TOKEN - 1, 8)) return "the security token";
    if (holds_turned(memory, len, TOKEN, sizeof TOKEN - 1)) return "the security token, as SHA-1's words";
    if (s->signature[0] != '\0') {
        if (holds_piece(memory, len, s->signature, 40, 12)) return "the signature";
        for (i = 0; i < 20; i++) {
            char two[3] = { s->signature[2 * i], s->signature[2 * i + 1], '\0' };
            digest[i] = (unsigned char)strtoul(two, NULL, 16);
        }
        if (holds_piece(memory, len, digest, 20, 8)) return "the signature's hash";
        if (holds_turned(memory, len, digest, 20)) return "the hash state of the signature";
    }
    if (s->has_master && holds_piece(memory, len, s->master, 48, 16)) return "the TLS master secret";
    if (s->has_master && holds_piece(memory, len, s->keys, sizeof s->keys, 16)) return "TLS keys";
    return NULL;
}

static void take_signature(const harness_process *gateway, secrets *s)
{
    json_t *stats = harness_stats(gateway);
    const char *text = json_string_value(json_object_get(json_object_get(stats, "last_params"), "Signature"));
    assert_non_null(text);
    assert_int_equal(strlen(text), 40);
    snprintf(s->signature, sizeof s->signature, "%s", text);
    json_decref(stats);
}

static bool session_is_sha384(const compshare *client)
{
    int suite = client->connection.tls.client.eng.session.cipher_suite;
    return suite == BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 || suite == BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
}

static void take_master(const compshare *client, secrets *s)
{
    br_ssl_session_parameters session;
    br_ssl_engine_get_session_parameters(&client->connection.tls.client.eng, &session);
    memcpy(s->master, session.master_secret, sizeof s->master);
    s->has_master = true;
    compshare__bytes_wipe(&session, sizeof session);
    memcpy(s->randoms, client->connection.tls.client.eng.server_random, 32);
    memcpy(s->randoms + 32, client->connection.tls.client.eng.client_random, 32);
    s->sha384 = session_is_sha384(client);
}

/* The keys of the connection, RFC 5246 6.3; away from the stack that is searched. */
static void derive_keys(secrets *s)
{
    br_tls_prf_seed_chunk seed;
    seed.data = s->randoms;
    seed.len = sizeof s->randoms;
    (s->sha384 ? br_tls12_sha384_prf : br_tls12_sha256_prf)(s->keys, sizeof s->keys, s->master, sizeof s->master,
        "key expansion", 1, &seed);
}

/* ---- (b) stack ---- */

#define STACK_SIZE ((size_t)1 << 19)
#define PAINT 0xA7
#if defined(__x86_64__) && defined(__OPTIMIZE__)
#define WIPE_FRAME 64           /* of what wipes: its registers, and memset's */
#else
#define WIPE_FRAME 320
#endif
#if defined(__s390x__)
#define STACK_MOST 9216
#else
#define STACK_MOST 8192
#endif

typedef struct job {
    harness_client *h;
    const unsigned char *top;       /* the thread's first own frame */
    int deep;                       /* levels of 1 KB that compshare_call_start is called under */
    int status[8];
    secrets found;
} job;

/* The main job. time() and the callbacks are all that runs beside the client. */
static void *run_job(void *arg)
{
    job *j = (job *)arg;
    compshare_project project;
    compshare_instance instance;
    compshare_target target;
    j->top = (const unsigned char *)__builtin_frame_address(0);
    memset(&target, 0, sizeof target);
    target.uhost_id = "uhost-0001";
    target.zone = "cn-wlcb-01";
    j->status[0] = compshare_open(&j->h->client, &j->h->config);
    j->status[1] = compshare_get_project_list(j->h->client, &project, NULL, NULL);
    target.project_id = project.project_id;
    j->status[2] = compshare_describe_instance(j->h->client, &target, &instance);
    j->status[3] = compshare_update_stop_scheduler(j->h->client, &target, (int64_t)time(NULL) + 7200);
    j->status[4] = compshare_describe_instance(j->h->client, &target, &instance);
    take_master(j->h->client, &j->found);
    compshare_close(j->h->client);
    return NULL;
}

static int start_under(job *j, int levels)
{
    volatile unsigned char frame[1024];
    int r;
    frame[0] = (unsigned char)levels;
    r = levels > 0 ? start_under(j, levels - 1) : compshare_call_start(j->h->client, "GetProjectList", NULL, 0);
    frame[1] = (unsigned char)r;        /* no tail call */
    return r + (frame[0] - (unsigned char)levels);
}

/* The call starts far down the stack, all else happens near its top. */
static void *run_deep_job(void *arg)
{
    job *j = (job *)arg;
    int r;
    j->top = (const unsigned char *)__builtin_frame_address(0);
    j->status[0] = compshare_open(&j->h->client, &j->h->config);
    j->status[1] = start_under(j, j->deep);
    while ((r = compshare_step(j->h->client)) == COMPSHARE_PENDING)
        without_resolver()->wait(&direct_fd, compshare_wants(j->h->client), compshare_timeout_ms(j->h->client));
    j->status[2] = r;
    take_master(j->h->client, &j->found);
    compshare_close(j->h->client);
    return NULL;
}

/* The whole call happens far down the stack, opening and closing near its top. */
static int call_under(job *j, int levels)
{
    volatile unsigned char frame[1024];
    int r;
    frame[0] = (unsigned char)levels;
    r = levels > 0 ? call_under(j, levels - 1) : compshare_call(j->h->client, "GetProjectList", NULL, 0);
    frame[1] = (unsigned char)r;
    return r + (frame[0] - (unsigned char)levels);
}

static void *run_deep_call(void *arg)
{
    job *j = (job *)arg;
    j->top = (const unsigned char *)__builtin_frame_address(0);
    j->status[0] = compshare_open(&j->h->client, &j->h->config);
    j->status[1] = call_under(j, j->deep);
    take_master(j->h->client, &j->found);
    compshare_close(j->h->client);
    return NULL;
}

static unsigned char *new_stack(void)
{
    void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(stack != MAP_FAILED);
    return (unsigned char *)stack;
}

/* Runs a job on a painted stack; returns how much of it was used. */
static size_t run_painted(unsigned char *stack, void *(*function)(void *), job *j)
{
    pthread_attr_t attr;
    pthread_t thread;
    size_t low;
    memset(stack, PAINT, STACK_SIZE);
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstack(&attr, stack, STACK_SIZE), 0);
    assert_int_equal(pthread_create(&thread, &attr, function, j), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attr);
    for (low = 0; low < STACK_SIZE && stack[low] == PAINT; low++) {}
    return (size_t)(j->top - (stack + low));
}

/* 20 hexadecimal digits in a row, whoever's signature they are part of. */
static bool stack_has_hex(const unsigned char *stack)
{
    size_t i, run = 0;
    for (i = 0; i < STACK_SIZE && run < 20; i++)
        run = (stack[i] >= '0' && stack[i] <= '9') || (stack[i] >= 'a' && stack[i] <= 'f') ? run + 1 : 0;
    return run >= 20;
}

static size_t measure_stack(const char *chain)
{
    static harness_client h;
    harness_process *gateway = start_gateway(chain, NULL, NULL);
    unsigned char *stack = new_stack();
    size_t used = 0, i;
    int round;
    for (round = 0; round < 2; round++) {   /* first round: the dynamic linker binds what is called */
        const char *what;
        job j;
        memset(&j, 0, sizeof j);
        configure(&h, gateway->port);
        h.config.transport = without_resolver();
        j.h = &h;
        used = run_painted(stack, run_job, &j);
        for (i = 0; i < 5; i++)
            if (j.status[i] != COMPSHARE_OK)
                fail_msg("%s: step %u: %s", chain, (unsigned)i, compshare_status_name(j.status[i]));
        take_signature(gateway, &j.found);
        derive_keys(&j.found);
        what = leak(stack, STACK_SIZE, &j.found);
        if (what != NULL) fail_msg("%s: after compshare_close the stack holds %s", chain, what);
        if (stack_has_hex(stack))
            fail_msg("%s: after compshare_close the stack holds what looks like a signature", chain);
        what = leak(h.memory, sizeof h.memory, &j.found);
        if (what != NULL) fail_msg("%s: after compshare_close the block holds %s", chain, what);
    }
    munmap(stack, STACK_SIZE);
    harness_stop(gateway);
    return used;
}

static void test_stack(void **state)
{
    size_t rsa = measure_stack("rsa"), ec = measure_stack("ec");
    (void)state;
    printf("# figure: stack RSA %u bytes, EC %u bytes%s\n", (unsigned)rsa, (unsigned)ec, SANITIZED ? " (sanitized)"
        : "");
    if (SANITIZED) return;      /* its red zones are not the client's */
    assert_true(rsa < STACK_MOST);
    assert_true(ec < STACK_MOST);
}

/* Whether nothing deeper than the wipe goes was left: from the wipe's own frame at the
   bottom upwards there are zeros only. Starting a call and stepping it wipe from frames of
   different sizes: the frame of another wipe, which begins with the same return address, may
   stand once more above the deepest one. *at: where something else stands. */
static bool wiped_from_below(const unsigned char *stack, size_t *at)
{
    size_t low, i;
    bool second = false;
    for (low = 0; low < STACK_SIZE && stack[low] == PAINT; low++) {}
    for (i = low + WIPE_FRAME; i < low + 2368; i++) {
        *at = i - low;
        if (stack[i] == 0) continue;
        i -= (i - low) % sizeof(void *);    /* an address may begin with a zero */
        if (second || memcmp(stack + i, stack + low, sizeof(void *)) != 0) return false;
        second = true;
        i += WIPE_FRAME - 1;
    }
    return true;
}

/* On this machine the wipe goes as deep as a handshake does. */
static void test_stack_wiped_whole(void **state)
{
    static const char *const chains[] = { "rsa", "ec", "p384" };
    static harness_client h;
    unsigned char *stack = new_stack();
    size_t i, at;
    int round;
    (void)state;
    for (i = 0; i < 3 && !SANITIZED; i++) {
        harness_process *gateway = start_gateway(chains[i], NULL, NULL);
        for (round = 0; round < 2; round++) {
            job j;
            memset(&j, 0, sizeof j);
            configure(&h, gateway->port);
            h.config.transport = without_resolver();
            j.h = &h;
            j.deep = 4;
            (void)run_painted(stack, run_deep_call, &j);
            assert_int_equal(j.status[1], COMPSHARE_OK);
        }
        if (!wiped_from_below(stack, &at))
            fail_msg("%s: something is left %u bytes above the deepest one", chains[i], (unsigned)at);
        harness_stop(gateway);
    }
    munmap(stack, STACK_SIZE);
}

/* What a run so many levels down leaves on its stack; NULL: nothing. */
static const char *leak_of(void *(*run)(void *), int levels, int statuses, harness_process *gateway,
    unsigned char *stack)
{
    static harness_client h;
    job j;
    memset(&j, 0, sizeof j);
    configure(&h, gateway->port);
    h.config.transport = without_resolver();
    j.h = &h;
    j.deep = levels;
    (void)run_painted(stack, run, &j);
    while (statuses-- > 0) assert_int_equal(j.status[statuses], COMPSHARE_OK);
    take_signature(gateway, &j.found);
    derive_keys(&j.found);
    return leak(stack, STACK_SIZE, &j.found);
}

/* A call leaves nothing where it ran, before and without any compshare_close. */
static void test_stack_deep_call(void **state)
{
    harness_process *gateway = start_gateway("ec", NULL, NULL);
    unsigned char *stack = new_stack();
    int levels;
    (void)state;
    for (levels = 8; levels <= 32 && !SANITIZED; levels += 8) {
        const char *what = leak_of(run_deep_call, levels, 2, gateway, stack);
        if (what != NULL) fail_msg("called %d KB down: the stack holds %s", levels, what);
        if (stack_has_hex(stack)) fail_msg("called %d KB down: the stack holds what looks like a signature", levels);
    }
    munmap(stack, STACK_SIZE);
}

/* A call that is started far deeper than it is ended must not leave its signature
   state where no later wipe reaches. */
static void test_stack_deep_start(void **state)
{
    harness_process *gateway = start_gateway("rsa", NULL, NULL);
    unsigned char *stack = new_stack();
    int levels;
    (void)state;
    /* red zones shift the frames that a wipe is meant for */
    for (levels = 0; levels <= 32 && !SANITIZED; levels += 8) {
        const char *what = leak_of(run_deep_job, levels, 3, gateway, stack);
        if (what != NULL) fail_msg("started %d KB down: the stack holds %s after compshare_close", levels, what);
    }
    munmap(stack, STACK_SIZE);
}

/* The search finds what is there. */
static void test_search_works(void **state)
{
    static const char hex[] = "0123456789abcdef0123456789abcdef01234567";
    unsigned char memory[256];
    secrets s;
    size_t i;
    (void)state;
    memset(&s, 0, sizeof s);
    memcpy(s.signature, hex, sizeof hex);
    for (i = 0; i < 48; i++) s.master[i] = (unsigned char)(200 - i);
    for (i = 0; i < 40; i++) s.keys[i] = (unsigned char)(100 + i);
    s.has_master = true;
    memset(memory, 0, sizeof memory);
    assert_null(leak(memory, sizeof memory, &s));
    memcpy(memory + 3, &PRIVATE_KEY[9], 8);
    assert_string_equal(leak(memory, sizeof memory, &s), "the private key");
    memset(memory, 0, sizeof memory);
    for (i = 0; i < 16; i++) memory[i] = (unsigned char)PRIVATE_KEY[5 + (i ^ 3)];
    assert_string_equal(leak(memory, sizeof memory, &s), "the private key, as SHA-1's words");
    memset(memory, 0, sizeof memory);
    memcpy(memory + 200, TOKEN, 9);
    assert_string_equal(leak(memory, sizeof memory, &s), "the security token");
    memset(memory, 0, sizeof memory);
    memcpy(memory + 100, hex + 20, 15);
    assert_string_equal(leak(memory, sizeof memory, &s), "the signature");
    memset(memory, 0, sizeof memory);
    memcpy(memory + 100, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
    assert_string_equal(leak(memory, sizeof memory, &s), "the signature's hash");
    memset(memory, 0, sizeof memory);
    memcpy(memory + 100, "\x67\x45\x23\x01\xef\xcd\xab\x89", 8);
    assert_string_equal(leak(memory, sizeof memory, &s), "the hash state of the signature");
    memset(memory, 0, sizeof memory);
    memcpy(memory + 50, s.master + 20, 16);
    assert_string_equal(leak(memory, sizeof memory, &s), "the TLS master secret");
    memset(memory, 0, sizeof memory);
    memcpy(memory + 51, s.keys + 5, 16);
    assert_string_equal(leak(memory, sizeof memory, &s), "TLS keys");
}

/* ---- (c) memory ---- */

static void test_memory_figures(void **state)
{
    compshare_config small;
    size_t full = compshare_memory_needed(NULL), less;
    (void)state;
    memset(&small, 0, sizeof small);
    assert_int_equal(compshare_memory_needed(&small), full);
    small.flags = COMPSHARE_SMALL_RECORDS;
    less = compshare_memory_needed(&small);
    printf("# figure: memory %u bytes, with small records %u bytes, client %u bytes\n", (unsigned)full, (unsigned)less,
        (unsigned)sizeof(compshare));
    assert_true(full <= 40960);
    assert_true(less <= 28672);
    assert_true(full <= COMPSHARE_MEMORY);
}

/* The main job, and the widest instance held whole. */
static void run_in_block(harness_client *h)
{
    compshare_project project;
    compshare_instance instance;
    compshare_target target;
    compshare_param params[3];
    unsigned seen = 0;
    memset(&target, 0, sizeof target);
    target.uhost_id = "uhost-0001";
    target.zone = "cn-wlcb-01";
    harness_open(h);
    harness_expect(h, compshare_get_project_list(h->client, &project, NULL, NULL), COMPSHARE_OK);
    target.project_id = project.project_id;
    harness_expect(h, compshare_describe_instance(h->client, &target, &instance), COMPSHARE_OK);
    harness_expect(h, compshare_update_stop_scheduler(h->client, &target, (int64_t)time(NULL) + 7200), COMPSHARE_OK);
    harness_expect(h, compshare_describe_instance(h->client, &target, &instance), COMPSHARE_OK);
    assert_true(instance.stop_time > 0);
    params[0] = compshare_text("UHostIds.0", "uhost-0001");
    params[1] = compshare_text("ProjectId", project.project_id);
    params[2] = compshare_int("Limit", 1);
    harness_expect(h, compshare_call(h->client, "DescribeCompShareInstance", params, 3), COMPSHARE_OK);
    assert_int_equal(compshare_count(compshare_get(compshare_reply(h->client), "UHostSet")), 1);
    assert_true(compshare_body(h->client).len > 2500);
    target.uhost_id = NULL;
    harness_expect(h, compshare_each_instance(h->client, &target, count_instance, &seen), COMPSHARE_OK);
    assert_int_equal(seen, 20);         /* 54 KB: the largest records there are */
}

static void run_exact(unsigned flags, const char *option)
{
    static unsigned char arena[65536] __attribute__((aligned(16)));
    static harness_client h;
    harness_process *gateway = start_gateway("rsa", "--option", option);
    size_t offset, i, before = 64;
    for (offset = 0; offset < 16; offset++) {
        unsigned char *block = arena + before + offset;
        size_t size;
        char text[512];
        configure(&h, gateway->port);
        h.config.flags = flags;
        size = compshare_memory_needed(&h.config);
        assert_true(before + offset + size + 64 <= sizeof arena);
        memset(arena, 0xC3, sizeof arena);
        h.config.memory = block;
        h.config.memory_size = size;
        run_in_block(&h);
        harness_close(&h);
        for (i = 0; i < sizeof arena; i++) {
            bool outside = arena + i < block || arena + i >= block + size;
            if (outside && arena[i] != 0xC3)
                fail_msg("offset %u: byte %ld beside the block was written", (unsigned)offset,
                    (long)(arena + i - block));
            if (!outside && arena[i] != 0)
                fail_msg("offset %u: byte %ld of the block is not wiped", (unsigned)offset, (long)(arena + i - block));
        }
        h.config.memory_size = size - 1;
        memset(arena, 0xC3, sizeof arena);
        assert_int_equal(compshare_open(&h.client, &h.config), COMPSHARE_E_MEMORY);
        assert_null(h.client);
        assert_non_null(strstr(compshare_open_text(&h.config, text, sizeof text), "memory_size"));
        for (i = 0; i < sizeof arena; i++) assert_int_equal(arena[i], 0xC3);
    }
    harness_stop(gateway);
}

static void test_exact_memory(void **state)
{
    (void)state;
    run_exact(0, "pad_reply=0");
}

/* The gateway ignores the extension; with records that are small anyway it works. */
static void test_exact_memory_small_records(void **state)
{
    (void)state;
    run_exact(COMPSHARE_SMALL_RECORDS, "record_cap=4096");
}

/* ---- (d) nothing stays in the block ---- */

static void check_wiped(harness_client *h, const harness_process *gateway, const char *when)
{
    secrets s;
    const char *what;
    size_t i;
    memset(&s, 0, sizeof s);
    if (h->client->connection.open) take_master(h->client, &s);
    take_signature(gateway, &s);
    if (s.has_master) derive_keys(&s);
    assert_true(!s.has_master || leak(h->memory, sizeof h->memory, &s) != NULL);    /* it is there while it is open */
    compshare_close(h->client);
    h->client = NULL;
    what = leak(h->memory, sizeof h->memory, &s);
    if (what != NULL) fail_msg("%s: the block holds %s", when, what);
    for (i = 0; i < sizeof h->memory; i++)
        if (h->memory[i] != 0) fail_msg("%s: byte %u of the block is not wiped", when, (unsigned)i);
}

static void fill_and_open(harness_client *h, unsigned port)
{
    configure(h, port);
    memset(h->memory, 0xEE, sizeof h->memory);
    harness_open(h);
}

static void test_block_is_wiped(void **state)
{
    static harness_client h;
    harness_process *gateway = start_gateway("rsa", NULL, NULL);
    int r;
    (void)state;
    fill_and_open(&h, gateway->port);
    harness_expect(&h, compshare_get_project_list(h.client, NULL, NULL, NULL), COMPSHARE_OK);
    check_wiped(&h, gateway, "after success");

    fill_and_open(&h, gateway->port);
    harness_set(gateway, "truncate=1");
    assert_true(compshare_call(h.client, "GetProjectList", NULL, 0) < 0);
    check_wiped(&h, gateway, "after a failure");

    fill_and_open(&h, gateway->port);       /* in the middle of a call */
    harness_set(gateway, "delay_ms=300");
    assert_int_equal(compshare_call_start(h.client, "GetProjectList", NULL, 0), COMPSHARE_OK);
    while (h.client->exchange.phase != COMPSHARE__PHASE_RECEIVE) {
        r = compshare_step(h.client);
        assert_int_equal(r, COMPSHARE_PENDING);
        if (h.client->exchange.phase != COMPSHARE__PHASE_RECEIVE)
            h.client->connection.io.wait(h.client->connection.io.user, compshare_wants(h.client),
                compshare_timeout_ms(h.client));
    }
    check_wiped(&h, gateway, "in the middle of a call");
}

/* Between calls a client keeps its keys, by pointer, and no signed body. */
static void test_no_signature_between_calls(void **state)
{
    static harness_client h;
    harness_process *gateway = start_gateway("rsa", NULL, NULL);
    secrets s;
    (void)state;
    memset(&s, 0, sizeof s);
    fill_and_open(&h, gateway->port);
    harness_expect(&h, compshare_get_project_list(h.client, NULL, NULL, NULL), COMPSHARE_OK);
    take_signature(gateway, &s);
    if (holds_piece(h.memory, sizeof h.memory, s.signature, 40, 12))
        fail_msg("the signature stays in the block after the call");
    harness_close(&h);
}

/* ---- (e) nothing gets out ---- */

static char captured[1 << 18];
static size_t captured_len;

static void capture(const char *text)
{
    add_line(captured, sizeof captured, &captured_len, text);
}

static void capture_trace(void *user, const char *line)
{
    (void)user;
    capture(line);
}

/* Everything that a program could log after a call. */
static void capture_error(const harness_client *h, int status, const char *what)
{
    const compshare_error *e = compshare_last_error(h->client);
    char text[1024];
    if (e->status != status)
        fail_msg("%s: %s where %s was expected: %s", what, compshare_status_name(e->status),
            compshare_status_name(status),
        compshare_error_text(h->client, text, sizeof text));
    capture(compshare_error_text(h->client, text, sizeof text));
    capture(e->detail);
    capture(e->message);
    capture(e->request_id);
    capture(e->action);
}

static void prepare(harness_client *h, unsigned port)
{
    configure(h, port);
    h->config.zone = "cn-wlcb-01";
    h->config.project_id = "org-default";
    h->config.trace = capture_trace;
}

static int fail_roll(void *user, void *dst, size_t len)
{
    (void)user;
    memset(dst, 0, len);
    return -1;
}

static int stop_at_once(void *user, compshare_value element)
{
    (void)user;
    (void)element;
    return 1;
}

static void captured_must_lack(const char *what)
{
    const char *at = strstr(captured, what);
    if (at == NULL) return;
    while (at > captured && at[-1] != '\n') at--;
    fail_msg("\"%s\" got out: %.*s", what, (int)strcspn(at, "\n"), at);
}

static const compshare_param *planted_params(void)
{
    static compshare_param params[2];
    params[0] = compshare_text("Password", PASSWORD);
    params[1] = compshare_text("UHostId", "uhost-0001");
    return params;
}

static void capture_call(harness_client *h, int status, const char *what)
{
    harness_open(h);
    (void)compshare_call(h->client, "RebootCompShareInstance", planted_params(), 2);
    capture_error(h, status, what);
    harness_close(h);
}

/* Replies that tests/raw sends, and what becomes of them. */
#define ANSWER(head, body) "read-request\nsend \"" head "\\r\\n\\r\\n" body "\"\nclose\n"
static const struct { const char *script; int status; } answers[] = {
    { ANSWER("HTTP/1.1 200 OK\\r\\nContent-Type: application/json",
        "{\\\"RetCode\\\":0,\\\"Key\\\":\\\"" SECRET_REPLY "\\\""), COMPSHARE_E_JSON },
    { ANSWER("HTTP/1.1 200 OK\\r\\nContent-Type: application/json", "{\\\"Key\\\":\\\"" SECRET_REPLY "\\\"}"),
        COMPSHARE_E_REPLY },
    { ANSWER("HTTP/1.1 200 OK\\r\\nContent-Type: application/json", "[\\\"" SECRET_REPLY "\\\"]"), COMPSHARE_E_REPLY },
    { ANSWER("HTTP/1.1 200 OK\\r\\nContent-Type: application/json", SECRET_REPLY), COMPSHARE_E_JSON },
    { ANSWER("HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nSet-Cookie: a=" SECRET_REPLY,
        "{\\\"RetCode\\\":1,\\\"Key\\\":\\\"" SECRET_REPLY "\\\"}"), COMPSHARE_E_API },
    { ANSWER("HTTP/1.1 302 Found\\r\\nLocation: https://evil.example/" SECRET_REPLY, SECRET_REPLY),
        COMPSHARE_E_STATUS },
    { ANSWER("HTTP/1.1 200 OK\\r\\nContent-Length: " SECRET_REPLY, "x"), COMPSHARE_E_HTTP },
    { ANSWER(SECRET_REPLY, "x"), COMPSHARE_E_HTTP },
    { "send-raw \"" SECRET_REPLY "\"\nclose\n", COMPSHARE_E_TLS },
};

static void capture_answers(void)
{
    static harness_client h;
    const char *args[32];
    char paths[COUNT(answers)][64];
    size_t i;
    int n = 0;
    harness_process raw;
    args[n++] = harness_program("raw_server");
    args[n++] = "--cert";
    args[n++] = harness_cert("rsa-chain.pem");
    args[n++] = "--key";
    args[n++] = harness_cert("rsa-key.pem");
    args[n++] = "--log";
    args[n++] = "/dev/null";
    for (i = 0; i < COUNT(answers); i++) {
        FILE *f;
        snprintf(paths[i], sizeof paths[i], "/tmp/compshare-limits-%ld-%u", (long)getpid(), (unsigned)i);
        f = fopen(paths[i], "w");
        assert_non_null(f);
        fputs(answers[i].script, f);
        fclose(f);
        args[n++] = paths[i];
    }
    args[n] = NULL;
    raw = harness_serve(args);
    for (i = 0; i < COUNT(answers); i++) unlink(paths[i]);
    servers[COUNT(servers) - 1] = raw;
    prepare(&h, raw.port);
    harness_open(&h);
    for (i = 0; i < COUNT(answers); i++) {
        (void)compshare_call(h.client, "RebootCompShareInstance", planted_params(), 2);
        capture_error(&h, answers[i].status, answers[i].script);
    }
    harness_close(&h);
}

static void test_nothing_gets_out(void **state)
{
    static harness_client h;
    harness_process *gateway = start_gateway("rsa", NULL, NULL);
    compshare_param twice[2];
    char text[1024];
    const char *at;
    secrets s;
    (void)state;
    captured_len = 0;

    prepare(&h, gateway->port);             /* success */
    capture_call(&h, COMPSHARE_OK, "success");
    memset(&s, 0, sizeof s);
    take_signature(gateway, &s);

    harness_set(gateway, "fail_next=1");
    capture_call(&h, COMPSHARE_E_API, "RetCode");
    harness_set(gateway, "fail_next=1&fail_http=500");
    capture_call(&h, COMPSHARE_E_STATUS, "status 500");
    harness_reset(gateway);
    harness_set(gateway, "truncate=1");
    capture_call(&h, COMPSHARE_E_CLOSED, "truncated");
    harness_set(gateway, "drop_after=1");
    capture_call(&h, COMPSHARE_E_CLOSED, "dropped");
    harness_set(gateway, "pad_reply=70000");
    capture_call(&h, COMPSHARE_E_TOO_LARGE, "too large");
    harness_reset(gateway);

    prepare(&h, gateway->port);
    h.config.private_key = PRIVATE_KEY "x";
    capture_call(&h, COMPSHARE_E_API, "wrong private key");
    prepare(&h, gateway->port);
    h.config.security_token = TOKEN "x";
    capture_call(&h, COMPSHARE_E_API, "wrong token");
    prepare(&h, gateway->port);
    h.config.ca_file = harness_cert("root-ec.pem");
    capture_call(&h, COMPSHARE_E_CERTIFICATE, "other root");
    h.config.ca_file = harness_cert("no-such-file");
    capture_call(&h, COMPSHARE_E_TRUST, "no bundle");
    prepare(&h, gateway->port);
    h.clock.begin_unix = -(int64_t)time(NULL);
    capture_call(&h, COMPSHARE_E_CLOCK, "clock");
    prepare(&h, gateway->port);
    h.config.entropy = fail_roll;
    capture_call(&h, COMPSHARE_E_ENTROPY, "entropy");
    prepare(&h, gateway->port);
    h.config.base_url = "https://nowhere.invalid";
    capture_call(&h, COMPSHARE_E_RESOLVE, "resolve");
    prepare(&h, 1);
    capture_call(&h, COMPSHARE_E_CONNECT, "refused connection");
    prepare(&h, gateway->port);
    h.config.timeout_ms = 200;
    harness_set(gateway, "delay_ms=3000");
    capture_call(&h, COMPSHARE_E_TIMEOUT, "timeout");
    harness_reset(gateway);

    prepare(&h, gateway->port);
    harness_open(&h);
    twice[0] = twice[1] = planted_params()[0];
    (void)compshare_call(h.client, "RebootCompShareInstance", twice, 2);
    capture_error(&h, COMPSHARE_E_PARAM, "parameter twice");
    twice[0] = compshare_text("UHostId", PASSWORD " ");
    (void)compshare_call(h.client, "RebootCompShareInstance", twice, 1);
    capture_error(&h, COMPSHARE_E_PARAM, "parameter with a space");
    twice[0] = compshare_text("UHostId", "uhost-0001");
    (void)compshare_call_each(h.client, "DescribeCompShareInstance", NULL, 0, "UHostSet", stop_at_once, NULL);
    capture_error(&h, COMPSHARE_E_STOPPED, "stopped");
    (void)compshare_call_start(h.client, "RebootCompShareInstance", planted_params(), 2);
    (void)compshare_abort(h.client);
    capture_error(&h, COMPSHARE_E_ABORTED, "aborted");
    harness_close(&h);

    prepare(&h, gateway->port);             /* a key that is refused is not shown either */
    h.config.private_key = PRIVATE_KEY "\n";
    capture(compshare_open_text(&h.config, text, sizeof text));
    prepare(&h, gateway->port);
    h.config.security_token = TOKEN " ";
    capture(compshare_open_text(&h.config, text, sizeof text));
    capture_answers();

    assert_true(captured_len > 2000);
    assert_non_null(strstr(captured, "connect "));      /* there were trace lines */
    captured_must_lack(PUBLIC_KEY);
    captured_must_lack(PRIVATE_KEY);
    captured_must_lack("PLANTED");
    captured_must_lack("SecurityToken=");
    captured_must_lack("Signature=");
    captured_must_lack("PublicKey=");
    captured_must_lack("Action=");
    captured_must_lack(s.signature);
    for (at = captured; *at != '\0'; at++)
        if (strspn(at, "0123456789abcdef") >= 32) fail_msg("this looks like a signature: %.60s", at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search_works),
        cmocka_unit_test_teardown(test_no_allocation, stop_all),
        cmocka_unit_test_teardown(test_stack, stop_all),
        cmocka_unit_test_teardown(test_stack_wiped_whole, stop_all),
        cmocka_unit_test_teardown(test_stack_deep_call, stop_all),
        cmocka_unit_test_teardown(test_stack_deep_start, stop_all),
        cmocka_unit_test(test_memory_figures),
        cmocka_unit_test_teardown(test_exact_memory, stop_all),
        cmocka_unit_test_teardown(test_exact_memory_small_records, stop_all),
        cmocka_unit_test_teardown(test_block_is_wiped, stop_all),
        cmocka_unit_test_teardown(test_no_signature_between_calls, stop_all),
        cmocka_unit_test_teardown(test_nothing_gets_out, stop_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
