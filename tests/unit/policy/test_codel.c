/* CoDel for a queue of requests: what is a standing queue and what is a burst, order, dropping, and
 * a server that gets twice what it can do. */
#include "policy/codel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/time.h"

#define MS TERN__NS_PER_MS
#define S TERN__NS_PER_S
#define NEVER TERN__TIME_NEVER

static tern__codel c;

static void start(void)
{
    const tern__codel_options o = TERN__CODEL_DEFAULTS;
    assert_int_equal(o.target, 5 * MS);
    assert_int_equal(o.interval, 100 * MS);
    tern__codel_init(&c, &o);
}

/* Calls are taken every ms until `until`, and the oldest has waited `wait` each time. */
static void standing(int64_t from, int64_t until, int64_t wait)
{
    for (int64_t now = from; now <= until; now += MS)
        (void)tern__codel_next(&c, now, now - wait);
}

static void a_burst_is_no_overload(void **state)
{
    (void)state;
    start();
    standing(0, 99 * MS, 50 * MS); /* long waits, for less than an interval */
    assert_false(c.overloaded);
    (void)tern__codel_next(&c, 99 * MS, 94 * MS); /* one that waited exactly the target */
    standing(100 * MS, 199 * MS, 50 * MS);
    assert_false(c.overloaded);
    (void)tern__codel_next(&c, 200 * MS, 100 * MS); /* now a whole interval was too long */
    assert_true(c.overloaded);
}

static void the_order_follows(void **state)
{
    (void)state;
    start();
    assert_int_equal(tern__codel_next(&c, 0, 0), TERN__CODEL_OLDEST_FIRST);
    standing(0, 300 * MS, 20 * MS);
    assert_int_equal(tern__codel_next(&c, 301 * MS, 200 * MS), TERN__CODEL_NEWEST_FIRST);
    /* One short wait is enough to be well again, at the interval's end. */
    assert_int_equal(tern__codel_next(&c, 302 * MS, 300 * MS), TERN__CODEL_NEWEST_FIRST);
    standing(303 * MS, 399 * MS, 20 * MS);
    assert_int_equal(tern__codel_next(&c, 500 * MS, 400 * MS), TERN__CODEL_OLDEST_FIRST);
    /* An empty queue is well at once. */
    standing(500 * MS, 700 * MS, 20 * MS);
    assert_true(c.overloaded);
    tern__codel_empty(&c, 701 * MS);
    assert_int_equal(tern__codel_next(&c, 702 * MS, 600 * MS), TERN__CODEL_OLDEST_FIRST);
    assert_int_equal(tern__codel_next(&c, 801 * MS, 600 * MS), TERN__CODEL_OLDEST_FIRST);
}

static void what_is_dropped(void **state)
{
    (void)state;
    start();
    /* Not overloaded: nothing is stale, however long it waited. */
    assert_int_equal(tern__codel_judge(&c, 10 * S, 0, NEVER, 0), TERN__CODEL_RUN);
    standing(0, 300 * MS, 20 * MS);
    const int64_t now = 301 * MS;
    assert_int_equal(tern__codel_judge(&c, now, now, NEVER, 0), TERN__CODEL_RUN);
    assert_int_equal(tern__codel_judge(&c, now, now - 10 * MS, NEVER, 0), TERN__CODEL_RUN);
    assert_int_equal(tern__codel_judge(&c, now, now - 10 * MS - 1, NEVER, 0),
                     TERN__CODEL_DROP_STALE);
    /* What cannot make its deadline, overloaded or not. */
    start();
    assert_int_equal(tern__codel_judge(&c, 100, 0, 101, 0), TERN__CODEL_RUN);
    assert_int_equal(tern__codel_judge(&c, 100, 0, 100, 0), TERN__CODEL_DROP_LATE);
    assert_int_equal(tern__codel_judge(&c, 100, 0, 200, 100), TERN__CODEL_DROP_LATE);
    assert_int_equal(tern__codel_judge(&c, 100, 0, 200, 99), TERN__CODEL_RUN);
    assert_int_equal(tern__codel_judge(&c, 100, 0, NEVER, INT64_MAX), TERN__CODEL_DROP_LATE);
    assert_int_equal(c.n_late, 3);
    assert_int_equal(c.n_stale, 0);
}

static void odd_clocks(void **state)
{
    (void)state;
    start();
    assert_int_equal(tern__codel_next(&c, 5, 100), TERN__CODEL_OLDEST_FIRST); /* from the future */
    assert_int_equal(c.wait_min, 0);
    (void)tern__codel_next(&c, INT64_MAX, 0);
    (void)tern__codel_next(&c, INT64_MAX, 0);
    start();
    (void)tern__codel_next(&c, 1 * S, 0);
    assert_int_equal(tern__codel_next(&c, 0, 0), TERN__CODEL_OLDEST_FIRST); /* it went back */
    assert_int_equal(c.wait_min, 0);
}

/* --- a server that gets twice what it can do -------------------------------------------------- */

#define QUEUE 100000

typedef struct result {
    double worst, mean; /* waits of those that ran, ms */
    uint64_t ran, dropped;
} result;

/* 10 s with a call every `gap`; one is served each ms. With `codel` as it decides, else oldest
 * first and nothing dropped. */
static result simulate(int64_t gap, bool codel)
{
    static int64_t queue[QUEUE];
    size_t head = 0, tail = 0;
    int64_t next_call = 0;
    result r = { 0 };
    double sum = 0;
    start();
    for (int64_t now = 0; now < 10 * S; now += MS) {
        for (; next_call <= now && tail < QUEUE; next_call += gap)
            queue[tail++] = next_call;
        for (bool served = false; !served && head < tail;) {
            bool newest = codel &&
                          tern__codel_next(&c, now, queue[head]) == TERN__CODEL_NEWEST_FIRST;
            while (codel && head < tail &&
                   tern__codel_judge(&c, now, queue[head], NEVER, 0) != TERN__CODEL_RUN) {
                head++;
                r.dropped++;
            }
            if (head == tail)
                break;
            int64_t at = newest ? queue[--tail] : queue[head++];
            double wait = (double)(now - at) / (double)MS;
            served = true;
            r.ran++;
            sum += wait;
            r.worst = now > 1 * S && wait > r.worst ? wait : r.worst;
        }
        if (codel && head == tail)
            tern__codel_empty(&c, now);
    }
    r.mean = sum / (double)r.ran;
    return r;
}

static void twice_the_load(void **state)
{
    (void)state;
    result without = simulate(MS / 2, false), with = simulate(MS / 2, true);
    assert_true(without.worst > 4000); /* everybody waits for seconds */
    assert_true(with.worst <= 200 && with.mean < 12);
    assert_true(with.ran > 9900); /* and the server is as busy as before */
    assert_true(with.dropped > 9000 && with.dropped < 11000);
}

static void half_the_load(void **state)
{
    (void)state;
    result r = simulate(2 * MS, true);
    assert_int_equal(r.dropped, 0);
    assert_true(r.worst <= 1);
}

/* Any history: nothing fresh is dropped as stale, nothing at all unless a whole interval stood. */
static void random_histories(void **state)
{
    (void)state;
    uint64_t dropped = 0;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        tern__rng rng;
        tern__rng_seed(&rng, seed);
        start();
        int64_t now = 0, last_short = 0; /* when a wait within the target was last seen */
        for (int i = 0; i < 400; i++) {
            now += tern__rng_below(&rng, 10) * MS;
            int64_t wait = tern__rng_below(&rng, 100) ? 6 * MS + tern__rng_below(&rng, 20) * MS : 0;
            if (wait <= 5 * MS)
                last_short = now;
            bool newest = tern__codel_next(&c, now, now - wait) == TERN__CODEL_NEWEST_FIRST;
            bool stale = tern__codel_judge(&c, now, now - wait, NEVER, 0) == TERN__CODEL_DROP_STALE;
            dropped += stale;
            if ((stale && (wait <= 10 * MS || !newest)) || newest != c.overloaded)
                fail_msg("seed %llu, step %d", (unsigned long long)seed, i);
            if (stale && now < 100 * MS)
                fail_msg("seed %llu, step %d: in the first interval", (unsigned long long)seed, i);
            if (!newest && now - last_short > 250 * MS && last_short > 0)
                fail_msg("seed %llu, step %d: not seen", (unsigned long long)seed, i);
        }
    }
    assert_true(dropped > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_no_overload), cmocka_unit_test(the_order_follows),
        cmocka_unit_test(what_is_dropped),        cmocka_unit_test(odd_clocks),
        cmocka_unit_test(twice_the_load),         cmocka_unit_test(half_the_load),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
