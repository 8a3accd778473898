/* Outlier detection: A50's algorithms and their limits, how long an ejection lasts, and any
 * history: ejections stay within their share. */
#include "support/lbkit.h"

static const tern__lb_config child = { .kind = TERN__LB_ROUND_ROBIN };
static tern__lb_config config;
static tern__lb_outlier_detection *const od = &config.outlier_detection;
static int64_t now;

static int begin(void **state)
{
    (void)state;
    config = (tern__lb_config){
        .kind = TERN__LB_OUTLIER_DETECTION,
        .outlier_detection = { .interval = 10 * S,
                               .base_ejection_time = 30 * S,
                               .max_ejection_time = 300 * S,
                               .max_ejection_percent = 10,
                               .success_rate = { false, 1900, 100, 5, 100 },
                               .failure_percentage = { false, 85, 100, 5, 50 },
                               .child = &child },
    };
    now = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    lbkit_end();
    return 0;
}

static void start(uint32_t n)
{
    now = 0;
    lbkit_start(&config, n, TERN__LB_READY);
    assert_int_equal(tern__balancer_tick(&lb, now), 10 * S);
}

static void calls(uint32_t i, unsigned good, unsigned bad)
{
    lb.at[i].in_flight += good + bad;
    for (unsigned k = 0; k < good; k++)
        lbkit_ended(i, now, MS, TERN_OK);
    for (unsigned k = 0; k < bad; k++)
        lbkit_ended(i, now, MS, TERN_UNAVAILABLE);
}

static void next_interval(void)
{
    now += 10 * S;
    assert_int_equal(tern__balancer_tick(&lb, now), now + 10 * S);
}

static uint32_t n_ejected(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < lb.n; i++)
        n += lb.at[i].ejected;
    return n;
}

/* --- the algorithms --------------------------------------------------------------------------- */

/* Four of 100 % and one of 50 %: mean 90, deviation 20, so that below 90 - 1.9 x 20 = 52 is an
 * outlier. (One that differs among five is always 2 deviations off.) */
static void by_success_rate(void **state)
{
    (void)state;
    od->success_rate.enabled = true;
    start(5);
    for (uint32_t i = 0; i < 5; i++)
        calls(i, i == 3 ? 50 : 100, i == 3 ? 50 : 0);
    next_interval();
    assert_true(lb.at[3].ejected);
    assert_int_equal(n_ejected(), 1);
    od->success_rate.threshold = 2000;
    start(5);
    for (uint32_t i = 0; i < 5; i++)
        calls(i, i == 3 ? 50 : 100, i == 3 ? 50 : 0);
    next_interval();
    assert_int_equal(n_ejected(), 0);
    od->success_rate.threshold = 0;
    start(5); /* all alike: no outlier, however bad */
    for (uint32_t i = 0; i < 5; i++)
        calls(i, 10, 90);
    next_interval();
    assert_int_equal(n_ejected(), 0);
}

static void minimums_of_success_rate(void **state)
{
    (void)state;
    od->success_rate.enabled = true;
    start(5);
    for (uint32_t i = 0; i < 5; i++) /* four of enough calls */
        calls(i, i == 3 ? 0 : i == 4 ? 99 : 100, i == 3 ? 100 : 0);
    next_interval();
    assert_int_equal(n_ejected(), 0);
    start(6);
    for (uint32_t i = 0; i < 6; i++) /* the bad one has not had enough */
        calls(i, i == 3 ? 0 : 100, i == 3 ? 99 : 0);
    next_interval();
    assert_int_equal(n_ejected(), 0);
    /* And counts begin anew with each interval. */
    calls(3, 0, 1);
    next_interval();
    assert_int_equal(n_ejected(), 0);
}

/* Above 85 %, not at it. */
static void by_failure_percentage(void **state)
{
    (void)state;
    od->failure_percentage.enabled = true;
    od->max_ejection_percent = 100;
    start(5);
    calls(0, 100, 0);
    calls(1, 15, 85);
    calls(2, 14, 86);
    calls(3, 0, 50);
    calls(4, 50, 0);
    next_interval();
    assert_false(lb.at[1].ejected);
    assert_true(lb.at[2].ejected);
    assert_true(lb.at[3].ejected);
    assert_int_equal(n_ejected(), 2);
    start(5); /* 49 of 50 needed; four of five needed */
    calls(0, 50, 0);
    calls(1, 50, 0);
    calls(2, 50, 0);
    calls(3, 0, 50);
    calls(4, 0, 49);
    next_interval();
    assert_int_equal(n_ejected(), 0);
}

/* At least one, and then as many as stay below the percentage before they go. */
static void at_most_so_many(void **state)
{
    (void)state;
    static const struct {
        uint32_t percent, servers, ejected;
    } cases[] = { { 10, 5, 1 }, { 10, 10, 1 }, { 10, 11, 2 }, { 50, 5, 3 },
                  { 50, 4, 2 }, { 0, 5, 0 },   { 100, 5, 5 }, { 1, 60, 1 } };
    od->failure_percentage = (tern__lb_ejection){ true, 85, 100, 1, 1 };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        od->max_ejection_percent = cases[c].percent;
        start(cases[c].servers);
        for (int round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < cases[c].servers; i++)
                calls(i, 0, 10);
            next_interval();
            assert_int_equal(n_ejected(), cases[c].ejected);
        }
    }
}

static void enforcement(void **state)
{
    (void)state;
    unsigned ejected = 0;
    od->failure_percentage = (tern__lb_ejection){ true, 85, 30, 1, 1 };
    start(5);
    for (uint32_t k = 0; k < 1000; k++) {
        calls(0, 0, 10);
        next_interval();
        ejected += lb.at[0].ejected;
        tern__balancer_eject(&lb, 0, false, now);
    }
    assert_in_range(ejected, 250, 350);
    od->failure_percentage.enforcement_percentage = 0;
    start(5);
    for (uint32_t k = 0; k < 100; k++) {
        calls(0, 0, 10);
        next_interval();
        assert_int_equal(n_ejected(), 0);
    }
}

/* What the server is to blame for; what it is not; what does not count. */
static void codes(void **state)
{
    (void)state;
    static const tern_code bad[] = { TERN_UNAVAILABLE, TERN_DEADLINE_EXCEEDED, TERN_INTERNAL,
                                     TERN_UNKNOWN,     TERN_DATA_LOSS,         TERN_UNIMPLEMENTED };
    od->success_rate.enabled = true;
    start(1);
    for (int code = 0; code <= 16; code++) {
        bool is_bad = false;
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
            is_bad |= bad[k] == (tern_code)code;
        lb.at[0].record = (tern__outlier_record){ 0 };
        lb.at[0].in_flight = 1;
        lbkit_ended(0, now, MS, (tern_code)code);
        assert_int_equal(lb.at[0].record.failures, is_bad);
        assert_int_equal(lb.at[0].record.successes, !is_bad && code != TERN_CANCELLED);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

/* 30 s the first time, 60 s the second, never above 300 s; an interval without an ejection takes
 * one step back. */
static void ejections_last_longer_each_time(void **state)
{
    (void)state;
    od->failure_percentage = (tern__lb_ejection){ true, 85, 100, 1, 1 };
    start(2);
    static const int64_t lasts[] = { 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300 };
    for (size_t k = 0; k < sizeof lasts / sizeof *lasts; k++) {
        calls(0, 0, 10);
        next_interval();
        int64_t at = now;
        assert_true(lb.at[0].ejected);
        while (lb.at[0].ejected)
            next_interval();
        /* After, not at, the end: so at the first look that is later. */
        assert_int_equal(now - at, lasts[k] * S + 10 * S);
    }
    uint32_t multiplier = lb.at[0].record.multiplier;
    assert_int_equal(multiplier, 12);
    next_interval();
    next_interval();
    assert_int_equal(lb.at[0].record.multiplier, multiplier - 2);
}

static void the_base_goes_before_the_maximum(void **state)
{
    (void)state;
    od->failure_percentage = (tern__lb_ejection){ true, 85, 100, 1, 1 };
    od->base_ejection_time = 45 * S;
    od->max_ejection_time = 1 * S;
    start(2);
    calls(0, 0, 10);
    next_interval();
    int64_t at = now;
    while (lb.at[0].ejected)
        next_interval();
    assert_int_equal(now - at, 50 * S);
}

static void ejected_ones_get_no_calls(void **state)
{
    (void)state;
    od->failure_percentage = (tern__lb_ejection){ true, 85, 100, 1, 1 };
    od->max_ejection_percent = 100;
    start(2);
    calls(0, 0, 10);
    next_interval();
    for (int k = 0; k < 20; k++)
        assert_int_equal(lbkit_pick(now), 1);
    tern__balancer_report(&lb, 0, TERN__LB_IDLE, now); /* looked after, though it is not used */
    assert_true(tern__balancer_wants(&lb, 0));
    tern__balancer_report(&lb, 0, TERN__LB_READY, now);
    assert_int_equal(lbkit_pick(now), 1);
    tern__balancer_report(&lb, 1, TERN__LB_TRANSIENT_FAILURE, now);
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_TRANSIENT_FAILURE);
    while (lb.at[0].ejected)
        next_interval();
    assert_int_equal(lbkit_pick(now), 0);
}

static void no_algorithm_no_timer(void **state)
{
    (void)state;
    lbkit_start(&config, 3, TERN__LB_READY);
    assert_true(tern__balancer_tick(&lb, 0) == TERN__TIME_NEVER);
    calls(0, 0, 1000);
    assert_int_equal(lb.at[0].record.failures, 0);
    assert_true(tern__balancer_tick(&lb, 100 * S) == TERN__TIME_NEVER);
    assert_int_equal(n_ejected(), 0);
}

static void an_interval_of_nothing_is_none(void **state)
{
    (void)state;
    od->interval = 0;
    od->success_rate.enabled = true;
    lbkit_start(&config, 3, TERN__LB_READY);
    assert_int_equal(tern__balancer_tick(&lb, 0), 100 * MS);
    assert_int_equal(tern__balancer_tick(&lb, 50 * MS), 100 * MS);
    assert_int_equal(tern__balancer_tick(&lb, 130 * MS), 230 * MS);
}

/* A new list keeps counts and ejections of those that stay, and forgets those that go. */
static void updates_keep_records(void **state)
{
    (void)state;
    od->failure_percentage = (tern__lb_ejection){ true, 85, 100, 1, 1 };
    start(4);
    calls(3, 0, 10);
    next_interval();
    calls(2, 3, 4);
    lbkit_update(2, 4); /* 2, 3, and two new ones */
    assert_int_equal(lb.at[0].record.failures, 4);
    assert_true(lb.at[1].ejected);
    assert_int_equal(lb.at[2].record.failures, 0);
    lbkit_update(0, 2);
    lbkit_update(2, 2);
    assert_false(lb.at[1].ejected);
    assert_int_equal(lb.at[0].record.failures, 0);
    assert_int_equal(lb.at[1].record.multiplier, 0);
}

/* In a subset, those outside of it are no servers: neither for the share nor as outliers, though
 * calls that they had may end. */
static void in_a_subset(void **state)
{
    (void)state;
    const tern__lb_config subset = { .kind = TERN__LB_RANDOM_SUBSETTING,
                                     .random_subsetting = { 4, &config } };
    od->failure_percentage = (tern__lb_ejection){ true, 85, 100, 1, 1 };
    od->max_ejection_percent = 50;
    now = 0;
    lbkit_start(&subset, 20, TERN__LB_READY);
    assert_int_equal(tern__balancer_tick(&lb, now), 10 * S);
    for (uint32_t i = 0; i < 20; i++)
        calls(i, 0, 10);
    next_interval();
    assert_int_equal(n_ejected(), 2);
    assert_int_equal(lb.n_ready, 2);
    /* One that was ejected and has left the subset leaves its place to another. */
    for (uint32_t i = 0; i < 20; i++)
        lb.at[i].left_out ^= lb.at[i].ejected;
    for (uint32_t i = 0; i < 20; i++)
        calls(i, 0, 10);
    next_interval();
    assert_int_equal(n_ejected(), 3); /* of two in the subset one more */
}

/* Whatever the answers: at a look no more are ejected than before, or up to the share; and once
 * all is well everybody is back. */
static void random_histories(void **state)
{
    (void)state;
    tern__rng rng;
    for (uint64_t seed = 0; seed < 60; seed++) {
        tern__rng_seed(&rng, seed);
        uint32_t n = 1 + tern__rng_below(&rng, 30), percent = tern__rng_below(&rng, 101);
        od->max_ejection_percent = percent;
        od->success_rate = (tern__lb_ejection){ seed % 3 != 0, 1000, 80, 3, 10 };
        od->failure_percentage = (tern__lb_ejection){ seed % 3 != 1, 40, 80, 3, 10 };
        start(n);
        for (int round = 0; round < 60; round++) {
            for (uint32_t i = 0; i < n; i++)
                calls(i, tern__rng_below(&rng, 30), round < 40 ? tern__rng_below(&rng, 30) : 0);
            uint32_t before = n_ejected(), most = (n * percent + 99) / 100;
            next_interval();
            assert_true(n_ejected() <= (before > most ? before : most));
            assert_int_equal(lb.n_ready, n - n_ejected());
        }
        for (int round = 0; round < 40; round++)
            next_interval();
        assert_int_equal(n_ejected(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_success_rate, begin, end),
        cmocka_unit_test_setup_teardown(minimums_of_success_rate, begin, end),
        cmocka_unit_test_setup_teardown(by_failure_percentage, begin, end),
        cmocka_unit_test_setup_teardown(at_most_so_many, begin, end),
        cmocka_unit_test_setup_teardown(enforcement, begin, end),
        cmocka_unit_test_setup_teardown(codes, begin, end),
        cmocka_unit_test_setup_teardown(ejections_last_longer_each_time, begin, end),
        cmocka_unit_test_setup_teardown(the_base_goes_before_the_maximum, begin, end),
        cmocka_unit_test_setup_teardown(ejected_ones_get_no_calls, begin, end),
        cmocka_unit_test_setup_teardown(no_algorithm_no_timer, begin, end),
        cmocka_unit_test_setup_teardown(an_interval_of_nothing_is_none, begin, end),
        cmocka_unit_test_setup_teardown(updates_keep_records, begin, end),
        cmocka_unit_test_setup_teardown(in_a_subset, begin, end),
        cmocka_unit_test_setup_teardown(random_histories, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
