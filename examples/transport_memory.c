/* transport_memory: a transport without a socket. The client stands at one end of two
   queues in memory, a server that knows one answer at the other; its turn comes when the
   client waits. COMPSHARE_PLAINTEXT and http:// are for tests like this one only: without
   TLS the signed request travels in the open. */
#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct queue { char bytes[100]; size_t len; } queue;       /* small, so that it gets full */
typedef struct pair { queue up, down; char request[2000]; size_t heard, said; } pair;

static const char *const answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 95\r\n\r\n"
    "{\"RetCode\":0,\"ProjectSet\":[{\"ProjectId\":\"org-memory\",\"ProjectName\":\"Memory\",\"IsDefault\":true}]}";

static size_t put(queue *q, const void *src, size_t len)
{
    if (len > sizeof q->bytes - q->len) len = sizeof q->bytes - q->len;
    memcpy(q->bytes + q->len, src, len);
    q->len += len;
    return len;
}

static size_t take(queue *q, void *dst, size_t cap)
{
    if (cap > q->len) cap = q->len;
    memcpy(dst, q->bytes, cap);
    memmove(q->bytes, q->bytes + cap, q->len -= cap);
    return cap;
}

static int memory_open(void *user, const char *host, uint16_t port) { (void)user; (void)host; (void)port; return COMPSHARE_OK; }
static void memory_close(void *user) { memset(user, 0, sizeof(pair)); }
static ptrdiff_t memory_send(void *user, const void *src, size_t len)
{
    size_t n = put(&((pair *)user)->up, src, len);
    return n > 0 ? (ptrdiff_t)n : COMPSHARE_WANT_WRITE;
}
static ptrdiff_t memory_recv(void *user, void *dst, size_t cap)
{
    size_t n = take(&((pair *)user)->down, dst, cap);
    return n > 0 ? (ptrdiff_t)n : COMPSHARE_WANT_READ;      /* 0 would say that the server has hung up */
}

/* The server's turn: hear what came, answer once the request is whole. */
static int memory_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    pair *p = (pair *)user;
    const char *head, *body;
    (void)want; (void)timeout_ms;       /* the client asks again until its own deadline */
    p->heard += take(&p->up, p->request + p->heard, sizeof p->request - 1 - p->heard);
    head = strstr(p->request, "Content-Length: ");
    body = strstr(p->request, "\r\n\r\n");
    if (head == NULL || body == NULL || strlen(body + 4) < strtoul(head + 16, NULL, 10)) return COMPSHARE_OK;
    p->said += put(&p->down, answer + p->said, strlen(answer) - p->said);
    if (answer[p->said] != '\0') return COMPSHARE_OK;
    p->heard = p->said = 0;             /* ready for the next request */
    memset(p->request, 0, sizeof p->request);
    return COMPSHARE_OK;
}

int main(void)
{
    static unsigned char memory[COMPSHARE_MEMORY];
    static pair p;
    compshare_transport transport = { &p, memory_open, memory_send, memory_recv, memory_wait, memory_close, NULL };
    compshare_config config = { 0 };
    compshare *client;
    compshare_project project;
    char text[COMPSHARE_ERROR_TEXT];
    int i;
    config.memory = memory;
    config.memory_size = sizeof memory;
    config.public_key = config.private_key = "any";
    config.base_url = "http://memory";
    config.transport = &transport;
    if (compshare_open(&client, &config) != COMPSHARE_OK) return fprintf(stderr, "transport_memory: %s\n", compshare_open_text(&config, text, sizeof text)), 1;
    for (i = 0; i < 2; i++) {
        if (compshare_get_project_list(client, &project, NULL, NULL) != COMPSHARE_OK) return fprintf(stderr, "transport_memory: %s\n", compshare_error_text(client, text, sizeof text)), 1;
        printf("project %s\n", project.project_id);
    }
    compshare_close(client);
    return 0;
}
