/* Scalar values from JSON: numbers that keep every bit, strings, bytes, enums, map keys.
 *
 * A number may be a JSON number or a string that holds one. 64-bit numbers are exact either way:
 * jansson keeps integers as 64-bit, and what it cannot keep (above 2^63 - 1) it refuses, so that
 * nothing passes through a double unless it was written with a point or an exponent. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tern/json.h"
#include "tools/tern/text.h"

cli_wire_type cli_wire_type_of(cli_type type)
{
    switch (type) {
    case CLI_TYPE_DOUBLE:
    case CLI_TYPE_FIXED64:
    case CLI_TYPE_SFIXED64:
        return CLI_WIRE_FIXED64;
    case CLI_TYPE_FLOAT:
    case CLI_TYPE_FIXED32:
    case CLI_TYPE_SFIXED32:
        return CLI_WIRE_FIXED32;
    case CLI_TYPE_STRING:
    case CLI_TYPE_BYTES:
    case CLI_TYPE_MESSAGE:
        return CLI_WIRE_BYTES;
    case CLI_TYPE_GROUP:
        return CLI_WIRE_GROUP;
    default:
        return CLI_WIRE_VARINT;
    }
}

static int wrong_kind(const cli_encoder *c, const json_t *v, const char *expected,
                      const cli_path *at)
{
    return cli_fail_at(c->error, at, "expected %s, got %s", expected, cli_json_kind(v));
}

static int out_of_range(const cli_encoder *c, const char *text, const char *type,
                        const cli_path *at)
{
    return cli_fail_at(c->error, at, "%.80s is not a whole number that fits %s", text, type);
}

static int get_i64(const cli_encoder *c, const json_t *v, const char *type, int64_t *ret,
                   const cli_path *at)
{
    char text[40];
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return 0;
    }
    if (json_is_string(v)) {
        return cli_parse_i64(json_string_value(v), json_string_length(v), ret) == 0
                   ? 0
                   : out_of_range(c, json_string_value(v), type, at);
    }
    if (!json_is_real(v)) {
        return wrong_kind(c, v, "a number", at);
    }
    double d = json_real_value(v);
    if (!(d >= -0x1p63 && d < 0x1p63) || d != (double)(int64_t)d) {
        (void)snprintf(text, sizeof(text), "%.17g", d);
        return out_of_range(c, text, type, at);
    }
    *ret = (int64_t)d;
    return 0;
}

static int get_u64(const cli_encoder *c, const json_t *v, const char *type, uint64_t *ret,
                   const cli_path *at)
{
    char text[40];
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        *ret = (uint64_t)json_integer_value(v);
        return 0;
    }
    if (json_is_integer(v)) {
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return out_of_range(c, text, type, at);
    }
    if (json_is_string(v)) {
        return cli_parse_u64(json_string_value(v), json_string_length(v), ret) == 0
                   ? 0
                   : out_of_range(c, json_string_value(v), type, at);
    }
    if (!json_is_real(v)) {
        return wrong_kind(c, v, "a number", at);
    }
    double d = json_real_value(v);
    if (!(d >= 0 && d < 0x1p64) || d != (double)(uint64_t)d) {
        (void)snprintf(text, sizeof(text), "%.17g", d);
        return out_of_range(c, text, type, at);
    }
    *ret = (uint64_t)d;
    return 0;
}

static int get_i32(const cli_encoder *c, const json_t *v, const char *type, int32_t *ret,
                   const cli_path *at)
{
    int64_t wide = 0;
    char text[40];
    if (get_i64(c, v, type, &wide, at) != 0) {
        return -1;
    }
    if (wide < INT32_MIN || wide > INT32_MAX) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)wide);
        return out_of_range(c, text, type, at);
    }
    *ret = (int32_t)wide;
    return 0;
}

static int get_u32(const cli_encoder *c, const json_t *v, const char *type, uint32_t *ret,
                   const cli_path *at)
{
    uint64_t wide = 0;
    char text[40];
    if (get_u64(c, v, type, &wide, at) != 0) {
        return -1;
    }
    if (wide > UINT32_MAX) {
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)wide);
        return out_of_range(c, text, type, at);
    }
    *ret = (uint32_t)wide;
    return 0;
}

static int get_double(const cli_encoder *c, const json_t *v, double *ret, const cli_path *at)
{
    if (json_is_number(v)) {
        *ret = json_number_value(v);
        return 0;
    }
    if (!json_is_string(v)) {
        return wrong_kind(c, v, "a number", at);
    }
    const char *text = json_string_value(v);
    if (strcmp(text, "NaN") == 0) {
        *ret = (double)NAN;
    } else if (strcmp(text, "Infinity") == 0) {
        *ret = (double)INFINITY;
    } else if (strcmp(text, "-Infinity") == 0) {
        *ret = -(double)INFINITY;
    } else if (cli_is_json_number(text, json_string_length(v))) {
        *ret = strtod(text, NULL);
        if (isinf(*ret)) {
            return cli_fail_at(c->error, at, "%.80s is too large for a double", text);
        }
    } else {
        return cli_fail_at(
            c->error, at,
            "expected a number, \"NaN\", \"Infinity\" or \"-Infinity\", got \"%.80s\"", text);
    }
    return 0;
}

static int encode_double(cli_encoder *c, const json_t *v, const cli_path *at)
{
    double d = 0;
    uint64_t bits;
    if (get_double(c, v, &d, at) != 0) {
        return -1;
    }
    memcpy(&bits, &d, sizeof(bits));
    cli_put_fixed64(c->out, bits);
    return 0;
}

static int encode_float(cli_encoder *c, const json_t *v, const cli_path *at)
{
    double d = 0;
    if (get_double(c, v, &d, at) != 0) {
        return -1;
    }
    float f = (float)d;
    if (isinf(f) && !isinf(d)) {
        return cli_fail_at(c->error, at, "%g is too large for a float", d);
    }
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    cli_put_fixed32(c->out, bits);
    return 0;
}

static int encode_string(cli_encoder *c, const json_t *v, const cli_path *at)
{
    if (!json_is_string(v)) {
        return wrong_kind(c, v, "a string", at);
    }
    cli_put_bytes(c->out, json_string_value(v), json_string_length(v));
    return 0;
}

static int encode_bytes(cli_encoder *c, const json_t *v, const cli_path *at)
{
    if (!json_is_string(v)) {
        return wrong_kind(c, v, "a string of base64", at);
    }
    size_t start = cli_put_begin(c->out);
    if (cli_base64_decode(c->out, json_string_value(v), json_string_length(v)) != 0) {
        return cli_fail_at(c->error, at, "expected base64, got \"%.80s\"", json_string_value(v));
    }
    cli_put_end(c->out, start);
    return 0;
}

static int unknown_enum_name(const cli_encoder *c, const cli_enum *en, const char *name,
                             const cli_path *at)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < en->proto->n_value; i++) {
        size_t d = cli_likeness(name, en->proto->value[i]->name);
        if (d < best_distance) {
            best = en->proto->value[i]->name;
            best_distance = d;
        }
    }
    if (best != NULL) {
        return cli_fail_at(c->error, at, "enum %s has no value \"%.80s\"; did you mean \"%s\"?",
                           en->full_name, name, best);
    }
    return cli_fail_at(c->error, at,
                       "enum %s has no value \"%.80s\"; `tern describe %s` lists them",
                       en->full_name, name, en->full_name);
}

static int encode_enum(cli_encoder *c, const cli_enum *en, const json_t *v, const cli_path *at)
{
    int32_t number = 0;
    if (json_is_null(v) && en->null_value) {
        number = 0;
    } else if (json_is_string(v)) {
        if (cli_enum_number(en, json_string_value(v), &number) != 0) {
            return unknown_enum_name(c, en, json_string_value(v), at);
        }
    } else if (!json_is_number(v)) {
        return wrong_kind(c, v, "the name or number of an enum value", at);
    } else if (get_i32(c, v, "an enum", &number, at) != 0) {
        return -1;
    } else if (en->closed && cli_enum_name(en, number) == NULL) {
        return cli_fail_at(c->error, at, "enum %s has no value with number %d", en->full_name,
                           number);
    }
    cli_put_varint(c->out, (uint64_t)(int64_t)number);
    return 0;
}

static int encode_signed(cli_encoder *c, cli_type type, const json_t *v, const cli_path *at)
{
    int32_t narrow = 0;
    int64_t wide = 0;
    bool is_wide = type == CLI_TYPE_INT64 || type == CLI_TYPE_SINT64 || type == CLI_TYPE_SFIXED64;
    if (is_wide ? get_i64(c, v, "64 bits", &wide, at) : get_i32(c, v, "32 bits", &narrow, at)) {
        return -1;
    }
    wide = is_wide ? wide : narrow;
    switch (type) {
    case CLI_TYPE_SINT32:
    case CLI_TYPE_SINT64:
        cli_put_varint(c->out, cli_zigzag(wide));
        break;
    case CLI_TYPE_SFIXED32:
        cli_put_fixed32(c->out, (uint32_t)narrow);
        break;
    case CLI_TYPE_SFIXED64:
        cli_put_fixed64(c->out, (uint64_t)wide);
        break;
    default:
        cli_put_varint(c->out, (uint64_t)wide);
        break;
    }
    return 0;
}

static int encode_unsigned(cli_encoder *c, cli_type type, const json_t *v, const cli_path *at)
{
    uint32_t narrow = 0;
    uint64_t wide = 0;
    bool is_wide = type == CLI_TYPE_UINT64 || type == CLI_TYPE_FIXED64;
    if (is_wide ? get_u64(c, v, "64 bits unsigned", &wide, at)
                : get_u32(c, v, "32 bits unsigned", &narrow, at)) {
        return -1;
    }
    if (type == CLI_TYPE_FIXED32) {
        cli_put_fixed32(c->out, narrow);
    } else if (type == CLI_TYPE_FIXED64) {
        cli_put_fixed64(c->out, wide);
    } else {
        cli_put_varint(c->out, is_wide ? wide : narrow);
    }
    return 0;
}

int cli_encode_scalar(cli_encoder *c, const cli_field *f, const json_t *v, const cli_path *at)
{
    switch (f->type) {
    case CLI_TYPE_DOUBLE:
        return encode_double(c, v, at);
    case CLI_TYPE_FLOAT:
        return encode_float(c, v, at);
    case CLI_TYPE_INT32:
    case CLI_TYPE_INT64:
    case CLI_TYPE_SINT32:
    case CLI_TYPE_SINT64:
    case CLI_TYPE_SFIXED32:
    case CLI_TYPE_SFIXED64:
        return encode_signed(c, f->type, v, at);
    case CLI_TYPE_UINT32:
    case CLI_TYPE_UINT64:
    case CLI_TYPE_FIXED32:
    case CLI_TYPE_FIXED64:
        return encode_unsigned(c, f->type, v, at);
    case CLI_TYPE_BOOL:
        if (!json_is_boolean(v)) {
            return wrong_kind(c, v, "true or false", at);
        }
        cli_put_varint(c->out, json_is_true(v) ? 1 : 0);
        return 0;
    case CLI_TYPE_STRING:
        return encode_string(c, v, at);
    case CLI_TYPE_BYTES:
        return encode_bytes(c, v, at);
    case CLI_TYPE_ENUM:
        return encode_enum(c, f->enumeration, v, at);
    case CLI_TYPE_MESSAGE:
    case CLI_TYPE_GROUP:
        break;
    }
    return cli_fail_at(c->error, at, "the field is a group, which this version does not support");
}

/* Keys are strings in JSON whatever their type, so booleans and numbers are read out of them. */
int cli_encode_map_key(cli_encoder *c, const cli_field *f, const cli_span *key, const cli_path *at)
{
    json_t *v;
    const char *text = (const char *)key->data;
    if (f->type == CLI_TYPE_BOOL) {
        bool is_true = key->len == 4 && memcmp(text, "true", 4) == 0;
        if (!is_true && !(key->len == 5 && memcmp(text, "false", 5) == 0)) {
            return cli_fail_at(c->error, at, "the keys of this map are \"true\" and \"false\"");
        }
        v = json_boolean(is_true);
    } else {
        v = json_stringn_nocheck(text, key->len);
    }
    if (v == NULL) {
        return cli_fail_memory(c->error);
    }
    int rc = cli_encode_scalar(c, f, v, at);
    json_decref(v);
    return rc;
}
