/* What the integration tests say about results, in one line each. Include after
   harness.h. */
#ifndef CALLS_H
#define CALLS_H

#include <dirent.h>

#define PROJECT "org-default"
#define ONE "uhost-0001"

#define UPDATE "UpdateCompShareStopScheduler"
#define DELETE "DeleteCompShareStopScheduler"
#define DESCRIBE "DescribeCompShareInstance"
#define PROJECTS "GetProjectList"
#define STOPPING "StopCompShareInstance"
#define STARTING "StartCompShareInstance"
#define REBOOTING "RebootCompShareInstance"

/* Calls an action that needs an instance, for the first one. */
static HARNESS_UNUSED int call_for_one(const harness_client *h, const char *action)
{
    compshare_param p = compshare_text("UHostId", ONE);
    return compshare_call(h->client, action, &p, 1);
}

/* As harness_configure, with all that the client need not ask for then. */
static HARNESS_UNUSED void configure_known(harness_client *h, unsigned port)
{
    harness_configure(h, port);
    h->config.zone = "cn-wlcb-01";
    h->config.project_id = PROJECT;
}

static HARNESS_UNUSED compshare_target target_of(const char *uhost_id)
{
    compshare_target t;
    memset(&t, 0, sizeof t);
    t.uhost_id = uhost_id;
    t.zone = "cn-wlcb-01";
    t.project_id = PROJECT;
    return t;
}

static HARNESS_UNUSED const compshare_error *last(const harness_client *h)
{
    return compshare_last_error(h->client);
}

/* A failure with everything that law 3 says about it. */
#define expect_failure(h, got, want, stage_, unknown) expect_failure_at(h, got, want, stage_, unknown, __FILE__, __LINE__)
static HARNESS_UNUSED void expect_failure_at(const harness_client *h, int got, int want, int stage, bool unknown,
    const char *file, int line)
{
    const compshare_error *e = last(h);
    harness_expect_at(h, got, want, file, line);
    if (e->status != want) fail_msg("%s:%d: the error says %s", file, line, compshare_status_name(e->status));
    if (e->stage != stage)
        fail_msg("%s:%d: stage %d where %d was expected: %s", file, line, e->stage, stage, e->detail);
    if (e->outcome_unknown != unknown)
        fail_msg("%s:%d: outcome_unknown is %d: %s: %s", file, line, e->outcome_unknown, compshare_status_name(want),
            e->detail);
}

#define expect_contains(text, part) expect_contains_at(text, part, __FILE__, __LINE__)
static HARNESS_UNUSED void expect_contains_at(const char *text, const char *part, const char *file, int line)
{
    if (strstr(text, part) == NULL) fail_msg("%s:%d: \"%s\" is not in \"%s\"", file, line, part, text);
}

#define expect_count(g, name, want) expect_count_at(g, name, want, __FILE__, __LINE__)
static HARNESS_UNUSED void expect_count_at(const harness_process *g, const char *name, json_int_t want,
    const char *file, int line)
{
    json_int_t n = harness_count(g, name);
    if (n != want) fail_msg("%s:%d: %s is %d, not %d", file, line, name, (int)n, (int)want);
}

#define expect_executed(g, action, want) expect_action_at(g, "executed_by_action", action, want, __FILE__, __LINE__)
#define expect_requested(g, action, want) expect_action_at(g, "requests_by_action", action, want, __FILE__, __LINE__)
static HARNESS_UNUSED void expect_action_at(const harness_process *g, const char *table, const char *action,
    json_int_t want, const char *file, int line)
{
    json_int_t n = harness_count_action(g, table, action);
    if (n != want) fail_msg("%s:%d: %s of %s is %d, not %d", file, line, table, action, (int)n, (int)want);
}

/* Open descriptors of this process. */
static HARNESS_UNUSED int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL) n++;
    closedir(dir);
    return n;
}

/* The reply's member as text; "" if there is none. */
static HARNESS_UNUSED const char *reply_text(const harness_client *h, const char *key)
{
    static char text[512];
    if (compshare_copy_text(compshare_get(compshare_reply(h->client), key), text, sizeof text) < 0) text[0] = '\0';
    return text;
}

#endif
