/* Retry throttle: gRFC A6's bucket, threshold and decimals, and its bounds in any history. */
#include "policy/throttle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"

static void set_milli(tern__throttle *t, int32_t milli)
{
    atomic_store(&t->word, tern__throttle_word(tern__throttle_max_milli(t),
                                               tern__throttle_ratio_milli(t), milli));
}

/* A6's example: maxTokens 10, tokenRatio 0.1. It starts full, five failures reach the half, and at
 * the half nothing is repeated. One success lifts it above. */
static void the_example_of_a6(void **state)
{
    (void)state;
    tern__throttle t;
    tern__throttle_init(&t, 10, 0.1);
    for (int i = 0; i < 4; i++) {
        tern__throttle_failure(&t);
        assert_true(tern__throttle_allows_retry(&t));
    }
    tern__throttle_failure(&t);
    assert_int_equal(tern__throttle_milli(&t), 5000);
    assert_false(tern__throttle_allows_retry(&t));
    tern__throttle_success(&t);
    assert_true(tern__throttle_allows_retry(&t));
    tern__throttle_failure(&t);
    for (int i = 0; i < 9; i++) {
        assert_false(tern__throttle_allows_retry(&t));
        tern__throttle_success(&t);
    }
    assert_int_equal(tern__throttle_milli(&t), 5000); /* exactly: ten times 0.1 is 1 */
    assert_false(tern__throttle_allows_retry(&t));
}

static void neither_below_empty_nor_above_full(void **state)
{
    (void)state;
    tern__throttle t;
    tern__throttle_init(&t, 3, 0.5);
    for (int i = 0; i < 100; i++)
        tern__throttle_failure(&t);
    assert_int_equal(tern__throttle_milli(&t), 0);
    for (int i = 0; i < 100; i++)
        tern__throttle_success(&t);
    assert_int_equal(tern__throttle_milli(&t), 3000);
}

static void three_decimals_and_range(void **state)
{
    (void)state;
    static const struct {
        double tokens, ratio;
        int32_t max_milli, ratio_milli;
    } rows[] = {
        { 10, 0.1, 10000, 100 },
        { 10, 0.1239, 10000, 123 }, /* cut, not rounded (A6) */
        { 10, 0.29, 10000, 290 },   /* 0.29 x 1000 is a little less than 290 in binary */
        { 0.5, 0.057, 500, 57 },
        { 1000, 1, 1000000, 1000 },
        { 1000.5, 1.5, 1000000, 1500 }, /* capped; a ratio above 1 is none of A6's faults */
        { 1000, 1e6, 1000000, 1000000 },
        { 10, 0.5466, 10000, 546 }, /* A6's own */
        { 0.0004, 0.0004, 1, 1 },
        { 0, 0, 1, 1 },
        { -1, -1, 1, 1 },
        { (double)INFINITY, (double)INFINITY, 1000000, 1000000 },
        { (double)NAN, (double)NAN, 1, 1 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tern__throttle t;
        tern__throttle_init(&t, rows[i].tokens, rows[i].ratio);
        assert_int_equal(tern__throttle_max_milli(&t), rows[i].max_milli);
        assert_int_equal(tern__throttle_ratio_milli(&t), rows[i].ratio_milli);
        assert_int_equal(tern__throttle_milli(&t), tern__throttle_max_milli(&t));
        assert_true(tern__throttle_allows_retry(&t));
    }
}

/* The half of an odd maximum is not rounded. */
static void threshold_of_an_odd_maximum(void **state)
{
    (void)state;
    tern__throttle t;
    tern__throttle_init(&t, 2.001, 0.001);
    tern__throttle_failure(&t); /* 1.001 of 2.001: above the half */
    assert_true(tern__throttle_allows_retry(&t));
    set_milli(&t, 1000); /* 1.000 of 2.001: below it */
    assert_false(tern__throttle_allows_retry(&t));
}

/* Any history: within bounds, and equal to the arithmetic of A6 done in exact rationals. */
static void random_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5000; seed++) {
        tern__rng rng;
        tern__rng_seed(&rng, seed);
        tern__throttle t;
        int64_t max = 1 + tern__rng_below(&rng, 1000000);
        int64_t ratio = 1 + tern__rng_below(&rng, 1000);
        tern__throttle_init(&t, (double)max / 1000, (double)ratio / 1000);
        int64_t model = max;
        for (int step = 0; step < 100; step++) {
            if (tern__rng_below(&rng, 3)) {
                tern__throttle_failure(&t);
                model = model > 1000 ? model - 1000 : 0;
            } else {
                tern__throttle_success(&t);
                model = model + ratio < max ? model + ratio : max;
            }
            bool right = tern__throttle_milli(&t) == model && model >= 0 && model <= max &&
                         tern__throttle_allows_retry(&t) == (model * 2 > max);
            if (!right)
                fail_msg("seed %llu, step %d", (unsigned long long)seed, step);
        }
    }
}

/* Other parameters leave it as full as it is; those it has leave it alone. */
static void parameters_change(void **state)
{
    (void)state;
    static const struct {
        double to_max, to_ratio;
        int32_t max, ratio, milli; /* after */
    } rows[] = {
        { 10, 0.5, 10000, 500, 4000 },   /* the ratio only */
        { 20, 0.1, 20000, 100, 8000 },   /* throttled stays throttled */
        { 1000, 1, 1000000, 1000, 400000 },
        { 5, 0.1, 5000, 100, 2000 },
        { 0.001, 0.1, 1, 100, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tern__throttle t;
        tern__throttle_init(&t, 10, 0.1);
        set_milli(&t, 4000);
        tern__throttle_configure(&t, 10, 0.1);
        assert_int_equal(tern__throttle_milli(&t), 4000);
        tern__throttle_configure(&t, rows[i].to_max, rows[i].to_ratio);
        assert_int_equal(tern__throttle_max_milli(&t), rows[i].max);
        assert_int_equal(tern__throttle_ratio_milli(&t), rows[i].ratio);
        assert_int_equal(tern__throttle_milli(&t), rows[i].milli);
        assert_false(tern__throttle_allows_retry(&t));
    }
    tern__throttle full;
    tern__throttle_init(&full, 3, 0.1);
    tern__throttle_configure(&full, 7, 0.1);
    assert_int_equal(tern__throttle_milli(&full), 7000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_a6),
        cmocka_unit_test(neither_below_empty_nor_above_full),
        cmocka_unit_test(three_decimals_and_range),
        cmocka_unit_test(threshold_of_an_odd_maximum),
        cmocka_unit_test(parameters_change),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
