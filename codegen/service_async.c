/* The client's side with callbacks: the same calls as in service_client.c for programs that must
 * not block. A stream has a handle of another type than its blocking twin, because the runtime's
 * functions of one are not for the other.
 *
 * The program's callback takes the method's own message type, the runtime's takes any. To call a
 * function through a pointer of another type is undefined, even where it happens to work; so the
 * runtime carries the program's pointer unread, beside a function generated here that knows its
 * type. */
#include "codegen/service_sides.h"

#include "codegen/comments.h"

static bool sends(cg_kind kind)
{
    return kind == CG_CLIENT_STREAMING || kind == CG_BIDI_STREAMING;
}

static bool receives(cg_kind kind)
{
    return kind == CG_SERVER_STREAMING || kind == CG_BIDI_STREAMING;
}

/* --- header ----------------------------------------------------------------------------------- */

static const char use[] = "/* The same with callbacks, see tern/async.h: these functions return at "
                          "once, and each callback\n"
                          " * comes once, on the thread that runs the channel's loop. What a "
                          "callback gets is borrowed for\n"
                          " * it; a response is NULL unless the code is TERN_OK, a received "
                          "message is NULL when none will\n"
                          " * come. Requests are copied. */\n\n";

static const char stream_use[] =
    "/* Streams with callbacks: _start() begins one, the next _send_start() may follow when the\n"
    " * callback of the former has come, likewise the next _recv_start(). _finish_start() must be\n"
    " * called, last: it ends the call and frees it. Where the response is one message, it closes\n"
    " * the client's side and waits for it first. `opts` is borrowed until the end. */\n\n";

static void put_stream_declarations(cg_out *o, const cg_var *vars, cg_kind kind)
{
    cg_put_template(o, vars,
                    "typedef struct $helper$async { tern_stream *stream; } $helper$async;\n"
                    "tern_code $helper$start(tern_channel *ch, const tern_call_options *opts,\n"
                    "    ");
    if (!sends(kind))
        cg_put_template(o, vars, "const $input$ *req, ");
    cg_put_template(o, vars, "$helper$async *ret, tern_status *reterr);\n");
    if (sends(kind))
        cg_put_template(o, vars,
                        "void $helper$send_start($helper$async *call,\n"
                        "    const $input$ *req, tern_stream_sent done, void *ctx);\n");
    if (kind == CG_BIDI_STREAMING)
        cg_put_template(o, vars, "bool $helper$async_close_send($helper$async *call);\n");
    if (receives(kind))
        cg_put_template(o, vars,
                        "typedef void (*$helper$received)(void *ctx, const $output$ *res);\n"
                        "tern_code $helper$recv_start($helper$async *call,\n"
                        "    $helper$received done, void *ctx);\n"
                        "void $helper$finish_start($helper$async *call,\n"
                        "    tern_stream_finished done, void *ctx);\n\n");
    else
        cg_put_template(o, vars,
                        "typedef void (*$helper$done)(void *ctx, const tern_status *st,\n"
                        "    const $output$ *res);\n"
                        "void $helper$finish_start($helper$async *call,\n"
                        "    $helper$done done, void *ctx);\n\n");
}

void cg_put_async_declarations(cg_out *o, const cg_service *s)
{
    size_t i;

    if (s->n_methods == 0)
        return;
    cg_put(o, use);
    if (cg_count_kinds(s).n_streams > 0)
        cg_put(o, stream_use);
    for (i = 0; i < s->n_methods; i++) {
        cg_method_vars vars;

        cg_method_vars_init(&vars, s, i);
        if (s->methods[i].kind == CG_UNARY)
            cg_put_template(o, vars.at,
                            "typedef void (*$helper$done)(void *ctx, const tern_status *st,\n"
                            "    const $output$ *res);\n"
                            "tern_code $helper$start(tern_channel *ch, const tern_call_options "
                            "*opts,\n"
                            "    const $input$ *req, $helper$done done, void *ctx,\n"
                            "    tern_status *reterr);\n\n");
        else
            put_stream_declarations(o, vars.at, s->methods[i].kind);
    }
}

/* --- source ----------------------------------------------------------------------------------- */

static void put_typed_done(cg_out *o, const cg_var *vars)
{
    cg_put_template(o, vars,
                    "static void $stub$__call_done(tern_stub_callback done, void *ctx, const "
                    "tern_status *st, const ProtobufCMessage *res) { (($helper$done)done)(ctx, st, "
                    "(const $output$ *)res); }\n");
}

static void put_unary_definition(cg_out *o, const cg_var *vars)
{
    put_typed_done(o, vars);
    cg_put_template(
        o, vars,
        "tern_code $helper$start(tern_channel *ch, const tern_call_options *opts, const "
        "$input$ *req, $helper$done done, void *ctx, tern_status *reterr)\n"
        "{\n"
        "    const tern_stub_typed_done typed = { $stub$__call_done, "
        "(tern_stub_callback)done, ctx };\n"
        "    return tern_stub_unary_start_typed(ch, &$service$__methods[$index$], opts, "
        "(const ProtobufCMessage *)req, &typed, reterr);\n"
        "}\n");
}

static void put_receiver_definitions(cg_out *o, const cg_var *vars)
{
    cg_put_template(
        o, vars,
        "static void $stub$__call_received(tern_stub_callback done, void *ctx, const "
        "ProtobufCMessage *res) { (($helper$received)done)(ctx, (const $output$ *)res); }\n"
        "tern_code $helper$recv_start($helper$async *call, $helper$received done, void *ctx)\n"
        "{\n"
        "    const tern_stub_typed_received typed = { $stub$__call_received, "
        "(tern_stub_callback)done, ctx };\n"
        "    return tern_stub_recv_start_typed(call->stream, &typed);\n"
        "}\n"
        "void $helper$finish_start($helper$async *call, tern_stream_finished done, void *ctx) { "
        "tern_stream_finish_start(call->stream, done, ctx); }\n");
}

static void put_one_response_definitions(cg_out *o, const cg_var *vars)
{
    put_typed_done(o, vars);
    cg_put_template(o, vars,
                    "void $helper$finish_start($helper$async *call, $helper$done done, void *ctx)\n"
                    "{\n"
                    "    const tern_stub_typed_done typed = { $stub$__call_done, "
                    "(tern_stub_callback)done, ctx };\n"
                    "    tern_stub_finish_start_typed(call->stream, &typed);\n"
                    "}\n");
}

static void put_stream_definitions(cg_out *o, const cg_var *vars, cg_kind kind)
{
    cg_put_template(o, vars,
                    "tern_code $helper$start(tern_channel *ch, const tern_call_options *opts, ");
    if (!sends(kind))
        cg_put_template(o, vars, "const $input$ *req, ");
    cg_put_template(o, vars,
                    "$helper$async *ret, tern_status *reterr)\n"
                    "{\n"
                    "    return tern_stub_start(ch, &$service$__methods[$index$], opts, ");
    cg_put(o, sends(kind) ? "NULL, " : "(const ProtobufCMessage *)req, ");
    cg_put(o, "&ret->stream, reterr);\n"
              "}\n");
    if (sends(kind))
        cg_put_template(o, vars,
                        "void $helper$send_start($helper$async *call, const $input$ *req, "
                        "tern_stream_sent done, void *ctx) { tern_stub_send_start(call->stream, "
                        "(const ProtobufCMessage *)req, done, ctx); }\n");
    if (kind == CG_BIDI_STREAMING)
        cg_put_template(o, vars,
                        "bool $helper$async_close_send($helper$async *call) { return "
                        "tern_stream_close_send(call->stream); }\n");
    if (receives(kind))
        put_receiver_definitions(o, vars);
    else
        put_one_response_definitions(o, vars);
}

void cg_put_async_definitions(cg_out *o, const cg_service *s)
{
    size_t i;

    for (i = 0; i < s->n_methods; i++) {
        cg_method_vars vars;

        cg_method_vars_init(&vars, s, i);
        if (s->methods[i].kind == CG_UNARY)
            put_unary_definition(o, vars.at);
        else
            put_stream_definitions(o, vars.at, s->methods[i].kind);
    }
    cg_put(o, s->n_methods > 0 ? "\n" : "");
}
