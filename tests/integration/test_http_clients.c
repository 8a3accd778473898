/* Clients that speak HTTP/2 but not gRPC, a browser or a misdirected upload: they get an HTTP
 * status and a text, and may finish what they send; what they send wrong is answered as HTTP/2
 * wants it. h2spec (make h2spec) sends nothing but such requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "support/probe.h"
#include "support/rawh2.h"

#define PATIENCE_MS 10000
#define METHOD_PATH "/tests.v1.Probe/Nothing"
#define TEXT_PART "gRPC server"

static probe_server server;
static rawh2 raw;
static raw_frame frame;

static int setup(void **state)
{
    (void)state;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    probe_stop(&server, 1000);
    return 0;
}

/* HEADERS of a request with that method; content-type and content-length unless NULL. */
static void put_request(uint32_t stream, uint8_t flags, const char *method, const char *type,
                        const char *length)
{
    uint8_t block[512];
    size_t n = 0;
    raw_field(block, &n, ":method", method);
    raw_field(block, &n, ":scheme", "http");
    raw_field(block, &n, ":path", METHOD_PATH);
    raw_field(block, &n, ":authority", "test");
    if (type)
        raw_field(block, &n, "content-type", type);
    if (length)
        raw_field(block, &n, "content-length", length);
    raw_put_frame(&raw, RAW_HEADERS, flags | RAW_END_HEADERS, stream, block, n);
}

static void send_all(void)
{
    assert_true(raw_send(&raw));
}

/* The next frame for a stream, whatever it is. */
static void next_of(uint32_t stream)
{
    do
        assert_true(raw_next(&raw, &frame, PATIENCE_MS));
    while (frame.stream != stream);
}

/* Headers, and unless HEAD a text, with END_STREAM at the end and no reset before it. */
static void expect_answer(uint32_t stream, bool body)
{
    next_of(stream);
    assert_int_equal(frame.type, RAW_HEADERS);
    if (!body) {
        assert_true(frame.flags & RAW_END_STREAM);
        return;
    }
    assert_false(frame.flags & RAW_END_STREAM);
    next_of(stream);
    assert_int_equal(frame.type, RAW_DATA);
    assert_true(frame.flags & RAW_END_STREAM);
    frame.payload[frame.len] = '\0';
    assert_non_null(strstr((const char *)frame.payload, TEXT_PART));
}

/* The connection is as good as before. */
static void expect_ping(void)
{
    raw_put_frame(&raw, RAW_PING, 0, 0, "are-you-", 8);
    send_all();
    assert_true(raw_until(&raw, RAW_PING, 0, &frame, PATIENCE_MS));
    assert_true(frame.flags & RAW_ACK);
}

static void browser(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    put_request(1, RAW_END_STREAM, "GET", NULL, NULL);
    send_all();
    expect_answer(1, true);
    put_request(3, RAW_END_STREAM, "HEAD", NULL, NULL);
    send_all();
    expect_answer(3, false);
    put_request(5, RAW_END_STREAM, "POST", "text/html", NULL);
    send_all();
    expect_answer(5, true);
    expect_ping();
    raw_close(&raw);
}

/* An upload: it is told at once, and may go on to its end. */
static void upload(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    put_request(1, 0, "POST", "text/plain", "8");
    send_all();
    expect_answer(1, true);
    raw_put_frame(&raw, RAW_DATA, 0, 1, "half", 4);
    raw_put_frame(&raw, RAW_DATA, RAW_END_STREAM, 1, "half", 4);
    raw_put_frame(&raw, RAW_PING, 0, 0, "are-you-", 8);
    send_all();
    /* No RST_STREAM before the acknowledgement. */
    do {
        assert_true(raw_next(&raw, &frame, PATIENCE_MS));
        assert_int_not_equal(frame.type, RAW_RST_STREAM);
    } while (frame.type != RAW_PING);
    raw_close(&raw);
}

/* Its length is not what it said: that one stream is reset. */
static void wrong_length(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    put_request(1, 0, "POST", "text/plain", "1");
    raw_put_frame(&raw, RAW_DATA, RAW_END_STREAM, 1, "test", 4);
    send_all();
    assert_true(raw_until(&raw, RAW_RST_STREAM, 1, &frame, PATIENCE_MS));
    assert_int_equal(frame.payload[3], 1); /* PROTOCOL_ERROR */
    expect_ping();
    raw_close(&raw);
}

/* An upload without an end is let in for one window and no more. */
static void endless(void **state)
{
    static const uint8_t data[16000];
    (void)state;
    raw_connect(&raw, server.port, true);
    put_request(1, 0, "POST", "text/plain", NULL);
    send_all();
    expect_answer(1, true);
    for (size_t sent = 0; sent + sizeof data <= TERN_LIMIT_STREAM_WINDOW_BYTES;
         sent += sizeof data) {
        raw_put_frame(&raw, RAW_DATA, 0, 1, data, sizeof data);
        send_all();
    }
    raw_put_frame(&raw, RAW_PING, 0, 0, "are-you-", 8);
    send_all();
    do {
        assert_true(raw_next(&raw, &frame, PATIENCE_MS));
        assert_false(frame.type == RAW_WINDOW_UPDATE && frame.stream == 1);
    } while (!(frame.type == RAW_PING && (frame.flags & RAW_ACK)));
    raw_close(&raw);
}

/* The connection ends with a GOAWAY of this code. */
static void expect_goaway(uint32_t code)
{
    uint32_t error;
    send_all();
    assert_true(raw_closed(&raw, PATIENCE_MS, &error));
    assert_int_equal(error, code);
    raw_close(&raw);
}

/* What nghttp2 lets pass (rpc/h2/watch.h), over a socket, where the stream is closed in between. */
static void after_the_end(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    put_request(1, RAW_END_STREAM, "GET", NULL, NULL);
    send_all();
    expect_answer(1, true);
    raw_put_frame(&raw, RAW_DATA, RAW_END_STREAM, 1, "test", 4);
    expect_goaway(5); /* STREAM_CLOSED */

    raw_connect(&raw, server.port, true);
    put_request(5, RAW_END_STREAM, "GET", NULL, NULL);
    put_request(3, RAW_END_STREAM, "GET", NULL, NULL);
    expect_goaway(1); /* PROTOCOL_ERROR */

    raw_connect(&raw, server.port, true);
    raw_put_frame(&raw, RAW_PRIORITY, 0, 0, "\0\0\0\1\17", 5);
    expect_goaway(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(browser),       cmocka_unit_test(upload),  cmocka_unit_test(wrong_length),
        cmocka_unit_test(after_the_end), cmocka_unit_test(endless),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
