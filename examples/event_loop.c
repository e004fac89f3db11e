/* event_loop [--clients K] [--in SECONDS] (--all | UHOST_ID ...): sets the timed shutdown
   of many instances from one thread and confirms each: K clients, poll(2), and a timer
   of 10 ms that goes on ticking. --all: every instance that is not Stopped. Says why an
   instance failed; exit status 0 only when none did. Environment: as stop_scheduler.
   A step never waits, with one exception: one that opens a connection resolves the host's
   name with getaddrinfo, which blocks. Where that matters, bring a transport that knows
   its address (transport_fd.c, transport_relay.c). */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CLIENTS = 64, INSTANCES = 4096, TICK_US = 10000 };   /* the first two: at most */

typedef struct worker { compshare *client; const char *uhost_id; bool busy; } worker;   /* uhost_id NULL: makes the list */

static unsigned char memory[CLIENTS][COMPSHARE_MEMORY];     /* all that the clients ever use */
static worker workers[CLIENTS];
static size_t clients = 4;
static char uhost_ids[INSTANCES][64];
static size_t known, ready, taken, confirmed, failed;       /* instances; ready: the list is complete up to here */
static long in_seconds = 3600;
static int64_t next_tick, ticks, latest_tick, longest_step;

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Stands for whatever else the program has to do in time. Ticks that were missed are not made up for. */
static void tick(void)
{
    int64_t late = now_us() - next_tick;
    if (late < 0) return;
    if (late > latest_tick) latest_tick = late;
    next_tick += (late / TICK_US + 1) * TICK_US;
    ticks++;
}

static void fail(const worker *w)
{
    char text[COMPSHARE_ERROR_TEXT];
    fprintf(stderr, "event_loop: %s: %s\n", w->uhost_id != NULL ? w->uhost_id : "list", compshare_error_text(w->client, text, sizeof text));
    failed++;
}

/* Gives an idle client the next instance. */
static void begin(worker *w)
{
    while (!w->busy && taken < ready) {
        compshare_plan plan = { 0 };
        plan.uhost_id = w->uhost_id = uhost_ids[taken++];
        plan.in_seconds = in_seconds;
        w->busy = compshare_schedule_set_start(w->client, &plan, NULL) == COMPSHARE_OK;
        if (!w->busy) fail(w);
    }
}

/* One step, then the timer: clients delay it by one step at the most. */
static void step(worker *w)
{
    int64_t start = now_us(), end;
    int r = compshare_step(w->client);
    if ((end = now_us()) - start > longest_step) longest_step = end - start;
    tick();
    if (r == COMPSHARE_PENDING) return;
    w->busy = false;
    if (r != COMPSHARE_OK) fail(w);
    else if (w->uhost_id != NULL) confirmed++;
    else ready = known;     /* now, and not before, the list counts */
}

/* Sleeps until a client can go on or a time has come, and steps who is due. False: all is done. */
static bool turn(void)
{
    struct pollfd fds[CLIENTS];
    int64_t left = next_tick - now_us();
    uint32_t timeout = left > 0 ? (uint32_t)(left + 999) / 1000 : 0, due;
    bool any = false;
    size_t i;
    for (i = 0; i < clients; i++) {
        worker *w = &workers[i];
        unsigned wants;
        begin(w);
        wants = compshare_wants(w->client);
        fds[i].fd = wants != 0 ? compshare_fd(w->client) : -1;      /* may be another at each turn; wants 0: only time counts */
        fds[i].events = (short)((wants & COMPSHARE_READ ? POLLIN : 0) | (wants & COMPSHARE_WRITE ? POLLOUT : 0));
        fds[i].revents = 0;     /* and stays so when a signal ends poll */
        if (!w->busy) continue;
        any = true;
        if ((due = compshare_timeout_ms(w->client)) < timeout) timeout = due;
    }
    if (any) (void)poll(fds, (nfds_t)clients, (int)timeout);
    tick();
    for (i = 0; i < clients; i++)
        if (workers[i].busy && (fds[i].revents != 0 || compshare_timeout_ms(workers[i].client) == 0)) step(&workers[i]);
    return any;
}

/* Takes an instance of the list down; 1 ends the listing: there is no room. */
static int collect(void *user, const compshare_instance *instance, compshare_value element)
{
    size_t i;
    (void)user; (void)element;
    if (strcmp(instance->state, "Stopped") == 0) return 0;
    for (i = 0; i < known; i++)     /* one may come twice */
        if (strcmp(uhost_ids[i], instance->uhost_id) == 0) return 0;
    if (known == INSTANCES) return 1;
    memcpy(uhost_ids[known++], instance->uhost_id, sizeof instance->uhost_id);
    return 0;
}

static bool arguments(int argc, char **argv, bool *all)
{
    int i;
    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        long number = i + 1 < argc ? strtol(argv[i + 1], NULL, 10) : 0;
        if (strcmp(argv[i], "--all") == 0) *all = true;
        else if (strcmp(argv[i], "--in") == 0 && number > 0) in_seconds = number, i++;
        else if (strcmp(argv[i], "--clients") == 0 && number > 0 && number <= CLIENTS) clients = (size_t)number, i++;
        else return false;
    }
    for (; i < argc && known < INSTANCES && strlen(argv[i]) < sizeof uhost_ids[0]; i++) strcpy(uhost_ids[known++], argv[i]);
    ready = known;
    return i == argc && *all == (known == 0);
}

int main(int argc, char **argv)
{
    static compshare_session session;   /* a client that connects again need not start from nothing */
    compshare_config config = { 0 };
    char text[COMPSHARE_ERROR_TEXT];
    int64_t start;
    bool all = false;
    size_t i;
    if (!arguments(argc, argv, &all)) return fprintf(stderr, "usage: event_loop [--clients 1-%d] [--in SECONDS] (--all | UHOST_ID ...)\n", CLIENTS), 1;
    config.memory_size = sizeof memory[0];
    config.public_key = getenv("COMPSHARE_PUBLIC_KEY");
    config.private_key = getenv("COMPSHARE_PRIVATE_KEY");
    config.region = getenv("COMPSHARE_REGION");
    config.project_id = getenv("COMPSHARE_PROJECT_ID");
    config.base_url = getenv("COMPSHARE_BASE_URL");
    config.ca_file = getenv("COMPSHARE_CA_FILE");
    config.session = &session;
    for (i = 0; i < clients; i++) {
        config.memory = memory[i];
        if (compshare_open(&workers[i].client, &config) != COMPSHARE_OK) return fprintf(stderr, "event_loop: %s\n", compshare_open_text(&config, text, sizeof text)), 1;
    }
    start = now_us();
    next_tick = start + TICK_US;
    workers[0].busy = all && compshare_each_instance_start(workers[0].client, NULL, collect, NULL) == COMPSHARE_OK;
    if (all && !workers[0].busy) fail(&workers[0]);
    while (turn()) {}
    printf("confirmed %zu, failed %zu\nlongest step %lld us, wall time %lld ms\n%lld ticks, the latest %lld us late\n", confirmed, failed,
        (long long)longest_step, (long long)(now_us() - start) / 1000, (long long)ticks, (long long)latest_tick);
    for (i = 0; i < clients; i++) compshare_close(workers[i].client);
    compshare_session_forget(&session);
    return failed == 0 ? 0 : 1;
}
