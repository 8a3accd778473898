/* The client's side. A unary method is one function. A streaming one has a handle, a struct of its
 * own type around the runtime's stream, and functions that take only that: what the method does not
 * allow does not compile, and what every stream allows is reached through the member. */
#include "codegen/service_sides.h"

#include "codegen/comments.h"

/* --- header ----------------------------------------------------------------------------------- */

static const char unary_use[] =
    "/* Unary: the function makes one call and blocks until it has ended. `opts` may be NULL. On\n"
    " * TERN_OK *ret is a new message that the caller frees with its __free_unpacked function; on\n"
    " * failure *reterr (NULL: not wanted) says why, and *ret is untouched. */\n\n";

static const char stream_use[] =
    "/* Streams: the function named like the method opens a call and, on TERN_OK, sets *ret to a\n"
    " * handle for the functions beside it. Those that move messages block, and return false when\n"
    " * the call is over. _finish() must follow: it ends the call, frees what it holds and tells "
    "its\n"
    " * status. `opts`, which may be NULL, is borrowed until then; what _recv() sets is borrowed\n"
    " * until the next receive. What all streams can do takes the member of the handle, as in\n"
    " * tern_stream_cancel(call.stream).\n";

/* How calls of each kind go on once they are open. */
static const char *const kind_use[] = {
    [CG_CLIENT_STREAMING] = " * Client streaming: _send() each request, then _finish(), which "
                            "waits for the response. On\n"
                            " * TERN_OK *ret is a new message that the caller frees with its "
                            "__free_unpacked function.\n",
    [CG_SERVER_STREAMING] =
        " * Server streaming: _recv() until it returns false, then _finish().\n",
    [CG_BIDI_STREAMING] =
        " * Bidirectional streaming: _send() and _recv() in any order, also from two threads;\n"
        " * _close_send() after the last request; _recv() until it returns false; _finish().\n",
};

static void put_use(cg_out *o, const cg_service *s)
{
    cg_kinds kinds = cg_count_kinds(s);
    size_t kind;

    if (kinds.n[CG_UNARY] > 0)
        cg_put(o, unary_use);
    if (kinds.n_streams == 0)
        return;
    cg_put(o, stream_use);
    for (kind = CG_UNARY + 1; kind <= CG_BIDI_STREAMING; kind++)
        if (kinds.n[kind] > 0)
            cg_put(o, kind_use[kind]);
    cg_put(o, " */\n\n");
}

static void put_stream_declarations(cg_out *o, const cg_var *vars, cg_kind kind)
{
    bool sends = kind != CG_SERVER_STREAMING, receives = kind != CG_CLIENT_STREAMING;

    cg_put_template(o, vars,
                    "typedef struct $helper$call { tern_stream *stream; } $helper$call;\n"
                    "tern_code $stub$(tern_channel *ch, const tern_call_options *opts,\n    ");
    if (!sends)
        cg_put_template(o, vars, "const $input$ *req, ");
    cg_put_template(o, vars, "$helper$call *ret, tern_status *reterr);\n");
    if (sends)
        cg_put_template(o, vars,
                        "bool $helper$send(\n"
                        "    $helper$call *call, const $input$ *req);\n");
    if (sends && receives)
        cg_put_template(o, vars, "bool $helper$close_send($helper$call *call);\n");
    if (receives)
        cg_put_template(o, vars,
                        "bool $helper$recv(\n"
                        "    $helper$call *call, const $output$ **ret);\n");
    cg_put_template(o, vars,
                    "tern_code $helper$finish(\n"
                    "    $helper$call *call, ");
    if (!receives)
        cg_put_template(o, vars, "$output$ **ret, ");
    cg_put(o, "tern_status *reterr);\n\n");
}

void cg_put_client_declarations(cg_out *o, const cg_service *s)
{
    size_t i;

    put_use(o, s);
    for (i = 0; i < s->n_methods; i++) {
        cg_method_vars vars;

        cg_method_vars_init(&vars, s, i);
        cg_put_comment(o, 0, s->methods[i].comment);
        if (s->methods[i].kind == CG_UNARY)
            cg_put_template(o, vars.at,
                            "tern_code $stub$(tern_channel *ch, const tern_call_options *opts,\n"
                            "    const $input$ *req, $output$ **ret, tern_status *reterr);\n\n");
        else
            put_stream_declarations(o, vars.at, s->methods[i].kind);
    }
}

/* --- source ----------------------------------------------------------------------------------- */

static void put_unary_definition(cg_out *o, const cg_var *vars)
{
    cg_put_template(o, vars,
                    "tern_code $stub$(tern_channel *ch, const tern_call_options *opts, "
                    "const $input$ *req, $output$ **ret, tern_status *reterr)\n"
                    "{\n"
                    "    return tern_stub_unary(ch, &$service$__methods[$index$], opts, "
                    "(const ProtobufCMessage *)req, (ProtobufCMessage **)ret, reterr);\n"
                    "}\n");
}

/* One line each: there is nothing in them to read but the types. */
static void put_stream_movers(cg_out *o, const cg_var *vars, cg_kind kind)
{
    bool sends = kind != CG_SERVER_STREAMING, receives = kind != CG_CLIENT_STREAMING;

    if (sends)
        cg_put_template(o, vars,
                        "bool $helper$send($helper$call *call, const $input$ *req) { return "
                        "tern_stub_send(call->stream, (const ProtobufCMessage *)req); }\n");
    if (sends && receives)
        cg_put_template(o, vars,
                        "bool $helper$close_send($helper$call *call) { return "
                        "tern_stream_close_send(call->stream); }\n");
    if (receives)
        cg_put_template(o, vars,
                        "bool $helper$recv($helper$call *call, const $output$ **ret) { return "
                        "tern_stub_recv(call->stream, (const ProtobufCMessage **)ret); }\n");
}

static void put_stream_definitions(cg_out *o, const cg_var *vars, cg_kind kind)
{
    bool one_request = kind == CG_SERVER_STREAMING, one_response = kind == CG_CLIENT_STREAMING;

    cg_put_template(o, vars, "tern_code $stub$(tern_channel *ch, const tern_call_options *opts, ");
    if (one_request)
        cg_put_template(o, vars, "const $input$ *req, ");
    cg_put_template(o, vars,
                    "$helper$call *ret, tern_status *reterr)\n"
                    "{\n"
                    "    return tern_stub_open(ch, &$service$__methods[$index$], opts, ");
    cg_put(o, one_request ? "(const ProtobufCMessage *)req, " : "NULL, ");
    cg_put(o, "&ret->stream, reterr);\n"
              "}\n");
    put_stream_movers(o, vars, kind);
    cg_put_template(o, vars, "tern_code $helper$finish($helper$call *call, ");
    if (one_response)
        cg_put_template(o, vars, "$output$ **ret, ");
    cg_putf(o, "tern_status *reterr) { return tern_stub_finish(call->stream, %s, reterr); }\n",
            one_response ? "(ProtobufCMessage **)ret" : "NULL");
}

void cg_put_client_definitions(cg_out *o, const cg_service *s)
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
