/* Peers that break the rules of HTTP/2 or mean harm: their own connection is closed or their own
 * stream fails, the server lives, and an honest client beside them is served all the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/probe.h"
#include "support/rawh2.h"

#define HANDSHAKE_MS 200
/* More than any honest call takes here, sanitizers included. */
#define PATIENCE_MS 10000
/* What a call may take beside an attack; a busy machine alone takes two seconds at times. */
#define HONEST_MS_MAX 5000
#define NO_ERROR 0u
#define ENHANCE_YOUR_CALM 11u
#define ECHO_PATH "/tests.v1.Probe/Nothing"

static probe_server server;
static rawh2 raw;

/* --- the honest client beside ----------------------------------------------------------------- */

static struct {
    pthread_t thread;
    atomic_bool stop;
    atomic_uint served, failed;
    int64_t slowest_ms;
    tern_status st;
} honest;

static void *be_honest(void *arg)
{
    tern_channel *ch = arg;
    while (!atomic_load(&honest.stop)) {
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        int64_t began = probe_now_ms();
        opts.timeout_ms = PATIENCE_MS;
        if (probe_echo(ch, &opts, "honest", &honest.st) != TERN_OK) {
            atomic_fetch_add(&honest.failed, 1);
            break;
        }
        if (probe_now_ms() - began > honest.slowest_ms)
            honest.slowest_ms = probe_now_ms() - began;
        atomic_fetch_add(&honest.served, 1);
        probe_sleep_ms(1);
    }
    tern_channel_free(ch);
    return NULL;
}

static int setup(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 1; /* attacker and honest client share everything */
    opts.handshake_timeout_ms = HANDSHAKE_MS;
    probe_start(&server, &opts, "ipv4:127.0.0.1:0");
    memset(&honest, 0, sizeof honest);
    return pthread_create(&honest.thread, NULL, be_honest, probe_channel(server.target)) ||
           !probe_wait(&honest.served, 1);
}

static int teardown(void **state)
{
    (void)state;
    unsigned before = atomic_load(&honest.served);
    bool served = probe_wait(&honest.served, before + 3); /* calls that began after the attack */
    atomic_store(&honest.stop, true);
    pthread_join(honest.thread, NULL);
    if (raw.fd > 0)
        raw_close(&raw);
    probe_stop(&server, 2000);
    if (!served || atomic_load(&honest.failed)) {
        print_message("the honest client: %u served, %u failed: %s\n", atomic_load(&honest.served),
                      atomic_load(&honest.failed), honest.failed ? honest.st.message : "");
        return -1;
    }
    if (honest.slowest_ms > HONEST_MS_MAX) {
        print_message("the honest client waited %lld ms\n", (long long)honest.slowest_ms);
        return -1;
    }
    return 0;
}

static void expect_closed(void)
{
    uint32_t error;
    assert_true(raw_closed(&raw, PATIENCE_MS, &error));
}

static void expect_calm(void)
{
    uint32_t error;
    assert_true(raw_closed(&raw, PATIENCE_MS, &error));
    /* A reset by the kernel, for what we had sent and nobody read, may swallow the GOAWAY. */
    assert_true(error == ENHANCE_YOUR_CALM || error == UINT32_MAX);
}

/* A call on this very connection is answered: it has survived. */
static void expect_alive(uint32_t stream)
{
    raw_frame f;
    raw_put_request(&raw, stream, RAW_END_HEADERS, ECHO_PATH, NULL, NULL);
    raw_put_empty_message(&raw, stream, RAW_END_STREAM);
    assert_true(raw_send(&raw));
    do
        assert_true(raw_until(&raw, RAW_HEADERS, stream, &f, PATIENCE_MS));
    while (!(f.flags & RAW_END_STREAM));
}

/* --- handshake -------------------------------------------------------------------------------- */

static void test_garbage(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, false);
    raw_put(&raw, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    raw_send(&raw);
    expect_closed();
    raw_close(&raw);
    tern__rng rng;
    tern__rng_seed(&rng, 4711);
    for (int i = 0; i < 30; i++) {
        bool hello = i % 2;
        raw_connect(&raw, server.port, hello);
        for (int k = 0; k < 4000; k++) {
            uint8_t b = (uint8_t)tern__rng_next(&rng);
            raw_put(&raw, &b, 1);
        }
        raw_send(&raw);
        expect_closed();
        raw_close(&raw);
    }
    raw.fd = -1;
}

static void test_partial_preface(void **state)
{
    (void)state;
    for (size_t n = 0; n < 24; n += 6) {
        int64_t began = probe_now_ms();
        raw_connect(&raw, server.port, false);
        raw_put(&raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", n);
        assert_true(raw_send(&raw));
        expect_closed();
        assert_true(probe_now_ms() - began >= HANDSHAKE_MS - 20);
        raw_close(&raw);
    }
    raw.fd = -1;
}

/* One byte at a time, too slow to be done in time. */
static void test_slow_preface(void **state)
{
    (void)state;
    int64_t began = probe_now_ms();
    raw_connect(&raw, server.port, false);
    for (int i = 0; i < 24; i++) {
        raw_put(&raw, &"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[i], 1);
        if (!raw_send(&raw))
            break;
        probe_sleep_ms(HANDSHAKE_MS / 10);
    }
    expect_closed();
    assert_true(probe_now_ms() - began < PATIENCE_MS);
}

/* The handshake's clock does not run on: a quiet connection stays. */
static void test_quiet_after_handshake(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    probe_sleep_ms(HANDSHAKE_MS * 2);
    expect_alive(1);
}

/* --- frames ----------------------------------------------------------------------------------- */

static void test_bad_frames(void **state)
{
    (void)state;
    static const struct {
        uint8_t type, flags;
        uint32_t stream;
        const char *payload;
        size_t len;
    } cases[] = {
        { RAW_DATA, 0, 0, "x", 1 },                           /* DATA on stream 0 */
        { RAW_DATA, 0, 1, "x", 1 },                           /* on an idle stream */
        { RAW_HEADERS, 4, 0, "", 0 },                         /* HEADERS on stream 0 */
        { RAW_HEADERS, 4, 2, "\x82", 1 },                     /* on an even stream */
        { RAW_HEADERS, 4, 1, "\xff\xff\xff\xff\xff\xff", 6 }, /* HPACK nonsense */
        { RAW_SETTINGS, 0, 0, "\0\4\xff\xff\xff\xff", 6 },    /* window beyond 2^31-1 */
        { RAW_SETTINGS, 0, 0, "abc", 3 },                     /* not a multiple of six */
        { RAW_SETTINGS, 0, 1, "", 0 },                        /* on a stream */
        { RAW_SETTINGS, 1, 0, "\0\4\0\0\0\1", 6 },            /* ACK with a payload */
        { RAW_PING, 0, 0, "short", 5 },
        { RAW_PING, 0, 1, "12345678", 8 },
        { RAW_RST_STREAM, 0, 1, "\0\0\0\0", 4 }, /* of an idle stream */
        { RAW_RST_STREAM, 0, 1, "\0\0", 2 },
        { RAW_WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4 },         /* by nothing */
        { RAW_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4 }, /* beyond 2^31-1 */
        { RAW_CONTINUATION, 4, 1, "\x82", 1 },              /* continues nothing */
        { RAW_GOAWAY, 0, 1, "\0\0\0\0\0\0\0\0", 8 },        /* on a stream */
        { 5, 4, 1, "\0\0\0\2\x82", 5 },                     /* PUSH_PROMISE from a client */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t error;
        raw_connect(&raw, server.port, true);
        raw_put_frame(&raw, cases[i].type, cases[i].flags, cases[i].stream, cases[i].payload,
                      cases[i].len);
        raw_send(&raw);
        if (!raw_closed(&raw, PATIENCE_MS, &error))
            fail_msg("case %zu: the connection stays open", i);
        assert_int_not_equal(error, NO_ERROR);
        raw_close(&raw);
    }
    raw.fd = -1;
}

static void test_frame_too_large(void **state)
{
    (void)state;
    static uint8_t big[20000];
    raw_connect(&raw, server.port, true);
    raw_put_request(&raw, 1, RAW_END_HEADERS, ECHO_PATH, NULL, NULL);
    raw_put_frame(&raw, RAW_DATA, 0, 1, big, sizeof big);
    raw_send(&raw);
    expect_closed();
}

/* What concerns one stream costs that stream only. */
static void test_bad_requests(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } cases[] = {
        { "Upper", "case" },
        { "connection", "close" },
        { ":late", "pseudo" },
        { ":path", "/again" },
        { "te", "gzip" },
        { "x-nul", "a\x01z" },
        { "content-length", "12x" },
        { "transfer-encoding", "chunked" },
    };
    uint32_t stream = 1;
    raw_frame f;
    raw_connect(&raw, server.port, true);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++, stream += 2) {
        raw_put_request(&raw, stream, RAW_END_HEADERS, ECHO_PATH, cases[i].name, cases[i].value);
        assert_true(raw_send(&raw));
        if (!raw_until(&raw, RAW_RST_STREAM, stream, &f, PATIENCE_MS))
            fail_msg("%s: %s is no reason to reset", cases[i].name, cases[i].value);
    }
    expect_alive(stream);
}

/* gRPC's own rules: an answer, then the stream is over. */
static void test_bad_calls(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *body;
        size_t len;
    } cases[] = {
        { "grpc-timeout", "1 s", "\0\0\0\0\0", 5 },
        { "grpc-timeout", "999999999S", "\0\0\0\0\0", 5 },
        { "grpc-timeout", "0n", "\0\0\0\0\0", 5 },
        { "x-bin", "====", "\0\0\0\0\0", 5 },
        { "grpc-encoding", "gzip", "\1\0\0\0\0", 5 },
        { "x", "compressed", "\1\0\0\0\0", 5 },
        { "x", "flag", "\7\0\0\0\0", 5 },
        { "x", "two messages", "\0\0\0\0\0\0\0\0\0\0", 10 },
        { "x", "no message", "", 0 },
        { "x", "half a prefix", "\0\0", 2 },
        { "x", "half a message", "\0\0\0\0\5ab", 7 },
        { "x", "4 GiB", "\0\xff\xff\xff\xff", 5 },
        { "x", "5 MiB", "\0\0\x50\0\0", 5 },
    };
    uint32_t stream = 1;
    raw_frame f;
    raw_connect(&raw, server.port, true);
    unsigned before = atomic_load(&server.calls), honest_before = atomic_load(&honest.served);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++, stream += 2) {
        raw_put_request(&raw, stream, RAW_END_HEADERS, ECHO_PATH, cases[i].name, cases[i].value);
        raw_put_frame(&raw, RAW_DATA, RAW_END_STREAM, stream, cases[i].body, cases[i].len);
        assert_true(raw_send(&raw));
        if (!raw_until(&raw, RAW_HEADERS, stream, &f, PATIENCE_MS))
            fail_msg("%s: %s is not answered", cases[i].name, cases[i].value);
        if (!(f.flags & RAW_END_STREAM))
            fail_msg("%s: %s is answered with more than a status", cases[i].name, cases[i].value);
    }
    /* no handler ran for any of them */
    assert_true(atomic_load(&server.calls) - before <=
                atomic_load(&honest.served) - honest_before + 1);
    expect_alive(stream);
}

/* A second header list before any message, with and without a deadline. */
static void test_trailers_from_a_client(void **state)
{
    (void)state;
    uint8_t block[64];
    size_t n = 0;
    raw_frame f;
    uint32_t stream = 1;
    raw_field(block, &n, "grpc-timeout", "5S");
    raw_connect(&raw, server.port, true);
    for (int i = 0; i < 4; i++, stream += 2) {
        raw_put_request(&raw, stream, RAW_END_HEADERS, ECHO_PATH, i % 2 ? "x" : "grpc-timeout",
                        i % 2 ? "y" : "1S");
        if (i / 2)
            raw_put_empty_message(&raw, stream, 0);
        raw_put_frame(&raw, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, stream, block, n);
        assert_true(raw_send(&raw));
        assert_true(raw_until(&raw, RAW_HEADERS, stream, &f, PATIENCE_MS));
    }
    expect_alive(stream);
}

/* --- floods ----------------------------------------------------------------------------------- */

/* Sends what `put` collects until the peer hangs up, at most `rounds` times. */
static void flood(void (*put)(uint32_t round), uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        put(i);
        if (raw.n_out > 30000 && !raw_send(&raw))
            break;
    }
    raw_send(&raw);
}

static void put_reset(uint32_t i)
{
    raw_put_request(&raw, 2 * i + 1, RAW_END_HEADERS, ECHO_PATH, NULL, NULL);
    raw_put_frame(&raw, RAW_RST_STREAM, 0, 2 * i + 1, "\0\0\0\10", 4);
}

static void test_rapid_reset(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    flood(put_reset, 2000);
    expect_calm();
}

/* The server is made to reset (CVE-2025-8671): a window overflow on each stream. */
static void put_made_reset(uint32_t i)
{
    raw_put_request(&raw, 2 * i + 1, RAW_END_HEADERS, ECHO_PATH, NULL, NULL);
    raw_put_frame(&raw, RAW_WINDOW_UPDATE, 0, 2 * i + 1, "\x7f\xff\xff\xff", 4);
}

static void test_made_you_reset(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    flood(put_made_reset, 2000);
    expect_calm();
}

/* Likewise, by bodies that are longer, or shorter, than their content-length. Fewer at once than
 * may be open: none of them is refused. */
static void expect_calm_after_lies(const char *content_length, uint8_t flags)
{
    raw_frame f;
    bool answers = true;
    raw_connect(&raw, server.port, true);
    for (uint32_t i = 0, stream = 1; i < 20 && answers; i++) {
        uint32_t last = stream + 98;
        for (; stream <= last; stream += 2) {
            raw_put_request(&raw, stream, RAW_END_HEADERS, ECHO_PATH, "content-length",
                            content_length);
            raw_put_empty_message(&raw, stream, flags);
        }
        answers = raw_send(&raw) && raw_until(&raw, RAW_RST_STREAM, last, &f, PATIENCE_MS);
    }
    assert_false(answers);
    assert_int_equal(f.type, RAW_GOAWAY);
    assert_int_equal(f.payload[7], ENHANCE_YOUR_CALM);
    raw_close(&raw);
}

static void test_lies_about_length(void **state)
{
    (void)state;
    expect_calm_after_lies("3", 0);
    expect_calm_after_lies("9", RAW_END_STREAM);
}

static void put_malformed(uint32_t i)
{
    raw_put_request(&raw, 2 * i + 1, RAW_END_HEADERS, ECHO_PATH, "connection", "close");
}

static void test_malformed_flood(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    flood(put_malformed, 2000);
    expect_calm();
}

/* Streams that are opened and left: beyond the limit they are refused, then the peer has had
 * enough. */
static void put_open(uint32_t i)
{
    raw_put_request(&raw, 2 * i + 1, RAW_END_HEADERS, ECHO_PATH, NULL, NULL);
}

static void test_headers_flood(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    flood(put_open, 2000);
    expect_calm();
}

static void put_continuation(uint32_t i)
{
    (void)i;
    uint8_t block[200];
    size_t n = 0;
    raw_field(block, &n, "x", "y");
    raw_put_frame(&raw, RAW_CONTINUATION, 0, 1, block, n);
}

static void test_continuation_flood(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    raw_put_request(&raw, 1, 0, ECHO_PATH, NULL, NULL);
    flood(put_continuation, 5000);
    expect_closed();
}

static void put_empty_data(uint32_t i)
{
    (void)i;
    raw_put_frame(&raw, RAW_DATA, 0, 1, NULL, 0);
}

static void test_empty_data_flood(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    raw_put_request(&raw, 1, RAW_END_HEADERS, ECHO_PATH, NULL, NULL);
    flood(put_empty_data, 5000);
    expect_calm();
}

static void put_window_update(uint32_t i)
{
    (void)i;
    raw_put_frame(&raw, RAW_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
}

static void test_window_update_flood(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    flood(put_window_update, 5000);
    expect_calm();
}

static void put_ping(uint32_t i)
{
    (void)i;
    raw_put_frame(&raw, RAW_PING, 0, 0, "12345678", 8);
}

static void put_settings(uint32_t i)
{
    (void)i;
    raw_put_frame(&raw, RAW_SETTINGS, 0, 0, NULL, 0);
}

/* A peer that pings and never reads: what waits for it is bounded. */
static void test_ping_flood(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    flood(put_ping, 200000);
    expect_closed();
}

static void test_settings_flood(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    flood(put_settings, 200000);
    expect_closed();
}

/* Unknown frames and priorities are ignored, however many. */
static void test_ignored_frames(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    for (int i = 0; i < 1000; i++) {
        raw_put_frame(&raw, 0xbe, 0xff, 77, "whatever", 8);
        raw_put_frame(&raw, RAW_PRIORITY, 0, 9, "\0\0\0\1\1", 5);
    }
    assert_true(raw_send(&raw));
    expect_alive(1);
}

/* --- headers ---------------------------------------------------------------------------------- */

static void test_headers_too_large(void **state)
{
    (void)state;
    char value[17000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    raw_frame f;
    raw_connect(&raw, server.port, true);
    /* HEADERS and CONTINUATION, 17,000 bytes in all */
    uint8_t block[18000];
    size_t n = 0;
    raw_field(block, &n, ":method", "POST");
    raw_field(block, &n, ":scheme", "http");
    raw_field(block, &n, ":path", ECHO_PATH);
    raw_field(block, &n, ":authority", "test");
    raw_field(block, &n, "te", "trailers");
    raw_field(block, &n, "content-type", "application/grpc");
    value[16000] = '\0';
    raw_field(block, &n, "x-large", value);
    value[600] = '\0';
    raw_field(block, &n, "x-more", value);
    raw_put_frame(&raw, RAW_HEADERS, 0, 1, block, 16384);
    raw_put_frame(&raw, RAW_CONTINUATION, RAW_END_HEADERS, 1, block + 16384, n - 16384);
    raw_put_empty_message(&raw, 1, RAW_END_STREAM);
    assert_true(raw_send(&raw));
    assert_true(raw_until(&raw, RAW_HEADERS, 1, &f, PATIENCE_MS));
    assert_true(f.flags & RAW_END_STREAM);
    expect_alive(3);
}

/* One indexed field of 4 KiB named again and again: 64 bytes on the wire become megabytes. */
static void test_hpack_bomb(void **state)
{
    (void)state;
    uint8_t block[16384];
    size_t n = 0;
    raw_frame f;
    raw_field(block, &n, ":method", "POST");
    raw_field(block, &n, ":scheme", "http");
    raw_field(block, &n, ":path", ECHO_PATH);
    raw_field(block, &n, ":authority", "test");
    raw_field(block, &n, "te", "trailers");
    raw_field(block, &n, "content-type", "application/grpc");
    block[n++] = 0x40; /* literal with indexing: x: 4000 × 'b' */
    block[n++] = 1;
    block[n++] = 'x';
    block[n++] = 127;
    block[n++] = 0x80 | ((4000 - 127) & 0x7f);
    block[n++] = (4000 - 127) >> 7;
    memset(block + n, 'b', 4000);
    n += 4000;
    memset(block + n, 0xbe, 10000); /* index 62: the newest */
    n += 10000;
    raw_connect(&raw, server.port, true);
    raw_put_frame(&raw, RAW_HEADERS, RAW_END_HEADERS, 1, block, n);
    raw_put_empty_message(&raw, 1, RAW_END_STREAM);
    assert_true(raw_send(&raw));
    assert_true(raw_until(&raw, RAW_HEADERS, 1, &f, PATIENCE_MS));
    assert_true(f.flags & RAW_END_STREAM);
    expect_alive(3);
}

/* --- slowness --------------------------------------------------------------------------------- */

/* No window at all: the answers wait, bounded, and the rest of the server does not care. */
static void test_zero_window(void **state)
{
    (void)state;
    raw_frame f;
    raw_connect(&raw, server.port, true);
    raw_put_frame(&raw, RAW_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
    for (uint32_t i = 0; i < 50; i++) {
        raw_put_request(&raw, 2 * i + 1, RAW_END_HEADERS, ECHO_PATH, NULL, NULL);
        raw_put_empty_message(&raw, 2 * i + 1, RAW_END_STREAM);
    }
    assert_true(raw_send(&raw));
    assert_true(raw_until(&raw, RAW_HEADERS, 99, &f, PATIENCE_MS));
    assert_false(f.flags & RAW_END_STREAM);
    /* the window opens: the answers come */
    raw_put_frame(&raw, RAW_SETTINGS, 0, 0, "\0\4\0\0\0\5", 6);
    assert_true(raw_send(&raw));
    assert_true(raw_until(&raw, RAW_DATA, 99, &f, PATIENCE_MS));
    expect_alive(101);
}

/* A peer that asks for megabytes and reads nothing, then vanishes. */
static void test_reads_nothing(void **state)
{
    (void)state;
    raw_connect(&raw, server.port, true);
    raw_put_frame(&raw, RAW_SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff", 6);
    raw_put_frame(&raw, RAW_WINDOW_UPDATE, 0, 0, "\x7f\xfe\0\0", 4);
    for (uint32_t i = 0; i < 90; i++) {
        raw_put_request(&raw, 2 * i + 1, RAW_END_HEADERS, "/tests.v1.Probe/Echo", NULL, NULL);
        /* EchoRequest { answer_bytes = 1 MiB } */
        raw_put_frame(&raw, RAW_DATA, RAW_END_STREAM, 2 * i + 1, "\0\0\0\0\4\x18\x80\x80\x40", 9);
    }
    assert_true(raw_send(&raw));
    unsigned before = atomic_load(&honest.served);
    assert_true(probe_wait(&honest.served, before + 20));
}

/* A body that never comes to its end, with a deadline: the deadline ends it. */
static void test_slow_body(void **state)
{
    (void)state;
    raw_frame f;
    raw_connect(&raw, server.port, true);
    raw_put_request(&raw, 1, RAW_END_HEADERS, ECHO_PATH, "grpc-timeout", "50m");
    raw_put_frame(&raw, RAW_DATA, 0, 1, "\0", 1);
    assert_true(raw_send(&raw));
    assert_true(raw_until(&raw, RAW_HEADERS, 1, &f, PATIENCE_MS));
    assert_true(f.flags & RAW_END_STREAM);
    expect_alive(3);
}

/* Valid requests, mutated: whatever becomes of them, the server is there afterwards. */
static void test_mutated(void **state)
{
    (void)state;
    tern__rng rng;
    tern__rng_seed(&rng, 20240229);
    for (int round = 0; round < 150; round++) {
        uint8_t keep[4096];
        raw_connect(&raw, server.port, true);
        for (uint32_t s = 1; s < 9; s += 2) {
            raw_put_request(&raw, s, RAW_END_HEADERS, ECHO_PATH, "grpc-timeout", "20m");
            raw_put_empty_message(&raw, s, RAW_END_STREAM);
        }
        size_t n = raw.n_out;
        memcpy(keep, raw.out, n);
        for (int k = 0; k < 1 + round % 5; k++)
            keep[tern__rng_next(&rng) % n] = (uint8_t)tern__rng_next(&rng);
        /* in two pieces, so that turns of the loop fall in between */
        size_t cut = tern__rng_next(&rng) % n;
        raw.n_out = 0;
        raw_put(&raw, keep, cut);
        raw_send(&raw);
        raw_put(&raw, keep + cut, n - cut);
        raw_send(&raw);
        raw_close(&raw);
    }
    raw.fd = -1;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_garbage),
        CASE(test_partial_preface),
        CASE(test_slow_preface),
        CASE(test_quiet_after_handshake),
        CASE(test_bad_frames),
        CASE(test_frame_too_large),
        CASE(test_bad_requests),
        CASE(test_bad_calls),
        CASE(test_trailers_from_a_client),
        CASE(test_rapid_reset),
        CASE(test_made_you_reset),
        CASE(test_lies_about_length),
        CASE(test_malformed_flood),
        CASE(test_headers_flood),
        CASE(test_continuation_flood),
        CASE(test_empty_data_flood),
        CASE(test_window_update_flood),
        CASE(test_ping_flood),
        CASE(test_settings_flood),
        CASE(test_ignored_frames),
        CASE(test_headers_too_large),
        CASE(test_hpack_bomb),
        CASE(test_zero_window),
        CASE(test_reads_nothing),
        CASE(test_slow_body),
        CASE(test_mutated),
    };
    return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
