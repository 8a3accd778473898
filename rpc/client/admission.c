/* See admission.h. The gates are asked from the outside to the inside, and one that says no gives
 * back what those before it have given. The adaptive throttle is the last: what a breaker refuses
 * it need not know. */
#include "client/admission.h"

#include <stdio.h>

#include "io/clock.h"

/* --- refusals --------------------------------------------------------------------------------- */

/* Who refused, and why. */
typedef struct refusal {
    enum { NOBODY, CHANNEL, METHOD, THROTTLE } gate;
    tern__breaker_verdict verdict;
    uint32_t limit; /* of calls in flight */
} refusal;

static void count_refusal(tern_channel_stats *stats, const refusal *r)
{
    if (r->gate == THROTTLE) {
        stats->throttled++;
        return;
    }
    stats->breaker_rejected++;
    stats->rejected_open += r->verdict == TERN__BREAKER_REJECT_OPEN;
    stats->rejected_half_open += r->verdict == TERN__BREAKER_REJECT_HALF_OPEN;
    stats->rejected_in_flight += r->verdict == TERN__BREAKER_REJECT_IN_FLIGHT;
    stats->rejected_forced += r->verdict == TERN__BREAKER_REJECT_FORCED;
}

static tern_code reject(const tern__applicant *who, const refusal *r, tern_status *reterr)
{
    const char *target = who->ch->target_text;
    char where[64] = "";
    if (r->gate == THROTTLE)
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "adaptive throttling of %.200s: the server refused so many of the "
                               "calls before that this one was not sent",
                               target);
    if (r->gate == METHOD)
        snprintf(where, sizeof where, " (methodConfig[%u])", who->guard->entry);
    if (r->verdict == TERN__BREAKER_REJECT_IN_FLIGHT)
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "circuit breaker of %.200s%s: %u calls are in flight already "
                               "(calls_in_flight_max)",
                               target, where, r->limit);
    if (r->verdict == TERN__BREAKER_REJECT_FORCED)
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "circuit breaker of %.200s%s was forced open by an operator: calls "
                               "are refused until that is ended",
                               target, where);
    if (r->verdict == TERN__BREAKER_REJECT_HALF_OPEN)
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "circuit breaker of %.200s%s is half open and its probe calls are "
                               "under way: others are refused until they have ended",
                               target, where);
    return tern_status_set(reterr, TERN_UNAVAILABLE,
                           "circuit breaker of %.200s%s is open: calls are refused until the "
                           "server has recovered",
                           target, where);
}

/* --- gates ------------------------------------------------------------------------------------ */

/* With the lock: passes both, or says which of them refused. */
static refusal pass_both(const tern__applicant *who, tern__pass *p, tern__pass_changes *changes)
{
    tern_channel *ch = who->ch;
    tern__breaker *b = &ch->breaker;
    refusal r = { .gate = CHANNEL, .verdict = TERN__BREAKER_REJECT_IN_FLIGHT };
    changes->channel.changed = changes->method.changed = false;
    p->guard = who->guard;
    r.limit = ch->calls_in_flight_max;
    if (r.limit && b->in_flight >= r.limit)
        return r;
    r.limit = b->opt.calls_in_flight_max;
    r.verdict = tern__breaker_admit(b, who->now, &p->channel, &changes->channel);
    if (r.verdict != TERN__BREAKER_ADMIT)
        return r;
    r.gate = NOBODY;
    if (!p->guard)
        return r;
    tern__breaker *m = &p->guard->breaker;
    r = (refusal){ METHOD, TERN__BREAKER_REJECT_IN_FLIGHT, p->guard->calls_in_flight_max };
    if (!r.limit || m->in_flight < r.limit) {
        r.limit = m->opt.calls_in_flight_max;
        r.verdict = tern__breaker_admit(m, who->now, &p->method, &changes->method);
    }
    if (r.verdict == TERN__BREAKER_ADMIT)
        r.gate = NOBODY;
    else
        tern__breaker_cancel(b, p->channel);
    return r;
}

static refusal pass(const tern__applicant *who, tern__pass *p, tern__pass_changes *changes)
{
    tern_channel *ch = who->ch;
    refusal r = pass_both(who, p, changes);
    if (r.gate == NOBODY && ch->has_adaptive &&
        !tern__adaptive_throttle_admit(&ch->adaptive, who->now, &ch->rng)) {
        r.gate = THROTTLE;
        tern__breaker_cancel(&ch->breaker, p->channel);
        if (p->guard)
            tern__breaker_cancel(&p->guard->breaker, p->method);
    }
    return r;
}

tern_code tern__admit(const tern__applicant *who, tern__pass *ret, tern_status *reterr)
{
    tern__pass_changes changes;
    tern_channel *ch = who->ch;
    pthread_mutex_lock(&ch->lock);
    ch->stats.calls += who->first;
    if (who->first) {
        tern__count_call(&ch->calls, who->now);
        if (ch->has_retry_budget)
            tern__retry_budget_call(&ch->retry_budget, who->now);
    }
    refusal r = pass(who, ret, &changes);
    if (r.gate == NOBODY) {
        ch->stats.attempts++;
        tern__count_call(&ch->attempts, who->now);
    } else {
        count_refusal(&ch->stats, &r);
    }
    pthread_mutex_unlock(&ch->lock);
    tern__pass_tell(ch, ret, &changes);
    if (r.gate == NOBODY)
        return TERN_OK;
    return who->former != TERN_OK ? who->former : reject(who, &r, reterr);
}

/* --- outcomes --------------------------------------------------------------------------------- */

void tern__pass_outcome(tern_channel *ch, const tern__pass *p, int64_t now, tern_code code,
                        tern__pass_changes *changes)
{
    tern__breaker_outcome(&ch->breaker, now, p->channel, code, &changes->channel);
    if (p->guard)
        tern__breaker_outcome(&p->guard->breaker, now, p->method, code, &changes->method);
    if (ch->has_adaptive)
        tern__adaptive_throttle_outcome(&ch->adaptive, now, code);
    tern__count_end(&ch->attempts, code == TERN_OK);
}

void tern__pass_cancel(tern_channel *ch, const tern__pass *p, int64_t now, bool ok)
{
    tern__breaker_cancel(&ch->breaker, p->channel);
    if (p->guard)
        tern__breaker_cancel(&p->guard->breaker, p->method);
    if (ch->has_adaptive) /* says nothing, and must not throttle anybody */
        tern__adaptive_throttle_outcome(&ch->adaptive, now, TERN_CANCELLED);
    tern__count_end(&ch->attempts, ok);
}

void tern__pass_tell(tern_channel *ch, const tern__pass *p, const tern__pass_changes *changes)
{
    if (changes->channel.changed)
        tern__channel_tell(ch, &changes->channel);
    if (changes->method.changed)
        tern__channel_tell_method(ch, p->guard->entry, &changes->method);
}

void tern__admission_outcome(tern_channel *ch, const tern__pass *p, tern_code code)
{
    tern__pass_changes changes;
    changes.channel.changed = changes.method.changed = false;
    int64_t now = tern__clock_now();
    pthread_mutex_lock(&ch->lock);
    tern__pass_outcome(ch, p, now, code, &changes);
    pthread_mutex_unlock(&ch->lock);
    tern__pass_tell(ch, p, &changes);
}

void tern__admission_cancel(tern_channel *ch, const tern__pass *p)
{
    int64_t now = tern__clock_now();
    pthread_mutex_lock(&ch->lock);
    tern__pass_cancel(ch, p, now, false);
    pthread_mutex_unlock(&ch->lock);
}

void tern__admission_lost(tern_channel *ch)
{
    pthread_mutex_lock(&ch->lock);
    tern__count_end(&ch->calls, false);
    pthread_mutex_unlock(&ch->lock);
}
