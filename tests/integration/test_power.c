/* Stop, start, reboot and the wait for a state, against the gateway, each row of the
   tables in blocking and in stepped form with the same results. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"
#include "workflow.h"

#define STOPS "drop_action=" STOPPING "&"
#define STARTS "drop_action=" STARTING "&"
#define REBOOTS "drop_action=" REBOOTING "&"
#define READS "drop_action=" DESCRIBE "&"
#define OFF "state." ONE "=Stopped"

/* ---- stop, start, reboot ---- */

static const row power[] = {
    { .name = "stop", .kind = STOP, .executed = 1, .reads = 2 },
    { .name = "start", .kind = START, .options = OFF, .executed = 1, .reads = 2 },
    { .name = "reboot", .kind = REBOOT, .executed = 1, .reads = 1 },
    { .name = "stop on a kept connection", .kind = STOP, .warm = true, .executed = 1, .reads = 2 },
    { .name = "stop of a Spot instance", .kind = STOP, .options = "charge." ONE "=Spot",
      .executed = 1, .reads = 2 },
    { .name = "stop, another region configured", .kind = STOP, .region = "cn-sh2",
      .target_region = "cn-wlcb", .executed = 1, .reads = 2 },
    /* definite refusals are not read back, nor sent again */
    { .name = "stop: wrong state", .kind = STOP, .options = OFF, .requested = 1, .reads = 1,
      .status = COMPSHARE_E_API, .words = "8905" },
    { .name = "start: wrong state", .kind = START, .requested = 1, .reads = 1,
      .status = COMPSHARE_E_API, .words = "8905" },
    { .name = "reboot: wrong state", .kind = REBOOT, .options = OFF, .requested = 1, .reads = 1,
      .status = COMPSHARE_E_API, .words = "8905" },
    { .name = "stop: busy", .kind = STOP, .options = "busy." ONE "=1", .requested = 1,
      .reads = 1, .status = COMPSHARE_E_API, .words = "8903" },
    { .name = "start: busy, retries", .kind = START, .retries = 3,
      .options = "busy." ONE "=1&" OFF, .requested = 1, .reads = 1, .status = COMPSHARE_E_API,
      .words = "8903" },
    { .name = "reboot: busy, retries", .kind = REBOOT, .retries = 3, .options = "busy." ONE "=1",
      .requested = 1, .reads = 1, .status = COMPSHARE_E_API, .words = "8903" },
    { .name = "stop: not found", .kind = STOP, .id = "uhost-9999", .reads = 2, .from = 1000,
      .to = 1000, .status = COMPSHARE_E_NOT_FOUND, .words = "uhost-9999" },
    { .name = "stop: refused key", .kind = STOP, .options = STOPS "fail_next=1&fail_code=171",
      .requested = 1, .reads = 1, .status = COMPSHARE_E_API, .words = "171" },
    /* nothing was sent */
    { .name = "stop: refused connection", .kind = STOP, .refusals = 1, .reads = -1,
      .status = COMPSHARE_E_CONNECT },
    { .name = "stop: refused connection, retry", .kind = STOP, .retries = 1, .refusals = 1,
      .executed = 1, .reads = 2, .from = 250, .to = 500 },
    { .name = "stop: 1970", .kind = STOP, .local = -INT64_C(1700000000), .reads = -1, .status = COMPSHARE_E_CLOCK },
    { .name = "start: 2099", .kind = START, .local = INT64_C(2300000000), .reads = -1,
        .status = COMPSHARE_E_CERTIFICATE },
    /* replies lost: the state tells, on new and on kept connections; never twice */
    { .name = "stop lost after", .kind = STOP, .options = STOPS "drop_after=1", .executed = 1,
      .reads = 3, .from = 250, .to = 250 },
    { .name = "stop lost after, kept", .kind = STOP, .warm = true,
      .options = STOPS "drop_after=1", .executed = 1, .reads = 3, .from = 250, .to = 250 },
    { .name = "start lost after, kept", .kind = START, .warm = true,
      .options = STARTS "drop_after=1&" OFF, .executed = 1, .reads = 3, .from = 250, .to = 250 },
    { .name = "reboot lost after, kept", .kind = REBOOT, .warm = true,
      .options = REBOOTS "drop_after=1", .executed = 1, .reads = -2, .from = 59000, .to = 60000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .words = REBOOTING },
    { .name = "stop lost after, another region configured", .kind = STOP, .region = "cn-sh2",
      .target_region = "cn-wlcb", .options = STOPS "drop_after=1", .executed = 1, .reads = 3,
      .from = 250, .to = 250 },
    { .name = "stop lost before", .kind = STOP, .options = STOPS "drop_before=1", .requested = 1,
      .reads = -2, .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED,
      .unknown = true, .words = "state Running" },
    { .name = "stop lost before, kept", .kind = STOP, .warm = true,
      .options = STOPS "drop_before=1", .requested = 1, .reads = -2, .from = 59000, .to = 60000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .words = "state Running" },
    { .name = "start lost before, kept", .kind = START, .warm = true,
      .options = STARTS "drop_before=1&" OFF, .requested = 1, .reads = -2, .from = 59000,
      .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .words = "state Stopped" },
    { .name = "reboot lost before, kept", .kind = REBOOT, .warm = true,
      .options = REBOOTS "drop_before=1", .requested = 1, .reads = -2, .from = 59000,
      .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .words = "state Running" },
    { .name = "stop truncated", .kind = STOP, .options = STOPS "truncate=1", .executed = 1,
      .reads = 3, .from = 250, .to = 250 },
    { .name = "start truncated", .kind = START, .options = STARTS "truncate=1&" OFF,
      .executed = 1, .reads = 3, .from = 250, .to = 250 },
    { .name = "stop: 110, executed", .kind = STOP, .event = "answered " DESCRIBE,
      .then = "reply_retcode=110", .event2 = "answered " STOPPING, .then2 = "reply_retcode=0",
      .executed = 1, .reads = 3, .from = 250, .to = 250 },
    { .name = "stop: 110, not executed", .kind = STOP,
      .options = STOPS "fail_next=1&fail_code=110", .requested = 1, .reads = -2, .from = 59000,
      .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .words = "110" },
    { .name = "start: 8438, not executed", .kind = START,
      .options = STARTS "fail_next=1&fail_code=8438&" OFF, .requested = 1, .reads = -2,
      .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true,
      .words = "8438" },
    { .name = "reboot: 502", .kind = REBOOT, .options = REBOOTS "fail_next=1&fail_http=502",
      .requested = 1, .reads = -2, .from = 59000, .to = 60000, .http = 502,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true },
    { .name = "stop: silence", .kind = STOP, .warm = true, .stall = "sent " STOPPING,
      .stalls = 1, .executed = 1, .reads = 3, .from = 30250, .to = 30250 },
    { .name = "start: silence, not executed", .kind = START,
      .options = STARTS "fail_next=1&" OFF, .stall = "sent " STARTING, .stalls = 1,
      .requested = 1, .reads = -2, .from = 59500, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED,
      .unknown = true, .words = "state Stopped" },
    { .name = "stop, not shown in 10 s", .kind = STOP, .timeout_ms = 10000,
      .options = STOPS "drop_before=1", .requested = 1, .reads = -2, .from = 9500, .to = 10000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true },
    { .name = "stop, not shown in 120 s", .kind = STOP, .timeout_ms = 120000,
      .options = STOPS "drop_before=1", .requested = 1, .reads = -2, .from = 119000,
      .to = 120000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true },
    /* what shows that it was executed, and what does not */
    { .name = "stop seen late", .kind = STOP, .options = STOPS "drop_before=1",
      .event = "answered " DESCRIBE, .nth = 5, .then = "state." ONE "=Stopping", .requested = 1,
      .reads = 7, .from = 1000, .to = 8000 },
    { .name = "start seen late", .kind = START, .options = STARTS "drop_before=1&" OFF,
      .event = "answered " DESCRIBE, .nth = 3, .then = "state." ONE "=Starting", .requested = 1,
      .reads = 5, .from = 500, .to = 2000 },
    { .name = "reboot seen", .kind = REBOOT, .options = REBOOTS "drop_after=1",
      .event = "answered " DESCRIBE, .nth = 2, .then = "state." ONE "=Rebooting", .executed = 1,
      .reads = 4, .from = 500, .to = 2000 },
    { .name = "reboot, then stopped", .kind = REBOOT, .options = REBOOTS "drop_after=1",
      .event = "answered " DESCRIBE, .nth = 2, .then = OFF, .executed = 1, .reads = -2,
      .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true,
      .words = "state Stopped" },
    { .name = "stop failed", .kind = STOP, .options = STOPS "drop_before=1",
      .event = "answered " DESCRIBE, .nth = 2, .then = "state." ONE "=Stop%20Fail",
      .requested = 1, .reads = -2, .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED,
      .unknown = true, .words = "Stop Fail" },
    { .name = "gone after the stop", .kind = STOP, .options = STOPS "drop_before=1",
      .event = "answered " DESCRIBE, .nth = 2, .then = "remove=1", .requested = 1, .reads = -2,
      .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true,
      .words = "no instance" },
    { .name = "gone for a while", .kind = STOP, .options = STOPS "drop_before=1",
      .event = "answered " DESCRIBE, .nth = 2, .then = "remove=1",
      .event2 = "answered " DESCRIBE, .nth2 = 2, .then2 = "restore=1&state." ONE "=Stopping",
      .requested = 1, .reads = 6, .from = 1000, .to = 4000 },
    /* readings that fail */
    { .name = "stop silent, readings 503", .kind = STOP, .stall = "sent " STOPPING, .stalls = 1,
      .event = "sent " STOPPING, .then = READS "fail_next=3&fail_http=503", .executed = 1,
      .reads = 6, .from = 31000, .to = 39000 },
    { .name = "start silent, readings 8905", .kind = START, .options = OFF,
      .stall = "sent " STARTING, .stalls = 1, .event = "sent " STARTING,
      .then = READS "fail_next=3&fail_code=8905", .executed = 1, .reads = 6, .from = 31000,
      .to = 39000 },
    { .name = "stop silent, readings dropped", .kind = STOP, .stall = "sent " STOPPING,
      .stalls = 1, .event = "sent " STOPPING, .then = READS "drop_before=3", .executed = 1,
      .reads = 6, .from = 31000, .to = 39000 },
    { .name = "stop silent, readings forbidden", .kind = STOP, .stall = "sent " STOPPING,
      .stalls = 1, .event = "sent " STOPPING, .then = READS "fail_next=9&fail_code=299",
      .executed = 1, .reads = 2, .from = 30000, .to = 30000, .status = COMPSHARE_E_UNCONFIRMED,
      .unknown = true, .words = "299" },
    { .name = "stop lost, readings fail", .kind = STOP, .timeout_ms = 120000,
      .options = STOPS "drop_after=1", .event = "sent " STOPPING,
      .then = READS "fail_next=99&fail_http=503", .executed = 1, .reads = -2, .from = 119000,
      .to = 120000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true },
    /* never sent again, retries or not */
    { .name = "stop not sent again", .kind = STOP, .retries = 3, .timeout_ms = 120000,
      .options = STOPS "drop_before=1", .requested = 1, .reads = -2, .from = 119000, .to = 120000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .words = "state Running" },
    { .name = "start not sent again", .kind = START, .retries = 3, .timeout_ms = 120000,
      .options = STARTS "drop_before=1&" OFF, .requested = 1, .reads = -2, .from = 119000, .to = 120000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .words = "state Stopped" },
    { .name = "reboot not sent again", .kind = REBOOT, .retries = 3, .timeout_ms = 90000,
      .options = REBOOTS "drop_before=1", .requested = 1, .reads = -2, .from = 89000, .to = 90000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true },
    { .name = "stop not sent again: it was executed", .kind = STOP, .retries = 3,
      .options = STOPS "drop_after=1", .executed = 1, .reads = 3, .from = 250, .to = 250 },
    /* what was shown before proves nothing */
    { .name = "stop lost, shown before", .kind = STOP, .options = OFF "&" STOPS "drop_before=1",
      .event = "answered " DESCRIBE, .then = "state." ONE "=Stopping", .requested = 1, .reads = -2,
      .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true },
    { .name = "start lost, shown before", .kind = START, .options = STARTS "drop_before=1", .requested = 1,
      .reads = -2, .from = 59000, .to = 60000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true },
    { .name = "stop lost, started 5 s ago, state late", .kind = STOP,
      .options = "clock=@-300&" OFF "&state_lag=20&clock=@-5&other_state." ONE "=Running&clock=@0&"
          STOPS "fail_next=1&fail_http=502", .requested = 1, .reads = -2, .from = 59000, .to = 60000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .words = "state Running" },
    { .name = "start lost after, state 60 s late", .kind = START, .timeout_ms = 55000,
      .options = OFF "&state_lag=60&" STARTS "drop_after=1", .executed = 1,
      .reads = -2, .from = 54000, .to = 55000, .status = COMPSHARE_E_UNCONFIRMED, .unknown = true },
    { .name = "start lost after, state 60 s late, seen", .kind = START, .timeout_ms = 120000, .retries = 3,
      .options = OFF "&state_lag=60&" STARTS "drop_after=1", .executed = 1,
      .reads = -2, .from = 60000, .to = 70000 },
    { .name = "stop accepted, never shown", .kind = STOP, .event = "answered " STOPPING,
      .then = "state." ONE "=Running", .executed = 1, .reads = -2, .from = 59000, .to = 60000,
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true, .words = "accepted", .words2 = "state Running" },
    { .name = "stop accepted, shown late", .kind = STOP, .event = "answered " STOPPING,
      .then = "state." ONE "=Running", .event2 = "answered " DESCRIBE, .nth2 = 4,
      .then2 = "state." ONE "=Stopping", .executed = 1, .reads = 6, .from = 1000, .to = 8000 }
    };

/* ---- waiting for a state ---- */

static const row waits[] = {
    { .name = "wait: there", .kind = WAIT, .state = "Running", .reads = 1 },
    { .name = "wait: there, kept connection", .kind = WAIT, .state = "Running", .warm = true, .reads = 1 },
    { .name = "wait: stopped already", .kind = WAIT, .state = "Stopped", .options = OFF, .reads = 1 },
    { .name = "wait: the longest", .kind = WAIT, .state = "Running", .wait_ms = UINT32_MAX, .reads = 1 },
    { .name = "wait: comes", .kind = WAIT, .state = "Running", .options = OFF, .event = "answered " DESCRIBE, .nth = 4,
        .then = "state." ONE "=Running", .reads = 5, .from = 2000, .to = 8000 },
    { .name = "wait: comes in steps", .kind = WAIT, .state = "Stopped", .event = "answered " DESCRIBE, .nth = 2,
        .then = "state." ONE "=Stopping",
      .event2 = "answered " DESCRIBE, .nth2 = 2, .then2 = OFF, .reads = 5, .from = 2000, .to = 8000 },
    { .name = "wait: comes at the end", .kind = WAIT, .state = "Stopped", .event = "answered " DESCRIBE, .nth = 14,
        .then = OFF, .from = 30000, .to = 60000 },
    { .name = "wait: never", .kind = WAIT, .state = "Stopped", .seen = "Running", .from = 59500, .to = 60000,
        .status = COMPSHARE_E_TIMEOUT, .words = "last seen: Running", .words2 = "60000 ms" },
    { .name = "wait: never, slow replies", .kind = WAIT, .state = "Stopped", .seen = "Running", .latency = 900,
        .from = 57000, .to = 60000, .status = COMPSHARE_E_TIMEOUT,
      .words = "last seen: Running" },
    { .name = "wait: part of a name", .kind = WAIT, .state = "Run", .seen = "Running", .from = 59500, .to = 60000,
        .status = COMPSHARE_E_TIMEOUT },
    { .name = "wait: other letters", .kind = WAIT, .state = "running", .seen = "Running", .from = 59500, .to = 60000,
        .status = COMPSHARE_E_TIMEOUT },
    { .name = "wait: the first reading is the last", .kind = WAIT, .state = "Stopped", .wait_ms = 100,
        .seen = "Running", .reads = 1, .to = 100, .status = COMPSHARE_E_TIMEOUT },
    { .name = "wait: longer than configured", .kind = WAIT, .state = "Stopped", .timeout_ms = 5000, .wait_ms = 40000,
        .seen = "Running", .from = 39500, .to = 40000,
      .status = COMPSHARE_E_TIMEOUT, .words = "40000 ms" },
    { .name = "wait: shorter than configured", .kind = WAIT, .state = "Stopped", .wait_ms = 3000, .seen = "Running",
        .from = 2500, .to = 3000,
      .status = COMPSHARE_E_TIMEOUT, .words = "3000 ms" },
    { .name = "wait: comes after the configured time", .kind = WAIT, .state = "Stopped", .timeout_ms = 2000,
        .wait_ms = 60000, .event = "answered " DESCRIBE, .nth = 7,
      .then = OFF, .from = 5000, .to = 30000 },
    /* states that end it */
    { .name = "wait: failed", .kind = WAIT, .state = "Running", .options = "state." ONE "=Install%20Fail",
        .seen = "Install Fail", .reads = 1,
      .status = COMPSHARE_E_STATE, .words = "\"Install Fail\"", .words2 = ONE },
    { .name = "wait: fails", .kind = WAIT, .state = "Running", .options = "state." ONE "=Starting",
        .event = "answered " DESCRIBE, .nth = 3, .then = "state." ONE "=Start%20Fail",
      .seen = "Start Fail", .reads = 4, .from = 1000, .to = 4000, .status = COMPSHARE_E_STATE,
          .words = "\"Start Fail\"" },
    { .name = "wait: for a failure", .kind = WAIT, .state = "Install Fail", .options = "state." ONE "=Install%20Fail",
        .reads = 1 },
    /* not listed: three times in a row */
    { .name = "wait: not found", .kind = WAIT, .id = "uhost-9999", .state = "Running",
      .reads = -2, .from = 59000, .to = 60000, .status = COMPSHARE_E_NOT_FOUND,
      .words = "uhost-9999" },
    { .name = "wait: in another region", .kind = WAIT, .state = "Running", .region = "cn-sh2",
      .reads = -2, .from = 59000, .to = 60000, .status = COMPSHARE_E_NOT_FOUND },
    { .name = "wait: vanishes", .kind = WAIT, .state = "Stopped", .event = "answered " DESCRIBE, .nth = 2,
        .then = "remove=1", .seen = "Running", .reads = 5, .from = 2000, .to = 8000,
      .status = COMPSHARE_E_NOT_FOUND },
    { .name = "wait: appears", .kind = WAIT, .state = "Running", .options = "remove=1",
      .event = "answered " DESCRIBE, .nth = 4, .then = "restore=1", .reads = 5, .from = 250,
      .to = 2000 },
    { .name = "wait: appears and vanishes", .kind = WAIT, .state = "Stopped",
      .options = "remove=1", .event = "answered " DESCRIBE, .nth = 2, .then = "restore=1",
      .event2 = "answered " DESCRIBE, .then2 = "remove=1", .reads = 6, .from = 1000, .to = 15000,
      .status = COMPSHARE_E_NOT_FOUND, .seen = "Running" },
    { .name = "wait: a failure is not a missing instance", .kind = WAIT, .state = "Running",
      .options = "remove=1", .event = "answered " DESCRIBE, .nth = 2,
      .then = READS "fail_next=1&fail_http=503", .reads = -2, .from = 59000, .to = 60000,
      .status = COMPSHARE_E_NOT_FOUND },
    /* readings that fail are no end */
    { .name = "wait: readings busy", .kind = WAIT, .state = "Running", .options = READS "fail_next=4&fail_code=8903",
        .reads = 5, .from = 2000, .to = 8000 },
    { .name = "wait: readings unsure", .kind = WAIT, .state = "Running", .options = READS "fail_next=4&fail_code=8905",
        .reads = 5, .from = 2000, .to = 8000 },
    { .name = "wait: readings inconsistent", .kind = WAIT, .state = "Running",
        .options = READS "fail_next=4&fail_code=226607", .reads = 5, .from = 2000, .to = 8000 },
    { .name = "wait: readings 502", .kind = WAIT, .state = "Running", .options = READS "fail_next=4&fail_http=502",
        .reads = 5, .from = 2000, .to = 8000 },
    { .name = "wait: readings dropped", .kind = WAIT, .state = "Running", .options = READS "drop_before=4", .reads = 5,
        .from = 2000, .to = 8000 },
    { .name = "wait: readings truncated", .kind = WAIT, .state = "Running", .options = READS "truncate=4", .reads = 5,
        .from = 2000, .to = 8000 },
    { .name = "wait: connections refused", .kind = WAIT, .state = "Running", .refusals = 4, .reads = 1, .from = 2000,
        .to = 8000 },
    { .name = "wait: a silent reading", .kind = WAIT, .state = "Running", .stall = "sent " DESCRIBE, .stalls = 1,
        .reads = 2, .from = 15000, .to = 31000 },
    { .name = "wait: a silent reading in a long wait", .kind = WAIT, .state = "Running", .timeout_ms = 15000,
        .wait_ms = 3600000, .stall = "sent " DESCRIBE, .stalls = 1, .reads = 2,
      .from = 7000, .to = 16000 },
    { .name = "wait: nothing but silence", .kind = WAIT, .state = "Running", .stall = "sent " DESCRIBE, .stalls = 8,
        .from = 59000, .to = 60000, .status = COMPSHARE_E_TIMEOUT },
    { .name = "wait: readings fail to the end", .kind = WAIT, .state = "Running",
        .options = READS "fail_next=99&fail_http=502", .from = 59500, .to = 60000,
      .status = COMPSHARE_E_TIMEOUT, .words = "502" },
    { .name = "wait: no reading after the first", .kind = WAIT, .state = "Stopped", .event = "answered " DESCRIBE,
        .then = READS "fail_next=99&fail_http=502", .seen = "Running",
      .from = 59500, .to = 60000, .status = COMPSHARE_E_TIMEOUT, .words = "last seen: Running; reading failed: ",
          .words2 = "502" },
    { .name = "wait: forbidden", .kind = WAIT, .state = "Running", .options = READS "fail_next=9&fail_code=299",
        .reads = 1, .status = COMPSHARE_E_API, .words = "299" },
    { .name = "wait: refused key", .kind = WAIT, .state = "Stopped", .event = "answered " DESCRIBE,
        .then = READS "fail_next=9&fail_code=171", .seen = "Running", .reads = 2,
      .from = 250, .to = 500, .status = COMPSHARE_E_API, .words = "171" },
    { .name = "wait: 1970", .kind = WAIT, .state = "Running", .local = -INT64_C(1700000000), .reads = -1,
        .status = COMPSHARE_E_CLOCK },
    { .name = "wait: 2099", .kind = WAIT, .state = "Running", .local = INT64_C(2300000000), .reads = -1,
        .status = COMPSHARE_E_CERTIFICATE }
};

/* ---- ended from outside ---- */

static const row ended[] = {
    { .name = "stop", .kind = STOP, .executed = 1 },
    { .name = "stop, kept connection, reply lost", .kind = STOP, .warm = true, .options = STOPS "drop_after=1",
        .executed = 1 },
    { .name = "stop, lost", .kind = STOP, .retries = 1, .options = STOPS "drop_before=1",
      .status = COMPSHARE_E_UNCONFIRMED, .unknown = true },
    { .name = "start, reply lost", .kind = START, .options = STARTS "drop_after=1&" OFF, .executed = 1 },
    { .name = "reboot, reply lost", .kind = REBOOT, .options = REBOOTS "drop_after=1", .executed = 1,
        .status = COMPSHARE_E_UNCONFIRMED, .unknown = true },
    { .name = "wait, never", .kind = WAIT, .state = "Stopped", .status = COMPSHARE_E_TIMEOUT }
};

/* ---- single questions ---- */

/* Refused by itself: no request. */
static void parameters(void **state)
{
    static const struct { const char *id, *region, *zone, *project, *words; } targets[] = {
        { NULL, "cn-wlcb", "cn-wlcb-01", PROJECT, "uhost_id" }, { "", "cn-wlcb", "cn-wlcb-01", PROJECT, "uhost_id" },
        { ONE, "cn-wlcb&", "cn-wlcb-01", PROJECT, "Region" }, { ONE, "cn-wlcb", "cn-wlcb-01", PROJECT "&",
            "ProjectId" },
        { "uhost-0001 ", "cn-wlcb", "cn-wlcb-01", PROJECT, "UHostId" },
        { ONE, "cn-wlcb-0123456789012345678901234", "cn-wlcb-01", PROJECT, "region is longer" }
    };
    size_t i;
    flow_fresh(state, 15000);
    for (i = 0; i <= COUNT(targets); i++) {
        compshare_target t = { NULL, NULL, NULL, NULL };
        const compshare_target *given = i < COUNT(targets) ? &t : NULL;
        int kind, r[3];
        if (given != NULL) {
            t.uhost_id = targets[i].id;
            t.region = targets[i].region;
            t.zone = targets[i].zone;
            t.project_id = targets[i].project;
        }
        for (kind = 0; kind < 3; kind++) {
            if (kind == 0)
                r[kind] = stepped ? compshare_stop_instance_start(h.client, given) : compshare_stop_instance(h.client,
                    given);
            else if (kind == 1)
                r[kind] = stepped ? compshare_start_instance_start(h.client, given) : compshare_start_instance(h.client,
                    given);
            else r[kind] = stepped ? compshare_reboot_instance_start(h.client,
                given) : compshare_reboot_instance(h.client, given);
            expect_failure(&h, r[kind], COMPSHARE_E_PARAM, COMPSHARE_STAGE_PREPARE, false);
            if (given != NULL) expect_contains(last(&h)->detail, targets[i].words);
            assert_int_equal(compshare_step(h.client), COMPSHARE_E_IDLE);
        }
    }
    for (i = 0; i < 4; i++) {
        const char *id = i == 2 ? NULL : i == 3 ? "" : ONE, *wanted = i == 0 ? NULL : i == 1 ? "" : "Running";
        memset(&instance, 0xEE, sizeof instance);
        expect_failure(&h, stepped ? compshare_wait_state_start(h.client, id, wanted, 0, &instance)
            : compshare_wait_state(h.client, id, wanted, 0, &instance),
            COMPSHARE_E_PARAM, COMPSHARE_STAGE_PREPARE, false);
        assert_true(all_zero(&instance, sizeof instance));
    }
    assert_int_equal(compshare_stop_instance(NULL, NULL), COMPSHARE_E_CONFIG);
    assert_int_equal(compshare_start_instance_start(NULL, NULL), COMPSHARE_E_CONFIG);
    assert_int_equal(compshare_reboot_instance(NULL, NULL), COMPSHARE_E_CONFIG);
    assert_int_equal(compshare_wait_state(NULL, ONE, "Running", 0, NULL), COMPSHARE_E_CONFIG);
    expect_count(&gateway, "requests", 0);
    expect_count(&gateway, "connections", 0);
}

/* Region, zone and project are found, whatever the target and the configuration lack. */
static void found_target(void **state)
{
    compshare_target t = { ONE, NULL, NULL, NULL };
    flow_fresh(state, 60000);
    set_options(STOPS "drop_after=1");
    harness_expect(&h, stepped ? flow_steps(compshare_stop_instance_start(h.client, &t))
        : compshare_stop_instance(h.client, &t), COMPSHARE_OK);
    harness_expect(&h, stepped ? flow_steps(compshare_start_instance_start(h.client, &t))
        : compshare_start_instance(h.client, &t), COMPSHARE_OK);
    harness_expect(&h, stepped ? flow_steps(compshare_reboot_instance_start(h.client, &t))
        : compshare_reboot_instance(h.client, &t), COMPSHARE_OK);
    expect_executed(&gateway, STOPPING, 1);
    expect_executed(&gateway, STARTING, 1);
    expect_executed(&gateway, REBOOTING, 1);
    expect_requested(&gateway, DESCRIBE, 6);
    expect_requested(&gateway, PROJECTS, 1);
}

/* Stopped, waited for, started again: as a program does it. */
static void one_after_the_other(void **state)
{
    static const row stop = { .kind = STOP }, start = { .kind = START }, off = { .kind = WAIT,
        .state = "Stopped" }, on = { .kind = WAIT, .state = "Running" };
    flow_fresh(state, 60000);
    harness_expect(&h, flow_run(&stop), COMPSHARE_OK);
    harness_expect(&h, flow_run(&off), COMPSHARE_OK);
    assert_string_equal(instance.state, "Stopped");
    harness_expect(&h, flow_run(&stop), COMPSHARE_E_API);
    harness_expect(&h, flow_run(&start), COMPSHARE_OK);
    harness_expect(&h, flow_run(&on), COMPSHARE_OK);
    assert_string_equal(instance.state, "Running");
    expect_count(&gateway, "connections", 1);
    expect_requested(&gateway, DESCRIBE, 7);
    expect_requested(&gateway, PROJECTS, 0);
}

static void no_instance_wanted(void **state)
{
    flow_fresh(state, 5000);
    harness_expect(&h, stepped ? flow_steps(compshare_wait_state_start(h.client, ONE, "Running", 0, NULL))
        : compshare_wait_state(h.client, ONE, "Running", 0, NULL), COMPSHARE_OK);
    harness_expect(&h, stepped ? flow_steps(compshare_wait_state_start(h.client, ONE, "Stopped", 0, NULL))
        : compshare_wait_state(h.client, ONE, "Stopped", 0, NULL), COMPSHARE_E_TIMEOUT);
}

/* A minute costs few readings, and what comes soon is seen soon. */
static void waits_politely(void **state)
{
    static const row r = { .kind = WAIT, .state = "Stopped" };
    size_t i, most = 0;
    stepped = ((const flow_test *)*state)->stepped;
    flow_prepare(&r);
    harness_expect(&h, flow_run(&r), COMPSHARE_E_TIMEOUT);
    assert_in_range(harness_count_action(&gateway, "requests_by_action", DESCRIBE), 12, 20);
    expect_count(&gateway, "connections", 1);
    assert_in_range(pauses[0], 100, 500);
    for (i = 1; i < pause_count; i++) if (pauses[i] > pauses[most]) most = i;
    assert_in_range(pauses[most], 4000, 5000);
    for (i = 1; i <= most; i++) assert_in_range(pauses[i], pauses[i - 1], 2 * pauses[i - 1]);
}

/* A pause that is cut short is gone on with, and asks nothing meanwhile. */
static void pauses_cut_short(void **state)
{
    static const row r = { .kind = WAIT, .state = "Stopped", .event = "answered " DESCRIBE, .nth = 5, .then = OFF };
    stepped = ((const flow_test *)*state)->stepped;
    flow_prepare(&r);
    restless = true;
    harness_expect(&h, flow_run(&r), COMPSHARE_OK);
    expect_requested(&gateway, DESCRIBE, 6);
    assert_in_range(h.clock.ms, 5000, 10000);
}

int main(void)
{
    flow_add_rows(power, COUNT(power));
    flow_add_rows(waits, COUNT(waits));
    flow_add("parameters", parameters, flow_done, NULL);
    flow_add("found target", found_target, flow_done, NULL);
    flow_add("one after the other", one_after_the_other, flow_done, NULL);
    flow_add("no instance wanted", no_instance_wanted, flow_done, NULL);
    flow_add("waits politely", waits_politely, flow_done, NULL);
    flow_add("pauses cut short", pauses_cut_short, flow_done, NULL);
    flow_add_ends(ended, COUNT(ended));
    return flow_main("power");
}
