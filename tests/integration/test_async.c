/* Calls with callbacks: on the program's own loop, driven by its descriptor alone, and on the
 * background thread. Each callback comes once, and never from within the call that registered
 * it. */
#include <assert.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/tern.h>

#include "support/probe.h"

#define PATIENCE_MS 20000
#define MANY 1000 /* below the breaker's calls_in_flight_max */

static probe_server server;
static tern_loop *loop;
static tern_channel *own, *background;
static tern_status st;
static const tern_method echo = { .path = "/tests.v1.Probe/Echo",
                                  .idempotency = TERN_NO_SIDE_EFFECTS };
static const tern_method sleep_method = { .path = "/tests.v1.Probe/Sleep" };
static const tern_method fail_safe = { .path = "/tests.v1.Probe/FailSafe",
                                       .idempotency = TERN_IDEMPOTENT };

/* EchoRequest and EchoResponse with text "hello". */
static const char hello[] = "\x12\5hello";
#define HELLO_LEN 7

typedef struct one {
    atomic_uint done;
    _Atomic int code;
    char message[200];
    size_t len;
    bool starting; /* within tern_call_unary_start() */
    struct one *next; /* a call to begin in the callback */
    tern_channel *ch;
} one;

static void on_done(void *ctx, const tern_status *s, const void *response, size_t len);

static tern_code start(tern_channel *ch, one *o, const tern_method *m,
                       const tern_call_options *opts, const void *req, size_t len)
{
    o->starting = true;
    o->ch = ch;
    tern_code code = tern_call_unary_start(ch, m, opts, req, len, on_done, o, &st);
    o->starting = false;
    return code;
}

static void on_done(void *ctx, const tern_status *s, const void *response, size_t len)
{
    one *o = ctx;
    if (o->ch == own)
        assert(!o->starting);
    assert((response != NULL) == (s->code == TERN_OK));
    snprintf(o->message, sizeof o->message, "%.150s", s->message);
    o->len = len;
    if (o->next)
        assert(start(o->ch, o->next, &echo, NULL, hello, HELLO_LEN) == TERN_OK);
    atomic_store(&o->code, (int)s->code);
    atomic_fetch_add(&o->done, 1);
}

/* As a program's own loop would: sleeps on the descriptor, nothing else. */
static void drive(void)
{
    int64_t until = probe_now_ms() + PATIENCE_MS;
    struct pollfd p = { .fd = tern_loop_fd(loop), .events = POLLIN };
    while (tern_loop_calls(loop)) {
        assert_true(probe_now_ms() < until);
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        tern_loop_process(loop);
    }
}

static void wait_done(one *o)
{
    if (o->ch == own)
        drive();
    assert_true(probe_wait(&o->done, 1));
    assert_int_equal(atomic_load(&o->done), 1);
}

static tern_channel *channel_on(tern_loop *l, const char *target)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.reconnect_backoff_ms = 50;
    opts.reconnect_backoff_ms_max = 100;
    opts.loop = l;
    return probe_channel_with(target, &opts);
}

static int setup(void **state)
{
    (void)state;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    assert_int_equal(tern_loop_new(&loop, &st), TERN_OK);
    own = channel_on(loop, server.target);
    background = channel_on(NULL, server.target);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(own);
    tern_channel_free(background);
    tern_loop_free(loop);
    probe_stop(&server, 1000);
    return 0;
}

static void test_one(void **state)
{
    (void)state;
    tern_channel *channels[] = { own, background };
    for (int i = 0; i < 4; i++) {
        one o = { .done = 0 };
        assert_int_equal(start(channels[i % 2], &o, &echo, NULL, hello, HELLO_LEN), TERN_OK);
        wait_done(&o);
        assert_int_equal(atomic_load(&o.code), TERN_OK);
        assert_int_equal(o.len, HELLO_LEN);
    }
}

/* Far more than MAX_CONCURRENT_STREAMS: they wait their turn. */
static void test_many(void **state)
{
    (void)state;
    static one all[MANY];
    for (int on = 0; on < 2; on++) {
        memset(all, 0, sizeof all);
        tern_channel *ch = on ? background : own;
        for (int i = 0; i < MANY; i++)
            assert_int_equal(start(ch, &all[i], &echo, NULL, hello, HELLO_LEN), TERN_OK);
        for (int i = 0; i < MANY; i++) {
            wait_done(&all[i]);
            assert_int_equal(atomic_load(&all[i].code), TERN_OK);
        }
    }
}

static void test_begun_in_a_callback(void **state)
{
    (void)state;
    one chain[3];
    memset(chain, 0, sizeof chain);
    chain[0].next = &chain[1];
    chain[1].next = &chain[2];
    assert_int_equal(start(own, &chain[0], &echo, NULL, hello, HELLO_LEN), TERN_OK);
    drive();
    for (int i = 0; i < 3; i++)
        assert_int_equal(atomic_load(&chain[i].done), 1);
}

static void test_deadline(void **state)
{
    (void)state;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 40;
    for (int i = 0; i < 2; i++) {
        one o = { .done = 0 };
        int64_t began = probe_now_ms();
        /* SleepRequest { sleep_ms: 60000 } */
        assert_int_equal(start(i ? background : own, &o, &sleep_method, &opts, "\10\xe0\xd4\3", 4),
                         TERN_OK);
        wait_done(&o);
        assert_int_equal(atomic_load(&o.code), TERN_DEADLINE_EXCEEDED);
        assert_in_range(probe_now_ms() - began, 39, PATIENCE_MS / 2);
    }
}

static void test_cancel(void **state)
{
    (void)state;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    for (int i = 0; i < 4; i++) {
        one o = { .done = 0 };
        while (atomic_load(&server.running)) /* of the case before */
            probe_sleep_ms(1);
        unsigned running = atomic_load(&server.cancelled);
        opts.context = tern_context_new(NULL, 0);
        assert_int_equal(start(i % 2 ? background : own, &o, &sleep_method, &opts,
                               "\10\xe0\xd4\3", 4), TERN_OK);
        if (i >= 2) { /* the call is on its way */
            while (!atomic_load(&server.running))
                if (i % 2 == 0)
                    tern_loop_wait(loop, 5);
                else
                    probe_sleep_ms(1);
        }
        tern_context_cancel(opts.context);
        wait_done(&o);
        assert_int_equal(atomic_load(&o.code), TERN_CANCELLED);
        if (i >= 2)
            assert_true(probe_wait(&server.cancelled, running + 1));
        tern_context_free(opts.context);
    }
    opts.context = tern_context_new(NULL, 0);
    tern_context_cancel(opts.context);
    one o = { .done = 0 };
    assert_int_equal(start(own, &o, &echo, &opts, hello, HELLO_LEN), TERN_CANCELLED);
    assert_int_equal(tern_loop_calls(loop), 0); /* it never began */
    tern_context_free(opts.context);
}

static void test_retry(void **state)
{
    (void)state;
    one o = { .done = 0 };
    /* FailRequest { code: UNAVAILABLE, times: 2, key: "async" } */
    assert_int_equal(start(own, &o, &fail_safe, NULL, "\10\16\30\2\42\5async", 11), TERN_OK);
    wait_done(&o);
    assert_int_equal(atomic_load(&o.code), TERN_OK);
    tern_channel_stats stats;
    tern_channel_stats_get(own, &stats);
    assert_int_equal(stats.retries, 2);
}

static void test_failure(void **state)
{
    (void)state;
    one o = { .done = 0 };
    /* FailRequest { code: NOT_FOUND, message: "gone" } */
    assert_int_equal(start(own, &o, &fail_safe, NULL, "\10\5\22\4gone", 8), TERN_OK);
    wait_done(&o);
    assert_int_equal(atomic_load(&o.code), TERN_NOT_FOUND);
    assert_string_equal(o.message, "gone");
    assert_int_equal(o.len, 0);
}

static void test_nobody_there(void **state)
{
    (void)state;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_channel *ch = channel_on(loop, "ipv4:127.0.0.1:1");
    tern_channel *saved = own;
    own = ch;
    for (int i = 0; i < 3; i++) {
        one o = { .done = 0 };
        assert_int_equal(start(ch, &o, &echo, NULL, hello, HELLO_LEN), TERN_OK);
        wait_done(&o);
        assert_int_equal(atomic_load(&o.code), TERN_UNAVAILABLE);
    }
    one waits = { .done = 0 };
    opts.wait_for_ready = true;
    opts.timeout_ms = 200;
    assert_int_equal(start(ch, &waits, &echo, &opts, hello, HELLO_LEN), TERN_OK);
    wait_done(&waits);
    assert_int_equal(atomic_load(&waits.code), TERN_DEADLINE_EXCEEDED);
    own = saved;
    tern_channel_free(ch);
}

/* A server that comes later. */
static void test_wait_for_ready(void **state)
{
    (void)state;
    probe_server late;
    char path[96], target[120];
    probe_unix_path(path);
    snprintf(target, sizeof target, "unix:%s", path);
    tern_channel *ch = channel_on(loop, target);
    tern_channel *saved = own;
    own = ch;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.wait_for_ready = true;
    opts.timeout_ms = PATIENCE_MS;
    one o = { .done = 0 };
    assert_int_equal(start(ch, &o, &echo, &opts, hello, HELLO_LEN), TERN_OK);
    for (int i = 0; i < 20; i++)
        tern_loop_wait(loop, 5);
    assert_int_equal(atomic_load(&o.done), 0);
    probe_start(&late, NULL, target);
    wait_done(&o);
    assert_int_equal(atomic_load(&o.code), TERN_OK);
    own = saved;
    tern_channel_free(ch);
    probe_stop(&late, 1000);
}

/* Blocking calls and calls with callbacks on the same connection. */
static void *block_on_it(void *arg)
{
    (void)arg;
    tern_status mine;
    for (int i = 0; i < 300; i++)
        if (probe_echo(background, NULL, "x", &mine) != TERN_OK)
            return (void *)1;
    return NULL;
}

static void test_mixed(void **state)
{
    (void)state;
    static one all[MANY];
    pthread_t threads[3];
    void *failed;
    memset(all, 0, sizeof all);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, block_on_it, NULL), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(start(background, &all[i], &echo, NULL, hello, HELLO_LEN), TERN_OK);
    for (int i = 0; i < MANY; i++) {
        wait_done(&all[i]);
        assert_int_equal(atomic_load(&all[i].code), TERN_OK);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

static void test_server_goes(void **state)
{
    (void)state;
    probe_server gone;
    probe_start(&gone, NULL, "ipv4:127.0.0.1:0");
    tern_channel *ch = channel_on(loop, gone.target);
    tern_channel *saved = own;
    own = ch;
    one o = { .done = 0 };
    assert_int_equal(start(ch, &o, &sleep_method, NULL, "\10\xe0\xd4\3", 4), TERN_OK);
    while (!atomic_load(&gone.running))
        tern_loop_wait(loop, 5);
    probe_stop(&gone, 10);
    wait_done(&o);
    assert_int_equal(atomic_load(&o.code), TERN_UNAVAILABLE);
    own = saved;
    tern_channel_free(ch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_begun_in_a_callback),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_wait_for_ready),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_server_goes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
