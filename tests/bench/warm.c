/* warm REPLY describe|set TIMES: so many calls on one connection, without network and TLS:
   a transport hands replies out from memory. REPLY is a file with the reply of a
   DescribeCompShareInstance that holds one instance, uhost-0001. For callgrind: two runs
   that differ in TIMES differ by nothing else. */
#define COMPSHARE_STATIC
#define COMPSHARE_PLAINTEXT
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST 65536
#define STOP_TIME "\"SchedulerStopTime\":"

typedef struct reply {
    char bytes[MOST + 512];
    size_t len;
    char *stop_time;            /* in a description: its ten digits */
} reply;

static reply description, change;
static const reply *current;    /* what is being handed out; NULL: nothing was asked */
static size_t current_at;
static unsigned requests;       /* of the call that runs */
static char stop_time[24];
static bool setting;
static unsigned char memory[COMPSHARE_MEMORY];

static void make_reply(reply *r, const char *body)
{
    r->len = (size_t)snprintf(r->bytes, sizeof r->bytes, "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 14:05:00 GMT\r\n"
        "Content-Type: application/json\r\nX-UCLOUD-REQUEST-UUID: 5d0c2f8e-7b1a-4c3d-9e6f-000000000001\r\n"
        "Content-Length: %lu\r\n\r\n%s", (unsigned long)strlen(body), body);
}

/* The description, with ten digits for the stop time. */
static bool read_reply(const char *path)
{
    static char text[MOST], body[MOST + 16];
    FILE *file = fopen(path, "rb");
    char *at;
    if (file == NULL || fread(text, 1, sizeof text - 1, file) == 0 || fclose(file) != 0) return false;
    at = strstr(text, STOP_TIME "0");
    if (at == NULL) return false;
    (void)snprintf(body, sizeof body, "%.*s" STOP_TIME "1795442700%s", (int)(at - text), text, at + sizeof STOP_TIME);
    make_reply(&description, body);
    description.stop_time = strstr(description.bytes, STOP_TIME) + sizeof STOP_TIME - 1;
    return true;
}

static int wire_open(void *user, const char *host, uint16_t port)
{
    (void)user; (void)host; (void)port;
    return COMPSHARE_OK;
}

/* A set reads, changes and reads again: its second request makes what the third shows. */
static ptrdiff_t wire_send(void *user, const void *src, size_t len)
{
    (void)user; (void)src;
    current = setting && ++requests == 2 ? &change : &description;
    current_at = 0;
    if (current == &change) memcpy(description.stop_time, stop_time, 10);
    return (ptrdiff_t)len;
}

static ptrdiff_t wire_recv(void *user, void *dst, size_t cap)
{
    size_t n = current != NULL ? current->len - current_at : 0;
    (void)user;
    if (n == 0) return COMPSHARE_WANT_READ;
    if (n > cap) n = cap;
    memcpy(dst, current->bytes + current_at, n);
    current_at += n;
    return (ptrdiff_t)n;
}

static int wire_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    (void)user; (void)want; (void)timeout_ms;
    return COMPSHARE_OK;
}

static void wire_close(void *user)
{
    (void)user;
}

static int64_t wire_unix_time(void *user)
{
    (void)user;
    return 1795442700;
}

static uint64_t wire_monotonic(void *user)
{
    (void)user;
    return 1000;
}

/* Each set asks for another time: one that is there already would prove nothing. */
static int call(compshare *client, long i)
{
    compshare_plan plan = { 0 };
    compshare_schedule schedule;
    compshare_instance instance;
    compshare_target target = { "uhost-0001", "cn-wlcb", "cn-wlcb-01", "org-default" };
    requests = 0;
    if (!setting) return compshare_describe_instance(client, &target, &instance);
    plan.uhost_id = "uhost-0001";
    plan.at = 1795450000 + 600 * i;
    (void)snprintf(stop_time, sizeof stop_time, "%lld", (long long)plan.at);
    return compshare_schedule_set(client, &plan, &schedule);
}

int main(int argc, char **argv)
{
    static const compshare_transport wire = { NULL, wire_open, wire_send, wire_recv, wire_wait, wire_close, NULL };
    compshare_config config = { 0 };
    compshare *client;
    char text[COMPSHARE_ERROR_TEXT];
    long times = argc == 4 ? strtol(argv[3], NULL, 10) : 0, i;
    if (times < 1 || !read_reply(argv[1])) return 2;
    setting = strcmp(argv[2], "set") == 0;
    make_reply(&change,
        "{\"RetCode\":0,\"Action\":\"UpdateCompShareStopSchedulerResponse\",\"UHostId\":\"uhost-0001\"}");
    config.memory = memory;
    config.memory_size = sizeof memory;
    config.public_key = config.private_key = "key";
    config.project_id = "org-default";
    config.base_url = "http://localhost";
    config.transport = &wire;
    config.unix_time = wire_unix_time;
    config.monotonic_ms = wire_monotonic;
    if (compshare_open(&client, &config) != COMPSHARE_OK) return puts(compshare_open_text(&config, text, sizeof text)),
        1;
    for (i = 0; i < times; i++)
        if (call(client, i) != COMPSHARE_OK) return puts(compshare_error_text(client, text, sizeof text)), 1;
    compshare_close(client);
    return 0;
}
