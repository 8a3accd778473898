/* Makes a schema of descriptors: declares every symbol first, then connects fields and methods with
 * the types they name. A descriptor set is a file that somebody hands in, so what protoc would
 * guarantee is checked: names, numbers, types that exist, map entries that look like some. */
#include "tools/tern/schema_build.h"

#include <stdlib.h>
#include <string.h>

#include "tools/tern/text.h"

enum { FIELD_NUMBER_MAX = (1 << 29) - 1 };

/* Steps in SourceCodeInfo paths: field numbers of descriptor.proto. */
enum {
    TAG_FILE_MESSAGE = 4,
    TAG_FILE_ENUM = 5,
    TAG_FILE_SERVICE = 6,
    TAG_MESSAGE_NESTED = 3,
    TAG_MESSAGE_ENUM = 4,
    TAG_SERVICE_METHOD = 2
};

/* The scope that declarations are made in. */
typedef struct scope {
    const cli_file_proto *file;
    const cli_origin *up;
    const char *prefix; /* full name of what encloses; "" at the top of a file without package */
    unsigned depth;
} scope;

static const char *file_name(const cli_file_proto *file)
{
    return file->name != NULL ? file->name : "(unnamed file)";
}

static bool is_proto3(const cli_file_proto *file)
{
    return file->syntax != NULL && strcmp(file->syntax, "proto3") == 0;
}

static bool is_identifier(const char *name)
{
    return name != NULL && name[0] != '\0' &&
           name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] ==
               '\0';
}

static char *format_name(cli_schema *s, const char *prefix, const char *name, cli_error *e)
{
    size_t len = strlen(prefix) + strlen(name) + 2;
    char *full = cli_schema_alloc(s, len, 1, e);
    if (full != NULL) {
        (void)snprintf(full, len, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", name);
    }
    return full;
}

static int add_symbol(cli_schema *s, cli_symbol_kind kind, const char *full_name, const void *thing,
                      cli_error *e)
{
    if (s->n_symbols == s->symbols_cap) {
        size_t cap = s->symbols_cap == 0 ? 256 : s->symbols_cap * 2;
        cli_symbol *symbols = realloc(s->symbols, cap * sizeof(*symbols));
        if (symbols == NULL) {
            return cli_fail_memory(e);
        }
        s->symbols = symbols;
        s->symbols_cap = cap;
    }
    s->symbols[s->n_symbols++] =
        (cli_symbol){ .full_name = full_name, .kind = kind, .thing = thing };
    return 0;
}

/* --- first pass: declare ---------------------------------------------------------------------- */

/* The full name of a new declaration, or NULL with *e set. */
static const char *declare_name(cli_schema *s, const scope *in, const char *name, cli_error *e)
{
    if (!is_identifier(name)) {
        (void)cli_fail(e, CLI_EXIT_USAGE, "%s: a declaration in \"%s\" has no valid name",
                       file_name(in->file), in->prefix);
        return NULL;
    }
    return format_name(s, in->prefix, name, e);
}

static int declare_enum(cli_schema *s, const scope *in, const cli_enum_proto *proto,
                        cli_origin origin, cli_error *e)
{
    cli_enum *en = cli_schema_alloc(s, 1, sizeof(*en), e);
    const char *name = en == NULL ? NULL : declare_name(s, in, proto->name, e);
    if (name == NULL) {
        return -1;
    }
    for (size_t i = 0; i < proto->n_value; i++) {
        if (!is_identifier(proto->value[i]->name)) {
            return cli_fail(e, CLI_EXIT_USAGE, "%s: enum %s has a value without a valid name",
                            file_name(in->file), name);
        }
    }
    if (proto->n_value == 0) {
        return cli_fail(e, CLI_EXIT_USAGE, "%s: enum %s has no values", file_name(in->file), name);
    }
    *en = (cli_enum){ .full_name = name,
                      .proto = proto,
                      .origin = origin,
                      .closed = !is_proto3(in->file),
                      .null_value = strcmp(name, "google.protobuf.NullValue") == 0 };
    return add_symbol(s, CLI_SYMBOL_ENUM, name, en, e);
}

static int declare_message(cli_schema *s, const scope *in, const cli_message_proto *proto,
                           cli_origin origin, cli_error *e)
{
    if (in->depth > CLI_DECLARATION_DEPTH_MAX) {
        return cli_fail(e, CLI_EXIT_USAGE, "%s: messages are declared more than %u levels deep",
                        file_name(in->file), CLI_DECLARATION_DEPTH_MAX);
    }
    cli_message *m = cli_schema_alloc(s, 1, sizeof(*m), e);
    const char *name = m == NULL ? NULL : declare_name(s, in, proto->name, e);
    if (name == NULL) {
        return -1;
    }
    m->full_name = name;
    m->proto = proto;
    m->origin = origin;
    m->proto3 = is_proto3(in->file);
    m->map_entry = proto->options != NULL && proto->options->map_entry;
    if (add_symbol(s, CLI_SYMBOL_MESSAGE, name, m, e) != 0) {
        return -1;
    }
    scope inside = { .file = in->file, .up = &m->origin, .prefix = name, .depth = in->depth + 1 };
    for (size_t i = 0; i < proto->n_nested_type; i++) {
        cli_origin at = { &m->origin, in->file, TAG_MESSAGE_NESTED, (int32_t)i };
        if (declare_message(s, &inside, proto->nested_type[i], at, e) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < proto->n_enum_type; i++) {
        cli_origin at = { &m->origin, in->file, TAG_MESSAGE_ENUM, (int32_t)i };
        if (declare_enum(s, &inside, proto->enum_type[i], at, e) != 0) {
            return -1;
        }
    }
    return 0;
}

static int declare_methods(cli_schema *s, const scope *in, cli_service *service, cli_error *e)
{
    const cli_service_proto *proto = service->proto;
    cli_method *methods = cli_schema_alloc(s, proto->n_method, sizeof(*methods), e);
    if (methods == NULL) {
        return -1;
    }
    service->methods = methods;
    scope inside = { .file = in->file, .up = &service->origin, .prefix = service->full_name };
    for (size_t i = 0; i < proto->n_method; i++) {
        const char *name = declare_name(s, &inside, proto->method[i]->name, e);
        if (name == NULL) {
            return -1;
        }
        size_t len = strlen(name) + 2;
        char *path = cli_schema_alloc(s, len, 1, e);
        if (path == NULL) {
            return -1;
        }
        (void)snprintf(path, len, "/%s/%s", service->full_name, proto->method[i]->name);
        methods[i].full_name = name;
        methods[i].path = path;
        methods[i].proto = proto->method[i];
        methods[i].service = service;
        methods[i].origin =
            (cli_origin){ &service->origin, in->file, TAG_SERVICE_METHOD, (int32_t)i };
        if (add_symbol(s, CLI_SYMBOL_METHOD, name, &methods[i], e) != 0) {
            return -1;
        }
    }
    return 0;
}

static int declare_service(cli_schema *s, const scope *in, const cli_service_proto *proto,
                           cli_origin origin, cli_error *e)
{
    cli_service *service = cli_schema_alloc(s, 1, sizeof(*service), e);
    const char *name = service == NULL ? NULL : declare_name(s, in, proto->name, e);
    if (name == NULL) {
        return -1;
    }
    service->full_name = name;
    service->proto = proto;
    service->origin = origin;
    if (add_symbol(s, CLI_SYMBOL_SERVICE, name, service, e) != 0) {
        return -1;
    }
    return declare_methods(s, in, service, e);
}

static int declare_file(cli_schema *s, const cli_file_proto *file, cli_error *e)
{
    scope top = { .file = file, .prefix = file->package != NULL ? file->package : "" };
    if (file->syntax != NULL && strcmp(file->syntax, "proto2") != 0 && !is_proto3(file)) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "%s: its syntax is \"%s\"; this version reads proto2 and proto3",
                        file_name(file), file->syntax);
    }
    for (size_t i = 0; i < file->n_message_type; i++) {
        cli_origin at = { NULL, file, TAG_FILE_MESSAGE, (int32_t)i };
        if (declare_message(s, &top, file->message_type[i], at, e) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < file->n_enum_type; i++) {
        cli_origin at = { NULL, file, TAG_FILE_ENUM, (int32_t)i };
        if (declare_enum(s, &top, file->enum_type[i], at, e) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < file->n_service; i++) {
        cli_origin at = { NULL, file, TAG_FILE_SERVICE, (int32_t)i };
        if (declare_service(s, &top, file->service[i], at, e) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- second pass: connect --------------------------------------------------------------------- */

static const cli_symbol *resolve(const cli_schema *s, const char *type_name, cli_symbol_kind kind)
{
    if (type_name == NULL || type_name[0] != '.') {
        return NULL;
    }
    const cli_symbol *symbol = cli_schema_find(s, type_name + 1);
    return symbol != NULL && symbol->kind == kind ? symbol : NULL;
}

static int field_fault(const cli_message *m, const cli_field_proto *proto, const char *what,
                       cli_error *e)
{
    return cli_fail(e, CLI_EXIT_USAGE, "%s: message %s, field %s: %s", file_name(m->origin.file),
                    m->full_name, proto->name != NULL ? proto->name : "(unnamed)", what);
}

static int connect_type(const cli_schema *s, const cli_message *m, cli_field *f, cli_error *e)
{
    bool is_enum = f->type == CLI_TYPE_ENUM;
    if (!is_enum && f->type != CLI_TYPE_MESSAGE && f->type != CLI_TYPE_GROUP) {
        return 0;
    }
    const cli_symbol *symbol =
        resolve(s, f->proto->type_name, is_enum ? CLI_SYMBOL_ENUM : CLI_SYMBOL_MESSAGE);
    if (symbol == NULL) {
        char what[256];
        (void)snprintf(what, sizeof(what),
                       "its type %s is not in the descriptor set; was it made with "
                       "--include_imports?",
                       f->proto->type_name != NULL ? f->proto->type_name : "(none)");
        return field_fault(m, f->proto, what, e);
    }
    if (is_enum) {
        f->enumeration = symbol->thing;
    } else {
        f->message = symbol->thing;
    }
    return 0;
}

static bool is_packable(cli_type type)
{
    return type != CLI_TYPE_STRING && type != CLI_TYPE_BYTES && type != CLI_TYPE_MESSAGE &&
           type != CLI_TYPE_GROUP;
}

static int connect_field(cli_schema *s, const cli_message *m, const cli_field_proto *proto,
                         cli_field *f, cli_error *e)
{
    if (!is_identifier(proto->name)) {
        return field_fault(m, proto, "it has no valid name", e);
    }
    if (proto->number < 1 || proto->number > FIELD_NUMBER_MAX) {
        return field_fault(m, proto, "its number is not in 1..536870911", e);
    }
    if (!proto->has_type || (int)proto->type < CLI_TYPE_DOUBLE ||
        (int)proto->type > CLI_TYPE_SINT64) {
        return field_fault(m, proto, "its type is unknown", e);
    }
    if (proto->has_oneof_index &&
        (proto->oneof_index < 0 || (size_t)proto->oneof_index >= m->n_oneofs)) {
        return field_fault(m, proto, "its oneof does not exist", e);
    }
    char *json_name = cli_schema_alloc(s, strlen(proto->name) + 1, 1, e);
    if (json_name == NULL) {
        return -1;
    }
    cli_camel_case(proto->name, json_name);
    f->proto = proto;
    f->name = proto->name;
    f->json_name = proto->json_name != NULL ? proto->json_name : json_name;
    f->number = (uint32_t)proto->number;
    f->type = (cli_type)proto->type;
    f->repeated = proto->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
    f->required = proto->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED;
    f->optional_keyword = proto->has_proto3_optional && proto->proto3_optional;
    f->oneof = proto->has_oneof_index && !f->optional_keyword ? proto->oneof_index : -1;
    f->packed =
        f->repeated && is_packable(f->type) &&
        (proto->options != NULL && proto->options->has_packed ? proto->options->packed : m->proto3);
    f->presence = !f->repeated && (!m->proto3 || proto->has_oneof_index ||
                                   f->type == CLI_TYPE_MESSAGE || f->type == CLI_TYPE_GROUP);
    if (cli_utf8_check((const uint8_t *)f->json_name, strlen(f->json_name)) !=
        strlen(f->json_name)) {
        return field_fault(m, proto, "its json_name is not UTF-8", e);
    }
    return connect_type(s, m, f, e);
}

static int compare_fields(const void *a, const void *b)
{
    const cli_field *x = a;
    const cli_field *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int compare_names(const void *a, const void *b)
{
    const cli_field_name *x = a;
    const cli_field_name *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : x->field < y->field ? -1 : x->field > y->field;
}

/* Sorts JSON names and original names of all fields. A name that two fields claim (protoc warns
 * about it in proto2) stays with the field of the lower number. */
static int index_names(cli_schema *s, cli_message *m, cli_error *e)
{
    cli_field_name *names = cli_schema_alloc(s, 2 * m->n_fields, sizeof(*names), e);
    if (names == NULL) {
        return -1;
    }
    for (size_t i = 0; i < m->n_fields; i++) {
        names[2 * i] = (cli_field_name){ m->fields[i].json_name, i };
        names[2 * i + 1] = (cli_field_name){ m->fields[i].name, i };
    }
    qsort(names, 2 * m->n_fields, sizeof(*names), compare_names);
    size_t n = 0;
    for (size_t i = 0; i < 2 * m->n_fields; i++) {
        if (n == 0 || strcmp(names[n - 1].name, names[i].name) != 0) {
            names[n++] = names[i];
        }
    }
    m->names = names;
    m->n_names = n;
    return 0;
}

static bool is_map_key(cli_type type)
{
    return type != CLI_TYPE_DOUBLE && type != CLI_TYPE_FLOAT && type != CLI_TYPE_BYTES &&
           type != CLI_TYPE_ENUM && type != CLI_TYPE_MESSAGE && type != CLI_TYPE_GROUP;
}

static int connect_message(cli_schema *s, cli_message *m, cli_error *e)
{
    m->n_oneofs = m->proto->n_oneof_decl;
    for (size_t i = 0; i < m->n_oneofs; i++) {
        if (!is_identifier(m->proto->oneof_decl[i]->name)) {
            return cli_fail(e, CLI_EXIT_USAGE, "%s: message %s has a oneof without a valid name",
                            file_name(m->origin.file), m->full_name);
        }
    }
    m->fields = cli_schema_alloc(s, m->proto->n_field, sizeof(*m->fields), e);
    if (m->fields == NULL) {
        return -1;
    }
    m->n_fields = m->proto->n_field;
    for (size_t i = 0; i < m->n_fields; i++) {
        if (connect_field(s, m, m->proto->field[i], &m->fields[i], e) != 0) {
            return -1;
        }
    }
    qsort(m->fields, m->n_fields, sizeof(*m->fields), compare_fields);
    for (size_t i = 1; i < m->n_fields; i++) {
        if (m->fields[i].number == m->fields[i - 1].number) {
            return field_fault(m, m->fields[i].proto, "its number is taken", e);
        }
    }
    if (m->map_entry && (m->n_fields != 2 || m->fields[0].number != 1 || m->fields[1].number != 2 ||
                         m->fields[0].repeated || m->fields[1].repeated ||
                         !is_map_key(m->fields[0].type) || m->fields[1].type == CLI_TYPE_GROUP)) {
        return cli_fail(e, CLI_EXIT_USAGE, "%s: message %s says it is a map entry, but it is none",
                        file_name(m->origin.file), m->full_name);
    }
    return index_names(s, m, e);
}

/* Maps are known as such only when the fields of all messages are. */
static int connect_maps(cli_message *m, cli_error *e)
{
    for (size_t i = 0; i < m->n_fields; i++) {
        cli_field *f = &m->fields[i];
        f->map = f->type == CLI_TYPE_MESSAGE && f->message->map_entry;
        if (f->map && !f->repeated) {
            return field_fault(m, f->proto, "it is a map entry that is not repeated", e);
        }
    }
    cli_schema_mark_wellknown(m);
    return 0;
}

static int connect_service(const cli_schema *s, const cli_service *service, cli_error *e)
{
    for (size_t i = 0; i < service->proto->n_method; i++) {
        const cli_method_proto *proto = service->proto->method[i];
        const cli_symbol *request = resolve(s, proto->input_type, CLI_SYMBOL_MESSAGE);
        const cli_symbol *response = resolve(s, proto->output_type, CLI_SYMBOL_MESSAGE);
        if (request == NULL || response == NULL) {
            const char *type = request == NULL ? proto->input_type : proto->output_type;
            return cli_fail(e, CLI_EXIT_USAGE,
                            "%s: method %s: its type %s is not in the descriptor set; was it made "
                            "with --include_imports?",
                            file_name(service->origin.file), service->methods[i].full_name,
                            type != NULL ? type : "(none)");
        }
        /* The methods are the schema's own; they are const only to its users. */
        cli_method *method = (cli_method *)(uintptr_t)&service->methods[i];
        method->request = request->thing;
        method->response = response->thing;
    }
    return 0;
}

static int compare_symbols(const void *a, const void *b)
{
    return strcmp(((const cli_symbol *)a)->full_name, ((const cli_symbol *)b)->full_name);
}

static cli_message *as_message(const cli_symbol *symbol)
{
    return symbol->kind == CLI_SYMBOL_MESSAGE ? (cli_message *)(uintptr_t)symbol->thing : NULL;
}

int cli_schema_build(cli_schema *s, cli_error *e)
{
    for (size_t i = 0; i < s->n_files; i++) {
        if (declare_file(s, s->files[i], e) != 0) {
            return -1;
        }
    }
    if (s->n_symbols == 0) {
        return 0;
    }
    qsort(s->symbols, s->n_symbols, sizeof(*s->symbols), compare_symbols);
    for (size_t i = 1; i < s->n_symbols; i++) {
        if (strcmp(s->symbols[i - 1].full_name, s->symbols[i].full_name) == 0) {
            return cli_fail(e, CLI_EXIT_USAGE, "%s is declared twice", s->symbols[i].full_name);
        }
    }
    for (size_t i = 0; i < s->n_symbols; i++) {
        const cli_symbol *symbol = &s->symbols[i];
        int rc = symbol->kind == CLI_SYMBOL_MESSAGE   ? connect_message(s, as_message(symbol), e)
                 : symbol->kind == CLI_SYMBOL_SERVICE ? connect_service(s, symbol->thing, e)
                                                      : 0;
        if (rc != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < s->n_symbols; i++) {
        cli_message *m = as_message(&s->symbols[i]);
        if (m != NULL && connect_maps(m, e) != 0) {
            return -1;
        }
    }
    return 0;
}
