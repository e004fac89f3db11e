/* Worlds in which what is shown is not what is so: readings lag, show what is over or
   nothing at all, and changes get lost, refused, or executed late. In each of them one
   workflow meets every fault that can lose a request or a reply. Include after world.h. */
#ifndef WORLDS_H
#define WORLDS_H

enum act { CALL, LIST, EACH, SET, GET, EXTEND, CANCEL, STOP, START, REBOOT, WAIT };

typedef struct world {
    const char *name;
    int act;
    uint32_t timeout_ms;
    int64_t at;             /* of the plan, from the beginning; of a get: the client has set it itself, just before */
    int64_t shows;          /* the plan that the first readings show, in the same way; 0: none */
    int status;             /* if nothing goes wrong */
    int code;               /* RetCode of a refusal */
    const char *options;    /* of the gateway, "@N" is N seconds from the beginning; NULL: none */
} world;

#define PLAN "schedule." ONE "=@7200"
#define OTHER_PLAN "&other_schedule." ONE
#define LOST(action, times) "&drop_action=" action "&drop_before=" times

static const world worlds[] = {
    /* the plan that is wanted stood there, and somebody else has deleted it; readings go on to
       show it, and the change gets lost */
    { "set-stale", SET, 20000, 7200, 7200, COMPSHARE_E_UNCONFIRMED, 0,
        PLAN "&schedule_lag=100000" OTHER_PLAN "=0" LOST(UPDATE, "6") },
    { "set-stale-while", SET, 60000, 7200, 7200, COMPSHARE_OK, 0,
        PLAN "&schedule_lag=10" OTHER_PLAN "=0" LOST(UPDATE, "2") },
    { "set-unshown", SET, 20000, 7200, 0, COMPSHARE_E_UNCONFIRMED, 0, "schedule_field=none" },
    { "set-late", SET, 60000, 7200, 0, COMPSHARE_OK, 0,
        "schedule_lag=5&late_next=2&late_seconds=8&drop_action=" UPDATE },
    { "set-rounded", SET, 60000, 7200, 0, COMPSHARE_OK, 0,
        "schedule_lag=8&rounding=up&drop_after=1&drop_action=" UPDATE },
    { "set-refused", SET, 60000, 7200, 0, COMPSHARE_E_API, 230,
        "schedule_lag=8&fail_next=1&fail_code=230&drop_action=" UPDATE },
    { "extend-lag", EXTEND, 60000, 0, 7200, COMPSHARE_OK, 0, PLAN "&schedule_lag=8" },
    { "extend-stale", EXTEND, 20000, 0, 7200, COMPSHARE_E_UNCONFIRMED, 0,
        PLAN "&schedule_lag=100000" OTHER_PLAN "=@9000" },
    { "extend-unshown", EXTEND, 60000, 0, 0, COMPSHARE_E_NO_PLAN, 0, PLAN "&schedule_field=none" },
    { "cancel-lag", CANCEL, 60000, 0, 7200, COMPSHARE_OK, 0, PLAN "&schedule_lag=8" },
    { "cancel-unshown", CANCEL, 60000, 0, 0, COMPSHARE_OK, 0, PLAN "&schedule_field=none" },
    { "cancel-unshown-lost", CANCEL, 20000, 0, 0, COMPSHARE_E_UNCONFIRMED, 0,
        PLAN "&schedule_field=none" LOST(DELETE, "6") },
    /* somebody else has set a plan, which no reading shows yet */
    { "cancel-stale", CANCEL, 60000, 0, 0, COMPSHARE_OK, 0,
        "schedule_lag=10" OTHER_PLAN "=@7200" LOST(DELETE, "2") },
    { "cancel-odd", CANCEL, 20000, 0, 7200, COMPSHARE_E_UNCONFIRMED, 0,
        PLAN "&odd=no_schedule&odd_after=2&odd_next=1" LOST(DELETE, "6") },
    { "stop-lag", STOP, 60000, 0, 0, COMPSHARE_OK, 0, "state_lag=8" },
    { "stop-late", STOP, 60000, 0, 0, COMPSHARE_OK, 0,
        "state_lag=3&late_next=1&late_seconds=8&drop_action=" STOPPING },
    { "stop-stale", STOP, 20000, 0, 0, COMPSHARE_E_UNCONFIRMED, 0,
        "state." ONE "=Stopped&state_lag=100000&other_state." ONE "=Running" LOST(STOPPING, "1") },
    { "stop-refused", STOP, 60000, 0, 0, COMPSHARE_E_API, 8905,
        "state_lag=8&fail_next=1&fail_code=8905&drop_action=" STOPPING },
    { "start-lag", START, 60000, 0, 0, COMPSHARE_OK, 0,
        "state." ONE "=Stopped&state_lag=8&drop_after=1&drop_action=" STARTING },
    { "start-stale", START, 60000, 0, 0, COMPSHARE_OK, 0,
        "state_lag=100000&other_state." ONE "=Stopped" },
    { "get-stale", GET, 60000, 0, 7200, COMPSHARE_OK, 0,
        PLAN "&schedule_lag=100000" OTHER_PLAN "=@9000" },
    { "get-own", GET, 60000, 7200, 0, COMPSHARE_OK, 0, "schedule_lag=8" },
    { "get-own-unshown", GET, 20000, 7200, 0, COMPSHARE_E_UNCONFIRMED, 0, "schedule_lag=100000" }
};

#endif
