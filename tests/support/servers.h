/* Every server that a test talks to: the gateway and its control endpoint, raw_server
   with its scripts, and peers that others wrote (tinyproxy, nginx, `openssl s_server`,
   stunnel, haproxy). Include compshare.h, with its implementation, first. */
#ifndef TESTS_SERVERS_H
#define TESTS_SERVERS_H

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define HARNESS_QUERY 20000     /* longest query of the control endpoint; libmicrohttpd takes 32 KB */
#define HARNESS_UNUSED __attribute__((unused))

/* Directories come from the runner; the defaults suit `make test`. */
static HARNESS_UNUSED const char *harness_dir(const char *variable, const char *fallback)
{
    const char *dir = getenv(variable);
    return dir != NULL ? dir : fallback;
}

static HARNESS_UNUSED const char *harness_path(char *buf, size_t cap, const char *dir, const char *name)
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
    return harness_path(paths[next++ % 8], sizeof paths[0], harness_dir("COMPSHARE_TEST_CERTS", "build/tests/certs"),
        name);
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

/* poll() for one descriptor, in the words of config.transport. */
static HARNESS_UNUSED int poll_for(int fd, unsigned want, int timeout_ms)
{
    struct pollfd p;
    p.fd = want != 0 ? fd : -1;
    p.events = (short)((want & COMPSHARE_READ ? POLLIN : 0) | (want & COMPSHARE_WRITE ? POLLOUT : 0));
    p.revents = 0;
    return poll(&p, 1, timeout_ms);
}

/* ---- processes ---- */

typedef struct harness_process {
    pid_t pid;
    unsigned port, control;
    char port_file[64];
} harness_process;

/* Starts a program that ends with this one. output: the file that all it says is added to,
   and input what it reads then, -1: nothing; NULL: both are ours. */
static HARNESS_UNUSED pid_t harness_spawn(const char *const *argv, int input, const char *output)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int in = input, out = -1;
        if (output != NULL && in < 0) in = open("/dev/null", O_RDONLY);
        if (output != NULL) out = open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);
#ifdef __linux__
        prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
        if (output != NULL && (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)) _exit(126);
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

static HARNESS_UNUSED unsigned harness_number_in(const char *text, const char *name)
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
    p.pid = harness_spawn(argv, -1, NULL);
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

/* A gateway without TLS. */
static HARNESS_UNUSED harness_process plain_gateway(void)
{
    const char *args[3] = { NULL, "--plain", NULL };
    args[0] = harness_program("gateway");
    return harness_serve(args);
}

/* ---- control endpoint ---- */

typedef struct harness_text { char *ptr; size_t len; } harness_text;

static HARNESS_UNUSED size_t harness_collect(char *src, size_t size, size_t count, void *user)
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

/* GET on the control port, over a connection of curl's; the caller frees the text. */
static HARNESS_UNUSED char *harness_fetch(CURL *curl, const harness_process *g, const char *path)
{
    char url[HARNESS_QUERY + 64];
    long status = 0;
    int n = snprintf(url, sizeof url, "http://127.0.0.1:%u%s", g->control, path);
    harness_text t = { NULL, 0 };
    assert_true(n > 0 && (size_t)n < sizeof url);
    assert_non_null(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, harness_collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &t);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) fail_msg("control %s: %ld %s", path, status, t.ptr != NULL ? t.ptr : "");
    return t.ptr;
}

/* GET on the control port over a connection of its own; the caller frees the text. */
static HARNESS_UNUSED char *harness_control(const harness_process *g, const char *path)
{
    CURL *curl = curl_easy_init();
    char *text = harness_fetch(curl, g, path);
    curl_easy_cleanup(curl);
    return text;
}

/* The same over one connection that is kept, for tests that ask thousands of times. */
static HARNESS_UNUSED char *harness_control_kept(const harness_process *g, const char *path)
{
    static CURL *curl;
    if (curl == NULL) curl = curl_easy_init();
    return harness_fetch(curl, g, path);
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
    json_int_t n = json_integer_value(json_object_get(json_object_get(json_object_get(stats, "instances"), uhost_id),
        "schedule"));
    json_decref(stats);
    return n;
}

/* ---- raw_server ---- */

typedef struct wire {
    harness_process server;
    char log[64];
} wire;

static HARNESS_UNUSED void wire_name(char *buf, size_t cap, const char *what)
{
    static unsigned serial;
    snprintf(buf, cap, "/tmp/compshare-wire-%ld-%s-%u", (long)getpid(), what, serial++);
}

/* raw_server with one script per connection, up to a NULL (at most 8); its
   scripts are texts. mode: "rsa", "ec" or "plain". */
static HARNESS_UNUSED wire wire_serve(const char *mode, const char *const *scripts)
{
    wire w;
    const char *args[32];
    char names[8][64], cert[64], key[64];
    int n = 0, count = 0, i;
    memset(&w, 0, sizeof w);
    wire_name(w.log, sizeof w.log, "log");
    unlink(w.log);      /* of an earlier process of this number */
    args[n++] = harness_program("raw_server");
    if (strcmp(mode, "plain") == 0) {
        args[n++] = "--plain";
    } else {
        snprintf(cert, sizeof cert, "%s-chain.pem", mode);
        snprintf(key, sizeof key, "%s-key.pem", mode);
        args[n++] = "--cert";
        args[n++] = harness_cert(cert);
        args[n++] = "--key";
        args[n++] = harness_cert(key);
    }
    args[n++] = "--log";
    args[n++] = w.log;
    for (; scripts[count] != NULL; count++) {
        FILE *f;
        assert_true(count < 8);
        wire_name(names[count], sizeof names[0], "script");
        f = fopen(names[count], "w");
        assert_non_null(f);
        assert_true(fputs(scripts[count], f) >= 0);
        assert_int_equal(fclose(f), 0);
        args[n++] = names[count];
    }
    args[n] = NULL;
    w.server = harness_serve(args);     /* by now it has read them */
    for (i = 0; i < count; i++) unlink(names[i]);
    return w;
}

/* One script, then connections that all follow another. */
static HARNESS_UNUSED wire wire_serve_then(const char *mode, const char *script, const char *then)
{
    const char *scripts[3];
    scripts[0] = script;
    scripts[1] = then;
    scripts[2] = NULL;
    return wire_serve(mode, scripts);
}

static HARNESS_UNUSED void wire_stop(wire *w)
{
    harness_stop(&w->server);
    if (w->log[0] != '\0') unlink(w->log);
    w->log[0] = '\0';
}

/* How many lines of the log hold this text. */
static HARNESS_UNUSED int wire_count(const wire *w, const char *text)
{
    char line[512];
    int n = 0;
    FILE *f = fopen(w->log, "r");
    if (f == NULL) return 0;
    while (fgets(line, sizeof line, f) != NULL)
        if (strstr(line, text) != NULL) n++;
    fclose(f);
    return n;
}

/* Waits for a line of the log; it comes soon unless something is broken. */
static HARNESS_UNUSED void wire_await(const wire *w, const char *text)
{
    int tries;
    for (tries = 0; tries < 2000; tries++) {
        if (wire_count(w, text) > 0) return;
        harness_sleep_ms(5);
    }
    fail_msg("\"%s\" is not in the log of raw_server", text);
}

/* ---- processes with a directory of their own ---- */

typedef struct peer {
    pid_t pid;
    unsigned port;
    int input;              /* what s_server is to say; -1: none */
    char dir[64], log[96];
} peer;

static HARNESS_UNUSED const char *peer_path(const peer *p, const char *name)
{
    static char paths[8][160];
    static unsigned next;
    return harness_path(paths[next++ % 8], sizeof paths[0], p->dir, name);
}

/* A program on the PATH or where servers are; NULL if it is not installed. */
static HARNESS_UNUSED const char *peer_find(const char *name)
{
    static char path[512];
    const char *dirs = getenv("PATH");
    char all[4096], *dir;
    snprintf(all, sizeof all, "%s:/usr/sbin:/usr/local/sbin", dirs != NULL ? dirs : "/usr/bin");
    for (dir = strtok(all, ":"); dir != NULL; dir = strtok(NULL, ":")) {
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (access(path, X_OK) == 0) return path;
    }
    print_message("%s is not installed: skipped\n", name);
    return NULL;
}

static HARNESS_UNUSED peer peer_new(void)
{
    peer p;
    memset(&p, 0, sizeof p);
    p.input = -1;
    snprintf(p.dir, sizeof p.dir, "/tmp/compshare-peer-XXXXXX");
    assert_non_null(mkdtemp(p.dir));
    snprintf(p.log, sizeof p.log, "%s/log", p.dir);
    return p;
}

static HARNESS_UNUSED void peer_write(const peer *p, const char *name, const char *text)
{
    FILE *f = fopen(peer_path(p, name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Its output goes into the file "out". */
static HARNESS_UNUSED void peer_spawn(peer *p, const char *const *argv, int input)
{
    p->pid = harness_spawn(argv, input, peer_path(p, "out"));
}

static HARNESS_UNUSED void peer_stop(peer *p)
{
    char command[96];
    if (p->input >= 0) close(p->input);
    if (p->pid > 0) {
        kill(p->pid, SIGTERM);
        waitpid(p->pid, NULL, 0);
    }
    if (strncmp(p->dir, "/tmp/compshare-peer-", 20) == 0) {
        snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
        assert_int_equal(system(command), 0);
    }
    memset(p, 0, sizeof *p);
    p->input = -1;
}

/* How many lines of one of its files hold this text. */
static HARNESS_UNUSED int peer_count(const peer *p, const char *name, const char *text)
{
    char line[2048];
    int n = 0;
    FILE *f = fopen(peer_path(p, name), "r");
    if (f == NULL) return 0;
    while (fgets(line, sizeof line, f) != NULL)
        if (strstr(line, text) != NULL) n++;
    fclose(f);
    return n;
}

/* A log may come a moment later than the reply. */
static HARNESS_UNUSED void peer_await(const peer *p, const char *name, const char *text, int want)
{
    int tries, n = 0;
    for (tries = 0; tries < 1000; tries++) {
        if ((n = peer_count(p, name, text)) >= want) break;
        harness_sleep_ms(5);
    }
    if (n != want) fail_msg("\"%s\" is in %d lines of %s, not in %d", text, n, name, want);
}

/* A socket that listens at a port nobody has, on 127.0.0.1, or ::1 if `v6`; the port
   stays the test's own while the socket is open. -1: no such address here. */
static HARNESS_UNUSED int loopback_listen(bool v6, unsigned *port)
{
    compshare__posix_address a;
    socklen_t len = v6 ? sizeof a.v6 : sizeof a.v4;
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    memset(&a, 0, sizeof a);
    if (v6) {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_addr = in6addr_loopback;
    } else {
        a.v4.sin_family = AF_INET;
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    if (bind(fd, &a.any, len) != 0 || listen(fd, 8) != 0 || getsockname(fd, &a.any, &len) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(v6 ? a.v6.sin6_port : a.v4.sin_port);
    return fd;
}

/* A port where nobody listens. 0: no such address here. */
static HARNESS_UNUSED unsigned free_port(bool v6)
{
    unsigned port = 0;
    int fd = loopback_listen(v6, &port);
    if (fd >= 0) close(fd);
    return port;
}

static HARNESS_UNUSED bool port_answers(bool v6, unsigned port)
{
    compshare__posix_address a;
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes;
    memset(&a, 0, sizeof a);
    if (v6) {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_addr = in6addr_loopback;
        a.v6.sin6_port = htons((uint16_t)port);
    } else {
        a.v4.sin_family = AF_INET;
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        a.v4.sin_port = htons((uint16_t)port);
    }
    yes = fd >= 0 && connect(fd, &a.any, v6 ? sizeof a.v6 : sizeof a.v4) == 0;
    if (fd >= 0) close(fd);
    return yes;
}

/* Waits until it listens; false: it has ended (the port was taken in between). */
static HARNESS_UNUSED bool peer_listens(peer *p, bool v6)
{
    int tries;
    for (tries = 0; tries < 1000; tries++) {
        if (port_answers(v6, p->port)) return true;
        if (waitpid(p->pid, NULL, WNOHANG) != 0) {
            p->pid = 0;
            return false;
        }
        harness_sleep_ms(10);
    }
    return false;
}

/* Says what it said, where that is the only explanation there is. */
static HARNESS_UNUSED void peer_fail(peer *p, const char *what)
{
    char text[1024] = "";
    FILE *f = fopen(peer_path(p, "out"), "r");
    if (f != NULL) {
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        fclose(f);
    }
    peer_stop(p);
    fail_msg("%s does not start: %s", what, text);
}

/* ---- tinyproxy ---- */

/* `more` are further lines of its configuration. pid 0: not installed, or no IPv6. */
static HARNESS_UNUSED peer peer_tinyproxy(bool v6, const char *more)
{
    const char *program = peer_find("tinyproxy");
    const char *argv[] = { NULL, "-d", "-c", NULL, NULL };
    char text[1024];
    peer p;
    int tries;
    memset(&p, 0, sizeof p);
    p.input = -1;
    if (program == NULL) return p;
    argv[0] = program;
    for (tries = 0; tries < 5; tries++) {
        p = peer_new();
        if ((p.port = free_port(v6)) == 0) {
            peer_stop(&p);
            return p;
        }
        snprintf(text, sizeof text, "Port %u\nListen %s\nTimeout 60\nMaxClients 20\nLogFile \"%s\"\nLogLevel "
            "Connect\n%s", p.port,
            v6 ? "::1" : "127.0.0.1", p.log, more != NULL ? more : "");
        peer_write(&p, "conf", text);
        argv[3] = peer_path(&p, "conf");
        peer_spawn(&p, argv, -1);
        if (peer_listens(&p, v6)) return p;
        if (tries < 4) peer_stop(&p);
    }
    peer_fail(&p, "tinyproxy");
    return p;
}

/* ---- openssl s_server ---- */

/* s_server takes the first certificate and the rest of a chain from two files. */
static HARNESS_UNUSED void peer_write_intermediate(const peer *p)
{
    static char text[65536];
    const char *second;
    FILE *f = fopen(harness_cert("rsa-chain.pem"), "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    second = strstr(text + 1, "-----BEGIN");
    assert_non_null(second);
    peer_write(p, "intermediate", second);
}

/* Serves `connections` of them with the RSA chain; options are divided by spaces. */
static HARNESS_UNUSED peer peer_openssl(const char *connections, const char *options)
{
    const char *argv[40] = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept" };
    char words[256], line[512], *word;
    int argc = 5, pipes[2], tries;
    peer p = peer_new();
    snprintf(words, sizeof words, "%s", options);
    peer_write_intermediate(&p);
    argv[argc++] = connections;
    argv[argc++] = "-cert";
    argv[argc++] = harness_cert("rsa-chain.pem");
    argv[argc++] = "-cert_chain";
    argv[argc++] = peer_path(&p, "intermediate");
    argv[argc++] = "-key";
    argv[argc++] = harness_cert("rsa-key.pem");
    for (word = strtok(words, " "); word != NULL && argc < 39; word = strtok(NULL, " ")) argv[argc++] = word;
    argv[argc] = NULL;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    p.input = pipes[1];
    peer_spawn(&p, argv, pipes[0]);
    close(pipes[0]);
    for (tries = 0; tries < 1000 && p.port == 0; tries++) {
        FILE *f = fopen(peer_path(&p, "out"), "r");
        while (f != NULL && fgets(line, sizeof line, f) != NULL)
            if (sscanf(line, "ACCEPT 127.0.0.1:%u\n", &p.port) == 1) break;
        if (f != NULL) fclose(f);
        if (p.port == 0 && waitpid(p.pid, NULL, WNOHANG) != 0) {
            p.pid = 0;
            peer_fail(&p, "s_server");
        }
        if (p.port == 0) harness_sleep_ms(5);
    }
    assert_true(p.port != 0);
    return p;
}

/* ---- peers that can be started again ---- */

/* How a peer is run: it may have to be started again with the same configuration. */
typedef struct launch {
    peer p;
    const char *const *options;     /* what stands before its configuration file */
    char program[128];
} launch;

static HARNESS_UNUSED bool launch_spawn(launch *l)
{
    const char *argv[8], *const *option;
    int n = 0;
    argv[n++] = l->program;
    for (option = l->options; *option != NULL && n < 6; option++) argv[n++] = *option;
    argv[n++] = peer_path(&l->p, "conf");
    argv[n] = NULL;
    peer_spawn(&l->p, argv, -1);
    return peer_listens(&l->p, false);
}

static HARNESS_UNUSED void launch_stop(launch *l)
{
    if (l->p.pid != 0 || l->p.dir[0] != '\0') peer_stop(&l->p);
}

/* Ends it and starts it anew, at the same port. */
static HARNESS_UNUSED void launch_again(launch *l)
{
    kill(l->p.pid, SIGTERM);
    waitpid(l->p.pid, NULL, 0);
    if (!launch_spawn(l)) peer_fail(&l->p, l->program);
}

/* Changes a word of its configuration, wherever that stands. */
static HARNESS_UNUSED void launch_change(const launch *l, const char *from, const char *to)
{
    static char text[8192], changed[8192];
    char *at = text, *hit;
    FILE *f = fopen(peer_path(&l->p, "conf"), "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    assert_non_null(strstr(text, from));
    changed[0] = '\0';
    while ((hit = strstr(at, from)) != NULL) {
        *hit = '\0';
        assert_true(strlen(changed) + strlen(at) + strlen(to) + 1 < sizeof changed);
        strcat(strcat(changed, at), to);
        at = hit + strlen(from);
    }
    assert_true(strlen(changed) + strlen(at) + 1 < sizeof changed);
    strcat(changed, at);
    peer_write(&l->p, "conf", changed);
}

/* Starts it at a port of its own, with what `write_conf` writes into the file "conf". */
static HARNESS_UNUSED launch launch_new(const char *name, const char *const *options, const char *chain,
    unsigned backend,
    void (*write_conf)(const peer *p, const char *certs, const char *chain, unsigned backend,
        const char *more), const char *more)
{
    launch l;
    int tries;
    const char *program = peer_find(name);
    char *certs;
    memset(&l, 0, sizeof l);
    l.p.input = -1;
    if (program == NULL) return l;
    snprintf(l.program, sizeof l.program, "%s", program);
    l.options = options;
    certs = realpath(harness_cert(""), NULL);
    assert_non_null(certs);
    for (tries = 0; tries < 5; tries++) {
        l.p = peer_new();
        l.p.port = free_port(false);
        write_conf(&l.p, certs, chain, backend, more != NULL ? more : "");
        if (launch_spawn(&l)) break;
        if (tries < 4) peer_stop(&l.p);
    }
    free(certs);
    if (tries == 5) peer_fail(&l.p, name);
    return l;
}

static HARNESS_UNUSED void nginx_conf(const peer *p, const char *certs, const char *chain, unsigned backend,
    const char *more)
{
    char text[4096];
    snprintf(text, sizeof text,
        "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log %s/out;\nevents { worker_connections 64; }\n"
        "http {\n"
        "log_format line 'reused=$ssl_session_reused $status';\naccess_log %s/access line;\n"
        "client_body_temp_path %s/t1;\nproxy_temp_path %s/t2;\nfastcgi_temp_path %s/t3;\n"
        "uwsgi_temp_path %s/t4;\nscgi_temp_path %s/t5;\n"
        "server {\nlisten 127.0.0.1:%u ssl;\nserver_name localhost;\n"
        "ssl_certificate %s/%s-chain.pem;\nssl_certificate_key %s/%s-key.pem;\n"
        "ssl_protocols TLSv1.2 TLSv1.3;\n%s\n"
        "location / {\nproxy_pass http://127.0.0.1:%u;\nproxy_http_version 1.1;\n"
        "proxy_set_header Connection \"\";\n}\n}\n}\n",
        p->dir, p->dir, p->dir, p->dir, p->dir, p->dir, p->dir, p->dir, p->port, certs, chain, certs, chain, more,
            backend);
    peer_write(p, "conf", text);
}

/* pid 0: not installed. Its file "access" has a line for each request: "reused=r" or
   "reused=.", then the status. `more` are further lines of its server. */
static HARNESS_UNUSED launch launch_nginx(const char *chain, unsigned backend, const char *more)
{
    static const char *const options[] = { "-c", NULL };
    return launch_new("nginx", options, chain, backend, nginx_conf, more);
}

static HARNESS_UNUSED peer peer_nginx(const char *chain, unsigned backend, const char *more)
{
    return launch_nginx(chain, backend, more).p;
}

static HARNESS_UNUSED void stunnel_conf(const peer *p, const char *certs, const char *chain, unsigned backend,
    const char *more)
{
    char text[2048];
    snprintf(text, sizeof text,
        "foreground = yes\nsyslog = no\ndebug = 5\npid = %s/pid\n"
        "[gate]\naccept = 127.0.0.1:%u\nconnect = 127.0.0.1:%u\ncert = %s/%s-chain.pem\nkey = %s/%s-key.pem\noptions "
            "= NO_TICKET\nTIMEOUTclose = 0\n%s\n",
        p->dir, p->port, backend, certs, chain, certs, chain, more);
    peer_write(p, "conf", text);
}

/* pid 0: not installed. `more` are further lines of its service. */
static HARNESS_UNUSED launch launch_stunnel(const char *chain, unsigned backend, const char *more)
{
    static const char *const options[] = { NULL };
    return launch_new("stunnel", options, chain, backend, stunnel_conf, more);
}

static HARNESS_UNUSED void haproxy_conf(const peer *p, const char *certs, const char *chain, unsigned backend,
    const char *more)
{
    char text[2048], command[1024];
    snprintf(command, sizeof command, "cat '%s/%s-chain.pem' '%s/%s-key.pem' >'%s/both.pem'", certs, chain, certs,
        chain, p->dir);
    assert_int_equal(system(command), 0);
    snprintf(text, sizeof text,
        "global\nmaxconn 50\ntune.ssl.cachesize 1000\n"
        "defaults\nmode http\ntimeout connect 5s\ntimeout client 10s\ntimeout server 10s\ntimeout http-keep-alive 10s\n"
        "frontend gate\nbind 127.0.0.1:%u ssl crt %s/both.pem no-tls-tickets ssl-min-ver TLSv1.2 %s\ndefault_backend "
            "api\n"
        "backend api\nserver api 127.0.0.1:%u\n", p->port, p->dir, more, backend);
    peer_write(p, "conf", text);
}

/* pid 0: not installed. `more` are further words of its bind line. */
static HARNESS_UNUSED launch launch_haproxy(const char *chain, unsigned backend, const char *more)
{
    static const char *const options[] = { "-db", "-f", NULL };
    return launch_new("haproxy", options, chain, backend, haproxy_conf, more);
}

#endif
