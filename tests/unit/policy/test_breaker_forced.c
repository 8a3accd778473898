/* Circuit breaker in virtual time, continued: slow calls, an operator's hand, and what is counted.
 * The rest is in test_breaker.c. */
#include "policy/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"

#define MS TERN__NS_PER_MS
#define S TERN__NS_PER_S

static tern__breaker b;
static tern__breaker_change change;

static void start(tern_breaker_options o)
{
    tern__breaker_options_fill(&o);
    tern__breaker_init(&b, &o, 42);
}

static tern__breaker_ticket admit(int64_t now)
{
    tern__breaker_ticket t;
    assert_int_equal(tern__breaker_admit(&b, now, &t, &change), TERN__BREAKER_ADMIT);
    return t;
}

static void reject(int64_t now, tern__breaker_verdict why)
{
    tern__breaker_ticket t;
    uint64_t before = b.n_rejected;
    assert_int_equal(tern__breaker_admit(&b, now, &t, &change), why);
    assert_int_equal(b.n_rejected, before + 1);
}

/* A whole call. */
static void call(int64_t now, tern_code code)
{
    tern__breaker_outcome(&b, now, admit(now), code, &change);
}

static void calls(int n, int64_t now, tern_code code)
{
    for (int i = 0; i < n; i++)
        call(now, code);
}

static void changed(tern_breaker_state from, tern_breaker_state to, const char *reason)
{
    assert_true(change.changed);
    assert_int_equal(change.from, from);
    assert_int_equal(change.to, to);
    assert_int_equal(b.state, to);
    assert_non_null(strstr(change.reason, reason));
}

/* Opens a fresh breaker with failures in a row; returns when the open time ends. */
static int64_t open_at(int64_t now)
{
    for (uint32_t i = 0; i < b.opt.consecutive_failures; i++)
        call(now, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_OPEN);
    return b.open_until;
}

/* --- slow calls ------------------------------------------------------------------------------- */

/* A whole call that takes `ms`. */
static void slow_call(int64_t now, uint32_t ms, tern_code code)
{
    tern__breaker_ticket t = admit(now);
    tern__breaker_outcome(&b, now + (int64_t)ms * MS, t, code, &change);
}

/* Everything is answered, but half of it too late: nothing but the rate of slow calls sees it. */
static void slow_calls_open(void **state)
{
    (void)state;
    start((tern_breaker_options){ .slow_call_ms = 100 });
    for (int i = 0; i < 10; i++)
        slow_call(0, 100, TERN_OK); /* exactly the limit is not above it */
    for (int i = 0; i < 9; i++)
        slow_call(0, 101, TERN_OK);
    slow_call(0, 101, TERN_CANCELLED); /* who cancels says nothing */
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    slow_call(0, 101, TERN_NOT_FOUND);
    changed(TERN_BREAKER_CLOSED, TERN_BREAKER_OPEN,
            "10 of 20 calls within 10000 ms took more than 100 ms (limit 50 %)");
    assert_int_equal(b.n_slow, 10);
    assert_int_equal(b.n_well, 20);
    assert_int_equal(b.n_ignored, 1);
}

static void slow_calls_count_only_if_asked_for(void **state)
{
    (void)state;
    start((tern_breaker_options){ 0 });
    for (int i = 0; i < 100; i++)
        slow_call(0, 100000, TERN_OK);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    assert_int_equal(b.n_slow, 0);
    start((tern_breaker_options){ .slow_call_ms = 1 });
    for (int i = 0; i < 100; i++) { /* a stream */
        tern__breaker_ticket t = admit(0);
        t.began = TERN__TIME_NEVER;
        tern__breaker_outcome(&b, 100 * S, t, TERN_OK, &change);
    }
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
}

/* A slow failure is both, and the two rates have thresholds of their own. */
static void slow_failures_count_as_both(void **state)
{
    (void)state;
    start((tern_breaker_options){
        .slow_call_ms = 100, .slow_call_percent = 30, .consecutive_failures = 100 });
    for (int i = 0; i < 14; i++)
        slow_call(0, 1, TERN_OK);
    for (int i = 0; i < 5; i++)
        slow_call(0, 500, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    slow_call(0, 500, TERN_UNAVAILABLE); /* 6 of 20: not half of them failed, 30 % were slow */
    changed(TERN_BREAKER_CLOSED, TERN_BREAKER_OPEN, "6 of 20 calls within 10000 ms took more");
    assert_int_equal(b.n_failed, 6);
}

static void a_slow_probe_fails(void **state)
{
    (void)state;
    start((tern_breaker_options){ .slow_call_ms = 100 });
    int64_t now = open_at(0);
    slow_call(now, 101, TERN_OK);
    changed(TERN_BREAKER_HALF_OPEN, TERN_BREAKER_OPEN, "a probe call took more than 100 ms");
    slow_call(b.open_until, 100, TERN_OK);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
}

/* --- forcing ---------------------------------------------------------------------------------- */

static void forced_open(void **state)
{
    (void)state;
    start((tern_breaker_options){ 0 });
    tern__breaker_ticket before = admit(0);
    tern__breaker_force(&b, 0, TERN__BREAKER_FORCED_OPEN, &change);
    changed(TERN_BREAKER_CLOSED, TERN_BREAKER_OPEN, "an operator forced it open");
    for (int64_t now = 0; now < 100 * S; now += 5 * S)
        reject(now, TERN__BREAKER_REJECT_FORCED);
    assert_int_equal(tern__breaker_retry_after(&b, 0), TERN__TIME_NEVER);
    tern__breaker_outcome(&b, 0, before, TERN_OK, &change);
    assert_false(change.changed);
    assert_int_equal(b.in_flight, 0);
    tern__breaker_force(&b, 100 * S, TERN__BREAKER_FORCED_OPEN, &change); /* again: nothing */
    assert_false(change.changed);
    /* Let go, it is tried with a probe, not opened to everybody. */
    tern__breaker_force(&b, 100 * S, TERN__BREAKER_AUTOMATIC, &change);
    assert_false(change.changed);
    tern__breaker_ticket probe = admit(100 * S);
    assert_true(probe.probe);
    reject(100 * S, TERN__BREAKER_REJECT_HALF_OPEN);
    tern__breaker_outcome(&b, 100 * S, probe, TERN_OK, &change);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
}

static void forced_closed(void **state)
{
    (void)state;
    start((tern_breaker_options){ .calls_in_flight_max = 2 });
    int64_t until = open_at(0);
    tern__breaker_force(&b, 1, TERN__BREAKER_FORCED_CLOSED, &change);
    changed(TERN_BREAKER_OPEN, TERN_BREAKER_CLOSED, "an operator forced it closed");
    assert_true(until > 1);
    calls(1000, 1, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    assert_int_equal(tern__breaker_retry_after(&b, 1), 0);
    tern__breaker_ticket t[2] = { admit(1), admit(1) };
    reject(1, TERN__BREAKER_REJECT_IN_FLIGHT); /* the limit holds */
    tern__breaker_force(&b, 1, TERN__BREAKER_AUTOMATIC, &change);
    tern__breaker_outcome(&b, 1, t[0], TERN_UNAVAILABLE, &change); /* from before: not judged */
    tern__breaker_outcome(&b, 1, t[1], TERN_UNAVAILABLE, &change);
    calls(9, 1, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    call(1, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_OPEN);
    tern__breaker_force(&b, 1, TERN__BREAKER_FORCED_OPEN, &change); /* open already: no change */
    assert_false(change.changed);
    tern__breaker_force(&b, 1, TERN__BREAKER_FORCED_CLOSED, &change);
    changed(TERN_BREAKER_OPEN, TERN_BREAKER_CLOSED, "forced it closed");
}

/* What was before is forgotten: neither how long it would have stayed open, nor how often it opened
 * in a row. */
static void forcing_begins_anew(void **state)
{
    (void)state;
    start((tern_breaker_options){ 0 });
    int64_t until = open_at(0);
    for (int i = 0; i < 6; i++) { /* each probe fails: the open time grows */
        call(until, TERN_UNAVAILABLE);
        until = b.open_until;
    }
    assert_true(until - 1 * S > 60 * S);
    const int64_t now = until - 20 * S;
    reject(now, TERN__BREAKER_REJECT_OPEN);
    tern__breaker_force(&b, now, TERN__BREAKER_FORCED_OPEN, &change);
    tern__breaker_force(&b, now, TERN__BREAKER_AUTOMATIC, &change);
    tern__breaker_ticket probe = admit(now);
    assert_true(probe.probe);
    tern__breaker_outcome(&b, now, probe, TERN_UNAVAILABLE, &change);
    assert_int_equal(b.state, TERN_BREAKER_OPEN);
    assert_true(b.open_until - now <= 1200 * MS);
}

static void forcing_holds_for_a_disabled_breaker(void **state)
{
    (void)state;
    start((tern_breaker_options){ .disabled = true });
    tern__breaker_force(&b, 0, TERN__BREAKER_FORCED_OPEN, &change);
    reject(0, TERN__BREAKER_REJECT_FORCED);
    tern__breaker_force(&b, 0, TERN__BREAKER_AUTOMATIC, &change);
    (void)admit(0);
    assert_int_equal(tern__breaker_retry_after(&b, 0), 0);
}

static void rejections_are_told_apart(void **state)
{
    (void)state;
    start((tern_breaker_options){ .calls_in_flight_max = 11 });
    tern__breaker_ticket held[11];
    int64_t until = open_at(0);
    reject(0, TERN__BREAKER_REJECT_OPEN);
    reject(until - 1, TERN__BREAKER_REJECT_OPEN);
    tern__breaker_ticket probe = admit(until);
    for (int i = 0; i < 3; i++)
        reject(until, TERN__BREAKER_REJECT_HALF_OPEN);
    tern__breaker_outcome(&b, until, probe, TERN_OK, &change);
    for (int i = 0; i < 11; i++)
        held[i] = admit(until);
    for (int i = 0; i < 4; i++)
        reject(until, TERN__BREAKER_REJECT_IN_FLIGHT);
    tern__breaker_force(&b, until, TERN__BREAKER_FORCED_OPEN, &change);
    for (int i = 0; i < 5; i++)
        reject(until, TERN__BREAKER_REJECT_FORCED);
    assert_int_equal(b.n_rejected_open, 2);
    assert_int_equal(b.n_rejected_half_open, 3);
    assert_int_equal(b.n_rejected_in_flight, 4);
    assert_int_equal(b.n_rejected_forced, 5);
    assert_int_equal(b.n_rejected, 14);
    assert_int_equal(b.n_opened, 2);
    assert_int_equal(b.n_half_opened, 1);
    assert_int_equal(b.n_closed, 1);
    for (int i = 0; i < 11; i++)
        tern__breaker_outcome(&b, until, held[i], TERN_OK, &change);
    assert_int_equal(b.n_well, 12); /* counted, if not judged */
    assert_int_equal(b.n_failed, 10);
}

/* --- other options ---------------------------------------------------------------------------- */

static void reconfigured(void **state)
{
    (void)state;
    tern_breaker_options o = { .consecutive_failures = 3 }, other = { .consecutive_failures = 5 };
    start(o);
    calls(3, 0, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_OPEN);
    tern__breaker_options_fill(&o);
    tern__breaker_options_fill(&other);
    assert_true(tern__breaker_options_same(&o, &b.opt));
    assert_false(tern__breaker_options_same(&other, &b.opt));
    tern__breaker_reconfigure(&b, &other, &change);
    changed(TERN_BREAKER_OPEN, TERN_BREAKER_CLOSED, "options were changed");
    tern__breaker_ticket t = admit(1);
    calls(4, 1, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    tern__breaker_reconfigure(&b, &o, &change); /* begins anew: the four are forgotten */
    assert_false(change.changed);
    assert_int_equal(b.in_flight, 1);
    calls(2, 1, TERN_UNAVAILABLE);
    tern__breaker_outcome(&b, 1, t, TERN_UNAVAILABLE, &change); /* of before: leaves, no more */
    assert_int_equal(b.in_flight, 0);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    call(1, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_OPEN);
    assert_int_equal(b.n_opened, 2);
}

static void forced_stays_forced(void **state)
{
    (void)state;
    tern_breaker_options other = { .consecutive_failures = 5 };
    start((tern_breaker_options){ .consecutive_failures = 3 });
    tern__breaker_force(&b, 0, TERN__BREAKER_FORCED_OPEN, &change);
    tern__breaker_options_fill(&other);
    tern__breaker_reconfigure(&b, &other, &change);
    assert_false(change.changed);
    reject(1, TERN__BREAKER_REJECT_FORCED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_calls_open),
        cmocka_unit_test(slow_calls_count_only_if_asked_for),
        cmocka_unit_test(slow_failures_count_as_both),
        cmocka_unit_test(a_slow_probe_fails),
        cmocka_unit_test(forced_open),
        cmocka_unit_test(forced_closed),
        cmocka_unit_test(reconfigured),
        cmocka_unit_test(forced_stays_forced),
        cmocka_unit_test(forcing_begins_anew),
        cmocka_unit_test(forcing_holds_for_a_disabled_breaker),
        cmocka_unit_test(rejections_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
