/* Keepalive (gRFC A8, A9) in virtual time: when a PING is due, what counts as an answer, when the
 * peer is dead, and the rest while there are no calls. */
#include "policy/keepalive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "base/time.h"

#define S TERN__NS_PER_S

/* Time 60 s, timeout 20 s, born at 1000 s. */
#define BORN (1000 * S)

static tern__keepalive sample(bool without_calls)
{
    tern__keepalive k;
    tern__keepalive_init(&k, 60 * S, 20 * S, without_calls, BORN);
    return k;
}

static void expect(tern__keepalive *k, int64_t now, bool calls, tern__keepalive_action action,
                   int64_t until)
{
    int64_t got;
    assert_int_equal(tern__keepalive_next(k, now, calls, &got), action);
    if (action != TERN__KEEPALIVE_DEAD)
        assert_int_equal(got, until);
}

static void silence_is_pinged_then_deadly(void **state)
{
    (void)state;
    tern__keepalive k = sample(false);
    expect(&k, BORN, true, TERN__KEEPALIVE_WAIT, BORN + 60 * S);
    expect(&k, BORN + 60 * S - 1, true, TERN__KEEPALIVE_WAIT, BORN + 60 * S);
    expect(&k, BORN + 60 * S, true, TERN__KEEPALIVE_PING, BORN + 80 * S);
    expect(&k, BORN + 60 * S, true, TERN__KEEPALIVE_WAIT, BORN + 80 * S); /* one PING, not two */
    expect(&k, BORN + 80 * S - 1, true, TERN__KEEPALIVE_WAIT, BORN + 80 * S);
    expect(&k, BORN + 80 * S, true, TERN__KEEPALIVE_DEAD, 0);
}

/* The timeout counts from the PING, which may have gone out late. */
static void late_ping(void **state)
{
    (void)state;
    tern__keepalive k = sample(false);
    expect(&k, BORN + 75 * S, true, TERN__KEEPALIVE_PING, BORN + 95 * S);
    expect(&k, BORN + 94 * S, true, TERN__KEEPALIVE_WAIT, BORN + 95 * S);
    expect(&k, BORN + 95 * S, true, TERN__KEEPALIVE_DEAD, 0);
}

static void any_byte_is_life(void **state)
{
    (void)state;
    tern__keepalive k = sample(false);
    for (int i = 1; i < 100; i++) { /* traffic: never a PING */
        tern__keepalive_read(&k, BORN + i * 59 * S);
        expect(&k, BORN + (i + 1) * 59 * S, true, TERN__KEEPALIVE_WAIT, BORN + i * 59 * S + 60 * S);
    }
    int64_t last = BORN + 99 * 59 * S;
    expect(&k, last + 60 * S, true, TERN__KEEPALIVE_PING, last + 80 * S);
    tern__keepalive_read(&k, last + 80 * S - 1); /* in the last moment */
    expect(&k, last + 80 * S, true, TERN__KEEPALIVE_WAIT, last + 140 * S - 1);
    expect(&k, last + 140 * S - 1, true, TERN__KEEPALIVE_PING, last + 160 * S - 1);
}

static void rests_without_calls(void **state)
{
    (void)state;
    tern__keepalive k = sample(false);
    expect(&k, BORN + 60 * S, false, TERN__KEEPALIVE_WAIT, TERN__TIME_NEVER);
    expect(&k, BORN + 9000 * S, false, TERN__KEEPALIVE_WAIT, TERN__TIME_NEVER);
    /* A call on a connection that was silent for long is preceded by a PING (A8). */
    expect(&k, BORN + 9000 * S, true, TERN__KEEPALIVE_PING, BORN + 9020 * S);
    tern__keepalive_read(&k, BORN + 9001 * S);
    /* On one that was not, there is none yet. */
    expect(&k, BORN + 9010 * S, false, TERN__KEEPALIVE_WAIT, TERN__TIME_NEVER);
    expect(&k, BORN + 9011 * S, true, TERN__KEEPALIVE_WAIT, BORN + 9061 * S);
}

/* Calls that come and go quickly on a dead connection must not begin the wait anew. */
static void the_wait_goes_on_without_calls(void **state)
{
    (void)state;
    tern__keepalive k = sample(false);
    expect(&k, BORN + 60 * S, true, TERN__KEEPALIVE_PING, BORN + 80 * S);
    for (int64_t t = 61; t < 80; t++)
        expect(&k, BORN + t * S, t % 2, TERN__KEEPALIVE_WAIT, BORN + 80 * S);
    expect(&k, BORN + 80 * S, false, TERN__KEEPALIVE_DEAD, 0);
}

static void without_calls_when_permitted(void **state)
{
    (void)state;
    tern__keepalive k = sample(true);
    expect(&k, BORN, false, TERN__KEEPALIVE_WAIT, BORN + 60 * S);
    expect(&k, BORN + 60 * S, false, TERN__KEEPALIVE_PING, BORN + 80 * S);
    expect(&k, BORN + 80 * S, false, TERN__KEEPALIVE_DEAD, 0);
}

static void off(void **state)
{
    (void)state;
    tern__keepalive k;
    tern__keepalive_init(&k, TERN__TIME_NEVER, 20 * S, true, BORN);
    expect(&k, BORN + 1000000 * S, true, TERN__KEEPALIVE_WAIT, TERN__TIME_NEVER);
    expect(&k, INT64_MAX - 1, true, TERN__KEEPALIVE_WAIT, TERN__TIME_NEVER);
}

static void never_dead_without_timeout(void **state)
{
    (void)state;
    tern__keepalive k;
    tern__keepalive_init(&k, 60 * S, TERN__TIME_NEVER, true, BORN);
    expect(&k, BORN + 60 * S, true, TERN__KEEPALIVE_PING, TERN__TIME_NEVER);
    expect(&k, BORN + 1000000 * S, true, TERN__KEEPALIVE_WAIT, TERN__TIME_NEVER);
}

static void spans(void **state)
{
    (void)state;
    const uint32_t floor = TERN_LIMIT_KEEPALIVE_MS_MIN;
    /* A client: off by default, at least 10 s. */
    assert_int_equal(tern__keepalive_span(0, UINT32_MAX, floor), TERN__TIME_NEVER);
    assert_int_equal(tern__keepalive_span(1, UINT32_MAX, floor), 10 * S);
    assert_int_equal(tern__keepalive_span(10000, UINT32_MAX, floor), 10 * S);
    assert_int_equal(tern__keepalive_span(10001, UINT32_MAX, floor), 10001 * TERN__NS_PER_MS);
    assert_int_equal(tern__keepalive_span(UINT32_MAX, 20000, 1), TERN__TIME_NEVER);
    assert_int_equal(tern__keepalive_span(0, 20000, 1), 20 * S);
}

static void doubling(void **state)
{
    (void)state;
    int64_t t = 10 * S;
    t = tern__keepalive_doubled(t);
    assert_int_equal(t, 20 * S);
    for (int i = 0; i < 100; i++) {
        int64_t next = tern__keepalive_doubled(t);
        assert_true(next >= t);
        t = next;
    }
    assert_int_equal(t, TERN__TIME_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_is_pinged_then_deadly),
        cmocka_unit_test(late_ping),
        cmocka_unit_test(any_byte_is_life),
        cmocka_unit_test(rests_without_calls),
        cmocka_unit_test(the_wait_goes_on_without_calls),
        cmocka_unit_test(without_calls_when_permitted),
        cmocka_unit_test(off),
        cmocka_unit_test(never_dead_without_timeout),
        cmocka_unit_test(spans),
        cmocka_unit_test(doubling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
