/* The files of a request as the generator sees them: every element with its C names, its comment
 * and its types resolved. Built once by cg_model_build(); everything that writes code only reads
 * it. All of it lives in the arena and borrows from the request. */
#ifndef CODEGEN_MODEL_H
#define CODEGEN_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <google/protobuf/compiler/plugin.pb-c.h>

#include "codegen/comments.h"
#include "codegen/memory.h"
#include "codegen/options.h"

typedef Google__Protobuf__Compiler__CodeGeneratorRequest cg_request;
typedef Google__Protobuf__FileDescriptorProto cg_file_proto;
typedef Google__Protobuf__DescriptorProto cg_message_proto;
typedef Google__Protobuf__FieldDescriptorProto cg_field_proto;
typedef Google__Protobuf__EnumDescriptorProto cg_enum_proto;
typedef Google__Protobuf__ServiceDescriptorProto cg_service_proto;

/* The type of a field and where to look for what it means; see <google/protobuf/descriptor.proto>.
 * */
#define CG_TYPE(t) GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##t

typedef struct cg_file cg_file;
typedef struct cg_message cg_message;

/* The names of a message or enum: as in the .proto, and in C. */
typedef struct cg_names {
    const char *simple; /* "PutPackage" */
    const char *full;   /* "package.v1.PutPackage" */
    const char *type;   /* "Package__V1__PutPackage" */
    const char *lower;  /* "package__v1__put_package" */
    const char *upper;  /* "PACKAGE__V1__PUT_PACKAGE" */
} cg_names;

typedef struct cg_enum_value {
    const char *name;
    const char *c_name;
    const char *comment;
    int32_t number;
} cg_enum_value;

typedef struct cg_enum {
    cg_names names;
    const cg_file *file;
    const char *comment;
    cg_enum_value *values;
    size_t n_values;
} cg_enum;

typedef enum cg_label { CG_REQUIRED, CG_OPTIONAL, CG_REPEATED, CG_NONE } cg_label;

typedef struct cg_oneof {
    const char *name;
    const char *member; /* "choice": the member that says which field is set is choice_case */
    const char *upper;  /* "FOO__CHOICE" */
    const char *type;   /* "Foo__ChoiceCase" */
    const char *comment;
    struct cg_field **fields;
    size_t n_fields;
} cg_oneof;

typedef struct cg_field {
    const cg_field_proto *proto;
    const char *name;
    const char *member;       /* in the struct */
    const char *default_name; /* "foo__bar__default_value" */
    const char *default_text; /* as in the descriptor; NULL: none */
    const char *comment;
    const cg_message *message;  /* of a field of a message type */
    const cg_enum *enumeration; /* of a field of an enum type */
    cg_oneof *oneof;            /* NULL: none, or the one that stands for proto3 `optional` */
    int32_t number;
    int type; /* CG_TYPE(…); a string kept as bytes has CG_TYPE(BYTES) */
    cg_label label;
    bool packed;
    bool deprecated;
    bool has_flag; /* a has_ member says whether it is set */
} cg_field;

struct cg_message {
    cg_names names;
    const cg_file *file;
    const char *comment;
    const char *base;
    bool gen_pack;
    bool gen_init;
    cg_field *fields; /* in the order of the .proto */
    size_t n_fields;
    cg_oneof *oneofs; /* without those of proto3 `optional` */
    size_t n_oneofs;
    cg_message *messages;
    size_t n_messages;
    cg_enum *enums;
    size_t n_enums;
};

/* Which sides of a method are streams. */
typedef enum cg_kind {
    CG_UNARY,
    CG_CLIENT_STREAMING,
    CG_SERVER_STREAMING,
    CG_BIDI_STREAMING
} cg_kind;

typedef struct cg_method {
    const char *name;
    const char *handler; /* member of the handler table */
    const char *stub;    /* the client function */
    const char *helper;  /* "foo_bar_": what the other names of the method begin with */
    const char *comment;
    const cg_message *input;
    const cg_message *output;
    cg_kind kind;
    int idempotency;
} cg_method;

typedef struct cg_service {
    const char *name;
    const char *full;
    const char *stub; /* "package_v1_package_service" */
    const char *comment;
    cg_method *methods;
    size_t n_methods;
} cg_service;

struct cg_file {
    const cg_file_proto *proto;
    const char *name;       /* "a/b.proto" */
    const char *base;       /* "a/b" */
    const char *identifier; /* "a_2fb_2eproto" */
    const char *package;
    cg_file_options options;
    bool proto3;
    bool code_size;
    bool generate;
    const cg_file **includes; /* files whose headers ours includes */
    size_t n_includes;
    cg_file **imports; /* all of them; NULL: not looked for */
    cg_file **embedded; /* whose descriptors go with the services; none: reflection=no */
    size_t n_embedded;
    cg_message *messages;
    size_t n_messages;
    cg_enum *enums;
    size_t n_enums;
    cg_service *services;
    size_t n_services;
};

typedef struct cg_model {
    cg_arena *arena;
    cg_params params;
    cg_file *files; /* in the order of the request */
    size_t n_files;
    struct cg_type *types; /* sorted by name; see cg_model_find() */
    size_t n_types;
    const char *error; /* NULL, or the first thing found wrong, for a person */
} cg_model;

/* Notes what is wrong, unless something was noted already. Always returns -1. */
int cg_fail(cg_model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The file of that name; NULL: there is none. */
cg_file *cg_model_file(const cg_model *m, const char *name);

/* Builds the model of a request whose parameter was read into m->params. Returns 0, or -1 with
 * m->error set. */
int cg_model_build(cg_model *m, const cg_request *request);

#endif
