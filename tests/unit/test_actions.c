/* Room actions: the table against tests/data/actions.tsv. */

#define COMPSHARE_IMPLEMENTATION
#define COMPSHARE_PLAINTEXT
#include "compshare.h"

#include "support.h"

#define ACTIONS 93

typedef struct row { char *field[8]; } row;

static row rows[ACTIONS + 8];
static size_t row_count;

static int load(void **state)
{
    bytes file = support_file("tests/data/actions.tsv");
    char *line = (char *)file.ptr;
    bool first = true;
    *state = file.ptr;
    if (line == NULL) return -1;
    while (*line != '\0' && row_count < COUNT_OF(rows)) {
        char *end = strchr(line, '\n');
        size_t i;
        if (end != NULL) *end = '\0';
        for (i = 0; i < 8; i++) {
            rows[row_count].field[i] = line;
            line += strcspn(line, "\t");
            if (*line == '\t') *line++ = '\0';
        }
        if (!first) row_count++;
        first = false;
        if (end == NULL) break;
        line = end + 1;
    }
    return row_count == ACTIONS ? 0 : -1;
}

static int unload(void **state)
{
    free(*state);
    return 0;
}

static bool known(const char *name)
{
    size_t i;
    for (i = 0; i < row_count; i++)
        if (strcmp(rows[i].field[0], name) == 0) return true;
    return false;
}

static void check_row(const compshare_action *a, const row *r)
{
    const char *note = r->field[7];
    CHECK(a->name != NULL);
    CHECK_TEXT(a->name, r->field[0]);
    CHECK_TEXT(a->group, r->field[1]);
    CHECK(a->mutating == (strcmp(r->field[2], "1") == 0));
    CHECK_NUMBER(a->retry, strcmp(r->field[4], "always") == 0 ? COMPSHARE_RETRY_ALWAYS
        : strcmp(r->field[4], "verify") == 0 ? COMPSHARE_RETRY_VERIFY : COMPSHARE_RETRY_NEVER);
    CHECK(strcmp(r->field[4], "always") == 0 || strcmp(r->field[4], "verify") == 0
        || strcmp(r->field[4], "never") == 0);
    CHECK(r->field[5][1] == '\0' && a->cost == r->field[5][0]);
    CHECK(a->secret == (strstr(note, "SECRET") != NULL));
    CHECK(a->csv == (strstr(note, "CSV") != NULL));
    CHECK(a->partial == (strstr(note, "RetCode 0 with") != NULL));
    CHECK(a->json_only == (strstr(note, "JSON body") != NULL));
    CHECK(a->retry != COMPSHARE_RETRY_ALWAYS || strcmp(r->field[3], "1") == 0);    /* "always" must be idempotent */
}

static void every_row_by_name(void **state)
{
    size_t i, marked = 0;
    (void)state;
    for (i = 0; i < row_count; i++) {
        compshare_action a = compshare_action_info(rows[i].field[0]);
        support_case("%s", rows[i].field[0]);
        check_row(&a, &rows[i]);
        marked += (size_t)a.secret + (size_t)a.csv + (size_t)a.partial + (size_t)a.json_only;
    }
    support_case("all rows");
    CHECK_NUMBER(i, ACTIONS);
    CHECK_NUMBER(marked, 8);
}

static void every_row_by_number(void **state)
{
    bool seen[COUNT_OF(rows)] = { false };
    size_t i, k;
    (void)state;
    for (i = 0; i < ACTIONS; i++) {
        compshare_action a = compshare_action_at(i);
        support_case("row %u", (unsigned)i);
        CHECK(a.name != NULL);
        for (k = 0; k < row_count && strcmp(rows[k].field[0], a.name) != 0; k++) {}
        CHECK(k < row_count && !seen[k]);
        seen[k] = true;
        check_row(&a, &rows[k]);
    }
    support_case("after the last row");
    CHECK(compshare_action_at(ACTIONS).name == NULL);
    CHECK(compshare_action_at(ACTIONS + 1).name == NULL);
    CHECK(compshare_action_at(SIZE_MAX).name == NULL);
}

static void is_unknown(const char *name)
{
    compshare_action a = compshare_action_info(name);
    support_case("unknown \"%s\"", name != NULL ? name : "NULL");
    CHECK(a.name == NULL);
    CHECK(a.retry == COMPSHARE_RETRY_NEVER && !a.mutating && !a.secret && !a.csv && !a.partial && !a.json_only);
    CHECK(a.cost == '.');
    CHECK(a.group != NULL && a.group[0] == '\0');
}

static void unknown_names(void **state)
{
    size_t i, len;
    char name[128];
    (void)state;
    is_unknown(NULL);
    is_unknown("");
    is_unknown("-");
    is_unknown("ara.-GetProjectList");
    is_unknown("-GetProjectList");
    is_unknown("getprojectlist");
    is_unknown("GetProjectList ");
    is_unknown("DescribeCompShareInstance\n");
    for (i = 0; i < row_count; i++) {
        (void)snprintf(name, sizeof name, "%sX", rows[i].field[0]);
        is_unknown(name);
        for (len = strlen(rows[i].field[0]); len-- > 0;) {
            name[len] = '\0';
            if (!known(name)) is_unknown(name);
        }
        is_unknown(rows[i].field[0] + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_by_name),
        cmocka_unit_test(every_row_by_number),
        cmocka_unit_test(unknown_names)
    };
    return cmocka_run_group_tests(tests, load, unload);
}
