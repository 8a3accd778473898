/* One line of JSONL to a row. Every member is named in its error; unknown ones are refused, since a
 * misspelt "expeditet" that is silently passed over would send the package the slow way. */
#include "submit/reader.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/time.h"

__attribute__((format(printf, 2, 3))) static int bad(char *reterr, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(reterr, DRONE_ROW_ERROR_SIZE, fmt, ap);
    va_end(ap);
    return -EBADMSG;
}

static int take_string(const json_t *v, const char *name, char *out, size_t size, char *reterr)
{
    if (!json_is_string(v))
        return bad(reterr, "%s: must be a string", name);
    if (json_string_length(v) >= size)
        return bad(reterr, "%s: longer than %zu bytes", name, size - 1);
    if (strlen(json_string_value(v)) != json_string_length(v))
        return bad(reterr, "%s: contains a NUL", name);
    memcpy(out, json_string_value(v), json_string_length(v) + 1);
    return 0;
}

static int take_choice(const json_t *v, const char *name, const char *const *choices, int *ret,
                       char *reterr)
{
    char known[96] = "";
    if (!json_is_string(v))
        return bad(reterr, "%s: must be a string", name);
    for (int i = 0; choices[i]; i++) {
        if (strcmp(json_string_value(v), choices[i]) == 0) {
            *ret = i + 1;
            return 0;
        }
        size_t n = strlen(known);
        snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", choices[i]);
    }
    return bad(reterr, "%s: \"%.40s\" is none of %s", name, json_string_value(v), known);
}

static int take_integer(const json_t *v, const char *name, int64_t *ret, char *reterr)
{
    if (!json_is_integer(v))
        return bad(reterr, "%s: must be a whole number", name);
    *ret = json_integer_value(v);
    return 0;
}

static int take_place(json_t *o, const char *name, double *place[3], char *reterr)
{
    static const char *const axes[] = { "latitude", "longitude", "altitude_m" };
    bool seen[3] = { false, false, true }; /* the altitude may be missing */
    const char *key;
    json_t *v;

    if (!json_is_object(o))
        return bad(reterr, "%s: must be an object with latitude and longitude", name);
    json_object_foreach(o, key, v)
    {
        int i = 0;
        while (i < 3 && strcmp(key, axes[i]) != 0)
            i++;
        if (i == 3)
            return bad(reterr, "%s.%.40s: unknown member", name, key);
        if (!json_is_number(v))
            return bad(reterr, "%s.%s: must be a number", name, key);
        *place[i] = json_number_value(v);
        seen[i] = true;
    }
    for (int i = 0; i < 3; i++)
        if (!seen[i])
            return bad(reterr, "%s.%s: missing", name, axes[i]);
    return 0;
}

static int take_package(json_t *o, drone_row *row, char *reterr)
{
    static const char *const sizes[] = { "small", "medium", "large", NULL };
    const char *key;
    json_t *v;
    int rv = 0;

    if (!json_is_object(o))
        return bad(reterr, "package: must be an object");
    json_object_foreach(o, key, v)
    {
        if (strcmp(key, "package_id") == 0)
            rv = take_string(v, "package.package_id", row->package_id, sizeof(row->package_id),
                             reterr);
        else if (strcmp(key, "tag") == 0)
            rv = take_string(v, "package.tag", row->tag, sizeof(row->tag), reterr);
        else if (strcmp(key, "size") == 0)
            rv = take_choice(v, "package.size", sizes, &row->size, reterr);
        else if (strcmp(key, "weight_g") == 0)
            rv = take_integer(v, "package.weight_g", &row->weight_g, reterr);
        else
            rv = bad(reterr, "package.%.40s: unknown member", key);
        if (rv < 0)
            return rv;
    }
    return 0;
}

static int take_time(const json_t *v, drone_row *row, char *reterr)
{
    if (!json_is_string(v) || drone_time_read(json_string_value(v), &row->requested_at_ms) < 0)
        return bad(reterr, "requested_at: must be a time like \"2019-03-01T00:03:29\"");
    return 0;
}

static int take_deadline(const json_t *v, drone_row *row, char *reterr)
{
    int64_t s = 0;
    int rv = take_integer(v, "deadline_after_s", &s, reterr);
    if (rv < 0)
        return rv;
    if (s < 1 || s > 366ll * 24 * 3600)
        return bad(reterr, "deadline_after_s: must be 1 s to 366 days");
    row->deadline_after_ms = s * 1000;
    return 0;
}

static int take_member(const char *key, json_t *v, drone_row *row, char *reterr)
{
    static const char *const kinds[] = { "fingerprint", "picture", "voice", "none", NULL };
    double *pickup[3] = { &row->pickup_latitude, &row->pickup_longitude, &row->pickup_altitude_m };
    double *dropoff[3] = { &row->dropoff_latitude, &row->dropoff_longitude,
                           &row->dropoff_altitude_m };

    if (strcmp(key, "requested_at") == 0)
        return take_time(v, row, reterr);
    if (strcmp(key, "pickup") == 0)
        return take_place(v, key, pickup, reterr);
    if (strcmp(key, "dropoff") == 0)
        return take_place(v, key, dropoff, reterr);
    if (strcmp(key, "deadline_after_s") == 0)
        return take_deadline(v, row, reterr);
    if (strcmp(key, "confirmation") == 0)
        return take_choice(v, key, kinds, &row->confirmation, reterr);
    if (strcmp(key, "package") == 0)
        return take_package(v, row, reterr);
    if (strcmp(key, "account_id") == 0)
        return take_string(v, key, row->account_id, sizeof(row->account_id), reterr);
    if (strcmp(key, "user_id") == 0)
        return take_string(v, key, row->user_id, sizeof(row->user_id), reterr);
    if (strcmp(key, "idempotency_key") == 0)
        return take_string(v, key, row->idempotency_key, sizeof(row->idempotency_key), reterr);
    if (strcmp(key, "expedited") == 0) {
        if (!json_is_boolean(v))
            return bad(reterr, "expedited: must be true or false");
        row->expedited = json_is_true(v);
        return 0;
    }
    return bad(reterr, "%.40s: unknown member", key);
}

int drone_jsonl_parse(const char *line, size_t len, drone_row *ret,
                      char reterr[DRONE_ROW_ERROR_SIZE])
{
    static const char *const needed[] = { "requested_at", "pickup", "dropoff" };
    json_error_t err;
    const char *key;
    json_t *v;
    int rv = 0;

    json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &err);
    if (!root)
        return bad(reterr, "not JSON: %.120s (column %d)", err.text, err.column);
    if (!json_is_object(root))
        rv = bad(reterr, "not a JSON object");
    for (size_t i = 0; rv == 0 && i < sizeof(needed) / sizeof(needed[0]); i++)
        if (!json_object_get(root, needed[i]))
            rv = bad(reterr, "%s: missing", needed[i]);
    if (rv == 0) {
        json_object_foreach(root, key, v)
        {
            rv = take_member(key, v, ret, reterr);
            if (rv < 0)
                break;
        }
    }
    json_decref(root);
    return rv < 0 ? rv : drone_row_check(ret, reterr);
}
