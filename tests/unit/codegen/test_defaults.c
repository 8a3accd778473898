/* Values of unset fields: as C expressions, as constants, and what is no default at all. */
#include "codegen/defaults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/protoset.h"

/* A message of proto2 with one field; `text` is its default (NULL: none). Both are the first of
 * their kind in the model. */
static const cg_message *sample(protoset *set, int type, const char *text)
{
    cg_file_proto *file = protoset_file(set, "a.proto", "p");
    cg_enum_proto *e = protoset_enum(set, file, NULL, "E");
    cg_field_proto *f;

    file->syntax = NULL;
    protoset_value(set, e, "ONE", 1);
    protoset_value(set, e, "TWO", 2);
    f = protoset_field(set, protoset_message(set, file, "M"), "f", type,
                       type == CG_TYPE(ENUM)      ? ".p.E"
                       : type == CG_TYPE(MESSAGE) ? ".p.M"
                                                  : NULL);
    f->default_value = text ? cg_strdup(&set->arena, text) : NULL;
    assert_int_equal(protoset_build(set), 0);
    return &set->model.files[0].messages[0];
}

static void test_values(void **state)
{
    static const struct {
        int type;
        const char *text, *value;
    } cases[] = {
        { CG_TYPE(INT32), NULL, "0" },
        { CG_TYPE(INT32), "-7", "-7" },
        { CG_TYPE(SINT32), "-2147483648", "(-2147483647 - 1)" },
        { CG_TYPE(UINT32), "4294967295", "4294967295u" },
        { CG_TYPE(INT64), "-2147483648", "-2147483648ll" },
        { CG_TYPE(SFIXED64), "-9223372036854775808", "(-9223372036854775807ll - 1)" },
        { CG_TYPE(FIXED64), "18446744073709551615", "18446744073709551615ull" },
        { CG_TYPE(BOOL), "true", "1" },
        { CG_TYPE(BOOL), "false", "0" },
        { CG_TYPE(FLOAT), "1.5", "1.5f" },
        { CG_TYPE(FLOAT), "2", "2.0f" },
        { CG_TYPE(FLOAT), "1e+10", "1e+10f" },
        { CG_TYPE(DOUBLE), "-3", "-3.0" },
        { CG_TYPE(DOUBLE), "inf", "INFINITY" },
        { CG_TYPE(DOUBLE), "-inf", "-INFINITY" },
        { CG_TYPE(FLOAT), "nan", "NAN" },
        { CG_TYPE(ENUM), NULL, "P__E__ONE" },
        { CG_TYPE(ENUM), "TWO", "P__E__TWO" },
        { CG_TYPE(MESSAGE), NULL, "NULL" },
        { CG_TYPE(STRING), NULL, "NULL" },
        { CG_TYPE(STRING), "text", "p__m__f__default_value" },
        { CG_TYPE(BYTES), NULL, "{0, NULL}" },
        { CG_TYPE(BYTES), "a\\000\\x41\\n", "{4, p__m__f__default_value_data}" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        protoset set = { 0 };
        const cg_message *m = sample(&set, cases[i].type, cases[i].text);
        const char *n = cases[i].text ? strchr(cases[i].text, 'n') : NULL;
        bool floating = cases[i].type == CG_TYPE(FLOAT) || cases[i].type == CG_TYPE(DOUBLE);

        assert_int_equal(cg_default_check(&set.model, m, &m->fields[0]), 0);
        assert_string_equal(cg_default_value(&set.arena, m, &m->fields[0]), cases[i].value);
        assert_int_equal(cg_default_needs_math(&m->fields[0]), floating && n);
        protoset_free(&set);
    }
}

static void test_proto3(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    const cg_message *m;

    (void)state;
    protoset_field(&set, protoset_message(&set, file, "M"), "f", CG_TYPE(STRING), NULL);
    assert_int_equal(protoset_build(&set), 0);
    m = &set.model.files[0].messages[0];
    assert_string_equal(cg_default_value(&set.arena, m, &m->fields[0]),
                        "(char *)(uintptr_t)protobuf_c_empty_string");
    set.model.files[0].options.const_strings = true;
    assert_string_equal(cg_default_value(&set.arena, m, &m->fields[0]), "protobuf_c_empty_string");
    protoset_free(&set);
}

static void test_refused(void **state)
{
    static const struct {
        int type;
        const char *text;
    } cases[] = {
        { CG_TYPE(INT32), "2147483648" }, { CG_TYPE(INT32), "1 + 1" },
        { CG_TYPE(UINT32), "-1" },        { CG_TYPE(UINT64), "18446744073709551616" },
        { CG_TYPE(BOOL), "1" },           { CG_TYPE(FLOAT), "0x1" },
        { CG_TYPE(DOUBLE), "1e" },        { CG_TYPE(ENUM), "THREE" },
        { CG_TYPE(MESSAGE), "anything" }, { CG_TYPE(DOUBLE), "" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        protoset set = { 0 };
        const cg_message *m = sample(&set, cases[i].type, cases[i].text);

        assert_int_equal(cg_default_check(&set.model, m, &m->fields[0]), -1);
        assert_string_equal(set.model.error,
                            cg_printf(&set.arena,
                                      "a.proto: field p.M.f: \"%s\" cannot be its default",
                                      cases[i].text));
        protoset_free(&set);
    }
}

static void check_constants(int type, const char *text, const char *declared, const char *defined)
{
    protoset set = { 0 };
    const cg_message *m = sample(&set, type, text);
    cg_out header = { NULL, 0, 0 }, source = { NULL, 0, 0 };

    cg_put_default_declarations(&header, m);
    cg_put_default_constants(&set.arena, &source, m);
    if (declared)
        assert_string_equal(header.data, declared);
    else
        assert_int_equal(header.len, 0);
    assert_string_equal(source.data, defined);
    cg_out_free(&header);
    cg_out_free(&source);
    protoset_free(&set);
}

static void test_constants(void **state)
{
    (void)state;
    check_constants(CG_TYPE(INT32), "7", NULL,
                    "static const int32_t p__m__f__default_value = 7;\n");
    check_constants(CG_TYPE(ENUM), "TWO", NULL,
                    "static const P__E p__m__f__default_value = P__E__TWO;\n");
    check_constants(CG_TYPE(STRING),
                    "say \"hi\"?"
                    "?/\xc3\xa4" /* apart, or it is a trigraph */,
                    "extern char p__m__f__default_value[];\n",
                    "char p__m__f__default_value[] = \"say \\\"hi\\\"?\\?/\\303\\244\";\n");
    check_constants(CG_TYPE(BYTES), "\\0011\\xff\\'",
                    "extern uint8_t p__m__f__default_value_data[];\n",
                    "uint8_t p__m__f__default_value_data[] = \"\\0011\\377'\";\n"
                    "static const ProtobufCBinaryData p__m__f__default_value = "
                    "{4, p__m__f__default_value_data};\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_proto3),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_constants),
    };

    return cmocka_run_group_tests_name("codegen/defaults", tests, NULL, NULL);
}
