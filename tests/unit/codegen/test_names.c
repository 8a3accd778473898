/* Names in C: protoc-gen-c's rules for messages, Tern's for stubs. */
#include "codegen/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef char *(*convert)(cg_arena *a, const char *name);

typedef struct pair {
    const char *from;
    const char *to;
} pair;

static void check(convert f, const pair *pairs, size_t n)
{
    cg_arena a = { NULL };
    size_t i;

    for (i = 0; i < n; i++)
        assert_string_equal(f(&a, pairs[i].from), pairs[i].to);
    cg_arena_free(&a);
}

#define CHECK(f, pairs) check(f, pairs, sizeof(pairs) / sizeof((pairs)[0]))

static void test_messages(void **state)
{
    static const pair lower[] = { { "foo.v1.PutPackage", "foo__v1__put_package" },
                                  { "URLThing", "urlthing" },
                                  { "foo.Bar_baz.x2y", "foo__bar_baz__x2y" },
                                  { "A1B2", "a1_b2" },
                                  { ".a..b.", "a__b" },
                                  { "", "" } };
    static const pair upper[] = { { "foo.v1.PutPackage", "FOO__V1__PUT_PACKAGE" },
                                  { "URLThing_x2y", "URLTHING_X2Y" } };
    static const pair camel[] = { { "foo.v1.put_package", "Foo__V1__PutPackage" },
                                  { "n_1a", "N1a" },
                                  { "_a__b_", "AB" } };

    (void)state;
    CHECK(cg_full_lower, lower);
    CHECK(cg_full_upper, upper);
    CHECK(cg_full_camel, camel);
}

static void test_members(void **state)
{
    static const pair members[] = { { "fooBar", "foobar" },   { "int", "int_" },
                                    { "Class", "class_" },    { "restrict", "restrict_" },
                                    { "nullptr", "nullptr" }, { "_x_", "_x_" } };

    (void)state;
    CHECK(cg_member_name, members);
    assert_true(cg_is_keyword("and"));
    assert_true(cg_is_keyword("xor_eq"));
    assert_false(cg_is_keyword("And"));
    assert_false(cg_is_keyword(""));
}

static char *stub_without_prefix(cg_arena *a, const char *name)
{
    return cg_stub_name(a, "", name);
}

static char *stub_with_prefix(cg_arena *a, const char *name)
{
    return cg_stub_name(a, "my_", name);
}

static void test_stubs(void **state)
{
    static const pair snake[] = {
        { "package.v1.PackageService", "package_v1_package_service" },
        { "GetURLList", "get_url_list" },
        { "HTTPServer", "http_server" },
        { "KV", "kv" },
        { "grpc.health.v1.Health", "grpc_health_v1_health" },
        { "Get2Things", "get2_things" },
        { "already_snake", "already_snake" },
        { "Mixed_Case", "mixed_case" },
        { "UnaryCall", "unary_call" },
        { "a", "a" },
    };
    static const pair plain[] = { { "Delete", "delete_" },
                                  { "Nullptr", "nullptr_" },
                                  { "Put", "put" } };
    static const pair prefixed[] = { { "Delete", "my_delete" } };

    (void)state;
    CHECK(cg_snake, snake);
    CHECK(stub_without_prefix, plain);
    CHECK(stub_with_prefix, prefixed);
}

static void test_override_package(void **state)
{
    cg_arena a = { NULL };

    (void)state;
    assert_string_equal(cg_override_package(&a, "foo.v1.M", "foo.v1", NULL), "foo.v1.M");
    assert_string_equal(cg_override_package(&a, "foo.v1.M.N", "foo.v1", "bar"), "bar.M.N");
    assert_string_equal(cg_override_package(&a, "M", "", "bar.x"), "bar.x.M");
    assert_string_equal(cg_override_package(&a, "foo.M", "foo", ""), ".M");
    cg_arena_free(&a);
}

static void test_files(void **state)
{
    static const pair strip[] = { { "a/b.proto", "a/b" },
                                  { "a.protodevel", "a" },
                                  { "a", "a" },
                                  { ".proto", "" },
                                  { "x.proto.proto", "x.proto" } };
    static const pair identifiers[] = { { "a/b.proto", "a_2fb_2eproto" },
                                        { "A-1_z", "A_2d1_5fz" },
                                        { "\xc3\t", "_c3_9" } };

    (void)state;
    CHECK(cg_strip_proto, strip);
    CHECK(cg_file_identifier, identifiers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages), cmocka_unit_test(test_members),
        cmocka_unit_test(test_stubs),    cmocka_unit_test(test_override_package),
        cmocka_unit_test(test_files),
    };

    return cmocka_run_group_tests_name("codegen/names", tests, NULL, NULL);
}
