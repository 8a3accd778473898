/* protoset.h. Arrays of pointers grow one by one, each time into new memory of the arena: a test
 * has a handful of elements. */
#include "support/protoset.h"

#include <stdarg.h>
#include <string.h>

typedef Google__Protobuf__SourceCodeInfo__Location location_proto;

/* `array` with room for one more. */
static void *grown(protoset *s, void *array, size_t n)
{
    void **copy = cg_alloc(&s->arena, n + 1, sizeof(*copy));

    if (n > 0)
        memcpy(copy, array, n * sizeof(*copy));
    return copy;
}

cg_file_proto *protoset_file(protoset *s, const char *name, const char *package)
{
    cg_file_proto *file = cg_alloc(&s->arena, 1, sizeof(*file));

    google__protobuf__file_descriptor_proto__init(file);
    file->name = cg_strdup(&s->arena, name);
    file->package = cg_strdup(&s->arena, package);
    file->syntax = cg_strdup(&s->arena, "proto3");
    s->files[s->n_files++] = file;
    return file;
}

static cg_message_proto *new_message(protoset *s, const char *name)
{
    cg_message_proto *message = cg_alloc(&s->arena, 1, sizeof(*message));

    google__protobuf__descriptor_proto__init(message);
    message->name = cg_strdup(&s->arena, name);
    return message;
}

cg_message_proto *protoset_message(protoset *s, cg_file_proto *file, const char *name)
{
    file->message_type = grown(s, file->message_type, file->n_message_type);
    return file->message_type[file->n_message_type++] = new_message(s, name);
}

cg_message_proto *protoset_nested(protoset *s, cg_message_proto *message, const char *name)
{
    message->nested_type = grown(s, message->nested_type, message->n_nested_type);
    return message->nested_type[message->n_nested_type++] = new_message(s, name);
}

cg_field_proto *protoset_field(protoset *s, cg_message_proto *message, const char *name, int type,
                               const char *type_name)
{
    cg_field_proto *field = cg_alloc(&s->arena, 1, sizeof(*field));

    google__protobuf__field_descriptor_proto__init(field);
    field->name = cg_strdup(&s->arena, name);
    field->has_number = field->has_label = field->has_type = 1;
    field->number = (int32_t)message->n_field + 1;
    field->label = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_OPTIONAL;
    field->type = (Google__Protobuf__FieldDescriptorProto__Type)type;
    field->type_name = type_name ? cg_strdup(&s->arena, type_name) : NULL;
    message->field = grown(s, message->field, message->n_field);
    return message->field[message->n_field++] = field;
}

void protoset_oneof(protoset *s, cg_message_proto *message, cg_field_proto *field, int index,
                    const char *name)
{
    if ((size_t)index == message->n_oneof_decl) {
        Google__Protobuf__OneofDescriptorProto *oneof = cg_alloc(&s->arena, 1, sizeof(*oneof));

        google__protobuf__oneof_descriptor_proto__init(oneof);
        oneof->name = cg_strdup(&s->arena, name);
        message->oneof_decl = grown(s, message->oneof_decl, message->n_oneof_decl);
        message->oneof_decl[message->n_oneof_decl++] = oneof;
    }
    field->has_oneof_index = 1;
    field->oneof_index = index;
}

cg_enum_proto *protoset_enum(protoset *s, cg_file_proto *file, cg_message_proto *message,
                             const char *name)
{
    cg_enum_proto *e = cg_alloc(&s->arena, 1, sizeof(*e));

    google__protobuf__enum_descriptor_proto__init(e);
    e->name = cg_strdup(&s->arena, name);
    if (message) {
        message->enum_type = grown(s, message->enum_type, message->n_enum_type);
        return message->enum_type[message->n_enum_type++] = e;
    }
    file->enum_type = grown(s, file->enum_type, file->n_enum_type);
    return file->enum_type[file->n_enum_type++] = e;
}

void protoset_value(protoset *s, cg_enum_proto *e, const char *name, int32_t number)
{
    Google__Protobuf__EnumValueDescriptorProto *value = cg_alloc(&s->arena, 1, sizeof(*value));

    google__protobuf__enum_value_descriptor_proto__init(value);
    value->name = cg_strdup(&s->arena, name);
    value->has_number = 1;
    value->number = number;
    e->value = grown(s, e->value, e->n_value);
    e->value[e->n_value++] = value;
}

cg_service_proto *protoset_service(protoset *s, cg_file_proto *file, const char *name)
{
    cg_service_proto *service = cg_alloc(&s->arena, 1, sizeof(*service));

    google__protobuf__service_descriptor_proto__init(service);
    service->name = cg_strdup(&s->arena, name);
    file->service = grown(s, file->service, file->n_service);
    return file->service[file->n_service++] = service;
}

protoset_method_proto *protoset_method(protoset *s, cg_service_proto *service, const char *name,
                                       cg_kind kind, const char *type_name)
{
    protoset_method_proto *method = cg_alloc(&s->arena, 1, sizeof(*method));

    google__protobuf__method_descriptor_proto__init(method);
    method->name = cg_strdup(&s->arena, name);
    method->input_type = method->output_type = cg_strdup(&s->arena, type_name);
    method->has_client_streaming = method->has_server_streaming = 1;
    method->client_streaming = kind == CG_CLIENT_STREAMING || kind == CG_BIDI_STREAMING;
    method->server_streaming = kind == CG_SERVER_STREAMING || kind == CG_BIDI_STREAMING;
    service->method = grown(s, service->method, service->n_method);
    return service->method[service->n_method++] = method;
}

void protoset_comment(protoset *s, cg_file_proto *file, const char *text, int n, ...)
{
    location_proto *location = cg_alloc(&s->arena, 1, sizeof(*location));
    Google__Protobuf__SourceCodeInfo *info = file->source_code_info;
    va_list ap;
    int i;

    if (!info) {
        info = file->source_code_info = cg_alloc(&s->arena, 1, sizeof(*info));
        google__protobuf__source_code_info__init(info);
    }
    google__protobuf__source_code_info__location__init(location);
    location->leading_comments = cg_strdup(&s->arena, text);
    location->path = cg_alloc(&s->arena, (size_t)n, sizeof(*location->path));
    location->n_path = (size_t)n;
    va_start(ap, n);
    for (i = 0; i < n; i++)
        location->path[i] = va_arg(ap, int);
    va_end(ap);
    info->location = grown(s, info->location, info->n_location);
    info->location[info->n_location++] = location;
}

int protoset_build(protoset *s)
{
    size_t i;

    google__protobuf__compiler__code_generator_request__init(&s->request);
    s->request.proto_file = s->files;
    s->request.n_proto_file = s->n_files;
    s->request.file_to_generate = cg_alloc(&s->arena, s->n_files, sizeof(char *));
    s->request.n_file_to_generate = s->n_files;
    for (i = 0; i < s->n_files; i++)
        s->request.file_to_generate[i] = s->files[i]->name;
    memset(&s->model, 0, sizeof(s->model));
    s->model.arena = &s->arena;
    s->model.params.messages = true;
    s->model.params.prefix = "";
    return cg_model_build(&s->model, &s->request);
}

void protoset_free(protoset *s)
{
    cg_arena_free(&s->arena);
    memset(s, 0, sizeof(*s));
}
