/* Tables of a message: fields by number, indices by name, ranges, what a field says of itself. */
#include "codegen/tables.h"

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

/* Fields 4 (beta), 2 (alpha) and 3 (gamma), in this order. */
static cg_file *sample(protoset *set)
{
    cg_file_proto *file = protoset_file(set, "a.proto", "p");
    cg_message_proto *m = protoset_message(set, file, "M");
    cg_field_proto *f = protoset_field(set, m, "beta", CG_TYPE(INT32), NULL);

    f->number = 4;
    f->label = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
    protoset_field(set, m, "alpha", CG_TYPE(STRING), NULL);
    f = protoset_field(set, m, "gamma", CG_TYPE(MESSAGE), ".p.M");
    protoset_oneof(set, m, f, 0, "greek");
    protoset_field(set, m, "omega", CG_TYPE(BOOL), NULL)->number = 9;
    assert_int_equal(protoset_build(set), 0);
    return &set->model.files[0];
}

static void test_fields(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    cg_put_message_tables(&set.arena, &o, &sample(&set)->messages[0]);
    has(&o, "p__m__field_descriptors[4] =\n{\n"
            "    {\n"
            "        \"alpha\",\n"
            "        2,\n"
            "        PROTOBUF_C_LABEL_NONE,\n"
            "        PROTOBUF_C_TYPE_STRING,\n"
            "        0, /* quantifier_offset */\n"
            "        offsetof(P__M, alpha),\n"
            "        NULL,\n"
            "        &protobuf_c_empty_string,\n"
            "        0, /* flags */\n"
            "        0, NULL, NULL\n"
            "    },\n"
            "    {\n"
            "        \"gamma\",\n"
            "        3,\n"
            "        PROTOBUF_C_LABEL_NONE,\n"
            "        PROTOBUF_C_TYPE_MESSAGE,\n"
            "        offsetof(P__M, greek_case),\n"
            "        offsetof(P__M, gamma),\n"
            "        &p__m__descriptor,\n"
            "        NULL,\n"
            "        0 | PROTOBUF_C_FIELD_FLAG_ONEOF, /* flags */\n");
    has(&o, "        \"beta\",\n"
            "        4,\n"
            "        PROTOBUF_C_LABEL_REPEATED,\n"
            "        PROTOBUF_C_TYPE_INT32,\n"
            "        offsetof(P__M, n_beta),\n"
            "        offsetof(P__M, beta),\n"
            "        NULL,\n"
            "        NULL,\n"
            "        0 | PROTOBUF_C_FIELD_FLAG_PACKED, /* flags */\n");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_indices(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    cg_put_message_tables(&set.arena, &o, &sample(&set)->messages[0]);
    has(&o, "p__m__field_indices_by_name[] =\n{\n"
            "    0, /* alpha */\n"
            "    2, /* beta */\n"
            "    1, /* gamma */\n"
            "    3, /* omega */\n};\n");
    has(&o, "p__m__number_ranges[2 + 1] =\n{\n"
            "    { 2, 0 },\n"
            "    { 9, 3 },\n"
            "    { 0, 4 }\n};\n");
    has(&o, "    \"p.M\",\n    \"M\",\n    \"P__M\",\n    \"p\",\n"
            "    sizeof(P__M),\n    4,\n"
            "    p__m__field_descriptors,\n"
            "    p__m__field_indices_by_name,\n"
            "    2,\n"
            "    p__m__number_ranges,\n"
            "    (ProtobufCMessageInit)p__m__init,\n");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_options(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    cg_file *file = sample(&set);

    (void)state;
    file->options.use_oneof_field_name = true;
    cg_put_message_tables(&set.arena, &o, &file->messages[0]);
    has(&o, "        \"greek\",\n        3,\n");
    cg_out_free(&o);
    file->code_size = true;
    file->messages[0].gen_init = false;
    cg_put_message_tables(&set.arena, &o, &file->messages[0]);
    has(&o, "        NULL, /* CODE_SIZE */\n        2,\n");
    has(&o, "    NULL, /* gen_init_helpers = false */\n");
    assert_null(strstr(o.data, "\"alpha\""));
    assert_null(strstr(o.data, "field_indices_by_name"));
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_empty(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    protoset_nested(&set, protoset_message(&set, protoset_file(&set, "a.proto", ""), "M"), "In");
    assert_int_equal(protoset_build(&set), 0);
    cg_put_message_tables(&set.arena, &o, &set.model.files[0].messages[0]);
    has(&o, "const ProtobufCMessageDescriptor m__in__descriptor =\n");
    has(&o, "    sizeof(M),\n    0,\n    NULL,\n    NULL,\n    0,\n    NULL,\n");
    assert_true(strstr(o.data, "m__in__descriptor") <
                strstr(o.data, "const ProtobufCMessageDescriptor m__descriptor"));
    cg_out_free(&o);
    protoset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_indices),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests_name("codegen/tables", tests, NULL, NULL);
}
