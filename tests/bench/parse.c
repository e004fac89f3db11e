/* parse BYTES TIMES: what a reply of so many bytes costs, without network and TLS: a
   transport hands it out from memory. Prints its length in bytes, and nanoseconds of CPU
   for one call: HTTP, validation, tokens, RetCode. */
#define COMPSHARE_STATIC
#define COMPSHARE_PLAINTEXT
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "../support/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST (2u << 20)

static char reply[MOST + 4096];
static size_t reply_len;
static unsigned char memory[6 * (size_t)MOST];

/* A list of instances, as the API answers, with strings, numbers, escapes and nesting. */
static void make_reply(size_t bytes)
{
    static char body[MOST];
    size_t len = (size_t)snprintf(body, sizeof body,
        "{\"RetCode\":0,\"Action\":\"DescribeCompShareInstanceResponse\",\"UHostSet\":[");
    unsigned i;
    for (i = 0; i == 0 || len < bytes; i++)
        len += (size_t)snprintf(body + len, sizeof body - len,
            "%s{\"UHostId\":\"uhost-%08u\",\"Name\":\"\\u8bad\\u7ec3\",\"State\":\"Running\",\"CPU\":16,\"Memory\":65536,"
            "\"IsExpire\":false,\"PodId\":null,\"Price\":1.88,\"IPSet\":[{\"IP\":\"10.60.0.1\",\"Weight\":0}],\"SchedulerStopTime\":1795559981}", i > 0 ? "," : "", i);
    len += (size_t)snprintf(body + len, sizeof body - len, "],\"TotalCount\":%u}", i);
    reply_len = (size_t)snprintf(reply, sizeof reply,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %lu\r\n\r\n", (unsigned long)len);
    memcpy(reply + reply_len, body, len);
    reply_len += len;
    printf("%lu ", (unsigned long)len);
}

int main(int argc, char **argv)
{
    static memory_peer peer;
    static fake_clock present;
    compshare_config config = { 0 };
    compshare *client;
    struct timespec start, end;
    char text[COMPSHARE_ERROR_TEXT];
    long times = argc == 3 ? strtol(argv[2], NULL, 10) : 0, i;
    size_t bytes = argc == 3 ? (size_t)strtoul(argv[1], NULL, 10) : MOST;
    if (times < 1 || bytes > MOST - 1024) return 2;
    make_reply(bytes);
    memory_reset(&peer, &present);
    peer.need = 1;
    peer.after = COMPSHARE_WANT_READ;
    config.memory = memory;
    config.memory_size = sizeof memory;
    config.public_key = config.private_key = "key";
    config.base_url = "http://localhost";
    config.transport = &peer.io;
    if (compshare_open(&client, &config) != COMPSHARE_OK)
        return puts(compshare_open_text(&config, text, sizeof text)), 1;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (i = 0; i < times; i++) {
        memory_says(&peer, reply, reply_len);
        peer.sent = 0;
        if (compshare_call(client, "DescribeCompShareInstance", NULL, 0) != COMPSHARE_OK)
            return puts(compshare_error_text(client, text, sizeof text)), 1;
    }
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    printf("%lld\n", ((long long)(end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec) / times);
    compshare_close(client);
    return 0;
}
