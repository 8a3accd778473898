/* Two sessions, client and server, joined by buffers in memory: windows, limits, cancellation,
 * GOAWAY. Each test runs with what is sent whole, byte by byte and in other pieces, with payload
 * borrowed or copied, and with each allocation failing. */
#include "h2/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#define STREAMS 32
#define SOFT_MAX (256u * 1024)
#define MAX_FRAME (16384u + 9u)
#define CLOSED_NOT 0xffffffffu

typedef struct side side;

/* A stream of either side and what has been seen of it. */
typedef struct stream {
    tern__h2_stream h2;
    side *of;
    bool used;
    unsigned lists, fields;
    bool head_end, end;
    size_t data_len;
    uint32_t sum;        /* of the bytes of DATA */
    char last_value[64]; /* of the newest field */
    uint32_t closed;     /* error code, CLOSED_NOT before */
} stream;

struct side {
    tern__h2 *h2;
    tern__pool pool;
    tern__buf out;
    stream streams[STREAMS];
    bool refuse, no_consume;
    unsigned opened, settings, goaways, acks;
    int32_t goaway_last;
    uint32_t goaway_error;
};

static side client, server;
static size_t piece; /* bytes fed at once; 0: all */
static bool borrow;  /* payload is left where it lies until it is written */

static stream *of(tern__h2_stream *s)
{
    return (stream *)(void *)s;
}

static tern__h2_stream *on_open(void *ctx, int32_t id)
{
    side *s = ctx;
    assert_true(id % 2 == 1);
    for (int i = 0; !s->refuse && i < STREAMS; i++) {
        if (s->streams[i].used)
            continue;
        memset(&s->streams[i], 0, sizeof s->streams[i]);
        s->streams[i].used = true;
        s->streams[i].of = s;
        s->streams[i].closed = CLOSED_NOT;
        s->opened++;
        return &s->streams[i].h2;
    }
    return NULL;
}

static void on_headers_begin(void *ctx, tern__h2_stream *s)
{
    assert_ptr_equal(of(s)->of, ctx);
    of(s)->lists++;
}

static void on_field(void *ctx, tern__h2_stream *s, const tern__h2_field *f)
{
    (void)ctx;
    of(s)->fields++;
    assert_int_equal(strlen(f->name), f->name_len);
    assert_int_equal(f->value[f->value_len], 0);
    snprintf(of(s)->last_value, sizeof of(s)->last_value, "%s", f->value);
}

static void on_headers_end(void *ctx, tern__h2_stream *s, bool end)
{
    (void)ctx;
    of(s)->head_end = true;
    of(s)->end |= end;
}

static void on_data(void *ctx, tern__h2_stream *s, const uint8_t *data, size_t len)
{
    side *sd = ctx;
    for (size_t i = 0; i < len; i++)
        of(s)->sum = of(s)->sum * 31 + data[i];
    of(s)->data_len += len;
    if (!sd->no_consume)
        tern__h2_consume(sd->h2, s, len);
}

static void on_end(void *ctx, tern__h2_stream *s)
{
    (void)ctx;
    of(s)->end = true;
}

static void on_close(void *ctx, tern__h2_stream *s, uint32_t error)
{
    (void)ctx;
    assert_int_equal(of(s)->closed, CLOSED_NOT); /* once */
    of(s)->closed = error;
    of(s)->used = false;
}

static void on_sent(void *ctx, tern__h2_stream *s);

static void on_settings(void *ctx)
{
    ((side *)ctx)->settings++;
}

static void on_goaway(void *ctx, int32_t last, uint32_t error, const char *debug, size_t len)
{
    side *s = ctx;
    (void)debug;
    (void)len;
    s->goaways++;
    s->goaway_last = last;
    s->goaway_error = error;
}

static void on_ping_ack(void *ctx, uint64_t opaque)
{
    (void)opaque;
    ((side *)ctx)->acks++;
}

static const tern__h2_events server_events = {
    .on_open = on_open,
    .on_headers_begin = on_headers_begin,
    .on_field = on_field,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .on_settings = on_settings,
    .on_ping_ack = on_ping_ack,
};
static const tern__h2_events client_events = {
    .on_headers_begin = on_headers_begin,
    .on_field = on_field,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_sent = on_sent,
    .on_close = on_close,
    .on_settings = on_settings,
    .on_goaway = on_goaway,
};

/* Behind the callbacks: from here on assertions may end a run without memory. */
#include "support/lean.h"

static const tern__h2_options defaults = { .concurrent_streams_max = 10,
                                          .stream_window_bytes = 65535,
                                          .connection_window_bytes = 65535 };
static tern__h2_options options;

static bool start(void)
{
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    client.h2 = tern__h2_new(false, &options, &client_events, &client, &client.pool);
    server.h2 = tern__h2_new(true, &options, &server_events, &server, &server.pool);
    return client.h2 && server.h2;
}

static void stop(void)
{
    tern__h2_free(client.h2);
    tern__h2_free(server.h2);
    tern__buf_deinit(&client.out);
    tern__buf_deinit(&server.out);
    tern__pool_deinit(&client.pool);
    tern__pool_deinit(&server.pool);
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    options = defaults;
}

/* Hands over what is in *out, in pieces. 0 or a negative errno. */
static int feed(side *to, tern__buf *out)
{
    while (out->len) {
        size_t n = piece && piece < out->len ? piece : out->len;
        int rv = tern__h2_feed(to->h2, 1000000, tern__buf_head(out), n);
        if (rv < 0)
            return rv;
        tern__buf_consume(out, n);
    }
    return 0;
}

/* What there is to write, in `out`. 1, 0 or a negative errno. */
static int take(side *from, size_t soft_max)
{
    tern__pieces pieces = { .n = 0 };
    if (!borrow)
        return tern__h2_take(from->h2, &from->out, soft_max);
    int more = tern__h2_take_pieces(from->h2, &from->out, &pieces, soft_max);
    int rv = tern__pieces_flatten(&pieces, &from->out);
    tern__h2_written(from->h2);
    return rv ? rv : more;
}

/* Moves what `from` has to say to `to`. Bytes moved, or a negative errno of either side. */
static long move(side *from, side *to)
{
    long moved = 0;
    int more;
    do {
        more = take(from, SOFT_MAX);
        if (more < 0)
            return more;
        moved += (long)from->out.len;
        int rv = feed(to, &from->out);
        if (rv < 0)
            return rv;
    } while (more);
    return moved;
}

/* Until both are quiet. 0 or a negative errno. */
static int pump(void)
{
    long a, b;
    do {
        a = move(&client, &server);
        b = a < 0 ? 0 : move(&server, &client);
        if (a < 0 || b < 0)
            return (int)(a < 0 ? a : b);
    } while (a || b);
    return 0;
}

static const tern__h2_field request_fields[] = {
    TERN__H2_FIXED(":method", "POST"), TERN__H2_FIXED(":scheme", "http"),
    TERN__H2_FIXED(":path", "/a.B/C"), TERN__H2_FIXED(":authority", "test"),
    TERN__H2_FIXED("te", "trailers"),
};
static const tern__h2_field head[] = { TERN__H2_FIXED(":status", "200") };
static const tern__h2_field tail[] = { TERN__H2_FIXED("grpc-status", "0") };

static stream *request(const uint8_t *data, size_t len, int *ret)
{
    stream *s = NULL;
    for (int i = 0; i < STREAMS && !s; i++)
        if (!client.streams[i].used)
            s = &client.streams[i];
    assert_non_null(s);
    memset(s, 0, sizeof *s);
    s->used = true;
    s->of = &client;
    s->closed = CLOSED_NOT;
    *ret = tern__h2_request(client.h2, &s->h2, request_fields, 5, data, len, true);
    if (*ret)
        s->used = false;
    return s;
}

static int respond(stream *s, const uint8_t *body, size_t len)
{
    const tern__h2_response r = { head, 1, body, len, tail, 1 };
    return tern__h2_respond(server.h2, &s->h2, &r);
}

static uint32_t sum_of(const uint8_t *data, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + data[i];
    return sum;
}

static uint8_t blob[2 * 1024 * 1024];
static size_t bulk = sizeof blob; /* of it, in tests that move much; more than a window */

static void round_trip(size_t request_len, size_t response_len)
{
    int rv;
    stream *c = request(blob, request_len, &rv), *s = &server.streams[0];
    assert_int_equal(rv, 0);
    assert_int_equal(pump(), 0);
    assert_true(s->head_end && s->end);
    assert_int_equal(s->fields, 5);
    assert_int_equal(s->data_len, request_len);
    assert_int_equal(s->sum, sum_of(blob, request_len));
    assert_int_equal(respond(s, blob, response_len), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(c->closed, 0);
    assert_int_equal(s->closed, 0);
    assert_int_equal(c->lists, 2);
    assert_string_equal(c->last_value, "0");
    assert_int_equal(c->data_len, response_len);
    assert_int_equal(c->sum, sum_of(blob, response_len));
}

static void test_round_trips(void **state)
{
    (void)state;
    assert_true(start());
    assert_int_equal(pump(), 0);
    assert_int_equal(client.settings, 1);
    assert_int_equal(server.settings, 1);
    assert_true(tern__h2_settings_acked(client.h2) && tern__h2_settings_acked(server.h2));
    assert_int_equal(tern__h2_peer_streams_max(client.h2), options.concurrent_streams_max);
    round_trip(5, 5);
    round_trip(0, 0);
    round_trip(65535, 65536);
    round_trip(1, bulk);
    round_trip(bulk, 1);
    assert_true(tern__h2_alive(client.h2) && tern__h2_alive(server.h2));
    assert_string_equal(tern__h2_error_text(server.h2), "");
    stop();
}

/* A status alone: one list with END_STREAM; it may come before the request is out. */
/* A body in portions that lie in the same memory one after the other, each written over as soon as
 * the session says that the former has left. */
#define PORTION_MAX 50000u
#define PORTIONS_LEN (4 * PORTION_MAX - 1)
static struct {
    uint8_t at[PORTION_MAX];
    size_t next; /* of blob */
    size_t len;  /* of each but the last */
} portion;

static void send_portion(tern__h2_stream *s)
{
    size_t left = PORTIONS_LEN - portion.next, n = left < portion.len ? left : portion.len;
    memcpy(portion.at, blob + portion.next, n);
    portion.next += n;
    tern__h2_send(client.h2, s, portion.at, n, portion.next == PORTIONS_LEN);
}

static void on_sent(void *ctx, tern__h2_stream *s)
{
    assert_ptr_equal(ctx, &client);
    send_portion(s);
}

static void test_portions(void **state)
{
    static const size_t lens[] = { PORTION_MAX, 16384, 16385, 1000, TERN__H2_PIECE_MIN };
    (void)state;
    assert_true(start());
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        int rv;
        stream *c = request(NULL, 0, &rv), *s = &server.streams[0];
        assert_int_equal(rv, 0);
        c->h2.tx.last = false; /* it goes on */
        portion.next = 0;
        portion.len = lens[i];
        send_portion(&c->h2);
        assert_int_equal(pump(), 0);
        assert_int_equal(s->data_len, PORTIONS_LEN);
        assert_int_equal(s->sum, sum_of(blob, PORTIONS_LEN));
        assert_true(s->end);
        assert_int_equal(respond(s, blob, 1), 0);
        assert_int_equal(pump(), 0);
        assert_int_equal(c->closed, 0);
    }
    stop();
}

/* A stream that is gone is told nothing more, whatever of it waits to be written. */
static void test_reset_while_it_is_written(void **state)
{
    (void)state;
    int rv;
    tern__pieces pieces = { .n = 0 };
    assert_true(start());
    assert_int_equal(pump(), 0);
    stream *c = request(NULL, 0, &rv);
    c->h2.tx.last = false;
    portion.next = 0;
    portion.len = 40000;
    send_portion(&c->h2);
    assert_int_equal(tern__h2_take_pieces(client.h2, &client.out, &pieces, SOFT_MAX), 1);
    assert_true(pieces.n > 0);
    assert_int_equal(tern__pieces_flatten(&pieces, &client.out), 0);
    tern__h2_cancel(client.h2, &c->h2, TERN__H2_CANCEL);
    c->used = false;
    tern__h2_written(client.h2);
    assert_int_equal(portion.next, 40000);
    assert_int_equal(pump(), 0);
    assert_int_equal(server.streams[0].closed, TERN__H2_CANCEL);
    stop();
}

/* Bytes of a request that has this value in a recurring field beside the fixed ones. */
static long request_bytes(const char *value)
{
    tern__h2_field f[6];
    stream *c = &client.streams[0];
    memcpy(f, request_fields, sizeof request_fields);
    f[5] = (tern__h2_field){ "grpc-timeout", value, 12, (uint32_t)strlen(value),
                             TERN__H2_RECURRING };
    memset(c, 0, sizeof *c);
    c->used = true;
    c->of = &client;
    c->closed = CLOSED_NOT;
    assert_int_equal(tern__h2_request(client.h2, &c->h2, f, 6, NULL, 0, true), 0);
    long n = move(&client, &server);
    stream *s = &server.streams[0];
    assert_true(n > 0);
    assert_string_equal(s->last_value, value);
    assert_int_equal(respond(s, blob, 1), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(c->closed, 0);
    return n;
}

/* What comes twice in a row costs a byte from then on; what does not pushes nothing out of the
 * table. */
static void test_recurring_field(void **state)
{
    (void)state;
    char other[16];
    assert_true(start());
    assert_int_equal(pump(), 0);
    request_bytes("30S"); /* brings the fixed fields into the table */
    long inserted = request_bytes("30S"), indexed = request_bytes("30S");
    assert_true(indexed < inserted - 3);
    /* More than the table holds; without memory each allocation of it would be a run. */
    const int n = bulk == sizeof blob ? 100 : 5;
    for (int i = 0; i < n; i++) {
        snprintf(other, sizeof other, "%dm", 100 + i);
        assert_true(request_bytes(other) > indexed);
    }
    request_bytes("30S");
    assert_int_equal(request_bytes("30S"), indexed);
    assert_true(request_bytes("1234567890123") > indexed); /* longer than what is remembered */
    assert_true(request_bytes("1234567890123") > indexed);
    stop();
}

static void test_trailers_only(void **state)
{
    (void)state;
    int rv;
    assert_true(start());
    stream *c = request(blob, bulk, &rv), *s = &server.streams[0];
    server.no_consume = true;
    assert_int_equal(pump(), 0);
    assert_false(s->end);
    const tern__h2_response r = { .headers = head, .n_headers = 1 };
    assert_int_equal(tern__h2_respond(server.h2, &s->h2, &r), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(c->closed, 0); /* RST_STREAM(NO_ERROR) */
    assert_int_equal(c->lists, 1);
    assert_true(c->end);
    assert_int_equal(s->closed, 0);
    stop();
}

/* What nobody consumes is not followed by more: the windows hold. */
static void test_back_pressure(void **state)
{
    (void)state;
    int rv;
    assert_true(start());
    server.no_consume = true;
    stream *c = request(blob, bulk, &rv), *s = &server.streams[0];
    assert_int_equal(pump(), 0);
    assert_int_equal(s->data_len, 65535);
    tern__h2_consume(server.h2, &s->h2, 40000);
    assert_int_equal(pump(), 0);
    assert_int_equal(s->data_len, 65535 + 40000);
    tern__h2_consume(server.h2, &s->h2, 65535);
    server.no_consume = false;
    assert_int_equal(pump(), 0);
    assert_int_equal(s->data_len, bulk);
    assert_true(s->end);
    tern__h2_cancel(client.h2, &c->h2, TERN__H2_CANCEL);
    stop();
}

/* One take() gives about as much as it is asked for, however large the windows are. */
static void test_take_is_bounded(void **state)
{
    (void)state;
    int rv;
    options.stream_window_bytes = options.connection_window_bytes = 0x7fffffff;
    assert_true(start());
    for (int i = 0; i < 8; i++) {
        request(blob, 0, &rv);
        assert_int_equal(rv, 0);
    }
    assert_int_equal(pump(), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(respond(&server.streams[i], blob, bulk), 0);
    size_t total = 0;
    int more = 1;
    while (more) {
        more = take(&server, 50000);
        assert_true(more >= 0);
        assert_true(server.out.len < 50000 + 2 * MAX_FRAME);
        assert_int_equal(more, tern__h2_wants_take(server.h2));
        total += server.out.len;
        assert_int_equal(feed(&client, &server.out), 0);
    }
    assert_true(total > 8 * bulk);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(client.streams[i].closed, 0);
        assert_int_equal(client.streams[i].sum, sum_of(blob, bulk));
    }
    stop();
}

static void test_cancel(void **state)
{
    (void)state;
    int rv;
    assert_true(start());
    /* before anything was sent: nothing of it is */
    stream *c = request(blob, 10, &rv);
    tern__h2_cancel(client.h2, &c->h2, TERN__H2_CANCEL);
    assert_int_equal(c->h2.id, 0);
    c->used = false;
    tern__h2_cancel(client.h2, &c->h2, TERN__H2_CANCEL);
    assert_int_equal(pump(), 0);
    assert_int_equal(server.opened, 0);
    assert_int_equal(c->closed, CLOSED_NOT);
    /* in the middle */
    c = request(blob, bulk, &rv);
    server.no_consume = true;
    assert_int_equal(pump(), 0);
    stream *s = &server.streams[0];
    tern__h2_cancel(client.h2, &c->h2, TERN__H2_CANCEL);
    c->used = false;
    assert_int_equal(pump(), 0);
    assert_int_equal(s->closed, TERN__H2_CANCEL);
    assert_int_equal(c->closed, CLOSED_NOT); /* detached: no event */
    /* what was not consumed while the stream lived belongs to the connection's window */
    tern__h2_consume(server.h2, NULL, s->data_len);
    server.no_consume = false;
    /* the response meets a stream that is gone */
    c = request(blob, 1, &rv);
    assert_int_equal(pump(), 0);
    s = &server.streams[0];
    assert_int_equal(respond(s, blob, 30000), 0);
    tern__h2_cancel(client.h2, &c->h2, TERN__H2_CANCEL);
    c->used = false;
    assert_int_equal(pump(), 0);
    assert_int_not_equal(s->closed, CLOSED_NOT);
    /* what was received for nobody has been given back to the connection's window */
    for (int i = 0; i < 8; i++)
        round_trip(1, 60000);
    stop();
}

static void test_reset_by_server(void **state)
{
    (void)state;
    int rv;
    assert_true(start());
    stream *c = request(blob, 1, &rv);
    assert_int_equal(pump(), 0);
    tern__h2_reset(server.h2, &server.streams[0].h2, TERN__H2_ENHANCE_YOUR_CALM);
    assert_int_equal(pump(), 0);
    assert_int_equal(c->closed, TERN__H2_ENHANCE_YOUR_CALM);
    assert_int_equal(server.streams[0].closed, TERN__H2_ENHANCE_YOUR_CALM);
    server.refuse = true;
    c = request(blob, 1, &rv);
    assert_int_equal(pump(), 0);
    assert_int_equal(c->closed, TERN__H2_REFUSED_STREAM);
    stop();
}

static void test_goaway(void **state)
{
    (void)state;
    int rv;
    assert_true(start());
    stream *c = request(blob, 1, &rv);
    assert_int_equal(pump(), 0);
    assert_int_equal(tern__h2_goaway_notice(server.h2), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(client.goaways, 1);
    assert_int_equal(client.goaway_last, 0x7fffffff);
    assert_int_equal(server.acks, 1);
    /* a stream that was on its way when the final GOAWAY left was never begun */
    stream *late = request(blob, 1, &rv);
    (void)late;
    assert_int_equal(tern__h2_goaway_final(server.h2, TERN__H2_NO_ERROR), 0);
    assert_true(move(&server, &client) >= 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(client.goaways, 2);
    assert_int_equal(client.goaway_last, c->h2.id);
    assert_int_equal(client.goaway_error, 0);
    if (rv == 0)
        assert_int_equal(late->closed, TERN__H2_REFUSED_STREAM);
    /* the one that was begun ends well, and with it the connection */
    assert_true(tern__h2_alive(server.h2));
    assert_int_equal(respond(&server.streams[0], blob, 10), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(c->closed, 0);
    assert_false(tern__h2_alive(server.h2));
    assert_false(tern__h2_alive(client.h2));
    stop();
}

static void test_header_limits(void **state)
{
    (void)state;
    static char value[TERN_LIMIT_HEADER_LIST_BYTES + 1];
    memset(value, 'v', sizeof value - 1);
    for (int many = 0; many < 2; many++) {
        tern__h2_field f[TERN__H2_FIELDS_MAX];
        uint32_t n = 5;
        memcpy(f, request_fields, sizeof request_fields);
        while (many && n < TERN__H2_FIELDS_MAX)
            f[n++] = (tern__h2_field){ "x", "y", 1, 1, false };
        if (!many)
            f[n++] = (tern__h2_field){ "x", value, 1, sizeof value - 1, false };
        assert_true(start());
        stream *c = &client.streams[0];
        c->of = &client;
        c->closed = CLOSED_NOT;
        assert_int_equal(tern__h2_request(client.h2, &c->h2, f, n, blob, 1, true), 0);
        assert_int_equal(pump(), 0);
        assert_true(server.streams[0].h2.fields_overflow);
        assert_true(server.streams[0].fields <= TERN_LIMIT_HEADER_FIELDS);
        assert_true(server.streams[0].end);
        assert_int_equal(
            tern__h2_request(client.h2, &c->h2, f, TERN__H2_FIELDS_MAX + 1, blob, 1, true), -E2BIG);
        /* within the limits all is well again: HPACK is in step */
        assert_int_equal(respond(&server.streams[0], blob, 1), 0);
        assert_int_equal(pump(), 0);
        round_trip(10, 10);
        stop();
    }
}

static void test_more_streams_than_allowed(void **state)
{
    (void)state;
    int rv;
    assert_true(start());
    assert_int_equal(pump(), 0);
    for (uint32_t i = 0; i < options.concurrent_streams_max + 5; i++) {
        request(blob, 1, &rv);
        assert_int_equal(rv, 0);
    }
    assert_int_equal(pump(), 0);
    assert_int_equal(server.opened, options.concurrent_streams_max);
    assert_int_equal(respond(&server.streams[0], blob, 1), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(server.opened, options.concurrent_streams_max + 1);
    stop();
}

static void test_garbage(void **state)
{
    (void)state;
    assert_true(start());
    static const uint8_t http1[] = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    assert_int_equal(tern__h2_feed(server.h2, 0, http1, sizeof http1 - 1), -EPROTO);
    assert_true(strlen(tern__h2_error_text(server.h2)) > 0);
    assert_true(tern__h2_take(server.h2, &server.out, SOFT_MAX) <= 0);
    stop();
}

static void test_resets_end_the_connection(void **state)
{
    (void)state;
    int rv;
    assert_true(start());
    assert_int_equal(pump(), 0);
    unsigned n = 0;
    while (tern__h2_alive(server.h2) && n < 1000) {
        stream *c = request(blob, 1, &rv);
        if (rv)
            break;
        assert_true(move(&client, &server) >= 0);
        tern__h2_cancel(client.h2, &c->h2, TERN__H2_CANCEL);
        c->used = false;
        assert_true(move(&client, &server) >= 0);
        if (move(&server, &client) < 0)
            break;
        n++;
    }
    assert_in_range(n, TERN_LIMIT_RESETS_BURST, TERN_LIMIT_RESETS_BURST + 2);
    assert_non_null(strstr(tern__h2_error_text(server.h2), "reset"));
    assert_int_equal(client.goaway_error, TERN__H2_ENHANCE_YOUR_CALM);
    stop();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_round_trips),
    cmocka_unit_test(test_portions),
    cmocka_unit_test(test_reset_while_it_is_written),
    cmocka_unit_test(test_recurring_field),
    cmocka_unit_test(test_trailers_only),
    cmocka_unit_test(test_back_pressure),
    cmocka_unit_test(test_take_is_bounded),
    cmocka_unit_test(test_cancel),
    cmocka_unit_test(test_reset_by_server),
    cmocka_unit_test(test_goaway),
    cmocka_unit_test(test_header_limits),
    cmocka_unit_test(test_more_streams_than_allowed),
    cmocka_unit_test(test_garbage),
    cmocka_unit_test(test_resets_end_the_connection),
};

static void every_test_without_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        lean_run(tests[i].test_func, stop);
}

int main(void)
{
    static const size_t pieces[] = { 0, 1, 7, 4096, 0 };
    static const char *const names[] = { "h2/session", "h2/session, byte by byte",
                                         "h2/session, by 7 bytes", "h2/session, by 4096 bytes",
                                         "h2/session, payload borrowed" };
    const struct CMUnitTest lean[] = { cmocka_unit_test(every_test_without_memory) };
    int failed = 0;
    options = defaults;
    for (size_t i = 0; i < sizeof blob; i++)
        blob[i] = (uint8_t)(i * 7 + i / 253);
    for (int i = 0; i < 5; i++) {
        piece = pieces[i];
        borrow = i == 4;
        failed += _cmocka_run_group_tests(names[i], tests, sizeof tests / sizeof tests[0], NULL,
                                          NULL);
    }
    bulk = 200000;
    failed += cmocka_run_group_tests_name("h2/session, borrowed and without memory", lean, NULL,
                                          NULL);
    borrow = false;
    return failed + cmocka_run_group_tests_name("h2/session, without memory", lean, NULL, NULL);
}
