/* What a system may lack or do otherwise than the one that tests run on: no getrandom, no
   entropy yet, connections that stand at once. The calls are the program's own, in front of
   libc's. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"

#include <dlfcn.h>

/* ---- calls that can be made to fail ---- */

static struct {
    int random_errno;           /* of getrandom; 0: libc's */
    unsigned interrupted;       /* it fails with EINTR so often first */
    size_t random_most;         /* not 0: it gives no more */
    int asked;
    const char *device;         /* opened in place of /dev/urandom; "": it is missing */
    size_t device_most;         /* not 0: a reading gives no more */
    bool no_fstat;              /* of that device */
    bool at_once;               /* connect returns when the connection stands */
    int connects;
    unsigned begun;             /* send answers so often that the connection is on its way */
} lack;

static void *real(const char *name)
{
    void *at = dlsym(RTLD_NEXT, name);
    assert_non_null(at);
    return at;
}

ssize_t getrandom(void *dst, size_t len, unsigned flags)
{
    static ssize_t (*next)(void *, size_t, unsigned);
    void *at = real("getrandom");
    memcpy(&next, &at, sizeof next);
    if (flags == 0) return next(dst, len, flags);       /* somebody else's */
    lack.asked++;
    if (lack.interrupted > 0) {
        lack.interrupted--;
        errno = EINTR;
        return -1;
    }
    if (lack.random_errno != 0) {
        errno = lack.random_errno;
        return -1;
    }
    return next(dst, lack.random_most != 0 ? lack.random_most : len, flags);
}

static int device_fd = -1;

int open(const char *path, int flags, ...)
{
    static int (*next)(const char *, int, ...);
    void *at = real("open");
    unsigned mode = 0;
    int fd;
    va_list args;
    memcpy(&next, &at, sizeof next);
    va_start(args, flags);
    if (flags & O_CREAT) mode = va_arg(args, unsigned);
    va_end(args);
    if (strcmp(path, "/dev/urandom") != 0 || lack.device == NULL) {
        fd = next(path, flags, mode);
        if (strcmp(path, "/dev/urandom") == 0) device_fd = fd;
        return fd;
    }
    if (lack.device[0] == '\0') {
        errno = ENOENT;
        return -1;
    }
    return device_fd = next(lack.device, flags, mode);
}

ssize_t read(int fd, void *dst, size_t len)
{
    static ssize_t (*next)(int, void *, size_t);
    void *at = real("read");
    memcpy(&next, &at, sizeof next);
    if (fd >= 0 && fd == device_fd && lack.device_most != 0 && len > lack.device_most) len = lack.device_most;
    return next(fd, dst, len);
}

int fstat(int fd, struct stat *s)
{
    static int (*next)(int, struct stat *);
    void *at = real("fstat");
    memcpy(&next, &at, sizeof next);
    if (lack.no_fstat && fd >= 0 && fd == device_fd) {
        errno = EIO;
        return -1;
    }
    return next(fd, s);
}

/* As where TCP Fast Open has lost its cookie between connecting and sending. */
ssize_t send(int fd, const void *src, size_t len, int flags)
{
    static ssize_t (*next)(int, const void *, size_t, int);
    void *at = real("send");
    memcpy(&next, &at, sizeof next);
    if (lack.begun > 0) {
        lack.begun--;
        errno = EINPROGRESS;
        return -1;
    }
    return next(fd, src, len, flags);
}

/* Under a name of its own, for glibc declares connect with an argument that is a union. */
int connect_first(int fd, const struct sockaddr *to, socklen_t len) __asm__("connect");
int connect_first(int fd, const struct sockaddr *to, socklen_t len)
{
    static int (*next)(int, const struct sockaddr *, socklen_t);
    void *at = real("connect");
    struct pollfd p;
    int r;
    memcpy(&next, &at, sizeof next);
    r = next(fd, to, len);
    if (!lack.at_once || r == 0 || errno != EINPROGRESS) return r;
    lack.connects++;
    p.fd = fd;
    p.events = POLLOUT;
    assert_int_equal(poll(&p, 1, 5000), 1);
    return 0;
}

/* ---- entropy ---- */

static int begin(void **state)
{
    (void)state;
    memset(&lack, 0, sizeof lack);
    device_fd = -1;
    return 0;
}

static void entropy(void **state)
{
    static const struct { int error; unsigned interrupted; size_t most; const char *device; size_t device_most; int result; } rows[] = {
        { 0, 0, 0, NULL, 0, 0 }, { 0, 3, 0, NULL, 0, 0 },
        { 0, 0, 31, NULL, 0, -1 },                          /* less than was asked for */
        { EAGAIN, 0, 0, NULL, 0, -1 },                      /* not seeded: the device would not say so */
        { EFAULT, 0, 0, NULL, 0, -1 },
        { ENOSYS, 0, 0, NULL, 0, 0 }, { EPERM, 2, 0, NULL, 0, 0 },     /* an old kernel; a filter */
        { ENOSYS, 0, 0, "", 0, -1 },                        /* no device */
        { ENOSYS, 0, 0, "/proc/self/exe", 0, -1 },          /* a file in its place */
        { ENOSYS, 0, 0, "/dev/null", 0, -1 },               /* nothing in it */
        { ENOSYS, 0, 0, NULL, 31, -1 },
    };
    unsigned char unknown[32];
    size_t i, k;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned char one[32], two[32];
        int before = count_descriptors(), r;
        memset(one, 0, sizeof one);
        memset(two, 0, sizeof two);
        lack.random_errno = rows[i].error;
        lack.interrupted = rows[i].interrupted;
        lack.random_most = rows[i].most;
        lack.device = rows[i].device;
        lack.device_most = rows[i].device_most;
        r = compshare__posix_entropy(NULL, one, sizeof one);
        if (r != rows[i].result) fail_msg("row %zu: %d", i, r);
        assert_int_equal(count_descriptors(), before);
        if (r != 0) continue;
        assert_int_equal(compshare__posix_entropy(NULL, two, sizeof two), 0);
        assert_memory_not_equal(one, two, sizeof one);
        for (k = 0; k < sizeof one && one[k] == 0; k++) {}
        assert_true(k < sizeof one);
    }
    lack.device = NULL;
    lack.device_most = 0;
    lack.no_fstat = true;       /* what it is cannot be told */
    assert_int_equal(compshare__posix_entropy(NULL, unknown, sizeof unknown), -1);
}

/* The whole call, without getrandom; and without any entropy, before a byte is sent. */
static void calls_without_getrandom(void **state)
{
    static harness_client h;
    harness_process g = harness_gateway("ec", NULL);
    (void)state;
    harness_configure(&h, g.port);
    harness_open(&h);
    lack.random_errno = ENOSYS;
    harness_expect(&h, compshare_get_project_list(h.client, NULL, NULL, NULL), COMPSHARE_OK);
    assert_true(lack.asked > 0);
    harness_close(&h);
    harness_open(&h);
    lack.device = "";
    expect_failure(&h, compshare_get_project_list(h.client, NULL, NULL, NULL), COMPSHARE_E_ENTROPY,
        COMPSHARE_STAGE_HANDSHAKE, false);
    expect_count(&g, "requests", 1);
    harness_close(&h);
    harness_stop(&g);
}

/* ---- connections ---- */

/* As with a cookie of TCP Fast Open, or on systems whose loopback does not wait. */
static void connected_at_once(void **state)
{
    static harness_client h;
    harness_process g = harness_gateway("ec", NULL);
    unsigned flags;
    (void)state;
    for (flags = 0; flags <= COMPSHARE_FAST_OPEN; flags += COMPSHARE_FAST_OPEN) {
        harness_configure(&h, g.port);
        h.config.flags = flags;
        harness_open(&h);
        lack.at_once = true;
        lack.connects = 0;
        lack.begun = 3;
        harness_expect(&h, compshare_get_project_list(h.client, NULL, NULL, NULL), COMPSHARE_OK);
        assert_int_equal(last(&h)->sys_errno, 0);
        assert_true(flags != 0 || lack.connects > 0);
        lack.at_once = false;
        harness_close(&h);
    }
    harness_stop(&g);
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = { T(entropy), T(calls_without_getrandom), T(connected_at_once) };
    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
