/* Several connections of one channel, where one does not permit enough streams (gRFC A105). */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"
#include "support/rawh2.h"

#define STREAMS 2
#define SLEEP_MS 300
#define CALLS_MAX 64

static probe_server server;
static tern_channel *channel;

typedef struct caller {
    pthread_t thread;
    tern_code code;
    tern_status st;
    int64_t took_ms;
} caller;

static caller callers[CALLS_MAX];

static void start(uint32_t connections_max)
{
    tern_server_options so = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    so.concurrent_streams_max = STREAMS;
    co.connections_max = connections_max;
    co.reconnect_backoff_ms = 10;
    probe_start(&server, &so, "ipv4:127.0.0.1:0");
    channel = probe_channel_with(server.target, &co);
    assert_int_equal(probe_echo(channel, NULL, "warm", NULL), TERN_OK);
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(channel);
    probe_stop(&server, 1000);
    return 0;
}

static uint64_t connects(void)
{
    tern_channel_stats stats;
    tern_channel_stats_get(channel, &stats);
    return stats.connects;
}

static void *sleep_there(void *arg)
{
    caller *c = arg;
    int64_t began = probe_now_ms();
    c->st.message[0] = '\0';
    c->code = probe_sleep(channel, NULL, SLEEP_MS, NULL, &c->st);
    c->took_ms = probe_now_ms() - began;
    return NULL;
}

/* One after the other, each once the one before has reached the server: no chance in it. */
static void begin(unsigned from, unsigned n, bool all_run)
{
    for (unsigned i = from; i < from + n; i++) {
        assert_int_equal(pthread_create(&callers[i].thread, NULL, sleep_there, &callers[i]), 0);
        if (all_run)
            assert_true(probe_wait(&server.running, i + 1));
    }
}

static void end(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        pthread_join(callers[i].thread, NULL);
        if (callers[i].code != TERN_OK)
            fail_msg("%s", callers[i].st.message);
    }
}

static void one_by_default(void **state)
{
    (void)state;
    start(0);
    begin(0, STREAMS, true);
    begin(STREAMS, STREAMS, false);
    end(2 * STREAMS);
    assert_int_equal(connects(), 1);
    for (unsigned i = STREAMS; i < 2 * STREAMS; i++) /* they waited for a stream */
        assert_true(callers[i].took_ms >= 2 * SLEEP_MS - 100);
}

static void more_when_streams_run_out(void **state)
{
    (void)state;
    start(3);
    begin(0, 3 * STREAMS, true); /* all of them run at once */
    assert_int_equal(connects(), 3);
    begin(3 * STREAMS, 1, false); /* beyond the third connection: it waits */
    end(3 * STREAMS + 1);
    assert_int_equal(connects(), 3);
    /* With the rush over the oldest connection serves, and no other is made. */
    for (int i = 0; i < 20; i++)
        assert_int_equal(probe_echo(channel, NULL, "calm", NULL), TERN_OK);
    assert_int_equal(connects(), 3);
}

static void a_crowd_at_once(void **state)
{
    (void)state;
    start(10);
    begin(0, CALLS_MAX, false);
    end(CALLS_MAX);
    assert_in_range(connects(), 2, 10);
}

/* Connections that were lost make room for others. */
static void lost_ones_are_replaced(void **state)
{
    (void)state;
    tern_server_options so = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    so.concurrent_streams_max = STREAMS;
    so.max_connection_idle_ms = 50;
    co.connections_max = 3;
    co.reconnect_backoff_ms = 10;
    probe_start(&server, &so, "ipv4:127.0.0.1:0");
    channel = probe_channel_with(server.target, &co);
    for (int round = 1; round <= 3; round++) {
        begin(0, 3 * STREAMS, true);
        end(3 * STREAMS);
        assert_int_equal(connects(), 3 * round);
        probe_sleep_ms(300); /* the server sends them all away */
    }
}

/* If no further connection can be made, calls wait for a stream as they would without. */
static void no_further_one_to_be_had(void **state)
{
    (void)state;
    tern_server_options so = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    so.concurrent_streams_max = STREAMS;
    so.connections_max = 1; /* further ones are closed */
    co.connections_max = 3;
    co.connect_timeout_ms = 500;
    probe_start(&server, &so, "ipv4:127.0.0.1:0");
    channel = probe_channel_with(server.target, &co);
    assert_int_equal(probe_echo(channel, NULL, "warm", NULL), TERN_OK);
    begin(0, STREAMS, true);
    begin(STREAMS, STREAMS, false);
    end(2 * STREAMS);
    assert_int_equal(connects(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_by_default, teardown),
        cmocka_unit_test_teardown(more_when_streams_run_out, teardown),
        cmocka_unit_test_teardown(a_crowd_at_once, teardown),
        cmocka_unit_test_teardown(lost_ones_are_replaced, teardown),
        cmocka_unit_test_teardown(no_further_one_to_be_had, teardown),
    };
    return cmocka_run_group_tests_name("scaling", tests, NULL, NULL);
}
