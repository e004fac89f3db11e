/* ==== instance ====================================================================

   Does:  knows what an instance's kinds of payment and states mean, and shows it, with what
          was done to it, as a line or as JSON.
   May:   print.
   Never: calls the API. */

/* What the output shows of an instance and of what was done to it. */
typedef struct entry {
    compshare_instance is;
    int64_t previous, wanted;
    int code;                   /* exit status */
    size_t project;             /* which of the fleet's */
    bool wanting;               /* is to be changed */
    bool changed, left_alone, pending, seen;
    char error[640];
} entry;

static bool is_spot(const char *charge_type)
{
    return strcmp(charge_type, "Spot") == 0 || strcmp(charge_type, "Preemptive") == 0;
}

static bool is_prepaid(const char *charge_type)
{
    return strcmp(charge_type, "Day") == 0 || strcmp(charge_type, "Month") == 0
        || strcmp(charge_type, "Year") == 0;
}

static bool is_running(const char *state) { return strcmp(state, "Running") == 0; }

/* Where nothing is left to switch off. Every other state passes. */
static bool is_off(const char *state)
{
    return strcmp(state, "Stopped") == 0 || strcmp(state, "Install Fail") == 0;
}

static void json_known(const char *key, const char *text)
{
    if (text[0] != '\0') json_text(key, text);
    else json_null(key);
}

/* The keys are always the same; what is not known is null. */
static void print_json(const entry *e)
{
    bool known = e->is.state[0] != '\0' || e->is.charge_type[0] != '\0';
    json_text("uhost_id", e->is.uhost_id);
    json_known("name", e->is.name);
    json_known("state", e->is.state);
    json_known("charge_type", e->is.charge_type);
    json_known("zone", e->is.zone);
    if (known) {
        json_number("stop_time", e->is.stop_time);
        json_number("previous_stop_time", e->previous);
        json_number("seconds_left", e->is.stop_time > now() ? e->is.stop_time - now() : 0);
    } else {
        json_null("stop_time");
        json_null("previous_stop_time");
        json_null("seconds_left");
    }
    json_truth("changed", e->changed);
    json_truth("keeps_billing", is_prepaid(e->is.charge_type));
    if (e->code == DONE || e->code == FOUND) json_null("error");
    else json_error(e->code, e->error);
    json_end();
}

/* A word of the API's in the language of the messages. */
static const char *shown_word(const char *word)
{
    static const char *const words[][2] = {
        { "Running", "运行中" }, { "Stopped", "已关机" }, { "Stopping", "关机中" },
        { "Starting", "启动中" }, { "Rebooting", "重启中" },
        { "Initializing", "初始化中" },
        { "Install", "安装中" }, { "Install Fail", "安装失败" },
        { "Postpay", "按量" }, { "Dynamic", "按时" },
        { "Day", "包日" }, { "Month", "包月" }, { "Year", "包年" },
        { "Spot", "抢占式" }, { "Preemptive", "抢占式" }
    };
    size_t i;
    for (i = 0; language != 0 && i < COUNT(words); i++)
        if (strcmp(words[i][0], word) == 0) return words[i][1];
    return word;
}

/* Cards, how it is paid, and the name. */
static void put_details(const compshare_instance *i)
{
    char text[160];
    if (i->gpu_type[0] != '\0') {
        (void)snprintf(text, sizeof text, "%s x%lld", i->gpu_type, (long long)i->gpu);
        put(0, text);
    }
    put(7, shown_word(i->charge_type));
    (void)snprintf(text, sizeof text, "%s", i->name);
    cut(text, 40);
    put(0, text);
}

/* When it goes off, with what remains. */
static void put_plan(int64_t stop_time)
{
    char text[240];
    const char *plan = stop_time == 0 ? tr(M_NO_PLAN) : off_text(stop_time);
    int len = snprintf(text, sizeof text, "%s", plan);
    if (stop_time != 0)
        (void)snprintf(text + len, sizeof text - (size_t)len, tr(M_REMAINS),
            show_duration(stop_time - now() - MARGIN_S));
    put(0, text);
}

/* The plan comes first, unless two times make it fill a line of its own. */
static void print_plan(const entry *e)
{
    bool first = e->is.stop_time == 0 || width(off_text(e->is.stop_time)) < 40;
    put(18, e->is.uhost_id);
    put(language != 0 ? 8 : 12, shown_word(e->is.state));
    if (first) put_plan(e->is.stop_time);
    put_details(&e->is);
    if (!first) put_plan(e->is.stop_time);
    if (e->left_alone) put(0, tr(M_LEFT_ALONE));
    else if (e->changed && e->previous != 0 && e->previous != e->is.stop_time)
        put_form(M_WAS, local_time(e->previous));
    if (is_prepaid(e->is.charge_type) && e->is.stop_time != 0) put(0, tr(M_KEEPS_BILLING));
    end_line();
}

static void print_entry(const entry *e)
{
    if (as_json) {
        print_json(e);
    } else if (e->code == DONE) {
        print_plan(e);
    } else {
        (void)fflush(stdout);
        out(stderr, M_FAILED_LINE, e->is.uhost_id, e->error);
        (void)fputc('\n', stderr);
    }
}

/* Stopping has a consequence that is said once, below what goes off. */
static void note_release(void)
{
    if (as_json) return;
    out(stdout, M_GETS_RELEASED);
    (void)putchar('\n');
}

static int fail_entry(entry *e, int code, const char *text)
{
    e->code = code;
    (void)snprintf(e->error, sizeof e->error, "%s", text);
    return code;
}

/* What was asked for (0: no timed shutdown) was not shown: what is known, and what to type. */
static int doubt_entry(entry *e, int64_t wanted, bool accepted, int64_t shown)
{
    char asked[160], seen[160];
    const char *id = e->is.uhost_id;
    int len;
    e->code = UNCONFIRMED;
    (void)snprintf(asked, sizeof asked, "%s", wanted != 0 ? off_text(wanted) : tr(M_NO_PLAN));
    (void)snprintf(seen, sizeof seen, "%s", shown != 0 ? local_time(shown) : tr(M_NO_PLAN));
    len = snprintf(e->error, sizeof e->error, tr(M_DOUBT), asked,
        tr(accepted ? M_ACCEPTED : M_NOT_ANSWERED), seen, id);
    if ((size_t)len >= sizeof e->error) return UNCONFIRMED;
    if (wanted != 0)
        (void)snprintf(e->error + len, sizeof e->error - (size_t)len, tr(M_AGAIN), id,
            (long long)wanted, id);
    else (void)snprintf(e->error + len, sizeof e->error - (size_t)len, tr(M_CANCEL_AGAIN), id);
    return UNCONFIRMED;
}

