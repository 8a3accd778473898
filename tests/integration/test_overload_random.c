/* Clients that come, wait, cancel, run out of time and hang up in any order, at a server with every
 * limit, a queue and faults: each call ends once, with a status that can be meant, and in the end
 * nothing is left running, waiting or resting. For the sanitizers, above all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/probe.h"

#define CLIENTS 6
#define CALLS 500 /* of each client */
#define AT_ONCE 16
#define PATIENCE_MS 60000

static tern_server *srv;
static tern_fault *fault;
static char target[64];

/* --- handlers --------------------------------------------------------------------------------- */

static atomic_uint turn;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tern_server_call *deferred[1024];
static unsigned n_deferred;
static atomic_bool closing;

/* Quick, slow, deferred, or failing, in turn. */
static tern_code handle(void *self, tern_server_call *call)
{
    (void)self;
    unsigned n = atomic_fetch_add(&turn, 1) % 8;
    if (n < 2)
        return TERN_OK;
    if (n == 2)
        return tern_server_call_fail(call, TERN_UNAVAILABLE, "in turn");
    if (n < 5) {
        probe_sleep_ms(1 + n);
        return TERN_OK;
    }
    pthread_mutex_lock(&lock);
    bool room = n_deferred < sizeof deferred / sizeof deferred[0];
    if (room) {
        deferred[n_deferred++] = call;
        tern_server_call_defer(call);
    }
    pthread_mutex_unlock(&lock);
    return TERN_OK;
}

static void *finish_them(void *arg)
{
    (void)arg;
    for (;;) {
        pthread_mutex_lock(&lock);
        bool ends = atomic_load(&closing) && !n_deferred;
        tern_server_call *call = n_deferred ? deferred[--n_deferred] : NULL;
        pthread_mutex_unlock(&lock);
        if (call)
            tern_server_call_finish(call, TERN_OK);
        else if (ends)
            return NULL;
        else
            probe_sleep_ms(1);
    }
}

static tern_code over(void *ctx, tern_server_call *call)
{
    (void)ctx;
    return tern_context_error(tern_server_call_context(call));
}

static tern_code watch(void *self, tern_server_call *call)
{
    (void)self;
    if (atomic_fetch_add(&turn, 1) % 2)
        return TERN_OK;
    tern_server_call_park(call, over, NULL);
    return TERN_OK;
}

static const tern_method methods[] = {
    { .path = "/t.R/A" },
    { .path = "/t.R/B", .idempotency = TERN_IDEMPOTENT },
    { .path = "/t.R/Inline" },
    { .path = "/t.R/Watch", .kind = TERN_KIND_SERVER_STREAMING },
};

/* --- clients ---------------------------------------------------------------------------------- */

typedef struct client {
    pthread_t thread;
    tern__rng rng;
    tern_channel *ch;
    unsigned under_way, ended, bad;
} client;

typedef struct one_call {
    client *of;
    tern_context *ctx;
    tern_metadata *md;
} one_call;

static void on_done(void *ctx, const tern_status *status, const void *response, size_t len)
{
    one_call *o = ctx;
    client *c = o->of;
    (void)response;
    (void)len;
    c->under_way--;
    c->ended++;
    switch (status->code) {
    case TERN_OK:
    case TERN_CANCELLED:
    case TERN_DEADLINE_EXCEEDED:
    case TERN_UNAVAILABLE:
    case TERN_ABORTED: /* the fault */
        break;
    default:
        fprintf(stderr, "%s: %s\n", tern_code_name(status->code), status->message);
        c->bad++;
    }
    tern_context_free(o->ctx);
    tern_metadata_free(o->md);
    free(o);
}

static void begin(client *c, one_call **newest)
{
    static const char *const priorities[] = { "low", "normal", "high", "nonsense" };
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    one_call *o = calloc(1, sizeof *o);
    tern_status st;
    if (!o || !(o->ctx = tern_context_new(NULL, 0)) || !(o->md = tern_metadata_new()) ||
        tern_metadata_add(o->md, TERN_PRIORITY_KEY, priorities[tern__rng_below(&c->rng, 4)]))
        abort();
    o->of = c;
    opts.context = o->ctx;
    opts.metadata = o->md;
    opts.retry = TERN_RETRY_NEVER;
    opts.timeout_ms = 1 + tern__rng_below(&c->rng, 60);
    c->under_way++;
    if (tern_call_unary_start(c->ch, &methods[tern__rng_below(&c->rng, 3)], &opts, "", 0, on_done,
                              o, &st) != TERN_OK)
        abort();
    *newest = o; /* it is there until the loop is driven again */
}

static void watch_for_a_while(client *c)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_stream *s;
    tern_status st;
    const void *data;
    size_t len;
    opts.timeout_ms = 1 + tern__rng_below(&c->rng, 10);
    if (tern_stream_open(c->ch, &methods[3], &opts, &s, &st) != TERN_OK)
        return;
    tern_stream_close_send(s);
    while (tern_stream_recv(s, &data, &len))
        ;
    tern_stream_finish(s, &st);
}

static void reconnect(client *c, tern_loop *loop)
{
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    tern_status st;
    tern_channel_free(c->ch);
    co.loop = loop;
    co.breaker.disabled = true;
    co.reconnect_backoff_ms = co.reconnect_backoff_ms_max = 1;
    if (tern_channel_new(target, &co, &c->ch, &st) != TERN_OK)
        abort();
}

static void *run_client(void *arg)
{
    client *c = arg;
    one_call *newest;
    tern_loop *loop;
    tern_status st;
    if (tern_loop_new(&loop, &st) != TERN_OK)
        abort();
    reconnect(c, loop);
    for (unsigned n = 0; n < CALLS; n++) {
        begin(c, &newest);
        if (tern__rng_below(&c->rng, 5) == 0)
            tern_context_cancel(newest->ctx);
        while (c->under_way >= AT_ONCE)
            tern_loop_wait(loop, 100);
        if (tern__rng_below(&c->rng, 3) == 0)
            tern_loop_process(loop);
        if (tern__rng_below(&c->rng, 40) == 0)
            watch_for_a_while(c);
        if (tern__rng_below(&c->rng, 100) == 0) {
            while (c->under_way)
                tern_loop_wait(loop, 100);
            reconnect(c, loop);
        }
    }
    while (c->under_way)
        tern_loop_wait(loop, 100);
    tern_channel_free(c->ch);
    tern_loop_free(loop);
    return NULL;
}

/* --- the test --------------------------------------------------------------------------------- */

static void start(void)
{
    tern_server_options o = TERN_SERVER_OPTIONS_INIT;
    tern_method_limits limits = TERN_METHOD_LIMITS_INIT;
    tern_fault_options f = TERN_FAULT_OPTIONS_INIT;
    tern_status st;
    uint16_t port;
    f.delay = f.abort = TERN_FAULT_FIXED;
    f.delay_ms = 2;
    f.delay_share.numerator = 20;
    f.abort_code = TERN_ABORTED;
    f.abort_share.numerator = 5;
    f.active_max = 20;
    assert_int_equal(tern_fault_new(&f, &fault, &st), TERN_OK);
    o.loops = 3;
    o.handlers_max = 12;
    o.handlers_per_connection_max = 14;
    o.resets_burst = 100000;
    o.overload.adaptive = TERN_ADAPTIVE_AIMD;
    o.overload.limit_initial = 4;
    o.overload.queue_calls_max = 24;
    o.overload.queue_ms_max = 20;
    o.overload.client_priority_max = TERN_PRIORITY_HIGH;
    o.fault = fault;
    assert_int_equal(tern_server_new(&o, &srv, &st), TERN_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(tern_server_add_raw(srv, &methods[i], i < 3 ? handle : watch, NULL, &st),
                         TERN_OK);
    limits.handlers_max = 8;
    assert_int_equal(tern_server_set_method_limits(srv, "/t.R/B", &limits, &st), TERN_OK);
    limits.handlers_max = 0;
    limits.priority = TERN_PRIORITY_CRITICAL;
    assert_int_equal(tern_server_set_method_limits(srv, "/t.R/Inline", &limits, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
}

static void everything_ends(void **state)
{
    (void)state;
    static client clients[CLIENTS];
    tern_server_stats s;
    tern_fault_stats f;
    pthread_t finisher;
    start();
    assert_int_equal(pthread_create(&finisher, NULL, finish_them, NULL), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        tern__rng_seed(&clients[i].rng, i);
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].ended, CALLS);
        assert_int_equal(clients[i].bad, 0);
    }
    tern_server_drain(srv, PATIENCE_MS);
    int64_t until = probe_now_ms() + PATIENCE_MS;
    do {
        tern_server_stats_get(srv, &s);
        tern_fault_stats_get(fault, &f);
        assert_true(probe_now_ms() < until);
    } while (s.handlers_running || s.queue_calls || f.active);
    atomic_store(&closing, true);
    pthread_join(finisher, NULL);
    tern_server_wait(srv);
    tern_server_stats_get(srv, &s);
    print_message("          %u calls, %u ok; refused: %u server, %u connection, %u method, "
                  "%u adaptive, %u queue; dropped: %u stale, %u late, %u cancelled; %u queued\n",
                  (unsigned)s.calls, (unsigned)s.calls_ok, (unsigned)s.refused_server,
                  (unsigned)s.refused_connection, (unsigned)s.refused_method,
                  (unsigned)s.refused_adaptive, (unsigned)s.refused_queue,
                  (unsigned)s.dropped_stale, (unsigned)s.dropped_late,
                  (unsigned)s.dropped_cancelled, (unsigned)s.queued);
    assert_int_equal(s.handlers_running, 0);
    assert_int_equal(s.queue_calls, 0);
    assert_int_equal(s.calls, s.calls_ok + s.calls_failed);
    assert_true(s.calls_ok > 0 && s.queued > 0 && f.delayed > 0 && f.aborted > 0);
    tern_server_free(srv);
    tern_fault_unref(fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(everything_ends) };
    return cmocka_run_group_tests_name("overload/random", tests, NULL, NULL);
}
