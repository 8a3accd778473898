/* Hedging in virtual time: gRFC A6's examples and its five kinds of answers, the throttle,
 * commitment, late answers, transparent retries, and any history at random. */
#include "policy/hedge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "base/rng.h"
#include "base/time.h"

#define MS TERN__NS_PER_MS
#define NEVER TERN__TIME_NEVER

static tern__hedge h;
static tern__throttle throttle;

static void set_milli(tern__throttle *t, int32_t milli)
{
    atomic_store(&t->word, tern__throttle_word(tern__throttle_max_milli(t),
                                               tern__throttle_ratio_milli(t), milli));
}
static uint32_t cancel;
static uint32_t attempt;
static int64_t until;

/* A6's example: "maxAttempts": 4, "hedgingDelay": "0.5s", "nonFatalStatusCodes":
 * ["UNAVAILABLE", "INTERNAL", "ABORTED"], and "maxTokens": 10, "tokenRatio": 0.1. */
static tern__hedging_policy example(void)
{
    return (tern__hedging_policy){
        .max_attempts = 4,
        .delay_ns = 500 * MS,
        .non_fatal = tern__code_set_of(TERN_UNAVAILABLE) | tern__code_set_of(TERN_INTERNAL) |
                     tern__code_set_of(TERN_ABORTED),
    };
}

static void start(tern__hedging_policy p, int64_t deadline)
{
    tern__hedge_init(&h, &p, 0, deadline);
    tern__throttle_init(&throttle, 10, 0.1);
    cancel = UINT32_MAX;
}

static void sends(int64_t now, uint32_t number)
{
    assert_int_equal(tern__hedge_next(&h, &throttle, now, &attempt, &until), TERN__HEDGE_SEND);
    assert_int_equal(attempt, number);
}

static void waits(int64_t now, int64_t for_time)
{
    assert_int_equal(tern__hedge_next(&h, &throttle, now, &attempt, &until), TERN__HEDGE_WAIT);
    assert_int_equal(until, for_time);
}

static tern__hedge_verdict ends(int64_t now, uint32_t number, tern_code code)
{
    const tern__attempt_result r = { .code = code, .fate = TERN__FATE_ANSWERED };
    return tern__hedge_outcome(&h, number, &r, &throttle, now, &cancel);
}

static tern__hedge_verdict ends_pushback(int64_t now, uint32_t number, tern_code code, int64_t ms)
{
    const tern__attempt_result r = { code, TERN__FATE_ANSWERED, true, ms };
    return tern__hedge_outcome(&h, number, &r, &throttle, now, &cancel);
}

/* "After 1ms there would be one outstanding RPC, after 501ms two, after 1001ms three, and after
 * 1501ms four." */
static void the_example_of_a6(void **state)
{
    (void)state;
    start(example(), NEVER);
    sends(0, 0);
    waits(1 * MS, 500 * MS);
    for (uint32_t i = 1; i < 4; i++) {
        waits((int64_t)i * 500 * MS - 1, (int64_t)i * 500 * MS);
        sends((int64_t)i * 500 * MS, i);
    }
    waits(1501 * MS, NEVER);
    waits(100000 * MS, NEVER); /* no fifth */
    assert_int_equal(ends(2000 * MS, 2, TERN_OK), TERN__HEDGE_FINAL);
    assert_int_equal(cancel, 1 << 0 | 1 << 1 | 1 << 3);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(ends(2000 * MS, i, TERN_OK), TERN__HEDGE_LATE);
    waits(2000 * MS, NEVER);
}

/* "hedgingDelay": "0s": four at once. */
static void all_at_once(void **state)
{
    (void)state;
    tern__hedging_policy p = example();
    p.delay_ns = 0;
    start(p, NEVER);
    for (uint32_t i = 0; i < 4; i++)
        sends(7, i);
    waits(7, NEVER);
}

static void at_most_five(void **state)
{
    (void)state;
    tern__hedging_policy p = example();
    p.max_attempts = 100;
    p.delay_ns = 0;
    start(p, NEVER);
    for (uint32_t i = 0; i < TERN_LIMIT_ATTEMPTS; i++)
        sends(0, i);
    waits(0, NEVER);
}

static void a_fatal_code_ends_it(void **state)
{
    (void)state;
    start(example(), NEVER);
    sends(0, 0);
    sends(500 * MS, 1);
    assert_int_equal(ends(600 * MS, 0, TERN_NOT_FOUND), TERN__HEDGE_FINAL);
    assert_int_equal(cancel, 1 << 1);
    /* a malformed request is no failure of the server */
    assert_int_equal(tern__throttle_milli(&throttle), 10000);
    waits(2000 * MS, NEVER);
    /* Without a list every failure is fatal. */
    tern__hedging_policy p = example();
    p.non_fatal = 0;
    start(p, NEVER);
    sends(0, 0);
    assert_int_equal(ends(1, 0, TERN_UNAVAILABLE), TERN__HEDGE_FINAL);
    assert_int_equal(cancel, 0);
    p.non_fatal = tern__code_set_of(TERN_OK); /* OK is the call's whatever the list says */
    start(p, NEVER);
    sends(0, 0);
    sends(500 * MS, 1);
    assert_int_equal(ends(600 * MS, 1, TERN_OK), TERN__HEDGE_FINAL);
}

/* "Immediately send next scheduled hedged request, if any. Subsequent hedged requests will resume
 * at hedgingDelay." */
static void a_non_fatal_code_hurries_the_next(void **state)
{
    (void)state;
    start(example(), NEVER);
    sends(0, 0);
    assert_int_equal(ends(100 * MS, 0, TERN_INTERNAL), TERN__HEDGE_GO_ON);
    assert_int_equal(tern__throttle_milli(&throttle), 9000);
    sends(100 * MS, 1);
    waits(100 * MS, 600 * MS);
    sends(600 * MS, 2);
    assert_int_equal(ends(650 * MS, 1, TERN_ABORTED), TERN__HEDGE_GO_ON);
    sends(650 * MS, 3);
    assert_int_equal(ends(700 * MS, 2, TERN_UNAVAILABLE), TERN__HEDGE_GO_ON); /* one still runs */
    waits(700 * MS, NEVER);
    assert_int_equal(ends(800 * MS, 3, TERN_UNAVAILABLE), TERN__HEDGE_FINAL); /* the last word */
    assert_int_equal(cancel, 0);
    assert_int_equal(tern__throttle_milli(&throttle), 6000);
}

static void pushback_not_to_retry(void **state)
{
    (void)state;
    start(example(), NEVER);
    sends(0, 0);
    sends(500 * MS, 1);
    assert_int_equal(ends_pushback(600 * MS, 0, TERN_UNAVAILABLE, -1), TERN__HEDGE_GO_ON);
    waits(5000 * MS, NEVER); /* those that run go on, no more are sent */
    assert_int_equal(ends(6000 * MS, 1, TERN_OK), TERN__HEDGE_FINAL);
    start(example(), NEVER);
    sends(0, 0);
    assert_int_equal(ends_pushback(1, 0, TERN_UNAVAILABLE, -1), TERN__HEDGE_FINAL);
    assert_int_equal(tern__throttle_milli(&throttle), 9000);
    start(example(), NEVER);
    sends(0, 0);
    assert_int_equal(ends_pushback(1, 0, TERN_NOT_FOUND, -1), TERN__HEDGE_FINAL);
    assert_int_equal(tern__throttle_milli(&throttle), 9000);
}

/* "Send next hedged request in n ms. Subsequent hedged requests will resume at n + hedgingDelay."
 */
static void pushback_to_retry_later(void **state)
{
    (void)state;
    start(example(), NEVER);
    sends(0, 0);
    assert_int_equal(ends_pushback(100 * MS, 0, TERN_UNAVAILABLE, 2000), TERN__HEDGE_GO_ON);
    waits(100 * MS, 2100 * MS);
    waits(600 * MS, 2100 * MS); /* later than the delay said */
    sends(2100 * MS, 1);
    waits(2100 * MS, 2600 * MS);
    assert_int_equal(ends_pushback(2200 * MS, 1, TERN_UNAVAILABLE, 0), TERN__HEDGE_GO_ON);
    sends(2200 * MS, 2); /* earlier than it said */
    assert_int_equal(ends_pushback(2300 * MS, 2, TERN_UNAVAILABLE, INT64_MAX), TERN__HEDGE_FINAL);
    start(example(), 1000 * MS);
    sends(0, 0);
    assert_int_equal(ends_pushback(1, 0, TERN_UNAVAILABLE, 1000), TERN__HEDGE_FINAL);
}

/* At the half the first attempt is sent, further ones are dropped for good. */
static void throttled(void **state)
{
    (void)state;
    start(example(), NEVER);
    set_milli(&throttle, 5000);
    sends(0, 0);
    waits(0, 500 * MS);
    waits(500 * MS, NEVER);
    set_milli(&throttle, 10000);
    waits(1000 * MS, NEVER);
    assert_int_equal(ends(1100 * MS, 0, TERN_UNAVAILABLE), TERN__HEDGE_FINAL);
    /* The failure that brings it to the half is the call's, unless others run. */
    start(example(), NEVER);
    set_milli(&throttle, 6000);
    sends(0, 0);
    assert_int_equal(ends(1, 0, TERN_UNAVAILABLE), TERN__HEDGE_FINAL);
    start(example(), NEVER);
    set_milli(&throttle, 6000);
    sends(0, 0);
    sends(500 * MS, 1);
    assert_int_equal(ends(501 * MS, 0, TERN_UNAVAILABLE), TERN__HEDGE_GO_ON);
    waits(501 * MS, NEVER);
    assert_int_equal(ends(502 * MS, 1, TERN_OK), TERN__HEDGE_FINAL);
    /* Other calls empty the bucket while nothing runs and one is due later. */
    start(example(), NEVER);
    sends(0, 0);
    assert_int_equal(ends_pushback(1 * MS, 0, TERN_UNAVAILABLE, 100), TERN__HEDGE_GO_ON);
    set_milli(&throttle, 0);
    waits(50 * MS, 101 * MS);
    assert_int_equal(tern__hedge_next(&h, &throttle, 101 * MS, &attempt, &until),
                     TERN__HEDGE_GIVE_UP);
}

static void no_attempt_past_the_deadline(void **state)
{
    (void)state;
    start(example(), 1000 * MS);
    sends(0, 0);
    sends(500 * MS, 1);
    waits(500 * MS, NEVER); /* the third would be due at the deadline */
    start(example(), 1000 * MS);
    sends(0, 0);
    waits(2000 * MS, NEVER); /* asked too late */
    assert_int_equal(ends(2000 * MS, 0, TERN_UNAVAILABLE), TERN__HEDGE_FINAL);
}

/* Response headers, or messages that are no longer kept, commit to one attempt. */
static void commitment(void **state)
{
    (void)state;
    start(example(), NEVER);
    sends(0, 0);
    sends(500 * MS, 1);
    sends(1000 * MS, 2);
    assert_int_equal(tern__hedge_commit(&h, 1), 1 << 0 | 1 << 2);
    assert_int_equal(tern__hedge_commit(&h, 1), 0);
    assert_int_equal(tern__hedge_commit(&h, 2), 0);
    waits(5000 * MS, NEVER);
    assert_int_equal(ends(5000 * MS, 0, TERN_OK), TERN__HEDGE_LATE);
    assert_int_equal(ends(5000 * MS, 1, TERN_UNAVAILABLE), TERN__HEDGE_FINAL); /* non-fatal, yet */
    assert_int_equal(cancel, 0);
    /* The committed one is not sent again: what it was sent with is no longer kept. */
    start(example(), NEVER);
    sends(0, 0);
    assert_int_equal(tern__hedge_commit(&h, 0), 0);
    const tern__attempt_result refused = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_REFUSED };
    assert_int_equal(tern__hedge_outcome(&h, 0, &refused, &throttle, 1, &cancel),
                     TERN__HEDGE_FINAL);
    /* An outcome that says of itself that its headers had come. */
    start(example(), NEVER);
    sends(0, 0);
    sends(500 * MS, 1);
    const tern__attempt_result r = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_COMMITTED };
    assert_int_equal(tern__hedge_outcome(&h, 0, &r, NULL, 501 * MS, &cancel), TERN__HEDGE_FINAL);
    assert_int_equal(cancel, 1 << 1);
}

/* What the protocol proves to be unseen goes round by itself, at no cost. */
static void transparent_retries(void **state)
{
    (void)state;
    const tern__attempt_result refused = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_REFUSED };
    const tern__attempt_result unsent = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_NEVER_SENT };
    start(example(), NEVER);
    sends(0, 0);
    sends(500 * MS, 1);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(tern__hedge_outcome(&h, i, &refused, &throttle, 1, &cancel),
                         TERN__HEDGE_AGAIN);
        assert_int_equal(h.running, 3);
    }
    assert_int_equal(tern__throttle_milli(&throttle), 10000);
    assert_int_equal(tern__hedge_outcome(&h, 0, &refused, &throttle, 1, &cancel),
                     TERN__HEDGE_GO_ON); /* once each */
    assert_int_equal(tern__throttle_milli(&throttle), 9000);
    for (uint32_t i = 2; i < TERN_LIMIT_TRANSPARENT_RETRIES; i++)
        assert_int_equal(tern__hedge_outcome(&h, 1, &unsent, &throttle, 1, &cancel),
                         TERN__HEDGE_AGAIN);
    assert_int_equal(tern__hedge_outcome(&h, 1, &unsent, &throttle, 1, &cancel), TERN__HEDGE_GO_ON);
    start(example(), 10);
    sends(0, 0);
    assert_int_equal(tern__hedge_outcome(&h, 0, &unsent, &throttle, 10, &cancel),
                     TERN__HEDGE_FINAL);
}

/* --- any history ------------------------------------------------------------------------------ */

/* One call with random answers: never more attempts than allowed, one end, no answer after it. */
static void random_call(uint64_t seed)
{
    tern__rng dice;
    tern__rng_seed(&dice, seed);
    tern__hedging_policy p = { .max_attempts = 2 + tern__rng_below(&dice, 8),
                               .delay_ns = tern__rng_below(&dice, 100),
                               .non_fatal = tern__rng_below(&dice, 1 << 17) };
    int64_t now = 0, deadline = 1 + tern__rng_below(&dice, 1000);
    tern__hedge_init(&h, &p, 0, deadline);
    uint32_t running = 0, finals = 0, sent = 0;
    for (uint32_t step = 0; step < 400; step++) {
        tern__hedge_action a = tern__hedge_next(&h, &throttle, now, &attempt, &until);
        if (a == TERN__HEDGE_SEND) {
            bool wrong = finals || attempt != sent || sent >= 5 || sent >= p.max_attempts ||
                         (sent && now >= deadline);
            if (wrong)
                fail_msg("seed %llu: attempt %u sent as the %u.", (unsigned long long)seed, attempt,
                         sent);
            running |= UINT32_C(1) << attempt;
            sent++;
            continue;
        }
        if (a == TERN__HEDGE_GIVE_UP) {
            if (running || finals)
                fail_msg("seed %llu: gave up while something ran", (unsigned long long)seed);
            finals++;
            break;
        }
        if (!running && until == NEVER)
            fail_msg("seed %llu: waits for nothing", (unsigned long long)seed);
        now += tern__rng_below(&dice, 60);
        uint32_t who = tern__rng_below(&dice, sent);
        tern__attempt_result r = { .code = (tern_code)tern__rng_below(&dice, 17),
                                   .fate = (tern__attempt_fate)tern__rng_below(&dice, 6),
                                   .has_pushback = tern__rng_below(&dice, 4) == 0,
                                   .pushback_ms = (int64_t)tern__rng_below(&dice, 3) - 1 };
        if (tern__rng_below(&dice, 3) == 0)
            continue;
        tern__hedge_verdict v = tern__hedge_outcome(&h, who, &r, &throttle, now, &cancel);
        bool was_running = running >> who & 1;
        if ((v == TERN__HEDGE_LATE) == was_running)
            fail_msg("seed %llu: attempt %u late or not", (unsigned long long)seed, who);
        if (v == TERN__HEDGE_FINAL && cancel != (running & ~(UINT32_C(1) << who)))
            fail_msg("seed %llu: cancels %x of %x", (unsigned long long)seed, cancel, running);
        if (v == TERN__HEDGE_GO_ON)
            running &= ~(UINT32_C(1) << who);
        if (tern__throttle_milli(&throttle) > tern__throttle_max_milli(&throttle))
            fail_msg("seed %llu: tokens", (unsigned long long)seed);
        if (v == TERN__HEDGE_FINAL) {
            finals++;
            break;
        }
    }
    for (uint32_t i = 0; i < sent; i++) { /* what comes after the end changes nothing */
        const tern__attempt_result r = { .code = TERN_OK };
        if (tern__hedge_outcome(&h, i, &r, &throttle, now, &cancel) != TERN__HEDGE_LATE)
            fail_msg("seed %llu: a second end", (unsigned long long)seed);
    }
    if (finals != 1)
        fail_msg("seed %llu: %u ends", (unsigned long long)seed, finals);
}

static void random_histories(void **state)
{
    (void)state;
    uint64_t sent = 0;
    for (uint64_t seed = 1; seed <= 50000; seed++) {
        if (seed % 8 == 1)
            tern__throttle_init(&throttle, 20, 0.5);
        random_call(seed);
        sent += h.sent;
    }
    assert_true(sent > 60000); /* they do hedge */
}

/* A delay beyond the deadline means that attempts follow failures only. */
static void a_delay_beyond_the_deadline(void **state)
{
    (void)state;
    start(example(), 400 * MS);
    sends(0, 0);
    waits(0, NEVER);
    assert_int_equal(ends(100 * MS, 0, TERN_UNAVAILABLE), TERN__HEDGE_GO_ON);
    sends(100 * MS, 1);
    waits(100 * MS, NEVER);
    assert_int_equal(ends(400 * MS, 1, TERN_UNAVAILABLE), TERN__HEDGE_FINAL);
}

/* An attempt that a breaker of this side refused is none; what runs goes on. */
static void withdrawn(void **state)
{
    (void)state;
    start(example(), NEVER);
    sends(0, 0);
    sends(500 * MS, 1);
    tern__hedge_withdraw(&h, 1);
    waits(500 * MS, NEVER); /* for the first, and no other follows */
    assert_int_equal(ends(600 * MS, 0, TERN_OK), TERN__HEDGE_FINAL);
    assert_int_equal(cancel, 0);
    start(example(), NEVER);
    sends(0, 0);
    assert_int_equal(ends(100 * MS, 0, TERN_UNAVAILABLE), TERN__HEDGE_GO_ON);
    sends(100 * MS, 1);
    tern__hedge_withdraw(&h, 1);
    assert_int_equal(tern__hedge_next(&h, &throttle, 100 * MS, &attempt, &until),
                     TERN__HEDGE_GIVE_UP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_a6),
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(at_most_five),
        cmocka_unit_test(a_fatal_code_ends_it),
        cmocka_unit_test(a_non_fatal_code_hurries_the_next),
        cmocka_unit_test(pushback_not_to_retry),
        cmocka_unit_test(pushback_to_retry_later),
        cmocka_unit_test(throttled),
        cmocka_unit_test(no_attempt_past_the_deadline),
        cmocka_unit_test(commitment),
        cmocka_unit_test(transparent_retries),
        cmocka_unit_test(a_delay_beyond_the_deadline),
        cmocka_unit_test(withdrawn),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
