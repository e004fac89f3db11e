/* relay TARGET_PORT RTT_MS PORT_FILE: a longer way to 127.0.0.1:TARGET_PORT. Every chunk is
   handed on half of RTT_MS after it came, in either direction; how much may be under way
   is not limited, so that only time is added, not a bottleneck. On SIGTERM it prints
   the connections and the bytes to and from the target.

   A program outside the kernel cannot delay a connect: the client's ends at once. The round
   trip that it would take is added to the first bytes of each connection instead. That is
   the same for every client that begins its work for TLS once it is connected, as all of
   the benchmark do; one that overlapped the two would be charged too much. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINKS 256

typedef struct chunk {
    struct chunk *next;
    int64_t due;
    size_t len, at;         /* len 0: the end of the stream */
    char bytes[];
} chunk;

/* One direction: what was read from `from` waits until it is due to be written to `to`. */
typedef struct way {
    int from, to;
    bool ended;
    int64_t latest;         /* chunks never overtake each other */
    chunk *first, **last;
} way;

typedef struct link_pair {
    bool used;
    int64_t extra;          /* of the first chunk to the target */
    way up, down;
} link_pair;

static link_pair links[LINKS];
static int64_t half_ns;
static unsigned long long connections, bytes_up, bytes_down;
static volatile sig_atomic_t stopping;

static void on_term(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int stream(void)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0) (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void way_begin(way *w, int from, int to)
{
    memset(w, 0, sizeof *w);
    w->from = from;
    w->to = to;
    w->last = &w->first;
}

static void way_forget(way *w)
{
    while (w->first != NULL) {
        chunk *c = w->first;
        w->first = c->next;
        free(c);
    }
}

static void link_end(link_pair *l)
{
    way_forget(&l->up);
    way_forget(&l->down);
    close(l->up.from);
    close(l->up.to);
    l->used = false;
}

static void link_begin(int listener, const struct sockaddr_in *target)
{
    int client = accept(listener, NULL, NULL), one = 1, server = stream();
    size_t i;
    for (i = 0; i < LINKS && links[i].used; i++) {}
    if (client < 0 || server < 0 || i == LINKS || connect(server, (const struct sockaddr *)(const void *)target,
        sizeof *target) != 0) {
        if (client >= 0) close(client);
        if (server >= 0) close(server);
        return;
    }
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections++;
    links[i].used = true;
    links[i].extra = 2 * half_ns;
    way_begin(&links[i].up, client, server);
    way_begin(&links[i].down, server, client);
}

/* False: the link is broken. */
static bool way_read(way *w, int64_t extra, unsigned long long *count)
{
    static char bytes[65536];
    ssize_t n = recv(w->from, bytes, sizeof bytes, MSG_DONTWAIT);
    chunk *c;
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    c = malloc(sizeof *c + (size_t)n);
    if (c == NULL) return false;
    c->next = NULL;
    c->len = (size_t)n;
    c->at = 0;
    if (n > 0) memcpy(c->bytes, bytes, (size_t)n);
    c->due = now_ns() + half_ns + extra;
    if (c->due < w->latest) c->due = w->latest;
    w->latest = c->due;
    *w->last = c;
    w->last = &c->next;
    w->ended = n == 0;
    *count += (unsigned long long)n;
    return true;
}

static bool way_write(way *w, int64_t now)
{
    while (w->first != NULL && w->first->due <= now) {
        chunk *c = w->first;
        if (c->len == 0) {
            (void)shutdown(w->to, SHUT_WR);
        } else {
            ssize_t n = send(w->to, c->bytes + c->at, c->len - c->at, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0) return errno == EAGAIN || errno == EINTR;
            c->at += (size_t)n;
            if (c->at < c->len) return true;
        }
        w->first = c->next;
        if (w->first == NULL) w->last = &w->first;
        free(c);
    }
    return true;
}

static void link_turn(link_pair *l, short client, short server)
{
    int64_t now;
    bool fine = true;
    if (client & (POLLIN | POLLHUP | POLLERR)) {
        size_t before = (size_t)bytes_up;
        fine = l->up.ended || way_read(&l->up, l->extra, &bytes_up);
        if ((size_t)bytes_up != before) l->extra = 0;
    }
    if (fine && server & (POLLIN | POLLHUP | POLLERR)) fine = l->down.ended || way_read(&l->down, 0, &bytes_down);
    now = now_ns();
    fine = fine && way_write(&l->up, now) && way_write(&l->down, now);
    if (!fine || (l->up.ended && l->down.ended && l->up.first == NULL && l->down.first == NULL)) link_end(l);
}

/* When the first chunk that waits is due; a full socket is looked at again in a millisecond. */
static void earliest(const way *w, int64_t now, int64_t *left)
{
    int64_t mine = w->first == NULL ? *left : w->first->due > now ? w->first->due - now : 1000000;
    if (mine < *left) *left = mine;
}

static void turn(int listener, const struct sockaddr_in *target)
{
    struct pollfd fds[1 + 2 * LINKS];
    int64_t now = now_ns(), left = 1000000000;
    struct timespec timeout;
    size_t i;
    fds[0].fd = listener;
    fds[0].events = POLLIN;
    for (i = 0; i < LINKS; i++) {
        fds[1 + 2 * i].fd = links[i].used && !links[i].up.ended ? links[i].up.from : -1;
        fds[2 + 2 * i].fd = links[i].used && !links[i].down.ended ? links[i].down.from : -1;
        fds[1 + 2 * i].events = fds[2 + 2 * i].events = POLLIN;
        if (!links[i].used) continue;
        earliest(&links[i].up, now, &left);
        earliest(&links[i].down, now, &left);
    }
    timeout.tv_sec = left / 1000000000;
    timeout.tv_nsec = left % 1000000000;
    if (ppoll(fds, 1 + 2 * LINKS, &timeout, NULL) < 0) return;
    for (i = 0; i < LINKS; i++)
        if (links[i].used) link_turn(&links[i], fds[1 + 2 * i].revents, fds[2 + 2 * i].revents);
    if (fds[0].revents & POLLIN) link_begin(listener, target);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address, target;
    socklen_t size = sizeof address;
    struct sigaction action;
    int listener = stream();
    FILE *file;
    if (argc != 4 || listener < 0) return 2;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    memset(&action, 0, sizeof action);
    action.sa_handler = on_term;
    (void)sigaction(SIGTERM, &action, NULL);
    half_ns = (int64_t)(strtod(argv[2], NULL) * 500000);
    memset(&target, 0, sizeof target);
    target.sin_family = AF_INET;
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    address = target;
    address.sin_port = 0;
    if (bind(listener, (const struct sockaddr *)(const void *)&address, sizeof address) != 0
        || listen(listener, 128) != 0) return 1;
    if (getsockname(listener, (struct sockaddr *)(void *)&address, &size) != 0) return 1;
    file = fopen(argv[3], "w");
    if (file == NULL || fprintf(file, "port=%u\n", (unsigned)ntohs(address.sin_port)) < 0 || fclose(file) != 0)
        return 1;
    while (!stopping) turn(listener, &target);
    printf("%llu %llu %llu\n", connections, bytes_up, bytes_down);
    return 0;
}
