/* The shortest time a handler took of late. */
#include "policy/service_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"

#define W 1000

static int64_t least(tern__service_time *s, int64_t now)
{
    return tern__service_time_least(s, now, W);
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    tern__service_time s = { 0 };
    assert_int_equal(least(&s, 0), 0);
    assert_int_equal(least(&s, 5000), 0);
}

static void the_shortest_counts(void **state)
{
    (void)state;
    tern__service_time s = { 0 };
    tern__service_time_add(&s, 100, W, 50);
    tern__service_time_add(&s, 101, W, 70);
    assert_int_equal(least(&s, 102), 50);
    tern__service_time_add(&s, 103, W, 20);
    assert_int_equal(least(&s, 104), 20);
    tern__service_time_add(&s, 105, W, 0);
    assert_int_equal(least(&s, 106), 1); /* 0 would mean that nothing is known */
}

static void it_is_forgotten_after_two_windows(void **state)
{
    (void)state;
    tern__service_time s = { 0 };
    tern__service_time_add(&s, 0, W, 20);
    assert_int_equal(least(&s, W - 1), 20);
    tern__service_time_add(&s, W, W, 60);
    assert_int_equal(least(&s, 2 * W - 1), 20);
    assert_int_equal(least(&s, 2 * W), 60);
    assert_int_equal(least(&s, 3 * W), 0);
    tern__service_time_add(&s, 3 * W, W, 40);
    assert_int_equal(least(&s, 9 * W), 0); /* after a long silence, too */
}

/* Never less than the shortest of the last two windows, never more than that of the last one. */
static void random_histories(void **state)
{
    (void)state;
    enum { N = 4000 };
    static int64_t at[N], took[N];
    tern__service_time s = { 0 };
    tern__rng rng;
    int64_t now = 0;
    tern__rng_seed(&rng, 7);
    for (int n = 0; n < N; n++) {
        now += tern__rng_below(&rng, 300);
        at[n] = now;
        took[n] = 1 + tern__rng_below(&rng, 1000);
        tern__service_time_add(&s, now, W, took[n]);
        int64_t got = least(&s, now), of_all = INT64_MAX;
        for (int i = n; i >= 0 && at[i] > now - 2 * W - 300; i--)
            of_all = took[i] < of_all ? took[i] : of_all;
        assert_true(got >= of_all && got <= took[n]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(the_shortest_counts),
        cmocka_unit_test(it_is_forgotten_after_two_windows),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests_name("policy/service_time", tests, NULL, NULL);
}
