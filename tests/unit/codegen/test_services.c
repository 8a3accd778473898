/* What both sides of a service share: the table, registration, counts and template variables. */
#include "codegen/services.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codegen/service_sides.h"
#include "support/protoset.h"

static const cg_service *four_kinds(protoset *set)
{
    cg_file_proto *file = protoset_file(set, "a.proto", "p");
    cg_service_proto *service = protoset_service(set, file, "Chat");
    protoset_method_proto *get;
    Google__Protobuf__MethodOptions *options = cg_alloc(&set->arena, 1, sizeof(*options));

    protoset_message(set, file, "M");
    get = protoset_method(set, service, "GetURL", CG_UNARY, ".p.M");
    google__protobuf__method_options__init(options);
    options->has_idempotency_level = 1;
    options->idempotency_level =
        GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__NO_SIDE_EFFECTS;
    get->options = options;
    protoset_method(set, service, "Record", CG_CLIENT_STREAMING, ".p.M");
    protoset_method(set, service, "List", CG_SERVER_STREAMING, ".p.M");
    protoset_method(set, service, "Talk", CG_BIDI_STREAMING, ".p.M");
    protoset_comment(set, file, " A service.", 2, 6, 0);
    assert_int_equal(protoset_build(set), 0);
    return &set->model.files[0].services[0];
}

static void has(const cg_out *o, const char *text)
{
    if (!strstr(o->data, text))
        fail_msg("no \"%s\" in:\n%s", text, o->data);
}

static void test_table(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    const cg_service *chat = four_kinds(&set);

    (void)state;
    cg_put_service_definitions(&o, set.model.files, chat);
    has(&o, "static const tern_method p_chat__methods[] = {\n"
            "    { \"/p.Chat/GetURL\", TERN_KIND_UNARY, TERN_NO_SIDE_EFFECTS, &p__m__descriptor, "
            "&p__m__descriptor, p_chat_get_url__invoke },\n"
            "    { \"/p.Chat/Record\", TERN_KIND_CLIENT_STREAMING, TERN_IDEMPOTENCY_UNKNOWN, "
            "&p__m__descriptor, &p__m__descriptor, p_chat_record__invoke },\n"
            "    { \"/p.Chat/List\", TERN_KIND_SERVER_STREAMING, TERN_IDEMPOTENCY_UNKNOWN, "
            "&p__m__descriptor, &p__m__descriptor, p_chat_list__invoke },\n"
            "    { \"/p.Chat/Talk\", TERN_KIND_BIDI_STREAMING, TERN_IDEMPOTENCY_UNKNOWN, "
            "&p__m__descriptor, &p__m__descriptor, p_chat_talk__invoke },\n"
            "};\n");
    has(&o, "const tern_service p_chat = { \"p.Chat\", p_chat__methods, 4, NULL, 0 };\n");
    has(&o, "return tern_stub_register(srv, &p_chat, handlers, self, reterr);\n");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_declarations(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    cg_put_service_declarations(&o, four_kinds(&set));
    has(&o, "/* --- p.Chat --- */\n\n/* A service. */\nextern const tern_service p_chat;\n");
    has(&o, "tern_code p_chat_register(tern_server *srv,\n"
            "    const struct p_chat_handlers *handlers, void *self, tern_status *reterr);\n");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_empty(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    protoset_service(&set, protoset_file(&set, "a.proto", "p"), "Nothing");
    assert_int_equal(protoset_build(&set), 0);
    cg_put_service_definitions(&o, set.model.files, &set.model.files[0].services[0]);
    has(&o, "const tern_service p_nothing = { \"p.Nothing\", NULL, 0, NULL, 0 };\n");
    assert_null(strstr(o.data, "__methods"));
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_kinds_and_vars(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    const cg_service *s = four_kinds(&set);
    cg_kinds kinds = cg_count_kinds(s);
    cg_method_vars vars;

    (void)state;
    assert_int_equal(kinds.n[CG_UNARY], 1);
    assert_int_equal(kinds.n[CG_BIDI_STREAMING], 1);
    assert_int_equal(kinds.n_streams, 3);
    cg_method_vars_init(&vars, s, 3);
    cg_put_template(&o, vars.at,
                    "$service$ $stub$ $helper$ $handler$ $input$ $output$ "
                    "$index$");
    assert_string_equal(o.data, "p_chat p_chat_talk p_chat_talk_ talk P__M P__M 3");
    cg_out_free(&o);
    protoset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_declarations),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_kinds_and_vars),
    };

    return cmocka_run_group_tests_name("codegen/services", tests, NULL, NULL);
}
