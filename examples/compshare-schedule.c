/* compshare-schedule: timed shutdowns of rented GPUs from the shell, and leases that
   keep one on for as long as a job lives. `compshare-schedule --help` says how, the
   manual page compshare-schedule(1) in full.

   Needs a POSIX system; waits for orphaned descendants on Linux only. Exit status:
   0 done and confirmed, 1 usage, 2 configuration or credentials, 3 refused by the API,
   4 network or TLS and nothing executed, 5 not confirmed or outcome unknown, 6 not
   found or not schedulable, 7 audit found something. `run` passes the command's own on,
   125 where it could not arm, 126 and 127 where the command cannot be run. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64    /* a large inode is no reason for stat to fail, where long has 32 bits */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <netpacket/packet.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#else
#include <net/if_dl.h>
#endif

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

#define COUNT(array) (sizeof (array) / sizeof (array)[0])

/* `make static CA=FILE` puts the roots into the program. */
#ifdef SCHEDULE_CA
static const char embedded_roots[] =
#include SCHEDULE_CA
    ;
#endif

enum { DONE, USAGE, CONFIGURATION, REFUSED, NETWORK, UNCONFIRMED, UNSCHEDULABLE, FOUND, UNARMED = 125, NOT_RUNNABLE, NO_COMMAND };

/* ---- printing: as much of printf as is used here, and columns that take wide characters
   into account. The C library's would bring 12 KB into the static program. ---- */

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
        int i, n = character((const unsigned char *)text);
        uint32_t code = (unsigned char)*text++ & (0xFFU >> (n > 1 ? n + 1 : 0));
        size_t k;
        for (i = 1; i < n; i++) code = code << 6 | ((unsigned char)*text++ & 0x3F);
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
    if (p->to != NULL) { (void)fwrite(text, 1, len, p->to); return; }
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

/* ---- messages: English, and Chinese for most of its users ---- */

#define MESSAGES(X) \
    X(USAGE, "usage:", "用法:") \
    X(HELP_SET, "sets or moves the timed shutdown", "设置或移动定时关机") \
    X(HELP_SHOW, "shows when each instance goes off", "显示每个实例何时关机") \
    X(HELP_EXTEND, "moves the timed shutdown to a later time", "推迟定时关机") \
    X(HELP_CANCEL, "takes the timed shutdown away: the instance is billed on", "取消定时关机: 实例会一直计费") \
    X(HELP_AUDIT, "finds what runs without a timed shutdown, and ends with 7 then", "找出在运行却没有定时关机的实例,有则以 7 结束") \
    X(HELP_RUN, "keeps the instance on while the job lives, and no longer", "任务活着实例就开着,任务一结束就不再续租") \
    X(HELP_DOCTOR, "checks keys, certificates, TLS, clock, projects and self", "检查密钥、证书、TLS、时钟、项目和 self") \
    X(HELP_EVERYWHERE, "with every verb:", "所有动词都可用:") \
    X(HELP, \
      "UHOST: an instance id, self, or - for ids on standard input. For set, extend,\n" \
      "cancel, show and audit also --all, and with it --name GLOB: every instance of\n" \
      "the account, in all projects unless --project-id is given.\n" \
      "TIME: seconds since 1970, or 2026-11-23T22:00+08:00. Durations: 90s, 1h30m, 3d.\n" \
      "Keys: COMPSHARE_PUBLIC_KEY and COMPSHARE_PRIVATE_KEY, else the profile in\n" \
      "COMPSHARE_CONFIG_FILE or ~/.config/compshare/config.json\n", \
      "UHOST: 实例编号、self,或者 - 表示从标准输入读取。set、extend、cancel、show 和\n" \
      "audit 还可以用 --all(可加 --name GLOB): 账号的全部实例,不写 --project-id 时\n" \
      "包括所有项目。\n" \
      "TIME: 1970 年以来的秒数,或 2026-11-23T22:00+08:00。时长: 90s、1h30m、3d。\n" \
      "密钥: COMPSHARE_PUBLIC_KEY 和 COMPSHARE_PRIVATE_KEY,否则取\n" \
      "COMPSHARE_CONFIG_FILE 或 ~/.config/compshare/config.json 里的 profile\n") \
    X(SEE_HELP, "see compshare-schedule --help", "请看 compshare-schedule --help") \
    X(NO_VERB, "a verb is needed: set, show, audit, extend, cancel, run or doctor", "需要一个动词: set、show、audit、extend、cancel、run 或 doctor") \
    X(BAD_VERB, "\"%s\" is not a verb", "没有动词 \"%s\"") \
    X(BAD_OPTION, "%s is not an option of it", "%s 不是它的选项") \
    X(NEEDS_VALUE, "%s needs a value", "%s 需要一个值") \
    X(TAKES_NO_VALUE, "%s takes no value", "%s 不带值") \
    X(MEANT, "; did you mean %s?", ";是不是想写 %s?") \
    X(NOT_HERE, "%s does not go with %s", "%s 不能用于 %s") \
    X(KEY_OPTION, "keys are never taken from the command line, where other users can read them", "绝不从命令行读取密钥,别的用户看得见那里") \
    X(ONE_WORD, "; a duration is one word: --in 1h30m", ";时长要写成一个词: --in 1h30m") \
    X(NO_UHOST, "an instance is needed: its id, self, or --all", "需要实例: 编号、self 或 --all") \
    X(ALL_AND_SOME, "either --all or instances, not both", "--all 和实例编号只能二选一") \
    X(ONE_UHOST, "run leases exactly one instance", "run 只租用一个实例") \
    X(BAD_UHOST, "\"%s\" is not the id of an instance", "\"%s\" 不是实例编号") \
    X(NO_TIME, "--in or --at is needed, one of them", "需要 --in 或 --at,且只能一个") \
    X(NO_BY, "--by is needed", "需要 --by") \
    X(NO_COMMAND_GIVEN, "--pid N or -- COMMAND is needed, one of them", "需要 --pid N 或 -- 命令,且只能一个") \
    X(EXCLUSIVE, "%s and %s exclude each other", "%s 和 %s 不能同时使用") \
    X(BAD_DURATION, "%s: \"%s\" is not a duration like 90s, 30m, 2h, 1h30m or 3d%s", "%s: \"%s\" 不是 90s、30m、2h、1h30m、3d 这样的时长%s") \
    X(BAD_TIME, "%s: \"%s\" is not a time: give seconds since 1970, or 2026-11-23T22:00+08:00%s", "%s: \"%s\" 不是时间: 请写 1970 年以来的秒数,或 2026-11-23T22:00+08:00%s") \
    X(UNITS, ": %sm or %sh?", ": 是 %sm 还是 %sh?") \
    X(NO_DATE, "%s: \"%s\" has neither a date nor an offset. The next one in Beijing is %d-%02d-%02dT%s+08:00", "%s: \"%s\" 没有日期和时区。北京时间的下一个是 %d-%02d-%02dT%s+08:00") \
    X(NO_OFFSET, "%s: \"%s\" has no offset. In Beijing it is %s, in UTC it is %s: say which", "%s: \"%s\" 没有时区。按北京时间是 %s,按 UTC 是 %s: 请写明") \
    X(BAD_NUMBER, "%s: \"%s\" is not a number from %ld to %ld", "%s: \"%s\" 不是 %ld 到 %ld 之间的整数") \
    X(BAD_WORD, "%s: \"%s\" is none of %s", "%s: \"%s\" 不在 %s 之中") \
    X(SHORT_TTL, "--ttl: under 15 minutes a lease would not survive a short loss of the network", "--ttl: 短于 15 分钟的租期挺不过一次短暂断网") \
    X(SHORT_IN, "%s: the API wants at least 300 s", "%s: 接口要求至少 300 秒") \
    X(WARN_AND_SIGNAL, "--warn and --signal belong together", "--warn 和 --signal 要一起用") \
    X(NO_KEYS, "no credentials: set COMPSHARE_PUBLIC_KEY and COMPSHARE_PRIVATE_KEY, or write %s", "没有密钥: 请设置 COMPSHARE_PUBLIC_KEY 和 COMPSHARE_PRIVATE_KEY,或者写 %s") \
    X(HALF_A_KEY, "%s is set, but %s is not", "设置了 %s,却没有 %s") \
    X(NO_PROFILE, "%s: it has no profile \"%s\" with public_key and private_key", "%s: 里面没有带 public_key 和 private_key 的 profile \"%s\"") \
    X(BAD_CONFIG, "%s: it is not valid JSON", "%s: 不是有效的 JSON") \
    X(LONG_CONFIG, "%s: it is longer than 32 KB", "%s: 超过 32 KB") \
    X(FULL_CONFIG, "%s: there are more values in it than can be read", "%s: 里面的值太多,读不下") \
    X(FEW_DESCRIPTORS, "too few files may be open at once: raise ulimit -n to 16 at least", "允许同时打开的文件太少: 请把 ulimit -n 提高到至少 16") \
    X(BAD_CURRENT, "%s: its current_profile is no name that can be used", "%s: 其中的 current_profile 不是可用的名称") \
    X(CANNOT_READ, "%s: cannot be read: %s", "%s: 无法读取: %s") \
    X(CANNOT_WRITE, "%s: cannot be written: %s", "%s: 无法写入: %s") \
    X(OTHERS_READ, "warning: %s can be read by others: chmod 600 it", "警告: 别人可以读 %s: 请 chmod 600") \
    X(CLOCK_OFF, "warning: this machine's clock is %s the server's by %s; times are reckoned on the server's", "警告: 本机时钟比服务器%s %s;时间按服务器计算") \
    X(AHEAD_OF, "ahead of", "快") \
    X(BEHIND, "behind", "慢") \
    X(NO_MEMORY, "out of memory", "内存不足") \
    X(SECONDS, "%lld s", "%lld 秒") \
    X(MINUTES, "%lld min", "%lld 分钟") \
    X(HOURS, "%lld h %lld min", "%lld 小时 %lld 分") \
    X(DAYS, "%lld d %lld h", "%lld 天 %lld 小时") \
    X(OFF_AT, "off at %s", "%s 关机") \
    X(IN_BEIJING, ", %s Beijing", ",北京时间 %s") \
    X(REMAINS, ", in %s", ",还有 %s") \
    X(NO_PLAN, "no timed shutdown", "没有定时关机") \
    X(WAS, "(was %s)", "(原为 %s)") \
    X(LEFT_ALONE, "(left as it was)", "(未改动)") \
    X(KEEPS_BILLING, "note: prepaid, it is billed on while stopped", "注意: 包年包月,关机后照样计费") \
    X(GETS_RELEASED, "note: 7 days after it stops it is released, with its data", "注意: 关机满 7 天会连同数据一起被释放") \
    X(FAILED_LINE, "%-18s  %s", "%-18s  %s") \
    X(FAILED, "%s", "%s") \
    X(SELF_FAILED, "self: %s", "self: %s") \
    X(NONE_MATCH, "no instance matches%s", "没有匹配的实例%s") \
    X(NOTHING_TO_DO, "nothing to do: %zu instances match, and none of them needs it", "无事可做: %zu 个实例匹配,都不需要改动") \
    X(PREPAID_LEFT, "%zu prepaid instances were left out (--prepaid-ok takes them)", "跳过了 %zu 个包年包月的实例(要包括请加 --prepaid-ok)") \
    X(TALLY, "%zu done, %zu failed", "成功 %zu 个,失败 %zu 个") \
    X(NOT_LISTED, "no such instance in this account, region and project", "此账号、地域和项目里没有这个实例") \
    X(NOT_RUNNING, "it is \"%s\": only a Running instance can be given a timed shutdown", "状态为 \"%s\": 只有 Running 的实例可以定时关机") \
    X(IS_SPOT, "a Spot instance cannot be given a timed shutdown", "抢占式实例不支持定时关机") \
    X(NOTHING_TO_EXTEND, "it has no timed shutdown to extend", "没有可推迟的定时关机") \
    X(ACCEPTED, "accepted", "已接受") \
    X(NOT_SHOWN, "accepted, but reading back did not show it", "已接受,但读回时没有看到") \
    X(NOT_ANSWERED, "got no clear answer", "没有明确应答") \
    X(DOUBT, "not confirmed, reading back did not show it: %s was asked for and %s; %s is shown. Look with: compshare-schedule show %s. Then: ", \
      "未确认,读回时没有看到: 请求的是 %s,%s;现在显示 %s。请查看: compshare-schedule show %s。然后: ") \
    X(AGAIN, "compshare-schedule set %s --at %lld, or compshare-schedule cancel %s", "compshare-schedule set %s --at %lld,或 compshare-schedule cancel %s") \
    X(CANCEL_AGAIN, "compshare-schedule cancel %s", "再次 compshare-schedule cancel %s") \
    X(CANCEL_SURE, "without its timed shutdown %s is billed until somebody stops it. Cancel it? [y/N] ", "没有定时关机,%s 会一直计费到有人关机为止。取消吗?[y/N] ") \
    X(CANCEL_YES, "cancelling %zu timed shutdowns without a terminal needs --yes", "没有终端时取消 %zu 个定时关机需要 --yes") \
    X(CANCEL_ALL_SURE, "without their %zu timed shutdowns instances are billed until somebody stops them. Cancel them? [y/N] ", "没有这 %zu 个定时关机,实例会一直计费到有人关机为止。取消吗?[y/N] ") \
    X(SOON_SURE, "%zu instances go off in under an hour. Go on? [y/N] ", "%zu 个实例将在一小时内关机。继续吗?[y/N] ") \
    X(SOON_YES, "having %zu instances go off in under an hour needs --yes without a terminal", "没有终端时让 %zu 个实例在一小时内关机需要 --yes") \
    X(NOTHING_CHANGED, "nothing was changed", "什么也没有改") \
    X(UNPLANNED, "RUNS WITHOUT A TIMED SHUTDOWN", "在运行,没有定时关机") \
    X(AUDIT_TALLY, "%zu instances, %zu run pay-as-you-go without a timed shutdown", "%zu 个实例,其中 %zu 个按量计费、在运行、没有定时关机") \
    X(DOCTOR_NO_SELF, "self: none of the account's instances (COMPSHARE_UHOST_ID names one)", "self: 本机不是账号里的实例(可用 COMPSHARE_UHOST_ID 指明)") \
    X(NOT_SELF, "self: no instance of the account has this host's private address and MAC; candidates: %s", "self: 账号里没有哪个实例的内网地址和 MAC 与本机相符;候选: %s") \
    X(TWO_SELVES, "self: more than one instance has this host's private address and MAC: %s", "self: 不止一个实例的内网地址和 MAC 与本机相符: %s") \
    X(IS_PREPAID, "%s is prepaid (%s): stopping it saves nothing. --prepaid-ok leases it all the same", "%s 是包年包月(%s): 关机省不了钱。要租用请加 --prepaid-ok") \
    X(TOO_LATE, "--until and --max leave less than 300 s", "--until 和 --max 留下的时间不足 300 秒") \
    X(CANNOT_RUN, "%s: cannot be run: %s", "%s: 无法运行: %s") \
    X(NO_PROCESS, "--pid %ld: no such process", "--pid %ld: 没有这个进程") \
    X(NOT_OURS, "--pid %ld: it is another user's and cannot be sent the --signal", "--pid %ld: 属于别的用户,无法向它发送 --signal") \
    X(NO_LOCK, "warning: %s cannot be locked: another run on this host would not be noticed", "警告: 无法锁定 %s: 察觉不到本机的其他 run") \
    X(DOCTOR_OK, "ok       ", "正常 ") \
    X(DOCTOR_WARNING, "warning  ", "警告 ") \
    X(DOCTOR_FAILED, "failed   ", "失败 ") \
    X(DOCTOR_KEYS, "credentials: from %s", "密钥: 来自 %s") \
    X(DOCTOR_ROOTS, "root certificates: %s", "根证书: %s") \
    X(DOCTOR_SYSTEM, "the system's bundle", "系统证书包") \
    X(DOCTOR_EMBEDDED, "built into this program", "内置") \
    X(DOCTOR_NAME, "name resolution: %s, %zu addresses, %ld ms", "域名解析: %s,%zu 个地址,%ld 毫秒") \
    X(DOCTOR_NO_NAME, "name resolution: %s: %s. Check the network and /etc/resolv.conf", "域名解析: %s: %s。请检查网络和 /etc/resolv.conf") \
    X(DOCTOR_PROXY, "proxy: %s", "代理: %s") \
    X(DOCTOR_NO_TLS, "connection to %s: %s", "到 %s 的连接: %s") \
    X(DOCTOR_NO_SIGNATURE, "signature: %s. Check the keys, and this machine's clock", "签名: %s。请检查密钥和本机时钟") \
    X(DOCTOR_TLS, "TLS 1.%d, %s, reply in %ld ms", "TLS 1.%d,%s,%ld 毫秒收到应答") \
    X(DOCTOR_DAYS, "server's certificate: expires in %ld day(s)", "服务器证书: %ld 天后到期") \
    X(DOCTOR_RENEW, "server's certificate: expires in %ld day(s). Unless it is renewed, connections will then fail", "服务器证书: %ld 天后到期。如不续期,届时将无法连接") \
    X(DOCTOR_CLOCK, "clock: %s the server's by %s", "时钟: 比服务器%s %s") \
    X(DOCTOR_CLOCK_FINE, "clock: within %s of the server's", "时钟: 与服务器相差不到 %s") \
    X(DOCTOR_SIGNATURE, "signature: accepted", "签名: 已接受") \
    X(DOCTOR_PROJECT, "project: %s, of %zu: %s", "项目: %s,共 %zu 个: %s") \
    X(DOCTOR_TRIPS, "round trip on the kept connection: %ld ms", "保持连接上的往返: %ld 毫秒") \
    X(DOCTOR_SET_PROJECT, "project: %s. Give --project-id", "项目: %s。请用 --project-id 指定")

/* What `run` promises, and what it tells of its promises: each is proved by a test, which
   tests/tool/promises.py names. */
#define PROMISES(X) \
    X(STAYS_ON, "%s stays on while the job lives", "任务运行期间 %s 保持开机") \
    X(STAYS_UNTIL, "%s stays on while the job lives, until %s at the longest", "任务运行期间 %s 保持开机,最晚到 %s") \
    X(AFTER_GRACE, "it goes off %s after the job ends", "任务结束 %s 后关机") \
    X(AFTER_STOP, "it is stopped as soon as the job ends", "任务一结束就关机") \
    X(AFTER_CANCEL, "nothing switches it off after the job: its timed shutdown is then taken away", "任务结束后不会关机: 届时取消定时关机") \
    X(AFTER_KEEP, "the job's end changes nothing: it goes off when the lease has run out", "任务结束不改变什么: 租期到了才关机") \
    X(AFTER_RESTORE, "when the job ends, the shutdown that stood before is put back: off at %s", "任务结束后恢复原来的定时: %s 关机") \
    X(IF_IT_DIES, "off by %s if this program, its network or its machine dies", "如果本程序、网络或本机出故障,最晚 %s 关机") \
    X(BEFORE_MOVED, "a timed shutdown stood before, at %s: moved to %s for the job", "之前已有定时关机 %s: 为此任务改到 %s") \
    X(BEFORE_LEFT, "a timed shutdown stood before, at %s: left there while the job lives", "之前已有定时关机 %s: 任务运行期间不去改它") \
    X(BEFORE_CAPPED, "a timed shutdown stood before, at %s: brought down to %s, the limit", "之前已有定时关机 %s: 提前到上限 %s") \
    X(NOT_ARMED, "the lease could not be set, and the command was not started: %s", "租约没有设成,命令没有启动: %s") \
    X(MAY_BE_SET, "\nit may go off at %s all the same. This brings back what stood before:\n    %s", "\n它仍可能在 %s 关机。恢复原状请执行:\n    %s") \
    X(UNARMED_ON, "warning: the lease could not be set, and the command starts all the same: %s", "警告: 租约没有设成,命令照样启动: %s") \
    X(INTERRUPTED, "interrupted: the command was not started", "已中断: 命令没有启动") \
    X(PUT_BACK, "nothing was started: what stood before is put back, off at %s", "什么也没有启动: 已恢复原来的定时,%s 关机") \
    X(PUT_BACK_NONE, "nothing was started: the timed shutdown is taken away again", "什么也没有启动: 已重新取消定时关机") \
    X(STAYS_SET, "nothing was started: it stays as it is, off at %s", "什么也没有启动: 定时不变,%s 关机") \
    X(NOT_PUT_BACK, "nothing was started, and what stood before could not be put back (%s): off by %s. This does it:\n    %s", "什么也没有启动,也未能恢复原状(%s): 最晚 %s 关机。恢复请执行:\n    %s") \
    X(OTHER_ENDS, "another run on this host is just ending its lease of %s: waiting for that", "本机另一个 run 正在结束对 %s 的租用: 等它完成") \
    X(STRANGERS, "warning: this process had children before the command: what the command leaves behind is not waited for", "警告: 启动命令之前本进程已有子进程: 命令留下的进程不再等待") \
    X(RENEWED, "renewed: off by %s", "已续租: 最晚 %s 关机") \
    X(RENEWED_AGAIN, "renewed again: off by %s", "已恢复续租: 最晚 %s 关机") \
    X(MOVED_BACK, "somebody had set %s: extended to %s", "有人把它改为 %s: 已推迟到 %s") \
    X(GONE_PLAN, "no timed shutdown was shown (was it cancelled?): set again, off by %s", "没有看到定时关机(被取消了?): 已重新设置,最晚 %s 关机") \
    X(LATER_PLAN, "somebody has set %s, which is later: left alone", "有人把它设为更晚的 %s: 不去改它") \
    X(LATER_CAPPED, "somebody had set %s, beyond the limit: brought down to %s", "有人把它设为超过上限的 %s: 已提前到 %s") \
    X(RENEWAL_FAILED, "renewal failed, off by %s, %s left: %s", "续租失败,最晚 %s 关机,还剩 %s: %s") \
    X(RAN_OUT, "the lease has run out: off at %s", "租期已到: %s 关机") \
    X(AWAY, "%s is %s: looked at until it is Running, and then leased again", "%s 的状态是 %s: 继续查看,一旦 Running 就重新租用") \
    X(WARNED, "%s before the card goes off: signal %s sent", "离关机还有 %s: 已发送信号 %s") \
    X(SUSPENDED, "suspended: renewals pause, off by %s", "已挂起: 暂停续租,最晚 %s 关机") \
    X(WAITING, "the command has ended, but processes that it started still run: waiting for them: %ld (%s)", "命令已结束,但它启动的进程还在: 等它们结束: %ld (%s)") \
    X(MORE_LEFT, "and %zu more", "另外还有 %zu 个") \
    X(NOT_AWAITED, "not waited for any longer: %ld (%s)", "不再等待: %ld (%s)") \
    X(QUICK_END, "the command ended within 10 s: did it only start something else (docker run -d)?", "命令不到 10 秒就结束了: 它是不是只启动了别的东西(docker run -d)?") \
    X(GONE, "%s is %s: there is nothing to end", "%s 的状态是 %s: 没有可结束的租约") \
    X(STILL_RUNS, "process %ld still runs: nothing is changed, off at %s", "进程 %ld 还在运行: 不作改动,%s 关机") \
    X(WATCHING, "a renewal may still be on its way: looking for %s that it does not change this", "可能有一次续租还在路上: 再观察 %s,确保它不改变结果") \
    X(ENDED_GRACE, "the job has ended: off at %s", "任务已结束: %s 关机") \
    X(ENDED_THEIRS, "the job has ended: off at %s, as somebody else had set", "任务已结束: 按别人的设置 %s 关机") \
    X(ENDED_RESTORED, "the job has ended: off at %s, as it was set before", "任务已结束: 按原来的设置 %s 关机") \
    X(ENDED_STOP, "the job has ended: the instance is stopped", "任务已结束: 实例已关机") \
    X(ENDED_CANCEL, "the job has ended: no timed shutdown any more", "任务已结束: 不再定时关机") \
    X(ENDED_OTHERS, "the job has ended; another run on this host still leases %s", "任务已结束;本机还有别的 run 租用 %s") \
    X(END_FAILED, "the end of the job could not be told to the API (%s): off by %s at the latest", "无法把任务结束告诉接口(%s): 最晚 %s 关机") \
    X(END_UNARMED, "the end of the job could not be told to the API (%s), and no lease was ever set: stop it by hand", "无法把任务结束告诉接口(%s),租约也从未设成: 请手动关机") \
    X(END_DOUBT, "the end of the job could not be told to the API (%s): the timed shutdown may have been cancelled. Look at %s, or it is billed until somebody stops it", "无法把任务结束告诉接口(%s): 定时关机可能已取消。请查看 %s,否则会一直计费")

#define MESSAGE_ID(name, english, chinese) M_##name,
#define MESSAGE_TEXTS(name, english, chinese) { english, chinese },
enum { MESSAGES(MESSAGE_ID) PROMISES(MESSAGE_ID) M_COUNT };
static const char *const messages[][2] = { MESSAGES(MESSAGE_TEXTS) PROMISES(MESSAGE_TEXTS) };
static int language;            /* index into a row */

static const char *tr(int message) { return messages[message][language]; }

/* ---- lines on a terminal, objects in JSON ---- */

static bool as_json, verbose;
static bool leasing;            /* the verb is run: what fails before its command fails with 125 */
static int ended_by;            /* the signal that has ended the command of run */

static void out(FILE *to, int message, ...)
{
    va_list args;
    va_start(args, message);
    (void)vfprintf(to, tr(message), args);
    va_end(args);
}

/* A line about the program itself, on standard error. */
static void say(int message, ...)
{
    va_list args;
    va_start(args, message);
    (void)fputs("compshare-schedule: ", stderr);
    (void)vfprintf(stderr, tr(message), args);
    (void)fputc('\n', stderr);
    va_end(args);
}

/* What is no UTF-8, as a name of the environment may be, or a text that was cut to fit,
   becomes U+FFFD. */
static void json_string(const char *text)
{
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        int n = character((const unsigned char *)text);
        if (n == 0) (void)printf("\\ufffd");
        else if (c == '"' || c == '\\') (void)printf("\\%c", c);
        else if (c < 0x20 || c == 0x7F) (void)printf("\\u%04x", c);
        else (void)fwrite(text, 1, (size_t)n, stdout);
        text += n > 1 ? n - 1 : 0;
    }
    (void)putchar('"');
}

/* Members of one object; the first call of a line opens it, json_end closes it. */
static bool json_open;

static void json_key(const char *key)
{
    (void)printf(json_open ? ",\"%s\":" : "{\"%s\":", key);
    json_open = true;
}

static void json_text(const char *key, const char *text) { json_key(key); json_string(text); }
static void json_number(const char *key, int64_t number) { json_key(key); (void)printf("%lld", (long long)number); }
static void json_truth(const char *key, bool truth) { json_key(key); (void)fputs(truth ? "true" : "false", stdout); }
static void json_null(const char *key) { json_key(key); (void)fputs("null", stdout); }
static void json_end(void) { (void)puts(json_open ? "}" : "{}"); json_open = false; }

static void json_error(int code, const char *text)
{
    json_key("error");
    (void)printf("{\"exit_status\":%d,\"outcome_unknown\":%s,\"text\":", code, code == UNCONFIRMED ? "true" : "false");
    json_string(text);
    (void)putchar('}');
}

/* What keeps the whole command from being done, as a line or an object. Returns code. */
static int refuse(int code, int message, ...)
{
    char text[1400];
    va_list args;
    va_start(args, message);
    (void)vsnprintf(text, sizeof text, tr(message), args);
    va_end(args);
    if (!as_json) return (void)fprintf(stderr, "compshare-schedule: %s\n", text), code;
    json_error(leasing ? UNARMED : code, text);
    json_end();
    return code;
}

/* ---- times and durations: pure ---- */

enum { TIME_FINE, TIME_MALFORMED, TIME_WITHOUT_OFFSET };

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t era, of_era, of_year;
    year -= month <= 2;
    era = year / 400;
    of_era = year % 400;
    of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Exactly `digits` decimal digits at *s, which moves behind them. */
static bool read_digits(const char **s, int digits, int64_t *value)
{
    for (*value = 0; digits > 0; digits--, ++*s) {
        if (!isdigit((unsigned char)**s)) return false;
        *value = *value * 10 + (**s - '0');
    }
    return true;
}

/* Z, +08:00, +0800 or +08 in seconds. */
static int read_offset(const char *s, int64_t *offset)
{
    int64_t hours, minutes;
    int sign = *s == '-' ? -1 : 1;
    *offset = 0;
    if (*s == '\0') return TIME_WITHOUT_OFFSET;
    if ((*s == 'Z' || *s == 'z') && s[1] == '\0') return TIME_FINE;
    if (*s != '+' && *s != '-') return TIME_MALFORMED;
    s++;
    if (!read_digits(&s, 2, &hours)) return TIME_MALFORMED;
    minutes = 0;
    if (*s == ':') s++;
    else if (*s == '\0') s = "00";
    if (!read_digits(&s, 2, &minutes) || *s != '\0' || minutes > 59) return TIME_MALFORMED;
    *offset = sign * (hours * 3600 + minutes * 60);
    return hours * 60 + minutes <= 14 * 60 ? TIME_FINE : TIME_MALFORMED;    /* no place on earth is further from UTC */
}

/* Seconds since 1970, or ISO 8601 with an offset. Without one *time is the reading in
   UTC, for the two readings that the refusal shows. Seconds have ten digits from 2001 to
   2286: twelve are a date (202611232200) that would be the year 8390. */
static int read_time(const char *s, int64_t *time)
{
    static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t year, month, day, hour, minute, second = 0, offset;
    const char *p = s;
    int r;
    while (isdigit((unsigned char)*p)) p++;
    if (*p == '\0' && p - s == 10) {
        *time = strtoll(s, NULL, 10);
        return TIME_FINE;
    }
    if (!read_digits(&s, 4, &year) || *s++ != '-' || !read_digits(&s, 2, &month) || *s++ != '-' || !read_digits(&s, 2, &day)) return TIME_MALFORMED;
    if ((*s != 'T' && *s != 't' && *s != ' ') || !read_digits((++s, &s), 2, &hour) || *s++ != ':' || !read_digits(&s, 2, &minute)) return TIME_MALFORMED;
    if (*s == ':') {
        if (!read_digits((++s, &s), 2, &second) || (*s == '.' && !isdigit((unsigned char)s[1])))
            return TIME_MALFORMED;
        if (*s == '.') s += 1 + strspn(s + 1, "0123456789");      /* a fraction of a second */
    }
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > month_days[month - 1] || hour > 23 || minute > 59 || second > 59) return TIME_MALFORMED;
    if (month == 2 && day == 29 && days_of(year, 3, 1) - days_of(year, 2, 28) != 2) return TIME_MALFORMED;
    r = read_offset(s, &offset);
    *time = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    return r;
}

/* 90s, 30m, 2h, 1h30m, 3d: units from large to small, each once. In seconds. */
static bool read_duration(const char *s, int64_t *seconds)
{
    static const char units[] = "dhms";
    static const int64_t worth[] = { 86400, 3600, 60, 1 };
    int64_t total = 0, number;
    size_t from = 0;
    while (*s != '\0') {
        const char *unit, *digits = s;
        for (number = 0; isdigit((unsigned char)*s) && number < 1000000; s++) number = number * 10 + (*s - '0');
        unit = *s != '\0' ? strchr(units + from, *s) : NULL;
        if (unit == NULL || s == digits || number >= 1000000) return false;
        total += number * worth[unit - units];
        from = (size_t)(unit - units) + 1;
        s++;
    }
    *seconds = total;
    return total > 0;
}

/* "2 h 5 min", to the minute from two minutes on, to the hour from a day on; never more
   than there is. */
static const char *show_duration(int64_t seconds)
{
    static char texts[4][48];
    static unsigned next;
    char *text = texts[next++ % 4];
    long long minutes = seconds / 60;
    if (seconds < 0) seconds = 0;
    if (seconds < 120) (void)snprintf(text, sizeof texts[0], tr(M_SECONDS), (long long)seconds);
    else if (minutes < 60) (void)snprintf(text, sizeof texts[0], tr(M_MINUTES), minutes);
    else if (minutes < 24 * 60)
        (void)snprintf(text, sizeof texts[0], tr(M_HOURS), minutes / 60, minutes % 60);
    else (void)snprintf(text, sizeof texts[0], tr(M_DAYS), minutes / (24 * 60), minutes / 60 % 24);
    return text;
}

/* 2026-11-23 22:00:00 +0800, or in Beijing, UTC+8 all year, 11-23 22:00. strftime would
   bring 4 KB of locales into the static program. */
static const char *show_time(int64_t time, bool beijing)
{
    static char texts[4][96];
    static unsigned next;
    char *text = texts[next++ % 4];
    time_t t = (time_t)(beijing ? time + 8 * 3600 : time);
    const struct tm *p = beijing ? gmtime(&t) : localtime(&t);
    int east = p != NULL ? (int)(p->tm_gmtoff / 60) : 0;
    if (p == NULL) (void)snprintf(text, sizeof texts[0], "%lld", (long long)time);
    else if (beijing) (void)snprintf(text, sizeof texts[0], "%02d-%02d %02d:%02d", p->tm_mon + 1, p->tm_mday, p->tm_hour, p->tm_min);
    else (void)snprintf(text, sizeof texts[0], "%d-%02d-%02d %02d:%02d:%02d %+05d", p->tm_year + 1900, p->tm_mon + 1, p->tm_mday, p->tm_hour, p->tm_min,
        p->tm_sec, east / 60 * 100 + east % 60);
    return text;
}

static const char *local_time(int64_t time) { return show_time(time, false); }
static const char *beijing_time(int64_t time) { return show_time(time, true); }

/* "off at 2026-11-23 22:00:00 +0800", and in Beijing where that is another time. */
static const char *off_text(int64_t time)
{
    static char text[160];
    time_t t = (time_t)time;
    const struct tm *p = localtime(&t);
    int len = snprintf(text, sizeof text, tr(M_OFF_AT), local_time(time));
    if (p == NULL || p->tm_gmtoff != 8 * 3600)
        (void)snprintf(text + len, sizeof text - (size_t)len, tr(M_IN_BEIJING), beijing_time(time));
    return text;
}

/* Servers round to the minute, up or down: what is asked for is a whole one, and what is
   shown within 59 s of it is it. MARGIN_S passes on the way there. */
enum { MARGIN_S = 2 };
static int64_t whole_minute(int64_t time) { return (time + 59) / 60 * 60; }
static bool is_same(int64_t a, int64_t b)
{
    /* unsigned: a lock file may hold any number */
    return (a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a) < 60;
}

/* ---- options ---- */

enum { SET = 1, SHOW = 2, AUDIT = 4, EXTEND = 8, CANCEL = 16, RUN = 32, DOCTOR = 64, EVERY = 127,
    MANY = SET | SHOW | AUDIT | EXTEND | CANCEL };

static const struct { const char *name; unsigned verb; } verbs[] = {
    { "set", SET }, { "show", SHOW }, { "audit", AUDIT }, { "extend", EXTEND }, { "cancel", CANCEL }, { "run", RUN }, { "doctor", DOCTOR }
};

enum { ON_GRACE, ON_STOP, ON_CANCEL, ON_KEEP, ON_RESTORE };

typedef struct options {
    unsigned verb;
    const char *verb_name;
    char **uhosts;
    size_t count;
    bool all, if_none, only_extend, only_shorten, all_projects, yes, reveal, prepaid_ok, unarmed_ok, json, verbose, version, help;
    bool from_input;            /* ids were to come from standard input */
    bool given[64];             /* by row of option_table */
    const char *name_glob;
    int64_t in, at, by;
    unsigned mode;              /* of compshare_plan */
    /* run */
    int64_t ttl, grace, until, most, warn, linger;
    int on_exit, signal;
    const char *signal_name, *status_file;
    long pid;
    char **command, **argv;
    /* everywhere */
    const char *region, *zone, *project_id, *profile, *base_url, *ca_file, *proxy;
    int64_t timeout;
    long retries;
    int lang;
} options;

/* What an option's value is, where it is put, and which verbs take it. */
enum { FLAG, TEXT, DURATION, TIME, OTHER };

#define OPTIONS(X) \
    X(ALL, "all", FLAG, all, MANY) \
    X(NAME, "name", TEXT, name_glob, MANY) \
    X(IF_NONE, "if-none", FLAG, if_none, SET) \
    X(IN, "in", DURATION, in, SET) \
    X(AT, "at", OTHER, at, SET) \
    X(ONLY_EXTEND, "only-extend", FLAG, only_extend, SET) \
    X(ONLY_SHORTEN, "only-shorten", FLAG, only_shorten, SET) \
    X(ALL_PROJECTS, "all-projects", FLAG, all_projects, AUDIT) \
    X(BY, "by", DURATION, by, EXTEND) \
    X(YES, "yes", FLAG, yes, SET | CANCEL) \
    X(REVEAL, "reveal", FLAG, reveal, SHOW) \
    X(TTL, "ttl", DURATION, ttl, RUN) \
    X(GRACE, "grace", DURATION, grace, RUN) \
    X(ON_EXIT, "on-exit", OTHER, on_exit, RUN) \
    X(UNTIL, "until", TIME, until, RUN) \
    X(MAX, "max", DURATION, most, RUN) \
    X(WARN, "warn", DURATION, warn, RUN) \
    X(SIGNAL, "signal", OTHER, signal, RUN) \
    X(LINGER, "linger", OTHER, linger, RUN) \
    X(PID, "pid", OTHER, pid, RUN) \
    X(PREPAID_OK, "prepaid-ok", FLAG, prepaid_ok, SET | RUN) \
    X(UNARMED_OK, "unarmed-ok", FLAG, unarmed_ok, RUN) \
    X(STATUS_FILE, "status-file", TEXT, status_file, RUN) \
    X(JSON, "json", FLAG, json, EVERY) \
    X(REGION, "region", TEXT, region, EVERY) \
    X(ZONE, "zone", TEXT, zone, EVERY) \
    X(PROJECT_ID, "project-id", TEXT, project_id, EVERY) \
    X(PROFILE, "profile", TEXT, profile, EVERY) \
    X(BASE_URL, "base-url", TEXT, base_url, EVERY) \
    X(CA_FILE, "ca-file", TEXT, ca_file, EVERY) \
    X(PROXY, "proxy", TEXT, proxy, EVERY) \
    X(TIMEOUT, "timeout", DURATION, timeout, EVERY) \
    X(RETRIES, "retries", OTHER, retries, EVERY) \
    X(VERBOSE, "verbose", FLAG, verbose, EVERY) \
    X(LANG, "lang", OTHER, lang, EVERY) \
    X(VERSION, "version", FLAG, version, EVERY) \
    X(HELP, "help", FLAG, help, EVERY)

#define OPTION_ID(id, name, kind, member, of) O_##id,
#define OPTION_ROW(id, name, kind, member, of) { name, kind, of, offsetof(options, member) },
enum { OPTIONS(OPTION_ID) O_COUNT };
static const struct { const char *name; int kind; unsigned of; size_t offset; } option_table[] = { OPTIONS(OPTION_ROW) };

#define VALUES 256              /* getopt_long's numbers of them begin behind the letters */

/* How many edits lead from one word to another (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[32], i, k, len = strlen(b);
    if (len >= COUNT(row)) return 99;
    for (k = 0; k <= len; k++) row[k] = k;
    for (i = 0; a[i] != '\0'; i++) {
        size_t before = row[0];
        row[0] = i + 1;
        for (k = 1; k <= len; k++) {
            size_t change = before + (a[i] != b[k - 1]);
            before = row[k];
            if (row[k] > row[k - 1]) row[k] = row[k - 1];
            row[k]++;
            if (row[k] > change) row[k] = change;
        }
    }
    return row[len];
}

/* Refuses a word; names the one that was probably meant. */
static int refuse_word(int message, const char *word, bool option, unsigned verb)
{
    char shown[128], plain[64];
    const char *best = NULL;
    size_t i, nearest = 3;
    (void)snprintf(plain, sizeof plain, "%.*s", (int)strcspn(word, "="), word);
    for (i = 0; i < (option ? COUNT(option_table) : COUNT(verbs)); i++) {
        const char *name = option ? option_table[i].name : verbs[i].name;
        size_t d = distance(plain, name);
        if (d >= nearest || (option && !(option_table[i].of & verb))) continue;
        nearest = d;
        best = name;
    }
    (void)snprintf(shown, sizeof shown, option ? "--%s" : "%s", plain);
    (void)fputs("compshare-schedule: ", stderr);
    out(stderr, message, shown);
    if (best != NULL) {
        (void)snprintf(shown, sizeof shown, option ? "--%s" : "%s", best);
        out(stderr, M_MEANT, shown);
    }
    (void)fprintf(stderr, "\ncompshare-schedule: %s\n", tr(M_SEE_HELP));
    return USAGE;
}

/* ": 2m or 2h?" where a unit may have been forgotten. */
static const char *units(const char *text)
{
    static char question[32];
    size_t len = strspn(text, "0123456789");
    question[0] = '\0';
    if (len > 0 && len < 5 && text[len] == '\0')
        (void)snprintf(question, sizeof question, tr(M_UNITS), text, text);
    return question;
}

static bool take_duration(const char *option, const char *text, int64_t *seconds)
{
    if (read_duration(text, seconds)) return true;
    say(M_BAD_DURATION, option, text, units(text));
    return false;
}

/* Refuses 18:30, which names neither a day nor a place, and offers the next one. */
static bool refuse_clock(const char *option, const char *text)
{
    int64_t hour, minute, today = (int64_t)time(NULL) + 8 * 3600;
    const char *p = text;
    const struct tm *day;
    time_t t;
    if (!read_digits(&p, 2, &hour) || *p++ != ':' || !read_digits(&p, 2, &minute) || *p != '\0')
        return false;
    t = (time_t)(today % 86400 < hour * 3600 + minute * 60 ? today : today + 86400);
    day = gmtime(&t);
    say(M_NO_DATE, option, text, day->tm_year + 1900, day->tm_mon + 1, day->tm_mday, text);
    return true;
}

static bool take_time(const char *option, const char *text, int64_t *time)
{
    int r = read_time(text, time);
    if (r == TIME_FINE) return true;
    if (r == TIME_MALFORMED && !refuse_clock(option, text))
        say(M_BAD_TIME, option, text, units(text));
    else if (r == TIME_WITHOUT_OFFSET)
        say(M_NO_OFFSET, option, text, local_time(*time - 8 * 3600), local_time(*time));
    return false;
}

static bool take_number(const char *option, const char *text, long least, long most, long *number)
{
    char *end;
    errno = 0;
    *number = strtol(text, &end, 10);
    if (end != text && *end == '\0' && errno == 0 && *number >= least && *number <= most) return true;
    say(M_BAD_NUMBER, option, text, least, most);
    return false;
}

/* One of some words, between spaces: which. */
static bool take_word(const char *option, const char *text, const char *words, int *index)
{
    const char *at = words;
    size_t len = strlen(text);
    for (*index = 0; *at != '\0'; ++*index) {
        size_t n = strcspn(at, " ");
        if (n == len && strncmp(at, text, n) == 0) return true;
        at += n + strspn(at + n, " ");
    }
    say(M_BAD_WORD, option, text, words);
    return false;
}

static bool take_signal(options *o, const char *option, const char *text)
{
    static const int numbers[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT };
    int index;
    o->signal_name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    if (!take_word(option, o->signal_name, "HUP INT QUIT TERM USR1 USR2 ALRM WINCH CONT", &index)) return false;
    o->signal = numbers[index];
    return true;
}

/* One option with its value. False: refused, and said why. */
static bool take_option(options *o, int id, const char *value)
{
    char name[32];
    void *to = (char *)o + option_table[id].offset;
    (void)snprintf(name, sizeof name, "--%s", option_table[id].name);
    o->given[id] = true;
    switch (option_table[id].kind) {
    case FLAG: *(bool *)to = true; return true;
    case TEXT: *(const char **)to = value; return true;
    case DURATION: return take_duration(name, value, (int64_t *)to);
    case TIME: return take_time(name, value, (int64_t *)to);
    default: break;
    }
    switch (id) {
    case O_AT:
        o->in = o->at = 0;      /* the last one counts */
        /* the official CLI takes --at 2h */
        return read_duration(value + (*value == '+'), &o->in) || take_time(name, value, &o->at);
    case O_ON_EXIT: return take_word(name, value, "grace stop cancel keep restore", &o->on_exit);
    case O_SIGNAL: return take_signal(o, name, value);
    case O_LINGER:
        o->linger = 0;
        return strcmp(value, "0") == 0 || strcmp(value, "0s") == 0
            || take_duration(name, value, &o->linger);
    case O_PID: return take_number(name, value, 2, INT_MAX, &o->pid);
    case O_RETRIES: return take_number(name, value, 0, 10, &o->retries);
    default: break;
    }
    if (!take_word(name, value, "en zh", &o->lang)) return false;
    language = o->lang;         /* at once, for what is said of the options that follow */
    return true;
}

/* Each option must be one of the verb's, wherever it stands. */
static int check_verb(const options *o)
{
    char shown[32];
    size_t i;
    for (i = 0; i < COUNT(option_table); i++) {
        if (!o->given[i] || (option_table[i].of & o->verb)) continue;
        (void)snprintf(shown, sizeof shown, "--%s", option_table[i].name);
        return say(M_NOT_HERE, shown, o->verb_name), say(M_SEE_HELP), USAGE;
    }
    if (o->command != NULL && o->verb != RUN) return say(M_NOT_HERE, "--", o->verb_name), say(M_SEE_HELP), USAGE;
    return DONE;
}

/* Whether a word has the form of an instance's id: uhost-xxxx. "30m", "now" and
   "2026-11-23" have not. */
static bool names_instance(const char *word)
{
    size_t len = 0;
    while (isalnum((unsigned char)word[len])) len++;
    return strcmp(word, "self") == 0
        || (isalpha((unsigned char)word[0]) && word[len] == '-' && isalnum((unsigned char)word[len + 1]));
}

/* Half of what was typed is not done: that "30m" is no instance is found out before. */
static int check_names(const options *o)
{
    int64_t seconds;
    size_t i;
    for (i = 0; i < o->count && names_instance(o->uhosts[i]); i++) {}
    if (i == o->count) return DONE;
    (void)fputs("compshare-schedule: ", stderr);
    out(stderr, M_BAD_UHOST, o->uhosts[i]);
    (void)fprintf(stderr, "%s\n", read_duration(o->uhosts[i], &seconds) ? tr(M_ONE_WORD) : "");
    return USAGE;
}

/* What only all options together can tell. */
static int check_options(options *o)
{
    bool some = o->count > 0;
    o->mode = o->only_extend ? COMPSHARE_ONLY_EXTEND : o->only_shorten ? COMPSHARE_ONLY_SHORTEN : 0;
    if (check_verb(o) != DONE) return USAGE;
    if (o->only_extend && o->only_shorten) return say(M_EXCLUSIVE, "--only-extend", "--only-shorten"), USAGE;
    if (o->all && some) return say(M_ALL_AND_SOME), USAGE;
    if (o->name_glob != NULL && !o->all && (some || (o->verb & (SET | EXTEND | CANCEL))))
        return say(M_NOT_HERE, "--name", "UHOST"), USAGE;
    if (((o->verb & (SET | EXTEND | CANCEL | RUN)) || o->from_input) && !some && !o->all) return say(M_NO_UHOST), USAGE;
    if (o->verb == RUN && o->count != 1) return say(M_ONE_UHOST), USAGE;
    if ((o->verb & (AUDIT | DOCTOR)) && some) return say(M_NOT_HERE, o->uhosts[0], o->verb_name), USAGE;
    if (o->verb == SET && o->given[O_IN] == o->given[O_AT]) return say(M_NO_TIME), USAGE;
    if (o->verb == SET && o->in != 0 && o->in < 300) return say(M_SHORT_IN, o->given[O_IN] ? "--in" : "--at"), USAGE;
    if (o->verb == EXTEND && o->by == 0) return say(M_NO_BY), USAGE;
    as_json = o->json;
    verbose = o->verbose;
    if (o->verb != RUN) return check_names(o);
    if ((o->pid != 0) == (o->command != NULL)) return say(M_NO_COMMAND_GIVEN), USAGE;
    if (o->until != 0 && o->most != 0) return say(M_EXCLUSIVE, "--until", "--max"), USAGE;
    if ((o->warn != 0) != (o->signal != 0)) return say(M_WARN_AND_SIGNAL), USAGE;
    if (o->ttl < 900) return say(M_SHORT_TTL), USAGE;
    if (o->grace < 300) return say(M_SHORT_IN, "--grace"), USAGE;
    return DONE;
}

/* Whether the API could know it as an instance: such ids are safe in a terminal, in a
   path and in JSON as they are. */
static bool is_id(const char *text)
{
    size_t len = 0;
    while (isalnum((unsigned char)text[len]) || (text[len] != '\0' && strchr("._-", text[len]) != NULL)) len++;
    return text[len] == '\0' && len > 0 && len < sizeof ((compshare_instance *)0)->uhost_id;
}

static int add_uhost(options *o, char *text)
{
    size_t i;
    char **more;
    for (i = 0; i < o->count; i++)
        if (strcmp(o->uhosts[i], text) == 0) return DONE;
    more = is_id(text) ? (char **)realloc(o->uhosts, (o->count + 1) * sizeof *more) : NULL;
    if (!is_id(text)) return say(M_BAD_UHOST, text), USAGE;
    if (more == NULL || (more[o->count] = strdup(text)) == NULL) return say(M_NO_MEMORY), CONFIGURATION;
    o->uhosts = more;
    o->count++;
    return DONE;
}

/* Instances from standard input, for "-". What cannot be one is refused, a NUL among
   them too: who lists instances to be switched off must not lose some of them. */
static int read_ids(options *o)
{
    char input[512], word[128];
    size_t len = 0;
    ssize_t n, i;
    bool ended;
    int code = DONE;
    o->from_input = true;
    do {
        n = read(STDIN_FILENO, input, sizeof input - 1);
        if (n < 0) return say(M_CANNOT_READ, "-", strerror(errno)), CONFIGURATION;
        ended = n == 0;
        if (ended) input[n++] = '\n';          /* which ends a word */
        for (i = 0; i < n && code == DONE; i++) {
            unsigned char c = (unsigned char)input[i];
            if (!isspace(c) && len < sizeof word - 1) word[len++] = (char)(isgraph(c) ? c : '?');
            if (!isspace(c) || len == 0) continue;
            word[len] = '\0';
            len = 0;
            code = add_uhost(o, word);
        }
    } while (code == DONE && !ended);
    return code;
}

static bool is_key_option(const char *word)
{
    return strstr(word, "key") != NULL || strstr(word, "secret") != NULL || strstr(word, "token") != NULL;
}

/* Refuses -y, and names the option that begins with it. */
static int refuse_letter(const options *o, const char *letter)
{
    char shown[32];
    size_t i;
    (void)snprintf(shown, sizeof shown, "-%s", letter);
    (void)fputs("compshare-schedule: ", stderr);
    out(stderr, M_BAD_OPTION, shown);
    for (i = 0; i < COUNT(option_table); i++) {
        if (option_table[i].name[0] != letter[0]
            || (o->verb != 0 && !(option_table[i].of & o->verb))) continue;
        (void)snprintf(shown, sizeof shown, "--%s", option_table[i].name);
        out(stderr, M_MEANT, shown);
        break;
    }
    (void)fputc('\n', stderr);
    return say(M_SEE_HELP), USAGE;
}

/* What getopt_long could not take; id is its answer. */
static int refuse_option(const options *o, int id, const char *word)
{
    char shown[32] = "";
    if (optopt >= VALUES) (void)snprintf(shown, sizeof shown, "--%s", option_table[optopt - VALUES].name);
    if (shown[0] != '\0') return say(id == ':' ? M_NEEDS_VALUE : M_TAKES_NO_VALUE, shown), USAGE;
    if (optopt != 0) {
        (void)snprintf(shown, sizeof shown, "%c", isprint(optopt) ? optopt : '?');
        return refuse_letter(o, shown);
    }
    if (is_key_option(word)) return say(M_KEY_OPTION), USAGE;
    return refuse_word(M_BAD_OPTION, word + strspn(word, "-"), true, o->verb != 0 ? o->verb : (unsigned)EVERY);
}

/* A word that is no option: the verb, then instances. DONE, or the exit status. */
static int take_argument(options *o, char *word)
{
    static const char *const others[][2] = {
        { "list", "show" }, { "ls", "show" }, { "status", "show" }
    };
    size_t i;
    if (o->verb != 0) return strcmp(word, "-") == 0 ? read_ids(o) : add_uhost(o, word);
    o->help = o->help || strcmp(word, "help") == 0;
    o->version = o->version || strcmp(word, "version") == 0;
    if (o->help || o->version) return DONE;
    for (i = 0; i < COUNT(others); i++)
        if (strcmp(others[i][0], word) == 0)
            return take_argument(o, (char *)(uintptr_t)others[i][1]);
    for (i = 0; i < COUNT(verbs) && strcmp(verbs[i].name, word) != 0; i++) {}
    if (i == COUNT(verbs)) return refuse_word(M_BAD_VERB, word, false, 0);
    o->verb = verbs[i].verb;
    o->verb_name = verbs[i].name;
    return DONE;
}

/* How each verb is written, and what is said of it. */
static const struct { const char *form; int message; } synopses[] = {
    { "set UHOST... --in 2h | --at TIME [--if-none] [--yes]\n"
      "         [--only-extend | --only-shorten] [--prepaid-ok]", M_HELP_SET },
    { "show [UHOST...] [--reveal]", M_HELP_SHOW },
    { "extend UHOST... --by 90m", M_HELP_EXTEND },
    { "cancel UHOST... [--yes]", M_HELP_CANCEL },
    { "audit [--all-projects]", M_HELP_AUDIT },
    { "run UHOST [--ttl 60m] [--grace 15m]\n"
      "         [--on-exit grace|stop|cancel|keep|restore]\n"
      "         [--until TIME | --max 24h] [--warn 10m --signal USR1]\n"
      "         [--linger 1h] [--prepaid-ok] [--unarmed-ok] [--status-file FILE]\n"
      "         (--pid N | -- COMMAND [ARG...])", M_HELP_RUN },
    { "doctor", M_HELP_DOCTOR }
};

static int print_help(void)
{
    static const char everywhere[] =
        "  --json --region R --zone Z --project-id P --profile NAME --base-url URL\n"
        "  --ca-file FILE --proxy URL --timeout 60s --retries N --verbose --lang zh|en\n"
        "  --version --help\n";
    size_t i;
    (void)printf("%s\n", tr(M_USAGE));
    for (i = 0; i < COUNT(synopses); i++)
        (void)printf("  compshare-schedule %s\n      %s\n", synopses[i].form,
            tr(synopses[i].message));
    (void)printf("%s\n%s\n%s", tr(M_HELP_EVERYWHERE), everywhere, tr(M_HELP));
    return DONE;
}

/* The verb is the first word that is no option. -1: go on; else the exit status. */
static int read_options(options *o, int argc, char **argv)
{
    struct option table[COUNT(option_table) + 1];
    size_t i;
    int id, code, at;
    memset(table, 0, sizeof table);
    for (i = 0; i < COUNT(option_table); i++) {
        table[i].name = option_table[i].name;
        table[i].has_arg = option_table[i].kind == FLAG ? no_argument : required_argument;
        table[i].val = VALUES + (int)i;
    }
    for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {}
    if (at + 1 < argc) o->command = argv + at + 1;
    opterr = 0;
    while ((id = getopt_long(at, argv, "-:hV", table, NULL)) != -1 || optind < at) {
        if (id == 1 || id == -1) {      /* musl's ends at a lone "-" */
            if ((code = take_argument(o, id == 1 ? optarg : argv[optind++])) != DONE) return code;
        } else if (id == ':' || id == '?') {
            return refuse_option(o, id, argv[optind - 1]);
        } else if (!take_option(o, id == 'h' ? O_HELP : id == 'V' ? O_VERSION : id - VALUES, optarg)) {
            return USAGE;
        }
        if (o->version) return (void)printf("compshare-schedule %s\n", compshare_version()), DONE;
    }
    if (o->help) return print_help();      /* in the language that any option asked for */
    if (o->verb == 0) return say(M_NO_VERB), say(M_SEE_HELP), USAGE;
    return check_options(o) == DONE ? -1 : USAGE;
}

/* ---- credentials ---- */

static compshare_config config;

static const char *const secret_names[] = {
    "COMPSHARE_PUBLIC_KEY", "COMPSHARE_PRIVATE_KEY", "COMPSHARE_SECURITY_TOKEN"
};
static char *secrets[COUNT(secret_names)];      /* what the environment had of them */
static struct rlimit core_limit;                /* as it was found, for the command */

/* The first thing that is done: no other process of this user may look into this one, no
   core is written, and the block of the environment, which others read in /proc, is
   cleared of the keys. What is started does not inherit them. */
static void hide_secrets(void)
{
    extern char **environ;
    struct rlimit none;
    size_t i;
    char **at;
#ifdef __linux__
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    if (getrlimit(RLIMIT_CORE, &core_limit) == 0) {
        none = core_limit;
        none.rlim_cur = 0;
        (void)setrlimit(RLIMIT_CORE, &none);
    }
    for (i = 0; i < COUNT(secret_names); i++) {
        size_t len = strlen(secret_names[i]);
        for (at = environ; at != NULL && *at != NULL; at++) {
            if (strncmp(*at, secret_names[i], len) != 0 || (*at)[len] != '=') continue;
            if (secrets[i] == NULL && (*at)[len + 1] != '\0') secrets[i] = strdup(*at + len + 1);
            memset(*at + len + 1, 0, strlen(*at + len + 1));
        }
        (void)unsetenv(secret_names[i]);
    }
}

static void forget_secrets(void)
{
    size_t i;
    for (i = 0; i < COUNT(secrets); i++)
        if (secrets[i] != NULL) memset(secrets[i], 0, strlen(secrets[i]));
}

/* What it is borrowed from, but for the environment and the command line. */
static struct settings {
    char public_key[256], private_key[256], path[PATH_MAX], proxy[512];
    const char *keys_from;
} settings;

static bool token_is(const char *text, const jsmntok_t *t, const char *word)
{
    size_t len = strlen(word);
    return t->type == JSMN_STRING && (size_t)(t->end - t->start) == len && memcmp(text + t->start, word, len) == 0;
}

/* The value of a member of the object at `at`; -1 if it has none, -2 if it has more than
   one: which of two keys is meant must not depend on who reads the file. */
static int token_member(const char *text, const jsmntok_t *tokens, int count, int at, const char *name)
{
    int i, found = -1;
    if (at < 0 || tokens[at].type != JSMN_OBJECT) return -1;
    for (i = at + 1; i + 1 < count && tokens[i].start < tokens[at].end; i++) {
        if (tokens[i].parent != at || tokens[i].size != 1 || !token_is(text, &tokens[i], name)) continue;
        if (found >= 0) return -2;
        found = i + 1;
    }
    return found;
}

static bool token_copy(const char *text, const jsmntok_t *tokens, int at, char *buf, size_t cap)
{
    size_t len;
    if (at < 0 || tokens[at].type != JSMN_STRING) return false;
    len = (size_t)(tokens[at].end - tokens[at].start);
    if (len == 0 || len >= cap || memchr(text + tokens[at].start, '\\', len) != NULL) return false;
    memcpy(buf, text + tokens[at].start, len);
    buf[len] = '\0';
    return true;
}

/* current_profile and profiles.NAME.public_key, .private_key of the official CLI's
   config.json. A message that says what is wrong, or -1. */
static int read_profile(const char *text, size_t len, const char *profile, char name[128], struct settings *s)
{
    static jsmntok_t tokens[512];
    jsmn_parser parser;
    int count, profiles, current;
    jsmn_init(&parser);
    count = jsmn_parse(&parser, text, len, tokens, COUNT(tokens));
    (void)snprintf(name, 128, "%s", profile != NULL ? profile : "default");
    if (count == JSMN_ERROR_NOMEM) return M_FULL_CONFIG;
    if (count < 1 || tokens[0].type != JSMN_OBJECT) return M_BAD_CONFIG;
    current = profile == NULL ? token_member(text, tokens, count, 0, "current_profile") : -1;
    if (current == -2 || (current >= 0 && tokens[current].end > tokens[current].start && !token_copy(text, tokens, current, name, 128)))
        return M_BAD_CURRENT;       /* the keys of another account, "default", are no substitute */
    profiles = token_member(text, tokens, count, token_member(text, tokens, count, 0, "profiles"), name);
    if (!token_copy(text, tokens, token_member(text, tokens, count, profiles, "public_key"), s->public_key, sizeof s->public_key)
        || !token_copy(text, tokens, token_member(text, tokens, count, profiles, "private_key"), s->private_key, sizeof s->private_key)) return M_NO_PROFILE;
    return -1;
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* What an option gave, else a variable of the environment. */
static const char *given_or(const char *option, const char *name)
{
    return option != NULL ? option : from_environment(name);
}

static bool config_path(char *path, size_t cap)
{
    const char *file = from_environment("COMPSHARE_CONFIG_FILE"), *dir = from_environment("XDG_CONFIG_HOME"), *home = from_environment("HOME");
    int n = file != NULL ? snprintf(path, cap, "%s", file) : dir != NULL ? snprintf(path, cap, "%s/compshare/config.json", dir)
        : snprintf(path, cap, "%s/.config/compshare/config.json", home != NULL ? home : "");
    return n > 0 && (size_t)n < cap;
}

static int read_config_file(const options *o)
{
    static char text[32768];
    char name[128];
    struct stat info;
    size_t len = 0, skip;
    ssize_t n = 1;
    int fd, wrong;
    if (!config_path(settings.path, sizeof settings.path) || ((fd = open(settings.path, O_RDONLY | O_CLOEXEC)) < 0 && errno == ENOENT))
        return refuse(CONFIGURATION, M_NO_KEYS, settings.path);
    if (fd < 0 || fstat(fd, &info) != 0) return refuse(CONFIGURATION, M_CANNOT_READ, settings.path, strerror(errno));
    while (n > 0 && len < sizeof text) {
        n = read(fd, text + len, sizeof text - len);
        if (n > 0) len += (size_t)n;
    }
    (void)close(fd);
    if (n < 0) return refuse(CONFIGURATION, M_CANNOT_READ, settings.path, strerror(errno));
    if (info.st_mode & (S_IRGRP | S_IROTH)) say(M_OTHERS_READ, settings.path);
    if (len == sizeof text) return refuse(CONFIGURATION, M_LONG_CONFIG, settings.path);
    /* a byte order mark, as editors leave it */
    skip = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    wrong = read_profile(text + skip, len - skip, given_or(o->profile, "COMPSHARE_PROFILE"),
        name, &settings);
    memset(text, 0, sizeof text);
    if (wrong >= 0) return refuse(CONFIGURATION, wrong, settings.path, name);
    config.public_key = settings.public_key;
    config.private_key = settings.private_key;
    settings.keys_from = settings.path;
    return DONE;
}

static int read_credentials(const options *o)
{
    const char *public_name = secret_names[0], *private_name = secret_names[1];
    config.public_key = secrets[0];
    config.private_key = secrets[1];
    settings.keys_from = public_name;
    if (o->profile != NULL || (config.public_key == NULL && config.private_key == NULL)) return read_config_file(o);
    if (config.public_key == NULL) return refuse(CONFIGURATION, M_HALF_A_KEY, private_name, public_name);
    if (config.private_key == NULL) return refuse(CONFIGURATION, M_HALF_A_KEY, public_name, private_name);
    return DONE;
}

/* ---- the proxy, as curl understands its variables ---- */

/* A variable in lower case, which comes first, or in upper case. */
static const char *either_case(const char *lower, const char *upper)
{
    const char *value = from_environment(lower);
    return value != NULL ? value : from_environment(upper);
}

/* Whether no_proxy names the host: "*" alone, a name, or the end of one behind a dot. A dot
   in front of a name or behind it does not count. */
static bool proxy_excepts(const char *list, const char *host)
{
    size_t host_len = strcspn(host, ":/"), len;
    if (list == NULL) return false;
    if (strcmp(list, "*") == 0) return true;
    if (host_len > 0 && host[host_len - 1] == '.') host_len--;
    for (; *list != '\0'; list += len) {
        const char *name = list += strspn(list, ", \t");
        size_t n = len = strcspn(list, ", \t");
        if (n > 0 && name[n - 1] == '.') n--;
        if (n > 0 && *name == '.') { name++; n--; }
        if (n > 0 && n <= host_len && strncasecmp(host + host_len - n, name, n) == 0
            && (n == host_len || host[host_len - n - 1] == '.')) return true;
    }
    return false;
}

/* The proxy as the library wants it: curl takes it without a scheme, the scheme in any
   case, with a path that means nothing, and without a port, which then is 1080. */
static const char *plain_proxy(const char *proxy)
{
    const char *from = strstr(proxy, "://"), *at, *host;
    size_t len;
    /* which is refused */
    if (from != NULL && strncasecmp(proxy, "http://", 7) != 0) return proxy;
    from = from != NULL ? from + 3 : proxy;
    len = strcspn(from, "/?#");
    if (len + sizeof "http://:1080" > sizeof settings.proxy) return proxy;
    (void)snprintf(settings.proxy, sizeof settings.proxy, "http://%.*s", (int)len, from);
    at = strrchr(settings.proxy + 7, '@');
    host = at != NULL ? at + 1 : settings.proxy + 7;
    if (*host == '[' && strchr(host, ']') != NULL) host = strchr(host, ']');
    if (strchr(host, ':') == NULL) memcpy(settings.proxy + 7 + len, ":1080", sizeof ":1080");
    return settings.proxy;
}

static const char *choose_proxy(const options *o, const char *base_url)
{
    const char *proxy = o->proxy, *host = strstr(base_url, "://");
    if (proxy != NULL) return proxy[0] != '\0' ? plain_proxy(proxy) : NULL;
    proxy = either_case("https_proxy", "HTTPS_PROXY");
    if (proxy == NULL) proxy = either_case("all_proxy", "ALL_PROXY");
    host = host != NULL ? host + 3 : base_url;
    if (proxy == NULL || proxy_excepts(either_case("no_proxy", "NO_PROXY"), host)) return NULL;
    return plain_proxy(proxy);
}

/* ---- the client ---- */

static unsigned char memory[COMPSHARE_MEMORY];
static compshare *client;
static bool command_runs;       /* the terminal may be the command's */

/* Whether a full-screen program has the terminal, or nothing can be written to it now
   (Ctrl-S, a pipe that nobody reads): renewals must not wait for that. */
static bool terminal_is_taken(void)
{
    struct pollfd to = { STDERR_FILENO, POLLOUT, 0 };
    struct termios mode;
    return command_runs && ((tcgetattr(STDERR_FILENO, &mode) == 0 && !(mode.c_lflag & ICANON)) || poll(&to, 1, 0) == 0);
}

static unsigned changes_sent;   /* requests to set or cancel, of which some may be unanswered */

static void print_trace(void *user, const char *line)
{
    (void)user;
    changes_sent += strncmp(line, "sent ", 5) == 0 && strstr(line, "StopScheduler") != NULL;
    if (verbose && !terminal_is_taken()) (void)fprintf(stderr, "# %s\n", line);
}

/* "ucl****": enough to tell one key from another. */
static const char *masked(const char *key)
{
    static char text[16];
    (void)snprintf(text, sizeof text, "%.*s****", strlen(key) > 12 ? 3 : 0, key);
    return text;
}

static const char *or_none(const char *text) { return text != NULL ? text : "-"; }
static const char *or_empty(const char *text) { return text != NULL ? text : ""; }

/* What goes with every request. */
static void trace_settings(void)
{
    if (!verbose) return;
    (void)fprintf(stderr, "# PublicKey=%s PrivateKey=****%s Region=%s Zone=%s ProjectId=%s\n", masked(config.public_key),
        config.security_token != NULL ? " SecurityToken=****" : "", or_none(config.region), or_none(config.zone), or_none(config.project_id));
}

/* What a change is about to ask for; time 0: that there be none; below: not known yet. */
static void trace_change(const char *uhost_id, int64_t time)
{
    char line[160];
    if (!verbose) return;
    (void)snprintf(line, sizeof line, time < 0 ? "UHostId=%s" : "UHostId=%s SchedulerStopTime=%lld", uhost_id, (long long)time);
    print_trace(NULL, line);
}

#ifdef SCHEDULE_TEST_CLOCK
/* For tests of leases: both clocks run ahead by the milliseconds that a file holds, which
   the test moves on. */
#include <sys/mman.h>
static const volatile int64_t *test_ahead;

static int64_t ahead_ms(void)
{
    const char *path = from_environment("COMPSHARE_TEST_AHEAD");
    int fd = test_ahead == NULL && path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *map = mmap(NULL, sizeof *test_ahead, PROT_READ, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED) test_ahead = (const volatile int64_t *)map;
        (void)close(fd);
    }
    return test_ahead != NULL ? *test_ahead : 0;
}
#else
#define ahead_ms() 0
#endif

/* Milliseconds that go on while the machine is suspended, where it can tell. */
static uint64_t monotonic_ms(void *user)
{
    struct timespec t = { 0, 0 };
    (void)user;
#ifdef CLOCK_BOOTTIME
    if (clock_gettime(CLOCK_BOOTTIME, &t) != 0)
#endif
        (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + (uint64_t)ahead_ms();
}

static int64_t unix_time(void *user)
{
    (void)user;
    return (int64_t)time(NULL) + ahead_ms() / 1000;
}

/* Seconds since 1970 by the server's clock, or by this machine's until that is known. */
static int64_t now(void)
{
    int64_t server = compshare_server_time(client);
    return server != 0 ? server : unix_time(NULL);
}

static int open_client(const options *o)
{
    char text[COMPSHARE_ERROR_TEXT];
    const char *base_url = given_or(o->base_url, "COMPSHARE_BASE_URL");
    int r = read_credentials(o);
    if (r != DONE) return r;
    config.memory = memory;
    config.memory_size = sizeof memory;
    config.security_token = secrets[2];
    config.region = o->region;
    config.zone = o->zone;
    config.project_id = o->project_id;
    if (!o->all && o->verb != AUDIT) {      /* these mean the account, and only options narrow it */
        config.region = given_or(config.region, "COMPSHARE_REGION");
        config.zone = given_or(config.zone, "COMPSHARE_ZONE");
        config.project_id = given_or(config.project_id, "COMPSHARE_PROJECT_ID");
    }
    config.base_url = base_url;
    config.ca_file = given_or(o->ca_file, "COMPSHARE_CA_FILE");
    config.ca_file = given_or(config.ca_file, "SSL_CERT_FILE");
#ifdef SCHEDULE_CA
    if (config.ca_file == NULL) { config.ca_pem = embedded_roots; config.ca_pem_len = sizeof embedded_roots - 1; }
#endif
    config.proxy = choose_proxy(o, base_url != NULL ? base_url : "https://api.compshare.cn");
    config.timeout_ms = (uint32_t)(o->timeout == 0 ? 60000 : o->timeout < 86400 ? o->timeout * 1000 : 86400000);
    config.connect_timeout_ms = config.timeout_ms / 2;
    config.max_retries = (unsigned)o->retries;
    config.user_agent = "compshare-schedule/" COMPSHARE_VERSION;
    config.monotonic_ms = monotonic_ms;
    config.unix_time = unix_time;
    config.trace = print_trace;
    trace_settings();
    if (compshare_open(&client, &config) == COMPSHARE_OK) return DONE;
    return refuse(CONFIGURATION, M_FAILED, compshare_open_text(&config, text, sizeof text));
}

/* ---- how a call ended ---- */

/* The exit status that a failure to read stands for. */
static int read_outcome(int status)
{
    if (status == COMPSHARE_OK) return DONE;
    if (status == COMPSHARE_E_NOT_FOUND || status == COMPSHARE_E_STATE || status == COMPSHARE_E_SPOT || status == COMPSHARE_E_NO_PLAN) return UNSCHEDULABLE;
    if (status == COMPSHARE_E_PARAM || status == COMPSHARE_E_TOO_SOON) return USAGE;
    if (status == COMPSHARE_E_CONFIG || status == COMPSHARE_E_MEMORY || status == COMPSHARE_E_PROJECT || status == COMPSHARE_E_CLOCK
        || status == COMPSHARE_E_TRUST) return CONFIGURATION;
    return status == COMPSHARE_E_API || status == COMPSHARE_E_STATUS || status == COMPSHARE_E_REPLY ? REFUSED : NETWORK;
}

/* The same for a call that changes something. */
static int outcome(int status)
{
    bool unknown = status == COMPSHARE_E_UNCONFIRMED || compshare_last_error(client)->outcome_unknown;
    return status != COMPSHARE_OK && unknown ? UNCONFIRMED : read_outcome(status);
}

/* A reading that got no answer (a 502, a web page, half of a reply) is tried again, twice:
   nothing was done. So is what does not find an instance that was seen a moment ago. */
static bool try_again(int status, bool seen, int *tries)
{
    const compshare_error *e = compshare_last_error(client);
    bool garbled = status == COMPSHARE_E_JSON || status == COMPSHARE_E_HTTP
        || (status == COMPSHARE_E_STATUS && e->retryable);
    if (!garbled && !(seen && status == COMPSHARE_E_NOT_FOUND)) return false;
    if (strstr(e->action, "StopScheduler") != NULL || ++*tries > 2) return false;
    (void)poll(NULL, 0, *tries * 1000);
    return true;
}

/* The most serious of two: 5, 3, 6, 4, what is left, 0. */
static int graver(int a, int b)
{
    static const int order[] = { UNCONFIRMED, REFUSED, UNSCHEDULABLE, NETWORK, CONFIGURATION, USAGE, FOUND };
    size_t i;
    for (i = 0; i < COUNT(order); i++)
        if (a == order[i] || b == order[i]) return order[i];
    return DONE;
}

static const char *error_text(void)
{
    static char text[COMPSHARE_ERROR_TEXT];
    return compshare_error_text(client, text, sizeof text);
}

/* A clock that is wrong by more than a minute, said once. */
static void check_clock(void)
{
    static bool said;
    int64_t server = compshare_server_time(client), off = unix_time(NULL) - server;
    if (said || server == 0 || (off >= -60 && off <= 60)) return;
    said = true;
    say(M_CLOCK_OFF, tr(off > 0 ? M_AHEAD_OF : M_BEHIND), show_duration(off > 0 ? off : -off));
}

/* ---- lines about an instance ---- */

/* What the output shows of an instance and of what was done to it. */
typedef struct entry {
    compshare_instance is;
    int64_t previous, wanted;
    int code;                   /* exit status */
    size_t project;             /* which of the fleet's */
    bool wanting;               /* is to be changed */
    bool changed, left_alone, pending, seen;
    char error[640];
} entry;

static bool is_spot(const char *charge_type)
{
    return strcmp(charge_type, "Spot") == 0 || strcmp(charge_type, "Preemptive") == 0;
}

static bool is_prepaid(const char *charge_type)
{
    return strcmp(charge_type, "Day") == 0 || strcmp(charge_type, "Month") == 0 || strcmp(charge_type, "Year") == 0;
}

static void json_known(const char *key, const char *text)
{
    if (text[0] != '\0') json_text(key, text);
    else json_null(key);
}

/* The keys are always the same; what is not known is null. */
static void print_json(const entry *e)
{
    bool known = e->is.state[0] != '\0' || e->is.charge_type[0] != '\0';
    json_text("uhost_id", e->is.uhost_id);
    json_known("name", e->is.name);
    json_known("state", e->is.state);
    json_known("charge_type", e->is.charge_type);
    json_known("zone", e->is.zone);
    if (known) {
        json_number("stop_time", e->is.stop_time);
        json_number("previous_stop_time", e->previous);
        json_number("seconds_left", e->is.stop_time > now() ? e->is.stop_time - now() : 0);
    } else {
        json_null("stop_time");
        json_null("previous_stop_time");
        json_null("seconds_left");
    }
    json_truth("changed", e->changed);
    json_truth("keeps_billing", is_prepaid(e->is.charge_type));
    if (e->code == DONE || e->code == FOUND) json_null("error");
    else json_error(e->code, e->error);
    json_end();
}

/* A word of the API's in the language of the messages. */
static const char *shown_word(const char *word)
{
    static const char *const words[][2] = {
        { "Running", "运行中" }, { "Stopped", "已关机" }, { "Stopping", "关机中" },
        { "Starting", "启动中" }, { "Rebooting", "重启中" }, { "Initializing", "初始化中" },
        { "Install", "安装中" }, { "Install Fail", "安装失败" }, { "Postpay", "按量" }, { "Dynamic", "按时" },
        { "Day", "包日" }, { "Month", "包月" }, { "Year", "包年" },
        { "Spot", "抢占式" }, { "Preemptive", "抢占式" }
    };
    size_t i;
    for (i = 0; language != 0 && i < COUNT(words); i++)
        if (strcmp(words[i][0], word) == 0) return words[i][1];
    return word;
}

/* Where the line on standard output stands, and how far the next piece of it is. */
static int column, gap;

/* A piece of a line, in a field of some columns; one that passes column 80 goes on the next. */
static void put(int field, const char *text)
{
    int columns = width(text);
    if (text[0] == '\0') return;
    if (column > 0 && column + gap + columns > 80) {
        (void)fputs("\n    ", stdout);
        column = 4;
        gap = 0;
    }
    (void)printf("%*s%s", gap, "", text);
    column += gap + columns;
    gap = (field > columns ? field - columns : 0) + 2;
}

static void end_line(void)
{
    (void)putchar('\n');
    column = gap = 0;
}

static void put_form(int message, const char *text)
{
    char line[128];
    (void)snprintf(line, sizeof line, tr(message), text);
    put(0, line);
}

/* Cuts a text that takes more columns than these. */
static void cut(char *text, int columns)
{
    size_t len = strlen(text);
    if (width(text) <= columns) return;
    while (width(text) > columns - 3) {
        do len--; while ((text[len] & 0xC0) == 0x80);
        text[len] = '\0';
    }
    memcpy(text + len, "...", sizeof "...");
}

/* Cards, how it is paid, and the name. */
static void put_details(const compshare_instance *i)
{
    char text[160];
    if (i->gpu_type[0] != '\0') {
        (void)snprintf(text, sizeof text, "%s x%lld", i->gpu_type, (long long)i->gpu);
        put(0, text);
    }
    put(7, shown_word(i->charge_type));
    (void)snprintf(text, sizeof text, "%s", i->name);
    cut(text, 40);
    put(0, text);
}

/* When it goes off, with what remains. */
static void put_plan(int64_t stop_time)
{
    char text[240];
    const char *plan = stop_time == 0 ? tr(M_NO_PLAN) : off_text(stop_time);
    int len = snprintf(text, sizeof text, "%s", plan);
    if (stop_time != 0)
        (void)snprintf(text + len, sizeof text - (size_t)len, tr(M_REMAINS),
            show_duration(stop_time - now() - MARGIN_S));
    put(0, text);
}

/* The plan comes first, unless two times make it fill a line of its own. */
static void print_plan(const entry *e)
{
    bool first = e->is.stop_time == 0 || width(off_text(e->is.stop_time)) < 40;
    put(18, e->is.uhost_id);
    put(language != 0 ? 8 : 12, shown_word(e->is.state));
    if (first) put_plan(e->is.stop_time);
    put_details(&e->is);
    if (!first) put_plan(e->is.stop_time);
    if (e->left_alone) put(0, tr(M_LEFT_ALONE));
    else if (e->changed && e->previous != 0 && e->previous != e->is.stop_time)
        put_form(M_WAS, local_time(e->previous));
    if (is_prepaid(e->is.charge_type) && e->is.stop_time != 0) put(0, tr(M_KEEPS_BILLING));
    end_line();
}

static void print_entry(const entry *e)
{
    if (as_json) { print_json(e); return; }
    if (e->code == DONE) { print_plan(e); return; }
    (void)fflush(stdout);
    out(stderr, M_FAILED_LINE, e->is.uhost_id, e->error);
    (void)fputc('\n', stderr);
}

static int fail_entry(entry *e, int code, const char *text)
{
    e->code = code;
    (void)snprintf(e->error, sizeof e->error, "%s", text);
    return code;
}

/* What was asked for (0: no timed shutdown) was not shown: what is known, and what to type. */
static int doubt_entry(entry *e, int64_t wanted, bool accepted, int64_t shown)
{
    char asked[160], seen[160];
    const char *id = e->is.uhost_id;
    int len;
    e->code = UNCONFIRMED;
    (void)snprintf(asked, sizeof asked, "%s", wanted != 0 ? off_text(wanted) : tr(M_NO_PLAN));
    (void)snprintf(seen, sizeof seen, "%s", shown != 0 ? local_time(shown) : tr(M_NO_PLAN));
    len = snprintf(e->error, sizeof e->error, tr(M_DOUBT), asked,
        tr(accepted ? M_ACCEPTED : M_NOT_ANSWERED), seen, id);
    if ((size_t)len >= sizeof e->error) return UNCONFIRMED;
    if (wanted != 0)
        (void)snprintf(e->error + len, sizeof e->error - (size_t)len, tr(M_AGAIN), id,
            (long long)wanted, id);
    else (void)snprintf(e->error + len, sizeof e->error - (size_t)len, tr(M_CANCEL_AGAIN), id);
    return UNCONFIRMED;
}

/* ---- many instances: one list, one change each, and lists until all is shown ---- */

/* Where to look: a project, "" for what the API takes by itself. */
typedef struct place { char project[64]; bool empty; } place;

typedef struct fleet {
    const options *o;
    entry *entries;
    size_t count, listed, unplanned;
    size_t matched, prepaid;    /* what the options mean, and what of it was left out as prepaid */
    uint64_t *marks;            /* of the instances that were shown */
    bool confirming, no_memory;
    place *projects;
    size_t project_count, at, found;
} fleet;

static bool named(const options *o, const char *id)
{
    size_t i;
    for (i = 0; i < o->count; i++)
        if (strcmp(o->uhosts[i], id) == 0) return true;
    return false;
}

static entry *find_entry(fleet *f, const char *id)
{
    size_t i;
    for (i = 0; i < f->count; i++)
        if (strcmp(f->entries[i].is.uhost_id, id) == 0) return &f->entries[i];
    return NULL;
}

static entry *add_entry(fleet *f)
{
    entry *more = f->count % 64 == 0 ? (entry *)realloc(f->entries, (f->count + 64) * sizeof *more) : f->entries;
    if (more == NULL) { f->no_memory = true; return NULL; }
    f->entries = more;
    memset(&more[f->count], 0, sizeof *more);
    return &more[f->count++];
}

/* Whether a name is what a pattern says: * stands for any text, ? for one character. */
static bool matches(const char *pattern, const char *name)
{
    const char *star = NULL, *again = name;     /* where to go on with one more byte for the last * */
    while (*name != '\0' || *pattern != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            again = name;
        } else if (*name != '\0' && (*pattern == '?' || *pattern == *name)) {
            int n = *pattern++ == '?' ? character((const unsigned char *)name) : 1;
            name += n > 0 ? n : 1;
        } else {
            if (star == NULL || *again == '\0') return false;
            pattern = star;
            name = ++again;
        }
    }
    return true;
}

static void confirm_entry(entry *e, const compshare_instance *i)
{
    if (e == NULL || !e->pending) return;
    memcpy(e->is.state, i->state, sizeof e->is.state);
    e->is.stop_time = i->stop_time;
    if (e->wanted != 0 ? is_same(i->stop_time, e->wanted) : i->stop_time <= now())
        e->pending = false;
}

/* Of all instances those that the verb has something to do with: nothing has to be
   switched off that does not run, nothing can be moved that is not there. */
static bool concerns(fleet *f, const compshare_instance *i)
{
    bool runs = strcmp(i->state, "Running") == 0, planned = i->stop_time > now();
    f->matched++;
    if (f->o->verb == CANCEL) return planned;
    if (!runs || is_spot(i->charge_type)) return false;
    if (f->o->verb == EXTEND) return planned;
    if (!is_prepaid(i->charge_type) || f->o->prepaid_ok) return true;
    f->prepaid++;
    return false;
}

static bool is_named(const options *o, const compshare_instance *i)
{
    if (o->count > 0) return named(o, i->uhost_id);
    return o->name_glob == NULL || matches(o->name_glob, i->name);
}

static int list_entry(void *user, const compshare_instance *i, compshare_value element)
{
    fleet *f = (fleet *)user;
    entry *e = find_entry(f, i->uhost_id);      /* a list that changes may show one twice */
    (void)element;
    if (f->confirming) return confirm_entry(e, i), 0;
    if (!is_named(f->o, i) || (e == NULL && f->o->all && !concerns(f, i))) return 0;
    if (e == NULL && (e = add_entry(f)) == NULL) return 1;
    f->found += e->is.uhost_id[0] == '\0';
    e->is = *i;
    e->previous = i->stop_time;
    e->project = f->at;
    return 0;
}

/* What was named and is not there becomes a failed entry. */
static bool add_missing(fleet *f)
{
    size_t i;
    for (i = 0; i < f->o->count; i++) {
        entry *e = find_entry(f, f->o->uhosts[i]);
        if (e != NULL) continue;
        if ((e = add_entry(f)) == NULL) return false;
        (void)snprintf(e->is.uhost_id, sizeof e->is.uhost_id, "%s", f->o->uhosts[i]);
        (void)fail_entry(e, UNSCHEDULABLE, tr(M_NOT_LISTED));
    }
    return true;
}

/* A list is narrowed by --zone; an instance that is named is found wherever it is. */
static compshare_target list_filter(const options *o)
{
    static char region[64];
    compshare_target filter = { NULL, NULL, NULL, NULL };
    const char *dash = config.zone != NULL ? strrchr(config.zone, '-') : NULL;
    if (o->count > 0) return filter;
    filter.zone = config.zone;
    if (config.region != NULL || dash == NULL) return filter;
    (void)snprintf(region, sizeof region, "%.*s", (int)(dash - config.zone), config.zone);     /* the API wants both */
    filter.region = region;
    return filter;
}

static int keep_project(void *user, const compshare_project *p)
{
    fleet *f = (fleet *)user;
    place *more = (place *)realloc(f->projects, (f->project_count + 1) * sizeof *more);
    if (more == NULL) { f->no_memory = true; return 1; }
    f->projects = more;
    more += f->project_count++;
    memset(more, 0, sizeof *more);
    (void)snprintf(more->project, sizeof more->project, "%s", p != NULL ? p->project_id : "");
    return 0;
}

/* The one project that was given, else all of the account's. Who may not list them (299)
   is shown those of the project that the API takes. */
static int find_projects(fleet *f, const char *given)
{
    compshare_project one;
    int status;
    memset(&one, 0, sizeof one);
    if (given != NULL) {
        int len = snprintf(one.project_id, sizeof one.project_id, "%s", given);
        if (len >= (int)sizeof one.project_id) return COMPSHARE_E_PARAM;
        return keep_project(f, &one) == 0 ? COMPSHARE_OK : COMPSHARE_E_MEMORY;
    }
    status = compshare_get_project_list(client, NULL, keep_project, f);
    if (status == COMPSHARE_E_API && compshare_last_error(client)->ret_code == 299)
        status = COMPSHARE_OK;
    if (status == COMPSHARE_OK && f->project_count == 0) (void)keep_project(f, NULL);
    return status;
}

static bool awaited(const fleet *f, size_t project)
{
    size_t i;
    for (i = 0; i < f->count; i++)
        if (f->entries[i].pending && f->entries[i].project == project) return true;
    return false;
}

/* Counts what a list shows. */
typedef struct listener { compshare_instance_fn each; void *user; size_t heard; } listener;

static int listen_to(void *user, const compshare_instance *i, compshare_value element)
{
    listener *l = (listener *)user;
    l->heard++;
    return l->each(l->user, i, element);
}

/* Whether a project need not be listed: all that was named is found, or all that is awaited
   is elsewhere. */
static bool passed_over(const fleet *f, bool again)
{
    if (f->confirming) return !awaited(f, f->at);
    return (again && !f->projects[f->at].empty) || (f->o->count > 0 && f->found >= f->o->count);
}

static int list_once(fleet *f, listener *l, bool again)
{
    compshare_target filter = list_filter(f->o);
    int status = COMPSHARE_OK, tries = 0;
    for (f->at = 0; f->at < f->project_count && status == COMPSHARE_OK; f->at++) {
        size_t before = l->heard;
        if (passed_over(f, again)) continue;
        filter.project_id = f->projects[f->at].project;
        do status = compshare_each_instance(client, &filter, listen_to, l);
        while (status != COMPSHARE_OK && try_again(status, false, &tries));
        f->projects[f->at].empty = l->heard == before;
    }
    return status;
}

/* The lists of the projects. A list may be empty for a moment: that something is not there
   is believed once those that were empty have been so again. */
static int list_projects(fleet *f, compshare_instance_fn each, void *user)
{
    listener l = { each, user, 0 };
    int status = list_once(f, &l, false);
    bool missed = f->o->count > 0 ? f->found < f->o->count : l.heard == 0;
    if (status == COMPSHARE_OK && missed && !f->confirming) {
        (void)poll(NULL, 0, 1000);
        status = list_once(f, &l, true);
    }
    check_clock();
    return f->no_memory ? COMPSHARE_E_MEMORY : status;
}

/* Nothing is what the options say: most likely one of them is misspelt. */
static int refuse_empty(const options *o)
{
    const char *const given[] = { o->name_glob, config.region, config.zone, config.project_id };
    static const char *const names[] = { " --name ", " --region ", " --zone ", " --project-id " };
    char text[320] = "";
    size_t i, len = 0;
    for (i = 0; i < COUNT(given) && len < sizeof text; i++)
        if (given[i] != NULL)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", names[i], given[i]);
    return refuse(UNSCHEDULABLE, M_NONE_MATCH, text);
}

/* Whether an entry is to be changed, and to what. */
static bool decide(const options *o, entry *e)
{
    int64_t current = e->is.stop_time > now() ? e->is.stop_time : 0;
    char text[128];
    if (e->code != DONE) return false;
    if (o->verb == CANCEL) return true;
    if (is_spot(e->is.charge_type)) return fail_entry(e, UNSCHEDULABLE, tr(M_IS_SPOT)), false;
    if (strcmp(e->is.state, "Running") != 0) {
        (void)snprintf(text, sizeof text, tr(M_NOT_RUNNING), e->is.state);
        return fail_entry(e, UNSCHEDULABLE, text), false;
    }
    if (o->verb == EXTEND && current == 0) return fail_entry(e, UNSCHEDULABLE, tr(M_NOTHING_TO_EXTEND)), false;
    e->wanted = o->verb == EXTEND ? current + o->by : o->at != 0 ? o->at
        : whole_minute(now() + MARGIN_S + o->in);
    e->left_alone = current != 0 && o->verb == SET && (o->if_none || (o->mode == COMPSHARE_ONLY_EXTEND && current >= e->wanted)
        || (o->mode == COMPSHARE_ONLY_SHORTEN && current <= e->wanted));
    return !e->left_alone;
}

/* A change whose outcome is not known is left to the library's workflow, which knows what
   is a proof, and what may be sent again; so is one whose project is not known. */
static int settle_entry(entry *e, unsigned verb, bool unknown)
{
    compshare_schedule s;
    compshare_plan plan;
    int status;
    memset(&plan, 0, sizeof plan);
    plan.uhost_id = e->is.uhost_id;
    plan.at = e->wanted;
    /* the workflow would take what somebody else has set since for what stood before */
    if (unknown && compshare_schedule_get(client, plan.uhost_id, &s) == COMPSHARE_OK
        && s.stop_time != 0 && s.stop_time != e->previous && !is_same(s.stop_time, e->wanted)) {
        e->changed = true;
        return doubt_entry(e, e->wanted, false, s.stop_time);
    }
    status = verb == CANCEL ? compshare_schedule_cancel(client, plan.uhost_id, &s)
        : compshare_schedule_set(client, &plan, &s);
    if (status != COMPSHARE_OK && !unknown && outcome(status) != UNCONFIRMED)
        return fail_entry(e, outcome(status), error_text());
    e->changed = true;
    if (status != COMPSHARE_OK)
        return doubt_entry(e, e->wanted, s.accepted, s.state[0] != '\0' ? s.shown : e->is.stop_time);
    e->is.stop_time = s.stop_time;
    return DONE;
}

static void change_entry(const fleet *f, entry *e)
{
    compshare_target target = { NULL, NULL, NULL, NULL };
    unsigned verb = f->o->verb;
    int status;
    target.uhost_id = e->is.uhost_id;
    target.region = e->is.region;
    target.zone = e->is.zone;
    target.project_id = f->projects[e->project].project;
    if (target.project_id[0] == '\0' && config.project_id == NULL)       /* better than none */
        target.project_id = or_empty(from_environment("COMPSHARE_PROJECT_ID"));
    trace_change(e->is.uhost_id, e->wanted);
    if (target.project_id[0] == '\0') { (void)settle_entry(e, verb, false); return; }
    status = verb == CANCEL ? compshare_delete_stop_scheduler(client, &target) : compshare_update_stop_scheduler(client, &target, e->wanted);
    e->pending = e->changed = status == COMPSHARE_OK;
    if (status == COMPSHARE_OK) return;
    if (outcome(status) == UNCONFIRMED) (void)settle_entry(e, verb, true);
    else (void)fail_entry(e, outcome(status), error_text());
}

static size_t count_pending(const fleet *f)
{
    size_t i, n = 0;
    for (i = 0; i < f->count; i++) n += f->entries[i].pending;
    return n;
}

/* Lists until every change is shown, or until a time. */
static void await_fleet(fleet *f, uint64_t until)
{
    int pause = 250;
    f->confirming = true;
    while (count_pending(f) > 0) {
        (void)list_projects(f, list_entry, f);
        if (count_pending(f) == 0 || monotonic_ms(NULL) + (uint64_t)pause >= until) break;
        (void)poll(NULL, 0, pause);
        if (pause < 4000) pause *= 2;
    }
}

/* What the API accepts and does not do may need another form, which the library's workflow
   finds: of those that are not shown it gets one, and where that helps, all that a list does
   not show by then. */
static void reform_fleet(fleet *f)
{
    size_t i, done = 0;
    for (i = 0; i < f->count && f->o->verb != CANCEL; i++) {
        entry *e = &f->entries[i];
        if (!e->pending || e->is.stop_time != e->previous) continue;
        e->pending = false;
        if (settle_entry(e, f->o->verb, true) != DONE) break;
        if (done++ == 0) (void)list_projects(f, list_entry, f);
    }
}

/* Until every change is shown, for as long as a call may take, and one more. */
static void confirm_fleet(fleet *f)
{
    uint64_t began = monotonic_ms(NULL);
    size_t i;
    await_fleet(f, began + config.timeout_ms / 2);
    if (count_pending(f) > 0) reform_fleet(f);
    if (count_pending(f) > 0) await_fleet(f, began + config.timeout_ms);
    for (i = 0; i < f->count; i++) {
        entry *e = &f->entries[i];
        if (e->pending) (void)doubt_entry(e, e->wanted, true, e->is.stop_time);
    }
}

static int report_fleet(fleet *f)
{
    size_t i, failed = 0;
    int code = DONE;
    bool stopping = false;
    for (i = 0; i < f->count; i++) {
        entry *e = &f->entries[i];
        print_entry(e);
        failed += e->code != DONE;
        stopping = stopping || (e->code == DONE && e->is.stop_time != 0);
        code = graver(code, e->code);
    }
    if (f->count == 0) say(M_NOTHING_TO_DO, f->matched);
    if (f->prepaid > 0) say(M_PREPAID_LEFT, f->prepaid);
    if (f->count > 1) say(M_TALLY, f->count - failed, failed);
    if (stopping && !as_json) { out(stdout, M_GETS_RELEASED); (void)putchar('\n'); }
    return code;
}

/* The first character of a line from standard input, all of which is read. */
static bool read_line(char *first)
{
    char c = '\0';
    *first = '\0';
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        if (*first == '\0') *first = c;
    return c == '\n';
}

/* The answer to a question that stands on the terminal. */
static int answered(void)
{
    char answer;
    bool yes = read_line(&answer) && (answer == 'y' || answer == 'Y');
    return yes ? DONE : refuse(USAGE, M_NOTHING_CHANGED);
}

/* What makes many instances bill on, or takes them from somebody's work, is asked for on a
   terminal; elsewhere it needs --yes. */
static int confirm_many(const fleet *f)
{
    const options *o = f->o;
    size_t i, n = 0;
    bool cancels = o->verb == CANCEL;
    bool soon = o->verb == SET && (o->in != 0 ? o->in < 3600 : o->at < now() + 3600);
    for (i = 0; i < f->count; i++) n += f->entries[i].wanting;
    if (o->yes || n == 0 || !(cancels ? o->all : soon && n > 1)) return DONE;
    if (!isatty(STDIN_FILENO)) return refuse(USAGE, cancels ? M_CANCEL_YES : M_SOON_YES, n);
    out(stderr, cancels ? M_CANCEL_ALL_SURE : M_SOON_SURE, n);
    return answered();
}

static int change_fleet(fleet *f)
{
    const options *o = f->o;
    size_t i;
    int code, status = find_projects(f, o->project_id);
    if (status == COMPSHARE_OK) status = list_projects(f, list_entry, f);
    if (f->no_memory || !add_missing(f)) return refuse(CONFIGURATION, M_NO_MEMORY);
    if (status != COMPSHARE_OK) return refuse(read_outcome(status), M_FAILED, error_text());
    if (o->all && f->matched == 0) return refuse_empty(o);
    for (i = 0; i < f->count; i++) f->entries[i].wanting = decide(o, &f->entries[i]);
    if ((code = confirm_many(f)) != DONE) return code;
    for (i = 0; i < f->count; i++)
        if (f->entries[i].wanting) change_entry(f, &f->entries[i]);
    confirm_fleet(f);
    return report_fleet(f);
}

static int change_many(const options *o)
{
    fleet f;
    int code;
    memset(&f, 0, sizeof f);
    f.o = o;
    code = change_fleet(&f);
    free(f.entries);
    free(f.projects);
    return code;
}

/* ---- one instance: the library's workflow ---- */

static void take_schedule(entry *e, const compshare_schedule *s)
{
    memcpy(e->is.state, s->state, sizeof e->is.state);
    memcpy(e->is.charge_type, s->charge_type, sizeof e->is.charge_type);
    memcpy(e->is.zone, s->zone, sizeof e->is.zone);
    e->is.stop_time = s->stop_time;
    e->previous = s->previous;
    e->changed = s->changed;
}

static int change_one(const options *o)
{
    compshare_schedule s;
    compshare_plan plan;
    entry e;
    int status, tries = 0;
    bool reads = o->if_none || o->in != 0;      /* which tells the server's time, too */
    memset(&e, 0, sizeof e);
    memset(&plan, 0, sizeof plan);
    (void)snprintf(e.is.uhost_id, sizeof e.is.uhost_id, "%s", o->uhosts[0]);
    plan.uhost_id = o->uhosts[0];
    plan.at = o->at;
    plan.mode = o->mode;
    status = COMPSHARE_OK;
    memset(&s, 0, sizeof s);
    if (reads)
        do status = compshare_schedule_get(client, plan.uhost_id, &s);
        while (status != COMPSHARE_OK && try_again(status, false, &tries));
    if (o->in != 0) plan.at = whole_minute(now() + MARGIN_S + o->in);
    if (status == COMPSHARE_OK && !(o->if_none && s.stop_time > now())) {
        trace_change(e.is.uhost_id, plan.at != 0 || o->verb == CANCEL ? plan.at : -1);
        do status = o->verb == SET ? compshare_schedule_set(client, &plan, &s)
            : o->verb == EXTEND ? compshare_schedule_extend(client, plan.uhost_id, o->by, &s)
            : compshare_schedule_cancel(client, plan.uhost_id, &s);
        while (status != COMPSHARE_OK && try_again(status, reads, &tries));
    }
    check_clock();
    take_schedule(&e, &s);
    e.left_alone = o->verb == SET && status == COMPSHARE_OK && !s.changed;
    if (status != COMPSHARE_OK && outcome(status) == UNCONFIRMED
        && (o->verb == CANCEL || s.requested != 0))
        (void)doubt_entry(&e, s.requested, s.accepted, s.shown);
    else if (status != COMPSHARE_OK)
        (void)fail_entry(&e, outcome(status), error_text());
    print_entry(&e);
    if (e.code == DONE && e.is.stop_time != 0 && !as_json) { out(stdout, M_GETS_RELEASED); (void)putchar('\n'); }
    return e.code;
}

/* Cancelling makes an instance bill on: it is asked for twice, or with --yes. */
static int confirm_cancel(const options *o)
{
    size_t i;
    int code = DONE;
    if (o->yes || o->all) return DONE;      /* how many there are is not known yet */
    if (!isatty(STDIN_FILENO)) return o->count == 1 ? DONE : refuse(USAGE, M_CANCEL_YES, o->count);
    for (i = 0; i < o->count && code == DONE; i++) {
        out(stderr, M_CANCEL_SURE, o->uhosts[i]);
        code = answered();
    }
    return code;
}

static int change(const options *o)
{
    int code = o->verb == CANCEL ? confirm_cancel(o) : DONE;
    if (code != DONE) return code;
    return o->count == 1 ? change_one(o) : change_many(o);
}

/* ---- show, audit ---- */

/* The texts named `member` in the objects of an array. */
static void reveal_each(compshare_value array, const char *member, const char *key)
{
    char text[2048];
    const char *comma = "";
    compshare_value at;
    if (as_json) { json_key(key); (void)putchar('['); }
    for (at = compshare_first(array); compshare_type(at) == COMPSHARE_OBJECT; at = compshare_next(at)) {
        if (compshare_copy_text(compshare_get(at, member), text, sizeof text) <= 0) continue;
        if (as_json) (void)fputs(comma, stdout);
        else (void)printf("    %s ", member);
        comma = ",";
        json_string(text);
        if (!as_json) (void)putchar('\n');
    }
    if (as_json) (void)putchar(']');
}

static void reveal(compshare_value element)
{
    static const char *const members[] = { "Password", "SshLoginCommand" }, *const keys[] = { "password", "ssh_login_command" };
    char text[512];
    size_t i;
    for (i = 0; i < COUNT(keys); i++) {
        if (compshare_copy_text(compshare_get(element, members[i]), text, sizeof text) < 0) text[0] = '\0';
        if (as_json) { json_known(keys[i], text); continue; }
        if (text[0] == '\0') continue;
        (void)printf("    %s ", members[i]);
        json_string(text);
        (void)putchar('\n');
    }
    reveal_each(compshare_get(element, "IPSet"), "IP", "ips");
    reveal_each(compshare_get(element, "Softwares"), "URL", "urls");
}

static bool runs_unplanned(const compshare_instance *i)
{
    return strcmp(i->state, "Running") == 0 && i->stop_time <= now() && !is_prepaid(i->charge_type) && !is_spot(i->charge_type);
}

/* A list that changes while it is read may show an instance twice: 63 bits of a hash
   (FNV-1a) tell. */
static bool shown_before(fleet *f, const char *id)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325), *more;
    size_t i;
    for (; *id != '\0'; id++) hash = (hash ^ (unsigned char)*id) * UINT64_C(0x100000001B3);
    for (i = 0; i < f->listed; i++)
        if (f->marks[i] == hash) return true;
    more = f->listed % 256 == 0 ? (uint64_t *)realloc(f->marks, (f->listed + 256) * sizeof *more) : f->marks;
    if (more == NULL) { f->no_memory = true; return false; }
    f->marks = more;
    more[f->listed++] = hash;
    return false;
}

static int show_instance(void *user, const compshare_instance *i, compshare_value element)
{
    fleet *f = (fleet *)user;
    entry e;
    bool audit = f->o->verb == AUDIT;
    size_t k;
    if (!is_named(f->o, i) || shown_before(f, i->uhost_id)) return 0;
    if (f->no_memory) return 1;
    for (k = 0; k < f->o->count; k++)
        if (strcmp(f->o->uhosts[k], i->uhost_id) == 0) f->entries[k].seen = true;
    f->found++;
    memset(&e, 0, sizeof e);
    e.is = *i;
    if (audit) {
        if (!runs_unplanned(i)) return 0;
        f->unplanned++;
        if (as_json) { print_json(&e); return 0; }
        put(18, e.is.uhost_id);
        put(0, tr(M_UNPLANNED));
        put_details(&e.is);
        end_line();
        return 0;
    }
    if (f->o->reveal && as_json) reveal(element);
    print_entry(&e);
    if (f->o->reveal && !as_json) reveal(element);
    return 0;
}

/* What looked at nothing, for a misspelt word perhaps, has found nothing wrong, either. */
static int audited(const fleet *f)
{
    const options *o = f->o;
    bool narrowed = o->name_glob != NULL || config.region != NULL
        || config.zone != NULL || config.project_id != NULL;
    if (f->listed == 0 && narrowed && o->count == 0) return refuse_empty(o);
    if (f->listed == 0 && o->verb == SHOW && o->count == 0) say(M_NONE_MATCH, "");
    if (o->verb == AUDIT) say(M_AUDIT_TALLY, f->listed, f->unplanned);
    return f->unplanned > 0 ? FOUND : DONE;
}

static int show(const options *o)
{
    fleet f;
    size_t i;
    int code, status;
    memset(&f, 0, sizeof f);
    f.o = o;
    if (o->count > 0 && (f.entries = (entry *)calloc(o->count, sizeof *f.entries)) == NULL) return refuse(CONFIGURATION, M_NO_MEMORY);
    status = find_projects(&f, o->count == 0 ? config.project_id : o->project_id);
    if (status == COMPSHARE_OK) status = list_projects(&f, show_instance, &f);
    code = read_outcome(status);
    if (f.no_memory) code = refuse(CONFIGURATION, M_NO_MEMORY);
    else if (code != DONE) (void)refuse(code, M_FAILED, error_text());
    for (i = 0; i < o->count && code == DONE; i++) {
        entry *e = &f.entries[i];
        if (e->seen) continue;
        (void)snprintf(e->is.uhost_id, sizeof e->is.uhost_id, "%s", o->uhosts[i]);
        (void)fail_entry(e, UNSCHEDULABLE, tr(M_NOT_LISTED));
        print_entry(e);
    }
    for (i = 0; i < o->count; i++) code = graver(code, f.entries[i].code);
    if (code == DONE) code = audited(&f);
    free(f.entries);
    free(f.marks);
    free(f.projects);
    return code;
}

/* ---- self: which instance this is ---- */

typedef struct address { char name[IFNAMSIZ], ip[48], mac[24]; } address;
typedef struct identity { address own[32]; size_t count, found; char ids[256], id[64]; } identity;

static void note_mac(address *a, const struct ifaddrs *i)
{
    const unsigned char *mac;
#ifdef __linux__
    const struct sockaddr_ll *link = (const struct sockaddr_ll *)(const void *)i->ifa_addr;
    if (i->ifa_addr->sa_family != AF_PACKET || link->sll_halen != 6) return;
    mac = link->sll_addr;
#else
    const struct sockaddr_dl *link = (const struct sockaddr_dl *)(const void *)i->ifa_addr;
    if (i->ifa_addr->sa_family != AF_LINK || link->sdl_alen != 6) return;
    mac = (const unsigned char *)LLADDR(link);
#endif
    (void)snprintf(a->mac, sizeof a->mac, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* The MAC of an interface, which an alias ("eth0:1") shares with it. */
static void find_mac(address *a, const struct ifaddrs *list)
{
    const struct ifaddrs *i;
    size_t len = strcspn(a->name, ":");
    for (i = list; i != NULL && a->mac[0] == '\0'; i = i->ifa_next)
        if (i->ifa_addr != NULL && strlen(i->ifa_name) == len && strncmp(i->ifa_name, a->name, len) == 0) note_mac(a, i);
}

/* This host's IPv4 addresses, each with the MAC of its interface. */
static void list_addresses(identity *self)
{
    struct ifaddrs *list, *i;
    if (getifaddrs(&list) != 0) return;
    for (i = list; i != NULL && self->count < COUNT(self->own); i = i->ifa_next) {
        address *a = &self->own[self->count];
        const unsigned char *ip;
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK)) continue;
        ip = (const unsigned char *)&((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
        (void)snprintf(a->name, sizeof a->name, "%s", i->ifa_name);
        (void)snprintf(a->ip, sizeof a->ip, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
        find_mac(a, list);
        self->count += a->mac[0] != '\0';
    }
    freeifaddrs(list);
}

static bool is_own(const identity *self, compshare_value element)
{
    compshare_value at;
    char type[16], ip[48], mac[24];
    size_t k;
    for (at = compshare_first(compshare_get(element, "IPSet")); compshare_type(at) == COMPSHARE_OBJECT; at = compshare_next(at)) {
        if (compshare_copy_text(compshare_get(at, "Type"), type, sizeof type) < 0 || strcmp(type, "Private") != 0) continue;
        if (compshare_copy_text(compshare_get(at, "IP"), ip, sizeof ip) < 0 || compshare_copy_text(compshare_get(at, "Mac"), mac, sizeof mac) < 0) continue;
        for (k = 0; k < self->count; k++)
            if (strcmp(self->own[k].ip, ip) == 0 && strcasecmp(self->own[k].mac, mac) == 0) return true;
    }
    return false;
}

static void append_id(identity *self, const char *id)
{
    size_t len = strlen(self->ids);
    if (strstr(self->ids, id) != NULL) return;      /* a list may show one twice */
    (void)snprintf(self->ids + len, sizeof self->ids - len, "%s%s", len > 0 ? ", " : "", id);
}

static int match_self(void *user, const compshare_instance *i, compshare_value element)
{
    identity *self = (identity *)user;
    bool own = is_own(self, element);
    if (own && strcmp(self->id, i->uhost_id) == 0) return 0;
    if (own && self->found++ == 0) {
        self->ids[0] = '\0';
        memcpy(self->id, i->uhost_id, sizeof self->id);
    }
    if (own || self->found == 0) append_id(self, i->uhost_id);
    return 0;
}

/* Which instance this is: DONE with its id, or the exit status with what is wrong. */
static int find_self(const char **id, char *why, size_t cap)
{
    static identity self;
    static const options anywhere;
    fleet f;
    int status;
    *id = from_environment("COMPSHARE_UHOST_ID");
    if (*id == NULL) *id = from_environment("COMPSHARE_INSTANCE_ID");
    if (*id != NULL) {
        if (is_id(*id)) return DONE;
        (void)snprintf(why, cap, tr(M_SELF_FAILED), "");
        (void)snprintf(why + strlen(why), cap - strlen(why), tr(M_BAD_UHOST), *id);
        return CONFIGURATION;
    }
    memset(&f, 0, sizeof f);
    memset(&self, 0, sizeof self);
    f.o = &anywhere;
    list_addresses(&self);
    status = find_projects(&f, NULL);
    if (status == COMPSHARE_OK) status = list_projects(&f, match_self, &self);
    free(f.projects);
    *id = self.id;
    if (status != COMPSHARE_OK)
        return (void)snprintf(why, cap, tr(M_SELF_FAILED), error_text()), read_outcome(status);
    if (self.found == 1) return DONE;
    (void)snprintf(why, cap, tr(self.found == 0 ? M_NOT_SELF : M_TWO_SELVES), self.ids);
    return UNSCHEDULABLE;
}

/* Replaces "self" by an id. */
static int resolve_self(options *o)
{
    char why[600];
    const char *id;
    size_t i;
    int code;
    for (i = 0; i < o->count && strcmp(o->uhosts[i], "self") != 0; i++) {}
    if (i == o->count) return DONE;
    if ((code = find_self(&id, why, sizeof why)) != DONE) return refuse(code, M_FAILED, why);
    free(o->uhosts[i]);
    return (o->uhosts[i] = strdup(id)) != NULL ? DONE : refuse(CONFIGURATION, M_NO_MEMORY);
}

/* ---- signals: noted by a handler, dealt with by the loop ---- */

static sigset_t found_ignored, found_mask;              /* what the command is to have */
static volatile sig_atomic_t from_terminal[NSIG], from_process[NSIG], command_pid;
static int wake[2];

/* Whatever would end this program, and what a shell does to it; TTIN never comes. */
static bool is_heard(int n)
{
    return n != SIGKILL && n != SIGSTOP && n != SIGTTIN && n != SIGURG && n != SIGWINCH;
}

/* Whoever reads what is said may go, the lease stays; and the terminal may be another's. */
static bool is_ignored(int n) { return n == SIGPIPE || n == SIGTTOU || n == SIGXFSZ; }

/* What a terminal sends to every process in front of it. */
static bool is_typed(int n)
{
    return n == SIGINT || n == SIGQUIT || n == SIGTSTP || n == SIGHUP || n == SIGCONT;
}

static bool is_fault(int n)
{
    return n == SIGSEGV || n == SIGBUS || n == SIGFPE || n == SIGILL || n == SIGTRAP || n == SIGSYS;
}

#ifdef __linux__
/* ---- the witness ----

   A signal to a whole process group, or to every process of a cgroup, has reached the
   command already; one to this process alone has to be passed on. Who is told it only
   here cannot know which it was. So a small process stands beside the command, in the same
   group and cgroup, and reports what reaches it, too. */
#define WITNESS_MS 200          /* how long its report is waited for */

typedef struct sighting { int number; int64_t ms; } sighting;
static int witness = -1;
static pid_t witness_pid;

static int64_t real_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until this program is no more. Holds no key, no descriptor of others, and no name by
   which it would be taken for the program itself. */
static void stand_witness(int to, char **argv)
{
    struct pollfd fds[2];
    struct signalfd_siginfo info;
    sigset_t all;
    sighting r;
    int i;
    (void)sigfillset(&all);
    fds[0].fd = signalfd(-1, &all, SFD_CLOEXEC);
    fds[1].fd = to;
    fds[0].events = fds[1].events = POLLIN;
    (void)prctl(PR_SET_NAME, "lease-witness", 0, 0, 0);
    for (i = 0; argv[i] != NULL; i++) memset(argv[i], 0, strlen(argv[i]));
    memset(&settings, 0, sizeof settings);
    memset(memory, 0, sizeof memory);
    for (i = 0; i < 256; i++)
        if (i != to && i != fds[0].fd) (void)close(i);
    while (fds[0].fd >= 0 && poll(fds, 2, -1) >= 0 && fds[1].revents == 0) {
        if (read(fds[0].fd, &info, sizeof info) != (ssize_t)sizeof info) break;
        r.number = (int)info.ssi_signo;
        r.ms = real_ms();
        (void)send(to, &r, sizeof r, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    _exit(0);
}

/* Process 1 of a container is sent its signals alone: it does without. */
static void call_witness(char **argv)
{
    sigset_t all, mask;
    int ends[2];
    if (getpid() == 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &mask);
    witness_pid = fork();
    if (witness_pid == 0) {
        (void)close(ends[0]);
        stand_witness(ends[1], argv);
    }
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    (void)close(ends[1]);
    witness = witness_pid > 0 ? ends[0] : (close(ends[0]), -1);
}

/* Where there is no command any more, so that it is not taken for something that
   the command has left behind. */
static void dismiss_witness(void)
{
    if (witness < 0) return;
    (void)close(witness);
    (void)kill(witness_pid, SIGKILL);
    (void)waitpid(witness_pid, NULL, 0);
    witness = -1;
}

/* Whether a signal has reached the witness as well: in a handler, with all blocked. */
static bool reached_all(int number)
{
    static int64_t seen[NSIG];
    int64_t began = real_ms(), left = WITNESS_MS;
    struct pollfd from = { witness, POLLIN, 0 };
    sighting r;
    if (witness < 0 || number == SIGTSTP || number == SIGCONT) return false;
    while (seen[number] < began - WITNESS_MS && left > 0 && poll(&from, 1, (int)left) > 0) {
        if (read(witness, &r, sizeof r) != (ssize_t)sizeof r) break;
        if (r.number > 0 && r.number < NSIG) seen[r.number] = r.ms;
        left = began + WITNESS_MS - real_ms();
    }
    left = seen[number];
    seen[number] = 0;
    return left >= began - WITNESS_MS;
}
#else
static void call_witness(char **argv) { (void)argv; }
static void dismiss_witness(void) {}
static bool reached_all(int number) { return (void)number, false; }
#endif

/* A terminal sends to every process in front of it, the command included, as does a
   command that stops or ends its whole group; what another process sends to this one alone
   has to be passed on, and at once: looking a name up may keep the loop for seconds. So has
   everything for a command that has left the group. */
static void note_signal(int number, siginfo_t *info, void *context)
{
    int error = errno;
    pid_t command = (pid_t)command_pid;
    bool asked = info->si_code <= 0, apart = command > 0 && getpgid(command) != getpgrp();
    bool sent = asked ? info->si_pid != command
        : !is_typed(number) || (apart && number != SIGHUP);
    (void)context;
    if (!asked && is_fault(number)) { (void)signal(number, SIG_DFL); return; }
    (sent ? from_process : from_terminal)[number] = 1;
    if (sent && command > 0 && number != SIGCHLD && (!asked || apart || !reached_all(number)))
        (void)kill(command, number);
    (void)!write(wake[1], "", 1);
    errno = error;
}

static void handle_signal(int number)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    (void)sigfillset(&action.sa_mask);
    action.sa_sigaction = note_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    if (is_ignored(number)) { action.sa_handler = SIG_IGN; action.sa_flags = 0; }
    (void)sigaction(number, &action, NULL);
}

/* Blocks all of them; what was blocked before goes to *found. */
static void block_signals(sigset_t *found)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, found);
}

/* What is ignored stays so: nohup, and a shell's background. What whoever started this
   had blocked is not: the end of the command would not be noticed. */
static void handle_signals(void)
{
    struct sigaction found;
    sigset_t none;
    int n;
    (void)sigemptyset(&found_ignored);
    for (n = 1; n < NSIG; n++) {
        if (!is_heard(n) || sigaction(n, NULL, &found) != 0) continue;
        if (found.sa_handler == SIG_IGN) (void)sigaddset(&found_ignored, n);
        if (found.sa_handler != SIG_IGN || n == SIGCHLD || n == SIGCONT) handle_signal(n);
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, &found_mask);
}

static bool open_pipe(int ends[2], int flags)
{
    size_t i;
    if (pipe(ends) != 0) return false;
    for (i = 0; i < 2; i++) {
        (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        if (flags != 0) (void)fcntl(ends[i], F_SETFL, flags);
    }
    return true;
}

/* Takes a note away. */
static bool taken(volatile sig_atomic_t *noted, int number)
{
    bool was = noted[number] != 0;
    noted[number] = 0;
    return was;
}

static void forget_signals(void)
{
    int n;
    for (n = 1; n < NSIG; n++)
        if (n != SIGCHLD) from_process[n] = from_terminal[n] = 0;
}

/* ---- the lease ---- */

#define FLOOR_S 300             /* the API sets no stop time that is nearer */
#define ARM_MS 60000            /* how long arming is tried, and the end */

enum { NO_CALL, RENEW, LOOK, CAP };

typedef struct lease {
    options *o;
    const char *uhost_id;
    int64_t armed;              /* when it goes off, as the API showed it; 0: not armed */
    int64_t asked[8];           /* what this run has asked for, the newest first */
    int64_t unsettled;          /* what was asked for and may have been set; 0: nothing */
    int64_t stood;              /* when it was to go off before this run; 0: never */
    int64_t before;             /* the same, where no run of this user had set it */
    int64_t theirs;             /* a time that somebody else has set since, and that is kept */
    int64_t limit;              /* --until, --max, in whole minutes; 0: none */
    int64_t wanted;             /* when it is to go off after the job; 0: not reckoned yet */
    uint64_t began;
    uint64_t next;              /* when to renew, by monotonic_ms */
    uint64_t backoff_ms;
    uint64_t failing;           /* since when nothing has been confirmed; 0: it is */
    uint64_t accepted;          /* when a change was that no reading has shown yet; 0: none */
    uint64_t called;            /* when the change under way was begun */
    uint64_t doubt;             /* until when one without an answer may still be executed */
    int64_t said_left;          /* of the lease, when a failure was last told; 0: none was */
    int call;                   /* what the call of the loop that is under way is for */
    bool waiting;               /* a call is under way: of the loop, or of finish_call */
    bool over, warned, ran_out, off;
    bool arming, given_up;      /* nothing has been started yet, and nothing is to be */
    bool leasable;              /* it was looked at, and may be leased */
    bool stopping;              /* this run may have told it to stop */
    bool unreachable;           /* the last renewal failed */
    bool looked;                /* what stood before is known */
    int missing;                /* readings in a row that did not list it */
    compshare_plan plan;
    compshare_schedule schedule;
    pid_t child;                /* the command, held back until the lease stands */
    int go, report;             /* ends of its pipes; -1: none */
    uint64_t started, ended_at;
    bool ended;                 /* the command has */
    bool strangers;             /* there were children before the command */
    bool halted, stopped;       /* it is not running; and that was the terminal */
    uint64_t stop_by;           /* when to stop though the command has not; 0: not asked to */
    uint64_t tell_at, tell_in;  /* when what is left behind is named again, and then again */
    bool named;                 /* it was named */
    int status;                 /* of the command, as waitpid has it */
    unsigned long long birth;   /* of the process that --pid names */
    int lock;
    bool locked;
    char held[2048];            /* said once the terminal is ours again */
    char reason[COMPSHARE_ERROR_TEXT];      /* why it could not be armed */
    const char *how_ended;
} lease;

/* Says what was held back. On a terminal the command may have left the cursor anywhere. */
static void show_notes(lease *l)
{
    static bool alone;          /* nobody else has written since */
    if (l->held[0] == '\0' || terminal_is_taken()) return;
    if (l->started != 0 && !alone && isatty(STDERR_FILENO)) (void)fputc('\n', stderr);
    alone = l->ended && !l->named;
    (void)fputs(l->held, stderr);
    l->held[0] = '\0';
}

/* A line while the command runs. */
static void note(lease *l, int message, ...)
{
    char line[1400];
    size_t len = strlen(l->held);
    va_list args;
    va_start(args, message);
    (void)vsnprintf(line, sizeof line, tr(message), args);
    va_end(args);
    if (len + strlen(line) + 32 > sizeof l->held) len = 0;      /* the newest matter most */
    (void)snprintf(l->held + len, sizeof l->held - len, "compshare-schedule: %s\n", line);
    show_notes(l);
}

/* When it goes off, for a person. */
static const char *off_at(const lease *l)
{
    return l->armed != 0 ? local_time(l->armed) : "?";
}

static void give_reason(lease *l, const char *text)
{
    (void)snprintf(l->reason, sizeof l->reason, "%s", text);
}

/* The nearest time that can be set. */
static int64_t soonest(void) { return whole_minute(now() + FLOOR_S + 30); }

static bool is_beyond(const lease *l, int64_t time)
{
    return l->limit != 0 && time > l->limit && !is_same(time, l->limit);
}

/* When it should go off: a ttl from now, and never beyond the limit. */
static int64_t lease_end(const lease *l)
{
    int64_t end = whole_minute(now() + l->o->ttl);
    return l->limit != 0 && end > l->limit ? l->limit : end;
}

/* Where a plan beyond the limit is brought down to: the limit, or what comes next to it. */
static int64_t ceiling(const lease *l)
{
    return l->limit - now() >= FLOOR_S + 10 ? l->limit : soonest();
}

static int64_t interval_s(const options *o)
{
    return o->ttl / 3 < 600 ? o->ttl / 3 : 600;
}

/* Up to a fifth earlier, so that many leases do not renew together. */
static void plan_renewal(lease *l)
{
    uint64_t ms = (uint64_t)interval_s(l->o) * 1000;
    l->next = monotonic_ms(NULL) + ms - ms / 5 * (uint64_t)(rand() % 1000) / 1000;
}

/* Where nothing is left to switch off. Every other state passes. */
static bool is_off(const char *state)
{
    return strcmp(state, "Stopped") == 0 || strcmp(state, "Install Fail") == 0;
}

/* ---- other runs of this user on this host: a lock, and the stop times that they have set ---- */

/* Whether a directory is this user's, and nobody else of those that `mode` stands for can
   write to it. */
static bool is_private(const char *path, mode_t mode)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid()
        && (info.st_mode & mode) == 0;
}

/* `below` of `base`, whose last part is the program's own. */
static bool make_private(char *path, size_t cap, const char *base, const char *below)
{
    const char *slash;
    if (base == NULL || base[0] != '/' || !is_private(base, S_IWOTH)) return false;
    for (slash = strchr(below, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)snprintf(path, cap, "%s/%.*s", base, (int)(slash - below), below);
        (void)mkdir(path, 0700);
    }
    (void)snprintf(path, cap, "%s/%s", base, below);
    (void)mkdir(path, 0700);
    return is_private(path, S_IWGRP | S_IWOTH);
}

static bool lock_directory(char *path, size_t cap)
{
#ifdef SCHEDULE_TEST_CLOCK
    const char *test = from_environment("COMPSHARE_TEST_LOCKS");
    if (test != NULL) return (void)snprintf(path, cap, "%s", test), true;
#endif
    return make_private(path, cap, from_environment("XDG_RUNTIME_DIR"), "compshare-schedule")
        || make_private(path, cap, from_environment("XDG_STATE_HOME"), "compshare-schedule")
        || make_private(path, cap, from_environment("HOME"), ".local/state/compshare-schedule");
}

/* Whoever is last on its way out has it alone for a moment: tried again with every
   renewal. */
static void try_lock(lease *l)
{
    if (l->lock >= 0 && !l->locked) l->locked = flock(l->lock, LOCK_SH | LOCK_NB) == 0;
}

static void leave_lock(lease *l)
{
    if (l->lock >= 0) (void)close(l->lock);
    l->lock = -1;
}

/* Neither a symbolic link nor a second name of some file of ours is written to. */
static void open_lock(lease *l)
{
    char dir[PATH_MAX - 128], path[PATH_MAX];
    struct stat info;
    if (!lock_directory(dir, sizeof dir)) { say(M_NO_LOCK, dir); return; }
    (void)snprintf(path, sizeof path, "%s/compshare-schedule-%s.lock", dir, l->uhost_id);
    l->lock = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (l->lock >= 0 && (fstat(l->lock, &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1)) leave_lock(l);
    try_lock(l);
    if (l->lock >= 0 && !l->locked && errno != EWOULDBLOCK) leave_lock(l);      /* a file system without locks */
    if (l->lock < 0) say(M_NO_LOCK, path);
    else if (info.st_size > 65536) (void)!ftruncate(l->lock, 0);
}

/* Whether another run on this host still leases the instance. Of several that end
   together at least one finds itself alone: a failed attempt drops the lock. */
static bool shared_with_others(const lease *l)
{
    return l->lock >= 0 && flock(l->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/* Written down before it is set, so that no other run takes it for somebody else's. */
static void remember(lease *l, int64_t time)
{
    char line[32];
    int len = snprintf(line, sizeof line, "%lld\n", (long long)time);
    if (time == l->asked[0]) return;
    memmove(l->asked + 1, l->asked, sizeof l->asked - sizeof l->asked[0]);
    l->asked[0] = time;
    if (l->lock >= 0) (void)!write(l->lock, line, (size_t)len);
}

/* Whether this run, or another of this user on this host, has set a time. */
static bool set_here(const lease *l, int64_t time)
{
    char text[4097], *at = text, *end;
    off_t size = l->lock >= 0 ? lseek(l->lock, 0, SEEK_END) : 0;
    ssize_t n;
    size_t i;
    if (time == l->armed || is_same(time, l->armed)) return true;
    for (i = 0; i < COUNT(l->asked); i++)
        if (l->asked[i] != 0 && is_same(time, l->asked[i])) return true;
    n = size > 0 ? pread(l->lock, text, sizeof text - 1, size > 4096 ? size - 4096 : 0) : 0;
    text[n > 0 ? n : 0] = '\0';
    for (; !is_same(strtoll(at, &end, 10), time); at = end)
        if (end == at) return false;
    return end != at;
}

/* ---- what changes and readings say of the lease ---- */

/* The workflow that moves the shutdown to a time. */
static int begin_change(lease *l, int64_t at, unsigned mode)
{
    l->plan.uhost_id = l->uhost_id;
    l->plan.at = at;
    l->plan.mode = mode;
    l->called = monotonic_ms(NULL);
    changes_sent = 0;
    remember(l, at);
    trace_change(l->uhost_id, at);
    return compshare_schedule_set_start(client, &l->plan, &l->schedule);
}

/* A change that failed may have been made all the same. And one without an answer may be
   made for as long as it can be on its way, though a second sending of it has succeeded. */
static int unsettled(lease *l, int status, int64_t wanted)
{
    bool unknown = status != COMPSHARE_OK && outcome(status) == UNCONFIRMED;
    if (changes_sent > 1 || (unknown && !l->schedule.accepted))
        l->doubt = l->called + config.timeout_ms + 30000;
    if (!unknown) return status;
    if (wanted > l->unsettled) l->unsettled = wanted;
    if (l->schedule.accepted) l->accepted = monotonic_ms(NULL);
    return status;
}

static void settled(lease *l)
{
    l->armed = l->schedule.stop_time;
    l->unsettled = 0;
    l->accepted = 0;
}

/* Whether an instance that was read may be leased; where not, why. --max counts from the
   start of the run, by the server's clock, which is known by now. */
static bool check_leasable(lease *l)
{
    const char *charge_type = l->schedule.charge_type;
    int64_t ran = (int64_t)((monotonic_ms(NULL) - l->began) / 1000);
    if (l->o->most != 0 && l->limit == 0) l->limit = (now() - ran + l->o->most) / 60 * 60;
    if (is_spot(charge_type)) give_reason(l, tr(M_IS_SPOT));
    else if (is_prepaid(charge_type) && !l->o->prepaid_ok)
        (void)snprintf(l->reason, sizeof l->reason, tr(M_IS_PREPAID), l->uhost_id, charge_type);
    else l->leasable = true;
    l->over = !l->leasable;
    return l->leasable;
}

/* What stood before this run is known by its first reading, and by that alone. */
static void note_before(lease *l)
{
    int64_t time = l->schedule.stop_time;
    if (!l->looked && time > now()) l->stood = time;
    if (l->stood != 0 && !l->looked && !set_here(l, time)) l->before = time;
    l->looked = true;
}

/* A first reading may lack the plan: the one that a change began with counts, too. */
static void note_found(lease *l)
{
    const compshare_schedule *s = &l->schedule;
    int64_t found = s->changed ? s->previous : s->stop_time, armed = l->armed;
    bool ours;
    l->armed = 0;               /* which would be taken for set here */
    ours = set_here(l, found);
    l->armed = armed;
    if (l->stood == 0 && found > now() && !ours) l->stood = l->before = found;
}

/* Something was confirmed after failures that were told. */
static void works_again(lease *l)
{
    if (l->said_left != 0 || l->off) note(l, M_RENEWED_AGAIN, off_at(l));
    l->said_left = 0;
    l->ran_out = l->off = l->unreachable = false;
    l->failing = l->backoff_ms = 0;
    l->missing = 0;
    if (l->armed - l->o->warn > now()) l->warned = false;
    try_lock(l);
    plan_renewal(l);
}

/* What a renewal has found and done. */
static void renewed(lease *l)
{
    const compshare_schedule *s = &l->schedule;
    int64_t found = s->changed ? s->previous : s->stop_time;
    bool stood = l->before != 0 && is_same(found, l->before);
    bool ours = stood || set_here(l, found), lost = l->off || l->ran_out;
    int64_t armed = l->armed;
    settled(l);
    if (armed == 0) l->said_left = 0;
    if (armed != 0 && s->changed && found <= now() && !lost) note(l, M_GONE_PLAN, off_at(l));
    else if (armed != 0 && s->changed && l->call == CAP)
        note(l, M_LATER_CAPPED, local_time(found), off_at(l));
    else if (armed != 0 && !s->changed && !ours) note(l, M_LATER_PLAN, local_time(found));
    else if (s->changed && !ours && found > now() && found < armed)
        note(l, M_MOVED_BACK, local_time(found), off_at(l));
    else if (verbose || armed == 0) note(l, M_RENEWED, off_at(l));
    if (!ours) l->theirs = l->call != CAP && (!s->changed || found > armed) ? found : 0;
    works_again(l);
}

/* One line for the first failure, and one whenever the time that is left has halved. */
static void tell_failure(lease *l, const char *text)
{
    int64_t left = l->armed - now();
    bool soon = l->said_left != 0 && (l->armed == 0 || left > l->said_left / 2);
    if (l->ran_out || l->off || soon) return;
    l->said_left = left > 0 ? left : 1;
    if (l->armed == 0 || left > 0)
        note(l, M_RENEWAL_FAILED, off_at(l), show_duration(left), text);
}

/* A change that was accepted only has to be shown; that is no failure yet. While the job
   lives no reading ends the lease, but what fails for long is tried less often. */
static void renewal_failed(lease *l, int status)
{
    uint64_t at = monotonic_ms(NULL);
    if (l->failing == 0) l->failing = at;
    l->backoff_ms = l->backoff_ms == 0 ? 5000 : l->backoff_ms < 30000 ? l->backoff_ms * 2 : 60000;
    l->next = at + l->backoff_ms;
    if (l->accepted != 0 && at - l->failing < (uint64_t)interval_s(l->o) * 1000) return;
    l->unreachable = true;
    if (status == COMPSHARE_E_STATE && is_off(l->schedule.state)) {
        if (!l->off) note(l, M_AWAY, l->uhost_id, l->schedule.state);
        l->off = true;
    }
    tell_failure(l, status == COMPSHARE_OK ? tr(M_NOT_SHOWN) : error_text());
    if ((l->off || status == COMPSHARE_E_NOT_FOUND) && at - l->failing > 600000) plan_renewal(l);
}

/* What a mere reading is good for: to see whether it may be leased at all, whether what was
   accepted is shown by now, and, where nothing can be set up to the limit any more, whether
   a plan stands behind it, or none does. DONE once it is dealt with. */
static int looked(lease *l)
{
    int64_t time = l->schedule.stop_time;
    uint64_t at = monotonic_ms(NULL);
    if (!l->leasable) {
        if (check_leasable(l)) l->next = monotonic_ms(NULL);
        else { leave_lock(l); note(l, M_FAILED, l->reason); }
    } else if (l->accepted != 0 && is_same(time, l->unsettled)) {
        settled(l);
        works_again(l);
    } else if (l->accepted != 0 && at - l->accepted < (uint64_t)interval_s(l->o) * 1000) {
        if (time > l->armed && set_here(l, time)) l->armed = time;
        renewal_failed(l, COMPSHARE_OK);
    } else if (l->accepted != 0) {
        l->accepted = 0;        /* never shown: asked for once more */
        l->next = at;
    } else if ((time <= now() || is_beyond(l, time))
        && strcmp(l->schedule.state, "Running") == 0) {
        return CAP;
    } else {
        plan_renewal(l);
    }
    return DONE;
}

/* Begins what is due: a renewal, or a reading where nothing may be sent now. */
static int begin_renewal(lease *l)
{
    bool late = l->limit != 0 && l->limit - now() < FLOOR_S + 10;
    l->call = !l->leasable || l->accepted != 0 || late ? LOOK : RENEW;
    l->called = monotonic_ms(NULL);
    if (l->call == RENEW) return begin_change(l, lease_end(l), COMPSHARE_ONLY_EXTEND);
    return compshare_schedule_get_start(client, l->uhost_id, &l->schedule);
}

/* A step of the renewal that is under way, or its beginning when it is due. */
static void renew(lease *l)
{
    int status = COMPSHARE_PENDING;
    if (l->call == NO_CALL) {
        if (l->over || monotonic_ms(NULL) < l->next) return;
        status = begin_renewal(l);
        l->waiting = status == COMPSHARE_OK;
    }
    if (l->waiting) status = compshare_step(client);
    if (status == COMPSHARE_PENDING) return;
    l->waiting = false;
    if (status == COMPSHARE_OK && ((l->call == LOOK && looked(l) == CAP)
        || (l->call == RENEW && !l->schedule.changed && is_beyond(l, l->schedule.stop_time)))) {
        l->call = CAP;          /* in one go with what has found it necessary */
        status = begin_change(l, ceiling(l),
            l->schedule.stop_time > now() ? COMPSHARE_ONLY_SHORTEN : 0);
        if (status == COMPSHARE_OK) { l->waiting = true; return; }
    }
    if (l->call != LOOK) (void)unsettled(l, status, l->plan.at);
    if (status != COMPSHARE_OK) renewal_failed(l, status);
    else if (l->call != LOOK) renewed(l);
    l->call = NO_CALL;
}

/* The command is told while there is time to write a checkpoint; and what has run out is
   said once. */
static void warn(lease *l)
{
    bool ending = l->unreachable || (l->limit != 0 && l->armed > l->limit - 60);
    pid_t to = l->o->pid != 0 ? (pid_t)l->o->pid : l->child;
    if (!ending || l->over || l->armed == 0) return;
    if (!l->ran_out && !l->off && now() >= l->armed) {
        l->ran_out = true;
        note(l, M_RAN_OUT, off_at(l));
    }
    if (l->o->warn == 0 || l->warned || l->ended || now() < l->armed - l->o->warn) return;
    l->warned = true;
    if (to > 0) (void)kill(to, l->o->signal);
    note(l, M_WARNED, show_duration(l->armed - now()), l->o->signal_name);
}

/* ---- the command ---- */

static bool gives_up(int n)
{
    return n != SIGUSR1 && n != SIGUSR2 && n != SIGCONT && n != SIGTSTP && n != SIGCHLD;
}

/* Somebody does not want to wait. While nothing has been started, any signal that ends
   programs says so (process 1 of a container would not be ended by it); later only a
   Ctrl-C, because the others may come twice. */
static bool interrupted(lease *l)
{
    bool any = false;
    int n;
    for (n = 1; n <= SIGTERM || (l->arming && n < NSIG); n++) {
        bool typed, asked;
        if (n != SIGINT && !(l->arming && gives_up(n))) continue;
        typed = taken(from_terminal, n);
        asked = taken(from_process, n);
        any = any || typed || asked;
    }
    l->given_up = l->given_up || (l->arming && any);
    return any;
}

/* What a script needs to be run, and what that needs. 0, or errno, of what `name` then is. */
static int check_interpreter(const char *file, char name[PATH_MAX])
{
    char line[256];             /* the kernel looks at as much of one */
    struct stat info;
    int fd, depth, len;
    ssize_t n;
    (void)snprintf(name, PATH_MAX, "%s", file);
    for (depth = 0; depth < 5; depth++) {
        if (stat(name, &info) != 0) return errno;
        if (!S_ISREG(info.st_mode) || access(name, X_OK) != 0) return EACCES;
        if ((fd = open(name, O_RDONLY | O_CLOEXEC)) < 0) return 0;  /* it need not be readable */
        n = read(fd, line, sizeof line - 1);
        (void)close(fd);
        line[n > 0 ? n : 0] = '\0';
        if (line[0] != '#' || line[1] != '!') return 0;
        file = line + 2 + strspn(line + 2, " \t");
        len = (int)strcspn(file, " \t\n");
        if (len == 0) return 0;
        (void)snprintf(name, PATH_MAX, "%.*s", len, file);
    }
    return ELOOP;
}

/* Where execvp would find it: 0, or the exit status that says why not. */
static int find_command(const char *name)
{
    const char *path = from_environment("PATH"), *at;
    char file[PATH_MAX], culprit[PATH_MAX], text[PATH_MAX + 128] = "";
    int error = ENOENT, wrong;
    struct stat info;
    if (strchr(name, '/') != NULL) path = "";
    else if (path == NULL) path = "/bin:/usr/bin";
    for (at = name[0] != '\0' ? path : NULL; at != NULL; at = strchr(at, ':') != NULL ? strchr(at, ':') + 1 : NULL) {
        int len = (int)strcspn(at, ":");
        (void)snprintf(file, sizeof file, *path == '\0' ? "%.*s%s" : len == 0 ? "%.*s./%s" : "%.*s/%s", len, at, name);
        if (stat(file, &info) != 0) continue;
        if ((wrong = check_interpreter(file, culprit)) == 0) return DONE;
        if (error != ENOENT) continue;
        error = wrong;
        if (strcmp(file, culprit) != 0)
            (void)snprintf(text, sizeof text, "%s: %s", culprit, strerror(wrong));
    }
    say(M_CANNOT_RUN, name, text[0] != '\0' ? text : strerror(error));
    return error == ENOENT ? NO_COMMAND : NOT_RUNNABLE;
}

/* In the child: waits to be let go, with all signals blocked, then becomes the command,
   with signals and limits as they were found and nothing of the keys. What came before it
   is asked to forget ('f') was not meant for a command; what comes later is. */
static void become(char **command, int go, int report)
{
    char word = 0;
    int error, n;
    for (;;) {
        ssize_t got = read(go, &word, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got != 1) _exit(UNARMED);
        if (word != 'f') break;
        for (n = 1; n < NSIG; n++)
            if (is_heard(n)) (void)signal(n, SIG_IGN);
        for (n = 1; n < NSIG; n++)
            if (is_heard(n) && !sigismember(&found_ignored, n)) (void)signal(n, SIG_DFL);
        error = 0;
        (void)!write(report, &error, sizeof error);
    }
    (void)setrlimit(RLIMIT_CORE, &core_limit);
    (void)sigprocmask(SIG_SETMASK, &found_mask, NULL);
    (void)execvp(command[0], command);
    error = errno;
    (void)!write(report, &error, sizeof error);
    _exit(error == ENOENT ? NO_COMMAND : NOT_RUNNABLE);
}

/* Children that were there before, as of a script that has put something into the
   background and become this, cannot be told from what the command leaves behind. */
static void count_strangers(lease *l)
{
    pid_t pid;
    do pid = waitpid(-1, NULL, WNOHANG); while (pid > 0);
    l->strangers = pid == 0;
    if (l->strangers) say(M_STRANGERS);
}

/* Everything that the command needs is got before anything is set: the child is there, and
   waits. DONE, or the exit status. */
static int hold_command(lease *l)
{
    int go[2], report[2], error;
    sigset_t mask;
    count_strangers(l);
    call_witness(l->o->argv);
#ifdef PR_SET_CHILD_SUBREAPER
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
#endif
    if (!open_pipe(go, 0) || !open_pipe(report, 0))
        return refuse(UNARMED, M_CANNOT_RUN, l->o->command[0], strerror(errno));
    (void)fflush(NULL);
    block_signals(&mask);
    l->child = fork();
    if (l->child == 0) {
        (void)close(go[1]);
        (void)close(report[0]);
        become(l->o->command, go[0], report[1]);
    }
    error = errno;
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    (void)close(go[0]);
    (void)close(report[1]);
    l->go = go[1];
    l->report = report[0];
    return l->child > 0 ? DONE : refuse(UNARMED, M_CANNOT_RUN, l->o->command[0], strerror(error));
}

/* What the child reports: *error, 0 where it has done as it was told. */
static bool hear_command(lease *l, int *error)
{
    ssize_t n;
    *error = 0;
    do n = read(l->report, error, sizeof *error); while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *error;
}

/* A child that was not let go ends. */
static void drop_command(lease *l)
{
    if (l->go >= 0) (void)close(l->go);
    if (l->report >= 0) (void)close(l->report);
    l->go = l->report = -1;
    if (l->child > 0 && l->started == 0) (void)waitpid(l->child, NULL, 0);
}

/* Lets the child become the command. A signal that comes before it has forgotten the earlier
   ones gives everything up; one that comes later reaches the command, or is passed on. */
static int start_command(lease *l)
{
    sigset_t mask;
    int error = ECHILD;
    bool ready = write(l->go, "f", 1) == 1 && hear_command(l, &error);
    block_signals(&mask);
    if (ready && !interrupted(l)) {
        forget_signals();
        command_pid = l->child;
        ready = write(l->go, "g", 1) == 1;
        l->arming = false;
    }
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    l->arming = false;
    if (!l->given_up && ready && !hear_command(l, &error)) {
        command_runs = true;
        l->started = monotonic_ms(NULL);
    } else {
        command_pid = 0;
    }
    drop_command(l);
    if (command_runs) return DONE;
    if (l->given_up) return refuse(UNARMED, M_INTERRUPTED);
    say(M_CANNOT_RUN, l->o->command[0], strerror(error != 0 ? error : ECHILD));
    return error == ENOENT ? NO_COMMAND : NOT_RUNNABLE;
}

/* Of a process, as proc(5) numbers the fields; `name` is the second. False: it cannot be
   looked at. */
static bool read_stat(long pid, unsigned long long fields[23], char name[32])
{
    char path[64], text[1024], *at, *open_at;
    ssize_t n = 0;
    int i, fd;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) n = read(fd, text, sizeof text - 1);
    if (fd >= 0) (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    open_at = strchr(text, '(');
    if ((at = strrchr(text, ')')) == NULL || at[1] == '\0' || open_at == NULL) return false;
    (void)snprintf(name, 32, "%.*s", (int)(at - open_at - 1), open_at + 1);
    memset(fields, 0, 23 * sizeof fields[0]);
    for (i = 3; i < 23 && (at = strchr(at + 1, ' ')) != NULL; i++)
        fields[i] = i == 3 ? (unsigned char)at[1] : strtoull(at, NULL, 10);
    return true;
}

/* Whether the process that --pid names lives: not after its end, and not as another one
   that has been given the same number, which began at another tick of the kernel. What
   cannot be looked at now (no free descriptor, no /proc) is no end. */
static bool process_lives(long pid, unsigned long long *birth)
{
    unsigned long long fields[23];
    char name[32];
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) return false;
    if (!read_stat(pid, fields, name)) return true;
    if ((fields[3] == 'Z' || fields[3] == 'X') && fields[20] < 2) return false;     /* other threads may outlive the first */
    if (*birth == 0) *birth = fields[22];
    return *birth == fields[22];
}

/* Reaps everything that has ended. False: nothing is left to wait for. */
static bool job_lives(lease *l)
{
    sigset_t mask;
    int status;
    pid_t pid;
    if (l->o->pid != 0) return process_lives(l->o->pid, &l->birth);
    block_signals(&mask);       /* none is passed on to a number that is free again */
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        if (pid != l->child) continue;
        l->halted = WIFSTOPPED(status);
        l->stopped = WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP;     /* which is a debugger's business */
        if (WIFSTOPPED(status) || WIFCONTINUED(status)) continue;
        l->ended = true;
        l->ended_at = monotonic_ms(NULL);
        l->status = status;
        command_runs = false;
        command_pid = 0;
        dismiss_witness();
    }
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    if (!l->ended) return true;
    return pid == 0 && !l->strangers;       /* orphans of the command */
}

/* Names what the command has left behind: one of its processes, and how many more. */
static void name_leftovers(lease *l, int message)
{
    unsigned long long fields[23];
    char name[32], first[32] = "?";
    size_t count = 0;
    long pid, first_pid = 0;
    DIR *dir = opendir("/proc");
    const struct dirent *found;
    char *c;
    while (dir != NULL && (found = readdir(dir)) != NULL) {
        pid = strtol(found->d_name, NULL, 10);
        if (pid <= 0 || !read_stat(pid, fields, name)) continue;
        if (fields[4] != (unsigned long long)getpid()) continue;
        if (count++ > 0) continue;
        first_pid = pid;
        memcpy(first, name, sizeof first);
    }
    if (dir != NULL) (void)closedir(dir);
    for (c = first; *c != '\0'; c++)        /* whoever names a process may name it anything */
        if (!isgraph((unsigned char)*c)) *c = '?';
    note(l, message, first_pid, first);
    if (count > 1) note(l, M_MORE_LEFT, count - 1);
}

/* Names what is left behind half a second after the command's end, and then ever more
   seldom. What came until it was first named was meant for the command; a signal that ends
   programs is heard from then on. True: the wait is over. */
static bool tell_leftovers(lease *l)
{
    uint64_t at = monotonic_ms(NULL);
    if (!l->ended) return false;
    if (!l->named && at >= l->ended_at + 500) {
        l->named = true;
        forget_signals();
        l->tell_in = 600000;
        l->tell_at = at + l->tell_in;
        if (l->o->linger != 0) name_leftovers(l, M_WAITING);
    } else if (l->named && at >= l->tell_at) {
        l->tell_in *= 2;
        l->tell_at = at + l->tell_in;
        name_leftovers(l, M_WAITING);
    }
    if (!l->named || l->o->linger < 0) return false;
    if (at < l->ended_at + (uint64_t)l->o->linger * 1000) return false;
    name_leftovers(l, M_NOT_AWAITED);
    return true;
}

static void send_command(const lease *l, int number)
{
    if (l->child > 0 && !l->ended) (void)kill(l->child, number);
}

/* Stops once the command has stopped and left the terminal in order: the shell, which
   knows only this process, takes it then. By the default action, which spares a process
   that no shell could continue. */
static void suspend(lease *l)
{
    note(l, M_SUSPENDED, off_at(l));
    (void)signal(SIGTSTP, SIG_DFL);
    (void)raise(SIGTSTP);
    handle_signal(SIGTSTP);
    (void)poll(NULL, 0, 100);   /* who continues a whole group continues the command, too */
    (void)job_lives(l);
    if (l->halted) send_command(l, SIGCONT);
    l->stopped = false;
    l->stop_by = 0;
    l->next = monotonic_ms(NULL);
}

/* Asked to stop: once the command has, or in 2 s where it does not or cannot. Nothing
   where no shell could continue either of them. */
static void stop_soon(lease *l)
{
    pid_t parent = getppid();
    if (l->child <= 0 || l->ended) l->stopped = true;
    else if (parent > 0 && getsid(parent) == getsid(0)) l->stop_by = monotonic_ms(NULL) + 2000;
}

/* What signals mean for the lease. True: the wait is to end. */
static bool take_signals(lease *l)
{
    bool end = false;
    int n;
    for (n = 1; n < NSIG; n++) {
        bool asked, typed;
        if (n == SIGCHLD) continue;
        asked = taken(from_process, n);
        typed = taken(from_terminal, n);
        if (!asked && !typed) continue;
        /* of a hangup the terminal tells the leader of its session alone */
        if (typed && n == SIGHUP && getsid(0) == getpid()) send_command(l, n);
        if (n == SIGTSTP) stop_soon(l);
        else if (n == SIGCONT) l->next = monotonic_ms(NULL);
        else if (n != SIGUSR1 && n != SIGUSR2)
            end = end || l->named || l->o->pid != 0;        /* no command that could decide */
    }
    return end;
}

/* Waits for a signal, the client's descriptor, or the next thing that is due. */
static void wait_event(const lease *l, int64_t most_ms)
{
    struct pollfd fds[2];
    char drained[64];
    nfds_t count = 1;
    int64_t timeout = most_ms;
    memset(fds, 0, sizeof fds);
    fds[0].fd = wake[0];
    fds[0].events = POLLIN;
    if (l->waiting) {
        unsigned wants = compshare_wants(client);
        fds[1].fd = compshare_fd(client);
        fds[1].events = (short)((wants & COMPSHARE_READ ? POLLIN : 0) | (wants & COMPSHARE_WRITE ? POLLOUT : 0));
        count = 2;
        if (timeout > compshare_timeout_ms(client)) timeout = compshare_timeout_ms(client);
    }
#ifdef SCHEDULE_TEST_CLOCK
    if (timeout > 20 && from_environment("COMPSHARE_TEST_PACE") == NULL) timeout = 20;
#endif
    (void)poll(fds, count, (int)timeout);
    while (read(wake[0], drained, sizeof drained) > 0) {}
}

/* Pauses. False: a Ctrl-C ended it. */
static bool rest(lease *l, uint64_t ms)
{
    uint64_t until = monotonic_ms(NULL) + ms, at;
    while ((at = monotonic_ms(NULL)) < until) {
        if (interrupted(l)) return false;
        wait_event(l, (int64_t)(until - at));
    }
    return true;
}

/* Milliseconds until something other than an event is due. */
static int64_t until_due(const lease *l)
{
    int64_t due = 60000, left;
    if (!l->over) {
        left = (int64_t)(l->next - monotonic_ms(NULL));
        if (left < due) due = left;
    }
    if (l->o->warn != 0 && !l->warned && l->armed != 0) {
        left = (l->armed - l->o->warn - now()) * 1000;
        if (left > 0 && left < due) due = left;
    }
    if (l->ended && due > (l->named ? 5000 : 100)) due = l->named ? 5000 : 100;
    if ((l->o->pid != 0 || l->stop_by != 0) && due > 1000) due = 1000;
    return due > 0 ? due : l->waiting ? 60000 : 1;
}

/* Until the job has ended. */
static void attend(lease *l)
{
    while (job_lives(l) && !take_signals(l) && !tell_leftovers(l)) {
        if (l->stopped || (l->stop_by != 0 && monotonic_ms(NULL) >= l->stop_by)) suspend(l);
        renew(l);
        warn(l);
        show_notes(l);
        wait_event(l, until_due(l));
    }
    command_runs = false;
    show_notes(l);
    if (l->ended && !l->named && l->ended_at - l->started < 10000) note(l, M_QUICK_END);
}

/* ---- arming ---- */

/* Drives a call that was started to its end; a Ctrl-C, or `until`, gives it up. */
static int finish_call(lease *l, int status, uint64_t until)
{
    if (status != COMPSHARE_OK) return status;
    l->waiting = true;
    while ((status = compshare_step(client)) == COMPSHARE_PENDING) {
        uint64_t at = monotonic_ms(NULL);
        if (at >= until || interrupted(l)) { status = compshare_abort(client); break; }
        wait_event(l, (int64_t)(until - at));
    }
    l->waiting = false;
    return status;
}

/* A change, to its end, with what it leaves open. */
static int finish_change(lease *l, int64_t at, unsigned mode, uint64_t until)
{
    int status = unsettled(l, finish_call(l, begin_change(l, at, mode), until), at);
    if (status == COMPSHARE_OK) settled(l);
    return status;
}

static int cancel_lease(lease *l, uint64_t until)
{
    int status;
    l->called = monotonic_ms(NULL);
    changes_sent = 0;
    trace_change(l->uhost_id, 0);
    status = finish_call(l, compshare_schedule_cancel_start(client, l->uhost_id, &l->schedule), until);
    if (status == COMPSHARE_OK) settled(l);
    return unsettled(l, status, INT64_MAX);
}

/* Whether what failed may succeed in a while, nothing having been done twice by then. */
static bool worth_repeating(const lease *l, int status)
{
    int code = outcome(status);
    return code == NETWORK || code == UNCONFIRMED || compshare_last_error(client)->retryable
        || (status == COMPSHARE_E_NOT_FOUND && l->looked && l->arming)      /* it was there */
        || (status == COMPSHARE_E_STATE && !is_off(l->schedule.state));
}

/* Asks for the lease, or brings a plan beyond the limit down to it. */
static int arm_change(lease *l, uint64_t until)
{
    bool cap = l->schedule.stop_time > now() && is_beyond(l, l->schedule.stop_time);
    if (cap) return finish_change(l, ceiling(l), COMPSHARE_ONLY_SHORTEN, until);
    return finish_change(l, lease_end(l), COMPSHARE_ONLY_EXTEND, until);
}

/* One attempt. DONE, or the exit status and the reason. *again: worth another attempt. A
   change that was accepted is not asked for again, but looked for. */
static int arm_once(lease *l, uint64_t until, bool *again, bool *starting)
{
    compshare_schedule *s = &l->schedule;
    int status = finish_call(l, compshare_schedule_get_start(client, l->uhost_id, s), until);
    *again = true;
    check_clock();
    if (status == COMPSHARE_OK && l->accepted != 0) {
        if (!is_same(s->stop_time, l->unsettled)) return UNCONFIRMED;
        settled(l);
        return DONE;
    }
    if (status == COMPSHARE_OK) {
        *again = false;
        if (!check_leasable(l)) return UNSCHEDULABLE;
        if (l->limit != 0 && l->limit - now() < FLOOR_S)
            return give_reason(l, tr(M_TOO_LATE)), USAGE;
        note_before(l);
        if ((status = arm_change(l, until)) == COMPSHARE_OK) return note_found(l), DONE;
    }
    if (status != COMPSHARE_E_ABORTED || l->reason[0] == '\0') give_reason(l, error_text());
    *starting = *starting || (status == COMPSHARE_E_STATE && !is_off(s->state)) || compshare_last_error(client)->ret_code == 8903;
    l->missing = status == COMPSHARE_E_NOT_FOUND ? l->missing + 1 : 0;
    *again = worth_repeating(l, status) || (l->missing > 0 && l->missing < 3);
    return outcome(status);
}

/* The last one out has the lock alone while it shortens or stops, for a minute at the
   most: a lease that is set meanwhile would be undone. */
static void wait_for_others(lease *l)
{
    uint64_t until = monotonic_ms(NULL) + 75000;
    if (l->lock < 0 || l->locked) return;
    say(M_OTHER_ENDS, l->uhost_id);
    while (!l->locked && monotonic_ms(NULL) < until && rest(l, 250)) try_lock(l);
}

/* Until when arming is tried: for 60 s, or as long as a call may take, or 3 min while the
   instance starts; and once a change was accepted for as long again, for it to be shown. */
static uint64_t arm_until(const lease *l, uint64_t began, bool starting)
{
    uint64_t most = config.timeout_ms > ARM_MS ? config.timeout_ms : ARM_MS;
    if (l->accepted != 0) return l->accepted + most;
    return began + (starting && most < 180000 ? 180000 : most);
}

/* DONE, or the exit status. */
static int arm(lease *l)
{
    uint64_t began;
    bool again, starting = false;
    int code;
    wait_for_others(l);
    if (l->given_up) return give_reason(l, tr(M_NOTHING_CHANGED)), UNARMED;
    began = monotonic_ms(NULL);
    do {
        code = arm_once(l, arm_until(l, began, starting), &again, &starting);
        if (code == DONE || !again || l->given_up) break;
    } while (monotonic_ms(NULL) < arm_until(l, began, starting)
        && rest(l, l->missing > 0 ? 1000 : 5000));
    return code;
}

/* The command line that brings back what stood before this run. */
static const char *mend_line(const lease *l)
{
    static char line[1200];
    const options *o = l->o;
    size_t i, len;
    if (l->stood - now() > FLOOR_S)
        (void)snprintf(line, sizeof line, "compshare-schedule set %s --at %lld", l->uhost_id,
            (long long)l->stood);
    else
        (void)snprintf(line, sizeof line, l->stood != 0 ? "compshare-schedule set %s --in 5m"
            : "compshare-schedule cancel %s", l->uhost_id);
    for (i = 0; i < COUNT(option_table); i++) {
        const void *at = (const char *)o + option_table[i].offset;
        const char *value;
        bool odd;
        if (!o->given[i] || option_table[i].kind != TEXT || option_table[i].of != EVERY) continue;
        value = *(const char *const *)at;
        if (i == O_PROXY && strchr(value, '@') != NULL) continue;   /* a password may be in it */
        odd = strpbrk(value, " \t$&;|<>()*?\"\\") != NULL;
        len = strlen(line);
        (void)snprintf(line + len, sizeof line - len, odd ? " --%s '%s'" : " --%s %s",
            option_table[i].name, value);
    }
    return line;
}

/* Nothing was started because the lease could not be set: why, and what may be. */
static int refuse_unarmed(const lease *l)
{
    char text[2600];
    size_t len;
    (void)snprintf(text, sizeof text, tr(M_NOT_ARMED), l->reason);
    len = strlen(text);
    if (l->unsettled != 0)
        (void)snprintf(text + len, sizeof text - len, tr(M_MAY_BE_SET), local_time(l->unsettled),
            mend_line(l));
    return refuse(UNARMED, M_FAILED, text);
}

/* Nothing was started though the lease stood: what stood before is put back. What another
   run has set, or left behind, is not this one's to undo. */
static void put_back(lease *l)
{
    uint64_t until = monotonic_ms(NULL) + ARM_MS;
    int status;
    if (l->armed == 0) return;
    if (shared_with_others(l) || !is_same(l->armed, l->asked[0])) {
        note(l, M_STAYS_SET, off_at(l));
        return;
    }
    status = l->stood == 0 ? cancel_lease(l, until)
        : finish_change(l, l->stood - now() > FLOOR_S ? l->stood : soonest(), 0, until);
    if (status != COMPSHARE_OK) note(l, M_NOT_PUT_BACK, error_text(), off_at(l), mend_line(l));
    else if (l->armed != 0) note(l, M_PUT_BACK, off_at(l));
    else note(l, M_PUT_BACK_NONE);
}

/* ---- the end ---- */

/* StopCompShareInstance, confirmed by reading. It is sent once: whatever came of that is only
   looked at from then on. */
static int stop_now(lease *l, uint64_t until)
{
    compshare_target target = { NULL, NULL, NULL, NULL };
    int status;
    target.uhost_id = l->uhost_id;
    if (!l->stopping) {
        status = finish_call(l, compshare_stop_instance_start(client, &target), until);
        l->stopping = status == COMPSHARE_OK || compshare_last_error(client)->outcome_unknown;
        if (!l->stopping || status == COMPSHARE_E_ABORTED) return status;
    }
    return finish_call(l, compshare_wait_state_start(client, l->uhost_id, "Stopped", 30000, NULL), until);
}

/* When it is to go off now that the job has ended: reckoned once. What somebody has set
   while the job lived counts, what stood before only where it is to be restored. */
static int64_t exit_time(lease *l)
{
    const options *o = l->o;
    int64_t nearest = soonest();
    int64_t end = o->on_exit == ON_STOP ? nearest : whole_minute(now() + o->grace);
    if (l->wanted != 0) return l->wanted;
    if (l->limit != 0 && end > l->limit) end = l->limit > nearest ? l->limit : nearest;
    if (o->on_exit == ON_RESTORE && l->before - now() > FLOOR_S) end = l->before;
    if (l->theirs > end && o->on_exit != ON_STOP) end = l->theirs;
    return l->wanted = end;
}

/* Whether there is anything left to end, by a reading. Lists that lack the instance may
   be the API's mistake; after half a minute, seven in a row, they are none. */
static bool is_over(lease *l, int status)
{
    l->missing = status == COMPSHARE_E_NOT_FOUND ? l->missing + 1 : 0;
    if (l->missing >= 7 || (status == COMPSHARE_OK && is_off(l->schedule.state)))
        note(l, M_GONE, l->uhost_id, status != COMPSHARE_OK ? tr(M_NOT_LISTED) : l->schedule.state);
    else if (status == COMPSHARE_OK && !l->leasable && !check_leasable(l)) note(l, M_FAILED, l->reason);
    else return false;
    l->over = true;
    return true;
}

/* What the last reading says of other people's plans: one that was not there before counts
   from now on, an earlier one, too. */
static void note_theirs(lease *l)
{
    int64_t time = l->schedule.stop_time;
    if (set_here(l, time) || (l->before != 0 && is_same(time, l->before))) return;
    l->theirs = time > now() ? time : 0;
    if (l->theirs != 0 && !is_beyond(l, time) && l->o->on_exit != ON_STOP) l->wanted = time;
    else if (is_beyond(l, time)) l->theirs = l->limit;
}

/* The job has ended: what --on-exit asks for. What stands already is not set again. */
static int end_once(lease *l, uint64_t until)
{
    compshare_schedule *s = &l->schedule;
    int end = l->o->on_exit, status = compshare_schedule_get_start(client, l->uhost_id, s);
    status = finish_call(l, status, until);
    if (status == COMPSHARE_OK && l->stopping && strcmp(s->state, "Stopped") == 0) return status;
    if (is_over(l, status)) return COMPSHARE_OK;
    if (status != COMPSHARE_OK) return status;
    note_theirs(l);
    if (end == ON_KEEP) { settled(l); return COMPSHARE_OK; }
    if (end == ON_CANCEL && l->theirs <= now()) {
        if (s->stop_time != 0 || l->armed != 0) return cancel_lease(l, until);
        settled(l);
        return COMPSHARE_OK;
    }
    if (s->stop_time > now() && is_same(s->stop_time, exit_time(l))) settled(l);
    else status = finish_change(l, exit_time(l), 0, until);
    if (status == COMPSHARE_E_ABORTED || (status != COMPSHARE_OK && outcome(status) != UNCONFIRMED))
        return status;
    return end == ON_STOP ? stop_now(l, until) : status;
}

/* What could not be told to the API now may be told later, for as long as a minute. And
   where a renewal was never answered, the end is looked at until that can be on its way no
   longer. */
static int end_patiently(lease *l)
{
    uint64_t until = monotonic_ms(NULL) + ARM_MS, doubt = l->doubt;
    int status;
    l->missing = 0;
    while ((status = end_once(l, until)) != COMPSHARE_OK && status != COMPSHARE_E_ABORTED && monotonic_ms(NULL) < until)
        if ((!worth_repeating(l, status) && status != COMPSHARE_E_NOT_FOUND) || !rest(l, 5000)) break;
    if (l->o->on_exit == ON_STOP || monotonic_ms(NULL) >= doubt) return status;
    note(l, M_WATCHING, show_duration((int64_t)(doubt - monotonic_ms(NULL)) / 1000));
    while (status == COMPSHARE_OK && !l->over && monotonic_ms(NULL) < doubt && rest(l, 5000))
        status = end_once(l, doubt + ARM_MS);
    return status;
}

/* What is not known is not promised: a change that may have been made counts. */
static void end_failed(lease *l)
{
    int64_t latest = l->unsettled > l->armed ? l->unsettled : l->armed;
    if (latest == INT64_MAX) note(l, M_END_DOUBT, error_text(), l->uhost_id);
    else if (latest == 0) note(l, M_END_UNARMED, error_text());
    else note(l, M_END_FAILED, error_text(), local_time(latest));
}

static const char *how_over(const lease *l) { return l->armed != 0 ? "gone" : "unarmed"; }

/* What stands now, as it was read. */
static void say_end(lease *l)
{
    const options *o = l->o;
    if (o->on_exit == ON_STOP) note(l, M_ENDED_STOP);
    else if (l->armed == 0) note(l, M_ENDED_CANCEL);
    else if (l->theirs > now() && is_same(l->armed, l->theirs)) note(l, M_ENDED_THEIRS, off_at(l));
    else if (o->on_exit == ON_RESTORE && is_same(l->armed, l->before))
        note(l, M_ENDED_RESTORED, off_at(l));
    else note(l, M_ENDED_GRACE, off_at(l));
}

/* A renewal that is under way is let end: its time is bounded, and the server may execute
   it after everything that is sent from here on. */
static void finish_renewal(lease *l)
{
    int status;
    if (l->call == NO_CALL) return;
    status = finish_call(l, COMPSHARE_OK, l->called + config.timeout_ms + 1000);
    if (l->call != LOOK) (void)unsettled(l, status, l->plan.at);
    if (l->call != LOOK && status == COMPSHARE_OK) renewed(l);
    l->call = NO_CALL;
}

static void end_lease(lease *l)
{
    int status;
    (void)interrupted(l);       /* the one that ended the job */
    finish_renewal(l);
    l->how_ended = "kept";
    if (l->over) { l->how_ended = how_over(l); return; }
    if (l->o->pid != 0 && job_lives(l)) { note(l, M_STILL_RUNS, l->o->pid, off_at(l)); return; }
    if (shared_with_others(l)) { note(l, M_ENDED_OTHERS, l->uhost_id); l->how_ended = "shared"; return; }
    status = end_patiently(l);
    l->how_ended = l->over ? how_over(l) : status != COMPSHARE_OK ? "failed"
        : l->o->on_exit == ON_KEEP ? "kept" : "done";
    if (status != COMPSHARE_OK) end_failed(l);
    else if (!l->over) say_end(l);
}

static int job_status(const lease *l)
{
    if (l->child <= 0) return DONE;
    if (!l->ended) return UNCONFIRMED;
    return WIFSIGNALED(l->status) ? 128 + WTERMSIG(l->status) : WEXITSTATUS(l->status);
}

/* Replaces a file as a whole: nobody reads half of it, and a full disk leaves the old one.
   What is no regular file, or a link to one, is written to. */
static bool replace_file(const char *path, const char *text)
{
    char beside[PATH_MAX];
    struct stat info;
    bool plain = lstat(path, &info) != 0 || S_ISREG(info.st_mode), written;
    ssize_t len = (ssize_t)strlen(text);
    int fd, error;
    (void)snprintf(beside, sizeof beside, plain ? "%s.%ld" : "%s", path, (long)getpid());
    fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    errno = ENOSPC;     /* which a short write means */
    written = write(fd, text, (size_t)len) == len;
    if (close(fd) == 0 && written && (!plain || rename(beside, path) == 0)) return true;
    error = errno;
    if (plain) (void)unlink(beside);
    errno = error;
    return false;
}

static void write_status(const lease *l, int code)
{
    char text[256];
    if (l->o->status_file == NULL) return;
    (void)snprintf(text, sizeof text, "{\"uhost_id\":\"%s\",\"stop_time\":%lld,\"ended\":\"%s\",\"exit_status\":%d}\n", l->uhost_id,
        (long long)l->armed, l->how_ended, code);
    if (!replace_file(l->o->status_file, text)) say(M_CANNOT_WRITE, l->o->status_file, strerror(errno));
}

/* A plan that stood before, and what has become of it. */
static void announce_before(const lease *l)
{
    if (l->before == 0) return;
    if (is_same(l->armed, l->before)) say(M_BEFORE_LEFT, local_time(l->before));
    else say(l->before > l->armed ? M_BEFORE_CAPPED : M_BEFORE_MOVED, local_time(l->before), off_at(l));
}

/* What holds while the job lives, after its end, and if this program does not live. */
static void announce(const lease *l)
{
    const options *o = l->o;
    announce_before(l);
    if (l->limit != 0) say(M_STAYS_UNTIL, l->uhost_id, local_time(l->limit));
    else say(M_STAYS_ON, l->uhost_id);
    if (o->on_exit == ON_RESTORE && l->before != 0) say(M_AFTER_RESTORE, local_time(l->before));
    else if (o->on_exit == ON_STOP) say(M_AFTER_STOP);
    else if (o->on_exit == ON_CANCEL) say(M_AFTER_CANCEL);
    else if (o->on_exit == ON_KEEP) say(M_AFTER_KEEP);
    else say(M_AFTER_GRACE, show_duration(o->grace));
    say(M_IF_IT_DIES, local_time(l->armed));
}

/* The lease while the job lives, and its end. The exit status. */
static int hold(lease *l)
{
    options *o = l->o;
    int code = arm(l);
    if (code == USAGE || l->given_up || (code != DONE && !o->unarmed_ok)) return refuse_unarmed(l);
    if (code == DONE) { announce(l); plan_renewal(l); }
    else { say(M_UNARMED_ON, l->reason); l->unreachable = true; }
    code = o->command != NULL ? start_command(l) : DONE;
    l->arming = false;
    if (code != DONE) { put_back(l); return code; }
    attend(l);
    code = job_status(l);
    end_lease(l);
    return code;
}

/* What is found out before anything is set. DONE, or the exit status. */
static int prepare(lease *l)
{
    options *o = l->o;
    int code;
    if (o->command != NULL && (code = find_command(o->command[0])) != DONE) return code;
    if (o->pid != 0 && !process_lives(o->pid, &l->birth))
        return refuse(UNARMED, M_NO_PROCESS, o->pid);
    if (o->pid != 0 && o->warn != 0 && kill((pid_t)o->pid, 0) != 0)
        return refuse(UNARMED, M_NOT_OURS, o->pid);
    if (!open_pipe(wake, O_NONBLOCK)) return refuse(UNARMED, M_CANNOT_RUN, "pipe", strerror(errno));
    handle_signals();
    l->arming = true;
    if (o->command != NULL && (code = hold_command(l)) != DONE) return code;
    open_lock(l);
    return DONE;
}

static int run(options *o)
{
    static lease l;
    int code;
    l.o = o;
    l.uhost_id = o->uhosts[0];
    l.limit = o->until / 60 * 60;
    l.lock = l.go = l.report = -1;
    l.began = monotonic_ms(NULL);
    l.how_ended = "unarmed";
    srand((unsigned)(getpid() ^ (int)l.began));
    if (o->grace < interval_s(o) + 300) o->grace = interval_s(o) + 300;
    code = prepare(&l);
    if (code == DONE) code = hold(&l);
    drop_command(&l);
    dismiss_witness();
    write_status(&l, code);
    (void)fputs(l.held, stderr);
    if (l.ended && WIFSIGNALED(l.status)) ended_by = WTERMSIG(l.status);
    return code;
}

/* ---- doctor ---- */

static void checked(int verdict, int message, ...)
{
    static const char *const words[] = { "ok", "warning", "failed" };
    char line[1200], *word;
    int at = 0;
    va_list args;
    va_start(args, message);
    (void)vsnprintf(line, sizeof line, tr(message), args);
    va_end(args);
    if (as_json) {
        json_text("verdict", words[verdict - M_DOCTOR_OK]);
        json_text("text", line);
        json_end();
        return;
    }
    (void)fputs(tr(verdict), stdout);
    for (word = strtok(line, " "); word != NULL; word = strtok(NULL, " ")) {
        int columns = width(word);
        (void)printf("%s%s", at == 0 ? "" : at + 1 + columns > 71 ? "\n         " : " ", word);
        at = at + 1 + columns > 71 ? columns : at + (at > 0) + columns;
    }
    (void)putchar('\n');
}

/* The way to the server's name, or to the proxy that knows it. */
static void doctor_name(const char *base_url)
{
    char host[256];
    const char *at = strstr(base_url, "://");
    struct addrinfo hints, *list = NULL, *i;
    uint64_t began = monotonic_ms(NULL);
    size_t count = 0;
    int r;
    if (config.proxy != NULL) {     /* without its user and password */
        at = strrchr(config.proxy, '@');
        checked(M_DOCTOR_OK, M_DOCTOR_PROXY, at != NULL ? at + 1 : config.proxy);
        return;
    }
    at = at != NULL ? at + 3 : base_url;
    (void)snprintf(host, sizeof host, "%.*s", (int)strcspn(at, ":/"), at);
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if ((r = getaddrinfo(host, NULL, &hints, &list)) != 0) { checked(M_DOCTOR_FAILED, M_DOCTOR_NO_NAME, host, gai_strerror(r)); return; }
    for (i = list; i != NULL; i = i->ai_next) count++;
    freeaddrinfo(list);
    checked(M_DOCTOR_OK, M_DOCTOR_NAME, host, count, (long)(monotonic_ms(NULL) - began));
}

/* What the handshake agreed on, and how long the server's certificate will do. */
static void doctor_tls(long ms)
{
    static const struct { uint16_t number; char name[44]; } suites[] = {
        { 0xC02B, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" }, { 0xC02C, "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" },
        { 0xC02F, "ECDHE_RSA_WITH_AES_128_GCM_SHA256" }, { 0xC030, "ECDHE_RSA_WITH_AES_256_GCM_SHA384" },
        { 0xCCA8, "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" }, { 0xCCA9, "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" },
        { 0, "?" }
    };
    compshare_handshake h = compshare_last_handshake(client);
    long days = (long)((h.not_after - unix_time(NULL)) / 86400);
    size_t i;
    for (i = 0; i < COUNT(suites) - 1 && suites[i].number != h.suite; i++) {}
    checked(M_DOCTOR_OK, M_DOCTOR_TLS, h.version - 0x301, suites[i].name, ms);
    if (h.not_after == 0) return;
    checked(days >= 7 ? M_DOCTOR_OK : M_DOCTOR_WARNING, days >= 7 ? M_DOCTOR_DAYS : M_DOCTOR_RENEW, days);
}

static void doctor_clock(void)
{
    int64_t server = compshare_server_time(client), off = unix_time(NULL) - server;
    if (server == 0) return;
    if (off >= -60 && off <= 60) checked(M_DOCTOR_OK, M_DOCTOR_CLOCK_FINE, show_duration(off < 0 ? -off + 1 : off + 1));
    else checked(M_DOCTOR_WARNING, M_DOCTOR_CLOCK, tr(off > 0 ? M_AHEAD_OF : M_BEHIND), show_duration(off > 0 ? off : -off));
}

/* How many projects there are. */
static size_t doctor_projects;

static int join_project(void *user, const compshare_project *p)
{
    char *list = (char *)user;
    size_t len = strlen(list);
    doctor_projects++;
    (void)snprintf(list + len, 512 - len, "%s%s", len > 0 ? ", " : "", p->project_id);
    return 0;
}

/* What "self" would be. That this host is no instance is no fault. */
static int doctor_self(void)
{
    char why[600];
    const char *id;
    compshare_target target = { NULL, NULL, NULL, NULL };
    compshare_instance instance;
    int status, code = find_self(&id, why, sizeof why);
    if (code == UNSCHEDULABLE && id[0] == '\0') return checked(M_DOCTOR_OK, M_DOCTOR_NO_SELF), DONE;
    if (code != DONE) return checked(M_DOCTOR_FAILED, M_FAILED, why), code;
    target.uhost_id = id;
    status = compshare_describe_instance(client, &target, &instance);
    checked(status == COMPSHARE_OK ? M_DOCTOR_OK : M_DOCTOR_FAILED, M_SELF_FAILED,
        status == COMPSHARE_OK ? id : error_text());
    return read_outcome(status);
}

static int doctor(void)
{
    char list[512] = "";
    const char *base_url = config.base_url != NULL ? config.base_url : "https://api.compshare.cn";
    compshare_project project;
    uint64_t began;
    int status;
    checked(M_DOCTOR_OK, M_DOCTOR_KEYS, settings.keys_from);
    checked(M_DOCTOR_OK, M_DOCTOR_ROOTS, config.ca_file != NULL ? config.ca_file : tr(config.ca_pem != NULL ? M_DOCTOR_EMBEDDED : M_DOCTOR_SYSTEM));
    doctor_name(base_url);
    began = monotonic_ms(NULL);
    status = compshare_get_project_list(client, &project, join_project, list);
    if (status != COMPSHARE_OK && (compshare_last_error(client)->http_status == 0 || read_outcome(status) == NETWORK)) {
        checked(M_DOCTOR_FAILED, M_DOCTOR_NO_TLS, base_url, error_text());
        return read_outcome(status);
    }
    doctor_tls((long)(monotonic_ms(NULL) - began));
    doctor_clock();
    if (status != COMPSHARE_OK && status != COMPSHARE_E_PROJECT) {
        checked(M_DOCTOR_FAILED, M_DOCTOR_NO_SIGNATURE, error_text());
        return read_outcome(status);
    }
    checked(M_DOCTOR_OK, M_DOCTOR_SIGNATURE);
    if (status == COMPSHARE_E_PROJECT) checked(M_DOCTOR_WARNING, M_DOCTOR_SET_PROJECT, error_text());
    else checked(M_DOCTOR_OK, M_DOCTOR_PROJECT, project.project_id, doctor_projects, list);
    began = monotonic_ms(NULL);
    if (compshare_get_project_list(client, NULL, NULL, NULL) == COMPSHARE_OK)
        checked(M_DOCTOR_OK, M_DOCTOR_TRIPS, (long)(monotonic_ms(NULL) - began));
    return status == COMPSHARE_OK ? doctor_self() : CONFIGURATION;
}

/* ---- main ---- */

/* A language before the options, so that a refused option is refused in it. */
static void guess_language(void)
{
    static const char *const variables[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
    size_t i;
    for (i = 0; i < COUNT(variables); i++) {
        const char *value = from_environment(variables[i]);
        if (value == NULL) continue;
        language = strncmp(value, "zh", 2) == 0;
        return;
    }
}

/* Where 0, 1 or 2 is closed, the next file that is opened would get what is printed. */
static void open_standard(void)
{
    int fd;
    do fd = open("/dev/null", O_RDWR); while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) (void)close(fd);
}

/* Without some descriptors no name is resolved, and the C library calls it unknown. */
static bool has_descriptors(void)
{
    int fds[9];
    size_t i, n, most = leasing ? COUNT(fds) : 5;
    for (n = 0; n < most && (fds[n] = dup(STDERR_FILENO)) >= 0; n++) {}
    for (i = 0; i < n; i++) (void)close(fds[i]);
    return n == most;
}

static int act(options *o)
{
    int code = has_descriptors() ? open_client(o) : refuse(CONFIGURATION, M_FEW_DESCRIPTORS);
    if (code != DONE) return leasing ? UNARMED : code;
    code = resolve_self(o);
    if (code != DONE) code = leasing ? UNARMED : code;
    else if (leasing) code = run(o);
    else if (o->verb == DOCTOR) code = doctor();
    else code = o->verb & (SHOW | AUDIT) ? show(o) : change(o);
    compshare_close(client);
    memset(&settings, 0, sizeof settings);
    forget_secrets();
    return code;
}

/* As the command was: whoever waits for this program learns of its signal. */
static void end_alike(void)
{
    sigset_t all;
    if (ended_by == 0 || getpid() == 1) return;
    (void)signal(ended_by, SIG_DFL);
    (void)sigemptyset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)raise(ended_by);
}

int main(int argc, char **argv)
{
    static options o;
    int code, i;
    hide_secrets();
    open_standard();
    o.ttl = 3600;
    o.grace = 900;
    o.linger = -1;
    o.argv = argv;
    guess_language();
    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        leasing = leasing || strcmp(argv[i], "run") == 0;
    code = read_options(&o, argc, argv);
    if (o.verb != 0) leasing = o.verb == RUN;
    if (leasing && o.timeout == 0) o.timeout = 30;
    if (code == -1) code = act(&o);
    else if (leasing && code != DONE) code = UNARMED;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        say(M_CANNOT_WRITE, "stdout", strerror(errno));
        if (code == DONE) code = UNCONFIRMED;       /* done, but nobody has heard of it */
    }
    end_alike();
    return code;
}
