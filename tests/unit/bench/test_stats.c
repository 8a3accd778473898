/* The histogram against exact percentiles, and CPU times against what a process has used. */
#include "tools/bench/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static bench_histogram *fresh(void)
{
    bench_histogram *h = calloc(1, sizeof(*h));
    assert_non_null(h);
    return h;
}

static void close_to(uint64_t got, uint64_t wanted)
{
    uint64_t off = got > wanted ? got - wanted : wanted - got;
    /* Half a bucket: 1/512. */
    if (off * 256 > wanted)
        fail_msg("%llu is too far from %llu", (unsigned long long)got, (unsigned long long)wanted);
}

static void empty_is_zero(void **state)
{
    (void)state;
    bench_histogram *h = fresh();
    assert_int_equal(bench_histogram_percentile(h, 0.99), 0);
    assert_true(bench_histogram_mean(h) == 0);
    free(h);
}

static void one_value_is_every_percentile(void **state)
{
    (void)state;
    static const uint64_t values[] = { 0, 1, 255, 256, 257, 12345, 1000000007, (1ull << 40) - 1 };
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        bench_histogram *h = fresh();
        bench_histogram_add(h, values[i]);
        assert_int_equal(bench_histogram_percentile(h, 0), values[i]);
        assert_int_equal(bench_histogram_percentile(h, 0.5), values[i]);
        assert_int_equal(bench_histogram_percentile(h, 1), values[i]);
        free(h);
    }
}

static void percentiles_of_a_ramp(void **state)
{
    (void)state;
    bench_histogram *h = fresh();
    for (uint64_t ns = 100000; ns >= 1; ns--)
        bench_histogram_add(h, ns);
    assert_int_equal(h->count, 100000);
    assert_int_equal(h->min, 1);
    assert_int_equal(h->max, 100000);
    assert_true(bench_histogram_mean(h) == 50000.5);
    close_to(bench_histogram_percentile(h, 0.5), 50000);
    close_to(bench_histogram_percentile(h, 0.99), 99000);
    close_to(bench_histogram_percentile(h, 0.999), 99900);
    assert_int_equal(bench_histogram_percentile(h, 0.001), 100);
    free(h);
}

static void every_bucket_holds_its_value(void **state)
{
    (void)state;
    /* Two values around each power of two: the lower one must come back as the median. */
    for (unsigned bit = 1; bit < BENCH_VALUE_BITS; bit++) {
        bench_histogram *h = fresh();
        uint64_t low = ((uint64_t)1 << bit) - 1;
        bench_histogram_add(h, low);
        bench_histogram_add(h, low);
        bench_histogram_add(h, low * 2 + 2);
        close_to(bench_histogram_percentile(h, 0.5), low);
        close_to(bench_histogram_percentile(h, 1), low * 2 + 2);
        free(h);
    }
}

static void too_long_counts_as_the_longest(void **state)
{
    (void)state;
    bench_histogram *h = fresh();
    bench_histogram_add(h, 5);
    bench_histogram_add(h, UINT64_MAX / 2);
    bench_histogram_add(h, UINT64_MAX / 4);
    assert_int_equal(h->max, UINT64_MAX / 2);
    close_to(bench_histogram_percentile(h, 0.9), (uint64_t)1 << BENCH_VALUE_BITS);
    free(h);
}

static void merge_is_as_if_added_to_one(void **state)
{
    (void)state;
    bench_histogram *a = fresh(), *b = fresh(), *none = fresh();
    for (uint64_t ns = 1; ns <= 1000; ns++)
        bench_histogram_add(ns % 2 ? a : b, ns * 100);
    bench_histogram_merge(a, b);
    bench_histogram_merge(a, none);
    bench_histogram_merge(none, a);
    assert_int_equal(none->count, 1000);
    assert_int_equal(none->min, 100);
    assert_int_equal(none->max, 100000);
    close_to(bench_histogram_percentile(none, 0.25), 25000);
    free(a);
    free(b);
    free(none);
}

static void cpu_time_of_processes(void **state)
{
    (void)state;
    int64_t self = bench_cpu_self_us(), same, nobody;
    assert_int_equal(bench_cpu_process_us(getpid(), &same), 0);
    /* Both clocks count the same process; /proc counts in ticks of 10 ms, each of two parts cut. */
    assert_true(same <= self + 1000000);
    assert_true(same >= 0);
    assert_int_equal(bench_cpu_process_us(0, &nobody), -1);
    volatile uint64_t spin = 0;
    while (bench_cpu_self_us() < self + 30000)
        spin++;
    int64_t later;
    assert_int_equal(bench_cpu_process_us(getpid(), &later), 0);
    assert_true(later > same);
}

static void clock_goes_forward(void **state)
{
    (void)state;
    uint64_t a = bench_now_ns();
    assert_true(a > 0);
    assert_true(bench_now_ns() >= a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_is_zero),
        cmocka_unit_test(one_value_is_every_percentile),
        cmocka_unit_test(percentiles_of_a_ramp),
        cmocka_unit_test(every_bucket_holds_its_value),
        cmocka_unit_test(too_long_counts_as_the_longest),
        cmocka_unit_test(merge_is_as_if_added_to_one),
        cmocka_unit_test(cpu_time_of_processes),
        cmocka_unit_test(clock_goes_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
