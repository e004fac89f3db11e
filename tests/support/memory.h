/* The one transport of tests without a network: a peer in memory that takes any request and
   hands out one reply, in pieces, late, cut, or for ever. No time passes but what it makes
   pass on its clock. Include after compshare.h, with its implementation. */
#ifndef TESTS_MEMORY_H
#define TESTS_MEMORY_H

#include <string.h>
#include "clock.h"

#define MEMORY_NEVER UINT64_MAX

typedef struct memory_peer memory_peer;
struct memory_peer {
    compshare_transport io;     /* for config.transport */
    fake_clock *clock;
    /* what it says: a reply, then a unit of text for ever; memory_says sets these */
    const char *reply;
    size_t len;
    const char *unit;           /* NULL: the reply is all */
    uint64_t at, total;         /* bytes handed out, of how many */
    const char *second;         /* not NULL: what the second connection hands out */
    bool repeat;                /* the reply begins again for ever */
    ptrdiff_t after;            /* what recv answers behind the end */
    /* how */
    size_t piece;               /* at most so many bytes at a time; 0: no limit */
    size_t (*any_piece)(void);  /* the same where piece is 0; NULL: no limit */
    size_t need;                /* bytes of a request that it waits for */
    uint64_t cut;               /* a piece ends here, and a pause follows */
    bool paused, pausing;
    bool stutter;               /* nothing at every second look */
    uint64_t per_look;          /* milliseconds that every recv takes */
    uint64_t drip, next;        /* milliseconds between two pieces, and when the next is due */
    bool dead;                  /* until the next open, nothing goes either way */
    /* what it takes */
    size_t send_room;           /* bytes until send answers send_after */
    ptrdiff_t send_after;
    size_t send_piece;          /* at most so many at a time; 0: no limit */
    size_t sent;                /* of this request, or of all: see fresh */
    char request[16384];        /* the beginning of it */
    /* connections */
    int open_status;
    bool fresh;                 /* every connection begins the reply and the request anew */
    bool lossy;                 /* what was left of the reply has gone with the last connection */
    unsigned opened, closed, looks, waits;
    /* what a test does or checks besides, before anything else happens; NULL: nothing */
    void (*on_open)(memory_peer *p, const char *host, uint16_t port);
    void (*on_send)(memory_peer *p, const void *src, size_t len);
    void (*on_recv)(memory_peer *p, void *dst, size_t cap);
    void (*on_wait)(memory_peer *p, unsigned want);
    void (*on_close)(memory_peer *p);
};

static inline void memory_says(memory_peer *p, const char *reply, size_t len)
{
    p->reply = reply;
    p->len = len;
    p->unit = NULL;
    p->at = 0;
    p->total = len;
}

static inline int memory_open(void *user, const char *host, uint16_t port)
{
    memory_peer *p = (memory_peer *)user;
    if (p->on_open != NULL) p->on_open(p, host, port);
    if (p->open_status != COMPSHARE_OK) return p->open_status;
    p->opened++;
    p->dead = false;
    if (p->opened == 2 && p->second != NULL) memory_says(p, p->second, strlen(p->second));
    if (p->fresh) p->at = p->sent = 0;
    if (p->lossy && p->at != 0) {
        p->total = p->at;
        p->after = COMPSHARE_WANT_READ;
    }
    return COMPSHARE_OK;
}

static inline ptrdiff_t memory_send(void *user, const void *src, size_t len)
{
    memory_peer *p = (memory_peer *)user;
    if (p->on_send != NULL) p->on_send(p, src, len);
    if (p->dead) return COMPSHARE_E_IO;
    if (p->send_room == 0) return p->send_after;
    if (p->send_piece != 0 && len > p->send_piece) len = p->send_piece;
    if (len > p->send_room) len = p->send_room;
    if (p->sent + len < sizeof p->request) {
        memcpy(p->request + p->sent, src, len);
        p->request[p->sent + len] = '\0';
    }
    p->send_room -= len;
    p->sent += len;
    return (ptrdiff_t)len;
}

/* The next n bytes of reply and unit. */
static inline void memory_copy(memory_peer *p, char *dst, size_t n)
{
    size_t unit_len = p->unit != NULL ? strlen(p->unit) : 1, k, i = 0;
    if (p->at < p->len) {
        i = p->len - (size_t)p->at < n ? p->len - (size_t)p->at : n;
        memcpy(dst, p->reply + p->at, i);
    }
    k = i < n ? (size_t)((p->at + i - p->len) % unit_len) : 0;
    for (; i < n; i++) {
        dst[i] = p->unit[k];
        if (++k == unit_len) k = 0;
    }
    p->at += n;
}

static inline ptrdiff_t memory_recv(void *user, void *dst, size_t cap)
{
    memory_peer *p = (memory_peer *)user;
    size_t n = p->piece != 0 ? p->piece : p->any_piece != NULL ? p->any_piece() : cap;
    p->clock->ms += p->per_look;
    if (p->on_recv != NULL) p->on_recv(p, dst, cap);
    if (p->dead) return p->after;
    if (p->sent < p->need || p->clock->ms < p->next || (p->stutter && p->looks++ % 2 == 0)) return COMPSHARE_WANT_READ;
    if (p->at == p->cut && !p->paused) {
        p->paused = p->pausing = true;
        return COMPSHARE_WANT_READ;
    }
    if (p->at == p->total && p->repeat) p->at = 0;
    if (p->at == p->total) return p->after;
    if (n > cap) n = cap;
    if (p->at < p->cut && n > p->cut - p->at) n = (size_t)(p->cut - p->at);
    if (n > p->total - p->at) n = (size_t)(p->total - p->at);
    memory_copy(p, (char *)dst, n);
    if (p->drip != 0) p->next = p->clock->ms + p->drip;
    return (ptrdiff_t)n;
}

/* Time passes only here and in recv: to the next piece, or as far as the client allows. */
static inline int memory_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    memory_peer *p = (memory_peer *)user;
    uint64_t now = p->clock->ms;
    p->waits++;
    if (p->on_wait != NULL) p->on_wait(p, want);
    if (p->stutter) return COMPSHARE_OK;
    if (p->pausing) p->pausing = false;
    else p->clock->ms = p->next > now && p->next - now < timeout_ms ? p->next : now + timeout_ms;
    return COMPSHARE_OK;
}

static inline void memory_close(void *user)
{
    memory_peer *p = (memory_peer *)user;
    p->closed++;
    if (p->on_close != NULL) p->on_close(p);
}

/* A peer that says nothing yet, on a clock that it shares. */
static inline void memory_reset(memory_peer *p, fake_clock *clock)
{
    memset(p, 0, sizeof *p);
    p->io.user = p;
    p->io.open = memory_open;
    p->io.send = memory_send;
    p->io.recv = memory_recv;
    p->io.wait = memory_wait;
    p->io.close = memory_close;
    p->clock = clock;
    p->send_room = SIZE_MAX;
    p->cut = MEMORY_NEVER;
}

/* The same, on a clock that begins anew. */
static inline void memory_begin(memory_peer *p, fake_clock *clock, int64_t unix_time)
{
    memory_reset(p, clock);
    memset(clock, 0, sizeof *clock);
    clock->ms = 1000;
    clock->begin_unix = unix_time;
}

static inline int memory_entropy(void *user, void *dst, size_t len)
{
    (void)user;
    memset(dst, 7, len);
    return 0;
}

/* A configuration over this peer, with what every client must have. */
static inline void memory_configure(compshare_config *config, const memory_peer *p)
{
    memset(config, 0, sizeof *config);
    config->public_key = "public";
    config->private_key = "private";
    config->base_url = "http://localhost";
    config->transport = &p->io;
    config->unix_time = fake_clock_unix_time;
    config->monotonic_ms = fake_clock_monotonic_ms;
    config->entropy = memory_entropy;
    config->user = p->clock;
}

#endif
