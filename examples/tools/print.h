/* ==== print =======================================================================

   Does:  as much of printf as is used here, and counts the columns of a terminal that a
          text takes. The C library's printf would bring 10,560 bytes into the static
          program: 268,176 instead of 257,616, where 262,144 are allowed.
   May:   write to the file or the buffer that it is given.
   Never: allocates; knows a message or an option. */

/* Bytes of the UTF-8 character at s, 0 where there is none (RFC 3629). */
static int character(const unsigned char *s)
{
    int i, n = *s < 0x80 ? 1 : *s < 0xC2 ? 0 : *s < 0xE0 ? 2 : *s < 0xF0 ? 3 : *s < 0xF5 ? 4 : 0;
    if ((*s == 0xE0 && s[1] < 0xA0) || (*s == 0xED && s[1] > 0x9F)
        || (*s == 0xF0 && s[1] < 0x90) || (*s == 0xF4 && s[1] > 0x8F)) return 0;
    for (i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    return n;
}

/* The character at s, and how many bytes it takes; 0, and *code the byte, where there is none. */
static int next_code(const char *s, uint32_t *code)
{
    int i, n = character((const unsigned char *)s);
    *code = (unsigned char)*s & (0xFFU >> (n > 1 ? n + 1 : 0));
    for (i = 1; i < n; i++) *code = *code << 6 | ((unsigned char)s[i] & 0x3F);
    return n;
}

/* Columns of a terminal that a text takes: characters of East Asia take two. */
static int width(const char *text)
{
    static const struct { uint32_t first, last; } wide[] = {
        { 0x1100, 0x115F }, { 0x2E80, 0xA4CF }, { 0xAC00, 0xD7A3 },
        { 0xF900, 0xFAFF }, { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 },
        { 0x1F300, 0x1FAFF }, { 0x20000, 0x3FFFD }
    };
    int columns = 0;
    while (*text != '\0') {
        uint32_t code;
        int n = next_code(text, &code);
        size_t k;
        text += n > 0 ? n : 1;
        columns++;
        for (k = 0; k < COUNT(wide); k++) columns += code >= wide[k].first && code <= wide[k].last;
        /* part of the one before */
        if ((code >= 0x300 && code <= 0x36F) || code == 0x200D
            || (code >= 0xFE00 && code <= 0xFE0F)) columns--;
    }
    return columns;
}

/* Where text goes: to a file, or into a buffer, of which cap bytes are left. */
typedef struct printer { FILE *to; char *at; size_t cap; int len; } printer;

static void emit(printer *p, const char *text, size_t len)
{
    p->len += (int)len;
    if (p->to != NULL) {
        (void)fwrite(text, 1, len, p->to);
        return;
    }
    if (len >= p->cap) len = p->cap > 0 ? p->cap - 1 : 0;
    memcpy(p->at, text, len);
    p->at += len;
    p->cap -= len;
}

/* How a conversion is to look. */
typedef struct look { bool left, sign, zeros, most; int width, limit; char size; } look;

static void emit_number(printer *p, const look *l, uint64_t number, bool negative, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits;
    int pad;
    do digits[--at] = "0123456789abcdef"[number % base]; while ((number /= base) != 0);
    pad = l->width - (int)(sizeof digits - at) - (negative || l->sign);
    for (; pad > 0 && !l->zeros && !l->left; pad--) emit(p, " ", 1);
    if (negative || l->sign) emit(p, negative ? "-" : "+", 1);
    for (; pad > 0 && l->zeros; pad--) emit(p, "0", 1);
    emit(p, digits + at, sizeof digits - at);
    for (; pad > 0; pad--) emit(p, " ", 1);
}

static void emit_text(printer *p, const look *l, const char *text)
{
    int pad = l->width - (l->width > 0 ? width(text) : 0);
    size_t len = 0;
    while ((!l->most || len < (size_t)l->limit) && text[len] != '\0') len++;
    for (; pad > 0 && !l->left; pad--) emit(p, " ", 1);
    emit(p, text, len);
    for (; pad > 0; pad--) emit(p, " ", 1);
}

/* One conversion, %[-+0][width][.*][l|ll|z](d|u|x|c|s), at form, behind the sign. Where it ends. */
static const char *convert(printer *p, const char *form, va_list *args)
{
    look l = { false, false, false, false, 0, 0, '\0' };
    int64_t number;
    char c;
    for (; *form == '-' || *form == '+' || *form == '0'; form++) {
        l.left = l.left || *form == '-';
        l.sign = l.sign || *form == '+';
        l.zeros = l.zeros || *form == '0';
    }
    if (*form == '*') { l.width = va_arg(*args, int); form++; }
    for (; isdigit((unsigned char)*form); form++) l.width = l.width * 10 + (*form - '0');
    if (*form == '.') { l.most = true; l.limit = va_arg(*args, int); form += 2; }
    for (; *form == 'l' || *form == 'z'; form++) l.size = l.size == 'l' ? 'L' : *form;
    switch (*form) {
    case 's': emit_text(p, &l, va_arg(*args, const char *)); break;
    case 'c': c = (char)va_arg(*args, int); emit(p, &c, 1); break;
    case 'd':
        number = l.size == 'L' ? (int64_t)va_arg(*args, long long)
            : l.size == 'l' ? va_arg(*args, long) : va_arg(*args, int);
        emit_number(p, &l, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, number < 0, 10);
        break;
    case 'u': case 'x':
        l.sign = false;
        emit_number(p, &l, l.size == 'z' ? va_arg(*args, size_t) : va_arg(*args, unsigned),
            false, *form == 'x' ? 16 : 10);
        break;
    default: emit(p, "%", 1);
    }
    return form + 1;
}

/* A whole format. How many bytes it has, or would have. */
static int print_list(printer *p, const char *form, va_list args)
{
    va_list list;
    va_copy(list, args);
    while (*form != '\0') {
        size_t n = strcspn(form, "%");
        emit(p, form, n);
        form += n;
        if (*form == '%') form = convert(p, form + 1, &list);
    }
    va_end(list);
    if (p->to == NULL && p->cap > 0) *p->at = '\0';
    return p->len;
}

#if defined(__GNUC__)
#define LIKE_PRINTF(form) __attribute__((format(printf, form, form + 1)))
#pragma GCC diagnostic ignored "-Wformat-nonliteral"    /* most formats come from the table below */
#else
#define LIKE_PRINTF(form)
#endif

static int print_args(FILE *to, const char *form, va_list args)
{
    printer p = { to, NULL, 0, 0 };
    return print_list(&p, form, args);
}

static int text_args(char *text, size_t cap, const char *form, va_list args)
{
    printer p = { NULL, text, cap, 0 };
    return print_list(&p, form, args);
}

LIKE_PRINTF(2) static int print_to(FILE *to, const char *form, ...)
{
    va_list args;
    int len;
    va_start(args, form);
    len = print_args(to, form, args);
    va_end(args);
    return len;
}

LIKE_PRINTF(3) static int text_to(char *text, size_t cap, const char *form, ...)
{
    va_list args;
    int len;
    va_start(args, form);
    len = text_args(text, cap, form, args);
    va_end(args);
    return len;
}

#undef printf       /* macros in some C libraries */
#undef fprintf
#undef snprintf
#undef vfprintf
#undef vsnprintf
#define printf(...) print_to(stdout, __VA_ARGS__)
#define fprintf print_to
#define snprintf text_to
#define vfprintf print_args
#define vsnprintf text_args

