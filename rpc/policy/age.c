/* See age.h. */
#include "policy/age.h"

#include <tern/limits.h>

#include "base/time.h"

/* age x uniform(0.9, 1.1); a span too large to be jittered is as good as none. */
static int64_t jittered(int64_t age, tern__rng *rng)
{
    const double part = TERN_LIMIT_AGE_JITTER_PERCENT / 100.0;
    if (age >= TERN__TIME_NEVER / 2)
        return TERN__TIME_NEVER;
    return (int64_t)((double)age * tern__rng_uniform(rng, 1 - part, 1 + part));
}

void tern__age_init(tern__age *a, const tern__age_limits *limits, int64_t now, tern__rng *rng)
{
    a->idle = limits->idle;
    a->grace = limits->grace;
    a->idle_since = now;
    a->old_at = TERN__TIME_NEVER;
    if (limits->age != TERN__TIME_NEVER)
        a->old_at = tern__time_add(now, jittered(limits->age, rng));
    a->cut_at = TERN__TIME_NEVER;
    a->old = a->told = false;
}

void tern__age_busy(tern__age *a) { a->idle_since = TERN__TIME_NEVER; }

void tern__age_rest(tern__age *a, int64_t now) { a->idle_since = now; }

void tern__age_warned(tern__age *a, int64_t now)
{
    if (a->old && a->cut_at == TERN__TIME_NEVER)
        a->cut_at = tern__time_add(now, a->grace);
}

tern__age_action tern__age_next(tern__age *a, int64_t now, int64_t *ret_until)
{
    *ret_until = a->cut_at;
    if (a->cut_at != TERN__TIME_NEVER && now >= a->cut_at)
        return TERN__AGE_CUT;
    if (a->told)
        return TERN__AGE_WAIT;
    int64_t idle_at = a->idle_since == TERN__TIME_NEVER ? TERN__TIME_NEVER
                                                        : tern__time_add(a->idle_since, a->idle);
    *ret_until = tern__time_min(a->old_at, idle_at);
    if (*ret_until == TERN__TIME_NEVER || now < *ret_until)
        return TERN__AGE_WAIT;
    a->told = true;
    a->old = a->old_at <= now;
    *ret_until = TERN__TIME_NEVER;
    return a->old ? TERN__AGE_DRAIN_OLD : TERN__AGE_DRAIN_IDLE;
}
