/* retryPolicy of a service config (gRFC A6) for streams: what was sent before the call is committed
 * goes with each attempt, and the program does not hear of it. Each case is made with blocking
 * streams and with callbacks. */
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
#define GRPC_HEAD { ":status", "200" }, { "content-type", "application/grpc" }
#define STATUS(code) { .headers = { GRPC_HEAD, { "grpc-status", code }, { "grpc-message", code } } }
/* Without waiting for the end of the request. */
#define EARLY(code)                                                                              \
    { .action = SCRIPT_EARLY, .headers = { GRPC_HEAD, { "grpc-status", code } } }
#define PUSHBACK(code, ms)                                                                       \
    {                                                                                            \
        .headers = { GRPC_HEAD, { "grpc-status", code }, { "grpc-retry-pushback-ms", ms } }      \
    }
#define ANSWER(code)                                                                             \
    {                                                                                            \
        .headers = { GRPC_HEAD }, .body = "\0\0\0\0\2hi", .body_len = 7,                         \
        .trailers = { { "grpc-status", code } }                                                  \
    }
#define POLICY(attempts)                                                                         \
    "{\"methodConfig\":[{\"name\":[{}],\"retryPolicy\":{\"maxAttempts\":" attempts ","           \
    "\"initialBackoff\":\"0.002s\",\"maxBackoff\":\"0.01s\",\"backoffMultiplier\":2,"            \
    "\"retryableStatusCodes\":[\"UNAVAILABLE\"]}}]}"

static script peer;
static tern_channel *channel;
static tern_channel_stats stats;
static tern_status st;
static bool with_callback;

static const tern_method method = { .path = "/t.T/Talk", .kind = TERN_KIND_BIDI_STREAMING };

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

/* --- streams, either way ---------------------------------------------------------------------- */

typedef struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done, ok;
    char text[32];
    tern_status st;
} waiting;

#define WAITING { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER }

static void told(waiting *w, bool ok)
{
    pthread_mutex_lock(&w->lock);
    w->done = true;
    w->ok = ok;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static bool await(waiting *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return w->ok;
}

static void on_sent(void *ctx, bool ok)
{
    told(ctx, ok);
}

static void on_received(void *ctx, const void *message, size_t len)
{
    waiting *w = ctx;
    if (message)
        snprintf(w->text, sizeof w->text, "%.*s", (int)len, (const char *)message);
    told(w, message != NULL);
}

static void on_finished(void *ctx, const tern_status *status)
{
    waiting *w = ctx;
    w->st = *status;
    told(w, true);
}

static tern_code open_stream(tern_stream **s, const tern_call_options *opts)
{
    return with_callback ? tern_stream_start(channel, &method, opts, s, &st)
                         : tern_stream_open(channel, &method, opts, s, &st);
}

static bool send(tern_stream *s, const void *message, size_t len)
{
    waiting w = WAITING;
    if (!with_callback)
        return tern_stream_send(s, message, len);
    tern_stream_send_start(s, message, len, on_sent, &w);
    return await(&w);
}

static bool receive(tern_stream *s, char text[32])
{
    const void *message;
    size_t len;
    waiting w = WAITING;
    if (with_callback) {
        tern_stream_recv_start(s, on_received, &w);
        bool ok = await(&w);
        memcpy(text, w.text, 32);
        return ok;
    }
    if (!tern_stream_recv(s, &message, &len))
        return false;
    snprintf(text, 32, "%.*s", (int)len, (const char *)message);
    return true;
}

static tern_code finish(tern_stream *s)
{
    waiting w = WAITING;
    tern_code code;
    st.message[0] = '\0';
    if (with_callback) {
        tern_stream_finish_start(s, on_finished, &w);
        await(&w);
        st = w.st;
        code = st.code;
    } else {
        code = tern_stream_finish(s, &st);
    }
    tern_channel_stats_get(channel, &stats);
    return code;
}

static tern_call_options within(int64_t ms)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = ms;
    return opts;
}

/* A whole stream: n messages of three bytes out, all that comes in. */
static tern_code talk(int n, unsigned *ret_received)
{
    tern_stream *s;
    char text[32];
    const tern_call_options opts = within(10000);
    tern_code code = open_stream(&s, &opts);
    if (code != TERN_OK) {
        tern_channel_stats_get(channel, &stats);
        return code;
    }
    *ret_received = 0;
    for (int i = 0; i < n; i++)
        assert_true(send(s, "abc", 3));
    assert_true(tern_stream_close_send(s));
    while (receive(s, text)) {
        assert_string_equal(text, "hi");
        ++*ret_received;
    }
    return finish(s);
}

static void wire(size_t n, const int *previous, unsigned bytes)
{
    assert_int_equal(atomic_load(&peer.requests), n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(atomic_load(&peer.attempts[i]), previous[i]);
        assert_int_equal(atomic_load(&peer.bytes[i]), bytes);
    }
}
#define WIRE(bytes, ...)                                                                         \
    wire(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), (const int[]){ __VA_ARGS__ }, bytes)

/* --- cases ------------------------------------------------------------------------------------ */

static void attempts(void)
{
    static const script_step steps[] = { STATUS("14"), STATUS("14"), ANSWER("0") };
    unsigned received;
    for (int n = 0; n < 4; n++) {
        begin(POLICY("4"), steps, 3);
        assert_int_equal(talk(n, &received), TERN_OK);
        assert_int_equal(received, 1);
        WIRE((unsigned)n * 8, -1, 1, 2);
        assert_int_equal(stats.retries, 2);
        assert_int_equal(stats.attempts, 3);
        assert_int_equal(stats.calls, 1);
        end();
    }
    static const script_step all[] = { STATUS("14") };
    begin(POLICY("3"), all, 1);
    assert_int_equal(talk(1, &received), TERN_UNAVAILABLE);
    assert_string_equal(st.message, "14");
    WIRE(8, -1, 1, 2);
    assert_int_equal(stats.calls_failed, 1);
    end();
    begin("{}", all, 1); /* without a policy: once */
    assert_int_equal(talk(1, &received), TERN_UNAVAILABLE);
    WIRE(8, -1);
    end();
    static const script_step other[] = { STATUS("8"), ANSWER("0") };
    begin(POLICY("3"), other, 2);
    assert_int_equal(talk(1, &received), TERN_RESOURCE_EXHAUSTED);
    WIRE(8, -1);
    end();
}

/* The server gives up while the program still sends: what was sent before goes again. */
static void in_the_middle(void)
{
    static const script_step steps[] = { EARLY("14"), EARLY("14"), ANSWER("0") };
    tern_stream *s;
    char text[32];
    const tern_call_options opts = within(10000);
    begin(POLICY("5"), steps, 3);
    assert_int_equal(open_stream(&s, &opts), TERN_OK);
    for (int i = 0; i < 10; i++) {
        assert_true(send(s, "abc", 3));
        probe_sleep_ms(3);
    }
    assert_true(tern_stream_close_send(s));
    assert_true(receive(s, text));
    assert_false(receive(s, text));
    assert_int_equal(finish(s), TERN_OK);
    assert_int_equal(atomic_load(&peer.requests), 3);
    assert_int_equal(atomic_load(&peer.attempts[2]), 2);
    assert_int_equal(atomic_load(&peer.bytes[2]), 80);
    end();
}

/* Response headers commit, and so does more than may be kept. */
static void committed(void)
{
    static const script_step headers[] = { ANSWER("14"), ANSWER("0") };
    unsigned received;
    begin(POLICY("3"), headers, 2);
    assert_int_equal(talk(2, &received), TERN_UNAVAILABLE);
    assert_int_equal(received, 1);
    WIRE(16, -1);
    end();
    static const script_step steps[] = { STATUS("14"), ANSWER("0") };
    static uint8_t large[TERN_LIMIT_RETRY_BUFFER_BYTES / 2];
    for (int fits = 0; fits < 2; fits++) {
        tern_stream *s;
        char text[32];
        const tern_call_options opts = within(10000);
        begin(POLICY("3"), steps, 2);
        assert_int_equal(open_stream(&s, &opts), TERN_OK);
        for (int i = 0; i < 2; i++)
            assert_true(send(s, large, sizeof large - (fits ? 5 : 4)));
        assert_true(tern_stream_close_send(s));
        assert_int_equal(receive(s, text), fits);
        if (fits)
            assert_false(receive(s, text));
        assert_int_equal(finish(s), fits ? TERN_OK : TERN_UNAVAILABLE);
        assert_int_equal(atomic_load(&peer.requests), fits ? 2 : 1);
        end();
    }
}

static void pushback(void)
{
    static const script_step later[] = { PUSHBACK("14", "120"), ANSWER("0") };
    unsigned received;
    begin(POLICY("3"), later, 2);
    int64_t began = probe_now_ms();
    assert_int_equal(talk(1, &received), TERN_OK);
    assert_true(probe_now_ms() - began >= 119);
    end();
    static const script_step never[] = { PUSHBACK("14", "-1"), ANSWER("0") };
    begin(POLICY("3"), never, 2);
    assert_int_equal(talk(1, &received), TERN_UNAVAILABLE);
    WIRE(8, -1);
    end();
}

static void transparent(void)
{
    static const script_step refused[] = { { .action = SCRIPT_RESET, .error = REFUSED_STREAM },
                                           STATUS("14"), ANSWER("0") };
    static const script_step going[] = { { .action = SCRIPT_GOAWAY }, STATUS("14"), ANSWER("0") };
    static const script_step lost[] = { { .action = SCRIPT_CLOSE }, ANSWER("0") };
    const script_step *const both[] = { refused, going };
    unsigned received;
    for (int i = 0; i < 2; i++) {
        begin(POLICY("3"), both[i], 3);
        assert_int_equal(talk(2, &received), TERN_OK);
        WIRE(16, -1, -1, 1);
        assert_int_equal(stats.transparent_retries, 1);
        end();
    }
    begin(POLICY("3"), lost, 2);
    assert_int_equal(talk(2, &received), TERN_OK);
    WIRE(16, -1, 1);
    end();
}

static void unreachable(void)
{
    static const script_step steps[] = { ANSWER("0") };
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    unsigned received;
    script_start(&peer, steps, 1, false);
    script_stop(&peer);
    opts.service_config = POLICY("3");
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 1;
    channel = probe_channel_with(peer.target, &opts);
    if (with_callback) {
        tern_stream *s;
        char text[32];
        assert_int_equal(open_stream(&s, NULL), TERN_OK);
        assert_false(receive(s, text));
        assert_int_equal(finish(s), TERN_UNAVAILABLE);
    } else {
        assert_int_equal(talk(1, &received), TERN_UNAVAILABLE);
    }
    assert_int_equal(stats.attempts, 3);
    assert_non_null(strstr(st.message, "127.0.0.1"));
    tern_channel_free(channel);
}

static void *cancel_later(void *arg)
{
    probe_wait(&peer.requests, 1);
    probe_sleep_ms(50);
    tern_stream_cancel(arg);
    return NULL;
}

/* In the pause between two attempts. */
static void own_end(void)
{
    static const script_step later[] = { PUSHBACK("14", "60000"), ANSWER("0") };
    tern_stream *s;
    char text[32];
    pthread_t thread;
    begin(POLICY("3"), later, 2);
    assert_int_equal(open_stream(&s, NULL), TERN_OK);
    assert_true(tern_stream_close_send(s));
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, s), 0);
    assert_false(receive(s, text));
    pthread_join(thread, NULL);
    assert_int_equal(finish(s), TERN_CANCELLED);
    WIRE(0, -1);
    end();
    /* A stream whose server says nothing ends at its deadline, with no other attempt. */
    static const script_step silent[] = { { .action = SCRIPT_IGNORE } };
    const tern_call_options opts = within(100);
    begin(POLICY("3"), silent, 1);
    assert_int_equal(open_stream(&s, &opts), TERN_OK);
    assert_false(receive(s, text));
    assert_int_equal(finish(s), TERN_DEADLINE_EXCEEDED);
    WIRE(0, -1);
    end();
    /* Finished before its end was read: nothing is repeated. */
    static const script_step failing[] = { EARLY("14") };
    begin(POLICY("3"), failing, 1);
    assert_int_equal(open_stream(&s, NULL), TERN_OK);
    assert_true(probe_wait(&peer.requests, 1));
    assert_int_not_equal(finish(s), TERN_OK);
    end();
}

#define MESSAGES 300

static void *send_many(void *arg)
{
    uintptr_t failed = 0;
    for (int i = 0; i < MESSAGES; i++)
        failed += !send(arg, "abc", 3);
    failed += !tern_stream_close_send(arg);
    return (void *)failed;
}

/* One thread sends while another receives: whoever notices revives the stream. */
static void two_threads(void)
{
    static const script_step steps[] = { EARLY("14"), EARLY("14"), EARLY("14"), EARLY("14"),
                                         ANSWER("0") };
    for (int i = 0; i < 5; i++) {
        tern_stream *s;
        pthread_t thread;
        void *failed;
        char text[32];
        begin(POLICY("5"), steps, 5);
        assert_int_equal(open_stream(&s, NULL), TERN_OK);
        assert_int_equal(pthread_create(&thread, NULL, send_many, s), 0);
        assert_true(receive(s, text));
        assert_false(receive(s, text));
        pthread_join(thread, &failed);
        assert_null(failed);
        assert_int_equal(finish(s), TERN_OK);
        assert_int_equal(atomic_load(&peer.bytes[4]), MESSAGES * 8);
        end();
    }
}

/* The server's headers are waited for over attempts, and metadata is sent with each. */
static void test_headers(void **state)
{
    (void)state;
    static const script_step steps[] = {
        STATUS("14"),
        { .headers = { GRPC_HEAD, { "x-who", "second" } }, .body = "\0\0\0\0\2hi", .body_len = 7,
          .trailers = { { "grpc-status", "0" } } }
    };
    tern_stream *s;
    tern_call_options opts = within(10000);
    tern_metadata *md = tern_metadata_new();
    tern_metadata_add(md, "x-name", "value");
    opts.metadata = md;
    with_callback = false;
    begin(POLICY("3"), steps, 2);
    assert_int_equal(open_stream(&s, &opts), TERN_OK);
    tern_metadata_free(md); /* it was copied */
    assert_true(tern_stream_close_send(s));
    const char *who = tern_metadata_get(tern_stream_initial_metadata(s), "x-who");
    char text[32];
    assert_non_null(who);
    assert_string_equal(who, "second");
    assert_true(receive(s, text));
    assert_false(receive(s, text));
    assert_int_equal(finish(s), TERN_OK);
    WIRE(0, -1, 1);
    end();
}

/* Interim answers are counted for each attempt anew. */
static void interim(void)
{
    enum { SOME = TERN_LIMIT_INTERIM_RESPONSES * 2 / 3 };
    static const script_step steps[] = {
        { .interim = SOME, .headers = { GRPC_HEAD, { "grpc-status", "14" } } },
        { .interim = SOME, .headers = { GRPC_HEAD }, .body = "\0\0\0\0\2hi", .body_len = 7,
          .trailers = { { "grpc-status", "0" } } },
    };
    begin(POLICY("3"), steps, 2);
    tern_stream *s;
    char text[32];
    assert_int_equal(open_stream(&s, NULL), TERN_OK);
    assert_true(send(s, "x", 1));
    tern_stream_close_send(s);
    assert_true(receive(s, text));
    assert_string_equal(text, "hi");
    assert_false(receive(s, text));
    assert_int_equal(finish(s), TERN_OK);
    end();
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
BOTH_WAYS(attempts)
BOTH_WAYS(in_the_middle)
BOTH_WAYS(committed)
BOTH_WAYS(pushback)
BOTH_WAYS(transparent)
BOTH_WAYS(unreachable)
BOTH_WAYS(own_end)
BOTH_WAYS(two_threads)
BOTH_WAYS(interim)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts),    cmocka_unit_test(test_in_the_middle),
        cmocka_unit_test(test_committed),   cmocka_unit_test(test_pushback),
        cmocka_unit_test(test_transparent), cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_own_end),     cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_headers),     cmocka_unit_test(test_interim),
    };
    return cmocka_run_group_tests_name("stream retry", tests, NULL, NULL);
}
