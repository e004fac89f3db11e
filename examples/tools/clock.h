/* ==== clock =======================================================================

   Does:  tells the time by this machine's two clocks.
   May:   ask the system for the time; in a test, a file.
   Never: knows the server's clock: see now() in account.h. */

#ifdef SCHEDULE_TEST_CLOCK
/* For tests of leases: both clocks run ahead by the milliseconds that a file holds, which
   the test moves on. */
#include <sys/mman.h>
static const volatile int64_t *test_ahead;

static int64_t ahead_ms(void)
{
    const char *path = getenv("COMPSHARE_TEST_AHEAD");
    int fd = test_ahead == NULL && path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *map = mmap(NULL, sizeof *test_ahead, PROT_READ, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED) test_ahead = (const volatile int64_t *)map;
        (void)close(fd);
    }
    return test_ahead != NULL ? *test_ahead : 0;
}
#else
#define ahead_ms() 0
#endif

/* Milliseconds that go on while the machine is suspended, where it can tell. */
static uint64_t monotonic_ms(void *user)
{
    struct timespec t = { 0, 0 };
    (void)user;
#ifdef CLOCK_BOOTTIME
    if (clock_gettime(CLOCK_BOOTTIME, &t) != 0)
#endif
        (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + (uint64_t)ahead_ms();
}

/* Seconds since 1970. */
static int64_t unix_time(void *user)
{
    (void)user;
    return (int64_t)time(NULL) + ahead_ms() / 1000;
}
