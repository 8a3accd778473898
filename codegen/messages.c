/* What a program sees of a message: a plain struct whose first member points to its table, a macro
 * that initialises it, and functions that are skins over libprotobuf-c. Names, order and types of
 * the members are protoc-gen-c's. Two things are better than there: the constants in the _INIT
 * macros raise no warning in C or C++, and the initialised member of a union is its widest, so that
 * all of it is zero whatever the compiler does with the rest. */
#include "codegen/messages.h"

#include <string.h>

#include "codegen/defaults.h"
#include "codegen/enums.h"
#include "codegen/names.h"

void cg_put_typedefs(cg_out *o, const cg_message *msg)
{
    size_t i;

    cg_putf(o, "typedef struct %s %s;\n", msg->names.type, msg->names.type);
    for (i = 0; i < msg->n_messages; i++)
        cg_put_typedefs(o, &msg->messages[i]);
}

void cg_put_nested_enums(cg_out *o, const cg_message *msg)
{
    size_t i;

    for (i = 0; i < msg->n_messages; i++)
        cg_put_nested_enums(o, &msg->messages[i]);
    for (i = 0; i < msg->n_enums; i++)
        cg_put_enum(o, &msg->enums[i]);
}

/* --- the struct ------------------------------------------------------------------------------- */

/* The type of a member, with the asterisk of a pointer. */
static void put_member_type(cg_out *o, const cg_message *msg, const cg_field *f)
{
    switch (f->type) {
    case CG_TYPE(DOUBLE):
        cg_put(o, "double ");
        break;
    case CG_TYPE(FLOAT):
        cg_put(o, "float ");
        break;
    case CG_TYPE(INT32):
    case CG_TYPE(SINT32):
    case CG_TYPE(SFIXED32):
        cg_put(o, "int32_t ");
        break;
    case CG_TYPE(INT64):
    case CG_TYPE(SINT64):
    case CG_TYPE(SFIXED64):
        cg_put(o, "int64_t ");
        break;
    case CG_TYPE(UINT32):
    case CG_TYPE(FIXED32):
        cg_put(o, "uint32_t ");
        break;
    case CG_TYPE(UINT64):
    case CG_TYPE(FIXED64):
        cg_put(o, "uint64_t ");
        break;
    case CG_TYPE(BOOL):
        cg_put(o, "protobuf_c_boolean ");
        break;
    case CG_TYPE(STRING):
        cg_put(o, msg->file->options.const_strings ? "const char *" : "char *");
        break;
    case CG_TYPE(BYTES):
        cg_put(o, "ProtobufCBinaryData ");
        break;
    case CG_TYPE(ENUM):
        cg_putf(o, "%s ", f->enumeration->names.type);
        break;
    default:
        cg_putf(o, "%s *", f->message->names.type);
        break;
    }
}

static void put_member(cg_out *o, int indent, const cg_message *msg, const cg_field *f)
{
    const char *deprecated = f->deprecated ? " PROTOBUF_C__DEPRECATED" : "";

    cg_put_comment(o, indent, f->comment);
    if (f->label == CG_REPEATED)
        cg_putf(o, "%*ssize_t n_%s%s;\n", indent, "", f->member, deprecated);
    else if (f->has_flag)
        cg_putf(o, "%*sprotobuf_c_boolean has_%s%s;\n", indent, "", f->member, deprecated);
    cg_putf(o, "%*s", indent, "");
    put_member_type(o, msg, f);
    cg_putf(o, "%s%s%s;\n", f->label == CG_REPEATED ? "*" : "", f->member, deprecated);
}

static void put_oneof_enum(cg_arena *a, cg_out *o, const cg_oneof *oneof)
{
    size_t i;

    cg_putf(o, "typedef enum {\n    %s__NOT_SET = 0,\n", oneof->upper);
    for (i = 0; i < oneof->n_fields; i++)
        cg_putf(o, "    %s_%s = %d%s\n", oneof->upper, cg_camel_to_upper(a, oneof->fields[i]->name),
                oneof->fields[i]->number, i + 1 < oneof->n_fields ? "," : "");
    cg_putf(o, "    PROTOBUF_C__FORCE_ENUM_TO_BE_INT_SIZE(%s__CASE)\n} %s;\n\n", oneof->upper,
            oneof->type);
}

static int width(const cg_field *f)
{
    switch (f->type) {
    case CG_TYPE(BYTES):
        return 16;
    case CG_TYPE(DOUBLE):
    case CG_TYPE(INT64):
    case CG_TYPE(UINT64):
    case CG_TYPE(SINT64):
    case CG_TYPE(FIXED64):
    case CG_TYPE(SFIXED64):
        return 8;
    case CG_TYPE(STRING):
    case CG_TYPE(MESSAGE):
        return 7; /* 8 or 4: as wide as a pointer */
    default:
        return 4;
    }
}

static const cg_field *widest(const cg_oneof *oneof)
{
    const cg_field *best = oneof->fields[0];
    size_t i;

    for (i = 1; i < oneof->n_fields; i++)
        if (width(oneof->fields[i]) > width(best))
            best = oneof->fields[i];
    return best;
}

static void put_union(cg_out *o, const cg_message *msg, const cg_oneof *oneof)
{
    const cg_field *first = widest(oneof);
    size_t i;

    cg_put_comment(o, 4, oneof->comment);
    cg_putf(o, "    %s %s_case;\n    union {\n", oneof->type, oneof->member);
    put_member(o, 8, msg, first);
    for (i = 0; i < oneof->n_fields; i++)
        if (oneof->fields[i] != first)
            put_member(o, 8, msg, oneof->fields[i]);
    cg_put(o, "    };\n");
}

/* --- the _INIT macro -------------------------------------------------------------------------- */

/* Zero for the first member of a union, in a form that C++ takes as well. */
static void put_union_zero(cg_out *o, const cg_field *f)
{
    if (f->type == CG_TYPE(BYTES))
        cg_put(o, "{{0, NULL}}");
    else if (f->type == CG_TYPE(STRING) || f->type == CG_TYPE(MESSAGE))
        cg_put(o, "{NULL}");
    else if (f->type == CG_TYPE(ENUM))
        cg_putf(o, "{(%s)0}", f->enumeration->names.type);
    else
        cg_put(o, "{0}");
}

static void put_init_macro(cg_arena *a, cg_out *o, const cg_message *msg)
{
    size_t i;

    cg_putf(o, "#define %s__INIT \\\n    { PROTOBUF_C_MESSAGE_INIT(&%s__descriptor) \\\n",
            msg->names.upper, msg->names.lower);
    for (i = 0; i < msg->n_fields; i++) {
        const cg_field *f = &msg->fields[i];

        if (f->oneof)
            continue;
        if (f->label == CG_REPEATED)
            cg_put(o, "    , 0, NULL \\\n");
        else
            cg_putf(o, "    , %s%s \\\n", f->has_flag ? "0, " : "", cg_default_value(a, msg, f));
    }
    for (i = 0; i < msg->n_oneofs; i++) {
        cg_putf(o, "    , %s__NOT_SET, ", msg->oneofs[i].upper);
        put_union_zero(o, widest(&msg->oneofs[i]));
        cg_put(o, " \\\n");
    }
    cg_put(o, "    }\n\n");
}

void cg_put_struct(cg_arena *a, cg_out *o, const cg_message *msg)
{
    size_t i;

    for (i = 0; i < msg->n_messages; i++)
        cg_put_struct(a, o, &msg->messages[i]);
    for (i = 0; i < msg->n_oneofs; i++)
        put_oneof_enum(a, o, &msg->oneofs[i]);
    cg_put_comment(o, 0, msg->comment);
    cg_putf(o, "struct %s\n{\n    ProtobufCMessage %s;\n", msg->names.type, msg->base);
    for (i = 0; i < msg->n_fields; i++)
        if (!msg->fields[i].oneof)
            put_member(o, 4, msg, &msg->fields[i]);
    for (i = 0; i < msg->n_oneofs; i++)
        put_union(o, msg, &msg->oneofs[i]);
    cg_put(o, "};\n");
    cg_put_default_declarations(o, msg);
    put_init_macro(a, o, msg);
}

/* --- functions -------------------------------------------------------------------------------- */

static const char init_declaration[] = "/* $type$ methods */\n"
                                       "void $lower$__init($type$ *message);\n";

static const char pack_declarations[] =
    "size_t $lower$__get_packed_size(const $type$ *message);\n"
    "size_t $lower$__pack(const $type$ *message, uint8_t *out);\n"
    "size_t $lower$__pack_to_buffer(const $type$ *message, ProtobufCBuffer *buffer);\n"
    "$type$ *$lower$__unpack(ProtobufCAllocator *allocator, size_t len, const uint8_t *data);\n"
    "void $lower$__free_unpacked($type$ *message, ProtobufCAllocator *allocator);\n";

static const char init_definition[] = "void $lower$__init($type$ *message)\n"
                                      "{\n"
                                      "    static const $type$ init_value = $upper$__INIT;\n"
                                      "    *message = init_value;\n"
                                      "}\n";

static const char pack_definitions[] =
    "size_t $lower$__get_packed_size(const $type$ *message)\n"
    "{\n"
    "    assert(message->$base$.descriptor == &$lower$__descriptor);\n"
    "    return protobuf_c_message_get_packed_size((const ProtobufCMessage *)message);\n"
    "}\n"
    "size_t $lower$__pack(const $type$ *message, uint8_t *out)\n"
    "{\n"
    "    assert(message->$base$.descriptor == &$lower$__descriptor);\n"
    "    return protobuf_c_message_pack((const ProtobufCMessage *)message, out);\n"
    "}\n"
    "size_t $lower$__pack_to_buffer(const $type$ *message, ProtobufCBuffer *buffer)\n"
    "{\n"
    "    assert(message->$base$.descriptor == &$lower$__descriptor);\n"
    "    return protobuf_c_message_pack_to_buffer((const ProtobufCMessage *)message, buffer);\n"
    "}\n"
    "$type$ *$lower$__unpack(ProtobufCAllocator *allocator, size_t len, const uint8_t *data)\n"
    "{\n"
    "    return ($type$ *)protobuf_c_message_unpack(&$lower$__descriptor, allocator, len, data);\n"
    "}\n"
    "void $lower$__free_unpacked($type$ *message, ProtobufCAllocator *allocator)\n"
    "{\n"
    "    if (!message)\n"
    "        return;\n"
    "    assert(message->$base$.descriptor == &$lower$__descriptor);\n"
    "    protobuf_c_message_free_unpacked((ProtobufCMessage *)message, allocator);\n"
    "}\n";

static void put_with_names(cg_out *o, const cg_message *msg, const char *text)
{
    const cg_var vars[] = { { "type", msg->names.type },
                            { "lower", msg->names.lower },
                            { "upper", msg->names.upper },
                            { "base", msg->base },
                            { NULL, NULL } };

    cg_put_template(o, vars, text);
}

void cg_put_function_declarations(cg_out *o, const cg_message *msg)
{
    size_t i;

    for (i = 0; i < msg->n_messages; i++)
        cg_put_function_declarations(o, &msg->messages[i]);
    if (msg->gen_init)
        put_with_names(o, msg, init_declaration);
    if (msg->gen_pack)
        put_with_names(o, msg, pack_declarations);
}

void cg_put_functions(cg_out *o, const cg_message *msg)
{
    size_t i;

    for (i = 0; i < msg->n_messages; i++)
        cg_put_functions(o, &msg->messages[i]);
    if (msg->gen_init)
        put_with_names(o, msg, init_definition);
    if (msg->gen_pack)
        put_with_names(o, msg, pack_definitions);
    cg_put(o, msg->gen_init || msg->gen_pack ? "\n" : "");
}

void cg_put_closures(cg_out *o, const cg_message *msg)
{
    size_t i;

    for (i = 0; i < msg->n_messages; i++)
        cg_put_closures(o, &msg->messages[i]);
    cg_putf(o, "typedef void (*%s_Closure)(const %s *message, void *closure_data);\n",
            msg->names.type, msg->names.type);
}

void cg_put_descriptor_declarations(cg_out *o, const cg_message *msg)
{
    size_t i;

    cg_putf(o, "extern const ProtobufCMessageDescriptor %s__descriptor;\n", msg->names.lower);
    for (i = 0; i < msg->n_messages; i++)
        cg_put_descriptor_declarations(o, &msg->messages[i]);
    for (i = 0; i < msg->n_enums; i++)
        cg_putf(o, "extern const ProtobufCEnumDescriptor %s__descriptor;\n",
                msg->enums[i].names.lower);
}
