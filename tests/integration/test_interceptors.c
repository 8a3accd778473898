/* Interceptors and status details, over a real connection: on both sides, for unary calls and for
 * streams. */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/tern.h>

#include "support/probe.h"

static const tern_method unary = { .path = "/t.T/Unary" };
static const tern_method bidi = { .path = "/t.T/Bidi", .kind = TERN_KIND_BIDI_STREAMING };

static tern_server *srv;
static tern_channel *ch;
static tern_status st;
static atomic_uint client_before, client_after, server_before, server_after, handled;
static _Atomic tern_code last_server_code, last_client_code;

/* --- interceptors ----------------------------------------------------------------------------- */

static tern_code client_adds(void *self, tern_call_info *info)
{
    (void)self;
    atomic_fetch_add(&client_before, 1);
    assert(strncmp(info->peer, "ipv4:", 5) == 0);
    if (tern_metadata_get(info->request, "x-stop-here"))
        return tern_status_set(info->status, TERN_PERMISSION_DENIED, "not with this client");
    tern_metadata_add(info->request, "x-token", "open sesame");
    info->timeout_ms = 5000;
    info->state = info;
    return TERN_OK;
}

static void client_sees(void *self, tern_call_info *info)
{
    (void)self;
    atomic_fetch_add(&client_after, 1);
    assert(info->state == info);
    assert(info->elapsed_us >= 0);
    atomic_store(&last_client_code, info->status->code);
    const char *said = tern_metadata_get(info->trailing, "x-server-said");
    if (said && strcmp(said, "fail") == 0)
        tern_status_set(info->status, TERN_DATA_LOSS, "the interceptor knows better");
}

static tern_code server_checks(void *self, tern_call_info *info)
{
    (void)self;
    atomic_fetch_add(&server_before, 1);
    const char *token = tern_metadata_get(info->request, "x-token");
    if (!token || strcmp(token, "open sesame") != 0)
        return tern_status_set(info->status, TERN_UNAUTHENTICATED, "no token");
    tern_metadata_add(info->initial, "x-checked", "yes");
    return TERN_OK;
}

static void server_sees(void *self, tern_call_info *info)
{
    (void)self;
    atomic_fetch_add(&server_after, 1);
    atomic_store(&last_server_code, info->status->code);
    const char *ask = tern_metadata_get(info->request, "x-ask");
    if (ask)
        tern_metadata_add(info->trailing, "x-server-said", ask);
    if (ask && strcmp(ask, "abort") == 0)
        tern_status_set(info->status, TERN_ABORTED, "aborted on the way out");
}

/* --- handlers --------------------------------------------------------------------------------- */

static tern_code handle_unary(void *self, tern_server_call *call)
{
    (void)self;
    atomic_fetch_add(&handled, 1);
    if (tern_metadata_get(tern_server_call_metadata(call), "x-fail")) {
        assert(tern_server_call_set_details(call, "\10\5\22\2no", 6) == 0);
        return tern_server_call_fail(call, TERN_NOT_FOUND, "no");
    }
    size_t len;
    const void *data = tern_server_call_request(call, &len);
    memcpy(tern_server_call_response_buffer(call, len), data, len);
    return TERN_OK;
}

static tern_code handle_bidi(void *self, tern_server_call *call)
{
    (void)self;
    const void *data;
    size_t len;
    atomic_fetch_add(&handled, 1);
    while (tern_server_call_recv(call, &data, &len))
        if (!tern_server_call_send(call, data, len))
            return TERN_CANCELLED;
    return TERN_OK;
}

static int setup(void **state)
{
    (void)state;
    static const tern_interceptor on_server[] = { { server_checks, server_sees, NULL },
                                                  { NULL, NULL, NULL } };
    static const tern_interceptor on_client[] = { { client_adds, client_sees, NULL } };
    tern_server_options so = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    uint16_t port;
    char target[64];
    so.interceptors = on_server;
    so.n_interceptors = 2;
    co.interceptors = on_client;
    co.n_interceptors = 1;
    assert_int_equal(tern_server_new(&so, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &unary, handle_unary, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &bidi, handle_bidi, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    ch = probe_channel_with(target, &co);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(ch);
    tern_server_free(srv);
    return 0;
}

static tern_code call_with(const char *key, const char *value, tern_metadata *trailing)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    void *bytes = NULL;
    size_t len = 0;
    tern_metadata *md = tern_metadata_new();
    if (key)
        assert_int_equal(tern_metadata_add(md, key, value), 0);
    opts.metadata = md;
    opts.ret_trailing_metadata = trailing;
    st.message[0] = '\0';
    tern_code code = tern_call_unary(ch, &unary, &opts, "hello", 5, &bytes, &len, &st);
    if (code == TERN_OK) {
        assert_int_equal(len, 5);
        free(bytes);
    }
    tern_metadata_free(md);
    return code;
}

static void test_unary(void **state)
{
    (void)state;
    tern_metadata *trailing = tern_metadata_new();
    assert_int_equal(call_with("x-ask", "nothing", trailing), TERN_OK);
    assert_string_equal(tern_metadata_get(trailing, "x-server-said"), "nothing");
    assert_int_equal(atomic_load(&last_server_code), TERN_OK);
    assert_int_equal(atomic_load(&last_client_code), TERN_OK);
    tern_metadata_free(trailing);
    assert_int_equal(atomic_load(&client_before), 1);
    assert_int_equal(atomic_load(&client_after), 1);
    assert_int_equal(atomic_load(&server_before), 1);
    assert_int_equal(atomic_load(&server_after), 1);
}

static void test_stop(void **state)
{
    (void)state;
    unsigned before = atomic_load(&handled), seen = atomic_load(&server_before);
    assert_int_equal(call_with("x-stop-here", "yes", NULL), TERN_PERMISSION_DENIED);
    assert_string_equal(st.message, "not with this client");
    assert_int_equal(atomic_load(&server_before), seen); /* it never left the client */
    assert_int_equal(call_with("x-token", "wrong", NULL), TERN_OK); /* the last one counts */
    assert_int_equal(atomic_load(&handled), before + 1);
}

/* A client without the interceptor has no token: the server's stops the call. */
static void test_server_stops(void **state)
{
    (void)state;
    void *bytes;
    size_t len;
    unsigned before = atomic_load(&handled);
    tern_channel *plain = probe_channel(tern_channel_target(ch));
    assert_int_equal(tern_call_unary(plain, &unary, NULL, "x", 1, &bytes, &len, &st),
                     TERN_UNAUTHENTICATED);
    assert_string_equal(st.message, "no token");
    tern_stream *s;
    const void *data;
    assert_int_equal(tern_stream_open(plain, &bidi, NULL, &s, &st), TERN_OK);
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_UNAUTHENTICATED);
    assert_int_equal(atomic_load(&handled), before);
    tern_channel_free(plain);
}

static void test_change_status(void **state)
{
    (void)state;
    assert_int_equal(call_with("x-ask", "abort", NULL), TERN_ABORTED);
    assert_string_equal(st.message, "aborted on the way out");
    assert_int_equal(call_with("x-ask", "fail", NULL), TERN_DATA_LOSS);
    assert_string_equal(st.message, "the interceptor knows better");
}

static void test_details(void **state)
{
    (void)state;
    size_t len;
    tern_metadata *trailing = tern_metadata_new();
    assert_int_equal(call_with("x-fail", "yes", trailing), TERN_NOT_FOUND);
    const void *details = tern_metadata_status_details(trailing, &len);
    assert_non_null(details);
    assert_int_equal(len, 6);
    assert_memory_equal(details, "\10\5\22\2no", 6);
    tern_metadata_free(trailing);
}

static void test_streams(void **state)
{
    (void)state;
    tern_stream *s;
    const void *data;
    size_t len;
    unsigned after = atomic_load(&client_after);
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_metadata *md = tern_metadata_new();
    tern_metadata_add(md, "x-ask", "fail");
    opts.metadata = md;
    tern_call_options gone = opts; /* what a function that opens a stream has on its stack */
    assert_int_equal(tern_stream_open(ch, &bidi, &gone, &s, &st), TERN_OK);
    memset(&gone, 0xaa, sizeof gone);
    assert_true(tern_stream_send(s, "one", 3));
    assert_true(tern_stream_recv(s, &data, &len));
    assert_string_equal(tern_metadata_get(tern_stream_initial_metadata(s), "x-checked"), "yes");
    assert_true(tern_stream_close_send(s));
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_DATA_LOSS);
    assert_int_equal(atomic_load(&client_after), after + 1);
    assert_int_equal(atomic_load(&last_client_code), TERN_OK);
    tern_metadata_clear(md);
    tern_metadata_add(md, "x-stop-here", "yes");
    assert_int_equal(tern_stream_open(ch, &bidi, &opts, &s, &st), TERN_PERMISSION_DENIED);
    tern_metadata_free(md);
}

static void never(void *ctx, const tern_status *why, const void *response, size_t len)
{
    (void)ctx, (void)why, (void)response, (void)len;
    abort();
}

/* A call that cannot be begun ends for the interceptors, too. */
static void test_not_begun(void **state)
{
    (void)state;
    static const char small[] = "{\"methodConfig\":[{\"name\":[{\"service\":\"t.T\"}],"
                                "\"maxRequestMessageBytes\":3}]}";
    unsigned before = atomic_load(&client_before), after = atomic_load(&client_after);
    assert_int_equal(tern_channel_set_service_config(ch, small, strlen(small), &st), TERN_OK);
    atomic_store(&last_client_code, TERN_OK);
    assert_int_equal(call_with(NULL, NULL, NULL), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(atomic_load(&last_client_code), TERN_RESOURCE_EXHAUSTED);
    atomic_store(&last_client_code, TERN_OK);
    assert_int_equal(tern_call_unary_start(ch, &unary, NULL, "hello", 5, never, NULL, &st),
                     TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "maxRequestMessageBytes"));
    assert_int_equal(atomic_load(&last_client_code), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(atomic_load(&client_before), before + 2);
    assert_int_equal(atomic_load(&client_after), after + 2);
    assert_int_equal(tern_channel_set_service_config(ch, "{}", 2, &st), TERN_OK);
}

static void test_too_many(void **state)
{
    (void)state;
    tern_server *server;
    tern_channel *channel;
    tern_server_options so = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    so.n_interceptors = co.n_interceptors = TERN_LIMIT_INTERCEPTORS + 1;
    assert_int_equal(tern_server_new(&so, &server, &st), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_channel_new("ipv4:127.0.0.1:1", &co, &channel, &st),
                     TERN_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_server_stops),
        cmocka_unit_test(test_change_status),
        cmocka_unit_test(test_details),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_not_begun),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
