/* The one transport of tests over a network: it stands between a client and its sockets,
   counts, and disturbs. Two behaviours share it: shim_ breaks what it carries, tap_ looks
   at TLS from outside, plays a proxy and keeps time. A test may put functions of its own
   in the place of some. Include after compshare.h, with its implementation, and harness.h.
   memory.h has the transport without a network. */
#ifndef TESTS_TRANSPORT_H
#define TESTS_TRANSPORT_H

/* What comes behind the proxy's answer, where no tunnel does. */
enum { TAP_STALL, TAP_END, TAP_ERROR };

typedef struct shim {
    compshare_transport io;         /* for config.transport */
    compshare_transport inner;      /* what it stands before: the default one */
    compshare__posix posix;
    harness_client *h;
    int opens, closes, sends, recvs, waits, open_now;
    size_t taken, given;            /* bytes in each direction */
    const wire *until;              /* wait: time passes once the log of this server */
    const char *mark;               /*   holds this, and nothing more comes */

    /* shim_: what it breaks */
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
    uint64_t tick_ms;               /* wait: injected time that passes at every return */

    /* tap_: failures to connect */
    char host[256];                 /* what open was asked for last */
    unsigned port;
    unsigned real_port;             /* not 0: connect there, whatever is asked for */
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
    uint32_t pauses[64];            /* what wait was asked to sleep */
    int pause_count;
    bool in_pause;
    uint64_t passed;                /* milliseconds that it made pass */
    void (*on_pause)(struct shim *t);
} shim;

static HARNESS_UNUSED int shim_open(void *user, const char *host, uint16_t port)
{
    shim *s = (shim *)user;
    int r;
    if (s->open_status != 0) return s->open_status;
    if (s->open_late > 0) return s->open_late-- % 2 != 0 ? COMPSHARE_WANT_WRITE : COMPSHARE_WANT_READ;
    r = s->inner.open(s->inner.user, host, port);
    if (r == COMPSHARE_OK) {
        s->opens++;
        s->open_now++;
    }
    return r;
}

static HARNESS_UNUSED ptrdiff_t shim_send(void *user, const void *src, size_t len)
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

static HARNESS_UNUSED ptrdiff_t shim_recv(void *user, void *dst, size_t cap)
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

/* Waits, in real time, until the server has written `mark` and has nothing more to say:
   true, nothing came. */
static HARNESS_UNUSED bool shim_silence(shim *s, unsigned want)
{
    int tries;
    for (tries = 0; tries < 2000; tries++) {
        if (poll_for(s->posix.fd, want, 15) > 0) return false;
        if (s->mark[0] == '\0' || wire_count(s->until, s->mark) > 0) return poll_for(s->posix.fd, want, 25) <= 0;
    }
    fail_msg("raw_server never came to \"%s\"", s->mark);
    return true;
}

/* Real time passes only while the peer still has something to do; then the
   injected clock jumps to where the client said it would look again. */
static HARNESS_UNUSED int shim_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    shim *s = (shim *)user;
    s->waits++;
    if (s->wait_fails) return COMPSHARE_E_IO;
    s->h->clock.ms += s->tick_ms;
    if (s->crossing) return COMPSHARE_OK;
    if (s->restless && s->waits % 2 == 1) return COMPSHARE_OK;
    if (s->mark == NULL && s->posix.fd < 0) return COMPSHARE_OK;     /* open is only pretended */
    if (s->mark == NULL) return s->inner.wait(s->inner.user, want, timeout_ms < 5000 ? timeout_ms : 5000);
    if (shim_silence(s, want)) s->h->clock.ms += timeout_ms;
    return COMPSHARE_OK;
}

static HARNESS_UNUSED void shim_close(void *user)
{
    shim *s = (shim *)user;
    if (s->open_now > 0) s->open_now--;
    s->closes++;
    s->inner.close(s->inner.user);
}

static HARNESS_UNUSED int shim_fd(void *user)
{
    shim *s = (shim *)user;
    return s->inner.fd(s->inner.user);
}

/* Puts a shim between the sockets and the client, which is not open yet. */
static HARNESS_UNUSED void shim_insert(shim *s, harness_client *h)
{
    memset(s, 0, sizeof *s);
    compshare__posix_init(&s->posix, &s->inner);
    s->posix.monotonic_ms = fake_clock_monotonic_ms;
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

/* ---- one that looks, plays a proxy, and keeps time ---- */

/* Follows the records of one direction: 0 sent, 1 received. */
static HARNESS_UNUSED void tap_look(shim *t, int way, const unsigned char *src, size_t len)
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
static HARNESS_UNUSED unsigned tap_offered(const shim *t)
{
    assert_true(t->hello_len > 44 && t->hello[0] == 0x16 && t->hello[5] == 1);
    return t->hello[43];
}

/* max_fragment_length in the last ClientHello, RFC 6066 4: its code, 0 if absent. */
static HARNESS_UNUSED unsigned tap_fragment_code(const shim *t)
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

static HARNESS_UNUSED int tap_open(void *user, const char *host, uint16_t port)
{
    shim *t = (shim *)user;
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
        r = t->inner.open(t->inner.user, t->real_port != 0 ? "localhost" : host, t->real_port != 0
            ? (uint16_t)t->real_port : port);
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

static HARNESS_UNUSED ptrdiff_t tap_send(void *user, const void *src, size_t len)
{
    shim *t = (shim *)user;
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

static HARNESS_UNUSED ptrdiff_t tap_recv(void *user, void *dst, size_t cap)
{
    shim *t = (shim *)user;
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

static HARNESS_UNUSED void tap_pass(shim *t, uint64_t ms)
{
    t->h->clock.ms += ms;
    t->passed += ms;
}

/* Notes a pause; the parts of one that was ended early are added up. */
static HARNESS_UNUSED void tap_pause(shim *t, uint32_t timeout_ms)
{
    if (!t->in_pause) {
        assert_true(t->pause_count < (int)COUNT(t->pauses));
        t->pauses[t->pause_count++] = 0;
    }
    t->in_pause = true;
    t->pauses[t->pause_count - 1] += timeout_ms;
    tap_pass(t, timeout_ms);
    if (t->on_pause != NULL) t->on_pause(t);
}

/* Nobody ever sleeps: a pause is over at once, and the clocks say so. */
static HARNESS_UNUSED int tap_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    shim *t = (shim *)user;
    if (want == 0) {
        tap_pause(t, timeout_ms);
    } else if (t->answer != NULL && !t->tunnel) {       /* nothing will come that is not there */
        if ((want & COMPSHARE_WRITE) == 0 && (t->answer_at == t->answer_len || !t->head_done)) tap_pass(t, timeout_ms);
    } else if (t->mark != NULL) {
        if (shim_silence(t, want)) tap_pass(t, timeout_ms);
    } else if (t->answer == NULL || t->answer_at == t->answer_len) {
        /* it hangs, and must not for ever */
        if (poll_for(t->posix.fd, want, 5000) == 0) tap_pass(t, timeout_ms);
    }
    return COMPSHARE_OK;
}

/* Puts a tap between the sockets and the client, which is not open yet. */
static HARNESS_UNUSED void tap_insert(shim *t, harness_client *h, bool hold_clock)
{
    if (hold_clock) fake_clock_hold(&h->clock, 1000);
    shim_insert(t, h);
    t->io.open = tap_open;
    t->io.send = tap_send;
    t->io.recv = tap_recv;
    t->io.wait = tap_wait;
}

/* The same, where the proxy is played: it answers so, and leads to that port. */
static HARNESS_UNUSED void tap_tunnel(shim *t, harness_client *h, const char *answer, unsigned port)
{
    tap_insert(t, h, true);
    t->answer = answer;
    t->answer_len = strlen(answer);
    t->tunnel = true;
    t->real_port = port;
}

/* Runs a started call to its end in steps; pauses pass as in tap_wait. */
static HARNESS_UNUSED int tap_step_to_the_end(shim *t, int started)
{
    compshare *client = t->h->client;
    int r = started;
    if (r != COMPSHARE_OK) return r;
    while ((r = compshare_step(client)) == COMPSHARE_PENDING) {
        unsigned want = compshare_wants(client);
        uint32_t timeout = compshare_timeout_ms(client);
        if (timeout == 0) continue;
        if (want == 0) assert_int_equal(compshare_fd(client), -1);
        assert_int_equal(tap_wait(t, want, timeout), COMPSHARE_OK);
    }
    return r;
}

/* ---- loopback ---- */

/* A transport of its own, without a resolver, whose stack is many times the client's, and
   without memory: config.transport and a shim's inner one may be this. `fd` -1 before. */
static HARNESS_UNUSED int loopback_open(void *user, const char *host, uint16_t port)
{
    int *fd = (int *)user;
    struct sockaddr_in to;
    (void)host;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    if (*fd < 0 || connect(*fd, (struct sockaddr *)&to, sizeof to) != 0) return COMPSHARE_E_CONNECT;
    return fcntl(*fd, F_SETFL, O_NONBLOCK) != 0 ? COMPSHARE_E_CONNECT : COMPSHARE_OK;
}

static HARNESS_UNUSED ptrdiff_t loopback_send(void *user, const void *src, size_t len)
{
    ssize_t n = send(*(int *)user, src, len, MSG_NOSIGNAL);
    return n >= 0 ? n : errno == EAGAIN ? COMPSHARE_WANT_WRITE : COMPSHARE_E_IO;
}

static HARNESS_UNUSED ptrdiff_t loopback_recv(void *user, void *dst, size_t cap)
{
    ssize_t n = recv(*(int *)user, dst, cap, 0);
    return n >= 0 ? n : errno == EAGAIN ? COMPSHARE_WANT_READ : COMPSHARE_E_IO;
}

static HARNESS_UNUSED int loopback_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    (void)poll_for(*(int *)user, want, (int)timeout_ms);
    return COMPSHARE_OK;
}

static HARNESS_UNUSED void loopback_close(void *user)
{
    int *fd = (int *)user;
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static HARNESS_UNUSED compshare_transport loopback(int *fd)
{
    compshare_transport io = { NULL, loopback_open, loopback_send, loopback_recv, loopback_wait, loopback_close, NULL };
    io.user = fd;
    *fd = -1;
    return io;
}

#endif
