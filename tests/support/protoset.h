/* Descriptors of .proto files made by hand, and the generator's model of them: for tests of single
 * parts of the generator. Everything lives in one arena. */
#ifndef TERN__TESTS_PROTOSET_H
#define TERN__TESTS_PROTOSET_H

#include "codegen/model.h"

#define PROTOSET_FILES_MAX 4

typedef Google__Protobuf__MethodDescriptorProto protoset_method_proto;

/* Zero it before use. */
typedef struct protoset {
    cg_arena arena;
    cg_file_proto *files[PROTOSET_FILES_MAX];
    size_t n_files;
    cg_request request;
    cg_model model;
} protoset;

/* A new file with syntax proto3, which is to be generated. */
cg_file_proto *protoset_file(protoset *s, const char *name, const char *package);

cg_message_proto *protoset_message(protoset *s, cg_file_proto *file, const char *name);
cg_message_proto *protoset_nested(protoset *s, cg_message_proto *message, const char *name);

/* A singular field with the next number. `type` is a CG_TYPE; `type_name` (".p.M") may be NULL. */
cg_field_proto *protoset_field(protoset *s, cg_message_proto *message, const char *name, int type,
                               const char *type_name);

/* The field joins a oneof, which is made if `index` is the next one. */
void protoset_oneof(protoset *s, cg_message_proto *message, cg_field_proto *field, int index,
                    const char *name);

/* An enum without values: of the file, or of the message if that is not NULL. */
cg_enum_proto *protoset_enum(protoset *s, cg_file_proto *file, cg_message_proto *message,
                             const char *name);
void protoset_value(protoset *s, cg_enum_proto *e, const char *name, int32_t number);

cg_service_proto *protoset_service(protoset *s, cg_file_proto *file, const char *name);

/* A method whose request and response are the message `type_name` (".p.M"). */
protoset_method_proto *protoset_method(protoset *s, cg_service_proto *service, const char *name,
                                       cg_kind kind, const char *type_name);

/* A comment on the element at `path`, given as its length and that many numbers. */
void protoset_comment(protoset *s, cg_file_proto *file, const char *text, int n, ...);

/* Builds the model of all files, with messages=yes and no prefix. Returns what cg_model_build()
 * does; the model is s->model. */
int protoset_build(protoset *s);

void protoset_free(protoset *s);

#endif
