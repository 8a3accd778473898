/* The guard's counters and buckets, in virtual time. */
#include "h2/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "base/time.h"

static void test_resets_burst_then_refill(void **state)
{
    (void)state;
    tern__h2_guard g;
    int64_t now = 5 * TERN__NS_PER_S;
    tern__h2_guard_init(&g, now);
    for (unsigned i = 0; i < TERN_LIMIT_RESETS_BURST; i++)
        assert_null(tern__h2_guard_reset(&g, now));
    assert_non_null(tern__h2_guard_reset(&g, now));
    /* one second buys exactly the refill */
    now += TERN__NS_PER_S;
    for (unsigned i = 0; i < TERN_LIMIT_RESETS_PER_SECOND; i++)
        assert_null(tern__h2_guard_reset(&g, now));
    assert_non_null(tern__h2_guard_reset(&g, now));
}

static void test_resets_never_exceed_the_burst(void **state)
{
    (void)state;
    tern__h2_guard g;
    tern__h2_guard_init(&g, 0);
    int64_t now = 3600 * TERN__NS_PER_S;
    unsigned allowed = 0;
    while (!tern__h2_guard_reset(&g, now))
        allowed++;
    assert_int_equal(allowed, TERN_LIMIT_RESETS_BURST);
    /* a clock that steps back gives nothing */
    assert_non_null(tern__h2_guard_reset(&g, now - TERN__NS_PER_S));
}

static void test_an_honest_rate_is_never_met(void **state)
{
    (void)state;
    tern__h2_guard g;
    tern__h2_guard_init(&g, 0);
    for (int64_t now = 0; now < 600 * TERN__NS_PER_S; now += 40 * TERN__NS_PER_MS)
        assert_null(tern__h2_guard_reset(&g, now)); /* 25 a second for ten minutes */
}

static void test_empty_frames(void **state)
{
    (void)state;
    uint8_t in_a_row = 0;
    for (unsigned i = 0; i < TERN_LIMIT_EMPTY_FRAMES; i++)
        assert_null(tern__h2_guard_data(&in_a_row, true));
    assert_null(tern__h2_guard_data(&in_a_row, false)); /* payload begins the count anew */
    for (unsigned i = 0; i < TERN_LIMIT_EMPTY_FRAMES; i++)
        assert_null(tern__h2_guard_data(&in_a_row, true));
    assert_non_null(tern__h2_guard_data(&in_a_row, true));
}

static void test_window_updates_follow_the_data(void **state)
{
    (void)state;
    tern__h2_guard g;
    tern__h2_guard_init(&g, 0);
    unsigned allowed = 0;
    while (!tern__h2_guard_window_update(&g))
        allowed++;
    assert_int_equal(allowed, 100); /* before anything was sent */
    tern__h2_guard_data_sent(&g);
    for (int i = 0; i < 10; i++)
        assert_null(tern__h2_guard_window_update(&g));
    assert_non_null(tern__h2_guard_window_update(&g));
}

static void test_window_budget_is_capped(void **state)
{
    (void)state;
    tern__h2_guard g;
    tern__h2_guard_init(&g, 0);
    for (int i = 0; i < 1000000; i++)
        tern__h2_guard_data_sent(&g);
    unsigned allowed = 0;
    while (!tern__h2_guard_window_update(&g))
        allowed++;
    assert_in_range(allowed, 10000, 10010);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resets_burst_then_refill),
        cmocka_unit_test(test_resets_never_exceed_the_burst),
        cmocka_unit_test(test_an_honest_rate_is_never_met),
        cmocka_unit_test(test_empty_frames),
        cmocka_unit_test(test_window_updates_follow_the_data),
        cmocka_unit_test(test_window_budget_is_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
