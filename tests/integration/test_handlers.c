/* Where handlers run: blocking ones beside quick ones, pooled, inline, deferred replies; and the
 * limits on calls at once on both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/probe.h"

#define SOON_MS 10000
/* Long enough for a call of another thread to be where it waits; nothing shows that from
 * outside. */
#define SETTLE_MS 200

static tern_server *srv;
static tern_channel *channel;
static tern_status st;
static uint16_t port;
static char target[64];

static const tern_method block_method = { .path = "/t.Block/Block" };
static const tern_method quick_method = { .path = "/t.Quick/Quick" };
static const tern_method defer_method = { .path = "/t.Defer/Defer" };
static const tern_method talk_method = { .path = "/t.Talk/Talk" };
static const tern_method echo_method = { .path = "/t.Echo/Echo", .kind = TERN_KIND_BIDI_STREAMING };
static const tern_method self_method = { .path = "/t.Self/Self" };

/* --- handlers --------------------------------------------------------------------------------- */

static atomic_bool gate; /* blocked handlers go on when it opens */
static atomic_uint blocked, quick_calls;
static bool announce;

static tern_code block(void *self, tern_server_call *call)
{
    (void)self;
    (void)call;
    if (announce)
        tern_will_block();
    atomic_fetch_add(&blocked, 1);
    int64_t until = probe_now_ms() + SOON_MS;
    while (!atomic_load(&gate) && probe_now_ms() < until)
        probe_sleep_ms(1);
    atomic_fetch_sub(&blocked, 1);
    return TERN_OK;
}

static tern_code quick(void *self, tern_server_call *call)
{
    (void)self;
    size_t len;
    const void *data = tern_server_call_request(call, &len);
    atomic_fetch_add(&quick_calls, 1);
    memcpy(tern_server_call_response_buffer(call, len), data, len);
    return TERN_OK;
}

static tern_code echo(void *self, tern_server_call *call)
{
    (void)self;
    const void *data;
    size_t len;
    while (tern_server_call_recv(call, &data, &len))
        if (!tern_server_call_send(call, data, len))
            break;
    return TERN_OK;
}

/* A deferred reply: finished at once (0), by another thread soon (1), kept for later (2). */
#define KEPT_MAX 64u

static struct {
    pthread_mutex_t lock; /* a call that was given up may still begin while the next one does */
    bool closed;          /* nobody finishes what is kept from now on */
    atomic_uint n_kept;
    tern_server_call *kept[KEPT_MAX];
} later = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool keep(tern_server_call *call)
{
    pthread_mutex_lock(&later.lock);
    unsigned n = atomic_load(&later.n_kept);
    bool room = !later.closed && n < KEPT_MAX;
    if (room) {
        later.kept[n] = call;
        atomic_store(&later.n_kept, n + 1);
    }
    pthread_mutex_unlock(&later.lock);
    return room;
}

/* Finishes what is kept from `from` on; returns how many were kept by then. */
static unsigned finish_kept_from(unsigned from, bool close)
{
    pthread_mutex_lock(&later.lock);
    later.closed = close;
    unsigned n = atomic_load(&later.n_kept);
    pthread_mutex_unlock(&later.lock);
    for (unsigned i = from; i < n; i++) {
        size_t len; /* the request's memory is still there */
        const char *how = tern_server_call_request(later.kept[i], &len);
        assert_int_equal(how[0], 2);
        tern_server_call_finish(later.kept[i], TERN_OK);
    }
    return n;
}

static void *finish_it(void *arg)
{
    tern_server_call *call = arg;
    size_t len;
    const char *how = tern_server_call_request(call, &len);
    if (how[1])
        probe_sleep_ms(1);
    memcpy(tern_server_call_response_buffer(call, 4), "done", 4);
    tern_server_call_finish(call, TERN_OK);
    return NULL;
}

static tern_code defer(void *self, tern_server_call *call)
{
    (void)self;
    size_t len;
    pthread_t thread;
    const char *how = tern_server_call_request(call, &len);
    tern_server_call_defer(call);
    switch (how[0]) {
    case 0:
        finish_it(call);
        break;
    case 1:
        assert_int_equal(pthread_create(&thread, NULL, finish_it, call), 0);
        pthread_detach(thread);
        break;
    default:
        if (!keep(call))
            tern_server_call_finish(call, TERN_OK);
        break;
    }
    return TERN_INTERNAL; /* ignored */
}

/* Calls the same server over the same channel. */
static tern_code call_self(void *self, tern_server_call *call)
{
    (void)self;
    void *bytes;
    size_t len;
    tern_status why;
    const uint8_t *depth = tern_server_call_request(call, &len);
    uint8_t next = (uint8_t)(depth[0] - 1);
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    if (depth[0] == 0)
        return TERN_OK;
    opts.context = tern_server_call_context(call);
    tern_code code = tern_call_unary(channel, &self_method, &opts, &next, 1, &bytes, &len, &why);
    if (code != TERN_OK)
        return tern_server_call_fail(call, code, "%s", why.message);
    free(bytes);
    return TERN_OK;
}

/* Sends more metadata than there is room for: pairs of 200 bytes, as many as it is told. */
static tern_code talk(void *self, tern_server_call *call)
{
    (void)self;
    size_t len;
    char value[160];
    const uint8_t *how = tern_server_call_request(call, &len);
    tern_metadata *md = how[0] == 'i' ? tern_server_call_initial_metadata(call)
                                      : tern_server_call_trailing_metadata(call);
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < how[1]; i++)
        tern_metadata_add(md, "x-much", value);
    return how[2] ? tern_server_call_fail(call, TERN_NOT_FOUND, "on top of it") : TERN_OK;
}

static void start(const tern_server_options *opts, tern_execution exec)
{
    atomic_store(&gate, false);
    atomic_store(&quick_calls, 0);
    atomic_store(&later.n_kept, 0);
    later.closed = false;
    announce = false;
    assert_int_equal(tern_server_new(opts, &srv, &st), TERN_OK);
    tern_server_add_raw(srv, &block_method, block, NULL, &st);
    tern_server_add_raw(srv, &quick_method, quick, NULL, &st);
    tern_server_add_raw(srv, &defer_method, defer, NULL, &st);
    tern_server_add_raw(srv, &echo_method, echo, NULL, &st);
    tern_server_set_execution(srv, "t.Block", exec);
    tern_server_set_execution(srv, "t.Quick", exec == TERN_EXEC_POOLED ? TERN_EXEC_INLINE : exec);
    tern_server_set_execution(srv, "t.Defer", exec);
    tern_server_add_raw(srv, &self_method, call_self, NULL, &st);
    tern_server_add_raw(srv, &talk_method, talk, NULL, &st);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    /* The tests let many calls run into their deadline, which is not the server's fault. */
    tern_channel_options copts = TERN_CHANNEL_OPTIONS_INIT;
    copts.breaker.disabled = true;
    channel = probe_channel_with(target, &copts);
}

static void stop(void)
{
    tern_channel_free(channel);
    tern_server_free(srv);
}

static tern_code call(const tern_method *m, const void *data, size_t len, int64_t timeout_ms,
                      tern_status *why)
{
    void *bytes = NULL;
    size_t n;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = timeout_ms;
    tern_code code = tern_call_unary(channel, m, &opts, data, len, &bytes, &n, why);
    free(bytes);
    return code;
}

typedef struct caller {
    pthread_t thread;
    const tern_method *method;
    int n;
    tern_code code;
    tern_status st;
} caller;

static void *run_calls(void *arg)
{
    caller *c = arg;
    for (int i = 0; i < c->n && c->code == TERN_OK; i++)
        c->code = call(c->method, "x", 1, SOON_MS * 2, &c->st);
    return NULL;
}

static void spawn(caller *c, int count, const tern_method *m, int n)
{
    for (int i = 0; i < count; i++) {
        c[i] = (caller){ .method = m, .n = n };
        assert_int_equal(pthread_create(&c[i].thread, NULL, run_calls, &c[i]), 0);
    }
}

static void join(caller *c, int count)
{
    for (int i = 0; i < count; i++) {
        pthread_join(c[i].thread, NULL);
        if (c[i].code != TERN_OK)
            fail_msg("%s: %s", tern_code_name(c[i].code), c[i].st.message);
    }
}

/* --- blocking --------------------------------------------------------------------------------- */

/* Handlers that block do not stall quick ones, on one loop and on one connection. */
static void blocked_beside_quick(tern_execution exec, bool say_so)
{
    enum { N = 8 };
    caller blockers[N], others[4];
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 1;
    start(&opts, exec);
    announce = say_so;
    spawn(blockers, N, &block_method, 1);
    assert_true(probe_wait(&blocked, N));
    int64_t began = probe_now_ms();
    spawn(others, 4, &quick_method, 100);
    join(others, 4);
    assert_true(probe_now_ms() - began < SOON_MS / 2);
    assert_int_equal(atomic_load(&blocked), N); /* they were blocked all the while */
    atomic_store(&gate, true);
    join(blockers, N);
    stop();
}

static void test_slow_handlers_lose_the_loop(void **state)
{
    (void)state;
    blocked_beside_quick(TERN_EXEC_AUTO, false);
}

static void test_will_block(void **state)
{
    (void)state;
    blocked_beside_quick(TERN_EXEC_AUTO, true);
}

static void test_pooled(void **state)
{
    (void)state;
    blocked_beside_quick(TERN_EXEC_POOLED, false);
}

/* Many blocking handlers that come and go, so that loops change hands all the time. */
static void test_loops_change_hands(void **state)
{
    (void)state;
    caller naps[6], others[4];
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 2;
    start(&opts, TERN_EXEC_AUTO);
    atomic_store(&gate, true); /* block() returns at once, after announcing */
    announce = true;
    spawn(naps, 6, &block_method, 300);
    spawn(others, 4, &quick_method, 1000);
    join(naps, 6);
    join(others, 4);
    assert_int_equal(atomic_load(&quick_calls), 4000);
    stop();
}

static void test_nested_in_one_server(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 1;
    start(&opts, TERN_EXEC_AUTO);
    for (uint8_t depth = 0; depth < 20; depth++)
        if (call(&self_method, &depth, 1, SOON_MS, &st) != TERN_OK)
            fail_msg("depth %u: %s", depth, st.message);
    stop();
}

/* More requests than threads and places for them. */
static void test_pool_is_full(void **state)
{
    (void)state;
    caller first[2], second[2];
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 1;
    opts.handler_threads_max = 2;
    opts.handlers_waiting_max = 2;
    start(&opts, TERN_EXEC_POOLED);
    spawn(first, 2, &block_method, 1);
    assert_true(probe_wait(&blocked, 2));
    spawn(second, 2, &block_method, 1);
    probe_sleep_ms(SETTLE_MS); /* both wait: a fifth one is too many */
    assert_int_equal(call(&block_method, "x", 1, SOON_MS, &st), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "handlers_waiting_max"));
    assert_int_equal(call(&quick_method, "x", 1, SOON_MS, &st), TERN_OK);
    atomic_store(&gate, true);
    join(first, 2);
    join(second, 2);
    stop();
}

/* A stream's handler that gets its loop back makes room for a call that waits for a thread, on
 * another loop, where nothing else happens. */
static void test_a_stream_makes_room(void **state)
{
    (void)state;
    caller blocker, waiter;
    void *bytes;
    tern_stream *s;
    const void *answer;
    size_t len;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options copts = TERN_CHANNEL_OPTIONS_INIT;
    opts.loops = 2;
    opts.handler_threads_max = 2;
    start(&opts, TERN_EXEC_AUTO);
    tern_channel *stream_channel = probe_channel_with(target, &copts); /* the other loop's */
    assert_int_equal(tern_channel_wait_ready(channel, SOON_MS, &st), TERN_OK);
    assert_int_equal(tern_channel_wait_ready(stream_channel, SOON_MS, &st), TERN_OK);
    assert_int_equal(tern_stream_open(stream_channel, &echo_method, NULL, &s, &st), TERN_OK);
    for (int i = 0; i < 2; i++) {
        assert_true(tern_stream_send(s, "x", 1));
        assert_true(tern_stream_recv(s, &answer, &len));
        /* takes the loop from the stream's handler */
        assert_int_equal(tern_call_unary(stream_channel, &quick_method, NULL, "x", 1, &bytes, &len,
                                         &st), TERN_OK);
        free(bytes);
    }
    announce = true;
    spawn(&blocker, 1, &block_method, 1);
    assert_true(probe_wait(&blocked, 1));
    spawn(&waiter, 1, &quick_method, 1); /* both threads for handlers are away */
    probe_sleep_ms(SETTLE_MS);
    for (int i = 0; i < 8; i++) { /* after a few the handler drives its loop itself again */
        assert_true(tern_stream_send(s, "x", 1));
        assert_true(tern_stream_recv(s, &answer, &len));
    }
    join(&waiter, 1);
    assert_int_equal(atomic_load(&blocked), 1);
    atomic_store(&gate, true);
    join(&blocker, 1);
    tern_stream_cancel(s);
    assert_int_equal(tern_stream_finish(s, NULL), TERN_CANCELLED);
    tern_channel_free(stream_channel);
    stop();
}

/* --- deferred --------------------------------------------------------------------------------- */

static void test_deferred(void **state)
{
    (void)state;
    static const tern_execution execs[] = { TERN_EXEC_AUTO, TERN_EXEC_INLINE, TERN_EXEC_POOLED };
    for (int e = 0; e < 3; e++) {
        start(NULL, execs[e]);
        for (int i = 0; i < 300; i++) {
            const char how[2] = { (char)(i % 2), (char)(i % 3) };
            void *bytes;
            size_t len;
            assert_int_equal(
                tern_call_unary(channel, &defer_method, NULL, how, 2, &bytes, &len, &st), TERN_OK);
            assert_int_equal(len, 4);
            assert_memory_equal(bytes, "done", 4);
            free(bytes);
        }
        stop();
    }
}

/* Nobody waits any more when the reply comes: deadline, hang-up, the end of the server. */
static void test_deferred_too_late(void **state)
{
    (void)state;
    start(NULL, TERN_EXEC_AUTO);
    unsigned finished = 0;
    for (unsigned i = 0; i < 20; i++) {
        int64_t until = probe_now_ms() + SOON_MS;
        unsigned before = atomic_load(&later.n_kept);
        do /* on a slow machine the deadline may pass before the handler runs: it may run later */
            assert_int_equal(call(&defer_method, "\2", 2, 10, &st), TERN_DEADLINE_EXCEEDED);
        while (atomic_load(&later.n_kept) == before && probe_now_ms() < until);
        assert_true(atomic_load(&later.n_kept) > before);
        if (i % 2)
            finished = finish_kept_from(finished, false);
    }
    finish_kept_from(finished, true);
    assert_int_equal(call(&quick_method, "x", 1, SOON_MS, &st), TERN_OK);
    stop();
}

static void *finish_kept(void *arg)
{
    const unsigned *ms = arg;
    if (*ms)
        probe_sleep_ms(*ms);
    tern_server_call_finish(later.kept[0], TERN_OK);
    return NULL;
}

/* The end of a server waits for the reply, and the thread that gives it may come last. */
static void test_end_waits_for_deferred(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        caller c = { .method = &defer_method, .n = 1 };
        pthread_t thread;
        unsigned ms = i == 0 ? 50 : 0;
        start(NULL, TERN_EXEC_AUTO);
        /* the request begins with 'x': kept */
        assert_int_equal(pthread_create(&c.thread, NULL, run_calls, &c), 0);
        assert_true(probe_wait(&later.n_kept, 1));
        assert_int_equal(pthread_create(&thread, NULL, finish_kept, &ms), 0);
        tern_server_free(srv);
        pthread_join(thread, NULL);
        pthread_join(c.thread, NULL);
        /* it was cut, or the reply came just before */
        assert_true(c.code == TERN_UNAVAILABLE || (c.code == TERN_OK && ms == 0));
        tern_channel_free(channel);
    }
}

/* --- limits on calls at once ------------------------------------------------------------------ */

static void test_concurrent_streams(void **state)
{
    (void)state;
    caller c[20];
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.concurrent_streams_max = 2;
    start(&opts, TERN_EXEC_AUTO);
    atomic_store(&gate, true);
    spawn(c, 20, &block_method, 50);
    join(c, 20);
    tern_channel_stats stats;
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.connects, 1);
    assert_int_equal(stats.attempts, 1000); /* none was refused: they waited for their turn */
    /* with both places taken, a deadline and a cancellation still count */
    atomic_store(&gate, false);
    spawn(c, 2, &block_method, 1);
    assert_true(probe_wait(&blocked, 2));
    assert_int_equal(call(&quick_method, "x", 1, 30, &st), TERN_DEADLINE_EXCEEDED);
    assert_non_null(strstr(st.message, "free stream"));
    atomic_store(&gate, true);
    join(c, 2);
    assert_int_equal(call(&quick_method, "x", 1, SOON_MS, &st), TERN_OK);
    stop();
}

/* A handler that says too much: an answer all the same, and at once. */
static void test_too_much_metadata(void **state)
{
    (void)state;
    static const uint8_t counts[] = { 1, 60, 90, 127, 140, 255 };
    start(NULL, TERN_EXEC_AUTO);
    for (size_t i = 0; i < sizeof counts; i++) {
        for (int k = 0; k < 4; k++) {
            const uint8_t how[3] = { k % 2 ? 'i' : 't', counts[i], k / 2 ? 1 : 0 };
            tern_code code = call(&talk_method, how, 3, SOON_MS, &st);
            bool fits = counts[i] <= 60;
            tern_code expected = fits ? how[2] ? TERN_NOT_FOUND : TERN_OK : TERN_RESOURCE_EXHAUSTED;
            if (code != expected || (!fits && !strstr(st.message, "metadata")))
                fail_msg("%u pairs (%c): %s: %s", counts[i], how[0], tern_code_name(code),
                         st.message);
        }
    }
    tern_channel_stats stats;
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.connects, 1);
    stop();
}

static void test_calls_waiting_max(void **state)
{
    (void)state;
    caller first, second;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options copts = TERN_CHANNEL_OPTIONS_INIT;
    opts.concurrent_streams_max = 1;
    start(&opts, TERN_EXEC_AUTO);
    tern_channel_free(channel);
    copts.calls_waiting_max = 1;
    channel = probe_channel_with(target, &copts);
    spawn(&first, 1, &block_method, 1);
    assert_true(probe_wait(&blocked, 1));
    spawn(&second, 1, &quick_method, 1);
    probe_sleep_ms(SETTLE_MS);
    assert_int_equal(call(&quick_method, "x", 1, SOON_MS, &st), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "calls_waiting_max"));
    atomic_store(&gate, true);
    join(&first, 1);
    join(&second, 1);
    stop();
}

static void test_calls_in_flight_max(void **state)
{
    (void)state;
    caller first;
    tern_channel_options copts = TERN_CHANNEL_OPTIONS_INIT;
    start(NULL, TERN_EXEC_AUTO);
    tern_channel_free(channel);
    copts.breaker.calls_in_flight_max = 1;
    channel = probe_channel_with(target, &copts);
    spawn(&first, 1, &block_method, 1);
    assert_true(probe_wait(&blocked, 1));
    assert_int_equal(call(&quick_method, "x", 1, 5000, &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "calls_in_flight_max"));
    atomic_store(&gate, true);
    join(&first, 1);
    assert_int_equal(call(&quick_method, "x", 1, 5000, &st), TERN_OK);
    stop();
}

static void test_connections_max(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.connections_max = 1;
    start(&opts, TERN_EXEC_AUTO);
    assert_int_equal(call(&quick_method, "x", 1, 5000, &st), TERN_OK);
    tern_channel *one_more = probe_channel(target), *first = channel;
    channel = one_more;
    assert_int_equal(call(&quick_method, "x", 1, 5000, &st), TERN_UNAVAILABLE);
    channel = first;
    assert_int_equal(call(&quick_method, "x", 1, 5000, &st), TERN_OK);
    tern_channel_free(one_more);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_handlers_lose_the_loop),
        cmocka_unit_test(test_will_block),
        cmocka_unit_test(test_pooled),
        cmocka_unit_test(test_loops_change_hands),
        cmocka_unit_test(test_nested_in_one_server),
        cmocka_unit_test(test_pool_is_full),
        cmocka_unit_test(test_a_stream_makes_room),
        cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_deferred_too_late),
        cmocka_unit_test(test_end_waits_for_deferred),
        cmocka_unit_test(test_concurrent_streams),
        cmocka_unit_test(test_too_much_metadata),
        cmocka_unit_test(test_calls_waiting_max),
        cmocka_unit_test(test_calls_in_flight_max),
        cmocka_unit_test(test_connections_max),
    };
    return cmocka_run_group_tests_name("handlers", tests, NULL, NULL);
}
