/* The parts of `submit` that need no system: the generator, the histogram, the progress bar's
 * text, the plans for rows, what becomes of a row whose Scheduler fails (a scripted one), and the
 * counters that survive restarts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <tern/testing_cmocka.h>

#include <drone/scheduler/v1/scheduler.tern.h>
#include "submit/client.h"
#include "submit/generate.h"
#include "submit/latency.h"
#include "submit/progress.h"
#include "submit/report.h"

static void test_generator(void **state)
{
    drone_row a, b;
    char why[DRONE_ROW_ERROR_SIZE];
    int far = 0, heavy = 0;
    (void)state;
    drone_generate_row(7, 3, &a);
    drone_generate_row(7, 3, &b);
    assert_memory_equal(&a, &b, sizeof(a));
    drone_generate_row(8, 3, &b);
    assert_true(a.pickup_latitude != b.pickup_latitude);
    for (uint64_t i = 0; i < 5000; i++) {
        drone_generate_row(1, i, &a);
        if (drone_row_check(&a, why) < 0)
            fail_msg("row %llu: %s", (unsigned long long)i, why);
        assert_int_equal(a.line, i + 1);
        assert_true(a.requested_at_ms >= 0 && a.requested_at_ms < 86400000);
        far += fabs(a.pickup_latitude - a.dropoff_latitude) > 0.1;
        heavy += a.weight_g > 10000;
    }
    assert_true(far > 50 && far < 1000);
    assert_true(heavy > 100 && heavy < 400);
}

static void test_percentiles(void **state)
{
    drone_latency *l = calloc(2, sizeof(*l));
    (void)state;
    assert_non_null(l);
    assert_true(drone_latency_percentile(l, 50) == 0.0);
    for (uint64_t us = 1; us <= 100000; us++)
        drone_latency_add(&l[us % 2], us);
    drone_latency_merge(&l[0], &l[1]);
    assert_int_equal(l->n, 100000);
    for (int p = 1; p <= 100; p++) {
        double got = drone_latency_percentile(l, p);
        assert_true(fabs(got - 1000.0 * p) <= 1000.0 * p * 0.01);
    }
    drone_latency_add(&l[0], UINT64_MAX); /* beyond the last bucket */
    assert_true(drone_latency_percentile(l, 100) > 1e9);
    free(l);
}

static void test_small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t us = 0; us < 64; us++) {
        drone_latency *l = calloc(1, sizeof(*l));
        assert_non_null(l);
        drone_latency_add(l, us);
        assert_true(drone_latency_percentile(l, 50) == (double)us);
        free(l);
    }
}

static void test_progress_text(void **state)
{
    char text[256];
    (void)state;
    drone_progress_text(text, sizeof(text), 60, 0, 100, 0);
    assert_non_null(strstr(text, "  0 %  0/100"));
    assert_null(strchr(text, '#'));
    drone_progress_text(text, sizeof(text), 60, 50, 100, 1000);
    assert_non_null(strstr(text, " 50 %  50/100  50/s  1 s left"));
    drone_progress_text(text, sizeof(text), 60, 100, 100, 2000);
    assert_null(strchr(text, '.'));
    for (unsigned columns = 0; columns < 300; columns += 7) {
        size_t n = drone_progress_text(text, sizeof(text), columns, 33, 100, 1000);
        assert_int_equal(n, strlen(text));
        if (columns > 60 && columns <= 200)
            assert_int_equal(n, columns - 1);
        assert_true(n <= 200);
    }
    drone_progress_text(text, sizeof(text), 80, 5, 0, 1000);
    assert_non_null(strstr(text, "100 %"));
}

static void test_plans(void **state)
{
    drone_client c = { .seed = 5, .cancel_percent = 10, .update_percent = 20 };
    int n[4] = { 0 };
    (void)state;
    for (unsigned long line = 1; line <= 10000; line++) {
        drone_plan p = drone_client_plan(&c, line);
        assert_int_equal(p, drone_client_plan(&c, line));
        n[p]++;
    }
    assert_true(abs(n[DRONE_PLAN_KEEP] - 7000) < 300);
    assert_true(abs(n[DRONE_PLAN_UPDATE] - 2000) < 200);
    assert_true(abs(n[DRONE_PLAN_CANCEL] - 500) < 150);
    assert_true(abs(n[DRONE_PLAN_CANCEL_AT_ONCE] - 500) < 150);
}

static void test_times_are_shifted(void **state)
{
    (void)state;
    int64_t shift = drone_time_shift_ms(1551396543000, 1700000000000, 60000);
    assert_int_equal(1551396543000 + shift, 1700000060000);
}

/* --- a row and its Scheduler ------------------------------------------------------------------ */

#define SCHEDULE "/drone.scheduler.v1.SchedulerService/ScheduleDelivery"

/* Sends the row number 0 to `target`. */
static void send_row(const char *target, int64_t patience_ms, drone_sent *ret)
{
    drone_client c = { .run = "run", .n_accounts = 1, .patience_ms = patience_ms };
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    drone_row row;
    tern_status status;
    options.breaker.disabled = true; /* as `submit` has it */
    tern_assert_ok(tern_channel_new(target, &options, &c.channel, &status), &status);
    drone_generate_row(1, 0, &row);
    drone_client_send(&c, NULL, &row, ret);
    tern_channel_free(c.channel);
}

/* A row that nobody answers says what the last failure was: nobody is there, or somebody who has no
 * answer to give. */
static void test_unanswered(void **state)
{
    tern_testing_server *scheduler;
    tern_testing_answer away = TERN_TESTING_ANSWER_INIT;
    tern_status status;
    drone_sent sent;
    (void)state;
    send_row("unix:/nowhere/to/be/found.sock", 100, &sent);
    assert_int_equal(sent.end, DRONE_END_UNANSWERED);
    if (!strstr(sent.status.message, "the last failure: UNAVAILABLE: cannot connect"))
        fail_msg("\"%s\"", sent.status.message);

    tern_assert_ok(tern_testing_server_new(&scheduler, &status), &status);
    away.code = TERN_UNAVAILABLE;
    away.message = "restarting";
    tern_assert_ok(tern_testing_server_set_default(scheduler, SCHEDULE, &away, &status), &status);
    send_row(tern_testing_server_target(scheduler), 100, &sent);
    assert_int_equal(sent.end, DRONE_END_UNANSWERED);
    if (!strstr(sent.status.message, "the last failure: UNAVAILABLE: restarting"))
        fail_msg("\"%s\"", sent.status.message);
    tern_testing_server_free(scheduler);
}

/* What leaves it in doubt is sent again with the same key, until there is a verdict. */
static void test_repeated_until_there_is_a_verdict(void **state)
{
    tern_testing_server *scheduler;
    tern_testing_answer broken = TERN_TESTING_ANSWER_INIT;
    Drone__Scheduler__V1__DeliveryStatus verdict = DRONE__SCHEDULER__V1__DELIVERY_STATUS__INIT;
    char drone[] = "drone-1";
    uint8_t bytes[128];
    tern_status status;
    drone_sent sent;
    (void)state;
    tern_assert_ok(tern_testing_server_new(&scheduler, &status), &status);
    broken.action = TERN_TESTING_RESET_CONNECTION;
    tern_assert_ok(tern_testing_server_add(scheduler, SCHEDULE, &broken, &status), &status);
    assert_true(tern_testing_fail(scheduler, SCHEDULE, TERN_UNAVAILABLE, "restarting"));
    assert_true(tern_testing_fail(scheduler, SCHEDULE, TERN_INTERNAL, "the disk is full"));
    verdict.state = DRONE__SCHEDULER__V1__STATE__STATE_SCHEDULED;
    verdict.drone_id = drone;
    assert_true(tern_testing_reply(scheduler, SCHEDULE, bytes,
                                   drone__scheduler__v1__delivery_status__pack(&verdict, bytes)));
    send_row(tern_testing_server_target(scheduler), 20000, &sent);
    if (sent.end != DRONE_END_BY_DRONE)
        fail_msg("end %d: %s", (int)sent.end, sent.status.message);
    assert_in_range(sent.repeats, 1, 3); /* those that the channel did not make by itself */
    tern_assert_script_used(scheduler);
    tern_assert_attempts(scheduler, NULL, 4);
    const tern_testing_call *first = tern_testing_server_call(scheduler, SCHEDULE, 0);
    for (size_t i = 0; i < 4; i++) {
        const tern_testing_call *c = tern_testing_server_call(scheduler, SCHEDULE, i);
        assert_int_equal(c->n_messages, 1);
        assert_int_equal(c->messages[0].len, first->messages[0].len);
        assert_memory_equal(c->messages[0].data, first->messages[0].data, c->messages[0].len);
    }
    Drone__Scheduler__V1__ScheduleDeliveryRequest *req =
        drone__scheduler__v1__schedule_delivery_request__unpack(NULL, first->messages[0].len,
                                                                first->messages[0].data);
    assert_non_null(req);
    assert_string_equal(req->idempotency_key, "run-1");
    drone__scheduler__v1__schedule_delivery_request__free_unpacked(req, NULL);

    assert_true(tern_testing_fail(scheduler, SCHEDULE, TERN_INVALID_ARGUMENT, "too heavy"));
    send_row(tern_testing_server_target(scheduler), 20000, &sent);
    assert_int_equal(sent.end, DRONE_END_REFUSED);
    assert_string_equal(sent.status.message, "too heavy");
    assert_int_equal(sent.repeats, 0);
    tern_assert_attempts(scheduler, NULL, 5);
    tern_testing_server_free(scheduler);
}

static void test_meter_survives_restarts(void **state)
{
    drone_call_meter m = { 0 };
    const drone_call_counts looks[] = {
        { 100, 5, 1 }, { 150, 7, 1 }, { 20, 1, 0 } /* a new process */, { 50, 1, 2 }
    };
    (void)state;
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++)
        drone_call_meter_look(&m, &looks[i]);
    assert_int_equal(m.sum.calls, 50 + 20 + 30);
    assert_int_equal(m.sum.retries, 2 + 1 + 0);
    assert_int_equal(m.sum.breaker_openings, 0 + 0 + 2);
}

static void test_report(void **state)
{
    drone_report *r = calloc(2, sizeof(*r));
    char text[4096] = "";
    (void)state;
    assert_non_null(r);
    for (int end = 0; end < DRONE_N_ENDS; end++) {
        drone_sent sent = { .end = (drone_end)end, .us = 1000, .repeats = 1 };
        for (int i = 0; i <= end; i++)
            drone_report_add(&r[1], &sent);
    }
    drone_report_merge(&r[0], &r[1]);
    r->seconds = 2;
    assert_int_equal(drone_report_ended(r), 1 + 2 + 3 + 4 + 5);
    FILE *f = fmemopen(text, sizeof(text), "w");
    drone_report_print_json(r, f);
    fclose(f);
    assert_non_null(strstr(text,
                           "\"accepted\":22,\"by_drone\":1,\"by_transport\":2,\"compensated\":3,"
                           "\"cancelled\":4,\"parked\":5,\"undecided\":7,\"unanswered\":8,"
                           "\"refused\":6"));
    assert_non_null(strstr(text, "\"workflows_per_s\":7.5"));
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generator),
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_progress_text),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_times_are_shifted),
        cmocka_unit_test(test_unanswered),
        cmocka_unit_test(test_repeated_until_there_is_a_verdict),
        cmocka_unit_test(test_meter_survives_restarts),
        cmocka_unit_test(test_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
