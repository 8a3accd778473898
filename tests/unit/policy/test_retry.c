/* Retry: every row of the table "When a call may be repeated" (gRFC A6), then what a delay is made
 * of, the throttle, the bounds, and any history at random. */
#include "policy/retry.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "base/time.h"

#define MS TERN__NS_PER_MS
#define N_ITEMS(a) (sizeof(a) / sizeof(*(a)))

static tern_retry_options filled(void)
{
    tern_retry_options o = { 0 };
    tern__retry_options_fill(&o);
    return o;
}

static tern__rng rng;

/* A call with max_attempts 5 and a full throttle. */
typedef struct call {
    tern__retry retry;
    tern__throttle throttle;
    int64_t delay;
} call;

static void call_init(call *c, bool idempotent)
{
    tern_retry_options o = { .max_attempts = 5 };
    tern__retry_options_fill(&o);
    tern__retry_init(&c->retry, &o, idempotent);
    tern__throttle_init(&c->throttle, 100, 0.1);
    c->delay = -1;
}

static tern__retry_action decide(call *c, tern_code code, tern__attempt_fate fate, int64_t now,
                                 int64_t deadline)
{
    tern__attempt_result result = { .code = code, .fate = fate };
    return tern__retry_decide(&c->retry, &result, &c->throttle, now, deadline, &rng, &c->delay);
}

static tern__retry_action decide_pushback(call *c, tern_code code, tern__attempt_fate fate,
                                          int64_t pushback_ms)
{
    tern__attempt_result result = { code, fate, true, pushback_ms };
    return tern__retry_decide(&c->retry, &result, &c->throttle, 0, TERN__TIME_NEVER, &rng,
                              &c->delay);
}

/* --- the table -------------------------------------------------------------------------------- */

#define STOP TERN__RETRY_STOP
#define TRANSPARENT TERN__RETRY_TRANSPARENT
#define AFTER TERN__RETRY_AFTER

/* One line for each situation, and each code that matters in it: the answer for the first failure
 * of a call that may not be repeated, and of one that may. */
static const struct row {
    const char *what;
    tern_code code;
    tern__attempt_fate fate;
    tern__retry_action not_idempotent, idempotent;
} table[] = {
    { "never sent", TERN_UNAVAILABLE, TERN__FATE_NEVER_SENT, TRANSPARENT, TRANSPARENT },
    { "never sent, cancelled", TERN_CANCELLED, TERN__FATE_NEVER_SENT, STOP, STOP },
    { "never sent, too late", TERN_DEADLINE_EXCEEDED, TERN__FATE_NEVER_SENT, STOP, STOP },
    { "never sent, queue full", TERN_RESOURCE_EXHAUSTED, TERN__FATE_NEVER_SENT, STOP, STOP },
    { "never sent, bad metadata", TERN_INTERNAL, TERN__FATE_NEVER_SENT, STOP, STOP },
    { "refused", TERN_UNAVAILABLE, TERN__FATE_REFUSED, TRANSPARENT, TRANSPARENT },
    { "refused, cancelled", TERN_CANCELLED, TERN__FATE_REFUSED, STOP, STOP },
    { "answered", TERN_UNAVAILABLE, TERN__FATE_ANSWERED, STOP, AFTER },
    { "answered", TERN_CANCELLED, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_UNKNOWN, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_INVALID_ARGUMENT, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_DEADLINE_EXCEEDED, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_NOT_FOUND, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_ALREADY_EXISTS, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_PERMISSION_DENIED, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered, no pushback", TERN_RESOURCE_EXHAUSTED, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_FAILED_PRECONDITION, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_ABORTED, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_OUT_OF_RANGE, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_UNIMPLEMENTED, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_INTERNAL, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_DATA_LOSS, TERN__FATE_ANSWERED, STOP, STOP },
    { "answered", TERN_UNAUTHENTICATED, TERN__FATE_ANSWERED, STOP, STOP },
    { "committed", TERN_UNAVAILABLE, TERN__FATE_COMMITTED, STOP, STOP },
    { "committed", TERN_INTERNAL, TERN__FATE_COMMITTED, STOP, STOP },
    { "committed", TERN_UNKNOWN, TERN__FATE_COMMITTED, STOP, STOP },
    { "connection lost", TERN_UNAVAILABLE, TERN__FATE_IN_DOUBT, STOP, AFTER },
    { "reset with another code", TERN_INTERNAL, TERN__FATE_IN_DOUBT, STOP, AFTER },
    { "no status at all", TERN_UNKNOWN, TERN__FATE_IN_DOUBT, STOP, AFTER },
    { "deadline", TERN_DEADLINE_EXCEEDED, TERN__FATE_IN_DOUBT, STOP, STOP },
    { "reset with CANCEL", TERN_CANCELLED, TERN__FATE_IN_DOUBT, STOP, STOP },
    { "ENHANCE_YOUR_CALM", TERN_RESOURCE_EXHAUSTED, TERN__FATE_IN_DOUBT, STOP, STOP },
    { "INADEQUATE_SECURITY", TERN_PERMISSION_DENIED, TERN__FATE_IN_DOUBT, STOP, STOP },
    { "no connection", TERN_UNAVAILABLE, TERN__FATE_NOT_PICKED, AFTER, AFTER },
    { "no connection, cancelled", TERN_CANCELLED, TERN__FATE_NOT_PICKED, STOP, STOP },
    { "no connection, too late", TERN_DEADLINE_EXCEEDED, TERN__FATE_NOT_PICKED, STOP, STOP },
    { "it succeeded", TERN_OK, TERN__FATE_COMMITTED, STOP, STOP },
    { "it succeeded", TERN_OK, TERN__FATE_ANSWERED, STOP, STOP },
};

static void the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ITEMS(table); i++) {
        for (int idempotent = 0; idempotent <= 1; idempotent++) {
            call c;
            call_init(&c, idempotent);
            tern__retry_action expected = idempotent ? table[i].idempotent
                                                     : table[i].not_idempotent;
            tern__retry_action got = decide(&c, table[i].code, table[i].fate, 0, TERN__TIME_NEVER);
            if (got != expected)
                fail_msg("%s, code %d, idempotent %d: %d instead of %d", table[i].what,
                         (int)table[i].code, idempotent, (int)got, (int)expected);
            assert_int_equal(c.retry.attempts, expected == AFTER ? 2 : 1);
            assert_int_equal(c.retry.transparent, expected == TRANSPARENT ? 1 : 0);
            assert_true(expected == AFTER ? c.delay > 0 : c.delay == -1);
        }
    }
}

/* Disabled: nothing by policy, transparent retries as ever. */
static void disabled(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ITEMS(table); i++) {
        call c;
        call_init(&c, true);
        c.retry.disabled = true;
        tern__retry_action expected = table[i].idempotent == AFTER ? STOP : table[i].idempotent;
        assert_int_equal(decide(&c, table[i].code, table[i].fate, 0, TERN__TIME_NEVER), expected);
    }
    call c;
    call_init(&c, true);
    c.retry.disabled = true;
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_REFUSED, 0, TERN__TIME_NEVER),
                     TRANSPARENT);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_REFUSED, 0, TERN__TIME_NEVER), STOP);
}

/* --- the rows, followed further --------------------------------------------------------------- */

/* Never sent: again and again until the deadline, but not more often than the limit. */
static void never_sent_until_the_deadline(void **state)
{
    (void)state;
    call c;
    call_init(&c, false);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_NEVER_SENT, 999, 1000), TRANSPARENT);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_NEVER_SENT, 1000, 1000), STOP);
    call_init(&c, true);
    const int64_t never = TERN__TIME_NEVER;
    for (uint32_t i = 0; i < TERN_LIMIT_TRANSPARENT_RETRIES; i++)
        assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_NEVER_SENT, 0, never),
                         TRANSPARENT);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_NEVER_SENT, 0, never), STOP);
    assert_int_equal(c.retry.attempts, 1);
    assert_int_equal(tern__throttle_milli(&c.throttle), tern__throttle_max_milli(&c.throttle));
}

/* Refused: once at once and free of charge, then by policy, which needs no idempotent method
 * because no handler ran, but an attempt and a token. */
static void refused_once_then_by_policy(void **state)
{
    (void)state;
    call c;
    call_init(&c, false);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_REFUSED, 0, TERN__TIME_NEVER),
                     TRANSPARENT);
    assert_int_equal(tern__throttle_milli(&c.throttle), 100000);
    for (uint32_t i = 2; i <= 5; i++) {
        assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_REFUSED, 0, TERN__TIME_NEVER),
                         AFTER);
        assert_int_equal(c.retry.attempts, i);
        assert_int_equal(c.retry.transparent, 1);
        assert_int_equal(tern__throttle_milli(&c.throttle), 100000 - 1000 * (int)(i - 1));
    }
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_REFUSED, 0, TERN__TIME_NEVER), STOP);
    /* A refusal after the transparent retry is spent is no proof for an attempt in doubt. */
    call_init(&c, false);
    (void)decide(&c, TERN_UNAVAILABLE, TERN__FATE_REFUSED, 0, TERN__TIME_NEVER);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_IN_DOUBT, 0, TERN__TIME_NEVER), STOP);
}

static void attempts_are_capped(void **state)
{
    (void)state;
    for (uint32_t max = 1; max <= 5; max++) {
        call c;
        call_init(&c, true);
        c.retry.max_attempts = max;
        for (uint32_t i = 1; i < max; i++)
            assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER),
                             AFTER);
        assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER),
                         STOP);
        assert_int_equal(c.retry.attempts, max);
    }
}

/* --- delays ----------------------------------------------------------------------------------- */

/* min(initial x mult^(n-1), max) x random(0.8, 1.2): 50, 100, 200, 400 ms by default. */
static void delays_grow_with_jitter(void **state)
{
    (void)state;
    int64_t low = INT64_MAX, high = 0;
    for (int i = 0; i < 2000; i++) {
        call c;
        call_init(&c, true);
        int64_t base = 50 * MS;
        for (int n = 0; n < 4; n++, base *= 2) {
            assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER),
                             AFTER);
            assert_true(c.delay >= base * 8 / 10 && c.delay <= base * 12 / 10);
            int64_t scaled = c.delay / (base / 1000);
            low = scaled < low ? scaled : low;
            high = scaled > high ? scaled : high;
        }
    }
    assert_true(low < 810 && high > 1190);
}

/* Pushback is waited for exactly, and the pause after it is the first one again. */
static void pushback_is_obeyed(void **state)
{
    (void)state;
    call c;
    call_init(&c, true);
    (void)decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER);
    (void)decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER);
    assert_true(c.delay >= 80 * MS);
    assert_int_equal(decide_pushback(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 777), AFTER);
    assert_int_equal(c.delay, 777 * MS);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER), AFTER);
    assert_true(c.delay <= 60 * MS);
    call_init(&c, true);
    assert_int_equal(decide_pushback(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0), AFTER);
    assert_int_equal(c.delay, 0);
    assert_int_equal(decide_pushback(&c, TERN_RESOURCE_EXHAUSTED, TERN__FATE_ANSWERED, 5), AFTER);
    assert_int_equal(c.delay, 5 * MS);
    /* Pushback makes neither another code retryable nor a method idempotent, nor is it for ever. */
    assert_int_equal(decide_pushback(&c, TERN_NOT_FOUND, TERN__FATE_ANSWERED, 5), STOP);
    assert_int_equal(decide_pushback(&c, TERN_UNAVAILABLE, TERN__FATE_COMMITTED, 5), STOP);
    assert_int_equal(decide_pushback(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, INT64_MAX), STOP);
    call_init(&c, false);
    assert_int_equal(decide_pushback(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 5), STOP);
}

/* A negative pushback stops, and takes a token whatever the code. */
static void negative_pushback_stops(void **state)
{
    (void)state;
    const tern_code codes[] = { TERN_UNAVAILABLE, TERN_RESOURCE_EXHAUSTED, TERN_NOT_FOUND };
    for (size_t i = 0; i < N_ITEMS(codes); i++) {
        call c;
        call_init(&c, true);
        assert_int_equal(decide_pushback(&c, codes[i], TERN__FATE_ANSWERED, -1), STOP);
        assert_int_equal(tern__throttle_milli(&c.throttle), 99000);
        assert_int_equal(c.retry.attempts, 1);
    }
}

/* One deadline for all attempts: a pause that would reach it is not begun. */
static void no_attempt_past_the_deadline(void **state)
{
    (void)state;
    call c;
    call_init(&c, true);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, 40 * MS), STOP);
    assert_int_equal(c.retry.attempts, 1);
    call_init(&c, true);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, 61 * MS), AFTER);
    tern__attempt_result result = { TERN_UNAVAILABLE, TERN__FATE_ANSWERED, true, 100 };
    assert_int_equal(tern__retry_decide(&c.retry, &result, NULL, 0, 100 * MS, &rng, &c.delay),
                     STOP);
    assert_int_equal(tern__retry_decide(&c.retry, &result, NULL, 0, 100 * MS + 1, &rng, &c.delay),
                     AFTER);
}

/* --- throttle --------------------------------------------------------------------------------- */

/* Fifty failures bring 100 tokens to the half; from there nothing is repeated until successes lift
 * the bucket. Transparent retries go on. */
static void throttle_stops_retries(void **state)
{
    (void)state;
    tern__throttle shared;
    tern__throttle_init(&shared, 100, 0.1);
    int retried = 0;
    call c;
    for (int i = 0; i < 200; i++) {
        call_init(&c, true);
        tern__attempt_result result = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_ANSWERED };
        retried += tern__retry_decide(&c.retry, &result, &shared, 0, TERN__TIME_NEVER, &rng,
                                      &c.delay) == AFTER;
    }
    assert_int_equal(retried, 49);
    assert_int_equal(tern__throttle_milli(&shared), 0);
    tern__attempt_result refused = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_REFUSED };
    call_init(&c, true);
    assert_int_equal(
        tern__retry_decide(&c.retry, &refused, &shared, 0, TERN__TIME_NEVER, &rng, &c.delay),
        TRANSPARENT);
    for (int i = 0; i < 511; i++)
        tern__throttle_success(&shared);
    tern__attempt_result answered = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_ANSWERED };
    assert_int_equal(
        tern__retry_decide(&c.retry, &answered, &shared, 0, TERN__TIME_NEVER, &rng, &c.delay),
        AFTER);
}

/* What takes a token, and what does not. */
static void what_takes_a_token(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ITEMS(table); i++) {
        call c;
        call_init(&c, false);
        (void)decide(&c, table[i].code, table[i].fate, 0, TERN__TIME_NEVER);
        bool committed = table[i].fate == TERN__FATE_COMMITTED && table[i].code == TERN_UNAVAILABLE;
        bool takes = committed || table[i].idempotent == AFTER;
        if (tern__throttle_milli(&c.throttle) != (takes ? 99000 : 100000))
            fail_msg("%s, code %d: %d", table[i].what, (int)table[i].code,
                     (int)tern__throttle_milli(&c.throttle));
    }
}

/* --- retryPolicy of a service config (A6 to the letter) ----------------------------------------
 */

/* A6's example: "maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s",
 * "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]. */
static tern__retry_policy example(void)
{
    return (tern__retry_policy){ .max_attempts = 4,
                                 .initial_backoff_ns = 100 * MS,
                                 .max_backoff_ns = 1000 * MS,
                                 .backoff_multiplier = 2,
                                 .retryable = tern__code_set_of(TERN_UNAVAILABLE) };
}

static void policy_init(call *c, tern__retry_policy p)
{
    tern__retry_init_policy(&c->retry, &p);
    tern__throttle_init(&c->throttle, 10, 0.1);
    c->delay = -1;
}

static void the_example_of_a6(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        call c;
        policy_init(&c, example());
        for (int64_t base = 100 * MS; base <= 400 * MS; base *= 2) {
            assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER),
                             AFTER);
            assert_true(c.delay >= base * 8 / 10 && c.delay <= base * 12 / 10);
        }
        assert_int_equal(c.retry.attempts, 4);
        assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER),
                         STOP);
        /* the last failure counts, too */
        assert_int_equal(tern__throttle_milli(&c.throttle), 6000);
    }
}

/* initialBackoff above maxBackoff, and a multiplier below 1: both are valid, and mean what the
 * formula says. */
static void odd_backoffs_are_valid(void **state)
{
    (void)state;
    call c;
    tern__retry_policy p = example();
    p.initial_backoff_ns = 5000 * MS;
    policy_init(&c, p);
    (void)decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER);
    assert_true(c.delay >= 800 * MS && c.delay <= 1200 * MS);
    p = example();
    p.backoff_multiplier = 0.5;
    policy_init(&c, p);
    for (int64_t base = 100 * MS; base >= 25 * MS; base /= 2) {
        (void)decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER);
        assert_true(c.delay >= base * 8 / 10 && c.delay <= base * 12 / 10);
    }
}

/* The list decides, not what Tern thinks of a code or of the method. */
static void only_the_listed_codes(void **state)
{
    (void)state;
    static const tern__attempt_fate fates[] = { TERN__FATE_ANSWERED, TERN__FATE_IN_DOUBT,
                                                TERN__FATE_NOT_PICKED };
    for (int listed = 1; listed <= 16; listed++) {
        for (int code = 0; code <= 16; code++) {
            for (size_t i = 0; i < N_ITEMS(fates); i++) {
                call c;
                tern__retry_policy p = example();
                p.retryable = tern__code_set_of((tern_code)listed);
                policy_init(&c, p);
                assert_int_equal(decide(&c, (tern_code)code, fates[i], 0, TERN__TIME_NEVER),
                                 code == listed ? AFTER : STOP);
                assert_int_equal(tern__throttle_milli(&c.throttle), code == listed ? 9000 : 10000);
            }
        }
    }
    /* RESOURCE_EXHAUSTED with pushback is none of the list. */
    call c;
    policy_init(&c, example());
    assert_int_equal(decide_pushback(&c, TERN_RESOURCE_EXHAUSTED, TERN__FATE_ANSWERED, 5), STOP);
    assert_int_equal(tern__throttle_milli(&c.throttle), 10000);
    tern__retry_policy p = example();
    p.retryable = tern__code_set_of(TERN_OK);
    policy_init(&c, p);
    assert_int_equal(decide(&c, TERN_OK, TERN__FATE_COMMITTED, 0, TERN__TIME_NEVER), STOP);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_NOT_PICKED, 0, TERN__TIME_NEVER),
                     STOP);
}

static void committed_is_final(void **state)
{
    (void)state;
    call c;
    policy_init(&c, example());
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_COMMITTED, 0, TERN__TIME_NEVER), STOP);
    assert_int_equal(tern__throttle_milli(&c.throttle), 9000);
    for (int fate = TERN__FATE_NEVER_SENT; fate <= TERN__FATE_NOT_PICKED; fate++) {
        policy_init(&c, example());
        tern__retry_commit(&c.retry);
        assert_int_equal(
            decide(&c, TERN_UNAVAILABLE, (tern__attempt_fate)fate, 0, TERN__TIME_NEVER), STOP);
        call_init(&c, true);
        tern__retry_commit(&c.retry);
        assert_int_equal(
            decide(&c, TERN_UNAVAILABLE, (tern__attempt_fate)fate, 0, TERN__TIME_NEVER), STOP);
    }
}

/* Transparent retries come first, and cost neither attempts nor tokens; then the policy. */
static void transparent_before_the_policy(void **state)
{
    (void)state;
    call c;
    policy_init(&c, example());
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_REFUSED, 0, TERN__TIME_NEVER),
                     TRANSPARENT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_NEVER_SENT, 0, TERN__TIME_NEVER),
                         TRANSPARENT);
    assert_int_equal(c.retry.attempts, 1);
    assert_int_equal(tern__throttle_milli(&c.throttle), 10000);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_REFUSED, 0, TERN__TIME_NEVER), AFTER);
    assert_int_equal(tern__throttle_milli(&c.throttle), 9000);
    c.retry.transparent = TERN_LIMIT_TRANSPARENT_RETRIES;
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_NEVER_SENT, 0, TERN__TIME_NEVER),
                     AFTER);
    tern__retry_policy p = example();
    p.retryable = tern__code_set_of(TERN_ABORTED);
    policy_init(&c, p);
    (void)decide(&c, TERN_UNAVAILABLE, TERN__FATE_REFUSED, 0, TERN__TIME_NEVER);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_REFUSED, 0, TERN__TIME_NEVER), STOP);
}

/* "retry in n ms" exactly, then initialBackoff anew; "do not retry", whatever is left. */
static void pushback_by_policy(void **state)
{
    (void)state;
    call c;
    policy_init(&c, example());
    (void)decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER);
    assert_int_equal(decide_pushback(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 7777), AFTER);
    assert_int_equal(c.delay, 7777 * MS);
    assert_int_equal(decide(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 0, TERN__TIME_NEVER), AFTER);
    assert_true(c.delay >= 80 * MS && c.delay <= 120 * MS);
    assert_int_equal(decide_pushback(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, 1), STOP);
    policy_init(&c, example());
    assert_int_equal(decide_pushback(&c, TERN_UNAVAILABLE, TERN__FATE_ANSWERED, -1), STOP);
    assert_int_equal(tern__throttle_milli(&c.throttle), 9000);
    policy_init(&c, example());
    assert_int_equal(decide_pushback(&c, TERN_NOT_FOUND, TERN__FATE_ANSWERED, -1), STOP);
    /* A6: or that receive a pushback not to retry */
    assert_int_equal(tern__throttle_milli(&c.throttle), 9000);
}

/* "maxTokens": 10: at the half nothing is repeated. */
static void throttled_by_policy(void **state)
{
    (void)state;
    call c;
    tern__throttle shared;
    tern__throttle_init(&shared, 10, 0.1);
    const tern__attempt_result unavailable = { .code = TERN_UNAVAILABLE,
                                               .fate = TERN__FATE_ANSWERED };
    for (int i = 1; i <= 8; i++) {
        policy_init(&c, example());
        assert_int_equal(tern__retry_decide(&c.retry, &unavailable, &shared, 0, TERN__TIME_NEVER,
                                            &rng, &c.delay),
                         i <= 4 ? AFTER : STOP);
    }
}

/* "Values greater than 5 are treated as 5"; any list, any history: never more. */
static void random_policies(void **state)
{
    (void)state;
    uint64_t repeated = 0;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        tern__rng dice;
        tern__rng_seed(&dice, seed);
        tern__retry_policy p = {
            .max_attempts = 2 + tern__rng_below(&dice, 20),
            .initial_backoff_ns = 1 + tern__rng_below(&dice, 1000),
            .max_backoff_ns = 1 + tern__rng_below(&dice, 5000),
            .backoff_multiplier = tern__rng_uniform(&dice, 0.01, 10),
            .retryable = 1 + tern__rng_below(&dice, (1 << 17) - 1),
        };
        call c;
        policy_init(&c, p);
        uint32_t sent = 1;
        for (tern__retry_action action = AFTER; action != STOP;) {
            tern__attempt_result r = { .code = (tern_code)tern__rng_below(&dice, 17),
                                       .fate = (tern__attempt_fate)tern__rng_below(&dice, 6) };
            action =
                tern__retry_decide(&c.retry, &r, &c.throttle, 0, TERN__TIME_NEVER, &dice, &c.delay);
            sent += action == AFTER;
            bool listed = tern__code_set_has(p.retryable, r.code) && r.code != TERN_OK;
            bool within = c.delay <= p.max_backoff_ns * 12 / 10;
            if (action == AFTER && (!listed || !within || r.fate == TERN__FATE_COMMITTED))
                fail_msg("seed %llu: code %d, fate %d, delay %lld", (unsigned long long)seed,
                         (int)r.code, (int)r.fate, (long long)c.delay);
        }
        repeated += sent - 1;
        if (sent > 5 || sent > p.max_attempts || sent != c.retry.attempts)
            fail_msg("seed %llu: %u attempts of %u", (unsigned long long)seed, sent,
                     p.max_attempts);
    }
    assert_true(repeated > 5000);
    tern__retry_policy p = example();
    p.max_attempts = 100;
    call c;
    policy_init(&c, p);
    const tern__attempt_result r = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_ANSWERED };
    for (uint32_t i = 1; i < TERN_LIMIT_ATTEMPTS; i++)
        assert_int_equal(
            tern__retry_decide(&c.retry, &r, NULL, 0, TERN__TIME_NEVER, &rng, &c.delay), AFTER);
    assert_int_equal(tern__retry_decide(&c.retry, &r, NULL, 0, TERN__TIME_NEVER, &rng, &c.delay),
                     STOP);
}

/* --- options and histories -------------------------------------------------------------------- */

static void options_are_filled(void **state)
{
    (void)state;
    tern_retry_options o = filled();
    assert_false(o.disabled);
    assert_int_equal(o.max_attempts, 3);
    assert_int_equal(o.initial_backoff_ms, 50);
    assert_int_equal(o.max_backoff_ms, 1000);
    assert_true(o.backoff_multiplier >= 2 && o.backoff_multiplier <= 2);
    assert_true(o.throttle_max_tokens >= 100 && o.throttle_max_tokens <= 100);
    assert_true(o.throttle_token_ratio >= 0.1 && o.throttle_token_ratio <= 0.1);
    o = (tern_retry_options){ .max_attempts = 1000,
                              .initial_backoff_ms = 7000,
                              .backoff_multiplier = 0.1,
                              .throttle_max_tokens = 1e9,
                              .throttle_token_ratio = 17 };
    tern__retry_options_fill(&o);
    assert_int_equal(o.max_attempts, TERN_LIMIT_ATTEMPTS);
    assert_int_equal(o.max_backoff_ms, 7000);
    assert_true(o.backoff_multiplier >= 1 && o.backoff_multiplier <= 1);
    assert_true(o.throttle_max_tokens >= 1000 && o.throttle_max_tokens <= 1000);
    assert_true(o.throttle_token_ratio >= 1 && o.throttle_token_ratio <= 1);
    o = (tern_retry_options){ .max_attempts = 1,
                              .max_backoff_ms = 10,
                              .backoff_multiplier = (double)NAN,
                              .throttle_max_tokens = -1,
                              .throttle_token_ratio = (double)NAN };
    tern__retry_options_fill(&o);
    assert_int_equal(o.max_attempts, 1);
    assert_int_equal(o.max_backoff_ms, 10);
    assert_true(o.backoff_multiplier >= 2 && o.throttle_max_tokens >= 100);
    assert_true(o.throttle_token_ratio <= 0.1);
}

/* One call, failing at random until it is given to the caller. */
static void random_call(uint64_t seed, tern__throttle *throttle)
{
    tern__rng dice;
    tern__rng_seed(&dice, seed);
    tern_retry_options o = { .max_attempts = tern__rng_below(&dice, 9),
                             .initial_backoff_ms = tern__rng_below(&dice, 100),
                             .max_backoff_ms = tern__rng_below(&dice, 400) };
    tern__retry_options_fill(&o);
    tern__retry r;
    bool idempotent = tern__rng_below(&dice, 2);
    tern__retry_init(&r, &o, idempotent);
    int64_t now = 0, deadline = (int64_t)tern__rng_below(&dice, 2000) * MS;
    uint32_t sent = 0; /* attempts that a handler may have seen */
    for (uint32_t steps = 0;; steps++) {
        tern__attempt_result result = { .code = (tern_code)tern__rng_below(&dice, 17),
                                        .fate = (tern__attempt_fate)tern__rng_below(&dice, 6),
                                        .has_pushback = tern__rng_below(&dice, 4) == 0,
                                        .pushback_ms = (int64_t)tern__rng_below(&dice, 100) - 10 };
        if (tern__rng_below(&dice, 4))
            result.code = TERN_UNAVAILABLE;
        sent += result.fate != TERN__FATE_NEVER_SENT && result.fate != TERN__FATE_REFUSED &&
                result.fate != TERN__FATE_NOT_PICKED;
        int64_t delay = -1;
        tern__retry_action action =
            tern__retry_decide(&r, &result, throttle, now, deadline, &dice, &delay);
        bool bounded = r.attempts >= 1 && r.attempts <= o.max_attempts &&
                       r.attempts <= TERN_LIMIT_ATTEMPTS &&
                       r.transparent <= TERN_LIMIT_TRANSPARENT_RETRIES &&
                       steps <= TERN_LIMIT_ATTEMPTS + TERN_LIMIT_TRANSPARENT_RETRIES;
        bool tokens = tern__throttle_milli(throttle) <= tern__throttle_max_milli(throttle);
        bool safe = action == STOP || idempotent || sent == 0;
        bool timely = action != AFTER || (delay >= 0 && now + delay < deadline);
        if (!bounded || !tokens || !safe || !timely)
            fail_msg("seed %llu, step %u: bounded %d tokens %d safe %d timely %d",
                     (unsigned long long)seed, steps, bounded, tokens, safe, timely);
        if (action == STOP)
            return;
        assert_false(result.fate == TERN__FATE_COMMITTED);
        now += action == AFTER ? delay : 0;
        if (tern__rng_below(&dice, 2))
            tern__throttle_success(throttle);
    }
}

static void random_histories(void **state)
{
    (void)state;
    tern__throttle throttle;
    for (uint64_t seed = 1; seed <= 50000; seed++) {
        if (seed % 100 == 1)
            tern__throttle_init(&throttle, 20, 0.5);
        random_call(seed, &throttle);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table),
        cmocka_unit_test(disabled),
        cmocka_unit_test(never_sent_until_the_deadline),
        cmocka_unit_test(refused_once_then_by_policy),
        cmocka_unit_test(attempts_are_capped),
        cmocka_unit_test(delays_grow_with_jitter),
        cmocka_unit_test(pushback_is_obeyed),
        cmocka_unit_test(negative_pushback_stops),
        cmocka_unit_test(no_attempt_past_the_deadline),
        cmocka_unit_test(throttle_stops_retries),
        cmocka_unit_test(what_takes_a_token),
        cmocka_unit_test(the_example_of_a6),
        cmocka_unit_test(odd_backoffs_are_valid),
        cmocka_unit_test(only_the_listed_codes),
        cmocka_unit_test(committed_is_final),
        cmocka_unit_test(transparent_before_the_policy),
        cmocka_unit_test(pushback_by_policy),
        cmocka_unit_test(throttled_by_policy),
        cmocka_unit_test(random_policies),
        cmocka_unit_test(options_are_filled),
        cmocka_unit_test(random_histories),
    };
    tern__rng_seed(&rng, 6);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
