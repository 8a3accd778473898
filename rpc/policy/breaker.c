/* See breaker.h. Three signals open a closed breaker: failures in a row, which notice a hard outage
 * within a few calls whatever their rate; the share of failures in a sliding window with a minimum
 * of calls, which notices a partial failure that some successes hide; and, if asked for, the share
 * of slow calls in the same window, which notices a server that still answers everything, too late.
 * The window is a ring of buckets; a bucket that time has passed by is emptied before the next
 * outcome is counted.
 *
 *     closed --failures--> open --time--> half open --probes succeed--> closed
 *                            ^---- a probe fails ----'
 *
 * Every change of state begins a new generation. A ticket remembers its generation, so the
 * outcome of a call that began before the breaker opened can neither close nor re-open it; it only
 * leaves the count of calls in flight, which spans generations. */
#include "policy/breaker.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "policy/backoff.h"
#include "policy/code_set.h"

/* Defaults of tern_breaker_options. */
#define CONSECUTIVE_FAILURES 10u
#define WINDOW_MS 10000u
#define WINDOW_CALLS_MIN 20u
#define FAILURE_PERCENT 50u
#define OPEN_MS 1000u
#define OPEN_MS_MAX 30000u
#define PROBES_MAX 1u
#define PROBES_NEEDED 1u
#define SLOW_CALL_PERCENT 50u

#define OPEN_GROWTH 2.0
#define OPEN_JITTER 0.2

/* What an outcome says of the server. */
typedef enum breaker_signal {
    SIGNAL_NONE,
    SIGNAL_WELL,
    SIGNAL_UNWELL,
    SIGNAL_OVERLOADED
} breaker_signal;

static breaker_signal signal_of(tern_code code)
{
    switch (code) {
    case TERN_CANCELLED:
        return SIGNAL_NONE;
    case TERN_UNAVAILABLE:
    case TERN_DEADLINE_EXCEEDED:
    case TERN_INTERNAL:
    case TERN_UNKNOWN:
        return SIGNAL_UNWELL;
    case TERN_RESOURCE_EXHAUSTED:
        return SIGNAL_OVERLOADED;
    default:
        return SIGNAL_WELL;
    }
}

static void default_u32(uint32_t *v, uint32_t dflt)
{
    if (*v == 0)
        *v = dflt;
}

void tern__breaker_options_fill(tern_breaker_options *o)
{
    default_u32(&o->consecutive_failures, CONSECUTIVE_FAILURES);
    default_u32(&o->window_ms, WINDOW_MS);
    default_u32(&o->window_calls_min, WINDOW_CALLS_MIN);
    default_u32(&o->failure_percent, FAILURE_PERCENT);
    default_u32(&o->probes_max, PROBES_MAX);
    default_u32(&o->probes_needed, PROBES_NEEDED);
    default_u32(&o->calls_in_flight_max, TERN_LIMIT_CALLS_IN_FLIGHT);
    default_u32(&o->slow_call_percent, SLOW_CALL_PERCENT);
    if (o->failure_percent > 100)
        o->failure_percent = 100;
    if (o->slow_call_percent > 100)
        o->slow_call_percent = 100;
    default_u32(&o->open_ms_max, o->open_ms > OPEN_MS_MAX ? o->open_ms : OPEN_MS_MAX);
    default_u32(&o->open_ms, OPEN_MS);
    if (o->open_ms > o->open_ms_max)
        o->open_ms = o->open_ms_max;
}

bool tern__breaker_options_same(const tern_breaker_options *a, const tern_breaker_options *b)
{
    return a->disabled == b->disabled && a->consecutive_failures == b->consecutive_failures &&
           a->window_ms == b->window_ms && a->window_calls_min == b->window_calls_min &&
           a->failure_percent == b->failure_percent && a->open_ms == b->open_ms &&
           a->open_ms_max == b->open_ms_max && a->probes_max == b->probes_max &&
           a->probes_needed == b->probes_needed &&
           a->calls_in_flight_max == b->calls_in_flight_max &&
           a->slow_call_ms == b->slow_call_ms && a->slow_call_percent == b->slow_call_percent;
}

static void set_options(tern__breaker *b, const tern_breaker_options *filled)
{
    b->opt = *filled;
    b->bucket_ns = tern__ms_to_ns(filled->window_ms) / TERN__BREAKER_BUCKETS;
    b->bucket_epoch = 0;
}

void tern__breaker_init(tern__breaker *b, const tern_breaker_options *filled, uint64_t seed)
{
    *b = (tern__breaker){ .state = TERN_BREAKER_CLOSED };
    set_options(b, filled);
    tern__rng_seed(&b->rng, seed);
}

/* --- changes of state ------------------------------------------------------------------------- */

static void begin_generation(tern__breaker *b)
{
    b->generation++;
    b->consecutive = 0;
    b->probes_in_flight = 0;
    b->probes_ok = 0;
}

static void change_state(tern__breaker *b, tern_breaker_state to, tern__breaker_change *change)
{
    change->changed = true;
    change->from = b->state;
    change->to = to;
    b->state = to;
    b->n_opened += to == TERN_BREAKER_OPEN;
    b->n_half_opened += to == TERN_BREAKER_HALF_OPEN;
    b->n_closed += to == TERN_BREAKER_CLOSED;
    begin_generation(b);
}

/* Opens for min(open_ms x 2^n, cap) with jitter. The cap is lowered by the jitter's reach, so that
 * open_ms_max holds for the outcome and breakers at the cap still spread. */
static void open_breaker(tern__breaker *b, int64_t now, tern__breaker_change *change)
{
    tern__backoff growth;
    double cap = (double)tern__ms_to_ns(b->opt.open_ms_max) / (1 + OPEN_JITTER);
    tern__backoff_init(&growth, tern__ms_to_ns(b->opt.open_ms), (int64_t)cap, OPEN_GROWTH,
                       OPEN_JITTER);
    growth.n = b->opens_in_a_row;
    b->open_until = tern__time_add(now, tern__backoff_next(&growth, &b->rng));
    b->opens_in_a_row = growth.n;
    change_state(b, TERN_BREAKER_OPEN, change);
}

static void half_open_breaker(tern__breaker *b, tern__breaker_change *change)
{
    change_state(b, TERN_BREAKER_HALF_OPEN, change);
    (void)snprintf(change->reason, sizeof(change->reason),
                   "the open time is over: at most %u probe call(s) at once are let through",
                   b->opt.probes_max);
}

static void close_breaker(tern__breaker *b, tern__breaker_change *change)
{
    (void)snprintf(change->reason, sizeof(change->reason), "%u probe call(s) in a row succeeded",
                   b->probes_ok);
    change_state(b, TERN_BREAKER_CLOSED, change);
    memset(b->buckets, 0, sizeof(b->buckets));
    b->opens_in_a_row = 0;
}

void tern__breaker_reconfigure(tern__breaker *b, const tern_breaker_options *filled,
                               tern__breaker_change *change)
{
    change->changed = false;
    set_options(b, filled);
    memset(b->buckets, 0, sizeof(b->buckets));
    b->opens_in_a_row = 0;
    if (b->state == TERN_BREAKER_CLOSED || b->forced != TERN__BREAKER_AUTOMATIC) {
        begin_generation(b);
        return;
    }
    change_state(b, TERN_BREAKER_CLOSED, change);
    (void)snprintf(change->reason, sizeof(change->reason), "its options were changed");
}

/* --- asking ----------------------------------------------------------------------------------- */

static bool probes_given_up(const tern__breaker *b, int64_t now)
{
    return now >= tern__time_add(b->probe_at, tern__ms_to_ns(b->opt.open_ms_max));
}

/* Moves on by time alone. */
static void advance(tern__breaker *b, int64_t now, tern__breaker_change *change)
{
    if (b->state == TERN_BREAKER_OPEN && now >= b->open_until) {
        half_open_breaker(b, change);
    } else if (b->state == TERN_BREAKER_HALF_OPEN && b->probes_in_flight >= b->opt.probes_max &&
               probes_given_up(b, now)) {
        open_breaker(b, now, change);
        (void)snprintf(change->reason, sizeof(change->reason),
                       "a probe call did not end within %u ms", b->opt.open_ms_max);
    }
}

static tern__breaker_verdict reject(tern__breaker *b, tern__breaker_verdict verdict)
{
    b->n_rejected++;
    b->n_rejected_open += verdict == TERN__BREAKER_REJECT_OPEN;
    b->n_rejected_half_open += verdict == TERN__BREAKER_REJECT_HALF_OPEN;
    b->n_rejected_in_flight += verdict == TERN__BREAKER_REJECT_IN_FLIGHT;
    b->n_rejected_forced += verdict == TERN__BREAKER_REJECT_FORCED;
    return verdict;
}

/* Whether the state lets a call through, after what time alone changes. */
static tern__breaker_verdict gate(tern__breaker *b, int64_t now, tern__breaker_change *change)
{
    if (b->forced == TERN__BREAKER_FORCED_OPEN)
        return TERN__BREAKER_REJECT_FORCED;
    if (b->forced == TERN__BREAKER_FORCED_CLOSED)
        return TERN__BREAKER_ADMIT;
    advance(b, now, change);
    if (b->state == TERN_BREAKER_OPEN)
        return TERN__BREAKER_REJECT_OPEN;
    if (b->state == TERN_BREAKER_HALF_OPEN && b->probes_in_flight >= b->opt.probes_max)
        return TERN__BREAKER_REJECT_HALF_OPEN;
    return TERN__BREAKER_ADMIT;
}

tern__breaker_verdict tern__breaker_admit(tern__breaker *b, int64_t now, tern__breaker_ticket *ret,
                                          tern__breaker_change *change)
{
    change->changed = false;
    *ret = (tern__breaker_ticket){ .generation = b->generation, .began = now };
    if (b->opt.disabled && b->forced == TERN__BREAKER_AUTOMATIC) {
        b->in_flight++;
        return TERN__BREAKER_ADMIT;
    }
    tern__breaker_verdict verdict = gate(b, now, change);
    if (verdict != TERN__BREAKER_ADMIT)
        return reject(b, verdict);
    if (b->in_flight >= b->opt.calls_in_flight_max)
        return reject(b, TERN__BREAKER_REJECT_IN_FLIGHT);
    ret->generation = b->generation;
    ret->probe = b->state == TERN_BREAKER_HALF_OPEN;
    if (ret->probe) {
        b->probes_in_flight++;
        b->probe_at = now;
    }
    b->in_flight++;
    return TERN__BREAKER_ADMIT;
}

int64_t tern__breaker_retry_after(const tern__breaker *b, int64_t now)
{
    if (b->forced == TERN__BREAKER_FORCED_OPEN)
        return TERN__TIME_NEVER;
    if (b->opt.disabled || b->state == TERN_BREAKER_CLOSED)
        return 0;
    int64_t at = b->open_until;
    if (b->state == TERN_BREAKER_HALF_OPEN) {
        if (b->probes_in_flight < b->opt.probes_max)
            return 0;
        at = tern__time_add(b->probe_at, tern__ms_to_ns(b->opt.open_ms_max));
    }
    return at > now ? at - now : 0;
}

/* --- telling ---------------------------------------------------------------------------------- */

/* The bucket of `now`, after emptying those that time has passed by. A clock that stands still or
 * goes back counts into the newest bucket. */
static tern__breaker_bucket *bucket_of(tern__breaker *b, int64_t now)
{
    int64_t epoch = now / b->bucket_ns;
    if (epoch > b->bucket_epoch) {
        int64_t passed = epoch - b->bucket_epoch;
        if (passed > (int64_t)TERN__BREAKER_BUCKETS)
            passed = TERN__BREAKER_BUCKETS;
        for (int64_t i = 0; i < passed; i++)
            b->buckets[(epoch - i) % TERN__BREAKER_BUCKETS] = (tern__breaker_bucket){ 0 };
        b->bucket_epoch = epoch;
    }
    return &b->buckets[b->bucket_epoch % TERN__BREAKER_BUCKETS];
}

/* Opens the breaker when the window calls for it. */
static void judge_window(tern__breaker *b, int64_t now, tern__breaker_change *change)
{
    uint64_t calls = 0, failures = 0, slow = 0;
    for (uint32_t i = 0; i < TERN__BREAKER_BUCKETS; i++) {
        calls += b->buckets[i].calls;
        failures += b->buckets[i].failures;
        slow += b->buckets[i].slow;
    }
    if (calls < b->opt.window_calls_min)
        return;
    if (failures * 100 >= calls * b->opt.failure_percent) {
        open_breaker(b, now, change);
        (void)snprintf(change->reason, sizeof(change->reason),
                       "%llu of %llu calls within %u ms failed (limit %u %%)",
                       (unsigned long long)failures, (unsigned long long)calls, b->opt.window_ms,
                       b->opt.failure_percent);
    } else if (b->opt.slow_call_ms && slow * 100 >= calls * b->opt.slow_call_percent) {
        open_breaker(b, now, change);
        (void)snprintf(change->reason, sizeof(change->reason),
                       "%llu of %llu calls within %u ms took more than %u ms (limit %u %%)",
                       (unsigned long long)slow, (unsigned long long)calls, b->opt.window_ms,
                       b->opt.slow_call_ms, b->opt.slow_call_percent);
    }
}

static void count_closed(tern__breaker *b, int64_t now, tern_code code, bool slow,
                         tern__breaker_change *change)
{
    breaker_signal s = signal_of(code);
    tern__breaker_bucket *bucket = bucket_of(b, now);
    bucket->calls++;
    bucket->slow += slow;
    if (s == SIGNAL_WELL) {
        b->consecutive = 0;
        if (slow)
            judge_window(b, now, change);
        return;
    }
    bucket->failures++;
    if (s == SIGNAL_UNWELL && ++b->consecutive >= b->opt.consecutive_failures) {
        uint32_t failed = b->consecutive;
        open_breaker(b, now, change);
        (void)snprintf(change->reason, sizeof(change->reason),
                       "%u call(s) in a row failed, the last one with %s", failed,
                       tern__code_label(code));
        return;
    }
    judge_window(b, now, change);
}

static void count_probe(tern__breaker *b, int64_t now, tern_code code, bool slow,
                        tern__breaker_change *change)
{
    if (signal_of(code) != SIGNAL_WELL) {
        open_breaker(b, now, change);
        (void)snprintf(change->reason, sizeof(change->reason), "a probe call failed with %s",
                       tern__code_label(code));
    } else if (slow) {
        open_breaker(b, now, change);
        (void)snprintf(change->reason, sizeof(change->reason), "a probe call took more than %u ms",
                       b->opt.slow_call_ms);
    } else if (++b->probes_ok >= b->opt.probes_needed) {
        close_breaker(b, change);
    }
}

/* Frees the place of a ticket; whether its outcome still counts. */
static bool leave(tern__breaker *b, tern__breaker_ticket t)
{
    assert(b->in_flight > 0);
    b->in_flight--;
    if (t.generation != b->generation)
        return false;
    if (t.probe) {
        assert(b->probes_in_flight > 0);
        b->probes_in_flight--;
    }
    return true;
}

/* One that began at TERN__TIME_NEVER never is. */
static bool was_slow(const tern__breaker *b, int64_t now, tern__breaker_ticket t)
{
    return b->opt.slow_call_ms &&
           now > tern__time_add(t.began, tern__ms_to_ns(b->opt.slow_call_ms));
}

void tern__breaker_outcome(tern__breaker *b, int64_t now, tern__breaker_ticket t, tern_code code,
                           tern__breaker_change *change)
{
    change->changed = false;
    bool counts = leave(b, t);
    breaker_signal s = signal_of(code);
    if (s == SIGNAL_NONE) {
        b->n_ignored++;
        return;
    }
    bool slow = was_slow(b, now, t);
    b->n_well += s == SIGNAL_WELL;
    b->n_failed += s != SIGNAL_WELL;
    b->n_slow += slow;
    if (!counts || b->opt.disabled || b->forced != TERN__BREAKER_AUTOMATIC)
        return;
    if (t.probe)
        count_probe(b, now, code, slow, change);
    else
        count_closed(b, now, code, slow, change);
}

void tern__breaker_cancel(tern__breaker *b, tern__breaker_ticket t)
{
    (void)leave(b, t);
}

/* --- forcing ---------------------------------------------------------------------------------- */

void tern__breaker_force(tern__breaker *b, int64_t now, tern__breaker_forced how,
                         tern__breaker_change *change)
{
    change->changed = false;
    if (how == b->forced)
        return;
    b->forced = how;
    b->opens_in_a_row = 0;
    memset(b->buckets, 0, sizeof(b->buckets));
    tern_breaker_state to = b->state;
    if (how != TERN__BREAKER_AUTOMATIC)
        to = how == TERN__BREAKER_FORCED_OPEN ? TERN_BREAKER_OPEN : TERN_BREAKER_CLOSED;
    b->open_until = now; /* once it is let go, the next call is a probe */
    if (to == b->state) {
        begin_generation(b);
        return;
    }
    change_state(b, to, change);
    (void)snprintf(change->reason, sizeof(change->reason), "an operator forced it %s",
                   to == TERN_BREAKER_OPEN ? "open" : "closed");
}
