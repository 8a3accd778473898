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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(retired_at_three_quarters) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
