/* From request to response. All files are made in memory before the first is handed over, and an
 * error empties the response of files: protoc writes everything or nothing. */
#include "codegen/request.h"

#include <stdlib.h>

#include "codegen/check.h"
#include "codegen/files.h"
#include "codegen/model.h"

typedef Google__Protobuf__Compiler__CodeGeneratorResponse response_message;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File response_file;

#define FILES_PER_PROTO_MAX 4 /* two with messages, two with stubs */

typedef void (*file_writer)(cg_arena *a, cg_out *o, const cg_file *f);

static void add_file(cg_model *m, response_message *response, const cg_file *f, const char *suffix,
                     file_writer write)
{
    response_file *file = cg_alloc(m->arena, 1, sizeof(*file));
    cg_out o = { NULL, 0, 0 };

    google__protobuf__compiler__code_generator_response__file__init(file);
    write(m->arena, &o, f);
    file->name = cg_printf(m->arena, "%s%s", f->base, suffix);
    file->content = cg_strdup(m->arena, o.data);
    cg_out_free(&o);
    response->file[response->n_file++] = file;
}

static void generate_file(cg_model *m, response_message *response, const cg_file *f)
{
    if (m->params.messages) {
        add_file(m, response, f, ".pb-c.h", cg_put_message_header);
        add_file(m, response, f, ".pb-c.c", cg_put_message_source);
    }
    if (f->n_services > 0) {
        add_file(m, response, f, ".tern.h", cg_put_stub_header);
        add_file(m, response, f, ".tern.c", cg_put_stub_source);
    }
}

static int generate(cg_model *m, const cg_request *request, response_message *response)
{
    const char *problem = cg_params_read(m->arena, request->parameter, &m->params);
    size_t i;

    if (problem)
        return cg_fail(m, "%s", problem);
    if (cg_model_build(m, request) < 0)
        return -1;
    if (cg_check_files(m) < 0)
        return -1;
    response->file = cg_alloc(m->arena, FILES_PER_PROTO_MAX * m->n_files, sizeof(*response->file));
    for (i = 0; i < m->n_files; i++)
        if (m->files[i].generate && !m->files[i].options.no_generate)
            generate_file(m, response, &m->files[i]);
    return 0;
}

int cg_answer(const uint8_t *bytes, size_t len, uint8_t **ret, size_t *ret_len)
{
    response_message response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
    cg_arena arena = { NULL };
    cg_model m = { .arena = &arena };
    cg_request *request;

    request = google__protobuf__compiler__code_generator_request__unpack(NULL, len, bytes);
    if (!request)
        return -1;
    if (request->n_file_to_generate == 0) {
        google__protobuf__compiler__code_generator_request__free_unpacked(request, NULL);
        return -1;
    }
    response.has_supported_features = 1;
    response.supported_features =
        GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FEATURE__FEATURE_PROTO3_OPTIONAL;
    if (generate(&m, request, &response) < 0) {
        response.error = cg_strdup(&arena, m.error);
        response.n_file = 0;
    }
    *ret = cg_realloc(
        NULL, google__protobuf__compiler__code_generator_response__get_packed_size(&response) + 1);
    *ret_len = google__protobuf__compiler__code_generator_response__pack(&response, *ret);
    google__protobuf__compiler__code_generator_request__free_unpacked(request, NULL);
    cg_arena_free(&arena);
    return 0;
}
