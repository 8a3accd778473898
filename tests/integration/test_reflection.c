/* Server reflection, v1 and v1alpha, asked question by question through the generated stubs: each
 * kind of request, files once for a stream, what is not found, limits and malformed descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/tern.h>

#include "grpc/reflection/v1/reflection.tern.h"
#include "grpc/reflection/v1alpha/reflection.tern.h"
#include "support/reflected.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request;
typedef Grpc__Reflection__V1__ServerReflectionResponse response;
typedef grpc_reflection_v1_server_reflection_server_reflection_info_call info_call;
typedef Grpc__Reflection__V1alpha__ServerReflectionRequest alpha_request;
typedef Grpc__Reflection__V1alpha__ServerReflectionResponse alpha_response;

#define REQUEST(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##kind
#define RESPONSE(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##kind
#define ALPHA_REQUEST(kind) \
    GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##kind
#define ALPHA_RESPONSE(kind) \
    GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##kind

static reflected protos;
static tern_server *srv;
static tern_channel *channel;
static tern_call_options opts;

static void must(tern_code code, const tern_status *st)
{
    if (code != TERN_OK)
        fail_msg("%s: %s", tern_code_name(code), st->message);
}

static void begin(const tern_service *const *services, size_t n)
{
    tern_status st;
    uint16_t port;
    char target[64];
    must(tern_server_new(NULL, &srv, &st), &st);
    must(tern_server_add_reflection(srv, &st), &st);
    for (size_t i = 0; i < n; i++)
        must(tern_stub_register(srv, services[i], NULL, NULL, &st), &st);
    must(tern_server_listen(srv, "127.0.0.1:0", &port, &st), &st);
    must(tern_server_start(srv, &st), &st);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    must(tern_channel_new(target, NULL, &channel, &st), &st);
    opts = (tern_call_options)TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 30000;
}

static void end(void)
{
    tern_channel_free(channel);
    tern_server_free(srv);
}

/* t.Svc after a service without descriptors; the two share nothing. */
static const tern_service plain = { .name = "p.Plain" };
static tern_service svc, twin;

static int set_up(void **state)
{
    (void)state;
    reflected_make(&protos);
    svc = (tern_service){ .name = "t.Svc", .files = protos.files, .n_files = REFLECTED_FILES };
    twin = (tern_service){ .name = "t.Twin", .files = protos.files, .n_files = REFLECTED_FILES };
    begin((const tern_service *const[]){ &svc, &plain, &twin }, 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end();
    reflected_free(&protos);
    return 0;
}

static info_call open_stream(void)
{
    info_call call;
    tern_status st;
    must(grpc_reflection_v1_server_reflection_server_reflection_info(channel, &opts, &call, &st),
         &st);
    return call;
}

static void close_stream(info_call *call)
{
    tern_status st;
    const response *res;
    assert_true(grpc_reflection_v1_server_reflection_server_reflection_info_close_send(call));
    assert_false(grpc_reflection_v1_server_reflection_server_reflection_info_recv(call, &res));
    must(grpc_reflection_v1_server_reflection_server_reflection_info_finish(call, &st), &st);
}

/* The answer is borrowed until the next question. */
static const response *ask(info_call *call, request *req)
{
    const response *res = NULL;
    req->host = (char[]){ "here" };
    assert_true(grpc_reflection_v1_server_reflection_server_reflection_info_send(call, req));
    assert_true(grpc_reflection_v1_server_reflection_server_reflection_info_recv(call, &res));
    assert_string_equal(res->valid_host, "here");
    assert_non_null(res->original_request);
    assert_string_equal(res->original_request->host, "here");
    assert_int_equal(res->original_request->message_request_case, req->message_request_case);
    return res;
}

static const response *ask_text(info_call *call, int kind, const char *text)
{
    char copy[256];
    request req = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    snprintf(copy, sizeof copy, "%s", text);
    req.message_request_case =
        (Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase)kind;
    req.file_by_filename = copy; /* all of them are strings in one place */
    const response *res = ask(call, &req);
    assert_string_equal(res->original_request->file_by_filename, text);
    return res;
}

static const response *ask_extension(info_call *call, const char *type, int32_t number)
{
    char copy[64];
    request req = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    Grpc__Reflection__V1__ExtensionRequest x = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    snprintf(copy, sizeof copy, "%s", type);
    x.containing_type = copy;
    x.extension_number = number;
    req.message_request_case = REQUEST(FILE_CONTAINING_EXTENSION);
    req.file_containing_extension = &x;
    return ask(call, &req);
}

/* The files of the answer are these (indices into `protos`, -1 ends them), in that order. */
static void expect_files(const response *res, const int *expected)
{
    assert_int_equal(res->message_response_case, RESPONSE(FILE_DESCRIPTOR_RESPONSE));
    size_t n = 0;
    for (; expected[n] >= 0; n++) {
        assert_true(n < res->file_descriptor_response->n_file_descriptor_proto);
        const ProtobufCBinaryData *got = &res->file_descriptor_response->file_descriptor_proto[n];
        assert_int_equal(got->len, protos.files[expected[n]].len);
        assert_memory_equal(got->data, protos.files[expected[n]].descriptor, got->len);
    }
    assert_int_equal(res->file_descriptor_response->n_file_descriptor_proto, n);
}

static void expect_error(const response *res, tern_code code)
{
    assert_int_equal(res->message_response_case, RESPONSE(ERROR_RESPONSE));
    assert_int_equal(res->error_response->error_code, code);
    assert_true(strlen(res->error_response->error_message) > 0);
}

static void services_are_listed_by_name(void **state)
{
    static const char *const expected[] = { "grpc.reflection.v1.ServerReflection",
                                            "grpc.reflection.v1alpha.ServerReflection", "p.Plain",
                                            "t.Svc", "t.Twin" };
    (void)state;
    info_call call = open_stream();
    for (int again = 0; again < 1000; again++) {
        const response *res = ask_text(&call, REQUEST(LIST_SERVICES), "*");
        assert_int_equal(res->message_response_case, RESPONSE(LIST_SERVICES_RESPONSE));
        assert_int_equal(res->list_services_response->n_service, 5);
        for (size_t i = 0; i < 5; i++)
            assert_string_equal(res->list_services_response->service[i]->name, expected[i]);
    }
    close_stream(&call);
}

/* 0: t/svc.proto, 1: t/outer.proto, 2: bare.proto. */
static void files_come_once_with_their_imports(void **state)
{
    (void)state;
    info_call call = open_stream();
    const response *res = ask_text(&call, REQUEST(FILE_BY_FILENAME), "bare.proto");
    expect_files(res, (int[]){ 2, 1, -1 });
    res = ask_text(&call, REQUEST(FILE_CONTAINING_SYMBOL), "t.Svc.Get");
    expect_files(res, (int[]){ 0, -1 });
    res = ask_text(&call, REQUEST(FILE_CONTAINING_SYMBOL), "t.Outer.Inner");
    expect_files(res, (int[]){ 1, -1 }); /* what is asked for comes always */
    close_stream(&call);
    call = open_stream(); /* another stream begins anew */
    res = ask_text(&call, REQUEST(FILE_CONTAINING_SYMBOL), "t.Svc");
    expect_files(res, (int[]){ 0, 1, 2, -1 });
    close_stream(&call);
}

static void extensions_are_found(void **state)
{
    (void)state;
    info_call call = open_stream();
    expect_files(ask_extension(&call, "t.Outer", 100), (int[]){ 0, 1, 2, -1 });
    expect_error(ask_extension(&call, "t.Outer", 101), TERN_NOT_FOUND);
    expect_error(ask_extension(&call, "t.Oute", 100), TERN_NOT_FOUND);
    const response *res = ask_text(&call, REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE), "t.Outer");
    assert_int_equal(res->message_response_case, RESPONSE(ALL_EXTENSION_NUMBERS_RESPONSE));
    assert_string_equal(res->all_extension_numbers_response->base_type_name, "t.Outer");
    assert_int_equal(res->all_extension_numbers_response->n_extension_number, 1);
    assert_int_equal(res->all_extension_numbers_response->extension_number[0], 100);
    res = ask_text(&call, REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE), "Bare");
    assert_int_equal(res->message_response_case, RESPONSE(ALL_EXTENSION_NUMBERS_RESPONSE));
    assert_int_equal(res->all_extension_numbers_response->n_extension_number, 0);
    expect_error(ask_text(&call, REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE), "t.Svc"), TERN_NOT_FOUND);
    close_stream(&call);
}

static void what_is_not_there_is_an_error_response(void **state)
{
    (void)state;
    info_call call = open_stream();
    expect_error(ask_text(&call, REQUEST(FILE_BY_FILENAME), "gone.proto"), TERN_NOT_FOUND);
    expect_error(ask_text(&call, REQUEST(FILE_BY_FILENAME), ""), TERN_NOT_FOUND);
    expect_error(ask_text(&call, REQUEST(FILE_CONTAINING_SYMBOL), "p.Plain"), TERN_NOT_FOUND);
    expect_error(ask_text(&call, REQUEST(FILE_CONTAINING_SYMBOL), "t"), TERN_NOT_FOUND);
    request nothing = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    expect_error(ask(&call, &nothing), TERN_INVALID_ARGUMENT);
    const response *res = ask_text(&call, REQUEST(FILE_BY_FILENAME), "bare.proto");
    expect_files(res, (int[]){ 2, 1, -1 }); /* the stream goes on */
    close_stream(&call);
}

static void v1alpha_says_the_same(void **state)
{
    (void)state;
    grpc_reflection_v1alpha_server_reflection_server_reflection_info_call call;
    const alpha_response *res;
    tern_status st;
    alpha_request req = GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__INIT;
    req.message_request_case = ALPHA_REQUEST(FILE_CONTAINING_SYMBOL);
    req.file_containing_symbol = (char[]){ "grpc.reflection.v1alpha.ServerReflection" };
    must(grpc_reflection_v1alpha_server_reflection_server_reflection_info(channel, &opts, &call,
                                                                          &st),
         &st);
    assert_true(grpc_reflection_v1alpha_server_reflection_server_reflection_info_send(&call, &req));
    assert_true(grpc_reflection_v1alpha_server_reflection_server_reflection_info_recv(&call, &res));
    assert_int_equal(res->message_response_case, ALPHA_RESPONSE(FILE_DESCRIPTOR_RESPONSE));
    assert_int_equal(res->file_descriptor_response->n_file_descriptor_proto, 1);
    const tern_file *own = grpc_reflection_v1alpha_server_reflection.files;
    assert_int_equal(res->file_descriptor_response->file_descriptor_proto[0].len, own->len);
    tern_stream_cancel(call.stream);
    grpc_reflection_v1alpha_server_reflection_server_reflection_info_finish(&call, NULL);
}

static void streams_have_a_limit(void **state)
{
    info_call calls[TERN_LIMIT_REFLECTION_STREAMS];
    const response *res;
    tern_status st;
    (void)state;
    for (size_t i = 0; i < TERN_LIMIT_REFLECTION_STREAMS; i++) {
        calls[i] = open_stream();
        ask_text(&calls[i], REQUEST(LIST_SERVICES), "");
    }
    info_call one_more = open_stream();
    assert_false(grpc_reflection_v1_server_reflection_server_reflection_info_recv(&one_more, &res));
    assert_int_equal(
        grpc_reflection_v1_server_reflection_server_reflection_info_finish(&one_more, &st),
        TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "reflection streams at once"));
    for (size_t i = 0; i < TERN_LIMIT_REFLECTION_STREAMS; i++)
        close_stream(&calls[i]);
    one_more = open_stream(); /* their places are free again */
    ask_text(&one_more, REQUEST(LIST_SERVICES), "");
    close_stream(&one_more);
}

static void a_malformed_descriptor_fails_the_call_alone(void **state)
{
    static const tern_file bad = { "bad.proto", "\x0a\xff", 2 };
    static const tern_service service = { .name = "b.Bad", .files = &bad, .n_files = 1 };
    const response *res;
    tern_status st;
    (void)state;
    begin((const tern_service *const[]){ &service }, 1);
    for (int i = 0; i < 2; i++) {
        info_call call = open_stream();
        assert_false(grpc_reflection_v1_server_reflection_server_reflection_info_recv(&call, &res));
        assert_int_equal(
            grpc_reflection_v1_server_reflection_server_reflection_info_finish(&call, &st),
            TERN_INTERNAL);
    }
    end();
}

static void it_is_added_once_and_before_anybody_asks(void **state)
{
    tern_server *other;
    tern_status st;
    (void)state;
    must(tern_server_new(NULL, &other, &st), &st);
    must(tern_server_add_reflection(other, &st), &st);
    assert_int_equal(tern_server_add_reflection(other, &st), TERN_ALREADY_EXISTS);
    tern_server_free(other); /* never asked: nothing was learnt */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(services_are_listed_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_come_once_with_their_imports, set_up, tear_down),
        cmocka_unit_test_setup_teardown(extensions_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_an_error_response, set_up, tear_down),
        cmocka_unit_test_setup_teardown(v1alpha_says_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_have_a_limit, set_up, tear_down),
        cmocka_unit_test(a_malformed_descriptor_fails_the_call_alone),
        cmocka_unit_test(it_is_added_once_and_before_anybody_asks),
    };
    return cmocka_run_group_tests_name("reflection", tests, NULL, NULL);
}
