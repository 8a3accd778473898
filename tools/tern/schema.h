/* A schema: the messages, enums and services of a set of .proto files, as descriptors, checked and
 * ready for look-ups. It comes from descriptor sets or from .proto files that protoc compiles.
 *
 * Everything inside belongs to the schema and is constant after loading. */
#ifndef TERN_TOOLS_SCHEMA_H
#define TERN_TOOLS_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <google/protobuf/descriptor.pb-c.h>

#include "tools/tern/cli.h"
#include "tools/tern/options.h"
#include "tools/tern/wire.h"

/* Shorter names for what protoc-gen-c generates. */
typedef Google__Protobuf__FileDescriptorProto cli_file_proto;
typedef Google__Protobuf__DescriptorProto cli_message_proto;
typedef Google__Protobuf__FieldDescriptorProto cli_field_proto;
typedef Google__Protobuf__EnumDescriptorProto cli_enum_proto;
typedef Google__Protobuf__ServiceDescriptorProto cli_service_proto;
typedef Google__Protobuf__MethodDescriptorProto cli_method_proto;

/* Types of fields, with the numbers of google/protobuf/descriptor.proto. */
typedef enum cli_type {
    CLI_TYPE_DOUBLE = 1,
    CLI_TYPE_FLOAT = 2,
    CLI_TYPE_INT64 = 3,
    CLI_TYPE_UINT64 = 4,
    CLI_TYPE_INT32 = 5,
    CLI_TYPE_FIXED64 = 6,
    CLI_TYPE_FIXED32 = 7,
    CLI_TYPE_BOOL = 8,
    CLI_TYPE_STRING = 9,
    CLI_TYPE_GROUP = 10,
    CLI_TYPE_MESSAGE = 11,
    CLI_TYPE_BYTES = 12,
    CLI_TYPE_UINT32 = 13,
    CLI_TYPE_ENUM = 14,
    CLI_TYPE_SFIXED32 = 15,
    CLI_TYPE_SFIXED64 = 16,
    CLI_TYPE_SINT32 = 17,
    CLI_TYPE_SINT64 = 18
} cli_type;

/* Messages whose JSON is not an object of their fields. */
typedef enum cli_wellknown {
    CLI_PLAIN = 0,
    CLI_TIMESTAMP,
    CLI_DURATION,
    CLI_WRAPPER, /* google.protobuf.Int32Value and its kin */
    CLI_STRUCT,
    CLI_VALUE,
    CLI_LIST_VALUE,
    CLI_FIELD_MASK,
    CLI_ANY
} cli_wellknown;

typedef struct cli_message cli_message;

/* Where an element was declared: the steps to it from its file, as SourceCodeInfo counts them. */
typedef struct cli_origin {
    const struct cli_origin *up; /* NULL: directly in the file */
    const cli_file_proto *file;
    int32_t tag;
    int32_t index;
} cli_origin;

typedef struct cli_enum {
    const char *full_name;
    const cli_enum_proto *proto;
    cli_origin origin;
    bool closed;     /* proto2: a number that is not declared is an unknown field */
    bool null_value; /* google.protobuf.NullValue: JSON null */
} cli_enum;

typedef struct cli_field {
    const cli_field_proto *proto;
    const char *name;
    const char *json_name;
    uint32_t number;
    cli_type type;
    bool repeated; /* maps too */
    bool required;
    bool packed;
    bool map;
    bool presence;               /* singular, and set is told apart from default */
    bool optional_keyword;       /* proto3 `optional` */
    int32_t oneof;               /* index of its oneof, -1: in none that was written by a person */
    const cli_message *message;  /* for CLI_TYPE_MESSAGE and CLI_TYPE_GROUP */
    const cli_enum *enumeration; /* for CLI_TYPE_ENUM */
} cli_field;

typedef struct cli_field_name {
    const char *name;
    size_t field; /* index */
} cli_field_name;

struct cli_message {
    const char *full_name;
    const cli_message_proto *proto;
    cli_origin origin;
    bool proto3;
    bool map_entry;
    cli_wellknown wellknown;
    cli_field *fields; /* by number */
    size_t n_fields;
    cli_field_name *names; /* JSON and original names, by name */
    size_t n_names;
    size_t n_oneofs;
};

typedef struct cli_service {
    const char *full_name;
    const cli_service_proto *proto;
    cli_origin origin;
    const struct cli_method *methods; /* in the order of the .proto */
} cli_service;

typedef struct cli_method {
    const char *full_name; /* "pkg.Service.Method" */
    const char *path;      /* "/pkg.Service/Method" */
    const cli_method_proto *proto;
    cli_origin origin;
    const cli_service *service;
    const cli_message *request;
    const cli_message *response;
} cli_method;

typedef enum cli_symbol_kind {
    CLI_SYMBOL_MESSAGE,
    CLI_SYMBOL_ENUM,
    CLI_SYMBOL_SERVICE,
    CLI_SYMBOL_METHOD
} cli_symbol_kind;

/* A name and what it stands for; `thing` is the struct that `kind` says. */
typedef struct cli_symbol {
    const char *full_name;
    cli_symbol_kind kind;
    const void *thing;
} cli_symbol;

typedef struct cli_schema cli_schema;

/* Loads what --proto, -I and --descriptor-set name. Fails with a sentence when none is given, a
 * file cannot be read or compiled, or the descriptors contradict themselves. Free with
 * cli_schema_free(). protoc's messages go to standard error as they are. */
int cli_schema_load(const cli_options *o, cli_schema **ret, cli_error *e);

/* Loads one serialized google.protobuf.FileDescriptorSet; `name` is for messages. */
int cli_schema_parse(const cli_span *set, const char *name, cli_schema **ret, cli_error *e);

void cli_schema_free(cli_schema *s); /* NULL is fine */

/* All symbols, by name. */
const cli_symbol *cli_schema_symbols(const cli_schema *s, size_t *ret_n);

/* Look-ups by full name, without a dot in front. NULL: there is none. */
const cli_symbol *cli_schema_find(const cli_schema *s, const char *full_name);
const cli_message *cli_schema_message(const cli_schema *s, const char *full_name);

/* A look-up for a person: fails with a sentence that names what comes near. */
int cli_schema_expect(const cli_schema *s, cli_symbol_kind kind, const char *name,
                      const cli_symbol **ret, cli_error *e);

/* Fails with a sentence: there is no symbol of that name, whatever its kind. */
int cli_schema_missing(const cli_schema *s, const char *name, cli_error *e);

/* Finds a method given as "pkg.Service/Method", "/pkg.Service/Method" or "pkg.Service.Method". */
int cli_schema_method(const cli_schema *s, const char *name, const cli_method **ret, cli_error *e);

/* "message", "enum", "service", "method". */
const char *cli_symbol_kind_name(cli_symbol_kind kind);

/* A field by number, or NULL; *hint remembers the place (begin with 0). */
const cli_field *cli_message_field(const cli_message *m, uint32_t number, size_t *hint);
/* The index of a field by JSON or original name, or SIZE_MAX. */
size_t cli_message_field_named(const cli_message *m, const char *name);

/* The name of a value (the first declared, when aliased), or NULL; and the reverse: 0 or -1. */
const char *cli_enum_name(const cli_enum *en, int32_t number);
int cli_enum_number(const cli_enum *en, const char *name, int32_t *ret);

/* Runs protoc over .proto files; *ret (initialised by the caller) gets the descriptor set. */
int cli_protoc_run(const cli_list *protos, const cli_list *include_dirs, cli_buf *ret,
                   cli_error *e);

/* Reads all of a file, "-" being `in`. *ret is initialised by the caller with the limit. */
int cli_read_file(const char *path, FILE *in, cli_buf *ret, cli_error *e);

#endif
