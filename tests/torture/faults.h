/* Everything that compshare.h asks of the system, behind a layer that lets the k-th
   such operation go wrong in one of many ways, and keeps books: which descriptors are
   open, which bytes of which request left, how much time passed. The linker puts the
   layer in place (-Wl,--wrap=NAME), so that compshare.h is compiled as it is. The tests
   themselves use the __real_ functions. Include after compshare.h and harness.h. */
#ifndef FAULTS_H
#define FAULTS_H

#include <arpa/inet.h>

#define STORM 25                /* operations in a row, where a kind is a storm */
#define TICK_MS 5               /* what a wait costs, so that nobody waits for ever */
#define SILENCE_MS 20000        /* real time in which the peer must have answered */

int __real_socket(int family, int type, int protocol);
int __real_connect(int fd, const struct sockaddr *to, socklen_t len);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
ssize_t __real_send(int fd, const void *src, size_t len, int flags);
ssize_t __real_recv(int fd, void *dst, size_t cap, int flags);
int __real_close(int fd);
int __real_open(const char *path, int flags, ...);
ssize_t __real_pread(int fd, void *dst, size_t cap, off_t offset);
int __real_fstat(int fd, struct stat *s);
time_t __real_time(time_t *out);
ssize_t __real_getrandom(void *dst, size_t len, unsigned flags);
void __real_br_ssl_engine_sendapp_ack(br_ssl_engine_context *cc, size_t len);

int __wrap_socket(int family, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
ssize_t __wrap_send(int fd, const void *src, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *dst, size_t cap, int flags);
int __wrap_close(int fd);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list);
void __wrap_freeaddrinfo(struct addrinfo *list);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_pread(int fd, void *dst, size_t cap, off_t offset);
int __wrap_fstat(int fd, struct stat *s);
int __wrap_clock_gettime(clockid_t id, struct timespec *out);
time_t __wrap_time(time_t *out);
ssize_t __wrap_getrandom(void *dst, size_t len, unsigned flags);
void __wrap_br_ssl_engine_sendapp_ack(br_ssl_engine_context *cc, size_t len);

/* ---- what can go wrong ---- */

enum operation {
    SOCKET, CONNECT, POLL, GETSOCKOPT, SEND, RECV, CLOSE, GETADDRINFO, OPEN, PREAD, FSTAT, CLOCK, TIME, GETRANDOM,
    IO_OPEN, IO_SEND, IO_RECV, IO_WAIT, IO_FD, STEP, ANY, OPERATIONS
};

static const char *const operation_names[OPERATIONS] = {
    "socket", "connect", "poll", "getsockopt", "send", "recv", "close", "getaddrinfo", "open", "pread", "fstat",
        "clock_gettime",
    "time", "getrandom", "transport.open", "transport.send", "transport.recv", "transport.wait",
    "transport.fd", "step", "any"
};

enum effect {
    FAIL,       /* not done; -1, and errno is the value */
    DONE_BUT,   /* done; -1 all the same, and errno is the value */
    ANSWER,     /* not done; the value is the answer */
    TOO_MUCH,   /* not done; answers with one more than was asked for */
    BRIEF,      /* one byte only */
    SHUT,       /* done; then both directions of the connection end */
    CUT,        /* done; then the connection is reset */
    STALL,      /* from now on nothing moves on this connection; from k on: on any */
    SWALLOW,    /* it looks as if the bytes had left; then STALL */
    PART_CUT,   /* one byte leaves; then CUT */
    PART_STALL, /* one byte leaves; then STALL */
    EARLY,      /* a wait ends although nothing is ready and no time has passed */
    READY,      /* a wait says that something is ready */
    LEAP,       /* the clock has moved by an hour */
    FOREIGN,    /* a name has no address of a kind that is known */
    CROWD,      /* a name has more addresses than are tried */
    ABORT       /* the caller gives the call up */
};

#define ONCE 1u                 /* only the k-th operation */
#define ONWARD 2u               /* the k-th and all behind it: the kind's name has a "+" */
#define STORMY 4u               /* the k-th and those behind it, STORM in all: "*" */
#define MODES (ONCE | ONWARD | STORMY)
#define LOSSY 8u                /* it can lose a request, or its reply */

typedef struct kind {
    int operation;
    const char *name;
    int effect, value;
    unsigned modes;
} kind;

/* Without end, EINTR and EAGAIN would be no failures but a way to stand still. */
static const kind kinds[] = {
    { SOCKET, "EMFILE", FAIL, EMFILE, ONCE | ONWARD },
    { SOCKET, "ENOBUFS", FAIL, ENOBUFS, ONCE | ONWARD },
    { SOCKET, "EAFNOSUPPORT", FAIL, EAFNOSUPPORT, ONCE | ONWARD },
    { CONNECT, "ECONNREFUSED", FAIL, ECONNREFUSED, ONCE | ONWARD },
    { CONNECT, "ENETUNREACH", FAIL, ENETUNREACH, ONCE | ONWARD },
    { CONNECT, "EADDRNOTAVAIL", FAIL, EADDRNOTAVAIL, ONCE | ONWARD },
    { CONNECT, "EINTR", DONE_BUT, EINTR, ONCE | ONWARD },
    { CONNECT, "STALL", STALL, 0, ONCE | ONWARD },
    { POLL, "EINTR", FAIL, EINTR, ONCE | STORMY },
    { POLL, "ENOMEM", FAIL, ENOMEM, ONCE | ONWARD },
    { POLL, "EARLY", EARLY, 0, ONCE | STORMY },
    { POLL, "READY", READY, 0, ONCE | STORMY },
    { GETSOCKOPT, "ENOBUFS", FAIL, ENOBUFS, ONCE | ONWARD },
    { GETSOCKOPT, "ECONNREFUSED", ANSWER, ECONNREFUSED, ONCE | ONWARD },
    { GETSOCKOPT, "ETIMEDOUT", ANSWER, ETIMEDOUT, ONCE | ONWARD },
    { SEND, "ECONNRESET", FAIL, ECONNRESET, ONCE | ONWARD | LOSSY },
    { SEND, "EPIPE", FAIL, EPIPE, ONCE | ONWARD },
    { SEND, "ENOBUFS", FAIL, ENOBUFS, ONCE | ONWARD },
    { SEND, "EINTR", FAIL, EINTR, ONCE | STORMY },
    { SEND, "EAGAIN", FAIL, EAGAIN, ONCE | STORMY },
    { SEND, "SHORT", BRIEF, 0, ONCE | ONWARD },
    { SEND, "SHUT", SHUT, 0, ONCE | LOSSY },
    { SEND, "RESET", CUT, 0, ONCE | ONWARD },
    { SEND, "STALL", STALL, 0, ONCE | ONWARD },
    { SEND, "SWALLOW", SWALLOW, 0, ONCE | ONWARD | LOSSY },
    { SEND, "PART_RESET", PART_CUT, 0, ONCE | ONWARD | LOSSY },
    { SEND, "PART_STALL", PART_STALL, 0, ONCE | ONWARD },
    { RECV, "ECONNRESET", FAIL, ECONNRESET, ONCE | ONWARD | LOSSY },
    { RECV, "ETIMEDOUT", FAIL, ETIMEDOUT, ONCE | ONWARD },
    { RECV, "EIO", FAIL, EIO, ONCE | ONWARD },
    { RECV, "EINTR", FAIL, EINTR, ONCE | STORMY },
    { RECV, "EAGAIN", FAIL, EAGAIN, ONCE | STORMY },
    { RECV, "SHORT", BRIEF, 0, ONCE | ONWARD },
    { RECV, "EOF", ANSWER, 0, ONCE | ONWARD | LOSSY },
    { RECV, "SHUT", SHUT, 0, ONCE },
    { RECV, "RESET", CUT, 0, ONCE | ONWARD | LOSSY },
    { RECV, "STALL", STALL, 0, ONCE | ONWARD | LOSSY },
    { CLOSE, "EINTR", DONE_BUT, EINTR, ONCE | ONWARD },
    { CLOSE, "EIO", DONE_BUT, EIO, ONCE | ONWARD },
    { GETADDRINFO, "EAI_AGAIN", ANSWER, EAI_AGAIN, ONCE | ONWARD },
    { GETADDRINFO, "EAI_NONAME", ANSWER, EAI_NONAME, ONCE | ONWARD },
    { GETADDRINFO, "EAI_MEMORY", ANSWER, EAI_MEMORY, ONCE | ONWARD },
    { GETADDRINFO, "EAI_SYSTEM", ANSWER, EAI_SYSTEM, ONCE | ONWARD },
    { GETADDRINFO, "FOREIGN", FOREIGN, 0, ONCE | ONWARD },
    { GETADDRINFO, "CROWD", CROWD, 0, ONCE | ONWARD },
    { OPEN, "ENOENT", FAIL, ENOENT, ONCE | ONWARD },
    { OPEN, "EMFILE", FAIL, EMFILE, ONCE | ONWARD },
    { OPEN, "EACCES", FAIL, EACCES, ONCE | ONWARD },
    { OPEN, "EINTR", FAIL, EINTR, ONCE | STORMY },
    { PREAD, "EIO", FAIL, EIO, ONCE | ONWARD },
    { PREAD, "EINTR", FAIL, EINTR, ONCE | STORMY },
    { PREAD, "SHORT", BRIEF, 0, ONCE | ONWARD },
    { PREAD, "EOF", ANSWER, 0, ONCE | ONWARD },
    { FSTAT, "EIO", FAIL, EIO, ONCE | ONWARD },
    { CLOCK, "EINVAL", FAIL, EINVAL, ONCE | ONWARD },
    { CLOCK, "LEAP", LEAP, 0, ONCE },
    { TIME, "-1", ANSWER, -1, ONCE | ONWARD },
    { TIME, "1970", ANSWER, 0, ONCE | ONWARD },
    { GETRANDOM, "EAGAIN", FAIL, EAGAIN, ONCE | ONWARD },
    { GETRANDOM, "ENOSYS", FAIL, ENOSYS, ONCE | ONWARD },
    { GETRANDOM, "EINTR", FAIL, EINTR, ONCE | STORMY },
    { GETRANDOM, "SHORT", BRIEF, 0, ONCE | ONWARD },
    { IO_OPEN, "E_CONNECT", ANSWER, COMPSHARE_E_CONNECT, ONCE | ONWARD },
    { IO_OPEN, "E_RESOLVE", ANSWER, COMPSHARE_E_RESOLVE, ONCE | ONWARD },
    { IO_OPEN, "WANT_WRITE", ANSWER, COMPSHARE_WANT_WRITE, ONCE | STORMY },
    { IO_OPEN, "7", ANSWER, 7, ONCE | ONWARD },
    { IO_SEND, "E_IO", ANSWER, COMPSHARE_E_IO, ONCE | ONWARD },
    { IO_SEND, "0", ANSWER, 0, ONCE | ONWARD },
    { IO_SEND, "-77", ANSWER, -77, ONCE | ONWARD },
    { IO_SEND, "TOO_MUCH", TOO_MUCH, 0, ONCE | ONWARD },
    { IO_SEND, "SHORT", BRIEF, 0, ONCE | ONWARD },
    { IO_SEND, "WANT_WRITE", ANSWER, COMPSHARE_WANT_WRITE, ONCE | STORMY },
    { IO_RECV, "E_IO", ANSWER, COMPSHARE_E_IO, ONCE | ONWARD },
    { IO_RECV, "EOF", ANSWER, 0, ONCE | ONWARD },
    { IO_RECV, "-77", ANSWER, -77, ONCE | ONWARD },
    { IO_RECV, "TOO_MUCH", TOO_MUCH, 0, ONCE | ONWARD },
    { IO_RECV, "SHORT", BRIEF, 0, ONCE | ONWARD },
    { IO_RECV, "WANT_READ", ANSWER, COMPSHARE_WANT_READ, ONCE | STORMY },
    { IO_RECV, "WANT_WRITE", ANSWER, COMPSHARE_WANT_WRITE, ONCE | STORMY },
    { IO_WAIT, "E_IO", ANSWER, COMPSHARE_E_IO, ONCE | ONWARD },
    { IO_WAIT, "E_ABORTED", ANSWER, COMPSHARE_E_ABORTED, ONCE | ONWARD },
    { IO_WAIT, "EARLY", EARLY, 0, ONCE | STORMY },
    { IO_FD, "-1", ANSWER, -1, ONCE | ONWARD },
    { STEP, "ABORT", ABORT, 0, ONCE | LOSSY },
    { ANY, "FAIL", FAIL, 0, ONWARD }
};

/* One point of the search. */
typedef struct fault {
    const kind *kind;           /* NULL: nothing goes wrong */
    unsigned mode;
    unsigned k;                 /* counted from 1 */
} fault;

/* ---- the books ---- */

typedef struct descriptor {
    bool open, file, stalled;
    bool blind;                 /* its end is not seen before something has been sent */
    bool in_tls;                /* a CONNECT to a proxy comes before it, in the open */
    unsigned newline;           /* how much of its last CR LF CR LF has gone by */
    unsigned char header[5];
    size_t header_len, body_left;
} descriptor;

static descriptor descriptors[1024];

typedef struct tally { char action[64]; size_t bytes; } tally;

static struct books {
    bool armed, reached, hung;
    fault fault;
    unsigned seen[OPERATIONS];
    bool all_stalled;
    uint64_t passed, begun, leapt;      /* ms: since the client was made; at the arming; made by LEAP */
    int64_t since;              /* the real time when the client was made */
    char action[64];            /* of the request that is written now */
    tally sent[8];              /* bytes that left, by action */
    size_t sent_count;
    char misuse[160];           /* the first thing done that nobody may do */
    int lists;                  /* of getaddrinfo, not yet freed */
    void (*on_pause)(uint32_t ms);      /* when a wait is only for time */
} books;

static HARNESS_UNUSED void books_misuse(const char *what, int fd)
{
    if (books.misuse[0] == '\0') snprintf(books.misuse, sizeof books.misuse, "%s, descriptor %d", what, fd);
}

static descriptor *books_of(int fd, bool file, const char *what)
{
    static descriptor none;
    if (fd >= 0 && fd < (int)COUNT(descriptors) && descriptors[fd].open && descriptors[fd].file == file)
        return &descriptors[fd];
    books_misuse(what, fd);
    memset(&none, 0, sizeof none);
    return &none;
}

static int books_opened(int fd, bool file)
{
    if (fd < 0) return fd;
    assert(fd < (int)COUNT(descriptors));
    memset(&descriptors[fd], 0, sizeof descriptors[fd]);
    descriptors[fd].open = true;
    descriptors[fd].file = file;
    return fd;
}

static int books_open_now(void)
{
    size_t i;
    int n = 0;
    for (i = 0; i < COUNT(descriptors); i++) n += descriptors[i].open;
    return n;
}

static size_t books_sent(const char *action)
{
    size_t i, n = 0;
    for (i = 0; i < books.sent_count; i++)
        if (action == NULL || strcmp(books.sent[i].action, action) == 0) n += books.sent[i].bytes;
    return n;
}

static void books_add_byte(void)
{
    size_t i;
    for (i = 0; i < books.sent_count && strcmp(books.sent[i].action, books.action) != 0; i++) {}
    if (i == COUNT(books.sent)) return;
    if (i == books.sent_count) {
        memcpy(books.sent[i].action, books.action, sizeof books.action);
        books.sent[books.sent_count++].bytes = 0;
    }
    books.sent[i].bytes++;
}

/* Follows the records of a connection: what a record of type 23 carries is a request. */
static void books_look(descriptor *d, const unsigned char *src, size_t len)
{
    for (; len > 0; src++, len--) {
        if (!d->in_tls) {
            if (d->newline == 0 && d->header_len == 0 && *src == 22) d->in_tls = true;
            else {
                d->header_len = 1;      /* there was something in the open */
                d->newline = *src == "\r\n\r\n"[d->newline] ? d->newline + 1 : 0;
                if (d->newline == 4) d->header_len = d->newline = 0;
                continue;
            }
        }
        if (d->body_left > 0) d->body_left--;
        else {
            d->header[d->header_len++] = *src;
            if (d->header_len == 5) {
                d->header_len = 0;
                d->body_left = (size_t)d->header[3] << 8 | d->header[4];
            }
        }
        if (d->header[0] == 23) books_add_byte();
    }
}

/* A request is about to be encrypted: whose bytes leave next can be read here only. */
void __wrap_br_ssl_engine_sendapp_ack(br_ssl_engine_context *cc, size_t len)
{
    size_t cap, i, n;
    const unsigned char *at = br_ssl_engine_sendapp_buf(cc, &cap);
    for (i = 0; i + 7 < len; i++)
        if (memcmp(at + i, "Action=", 7) == 0) {
            for (n = 0, i += 7; i < len && at[i] != '&' && n + 1 < sizeof books.action; i++)
                books.action[n++] = (char)at[i];
            books.action[n] = '\0';
        }
    __real_br_ssl_engine_sendapp_ack(cc, len);
}

/* ---- whether it goes wrong now ---- */

/* What a system says that gives up altogether. */
static const kind *faults_hard(int operation)
{
    static const kind rows[] = {
        { SOCKET, "", FAIL, EMFILE, 0 }, { CONNECT, "", FAIL, ENETUNREACH, 0 }, { POLL, "", FAIL, ENOMEM, 0 },
        { GETSOCKOPT, "", FAIL, ENOBUFS, 0 }, { SEND, "", FAIL, EPIPE, 0 }, { RECV, "", FAIL, EIO, 0 },
        { CLOSE, "", DONE_BUT, EIO, 0 }, { GETADDRINFO, "", ANSWER, EAI_SYSTEM, 0 }, { OPEN, "", FAIL, EMFILE, 0 },
        { PREAD, "", FAIL, EIO, 0 }, { FSTAT, "", FAIL, EIO, 0 }, { CLOCK, "", FAIL, EINVAL, 0 }, { TIME, "", ANSWER,
            -1, 0 },
        { GETRANDOM, "", FAIL, ENOSYS, 0 }, { IO_OPEN, "", ANSWER, COMPSHARE_E_CONNECT, 0 },
        { IO_SEND, "", ANSWER, COMPSHARE_E_IO, 0 }, { IO_RECV, "", ANSWER, COMPSHARE_E_IO, 0 },
        { IO_WAIT, "", ANSWER, COMPSHARE_E_IO, 0 }, { IO_FD, "", ANSWER, -1, 0 }
    };
    return &rows[operation];
}

/* Counts an operation. NULL: it goes well. A step is the caller's, not the system's. */
static const kind *faults_now(int operation)
{
    const fault *f = &books.fault;
    unsigned n, all;
    if (!books.armed) return NULL;
    n = ++books.seen[operation];
    all = books.seen[ANY] += operation != STEP;
    if (f->kind == NULL) return NULL;
    if (f->kind->operation == ANY) {
        if (operation == STEP || all < f->k) return NULL;
        books.reached = true;
        return faults_hard(operation);
    }
    if (f->kind->operation != operation || n < f->k) return NULL;
    if (f->mode == ONCE && n > f->k) return NULL;
    if (f->mode == STORMY && n >= f->k + STORM) return NULL;
    books.reached = true;
    return f->kind;
}

static void faults_stall(descriptor *d)
{
    if (books.fault.mode == ONWARD) books.all_stalled = true;
    else d->stalled = true;
}

static bool faults_stalled(const descriptor *d)
{
    return d->stalled || books.all_stalled;
}

static int faults_fail(int value)
{
    errno = value;
    return -1;
}

/* Ends a connection for real, below both ends. */
static void faults_end(int fd, int effect)
{
    struct sockaddr nowhere;
    memset(&nowhere, 0, sizeof nowhere);
    nowhere.sa_family = AF_UNSPEC;      /* Linux resets a connection that is dissolved */
    if (effect == SHUT || __real_connect(fd, &nowhere, sizeof nowhere) != 0) (void)shutdown(fd, SHUT_RDWR);
}

/* ---- sockets ---- */

int __wrap_socket(int family, int type, int protocol)
{
    const kind *k = faults_now(SOCKET);
    if (k != NULL) return faults_fail(k->value);
    return books_opened(__real_socket(family, type, protocol), false);
}

int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len)
{
    descriptor *d = books_of(fd, false, "connect");
    const kind *k = faults_now(CONNECT);
    int r;
    if (k != NULL && k->effect == FAIL) return faults_fail(k->value);
    if (k != NULL && k->effect == STALL) faults_stall(d);
    if (faults_stalled(d)) return faults_fail(EINPROGRESS);
    r = __real_connect(fd, to, len);
    return k != NULL ? faults_fail(k->value) : r;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    const kind *k = faults_now(GETSOCKOPT);
    (void)books_of(fd, false, "getsockopt");
    if (k == NULL) return __real_getsockopt(fd, level, name, value, len);
    if (k->effect == FAIL) return faults_fail(k->value);
    memcpy(value, &k->value, sizeof k->value);
    return 0;
}

ssize_t __wrap_send(int fd, const void *src, size_t len, int flags)
{
    descriptor *d = books_of(fd, false, "send");
    const kind *k = faults_now(SEND);
    bool brief = k != NULL && (k->effect == BRIEF || k->effect == PART_CUT || k->effect == PART_STALL);
    ssize_t n;
    if (!(flags & MSG_NOSIGNAL)) books_misuse("send that may raise SIGPIPE", fd);
    if (len == 0) books_misuse("send of nothing", fd);
    if (k != NULL && k->effect == FAIL) return faults_fail(k->value);
    if (k != NULL && k->effect == STALL) faults_stall(d);
    if (faults_stalled(d)) return faults_fail(EAGAIN);
    d->blind = false;
    if (k != NULL && k->effect == SWALLOW) {
        faults_stall(d);
        books_look(d, (const unsigned char *)src, len);
        return (ssize_t)len;
    }
    n = __real_send(fd, src, brief ? 1 : len, flags);
    if (n > 0) books_look(d, (const unsigned char *)src, (size_t)n);
    if (k != NULL && (k->effect == SHUT || k->effect == CUT || k->effect == PART_CUT)) faults_end(fd, k->effect);
    if (k != NULL && k->effect == PART_STALL) faults_stall(d);
    return n;
}

ssize_t __wrap_recv(int fd, void *dst, size_t cap, int flags)
{
    descriptor *d = books_of(fd, false, "recv");
    const kind *k = faults_now(RECV);
    ssize_t n;
    int error;
    if (cap == 0) books_misuse("recv of nothing", fd);
    if (k != NULL && k->effect == FAIL) return faults_fail(k->value);
    if (k != NULL && k->effect == ANSWER) return k->value;
    if (k != NULL && k->effect == STALL) faults_stall(d);
    if (faults_stalled(d) || d->blind) return faults_fail(EAGAIN);
    n = __real_recv(fd, dst, k != NULL && k->effect == BRIEF ? 1 : cap, flags);
    error = errno;
    if (k != NULL && (k->effect == SHUT || k->effect == CUT)) faults_end(fd, k->effect);
    errno = error;
    return n;
}

int __wrap_close(int fd)
{
    const kind *k = faults_now(CLOSE);
    int r;
    if (fd < 0 || fd >= (int)COUNT(descriptors) || !descriptors[fd].open) {
        books_misuse("close of what is not open", fd);
        return faults_fail(EBADF);
    }
    descriptors[fd].open = false;
    r = __real_close(fd);
    return k != NULL ? faults_fail(k->value) : r;
}

/* ---- waiting ---- */

/* Real time passes only while the peer has something to do, and no injected time then;
   where nothing is to come, the clock goes to where the wait would have ended. */
static int faults_wait(int fd, short events, int timeout_ms, short *revents)
{
    struct pollfd pfd;
    int n;
    *revents = 0;
    books.passed += TICK_MS;
    if (fd >= 0 && events != 0 && !faults_stalled(books_of(fd, false, "poll"))) {
        pfd.fd = fd;
        pfd.events = events;
        pfd.revents = 0;
        n = __real_poll(&pfd, 1, timeout_ms > 0 ? SILENCE_MS : 0);
        *revents = pfd.revents;
        if (n != 0 || timeout_ms == 0) return n;
        books.hung = true;
    } else if (timeout_ms > 0 && books.on_pause != NULL) {
        books.on_pause((uint32_t)timeout_ms);
    }
    books.passed += (uint64_t)timeout_ms;
    return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    const kind *k = faults_now(POLL);
    if (count != 1 || timeout_ms < 0) books_misuse("poll without an end", -1);
    if (fds->fd >= 0) (void)books_of(fds->fd, false, "poll");
    fds->revents = 0;
    if (k == NULL) return faults_wait(fds->fd, fds->events, timeout_ms, &fds->revents);
    books.passed += TICK_MS;
    if (k->effect == FAIL) return faults_fail(k->value);
    if (k->effect == EARLY || fds->fd < 0) return 0;
    fds->revents = fds->events;
    return 1;
}

/* ---- names ---- */

/* The first address answers nobody: what fails with it has to go on with the second. */
static struct sockaddr_in faults_address[12];
static struct addrinfo faults_list[COUNT(faults_address)];

/* Puts the i-th address of a list of `count` there. */
static void faults_list_address(size_t i, size_t count, const char *service)
{
    memset(&faults_address[i], 0, sizeof faults_address[i]);
    memset(&faults_list[i], 0, sizeof faults_list[i]);
    faults_address[i].sin_family = AF_INET;
    faults_address[i].sin_port = htons((uint16_t)strtoul(service, NULL, 10));
    faults_address[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK + (i == 0 ? 1u : 0u));
    faults_list[i].ai_family = AF_INET;
    faults_list[i].ai_socktype = SOCK_STREAM;
    faults_list[i].ai_addrlen = sizeof faults_address[i];
    faults_list[i].ai_addr = (struct sockaddr *)(void *)&faults_address[i];
    faults_list[i].ai_next = i + 1 < count ? &faults_list[i + 1] : NULL;
}

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    const kind *k = faults_now(GETADDRINFO);
    size_t i, count = k != NULL && k->effect == CROWD ? COUNT(faults_list) : 2;
    if (strcmp(host, "localhost") != 0 || hints->ai_socktype != SOCK_STREAM)
        books_misuse("getaddrinfo for another host", -1);
    if (k != NULL && k->effect == ANSWER) {
        errno = EMFILE;         /* what EAI_SYSTEM means */
        return k->value;
    }
    for (i = 0; i < count; i++) faults_list_address(i, count, service);
    if (k != NULL && k->effect == FOREIGN) {
        faults_list[0].ai_family = AF_UNIX;
        faults_list[1].ai_addrlen = 128;
    }
    books.lists++;
    *list = faults_list;
    return 0;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
    if (list != faults_list || books.lists != 1) books_misuse("freeaddrinfo of no list", -1);
    books.lists--;
}

/* ---- files ---- */

int __wrap_open(const char *path, int flags, ...)
{
    const kind *k = faults_now(OPEN);
    if (flags & O_CREAT) books_misuse("open that creates", -1);
    if (k != NULL) return faults_fail(k->value);
    return books_opened(__real_open(path, flags), true);
}

ssize_t __wrap_pread(int fd, void *dst, size_t cap, off_t offset)
{
    const kind *k = faults_now(PREAD);
    (void)books_of(fd, true, "pread");
    if (k != NULL && k->effect == FAIL) return faults_fail(k->value);
    if (k != NULL && k->effect == ANSWER) return k->value;
    return __real_pread(fd, dst, k != NULL && k->effect == BRIEF ? 1 : cap, offset);
}

int __wrap_fstat(int fd, struct stat *s)
{
    const kind *k = faults_now(FSTAT);
    (void)books_of(fd, true, "fstat");
    return k != NULL ? faults_fail(k->value) : __real_fstat(fd, s);
}

/* ---- time and chance ---- */

static uint64_t faults_ms(void)
{
    return 1000000 + books.passed;
}

/* The clock that counts suspended time may be missing; the other one never fails. */
int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    const kind *k = id != CLOCK_MONOTONIC ? faults_now(CLOCK) : NULL;
    if (k != NULL && k->effect == FAIL) return faults_fail(k->value);
    if (k != NULL) books.leapt += 3600000;
    if (k != NULL) books.passed += 3600000;
    out->tv_sec = (time_t)(faults_ms() / 1000);
    out->tv_nsec = (long)(faults_ms() % 1000) * 1000000;
    return 0;
}

time_t __wrap_time(time_t *out)
{
    const kind *k = faults_now(TIME);
    if (out != NULL) books_misuse("time into a variable", -1);
    return k != NULL ? (time_t)k->value : (time_t)(books.since + (int64_t)(books.passed / 1000));
}

ssize_t __wrap_getrandom(void *dst, size_t len, unsigned flags)
{
    const kind *k = faults_now(GETRANDOM);
    if (flags == 0) books_misuse("getrandom that may block", -1);
    if (k != NULL && k->effect == FAIL) return faults_fail(k->value);
    return __real_getrandom(dst, k != NULL && k->effect == BRIEF ? 1 : len, flags);
}

/* ---- a transport of the caller's own ---- */

static compshare__posix io_posix;
static compshare_transport io_inner;

static uint64_t io_monotonic_ms(void *user) { (void)user; return faults_ms(); }

static int io_open(void *user, const char *host, uint16_t port)
{
    const kind *k = faults_now(IO_OPEN);
    (void)user;
    return k != NULL ? k->value : io_inner.open(io_inner.user, host, port);
}

static ptrdiff_t io_send(void *user, const void *src, size_t len)
{
    const kind *k = faults_now(IO_SEND);
    (void)user;
    if (k != NULL && k->effect == ANSWER) return k->value;
    if (k != NULL && k->effect == TOO_MUCH) return (ptrdiff_t)len + 1;
    return io_inner.send(io_inner.user, src, k != NULL ? 1 : len);
}

static ptrdiff_t io_recv(void *user, void *dst, size_t cap)
{
    const kind *k = faults_now(IO_RECV);
    (void)user;
    if (k != NULL && k->effect == ANSWER) return k->value;
    if (k != NULL && k->effect == TOO_MUCH) return (ptrdiff_t)cap + 1;
    return io_inner.recv(io_inner.user, dst, k != NULL ? 1 : cap);
}

static int io_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    const kind *k = faults_now(IO_WAIT);
    (void)user;
    if (k != NULL) books.passed += TICK_MS;
    if (k != NULL) return k->effect == ANSWER ? k->value : COMPSHARE_OK;
    return io_inner.wait(io_inner.user, want, timeout_ms);
}

static void io_close(void *user)
{
    (void)user;
    io_inner.close(io_inner.user);
}

static int io_fd(void *user)
{
    const kind *k = faults_now(IO_FD);
    (void)user;
    return k != NULL ? k->value : io_inner.fd(io_inner.user);
}

static const compshare_transport io_transport = { NULL, io_open, io_send, io_recv, io_wait, io_close, io_fd };

static void io_init(void)
{
    compshare__posix_init(&io_posix, &io_inner);
    io_posix.monotonic_ms = io_monotonic_ms;
    io_posix.deadline = UINT64_MAX;
}

/* ---- arming ---- */

/* A new client: no book of the last one counts any more. */
static void faults_clear(void)
{
    memset(&books, 0, sizeof books);
    memset(descriptors, 0, sizeof descriptors);
    books.since = (int64_t)__real_time(NULL);
    io_init();
}

static void faults_arm(const fault *f)
{
    books.fault = *f;
    books.begun = books.passed;
    books.sent_count = 0;
    books.armed = true;
}

/* The fault is lifted, and what it has done to connections. */
static void faults_disarm(void)
{
    size_t i;
    books.armed = books.all_stalled = false;
    for (i = 0; i < COUNT(descriptors); i++) descriptors[i].stalled = false;
}

#endif
