/* One call over the network: see net.h. */
#include "tools/tern/net.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tern/log.h>
#include <tern/status.h>
#include <tern/stream.h>

#include "tools/tern/text.h"
#include "tools/tern/tls.h"

void cli_session_close(cli_session *s)
{
    tern_channel_free(s->channel);
    tern_tls_client_unref(s->tls);
    tern_metadata_free(s->request);
    tern_metadata_free(s->initial);
    tern_metadata_free(s->trailing);
}

static bool is_binary_key(const char *key)
{
    size_t len = strlen(key);
    return len >= 4 && strcmp(key + len - 4, "-bin") == 0;
}

static int add_binary(tern_metadata *md, const char *key, const char *value, cli_error *e)
{
    cli_buf bytes;
    cli_buf_init(&bytes, CLI_MESSAGE_BYTES_MAX);
    int rc = cli_base64_decode(&bytes, value, strlen(value));
    if (rc != 0) {
        (void)cli_fail(e, CLI_EXIT_USAGE, "-H %s: the value of a -bin key is given as base64", key);
        cli_buf_deinit(&bytes);
        return -EBADMSG;
    }
    rc = bytes.error != 0 ? bytes.error : tern_metadata_add_bin(md, key, bytes.data, bytes.len);
    cli_buf_deinit(&bytes);
    return rc;
}

/* Adds "key: value"; white space around both is no part of them. */
static int add_header(tern_metadata *md, const char *text, cli_error *e)
{
    char *copy = strdup(text);
    if (copy == NULL) {
        return cli_fail_memory(e);
    }
    char *colon = strchr(copy, ':');
    if (colon == NULL || colon == copy) {
        free(copy);
        return cli_fail(e, CLI_EXIT_USAGE, "-H '%s': expected 'key: value'", text);
    }
    char *value = colon + 1 + strspn(colon + 1, " \t");
    char *end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        *--end = '\0';
    }
    *colon = '\0';
    for (char *c = copy; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    while (colon > copy && (colon[-1] == ' ' || colon[-1] == '\t')) {
        *--colon = '\0';
    }
    int rc = is_binary_key(copy) ? add_binary(md, copy, value, e)
                                 : tern_metadata_add(md, copy, value);
    free(copy);
    if (rc == -ENOMEM) {
        return cli_fail_memory(e);
    }
    if (rc == -EBADMSG) {
        return -1; /* *e is set */
    }
    if (rc != 0) {
        return cli_fail(
            e, CLI_EXIT_USAGE,
            "-H '%s' may not be sent: keys are letters, digits, \"-\", \"_\" and \".\", and "
            "neither HTTP's nor gRPC's own; values are printable ASCII",
            text);
    }
    return 0;
}

int cli_session_open(const cli_call *call, FILE *err, cli_session *s, cli_error *e)
{
    const cli_options *o = call->options;
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    tern_status status;
    memset(s, 0, sizeof(*s));
    options.authority = o->authority;
    options.user_agent = "tern-cli";
    options.breaker.disabled = true; /* one call has no history to judge a server by */
    s->request = tern_metadata_new();
    s->initial = tern_metadata_new();
    s->trailing = tern_metadata_new();
    if (s->request == NULL || s->initial == NULL || s->trailing == NULL) {
        return cli_fail_memory(e);
    }
    for (size_t i = 0; i < o->headers.n; i++) {
        if (add_header(s->request, o->headers.items[i], e) != 0) {
            return -1;
        }
    }
    if (cli_tls_open(o, err, &s->tls, e) != 0) {
        return -1;
    }
    options.tls = s->tls;
    if (tern_channel_new(call->target, &options, &s->channel, &status) != TERN_OK) {
        s->channel = NULL;
        return cli_fail(e, status.code == TERN_INVALID_ARGUMENT ? CLI_EXIT_USAGE : CLI_EXIT_FAILURE,
                        "%s", status.message);
    }
    return 0;
}

static void print_metadata(FILE *err, const char *mark, const tern_metadata *md)
{
    for (size_t i = 0; i < tern_metadata_count(md); i++) {
        const tern_metadata_entry *entry = tern_metadata_at(md, i);
        cli_buf text;
        cli_buf_init(&text, CLI_MESSAGE_BYTES_MAX);
        if (is_binary_key(entry->key)) {
            cli_base64_encode(&text, entry->value, entry->value_len, true);
        } else {
            cli_buf_append(&text, entry->value, entry->value_len);
        }
        (void)fprintf(err, "%s %s: %.*s\n", mark, entry->key, (int)text.len,
                      text.data == NULL ? "" : (const char *)text.data);
        cli_buf_deinit(&text);
    }
}

static double now_ms(void)
{
    struct timespec t = { 0, 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int read_compression(const cli_options *o, tern_compression *ret, cli_error *e)
{
    if (o->compress != NULL && tern_compression_from_name(o->compress, ret) != 0) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "--compress %s: expected gzip, deflate, zstd or identity", o->compress);
    }
    return 0;
}

/* The options of the call, once the session is open; says with --verbose what is sent. */
static void begin_call(const cli_call *call, const cli_io *io, const cli_session *s,
                       tern_call_options *options)
{
    options->timeout_ms = call->timeout_ms;
    options->metadata = s->request;
    options->ret_initial_metadata = s->initial;
    options->ret_trailing_metadata = s->trailing;
    options->wait_for_ready = call->options->wait_for_ready;
    options->receive_message_bytes_max = (size_t)call->options->receive_bytes_max;
    options->compress_mode = TERN_COMPRESS_ALWAYS; /* who asks for it wants to see it */
    if (call->options->verbose) {
        tern_log_set_sink(TERN_LOG_INFO, tern_log_to_stderr, NULL);
        (void)fprintf(io->err, "> %s at %s, %zu bytes\n", call->method->path, call->target,
                      call->request.len);
        print_metadata(io->err, ">", s->request);
    }
}

static void print_end(const cli_io *io, const cli_session *s, tern_code code, double begin)
{
    cli_tls_print_peer(io->err, s->channel);
    print_metadata(io->err, "< header", s->initial);
    print_metadata(io->err, "< trailer", s->trailing);
    (void)fprintf(io->err, "< %s after %.3f ms", tern_code_name(code), now_ms() - begin);
}

static int fail_call(tern_code code, const tern_status *status, cli_error *e)
{
    return cli_fail(e, CLI_EXIT_STATUS + (int)code, "%s%s%s", tern_code_name(code),
                    status->message[0] == '\0' ? "" : ": ", status->message);
}

int cli_call_make(const cli_call *call, const cli_io *io, void **ret, size_t *ret_len, cli_error *e)
{
    cli_session s;
    tern_status status;
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    bool compressed = false;
    if (read_compression(call->options, &options.compression, e) != 0) {
        return -1;
    }
    if (cli_session_open(call, io->err, &s, e) != 0) {
        cli_session_close(&s);
        return -1;
    }
    begin_call(call, io, &s, &options);
    options.ret_compressed = &compressed;
    double begin = now_ms();
    tern_code code = tern_call_unary(s.channel, call->method, &options, call->request.data,
                                     call->request.len, ret, ret_len, &status);
    if (call->options->verbose) {
        print_end(io, &s, code, begin);
        if (code == TERN_OK) {
            (void)fprintf(io->err, ", %zu bytes%s", *ret_len, compressed ? ", compressed" : "");
        }
        (void)fputc('\n', io->err);
    }
    cli_session_close(&s);
    return code == TERN_OK ? 0 : fail_call(code, &status, e);
}

int cli_call_stream(const cli_call *call, const cli_io *io, cli_taker take, void *ctx, cli_error *e)
{
    cli_session s;
    tern_status status;
    tern_stream *stream;
    const void *bytes;
    size_t len;
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    int rc = 0;
    if (cli_session_open(call, io->err, &s, e) != 0) {
        cli_session_close(&s);
        return -1;
    }
    begin_call(call, io, &s, &options);
    double begin = now_ms();
    tern_code code = tern_stream_open(s.channel, call->method, &options, &stream, &status);
    if (code == TERN_OK) {
        if (tern_stream_send(stream, call->request.data, call->request.len)) {
            (void)tern_stream_close_send(stream);
        }
        while (rc == 0 && tern_stream_recv(stream, &bytes, &len)) {
            rc = take(bytes, len, ctx, e);
        }
        code = tern_stream_finish(stream, &status);
    }
    if (call->options->verbose) {
        print_end(io, &s, code, begin);
        (void)fputc('\n', io->err);
    }
    cli_session_close(&s);
    if (rc != 0) {
        return rc; /* *e is set */
    }
    return code == TERN_OK ? 0 : fail_call(code, &status, e);
}
