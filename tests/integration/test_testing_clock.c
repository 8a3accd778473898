/* The virtual clock for users' tests (tern/testing.h): minutes of deadlines, backoffs, open
 * breakers and keepalive pass in no time, exactly, and in order; what is asked of it that cannot
 * be fails and says why. Times here are those of the clock: none depends on how fast the machine
 * is. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <tern/tern.h>
#include <tern/testing_cmocka.h>

#include "support/probe.h"

#define SAFE "/t.T/Safe"
#define UNSAFE "/t.T/Unsafe"
#define REAL_MS 60000 /* a limit for what comes at once */

static const tern_method safe = { .path = SAFE, .idempotency = TERN_IDEMPOTENT };
static const tern_method unsafe = { .path = UNSAFE };

static tern_testing_clock *clk;
static tern_testing_server *peer;
static tern_channel *channel;
static tern_status st;

static void open_channel(const tern_channel_options *opts)
{
    tern_channel_free(channel);
    channel = NULL;
    tern_assert_ok(tern_channel_new(tern_testing_server_target(peer), opts, &channel, &st), &st);
}

static int setup(void **state)
{
    (void)state;
    tern_assert_ok(tern_testing_clock_new(&clk, &st), &st);
    tern_assert_ok(tern_testing_server_new(&peer, &st), &st);
    open_channel(NULL);
    return 0;
}

static int setup_running(void **state)
{
    setup(state);
    tern_assert_ok(tern_testing_clock_run(clk, true, &st), &st);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(channel);
    channel = NULL;
    tern_testing_server_free(peer);
    tern_testing_clock_free(clk);
    return 0;
}

static tern_code call_on(tern_channel *ch, const tern_method *m, int64_t timeout_ms,
                         tern_status *ret)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    void *bytes = NULL;
    size_t len;
    opts.timeout_ms = timeout_ms;
    tern_code code = tern_call_unary(ch, m, &opts, "x", 1, &bytes, &len, ret);
    free(bytes);
    return code;
}

static tern_code call(const tern_method *m, int64_t timeout_ms)
{
    return call_on(channel, m, timeout_ms, &st);
}

static void drop_next(const char *path)
{
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.action = TERN_TESTING_DROP;
    tern_assert_ok(tern_testing_server_add(peer, path, &a, &st), &st);
}

static void advance(int64_t ms)
{
    tern_assert_ok(tern_testing_clock_advance(clk, ms, &st), &st);
}

static int64_t elapsed(void) { return tern_testing_clock_elapsed_ms(clk); }

/* A call in a thread of its own. */
typedef struct caller {
    pthread_t thread;
    const tern_method *m;
    int64_t timeout_ms;
    tern_code code;
    tern_status st;
    int64_t ended_at;
    atomic_bool ended;
} caller;

static void *call_apart(void *arg)
{
    caller *c = arg;
    c->code = call_on(channel, c->m, c->timeout_ms, &c->st);
    c->ended_at = elapsed();
    atomic_store(&c->ended, true);
    return NULL;
}

static void begin(caller *c, const tern_method *m, int64_t timeout_ms)
{
    *c = (caller){ .m = m, .timeout_ms = timeout_ms };
    assert_int_equal(pthread_create(&c->thread, NULL, call_apart, c), 0);
}

static tern_code end(caller *c)
{
    pthread_join(c->thread, NULL);
    return c->code;
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void test_deadline(void **state)
{
    (void)state;
    drop_next(UNSAFE);
    tern_assert_status(call(&unsafe, 3600000), &st, TERN_DEADLINE_EXCEEDED, "deadline");
    assert_int_equal(elapsed(), 3600000);
    assert_true(tern_testing_server_wait_cancelled(peer, UNSAFE, 1, REAL_MS));
    assert_int_equal(tern_testing_server_call(peer, UNSAFE, 0)->timeout_ms, 3600000);
}

/* Not a millisecond sooner, and not later. */
static void test_deadline_exact(void **state)
{
    (void)state;
    caller c;
    drop_next(UNSAFE);
    begin(&c, &unsafe, 5000);
    assert_true(tern_testing_server_wait(peer, UNSAFE, 1, REAL_MS));
    advance(4999);
    assert_false(atomic_load(&c.ended));
    advance(1);
    assert_true(atomic_load(&c.ended)); /* what the timer set off is over */
    tern_assert_status(end(&c), &c.st, TERN_DEADLINE_EXCEEDED, NULL);
    assert_int_equal(c.ended_at, 5000);
}

/* Several threads, leader and followers, on one connection; each has its own time. */
static void test_deadlines_of_many(void **state)
{
    (void)state;
    caller c[8];
    for (int i = 0; i < 8; i++) {
        drop_next(UNSAFE);
        begin(&c[i], &unsafe, 1000 * (i + 1));
    }
    assert_true(tern_testing_server_wait(peer, UNSAFE, 8, REAL_MS));
    advance(8000); /* at once: still they end one after the other */
    for (int i = 0; i < 8; i++) {
        tern_assert_status(end(&c[i]), &c[i].st, TERN_DEADLINE_EXCEEDED, NULL);
        assert_int_equal(c[i].ended_at, 1000 * (i + 1));
    }
}

/* An answer that is late by script wins or loses by the clock alone. */
static void test_delayed_answer(void **state)
{
    (void)state;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.code = TERN_NOT_FOUND;
    a.delay_ms = 999;
    a.times = 2;
    tern_assert_ok(tern_testing_server_add(peer, UNSAFE, &a, &st), &st);
    tern_assert_status(call(&unsafe, 1000), &st, TERN_NOT_FOUND, NULL);
    assert_int_equal(elapsed(), 999);
    tern_assert_status(call(&unsafe, 998), &st, TERN_DEADLINE_EXCEEDED, NULL);
    assert_int_equal(elapsed(), 999 + 998);
}

/* --- retries, breakers ------------------------------------------------------------------------ */

static void test_backoff(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    opts.retry.initial_backoff_ms = 60000;
    opts.retry.max_backoff_ms = 600000;
    opts.retry.backoff_multiplier = 3;
    open_channel(&opts);
    a.code = TERN_UNAVAILABLE;
    a.times = 2;
    tern_assert_ok(tern_testing_server_add(peer, SAFE, &a, &st), &st);
    assert_true(tern_testing_reply(peer, SAFE, "x", 1));
    tern_assert_ok(call(&safe, 0), &st);
    tern_assert_attempts(peer, SAFE, 3);
    assert_in_range(elapsed(), (60000 + 180000) * 8 / 10, (60000 + 180000) * 12 / 10);
}

/* The pause is one that the server asks for, so exact; each attempt comes at its time. */
static void test_pushback(void **state)
{
    (void)state;
    caller c;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.code = TERN_UNAVAILABLE;
    a.pushback = "30000";
    tern_assert_ok(tern_testing_server_add(peer, SAFE, &a, &st), &st);
    assert_true(tern_testing_reply(peer, SAFE, "x", 1));
    begin(&c, &safe, 0);
    assert_true(tern_testing_server_wait(peer, SAFE, 1, REAL_MS));
    advance(29999);
    tern_assert_attempts(peer, SAFE, 1);
    advance(1);
    tern_assert_attempts(peer, SAFE, 2);
    tern_assert_ok(end(&c), &c.st);
    assert_int_equal(c.ended_at, 30000);
}

static void test_breaker(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_channel_stats stats;
    opts.breaker.consecutive_failures = 2;
    opts.breaker.open_ms = opts.breaker.open_ms_max = 20000; /* give or take: jitter */
    open_channel(&opts);
    for (int i = 0; i < 2; i++) {
        assert_true(tern_testing_fail(peer, UNSAFE, TERN_INTERNAL, "ill"));
        tern_assert_status(call(&unsafe, 0), &st, TERN_INTERNAL, "ill");
    }
    tern_assert_status(call(&unsafe, 0), &st, TERN_UNAVAILABLE, "breaker");
    advance(10000);
    tern_assert_status(call(&unsafe, 0), &st, TERN_UNAVAILABLE, "breaker");
    tern_assert_attempts(peer, UNSAFE, 2);
    advance(20000);
    assert_true(tern_testing_reply(peer, UNSAFE, "well", 4));
    tern_assert_ok(call(&unsafe, 0), &st);
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.breaker, TERN_BREAKER_CLOSED);
}

/* Hedges leave one after the other, each at its time; the first answer is the call's. */
static void test_hedges(void **state)
{
    (void)state;
    static const char config[] = "{\"methodConfig\":[{\"name\":[{}],\"hedgingPolicy\":{"
                                 "\"maxAttempts\":4,\"hedgingDelay\":\"1.5s\"}}]}";
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    const tern_testing_message x = { "x", 1, false };
    caller c;
    opts.service_config = config;
    open_channel(&opts);
    a.replies = &x;
    a.n_replies = 1;
    a.delay_ms = 5000;
    a.times = 4;
    tern_assert_ok(tern_testing_server_add(peer, UNSAFE, &a, &st), &st);
    begin(&c, &unsafe, 0);
    advance(0);
    for (size_t n = 1; n <= 4; n++) {
        tern_assert_attempts(peer, UNSAFE, n);
        advance(1499);
        tern_assert_attempts(peer, UNSAFE, n);
        advance(n < 4 ? 1 : 0);
    }
    tern_assert_ok(end(&c), &c.st);
    assert_int_equal(c.ended_at, 5000);
    assert_true(tern_testing_server_wait_cancelled(peer, UNSAFE, 3, REAL_MS));
}

/* --- connections ------------------------------------------------------------------------------ */

/* Nobody listens, until somebody does: the pauses between attempts to connect. */
static void test_reconnect(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 100000;
    tern_channel_free(channel);
    tern_assert_ok(tern_channel_new("unix-abstract:nobody-is-here", &opts, &channel, &st), &st);
    tern_assert_status(call(&unsafe, 0), &st, TERN_UNAVAILABLE, "connect");
    tern_call_options wait = TERN_CALL_OPTIONS_INIT;
    void *bytes;
    size_t len;
    wait.wait_for_ready = true;
    wait.timeout_ms = 1000000;
    tern_channel_stats stats;
    tern_assert_status(tern_call_unary(channel, &unsafe, &wait, "x", 1, &bytes, &len, &st), &st,
                       TERN_DEADLINE_EXCEEDED, "connect");
    assert_int_equal(elapsed(), 1000000);
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.connects, 0);
}

/* An idle connection closes, and is made again. */
static void test_idle(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.idle_timeout_ms = 1800000;
    open_channel(&opts);
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(tern_testing_reply(peer, UNSAFE, "x", 1));
        tern_assert_ok(call(&unsafe, 0), &st);
        assert_int_equal(tern_testing_server_call(peer, UNSAFE, i - 1)->connection, i < 3 ? 1 : 2);
        advance(i < 2 ? 1799999 : 1800000);
    }
}

/* --- a server of one's own -------------------------------------------------------------------- */

static tern_code take_long(void *self, tern_server_call *c)
{
    atomic_int *seen = self;
    tern_testing_clock_sleep(clk, 7000);
    atomic_store(seen, (int)tern_context_error(tern_server_call_context(c)));
    tern_server_call_response_buffer(c, 0);
    return TERN_OK;
}

static void test_joined(void **state)
{
    (void)state;
    atomic_int seen = -1;
    tern_server *srv;
    tern_channel *own;
    tern_assert_ok(tern_server_new(NULL, &srv, &st), &st);
    tern_assert_ok(tern_server_add_raw(srv, &unsafe, take_long, &seen, &st), &st);
    tern_assert_ok(tern_testing_join(srv, NULL, &own, &st), &st);
    tern_assert_ok(call_on(own, &unsafe, 7001, &st), &st);
    assert_int_equal(elapsed(), 7000);
    assert_int_equal(atomic_load(&seen), TERN_OK);
    tern_assert_status(call_on(own, &unsafe, 6999, &st), &st, TERN_DEADLINE_EXCEEDED, NULL);
    assert_int_equal(elapsed(), 7000 + 6999);
    tern_channel_free(own);
    tern_server_free(srv);
    assert_int_equal(atomic_load(&seen), TERN_DEADLINE_EXCEEDED);
}

/* A program's own loop: its descriptor becomes readable when the clock has been moved. */
static void done(void *ctx, const tern_status *s, const void *response, size_t len)
{
    (void)response;
    (void)len;
    *(tern_code *)ctx = s->code;
}

static void test_own_loop(void **state)
{
    (void)state;
    tern_loop *loop;
    tern_channel *ch;
    tern_code code = TERN_OK;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_call_options call_opts = TERN_CALL_OPTIONS_INIT;
    tern_assert_ok(tern_loop_new(&loop, &st), &st);
    opts.loop = loop;
    call_opts.timeout_ms = 90000;
    tern_assert_ok(tern_channel_new(tern_testing_server_target(peer), &opts, &ch, &st), &st);
    drop_next(UNSAFE);
    tern_assert_ok(tern_call_unary_start(ch, &unsafe, &call_opts, "x", 1, done, &code, &st), &st);
    while (!tern_testing_server_wait(peer, UNSAFE, 1, 2))
        tern_loop_process(loop);
    advance(89999);
    while (tern_loop_process(loop))
        ;
    assert_int_equal(tern_loop_calls(loop), 1);
    advance(1);
    while (tern_loop_calls(loop)) {
        struct pollfd p = { .fd = tern_loop_fd(loop), .events = POLLIN };
        assert_int_equal(poll(&p, 1, REAL_MS), 1);
        tern_loop_process(loop);
    }
    assert_int_equal(code, TERN_DEADLINE_EXCEEDED);
    assert_int_equal(elapsed(), 90000);
    tern_channel_free(ch);
    tern_loop_free(loop);
}

/* --- the clock itself ------------------------------------------------------------------------- */

static void test_wrong_uses(void **state)
{
    (void)state;
    tern_testing_clock *other = NULL;
    tern_assert_status(tern_testing_clock_new(&other, &st), &st, TERN_FAILED_PRECONDITION,
                       "tern_testing_clock_free()");
    assert_null(other);
    tern_assert_status(tern_testing_clock_advance(clk, -1, &st), &st, TERN_INVALID_ARGUMENT,
                       "-1 ms");
    tern_assert_status(tern_testing_clock_advance(clk, TERN_TESTING_CLOCK_MS_MAX + 1, &st), &st,
                       TERN_INVALID_ARGUMENT, "TERN_TESTING_CLOCK_MS_MAX");
    assert_int_equal(elapsed(), 0);
    assert_false(tern_hook_clock(NULL, 1)); /* of another version */
    advance(0);
    advance(TERN_TESTING_CLOCK_MS_MAX);
    assert_int_equal(elapsed(), TERN_TESTING_CLOCK_MS_MAX);
    tern_testing_clock_free(NULL);
}

/* Running and standing in turn; then the system's clock again, with what still waits. */
static void test_run_and_stand(void **state)
{
    (void)state;
    for (int i = 1; i <= 3; i++) {
        drop_next(UNSAFE);
        tern_assert_ok(tern_testing_clock_run(clk, true, &st), &st);
        tern_assert_ok(tern_testing_clock_run(clk, true, &st), &st);
        tern_assert_status(call(&unsafe, 10000), &st, TERN_DEADLINE_EXCEEDED, NULL);
        tern_assert_ok(tern_testing_clock_run(clk, false, &st), &st);
        tern_assert_ok(tern_testing_clock_run(clk, false, &st), &st);
        advance(1000);
    }
    assert_in_range(elapsed(), 33000, INT32_MAX);
}

/* Who moves a clock that runs does not sleep: it does not go further by itself. */
static void test_run_and_advance(void **state)
{
    (void)state;
    assert_true(tern_testing_reply(peer, UNSAFE, "x", 1));
    tern_assert_ok(call(&unsafe, 0), &st); /* there is a timer: the idle connection's */
    int64_t began = elapsed();
    for (int i = 1; i <= 50; i++) {
        advance(100);
        assert_int_equal(elapsed() - began, 100 * i);
    }
}

static void test_real_again(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        tern_testing_clock *c;
        drop_next(UNSAFE);
        int64_t began = probe_now_ms();
        tern_assert_status(call(&unsafe, 30), &st, TERN_DEADLINE_EXCEEDED, NULL);
        assert_in_range(probe_now_ms() - began, 30, REAL_MS);
        tern_assert_ok(tern_testing_clock_new(&c, &st), &st); /* under what is there already */
        tern_assert_ok(tern_testing_clock_run(c, true, &st), &st);
        drop_next(UNSAFE);
        tern_assert_status(call(&unsafe, 3000000), &st, TERN_DEADLINE_EXCEEDED, NULL);
        tern_testing_clock_free(c);
    }
}

static int setup_without(void **state)
{
    (void)state;
    clk = NULL;
    tern_assert_ok(tern_testing_server_new(&peer, &st), &st);
    open_channel(NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_deadline, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_deadline_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadlines_of_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delayed_answer, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_backoff, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_pushback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_breaker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hedges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reconnect, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_joined, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_own_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_uses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_run_and_stand, setup, teardown),
        cmocka_unit_test_setup_teardown(test_run_and_advance, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_real_again, setup_without, teardown),
    };
    return cmocka_run_group_tests_name("testing_clock", tests, NULL, NULL);
}
