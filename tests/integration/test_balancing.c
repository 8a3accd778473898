/* A channel that spreads its calls over several servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "client/channel.h"
#include "client/cluster.h"
#include "client/pick.h"
#include "support/probe.h"

#define SERVERS 3u
#define PATIENCE_MS 10000

static probe_server servers[SERVERS];
static char target[256];
static tern_channel *ch;
static tern_status st;

static tern_channel *spread_channel(const char *to, tern_loop *loop)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.load_balancing = "round_robin";
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 20;
    opts.breaker.disabled = true;
    opts.loop = loop;
    return probe_channel_with(to, &opts);
}

static int setup(void **state)
{
    (void)state;
    size_t len = 0;
    for (unsigned i = 0; i < SERVERS; i++) {
        probe_start(&servers[i], NULL, "ipv4:127.0.0.1:0");
        len += (size_t)snprintf(target + len, sizeof target - len, "%s127.0.0.1:%u",
                                i ? "," : "ipv4:", servers[i].port);
    }
    ch = spread_channel(target, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(ch);
    for (unsigned i = 0; i < SERVERS; i++)
        if (servers[i].srv)
            probe_stop(&servers[i], 1000);
    return 0;
}

static void stop(unsigned i)
{
    probe_stop(&servers[i], 1000);
    servers[i].srv = NULL;
}

/* On the port that it had. */
static void start_again(unsigned i)
{
    char address[sizeof servers[i].target];
    snprintf(address, sizeof address, "%s", servers[i].target);
    probe_start(&servers[i], NULL, address);
}

static void reset_counts(void)
{
    for (unsigned i = 0; i < SERVERS; i++)
        atomic_store(&servers[i].calls, 0);
}

/* Calls until each of the servers (a bit each) has had one. */
static void reach(tern_channel *to, unsigned which)
{
    unsigned reached = 0;
    reset_counts();
    for (int64_t until = probe_now_ms() + PATIENCE_MS; reached != which;) {
        assert_true(probe_now_ms() < until);
        if (probe_echo(to, NULL, "hello", &st) != TERN_OK)
            fail_msg("%s", st.message);
        reached = 0;
        for (unsigned i = 0; i < SERVERS; i++)
            reached |= (unsigned)(atomic_load(&servers[i].calls) > 0) << i;
    }
    reset_counts();
}

/* Whatever a call did, in the end it is over for the balancer too. */
static void nothing_in_flight(tern_channel *of)
{
    tern__cluster *c = of->cluster;
    assert_non_null(c);
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->balancer.n; i++)
        assert_int_equal(c->balancer.at[i].in_flight, 0);
    pthread_mutex_unlock(&c->lock);
}

static void test_everyone_gets_the_same(void **state)
{
    (void)state;
    reach(ch, 7);
    for (unsigned i = 0; i < 10 * SERVERS; i++)
        assert_int_equal(probe_echo(ch, NULL, "hello", &st), TERN_OK);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(atomic_load(&servers[i].calls), 10);
    nothing_in_flight(ch);
}

/* One goes: no call notices. It comes back: it gets calls again. */
static void test_one_goes_and_comes_back(void **state)
{
    (void)state;
    reach(ch, 7);
    stop(1);
    for (unsigned i = 0; i < 40; i++)
        if (probe_echo(ch, NULL, "hello", &st) != TERN_OK)
            fail_msg("call %u: %s", i, st.message);
    assert_int_equal(atomic_load(&servers[0].calls) + atomic_load(&servers[2].calls), 40);
    assert_in_range(atomic_load(&servers[0].calls), 15, 25);
    start_again(1);
    reach(ch, 7);
    nothing_in_flight(ch);
}

static void test_all_gone(void **state)
{
    (void)state;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    reach(ch, 7);
    for (unsigned i = 0; i < SERVERS; i++)
        stop(i);
    for (int64_t until = probe_now_ms() + PATIENCE_MS;;) { /* connecting again takes its time */
        assert_int_equal(probe_echo(ch, NULL, "hello", &st), TERN_UNAVAILABLE);
        if (strstr(st.message, "127.0.0.1:") && strstr(st.message, "refused"))
            break;
        assert_true(probe_now_ms() < until);
    }
    opts.wait_for_ready = true;
    opts.timeout_ms = 60;
    assert_int_equal(probe_echo(ch, &opts, "hello", &st), TERN_DEADLINE_EXCEEDED);
    assert_non_null(strstr(st.message, "while waiting for a connection"));
    start_again(2);
    opts.timeout_ms = PATIENCE_MS;
    assert_int_equal(probe_echo(ch, &opts, "hello", &st), TERN_OK);
    assert_int_equal(atomic_load(&servers[2].calls), 1);
    assert_int_equal(tern_channel_wait_ready(ch, PATIENCE_MS, &st), TERN_OK);
    nothing_in_flight(ch);
}

/* --- with callbacks --------------------------------------------------------------------------- */

typedef struct counter {
    atomic_uint done, good;
} counter;

static void on_done(void *ctx, const tern_status *s, const void *response, size_t len)
{
    counter *c = ctx;
    (void)response, (void)len;
    if (s->code == TERN_OK)
        atomic_fetch_add(&c->good, 1);
    atomic_fetch_add(&c->done, 1);
}

static void start_calls(tern_channel *on, unsigned n, bool wait_for_ready, counter *c)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.wait_for_ready = wait_for_ready;
    opts.timeout_ms = PATIENCE_MS;
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(tern_call_unary_start(on, &tests_v1_probe.methods[0], &opts, "", 0,
                                               on_done, c, &st),
                         TERN_OK);
}

static void test_callbacks(void **state)
{
    (void)state;
    tern_loop *loop;
    assert_int_equal(tern_loop_new(&loop, &st), TERN_OK);
    for (int own = 0; own < 2; own++) {
        tern_channel *of = spread_channel(target, own ? loop : NULL);
        counter c = { .done = 0 };
        reset_counts();
        start_calls(of, 300, false, &c);
        for (int64_t until = probe_now_ms() + PATIENCE_MS;
             atomic_load(&c.done) < 300 && probe_now_ms() < until;)
            tern_loop_wait(loop, 5);
        assert_int_equal(atomic_load(&c.good), 300);
        nothing_in_flight(of);
        tern_channel_free(of);
    }
    tern_loop_free(loop);
}

/* Calls that wait for a connection hear of it, and those that do not of its failure. */
static void test_callbacks_without_servers(void **state)
{
    (void)state;
    counter patient = { .done = 0 }, hasty = { .done = 0 };
    for (unsigned i = 0; i < SERVERS; i++)
        stop(i);
    tern_channel *of = spread_channel(target, NULL);
    start_calls(of, 5, true, &patient);
    start_calls(of, 5, false, &hasty);
    assert_true(probe_wait(&hasty.done, 5));
    assert_int_equal(atomic_load(&hasty.good), 0);
    assert_int_equal(atomic_load(&patient.done), 0);
    start_again(0);
    assert_true(probe_wait(&patient.done, 5));
    assert_int_equal(atomic_load(&patient.good), 5);
    nothing_in_flight(of);
    tern_channel_free(of);
}

/* A call that waits for a connection, and gives up another one when it gets its own. */
typedef struct waiter {
    tern__connect_op op;
    tern_channel *on;
    struct waiter *other;
    bool cancelled; /* the other */
    atomic_uint answers, begun;
} waiter;

static void on_answer(tern__connect_op *op)
{
    waiter *w = TERN__CONTAINER(op, waiter, op);
    if (w->other && probe_wait(&w->other->begun, 1)) /* none is cancelled that does not wait yet */
        w->cancelled = tern__pick_cancel(w->on, &w->other->op);
    if (op->transport)
        tern__pick_unused(op->transport, TERN_OK);
    tern__transport_unref(op->transport);
    atomic_fetch_add(&w->answers, 1);
}

/* Who is told that its wait was cancelled hears nothing more; who is not, hears. Both have their
 * answer at once here, mostly. */
static void test_cancel_beside_the_answer(void **state)
{
    (void)state;
    tern_channel *channels[] = { ch, probe_channel(target) };
    for (int i = 0; i < 2; i++) {
        waiter b = { .op = { .wait_for_ready = true, .done = on_answer }, .on = channels[i] };
        waiter a = { .op = { .wait_for_ready = true, .done = on_answer }, .on = channels[i],
                     .other = &b };
        tern__list_init(&a.op.node);
        tern__list_init(&b.op.node);
        assert_int_equal(tern__pick_wait(channels[i], &a.op), 0);
        assert_int_equal(tern__pick_wait(channels[i], &b.op), 0);
        atomic_store(&b.begun, 1);
        assert_true(probe_wait(&a.answers, 1));
        if (!a.cancelled)
            assert_true(probe_wait(&b.answers, 1));
        for (int turn = 0; turn < 20; turn++)
            probe_sleep_ms(1);
        assert_int_equal(atomic_load(&a.answers), 1);
        assert_int_equal(atomic_load(&b.answers), a.cancelled ? 0 : 1);
    }
    nothing_in_flight(ch);
    tern_channel_free(channels[1]);
}

/* --- the list --------------------------------------------------------------------------------- */

/* A new list: those that stay keep their connections, calls on one that goes end in peace. */
static void *sleeper(void *arg)
{
    tern_status why;
    return probe_sleep(arg, NULL, 300, NULL, &why) == TERN_OK ? NULL : arg;
}

static void test_new_list(void **state)
{
    (void)state;
    tern__address_list two;
    pthread_t threads[SERVERS];
    void *failed;
    uint64_t before, after, resumed;
    reach(ch, 7);
    tern__cluster_stats(ch->cluster, &before, &resumed);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sleeper, ch), 0);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_true(probe_wait(&servers[i].running, 1));
    two.n = 2;
    two.at[0] = ch->sub.target.addresses.at[2];
    two.at[1] = ch->sub.target.addresses.at[0];
    assert_int_equal(tern__cluster_update(ch->cluster, &two), 0);
    reset_counts();
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(probe_echo(ch, NULL, "hello", &st), TERN_OK);
    assert_int_equal(atomic_load(&servers[0].calls), 10);
    assert_int_equal(atomic_load(&servers[1].calls), 0);
    assert_int_equal(atomic_load(&servers[2].calls), 10);
    for (unsigned i = 0; i < SERVERS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    tern__cluster_stats(ch->cluster, &after, &resumed);
    assert_int_equal(before, after);
    assert_int_equal(tern__cluster_update(ch->cluster, &ch->sub.target.addresses), 0);
    reach(ch, 7);
    nothing_in_flight(ch);
}

static void test_names(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "dns:localhost:%u", servers[0].port);
    tern_channel *of = spread_channel(name, NULL);
    assert_int_equal(probe_echo(of, NULL, "hello", &st), TERN_OK);
    tern_channel_free(of);
    of = spread_channel("dns:no-such-host.invalid:80", NULL);
    assert_int_equal(probe_echo(of, NULL, "hello", &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "no-such-host.invalid"));
    tern_channel_free(of);
}

static void test_policies(void **state)
{
    (void)state;
    tern_channel *of;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.load_balancing = "no_such_policy";
    assert_int_equal(tern_channel_new(target, &opts, &of, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "no_such_policy"));
    opts.load_balancing = "round\"robin";
    assert_int_equal(tern_channel_new(target, &opts, &of, &st), TERN_INVALID_ARGUMENT);
    opts.load_balancing = "pick_first";
    assert_int_equal(tern_channel_new(target, &opts, &of, &st), TERN_OK);
    reset_counts();
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(probe_echo(of, NULL, "hello", &st), TERN_OK);
    assert_int_equal(atomic_load(&servers[0].calls), 9);
    tern_channel_free(of);
}

/* pick_first that shuffles (gRFC A62): each channel has one server, and all have some. */
static void test_shuffled(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.service_config = "{\"loadBalancingConfig\":[{\"pick_first\":"
                          "{\"shuffleAddressList\":true}}]}";
    reset_counts();
    for (unsigned i = 0; i < 40; i++) {
        tern_channel *of = probe_channel_with(target, &opts);
        unsigned before[SERVERS], changed = 0;
        for (unsigned k = 0; k < SERVERS; k++)
            before[k] = atomic_load(&servers[k].calls);
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(probe_echo(of, NULL, "hello", &st), TERN_OK);
        for (unsigned k = 0; k < SERVERS; k++)
            changed += atomic_load(&servers[k].calls) != before[k];
        assert_int_equal(changed, 1);
        tern_channel_free(of);
    }
    for (unsigned k = 0; k < SERVERS; k++)
        assert_true(atomic_load(&servers[k].calls) > 0);
}

/* Each policy with real servers: no call fails while one server goes, all get some, it gets some
 * again when it is back, and nobody is left out for ever. */
static void test_every_policy(void **state)
{
    (void)state;
    static const char *const names[] = { "least_request_experimental", "tern_peak_ewma",
                                         "weighted_round_robin", "ring_hash_experimental" };
    for (size_t p = 0; p < sizeof names / sizeof *names; p++) {
        tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
        opts.load_balancing = names[p];
        opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 20;
        opts.breaker.disabled = true;
        tern_channel *of = probe_channel_with(target, &opts);
        reach(of, 7);
        stop(1);
        for (unsigned i = 0; i < 40; i++)
            if (probe_echo(of, NULL, "hello", &st) != TERN_OK)
                fail_msg("%s, call %u: %s", names[p], i, st.message);
        start_again(1);
        reach(of, 7);
        nothing_in_flight(of);
        tern_channel_free(of);
    }
}

/* Which one has got a call since reset_counts(); fails unless it is exactly one. */
static unsigned the_one(void)
{
    unsigned one = SERVERS;
    for (unsigned i = 0; i < SERVERS; i++) {
        if (!atomic_load(&servers[i].calls))
            continue;
        assert_int_equal(one, SERVERS);
        one = i;
    }
    assert_in_range(one, 0, SERVERS - 1);
    return one;
}

static tern_code call_by_stream(tern_channel *on, const tern_call_options *opts)
{
    static const tern_method echo = { .path = "/tests.v1.Probe/Echo",
                                      .kind = TERN_KIND_CLIENT_STREAMING };
    const void *data;
    size_t len;
    tern_stream *s;
    tern_code code = tern_stream_open(on, &echo, opts, &s, &st);
    if (code != TERN_OK)
        return code;
    assert_true(tern_stream_send(s, "", 0));
    tern_stream_close_send(s);
    assert_true(tern_stream_recv(s, &data, &len));
    assert_false(tern_stream_recv(s, &data, &len));
    return tern_stream_finish(s, &st);
}

/* ring_hash: calls whose header has the same values go to the same server, however they are made,
 * and the values are spread over all; gRFC A76. */
static void test_header_chooses(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.service_config = "{\"loadBalancingConfig\":[{\"ring_hash_experimental\":"
                          "{\"requestHashHeader\":\"X-Owner\"}}]}";
    tern_channel *of = probe_channel_with(target, &opts);
    unsigned chosen[SERVERS] = { 0 };
    for (int i = 0; i < 60; i++) {
        char owner[24];
        tern_call_options call = TERN_CALL_OPTIONS_INIT;
        tern_metadata *md = tern_metadata_new();
        counter c = { .done = 0 };
        snprintf(owner, sizeof owner, "owner-%d", i / 2);
        assert_int_equal(tern_metadata_add(md, "x-other", i % 2 ? "one" : "two"), 0);
        assert_int_equal(tern_metadata_add(md, "x-owner", owner), 0);
        assert_int_equal(tern_metadata_add(md, "x-owner", "second"), 0);
        call.metadata = md;
        call.timeout_ms = PATIENCE_MS;
        reset_counts();
        assert_int_equal(probe_echo(of, &call, "hello", &st), TERN_OK);
        unsigned one = the_one();
        assert_int_equal(call_by_stream(of, &call), TERN_OK);
        assert_int_equal(tern_call_unary_start(of, &tests_v1_probe.methods[0], &call, "", 0,
                                               on_done, &c, &st),
                         TERN_OK);
        assert_true(probe_wait(&c.done, 1));
        assert_int_equal(atomic_load(&c.good), 1);
        assert_int_equal(the_one(), one);
        if (i % 2)
            chosen[one]++;
        tern_metadata_free(md);
    }
    for (unsigned i = 0; i < SERVERS; i++)
        assert_in_range(chosen[i], 1, 28);
    nothing_in_flight(of);
    tern_channel_free(of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everyone_gets_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_goes_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_callbacks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_callbacks_without_servers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_beside_the_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shuffled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_chooses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
