/* Streams on the server, by a peer whose bytes and windows are the test's own: the kinds of calls,
 * messages of all sizes in all portions, ends of all sorts. What streams may take of others, and
 * how they end by force, is in test_streams_limits.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/h2peer.h"
#include "support/probe.h"

#define PATIENCE_MS 20000
#define MESSAGE_MAX (4u * 1024 * 1024)

static tern_server *srv;
static h2peer peer;
static h2peer_stream stream;
static tern_code (*act)(tern_server_call *call); /* what the handlers do in this test */

static tern_code handle(void *self, tern_server_call *call)
{
    (void)self;
    return act(call);
}

static const tern_method methods[] = {
    { .path = "/t.S/Bidi", .kind = TERN_KIND_BIDI_STREAMING },
    { .path = "/t.S/Client", .kind = TERN_KIND_CLIENT_STREAMING },
    { .path = "/t.S/Server", .kind = TERN_KIND_SERVER_STREAMING },
    { .path = "/t.S/Unary", .kind = TERN_KIND_UNARY },
};
static const h2peer_request bidi = { .path = "/t.S/Bidi" };
static const h2peer_request client = { .path = "/t.S/Client" };
static const h2peer_request server = { .path = "/t.S/Server" };

static int start(tern_execution execution)
{
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    tern_status st;
    uint16_t port;
    opts.loops = 1;
    assert_int_equal(tern_server_new(&opts, &srv, &st), TERN_OK);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        assert_int_equal(tern_server_add_raw(srv, &methods[i], handle, NULL, &st), TERN_OK);
    tern_server_set_execution(srv, "t.S", execution);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    h2peer_connect(&peer, port);
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

static int setup_inline(void **state)
{
    (void)state;
    return start(TERN_EXEC_INLINE);
}

static int teardown(void **state)
{
    (void)state;
    h2peer_close(&peer);
    h2peer_stream_free(&stream);
    memset(&stream, 0, sizeof stream);
    tern_server_free(srv);
    return 0;
}

static void expect_end(int code)
{
    if (!h2peer_closed(&peer, &stream, PATIENCE_MS))
        fail_msg("the stream did not end: %zu bytes came", stream.data.len);
    if (stream.code != code)
        fail_msg("status %d \"%s\", not %d", stream.code, stream.message, code);
    assert_int_equal(stream.error, TERN__H2_NO_ERROR);
}

/* --- echo ------------------------------------------------------------------------------------- */

static tern_code echo(tern_server_call *call)
{
    const void *data;
    size_t len;
    while (tern_server_call_recv(call, &data, &len))
        if (!tern_server_call_send(call, data, len))
            break;
    assert_false(tern_server_call_recv(call, &data, &len)); /* and so it stays */
    return tern_context_error(tern_server_call_context(call));
}

static void fill(uint8_t *to, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)((i * 31 + i / 255 + seed) & 0xff);
}

static const size_t sizes[] = { 0, 1, 5, 0, 1023, 1024, 1025, 16384, 16379, 70000, 0, 300000,
                                MESSAGE_MAX, 3 };
#define N_SIZES (sizeof sizes / sizeof sizes[0])

static tern__buf make_messages(void)
{
    tern__buf b = { 0 };
    uint8_t *bytes = malloc(MESSAGE_MAX);
    assert_non_null(bytes);
    for (unsigned i = 0; i < N_SIZES; i++) {
        fill(bytes, sizes[i], i);
        h2peer_message(&b, bytes, sizes[i]);
    }
    free(bytes);
    return b;
}

static void test_echo(void **state)
{
    (void)state;
    act = echo;
    tern__buf b = make_messages();
    h2peer_open(&peer, &stream, &bidi);
    h2peer_send(&peer, &stream, tern__buf_head(&b), b.len, true);
    expect_end(TERN_OK);
    assert_int_equal(stream.lists, 2);
    assert_int_equal(stream.http, 200);
    assert_int_equal(stream.data.len, b.len);
    assert_memory_equal(tern__buf_head(&stream.data), tern__buf_head(&b), b.len);
    tern__buf_deinit(&b);
}

/* The same in portions of odd sizes, each a frame and most of them a packet of their own. */
static void test_odd_portions(void **state)
{
    (void)state;
    act = echo;
    tern__rng rng;
    tern__buf b = { 0 };
    uint8_t bytes[3000];
    tern__rng_seed(&rng, 99);
    for (unsigned i = 0; i < 400; i++) {
        size_t len = i % 50 == 0 ? sizeof bytes : (size_t)(tern__rng_next(&rng) % 40);
        fill(bytes, len, i);
        h2peer_message(&b, bytes, len);
    }
    h2peer_open(&peer, &stream, &bidi);
    for (size_t off = 0; off < b.len;) {
        size_t n = 1 + (size_t)(tern__rng_next(&rng) % (off % 3 ? 20 : 2000));
        if (n > b.len - off)
            n = b.len - off;
        h2peer_send(&peer, &stream, tern__buf_head(&b) + off, n, off + n == b.len);
        assert_true(h2peer_sent(&peer, &stream, PATIENCE_MS));
        off += n;
    }
    expect_end(TERN_OK);
    assert_int_equal(stream.data.len, b.len);
    assert_memory_equal(tern__buf_head(&stream.data), tern__buf_head(&b), b.len);
    tern__buf_deinit(&b);
}

static void test_byte_at_a_time(void **state)
{
    (void)state;
    act = echo;
    static const uint8_t bytes[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\1x\0\0\0\0\7goodbye";
    const size_t len = sizeof bytes - 1;
    h2peer_open(&peer, &stream, &bidi);
    for (size_t i = 0; i < len; i++) {
        h2peer_send(&peer, &stream, bytes + i, 1, i + 1 == len);
        assert_true(h2peer_sent(&peer, &stream, PATIENCE_MS));
        if (i % 4 == 0)
            probe_sleep_ms(1);
    }
    expect_end(TERN_OK);
    assert_int_equal(stream.data.len, len);
    assert_memory_equal(tern__buf_head(&stream.data), bytes, len);
}

static size_t awaited;

static bool data_came(void *ctx)
{
    const h2peer_stream *s = ctx;
    return s->closed || s->data.len >= awaited;
}

static void test_ping_pong(void **state)
{
    (void)state;
    act = echo;
    h2peer_open(&peer, &stream, &bidi);
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t m[6] = { 0, 0, 0, 0, 1, (uint8_t)i };
        h2peer_send(&peer, &stream, m, 6, false);
        awaited = (i + 1) * 6;
        assert_true(h2peer_until(&peer, PATIENCE_MS, data_came, &stream));
        assert_false(stream.closed);
    }
    h2peer_send(&peer, &stream, NULL, 0, true);
    expect_end(TERN_OK);
    assert_int_equal(stream.data.len, 6000);
}

/* --- the other kinds -------------------------------------------------------------------------- */

static bool early_headers;

static tern_code sum(tern_server_call *call)
{
    const void *data;
    size_t len, total = 0;
    tern_metadata_add(tern_server_call_initial_metadata(call), "x-first", "one");
    tern_metadata_add(tern_server_call_trailing_metadata(call), "x-last", "two");
    assert_false(tern_server_call_send(call, "x", 1)); /* not of this kind */
    if (early_headers)
        assert_true(tern_server_call_send_headers(call));
    while (tern_server_call_recv(call, &data, &len))
        total += len;
    uint64_t *answer = tern_server_call_response_buffer(call, 8);
    if (!answer)
        return TERN_RESOURCE_EXHAUSTED;
    memcpy(answer, &(uint64_t){ total }, 8);
    return tern_context_error(tern_server_call_context(call));
}

static bool headers_came(void *ctx) { return ((h2peer_stream *)ctx)->lists > 0; }

static void test_client_streaming(void **state)
{
    (void)state;
    act = sum;
    tern__buf b = make_messages();
    uint64_t total = 0;
    for (unsigned i = 0; i < N_SIZES; i++)
        total += sizes[i];
    for (int early = 0; early < 2; early++) {
        const uint8_t *data;
        size_t off = 0, len;
        early_headers = early;
        h2peer_open(&peer, &stream, &client);
        if (early) {
            assert_true(h2peer_until(&peer, PATIENCE_MS, headers_came, &stream));
            assert_false(stream.ended);
        }
        h2peer_send(&peer, &stream, tern__buf_head(&b), b.len, true);
        expect_end(TERN_OK);
        assert_int_equal(stream.lists, 2);
        assert_string_equal(stream.first, "one");
        assert_string_equal(stream.last, "two");
        assert_true(h2peer_next(&stream, &off, &data, &len));
        assert_int_equal(len, 8);
        assert_memory_equal(data, &total, 8);
        assert_int_equal(off, stream.data.len);
    }
    tern__buf_deinit(&b);
}

static unsigned n_answers;
static size_t answer_len;
static tern_code answer_code;

static tern_code count(tern_server_call *call)
{
    static uint8_t bytes[100000];
    const void *data;
    size_t len;
    tern_metadata_add(tern_server_call_initial_metadata(call), "x-first", "one");
    tern_metadata_add(tern_server_call_trailing_metadata(call), "x-last", "two");
    assert_false(tern_server_call_recv(call, &data, &len)); /* not of this kind */
    data = tern_server_call_request(call, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "abc", 3);
    for (unsigned i = 0; i < n_answers; i++) {
        memcpy(bytes, &i, sizeof i);
        if (!tern_server_call_send(call, bytes, answer_len))
            return TERN_CANCELLED;
    }
    return answer_code ? tern_server_call_fail(call, answer_code, "as told: %d%%", 7) : TERN_OK;
}

static void ask_server(void)
{
    h2peer_open(&peer, &stream, &server);
    h2peer_send(&peer, &stream, "\0\0\0\0\3abc", 8, true);
}

static void test_server_streaming(void **state)
{
    (void)state;
    static const struct {
        unsigned n;
        size_t len;
        tern_code code;
    } cases[] = { { 1, 4, TERN_OK },         { 20000, 16, TERN_OK }, { 100, 100000, TERN_OK },
                  { 3, 4, TERN_DATA_LOSS },  { 0, 0, TERN_OK },      { 0, 0, TERN_ABORTED },
                  { 500, 1000, TERN_ABORTED } };
    act = count;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const uint8_t *data;
        size_t off = 0, len;
        n_answers = cases[c].n;
        answer_len = cases[c].len;
        answer_code = cases[c].code;
        ask_server();
        expect_end((int)cases[c].code);
        for (unsigned i = 0; i < n_answers; i++) {
            assert_true(h2peer_next(&stream, &off, &data, &len));
            assert_int_equal(len, answer_len);
            assert_memory_equal(data, &i, sizeof i);
        }
        assert_int_equal(off, stream.data.len);
        /* An early failure is trailers-only, so that it can be retried (A6). */
        assert_int_equal(stream.lists, n_answers || answer_code == TERN_OK ? 2 : 1);
        assert_string_equal(stream.first, "one");
        assert_string_equal(stream.last, "two");
        if (answer_code)
            assert_string_equal(stream.message, "as told: 7%25");
    }
}

static void test_wrong_number_of_requests(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        int code;
    } cases[] = { { "", 0, TERN_UNIMPLEMENTED },
                  { "\0\0\0\0\0\0\0\0\0\0", 10, TERN_UNIMPLEMENTED },
                  { "\0\0\0\0\5abc", 8, TERN_INTERNAL } };
    act = count;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        h2peer_open(&peer, &stream, &server);
        h2peer_send(&peer, &stream, cases[i].bytes, cases[i].len, true);
        expect_end(cases[i].code);
    }
}

/* --- ends ------------------------------------------------------------------------------------- */

static tern_code fail_at_once(tern_server_call *call)
{
    return tern_server_call_fail(call, TERN_FAILED_PRECONDITION, "not now");
}

/* Headers wait for the first message: a failure before it is trailers-only, for every kind. */
static void test_early_failure(void **state)
{
    (void)state;
    const h2peer_request *const kinds[] = { &client, &server, &bidi };
    act = fail_at_once;
    early_headers = false;
    for (int i = 0; i < 3; i++) {
        h2peer_open(&peer, &stream, kinds[i]);
        h2peer_send(&peer, &stream, "\0\0\0\0\0", 5, true);
        expect_end(TERN_FAILED_PRECONDITION);
        assert_int_equal(stream.lists, 1);
        assert_int_equal(stream.data.len, 0);
        assert_string_equal(stream.message, "not now");
    }
}

static void test_no_messages(void **state)
{
    (void)state;
    act = echo;
    h2peer_open(&peer, &stream, &bidi);
    h2peer_send(&peer, &stream, NULL, 0, true);
    expect_end(TERN_OK);
    assert_int_equal(stream.data.len, 0);
    act = sum;
    early_headers = false;
    h2peer_open(&peer, &stream, &client);
    h2peer_send(&peer, &stream, NULL, 0, true);
    expect_end(TERN_OK);
    assert_int_equal(stream.data.len, 13);
}

static atomic_uint context_ended;

static tern_code receive_one_more(tern_server_call *call)
{
    const void *data;
    size_t len;
    while (tern_server_call_recv(call, &data, &len))
        ;
    if (tern_context_error(tern_server_call_context(call)))
        atomic_fetch_add(&context_ended, 1);
    assert_false(tern_server_call_send(call, "late", 4));
    return TERN_OK; /* which does not count */
}

static void test_what_is_no_message(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool last;
        int code;
    } cases[] = {
        { "\0\0\0\0\5ab", 7, true, TERN_INTERNAL },             /* cut within a message */
        { "\0\0\0", 3, true, TERN_INTERNAL },                   /* cut within a prefix */
        { "\0\0\0\0\1x\2\0\0\0\1x", 12, false, TERN_INTERNAL }, /* no such flag */
        { "\1\0\0\0\1x", 6, false, TERN_INTERNAL },             /* compressed by what? */
        { "\0\xff\0\0\0", 5, false, TERN_RESOURCE_EXHAUSTED },  /* too long */
        { "\0\0\x40\0\1", 5, false, TERN_RESOURCE_EXHAUSTED },  /* by one byte */
    };
    act = receive_one_more;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int whole = 0; whole < 2; whole++) {
            atomic_store(&context_ended, 0);
            h2peer_open(&peer, &stream, &bidi);
            for (size_t k = 0; k < cases[i].len && !whole; k++) {
                h2peer_send(&peer, &stream, cases[i].bytes + k, 1,
                            cases[i].last && k + 1 == cases[i].len);
                h2peer_sent(&peer, &stream, PATIENCE_MS);
            }
            if (whole)
                h2peer_send(&peer, &stream, cases[i].bytes, cases[i].len, cases[i].last);
            expect_end(cases[i].code);
            assert_int_equal(stream.lists, 1);
            assert_true(probe_wait(&context_ended, 1));
        }
}

static tern_code leave_early(tern_server_call *call)
{
    const void *data;
    size_t len;
    assert_true(tern_server_call_recv(call, &data, &len));
    assert_true(tern_server_call_send(call, data, len));
    return tern_server_call_fail(call, TERN_ABORTED, "enough");
}

/* The rest is of no interest: RST_STREAM(NO_ERROR) behind the trailers, and the connection's window
 * gets back what nobody read. */
static void test_handler_leaves_early(void **state)
{
    (void)state;
    act = leave_early;
    uint8_t *bytes = calloc(1, 200000);
    assert_non_null(bytes);
    bytes[4] = 1;
    bytes[5] = 'a';
    for (int i = 0; i < 40; i++) { /* 8 MB together: more than all windows */
        h2peer_open(&peer, &stream, &bidi);
        h2peer_send(&peer, &stream, bytes, 200000, false);
        expect_end(TERN_ABORTED);
        assert_string_equal(stream.message, "enough");
        assert_int_equal(stream.data.len, 6);
    }
    free(bytes);
}

/* --- deferred, and other threads -------------------------------------------------------------- */

typedef struct worker {
    pthread_t thread;
    tern_server_call *call;
    unsigned n, from;
} worker;

static void *send_many(void *arg)
{
    worker *w = arg;
    for (unsigned i = 0; i < w->n; i++) {
        unsigned m[2] = { w->from + i, i };
        if (!tern_server_call_send(w->call, m, sizeof m))
            break;
    }
    return NULL;
}

static worker workers[2];

static void *finish_later(void *arg)
{
    worker *w = arg;
    const void *data;
    size_t len;
    unsigned n = 0;
    while (tern_server_call_recv(w->call, &data, &len)) {
        n++;
        tern_server_call_send(w->call, data, len);
        if (n % 100 == 0)
            probe_sleep_ms(1);
    }
    tern_server_call_finish(w->call, n == 1000 ? TERN_OK : TERN_DATA_LOSS);
    return NULL;
}

static tern_code defer(tern_server_call *call)
{
    workers[0] = (worker){ .call = call };
    tern_server_call_defer(call);
    assert_int_equal(pthread_create(&workers[0].thread, NULL, finish_later, &workers[0]), 0);
    return TERN_OK;
}

static void test_deferred(void **state)
{
    (void)state;
    act = defer;
    h2peer_open(&peer, &stream, &bidi);
    for (unsigned i = 0; i < 1000; i++) {
        h2peer_send(&peer, &stream, "\0\0\0\0\3abc", 8, i == 999);
        assert_true(h2peer_sent(&peer, &stream, PATIENCE_MS));
    }
    expect_end(TERN_OK);
    assert_int_equal(stream.data.len, 8000);
    pthread_join(workers[0].thread, NULL);
}

/* One thread sends, the handler's receives; both are busy at once. */
static tern_code both_ways(tern_server_call *call)
{
    const void *data;
    size_t len, n = 0;
    workers[1] = (worker){ .call = call, .n = 50000, .from = 7 };
    assert_int_equal(pthread_create(&workers[1].thread, NULL, send_many, &workers[1]), 0);
    while (tern_server_call_recv(call, &data, &len))
        n += len;
    pthread_join(workers[1].thread, NULL);
    return n == 600000 ? TERN_OK : TERN_DATA_LOSS;
}

static void test_both_ways(void **state)
{
    (void)state;
    act = both_ways;
    tern__buf b = { 0 };
    const uint8_t *data;
    size_t off = 0, len;
    for (unsigned i = 0; i < 20000; i++)
        h2peer_message(&b, "012345678901234567890123456789", 30);
    h2peer_open(&peer, &stream, &bidi);
    h2peer_send(&peer, &stream, tern__buf_head(&b), b.len, true);
    expect_end(TERN_OK);
    for (unsigned i = 0; i < 50000; i++) {
        unsigned m[2] = { 7 + i, i };
        assert_true(h2peer_next(&stream, &off, &data, &len));
        assert_int_equal(len, sizeof m);
        assert_memory_equal(data, m, sizeof m);
    }
    assert_int_equal(off, stream.data.len);
    tern__buf_deinit(&b);
}

static tern_code slow_echo(tern_server_call *call)
{
    const void *data;
    size_t len;
    while (tern_server_call_recv(call, &data, &len)) {
        assert_true(tern_server_call_send(call, data, len));
        probe_sleep_ms(5); /* without a word: the watchdog takes the loop */
    }
    return TERN_OK;
}

/* What a slow handler has sent leaves while it is still busy. */
static void test_slow_handler(void **state)
{
    (void)state;
    act = slow_echo;
    h2peer_open(&peer, &stream, &bidi);
    for (unsigned i = 0; i < 20; i++) {
        h2peer_send(&peer, &stream, "\0\0\0\0\1a\0\0\0\0\1b", 12, false);
        awaited = (i + 1) * 12;
        assert_true(h2peer_until(&peer, PATIENCE_MS, data_came, &stream));
    }
    h2peer_send(&peer, &stream, NULL, 0, true);
    expect_end(TERN_OK);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define TEST_POOLED(fn) { #fn ", pooled", fn, setup_pooled, teardown, NULL }
#define TEST_INLINE(fn) { #fn ", inline", fn, setup_inline, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_echo),
        TEST_POOLED(test_echo),
        TEST_INLINE(test_echo),
        TEST(test_odd_portions),
        TEST_POOLED(test_odd_portions),
        TEST(test_byte_at_a_time),
        TEST_POOLED(test_byte_at_a_time),
        TEST(test_ping_pong),
        TEST_POOLED(test_ping_pong),
        TEST_INLINE(test_ping_pong),
        TEST(test_client_streaming),
        TEST_POOLED(test_client_streaming),
        TEST(test_server_streaming),
        TEST_POOLED(test_server_streaming),
        TEST(test_wrong_number_of_requests),
        TEST(test_early_failure),
        TEST(test_no_messages),
        TEST(test_what_is_no_message),
        TEST_POOLED(test_what_is_no_message),
        TEST(test_handler_leaves_early),
        TEST(test_deferred),
        TEST(test_both_ways),
        TEST_POOLED(test_both_ways),
        TEST(test_slow_handler),
    };
    return cmocka_run_group_tests_name("streams, server", tests, NULL, NULL);
}
