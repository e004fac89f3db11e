/* Room params: what is refused and with which words; and the request head. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include "support.h"

static char refusal[512];

static bool collect(compshare__params *set, const compshare_param *params, size_t count)
{
    compshare__bytes_text why = compshare__bytes_into(refusal, sizeof refusal);
    memset(set, 0, sizeof *set);
    return compshare__params_collect(set, params, count, &why);
}

static void refused(compshare_param param, const char *text)
{
    compshare__params set;
    compshare_param three[3];
    support_case("%s", text);
    CHECK(!collect(&set, &param, 1));
    CHECK_TEXT(refusal, text);
    three[0] = compshare_text("a", "1");    /* and behind good ones */
    three[1] = compshare_text("b", "2");
    three[2] = param;
    CHECK(!collect(&set, three, 3));
    if (param.key != NULL && param.key[0] != '\0') CHECK_TEXT(refusal, text);
    else CHECK_TEXT(refusal, "parameter 2: its name is empty");
}

static void taken(compshare_param param)
{
    compshare__params set;
    support_case("%s=%s", param.key, param.text != NULL ? param.text : "(number)");
    if (!collect(&set, &param, 1)) support_fail_text(__FILE__, __LINE__, "refused", refusal, "");
    CHECK(set.count == 1 && compshare__params_at(&set, 0)->key == param.key);
}

static void names_and_values(void **state)
{
    compshare_param bad = compshare_text("A", "x");
    (void)state;
    refused(compshare_text("", "x"), "parameter 0: its name is empty");
    refused(compshare_text(NULL, "x"), "parameter 0: its name is empty");
    refused(compshare_text("Name", NULL), "parameter Name: its value is NULL");
    refused(compshare_decimal("Size", NULL), "parameter Size: its value is NULL");
    bad.kind = 77;
    refused(bad, "parameter A: it was not made by compshare_text, _int, _bool or _decimal");
    refused(compshare_text("Action", "X"), "parameter Action: the client itself adds it");
    refused(compshare_text("PublicKey", "X"), "parameter PublicKey: the client itself adds it");
    refused(compshare_text("Signature", "X"), "parameter Signature: the client itself adds it");
    refused(compshare_text("SecurityToken", "X"), "parameter SecurityToken: the client itself adds it");
    refused(compshare_int("Signature", 1), "parameter Signature: the client itself adds it");
    refused(compshare_bool("Action", true), "parameter Action: the client itself adds it");
    taken(compshare_text("action", "X"));
    taken(compshare_text("Actions", "X"));
    taken(compshare_text("SignatureX", "X"));
    taken(compshare_text("Name", ""));
    taken(compshare_text("Name", "a b\r\n\xE4\xB8\xAD+/&="));
    taken(compshare_text(" ", " "));
    taken(compshare_int("Zero", 0));
    {
        compshare_param zero;   /* a zeroed struct has a NULL name */
        memset(&zero, 0, sizeof zero);
        refused(zero, "parameter 0: its name is empty");
    }
}

static void whole_list(void **state)
{
    compshare__params set;
    compshare_param params[COMPSHARE_MAX_PARAMS + 1];
    size_t i;
    static char names[COMPSHARE_MAX_PARAMS + 1][8];
    (void)state;
    support_case("params NULL");
    CHECK(!collect(&set, NULL, 1));
    CHECK_TEXT(refusal, "params is NULL");
    CHECK(collect(&set, NULL, 0) && set.count == 0);
    support_case("given twice");
    params[0] = compshare_text("A", "1");
    params[1] = compshare_text("C", "2");
    params[2] = compshare_text("B", "3");
    params[3] = compshare_int("A", 1);
    CHECK(!collect(&set, params, 4));
    CHECK_TEXT(refusal, "parameter A: it is given twice");
    params[3] = compshare_text("C", "2");
    CHECK(!collect(&set, params, 4));
    CHECK_TEXT(refusal, "parameter C: it is given twice");
    params[3] = compshare_text("B", "3");
    CHECK(!collect(&set, params, 4));
    CHECK_TEXT(refusal, "parameter B: it is given twice");
    params[3] = compshare_text("a", "differs in case");
    CHECK(collect(&set, params, 4) && set.count == 4);
    support_case("too many");
    for (i = 0; i <= COMPSHARE_MAX_PARAMS; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%u", (unsigned)i);
        params[i] = compshare_int(names[i], 0);
    }
    CHECK(collect(&set, params, COMPSHARE_MAX_PARAMS));
    CHECK(!collect(&set, params, COMPSHARE_MAX_PARAMS + 1));
    CHECK_TEXT(refusal, "129 parameters given, COMPSHARE_MAX_PARAMS is 128");
    CHECK(!collect(&set, params, SIZE_MAX));
}

static void identifiers(void **state)
{
    static const char *const keys[] = { "Region", "Zone", "ProjectId", "UHostId", "UHostIds", "UHostIds.0",
        "UHostIds.17", "UHostIds.x" };
    static const char *const bad[] = {
        " ", "a b", "a ", " a", "a\r", "a\n", "a\r\nb", "a\tb", "\xE4\xB8\xAD", "a\xC3\xA9", "a+b", "a/b", "a%20b",
            "a&b", "a=b", "a@b", "a,b", "a~b", "a:b", "\x7F"
    };
    static const char *const good[] = { "", "a", "cn-wlcb-01", "uhost-1a2B3c", "org_1.2-3", "0" };
    static const char *const free_keys[] = { "region", "Zones", "UHostIdX", "UHostIds.", "UHostName", "Name",
        "Password", "Projectid" };
    size_t i, k;
    char wanted[128];
    (void)state;
    for (i = 0; i < COUNT_OF(keys); i++) {
        (void)snprintf(wanted, sizeof wanted, "parameter %s: only A-Z a-z 0-9 . _ - are allowed in it", keys[i]);
        for (k = 0; k < COUNT_OF(bad); k++) {
            refused(compshare_text(keys[i], bad[k]), wanted);
        }
        for (k = 0; k < COUNT_OF(good); k++) taken(compshare_text(keys[i], good[k]));
        taken(compshare_int(keys[i], -5));
        taken(compshare_bool(keys[i], false));
    }
    for (i = 0; i < COUNT_OF(free_keys); i++)
        for (k = 0; k < COUNT_OF(bad); k++) taken(compshare_text(free_keys[i], bad[k]));
}

static void decimals(void **state)
{
    static const char *const good[] = {
        "0", "1", "10", "0.5", "-0.5", "-1", "123456789012345678901234567890", "0.01", "100.001", "-10.25",
            "0.000000000000000000001"
    };
    static const char *const bad[] = {
        "", "-", ".", "-.", ".5", "-.5", "5.", "1.0", "0.50", "1.10", "00", "01", "-01", "00.5", "+1", "1e3", "1E3",
            "1.5e3", "0x10", "1,5", " 1", "1 ",
        "1.5 ", "1..5", "1.5.5", "--1", "inf", "nan", "1_000", "1.-5", "-0", "-0.0", "1\n", "\xEF\xBC\x91"
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT_OF(good); i++) taken(compshare_decimal("Size", good[i]));
    for (i = 0; i < COUNT_OF(bad); i++)
        refused(compshare_decimal("Size", bad[i]),
            "parameter Size: a decimal is digits, a point and digits that do not end in 0; no exponent");
}

static void lookup(void **state)
{
    compshare__params set;
    compshare_param params[3];
    (void)state;
    support_case("the client's own parameters give way to the caller's");
    params[0] = compshare_text("Region", "r");
    params[1] = compshare_int("UHostIds.0", 0);
    params[2] = compshare_text("A", "");
    CHECK(collect(&set, params, 3));
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_REGION, "other");
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_PROJECT, NULL);
    CHECK(set.count == 3);
    compshare__params_own(&set, COMPSHARE__PARAMS_OWN_ZONE, "z");
    CHECK(set.count == 4);
    CHECK_TEXT(compshare__params_at(&set, 0)->key, "A");
    CHECK_TEXT(compshare__params_at(&set, 1)->key, "Region");
    CHECK_TEXT(compshare__params_at(&set, 1)->text, "r");
    CHECK_TEXT(compshare__params_at(&set, 2)->key, "UHostIds.0");
    CHECK_TEXT(compshare__params_at(&set, 3)->key, "Zone");
    CHECK_TEXT(compshare__params_at(&set, 3)->text, "z");
}

static void head_is(const compshare__encode_fields *head, const char *wanted)
{
    guard g = guard_open(8192);
    size_t len = strlen(wanted), cap;
    char *at = (char *)guard_tail(&g, len + 1);
    CHECK_NUMBER(compshare__encode_head(head, at, len + 1), len);
    CHECK_TEXT(at, wanted);
    for (cap = 1; cap <= len; cap += 7) {
        at = (char *)guard_tail(&g, cap);
        CHECK_NUMBER(compshare__encode_head(head, at, cap), cap - 1);
        CHECK(strlen(at) == cap - 1 && memcmp(at, wanted, cap - 1) == 0);
    }
    guard_close(&g);
}

static void request_head(void **state)
{
    compshare__encode_fields head;
    char host[254], path[256], agent[256];
    (void)state;
    memset(&head, 0, sizeof head);
    head.host = "api.compshare.cn";
    head.path.ptr = "/";
    head.path.len = 1;
    head.user_agent = "compshare.h/0.1.0";
    head.content_length = 0;
    head.timestamp_ms = INT64_C(1795442700123);
    support_case("plain");
    head_is(&head,
        "POST / HTTP/1.1\r\nHost: api.compshare.cn\r\nUser-Agent: compshare.h/0.1.0\r\nAccept: application/json\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\nU-Timestamp-Ms: 1795442700123\r\n\r\n");
    support_case("port, path, CSV");
    head.port = 8443;
    head.path.ptr = "/api/v1/IGNORED";
    head.path.len = 8;
    head.csv = true;
    head.content_length = 65535;
    head.user_agent = "a b";
    head_is(&head,
        "POST /api/v1/ HTTP/1.1\r\nHost: api.compshare.cn:8443\r\nUser-Agent: a b\r\nAccept: application/json, text/csv\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 65535\r\nU-Timestamp-Ms: 1795442700123\r\n\r\n");
    support_case("the longest that the limits allow fits a small record");
    memset(host, 'h', 253);
    memset(path, '/', 255);
    memset(agent, 'u', 255);
    host[253] = path[255] = agent[255] = '\0';
    head.host = host;
    head.path.ptr = path;
    head.path.len = 255;
    head.user_agent = agent;
    head.port = 65535;
    head.content_length = 4294967295u;
    head.timestamp_ms = INT64_MAX;
    {
        static char out[8192];
        size_t len = compshare__encode_head(&head, out, sizeof out);
        CHECK(len == strlen(out) && len < 4096);
        CHECK(strcmp(out + len - 4, "\r\n\r\n") == 0
            && strstr(out, "\r\nU-Timestamp-Ms: 9223372036854775807\r\n\r\n") != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_values),
        cmocka_unit_test(whole_list),
        cmocka_unit_test(identifiers),
        cmocka_unit_test(decimals),
        cmocka_unit_test(lookup),
        cmocka_unit_test(request_head)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
