/* ==== times =======================================================================

   Does:  reads points in time and durations as people write them, and shows them.
   May:   ask the C library for the local time zone.
   Never: reads a clock; prints. */

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
    /* no place on earth is further from UTC */
    return hours * 60 + minutes <= 14 * 60 ? TIME_FINE : TIME_MALFORMED;
}

/* What a date with a time of day is written in, its offset left out. */
typedef struct date { int64_t year, month, day, hour, minute, second; } date;

/* 2026-11-23T22:00, with or without seconds and their fraction. *s moves behind it. */
static bool read_date(const char **s, date *d)
{
    if (!read_digits(s, 4, &d->year) || *(*s)++ != '-') return false;
    if (!read_digits(s, 2, &d->month) || *(*s)++ != '-') return false;
    if (!read_digits(s, 2, &d->day)) return false;
    if (**s != 'T' && **s != 't' && **s != ' ') return false;
    ++*s;
    if (!read_digits(s, 2, &d->hour) || *(*s)++ != ':') return false;
    if (!read_digits(s, 2, &d->minute)) return false;
    d->second = 0;
    if (**s != ':') return true;
    ++*s;
    if (!read_digits(s, 2, &d->second)) return false;
    if (**s != '.') return true;
    if (!isdigit((unsigned char)(*s)[1])) return false;
    *s += 1 + strspn(*s + 1, "0123456789");
    return true;
}

static bool is_date(const date *d)
{
    static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (d->year < 1970 || d->month < 1 || d->month > 12) return false;
    if (d->day < 1 || d->day > month_days[d->month - 1]) return false;
    if (d->hour > 23 || d->minute > 59 || d->second > 59) return false;
    return d->month != 2 || d->day != 29
        || days_of(d->year, 3, 1) - days_of(d->year, 2, 28) == 2;
}

/* Seconds since 1970, or ISO 8601 with an offset. Without one *time is the reading in
   UTC, for the two readings that the refusal shows. Seconds have ten digits from 2001 to
   2286: twelve are a date (202611232200) that would be the year 8390. */
static int read_time(const char *s, int64_t *time)
{
    int64_t offset;
    date d;
    int r;
    if (strspn(s, "0123456789") == 10 && s[10] == '\0') {
        *time = strtoll(s, NULL, 10);
        return TIME_FINE;
    }
    if (!read_date(&s, &d) || !is_date(&d)) return TIME_MALFORMED;
    r = read_offset(s, &offset);
    *time = days_of(d.year, d.month, d.day) * 86400 + d.hour * 3600 + d.minute * 60 + d.second
        - offset;
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
        for (number = 0; isdigit((unsigned char)*s) && number < 1000000; s++)
            number = number * 10 + (*s - '0');
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
    if (p == NULL)
        (void)snprintf(text, sizeof texts[0], "%lld", (long long)time);
    else if (beijing)
        (void)snprintf(text, sizeof texts[0], "%02d-%02d %02d:%02d", p->tm_mon + 1, p->tm_mday,
            p->tm_hour, p->tm_min);
    else
        (void)snprintf(text, sizeof texts[0], "%d-%02d-%02d %02d:%02d:%02d %+05d",
            p->tm_year + 1900, p->tm_mon + 1, p->tm_mday, p->tm_hour, p->tm_min, p->tm_sec,
            east / 60 * 100 + east % 60);
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

