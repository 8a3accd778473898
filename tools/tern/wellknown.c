/* The types of google.protobuf whose JSON is not an object of their fields, in both directions.
 *
 * That a message has the fields which are touched here by index was checked when the schema was
 * loaded (cli_schema_mark_wellknown), so a file that declares another google.protobuf.Timestamp
 * does no harm. */
#include <stdlib.h>
#include <string.h>

#include "tools/tern/json.h"
#include "tools/tern/text.h"

enum { WELLKNOWN_FIELDS_MAX = 6, TYPE_NAME_MAX = 512 };

/* Fields of google.protobuf.Value, by index. */
enum { VALUE_NULL = 0, VALUE_NUMBER, VALUE_STRING, VALUE_BOOL, VALUE_STRUCT, VALUE_LIST };

static int expected(const cli_encoder *c, const cli_path *at, const char *what, const json_t *v)
{
    if (json_is_string(v)) {
        return cli_fail_at(c->error, at, "expected %s, got \"%.80s\"", what, json_string_value(v));
    }
    return cli_fail_at(c->error, at, "expected %s, got %s", what, cli_json_kind(v));
}

/* A text that is to be read whole must not hide something behind a NUL. */
static bool is_text(const json_t *v)
{
    return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
}

/* --- from JSON -------------------------------------------------------------------------------- */

static int encode_time(cli_encoder *c, const cli_message *m, const json_t *v, const cli_path *at)
{
    int64_t seconds = 0;
    int32_t nanos = 0;
    bool stamp = m->wellknown == CLI_TIMESTAMP;
    int rc = !is_text(v) ? -1
             : stamp     ? cli_timestamp_parse(json_string_value(v), &seconds, &nanos)
                         : cli_duration_parse(json_string_value(v), &seconds, &nanos);
    if (rc != 0) {
        return expected(c, at,
                        stamp ? "a time of the years 1 to 9999 such as \"2024-02-29T12:00:00Z\""
                              : "a duration up to 10,000 years such as \"1.5s\"",
                        v);
    }
    if (seconds != 0) {
        cli_put_tag(c->out, 1, CLI_WIRE_VARINT);
        cli_put_varint(c->out, (uint64_t)seconds);
    }
    if (nanos != 0) {
        cli_put_tag(c->out, 2, CLI_WIRE_VARINT);
        cli_put_varint(c->out, (uint64_t)(int64_t)nanos);
    }
    return 0;
}

static int encode_value(cli_encoder *c, const cli_message *m, const json_t *v, const cli_path *at)
{
    size_t i = VALUE_NULL;
    switch (json_typeof(v)) {
    case JSON_NULL:
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        i = VALUE_NUMBER;
        break;
    case JSON_STRING:
        i = VALUE_STRING;
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        i = VALUE_BOOL;
        break;
    case JSON_OBJECT:
        i = VALUE_STRUCT;
        break;
    case JSON_ARRAY:
        i = VALUE_LIST;
        break;
    }
    /* Built here and not through cli_encode_field(): null must be written. */
    const cli_field *f = &m->fields[i];
    cli_put_tag(c->out, f->number, cli_wire_type_of(f->type));
    if (i == VALUE_NULL) {
        cli_put_varint(c->out, 0);
        return 0;
    }
    if (i == VALUE_NUMBER) {
        double number = json_number_value(v);
        uint64_t bits;
        memcpy(&bits, &number, sizeof(bits));
        cli_put_fixed64(c->out, bits);
        return 0;
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

/* "userId,address.zipCode" -> "user_id", "address.zip_code" */
static int encode_field_mask(cli_encoder *c, const json_t *v, const cli_path *at)
{
    if (!is_text(v) || strchr(json_string_value(v), '_') != NULL) {
        return expected(c, at, "field paths in lowerCamelCase such as \"userId,name\"", v);
    }
    const char *p = json_string_value(v);
    while (*p != '\0') {
        size_t len = strcspn(p, ",");
        cli_put_tag(c->out, 1, CLI_WIRE_BYTES);
        size_t start = cli_put_begin(c->out);
        for (size_t i = 0; i < len; i++) {
            bool upper = p[i] >= 'A' && p[i] <= 'Z';
            char pair[2] = { '_', upper ? (char)(p[i] - 'A' + 'a') : p[i] };
            cli_buf_append(c->out, upper ? pair : pair + 1, upper ? 2 : 1);
        }
        cli_put_end(c->out, start);
        p += len;
        p += *p == ',' ? 1 : 0;
    }
    return 0;
}

static const cli_message *message_of_url(const cli_schema *s, const json_t *url)
{
    const char *slash = is_text(url) ? strrchr(json_string_value(url), '/') : NULL;
    return slash == NULL ? NULL : cli_schema_message(s, slash + 1);
}

/* The message inside of an Any, appended to c->out. */
static int encode_any_content(cli_encoder *c, const cli_message *m, const json_t *v,
                              const cli_path *at)
{
    if (m->wellknown != CLI_PLAIN) {
        const json_t *content = json_object_get(v, "value");
        cli_path here = { .up = at, .step = CLI_STEP_FIELD, .name = "value" };
        if (content == NULL || json_object_size(v) != 2) {
            return cli_fail_at(c->error, at, "an Any of %s has \"@type\" and \"value\", no more",
                               m->full_name);
        }
        return cli_encode_message(c, m, content, &here);
    }
    json_t *rest = json_copy((json_t *)(uintptr_t)v);
    if (rest == NULL) {
        return cli_fail_memory(c->error);
    }
    int rc = json_object_del(rest, "@type");
    rc = rc != 0 ? cli_fail_memory(c->error) : cli_encode_message(c, m, rest, at);
    json_decref(rest);
    return rc;
}

/* Our own form for a type that is not known: {"@type": URL, "@value": base64}. */
static int encode_any_raw(cli_encoder *c, const json_t *raw, const char *url, const cli_path *at)
{
    cli_path here = { .up = at, .step = CLI_STEP_FIELD, .name = raw == NULL ? "@type" : "@value" };
    if (raw == NULL) {
        return cli_fail_at(
            c->error, &here,
            "type \"%.200s\" is not in the files given; add the .proto that declares "
            "it, or give its bytes as base64 in \"@value\"",
            url);
    }
    if (!json_is_string(raw) ||
        cli_base64_decode(c->out, json_string_value(raw), json_string_length(raw)) != 0) {
        return expected(c, &here, "base64", raw);
    }
    return 0;
}

static int encode_any(cli_encoder *c, const json_t *v, const cli_path *at)
{
    if (!json_is_object(v)) {
        return expected(c, at, "an object with \"@type\"", v);
    }
    if (json_object_size(v) == 0) {
        return 0;
    }
    const json_t *url = json_object_get(v, "@type");
    if (url == NULL || !json_is_string(url)) {
        return cli_fail_at(c->error, at,
                           "an Any needs \"@type\", such as \"type.googleapis.com/pkg.Message\"");
    }
    cli_put_tag(c->out, 1, CLI_WIRE_BYTES);
    cli_put_bytes(c->out, json_string_value(url), json_string_length(url));
    size_t before = c->out->len;
    cli_put_tag(c->out, 2, CLI_WIRE_BYTES);
    size_t start = cli_put_begin(c->out);
    const cli_message *m = message_of_url(c->schema, url);
    const json_t *raw = json_object_get(v, "@value");
    int rc = m == NULL || (raw != NULL && json_object_size(v) == 2)
                 ? encode_any_raw(c, raw, json_string_value(url), at)
                 : encode_any_content(c, m, v, at);
    if (rc != 0) {
        return -1;
    }
    if (c->out->len == start) {
        c->out->len = before; /* empty bytes are the default */
    } else {
        cli_put_end(c->out, start);
    }
    return 0;
}

int cli_encode_wellknown(cli_encoder *c, const cli_message *m, const json_t *v, const cli_path *at)
{
    switch (m->wellknown) {
    case CLI_TIMESTAMP:
    case CLI_DURATION:
        return encode_time(c, m, v, at);
    case CLI_WRAPPER:
    case CLI_STRUCT:
    case CLI_LIST_VALUE:
        return cli_encode_field(c, &m->fields[0], v, at);
    case CLI_VALUE:
        return encode_value(c, m, v, at);
    case CLI_FIELD_MASK:
        return encode_field_mask(c, v, at);
    case CLI_ANY:
        return encode_any(c, v, at);
    case CLI_PLAIN:
        break;
    }
    return cli_encode_plain(c, m, v, at);
}

/* --- to JSON ---------------------------------------------------------------------------------- */

static json_t *fail_decode(const cli_decoder *d, const cli_path *at, const char *what)
{
    (void)cli_fail_at(d->error, at, "%s", what);
    return NULL;
}

static json_t *decode_time(cli_decoder *d, const cli_message *m, json_t **values,
                           const cli_path *at)
{
    /* An int64 is a string in JSON. */
    int64_t seconds = values[0] == NULL ? 0 : strtoll(json_string_value(values[0]), NULL, 10);
    int32_t nanos = values[1] == NULL ? 0 : (int32_t)json_integer_value(values[1]);
    char text[CLI_TIME_TEXT_MAX];
    int rc = m->wellknown == CLI_TIMESTAMP ? cli_timestamp_print(seconds, nanos, text)
                                           : cli_duration_print(seconds, nanos, text);
    if (rc != 0) {
        (void)cli_fail_at(d->error, at, "%lld seconds and %d nanoseconds are not a valid %s",
                          (long long)seconds, nanos, m->full_name);
        return NULL;
    }
    return cli_charge(d, json_string(text), at);
}

static json_t *decode_value(cli_decoder *d, json_t **values, const cli_path *at)
{
    for (size_t i = 0; i < WELLKNOWN_FIELDS_MAX; i++) {
        if (values[i] == NULL) {
            continue;
        }
        if (i == VALUE_NUMBER && json_is_string(values[i])) {
            return fail_decode(d, at,
                               "a google.protobuf.Value that is NaN or infinite has no JSON");
        }
        return json_incref(values[i]);
    }
    return cli_charge(d, json_null(), at); /* no kind set */
}

/* "address.zip_code" -> "address.zipCode"; -1: there is no way back from the JSON form. */
static int mask_path(cli_buf *out, const char *path, size_t len)
{
    bool upper = false;
    for (size_t i = 0; i < len; i++) {
        char ch = path[i];
        bool lower_letter = ch >= 'a' && ch <= 'z';
        if ((upper && !lower_letter) || (ch >= 'A' && ch <= 'Z') || ch == ',') {
            return -1;
        }
        if (ch == '_') {
            upper = true;
            continue;
        }
        ch = upper ? (char)(ch - 'a' + 'A') : ch;
        upper = false;
        cli_buf_append(out, &ch, 1);
    }
    return upper ? -1 : 0;
}

static json_t *decode_field_mask(cli_decoder *d, json_t **values, const cli_path *at)
{
    cli_buf text;
    json_t *result = NULL;
    int rc = 0;
    cli_buf_init(&text, CLI_MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < json_array_size(values[0]) && rc == 0; i++) {
        const json_t *path = json_array_get(values[0], i);
        cli_buf_append(&text, ",", i == 0 ? 0 : 1);
        rc = mask_path(&text, json_string_value(path), json_string_length(path));
    }
    if (rc != 0) {
        (void)fail_decode(d, at, "a path of this google.protobuf.FieldMask has no JSON form");
    } else if (text.error != 0) {
        (void)cli_fail_memory(d->error);
    } else {
        result = cli_charge(
            d, json_stringn_nocheck(text.data == NULL ? "" : (const char *)text.data, text.len),
            at);
    }
    cli_buf_deinit(&text);
    return result;
}

static int set_new(json_t *object, const char *key, json_t *value, cli_decoder *d)
{
    if (value == NULL) {
        return -1; /* its maker has set the error */
    }
    return json_object_set_new_nocheck(object, key, value) == 0 ? 0 : cli_fail_memory(d->error);
}

/* Puts "@type" in front of the members of `content`. */
static json_t *any_object(cli_decoder *d, json_t *url, json_t *content, const cli_path *at)
{
    const char *key;
    size_t key_len;
    json_t *member;
    json_t *object = cli_charge(d, json_object(), at);
    int rc = object == NULL ? -1 : set_new(object, "@type", json_incref(url), d);
    json_object_keylen_foreach(content, key, key_len, member)
    {
        if (rc == 0 && json_object_setn_nocheck(object, key, key_len, member) != 0) {
            rc = cli_fail_memory(d->error);
        }
    }
    if (rc != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* An object of one member, which it takes over. */
static json_t *wrap(cli_decoder *d, const char *key, json_t *value, const cli_path *at)
{
    json_t *object = value == NULL ? NULL : cli_charge(d, json_object(), at);
    if (object == NULL) {
        json_decref(value);
        return NULL;
    }
    if (set_new(object, key, value, d) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* The members that go beside "@type", as an object. */
static json_t *any_content(cli_decoder *d, const json_t *url, const json_t *base64,
                           const cli_path *at)
{
    cli_buf bytes;
    json_t *content = NULL;
    cli_path here = { .up = at, .step = CLI_STEP_FIELD, .name = "value" };
    const cli_message *m = message_of_url(d->schema, url);
    if (m == NULL) {
        return wrap(d, "@value", json_incref((json_t *)(uintptr_t)base64), at);
    }
    cli_buf_init(&bytes, CLI_MESSAGE_BYTES_MAX);
    /* Cannot fail but for memory: the text was made by us. */
    (void)cli_base64_decode(&bytes, json_string_value(base64), json_string_length(base64));
    cli_span span = { bytes.data, bytes.len };
    if (bytes.error != 0) {
        (void)cli_fail_memory(d->error);
    } else if (m->wellknown == CLI_PLAIN) {
        content = cli_decode_message(d, m, &span, at);
    } else {
        content = wrap(d, "value", cli_decode_message(d, m, &span, &here), at);
    }
    cli_buf_deinit(&bytes);
    return content;
}

static json_t *decode_any(cli_decoder *d, json_t **values, const cli_path *at)
{
    if (values[0] == NULL && values[1] == NULL) {
        return cli_charge(d, json_object(), at);
    }
    json_t *url = values[0] != NULL ? json_incref(values[0]) : cli_charge(d, json_string(""), at);
    json_t *base64 = values[1] != NULL ? json_incref(values[1])
                                       : cli_charge(d, json_string(""), at);
    json_t *content = NULL;
    json_t *result = NULL;
    if (url != NULL && base64 != NULL) {
        content = any_content(d, url, base64, at);
    }
    if (content != NULL) {
        result = any_object(d, url, content, at);
    }
    json_decref(content);
    json_decref(base64);
    json_decref(url);
    return result;
}

static json_t *from_values(cli_decoder *d, const cli_message *m, json_t **values,
                           const cli_path *at)
{
    switch (m->wellknown) {
    case CLI_TIMESTAMP:
    case CLI_DURATION:
        return decode_time(d, m, values, at);
    case CLI_WRAPPER:
        return values[0] != NULL ? json_incref(values[0]) : cli_default_value(d, &m->fields[0], at);
    case CLI_STRUCT:
        return values[0] != NULL ? json_incref(values[0]) : cli_charge(d, json_object(), at);
    case CLI_LIST_VALUE:
        return values[0] != NULL ? json_incref(values[0]) : cli_charge(d, json_array(), at);
    case CLI_VALUE:
        return decode_value(d, values, at);
    case CLI_FIELD_MASK:
        return decode_field_mask(d, values, at);
    case CLI_ANY:
    case CLI_PLAIN:
        break;
    }
    return decode_any(d, values, at);
}

json_t *cli_decode_wellknown(cli_decoder *d, const cli_message *m, const cli_span *bytes,
                             const cli_path *at)
{
    json_t *values[WELLKNOWN_FIELDS_MAX] = { NULL };
    json_t *result = NULL;
    if (cli_decode_fields(d, m, bytes, at, values) == 0) {
        result = from_values(d, m, values, at);
    }
    for (size_t i = 0; i < WELLKNOWN_FIELDS_MAX; i++) {
        json_decref(values[i]);
    }
    return result;
}
