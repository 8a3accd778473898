/* JSON from the command line, and JSON to standard output. */
#ifndef TERN_TOOLS_CODEC_H
#define TERN_TOOLS_CODEC_H

#include "tools/tern/json.h"

/* The type of a message, and the schema that knows the types inside of it. */
typedef struct cli_codec {
    const cli_schema *schema;
    const cli_message *message;
    const cli_options *options;
    const cli_io *io;
} cli_codec;

/* Appends the message to `out`, given as what -d takes: JSON, "@FILE" or "@-". */
int cli_codec_encode(const cli_codec *c, const char *data, cli_buf *out, cli_error *e);

/* Prints a message as JSON in the style that the options ask for. */
int cli_codec_decode(const cli_codec *c, const cli_span *bytes, cli_error *e);

#endif
