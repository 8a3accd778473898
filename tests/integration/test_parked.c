/* Parked calls: streams of a server that hold no thread. What wakes them, what does not, and how
 * they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/h2peer.h"
#include "support/probe.h"

#define PATIENCE_MS 20000
#define QUIET_MS 200
#define CROWD 90u
/* One fits the window of the peer, two do not. */
#define LARGE_BYTES 60000u
/* Room of the sockets in between, at most; a window that is larger. */
#define SOCKETS_BYTES (12u * 1024 * 1024)
#define WIDE_BYTES (15u * 1024 * 1024)

static tern_server *srv;
static uint16_t port;
static h2peer peer, other;
static h2peer_stream stream, quick, crowd[CROWD];

/* What the functions tell, and do. `lock` is that under which a call is woken. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tern_server_call *parked[CROWD];
static unsigned n_parked;
static size_t message_len;
static bool stubborn, wake_early;
static atomic_uint begun, resumed, ended, seen_over;
static atomic_int end_with; /* a code; -1: go on */

static void forget(tern_server_call *call)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < CROWD; i++)
        if (parked[i] == call)
            parked[i] = NULL;
    pthread_mutex_unlock(&lock);
}

static void wake_all(void)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < CROWD; i++)
        if (parked[i])
            tern_server_call_wake(parked[i]);
    pthread_mutex_unlock(&lock);
}

static tern_code go_on(void *ctx, tern_server_call *call)
{
    static const uint8_t bytes[LARGE_BYTES];
    tern_code over = tern_context_error(tern_server_call_context(call));
    assert_ptr_equal(ctx, &parked);
    atomic_fetch_add(&resumed, 1);
    if (over != TERN_OK || atomic_load(&end_with) >= 0) {
        forget(call);
        atomic_fetch_add(&seen_over, over != TERN_OK);
        atomic_fetch_add(&ended, 1);
        if (stubborn)
            tern_server_call_park(call, go_on, ctx);
        return over != TERN_OK ? over
                               : tern_server_call_fail(call, (tern_code)atomic_load(&end_with),
                                                       "as told");
    }
    tern_server_call_send(call, bytes, message_len);
    tern_server_call_park(call, go_on, ctx);
    return TERN_DATA_LOSS; /* ignored */
}

static tern_code handle(void *self, tern_server_call *call)
{
    (void)self;
    tern_server_call_park(call, go_on, &parked);
    pthread_mutex_lock(&lock);
    parked[n_parked++] = call;
    pthread_mutex_unlock(&lock);
    if (wake_early)
        wake_all();
    atomic_fetch_add(&begun, 1);
    return TERN_DATA_LOSS; /* ignored */
}

static tern_code nothing(void *self, tern_server_call *call)
{
    (void)self;
    return tern_server_call_response_buffer(call, 1) ? TERN_OK : TERN_RESOURCE_EXHAUSTED;
}

static const tern_method watch_method = { .path = "/t.P/Watch",
                                          .kind = TERN_KIND_SERVER_STREAMING };
static const tern_method quick_method = { .path = "/t.Q/Quick" };

static int start(tern_execution execution)
{
    tern_status st;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 1;
    opts.handler_threads_max = 8;
    assert_int_equal(tern_server_new(&opts, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &watch_method, handle, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &quick_method, nothing, NULL, &st), TERN_OK);
    tern_server_set_execution(srv, "t.P", execution);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    memset(parked, 0, sizeof parked);
    n_parked = 0;
    message_len = 10;
    stubborn = wake_early = false;
    atomic_store(&begun, 0);
    atomic_store(&resumed, 0);
    atomic_store(&ended, 0);
    atomic_store(&seen_over, 0);
    atomic_store(&end_with, -1);
    h2peer_connect(&peer, port);
    h2peer_connect(&other, port);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return start(TERN_EXEC_AUTO);
}

static int setup_pooled(void **state)
{
    (void)state;
    return start(TERN_EXEC_POOLED);
}

static int teardown(void **state)
{
    (void)state;
    h2peer_close(&peer);
    h2peer_close(&other);
    h2peer_stream_free(&stream);
    h2peer_stream_free(&quick);
    for (unsigned i = 0; i < CROWD; i++)
        h2peer_stream_free(&crowd[i]);
    memset(&stream, 0, sizeof stream);
    memset(&quick, 0, sizeof quick);
    memset(crowd, 0, sizeof crowd);
    tern_server_free(srv);
    return atomic_load(&begun) != atomic_load(&ended);
}

static void open_watch(h2peer *p, h2peer_stream *s, const char *timeout)
{
    const h2peer_request request = { .path = "/t.P/Watch", .timeout = timeout };
    h2peer_open(p, s, &request);
    h2peer_send(p, s, "\0\0\0\0\0", 5, true);
}

/* One after the other: a stream that has no thread to begin on is refused. */
static void open_crowd(void)
{
    for (unsigned i = 0; i < CROWD; i++) {
        open_watch(&peer, &crowd[i], NULL);
        assert_true(probe_wait(&begun, i + 1));
    }
}

static void expect_end(h2peer *p, h2peer_stream *s, int code)
{
    if (!h2peer_closed(p, s, PATIENCE_MS))
        fail_msg("the stream did not end: %zu bytes came", s->data.len);
    if (s->code != code)
        fail_msg("status %d \"%s\", not %d", s->code, s->message, code);
}

static void expect_served(h2peer *p)
{
    static const h2peer_request request = { .path = "/t.Q/Quick" };
    h2peer_open(p, &quick, &request);
    h2peer_send(p, &quick, "\0\0\0\0\0", 5, true);
    expect_end(p, &quick, TERN_OK);
}

static bool message_there(void *ctx)
{
    const h2peer_stream *s = ctx;
    return s->data.len >= 5 + message_len;
}

/* --- waking ----------------------------------------------------------------------------------- */

static void test_woken_sends_and_ends(void **state)
{
    (void)state;
    open_watch(&peer, &stream, NULL);
    h2peer_settle(&peer, QUIET_MS);
    assert_int_equal(atomic_load(&begun), 1);
    assert_int_equal(atomic_load(&resumed), 0); /* nobody has woken it */
    assert_int_equal(stream.data.len, 0);
    for (int i = 0; i < 3; i++) {
        tern__buf_consume(&stream.data, stream.data.len);
        wake_all();
        assert_true(h2peer_until(&peer, PATIENCE_MS, message_there, &stream));
    }
    assert_int_equal(atomic_load(&resumed), 3);
    expect_served(&peer);
    atomic_store(&end_with, TERN_ABORTED);
    wake_all();
    expect_end(&peer, &stream, TERN_ABORTED);
    assert_string_equal(stream.message, "as told");
}

/* Woken before its handler has returned. */
static void test_woken_early(void **state)
{
    (void)state;
    wake_early = true;
    open_watch(&peer, &stream, NULL);
    assert_true(h2peer_until(&peer, PATIENCE_MS, message_there, &stream));
    h2peer_settle(&peer, QUIET_MS);
    assert_int_equal(atomic_load(&resumed), 1);
    atomic_store(&end_with, TERN_OK);
    wake_all();
    expect_end(&peer, &stream, TERN_OK);
}

/* It ends before it has sent anything: trailers-only. */
static void test_ends_without_a_message(void **state)
{
    (void)state;
    atomic_store(&end_with, TERN_NOT_FOUND);
    wake_early = true;
    open_watch(&peer, &stream, NULL);
    expect_end(&peer, &stream, TERN_NOT_FOUND);
    assert_int_equal(stream.lists, 1);
}

/* A peer that takes nothing: however often the call is woken, no more than one message waits. */
static void test_slow_peer_gets_no_queue(void **state)
{
    (void)state;
    message_len = LARGE_BYTES;
    peer.withhold = true;
    open_watch(&peer, &stream, NULL);
    assert_true(probe_wait(&begun, 1));
    wake_all();
    assert_true(h2peer_until(&peer, PATIENCE_MS, message_there, &stream));
    for (int i = 0; i < 1000; i++)
        wake_all();
    h2peer_settle(&peer, QUIET_MS);
    for (int i = 0; i < 1000; i++)
        wake_all();
    h2peer_settle(&peer, QUIET_MS);
    assert_int_equal(atomic_load(&resumed), 2);
    assert_int_equal(stream.data.len, 65535);
    expect_served(&other);
    /* It reads again: the rest of the second one, and the one that the wakes were for. */
    peer.withhold = false;
    h2peer_credit(&peer, &stream);
    h2peer_settle(&peer, QUIET_MS);
    assert_int_equal(atomic_load(&resumed), 3);
    assert_int_equal(stream.data.len, 3 * (5 + LARGE_BYTES));
    atomic_store(&end_with, TERN_OK);
    wake_all();
    expect_end(&peer, &stream, TERN_OK);
}

/* Wakes until nothing comes of it any more. */
static unsigned wake_until_stuck(void)
{
    int64_t until = probe_now_ms() + PATIENCE_MS;
    unsigned before;
    do {
        before = atomic_load(&resumed);
        for (int64_t quiet = probe_now_ms() + QUIET_MS; probe_now_ms() < quiet;)
            wake_all();
    } while (before != atomic_load(&resumed) && probe_now_ms() < until);
    return before;
}

/* A peer that does not even read its socket, whose window would take all of it: when the sockets
 * are full no more is made. */
static void test_deaf_peer_gets_no_queue(void **state)
{
    (void)state;
    message_len = LARGE_BYTES;
    h2peer_close(&peer);
    h2peer_connect_wide(&peer, port, WIDE_BYTES);
    open_watch(&peer, &stream, NULL);
    assert_true(probe_wait(&begun, 1));
    unsigned stuck = wake_until_stuck();
    assert_true(stuck * LARGE_BYTES < SOCKETS_BYTES);
    assert_int_equal(wake_until_stuck(), stuck);
    expect_served(&other);
    /* It reads again: the wakes were for one more. */
    h2peer_settle(&peer, QUIET_MS);
    assert_int_equal(atomic_load(&resumed), stuck + 1);
    assert_int_equal(stream.data.len, (stuck + 1) * (5 + LARGE_BYTES));
    h2peer_reset(&peer, &stream, TERN__H2_CANCEL);
    assert_true(probe_wait(&ended, 1));
}

/* More of them than there are threads, and others are served beside. */
static void test_many_hold_no_thread(void **state)
{
    (void)state;
    open_crowd();
    expect_served(&other);
    wake_all();
    for (unsigned i = 0; i < CROWD; i++)
        assert_true(h2peer_until(&peer, PATIENCE_MS, message_there, &crowd[i]));
    atomic_store(&end_with, TERN_OK);
    wake_all();
    for (unsigned i = 0; i < CROWD; i++)
        expect_end(&peer, &crowd[i], TERN_OK);
}

static void *wake_on(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++)
        wake_all();
    return NULL;
}

/* Several threads wake while the calls run, and while they end. */
static void test_woken_from_everywhere(void **state)
{
    (void)state;
    pthread_t threads[4];
    message_len = 3;
    open_crowd();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wake_on, NULL), 0);
    for (unsigned i = 0; i < CROWD; i += 2)
        assert_true(h2peer_until(&peer, PATIENCE_MS, message_there, &crowd[i]));
    for (unsigned i = 0; i < CROWD; i += 2)
        h2peer_reset(&peer, &crowd[i], TERN__H2_CANCEL);
    h2peer_settle(&peer, 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&end_with, TERN_OK);
    wake_all();
    for (unsigned i = 1; i < CROWD; i += 2)
        expect_end(&peer, &crowd[i], TERN_OK);
    assert_true(probe_wait(&ended, CROWD));
}

/* --- the end ---------------------------------------------------------------------------------- */

static void test_cancelled(void **state)
{
    (void)state;
    open_watch(&peer, &stream, NULL);
    assert_true(probe_wait(&begun, 1));
    h2peer_reset(&peer, &stream, TERN__H2_CANCEL);
    assert_true(probe_wait(&ended, 1));
    assert_int_equal(atomic_load(&seen_over), 1);
    assert_int_equal(atomic_load(&resumed), 1);
    expect_served(&peer);
}

static void test_disconnected(void **state)
{
    (void)state;
    open_crowd();
    h2peer_close(&peer);
    assert_true(probe_wait(&ended, CROWD));
    assert_int_equal(atomic_load(&seen_over), CROWD);
    expect_served(&other);
}

static void test_deadline(void **state)
{
    (void)state;
    open_watch(&peer, &stream, "100m");
    expect_end(&peer, &stream, TERN_DEADLINE_EXCEEDED);
    assert_true(probe_wait(&ended, 1));
    assert_int_equal(atomic_load(&seen_over), 1);
    /* The same for one that was resumed in its first turn. */
    wake_early = true;
    open_watch(&peer, &crowd[0], "100m");
    expect_end(&peer, &crowd[0], TERN_DEADLINE_EXCEEDED);
    assert_true(probe_wait(&ended, 2));
}

/* Parking a call that is over does not keep it. */
static void test_stubborn(void **state)
{
    (void)state;
    stubborn = true;
    open_watch(&peer, &stream, NULL);
    assert_true(probe_wait(&begun, 1));
    h2peer_reset(&peer, &stream, TERN__H2_CANCEL);
    assert_true(probe_wait(&ended, 1));
    expect_served(&peer);
    assert_int_equal(atomic_load(&resumed), 1);
}

/* The grace period of a drain is theirs, as any call's; then they are told. */
static void test_cut_by_drain(void **state)
{
    (void)state;
    open_watch(&peer, &stream, NULL);
    open_watch(&peer, &crowd[0], NULL);
    assert_true(probe_wait(&begun, 2));
    tern_server_drain(srv, 300);
    expect_end(&peer, &stream, TERN_UNAVAILABLE);
    expect_end(&peer, &crowd[0], TERN_UNAVAILABLE);
    h2peer_close(&peer);
    h2peer_close(&other);
    tern_server_wait(srv);
    assert_int_equal(atomic_load(&ended), 2);
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define POOLED(f) { #f ", pooled", f, setup_pooled, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_woken_sends_and_ends),
        POOLED(test_woken_sends_and_ends),
        WITH(test_woken_early),
        POOLED(test_woken_early),
        WITH(test_ends_without_a_message),
        POOLED(test_ends_without_a_message),
        WITH(test_slow_peer_gets_no_queue),
        WITH(test_deaf_peer_gets_no_queue),
        WITH(test_many_hold_no_thread),
        POOLED(test_many_hold_no_thread),
        WITH(test_woken_from_everywhere),
        POOLED(test_woken_from_everywhere),
        WITH(test_cancelled),
        POOLED(test_cancelled),
        WITH(test_disconnected),
        POOLED(test_disconnected),
        WITH(test_deadline),
        WITH(test_stubborn),
        POOLED(test_stubborn),
        WITH(test_cut_by_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
