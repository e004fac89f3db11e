/* fleet URL CA_FILE CONNECTIONS INSTANCES [BYTES [small]]: sets the timed shutdown of so
   many instances through so many connections, in one thread: poll, and compshare_step
   for whoever is ready. BYTES is what each client gets as memory, `small` asks for records
   of 4 KB. Prints nanoseconds of CPU for one connection's handshake, and nanoseconds of
   wall time and of CPU for all instances. */
#define COMPSHARE_STATIC
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <stdio.h>
#include <stdlib.h>

#define CLIENTS 64
#define MOST_BYTES 65536

typedef struct worker {
    compshare *client;
    char uhost_id[32];
    bool busy;
} worker;

static unsigned char memory[CLIENTS][MOST_BYTES];
static worker workers[CLIENTS];
static size_t clients;
static long instances, taken, confirmed;

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void report(const worker *w)
{
    char text[COMPSHARE_ERROR_TEXT];
    fprintf(stderr, "fleet: %s\n", compshare_error_text(w->client, text, sizeof text));
}

/* Every test instance but the second and the third can be set. */
static void begin(worker *w)
{
    compshare_plan plan = { 0 };
    if (w->busy || taken == instances) return;
    (void)snprintf(w->uhost_id, sizeof w->uhost_id, "uhost-%04ld", 4 + taken++);
    plan.uhost_id = w->uhost_id;
    plan.in_seconds = 3600;
    w->busy = compshare_schedule_set_start(w->client, &plan, NULL) == COMPSHARE_OK;
    if (!w->busy) report(w);
}

static void step(worker *w)
{
    int r = compshare_step(w->client);
    if (r == COMPSHARE_PENDING) return;
    w->busy = false;
    if (r == COMPSHARE_OK) confirmed++;
    else report(w);
}

static bool turn(void)
{
    struct pollfd fds[CLIENTS];
    uint32_t timeout = 1000, due;
    bool any = false;
    size_t i;
    for (i = 0; i < clients; i++) {
        worker *w = &workers[i];
        unsigned wants;
        begin(w);
        wants = compshare_wants(w->client);
        fds[i].fd = wants != 0 ? compshare_fd(w->client) : -1;
        fds[i].events = (short)((wants & COMPSHARE_READ ? POLLIN : 0) | (wants & COMPSHARE_WRITE ? POLLOUT : 0));
        fds[i].revents = 0;
        if (!w->busy) continue;
        any = true;
        if ((due = compshare_timeout_ms(w->client)) < timeout) timeout = due;
    }
    if (any) (void)poll(fds, (nfds_t)clients, (int)timeout);
    for (i = 0; i < clients; i++)
        if (workers[i].busy && (fds[i].revents != 0 || compshare_timeout_ms(workers[i].client) == 0)) step(&workers[i]);
    return any;
}

/* Connects all clients, so that what is measured afterwards is requests alone. */
static bool ready(const char *url, const char *ca_file, size_t bytes, unsigned flags)
{
    compshare_config config = { 0 };
    compshare_schedule schedule;
    char text[COMPSHARE_ERROR_TEXT];
    size_t i;
    config.memory_size = bytes;
    config.public_key = getenv("COMPSHARE_PUBLIC_KEY");
    config.private_key = getenv("COMPSHARE_PRIVATE_KEY");
    config.project_id = "org-default";
    config.base_url = url;
    config.ca_file = ca_file;
    config.flags = flags;
    for (i = 0; i < clients; i++) {
        config.memory = memory[i];
        if (compshare_open(&workers[i].client, &config) != COMPSHARE_OK)
            return fprintf(stderr, "fleet: %s\n", compshare_open_text(&config, text, sizeof text)), false;
        if (compshare_schedule_get(workers[i].client, "uhost-0001", &schedule) != COMPSHARE_OK)
            return report(&workers[i]), false;
    }
    return true;
}

int main(int argc, char **argv)
{
    size_t bytes = argc > 5 ? (size_t)strtoul(argv[5], NULL, 10) : 40960, i;
    int64_t connecting, wall, cpu;
    if (argc < 5 || bytes > MOST_BYTES)
        return fprintf(stderr, "usage: fleet URL CA_FILE CONNECTIONS INSTANCES [BYTES [small]]\n"), 2;
    clients = (size_t)strtoul(argv[3], NULL, 10);
    instances = strtol(argv[4], NULL, 10);
    if (clients < 1 || clients > CLIENTS || instances < 1) return 2;
    connecting = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (!ready(argv[1], argv[2], bytes, argc > 6 ? COMPSHARE_SMALL_RECORDS : 0)) return 1;
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    wall = now_ns(CLOCK_MONOTONIC);
    connecting = (cpu - connecting) / (int64_t)clients;
    while (turn()) {}
    printf("%lld %lld %lld\n", (long long)connecting, (long long)(now_ns(CLOCK_MONOTONIC) - wall),
        (long long)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu));
    for (i = 0; i < clients; i++) compshare_close(workers[i].client);
    return confirmed == instances ? 0 : 1;
}
