/* How many values and names a valid JSON text has: an opinion of its own, for what jsmn
   makes of it. */

#ifndef TESTS_TOKENS_H
#define TESTS_TOKENS_H

#include <string.h>

static inline size_t count_tokens(const char *text, size_t len)
{
    size_t count = 0, i = 0;
    while (i < len) {
        if (strchr(" \t\r\n,:]}", text[i]) != NULL) { i++; continue; }
        count++;
        if (text[i] == '"') {
            for (i++; text[i] != '"'; i++) i += text[i] == '\\';
            i++;
        } else if (text[i] == '[' || text[i] == '{') {
            i++;
        } else {        /* a number or a word */
            while (i < len && strchr(" \t\r\n,:]}", text[i]) == NULL) i++;
        }
    }
    return count;
}

#endif
