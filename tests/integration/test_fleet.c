/* Whole fleets: what compshare_each_instance delivers, in how little memory, and
   while instances come and go between its pages. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "harness.h"
#include "calls.h"
#include "transport.h"

#define FLEET 5000
#define PAGE 100
#define PAGES_MAX 1000  /* more than any list here takes */
static harness_process gateway, small_gateway;
static harness_client h;
static shim s;

static int start(void **state)
{
    static const char *const args[] = { "--option", "record_cap=4096", NULL };
    (void)state;
    gateway = harness_gateway("rsa", NULL);
    small_gateway = harness_gateway("rsa", args);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    harness_stop(&gateway);
    harness_stop(&small_gateway);
    return 0;
}

/* ---- the fleet as the test knows it ---- */

/* Instances have numbers, which their ids hold, and places, which are their order in
   the list; both count from 1. */
static struct fleet {
    size_t size, last;              /* last: the number delivered last, 0 before the first */
    bool newest_first;
    bool here[FLEET + 1], told[FLEET + 1];  /* what is to be, and what the gateway knows */
    bool steady[FLEET + 1];         /* there from the first page to the last */
    unsigned seen[FLEET + 1];
    unsigned pages;                 /* replies that came */
    bool between;                   /* one came, and the next request is still to go */
    void (*change)(void);           /* called then */
} f;

static size_t number_at(size_t place) { return f.newest_first ? f.size + 1 - place : place; }
static size_t last_place(void) { return number_at(f.last); }   /* it is its own inverse */

static void put(size_t place, bool here)
{
    size_t n = number_at(place);
    f.here[n] = here;
    if (!here) f.steady[n] = false;
}

/* Up to count instances between two places, both included, from the first towards the
   second: those that are gone appear, or those that are there go. */
static void put_some(size_t count, size_t from, size_t to, bool here)
{
    size_t place = from;
    if (from < 1 || to < 1 || from > f.size || to > f.size) return;
    for (; count > 0; place += from <= to ? 1u : (size_t)-1) {
        if (f.here[number_at(place)] != here) {
            put(place, here);
            count--;
        }
        if (place == to) return;
    }
}

/* Adds "&name=1-50,77": the numbers where the gateway has to be told so. */
static size_t tell(char *query, size_t len, size_t cap, const char *name, bool here)
{
    const char *before = "";
    size_t n, first;
    for (n = 1; n <= f.size; n++) {
        int wrote;
        if (f.here[n] != here || f.told[n] == here) continue;
        for (first = n; n < f.size && f.here[n + 1] == here && f.told[n + 1] != here; n++) {}
        if (*before == '\0') wrote = snprintf(query + len, cap - len, "&%s=%zu-%zu", name, first, n);
        else wrote = snprintf(query + len, cap - len, first == n ? ",%zu" : ",%zu-%zu", first, n);
        assert_true(wrote > 0 && (size_t)wrote < cap - len);
        len += (size_t)wrote;
        before = ",";
    }
    return len;
}

static void tell_gateway(void)
{
    char query[HARNESS_QUERY - 16];
    size_t len = tell(query, 0, sizeof query, "remove", false);
    len = tell(query, len, sizeof query, "restore", true);
    if (len == 0) return;
    harness_set(&gateway, query + 1);
    memcpy(f.told, f.here, sizeof f.told);
}

/* A new fleet, everything there. Whoever removes some tells the gateway before the list
   is read. */
static void fleet_make(const harness_process *g, size_t size, bool newest_first, const char *more)
{
    char query[256];
    size_t n;
    assert_true(size <= FLEET);
    memset(&f, 0, sizeof f);
    f.size = size;
    f.newest_first = newest_first;
    for (n = 1; n <= size; n++) f.here[n] = f.told[n] = f.steady[n] = true;
    snprintf(query, sizeof query,
        "instances=%zu&order=%s&total_name=TotalCount&total_extra=0&null_lists=0&ignore_offset=0%s", size, newest_first
        ? "newest_first" : "oldest_first", more);
    harness_set(g, query);
}

static void on_trace(void *user, const char *line)
{
    (void)user;
    if (strstr(line, "HTTP status 200") == NULL) return;
    f.between = true;
    if (++f.pages > PAGES_MAX) fail_msg("the list has no end");
}

/* By now the page before has been delivered whole, and the gateway knows nothing of the
   next request. */
static ptrdiff_t on_send(void *user, const void *src, size_t len)
{
    if (f.between) {
        f.between = false;
        if (f.change != NULL) {
            f.change();
            tell_gateway();
        }
    }
    return shim_send(user, src, len);
}

static int on_instance(void *user, const compshare_instance *i, compshare_value element)
{
    unsigned long n = strtoul(i->uhost_id + 6, NULL, 10);
    char id[64];
    (void)user;
    assert_true(n >= 1 && n <= f.size);
    assert_true(compshare_copy_text(compshare_get(element, "UHostId"), id, sizeof id) > 0);
    assert_string_equal(id, i->uhost_id);
    f.seen[n]++;
    f.last = (size_t)n;
    return 0;
}

/* A pause only moves the client's clock. */
static int on_wait(void *user, unsigned want, uint32_t timeout_ms)
{
    if (want != 0) return shim_wait(user, want, timeout_ms);
    h.clock.ms += timeout_ms;
    return COMPSHARE_OK;
}

static int step_list(int started)
{
    int r = started;
    if (r != COMPSHARE_OK) return r;
    while ((r = compshare_step(h.client)) == COMPSHARE_PENDING)
        if (compshare_timeout_ms(h.client) > 0)
            (void)on_wait(&s, compshare_wants(h.client), compshare_timeout_ms(h.client));
    return r;
}

static int list(bool stepped)
{
    memset(f.seen, 0, sizeof f.seen);
    f.last = f.pages = 0;
    f.between = false;
    if (stepped) return step_list(compshare_each_instance_start(h.client, NULL, on_instance, NULL));
    return compshare_each_instance(h.client, NULL, on_instance, NULL);
}

/* What the manual promises; returns how many were seen again. */
static unsigned check_seen(const char *words)
{
    unsigned again = 0;
    size_t n;
    for (n = 1; n <= f.size; n++) {
        if (f.steady[n] && f.seen[n] == 0)
            fail_msg("%s: instance %u of %u was there all the time and is missing", words, (unsigned)n,
                (unsigned)f.size);
        if (f.seen[n] > 1) again += f.seen[n] - 1;
    }
    return again;
}

static void expect_each_once(const char *words)
{
    size_t n;
    assert_int_equal(check_seen(words), 0);
    for (n = 1; n <= f.size; n++)
        if (f.seen[n] != f.here[n]) fail_msg("%s: instance %u was seen %u times", words, (unsigned)n, f.seen[n]);
}

static void configure(const harness_process *g)
{
    harness_configure(&h, g->port);
    h.config.timeout_ms = 300000;   /* nothing here is about time */
}

static int fresh(void **state)
{
    (void)state;
    harness_reset(&gateway);
    harness_reset(&small_gateway);
    memset(&f, 0, sizeof f);
    configure(&gateway);
    shim_insert(&s, &h);
    s.io.send = on_send;
    s.io.wait = on_wait;
    h.config.trace = on_trace;
    harness_open(&h);
    return 0;
}

static int done(void **state)
{
    (void)state;
    harness_close(&h);
    return 0;
}

/* ---- large fleets in little memory ---- */

/* Pages begin with the last element of the one before. */
/* A list ends with a page that brings nothing new; an empty one is looked at twice. */
static unsigned pages_of(size_t size) { return size == 0 ? 2 : size == 1 ? 1
    : (unsigned)((size - 2) / (PAGE - 1)) + 2; }

static void list_in(const harness_process *g, size_t memory_size, unsigned flags, bool stepped)
{
    char words[64];
    harness_close(&h);
    harness_reset(g);
    configure(g);
    h.config.flags = flags;
    h.config.memory_size = memory_size;
    harness_open(&h);
    fleet_make(g, FLEET, false, "");
    snprintf(words, sizeof words, "%u bytes, %s", (unsigned)memory_size, stepped ? "stepped" : "blocking");
    harness_expect(&h, list(stepped), COMPSHARE_OK);
    expect_each_once(words);
    expect_requested(g, DESCRIBE, pages_of(FLEET));
    expect_count(g, "requests", pages_of(FLEET));
    expect_count(g, "connections", 1);
    expect_count(g, "handshakes_full", 1);
    expect_count(g, "handshakes_resumed", 0);
}

static void five_thousand(void **state)
{
    size_t needed = compshare_memory_needed(&h.config);
    (void)state;
    assert_true(pages_of(FLEET) <= 53);
    assert_true(needed <= 40960);
    list_in(&gateway, COMPSHARE_MEMORY, 0, false);
    list_in(&gateway, COMPSHARE_MEMORY, 0, true);
    list_in(&gateway, needed, 0, false);
    list_in(&gateway, needed, 0, true);
}

static void five_thousand_with_small_records(void **state)
{
    (void)state;
    h.config.flags = COMPSHARE_SMALL_RECORDS;
    assert_true(compshare_memory_needed(&h.config) <= 28672);
    list_in(&small_gateway, compshare_memory_needed(&h.config), COMPSHARE_SMALL_RECORDS, false);
    list_in(&small_gateway, compshare_memory_needed(&h.config), COMPSHARE_SMALL_RECORDS, true);
}

/* ---- what the reply says of its length ---- */

static const size_t sizes[] = { 0, 1, 2, 99, 100, 101, 198, 199, 200, 250 };

/* Whatever the total is called: it does not decide. */
static void totals(void **state)
{
    static const char *const options[] = { "&brief=1&total_name=TotalCount", "&brief=1&total_name=Total",
        "&brief=1&total_name=absent", "&brief=1&total_name=absent&null_lists=1", "&brief=1&null_lists=1" };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT(options); i++)
        for (k = 0; k < 2 * COUNT(sizes); k++) {
            size_t size = sizes[k / 2];
            fleet_make(&gateway, size, k % 2, options[i]);
            harness_expect(&h, list(k % 2), COMPSHARE_OK);
            expect_each_once(options[i]);
            assert_int_equal(f.pages, pages_of(size));
        }
    expect_count(&gateway, "connections", 1);
}

/* It may count what is not shown. */
static void totals_that_are_wrong(void **state)
{
    static const long extra[] = { 1, 100, 2147483647 };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT(extra); i++)
        for (k = 0; k < 4 * COUNT(sizes); k++) {
            char more[96];
            snprintf(more, sizeof more, "&brief=1&total_extra=%ld&null_lists=%d&total_name=%s", extra[i], (int)(k % 2),
                k & 2 ? "Total" : "TotalCount");
            fleet_make(&gateway, sizes[k / 4], false, more);
            harness_expect(&h, list(k % 2 != 0), COMPSHARE_OK);
            expect_each_once(more);
            assert_true(f.pages <= pages_of(f.size) + 2);
        }
}

/* The first page over and over is no list, whatever it says of its length. */
static void offset_ignored(void **state)
{
    static const size_t fleets[] = { 101, 150, 199, 200, 250, 1000 };
    static const char *const names[] = { "TotalCount", "Total", "absent" };
    size_t i, k;
    (void)state;
    for (i = 0; i < COUNT(fleets); i++)
        for (k = 0; k < COUNT(names); k++) {
            char more[96];
            snprintf(more, sizeof more, "&brief=1&ignore_offset=1&total_name=%s", names[k]);
            fleet_make(&gateway, fleets[i], false, more);
            expect_failure(&h, list(false), COMPSHARE_E_REPLY, COMPSHARE_STAGE_JUDGE, false);
            assert_true(f.pages < 50);
        }
}

/* ---- a fleet that changes ---- */

/* One change between two pages. Near is just before the element delivered last, far is
   the front of the list. */
typedef struct change {
    const char *words;
    size_t gone_far, gone_near, new_far, new_near;
    size_t gone_last;               /* the last elements delivered */
    size_t gone_after, new_after;
} change;

#define ALL FLEET
#define SEEDS 80
#define RESTLESS 12     /* pages of which each is followed by a change */

static const change changes[] = {
    { "1 before goes", 0, 1, 0, 0, 0, 0, 0 },
    { "2 before go", 0, 2, 0, 0, 0, 0, 0 },
    { "50 before go", 0, 50, 0, 0, 0, 0, 0 },
    { "all but the last go", 0, ALL, 0, 0, 0, 0, 0 },
    { "1 at the front goes", 1, 0, 0, 0, 0, 0, 0 },
    { "2 at the front go", 2, 0, 0, 0, 0, 0, 0 },
    { "50 at the front go", 50, 0, 0, 0, 0, 0, 0 },
    { "99 at the front go", 99, 0, 0, 0, 0, 0, 0 },
    { "100 at the front go", 100, 0, 0, 0, 0, 0, 0 },
    { "101 at the front go", 101, 0, 0, 0, 0, 0, 0 },
    { "150 at the front go", 150, 0, 0, 0, 0, 0, 0 },
    { "1 appears at the front", 0, 0, 1, 0, 0, 0, 0 },
    { "2 appear at the front", 0, 0, 2, 0, 0, 0, 0 },
    { "50 appear at the front", 0, 0, 50, 0, 0, 0, 0 },
    { "95 appear at the front", 0, 0, 95, 0, 0, 0, 0 },
    { "98 appear at the front", 0, 0, 98, 0, 0, 0, 0 },
    { "99 appear at the front", 0, 0, 99, 0, 0, 0, 0 },
    { "100 appear at the front", 0, 0, 100, 0, 0, 0, 0 },
    { "101 appear at the front", 0, 0, 101, 0, 0, 0, 0 },
    { "150 appear at the front", 0, 0, 150, 0, 0, 0, 0 },
    { "1 appears before", 0, 0, 0, 1, 0, 0, 0 },
    { "50 appear before", 0, 0, 0, 50, 0, 0, 0 },
    { "98 appear before", 0, 0, 0, 98, 0, 0, 0 },
    { "99 appear before", 0, 0, 0, 99, 0, 0, 0 },
    { "150 appear before", 0, 0, 0, 150, 0, 0, 0 },
    { "1 goes, 1 appears", 1, 0, 0, 1, 0, 0, 0 },
    { "50 go, 20 appear", 50, 0, 0, 20, 0, 0, 0 },
    { "20 go, 90 appear", 0, 20, 90, 0, 0, 0, 0 },
    { "the last goes", 0, 0, 0, 0, 1, 0, 0 },
    { "the last 2 go", 0, 0, 0, 0, 2, 0, 0 },
    { "the last 3 go", 0, 0, 0, 0, 3, 0, 0 },
    { "the last 4 go", 0, 0, 0, 0, 4, 0, 0 },
    { "the last 5 go", 0, 0, 0, 0, 5, 0, 0 },
    { "the last page goes", 0, 0, 0, 0, PAGE, 0, 0 },
    { "all that was delivered goes", 0, 0, 0, 0, ALL, 0, 0 },
    { "the last goes, 1 appears there", 0, 0, 0, 1, 1, 0, 0 },
    { "the last and 50 at the front go", 50, 0, 0, 0, 1, 0, 0 },
    { "the last goes, 50 appear at the front", 0, 0, 50, 0, 1, 0, 0 },
    { "the last goes, 98 appear before", 0, 0, 98, 0, 1, 0, 0 },
    { "1 behind goes", 0, 0, 0, 0, 0, 1, 0 },
    { "50 behind go", 0, 0, 0, 0, 0, 50, 0 },
    { "150 behind go", 0, 0, 0, 0, 0, 150, 0 },
    { "all behind goes", 0, 0, 0, 0, 0, ALL, 0 },
    { "1 appears behind", 0, 0, 0, 0, 0, 0, 1 },
    { "150 appear behind", 0, 0, 0, 0, 0, 0, 150 },
    { "the last and all behind go", 0, 0, 0, 0, 1, ALL, 0 },
    { "everything goes", ALL, 0, 0, 0, ALL, ALL, 0 },
    { "everything goes but the last", 0, ALL, 0, 0, 0, ALL, 0 },
    { "everything appears", 0, 0, ALL, 0, 0, 0, ALL },
    { "everything is replaced", ALL, 0, ALL, 0, ALL, ALL, ALL }
};

static const change *now;
static unsigned change_first, change_last;  /* after which pages */

/* Those that are to appear are chosen among those that were gone before anything else
   changed: an instance that goes and comes back is another matter. */
static void make_change(void)
{
    bool was[FLEET + 1];
    size_t place = last_place(), n;
    if (f.last == 0 || f.pages < change_first || f.pages > change_last) return;
    memcpy(was, f.here, sizeof was);
    put_some(now->new_far, 1, place - 1, true);
    put_some(now->new_near, place - 1, 1, true);
    put_some(now->new_after, place + 1, f.size, true);
    for (n = 1; n <= f.size; n++) {     /* what has just appeared stays */
        bool fresh = f.here[n] && !was[n];
        was[n] = fresh;
        if (fresh) f.here[n] = false;
    }
    put_some(now->gone_last, place, 1, false);
    put_some(now->gone_far, 1, place - 1, false);
    put_some(now->gone_near, place - 1, 1, false);
    put_some(now->gone_after, place + 1, f.size, false);
    for (n = 1; n <= f.size; n++)
        if (was[n]) f.here[n] = true;
}

/* The front and every third are gone at first, so that something can appear anywhere. */
static void start_with_gaps(size_t size, bool newest_first, const char *more)
{
    size_t place;
    fleet_make(&gateway, size, newest_first, more);
    for (place = 1; place <= size; place++)
        if (place <= size / 5 || place % 3 == 0) put(place, false);
    tell_gateway();
}

/* What becomes empty while it is read may only look so: that is an error. */
static void expect_emptied(void)
{
    size_t n;
    harness_expect(&h, last(&h)->status, COMPSHARE_E_REPLY);
    expect_contains(last(&h)->detail, "became empty");
    for (n = 1; n <= f.size; n++) assert_false(f.here[n]);
}

static void changed_list(size_t size, bool newest_first, const char *more)
{
    char words[160];
    unsigned again;
    int status;
    start_with_gaps(size, newest_first, more);
    f.change = make_change;
    status = list(size % 2);
    if (status != COMPSHARE_OK) {
        expect_emptied();
        return;
    }
    snprintf(words, sizeof words, "%s (%u, %s, after page %u to %u)", now->words, (unsigned)size, newest_first
        ? "newest first" : "oldest first",
        change_first, change_last);
    again = check_seen(words);
    /* the list moved by less than a page, and an element by which to find the place is left */
    if (again > 0 && change_first > 1 && now->new_far + now->new_near < PAGE && now->gone_last < 4)
        fail_msg("%s: %u were seen again", words, again);
}

static void every_change(size_t size, const char *more)
{
    size_t i;
    for (i = 0; i < COUNT(changes); i++) {
        now = &changes[i];
        changed_list(size, false, more);
        changed_list(size + 1, true, more);
    }
    expect_count(&gateway, "connections", 1);
}

static void changes_after_the_first_page(void **state)
{
    (void)state;
    change_first = change_last = 1;
    every_change(700, "&brief=1");
}

static void changes_after_a_later_page(void **state)
{
    (void)state;
    change_first = change_last = 3;
    every_change(700, "&brief=1");
}

/* Also while the client looks for its place. */
static void changes_after_every_page(void **state)
{
    (void)state;
    change_first = 1;
    change_last = RESTLESS;
    every_change(251, "&brief=1");
    every_change(900, "&brief=1");
}

static void changes_without_a_total(void **state)
{
    (void)state;
    change_first = 1;
    change_last = RESTLESS;
    every_change(251, "&brief=1&total_name=absent&null_lists=1");
}

/* Only when elements have been delivered since the change before. */
static size_t changed_at;
static void make_slow_change(void)
{
    if (f.last == changed_at) return;
    changed_at = f.last;
    make_change();
}

/* Fifty times during one list the place moves by one. */
static void a_slow_change_of_a_large_fleet(void **state)
{
    static const change moves[] = { { "1 at the front goes", 1, 0, 0, 0, 0, 0, 0 },
        { "1 appears at the front", 0, 0, 1, 0, 0, 0, 0 },
        { "the last goes", 0, 0, 0, 0, 1, 0, 0 } };
    size_t i;
    (void)state;
    change_first = 1;
    change_last = PAGES_MAX;
    for (i = 0; i < COUNT(moves); i++) {
        now = &moves[i];
        start_with_gaps(FLEET, false, "&brief=1");
        f.change = make_slow_change;
        changed_at = 0;
        harness_expect(&h, list(false), COMPSHARE_OK);
        assert_int_equal(check_seen(now->words), 0);
        assert_true(f.pages < 3 * pages_of(FLEET));
    }
}

/* The place is lost after every page: an error, or luck, but never a list with holes. */
static void a_list_that_never_rests(void **state)
{
    static const change replaced = { "everything is replaced", ALL, 0, ALL, 0, ALL, ALL, ALL };
    (void)state;
    now = &replaced;
    change_first = 1;
    change_last = PAGES_MAX;
    start_with_gaps(1500, false, "&brief=1");
    f.change = make_change;
    if (list(false) == COMPSHARE_OK) (void)check_seen(now->words);
    else expect_failure(&h, last(&h)->status, COMPSHARE_E_REPLY, COMPSHARE_STAGE_JUDGE, false);
}

/* ---- changes by chance ---- */

static uint32_t dice;
static size_t roll(size_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 17;
    dice ^= dice << 5;
    return dice % sides;
}

static void put_anywhere(size_t count, size_t to, bool here)
{
    if (to == 0) return;
    while (count-- > 0) put(1 + roll(to), here);
}

static unsigned change_odds;

/* In the end the fleet rests: a list that always changes has no end. */
static void change_by_chance(void)
{
    static const size_t counts[] = { 1, 2, 3, 10, 50, 98, 100, 150, 400 };
    size_t place, count;
    if (f.last == 0 || f.pages > RESTLESS || roll(100) >= change_odds) return;
    place = last_place();
    do {
        count = counts[roll(COUNT(counts))];
        switch (roll(11)) {
        case 0: put_anywhere(count, place - 1, false); break;
        case 1: put_anywhere(count, place - 1, true); break;
        case 2: put_some(count, 1, place - 1, false); break;
        case 3: put_some(count, 1, place - 1, true); break;
        case 4: put_some(1 + roll(6), place, 1, false); break;
        case 5: put_some(PAGE, place, 1, false); break;
        case 6: put_some(count, place + 1, f.size, roll(2)); break;
        case 7: put_some(count, f.size, place + 1, roll(2)); break;
        case 8: put_anywhere(count, f.size, true); break;
        case 9: put_anywhere(count, f.size, false); put_anywhere(count, f.size, true); break;
        default: if (roll(40) == 0) put_some(ALL, 1, f.size, false); break;
        }
    } while (roll(2));
}

static void by_chance(uint32_t seed)
{
    static const char *const options[] = { "&brief=1", "&brief=1&total_name=Total", "&brief=1&total_name=absent",
        "&brief=1&null_lists=1" };
    char words[64];
    size_t gone;
    snprintf(words, sizeof words, "seed %u", (unsigned)seed);
    dice = seed * 2654435761u + 1;
    roll(2);
    change_odds = seed % 3 == 0 ? 100 : 30;
    fleet_make(&gateway, 250 + roll(1251), roll(2), options[roll(COUNT(options))]);
    for (gone = roll(f.size); gone > 0; gone--) put(1 + roll(f.size), false);
    tell_gateway();
    f.change = change_by_chance;
    if (list(seed % 2) == COMPSHARE_OK) (void)check_seen(words);    /* some were seen again, as the manual says */
    else expect_emptied();
}

static void changes_by_chance(void **state)
{
    uint32_t seed;
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) by_chance(seed);
    expect_count(&gateway, "connections", 1);
}

/* ---- gone instances and the other calls ---- */

static void gone_and_back(void **state)
{
    compshare_target t = target_of("uhost-0001");
    compshare_instance i;
    (void)state;
    harness_expect(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_OK);
    harness_set(&gateway, "remove=1,3");
    expect_failure(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_E_NOT_FOUND, COMPSHARE_STAGE_JUDGE,
        false);
    expect_failure(&h, compshare_delete_stop_scheduler(h.client, &t), COMPSHARE_E_API, COMPSHARE_STAGE_JUDGE, false);
    assert_int_equal(last(&h)->ret_code, 8039);
    t.uhost_id = "uhost-0002";
    harness_expect(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_OK);
    harness_set(&gateway, "restore=1-3");
    t.uhost_id = "uhost-0001";
    harness_expect(&h, compshare_describe_instance(h.client, &t, &i), COMPSHARE_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(five_thousand), T(five_thousand_with_small_records), T(totals), T(totals_that_are_wrong), T(offset_ignored),
        T(changes_after_the_first_page), T(changes_after_a_later_page), T(changes_after_every_page),
            T(changes_without_a_total), T(a_slow_change_of_a_large_fleet),
        T(a_list_that_never_rests), T(changes_by_chance), T(gone_and_back)
    };
    return cmocka_run_group_tests_name("fleets", tests, start, stop);
}
