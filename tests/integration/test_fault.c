/* Faults injected into the calls of a channel and of a server: into each kind of call, by
 * percentage and by header, set anew at run time; and what must go on meanwhile. A delay of an hour
 * that is over at once, or that nobody else waits for, needs no clock to be judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/probe.h"

#define PATIENCE_MS 20000
#define HOUR_MS 3600000u
#define SHORT_MS 20u

static tern_fault *fault;
static tern_server *srv;
static tern_channel *ch;
static tern_loop *loop; /* the channel's; NULL: Tern's own */
static tern_status st;
static atomic_uint ran;

static const tern_method echo_method = { .path = "/t.F/Echo", .idempotency = TERN_IDEMPOTENT };
static const tern_method inline_method = { .path = "/t.I/Echo" };
static const tern_method stream_method = { .path = "/t.F/Chat", .kind = TERN_KIND_BIDI_STREAMING };

static tern_code echo(void *self, tern_server_call *call)
{
    (void)self;
    atomic_fetch_add(&ran, 1);
    return tern_server_call_response_buffer(call, 1) ? TERN_OK : TERN_RESOURCE_EXHAUSTED;
}

static tern_code chat(void *self, tern_server_call *call)
{
    const void *data;
    size_t len;
    (void)self;
    atomic_fetch_add(&ran, 1);
    while (tern_server_call_recv(call, &data, &len))
        if (!tern_server_call_send(call, data, len))
            break;
    return TERN_OK;
}

/* Who injects: the channel, the server. */
typedef enum where { CLIENT, SERVER } where;

static void start(where w, bool own_loop)
{
    tern_server_options so = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    char target[64];
    uint16_t port;
    assert_int_equal(tern_fault_new(NULL, &fault, &st), TERN_OK);
    if (own_loop)
        assert_int_equal(tern_loop_new(&loop, &st), TERN_OK);
    so.loops = 1;
    so.fault = w == SERVER ? fault : NULL;
    co.fault = w == CLIENT ? fault : NULL;
    co.loop = loop;
    co.breaker.disabled = true;
    assert_int_equal(tern_server_new(&so, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &echo_method, echo, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &inline_method, echo, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &stream_method, chat, NULL, &st), TERN_OK);
    tern_server_set_execution(srv, "t.I", TERN_EXEC_INLINE);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    ch = probe_channel_with(target, &co);
    atomic_store(&ran, 0);
}

static tern_fault_stats stats(void)
{
    tern_fault_stats s;
    tern_fault_stats_get(fault, &s);
    return s;
}

static void stop(void)
{
    tern_channel_free(ch);
    tern_server_drain(srv, 1000);
    tern_server_wait(srv);
    tern_server_free(srv);
    tern_loop_free(loop);
    loop = NULL;
    assert_int_equal(stats().active, 0);
    tern_fault_unref(fault);
}

static void set(const tern_fault_options *o)
{
    if (tern_fault_set(fault, o, &st))
        fail_msg("%s", st.message);
}

static tern_fault_options aborts(tern_code code)
{
    tern_fault_options o = TERN_FAULT_OPTIONS_INIT;
    o.abort = TERN_FAULT_FIXED;
    o.abort_code = code;
    o.abort_share.numerator = 100;
    return o;
}

static tern_fault_options delays(uint32_t ms)
{
    tern_fault_options o = TERN_FAULT_OPTIONS_INIT;
    o.delay = TERN_FAULT_FIXED;
    o.delay_ms = ms;
    o.delay_share.numerator = 100;
    return o;
}

/* --- the kinds of calls ----------------------------------------------------------------------- */

static tern_code unary(const tern_call_options *opts)
{
    void *bytes;
    size_t len;
    tern_code code = tern_call_unary(ch, &echo_method, opts, "", 0, &bytes, &len, &st);
    if (code == TERN_OK)
        free(bytes);
    return code;
}

static tern_code stream(const tern_call_options *opts)
{
    tern_stream *s;
    const void *data;
    size_t len;
    unsigned n = 0;
    tern_code code = tern_stream_open(ch, &stream_method, opts, &s, &st);
    if (code != TERN_OK)
        return code;
    tern_stream_send(s, "x", 1);
    tern_stream_close_send(s);
    while (tern_stream_recv(s, &data, &len))
        n++;
    code = tern_stream_finish(s, &st);
    if (code == TERN_OK)
        assert_int_equal(n, 1);
    return code;
}

typedef struct outcome {
    atomic_uint done;
    tern_status st;
    unsigned messages;
} outcome;

static void on_unary(void *ctx, const tern_status *status, const void *response, size_t len)
{
    outcome *o = ctx;
    (void)response;
    (void)len;
    o->st = *status;
    atomic_fetch_add(&o->done, 1);
}

static void on_message(void *ctx, const void *message, size_t len)
{
    outcome *o = ctx;
    (void)len;
    o->messages += message != NULL;
}

static void on_finished(void *ctx, const tern_status *status) { on_unary(ctx, status, NULL, 0); }

static void on_sent(void *ctx, bool ok)
{
    (void)ctx;
    (void)ok;
}

static bool wait_for(outcome *o)
{
    int64_t until = probe_now_ms() + PATIENCE_MS;
    while (loop && !atomic_load(&o->done) && probe_now_ms() < until)
        tern_loop_wait(loop, 100);
    return probe_wait(&o->done, 1);
}

static tern_code unary_callback(const tern_call_options *opts)
{
    outcome o = { .messages = 0 };
    assert_int_equal(tern_call_unary_start(ch, &echo_method, opts, "", 0, on_unary, &o, &st),
                     TERN_OK);
    assert_true(wait_for(&o));
    st = o.st;
    return st.code;
}

/* The end is asked for when the message has come: an early finish would cancel. */
static void on_only_message(void *ctx, const void *message, size_t len)
{
    on_message(ctx, message, len);
    atomic_fetch_add(&((outcome *)ctx)->done, 1);
}

static tern_code stream_callback(const tern_call_options *opts)
{
    outcome got = { .messages = 0 }, more = { .messages = 0 }, o = { .messages = 0 };
    tern_stream *s;
    assert_int_equal(tern_stream_start(ch, &stream_method, opts, &s, &st), TERN_OK);
    tern_stream_send_start(s, "x", 1, on_sent, NULL);
    tern_stream_close_send(s);
    tern_stream_recv_start(s, on_only_message, &got);
    assert_true(wait_for(&got));
    tern_stream_recv_start(s, on_only_message, &more);
    assert_true(wait_for(&more));
    tern_stream_finish_start(s, on_finished, &o);
    assert_true(wait_for(&o));
    st = o.st;
    if (st.code == TERN_OK)
        assert_int_equal(got.messages, 1);
    return st.code;
}

static tern_code (*const kinds[])(const tern_call_options *opts) = { unary, stream, unary_callback,
                                                                     stream_callback };
#define N_KINDS 4

/* --- what happens to a call ------------------------------------------------------------------- */

static void no_fault(void **state)
{
    (void)state;
    for (where w = CLIENT; w <= SERVER; w++) {
        start(w, false);
        for (int k = 0; k < N_KINDS; k++)
            assert_int_equal(kinds[k](NULL), TERN_OK);
        assert_int_equal(stats().aborted + stats().delayed + stats().spared, 0);
        stop();
    }
}

static void aborted_calls(void **state)
{
    (void)state;
    for (where w = CLIENT; w <= SERVER; w++) {
        const tern_fault_options o = aborts(TERN_DATA_LOSS);
        start(w, false);
        set(&o);
        for (int k = 0; k < N_KINDS; k++) {
            assert_int_equal(kinds[k](NULL), TERN_DATA_LOSS);
            assert_string_equal(st.message, "an injected fault aborted the call");
        }
        assert_int_equal(stats().aborted, N_KINDS);
        assert_int_equal(atomic_load(&ran), 0); /* no handler saw any of it */
        set(NULL);
        for (int k = 0; k < N_KINDS; k++)
            assert_int_equal(kinds[k](NULL), TERN_OK);
        stop();
    }
}

static void delayed_calls(void **state)
{
    (void)state;
    for (where w = CLIENT; w <= SERVER; w++) {
        tern_fault_options o = delays(SHORT_MS);
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.timeout_ms = PATIENCE_MS;
        start(w, false);
        set(&o);
        for (int k = 0; k < N_KINDS; k++) {
            int64_t began = probe_now_ms();
            assert_int_equal(kinds[k](&opts), TERN_OK);
            assert_true(probe_now_ms() - began >= SHORT_MS - 1);
        }
        o.abort = TERN_FAULT_FIXED;
        o.abort_code = TERN_ABORTED;
        o.abort_share.numerator = 100;
        set(&o);
        for (int k = 0; k < N_KINDS; k++) {
            int64_t began = probe_now_ms();
            assert_int_equal(kinds[k](&opts), TERN_ABORTED);
            assert_true(probe_now_ms() - began >= SHORT_MS - 1);
        }
        assert_int_equal(stats().delayed, 2 * N_KINDS);
        assert_int_equal(stats().aborted, N_KINDS);
        stop();
    }
}

static void deadlines_end_the_delay(void **state)
{
    (void)state;
    for (where w = CLIENT; w <= SERVER; w++) {
        const tern_fault_options o = delays(HOUR_MS);
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.timeout_ms = 30;
        start(w, false);
        set(&o);
        for (int k = 0; k < N_KINDS; k++)
            assert_int_equal(kinds[k](&opts), TERN_DEADLINE_EXCEEDED);
        assert_int_equal(atomic_load(&ran), 0);
        stop();
    }
}

static tern_context *ctx;

static void *cancel_when_delayed(void *arg)
{
    uint64_t n = *(const uint64_t *)arg;
    int64_t until = probe_now_ms() + PATIENCE_MS;
    while (stats().delayed < n && probe_now_ms() < until)
        probe_sleep_ms(1);
    tern_context_cancel(ctx);
    return NULL;
}

static void cancellation_ends_the_delay(void **state)
{
    (void)state;
    for (where w = CLIENT; w <= SERVER; w++) {
        const tern_fault_options o = delays(HOUR_MS);
        start(w, false);
        set(&o);
        for (int k = 0; k < N_KINDS; k++) {
            tern_call_options opts = TERN_CALL_OPTIONS_INIT;
            uint64_t n = (uint64_t)k + 1;
            pthread_t thread;
            opts.context = ctx = tern_context_new(NULL, 0);
            assert_int_equal(pthread_create(&thread, NULL, cancel_when_delayed, &n), 0);
            assert_int_equal(kinds[k](&opts), TERN_CANCELLED);
            pthread_join(thread, NULL);
            tern_context_free(ctx);
        }
        int64_t until = probe_now_ms() + PATIENCE_MS;
        while (stats().active && probe_now_ms() < until) /* until the server has heard of it */
            probe_sleep_ms(1);
        assert_int_equal(stats().active, 0);
        stop();
    }
}

/* A call that rests is in nobody's way: not on a program's loop, not on a server's. */
static void others_go_on(void **state)
{
    (void)state;
    for (where w = CLIENT; w <= SERVER; w++) {
        tern_fault_options o = delays(HOUR_MS);
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        outcome rests[8] = { { .messages = 0 } };
        o.active_max = 8;
        start(w, true);
        set(&o);
        opts.context = ctx = tern_context_new(NULL, 0);
        for (int i = 0; i < 8; i++)
            assert_int_equal(tern_call_unary_start(ch, i % 2 ? &echo_method : &inline_method, &opts,
                                                   "", 0, on_unary, &rests[i], &st),
                             TERN_OK);
        int64_t until = probe_now_ms() + PATIENCE_MS;
        while (stats().active < 8 && probe_now_ms() < until)
            tern_loop_wait(loop, 1);
        for (int i = 0; i < 50; i++)
            assert_int_equal(unary_callback(NULL), TERN_OK);
        assert_int_equal(stats().spared, 50);
        for (int i = 0; i < 8; i++)
            assert_int_equal(atomic_load(&rests[i].done), 0);
        tern_context_cancel(ctx);
        for (int i = 0; i < 8; i++) {
            assert_true(wait_for(&rests[i]));
            assert_int_equal(rests[i].st.code, TERN_CANCELLED);
        }
        tern_context_free(ctx);
        while (stats().active && probe_now_ms() < until)
            probe_sleep_ms(1);
        stop();
    }
}

/* --- by header, by method, by share ----------------------------------------------------------- */

static tern_code with_header(const char *key, const char *value)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_metadata *md = tern_metadata_new();
    assert_int_equal(tern_metadata_add(md, key, value), 0);
    opts.metadata = md;
    opts.timeout_ms = strstr(key, "delay") ? 50 : PATIENCE_MS;
    tern_code code = unary(&opts);
    tern_metadata_free(md);
    return code;
}

static void as_the_call_asks(void **state)
{
    (void)state;
    static const char json[] = "{ \"delay\": { \"headerDelay\": {}, \"percentage\": "
                               "{ \"numerator\": 100 } }, \"abort\": { \"headerAbort\": {}, "
                               "\"percentage\": { \"numerator\": 100 } } }";
    for (where w = CLIENT; w <= SERVER; w++) {
        start(w, false);
        assert_int_equal(tern_fault_set_json(fault, json, sizeof json - 1, &st), TERN_OK);
        assert_int_equal(unary(NULL), TERN_OK);
        assert_int_equal(with_header("x-envoy-fault-abort-grpc-request", "9"),
                         TERN_FAILED_PRECONDITION);
        assert_int_equal(with_header("x-envoy-fault-abort-request", "401"), TERN_UNAUTHENTICATED);
        assert_int_equal(with_header("x-envoy-fault-delay-request", "3600000"),
                         TERN_DEADLINE_EXCEEDED);
        assert_int_equal(tern_fault_set_json(fault, "{ \"abort\": 7 }", 14, &st),
                         TERN_INVALID_ARGUMENT);
        assert_string_equal(st.message, "abort: must be an object");
        assert_int_equal(with_header("x-envoy-fault-abort-grpc-request", "9"),
                         TERN_FAILED_PRECONDITION); /* the former ones stay */
        stop();
    }
}

static void only_some_methods(void **state)
{
    (void)state;
    for (where w = CLIENT; w <= SERVER; w++) {
        tern_fault_options o = aborts(TERN_ABORTED);
        start(w, false);
        o.method = "/t.F/Chat";
        set(&o);
        assert_int_equal(unary(NULL), TERN_OK);
        assert_int_equal(stream(NULL), TERN_ABORTED);
        o.method = "t.F";
        set(&o);
        assert_int_equal(unary(NULL), TERN_ABORTED);
        stop();
    }
}

static void only_some_calls(void **state)
{
    (void)state;
    for (where w = CLIENT; w <= SERVER; w++) {
        tern_fault_options o = aborts(TERN_ABORTED);
        unsigned n = 0;
        start(w, false);
        o.abort_share.numerator = 50;
        set(&o);
        for (int i = 0; i < 400; i++)
            n += unary(NULL) == TERN_ABORTED;
        assert_in_range(n, 120, 280); /* 8 standard deviations */
        assert_int_equal(stats().aborted, n);
        assert_int_equal(atomic_load(&ran), 400 - n);
        stop();
    }
}

/* A channel's faults are not repeated; a server's are what the server says. */
static void retries(void **state)
{
    (void)state;
    const tern_fault_options o = aborts(TERN_UNAVAILABLE);
    tern_channel_stats cs;
    start(CLIENT, false);
    set(&o);
    assert_int_equal(unary(NULL), TERN_UNAVAILABLE);
    tern_channel_stats_get(ch, &cs);
    assert_int_equal(cs.calls, 1);
    assert_int_equal(cs.calls_failed, 1);
    assert_int_equal(cs.attempts, 0);
    stop();
    start(SERVER, false);
    set(&o);
    assert_int_equal(unary(NULL), TERN_UNAVAILABLE);
    tern_channel_stats_get(ch, &cs);
    assert_int_equal(cs.attempts, 3);
    assert_int_equal(stats().aborted, 3);
    stop();
}

static void ok_without_a_response(void **state)
{
    (void)state;
    const tern_fault_options o = aborts(TERN_OK);
    for (where w = CLIENT; w <= SERVER; w++) {
        start(w, false);
        set(&o);
        assert_int_equal(unary(NULL), TERN_UNIMPLEMENTED);
        assert_int_equal(unary_callback(NULL), TERN_UNIMPLEMENTED);
        stop();
    }
}

/* Interceptors see what was injected as they would see the real thing. */
static void seen(void *self, tern_call_info *info)
{
    *(tern_code *)self = info->status->code;
}

static void within_the_interceptors(void **state)
{
    (void)state;
    const tern_fault_options o = aborts(TERN_DATA_LOSS);
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    tern_code saw = TERN_OK;
    const tern_interceptor watcher = { .after = seen, .self = &saw };
    start(CLIENT, false);
    set(&o);
    co.interceptors = &watcher;
    co.n_interceptors = 1;
    co.fault = fault;
    tern_channel_free(ch);
    ch = probe_channel_with("ipv4:127.0.0.1:1", &co);
    assert_int_equal(unary(NULL), TERN_DATA_LOSS); /* and nobody is there to answer at all */
    assert_int_equal(saw, TERN_DATA_LOSS);
    stop();
}

static void a_drain_ends_the_delay(void **state)
{
    (void)state;
    const tern_fault_options o = delays(HOUR_MS);
    outcome rests = { .messages = 0 };
    start(SERVER, false);
    set(&o);
    assert_int_equal(tern_call_unary_start(ch, &echo_method, NULL, "", 0, on_unary, &rests, &st),
                     TERN_OK);
    int64_t until = probe_now_ms() + PATIENCE_MS;
    while (!stats().active && probe_now_ms() < until)
        probe_sleep_ms(1);
    tern_server_drain(srv, 1);
    assert_true(wait_for(&rests));
    assert_int_equal(rests.st.code, TERN_UNAVAILABLE);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_fault),
        cmocka_unit_test(aborted_calls),
        cmocka_unit_test(delayed_calls),
        cmocka_unit_test(deadlines_end_the_delay),
        cmocka_unit_test(cancellation_ends_the_delay),
        cmocka_unit_test(others_go_on),
        cmocka_unit_test(as_the_call_asks),
        cmocka_unit_test(only_some_methods),
        cmocka_unit_test(only_some_calls),
        cmocka_unit_test(retries),
        cmocka_unit_test(ok_without_a_response),
        cmocka_unit_test(within_the_interceptors),
        cmocka_unit_test(a_drain_ends_the_delay),
    };
    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
