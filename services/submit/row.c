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

enum { SIZE_SMALL = 1, SIZE_MEDIUM = 2, SIZE_LARGE = 3, CONFIRMATION_NONE = 4 };

void drone_row_init(drone_row *row)
{
    memset(row, 0, sizeof(*row));
    row->deadline_after_ms = DEADLINE_AFTER_MS;
    row->confirmation = CONFIRMATION_NONE;
    row->size = SIZE_SMALL;
    row->weight_g = 500;
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
