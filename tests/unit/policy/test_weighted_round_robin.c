/* weighted_round_robin: A58's weights and when they hold, and that turns follow them. */
#include "support/lbkit.h"

#include <math.h>

static tern__lb_config config;

static int begin(void **state)
{
    (void)state;
    config = (tern__lb_config){
        .kind = TERN__LB_WEIGHTED_ROUND_ROBIN,
        .weighted_round_robin = { .blackout_period = 10 * S,
                                  .weight_expiration_period = 180 * S,
                                  .weight_update_period = 1 * S,
                                  .error_utilization_penalty = 1 },
    };
    lbkit_start(&config, 3, TERN__LB_READY);
    return 0;
}

static int end(void **state)
{
    (void)state;
    lbkit_end();
    return 0;
}

static tern__lb_outcome load(int64_t now, double qps, double eps, double utilization)
{
    return (tern__lb_outcome){ .now = now,
                               .latency = MS,
                               .answered = true,
                               .has_load = true,
                               .qps = qps,
                               .eps = eps,
                               .utilization = utilization };
}

/* A call to endpoint i ends with a report. */
static void report(uint32_t i, int64_t now, double qps, double utilization)
{
    const tern__lb_outcome o = load(now, qps, 0, utilization);
    lb.at[i].in_flight++;
    tern__balancer_ended(&lb, i, &o);
}

static void turns(int64_t now, unsigned n, unsigned ret[static 3])
{
    memset(ret, 0, 3 * sizeof ret[0]);
    for (unsigned k = 0; k < n; k++)
        ret[lbkit_pick(now)]++;
}

static void all_alike(int64_t now)
{
    unsigned taken[3];
    turns(now, 300, taken);
    for (int i = 0; i < 3; i++)
        assert_int_equal(taken[i], 100);
}

static void turns_follow_weights(void **state)
{
    (void)state;
    unsigned taken[3];
    for (int64_t t = 0; t <= 10; t++) {
        report(0, t * S, 100, 1.0);
        report(1, t * S, 100, 0.5);
        report(2, t * S, 100, 0.25);
    }
    all_alike(9 * S); /* still the blackout */
    turns(11 * S, 7000, taken);
    assert_in_range(taken[0], 999, 1001);
    assert_in_range(taken[1], 1999, 2001);
    assert_in_range(taken[2], 3999, 4001);
}

/* The heaviest never waits for more than two others, and turns are spread: no server is taken more
 * than twice its fair part in any run of 35. */
static void turns_are_smooth(void **state)
{
    (void)state;
    uint32_t window[35] = { 0 }, in_window[3] = { 0 };
    for (int64_t t = 0; t <= 10; t++) {
        report(0, t * S, 100, 1.0);
        report(1, t * S, 100, 0.5);
        report(2, t * S, 100, 0.25);
    }
    for (unsigned k = 0; k < 3500; k++) {
        uint32_t i = lbkit_pick(11 * S), *slot = &window[k % 35];
        if (k >= 35)
            in_window[*slot]--;
        in_window[ *slot = i]++;
        if (k >= 35) {
            assert_in_range(in_window[0], 4, 6);
            assert_in_range(in_window[1], 9, 11);
            assert_in_range(in_window[2], 18, 22);
        }
    }
}

/* A58: a server without a weight gets the mean; fewer than two with one: all are alike. */
static void without_weights(void **state)
{
    (void)state;
    unsigned taken[3];
    all_alike(0);
    for (int64_t t = 0; t <= 10; t++)
        report(0, t * S, 100, 0.1);
    all_alike(11 * S);
    for (int64_t t = 0; t <= 10; t++)
        report(1, t * S, 100, 0.05);
    turns(12 * S, 4500, taken);
    assert_in_range(taken[0], 999, 1001);
    assert_in_range(taken[1], 1999, 2001);
    assert_in_range(taken[2], 1499, 1501);
}

/* The shares are looked at anew each update period, not before. */
static void weights_are_looked_at_in_time(void **state)
{
    (void)state;
    unsigned taken[3];
    config.weighted_round_robin.blackout_period = 0;
    lbkit_start(&config, 3, TERN__LB_READY);
    all_alike(0);
    report(0, 1, 100, 0.5);
    report(1, 1, 100, 0.25);
    report(2, 1, 100, 0.25);
    all_alike(999 * MS);
    turns(1 * S, 500, taken);
    assert_in_range(taken[0], 99, 101);
    assert_in_range(taken[1], 199, 201);
}

static void weights_expire(void **state)
{
    (void)state;
    unsigned taken[3];
    for (int64_t t = 0; t <= 10; t++)
        for (uint32_t i = 0; i < 3; i++)
            report(i, t * S, 100, i == 0 ? 1.0 : 0.5);
    turns(189 * S, 500, taken);
    assert_in_range(taken[0], 99, 101);
    all_alike(190 * S); /* 180 s after the last report */
    /* Fresh reports: the blackout begins anew. */
    for (int64_t t = 200; t < 210; t++)
        for (uint32_t i = 0; i < 3; i++)
            report(i, t * S, 100, i == 0 ? 1.0 : 0.5);
    all_alike(209 * S);
    turns(210 * S, 500, taken);
    assert_in_range(taken[0], 99, 101);
}

static void blackout_after_a_reconnect(void **state)
{
    (void)state;
    unsigned taken[3];
    for (int64_t t = 0; t <= 10; t++)
        for (uint32_t i = 0; i < 3; i++)
            report(i, t * S, 100, i == 0 ? 1.0 : 0.5);
    tern__balancer_report(&lb, 0, TERN__LB_IDLE, 11 * S);
    tern__balancer_report(&lb, 0, TERN__LB_READY, 12 * S);
    all_alike(12 * S); /* the mean of the others, which are alike */
    report(0, 12 * S, 100, 1.0);
    all_alike(21 * S);
    turns(22 * S, 500, taken);
    assert_in_range(taken[0], 99, 101);
}

static void errors_cost(void **state)
{
    (void)state;
    tern__lb_outcome o = load(0, 100, 50, 0.5);
    lb.at[0].in_flight = 3;
    tern__balancer_ended(&lb, 0, &o);
    assert_true(fabs(lb.at[0].own.weighted_round_robin.weight - 100) <
                1e-9); /* 100 / (0.5 + 0.5) */
    config.weighted_round_robin.error_utilization_penalty = 0;
    lbkit_start(&config, 3, TERN__LB_READY);
    lb.at[0].in_flight = 1;
    tern__balancer_ended(&lb, 0, &o);
    assert_true(fabs(lb.at[0].own.weighted_round_robin.weight - 200) < 1e-9);
}

/* What a server reports can be anything. */
static void nonsense_is_not_taken(void **state)
{
    (void)state;
    const double bad[] = { 0, -1, NAN, INFINITY, -INFINITY, 1e308 };
    for (size_t q = 0; q < 6; q++) {
        for (size_t u = 0; u < 6; u++) {
            for (size_t e = 0; e < 6; e++) {
                tern__lb_outcome o = load(0, bad[q], bad[e], bad[u]);
                lb.at[0].in_flight++;
                tern__balancer_ended(&lb, 0, &o);
                double w = lb.at[0].own.weighted_round_robin.weight;
                assert_true(w >= 0 && w <= 1e12);
            }
        }
    }
    assert_true(lb.at[0].own.weighted_round_robin.weight <= 1);
    tern__lb_outcome none = load(0, 100, 0, 0);
    lb.at[1].in_flight = 2;
    tern__balancer_ended(&lb, 1, &none);
    none = load(0, 100, 0, 0.5);
    none.has_load = false;
    tern__balancer_ended(&lb, 1, &none);
    assert_true(lb.at[1].own.weighted_round_robin.weight == 0);
}

/* With reports outside of calls, those of calls are not looked at, and the other way round. */
static void one_kind_of_report_counts(void **state)
{
    (void)state;
    tern__lb_outcome o = load(0, 100, 0, 0.5);
    tern__balancer_loaded(&lb, 0, &o);
    assert_true(lb.at[0].own.weighted_round_robin.weight == 0);
    config.weighted_round_robin.enable_oob_load_report = true;
    lbkit_start(&config, 3, TERN__LB_READY);
    report(0, 0, 100, 0.5);
    assert_true(lb.at[0].own.weighted_round_robin.weight == 0);
    tern__balancer_loaded(&lb, 0, &o);
    assert_true(fabs(lb.at[0].own.weighted_round_robin.weight - 200) < 1e-9);
}

/* Whatever the weights, a server gets at least a tenth of the mean's turns. */
static void nobody_starves(void **state)
{
    (void)state;
    unsigned taken[3];
    for (int64_t t = 0; t <= 10; t++) {
        report(0, t * S, 1, 1.0);
        report(1, t * S, 1000000, 0.5);
        report(2, t * S, 1000000, 0.5);
    }
    turns(11 * S, 31000, taken);
    assert_in_range(taken[0], 990, 1050);
}

/* And none counts for more than ten times the mean: one of a million among thirty gets as many
 * turns as a hundred of the others, which are held at a tenth of it. */
static void nobody_takes_all(void **state)
{
    (void)state;
    unsigned taken[30] = { 0 };
    lbkit_start(&config, 30, TERN__LB_READY);
    for (int64_t t = 0; t <= 10; t++)
        for (uint32_t i = 0; i < 30; i++)
            report(i, t * S, i == 4 ? 1000000 : 1, 1.0);
    for (unsigned k = 0; k < 12900; k++)
        taken[lbkit_pick(11 * S)]++;
    assert_in_range(taken[4], 9900, 10100);
    assert_in_range(taken[5], 99, 101);
}

/* The mean is that of the servers on the list. */
static void the_mean_follows_the_list(void **state)
{
    (void)state;
    unsigned taken[3];
    lbkit_start(&config, 4, TERN__LB_READY);
    for (int64_t t = 0; t <= 10; t++)
        for (uint32_t i = 0; i < 3; i++)
            report(i, t * S, 300 - 100 * i, 1.0);
    (void)lbkit_pick(11 * S);
    lbkit_update(1, 3); /* 200, 100, none: 150 */
    turns(11 * S, 4500, taken);
    assert_in_range(taken[0], 1999, 2001);
    assert_in_range(taken[1], 999, 1001);
    assert_in_range(taken[2], 1499, 1501);
}

/* A new list keeps the weights of those that stay. */
static void updates_keep_weights(void **state)
{
    (void)state;
    unsigned taken[3];
    for (int64_t t = 0; t <= 10; t++) {
        report(1, t * S, 100, 1.0);
        report(2, t * S, 100, 0.5);
    }
    lbkit_update(1, 2); /* the former 1 and 2 are 0 and 1 now */
    turns(11 * S, 3000, taken);
    assert_in_range(taken[0], 999, 1001);
    assert_in_range(taken[1], 1999, 2001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(turns_follow_weights, begin, end),
        cmocka_unit_test_setup_teardown(turns_are_smooth, begin, end),
        cmocka_unit_test_setup_teardown(without_weights, begin, end),
        cmocka_unit_test_setup_teardown(weights_are_looked_at_in_time, begin, end),
        cmocka_unit_test_setup_teardown(weights_expire, begin, end),
        cmocka_unit_test_setup_teardown(blackout_after_a_reconnect, begin, end),
        cmocka_unit_test_setup_teardown(errors_cost, begin, end),
        cmocka_unit_test_setup_teardown(nonsense_is_not_taken, begin, end),
        cmocka_unit_test_setup_teardown(one_kind_of_report_counts, begin, end),
        cmocka_unit_test_setup_teardown(nobody_starves, begin, end),
        cmocka_unit_test_setup_teardown(nobody_takes_all, begin, end),
        cmocka_unit_test_setup_teardown(the_mean_follows_the_list, begin, end),
        cmocka_unit_test_setup_teardown(updates_keep_weights, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
