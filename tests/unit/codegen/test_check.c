/* Names that meet in C: within a struct, a handler table, a file, and among files. */
#include "codegen/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/protoset.h"

/* The set is refused with a message that has all patterns (up to a NULL); with none, it is fine. */
static void check(protoset *set, const char *first, ...)
{
    const char *pattern;
    va_list ap;

    assert_int_equal(protoset_build(set), 0);
    if (!first) {
        if (cg_check_files(&set->model) != 0)
            fail_msg("refused: %s", set->model.error);
        assert_null(set->model.error);
        protoset_free(set);
        return;
    }
    assert_int_equal(cg_check_files(&set->model), -1);
    va_start(ap, first);
    for (pattern = first; pattern; pattern = va_arg(ap, const char *))
        if (!strstr(set->model.error, pattern))
            fail_msg("no \"%s\" in: %s", pattern, set->model.error);
    va_end(ap);
    protoset_free(set);
}

static void test_fields(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_message_proto *m = protoset_message(&set, file, "M");

    (void)state;
    protoset_field(&set, m, "one", CG_TYPE(INT32), NULL);
    protoset_field(&set, m, "two", CG_TYPE(INT32), NULL);
    check(&set, NULL);

    file = protoset_file(&set, "a.proto", "p");
    m = protoset_message(&set, file, "M");
    protoset_field(&set, m, "fooBar", CG_TYPE(INT32), NULL);
    protoset_field(&set, m, "foobar", CG_TYPE(INT32), NULL);
    check(&set, "a.proto: ", "field p.M.fooBar", "field p.M.foobar", "\"foobar\"", NULL);

    file = protoset_file(&set, "a.proto", "p");
    m = protoset_nested(&set, protoset_message(&set, file, "M"), "Inner");
    protoset_field(&set, m, "base", CG_TYPE(INT32), NULL);
    check(&set, "field p.M.Inner.base", "base_field_name", NULL);

    file = protoset_file(&set, "a.proto", "p");
    m = protoset_message(&set, file, "M");
    protoset_oneof(&set, m, protoset_field(&set, m, "y", CG_TYPE(INT32), NULL), 0, "x");
    protoset_field(&set, m, "x_case", CG_TYPE(INT32), NULL);
    check(&set, "oneof p.M.x", "field p.M.x_case", "\"x_case\"", NULL);
}

static void test_defaults(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_message_proto *m = protoset_message(&set, file, "M");

    (void)state;
    protoset_field(&set, m, "n", CG_TYPE(INT32), NULL)->default_value = cg_strdup(&set.arena, "x");
    check(&set, "field p.M.n", "\"x\" cannot be its default", NULL);
}

static void test_file(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_enum_proto *e;

    (void)state;
    protoset_message(&set, file, "FooBar");
    protoset_message(&set, file, "foo_bar");
    check(&set, "message p.FooBar", "message p.foo_bar", "\"P__FooBar\"", "rename one", NULL);

    file = protoset_file(&set, "a.proto", "p");
    protoset_message(&set, file, "Foo");
    e = protoset_enum(&set, file, NULL, "foo");
    protoset_value(&set, e, "X", 0);
    check(&set, "message p.Foo", "enum p.foo", "\"P__Foo\"", NULL);
}

/* A file p with message M and the services S and SGet, of one method each. */
static void services(protoset *set, const char *method, cg_kind kind, const char *method_of_second)
{
    cg_file_proto *file = protoset_file(set, "a.proto", "p");

    protoset_message(set, file, "M");
    protoset_method(set, protoset_service(set, file, "S"), method, kind, ".p.M");
    protoset_method(set, protoset_service(set, file, "SGet"), method_of_second, CG_UNARY, ".p.M");
}

static void test_services(void **state)
{
    protoset set = { 0 };

    (void)state;
    services(&set, "Put", CG_BIDI_STREAMING, "All");
    check(&set, NULL);
    services(&set, "Get", CG_UNARY, "All");
    check(&set, "method p.S.Get", "service p.SGet", "\"p_s_get\"", NULL);
    services(&set, "GetAll", CG_UNARY, "All");
    check(&set, "method p.S.GetAll", "method p.SGet.All", "\"p_s_get_all\"", NULL);
    services(&set, "GetAll", CG_SERVER_STREAMING, "All");
    check(&set, "method p.S.GetAll", "method p.SGet.All", "\"p_s_get_all\"", NULL);
    services(&set, "Get_Register", CG_UNARY, "All");
    check(&set, "method p.S.Get_Register", "service p.SGet", "\"p_s_get_register\"", NULL);
    services(&set, "Put", CG_UNARY, "_Methods");
    check(&set, "service p.SGet", "method p.SGet._Methods", "\"p_s_get__methods\"", NULL);
}

static void test_streams(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_service_proto *s = protoset_service(&set, file, "S");

    (void)state;
    protoset_message(&set, file, "M");
    protoset_method(&set, s, "List", CG_SERVER_STREAMING, ".p.M");
    protoset_method(&set, s, "ListCall", CG_UNARY, ".p.M");
    protoset_method(&set, s, "ListStream", CG_BIDI_STREAMING, ".p.M");
    check(&set, NULL); /* List gave way */

    file = protoset_file(&set, "a.proto", "p");
    s = protoset_service(&set, file, "S");
    protoset_message(&set, file, "M");
    protoset_method(&set, s, "List", CG_SERVER_STREAMING, ".p.M");
    protoset_method(&set, s, "ListCall", CG_UNARY, ".p.M");
    protoset_method(&set, s, "List__Recv", CG_UNARY, ".p.M");
    check(&set, "method p.S.List ", "method p.S.List__Recv", "\"p_s_list__recv\"", NULL);

    file = protoset_file(&set, "a.proto", "p");
    s = protoset_service(&set, file, "S");
    protoset_message(&set, file, "M");
    protoset_method(&set, s, "Delete", CG_UNARY, ".p.M");
    protoset_method(&set, s, "Delete_", CG_BIDI_STREAMING, ".p.M");
    check(&set, "method p.S.Delete ", "method p.S.Delete_", "\"delete_\"", NULL);
}

static void test_among_files(void **state)
{
    protoset set = { 0 };
    cg_file_proto *one = protoset_file(&set, "one.proto", "p");
    cg_file_proto *two = protoset_file(&set, "two.proto", "p");

    (void)state;
    protoset_message(&set, one, "FooBar");
    protoset_message(&set, two, "foo_bar");
    check(&set, "one.proto: message p.FooBar", "message p.foo_bar of two.proto", "\"P__FooBar\"",
          "different runs", NULL);

    one = protoset_file(&set, "one.proto", "p");
    two = protoset_file(&set, "two.proto", "p");
    protoset_message(&set, one, "M");
    protoset_method(&set, protoset_service(&set, one, "S"), "List", CG_SERVER_STREAMING, ".p.M");
    protoset_service(&set, two, "SListStream");
    check(&set, "method p.S.List", "service p.SListStream of two.proto", "\"p_s_list_stream\"",
          NULL);

    /* The table of S.Get is static: _Methods of another file's service may be called so. */
    one = protoset_file(&set, "one.proto", "p");
    two = protoset_file(&set, "two.proto", "q");
    protoset_message(&set, one, "M");
    protoset_message(&set, two, "M");
    protoset_method(&set, protoset_service(&set, one, "S"), "Get", CG_UNARY, ".p.M");
    protoset_method(&set, protoset_service(&set, two, "S"), "Get", CG_UNARY, ".q.M");
    check(&set, NULL);
}

/* What is not generated has no names. */
static void test_not_generated(void **state)
{
    protoset set = { 0 };
    cg_file_proto *one = protoset_file(&set, "one.proto", "p");
    cg_file_proto *two = protoset_file(&set, "two.proto", "p");

    (void)state;
    protoset_message(&set, one, "FooBar");
    protoset_message(&set, two, "foo_bar");
    assert_int_equal(protoset_build(&set), 0);
    set.model.files[1].generate = false;
    assert_int_equal(cg_check_files(&set.model), 0);
    set.model.files[1].generate = true;
    set.model.files[1].options.no_generate = true;
    assert_int_equal(cg_check_files(&set.model), 0);
    set.model.files[1].options.no_generate = false;
    set.model.params.messages = false;
    assert_int_equal(cg_check_files(&set.model), 0);
    set.model.params.messages = true;
    assert_int_equal(cg_check_files(&set.model), -1);
    protoset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_file),          cmocka_unit_test(test_services),
        cmocka_unit_test(test_streams),       cmocka_unit_test(test_among_files),
        cmocka_unit_test(test_not_generated),
    };

    return cmocka_run_group_tests_name("codegen/check", tests, NULL, NULL);
}
