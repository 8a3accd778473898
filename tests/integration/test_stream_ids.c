/* Stream ids are counted up and never come again (RFC 9113, 5.1.1): a connection that has used
 * three quarters of them takes no more calls, and the next call has a new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <nghttp2/nghttp2.h>

#include "client/channel.h"
#include "h2/callbacks.h"
#include "support/probe.h"

static tern_status st;

static void use_ids_up_to(tern_channel *ch, int32_t next)
{
    tern__transport *t = ch->sub.conns.at[0];
    pthread_mutex_lock(&t->lock);
    assert_int_equal(nghttp2_session_set_next_stream_id(t->h2->ng, next), 0);
    pthread_mutex_unlock(&t->lock);
}

static uint64_t connects(tern_channel *ch)
{
    tern_channel_stats stats;
    tern_channel_stats_get(ch, &stats);
    return stats.connects;
}

static void must_echo(tern_channel *ch)
{
    assert_int_equal(probe_echo(ch, NULL, "x", &st), TERN_OK);
}

static void retired_at_three_quarters(void **state)
{
    (void)state;
    probe_server server;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    tern_channel *ch = probe_channel(server.target);
    must_echo(ch);
    use_ids_up_to(ch, 0x5ffffffd); /* 75 % of 2^31-1 is 0x5fffffff */
    must_echo(ch);
    must_echo(ch); /* 0x5fffffff: the last that it gives */
    assert_int_equal(connects(ch), 1);
    must_echo(ch);
    assert_int_equal(connects(ch), 2);
    must_echo(ch);
    assert_int_equal(connects(ch), 2);
    tern_channel_free(ch);
    probe_stop(&server, 1000);
}

/* --- with streams that wait for a place ------------------------------------------------------- */

static const tern_method talk = { .path = "/t.T/Talk", .kind = TERN_KIND_BIDI_STREAMING };

static tern_code handle_talk(void *self, tern_server_call *call)
{
    const void *data;
    size_t len;
    (void)self;
    while (tern_server_call_recv(call, &data, &len))
        if (!tern_server_call_send(call, data, len))
            return TERN_CANCELLED;
    return TERN_OK;
}

typedef struct watch {
    tern_stream *s;
    atomic_uint received, finished;
} watch;

static void saw_sent(void *ctx, bool ok)
{
    (void)ctx;
    (void)ok;
}

static void saw_message(void *ctx, const void *message, size_t len)
{
    watch *w = ctx;
    (void)len;
    atomic_fetch_add(&w->received, message != NULL);
}

static void saw_end(void *ctx, const tern_status *s)
{
    watch *w = ctx;
    (void)s;
    atomic_fetch_add(&w->finished, 1);
}

static void begin_talk(tern_channel *ch, watch *w)
{
    assert_int_equal(tern_stream_start(ch, &talk, NULL, &w->s, &st), TERN_OK);
    tern_stream_send_start(w->s, "x", 1, saw_sent, w);
    tern_stream_recv_start(w->s, saw_message, w);
}

static void end_talk(watch *w)
{
    tern_stream_cancel(w->s);
    tern_stream_finish_start(w->s, saw_end, w);
    assert_true(probe_wait(&w->finished, 1));
}

static void await_queued(tern_channel *ch, uint32_t n)
{
    tern__transport *t = ch->sub.conns.at[0];
    int64_t until = probe_now_ms() + 10000;
    uint32_t queued = 0;
    while (queued < n && probe_now_ms() < until) {
        pthread_mutex_lock(&t->lock);
        queued = t->n_queued;
        pthread_mutex_unlock(&t->lock);
        probe_sleep_ms(1);
    }
    assert_int_equal(queued, n);
}

/* The last stream that a connection gives may last: who stands behind it in the queue goes to
 * another connection at once. */
static void queue_goes_elsewhere(void **state)
{
    (void)state;
    tern_server *srv;
    uint16_t port;
    char target[64];
    watch w[3] = { { .s = NULL } };
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.concurrent_streams_max = 1;
    assert_int_equal(tern_server_new(&opts, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &talk, handle_talk, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    tern_channel *ch = probe_channel(target);
    begin_talk(ch, &w[0]);
    assert_true(probe_wait(&w[0].received, 1));
    use_ids_up_to(ch, 0x5fffffff);
    begin_talk(ch, &w[1]);
    await_queued(ch, 1);
    begin_talk(ch, &w[2]);
    await_queued(ch, 2);
    end_talk(&w[0]);
    assert_true(probe_wait(&w[1].received, 1));
    assert_true(probe_wait(&w[2].received, 1));
    assert_int_equal(connects(ch), 2);
    end_talk(&w[1]);
    end_talk(&w[2]);
    tern_channel_free(ch);
    tern_server_free(srv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retired_at_three_quarters),
        cmocka_unit_test(queue_goes_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
