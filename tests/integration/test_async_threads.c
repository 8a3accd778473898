/* Calls with callbacks on the background thread, begun and ended by other threads: a call may be
 * over, and gone, before the function that began it or asked something of it has returned. What is
 * tested is that nobody touches it then; ASan and TSan are what sees it. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/tern.h>

#include "support/probe.h"

#define THREADS 4
#define ROUNDS 3000
#define AT_ONCE 200 /* calls of one thread; below the breaker's calls_in_flight_max */

static const tern_method echo = { .path = "/tests.v1.Probe/Echo",
                                  .idempotency = TERN_NO_SIDE_EFFECTS };
static const tern_method doubles = { .path = "/tests.v1.Probe/Double",
                                     .kind = TERN_KIND_BIDI_STREAMING };

static probe_server server;
static tern_channel *ch;

static int setup(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.breaker.disabled = true; /* most of these calls do not end well */
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    ch = probe_channel_with(server.target, &opts);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(ch);
    probe_stop(&server, 1000);
    return 0;
}

/* One of the threads: what it does in each round, and how many of its calls are over. */
typedef struct worker {
    bool (*round)(struct worker *w, unsigned i);
    pthread_t thread;
    atomic_uint done;
    unsigned begun;
    bool good;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    w->good = true;
    for (unsigned i = 0; i < ROUNDS && w->good; i++) {
        if (w->begun >= AT_ONCE)
            w->good = probe_wait(&w->done, w->begun - AT_ONCE + 1);
        w->good = w->good && w->round(w, i);
    }
    w->good = probe_wait(&w->done, w->begun) && w->good;
    return NULL;
}

static void in_threads(bool (*round)(worker *w, unsigned i))
{
    static worker all[THREADS];
    memset(all, 0, sizeof all);
    for (int i = 0; i < THREADS; i++) {
        all[i].round = round;
        assert_int_equal(pthread_create(&all[i].thread, NULL, work, &all[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(all[i].thread, NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_true(all[i].good);
        assert_int_equal(atomic_load(&all[i].done), all[i].begun);
    }
}

static void on_end(void *ctx, const tern_status *st)
{
    (void)st;
    atomic_fetch_add(&((worker *)ctx)->done, 1);
}

static void on_done(void *ctx, const tern_status *st, const void *response, size_t len)
{
    (void)response;
    (void)len;
    on_end(ctx, st);
}

typedef struct listener {
    tern_stream *stream;
    worker *w;
} listener;

static void on_listener_end(void *ctx, const tern_status *st)
{
    on_end(((listener *)ctx)->w, st);
    free(ctx);
}

static void on_message(void *ctx, const void *message, size_t len)
{
    (void)message;
    (void)len;
    tern_stream_finish_start(((listener *)ctx)->stream, on_listener_end, ctx);
}

static void wait_a_moment(unsigned turns)
{
    for (volatile unsigned i = 0; i < turns; i++)
        ;
}

/* Ended by this thread, or by the callback of what this thread asked for last, while the loop is at
 * some point or other of beginning the stream. */
static void test_streams_end_at_once(void **state)
{
    worker w = { .begun = 0 };
    tern_status st;
    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        tern_stream *s;
        listener *l = malloc(sizeof *l);
        assert_non_null(l);
        assert_int_equal(tern_stream_start(ch, &doubles, NULL, &s, &st), TERN_OK);
        *l = (listener){ s, &w };
        wait_a_moment(i % 500 * 40);
        if (i % 2)
            tern_stream_cancel(s);
        if (i % 4) {
            tern_stream_finish_start(s, on_listener_end, l);
        } else {
            tern_stream_close_send(s);
            tern_stream_recv_start(s, on_message, l);
        }
        while (atomic_load(&w.done) == w.begun)
            sched_yield();
        w.begun++;
    }
}

static bool begin_with_little_time(worker *w, unsigned i)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 1 + i % 2;
    w->begun++;
    return tern_call_unary_start(ch, &echo, &opts, "", 0, on_done, w, NULL) == TERN_OK;
}

/* The deadline passes while the call is being begun. */
static void test_little_time(void **state)
{
    (void)state;
    in_threads(begin_with_little_time);
}

static _Atomic(tern_context *) prey; /* for the thread that cancels */
static atomic_bool over;

static void *cancel_all(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        tern_context *context = atomic_exchange(&prey, NULL);
        if (context)
            tern_context_cancel(context);
    }
    return NULL;
}

/* Another thread cancels the call while it is being begun. */
static void test_cancelled_at_once(void **state)
{
    pthread_t hunter;
    worker w = { .begun = 0 };
    (void)state;
    assert_int_equal(pthread_create(&hunter, NULL, cancel_all, NULL), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.context = tern_context_new(NULL, 0);
        assert_non_null(opts.context);
        atomic_store(&prey, opts.context);
        if (tern_call_unary_start(ch, &echo, &opts, "", 0, on_done, &w, NULL) == TERN_OK)
            assert_true(probe_wait(&w.done, ++w.begun));
        while (tern_context_error(opts.context) == TERN_OK)
            sched_yield();
        tern_context_cancel(opts.context); /* waits for the other one */
        tern_context_free(opts.context);
    }
    atomic_store(&over, true);
    pthread_join(hunter, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_end_at_once),
        cmocka_unit_test(test_little_time),
        cmocka_unit_test(test_cancelled_at_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
