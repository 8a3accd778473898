/* protobuf-c's own options are extensions of the standard options. The descriptors that this
 * program is built with do not know them, so they arrive as unknown fields and are decoded here by
 * hand: a handful of booleans and two strings do not justify another generated file. */
#include "codegen/options.h"

#include <stdint.h>
#include <string.h>

#define PB_C_EXTENSION 1019 /* (pb_c_file), (pb_c_msg) and (pb_c_field) share the number */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

/* --- the plugin's parameter ------------------------------------------------------------------- */

static const char known[] = "known options: messages=yes|no (write .pb-c.h and .pb-c.c), "
                            "reflection=yes|no (embed descriptors for server reflection), "
                            "prefix=NAME (put before the names of stubs)";

static const char *read_switch(cg_arena *a, const char *name, const char *value, bool *ret)
{
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        return cg_printf(a, "option %s is \"%s\": it must be yes or no", name, value);
    *ret = strcmp(value, "yes") == 0;
    return NULL;
}

static const char *read_prefix(cg_arena *a, const char *value, cg_params *ret)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char later[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

    if (!*value || strspn(value, first) == 0 || value[strspn(value, later)] != '\0')
        return cg_printf(a,
                         "option prefix is \"%s\": it must be the beginning of a C name, such as "
                         "prefix=acme_",
                         value);
    ret->prefix = cg_strdup(a, value);
    return NULL;
}

const char *cg_params_read(cg_arena *a, const char *text, cg_params *ret)
{
    ret->messages = true;
    ret->reflection = true;
    ret->prefix = "";
    while (text && *text) {
        size_t len = strcspn(text, ",");
        const char *option = cg_strndup(a, text, len);
        size_t key_len = strcspn(option, "=");
        const char *value = option[key_len] ? option + key_len + 1 : "";
        const char *problem = NULL;

        if (key_len == 8 && memcmp(option, "messages", 8) == 0)
            problem = read_switch(a, "messages", value, &ret->messages);
        else if (key_len == 10 && memcmp(option, "reflection", 10) == 0)
            problem = read_switch(a, "reflection", value, &ret->reflection);
        else if (key_len == 6 && memcmp(option, "prefix", 6) == 0)
            problem = read_prefix(a, value, ret);
        else if (len > 0)
            problem = cg_printf(a, "unknown option \"%s\"; %s", option, known);
        if (problem)
            return problem;
        text += len;
        text += *text == ',';
    }
    return NULL;
}

/* --- protobuf-c's options --------------------------------------------------------------------- */

typedef struct wire_reader {
    const uint8_t *p;
    const uint8_t *end;
} wire_reader;

/* One field off the wire: the number, and its value as an integer or as bytes. */
typedef struct wire_field {
    uint64_t number;
    uint64_t value;
    const char *bytes; /* NULL: not length-delimited */
    size_t len;
} wire_field;

static int read_varint(wire_reader *r, uint64_t *ret)
{
    uint64_t value = 0;
    unsigned shift;

    for (shift = 0; shift < 64 && r->p < r->end; shift += 7) {
        uint8_t byte = *r->p++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return 0;
        }
    }
    return -1;
}

static int read_bytes(wire_reader *r, uint64_t len, wire_field *ret)
{
    if (len > (uint64_t)(r->end - r->p))
        return -1;
    ret->bytes = (const char *)r->p;
    ret->len = (size_t)len;
    r->p += len;
    return 0;
}

static int read_field(wire_reader *r, wire_field *ret)
{
    uint64_t key = 0, len = 0;

    memset(ret, 0, sizeof(*ret));
    if (read_varint(r, &key) < 0)
        return -1;
    ret->number = key >> 3;
    switch (key & 7) {
    case WIRE_VARINT:
        return read_varint(r, &ret->value);
    case WIRE_LENGTH:
        return read_varint(r, &len) < 0 ? -1 : read_bytes(r, len, ret);
    case WIRE_FIXED64:
        return read_bytes(r, 8, ret);
    case WIRE_FIXED32:
        return read_bytes(r, 4, ret);
    default:
        return -1;
    }
}

typedef void (*take_field)(cg_arena *a, const wire_field *f, void *ret);

static int read_extension(cg_arena *a, const ProtobufCMessage *options, take_field take, void *ret)
{
    size_t i;

    for (i = 0; options && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *u = &options->unknown_fields[i];
        wire_reader r = { u->data, u->data + u->len };
        uint64_t len = 0;

        if (u->tag != PB_C_EXTENSION)
            continue;
        /* protobuf-c keeps the length prefix of an unknown field. */
        if (u->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED || read_varint(&r, &len) < 0 ||
            len != (uint64_t)(r.end - r.p))
            return -1;
        while (r.p < r.end) {
            wire_field f;

            if (read_field(&r, &f) < 0)
                return -1;
            take(a, &f, ret);
        }
    }
    return 0;
}

static void take_file_field(cg_arena *a, const wire_field *f, void *ret)
{
    cg_file_options *o = ret;
    bool on = f->value != 0;

    switch (f->number) {
    case 1:
        o->no_generate = on;
        break;
    case 2:
        o->has_gen_pack_helpers = true;
        o->gen_pack_helpers = on;
        break;
    case 3:
        o->gen_init_helpers = on;
        break;
    case 4:
        o->const_strings = on;
        break;
    case 5:
        o->use_oneof_field_name = on;
        break;
    case 6:
        if (f->bytes)
            o->c_package = cg_strndup(a, f->bytes, f->len);
        break;
    }
}

static void take_message_field(cg_arena *a, const wire_field *f, void *ret)
{
    cg_message_options *o = ret;

    switch (f->number) {
    case 1:
        o->has_gen_pack_helpers = true;
        o->gen_pack_helpers = f->value != 0;
        break;
    case 2:
        o->has_gen_init_helpers = true;
        o->gen_init_helpers = f->value != 0;
        break;
    case 3:
        if (f->bytes)
            o->base_field_name = cg_strndup(a, f->bytes, f->len);
        break;
    }
}

static void take_field_field(cg_arena *a, const wire_field *f, void *ret)
{
    (void)a;
    if (f->number == 1)
        *(bool *)ret = f->value != 0;
}

int cg_file_options_read(cg_arena *a, const ProtobufCMessage *options, cg_file_options *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->gen_pack_helpers = true;
    ret->gen_init_helpers = true;
    return read_extension(a, options, take_file_field, ret);
}

int cg_message_options_read(cg_arena *a, const ProtobufCMessage *options, cg_message_options *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->gen_init_helpers = true;
    ret->base_field_name = "base";
    return read_extension(a, options, take_message_field, ret);
}

int cg_field_options_read(cg_arena *a, const ProtobufCMessage *options, bool *ret_string_as_bytes)
{
    *ret_string_as_bytes = false;
    return read_extension(a, options, take_field_field, ret_string_as_bytes);
}
