/* Circuit breaker in virtual time: what opens it and what does not, how long it stays open, probes,
 * late outcomes, the limit of calls in flight, and any history at random against a plain model. */
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
#define N_ITEMS(a) (sizeof(a) / sizeof(*(a)))

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

/* --- the two signals -------------------------------------------------------------------------- */

static void failures_in_a_row_open(void **state)
{
    (void)state;
    start((tern_breaker_options){ 0 });
    calls(9, 0, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    call(0, TERN_OK); /* breaks the row */
    calls(9, 0, TERN_INTERNAL);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    call(0, TERN_DEADLINE_EXCEEDED);
    changed(TERN_BREAKER_CLOSED, TERN_BREAKER_OPEN, "10 call(s) in a row failed");
    assert_non_null(strstr(change.reason, "DEADLINE_EXCEEDED"));
    assert_int_equal(b.n_opened, 1);
    reject(0, TERN__BREAKER_REJECT_OPEN);
    assert_false(change.changed);
}

/* A partial failure never has many in a row; the rate of the window sees it. */
static void failure_rate_opens(void **state)
{
    (void)state;
    start((tern_breaker_options){ .consecutive_failures = 1000 });
    for (int i = 0; i < 9; i++) {
        call(i * 100 * MS, TERN_OK);
        call(i * 100 * MS, TERN_UNKNOWN);
    }
    call(1 * S, TERN_OK);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED); /* 19 calls: below the minimum of 20 */
    call(1 * S, TERN_UNKNOWN);
    changed(TERN_BREAKER_CLOSED, TERN_BREAKER_OPEN, "10 of 20 calls within 10000 ms failed");
}

static void rate_below_the_limit_stays_closed(void **state)
{
    (void)state;
    start((tern_breaker_options){ .failure_percent = 50 });
    for (int i = 0; i < 1000; i++) { /* 2 of 5 fail */
        call(i * 10 * MS, TERN_OK);
        call(i * 10 * MS, TERN_UNAVAILABLE);
        call(i * 10 * MS, TERN_OK);
        call(i * 10 * MS, TERN_UNAVAILABLE);
        call(i * 10 * MS, TERN_OK);
    }
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    assert_int_equal(b.n_opened, 0);
}

/* Old buckets expire one by one: failures count until they leave the window, not after. */
static void old_buckets_expire(void **state)
{
    (void)state;
    const tern_breaker_options o = { .consecutive_failures = 1000 };
    for (int64_t later_ms = 0; later_ms <= 30000; later_ms += 500) {
        start(o);
        calls(15, 500 * MS, TERN_UNAVAILABLE);
        int64_t now = (500 + later_ms) * MS;
        calls(10, now, TERN_OK);
        call(now, TERN_UNAVAILABLE); /* 16 of 26, or 1 of 11 */
        bool in_window = 500 + later_ms < 10000;
        assert_int_equal(b.state, in_window ? TERN_BREAKER_OPEN : TERN_BREAKER_CLOSED);
    }
}

/* A leap of any length empties the ring, a clock that stands or goes back counts as now. */
static void window_and_odd_clocks(void **state)
{
    (void)state;
    start((tern_breaker_options){ .consecutive_failures = 1000 });
    calls(19, 5 * S, TERN_UNAVAILABLE);
    call(INT64_MAX - 1, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    calls(18, 3 * S, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    call(0, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_OPEN);
}

/* --- what counts ------------------------------------------------------------------------------ */

static void which_codes_count(void **state)
{
    (void)state;
    for (int code = 0; code <= 16; code++) {
        bool failure = code == TERN_UNAVAILABLE || code == TERN_DEADLINE_EXCEEDED ||
                       code == TERN_INTERNAL || code == TERN_UNKNOWN;
        start((tern_breaker_options){ .consecutive_failures = 3, .window_calls_min = 1000 });
        calls(2, 0, TERN_UNAVAILABLE);
        call(0, (tern_code)code);
        assert_int_equal(b.state, failure ? TERN_BREAKER_OPEN : TERN_BREAKER_CLOSED);
        bool leaves_row = failure || code == TERN_CANCELLED || code == TERN_RESOURCE_EXHAUSTED;
        if (!failure)
            assert_int_equal(b.consecutive, leaves_row ? 2 : 0);

        start((tern_breaker_options){ .consecutive_failures = 1000, .window_calls_min = 5 });
        for (int i = 0; i < 5; i++)
            call(0, (tern_code)code);
        bool rate = failure || code == TERN_RESOURCE_EXHAUSTED;
        assert_int_equal(b.state, rate ? TERN_BREAKER_OPEN : TERN_BREAKER_CLOSED);
    }
}

/* The caller's own CANCELLED is neither a call nor a success. */
static void cancelled_counts_not_at_all(void **state)
{
    (void)state;
    start((tern_breaker_options){ .consecutive_failures = 1000 });
    calls(1000, 0, TERN_CANCELLED);
    calls(19, 0, TERN_UNAVAILABLE); /* 19 of 19, not of 1,019: below the minimum */
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    assert_int_equal(b.buckets[0].calls, 19);
    call(0, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_OPEN);
    assert_int_equal(b.in_flight, 0);
}

/* --- open time -------------------------------------------------------------------------------- */

/* Doubles with each failed probe, ±20 %, never above the cap; a success starts it over. */
static void open_time_grows_and_is_capped(void **state)
{
    (void)state;
    int64_t low = INT64_MAX, high = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        start((tern_breaker_options){ .open_ms = 1000, .open_ms_max = 30000 });
        tern__rng_seed(&b.rng, seed);
        int64_t now = 7 * S, base = 1 * S;
        int64_t until = open_at(now);
        for (int i = 0; i < 10; i++) {
            int64_t capped = base < 25 * S ? base : 25 * S; /* 30 s / 1.2 */
            assert_true(until - now >= capped * 8 / 10 - 1);
            assert_true(until - now <= capped * 12 / 10 && until - now <= 30 * S);
            if (i == 9) {
                low = until - now < low ? until - now : low;
                high = until - now > high ? until - now : high;
            }
            reject(until - 1, TERN__BREAKER_REJECT_OPEN);
            now = until;
            call(now, TERN_UNAVAILABLE);
            changed(TERN_BREAKER_HALF_OPEN, TERN_BREAKER_OPEN, "a probe call failed");
            until = b.open_until;
            base *= 2;
        }
        call(until, TERN_OK);
        assert_int_equal(b.state, TERN_BREAKER_CLOSED);
        assert_true(open_at(until) - until <= 1200 * MS);
    }
    assert_true(low < 21 * S && high > 29 * S); /* spread also at the cap */
}

static void retry_after_tells_the_time(void **state)
{
    (void)state;
    start((tern_breaker_options){ 0 });
    assert_int_equal(tern__breaker_retry_after(&b, 0), 0);
    int64_t until = open_at(0);
    assert_int_equal(tern__breaker_retry_after(&b, 0), until);
    assert_int_equal(tern__breaker_retry_after(&b, until - 5), 5);
    assert_int_equal(tern__breaker_retry_after(&b, until), 0);
    assert_int_equal(tern__breaker_retry_after(&b, until + 99), 0);
    tern__breaker_ticket probe = admit(until);
    assert_int_equal(tern__breaker_retry_after(&b, until + 1 * S), 29 * S);
    tern__breaker_cancel(&b, probe);
    assert_int_equal(tern__breaker_retry_after(&b, until), 0);
}

/* --- probes ----------------------------------------------------------------------------------- */

static void one_probe_closes(void **state)
{
    (void)state;
    start((tern_breaker_options){ 0 });
    int64_t until = open_at(0);
    tern__breaker_ticket probe = admit(until);
    changed(TERN_BREAKER_OPEN, TERN_BREAKER_HALF_OPEN, "open time is over");
    assert_true(probe.probe);
    reject(until, TERN__BREAKER_REJECT_HALF_OPEN); /* no stampede */
    reject(until + 1 * S, TERN__BREAKER_REJECT_HALF_OPEN);
    tern__breaker_outcome(&b, until, probe, TERN_NOT_FOUND, &change); /* an answer is an answer */
    changed(TERN_BREAKER_HALF_OPEN, TERN_BREAKER_CLOSED, "1 probe call(s) in a row succeeded");
    assert_false(admit(until).probe);
    /* Counting starts anew: neither the row nor the window remembers what opened it. */
    for (int i = 0; i < 9; i++) {
        call(until, TERN_UNAVAILABLE);
        call(until, TERN_OK);
    }
    calls(1, until, TERN_UNAVAILABLE);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    assert_int_equal(b.buckets[b.bucket_epoch % TERN__BREAKER_BUCKETS].calls, 19);
}

static void several_probes(void **state)
{
    (void)state;
    start((tern_breaker_options){ .probes_max = 3, .probes_needed = 5 });
    int64_t now = open_at(0);
    tern__breaker_ticket t[5];
    for (int i = 0; i < 3; i++)
        t[i] = admit(now);
    reject(now, TERN__BREAKER_REJECT_HALF_OPEN);
    tern__breaker_outcome(&b, now, t[0], TERN_OK, &change);
    assert_false(change.changed);
    t[3] = admit(now);
    reject(now, TERN__BREAKER_REJECT_HALF_OPEN);
    for (int i = 1; i < 4; i++)
        tern__breaker_outcome(&b, now, t[i], TERN_OK, &change);
    assert_int_equal(b.state, TERN_BREAKER_HALF_OPEN);
    call(now, TERN_OK);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    /* One failure among several probes is enough; those still on their way no longer count. */
    now = open_at(now);
    for (int i = 0; i < 3; i++)
        t[i] = admit(now);
    tern__breaker_outcome(&b, now, t[0], TERN_RESOURCE_EXHAUSTED, &change);
    changed(TERN_BREAKER_HALF_OPEN, TERN_BREAKER_OPEN, "RESOURCE_EXHAUSTED");
    tern__breaker_outcome(&b, now, t[1], TERN_OK, &change);
    tern__breaker_outcome(&b, now, t[2], TERN_UNAVAILABLE, &change);
    assert_false(change.changed);
    assert_int_equal(b.n_opened, 3); /* twice by calls, once by the probe */
    assert_int_equal(b.in_flight, 0);
}

/* A probe that its caller cancelled, or that was never made, gives its place to another. */
static void a_probe_given_back(void **state)
{
    (void)state;
    start((tern_breaker_options){ 0 });
    int64_t now = open_at(0);
    tern__breaker_outcome(&b, now, admit(now), TERN_CANCELLED, &change);
    assert_false(change.changed);
    assert_int_equal(b.state, TERN_BREAKER_HALF_OPEN);
    tern__breaker_cancel(&b, admit(now));
    assert_int_equal(b.probes_in_flight, 0);
    assert_int_equal(b.in_flight, 0);
    call(now, TERN_OK);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
}

/* A probe that hangs holds the breaker half open no longer than the longest open time. */
static void a_probe_that_hangs(void **state)
{
    (void)state;
    start((tern_breaker_options){ .open_ms_max = 20000 });
    int64_t now = open_at(0);
    tern__breaker_ticket hung = admit(now);
    reject(now + 20 * S - 1, TERN__BREAKER_REJECT_HALF_OPEN);
    assert_int_equal(b.state, TERN_BREAKER_HALF_OPEN);
    reject(now + 20 * S, TERN__BREAKER_REJECT_OPEN);
    changed(TERN_BREAKER_HALF_OPEN, TERN_BREAKER_OPEN, "did not end within 20000 ms");
    assert_true(b.open_until > now + 20 * S + 1600 * MS - 2); /* the growth went on */
    now = b.open_until;
    call(now, TERN_OK);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    tern__breaker_outcome(&b, now, hung, TERN_UNAVAILABLE, &change);
    assert_int_equal(b.consecutive, 0);
    assert_int_equal(b.in_flight, 0);
}

/* --- generations, flight, off ----------------------------------------------------------------- */

/* Calls begun before the breaker opened come back late: they free their place, no more. */
static void late_outcomes(void **state)
{
    (void)state;
    start((tern_breaker_options){ .consecutive_failures = 2 });
    tern__breaker_ticket old[4];
    for (size_t i = 0; i < N_ITEMS(old); i++)
        old[i] = admit(0);
    int64_t until = open_at(0);
    assert_int_equal(b.in_flight, 4);
    tern__breaker_outcome(&b, 0, old[0], TERN_OK, &change); /* does not close */
    assert_int_equal(b.state, TERN_BREAKER_OPEN);
    tern__breaker_outcome(&b, 0, old[1], TERN_UNAVAILABLE, &change);
    assert_int_equal(b.n_opened, 1);
    assert_int_equal(b.open_until, until);
    tern__breaker_ticket probe = admit(until);
    tern__breaker_outcome(&b, until, old[2], TERN_OK, &change); /* is not the probe */
    assert_int_equal(b.state, TERN_BREAKER_HALF_OPEN);
    assert_int_equal(b.probes_in_flight, 1);
    tern__breaker_outcome(&b, until, probe, TERN_OK, &change);
    call(until, TERN_UNAVAILABLE);
    tern__breaker_outcome(&b, until, old[3], TERN_UNAVAILABLE, &change); /* is not the second */
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    assert_int_equal(b.in_flight, 0);
}

static void calls_in_flight_are_limited(void **state)
{
    (void)state;
    start((tern_breaker_options){ .calls_in_flight_max = 3 });
    tern__breaker_ticket t[3];
    for (size_t i = 0; i < N_ITEMS(t); i++)
        t[i] = admit(0);
    reject(0, TERN__BREAKER_REJECT_IN_FLIGHT);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    tern__breaker_outcome(&b, 0, t[0], TERN_OK, &change);
    tern__breaker_cancel(&b, admit(0)); /* a call given back frees its place and counts nowhere */
    assert_int_equal(b.buckets[0].calls, 1);
    t[0] = admit(0);
    reject(0, TERN__BREAKER_REJECT_IN_FLIGHT);
    for (size_t i = 0; i < N_ITEMS(t); i++)
        tern__breaker_outcome(&b, 0, t[i], TERN_CANCELLED, &change);
    assert_int_equal(b.in_flight, 0);
}

static void disabled_admits_everything(void **state)
{
    (void)state;
    start((tern_breaker_options){ .disabled = true, .calls_in_flight_max = 1 });
    tern__breaker_ticket t[100];
    for (size_t i = 0; i < N_ITEMS(t); i++)
        t[i] = admit(0);
    assert_int_equal(b.in_flight, 100);
    for (size_t i = 0; i < N_ITEMS(t); i++)
        tern__breaker_outcome(&b, 0, t[i], TERN_UNAVAILABLE, &change);
    assert_int_equal(b.state, TERN_BREAKER_CLOSED);
    assert_int_equal(b.in_flight, 0);
    assert_int_equal(b.n_rejected, 0);
    assert_int_equal(tern__breaker_retry_after(&b, 0), 0);
}

static void options_are_filled(void **state)
{
    (void)state;
    tern_breaker_options o = { 0 };
    tern__breaker_options_fill(&o);
    assert_int_equal(o.consecutive_failures, 10);
    assert_int_equal(o.window_ms, 10000);
    assert_int_equal(o.window_calls_min, 20);
    assert_int_equal(o.failure_percent, 50);
    assert_int_equal(o.open_ms, 1000);
    assert_int_equal(o.open_ms_max, 30000);
    assert_int_equal(o.probes_max, 1);
    assert_int_equal(o.probes_needed, 1);
    assert_int_equal(o.calls_in_flight_max, 1024);
    assert_int_equal(o.slow_call_ms, 0);
    assert_int_equal(o.slow_call_percent, 50);
    o = (tern_breaker_options){ .slow_call_percent = 101 };
    tern__breaker_options_fill(&o);
    assert_int_equal(o.slow_call_percent, 100);
    o = (tern_breaker_options){ .failure_percent = 300, .open_ms = 90000 };
    tern__breaker_options_fill(&o);
    assert_int_equal(o.failure_percent, 100);
    assert_int_equal(o.open_ms_max, 90000);
    o = (tern_breaker_options){ .open_ms_max = 10 };
    tern__breaker_options_fill(&o);
    assert_int_equal(o.open_ms, 10);
    o = (tern_breaker_options){ .open_ms = 500, .open_ms_max = 200 };
    tern__breaker_options_fill(&o);
    assert_int_equal(o.open_ms, 200);
    start((tern_breaker_options){ .window_ms = 1 }); /* the shortest window still has buckets */
    assert_true(b.bucket_ns > 0);
    call(5 * S, TERN_OK);
}

/* --- any history ------------------------------------------------------------------------------ */

#define FLIGHT 40u

typedef struct history {
    tern__rng dice;
    int64_t now;
    tern__breaker_ticket tickets[FLIGHT];
    uint32_t n;
} history;

/* What must hold after every step. */
static const char *broken(const history *h)
{
    uint32_t probes = 0;
    for (uint32_t i = 0; i < h->n; i++)
        probes += h->tickets[i].probe && h->tickets[i].generation == b.generation;
    if (b.in_flight != h->n)
        return "in_flight differs from the tickets that are out";
    if (b.in_flight > b.opt.calls_in_flight_max)
        return "more calls in flight than allowed";
    if (b.probes_in_flight != probes || probes > b.opt.probes_max)
        return "probes in flight differ, or are more than allowed";
    if (b.state == TERN_BREAKER_HALF_OPEN ? b.probes_ok >= b.opt.probes_needed : b.probes_ok != 0)
        return "enough probes succeeded, yet it did not close";
    if (b.state != TERN_BREAKER_HALF_OPEN && probes)
        return "probes in flight while not half open";
    if (b.state == TERN_BREAKER_CLOSED && b.consecutive >= b.opt.consecutive_failures)
        return "closed in spite of the failures in a row";
    if (b.n_rejected !=
        b.n_rejected_open + b.n_rejected_half_open + b.n_rejected_in_flight + b.n_rejected_forced)
        return "rejections do not add up";
    if (b.forced == TERN__BREAKER_FORCED_OPEN && b.state != TERN_BREAKER_OPEN)
        return "forced open, and is not";
    if (b.forced == TERN__BREAKER_FORCED_CLOSED && b.state != TERN_BREAKER_CLOSED)
        return "forced closed, and is not";
    return NULL;
}

/* What must hold of a change of state. */
static const char *wrong_change(const history *h)
{
    if (!change.changed)
        return NULL;
    if (change.to != b.state || change.from == change.to)
        return "a change that is none";
    if (b.forced != TERN__BREAKER_AUTOMATIC)
        return strstr(change.reason, "forced") ? NULL : "a forced breaker changed by itself";
    if (change.from == TERN_BREAKER_CLOSED && change.to != TERN_BREAKER_OPEN)
        return "closed turned half open";
    if (change.from == TERN_BREAKER_OPEN && change.to != TERN_BREAKER_HALF_OPEN)
        return "open closed without a probe";
    if (!memchr(change.reason, 0, sizeof(change.reason)) || strlen(change.reason) < 10)
        return "no reason";
    int64_t open = b.open_until - h->now, least = (int64_t)b.opt.open_ms * MS * 2 / 3;
    if (change.to == TERN_BREAKER_OPEN && (open < least - 1 || open > b.opt.open_ms_max * MS))
        return "open time out of bounds";
    return NULL;
}

static const char *step_admit(history *h, tern_breaker_state was)
{
    tern__breaker_verdict v = tern__breaker_admit(&b, h->now, &h->tickets[h->n], &change);
    bool admitted = v == TERN__BREAKER_ADMIT;
    h->n += admitted;
    if (admitted && h->tickets[h->n - 1].probe != (b.state == TERN_BREAKER_HALF_OPEN))
        return "a call while half open is no probe, or the reverse";
    if (admitted && b.state == TERN_BREAKER_OPEN)
        return "admitted while open";
    if (was == TERN_BREAKER_OPEN && admitted && h->now < b.open_until)
        return "admitted before the open time was over";
    if (v == TERN__BREAKER_REJECT_OPEN && b.state != TERN_BREAKER_OPEN)
        return "rejected as open, and is not";
    if (v == TERN__BREAKER_REJECT_HALF_OPEN &&
        (b.state != TERN_BREAKER_HALF_OPEN || b.probes_in_flight != b.opt.probes_max))
        return "rejected for want of a probe's place, and there is one";
    if ((v == TERN__BREAKER_REJECT_FORCED) != (b.forced == TERN__BREAKER_FORCED_OPEN))
        return "rejected as forced, and is not, or the reverse";
    return NULL;
}

static const char *step_outcome(history *h, bool cancel)
{
    uint32_t generation = b.generation, i = tern__rng_below(&h->dice, h->n);
    tern__breaker_ticket t = h->tickets[i];
    h->tickets[i] = h->tickets[--h->n];
    bool unwell = tern__rng_below(&h->dice, 3) != 0;
    tern_code code = unwell ? TERN_UNAVAILABLE : (tern_code)tern__rng_below(&h->dice, 17);
    if (cancel)
        tern__breaker_cancel(&b, t);
    else
        tern__breaker_outcome(&b, h->now, t, code, &change);
    if (change.changed && t.generation != generation)
        return "a late outcome changed the state";
    if (change.changed && code == TERN_CANCELLED)
        return "CANCELLED changed the state";
    return NULL;
}

static const char *step(history *h)
{
    uint32_t what = tern__rng_below(&h->dice, 10);
    tern_breaker_state was = b.state;
    uint32_t generation = b.generation;
    const char *wrong = NULL;
    bool forcing = tern__rng_below(&h->dice, 200) == 0;
    change.changed = false;
    if (forcing)
        tern__breaker_force(&b, h->now, (tern__breaker_forced)tern__rng_below(&h->dice, 3),
                            &change);
    else if (what == 0)
        h->now += tern__rng_below(&h->dice, 3000) * MS;
    else if (what < 6 && h->n < FLIGHT)
        wrong = step_admit(h, was);
    else if (h->n)
        wrong = step_outcome(h, what == 9);
    if (wrong)
        return wrong;
    if ((b.state != was) != change.changed)
        return "a change went unreported, or was made up";
    if (!forcing && change.changed != (b.generation != generation))
        return "a change without a new generation, or the reverse";
    wrong = wrong_change(h);
    return wrong ? wrong : broken(h);
}

static void random_histories(void **state)
{
    (void)state;
    uint64_t opened = 0, closed = 0;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        history h = { .now = 0 };
        tern__rng_seed(&h.dice, seed);
        tern_breaker_options o = {
            .consecutive_failures = tern__rng_below(&h.dice, 8),
            .window_calls_min = 1 + tern__rng_below(&h.dice, 20),
            .failure_percent = tern__rng_below(&h.dice, 101),
            .open_ms = tern__rng_below(&h.dice, 2000),
            .open_ms_max = tern__rng_below(&h.dice, 8000),
            .probes_max = tern__rng_below(&h.dice, 4),
            .probes_needed = tern__rng_below(&h.dice, 4),
            .calls_in_flight_max = 1 + tern__rng_below(&h.dice, FLIGHT - 1),
            .slow_call_ms = tern__rng_below(&h.dice, 2) * tern__rng_below(&h.dice, 5000),
            .slow_call_percent = tern__rng_below(&h.dice, 101),
        };
        start(o);
        for (int i = 0; i < 200; i++) {
            const char *wrong = step(&h);
            if (wrong)
                fail_msg("seed %llu, step %d: %s", (unsigned long long)seed, i, wrong);
            closed += change.changed && change.to == TERN_BREAKER_CLOSED;
        }
        while (h.n)
            tern__breaker_outcome(&b, h.now, h.tickets[--h.n], TERN_OK, &change);
        assert_int_equal(b.in_flight, 0);
        opened += b.n_opened;
    }
    assert_true(opened > 20000 && closed > 2000); /* the histories do go somewhere */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_open),
        cmocka_unit_test(failure_rate_opens),
        cmocka_unit_test(rate_below_the_limit_stays_closed),
        cmocka_unit_test(old_buckets_expire),
        cmocka_unit_test(window_and_odd_clocks),
        cmocka_unit_test(which_codes_count),
        cmocka_unit_test(cancelled_counts_not_at_all),
        cmocka_unit_test(open_time_grows_and_is_capped),
        cmocka_unit_test(retry_after_tells_the_time),
        cmocka_unit_test(one_probe_closes),
        cmocka_unit_test(several_probes),
        cmocka_unit_test(a_probe_given_back),
        cmocka_unit_test(a_probe_that_hangs),
        cmocka_unit_test(late_outcomes),
        cmocka_unit_test(calls_in_flight_are_limited),
        cmocka_unit_test(disabled_admits_everything),
        cmocka_unit_test(options_are_filled),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
