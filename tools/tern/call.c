/* tern call: one unary call, JSON in and out. */
#include <stdlib.h>
#include <string.h>

#include "tools/tern/codec.h"
#include "tools/tern/net.h"

static int check_unary(const cli_method *m, cli_error *e)
{
    bool client = m->proto->has_client_streaming && m->proto->client_streaming;
    bool server = m->proto->has_server_streaming && m->proto->server_streaming;
    if (client || server) {
        return cli_fail(
            e, CLI_EXIT_USAGE,
            "%s is a %s streaming method; this version of tern calls unary methods only",
            m->path + 1,
            client && server ? "bidirectional"
            : client         ? "client"
                             : "server");
    }
    return 0;
}

static tern_idempotency idempotency(const cli_method *m)
{
    const Google__Protobuf__MethodOptions *o = m->proto->options;
    if (o == NULL || !o->has_idempotency_level) {
        return TERN_IDEMPOTENCY_UNKNOWN;
    }
    switch ((int)o->idempotency_level) {
    case TERN_NO_SIDE_EFFECTS:
        return TERN_NO_SIDE_EFFECTS;
    case TERN_IDEMPOTENT:
        return TERN_IDEMPOTENT;
    default:
        return TERN_IDEMPOTENCY_UNKNOWN;
    }
}

static int call_method(const cli_schema *s, const cli_method *m, const cli_options *o,
                       const cli_io *io, cli_error *e)
{
    cli_buf request;
    tern_method method = { .path = m->path,
                           .kind = TERN_KIND_UNARY,
                           .idempotency = idempotency(m) };
    void *answer = NULL;
    cli_buf_init(&request, CLI_MESSAGE_BYTES_MAX);
    cli_codec in = { .schema = s, .message = m->request, .options = o, .io = io };
    cli_codec out = { .schema = s, .message = m->response, .options = o, .io = io };
    int rc = cli_codec_encode(&in, o->data == NULL ? "{}" : o->data, &request, e);
    if (rc == 0) {
        cli_call call = { .target = o->args.items[0],
                          .method = &method,
                          .options = o,
                          .timeout_ms = o->timeout_ms,
                          .request = { request.data, request.len } };
        size_t len = 0;
        rc = cli_call_make(&call, io, &answer, &len, e);
        cli_span span = { answer, len };
        if (rc == 0 && cli_codec_decode(&out, &span, e) != 0) {
            /* What gRPC says when an answer cannot be read, unless it is ours alone. */
            char text[CLI_ERROR_TEXT_MAX];
            (void)snprintf(text, sizeof(text), "%s", e->text);
            rc = e->exit == CLI_EXIT_FAILURE ? -1
                                             : cli_fail(e, CLI_EXIT_STATUS + TERN_INTERNAL,
                                                        "INTERNAL: the answer is no %s: %.1200s",
                                                        m->response->full_name, text);
        }
    }
    cli_buf_deinit(&request);
    free(answer);
    return rc;
}

int cli_call_run(const cli_options *o, const cli_io *io, cli_error *e)
{
    cli_schema *schema;
    const cli_method *method;
    if (o->args.n != 2) {
        return cli_fail(
            e, CLI_EXIT_USAGE,
            "expected TARGET and SERVICE/METHOD, got %zu arguments; see `tern call --help`",
            o->args.n);
    }
    if (cli_schema_load(o, &schema, e) != 0) {
        return -1;
    }
    int rc = cli_schema_method(schema, o->args.items[1], &method, e);
    if (rc == 0) {
        rc = check_unary(method, e);
    }
    if (rc == 0) {
        rc = call_method(schema, method, o, io, e);
    }
    cli_schema_free(schema);
    return rc;
}
