/* Building the model takes two passes over the request. The first gives every file, message and
 * enum its names, because a field may be of a type that comes later or from another file. The
 * second resolves fields and methods, and needs only looking up.
 *
 * protoc has checked the files already, but a request may come from anywhere: names are checked to
 * be identifiers, since they become code, and a type that is not there is an error, not a crash. */
#include "codegen/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "codegen/embed.h"
#include "codegen/names.h"
#include "codegen/resolve.h"
#include "codegen/stub_names.h"

/* Field numbers within descriptor.proto, from which the positions of comments are made. */
enum {
    FILE_MESSAGES = 4,
    FILE_ENUMS = 5,
    FILE_SERVICES = 6,
    MESSAGE_MESSAGES = 3,
    MESSAGE_ENUMS = 4,
    ENUM_VALUES = 2,
    SERVICE_METHODS = 2
};

int cg_fail(cg_model *m, const char *fmt, ...)
{
    char text[2048];
    va_list ap;

    if (m->error)
        return -1;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    m->error = cg_strdup(m->arena, text);
    return -1;
}

static bool is_identifier(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char letters_digits[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

    return s && strspn(s, letters) > 0 && s[strspn(s, letters_digits)] == '\0';
}

static int check_name(cg_model *m, const cg_file *file, const char *scope, const char *name)
{
    if (is_identifier(name))
        return 0;
    return cg_fail(m, "%s: within \"%s\" an element is named \"%s\", which is no identifier",
                   file->name, scope, name ? name : "");
}

static const char *join(cg_arena *a, const char *scope, const char *name)
{
    return *scope ? cg_printf(a, "%s.%s", scope, name) : cg_strdup(a, name);
}

static cg_names make_names(cg_model *m, const cg_file *file, const char *scope, const char *name)
{
    cg_arena *a = m->arena;
    cg_names names;
    const char *in_c;

    names.simple = name;
    names.full = join(a, scope, name);
    in_c = cg_override_package(a, names.full, file->package, file->options.c_package);
    names.type = cg_full_camel(a, in_c);
    names.lower = cg_full_lower(a, in_c);
    names.upper = cg_full_upper(a, in_c);
    return names;
}

/* --- first pass: names ------------------------------------------------------------------------ */

static int build_enum(cg_model *m, const cg_file *file, const char *scope,
                      const cg_enum_proto *proto, cg_enum *ret)
{
    size_t i;

    if (check_name(m, file, scope, proto->name) < 0)
        return -1;
    ret->names = make_names(m, file, scope, proto->name);
    ret->file = file;
    if (proto->n_value == 0)
        return cg_fail(m, "%s: enum %s has no values", file->name, ret->names.full);
    ret->values = cg_alloc(m->arena, proto->n_value, sizeof(*ret->values));
    ret->n_values = proto->n_value;
    for (i = 0; i < proto->n_value; i++) {
        cg_enum_value *v = &ret->values[i];

        if (check_name(m, file, ret->names.full, proto->value[i]->name) < 0)
            return -1;
        v->name = proto->value[i]->name;
        v->c_name = cg_printf(m->arena, "%s__%s", ret->names.upper, v->name);
        v->number = proto->value[i]->number;
    }
    return 0;
}

static int build_enums(cg_model *m, const cg_file *file, const char *scope,
                       cg_enum_proto *const *protos, cg_enum *enums, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (build_enum(m, file, scope, protos[i], &enums[i]) < 0)
            return -1;
    return 0;
}

/* Which helper functions a message gets; what a message inherits from what it stands in. */
typedef struct helpers {
    bool pack_deep; /* nested messages get pack functions without being told so one by one */
    bool pack;
    bool init;
} helpers;

static int build_message(cg_model *m, const cg_file *file, const char *scope,
                         const cg_message_proto *proto, helpers inherited, int depth,
                         cg_message *ret)
{
    cg_message_options options;
    helpers nested = { true, false, false };
    size_t i;

    if (check_name(m, file, scope, proto->name) < 0)
        return -1;
    ret->names = make_names(m, file, scope, proto->name);
    ret->file = file;
    if (depth > CG_NESTING_MAX)
        return cg_fail(m, "%s: message %s is nested more than %d levels deep", file->name,
                       ret->names.full, CG_NESTING_MAX);
    if (cg_message_options_read(m->arena, (const ProtobufCMessage *)proto->options, &options) < 0)
        return cg_fail(m, "%s: message %s: option (pb_c_msg) is malformed", file->name,
                       ret->names.full);
    if (!is_identifier(options.base_field_name))
        return cg_fail(m,
                       "%s: message %s: option (pb_c_msg).base_field_name is \"%s\", which is "
                       "no identifier",
                       file->name, ret->names.full, options.base_field_name);
    ret->base = options.base_field_name;
    ret->gen_pack = options.has_gen_pack_helpers ? options.gen_pack_helpers : inherited.pack;
    ret->gen_init = options.has_gen_init_helpers ? options.gen_init_helpers : inherited.init;
    nested.pack = inherited.pack_deep ? ret->gen_pack : options.gen_pack_helpers;
    nested.init = ret->gen_init;

    ret->messages = cg_alloc(m->arena, proto->n_nested_type, sizeof(*ret->messages));
    ret->n_messages = proto->n_nested_type;
    for (i = 0; i < ret->n_messages; i++)
        if (build_message(m, file, ret->names.full, proto->nested_type[i], nested, depth + 1,
                          &ret->messages[i]) < 0)
            return -1;
    ret->enums = cg_alloc(m->arena, proto->n_enum_type, sizeof(*ret->enums));
    ret->n_enums = proto->n_enum_type;
    return build_enums(m, file, ret->names.full, proto->enum_type, ret->enums, ret->n_enums);
}

/* File names end up in #include lines and comments. */
static bool is_file_name(const char *name)
{
    if (!name || !*name)
        return false;
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7f || strchr("\"\\", *name))
            return false;
    return true;
}

static int build_file_facts(cg_model *m, const cg_file_proto *proto, cg_file *ret)
{
    const Google__Protobuf__FileOptions *options = proto->options;
    const char *syntax = proto->syntax ? proto->syntax : "proto2";

    if (!is_file_name(proto->name))
        return cg_fail(m,
                       "%s: the name of this file has a quotation mark, a backslash or a control "
                       "character in it: rename it",
                       proto->name ? proto->name : "");
    ret->proto = proto;
    ret->name = proto->name;
    ret->base = cg_strip_proto(m->arena, proto->name);
    ret->identifier = cg_file_identifier(m->arena, proto->name);
    ret->package = proto->package ? proto->package : "";
    ret->proto3 = strcmp(syntax, "proto3") == 0;
    if (!ret->proto3 && strcmp(syntax, "proto2") != 0 && *syntax)
        return cg_fail(m, "%s: syntax \"%s\" is not known to protoc-gen-tern: use proto2 or proto3",
                       ret->name, syntax);
    ret->code_size = options && options->has_optimize_for &&
                     options->optimize_for ==
                         GOOGLE__PROTOBUF__FILE_OPTIONS__OPTIMIZE_MODE__CODE_SIZE;
    if (cg_file_options_read(m->arena, (const ProtobufCMessage *)options, &ret->options) < 0)
        return cg_fail(m, "%s: option (pb_c_file) is malformed", ret->name);
    return 0;
}

static int check_package(cg_model *m, const cg_file *file, const char *what, const char *package)
{
    const char *rest = package;

    while (rest && *rest) {
        size_t len = strcspn(rest, ".");

        if (!is_identifier(cg_strndup(m->arena, rest, len)) || (rest[len] && !rest[len + 1]))
            return cg_fail(m, "%s: %s \"%s\" is not made of identifiers joined by dots", file->name,
                           what, package);
        rest += len;
        rest += *rest == '.';
    }
    return 0;
}

static int build_file(cg_model *m, const cg_file_proto *proto, cg_file *ret)
{
    helpers top;
    size_t i;

    if (build_file_facts(m, proto, ret) < 0 || check_package(m, ret, "package", ret->package) < 0 ||
        check_package(m, ret, "option (pb_c_file).c_package", ret->options.c_package) < 0)
        return -1;
    top.pack_deep = ret->options.has_gen_pack_helpers;
    top.pack = ret->options.gen_pack_helpers;
    top.init = ret->options.gen_init_helpers;
    ret->messages = cg_alloc(m->arena, proto->n_message_type, sizeof(*ret->messages));
    ret->n_messages = proto->n_message_type;
    for (i = 0; i < ret->n_messages; i++)
        if (build_message(m, ret, ret->package, proto->message_type[i], top, 1, &ret->messages[i]) <
            0)
            return -1;
    ret->enums = cg_alloc(m->arena, proto->n_enum_type, sizeof(*ret->enums));
    ret->n_enums = proto->n_enum_type;
    return build_enums(m, ret, ret->package, proto->enum_type, ret->enums, ret->n_enums);
}

/* --- second pass: fields, methods, comments --------------------------------------------------- */

static void comment_enum(cg_model *m, const cg_comments *comments, const cg_path *path, cg_enum *e)
{
    size_t i;

    e->comment = cg_comment_at(m->arena, comments, path);
    for (i = 0; i < e->n_values; i++) {
        cg_path value = cg_path_down(path, ENUM_VALUES, i);

        e->values[i].comment = cg_comment_at(m->arena, comments, &value);
    }
}

static int finish_message(cg_model *m, cg_message *msg, const cg_message_proto *proto,
                          const cg_path *path, const cg_comments *comments)
{
    size_t i;

    msg->comment = cg_comment_at(m->arena, comments, path);
    for (i = 0; i < msg->n_enums; i++) {
        cg_path down = cg_path_down(path, MESSAGE_ENUMS, i);

        comment_enum(m, comments, &down, &msg->enums[i]);
    }
    for (i = 0; i < msg->n_messages; i++) {
        cg_path down = cg_path_down(path, MESSAGE_MESSAGES, i);

        if (finish_message(m, &msg->messages[i], proto->nested_type[i], &down, comments) < 0)
            return -1;
    }
    return cg_fields_build(m, msg, proto, path, comments);
}

static int build_method(cg_model *m, const cg_file *file, const cg_service *service,
                        const Google__Protobuf__MethodDescriptorProto *proto, cg_method *ret)
{
    const Google__Protobuf__MethodOptions *options = proto->options;
    const cg_type *input, *output;

    if (check_name(m, file, service->full, proto->name) < 0)
        return -1;
    ret->name = proto->name;
    ret->handler = cg_stub_name(m->arena, "", proto->name);
    ret->stub = cg_client_function(m->arena, service->stub, proto->name);
    if (proto->client_streaming)
        ret->kind = proto->server_streaming ? CG_BIDI_STREAMING : CG_CLIENT_STREAMING;
    else
        ret->kind = proto->server_streaming ? CG_SERVER_STREAMING : CG_UNARY;
    if (options && options->has_idempotency_level)
        ret->idempotency = (int)options->idempotency_level;
    input = cg_type_find(m, proto->input_type);
    output = cg_type_find(m, proto->output_type);
    if (!input || !input->message || !output || !output->message)
        return cg_fail(m,
                       "%s: method %s.%s: its request or response type is not in the request to "
                       "protoc-gen-tern",
                       file->name, service->full, ret->name);
    ret->input = input->message;
    ret->output = output->message;
    return 0;
}

static int build_service(cg_model *m, const cg_file *file, const cg_service_proto *proto,
                         cg_service *ret)
{
    cg_arena *a = m->arena;
    size_t i;

    if (check_name(m, file, file->package, proto->name) < 0)
        return -1;
    ret->name = proto->name;
    ret->full = join(a, file->package, proto->name);
    ret->stub =
        cg_stub_name(a, m->params.prefix,
                     cg_override_package(a, ret->full, file->package, file->options.c_package));
    ret->methods = cg_alloc(a, proto->n_method, sizeof(*ret->methods));
    ret->n_methods = proto->n_method;
    for (i = 0; i < ret->n_methods; i++)
        if (build_method(m, file, ret, proto->method[i], &ret->methods[i]) < 0)
            return -1;
    return 0;
}

static int build_services(cg_model *m, cg_file *file, const cg_comments *comments)
{
    const cg_file_proto *proto = file->proto;
    const cg_path root = { { 0 }, 0 };
    size_t i, j;

    file->services = cg_alloc(m->arena, proto->n_service, sizeof(*file->services));
    file->n_services = proto->n_service;
    for (i = 0; i < file->n_services; i++) {
        cg_service *s = &file->services[i];
        cg_path path = cg_path_down(&root, FILE_SERVICES, i);

        if (build_service(m, file, proto->service[i], s) < 0)
            return -1;
        s->comment = cg_comment_at(m->arena, comments, &path);
        for (j = 0; j < s->n_methods; j++) {
            cg_path method = cg_path_down(&path, SERVICE_METHODS, j);

            s->methods[j].comment = cg_comment_at(m->arena, comments, &method);
        }
    }
    cg_name_helpers(m, file);
    return 0;
}

cg_file *cg_model_file(const cg_model *m, const char *name)
{
    size_t i;

    for (i = 0; i < m->n_files; i++)
        if (strcmp(m->files[i].name, name) == 0)
            return &m->files[i];
    return NULL;
}

static int resolve_includes(cg_model *m, cg_file *file)
{
    const cg_file_proto *proto = file->proto;
    size_t i;

    file->includes = cg_alloc(m->arena, proto->n_dependency, sizeof(*file->includes));
    for (i = 0; i < proto->n_dependency; i++) {
        const cg_file *dependency = cg_model_file(m, proto->dependency[i]);

        if (!dependency)
            return cg_fail(m,
                           "%s: it imports \"%s\", which is not in the request to "
                           "protoc-gen-tern",
                           file->name, proto->dependency[i]);
        if (!dependency->options.no_generate)
            file->includes[file->n_includes++] = dependency;
    }
    return 0;
}

static int finish_file(cg_model *m, cg_file *file)
{
    cg_comments comments = cg_comments_new(m->arena, file->proto->source_code_info);
    const cg_path root = { { 0 }, 0 };
    size_t i;

    if (resolve_includes(m, file) < 0)
        return -1;
    for (i = 0; m->params.messages && i < file->n_enums; i++) {
        cg_path path = cg_path_down(&root, FILE_ENUMS, i);

        comment_enum(m, &comments, &path, &file->enums[i]);
    }
    for (i = 0; m->params.messages && i < file->n_messages; i++) {
        cg_path path = cg_path_down(&root, FILE_MESSAGES, i);

        if (finish_message(m, &file->messages[i], file->proto->message_type[i], &path, &comments) <
            0)
            return -1;
    }
    return build_services(m, file, &comments);
}

int cg_model_build(cg_model *m, const cg_request *request)
{
    size_t i;

    m->files = cg_alloc(m->arena, request->n_proto_file, sizeof(*m->files));
    for (i = 0; i < request->n_proto_file; i++) {
        if (build_file(m, request->proto_file[i], &m->files[i]) < 0)
            return -1;
        m->n_files++;
    }
    for (i = 0; i < request->n_file_to_generate; i++) {
        cg_file *file = cg_model_file(m, request->file_to_generate[i]);

        if (!file)
            return cg_fail(m, "%s: to be generated, but not in the request to protoc-gen-tern",
                           request->file_to_generate[i]);
        file->generate = true;
    }
    cg_types_collect(m);
    for (i = 0; i < m->n_files; i++)
        if (m->files[i].generate && finish_file(m, &m->files[i]) < 0)
            return -1;
    return m->params.reflection ? cg_embed_resolve(m) : 0;
}
