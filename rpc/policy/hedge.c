/* See hedge.h. Two facts make up the state: which attempts run, and when the next one is due. The
 * first ends in an outcome, the second in a send, and a call is over when one attempt is chosen, or
 * when nothing runs and nothing is due.
 *
 *     next() --SEND--> running --outcome()--> FINAL                 (OK, fatal code, committed)
 *                         ^  `--outcome()--> AGAIN -> running       (the protocol: no handler ran)
 *                         |  `--outcome()--> GO_ON                  (non-fatal code)
 *                         `---- next(), when it is due ----'
 *
 * After the choice everything else is late: cancelling races with answers, and an answer that was
 * on its way must change nothing. Transparent retries are bounded for the whole call as they are
 * for an unhedged one. */
#include "policy/hedge.h"

#include <assert.h>

#include <tern/limits.h>

#include "base/time.h"

static uint32_t bit_of(uint32_t attempt)
{
    assert(attempt < TERN_LIMIT_ATTEMPTS);
    return UINT32_C(1) << attempt;
}

void tern__hedge_init(tern__hedge *h, const tern__hedging_policy *policy, int64_t now,
                      int64_t deadline)
{
    *h = (tern__hedge){ .policy = *policy, .deadline = deadline, .next_at = now };
    if (h->policy.max_attempts > TERN_LIMIT_ATTEMPTS)
        h->policy.max_attempts = TERN_LIMIT_ATTEMPTS;
    h->policy.non_fatal &= ~tern__code_set_of(TERN_OK);
}

/* No attempt follows. */
static void send_no_more(tern__hedge *h)
{
    h->next_at = TERN__TIME_NEVER;
}

/* The next attempt is due at `at`, if there may be one. */
static void schedule(tern__hedge *h, int64_t at)
{
    h->next_at = h->sent < h->policy.max_attempts ? at : TERN__TIME_NEVER;
}

tern__hedge_action tern__hedge_next(tern__hedge *h, const tern__throttle *throttle, int64_t now,
                                    uint32_t *ret_attempt, int64_t *ret_until)
{
    if (h->over) {
        *ret_until = TERN__TIME_NEVER;
        return TERN__HEDGE_WAIT;
    }
    if (h->sent > 0 && h->next_at <= now &&
        (now >= h->deadline || (throttle && !tern__throttle_allows_retry(throttle))))
        send_no_more(h);
    if (h->next_at != TERN__TIME_NEVER && h->next_at <= now) {
        *ret_attempt = h->sent;
        h->running |= bit_of(h->sent);
        h->sent++;
        schedule(h, tern__time_add(now, h->policy.delay_ns));
        return TERN__HEDGE_SEND;
    }
    if (!h->running && h->next_at == TERN__TIME_NEVER)
        return TERN__HEDGE_GIVE_UP;
    /* One that is due too late is not waited for; a failure may still bring it forward. */
    *ret_until = h->next_at < h->deadline ? h->next_at : TERN__TIME_NEVER;
    return TERN__HEDGE_WAIT;
}

/* Whether the protocol proves that the attempt may go round once more by itself. */
static bool transparent(tern__hedge *h, uint32_t attempt, const tern__attempt_result *result,
                        int64_t now)
{
    if (result->code != TERN_UNAVAILABLE || now >= h->deadline ||
        h->transparent >= TERN_LIMIT_TRANSPARENT_RETRIES)
        return false;
    bool refused = result->fate == TERN__FATE_REFUSED;
    if (result->fate != TERN__FATE_NEVER_SENT && (!refused || (h->refused & bit_of(attempt))))
        return false;
    if (refused)
        h->refused |= bit_of(attempt);
    h->transparent++;
    return true;
}

static tern__hedge_verdict choose(tern__hedge *h, uint32_t *ret_cancel)
{
    *ret_cancel = h->running;
    h->running = 0;
    h->over = true;
    send_no_more(h);
    return TERN__HEDGE_FINAL;
}

tern__hedge_verdict tern__hedge_outcome(tern__hedge *h, uint32_t attempt,
                                        const tern__attempt_result *result,
                                        tern__throttle *throttle, int64_t now, uint32_t *ret_cancel)
{
    if (!(h->running & bit_of(attempt)))
        return TERN__HEDGE_LATE;
    if (!h->over && transparent(h, attempt, result, now))
        return TERN__HEDGE_AGAIN;
    h->running &= ~bit_of(attempt);
    bool ok = result->code == TERN_OK;
    bool non_fatal = tern__code_set_has(h->policy.non_fatal, result->code);
    bool forbidden = result->has_pushback && result->pushback_ms < 0;
    if (throttle && !ok && (non_fatal || forbidden))
        tern__throttle_failure(throttle);
    if (h->over || !non_fatal || result->fate == TERN__FATE_COMMITTED)
        return choose(h, ret_cancel);
    if (forbidden)
        send_no_more(h);
    else if (h->next_at != TERN__TIME_NEVER)
        schedule(h, result->has_pushback ? tern__time_add(now, tern__ms_to_ns(result->pushback_ms))
                                         : now);
    if (h->next_at >= h->deadline)
        send_no_more(h);
    /* The throttle is asked now, too, so that the last failure goes to the caller at once and not
     * when the next attempt would have been due. */
    if (throttle && !tern__throttle_allows_retry(throttle))
        send_no_more(h);
    if (!h->running && h->next_at == TERN__TIME_NEVER)
        return choose(h, ret_cancel);
    return TERN__HEDGE_GO_ON;
}

void tern__hedge_withdraw(tern__hedge *h, uint32_t attempt)
{
    if (h->over)
        return;
    h->running &= ~bit_of(attempt);
    send_no_more(h);
}

uint32_t tern__hedge_commit(tern__hedge *h, uint32_t attempt)
{
    if (h->over || !(h->running & bit_of(attempt)))
        return 0;
    uint32_t others = h->running & ~bit_of(attempt);
    h->running = bit_of(attempt);
    h->over = true;
    send_no_more(h);
    return others;
}
