/* ==== fleet =======================================================================

   Does:  lists the instances of an account, in all its projects, and picks those that the
          options mean.
   May:   read from the API; allocate; pause before it reads again.
   Never: changes an instance. */

/* Where to look: a project, "" for what the API takes by itself. */
typedef struct place { char project[64]; bool empty; } place;

typedef struct fleet {
    const options *o;
    entry *entries;
    size_t count, listed, unplanned;
    size_t matched, prepaid;    /* what the options mean, and what of it was left out as prepaid */
    uint64_t *marks;            /* of the instances that were shown */
    bool confirming, no_memory;
    place *projects;
    size_t project_count, at, found;
} fleet;

static bool named(const options *o, const char *id)
{
    size_t i;
    for (i = 0; i < o->which.count; i++)
        if (strcmp(o->which.ids[i], id) == 0) return true;
    return false;
}

static entry *find_entry(fleet *f, const char *id)
{
    size_t i;
    for (i = 0; i < f->count; i++)
        if (strcmp(f->entries[i].is.uhost_id, id) == 0) return &f->entries[i];
    return NULL;
}

static entry *add_entry(fleet *f)
{
    entry *more = f->entries;
    if (f->count % 64 == 0) more = (entry *)realloc(more, (f->count + 64) * sizeof *more);
    f->no_memory = f->no_memory || more == NULL;
    if (more == NULL) return NULL;
    f->entries = more;
    memset(&more[f->count], 0, sizeof *more);
    return &more[f->count++];
}

/* Whether a name is what a pattern says: * stands for any text, ? for one character. */
static bool matches(const char *pattern, const char *name)
{
    const char *star = NULL, *again = name;     /* where the last * goes on, one byte later */
    while (*name != '\0' || *pattern != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            again = name;
        } else if (*name != '\0' && (*pattern == '?' || *pattern == *name)) {
            int n = *pattern++ == '?' ? character((const unsigned char *)name) : 1;
            name += n > 0 ? n : 1;
        } else {
            if (star == NULL || *again == '\0') return false;
            pattern = star;
            name = ++again;
        }
    }
    return true;
}

static void confirm_entry(entry *e, const compshare_instance *i)
{
    if (e == NULL || !e->pending) return;
    memcpy(e->is.state, i->state, sizeof e->is.state);
    e->is.stop_time = i->stop_time;
    if (e->wanted != 0 ? is_same(i->stop_time, e->wanted) : i->stop_time <= now())
        e->pending = false;
}

/* Of all instances those that the verb has something to do with: nothing has to be
   switched off that does not run, nothing can be moved that is not there. */
static bool concerns(fleet *f, const compshare_instance *i)
{
    bool planned = i->stop_time > now();
    f->matched++;
    if (f->o->common.verb == CANCEL) return planned;
    if (!is_running(i->state) || is_spot(i->charge_type)) return false;
    if (f->o->common.verb == EXTEND) return planned;
    if (!is_prepaid(i->charge_type) || f->o->lease.prepaid_ok) return true;
    f->prepaid++;
    return false;
}

static bool is_named(const options *o, const compshare_instance *i)
{
    if (o->which.count > 0) return named(o, i->uhost_id);
    return o->which.name_glob == NULL || matches(o->which.name_glob, i->name);
}

/* Takes an instance of a list into the fleet if the options mean it. */
static int list_entry(void *user, const compshare_instance *i, compshare_value element)
{
    fleet *f = (fleet *)user;
    entry *e = find_entry(f, i->uhost_id);      /* a list that changes may show one twice */
    (void)element;
    if (f->confirming) {
        confirm_entry(e, i);
        return 0;
    }
    if (!is_named(f->o, i) || (e == NULL && f->o->which.all && !concerns(f, i))) return 0;
    if (e == NULL && (e = add_entry(f)) == NULL) return 1;
    f->found += e->is.uhost_id[0] == '\0';
    e->is = *i;
    e->previous = i->stop_time;
    e->project = f->at;
    return 0;
}

/* What was named and is not there becomes a failed entry. */
static bool add_missing(fleet *f)
{
    size_t i;
    for (i = 0; i < f->o->which.count; i++) {
        entry *e = find_entry(f, f->o->which.ids[i]);
        if (e != NULL) continue;
        if ((e = add_entry(f)) == NULL) return false;
        (void)snprintf(e->is.uhost_id, sizeof e->is.uhost_id, "%s", f->o->which.ids[i]);
        (void)fail_entry(e, UNSCHEDULABLE, tr(M_NOT_LISTED));
    }
    return true;
}

/* A list is narrowed by --zone; an instance that is named is found wherever it is. */
static compshare_target list_filter(const options *o)
{
    static char region[64];
    compshare_target filter = { NULL, NULL, NULL, NULL };
    const char *dash = config.zone != NULL ? strrchr(config.zone, '-') : NULL;
    if (o->which.count > 0) return filter;
    filter.zone = config.zone;
    if (config.region != NULL || dash == NULL) return filter;
    /* the API wants both */
    (void)snprintf(region, sizeof region, "%.*s", (int)(dash - config.zone), config.zone);
    filter.region = region;
    return filter;
}

static int keep_project(void *user, const compshare_project *p)
{
    fleet *f = (fleet *)user;
    place *more = (place *)realloc(f->projects, (f->project_count + 1) * sizeof *more);
    f->no_memory = f->no_memory || more == NULL;
    if (more == NULL) return 1;
    f->projects = more;
    more += f->project_count++;
    memset(more, 0, sizeof *more);
    (void)snprintf(more->project, sizeof more->project, "%s", p != NULL ? p->project_id : "");
    return 0;
}

/* The one project that was given, else all of the account's. Who may not list them (299)
   is shown those of the project that the API takes. */
static int find_projects(fleet *f, const char *given)
{
    compshare_project one;
    int status;
    memset(&one, 0, sizeof one);
    if (given != NULL) {
        int len = snprintf(one.project_id, sizeof one.project_id, "%s", given);
        if (len >= (int)sizeof one.project_id) return COMPSHARE_E_PARAM;
        return keep_project(f, &one) == 0 ? COMPSHARE_OK : COMPSHARE_E_MEMORY;
    }
    status = compshare_get_project_list(client, NULL, keep_project, f);
    if (status == COMPSHARE_E_API && compshare_last_error(client)->ret_code == 299)
        status = COMPSHARE_OK;
    if (status == COMPSHARE_OK && f->project_count == 0) (void)keep_project(f, NULL);
    return status;
}

static bool awaited(const fleet *f, size_t project)
{
    size_t i;
    for (i = 0; i < f->count; i++)
        if (f->entries[i].pending && f->entries[i].project == project) return true;
    return false;
}

/* Counts what a list shows. */
typedef struct listener { compshare_instance_fn each; void *user; size_t heard; } listener;

static int listen_to(void *user, const compshare_instance *i, compshare_value element)
{
    listener *l = (listener *)user;
    l->heard++;
    return l->each(l->user, i, element);
}

/* Whether a project need not be listed: all that was named is found, or all that is awaited
   is elsewhere. */
static bool passed_over(const fleet *f, bool again)
{
    if (f->confirming) return !awaited(f, f->at);
    return (again && !f->projects[f->at].empty)
        || (f->o->which.count > 0 && f->found >= f->o->which.count);
}

/* Each project's list, once; again: only of those whose list was empty. */
static int list_once(fleet *f, listener *l, bool again)
{
    compshare_target filter = list_filter(f->o);
    int status = COMPSHARE_OK, tries = 0;
    for (f->at = 0; f->at < f->project_count && status == COMPSHARE_OK; f->at++) {
        size_t before = l->heard;
        if (passed_over(f, again)) continue;
        filter.project_id = f->projects[f->at].project;
        do status = compshare_each_instance(client, &filter, listen_to, l);
        while (status != COMPSHARE_OK && try_again(status, false, &tries));
        f->projects[f->at].empty = l->heard == before;
    }
    return status;
}

/* The lists of the projects. A list may be empty for a moment: that something is not there
   is believed once those that were empty have been so again. */
static int list_projects(fleet *f, compshare_instance_fn each, void *user)
{
    listener l = { each, user, 0 };
    int status = list_once(f, &l, false);
    bool missed = f->o->which.count > 0 ? f->found < f->o->which.count : l.heard == 0;
    if (status == COMPSHARE_OK && missed && !f->confirming) {
        (void)poll(NULL, 0, 1000);
        status = list_once(f, &l, true);
    }
    check_clock();
    return f->no_memory ? COMPSHARE_E_MEMORY : status;
}

/* Nothing is what the options say: most likely one of them is misspelt. */
static int refuse_empty(const options *o)
{
    const char *const given[] = {
        o->which.name_glob, config.region, config.zone, config.project_id
    };
    static const char *const names[] = { " --name ", " --region ", " --zone ", " --project-id " };
    char text[320] = "";
    size_t i, len = 0;
    for (i = 0; i < COUNT(given) && len < sizeof text; i++)
        if (given[i] != NULL)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", names[i], given[i]);
    return refuse(UNSCHEDULABLE, M_NONE_MATCH, text);
}

