/* retryPolicy of a service config (gRFC A6), to the letter: which attempts are on the wire, with
 * what in grpc-previous-rpc-attempts, and when. Each case is made with blocking calls and with
 * callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "support/probe.h"
#include "support/script.h"

#define REFUSED_STREAM 7u
#define CANCEL 8u
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
#define COMMITTED(code)                                                                          \
    {                                                                                            \
        .headers = { GRPC_HEAD }, .body = "\0\0\0\0\0", .body_len = 5,                           \
        .trailers = { { "grpc-status", code } }                                                  \
    }
#define POLICY(attempts, codes)                                                                  \
    "{\"methodConfig\":[{\"name\":[{}],\"retryPolicy\":{\"maxAttempts\":" attempts ","           \
    "\"initialBackoff\":\"0.002s\",\"maxBackoff\":\"0.01s\",\"backoffMultiplier\":2,"            \
    "\"retryableStatusCodes\":[" codes "]}}]"
#define UNAVAILABLE POLICY("4", "\"UNAVAILABLE\"") "}"

static script peer;
static tern_channel *channel;
static tern_channel_stats stats;
static tern_status st;
static bool with_callback; /* the calls of the case that runs */

/* Not declared idempotent: the codes of the policy are what counts. */
static const tern_method method = { .path = "/t.T/Unsafe" };

static void begin(const char *json, const script_step *steps, size_t n)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    script_start(&peer, steps, n, false);
    opts.service_config = json;
    opts.reconnect_backoff_ms = 5;
    opts.reconnect_backoff_ms_max = 20;
    opts.breaker.disabled = true;
    channel = probe_channel_with(peer.target, &opts);
}

static void end(void)
{
    tern_channel_free(channel);
    script_stop(&peer);
}

/* --- calls ------------------------------------------------------------------------------------ */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    tern_status st;
} answer = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static void on_done(void *ctx, const tern_status *status, const void *response, size_t len)
{
    (void)ctx;
    (void)response;
    (void)len;
    pthread_mutex_lock(&answer.lock);
    answer.done = true;
    answer.st = *status;
    pthread_cond_signal(&answer.cond);
    pthread_mutex_unlock(&answer.lock);
}

static tern_code call_back(const tern_call_options *opts, const void *request, size_t len)
{
    answer.done = false;
    tern_code code =
        tern_call_unary_start(channel, &method, opts, request, len, on_done, NULL, &st);
    if (code != TERN_OK)
        return code;
    pthread_mutex_lock(&answer.lock);
    while (!answer.done)
        pthread_cond_wait(&answer.cond, &answer.lock);
    st = answer.st;
    pthread_mutex_unlock(&answer.lock);
    return st.code;
}

static tern_code call_with(const tern_call_options *opts, size_t len)
{
    static const uint8_t request[2 * 1024 * 1024];
    void *bytes = NULL;
    size_t n;
    st.message[0] = '\0';
    tern_code code;
    if (with_callback) {
        code = call_back(opts, request, len);
    } else {
        code = tern_call_unary(channel, &method, opts, request, len, &bytes, &n, &st);
        if (code == TERN_OK)
            free(bytes);
    }
    tern_channel_stats_get(channel, &stats);
    return code;
}

static tern_code call(void)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 10000;
    return call_with(&opts, 1);
}

/* The requests that came, by their grpc-previous-rpc-attempts. */
static void wire(size_t n, const int *previous)
{
    assert_int_equal(atomic_load(&peer.requests), n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(atomic_load(&peer.attempts[i]), previous[i]);
}
#define WIRE(...) \
    wire(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), (const int[]){ __VA_ARGS__ })

/* --- cases ------------------------------------------------------------------------------------ */

static void attempts(void)
{
    static const script_step steps[] = { STATUS("14"), STATUS("14"), STATUS("14"), ANSWER_OK };
    begin(UNAVAILABLE, steps, 4);
    assert_int_equal(call(), TERN_OK);
    WIRE(-1, 1, 2, 3);
    assert_int_equal(stats.retries, 3);
    assert_int_equal(stats.attempts, 4);
    assert_int_equal(stats.calls_failed, 0);
    end();
    static const script_step worse[] = { STATUS("14"), STATUS("14"), STATUS("14"), STATUS("14"),
                                         ANSWER_OK };
    begin(UNAVAILABLE, worse, 5);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    assert_string_equal(st.message, "14");
    WIRE(-1, 1, 2, 3);
    end();
    static const script_step all[] = { STATUS("14") };
    begin(POLICY("9", "\"UNAVAILABLE\"") "}", all, 1); /* above 5 is 5 */
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1, 1, 2, 3, 4);
    end();
}

/* Only the codes that are listed; and a status of the server is one whatever it is, also one that
 * the client itself might have ended the call with. */
static void codes(void)
{
    static const script_step listed[] = { STATUS("4"), STATUS("1"), STATUS("9"), ANSWER_OK };
    begin(POLICY("4", "\"DEADLINE_EXCEEDED\",1,\"failed_precondition\"") "}", listed, 4);
    assert_int_equal(call(), TERN_OK);
    WIRE(-1, 1, 2, 3);
    end();
    begin(POLICY("4", "\"DEADLINE_EXCEEDED\",1") "}", listed, 4);
    assert_int_equal(call(), TERN_FAILED_PRECONDITION);
    WIRE(-1, 1, 2);
    end();
    static const script_step reset[] = { { .action = SCRIPT_RESET, .error = CANCEL }, ANSWER_OK };
    begin(POLICY("4", "1") "}", reset, 2);
    assert_int_equal(call(), TERN_OK);
    WIRE(-1, 1);
    end();
    static const script_step lost[] = { { .action = SCRIPT_CLOSE }, ANSWER_OK };
    begin(UNAVAILABLE, lost, 2);
    assert_int_equal(call(), TERN_OK);
    WIRE(-1, 1);
    end();
}

/* The deadline and the cancellation of the client itself are no answers. */
static void own_end(void)
{
    static const script_step silent[] = { { .action = SCRIPT_IGNORE } };
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 60;
    begin(POLICY("4", "1,4") "}", silent, 1);
    assert_int_equal(call_with(&opts, 1), TERN_DEADLINE_EXCEEDED);
    WIRE(-1);
    end();
    /* A pause that would last beyond the deadline is not begun. */
    static const script_step later[] = { PUSHBACK("14", "100000"), ANSWER_OK };
    int64_t began = probe_now_ms();
    opts.timeout_ms = 5000;
    begin(UNAVAILABLE, later, 2);
    assert_int_equal(call_with(&opts, 1), TERN_UNAVAILABLE);
    assert_true(probe_now_ms() - began < 4000);
    WIRE(-1);
    end();
}

static void committed(void)
{
    static const script_step steps[] = { COMMITTED("14"), ANSWER_OK };
    begin(UNAVAILABLE, steps, 2);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1);
    end();
}

static void pushback(void)
{
    static const script_step steps[] = { PUSHBACK("14", "120"), PUSHBACK("14", "0"), ANSWER_OK };
    begin(UNAVAILABLE, steps, 3);
    int64_t began = probe_now_ms();
    assert_int_equal(call(), TERN_OK);
    assert_true(probe_now_ms() - began >= 119);
    WIRE(-1, 1, 2);
    end();
    static const char *const no[] = { "-1", "soon", "" };
    for (int i = 0; i < 3; i++) {
        const script_step never[] = { PUSHBACK("14", no[i]), ANSWER_OK };
        begin(UNAVAILABLE, never, 2);
        assert_int_equal(call(), TERN_UNAVAILABLE);
        WIRE(-1);
        end();
    }
    /* Pushback does not make a code retryable that is not. */
    static const script_step other[] = { PUSHBACK("8", "1"), ANSWER_OK };
    begin(UNAVAILABLE, other, 2);
    assert_int_equal(call(), TERN_RESOURCE_EXHAUSTED);
    WIRE(-1);
    end();
}

/* No handler ran: at once, and counted neither as attempt nor for the throttle. */
static void transparent(void)
{
    static const script_step refused[] = { { .action = SCRIPT_RESET, .error = REFUSED_STREAM },
                                           STATUS("14"), ANSWER_OK };
    static const script_step going[] = { { .action = SCRIPT_GOAWAY }, STATUS("14"), ANSWER_OK };
    const script_step *const both[] = { refused, going };
    for (int i = 0; i < 2; i++) {
        begin(UNAVAILABLE, both[i], 3);
        assert_int_equal(call(), TERN_OK);
        WIRE(-1, -1, 1);
        assert_int_equal(stats.transparent_retries, 1);
        assert_int_equal(stats.retries, 1);
        end();
    }
    static const script_step twice[] = { { .action = SCRIPT_RESET, .error = REFUSED_STREAM },
                                         { .action = SCRIPT_RESET, .error = REFUSED_STREAM },
                                         ANSWER_OK };
    begin(UNAVAILABLE, twice, 3); /* the second time it is an attempt */
    assert_int_equal(call(), TERN_OK);
    WIRE(-1, -1, 1);
    end();
}

/* retryThrottling: none at half of the tokens or below. */
static void throttled(void)
{
    static const script_step steps[] = { STATUS("14") };
    begin(POLICY("5", "\"UNAVAILABLE\"") ",\"retryThrottling\":{\"maxTokens\":6,"
                                         "\"tokenRatio\":0.5}}",
          steps, 1);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1, 1, 2); /* 6 - 3 tokens is the half */
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1, 1, 2, -1);
    end();
    static const script_step better[] = { STATUS("14"), ANSWER_OK, ANSWER_OK, STATUS("14"),
                                          ANSWER_OK };
    begin(POLICY("2", "\"UNAVAILABLE\"") ",\"retryThrottling\":{\"maxTokens\":2,"
                                         "\"tokenRatio\":0.5}}",
          better, 5);
    assert_int_equal(call(), TERN_UNAVAILABLE); /* 1 token is the half */
    assert_int_equal(call(), TERN_OK);
    assert_int_equal(call(), TERN_OK); /* full again */
    tern_channel_set_service_config(channel, POLICY("2", "14") "}", strlen(POLICY("2", "14") "}"),
                                    &st);
    assert_int_equal(call(), TERN_OK); /* without a throttle of the config */
    WIRE(-1, -1, -1, -1, 1);
    end();
}

/* What one channel has learnt of a name holds for others to it, and goes with the last of them. */
static void throttle_of_the_name(void)
{
    static const script_step steps[] = { STATUS("14") };
    static const char json[] = POLICY("5", "14") ",\"retryThrottling\":{\"maxTokens\":6,"
                                                 "\"tokenRatio\":0.5}}";
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    char longer[128];
    begin(json, steps, 1);
    snprintf(longer, sizeof longer, "%s", peer.target);
    opts.service_config = POLICY("5", "14") "}"; /* says nothing of a throttle */
    opts.breaker.disabled = true;
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1, 1, 2);
    tern_channel *other = probe_channel_with(longer, &opts);
    tern_channel_free(channel);
    channel = other;
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1, 1, 2, -1);
    /* Ten times the parameters: 2 of 6 tokens are 20 of 60, no more of them than before. */
    static const char wide[] = POLICY("5", "14") ",\"retryThrottling\":{\"maxTokens\":60,"
                                                 "\"tokenRatio\":0.5}}";
    assert_int_equal(tern_channel_set_service_config(channel, wide, strlen(wide), &st), TERN_OK);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1, 1, 2, -1, -1);
    tern_channel_free(channel);
    channel = probe_channel_with(longer, &opts);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1, 1, 2, -1, -1, -1, 1, 2, 3, 4);
    end();
}

static void budget(void)
{
    static const script_step steps[] = { STATUS("14") };
    begin(POLICY("5", "\"UNAVAILABLE\"") ",\"tern\":{\"retryBudget\":{\"percent\":50,"
                                         "\"perSecondMin\":0}}}",
          steps, 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(call(), TERN_UNAVAILABLE);
    assert_int_equal(stats.retries, 5);
    assert_int_equal(atomic_load(&peer.requests), 15);
    assert_int_equal(stats.retries_denied, 10);
    end();
}

/* The caller and the channel may forbid what the config asks for; transparent retries remain. */
static void forbidden(void)
{
    static const script_step steps[] = { { .action = SCRIPT_RESET, .error = REFUSED_STREAM },
                                         STATUS("14"), ANSWER_OK };
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.retry = TERN_RETRY_NEVER;
    begin(UNAVAILABLE, steps, 3);
    assert_int_equal(call_with(&opts, 1), TERN_UNAVAILABLE);
    WIRE(-1, -1);
    end();
    tern_channel_options ch = TERN_CHANNEL_OPTIONS_INIT;
    script_start(&peer, steps, 3, false);
    ch.service_config = UNAVAILABLE;
    ch.retry.disabled = true;
    channel = probe_channel_with(peer.target, &ch);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    WIRE(-1, -1);
    end();
}

static void large(void)
{
    static const script_step steps[] = { STATUS("14"), ANSWER_OK };
    begin(UNAVAILABLE, steps, 2);
    assert_int_equal(call_with(NULL, TERN_LIMIT_RETRY_BUFFER_BYTES - 5), TERN_OK);
    WIRE(-1, 1);
    end();
    begin(UNAVAILABLE, steps, 2);
    assert_int_equal(call_with(NULL, TERN_LIMIT_RETRY_BUFFER_BYTES - 4), TERN_UNAVAILABLE);
    WIRE(-1);
    end();
}

/* Nobody there is a failure like any other to a retryPolicy, and to nobody else. */
static void unreachable(void)
{
    static const script_step steps[] = { ANSWER_OK };
    static const char *const configs[] = { UNAVAILABLE, POLICY("4", "8") "}", "{}" };
    for (int i = 0; i < 3; i++) {
        begin(configs[i], steps, 1);
        tern_channel_free(channel);
        script_stop(&peer);
        tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
        opts.service_config = configs[i];
        opts.breaker.disabled = true;
        opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 1;
        channel = probe_channel_with(peer.target, &opts);
        assert_int_equal(call(), TERN_UNAVAILABLE);
        assert_int_equal(stats.retries, i == 0 ? 3 : 0);
        assert_int_equal(stats.attempts, i == 0 ? 4 : 1);
        assert_non_null(strstr(st.message, "127.0.0.1"));
        tern_channel_free(channel);
    }
}

/* A retry goes through the breaker, and ends with what the server said when that has opened. */
static void breaker(void)
{
    static const script_step steps[] = { STATUS("14") };
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    script_start(&peer, steps, 1, false);
    opts.service_config = UNAVAILABLE;
    opts.breaker.consecutive_failures = 2;
    opts.breaker.open_ms = 30000;
    channel = probe_channel_with(peer.target, &opts);
    assert_int_equal(call(), TERN_UNAVAILABLE);
    assert_string_equal(st.message, "14");
    WIRE(-1, 1);
    assert_int_equal(stats.rejected_open, 1);
    end();
}

/* --- both ways -------------------------------------------------------------------------------- */

#define BOTH_WAYS(name)                    \
    static void test_##name(void **state)  \
    {                                      \
        (void)state;                       \
        for (int i = 0; i < 2; i++) {      \
            with_callback = i;             \
            name();                        \
        }                                  \
    }
BOTH_WAYS(attempts)
BOTH_WAYS(codes)
BOTH_WAYS(own_end)
BOTH_WAYS(committed)
BOTH_WAYS(pushback)
BOTH_WAYS(transparent)
BOTH_WAYS(throttled)
BOTH_WAYS(throttle_of_the_name)
BOTH_WAYS(budget)
BOTH_WAYS(forbidden)
BOTH_WAYS(large)
BOTH_WAYS(unreachable)
BOTH_WAYS(breaker)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts),    cmocka_unit_test(test_codes),
        cmocka_unit_test(test_own_end),     cmocka_unit_test(test_committed),
        cmocka_unit_test(test_pushback),    cmocka_unit_test(test_transparent),
        cmocka_unit_test(test_throttled),   cmocka_unit_test(test_budget),
        cmocka_unit_test(test_forbidden),   cmocka_unit_test(test_large),
        cmocka_unit_test(test_unreachable), cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_throttle_of_the_name),
    };
    return cmocka_run_group_tests_name("retry policy", tests, NULL, NULL);
}
