/* What most tests have: one gateway, and one client `h`. Include after calls.h. */
#ifndef ONE_H
#define ONE_H

static HARNESS_UNUSED harness_process gateway;
static HARNESS_UNUSED harness_client h;

static HARNESS_UNUSED int start(void **state)
{
    (void)state;
    gateway = harness_gateway("rsa", NULL);
    return 0;
}

static HARNESS_UNUSED int stop(void **state)
{
    (void)state;
    harness_stop(&gateway);
    return 0;
}

static HARNESS_UNUSED int done(void **state)
{
    (void)state;
    harness_close(&h);
    return 0;
}

/* Another client, configured as `h` says now. */
static HARNESS_UNUSED void reopen(void)
{
    harness_close(&h);
    harness_open(&h);
}

static HARNESS_UNUSED int act(const char *action)
{
    return call_for_one(&h, action);
}

/* Waits until something of the kept connection is there: bytes, or its end. */
static HARNESS_UNUSED void await_bytes(void)
{
    assert_true(compshare_fd(h.client) >= 0);
    assert_int_equal(poll_for(compshare_fd(h.client), COMPSHARE_READ, 10000), 1);
}

#endif
