/* transport_relay PORT UHOST_ID: shows an instance's timed shutdown through a TCP relay
   on 127.0.0.1:PORT, such as `socat TCP-LISTEN:PORT,fork TCP:api.compshare.cn:443` or
   `ssh -L PORT:api.compshare.cn:443 ...`. A whole transport: it connects without
   waiting, and again whenever a connection has ended. The relay sees only TLS, whose
   other end must be the host in the base URL. Environment: as stop_scheduler. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <stdio.h>
#include <stdlib.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0      /* macOS: set SO_NOSIGPIPE on the socket instead */
#endif

typedef struct relay { int fd, connections; uint16_t port; } relay;     /* fd -1: closed */

/* The first call begins to connect, the later ones look how far it is. */
static int relay_open(void *user, const char *host, uint16_t port)
{
    relay *r = (relay *)user;
    struct sockaddr_in to = { 0 };
    struct pollfd p = { r->fd, POLLOUT, 0 };
    int error = 0, one = 1;
    socklen_t len = sizeof error;
    (void)host; (void)port;         /* the relay knows where to */
    if (p.fd < 0) {
        p.fd = r->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (r->fd < 0 || fcntl(r->fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(r->fd, F_SETFL, O_NONBLOCK) != 0) return COMPSHARE_E_CONNECT;
        (void)setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        to.sin_family = AF_INET;
        to.sin_port = htons(r->port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(r->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS && errno != EINTR) return COMPSHARE_E_CONNECT;
    }
    if (poll(&p, 1, 0) <= 0) return COMPSHARE_WANT_WRITE;
    if (getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) return COMPSHARE_E_CONNECT;
    r->connections++;
    return COMPSHARE_OK;
}

static void relay_close(void *user)
{
    if (((relay *)user)->fd >= 0) (void)close(((relay *)user)->fd);
    ((relay *)user)->fd = -1;
}

static ptrdiff_t moved(ssize_t n, int want)
{
    return n >= 0 ? n : errno == EAGAIN || errno == EWOULDBLOCK ? want : COMPSHARE_E_IO;
}

static ptrdiff_t relay_send(void *user, const void *src, size_t len)
{
    ssize_t n;
    do n = send(((relay *)user)->fd, src, len, MSG_NOSIGNAL); while (n < 0 && errno == EINTR);
    return moved(n, COMPSHARE_WANT_WRITE);
}

static ptrdiff_t relay_recv(void *user, void *dst, size_t cap)
{
    ssize_t n;
    do n = recv(((relay *)user)->fd, dst, cap, 0); while (n < 0 && errno == EINTR);
    return moved(n, COMPSHARE_WANT_READ);
}

static int relay_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    struct pollfd p = { want != 0 ? ((relay *)user)->fd : -1, 0, 0 };
    p.events = (short)((want & COMPSHARE_READ ? POLLIN : 0) | (want & COMPSHARE_WRITE ? POLLOUT : 0));
    return poll(&p, 1, timeout_ms < INT32_MAX ? (int)timeout_ms : INT32_MAX) >= 0 || errno == EINTR ? COMPSHARE_OK : COMPSHARE_E_IO;
}

static int relay_fd(void *user) { return ((relay *)user)->fd; }

static int failed(const char *why)
{
    fprintf(stderr, "transport_relay: %s\n", why);
    return 1;
}

int main(int argc, char **argv)
{
    static unsigned char memory[COMPSHARE_MEMORY];
    relay r = { -1, 0, 0 };
    compshare_transport transport = { &r, relay_open, relay_send, relay_recv, relay_wait, relay_close, relay_fd };
    compshare_config config = { 0 };
    compshare *client;
    compshare_schedule schedule;
    compshare_project project;
    char text[COMPSHARE_ERROR_TEXT];
    if (argc != 3 || (r.port = (uint16_t)atoi(argv[1])) == 0) return failed("usage: transport_relay PORT UHOST_ID");
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
        || compshare_schedule_get(client, argv[2], &schedule) != COMPSHARE_OK) return failed(compshare_error_text(client, text, sizeof text));
    printf("%s %s, off at %lld, connections: %d\n", schedule.uhost_id, schedule.state, (long long)schedule.stop_time, r.connections);
    compshare_close(client);
    return 0;
}
