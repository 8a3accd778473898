/* What the Scheduler and the Supervisor call the five services with: keys that stay the same, three
 * attempts, a deadline, a breaker for each service, and an end when the process ends. The services
 * are played by a scripted server, on the virtual clock (tern/testing.h). */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/testing.h>
#include <tern/testing_cmocka.h>

#include <drone/account/v1/account.pb-c.h>

#include "scheduler/backends.h"

#define TIMEOUT_MS 2000
#define REFUND "/drone.account.v1.AccountService/RefundHold"
#define RELEASE "/drone.package.v1.PackageService/ReleasePackage"

static tern_testing_clock *clk;
static tern_testing_server *peer;
static drone_backends backends;
static tern_status st;

static int setup(void **state)
{
    (void)state;
    tern_assert_ok(tern_testing_clock_new(&clk, &st), &st);
    tern_assert_ok(tern_testing_clock_run(clk, true, &st), &st);
    tern_assert_ok(tern_testing_server_new(&peer, &st), &st);
    backends = (drone_backends){ .timeout_ms = TIMEOUT_MS };
    for (int i = 0; i < DRONE_N_BACKENDS; i++)
        backends.addresses[i] = tern_testing_server_target(peer);
    tern_assert_ok(drone_backends_open(&backends, "/nowhere", "test", &st), &st);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    drone_backends_close(&backends);
    tern_testing_server_free(peer);
    tern_testing_clock_free(clk);
    return 0;
}

static tern_code refund(void)
{
    return drone_backends_undo(&backends, DRONE_STEP_ACCOUNT, "d-1", 3, &st);
}

/* Every step has its service, and one change: the delivery, its revision and a key made of both. */
static void test_steps(void **state)
{
    static const struct {
        drone_step step;
        const char *path;
    } steps[] = {
        { DRONE_STEP_ACCOUNT, REFUND },
        { DRONE_STEP_PACKAGE, RELEASE },
        { DRONE_STEP_TRANSPORT, "/drone.transport.v1.TransportService/Recall" },
        { DRONE_STEP_DRONE, "/drone.drone.v1.DroneService/CancelAssignment" },
        { DRONE_STEP_DELIVERY, "/drone.delivery.v1.DeliveryService/CancelDelivery" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_true(tern_testing_reply(peer, steps[i].path, "", 0));
        tern_assert_ok(drone_backends_undo(&backends, steps[i].step, "d-1", 3, &st), &st);
        const tern_testing_call *seen = tern_testing_server_call(peer, steps[i].path, 0);
        assert_non_null(seen);
        assert_int_equal(seen->timeout_ms, TIMEOUT_MS);
        /* All of them have the change as their first field, and most nothing else. */
        Drone__Account__V1__RefundHoldRequest *req =
            drone__account__v1__refund_hold_request__unpack(NULL, seen->messages[0].len,
                                                            seen->messages[0].data);
        assert_non_null(req);
        assert_string_equal(req->change->delivery_id, "d-1");
        assert_int_equal(req->change->revision, 3);
        assert_string_equal(req->change->idempotency_key, "d-1/3/u");
        drone__account__v1__refund_hold_request__free_unpacked(req, NULL);
    }
    assert_int_equal(tern_testing_server_unused(peer, NULL), 0);
    assert_int_equal(drone_backends_undo(&backends, DRONE_STEP_NONE, "d-1", 3, &st),
                     TERN_INVALID_ARGUMENT);
}

/* What may pass is tried three times, with the same bytes; what does not pass once. */
static void test_attempts(void **state)
{
    (void)state;
    assert_true(tern_testing_fail(peer, REFUND, TERN_UNAVAILABLE, "not now"));
    assert_true(tern_testing_fail(peer, REFUND, TERN_UNAVAILABLE, "not now"));
    assert_true(tern_testing_reply(peer, REFUND, "", 0));
    tern_assert_ok(refund(), &st);
    const tern_testing_call *first = tern_testing_server_call(peer, REFUND, 0);
    for (int i = 0; i < 3; i++) {
        const tern_testing_call *seen = tern_testing_server_call(peer, REFUND, (size_t)i);
        assert_int_equal(seen->previous_attempts, i);
        assert_int_equal(seen->messages[0].len, first->messages[0].len);
        assert_memory_equal(seen->messages[0].data, first->messages[0].data,
                            first->messages[0].len);
    }
    for (int i = 0; i < 3; i++)
        assert_true(tern_testing_fail(peer, REFUND, TERN_UNAVAILABLE, "not at all"));
    tern_assert_status(refund(), &st, TERN_UNAVAILABLE, "not at all");
    assert_int_equal(tern_testing_server_count(peer, REFUND), 6);
    assert_true(tern_testing_fail(peer, REFUND, TERN_FAILED_PRECONDITION, "no"));
    tern_assert_status(refund(), &st, TERN_FAILED_PRECONDITION, "no");
    assert_int_equal(tern_testing_server_count(peer, REFUND), 7);
}

/* A service that is silent costs the deadline, and not more. */
static void test_deadline(void **state)
{
    tern_testing_answer silence = TERN_TESTING_ANSWER_INIT;
    (void)state;
    silence.action = TERN_TESTING_DROP;
    tern_assert_ok(tern_testing_server_add(peer, REFUND, &silence, &st), &st);
    int64_t began = tern_testing_clock_elapsed_ms(clk);
    tern_assert_status(refund(), &st, TERN_DEADLINE_EXCEEDED, NULL);
    assert_int_equal(tern_testing_clock_elapsed_ms(clk) - began, TIMEOUT_MS);
    assert_int_equal(tern_testing_server_count(peer, REFUND), 1);
}

/* A service that fails and fails is left alone for a while, and it alone. */
static void test_breaker(void **state)
{
    tern_testing_answer down = TERN_TESTING_ANSWER_INIT, up = TERN_TESTING_ANSWER_INIT;
    static const tern_testing_message empty = { .data = "" };
    tern_channel_stats stats = { 0 };
    (void)state;
    down.code = TERN_UNAVAILABLE;
    tern_assert_ok(tern_testing_server_set_default(peer, REFUND, &down, &st), &st);
    for (int i = 0; i < 20 && !stats.breaker_rejected; i++) {
        assert_int_equal(refund(), TERN_UNAVAILABLE);
        tern_channel_stats_get(backends.channels[DRONE_BACKEND_ACCOUNT], &stats);
    }
    assert_true(stats.breaker_rejected > 0);
    assert_int_equal(stats.breaker, TERN_BREAKER_OPEN);
    size_t seen = tern_testing_server_count(peer, REFUND);
    assert_int_equal(refund(), TERN_UNAVAILABLE);
    assert_int_equal(tern_testing_server_count(peer, REFUND), seen);
    assert_true(tern_testing_reply(peer, RELEASE, "", 0));
    tern_assert_ok(drone_backends_undo(&backends, DRONE_STEP_PACKAGE, "d-1", 3, &st), &st);
    drone_backends_stats(&backends, &stats);
    assert_int_equal(stats.breaker, TERN_BREAKER_OPEN);
    /* Once it is well again, and time has passed. */
    up.replies = &empty;
    up.n_replies = 1;
    tern_assert_ok(tern_testing_server_set_default(peer, REFUND, &up, &st), &st);
    int64_t until = tern_testing_clock_elapsed_ms(clk) + 60000;
    while (refund() != TERN_OK && tern_testing_clock_elapsed_ms(clk) < until)
        tern_testing_clock_sleep(clk, 100);
    tern_channel_stats_get(backends.channels[DRONE_BACKEND_ACCOUNT], &stats);
    assert_int_not_equal(stats.breaker, TERN_BREAKER_OPEN);
}

static void *cancel(void *arg)
{
    (void)arg;
    tern_testing_server_wait(peer, REFUND, 1, 60000);
    drone_backends_cancel(&backends);
    return NULL;
}

/* The process ends: calls that run end at once, and later ones do not begin. */
static void test_cancel(void **state)
{
    tern_testing_answer silence = TERN_TESTING_ANSWER_INIT;
    pthread_t thread;
    (void)state;
    silence.action = TERN_TESTING_DROP;
    tern_assert_ok(tern_testing_server_set_default(peer, REFUND, &silence, &st), &st);
    tern_assert_ok(tern_testing_clock_run(clk, false, &st), &st); /* no deadline passes */
    assert_int_equal(pthread_create(&thread, NULL, cancel, NULL), 0);
    tern_assert_status(refund(), &st, TERN_CANCELLED, NULL);
    pthread_join(thread, NULL);
    tern_assert_status(refund(), &st, TERN_CANCELLED, NULL);
    assert_int_equal(tern_testing_server_count(peer, REFUND), 1);
    tern_assert_ok(tern_testing_clock_run(clk, true, &st), &st);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_steps), T(test_attempts), T(test_deadline), T(test_breaker), T(test_cancel),
    };
    return cmocka_run_group_tests_name("drone/backends", tests, NULL, NULL);
}
