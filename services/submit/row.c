/* Rows: defaults, times and checks. Pure. */
#include "submit/row.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PARCEL_WEIGHT_G 800
#define WEIGHT_G_MAX 1000000
#define DEADLINE_AFTER_MS (2ll * 3600 * 1000)
#define YEAR_MIN 1970
#define YEAR_MAX 9999

enum { SIZE_SMALL = 1, SIZE_MEDIUM = 2, SIZE_LARGE = 3, CONFIRMATION_NONE = 4 };

void drone_row_init(drone_row *row)
{
    memset(row, 0, sizeof(*row));
    row->deadline_after_ms = DEADLINE_AFTER_MS;
    row->confirmation = CONFIRMATION_NONE;
    row->size = SIZE_SMALL;
    row->weight_g = 500;
}

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

int drone_row_parse_time(const char *s, int64_t *ret_ms)
{
    int y, mo, d, h, mi, sec;
    int ms = 0;

    if (!digits(&s, 4, &y) || !literal(&s, '-') || !digits(&s, 2, &mo) || !literal(&s, '-') ||
        !digits(&s, 2, &d))
        return -EINVAL;
    if (!literal(&s, 'T') && !literal(&s, ' '))
        return -EINVAL;
    if (!digits(&s, 2, &h) || !literal(&s, ':') || !digits(&s, 2, &mi) || !literal(&s, ':') ||
        !digits(&s, 2, &sec))
        return -EINVAL;
    if (literal(&s, '.')) {
        int scale = 100;
        if (*s < '0' || *s > '9')
            return -EINVAL;
        for (; *s >= '0' && *s <= '9'; s++, scale /= 10)
            ms += (*s - '0') * scale;
    }
    literal(&s, 'Z');
    if (*s != '\0' || y < YEAR_MIN || y > YEAR_MAX || mo < 1 || mo > 12 || d < 1 ||
        d > days_in_month(y, mo) || h > 23 || mi > 59 || sec > 59)
        return -EINVAL;
    *ret_ms = (((days_from_epoch(y, mo, d) * 24 + h) * 60 + mi) * 60 + sec) * 1000 + ms;
    return 0;
}

static int out_of_range(char *reterr, const char *field, double v, double lo, double hi)
{
    snprintf(reterr, DRONE_ROW_ERROR_SIZE, "%s: %g is outside %g..%g", field, v, lo, hi);
    return -EBADMSG;
}

static bool within(double v, double lo, double hi)
{
    return isfinite(v) && v >= lo && v <= hi;
}

static int check_place(const char *name, const double place[3], char *reterr)
{
    static const struct {
        const char *name;
        double lo, hi;
    } axes[] = { { "latitude", -90, 90 },
                 { "longitude", -180, 180 },
                 { "altitude_m", -500, 9000 } };

    for (int i = 0; i < 3; i++) {
        char field[32];
        if (within(place[i], axes[i].lo, axes[i].hi))
            continue;
        snprintf(field, sizeof(field), "%s_%s", name, axes[i].name);
        return out_of_range(reterr, field, place[i], axes[i].lo, axes[i].hi);
    }
    return 0;
}

static int check_id(const char *field, const char *id, char *reterr)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-";
    if (id[strspn(id, allowed)] == '\0')
        return 0;
    snprintf(reterr, DRONE_ROW_ERROR_SIZE, "%s: only A-Z a-z 0-9 . _ : / - are allowed in an id",
             field);
    return -EBADMSG;
}

int drone_row_check(const drone_row *row, char reterr[DRONE_ROW_ERROR_SIZE])
{
    const double pickup[3] = { row->pickup_latitude, row->pickup_longitude,
                               row->pickup_altitude_m };
    const double dropoff[3] = { row->dropoff_latitude, row->dropoff_longitude,
                                row->dropoff_altitude_m };

    if (check_place("pickup", pickup, reterr) < 0 || check_place("dropoff", dropoff, reterr) < 0 ||
        check_id("account_id", row->account_id, reterr) < 0 ||
        check_id("user_id", row->user_id, reterr) < 0 ||
        check_id("package_id", row->package_id, reterr) < 0 ||
        check_id("idempotency_key", row->idempotency_key, reterr) < 0)
        return -EBADMSG;
    if (row->weight_g < 1 || row->weight_g > WEIGHT_G_MAX) {
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "weight_g: %" PRId64 " is outside 1..%d",
                 row->weight_g, WEIGHT_G_MAX);
        return -EBADMSG;
    }
    if (row->deadline_after_ms < 1) {
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "deadline: it is not later than the pickup");
        return -EBADMSG;
    }
    return 0;
}

void drone_row_set_units(drone_row *row, int64_t units)
{
    row->weight_g = units * PARCEL_WEIGHT_G;
    row->size = units <= 1 ? SIZE_SMALL : units <= 3 ? SIZE_MEDIUM : SIZE_LARGE;
}
