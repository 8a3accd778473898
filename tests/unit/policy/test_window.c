/* The sliding window: expiry bucket by bucket, odd clocks, and any history against a plain list. */
#include "policy/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"

static void is(tern__window *w, int64_t now, uint64_t a, uint64_t b)
{
    tern__window_pair p = tern__window_read(w, now);
    assert_int_equal(p.a, a);
    assert_int_equal(p.b, b);
}

static void buckets_expire(void **state)
{
    (void)state;
    tern__window w;
    tern__window_init(&w, 1000);
    for (int64_t t = 0; t < 1000; t += 100)
        tern__window_add(&w, t, 1, 2);
    is(&w, 999, 10, 20);
    is(&w, 1000, 9, 18);
    is(&w, 1099, 9, 18);
    is(&w, 1450, 5, 10);
    tern__window_add(&w, 1450, 7, 0);
    is(&w, 1900, 7, 0);
    is(&w, 2399, 7, 0);
    is(&w, 2400, 0, 0);
}

static void odd_clocks(void **state)
{
    (void)state;
    tern__window w;
    tern__window_init(&w, 1000);
    tern__window_add(&w, 5000, 1, 1);
    tern__window_add(&w, 3000, 1, 1); /* back: counts as now */
    tern__window_add(&w, 0, 1, 1);
    is(&w, 0, 3, 3);
    is(&w, 5999, 3, 3);
    is(&w, INT64_MAX, 0, 0); /* a leap of any length */
    tern__window_add(&w, INT64_MAX, 4, 5);
    is(&w, INT64_MAX, 4, 5);
    tern__window_init(&w, 3); /* shorter than it has buckets */
    tern__window_add(&w, 0, 1, 0);
    is(&w, 9, 1, 0);
    is(&w, 10, 0, 0);
    tern__window_init(&w, INT64_MAX);
    tern__window_add(&w, INT64_MAX / 2, 1, 0);
    is(&w, INT64_MAX, 1, 0);
}

static void random_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        tern__rng rng;
        tern__rng_seed(&rng, seed);
        tern__window w;
        int64_t bucket = 1 + tern__rng_below(&rng, 50), now = 0;
        int64_t times[300];
        uint32_t weights[300];
        tern__window_init(&w, bucket * 10);
        for (int i = 0; i < 300; i++) {
            now += tern__rng_below(&rng, 8) ? tern__rng_below(&rng, 30)
                                            : tern__rng_below(&rng, 600);
            times[i] = now;
            weights[i] = tern__rng_below(&rng, 5);
            tern__window_add(&w, now, weights[i], 1);
            uint64_t a = 0, b = 0;
            for (int k = 0; k <= i; k++) {
                bool in = now / bucket - times[k] / bucket < 10;
                a += in ? weights[k] : 0;
                b += in;
            }
            tern__window_pair p = tern__window_read(&w, now);
            if (p.a != a || p.b != b)
                fail_msg("seed %llu, step %d", (unsigned long long)seed, i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_expire),
        cmocka_unit_test(odd_clocks),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
