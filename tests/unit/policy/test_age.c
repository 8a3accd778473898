/* Connection ages (gRFC A9) in virtual time: idle, old, the spread of old, and the grace. */
#include "policy/age.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/time.h"

#define S TERN__NS_PER_S
#define NEVER TERN__TIME_NEVER
#define BORN (1000 * S)

static tern__age sample(int64_t idle, int64_t age, int64_t grace)
{
    const tern__age_limits limits = { idle, age, grace };
    tern__rng rng;
    tern__age a;
    tern__rng_seed(&rng, 7);
    tern__age_init(&a, &limits, BORN, &rng);
    return a;
}

static void expect(tern__age *a, int64_t now, tern__age_action action, int64_t until)
{
    int64_t got;
    assert_int_equal(tern__age_next(a, now, &got), action);
    assert_int_equal(got, until);
}

static void no_limits(void **state)
{
    (void)state;
    tern__age a = sample(NEVER, NEVER, NEVER);
    expect(&a, BORN, TERN__AGE_WAIT, NEVER);
    tern__age_busy(&a);
    tern__age_rest(&a, BORN + S);
    expect(&a, INT64_MAX - 1, TERN__AGE_WAIT, NEVER);
}

/* Idleness counts from the birth, or from the end of the last call. */
static void idle(void **state)
{
    (void)state;
    tern__age a = sample(30 * S, NEVER, NEVER);
    expect(&a, BORN + 29 * S, TERN__AGE_WAIT, BORN + 30 * S);
    tern__age_busy(&a);
    expect(&a, BORN + 500 * S, TERN__AGE_WAIT, NEVER);
    tern__age_rest(&a, BORN + 600 * S);
    expect(&a, BORN + 601 * S, TERN__AGE_WAIT, BORN + 630 * S);
    tern__age_busy(&a);
    tern__age_rest(&a, BORN + 610 * S);
    expect(&a, BORN + 630 * S, TERN__AGE_WAIT, BORN + 640 * S);
    expect(&a, BORN + 640 * S, TERN__AGE_DRAIN_IDLE, NEVER);
    expect(&a, BORN + 641 * S, TERN__AGE_WAIT, NEVER); /* said once */
    tern__age_warned(&a, BORN + 641 * S);              /* idleness has no grace to end */
    expect(&a, BORN + 9000 * S, TERN__AGE_WAIT, NEVER);
}

static void old(void **state)
{
    (void)state;
    tern__age a = sample(NEVER, 100 * S, 5 * S);
    int64_t old_at;
    assert_int_equal(tern__age_next(&a, BORN, &old_at), TERN__AGE_WAIT);
    assert_true(old_at >= BORN + 90 * S && old_at <= BORN + 110 * S);
    tern__age_busy(&a);
    expect(&a, old_at - 1, TERN__AGE_WAIT, old_at);
    expect(&a, old_at, TERN__AGE_DRAIN_OLD, NEVER);
    expect(&a, old_at + 100 * S, TERN__AGE_WAIT, NEVER); /* not warned yet: no grace runs */
    tern__age_warned(&a, old_at + S);
    tern__age_warned(&a, old_at + 2 * S); /* only the first counts */
    expect(&a, old_at + 6 * S - 1, TERN__AGE_WAIT, old_at + 6 * S);
    expect(&a, old_at + 6 * S, TERN__AGE_CUT, old_at + 6 * S);
}

static void grace_for_ever(void **state)
{
    (void)state;
    tern__age a = sample(NEVER, 100 * S, NEVER);
    expect(&a, BORN + 111 * S, TERN__AGE_DRAIN_OLD, NEVER);
    tern__age_warned(&a, BORN + 111 * S);
    expect(&a, INT64_MAX - 1, TERN__AGE_WAIT, NEVER);
}

/* Whichever comes first; at the same time, age counts, for it has the grace. */
static void both(void **state)
{
    (void)state;
    tern__age a = sample(30 * S, 100 * S, 5 * S);
    expect(&a, BORN + 30 * S, TERN__AGE_DRAIN_IDLE, NEVER);
    a = sample(3000 * S, 100 * S, 5 * S);
    expect(&a, BORN + 111 * S, TERN__AGE_DRAIN_OLD, NEVER);
    a = sample(30 * S, 100 * S, 5 * S);
    expect(&a, BORN + 200 * S, TERN__AGE_DRAIN_OLD, NEVER);
}

/* +-10 %, evenly: both ends are met, nothing is beyond them, and the same seed gives the same. */
static void spread(void **state)
{
    (void)state;
    const tern__age_limits limits = { NEVER, 1000 * S, NEVER };
    tern__rng rng, again;
    int64_t low = INT64_MAX, high = 0, sum = 0;
    tern__rng_seed(&rng, 11);
    tern__rng_seed(&again, 11);
    for (int i = 0; i < 10000; i++) {
        tern__age a, b;
        int64_t at, at_again;
        tern__age_init(&a, &limits, BORN, &rng);
        tern__age_init(&b, &limits, BORN, &again);
        (void)tern__age_next(&a, BORN, &at);
        (void)tern__age_next(&b, BORN, &at_again);
        assert_int_equal(at, at_again);
        at -= BORN;
        low = at < low ? at : low;
        high = at > high ? at : high;
        sum += at / 10000;
    }
    assert_true(low >= 900 * S && low < 901 * S);
    assert_true(high <= 1100 * S && high > 1099 * S);
    assert_true(sum > 995 * S && sum < 1005 * S);
}

static void huge_spans(void **state)
{
    (void)state;
    tern__age a = sample(INT64_MAX - 1, INT64_MAX - 1, INT64_MAX - 1);
    expect(&a, INT64_MAX - 2, TERN__AGE_WAIT, NEVER);
    const tern__age_limits limits = { 30 * S, NEVER, NEVER };
    tern__age_init(&a, &limits, BORN, NULL); /* no random source without an age */
    expect(&a, BORN + 30 * S, TERN__AGE_DRAIN_IDLE, NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limits), cmocka_unit_test(idle),           cmocka_unit_test(old),
        cmocka_unit_test(spread),    cmocka_unit_test(grace_for_ever), cmocka_unit_test(both),
        cmocka_unit_test(huge_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
