/* Backoff: the arithmetic of gRFC A6 and connection-backoff.md, its jitter, its caps, odd
 * arguments. */
#include "policy/backoff.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/time.h"

#define MS TERN__NS_PER_MS

static tern__rng seeded(uint64_t seed)
{
    tern__rng rng;
    tern__rng_seed(&rng, seed);
    return rng;
}

/* gRFC A6's example: initialBackoff 0.1 s, maxBackoff 1 s, backoffMultiplier 2. */
static void grows_to_the_cap(void **state)
{
    (void)state;
    const int64_t expected[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
    tern__rng rng = seeded(1);
    tern__backoff b;
    tern__backoff_init(&b, 100 * MS, 1000 * MS, 2, 0);
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
        assert_int_equal(tern__backoff_next(&b, &rng), expected[i] * MS);
    tern__backoff_reset(&b);
    assert_int_equal(tern__backoff_next(&b, &rng), 100 * MS);
    assert_int_equal(tern__backoff_next(&b, &rng), 200 * MS);
}

/* connection-backoff.md: 1 s, x1.6, +-20 %, 120 s. Each pause lies within the jitter of its base,
 * and over many draws both ends of the range are met. */
static void jitter_spreads(void **state)
{
    (void)state;
    tern__rng rng = seeded(2);
    for (uint32_t n = 0; n < 14; n++) {
        double base = 1e9;
        for (uint32_t i = 0; i < n; i++)
            base *= 1.6;
        if (base > 120e9)
            base = 120e9;
        double low = 1e18, high = 0;
        for (int draw = 0; draw < 2000; draw++) {
            tern__backoff b;
            tern__backoff_init(&b, 1000 * MS, 120000 * MS, 1.6, 0.2);
            b.n = n;
            double pause = (double)tern__backoff_next(&b, &rng);
            assert_int_equal(b.n, n + 1);
            low = pause < low ? pause : low;
            high = pause > high ? pause : high;
        }
        assert_true(low >= base * 0.8 - 1 && low < base * 0.82);
        assert_true(high <= base * 1.2 + 1 && high > base * 1.18);
    }
}

static void same_seed_same_pauses(void **state)
{
    (void)state;
    tern__rng rng1 = seeded(3), rng2 = seeded(3);
    tern__backoff b1, b2;
    tern__backoff_init(&b1, MS, 1000 * MS, 2, 0.5);
    tern__backoff_init(&b2, MS, 1000 * MS, 2, 0.5);
    for (int i = 0; i < 100; i++)
        assert_int_equal(tern__backoff_next(&b1, &rng1), tern__backoff_next(&b2, &rng2));
}

/* Very many pauses overflow neither the counter nor the power. */
static void large_counts(void **state)
{
    (void)state;
    tern__rng rng = seeded(4);
    tern__backoff b;
    tern__backoff_init(&b, MS, 500 * MS, 2, 0);
    b.n = UINT32_MAX - 1;
    assert_int_equal(tern__backoff_next(&b, &rng), 500 * MS);
    assert_int_equal(tern__backoff_next(&b, &rng), 500 * MS);
    assert_int_equal(b.n, UINT32_MAX);
    tern__backoff_init(&b, MS, 500 * MS, 1, 0); /* no growth at all */
    b.n = UINT32_MAX;
    assert_int_equal(tern__backoff_next(&b, &rng), MS);
}

static void odd_arguments(void **state)
{
    (void)state;
    tern__rng rng = seeded(5);
    tern__backoff b;
    tern__backoff_init(&b, 0, 1000 * MS, 2, 0.2);
    b.n = 5000; /* 0 x 2^5000 is 0, not no number */
    assert_int_equal(tern__backoff_next(&b, &rng), 0);
    tern__backoff_init(&b, -5, -5, 2, 0.2);
    assert_int_equal(tern__backoff_next(&b, &rng), 0);
    tern__backoff_init(&b, 500 * MS, 100 * MS, 2, 0); /* initial above max */
    assert_int_equal(tern__backoff_next(&b, &rng), 100 * MS);
    tern__backoff_init(&b, 100 * MS, 1000 * MS, 0.5, 0); /* A6: above 0, not above 1 */
    (void)tern__backoff_next(&b, &rng);
    assert_int_equal(tern__backoff_next(&b, &rng), 50 * MS);
    b.n = 5000;
    assert_int_equal(tern__backoff_next(&b, &rng), 0);
    tern__backoff_init(&b, 1, 1000 * MS, 1e300, 0);
    (void)tern__backoff_next(&b, &rng);
    assert_int_equal(tern__backoff_next(&b, &rng), 1000 * MS);
    tern__backoff_init(&b, 100 * MS, 1000 * MS, -2, 0);
    (void)tern__backoff_next(&b, &rng);
    assert_int_equal(tern__backoff_next(&b, &rng), 100 * MS);
    tern__backoff_init(&b, 100 * MS, 1000 * MS, (double)NAN, -1);
    (void)tern__backoff_next(&b, &rng);
    assert_int_equal(tern__backoff_next(&b, &rng), 100 * MS);
    tern__backoff_init(&b, 100 * MS, 100 * MS, 2, 7); /* jitter above 1 becomes 1 */
    for (int i = 0; i < 1000; i++) {
        int64_t pause = tern__backoff_next(&b, &rng);
        assert_true(pause >= 0 && pause <= 200 * MS);
    }
    tern__backoff_init(&b, INT64_MAX, INT64_MAX, 2, 0.2);
    for (int i = 0; i < 1000; i++)
        assert_true(tern__backoff_next(&b, &rng) > INT64_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_the_cap),      cmocka_unit_test(jitter_spreads),
        cmocka_unit_test(same_seed_same_pauses), cmocka_unit_test(large_counts),
        cmocka_unit_test(odd_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
