/* Debian compiles libbearssl.a with _FORTIFY_SOURCE, for glibc: it calls these three,
   which musl does not have. The bounds check is kept: who would write past the end of
   an object ends at once. */
#include <stddef.h>
#include <string.h>

void *__memcpy_chk(void *dst, const void *src, size_t len, size_t cap);
void *__memmove_chk(void *dst, const void *src, size_t len, size_t cap);
void *__memset_chk(void *dst, int byte, size_t len, size_t cap);

void *__memcpy_chk(void *dst, const void *src, size_t len, size_t cap)
{
    if (len > cap) __builtin_trap();
    return memcpy(dst, src, len);
}

void *__memmove_chk(void *dst, const void *src, size_t len, size_t cap)
{
    if (len > cap) __builtin_trap();
    return memmove(dst, src, len);
}

void *__memset_chk(void *dst, int byte, size_t len, size_t cap)
{
    if (len > cap) __builtin_trap();
    return memset(dst, byte, len);
}
