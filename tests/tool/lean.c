/* examples/static/lean.c against the system's own functions. TAP. */
#define LEAN_TEST
#include "../../examples/static/lean.c"
#undef vfprintf
#undef malloc
#undef free
#undef calloc
#undef realloc
#undef qsort
#undef fnmatch
#undef strftime
#undef strstr
#undef strerror
#undef mbstowcs

#include <stdlib.h>

static int tests;

static void report(bool fine, const char *name)
{
    (void)printf("%sok %d - %s\n", fine ? "" : "not ", ++tests, name);
}

static size_t differ;

static int both(FILE *file, const char *format, ...)
{
    char ours[2048], theirs[2048];
    va_list args;
    int a, b;
    size_t len;
    va_start(args, format);
    rewind(file);
    a = lean_vfprintf(file, format, args);
    va_end(args);
    (void)fflush(file);
    rewind(file);
    len = fread(ours, 1, a < 0 ? 0 : (size_t)a, file);
    ours[len] = '\0';
    va_start(args, format);
    b = vsnprintf(theirs, sizeof theirs, format, args);
    va_end(args);
    if (a == b && strcmp(ours, theirs) == 0) return 0;
    differ++;
    (void)printf("# \"%s\": %d \"%s\", the system has %d \"%s\"\n", format, a, ours, b, theirs);
    return 1;
}

static void compare_formats(void)
{
    static const char *const flags[] = { "", "-", "0", "-0", "+", " ", "+0", "+-" }, *const widths[] = { "", "1", "7", "24", "*" },
        *const precisions[] = { "", ".", ".0", ".1", ".5", ".*" }, *const numbers[] = { "d", "ld", "lld", "zd", "u", "lu", "llu", "zu", "x", "llx", "jd" };
    static const long long values[] = { 0, 1, -1, 42, -300, INT_MAX, INT_MIN, 1712649600, LLONG_MAX, LLONG_MIN };
    static const char *const texts[] = { "", "a", "uhost-xxxx", "\xE5\x85\xB3\xE6\x9C\xBA" };
    char format[64];
    size_t f, w, p, n, v;
    FILE *file = tmpfile();
    if (file == NULL) { report(false, "a temporary file"); return; }
    for (f = 0; f < 8; f++) for (w = 0; w < 5; w++) for (p = 0; p < 6; p++) {
        int stars = (widths[w][0] == '*') + (precisions[p][0] == '.' && precisions[p][1] == '*');
        for (n = 0; n < 11; n++) for (v = 0; v < 10; v++) {
            const char *number = numbers[n];
            bool is_unsigned = strchr("ux", number[strlen(number) - 1]) != NULL;
            if (is_unsigned && strpbrk(flags[f], "+ ") != NULL) continue;      /* undefined */
            (void)snprintf(format, sizeof format, "<%%%s%s%s%s>", flags[f], widths[w], precisions[p], number);
#define CALL(value) (stars == 0 ? both(file, format, value) : stars == 1 ? both(file, format, 5, value) : both(file, format, -9, 3, value))
            if (number[0] == 'd' || number[0] == 'u' || number[0] == 'x') (void)CALL((int)values[v]);
            else if (number[0] == 'z' || number[1] != 'l') (void)CALL((long)values[v]);
            else (void)CALL(values[v]);
        }
        for (v = 0; v < 4 && strpbrk(flags[f], "+ 0") == NULL; v++) {
            (void)snprintf(format, sizeof format, "<%%%s%s%ss>", flags[f], widths[w], precisions[p]);
            (void)CALL(texts[v]);
        }
    }
    (void)both(file, "%c%5c%-5c|%%|%%%d", 'x', 'y', 'z', 7);
    (void)both(file, "%.3s", "four");
    (void)both(file, "%600s%-600s|", "right", "left");
    (void)both(file, "plain");
    (void)fclose(file);
    report(differ == 0, "printf prints what the system's prints");
}

/* Blocks of all sizes come and go; each keeps what was written into it. */
static void exercise_blocks(void)
{
    static unsigned char *blocks[400];
    static size_t sizes[400];
    size_t i, k, wrong = 0;
    unsigned random = 1;
    for (i = 0; i < 200000; i++) {
        size_t at = (random = random * 1103515245u + 12345u) / 65536 % 400;
        size_t size = (random = random * 1103515245u + 12345u) / 65536 % (i % 97 == 0 ? 200000 : i % 7 == 0 ? 5000 : 200);
        unsigned char mark = (unsigned char)at;
        for (k = 0; k < sizes[at]; k += 61) wrong += blocks[at][k] != mark;
        if (i % 3 == 0) {
            lean_free(blocks[at]);
            blocks[at] = (unsigned char *)(i % 2 == 0 ? lean_malloc(size) : lean_calloc(1, size));
            if (i % 2 != 0) for (k = 0; k < size; k++) wrong += blocks[at][k] != 0;
        } else {
            size_t kept = size < sizes[at] ? size : sizes[at];
            blocks[at] = (unsigned char *)lean_realloc(blocks[at], size);
            for (k = 0; k < kept; k += 61) wrong += blocks[at][k] != mark;
        }
        wrong += blocks[at] == NULL || ((uintptr_t)blocks[at] & 15) != 0;
        if (blocks[at] == NULL) break;
        memset(blocks[at], mark, size);
        sizes[at] = size;
    }
    for (i = 0; i < 400; i++) lean_free(blocks[i]);
    report(wrong == 0, "malloc: blocks do not overlap, and realloc keeps what is in them");
    errno = 0;
    report(lean_malloc(SIZE_MAX) == NULL && lean_malloc(SIZE_MAX / 2 + 9) == NULL && lean_calloc(SIZE_MAX / 2, 3) == NULL && errno == ENOMEM,
        "malloc: what cannot be had is refused");
}

static int by_first(const void *a, const void *b)
{
    return (int)*(const unsigned char *)a - (int)*(const unsigned char *)b;
}

static void compare_sorts(void)
{
    unsigned char rows[48][28];
    size_t i, wrong = 0;
    for (i = 0; i < 48; i++) memset(rows[i], (int)(i * 29 % 40), sizeof rows[i]);
    lean_qsort(rows, 48, sizeof rows[0], by_first);
    for (i = 1; i < 48; i++) wrong += rows[i - 1][27] > rows[i][27] || rows[i][0] != rows[i][27];
    report(wrong == 0, "qsort sorts");
}

/* Every pattern of up to 5 characters of a small alphabet, on many texts. */
static void compare_patterns(void)
{
    static const char letters[] = "ab*?[]!-\\", *const texts[] = { "", "a", "b", "ab", "ba", "aab", "abab", "a-b", "[a]", "!", "\\a", "bbbaab", "a]" };
    char pattern[6];
    size_t i, k, wrong = 0, compared = 0;
    for (i = 0; i < 9 * 9 * 9 * 9 * 9; i++) {
        size_t rest = i, len = 0;
        for (; rest > 0; rest /= 9) pattern[len++] = letters[rest % 9];
        pattern[len] = '\0';
        if (len > 0 && pattern[len - 1] == '\\') continue;         /* unspecified */
        if (strchr(pattern, '[') != NULL && (strchr(pattern, '\\') != NULL || strchr(pattern, '-') != NULL)) continue;      /* systems differ */
        for (k = 0; k < sizeof texts / sizeof *texts; k++, compared++) {
            if ((lean_fnmatch(pattern, texts[k], 0) == 0) == (fnmatch(pattern, texts[k], 0) == 0)) continue;
            if (wrong++ < 5) (void)printf("# pattern \"%s\", text \"%s\"\n", pattern, texts[k]);
        }
    }
    report(wrong == 0 && compared > 100000, "fnmatch finds what the system's finds");
    report(lean_fnmatch("gpu-[0-9]?*", "gpu-42-x", 0) == 0 && lean_fnmatch("gpu-[!0-9]*", "gpu-42", 0) != 0 && lean_fnmatch("[a\\]]x", "]x", 0) == 0
        && lean_fnmatch("?-\xE6\x9C\xBA", "\xE5\x85\xB3-\xE6\x9C\xBA", 0) == 0 && lean_fnmatch("[\xE5\x85\xB3\xE6\x9C\xBA]1", "\xE6\x9C\xBA" "1", 0) == 0,
        "fnmatch: ranges, and characters of UTF-8");
}

static void compare_times(void)
{
    char ours[64], theirs[64];
    size_t wrong = 0, i, cap;
    for (i = 0; i < 2000; i++) {
        time_t t = (time_t)(i * 1234567 + i);
        struct tm *parts = gmtime(&t);
        parts->tm_gmtoff = (long)(i % 57) * 1800 - 12 * 3600;
        for (cap = 0; cap < 40; cap += 1 + i % 13) {
            size_t a = lean_strftime(ours, cap, "%Y-%m-%d %H:%M:%S %z", parts), b = strftime(theirs, cap, "%Y-%m-%d %H:%M:%S %z", parts);
            wrong += a != b || (a > 0 && strcmp(ours, theirs) != 0);
        }
    }
    report(wrong == 0, "strftime writes what the system's writes");
    report(lean_strstr("a://b", "://") != NULL && strcmp(lean_strstr("a://b", "://"), "://b") == 0 && lean_strstr("a:/", "://") == NULL && lean_strstr("", "") != NULL
        && lean_strstr("", "x") == NULL && strcmp(lean_strstr("aab", "ab"), "ab") == 0, "strstr finds");
    report(strcmp(lean_strerror(ENOENT), strerror(ENOENT)) == 0 && strcmp(lean_strerror(EACCES), strerror(EACCES)) == 0
        && strcmp(lean_strerror(ETXTBSY), strerror(ETXTBSY)) == 0 && strcmp(lean_strerror(12345), "error 12345") == 0, "strerror says what");
}

int main(void)
{
    compare_formats();
    exercise_blocks();
    compare_sorts();
    compare_patterns();
    compare_times();
    (void)printf("1..%d\n", tests);
    return 0;
}
