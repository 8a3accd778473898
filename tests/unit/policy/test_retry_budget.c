/* Retry budget: the percentage, the reserve, what expires, and any history within its bounds. */
#include "policy/retry_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/time.h"

#define MS TERN__NS_PER_MS
#define S TERN__NS_PER_S

static tern__retry_budget b;

static void start(uint32_t percent, uint32_t per_second_min)
{
    tern__retry_budget_options o = TERN__RETRY_BUDGET_DEFAULTS;
    o.percent = percent;
    o.per_second_min = per_second_min;
    tern__retry_budget_init(&b, &o);
}

static void calls(int n, int64_t now)
{
    for (int i = 0; i < n; i++)
        tern__retry_budget_call(&b, now);
}

static int takes(int64_t now)
{
    int n = 0;
    while (n < 1000000 && tern__retry_budget_take(&b, now))
        n++;
    return n;
}

/* Linkerd's default: 20 % and 10 a second, over 10 s. */
static void the_default(void **state)
{
    (void)state;
    const tern__retry_budget_options o = TERN__RETRY_BUDGET_DEFAULTS;
    tern__retry_budget_init(&b, &o);
    assert_int_equal(takes(0), 100); /* the reserve of ten seconds */
    assert_int_equal(b.n_refused, 1);
    calls(1000, 0);
    assert_int_equal(takes(0), 200);
    assert_int_equal(tern__retry_budget_left(&b, 0), 0);
}

/* Five calls pay for one retry, exactly, however many there are. */
static void a_fifth(void **state)
{
    (void)state;
    start(20, 0);
    for (int i = 1; i <= 1000; i++) {
        calls(1, 0);
        assert_int_equal(tern__retry_budget_take(&b, 0), i % 5 == 0);
    }
    start(0, 0);
    calls(1000, 0);
    assert_int_equal(takes(0), 0);
    start(250, 0); /* more than one for each call can be wanted */
    calls(2, 0);
    assert_int_equal(takes(0), 5);
}

/* Calls and retries are forgotten alike; nothing is saved up. */
static void what_is_old_expires(void **state)
{
    (void)state;
    start(20, 0);
    calls(100, 0);
    assert_int_equal(tern__retry_budget_left(&b, 9999 * MS), 20);
    assert_int_equal(tern__retry_budget_left(&b, 10000 * MS), 0);
    start(20, 1);
    assert_int_equal(takes(0), 10);
    assert_int_equal(takes(9999 * MS), 0);
    assert_int_equal(takes(10 * S), 10);
    /* A retry outlives the calls that paid for it: the budget is overdrawn, not negative. */
    start(100, 0);
    calls(5, 0);
    assert_int_equal(takes(5 * S), 5);
    assert_int_equal(tern__retry_budget_left(&b, 12 * S), 0);
    calls(3, 12 * S);
    assert_int_equal(takes(12 * S), 0);
    calls(3, 12 * S);
    assert_int_equal(takes(12 * S), 1);
}

/* Everything fails, three attempts are allowed: load grows by a fifth and not threefold. */
static void a_storm(void **state)
{
    (void)state;
    start(20, 0);
    int attempts = 0;
    for (int i = 0; i < 100000; i++) {
        calls(1, i * MS);
        attempts += 1 + tern__retry_budget_take(&b, i * MS) + tern__retry_budget_take(&b, i * MS);
    }
    assert_true(attempts >= 119000 && attempts <= 120000);
}

/* Any history: in no window are there more retries than its calls and those one window before can
 * have paid for, and the reserve. */
static void random_histories(void **state)
{
    (void)state;
    uint64_t taken = 0;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        tern__rng rng;
        tern__rng_seed(&rng, seed);
        uint32_t percent = tern__rng_below(&rng, 150), least = tern__rng_below(&rng, 4);
        start(percent, least);
        int64_t now = 0;
        uint64_t n_calls = 0, n_retries = 0; /* all told */
        for (int i = 0; i < 300; i++) {
            now += tern__rng_below(&rng, 500) * MS;
            if (tern__rng_below(&rng, 2)) {
                tern__retry_budget_call(&b, now);
                n_calls++;
            } else {
                n_retries += tern__retry_budget_take(&b, now);
            }
            uint64_t windows = (uint64_t)(now / (9 * S)) + 1;
            tern__window_pair w = tern__window_read(&b.window, now);
            if (n_retries * 100 > n_calls * percent + windows * 1000 * least ||
                w.b * 100 > (w.a + n_calls) * percent + 1000 * least)
                fail_msg("seed %llu, step %d: %llu retries", (unsigned long long)seed, i,
                         (unsigned long long)n_retries);
        }
        taken += n_retries;
    }
    assert_true(taken > 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default),         cmocka_unit_test(a_fifth),
        cmocka_unit_test(what_is_old_expires), cmocka_unit_test(a_storm),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
