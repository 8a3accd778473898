/* Limits on running handlers, and the queue in front of them: what is let in, what waits, what is
 * refused and with which words, and that nothing is left behind. Handlers that hold their call
 * until the test lets go of it make every number exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/h2peer.h"
#include "support/probe.h"

#define PATIENCE_MS 20000
#define HELD_MAX 64
#define SLOW_MS 60

static tern_server *srv;
static tern_health *health;
static uint16_t port;
static h2peer a, b; /* two connections, of two loops */
static h2peer_stream s[16];

/* Calls that were deferred, in the order in which their handlers ran. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tern_server_call *held[HELD_MAX];
static unsigned n_held, n_let_go;
static atomic_uint ran;

static tern_code hold(void *self, tern_server_call *call)
{
    (void)self;
    tern_server_call_defer(call);
    pthread_mutex_lock(&lock);
    held[n_held++] = call;
    pthread_mutex_unlock(&lock);
    atomic_fetch_add(&ran, 1);
    return TERN_OK;
}

/* Ends the one that ran first of those that have not ended; false: there is none. */
static bool let_go(tern_code code)
{
    pthread_mutex_lock(&lock);
    tern_server_call *call = n_let_go < n_held ? held[n_let_go++] : NULL;
    pthread_mutex_unlock(&lock);
    if (call)
        tern_server_call_finish(call, code);
    return call != NULL;
}

static tern_code slow(void *self, tern_server_call *call)
{
    (void)self;
    (void)call;
    atomic_fetch_add(&ran, 1);
    probe_sleep_ms(SLOW_MS);
    return TERN_OK;
}

static atomic_bool release;

static tern_code block(void *self, tern_server_call *call)
{
    (void)self;
    (void)call;
    atomic_fetch_add(&ran, 1);
    tern_will_block();
    while (!atomic_load(&release))
        probe_sleep_ms(1);
    return TERN_OK;
}

static tern_code resume(void *ctx, tern_server_call *call)
{
    (void)ctx;
    return tern_context_error(tern_server_call_context(call));
}

static tern_code watch(void *self, tern_server_call *call)
{
    (void)self;
    atomic_fetch_add(&ran, 1);
    tern_server_call_send_headers(call);
    tern_server_call_park(call, resume, NULL);
    return TERN_OK;
}

static const tern_method hold_method = { .path = "/t.Hold/Hold" };
static const tern_method other_method = { .path = "/t.Hold/Other" };
static const tern_method block_method = { .path = "/t.Block/Block" };
static const tern_method slow_method = { .path = "/t.Slow/Slow" };
static const tern_method watch_method = { .path = "/t.Watch/Watch",
                                          .kind = TERN_KIND_SERVER_STREAMING };

static void make(const tern_server_options *opts)
{
    tern_status st;
    assert_int_equal(tern_server_new(opts, &srv, &st), TERN_OK);
    assert_int_equal(tern_health_new(srv, &health, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &hold_method, hold, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &other_method, hold, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &block_method, block, NULL, &st), TERN_OK);
    atomic_store(&release, false);
    assert_int_equal(tern_server_add_raw(srv, &slow_method, slow, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &watch_method, watch, NULL, &st), TERN_OK);
    atomic_store(&ran, 0);
    n_held = n_let_go = 0;
}

static void start(void)
{
    tern_status st;
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    h2peer_connect(&a, port);
    h2peer_connect(&b, port);
}

static void serve(const tern_server_options *opts)
{
    make(opts);
    start();
}

static tern_server_options two_loops(void)
{
    tern_server_options o = TERN_SERVER_OPTIONS_INIT;
    o.loops = 2;
    return o;
}

static tern_server_stats stats(void)
{
    tern_server_stats st;
    tern_server_stats_get(srv, &st);
    return st;
}

/* Ends whatever is under way, and looks whether everything has been accounted for. */
static void stop(void)
{
    h2peer_close(&a);
    h2peer_close(&b);
    tern_server_drain(srv, 5000);
    int64_t until = probe_now_ms() + PATIENCE_MS;
    while (let_go(TERN_OK) || stats().handlers_running || stats().queue_calls)
        assert_true(probe_now_ms() < until);
    tern_server_wait(srv);
    const tern_server_stats st = stats();
    assert_int_equal(st.handlers_running, 0);
    assert_int_equal(st.queue_calls, 0);
    assert_int_equal(st.calls, st.calls_ok + st.calls_failed);
    tern_server_free(srv);
    tern_health_free(health);
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++)
        h2peer_stream_free(&s[i]);
}

static void call(h2peer *p, h2peer_stream *to, const h2peer_request *r)
{
    h2peer_open(p, to, r);
    h2peer_send(p, to, "\0\0\0\0", 5, true);
}

static void call_path(h2peer *p, h2peer_stream *to, const char *path)
{
    const h2peer_request r = { .path = path };
    call(p, to, &r);
}

static void hold_one(h2peer *p, h2peer_stream *to) { call_path(p, to, "/t.Hold/Hold"); }

static void expect(h2peer *p, h2peer_stream *of, tern_code code, const char *words)
{
    assert_true(h2peer_closed(p, of, PATIENCE_MS));
    if (of->code != (int)code || !strstr(of->message, words))
        fail_msg("%d \"%s\" came instead of %d with \"%s\"", of->code, of->message, (int)code,
                 words);
    assert_int_equal(of->pushback[0] != '\0', code == TERN_UNAVAILABLE);
}

static void expect_queue(unsigned n)
{
    int64_t until = probe_now_ms() + PATIENCE_MS;
    while (stats().queue_calls != n)
        if (probe_now_ms() > until)
            fail_msg("%u calls wait, not %u", stats().queue_calls, n);
        else
            probe_sleep_ms(1);
}

/* --- fixed limits ----------------------------------------------------------------------------- */

static void limit_of_the_server(void **state)
{
    (void)state;
    tern_server_options o = two_loops();
    o.handlers_max = 2;
    serve(&o);
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1)); /* it is the first to be let go */
    hold_one(&b, &s[1]);
    assert_true(probe_wait(&ran, 2));
    for (int i = 2; i < 6; i++) {
        hold_one(i % 2 ? &a : &b, &s[i]);
        expect(i % 2 ? &a : &b, &s[i], TERN_UNAVAILABLE, "(handlers_max: 2)");
        assert_in_range(atoi(s[i].pushback), 50, 150);
    }
    assert_int_equal(stats().handlers_running, 2);
    let_go(TERN_OK);
    expect(&a, &s[0], TERN_OK, "");
    hold_one(&b, &s[6]);
    assert_true(probe_wait(&ran, 3));
    assert_int_equal(stats().refused_server, 4);
    assert_int_equal(stats().shed[TERN_PRIORITY_NORMAL], 4);
    let_go(TERN_NOT_FOUND);
    expect(&b, &s[1], TERN_NOT_FOUND, "");
    stop();
}

static void limit_of_a_connection(void **state)
{
    (void)state;
    tern_server_options o = two_loops();
    o.handlers_per_connection_max = 1;
    o.overload.retry_pushback_ms = TERN_NEVER_MS;
    serve(&o);
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1));
    hold_one(&a, &s[1]);
    expect(&a, &s[1], TERN_UNAVAILABLE, "(handlers_per_connection_max: 1)");
    assert_string_equal(s[1].pushback, "-1");
    hold_one(&b, &s[2]);
    assert_true(probe_wait(&ran, 2));
    let_go(TERN_OK);
    expect(&a, &s[0], TERN_OK, "");
    hold_one(&a, &s[3]);
    assert_true(probe_wait(&ran, 3));
    assert_int_equal(stats().refused_connection, 1);
    stop();
}

/* A handler counts for its connection as long as it runs: resetting its stream makes no room for
 * another one, and the room comes back when it ends. */
static void cancelled_calls_give_their_place_back(void **state)
{
    (void)state;
    tern_server_options o = two_loops();
    o.handlers_per_connection_max = 1;
    serve(&o);
    for (unsigned i = 0; i < 6; i += 2) {
        hold_one(&a, &s[i]);
        assert_true(probe_wait(&ran, i / 2 + 1));
        h2peer_reset(&a, &s[i], 8);
        hold_one(&a, &s[i + 1]);
        expect(&a, &s[i + 1], TERN_UNAVAILABLE, "(handlers_per_connection_max: 1)");
        assert_true(let_go(TERN_OK));
    }
    hold_one(&a, &s[6]);
    assert_true(probe_wait(&ran, 4));
    h2peer_close(&a); /* it runs longer than its connection lives */
    hold_one(&b, &s[7]);
    assert_true(probe_wait(&ran, 5));
    stop();
}

static void limit_of_a_method(void **state)
{
    (void)state;
    const tern_server_options o = two_loops();
    tern_method_limits limits = TERN_METHOD_LIMITS_INIT;
    tern_status st;
    make(&o);
    limits.handlers_max = 1;
    assert_int_equal(tern_server_set_method_limits(srv, "/t.Hold/Hold", &limits, &st), TERN_OK);
    assert_int_equal(tern_server_set_method_limits(srv, "/t.Hold/Hole", &limits, &st),
                     TERN_NOT_FOUND);
    assert_non_null(strstr(st.message, "/t.Hold/Hole"));
    assert_int_equal(tern_server_set_method_limits(srv, "t.Hol", &limits, &st), TERN_NOT_FOUND);
    start();
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1));
    hold_one(&b, &s[1]);
    expect(&b, &s[1], TERN_UNAVAILABLE, "calls of /t.Hold/Hold are served as may be");
    call_path(&b, &s[2], "/t.Hold/Other");
    call_path(&a, &s[3], "/t.Hold/Other");
    assert_true(probe_wait(&ran, 3));
    assert_int_equal(stats().refused_method, 1);
    stop();
}

/* Each method of a service has the limit for itself. */
static void limit_of_a_service(void **state)
{
    (void)state;
    const tern_server_options o = two_loops();
    tern_method_limits limits = TERN_METHOD_LIMITS_INIT;
    tern_status st;
    make(&o);
    limits.handlers_max = 1;
    assert_int_equal(tern_server_set_method_limits(srv, "t.Hold", &limits, &st), TERN_OK);
    start();
    hold_one(&a, &s[0]);
    call_path(&a, &s[1], "/t.Hold/Other");
    assert_true(probe_wait(&ran, 2));
    call_path(&a, &s[2], "/t.Hold/Other");
    expect(&a, &s[2], TERN_UNAVAILABLE, "/t.Hold/Other");
    stop();
}

static void streams_count(void **state)
{
    (void)state;
    tern_server_options o = two_loops();
    o.handlers_max = 1;
    o.overload.queue_calls_max = 8;
    serve(&o);
    call_path(&a, &s[0], "/t.Watch/Watch");
    assert_true(probe_wait(&ran, 1)); /* parked: it has no thread, and still runs */
    call_path(&b, &s[1], "/t.Watch/Watch");
    expect(&b, &s[1], TERN_UNAVAILABLE, "(handlers_max: 1)"); /* a stream does not wait */
    hold_one(&b, &s[2]);
    expect_queue(1);
    h2peer_reset(&a, &s[0], 8);
    assert_true(probe_wait(&ran, 2));
    stop();
}

static void health_and_critical_are_spared(void **state)
{
    (void)state;
    tern_server_options o = two_loops();
    tern_method_limits limits = TERN_METHOD_LIMITS_INIT;
    tern_status st;
    o.handlers_max = o.handlers_per_connection_max = 1;
    make(&o);
    limits.handlers_max = 64; /* leaves the priority as it is */
    assert_int_equal(tern_server_set_method_limits(srv, "grpc.health.v1.Health", &limits, &st),
                     TERN_OK);
    limits.priority = TERN_PRIORITY_CRITICAL;
    assert_int_equal(tern_server_set_method_limits(srv, "/t.Hold/Other", &limits, &st), TERN_OK);
    start();
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1));
    for (int i = 1; i < 4; i++)
        call_path(&a, &s[i], "/grpc.health.v1.Health/Check");
    for (int i = 1; i < 4; i++)
        expect(&a, &s[i], TERN_OK, "");
    call_path(&a, &s[4], "/grpc.health.v1.Health/Watch");
    call_path(&a, &s[5], "/t.Hold/Other");
    assert_true(probe_wait(&ran, 2));
    hold_one(&a, &s[6]);
    expect(&a, &s[6], TERN_UNAVAILABLE, "max: 1");
    assert_true(s[4].lists > 0 && !s[4].closed); /* somebody watches */
    assert_int_equal(stats().shed[TERN_PRIORITY_CRITICAL], 0);
    stop();
}

/* All threads for handlers are taken, and more calls wait for one. */
static void health_needs_no_thread(void **state)
{
    (void)state;
    tern_server_options o = two_loops();
    o.handler_threads_max = 2;
    serve(&o);
    for (int i = 0; i < 6; i++)
        call_path(i % 2 ? &a : &b, &s[i], "/t.Block/Block");
    assert_true(probe_wait(&ran, 2));
    call_path(&a, &s[6], "/grpc.health.v1.Health/Watch");
    call_path(&a, &s[7], "/grpc.health.v1.Health/Check");
    expect(&a, &s[7], TERN_OK, "");
    int64_t until = probe_now_ms() + PATIENCE_MS;
    while (!s[6].data.len && probe_now_ms() < until)
        h2peer_settle(&a, 5);
    assert_true(s[6].data.len > 0);
    assert_true(atomic_load(&ran) < 6); /* two, or one more when both loops began at once */
    atomic_store(&release, true);
    stop();
}

/* --- queue ------------------------------------------------------------------------------------ */

static tern_server_options one_and_a_queue(uint32_t queue)
{
    tern_server_options o = two_loops();
    o.handlers_max = 1;
    o.overload.queue_calls_max = queue;
    o.overload.queue_ms_max = PATIENCE_MS;
    o.overload.codel_target_ms = PATIENCE_MS; /* nobody has waited too long */
    return o;
}

static void waiting_calls_run_in_order(void **state)
{
    (void)state;
    const tern_server_options o = one_and_a_queue(3);
    serve(&o);
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1));
    for (int i = 1; i < 4; i++) {
        hold_one(i % 2 ? &a : &b, &s[i]);
        expect_queue((unsigned)i);
    }
    hold_one(&a, &s[4]);
    expect(&a, &s[4], TERN_UNAVAILABLE, "(handlers_max: 1)");
    for (int i = 0; i < 4; i++) {
        assert_true(probe_wait(&ran, (unsigned)i + 1));
        assert_int_equal(atomic_load(&ran), i + 1);
        let_go(TERN_OK);
        expect(i % 2 || i == 0 ? &a : &b, &s[i], TERN_OK, "");
    }
    assert_int_equal(stats().queued, 3);
    stop();
}

static void the_lower_go_first(void **state)
{
    (void)state;
    tern_server_options o = one_and_a_queue(2);
    o.overload.client_priority_max = TERN_PRIORITY_HIGH;
    serve(&o);
    const h2peer_request low = { .path = "/t.Hold/Hold", .priority = "low" };
    const h2peer_request high = { .path = "/t.Hold/Other", .priority = "high" };
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1));
    call(&a, &s[1], &low);
    expect_queue(1);
    hold_one(&b, &s[2]);
    expect_queue(2);
    call(&b, &s[3], &low);
    expect(&b, &s[3], TERN_UNAVAILABLE, "(handlers_max: 1)");
    call(&b, &s[4], &high); /* the low one of the other connection gives its place */
    expect(&a, &s[1], TERN_UNAVAILABLE, "(queue_calls_max: 2)");
    expect_queue(2);
    let_go(TERN_OK);
    assert_true(probe_wait(&ran, 2));
    let_go(TERN_OK);
    expect(&b, &s[4], TERN_OK, ""); /* before the older one */
    assert_false(s[2].closed);
    assert_int_equal(stats().shed[TERN_PRIORITY_LOW], 2);
    assert_int_equal(stats().refused_queue, 1);
    stop();
}

static void low_leaves_room(void **state)
{
    (void)state;
    tern_server_options o = two_loops();
    const h2peer_request low = { .path = "/t.Hold/Hold", .priority = "low" };
    o.handlers_max = 4;
    serve(&o);
    for (int i = 0; i < 3; i++)
        call(&a, &s[i], &low);
    assert_true(probe_wait(&ran, 3));
    call(&a, &s[3], &low);
    expect(&a, &s[3], TERN_UNAVAILABLE, "(handlers_max: 4)");
    hold_one(&b, &s[4]);
    assert_true(probe_wait(&ran, 4));
    stop();
}

static void a_deadline_passes_in_the_queue(void **state)
{
    (void)state;
    const tern_server_options o = one_and_a_queue(8);
    const h2peer_request soon = { .path = "/t.Hold/Hold", .timeout = "40m" };
    serve(&o);
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1));
    call(&b, &s[1], &soon);
    expect(&b, &s[1], TERN_DEADLINE_EXCEEDED, "it was not run");
    /* Its headers come first, and its deadline is armed before the body comes. */
    h2peer_open(&b, &s[2], &soon);
    h2peer_settle(&b, 10);
    h2peer_send(&b, &s[2], "\0\0\0\0", 5, true);
    expect(&b, &s[2], TERN_DEADLINE_EXCEEDED, "");
    expect_queue(0);
    let_go(TERN_OK);
    expect(&a, &s[0], TERN_OK, "");
    assert_int_equal(atomic_load(&ran), 1);
    assert_true(stats().dropped_late >= 1);
    stop();
}

static void the_wait_is_bounded(void **state)
{
    (void)state;
    tern_server_options o = one_and_a_queue(8);
    o.overload.queue_ms_max = 30;
    serve(&o);
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1));
    hold_one(&b, &s[1]);
    hold_one(&a, &s[2]);
    expect(&b, &s[1], TERN_UNAVAILABLE, "queue_ms_max: 30");
    expect(&a, &s[2], TERN_UNAVAILABLE, "queue_ms_max: 30");
    assert_int_equal(stats().dropped_stale, 2);
    assert_int_equal(atomic_load(&ran), 1);
    stop();
}

static void cancelled_calls_are_not_run(void **state)
{
    (void)state;
    const tern_server_options o = one_and_a_queue(8);
    serve(&o);
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1));
    hold_one(&a, &s[1]);
    for (int i = 2; i < 5; i++)
        hold_one(&b, &s[i]);
    expect_queue(4);
    h2peer_reset(&a, &s[1], 8);
    expect_queue(3);
    h2peer_close(&b);
    expect_queue(0);
    assert_int_equal(stats().dropped_cancelled, 4);
    let_go(TERN_OK);
    expect(&a, &s[0], TERN_OK, "");
    hold_one(&a, &s[5]);
    assert_true(probe_wait(&ran, 2));
    assert_int_equal(atomic_load(&ran), 2);
    stop();
}

/* Who has less time than any handler took lately is not run. */
static void too_late_for_its_handler(void **state)
{
    (void)state;
    tern_server_options o = two_loops();
    o.overload.queue_calls_max = 8;
    o.overload.codel_target_ms = PATIENCE_MS;
    serve(&o);
    const h2peer_request tight = { .path = "/t.Slow/Slow", .timeout = "30m" };
    const h2peer_request ample = { .path = "/t.Slow/Slow", .timeout = "20S" };
    call(&a, &s[1], &ample);
    expect(&a, &s[1], TERN_OK, "");
    unsigned before = atomic_load(&ran);
    call(&a, &s[2], &tight);
    expect(&a, &s[2], TERN_DEADLINE_EXCEEDED, "it was not run");
    assert_int_equal(atomic_load(&ran), before);
    assert_int_equal(stats().dropped_late, 1);
    stop();
}

static void waiting_calls_at_the_end(void **state)
{
    (void)state;
    const tern_server_options o = one_and_a_queue(8);
    serve(&o);
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1));
    for (int i = 1; i < 4; i++)
        hold_one(i % 2 ? &b : &a, &s[i]);
    expect_queue(3);
    tern_server_drain(srv, 1);
    for (int i = 1; i < 4; i++) {
        assert_true(h2peer_closed(i % 2 ? &b : &a, &s[i], PATIENCE_MS));
        assert_int_equal(s[i].code, TERN_UNAVAILABLE);
    }
    assert_int_equal(atomic_load(&ran), 1);
    stop();
}

/* --- adaptive limit --------------------------------------------------------------------------- */

static void bad_answers_lower_the_limit(void **state)
{
    (void)state;
    tern_server_options o = two_loops();
    o.overload.adaptive = TERN_ADAPTIVE_AIMD;
    o.overload.limit_initial = 3;
    o.overload.queue_calls_max = TERN_NO_QUEUE;
    serve(&o);
    assert_int_equal(stats().handlers_limit, 3);
    for (int i = 0; i < 3; i++)
        hold_one(&a, &s[i]);
    assert_true(probe_wait(&ran, 3));
    hold_one(&a, &s[3]);
    expect(&a, &s[3], TERN_UNAVAILABLE, "adaptive limit");
    call_path(&a, &s[4], "/t.Watch/Watch"); /* streams are not limited by it */
    assert_true(probe_wait(&ran, 4));
    let_go(TERN_RESOURCE_EXHAUSTED);
    assert_true(h2peer_closed(&a, &s[0], PATIENCE_MS));
    assert_int_equal(stats().handlers_limit, 2);
    hold_one(&a, &s[5]);
    expect(&a, &s[5], TERN_UNAVAILABLE, "adaptive limit");
    assert_int_equal(stats().refused_adaptive, 2);
    assert_int_equal(stats().refused_server, 0);
    stop();
}

static void good_answers_raise_it(void **state)
{
    (void)state;
    for (int kind = TERN_ADAPTIVE_AIMD; kind <= TERN_ADAPTIVE_GRADIENT; kind++) {
        tern_server_options o = two_loops();
        o.overload.adaptive = (tern_adaptive_limit)kind;
        o.overload.limit_initial = 1;
        o.overload.codel_target_ms = PATIENCE_MS;
        serve(&o);
        unsigned limit = 1;
        int64_t until = probe_now_ms() + PATIENCE_MS;
        while ((limit = stats().handlers_limit) < 2 && probe_now_ms() < until) {
            for (int i = 0; i < 4; i++)
                call_path(i % 2 ? &a : &b, &s[i], "/t.Slow/Slow");
            for (int i = 0; i < 4; i++)
                expect(i % 2 ? &a : &b, &s[i], TERN_OK, "");
        }
        assert_true(limit >= 2);
        stop();
    }
}

/* --- options ---------------------------------------------------------------------------------- */

static void what_cannot_be_meant(void **state)
{
    (void)state;
    tern_status st;
    tern_server *none = NULL;
    struct {
        tern_overload_options o;
        const char *words;
    } cases[] = {
        { { .adaptive = (tern_adaptive_limit)3 }, "overload.adaptive is 3" },
        { { .limit_min = 9, .limit_max = 8 }, "limit_min 9, limit_max 8" },
        { { .limit_initial = 9, .limit_max = 8 }, "limit_initial is 9" },
        { { .limit_min = 2000 }, "limit_max 1024" },
        { { .latency_tolerance = 0.5 }, "latency_tolerance is 0.5" },
        { { .client_priority_max = TERN_PRIORITY_CRITICAL }, "client_priority_max is 4" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tern_server_options o = TERN_SERVER_OPTIONS_INIT;
        o.overload = cases[i].o;
        assert_int_equal(tern_server_new(&o, &none, &st), TERN_INVALID_ARGUMENT);
        assert_non_null(strstr(st.message, cases[i].words));
    }
    const tern_server_options o = two_loops();
    tern_method_limits limits = TERN_METHOD_LIMITS_INIT;
    serve(&o);
    limits.priority = (tern_priority)5;
    assert_int_equal(tern_server_set_method_limits(srv, "t.Hold", &limits, &st),
                     TERN_INVALID_ARGUMENT);
    limits.size = 1;
    assert_int_equal(tern_server_set_method_limits(srv, "t.Hold", &limits, &st),
                     TERN_INVALID_ARGUMENT);
    hold_one(&a, &s[0]);
    assert_true(probe_wait(&ran, 1));
    assert_int_equal(stats().handlers_running, 0); /* nothing counts without a limit */
    assert_int_equal(stats().calls, 1);
    assert_true(let_go(TERN_OK));
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_of_the_server),
        cmocka_unit_test(limit_of_a_connection),
        cmocka_unit_test(cancelled_calls_give_their_place_back),
        cmocka_unit_test(limit_of_a_method),
        cmocka_unit_test(limit_of_a_service),
        cmocka_unit_test(streams_count),
        cmocka_unit_test(health_and_critical_are_spared),
        cmocka_unit_test(health_needs_no_thread),
        cmocka_unit_test(waiting_calls_run_in_order),
        cmocka_unit_test(the_lower_go_first),
        cmocka_unit_test(low_leaves_room),
        cmocka_unit_test(a_deadline_passes_in_the_queue),
        cmocka_unit_test(the_wait_is_bounded),
        cmocka_unit_test(cancelled_calls_are_not_run),
        cmocka_unit_test(too_late_for_its_handler),
        cmocka_unit_test(waiting_calls_at_the_end),
        cmocka_unit_test(bad_answers_lower_the_limit),
        cmocka_unit_test(good_answers_raise_it),
        cmocka_unit_test(what_cannot_be_meant),
    };
    return cmocka_run_group_tests_name("overload", tests, NULL, NULL);
}
