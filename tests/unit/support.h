/* What the unit tests share. Include it after "compshare.h": the header under
   test must come before every system header. */

#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <jansson.h>
#include <cmocka.h>

/* ---- checks that name the case they failed in ---- */

static char support_case_name[256] = "";

/* Names the case that the following checks are about. */
static inline void support_case(const char *form, ...)
{
    va_list args;
    va_start(args, form);
    (void)vsnprintf(support_case_name, sizeof support_case_name, form, args);
    va_end(args);
}

static inline void support_fail(const char *file, int line, const char *what)
{
    print_error("case \"%s\": %s\n", support_case_name, what);
    _fail(file, line);
}

static inline void support_fail_text(const char *file, int line, const char *what, const char *got, const char *wanted)
{
    print_error("case \"%s\": %s\n  got    \"%s\"\n  wanted \"%s\"\n", support_case_name, what, got, wanted);
    _fail(file, line);
}

static inline void support_fail_number(const char *file, int line, const char *what, long long got, long long wanted)
{
    print_error("case \"%s\": %s\n  got    %lld\n  wanted %lld\n", support_case_name, what, got, wanted);
    _fail(file, line);
}

#define CHECK(condition) \
    do { if (!(condition)) support_fail(__FILE__, __LINE__, #condition); } while (0)
#define CHECK_TEXT(got, wanted) \
    do { \
        const char *check_got = (got), *check_wanted = (wanted); \
        if (strcmp(check_got, check_wanted) != 0) support_fail_text(__FILE__, __LINE__, #got, check_got, check_wanted); \
    } while (0)
#define CHECK_NUMBER(got, wanted) \
    do { \
        long long check_got = (long long)(got), check_wanted = (long long)(wanted); \
        if (check_got != check_wanted) support_fail_number(__FILE__, __LINE__, #got, check_got, check_wanted); \
    } while (0)

#define COUNT_OF(array) (sizeof (array) / sizeof (array)[0])

/* ---- random numbers, the same in every run ---- */

static uint64_t support_random_state = UINT64_C(0x9E3779B97F4A7C15);

static inline void support_seed(uint64_t seed)
{
    support_random_state = seed * UINT64_C(0xD1342543DE82EF95) + 1;
}

static inline uint64_t support_random64(void)
{
    uint64_t x = support_random_state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    support_random_state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

/* 0 to below - 1. */
static inline size_t support_random(size_t below)
{
    return (size_t)((support_random64() >> 16) % below);
}

/* ---- memory that ends where reading or writing on is fatal ---- */

typedef struct guard {
    unsigned char *base;
    size_t usable, total;
} guard;

static inline guard guard_open(size_t at_least)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    guard g;
    int zero = open("/dev/zero", O_RDWR);
    void *base;
    g.usable = (at_least + page) / page * page;
    g.total = g.usable + page;
    base = zero < 0 ? MAP_FAILED : mmap(NULL, g.total, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    if (base == MAP_FAILED || mprotect((unsigned char *)base + g.usable, page, PROT_NONE) != 0) {
        print_error("no guarded memory\n");
        exit(2);
    }
    (void)close(zero);
    g.base = (unsigned char *)base;
    return g;
}

static inline void guard_close(guard *g)
{
    (void)munmap(g->base, g->total);
    g->base = NULL;
}

/* The last len bytes before the forbidden page. */
static inline unsigned char *guard_tail(const guard *g, size_t len)
{
    if (len > g->usable) support_fail(__FILE__, __LINE__, "guard_tail: too long");
    return g->base + (g->usable - len);
}

static inline unsigned char *guard_copy(const guard *g, const void *src, size_t len)
{
    unsigned char *at = guard_tail(g, len);
    if (len > 0) memcpy(at, src, len);
    return at;
}

/* ---- data ---- */

typedef struct bytes {
    unsigned char *ptr;
    size_t len;
} bytes;

static inline int support_base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Freed by the caller; exactly as long as the data, so that sanitizers see the end. */
static inline bytes support_base64(const char *text)
{
    bytes b;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t room = strlen(text) / 4 * 3;
    while (room > 0 && text[strlen(text) - 1] == '=') {
        room -= text[strlen(text) - 2] == '=' ? 2 : 1;
        break;
    }
    b.len = 0;
    b.ptr = (unsigned char *)malloc(room > 0 ? room : 1);
    if (b.ptr == NULL) exit(2);
    for (; *text != '\0' && b.len < room; text++) {
        int digit = support_base64_digit(*text);
        if (digit < 0) continue;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        b.ptr[b.len++] = (unsigned char)(bits >> have);
    }
    return b;
}

/* A whole file, with a NUL behind it; freed by the caller. ptr NULL: no such file. */
static inline bytes support_file(const char *path)
{
    bytes b = { NULL, 0 };
    FILE *f = fopen(path, "rb");
    size_t room = 0;
    if (f == NULL) return b;
    for (;;) {
        if (room - b.len < 65536) {
            room = room * 2 + 131072;
            b.ptr = (unsigned char *)realloc(b.ptr, room);
            if (b.ptr == NULL) exit(2);
        }
        {
            size_t n = fread(b.ptr + b.len, 1, room - b.len - 1, f);
            if (n == 0) break;
            b.len += n;
        }
    }
    (void)fclose(f);
    b.ptr[b.len] = '\0';
    return b;
}

/* The rows of a JSONL file as a jansson array; json_decref by the caller. */
static inline json_t *support_rows(const char *path)
{
    bytes file = support_file(path);
    json_t *rows = json_array();
    size_t at = 0;
    if (file.ptr == NULL) {
        print_error("%s: no such file; run from the repository's root\n", path);
        exit(2);
    }
    while (at < file.len) {
        size_t end = at;
        json_error_t error;
        while (end < file.len && file.ptr[end] != '\n') end++;
        if (end > at) {
            json_t *row = json_loadb((const char *)file.ptr + at, end - at, JSON_ALLOW_NUL, &error);
            if (row == NULL) {
                print_error("%s: row %lu: %s\n", path, (unsigned long)json_array_size(rows), error.text);
                exit(2);
            }
            (void)json_array_append_new(rows, row);
        }
        at = end + 1;
    }
    free(file.ptr);
    return rows;
}

/* A string member, "" if absent. */
static inline const char *support_text(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL ? text : "";
}

#endif /* TESTS_SUPPORT_H */
