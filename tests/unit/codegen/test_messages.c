/* Messages in the header and in the source: members, unions, _INIT macros, helper functions. */
#include "codegen/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/protoset.h"

static void has(const cg_out *o, const char *text)
{
    if (!strstr(o->data, text))
        fail_msg("no \"%s\" in:\n%s", text, o->data);
}

static const cg_message *built(protoset *set)
{
    assert_int_equal(protoset_build(set), 0);
    return &set->model.files[0].messages[0];
}

static void test_struct(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_message_proto *m = protoset_message(&set, file, "M");
    cg_field_proto *f;
    cg_out o = { NULL, 0, 0 };

    (void)state;
    protoset_field(&set, m, "n", CG_TYPE(SINT64), NULL);
    protoset_field(&set, m, "text", CG_TYPE(STRING), NULL);
    f = protoset_field(&set, m, "many", CG_TYPE(MESSAGE), ".p.M");
    f->label = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
    f = protoset_field(&set, m, "maybe", CG_TYPE(BOOL), NULL);
    f->has_proto3_optional = f->proto3_optional = 1;
    protoset_oneof(&set, m, f, 0, "_maybe");
    protoset_field(&set, m, "data", CG_TYPE(BYTES), NULL);
    protoset_comment(&set, file, " A message.", 2, 4, 0);
    protoset_comment(&set, file, " A number.", 4, 4, 0, 2, 0);
    cg_put_struct(&set.arena, &o, built(&set));
    has(&o, "/* A message. */\n"
            "struct P__M\n{\n"
            "    ProtobufCMessage base;\n"
            "    /* A number. */\n"
            "    int64_t n;\n"
            "    char *text;\n"
            "    size_t n_many;\n"
            "    P__M **many;\n"
            "    protobuf_c_boolean has_maybe;\n"
            "    protobuf_c_boolean maybe;\n"
            "    ProtobufCBinaryData data;\n"
            "};\n");
    has(&o, "#define P__M__INIT \\\n"
            "    { PROTOBUF_C_MESSAGE_INIT(&p__m__descriptor) \\\n"
            "    , 0 \\\n"
            "    , (char *)(uintptr_t)protobuf_c_empty_string \\\n"
            "    , 0, NULL \\\n"
            "    , 0, 0 \\\n"
            "    , {0, NULL} \\\n"
            "    }\n");
    cg_out_free(&o);
    protoset_free(&set);
}

/* The widest member of a union stands first, so that its zero is the zero of all. */
static void test_union(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_message_proto *m = protoset_message(&set, file, "M");
    cg_out o = { NULL, 0, 0 };

    (void)state;
    protoset_oneof(&set, m, protoset_field(&set, m, "small", CG_TYPE(BOOL), NULL), 0, "one_of");
    protoset_oneof(&set, m, protoset_field(&set, m, "wide", CG_TYPE(BYTES), NULL), 0, "one_of");
    protoset_oneof(&set, m, protoset_field(&set, m, "text", CG_TYPE(STRING), NULL), 0, "one_of");
    cg_put_struct(&set.arena, &o, built(&set));
    has(&o, "typedef enum {\n"
            "    P__M__ONE_OF__NOT_SET = 0,\n"
            "    P__M__ONE_OF_SMALL = 1,\n"
            "    P__M__ONE_OF_WIDE = 2,\n"
            "    P__M__ONE_OF_TEXT = 3\n"
            "    PROTOBUF_C__FORCE_ENUM_TO_BE_INT_SIZE(P__M__ONE_OF__CASE)\n"
            "} P__M__OneOfCase;\n");
    has(&o, "    P__M__OneOfCase one_of_case;\n"
            "    union {\n"
            "        ProtobufCBinaryData wide;\n"
            "        protobuf_c_boolean small;\n"
            "        char *text;\n"
            "    };\n");
    has(&o, "    , P__M__ONE_OF__NOT_SET, {{0, NULL}} \\\n");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_nested(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_message_proto *m = protoset_message(&set, file, "M");
    cg_out o = { NULL, 0, 0 };

    (void)state;
    protoset_nested(&set, m, "In");
    protoset_value(&set, protoset_enum(&set, file, m, "E"), "X", 0);
    cg_put_typedefs(&o, built(&set));
    assert_string_equal(o.data, "typedef struct P__M P__M;\ntypedef struct P__M__In P__M__In;\n");
    cg_out_free(&o);
    cg_put_nested_enums(&o, &set.model.files[0].messages[0]);
    has(&o, "typedef enum _P__M__E {\n");
    cg_out_free(&o);
    cg_put_closures(&o, &set.model.files[0].messages[0]);
    assert_string_equal(o.data,
                        "typedef void (*P__M__In_Closure)(const P__M__In *message, void "
                        "*closure_data);\n"
                        "typedef void (*P__M_Closure)(const P__M *message, void *closure_data);\n");
    cg_out_free(&o);
    cg_put_descriptor_declarations(&o, &set.model.files[0].messages[0]);
    assert_string_equal(o.data, "extern const ProtobufCMessageDescriptor p__m__descriptor;\n"
                                "extern const ProtobufCMessageDescriptor p__m__in__descriptor;\n"
                                "extern const ProtobufCEnumDescriptor p__m__e__descriptor;\n");
    cg_out_free(&o);
    protoset_free(&set);
}

/* Nested messages have __init only; options take either away. */
static void test_functions(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_message *m;
    cg_out o = { NULL, 0, 0 };

    (void)state;
    protoset_nested(&set, protoset_message(&set, file, "M"), "In");
    built(&set);
    m = &set.model.files[0].messages[0];
    cg_put_function_declarations(&o, m);
    has(&o, "void p__m__in__init(P__M__In *message);\n");
    has(&o, "void p__m__init(P__M *message);\n");
    has(&o, "size_t p__m__get_packed_size(const P__M *message);\n");
    has(&o,
        "P__M *p__m__unpack(ProtobufCAllocator *allocator, size_t len, const uint8_t *data);\n");
    assert_null(strstr(o.data, "p__m__in__pack"));
    cg_out_free(&o);
    cg_put_functions(&o, m);
    has(&o, "    static const P__M init_value = P__M__INIT;\n");
    has(&o, "    assert(message->base.descriptor == &p__m__descriptor);\n");
    cg_out_free(&o);
    m->gen_init = m->gen_pack = m->messages[0].gen_init = false;
    cg_put_function_declarations(&o, m);
    assert_int_equal(o.len, 0);
    cg_out_free(&o);
    protoset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_struct),
        cmocka_unit_test(test_union),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_functions),
    };

    return cmocka_run_group_tests_name("codegen/messages", tests, NULL, NULL);
}
