/* Streams on the server that take what they can get, or end by force: back-pressure in both
 * directions, streams that nobody reads, handlers that wait for ever, cancellation, deadlines,
 * drains and lost connections in every state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/h2peer.h"
#include "support/probe.h"

#define PATIENCE_MS 20000
#define QUIET_MS 300
/* Room of the sockets in between: what can be on the way though nobody takes it. */
#define SOCKETS_BYTES (12u * 1024 * 1024)
#define CROWD 60u

static tern_server *srv;
static uint16_t port;
static h2peer peer, other;
static h2peer_stream stream, quick, crowd[CROWD];
static tern_code (*act)(tern_server_call *call);

/* What the handlers tell, and wait for. */
static atomic_uint begun, ended, sent, seen_cancelled, seen_late;
static atomic_bool gate;

static tern_code handle(void *self, tern_server_call *call)
{
    (void)self;
    tern_code (*mine)(tern_server_call *) = act; /* the next call's may be another */
    atomic_fetch_add(&begun, 1);
    tern_code code = mine(call);
    tern_code why = tern_context_error(tern_server_call_context(call));
    atomic_fetch_add(&seen_cancelled, why == TERN_CANCELLED);
    atomic_fetch_add(&seen_late, why == TERN_DEADLINE_EXCEEDED);
    atomic_fetch_add(&ended, 1);
    return code;
}

static tern_code nothing(void *self, tern_server_call *call)
{
    (void)self;
    return tern_server_call_response_buffer(call, 1) ? TERN_OK : TERN_RESOURCE_EXHAUSTED;
}

static const tern_method bidi_method = { .path = "/t.S/Bidi", .kind = TERN_KIND_BIDI_STREAMING };
static const tern_method quick_method = { .path = "/t.Q/Quick" };
static const tern_method late_method = { .path = "/t.L/Late" };
static const h2peer_request bidi = { .path = "/t.S/Bidi" };

static int start(const tern_server_options *opts, tern_execution execution)
{
    tern_status st;
    assert_int_equal(tern_server_new(opts, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &bidi_method, handle, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &quick_method, nothing, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &late_method, handle, NULL, &st), TERN_OK);
    tern_server_set_execution(srv, "t.S", execution);
    tern_server_set_execution(srv, "t.L", TERN_EXEC_INLINE);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
    atomic_store(&sent, 0);
    atomic_store(&seen_cancelled, 0);
    atomic_store(&seen_late, 0);
    atomic_store(&gate, false);
    h2peer_connect(&peer, port);
    h2peer_connect(&other, port);
    return 0;
}

static int start_usual(tern_execution execution)
{
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 1;
    opts.receive_window_bytes_max = TERN_LIMIT_STREAM_WINDOW_BYTES; /* they stay */
    return start(&opts, execution);
}

static int setup(void **state)
{
    (void)state;
    return start_usual(TERN_EXEC_AUTO);
}

static int setup_pooled(void **state)
{
    (void)state;
    return start_usual(TERN_EXEC_POOLED);
}

static int teardown(void **state)
{
    (void)state;
    atomic_store(&gate, true);
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

static void wait_for_gate(void)
{
    int64_t until = probe_now_ms() + PATIENCE_MS;
    tern_will_block();
    while (!atomic_load(&gate) && probe_now_ms() < until)
        probe_sleep_ms(1);
}

static void expect_end(h2peer *p, h2peer_stream *s, int code)
{
    if (!h2peer_closed(p, s, PATIENCE_MS))
        fail_msg("the stream did not end: %zu bytes came", s->data.len);
    if (s->code != code)
        fail_msg("status %d \"%s\", not %d", s->code, s->message, code);
}

/* Somebody else is served, on the same loop, and soon. */
static void expect_served(h2peer *p)
{
    static const h2peer_request request = { .path = "/t.Q/Quick" };
    int64_t began = probe_now_ms();
    h2peer_open(p, &quick, &request);
    h2peer_send(p, &quick, "\0\0\0\0\0", 5, true);
    expect_end(p, &quick, TERN_OK);
    assert_true(probe_now_ms() - began < 5000);
}

/* --- back-pressure ---------------------------------------------------------------------------- */

#define MESSAGE_BYTES 1000u

static tern_code send_for_ever(tern_server_call *call)
{
    static const uint8_t bytes[MESSAGE_BYTES];
    while (tern_server_call_send(call, bytes, sizeof bytes))
        atomic_fetch_add(&sent, 1);
    return TERN_OK;
}

static tern_code send_some(tern_server_call *call)
{
    static const uint8_t bytes[MESSAGE_BYTES];
    for (int i = 0; i < 3000 && tern_server_call_send(call, bytes, sizeof bytes); i++)
        atomic_fetch_add(&sent, 1);
    return TERN_OK;
}

/* A peer that reads the socket but opens no window: the handler stops at window and buffer. */
static void test_shut_window_stops_sender(void **state)
{
    (void)state;
    act = send_some;
    peer.withhold = true;
    h2peer_open(&peer, &stream, &bidi);
    h2peer_settle(&peer, QUIET_MS);
    assert_int_equal(stream.data.len, 65535);
    size_t out = atomic_load(&sent) * (MESSAGE_BYTES + 5);
    assert_in_range(out, 65535,
                    65535 + TERN_LIMIT_STREAM_SEND_BYTES + 2 * (MESSAGE_BYTES + 5));
    expect_served(&other);
    peer.withhold = false;
    h2peer_credit(&peer, &stream);
    expect_end(&peer, &stream, TERN_OK);
    assert_int_equal(atomic_load(&sent), 3000);
    assert_int_equal(stream.data.len, 3000 * (MESSAGE_BYTES + 5));
}

/* The same with what fills the window to the byte: the trailers wait for no window. */
static tern_code send_window(tern_server_call *call)
{
    uint8_t bytes[1000] = { 0 };
    for (int i = 0; i < 65; i++)
        tern_server_call_send(call, bytes, sizeof bytes);
    tern_server_call_send(call, bytes, 65535 - 65 * 1005 - 5);
    wait_for_gate();
    return tern_server_call_fail(call, TERN_ABORTED, "full");
}

static void test_trailers_need_no_window(void **state)
{
    (void)state;
    act = send_window;
    peer.withhold = true;
    h2peer_open(&peer, &stream, &bidi);
    h2peer_settle(&peer, QUIET_MS);
    assert_int_equal(stream.data.len, 65535);
    atomic_store(&gate, true);
    expect_end(&peer, &stream, TERN_ABORTED);
}

/* A message longer than what the session is given at a time, stuck at the window; then a short one,
 * and the end: that waits for both. */
#define LONG_BYTES 60000u
#define SHORT_BYTES 3000u

static tern_code send_long_and_short(tern_server_call *call)
{
    static const uint8_t bytes[LONG_BYTES];
    tern_server_call_send(call, bytes, sizeof bytes);
    wait_for_gate();
    tern_server_call_send(call, bytes, SHORT_BYTES);
    return TERN_OK;
}

static void test_end_behind_what_waits(void **state)
{
    (void)state;
    h2peer narrow;
    act = send_long_and_short;
    h2peer_connect_wide(&narrow, port, 10000);
    narrow.withhold = true;
    h2peer_open(&narrow, &stream, &bidi);
    h2peer_settle(&narrow, QUIET_MS);
    assert_int_equal(stream.data.len, 10000);
    atomic_store(&gate, true);
    assert_true(probe_wait(&ended, 1));
    h2peer_settle(&narrow, QUIET_MS);
    narrow.withhold = false;
    h2peer_credit(&narrow, &stream);
    expect_end(&narrow, &stream, TERN_OK);
    assert_int_equal(stream.data.len, LONG_BYTES + SHORT_BYTES + 10);
    h2peer_close(&narrow);
}

/* A peer that does not even read its socket. */
static void test_deaf_peer_stops_sender(void **state)
{
    (void)state;
    act = send_for_ever;
    for (unsigned i = 0; i < 8; i++)
        h2peer_open(&peer, &crowd[i], &bidi);
    unsigned before;
    do {
        before = atomic_load(&sent);
        probe_sleep_ms(QUIET_MS);
    } while (before != atomic_load(&sent));
    assert_true(before * MESSAGE_BYTES < SOCKETS_BYTES);
    expect_served(&other);
    h2peer_close(&peer);
    assert_true(probe_wait(&ended, 8));
    assert_int_equal(atomic_load(&seen_cancelled), 8);
}

static tern_code receive_after_gate(tern_server_call *call)
{
    const void *data;
    size_t len;
    wait_for_gate();
    while (tern_server_call_recv(call, &data, &len))
        atomic_fetch_add(&sent, (unsigned)len);
    return TERN_OK;
}

/* A handler that does not receive: the peer stops at the window. */
static void test_reader_stops_peer(void **state)
{
    (void)state;
    const size_t len = 3u << 20;
    uint8_t *bytes = calloc(1, len + 5);
    assert_non_null(bytes);
    bytes[2] = (uint8_t)(len >> 16);
    act = receive_after_gate;
    h2peer_open(&peer, &stream, &bidi);
    h2peer_send(&peer, &stream, bytes, len + 5, true);
    h2peer_settle(&peer, QUIET_MS);
    assert_int_equal(stream.h2.tx.off, TERN_LIMIT_STREAM_WINDOW_BYTES);
    expect_served(&peer);
    atomic_store(&gate, true);
    expect_end(&peer, &stream, TERN_OK); /* a message of twelve windows got through */
    assert_int_equal(atomic_load(&sent), len);
    free(bytes);
}

static size_t crowd_sent(void)
{
    size_t total = 0;
    for (unsigned i = 0; i < CROWD; i++)
        total += crowd[i].h2.tx.off;
    return total;
}

static bool limit_reached(void *ctx)
{
    (void)ctx;
    return crowd_sent() >= TERN_LIMIT_CONNECTION_UNREAD_BYTES;
}

/* Many streams that nobody reads: together they get what the connection may have unread, and its
 * window; other connections do not notice. */
static void test_crowd_that_nobody_reads(void **state)
{
    (void)state;
    const size_t len = 1000000; /* of empty messages */
    uint8_t *bytes = calloc(1, len);
    assert_non_null(bytes);
    act = receive_after_gate;
    for (unsigned i = 0; i < CROWD; i++) {
        h2peer_open(&peer, &crowd[i], &bidi);
        h2peer_send(&peer, &crowd[i], bytes, len, true);
    }
    assert_true(h2peer_until(&peer, PATIENCE_MS, limit_reached, NULL));
    h2peer_settle(&peer, QUIET_MS);
    for (unsigned i = 0; i < CROWD; i++)
        assert_true(crowd[i].h2.tx.off <= TERN_LIMIT_STREAM_WINDOW_BYTES);
    assert_true(crowd_sent() <= TERN_LIMIT_CONNECTION_UNREAD_BYTES +
                                    TERN_LIMIT_CONNECTION_WINDOW_BYTES + 65536);
    expect_served(&other);
    /* Half of them are given up: what they held comes back, and the others go on. */
    for (unsigned i = 0; i < CROWD; i += 2)
        h2peer_reset(&peer, &crowd[i], TERN__H2_CANCEL);
    atomic_store(&gate, true);
    for (unsigned i = 1; i < CROWD; i += 2)
        expect_end(&peer, &crowd[i], TERN_OK);
    free(bytes);
    assert_true(probe_wait(&ended, CROWD));
    expect_served(&peer);
}

/* --- other calls beside ----------------------------------------------------------------------- */

static bool all_ended(void *ctx)
{
    (void)ctx;
    return atomic_load(&ended) == atomic_load(&begun);
}

/* A handler that never stops to send does not keep its loop from others. */
static void test_busy_sender_starves_nobody(void **state)
{
    (void)state;
    act = send_for_ever;
    h2peer_open(&peer, &stream, &bidi);
    for (int i = 0; i < 20; i++) {
        expect_served(&other);
        h2peer_settle(&peer, 0);
        tern__buf_consume(&stream.data, stream.data.len);
    }
    h2peer_reset(&peer, &stream, TERN__H2_CANCEL);
    /* The server reads the reset when the peer has read what is on its way. */
    assert_true(h2peer_until(&peer, PATIENCE_MS, all_ended, NULL));
}

static tern_code echo(tern_server_call *call)
{
    const void *data;
    size_t len;
    while (tern_server_call_recv(call, &data, &len))
        if (!tern_server_call_send(call, data, len))
            break;
    return TERN_OK;
}

static size_t awaited;

static bool data_came(void *ctx)
{
    const h2peer_stream *s = ctx;
    return s->closed || s->data.len >= awaited;
}

/* Streams that wait, and one that is talked to in between, and calls: on one loop. */
static void test_waiting_streams(void **state)
{
    (void)state;
    act = echo;
    for (unsigned i = 0; i < 20; i++)
        h2peer_open(&peer, &crowd[i], &bidi);
    for (unsigned round = 0; round < 50; round++) {
        h2peer_stream *s = &crowd[round * 7 % 20];
        awaited = s->data.len + 6;
        h2peer_send(&peer, s, "\0\0\0\0\1x", 6, false);
        assert_true(h2peer_until(&peer, PATIENCE_MS, data_came, s));
        expect_served(round % 2 ? &other : &peer);
    }
    for (unsigned i = 0; i < 20; i++) {
        h2peer_send(&peer, &crowd[i], NULL, 0, true);
        expect_end(&peer, &crowd[i], TERN_OK);
    }
}

/* Handlers that wait hold a thread each: not all of them are for streams. */
static void test_more_streams_than_threads(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 1;
    opts.handler_threads_max = 4;
    act = echo;
    start(&opts, TERN_EXEC_AUTO);
    for (unsigned i = 0; i < 6; i++)
        h2peer_open(&peer, &crowd[i], &bidi);
    for (unsigned i = 3; i < 6; i++)
        expect_end(&peer, &crowd[i], TERN_RESOURCE_EXHAUSTED);
    expect_served(&peer);
    expect_served(&other);
    for (unsigned i = 0; i < 3; i++) {
        h2peer_send(&peer, &crowd[i], "\0\0\0\0\1x", 6, true);
        expect_end(&peer, &crowd[i], TERN_OK);
    }
    h2peer_open(&peer, &stream, &bidi); /* there is room again */
    h2peer_send(&peer, &stream, "\0\0\0\0\1x", 6, true);
    expect_end(&peer, &stream, TERN_OK);
}

/* --- ends by force ---------------------------------------------------------------------------- */

static tern_code receive_all(tern_server_call *call)
{
    const void *data;
    size_t len;
    while (tern_server_call_recv(call, &data, &len))
        ;
    return TERN_OK;
}

static tern_code work(tern_server_call *call)
{
    int64_t until = probe_now_ms() + PATIENCE_MS;
    while (!tern_context_error(tern_server_call_context(call)) && probe_now_ms() < until)
        ;
    return TERN_OK;
}

static pthread_t finisher;

static void *finish_after_end(void *arg)
{
    tern_server_call *call = arg;
    receive_all(call);
    while (tern_server_call_send(call, "x", 1))
        probe_sleep_ms(1);
    atomic_fetch_add(&seen_cancelled,
                     tern_context_error(tern_server_call_context(call)) == TERN_CANCELLED);
    tern_server_call_finish(call, TERN_OK);
    return NULL;
}

static tern_code defer(tern_server_call *call)
{
    tern_server_call_defer(call);
    assert_int_equal(pthread_create(&finisher, NULL, finish_after_end, call), 0);
    return TERN_OK;
}

static tern_code (*const states[])(tern_server_call *) = { receive_all, send_for_ever, work,
                                                           receive_after_gate, defer };
#define N_STATES (sizeof states / sizeof states[0])

/* Ends the stream in every state its handler may be in. */
static void in_every_state(void (*end)(void), bool with_data)
{
    for (unsigned i = 0; i < N_STATES; i++) {
        act = states[i];
        atomic_store(&seen_cancelled, 0);
        atomic_store(&gate, false);
        unsigned before = atomic_load(&ended);
        peer.withhold = true;
        h2peer_open(&peer, &stream, &bidi);
        if (with_data)
            h2peer_send(&peer, &stream, "\0\0\0\0\1x\0\0\0\1\0half", 16, false);
        h2peer_settle(&peer, 50);
        assert_true(probe_wait(&begun, before + 1));
        end();
        if (act == receive_after_gate)
            atomic_store(&gate, true);
        assert_true(probe_wait(&ended, before + 1));
        assert_true(probe_wait(&seen_cancelled, 1));
        if (act == defer)
            pthread_join(finisher, NULL);
        expect_served(&other);
    }
}

static void by_reset(void) { h2peer_reset(&peer, &stream, TERN__H2_CANCEL); }

static void by_close(void)
{
    h2peer_close(&peer);
    h2peer_connect(&peer, port);
}

static void test_reset(void **state)
{
    (void)state;
    in_every_state(by_reset, false);
    in_every_state(by_reset, true);
    peer.withhold = false;
    expect_served(&peer);
}

static void test_connection_lost(void **state)
{
    (void)state;
    in_every_state(by_close, false);
    in_every_state(by_close, true);
}

static void test_deadline(void **state)
{
    (void)state;
    static const h2peer_request request = { .path = "/t.S/Bidi", .timeout = "150m" };
    for (unsigned i = 0; i < N_STATES; i++) {
        act = states[i];
        unsigned before = atomic_load(&ended);
        int64_t began = probe_now_ms();
        peer.withhold = true; /* the status comes even so */
        atomic_store(&gate, false);
        h2peer_open(&peer, &stream, &request);
        expect_end(&peer, &stream, TERN_DEADLINE_EXCEEDED);
        assert_true(probe_now_ms() - began >= 140);
        atomic_store(&gate, true);
        assert_true(probe_wait(&ended, before + 1));
        if (act == defer)
            pthread_join(finisher, NULL);
        else
            assert_int_equal(atomic_load(&seen_late), i + 1);
    }
}

static tern_code sleep_300(tern_server_call *call)
{
    (void)call;
    probe_sleep_ms(300);
    return TERN_OK;
}

/* An answer behind the deadline is none, whoever had the loop; of unary calls, too. */
static void test_late_answer(void **state)
{
    (void)state;
    static const h2peer_request requests[] = { { .path = "/t.S/Bidi", .timeout = "100m" },
                                               { .path = "/t.L/Late", .timeout = "100m" } };
    act = sleep_300;
    for (int i = 0; i < 2; i++) {
        h2peer_open(&peer, &stream, &requests[i]);
        h2peer_send(&peer, &stream, "\0\0\0\0\0", 5, true);
        expect_end(&peer, &stream, TERN_DEADLINE_EXCEEDED);
    }
}

/* The handler is done, the client does not take the rest: its deadline ends it. */
static void test_deadline_behind_handler(void **state)
{
    (void)state;
    static const h2peer_request request = { .path = "/t.S/Bidi", .timeout = "400m" };
    act = send_window; /* beyond what is left of the connection's window */
    atomic_store(&gate, true);
    peer.withhold = true;
    h2peer_open(&peer, &crowd[0], &bidi);
    expect_end(&peer, &crowd[0], TERN_ABORTED);
    crowd[0].withheld = 0;
    h2peer_open(&peer, &stream, &request);
    assert_true(probe_wait(&ended, 2));
    assert_true(h2peer_closed(&peer, &stream, PATIENCE_MS));
}

/* --- drain ------------------------------------------------------------------------------------ */

static bool went_away(void *ctx) { return ((h2peer *)ctx)->goaway; }

static void test_drain_waits_for_streams(void **state)
{
    (void)state;
    act = echo;
    h2peer_open(&peer, &stream, &bidi);
    assert_true(probe_wait(&begun, 1));
    h2peer_close(&other);
    tern_server_drain(srv, 10000);
    assert_true(h2peer_until(&peer, PATIENCE_MS, went_away, &peer));
    for (unsigned i = 0; i < 10; i++) {
        awaited = stream.data.len + 6;
        h2peer_send(&peer, &stream, "\0\0\0\0\1x", 6, false);
        assert_true(h2peer_until(&peer, PATIENCE_MS, data_came, &stream));
    }
    h2peer_send(&peer, &stream, NULL, 0, true);
    expect_end(&peer, &stream, TERN_OK);
    h2peer_close(&peer);
    tern_server_wait(srv);
}

static void test_drain_cuts_streams(void **state)
{
    (void)state;
    atomic_store(&gate, true);
    for (unsigned i = 0; i < 12; i++) {
        act = i % 3 == 0 ? receive_all : i % 3 == 1 ? send_some : work;
        h2peer_open(&peer, &crowd[i], &bidi);
        assert_true(probe_wait(&begun, i + 1));
    }
    peer.withhold = true;
    tern_server_drain(srv, 100);
    for (unsigned i = 0; i < 12; i++)
        if (i % 3 != 1)
            expect_end(&peer, &crowd[i], TERN_UNAVAILABLE);
    h2peer_close(&peer);
    h2peer_close(&other);
    tern_server_wait(srv);
    assert_int_equal(atomic_load(&ended), 12);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define TEST_POOLED(fn) { #fn ", pooled", fn, setup_pooled, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_shut_window_stops_sender),
        TEST_POOLED(test_shut_window_stops_sender),
        TEST(test_trailers_need_no_window),
        TEST(test_end_behind_what_waits),
        TEST_POOLED(test_end_behind_what_waits),
        TEST(test_deaf_peer_stops_sender),
        TEST(test_reader_stops_peer),
        TEST_POOLED(test_reader_stops_peer),
        TEST(test_crowd_that_nobody_reads),
        TEST(test_busy_sender_starves_nobody),
        TEST_POOLED(test_busy_sender_starves_nobody),
        TEST(test_waiting_streams),
        TEST_POOLED(test_waiting_streams),
        cmocka_unit_test_teardown(test_more_streams_than_threads, teardown),
        TEST(test_reset),
        TEST_POOLED(test_reset),
        TEST(test_connection_lost),
        TEST_POOLED(test_connection_lost),
        TEST(test_deadline),
        TEST_POOLED(test_deadline),
        TEST(test_late_answer),
        TEST(test_deadline_behind_handler),
        TEST(test_drain_waits_for_streams),
        TEST(test_drain_cuts_streams),
        TEST_POOLED(test_drain_cuts_streams),
    };
    return cmocka_run_group_tests_name("streams, limits", tests, NULL, NULL);
}
