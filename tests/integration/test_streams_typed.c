/* All four kinds of call by generated stubs, client and server, in one process: what the functions
 * of handles make of the runtime's streams. Frames, windows and odd peers are in the other tests of
 * streams. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/probe.h"

#define PATIENCE_MS 20000
#define MANY 2000

typedef Tests__V1__Number number;

static tern_server *srv;
static tern_channel *channel;
static tern_call_options opts;
static atomic_uint given_up;             /* handlers that saw a send fail */
static tests_v1_probe_count_stream kept; /* of the deferred call */
static pthread_t answerer;

/* --- handlers --------------------------------------------------------------------------------- */

static tern_code echo(void *self, tern_server_call *call, const Tests__V1__EchoRequest *req,
                      Tests__V1__EchoResponse *res)
{
    (void)self;
    res->text = tern_server_call_strdup(call, req->text);
    return res->text ? TERN_OK : TERN_RESOURCE_EXHAUSTED;
}

static bool send_number(tests_v1_probe_count_stream *stream, int64_t value)
{
    number n = TESTS__V1__NUMBER__INIT;
    n.value = value;
    return tests_v1_probe_count_stream_send(stream, &n);
}

static void *answer_later(void *arg)
{
    tests_v1_probe_count_stream *stream = arg;
    for (int64_t i = 1; i <= 3; i++)
        send_number(stream, 100 * i);
    tern_server_call_finish(stream->call, TERN_OK);
    return NULL;
}

/* "x-mode: defer" answers from another thread; the name of the method comes back as metadata. */
static tern_code count(void *self, tests_v1_probe_count_stream *stream,
                       const Tests__V1__CountRequest *req)
{
    (void)self;
    const char *mode = tern_metadata_get(tern_server_call_metadata(stream->call), "x-mode");
    tern_metadata_add(tern_server_call_initial_metadata(stream->call), "x-path",
                      tern_server_call_method(stream->call)->path);
    if (mode && strcmp(mode, "defer") == 0) {
        kept = *stream;
        tern_server_call_defer(stream->call);
        return pthread_create(&answerer, NULL, answer_later, &kept) ? TERN_INTERNAL : TERN_OK;
    }
    for (uint32_t i = 1; i <= req->n; i++)
        if (!send_number(stream, i)) {
            atomic_fetch_add(&given_up, 1);
            return TERN_CANCELLED;
        }
    if (req->code)
        return tern_server_call_fail(stream->call, (tern_code)req->code, "after %u", req->n);
    return TERN_OK;
}

static tern_code sum(void *self, tests_v1_probe_sum_stream *stream, number *res)
{
    const number *n;
    (void)self;
    while (tests_v1_probe_sum_stream_recv(stream, &n)) {
        if (n->value < 0)
            return tern_server_call_fail(stream->call, TERN_OUT_OF_RANGE, "%lld is negative",
                                         (long long)n->value);
        res->value += n->value;
    }
    return TERN_OK;
}

static tern_code twice(void *self, tests_v1_probe_double_stream *stream)
{
    const number *n;
    (void)self;
    while (tests_v1_probe_double_stream_recv(stream, &n)) {
        number answer = TESTS__V1__NUMBER__INIT;
        answer.value = 2 * n->value;
        answer.text = n->text; /* borrowed until the next receive: long enough */
        if (!tests_v1_probe_double_stream_send(stream, &answer))
            return TERN_CANCELLED;
    }
    return TERN_OK;
}

static const tests_v1_probe_handlers handlers = {
    .echo = echo,
    .count = count,
    .sum = sum,
    .double_ = twice,
};

static int start(const tests_v1_probe_handlers *table)
{
    tern_status st;
    uint16_t port;
    char target[64];
    opts = (tern_call_options)TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    atomic_store(&given_up, 0);
    assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
    assert_int_equal(tests_v1_probe_register(srv, table, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    channel = probe_channel(target);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return start(&handlers);
}

static int setup_without_handlers(void **state)
{
    static const tests_v1_probe_handlers none = { .echo = NULL };
    (void)state;
    return start(&none);
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(channel);
    tern_server_drain(srv, 5000);
    tern_server_wait(srv);
    tern_server_free(srv);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void open_count(uint32_t n, tern_code code, tests_v1_probe_count_call *ret)
{
    Tests__V1__CountRequest req = TESTS__V1__COUNT_REQUEST__INIT;
    tern_status st;
    req.n = n;
    req.code = (int32_t)code;
    if (tests_v1_probe_count(channel, &opts, &req, ret, &st))
        fail_msg("count: %s", st.message);
}

static void test_unary(void **state)
{
    tern_status st;
    (void)state;
    if (probe_echo(channel, &opts, "beside streams", &st))
        fail_msg("echo: %s", st.message);
}

static void test_server_streaming(void **state)
{
    static const uint32_t lengths[] = { 0, 1, 3, MANY };
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        tests_v1_probe_count_call call;
        const number *n = NULL;
        int64_t seen = 0;
        tern_status st;
        open_count(lengths[i], TERN_OK, &call);
        while (tests_v1_probe_count_recv(&call, &n))
            assert_int_equal(n->value, ++seen);
        assert_int_equal(seen, lengths[i]);
        assert_false(tests_v1_probe_count_recv(&call, &n)); /* and stays so */
        if (tests_v1_probe_count_finish(&call, &st))
            fail_msg("count: %s", st.message);
    }
}

static void test_status_after_messages(void **state)
{
    tests_v1_probe_count_call call;
    const number *n;
    unsigned seen = 0;
    tern_status st;
    (void)state;
    open_count(5, TERN_FAILED_PRECONDITION, &call);
    while (tests_v1_probe_count_recv(&call, &n))
        seen++;
    assert_int_equal(seen, 5);
    assert_int_equal(tests_v1_probe_count_finish(&call, &st), TERN_FAILED_PRECONDITION);
    assert_int_equal(st.code, TERN_FAILED_PRECONDITION);
    assert_string_equal(st.message, "after 5");
}

/* Streams last as long as they last: a breaker that opens on slow calls does not count them. */
static void test_long_streams_are_not_slow(void **state)
{
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    tern_channel *plain = channel;
    tern_channel_stats stats;
    tern_status st;
    (void)state;
    options.breaker.slow_call_ms = 1;
    options.breaker.slow_call_percent = 1;
    options.breaker.window_calls_min = 1;
    channel = probe_channel_with(tern_channel_target(plain), &options);
    for (int i = 0; i < 3; i++) {
        tests_v1_probe_count_call call;
        const number *n;
        open_count(1, TERN_OK, &call);
        probe_sleep_ms(10);
        assert_true(tests_v1_probe_count_recv(&call, &n));
        if (tests_v1_probe_count_finish(&call, &st))
            fail_msg("count: %s", st.message);
    }
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.breaker, TERN_BREAKER_CLOSED);
    tern_channel_free(channel);
    channel = plain;
}

/* What is not received any more ends the call at both ends. */
static void test_leaving_early(void **state)
{
    tests_v1_probe_count_call call;
    const number *n;
    (void)state;
    open_count(UINT32_MAX, TERN_OK, &call);
    assert_true(tests_v1_probe_count_recv(&call, &n));
    assert_int_equal(n->value, 1);
    assert_int_equal(tests_v1_probe_count_finish(&call, NULL), TERN_CANCELLED);
    assert_true(probe_wait(&given_up, 1));
}

/* Operations that all streams and calls have take the members of the handles. */
static void test_members(void **state)
{
    tests_v1_probe_count_call call;
    const number *n;
    (void)state;
    open_count(UINT32_MAX, TERN_OK, &call);
    assert_string_equal(tern_metadata_get(tern_stream_initial_metadata(call.stream), "x-path"),
                        "/tests.v1.Probe/Count");
    assert_true(tests_v1_probe_count_recv(&call, &n));
    tern_stream_cancel(call.stream);
    while (tests_v1_probe_count_recv(&call, &n)) /* what had come already */
        continue;
    assert_int_equal(tests_v1_probe_count_finish(&call, NULL), TERN_CANCELLED);
    assert_true(probe_wait(&given_up, 1));
}

/* A handler keeps a copy of its handle beyond its return. */
static void test_deferred(void **state)
{
    tern_metadata *md = tern_metadata_new();
    tests_v1_probe_count_call call;
    const number *n;
    int64_t seen = 0;
    tern_status st;
    (void)state;
    assert_non_null(md);
    assert_int_equal(tern_metadata_add(md, "x-mode", "defer"), 0);
    opts.metadata = md;
    open_count(0, TERN_OK, &call);
    while (tests_v1_probe_count_recv(&call, &n))
        assert_int_equal(n->value, 100 * ++seen);
    assert_int_equal(seen, 3);
    if (tests_v1_probe_count_finish(&call, &st))
        fail_msg("count: %s", st.message);
    pthread_join(answerer, NULL);
    tern_metadata_free(md);
}

static bool add(tests_v1_probe_sum_call *call, int64_t value)
{
    number n = TESTS__V1__NUMBER__INIT;
    n.value = value;
    return tests_v1_probe_sum_send(call, &n);
}

static void test_client_streaming(void **state)
{
    static const int64_t lengths[] = { 0, 1, MANY };
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        tests_v1_probe_sum_call call;
        number *total = NULL;
        tern_status st;
        assert_int_equal(tests_v1_probe_sum(channel, &opts, &call, &st), TERN_OK);
        for (int64_t n = 1; n <= lengths[i]; n++)
            assert_true(add(&call, n));
        if (tests_v1_probe_sum_finish(&call, &total, &st))
            fail_msg("sum: %s", st.message);
        assert_int_equal(total->value, lengths[i] * (lengths[i] + 1) / 2);
        tests__v1__number__free_unpacked(total, NULL);
    }
}

/* The handler ends the call while the client is sending: sends fail at last, finish says why and
 * leaves *ret alone. */
static void test_client_streaming_refused(void **state)
{
    tests_v1_probe_sum_call call;
    number mark = TESTS__V1__NUMBER__INIT, *total = &mark;
    int64_t deadline = probe_now_ms() + PATIENCE_MS;
    tern_status st;
    (void)state;
    assert_int_equal(tests_v1_probe_sum(channel, &opts, &call, &st), TERN_OK);
    assert_true(add(&call, 1));
    add(&call, -7);
    while (add(&call, 1))
        assert_true(probe_now_ms() < deadline);
    assert_int_equal(tests_v1_probe_sum_finish(&call, &total, &st), TERN_OUT_OF_RANGE);
    assert_string_equal(st.message, "-7 is negative");
    assert_ptr_equal(total, &mark);
}

static bool ask(tests_v1_probe_double_call *call, int64_t value, char *text)
{
    number n = TESTS__V1__NUMBER__INIT;
    n.value = value;
    n.text = text;
    return tests_v1_probe_double_send(call, &n);
}

static void test_bidi_in_turn(void **state)
{
    tests_v1_probe_double_call call;
    const number *n;
    tern_status st;
    (void)state;
    assert_int_equal(tests_v1_probe_double(channel, &opts, &call, &st), TERN_OK);
    for (int64_t i = 0; i < 200; i++) {
        char text[32];
        snprintf(text, sizeof text, "number %d", (int)i);
        assert_true(ask(&call, i, text));
        assert_true(tests_v1_probe_double_recv(&call, &n));
        assert_int_equal(n->value, 2 * i);
        assert_string_equal(n->text, text);
    }
    assert_true(tests_v1_probe_double_close_send(&call));
    assert_false(tests_v1_probe_double_recv(&call, &n));
    if (tests_v1_probe_double_finish(&call, &st))
        fail_msg("double: %s", st.message);
}

/* Sends more than windows and buffers hold, while the test's thread receives. */
static void *send_all(void *arg)
{
    static char text[1000];
    tests_v1_probe_double_call *call = arg;
    memset(text, 'x', sizeof text - 1);
    for (int64_t i = 0; i < MANY; i++)
        if (!ask(call, i, text))
            return NULL;
    return tests_v1_probe_double_close_send(call) ? call : NULL;
}

static void test_bidi_at_once(void **state)
{
    tests_v1_probe_double_call call;
    const number *n;
    int64_t seen = 0;
    pthread_t sender;
    void *sent;
    tern_status st;
    (void)state;
    assert_int_equal(tests_v1_probe_double(channel, &opts, &call, &st), TERN_OK);
    assert_int_equal(pthread_create(&sender, NULL, send_all, &call), 0);
    while (tests_v1_probe_double_recv(&call, &n)) {
        assert_int_equal(n->value, 2 * seen++);
        assert_int_equal(strlen(n->text), 999);
    }
    pthread_join(sender, &sent);
    assert_ptr_equal(sent, &call);
    assert_int_equal(seen, MANY);
    if (tests_v1_probe_double_finish(&call, &st))
        fail_msg("double: %s", st.message);
}

/* A NULL member of the table, for each kind of stream. */
static void test_no_handlers(void **state)
{
    tests_v1_probe_count_call counting;
    tests_v1_probe_sum_call summing;
    tests_v1_probe_double_call doubling;
    number *total = NULL;
    const number *n;
    tern_status st;
    (void)state;
    open_count(3, TERN_OK, &counting);
    assert_false(tests_v1_probe_count_recv(&counting, &n));
    assert_int_equal(tests_v1_probe_count_finish(&counting, &st), TERN_UNIMPLEMENTED);
    assert_string_equal(st.message, "/tests.v1.Probe/Count is not implemented");

    assert_int_equal(tests_v1_probe_sum(channel, &opts, &summing, &st), TERN_OK);
    assert_int_equal(tests_v1_probe_sum_finish(&summing, &total, &st), TERN_UNIMPLEMENTED);
    assert_string_equal(st.message, "/tests.v1.Probe/Sum is not implemented");
    assert_null(total);

    assert_int_equal(tests_v1_probe_double(channel, &opts, &doubling, &st), TERN_OK);
    assert_false(tests_v1_probe_double_recv(&doubling, &n));
    assert_int_equal(tests_v1_probe_double_finish(&doubling, &st), TERN_UNIMPLEMENTED);
    assert_string_equal(st.message, "/tests.v1.Probe/Double is not implemented");
}

/* A call that cannot be opened says so at once, and its handle needs no finish. */
static void test_nobody_there(void **state)
{
    tests_v1_probe_double_call call = { NULL };
    tern_channel *nowhere = probe_channel("unix:/nowhere/at/all");
    tern_status st;
    (void)state;
    assert_int_equal(tests_v1_probe_double(nowhere, &opts, &call, &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "/nowhere/at/all"));
    assert_null(call.stream);
    tern_channel_free(nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_unary, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_streaming, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status_after_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_streams_are_not_slow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leaving_early, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deferred, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_streaming, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_streaming_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bidi_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bidi_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_handlers, setup_without_handlers, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
    };
    return cmocka_run_group_tests_name("streams, typed", tests, NULL, NULL);
}
