/* Which descriptors are embedded beside services, and in what form. */
#include "codegen/embed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/protoset.h"

static void import(protoset *set, cg_file_proto *file, char *name)
{
    char **all = cg_alloc(&set->arena, file->n_dependency + 1, sizeof(*all));
    size_t i;

    for (i = 0; i < file->n_dependency; i++)
        all[i] = file->dependency[i];
    all[file->n_dependency++] = name;
    file->dependency = all;
}

/* a.proto with a service imports b and c, both of which import d; d has a service as well. */
static void make(protoset *set)
{
    cg_file_proto *a = protoset_file(set, "a.proto", "p");
    cg_file_proto *b = protoset_file(set, "b.proto", "p");
    cg_file_proto *c = protoset_file(set, "c.proto", "p");
    cg_file_proto *d = protoset_file(set, "d.proto", "p");

    import(set, a, "b.proto");
    import(set, a, "c.proto");
    import(set, b, "d.proto");
    import(set, c, "d.proto");
    protoset_service(set, a, "A");
    protoset_service(set, d, "D");
    protoset_comment(set, a, " A service.", 2, 6, 0);
}

static void test_order(void **state)
{
    static const char *const names[] = { "a.proto", "b.proto", "c.proto", "d.proto" };
    protoset set = { 0 };
    size_t i;

    (void)state;
    make(&set);
    assert_int_equal(protoset_build(&set), 0);
    set.model.params.reflection = true;
    assert_int_equal(cg_embed_resolve(&set.model), 0);
    assert_int_equal(set.model.files[0].n_embedded, 4);
    for (i = 0; i < 4; i++)
        assert_string_equal(set.model.files[0].embedded[i]->name, names[i]);
    assert_int_equal(set.model.files[1].n_embedded, 0); /* no services, no table */
    assert_int_equal(set.model.files[3].n_embedded, 1);
    protoset_free(&set);
}

static void test_table(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    make(&set);
    assert_int_equal(protoset_build(&set), 0);
    cg_put_embedded(&set.arena, &o, &set.model.files[0]); /* as with reflection=no */
    assert_null(o.data);
    assert_int_equal(cg_embed_resolve(&set.model), 0);
    cg_put_embedded(&set.arena, &o, &set.model.files[3]);
    /* name = "d.proto", package = "p", service { name = "D" }, syntax = "proto3": no more. */
    assert_non_null(strstr(o.data, "/* d.proto */\n"
                                   "static const unsigned char tern__file_0[] = {\n"
                                   "    10, 7, 100, 46, 112, 114, 111, 116, 111, 18, 1, 112, 50, "
                                   "3, 10, 1, 68, 98, 6, 112,\n"
                                   "    114, 111, 116, 111, 51,\n"
                                   "};\n"));
    assert_non_null(strstr(o.data, "static const tern_file tern__files[] = {\n"
                                   "    { \"d.proto\", tern__file_0, 25 },\n"
                                   "};\n"));
    cg_out_free(&o);
    cg_put_embedded(&set.arena, &o, &set.model.files[0]);
    assert_non_null(strstr(o.data, "    { \"c.proto\", tern__file_2, "));
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_missing_import(void **state)
{
    protoset set = { 0 };
    cg_file_proto *b;

    (void)state;
    protoset_service(&set, protoset_file(&set, "a.proto", "p"), "A");
    b = protoset_file(&set, "b.proto", "p");
    import(&set, set.files[0], "b.proto");
    assert_int_equal(protoset_build(&set), 0);
    import(&set, b, "gone.proto");
    assert_int_equal(cg_embed_resolve(&set.model), -1);
    assert_string_equal(set.model.error, "b.proto: it imports \"gone.proto\", which is not in the "
                                         "request to protoc-gen-tern");
    protoset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_missing_import),
    };
    return cmocka_run_group_tests_name("codegen/embed", tests, NULL, NULL);
}
