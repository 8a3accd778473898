/* The server's side of each kind of method: handle, handler, trampoline. */
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
    const cg_service *s = chat(&set, "Delete", CG_UNARY);

    (void)state;
    cg_put_server_declarations(&o, s);
    has(&o, "typedef struct p_chat_handlers {\n"
            "    /* What it is for. */\n"
            "    tern_code (*delete_)(void *self, tern_server_call *call,\n"
            "        const P__M *req, P__M *res);\n"
            "} p_chat_handlers;\n");
    lacks(&o, "stream");
    cg_out_free(&o);
    cg_put_trampolines(&o, s);
    has(&o, "return h->delete_ ? h->delete_(self, call, (const P__M *)req, (P__M *)res) : "
            "TERN_UNIMPLEMENTED;\n");
    cg_out_free(&o);
    cg_put_server_definitions(&o, s);
    assert_int_equal(o.len, 0);
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_server_streaming(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    const cg_service *s = chat(&set, "List", CG_SERVER_STREAMING);

    (void)state;
    cg_put_server_declarations(&o, s);
    has(&o, "typedef struct p_chat_list_stream { tern_server_call *call; } p_chat_list_stream;\n"
            "bool p_chat_list_stream_send(\n"
            "    p_chat_list_stream *stream, const P__M *res);\n");
    has(&o, "    tern_code (*list)(void *self, p_chat_list_stream *stream,\n"
            "        const P__M *req);\n");
    lacks(&o, "stream_recv");
    cg_out_free(&o);
    cg_put_trampolines(&o, s);
    has(&o, "    p_chat_list_stream stream = { call };\n"
            "    (void)res;\n"
            "    return h->list ? h->list(self, &stream, (const P__M *)req) : "
            "TERN_UNIMPLEMENTED;\n");
    cg_out_free(&o);
    cg_put_server_definitions(&o, s);
    has(&o, "{ return tern_stub_server_send(stream->call, (const ProtobufCMessage *)res); }\n");
    lacks(&o, "recv");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_client_streaming(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    const cg_service *s = chat(&set, "Record", CG_CLIENT_STREAMING);

    (void)state;
    cg_put_server_declarations(&o, s);
    has(&o, "bool p_chat_record_stream_recv(\n"
            "    p_chat_record_stream *stream, const P__M **ret);\n");
    has(&o, "    tern_code (*record)(void *self, p_chat_record_stream *stream,\n"
            "        P__M *res);\n");
    lacks(&o, "stream_send");
    cg_out_free(&o);
    cg_put_trampolines(&o, s);
    has(&o, "    (void)req;\n"
            "    return h->record ? h->record(self, &stream, (P__M *)res) : "
            "TERN_UNIMPLEMENTED;\n");
    lacks(&o, "(void)res");
    cg_out_free(&o);
    cg_put_server_definitions(&o, s);
    has(&o, "{ return tern_stub_server_recv(stream->call, (const ProtobufCMessage **)ret); }\n");
    lacks(&o, "send");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_bidi(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    const cg_service *s = chat(&set, "Talk", CG_BIDI_STREAMING);

    (void)state;
    cg_put_server_declarations(&o, s);
    has(&o, "bool p_chat_talk_stream_send(");
    has(&o, "bool p_chat_talk_stream_recv(");
    has(&o, "    tern_code (*talk)(void *self, p_chat_talk_stream *stream);\n");
    cg_out_free(&o);
    cg_put_trampolines(&o, s);
    has(&o, "    (void)req;\n    (void)res;\n"
            "    return h->talk ? h->talk(self, &stream) : TERN_UNIMPLEMENTED;\n");
    cg_out_free(&o);
    cg_put_server_definitions(&o, s);
    has(&o, "tern_stub_server_send");
    has(&o, "tern_stub_server_recv");
    cg_out_free(&o);
    protoset_free(&set);
}

static void test_none(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };
    const cg_service *s = chat(&set, NULL, CG_UNARY);

    (void)state;
    cg_put_server_declarations(&o, s);
    has(&o, "    const void *reserved; /* no method; C has no empty structs */\n");
    cg_out_free(&o);
    cg_put_trampolines(&o, s);
    cg_put_server_definitions(&o, s);
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

    return cmocka_run_group_tests_name("codegen/service_server", tests, NULL, NULL);
}
