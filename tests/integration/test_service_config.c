/* Service configs of a channel: given in code, replaced at run time, read from a file; and what
 * they make of calls: deadlines, waiting for a connection, limits, breakers. Retries are in
 * test_retry_policy.c, hedging in test_hedging.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"
#include "support/script.h"
#include "support/tlskit.h"

#define GRPC_HEAD { ":status", "200" }, { "content-type", "application/grpc" }
#define STATUS(code) .headers = { GRPC_HEAD, { "grpc-status", code }, { "grpc-message", "said" } }
#define ANSWER(bytes)                                                                           \
    {                                                                                           \
        .headers = { GRPC_HEAD }, .body = bytes, .body_len = sizeof(bytes) - 1,                 \
        .trailers = { { "grpc-status", "0" } }                                                  \
    }
#define ANSWER_OK ANSWER("\0\0\0\0\0")

static script peer;
static tern_channel *channel;
static tern_channel_stats stats;
static tern_status st;

static const tern_method get = { .path = "/t.T/Get" }, put = { .path = "/t.T/Put" };
static const tern_method streaming = { .path = "/t.T/Get", .kind = TERN_KIND_BIDI_STREAMING };

static void begin_with(const char *json, const script_step *steps, size_t n,
                       tern_channel_options *opts)
{
    script_start(&peer, steps, n, false);
    opts->service_config = json;
    opts->reconnect_backoff_ms = 5;
    opts->reconnect_backoff_ms_max = 20;
    channel = probe_channel_with(peer.target, opts);
}

static void begin(const char *json, const script_step *steps, size_t n)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    begin_with(json, steps, n, &opts);
}

static void end(void)
{
    tern_channel_free(channel);
    script_stop(&peer);
}

static tern_code call_with(const tern_method *m, const tern_call_options *opts, size_t len)
{
    static const uint8_t request[4096];
    void *bytes = NULL;
    size_t n;
    st.message[0] = '\0';
    tern_code code = tern_call_unary(channel, m, opts, request, len, &bytes, &n, &st);
    if (code == TERN_OK)
        free(bytes);
    tern_channel_stats_get(channel, &stats);
    return code;
}

static tern_code call(const tern_method *m)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 10000;
    return call_with(m, &opts, 1);
}

static void set(const char *json)
{
    if (tern_channel_set_service_config(channel, json, json ? strlen(json) : 0, &st) != TERN_OK)
        fail_msg("%s", st.message);
}

/* --- configs ---------------------------------------------------------------------------------- */

#define BAD "{\"methodConfig\":[{\"name\":[{}],\"timeout\":\"soon\"}]}"

static void test_invalid(void **state)
{
    (void)state;
    static const script_step steps[] = { ANSWER_OK };
    tern_channel *ch = NULL;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.service_config = BAD;
    assert_int_equal(tern_channel_new("ipv4:127.0.0.1:1", &opts, &ch, &st), TERN_INVALID_ARGUMENT);
    assert_null(ch);
    assert_non_null(strstr(st.message, "methodConfig[0].timeout"));
    assert_int_equal(tern_channel_new("ipv4:127.0.0.1:1", &opts, &ch, NULL),
                     TERN_INVALID_ARGUMENT);
    begin("{\"methodConfig\":[{\"name\":[{}],\"timeout\":\"3s\"}]}", steps, 1);
    assert_int_equal(tern_channel_set_service_config(channel, BAD, strlen(BAD), &st),
                     TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "methodConfig[0].timeout"));
    assert_int_equal(tern_channel_set_service_config(channel, "{", 1, NULL),
                     TERN_INVALID_ARGUMENT);
    assert_int_equal(call(&get), TERN_OK); /* the former one is still in use */
    assert_in_range(atomic_load(&peer.timeout_ms), 2000, 3000);
    end();
}

static void test_timeout(void **state)
{
    (void)state;
    static const script_step steps[] = { ANSWER_OK };
    tern_call_options none = TERN_CALL_OPTIONS_INIT;
    begin("{\"methodConfig\":["
          "{\"name\":[{\"service\":\"t.T\",\"method\":\"Get\"}],\"timeout\":\"3s\"},"
          "{\"name\":[{\"service\":\"t.T\"}],\"timeout\":\"60s\"}]}",
          steps, 1);
    assert_int_equal(call(&get), TERN_OK);
    assert_in_range(atomic_load(&peer.timeout_ms), 2000, 3000);
    assert_int_equal(call(&put), TERN_OK); /* the call's own is the smaller one */
    assert_in_range(atomic_load(&peer.timeout_ms), 9000, 10000);
    assert_int_equal(call_with(&put, &none, 1), TERN_OK);
    assert_in_range(atomic_load(&peer.timeout_ms), 50000, 60000);
    set("{}");
    assert_int_equal(call_with(&get, &none, 1), TERN_OK);
    assert_int_equal(atomic_load(&peer.timeout_ms), -1);
    set(NULL);
    assert_int_equal(call_with(&get, &none, 1), TERN_OK);
    assert_int_equal(atomic_load(&peer.timeout_ms), -1);
    end();
}

/* It is kept, too, and holds for streams. */
static void test_timeout_passes(void **state)
{
    (void)state;
    static const script_step steps[] = { { .action = SCRIPT_IGNORE } };
    tern_call_options none = TERN_CALL_OPTIONS_INIT;
    tern_stream *s;
    const void *message;
    size_t len;
    begin("{\"methodConfig\":[{\"name\":[{}],\"timeout\":\"0.3s\"}]}", steps, 1);
    assert_int_equal(call_with(&get, &none, 1), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(tern_stream_open(channel, &streaming, NULL, &s, &st), TERN_OK);
    assert_false(tern_stream_recv(s, &message, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_DEADLINE_EXCEEDED);
    end();
}

static void test_wait_for_ready(void **state)
{
    (void)state;
    static const script_step steps[] = { ANSWER_OK };
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_channel_options quick = TERN_CHANNEL_OPTIONS_INIT;
    script_start(&peer, steps, 1, false);
    script_stop(&peer); /* nobody there any more */
    quick.service_config = "{\"methodConfig\":[{\"name\":[{}],\"waitForReady\":true,"
                           "\"timeout\":\"0.2s\"}]}";
    quick.reconnect_backoff_ms = quick.reconnect_backoff_ms_max = 10;
    channel = probe_channel_with(peer.target, &quick);
    assert_int_equal(call_with(&get, &opts, 1), TERN_DEADLINE_EXCEEDED);
    opts.wait_for_ready = TERN_CHOICE_NO; /* the call's own choice goes before */
    assert_int_equal(call_with(&get, &opts, 1), TERN_UNAVAILABLE);
    set("{\"methodConfig\":[{\"name\":[{}],\"waitForReady\":false,\"timeout\":\"0.2s\"}]}");
    opts.wait_for_ready = TERN_CHOICE_DEFAULT;
    assert_int_equal(call_with(&get, &opts, 1), TERN_UNAVAILABLE);
    opts.wait_for_ready = true;
    assert_int_equal(call_with(&get, &opts, 1), TERN_DEADLINE_EXCEEDED);
    opts.wait_for_ready = 3;
    assert_int_equal(call_with(&get, &opts, 1), TERN_INTERNAL);
    tern_channel_free(channel);
}

#define LIMITS                                                                         \
    "{\"methodConfig\":[{\"name\":[{}],\"maxRequestMessageBytes\":100,"                 \
    "\"maxResponseMessageBytes\":10}]}"

static void test_request_limit(void **state)
{
    (void)state;
    static const script_step steps[] = { ANSWER_OK };
    tern_stream *s;
    char big[101] = "";
    begin(LIMITS, steps, 1);
    assert_int_equal(call_with(&get, NULL, 100), TERN_OK);
    assert_int_equal(call_with(&get, NULL, 101), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "maxRequestMessageBytes"));
    assert_int_equal(tern_stream_open(channel, &streaming, NULL, &s, &st), TERN_OK);
    assert_true(tern_stream_send(s, big, 100));
    assert_false(tern_stream_send(s, big, 101));
    assert_int_equal(tern_stream_finish(s, &st), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "limit of 100 bytes"));
    end();
}

static void test_response_limit(void **state)
{
    (void)state;
    static const script_step steps[] = { ANSWER("\0\0\0\0\12ten bytes!"),
                                         ANSWER("\0\0\0\0\13eleven more") };
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    begin(LIMITS, steps, 2);
    opts.receive_message_bytes_max = 11; /* the smaller limit holds */
    assert_int_equal(call_with(&get, &opts, 1), TERN_OK);
    assert_int_equal(call_with(&get, &opts, 1), TERN_RESOURCE_EXHAUSTED);
    set("{\"methodConfig\":[{\"name\":[{}],\"maxResponseMessageBytes\":11}]}");
    assert_int_equal(call_with(&get, &opts, 1), TERN_OK);
    opts.receive_message_bytes_max = 10;
    assert_int_equal(call_with(&get, &opts, 1), TERN_RESOURCE_EXHAUSTED);
    end();
}

/* The library's default limit is no wish of anybody: a config may raise it. */
static void test_response_limit_raised(void **state)
{
    (void)state;
    probe_server p;
    Tests__V1__EchoRequest req = TESTS__V1__ECHO_REQUEST__INIT;
    static uint8_t blob[5 * 1024 * 1024];
    tern_server_options server = TERN_SERVER_OPTIONS_INIT;
    server.receive_message_bytes_max = 8 * 1024 * 1024;
    probe_start(&p, &server, "ipv4:127.0.0.1:0");
    for (int given = 0; given < 2; given++) {
        Tests__V1__EchoResponse *res = NULL;
        tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
        opts.service_config =
            "{\"methodConfig\":[{\"name\":[{}],\"maxResponseMessageBytes\":8388608}]}";
        opts.receive_message_bytes_max = given ? 4 * 1024 * 1024 : 0;
        channel = probe_channel_with(p.target, &opts);
        req.payload = (ProtobufCBinaryData){ sizeof blob, blob };
        assert_int_equal(tests_v1_probe_echo(channel, NULL, &req, &res, &st),
                         given ? TERN_RESOURCE_EXHAUSTED : TERN_OK);
        if (res)
            tests__v1__echo_response__free_unpacked(res, NULL);
        tern_channel_free(channel);
    }
    probe_stop(&p, 1000);
}

/* --- guards ----------------------------------------------------------------------------------- */

#define GET_BREAKER(n, more)                                                                 \
    "{" more "\"methodConfig\":[{\"name\":[{\"service\":\"t.T\",\"method\":\"Get\"}],"       \
    "\"tern\":{\"breaker\":{\"consecutiveFailures\":" n ",\"open\":\"30s\"}}}]}"

/* The breaker of one method stops its calls, and no others. */
static void test_method_breaker(void **state)
{
    (void)state;
    static const script_step steps[] = { { STATUS("14") }, { STATUS("14") }, ANSWER_OK };
    begin(GET_BREAKER("2", ""), steps, 3);
    assert_int_equal(call(&get), TERN_UNAVAILABLE);
    assert_int_equal(call(&get), TERN_UNAVAILABLE);
    assert_int_equal(call(&get), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "methodConfig[0]"));
    assert_int_equal(atomic_load(&peer.requests), 2);
    assert_int_equal(stats.rejected_open, 1);
    assert_int_equal(stats.breaker_rejected, 1);
    assert_int_equal(stats.breaker, TERN_BREAKER_CLOSED); /* the channel's */
    assert_int_equal(call(&put), TERN_OK);
    /* Another config in which the method's breaker is the same: it stays open. */
    set(GET_BREAKER("2", "\"connectionScaling\":{\"maxConnectionsPerSubchannel\":2},"));
    assert_int_equal(call(&get), TERN_UNAVAILABLE);
    assert_int_equal(atomic_load(&peer.requests), 3);
    /* With other options it begins anew. */
    set(GET_BREAKER("3", ""));
    assert_int_equal(call(&get), TERN_OK);
    end();
}

/* Streams are judged by the method's breaker, too. */
static void test_method_breaker_and_streams(void **state)
{
    (void)state;
    static const script_step steps[] = { { STATUS("14") } };
    tern_stream *s;
    const void *message;
    size_t len;
    begin(GET_BREAKER("1", ""), steps, 1);
    assert_int_equal(tern_stream_open(channel, &streaming, NULL, &s, &st), TERN_OK);
    assert_true(tern_stream_close_send(s));
    assert_false(tern_stream_recv(s, &message, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_UNAVAILABLE);
    assert_int_equal(tern_stream_open(channel, &streaming, NULL, &s, &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "methodConfig[0]"));
    end();
}

/* The channel's own breaker, by the config instead of the options. */
static void test_channel_breaker(void **state)
{
    (void)state;
    static const script_step steps[] = { { STATUS("14") } };
    begin("{\"tern\":{\"breaker\":{\"consecutiveFailures\":2,\"open\":\"30s\"}}}", steps, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(call(&get), TERN_UNAVAILABLE);
    assert_int_equal(atomic_load(&peer.requests), 2);
    assert_int_equal(stats.breaker, TERN_BREAKER_OPEN);
    set("{\"tern\":{\"breaker\":{\"consecutiveFailures\":2,\"open\":\"30s\"}},"
        "\"methodConfig\":[]}");
    assert_int_equal(call(&get), TERN_UNAVAILABLE); /* the same options: it is open still */
    assert_int_equal(atomic_load(&peer.requests), 2);
    set(NULL); /* back to the options' */
    assert_int_equal(call(&get), TERN_UNAVAILABLE);
    assert_int_equal(atomic_load(&peer.requests), 3);
    assert_int_equal(stats.breaker, TERN_BREAKER_CLOSED);
    end();
}

static void test_in_flight(void **state)
{
    (void)state;
    static const script_step steps[] = { { .action = SCRIPT_IGNORE } };
    static const char *const configs[] = {
        "{\"tern\":{\"callsInFlightMax\":2,\"breaker\":{\"disabled\":true}}}",
        "{\"methodConfig\":[{\"name\":[{\"service\":\"t.T\",\"method\":\"Get\"}],"
        "\"tern\":{\"callsInFlightMax\":2}}]}"
    };
    for (int i = 0; i < 2; i++) {
        tern_stream *s[2], *other;
        begin(configs[i], steps, 1);
        for (int k = 0; k < 2; k++)
            assert_int_equal(tern_stream_open(channel, &streaming, NULL, &s[k], &st), TERN_OK);
        assert_int_equal(call(&get), TERN_UNAVAILABLE);
        assert_non_null(strstr(st.message, "2 calls are in flight"));
        assert_int_equal(stats.rejected_in_flight, 1);
        tern_stream_finish(s[0], NULL);
        assert_int_equal(tern_stream_open(channel, &streaming, NULL, &other, &st), TERN_OK);
        tern_stream_finish(other, NULL);
        tern_stream_finish(s[1], NULL);
        end();
    }
}

static void test_adaptive_throttling(void **state)
{
    (void)state;
    static const script_step steps[] = { { STATUS("8") } };
    begin("{\"tern\":{\"breaker\":{\"disabled\":true},"
          "\"adaptiveThrottling\":{\"requestsMin\":5}}}",
          steps, 1);
    for (int i = 0; i < 100; i++)
        assert_int_not_equal(call(&get), TERN_OK);
    assert_in_range(stats.throttled, 50, 95);
    assert_int_equal(stats.throttled + atomic_load(&peer.requests), 100);
    set("{}");
    assert_int_equal(call(&get), TERN_RESOURCE_EXHAUSTED);
    end();
}

/* --- an operator's hand ----------------------------------------------------------------------- */

static void test_forced(void **state)
{
    (void)state;
    static const script_step steps[] = { ANSWER_OK, { STATUS("14") }, { STATUS("14") },
                                         { STATUS("14") }, ANSWER_OK };
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.breaker.consecutive_failures = 2;
    begin_with(NULL, steps, 5, &opts);
    tern_channel_breaker_force(channel, TERN_BREAKER_FORCE_OPEN);
    assert_int_equal(call(&get), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "forced open"));
    assert_int_equal(stats.rejected_forced, 1);
    assert_int_equal(stats.breaker, TERN_BREAKER_OPEN);
    assert_int_equal(stats.breaker_forced, TERN_BREAKER_FORCE_OPEN);
    tern_channel_breaker_force(channel, TERN_BREAKER_AUTOMATIC);
    assert_int_equal(call(&get), TERN_OK); /* a probe */
    assert_int_equal(stats.breaker, TERN_BREAKER_CLOSED);
    tern_channel_breaker_force(channel, TERN_BREAKER_FORCE_CLOSED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(call(&get), TERN_UNAVAILABLE);
    assert_int_equal(stats.breaker, TERN_BREAKER_CLOSED);
    assert_int_equal(stats.breaker_forced, TERN_BREAKER_FORCE_CLOSED);
    assert_int_equal(stats.breaker_rejected, 1);
    assert_int_equal(call(&get), TERN_OK);
    end();
}

/* --- a file ----------------------------------------------------------------------------------- */

static char path[96];

static void write_file(const char *text, bool replace)
{
    cert_write(path, text, 0600, replace);
}

static void new_path(void)
{
    probe_unix_path(path);
}

/* Waits until calls go out with a timeout in that range. */
static void until_timeout(long long least, long long most)
{
    tern_call_options none = TERN_CALL_OPTIONS_INIT;
    int64_t until = probe_now_ms() + 10000;
    for (;;) {
        assert_int_equal(call_with(&get, &none, 1), TERN_OK);
        long long ms = atomic_load(&peer.timeout_ms);
        if (ms >= least && ms <= most)
            return;
        assert_true(probe_now_ms() < until);
        probe_sleep_ms(5);
    }
}

#define TIMEOUT(text) "{\"methodConfig\":[{\"name\":[{}],\"timeout\":\"" text "\"}]}"

static void test_file(void **state)
{
    (void)state;
    static const script_step steps[] = { ANSWER_OK };
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    new_path();
    tls_log_start();
    write_file(TIMEOUT("20s"), false);
    opts.service_config_file = path;
    opts.service_config_reload_ms = 1; /* brought to 100 */
    begin_with(NULL, steps, 1, &opts);
    until_timeout(10000, 20000);
    write_file(TIMEOUT("40s"), true);
    until_timeout(30000, 40000);
    write_file(TIMEOUT("60s"), false);
    until_timeout(50000, 60000);
    write_file(BAD, true);
    assert_true(tls_log_has("methodConfig[0].timeout"));
    assert_true(tls_log_has(path));
    until_timeout(50000, 60000); /* the former one stays */
    tls_log_clear();
    probe_sleep_ms(250); /* it is looked at again, and told once */
    write_file(TIMEOUT("80s"), true);
    until_timeout(70000, 80000);
    assert_true(tls_log_has("was read"));
    unlink(path);
    until_timeout(70000, 80000);
    end();
    tls_log_stop();
}

static void test_file_at_first(void **state)
{
    (void)state;
    static const script_step steps[] = { ANSWER_OK };
    tern_channel *ch = NULL;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    new_path();
    opts.service_config_file = path;
    opts.service_config_reload_ms = 100;
    assert_int_equal(tern_channel_new("ipv4:127.0.0.1:1", &opts, &ch, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, path));
    write_file(BAD, false);
    assert_int_equal(tern_channel_new("ipv4:127.0.0.1:1", &opts, &ch, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "methodConfig[0].timeout"));
    unlink(path);
    /* With a default in code it may come later. */
    begin_with(TIMEOUT("20s"), steps, 1, &opts);
    until_timeout(10000, 20000);
    write_file(TIMEOUT("40s"), true);
    until_timeout(30000, 40000);
    end();
    unlink(path);
}

/* Watched by a loop of the program's own, too; and a channel may go at any time. */
static void test_file_and_loops(void **state)
{
    (void)state;
    static const script_step steps[] = { ANSWER_OK };
    tern_loop *loop;
    new_path();
    write_file(TIMEOUT("20s"), false);
    assert_int_equal(tern_loop_new(&loop, &st), TERN_OK);
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.service_config_file = path;
    opts.service_config_reload_ms = 100;
    opts.loop = loop;
    begin_with(NULL, steps, 1, &opts);
    until_timeout(10000, 20000);
    write_file(TIMEOUT("40s"), true);
    int64_t until = probe_now_ms() + 10000;
    tern_call_options none = TERN_CALL_OPTIONS_INIT;
    do {
        assert_true(probe_now_ms() < until);
        tern_loop_wait(loop, 20);
        assert_int_equal(call_with(&get, &none, 1), TERN_OK);
    } while (atomic_load(&peer.timeout_ms) < 30000);
    end();
    tern_loop_free(loop);
    opts.loop = NULL;
    for (int i = 0; i < 200; i++) {
        tern_channel *ch = probe_channel_with("ipv4:127.0.0.1:1", &opts);
        tern_channel_free(ch);
    }
    unlink(path);
}

/* --- many threads ----------------------------------------------------------------------------- */

static atomic_bool stop;

static void *keep_calling(void *arg)
{
    tern_channel *ch = arg;
    tern_status why;
    uintptr_t failed = 0;
    while (!atomic_load(&stop))
        failed += probe_echo(ch, NULL, "hello", &why) != TERN_OK;
    return (void *)failed;
}

static void test_update_under_load(void **state)
{
    (void)state;
    static const char *const configs[] = {
        TIMEOUT("30s"),
        "{\"methodConfig\":[{\"name\":[{\"service\":\"tests.v1.Probe\"}],\"timeout\":\"40s\","
        "\"tern\":{\"breaker\":{},\"callsInFlightMax\":100}}],"
        "\"tern\":{\"retryBudget\":{},\"adaptiveThrottling\":{}},"
        "\"retryThrottling\":{\"maxTokens\":10,\"tokenRatio\":0.5}}",
        NULL
    };
    probe_server p;
    pthread_t threads[3];
    probe_start(&p, NULL, "ipv4:127.0.0.1:0");
    channel = probe_channel(p.target);
    atomic_store(&stop, false);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_calling, channel), 0);
    for (int i = 0; i < 300; i++) {
        set(configs[i % 3]);
        if (i % 10 == 0)
            probe_sleep_ms(1);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    tern_channel_free(channel);
    probe_stop(&p, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_timeout_passes),
        cmocka_unit_test(test_wait_for_ready),
        cmocka_unit_test(test_request_limit),
        cmocka_unit_test(test_response_limit),
        cmocka_unit_test(test_response_limit_raised),
        cmocka_unit_test(test_method_breaker),
        cmocka_unit_test(test_method_breaker_and_streams),
        cmocka_unit_test(test_channel_breaker),
        cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_adaptive_throttling),
        cmocka_unit_test(test_forced),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_file_at_first),
        cmocka_unit_test(test_file_and_loops),
        cmocka_unit_test(test_update_under_load),
    };
    return cmocka_run_group_tests_name("service config", tests, NULL, NULL);
}
