/* ==== show ========================================================================

   Does:  show and audit: each instance as the lists show it, in bounded memory.
   May:   print, and what --reveal asks for.
   Never: changes anything; prints a password without --reveal. */

/* The texts named `member` in the objects of an array. */
static void reveal_each(compshare_value array, const char *member, const char *key)
{
    char text[2048];
    const char *comma = "";
    compshare_value at = compshare_first(array);
    if (as_json) json_word(key, "[");
    for (; compshare_type(at) == COMPSHARE_OBJECT; at = compshare_next(at)) {
        if (compshare_copy_text(compshare_get(at, member), text, sizeof text) <= 0) continue;
        if (as_json) (void)fputs(comma, stdout);
        else (void)printf("    %s ", member);
        comma = ",";
        json_string(text);
        if (!as_json) (void)putchar('\n');
    }
    if (as_json) (void)putchar(']');
}

static void reveal_text(compshare_value element, const char *member, const char *key)
{
    char text[512];
    if (compshare_copy_text(compshare_get(element, member), text, sizeof text) < 0) text[0] = '\0';
    if (as_json) {
        json_known(key, text);
    } else if (text[0] != '\0') {
        (void)printf("    %s ", member);
        json_string(text);
        (void)putchar('\n');
    }
}

static void reveal(compshare_value element)
{
    reveal_text(element, "Password", "password");
    reveal_text(element, "SshLoginCommand", "ssh_login_command");
    reveal_each(compshare_get(element, "IPSet"), "IP", "ips");
    reveal_each(compshare_get(element, "Softwares"), "URL", "urls");
}

static bool runs_unplanned(const compshare_instance *i)
{
    return is_running(i->state) && i->stop_time <= now() && !is_prepaid(i->charge_type)
        && !is_spot(i->charge_type);
}

/* A list that changes while it is read may show an instance twice: 63 bits of a hash
   (FNV-1a) tell. */
static bool shown_before(fleet *f, const char *id)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325), *more;
    size_t i;
    for (; *id != '\0'; id++) hash = (hash ^ (unsigned char)*id) * UINT64_C(0x100000001B3);
    for (i = 0; i < f->listed; i++)
        if (f->marks[i] == hash) return true;
    more = f->marks;
    if (f->listed % 256 == 0) more = (uint64_t *)realloc(more, (f->listed + 256) * sizeof *more);
    f->no_memory = f->no_memory || more == NULL;
    if (more == NULL) return false;
    f->marks = more;
    more[f->listed++] = hash;
    return false;
}

/* What audit has found. */
static void show_unplanned(fleet *f, const entry *e)
{
    f->unplanned++;
    if (as_json) {
        print_json(e);
        return;
    }
    put(18, e->is.uhost_id);
    put(0, tr(M_UNPLANNED));
    put_details(&e->is);
    end_line();
}

/* One instance of a list: shown at once, so that memory does not grow with the account. */
static int show_instance(void *user, const compshare_instance *i, compshare_value element)
{
    fleet *f = (fleet *)user;
    entry e;
    size_t k;
    if (!is_named(f->o, i) || shown_before(f, i->uhost_id)) return 0;
    if (f->no_memory) return 1;
    for (k = 0; k < f->o->which.count; k++)
        if (strcmp(f->o->which.ids[k], i->uhost_id) == 0) f->entries[k].seen = true;
    f->found++;
    memset(&e, 0, sizeof e);
    e.is = *i;
    if (f->o->common.verb == AUDIT) {
        if (runs_unplanned(i)) show_unplanned(f, &e);
        return 0;
    }
    if (f->o->reveal && as_json) reveal(element);
    print_entry(&e);
    if (f->o->reveal && !as_json) reveal(element);
    return 0;
}

/* What looked at nothing, for a misspelt word perhaps, has found nothing wrong, either. */
static int audited(const fleet *f)
{
    const options *o = f->o;
    bool narrowed = o->which.name_glob != NULL || config.region != NULL
        || config.zone != NULL || config.project_id != NULL;
    if (f->listed == 0 && narrowed && o->which.count == 0) return refuse_empty(o);
    if (f->listed == 0 && o->common.verb == SHOW && o->which.count == 0) say(M_NONE_MATCH, "");
    if (o->common.verb == AUDIT) say(M_AUDIT_TALLY, f->listed, f->unplanned);
    return f->unplanned > 0 ? FOUND : DONE;
}

/* What was named and was in no list. The gravest exit status. */
static int show_missing(fleet *f)
{
    const chosen *c = &f->o->which;
    size_t i;
    int code = DONE;
    for (i = 0; i < c->count; i++) {
        entry *e = &f->entries[i];
        if (!e->seen) {
            (void)snprintf(e->is.uhost_id, sizeof e->is.uhost_id, "%s", c->ids[i]);
            (void)fail_entry(e, UNSCHEDULABLE, tr(M_NOT_LISTED));
            print_entry(e);
        }
        code = graver(code, e->code);
    }
    return code;
}

static int show_fleet(fleet *f)
{
    const options *o = f->o;
    int code, status;
    if (o->which.count > 0) f->entries = (entry *)calloc(o->which.count, sizeof *f->entries);
    if (o->which.count > 0 && f->entries == NULL) return refuse(CONFIGURATION, M_NO_MEMORY);
    status = find_projects(f, o->which.count == 0 ? config.project_id : o->common.project_id);
    if (status == COMPSHARE_OK) status = list_projects(f, show_instance, f);
    if (f->no_memory) return refuse(CONFIGURATION, M_NO_MEMORY);
    if (status != COMPSHARE_OK) return refuse(read_outcome(status), M_FAILED, error_text());
    code = show_missing(f);
    return code == DONE ? audited(f) : code;
}

static int show(const options *o)
{
    fleet f;
    int code;
    memset(&f, 0, sizeof f);
    f.o = o;
    code = show_fleet(&f);
    free(f.entries);
    free(f.marks);
    free(f.projects);
    return code;
}
