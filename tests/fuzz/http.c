/* Room http: the same bytes whole, one at a time and in pieces give the same reading,
   and a reader written from the RFC agrees with it.

   Input: a byte of options (1 a tunnel's reply; 2 the stream ends, 4 in order), seven
   sizes of pieces, the reply.

   The room is stricter than the reference in what it bounds: the sizes of heads, lines,
   extensions and chunk sizes, the number of 1xx heads, the length of a Content-Length. */

#include "fuzz.h"

typedef struct reading {
    compshare__http http;
    unsigned char *body;
    size_t body_len, used;
} reading;

/* As the driver does: a piece may hold several pieces of body. */
static void feed(reading *r, const uint8_t *src, size_t len)
{
    unsigned char *piece = (unsigned char *)fuzz_copy(src, len);
    size_t at = 0;
    while (at < len && r->http.state < COMPSHARE__HTTP_DONE) {
        compshare_view body;
        size_t n = compshare__http_feed(&r->http, piece + at, len - at, &body);
        CHECK(n > 0 && n <= len - at);
        CHECK(body.len == 0 || ((const unsigned char *)body.ptr >= piece + at
            && (const unsigned char *)body.ptr + body.len == piece + at + n));
        if (body.len > 0) memcpy(r->body + r->body_len, body.ptr, body.len);
        r->body_len += body.len;
        at += n;
    }
    r->used += at;
    free(piece);
}

static void read_all(reading *r, const uint8_t *src, size_t len, unsigned options, pieces *sizes)
{
    size_t at = 0;
    memset(r, 0, sizeof *r);
    r->body = (unsigned char *)fuzz_room(len);
    compshare__http_init(&r->http, (options & 1) != 0);
    while (at < len && r->http.state < COMPSHARE__HTTP_DONE) {
        size_t n = sizes != NULL ? fuzz_piece(sizes, len - at) : len;
        feed(r, src + at, n);
        at += n;
    }
    if (options & 2) compshare__http_end(&r->http, (options & 4) != 0);
}

static void check_same(const reading *a, const reading *b)
{
    CHECK(a->http.state == b->http.state);
    CHECK(a->http.status == b->http.status);
    CHECK(a->http.reason == b->http.reason);
    CHECK(a->http.keep_alive == b->http.keep_alive);
    CHECK(a->http.encoded == b->http.encoded);
    CHECK(a->http.received == b->http.received);
    CHECK(a->http.date == b->http.date);
    CHECK(a->http.retry_after_s == b->http.retry_after_s && a->http.retry_after_date == b->http.retry_after_date);
    CHECK(strcmp(a->http.content_type, b->http.content_type) == 0);
    CHECK(strcmp(a->http.request_id, b->http.request_id) == 0);
    CHECK(a->used == b->used);
    CHECK(fuzz_same(a->body, a->body_len, b->body, b->body_len));
}

static void check_alone(const reading *r)
{
    const compshare__http *h = &r->http;
    CHECK((h->state == COMPSHARE__HTTP_FAILED) == (h->reason != NULL));
    CHECK(h->received == r->body_len);
    CHECK(h->status == 0 || (h->status >= 100 && h->status < 600));
    CHECK_TEXT(h->content_type);
    CHECK_TEXT(h->request_id);
    CHECK(h->date >= 0 && h->retry_after_s >= -1 && h->retry_after_date >= 0);
    CHECK(h->name_len <= sizeof h->name && h->value_len <= sizeof h->value);
    if (h->state == COMPSHARE__HTTP_DONE) CHECK(h->status >= 200
        && (h->chunked || !h->has_length || h->length == 0 || r->body_len == 0));
}

/* The room's own limits, which the reference does not have. */
static bool is_limit(const char *reason)
{
    static const char *const limits[] = {
        "the head or trailer is longer than 32,768 bytes", "a line of the head is longer than 8,192 bytes",
        "too many 1xx responses", "chunk extensions are longer than 4,096 bytes",
            "a chunk size has more than 64 digits",
        "a Content-Length or Transfer-Encoding header is too long", "a chunk size has more than 64 bits"
    };
    size_t i;
    for (i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (strcmp(reason, limits[i]) == 0) return true;
    return false;
}

static void check_reference(const reading *r, const uint8_t *src, size_t len, unsigned options)
{
    const compshare__http *h = &r->http;
    reply book;
    reply_read(&book, src, len, (options & 1) != 0, (options & 6) == 6);
    if (h->state == COMPSHARE__HTTP_DONE) {
        CHECK(book.verdict == REPLY_WHOLE);
        CHECK(book.status == h->status && book.minor == h->minor);
        CHECK(fuzz_same(r->body, r->body_len, book.body, book.body_len));
        CHECK(r->used == book.used);
        CHECK(book.encoded == h->encoded);
        CHECK(!h->keep_alive || (!book.saw_close && (book.minor > 0 || book.saw_keep_alive)));
        CHECK(!h->keep_alive || (options & 1) || book.has_length || book.chunked || book.status == 204
            || book.status == 304);
    } else if (h->state == COMPSHARE__HTTP_FAILED) {
        CHECK(book.verdict != REPLY_WHOLE || is_limit(h->reason));
    } else {
        CHECK(book.verdict == REPLY_PART);
    }
    reply_free(&book);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t single[] = { 1 };
    pieces bytes = { single, 1, 0 }, sizes = { data + 1, 7, 0 };
    reading whole, slow, split;
    if (size < 8) return 0;
    read_all(&whole, data + 8, size - 8, data[0], NULL);
    read_all(&slow, data + 8, size - 8, data[0], &bytes);
    read_all(&split, data + 8, size - 8, data[0], &sizes);
    check_alone(&whole);
    check_same(&whole, &slow);
    check_same(&whole, &split);
    check_reference(&whole, data + 8, size - 8, data[0]);
    free(whole.body);
    free(slow.body);
    free(split.body);
    return 0;
}
