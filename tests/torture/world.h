/* What the client talks to: the gateway and what it knows, and a proxy in a process of
   its own. One connection to the control endpoint serves all points. Include after
   faults.h. */
#ifndef WORLD_H
#define WORLD_H

#include <netinet/tcp.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static harness_process gateway;

/* ---- the gateway ---- */

/* What it knows of one action and of instance ONE. */
typedef struct view {
    json_int_t received, executed;
    json_int_t schedule;
    char state[32];
} view;

static void world_set(const char *query)
{
    char path[1000];
    snprintf(path, sizeof path, "/set?%s", query);
    free(harness_control_kept(&gateway, path));
}

/* As in the beginning, but for these options; "@N" in them is the time N seconds behind
   `base`. */
static void world_reset(const char *query, int64_t base)
{
    char path[1000];
    size_t n = (size_t)snprintf(path, sizeof path, "/reset?");
    while (*query != '\0') {
        char *end;
        assert_true(n + 32 < sizeof path);
        if (*query != '@') {
            path[n++] = *query++;
            continue;
        }
        n += (size_t)snprintf(path + n, 24, "%lld",
            (long long)(base + strtoll(query + 1, &end, 10)));
        query = end;
    }
    path[n] = '\0';
    free(harness_control_kept(&gateway, path));
}

static json_int_t world_tally(json_t *stats, const char *table, const char *action)
{
    return json_integer_value(json_object_get(json_object_get(stats, table), action));
}

/* options: set before it is looked, or "". */
static view world_look(const char *action, const char *options)
{
    char path[64], *text;
    json_t *stats, *one;
    const char *state;
    view v;
    snprintf(path, sizeof path, "/stats?%s", options);
    text = harness_control_kept(&gateway, path);
    stats = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(stats);
    memset(&v, 0, sizeof v);
    v.received = world_tally(stats, "requests_by_action", action);
    v.executed = world_tally(stats, "executed_by_action", action);
    one = json_object_get(json_object_get(stats, "instances"), ONE);
    v.schedule = json_integer_value(json_object_get(one, "schedule"));
    state = json_string_value(json_object_get(one, "state"));
    snprintf(v.state, sizeof v.state, "%s", state != NULL ? state : "");
    json_decref(stats);
    return v;
}

/* ---- the proxy ---- */

#define PROXY_LINKS 64

typedef struct proxy_link {
    int side[2];                /* the client's, the server's; -1: none */
    char head[2048];
    size_t head_len;
} proxy_link;

static proxy_link proxy_links[PROXY_LINKS];

static void proxy_drop(proxy_link *l)
{
    int i;
    for (i = 0; i < 2; i++) {
        if (l->side[i] >= 0) (void)__real_close(l->side[i]);
        l->side[i] = -1;
    }
    l->head_len = 0;
}

static int proxy_dial(unsigned port)
{
    struct sockaddr_in a;
    int one = 1, fd = __real_socket(AF_INET, SOCK_STREAM, 0);
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_port = htons((uint16_t)port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (__real_connect(fd, (struct sockaddr *)(void *)&a, sizeof a) == 0) return fd;
    (void)__real_close(fd);
    return -1;
}

/* Reads the head, byte by byte so that nothing behind it is touched, and opens the
   tunnel. False: it is over. */
static bool proxy_head(proxy_link *l)
{
    static const char yes[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    const char *colon;
    if (l->head_len == sizeof l->head || __real_recv(l->side[0], l->head + l->head_len, 1, 0) != 1) return false;
    l->head_len++;
    if (l->head_len < 4 || memcmp(l->head + l->head_len - 4, "\r\n\r\n", 4) != 0) return true;
    l->head[l->head_len - 1] = '\0';
    colon = strchr(l->head, ':');
    if (strncmp(l->head, "CONNECT localhost:", 18) != 0 || colon == NULL) return false;
    l->side[1] = proxy_dial((unsigned)strtoul(colon + 1, NULL, 10));
    return l->side[1] >= 0 && __real_send(l->side[0], yes, sizeof yes - 1, MSG_NOSIGNAL) == (ssize_t)sizeof yes - 1;
}

static bool proxy_relay(int from, int to)
{
    static char piece[16384];
    ssize_t n = __real_recv(from, piece, sizeof piece, 0), done = 0, m;
    for (; n > 0 && done < n; done += m)
        if ((m = __real_send(to, piece + done, (size_t)(n - done), MSG_NOSIGNAL)) <= 0) return false;
    return n > 0;
}

static void proxy_accept(int listener)
{
    size_t i;
    int one = 1, fd = accept(listener, NULL, NULL);
    for (i = 0; i < PROXY_LINKS && proxy_links[i].side[0] >= 0; i++) {}
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (i < PROXY_LINKS) proxy_links[i].side[0] = fd;
    else (void)__real_close(fd);
}

static void proxy_turn(int listener)
{
    struct pollfd pfds[1 + 2 * PROXY_LINKS];
    size_t i;
    for (i = 0; i < COUNT(pfds); i++) {
        pfds[i].fd = i == 0 ? listener : proxy_links[(i - 1) / 2].side[(i - 1) % 2];
        pfds[i].events = POLLIN;
        pfds[i].revents = 0;
    }
    if (__real_poll(pfds, COUNT(pfds), -1) < 0) return;
    for (i = 1; i < COUNT(pfds); i++) {
        proxy_link *l = &proxy_links[(i - 1) / 2];
        size_t from = (i - 1) % 2;
        if (pfds[i].revents == 0 || l->side[from] != pfds[i].fd) continue;
        if (!(l->side[1] < 0 ? proxy_head(l) : proxy_relay(l->side[from], l->side[1 - from]))) proxy_drop(l);
    }
    if (pfds[0].revents != 0) proxy_accept(listener);
}

/* A tunnel, and nothing else. It ends with this process. */
static harness_process world_proxy(void)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    harness_process p;
    size_t i;
    int listener = __real_socket(AF_INET, SOCK_STREAM, 0);
    memset(&p, 0, sizeof p);
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)(void *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)(void *)&a, &len), 0);
    p.port = ntohs(a.sin_port);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
#ifdef __linux__
        prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
        for (i = 0; i < PROXY_LINKS; i++) proxy_links[i].side[0] = proxy_links[i].side[1] = -1;
        for (;;) proxy_turn(listener);
    }
    (void)__real_close(listener);
    return p;
}

#endif
