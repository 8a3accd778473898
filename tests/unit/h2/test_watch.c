/* What nghttp2 lets pass and RFC 9113 does not: frames on ended streams, requests on ids that were
 * passed over, padding beyond the payload, priority. Each sequence is read whole and byte by byte,
 * and then fed to a session, which must say GOAWAY with that code. */
#include "h2/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "h2/session.h"

enum { DATA = 0, HEADERS = 1, PRIORITY = 2, RST = 3, SETTINGS = 4, GOAWAY = 7, UPDATE = 8 };
enum { END = 1, END_HEADERS = 4, PADDED = 8 };

static uint8_t bytes[64 * 1024];
static size_t n_bytes, n_before; /* of these, what stands before the newest frame */

static void preface(void)
{
    static const char text[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    memcpy(bytes, text, 24);
    n_bytes = 24;
    n_before = 24;
}

static void frame(uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    uint8_t *p = bytes + n_bytes;
    const uint8_t head[9] = { 0,
                              (uint8_t)(len >> 8),
                              (uint8_t)len,
                              type,
                              flags,
                              (uint8_t)(stream >> 24),
                              (uint8_t)(stream >> 16),
                              (uint8_t)(stream >> 8),
                              (uint8_t)stream };
    memcpy(p, head, 9);
    if (len)
        memcpy(p + 9, payload, len);
    n_before = n_bytes;
    n_bytes += 9 + len;
}

/* A request that is whole as HTTP, out of the static table: POST http / */
static void request(uint32_t stream, uint8_t flags)
{
    frame(HEADERS, flags | END_HEADERS, stream, "\x83\x86\x84\x01\x01x", 6);
}

static void start(void)
{
    preface();
    frame(SETTINGS, 0, 0, NULL, 0);
}

/* --- a session -------------------------------------------------------------------------------- */

static tern__h2_stream streams[64];
static unsigned n_streams;

static tern__h2_stream *on_open(void *ctx, int32_t id)
{
    (void)ctx;
    (void)id;
    return n_streams < 64 ? &streams[n_streams++] : NULL;
}
static void on_begin(void *ctx, tern__h2_stream *s)
{
    (void)ctx, (void)s;
}
static void on_field(void *ctx, tern__h2_stream *s, const tern__h2_field *f)
{
    (void)ctx, (void)s, (void)f;
}
static void on_headers_end(void *ctx, tern__h2_stream *s, bool end)
{
    (void)ctx, (void)s, (void)end;
}
static void on_data(void *ctx, tern__h2_stream *s, const uint8_t *data, size_t len)
{
    (void)ctx, (void)s, (void)data, (void)len;
}
static void on_close(void *ctx, tern__h2_stream *s, uint32_t error)
{
    (void)ctx, (void)s, (void)error;
}

static const tern__h2_events events = {
    .on_open = on_open,
    .on_headers_begin = on_begin,
    .on_field = on_field,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_begin,
    .on_close = on_close,
};

/* Answers every request as soon as its headers are there, feeds piece by piece. The code of the
 * GOAWAY that came, UINT32_MAX: none. */
static uint32_t goaway_of_session(size_t piece)
{
    static const tern__h2_field head[] = { TERN__H2_FIXED(":status", "200") };
    const tern__h2_options options = { .concurrent_streams_max = 100,
                                     .stream_window_bytes = 65535,
                                     .connection_window_bytes = 65535,
                                     .window_bytes_max = 0 };
    tern__pool pool = { 0 };
    tern__buf out = { 0 };
    uint32_t code = UINT32_MAX;
    unsigned answered = 0;
    n_streams = 0;
    tern__h2 *h2 = tern__h2_new(true, &options, &events, NULL, &pool);
    assert_non_null(h2);
    for (size_t at = 0; at < n_bytes; at += piece) {
        size_t n = piece < n_bytes - at ? piece : n_bytes - at;
        assert_int_equal(tern__h2_feed(h2, 1, bytes + at, n), 0);
        for (; answered < n_streams && piece < n_bytes; answered++)
            assert_int_equal(tern__h2_respond(h2, &streams[answered],
                                              &(tern__h2_response){ head, 1, NULL, 0, NULL, 0 }),
                             0);
        assert_true(tern__h2_take(h2, &out, 1 << 20) >= 0);
    }
    const uint8_t *p = tern__buf_head(&out);
    for (size_t at = 0; at < out.len;) {
        size_t len = (size_t)p[at + 1] << 8 | p[at + 2];
        if (p[at + 3] == GOAWAY)
            code = p[at + 9 + 7];
        at += 9 + len;
    }
    assert_true((code == UINT32_MAX) == tern__h2_alive(h2));
    tern__h2_free(h2);
    tern__buf_deinit(&out);
    tern__pool_deinit(&pool);
    return code;
}

/* --- checks ----------------------------------------------------------------------------------- */

/* The newest frame is an error with that code; nothing before it is. */
static void expect(uint32_t code)
{
    tern__h2_watch w;
    tern__h2_watch_init(&w, true);
    assert_int_equal(tern__h2_watch_read(&w, bytes, n_bytes), n_before);
    assert_int_equal(w.error, code);
    assert_non_null(w.why);
    assert_int_equal(tern__h2_watch_read(&w, bytes, n_bytes), n_bytes); /* it is over */

    tern__h2_watch_init(&w, true);
    for (size_t i = 0; i < n_bytes && !w.error; i++) {
        size_t n = tern__h2_watch_read(&w, bytes + i, 1);
        assert_int_equal(n, w.error ? 0 : 1);
        if (w.error)
            assert_true(i >= n_before + 8);
    }
    assert_int_equal(w.error, code);
    assert_int_equal(goaway_of_session(n_bytes), code);
    assert_int_equal(goaway_of_session(1), code);
}

static void expect_fine(void)
{
    tern__h2_watch w;
    tern__h2_watch_init(&w, true);
    assert_int_equal(tern__h2_watch_read(&w, bytes, n_bytes), n_bytes);
    assert_int_equal(w.error, 0);
    tern__h2_watch_init(&w, true);
    for (size_t i = 0; i < n_bytes; i++)
        assert_int_equal(tern__h2_watch_read(&w, bytes + i, 1), 1);
    assert_int_equal(w.error, 0);
    assert_int_equal(goaway_of_session(n_bytes), UINT32_MAX);
    assert_int_equal(goaway_of_session(1), UINT32_MAX);
}

static void ended_by_flag(void **state)
{
    (void)state;
    start();
    request(1, END);
    request(1, END);
    expect(TERN__H2_STREAM_CLOSED);
    start();
    request(1, END);
    frame(DATA, END, 1, "test", 4);
    expect(TERN__H2_STREAM_CLOSED);
    start();
    request(1, 0);
    frame(DATA, END, 1, "test", 4);
    frame(DATA, 0, 1, "test", 4);
    expect(TERN__H2_STREAM_CLOSED);
}

static void ended_by_reset(void **state)
{
    (void)state;
    start();
    request(1, 0);
    frame(RST, 0, 1, "\0\0\0\10", 4);
    frame(DATA, END, 1, "test", 4);
    expect(TERN__H2_STREAM_CLOSED);
    start();
    request(1, 0);
    frame(RST, 0, 1, "\0\0\0\10", 4);
    request(1, END);
    expect(TERN__H2_STREAM_CLOSED);
}

/* Not the peer, but this side has ended the stream: the peer cannot know. */
static void ended_by_us(void **state)
{
    (void)state;
    start();
    request(1, 0);
    frame(DATA, 0, 1, "test", 4);
    request(3, 0);
    frame(DATA, 0, 1, "test", 4);
    frame(DATA, END, 3, "test", 4);
    frame(RST, 0, 3, "\0\0\0\10", 4); /* allowed behind END_STREAM */
    frame(UPDATE, 0, 3, "\0\0\0\1", 4);
    expect_fine();
}

static void only_the_newest(void **state)
{
    (void)state;
    start();
    for (uint32_t id = 1; id < 2 * TERN__H2_ENDED_KEPT; id += 2)
        request(id, END);
    request(1, END);
    expect(TERN__H2_STREAM_CLOSED);

    tern__h2_watch w;
    start();
    for (uint32_t id = 1; id < 2 * TERN__H2_ENDED_KEPT + 2; id += 2)
        request(id, END);
    frame(DATA, END, 1, "test", 4);
    tern__h2_watch_init(&w, true);
    assert_int_equal(tern__h2_watch_read(&w, bytes, n_bytes), n_bytes);
}

static void passed_over(void **state)
{
    (void)state;
    start();
    request(5, END);
    request(3, END);
    expect(TERN__H2_PROTOCOL_ERROR);
    start();
    request(5, END);
    request(1, END);
    expect(TERN__H2_PROTOCOL_ERROR);
    start();
    request(1, END);
    request(3, END);
    request(9, END);
    request(7, END);
    expect(TERN__H2_PROTOCOL_ERROR);
    start();
    request(1, END);
    request(3, 0);
    request(9, END);
    request(3, END); /* trailers */
    request(11, END);
    n_bytes = n_before; /* whether trailers may be like this is not the watch's to say */
    tern__h2_watch w;
    tern__h2_watch_init(&w, true);
    assert_int_equal(tern__h2_watch_read(&w, bytes, n_bytes), n_bytes);
}

static void padding(void **state)
{
    (void)state;
    start();
    request(1, 0);
    frame(DATA, PADDED, 1, "\4test", 5);
    request(3, 0);
    frame(DATA, PADDED, 1, "\0", 1);
    expect_fine();
    start();
    request(1, 0);
    frame(DATA, PADDED | END, 1, "\6Test", 5);
    expect(TERN__H2_PROTOCOL_ERROR);
    start();
    request(1, 0);
    frame(DATA, PADDED, 1, "\5Test", 5);
    expect(TERN__H2_PROTOCOL_ERROR);
    start();
    request(1, 0);
    frame(DATA, PADDED, 1, NULL, 0);
    expect(TERN__H2_PROTOCOL_ERROR);
}

static void priority(void **state)
{
    (void)state;
    start();
    frame(PRIORITY, 0, 3, "\0\0\0\1\17", 5);
    frame(PRIORITY, 0, 3, "\200\0\0\1\17", 5);
    request(1, END);
    frame(PRIORITY, 0, 1, "\0\0\0\0\17", 5); /* PRIORITY is fine on any stream */
    expect_fine();
    start();
    frame(PRIORITY, 0, 0, "\0\0\0\1\17", 5);
    expect(TERN__H2_PROTOCOL_ERROR);
    start();
    frame(PRIORITY, 0, 3, "\0\0\0\3\17", 5);
    expect(TERN__H2_PROTOCOL_ERROR);
    start();
    frame(PRIORITY, 0, 3, "\200\0\0\3\17", 5);
    expect(TERN__H2_PROTOCOL_ERROR);
}

/* A client: no preface comes, ids are its own. */
static void client(void **state)
{
    tern__h2_watch w;
    (void)state;
    n_bytes = 0;
    frame(SETTINGS, 0, 0, NULL, 0);
    frame(HEADERS, END_HEADERS, 5, "\x88", 1);
    frame(HEADERS, END_HEADERS | END, 3, "\x88", 1);
    frame(DATA, END, 5, "test", 4);
    tern__h2_watch_init(&w, false);
    assert_int_equal(tern__h2_watch_read(&w, bytes, n_bytes), n_bytes);
    frame(DATA, 0, 3, "test", 4);
    tern__h2_watch_init(&w, false);
    assert_int_equal(tern__h2_watch_read(&w, bytes, n_bytes), n_before);
    assert_int_equal(w.error, TERN__H2_STREAM_CLOSED);
}

/* Frames at random, in pieces at random: the same is found in the same place as in one piece. */
static void random_pieces(void **state)
{
    static const uint8_t flags[] = { 0, END, PADDED, END | PADDED, END_HEADERS, END | END_HEADERS };
    tern__rng rng;
    unsigned faults = 0;
    (void)state;
    tern__rng_seed(&rng, 4711);
    for (int round = 0; round < 20000; round++) {
        uint8_t payload[32];
        tern__h2_watch whole, pieces;
        start();
        for (int i = 0; i < 12; i++) {
            for (size_t k = 0; k < sizeof payload; k++)
                payload[k] = (uint8_t)tern__rng_below(&rng, 12);
            size_t len = tern__rng_below(&rng, 2) ? 5 : tern__rng_below(&rng, sizeof payload);
            frame((uint8_t)tern__rng_below(&rng, 10), flags[tern__rng_below(&rng, 6)],
                  (uint32_t)tern__rng_below(&rng, 40), payload, len);
        }
        tern__h2_watch_init(&whole, true);
        size_t good = tern__h2_watch_read(&whole, bytes, n_bytes);
        faults += whole.error != 0;
        tern__h2_watch_init(&pieces, true);
        size_t at = 0;
        while (at < n_bytes && !pieces.error) {
            size_t n = 1 + tern__rng_below(&rng, 24);
            n = n < n_bytes - at ? n : n_bytes - at;
            size_t fine = tern__h2_watch_read(&pieces, bytes + at, n);
            assert_true(pieces.error ? at + fine >= good : fine == n);
            at += n;
        }
        assert_int_equal(pieces.error, whole.error);
        assert_ptr_equal(pieces.why, whole.why);
    }
    assert_true(faults > 1000 && faults < 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ended_by_flag), cmocka_unit_test(ended_by_reset),
        cmocka_unit_test(ended_by_us),   cmocka_unit_test(only_the_newest),
        cmocka_unit_test(passed_over),   cmocka_unit_test(padding),
        cmocka_unit_test(priority),      cmocka_unit_test(client),
        cmocka_unit_test(random_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
