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

static int add_headers(cli_session *s, cli_error *e)
{
    const cli_options *o = s->call->options;
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
    return 0;
}

static int read_compression(const cli_options *o, tern_compression *ret, cli_error *e)
{
    if (o->compress != NULL && tern_compression_from_name(o->compress, ret) != 0) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "--compress %s: expected gzip, deflate, zstd or identity", o->compress);
    }
    return 0;
}

static int fill_options(cli_session *s, cli_error *e)
{
    const cli_options *o = s->call->options;
    s->options = (tern_call_options)TERN_CALL_OPTIONS_INIT;
    s->options.context = s->cancel.context;
    s->options.timeout_ms = s->call->timeout_ms;
    s->options.metadata = s->request;
    s->options.ret_initial_metadata = s->initial;
    s->options.ret_trailing_metadata = s->trailing;
    s->options.wait_for_ready = o->wait_for_ready;
    s->options.receive_message_bytes_max = (size_t)o->receive_bytes_max;
    s->options.compress_mode = TERN_COMPRESS_ALWAYS; /* who asks for it wants to see it */
    return read_compression(o, &s->options.compression, e);
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

static void show_begin(const cli_session *s)
{
    const cli_call *call = s->call;
    tern_log_set_sink(TERN_LOG_INFO, tern_log_to_stderr, NULL);
    (void)fprintf(s->err, "> %s at %s", call->method->path, call->target);
    if ((call->method->kind & TERN_KIND_CLIENT_STREAMING) != 0) {
        (void)fputs(", a stream of messages\n", s->err);
    } else {
        (void)fprintf(s->err, ", %zu bytes\n", call->request.len);
    }
    print_metadata(s->err, ">", s->request);
}

int cli_session_open(cli_session *s, const cli_call *call, FILE *err, cli_error *e)
{
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    tern_status status;
    memset(s, 0, sizeof(*s));
    s->call = call;
    s->err = err;
    options.authority = call->options->authority;
    options.user_agent = "tern-cli";
    options.breaker.disabled = true; /* one call has no history to judge a server by */
    if (add_headers(s, e) != 0 || cli_tls_open(call->options, err, &s->tls, e) != 0 ||
        cli_cancel_begin(&s->cancel, e) != 0 || fill_options(s, e) != 0) {
        return -1;
    }
    options.tls = s->tls;
    if (tern_channel_new(call->target, &options, &s->channel, &status) != TERN_OK) {
        s->channel = NULL;
        return cli_fail(e, status.code == TERN_INVALID_ARGUMENT ? CLI_EXIT_USAGE : CLI_EXIT_FAILURE,
                        "%s", status.message);
    }
    if (call->options->verbose && call->method != NULL) {
        show_begin(s);
    }
    s->begin_ms = now_ms();
    return 0;
}

void cli_session_close(cli_session *s)
{
    tern_channel_free(s->channel);
    tern_tls_client_unref(s->tls);
    tern_metadata_free(s->request);
    tern_metadata_free(s->initial);
    tern_metadata_free(s->trailing);
    cli_cancel_end(&s->cancel);
}

void cli_session_show_headers(cli_session *s, const tern_metadata *initial)
{
    if (s->call->options->verbose && !s->headers_shown) {
        s->headers_shown = true;
        cli_tls_print_peer(s->err, s->channel);
        print_metadata(s->err, "< header", initial);
    }
}

void cli_session_show_end(cli_session *s, tern_code code, const char *extra)
{
    if (s->call->options->verbose) {
        cli_session_show_headers(s, s->initial);
        print_metadata(s->err, "< trailer", s->trailing);
        (void)fprintf(s->err, "< %s after %.3f ms%s\n", tern_code_name(code),
                      now_ms() - s->begin_ms, extra);
    }
}

int cli_fail_status(cli_error *e, const tern_status *status)
{
    return cli_fail(e, CLI_EXIT_STATUS + (int)status->code, "%s%s%s", tern_code_name(status->code),
                    status->message[0] == '\0' ? "" : ": ", status->message);
}

int cli_call_make(const cli_call *call, const cli_io *io, void **ret, size_t *ret_len, cli_error *e)
{
    cli_session s;
    tern_status status;
    char extra[80] = "";
    int rc = cli_session_open(&s, call, io->err, e);
    if (rc == 0) {
        s.options.ret_compressed = &s.compressed;
        tern_code code = tern_call_unary(s.channel, call->method, &s.options, call->request.data,
                                         call->request.len, ret, ret_len, &status);
        if (code == TERN_OK) {
            (void)snprintf(extra, sizeof(extra), ", %zu bytes%s", *ret_len,
                           s.compressed ? ", compressed" : "");
        }
        cli_session_show_end(&s, code, extra);
        rc = code == TERN_OK ? 0 : cli_fail_status(e, &status);
    }
    cli_session_close(&s);
    return rc;
}

int cli_call_stream(const cli_call *call, const cli_io *io, cli_taker take, void *ctx, cli_error *e)
{
    cli_session s;
    tern_status status;
    tern_stream *stream;
    const void *bytes;
    size_t len;
    int rc = cli_session_open(&s, call, io->err, e);
    if (rc == 0) {
        tern_code code = tern_stream_open(s.channel, call->method, &s.options, &stream, &status);
        if (code == TERN_OK) {
            if (tern_stream_send(stream, call->request.data, call->request.len)) {
                (void)tern_stream_close_send(stream);
            }
            while (rc == 0 && tern_stream_recv(stream, &bytes, &len)) {
                rc = take(bytes, len, ctx, e);
            }
            code = tern_stream_finish(stream, &status);
        }
        cli_session_show_end(&s, code, "");
        if (rc == 0 && code != TERN_OK) {
            rc = cli_fail_status(e, &status);
        }
    }
    cli_session_close(&s);
    return rc;
}
