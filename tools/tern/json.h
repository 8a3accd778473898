/* Between JSON and serialized messages, by descriptors, without generated code: the proto3 JSON
 * mapping (https://protobuf.dev/programming-guides/json), for proto2 messages too.
 *
 * json_encode.c and json_scalar.c turn JSON into bytes, json_decode.c bytes into JSON; wellknown.c
 * holds both directions of the types whose JSON is special; json_text.c reads and prints text. */
#ifndef TERN_TOOLS_JSON_H
#define TERN_TOOLS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "tools/tern/schema.h"
#include "tools/tern/wire.h"

/* How a message is shown as JSON. */
typedef struct cli_json_style {
    bool emit_defaults;  /* fields without presence too when they hold their default */
    bool original_names; /* names of the .proto instead of lowerCamelCase */
    bool compact;        /* one line */
} cli_json_style;

/* --- whole messages --------------------------------------------------------------------------- */

/* Reads JSON text. `what` names it in messages ("-d"). *ret is owned by the caller. */
int cli_json_parse(const cli_span *text, const char *what, json_t **ret, cli_error *e);

/* Appends the JSON text of `value` to `out`, without a newline at the end. */
void cli_json_print(cli_buf *out, const json_t *value, bool compact);

/* Appends the bytes of message `m` given as JSON to `out`. Fails with CLI_EXIT_USAGE and the place:
 * "delivery.pickup.latitude: expected a number, got a string". */
int cli_json_encode(const cli_schema *s, const cli_message *m, const json_t *value, cli_buf *out,
                    cli_error *e);

/* Turns serialized bytes into JSON, *ret is owned by the caller. *ret_unknown counts the fields
 * that the schema does not know; they are left out. */
int cli_json_decode(const cli_schema *s, const cli_message *m, const cli_span *bytes,
                    const cli_json_style *style, json_t **ret, size_t *ret_unknown, cli_error *e);

/* --- between the files of the mapping --------------------------------------------------------- */

/* A place in a message: the steps from its top, each on the stack of the function that took it. */
typedef enum cli_step { CLI_STEP_FIELD, CLI_STEP_INDEX, CLI_STEP_KEY } cli_step;

typedef struct cli_path {
    const struct cli_path *up; /* NULL: the top */
    cli_step step;
    const char *name; /* of a field, or a map key */
    size_t index;
} cli_path;

/* Fails with "PLACE: text" (only the text at the top). */
int cli_fail_at(cli_error *e, const cli_path *at, const char *fmt, ...) TERN_PRINTF(3, 4);

/* "a string", "a number", "an object", "null" … for messages. */
const char *cli_json_kind(const json_t *value);

typedef struct cli_encoder {
    const cli_schema *schema;
    cli_buf *out;
    cli_error *error;
    unsigned depth;
} cli_encoder;

/* Each appends to c->out. The message without tag and length. */
int cli_encode_message(cli_encoder *c, const cli_message *m, const json_t *v, const cli_path *at);
int cli_encode_plain(cli_encoder *c, const cli_message *m, const json_t *v, const cli_path *at);
int cli_encode_wellknown(cli_encoder *c, const cli_message *m, const json_t *v, const cli_path *at);
/* A field with its tag, whatever its label; a default that need not be written is not. */
int cli_encode_field(cli_encoder *c, const cli_field *f, const json_t *v, const cli_path *at);
/* One value of field f without its tag, not a message. */
int cli_encode_scalar(cli_encoder *c, const cli_field *f, const json_t *v, const cli_path *at);
/* A map key, given as the text of an object's key. */
int cli_encode_map_key(cli_encoder *c, const cli_field *f, const cli_span *key, const cli_path *at);

/* The wire type of a field's values. */
cli_wire_type cli_wire_type_of(cli_type type);

typedef struct cli_decoder {
    const cli_schema *schema;
    const cli_json_style *style;
    cli_error *error;
    unsigned depth;
    size_t units; /* of CLI_JSON_UNITS_MAX, taken so far */
    size_t unknown;
} cli_decoder;

/* A message as JSON, or NULL with the error set. */
json_t *cli_decode_message(cli_decoder *d, const cli_message *m, const cli_span *bytes,
                           const cli_path *at);
/* The fields of a message: values[i] is NULL or the JSON of m->fields[i], owned by the caller, also
 * after a failure. */
int cli_decode_fields(cli_decoder *d, const cli_message *m, const cli_span *bytes,
                      const cli_path *at, json_t **values);
json_t *cli_decode_wellknown(cli_decoder *d, const cli_message *m, const cli_span *bytes,
                             const cli_path *at);
/* What a scalar field holds when it is not set, as JSON, or NULL with the error set. */
json_t *cli_default_value(cli_decoder *d, const cli_field *f, const cli_path *at);
/* Passes a new value on and charges it; NULL (out of memory, too much) with the error set. */
json_t *cli_charge(cli_decoder *d, json_t *value, const cli_path *at);
/* A JSON string of base64, a JSON number or "NaN", "Infinity", "-Infinity". */
json_t *cli_json_base64(const void *data, size_t len);
json_t *cli_json_double(double value);
json_t *cli_json_float(float value);
/* A value of field f as it came in a varint, or in 4 or 8 bytes. NULL when out of memory. */
json_t *cli_json_varint(const cli_field *f, uint64_t v);
json_t *cli_json_fixed(const cli_field *f, uint64_t bits);

/* --- times ------------------------------------------------------------------------------------ */

enum { CLI_TIME_TEXT_MAX = 64 };

/* "2024-02-29T12:00:00.5Z" and back; 0, or -1 when out of range or not such a text. */
int cli_timestamp_print(int64_t seconds, int32_t nanos, char out[CLI_TIME_TEXT_MAX]);
int cli_timestamp_parse(const char *text, int64_t *ret_seconds, int32_t *ret_nanos);
/* "-1.5s" and back, likewise. */
int cli_duration_print(int64_t seconds, int32_t nanos, char out[CLI_TIME_TEXT_MAX]);
int cli_duration_parse(const char *text, int64_t *ret_seconds, int32_t *ret_nanos);

#endif
