/* Retries, pushback, the circuit breaker, and what a client makes of odd answers. The other side
 * is the scripted server that users have too, on the virtual clock (tern/testing.h); one for
 * answers that are no gRPC at all (support/script.h); or a real one that fails a number of
 * times. */
#include <stdio.h>
#include <stdlib.h>

#include <tern/testing_cmocka.h>

#include "support/probe.h"
#include "support/script.h"

#define REFUSED_STREAM 7u
#define OK_BODY .body = "\0\0\0\0\0", .body_len = 5
#define GRPC_HEAD                          \
    { ":status", "200" },                  \
    {                                      \
        "content-type", "application/grpc" \
    }
#define STATUS(code) .headers = { GRPC_HEAD, { "grpc-status", code }, { "grpc-message", "said" } }
#define ANSWER_OK                                                                 \
    {                                                                             \
        .headers = { GRPC_HEAD }, OK_BODY, .trailers = { { "grpc-status", "0" } } \
    }

static script peer;                /* of odd answers */
static tern_testing_server *server; /* of all others */
static tern_testing_clock *clk;     /* goes with it */
static tern_channel *channel;
static tern_channel_stats stats;
static tern_status st;

static const tern_method safe = { .path = "/t.T/Safe", .idempotency = TERN_IDEMPOTENT };
static const tern_method unsafe = { .path = "/t.T/Unsafe" };

static void connect_to(const char *target)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.retry.initial_backoff_ms = 2;
    opts.retry.max_backoff_ms = 10;
    opts.reconnect_backoff_ms = 5;
    opts.reconnect_backoff_ms_max = 20;
    opts.connect_timeout_ms = 5000;
    channel = probe_channel_with(target, &opts);
}

static void begin(const script_step *steps, size_t n)
{
    script_start(&peer, steps, n, false);
    connect_to(peer.target);
}

static void end(void)
{
    tern_channel_free(channel);
    script_stop(&peer);
}

static void begin_scripted_with(const tern_channel_options *opts)
{
    tern_assert_ok(tern_testing_clock_new(&clk, &st), &st);
    tern_assert_ok(tern_testing_clock_run(clk, true, &st), &st);
    tern_assert_ok(tern_testing_server_new(&server, &st), &st);
    if (opts)
        channel = probe_channel_with(tern_testing_server_target(server), opts);
    else
        connect_to(tern_testing_server_target(server));
}

static void begin_scripted(void) { begin_scripted_with(NULL); }

static int64_t elapsed(void) { return tern_testing_clock_elapsed_ms(clk); }

static void end_scripted(void)
{
    tern_channel_free(channel);
    tern_testing_server_free(server);
    tern_testing_clock_free(clk);
}

/* The next `times` attempts at any method get that answer. */
static void will(tern_testing_answer a, uint32_t times)
{
    a.times = times;
    tern_assert_ok(tern_testing_server_add(server, NULL, &a, &st), &st);
}

/* All others do. */
static void always(tern_testing_answer a)
{
    tern_assert_ok(tern_testing_server_set_default(server, NULL, &a, &st), &st);
}

static tern_testing_answer status(tern_code code)
{
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.code = code;
    a.message = "said";
    return a;
}

static tern_testing_answer pushback(tern_code code, const char *ms)
{
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.code = code;
    a.pushback = ms;
    return a;
}

static tern_testing_answer fine(void)
{
    static const tern_testing_message empty = { .len = 0 };
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.replies = &empty;
    a.n_replies = 1;
    return a;
}

static tern_testing_answer action(tern_testing_action what)
{
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.action = what;
    return a;
}

static tern_code call_with(const tern_method *m, tern_call_retry retry)
{
    void *bytes = NULL;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 10000;
    opts.retry = retry;
    st.message[0] = '\0';
    tern_code code = tern_call_unary(channel, m, &opts, "x", 1, &bytes, &len, &st);
    free(bytes);
    tern_channel_stats_get(channel, &stats);
    return code;
}

static tern_code call(const tern_method *m)
{
    return call_with(m, TERN_RETRY_BY_METHOD);
}

/* --- retries ---------------------------------------------------------------------------------- */

static void test_unavailable_twice(void **state)
{
    (void)state;
    begin_scripted();
    will(status(TERN_UNAVAILABLE), 2);
    always(fine());
    tern_assert_ok(call(&safe), &st);
    assert_int_equal(stats.calls, 1);
    assert_int_equal(stats.attempts, 3);
    assert_int_equal(stats.retries, 2);
    assert_int_equal(stats.calls_failed, 0);
    for (int i = 0; i < 3; i++)
        tern_assert_previous_attempts(server, safe.path, (size_t)i, i);
    tern_assert_ok(call(&safe), &st);
    tern_assert_previous_attempts(server, safe.path, 3, 0); /* a first attempt says nothing */
    tern_assert_attempts(server, NULL, 4);
    end_scripted();
}

static void test_attempts_end(void **state)
{
    (void)state;
    begin_scripted();
    always(status(TERN_UNAVAILABLE));
    tern_assert_status(call(&safe), &st, TERN_UNAVAILABLE, NULL);
    assert_string_equal(st.message, "said");
    tern_assert_attempts(server, safe.path, 3);
    assert_int_equal(stats.calls_failed, 1);
    end_scripted();
}

/* What is not declared idempotent, or not retryable, is sent once. */
static void test_sent_once(void **state)
{
    (void)state;
    tern_testing_answer committed = fine();
    committed.code = TERN_UNAVAILABLE;
    const struct {
        tern_testing_answer answer;
        const tern_method *method;
        tern_call_retry retry;
        tern_code code;
    } cases[] = {
        { status(TERN_UNAVAILABLE), &unsafe, TERN_RETRY_BY_METHOD, TERN_UNAVAILABLE },
        { status(TERN_UNAVAILABLE), &safe, TERN_RETRY_NEVER, TERN_UNAVAILABLE },
        { committed, &safe, TERN_RETRY_BY_METHOD, TERN_UNAVAILABLE },
        { status(TERN_INVALID_ARGUMENT), &safe, TERN_RETRY_BY_METHOD, TERN_INVALID_ARGUMENT },
        { status(TERN_INTERNAL), &safe, TERN_RETRY_BY_METHOD, TERN_INTERNAL },
        { status(TERN_DEADLINE_EXCEEDED), &safe, TERN_RETRY_BY_METHOD, TERN_DEADLINE_EXCEEDED },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_scripted();
        always(cases[i].answer);
        tern_assert_status(call_with(cases[i].method, cases[i].retry), &st, cases[i].code, NULL);
        tern_assert_attempts(server, NULL, 1);
        assert_int_equal(stats.attempts, 1);
        end_scripted();
    }
}

static void test_caller_says_safe(void **state)
{
    (void)state;
    begin_scripted();
    will(status(TERN_UNAVAILABLE), 1);
    always(fine());
    tern_assert_ok(call_with(&unsafe, TERN_RETRY_SAFE), &st);
    assert_int_equal(stats.retries, 1);
    end_scripted();
}

static void test_pushback(void **state)
{
    (void)state;
    begin_scripted();
    will(pushback(TERN_UNAVAILABLE, "150"), 1);
    will(pushback(TERN_RESOURCE_EXHAUSTED, "0"), 1);
    always(fine());
    tern_assert_ok(call(&safe), &st);
    assert_int_equal(elapsed(), 150);
    assert_int_equal(stats.retries, 2);
    end_scripted();
    static const char *const no[] = { "-1", "soon", "", "99999999999999999999999" };
    for (int i = 0; i < 4; i++) {
        begin_scripted();
        will(pushback(TERN_UNAVAILABLE, no[i]), 1);
        always(fine());
        tern_assert_status(call(&safe), &st, TERN_UNAVAILABLE, NULL);
        tern_assert_attempts(server, NULL, 1);
        end_scripted();
    }
}

/* No handler ran: any method is repeated, at once. */
static void test_transparent(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        tern_testing_answer no =
            action(i ? TERN_TESTING_GOAWAY : TERN_TESTING_RESET_STREAM);
        no.reset_code = REFUSED_STREAM;
        begin_scripted();
        will(no, 1);
        always(fine());
        tern_assert_ok(call(&unsafe), &st);
        assert_int_equal(stats.transparent_retries, 1);
        assert_int_equal(stats.retries, 0);
        tern_assert_previous_attempts(server, unsafe.path, 1, 0);
        assert_int_equal(stats.connects, i + 1);
        end_scripted();
    }
}

/* A connection that breaks leaves the call in doubt. */
static void test_connection_lost(void **state)
{
    (void)state;
    begin_scripted();
    will(action(TERN_TESTING_RESET_CONNECTION), 1);
    always(fine());
    tern_assert_status(call(&unsafe), &st, TERN_UNAVAILABLE, "closed the connection");
    tern_assert_attempts(server, NULL, 1);
    end_scripted();
    begin_scripted();
    will(action(TERN_TESTING_RESET_CONNECTION), 1);
    always(fine());
    tern_assert_ok(call(&safe), &st);
    assert_int_equal(stats.retries, 1);
    assert_int_equal(stats.connects, 2);
    end_scripted();
}

/* The throttle: after many failures no more retries, though each call is made. */
static void test_throttle(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.retry.initial_backoff_ms = opts.retry.max_backoff_ms = 1;
    opts.retry.throttle_max_tokens = 10;
    opts.breaker.disabled = true;
    tern_assert_ok(tern_testing_server_new(&server, &st), &st);
    always(status(TERN_UNAVAILABLE));
    channel = probe_channel_with(tern_testing_server_target(server), &opts);
    for (int i = 0; i < 30; i++)
        tern_assert_status(call(&safe), &st, TERN_UNAVAILABLE, NULL);
    assert_in_range(stats.attempts, 30, 40);
    tern_assert_attempts(server, NULL, stats.attempts);
    end_scripted();
}

/* --- odd answers ------------------------------------------------------------------------------ */

static const struct {
    script_step step;
    tern_code code;
    const char *says;
} odd_answers[] = {
    { { .headers = { { ":status", "404" } } }, TERN_UNIMPLEMENTED, "404" },
    { { .headers = { { ":status", "503" }, { "content-type", "text/html" } },
        .body = "<h1>no</h1>",
        .body_len = 11 },
      TERN_UNAVAILABLE,
      "503" },
    { { .headers = { { ":status", "401" } } }, TERN_UNAUTHENTICATED, "401" },
    { { .headers = { { ":status", "418" } } }, TERN_UNKNOWN, "418" },
    { { .headers = { { ":status", "200" }, { "content-type", "text/html" } },
        .body = "<h1>hello</h1>",
        .body_len = 14 },
      TERN_UNKNOWN,
      "content-type" },
    { { .headers = { GRPC_HEAD } }, TERN_UNKNOWN, "without sending grpc-status" },
    { { .headers = { GRPC_HEAD }, OK_BODY }, TERN_UNKNOWN, "without sending grpc-status" },
    { { .headers = { GRPC_HEAD }, OK_BODY, .trailers = { { "x", "y" } } },
      TERN_UNKNOWN,
      "without sending grpc-status" },
    { { STATUS("99") }, TERN_UNKNOWN, "said" },
    { { STATUS("nine") }, TERN_UNKNOWN, "said" },
    { { STATUS("-1") }, TERN_UNKNOWN, "said" },
    { { .headers = { GRPC_HEAD, { "grpc-status", "0" } } }, TERN_UNIMPLEMENTED, "no response" },
    { { .headers = { GRPC_HEAD },
        .body = "\0\0\0\0\0\0\0\0\0\0",
        .body_len = 10,
        .trailers = { { "grpc-status", "0" } } },
      TERN_UNIMPLEMENTED,
      "more than one" },
    { { .headers = { GRPC_HEAD },
        .body = "\0\0\0\0\5ab",
        .body_len = 7,
        .trailers = { { "grpc-status", "0" } } },
      TERN_INTERNAL,
      "within" },
    { { .headers = { GRPC_HEAD },
        .body = "\1\0\0\0\0",
        .body_len = 5,
        .trailers = { { "grpc-status", "0" } } },
      TERN_INTERNAL,
      "compressed" },
    { { .headers = { GRPC_HEAD },
        .body = "\2\0\0\0\0",
        .body_len = 5,
        .trailers = { { "grpc-status", "0" } } },
      TERN_INTERNAL,
      "prefix" },
    { { .headers = { GRPC_HEAD },
        .body = "\0\xff\xff\xff\xff",
        .body_len = 5,
        .trailers = { { "grpc-status", "0" } } },
      TERN_RESOURCE_EXHAUSTED,
      "4294967295" },
    /* grpc-status of the first list means nothing when a body follows */
    { { .headers = { GRPC_HEAD, { "grpc-status", "0" }, { "grpc-message", "no" } },
        OK_BODY,
        .trailers = { { "grpc-status", "5" } } },
      TERN_NOT_FOUND,
      "" },
    { { .headers = { GRPC_HEAD, { "grpc-status", "5" }, { "grpc-message", "%41%zz%" } } },
      TERN_NOT_FOUND,
      "A%zz%" },
    { { .action = SCRIPT_RESET, .error = 8 }, TERN_CANCELLED, "CANCEL" },
    { { .action = SCRIPT_RESET, .error = 11 }, TERN_RESOURCE_EXHAUSTED, "ENHANCE_YOUR_CALM" },
    { { .action = SCRIPT_RESET, .error = 12 }, TERN_PERMISSION_DENIED, "INADEQUATE" },
    { { .action = SCRIPT_RESET, .error = 2 }, TERN_INTERNAL, "INTERNAL_ERROR" },
    { { .action = SCRIPT_RESET, .error = 0 }, TERN_UNKNOWN, "" },
};

static void test_odd_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof odd_answers / sizeof odd_answers[0]; i++) {
        begin(&odd_answers[i].step, 1);
        tern_code code = call(&unsafe);
        if (code != odd_answers[i].code || !strstr(st.message, odd_answers[i].says))
            fail_msg("case %zu: %s: %s", i, tern_code_name(code), st.message);
        end();
    }
}

/* Wrong base64 in metadata that somebody wants to see fails the call, not the connection. */
static void test_bad_binary_metadata(void **state)
{
    (void)state;
    static const script_step steps[] = { { .headers = { GRPC_HEAD, { "x-bin", "!" } },
                                           OK_BODY,
                                           .trailers = { { "grpc-status", "0" } } } };
    begin(steps, 1);
    void *bytes;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    assert_int_equal(call(&unsafe), TERN_OK);
    opts.ret_initial_metadata = tern_metadata_new();
    assert_int_equal(tern_call_unary(channel, &unsafe, &opts, "", 0, &bytes, &len, &st),
                     TERN_INTERNAL);
    assert_non_null(strstr(st.message, "-bin"));
    assert_int_equal(call(&unsafe), TERN_OK);
    assert_int_equal(stats.connects, 1);
    tern_metadata_free(opts.ret_initial_metadata);
    end();
}

/* The answer comes before the request is out, and the server reads no more of it. */
static void test_answer_before_the_request_is_out(void **state)
{
    (void)state;
    static const script_step steps[] = { { .action = SCRIPT_EARLY, STATUS("8") },
                                         { .action = SCRIPT_EARLY,
                                           .headers = { GRPC_HEAD },
                                           OK_BODY,
                                           .trailers = { { "grpc-status", "0" } } },
                                         ANSWER_OK };
    static uint8_t big[1024 * 1024];
    begin(steps, 3);
    for (int i = 0; i < 3; i++) {
        void *bytes = NULL;
        size_t len;
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.timeout_ms = 5000;
        tern_code code = tern_call_unary(channel, &unsafe, &opts, big, i < 2 ? sizeof big : 1,
                                         &bytes, &len, &st);
        assert_int_equal(code, i ? TERN_OK : TERN_RESOURCE_EXHAUSTED);
        if (!i)
            assert_string_equal(st.message, "said");
        free(bytes);
    }
    end();
}

/* --- breaker ---------------------------------------------------------------------------------- */

static struct {
    int n;
    tern_breaker_state from[16], to[16];
} seen;

static void on_breaker(tern_breaker_state from, tern_breaker_state to, const char *reason,
                       void *ctx)
{
    assert_ptr_equal(ctx, &seen);
    assert_true(*reason != '\0');
    assert_in_range(seen.n, 0, 15);
    seen.from[seen.n] = from;
    seen.to[seen.n++] = to;
}

static void test_breaker(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    memset(&seen, 0, sizeof seen);
    opts.breaker.consecutive_failures = 3;
    opts.breaker.open_ms = 10000;
    opts.on_breaker = on_breaker;
    opts.on_breaker_ctx = &seen;
    begin_scripted_with(&opts);
    will(status(TERN_UNAVAILABLE), 3);
    always(fine());
    for (int i = 0; i < 3; i++)
        tern_assert_status(call(&unsafe), &st, TERN_UNAVAILABLE, "said");
    assert_int_equal(stats.breaker, TERN_BREAKER_OPEN);
    tern_assert_status(call(&unsafe), &st, TERN_UNAVAILABLE, "circuit breaker");
    assert_non_null(strstr(st.message, tern_testing_server_target(server)));
    tern_assert_attempts(server, NULL, 3); /* the fourth never left */
    assert_int_equal(stats.breaker_rejected, 1);
    int64_t opened = elapsed();
    while (call(&unsafe) != TERN_OK) {
        assert_in_range(elapsed() - opened, 0, 12000); /* with its jitter */
        tern_assert_ok(tern_testing_clock_advance(clk, 100, &st), &st);
    }
    assert_in_range(elapsed() - opened, 8000, 12100);
    assert_int_equal(stats.breaker, TERN_BREAKER_CLOSED);
    assert_int_equal(stats.breaker_opened, 1);
    tern_assert_attempts(server, NULL, 4);
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.from[0], TERN_BREAKER_CLOSED);
    assert_int_equal(seen.to[0], TERN_BREAKER_OPEN);
    assert_int_equal(seen.to[1], TERN_BREAKER_HALF_OPEN);
    assert_int_equal(seen.to[2], TERN_BREAKER_CLOSED);
    end_scripted();
}

/* Everything is answered, and too late: the rate of slow calls opens it. */
static void test_breaker_and_slow_calls(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.breaker.slow_call_ms = 500;
    opts.breaker.window_calls_min = 3;
    begin_scripted_with(&opts);
    for (int slow = 0; slow < 2; slow++) {
        tern_testing_answer a = fine();
        a.delay_ms = slow ? 501 : 499;
        will(a, 3);
        for (int i = 0; i < 3; i++)
            tern_assert_ok(call(&unsafe), &st);
        assert_int_equal(stats.breaker, slow ? TERN_BREAKER_OPEN : TERN_BREAKER_CLOSED);
    }
    tern_assert_status(call(&unsafe), &st, TERN_UNAVAILABLE, "is open");
    end_scripted();
}

/* --- with a real server ----------------------------------------------------------------------- */

/* Answers that are too long for the caller say nothing of the server: no breaker opens. */
static void test_own_limits(void **state)
{
    (void)state;
    probe_server p;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_call_options call_opts = TERN_CALL_OPTIONS_INIT;
    probe_start(&p, NULL, "ipv4:127.0.0.1:0");
    opts.breaker.consecutive_failures = 3;
    opts.breaker.window_calls_min = 4;
    channel = probe_channel_with(p.target, &opts);
    call_opts.receive_message_bytes_max = 4;
    for (int i = 0; i < 40; i++)
        assert_int_equal(probe_echo(channel, &call_opts, "longer than that", &st),
                         TERN_RESOURCE_EXHAUSTED);
    for (int i = 0; i < 40; i++) {
        static const tern_method m = { .path = "/tests.v1.Probe/Echo",
                                       .kind = TERN_KIND_SERVER_STREAMING };
        tern_stream *stream;
        const void *bytes;
        size_t len;
        assert_int_equal(tern_stream_open(channel, &m, &call_opts, &stream, &st), TERN_OK);
        assert_true(tern_stream_send(stream, "\n\5hello", 7));
        assert_true(tern_stream_close_send(stream));
        assert_false(tern_stream_recv(stream, &bytes, &len));
        assert_int_equal(tern_stream_finish(stream, &st), TERN_RESOURCE_EXHAUSTED);
    }
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.breaker, TERN_BREAKER_CLOSED);
    assert_int_equal(stats.breaker_opened, 0);
    assert_int_equal(stats.breaker_rejected, 0);
    tern_channel_free(channel);
    probe_stop(&p, 1000);
}

static void test_real_server(void **state)
{
    (void)state;
    probe_server p;
    probe_start(&p, NULL, "ipv4:127.0.0.1:0");
    tern_channel *ch = probe_channel(p.target);
    for (int safe_one = 0; safe_one < 2; safe_one++) {
        Tests__V1__FailRequest req = TESTS__V1__FAIL_REQUEST__INIT;
        char key[] = "key-0";
        key[4] = (char)('0' + safe_one);
        req.code = TERN_UNAVAILABLE;
        req.times = 2;
        req.key = key;
        unsigned before = atomic_load(&p.calls);
        assert_int_equal(probe_fail(ch, NULL, &req, safe_one, &st),
                         safe_one ? TERN_OK : TERN_UNAVAILABLE);
        assert_int_equal(atomic_load(&p.calls) - before, safe_one ? 3 : 1);
    }
    tern_channel_free(ch);
    probe_stop(&p, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unavailable_twice),
        cmocka_unit_test(test_attempts_end),
        cmocka_unit_test(test_sent_once),
        cmocka_unit_test(test_caller_says_safe),
        cmocka_unit_test(test_pushback),
        cmocka_unit_test(test_transparent),
        cmocka_unit_test(test_connection_lost),
        cmocka_unit_test(test_throttle),
        cmocka_unit_test(test_odd_answers),
        cmocka_unit_test(test_bad_binary_metadata),
        cmocka_unit_test(test_answer_before_the_request_is_out),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_own_limits),
        cmocka_unit_test(test_breaker_and_slow_calls),
        cmocka_unit_test(test_real_server),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
