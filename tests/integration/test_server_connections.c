/* A server's care for its connections (gRFC A8, A9), seen by raw HTTP/2 clients: strikes for too
 * many PINGs, its own keepalive, idleness, age and grace; and by Tern's client, which notices
 * nothing. Without handlers that sleep the time is that of a virtual clock. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tern/testing_cmocka.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/probe.h"
#include "support/rawh2.h"

#define PATIENCE_MS 10000
#define NO_ERROR 0u
#define ENHANCE_YOUR_CALM 11u
#define ECHO_PATH "/tests.v1.Probe/Nothing"
#define SLEEP_PATH "/tests.v1.Probe/Sleep"

static probe_server server;
static rawh2 raw;
static tern_testing_clock *clk; /* NULL: time is real */

static int setup_clock(void **state)
{
    (void)state;
    tern_status st;
    tern_assert_ok(tern_testing_clock_new(&clk, &st), &st);
    return 0;
}

static void start(tern_server_options *opts)
{
    opts->loops = 1;
    if (clk) {
        char target[64];
        static unsigned n;
        snprintf(target, sizeof target, "unix-abstract:tern-aged-%ld-%u", (long)getpid(), n++);
        probe_start(&server, opts, target);
        raw_connect_local(&raw, target);
        return;
    }
    probe_start(&server, opts, "ipv4:127.0.0.1:0");
    raw_connect(&raw, server.port, true);
}

static int teardown(void **state)
{
    (void)state;
    if (raw.fd >= 0)
        raw_close(&raw);
    if (clk)
        tern_testing_clock_run(clk, true, NULL);
    probe_stop(&server, 2000);
    tern_testing_clock_free(clk);
    clk = NULL;
    return 0;
}

static void advance(int64_t ms)
{
    tern_status st;
    tern_assert_ok(tern_testing_clock_advance(clk, ms, &st), &st);
}

/* The frame comes after `ms`, and no sooner. */
static void nothing_before(int64_t ms, uint8_t type)
{
    advance(ms - 1);
    assert_false(raw_has_come(&raw, type));
    advance(1);
}

static void ping(uint8_t flags, const char opaque[9])
{
    raw_put_frame(&raw, RAW_PING, flags, 0, opaque, 8);
    assert_true(raw_send(&raw));
}

/* A call that the server answers with a trailers-only status. */
static void call(uint32_t stream)
{
    raw_frame f;
    raw_put_request(&raw, stream, RAW_END_HEADERS, ECHO_PATH, NULL, NULL);
    raw_put_empty_message(&raw, stream, RAW_END_STREAM);
    assert_true(raw_send(&raw));
    do
        assert_true(raw_until(&raw, RAW_HEADERS, stream, &f, PATIENCE_MS));
    while (!(f.flags & RAW_END_STREAM));
}

static void begin_sleep(uint32_t stream, uint16_t ms)
{
    const uint8_t message[] = { 0, 0, 0, 0, 3, 0x08, (uint8_t)(0x80 | (ms & 0x7f)),
                                (uint8_t)(ms >> 7) };
    raw_put_request(&raw, stream, RAW_END_HEADERS, SLEEP_PATH, NULL, NULL);
    raw_put_frame(&raw, RAW_DATA, RAW_END_STREAM, stream, message, sizeof message);
    assert_true(raw_send(&raw));
}

static uint32_t word(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The next GOAWAY, whatever comes before it. */
static void expect_goaway(uint32_t last_stream, uint32_t error, const char *debug)
{
    raw_frame f;
    assert_true(raw_until(&raw, RAW_GOAWAY, 0, &f, PATIENCE_MS));
    assert_true(f.len >= 8);
    assert_int_equal(word(f.payload), last_stream);
    assert_int_equal(word(f.payload + 4), error);
    assert_int_equal(f.len - 8, strlen(debug));
    assert_memory_equal(f.payload + 8, debug, strlen(debug));
}

static void expect_closed(void)
{
    uint32_t error;
    assert_true(raw_closed(&raw, PATIENCE_MS, &error));
    assert_int_equal(error, UINT32_MAX);
}

/* GOAWAY(2^31-1), PING, and after its acknowledgement the final GOAWAY. */
static void expect_graceful(uint32_t last_stream, const char *debug)
{
    raw_frame f;
    expect_goaway(0x7fffffff, NO_ERROR, "");
    assert_true(raw_until(&raw, RAW_PING, 0, &f, PATIENCE_MS));
    assert_int_equal(f.flags & RAW_ACK, 0);
    raw_put_frame(&raw, RAW_PING, RAW_ACK, 0, f.payload, 8);
    assert_true(raw_send(&raw));
    expect_goaway(last_stream, NO_ERROR, debug);
}

/* --- strikes ---------------------------------------------------------------------------------- */

static void too_many_pings(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    start(&opts);
    for (int i = 0; i < 4; i++) /* one is good, two are borne */
        ping(0, "impolite");
    expect_goaway(0, ENHANCE_YOUR_CALM, "too_many_pings");
    expect_closed();
}

/* The call that runs meanwhile fails with its connection. */
static void too_many_pings_during_a_call(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    start(&opts);
    begin_sleep(1, 250);
    for (int i = 0; i < 4; i++)
        ping(0, "impolite");
    expect_goaway(1, ENHANCE_YOUR_CALM, "too_many_pings");
    expect_closed();
}

/* Whoever is sent something may ping: a PING for each answer, for ever. */
static void answers_forgive(void **state)
{
    (void)state;
    raw_frame f;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    start(&opts);
    for (uint32_t i = 0; i < 50; i++) {
        call(2 * i + 1);
        ping(0, "measured");
        assert_true(raw_until(&raw, RAW_PING, 0, &f, PATIENCE_MS));
        assert_int_equal(f.flags & RAW_ACK, RAW_ACK);
        assert_memory_equal(f.payload, "measured", 8);
    }
}

static void permitted(void **state)
{
    (void)state;
    raw_frame f;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.permit_keepalive_time_ms = 1;
    opts.permit_keepalive_without_calls = true;
    start(&opts);
    for (int i = 0; i < 20; i++) {
        advance(2);
        ping(0, "politely");
        assert_true(raw_until(&raw, RAW_PING, 0, &f, PATIENCE_MS));
        assert_int_equal(f.flags & RAW_ACK, RAW_ACK);
    }
    call(1);
}

/* The same pace without the permission for connections without calls. */
static void permitted_with_calls_only(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.permit_keepalive_time_ms = 1;
    start(&opts);
    for (int i = 0; i < 4; i++) {
        advance(2);
        ping(0, "impolite");
    }
    expect_goaway(0, ENHANCE_YOUR_CALM, "too_many_pings");
    expect_closed();
}

/* --- keepalive -------------------------------------------------------------------------------- */

static void keepalive_asks_and_is_answered(void **state)
{
    (void)state;
    raw_frame f;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.keepalive_time_ms = 20;
    opts.keepalive_timeout_ms = 5000;
    start(&opts);
    for (int i = 0; i < 5; i++) {
        nothing_before(20, RAW_PING);
        assert_true(raw_until(&raw, RAW_PING, 0, &f, PATIENCE_MS));
        assert_int_equal(f.flags & RAW_ACK, 0);
        raw_put_frame(&raw, RAW_PING, RAW_ACK, 0, f.payload, 8);
        assert_true(raw_send(&raw));
    }
    call(1);
}

static void keepalive_gives_up(void **state)
{
    (void)state;
    raw_frame f;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.keepalive_time_ms = 20;
    opts.keepalive_timeout_ms = 100;
    start(&opts);
    nothing_before(20, RAW_PING);
    assert_true(raw_until(&raw, RAW_PING, 0, &f, PATIENCE_MS));
    struct pollfd p = { .fd = raw.fd, .events = POLLIN };
    advance(99);
    assert_int_equal(poll(&p, 1, 0), 0);
    advance(1);
    expect_closed();
}

/* Any byte is a sign of life, not only the acknowledgement. */
static void keepalive_takes_any_byte(void **state)
{
    (void)state;
    raw_frame f;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.keepalive_time_ms = 50;
    opts.keepalive_timeout_ms = 1000;
    start(&opts);
    nothing_before(50, RAW_PING);
    assert_true(raw_until(&raw, RAW_PING, 0, &f, PATIENCE_MS));
    for (uint32_t stream = 1; stream < 300; stream += 2) {
        call(stream);
        advance(10);
    }
    call(9999);
}

static void user_timeout_is_set(void **state)
{
    (void)state;
    /* Seen from the client's side it can only be watched on our own socket: the server's accepted
     * socket lies in this process, so look through all descriptors for its peer. */
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.keepalive_timeout_ms = 4321;
    start(&opts);
    call(1);
    struct sockaddr_in own, peer;
    socklen_t len = sizeof own;
    unsigned found = 0;
    assert_int_equal(getsockname(raw.fd, (struct sockaddr *)&own, &len), 0);
    for (int fd = 3; fd < 1024; fd++) {
        unsigned value = 0;
        len = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &len) || peer.sin_port != own.sin_port)
            continue;
        len = sizeof value;
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &len), 0);
        assert_int_equal(value, 4321);
        found++;
    }
    assert_int_equal(found, 1);
}

/* --- ages ------------------------------------------------------------------------------------- */

static void idle(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.max_connection_idle_ms = 100;
    start(&opts);
    advance(50);
    call(1);
    nothing_before(100, RAW_GOAWAY);
    expect_graceful(1, "max_idle");
    expect_closed();
}

/* A connection that never had a call is idle from its birth. */
static void idle_from_birth(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.max_connection_idle_ms = 50;
    start(&opts);
    nothing_before(50, RAW_GOAWAY);
    expect_graceful(0, "max_idle");
    expect_closed();
}

static void not_idle_with_a_call(void **state)
{
    (void)state;
    raw_frame f;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.max_connection_idle_ms = 50;
    start(&opts);
    begin_sleep(1, 250);
    do {
        assert_true(raw_next(&raw, &f, PATIENCE_MS));
        assert_int_not_equal(f.type, RAW_GOAWAY);
    } while (f.type != RAW_HEADERS || !(f.flags & RAW_END_STREAM));
    expect_graceful(1, "max_idle");
    expect_closed();
}

/* A new call between the two GOAWAYs is served: the notice does not shut the door. */
static void old_but_graceful(void **state)
{
    (void)state;
    raw_frame f;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.max_connection_age_ms = 60;
    start(&opts);
    call(1);
    expect_goaway(0x7fffffff, NO_ERROR, "");
    call(3);
    begin_sleep(5, 150);
    assert_true(raw_send(&raw));
    uint8_t opaque[8] = "drn-earn";
    raw_put_frame(&raw, RAW_PING, RAW_ACK, 0, opaque, 8);
    assert_true(raw_send(&raw));
    expect_goaway(5, NO_ERROR, "max_age");
    do /* without a limit of the grace the call ends in its own time */
        assert_true(raw_until(&raw, RAW_HEADERS, 5, &f, PATIENCE_MS));
    while (!(f.flags & RAW_END_STREAM));
    expect_closed();
}

static void old_and_cut(void **state)
{
    (void)state;
    raw_frame f;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.max_connection_age_ms = 60;
    opts.max_connection_age_grace_ms = 60;
    start(&opts);
    int64_t began = probe_now_ms();
    for (uint32_t i = 0; i < 8; i++)
        begin_sleep(2 * i + 1, 5000); /* until it is cut */
    expect_graceful(15, "max_age");
    assert_true(raw_until(&raw, RAW_HEADERS, 0, &f, PATIENCE_MS)); /* UNAVAILABLE, trailers-only */
    assert_int_equal(f.flags & RAW_END_STREAM, RAW_END_STREAM);
    int64_t took = probe_now_ms() - began;
    assert_true(took >= 110);
    expect_closed();
}

/* Tern's client goes from connection to connection and loses no call. */
static void a_client_notices_nothing(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.max_connection_age_ms = 40;
    opts.max_connection_age_grace_ms = 5000;
    start(&opts);
    tern_channel *ch = probe_channel(server.target);
    tern_channel_stats stats;
    int64_t began = probe_now_ms();
    tern_status st;
    unsigned calls = 0;
    while (probe_now_ms() - began < 500) {
        if (probe_echo(ch, NULL, "on and on", &st) != TERN_OK)
            fail_msg("%s", st.message);
        calls++;
        probe_sleep_ms(1);
    }
    tern_channel_stats_get(ch, &stats);
    assert_in_range(stats.connects, 4, 30);
    assert_int_equal(stats.calls_failed, 0);
    assert_int_equal(stats.calls, calls);
    tern_channel_free(ch);
}

static void odd_options(void **state)
{
    (void)state;
    tern_server *srv;
    tern_status st;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.receive_window_bytes_max = TERN_LIMIT_WINDOW_BYTES_MAX + 1;
    assert_int_equal(tern_server_new(&opts, &srv, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "receive_window_bytes_max"));
    /* Everything "never": a server that leaves its connections alone. */
    tern_server_options never = TERN_SERVER_OPTIONS_INIT;
    never.keepalive_time_ms = never.keepalive_timeout_ms = TERN_NEVER_MS;
    never.max_connection_idle_ms = never.max_connection_age_ms = TERN_NEVER_MS;
    never.max_connection_age_grace_ms = never.permit_keepalive_time_ms = TERN_NEVER_MS;
    start(&never);
    call(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(too_many_pings, teardown),
        cmocka_unit_test_teardown(too_many_pings_during_a_call, teardown),
        cmocka_unit_test_teardown(answers_forgive, teardown),
        cmocka_unit_test_setup_teardown(permitted, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(permitted_with_calls_only, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(keepalive_asks_and_is_answered, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(keepalive_gives_up, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(keepalive_takes_any_byte, setup_clock, teardown),
        cmocka_unit_test_teardown(user_timeout_is_set, teardown),
        cmocka_unit_test_setup_teardown(idle, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(idle_from_birth, setup_clock, teardown),
        cmocka_unit_test_teardown(not_idle_with_a_call, teardown),
        cmocka_unit_test_teardown(old_but_graceful, teardown),
        cmocka_unit_test_teardown(old_and_cut, teardown),
        cmocka_unit_test_teardown(a_client_notices_nothing, teardown),
        cmocka_unit_test_teardown(odd_options, teardown),
    };
    return cmocka_run_group_tests_name("server connections", tests, NULL, NULL);
}
