/* The generator: the published sequence, ranges, and an even distribution. */
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_known_sequence(void **state)
{
    (void)state;
    /* xoshiro256** from the state {1, 2, 3, 4}: the first outputs of the authors' reference code.
     */
    tern__rng r = {{1, 2, 3, 4}};
    assert_true(tern__rng_next(&r) == UINT64_C(11520));
    assert_true(tern__rng_next(&r) == UINT64_C(0));
    assert_true(tern__rng_next(&r) == UINT64_C(1509978240));
    assert_true(tern__rng_next(&r) == UINT64_C(1215971899390074240));
    /* splitmix64 from 0 begins with this number (same source). */
    tern__rng_seed(&r, 0);
    assert_true(r.s[0] == UINT64_C(0xE220A8397B1DCDAF));
}

static void test_seed_decides(void **state)
{
    (void)state;
    tern__rng a, b, c;
    tern__rng_seed(&a, 42);
    tern__rng_seed(&b, 42);
    tern__rng_seed(&c, 43);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = tern__rng_next(&a);
        assert_true(x == tern__rng_next(&b));
        same += x == tern__rng_next(&c);
    }
    assert_int_equal(same, 0);
}

static void test_uniform(void **state)
{
    (void)state;
    tern__rng r;
    tern__rng_seed(&r, 5);
    double sum = 0, least = 10, most = -10;
    enum { N = 100000 };
    for (int i = 0; i < N; i++) {
        double x = tern__rng_uniform(&r, -2, 6);
        assert_true(x >= -2 && x < 6);
        sum += x;
        least = x < least ? x : least;
        most = x > most ? x : most;
    }
    assert_true(sum / N > 1.95 && sum / N < 2.05);
    assert_true(least < -1.99 && most > 5.99);
    assert_true(tern__rng_uniform(&r, 3, 3) == 3);
    for (int i = 0; i < 1000; i++) {
        /* A range with no number in between: rounding must not reach its end. */
        assert_true(tern__rng_uniform(&r, 1, 1 + 0x1p-52) == 1);
    }
}

static void test_below(void **state)
{
    (void)state;
    tern__rng r;
    tern__rng_seed(&r, 6);
    assert_int_equal(tern__rng_below(&r, 0), 0);
    assert_int_equal(tern__rng_below(&r, 1), 0);
    int count[10] = {0};
    for (int i = 0; i < 100000; i++)
        count[tern__rng_below(&r, 10)]++;
    for (int i = 0; i < 10; i++)
        assert_in_range(count[i], 9500, 10500);
    /* Without refusing some numbers, a modulus of 3 * 2^30 would make a third of them twice as
     * likely. */
    const uint32_t n = UINT32_C(3) << 30;
    int third[3] = {0};
    for (int i = 0; i < 30000; i++) {
        uint32_t x = tern__rng_below(&r, n);
        assert_true(x < n);
        third[x % 3]++;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(third[i], 9600, 10400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_sequence),
        cmocka_unit_test(test_seed_decides),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
