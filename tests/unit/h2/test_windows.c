/* Windows that grow with the path, and PINGs by purpose: a client and a server session joined by a
 * simulated path with delay and a rate, in virtual time. */
#include "h2/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "base/time.h"
#include "support/failmalloc.h"

#define MS TERN__NS_PER_MS
#define KIB 1024u
#define MIB (1024u * KIB)
#define PACKET (64u * KIB)
#define PACKETS 4096u

typedef struct side {
    tern__h2 *h2;
    tern__pool pool;
    tern__buf out;
    tern__h2_stream stream;
    size_t got;
    bool closed;
    unsigned pings, pings_after_payload, goaways;
    uint64_t acked; /* opaque of the newest acknowledgement that was told */
    unsigned acks;
    uint32_t goaway_error;
    char debug[32];
    /* what is under way to this side */
    struct {
        int64_t at;
        uint8_t *data;
        size_t len;
    } packets[PACKETS];
    size_t first, last;
    int64_t free_at; /* the wire is busy until then */
} side;

static side client, server;
static int64_t now, delay, rate; /* ns one way; bytes/s */

static tern__h2_stream *on_open(void *ctx, int32_t id)
{
    (void)id;
    return &((side *)ctx)->stream;
}

static void on_headers_begin(void *ctx, tern__h2_stream *s)
{
    (void)ctx;
    (void)s;
}

static void on_field(void *ctx, tern__h2_stream *s, const tern__h2_field *f)
{
    (void)ctx;
    (void)s;
    (void)f;
}

static void on_headers_end(void *ctx, tern__h2_stream *s, bool end)
{
    (void)ctx;
    (void)s;
    (void)end;
}

static void on_data(void *ctx, tern__h2_stream *s, const uint8_t *data, size_t len)
{
    (void)data;
    ((side *)ctx)->got += len;
    tern__h2_consume(((side *)ctx)->h2, s, len);
}

static void on_end(void *ctx, tern__h2_stream *s)
{
    (void)ctx;
    (void)s;
}

static void on_close(void *ctx, tern__h2_stream *s, uint32_t error)
{
    (void)s;
    (void)error;
    ((side *)ctx)->closed = true;
}

static void on_goaway(void *ctx, int32_t last, uint32_t error, const char *debug, size_t len)
{
    side *s = ctx;
    (void)last;
    s->goaways++;
    s->goaway_error = error;
    assert_true(len < sizeof s->debug);
    memset(s->debug, 0, sizeof s->debug);
    if (len)
        memcpy(s->debug, debug, len);
}

static void on_ping_ack(void *ctx, uint64_t opaque)
{
    ((side *)ctx)->acked = opaque;
    ((side *)ctx)->acks++;
}

static void on_ping(void *ctx, bool payload_sent)
{
    ((side *)ctx)->pings++;
    ((side *)ctx)->pings_after_payload += payload_sent;
}

static const tern__h2_events events = {
    .on_open = on_open,
    .on_headers_begin = on_headers_begin,
    .on_field = on_field,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .on_goaway = on_goaway,
    .on_ping_ack = on_ping_ack,
    .on_ping = on_ping,
};

/* Behind the callbacks: from here on assertions may end a run without memory. */
#include "support/lean.h"

/* --- the path --------------------------------------------------------------------------------- */

static bool start(uint32_t max)
{
    const tern__h2_options opt = { .concurrent_streams_max = 10,
                                     .stream_window_bytes = 256 * KIB,
                                     .connection_window_bytes = 1 * MIB,
                                     .window_bytes_max = max };
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    now = 1000 * TERN__NS_PER_S;
    delay = 50 * MS;
    rate = INT64_C(1) << 40;
    client.h2 = tern__h2_new(false, &opt, &events, &client, &client.pool);
    server.h2 = tern__h2_new(true, &opt, &events, &server, &server.pool);
    return client.h2 && server.h2;
}

static void stop_side(side *s)
{
    for (size_t i = s->first; i < s->last; i++)
        free(s->packets[i % PACKETS].data);
    tern__h2_free(s->h2);
    tern__buf_deinit(&s->out);
    tern__pool_deinit(&s->pool);
}

static void stop(void)
{
    stop_side(&client);
    stop_side(&server);
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
}

/* Puts what `from` has to say on its way to `to`. Negative errno. */
static int depart(side *from, side *to)
{
    int more;
    do {
        more = tern__h2_take(from->h2, &from->out, PACKET);
        if (more < 0)
            return more;
        if (!from->out.len)
            break;
        uint8_t *data = malloc(from->out.len);
        if (!data)
            return -ENOMEM;
        assert_true(to->last - to->first < PACKETS);
        memcpy(data, tern__buf_head(&from->out), from->out.len);
        if (to->free_at < now)
            to->free_at = now;
        to->free_at += (int64_t)from->out.len * TERN__NS_PER_S / rate;
        size_t at = to->last++ % PACKETS;
        to->packets[at].at = to->free_at + delay;
        to->packets[at].data = data;
        to->packets[at].len = from->out.len;
        tern__buf_consume(&from->out, from->out.len);
    } while (more);
    return 0;
}

static int64_t next_at(const side *s)
{
    return s->first < s->last ? s->packets[s->first % PACKETS].at : TERN__TIME_NEVER;
}

static int arrive(side *s)
{
    int rv = 0;
    while (!rv && next_at(s) <= now) {
        size_t at = s->first++ % PACKETS;
        rv = tern__h2_feed(s->h2, now, s->packets[at].data, s->packets[at].len);
        free(s->packets[at].data);
    }
    return rv;
}

/* Until nothing is under way. 0 or a negative errno. */
static int pump(void)
{
    for (;;) {
        int rv = depart(&client, &server);
        rv = rv ? rv : depart(&server, &client);
        int64_t at = tern__time_min(next_at(&client), next_at(&server));
        if (rv || at == TERN__TIME_NEVER)
            return rv;
        now = at;
        rv = arrive(&client);
        rv = rv ? rv : arrive(&server);
        if (rv)
            return rv;
    }
}

static const tern__h2_field request_fields[] = {
    TERN__H2_FIXED(":method", "POST"), TERN__H2_FIXED(":scheme", "http"),
    TERN__H2_FIXED(":path", "/a.B/C"), TERN__H2_FIXED(":authority", "test"),
};
static const tern__h2_field head[] = { TERN__H2_FIXED(":status", "200") };
static const tern__h2_field tail[] = { TERN__H2_FIXED("grpc-status", "0") };
static uint8_t blob[32 * MIB];

/* One call; virtual ns that it took. */
static int64_t call(size_t request_len, size_t response_len)
{
    int64_t began = now;
    client.got = server.got = 0;
    client.closed = server.closed = false;
    assert_int_equal(
        tern__h2_request(client.h2, &client.stream, request_fields, 4, blob, request_len, true), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(server.got, request_len);
    const tern__h2_response r = { head, 1, blob, response_len, tail, 1 };
    assert_int_equal(tern__h2_respond(server.h2, &server.stream, &r), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(client.got, response_len);
    assert_true(client.closed && server.closed);
    return now - began;
}

/* --- tests ------------------------------------------------------------------------------------ */

/* 32 MiB over 100 ms there and back: with 256 KiB windows 128 round trips, with growing ones a
 * few. */
static void bulk_to_the_client(void **state)
{
    (void)state;
    assert_true(start(0));
    int64_t fixed = call(1, sizeof blob);
    assert_int_equal(tern__h2_window(client.h2), 256 * KIB);
    assert_int_equal(server.pings, 0);
    assert_true(fixed > 100 * 100 * MS);
    stop();

    assert_true(start(16 * MIB));
    int64_t grown = call(1, sizeof blob);
    assert_int_equal(tern__h2_window(client.h2), 16 * MIB);
    assert_int_equal(tern__h2_window(server.h2), 256 * KIB); /* nothing came to it */
    assert_true(grown < 30 * 100 * MS);
    assert_in_range(server.pings, 5, 40);
    /* Every one of them came after DATA had gone out: no strikes (gRFC A8). */
    assert_int_equal(server.pings_after_payload, server.pings);
    assert_int_equal(client.acks, 0); /* these acknowledgements are the session's own */
    int64_t again = call(1, sizeof blob);
    assert_true(again < 8 * 100 * MS);
    stop();
}

static void bulk_to_the_server(void **state)
{
    (void)state;
    assert_true(start(16 * MIB));
    call(sizeof blob, 1);
    assert_in_range(tern__h2_window(server.h2), 8 * MIB, 16 * MIB);
    assert_int_equal(tern__h2_window(client.h2), 256 * KIB);
    stop();
}

/* 20 MB/s over 100 ms is 2 MB in flight: the windows stay near it. */
static void no_more_than_the_path_needs(void **state)
{
    (void)state;
    assert_true(start(16 * MIB));
    rate = 20000000;
    for (int i = 0; i < 4; i++)
        call(1, sizeof blob);
    assert_in_range(tern__h2_window(client.h2), 2000000, 8000000);
    stop();
}

static void bound(void **state)
{
    (void)state;
    assert_true(start(1 * MIB));
    for (int i = 0; i < 4; i++)
        call(1, sizeof blob);
    assert_int_equal(tern__h2_window(client.h2), 1 * MIB);
    stop();
}

static void small_calls_do_not_ping(void **state)
{
    (void)state;
    assert_true(start(16 * MIB));
    delay = MS / 100;
    for (int i = 0; i < 500; i++)
        call(100, 100);
    assert_int_equal(server.pings, 0);
    assert_int_equal(client.pings, 0);
    stop();
}

/* An acknowledgement that nobody asked for changes nothing. */
static void made_up_acks(void **state)
{
    (void)state;
    const uint8_t own[17] = { 0, 0, 8, 6, 1, 0, 0, 0, 0, 0x74, 0x65, 0x72, 0x6e, 0x2d, 0x62, 0x64,
                              0x70 };
    uint64_t opaque;
    memcpy(&opaque, own + 9, sizeof opaque);
    assert_true(opaque == TERN__H2_PING_BDP);
    assert_true(start(16 * MIB));
    assert_int_equal(pump(), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(tern__h2_feed(client.h2, now, own, sizeof own), 0);
    assert_int_equal(client.acks, 0);
    assert_int_equal(tern__h2_window(client.h2), 256 * KIB);
    assert_false(tern__h2_wants_take(client.h2));
    stop();
}

static void pings_by_purpose(void **state)
{
    (void)state;
    assert_true(start(16 * MIB));
    assert_int_equal(pump(), 0);
    assert_int_equal(tern__h2_ping(client.h2, TERN__H2_PING_KEEPALIVE), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(server.pings, 1);
    assert_int_equal(server.pings_after_payload, 0);
    assert_true(client.acks == 1 && client.acked == TERN__H2_PING_KEEPALIVE);
    call(1, 1);
    assert_int_equal(tern__h2_ping(client.h2, TERN__H2_PING_KEEPALIVE), 0);
    assert_int_equal(tern__h2_ping(client.h2, TERN__H2_PING_KEEPALIVE), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(server.pings, 3);
    assert_int_equal(server.pings_after_payload, 1); /* the call counts for one, not for both */
    /* With a call under way: a client without one has ended by the time it could acknowledge. */
    assert_int_equal(
        tern__h2_request(client.h2, &client.stream, request_fields, 4, blob, 1, true), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(tern__h2_goaway_notice(server.h2), 0);
    assert_int_equal(pump(), 0);
    assert_true(server.acks == 1 && server.acked == TERN__H2_PING_DRAIN);
    stop();
}

static void goaway_with_a_word(void **state)
{
    (void)state;
    assert_true(start(0));
    assert_int_equal(pump(), 0);
    assert_int_equal(
        tern__h2_goaway_debug(server.h2, TERN__H2_ENHANCE_YOUR_CALM, "too_many_pings"), 0);
    assert_int_equal(pump(), 0);
    assert_int_equal(client.goaways, 1);
    assert_int_equal(client.goaway_error, TERN__H2_ENHANCE_YOUR_CALM);
    assert_string_equal(client.debug, "too_many_pings");
    stop();
}

/* Each allocation fails in turn while windows grow: the sessions end or go on, nothing else. */
static void without_memory(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        const tern__h2_response r = { head, 1, blob, 2 * MIB, tail, 1 };
        failmalloc_after(n);
        if (start(16 * MIB) &&
            tern__h2_request(client.h2, &client.stream, request_fields, 4, blob, 1, true) == 0 &&
            pump() == 0 && server.stream.id &&
            tern__h2_respond(server.h2, &server.stream, &r) == 0)
            (void)pump();
        bool failed = failmalloc_off();
        stop();
        if (!failed)
            break;
        assert_true(n < 5000);
    }
}

/* Those that move little, wherever an allocation fails; `without_memory` is for the rest. */
static void small_tests_without_memory(void **state)
{
    (void)state;
    lean_run(small_calls_do_not_ping, stop);
    lean_run(made_up_acks, stop);
    lean_run(pings_by_purpose, stop);
    lean_run(goaway_with_a_word, stop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bulk_to_the_client),
        cmocka_unit_test(bulk_to_the_server),
        cmocka_unit_test(no_more_than_the_path_needs),
        cmocka_unit_test(bound),
        cmocka_unit_test(small_calls_do_not_ping),
        cmocka_unit_test(made_up_acks),
        cmocka_unit_test(pings_by_purpose),
        cmocka_unit_test(goaway_with_a_word),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(small_tests_without_memory),
    };
    return cmocka_run_group_tests_name("h2/windows", tests, NULL, NULL);
}
