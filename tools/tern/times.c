/* Timestamps and durations as text: RFC 3339 and seconds with a fraction, each with 0, 3, 6 or 9
 * digits behind the point as protobuf's JSON mapping has them. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tools/tern/json.h"

/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z (timestamp.proto). */
#define TIMESTAMP_SECONDS_MIN (-62135596800LL)
#define TIMESTAMP_SECONDS_MAX 253402300799LL
/* 10,000 years of 365.25 days (duration.proto). */
#define DURATION_SECONDS_MAX 315576000000LL

enum { NANOS = 1000000000, DAY = 86400 };

/* Days from 1970-01-01 to a date of the Gregorian calendar. The year begins in March here, which
 * puts the leap day at its end; an era is 400 years, 146,097 days. */
static int64_t days_of_date(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = days + 719468; /* never negative from year 1 on */
    int64_t era = z / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
    *ret_month = (int)(m < 10 ? m + 3 : m - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2 ? 1 : 0));
}

/* ".5" with as many digits as needed of 0, 3, 6, 9. */
static void print_fraction(int32_t nanos, char out[12])
{
    if (nanos == 0) {
        out[0] = '\0';
    } else if (nanos % 1000000 == 0) {
        (void)snprintf(out, 12, ".%03d", nanos / 1000000);
    } else if (nanos % 1000 == 0) {
        (void)snprintf(out, 12, ".%06d", nanos / 1000);
    } else {
        (void)snprintf(out, 12, ".%09d", nanos);
    }
}

/* Reads "" or "." and one to nine digits; moves *p behind. */
static int parse_fraction(const char **p, int32_t *ret_nanos)
{
    int32_t nanos = 0;
    int digits = 0;
    if (**p == '.') {
        for (++*p; **p >= '0' && **p <= '9' && digits < 9; ++*p, digits++) {
            nanos = nanos * 10 + (**p - '0');
        }
        if (digits == 0) {
            return -1;
        }
        for (; digits < 9; digits++) {
            nanos *= 10;
        }
    }
    *ret_nanos = nanos;
    return 0;
}

/* Reads exactly n digits, then the character `end` (0: none is eaten). -1: they are not there. */
static int parse_digits(const char **p, int n, char end)
{
    int value = 0;
    for (int i = 0; i < n; i++, ++*p) {
        if (**p < '0' || **p > '9') {
            return -1;
        }
        value = value * 10 + (**p - '0');
    }
    if (end != 0) {
        if (**p != end) {
            return -1;
        }
        ++*p;
    }
    return value;
}

int cli_timestamp_print(int64_t seconds, int32_t nanos, char out[CLI_TIME_TEXT_MAX])
{
    if (seconds < TIMESTAMP_SECONDS_MIN || seconds > TIMESTAMP_SECONDS_MAX || nanos < 0 ||
        nanos >= NANOS) {
        return -1;
    }
    int64_t days = seconds / DAY;
    int64_t rest = seconds % DAY;
    if (rest < 0) {
        rest += DAY;
        days--;
    }
    int year;
    int month;
    int day;
    char fraction[12];
    date_of_days(days, &year, &month, &day);
    print_fraction(nanos, fraction);
    (void)snprintf(out, CLI_TIME_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", year, month, day,
                   (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60), fraction);
    return 0;
}

/* Reads "Z" or "+01:00" to the end of the text. */
static int parse_offset(const char *p, int *ret_seconds)
{
    if (*p == 'Z') {
        *ret_seconds = 0;
        return p[1] == '\0' ? 0 : -1;
    }
    int sign = *p == '+' ? 1 : *p == '-' ? -1 : 0;
    if (sign == 0) {
        return -1;
    }
    p++;
    int hours = parse_digits(&p, 2, ':');
    int minutes = hours < 0 ? -1 : parse_digits(&p, 2, 0);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || *p != '\0') {
        return -1;
    }
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return 0;
}

int cli_timestamp_parse(const char *text, int64_t *ret_seconds, int32_t *ret_nanos)
{
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const char *p = text;
    int year = parse_digits(&p, 4, '-');
    int month = year < 0 ? -1 : parse_digits(&p, 2, '-');
    int day = month < 0 ? -1 : parse_digits(&p, 2, 'T');
    int hour = day < 0 ? -1 : parse_digits(&p, 2, ':');
    int minute = hour < 0 ? -1 : parse_digits(&p, 2, ':');
    int second = minute < 0 ? -1 : parse_digits(&p, 2, 0);
    int offset;
    int32_t nanos;
    if (second < 0 || parse_fraction(&p, &nanos) != 0 || parse_offset(p, &offset) != 0) {
        return -1;
    }
    if (year < 1 || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) {
        return -1;
    }
    bool leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day < 1 || day > lengths[month - 1] + (leap ? 1 : 0)) {
        return -1;
    }
    int64_t seconds = days_of_date(year, month, day) * DAY + hour * 3600 + minute * 60 + second -
                      offset;
    if (seconds < TIMESTAMP_SECONDS_MIN || seconds > TIMESTAMP_SECONDS_MAX) {
        return -1;
    }
    *ret_seconds = seconds;
    *ret_nanos = nanos;
    return 0;
}

int cli_duration_print(int64_t seconds, int32_t nanos, char out[CLI_TIME_TEXT_MAX])
{
    bool negative = seconds < 0 || nanos < 0;
    if (seconds < -DURATION_SECONDS_MAX || seconds > DURATION_SECONDS_MAX || nanos <= -NANOS ||
        nanos >= NANOS || (negative && (seconds > 0 || nanos > 0))) {
        return -1;
    }
    char fraction[12];
    print_fraction(negative ? -nanos : nanos, fraction);
    (void)snprintf(out, CLI_TIME_TEXT_MAX, "%s%lld%ss", negative ? "-" : "",
                   (long long)(negative ? -seconds : seconds), fraction);
    return 0;
}

int cli_duration_parse(const char *text, int64_t *ret_seconds, int32_t *ret_nanos)
{
    bool negative = text[0] == '-';
    const char *p = negative ? text + 1 : text;
    int64_t seconds = 0;
    int32_t nanos;
    size_t digits = strspn(p, "0123456789");
    if (digits == 0 || digits > 12) {
        return -1;
    }
    for (size_t i = 0; i < digits; i++) {
        seconds = seconds * 10 + (p[i] - '0');
    }
    p += digits;
    if (parse_fraction(&p, &nanos) != 0 || strcmp(p, "s") != 0 || seconds > DURATION_SECONDS_MAX) {
        return -1;
    }
    *ret_seconds = negative ? -seconds : seconds;
    *ret_nanos = negative ? -nanos : nanos;
    return 0;
}
