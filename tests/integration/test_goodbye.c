/* The end of a connection on a server: what was sent must arrive, though the client still has
 * something to say that nobody will read. A socket that is closed at once answers that with a
 * reset, and the reset throws away what is under way. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "support/probe.h"
#include "support/rawh2.h"
#include "tests/v1/probe.tern.h"

#define PATIENCE_MS 10000
#define ANSWER_BYTES 300000u
#define WINDOW "\0\x10\0\0" /* 1 MiB */

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

/* A client whose socket takes little at a time: most of a long answer waits on the server's
 * side. */
static void connect_small(void)
{
    static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(server.port) };
    int bytes = 4096;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    raw.n_out = 0;
    raw.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(raw.fd >= 0);
    assert_int_equal(setsockopt(raw.fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
    assert_int_equal(connect(raw.fd, (struct sockaddr *)&a, sizeof a), 0);
    raw_put(&raw, hello, sizeof hello - 1);
    raw_put_frame(&raw, RAW_SETTINGS, 0, 0, "\0\4" WINDOW, 6);
    raw_put_frame(&raw, RAW_WINDOW_UPDATE, 0, 0, WINDOW, 4);
}

static void put_echo(uint32_t stream, uint32_t answer_bytes)
{
    Tests__V1__EchoRequest req = TESTS__V1__ECHO_REQUEST__INIT;
    uint8_t body[64] = { 0 };
    req.answer_bytes = answer_bytes;
    size_t len = tests__v1__echo_request__pack(&req, body + 5);
    body[4] = (uint8_t)len;
    raw_put_request(&raw, stream, RAW_END_HEADERS, "/tests.v1.Probe/Echo", NULL, NULL);
    raw_put_frame(&raw, RAW_DATA, RAW_END_STREAM, stream, body, 5 + len);
}

static void ping(void)
{
    raw_put_frame(&raw, RAW_PING, 0, 0, "too-late", 8);
    assert_true(raw_send(&raw));
}

/* The whole answer, and behind it the end of the connection. */
static void expect_answer(uint32_t stream)
{
    size_t got = 0;
    bool ended = false;
    while (raw_next(&raw, &frame, PATIENCE_MS)) {
        if (frame.stream != stream)
            continue;
        got += frame.type == RAW_DATA ? frame.len : 0;
        ended |= frame.flags & RAW_END_STREAM;
    }
    assert_true(got > ANSWER_BYTES);
    assert_true(ended);
}

static void unread_words(void **state)
{
    (void)state;
    unsigned before = atomic_load(&server.calls);
    connect_small();
    put_echo(1, ANSWER_BYTES);
    raw_put_frame(&raw, RAW_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
    assert_true(raw_send(&raw));
    assert_true(probe_wait(&server.calls, before + 1));
    probe_sleep_ms(200); /* the server has written all, and nothing is left for it to do */
    ping();
    probe_sleep_ms(100);
    expect_answer(1);
    raw_close(&raw);
}

/* A client that goes on and on, or never closes, is not waited for without end. */
static void never_closes(void **state)
{
    static const uint8_t zeros[16000];
    uint32_t error;
    (void)state;
    raw_connect(&raw, server.port, true);
    raw_put_frame(&raw, RAW_DATA, 0, 1, "idle", 4); /* PROTOCOL_ERROR */
    assert_true(raw_send(&raw));
    assert_true(raw_closed(&raw, PATIENCE_MS, &error));
    assert_int_equal(error, 1);
    int64_t began = probe_now_ms();
    bool taken = true;
    while (taken && probe_now_ms() - began < PATIENCE_MS) {
        raw_put_frame(&raw, RAW_DATA, 0, 1, zeros, sizeof zeros);
        taken = raw_send(&raw);
    }
    assert_false(taken);
    raw_close(&raw);

    raw_connect(&raw, server.port, true);
    raw_put_frame(&raw, RAW_DATA, 0, 1, "idle", 4);
    assert_true(raw_send(&raw));
    assert_true(raw_closed(&raw, PATIENCE_MS, &error));
    taken = true;
    for (began = probe_now_ms(); taken && probe_now_ms() - began < PATIENCE_MS;) {
        probe_sleep_ms(100);
        raw_put_frame(&raw, RAW_PING, 0, 0, "any-body", 8);
        taken = raw_send(&raw);
    }
    assert_false(taken);
    raw_close(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unread_words),
        cmocka_unit_test(never_closes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
