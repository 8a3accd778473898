/* Ping strikes (gRFC A8, "Server Enforcement") in virtual time. */
#include "policy/ping_strikes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/time.h"

#define S TERN__NS_PER_S
#define MIN (60 * S)
#define HOUR (60 * MIN)

static tern__ping_strikes sample(bool without_calls)
{
    tern__ping_strikes p;
    tern__ping_strikes_init(&p, 5 * MIN, without_calls);
    return p;
}

/* The first PING is good at whatever time, then two strikes are borne and the third is one too
 * many. */
static void two_strikes_are_borne(void **state)
{
    (void)state;
    tern__ping_strikes p = sample(false);
    assert_true(tern__ping_strikes_ping(&p, 0, true));
    assert_true(tern__ping_strikes_ping(&p, 1 * S, true));
    assert_true(tern__ping_strikes_ping(&p, 2 * S, true));
    assert_false(tern__ping_strikes_ping(&p, 3 * S, true));
    assert_false(tern__ping_strikes_ping(&p, 4 * S, true));
}

static void polite_for_ever(void **state)
{
    (void)state;
    tern__ping_strikes p = sample(false);
    for (int64_t t = 0; t < 1000; t++)
        assert_true(tern__ping_strikes_ping(&p, t * 5 * MIN, true));
    assert_int_equal(p.strikes, 0);
    assert_true(tern__ping_strikes_ping(&p, 1000 * 5 * MIN - 1, true)); /* a moment too soon */
    assert_int_equal(p.strikes, 1);
}

/* A PING too soon does not move the point the next one is measured from; strikes do not fade. */
static void measured_from_the_last_good_one(void **state)
{
    (void)state;
    tern__ping_strikes p = sample(false);
    assert_true(tern__ping_strikes_ping(&p, 0, true));
    assert_true(tern__ping_strikes_ping(&p, 3 * MIN, true)); /* strike 1 */
    assert_true(tern__ping_strikes_ping(&p, 5 * MIN, true)); /* good: 5 min after the first */
    assert_int_equal(p.strikes, 1);
    assert_true(tern__ping_strikes_ping(&p, 8 * MIN, true)); /* strike 2 */
    assert_true(tern__ping_strikes_ping(&p, 10 * MIN, true));
    assert_false(tern__ping_strikes_ping(&p, 13 * MIN, true)); /* strike 3 */
}

static void two_hours_without_calls(void **state)
{
    (void)state;
    tern__ping_strikes p = sample(false);
    for (int64_t t = 0; t < 10; t++)
        assert_true(tern__ping_strikes_ping(&p, t * 2 * HOUR, false));
    assert_int_equal(p.strikes, 0);
    int64_t last = 9 * 2 * HOUR;
    assert_true(tern__ping_strikes_ping(&p, last + 1 * HOUR, false));
    assert_true(tern__ping_strikes_ping(&p, last + 2 * HOUR - 1, false));
    assert_false(tern__ping_strikes_ping(&p, last + 2 * HOUR - 1, false));
}

static void permitted_without_calls(void **state)
{
    (void)state;
    tern__ping_strikes p = sample(true);
    for (int64_t t = 0; t < 100; t++)
        assert_true(tern__ping_strikes_ping(&p, t * 5 * MIN, false));
    assert_int_equal(p.strikes, 0);
    assert_true(tern__ping_strikes_ping(&p, 99 * 5 * MIN + S, false));
    assert_int_equal(p.strikes, 1);
}

/* What was sent to the client lets it ping again: a PING after each batch of data never strikes. */
static void data_sent_forgives(void **state)
{
    (void)state;
    tern__ping_strikes p = sample(false);
    for (int64_t t = 0; t < 1000; t++) {
        tern__ping_strikes_forgive(&p);
        assert_true(tern__ping_strikes_ping(&p, t, true));
    }
    assert_int_equal(p.strikes, 0);
    assert_true(tern__ping_strikes_ping(&p, 1001, true));
    assert_true(tern__ping_strikes_ping(&p, 1002, true));
    tern__ping_strikes_forgive(&p);
    assert_true(tern__ping_strikes_ping(&p, 1003, true));
    assert_int_equal(p.strikes, 0);
}

/* "Never" permits one PING, and those after data. */
static void never_permitted(void **state)
{
    (void)state;
    tern__ping_strikes p;
    tern__ping_strikes_init(&p, TERN__TIME_NEVER, true);
    assert_true(tern__ping_strikes_ping(&p, 10 * S, true));
    assert_true(tern__ping_strikes_ping(&p, 1000 * HOUR, true));
    assert_true(tern__ping_strikes_ping(&p, 2000 * HOUR, true));
    assert_false(tern__ping_strikes_ping(&p, 3000 * HOUR, true));
}

/* A flood does not wrap the count round to innocence within any time that can pass. */
static void a_flood(void **state)
{
    (void)state;
    tern__ping_strikes p = sample(false);
    int refused = 0;
    for (int i = 0; i < 100000; i++)
        refused += !tern__ping_strikes_ping(&p, i, false);
    assert_int_equal(refused, 100000 - 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_strikes_are_borne),
        cmocka_unit_test(polite_for_ever),
        cmocka_unit_test(measured_from_the_last_good_one),
        cmocka_unit_test(two_hours_without_calls),
        cmocka_unit_test(permitted_without_calls),
        cmocka_unit_test(data_sent_forgives),
        cmocka_unit_test(never_permitted),
        cmocka_unit_test(a_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
