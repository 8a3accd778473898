/* A server that gets several times what it can do. Its handlers share four slots of 10 ms, 400
 * calls a second; 200 clients have a call under way at any time, each with 400 ms of patience. What
 * is judged are shares of what the handlers did: how much of it somebody still wanted. All of it is
 * in the time of a virtual clock, so the shares are the same on a machine that is busy itself.
 *
 * Also what surrounds it: health answers meanwhile, channelz tells of it, a refused client that
 * comes back after the pushback is served, and afterwards everything is as before. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <tern/testing.h>

#include "grpc/channelz/v1/channelz.tern.h"
#include "grpc/health/v1/health.tern.h"
#include "support/probe.h"

#define SLOTS 4
#define WORK_MS 10
#define CLIENTS 200
#define DEADLINE_MS 400
/* After a refusal, and between two questions for the health; does not meet with WORK_MS. */
#define AGAIN_MS 7
#define PATIENCE_MS 60000
/* Handlers that run before the load ends. */
#define WANTED 800

static tern_server *srv;
static tern_health *health;
static tern_channel *ch;
static tern_loop *loop;
static tern_testing_clock *clk;
static char target[64];
static tern_status st;
static sem_t slots;
static atomic_uint ran;

static int64_t now_ms(void)
{
    return tern_testing_clock_elapsed_ms(clk);
}

static const tern_method work_method = { .path = "/t.Load/Work", .idempotency = TERN_IDEMPOTENT };

static tern_code work(void *self, tern_server_call *call)
{
    (void)self;
    (void)call;
    atomic_fetch_add(&ran, 1);
    tern_will_block();
    while (sem_wait(&slots))
        ;
    tern_testing_clock_sleep(clk, WORK_MS);
    sem_post(&slots);
    return TERN_OK;
}

static void start(tern_server_options o)
{
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    assert_int_equal(tern_testing_clock_new(&clk, &st), TERN_OK);
    assert_int_equal(tern_testing_clock_run(clk, true, &st), TERN_OK);
    snprintf(target, sizeof target, "unix-abstract:tern-load-%ld", (long)getpid());
    o.loops = 2;
    o.handler_threads_max = CLIENTS + 16;
    o.concurrent_streams_max = 2 * CLIENTS;
    o.resets_burst = 100000; /* who is late resets its stream */
    assert_int_equal(sem_init(&slots, 0, SLOTS), 0);
    assert_int_equal(tern_server_new(&o, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &work_method, work, NULL, &st), TERN_OK);
    assert_int_equal(tern_health_new(srv, &health, &st), TERN_OK);
    assert_int_equal(tern_server_add_channelz(srv, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, target, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    assert_int_equal(tern_loop_new(&loop, &st), TERN_OK);
    co.loop = loop;
    co.breaker.disabled = true;
    ch = probe_channel_with(target, &co);
    atomic_store(&ran, 0);
}

static void stop(void)
{
    tern_channel_free(ch);
    tern_loop_free(loop);
    tern_server_drain(srv, PATIENCE_MS);
    tern_server_wait(srv);
    tern_server_free(srv);
    tern_health_free(health);
    sem_destroy(&slots);
    tern_testing_clock_free(clk);
}

/* --- clients ---------------------------------------------------------------------------------- */

static unsigned n_idle, n_good, n_late, n_refused, n_other;

static void on_done(void *ctx, const tern_status *status, const void *response, size_t len)
{
    (void)ctx;
    (void)response;
    (void)len;
    n_idle++;
    n_good += status->code == TERN_OK;
    n_late += status->code == TERN_DEADLINE_EXCEEDED;
    n_refused += status->code == TERN_UNAVAILABLE;
    n_other += status->code != TERN_OK && status->code != TERN_DEADLINE_EXCEEDED &&
               status->code != TERN_UNAVAILABLE;
}

/* Until so many handlers have run, and nobody waits any more. */
static void load(unsigned wanted)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = DEADLINE_MS;
    opts.retry = TERN_RETRY_NEVER;
    int64_t until = now_ms() + PATIENCE_MS, again = 0;
    n_idle = CLIENTS;
    n_good = n_late = n_refused = n_other = 0;
    while (atomic_load(&ran) < wanted || n_idle < CLIENTS) {
        if (now_ms() >= until) {
            tern_server_stats stats;
            tern_server_stats_get(srv, &stats);
            fail_msg("%u handlers, limit %u, %u run, %u wait, %u idle: %u good, %u late, "
                     "%u refused",
                     atomic_load(&ran), stats.handlers_limit, stats.handlers_running,
                     stats.queue_calls, n_idle, n_good, n_late, n_refused);
        }
        /* Those who were refused come back soon. */
        for (; atomic_load(&ran) < wanted && n_idle && now_ms() >= again; n_idle--)
            assert_int_equal(tern_call_unary_start(ch, &work_method, &opts, "", 0, on_done, NULL,
                                                   &st),
                             TERN_OK);
        if (now_ms() >= again)
            again = now_ms() + AGAIN_MS;
        tern_loop_wait(loop, AGAIN_MS);
    }
    print_message("          %u handlers: %u good, %u late, %u refused\n", atomic_load(&ran),
                  n_good, n_late, n_refused);
    assert_int_equal(n_other, 0);
}

/* --- meanwhile -------------------------------------------------------------------------------- */

static atomic_bool over;

/* Asks for the health until the load is over; returns how often it was not SERVING. */
static void *ask_for_health(void *arg)
{
    uintptr_t bad = 0;
    unsigned *n = arg;
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    tern_channel *own;
    tern_status why;
    if (tern_channel_new(target, &co, &own, &why))
        return (void *)(uintptr_t)1;
    while (!atomic_load(&over)) {
        Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
        Grpc__Health__V1__HealthCheckResponse *res = NULL;
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.timeout_ms = 10000;
        opts.retry = TERN_RETRY_NEVER;
        bad += grpc_health_v1_health_check(own, &opts, &req, &res, &why) != TERN_OK ||
               res->status != GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
        if (res)
            grpc__health__v1__health_check_response__free_unpacked(res, NULL);
        ++*n;
        tern_testing_clock_sleep(clk, AGAIN_MS);
    }
    tern_channel_free(own);
    return (void *)bad;
}

/* Whether some server's trace has an event that begins with these words. */
static bool traced(const char *words)
{
    Grpc__Channelz__V1__GetServersRequest req = GRPC__CHANNELZ__V1__GET_SERVERS_REQUEST__INIT;
    Grpc__Channelz__V1__GetServersResponse *res = NULL;
    bool found = false;
    if (grpc_channelz_v1_channelz_get_servers(ch, NULL, &req, &res, &st) != TERN_OK)
        fail_msg("no channelz: %s", st.message);
    for (size_t i = 0; i < res->n_server; i++) {
        const Grpc__Channelz__V1__ChannelTrace *t = res->server[i]->data->trace;
        for (size_t k = 0; k < t->n_events; k++)
            found |= strncmp(t->events[k]->description, words, strlen(words)) == 0;
    }
    grpc__channelz__v1__get_servers_response__free_unpacked(res, NULL);
    return found;
}

/* --- tests ------------------------------------------------------------------------------------ */

/* Runs the load with health asked for, and expects most of what the handlers did to be of use. */
static void expect_goodput(void)
{
    pthread_t thread;
    unsigned n_asked = 0;
    void *bad;
    atomic_store(&over, false);
    assert_int_equal(pthread_create(&thread, NULL, ask_for_health, &n_asked), 0);
    load(WANTED);
    atomic_store(&over, true);
    pthread_join(thread, &bad);
    assert_int_equal((uintptr_t)bad, 0);
    assert_true(n_asked > 10);
    assert_true(n_good * 10 >= atomic_load(&ran) * 9);
    tern_server_stats stats;
    tern_server_stats_get(srv, &stats);
    assert_int_equal(stats.shed[TERN_PRIORITY_CRITICAL], 0);
    assert_true(stats.shed[TERN_PRIORITY_NORMAL] > 0);
    assert_true(stats.queued > 0);
    /* Who was not served was told so before a handler ran. */
    assert_true(n_refused + n_late <= stats.shed[TERN_PRIORITY_NORMAL] + stats.dropped_cancelled +
                                          atomic_load(&ran) - n_good);
    /* Afterwards all is well. */
    for (int i = 0; i < 10; i++) {
        void *bytes;
        size_t len;
        if (tern_call_unary(ch, &work_method, NULL, "", 0, &bytes, &len, &st) != TERN_OK)
            fail_msg("after the load: %s", st.message);
        free(bytes);
    }
}

static void without_limits(void **state)
{
    (void)state;
    tern_server_options o = TERN_SERVER_OPTIONS_INIT;
    start(o);
    load(WANTED);
    assert_true(n_good * 10 <= atomic_load(&ran) * 6); /* the rest was for nobody */
    assert_int_equal(n_refused, 0);
    stop();
}

static void with_a_fixed_limit(void **state)
{
    (void)state;
    tern_server_options o = TERN_SERVER_OPTIONS_INIT;
    o.handlers_max = 2 * SLOTS;
    o.overload.queue_calls_max = 64;
    start(o);
    expect_goodput();
    assert_true(traced("overloaded: "));
    stop();
}

static void with_an_adaptive_limit(void **state)
{
    (void)state;
    for (int kind = TERN_ADAPTIVE_AIMD; kind <= TERN_ADAPTIVE_GRADIENT; kind++) {
        tern_server_options o = TERN_SERVER_OPTIONS_INIT;
        o.overload.adaptive = (tern_adaptive_limit)kind;
        o.overload.latency_ms_max = 60;
        o.overload.limit_max = 64;
        start(o);
        expect_goodput();
        stop();
    }
}

/* The client of a refused call waits as it is told, and is served then. */
static void pushback_is_heeded(void **state)
{
    (void)state;
    tern_server_options o = TERN_SERVER_OPTIONS_INIT;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_server_stats stats;
    tern_channel_stats cs;
    o.handlers_max = 1;
    o.overload.retry_pushback_ms = 100;
    start(o);
    opts.timeout_ms = PATIENCE_MS;
    n_idle = n_good = n_refused = n_late = n_other = 0;
    for (int i = 0; i < SLOTS; i++) /* nobody works until the test says so */
        assert_int_equal(sem_wait(&slots), 0);
    assert_int_equal(tern_call_unary_start(ch, &work_method, &opts, "", 0, on_done, NULL, &st),
                     TERN_OK);
    int64_t until = now_ms() + PATIENCE_MS;
    while (!atomic_load(&ran) && now_ms() < until)
        tern_loop_wait(loop, 1);
    assert_int_equal(tern_call_unary_start(ch, &work_method, &opts, "", 0, on_done, NULL, &st),
                     TERN_OK);
    do {
        tern_loop_wait(loop, 1);
        tern_server_stats_get(srv, &stats);
    } while (!stats.refused_server && now_ms() < until);
    sem_post(&slots);
    while (n_idle < 2 && now_ms() < until)
        tern_loop_wait(loop, 1);
    assert_int_equal(n_good, 2);
    tern_channel_stats_get(ch, &cs);
    assert_true(cs.retries >= 1);
    for (int i = 1; i < SLOTS; i++)
        sem_post(&slots);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits),
        cmocka_unit_test(with_a_fixed_limit),
        cmocka_unit_test(with_an_adaptive_limit),
        cmocka_unit_test(pushback_is_heeded),
    };
    return cmocka_run_group_tests_name("overload/load", tests, NULL, NULL);
}
