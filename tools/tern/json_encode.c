/* Messages from JSON: see json.h.
 *
 * The members of an object are first assigned to fields, in whatever order and spelling they come,
 * then written by field number. That finds misspelt, doubled and missing fields, and gives the same
 * bytes as other implementations give. */
#include "tools/tern/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tern/text.h"

/* A null sets nothing, but where null is a value. */
static bool null_is_value(const cli_field *f)
{
    return (f->type == CLI_TYPE_MESSAGE && f->message->wellknown == CLI_VALUE) ||
           (f->type == CLI_TYPE_ENUM && f->enumeration->null_value);
}

static int too_deep(const cli_encoder *c, const cli_path *at)
{
    return cli_fail_at(c->error, at, "messages are nested more than %u levels deep",
                       CLI_MESSAGE_DEPTH_MAX);
}

/* One value without its tag. */
static int encode_value(cli_encoder *c, const cli_field *f, const json_t *v, const cli_path *at)
{
    if (json_is_null(v) && !null_is_value(f)) {
        return cli_fail_at(c->error, at, "null cannot stand here");
    }
    if (f->type != CLI_TYPE_MESSAGE) {
        return cli_encode_scalar(c, f, v, at);
    }
    size_t start = cli_put_begin(c->out);
    if (cli_encode_message(c, f->message, v, at) != 0) {
        return -1;
    }
    cli_put_end(c->out, start);
    return 0;
}

static int encode_map(cli_encoder *c, const cli_field *f, const json_t *v, const cli_path *at)
{
    const cli_field *key_field = &f->message->fields[0];
    const cli_field *value_field = &f->message->fields[1];
    const char *key;
    size_t key_len;
    json_t *member;
    if (!json_is_object(v)) {
        return cli_fail_at(c->error, at, "expected an object (the field is a map), got %s",
                           cli_json_kind(v));
    }
    json_object_keylen_foreach((json_t *)(uintptr_t)v, key, key_len, member)
    {
        cli_path here = { .up = at, .step = CLI_STEP_KEY, .name = key };
        cli_span span = { (const uint8_t *)key, key_len };
        cli_put_tag(c->out, f->number, CLI_WIRE_BYTES);
        size_t start = cli_put_begin(c->out);
        cli_put_tag(c->out, 1, cli_wire_type_of(key_field->type));
        if (cli_encode_map_key(c, key_field, &span, &here) != 0) {
            return -1;
        }
        cli_put_tag(c->out, 2, cli_wire_type_of(value_field->type));
        if (encode_value(c, value_field, member, &here) != 0) {
            return -1;
        }
        cli_put_end(c->out, start);
    }
    return 0;
}

static int encode_repeated(cli_encoder *c, const cli_field *f, const json_t *v, const cli_path *at)
{
    if (!json_is_array(v)) {
        return cli_fail_at(c->error, at, "expected an array (the field is repeated), got %s",
                           cli_json_kind(v));
    }
    size_t n = json_array_size(v);
    size_t start = 0;
    if (n > 0 && f->packed) {
        cli_put_tag(c->out, f->number, CLI_WIRE_BYTES);
        start = cli_put_begin(c->out);
    }
    for (size_t i = 0; i < n; i++) {
        cli_path here = { .up = at, .step = CLI_STEP_INDEX, .index = i };
        if (!f->packed) {
            cli_put_tag(c->out, f->number, cli_wire_type_of(f->type));
        }
        if (encode_value(c, f, json_array_get(v, i), &here) != 0) {
            return -1;
        }
    }
    if (n > 0 && f->packed) {
        cli_put_end(c->out, start);
    }
    return 0;
}

int cli_encode_field(cli_encoder *c, const cli_field *f, const json_t *v, const cli_path *at)
{
    if (f->type == CLI_TYPE_GROUP) {
        return cli_fail_at(c->error, at,
                           "the field is a group, which this version does not support");
    }
    if (f->map || f->repeated) {
        /* Map entries are a level of messages of their own. */
        if (f->map && c->depth >= CLI_MESSAGE_DEPTH_MAX) {
            return too_deep(c, at);
        }
        c->depth += f->map ? 1 : 0;
        int rc = f->map ? encode_map(c, f, v, at) : encode_repeated(c, f, v, at);
        c->depth -= f->map ? 1 : 0;
        return rc;
    }
    size_t before = c->out->len;
    cli_put_tag(c->out, f->number, cli_wire_type_of(f->type));
    size_t start = c->out->len;
    if (encode_value(c, f, v, at) != 0) {
        return -1;
    }
    if (!f->presence && c->out->error == 0) {
        /* Without presence a default is not written. Every scalar default is all zero bytes (of a
         * string the length), and nothing but a default is. */
        size_t i = start;
        while (i < c->out->len && c->out->data[i] == 0) {
            i++;
        }
        c->out->len = i == c->out->len ? before : c->out->len;
    }
    return 0;
}

static int unknown_field(cli_encoder *c, const cli_message *m, const char *key, const cli_path *at)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    cli_path here = { .up = at, .step = CLI_STEP_FIELD, .name = key };
    if (key[0] == '[') {
        return cli_fail_at(c->error, &here, "extensions are not supported");
    }
    for (size_t i = 0; i < m->n_names; i++) {
        size_t d = cli_likeness(key, m->names[i].name);
        if (d < best_distance) {
            best = m->fields[m->names[i].field].json_name;
            best_distance = d;
        }
    }
    if (best != NULL) {
        return cli_fail_at(c->error, &here, "message %s has no such field; did you mean \"%s\"?",
                           m->full_name, best);
    }
    return cli_fail_at(c->error, &here,
                       "message %s has no such field; `tern describe %s` lists them", m->full_name,
                       m->full_name);
}

/* Assigns the members of an object to the fields they name: values[i] is borrowed, NULL: not
 * set. */
static int assign(cli_encoder *c, const cli_message *m, const json_t *v, const cli_path *at,
                  const json_t **values)
{
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
    {
        size_t i = cli_message_field_named(m, key);
        if (i == SIZE_MAX) {
            return unknown_field(c, m, key, at);
        }
        cli_path here = { .up = at, .step = CLI_STEP_FIELD, .name = key };
        const cli_field *f = &m->fields[i];
        if (values[i] != NULL) {
            return cli_fail_at(c->error, &here, "the field is given twice, as \"%s\" and as \"%s\"",
                               f->json_name, f->name);
        }
        if (json_is_null(member) && (f->repeated || !null_is_value(f))) {
            continue;
        }
        for (size_t k = 0; f->oneof >= 0 && k < m->n_fields; k++) {
            if (values[k] != NULL && m->fields[k].oneof == f->oneof) {
                return cli_fail_at(c->error, &here,
                                   "\"%s\" is set already; of oneof %s only one field may be",
                                   m->fields[k].json_name, m->proto->oneof_decl[f->oneof]->name);
            }
        }
        values[i] = member;
    }
    return 0;
}

int cli_encode_plain(cli_encoder *c, const cli_message *m, const json_t *v, const cli_path *at)
{
    if (!json_is_object(v)) {
        return cli_fail_at(c->error, at, "expected an object (message %s), got %s", m->full_name,
                           cli_json_kind(v));
    }
    const json_t **values = calloc(m->n_fields + 1, sizeof(const json_t *));
    if (values == NULL) {
        return cli_fail_memory(c->error);
    }
    int rc = assign(c, m, v, at, values);
    for (size_t i = 0; i < m->n_fields && rc == 0; i++) {
        const cli_field *f = &m->fields[i];
        cli_path here = { .up = at, .step = CLI_STEP_FIELD, .name = f->json_name };
        if (values[i] != NULL) {
            rc = cli_encode_field(c, f, values[i], &here);
        } else if (f->required) {
            rc = cli_fail_at(c->error, &here, "the field is required, but missing");
        }
    }
    free(values);
    return rc;
}

int cli_encode_message(cli_encoder *c, const cli_message *m, const json_t *v, const cli_path *at)
{
    if (c->depth >= CLI_MESSAGE_DEPTH_MAX) {
        return too_deep(c, at);
    }
    c->depth++;
    int rc = m->wellknown == CLI_PLAIN ? cli_encode_plain(c, m, v, at)
                                       : cli_encode_wellknown(c, m, v, at);
    c->depth--;
    return rc;
}

int cli_json_encode(const cli_schema *s, const cli_message *m, const json_t *value, cli_buf *out,
                    cli_error *e)
{
    cli_encoder c = { .schema = s, .out = out, .error = e };
    if (cli_encode_message(&c, m, value, NULL) != 0) {
        return -1;
    }
    if (out->error == -EFBIG) {
        return cli_fail(e, CLI_EXIT_USAGE, "the message is larger than %zu bytes", out->max);
    }
    return out->error != 0 ? cli_fail_memory(e) : 0;
}
