/* What the fuzz targets share: the code under test, checks that abort, and a reader
   of HTTP that is written from RFC 9112 alone, to hold the one of compshare.h against. */

#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- checks ---- */

static inline void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

#define CHECK(condition) do { if (!(condition)) fuzz_fail(__FILE__, __LINE__, #condition); } while (0)

/* Every copy is exactly as long as its data, so that sanitizers see the end. */
static inline void *fuzz_room(size_t len)
{
    void *room = malloc(len > 0 ? len : 1);
    if (room == NULL) exit(2);
    return room;
}

static inline void *fuzz_copy(const void *src, size_t len)
{
    void *copy = fuzz_room(len);
    if (len > 0) memcpy(copy, src, len);
    return copy;
}

static inline char *fuzz_string(const void *src, size_t len)
{
    char *copy = (char *)fuzz_room(len + 1);
    if (len > 0) memcpy(copy, src, len);
    copy[len] = '\0';
    return copy;
}

static inline bool fuzz_same(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* A NUL stands within the array, and nothing but printable characters before it where
   clean is asked for. */
static inline bool fuzz_is_text(const char *s, size_t cap, bool clean)
{
    size_t i;
    for (i = 0; i < cap && s[i] != '\0'; i++)
        if (clean && ((unsigned char)s[i] < 0x20 || s[i] == 0x7F)) return false;
    return i < cap;
}
#define CHECK_TEXT(array) CHECK(fuzz_is_text((array), sizeof (array), true))

/* ---- sizes of pieces, from a few bytes that are used in turn ---- */

typedef struct pieces {
    const uint8_t *sizes;
    size_t count, next;
} pieces;

static inline size_t fuzz_piece(pieces *p, size_t most)
{
    size_t n = p->sizes[p->next++ % p->count];
    if (n == 0) n = 1;
    return n < most ? n : most;
}

/* ---- HTTP by the book ---- */

enum { REPLY_BAD = -1, REPLY_PART, REPLY_WHOLE };

typedef struct reply {
    int verdict;
    int status, minor;
    unsigned interim;
    bool tunnel;                /* the answer to CONNECT: both framing fields are ignored */
    bool chunked, has_length, other_coding, saw_close, saw_keep_alive, encoded;
    uint64_t length;
    char content_type[128];
    unsigned char *body;        /* reply_free */
    size_t body_len, used;
} reply;

typedef struct span { const unsigned char *at; size_t len; } span;

static inline void reply_free(reply *r)
{
    free(r->body);
    r->body = NULL;
}

static inline bool reply_blank(unsigned c) { return c == ' ' || c == '\t'; }

static inline span reply_trim(span s)
{
    while (s.len > 0 && reply_blank(s.at[0])) { s.at++; s.len--; }
    while (s.len > 0 && reply_blank(s.at[s.len - 1])) s.len--;
    return s;
}

static inline bool reply_is(span s, const char *word)
{
    size_t i;
    if (s.len != strlen(word)) return false;
    for (i = 0; i < s.len; i++) {
        unsigned c = s.at[i];
        if (c >= 'A' && c <= 'Z') c += 32;
        if (c != (unsigned char)word[i]) return false;
    }
    return true;
}

/* A line up to CRLF. REPLY_BAD: it holds a bare CR or LF, or a NUL. */
static inline int reply_line(span *rest, span *line)
{
    size_t i;
    line->at = rest->at;
    for (i = 0; i < rest->len; i++) {
        unsigned c = rest->at[i];
        if (c == '\n' || c == '\0') return REPLY_BAD;
        if (c != '\r') continue;
        if (i + 1 == rest->len) return REPLY_PART;
        if (rest->at[i + 1] != '\n') return REPLY_BAD;
        line->len = i;
        rest->at += i + 2;
        rest->len -= i + 2;
        return REPLY_WHOLE;
    }
    return REPLY_PART;
}

static inline bool reply_take_length(reply *r, span value)
{
    for (;;) {
        span e = value;
        uint64_t n = 0;
        size_t i, len = 0;
        while (len < value.len && value.at[len] != ',') len++;
        e.len = len;
        e = reply_trim(e);
        if (e.len == 0) return false;
        for (i = 0; i < e.len; i++) {
            unsigned d = (unsigned)e.at[i] - '0';
            if (d > 9 || n > UINT64_MAX / 10 || n * 10 > UINT64_MAX - d) return false;
            n = n * 10 + d;
        }
        if (r->has_length && r->length != n) return false;
        r->has_length = true;
        r->length = n;
        if (len == value.len) return true;
        value.at += len + 1;
        value.len -= len + 1;
    }
}

static inline void reply_take_connection(reply *r, span value)
{
    size_t at, start = 0;
    for (at = 0; at <= value.len; at++) {
        span e;
        if (at < value.len && value.at[at] != ',') continue;
        e.at = value.at + start;
        e.len = at - start;
        e = reply_trim(e);
        if (reply_is(e, "close")) r->saw_close = true;
        if (reply_is(e, "keep-alive")) r->saw_keep_alive = true;
        start = at + 1;
    }
}

static inline bool reply_take_type(reply *r, span value)
{
    size_t i;
    for (i = 0; i < value.len && i < sizeof r->content_type - 1 && value.at[i] != ';'
        && !reply_blank(value.at[i]); i++) {
        unsigned c = value.at[i];
        r->content_type[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    r->content_type[i] = '\0';
    return true;
}

static inline bool reply_field(reply *r, span name, span value)
{
    value = reply_trim(value);
    if (r->tunnel && (reply_is(name, "content-length") || reply_is(name, "transfer-encoding")))
        return true;            /* RFC 9110, 9.3.6 */
    if (reply_is(name, "content-length")) return reply_take_length(r, value);
    if (reply_is(name, "transfer-encoding")) {
        r->other_coding = r->other_coding || r->chunked || !reply_is(value, "chunked");
        r->chunked = true;
        return !r->other_coding;
    }
    if (reply_is(name, "connection")) reply_take_connection(r, value);
    if (reply_is(name, "content-encoding") && !reply_is(value, "identity")) r->encoded = true;
    if (reply_is(name, "content-type")) return reply_take_type(r, value);
    return true;
}

static inline bool reply_token(span s)
{
    size_t i;
    for (i = 0; i < s.len; i++) {
        unsigned c = s.at[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!word && (c == 0 || c >= 0x80 || strchr("!#$%&'*+-.^_`|~", (int)c) == NULL)) return false;
    }
    return s.len > 0;
}

/* Header lines up to the empty one, folded ones unfolded. trailer: only their form counts. */
static inline int reply_fields(reply *r, span *rest, bool trailer)
{
    for (;;) {
        unsigned char *joined;
        size_t joined_len, colon = 0;
        span line, name, value;
        bool good;
        int got = reply_line(rest, &line);
        if (got != REPLY_WHOLE) return got;
        if (line.len == 0) return REPLY_WHOLE;
        while (colon < line.len && line.at[colon] != ':') colon++;
        name.at = line.at;
        name.len = colon;
        if (colon == line.len || !reply_token(name)) return REPLY_BAD;
        joined_len = line.len - colon - 1;
        joined = (unsigned char *)fuzz_copy(line.at + colon + 1, joined_len);
        while (rest->len > 0 && reply_blank(rest->at[0])) {
            got = reply_line(rest, &line);
            if (got != REPLY_WHOLE) { free(joined); return got; }
            joined = (unsigned char *)realloc(joined, joined_len + line.len + 1);
            if (joined == NULL) exit(2);
            joined[joined_len] = ' ';
            memcpy(joined + joined_len + 1, line.at, line.len);
            joined_len += line.len + 1;
        }
        if (rest->len == 0) { free(joined); return REPLY_PART; }    /* a fold may follow */
        value.at = joined;
        value.len = joined_len;
        good = trailer || reply_field(r, name, value);
        free(joined);
        if (!good) return REPLY_BAD;
    }
}

static inline int reply_status_line(reply *r, span *rest)
{
    static const char form[] = "HTTP/1.# ### ";
    size_t i;
    span line;
    int got = reply_line(rest, &line);
    if (got != REPLY_WHOLE) return got;
    if (line.len < 12) return REPLY_BAD;
    for (i = 0; i < 13 && i < line.len; i++)
        if (form[i] == '#' ? line.at[i] < '0' || line.at[i] > '9'
            : line.at[i] != (unsigned char)form[i]) return REPLY_BAD;
    r->minor = line.at[7] - '0';
    r->status = (line.at[9] - '0') * 100 + (line.at[10] - '0') * 10 + (line.at[11] - '0');
    return r->status >= 100 && r->status < 600 ? REPLY_WHOLE : REPLY_BAD;
}

static inline void reply_add(reply *r, const unsigned char *src, size_t len)
{
    if (len > 0) memcpy(r->body + r->body_len, src, len);
    r->body_len += len;
}

/* The size line of a chunk. */
static inline int reply_chunk_size(span *rest, uint64_t *size)
{
    size_t i;
    span line;
    int got = reply_line(rest, &line);
    if (got != REPLY_WHOLE) return got;
    *size = 0;
    for (i = 0; i < line.len; i++) {
        unsigned c = line.at[i] | 0x20u, digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
            : 16;
        if (line.at[i] < 0x30) digit = 16;
        if (digit == 16) break;
        if (*size >> 60) return REPLY_BAD;
        *size = *size << 4 | digit;
    }
    if (i == 0) return REPLY_BAD;
    while (i < line.len && reply_blank(line.at[i])) i++;
    if (i < line.len && line.at[i] != ';') return REPLY_BAD;
    if (i == line.len && i > 0 && reply_blank(line.at[i - 1])) return REPLY_BAD;     /* BWS only before a ';' */
    for (; i < line.len; i++)
        if ((line.at[i] < 0x20 && line.at[i] != '\t') || line.at[i] == 0x7F) return REPLY_BAD;
    return REPLY_WHOLE;
}

static inline int reply_chunks(reply *r, span *rest)
{
    for (;;) {
        uint64_t size;
        size_t n;
        int got = reply_chunk_size(rest, &size);
        if (got != REPLY_WHOLE) return got;
        if (size == 0) return reply_fields(r, rest, true);
        n = size < rest->len ? (size_t)size : rest->len;
        reply_add(r, rest->at, n);
        rest->at += n;
        rest->len -= n;
        if (n < size || rest->len == 0) return REPLY_PART;
        if (rest->at[0] != '\r') return REPLY_BAD;
        if (rest->len == 1) return REPLY_PART;
        if (rest->at[1] != '\n') return REPLY_BAD;
        rest->at += 2;
        rest->len -= 2;
    }
}

static inline int reply_body(reply *r, span *rest, bool tunnel, bool ended)
{
    size_t n;
    if (tunnel || r->status == 204 || r->status == 304) return REPLY_WHOLE;
    if (r->chunked && (r->has_length || r->minor == 0)) return REPLY_BAD;
    if (r->chunked) return reply_chunks(r, rest);
    n = r->has_length && r->length < rest->len ? (size_t)r->length : rest->len;
    reply_add(r, rest->at, n);
    rest->at += n;
    rest->len -= n;
    return r->has_length ? (n == r->length ? REPLY_WHOLE : REPLY_PART) : ended ? REPLY_WHOLE : REPLY_PART;
}

/* Reads one reply. ended: the stream is over, in order. */
static inline void reply_read(reply *r, const void *src, size_t len, bool tunnel, bool ended)
{
    span rest;
    unsigned interim = 0;
    unsigned char *body = (unsigned char *)fuzz_room(len);
    rest.at = (const unsigned char *)src;
    rest.len = len;
    do {
        memset(r, 0, sizeof *r);
        r->tunnel = tunnel;
        r->interim = interim++;
        r->verdict = reply_status_line(r, &rest);
        if (r->verdict == REPLY_WHOLE) r->verdict = reply_fields(r, &rest, false);
        if (r->verdict == REPLY_WHOLE && r->status == 101) r->verdict = REPLY_BAD;
    } while (r->verdict == REPLY_WHOLE && r->status < 200);
    r->body = body;
    if (r->verdict == REPLY_WHOLE) r->verdict = reply_body(r, &rest, tunnel, ended);
    r->used = len - rest.len;
}

#endif /* TESTS_FUZZ_H */
