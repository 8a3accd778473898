/* Seeds differ; more cannot be said of them. */
#include "io/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_seeds_differ(void **state)
{
    (void)state;
    uint64_t seeds[64];
    for (size_t i = 0; i < 64; i++)
        seeds[i] = tern__random_seed();
    for (size_t i = 0; i < 64; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(seeds[i] != seeds[j]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_seeds_differ) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
