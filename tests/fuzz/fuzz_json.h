/* An independent opinion on JSON replies: jansson, with its differences evened out. */

#ifndef TESTS_FUZZ_JSON_H
#define TESTS_FUZZ_JSON_H

#include "fuzz.h"
#include <jansson.h>

enum { OPINION_REFUSED, OPINION_ACCEPTED, OPINION_NONE };

static inline int fuzz_hex4(const char *p)
{
    int i, code = 0;
    for (i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF", *at = p[i] != '\0' ? strchr(digits, p[i]) : NULL;
        if (at == NULL) return -1;
        code = code * 16 + (int)((at - digits) % 16);
    }
    return code;
}

/* Writes U+FFFD for every lone surrogate escape, which jansson refuses and compshare.h
   reads so. */
static inline void fuzz_mend_surrogates(char *s, size_t len)
{
    size_t i = 0;
    while (i < len) {
        int code, low;
        if (s[i] != '\\') { i++; continue; }
        if (i + 6 > len || s[i + 1] != 'u' || (code = fuzz_hex4(s + i + 2)) < 0) { i += 2; continue; }
        low = i + 12 <= len && s[i + 6] == '\\' && s[i + 7] == 'u' ? fuzz_hex4(s + i + 8) : -1;
        if (code >= 0xD800 && code < 0xDC00 && low >= 0xDC00 && low < 0xE000) { i += 12; continue; }
        if (code >= 0xD800 && code < 0xE000) memcpy(s + i + 2, "fffd", 4);
        i += 6;
    }
}

/* jansson's opinion of a text without a byte order mark. OPINION_NONE: numbers beyond
   its types, NUL in a name, or nested deeper than it goes. *root to be released. */
static inline int fuzz_opinion(const char *text, size_t len, json_t **root)
{
    json_error_t error;
    char *copy;
    *root = NULL;
    if (memchr(text, '\0', len) != NULL) return OPINION_REFUSED;    /* jansson overlooks one behind a number */
    copy = fuzz_string(text, len);
    fuzz_mend_surrogates(copy, len);
    *root = json_loadb(copy, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    free(copy);
    if (*root != NULL) return OPINION_ACCEPTED;
    switch (json_error_code(&error)) {
    case json_error_numeric_overflow:
    case json_error_null_byte_in_key:
    case json_error_stack_overflow: return OPINION_NONE;
    default: return OPINION_REFUSED;
    }
}

/* How often the object `text`, which jansson has accepted, has a member of this name,
   at its top level; *value is the last one's text. */
static inline size_t fuzz_members(const char *text, size_t len, const char *name, compshare_view *value)
{
    size_t i, start = 0, hits = 0;
    int depth = 0;
    bool hit = false, key = false;
    for (i = 0; i < len; i++) {
        char c = text[i];
        if (c == '"') {
            size_t from = i++;
            json_t *string;
            while (text[i] != '"') i += text[i] == '\\' ? 2 : 1;
            if (depth != 1 || !key) continue;
            {
                char *copy = fuzz_string(text + from, i + 1 - from);
                fuzz_mend_surrogates(copy, i + 1 - from);
                string = json_loads(copy, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
                free(copy);
            }
            hit = string != NULL && json_string_length(string) == strlen(name)
                && strcmp(json_string_value(string), name) == 0;
            json_decref(string);
            continue;
        }
        if (c == ':' && depth == 1) { key = false; start = i + 1; }
        if ((c == ',' || c == '}') && depth == 1 && hit && !key) {
            hits++;
            value->ptr = text + start;
            value->len = i - start;
        }
        if ((c == ',' && depth == 1) || (c == '{' && depth == 0)) { key = true; hit = false; }
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') depth--;
    }
    return hits;
}

/* A 32-bit integer, or a string that is one, in canonical form. */
static inline bool fuzz_ret_code(compshare_view v, int *code)
{
    json_error_t error;
    char back[32];
    char *copy = fuzz_string(v.ptr, v.len);
    json_t *value = json_loads(copy, JSON_DECODE_ANY, &error);
    bool good = false;
    free(copy);
    if (json_is_integer(value)) {
        json_int_t n = json_integer_value(value);
        good = n >= INT32_MIN && n <= INT32_MAX;
        *code = (int)n;
    } else if (json_is_string(value) && json_string_length(value) < 20) {
        long long n = strtoll(json_string_value(value), NULL, 10);
        (void)snprintf(back, sizeof back, "%lld", n);
        good = strcmp(back, json_string_value(value)) == 0 && n >= INT32_MIN && n <= INT32_MAX;
        *code = (int)n;
    }
    json_decref(value);
    return good;
}

#endif /* TESTS_FUZZ_JSON_H */
