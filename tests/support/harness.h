/* A client under test, with clocks that a test may move. Include compshare.h first. */
#ifndef HARNESS_H
#define HARNESS_H

#include "clock.h"
#include "servers.h"

#define HARNESS_PUBLIC_KEY "ucloudsomeone@example.com1296235120854146120"
#define HARNESS_PRIVATE_KEY "46f09bb9fab4f12dfc160dae12273d5332b5debe"

/* A client under test: its memory, and clocks that a test may move. */
typedef struct harness_client {
    fake_clock clock;           /* first: config.user points here */
    compshare_config config;
    compshare *client;
    char base_url[64];
    unsigned char memory[COMPSHARE_MEMORY];
} harness_client;

/* Fills the configuration; change it as needed, then call harness_open. */
static HARNESS_UNUSED void harness_configure(harness_client *h, unsigned port)
{
    memset(h, 0, sizeof *h);
    snprintf(h->base_url, sizeof h->base_url, "https://localhost:%u", port);
    h->config.memory = h->memory;
    h->config.memory_size = sizeof h->memory;
    h->config.public_key = HARNESS_PUBLIC_KEY;
    h->config.private_key = HARNESS_PRIVATE_KEY;
    h->config.region = "cn-wlcb";
    h->config.base_url = h->base_url;
    h->config.ca_file = harness_cert("roots.pem");
    h->clock.real_ms = h->clock.real_unix = true;
    h->config.unix_time = fake_clock_unix_time;
    h->config.monotonic_ms = fake_clock_monotonic_ms;
    h->config.user = h;
}

static HARNESS_UNUSED void harness_open(harness_client *h)
{
    char text[512];
    int r = compshare_open(&h->client, &h->config);
    if (r != COMPSHARE_OK) fail_msg("compshare_open: %s", compshare_open_text(&h->config, text, sizeof text));
}

static HARNESS_UNUSED void harness_close(harness_client *h)
{
    compshare_close(h->client);
    h->client = NULL;
}

/* Fails the test with the client's own words unless the status is the expected one. */
#define harness_expect(h, status, expected) harness_expect_at(h, status, expected, __FILE__, __LINE__)
static HARNESS_UNUSED void harness_expect_at(const harness_client *h, int status, int expected, const char *file,
    int line)
{
    char text[1024];
    if (status == expected) return;
    fail_msg("%s:%d: %s where %s was expected: %s", file, line, compshare_status_name(status),
        compshare_status_name(expected),
        compshare_error_text(h->client, text, sizeof text));
}

/* Adds a line to a text. */
static HARNESS_UNUSED void add_line(char *text, size_t cap, size_t *len, const char *line)
{
    size_t n = strlen(line);
    assert_true(*len + n + 2 < cap);
    memcpy(text + *len, line, n);
    *len += n;
    text[(*len)++] = '\n';
    text[*len] = '\0';
}

/* ---- steps ---- */

/* What an event loop does between two steps. */
static HARNESS_UNUSED void step_wait(compshare *client)
{
    unsigned want = compshare_wants(client);
    uint32_t timeout = compshare_timeout_ms(client);
    if (timeout == 0) return;
    assert_true(want != 0 && compshare_fd(client) >= 0);
    assert_true(poll_for(compshare_fd(client), want, timeout < 5000 ? (int)timeout : 5000) >= 0 || errno == EINTR);
}

/* Runs a started call to its end. */
static HARNESS_UNUSED int step_to_the_end(compshare *client, int started)
{
    int r = started;
    if (r != COMPSHARE_OK) return r;
    while ((r = compshare_step(client)) == COMPSHARE_PENDING) step_wait(client);
    return r;
}

/* Runs a started call, while s_server is given its reply once it has shown as many
   requests as `nth` says. */
static HARNESS_UNUSED int peer_answer(peer *p, harness_client *h, int started, int nth, const char *reply, size_t len)
{
    int r = started, rounds;
    bool answered = false;
    if (r != COMPSHARE_OK) return r;
    for (rounds = 0; (r = compshare_step(h->client)) == COMPSHARE_PENDING; rounds++) {
        assert_true(rounds < 10000);
        if (compshare_timeout_ms(h->client) > 0) poll_for(compshare_fd(h->client), compshare_wants(h->client), 5);
        if (answered || peer_count(p, "out", "Signature=") < nth) continue;
        assert_true(write(p->input, reply, len) == (ssize_t)len);
        answered = true;
    }
    return r;
}

#endif
