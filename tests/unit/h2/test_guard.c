/* The guard of a connection, in virtual time: buckets, budgets, rows. */
#include "h2/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "base/time.h"

static void test_burst_and_refill(void **state)
{
    (void)state;
    tern__h2_guard g;
    int64_t now = 5 * TERN__NS_PER_S;
    tern__h2_guard_init(&g, now, 0, 0);
    for (unsigned i = 0; i < TERN_LIMIT_RESETS_BURST; i++)
        assert_null(tern__h2_guard_reset(&g, now));
    assert_non_null(tern__h2_guard_reset(&g, now));
    assert_non_null(
        tern__h2_guard_reset(&g, now - 100)); /* a clock that steps back gives nothing */
    now += TERN__NS_PER_S;
    for (unsigned i = 0; i < TERN_LIMIT_RESETS_PER_SECOND; i++)
        assert_null(tern__h2_guard_reset(&g, now));
    assert_non_null(tern__h2_guard_reset(&g, now));
    now += 3600 * TERN__NS_PER_S; /* the bucket holds no more than the burst */
    for (unsigned i = 0; i < TERN_LIMIT_RESETS_BURST; i++)
        assert_null(tern__h2_guard_reset(&g, now));
    assert_non_null(tern__h2_guard_reset(&g, now));
}

/* A client that cancels a little less often than the rate is never refused. */
static void test_honest_cancellations(void **state)
{
    (void)state;
    tern__h2_guard g;
    tern__h2_guard_init(&g, 0, 0, 0);
    int64_t step = TERN__NS_PER_S / (TERN_LIMIT_RESETS_PER_SECOND - 1);
    for (int64_t i = 0; i < 100000; i++)
        assert_null(tern__h2_guard_reset(&g, i * step));
}

/* One that does it a little more often is, in the end. */
static void test_greedy_cancellations(void **state)
{
    (void)state;
    tern__h2_guard g;
    tern__h2_guard_init(&g, 0, 0, 0);
    int64_t step = TERN__NS_PER_S / (2 * TERN_LIMIT_RESETS_PER_SECOND);
    int64_t n = 0;
    while (!tern__h2_guard_reset(&g, n * step))
        n++;
    assert_in_range(n, 2 * TERN_LIMIT_RESETS_BURST - 5, 2 * TERN_LIMIT_RESETS_BURST + 5);
}

static void test_empty_frames(void **state)
{
    (void)state;
    uint8_t row = 0;
    for (int again = 0; again < 3; again++) {
        for (unsigned i = 0; i < TERN_LIMIT_EMPTY_FRAMES; i++)
            assert_null(tern__h2_guard_data(&row, true));
        assert_null(tern__h2_guard_data(&row, false)); /* a frame with payload begins anew */
    }
    for (unsigned i = 0; i < TERN_LIMIT_EMPTY_FRAMES; i++)
        assert_null(tern__h2_guard_data(&row, true));
    assert_non_null(tern__h2_guard_data(&row, true));
}

static void test_window_updates(void **state)
{
    (void)state;
    tern__h2_guard g;
    tern__h2_guard_init(&g, 0, 0, 0);
    for (int i = 0; i < 100; i++)
        assert_null(tern__h2_guard_window_update(&g));
    assert_non_null(tern__h2_guard_window_update(&g));
    tern__h2_guard_data_sent(&g);
    for (int i = 0; i < 10; i++)
        assert_null(tern__h2_guard_window_update(&g));
    assert_non_null(tern__h2_guard_window_update(&g));
    /* a long transfer does not buy a flood */
    for (int i = 0; i < 1000000; i++)
        tern__h2_guard_data_sent(&g);
    int n = 0;
    while (!tern__h2_guard_window_update(&g))
        n++;
    assert_in_range(n, 10000, 10010);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_and_refill),     cmocka_unit_test(test_honest_cancellations),
        cmocka_unit_test(test_greedy_cancellations), cmocka_unit_test(test_empty_frames),
        cmocka_unit_test(test_window_updates),
    };
    return cmocka_run_group_tests_name("h2/guard", tests, NULL, NULL);
}
