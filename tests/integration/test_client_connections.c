/* A client's care for its connections (gRFC A8, A18), against servers that the test plays by
 * hand: keepalive, whoever waits and however; fewer PINGs when a server has had enough; idle
 * connections; windows that grow. Where time is what matters it is that of a virtual clock; real
 * is what waits by the kernel's own limit, and what is TCP's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tern/testing_cmocka.h>

#include "client/channel.h"
#include "h2/session.h"
#include "support/probe.h"
#include "support/rawh2.h"

#define PATIENCE_MS 10000
#define NO_ERROR 0u
#define ENHANCE_YOUR_CALM 11u

static const tern_method method = { .path = "/t.T/M" };
static int listen_fd;
static rawh2 raw;
static tern_channel_options options;
static tern_channel *channel;
static tern_testing_clock *clk; /* NULL: time is real */

/* A PING that came before a request: on real time a busy machine may take that long. */
static raw_frame early;
static bool is_early;

static int setup(void **state)
{
    (void)state;
    tern__channel_keepalive_floor_ms = 1;
    raw.fd = -1;
    is_early = false;
    options = (tern_channel_options)TERN_CHANNEL_OPTIONS_INIT;
    options.reconnect_backoff_ms = 10;
    options.retry.disabled = true;
    options.breaker.disabled = true;
    return 0;
}

static int setup_clock(void **state)
{
    tern_status st;
    tern_assert_ok(tern_testing_clock_new(&clk, &st), &st);
    return setup(state);
}

static int teardown(void **state)
{
    (void)state;
    if (raw.fd >= 0)
        raw_close(&raw);
    tern_channel_free(channel);
    channel = NULL;
    close(listen_fd);
    tern_testing_clock_free(clk);
    clk = NULL;
    tern__channel_keepalive_floor_ms = TERN_LIMIT_KEEPALIVE_MS_MIN;
    return 0;
}

static void open_channel(void)
{
    uint16_t port;
    char target[64];
    listen_fd = clk ? raw_listen_local(target) : raw_listen(&port);
    if (!clk)
        snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    channel = probe_channel_with(target, &options);
}

/* --- callers ---------------------------------------------------------------------------------- */

typedef struct caller {
    pthread_t thread;
    tern_call_options opts;
    tern_code code;
    tern_status st;
    size_t len;
} caller;

static void *run_caller(void *arg)
{
    caller *c = arg;
    void *bytes = NULL;
    c->st.message[0] = '\0';
    c->code = tern_call_unary(channel, &method, &c->opts, "", 0, &bytes, &c->len, &c->st);
    if (c->code == TERN_OK)
        free(bytes);
    return NULL;
}

static void begin(caller *c)
{
    assert_int_equal(pthread_create(&c->thread, NULL, run_caller, c), 0);
}

static void end(caller *c, tern_code code)
{
    pthread_join(c->thread, NULL);
    if (c->code != code)
        fail_msg("code %d, not %d: %s", (int)c->code, (int)code, c->st.message);
}

static caller new_caller(void)
{
    return (caller){ .opts = TERN_CALL_OPTIONS_INIT };
}

/* --- the server's side ------------------------------------------------------------------------ */

static void expect_request(uint32_t stream)
{
    raw_frame f;
    do {
        assert_true(raw_next(&raw, &f, PATIENCE_MS));
        if (f.type == RAW_PING && !(f.flags & RAW_ACK)) {
            early = f;
            is_early = true;
        }
    } while (f.type != RAW_HEADERS || f.stream != stream);
}

static void accept_request(void)
{
    assert_true(raw_accept(&raw, listen_fd, PATIENCE_MS));
    expect_request(1);
}

static void answer(uint32_t stream)
{
    uint8_t block[256];
    size_t n = 0;
    raw_field(block, &n, ":status", "200");
    raw_field(block, &n, "content-type", "application/grpc");
    raw_put_frame(&raw, RAW_HEADERS, RAW_END_HEADERS, stream, block, n);
    raw_put_empty_message(&raw, stream, 0);
    n = 0;
    raw_field(block, &n, "grpc-status", "0");
    raw_put_frame(&raw, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, stream, block, n);
    assert_true(raw_send(&raw));
}

/* The next PING that is a question; answered or not. */
static void expect_ping(bool acknowledge)
{
    raw_frame f = early;
    while (!is_early || f.flags & RAW_ACK) {
        assert_true(raw_until(&raw, RAW_PING, 0, &f, PATIENCE_MS));
        is_early = true;
    }
    is_early = false;
    if (!acknowledge)
        return;
    raw_put_frame(&raw, RAW_PING, RAW_ACK, 0, f.payload, 8);
    assert_true(raw_send(&raw));
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

static void expect_goaway(uint32_t error)
{
    uint32_t got;
    assert_true(raw_closed(&raw, PATIENCE_MS, &got));
    assert_int_equal(got, error);
}

/* --- keepalive -------------------------------------------------------------------------------- */

/* How a call can wait: asleep in the read, in poll, as one of several. */
enum { LONE, WITH_DEADLINE, WITH_CONTEXT, SEVERAL, WAYS };

/* On real time there is one request only: another might come when the connection is dead. */
static bool is_timed(int way) { return way >= WITH_CONTEXT; }

static void make_callers(int way, caller c[3], tern_context **ret_context)
{
    for (int i = 0; i < 3; i++)
        c[i] = new_caller();
    *ret_context = way == WITH_CONTEXT ? tern_context_new(NULL, 0) : NULL;
    c[0].opts.context = *ret_context;
    if (way == WITH_DEADLINE)
        c[0].opts.timeout_ms = 60000;
}

static void pings_while_a_call_waits(void **state)
{
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        caller c[3];
        tern_context *context;
        uint32_t n = way == SEVERAL ? 3 : 1;
        if (is_timed(way))
            setup_clock(NULL);
        options.keepalive_time_ms = 20;
        options.keepalive_timeout_ms = 5000;
        open_channel();
        make_callers(way, c, &context);
        begin(&c[0]);
        accept_request();
        for (uint32_t i = 1; i < n; i++) {
            begin(&c[i]);
            expect_request(2 * i + 1);
        }
        int64_t began = probe_now_ms();
        for (int i = 0; i < 5; i++) {
            if (is_timed(way))
                nothing_before(20, RAW_PING);
            expect_ping(true);
        }
        assert_true(is_timed(way) || probe_now_ms() - began >= 4 * 20 - 5);
        for (uint32_t i = 0; i < n; i++)
            answer(2 * i + 1);
        for (uint32_t i = 0; i < n; i++)
            end(&c[i], TERN_OK);
        tern_context_free(context);
        teardown(NULL);
        setup(NULL);
    }
    open_channel();
}

static void a_dead_connection_fails_its_calls(void **state)
{
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        caller c[3];
        tern_context *context;
        uint32_t n = way == SEVERAL ? 3 : 1;
        if (is_timed(way))
            setup_clock(NULL);
        options.keepalive_time_ms = 30;
        options.keepalive_timeout_ms = 400;
        open_channel();
        make_callers(way, c, &context);
        begin(&c[0]);
        accept_request();
        int64_t began = probe_now_ms();
        for (uint32_t i = 1; i < n; i++) {
            begin(&c[i]);
            expect_request(2 * i + 1);
        }
        if (is_timed(way))
            nothing_before(30, RAW_PING);
        expect_ping(false);
        if (is_timed(way))
            advance(400);
        for (uint32_t i = 0; i < n; i++) {
            end(&c[i], TERN_UNAVAILABLE);
            assert_non_null(strstr(c[i].st.message, "keepalive"));
        }
        assert_true(is_timed(way) || probe_now_ms() - began >= 400);
        tern_context_free(context);
        teardown(NULL);
        setup(NULL);
    }
    open_channel();
}

/* Bytes of any kind are a sign of life. */
static void any_byte_will_do(void **state)
{
    (void)state;
    caller c = new_caller();
    options.keepalive_time_ms = 30;
    options.keepalive_timeout_ms = 200;
    open_channel();
    begin(&c);
    accept_request();
    advance(30);
    expect_ping(false);
    for (int i = 0; i < 60; i++) { /* three times the timeout */
        raw_put_frame(&raw, RAW_PING, 0, 0, "sign o.l", 8);
        assert_true(raw_send(&raw));
        advance(10);
    }
    answer(1);
    end(&c, TERN_OK);
}

static void silent_without_calls(void **state)
{
    (void)state;
    caller c = new_caller();
    options.keepalive_time_ms = 20;
    open_channel();
    begin(&c);
    accept_request();
    answer(1);
    end(&c, TERN_OK);
    advance(400);
    assert_false(raw_has_come(&raw, RAW_PING));
    /* The next call is preceded by a PING: the connection was silent for longer than the time. */
    raw_frame f;
    c = new_caller();
    begin(&c);
    do
        assert_true(raw_next(&raw, &f, PATIENCE_MS));
    while (f.type != RAW_PING && f.type != RAW_HEADERS);
    assert_int_equal(f.type, RAW_PING);
    expect_request(3);
    answer(3);
    end(&c, TERN_OK);
}

static void pings_without_calls_if_asked_to(void **state)
{
    (void)state;
    caller c = new_caller();
    options.keepalive_time_ms = 30;
    options.keepalive_timeout_ms = 200;
    options.keepalive_without_calls = true;
    open_channel();
    begin(&c);
    accept_request();
    answer(1);
    end(&c, TERN_OK);
    for (int i = 0; i < 3; i++) {
        nothing_before(30, RAW_PING);
        expect_ping(true);
    }
    nothing_before(30, RAW_PING);
    expect_ping(false);
    advance(200);
    expect_goaway(UINT32_MAX); /* dead: closed without a word */
    raw_close(&raw);
    c = new_caller();
    begin(&c);
    accept_request(); /* a new connection */
    answer(1);
    end(&c, TERN_OK);
}

static void never_below_the_floor(void **state)
{
    (void)state;
    caller c = new_caller();
    tern__channel_keepalive_floor_ms = TERN_LIMIT_KEEPALIVE_MS_MIN;
    options.keepalive_time_ms = 1;
    open_channel();
    begin(&c);
    accept_request();
    nothing_before(TERN_LIMIT_KEEPALIVE_MS_MIN, RAW_PING);
    expect_ping(true);
    answer(1);
    end(&c, TERN_OK);
}

static void off_by_default(void **state)
{
    (void)state;
    caller c = new_caller();
    open_channel();
    begin(&c);
    accept_request();
    advance(7 * 24 * 3600000);
    assert_false(raw_has_come(&raw, RAW_PING));
    answer(1);
    end(&c, TERN_OK);
}

/* A stream on which the program is busy with something else: nobody waits, the background does. */
static void pings_while_nobody_waits(void **state)
{
    (void)state;
    static const tern_method bidi = { .path = "/t.T/B", .kind = TERN_KIND_BIDI_STREAMING };
    tern_stream *s;
    tern_status st;
    options.keepalive_time_ms = 30;
    options.keepalive_timeout_ms = 300;
    open_channel();
    /* The connection is there before: this thread plays both sides. */
    caller c = new_caller();
    begin(&c);
    accept_request();
    answer(1);
    end(&c, TERN_OK);
    assert_int_equal(tern_stream_open(channel, &bidi, NULL, &s, &st), TERN_OK);
    expect_request(3);
    for (int i = 0; i < 5; i++) {
        nothing_before(30, RAW_PING);
        expect_ping(i < 4);
    }
    advance(300);
    expect_goaway(UINT32_MAX);
    const void *message;
    size_t len;
    assert_false(tern_stream_recv(s, &message, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "keepalive"));
}

/* GOAWAY too_many_pings doubles the time for the connections that follow (A8). */
static void pings_less_when_told(void **state)
{
    (void)state;
    static const char debug[] = "\0\0\0\1\0\0\0\13too_many_pings";
    options.keepalive_time_ms = 100;
    options.keepalive_timeout_ms = 5000;
    open_channel();
    for (int round = 0; round < 3; round++) {
        caller c = new_caller();
        begin(&c);
        accept_request();
        nothing_before(100 << round, RAW_PING);
        expect_ping(true);
        raw_put_frame(&raw, RAW_GOAWAY, 0, 0, debug, sizeof debug - 1);
        assert_true(raw_send(&raw));
        raw_close(&raw);
        end(&c, TERN_UNAVAILABLE);
        assert_non_null(strstr(c.st.message, "too_many_pings"));
    }
    assert_int_equal(channel->sub.upkeep.keepalive_time / 1000000, 800);
}

/* What the server says goes into a message that a person reads: nothing that a terminal obeys. */
static void last_words_are_cleaned(void **state)
{
    (void)state;
    static const char debug[] = "\0\0\0\1\0\0\0\0bye\033[2J\nnow\xff\0.";
    open_channel();
    caller c = new_caller();
    begin(&c);
    accept_request();
    raw_put_frame(&raw, RAW_GOAWAY, 0, 0, debug, sizeof debug - 1);
    assert_true(raw_send(&raw));
    raw_close(&raw);
    end(&c, TERN_UNAVAILABLE);
    assert_non_null(strstr(c.st.message, "bye?[2J?now??."));
}

/* --- TCP_USER_TIMEOUT ------------------------------------------------------------------------- */

/* As it is set on the client's socket, which lies in this process. */
static unsigned user_timeout(void)
{
    struct sockaddr_in own, peer;
    socklen_t len = sizeof own;
    unsigned value = UINT32_MAX;
    assert_int_equal(getsockname(raw.fd, (struct sockaddr *)&own, &len), 0);
    for (int fd = 3; fd < 1024; fd++) {
        len = sizeof peer;
        if (fd == raw.fd || getpeername(fd, (struct sockaddr *)&peer, &len) ||
            peer.sin_port != own.sin_port)
            continue;
        len = sizeof value;
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &len), 0);
    }
    return value;
}

static void user_timeout_goes_with_keepalive(void **state)
{
    (void)state;
    for (int on = 0; on < 2; on++) {
        caller c = new_caller();
        options.keepalive_time_ms = on ? 60000 : 0;
        options.keepalive_timeout_ms = 7654;
        open_channel();
        begin(&c);
        accept_request();
        assert_int_equal(user_timeout(), on ? 7654 : 0);
        answer(1);
        end(&c, TERN_OK);
        teardown(NULL);
        setup(NULL);
    }
    open_channel();
}

/* --- idle connections ------------------------------------------------------------------------- */

static void idle_is_closed_and_the_next_call_connects(void **state)
{
    (void)state;
    tern_channel_stats stats;
    options.idle_timeout_ms = 1800000;
    open_channel();
    for (unsigned i = 1; i <= 3; i++) {
        caller c = new_caller();
        begin(&c);
        accept_request();
        answer(1);
        end(&c, TERN_OK);
        nothing_before(1800000, RAW_GOAWAY);
        expect_goaway(NO_ERROR);
        raw_close(&raw);
        tern_channel_stats_get(channel, &stats);
        assert_int_equal(stats.connects, i);
        assert_int_equal(stats.calls_failed, 0);
    }
}

static void not_idle_with_a_call(void **state)
{
    (void)state;
    caller c = new_caller();
    options.idle_timeout_ms = 100;
    open_channel();
    begin(&c);
    accept_request();
    advance(350);
    answer(1);
    end(&c, TERN_OK);
    nothing_before(100, RAW_GOAWAY);
    expect_goaway(NO_ERROR);
}

/* A stream that nobody waits on is a call; idleness begins with its end. */
static void not_idle_with_a_stream(void **state)
{
    (void)state;
    static const tern_method bidi = { .path = "/t.T/B", .kind = TERN_KIND_BIDI_STREAMING };
    tern_stream *s;
    tern_status st;
    options.idle_timeout_ms = 150;
    open_channel();
    caller c = new_caller();
    begin(&c);
    accept_request();
    answer(1);
    end(&c, TERN_OK);
    assert_int_equal(tern_stream_open(channel, &bidi, NULL, &s, &st), TERN_OK);
    expect_request(3);
    advance(500);
    assert_false(raw_has_come(&raw, RAW_GOAWAY));
    tern_stream_cancel(s);
    assert_int_equal(tern_stream_finish(s, &st), TERN_CANCELLED);
    nothing_before(150, RAW_GOAWAY);
    expect_goaway(NO_ERROR);
}

static void never_idle(void **state)
{
    (void)state;
    caller c = new_caller();
    options.idle_timeout_ms = TERN_NEVER_MS;
    open_channel();
    begin(&c);
    accept_request();
    answer(1);
    end(&c, TERN_OK);
    advance(TERN_TESTING_CLOCK_MS_MAX);
    assert_false(raw_has_come(&raw, RAW_GOAWAY));
}

/* --- windows ---------------------------------------------------------------------------------- */

static uint32_t word(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A message of `len` bytes as far as the stream's window of `window` allows, then nothing. */
static void send_bulk(uint32_t len, uint32_t window)
{
    static uint8_t zeros[16384];
    uint8_t block[256], prefix[5] = { 0, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                      (uint8_t)(len >> 8), (uint8_t)len };
    size_t n = 0;
    raw_field(block, &n, ":status", "200");
    raw_field(block, &n, "content-type", "application/grpc");
    raw_put_frame(&raw, RAW_HEADERS, RAW_END_HEADERS, 1, block, n);
    raw_put_frame(&raw, RAW_DATA, 0, 1, prefix, sizeof prefix);
    assert_true(raw_send(&raw));
    for (uint32_t sent = 5; sent < window; sent += (uint32_t)n) {
        n = window - sent < sizeof zeros ? window - sent : sizeof zeros;
        raw_put_frame(&raw, RAW_DATA, 0, 1, zeros, n);
        assert_true(raw_send(&raw));
    }
}

/* A whole window arrives between the measuring PING and its acknowledgement: SETTINGS and
 * WINDOW_UPDATE announce larger ones. */
static void windows_grow(void **state)
{
    (void)state;
    const uint32_t first = TERN_LIMIT_STREAM_WINDOW_BYTES;
    raw_frame f;
    uint32_t stream_window = 0;
    caller c = new_caller();
    c.opts.receive_message_bytes_max = 64u * 1024 * 1024;
    open_channel();
    begin(&c);
    accept_request();
    send_bulk(32u * 1024 * 1024, first);
    const uint64_t own = TERN__H2_PING_BDP;
    assert_true(raw_until(&raw, RAW_PING, 0, &f, PATIENCE_MS));
    assert_memory_equal(f.payload, &own, 8);
    raw_put_frame(&raw, RAW_PING, RAW_ACK, 0, f.payload, 8);
    assert_true(raw_send(&raw));
    do
        assert_true(raw_until(&raw, RAW_SETTINGS, 0, &f, PATIENCE_MS));
    while (f.flags & RAW_ACK);
    for (uint32_t at = 0; at + 6 <= f.len; at += 6)
        if (f.payload[at] == 0 && f.payload[at + 1] == 4)
            stream_window = word(f.payload + at + 2);
    assert_in_range(stream_window, first + 1, 2 * first);
    raw_close(&raw);
    end(&c, TERN_UNAVAILABLE);
}

static void windows_stay_if_told(void **state)
{
    (void)state;
    raw_frame f;
    caller c = new_caller();
    c.opts.receive_message_bytes_max = 64u * 1024 * 1024;
    options.receive_window_bytes_max = 100 * 1024;
    open_channel();
    begin(&c);
    accept_request();
    send_bulk(32u * 1024 * 1024, 100 * 1024);
    assert_false(raw_until(&raw, RAW_PING, 0, &f, 300));
    raw_close(&raw);
    end(&c, TERN_UNAVAILABLE);
}

static void odd_options(void **state)
{
    (void)state;
    tern_channel *ch;
    tern_status st;
    options.receive_window_bytes_max = TERN_LIMIT_WINDOW_BYTES_MAX + 1;
    assert_int_equal(tern_channel_new("ipv4:127.0.0.1:1", &options, &ch, &st),
                     TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "receive_window_bytes_max"));
    options.receive_window_bytes_max = 0;
    open_channel();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TIMED(f) cmocka_unit_test_setup_teardown(f, setup_clock, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pings_while_a_call_waits),
        TEST(a_dead_connection_fails_its_calls),
        TIMED(any_byte_will_do),
        TIMED(silent_without_calls),
        TIMED(pings_without_calls_if_asked_to),
        TIMED(never_below_the_floor),
        TIMED(off_by_default),
        TIMED(pings_while_nobody_waits),
        TIMED(pings_less_when_told),
        TIMED(last_words_are_cleaned),
        TEST(user_timeout_goes_with_keepalive),
        TIMED(idle_is_closed_and_the_next_call_connects),
        TIMED(not_idle_with_a_call),
        TIMED(not_idle_with_a_stream),
        TIMED(never_idle),
        TEST(windows_grow),
        TEST(windows_stay_if_told),
        TEST(odd_options),
    };
    return cmocka_run_group_tests_name("client connections", tests, NULL, NULL);
}
