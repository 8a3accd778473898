/* Everything at once for a few seconds: many threads on one channel with small and large messages,
 * deadlines, cancellations and nested calls, few streams, and a server that is replaced all the
 * time. Every call ends in time, with a code that has a reason; afterwards all is as before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/probe.h"

#define CALLERS 12
#define SOAK_MS 4000
#define RESTART_MS 250
/* What a call may take beyond its deadline before it counts as hanging; sanitizers are slow. */
#define SLACK_MS 10000
#define SEED 20240607u

static char target[160];
static tern_channel *channel;
static atomic_bool stop;
static atomic_uint calls, ok, expired, cancelled, unavailable;

typedef struct caller {
    pthread_t thread;
    tern__rng rng;
    char failure[1300];
} caller;

/* Cancels a context from another thread. */
typedef struct canceller {
    pthread_t thread;
    tern_context *ctx;
    unsigned after_ms;
} canceller;

static void *cancel_after(void *arg)
{
    canceller *c = arg;
    probe_sleep_ms(c->after_ms);
    tern_context_cancel(c->ctx);
    return NULL;
}

static tern_code large_echo(const tern_call_options *opts, size_t len, tern_status *st)
{
    Tests__V1__EchoRequest req = TESTS__V1__ECHO_REQUEST__INIT;
    Tests__V1__EchoResponse *res = NULL;
    req.payload.len = len;
    req.payload.data = malloc(len);
    if (!req.payload.data)
        return tern_status_set(st, TERN_DATA_LOSS, "out of memory in the test");
    memset(req.payload.data, (int)(len % 251), len);
    tern_code code = tests_v1_probe_echo(channel, opts, &req, &res, st);
    if (code == TERN_OK) {
        if (res->payload.len != len || memcmp(res->payload.data, req.payload.data, len) != 0)
            code = tern_status_set(st, TERN_DATA_LOSS, "%zu bytes came back changed", len);
        tests__v1__echo_response__free_unpacked(res, NULL);
    }
    free(req.payload.data);
    return code;
}

static tern_code forward(const tern_call_options *opts, tern_status *st)
{
    Tests__V1__ForwardRequest req = TESTS__V1__FORWARD_REQUEST__INIT;
    Tests__V1__ForwardResponse *res = NULL;
    req.target = target;
    req.sleep_ms = 1;
    tern_code code = tests_v1_probe_forward(channel, opts, &req, &res, st);
    if (res)
        tests__v1__forward_response__free_unpacked(res, NULL);
    return code;
}

static tern_code any_call(tern__rng *rng, const tern_call_options *opts, tern_status *st)
{
    switch (tern__rng_below(rng, 8)) {
    case 0:
        return probe_sleep(channel, opts, tern__rng_below(rng, 30), NULL, st);
    case 1:
        return large_echo(opts, 1 + tern__rng_below(rng, 300000), st);
    case 2:
        return forward(opts, st);
    default:
        return probe_echo(channel, opts, "small", st);
    }
}

/* Whether the code is one that this call may have; counts it. */
static bool plausible(tern_code code, bool may_cancel)
{
    switch (code) {
    case TERN_OK:
        atomic_fetch_add(&ok, 1);
        return true;
    case TERN_DEADLINE_EXCEEDED:
        atomic_fetch_add(&expired, 1);
        return true;
    case TERN_UNAVAILABLE: /* cut by the end of a server, or between two of them */
        atomic_fetch_add(&unavailable, 1);
        return true;
    case TERN_CANCELLED:
        atomic_fetch_add(&cancelled, 1);
        return may_cancel;
    default:
        return false;
    }
}

static void one_call(caller *c)
{
    tern_status st;
    canceller cancel = { .ctx = NULL };
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = tern__rng_below(&c->rng, 4) ? 5000 : 1 + tern__rng_below(&c->rng, 20);
    opts.wait_for_ready = tern__rng_below(&c->rng, 2) != 0;
    if (tern__rng_below(&c->rng, 10) == 0) {
        opts.context = cancel.ctx = tern_context_new(NULL, 0);
        cancel.after_ms = tern__rng_below(&c->rng, 5);
        if (pthread_create(&cancel.thread, NULL, cancel_after, &cancel)) {
            tern_context_free(cancel.ctx);
            opts.context = cancel.ctx = NULL;
        }
    }
    st.message[0] = '\0';
    int64_t began = probe_now_ms();
    tern_code code = any_call(&c->rng, &opts, &st);
    int64_t took = probe_now_ms() - began;
    if (cancel.ctx) {
        pthread_join(cancel.thread, NULL);
        tern_context_free(cancel.ctx);
    }
    atomic_fetch_add(&calls, 1);
    if (!plausible(code, cancel.ctx != NULL) || took > opts.timeout_ms + SLACK_MS)
        snprintf(c->failure, sizeof c->failure, "%s after %lld of %lld ms: %s",
                 tern_code_name(code), (long long)took, (long long)opts.timeout_ms, st.message);
}

static void *run_caller(void *arg)
{
    caller *c = arg;
    while (!atomic_load(&stop) && !c->failure[0])
        one_call(c);
    return NULL;
}

static void test_soak(void **state)
{
    (void)state;
    probe_server servers[2];
    static caller callers[CALLERS];
    tern_server_options sopts = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options copts = TERN_CHANNEL_OPTIONS_INIT;
    sopts.loops = 2;
    sopts.concurrent_streams_max = 5;
    copts.breaker.disabled = true;
    copts.reconnect_backoff_ms = 2;
    copts.reconnect_backoff_ms_max = 10;
    probe_start(&servers[0], &sopts, "ipv4:127.0.0.1:0");
    snprintf(target, sizeof target, "%s", servers[0].target);
    channel = probe_channel_with(target, &copts);
    for (int i = 0; i < CALLERS; i++) {
        tern__rng_seed(&callers[i].rng, SEED + (unsigned)i);
        assert_int_equal(pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]), 0);
    }
    int64_t until = probe_now_ms() + SOAK_MS;
    int now = 0;
    while (probe_now_ms() < until) {
        probe_sleep_ms(RESTART_MS);
        probe_stop(&servers[now], 50);
        now = !now;
        probe_start(&servers[now], &sopts, target);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i].thread, NULL);
    print_message("  %u calls: %u ok, %u expired, %u cancelled, %u unavailable\n",
                  atomic_load(&calls), atomic_load(&ok), atomic_load(&expired),
                  atomic_load(&cancelled), atomic_load(&unavailable));
    for (int i = 0; i < CALLERS; i++)
        if (callers[i].failure[0])
            fail_msg("seed %u, caller %d: %s", SEED, i, callers[i].failure);
    tern_channel_stats stats;
    tern_channel_stats_get(channel, &stats);
    assert_true(stats.calls <=
                atomic_load(&calls)); /* a call that was over before it began is none */
    assert_true(atomic_load(&ok) > 100);
    tern_status st;
    assert_int_equal(probe_echo(channel, NULL, "all is as before", &st), TERN_OK);
    tern_channel_free(channel);
    probe_stop(&servers[now], 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_soak) };
    return cmocka_run_group_tests_name("soak", tests, NULL, NULL);
}
