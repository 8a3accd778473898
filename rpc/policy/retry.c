/* See retry.h. Two kinds of repetition, kept strictly apart:
 *
 * Transparent: the protocol proves that no handler ran and the failure says little about the
 * server. At once, neither counted as an attempt nor against the throttle, and bounded.
 *
 * By policy: a new attempt after a pause. It needs a failure that a repetition may cure, a method
 * that may run twice (or proof that none ran), an attempt left, tokens in the throttle, and time
 * before the one deadline that all attempts share. Both of the first are said by the list of codes
 * where a service config gives one: A6 knows no idempotency. */
#include "policy/retry.h"

#include <tern/limits.h>

#include "base/time.h"

/* Defaults of tern_retry_options. */
#define MAX_ATTEMPTS 3u
#define INITIAL_BACKOFF_MS 50u
#define MAX_BACKOFF_MS 1000u
#define BACKOFF_MULTIPLIER 2.0
#define THROTTLE_MAX_TOKENS 100.0
#define THROTTLE_TOKEN_RATIO 0.1

#define BACKOFF_MULTIPLIER_MAX 100.0 /* beyond it the second pause is the longest one anyway */
#define BACKOFF_JITTER 0.2           /* gRFC A6 */

/* `v` if it is a number above 0 (capped at max), else the default. */
static double positive_or(double v, double dflt, double max)
{
    if (!(v > 0))
        return dflt;
    return v > max ? max : v;
}

void tern__retry_options_fill(tern_retry_options *o)
{
    if (o->max_attempts == 0)
        o->max_attempts = MAX_ATTEMPTS;
    if (o->max_attempts > TERN_LIMIT_ATTEMPTS)
        o->max_attempts = TERN_LIMIT_ATTEMPTS;
    if (o->initial_backoff_ms == 0)
        o->initial_backoff_ms = INITIAL_BACKOFF_MS;
    if (o->max_backoff_ms == 0) {
        bool above = o->initial_backoff_ms > MAX_BACKOFF_MS;
        o->max_backoff_ms = above ? o->initial_backoff_ms : MAX_BACKOFF_MS;
    }
    o->backoff_multiplier =
        positive_or(o->backoff_multiplier, BACKOFF_MULTIPLIER, BACKOFF_MULTIPLIER_MAX);
    if (o->backoff_multiplier < 1) /* pauses that shrink are no backoff */
        o->backoff_multiplier = 1;
    o->throttle_max_tokens = positive_or(o->throttle_max_tokens, THROTTLE_MAX_TOKENS, 1000);
    o->throttle_token_ratio = positive_or(o->throttle_token_ratio, THROTTLE_TOKEN_RATIO, 1);
}

void tern__retry_init(tern__retry *r, const tern_retry_options *o, bool idempotent)
{
    *r = (tern__retry){
        .idempotent = idempotent,
        .disabled = o->disabled,
        .max_attempts = o->max_attempts,
        .attempts = 1,
    };
    tern__backoff_init(&r->backoff, tern__ms_to_ns(o->initial_backoff_ms),
                       tern__ms_to_ns(o->max_backoff_ms), o->backoff_multiplier, BACKOFF_JITTER);
}

void tern__retry_init_policy(tern__retry *r, const tern__retry_policy *policy)
{
    uint32_t max = policy->max_attempts;
    *r = (tern__retry){
        .codes = policy->retryable & ~tern__code_set_of(TERN_OK),
        .disabled = (policy->retryable & ~tern__code_set_of(TERN_OK)) == 0,
        .max_attempts = max < TERN_LIMIT_ATTEMPTS ? max : TERN_LIMIT_ATTEMPTS,
        .attempts = 1,
    };
    tern__backoff_init(&r->backoff, policy->initial_backoff_ns, policy->max_backoff_ns,
                       policy->backoff_multiplier, BACKOFF_JITTER);
}

void tern__retry_commit(tern__retry *r)
{
    r->committed = true;
}

bool tern__retry_code_ok(tern_code code, tern__attempt_fate fate, bool has_pushback)
{
    switch (fate) {
    case TERN__FATE_NEVER_SENT:
    case TERN__FATE_REFUSED:
    case TERN__FATE_NOT_PICKED:
        return code == TERN_UNAVAILABLE;
    case TERN__FATE_ANSWERED:
        return code == TERN_UNAVAILABLE || (code == TERN_RESOURCE_EXHAUSTED && has_pushback);
    case TERN__FATE_IN_DOUBT:
        return code == TERN_UNAVAILABLE || code == TERN_INTERNAL || code == TERN_UNKNOWN;
    case TERN__FATE_COMMITTED:
        return false;
    }
    return false;
}

/* Whether this failure may go round once more by itself. */
static bool transparent(const tern__retry *r, const tern__attempt_result *result)
{
    if (r->committed || result->code != TERN_UNAVAILABLE ||
        r->transparent >= TERN_LIMIT_TRANSPARENT_RETRIES)
        return false;
    return result->fate == TERN__FATE_NEVER_SENT ||
           (result->fate == TERN__FATE_REFUSED && !r->refused_once);
}

/* Whether this code is worth a repetition, for what the call is configured with. */
static bool curable(const tern__retry *r, const tern__attempt_result *result,
                    tern__attempt_fate fate)
{
    if (r->codes)
        return tern__code_set_has(r->codes, result->code);
    return tern__retry_code_ok(result->code, fate, result->has_pushback);
}

/* A failure that says something of the server takes a token: one that is retryable, also when the
 * call was committed or may not be repeated, and one with which the server asked not to retry. */
static void count_failure(const tern__retry *r, const tern__attempt_result *result,
                          tern__throttle *throttle)
{
    if (!throttle || (result->fate == TERN__FATE_NEVER_SENT && !r->codes))
        return;
    tern__attempt_fate fate = result->fate;
    if (fate == TERN__FATE_COMMITTED) /* what would be retryable had it come earlier */
        fate = TERN__FATE_ANSWERED;
    bool forbidden = result->has_pushback && result->pushback_ms < 0;
    if (forbidden || curable(r, result, fate))
        tern__throttle_failure(throttle);
}

/* Whether this call may be repeated after this failure at all. */
static bool repeatable(const tern__retry *r, const tern__attempt_result *result)
{
    if (r->disabled || r->committed || result->fate == TERN__FATE_COMMITTED)
        return false;
    if (r->codes)
        return true;
    if (result->fate == TERN__FATE_NEVER_SENT)
        return false;
    return r->idempotent || result->fate == TERN__FATE_REFUSED ||
           result->fate == TERN__FATE_NOT_PICKED;
}

/* Whether the policy allows another attempt; time aside. */
static bool policy_allows(const tern__retry *r, const tern__attempt_result *result,
                          const tern__throttle *throttle)
{
    if (!repeatable(r, result) || !curable(r, result, result->fate))
        return false;
    if (result->has_pushback && result->pushback_ms < 0)
        return false;
    if (r->attempts >= r->max_attempts)
        return false;
    return !throttle || tern__throttle_allows_retry(throttle);
}

tern__retry_action tern__retry_decide(tern__retry *r, const tern__attempt_result *result,
                                      tern__throttle *throttle, int64_t now, int64_t deadline,
                                      tern__rng *rng, int64_t *ret_delay_ns)
{
    if (result->code == TERN_OK)
        return TERN__RETRY_STOP;
    if (transparent(r, result)) {
        if (now >= deadline)
            return TERN__RETRY_STOP;
        r->transparent++;
        if (result->fate == TERN__FATE_REFUSED)
            r->refused_once = true;
        return TERN__RETRY_TRANSPARENT;
    }
    count_failure(r, result, throttle);
    if (!policy_allows(r, result, throttle))
        return TERN__RETRY_STOP;

    int64_t delay;
    if (result->has_pushback) {
        delay = tern__ms_to_ns(result->pushback_ms);
        /* A6: the next pause without pushback is the first one again. */
        tern__backoff_reset(&r->backoff);
    } else {
        delay = tern__backoff_next(&r->backoff, rng);
    }
    if (tern__time_add(now, delay) >= deadline)
        return TERN__RETRY_STOP;
    r->attempts++;
    *ret_delay_ns = delay;
    return TERN__RETRY_AFTER;
}
