/* See admission.h. */
#include "client/admission.h"

#include "io/clock.h"

static tern_code reject(const tern_channel *ch, tern__breaker_verdict verdict, tern_status *reterr)
{
    if (verdict == TERN__BREAKER_REJECT_IN_FLIGHT)
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "circuit breaker of %.200s: %u calls are in flight already "
                               "(calls_in_flight_max)",
                               ch->target_text, ch->opt.breaker.calls_in_flight_max);
    if (verdict == TERN__BREAKER_REJECT_FORCED)
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "circuit breaker of %.200s was forced open by an operator: calls "
                               "are refused until that is ended",
                               ch->target_text);
    if (verdict == TERN__BREAKER_REJECT_HALF_OPEN)
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "circuit breaker of %.200s is half open and its probe calls are "
                               "under way: others are refused until they have ended",
                               ch->target_text);
    return tern_status_set(reterr, TERN_UNAVAILABLE,
                           "circuit breaker of %.200s is open: calls are refused until the server "
                           "has recovered",
                           ch->target_text);
}

tern_code tern__admit(tern_channel *ch, int64_t now, bool first, tern_code former,
                      tern__breaker_ticket *ticket, tern_status *reterr)
{
    tern__breaker_change change;
    pthread_mutex_lock(&ch->lock);
    ch->stats.calls += first;
    if (first)
        tern__count_call(&ch->calls, now);
    tern__breaker_verdict verdict = tern__breaker_admit(&ch->breaker, now, ticket, &change);
    if (verdict == TERN__BREAKER_ADMIT) {
        ch->stats.attempts++;
        tern__count_call(&ch->attempts, now);
    }
    pthread_mutex_unlock(&ch->lock);
    tern__channel_tell(ch, &change);
    if (verdict == TERN__BREAKER_ADMIT)
        return TERN_OK;
    return former != TERN_OK ? former : reject(ch, verdict, reterr);
}

void tern__admission_lost(tern_channel *ch)
{
    pthread_mutex_lock(&ch->lock);
    tern__count_end(&ch->calls, false);
    pthread_mutex_unlock(&ch->lock);
}

void tern__admission_outcome(tern_channel *ch, tern__breaker_ticket ticket, tern_code code)
{
    tern__breaker_change change = { .changed = false };
    pthread_mutex_lock(&ch->lock);
    tern__breaker_outcome(&ch->breaker, tern__clock_now(), ticket, code, &change);
    tern__count_end(&ch->attempts, code == TERN_OK);
    pthread_mutex_unlock(&ch->lock);
    tern__channel_tell(ch, &change);
}
