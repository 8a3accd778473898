/* Messages to JSON: see json.h.
 *
 * One pass over the bytes fills a slot per field: repeated fields grow an array as they come, of
 * scalars the last one counts, and a nested message that comes in several pieces is put together
 * from its bytes, which is what merging means on the wire. Nested messages are decoded at the end,
 * when all their pieces are there. */
#include "tools/tern/json.h"

#include <stdlib.h>
#include <string.h>

#include "tools/tern/text.h"

/* What a field holds while its message is being read. */
typedef struct slot {
    json_t *value;
    cli_span pieces; /* of a singular message; into `joined` once there is more than one */
    bool has_pieces;
    cli_buf joined;
} slot;

typedef struct reading {
    cli_decoder *d;
    const cli_message *m;
    const cli_path *at;
    cli_reader r;
    slot *slots;      /* one for each field */
    size_t *in_oneof; /* for each oneof: index of the field that is set, or SIZE_MAX */
} reading;

json_t *cli_charge(cli_decoder *d, json_t *value, const cli_path *at)
{
    if (value == NULL) {
        (void)cli_fail_memory(d->error);
        return NULL;
    }
    d->units += json_is_object(value) || json_is_array(value) ? CLI_JSON_OBJECT_UNITS : 1;
    if (d->units > CLI_JSON_UNITS_MAX) {
        (void)cli_fail_at(d->error, at, "the message unfolds to more than %u values",
                          CLI_JSON_UNITS_MAX);
        json_decref(value);
        return NULL;
    }
    return value;
}

static int bad_wire(const cli_decoder *d, const cli_path *at, cli_wire_fault fault)
{
    return cli_fail_at(d->error, at, "%s", cli_wire_reason(fault));
}

/* --- scalars ---------------------------------------------------------------------------------- */

static json_t *json_of_text(cli_decoder *d, const cli_span *span, const cli_path *at)
{
    size_t good = cli_utf8_check(span->data, span->len);
    if (good != span->len) {
        (void)cli_fail_at(d->error, at, "the string is not UTF-8: byte 0x%02x at offset %zu",
                          span->data[good], good);
        return NULL;
    }
    return cli_charge(d, json_stringn_nocheck((const char *)span->data, span->len), at);
}

/* Reads one value of a scalar field in the wire type that the field has. A number that a closed
 * enum does not know gives *ret = NULL and success: it counts as an unknown field. */
static int read_scalar(cli_decoder *d, cli_reader *r, const cli_field *f, const cli_path *at,
                       json_t **ret)
{
    uint64_t u64 = 0;
    uint32_t u32 = 0;
    cli_span span = { (const uint8_t *)"", 0 };
    cli_wire_type type = cli_wire_type_of(f->type);
    cli_wire_fault fault = type == CLI_WIRE_VARINT    ? cli_get_varint(r, &u64)
                           : type == CLI_WIRE_FIXED64 ? cli_get_fixed64(r, &u64)
                           : type == CLI_WIRE_FIXED32 ? cli_get_fixed32(r, &u32)
                                                      : cli_get_bytes(r, &span);
    if (fault != CLI_WIRE_OK) {
        return bad_wire(d, at, fault);
    }
    if (f->type == CLI_TYPE_ENUM && f->enumeration->closed &&
        cli_enum_name(f->enumeration, (int32_t)(uint32_t)u64) == NULL) {
        *ret = NULL;
        return 0;
    }
    if (f->type == CLI_TYPE_STRING) {
        *ret = json_of_text(d, &span, at);
    } else if (f->type == CLI_TYPE_BYTES) {
        *ret = cli_charge(d, cli_json_base64(span.data, span.len), at);
    } else if (type == CLI_WIRE_VARINT) {
        *ret = cli_charge(d, cli_json_varint(f, u64), at);
    } else {
        *ret = cli_charge(d, cli_json_fixed(f, type == CLI_WIRE_FIXED64 ? u64 : u32), at);
    }
    return *ret == NULL ? -1 : 0;
}

/* --- fields ----------------------------------------------------------------------------------- */

static void slot_clear(slot *s)
{
    json_decref(s->value);
    cli_buf_deinit(&s->joined);
    memset(s, 0, sizeof(*s));
}

/* Of a oneof the last field counts: setting one clears the other. */
static void choose(reading *g, size_t i)
{
    int32_t oneof = g->m->fields[i].oneof;
    if (oneof >= 0) {
        size_t before = g->in_oneof[oneof];
        if (before != SIZE_MAX && before != i) {
            slot_clear(&g->slots[before]);
        }
        g->in_oneof[oneof] = i;
    }
}

static int add_piece(reading *g, slot *s, const cli_span *piece)
{
    if (!s->has_pieces) {
        s->has_pieces = true;
        s->pieces = *piece;
        return 0;
    }
    if (s->joined.max == 0) {
        cli_buf_init(&s->joined, CLI_MESSAGE_BYTES_MAX);
        cli_buf_append(&s->joined, s->pieces.data, s->pieces.len);
    }
    cli_buf_append(&s->joined, piece->data, piece->len);
    if (s->joined.error != 0) {
        return cli_fail_memory(g->d->error);
    }
    s->pieces = (cli_span){ s->joined.data, s->joined.len };
    return 0;
}

static int append(reading *g, slot *s, json_t *value, const cli_path *at)
{
    if (s->value == NULL) {
        s->value = cli_charge(g->d, json_array(), at);
        if (s->value == NULL) {
            json_decref(value);
            return -1;
        }
    }
    return json_array_append_new(s->value, value) == 0 ? 0 : cli_fail_memory(g->d->error);
}

/* Puts one decoded value, or what is unknown as NULL, where field i keeps its values. */
static int keep(reading *g, size_t i, json_t *value, const cli_path *at)
{
    slot *s = &g->slots[i];
    if (value == NULL) {
        g->d->unknown++;
        return 0;
    }
    if (g->m->fields[i].repeated) {
        return append(g, s, value, at);
    }
    choose(g, i);
    json_decref(s->value);
    s->value = value;
    return 0;
}

static int read_packed(reading *g, size_t i, const cli_path *at)
{
    cli_span span;
    cli_wire_fault fault = cli_get_bytes(&g->r, &span);
    if (fault != CLI_WIRE_OK) {
        return bad_wire(g->d, at, fault);
    }
    cli_reader r = { span.data, span.data + span.len };
    while (r.p < r.end) {
        json_t *value = NULL;
        if (read_scalar(g->d, &r, &g->m->fields[i], at, &value) != 0 ||
            keep(g, i, value, at) != 0) {
            return -1;
        }
    }
    return 0;
}

/* What stands for a value that a map entry leaves out. */
static json_t *missing_value(reading *g, const cli_field *f, const cli_path *at)
{
    cli_span nothing = { NULL, 0 };
    return f->type == CLI_TYPE_MESSAGE ? cli_decode_message(g->d, f->message, &nothing, at)
                                       : cli_default_value(g->d, f, at);
}

/* Adds a pair to the object of a map; the key is text in JSON whatever its type. */
static int set_pair(reading *g, slot *s, json_t *key, json_t *value)
{
    char number[24];
    if (json_is_string(key)) {
        int rc = json_object_setn_nocheck(s->value, json_string_value(key), json_string_length(key),
                                          value);
        return rc == 0 ? 0 : cli_fail_memory(g->d->error);
    }
    (void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(key));
    const char *text = json_is_true(key) ? "true" : json_is_false(key) ? "false" : number;
    return json_object_set_nocheck(s->value, text, value) == 0 ? 0 : cli_fail_memory(g->d->error);
}

/* A map entry is a message of a key and a value; either may be missing and then is its default. */
static int read_map_entry(reading *g, size_t i, const cli_span *bytes, const cli_path *at)
{
    const cli_message *entry = g->m->fields[i].message;
    const cli_field *value_field = &entry->fields[1];
    json_t *pair[2] = { NULL, NULL };
    slot *s = &g->slots[i];
    size_t unknown = g->d->unknown;
    if (s->value == NULL) {
        s->value = cli_charge(g->d, json_object(), at);
    }
    int rc = s->value == NULL ? -1 : cli_decode_fields(g->d, entry, bytes, at, pair);
    /* An unknown number of a closed enum makes the whole entry unknown. */
    bool drop = pair[1] == NULL && value_field->type == CLI_TYPE_ENUM &&
                value_field->enumeration->closed && g->d->unknown > unknown;
    if (rc == 0 && !drop) {
        pair[0] = pair[0] != NULL ? pair[0] : cli_default_value(g->d, &entry->fields[0], at);
        pair[1] = pair[1] != NULL ? pair[1] : missing_value(g, value_field, at);
        rc = pair[0] == NULL || pair[1] == NULL ? -1 : set_pair(g, s, pair[0], pair[1]);
    }
    json_decref(pair[0]);
    json_decref(pair[1]);
    return rc;
}

static int read_message(reading *g, size_t i, const cli_path *at)
{
    const cli_field *f = &g->m->fields[i];
    cli_span bytes;
    cli_wire_fault fault = cli_get_bytes(&g->r, &bytes);
    if (fault != CLI_WIRE_OK) {
        return bad_wire(g->d, at, fault);
    }
    if (f->map) {
        return read_map_entry(g, i, &bytes, at);
    }
    if (!f->repeated) {
        choose(g, i);
        return add_piece(g, &g->slots[i], &bytes);
    }
    cli_path here = { .up = at,
                      .step = CLI_STEP_INDEX,
                      .index = json_array_size(g->slots[i].value) };
    json_t *value = cli_decode_message(g->d, f->message, &bytes, &here);
    return value == NULL ? -1 : append(g, &g->slots[i], value, at);
}

static const char *wire_type_name(cli_wire_type type)
{
    static const char *const names[] = { "a varint", "8 bytes",       "a length and bytes",
                                         "a group",  "a group's end", "4 bytes" };
    return names[type];
}

static int read_field(reading *g, size_t i, cli_wire_type type)
{
    const cli_field *f = &g->m->fields[i];
    cli_path here = { .up = g->at, .step = CLI_STEP_FIELD, .name = f->json_name };
    cli_wire_type wanted = cli_wire_type_of(f->type);
    if (f->type == CLI_TYPE_GROUP) {
        return cli_fail_at(g->d->error, &here,
                           "the field is a group, which this version does not support");
    }
    if (f->repeated && type == CLI_WIRE_BYTES && wanted != CLI_WIRE_BYTES) {
        return read_packed(g, i, &here);
    }
    if (type != wanted) {
        return cli_fail_at(g->d->error, &here,
                           "field %u of %s has the wrong wire type: expected %s, got %s; was the "
                           "message made with another version of the .proto?",
                           f->number, g->m->full_name, wire_type_name(wanted),
                           wire_type_name(type));
    }
    if (f->type == CLI_TYPE_MESSAGE) {
        return read_message(g, i, &here);
    }
    json_t *value = NULL;
    if (read_scalar(g->d, &g->r, f, &here, &value) != 0) {
        return -1;
    }
    return keep(g, i, value, &here);
}

static int read_fields(reading *g)
{
    size_t hint = 0;
    while (g->r.p < g->r.end) {
        uint32_t number;
        cli_wire_type type;
        cli_wire_fault fault = cli_get_tag(&g->r, &number, &type);
        if (fault != CLI_WIRE_OK) {
            return bad_wire(g->d, g->at, fault);
        }
        const cli_field *f = cli_message_field(g->m, number, &hint);
        if (f == NULL) {
            g->d->unknown++;
            fault = cli_skip(&g->r, number, type);
            if (fault != CLI_WIRE_OK) {
                return bad_wire(g->d, g->at, fault);
            }
        } else if (read_field(g, (size_t)(f - g->m->fields), type) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Decodes the nested messages whose pieces were collected, and hands all values over. */
static int finish_fields(reading *g, json_t **values)
{
    for (size_t i = 0; i < g->m->n_fields; i++) {
        const cli_field *f = &g->m->fields[i];
        slot *s = &g->slots[i];
        cli_path here = { .up = g->at, .step = CLI_STEP_FIELD, .name = f->json_name };
        if (s->has_pieces) {
            s->value = cli_decode_message(g->d, f->message, &s->pieces, &here);
            if (s->value == NULL) {
                return -1;
            }
        }
        if (s->value == NULL && f->required) {
            return cli_fail_at(g->d->error, &here, "the field is required, but missing");
        }
        values[i] = s->value;
        s->value = NULL;
    }
    return 0;
}

static int decode_fields(reading *g, json_t **values)
{
    for (size_t i = 0; i < g->m->n_oneofs; i++) {
        g->in_oneof[i] = SIZE_MAX;
    }
    int rc = read_fields(g);
    if (rc == 0) {
        rc = finish_fields(g, values);
    }
    for (size_t i = 0; i < g->m->n_fields; i++) {
        slot_clear(&g->slots[i]);
    }
    return rc;
}

int cli_decode_fields(cli_decoder *d, const cli_message *m, const cli_span *bytes,
                      const cli_path *at, json_t **values)
{
    if (d->depth >= CLI_MESSAGE_DEPTH_MAX) {
        return cli_fail_at(d->error, at, "messages are nested more than %u levels deep",
                           CLI_MESSAGE_DEPTH_MAX);
    }
    const uint8_t *data = bytes->len == 0 ? (const uint8_t *)"" : bytes->data;
    reading g = { .d = d, .m = m, .at = at, .r = { data, data + bytes->len } };
    g.slots = calloc(m->n_fields + 1, sizeof(*g.slots));
    g.in_oneof = calloc(m->n_oneofs + 1, sizeof(*g.in_oneof));
    d->depth++;
    int rc = g.slots == NULL || g.in_oneof == NULL ? cli_fail_memory(d->error)
                                                   : decode_fields(&g, values);
    d->depth--;
    free(g.slots);
    free(g.in_oneof);
    return rc;
}

/* --- messages --------------------------------------------------------------------------------- */

/* What an unset field shows as: nothing, but with emit_defaults for what has no presence. */
static int unset_value(cli_decoder *d, const cli_field *f, const cli_path *at, json_t **ret)
{
    *ret = NULL;
    if (!d->style->emit_defaults || f->type == CLI_TYPE_GROUP || f->oneof >= 0 ||
        f->optional_keyword || (f->type == CLI_TYPE_MESSAGE && !f->repeated)) {
        return 0;
    }
    if (f->map) {
        *ret = cli_charge(d, json_object(), at);
    } else if (f->repeated) {
        *ret = cli_charge(d, json_array(), at);
    } else {
        *ret = cli_default_value(d, f, at);
    }
    return *ret == NULL ? -1 : 0;
}

static json_t *object_of(cli_decoder *d, const cli_message *m, json_t **values, const cli_path *at)
{
    json_t *object = cli_charge(d, json_object(), at);
    if (object == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < m->n_fields; i++) {
        const cli_field *f = &m->fields[i];
        json_t *value = json_incref(values[i]);
        if (value == NULL && unset_value(d, f, at, &value) != 0) {
            json_decref(object);
            return NULL;
        }
        if (value != NULL &&
            json_object_set_new_nocheck(object, d->style->original_names ? f->name : f->json_name,
                                        value) != 0) {
            (void)cli_fail_memory(d->error);
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *cli_decode_message(cli_decoder *d, const cli_message *m, const cli_span *bytes,
                           const cli_path *at)
{
    if (m->wellknown != CLI_PLAIN) {
        return cli_decode_wellknown(d, m, bytes, at);
    }
    json_t **values = calloc(m->n_fields + 1, sizeof(*values));
    if (values == NULL) {
        (void)cli_fail_memory(d->error);
        return NULL;
    }
    json_t *object = NULL;
    if (cli_decode_fields(d, m, bytes, at, values) == 0) {
        object = object_of(d, m, values, at);
    }
    for (size_t i = 0; i < m->n_fields; i++) {
        json_decref(values[i]);
    }
    free(values);
    return object;
}

int cli_json_decode(const cli_schema *s, const cli_message *m, const cli_span *bytes,
                    const cli_json_style *style, json_t **ret, size_t *ret_unknown, cli_error *e)
{
    cli_decoder d = { .schema = s, .style = style, .error = e };
    json_t *value = cli_decode_message(&d, m, bytes, NULL);
    if (value == NULL) {
        return -1;
    }
    *ret = value;
    *ret_unknown = d.unknown;
    return 0;
}
