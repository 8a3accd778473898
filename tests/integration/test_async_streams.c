/* Streams with callbacks, against a Tern server with raw handlers: on the program's own loop and on
 * the background thread. */
#include <assert.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/tern.h>

#include <tern/limits.h>

#include "support/probe.h"

#define PATIENCE_MS 20000

static const tern_method echo = { .path = "/t.T/Echo", .kind = TERN_KIND_BIDI_STREAMING };
static const tern_method silent = { .path = "/t.T/Silent", .kind = TERN_KIND_BIDI_STREAMING };
static const tern_method flood = { .path = "/t.T/Flood", .kind = TERN_KIND_BIDI_STREAMING };
static const tern_method fail = { .path = "/t.T/Fail", .kind = TERN_KIND_BIDI_STREAMING };

static tern_server *srv;
static tern_loop *loop;
static tern_channel *own, *background;
static tern_status st;
static atomic_uint begun, ended;
static atomic_size_t flooded;

/* --- handlers --------------------------------------------------------------------------------- */

static tern_code handle_echo(void *self, tern_server_call *call)
{
    const void *data;
    size_t len;
    (void)self;
    while (tern_server_call_recv(call, &data, &len))
        if (!tern_server_call_send(call, data, len))
            return TERN_CANCELLED;
    return TERN_OK;
}

/* Reads nothing, says nothing, until the call is over. */
static tern_code handle_silent(void *self, tern_server_call *call)
{
    (void)self;
    atomic_fetch_add(&begun, 1);
    tern_will_block();
    while (tern_context_error(tern_server_call_context(call)) == TERN_OK)
        probe_sleep_ms(1);
    atomic_fetch_add(&ended, 1);
    return TERN_CANCELLED;
}

static tern_code handle_flood(void *self, tern_server_call *call)
{
    static const char chunk[4096];
    (void)self;
    while (tern_server_call_send(call, chunk, sizeof chunk))
        atomic_fetch_add(&flooded, sizeof chunk);
    atomic_fetch_add(&ended, 1);
    return TERN_CANCELLED;
}

static tern_code handle_fail(void *self, tern_server_call *call)
{
    const char *code = tern_metadata_get(tern_server_call_metadata(call), "x-code-to-fail-with");
    (void)self;
    tern_server_call_send(call, "one", 3);
    return tern_server_call_fail(call, code ? (tern_code)atoi(code) : TERN_ABORTED, "after one");
}

static tern_channel *channel_on(tern_loop *l, const char *target)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.loop = l;
    return probe_channel_with(target, &opts);
}

static int setup(void **state)
{
    (void)state;
    uint16_t port;
    char target[64];
    /* Windows that do not grow: so much and no more is taken from who sends. */
    tern_server_options server = TERN_SERVER_OPTIONS_INIT;
    server.receive_window_bytes_max = TERN_LIMIT_STREAM_WINDOW_BYTES;
    assert_int_equal(tern_server_new(&server, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &echo, handle_echo, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &silent, handle_silent, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &flood, handle_flood, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &fail, handle_fail, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    assert_int_equal(tern_loop_new(&loop, &st), TERN_OK);
    own = channel_on(loop, target);
    background = channel_on(NULL, target);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(own);
    tern_channel_free(background);
    tern_loop_free(loop);
    tern_server_free(srv);
    return 0;
}

static void drive_until(atomic_uint *value, unsigned least)
{
    int64_t until = probe_now_ms() + PATIENCE_MS;
    struct pollfd p = { .fd = tern_loop_fd(loop), .events = POLLIN };
    while (atomic_load(value) < least && probe_now_ms() < until) {
        poll(&p, 1, 20);
        tern_loop_process(loop);
    }
    assert_true(atomic_load(value) >= least);
}

/* --- a ping-pong ------------------------------------------------------------------------------ */

#define ROUNDS 500u

typedef struct talk {
    tern_stream *s;
    unsigned sent, received, rounds, window; /* messages under way at once */
    atomic_uint finished;
    tern_status status;
    bool bad_end;
} talk;

static void on_finished(void *ctx, const tern_status *s)
{
    talk *t = ctx;
    t->status = *s;
    atomic_fetch_add(&t->finished, 1);
}

static void on_received(void *ctx, const void *message, size_t len);

static void on_sent(void *ctx, bool ok)
{
    talk *t = ctx;
    if (!ok) {
        t->bad_end = true;
        return;
    }
    if (t->sent == t->rounds)
        tern_stream_close_send(t->s);
    else if (t->sent - t->received < t->window) {
        t->sent++;
        tern_stream_send_start(t->s, &t->sent, sizeof t->sent, on_sent, t);
    }
}

static void on_received(void *ctx, const void *message, size_t len)
{
    talk *t = ctx;
    if (!message) {
        tern_stream_finish_start(t->s, on_finished, t);
        return;
    }
    assert(len == 4);
    t->received++;
    assert(memcmp(message, &t->received, 4) == 0);
    bool idle = t->window == 1;
    tern_stream_recv_start(t->s, on_received, t);
    if (idle)
        on_sent(t, true);
}

static void begin_talk(talk *t, tern_channel *ch, unsigned window)
{
    memset(t, 0, sizeof *t);
    t->rounds = ROUNDS;
    t->window = window;
    assert_int_equal(tern_stream_start(ch, &echo, NULL, &t->s, &st), TERN_OK);
    tern_stream_recv_start(t->s, on_received, t);
    t->sent = 1;
    tern_stream_send_start(t->s, &t->sent, sizeof t->sent, on_sent, t);
}

static void test_ping_pong(void **state)
{
    (void)state;
    talk t;
    begin_talk(&t, own, 1);
    drive_until(&t.finished, 1);
    assert_int_equal(t.status.code, TERN_OK);
    assert_int_equal(t.received, ROUNDS);
    assert_int_equal(tern_loop_calls(loop), 0);
    begin_talk(&t, own, UINT32_MAX);
    drive_until(&t.finished, 1);
    assert_int_equal(t.status.code, TERN_OK);
    assert_int_equal(t.received, ROUNDS);
}

/* --- ends ------------------------------------------------------------------------------------- */

typedef struct watch {
    atomic_uint received, sent, finished;
    _Atomic int code;
    atomic_uint messages;
} watch;

static void saw_message(void *ctx, const void *message, size_t len)
{
    watch *w = ctx;
    (void)len;
    if (message)
        atomic_fetch_add(&w->messages, 1);
    atomic_fetch_add(&w->received, 1);
}

static void saw_sent(void *ctx, bool ok)
{
    watch *w = ctx;
    (void)ok;
    atomic_fetch_add(&w->sent, 1);
}

static void saw_end(void *ctx, const tern_status *s)
{
    watch *w = ctx;
    atomic_store(&w->code, (int)s->code);
    atomic_fetch_add(&w->finished, 1);
}

static void wait_for(tern_channel *ch, atomic_uint *value, unsigned least)
{
    if (ch != background)
        drive_until(value, least);
    else
        assert_true(probe_wait(value, least));
}

static void test_failure(void **state)
{
    (void)state;
    tern_stream *s;
    tern_channel *channels[] = { own, background };
    for (int i = 0; i < 2; i++) {
        watch w = { .received = 0 };
        assert_int_equal(tern_stream_start(channels[i], &fail, NULL, &s, &st), TERN_OK);
        tern_stream_recv_start(s, saw_message, &w);
        wait_for(channels[i], &w.received, 1);
        assert_int_equal(atomic_load(&w.messages), 1);
        tern_stream_recv_start(s, saw_message, &w);
        wait_for(channels[i], &w.received, 2);
        assert_int_equal(atomic_load(&w.messages), 1);
        tern_stream_finish_start(s, saw_end, &w);
        wait_for(channels[i], &w.finished, 1);
        assert_int_equal(atomic_load(&w.code), TERN_ABORTED);
    }
}

/* The end is asked for while the loop is still busy with the beginning. */
static void test_finish_at_once(void **state)
{
    (void)state;
    watch w = { .received = 0 };
    for (unsigned i = 1; i <= 500; i++) {
        tern_stream *s;
        assert_int_equal(tern_stream_start(background, &echo, NULL, &s, &st), TERN_OK);
        tern_stream_send_start(s, "x", 1, saw_sent, &w);
        tern_stream_recv_start(s, saw_message, &w);
        if (i % 2)
            tern_stream_close_send(s);
        tern_stream_finish_start(s, saw_end, &w);
        if (i % 20 == 0)
            wait_for(background, &w.finished, i);
    }
    assert_int_equal(atomic_load(&w.finished), 500);
    assert_int_equal(atomic_load(&w.sent), 500);
    assert_int_equal(atomic_load(&w.received), 500);
}

/* Options and metadata may go at once: their caller's function has long returned when the stream is
 * opened and when it ends. */
static void test_options_are_copied(void **state)
{
    (void)state;
    tern_stream *s;
    tern_channel *channels[] = { own, background };
    for (int i = 0; i < 2; i++) {
        watch w = { .received = 0 };
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        tern_metadata *md = tern_metadata_new();
        tern_metadata_add(md, "x-code-to-fail-with", "15");
        opts.metadata = md;
        assert_int_equal(tern_stream_start(channels[i], &fail, &opts, &s, &st), TERN_OK);
        tern_metadata_free(md);
        memset(&opts, 0xaa, sizeof opts);
        for (unsigned n = 1; n <= 2; n++) {
            tern_stream_recv_start(s, saw_message, &w);
            wait_for(channels[i], &w.received, n);
        }
        tern_stream_finish_start(s, saw_end, &w);
        wait_for(channels[i], &w.finished, 1);
        assert_int_equal(atomic_load(&w.code), TERN_DATA_LOSS);
    }
}

/* finish, cancel, context and deadline while a receive is registered: it comes, once, before the
 * end. */
static void test_ends_of_this_side(void **state)
{
    (void)state;
    static const tern_code want[] = { TERN_CANCELLED, TERN_CANCELLED, TERN_CANCELLED,
                                      TERN_DEADLINE_EXCEEDED };
    for (int how = 0; how < 8; how++) {
        tern_channel *ch = how < 4 ? own : background;
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        watch w = { .received = 0 };
        tern_stream *s;
        unsigned before = atomic_load(&ended), former = atomic_load(&begun);
        opts.timeout_ms = how % 4 == 3 ? 1000 : 0;
        opts.context = tern_context_new(NULL, 0);
        assert_int_equal(tern_stream_start(ch, &silent, &opts, &s, &st), TERN_OK);
        tern_stream_recv_start(s, saw_message, &w);
        wait_for(ch, &begun, former + 1); /* else there is nothing at the server to end */
        if (how % 4 == 1)
            tern_stream_cancel(s);
        if (how % 4 == 2)
            tern_context_cancel(opts.context);
        if (how % 4)
            wait_for(ch, &w.received, 1);
        tern_stream_finish_start(s, saw_end, &w);
        wait_for(ch, &w.finished, 1);
        assert_int_equal(atomic_load(&w.received), 1);
        assert_int_equal(atomic_load(&w.messages), 0);
        assert_int_equal(atomic_load(&w.code), want[how % 4]);
        assert_true(probe_wait(&ended, before + 1));
        tern_context_free(opts.context);
    }
}

/* A server that does not read: the second send waits, and ends with the call. */
static void test_send_waits(void **state)
{
    (void)state;
    static char big[400000];
    tern_stream *s;
    watch w = { .received = 0 };
    assert_int_equal(tern_stream_start(own, &silent, NULL, &s, &st), TERN_OK);
    tern_stream_send_start(s, big, sizeof big, saw_sent, &w);
    for (int i = 0; i < 20; i++)
        tern_loop_wait(loop, 5);
    assert_int_equal(atomic_load(&w.sent), 0);
    tern_stream_finish_start(s, saw_end, &w);
    drive_until(&w.finished, 1);
    assert_int_equal(atomic_load(&w.sent), 1);
    assert_int_equal(atomic_load(&w.code), TERN_CANCELLED);
}

/* A program that does not receive: the server is held back. */
static void test_receive_holds_back(void **state)
{
    (void)state;
    tern_stream *s;
    watch w = { .received = 0 };
    atomic_store(&flooded, 0);
    assert_int_equal(tern_stream_start(own, &flood, NULL, &s, &st), TERN_OK);
    size_t last = 0;
    for (int calm = 0; calm < 20;) {
        tern_loop_wait(loop, 5);
        size_t now = atomic_load(&flooded);
        calm = now == last && now ? calm + 1 : 0;
        last = now;
    }
    assert_in_range(last, 1, 4u * 1024 * 1024);
    for (unsigned i = 1; i <= 1000; i++) {
        tern_stream_recv_start(s, saw_message, &w);
        drive_until(&w.received, i);
    }
    assert_int_equal(atomic_load(&w.messages), 1000);
    assert_true(atomic_load(&flooded) > last);
    tern_stream_finish_start(s, saw_end, &w);
    drive_until(&w.finished, 1);
}

/* Says something on the stream and waits for the echo of it, or for the end. */
static bool echo_once(tern_channel *ch, tern_stream *s, watch *w)
{
    unsigned received = atomic_load(&w->received), messages = atomic_load(&w->messages);
    tern_stream_recv_start(s, saw_message, w);
    tern_stream_send_start(s, "x", 1, saw_sent, w);
    wait_for(ch, &w->received, received + 1);
    return atomic_load(&w->messages) == messages + 1;
}

/* Opens streams until the channel has had so many connections. One that is begun in the moment of
 * the server's goodbye may be refused; it is not repeated. */
static void open_until(tern_channel *ch, uint64_t connects)
{
    tern_channel_stats stats = { .connects = 0 };
    for (int64_t until = probe_now_ms() + PATIENCE_MS; stats.connects < connects;) {
        tern_stream *s;
        watch w = { .received = 0 };
        assert_true(probe_now_ms() < until);
        assert_int_equal(tern_stream_start(ch, &echo, NULL, &s, &st), TERN_OK);
        bool echoed = echo_once(ch, s, &w);
        tern_stream_close_send(s);
        if (echoed) {
            tern_stream_recv_start(s, saw_message, &w);
            wait_for(ch, &w.received, 2);
        }
        tern_stream_finish_start(s, saw_end, &w);
        wait_for(ch, &w.finished, 1);
        assert_int_equal(atomic_load(&w.code), echoed ? TERN_OK : TERN_UNAVAILABLE);
        tern_channel_stats_get(ch, &stats);
    }
}

/* A connection that takes no more calls, because the server says goodbye, is looked after until the
 * last of its streams has ended, though others are made meanwhile. */
static void test_goaway_lets_go_on(void **state)
{
    (void)state;
    tern_server *aging;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    tern_channel *former = background;
    char target[64];
    uint16_t port;
    opts.max_connection_age_ms = 50;
    assert_int_equal(tern_server_new(&opts, &aging, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(aging, &echo, handle_echo, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(aging, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(aging, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    for (int i = 0; i < 2; i++) {
        tern_channel *ch = channel_on(i ? NULL : loop, target);
        tern_stream *first;
        watch w = { .received = 0 };
        background = i ? ch : former;
        assert_int_equal(tern_stream_start(ch, &echo, NULL, &first, &st), TERN_OK);
        assert_true(echo_once(ch, first, &w));
        open_until(ch, 3);
        assert_true(echo_once(ch, first, &w));
        assert_true(echo_once(ch, first, &w));
        tern_stream_finish_start(first, saw_end, &w);
        wait_for(ch, &w.finished, 1);
        assert_int_equal(atomic_load(&w.code), TERN_CANCELLED);
        tern_channel_free(ch);
    }
    background = former;
    tern_server_free(aging);
}

static void test_nobody_there(void **state)
{
    (void)state;
    tern_stream *s;
    watch w = { .received = 0 };
    tern_channel *nobody = channel_on(loop, "ipv4:127.0.0.1:1");
    assert_int_equal(tern_stream_start(nobody, &echo, NULL, &s, &st), TERN_OK);
    tern_stream_send_start(s, "x", 1, saw_sent, &w);
    tern_stream_recv_start(s, saw_message, &w);
    drive_until(&w.received, 1);
    drive_until(&w.sent, 1);
    tern_stream_finish_start(s, saw_end, &w);
    drive_until(&w.finished, 1);
    assert_int_equal(atomic_load(&w.code), TERN_UNAVAILABLE);
    /* finished before a connection was even tried */
    assert_int_equal(tern_stream_start(nobody, &echo, NULL, &s, &st), TERN_OK);
    tern_stream_finish_start(s, saw_end, &w);
    drive_until(&w.finished, 2);
    tern_channel_free(nobody);
}

/* finish for a stream that still waits for a place under the server's limit: the place that is
 * free later goes to who asks then. */
static void test_finish_in_the_queue(void **state)
{
    (void)state;
    tern_server *narrow;
    uint16_t port;
    char target[64];
    watch w = { .received = 0 };
    tern_stream *open, *queued, *later;
    tern_call_options bounded = TERN_CALL_OPTIONS_INIT;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    bounded.timeout_ms = PATIENCE_MS / 4;
    opts.concurrent_streams_max = 1;
    assert_int_equal(tern_server_new(&opts, &narrow, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(narrow, &echo, handle_echo, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(narrow, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(narrow, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    tern_channel *ch = channel_on(loop, target);
    assert_int_equal(tern_stream_start(ch, &echo, NULL, &open, &st), TERN_OK);
    tern_stream_send_start(open, "x", 1, saw_sent, &w);
    tern_stream_recv_start(open, saw_message, &w);
    drive_until(&w.received, 1);
    assert_int_equal(tern_stream_start(ch, &echo, NULL, &queued, &st), TERN_OK);
    tern_loop_process(loop);
    tern_loop_process(loop);
    tern_stream_finish_start(queued, saw_end, &w);
    drive_until(&w.finished, 1);
    assert_int_equal(atomic_load(&w.code), TERN_CANCELLED);
    tern_stream_cancel(open);
    tern_stream_finish_start(open, saw_end, &w);
    drive_until(&w.finished, 2);
    assert_int_equal(tern_stream_start(ch, &echo, &bounded, &later, &st), TERN_OK);
    tern_stream_send_start(later, "y", 1, saw_sent, &w);
    tern_stream_close_send(later);
    tern_stream_recv_start(later, saw_message, &w);
    drive_until(&w.received, 2);
    tern_stream_recv_start(later, saw_message, &w);
    drive_until(&w.received, 3);
    tern_stream_finish_start(later, saw_end, &w);
    drive_until(&w.finished, 3);
    assert_int_equal(atomic_load(&w.code), TERN_OK);
    tern_channel_free(ch);
    tern_server_free(narrow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping_pong),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_finish_at_once),
        cmocka_unit_test(test_options_are_copied),
        cmocka_unit_test(test_ends_of_this_side),
        cmocka_unit_test(test_send_waits),
        cmocka_unit_test(test_receive_holds_back),
        cmocka_unit_test(test_goaway_lets_go_on),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_finish_in_the_queue),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
