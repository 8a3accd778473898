/* tern encode and tern decode, and what tern call shares with them: JSON from the command line, a
 * file or standard input, and JSON to standard output. */
#include "tools/tern/codec.h"

#include <errno.h>
#include <string.h>

int cli_codec_encode(const cli_codec *c, const char *data, cli_buf *out, cli_error *e)
{
    cli_buf file;
    json_t *value = NULL;
    cli_span text = { (const uint8_t *)data, strlen(data) };
    const char *what = "-d";
    int rc = 0;
    cli_buf_init(&file, CLI_INPUT_BYTES_MAX);
    if (data[0] == '@') {
        what = strcmp(data, "@-") == 0 ? "standard input" : data + 1;
        rc = cli_read_file(data + 1, c->io->in, &file, e);
        text = (cli_span){ file.data, file.len };
    }
    if (rc == 0) {
        rc = cli_json_parse(&text, what, &value, e);
    }
    if (rc == 0) {
        rc = cli_json_encode(c->schema, c->message, value, out, e);
    }
    json_decref(value);
    cli_buf_deinit(&file);
    return rc;
}

int cli_codec_decode(const cli_codec *c, const cli_span *bytes, cli_error *e)
{
    cli_buf text;
    json_t *value;
    size_t unknown;
    cli_json_style style = { .emit_defaults = c->options->emit_defaults,
                             .original_names = c->options->original_names,
                             .compact = c->options->compact };
    if (cli_json_decode(c->schema, c->message, bytes, &style, &value, &unknown, e) != 0) {
        return -1;
    }
    cli_buf_init(&text, SIZE_MAX / 2);
    cli_json_print(&text, value, style.compact);
    cli_buf_append(&text, "\n", 1);
    json_decref(value);
    int rc = text.error != 0 ? cli_fail_memory(e) : 0;
    if (rc == 0) {
        /* A failed write shows when standard output is flushed at the end. */
        (void)fwrite(text.data, 1, text.len, c->io->out);
        if (unknown > 0 && c->options->verbose) {
            (void)fprintf(c->io->err, "%zu field%s unknown to this %s left out\n", unknown,
                          unknown == 1 ? "" : "s", c->message->full_name);
        }
    }
    cli_buf_deinit(&text);
    return rc;
}

/* Loads the schema and finds the message that the first argument names. */
static int open_codec(const cli_options *o, const cli_io *io, cli_schema **ret_schema,
                      cli_codec *ret, cli_error *e)
{
    const cli_symbol *symbol;
    if (cli_schema_load(o, ret_schema, e) != 0) {
        return -1;
    }
    if (cli_schema_expect(*ret_schema, CLI_SYMBOL_MESSAGE, o->args.items[0], &symbol, e) != 0) {
        cli_schema_free(*ret_schema);
        return -1;
    }
    *ret = (cli_codec){ .schema = *ret_schema, .message = symbol->thing, .options = o, .io = io };
    return 0;
}

int cli_encode_run(const cli_options *o, const cli_io *io, cli_error *e)
{
    cli_schema *schema;
    cli_codec codec;
    cli_buf bytes;
    if (o->args.n != 1) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "expected TYPE, got %zu arguments; see `tern encode --help`", o->args.n);
    }
    if (open_codec(o, io, &schema, &codec, e) != 0) {
        return -1;
    }
    cli_buf_init(&bytes, CLI_MESSAGE_BYTES_MAX);
    int rc = cli_codec_encode(&codec, o->data == NULL ? "@-" : o->data, &bytes, e);
    if (rc == 0 && bytes.len > 0) {
        (void)fwrite(bytes.data, 1, bytes.len, io->out);
    }
    cli_buf_deinit(&bytes);
    cli_schema_free(schema);
    return rc;
}

int cli_decode_run(const cli_options *o, const cli_io *io, cli_error *e)
{
    cli_schema *schema;
    cli_codec codec;
    cli_buf bytes;
    if (o->args.n < 1 || o->args.n > 2) {
        return cli_fail(
            e, CLI_EXIT_USAGE,
            "expected TYPE and perhaps FILE, got %zu arguments; see `tern decode --help`",
            o->args.n);
    }
    if (open_codec(o, io, &schema, &codec, e) != 0) {
        return -1;
    }
    cli_buf_init(&bytes, CLI_INPUT_BYTES_MAX);
    int rc = cli_read_file(o->args.n == 2 ? o->args.items[1] : "-", io->in, &bytes, e);
    if (rc == 0) {
        cli_span span = { bytes.data, bytes.len };
        rc = cli_codec_decode(&codec, &span, e);
    }
    cli_buf_deinit(&bytes);
    cli_schema_free(schema);
    return rc;
}
