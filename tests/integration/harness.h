/* What the integration tests share: processes on loopback, the gateway's control
   endpoint, clients with injected clocks. Include compshare.h first. */
#ifndef HARNESS_H
#define HARNESS_H

#include <assert.h>
#include <jansson.h>
#include <curl/curl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define HARNESS_PUBLIC_KEY "ucloudsomeone@example.com1296235120854146120"
#define HARNESS_PRIVATE_KEY "46f09bb9fab4f12dfc160dae12273d5332b5debe"
#define HARNESS_QUERY 20000     /* longest query of the control endpoint; libmicrohttpd takes 32 KB */
#define HARNESS_UNUSED __attribute__((unused))

/* Directories come from the runner; the defaults suit `make test`. */
static const char *harness_dir(const char *variable, const char *fallback)
{
    const char *dir = getenv(variable);
    return dir != NULL ? dir : fallback;
}

static const char *harness_path(char *buf, size_t cap, const char *dir, const char *name)
{
    int n = snprintf(buf, cap, "%s/%s", dir, name);
    assert_true(n > 0 && (size_t)n < cap);
    return buf;
}

/* A file made by tests/scripts/certs.sh. */
static HARNESS_UNUSED const char *harness_cert(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    return harness_path(paths[next++ % 8], sizeof paths[0], harness_dir("COMPSHARE_TEST_CERTS", "build/tests/certs"), name);
}

/* A program built for the tests: "gateway", "raw_server". */
static HARNESS_UNUSED const char *harness_program(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    return harness_path(paths[next++ % 4], sizeof paths[0], harness_dir("COMPSHARE_TEST_BIN", "build/tests"), name);
}

static HARNESS_UNUSED void harness_sleep_ms(long ms)
{
    struct timespec t;
    t.tv_sec = ms / 1000;
    t.tv_nsec = ms % 1000 * 1000000;
    nanosleep(&t, NULL);
}

/* ---- processes ---- */

typedef struct harness_process {
    pid_t pid;
    unsigned port, control;
    char port_file[64];
} harness_process;

static HARNESS_UNUSED pid_t harness_spawn(const char *const *argv)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        fprintf(stderr, "cannot run %s\n", argv[0]);
        _exit(127);
    }
    return pid;
}

static HARNESS_UNUSED void harness_stop(harness_process *p)
{
    if (p->pid > 0) {
        kill(p->pid, SIGTERM);
        waitpid(p->pid, NULL, 0);
    }
    if (p->port_file[0] != '\0') unlink(p->port_file);
    memset(p, 0, sizeof *p);
}

static unsigned harness_number_in(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? (unsigned)strtoul(at + strlen(name), NULL, 10) : 0;
}

/* Starts a server that writes its ports into the file named after --port-file. */
static HARNESS_UNUSED harness_process harness_serve(const char *const *args)
{
    static unsigned serial;
    const char *argv[64];
    harness_process p;
    int argc = 0, tries;
    memset(&p, 0, sizeof p);
    snprintf(p.port_file, sizeof p.port_file, "/tmp/compshare-test-%ld-%u", (long)getpid(), serial++);
    unlink(p.port_file);
    argv[argc++] = args[0];
    argv[argc++] = "--port-file";
    argv[argc++] = p.port_file;
    for (args++; *args != NULL && argc < 63; args++) argv[argc++] = *args;
    argv[argc] = NULL;
    p.pid = harness_spawn(argv);
    for (tries = 0; tries < 1000 && p.port == 0; tries++) {
        char text[128] = "";
        FILE *f = fopen(p.port_file, "r");
        if (f != NULL) {
            size_t n = fread(text, 1, sizeof text - 1, f);
            text[n] = '\0';
            fclose(f);
            p.port = harness_number_in(text, "port=");
            p.control = harness_number_in(text, "control=");
        } else {
            assert_int_equal(waitpid(p.pid, NULL, WNOHANG), 0);
            harness_sleep_ms(10);
        }
    }
    assert_true(p.port != 0);
    return p;
}

/* The gateway with the chain `chain` ("rsa" or "ec") and further arguments,
   up to a NULL; NULL for none. */
static HARNESS_UNUSED harness_process harness_gateway(const char *chain, const char *const *more)
{
    const char *args[48];
    char cert[64], key[64];
    int n = 0;
    snprintf(cert, sizeof cert, "%s-chain.pem", chain);
    snprintf(key, sizeof key, "%s-key.pem", chain);
    args[n++] = harness_program("gateway");
    args[n++] = "--cert";
    args[n++] = harness_cert(cert);
    args[n++] = "--key";
    args[n++] = harness_cert(key);
    for (; more != NULL && *more != NULL && n < 47; more++) args[n++] = *more;
    args[n] = NULL;
    return harness_serve(args);
}

/* ---- control endpoint ---- */

typedef struct harness_text { char *ptr; size_t len; } harness_text;

static size_t harness_collect(char *src, size_t size, size_t count, void *user)
{
    harness_text *t = (harness_text *)user;
    size_t n = size * count;
    char *grown = (char *)realloc(t->ptr, t->len + n + 1);
    if (grown == NULL) return 0;
    memcpy(grown + t->len, src, n);
    t->ptr = grown;
    t->len += n;
    t->ptr[t->len] = '\0';
    return n;
}

/* GET on the control port; the caller frees the text. */
static HARNESS_UNUSED char *harness_control(const harness_process *g, const char *path)
{
    char url[HARNESS_QUERY + 64];
    long status = 0;
    int n;
    harness_text t = { NULL, 0 };
    CURL *curl = curl_easy_init();
    assert_non_null(curl);
    n = snprintf(url, sizeof url, "http://127.0.0.1:%u%s", g->control, path);
    assert_true(n > 0 && (size_t)n < sizeof url);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, harness_collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &t);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (status != 200) fail_msg("control %s: %ld %s", path, status, t.ptr != NULL ? t.ptr : "");
    return t.ptr;
}

/* Options of the gateway: "name=value&name=value". */
static HARNESS_UNUSED void harness_set(const harness_process *g, const char *query)
{
    char path[HARNESS_QUERY];
    int n = snprintf(path, sizeof path, "/set?%s", query);
    assert_true(n > 0 && (size_t)n < sizeof path);
    free(harness_control(g, path));
}

static HARNESS_UNUSED void harness_reset(const harness_process *g)
{
    free(harness_control(g, "/reset"));
}

/* The statistics; the caller json_decref()s them. */
static HARNESS_UNUSED json_t *harness_stats(const harness_process *g)
{
    char *text = harness_control(g, "/stats");
    json_t *stats = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(stats);
    return stats;
}

static HARNESS_UNUSED json_int_t harness_count(const harness_process *g, const char *name)
{
    json_t *stats = harness_stats(g);
    json_int_t n = json_integer_value(json_object_get(stats, name));
    json_decref(stats);
    return n;
}

/* How often an action was executed (RetCode 0), or received ("requests_by_action"). */
static HARNESS_UNUSED json_int_t harness_count_action(const harness_process *g, const char *table, const char *action)
{
    json_t *stats = harness_stats(g);
    json_int_t n = json_integer_value(json_object_get(json_object_get(stats, table), action));
    json_decref(stats);
    return n;
}

static HARNESS_UNUSED json_int_t harness_schedule(const harness_process *g, const char *uhost_id)
{
    json_t *stats = harness_stats(g);
    json_int_t n = json_integer_value(json_object_get(json_object_get(json_object_get(stats, "instances"), uhost_id), "schedule"));
    json_decref(stats);
    return n;
}

/* ---- clients ---- */

/* A client under test: its memory, and clocks that a test may move. */
typedef struct harness_client {
    compshare_config config;
    compshare *client;
    char base_url[64];
    int64_t clock_offset;       /* added to the real time */
    uint64_t mono_offset;       /* added to the real monotonic clock, ms */
    unsigned char memory[COMPSHARE_MEMORY];
} harness_client;

static int64_t harness_unix_time(void *user)
{
    return (int64_t)time(NULL) + ((harness_client *)user)->clock_offset;
}

static uint64_t harness_monotonic_ms(void *user)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u + ((harness_client *)user)->mono_offset;
}

/* Fills the configuration; change it as needed, then call harness_open. */
static HARNESS_UNUSED void harness_configure(harness_client *h, unsigned port)
{
    memset(h, 0, sizeof *h);
    snprintf(h->base_url, sizeof h->base_url, "https://localhost:%u", port);
    h->config.memory = h->memory;
    h->config.memory_size = sizeof h->memory;
    h->config.public_key = HARNESS_PUBLIC_KEY;
    h->config.private_key = HARNESS_PRIVATE_KEY;
    h->config.region = "cn-wlcb";
    h->config.base_url = h->base_url;
    h->config.ca_file = harness_cert("roots.pem");
    h->config.unix_time = harness_unix_time;
    h->config.monotonic_ms = harness_monotonic_ms;
    h->config.user = h;
}

static HARNESS_UNUSED void harness_open(harness_client *h)
{
    char text[512];
    int r = compshare_open(&h->client, &h->config);
    if (r != COMPSHARE_OK) fail_msg("compshare_open: %s", compshare_open_text(&h->config, text, sizeof text));
}

static HARNESS_UNUSED void harness_close(harness_client *h)
{
    compshare_close(h->client);
    h->client = NULL;
}

/* Fails the test with the client's own words unless the status is the expected one. */
#define harness_expect(h, status, expected) harness_expect_at(h, status, expected, __FILE__, __LINE__)
static HARNESS_UNUSED void harness_expect_at(const harness_client *h, int status, int expected, const char *file, int line)
{
    char text[1024];
    if (status == expected) return;
    fail_msg("%s:%d: %s where %s was expected: %s", file, line, compshare_status_name(status), compshare_status_name(expected),
        compshare_error_text(h->client, text, sizeof text));
}

#endif
