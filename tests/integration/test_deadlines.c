/* Deadlines and cancellation: on both sides, and through calls made on behalf of a call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/probe.h"
#include "support/rawh2.h"

/* Far longer than any wait here, and than a test may take. */
#define LONG_MS 60000u
#define SOON_MS 5000

static probe_server server, behind;
static tern_channel *channel;

static int setup(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 2;
    probe_start(&server, &opts, "ipv4:127.0.0.1:0");
    probe_start(&behind, &opts, "ipv4:127.0.0.1:0");
    channel = probe_channel(server.target);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(channel);
    probe_stop(&server, 100);
    probe_stop(&behind, 100);
    return 0;
}

static void wait_idle(probe_server *s)
{
    int64_t until = probe_now_ms() + SOON_MS;
    while (atomic_load(&s->running) && probe_now_ms() < until)
        probe_sleep_ms(1);
    assert_int_equal(atomic_load(&s->running), 0);
}

static void test_expires(void **state)
{
    (void)state;
    tern_status st;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    for (opts.timeout_ms = 1; opts.timeout_ms < 100; opts.timeout_ms *= 3) {
        int64_t began = probe_now_ms();
        assert_int_equal(probe_sleep(channel, &opts, LONG_MS, NULL, &st), TERN_DEADLINE_EXCEEDED);
        assert_int_equal(st.code, TERN_DEADLINE_EXCEEDED);
        assert_in_range(probe_now_ms() - began, opts.timeout_ms - 1, SOON_MS);
    }
    wait_idle(&server); /* the handlers were told */
    tern_channel_stats stats;
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.retries, 0);
    assert_int_equal(stats.connects, 1);
}

/* The shortest and the longest. */
static void test_extremes(void **state)
{
    (void)state;
    tern_status st;
    int64_t left = 0;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    assert_int_equal(probe_sleep(channel, &opts, 0, &left, &st), TERN_OK);
    assert_int_equal(left, -1);
    opts.timeout_ms = 3600 * 1000;
    assert_int_equal(probe_sleep(channel, &opts, 0, &left, &st), TERN_OK);
    /* the text of a timeout is rounded up to two digits at least */
    assert_in_range(left, 3590 * 1000, 4000 * 1000);
    opts.timeout_ms = INT64_MAX;
    assert_int_equal(probe_sleep(channel, &opts, 0, &left, &st), TERN_OK);
    opts.timeout_ms = -1; /* like 0: none */
    assert_int_equal(probe_sleep(channel, &opts, 0, &left, &st), TERN_OK);
}

/* The server keeps its own clock: a client that does not watch its deadline gets an answer. */
static void test_server_clock(void **state)
{
    (void)state;
    static const char *const execution[] = { "running", "unread" };
    for (int i = 0; i < 2; i++) {
        rawh2 raw;
        raw_frame f;
        int64_t began = probe_now_ms();
        raw_connect(&raw, server.port, true);
        raw_put_request(&raw, 1, RAW_END_HEADERS, "/tests.v1.Probe/Sleep", "grpc-timeout", "50m");
        /* SleepRequest { sleep_ms = 60000 }, whole or without its end */
        raw_put_frame(&raw, RAW_DATA, i ? 0 : RAW_END_STREAM, 1, "\0\0\0\0\4\x08\xe0\xd4\x03", 9);
        assert_true(raw_send(&raw));
        if (!raw_until(&raw, RAW_HEADERS, 1, &f, SOON_MS))
            fail_msg("no answer to a request that is %s", execution[i]);
        assert_true(f.flags & RAW_END_STREAM);
        assert_in_range(probe_now_ms() - began, 45, SOON_MS);
        raw_close(&raw);
    }
    wait_idle(&server);
}

/* What has expired before it is begun. */
static void test_expired_before(void **state)
{
    (void)state;
    tern_status st;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.context = tern_context_new(NULL, 1);
    probe_sleep_ms(5);
    unsigned before = atomic_load(&server.calls);
    assert_int_equal(tern_context_error(opts.context), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(tern_context_remaining_ms(opts.context), 0);
    assert_int_equal(probe_echo(channel, &opts, "a", &st), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(atomic_load(&server.calls), before);
    tern_context_free(opts.context);

    opts.context = tern_context_new(NULL, 0);
    tern_context_cancel(opts.context);
    tern_context_cancel(opts.context);
    assert_int_equal(probe_echo(channel, &opts, "a", &st), TERN_CANCELLED);
    assert_int_equal(atomic_load(&server.calls), before);
    tern_context_free(opts.context);
}

/* --- cancellation ----------------------------------------------------------------------------- */

typedef struct one_call {
    pthread_t thread;
    tern_call_options opts;
    tern_code code;
    tern_status st;
    int64_t ended;
} one_call;

static void *run_sleep(void *arg)
{
    one_call *c = arg;
    c->code = probe_sleep(channel, &c->opts, LONG_MS, NULL, &c->st);
    c->ended = probe_now_ms();
    return NULL;
}

static void test_cancel(void **state)
{
    (void)state;
    enum { N = 8 };
    one_call calls[N];
    tern_context *all = tern_context_new(NULL, 0), *children[N];
    memset(calls, 0, sizeof calls);
    for (int i = 0; i < N; i++) {
        calls[i].opts.size = sizeof calls[i].opts;
        children[i] = tern_context_new(all, i % 2 ? 50000 : 0);
        calls[i].opts.context = children[i];
        assert_int_equal(pthread_create(&calls[i].thread, NULL, run_sleep, &calls[i]), 0);
    }
    assert_true(probe_wait(&server.running, N));
    /* one of them, then all */
    tern_context_cancel(children[3]);
    pthread_join(calls[3].thread, NULL);
    assert_int_equal(calls[3].code, TERN_CANCELLED);
    assert_true(probe_wait(&server.cancelled, 1));
    assert_int_equal(atomic_load(&server.running), N - 1);
    int64_t began = probe_now_ms();
    tern_context_cancel(all);
    for (int i = 0; i < N; i++) {
        if (i != 3)
            pthread_join(calls[i].thread, NULL);
        assert_int_equal(calls[i].code, TERN_CANCELLED);
        assert_true(calls[i].ended - began < SOON_MS);
        tern_context_free(children[i]);
    }
    assert_true(probe_wait(&server.cancelled, N));
    tern_context_free(all);
    tern_status st;
    assert_int_equal(probe_echo(channel, NULL, "the connection lives", &st), TERN_OK);
    tern_channel_stats stats;
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.connects, 1);
}

/* Calls are begun and cancelled at any moment, from another thread. */
static void *cancel_all_the_time(void *arg)
{
    tern_context **ctx = arg;
    for (int i = 0; i < 300; i++) {
        if (i % 3)
            probe_sleep_ms((unsigned)i % 3);
        tern_context_cancel(ctx[i]);
    }
    return NULL;
}

static void test_cancel_races(void **state)
{
    (void)state;
    tern_context *ctx[300];
    pthread_t thread;
    tern_status st;
    for (int i = 0; i < 300; i++)
        assert_non_null(ctx[i] = tern_context_new(NULL, 0));
    assert_int_equal(pthread_create(&thread, NULL, cancel_all_the_time, ctx), 0);
    for (int i = 0; i < 300; i++) {
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.context = ctx[i];
        tern_code code = i % 2 ? probe_echo(channel, &opts, "a", &st)
                               : probe_sleep(channel, &opts, 1, NULL, &st);
        assert_true(code == TERN_OK || code == TERN_CANCELLED);
    }
    pthread_join(thread, NULL);
    for (int i = 0; i < 300; i++)
        tern_context_free(ctx[i]);
    assert_int_equal(probe_echo(channel, NULL, "a", &st), TERN_OK);
}

/* --- nested calls ----------------------------------------------------------------------------- */

static tern_code call_forward(const tern_call_options *opts, Tests__V1__ForwardResponse **res,
                              uint32_t ms)
{
    tern_status st;
    Tests__V1__ForwardRequest req = TESTS__V1__FORWARD_REQUEST__INIT;
    req.target = behind.target;
    req.sleep_ms = ms;
    *res = NULL;
    return tests_v1_probe_forward(channel, opts, &req, res, &st);
}

static void test_deadline_propagates(void **state)
{
    (void)state;
    Tests__V1__ForwardResponse *res;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    assert_int_equal(call_forward(&opts, &res, 0), TERN_OK);
    assert_int_equal(res->code, 0);
    assert_int_equal(res->remaining_ms, -1); /* no deadline, none inherited */
    tests__v1__forward_response__free_unpacked(res, NULL);
    opts.timeout_ms = 20000;
    assert_int_equal(call_forward(&opts, &res, 0), TERN_OK);
    assert_in_range(res->remaining_ms, 10000, 20100);
    tests__v1__forward_response__free_unpacked(res, NULL);
    opts.timeout_ms = 100;
    assert_int_equal(call_forward(&opts, &res, LONG_MS), TERN_DEADLINE_EXCEEDED);
    wait_idle(&server);
    wait_idle(&behind);
}

static void *run_forward(void *arg)
{
    one_call *c = arg;
    Tests__V1__ForwardResponse *res;
    c->code = call_forward(&c->opts, &res, LONG_MS);
    return NULL;
}

static void test_cancel_propagates(void **state)
{
    (void)state;
    one_call c = { .opts = TERN_CALL_OPTIONS_INIT };
    c.opts.context = tern_context_new(NULL, 0);
    assert_int_equal(pthread_create(&c.thread, NULL, run_forward, &c), 0);
    assert_true(probe_wait(&behind.running, 1));
    tern_context_cancel(c.opts.context);
    pthread_join(c.thread, NULL);
    assert_int_equal(c.code, TERN_CANCELLED);
    assert_true(probe_wait(&behind.cancelled, 1));
    wait_idle(&behind);
    wait_idle(&server);
    tern_context_free(c.opts.context);
}

/* The caller's connection breaks: that cancels too, all the way. */
static void test_hang_up_cancels(void **state)
{
    (void)state;
    rawh2 raw;
    uint8_t body[256] = { 0 };
    size_t n = 5, len = strlen(behind.target);
    body[n++] = 0x0a; /* ForwardRequest { target, sleep_ms = 60000 } */
    body[n++] = (uint8_t)len;
    memcpy(body + n, behind.target, len);
    n += len;
    memcpy(body + n, "\x10\xe0\xd4\x03", 4);
    n += 4;
    body[4] = (uint8_t)(n - 5);
    raw_connect(&raw, server.port, true);
    raw_put_request(&raw, 1, RAW_END_HEADERS, "/tests.v1.Probe/Forward", NULL, NULL);
    raw_put_frame(&raw, RAW_DATA, RAW_END_STREAM, 1, body, n);
    assert_true(raw_send(&raw));
    assert_true(probe_wait(&behind.running, 1));
    raw_close(&raw);
    assert_true(probe_wait(&behind.cancelled, 1));
    wait_idle(&server);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_expires),
        CASE(test_extremes),
        CASE(test_server_clock),
        CASE(test_expired_before),
        CASE(test_cancel),
        CASE(test_cancel_races),
        CASE(test_deadline_propagates),
        CASE(test_cancel_propagates),
        CASE(test_hang_up_cancels),
    };
    return cmocka_run_group_tests_name("deadlines", tests, NULL, NULL);
}
