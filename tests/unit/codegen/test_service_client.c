/* The client's side of each kind of method: every function it allows, and no other. */
#include "codegen/service_sides.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/protoset.h"

/* Package p with service Chat: the methods, all with message M. */
static const cg_service *chat(protoset *set, const char *name, cg_kind kind)
{
    cg_file_proto *file = protoset_file(set, "a.proto", "p");
    cg_service_proto *service = protoset_service(set, file, "Chat");

    protoset_message(set, file, "M");
    if (name)
        protoset_method(set, service, name, kind, ".p.M");
    protoset_comment(set, file, " What it is for.", 4, 6, 0, 2, 0);
    assert_int_equal(protoset_build(set), 0);
    return &set->model.files[0].services[0];
}

static void has(const cg_out *o, const char *text)
{
    if (!strstr(o->data, text))
        fail_msg("no \"%s\" in:\n%s", text, o->data);
}

static void lacks(const cg_out *o, const char *text)
{
    if (o->data && strstr(o->data, text))
        fail_msg("\"%s\" should not be in:\n%s", text, o->data);
}

static void test_unary(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    const cg_service *s = chat(&set, "Get", CG_UNARY);

    (void)state;
    cg_put_client_declarations(&o, s);
    has(&o, "/* Unary: ");
    has(&o, "/* What it is for. */\n"
            "tern_code p_chat_get(tern_channel *ch, const tern_call_options *opts,\n"
            "    const P__M *req, P__M **ret, tern_status *reterr);\n");
    lacks(&o, "Streams: ");
    lacks(&o, "p_chat_get_");
    cg_out_free(&o);
    cg_put_client_definitions(&o, s);
    has(&o, "return tern_stub_unary(ch, &p_chat__methods[0], opts, (const ProtobufCMessage *)req, "
            "(ProtobufCMessage **)ret, reterr);\n");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_server_streaming(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    const cg_service *s = chat(&set, "List", CG_SERVER_STREAMING);

    (void)state;
    cg_put_client_declarations(&o, s);
    lacks(&o, "/* Unary: ");
    has(&o, " * Server streaming: ");
    lacks(&o, " * Client streaming: ");
    lacks(&o, " * Bidirectional");
    has(&o, "/* What it is for. */\n"
            "typedef struct p_chat_list_call { tern_stream *stream; } p_chat_list_call;\n"
            "tern_code p_chat_list(tern_channel *ch, const tern_call_options *opts,\n"
            "    const P__M *req, p_chat_list_call *ret, tern_status *reterr);\n"
            "bool p_chat_list_recv(\n    p_chat_list_call *call, const P__M **ret);\n"
            "tern_code p_chat_list_finish(\n    p_chat_list_call *call, tern_status *reterr);\n");
    lacks(&o, "p_chat_list_send");
    lacks(&o, "close_send");
    cg_out_free(&o);
    cg_put_client_definitions(&o, s);
    has(&o, "return tern_stub_open(ch, &p_chat__methods[0], opts, (const ProtobufCMessage *)req, "
            "&ret->stream, reterr);\n");
    has(&o, "{ return tern_stub_recv(call->stream, (const ProtobufCMessage **)ret); }\n");
    has(&o, "{ return tern_stub_finish(call->stream, NULL, reterr); }\n");
    lacks(&o, "send");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_client_streaming(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    const cg_service *s = chat(&set, "Record", CG_CLIENT_STREAMING);

    (void)state;
    cg_put_client_declarations(&o, s);
    has(&o, " * Client streaming: ");
    lacks(&o, " * Server streaming: ");
    has(&o, "    p_chat_record_call *ret, tern_status *reterr);\n"
            "bool p_chat_record_send(\n    p_chat_record_call *call, const P__M *req);\n"
            "tern_code p_chat_record_finish(\n"
            "    p_chat_record_call *call, P__M **ret, tern_status *reterr);\n");
    lacks(&o, "p_chat_record_recv");
    lacks(&o, "close_send");
    cg_out_free(&o);
    cg_put_client_definitions(&o, s);
    has(&o, "return tern_stub_open(ch, &p_chat__methods[0], opts, NULL, &ret->stream, reterr);\n");
    has(&o, "{ return tern_stub_send(call->stream, (const ProtobufCMessage *)req); }\n");
    has(&o, "{ return tern_stub_finish(call->stream, (ProtobufCMessage **)ret, reterr); }\n");
    lacks(&o, "recv");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_bidi(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    const cg_service *s = chat(&set, "Talk", CG_BIDI_STREAMING);

    (void)state;
    cg_put_client_declarations(&o, s);
    has(&o, " * Bidirectional streaming: ");
    has(&o, "    p_chat_talk_call *ret, tern_status *reterr);\n"
            "bool p_chat_talk_send(\n    p_chat_talk_call *call, const P__M *req);\n"
            "bool p_chat_talk_close_send(p_chat_talk_call *call);\n"
            "bool p_chat_talk_recv(\n    p_chat_talk_call *call, const P__M **ret);\n"
            "tern_code p_chat_talk_finish(\n    p_chat_talk_call *call, tern_status *reterr);\n");
    cg_out_free(&o);
    cg_put_client_definitions(&o, s);
    has(&o, "{ return tern_stream_close_send(call->stream); }\n");
    has(&o, "{ return tern_stub_finish(call->stream, NULL, reterr); }\n");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_none(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    const cg_service *s = chat(&set, NULL, CG_UNARY);

    (void)state;
    cg_put_client_declarations(&o, s);
    cg_put_client_definitions(&o, s);
    assert_int_equal(o.len, 0);
    cg_out_free(&o);
    protoset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_server_streaming),
        cmocka_unit_test(test_client_streaming),
        cmocka_unit_test(test_bidi),
        cmocka_unit_test(test_none),
    };

    return cmocka_run_group_tests_name("codegen/service_client", tests, NULL, NULL);
}
