/* Single values to JSON: numbers in the digits they need, 64-bit ones as strings, bytes as base64,
 * and what a field holds that is not set. The JSON mapping says how each looks. */
#include <stdlib.h>
#include <string.h>

#include "tools/tern/json.h"
#include "tools/tern/text.h"

json_t *cli_json_base64(const void *data, size_t len)
{
    cli_buf text;
    cli_buf_init(&text, SIZE_MAX / 2);
    cli_base64_encode(&text, data, len, true);
    json_t *value =
        text.error != 0
            ? NULL
            : json_stringn_nocheck(text.data == NULL ? "" : (const char *)text.data, text.len);
    cli_buf_deinit(&text);
    return value;
}

json_t *cli_json_double(double value)
{
    if (value != value) {
        return json_string("NaN");
    }
    if (value - value != 0) {
        return json_string(value > 0 ? "Infinity" : "-Infinity");
    }
    return json_real(value);
}

/* A float is shown with the digits a float needs: 0.1, not 0.10000000149011612. */
json_t *cli_json_float(float value)
{
    char text[40];
    for (int digits = 6; digits <= 9 && value - value == 0; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) {
            return json_real(strtod(text, NULL));
        }
    }
    return cli_json_double((double)value);
}

static json_t *json_of_i64(int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)value);
    return json_string(text);
}

static json_t *json_of_u64(uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return json_string(text);
}

static json_t *json_of_enum(const cli_field *f, int32_t number)
{
    const char *name = cli_enum_name(f->enumeration, number);
    if (f->enumeration->null_value) {
        return json_null();
    }
    return name != NULL ? json_string(name) : json_integer(number);
}

json_t *cli_json_varint(const cli_field *f, uint64_t v)
{
    switch (f->type) {
    case CLI_TYPE_INT64:
        return json_of_i64((int64_t)v);
    case CLI_TYPE_UINT64:
        return json_of_u64(v);
    case CLI_TYPE_SINT64:
        return json_of_i64(cli_unzigzag(v));
    case CLI_TYPE_UINT32:
        return json_integer((json_int_t)(uint32_t)v);
    case CLI_TYPE_SINT32:
        return json_integer((json_int_t)(int32_t)cli_unzigzag((uint32_t)v));
    case CLI_TYPE_BOOL:
        return json_boolean(v != 0);
    case CLI_TYPE_ENUM:
        return json_of_enum(f, (int32_t)(uint32_t)v);
    default:
        return json_integer((json_int_t)(int32_t)(uint32_t)v);
    }
}

json_t *cli_json_fixed(const cli_field *f, uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    double d;
    float s;
    switch (f->type) {
    case CLI_TYPE_DOUBLE:
        memcpy(&d, &bits, sizeof(d));
        return cli_json_double(d);
    case CLI_TYPE_FLOAT:
        memcpy(&s, &low, sizeof(s));
        return cli_json_float(s);
    case CLI_TYPE_FIXED32:
        return json_integer((json_int_t)low);
    case CLI_TYPE_SFIXED32:
        return json_integer((json_int_t)(int32_t)low);
    case CLI_TYPE_FIXED64:
        return json_of_u64(bits);
    default:
        return json_of_i64((int64_t)bits);
    }
}

/* --- default values --------------------------------------------------------------------------- */

/* The text of a bytes default is C-escaped by protoc. */
static json_t *default_bytes(const char *text)
{
    cli_buf out;
    cli_buf_init(&out, SIZE_MAX / 2);
    while (*text != '\0') {
        static const char letters[] = "abfnrtv";
        static const char values[] = "\a\b\f\n\r\t\v";
        uint8_t byte = (uint8_t)*text++;
        if (byte == '\\' && *text != '\0') {
            const char *letter = strchr(letters, *text);
            if (*text >= '0' && *text <= '7') {
                byte = 0;
                for (int i = 0; i < 3 && *text >= '0' && *text <= '7'; i++) {
                    byte = (uint8_t)(byte * 8 + (*text++ - '0'));
                }
            } else {
                byte = (uint8_t)(letter != NULL ? values[letter - letters] : *text);
                text++;
            }
        }
        cli_buf_append(&out, &byte, 1);
    }
    json_t *value = out.error != 0 ? NULL : cli_json_base64(out.data, out.len);
    cli_buf_deinit(&out);
    return value;
}

static json_t *default_of_text(const cli_field *f, const char *text)
{
    switch (f->type) {
    case CLI_TYPE_STRING:
    case CLI_TYPE_ENUM:
        return json_string(text);
    case CLI_TYPE_BYTES:
        return default_bytes(text);
    case CLI_TYPE_BOOL:
        return json_boolean(strcmp(text, "true") == 0);
    case CLI_TYPE_DOUBLE:
        return cli_json_double(strtod(text, NULL)); /* "inf", "-inf" and "nan" too */
    case CLI_TYPE_FLOAT:
        return cli_json_float(strtof(text, NULL));
    case CLI_TYPE_INT64:
    case CLI_TYPE_UINT64:
    case CLI_TYPE_SINT64:
    case CLI_TYPE_FIXED64:
    case CLI_TYPE_SFIXED64:
        return json_string(text);
    default:
        return json_integer((json_int_t)strtoll(text, NULL, 10));
    }
}

json_t *cli_default_value(cli_decoder *d, const cli_field *f, const cli_path *at)
{
    json_t *value;
    if (f->proto->default_value != NULL) {
        value = default_of_text(f, f->proto->default_value);
    } else if (f->type == CLI_TYPE_ENUM) {
        value = json_of_enum(f, f->enumeration->proto->value[0]->number);
    } else if (f->type == CLI_TYPE_STRING || f->type == CLI_TYPE_BYTES) {
        value = json_string("");
    } else if (cli_wire_type_of(f->type) == CLI_WIRE_VARINT) {
        value = cli_json_varint(f, 0);
    } else {
        value = cli_json_fixed(f, 0);
    }
    return cli_charge(d, value, at);
}
