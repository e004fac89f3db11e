/* The timed shutdown: set, get, extend and cancel against the gateway, each row of the
   tables in blocking and in stepped form with the same results. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"
#include "workflow.h"

#define PLAN "schedule." ONE "=@9000"
#define UPDATES "drop_action=" UPDATE "&"
#define DELETES "drop_action=" DELETE "&"
#define READS "drop_action=" DESCRIBE "&"
#define LISTS "drop_action=" PROJECTS "&"

/* ---- what works, and what is refused before anything is changed ---- */

static const row plain[] = {
    { .name = "set in an hour", .kind = SET, .in = 3600, .executed = 1, .plan = 3600, .reads = 2 },
    { .name = "set at", .kind = SET, .at = 7200, .executed = 1, .plan = 7200, .reads = 2 },
    { .name = "set replaces", .kind = SET, .at = 7200, .options = PLAN, .executed = 1, .plan = 7200, .previous = 9000 },
    { .name = "set the same again", .kind = SET, .at = 9000, .options = PLAN, .executed = 1, .plan = 9000,
        .previous = 9000 },
    { .name = "set at the floor", .kind = SET, .in = 300, .executed = 1, .plan = 300 },
    { .name = "set for years", .kind = SET, .in = INT64_C(3000000000), .executed = 1, .plan = INT64_C(3000000000) },
    { .name = "set on a kept connection", .kind = SET, .in = 3600, .warm = true, .executed = 1, .plan = 3600,
        .reads = 2 },
    { .name = "set, region configured", .kind = SET, .in = 3600, .region = "cn-wlcb", .executed = 1, .plan = 3600 },
    { .name = "set, no region in the reply", .kind = SET, .in = 3600, .options = "describe_region=0", .executed = 1,
        .plan = 3600 },
    { .name = "set, another zone configured", .kind = SET, .in = 3600, .zone = "cn-wlcb-07", .executed = 1,
        .plan = 3600 },
    { .name = "set, nothing configured", .kind = SET, .in = 3600, .region = "", .zone = "", .project = "",
        .executed = 1, .plan = 3600 },
    { .name = "set, the only project", .kind = SET, .in = 3600, .options = "projects=1&no_default=1", .executed = 1,
        .plan = 3600 },
    { .name = "set, project configured", .kind = SET, .in = 3600, .project = PROJECT, .options = "no_default=1",
        .executed = 1, .plan = 3600 },
    { .name = "set, field as text, other name", .kind = SET, .in = 3600,
      .options = "schedule_type=string,absent_when_none&schedule_field=StopSchedulerTime", .executed = 1,
          .plan = 3600 },
    { .name = "get none", .kind = GET, .reads = 1 },
    { .name = "get", .kind = GET, .options = PLAN, .plan = 9000, .previous = 9000, .reads = 1 },
    { .name = "get, field as text", .kind = GET, .options = PLAN "&schedule_type=string,null_when_none", .plan = 9000,
        .previous = 9000 },
    { .name = "get in another state", .kind = GET, .options = "state." ONE "=Stopped", .seen = "Stopped" },
    { .name = "get without a project", .kind = GET, .options = "no_default=1&" PLAN, .plan = 9000, .previous = 9000 },
    { .name = "extend", .kind = EXTEND, .in = 600, .options = PLAN, .executed = 1, .plan = 9600, .previous = 9000,
        .reads = 2 },
    { .name = "extend by a second", .kind = EXTEND, .in = 1, .options = PLAN, .executed = 1, .plan = 9001,
        .previous = 9000 },
    { .name = "extend what is nearly over", .kind = EXTEND, .in = 400, .options = "schedule." ONE "=@60", .executed = 1,
        .plan = 460, .previous = 60 },
    { .name = "cancel", .kind = CANCEL, .options = PLAN, .executed = 1, .previous = 9000, .reads = 2 },
    { .name = "cancel none", .kind = CANCEL, .executed = 1, .reads = 2 },
    { .name = "cancel, none shown as null", .kind = CANCEL, .options = PLAN "&schedule_type=int,null_when_none",
        .executed = 1, .previous = 9000 },
    { .name = "cancel, none shown as text", .kind = CANCEL, .options = PLAN "&schedule_type=string,empty_when_none",
        .executed = 1, .previous = 9000 },
    { .name = "cancel in another state", .kind = CANCEL, .options = PLAN "&state." ONE "=Stopped", .executed = 1,
        .previous = 9000, .seen = "Stopped" },
    { .name = "cancel of a Spot instance", .kind = CANCEL, .options = PLAN "&charge." ONE "=Spot", .executed = 1,
        .previous = 9000 },
    /* modes */
    { .name = "only extend, later already", .kind = SET, .in = 3600, .mode = COMPSHARE_ONLY_EXTEND, .options = PLAN,
        .plan = 9000, .previous = 9000, .unchanged = true, .reads = 1 },
    { .name = "only extend, equal", .kind = SET, .at = 9000, .mode = COMPSHARE_ONLY_EXTEND, .options = PLAN,
        .plan = 9000, .previous = 9000, .unchanged = true },
    { .name = "only extend, a second earlier", .kind = SET, .at = 9001, .mode = COMPSHARE_ONLY_EXTEND, .options = PLAN,
        .executed = 1, .plan = 9001, .previous = 9000 },
    { .name = "only extend, earlier", .kind = SET, .in = 9900, .mode = COMPSHARE_ONLY_EXTEND, .options = PLAN,
        .executed = 1, .plan = 9900, .previous = 9000 },
    { .name = "only extend, none", .kind = SET, .in = 3600, .mode = COMPSHARE_ONLY_EXTEND, .executed = 1,
        .plan = 3600 },
    { .name = "only shorten, earlier already", .kind = SET, .in = 9900, .mode = COMPSHARE_ONLY_SHORTEN, .options = PLAN,
        .plan = 9000, .previous = 9000, .unchanged = true, .reads = 1 },
    { .name = "only shorten, equal", .kind = SET, .at = 9000, .mode = COMPSHARE_ONLY_SHORTEN, .options = PLAN,
        .plan = 9000, .previous = 9000, .unchanged = true },
    { .name = "only shorten, a second later", .kind = SET, .at = 8999, .mode = COMPSHARE_ONLY_SHORTEN, .options = PLAN,
        .executed = 1, .plan = 8999, .previous = 9000 },
    { .name = "only shorten, later", .kind = SET, .in = 3600, .mode = COMPSHARE_ONLY_SHORTEN, .options = PLAN,
        .executed = 1, .plan = 3600, .previous = 9000 },
    { .name = "only shorten, none", .kind = SET, .in = 3600, .mode = COMPSHARE_ONLY_SHORTEN, .executed = 1,
        .plan = 3600 },
    /* refused, and nothing executed */
    { .name = "set: not found", .kind = SET, .id = "uhost-9999", .in = 3600, .from = 1000,
      .to = 1000, .status = COMPSHARE_E_NOT_FOUND, .words = "uhost-9999" },
    { .name = "get: not found", .kind = GET, .id = "uhost-9999", .from = 1000, .to = 1000,
      .status = COMPSHARE_E_NOT_FOUND, .words = "uhost-9999" },
    { .name = "extend: not found", .kind = EXTEND, .id = "uhost-9999", .in = 600, .from = 1000,
      .to = 1000, .status = COMPSHARE_E_NOT_FOUND, .words = "uhost-9999" },
    { .name = "cancel: not found", .kind = CANCEL, .id = "uhost-9999", .from = 1000, .to = 1000,
      .status = COMPSHARE_E_NOT_FOUND, .words = "uhost-9999" },
    { .name = "set: part of an id", .kind = SET, .id = "uhost-000", .in = 3600, .from = 1000,
      .to = 1000, .status = COMPSHARE_E_NOT_FOUND },
    { .name = "set: not an id", .kind = SET, .id = "uhost-0001&x=y", .in = 3600, .status = COMPSHARE_E_PARAM,
        .words = "UHostIds.0" },
    { .name = "set: in another region", .kind = SET, .in = 3600, .region = "cn-sh2",
      .from = 1000, .to = 1000, .status = COMPSHARE_E_NOT_FOUND, .words = "region" },
    { .name = "set: Stopped", .kind = SET, .in = 3600, .options = "state." ONE "=Stopped",
      .reads = 2, .from = 1000, .to = 1000, .status = COMPSHARE_E_STATE, .seen = "Stopped",
      .words = "\"Stopped\"" },
    { .name = "set: Starting", .kind = SET, .at = 3600, .options = "state." ONE "=Starting",
      .reads = 2, .from = 1000, .to = 1000, .status = COMPSHARE_E_STATE, .seen = "Starting",
      .words = "\"Starting\"" },
    { .name = "extend: Stopped", .kind = EXTEND, .in = 600,
      .options = PLAN "&state." ONE "=Stopped", .plan = 9000, .previous = 9000, .reads = 2,
      .from = 1000, .to = 1000, .status = COMPSHARE_E_STATE, .seen = "Stopped",
      .words = "\"Stopped\"" },
    { .name = "set: Spot", .kind = SET, .in = 3600, .options = "charge." ONE "=Spot", .status = COMPSHARE_E_SPOT,
        .seen = "Running", .words = "Spot" },
    { .name = "extend: Spot", .kind = EXTEND, .in = 600, .options = PLAN "&charge." ONE "=Spot", .plan = 9000,
        .previous = 9000,
      .status = COMPSHARE_E_SPOT, .seen = "Running", .words = "Spot" },
    { .name = "set: Spot under another name", .kind = SET, .in = 3600, .options = "charge." ONE "=Preemptive",
        .status = COMPSHARE_E_SPOT, .seen = "Running" },
    { .name = "set at: 290 s", .kind = SET, .at = 290, .status = COMPSHARE_E_TOO_SOON, .seen = "Running",
        .words = "300 s", .words2 = "@290" },
    { .name = "set at: in the past", .kind = SET, .at = -5, .status = COMPSHARE_E_TOO_SOON, .seen = "Running",
        .words = "@-5" },
    { .name = "set at: 1970", .kind = SET, .at = -INT64_C(1000000000), .status = COMPSHARE_E_TOO_SOON,
        .seen = "Running" },
    { .name = "only shorten: too soon", .kind = SET, .at = 200, .mode = COMPSHARE_ONLY_SHORTEN, .options = PLAN,
        .plan = 9000, .previous = 9000,
      .status = COMPSHARE_E_TOO_SOON, .seen = "Running" },
    { .name = "extend: too soon", .kind = EXTEND, .in = 100, .options = "schedule." ONE "=@120", .plan = 120,
        .previous = 120,
      .status = COMPSHARE_E_TOO_SOON, .seen = "Running", .words = "@220" },
    { .name = "extend: none", .kind = EXTEND, .in = 600, .reads = 2, .from = 1000, .to = 1000,
      .status = COMPSHARE_E_NO_PLAN, .seen = "Running", .words = ONE },
    /* the local clock may be wrong: where the server's time is not known, the server judges */
    { .name = "extend, expired by the local clock alone", .kind = EXTEND, .in = 600,
      .local = 7200, .options = "no_date=1&schedule." ONE "=@3600", .executed = 1, .plan = 4200,
      .previous = 3600 },
    { .name = "set: beyond all years", .kind = SET, .in = INT64_MAX, .status = COMPSHARE_E_PARAM, .seen = "Running",
        .words = "9999" },
    { .name = "set: near the end of time", .kind = SET, .in = INT64_C(253402300799), .status = COMPSHARE_E_PARAM,
        .seen = "Running", .words = "9999" },
    { .name = "extend: beyond all years", .kind = EXTEND, .in = INT64_MAX, .options = PLAN, .plan = 9000,
        .previous = 9000,
      .status = COMPSHARE_E_PARAM, .seen = "Running", .words = "9999" },
    { .name = "set: which project", .kind = SET, .in = 3600, .options = "projects=3&no_default=1",
        .status = COMPSHARE_E_PROJECT, .words = "org-other, org-default" },
    { .name = "extend: which project", .kind = EXTEND, .in = 600, .options = "no_default=1&" PLAN, .plan = 9000,
        .status = COMPSHARE_E_PROJECT, .words = "org-default" },
    { .name = "cancel: which project", .kind = CANCEL, .options = "no_default=1&" PLAN, .plan = 9000,
        .status = COMPSHARE_E_PROJECT, .words = "project_id" },
    { .name = "set: a stranger's project", .kind = SET, .in = 3600, .project = "org-stranger",
        .status = COMPSHARE_E_API, .words = "292" },
    /* a local clock that is wrong: the server's counts */
    { .name = "2 h behind", .kind = SET, .in = 3600, .local = -7200, .executed = 1, .plan = 3600 },
    { .name = "2 h ahead", .kind = SET, .in = 3600, .local = 7200, .executed = 1, .plan = 3600 },
    { .name = "2 h ahead, at", .kind = SET, .at = 3600, .local = 7200, .executed = 1, .plan = 3600 },
    { .name = "2 h ahead, the floor", .kind = SET, .in = 300, .local = 7200, .executed = 1, .plan = 300 },
    { .name = "2 h behind, the floor", .kind = SET, .at = 290, .local = -7200, .status = COMPSHARE_E_TOO_SOON,
        .seen = "Running" },
    { .name = "2 h ahead, extended", .kind = EXTEND, .in = 600, .options = "schedule." ONE "=@900", .local = 7200,
        .executed = 1, .plan = 1500, .previous = 900 },
    { .name = "2 h ahead, get", .kind = GET, .options = "schedule." ONE "=@900", .local = 7200, .plan = 900,
        .previous = 900 },
    { .name = "2 h ahead, no Date", .kind = SET, .in = 3600, .options = "no_date=1", .local = 7200, .executed = 1,
        .plan = 10800 },
    { .name = "2 h ahead, no Date, at", .kind = SET, .at = 3600, .local = 7200,
      .options = "no_date=1", .executed = 1, .plan = 3600 },
    { .name = "2 h behind, no Date", .kind = SET, .in = 3600, .options = "no_date=1", .local = -7200,
        .status = COMPSHARE_E_API, .requested = 1, .seen = "Running", .words = "220" },
    { .name = "the server is 2 h behind", .kind = SET, .in = 3600, .options = "clock_offset=-7200", .executed = 1,
        .plan = -3600 },
    { .name = "set: 1970", .kind = SET, .in = 3600, .local = -INT64_C(1700000000), .status = COMPSHARE_E_CLOCK,
        .words = "clock" },
    { .name = "set at: 1970 here", .kind = SET, .at = 3600, .local = -INT64_C(1700000000), .status = COMPSHARE_E_CLOCK,
        .words = "clock" },
    { .name = "cancel: 1970", .kind = CANCEL, .options = PLAN, .plan = 9000, .local = -INT64_C(1700000000),
        .status = COMPSHARE_E_CLOCK },
    { .name = "get: 2099", .kind = GET, .local = INT64_C(2300000000), .status = COMPSHARE_E_CERTIFICATE,
        .words = "2099" },
    { .name = "set: 2099", .kind = SET, .in = 3600, .local = INT64_C(2300000000), .status = COMPSHARE_E_CERTIFICATE,
        .words = "2099" }
};

/* ---- replies that do not come, or say nothing ---- */

/* A change whose reply is lost is looked at before it is sent again: where readings show
   what is wanted, twice and not before the change, nothing is sent. */
static const row lost[] = {
    { .name = "set lost once before", .kind = SET, .in = 3600,
      .options = UPDATES "drop_before=1", .executed = 1, .requested = 2, .plan = 3600,
      .from = 2000, .to = 5000 },
    { .name = "set lost once after", .kind = SET, .in = 3600, .options = UPDATES "drop_after=1",
      .executed = 1, .plan = 3600, .from = 250, .to = 250 },
    { .name = "set lost twice before", .kind = SET, .in = 3600,
      .options = UPDATES "drop_before=2", .executed = 1, .requested = 3, .plan = 3600,
      .from = 6000, .to = 15000 },
    { .name = "set at lost after", .kind = SET, .at = 7200, .options = UPDATES "drop_after=2",
      .executed = 1, .plan = 7200, .from = 250, .to = 250 },
    { .name = "set always lost before", .kind = SET, .in = 3600,
      .options = UPDATES "drop_before=9", .requested = 5, .reads = -2, .from = 59000,
      .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .seen = "Running",
      .words = "no timed shutdown", .words2 = "Running" },
    { .name = "set over a plan, lost before", .kind = SET, .at = 7200,
      .options = UPDATES "drop_before=1&" PLAN, .executed = 1, .requested = 2, .plan = 7200,
      .previous = 9000, .from = 2000, .to = 5000 },
    { .name = "extend lost after", .kind = EXTEND, .in = 600,
      .options = UPDATES "drop_after=2&" PLAN, .executed = 1, .plan = 9600, .previous = 9000,
      .from = 250, .to = 250 },
    { .name = "extend lost before", .kind = EXTEND, .in = 600,
      .options = UPDATES "drop_before=1&" PLAN, .executed = 1, .requested = 2, .plan = 9600,
      .previous = 9000, .from = 2000, .to = 5000 },
    { .name = "cancel lost after", .kind = CANCEL, .options = DELETES "drop_after=2&" PLAN,
      .executed = 1, .previous = 9000, .from = 250, .to = 250 },
    { .name = "cancel lost before", .kind = CANCEL, .options = DELETES "drop_before=1&" PLAN,
      .executed = 1, .requested = 2, .previous = 9000, .from = 2000, .to = 5000 },
    /* one connection for each request */
    { .name = "set lost after, new connection", .kind = SET, .in = 3600,
      .options = "close_every=1&" UPDATES "drop_after=1", .executed = 1, .plan = 3600,
      .from = 250, .to = 250 },
    { .name = "set lost before, new connection", .kind = SET, .in = 3600,
      .options = "close_every=1&" UPDATES "drop_before=1", .executed = 1, .requested = 2,
      .plan = 3600, .from = 2000, .to = 5000 },
    { .name = "cancel lost after, new connection", .kind = CANCEL,
      .options = "close_every=1&" DELETES "drop_after=1&" PLAN, .executed = 1, .previous = 9000,
      .from = 250, .to = 250 },
    { .name = "set truncated", .kind = SET, .in = 3600, .options = UPDATES "truncate=1",
      .executed = 1, .plan = 3600, .from = 250, .to = 250 },
    { .name = "extend truncated", .kind = EXTEND, .in = 600,
      .options = UPDATES "truncate=1&" PLAN, .executed = 1, .plan = 9600, .previous = 9000,
      .from = 250, .to = 250 },
    { .name = "cancel truncated", .kind = CANCEL, .options = DELETES "truncate=1&" PLAN,
      .executed = 1, .previous = 9000, .from = 250, .to = 250 },
    { .name = "set: 502", .kind = SET, .in = 3600,
      .options = UPDATES "fail_next=1&fail_http=502", .executed = 1, .requested = 2,
      .plan = 3600, .from = 2000, .to = 5000 },
    { .name = "cancel: 504", .kind = CANCEL,
      .options = DELETES "fail_next=1&fail_http=504&" PLAN, .executed = 1, .requested = 2,
      .previous = 9000, .from = 2000, .to = 5000 },
    { .name = "set: 110", .kind = SET, .in = 3600,
      .options = UPDATES "fail_next=1&fail_code=110", .executed = 1, .requested = 2,
      .plan = 3600, .from = 2000, .to = 5000 },
    { .name = "extend: 8438", .kind = EXTEND, .in = 600,
      .options = UPDATES "fail_next=1&fail_code=8438&" PLAN, .executed = 1, .requested = 2,
      .plan = 9600, .previous = 9000, .from = 2000, .to = 5000 },
    /* the same codes, although it was executed */
    { .name = "set: 110, executed", .kind = SET, .in = 3600, .event = "answered " DESCRIBE,
      .then = "reply_retcode=110", .event2 = "answered " UPDATE, .then2 = "reply_retcode=0",
      .executed = 1, .plan = 3600, .from = 250, .to = 250 },
    { .name = "cancel: 8438, executed", .kind = CANCEL, .options = PLAN,
      .event = "answered " DESCRIBE, .then = "reply_retcode=8438", .event2 = "answered " DELETE,
      .then2 = "reply_retcode=0", .executed = 1, .previous = 9000, .from = 250, .to = 250 },
    /* silence: the change may take half of the time left */
    { .name = "set: silence, executed", .kind = SET, .in = 3600, .stall = "sent " UPDATE,
      .stalls = 1, .executed = 1, .plan = 3600, .from = 30250, .to = 30250 },
    { .name = "extend: silence, executed", .kind = EXTEND, .in = 600, .timeout_ms = 10000,
      .options = PLAN, .stall = "sent " UPDATE, .stalls = 1, .executed = 1, .plan = 9600,
      .previous = 9000, .from = 5250, .to = 5250 },
    { .name = "cancel: silence, executed", .kind = CANCEL, .options = PLAN,
      .stall = "sent " DELETE, .stalls = 1, .executed = 1, .previous = 9000, .from = 30250,
      .to = 30250 },
    { .name = "set: silence, not executed", .kind = SET, .in = 3600,
      .options = UPDATES "fail_next=1&fail_code=150", .stall = "sent " UPDATE, .stalls = 1,
      .executed = 1, .requested = 2, .plan = 3600, .from = 32000, .to = 36000 },
    { .name = "set: silent list", .kind = SET, .in = 3600, .stall = "sent " PROJECTS,
      .stalls = 1, .executed = 1, .plan = 3600, .from = 30000, .to = 30000 },
    { .name = "set: silent reading", .kind = SET, .in = 3600, .stall = "sent " DESCRIBE,
      .stalls = 1, .executed = 1, .plan = 3600, .from = 15000, .to = 15000 },
    { .name = "cancel: silent reading", .kind = CANCEL, .options = PLAN,
      .stall = "sent " DESCRIBE, .stalls = 1, .executed = 1, .previous = 9000, .from = 15000,
      .to = 15000 },
    { .name = "get: silence", .kind = GET, .stall = "sent " DESCRIBE, .stalls = 1, .from = 60000, .to = 60000,
        .status = COMPSHARE_E_TIMEOUT },
    /* nothing was sent of the change: no connection, and nothing is unknown */
    { .name = "set: refused connections", .kind = SET, .in = 3600, .refusals = 1, .status = COMPSHARE_E_CONNECT },
    { .name = "set: lists lost", .kind = SET, .in = 3600, .options = LISTS "drop_after=1",
        .status = COMPSHARE_E_CLOSED },
    { .name = "set: readings lost", .kind = SET, .in = 3600, .options = READS "drop_after=2",
        .status = COMPSHARE_E_CLOSED, .words = DESCRIBE },
    { .name = "extend: reading truncated", .kind = EXTEND, .in = 600, .options = READS "truncate=1&" PLAN, .plan = 9000,
        .status = COMPSHARE_E_CLOSED },
    { .name = "cancel: reading 502", .kind = CANCEL, .options = READS "fail_next=1&fail_http=502&" PLAN, .plan = 9000,
        .status = COMPSHARE_E_STATUS },
    { .name = "get: reading 110", .kind = GET, .options = READS "fail_next=1&fail_code=110&" PLAN, .plan = 9000,
        .status = COMPSHARE_E_API, .words = "110" },
    /* definite refusals, at every step: not read back */
    { .name = "set: 8903", .kind = SET, .in = 3600, .options = UPDATES "fail_next=1&fail_code=8903", .requested = 1,
        .reads = 1, .status = COMPSHARE_E_API, .seen = "Running", .words = "8903" },
    { .name = "set: 171", .kind = SET, .in = 3600, .options = UPDATES "fail_next=1&fail_code=171", .requested = 1,
        .reads = 1, .status = COMPSHARE_E_API, .seen = "Running", .words = "171" },
    { .name = "set: 8905", .kind = SET, .in = 3600, .options = UPDATES "fail_next=1&fail_code=8905", .requested = 1,
        .reads = 1, .status = COMPSHARE_E_API, .seen = "Running", .words = "8905" },
    { .name = "extend: 8903", .kind = EXTEND, .in = 600, .options = UPDATES "fail_next=1&fail_code=8903&" PLAN,
        .requested = 1, .reads = 1, .plan = 9000, .previous = 9000,
      .status = COMPSHARE_E_API, .seen = "Running", .words = "8903" },
    { .name = "cancel: 8903", .kind = CANCEL, .options = DELETES "fail_next=1&fail_code=8903&" PLAN, .requested = 1,
        .reads = 1, .plan = 9000, .previous = 9000,
      .status = COMPSHARE_E_API, .seen = "Running", .words = "8903" },
    { .name = "cancel: 299", .kind = CANCEL, .options = DELETES "fail_next=1&fail_code=299&" PLAN, .requested = 1,
        .reads = 1, .plan = 9000, .previous = 9000,
      .status = COMPSHARE_E_API, .seen = "Running", .words = "299" },
    { .name = "set: list 171", .kind = SET, .in = 3600, .options = LISTS "fail_next=1&fail_code=171",
        .status = COMPSHARE_E_API, .words = "171" },
    { .name = "set: list 8903", .kind = SET, .in = 3600, .options = LISTS "fail_next=1&fail_code=8903",
        .status = COMPSHARE_E_API, .words = PROJECTS },
    { .name = "set: reading 171", .kind = SET, .in = 3600, .options = READS "fail_next=1&fail_code=171", .reads = 1,
        .status = COMPSHARE_E_API, .words = "171" },
    { .name = "extend: reading 8905", .kind = EXTEND, .in = 600, .options = READS "fail_next=1&fail_code=8905&" PLAN,
        .plan = 9000, .reads = 1, .status = COMPSHARE_E_API, .words = "8905" },
    { .name = "cancel: reading 8903", .kind = CANCEL, .options = READS "fail_next=1&fail_code=8903&" PLAN, .plan = 9000,
        .reads = 1, .status = COMPSHARE_E_API, .words = "8903" },
    { .name = "get: reading 8903", .kind = GET, .options = READS "fail_next=1&fail_code=8903", .reads = 1,
        .status = COMPSHARE_E_API, .words = "8903" },
    { .name = "set: the API's own clock", .kind = SET, .at = 3600, .event = "answered " DESCRIBE,
        .then = "advance=3500", .requested = 1, .reads = 1,
      .status = COMPSHARE_E_API, .seen = "Running", .words = "220" },
    /* lost, and what is sent again is refused: what became of the first is not known */
    { .name = "set lost before, then 171", .kind = SET, .in = 3600,
      .options = UPDATES "drop_before=1", .event = "answered " DESCRIBE, .nth = 2,
      .then = UPDATES "fail_next=1&fail_code=171", .requested = 2, .reads = -2, .from = 59000,
      .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .seen = "Running",
      .words = "171" },
    /* with retries */
    { .name = "set: 153 twice", .kind = SET, .in = 3600, .retries = 2, .options = UPDATES "fail_next=2&fail_code=153",
        .executed = 1, .requested = 3, .plan = 3600, .from = 500, .to = 3000 },
    { .name = "set: 502 twice", .kind = SET, .in = 3600, .retries = 2,
      .options = UPDATES "fail_next=2&fail_http=502", .executed = 1, .requested = 3,
      .plan = 3600, .from = 6000, .to = 15000 }
};

/* ---- reading back ---- */

static const row read_back[] = {
    { .name = "shown after 1 s", .kind = SET, .in = 3600, .options = "visibility_delay=1", .executed = 1, .plan = 3600,
        .from = 250, .to = 2000 },
    { .name = "shown after 3 s", .kind = EXTEND, .in = 600, .options = PLAN "&visibility_delay=3", .executed = 1,
        .plan = 9600, .previous = 9000, .from = 1000, .to = 5000 },
    { .name = "shown after 5 s", .kind = CANCEL, .options = PLAN "&visibility_delay=5", .executed = 1, .previous = 9000,
        .from = 3000, .to = 8000 },
    { .name = "shown after 10 s", .kind = SET, .at = 7200, .options = PLAN "&visibility_delay=10", .executed = 1,
        .plan = 7200, .previous = 9000, .from = 8000, .to = 15000 },
    { .name = "shown after 20 s", .kind = SET, .in = 3600, .options = "visibility_delay=20", .executed = 1,
        .plan = 3600, .from = 17000, .to = 25000 },
    { .name = "lost, shown after 20 s", .kind = CANCEL,
      .options = DELETES "drop_after=1&" PLAN "&visibility_delay=20", .executed = 2,
      .previous = 9000, .from = 17000, .to = 25000 },
    { .name = "not shown in 10 s", .kind = SET, .in = 3600, .timeout_ms = 10000,
      .options = "visibility_delay=25", .executed = 2, .plan = 3600, .from = 9500, .to = 10000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .seen = "Running", .words = "accepted",
      .words2 = "no timed shutdown" },
    { .name = "not gone in 10 s", .kind = CANCEL, .timeout_ms = 10000, .options = PLAN "&visibility_delay=25",
        .executed = 1, .previous = 9000, .from = 9500, .to = 10000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .seen = "Running", .words = "accepted", .words2 = "@9000" },
    { .name = "not extended in 10 s", .kind = EXTEND, .in = 600, .timeout_ms = 10000,
      .options = PLAN "&visibility_delay=25", .executed = 2, .plan = 9600, .previous = 9000,
      .from = 9500, .to = 10000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true,
      .seen = "Running", .words = "@9000" },
    { .name = "shown after 40 s", .kind = SET, .in = 3600, .timeout_ms = 120000,
      .options = "visibility_delay=40", .executed = 1, .plan = 3600, .from = 39000, .to = 46000 },
    /* readings that fail are no answer */
    { .name = "readings: 503 for a while", .kind = SET, .in = 3600, .event = "sent " UPDATE,
        .then = READS "fail_next=4&fail_http=503", .executed = 1, .plan = 3600,
      .reads = 6, .from = 2000, .to = 8000 },
    { .name = "readings: dropped for a while", .kind = SET, .in = 3600, .event = "sent " UPDATE,
        .then = READS "drop_after=4", .executed = 1, .plan = 3600, .from = 1, .to = 8000 },
    { .name = "readings: truncated for a while", .kind = CANCEL, .options = PLAN, .event = "sent " DELETE,
        .then = READS "truncate=4", .executed = 1, .previous = 9000,
      .reads = 6, .from = 2000, .to = 8000 },
    { .name = "readings: 8903 for a while", .kind = EXTEND, .in = 600, .options = PLAN, .event = "sent " UPDATE,
        .then = READS "fail_next=4&fail_code=8903", .executed = 1,
      .plan = 9600, .previous = 9000, .reads = 6, .from = 2000, .to = 8000 },
    { .name = "readings: 8905 for a while", .kind = SET, .in = 3600, .event = "sent " UPDATE,
        .then = READS "fail_next=4&fail_code=8905", .executed = 1, .plan = 3600,
      .reads = 6, .from = 2000, .to = 8000 },
    { .name = "readings: 503 to the end", .kind = SET, .in = 3600, .event = "sent " UPDATE,
      .then = READS "fail_next=99&fail_http=503", .executed = 1, .plan = 3600, .from = 59000,
      .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .seen = "Running",
      .words = "accepted", .words2 = "503" },
    { .name = "readings: dropped to the end", .kind = CANCEL, .options = PLAN,
      .event = "sent " DELETE, .then = READS "drop_before=99", .executed = 1, .previous = 9000,
      .reads = -2, .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED,
      .unknown = true, .seen = "Running", .words = "accepted" },
    { .name = "readings: forbidden", .kind = SET, .in = 3600, .event = "sent " UPDATE,
        .then = READS "fail_next=99&fail_code=299", .executed = 1, .plan = 3600, .reads = 2,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .seen = "Running", .words = "accepted", .words2 = "299" },
    { .name = "readings: silent once", .kind = SET, .in = 3600, .stall = "answered " UPDATE, .stalls = 1, .executed = 1,
        .plan = 3600, .from = 1000, .to = 30000 },
    { .name = "readings: silent", .kind = SET, .in = 3600, .timeout_ms = 120000,
      .options = "visibility_delay=600", .stall = "answered " UPDATE, .stalls = 1, .executed = 2,
      .plan = 3600, .reads = -2, .from = 119000, .to = 120000, .status = COMPSHARE_E_UNCONFIRMED,
      .unknown = true, .seen = "Running", .words = "accepted" },
    /* a reply takes its time, to the end */
    { .name = "slow replies", .kind = SET, .in = 3600, .latency = 900, .executed = 1, .plan = 3600, .from = 3600,
        .to = 3600 },
    { .name = "slow replies, not shown", .kind = SET, .in = 3600, .latency = 900,
      .options = "visibility_delay=600", .executed = 2, .plan = 3600, .from = 50000, .to = 60000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .seen = "Running", .words = "accepted",
      .words2 = "no timed shutdown" },
    { .name = "reply silent, readings dropped", .kind = EXTEND, .in = 600, .options = PLAN, .stall = "sent " UPDATE,
        .stalls = 1, .event = "sent " UPDATE,
      .then = READS "drop_before=3", .executed = 1, .plan = 9600, .previous = 9000, .from = 31000, .to = 38000 },
    /* somebody else meanwhile */
    { .name = "changed before the change", .kind = SET, .in = 3600, .event = "answered " DESCRIBE, .then = PLAN,
        .executed = 1, .plan = 3600 },
    { .name = "later meanwhile, only extend", .kind = SET, .in = 3600, .mode = COMPSHARE_ONLY_EXTEND,
        .options = "schedule." ONE "=@1800", .event = "answered " DESCRIBE,
      .then = PLAN, .executed = 1, .plan = 3600, .previous = 1800 },
    { .name = "extended from what was read", .kind = EXTEND, .in = 600, .options = "schedule." ONE "=@1800",
        .event = "answered " DESCRIBE, .then = PLAN,
      .executed = 1, .plan = 2400, .previous = 1800 },
    { .name = "changed after the change", .kind = SET, .in = 3600, .event = "answered " UPDATE,
      .then = PLAN, .executed = 1, .plan = 9000, .from = 59000, .to = 60000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .seen = "Running", .words = "@9000",
      .words2 = "Running" },
    { .name = "changed and changed back", .kind = SET, .at = 7200, .event = "answered " UPDATE, .then = PLAN,
        .event2 = "answered " DESCRIBE, .nth2 = 4,
      .then2 = "schedule." ONE "=@7200", .executed = 1, .plan = 7200, .from = 1000, .to = 8000 },
    { .name = "cancelled after the extension", .kind = EXTEND, .in = 600, .options = PLAN,
      .event = "answered " UPDATE, .then = "schedule." ONE "=0", .executed = 1, .previous = 9000,
      .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true,
      .seen = "Running", .words = "no timed shutdown" },
    { .name = "set after the cancellation", .kind = CANCEL, .options = PLAN,
      .event = "answered " DELETE, .then = "schedule." ONE "=@5000", .executed = 1, .plan = 5000,
      .previous = 9000, .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED,
      .unknown = true, .seen = "Running", .words = "@5000" },
    { .name = "stopped before the change", .kind = SET, .in = 3600, .event = "answered " DESCRIBE,
        .then = "state." ONE "=Stopped", .requested = 1, .reads = 1,
      .status = COMPSHARE_E_API, .seen = "Running", .words = "8905" },
    { .name = "stopped before the cancellation", .kind = CANCEL, .options = PLAN, .event = "answered " DESCRIBE,
        .then = "state." ONE "=Stopped", .executed = 1,
      .previous = 9000, .seen = "Stopped" },
    { .name = "stopped after the change", .kind = SET, .in = 3600, .event = "answered " UPDATE,
      .then = "state." ONE "=Stopped&schedule." ONE "=0", .executed = 1, .from = 59000,
      .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .seen = "Stopped",
      .words = "Stopped" },
    { .name = "becomes Spot before the change", .kind = SET, .in = 3600, .event = "answered " DESCRIBE,
        .then = "charge." ONE "=Spot", .requested = 1, .reads = 1,
      .status = COMPSHARE_E_API, .seen = "Running", .words = "230" },
    { .name = "gone before the change", .kind = SET, .in = 3600, .event = "answered " DESCRIBE, .then = "remove=1",
        .requested = 1, .reads = 1,
      .status = COMPSHARE_E_API, .seen = "Running", .words = "8039" },
    { .name = "gone after the change", .kind = CANCEL, .options = PLAN,
      .event = "answered " DELETE, .then = "remove=1", .executed = 1, .previous = 9000,
      .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true,
      .seen = "Running", .words = "accepted", .words2 = "no instance" },
    { .name = "gone for a while", .kind = SET, .at = 7200, .event = "answered " UPDATE, .then = "remove=1",
        .event2 = "answered " DESCRIBE, .nth2 = 3, .then2 = "restore=1",
      .executed = 1, .plan = 7200, .from = 1000, .to = 8000 },
    { .name = "moved before the change", .kind = SET, .in = 3600, .event = "answered " DESCRIBE,
        .then = "zone." ONE "=cn-wlcb-02", .requested = 1, .reads = 1,
      .status = COMPSHARE_E_API, .seen = "Running", .words = "230" },
    { .name = "moved out of the region", .kind = SET, .in = 3600, .region = "cn-wlcb",
      .event = "answered " UPDATE, .then = "zone." ONE "=cn-sh2-01", .executed = 1, .plan = 3600,
      .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true,
      .seen = "Running", .words = "no instance" }
};

/* ---- what proves nothing ---- */

/* In these somebody has set a plan 20 s ago and taken it back 2 s ago, and readings lag. */
#define TAKEN_BACK(at) "schedule_lag=10&clock=@-20&other_schedule." ONE "=" at "&clock=@-2&other_schedule." ONE "=0&clock=@0&"

static const row proofs[] = {
    { .name = "set, shown before, 502", .kind = SET, .at = 7200,
      .options = TAKEN_BACK("@7200") UPDATES "fail_next=1&fail_http=502", .executed = 1, .requested = 2,
      .plan = 7200, .previous = 7200, .to = 10000 },
    { .name = "set, shown before, lost", .kind = SET, .at = 7200,
      .options = TAKEN_BACK("@7200") UPDATES "drop_before=2", .executed = 1, .requested = 3,
      .plan = 7200, .previous = 7200, .from = 2000, .to = 20000 },
    { .name = "set, always refused by 502", .kind = SET, .at = 7200,
      .options = TAKEN_BACK("@7200") UPDATES "fail_next=99&fail_http=502", .requested = 5,
      .previous = 7200, .reads = -2, .from = 59000, .to = 60000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .seen = "Running",
      .words = "@7200 was asked for" },
    { .name = "extend, shown before, lost", .kind = EXTEND, .in = 30, .options = PLAN "&" UPDATES "drop_before=1",
      .executed = 1, .requested = 2, .plan = 9030, .previous = 9000, .to = 5000 },
    { .name = "cancel, nothing is ever shown, lost", .kind = CANCEL,
      .options = PLAN "&schedule_field=none&" DELETES "drop_before=1", .executed = 1, .requested = 2, .to = 5000 },
    { .name = "cancel, not shown yet, lost", .kind = CANCEL,
      .options = "schedule_lag=10&other_schedule." ONE "=@9000&" DELETES "drop_before=1",
      .executed = 1, .requested = 2, .to = 20000 },
    { .name = "cancel, one reading without the plan, lost", .kind = CANCEL,
      .options = PLAN "&odd=no_schedule&odd_after=1&odd_next=1&" DELETES "drop_before=1", .executed = 1,
      .requested = 2, .previous = 9000, .from = 2000, .to = 5000 },
    { .name = "cancel executed, lost, readings broken", .kind = CANCEL,
      .options = PLAN "&" DELETES "drop_after=1&odd=http_502&odd_after=1&odd_next=4", .executed = 1,
      .previous = 9000, .from = 1000, .to = 10000 },
    { .name = "cancel of a plan that comes due", .kind = CANCEL, .timeout_ms = 20000,
      .options = "schedule." ONE "=@5&" DELETES "fail_next=99&fail_http=502", .requested = 3,
      .previous = 5, .reads = -2, .from = 19000, .to = 20000, .status = COMPSHARE_E_UNCONFIRMED,
      .unknown = true, .seen = "Stopped", .words = "state Stopped" },
    { .name = "cancel of a plan that would have come due", .kind = CANCEL,
      .options = "schedule." ONE "=@6&schedule_lag=10", .executed = 1, .previous = 6,
      .from = 6000, .to = 16000 },
    /* somebody else's plan is not taken for ours, nor taken away */
    { .name = "cancel lost, set by another", .kind = CANCEL, .options = PLAN "&" DELETES "drop_before=1",
      .event = "sent " DELETE, .then = "schedule." ONE "=@5000", .requested = 1, .plan = 5000,
      .previous = 9000, .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true,
      .seen = "Running", .words = "@5000" },
    { .name = "set lost, set by another", .kind = SET, .at = 7200, .options = PLAN "&" UPDATES "drop_before=1",
      .event = "sent " UPDATE, .then = "schedule." ONE "=@5000", .requested = 1, .plan = 5000,
      .previous = 9000, .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true,
      .seen = "Running", .words = "@5000" }
};

/* ---- ended from outside ---- */

static const row ended[] = {
    { .name = "set", .kind = SET, .in = 3600, .options = "visibility_delay=2", .executed = 1, .plan = 3600 },
    { .name = "set, reply lost", .kind = SET, .at = 3600,
      .options = UPDATES "drop_after=1&visibility_delay=2", .executed = 2, .plan = 3600 },
    { .name = "set, kept connection", .kind = SET, .in = 3600, .warm = true, .executed = 1, .plan = 3600 },
    { .name = "extend", .kind = EXTEND, .in = 600, .options = PLAN "&visibility_delay=2", .executed = 1, .plan = 9600 },
    { .name = "cancel", .kind = CANCEL, .options = PLAN "&visibility_delay=2", .executed = 1 },
    { .name = "cancel, reply lost", .kind = CANCEL, .options = DELETES "drop_after=1&" PLAN,
      .executed = 1 },
    { .name = "get", .kind = GET, .options = PLAN, .plan = 9000 }
};

/* ---- single questions ---- */

static const row set_row = { .kind = SET, .in = 3600 }, extend_row = { .kind = EXTEND,
    .in = 600 }, cancel_row = { .kind = CANCEL }, get_row = { .kind = GET };

/* Refused by itself: no request, nothing in the result. */
static void parameters(void **state)
{
    static const struct { compshare_plan plan; int status; } plans[] = {
        { { NULL, 0, 3600, 0 }, COMPSHARE_E_PARAM }, { { "", 0, 3600, 0 }, COMPSHARE_E_PARAM },
        { { ONE, 0, 0, 0 }, COMPSHARE_E_PARAM }, { { ONE, INT64_C(4000000000), 3600, 0 }, COMPSHARE_E_PARAM },
        { { ONE, -1, 0, 0 }, COMPSHARE_E_PARAM }, { { ONE, 0, -1, 0 }, COMPSHARE_E_PARAM }, { { ONE, 0, INT64_MIN, 0 },
            COMPSHARE_E_PARAM },
        { { ONE, INT64_MIN, 0, 0 }, COMPSHARE_E_PARAM }, { { ONE, -1, 3600, 0 },
            COMPSHARE_E_PARAM }, { { ONE, INT64_C(4000000000), -3600, 0 }, COMPSHARE_E_PARAM },
        { { ONE, 0, 3600, 3 }, COMPSHARE_E_PARAM }, { { ONE, 0, 3600, 4 },
            COMPSHARE_E_PARAM }, { { ONE, 0, 3600, 0x80000000u }, COMPSHARE_E_PARAM },
        { { ONE, 0, 1, 0 }, COMPSHARE_E_TOO_SOON }, { { ONE, 0, 299, 0 }, COMPSHARE_E_TOO_SOON },
        { { ONE, 0, 299, COMPSHARE_ONLY_EXTEND }, COMPSHARE_E_TOO_SOON }
    };
    static const int64_t by[] = { 0, -1, -600, INT64_MIN };
    size_t i;
    flow_fresh(state, 15000);
    for (i = 0; i < COUNT(plans); i++) {
        memset(&schedule, 0xEE, sizeof schedule);
        expect_failure(&h, stepped ? compshare_schedule_set_start(h.client, &plans[i].plan, &schedule)
            : compshare_schedule_set(h.client, &plans[i].plan,
                &schedule), plans[i].status, COMPSHARE_STAGE_PREPARE, false);
        assert_true(all_zero(&schedule, sizeof schedule));
        assert_int_equal(compshare_step(h.client), COMPSHARE_E_IDLE);
    }
    for (i = 0; i < COUNT(by); i++) {
        memset(&schedule, 0xEE, sizeof schedule);
        expect_failure(&h, stepped ? compshare_schedule_extend_start(h.client, ONE, by[i], &schedule)
            : compshare_schedule_extend(h.client, ONE, by[i],
                &schedule), COMPSHARE_E_PARAM, COMPSHARE_STAGE_PREPARE, false);
        assert_true(all_zero(&schedule, sizeof schedule));
    }
    for (i = 0; i < 2; i++) {
        const char *id = i == 0 ? NULL : "";
        assert_int_equal(stepped ? compshare_schedule_get_start(h.client, id, &schedule)
            : compshare_schedule_get(h.client, id, &schedule), COMPSHARE_E_PARAM);
        assert_int_equal(stepped ? compshare_schedule_extend_start(h.client, id, 600, &schedule)
            : compshare_schedule_extend(h.client, id, 600, &schedule), COMPSHARE_E_PARAM);
        assert_int_equal(stepped ? compshare_schedule_cancel_start(h.client, id, &schedule)
            : compshare_schedule_cancel(h.client, id, &schedule), COMPSHARE_E_PARAM);
    }
    assert_int_equal(stepped ? compshare_schedule_set_start(h.client, NULL, &schedule)
        : compshare_schedule_set(h.client, NULL, &schedule), COMPSHARE_E_PARAM);
    assert_int_equal(compshare_schedule_set(NULL, &plans[0].plan, &schedule), COMPSHARE_E_CONFIG);
    assert_int_equal(compshare_schedule_get_start(NULL, ONE, &schedule), COMPSHARE_E_CONFIG);
    assert_int_equal(compshare_schedule_extend(NULL, ONE, 600, &schedule), COMPSHARE_E_CONFIG);
    assert_int_equal(compshare_schedule_cancel_start(NULL, ONE, &schedule), COMPSHARE_E_CONFIG);
    expect_count(&gateway, "requests", 0);
    expect_count(&gateway, "connections", 0);
}

static void no_result_wanted(void **state)
{
    compshare_plan plan = { ONE, 0, 3600, COMPSHARE_ONLY_EXTEND };
    int i, r;
    flow_fresh(state, 60000);
    for (i = 0; i < 2; i++) {       /* the second one changes nothing */
        r = stepped ? flow_steps(compshare_schedule_set_start(h.client, &plan, NULL)) : compshare_schedule_set(h.client,
            &plan, NULL);
        harness_expect(&h, r, COMPSHARE_OK);
        expect_executed(&gateway, UPDATE, 1);
        plan.in_seconds = 1800;
    }
    r = stepped ? flow_steps(compshare_schedule_get_start(h.client, ONE, NULL)) : compshare_schedule_get(h.client, ONE,
        NULL);
    harness_expect(&h, r, COMPSHARE_OK);
    r = stepped ? flow_steps(compshare_schedule_extend_start(h.client, ONE, 600,
        NULL)) : compshare_schedule_extend(h.client, ONE, 600, NULL);
    harness_expect(&h, r, COMPSHARE_OK);
    set_options("visibility_delay=2");
    r = stepped ? flow_steps(compshare_schedule_cancel_start(h.client, ONE, NULL)) : compshare_schedule_cancel(h.client,
        ONE, NULL);
    harness_expect(&h, r, COMPSHARE_OK);
    set_options("visibility_delay=600");
    r = stepped ? flow_steps(compshare_schedule_set_start(h.client, &plan, NULL)) : compshare_schedule_set(h.client,
        &plan, NULL);
    harness_expect(&h, r, COMPSHARE_E_UNCONFIRMED);
    r = stepped ? flow_steps(compshare_schedule_get_start(h.client, "uhost-9999",
        NULL)) : compshare_schedule_get(h.client, "uhost-9999", NULL);
    harness_expect(&h, r, COMPSHARE_E_NOT_FOUND);
}

/* One list of projects a client; none where the configuration has one, or where there
   is only reading. */
static void project_is_remembered(void **state)
{
    flow_fresh(state, 60000);
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    expect_requested(&gateway, PROJECTS, 0);
    set_options("no_default=1");            /* what was not found is not remembered */
    harness_expect(&h, flow_run(&set_row), COMPSHARE_E_PROJECT);
    set_options("no_default=0&" LISTS "fail_next=1");
    harness_expect(&h, flow_run(&set_row), COMPSHARE_E_API);
    expect_requested(&gateway, PROJECTS, 2);
    expect_requested(&gateway, DESCRIBE, 1);
    harness_expect(&h, flow_run(&set_row), COMPSHARE_OK);
    harness_expect(&h, flow_run(&set_row), COMPSHARE_OK);
    harness_expect(&h, flow_run(&extend_row), COMPSHARE_OK);
    harness_expect(&h, flow_run(&cancel_row), COMPSHARE_OK);
    expect_requested(&gateway, PROJECTS, 3);
    expect_requested(&gateway, DESCRIBE, 9);
    expect_requested(&gateway, UPDATE, 3);
    expect_requested(&gateway, DELETE, 1);
    expect_count(&gateway, "connections", 1);
    harness_close(&h);
    h.config.project_id = PROJECT;
    harness_open(&h);
    harness_expect(&h, flow_run(&set_row), COMPSHARE_OK);
    harness_expect(&h, flow_run(&cancel_row), COMPSHARE_OK);
    expect_requested(&gateway, PROJECTS, 3);
}

static void expect_param(const char *name, const char *want)
{
    json_t *stats = harness_stats(&gateway);
    const char *value = json_string_value(json_object_get(json_object_get(stats, "last_params"), name));
    if (want == NULL ? value != NULL : value == NULL || strcmp(value, want) != 0)
        fail_msg("%s is %s", name, value != NULL ? value : "not sent");
    json_decref(stats);
}

/* Reading takes what is configured or remembered; the change has what the instance has. */
static void what_is_sent(void **state)
{
    flow_fresh(state, 60000);
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    expect_param("UHostIds.0", ONE);
    expect_param("ProjectId", NULL);
    expect_param("Region", NULL);
    expect_param("Zone", NULL);
    set_options(UPDATES "fail_next=2&fail_code=8903");
    harness_expect(&h, flow_run(&set_row), COMPSHARE_E_API);
    expect_param("UHostId", ONE);
    expect_param("ProjectId", PROJECT);
    expect_param("Region", "cn-wlcb");
    expect_param("Zone", "cn-wlcb-01");
    expect_param("StopTime", NULL);
    harness_expect(&h, flow_run(&set_row), COMPSHARE_E_API);
    set_options(DELETES "fail_next=1&fail_code=8903");
    harness_expect(&h, flow_run(&cancel_row), COMPSHARE_E_API);
    expect_param("UHostId", ONE);
    expect_param("ProjectId", PROJECT);
    expect_param("Region", "cn-wlcb");
    harness_expect(&h, flow_run(&cancel_row), COMPSHARE_OK);     /* its last request reads */
    expect_param("ProjectId", PROJECT);
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);        /* it is remembered, and goes with every reading */
    expect_param("ProjectId", PROJECT);
    harness_close(&h);
    h.config.project_id = PROJECT;
    h.config.region = "cn-wlcb";
    h.config.zone = "cn-wlcb-09";
    harness_open(&h);
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    expect_param("ProjectId", PROJECT);
    expect_param("Region", "cn-wlcb");
    expect_param("Zone", NULL);
}

static void caveats(void **state)
{
    static const struct { const char *charge; unsigned want; } cases[] = {
        { "Postpay", COMPSHARE_GETS_RELEASED }, { "Dynamic", COMPSHARE_GETS_RELEASED },
        { "Day", COMPSHARE_KEEPS_BILLING | COMPSHARE_GETS_RELEASED }, { "Month",
            COMPSHARE_KEEPS_BILLING | COMPSHARE_GETS_RELEASED },
        { "Year", COMPSHARE_KEEPS_BILLING | COMPSHARE_GETS_RELEASED }
    };
    size_t i;
    flow_fresh(state, 60000);
    for (i = 0; i < COUNT(cases); i++) {
        char query[64];
        int64_t before = schedule.stop_time;
        snprintf(query, sizeof query, "charge." ONE "=%s", cases[i].charge);
        set_options(query);
        harness_expect(&h, flow_run(&set_row), COMPSHARE_OK);
        assert_int_equal(schedule.caveats, cases[i].want);
        assert_string_equal(schedule.charge_type, cases[i].charge);
        assert_true(schedule.previous == (i == 0 ? 0 : before));
        harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
        assert_int_equal(schedule.caveats, cases[i].want);
        assert_string_equal(schedule.charge_type, cases[i].charge);
    }
}

/* Whatever was asked for when it began is done, although the caller's plan is gone;
   and nothing else begins meanwhile. */
static void plan_is_copied(void **state)
{
    compshare_plan plan = { ONE, 0, 3600, 0 };
    compshare_schedule other;
    int r;
    flow_fresh(state, 60000);
    memset(&other, 0xEE, sizeof other);
    harness_expect(&h, compshare_schedule_set_start(h.client, &plan, &schedule), COMPSHARE_OK);
    plan.uhost_id = "uhost-0003";
    plan.in_seconds = 1800;
    while ((r = compshare_step(h.client)) == COMPSHARE_PENDING) {
        assert_int_equal(compshare_schedule_get(h.client, "uhost-0002", &other), COMPSHARE_E_BUSY);
        assert_int_equal(compshare_schedule_cancel_start(h.client, ONE, &other), COMPSHARE_E_BUSY);
        assert_int_equal(compshare_stop_instance(h.client, NULL), COMPSHARE_E_BUSY);
        flow_between();
    }
    harness_expect(&h, r, COMPSHARE_OK);
    assert_string_equal(schedule.uhost_id, ONE);
    assert_true(schedule.seconds_left > 1900 && schedule.seconds_left <= 3600);
    assert_int_equal(((unsigned char *)&other)[sizeof other - 1], 0xEE);
    expect_executed(&gateway, DELETE, 0);
    expect_executed(&gateway, STOPPING, 0);
}

/* An id may stand in the result that is filled in. */
static void ids_are_copied(void **state)
{
    compshare_plan plan = { NULL, 0, 3600, 0 };
    compshare_target t = { NULL, NULL, NULL, NULL };
    flow_fresh(state, 60000);
    set_options(PLAN);
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    harness_expect(&h, stepped ? flow_steps(compshare_schedule_extend_start(h.client, schedule.uhost_id, 600,
        &schedule))
        : compshare_schedule_extend(h.client, schedule.uhost_id, 600, &schedule), COMPSHARE_OK);
    assert_int_equal(schedule.stop_time, base + 9600);
    plan.uhost_id = schedule.uhost_id;
    harness_expect(&h, stepped ? flow_steps(compshare_schedule_set_start(h.client, &plan, &schedule))
        : compshare_schedule_set(h.client, &plan, &schedule), COMPSHARE_OK);
    harness_expect(&h, stepped ? flow_steps(compshare_schedule_cancel_start(h.client, schedule.uhost_id, &schedule))
        : compshare_schedule_cancel(h.client, schedule.uhost_id, &schedule), COMPSHARE_OK);
    snprintf(instance.uhost_id, sizeof instance.uhost_id, "%s", ONE);
    snprintf(instance.region, sizeof instance.region, "cn-wlcb");
    t.uhost_id = instance.uhost_id;
    t.region = instance.region;
    harness_expect(&h, stepped ? flow_steps(compshare_describe_instance_start(h.client, &t, &instance))
        : compshare_describe_instance(h.client, &t, &instance), COMPSHARE_OK);
    assert_string_equal(instance.uhost_id, ONE);
    harness_expect(&h, stepped ? flow_steps(compshare_wait_state_start(h.client, instance.uhost_id, "Running", 0,
        &instance))
        : compshare_wait_state(h.client, instance.uhost_id, "Running", 0, &instance), COMPSHARE_OK);
    assert_string_equal(instance.uhost_id, ONE);
}

static compshare_target one_in_its_place(void)
{
    compshare_target t = { ONE, "cn-wlcb", "cn-wlcb-01", PROJECT };
    return t;
}

/* Deletes ONE's plan, which readings go on to show for `lag` s; 2 s later. */
static void deleted_unseen(void **state, const char *lag)
{
    compshare_target t = one_in_its_place();
    flow_fresh(state, 60000);
    set_options("clock=@-60&" PLAN "&clock=@0");
    set_options(lag);
    harness_expect(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_OK);
    pass(2000);
}

/* A reading that shows less than this client has changed itself is not believed. */
static void own_change_is_known(void **state)
{
    static const row later = { .kind = SET, .at = 7200, .mode = COMPSHARE_ONLY_EXTEND };
    static const row unshown = { .kind = SET, .at = 7200, .timeout_ms = 10000, .options = "schedule_lag=30" };
    compshare_target t = one_in_its_place();
    deleted_unseen(state, "schedule_lag=10");
    harness_expect(&h, flow_run(&later), COMPSHARE_OK);
    assert_true(schedule.changed && schedule.stop_time == base + 7200);
    assert_int_equal(harness_schedule(&gateway, ONE), base + 7200);
    harness_close(&h);

    deleted_unseen(state, "schedule_lag=10");
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    assert_true(schedule.stop_time == 0 && schedule.shown == 0);
    assert_in_range(h.clock.ms, 8000, 16000);
    harness_close(&h);

    deleted_unseen(state, "schedule_lag=100");
    harness_expect(&h, flow_run(&get_row), COMPSHARE_E_UNCONFIRMED);
    assert_true(schedule.stop_time == 0 && schedule.shown == base + 9000 && !last(&h)->outcome_unknown
        && last(&h)->retryable);
    expect_contains(last(&h)->detail, "no timed shutdown was accepted");
    pass(60000);                    /* then the reading counts, whatever it is */
    set_options("schedule_lag=0&schedule." ONE "=@9000");
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    assert_int_equal(schedule.stop_time, base + 9000);
    harness_close(&h);

    deleted_unseen(state, "schedule_lag=100");
    harness_expect(&h, flow_run(&extend_row), COMPSHARE_E_NO_PLAN);
    expect_executed(&gateway, UPDATE, 0);
    harness_close(&h);

    flow_prepare(&unshown);         /* what a workflow could not confirm is known, too */
    harness_expect(&h, flow_run(&unshown), COMPSHARE_E_UNCONFIRMED);
    h.client->config.timeout_ms = 60000;
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    assert_int_equal(schedule.stop_time, base + 7200);
    assert_in_range(h.clock.ms, 30000, 40000);
    harness_close(&h);

    flow_fresh(state, 60000);       /* and an extension begins at what was set */
    set_options("schedule_lag=20");
    harness_expect(&h, compshare_update_stop_scheduler(h.client, &t, base + 4000), COMPSHARE_OK);
    harness_expect(&h, flow_run(&extend_row), COMPSHARE_OK);
    assert_int_equal(schedule.stop_time, base + 4600);
}

/* What somebody else has done since is believed after some readings, where this client's own
   change was shown before; one reading from a server that is behind is not. */
static void others_are_believed(void **state)
{
    flow_fresh(state, 60000);
    harness_expect(&h, flow_run(&set_row), COMPSHARE_OK);
    set_options("odd=no_schedule&odd_next=2");
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    assert_true(schedule.stop_time > base + 3000);
    h.clock.ms = 0;
    set_gateway_clock();
    set_options("schedule." ONE "=0");
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    assert_int_equal(schedule.stop_time, 0);
    harness_expect(&h, flow_run(&extend_row), COMPSHARE_E_NO_PLAN);
    assert_true(h.clock.ms < 6000);
}

/* What stays of a change that was not confirmed, for who goes on with it. */
static void left_of_the_unconfirmed(void **state)
{
    static const row accepted = { .kind = SET, .at = 7200, .timeout_ms = 10000, .options = PLAN "&schedule_lag=40" };
    static const row unanswered = { .kind = SET, .at = 7200, .timeout_ms = 10000,
        .options = PLAN "&" UPDATES "drop_before=99" };
    static const row cancelled = { .kind = CANCEL, .timeout_ms = 10000, .options = PLAN "&schedule_lag=40" };
    static const row *const rows[] = { &accepted, &unanswered, &cancelled };
    size_t i;
    stepped = ((const flow_test *)*state)->stepped;
    for (i = 0; i < COUNT(rows); i++) {
        flow_prepare(rows[i]);
        if (i != 1) {           /* what was set long ago is shown */
            pass(60000);
            h.clock.ms = 60000;
        }
        harness_expect(&h, flow_run(rows[i]), COMPSHARE_E_UNCONFIRMED);
        assert_true(last(&h)->retryable && last(&h)->outcome_unknown);
        assert_int_equal(schedule.requested, i < 2 ? base + 7200 : 0);
        assert_int_equal(schedule.accepted, i != 1);
        assert_int_equal(schedule.shown, base + 9000);
        assert_int_equal(schedule.previous, base + 9000);
        assert_true(schedule.stop_time == 0 && !schedule.changed);
        if (i < 2) {            /* the next line of a program that goes on */
            compshare_plan again = { ONE, 0, 0, 0 };
            again.at = schedule.requested;
            set_options("drop_before=0&schedule_lag=0");
            harness_expect(&h, compshare_schedule_set(h.client, &again, &schedule), COMPSHARE_OK);
            assert_int_equal(harness_schedule(&gateway, ONE), base + 7200);
        }
        harness_close(&h);
    }
}

/* Connections die in silence while nobody uses them. */
static void idle_connections(void **state)
{
    flow_fresh(state, 60000);
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    pass(49000);
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    expect_count(&gateway, "connections", 1);
    pass(51000);
    harness_expect(&h, flow_run(&get_row), COMPSHARE_OK);
    expect_count(&gateway, "connections", 2);
}

/* The API's floor is kept at every sending, also after the pauses between them: a time that
   was given is refused, one from now on is reckoned anew. */
static void too_soon_after_a_pause(void **state)
{
    static const row at = { .kind = SET, .at = 302, .retries = 9, .options = UPDATES "fail_next=9&fail_code=153" };
    static const row in = { .kind = SET, .in = 302, .retries = 9, .options = UPDATES "fail_next=9&fail_code=153" };
    stepped = ((const flow_test *)*state)->stepped;
    flow_prepare(&at);
    harness_expect(&h, flow_run(&at), COMPSHARE_E_TOO_SOON);
    assert_false(last(&h)->outcome_unknown);
    assert_true(h.clock.ms < 8000);
    expect_executed(&gateway, UPDATE, 0);
    assert_in_range(harness_count_action(&gateway, "requests_by_action", UPDATE), 1, 5);
    harness_close(&h);
    flow_prepare(&in);
    harness_expect(&h, flow_run(&in), COMPSHARE_OK);
    expect_executed(&gateway, UPDATE, 1);
    assert_true(schedule.requested == schedule.stop_time && schedule.accepted && schedule.seconds_left >= 290);
}

/* A lag of one second costs little, one of 20 s few readings. */
static void pauses_grow(void **state)
{
    static const row r = { .kind = CANCEL, .timeout_ms = 30000, .options = PLAN "&visibility_delay=600" };
    size_t i, most = 0;
    stepped = ((const flow_test *)*state)->stepped;
    flow_prepare(&r);
    harness_expect(&h, flow_run(&r), COMPSHARE_E_UNCONFIRMED);
    /* the first one found it */
    assert_in_range(harness_count_action(&gateway, "requests_by_action", DESCRIBE), 8, 16);
    assert_in_range(pause_count, 6, 15);
    assert_true(pauses[0] <= 500);
    for (i = 1; i < pause_count; i++) if (pauses[i] > pauses[most]) most = i;
    assert_in_range(pauses[most], 4000, 5000);
    for (i = 1; i <= most; i++) assert_in_range(pauses[i], pauses[i - 1], 2 * pauses[i - 1]);
}

/* Both forms of a workflow must find the same things in the same order. */
static void the_same_stages(void **state)
{
    static char first[2][sizeof trace_log];
    static const row *const rows[] = { &set_row, &extend_row, &cancel_row, &get_row };
    size_t i;
    flow_fresh(state, 60000);
    hooks[0].event = "sent " UPDATE;
    hooks[0].then = READS "fail_next=3&fail_http=503";
    hooks[0].left = 1;
    for (i = 0; i < COUNT(rows); i++) harness_expect(&h, flow_run(rows[i]), COMPSHARE_OK);
    snprintf(first[stepped], sizeof first[0], "%s", trace_log);
    if (stepped && first[0][0] != '\0') assert_string_equal(first[0], first[1]);
}

int main(void)
{
    flow_add_rows(plain, COUNT(plain));
    flow_add_rows(lost, COUNT(lost));
    flow_add_rows(read_back, COUNT(read_back));
    flow_add_rows(proofs, COUNT(proofs));
    flow_add("parameters", parameters, flow_done, NULL);
    flow_add("no result wanted", no_result_wanted, flow_done, NULL);
    flow_add("the project is remembered", project_is_remembered, flow_done, NULL);
    flow_add("what is sent", what_is_sent, flow_done, NULL);
    flow_add("caveats", caveats, flow_done, NULL);
    flow_add_form("the plan is copied", plan_is_copied, flow_done, NULL, true);
    flow_add("ids are copied", ids_are_copied, flow_done, NULL);
    flow_add("own change is known", own_change_is_known, flow_done, NULL);
    flow_add("others are believed", others_are_believed, flow_done, NULL);
    flow_add("left of the unconfirmed", left_of_the_unconfirmed, flow_done, NULL);
    flow_add("idle connections", idle_connections, flow_done, NULL);
    flow_add("too soon after a pause", too_soon_after_a_pause, flow_done, NULL);
    flow_add("pauses grow", pauses_grow, flow_done, NULL);
    flow_add("the same stages", the_same_stages, flow_done, NULL);
    flow_add_ends(ended, COUNT(ended));
    return flow_main("schedule");
}
