/* Some of libc in a smaller form, for the static tool: it uses less of it than musl's
   can do, and that less is an eighth of the program.

   printf: integers, strings and characters; flags "-", "0", "+" and " "; width and
   precision, "*" too. No floating point, no wide characters, no positions. An unknown
   conversion ends the program: formats come from its own table only.

   malloc: classes of powers of two, each with a list of what was freed; from 64 KB on
   every block is a mapping of its own. For one thread.

   qsort: by insertion. Only getaddrinfo sorts, 48 addresses at most.

   fnmatch: "*", "?", sets and "\\", no flags; "?" is a character of UTF-8.

   strftime: %Y %m %d %H %M %S and %z. strstr: for short texts. strerror: what a file, a
   pipe or a new process can fail with. mbstowcs: getaddrinfo only asks it whether a
   name is UTF-8, and compshare.h has seen to it that it is ASCII. */
#define _GNU_SOURCE
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifdef LEAN_TEST                /* tests/tool/lean.c compares them with the system's */
#define vfprintf lean_vfprintf
#define malloc lean_malloc
#define free lean_free
#define calloc lean_calloc
#define realloc lean_realloc
#define qsort lean_qsort
#define fnmatch lean_fnmatch
#define strftime lean_strftime
#define strstr lean_strstr
#define strerror lean_strerror
#define mbstowcs lean_mbstowcs
#endif

/* ---- printf ---- */

/* What is written goes out in one piece, as standard error has no buffer. */
typedef struct lean_writer {
    FILE *to;
    size_t len;
    int total;
    char text[512];
} lean_writer;

static void lean_flush(lean_writer *w)
{
    if (w->len > 0) (void)fwrite(w->text, 1, w->len, w->to);
    w->len = 0;
}

static void lean_put(lean_writer *w, const char *text, size_t len)
{
    for (; len > 0; len--) {
        if (w->len == sizeof w->text) lean_flush(w);
        w->text[w->len++] = *text++;
        if (w->total < INT_MAX) w->total++;
    }
}

static void lean_pad(lean_writer *w, char with, int count)
{
    for (; count > 0; count--) lean_put(w, &with, 1);
}

/* One conversion's flags. */
typedef struct lean_form {
    bool left, zero;
    char sign;                  /* before what is not negative; 0: none */
    int width, precision;       /* precision -1: not given */
} lean_form;

static void lean_text(lean_writer *w, const lean_form *f, const char *text)
{
    size_t len = f->precision < 0 ? strlen(text) : strnlen(text, (size_t)f->precision);
    int pad = f->width - (int)len;
    if (!f->left) lean_pad(w, ' ', pad);
    lean_put(w, text, len);
    if (f->left) lean_pad(w, ' ', pad);
}

static void lean_number(lean_writer *w, const lean_form *f, uintmax_t number, unsigned base, char sign)
{
    char digits[24];
    int len = 0, zeros, pad;
    for (; number > 0; number /= base) digits[sizeof digits - (size_t)++len] = "0123456789abcdef"[number % base];
    zeros = (f->precision < 0 ? 1 : f->precision) - len;
    if (zeros < 0) zeros = 0;
    pad = f->width - zeros - len - (sign != 0);
    if (f->zero && !f->left && f->precision < 0 && pad > 0) {
        zeros += pad;
        pad = 0;
    }
    if (!f->left) lean_pad(w, ' ', pad);
    if (sign != 0) lean_put(w, &sign, 1);
    lean_pad(w, '0', zeros);
    lean_put(w, digits + sizeof digits - len, (size_t)len);
    if (f->left) lean_pad(w, ' ', pad);
}

static int lean_digits(const char **s)
{
    int number = 0;
    for (; **s >= '0' && **s <= '9' && number < 100000; ++*s) number = number * 10 + (**s - '0');
    return number;
}

int vfprintf(FILE *to, const char *format, va_list args)
{
    lean_writer w;
    w.to = to;
    w.len = 0;
    w.total = 0;
    while (*format != '\0') {
        lean_form f = { false, false, 0, 0, -1 };
        size_t plain = strcspn(format, "%");
        int length = 0;
        char one;
        lean_put(&w, format, plain);
        format += plain;
        if (*format++ == '\0') break;
        for (; *format != '\0' && strchr("-0+ ", *format) != NULL; format++) {
            if (*format == '-') f.left = true;
            else if (*format == '0') f.zero = true;
            else if (f.sign != '+') f.sign = *format;
        }
        if (*format == '*') { f.width = va_arg(args, int); format++; }
        else f.width = lean_digits(&format);
        if (f.width < 0) { f.left = true; f.width = -f.width; }
        if (*format == '.') {
            format++;
            if (*format == '*') { f.precision = va_arg(args, int); format++; }
            else f.precision = lean_digits(&format);
        }
        for (; *format == 'l' || *format == 'z' || *format == 'j'; format++) length += *format == 'j' ? 2 : 1;     /* size_t is as wide as long */
        switch (*format++) {
        case '%': lean_put(&w, "%", 1); break;
        case 'c':
            one = (char)va_arg(args, int);
            lean_pad(&w, ' ', f.left ? 0 : f.width - 1);
            lean_put(&w, &one, 1);
            lean_pad(&w, ' ', f.left ? f.width - 1 : 0);
            break;
        case 's': {
            const char *text = va_arg(args, const char *);
            lean_text(&w, &f, text != NULL ? text : "(null)");
            break;
        }
        case 'd': {
            intmax_t number = length == 0 ? va_arg(args, int) : length == 1 ? va_arg(args, long) : va_arg(args, long long);
            lean_number(&w, &f, number < 0 ? 0 - (uintmax_t)number : (uintmax_t)number, 10, number < 0 ? '-' : f.sign);
            break;
        }
        case 'u':
        case 'x': {
            uintmax_t number = length == 0 ? va_arg(args, unsigned) : length == 1 ? va_arg(args, unsigned long) : va_arg(args, unsigned long long);
            lean_number(&w, &f, number, format[-1] == 'u' ? 10 : 16, 0);
            break;
        }
        default: __builtin_trap();
        }
    }
    lean_flush(&w);
    return ferror(to) ? -1 : w.total;
}

/* ---- malloc ---- */

/* Before every block, 16 bytes: blocks stay at multiples of 16. */
typedef union lean_head {
    struct { size_t cap; union lean_head *next; } as;
    char bytes[16];
} lean_head;

enum { LEAN_SMALLEST = 16, LEAN_CLASSES = 12, LEAN_CHUNK = 65536 };    /* the last class: 32 KB */

static lean_head *lean_freed[LEAN_CLASSES];
static char *lean_at, *lean_end;

static lean_head *lean_map(size_t size)
{
    void *map = size > PTRDIFF_MAX ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) errno = ENOMEM;
    return map == MAP_FAILED ? NULL : (lean_head *)map;
}

void *malloc(size_t len)
{
    size_t cap = LEAN_SMALLEST;
    lean_head *head;
    int class = 0;
    while (cap < len && class < LEAN_CLASSES) { cap *= 2; class++; }
    if (class == LEAN_CLASSES) {
        head = len > SIZE_MAX - sizeof *head ? (errno = ENOMEM, (lean_head *)NULL) : lean_map(len + sizeof *head);
        if (head == NULL) return NULL;
        head->as.cap = len;
        return head + 1;
    }
    head = lean_freed[class];
    if (head != NULL) {
        lean_freed[class] = head->as.next;
        return head + 1;
    }
    if ((size_t)(lean_end - lean_at) < cap + sizeof *head) {      /* what is left of the old one is lost */
        lean_at = (char *)lean_map(LEAN_CHUNK);
        lean_end = lean_at != NULL ? lean_at + LEAN_CHUNK : NULL;
        if (lean_at == NULL) return NULL;
    }
    head = (lean_head *)(void *)lean_at;
    lean_at += cap + sizeof *head;
    head->as.cap = cap;
    return head + 1;
}

void free(void *block)
{
    lean_head *head;
    int error = errno, class = 0;
    if (block == NULL) return;
    head = (lean_head *)block - 1;
    while (class < LEAN_CLASSES && (size_t)LEAN_SMALLEST << class != head->as.cap) class++;
    if (class == LEAN_CLASSES) {
        (void)munmap(head, head->as.cap + sizeof *head);
    } else {
        head->as.next = lean_freed[class];
        lean_freed[class] = head;
    }
    errno = error;
}

void *calloc(size_t count, size_t size)
{
    void *block;
    if (size != 0 && count > SIZE_MAX / size) { errno = ENOMEM; return NULL; }
    block = malloc(count * size);
    if (block != NULL) memset(block, 0, count * size);
    return block;
}

void *realloc(void *block, size_t len)
{
    size_t cap = block != NULL ? ((lean_head *)block - 1)->as.cap : 0;
    void *more;
    if (block != NULL && len <= cap) return block;
    more = malloc(len);
    if (more == NULL || block == NULL) return more;
    memcpy(more, block, cap);
    free(block);
    return more;
}

/* ---- qsort ---- */

void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    size_t i, k, byte;
    for (i = 1; i < count; i++)
        for (k = i; k > 0; k--) {
            char *a = (char *)base + (k - 1) * size, *b = a + size;
            if (compare(a, b) <= 0) break;
            for (byte = 0; byte < size; byte++) {
                char kept = a[byte];
                a[byte] = b[byte];
                b[byte] = kept;
            }
        }
}

/* ---- fnmatch ---- */

/* The character of UTF-8 at *s, which moves behind it. */
static unsigned lean_character(const char **s)
{
    unsigned c = (unsigned char)*(*s)++;
    while (((unsigned char)**s & 0xC0) == 0x80) c = c << 6 | ((unsigned char)*(*s)++ & 0x3F);
    return c;
}

/* Whether the set behind a "[" has c; *p moves behind it, or is NULL where it has no end. */
static bool lean_in_set(const char **p, unsigned c)
{
    const char *at = *p;
    bool other = *at == '!' || *at == '^', found = false, first = true;
    if (other) at++;
    for (; *at != ']' || first; first = false) {
        unsigned low, high;
        if (*at == '\\' && at[1] != '\0') at++;
        if (*at == '\0') { *p = NULL; return false; }
        low = high = lean_character(&at);
        if (*at == '-' && at[1] != ']' && at[1] != '\0') {
            at++;
            if (*at == '\\' && at[1] != '\0') at++;
            high = lean_character(&at);
        }
        found = found || (c >= low && c <= high);
    }
    *p = at + 1;
    return found != other;
}

/* One step of pattern and text, "*" aside. */
static bool lean_step(const char **pattern, const char **text)
{
    const char *p = *pattern, *set;
    if (*p == '\0' || **text == '\0') return false;
    if (*p == '?' || *p == '[') {
        const char *behind = *text;
        unsigned c = lean_character(&behind);
        bool fine = true;
        set = ++p;
        if (p[-1] == '[') fine = lean_in_set(&set, c);
        if (set != NULL) {
            *pattern = set;
            *text = behind;
            return fine;
        }
        p--;                    /* a "[" without an end stands for itself */
    }
    if (*p == '\\' && p[1] != '\0') p++;
    if (*p != **text) return false;
    *pattern = p + 1;
    ++*text;
    return true;
}

int fnmatch(const char *pattern, const char *text, int flags)
{
    const char *star = NULL, *from = NULL;
    (void)flags;
    while (*pattern != '\0' || *text != '\0') {
        if (*pattern == '*') { star = ++pattern; from = text; continue; }
        if (lean_step(&pattern, &text)) continue;
        if (star == NULL || *from == '\0') return FNM_NOMATCH;
        (void)lean_character(&from);
        pattern = star;
        text = from;
    }
    return 0;
}

/* ---- strftime, strstr, strerror, mbstowcs ---- */

size_t strftime(char *text, size_t cap, const char *format, const struct tm *t)
{
    size_t len = 0;
    for (; *format != '\0'; format++) {
        char one[16] = "";
        long minutes = t->tm_gmtoff / 60, size = minutes < 0 ? -minutes : minutes;
        int n = 1;
        one[0] = *format;
        if (*format == '%') switch (*++format) {
        case 'Y': n = snprintf(one, sizeof one, "%d", t->tm_year + 1900); break;
        case 'm': n = snprintf(one, sizeof one, "%02d", t->tm_mon + 1); break;
        case 'd': n = snprintf(one, sizeof one, "%02d", t->tm_mday); break;
        case 'H': n = snprintf(one, sizeof one, "%02d", t->tm_hour); break;
        case 'M': n = snprintf(one, sizeof one, "%02d", t->tm_min); break;
        case 'S': n = snprintf(one, sizeof one, "%02d", t->tm_sec); break;
        case 'z': n = snprintf(one, sizeof one, "%c%02ld%02ld", minutes < 0 ? '-' : '+', size / 60, size % 60); break;
        default: __builtin_trap();
        }
        if (len + (size_t)n >= cap) return 0;
        memcpy(text + len, one, (size_t)n);
        len += (size_t)n;
    }
    if (cap == 0) return 0;
    text[len] = '\0';
    return len;
}

char *strstr(const char *text, const char *part)
{
    size_t len = strlen(part);
    for (; strncmp(text, part, len) != 0; text++)
        if (*text == '\0') return NULL;
    return (char *)(uintptr_t)text;
}

char *strerror(int error)
{
    static const struct { int error; char text[28]; } known[] = {
        { EPERM, "Operation not permitted" }, { ENOENT, "No such file or directory" }, { ESRCH, "No such process" }, { EIO, "I/O error" },
        { E2BIG, "Argument list too long" }, { ENOEXEC, "Exec format error" }, { EAGAIN, "Resource unavailable" }, { ENOMEM, "Out of memory" },
        { EACCES, "Permission denied" }, { EEXIST, "File exists" }, { ENOTDIR, "Not a directory" }, { EISDIR, "Is a directory" },
        { EMFILE, "Too many open files" }, { ENFILE, "Too many open files" }, { ETXTBSY, "Text file busy" }, { ENOSPC, "No space left on device" },
        { EROFS, "Read-only file system" }, { EPIPE, "Broken pipe" }, { ENAMETOOLONG, "Name too long" }, { ELOOP, "Too many symbolic links" },
        { EINVAL, "Invalid argument" }
    };
    static char other[24];
    size_t i;
    for (i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].error == error) return (char *)(uintptr_t)known[i].text;
    (void)snprintf(other, sizeof other, "error %d", error);
    return other;
}

size_t mbstowcs(wchar_t *to, const char *text, size_t cap)
{
    (void)to;
    (void)cap;
    return strlen(text);
}
