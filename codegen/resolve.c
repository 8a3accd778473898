/* Types by name, and fields. The table of types is sorted once and searched by bisection: a large
 * set of files (googleapis) has tens of thousands of types, and every field looks one up. */
#include "codegen/resolve.h"

#include <stdlib.h>
#include <string.h>

#include "codegen/names.h"

enum { MESSAGE_FIELDS = 2, MESSAGE_ONEOFS = 8 }; /* field numbers in descriptor.proto */

/* --- types ------------------------------------------------------------------------------------ */

static size_t count_types(const cg_message *messages, size_t n)
{
    size_t count = n, i;

    for (i = 0; i < n; i++)
        count += messages[i].n_enums + count_types(messages[i].messages, messages[i].n_messages);
    return count;
}

static void add_enums(cg_model *m, cg_enum *enums, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        cg_type *t = &m->types[m->n_types++];

        t->full = enums[i].names.full;
        t->enumeration = &enums[i];
    }
}

static void add_messages(cg_model *m, cg_message *messages, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        cg_type *t = &m->types[m->n_types++];

        t->full = messages[i].names.full;
        t->message = &messages[i];
        add_enums(m, messages[i].enums, messages[i].n_enums);
        add_messages(m, messages[i].messages, messages[i].n_messages);
    }
}

static int compare_types(const void *a, const void *b)
{
    return strcmp(((const cg_type *)a)->full, ((const cg_type *)b)->full);
}

void cg_types_collect(cg_model *m)
{
    size_t count = 0, i;

    for (i = 0; i < m->n_files; i++)
        count += m->files[i].n_enums + count_types(m->files[i].messages, m->files[i].n_messages);
    m->types = cg_alloc(m->arena, count, sizeof(*m->types));
    for (i = 0; i < m->n_files; i++) {
        add_enums(m, m->files[i].enums, m->files[i].n_enums);
        add_messages(m, m->files[i].messages, m->files[i].n_messages);
    }
    qsort(m->types, m->n_types, sizeof(*m->types), compare_types);
}

const cg_type *cg_type_find(const cg_model *m, const char *type_name)
{
    cg_type key = { NULL, NULL, NULL };

    if (!type_name || type_name[0] != '.' || m->n_types == 0)
        return NULL;
    key.full = type_name + 1;
    return bsearch(&key, m->types, m->n_types, sizeof(*m->types), compare_types);
}

/* --- fields ----------------------------------------------------------------------------------- */

static cg_label label_of(const cg_file *file, const cg_field_proto *proto)
{
    switch (proto->label) {
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED:
        return CG_REQUIRED;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED:
        return CG_REPEATED;
    default:
        return file->proto3 && !proto->proto3_optional ? CG_NONE : CG_OPTIONAL;
    }
}

static bool is_packed(const cg_file *file, const cg_field *f)
{
    const Google__Protobuf__FieldOptions *options = f->proto->options;

    if (f->label != CG_REPEATED || f->type == CG_TYPE(BYTES) || f->type == CG_TYPE(STRING) ||
        f->type == CG_TYPE(MESSAGE))
        return false;
    return options && options->has_packed ? options->packed : file->proto3;
}

static int resolve_field_type(cg_model *m, const cg_message *msg, cg_field *f)
{
    const cg_type *type;

    if (f->type == CG_TYPE(GROUP))
        return cg_fail(m,
                       "%s: field %s.%s is a group, which protobuf-c cannot carry: make it a "
                       "message field",
                       msg->file->name, msg->names.full, f->name);
    if (f->type != CG_TYPE(MESSAGE) && f->type != CG_TYPE(ENUM)) {
        if (f->type < CG_TYPE(DOUBLE) || f->type > CG_TYPE(SINT64))
            return cg_fail(m, "%s: field %s.%s has type %d, which protoc-gen-tern does not know",
                           msg->file->name, msg->names.full, f->name, f->type);
        return 0;
    }
    type = cg_type_find(m, f->proto->type_name);
    if (type) {
        f->message = type->message;
        f->enumeration = type->enumeration;
    }
    if ((f->type == CG_TYPE(MESSAGE)) ? !f->message : !f->enumeration)
        return cg_fail(m, "%s: field %s.%s: its type %s is not in the request to protoc-gen-tern",
                       msg->file->name, msg->names.full, f->name,
                       f->proto->type_name ? f->proto->type_name : "");
    return 0;
}

static int build_field(cg_model *m, const cg_message *msg, const cg_field_proto *proto, cg_field *f)
{
    cg_arena *a = m->arena;
    bool as_bytes;

    f->proto = proto;
    f->name = proto->name ? proto->name : "";
    f->number = proto->number;
    f->type = (int)proto->type;
    if (resolve_field_type(m, msg, f) < 0)
        return -1;
    if (cg_field_options_read(a, (const ProtobufCMessage *)proto->options, &as_bytes) < 0)
        return cg_fail(m, "%s: field %s.%s: option (pb_c_field) is malformed", msg->file->name,
                       msg->names.full, f->name);
    if (as_bytes && f->type == CG_TYPE(STRING))
        f->type = CG_TYPE(BYTES);
    f->member = cg_member_name(a, f->name);
    f->default_name =
        cg_printf(a, "%s__%s__default_value", msg->names.lower, cg_camel_to_lower(a, f->name));
    f->default_text = proto->default_value;
    f->label = label_of(msg->file, proto);
    f->packed = is_packed(msg->file, f);
    f->deprecated = proto->options && proto->options->deprecated;
    return 0;
}

/* The oneof that protoc wraps around a proto3 `optional` field exists only for programs that know
 * nothing of that; it must not show. */
static bool is_synthetic(const cg_message_proto *proto, size_t oneof)
{
    size_t i;

    for (i = 0; i < proto->n_field; i++)
        if (proto->field[i]->has_oneof_index && (size_t)proto->field[i]->oneof_index == oneof &&
            proto->field[i]->proto3_optional)
            return true;
    return false;
}

static void name_oneof(cg_model *m, const cg_message *msg, const char *name, cg_oneof *o)
{
    cg_arena *a = m->arena;

    o->name = name;
    o->member = cg_camel_to_lower(a, name);
    o->upper = cg_printf(a, "%s__%s", msg->names.upper, cg_camel_to_upper(a, name));
    o->type = cg_printf(a, "%s__%sCase", msg->names.type, cg_to_camel(a, name));
}

static void add_oneof_fields(cg_model *m, cg_message *msg, const cg_message_proto *proto,
                             size_t index, cg_oneof *o)
{
    size_t i;

    o->fields = cg_alloc(m->arena, proto->n_field, sizeof(*o->fields));
    for (i = 0; i < proto->n_field; i++) {
        if (!proto->field[i]->has_oneof_index || (size_t)proto->field[i]->oneof_index != index)
            continue;
        msg->fields[i].oneof = o;
        o->fields[o->n_fields++] = &msg->fields[i];
    }
}

static void build_oneofs(cg_model *m, cg_message *msg, const cg_message_proto *proto,
                         const cg_path *path, const cg_comments *comments)
{
    size_t i;

    msg->oneofs = cg_alloc(m->arena, proto->n_oneof_decl, sizeof(*msg->oneofs));
    for (i = 0; i < proto->n_oneof_decl; i++) {
        cg_path down = cg_path_down(path, MESSAGE_ONEOFS, i);
        cg_oneof *o = &msg->oneofs[msg->n_oneofs];

        if (is_synthetic(proto, i))
            continue;
        name_oneof(m, msg, proto->oneof_decl[i]->name ? proto->oneof_decl[i]->name : "", o);
        o->comment = cg_comment_at(m->arena, comments, &down);
        add_oneof_fields(m, msg, proto, i, o);
        msg->n_oneofs += o->n_fields > 0;
    }
}

int cg_fields_build(cg_model *m, cg_message *msg, const cg_message_proto *proto,
                    const cg_path *path, const cg_comments *comments)
{
    size_t i;

    msg->fields = cg_alloc(m->arena, proto->n_field, sizeof(*msg->fields));
    msg->n_fields = proto->n_field;
    for (i = 0; i < proto->n_field; i++) {
        cg_path down = cg_path_down(path, MESSAGE_FIELDS, i);

        if (build_field(m, msg, proto->field[i], &msg->fields[i]) < 0)
            return -1;
        msg->fields[i].comment = cg_comment_at(m->arena, comments, &down);
    }
    build_oneofs(m, msg, proto, path, comments);
    for (i = 0; i < msg->n_fields; i++) {
        cg_field *f = &msg->fields[i];

        f->has_flag = f->label == CG_OPTIONAL && !f->oneof && f->type != CG_TYPE(STRING) &&
                      f->type != CG_TYPE(MESSAGE);
    }
    return 0;
}
