/* A server with limits, a queue and faults that runs out of memory, allocation by allocation: when
 * it starts, and while calls wait. A handler arms the failure in its own thread, which is the
 * loop's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/failmalloc.h"
#include "support/probe.h"

#define CALL_MS 20000
/* More than a round needs. */
#define ALLOCATIONS_MAX 60
#define WAITING 6

static const tern_method arm_method = { .path = "/t.Arm/Arm" };
static const tern_method hold_method = { .path = "/t.Hold/Hold" };
static tern_server *srv;
static tern_fault *fault;
static char target[64];
static tern_status st;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tern_server_call *held;
static bool open_doors;
static atomic_uint n_held;

static tern_code arm(void *self, tern_server_call *call)
{
    (void)self;
    size_t len;
    int32_t n;
    memcpy(&n, tern_server_call_request(call, &len), sizeof n);
    if (n < 0)
        failmalloc_off();
    else
        failmalloc_once(n);
    return TERN_OK;
}

/* The first one waits until the doors are open, the others go through. */
static tern_code hold(void *self, tern_server_call *call)
{
    (void)self;
    pthread_mutex_lock(&lock);
    if (!open_doors) {
        held = call;
        tern_server_call_defer(call);
        atomic_fetch_add(&n_held, 1);
    }
    pthread_mutex_unlock(&lock);
    return TERN_OK;
}

static void let_go(void)
{
    pthread_mutex_lock(&lock);
    tern_server_call *call = held;
    held = NULL;
    open_doors = true;
    pthread_mutex_unlock(&lock);
    if (call)
        tern_server_call_finish(call, TERN_OK);
}

static tern_code make(void)
{
    tern_server_options o = TERN_SERVER_OPTIONS_INIT;
    tern_method_limits limits = TERN_METHOD_LIMITS_INIT;
    o.loops = 1;
    o.handlers_max = 1;
    o.overload.adaptive = TERN_ADAPTIVE_AIMD;
    o.overload.queue_ms_max = CALL_MS;
    o.overload.codel_target_ms = CALL_MS;
    o.fault = fault;
    limits.priority = TERN_PRIORITY_CRITICAL;
    tern_code code = tern_server_new(&o, &srv, &st);
    if (code == TERN_OK)
        code = tern_server_add_raw(srv, &arm_method, arm, NULL, &st);
    if (code == TERN_OK)
        code = tern_server_add_raw(srv, &hold_method, hold, NULL, &st);
    if (code == TERN_OK)
        code = tern_server_set_method_limits(srv, "t.Arm", &limits, &st);
    if (code == TERN_OK) {
        tern_server_set_execution(srv, "t.Arm", TERN_EXEC_INLINE);
        tern_server_set_execution(srv, "t.Hold", TERN_EXEC_INLINE);
        code = tern_server_listen(srv, target, NULL, &st);
    }
    return code == TERN_OK ? tern_server_start(srv, &st) : code;
}

static void test_start(void **state)
{
    (void)state;
    snprintf(target, sizeof target, "unix-abstract:tern-test-overload-memory-%d", (int)getpid());
    for (long n = 0;; n++) {
        srv = NULL;
        failmalloc_once(n);
        tern_code code = make();
        bool failed = failmalloc_off();
        tern_server_free(srv);
        if (!failed) {
            assert_int_equal(code, TERN_OK);
            break;
        }
        if (code != TERN_OK)
            assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
    }
}

static tern_code call_arm(tern_channel *ch, int32_t n)
{
    void *bytes = NULL;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = CALL_MS;
    tern_code code = tern_call_unary(ch, &arm_method, &opts, &n, sizeof n, &bytes, &len, &st);
    free(bytes);
    return code;
}

static atomic_uint n_done;
static atomic_uint n_not_ok;

static void on_done(void *ctx, const tern_status *status, const void *response, size_t len)
{
    (void)ctx;
    (void)response;
    (void)len;
    if (status->code != TERN_OK)
        atomic_fetch_add(&n_not_ok, 1);
    if (status->code == TERN_DEADLINE_EXCEEDED)
        fprintf(stderr, "no answer within %d ms\n", CALL_MS);
    atomic_fetch_add(&n_done, status->code == TERN_DEADLINE_EXCEEDED ? 1000 : 1);
}

static void begin_call(tern_channel *ch)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = CALL_MS;
    assert_int_equal(tern_call_unary_start(ch, &hold_method, &opts, "", 0, on_done, NULL, &st),
                     TERN_OK);
}

/* The calls that wait and rest when the memory is gone come to an end, each with some status. */
static void round_of(int32_t n)
{
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    co.breaker.disabled = co.retry.disabled = true;
    co.reconnect_backoff_ms = co.reconnect_backoff_ms_max = 1;
    atomic_store(&n_done, 0);
    atomic_store(&n_held, 0);
    open_doors = false;
    assert_int_equal(make(), TERN_OK);
    tern_channel *ch = probe_channel_with(target, &co);
    begin_call(ch);
    assert_true(probe_wait(&n_held, 1));
    call_arm(ch, n);
    for (int i = 0; i < WAITING; i++)
        begin_call(ch);
    /* Behind them on the same connection, if that has survived: they have all been looked at. */
    int64_t until = probe_now_ms() + 10000;
    while (call_arm(ch, -1) != TERN_OK)
        if (probe_now_ms() > until)
            fail_msg("allocation %d: no recovery: %s", n, st.message);
    let_go();
    assert_true(probe_wait(&n_done, 1 + WAITING));
    assert_int_equal(atomic_load(&n_done), 1 + WAITING);
    tern_channel_free(ch);
    tern_server_stats stats;
    do /* a call whose connection broke ends with its handler */
        tern_server_stats_get(srv, &stats);
    while (stats.handlers_running && probe_now_ms() < until);
    assert_int_equal(stats.handlers_running, 0);
    assert_int_equal(stats.queue_calls, 0);
    tern_server_free(srv);
}

static void test_waiting(void **state)
{
    (void)state;
    atomic_store(&n_not_ok, 0);
    for (int32_t n = 0; n < ALLOCATIONS_MAX; n++)
        round_of(n);
    assert_true(atomic_load(&n_not_ok) > 3); /* the failures were felt */
}

/* Delays, instead of waiting: the timers are the same, the way out is another. */
static void test_resting(void **state)
{
    (void)state;
    tern_fault_options o = TERN_FAULT_OPTIONS_INIT;
    o.method = "t.Hold";
    o.delay = TERN_FAULT_FIXED;
    o.delay_ms = 1;
    o.delay_share.numerator = 100;
    assert_int_equal(tern_fault_new(&o, &fault, &st), TERN_OK);
    for (int32_t n = 0; n < ALLOCATIONS_MAX; n++)
        round_of(n);
    tern_fault_stats stats;
    tern_fault_stats_get(fault, &stats);
    assert_int_equal(stats.active, 0);
    tern_fault_unref(fault);
    fault = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_resting),
    };
    return cmocka_run_group_tests_name("server/overload_memory", tests, NULL, NULL);
}
