/* Times as text: RFC 3339. Pure. */
#include "common/time.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#define YEAR_MIN 1970
#define YEAR_MAX 9999

/* Takes exactly `n` digits. */
static bool digits(const char **s, int n, int *ret)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        char c = (*s)[i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    *s += n;
    *ret = v;
    return true;
}

static bool literal(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

static bool is_leap(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int days_in_month(int y, int m)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return m == 2 && is_leap(y) ? 29 : days[m - 1];
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, counting leap days up to the year
 * before. */
static int64_t days_from_epoch(int y, int m, int d)
{
    int64_t p = y - 1;
    int64_t days = 365 * (p - 1969) + (p / 4 - 1969 / 4) - (p / 100 - 1969 / 100) +
                   (p / 400 - 1969 / 400);
    for (int i = 1; i < m; i++)
        days += days_in_month(y, i);
    return days + d - 1;
}

/* Reads all but the zone, as if that were UTC, and moves *at behind it. */
static bool read_local(const char **at, int64_t *ret_ms)
{
    const char *s = *at;
    int y, mo, d, h, mi, sec;
    int ms = 0;

    if (!digits(&s, 4, &y) || !literal(&s, '-') || !digits(&s, 2, &mo) || !literal(&s, '-') ||
        !digits(&s, 2, &d))
        return false;
    if (!literal(&s, 'T') && !literal(&s, ' '))
        return false;
    if (!digits(&s, 2, &h) || !literal(&s, ':') || !digits(&s, 2, &mi) || !literal(&s, ':') ||
        !digits(&s, 2, &sec))
        return false;
    if (literal(&s, '.')) {
        int scale = 100;
        if (*s < '0' || *s > '9')
            return false;
        for (; *s >= '0' && *s <= '9'; s++, scale /= 10)
            ms += (*s - '0') * scale;
    }
    if (y < YEAR_MIN || y > YEAR_MAX || mo < 1 || mo > 12 || d < 1 || d > days_in_month(y, mo) ||
        h > 23 || mi > 59 || sec > 59)
        return false;
    *ret_ms = (((days_from_epoch(y, mo, d) * 24 + h) * 60 + mi) * 60 + sec) * 1000 + ms;
    *at = s;
    return true;
}

int drone_time_read(const char *s, int64_t *ret_ms)
{
    int64_t ms;
    if (!read_local(&s, &ms))
        return -EINVAL;
    literal(&s, 'Z');
    if (*s != '\0')
        return -EINVAL;
    *ret_ms = ms;
    return 0;
}

int drone_time_read_zoned(const char *s, int64_t *ret_ms)
{
    int64_t ms;
    int h, mi;
    if (!read_local(&s, &ms))
        return -EINVAL;
    if (!literal(&s, 'Z')) {
        int sign = *s == '-' ? -1 : 1;
        if (*s != '+' && *s != '-')
            return -EINVAL;
        s++;
        if (!digits(&s, 2, &h) || !literal(&s, ':') || !digits(&s, 2, &mi) || h > 23 || mi > 59)
            return -EINVAL;
        ms -= (int64_t)sign * (h * 60 + mi) * 60000;
    }
    if (*s != '\0')
        return -EINVAL;
    *ret_ms = ms;
    return 0;
}

void drone_time_write(int64_t ms, char ret[DRONE_TIME_SIZE])
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &tm);
    snprintf(ret, DRONE_TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
             (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100, tm.tm_hour % 100,
             tm.tm_min % 100, tm.tm_sec % 100, (int)(ms % 1000));
}
