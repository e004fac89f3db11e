/* Names: a resolver that is slow costs a connection none of its own time, and one that
   fails does not cut a client off from a host that it has talked to. The resolver here is
   the program's own, in front of libc's. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"

#include <dlfcn.h>

#define REBOOT "RebootCompShareInstance"
#define REPLY "HTTP/1.1 200 OK\\r\\nContent-Length: 13\\r\\nConnection: close\\r\\n\\r\\n{\\\"RetCode\\\":0}"
static const char *const good[] = { "read-request\nsend \"" REPLY "\"\nclose\n", NULL };

static harness_client h;
static wire w;

/* ---- the resolver ---- */

static struct {
    int code;               /* what it answers; 0: libc's answer */
    int sys_errno;
    uint32_t takes_ms;      /* of the injected clock */
    unsigned port;          /* not 0: the address has this port */
    bool none;              /* an answer without an address */
    int asked;
} names;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    void *next;
    int r;
    if (real == NULL) {
        next = dlsym(RTLD_NEXT, "getaddrinfo");
        memcpy(&real, &next, sizeof real);
    }
    names.asked++;
    h.clock.ms += names.takes_ms;
    errno = names.sys_errno;
    if (names.code != 0) return names.code;
    r = real(host, service, hints, list);
    if (r == 0 && names.none) {
        freeaddrinfo(*list);
        *list = NULL;
    }
    if (r == 0 && names.port != 0 && *list != NULL) {
        if ((*list)->ai_family == AF_INET)
            ((struct sockaddr_in *)(void *)(*list)->ai_addr)->sin_port = htons((uint16_t)names.port);
        else ((struct sockaddr_in6 *)(void *)(*list)->ai_addr)->sin6_port = htons((uint16_t)names.port);
    }
    return r;
}

static int begin(void **state)
{
    (void)state;
    memset(&names, 0, sizeof names);
    w = wire_serve("ec", good);
    configure_known(&h, w.server.port);
    fake_clock_hold(&h.clock, 1000);
    harness_open(&h);
    return 0;
}

static int end(void **state)
{
    (void)state;
    harness_close(&h);
    wire_stop(&w);
    return 0;
}

static int act(void)
{
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    return compshare_call(h.client, REBOOT, &p, 1);
}

/* ---- time ---- */

/* Slower than a connection may take, faster than the call: nothing is lost. */
static void slow_resolver(void **state)
{
    (void)state;
    names.takes_ms = 10000;
    harness_expect(&h, act(), COMPSHARE_OK);
    names.takes_ms = 14000;
    harness_expect(&h, act(), COMPSHARE_OK);
}

/* Slower than the call: that is over, whatever the answer. But the answer is there for
   the next call, which does not ask again. */
static void too_slow_resolver(void **state)
{
    (void)state;
    names.takes_ms = 15000;
    expect_failure(&h, act(), COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_CONNECT, false);
    assert_true(last(&h)->retryable);
    harness_expect(&h, act(), COMPSHARE_OK);
    assert_int_equal(names.asked, 1);
    h.clock.ms += 61000;
    names.takes_ms = 100000;
    expect_failure(&h, act(), COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_CONNECT, false);
    harness_expect(&h, act(), COMPSHARE_OK);
    assert_int_equal(names.asked, 2);
}

/* A request that may take a part of the call's time only gets back what the name took,
   within the call's time. */
static void share_of_a_reading(void **state)
{
    static const struct { uint32_t takes_ms, share, request, connect; } rows[] = {
        { 0, 4000, 4000, 4000 }, { 3000, 4000, 7000, 7000 }, { 3000, 9000, 12000, 8000 }, { 12500, 9000, 15000, 15000 }
    };
    compshare_param p = compshare_text("UHostId", "uhost-0001");
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t start = fake_clock_monotonic_ms(&h);
        names.takes_ms = rows[i].takes_ms;
        assert_int_equal(compshare_call_start(h.client, REBOOT, &p, 1), COMPSHARE_OK);
        h.client->exchange.deadline = start + rows[i].share;
        assert_int_equal(compshare_step(h.client), COMPSHARE_PENDING);
        assert_int_equal(h.client->exchange.deadline - start, rows[i].request);
        assert_int_equal(h.client->connection.deadline - start, rows[i].connect);
        assert_true(h.client->connection.posix.attempt_deadline <= h.client->connection.deadline);
        (void)compshare_abort(h.client);
    }
}

/* ---- failures ---- */

static const int failures[] = { EAI_AGAIN, EAI_FAIL, EAI_NONAME, EAI_MEMORY, EAI_SYSTEM, 0 };

static void no_name_at_first(void **state)
{
    static const char *const words[] = { "do not answer", "servers failed", "no such name", "out of memory",
        "name resolution failed",
        "no usable address" };
    size_t i;
    (void)state;
    for (i = 0; i < 6; i++) {
        names.code = failures[i];
        names.none = failures[i] == 0;
        expect_failure(&h, act(), COMPSHARE_E_RESOLVE, COMPSHARE_STAGE_CONNECT, false);
        expect_contains(last(&h)->detail, words[i]);
        assert_true(last(&h)->retryable);
        assert_int_equal(names.asked, i + 1);
    }
}

/* The address is known, and TLS says again whose it is. */
static void names_fail_later(void **state)
{
    size_t i;
    (void)state;
    harness_expect(&h, act(), COMPSHARE_OK);
    for (i = 0; i < 6; i++) {
        names.code = failures[i];
        names.none = failures[i] == 0;
        names.asked = 0;
        harness_expect(&h, act(), COMPSHARE_OK);
        assert_int_equal(names.asked, 1);
        h.clock.ms += 61000;
    }
    names.code = names.none = 0;
    harness_expect(&h, act(), COMPSHARE_OK);
    assert_int_equal(names.asked, 2);
}

/* A resolver that overstays is not asked in every call: for a minute the address is used
   as it is. */
static void silent_resolver(void **state)
{
    (void)state;
    harness_expect(&h, act(), COMPSHARE_OK);
    names.code = EAI_AGAIN;
    names.takes_ms = 20000;
    expect_failure(&h, act(), COMPSHARE_E_TIMEOUT, COMPSHARE_STAGE_CONNECT, false);
    assert_int_equal(names.asked, 2);
    harness_expect(&h, act(), COMPSHARE_OK);
    h.clock.ms += 59000;
    harness_expect(&h, act(), COMPSHARE_OK);
    assert_int_equal(names.asked, 2);
    h.clock.ms += 2000;
    names.takes_ms = 0;
    harness_expect(&h, act(), COMPSHARE_OK);
    assert_int_equal(names.asked, 3);
}

/* Where nobody answers at the address either, both are told; then the name is asked for again. */
static void address_gone_as_well(void **state)
{
    (void)state;
    harness_expect(&h, act(), COMPSHARE_OK);
    harness_stop(&w.server);
    names.code = EAI_AGAIN;
    expect_failure(&h, act(), COMPSHARE_E_CONNECT, COMPSHARE_STAGE_CONNECT, false);
    expect_contains(last(&h)->detail, "connection refused");
    expect_contains(last(&h)->detail, "the name servers do not answer");
    assert_int_equal(last(&h)->sys_errno, ECONNREFUSED);
    assert_true(last(&h)->retryable);
    assert_int_equal(names.asked, 2);
    expect_failure(&h, act(), COMPSHARE_E_CONNECT, COMPSHARE_STAGE_CONNECT, false);
    assert_int_equal(names.asked, 3);
}

/* Only addresses that a request has got through to are kept: those that a wrong resolver
   gave are not. A good answer replaces what is known. */
static void only_what_worked(void **state)
{
    wire other = wire_serve("unknown", good);
    (void)state;
    names.port = other.server.port;
    expect_failure(&h, act(), COMPSHARE_E_CERTIFICATE, COMPSHARE_STAGE_HANDSHAKE, false);
    names.code = EAI_AGAIN;
    expect_failure(&h, act(), COMPSHARE_E_RESOLVE, COMPSHARE_STAGE_CONNECT, false);
    names.code = 0;
    names.port = 0;
    harness_expect(&h, act(), COMPSHARE_OK);
    names.code = EAI_AGAIN;
    harness_expect(&h, act(), COMPSHARE_OK);
    assert_int_equal(wire_count(&other, "accepted"), 1);
    wire_stop(&other);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(slow_resolver), T(too_slow_resolver), T(share_of_a_reading), T(no_name_at_first), T(names_fail_later),
            T(silent_resolver),
        T(address_gone_as_well), T(only_what_worked)
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
