/* Scripts for raw_server, and a transport between a client and its sockets that
   tests can disturb. Include after compshare.h, with its implementation, and
   harness.h. */
#ifndef WIRE_H
#define WIRE_H

#include <errno.h>

/* ---- raw_server ---- */

typedef struct wire {
    harness_process server;
    char log[64];
} wire;

static void wire_name(char *buf, size_t cap, const char *what)
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

/* ---- a transport that tests can disturb ---- */

typedef struct shim {
    compshare_transport io;         /* for config.transport */
    compshare_transport inner;      /* the default one */
    compshare__posix posix;
    harness_client *h;
    int opens, closes, sends, recvs, waits, open_now;
    size_t taken, given;            /* bytes in each direction */
    size_t send_cap, recv_cap;      /* at most so many bytes at a time; 0: no limit */
    bool stutter;                   /* would-block on every second call */
    bool crossed, crossing;         /* every second send waits until it can read: it does not, in truth */
    bool restless;                  /* wait returns at once, as after a signal */
    int open_status;                /* not 0: what open answers */
    int open_late;                  /* so many WANTs before it goes on */
    size_t send_fail_at, recv_fail_at;      /* E_IO after so many bytes; 0: never */
    size_t send_full_at;            /* no room for more than so many bytes; 0: always */
    bool send_lies, recv_lies;      /* answers with more than was asked for */
    ptrdiff_t recv_answer;          /* not 0: recv answers this */
    bool wait_fails;
    const wire *until;              /* wait: time passes once the log of this server */
    const char *mark;               /*   holds this, and nothing more comes */
    uint64_t tick_ms;               /* wait: injected time that passes at every return */
} shim;

static int shim_open(void *user, const char *host, uint16_t port)
{
    shim *s = (shim *)user;
    if (s->open_status != 0) return s->open_status;
    if (s->open_late > 0) return s->open_late-- % 2 != 0 ? COMPSHARE_WANT_WRITE : COMPSHARE_WANT_READ;
    {
        int r = s->inner.open(s->inner.user, host, port);
        if (r == COMPSHARE_OK) { s->opens++; s->open_now++; }
        return r;
    }
}

static ptrdiff_t shim_send(void *user, const void *src, size_t len)
{
    shim *s = (shim *)user;
    ptrdiff_t n;
    assert_true(s->open_now == 1 && len > 0 && src != NULL);
    s->sends++;
    if (s->stutter && s->sends % 2 == 1) return COMPSHARE_WANT_WRITE;
    s->crossing = s->crossed && s->sends % 2 == 1;
    if (s->crossing) return COMPSHARE_WANT_READ;
    if (s->send_fail_at != 0 && s->taken >= s->send_fail_at) return COMPSHARE_E_IO;
    if (s->send_full_at != 0 && s->taken >= s->send_full_at) return COMPSHARE_WANT_WRITE;
    if (s->send_lies) return (ptrdiff_t)len + 1;
    if (s->send_cap != 0 && len > s->send_cap) len = s->send_cap;
    n = s->inner.send(s->inner.user, src, len);
    if (n > 0) s->taken += (size_t)n;
    return n;
}

static ptrdiff_t shim_recv(void *user, void *dst, size_t cap)
{
    shim *s = (shim *)user;
    ptrdiff_t n;
    assert_true(s->open_now == 1 && cap > 0 && dst != NULL);
    s->recvs++;
    if (s->recv_answer != 0) return s->recv_answer;
    if (s->stutter && s->recvs % 2 == 1) return COMPSHARE_WANT_READ;
    if (s->recv_fail_at != 0 && s->given >= s->recv_fail_at) return COMPSHARE_E_IO;
    if (s->recv_lies) return (ptrdiff_t)cap + 1;
    if (s->recv_cap != 0 && cap > s->recv_cap) cap = s->recv_cap;
    n = s->inner.recv(s->inner.user, dst, cap);
    if (n > 0) s->given += (size_t)n;
    return n;
}

/* Real time passes only while the peer still has something to do; then the
   injected clock jumps to where the client said it would look again. */
static int shim_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    shim *s = (shim *)user;
    int tries;
    s->waits++;
    if (s->wait_fails) return COMPSHARE_E_IO;
    s->h->mono_offset += s->tick_ms;
    if (s->crossing) return COMPSHARE_OK;
    if (s->restless && s->waits % 2 == 1) return COMPSHARE_OK;
    if (s->mark == NULL && s->posix.fd < 0) return COMPSHARE_OK;     /* open is only pretended */
    if (s->mark == NULL) return s->inner.wait(s->inner.user, want, timeout_ms < 5000 ? timeout_ms : 5000);
    for (tries = 0; tries < 2000; tries++) {
        struct pollfd pfd;
        pfd.fd = want != 0 ? s->posix.fd : -1;
        pfd.events = (short)((want & COMPSHARE_READ ? POLLIN : 0) | (want & COMPSHARE_WRITE ? POLLOUT : 0));
        pfd.revents = 0;
        if (poll(&pfd, 1, 15) > 0) return COMPSHARE_OK;
        if (s->mark[0] == '\0' || wire_count(s->until, s->mark) > 0) {
            if (poll(&pfd, 1, 25) > 0) return COMPSHARE_OK;
            s->h->mono_offset += timeout_ms;
            return COMPSHARE_OK;
        }
    }
    fail_msg("raw_server never came to \"%s\"", s->mark);
    return COMPSHARE_E_IO;
}

static void shim_close(void *user)
{
    shim *s = (shim *)user;
    if (s->open_now > 0) s->open_now--;
    s->closes++;
    s->inner.close(s->inner.user);
}

static int shim_fd(void *user)
{
    shim *s = (shim *)user;
    return s->inner.fd(s->inner.user);
}

/* Puts a shim between the sockets and the client, which is not open yet. */
static HARNESS_UNUSED void shim_insert(shim *s, harness_client *h)
{
    memset(s, 0, sizeof *s);
    compshare__posix_init(&s->posix, &s->inner);
    s->posix.monotonic_ms = harness_monotonic_ms;
    s->posix.user = h;
    s->posix.deadline = UINT64_MAX;
    s->h = h;
    s->io.user = s;
    s->io.open = shim_open;
    s->io.send = shim_send;
    s->io.recv = shim_recv;
    s->io.wait = shim_wait;
    s->io.close = shim_close;
    s->io.fd = shim_fd;
    h->config.transport = &s->io;
}

/* ---- steps ---- */

/* What an event loop does between two steps. */
static HARNESS_UNUSED void step_wait(compshare *client)
{
    struct pollfd pfd;
    unsigned want = compshare_wants(client);
    uint32_t timeout = compshare_timeout_ms(client);
    pfd.fd = want != 0 ? compshare_fd(client) : -1;
    pfd.events = (short)((want & COMPSHARE_READ ? POLLIN : 0) | (want & COMPSHARE_WRITE ? POLLOUT : 0));
    pfd.revents = 0;
    if (timeout == 0) return;
    assert_true(pfd.fd >= 0);
    assert_true(poll(&pfd, 1, timeout < 5000 ? (int)timeout : 5000) >= 0 || errno == EINTR);
}

/* Runs a started call to its end. */
static HARNESS_UNUSED int step_to_the_end(compshare *client, int started)
{
    int r = started;
    if (r != COMPSHARE_OK) return r;
    while ((r = compshare_step(client)) == COMPSHARE_PENDING) step_wait(client);
    return r;
}

#endif
