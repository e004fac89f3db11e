/* ==== change ======================================================================

   Does:  set, extend and cancel: for one instance the library's workflow; for many one list
          that says what there is, one request each, and lists until all is shown.
   May:   change plans; ask on a terminal, and read the answer.
   Never: stops or starts an instance. */

/* What set asks for. */
static int64_t set_time(const wish *w)
{
    return w->at != 0 ? w->at : whole_minute(now() + MARGIN_S + w->in);
}

/* Why an instance that a list has shown cannot be set or extended: *text, of `cap` bytes.
   The library's workflow refuses the same, but with a reading for each. */
static bool refuses_change(const options *o, const entry *e, char *text, size_t cap)
{
    if (is_spot(e->is.charge_type))
        (void)snprintf(text, cap, "%s", tr(M_IS_SPOT));
    else if (!is_running(e->is.state))
        (void)snprintf(text, cap, tr(M_NOT_RUNNING), e->is.state);
    else if (o->common.verb == EXTEND && e->is.stop_time <= now())
        (void)snprintf(text, cap, "%s", tr(M_NOTHING_TO_EXTEND));
    else return false;
    return true;
}

/* Whether what set wants leaves the plan that there is as it is. */
static bool leaves_alone(const wish *w, int64_t current, int64_t wanted)
{
    return current != 0 && (w->if_none || (w->mode == COMPSHARE_ONLY_EXTEND && current >= wanted)
        || (w->mode == COMPSHARE_ONLY_SHORTEN && current <= wanted));
}

/* Whether an entry is to be changed, and to what. */
static bool decide(const options *o, entry *e)
{
    int64_t current = e->is.stop_time > now() ? e->is.stop_time : 0;
    char text[128];
    if (e->code != DONE) return false;
    if (o->common.verb == CANCEL) return true;
    if (refuses_change(o, e, text, sizeof text)) {
        (void)fail_entry(e, UNSCHEDULABLE, text);
        return false;
    }
    e->wanted = o->common.verb == EXTEND ? current + o->change.by : set_time(&o->change);
    e->left_alone = o->common.verb == SET && leaves_alone(&o->change, current, e->wanted);
    return !e->left_alone;
}

/* A change whose outcome is not known is left to the library's workflow, which knows what
   is a proof, and what may be sent again; so is one whose project is not known. */
static int settle_entry(entry *e, unsigned verb, bool unknown)
{
    compshare_schedule s;
    compshare_plan plan;
    int status;
    memset(&plan, 0, sizeof plan);
    plan.uhost_id = e->is.uhost_id;
    plan.at = e->wanted;
    /* the workflow would take what somebody else has set since for what stood before */
    if (unknown && compshare_schedule_get(client, plan.uhost_id, &s) == COMPSHARE_OK
        && s.stop_time != 0 && s.stop_time != e->previous && !is_same(s.stop_time, e->wanted)) {
        e->changed = true;
        return doubt_entry(e, e->wanted, false, s.stop_time);
    }
    status = verb == CANCEL ? compshare_schedule_cancel(client, plan.uhost_id, &s)
        : compshare_schedule_set(client, &plan, &s);
    if (status != COMPSHARE_OK && !unknown && outcome(status) != UNCONFIRMED)
        return fail_entry(e, outcome(status), error_text());
    e->changed = true;
    if (status != COMPSHARE_OK)
        return doubt_entry(e, e->wanted, s.accepted,
            s.state[0] != '\0' ? s.shown : e->is.stop_time);
    e->is.stop_time = s.stop_time;
    return DONE;
}

/* Where an entry's change is to be sent. Without a project: to the one of the environment. */
static compshare_target target_of(const fleet *f, const entry *e)
{
    compshare_target target = { NULL, NULL, NULL, NULL };
    target.uhost_id = e->is.uhost_id;
    target.region = e->is.region;
    target.zone = e->is.zone;
    target.project_id = f->projects[e->project].project;
    if (target.project_id[0] == '\0' && config.project_id == NULL)
        target.project_id = or_empty(from_environment("COMPSHARE_PROJECT_ID"));
    return target;
}

/* One request. What it leaves unknown, and what has no project, is the workflow's. */
static void change_entry(const fleet *f, entry *e)
{
    compshare_target target = target_of(f, e);
    unsigned verb = f->o->common.verb;
    int status;
    trace_change(e->is.uhost_id, e->wanted);
    if (target.project_id[0] == '\0') {
        (void)settle_entry(e, verb, false);
        return;
    }
    if (verb == CANCEL) status = compshare_delete_stop_scheduler(client, &target);
    else status = compshare_update_stop_scheduler(client, &target, e->wanted);
    e->pending = e->changed = status == COMPSHARE_OK;
    if (status == COMPSHARE_OK) return;
    if (outcome(status) == UNCONFIRMED) (void)settle_entry(e, verb, true);
    else (void)fail_entry(e, outcome(status), error_text());
}

static size_t count_pending(const fleet *f)
{
    size_t i, n = 0;
    for (i = 0; i < f->count; i++) n += f->entries[i].pending;
    return n;
}

/* Lists until every change is shown, or until a time. */
static void await_fleet(fleet *f, uint64_t until)
{
    int pause = 250;
    f->confirming = true;
    while (count_pending(f) > 0) {
        (void)list_projects(f, list_entry, f);
        if (count_pending(f) == 0 || monotonic_ms(NULL) + (uint64_t)pause >= until) break;
        (void)poll(NULL, 0, pause);
        if (pause < 4000) pause *= 2;
    }
}

/* What the API accepts and does not do may need another form, which the library's workflow
   finds: of those that are not shown it gets one, and where that helps, all that a list does
   not show by then. */
static void reform_fleet(fleet *f)
{
    size_t i, done = 0;
    for (i = 0; i < f->count && f->o->common.verb != CANCEL; i++) {
        entry *e = &f->entries[i];
        if (!e->pending || e->is.stop_time != e->previous) continue;
        e->pending = false;
        if (settle_entry(e, f->o->common.verb, true) != DONE) break;
        if (done++ == 0) (void)list_projects(f, list_entry, f);
    }
}

/* Until every change is shown, for as long as a call may take, and one more. */
static void confirm_fleet(fleet *f)
{
    uint64_t began = monotonic_ms(NULL);
    size_t i;
    await_fleet(f, began + config.timeout_ms / 2);
    if (count_pending(f) > 0) reform_fleet(f);
    if (count_pending(f) > 0) await_fleet(f, began + config.timeout_ms);
    for (i = 0; i < f->count; i++) {
        entry *e = &f->entries[i];
        if (e->pending) (void)doubt_entry(e, e->wanted, true, e->is.stop_time);
    }
}

/* What has become of each, and of all of them. The gravest exit status. */
static int report_fleet(fleet *f)
{
    size_t i, failed = 0;
    int code = DONE;
    bool stopping = false;
    for (i = 0; i < f->count; i++) {
        entry *e = &f->entries[i];
        print_entry(e);
        failed += e->code != DONE;
        stopping = stopping || (e->code == DONE && e->is.stop_time != 0);
        code = graver(code, e->code);
    }
    if (f->count == 0) say(M_NOTHING_TO_DO, f->matched);
    if (f->prepaid > 0) say(M_PREPAID_LEFT, f->prepaid);
    if (f->count > 1) say(M_TALLY, f->count - failed, failed);
    if (stopping) note_release();
    return code;
}

/* The first character of a line from standard input, all of which is read. */
static bool read_line(char *first)
{
    char c = '\0';
    *first = '\0';
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        if (*first == '\0') *first = c;
    return c == '\n';
}

/* The answer to a question that stands on the terminal. */
static int answered(void)
{
    char answer;
    bool yes = read_line(&answer) && (answer == 'y' || answer == 'Y');
    return yes ? DONE : refuse(USAGE, M_NOTHING_CHANGED);
}

/* What makes many instances bill on, or takes them from somebody's work, is asked for on a
   terminal; elsewhere it needs --yes. */
static int confirm_many(const fleet *f)
{
    const options *o = f->o;
    size_t i, n = 0;
    bool cancels = o->common.verb == CANCEL;
    bool soon = o->common.verb == SET
        && (o->change.in != 0 ? o->change.in < 3600 : o->change.at < now() + 3600);
    for (i = 0; i < f->count; i++) n += f->entries[i].wanting;
    if (o->change.yes || n == 0 || !(cancels ? o->which.all : soon && n > 1)) return DONE;
    if (!isatty(STDIN_FILENO)) return refuse(USAGE, cancels ? M_CANCEL_YES : M_SOON_YES, n);
    out(stderr, cancels ? M_CANCEL_ALL_SURE : M_SOON_SURE, n);
    return answered();
}

/* Lists, decides, asks, changes, and lists until all is shown. */
static int change_fleet(fleet *f)
{
    const options *o = f->o;
    size_t i;
    int code, status = find_projects(f, o->common.project_id);
    if (status == COMPSHARE_OK) status = list_projects(f, list_entry, f);
    if (f->no_memory || !add_missing(f)) return refuse(CONFIGURATION, M_NO_MEMORY);
    if (status != COMPSHARE_OK) return refuse(read_outcome(status), M_FAILED, error_text());
    if (o->which.all && f->matched == 0) return refuse_empty(o);
    for (i = 0; i < f->count; i++) f->entries[i].wanting = decide(o, &f->entries[i]);
    if ((code = confirm_many(f)) != DONE) return code;
    for (i = 0; i < f->count; i++)
        if (f->entries[i].wanting) change_entry(f, &f->entries[i]);
    confirm_fleet(f);
    return report_fleet(f);
}

static int change_many(const options *o)
{
    fleet f;
    int code;
    memset(&f, 0, sizeof f);
    f.o = o;
    code = change_fleet(&f);
    free(f.entries);
    free(f.projects);
    return code;
}

/* ---- one instance: the library's workflow ---- */

static void take_schedule(entry *e, const compshare_schedule *s)
{
    memcpy(e->is.state, s->state, sizeof e->is.state);
    memcpy(e->is.charge_type, s->charge_type, sizeof e->is.charge_type);
    memcpy(e->is.zone, s->zone, sizeof e->is.zone);
    e->is.stop_time = s->stop_time;
    e->previous = s->previous;
    e->changed = s->changed;
}

/* A reading first, where the options need one: it tells the server's time as well. */
static int read_one(const options *o, compshare_schedule *s)
{
    int status, tries = 0;
    if (!o->change.if_none && o->change.in == 0) return COMPSHARE_OK;
    do status = compshare_schedule_get(client, o->which.ids[0], s);
    while (status != COMPSHARE_OK && try_again(status, false, &tries));
    return status;
}

/* plan->at is what to set; the other verbs do without. */
static int send_one(const options *o, const compshare_plan *plan, compshare_schedule *s)
{
    unsigned verb = o->common.verb;
    bool seen = s->state[0] != '\0';
    int status, tries = 0;
    trace_change(plan->uhost_id, verb == EXTEND ? -1 : plan->at);
    do {
        if (verb == SET) status = compshare_schedule_set(client, plan, s);
        else if (verb == CANCEL) status = compshare_schedule_cancel(client, plan->uhost_id, s);
        else status = compshare_schedule_extend(client, plan->uhost_id, o->change.by, s);
    } while (status != COMPSHARE_OK && try_again(status, seen, &tries));
    return status;
}

/* The whole of set, extend or cancel for one instance. The exit status. */
static int change_one(const options *o)
{
    compshare_schedule s;
    compshare_plan plan;
    entry e;
    int status;
    memset(&e, 0, sizeof e);
    memset(&plan, 0, sizeof plan);
    memset(&s, 0, sizeof s);
    (void)snprintf(e.is.uhost_id, sizeof e.is.uhost_id, "%s", o->which.ids[0]);
    plan.uhost_id = o->which.ids[0];
    plan.mode = o->change.mode;
    status = read_one(o, &s);
    if (o->common.verb == SET) plan.at = set_time(&o->change);
    if (status == COMPSHARE_OK && !(o->change.if_none && s.stop_time > now()))
        status = send_one(o, &plan, &s);
    check_clock();
    take_schedule(&e, &s);
    e.left_alone = o->common.verb == SET && status == COMPSHARE_OK && !s.changed;
    if (status != COMPSHARE_OK && outcome(status) == UNCONFIRMED
        && (o->common.verb == CANCEL || s.requested != 0))
        (void)doubt_entry(&e, s.requested, s.accepted, s.shown);
    else if (status != COMPSHARE_OK)
        (void)fail_entry(&e, outcome(status), error_text());
    print_entry(&e);
    if (e.code == DONE && e.is.stop_time != 0) note_release();
    return e.code;
}

/* Cancelling makes an instance bill on: it is asked for twice, or with --yes. */
static int confirm_cancel(const options *o)
{
    size_t i;
    int code = DONE;
    if (o->change.yes || o->which.all) return DONE;      /* how many there are is not known yet */
    if (!isatty(STDIN_FILENO) && o->which.count == 1) return DONE;
    if (!isatty(STDIN_FILENO)) return refuse(USAGE, M_CANCEL_YES, o->which.count);
    for (i = 0; i < o->which.count && code == DONE; i++) {
        out(stderr, M_CANCEL_SURE, o->which.ids[i]);
        code = answered();
    }
    return code;
}

static int change(const options *o)
{
    int code = o->common.verb == CANCEL ? confirm_cancel(o) : DONE;
    if (code != DONE) return code;
    return o->which.count == 1 ? change_one(o) : change_many(o);
}

