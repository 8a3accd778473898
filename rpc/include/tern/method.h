/* What generated code states about services and methods: one constant table per service. The
 * tables are written by protoc-gen-tern; a program with another serializer can write its own. */
#ifndef TERN_METHOD_H
#define TERN_METHOD_H

#include <stddef.h>
#include <stdint.h>

#include <tern/export.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

typedef struct tern_server_call tern_server_call;

/* Which sides of a call are streams. */
typedef enum tern_method_kind {
    TERN_KIND_UNARY = 0,
    TERN_KIND_CLIENT_STREAMING = 1,
    TERN_KIND_SERVER_STREAMING = 2,
    TERN_KIND_BIDI_STREAMING = 3
} tern_method_kind;

/* `option idempotency_level` of the .proto (numbers of google/protobuf/descriptor.proto). A method
 * that is not UNKNOWN may be repeated after an attempt whose fate is in doubt. */
typedef enum tern_idempotency {
    TERN_IDEMPOTENCY_UNKNOWN = 0,
    TERN_NO_SIDE_EFFECTS = 1,
    TERN_IDEMPOTENT = 2
} tern_idempotency;

/* Calls one member of a handler table; NULL members answer TERN_UNIMPLEMENTED. `request` is NULL
 * where the client streams, `response` where the server does: those messages go through the call.
 * Generated. */
typedef tern_code (*tern_invoke)(const void *handlers, void *self, tern_server_call *call,
                                       const void *request, void *response);

/* One method. `request_type` and `response_type` belong to the serializer: generated code puts
 * ProtobufCMessageDescriptor pointers there. */
typedef struct tern_method {
    const char *path; /* "/pkg.Service/Method", exactly as on the wire */
    tern_method_kind kind;
    tern_idempotency idempotency;
    const void *request_type;
    const void *response_type;
    tern_invoke invoke;
} tern_method;

/* One .proto file: its name as others import it, and its serialized FileDescriptorProto. */
typedef struct tern_file {
    const char *name; /* "pkg/service.proto" */
    const void *descriptor;
    size_t len;
} tern_file;

/* One service: its full name ("pkg.Service") and its methods in the order of the .proto. `files`,
 * for reflection (tern/reflection.h), are the file that declares it and then all that it imports,
 * imports of imports included; NULL: left out (reflection=no). */
typedef struct tern_service {
    const char *name;
    const tern_method *methods;
    size_t n_methods;
    const tern_file *files;
    size_t n_files;
} tern_service;

TERN_END_DECLS

#endif
