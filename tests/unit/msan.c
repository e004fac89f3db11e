/* For MemorySanitizer, which cannot look into libraries that it did not compile: the
   pure rooms and a whole client over a transport in memory, with libc and SHA-1 as the
   only foreign code. The data are read by compshare.h itself, the caller's block counts
   as never written, and all that comes out is checked to the last byte. */
#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sanitizer/msan_interface.h>

#define COUNT_OF(array) (sizeof (array) / sizeof (array)[0])

/* The one border: BearSSL writes this result unseen (linked with --wrap). */
void __real_br_sha1_out(const br_sha1_context *ctx, void *out);
void __wrap_br_sha1_out(const br_sha1_context *ctx, void *out);
void __wrap_br_sha1_out(const br_sha1_context *ctx, void *out)
{
    __real_br_sha1_out(ctx, out);
    __msan_unpoison(out, br_sha1_SIZE);
}

/* ---- a transport whose pieces are as fresh as they come ---- */

static memory_peer wire;
static fake_clock present;

static void look_at_host(memory_peer *p, const char *host, uint16_t port)
{
    (void)p; (void)port;
    __msan_check_mem_is_initialized(host, strlen(host) + 1);
}

static void look_at_request(memory_peer *p, const void *src, size_t len)
{
    (void)p;
    __msan_check_mem_is_initialized(src, len);
}

static void freshen(memory_peer *p, void *dst, size_t cap) { (void)p; __msan_poison(dst, cap); }

static void trace(void *user, const char *line) { (void)user; __msan_check_mem_is_initialized(line, strlen(line) + 1); }

static unsigned char block[COMPSHARE_MEMORY];
static compshare *client;
static unsigned long calls, elements;

static void fail(const char *what)
{
    fprintf(stderr, "msan: %s\n", what);
    exit(1);
}

static void open_client(compshare_config *config, const char *base_url)
{
    memory_begin(&wire, &present, 1795442700);
    wire.send_piece = 100;
    wire.on_open = look_at_host;
    wire.on_send = look_at_request;
    wire.on_recv = freshen;
    memory_configure(config, &wire);
    __msan_poison(block, sizeof block);
    config->memory = block;
    config->memory_size = sizeof block;
    config->region = "cn-wlcb";
    config->zone = "cn-wlcb-01";
    config->base_url = base_url;
    config->trace = trace;
    if (compshare_open(&client, config) != COMPSHARE_OK) fail("the client does not open");
}

/* ---- what comes out ---- */

/* Looks at a value and all that is in it, through the public getters. */
static void look_at(compshare_value value)
{
    char buf[64];
    compshare_value inner;
    int64_t number;
    bool truth;
    ptrdiff_t n = compshare_copy_text(value, buf, sizeof buf);
    elements++;
    if (n >= 0) __msan_check_mem_is_initialized(buf, strlen(buf) + 1);
    if (compshare_as_int(value, &number)) __msan_check_mem_is_initialized(&number, sizeof number);
    if (compshare_as_bool(value, &truth)) __msan_check_mem_is_initialized(&truth, sizeof truth);
    for (inner = compshare_first(value); compshare_type(inner) != COMPSHARE_NONE; inner =
        compshare_next(inner)) look_at(inner);
}

static int each(void *user, compshare_value element) { (void)user; look_at(element); return 0; }
static int each_project(void *user, const compshare_project *p) { (void)user; __msan_check_mem_is_initialized(p,
    sizeof *p); return 0; }

static void look_around(void)
{
    char text[COMPSHARE_ERROR_TEXT];
    compshare_view body = compshare_body(client);
    __msan_check_mem_is_initialized(compshare_last_error(client), sizeof(compshare_error));
    __msan_check_mem_is_initialized(body.ptr, body.len);
    __msan_check_mem_is_initialized(text, strlen(compshare_error_text(client, text, sizeof text)) + 1);
    look_at(compshare_reply(client));
    calls++;
}

/* One reply, for every kind of call. */
static void answer(const unsigned char *reply, size_t len, size_t piece)
{
    compshare_param params[3];
    compshare_instance instance;
    compshare_project project;
    compshare_target target;
    unsigned kind;
    memset(&target, 0, sizeof target);
    target.uhost_id = "uhost-0001";
    params[0] = compshare_text("UHostId", "uhost-0001");
    params[1] = compshare_int("Count", -12);
    params[2] = compshare_bool("Name \xE4\xB8\xAD%&=+", true);
    memory_says(&wire, (const char *)reply, len);
    wire.piece = piece;
    for (kind = 0; kind < 5; kind++) {
        wire.at = 0;
        switch (kind) {
        case 0: (void)compshare_call(client, "RebootCompShareInstance", params, 3); break;
        case 1: (void)compshare_call_each(client, "DescribeCompShareInstance", params, 2, "UHostSet", each,
            NULL); break;
        case 2: (void)compshare_describe_instance(client, &target,
            &instance); __msan_check_mem_is_initialized(&instance, sizeof instance); break;
        case 3: (void)compshare_get_project_list(client, &project, each_project,
            NULL); __msan_check_mem_is_initialized(&project, sizeof project); break;
        default: (void)compshare_update_stop_scheduler(client, &target, 1795500000); break;
        }
        look_around();
    }
}

/* ---- the data ---- */

static unsigned char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    unsigned char *data = malloc(4u << 20);
    if (f == NULL || data == NULL) fail(path);
    *len = fread(data, 1, 4u << 20, f);
    fclose(f);
    return data;
}

static size_t decode(compshare_view base64, unsigned char *dst)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = 0, i;
    unsigned bits = 0, have = 0;
    for (i = 0; i < base64.len && base64.ptr[i] != '='; i++) {
        bits = bits << 6 | (unsigned)(strchr(digits, base64.ptr[i]) - digits);
        have += 6;
        if (have >= 8) dst[len++] = (unsigned char)(bits >> (have -= 8));
    }
    return len;
}

/* The bytes of a row's member, read with the rooms under test. */
static size_t member(const char *row, size_t len, const char *name, unsigned char *dst)
{
    static char room[1u << 16];
    compshare__json json;
    compshare__tokens tree;
    uint32_t at;
    compshare__json_init(&json);
    compshare__json_feed(&json, row, len);
    if (compshare__json_finish(&json) != NULL
        || !compshare__tokens_parse(&tree, row, len, room, sizeof room)) fail("a row is not JSON");
    if (compshare__tokens_find(&tree, 0, name, &at) != 1) fail("a row lacks its data");
    return decode(compshare__tokens_raw(&tree, at), dst);
}

static unsigned rows_of(const char *path, bool http)
{
    static unsigned char raw[500000], reply[500100];
    size_t len, at = 0, end, n, head;
    unsigned rows = 0;
    unsigned char *file = read_file(path, &len);
    for (; at < len; at = end + 1, rows++) {
        for (end = at; end < len && file[end] != '\n'; end++) {}
        n = member((const char *)file + at, end - at, "raw_base64", raw);
        head = http ? 0 : (size_t)sprintf((char *)reply, "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n\r\n",
            (unsigned long)n);
        memcpy(reply + head, raw, n);
        answer(reply, head + n, SIZE_MAX);
        answer(reply, head + n, 3);
        if (n < 2000) answer(reply, head + n, 1);
    }
    free(file);
    return rows;
}

/* Addresses, dates and settings that are read in pieces of their own. */
static void settings(void)
{
    static const char *const urls[] = { "http://localhost", "http://localhost:8080/a/b", "http://user@localhost",
        "http://[::1]", "ftp://x", "http://", "http://a..b", "" };
    static const char *const dates[] = { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov", "x" };
    char text[COMPSHARE_ERROR_TEXT];
    compshare_config config;
    size_t i;
    for (i = 0; i < COUNT_OF(urls); i++) {
        open_client(&config, "http://localhost");
        compshare_close(client);
        config.base_url = urls[i];
        (void)compshare_open(&client, &config);
        __msan_check_mem_is_initialized(text, strlen(compshare_open_text(&config, text, sizeof text)) + 1);
        compshare_close(client);
    }
    for (i = 0; i < COUNT_OF(dates); i++) {
        char reply[256];
        int64_t time;
        open_client(&config, "http://localhost");
        (void)sprintf(reply,
            "HTTP/1.1 200 OK\r\nDate: %s\r\nRetry-After: %s\r\nContent-Length: 13\r\n\r\n{\"RetCode\":0}", dates[i],
            dates[i]);
        answer((const unsigned char *)reply, strlen(reply), 5);
        time = compshare_server_time(client);
        __msan_check_mem_is_initialized(&time, sizeof time);
        compshare_close(client);
    }
}

int main(void)
{
    compshare_config config;
    unsigned rows;
    settings();
    open_client(&config, "http://localhost");
    rows = rows_of("tests/data/http_cases.jsonl", true);
    rows += rows_of("tests/data/json_cases.jsonl", false);
    compshare_close(client);
    __msan_check_mem_is_initialized(block, sizeof block);
    if (rows != 96 + 120 || calls < 2000 || wire.sent == 0) fail("not all was run");
    printf("%u cases, %lu calls, %lu values, no uninitialized byte used\n", rows, calls, elements);
    return 0;
}
