/* See codel.h. Whether the queue stands is decided at the end of each interval, by the shortest
 * wait of the oldest call that was seen in it, and holds for the next one. An interval ends with
 * the first call that is taken after its time, which is the first of the next one. */
#include "policy/codel.h"

#include "base/time.h"

#define STALE_TARGETS 2 /* Facebook's slough: twice the target */
#define NOT_SEEN INT64_MIN

void tern__codel_init(tern__codel *c, const tern__codel_options *o)
{
    *c = (tern__codel){ .target = o->target, .interval = o->interval, .interval_end = NOT_SEEN };
}

static void begin_interval(tern__codel *c, int64_t now, int64_t wait)
{
    c->interval_end = tern__time_add(now, c->interval);
    c->wait_min = wait;
}

static void observe(tern__codel *c, int64_t now, int64_t wait)
{
    if (c->interval_end == NOT_SEEN) {
        begin_interval(c, now, wait);
        return;
    }
    if (now >= c->interval_end) {
        c->overloaded = c->wait_min > c->target;
        begin_interval(c, now, wait);
    } else if (wait < c->wait_min) {
        c->wait_min = wait;
    }
}

tern__codel_order tern__codel_next(tern__codel *c, int64_t now, int64_t oldest_at)
{
    observe(c, now, now > oldest_at ? now - oldest_at : 0);
    return c->overloaded ? TERN__CODEL_NEWEST_FIRST : TERN__CODEL_OLDEST_FIRST;
}

void tern__codel_empty(tern__codel *c, int64_t now)
{
    c->overloaded = false;
    begin_interval(c, now, 0);
}

tern__codel_verdict tern__codel_judge(tern__codel *c, int64_t now, int64_t queued_at,
                                      int64_t deadline, int64_t least)
{
    if (tern__time_add(now, least) >= deadline) {
        c->n_late++;
        return TERN__CODEL_DROP_LATE;
    }
    if (c->overloaded && now - queued_at > STALE_TARGETS * c->target) {
        c->n_stale++;
        return TERN__CODEL_DROP_STALE;
    }
    return TERN__CODEL_RUN;
}
