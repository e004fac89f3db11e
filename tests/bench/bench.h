/* What the clients of the benchmark have in common: how they are called, and how they
   tell what a call cost.

       client URL CA_FILE CALLS MODE

   MODE says what the calls behind the first one go through: keep, the connection of the
   first; resume, a new connection each that offers the session of the last; full, a new
   connection each that offers none. The first call is never measured: with CALLS 1 the
   process itself is. Otherwise standard output gets 64-bit numbers of this machine:
   nanoseconds of CPU for all measured calls, then nanoseconds of wall time for each.
   No text is formatted, as printf would be a tenth of the smallest client. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BENCH_CALLS 100000

/* The instance whose timed shutdown all of them set. */
#define BENCH_UHOST "uhost-0001"
#define BENCH_ZONE "cn-wlcb-01"
#define BENCH_REGION "cn-wlcb"
#define BENCH_PROJECT "org-default"

typedef struct bench {
    const char *url, *ca_file, *public_key, *private_key;
    long calls;
    bool keep, resume;
} bench;

static uint64_t bench_result[BENCH_CALLS + 1];

static uint64_t bench_now(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int bench_write(int fd, const void *bytes, size_t len)
{
    const char *at = (const char *)bytes;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n <= 0) return 1;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int bench_fail(const char *what)
{
    (void)bench_write(2, what, strlen(what));
    (void)bench_write(2, "\n", 1);
    return 1;
}

/* The stop time of all calls of a run; ten digits until the year 2286. */
static int64_t bench_stop_time(void)
{
    return (int64_t)time(NULL) + 3600;
}

static bool bench_arguments(bench *b, int argc, char **argv)
{
    if (argc != 5) return false;
    b->url = argv[1];
    b->ca_file = argv[2];
    b->calls = strtol(argv[3], NULL, 10);
    b->keep = strcmp(argv[4], "keep") == 0;
    b->resume = strcmp(argv[4], "resume") == 0;
    b->public_key = getenv("COMPSHARE_PUBLIC_KEY");
    b->private_key = getenv("COMPSHARE_PRIVATE_KEY");
    return b->public_key != NULL && b->private_key != NULL && b->calls > 0 && b->calls <= BENCH_CALLS && (b->keep
        || b->resume || strcmp(argv[4], "full") == 0);
}

/* Makes the calls; `call` returns whether RetCode was 0, `anew` gives the connection up. */
static int bench_run(const bench *b, bool (*call)(void), bool (*anew)(void))
{
    uint64_t start, end;
    long i;
    if (!call()) return 1;
    if (b->calls == 1) return 0;
    bench_result[0] = bench_now(CLOCK_PROCESS_CPUTIME_ID);
    start = bench_now(CLOCK_MONOTONIC);
    for (i = 1; i < b->calls; i++) {
        if ((!b->keep && !anew()) || !call()) return 1;
        end = bench_now(CLOCK_MONOTONIC);
        bench_result[i] = end - start;
        start = end;
    }
    bench_result[0] = bench_now(CLOCK_PROCESS_CPUTIME_ID) - bench_result[0];
    return bench_write(1, bench_result, (size_t)b->calls * sizeof bench_result[0]);
}

#endif
