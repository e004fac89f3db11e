/* A program with its own jsmn. run.sh defines any of JSMN_STATIC, JSMN_HEADER,
   JSMN_STRICT and JSMN_PARENT_LINKS, each with the matching EXPECT_, and BEFORE or
   AFTER or both. */
#ifdef BEFORE
#include <jsmn.h>
#endif
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#ifdef AFTER
#include <jsmn.h>
#endif
#define USE_NAME use
#include "use.h"

#ifndef JSMN_H
#error "the program's jsmn is gone"
#endif
#if defined(EXPECT_STATIC) != defined(JSMN_STATIC)
#error "JSMN_STATIC has changed"
#endif
#if defined(EXPECT_HEADER) != defined(JSMN_HEADER)
#error "JSMN_HEADER has changed"
#endif
#if defined(EXPECT_STRICT) != defined(JSMN_STRICT)
#error "JSMN_STRICT has changed"
#endif
#if defined(EXPECT_LINKS) != defined(JSMN_PARENT_LINKS)
#error "JSMN_PARENT_LINKS has changed"
#endif
#if defined(jsmn_parse) || defined(jsmntok_t) || defined(JSMN_OBJECT) || defined(JSMN_ERROR_PART)
#error "a name of jsmn is still a macro"
#endif

static int parse(const char *text)
{
    jsmn_parser parser;
    jsmntok_t token[8];
    jsmn_init(&parser);
    return jsmn_parse(&parser, text, strlen(text), token, 8);
}

int main(void)
{
    size_t plain = sizeof(jsmntype_t) + 3 * sizeof(int);
    if (parse("{\"a\":1}") != 3) return 101;
    if (parse("{\"a\":[1") != JSMN_ERROR_PART) return 102;
    /* only strict jsmn minds a word that is no value */
#ifdef EXPECT_STRICT
    if (parse("[word]") != JSMN_ERROR_INVAL) return 103;
#else
    if (parse("[word]") != 2) return 104;
#endif
#ifdef EXPECT_LINKS
    if (sizeof(jsmntok_t) <= plain) return 105;
#else
    if (sizeof(jsmntok_t) != plain) return 106;
#endif
    return use();
}
