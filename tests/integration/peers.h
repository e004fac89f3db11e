/* Peers that others wrote (tinyproxy, nginx, `openssl s_server`), and a transport
   that looks at TLS from outside, plays a proxy, and keeps time. Include after
   compshare.h, with its implementation, harness.h, calls.h and wire.h. */
#ifndef PEERS_H
#define PEERS_H

#include <arpa/inet.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

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

static peer peer_new(void)
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

/* Its output goes into the file "out"; it dies with this program. */
static void peer_spawn(peer *p, const char *const *argv, int input)
{
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        int out = open(peer_path(p, "out"), O_WRONLY | O_CREAT | O_APPEND, 0600);
        int null = open("/dev/null", O_RDONLY);
#ifdef __linux__
        prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
        if (out < 0 || null < 0 || dup2(input >= 0 ? input : null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(126);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
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

static bool port_answers(bool v6, unsigned port)
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
static bool peer_listens(peer *p, bool v6)
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
static void peer_fail(peer *p, const char *what)
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
        snprintf(text, sizeof text, "Port %u\nListen %s\nTimeout 60\nMaxClients 20\nLogFile \"%s\"\nLogLevel Connect\n%s", p.port,
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

/* ---- nginx: TLS in front of a gateway without TLS ---- */

/* Its file "access" has a line for each request: "reused=r" or "reused=.", then the
   status. pid 0: not installed. */
static HARNESS_UNUSED peer peer_nginx(const char *chain, unsigned backend, const char *more)
{
    const char *program = peer_find("nginx");
    const char *argv[] = { NULL, "-c", NULL, NULL };
    char text[4096], *certs;
    peer p;
    int tries;
    memset(&p, 0, sizeof p);
    p.input = -1;
    if (program == NULL) return p;
    argv[0] = program;
    certs = realpath(harness_cert(""), NULL);       /* relative ones would start at the configuration */
    assert_non_null(certs);
    for (tries = 0; tries < 5; tries++) {
        p = peer_new();
        p.port = free_port(false);
        snprintf(text, sizeof text,
            "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log %s/out;\nevents { worker_connections 64; }\n"
            "http {\n"
            "log_format line 'reused=$ssl_session_reused $status';\naccess_log %s/access line;\n"
            "client_body_temp_path %s/t1;\nproxy_temp_path %s/t2;\nfastcgi_temp_path %s/t3;\nuwsgi_temp_path %s/t4;\nscgi_temp_path %s/t5;\n"
            "server {\nlisten 127.0.0.1:%u ssl;\nserver_name localhost;\n"
            "ssl_certificate %s/%s-chain.pem;\nssl_certificate_key %s/%s-key.pem;\nssl_protocols TLSv1.2 TLSv1.3;\n%s\n"
            "location / {\nproxy_pass http://127.0.0.1:%u;\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\n}\n}\n}\n",
            p.dir, p.dir, p.dir, p.dir, p.dir, p.dir, p.dir, p.dir, p.port, certs, chain, certs, chain,
            more != NULL ? more : "", backend);
        peer_write(&p, "conf", text);
        argv[2] = peer_path(&p, "conf");
        peer_spawn(&p, argv, -1);
        if (peer_listens(&p, false)) break;
        if (tries < 4) peer_stop(&p);
    }
    free(certs);
    if (tries < 5) return p;
    peer_fail(&p, "nginx");
    return p;
}

/* A gateway without TLS. */
static HARNESS_UNUSED harness_process plain_gateway(void)
{
    const char *args[3] = { NULL, "--plain", NULL };
    args[0] = harness_program("gateway");
    return harness_serve(args);
}

/* ---- openssl s_server ---- */

/* s_server takes the first certificate and the rest of a chain from two files. */
static void peer_write_intermediate(const peer *p)
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

/* Runs a started call, while s_server is given its reply once it has shown as many
   requests as `nth` says. */
static HARNESS_UNUSED int peer_answer(peer *p, harness_client *h, int started, int nth, const char *reply, size_t len)
{
    int r = started, rounds;
    bool answered = false;
    if (r != COMPSHARE_OK) return r;
    for (rounds = 0; (r = compshare_step(h->client)) == COMPSHARE_PENDING; rounds++) {
        struct pollfd pfd;
        assert_true(rounds < 10000);
        pfd.fd = compshare_fd(h->client);
        pfd.events = (short)((compshare_wants(h->client) & COMPSHARE_READ ? POLLIN : 0) | (compshare_wants(h->client) & COMPSHARE_WRITE ? POLLOUT : 0));
        pfd.revents = 0;
        if (compshare_timeout_ms(h->client) > 0) poll(&pfd, 1, 5);
        if (answered || peer_count(p, "out", "Signature=") < nth) continue;
        assert_true(write(p->input, reply, len) == (ssize_t)len);
        answered = true;
    }
    return r;
}

/* ---- a transport that looks, plays a proxy, and keeps time ---- */

enum { TAP_STALL, TAP_END, TAP_ERROR };     /* what comes behind the proxy's answer, where no tunnel does */

typedef struct tap {
    compshare_transport io;         /* for config.transport */
    compshare_transport inner;
    compshare__posix posix;
    harness_client *h;
    char host[256];                 /* what open was asked for last */
    unsigned port;
    int opens, closes, open_now;
    unsigned real_port;             /* not 0: connect there, whatever is asked for */
    /* failures to connect */
    int refuse, refuse_status;      /* so many times; -1: always */
    /* the proxy, played: `answer` once the head is there, then the tunnel */
    const char *answer;
    size_t answer_len, answer_at;
    bool tunnel;                    /* false: it goes on as `behind` says */
    int behind;
    size_t piece, send_piece;       /* at most so many bytes at a time; 0: no limit */
    unsigned full_every, sendings;  /* every so many sendings there is no room; 0: always some */
    char head[4096];                /* what the client asked it */
    size_t head_len;
    bool head_done, too_early;      /* something came before the answer was read */
    /* TLS from outside, of the current connection */
    unsigned char hello[1024];      /* the client's first bytes */
    size_t hello_len;
    unsigned char header[2][5];     /* of the current record: sent, received */
    size_t header_len[2], body_left[2], largest[2], moved[2];
    /* time */
    const wire *until;              /* wait: time passes once the log of this server */
    const char *mark;               /*   holds this, and nothing more comes */
    uint32_t pauses[64];            /* what wait was asked to sleep */
    int pause_count;
    bool in_pause;
    uint64_t passed;                /* milliseconds that it made pass */
    void (*on_pause)(struct tap *t);
} tap;

/* A clock that stands still, but for what waits pass, and for this much at every look. */
static uint64_t tap_tick_ms;

static uint64_t tap_monotonic_ms(void *user)
{
    return 1000 + (((harness_client *)user)->mono_offset += tap_tick_ms);
}

/* Follows the records of one direction: 0 sent, 1 received. */
static void tap_look(tap *t, int way, const unsigned char *src, size_t len)
{
    size_t i, n;
    t->moved[way] += len;
    if (way == 0)
        for (i = 0; i < len && t->hello_len < sizeof t->hello; i++) t->hello[t->hello_len++] = src[i];
    while (len > 0) {
        if (t->body_left[way] > 0) {
            n = len < t->body_left[way] ? len : t->body_left[way];
            t->body_left[way] -= n;
            src += n;
            len -= n;
            continue;
        }
        t->header[way][t->header_len[way]++] = *src++;
        len--;
        if (t->header_len[way] < 5) continue;
        t->header_len[way] = 0;
        t->body_left[way] = (size_t)t->header[way][3] << 8 | t->header[way][4];
        if (t->body_left[way] > t->largest[way]) t->largest[way] = t->body_left[way];
    }
}

/* Bytes of the session id in the last ClientHello: 0, none was offered. */
static HARNESS_UNUSED unsigned tap_offered(const tap *t)
{
    assert_true(t->hello_len > 44 && t->hello[0] == 0x16 && t->hello[5] == 1);
    return t->hello[43];
}

/* max_fragment_length in the last ClientHello, RFC 6066 4: its code, 0 if absent. */
static HARNESS_UNUSED unsigned tap_fragment_code(const tap *t)
{
    size_t at = 44, end;
    at += t->hello[43];
    at += 2 + ((size_t)t->hello[at] << 8 | t->hello[at + 1]);       /* cipher suites */
    at += 1 + (size_t)t->hello[at];                                 /* compression */
    end = at + 2 + ((size_t)t->hello[at] << 8 | t->hello[at + 1]);
    assert_true(end <= t->hello_len);
    for (at += 2; at + 4 <= end; at += 4 + ((size_t)t->hello[at + 2] << 8 | t->hello[at + 3]))
        if (t->hello[at] == 0 && t->hello[at + 1] == 1) return t->hello[at + 4];
    return 0;
}

static int tap_open(void *user, const char *host, uint16_t port)
{
    tap *t = (tap *)user;
    int r = COMPSHARE_OK;
    snprintf(t->host, sizeof t->host, "%s", host);
    t->port = port;
    t->in_pause = false;
    if (t->refuse != 0) {
        if (t->refuse > 0) t->refuse--;
        t->opens++;
        return t->refuse_status;
    }
    if (t->answer == NULL || t->tunnel)
        r = t->inner.open(t->inner.user, t->real_port != 0 ? "localhost" : host, t->real_port != 0 ? (uint16_t)t->real_port : port);
    if (r == COMPSHARE_WANT_READ || r == COMPSHARE_WANT_WRITE) return r;
    t->opens++;         /* failed ones too: a server's reset may come before its accept is seen */
    if (r != COMPSHARE_OK) return r;
    t->open_now++;
    t->answer_at = t->head_len = t->hello_len = 0;
    t->head_done = false;
    memset(t->header_len, 0, sizeof t->header_len);
    memset(t->body_left, 0, sizeof t->body_left);
    memset(t->largest, 0, sizeof t->largest);
    memset(t->moved, 0, sizeof t->moved);
    return r;
}

static ptrdiff_t tap_send(void *user, const void *src, size_t len)
{
    tap *t = (tap *)user;
    const char *bytes = (const char *)src;
    ptrdiff_t n;
    assert_true(t->open_now == 1 && len > 0 && src != NULL);
    t->in_pause = false;
    if (t->full_every != 0 && ++t->sendings % t->full_every == 0) return COMPSHARE_WANT_WRITE;
    if (t->send_piece != 0 && len > t->send_piece) len = t->send_piece;
    if (t->answer != NULL && !t->head_done) {
        size_t i;
        for (i = 0; i < len && !t->head_done; i++) {
            assert_true(t->head_len + 1 < sizeof t->head);
            t->head[t->head_len++] = bytes[i];
            t->head[t->head_len] = '\0';
            t->head_done = t->head_len >= 4 && memcmp(t->head + t->head_len - 4, "\r\n\r\n", 4) == 0;
        }
        if (i < len) t->too_early = true;
        return (ptrdiff_t)i;
    }
    if (t->answer != NULL && t->answer_at < t->answer_len) t->too_early = true;
    n = t->answer == NULL || t->tunnel ? t->inner.send(t->inner.user, src, len) : (ptrdiff_t)len;
    if (n > 0) tap_look(t, 0, (const unsigned char *)src, (size_t)n);
    return n;
}

static ptrdiff_t tap_recv(void *user, void *dst, size_t cap)
{
    tap *t = (tap *)user;
    ptrdiff_t n;
    assert_true(t->open_now == 1 && cap > 0 && dst != NULL);
    t->in_pause = false;
    if (t->piece != 0 && cap > t->piece) cap = t->piece;
    if (t->answer != NULL && t->answer_at < t->answer_len) {
        if (!t->head_done) return COMPSHARE_WANT_READ;
        if (cap > t->answer_len - t->answer_at) cap = t->answer_len - t->answer_at;
        memcpy(dst, t->answer + t->answer_at, cap);
        t->answer_at += cap;
        return (ptrdiff_t)cap;
    }
    if (t->answer != NULL && !t->tunnel) {
        if (!t->head_done) return COMPSHARE_WANT_READ;
        return t->behind == TAP_END ? 0 : t->behind == TAP_ERROR ? COMPSHARE_E_IO : COMPSHARE_WANT_READ;
    }
    n = t->inner.recv(t->inner.user, dst, cap);
    if (n > 0) tap_look(t, 1, (const unsigned char *)dst, (size_t)n);
    return n;
}

static void tap_pass(tap *t, uint64_t ms)
{
    t->h->mono_offset += ms;
    t->passed += ms;
}

/* Nobody ever sleeps: a pause is over at once, and the clocks say so. */
static int tap_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    tap *t = (tap *)user;
    int tries;
    if (want == 0) {
        if (!t->in_pause) {
            assert_true(t->pause_count < (int)COUNT(t->pauses));
            t->pauses[t->pause_count++] = 0;
        }
        t->in_pause = true;
        t->pauses[t->pause_count - 1] += timeout_ms;
        tap_pass(t, timeout_ms);
        if (t->on_pause != NULL) t->on_pause(t);
        return COMPSHARE_OK;
    }
    if (t->answer != NULL && !t->tunnel) {      /* nothing will come that is not there */
        if ((want & COMPSHARE_WRITE) == 0 && (t->answer_at == t->answer_len || !t->head_done)) tap_pass(t, timeout_ms);
        return COMPSHARE_OK;
    }
    if (t->mark == NULL) {
        struct pollfd pfd;
        pfd.fd = t->posix.fd;
        pfd.events = (short)((want & COMPSHARE_READ ? POLLIN : 0) | (want & COMPSHARE_WRITE ? POLLOUT : 0));
        pfd.revents = 0;
        if (t->answer != NULL && t->answer_at < t->answer_len) return COMPSHARE_OK;
        if (poll(&pfd, 1, 5000) == 0) tap_pass(t, timeout_ms);      /* it hangs, and must not for ever */
        return COMPSHARE_OK;
    }
    for (tries = 0; tries < 2000; tries++) {
        struct pollfd pfd;
        pfd.fd = t->posix.fd;
        pfd.events = (short)((want & COMPSHARE_READ ? POLLIN : 0) | (want & COMPSHARE_WRITE ? POLLOUT : 0));
        pfd.revents = 0;
        if (poll(&pfd, 1, 15) > 0) return COMPSHARE_OK;
        if (wire_count(t->until, t->mark) == 0) continue;
        if (poll(&pfd, 1, 25) == 0) tap_pass(t, timeout_ms);
        return COMPSHARE_OK;
    }
    fail_msg("raw_server never came to \"%s\"", t->mark);
    return COMPSHARE_E_IO;
}

static void tap_close(void *user)
{
    tap *t = (tap *)user;
    if (t->open_now > 0) t->open_now--;
    t->closes++;
    t->inner.close(t->inner.user);
}

static int tap_fd(void *user)
{
    tap *t = (tap *)user;
    return t->inner.fd(t->inner.user);
}

/* Puts a tap between the sockets and the client, which is not open yet. */
static HARNESS_UNUSED void tap_insert(tap *t, harness_client *h, bool hold_clock)
{
    memset(t, 0, sizeof *t);
    tap_tick_ms = 0;
    if (hold_clock) h->config.monotonic_ms = tap_monotonic_ms;
    compshare__posix_init(&t->posix, &t->inner);
    t->posix.monotonic_ms = h->config.monotonic_ms;
    t->posix.user = h;
    t->posix.deadline = UINT64_MAX;
    t->h = h;
    t->io.user = t;
    t->io.open = tap_open;
    t->io.send = tap_send;
    t->io.recv = tap_recv;
    t->io.wait = tap_wait;
    t->io.close = tap_close;
    t->io.fd = tap_fd;
    h->config.transport = &t->io;
}

/* Runs a started call to its end in steps; pauses pass as in tap_wait. */
static HARNESS_UNUSED int tap_step_to_the_end(tap *t, int started)
{
    int r = started;
    if (r != COMPSHARE_OK) return r;
    while ((r = compshare_step(t->h->client)) == COMPSHARE_PENDING) {
        unsigned want = compshare_wants(t->h->client);
        uint32_t timeout = compshare_timeout_ms(t->h->client);
        if (timeout == 0) continue;
        if (want == 0) assert_int_equal(compshare_fd(t->h->client), -1);
        assert_int_equal(tap_wait(t, want, timeout), COMPSHARE_OK);
    }
    return r;
}

#endif
