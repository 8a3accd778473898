/* Adaptive limits: the arithmetic of both ways, what does not count, where they settle with a
 * server of known capacity, and any history within bounds. */
#include "policy/concurrency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/time.h"

#define MS TERN__NS_PER_MS
#define S TERN__NS_PER_S

static tern__concurrency c;

static tern__concurrency_options defaults(tern__concurrency_kind kind)
{
    tern__concurrency_options o = TERN__CONCURRENCY_DEFAULTS;
    o.kind = kind;
    return o;
}

static void start(tern__concurrency_options o)
{
    tern__concurrency_init(&c, &o);
}

static void fill(uint32_t n)
{
    while (c.in_flight < n)
        assert_true(tern__concurrency_enter(&c, false));
}

static void is_about(double got, double wanted)
{
    if (got < wanted - 1e-9 || got > wanted + 1e-9)
        fail_msg("%.12f, not %.12f", got, wanted);
}

static void the_limit_holds(void **state)
{
    (void)state;
    start(defaults(TERN__CONCURRENCY_AIMD));
    assert_int_equal(tern__concurrency_limit(&c), 20);
    fill(20);
    assert_false(tern__concurrency_enter(&c, false));
    assert_true(tern__concurrency_enter(&c, true)); /* a health check */
    assert_int_equal(c.in_flight, 21);
    assert_false(tern__concurrency_enter(&c, false));
    assert_int_equal(c.n_refused, 2);
    tern__concurrency_leave(&c, 0, 0, TERN__CONCURRENCY_NO_SAMPLE);
    assert_false(tern__concurrency_enter(&c, false));
    tern__concurrency_leave(&c, 0, 0, TERN__CONCURRENCY_NO_SAMPLE);
    assert_true(tern__concurrency_enter(&c, false));
    is_about(c.limit, 20);
    tern__concurrency_options o = defaults(TERN__CONCURRENCY_AIMD);
    o.initial = 5000;
    start(o);
    assert_int_equal(tern__concurrency_limit(&c), 1024);
}

/* --- AIMD ------------------------------------------------------------------------------------- */

static void aimd_grows_by_one_a_round(void **state)
{
    (void)state;
    start(defaults(TERN__CONCURRENCY_AIMD));
    for (int i = 0; i < 21; i++) {
        fill(20);
        tern__concurrency_leave(&c, 1, 0, TERN__CONCURRENCY_SERVED);
    }
    assert_true(c.limit > 20.99 && c.limit < 21.06);
    /* Half of it in use is use, less is not. */
    start(defaults(TERN__CONCURRENCY_AIMD));
    fill(9);
    tern__concurrency_leave(&c, 1, 0, TERN__CONCURRENCY_SERVED);
    is_about(c.limit, 20);
    fill(10);
    tern__concurrency_leave(&c, 1, 0, TERN__CONCURRENCY_SERVED);
    is_about(c.limit, 20.05);
}

/* All of a burst fail together: one cut for them, another for those that began after it. */
static void aimd_cuts_once_a_round(void **state)
{
    (void)state;
    start(defaults(TERN__CONCURRENCY_AIMD));
    fill(20);
    for (int i = 0; i < 10; i++)
        tern__concurrency_leave(&c, 100, 50, TERN__CONCURRENCY_OVERLOADED);
    is_about(c.limit, 18);
    fill(18);
    tern__concurrency_leave(&c, 200, 99, TERN__CONCURRENCY_OVERLOADED);
    is_about(c.limit, 18);
    tern__concurrency_leave(&c, 200, 100, TERN__CONCURRENCY_OVERLOADED);
    is_about(c.limit, 16.2);
    tern__concurrency_options o = defaults(TERN__CONCURRENCY_AIMD);
    o.latency_max = 5 * MS;
    start(o);
    fill(20);
    tern__concurrency_leave(&c, 5 * MS, 0, TERN__CONCURRENCY_SERVED);
    assert_true(c.limit > 20);
    tern__concurrency_leave(&c, 5 * MS + 1, 0, TERN__CONCURRENCY_SERVED); /* too late */
    assert_true(c.limit < 19);
    for (int64_t now = 6 * MS; now < 400 * MS; now += MS) { /* never below the least */
        fill(1);
        tern__concurrency_leave(&c, now, now, TERN__CONCURRENCY_OVERLOADED);
    }
    is_about(c.limit, 1);
    while (c.in_flight)
        tern__concurrency_leave(&c, 0, 0, TERN__CONCURRENCY_NO_SAMPLE);
    assert_true(tern__concurrency_enter(&c, false));
    assert_false(tern__concurrency_enter(&c, false));
}

/* --- gradient --------------------------------------------------------------------------------- */

/* A window of samples with this latency, while the limit is used. */
static int64_t window_of(int64_t now, int64_t latency, tern__concurrency_sample sample)
{
    for (int i = 0; i < 20; i++) {
        fill(tern__concurrency_limit(&c));
        now += 10 * MS;
        tern__concurrency_leave(&c, now, now - latency, sample);
    }
    return now;
}

static void gradient_grows_by_the_queue(void **state)
{
    (void)state;
    start(defaults(TERN__CONCURRENCY_GRADIENT));
    int64_t now = 0;
    fill(20);
    for (int i = 0; i < 9; i++, now += 50 * MS)
        tern__concurrency_leave(&c, now + 50 * MS, now, TERN__CONCURRENCY_SERVED);
    is_about(c.limit, 20); /* too few samples, however much time */
    fill(20);
    tern__concurrency_leave(&c, now + 50 * MS, now, TERN__CONCURRENCY_SERVED);
    is_about(c.limit, 20 * 0.8 + 24 * 0.2);
}

static void gradient_sees_a_queue(void **state)
{
    (void)state;
    start(defaults(TERN__CONCURRENCY_GRADIENT));
    int64_t now = 0;
    for (int i = 0; i < 40; i++)
        now = window_of(now, 10 * MS, TERN__CONCURRENCY_SERVED);
    double before = c.limit;
    now = window_of(now, 14 * MS, TERN__CONCURRENCY_SERVED); /* within the tolerance */
    assert_true(c.limit > before);
    before = c.limit;
    for (int i = 0; i < 10; i++)
        now = window_of(now, 50 * MS, TERN__CONCURRENCY_SERVED);
    assert_true(c.limit < before / 2);
    before = c.limit;
    for (int i = 0; i < 10; i++)
        now = window_of(now, 10 * MS, TERN__CONCURRENCY_SERVED);
    assert_true(c.limit > before);
    before = c.limit;
    (void)window_of(now, 10 * MS, TERN__CONCURRENCY_OVERLOADED);
    assert_true(c.limit < before);
}

/* A limit that nobody comes near stays, however good or bad the latency is; also when it was used
 * before. */
static void gradient_needs_use(void **state)
{
    (void)state;
    start(defaults(TERN__CONCURRENCY_GRADIENT));
    int64_t now = window_of(0, 10 * MS, TERN__CONCURRENCY_SERVED);
    while (c.in_flight)
        tern__concurrency_leave(&c, now, now, TERN__CONCURRENCY_NO_SAMPLE);
    double before = 0;
    for (int i = 0; i < 400; i++) {
        if (i == 20) /* the window that was under way has passed */
            before = c.limit;
        assert_true(tern__concurrency_enter(&c, false));
        now += 10 * MS;
        tern__concurrency_leave(&c, now, now - (i % 3) * 50 * MS, TERN__CONCURRENCY_SERVED);
    }
    is_about(c.limit, before);
}

/* After a long time of load its latency is the average; when it is over, so is that, soon. */
static void gradient_forgets_load(void **state)
{
    (void)state;
    start(defaults(TERN__CONCURRENCY_GRADIENT));
    int64_t now = 0;
    for (int i = 0; i < 2000; i++)
        now = window_of(now, 100 * MS, TERN__CONCURRENCY_SERVED);
    assert_true(c.average > 99.0 * (double)MS);
    for (int i = 0; i < 50; i++)
        now = window_of(now, 10 * MS, TERN__CONCURRENCY_SERVED);
    assert_true(c.average < 21.0 * (double)MS);
}

/* --- a server of known capacity --------------------------------------------------------------- */

/* Calls that come at `rate` a second to a server that works on 50 at once, 10 ms each, and queues
 * the rest; ten seconds of it. Returns the mean latency of the second half, in ms. */
static double simulate(double rate)
{
    enum { WORKERS = 50, CALLS_MAX = 2048 };
    static int64_t began[CALLS_MAX], ends[CALLS_MAX];
    int64_t free_at[WORKERS] = { 0 };
    uint32_t n = 0;
    double sum = 0, count = 0;
    int64_t gap = (int64_t)(1e9 / rate);
    for (int64_t now = gap; now < 20 * S; now += gap) {
        for (uint32_t i = 0; i < n;) {
            if (ends[i] > now) {
                i++;
                continue;
            }
            tern__concurrency_leave(&c, ends[i], began[i], TERN__CONCURRENCY_SERVED);
            if (now > 10 * S) {
                sum += (double)(ends[i] - began[i]) / (double)MS;
                count++;
            }
            began[i] = began[--n];
            ends[i] = ends[n];
        }
        if (n == CALLS_MAX || !tern__concurrency_enter(&c, false))
            continue;
        int first = 0;
        for (int w = 1; w < WORKERS; w++)
            first = free_at[w] < free_at[first] ? w : first;
        free_at[first] = (free_at[first] > now ? free_at[first] : now) + 10 * MS;
        began[n] = now;
        ends[n++] = free_at[first];
    }
    return sum / count;
}

/* Capacity is 5,000 calls a second. Twice as many come: what is let in is answered in good time. */
static void overload_does_not_queue(void **state)
{
    (void)state;
    tern__concurrency_options o = defaults(TERN__CONCURRENCY_AIMD);
    o.latency_max = 20 * MS;
    start(o);
    double latency = simulate(10000);
    assert_true(latency < 25 && c.limit >= 50 && c.limit <= 120);
    start(defaults(TERN__CONCURRENCY_GRADIENT));
    latency = simulate(10000);
    assert_true(latency < 40 && c.limit >= 50 && c.limit <= 200);
    o = defaults(TERN__CONCURRENCY_AIMD); /* for comparison: a fixed limit of its largest value */
    o.initial = o.min = 1024;
    start(o);
    assert_true(simulate(10000) > 150);
}

/* Half of the capacity is asked for: nothing is refused. */
static void no_refusals_without_need(void **state)
{
    (void)state;
    for (int kind = TERN__CONCURRENCY_AIMD; kind <= TERN__CONCURRENCY_GRADIENT; kind++) {
        tern__concurrency_options o = defaults((tern__concurrency_kind)kind);
        o.initial = 40;
        o.latency_max = 20 * MS;
        start(o);
        assert_true(simulate(2500) < 10.5);
        assert_int_equal(c.n_refused, 0);
    }
}

static void random_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        tern__rng rng;
        tern__rng_seed(&rng, seed);
        tern__concurrency_options o = defaults((tern__concurrency_kind)(seed % 2));
        o.min = 1 + tern__rng_below(&rng, 10);
        o.max = o.min + tern__rng_below(&rng, 100);
        o.initial = tern__rng_below(&rng, 200);
        o.latency_max = tern__rng_below(&rng, 100) * MS;
        o.tolerance = tern__rng_uniform(&rng, 1, 3);
        o.queue = tern__rng_below(&rng, 10);
        o.window = tern__rng_below(&rng, 200) * MS;
        start(o);
        int64_t now = 0;
        uint32_t running = 0;
        for (int i = 0; i < 500; i++) {
            now += tern__rng_below(&rng, 20) * MS;
            uint32_t limit = tern__concurrency_limit(&c);
            bool vital = tern__rng_below(&rng, 20) == 0;
            if (tern__rng_below(&rng, 2)) {
                bool in = tern__concurrency_enter(&c, vital);
                if (in != (vital || running < limit))
                    fail_msg("seed %llu, step %d: let in %d of %u", (unsigned long long)seed, i, in,
                             limit);
                running += in;
            } else if (running) {
                int64_t took = tern__rng_below(&rng, 50) ? tern__rng_below(&rng, 80) * MS : -MS;
                tern__concurrency_leave(&c, now, now - took,
                                        (tern__concurrency_sample)tern__rng_below(&rng, 3));
                running--;
            }
            if (!(c.limit >= o.min && c.limit <= o.max) || c.in_flight != running)
                fail_msg("seed %llu, step %d: limit %f", (unsigned long long)seed, i, c.limit);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_holds),          cmocka_unit_test(aimd_grows_by_one_a_round),
        cmocka_unit_test(aimd_cuts_once_a_round),   cmocka_unit_test(gradient_grows_by_the_queue),
        cmocka_unit_test(gradient_sees_a_queue),    cmocka_unit_test(gradient_needs_use),
        cmocka_unit_test(gradient_forgets_load),    cmocka_unit_test(overload_does_not_queue),
        cmocka_unit_test(no_refusals_without_need), cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
