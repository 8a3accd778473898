/* Peak-EWMA: the arithmetic, how fast a slow server loses its calls, and that it is tried again. */
#include "support/lbkit.h"

#include "policy/peak_ewma.h"

static const tern__lb_config config = {
    .kind = TERN__LB_PEAK_EWMA,
    .peak_ewma = { .decay = 10 * S, .default_latency = 1 * S },
};

static int begin(void **state)
{
    (void)state;
    lbkit_start(&config, 2, TERN__LB_READY);
    return 0;
}

static int end(void **state)
{
    (void)state;
    lbkit_end();
    return 0;
}

static void is_about(double got, double wanted)
{
    double off = got > wanted ? got - wanted : wanted - got;
    if (off > 1e-6 * wanted + 1e-9)
        fail_msg("%.12f, not %.12f", got, wanted);
}

static void decay_is_exponential(void **state)
{
    (void)state;
    is_about(tern__lb_decay(0, 10), 1);
    is_about(tern__lb_decay(-5, 10), 1);
    is_about(tern__lb_decay(1, 1000), 0.9990004998333750);
    is_about(tern__lb_decay(5, 10), 0.6065306597126334);
    is_about(tern__lb_decay(10, 10), 0.3678794411714423);
    is_about(tern__lb_decay(100, 10), 4.539992976248485e-5);
    is_about(tern__lb_decay(INT64_MAX, 1), 0);
    double last = 1;
    for (int64_t t = 1; t < 2000; t++) {
        double y = tern__lb_decay(t, 100);
        assert_true(y < last);
        last = y;
    }
}

/* A peak at once, less by and by: after one period 1 - 1/e of the way. */
static void peaks_count_at_once(void **state)
{
    (void)state;
    lb.at[0].in_flight = 4;
    lbkit_ended(0, 0, 10 * MS, TERN_OK);
    is_about(lb.at[0].own.peak_ewma.latency, 10e6);
    lbkit_ended(0, 1 * S, 100 * MS, TERN_OK);
    is_about(lb.at[0].own.peak_ewma.latency, 100e6);
    lbkit_ended(0, 11 * S, 10 * MS, TERN_OK);
    is_about(lb.at[0].own.peak_ewma.latency,
             100e6 * 0.3678794411714423 + 10e6 * 0.6321205588285577);
    /* What has fallen meanwhile is exceeded by a latency below the last. */
    lbkit_ended(0, 41 * S, 20 * MS, TERN_OK);
    is_about(lb.at[0].own.peak_ewma.latency, 20e6);
}

static void not_every_end_says_something(void **state)
{
    (void)state;
    lb.at[0].in_flight = 6;
    lbkit_ended(0, 0, TERN__TIME_NEVER, TERN_OK);
    assert_false(lb.at[0].own.peak_ewma.known);
    lbkit_ended(0, 0, 5 * MS, TERN_CANCELLED);
    assert_false(lb.at[0].own.peak_ewma.known);
    lbkit_ended(0, 0, 5 * MS, TERN_NOT_FOUND); /* an answer as good as any */
    is_about(lb.at[0].own.peak_ewma.latency, 5e6);
    lbkit_ended(0, 0, 2 * MS, TERN_CANCELLED);
    is_about(lb.at[0].own.peak_ewma.latency, 5e6);
    lbkit_ended(0, 0, 7 * MS, TERN_CANCELLED); /* it would have taken longer */
    is_about(lb.at[0].own.peak_ewma.latency, 7e6);
    lbkit_ended(0, 0, 1 * MS, TERN_UNAVAILABLE); /* quick to say so, but not well */
    is_about(lb.at[0].own.peak_ewma.latency, 1e9);
}

/* One that has not answered yet gets one call, and costs the default until that is answered. */
static void a_new_one_is_tried(void **state)
{
    (void)state;
    lb.at[0].in_flight = 1;
    lbkit_ended(0, 0, 1 * MS, TERN_OK);
    assert_int_equal(lbkit_pick(0), 1);
    for (int k = 0; k < 50; k++)
        assert_int_equal(lbkit_pick(0), 0);
    lbkit_ended(1, 0, 1 * MS, TERN_OK);
    for (int k = 0; k < 50; k++)
        assert_int_equal(lbkit_pick(0), 1); /* it has fewer calls now */
    tern__balancer_report(&lb, 1, TERN__LB_IDLE, 0);
    tern__balancer_report(&lb, 1, TERN__LB_READY, 0);
    assert_false(lb.at[1].own.peak_ewma.known);
}

/* Loses its calls with the first slow answer; is tried again after decay x ln(10) = 23.0 s. */
static void a_slow_one_is_tried_again(void **state)
{
    (void)state;
    lb.at[0].in_flight = lb.at[1].in_flight = 1;
    lbkit_ended(0, 0, 100 * MS, TERN_OK);
    lbkit_ended(1, 0, 10 * MS, TERN_OK);
    int64_t now = 0;
    uint32_t i;
    while ((i = lbkit_pick(now)) == 1) {
        now += 10 * MS;
        lbkit_ended(1, now, 10 * MS, TERN_OK);
    }
    assert_in_range(now, 23 * S, 24 * S);
    lbkit_ended(0, now + 100 * MS, 100 * MS, TERN_OK);
    for (int k = 0; k < 100; k++, now += 10 * MS) {
        assert_int_equal(lbkit_pick(now), 1);
        lbkit_ended(1, now, 10 * MS, TERN_OK);
    }
}

/* Ten servers, one of them ten times slower, 1,000 calls a second for 100 s: what becomes of
 * p99. */
static void one_slow_of_ten(void **state)
{
    (void)state;
    enum { N = 10, CALLS = 100000 };
    static struct {
        uint32_t i;
        int64_t end;
    } out[CALLS];
    uint32_t first = 0, slow = 0, taken[N] = { 0 };
    lbkit_start(&config, N, TERN__LB_READY);
    for (uint32_t k = 0; k < CALLS; k++) {
        int64_t now = (int64_t)k * MS;
        for (uint32_t c = first; c < k; c++) {
            if (out[c].end && out[c].end <= now) {
                int64_t latency = out[c].i == 3 ? 100 * MS : 10 * MS;
                lbkit_ended(out[c].i, out[c].end, latency, TERN_OK);
                out[c].end = 0;
            }
            first += c == first && out[c].end == 0;
        }
        out[k].i = lbkit_pick(now);
        out[k].end = now + (out[k].i == 3 ? 100 * MS : 10 * MS);
        slow += out[k].i == 3;
        taken[out[k].i]++;
    }
    assert_in_range(slow, 1, CALLS / 500); /* 0.2 %: p99 is that of the fast ones */
    for (uint32_t i = 0; i < N; i++)
        if (i != 3)
            assert_in_range(taken[i], CALLS / 9 - 1500, CALLS / 9 + 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decay_is_exponential),
        cmocka_unit_test_setup_teardown(peaks_count_at_once, begin, end),
        cmocka_unit_test_setup_teardown(not_every_end_says_something, begin, end),
        cmocka_unit_test_setup_teardown(a_new_one_is_tried, begin, end),
        cmocka_unit_test_setup_teardown(a_slow_one_is_tried_again, begin, end),
        cmocka_unit_test_setup_teardown(one_slow_of_ten, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
