/* transport_fd ADDRESS PORT UHOST_ID: shows an instance's timed shutdown over a connection
   that the program itself has made: for programs that resolve names in their own way, or
   are handed a descriptor. TLS checks the name in the base URL, wherever the descriptor
   leads. The one connection serves all calls; once it is closed there is no other.
   Environment: as stop_scheduler. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0      /* macOS: set SO_NOSIGPIPE on the socket instead */
#endif

typedef struct handed { int fd; bool taken; } handed;   /* taken: the client closes it */

static int handed_open(void *user, const char *host, uint16_t port)
{
    handed *h = (handed *)user;
    int flags = h->taken ? -1 : fcntl(h->fd, F_GETFL);
    (void)host; (void)port;
    if (flags < 0 || fcntl(h->fd, F_SETFL, flags | O_NONBLOCK) != 0) return COMPSHARE_E_CONNECT;
    h->taken = true;
    return COMPSHARE_OK;
}

static void handed_close(void *user)
{
    handed *h = (handed *)user;
    if (h->taken && h->fd >= 0) { (void)close(h->fd); h->fd = -1; }     /* but not before the first open */
}

static ptrdiff_t moved(ssize_t n, int want)
{
    return n >= 0 ? n : errno == EAGAIN || errno == EWOULDBLOCK ? want : COMPSHARE_E_IO;
}

static ptrdiff_t handed_send(void *user, const void *src, size_t len)
{
    ssize_t n;
    do n = send(((handed *)user)->fd, src, len, MSG_NOSIGNAL); while (n < 0 && errno == EINTR);
    return moved(n, COMPSHARE_WANT_WRITE);
}

static ptrdiff_t handed_recv(void *user, void *dst, size_t cap)
{
    ssize_t n;
    do n = recv(((handed *)user)->fd, dst, cap, 0); while (n < 0 && errno == EINTR);
    return moved(n, COMPSHARE_WANT_READ);
}

static int handed_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    struct pollfd p = { want != 0 ? ((handed *)user)->fd : -1, 0, 0 };
    p.events = (short)((want & COMPSHARE_READ ? POLLIN : 0) | (want & COMPSHARE_WRITE ? POLLOUT : 0));
    return poll(&p, 1, timeout_ms < INT32_MAX ? (int)timeout_ms : INT32_MAX) >= 0 || errno == EINTR ? COMPSHARE_OK : COMPSHARE_E_IO;
}

static int handed_fd(void *user) { return ((handed *)user)->fd; }

static int failed(const char *why)
{
    fprintf(stderr, "transport_fd: %s\n", why);
    return 1;
}

int main(int argc, char **argv)
{
    static unsigned char memory[COMPSHARE_MEMORY];
    handed h = { socket(AF_INET, SOCK_STREAM, 0), false };
    compshare_transport transport = { &h, handed_open, handed_send, handed_recv, handed_wait, handed_close, handed_fd };
    compshare_config config = { 0 };
    compshare *client;
    compshare_schedule schedule;
    compshare_project project;
    struct sockaddr_in to = { 0 };
    char text[COMPSHARE_ERROR_TEXT];
    if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) return failed("usage: transport_fd ADDRESS PORT UHOST_ID");
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    if (connect(h.fd, (struct sockaddr *)&to, sizeof to) != 0) return failed("no connection to that address");
    config.memory = memory;
    config.memory_size = sizeof memory;
    config.public_key = getenv("COMPSHARE_PUBLIC_KEY");
    config.private_key = getenv("COMPSHARE_PRIVATE_KEY");
    config.region = getenv("COMPSHARE_REGION");
    config.project_id = getenv("COMPSHARE_PROJECT_ID");
    config.base_url = getenv("COMPSHARE_BASE_URL");
    config.ca_file = getenv("COMPSHARE_CA_FILE");
    config.transport = &transport;
    if (compshare_open(&client, &config) != COMPSHARE_OK) return failed(compshare_open_text(&config, text, sizeof text));
    if (compshare_get_project_list(client, &project, NULL, NULL) != COMPSHARE_OK
        || compshare_schedule_get(client, argv[3], &schedule) != COMPSHARE_OK) return failed(compshare_error_text(client, text, sizeof text));
    printf("%s %s, off at %lld\n", schedule.uhost_id, schedule.state, (long long)schedule.stop_time);
    compshare_close(client);
    return 0;
}
