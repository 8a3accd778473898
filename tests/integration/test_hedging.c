/* hedgingPolicy of a service config (gRFC A6): which attempts are on the wire, with what in
 * grpc-previous-rpc-attempts, which of them are cancelled, and whose answer is the call's. Each
 * case is made with blocking calls and with callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/testing.h>

#include <tern/limits.h>

#include "support/probe.h"
#include "support/script.h"

#define REFUSED_STREAM 7u
#define GRPC_HEAD { ":status", "200" }, { "content-type", "application/grpc" }
#define STATUS(code) { .headers = { GRPC_HEAD, { "grpc-status", code }, { "grpc-message", code } } }
#define PUSHBACK(code, ms)                                                                       \
    {                                                                                            \
        .headers = { GRPC_HEAD, { "grpc-status", code }, { "grpc-retry-pushback-ms", ms } }      \
    }
#define ANSWER_OK                                                                                \
    {                                                                                            \
        .headers = { GRPC_HEAD }, .body = "\0\0\0\0\0", .body_len = 5,                           \
        .trailers = { { "grpc-status", "0" } }                                                   \
    }
#define SILENCE { .action = SCRIPT_IGNORE }
#define POLICY(attempts, delay, codes)                                                           \
    "{\"methodConfig\":[{\"name\":[{}],\"hedgingPolicy\":{\"maxAttempts\":" attempts ","         \
    "\"hedgingDelay\":\"" delay "s\",\"nonFatalStatusCodes\":[" codes "]}}]"
#define SOON POLICY("3", "0.02", "14") "}"
#define LATE POLICY("3", "60", "14") "}"

static script peer;
static tern_channel *channel;
static tern_testing_clock *clk; /* runs by itself between begin() and end() */
static tern_channel_stats stats;
static tern_status st;
static bool with_callback;

static const tern_method method = { .path = "/t.T/Unsafe" };

static void begin_with(const char *json, const script_step *steps, size_t n,
                       tern_channel_options *opts)
{
    assert_int_equal(tern_testing_clock_new(&clk, &st), TERN_OK);
    assert_int_equal(tern_testing_clock_run(clk, true, &st), TERN_OK);
    script_start_local(&peer, steps, n);
    opts->service_config = json;
    opts->reconnect_backoff_ms = 5;
    opts->reconnect_backoff_ms_max = 20;
    channel = probe_channel_with(peer.target, opts);
}

static void begin(const char *json, const script_step *steps, size_t n)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.breaker.disabled = true;
    begin_with(json, steps, n, &opts);
}

static void end(void)
{
    tern_channel_free(channel);
    script_stop(&peer);
    tern_testing_clock_free(clk);
}

/* --- calls ------------------------------------------------------------------------------------ */

typedef struct answer {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    tern_status st;
} answer;

static void on_done(void *ctx, const tern_status *status, const void *response, size_t len)
{
    answer *a = ctx;
    (void)response;
    (void)len;
    pthread_mutex_lock(&a->lock);
    a->done = true;
    a->st = *status;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->lock);
}

static tern_code call_back(tern_channel *ch, const tern_method *m, const tern_call_options *opts,
                           const void *request, size_t len, tern_status *ret)
{
    answer a = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
    tern_code code = tern_call_unary_start(ch, m, opts, request, len, on_done, &a, ret);
    if (code != TERN_OK)
        return code;
    pthread_mutex_lock(&a.lock);
    while (!a.done)
        pthread_cond_wait(&a.cond, &a.lock);
    *ret = a.st;
    pthread_mutex_unlock(&a.lock);
    return ret->code;
}

static tern_code any_call(tern_channel *ch, const tern_method *m, const tern_call_options *opts,
                          const void *request, size_t len, tern_status *ret)
{
    void *bytes = NULL;
    size_t n;
    if (with_callback)
        return call_back(ch, m, opts, request, len, ret);
    tern_code code = tern_call_unary(ch, m, opts, request, len, &bytes, &n, ret);
    if (code == TERN_OK)
        free(bytes);
    return code;
}

static tern_code call_with(const tern_call_options *opts, size_t len)
{
    static const uint8_t request[2 * 1024 * 1024];
    st.message[0] = '\0';
    tern_code code = any_call(channel, &method, opts, request, len, &st);
    tern_channel_stats_get(channel, &stats);
    return code;
}

static tern_code call(void)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 10000;
    return call_with(&opts, 1);
}

static tern_code call_within(int64_t ms)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = ms;
    return call_with(&opts, 1);
}

static void wire(size_t n, const int *previous)
{
    assert_int_equal(atomic_load(&peer.requests), n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(atomic_load(&peer.attempts[i]), previous[i]);
}
#define WIRE(...) \
    wire(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), (const int[]){ __VA_ARGS__ })

/* So many streams were reset. */
static void cancelled(unsigned n)
{
    assert_true(probe_wait(&peer.resets, n));
    assert_int_equal(atomic_load(&peer.resets), n);
}

/* --- cases ------------------------------------------------------------------------------------ */

static void first_is_good(void)
{
    static const script_step steps[] = { ANSWER_OK };
    begin(LATE, steps, 1);
    assert_int_equal(call(), TERN_OK);
    assert_int_equal(call(), TERN_OK);
    WIRE(-1, -1);
    assert_int_equal(stats.attempts, 2);
    assert_int_equal(stats.hedges, 0);
    assert_int_equal(stats.calls, 2);
    assert_int_equal(stats.calls_failed, 0);
    end();
}

static void second_is_good(void)
{
    static const script_step steps[] = { SILENCE, ANSWER_OK };
    begin(POLICY("2", "0.02", "14") "}", steps, 2);
    int64_t began = tern_testing_clock_elapsed_ms(clk);
    assert_int_equal(call(), TERN_OK);
    assert_true(tern_testing_clock_elapsed_ms(clk) - began >= 19);
    WIRE(-1, 1);
    cancelled(1);
    assert_int_equal(stats.hedges, 1);
    assert_int_equal(stats.attempts, 2);
    assert_int_equal(stats.calls, 1);
    end();
}

static void failures(void)
{
    /* A non-fatal one makes the next attempt due at once. */
    static const script_step steps[] = { STATUS("14"), STATUS("14"), ANSWER_OK };
    begin(LATE, steps, 3);
    int64_t began = tern_testing_clock_elapsed_ms(clk);
    assert_int_equal(call(), TERN_OK);
    assert_true(tern_testing_clock_elapsed_ms(clk) - began < 5000);
    WIRE(-1, 1, 2);
    end();
    /* The last one is the call's. */
    static const script_step all[] = { STATUS("14"), STATUS("14"), STATUS("14"), ANSWER_OK };
    begin(LATE, all, 4);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    assert_string_equal(st.message, "14");
    WIRE(-1, 1, 2);
    assert_int_equal(stats.calls_failed, 1);
    end();
    /* A fatal one ends the call, whatever else runs. */
    static const script_step fatal[] = { SILENCE, STATUS("3"), ANSWER_OK };
    begin(POLICY("2", "0.02", "14") "}", fatal, 3);
    assert_int_equal(call(), TERN_INVALID_ARGUMENT);
    assert_string_equal(st.message, "3");
    WIRE(-1, 1);
    cancelled(1);
    end();
}

static void all_at_once(void)
{
    static const script_step steps[] = { SILENCE, SILENCE, ANSWER_OK };
    begin(POLICY("3", "0", "14") "}", steps, 3);
    assert_int_equal(call(), TERN_OK);
    WIRE(-1, 1, 2);
    cancelled(2);
    end();
}

static void pushback(void)
{
    static const script_step later[] = { PUSHBACK("14", "120"), ANSWER_OK };
    begin(LATE, later, 2);
    int64_t began = tern_testing_clock_elapsed_ms(clk);
    assert_int_equal(call(), TERN_OK);
    assert_true(tern_testing_clock_elapsed_ms(clk) - began >= 119);
    WIRE(-1, 1);
    end();
    static const script_step never[] = { PUSHBACK("14", "-1"), ANSWER_OK };
    begin(LATE, never, 2);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1);
    end();
}

static void throttled(void)
{
    static const script_step steps[] = { STATUS("14"), STATUS("14"), STATUS("14"), STATUS("14"),
                                         ANSWER_OK };
    begin(POLICY("5", "60", "14") ",\"retryThrottling\":{\"maxTokens\":4,\"tokenRatio\":1}}",
          steps, 5);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1, 1); /* 4 - 2 tokens is the half */
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1, 1, -1);
    end();
}

static void budget(void)
{
    static const script_step steps[] = { STATUS("14") };
    begin(POLICY("5", "60", "14") ",\"tern\":{\"retryBudget\":{\"percent\":100,"
                                  "\"perSecondMin\":0}}}",
          steps, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(call(), TERN_UNAVAILABLE);
    assert_int_equal(stats.hedges, 5);
    assert_int_equal(atomic_load(&peer.requests), 10);
    end();
}

static void own_end(void)
{
    static const script_step silent[] = { SILENCE };
    begin(SOON, silent, 1);
    assert_int_equal(tern_channel_wait_ready(channel, 10000, &st), TERN_OK);
    assert_int_equal(call_within(400), TERN_DEADLINE_EXCEEDED);
    WIRE(-1, 1, 2);
    cancelled(3);
    end();
    /* An attempt that would be due after the deadline is not made. */
    begin(LATE, silent, 1);
    assert_int_equal(tern_channel_wait_ready(channel, 10000, &st), TERN_OK);
    assert_int_equal(call_within(300), TERN_DEADLINE_EXCEEDED);
    WIRE(-1);
    end();
}

static void *cancel_later(void *arg)
{
    probe_wait(&peer.requests, 2);
    tern_context_cancel(arg);
    return NULL;
}

static void cancelled_by_caller(void)
{
    static const script_step silent[] = { SILENCE };
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    pthread_t thread;
    opts.context = tern_context_new(NULL, 0);
    begin(POLICY("2", "0.01", "14") "}", silent, 1);
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, opts.context), 0);
    assert_int_equal(call_with(&opts, 1), TERN_CANCELLED);
    pthread_join(thread, NULL);
    cancelled(2);
    tern_context_free(opts.context);
    end();
}

/* What the protocol proves to be safe goes again as the same attempt. */
static void transparent(void)
{
    static const script_step refused[] = { { .action = SCRIPT_RESET, .error = REFUSED_STREAM },
                                           ANSWER_OK };
    static const script_step going[] = { { .action = SCRIPT_GOAWAY }, ANSWER_OK };
    const script_step *const both[] = { refused, going };
    for (int i = 0; i < 2; i++) {
        begin(LATE, both[i], 2);
        assert_int_equal(call(), TERN_OK);
        WIRE(-1, -1);
        assert_int_equal(stats.transparent_retries, 1);
        assert_int_equal(stats.hedges, 0);
        end();
    }
    /* Also of an attempt that others have followed. */
    static const script_step second[] = { SILENCE,
                                          { .action = SCRIPT_RESET, .error = REFUSED_STREAM },
                                          SILENCE, ANSWER_OK };
    begin(POLICY("3", "0.3", "14") "}", second, 4);
    assert_int_equal(call(), TERN_OK);
    WIRE(-1, 1, 1, 2);
    end();
}

/* Response headers commit the call to their attempt. */
static void committed(void)
{
    static const script_step steps[] = { SILENCE, { .action = SCRIPT_HEADERS }, ANSWER_OK };
    begin(POLICY("3", "0.3", "14") "}", steps, 3);
    assert_int_equal(call_within(1000), TERN_DEADLINE_EXCEEDED);
    WIRE(-1, 1);
    cancelled(2);
    end();
}

static void connection_lost(void)
{
    static const script_step steps[] = { SILENCE, { .action = SCRIPT_CLOSE }, ANSWER_OK };
    begin(POLICY("3", "0.3", "14") "}", steps, 3);
    assert_int_equal(call(), TERN_OK);
    WIRE(-1, 1, 2);
    assert_int_equal(stats.connects, 2);
    end();
}

static void unreachable(void)
{
    static const script_step steps[] = { ANSWER_OK };
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    script_start(&peer, steps, 1, false);
    script_stop(&peer);
    opts.service_config = LATE;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 1;
    channel = probe_channel_with(peer.target, &opts);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    assert_int_equal(stats.attempts, 3);
    assert_non_null(strstr(st.message, "127.0.0.1"));
    tern_channel_free(channel);
    /* Waiting for a connection when time is over. */
    opts.service_config = "{\"methodConfig\":[{\"name\":[{}],\"waitForReady\":true,"
                          "\"hedgingPolicy\":{\"maxAttempts\":3,\"hedgingDelay\":\"0.02s\"}}]}";
    channel = probe_channel_with(peer.target, &opts);
    assert_int_equal(call_within(100), TERN_DEADLINE_EXCEEDED);
    tern_channel_free(channel);
}

static void not_hedged(void)
{
    static const script_step steps[] = { STATUS("14"), ANSWER_OK };
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.retry = TERN_RETRY_NEVER;
    begin(LATE, steps, 2);
    assert_int_equal(call_with(&opts, 1), TERN_UNAVAILABLE);
    WIRE(-1);
    end();
    begin(LATE, steps, 2);
    assert_int_equal(call_with(NULL, TERN_LIMIT_RETRY_BUFFER_BYTES), TERN_UNAVAILABLE);
    WIRE(-1);
    end();
}

/* Attempts that a gate refuses are not made; those that run go on. */
static void gates(void)
{
    static const script_step steps[] = { SILENCE, STATUS("14"), ANSWER_OK };
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.breaker.calls_in_flight_max = 1;
    begin_with(SOON, steps, 3, &opts);
    assert_int_equal(call_within(500), TERN_DEADLINE_EXCEEDED);
    WIRE(-1);
    assert_int_equal(stats.rejected_in_flight, 1);
    end();
    opts.breaker.calls_in_flight_max = 0;
    opts.breaker.consecutive_failures = 1;
    opts.breaker.open_ms = 60000;
    static const script_step failing[] = { STATUS("14"), ANSWER_OK };
    begin_with(LATE, failing, 2, &opts);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    assert_string_equal(st.message, "14"); /* what the server said, which tells more */
    WIRE(-1);
    assert_int_equal(stats.rejected_open, 1);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "circuit breaker"));
    end();
}

/* --- many at once ----------------------------------------------------------------------------- */

/* Each call may cancel two attempts, and a server takes TERN_LIMIT_RESETS_BURST resets at once. */
#define THREADS 4
#define CALLS 24

static void *call_often(void *arg)
{
    static const tern_method echo = { .path = "/tests.v1.Probe/Echo" };
    uintptr_t failed = 0;
    for (int i = 0; i < CALLS; i++) {
        tern_status why;
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.timeout_ms = 20000;
        failed += any_call(arg, &echo, &opts, "\n\5hello", 7, &why) != TERN_OK;
    }
    return (void *)failed;
}

static void crowd(void)
{
    static const char *const configs[] = { POLICY("3", "0", "14") "}", POLICY("3", "0.0002", "14")
                                           "}" };
    for (int i = 0; i < 2; i++) {
        probe_server p;
        pthread_t threads[THREADS];
        tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
        tern_server_options server = TERN_SERVER_OPTIONS_INIT;
        opts.service_config = configs[i];
        probe_start(&p, &server, "ipv4:127.0.0.1:0");
        channel = probe_channel_with(p.target, &opts);
        for (int k = 0; k < THREADS; k++)
            assert_int_equal(pthread_create(&threads[k], NULL, call_often, channel), 0);
        for (int k = 0; k < THREADS; k++) {
            void *failed;
            pthread_join(threads[k], &failed);
            assert_null(failed);
        }
        tern_channel_stats_get(channel, &stats);
        assert_int_equal(stats.calls, THREADS * CALLS);
        assert_int_equal(stats.calls_failed, 0);
        tern_channel_free(channel);
        probe_stop(&p, 1000);
    }
}

/* Attempts go to different servers, each on a connection of its own. */
static void two_servers(void)
{
    static const script_step silent[] = { SILENCE }, good[] = { ANSWER_OK };
    static script other;
    char target[128];
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    script_start(&peer, silent, 1, false);
    script_start(&other, good, 1, false);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u,127.0.0.1:%u", peer.port, other.port);
    opts.load_balancing = "round_robin";
    opts.service_config = POLICY("5", "0.05", "14") "}"; /* the first may wait for one server */
    channel = probe_channel_with(target, &opts);
    int64_t until = probe_now_ms() + 60000;
    while (atomic_load(&peer.requests) < 5) { /* both are connected by then */
        assert_int_equal(call(), TERN_OK);
        assert_true(probe_now_ms() < until);
        probe_sleep_ms(1);
    }
    assert_true(probe_wait(&peer.resets, atomic_load(&peer.requests)));
    assert_int_equal(stats.calls_failed, 0);
    tern_channel_free(channel);
    script_stop(&peer);
    script_stop(&other);
}

/* On a loop of the program's own that nobody runs meanwhile: a blocking call needs none. */
static void test_no_loop(void **state)
{
    (void)state;
    static const script_step steps[] = { SILENCE, ANSWER_OK };
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_loop *loop;
    with_callback = false;
    assert_int_equal(tern_loop_new(&loop, &st), TERN_OK);
    opts.loop = loop;
    begin_with(POLICY("2", "0.02", "14") "}", steps, 2, &opts);
    assert_int_equal(call(), TERN_OK);
    WIRE(-1, 1);
    assert_int_equal(call(), TERN_OK);
    end();
    tern_loop_free(loop);
}

#define BOTH_WAYS(name)                    \
    static void test_##name(void **state)  \
    {                                      \
        (void)state;                       \
        for (int i = 0; i < 2; i++) {      \
            with_callback = i;             \
            name();                        \
        }                                  \
    }
BOTH_WAYS(first_is_good)
BOTH_WAYS(second_is_good)
BOTH_WAYS(failures)
BOTH_WAYS(all_at_once)
BOTH_WAYS(pushback)
BOTH_WAYS(throttled)
BOTH_WAYS(budget)
BOTH_WAYS(own_end)
BOTH_WAYS(cancelled_by_caller)
BOTH_WAYS(transparent)
BOTH_WAYS(committed)
BOTH_WAYS(connection_lost)
BOTH_WAYS(unreachable)
BOTH_WAYS(not_hedged)
BOTH_WAYS(gates)
BOTH_WAYS(crowd)
BOTH_WAYS(two_servers)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_is_good),
        cmocka_unit_test(test_second_is_good),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_pushback),
        cmocka_unit_test(test_throttled),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_own_end),
        cmocka_unit_test(test_cancelled_by_caller),
        cmocka_unit_test(test_transparent),
        cmocka_unit_test(test_committed),
        cmocka_unit_test(test_connection_lost),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_not_hedged),
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_two_servers),
        cmocka_unit_test(test_no_loop),
    };
    return cmocka_run_group_tests_name("hedging", tests, NULL, NULL);
}
