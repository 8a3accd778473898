/* Unary calls from end to end over real sockets: messages, metadata, codes, limits, addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"

static probe_server server;
static tern_channel *channel;

static int setup(void **state)
{
    (void)state;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    channel = probe_channel(server.target);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(channel);
    probe_stop(&server, 1000);
    return 0;
}

static void test_echo(void **state)
{
    (void)state;
    tern_status st;
    for (int i = 0; i < 200; i++)
        assert_int_equal(probe_echo(channel, NULL, "Grüße, \"Welt\" 100%", &st), TERN_OK);
    tern_channel_stats stats;
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.calls, 200);
    assert_int_equal(stats.attempts, 200);
    assert_int_equal(stats.calls_failed, 0);
    assert_int_equal(stats.connects, 1);
    assert_string_equal(tern_channel_target(channel), server.target);
}

static void test_empty_message(void **state)
{
    (void)state;
    tern_status st;
    Tests__V1__Empty req = TESTS__V1__EMPTY__INIT, *res = NULL;
    assert_int_equal(tests_v1_probe_nothing(channel, NULL, &req, &res, &st), TERN_OK);
    assert_non_null(res);
    tests__v1__empty__free_unpacked(res, NULL);

    static const tern_method raw = { .path = "/tests.v1.Probe/Nothing" };
    void *bytes = NULL;
    size_t len = 1;
    assert_int_equal(tern_call_unary(channel, &raw, NULL, NULL, 0, &bytes, &len, &st), TERN_OK);
    assert_non_null(bytes);
    assert_int_equal(len, 0);
    free(bytes);
}

/* Sizes around every border: the stack buffers, frames, windows. */
static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1,      1000,   1019,   1024,    2030,
                                    2043,   2048,   4090,   4096,    16379,
                                    16384,  16385,  65535,  65536,   99999,
                                    262144, 262145, 500000, 1048576, 4u * 1024 * 1024 - 16 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        tern_status st;
        Tests__V1__EchoRequest req = TESTS__V1__ECHO_REQUEST__INIT;
        Tests__V1__EchoResponse *res = NULL;
        req.payload.len = sizes[i];
        req.payload.data = malloc(sizes[i]);
        assert_non_null(req.payload.data);
        for (size_t k = 0; k < sizes[i]; k++)
            req.payload.data[k] = (uint8_t)(k * 31 + k / 251);
        st.message[0] = '\0';
        if (tests_v1_probe_echo(channel, NULL, &req, &res, &st) != TERN_OK)
            fail_msg("%zu bytes: %s", sizes[i], st.message);
        assert_int_equal(res->payload.len, sizes[i]);
        assert_memory_equal(res->payload.data, req.payload.data, sizes[i]);
        tests__v1__echo_response__free_unpacked(res, NULL);
        free(req.payload.data);
    }
}

static void test_receive_limits(void **state)
{
    (void)state;
    tern_status st;
    Tests__V1__EchoRequest req = TESTS__V1__ECHO_REQUEST__INIT;
    Tests__V1__EchoResponse *res = NULL;
    unsigned before = atomic_load(&server.calls);

    /* the server's: no handler runs */
    req.payload.len = 4u * 1024 * 1024 + 1;
    req.payload.data = calloc(1, req.payload.len);
    assert_int_equal(tests_v1_probe_echo(channel, NULL, &req, &res, &st), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "4194304"));
    assert_int_equal(atomic_load(&server.calls), before);
    free(req.payload.data);

    /* the client's: of the channel, then of the call */
    req.payload.len = 0;
    req.payload.data = NULL;
    req.answer_bytes = 4u * 1024 * 1024;
    assert_int_equal(tests_v1_probe_echo(channel, NULL, &req, &res, &st), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "receive_message_bytes_max"));
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.receive_message_bytes_max = 5u * 1024 * 1024;
    assert_int_equal(tests_v1_probe_echo(channel, &opts, &req, &res, &st), TERN_OK);
    assert_int_equal(res->payload.len, req.answer_bytes);
    tests__v1__echo_response__free_unpacked(res, NULL);
    opts.receive_message_bytes_max = 100;
    req.answer_bytes = 99;
    assert_int_equal(tests_v1_probe_echo(channel, &opts, &req, &res, &st), TERN_RESOURCE_EXHAUSTED);

    /* the connection has survived all of it */
    assert_int_equal(probe_echo(channel, NULL, "still here", &st), TERN_OK);
    tern_channel_stats stats;
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.connects, 1);
}

static void test_codes(void **state)
{
    (void)state;
    tern_status st;
    for (int code = 0; code <= 16; code++) {
        Tests__V1__FailRequest req = TESTS__V1__FAIL_REQUEST__INIT;
        char text[] = "\t100% sûr\r\n <ß\xf0\x9f\x9a\x81> %41";
        req.code = code;
        req.message = text;
        st.message[0] = '\0';
        assert_int_equal(probe_fail(channel, NULL, &req, false, &st), code);
        assert_string_equal(st.message, code ? text : "");
        if (code)
            assert_int_equal(st.code, code);
    }
    Tests__V1__FailRequest req = TESTS__V1__FAIL_REQUEST__INIT;
    req.code = 5;
    assert_int_equal(probe_fail(channel, NULL, &req, false, &st), TERN_NOT_FOUND);
    assert_string_equal(st.message, "");
    assert_int_equal(probe_fail(channel, NULL, &req, false, NULL), TERN_NOT_FOUND);
    req.code = 17;
    assert_int_equal(probe_fail(channel, NULL, &req, false, &st), TERN_UNKNOWN);
    assert_non_null(strstr(st.message, "17"));
    req.code = -1;
    assert_int_equal(probe_fail(channel, NULL, &req, false, &st), TERN_UNKNOWN);
}

/* A message longer than a status holds is cut at a character. */
static void test_long_message(void **state)
{
    (void)state;
    tern_status st;
    Tests__V1__FailRequest req = TESTS__V1__FAIL_REQUEST__INIT;
    char text[4001];
    for (size_t i = 0; i < 4000; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    text[4000] = '\0';
    req.code = 9;
    req.message = text;
    assert_int_equal(probe_fail(channel, NULL, &req, false, &st), TERN_FAILED_PRECONDITION);
    assert_int_equal(strlen(st.message), 1022);
    assert_memory_equal(st.message, text, 1022);
}

static void test_unknown_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path, *says;
    } cases[] = {
        { "/tests.v1.Probe/Nope", "unknown method /tests.v1.Probe/Nope" },
        { "/tests.v1.probe/Echo", "unknown service tests.v1.probe" },
        { "/tests.v1.Probe/Echo/", "malformed" },
        { "//Echo", "malformed" },
        { "/tests.v1.Probe/Unserved", "/tests.v1.Probe/Unserved is not implemented" },
        { "/tests.v1.Probe/Stream", "/tests.v1.Probe/Stream is not implemented" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const tern_method m = { .path = cases[i].path };
        tern_status st;
        void *bytes;
        size_t len;
        assert_int_equal(tern_call_unary(channel, &m, NULL, "", 0, &bytes, &len, &st),
                         TERN_UNIMPLEMENTED);
        if (!strstr(st.message, cases[i].says))
            fail_msg("%s: %s", cases[i].path, st.message);
    }
}

static void test_bytes_that_are_no_message(void **state)
{
    (void)state;
    static const tern_method m = { .path = "/tests.v1.Probe/Echo" };
    tern_status st;
    void *bytes;
    size_t len;
    unsigned before = atomic_load(&server.calls);
    assert_int_equal(tern_call_unary(channel, &m, NULL,
                                     "\x12\x05"
                                     "ab",
                                     4, &bytes, &len, &st),
                     TERN_INTERNAL);
    assert_int_equal(tern_call_unary(channel, &m, NULL,
                                     "\x12\x05"
                                     "ad\0in",
                                     7, &bytes, &len, &st),
                     TERN_INTERNAL);
    assert_non_null(strstr(st.message, "NUL"));
    assert_int_equal(atomic_load(&server.calls), before);
}

static void check_metadata(tern_code expected)
{
    tern_status st;
    tern_metadata *md = tern_metadata_new(), *initial = tern_metadata_new(),
                  *trailing = tern_metadata_new();
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    uint8_t all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    assert_int_equal(tern_metadata_add(md, "x-echo-a", "one"), 0);
    assert_int_equal(tern_metadata_add(md, "X-Echo-A", "two, and three"), 0);
    assert_int_equal(tern_metadata_add_bin(md, "x-echo-b-bin", all, sizeof all), 0);
    assert_int_equal(tern_metadata_add_bin(md, "x-echo-empty-bin", "", 0), 0);
    assert_int_equal(tern_metadata_add(md, "x-trail-c", "last ~!"), 0);
    assert_int_equal(tern_metadata_add_bin(md, "x-trail-d-bin", all, 1), 0);
    opts.metadata = md;
    opts.ret_initial_metadata = initial;
    opts.ret_trailing_metadata = trailing;
    Tests__V1__FailRequest req = TESTS__V1__FAIL_REQUEST__INIT;
    req.code = (int32_t)expected;
    assert_int_equal(probe_fail(channel, &opts, &req, false, &st), expected);
    /* A failure is trailers-only: everything comes in its one list. */
    const tern_metadata *head = expected == TERN_OK ? initial : trailing;
    assert_string_equal(tern_metadata_at(head, 0)->key, "x-echo-a");
    assert_string_equal(tern_metadata_at(head, 0)->value, "one");
    assert_string_equal(tern_metadata_at(head, 1)->value, "two, and three");
    assert_int_equal(tern_metadata_at(head, 2)->value_len, 256);
    assert_memory_equal(tern_metadata_at(head, 2)->value, all, 256);
    assert_int_equal(tern_metadata_at(head, 3)->value_len, 0);
    assert_int_equal(tern_metadata_count(initial), expected == TERN_OK ? 4 : 0);
    assert_int_equal(tern_metadata_count(trailing), expected == TERN_OK ? 2 : 6);
    assert_string_equal(tern_metadata_get(trailing, "x-trail-c"), "last ~!");
    tern_metadata_free(md);
    tern_metadata_free(initial);
    tern_metadata_free(trailing);
}

static void test_metadata(void **state)
{
    (void)state;
    check_metadata(TERN_OK);
    check_metadata(TERN_ABORTED);
}

/* Too much of it: refused before it is sent, and when the server wants to send it. */
static void test_too_much_metadata(void **state)
{
    (void)state;
    tern_status st;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_metadata *md = tern_metadata_new();
    char value[200];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 129; i++)
        tern_metadata_add(md, "x-many", "v");
    opts.metadata = md;
    assert_int_equal(probe_echo(channel, &opts, "a", &st), TERN_RESOURCE_EXHAUSTED);
    tern_metadata_clear(md);
    for (int i = 0; i < 100; i++)
        tern_metadata_add(md, "x-large", value);
    assert_int_equal(probe_echo(channel, &opts, "a", &st), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "metadata"));
    assert_int_equal(probe_echo(channel, NULL, "a", &st), TERN_OK);
    tern_metadata_free(md);
}

static void test_any_address(void **state)
{
    (void)state;
    char path[96], unix_target[128], abstract[64];
    probe_unix_path(path);
    snprintf(unix_target, sizeof unix_target, "unix:%s", path);
    snprintf(abstract, sizeof abstract, "unix-abstract:tern-test-%d", (int)getpid());
    const char *const addresses[] = {
        "ipv4:127.0.0.1:0", "127.0.0.1:0", "dns:localhost:0", "localhost:0",
        "ipv6:[::1]:0",     unix_target,   abstract
    };
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        probe_server s;
        tern_status st;
        st.message[0] = '\0';
        probe_start(&s, NULL, addresses[i]);
        tern_channel *ch = probe_channel(s.target);
        if (probe_echo(ch, NULL, s.target, &st))
            fail_msg("%s: %s", s.target, st.message);
        tern_channel_free(ch);
        probe_stop(&s, 100);
    }
    assert_int_not_equal(access(path, F_OK), 0); /* the socket's file is gone */
}

static void test_port_in_use(void **state)
{
    (void)state;
    tern_server *second;
    tern_status st;
    assert_int_equal(tern_server_new(NULL, &second, &st), TERN_OK);
    assert_int_equal(tern_server_listen(second, server.target, NULL, &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, server.target));
    assert_non_null(strstr(st.message, "in use"));
    tern_server_free(second);

    char path[96], target[128];
    probe_server s;
    probe_unix_path(path);
    snprintf(target, sizeof target, "unix:%s", path);
    probe_start(&s, NULL, target);
    assert_int_equal(tern_server_new(NULL, &second, &st), TERN_OK);
    assert_int_equal(tern_server_listen(second, target, NULL, &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, path));
    tern_server_free(second);
    tern_channel *ch = probe_channel(target);
    assert_int_equal(probe_echo(ch, NULL, "the first one lives", &st), TERN_OK);
    tern_channel_free(ch);
    probe_stop(&s, 100);
}

static void test_registering(void **state)
{
    (void)state;
    static const tern_method bad = { .path = "nope" };
    tern_server *srv;
    tern_status st;
    assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
    tests_v1_probe_handlers none = { .echo = NULL };
    assert_int_equal(tests_v1_probe_register(srv, &none, NULL, &st), TERN_OK);
    assert_int_equal(tests_v1_probe_register(srv, &none, NULL, &st), TERN_ALREADY_EXISTS);
    assert_non_null(strstr(st.message, "/tests.v1.Probe/Echo"));
    assert_int_equal(tern_server_add_raw(srv, &bad, NULL, NULL, &st), TERN_INVALID_ARGUMENT);
    tern_server_free(srv);
}

static void test_health(void **state)
{
    (void)state;
    /* grpc.health.v1.HealthCheckRequest { service = 1 }, Response { status = 1 } */
    static const tern_method check = { .path = "/grpc.health.v1.Health/Check" };
    tern_status st;
    void *bytes;
    size_t len;
    assert_int_equal(tern_call_unary(channel, &check, NULL, "", 0, &bytes, &len, &st), TERN_OK);
    assert_int_equal(len, 2);
    assert_memory_equal(bytes, "\x08\x01", 2);
    free(bytes);
    assert_int_equal(tern_call_unary(channel, &check, NULL, "\x0a\x01x", 3, &bytes, &len, &st),
                     TERN_NOT_FOUND);
    assert_int_equal(tern_health_set(server.health, "x", TERN_NOT_SERVING), 0);
    assert_int_equal(tern_call_unary(channel, &check, NULL, "\x0a\x01x", 3, &bytes, &len, &st),
                     TERN_OK);
    assert_memory_equal(bytes, "\x08\x02", 2);
    free(bytes);
}

/* A server sees who calls it and what was called. */
static tern_code tell_peer(void *self, tern_server_call *call)
{
    (void)self;
    const char *peer = tern_server_call_peer(call);
    size_t len = strlen(peer);
    void *to = tern_server_call_response_buffer(call, len);
    assert_string_equal(tern_server_call_method(call)->path, "/tests.v1.Raw/Peer");
    memcpy(to, peer, len);
    return TERN_OK;
}

static void test_peer(void **state)
{
    (void)state;
    static const tern_method m = { .path = "/tests.v1.Raw/Peer" };
    char abstract[64];
    snprintf(abstract, sizeof abstract, "unix-abstract:tern-test-peer-%d", (int)getpid());
    const char *const addresses[] = { "ipv4:127.0.0.1:0", "ipv6:[::1]:0", abstract };
    static const char *const starts[] = { "ipv4:127.0.0.1:", "ipv6:[::1]:", "unix:" };
    for (int i = 0; i < 3; i++) {
        tern_server *srv;
        tern_status st;
        uint16_t port;
        char target[64];
        void *bytes;
        size_t len;
        assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
        assert_int_equal(tern_server_add_raw(srv, &m, tell_peer, NULL, &st), TERN_OK);
        assert_int_equal(tern_server_listen(srv, addresses[i], &port, &st), TERN_OK);
        assert_int_equal(tern_server_start(srv, &st), TERN_OK);
        if (port)
            snprintf(target, sizeof target, "%.*s%u", (int)strlen(addresses[i]) - 1, addresses[i],
                     port);
        else
            snprintf(target, sizeof target, "%s", addresses[i]);
        tern_channel *ch = probe_channel(target);
        assert_int_equal(tern_call_unary(ch, &m, NULL, "", 0, &bytes, &len, &st), TERN_OK);
        assert_true(len >= strlen(starts[i]));
        assert_memory_equal(bytes, starts[i], strlen(starts[i]));
        free(bytes);
        tern_channel_free(ch);
        tern_server_free(srv);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bytes_that_are_no_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metadata, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_much_metadata, setup, teardown),
        cmocka_unit_test(test_any_address),
        cmocka_unit_test_setup_teardown(test_port_in_use, setup, teardown),
        cmocka_unit_test(test_registering),
        cmocka_unit_test_setup_teardown(test_health, setup, teardown),
        cmocka_unit_test(test_peer),
    };
    return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
