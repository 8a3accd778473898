/* Stubs are a typed skin and nothing more: the facts about a service stand in one constant table,
 * the logic is in the runtime, and a method costs ten lines of source: its entry in the table, the
 * trampoline by which the runtime calls the typed handler, and the client function.
 *
 * Streaming methods stand in the table, so that a server knows their paths, but have neither
 * function nor handler: what this version cannot do does not exist in C. */
#include "codegen/services.h"

#include "codegen/comments.h"

static const char *kind_macro(const cg_method *m)
{
    if (m->client_streaming)
        return m->server_streaming ? "TERN_KIND_BIDI_STREAMING" : "TERN_KIND_CLIENT_STREAMING";
    return m->server_streaming ? "TERN_KIND_SERVER_STREAMING" : "TERN_KIND_UNARY";
}

static const char *kind_words(const cg_method *m)
{
    if (m->client_streaming)
        return m->server_streaming ? "bidirectional streaming" : "client streaming";
    return m->server_streaming ? "server streaming" : "unary";
}

/* A number that a newer descriptor.proto might add means nothing that may be relied upon. */
static const char *idempotency_macro(const cg_method *m)
{
    switch (m->idempotency) {
    case GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__NO_SIDE_EFFECTS:
        return "TERN_NO_SIDE_EFFECTS";
    case GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__IDEMPOTENT:
        return "TERN_IDEMPOTENT";
    default:
        return "TERN_IDEMPOTENCY_UNKNOWN";
    }
}

/* --- header ----------------------------------------------------------------------------------- */

static void put_handlers(cg_out *o, const cg_service *s)
{
    size_t i;

    cg_putf(o,
            "/* What a server of %s implements. A member that is NULL answers UNIMPLEMENTED. */\n"
            "typedef struct %s_handlers {\n",
            s->full, s->stub);
    for (i = 0; i < s->n_methods; i++) {
        const cg_method *m = &s->methods[i];

        if (!cg_method_is_unary(m))
            continue;
        cg_put_comment(o, 4, m->comment);
        cg_putf(o,
                "    tern_code (*%s)(void *self, tern_server_call *call,\n"
                "        const %s *req, %s *res);\n",
                m->handler, m->input->names.type, m->output->names.type);
    }
    if (s->n_unary == 0)
        cg_put(o, "    const void *reserved; /* no unary method; C has no empty structs */\n");
    cg_putf(o, "} %s_handlers;\n\n", s->stub);
}

static void put_client_functions(cg_out *o, const cg_service *s)
{
    size_t i;

    for (i = 0; i < s->n_methods; i++) {
        const cg_method *m = &s->methods[i];

        if (!cg_method_is_unary(m)) {
            cg_putf(o,
                    "/* %s.%s is %s: this version of protoc-gen-tern generates unary functions\n"
                    " * only. */\n\n",
                    s->full, m->name, kind_words(m));
            continue;
        }
        cg_put_comment(o, 0, m->comment);
        cg_putf(o,
                "tern_code %s(tern_channel *ch, const tern_call_options *opts,\n"
                "    const %s *req, %s **ret, tern_status *reterr);\n\n",
                m->stub, m->input->names.type, m->output->names.type);
    }
}

void cg_put_service_declarations(cg_out *o, const cg_service *s)
{
    cg_putf(o, "/* --- %s --- */\n\n", s->full);
    cg_put_comment(o, 0, s->comment);
    cg_putf(o, "extern const tern_service %s;\n\n", s->stub);
    if (s->n_unary > 0)
        cg_put(
            o,
            "/* Each function makes one call and blocks until it has ended. `opts` may be NULL. On "
            "TERN_OK\n"
            " * *ret is a new message that the caller frees with its __free_unpacked function; on\n"
            " * failure *reterr (NULL: not wanted) says why, and *ret is untouched. */\n\n");
    put_client_functions(o, s);
    put_handlers(o, s);
    cg_putf(o,
            "/* Serves %s on `srv`, before its start. `handlers` and `self`, which every handler\n"
            " * gets, must outlive the server. */\n"
            "tern_code %s_register(tern_server *srv,\n"
            "    const struct %s_handlers *handlers, void *self, tern_status *reterr);\n\n",
            s->full, s->stub, s->stub);
}

/* --- source ----------------------------------------------------------------------------------- */

static void put_trampoline(cg_out *o, const cg_service *s, const cg_method *m)
{
    const cg_var vars[] = { { "stub", m->stub },
                            { "service", s->stub },
                            { "handler", m->handler },
                            { "input", m->input->names.type },
                            { "output", m->output->names.type },
                            { NULL, NULL } };

    cg_put_template(o, vars,
                    "static tern_code $stub$__invoke(const void *handlers, void *self, "
                    "tern_server_call *call, const void *req, void *res)\n"
                    "{\n"
                    "    const $service$_handlers *h = (const $service$_handlers *)handlers;\n"
                    "    return h->$handler$ ? h->$handler$(self, call, (const $input$ *)req, "
                    "($output$ *)res) : TERN_UNIMPLEMENTED;\n"
                    "}\n");
}

static void put_method_table(cg_out *o, const cg_service *s)
{
    size_t i;

    cg_putf(o, "static const tern_method %s__methods[] = {\n", s->stub);
    for (i = 0; i < s->n_methods; i++) {
        const cg_method *m = &s->methods[i];
        bool unary = cg_method_is_unary(m);

        cg_putf(o, "    { \"/%s/%s\", %s, %s, &%s__descriptor, &%s__descriptor, %s%s },\n", s->full,
                m->name, kind_macro(m), idempotency_macro(m), m->input->names.lower,
                m->output->names.lower, unary ? m->stub : "NULL", unary ? "__invoke" : "");
    }
    cg_put(o, "};\n\n");
}

static void put_client_function(cg_out *o, const cg_service *s, const cg_method *m, size_t index)
{
    cg_putf(
        o,
        "tern_code %s(tern_channel *ch, const tern_call_options *opts, const %s *req, %s **ret, "
        "tern_status *reterr)\n"
        "{\n"
        "    return tern_stub_unary(ch, &%s__methods[%zu], opts, (const ProtobufCMessage *)req, "
        "(ProtobufCMessage **)ret, reterr);\n"
        "}\n",
        m->stub, m->input->names.type, m->output->names.type, s->stub, index);
}

void cg_put_service_definitions(cg_out *o, const cg_service *s)
{
    size_t i;

    cg_putf(o, "/* --- %s --- */\n\n", s->full);
    for (i = 0; i < s->n_methods; i++)
        if (cg_method_is_unary(&s->methods[i]))
            put_trampoline(o, s, &s->methods[i]);
    cg_put(o, s->n_unary > 0 ? "\n" : "");
    if (s->n_methods > 0)
        put_method_table(o, s);
    cg_putf(o, "const tern_service %s = { \"%s\", ", s->stub, s->full);
    if (s->n_methods > 0)
        cg_putf(o, "%s__methods, %zu };\n\n", s->stub, s->n_methods);
    else
        cg_put(o, "NULL, 0 };\n\n");
    for (i = 0; i < s->n_methods; i++)
        if (cg_method_is_unary(&s->methods[i]))
            put_client_function(o, s, &s->methods[i], i);
    cg_put(o, s->n_unary > 0 ? "\n" : "");
    cg_putf(
        o,
        "tern_code %s_register(tern_server *srv, const struct %s_handlers *handlers, void *self, "
        "tern_status *reterr)\n"
        "{\n"
        "    return tern_stub_register(srv, &%s, handlers, self, reterr);\n"
        "}\n\n",
        s->stub, s->stub, s->stub);
}
