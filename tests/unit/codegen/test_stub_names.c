/* Names of streaming methods: what each kind has, and what gives way to what. */
#include "codegen/stub_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/protoset.h"

static void test_client_function(void **state)
{
    cg_arena a = { NULL };

    (void)state;
    assert_string_equal(cg_client_function(&a, "p_s", "GetURLList"), "p_s_get_url_list");
    assert_string_equal(cg_client_function(&a, "p_s", "Delete"), "p_s_delete");
    assert_string_equal(cg_client_function(&a, "p_s", "Register"), "p_s_register_");
    assert_string_equal(cg_client_function(&a, "p_s", "handlers"), "p_s_handlers_");
    assert_string_equal(cg_client_function(&a, "thread", "Local"), "thread_local_");
    assert_string_equal(cg_client_function(&a, "const", "Cast"), "const_cast_");
    cg_arena_free(&a);
}

static bool has_suffix(cg_kind kind, const char *suffix)
{
    const char *const *p;

    for (p = cg_helper_suffixes(kind); *p; p++)
        if (strcmp(*p, suffix) == 0)
            return true;
    return false;
}

static void test_suffixes(void **state)
{
    (void)state;
    assert_true(has_suffix(CG_UNARY, "start") && has_suffix(CG_UNARY, "done"));
    assert_false(has_suffix(CG_UNARY, "finish_start"));
    assert_false(has_suffix(CG_CLIENT_STREAMING, "recv_start"));
    assert_false(has_suffix(CG_SERVER_STREAMING, "send_start"));
    assert_true(has_suffix(CG_CLIENT_STREAMING, "send"));
    assert_false(has_suffix(CG_CLIENT_STREAMING, "recv"));
    assert_true(has_suffix(CG_CLIENT_STREAMING, "stream_recv"));
    assert_false(has_suffix(CG_CLIENT_STREAMING, "stream_send"));
    assert_true(has_suffix(CG_SERVER_STREAMING, "recv"));
    assert_false(has_suffix(CG_SERVER_STREAMING, "send"));
    assert_true(has_suffix(CG_SERVER_STREAMING, "stream_send"));
    assert_false(has_suffix(CG_SERVER_STREAMING, "stream_recv"));
    assert_true(has_suffix(CG_BIDI_STREAMING, "send") && has_suffix(CG_BIDI_STREAMING, "recv"));
    assert_true(has_suffix(CG_BIDI_STREAMING, "close_send"));
    assert_false(has_suffix(CG_CLIENT_STREAMING, "close_send"));
}

typedef struct method_case {
    const char *name;
    cg_kind kind;
    const char *helper; /* as expected, without "p_chat_" */
} method_case;

/* Builds a service Chat of these methods, with a service of the name `second` beside it. */
static void check_helpers(const method_case *methods, const char *second)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_service_proto *service = protoset_service(&set, file, "Chat");
    size_t i;

    protoset_message(&set, file, "M");
    for (i = 0; methods[i].name; i++)
        protoset_method(&set, service, methods[i].name, methods[i].kind, ".p.M");
    if (second)
        protoset_service(&set, file, second);
    assert_int_equal(protoset_build(&set), 0);
    for (i = 0; methods[i].name; i++) {
        const cg_method *m = &set.model.files[0].services[0].methods[i];

        assert_int_equal(m->kind, methods[i].kind);
        assert_string_equal(m->helper, cg_printf(&set.arena, "p_chat_%s", methods[i].helper));
    }
    protoset_free(&set);
}

static void test_nothing_meets(void **state)
{
    const method_case methods[] = {
        { "List", CG_SERVER_STREAMING, "list_" },      { "ListSend", CG_UNARY, "list_send_" },
        { "ListAll", CG_BIDI_STREAMING, "list_all_" }, { "Get", CG_UNARY, "get_" },
        { "GetCall", CG_UNARY, "get_call_" },          { NULL, CG_UNARY, NULL },
    };

    (void)state;
    check_helpers(methods, "Chats");
}

static void test_function_of_another(void **state)
{
    const method_case methods[] = {
        { "List", CG_SERVER_STREAMING, "list__" },
        { "ListCall", CG_UNARY, "list_call_" },
        { "Talk", CG_BIDI_STREAMING, "talk__" },
        { "TalkStream", CG_BIDI_STREAMING, "talk_stream_" },
        { "Put", CG_CLIENT_STREAMING, "put__" },
        { "PutStreamRecv", CG_SERVER_STREAMING, "put_stream_recv_" },
        { "Note", CG_CLIENT_STREAMING, "note_" },
        { "NoteRecv", CG_UNARY, "note_recv_" },
        { NULL, CG_UNARY, NULL },
    };

    (void)state;
    check_helpers(methods, NULL);
}

/* TalkClose sends by talk_close_send, whatever the order in the file. */
static void test_helper_of_another(void **state)
{
    const method_case methods[] = {
        { "Talk", CG_BIDI_STREAMING, "talk__" },
        { "TalkClose", CG_CLIENT_STREAMING, "talk_close_" },
        { "PutClose", CG_BIDI_STREAMING, "put_close_" },
        { "Put", CG_BIDI_STREAMING, "put__" },
        { "List", CG_BIDI_STREAMING, "list_" },
        { "ListClose", CG_SERVER_STREAMING, "list_close_" }, /* has no send */
        { NULL, CG_UNARY, NULL },
    };

    (void)state;
    check_helpers(methods, NULL);
}

static void test_service_of_the_file(void **state)
{
    const method_case methods[] = {
        { "List", CG_SERVER_STREAMING, "list__" },
        { "Put", CG_CLIENT_STREAMING, "put_" },
        { NULL, CG_UNARY, NULL },
    };

    (void)state;
    check_helpers(methods, "ChatListCall");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_function),   cmocka_unit_test(test_suffixes),
        cmocka_unit_test(test_nothing_meets),     cmocka_unit_test(test_function_of_another),
        cmocka_unit_test(test_helper_of_another), cmocka_unit_test(test_service_of_the_file),
    };

    return cmocka_run_group_tests_name("codegen/stub_names", tests, NULL, NULL);
}
