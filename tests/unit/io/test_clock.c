/* Conversions of points in time; the clock itself only has to go forward. */
#include "io/clock.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/time.h"

static void test_now_goes_forward(void **state)
{
    (void)state;
    int64_t last = tern__clock_now();
    assert_true(last > 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now = tern__clock_now();
        assert_true(now >= last);
        last = now;
    }
}

static void test_timespec(void **state)
{
    (void)state;
    struct timespec ts = tern__clock_timespec(3 * TERN__NS_PER_S + 7);
    assert_int_equal(ts.tv_sec, 3);
    assert_int_equal(ts.tv_nsec, 7);
    ts = tern__clock_timespec(TERN__TIME_NEVER);
    assert_true(ts.tv_sec >= INT64_C(100) * 365 * 24 * 3600);
    assert_in_range(ts.tv_nsec, 0, 999999999);
}

static void test_poll_ms(void **state)
{
    (void)state;
    int64_t now = 10 * TERN__NS_PER_S;
    assert_int_equal(tern__clock_poll_ms(now, TERN__TIME_NEVER), -1);
    assert_int_equal(tern__clock_poll_ms(now, now), 0);
    assert_int_equal(tern__clock_poll_ms(now, now - 1), 0);
    /* rounded up: a poll that ends too early would spin */
    assert_int_equal(tern__clock_poll_ms(now, now + 1), 1);
    assert_int_equal(tern__clock_poll_ms(now, now + TERN__NS_PER_MS), 1);
    assert_int_equal(tern__clock_poll_ms(now, now + TERN__NS_PER_MS + 1), 2);
    assert_int_equal(tern__clock_poll_ms(now, TERN__TIME_NEVER - 1), INT_MAX);
}

/* The coarse clock is the same one, a tick or so behind; the time of day is that of the system. */
static void test_coarse_and_wall(void **state)
{
    (void)state;
    struct timespec ts;
    int64_t before = tern__clock_now(), coarse = tern__clock_coarse();
    assert_true(coarse > before - TERN__NS_PER_S && coarse <= tern__clock_now());
    clock_gettime(CLOCK_REALTIME, &ts);
    int64_t wall = tern__clock_wall(tern__clock_now() - 5 * TERN__NS_PER_S) / TERN__NS_PER_S;
    assert_in_range(wall, ts.tv_sec - 7, ts.tv_sec - 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coarse_and_wall),
        cmocka_unit_test(test_now_goes_forward),
        cmocka_unit_test(test_timespec),
        cmocka_unit_test(test_poll_ms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
