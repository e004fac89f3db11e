/* The one clock that tests give to a client: both of its clocks, which run with this
   machine's, stand still, or are moved by the test. Include after compshare.h. */
#ifndef TESTS_CLOCK_H
#define TESTS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* config.user must point to one of these, or to something that begins with one. */
typedef struct fake_clock {
    uint64_t ms;                /* made to pass since the beginning */
    uint64_t begin_ms;          /* what the monotonic clock shows in the beginning ... */
    int64_t begin_unix;         /* ... and the other one, in seconds since 1970 */
    uint64_t tick_ms;           /* passes by itself whenever the monotonic clock is read */
    bool real_ms, real_unix;    /* what this machine's clock shows is added */
    bool unix_moves;            /* unix_time goes on with ms; else it stands still */
    uint64_t (*bent)(uint64_t ms);      /* what a reading of the monotonic clock becomes; NULL: itself */
} fake_clock;

static inline int64_t fake_clock_unix_time(void *user)
{
    const fake_clock *c = (const fake_clock *)user;
    return c->begin_unix + (c->real_unix ? (int64_t)time(NULL) : 0) + (c->unix_moves ? (int64_t)(c->ms / 1000) : 0);
}

static inline uint64_t fake_clock_monotonic_ms(void *user)
{
    fake_clock *c = (fake_clock *)user;
    uint64_t ms;
    c->ms += c->tick_ms;
    ms = c->begin_ms + c->ms;
    if (c->real_ms) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        ms += (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
    }
    return c->bent != NULL ? c->bent(ms) : ms;
}

/* From now on the monotonic clock stands at begin_ms, and moves only as the test says. */
static inline void fake_clock_hold(fake_clock *c, uint64_t begin_ms)
{
    c->real_ms = false;
    c->begin_ms = begin_ms;
    c->ms = c->tick_ms = 0;
}

/* Both clocks move together, as the test says; the present was begin_unix in the beginning. */
static inline void fake_clock_together(fake_clock *c, int64_t begin_unix)
{
    fake_clock_hold(c, 1000000);
    c->begin_unix = begin_unix;
    c->real_unix = false;
    c->unix_moves = true;
}

#endif
