/* A message's table: its fields by number, the order of their names, the runs of numbers, and the
 * descriptor that holds it all together. The values are protoc-gen-c's, entry for entry; a proto3
 * `optional` field is an OPTIONAL one whose has_ member libprotobuf-c reads and writes, exactly as
 * in proto2. Positional initialisers throughout, since designated ones are not C++. */
#include "codegen/tables.h"

#include <stdlib.h>
#include <string.h>

#include "codegen/defaults.h"
#include "codegen/enums.h"
#include "codegen/names.h"

static const char *type_macro(const cg_field *f)
{
    static const char *const names[] = {
        [CG_TYPE(DOUBLE)] = "DOUBLE",     [CG_TYPE(FLOAT)] = "FLOAT",
        [CG_TYPE(INT64)] = "INT64",       [CG_TYPE(UINT64)] = "UINT64",
        [CG_TYPE(INT32)] = "INT32",       [CG_TYPE(FIXED64)] = "FIXED64",
        [CG_TYPE(FIXED32)] = "FIXED32",   [CG_TYPE(BOOL)] = "BOOL",
        [CG_TYPE(STRING)] = "STRING",     [CG_TYPE(MESSAGE)] = "MESSAGE",
        [CG_TYPE(BYTES)] = "BYTES",       [CG_TYPE(UINT32)] = "UINT32",
        [CG_TYPE(ENUM)] = "ENUM",         [CG_TYPE(SFIXED32)] = "SFIXED32",
        [CG_TYPE(SFIXED64)] = "SFIXED64", [CG_TYPE(SINT32)] = "SINT32",
        [CG_TYPE(SINT64)] = "SINT64",
    };

    return names[f->type];
}

static const char *label_macro(const cg_field *f)
{
    static const char *const names[] = { [CG_REQUIRED] = "REQUIRED",
                                         [CG_OPTIONAL] = "OPTIONAL",
                                         [CG_REPEATED] = "REPEATED",
                                         [CG_NONE] = "NONE" };

    return names[f->label];
}

/* Where libprotobuf-c finds the count, the flag or the case of a field. */
static void put_quantifier(cg_out *o, const cg_message *msg, const cg_field *f)
{
    if (f->oneof)
        cg_putf(o, "        offsetof(%s, %s_case),\n", msg->names.type, f->oneof->member);
    else if (f->label == CG_REPEATED)
        cg_putf(o, "        offsetof(%s, n_%s),\n", msg->names.type, f->member);
    else if (f->has_flag)
        cg_putf(o, "        offsetof(%s, has_%s),\n", msg->names.type, f->member);
    else
        cg_put(o, "        0, /* quantifier_offset */\n");
}

static void put_type_and_default(cg_out *o, const cg_message *msg, const cg_field *f)
{
    if (f->message)
        cg_putf(o, "        &%s__descriptor,\n", f->message->names.lower);
    else if (f->enumeration)
        cg_putf(o, "        &%s__descriptor,\n", f->enumeration->names.lower);
    else
        cg_put(o, "        NULL,\n");
    if (f->default_text)
        cg_putf(o, "        &%s,\n", f->default_name);
    else if (msg->file->proto3 && f->type == CG_TYPE(STRING) && f->label != CG_OPTIONAL)
        cg_put(o, "        &protobuf_c_empty_string,\n");
    else
        cg_put(o, "        NULL,\n");
}

static void put_field(cg_out *o, const cg_message *msg, const cg_field *f)
{
    bool by_oneof = f->oneof && msg->file->options.use_oneof_field_name;

    if (msg->file->code_size)
        cg_put(o, "    {\n        NULL, /* CODE_SIZE */\n");
    else
        cg_putf(o, "    {\n        \"%s\",\n", by_oneof ? f->oneof->name : f->name);
    cg_putf(o, "        %d,\n        PROTOBUF_C_LABEL_%s,\n        PROTOBUF_C_TYPE_%s,\n",
            f->number, label_macro(f), type_macro(f));
    put_quantifier(o, msg, f);
    cg_putf(o, "        offsetof(%s, %s),\n", msg->names.type, f->member);
    put_type_and_default(o, msg, f);
    cg_putf(o, "        0%s%s%s, /* flags */\n        0, NULL, NULL\n    },\n",
            f->packed ? " | PROTOBUF_C_FIELD_FLAG_PACKED" : "",
            f->deprecated ? " | PROTOBUF_C_FIELD_FLAG_DEPRECATED" : "",
            f->oneof ? " | PROTOBUF_C_FIELD_FLAG_ONEOF" : "");
}

/* A field and its place in the table. */
typedef struct placed {
    const cg_field *field;
    size_t index;
} placed;

static int compare_numbers(const void *a, const void *b)
{
    int32_t x = ((const placed *)a)->field->number, y = ((const placed *)b)->field->number;

    return x < y ? -1 : x > y;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const placed *)a)->field->name, ((const placed *)b)->field->name);
}

/* Runs of successive field numbers; returns how many. */
static size_t put_number_ranges(cg_out *o, const cg_message *msg, const placed *fields)
{
    size_t n_ranges = 0, i;

    for (i = 0; i < msg->n_fields; i++)
        n_ranges += i == 0 || fields[i - 1].field->number + 1 != fields[i].field->number;
    cg_putf(o, "static const ProtobufCIntRange %s__number_ranges[%zu + 1] =\n{\n", msg->names.lower,
            n_ranges);
    for (i = 0; i < msg->n_fields; i++)
        if (i == 0 || fields[i - 1].field->number + 1 != fields[i].field->number)
            cg_putf(o, "    { %d, %zu },\n", fields[i].field->number, i);
    cg_putf(o, "    { 0, %zu }\n};\n", msg->n_fields);
    return n_ranges;
}

static size_t put_field_tables(cg_arena *a, cg_out *o, const cg_message *msg)
{
    placed *fields = cg_alloc(a, msg->n_fields, sizeof(*fields));
    size_t n_ranges, i;

    for (i = 0; i < msg->n_fields; i++)
        fields[i].field = &msg->fields[i];
    qsort(fields, msg->n_fields, sizeof(*fields), compare_numbers);
    cg_putf(o, "static const ProtobufCFieldDescriptor %s__field_descriptors[%zu] =\n{\n",
            msg->names.lower, msg->n_fields);
    for (i = 0; i < msg->n_fields; i++) {
        fields[i].index = i;
        put_field(o, msg, fields[i].field);
    }
    cg_put(o, "};\n");
    n_ranges = put_number_ranges(o, msg, fields);
    if (msg->file->code_size)
        return n_ranges;
    qsort(fields, msg->n_fields, sizeof(*fields), compare_names);
    cg_putf(o, "static const unsigned %s__field_indices_by_name[] =\n{\n", msg->names.lower);
    for (i = 0; i < msg->n_fields; i++)
        cg_putf(o, "    %zu, /* %s */\n", fields[i].index, fields[i].field->name);
    cg_put(o, "};\n");
    return n_ranges;
}

static void put_table_name(cg_out *o, const cg_message *msg, const char *table, bool present)
{
    if (present)
        cg_putf(o, "    %s__%s,\n", msg->names.lower, table);
    else
        cg_put(o, "    NULL,\n");
}

static void put_descriptor(cg_arena *a, cg_out *o, const cg_message *msg, size_t n_ranges)
{
    const cg_file *file = msg->file;
    bool fields = msg->n_fields > 0;

    cg_putf(o,
            "const ProtobufCMessageDescriptor %s__descriptor =\n{\n"
            "    PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,\n",
            msg->names.lower);
    if (file->code_size)
        cg_put(o, "    NULL, NULL, NULL, NULL, /* CODE_SIZE */\n");
    else
        cg_putf(o, "    \"%s\",\n    \"%s\",\n    \"%s\",\n    \"%s\",\n", msg->names.full,
                cg_to_camel(a, msg->names.simple), msg->names.type, file->package);
    cg_putf(o, "    sizeof(%s),\n    %zu,\n", msg->names.type, msg->n_fields);
    put_table_name(o, msg, "field_descriptors", fields);
    put_table_name(o, msg, "field_indices_by_name", fields && !file->code_size);
    cg_putf(o, "    %zu,\n", n_ranges);
    put_table_name(o, msg, "number_ranges", fields);
    if (msg->gen_init)
        cg_putf(o, "    (ProtobufCMessageInit)%s__init,\n", msg->names.lower);
    else
        cg_put(o, "    NULL, /* gen_init_helpers = false */\n");
    cg_put(o, "    NULL, NULL, NULL\n};\n\n");
}

void cg_put_message_tables(cg_arena *a, cg_out *o, const cg_message *msg)
{
    size_t n_ranges = 0, i;

    for (i = 0; i < msg->n_messages; i++)
        cg_put_message_tables(a, o, &msg->messages[i]);
    for (i = 0; i < msg->n_enums; i++)
        cg_put_enum_table(a, o, &msg->enums[i]);
    cg_put_default_constants(a, o, msg);
    if (msg->n_fields > 0)
        n_ranges = put_field_tables(a, o, msg);
    put_descriptor(a, o, msg, n_ranges);
}
