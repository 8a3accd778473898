/* The model of a request: names, nesting, comments, methods. */
#include "codegen/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/protoset.h"

static void test_names(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "dir/a.proto", "pkg.v1");
    cg_message_proto *outer = protoset_message(&set, file, "PutPackage");
    cg_enum_proto *e = protoset_enum(&set, file, outer, "Kind");
    const cg_file *f;
    const cg_message *m;

    (void)state;
    protoset_value(&set, e, "NONE", 0);
    protoset_nested(&set, outer, "URLThing");
    assert_int_equal(protoset_build(&set), 0);
    f = &set.model.files[0];
    assert_string_equal(f->base, "dir/a");
    assert_string_equal(f->identifier, "dir_2fa_2eproto");
    assert_true(f->proto3 && f->generate && !f->code_size);
    m = &f->messages[0];
    assert_string_equal(m->names.full, "pkg.v1.PutPackage");
    assert_string_equal(m->names.type, "Pkg__V1__PutPackage");
    assert_string_equal(m->names.lower, "pkg__v1__put_package");
    assert_string_equal(m->names.upper, "PKG__V1__PUT_PACKAGE");
    assert_true(m->file == f && m->gen_pack && m->gen_init);
    assert_string_equal(m->messages[0].names.lower, "pkg__v1__put_package__urlthing");
    assert_false(m->messages[0].gen_pack); /* protobuf-c's default for nested messages */
    assert_string_equal(m->enums[0].values[0].c_name, "PKG__V1__PUT_PACKAGE__KIND__NONE");
    protoset_free(&set);
}

static void test_services(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "pkg.v1");
    cg_service_proto *chat = protoset_service(&set, file, "ChatService");
    Google__Protobuf__MethodOptions options = GOOGLE__PROTOBUF__METHOD_OPTIONS__INIT;
    const cg_service *s;

    (void)state;
    protoset_message(&set, file, "M");
    options.has_idempotency_level = 1;
    options.idempotency_level = GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__IDEMPOTENT;
    protoset_method(&set, chat, "Delete", CG_UNARY, ".pkg.v1.M")->options = &options;
    protoset_method(&set, chat, "Record", CG_CLIENT_STREAMING, ".pkg.v1.M");
    protoset_method(&set, chat, "List", CG_SERVER_STREAMING, ".pkg.v1.M");
    protoset_method(&set, chat, "Talk", CG_BIDI_STREAMING, ".pkg.v1.M");
    protoset_comment(&set, file, " On the service.", 2, 6, 0);
    protoset_comment(&set, file, " On Talk.", 4, 6, 0, 2, 3);
    assert_int_equal(protoset_build(&set), 0);
    s = &set.model.files[0].services[0];
    assert_string_equal(s->full, "pkg.v1.ChatService");
    assert_string_equal(s->stub, "pkg_v1_chat_service");
    assert_string_equal(s->comment, "On the service.");
    assert_int_equal(s->n_methods, 4);
    assert_int_equal(s->methods[0].kind, CG_UNARY);
    assert_int_equal(s->methods[1].kind, CG_CLIENT_STREAMING);
    assert_int_equal(s->methods[2].kind, CG_SERVER_STREAMING);
    assert_int_equal(s->methods[3].kind, CG_BIDI_STREAMING);
    assert_string_equal(s->methods[0].handler, "delete_");
    assert_string_equal(s->methods[0].stub, "pkg_v1_chat_service_delete");
    assert_int_equal(s->methods[0].idempotency, options.idempotency_level);
    assert_int_equal(s->methods[1].idempotency, 0);
    assert_string_equal(s->methods[3].helper, "pkg_v1_chat_service_talk_");
    assert_string_equal(s->methods[3].comment, "On Talk.");
    assert_null(s->methods[2].comment);
    assert_string_equal(s->methods[3].input->names.full, "pkg.v1.M");
    protoset_free(&set);
}

static void refused(protoset *set, const char *text)
{
    assert_int_equal(protoset_build(set), -1);
    if (!strstr(set->model.error, text))
        fail_msg("no \"%s\" in: %s", text, set->model.error);
    protoset_free(set);
}

static void test_refused(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");

    (void)state;
    protoset_service(&set, file, "9lives");
    refused(&set, "a.proto: within \"p\" an element is named \"9lives\"");

    file = protoset_file(&set, "a.proto", "p");
    protoset_method(&set, protoset_service(&set, file, "S"), "Get", CG_UNARY, ".p.M");
    refused(&set, "a.proto: method p.S.Get: its request or response type is not in the request");

    file = protoset_file(&set, "a.proto", "p");
    protoset_value(&set, protoset_enum(&set, file, NULL, "E"), "X", 0);
    protoset_method(&set, protoset_service(&set, file, "S"), "Get", CG_UNARY, ".p.E");
    refused(&set, "method p.S.Get: its request or response type");

    file = protoset_file(&set, "a.proto", "p");
    protoset_enum(&set, file, NULL, "E");
    refused(&set, "a.proto: enum p.E has no values");

    file = protoset_file(&set, "a.proto", "p");
    protoset_method(&set, protoset_service(&set, file, "S"), "Get It", CG_UNARY, ".p.M");
    refused(&set, "within \"p.S\" an element is named \"Get It\"");
}

/* The first thing found wrong is the one that is told. */
static void test_first_error(void **state)
{
    cg_arena a = { NULL };
    cg_model m = { .arena = &a };

    (void)state;
    assert_int_equal(cg_fail(&m, "%s: %d", "first", 1), -1);
    assert_int_equal(cg_fail(&m, "second"), -1);
    assert_string_equal(m.error, "first: 1");
    cg_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_first_error),
    };

    return cmocka_run_group_tests_name("codegen/model", tests, NULL, NULL);
}
