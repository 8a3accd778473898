/* Stubs are a typed skin and nothing more: the facts about a service stand in one constant table,
 * the logic is in the runtime, and a method costs about ten lines of source on each side: its entry
 * in the table and the trampoline by which the runtime calls the typed handler, the client
 * function, and for a stream the functions that move its messages. The two sides have files of
 * their own, service_client.c and service_server.c; here is what they share. */
#include "codegen/services.h"

#include <stdio.h>

#include "codegen/comments.h"
#include "codegen/service_sides.h"

static const char *const kind_macros[] = {
    [CG_UNARY] = "TERN_KIND_UNARY",
    [CG_CLIENT_STREAMING] = "TERN_KIND_CLIENT_STREAMING",
    [CG_SERVER_STREAMING] = "TERN_KIND_SERVER_STREAMING",
    [CG_BIDI_STREAMING] = "TERN_KIND_BIDI_STREAMING",
};

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

cg_kinds cg_count_kinds(const cg_service *s)
{
    cg_kinds kinds = { { 0 }, 0 };
    size_t i;

    for (i = 0; i < s->n_methods; i++) {
        kinds.n[s->methods[i].kind]++;
        kinds.n_streams += s->methods[i].kind != CG_UNARY;
    }
    return kinds;
}

void cg_method_vars_init(cg_method_vars *vars, const cg_service *s, size_t index)
{
    const cg_method *m = &s->methods[index];

    snprintf(vars->index, sizeof(vars->index), "%zu", index);
    vars->at[0] = (cg_var){ "service", s->stub };
    vars->at[1] = (cg_var){ "stub", m->stub };
    vars->at[2] = (cg_var){ "helper", m->helper };
    vars->at[3] = (cg_var){ "handler", m->handler };
    vars->at[4] = (cg_var){ "input", m->input->names.type };
    vars->at[5] = (cg_var){ "output", m->output->names.type };
    vars->at[6] = (cg_var){ "index", vars->index };
    vars->at[7] = (cg_var){ NULL, NULL };
}

void cg_put_service_declarations(cg_out *o, const cg_service *s)
{
    cg_putf(o, "/* --- %s --- */\n\n", s->full);
    cg_put_comment(o, 0, s->comment);
    cg_putf(o, "extern const tern_service %s;\n\n", s->stub);
    cg_put_client_declarations(o, s);
    cg_put_async_declarations(o, s);
    cg_put_server_declarations(o, s);
    cg_putf(o,
            "/* Serves %s on `srv`, before its start. `handlers` and `self`, which every handler\n"
            " * gets, must outlive the server. */\n"
            "tern_code %s_register(tern_server *srv,\n"
            "    const struct %s_handlers *handlers, void *self, tern_status *reterr);\n\n",
            s->full, s->stub, s->stub);
}

static void put_method_table(cg_out *o, const cg_service *s)
{
    size_t i;

    cg_putf(o, "static const tern_method %s__methods[] = {\n", s->stub);
    for (i = 0; i < s->n_methods; i++) {
        const cg_method *m = &s->methods[i];

        cg_putf(o, "    { \"/%s/%s\", %s, %s, &%s__descriptor, &%s__descriptor, %s__invoke },\n",
                s->full, m->name, kind_macros[m->kind], idempotency_macro(m), m->input->names.lower,
                m->output->names.lower, m->stub);
    }
    cg_put(o, "};\n\n");
}

void cg_put_service_definitions(cg_out *o, const cg_file *f, const cg_service *s)
{
    cg_putf(o, "/* --- %s --- */\n\n", s->full);
    cg_put_trampolines(o, s);
    if (s->n_methods > 0)
        put_method_table(o, s);
    cg_putf(o, "const tern_service %s = { \"%s\", ", s->stub, s->full);
    if (s->n_methods > 0)
        cg_putf(o, "%s__methods, %zu, ", s->stub, s->n_methods);
    else
        cg_put(o, "NULL, 0, ");
    if (f->n_embedded > 0)
        cg_putf(o, "tern__files, %zu };\n\n", f->n_embedded);
    else
        cg_put(o, "NULL, 0 };\n\n");
    cg_put_client_definitions(o, s);
    cg_put_async_definitions(o, s);
    cg_put_server_definitions(o, s);
    cg_putf(
        o,
        "tern_code %s_register(tern_server *srv, const struct %s_handlers *handlers, void *self, "
        "tern_status *reterr)\n"
        "{\n"
        "    return tern_stub_register(srv, &%s, handlers, self, reterr);\n"
        "}\n\n",
        s->stub, s->stub, s->stub);
}
