/* The server's side. The runtime knows one kind of handler, with untyped messages that are NULL
 * where they are streams; a trampoline makes of it the typed handler of the method. A streaming
 * handler gets a handle of its own type instead of the call, made on the trampoline's stack since
 * it is no more than a pointer: there is nothing to allocate and nothing to fail. */
#include "codegen/service_sides.h"

#include "codegen/comments.h"

static bool receives(cg_kind kind)
{
    return kind == CG_CLIENT_STREAMING || kind == CG_BIDI_STREAMING;
}

static bool sends(cg_kind kind)
{
    return kind == CG_SERVER_STREAMING || kind == CG_BIDI_STREAMING;
}

/* --- header ----------------------------------------------------------------------------------- */

static const char stream_use[] =
    "/* What handlers of streaming methods get. _send() and _recv() block, and return false when "
    "the\n"
    " * call is over or, _recv(), when the client has sent all. What _recv() sets is borrowed "
    "until\n"
    " * the next receive or the end of the call. What all calls can do takes the member of the\n"
    " * handle, as in tern_server_call_metadata(stream->call). The handle itself lasts until the\n"
    " * handler returns: one that defers its call keeps a copy (*stream). */\n";

static void put_stream_handles(cg_out *o, const cg_service *s)
{
    size_t i;

    if (cg_count_kinds(s).n_streams == 0)
        return;
    cg_put(o, stream_use);
    for (i = 0; i < s->n_methods; i++) {
        cg_kind kind = s->methods[i].kind;
        cg_method_vars vars;

        if (kind == CG_UNARY)
            continue;
        cg_method_vars_init(&vars, s, i);
        cg_put_template(o, vars.at,
                        "typedef struct $helper$stream { tern_server_call *call; } "
                        "$helper$stream;\n");
        if (sends(kind))
            cg_put_template(o, vars.at,
                            "bool $helper$stream_send(\n"
                            "    $helper$stream *stream, const $output$ *res);\n");
        if (receives(kind))
            cg_put_template(o, vars.at,
                            "bool $helper$stream_recv(\n"
                            "    $helper$stream *stream, const $input$ **ret);\n");
    }
    cg_put(o, "\n");
}

static const char *const handlers[] = {
    [CG_UNARY] = "    tern_code (*$handler$)(void *self, tern_server_call *call,\n"
                 "        const $input$ *req, $output$ *res);\n",
    [CG_CLIENT_STREAMING] = "    tern_code (*$handler$)(void *self, $helper$stream *stream,\n"
                            "        $output$ *res);\n",
    [CG_SERVER_STREAMING] = "    tern_code (*$handler$)(void *self, $helper$stream *stream,\n"
                            "        const $input$ *req);\n",
    [CG_BIDI_STREAMING] = "    tern_code (*$handler$)(void *self, $helper$stream *stream);\n",
};

void cg_put_server_declarations(cg_out *o, const cg_service *s)
{
    size_t i;

    put_stream_handles(o, s);
    cg_putf(o,
            "/* What a server of %s implements. A member that is NULL answers UNIMPLEMENTED. */\n"
            "typedef struct %s_handlers {\n",
            s->full, s->stub);
    for (i = 0; i < s->n_methods; i++) {
        cg_method_vars vars;

        cg_method_vars_init(&vars, s, i);
        cg_put_comment(o, 4, s->methods[i].comment);
        cg_put_template(o, vars.at, handlers[s->methods[i].kind]);
    }
    if (s->n_methods == 0)
        cg_put(o, "    const void *reserved; /* no method; C has no empty structs */\n");
    cg_putf(o, "} %s_handlers;\n\n", s->stub);
}

/* --- source ----------------------------------------------------------------------------------- */

static void put_trampoline(cg_out *o, const cg_var *vars, cg_kind kind)
{
    cg_put_template(o, vars,
                    "static tern_code $stub$__invoke(const void *handlers, void *self, "
                    "tern_server_call *call, const void *req, void *res)\n"
                    "{\n"
                    "    const $service$_handlers *h = (const $service$_handlers *)handlers;\n");
    if (kind != CG_UNARY)
        cg_put_template(o, vars, "    $helper$stream stream = { call };\n");
    if (receives(kind))
        cg_put(o, "    (void)req;\n");
    if (sends(kind))
        cg_put(o, "    (void)res;\n");
    cg_put_template(o, vars, "    return h->$handler$ ? h->$handler$(self, ");
    cg_put(o, kind == CG_UNARY ? "call" : "&stream");
    if (!receives(kind))
        cg_put_template(o, vars, ", (const $input$ *)req");
    if (!sends(kind))
        cg_put_template(o, vars, ", ($output$ *)res");
    cg_put(o, ") : TERN_UNIMPLEMENTED;\n"
              "}\n");
}

void cg_put_trampolines(cg_out *o, const cg_service *s)
{
    size_t i;

    for (i = 0; i < s->n_methods; i++) {
        cg_method_vars vars;

        cg_method_vars_init(&vars, s, i);
        put_trampoline(o, vars.at, s->methods[i].kind);
    }
    cg_put(o, s->n_methods > 0 ? "\n" : "");
}

void cg_put_server_definitions(cg_out *o, const cg_service *s)
{
    size_t i;

    for (i = 0; i < s->n_methods; i++) {
        cg_method_vars vars;

        cg_method_vars_init(&vars, s, i);
        if (sends(s->methods[i].kind))
            cg_put_template(o, vars.at,
                            "bool $helper$stream_send($helper$stream *stream, const $output$ "
                            "*res) { return tern_stub_server_send(stream->call, "
                            "(const ProtobufCMessage *)res); }\n");
        if (receives(s->methods[i].kind))
            cg_put_template(o, vars.at,
                            "bool $helper$stream_recv($helper$stream *stream, const $input$ "
                            "**ret) { return tern_stub_server_recv(stream->call, "
                            "(const ProtobufCMessage **)ret); }\n");
    }
    cg_put(o, cg_count_kinds(s).n_streams > 0 ? "\n" : "");
}
