/* A raw TLS (or plain TCP) server driven by scripts, for what an HTTP library
   will not send: malformed answers, half records, stalled or cut handshakes,
   connections that end without close_notify. README.md has the manual.

   One thread per connection. Test tool only: it lowers the security level of
   OpenSSL to 0 so that obsolete protocols and weak certificates really work. */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <openssl/err.h>
#include <openssl/ssl.h>

#define RECORD 16384u
#define HEAD_MAX 65536u

/* ---- scripts ---- */

enum op {
    OP_ACCEPT_DELAY, OP_REFUSE, OP_STALL, OP_STALL_HANDSHAKE, OP_CUT_HANDSHAKE,
    OP_HANDSHAKE, OP_READ_REQUEST, OP_READ, OP_READ_RAW, OP_SEND, OP_SEND_FILE,
    OP_SEND_REPEAT, OP_SEND_BYTES, OP_SEND_RAW, OP_SLEEP, OP_CLOSE, OP_ABORT,
    OP_RESET, OP_HALF_CLOSE, OP_LOOP, OP_RENEGOTIATE
};

enum {
    SHAKES = 1, /* makes the handshake if there was none yet */
    ENDS = 2,   /* nothing can follow */
    EARLY = 4,  /* must precede every handshake */
    TLS = 8,    /* not with --plain */
    IO = 16     /* waits or does I/O: a loop needs one of these */
};

static const struct {
    const char *name;
    const char *args; /* n: number, t: text, f: file */
    unsigned flags;
} OPS[] = {
    [OP_ACCEPT_DELAY] = {"accept-delay", "n", EARLY},
    [OP_REFUSE] = {"refuse", "", ENDS | EARLY},
    [OP_STALL] = {"stall", "", ENDS},
    [OP_STALL_HANDSHAKE] = {"stall-handshake", "n", ENDS | EARLY | TLS},
    [OP_CUT_HANDSHAKE] = {"cut-handshake", "n", ENDS | EARLY | TLS},
    [OP_HANDSHAKE] = {"handshake", "", SHAKES},
    [OP_READ_REQUEST] = {"read-request", "", SHAKES | IO},
    [OP_READ] = {"read", "n", SHAKES | IO},
    [OP_READ_RAW] = {"read-raw", "n", IO},
    [OP_SEND] = {"send", "t", SHAKES | IO},
    [OP_SEND_FILE] = {"send-file", "f", SHAKES | IO},
    [OP_SEND_REPEAT] = {"send-repeat", "nt", SHAKES | IO},
    [OP_SEND_BYTES] = {"send-bytes", "nt", SHAKES | IO},
    [OP_SEND_RAW] = {"send-raw", "t", IO},
    [OP_SLEEP] = {"sleep", "n", IO},
    [OP_CLOSE] = {"close", "", ENDS},
    [OP_ABORT] = {"abort", "", ENDS},
    [OP_RESET] = {"reset", "", ENDS},
    [OP_HALF_CLOSE] = {"half-close", "", SHAKES},
    [OP_LOOP] = {"loop", "", ENDS},
    [OP_RENEGOTIATE] = {"renegotiate", "", SHAKES | TLS},
};

struct cmd {
    enum op op;
    uint32_t n;
    unsigned char *data;
    size_t len;
};

struct script {
    struct cmd *cmds;
    size_t count;
};

static int plain;
static SSL_CTX *ctx;
static const char *alpn;
static struct script *scripts;
static size_t script_count;
static FILE *log_file;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* log_file, active */
static unsigned active;
static volatile sig_atomic_t stop;

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(2);
}

static void *grow(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);
    if (p == NULL)
        die("raw_server: out of memory");
    return p;
}

/* The place in a script that a complaint is about. */
struct where {
    const char *file;
    unsigned long line;
};

/* Each parse_ reads one argument of a command and moves on behind it. */
static uint32_t parse_number(const char **pp, struct where w)
{
    const char *p = *pp;
    uint64_t v = 0;

    if (!isdigit((unsigned char)*p))
        die("%s:%lu: a number is missing", w.file, w.line);
    for (; isdigit((unsigned char)*p); p++) {
        v = v * 10 + (unsigned)(*p - '0');
        if (v > UINT32_MAX)
            die("%s:%lu: number too large", w.file, w.line);
    }
    if (*p != '\0' && *p != ' ' && *p != '\t')
        die("%s:%lu: bad number", w.file, w.line);
    *pp = p;
    return (uint32_t)v;
}

static unsigned hex_digit(char c, struct where w)
{
    static const char digits[] = "0123456789abcdef";
    const char *d = c == '\0' ? NULL : strchr(digits, tolower((unsigned char)c));

    if (d == NULL)
        die("%s:%lu: \\x needs two hexadecimal digits", w.file, w.line);
    return (unsigned)(d - digits);
}

static void parse_text(const char **pp, struct cmd *c, struct where w)
{
    const char *p = *pp;
    unsigned value;

    if (*p++ != '"')
        die("%s:%lu: a \"text\" is missing", w.file, w.line);
    c->data = grow(NULL, strlen(p));
    for (; *p != '"'; p++) {
        if (*p == '\0')
            die("%s:%lu: the text has no closing quote", w.file, w.line);
        value = (unsigned char)*p;
        if (*p == '\\') {
            switch (*++p) {
            case 'r': value = '\r'; break;
            case 'n': value = '\n'; break;
            case 't': value = '\t'; break;
            case '\\': value = '\\'; break;
            case '"': value = '"'; break;
            case 'x':
                value = hex_digit(p[1], w) * 16;
                value += hex_digit(p[2], w);
                p += 2;
                break;
            default: die("%s:%lu: unknown escape", w.file, w.line);
            }
        }
        c->data[c->len++] = (unsigned char)value;
    }
    *pp = p + 1;
}

/* A file name is relative to the directory of the script. */
static void load_file(const char **pp, struct cmd *c, struct where w)
{
    const char *name = *pp, *slash = strrchr(w.file, '/');
    size_t name_len = strlen(name), dir_len = 0, got;
    char *path;
    FILE *f;

    while (name_len > 0 && isspace((unsigned char)name[name_len - 1]))
        name_len--;
    if (name_len == 0)
        die("%s:%lu: a file name is missing", w.file, w.line);
    if (name[0] != '/' && slash != NULL)
        dir_len = (size_t)(slash - w.file) + 1;
    path = grow(NULL, dir_len + name_len + 1);
    memcpy(path, w.file, dir_len);
    memcpy(path + dir_len, name, name_len);
    path[dir_len + name_len] = '\0';
    f = fopen(path, "rb");
    if (f == NULL)
        die("%s:%lu: %s: %s", w.file, w.line, path, strerror(errno));
    do {
        c->data = grow(c->data, c->len + 65536);
        got = fread(c->data + c->len, 1, 65536, f);
        c->len += got;
    } while (got > 0);
    if (ferror(f))
        die("%s:%lu: %s: cannot read", w.file, w.line, path);
    fclose(f);
    free(path);
    *pp = name + strlen(name);
}

/* Reads one command; what it needs of arguments stands in OPS. */
static void parse_line(const char *p, struct cmd *c, struct where w)
{
    size_t len = strcspn(p, " \t"), i = 0;
    const char *a;

    while (strlen(OPS[i].name) != len || memcmp(OPS[i].name, p, len) != 0)
        if (++i == sizeof OPS / sizeof OPS[0])
            die("%s:%lu: unknown command: %.*s", w.file, w.line, (int)len, p);
    c->op = (enum op)i;
    if (plain && OPS[i].flags & TLS)
        die("%s:%lu: %s needs TLS", w.file, w.line, OPS[i].name);
    p += len;
    for (a = OPS[i].args; *a != '\0'; a++) {
        p += strspn(p, " \t");
        if (*a == 'n')
            c->n = parse_number(&p, w);
        else if (*a == 't')
            parse_text(&p, c, w);
        else
            load_file(&p, c, w);
    }
    p += strspn(p, " \t");
    if (*p != '\0' && *p != '#')
        die("%s:%lu: too much after %s", w.file, w.line, OPS[i].name);
}

/* Adds one command to a script. seen: the flags of those before it. */
static void add_command(struct script *s, const char *line, unsigned *seen, struct where w)
{
    struct cmd *cmd;
    unsigned flags;

    if (*seen & ENDS)
        die("%s:%lu: this can never be reached", w.file, w.line);
    s->cmds = grow(s->cmds, (s->count + 1) * sizeof *s->cmds);
    cmd = &s->cmds[s->count++];
    memset(cmd, 0, sizeof *cmd);
    parse_line(line, cmd, w);
    flags = OPS[cmd->op].flags;
    if (flags & EARLY && *seen & SHAKES)
        die("%s:%lu: too late, after the handshake", w.file, w.line);
    if (cmd->op == OP_LOOP && !(*seen & IO))
        die("%s:%lu: the loop would never wait", w.file, w.line);
    *seen |= flags;
}

/* Reads a script and refuses what could never run. */
static void load_script(const char *name, struct script *s)
{
    struct where w = {name, 0};
    unsigned seen = 0;
    char *line = NULL;
    size_t size = 0, len;
    ssize_t got;
    FILE *f = fopen(name, "r");

    s->cmds = NULL;
    s->count = 0;
    if (f == NULL)
        die("%s:0: %s", name, strerror(errno));
    while ((got = getline(&line, &size, f)) >= 0) {
        const char *p = line;

        w.line++;
        len = (size_t)got;
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            line[--len] = '\0';
        if (strlen(line) != len)
            die("%s:%lu: a zero byte", name, w.line);
        p += strspn(p, " \t");
        if (*p != '\0' && *p != '#')
            add_command(s, p, &seen, w);
    }
    if (ferror(f))
        die("%s:%lu: %s", name, w.line, strerror(errno));
    free(line);
    fclose(f);
}

/* ---- one connection ---- */

struct conn {
    unsigned long id;
    int fd;
    int up; /* ready for data: the handshake is done, or --plain */
    SSL *ssl;
    unsigned char buf[HEAD_MAX];
};

/* One line of the log; README.md lists what it can say. */
static void note(const struct conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(const struct conn *c, const char *fmt, ...)
{
    char text[512], *p;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (p = text; *p != '\0'; p++)
        if (!isprint((unsigned char)*p)) /* names come from the network */
            *p = '?';
    pthread_mutex_lock(&lock);
    fprintf(log_file, "conn %lu %s\n", c->id, text);
    fflush(log_file);
    pthread_mutex_unlock(&lock);
}

static void pause_ms(uint32_t ms)
{
    struct timespec t;

    t.tv_sec = (time_t)(ms / 1000);
    t.tv_nsec = (long)(ms % 1000) * 1000000;
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        continue;
}

/* Says why rc is not what it should be. */
static void note_failure(const struct conn *c, const char *what, int rc)
{
    int saved = errno;
    unsigned long e = c->ssl != NULL ? ERR_peek_last_error() : 0;
    const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;

    if (reason == NULL)
        reason = rc < 0 && saved != 0 ? strerror(saved) : "end of stream";
    note(c, "%s failed: %s", what, reason);
}

/* Bytes read, or 0 when there is no more, which is logged. */
static size_t get(struct conn *c, void *buf, size_t n)
{
    int rc;

    if (n > RECORD)
        n = RECORD;
    ERR_clear_error();
    errno = 0;
    if (c->ssl == NULL) {
        do
            rc = (int)recv(c->fd, buf, n, 0);
        while (rc < 0 && errno == EINTR);
        if (rc == 0)
            note(c, "eof");
        else if (rc < 0)
            note_failure(c, "read", rc);
    } else {
        rc = SSL_read(c->ssl, buf, (int)n);
        if (rc <= 0 && SSL_get_error(c->ssl, rc) == SSL_ERROR_ZERO_RETURN)
            note(c, "eof close_notify");
        else if (rc <= 0 && ERR_GET_REASON(ERR_peek_last_error()) ==
                SSL_R_UNEXPECTED_EOF_WHILE_READING)
            note(c, "eof");
        else if (rc <= 0)
            note_failure(c, "read", rc);
    }
    return rc > 0 ? (size_t)rc : 0;
}

/* Each put_ answers 0 where the peer is gone, which is logged. */
static int put_raw(const struct conn *c, const unsigned char *p, size_t n)
{
    while (n > 0) {
        ssize_t rc = send(c->fd, p, n, MSG_NOSIGNAL);

        if (rc < 0 && errno == EINTR)
            continue;
        if (rc < 0) {
            ERR_clear_error();
            note_failure(c, "write", -1);
            return 0;
        }
        p += rc;
        n -= (size_t)rc;
    }
    return 1;
}

static int put(const struct conn *c, const unsigned char *p, size_t n)
{
    if (c->ssl == NULL)
        return put_raw(c, p, n);
    while (n > 0) {
        size_t part = n < RECORD ? n : RECORD;
        int rc;

        ERR_clear_error();
        errno = 0;
        rc = SSL_write(c->ssl, p, (int)part);
        if (rc <= 0) {
            note_failure(c, "write", rc);
            return 0;
        }
        p += rc;
        n -= (size_t)rc;
    }
    return 1;
}

/* Sends the text n times, in records as full as they can be. */
static int put_repeated(struct conn *c, const struct cmd *cmd)
{
    uint64_t left = (uint64_t)cmd->n * cmd->len;
    size_t at = 0, n;

    while (left > 0) {
        for (n = 0; n < RECORD && n < left; n++) {
            c->buf[n] = cmd->data[at++];
            if (at == cmd->len)
                at = 0;
        }
        if (!put(c, c->buf, n))
            return 0;
        left -= n;
    }
    return 1;
}

static int put_bytes(const struct conn *c, const struct cmd *cmd)
{
    size_t i;

    for (i = 0; i < cmd->len; i++) {
        if (i > 0)
            pause_ms(cmd->n);
        if (!put(c, cmd->data + i, 1))
            return 0;
    }
    return 1;
}

/* Reads n bytes and forgets them; 0 where the stream ended before. */
static int discard(struct conn *c, uint64_t n)
{
    while (n > 0) {
        size_t got = get(c, c->buf, n < sizeof c->buf ? (size_t)n : sizeof c->buf);

        if (got == 0)
            return 0;
        n -= got;
    }
    return 1;
}

static int discard_raw(struct conn *c, uint64_t n, int flags)
{
    while (n > 0) {
        ssize_t got = recv(c->fd, c->buf, n < sizeof c->buf ? (size_t)n : sizeof c->buf, flags);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        n -= (size_t)got;
    }
    return 1;
}

/* Reads one HTTP request, with its body. */
static int read_request(struct conn *c)
{
    size_t n = 0, line = 0;
    uint64_t body = 0;
    static const char field[] = "content-length:";

    for (;;) { /* one byte at a time, so as not to take the next request */
        if (n + 1 >= sizeof c->buf) {
            note(c, "read failed: request head too long");
            return 0;
        }
        if (get(c, c->buf + n, 1) == 0) {
            if (n > 0)
                note(c, "request cut after %zu bytes", n);
            return 0;
        }
        if (c->buf[n++] != '\n')
            continue;
        c->buf[n] = '\0';
        if (n - line == 2 && c->buf[line] == '\r')
            break;
        if (strncasecmp((char *)c->buf + line, field, sizeof field - 1) == 0)
            body = strtoull((char *)c->buf + line + sizeof field - 1, NULL, 10);
        line = n;
    }
    if (!discard(c, body)) {
        note(c, "request cut in its body");
        return 0;
    }
    note(c, "request %llu bytes", (unsigned long long)(n + body));
    return 1;
}

static void on_info(const SSL *ssl, int where, int value)
{
    const struct conn *c = SSL_get_app_data(ssl);

    if (where == SSL_CB_READ_ALERT)
        note(c, "alert %s %s", SSL_alert_type_string_long(value),
             SSL_alert_desc_string_long(value));
}

/* Makes the handshake unless it is made; 0 where it failed. */
static int handshake(struct conn *c)
{
    const char *sni;
    int rc;

    if (c->up)
        return 1;
    ERR_clear_error();
    errno = 0;
    rc = SSL_accept(c->ssl);
    sni = SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
    if (sni != NULL)
        note(c, "sni %s", sni);
    if (rc != 1) {
        note_failure(c, "handshake", rc);
        return 0;
    }
    c->up = 1;
    note(c, "handshake %s %s resumed=%d", SSL_get_version(c->ssl),
         SSL_get_cipher_name(c->ssl), SSL_session_reused(c->ssl));
    return 1;
}

/* Makes the handshake through memory BIOs and sends only the first bytes of
   what the server has to say. */
static void part_handshake(struct conn *c, size_t limit)
{
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    size_t sent = 0;
    ssize_t got;
    int rc, n, why;

    if (in == NULL || out == NULL)
        die("raw_server: out of memory");
    SSL_set_bio(c->ssl, in, out);
    for (;;) {
        ERR_clear_error();
        rc = SSL_accept(c->ssl);
        why = SSL_get_error(c->ssl, rc);
        if (rc <= 0 && why != SSL_ERROR_WANT_READ)
            note_failure(c, "handshake", rc);
        while (sent < limit && BIO_ctrl_pending(out) > 0) {
            n = BIO_read(out, c->buf, (int)(limit - sent < RECORD ? limit - sent : RECORD));
            if (n <= 0 || !put_raw(c, c->buf, (size_t)n))
                return;
            sent += (size_t)n;
        }
        if (BIO_ctrl_pending(out) > 0 || (sent > 0 && sent == limit) || rc == 1)
            break;
        if (why != SSL_ERROR_WANT_READ)
            return;
        do
            got = recv(c->fd, c->buf, RECORD, 0);
        while (got < 0 && errno == EINTR);
        if (got <= 0 || BIO_write(in, c->buf, (int)got) != (int)got) {
            note(c, "handshake failed: end of stream");
            return;
        }
    }
    note(c, "handshake cut after %zu bytes", sent);
}

static int renegotiate(struct conn *c)
{
    int ok = SSL_renegotiate(c->ssl) == 1 && SSL_do_handshake(c->ssl) == 1;

    note(c, ok ? "renegotiation asked for" : "renegotiation not possible");
    return 1;
}

static int half_close(const struct conn *c)
{
    if (c->ssl == NULL)
        shutdown(c->fd, SHUT_WR);
    else if (c->up)
        SSL_shutdown(c->ssl);
    return 1;
}

/* Runs the script; returns why it ended. */
static const char *run(struct conn *c, const struct script *s)
{
    size_t i;

    for (i = 0; i < s->count; i++) {
        const struct cmd *cmd = &s->cmds[i];
        int ok = 1;

        if (OPS[cmd->op].flags & SHAKES && !handshake(c))
            return "error";
        switch (cmd->op) {
        case OP_ACCEPT_DELAY:
        case OP_SLEEP: pause_ms(cmd->n); break;
        case OP_REFUSE: return "refuse";
        case OP_STALL_HANDSHAKE: part_handshake(c, cmd->n); /* fall through */
        case OP_STALL: discard_raw(c, UINT64_MAX, 0); return "stall";
        case OP_CUT_HANDSHAKE: part_handshake(c, cmd->n); return "cut";
        case OP_HANDSHAKE: break;
        case OP_READ_REQUEST: ok = read_request(c); break;
        case OP_READ: ok = discard(c, cmd->n); break;
        case OP_READ_RAW: ok = discard_raw(c, cmd->n, 0); break;
        case OP_SEND:
        case OP_SEND_FILE: ok = put(c, cmd->data, cmd->len); break;
        case OP_SEND_REPEAT: ok = put_repeated(c, cmd); break;
        case OP_SEND_BYTES: ok = put_bytes(c, cmd); break;
        case OP_SEND_RAW: ok = put_raw(c, cmd->data, cmd->len); break;
        case OP_CLOSE: half_close(c); return "close";
        case OP_ABORT: return "abort";
        case OP_RESET: return "reset";
        case OP_HALF_CLOSE: ok = half_close(c); break;
        case OP_LOOP: i = (size_t)-1; break;
        case OP_RENEGOTIATE: ok = renegotiate(c); break;
        }
        if (!ok)
            return "peer";
    }
    return "abort";
}

/* The thread of one connection. */
static void *serve(void *arg)
{
    struct conn *c = arg;
    size_t k = c->id <= script_count ? c->id - 1 : script_count - 1;
    struct linger hard = {1, 0};
    const char *end;

    if (!plain) {
        c->ssl = SSL_new(ctx);
        if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
            die("raw_server: out of memory");
        SSL_set_app_data(c->ssl, c);
    }
    c->up = plain;
    end = run(c, &scripts[k]);
    if (strcmp(end, "reset") == 0)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    else /* unread input would make the kernel send RST instead of FIN */
        discard_raw(c, (uint64_t)1 << 24, MSG_DONTWAIT);
    note(c, "end %s", end);
    note(c, "closed"); /* logged first: whoever sees the end can read the log */
    close(c->fd);
    if (c->ssl != NULL) {
        /* without this OpenSSL forgets the session if close_notify was not sent */
        if (c->up)
            SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(c->ssl);
    }
    free(c);
    OPENSSL_thread_stop();
    pthread_mutex_lock(&lock);
    active--;
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* ---- the server ---- */

/* Takes --alpn where the client offers it, and ends the handshake with an alert where it does not. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    size_t want = strlen(alpn);
    unsigned i;

    (void)ssl;
    (void)arg;
    for (i = 0; i < in_len && in[i] < in_len - i; i += in[i] + 1u) {
        if (in[i] == want && memcmp(in + i + 1, alpn, want) == 0) {
            *out = in + i + 1;
            *out_len = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int parse_version(const char *p)
{
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};

    if (p[0] != '1' || p[1] != '.' || p[2] < '0' || p[2] > '3')
        die("raw_server: --tls needs MIN-MAX, as in 1.2-1.2");
    return versions[p[2] - '0'];
}

static void tls_need(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "raw_server: %s:\n", what);
    ERR_print_errors_fp(stderr);
    exit(2);
}

/* One context for all connections, so that sessions can be resumed. */
static void tls_setup(const char *cert, const char *key, const char *tls, const char *ciphers)
{
    int lowest = parse_version(tls), highest;

    if (tls[3] != '-' || strlen(tls) != 7 || (highest = parse_version(tls + 4)) < lowest)
        die("raw_server: --tls needs MIN-MAX, as in 1.2-1.2");
    ctx = SSL_CTX_new(TLS_server_method());
    tls_need(ctx != NULL, "TLS");
    tls_need(SSL_CTX_set_min_proto_version(ctx, lowest) == 1 &&
             SSL_CTX_set_max_proto_version(ctx, highest) == 1, "--tls");
    tls_need(SSL_CTX_set_cipher_list(ctx, ciphers) == 1, "--ciphers");
    SSL_CTX_set_security_level(ctx, 0); /* last word over any @SECLEVEL */
    tls_need(SSL_CTX_use_certificate_chain_file(ctx, cert) == 1, cert);
    tls_need(SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1, key);
    SSL_CTX_set_dh_auto(ctx, 1);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
    tls_need(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"raw", 3) == 1, "TLS");
    SSL_CTX_set_info_callback(ctx, on_info);
    if (alpn != NULL)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
}

/* Listens, then shows the port: the file appears complete or not at all. */
static int listen_on(unsigned long port, const char *port_file)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    size_t name_len = strlen(port_file);
    char *temporary = grow(NULL, name_len + 5);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    FILE *f;

    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_port = htons((uint16_t)port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || fd >= FD_SETSIZE ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        die("raw_server: cannot listen: %s", strerror(errno));
    memcpy(temporary, port_file, name_len);
    memcpy(temporary + name_len, ".tmp", 5);
    f = fopen(temporary, "w");
    if (f == NULL || fprintf(f, "port=%u\n", (unsigned)ntohs(a.sin_port)) < 0 ||
        fclose(f) != 0 || rename(temporary, port_file) != 0)
        die("raw_server: %s: %s", port_file, strerror(errno));
    free(temporary);
    return fd;
}

static void start_connection(int fd, unsigned long id)
{
    struct conn *c = calloc(1, sizeof *c);
    int one = 1, flags = fcntl(fd, F_GETFL);
    pthread_t thread;

    if (c == NULL)
        die("raw_server: out of memory");
    c->id = id;
    c->fd = fd;
    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK); /* some systems inherit it */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    note(c, "accepted");
    pthread_mutex_lock(&lock);
    active++;
    pthread_mutex_unlock(&lock);
    if (pthread_create(&thread, NULL, serve, c) != 0)
        die("raw_server: cannot start a thread");
    pthread_detach(thread);
}

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static int usage(void)
{
    fputs("usage: raw_server [--cert FILE --key FILE | --plain] [--port N] --port-file FILE\n"
          "       [--tls MIN-MAX] [--ciphers LIST] [--alpn PROTO] [--log FILE] SCRIPT...\n",
          stderr);
    return 2;
}

/* What the command line asked for. */
struct setup {
    const char *cert, *key, *port_file, *tls, *ciphers, *log_name;
    unsigned long port;
    int first_script;   /* its index in argv */
};

/* Reads the command line; 0 where it is wrong. */
static int read_options(struct setup *setup, int argc, char **argv)
{
    const char *port = "0";
    const struct {
        const char *name, **value;
    } options[] = {{"--cert", &setup->cert}, {"--key", &setup->key}, {"--port", &port},
                   {"--port-file", &setup->port_file}, {"--tls", &setup->tls},
                   {"--ciphers", &setup->ciphers}, {"--alpn", &alpn}, {"--log", &setup->log_name}};
    const size_t option_count = sizeof options / sizeof options[0];
    char *end;
    size_t k;
    int i;

    for (i = 1; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--plain") == 0) {
            plain = 1;
            continue;
        }
        for (k = 0; k < option_count && strcmp(argv[i], options[k].name) != 0; k++)
            continue;
        if (k == option_count || ++i == argc)
            return 0;
        *options[k].value = argv[i];
    }
    setup->first_script = i;
    errno = 0;
    setup->port = strtoul(port, &end, 10);
    return i < argc && setup->port_file != NULL && plain == (setup->cert == NULL) &&
           plain == (setup->key == NULL) && isdigit((unsigned char)*port) && *end == '\0' &&
           setup->port <= 65535;
}

/* Blocks SIGTERM and SIGINT. waiting: the mask for pselect(), inside which alone they are
   delivered. */
static void catch_signals(sigset_t *waiting)
{
    struct sigaction action;
    sigset_t blocked;

    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    action.sa_handler = on_signal;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, waiting);
    sigdelset(waiting, SIGTERM);
    sigdelset(waiting, SIGINT);
}

/* Accepts connections until a signal. */
static void serve_all(int listener, const sigset_t *waiting)
{
    unsigned long id = 0;

    while (!stop) {
        fd_set ready;
        int fd;

        FD_ZERO(&ready);
        FD_SET(listener, &ready);
        if (pselect(listener + 1, &ready, NULL, NULL, NULL, waiting) <= 0)
            continue;
        fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            start_connection(fd, ++id);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            pause_ms(20);
    }
}

/* Frees everything, unless a connection is still being served. */
static int clean_up(int listener)
{
    size_t k, m;
    int idle;

    pthread_mutex_lock(&lock);
    idle = active == 0;
    pthread_mutex_unlock(&lock);
    if (!idle)
        _exit(0); /* connections are still being served: leave them no chance */
    close(listener);
    SSL_CTX_free(ctx);
    for (k = 0; k < script_count; k++) {
        for (m = 0; m < scripts[k].count; m++)
            free(scripts[k].cmds[m].data);
        free(scripts[k].cmds);
    }
    free(scripts);
    return fclose(log_file) == 0 ? 0 : 1;
}

/* Ends with the process that started this one; 0 where that has ended already. */
static int end_with_parent(void)
{
#ifdef __linux__
    pid_t parent = getppid();

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    return getppid() == parent;
#else
    return 1;
#endif
}

int main(int argc, char **argv)
{
    struct setup setup = {NULL, NULL, NULL, "1.2-1.2", "DEFAULT", NULL, 0, 0};
    sigset_t waiting;
    size_t k;
    int listener;

    if (!end_with_parent())
        return 0;
    if (!read_options(&setup, argc, argv))
        return usage();

    remove(setup.port_file); /* nobody shall read the port of an earlier run */
    script_count = (size_t)(argc - setup.first_script);
    scripts = grow(NULL, script_count * sizeof *scripts);
    for (k = 0; k < script_count; k++)
        load_script(argv[setup.first_script + (int)k], &scripts[k]);
    log_file = setup.log_name != NULL ? fopen(setup.log_name, "a") : stdout;
    if (log_file == NULL)
        die("raw_server: %s: %s", setup.log_name, strerror(errno));
    if (!plain)
        tls_setup(setup.cert, setup.key, setup.tls, setup.ciphers);
    catch_signals(&waiting);
    listener = listen_on(setup.port, setup.port_file);
    serve_all(listener, &waiting);
    return clean_up(listener);
}
