/* Enums: definition, and tables in the orders that libprotobuf-c searches. */
#include "codegen/enums.h"

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

static void test_int32(void **state)
{
    static const struct {
        int32_t value;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { -1, "-1" },
        { INT32_MAX, "2147483647" },
        { -INT32_MAX, "-2147483647" },
        { INT32_MIN, "(-2147483647 - 1)" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cg_out o = { NULL, 0, 0 };

        cg_put_int32(&o, cases[i].value);
        assert_string_equal(o.data, cases[i].text);
        cg_out_free(&o);
    }
}

/* Numbers out of order, with a gap, an alias and the least number. */
static const cg_enum *sample(protoset *set)
{
    cg_file_proto *file = protoset_file(set, "a.proto", "p");
    cg_enum_proto *e = protoset_enum(set, file, NULL, "Color");

    protoset_value(set, e, "RED", 5);
    protoset_value(set, e, "CRIMSON", 5);
    protoset_value(set, e, "BLACK", INT32_MIN);
    protoset_value(set, e, "BLUE", 6);
    protoset_comment(set, file, " Of a thing.", 2, 5, 0);
    protoset_comment(set, file, " As the sky.", 4, 5, 0, 2, 3);
    assert_int_equal(protoset_build(set), 0);
    return &set->model.files[0].enums[0];
}

static void test_definition(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    cg_put_enum(&o, sample(&set));
    assert_string_equal(o.data, "/* Of a thing. */\n"
                                "typedef enum _P__Color {\n"
                                "    P__COLOR__RED = 5,\n"
                                "    P__COLOR__CRIMSON = 5,\n"
                                "    P__COLOR__BLACK = (-2147483647 - 1),\n"
                                "    /* As the sky. */\n"
                                "    P__COLOR__BLUE = 6\n"
                                "    PROTOBUF_C__FORCE_ENUM_TO_BE_INT_SIZE(P__COLOR)\n"
                                "} P__Color;\n\n");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_tables(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    cg_put_enum_table(&set.arena, &o, sample(&set));
    has(&o, "p__color__enum_values_by_number[3] =\n{\n"
            "    { \"BLACK\", \"P__COLOR__BLACK\", (-2147483647 - 1) },\n"
            "    { \"RED\", \"P__COLOR__RED\", 5 },\n"
            "    { \"BLUE\", \"P__COLOR__BLUE\", 6 },\n};\n");
    has(&o, "p__color__value_ranges[] =\n{\n"
            "    { (-2147483647 - 1), 0 },\n"
            "    { 5, 1 },\n"
            "    { 0, 3 }\n};\n");
    has(&o, "p__color__enum_values_by_name[4] =\n{\n"
            "    { \"BLACK\", 0 },\n"
            "    { \"BLUE\", 2 },\n"
            "    { \"CRIMSON\", 1 },\n"
            "    { \"RED\", 1 },\n};\n");
    has(&o, "    3,\n    p__color__enum_values_by_number,\n"
            "    4,\n    p__color__enum_values_by_name,\n"
            "    2,\n    p__color__value_ranges,\n");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_code_size(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    sample(&set);
    set.model.files[0].code_size = true;
    cg_put_enum_table(&set.arena, &o, &set.model.files[0].enums[0]);
    has(&o, "    { NULL, NULL, 5 },\n");
    assert_null(strstr(o.data, "BLUE"));
    assert_null(strstr(o.data, "enum_values_by_name"));
    cg_out_free(&o);
    protoset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int32),
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_code_size),
    };

    return cmocka_run_group_tests_name("codegen/enums", tests, NULL, NULL);
}
