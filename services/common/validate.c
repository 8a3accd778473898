/* See validate.h. Values that come back in a message are cut to what fits and shown only when
 * they are numbers or printable, so that a log line cannot be forged through them. */
#include "common/validate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/names.h"

#define FIELD_BYTES_MAX 128 /* of a field's path in a message */

static tern_code bad(drone_reply *reply, const char *field, const char *why)
{
    return drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "%s: %s", field, why);
}

/* "route.pickup" + "latitude" */
static const char *join(char path[FIELD_BYTES_MAX], const char *field, const char *member)
{
    snprintf(path, FIELD_BYTES_MAX, "%s.%s", field, member);
    return path;
}

/* Length in bytes of the valid UTF-8 sequence at `s`, 0 when there is none (RFC 3629: no overlong
 * forms, no surrogates, nothing above U+10FFFF). A NUL inside ends the comparison by itself. */
static size_t utf8_sequence(const unsigned char *s)
{
    static const struct {
        unsigned char lead_min, lead_max, second_min, second_max;
        size_t len;
    } forms[] = {
        { 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 }, { 0xE1, 0xEC, 0x80, 0xBF, 3 },
        { 0xED, 0xED, 0x80, 0x9F, 3 }, { 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
        { 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
    };
    if (s[0] < 0x80) {
        return 1;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (s[0] < forms[i].lead_min || s[0] > forms[i].lead_max) {
            continue;
        }
        if (s[1] < forms[i].second_min || s[1] > forms[i].second_max) {
            return 0;
        }
        for (size_t j = 2; j < forms[i].len; j++) {
            if (s[j] < 0x80 || s[j] > 0xBF) {
                return 0;
            }
        }
        return forms[i].len;
    }
    return 0;
}

/* Length in bytes of the printable character at `s`, 0 when there is none. */
static size_t printable(const unsigned char *s)
{
    size_t len = utf8_sequence(s);
    return *s < 0x20 || *s == 0x7F || (s[0] == 0xC2 && s[1] < 0xA0) ? 0 : len;
}

bool drone_text_is_printable(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s != '\0') {
        size_t len = printable(s);
        if (len == 0) {
            return false;
        }
        s += len;
    }
    return true;
}

void drone_text_clean(char *s)
{
    while (*s != '\0') {
        size_t len = printable((const unsigned char *)s);
        if (len == 0) {
            *s = '?';
        }
        s += len == 0 ? 1 : len;
    }
}

tern_code drone_check_id(drone_reply *reply, const char *field, const char *value)
{
    if (value == NULL || value[0] == '\0') {
        return bad(reply, field, "is empty");
    }
    size_t len = strnlen(value, DRONE_ID_BYTES_MAX + 1);
    if (len > DRONE_ID_BYTES_MAX) {
        return drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "%s: is longer than %d characters",
                                field, DRONE_ID_BYTES_MAX);
    }
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-";
    size_t good = strspn(value, allowed);
    if (good != len) {
        return drone_reply_fail(
            reply, TERN_INVALID_ARGUMENT,
            "%s: character %zu (byte 0x%02x) is not one of A-Z a-z 0-9 . _ : / -", field, good + 1,
            (unsigned)(unsigned char)value[good]);
    }
    return TERN_OK;
}

tern_code drone_check_id_or_empty(drone_reply *reply, const char *field, const char *value)
{
    if (value == NULL || value[0] == '\0') {
        return TERN_OK;
    }
    return drone_check_id(reply, field, value);
}

tern_code drone_check_text(drone_reply *reply, const char *field, const char *value,
                           size_t bytes_max)
{
    if (value == NULL) {
        return TERN_OK;
    }
    if (strnlen(value, bytes_max + 1) > bytes_max) {
        return drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "%s: is longer than %zu bytes", field,
                                bytes_max);
    }
    if (!drone_text_is_printable(value)) {
        return bad(reply, field, "is not printable UTF-8");
    }
    return TERN_OK;
}

tern_code drone_check_int(drone_reply *reply, const char *field, int64_t value, int64_t min,
                          int64_t max)
{
    if (value < min || value > max) {
        return drone_reply_fail(reply, TERN_INVALID_ARGUMENT,
                                "%s: %" PRId64 " is outside %" PRId64 "..%" PRId64, field, value,
                                min, max);
    }
    return TERN_OK;
}

static tern_code check_double(drone_reply *reply, const char *field, double value, double min,
                              double max)
{
    if (!(value >= min && value <= max)) { /* so that NaN is outside, too */
        return drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "%s: %.12g is outside %g..%g", field,
                                value, min, max);
    }
    return TERN_OK;
}

tern_code drone_check_enum(drone_reply *reply, const char *field, int value,
                           const ProtobufCEnumDescriptor *type)
{
    if (value == 0) {
        return bad(reply, field, "is not set");
    }
    if (protobuf_c_enum_descriptor_get_value(type, value) == NULL) {
        return drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "%s: %d is no %s", field, value,
                                type->short_name);
    }
    return TERN_OK;
}

tern_code drone_check_location(drone_reply *reply, const char *field,
                               const Drone__Common__V1__Location *value)
{
    char path[FIELD_BYTES_MAX];
    if (value == NULL) {
        return bad(reply, field, "is missing");
    }
    tern_code code = check_double(reply, join(path, field, "latitude"), value->latitude, -90, 90);
    if (code == TERN_OK) {
        code = check_double(reply, join(path, field, "longitude"), value->longitude, -180, 180);
    }
    if (code == TERN_OK) {
        code = check_double(reply, join(path, field, "altitude_m"), value->altitude_m,
                            DRONE_ALTITUDE_M_MIN, DRONE_ALTITUDE_M_MAX);
    }
    return code;
}

tern_code drone_check_package(drone_reply *reply, const char *field,
                              const Drone__Common__V1__Package *value)
{
    char path[FIELD_BYTES_MAX];
    if (value == NULL) {
        return bad(reply, field, "is missing");
    }
    tern_code code = drone_check_id(reply, join(path, field, "package_id"), value->package_id);
    if (code == TERN_OK) {
        code = drone_check_enum(reply, join(path, field, "size"), (int)value->size,
                                &drone__common__v1__package_size__descriptor);
    }
    if (code == TERN_OK) {
        code = drone_check_int(reply, join(path, field, "weight_g"), value->weight_g, 1,
                               DRONE_WEIGHT_G_MAX);
    }
    if (code == TERN_OK) {
        code = drone_check_text(reply, join(path, field, "tag"), value->tag, DRONE_TAG_BYTES_MAX);
    }
    return code;
}

tern_code drone_check_route(drone_reply *reply, const char *field,
                            const Drone__Common__V1__Route *value)
{
    char path[FIELD_BYTES_MAX];
    if (value == NULL) {
        return bad(reply, field, "is missing");
    }
    tern_code code = drone_check_location(reply, join(path, field, "pickup"), value->pickup);
    if (code == TERN_OK) {
        code = drone_check_location(reply, join(path, field, "dropoff"), value->dropoff);
    }
    if (code == TERN_OK) {
        code = drone_check_int(reply, join(path, field, "pickup_at_ms"), value->pickup_at_ms, 1,
                               DRONE_TIME_MS_MAX);
    }
    if (code == TERN_OK) {
        code = drone_check_int(reply, join(path, field, "deadline_ms"), value->deadline_ms, 1,
                               DRONE_TIME_MS_MAX);
    }
    if (code == TERN_OK && value->deadline_ms <= value->pickup_at_ms) {
        code = bad(reply, join(path, field, "deadline_ms"), "is not later than pickup_at_ms");
    }
    return code;
}

tern_code drone_check_owner(drone_reply *reply, const char *field,
                            const Drone__Common__V1__Owner *value)
{
    char path[FIELD_BYTES_MAX];
    if (value == NULL) {
        return bad(reply, field, "is missing");
    }
    tern_code code = drone_check_id(reply, join(path, field, "user_id"), value->user_id);
    if (code == TERN_OK) {
        code = drone_check_id(reply, join(path, field, "account_id"), value->account_id);
    }
    return code;
}

tern_code drone_check_change(drone_reply *reply, const char *field,
                             const Drone__Common__V1__Change *value)
{
    char path[FIELD_BYTES_MAX];
    if (value == NULL) {
        return bad(reply, field, "is missing");
    }
    tern_code code = drone_check_id(reply, join(path, field, "delivery_id"), value->delivery_id);
    if (code == TERN_OK) {
        code = drone_check_int(reply, join(path, field, "revision"), value->revision, 1,
                               DRONE_REVISION_MAX);
    }
    if (code == TERN_OK) {
        code = drone_check_id(reply, join(path, field, "idempotency_key"), value->idempotency_key);
    }
    return code;
}

tern_code drone_check_page_size(drone_reply *reply, const char *field, int32_t value)
{
    return drone_check_int(reply, field, value, 0, DRONE_PAGE_SIZE_MAX);
}
