/* Rooms params and encode: order, signatures and form bodies. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include "support.h"

#define KEY "46f09bb9fab4f12dfc160dae12273d5332b5debe"
#define PUBLIC "ucloudsomeone@example.com1296235120854146120"

static char refusal[512];

static void collect(compshare__params *set, const compshare_param *params, size_t count)
{
    compshare__bytes_text why = compshare__bytes_into(refusal, sizeof refusal);
    memset(set, 0, sizeof *set);
    if (!compshare__params_collect(set, params, count, &why)) support_fail_text(__FILE__, __LINE__, "collect", refusal,
        "");
}

/* The body, generated into pieces of cap bytes that end at a forbidden page;
   cap 0: random sizes. */
static size_t body_in_pieces(const compshare__params *set, const guard *g, size_t cap, char *out, size_t room)
{
    compshare__encode e;
    size_t total = 0;
    memset(&e, 0, sizeof e);
    for (;;) {
        size_t size = cap != 0 ? cap : 3 + support_random(62), n;
        unsigned char *dst = guard_tail(g, size);
        memset(dst, '!', size);
        n = compshare__encode_body(&e, set, dst, size);
        CHECK(n <= size && total + n < room);
        memcpy(out + total, dst, n);
        total += n;
        if (n == 0) break;
        CHECK(total <= compshare__encode_length(set));
    }
    CHECK(e.part == 2 * set->count);
    out[total] = '\0';
    return total;
}

/* Every buffer size from 3 to 64, random ones, and one that holds it all. */
static void check_body(const compshare__params *set, const char *wanted)
{
    static char out[70000];
    guard g = guard_open(70000);
    size_t cap, length = strlen(wanted);
    CHECK_NUMBER(compshare__encode_length(set), length);
    for (cap = 0; cap <= 64; cap++) {
        if (cap == 1 || cap == 2) continue;
        CHECK_NUMBER(body_in_pieces(set, &g, cap, out, sizeof out), length);
        CHECK_TEXT(out, wanted);
    }
    CHECK_NUMBER(body_in_pieces(set, &g, length + 3, out, sizeof out), length);
    CHECK_TEXT(out, wanted);
    guard_close(&g);
}

static void documented_vector(void **state)
{
    compshare__params set;
    compshare_param params[2];
    (void)state;
    support_case("documented vector");
    params[0] = compshare_text("Region", "cn-bj2");
    params[1] = compshare_int("Limit", 10);
    collect(&set, params, 2);
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_ACTION, "DescribeUHostInstance");
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_PUBLIC_KEY, PUBLIC);
    compshare__params_sign(&set, KEY);
    CHECK_TEXT(set.signature, "cba5cf5ec4d4233d206b1b54951e3787350a642f");
    check_body(&set,
        "Action=DescribeUHostInstance&Limit=10&PublicKey=ucloudsomeone%40example.com1296235120854146120&Region=cn-bj2"
        "&Signature=cba5cf5ec4d4233d206b1b54951e3787350a642f");
}

/* ---- the vectors ---- */

static bool holds_nul(const json_t *params)
{
    size_t i;
    for (i = 0; i < json_array_size(params); i++) {
        const json_t *key = json_array_get(json_array_get(params, i), 0),
            *value = json_array_get(json_array_get(params, i), 1);
        if (strlen(json_string_value(key)) != json_string_length(key)) return true;
        if (strlen(json_string_value(value)) != json_string_length(value)) return true;
    }
    return false;
}

static bool is_own(const char *key)
{
    return strcmp(key, "Action") == 0 || strcmp(key, "PublicKey") == 0;
}

/* The rule of the manual, written down a second time. */
static bool breaks_identifier_rule(const char *key, const char *value)
{
    if (strcmp(key, "Region") != 0 && strcmp(key, "Zone") != 0 && strcmp(key, "ProjectId") != 0
        && strcmp(key, "UHostId") != 0
        && strcmp(key, "UHostIds") != 0 && strncmp(key, "UHostIds.", 9) != 0) return false;
    return strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(value);
}

static bool one_vector(const json_t *row)
{
    const json_t *list = json_object_get(row, "params");
    compshare_param caller[64], every[64];
    compshare__params set, own;
    compshare__bytes_text why = compshare__bytes_into(refusal, sizeof refusal);
    size_t i, n = 0, all = json_array_size(list);
    bool odd = false, taken;
    const char *action = "", *public_key = "";
    memset(&set, 0, sizeof set);
    set.given = every;
    for (i = 0; i < all; i++) {
        const char *key = json_string_value(json_array_get(json_array_get(list, i), 0));
        const char *value = json_string_value(json_array_get(json_array_get(list, i), 1));
        every[i] = compshare_text(key, value);
        CHECK(compshare__params_insert(&set, i, &every[i]));
        if (strcmp(key, "Action") == 0) action = value;
        if (strcmp(key, "PublicKey") == 0) public_key = value;
        if (is_own(key)) continue;
        caller[n++] = every[i];
        odd = odd || breaks_identifier_rule(key, value);
    }
    CHECK_NUMBER(set.count, all);
    compshare__params_sign(&set, support_text(row, "private_key"));
    CHECK_TEXT(set.signature, support_text(row, "signature"));
    check_body(&set, support_text(row, "body_sorted"));

    taken = compshare__params_collect(&own, caller, n, &why);
    CHECK(taken == !odd);
    if (!taken) {
        CHECK(strstr(refusal, ": only A-Z a-z 0-9 . _ - are allowed in it") != NULL);
        return false;
    }
    compshare__params_own(&own, COMPSHARE__PARAMS_OWN_ACTION, action);
    compshare__params_own(&own, COMPSHARE__PARAMS_OWN_PUBLIC_KEY, public_key);
    compshare__params_sign(&own, support_text(row, "private_key"));
    CHECK_TEXT(own.signature, support_text(row, "signature"));
    return true;
}

static void vectors(void **state)
{
    static const int with_nul[] = { 4, 40, 64, 128, 144, 264, 388, 392, 420, 440, 716, 892, 916, 1020 };
    json_t *rows = support_rows("tests/data/signature_vectors.jsonl");
    size_t i, skipped = 0, taken = 0, refused = 0;
    (void)state;
    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        int id = (int)json_integer_value(json_object_get(row, "id"));
        support_case("vector %d", id);
        if (holds_nul(json_object_get(row, "params"))) {    /* no C string can say it */
            CHECK(skipped < COUNT_OF(with_nul) && with_nul[skipped] == id);
            skipped++;
            continue;
        }
        if (one_vector(row)) taken++;
        else refused++;
    }
    support_case("how many vectors ran");
    CHECK_NUMBER(skipped, 14);
    CHECK_NUMBER(taken + refused, 206);
    CHECK_NUMBER(refused, 31);
    json_decref(rows);
}

/* ---- own cases ---- */

static void security_token_is_signed(void **state)
{
    compshare__params set;
    compshare_param params[2];
    (void)state;
    support_case("security token");
    params[0] = compshare_text("Region", "cn-bj2");
    params[1] = compshare_text("Limit", "10");
    collect(&set, params, 2);
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_ACTION, "DescribeUHostInstance");
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_PUBLIC_KEY, PUBLIC);
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_TOKEN, "temporary/token+1=");
    compshare__params_sign(&set, KEY);
    CHECK_TEXT(set.signature, "e41dd0485c181f0d2a546e6d4e9a8b3bb2267b97");
    check_body(&set,
        "Action=DescribeUHostInstance&Limit=10&PublicKey=ucloudsomeone%40example.com1296235120854146120&Region=cn-bj2"
        "&SecurityToken=temporary%2Ftoken%2B1%3D&Signature=e41dd0485c181f0d2a546e6d4e9a8b3bb2267b97");
}

static void extremes_and_empty_values(void **state)
{
    compshare__params set;
    compshare_param params[7];
    (void)state;
    support_case("int64 extremes, empty values, bool, decimal");
    params[0] = compshare_decimal("G", "0.5");
    params[1] = compshare_bool("F", true);
    params[2] = compshare_text("E", "");
    params[3] = compshare_int("D", -1);
    params[4] = compshare_int("C", 0);
    params[5] = compshare_int("B", INT64_MAX);
    params[6] = compshare_int("A", INT64_MIN);
    collect(&set, params, 7);
    compshare__params_sign(&set, "key");
    CHECK_TEXT(set.signature, "09f82d69be917fc1f3b255c312f0bad28e061625");
    check_body(&set,
        "A=-9223372036854775808&B=9223372036854775807&C=0&D=-1&E=&F=true&G=0.5&Signature=09f82d69be917fc1f3b255c312f0bad28e061625");
    support_case("nothing but empty values");
    params[0] = compshare_text("b", "");
    params[1] = compshare_text("a", "");
    params[2] = compshare_text("c", "");
    collect(&set, params, 3);
    check_body(&set, "a=&b=&c=");
    support_case("no parameters");
    collect(&set, NULL, 0);
    check_body(&set, "");
    compshare__params_sign(&set, "key");
    CHECK_TEXT(set.signature, "a62f2225bf70bfaccbc7f1ef2a397836717377de");
    check_body(&set, "Signature=a62f2225bf70bfaccbc7f1ef2a397836717377de");
}

static void every_byte(void **state)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char key[256], wanted[1024];
    size_t n = 0;
    unsigned c;
    compshare_param param;
    compshare__params set;
    (void)state;
    support_case("every byte but NUL in a name and in a value");
    for (c = 1; c < 256; c++) {
        key[c - 1] = (char)c;
        if (c == ' ') wanted[n++] = '+';
        else if (c < 128 && strchr(plain, (int)c) != NULL) wanted[n++] = (char)c;
        else n += (size_t)snprintf(wanted + n, sizeof wanted - n, "%%%02X", c);
    }
    key[255] = '\0';
    wanted[n] = '\0';
    param = compshare_text(key, key);
    collect(&set, &param, 1);
    {
        char whole[2100];
        (void)snprintf(whole, sizeof whole, "%s=%s", wanted, wanted);
        check_body(&set, whole);
    }
}

static void as_many_as_allowed(void **state)
{
    static char names[COMPSHARE_MAX_PARAMS + 1][16], wanted[8192];
    compshare_param params[COMPSHARE_MAX_PARAMS + 1];
    compshare__params set;
    compshare__bytes_text why = compshare__bytes_into(refusal, sizeof refusal);
    size_t i, n = 0;
    (void)state;
    support_case("128 parameters, last one first");
    CHECK_NUMBER(COMPSHARE_MAX_PARAMS, 128);
    for (i = 0; i <= COMPSHARE_MAX_PARAMS; i++) {
        (void)snprintf(names[i], sizeof names[i], "a%03u", (unsigned)(COMPSHARE_MAX_PARAMS - i));
        params[i] = compshare_int(names[i], (int64_t)i);
    }
    collect(&set, params, COMPSHARE_MAX_PARAMS);
    CHECK_NUMBER(set.count, 128);
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_ACTION, "A");
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_PUBLIC_KEY, "P");
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_TOKEN, "T");
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_REGION, "R");
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_ZONE, "Z");
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_PROJECT, "J");
    compshare__params_sign(&set, "key");
    CHECK_NUMBER(set.count, 135);
    CHECK_NUMBER(strlen(set.signature), 40);
    n = (size_t)snprintf(wanted, sizeof wanted,
        "Action=A&ProjectId=J&PublicKey=P&Region=R&SecurityToken=T&Signature=%s&Zone=Z", set.signature);
    for (i = COMPSHARE_MAX_PARAMS; i-- > 0;)
        n += (size_t)snprintf(wanted + n, sizeof wanted - n, "&%s=%u", names[i], (unsigned)i);
    check_body(&set, wanted);
    support_case("129 parameters");
    CHECK(!compshare__params_collect(&set, params, COMPSHARE_MAX_PARAMS + 1, &why));
    CHECK_TEXT(refusal, "129 parameters given, COMPSHARE_MAX_PARAMS is 128");
}

/* ---- random parameters against a second, naive implementation ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const compshare_param *)a)->key, ((const compshare_param *)b)->key);
}

static void naive_escape(char *out, size_t room, const char *text)
{
    size_t at = strlen(out);
    for (; *text != '\0' && at + 4 < room; text++) {
        unsigned c = (unsigned char)*text;
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.'
            || c == '_' || c == '~')
            out[at++] = (char)c;
        else if (c == 0x20) out[at++] = '+';
        else at += (size_t)snprintf(out + at, room - at, "%%%02X", c);
        out[at] = '\0';
    }
}

static void random_parameters(void **state)
{
    static char names[40][24], values[40][64], plain[8192], wanted[16384];
    int round;
    (void)state;
    support_seed(1);
    for (round = 0; round < 300; round++) {
        compshare_param params[41], sorted[41];
        compshare__params set;
        br_sha1_context sha1;
        unsigned char hash[20];
        char hex[41];
        size_t count = support_random(40), i, k;
        support_case("random parameters %d", round);
        plain[0] = wanted[0] = '\0';
        for (i = 0; i < count; i++) {
            size_t len = 1 + support_random(16), value_len = support_random(60);
            for (k = 0; k < len; k++) names[i][k] = (char)(1 + support_random(255));
            (void)snprintf(names[i] + len, 4, "%u", (unsigned)i);
            for (k = 0; k < value_len; k++) values[i][k] = (char)(1 + support_random(255));
            values[i][value_len] = '\0';
            params[i] = compshare_text(names[i], values[i]);
        }
        memset(&set, 0, sizeof set);
        set.given = params;
        for (i = 0; i < count; i++) {
            bool repeated = false;
            for (k = 0; k < i; k++) repeated = repeated || strcmp(names[k], names[i]) == 0;
            CHECK(!repeated);
            CHECK(compshare__params_insert(&set, i, &params[i]));
        }
        memcpy(sorted, params, count * sizeof params[0]);
        if (count > 0) qsort(sorted, count, sizeof sorted[0], by_name);
        for (i = 0; i < count; i++) {
            strcat(strcat(plain, sorted[i].key), sorted[i].text);
        }
        strcat(plain, "secret");
        br_sha1_init(&sha1);
        br_sha1_update(&sha1, plain, strlen(plain));
        br_sha1_out(&sha1, hash);
        for (i = 0; i < 20; i++) (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
        compshare__params_sign(&set, "secret");
        CHECK_TEXT(set.signature, hex);
        sorted[count] = compshare_text("Signature", hex);
        qsort(sorted, count + 1, sizeof sorted[0], by_name);
        for (i = 0; i <= count; i++) {
            if (i > 0) strcat(wanted, "&");
            naive_escape(wanted, sizeof wanted, sorted[i].key);
            strcat(wanted, "=");
            naive_escape(wanted, sizeof wanted, sorted[i].text);
        }
        {
            static char out[70000];
            guard g = guard_open(256);
            size_t total = body_in_pieces(&set, &g, 0, out, sizeof out);
            CHECK_NUMBER(total, compshare__encode_length(&set));
            CHECK_TEXT(out, wanted);
            guard_close(&g);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documented_vector),
        cmocka_unit_test(vectors),
        cmocka_unit_test(security_token_is_signed),
        cmocka_unit_test(extremes_and_empty_values),
        cmocka_unit_test(every_byte),
        cmocka_unit_test(as_many_as_allowed),
        cmocka_unit_test(random_parameters)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
