/* Linked into the tool with the test clock, in front of poll: where COMPSHARE_TEST_PACE
   names the gateway's control port, whatever the tool would only sleep for is skipped. The
   gateway's clock is moved by as much, and then the tool's own, so that both show the same
   time whatever this machine is doing. Waiting for a peer takes as long as it takes.

   COMPSHARE_TEST_JOB is "MS FIFO": so long after the command of `run` has begun to read from
   FIFO, it is sent a line. Time stands still while that command begins and while it ends.
   COMPSHARE_TEST_BEGIN and COMPSHARE_TEST_END are options of the gateway that are set then. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000 };

int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
pid_t __real_fork(void);
pid_t __wrap_fork(void);

static int64_t passed;              /* ms that were skipped: stands at the head of the file */
static pid_t child;                 /* the last one that was begun */
static int64_t job_ends;            /* when, of `passed`; 0: not begun; -1: it was told to */

static void give_up(const char *what)
{
    (void)fprintf(stderr, "pace: %s: %s\n", what, strerror(errno));
    _exit(99);
}

/* One request on a kept connection; the gateway answers "ok". */
static void set_gateway(const char *options)
{
    static int control = -1;
    char text[512];
    struct sockaddr_in to;
    size_t len = 0;
    int n = snprintf(text, sizeof text, "GET /set?%s HTTP/1.1\r\nHost: t\r\n\r\n", options);
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)atoi(getenv("COMPSHARE_TEST_PACE")));
    if (control < 0) {
        control = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(control, (struct sockaddr *)&to, sizeof to) != 0) give_up("connect");
    }
    if (send(control, text, (size_t)n, MSG_NOSIGNAL) != n) give_up("send");
    while (len < sizeof text - 1 && (len < 6 || strstr(text, "\r\n\r\nok") == NULL)) {
        ssize_t got = recv(control, text + len, sizeof text - 1 - len, 0);
        if (got <= 0 && errno != EINTR) give_up("recv");
        if (got > 0) len += (size_t)got;
        text[len] = '\0';
    }
}

/* What has passed: until now (0), when the job began (1), when it was told to end (2). */
static void note(int which)
{
    static const char *const names[] = { NULL, "COMPSHARE_TEST_BEGIN", "COMPSHARE_TEST_END" };
    const char *options = names[which] != NULL ? getenv(names[which]) : NULL;
    int fd = open(getenv("COMPSHARE_TEST_AHEAD"), O_WRONLY | O_CLOEXEC);
    off_t at = (off_t)sizeof passed * which;
    if (fd < 0 || pwrite(fd, &passed, sizeof passed, at) != (ssize_t)sizeof passed) give_up("note");
    (void)close(fd);
    if (options != NULL) set_gateway(options);
}

static void skip(int64_t ms)
{
    char options[48];
    (void)snprintf(options, sizeof options, "advance_ms=%lld", (long long)ms);
    set_gateway(options);
    passed += ms;
    note(0);
}

/* Whether the last child has become another program. */
static int child_began(void)
{
    char path[64], theirs[32] = "", own[32] = "";
    int i;
    for (i = 0; i < 2; i++) {
        int fd;
        (void)snprintf(path, sizeof path, "/proc/%ld/comm", i == 0 ? (long)child : (long)getpid());
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return 0;
        (void)!read(fd, i == 0 ? theirs : own, sizeof own - 1);
        (void)close(fd);
    }
    return strcmp(theirs, own) != 0;
}

/* The job's part in a pause of so many ms: how many of them may pass. */
static int64_t until_job_ends(int64_t ms)
{
    const char *job = getenv("COMPSHARE_TEST_JOB"), *fifo = job != NULL ? strchr(job, ' ') : NULL;
    int fd, tries = 0;
    if (fifo == NULL || job_ends < 0 || child <= 0 || !child_began()) return ms;
    while ((fd = open(fifo + 1, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
        if (!child_began()) return ms;      /* it has ended by itself */
        if (++tries > PATIENCE_MS) give_up("the job does not begin");
        (void)__real_poll(NULL, 0, 1);
    }
    if (job_ends == 0) {
        job_ends = passed + atoll(job);
        note(1);
    }
    if (passed < job_ends) {
        if (ms > job_ends - passed) ms = job_ends - passed;
    } else {
        job_ends = -1;
        note(2);
        if (write(fd, "end\n", 4) != 4) give_up(fifo);
        ms = 0;
    }
    (void)close(fd);
    return ms;
}

/* Sockets are what a peer's answer is waited for on. */
static int awaits_peer(const struct pollfd *fds, nfds_t count)
{
    struct stat info;
    nfds_t i;
    for (i = 0; i < count; i++)
        if (fds[i].fd >= 0 && fds[i].events != 0 && fstat(fds[i].fd, &info) == 0
            && S_ISSOCK(info.st_mode)) return 1;
    return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int64_t ms = timeout;
    int r;
    if (getenv("COMPSHARE_TEST_PACE") == NULL || timeout <= 0 || awaits_peer(fds, count))
        return __real_poll(fds, count, timeout);
    if ((r = __real_poll(fds, count, 0)) != 0) return r;
    ms = until_job_ends(ms);
    if (ms == 0) return __real_poll(fds, count, PATIENCE_MS);
    skip(ms);
    return __real_poll(fds, count, 0);
}

pid_t __wrap_fork(void)
{
    pid_t pid = __real_fork();
    if (pid > 0) child = pid;
    if (pid == 0) child = -1;
    return pid;
}
