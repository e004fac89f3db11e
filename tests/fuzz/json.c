/* Rooms json, split and tokens: the validator, the tokens and the getters against jansson;
   the splitter against both.

   Input: a byte of choices (low 4 bits the array to split, high 4 its memory), seven
   sizes of pieces, the text.

   Where jansson differs, and nothing is compared: it refuses numbers beyond int64_t and
   double and U+0000 in names, and reads -0 as the integer 0. Evened out: lone surrogate
   escapes, which it refuses, and a byte order mark, which it does not know. The room
   alone refuses what is nested deeper than 64. */

#include "fuzz_json.h"
#include "../unit/tokens.h"

static const char *const arrays[16] = {
    "UHostSet", "ProjectSet", "a", "", "RetCode", "A\n", "\xEF\xBF\xBD", "\xC3\xBC", "x", "b", "data", "0", "\"", "\\",
        "/", "UHostSe"
};

/* ---- validator ---- */

static void validate(compshare__json *json, const char *text, size_t len, pieces *sizes)
{
    size_t at = 0;
    compshare__json_init(json);
    while (at < len) {
        size_t n = sizes != NULL ? fuzz_piece(sizes, len - at) : len;
        compshare__json_feed(json, text + at, n);
        at += n;
    }
}

static void check_pieces(const compshare__json *whole, const char *text, size_t len, pieces *sizes)
{
    compshare__json split, slow;
    size_t i;
    validate(&split, text, len, sizes);
    compshare__json_init(&slow);
    for (i = 0; i < len; i++) compshare__json_feed(&slow, text + i, 1);
    CHECK(split.state == whole->state && split.reason == whole->reason);
    CHECK(split.at == whole->at && split.depth == whole->depth);
    CHECK(slow.state == whole->state && slow.reason == whole->reason);
    CHECK(slow.at == whole->at && slow.depth == whole->depth);
}

static int depth_of(const json_t *value)
{
    int deepest = 0, d;
    size_t i;
    const char *key;
    json_t *inner;
    if (json_is_array(value)) json_array_foreach(value, i, inner) { d = depth_of(inner); if (d > deepest) deepest = d; }
    if (json_is_object(value)) json_object_foreach((json_t *)(uintptr_t)value, key,
        inner) { d = depth_of(inner); if (d > deepest) deepest = d; }
    return json_is_array(value) || json_is_object(value) ? deepest + 1 : 0;
}

/* ---- getters ---- */

static bool integer_text(const char *s, size_t len, int64_t *out)
{
    char back[32];
    long long n;
    if (len == 0 || len > 20 || strlen(s) != len) return false;
    n = strtoll(s, NULL, 10);
    (void)snprintf(back, sizeof back, "%lld", n);
    *out = n;
    return strcmp(back, s) == 0;
}

static void check_string(compshare_value v, const json_t *theirs)
{
    const char *text = json_string_value(theirs);
    size_t len = json_string_length(theirs), cap;
    int64_t ours = 77, number = 0;
    bool truth = false, is_integer = integer_text(text, len, &number), is_true;
    char *buf = (char *)fuzz_room(len + 1);
    CHECK(compshare_copy_text(v, buf, len + 1) == (ptrdiff_t)len);
    CHECK(memcmp(buf, text, len + 1) == 0);
    free(buf);
    cap = len / 2;
    buf = (char *)fuzz_room(cap);
    CHECK(compshare_copy_text(v, buf, cap) == COMPSHARE_E_TOO_LARGE);
    CHECK(cap == 0 || buf[0] == '\0');
    free(buf);
    CHECK(compshare_as_int(v, &ours) == is_integer);
    CHECK(ours == (is_integer ? number : 77));
    is_true = strcmp(text, "true") == 0 || strcmp(text, "True") == 0;
    CHECK(compshare_as_bool(v, &truth) == (len == strlen(text)
        && (is_true || strcmp(text, "false") == 0 || strcmp(text, "False") == 0)));
    CHECK(truth == (is_true && len == strlen(text)));
}

/* Cut to fit and cleaned for a terminal: whole characters, none of them unsafe. */
static void check_clean(const compshare__tokens *tree, uint32_t at, size_t cap)
{
    char *buf = (char *)fuzz_room(cap + 1), *quoted = (char *)fuzz_room(cap + 3);
    json_t *back;
    size_t i;
    (void)compshare__json_copy(compshare__tokens_raw(tree, at), buf, cap + 1, true);
    CHECK(fuzz_is_text(buf, cap + 1, true));
    for (i = 0; buf[i] != '\0'; i++) quoted[i + 1] = buf[i] == '"' || buf[i] == '\\' ? '-' : buf[i];
    quoted[0] = quoted[i + 1] = '"';
    back = json_loadb(quoted, i + 2, JSON_DECODE_ANY, NULL);
    CHECK(back != NULL);                                            /* it is UTF-8 */
    CHECK(strstr(buf, "\xE2\x80\xAE") == NULL && strstr(buf, "\xC2\x9B") == NULL);
    json_decref(back);
    free(buf);
    free(quoted);
}

static void check_number(compshare_value v, const json_t *theirs)
{
    compshare_view text = compshare_number_text(v);
    char *copy = fuzz_string(text.ptr, text.len);
    int64_t ours = 77;
    bool truth;
    CHECK(text.len > 0);
    if (json_is_real(theirs)) {
        double a = strtod(copy, NULL), b = json_real_value(theirs);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
        CHECK(!compshare_as_int(v, &ours) && ours == 77);
    } else {
        CHECK(compshare_as_int(v, &ours) == (strcmp(copy, "-0") != 0));
        CHECK(ours == (strcmp(copy, "-0") != 0 ? (int64_t)json_integer_value(theirs) : 77));
    }
    CHECK(!compshare_as_bool(v, &truth));
    CHECK(compshare_copy_text(v, copy, 1) == COMPSHARE_E_TYPE && copy[0] == '\0');
    free(copy);
}

static void check_value(compshare_value v, const json_t *theirs, size_t cap);

static void check_array(compshare_value v, const json_t *theirs, size_t cap)
{
    compshare_value element = compshare_first(v);
    size_t i;
    json_t *inner;
    CHECK(compshare_type(v) == COMPSHARE_ARRAY && compshare_count(v) == json_array_size(theirs));
    json_array_foreach(theirs, i, inner) {
        check_value(element, inner, cap);
        element = compshare_next(element);
    }
    CHECK(compshare_type(element) == COMPSHARE_NONE);
    CHECK(compshare_type(compshare_get(v, "a")) == COMPSHARE_NONE);
}

/* Of a name that is there twice jansson keeps the last value, compshare_get none. */
static void check_object(compshare_value v, json_t *theirs, size_t cap)
{
    compshare_value member = compshare_first(v);
    size_t count = 0, unique = 0;
    for (; compshare_type(member) != COMPSHARE_NONE; member = compshare_next(member), count++) {
        char key[64];
        compshare_value found;
        json_t *inner;
        if (compshare_copy_key(member, key, sizeof key) < 0) continue;      /* longer than that */
        found = compshare_get(v, key);
        inner = json_object_get(theirs, key);
        CHECK(inner != NULL);
        if (compshare_type(found) == COMPSHARE_NONE) continue;
        CHECK(found.token == member.token);
        unique++;
        check_value(member, inner, cap);
    }
    CHECK(compshare_type(v) == COMPSHARE_OBJECT && compshare_count(v) == count);
    CHECK(json_object_size(theirs) <= count && unique <= json_object_size(theirs));
}

static void check_value(compshare_value v, const json_t *theirs, size_t cap)
{
    bool truth = false;
    switch (json_typeof(theirs)) {
    case JSON_OBJECT: check_object(v, (json_t *)(uintptr_t)theirs, cap); break;
    case JSON_ARRAY: check_array(v, theirs, cap); break;
    case JSON_STRING:
        CHECK(compshare_type(v) == COMPSHARE_STRING);
        check_string(v, theirs);
        check_clean(&v.client->reply.tree, v.token, cap);
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        CHECK(compshare_type(v) == COMPSHARE_NUMBER);
        check_number(v, theirs);
        break;
    case JSON_NULL: CHECK(compshare_type(v) == COMPSHARE_NULL); break;
    default:
        CHECK(compshare_type(v) == COMPSHARE_BOOL && compshare_as_bool(v, &truth));
        CHECK(truth == json_is_true(theirs));
    }
    if (!json_is_array(theirs) && !json_is_object(theirs))
        CHECK(compshare_type(compshare_first(v)) == COMPSHARE_NONE && compshare_count(v) == 0);
}

/* ---- the whole ---- */

static compshare reader;        /* the getters read its tree only */

static void check_ret_code(const char *text, size_t len, const json_t *theirs)
{
    compshare_view value;
    int ours = 77, code = 0;
    size_t hits = json_is_object(theirs) ? fuzz_members(text, len, "RetCode", &value) : 0;
    bool good = hits == 1 && fuzz_ret_code(value, &code);
    if (good && code == 0 && memchr(value.ptr, '-', value.len) != NULL) good = false;       /* -0 */
    CHECK((compshare__judge_ret_code(&reader.reply.tree, &ours) == NULL) == good);
    CHECK(ours == (good ? code : 77));
}

/* 20 bytes for each value and name are enough, and less are not. */
static void check_tree(const char *text, size_t len, const json_t *theirs, size_t tokens, size_t cap)
{
    size_t skew = cap % 4, need = tokens * sizeof(compshare__jsmntok_t) + (4 - skew) % 4;
    char *room = (char *)fuzz_room(skew + need), *start = room + skew;
    compshare_instance instance;
    char raw[32];
    CHECK(!compshare__tokens_parse(&reader.reply.tree, text, len, start, need - 1));
    CHECK(compshare__tokens_parse(&reader.reply.tree, text, len, start, need));
    CHECK(reader.reply.tree.count == tokens);
    if (theirs != NULL) {
        check_value(compshare_reply(&reader), theirs, cap);
        check_ret_code(text, len, theirs);
    }
    if (compshare__read_instance(&reader.reply.tree, 0, &instance, raw) == NULL) CHECK(instance.uhost_id[0] != '\0');
    CHECK_TEXT(instance.uhost_id); CHECK_TEXT(instance.name); CHECK_TEXT(instance.state);
    CHECK_TEXT(instance.charge_type); CHECK_TEXT(instance.region); CHECK_TEXT(instance.zone); CHECK_TEXT(instance.gpu_type);
    CHECK(instance.stop_time >= 0 && instance.gpu >= 0 && instance.create_time >= 0 && instance.expire_time >= 0);
    free(room);
}

/* ---- splitter ---- */

typedef struct split {
    compshare__split s;
    char *area, *elements;
    size_t elements_len, count;
} split;

/* Feeds until the end, a fault, or no more room; keeps the elements with a NUL behind each. */
static void split_all(split *r, const char *name, const char *text, size_t len, size_t cap, pieces *sizes)
{
    size_t i = 0;
    memset(r, 0, sizeof *r);
    r->area = (char *)fuzz_room(cap);
    r->elements = (char *)fuzz_room(2 * len + 1);
    compshare__split_init(&r->s, name, r->area, cap);
    while (i < len && !r->s.full && r->s.json.state != COMPSHARE__JSON_FAILED) {
        size_t n = sizes != NULL ? fuzz_piece(sizes, len - i) : len - i;
        bool complete;
        i += compshare__split_feed(&r->s, text + i, n, &complete);
        if (!complete) continue;
        CHECK(r->s.kept <= r->s.used && r->s.used <= cap);
        n = r->s.used - r->s.kept;
        memcpy(r->elements + r->elements_len, r->area + r->s.kept, n);
        r->elements[r->elements_len + n] = '\0';
        r->elements_len += n + 1;
        r->count++;
    }
}

static void split_free(split *r)
{
    free(r->area);
    free(r->elements);
}

/* What was split off is what jansson has in that array, and the rest is the rest. */
static void check_split(split *r, const char *name, const char *text, size_t len, const json_t *theirs)
{
    compshare_view value;
    size_t hits = json_is_object(theirs) ? fuzz_members(text, len, name, &value) : 0, i;
    const char *at = r->elements;
    json_t *array = json_object_get(theirs, name), *rest = NULL, *expected;
    CHECK(r->s.seen == (hits > 0) && r->s.twice == (hits > 1));
    if (hits == 1) CHECK(r->s.not_array == (!json_is_array(array) && !json_is_null(array)));
    if (hits > 1) return;
    CHECK(r->count == (hits == 1 && json_is_array(array) ? json_array_size(array) : 0));
    for (i = 0; i < r->count; i++, at += strlen(at) + 1) {
        json_t *element = NULL;
        CHECK(fuzz_opinion(at, strlen(at), &element) == OPINION_ACCEPTED
            && json_equal(element, json_array_get(array, i)));
        CHECK(!compshare__json_is_space(at[0]) && !compshare__json_is_space(at[strlen(at) - 1]));
        json_decref(element);
    }
    CHECK(fuzz_opinion(r->area, r->s.kept, &rest) == OPINION_ACCEPTED);
    expected = json_deep_copy(theirs);
    if (json_is_array(array)) (void)json_array_clear(json_object_get(expected, name));
    CHECK(json_equal(rest, expected));
    json_decref(expected);
    json_decref(rest);
}

static void check_splitter(const uint8_t *data, const char *text, size_t len, size_t bom, const compshare__json *whole,
    const json_t *theirs, pieces *sizes)
{
    const char *name = arrays[data[0] & 15];
    size_t cap = len * (data[0] >> 4) / 16;
    split full, small;
    split_all(&full, name, text, len, len + 1, sizes);
    split_all(&small, name, text, len, cap, NULL);
    CHECK(!full.s.full);
    CHECK(full.s.json.state == whole->state || full.s.bom % 3 != 0);
    if (full.s.bom % 3 == 0) {      /* not after a part of a byte order mark, which has a reason of its own */
        CHECK(full.s.bom == bom && full.s.json.reason == whole->reason);
        CHECK(full.s.json.at == whole->at);
    } else {
        CHECK(full.s.json.state == COMPSHARE__JSON_FAILED
            || (full.s.bom == len && whole->state == COMPSHARE__JSON_FAILED));
    }
    CHECK(small.elements_len <= full.elements_len && memcmp(small.elements, full.elements, small.elements_len) == 0);
    CHECK(small.s.full || small.count == full.count);
    if (theirs != NULL) check_split(&full, name, text + bom, len - bom, theirs);
    split_free(&full);
    split_free(&small);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pieces sizes = { data + 1, 7, 0 };
    compshare__json whole;
    json_t *theirs = NULL;
    char *text;
    size_t len = size - 8, bom;
    int opinion;
    const char *reason;
    if (size < 8) return 0;
    text = (char *)fuzz_copy(data + 8, len);
    bom = compshare__json_bom(text, len);
    validate(&whole, text + bom, len - bom, NULL);
    check_pieces(&whole, text + bom, len - bom, &sizes);
    opinion = fuzz_opinion(text + bom, len - bom, &theirs);
    check_splitter(data, text, len, bom, &whole, compshare__json_finish(&whole) == NULL ? theirs : NULL, &sizes);
    reason = compshare__json_finish(&whole);
    if (opinion == OPINION_ACCEPTED) CHECK(reason == NULL
        || (strcmp(reason, "it is nested deeper than 64 levels") == 0 && depth_of(theirs) > 64));
    if (opinion == OPINION_REFUSED) CHECK(reason != NULL);
    if (reason == NULL) check_tree(text + bom, len - bom, theirs, count_tokens(text + bom, len - bom), data[1]);
    json_decref(theirs);
    free(text);
    return 0;
}
