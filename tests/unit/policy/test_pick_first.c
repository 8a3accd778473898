/* The shuffling of A62: always a permutation, each as likely. */
#include "policy/pick_first.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"

static void every_order_is_as_likely(void **state)
{
    (void)state;
    tern__rng rng;
    unsigned seen[4][4][4] = { 0 }, n_orders = 0;
    tern__rng_seed(&rng, 5);
    for (int k = 0; k < 24000; k++) {
        uint32_t order[4] = { 0, 1, 2, 3 };
        tern__pick_first_shuffle(order, 4, tern__rng_next(&rng));
        assert_int_equal(1u << order[0] | 1u << order[1] | 1u << order[2] | 1u << order[3], 15);
        seen[order[0]][order[1]][order[2]]++;
    }
    for (int k = 0; k < 64; k++) {
        unsigned times = seen[k / 16][k / 4 % 4][k % 4];
        n_orders += times > 0;
        if (times)
            assert_in_range(times, 850, 1150);
    }
    assert_int_equal(n_orders, 24);
}

static void short_lists(void **state)
{
    (void)state;
    uint32_t order[2] = { 7, 9 };
    tern__pick_first_shuffle(order, 0, 1);
    tern__pick_first_shuffle(order, 1, 1);
    assert_int_equal(order[0], 7);
    assert_int_equal(order[1], 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_is_as_likely),
        cmocka_unit_test(short_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
