/* tern call: one call of any kind, JSON in and out. */
#include <stdlib.h>
#include <string.h>

#include "tools/tern/codec.h"
#include "tools/tern/net.h"
#include "tools/tern/reflect.h"
#include "tools/tern/stream.h"

static tern_method_kind kind(const cli_method *m)
{
    bool client = m->proto->has_client_streaming && m->proto->client_streaming;
    bool server = m->proto->has_server_streaming && m->proto->server_streaming;
    return (tern_method_kind)((client ? TERN_KIND_CLIENT_STREAMING : 0) |
                              (server ? TERN_KIND_SERVER_STREAMING : 0));
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

static int call_unary(const cli_call *call, const cli_codec *out, cli_error *e)
{
    void *answer = NULL;
    size_t len = 0;
    int rc = cli_call_make(call, out->io, &answer, &len, e);
    cli_span span = { answer, len };
    if (rc == 0 && cli_codec_decode(out, &span, e) != 0) {
        rc = cli_fail_answer(e, out->message);
    }
    free(answer);
    return rc;
}

static int call_method(const cli_schema *s, const cli_method *m, const cli_options *o,
                       const cli_io *io, cli_error *e)
{
    cli_buf request;
    tern_method method = { .path = m->path, .kind = kind(m), .idempotency = idempotency(m) };
    int rc = 0;
    cli_buf_init(&request, CLI_MESSAGE_BYTES_MAX);
    cli_codec in = { .schema = s, .message = m->request, .options = o, .io = io };
    cli_codec out = { .schema = s, .message = m->response, .options = o, .io = io };
    if ((method.kind & TERN_KIND_CLIENT_STREAMING) == 0) {
        rc = cli_codec_encode(&in, o->data == NULL ? "{}" : o->data, &request, e);
    }
    if (rc == 0) {
        cli_call call = { .target = o->args.items[0],
                          .method = &method,
                          .options = o,
                          .timeout_ms = o->timeout_ms,
                          .request = { request.data, request.len } };
        rc = method.kind == TERN_KIND_UNARY ? call_unary(&call, &out, e)
                                            : cli_stream_make(&call, &in, &out, e);
    }
    cli_buf_deinit(&request);
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
    int loaded = cli_reflect_wanted(o) ? cli_reflect_symbols(o, io, o->args.items[0],
                                                             &o->args.items[1], 1, &schema, e)
                                       : cli_schema_load(o, &schema, e);
    if (loaded != 0) {
        return -1;
    }
    int rc = cli_schema_method(schema, o->args.items[1], &method, e);
    if (rc == 0) {
        rc = call_method(schema, method, o, io, e);
    }
    cli_schema_free(schema);
    return rc;
}
