/* The ways in which the real gateway may differ from the test gateway's default, one row
   each: what the gateway is told, what the client is told, and what a careful client may
   end with that would be wrong elsewhere. Shared by the gateway, which lists and applies
   them (`gateway --dialects`, option `dialect=NAME`), and by the tests. A new doubt about
   the real gateway becomes a row. */
#ifndef DIALECTS_H
#define DIALECTS_H

/* What may come of it. Without any of these, whatever can be done must be done, what is
   reported must be so, and a refusal is wrong. */
enum {
    DIALECT_HIDDEN = 1,             /* no plan is ever seen: a new one cannot be confirmed */
    DIALECT_UNREADABLE = 1 << 1,    /* a plan that is shown may be refused in words */
    DIALECT_NO_PROJECT = 1 << 2,    /* a change may be refused for want of a project */
    DIALECT_NO_REGION = 1 << 3,     /* anything may be refused for want of a region */
    DIALECT_CANNOT_SET = 1 << 4,    /* Update succeeds and changes nothing: unconfirmed */
    DIALECT_GONE = 1 << 5,          /* the instance is not there: not found, and nothing else */
    DIALECT_ODD_STATE = 1 << 6,     /* neither Running nor Stopped: those that need it refuse */
    DIALECT_ODD_STATE_ONCE = 1 << 7, /* one reading shows another state */
    DIALECT_EMPTY_LONG = 1 << 8,    /* lists are empty for longer than a second look takes */
    DIALECT_FIRST_FAILS = 1 << 9,   /* the first reading is none: may be reported as it is */
    DIALECT_ODD_PLAN_ONCE = 1 << 10, /* one reading lacks the plan */
    DIALECT_ELSEWHERE = 1 << 11,    /* a list without a project does not reach the instance */
    DIALECT_LIST = 1 << 12,         /* about lists, and nothing else */
    DIALECT_FLOOR = 1 << 13         /* worth a try with 300 s */
};

/* In the order of the bits. */
static const char *const dialect_words[] = {
    "hidden", "unreadable", "no-project", "no-region", "cannot-set", "gone", "odd-state",
    "odd-state-once", "empty-long", "first-fails", "odd-plan-once", "elsewhere", "list", "floor"
};

typedef struct dialect {
    const char *name, *sentence;
    const char *options;        /* of the gateway, for instance uhost-0001 */
    const char *later;          /* set once the client has done something; NULL: nothing */
    const char *id;             /* NULL: uhost-0001 */
    const char *region, *zone, *project;    /* that the client is configured with; or NULL */
    int schedule_lag, state_lag;    /* seconds: how late Describe shows a change */
    unsigned may;
} dialect;

#define DIALECT_SH2 "zone.uhost-0001=cn-sh2-02"
#define DIALECT_OTHER "project.uhost-0001=org-other"

static const dialect dialects[] = {
    { .name = "plain", .sentence = "What the official clients need and get.", .options = "",
      .may = DIALECT_FLOOR },

    /* where the plan stands */
    { .name = "no-region", .sentence = "Describe shows no Region.",
      .options = "describe_region=0" },
    { .name = "stop-scheduler-time", .sentence = "The plan stands in StopSchedulerTime.",
      .options = "schedule_field=StopSchedulerTime" },
    { .name = "both-names", .sentence = "The plan stands under both names.",
      .options = "schedule_other=same" },
    { .name = "second-name-zero", .sentence = "StopSchedulerTime is 0 beside the plan.",
      .options = "schedule_other=zero" },
    { .name = "first-name-zero", .sentence = "SchedulerStopTime is 0 beside the plan.",
      .options = "schedule_field=StopSchedulerTime&schedule_other=zero" },
    { .name = "first-name-null", .sentence = "SchedulerStopTime is null beside the plan.",
      .options = "schedule_field=StopSchedulerTime&schedule_other=null" },
    { .name = "second-name-date", .sentence = "StopSchedulerTime repeats the plan as a date.",
      .options = "schedule_other=iso" },
    { .name = "first-name-date", .sentence = "SchedulerStopTime repeats the plan as a date.",
      .options = "schedule_field=StopSchedulerTime&schedule_other=iso",
      .may = DIALECT_UNREADABLE },
    { .name = "last-stop", .sentence = "StopTime is the time of the last stop.",
      .options = "last_stop=1" },
    { .name = "past-stays", .sentence = "A time that is over is still shown.",
      .options = "past_stays=1&last_stop=1&schedule.uhost-0001=1000000000"
                 "&state.uhost-0001=Running" },
    { .name = "past-stays-no-date", .sentence = "A time that is over is shown; no Date.",
      .options = "past_stays=1&no_date=1&schedule.uhost-0001=1000000000"
                 "&state.uhost-0001=Running" },
    { .name = "never-shown", .sentence = "Describe shows no plan at all, ever.",
      .options = "schedule_field=none", .may = DIALECT_HIDDEN },

    /* how a time is written */
    { .name = "time-as-text", .sentence = "Times are strings, and \"\" where there is none.",
      .options = "schedule_type=string,empty_when_none" },
    { .name = "time-as-text-zero", .sentence = "Times are strings, and \"0\" where there is none.",
      .options = "schedule_type=string,zero_when_none" },
    { .name = "time-with-point", .sentence = "Times are written 1796060000.0.",
      .options = "schedule_type=decimal,zero_when_none" },
    { .name = "time-in-ms", .sentence = "Times are in milliseconds.",
      .options = "schedule_type=ms,zero_when_none", .may = DIALECT_UNREADABLE },
    { .name = "time-as-date", .sentence = "Times are dates in text.",
      .options = "schedule_type=iso,empty_when_none", .may = DIALECT_UNREADABLE },
    { .name = "second-in-ms", .sentence = "StopSchedulerTime is in milliseconds, the other absent.",
      .options = "schedule_field=StopSchedulerTime&schedule_type=ms,zero_when_none",
      .may = DIALECT_UNREADABLE },
    { .name = "zero-and-ms", .sentence = "StopSchedulerTime is in milliseconds, the other is 0.",
      .options = "schedule_field=StopSchedulerTime&schedule_other=zero"
                 "&schedule_type=ms,zero_when_none", .may = DIALECT_UNREADABLE },
    { .name = "second-as-date", .sentence = "StopSchedulerTime is a date, the other absent.",
      .options = "schedule_field=StopSchedulerTime&schedule_type=iso,empty_when_none",
      .may = DIALECT_UNREADABLE },
    { .name = "zero-and-date", .sentence = "StopSchedulerTime is a date; the other, 0, decides.",
      .options = "schedule_field=StopSchedulerTime&schedule_other=zero"
                 "&schedule_type=iso,empty_when_none", .may = DIALECT_HIDDEN },
    { .name = "none-absent", .sentence = "The field is missing where there is no plan.",
      .options = "schedule_type=int,absent_when_none" },
    { .name = "none-null", .sentence = "null where there is no plan.",
      .options = "schedule_type=int,null_when_none" },
    { .name = "none-minus", .sentence = "-1 where there is no plan.",
      .options = "schedule_type=int,minus_when_none" },
    { .name = "rounds-down", .sentence = "A time is rounded down to the minute.",
      .options = "rounding=down" },
    { .name = "rounds-up", .sentence = "A time is rounded up to the minute.",
      .options = "rounding=up" },
    { .name = "floor-in-ms", .sentence = "The 300 s are judged to the millisecond.",
      .options = "floor_ms=1&advance_ms=730", .may = DIALECT_FLOOR },
    { .name = "no-date", .sentence = "Replies have no Date.", .options = "no_date=1" },

    /* how late it is shown */
    { .name = "lag-3", .sentence = "Describe is 3 s late.", .schedule_lag = 3, .state_lag = 3,
      .options = "schedule_lag=3&state_lag=3" },
    { .name = "lag-20", .sentence = "Describe is 20 s late.", .schedule_lag = 20, .state_lag = 20,
      .options = "schedule_lag=20&state_lag=20" },
    { .name = "schedule-lag-10", .sentence = "Describe shows a plan 10 s late.",
      .schedule_lag = 10, .options = "schedule_lag=10" },
    { .name = "state-lag-30", .sentence = "Describe shows a state 30 s late.",
      .state_lag = 30, .options = "state_lag=30" },
    { .name = "lag-45", .sentence = "Describe is 45 s late.", .schedule_lag = 45, .state_lag = 45,
      .options = "schedule_lag=45&state_lag=45" },
    { .name = "lag-90", .sentence = "Describe is later than any call waits.",
      .schedule_lag = 90, .state_lag = 90, .options = "schedule_lag=90&state_lag=90" },
    { .name = "slow-power", .sentence = "Stopping, Starting and Rebooting take 15 s.",
      .options = "power_takes=15" },

    { .name = "late-and-rounded", .sentence = "Plans are 10 s late, rounded down, and text.",
      .schedule_lag = 10,
      .options = "schedule_lag=10&rounding=down&schedule_type=string,empty_when_none" },
    { .name = "late-and-slow", .sentence = "A state is 10 s late, and changes take 15 s.",
      .state_lag = 10, .options = "state_lag=10&power_takes=15" },
    { .name = "late-and-broken", .sentence = "Describe is 10 s late; two readings are web pages.",
      .schedule_lag = 10, .state_lag = 10,
      .options = "odd=html&odd_after=1&odd_next=2&schedule_lag=10&state_lag=10" },

    /* what is required, and what is ignored */
    { .name = "region-required", .sentence = "Describe requires Region; a zone is configured.",
      .options = "describe_requires=Region", .zone = "cn-wlcb-01" },
    { .name = "region-unknown", .sentence = "Describe requires Region; none is configured.",
      .options = "describe_requires=Region", .may = DIALECT_NO_REGION },
    { .name = "region-ignored", .sentence = "Describe ignores Region; another one is configured.",
      .options = "ignore_filter=Region&" DIALECT_SH2, .region = "cn-wlcb" },
    { .name = "zone-and-region", .sentence = "Region and zone that are configured do not fit.",
      .options = "ignore_filter=Region&" DIALECT_SH2, .region = "cn-wlcb", .zone = "cn-sh2-02" },
    { .name = "ids-ignored", .sentence = "Describe lists everything, whatever UHostIds says.",
      .options = "ignore_filter=UHostIds" },
    { .name = "other-region", .sentence = "The instance is in another region than the rest.",
      .options = DIALECT_SH2 },
    { .name = "other-zone", .sentence = "Another zone is configured than the instance's.",
      .options = "", .zone = "cn-wlcb-07" },
    { .name = "project-required", .sentence = "Describe requires ProjectId, else 292.",
      .options = "describe_requires=ProjectId" },
    { .name = "project-required-210", .sentence = "Describe requires ProjectId, else 210.",
      .options = "describe_requires=ProjectId&project_missing_code=210" },
    { .name = "all-required", .sentence = "Describe requires Region and ProjectId; configured.",
      .options = "describe_requires=Region,ProjectId", .region = "cn-wlcb",
      .project = "org-default" },
    { .name = "projects-forbidden", .sentence = "GetProjectList is forbidden, ProjectId optional.",
      .options = "projects_code=299&project_optional=1" },
    { .name = "projects-forbidden-needed", .sentence = "GetProjectList is forbidden: no change.",
      .options = "projects_code=299", .may = DIALECT_NO_PROJECT },
    { .name = "projects-forbidden-known", .sentence = "GetProjectList is forbidden; configured.",
      .options = "projects_code=299", .project = "org-default" },
    { .name = "update-stop-time", .sentence = "Update requires StopTime, and uses it.",
      .options = "scheduler_param=StopTime" },
    { .name = "update-ignores", .sentence = "Update requires SchedulerStopTime, and uses StopTime.",
      .options = "scheduler_honours=StopTime" },
    { .name = "update-both", .sentence = "Update requires both names.",
      .options = "scheduler_param=SchedulerStopTime,StopTime" },
    { .name = "update-nothing", .sentence = "Update answers RetCode 0 and changes nothing.",
      .options = "scheduler_honours=Nothing", .may = DIALECT_CANNOT_SET },

    /* projects */
    { .name = "elsewhere", .sentence = "The instance is in another project than the default one.",
      .options = DIALECT_OTHER "&unnamed_project=default", .may = DIALECT_ELSEWHERE },
    { .name = "elsewhere-seen", .sentence = "Without ProjectId, it is seen all the same.",
      .options = DIALECT_OTHER },
    { .name = "default-1", .sentence = "IsDefault is 1 and 0.", .options = "is_default_type=int" },
    { .name = "default-text", .sentence = "IsDefault is \"true\" and \"false\".",
      .options = "is_default_type=string" },
    { .name = "default-text-1", .sentence = "IsDefault is \"1\" and \"0\".",
      .options = "is_default_type=string_int" },
    { .name = "default-unreadable", .sentence = "IsDefault cannot be read, of two projects.",
      .options = "is_default_type=unreadable", .may = DIALECT_NO_PROJECT },
    { .name = "default-unreadable-one", .sentence = "IsDefault cannot be read, of one project.",
      .options = "is_default_type=unreadable&projects=1" },
    { .name = "project-deleted", .sentence = "The project that the client knows is no more.",
      .options = "", .later = "forget_project=org-default&" DIALECT_OTHER },

    /* instances */
    { .name = "other-id", .sentence = "Ids begin with cpod-.", .options = "id_prefix=cpod-",
      .id = "cpod-0001" },
    { .name = "unknown-state", .sentence = "A state that no document names.",
      .options = "state.uhost-0001=\xe5\xb7\xb2\xe4\xb8\xad\xe6\x96\xad",
      .may = DIALECT_ODD_STATE },
    { .name = "empty-state", .sentence = "The state is \"\".", .options = "state.uhost-0001=",
      .may = DIALECT_ODD_STATE },
    { .name = "gone", .sentence = "It is gone: the list lacks it.", .options = "remove=1",
      .may = DIALECT_GONE },
    { .name = "gone-null", .sentence = "It is gone: the list is null.",
      .options = "remove=1&null_lists=1", .may = DIALECT_GONE },
    { .name = "gone-8039", .sentence = "It is gone: RetCode 8039.",
      .options = "remove=1&gone_describe=code&gone_code=8039", .may = DIALECT_GONE },
    { .name = "gone-8351", .sentence = "It is gone: RetCode 8351.",
      .options = "remove=1&gone_describe=code&gone_code=8351", .may = DIALECT_GONE },

    /* odd readings */
    { .name = "empty-first", .sentence = "The first list is empty.",
      .options = "odd=empty&odd_next=1" },
    { .name = "empty-later", .sentence = "Four lists after the first are null.",
      .options = "odd=empty&odd_after=1&odd_next=4&null_lists=1" },
    { .name = "empty-17s", .sentence = "Lists are empty for 17 s.",
      .options = "odd=empty&odd_for=17", .may = DIALECT_EMPTY_LONG },
    { .name = "state-first", .sentence = "The first reading shows Stopping.",
      .options = "odd=state&odd_state=Stopping&odd_next=1", .may = DIALECT_ODD_STATE_ONCE },
    { .name = "state-later", .sentence = "The second reading shows no state.",
      .options = "odd=state&odd_after=1&odd_next=1" },
    { .name = "plan-first", .sentence = "The first reading lacks the plan.",
      .options = "odd=no_schedule&odd_next=1", .may = DIALECT_ODD_PLAN_ONCE },
    { .name = "plan-later", .sentence = "The second reading lacks the plan.",
      .options = "odd=no_schedule&odd_after=1&odd_next=1", .may = DIALECT_ODD_PLAN_ONCE },
    { .name = "html-first", .sentence = "The first reading is a web page.",
      .options = "odd=html&odd_next=1", .may = DIALECT_FIRST_FAILS },
    { .name = "html-later", .sentence = "The second reading is a web page.",
      .options = "odd=html&odd_after=1&odd_next=1" },
    { .name = "502-first", .sentence = "The first reading is a 502.",
      .options = "odd=http_502&odd_next=1", .may = DIALECT_FIRST_FAILS },
    { .name = "502-later", .sentence = "The second and third readings are 502s.",
      .options = "odd=http_502&odd_after=1&odd_next=2" },
    { .name = "cut-first", .sentence = "The first reading ends in the middle.",
      .options = "odd=cut_json&odd_next=1", .may = DIALECT_FIRST_FAILS },
    { .name = "cut-later", .sentence = "The second reading ends in the middle.",
      .options = "odd=cut_json&odd_after=1&odd_next=1" },

    /* decoration */
    { .name = "odd-times", .sentence = "ExpireTime is -1, CreateTime a date.",
      .options = "odd_times=1" },
    { .name = "odd-gpu", .sentence = "GPU is 0.5.", .options = "odd_gpu=1" },
    { .name = "name-null", .sentence = "Name is null.", .options = "odd_name=null" },
    { .name = "name-number", .sentence = "Name is a number.", .options = "odd_name=number" },
    { .name = "name-object", .sentence = "Name is an object.", .options = "odd_name=object" },
    { .name = "wild", .sentence = "What nothing is decided by has unexpected types.",
      .options = "wild=1&odd_name=absent" },
    { .name = "code-as-text", .sentence = "RetCode is a string.", .options = "retcode_string=1" },

    /* lists */
    { .name = "pages-of-50", .sentence = "Pages hold 50, whatever Limit says.",
      .options = "instances=120&page_cap=50", .may = DIALECT_LIST },
    { .name = "pages-of-50-no-total", .sentence = "Pages hold 50, and there is no total.",
      .options = "instances=120&page_cap=50&total_name=absent", .may = DIALECT_LIST },
    { .name = "total-small", .sentence = "TotalCount is too small.",
      .options = "instances=120&total_extra=-70", .may = DIALECT_LIST },
    { .name = "total-zero", .sentence = "TotalCount is 0.",
      .options = "instances=120&total_extra=-1000", .may = DIALECT_LIST },
    { .name = "total-large", .sentence = "TotalCount is too large.",
      .options = "instances=120&total_extra=500", .may = DIALECT_LIST },
    { .name = "total-large-8401", .sentence = "TotalCount is too large; behind the end, 8401.",
      .options = "instances=120&total_extra=500&offset_code=8401", .may = DIALECT_LIST },
    { .name = "total-of-all", .sentence = "TotalCount counts other regions, too.",
      .options = "instances=120&total_all=1&" DIALECT_SH2, .region = "cn-wlcb",
      .may = DIALECT_LIST },
    { .name = "no-total", .sentence = "There is no total.",
      .options = "instances=200&total_name=absent", .may = DIALECT_LIST },
    { .name = "no-total-8401", .sentence = "There is no total, and behind the end is 8401.",
      .options = "instances=200&total_name=absent&offset_code=8401", .may = DIALECT_LIST }
};

#define DIALECT_COUNT (sizeof dialects / sizeof dialects[0])

#endif
