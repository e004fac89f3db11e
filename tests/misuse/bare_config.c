/* Without sockets a program has to bring what they would: each thing that is missing is
   named. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include <stdio.h>

static unsigned char memory[COMPSHARE_MEMORY];

static int can_open(void *user, const char *host,
    uint16_t port) { (void)user; (void)host; (void)port; return COMPSHARE_E_CONNECT; }
static ptrdiff_t can_send(void *user, const void *src, size_t len) { (void)user; (void)src; return (ptrdiff_t)len; }
static ptrdiff_t can_recv(void *user, void *dst, size_t cap) { (void)user; (void)dst; (void)cap; return 0; }
static void can_close(void *user) { (void)user; }
static int64_t can_tell(void *user) { (void)user; return 1800000000; }
static uint64_t can_count(void *user) { (void)user; return 1; }
static int can_draw(void *user, void *dst, size_t len) { (void)user; memset(dst, 1, len); return 0; }

static int refused(const compshare_config *config, const char *why)
{
    compshare *client = NULL;
    char text[COMPSHARE_ERROR_TEXT];
    int r = compshare_open(&client, config);
    compshare_open_text(config, text, sizeof text);
    if (why == NULL ? r == COMPSHARE_OK && client != NULL : r == COMPSHARE_E_CONFIG && client == NULL
        && strstr(text, why) == text) {
        compshare_close(client);
        return 0;
    }
    printf("%s where %s was expected: %s\n", compshare_status_name(r), why != NULL ? why : "nothing", text);
    return 1;
}

int main(void)
{
    compshare_transport io;
    compshare_config good, c;
    int failed = 0;
    memset(&io, 0, sizeof io);
    io.open = can_open;
    io.send = can_send;
    io.recv = can_recv;
    io.close = can_close;
    memset(&good, 0, sizeof good);
    good.memory = memory;
    good.memory_size = sizeof memory;
    good.public_key = good.private_key = "key";
    good.transport = &io;
    good.unix_time = can_tell;
    good.monotonic_ms = can_count;
    good.entropy = can_draw;
    good.ca_pem = "";
    failed += refused(&good, NULL);
    c = good; c.transport = NULL; failed += refused(&c, "transport: it is needed");
    c = good; c.unix_time = NULL; failed += refused(&c, "unix_time: it is needed");
    c = good; c.monotonic_ms = NULL; failed += refused(&c, "monotonic_ms: it is needed");
    c = good; c.entropy = NULL; failed += refused(&c, "entropy: it is needed");
    c = good; c.ca_pem = NULL; failed += refused(&c, "ca_pem: it is needed");
    c = good; c.ca_pem = NULL; c.ca_file = "/x"; failed += refused(&c, "ca_file: this build reads no files");
    c = good; c.flags = COMPSHARE_FAST_OPEN; failed += refused(&c, "flags: COMPSHARE_FAST_OPEN is for POSIX sockets");
    return failed > 0;
}
