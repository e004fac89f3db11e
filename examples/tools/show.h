/* ---- show, audit ---- */

/* The texts named `member` in the objects of an array. */
static void reveal_each(compshare_value array, const char *member, const char *key)
{
    char text[2048];
    const char *comma = "";
    compshare_value at;
    if (as_json) { json_key(key); (void)putchar('['); }
    for (at = compshare_first(array); compshare_type(at) == COMPSHARE_OBJECT; at = compshare_next(at)) {
        if (compshare_copy_text(compshare_get(at, member), text, sizeof text) <= 0) continue;
        if (as_json) (void)fputs(comma, stdout);
        else (void)printf("    %s ", member);
        comma = ",";
        json_string(text);
        if (!as_json) (void)putchar('\n');
    }
    if (as_json) (void)putchar(']');
}

static void reveal(compshare_value element)
{
    static const char *const members[] = { "Password", "SshLoginCommand" }, *const keys[] = { "password", "ssh_login_command" };
    char text[512];
    size_t i;
    for (i = 0; i < COUNT(keys); i++) {
        if (compshare_copy_text(compshare_get(element, members[i]), text, sizeof text) < 0) text[0] = '\0';
        if (as_json) { json_known(keys[i], text); continue; }
        if (text[0] == '\0') continue;
        (void)printf("    %s ", members[i]);
        json_string(text);
        (void)putchar('\n');
    }
    reveal_each(compshare_get(element, "IPSet"), "IP", "ips");
    reveal_each(compshare_get(element, "Softwares"), "URL", "urls");
}

static bool runs_unplanned(const compshare_instance *i)
{
    return strcmp(i->state, "Running") == 0 && i->stop_time <= now() && !is_prepaid(i->charge_type) && !is_spot(i->charge_type);
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
    more = f->listed % 256 == 0 ? (uint64_t *)realloc(f->marks, (f->listed + 256) * sizeof *more) : f->marks;
    if (more == NULL) { f->no_memory = true; return false; }
    f->marks = more;
    more[f->listed++] = hash;
    return false;
}

static int show_instance(void *user, const compshare_instance *i, compshare_value element)
{
    fleet *f = (fleet *)user;
    entry e;
    bool audit = f->o->verb == AUDIT;
    size_t k;
    if (!is_named(f->o, i) || shown_before(f, i->uhost_id)) return 0;
    if (f->no_memory) return 1;
    for (k = 0; k < f->o->count; k++)
        if (strcmp(f->o->uhosts[k], i->uhost_id) == 0) f->entries[k].seen = true;
    f->found++;
    memset(&e, 0, sizeof e);
    e.is = *i;
    if (audit) {
        if (!runs_unplanned(i)) return 0;
        f->unplanned++;
        if (as_json) { print_json(&e); return 0; }
        put(18, e.is.uhost_id);
        put(0, tr(M_UNPLANNED));
        put_details(&e.is);
        end_line();
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
    bool narrowed = o->name_glob != NULL || config.region != NULL
        || config.zone != NULL || config.project_id != NULL;
    if (f->listed == 0 && narrowed && o->count == 0) return refuse_empty(o);
    if (f->listed == 0 && o->verb == SHOW && o->count == 0) say(M_NONE_MATCH, "");
    if (o->verb == AUDIT) say(M_AUDIT_TALLY, f->listed, f->unplanned);
    return f->unplanned > 0 ? FOUND : DONE;
}

static int show(const options *o)
{
    fleet f;
    size_t i;
    int code, status;
    memset(&f, 0, sizeof f);
    f.o = o;
    if (o->count > 0 && (f.entries = (entry *)calloc(o->count, sizeof *f.entries)) == NULL) return refuse(CONFIGURATION, M_NO_MEMORY);
    status = find_projects(&f, o->count == 0 ? config.project_id : o->project_id);
    if (status == COMPSHARE_OK) status = list_projects(&f, show_instance, &f);
    code = read_outcome(status);
    if (f.no_memory) code = refuse(CONFIGURATION, M_NO_MEMORY);
    else if (code != DONE) (void)refuse(code, M_FAILED, error_text());
    for (i = 0; i < o->count && code == DONE; i++) {
        entry *e = &f.entries[i];
        if (e->seen) continue;
        (void)snprintf(e->is.uhost_id, sizeof e->is.uhost_id, "%s", o->uhosts[i]);
        (void)fail_entry(e, UNSCHEDULABLE, tr(M_NOT_LISTED));
        print_entry(e);
    }
    for (i = 0; i < o->count; i++) code = graver(code, f.entries[i].code);
    if (code == DONE) code = audited(&f);
    free(f.entries);
    free(f.marks);
    free(f.projects);
    return code;
}

