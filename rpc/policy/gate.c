/* See gate.h. The queue is one list for each priority. A newcomer passes those who wait with a
 * lower priority, never those with its own or a higher one, so nobody overtakes but by priority and
 * by CoDel's word. */
#include "policy/gate.h"

#include <stddef.h>
#include <string.h>

#include "base/time.h"

#define LOWEST TERN_PRIORITY_LOW
#define HIGHEST TERN_PRIORITY_HIGH /* of those who wait */

void tern__gate_init(tern__gate *g, const tern__gate_options *o)
{
    *g = (tern__gate){ .opt = *o };
    if (o->adaptive)
        tern__concurrency_init(&g->limit, &o->limit);
    tern__codel_init(&g->codel, &o->codel);
    for (int p = 0; p < TERN_PRIORITY_CRITICAL; p++)
        tern__list_init(&g->queue[p]);
}

void tern__gate_count(tern__gate *g, const tern__gate_item *it, tern__gate_verdict why)
{
    g->n[why]++;
    if (why != TERN__GATE_RUN && why != TERN__GATE_WAIT && why != TERN__GATE_DROP_CANCELLED)
        g->n_shed[it->priority]++;
}

/* --- room ------------------------------------------------------------------------------------- */

/* Of `limit`, what a priority gets: at least one. */
static uint32_t share(const tern__gate *g, uint32_t limit, unsigned priority)
{
    uint32_t n = limit;
    if (priority == TERN_PRIORITY_LOW)
        n = (uint32_t)((uint64_t)limit * g->opt.low_percent / 100);
    return n ? n : 1;
}

static tern__gate_verdict room(const tern__gate *g, const tern__gate_item *it)
{
    if (g->opt.running_max && g->running >= share(g, g->opt.running_max, it->priority))
        return TERN__GATE_REFUSE_SERVER;
    if (g->opt.adaptive && it->unary &&
        g->limit.in_flight >= share(g, tern__concurrency_limit(&g->limit), it->priority))
        return TERN__GATE_REFUSE_ADAPTIVE;
    return TERN__GATE_RUN;
}

/* The method has counted it already. */
static void let_in(tern__gate *g, tern__gate_item *it, int64_t now)
{
    it->state = TERN__GATE_IN;
    it->began = now;
    it->limited = g->opt.adaptive && it->unary;
    g->running++;
    /* There is room, or the call is to pass without. */
    if (it->limited)
        tern__concurrency_enter(&g->limit, true);
}

/* --- the queue -------------------------------------------------------------------------------- */

static tern__gate_item *item_of(tern__list *node)
{
    return TERN__CONTAINER(node, tern__gate_item, node);
}

static tern__gate_item *oldest_of(const tern__gate *g, unsigned priority)
{
    const tern__list *q = &g->queue[priority];
    return tern__list_empty(q) ? NULL : item_of(q->next);
}

/* Takes one out, whose fate is `why`. */
static void take_out(tern__gate *g, tern__gate_item *it, tern__gate_verdict why)
{
    tern__list_remove(&it->node);
    g->n_queued--;
    it->state = TERN__GATE_OUT;
    it->verdict = (uint8_t)why;
    if (why != TERN__GATE_RUN)
        it->method->running--;
    tern__gate_count(g, it, why);
}

void tern__gate_forget(tern__gate *g, tern__gate_item *it, tern__gate_verdict why)
{
    take_out(g, it, why);
}

static void drop(tern__gate *g, tern__gate_item *it, tern__gate_verdict why, tern__list *decided)
{
    take_out(g, it, why);
    tern__list_append(decided, &it->node);
}

static tern__gate_verdict judge(tern__gate *g, tern__gate_item *it, int64_t now)
{
    int64_t least = tern__service_time_least(&it->method->took, now, g->opt.service_window);
    switch (tern__codel_judge(&g->codel, now, it->arrived, it->deadline, least)) {
    case TERN__CODEL_DROP_LATE:
        return TERN__GATE_DROP_LATE;
    case TERN__CODEL_DROP_STALE:
        return TERN__GATE_DROP_STALE;
    default:
        return TERN__GATE_RUN;
    }
}

/* While the newest are taken first the oldest would stay for ever: those that are not worth running
 * any more go. */
static void drop_oldest(tern__gate *g, int64_t now, tern__list *decided)
{
    for (unsigned p = LOWEST; p <= HIGHEST; p++) {
        tern__gate_item *it;
        while ((it = oldest_of(g, p))) {
            tern__gate_verdict v = judge(g, it, now);
            if (v == TERN__GATE_RUN)
                break;
            drop(g, it, v, decided);
        }
    }
}

static int64_t oldest_arrival(const tern__gate *g)
{
    int64_t at = INT64_MAX;
    for (unsigned p = LOWEST; p <= HIGHEST; p++) {
        const tern__gate_item *it = oldest_of(g, p);
        if (it && it->arrived < at)
            at = it->arrived;
    }
    return at;
}

/* The one that would be taken now, NULL: none that there is room for. A lower priority never has
 * room where a higher one has none. */
static tern__gate_item *candidate(const tern__gate *g, bool newest)
{
    for (unsigned p = HIGHEST; p >= LOWEST; p--) {
        const tern__list *q = &g->queue[p];
        if (tern__list_empty(q))
            continue;
        tern__gate_item *it = item_of(newest ? q->prev : q->next);
        return room(g, it) == TERN__GATE_RUN ? it : NULL;
    }
    return NULL;
}

void tern__gate_next(tern__gate *g, int64_t now, tern__list *decided)
{
    if (!g->n_queued)
        return;
    while (g->n_queued) {
        tern__gate_item *it = candidate(g, false);
        if (!it)
            return; /* nobody is taken: nothing to learn about the queue either */
        if (tern__codel_next(&g->codel, now, oldest_arrival(g)) == TERN__CODEL_NEWEST_FIRST) {
            drop_oldest(g, now, decided);
            if (!(it = candidate(g, true)))
                break;
        }
        tern__gate_verdict v = judge(g, it, now);
        if (v == TERN__GATE_RUN) {
            take_out(g, it, TERN__GATE_RUN);
            let_in(g, it, now);
            tern__list_append(decided, &it->node);
        } else {
            drop(g, it, v, decided);
        }
    }
    if (!g->n_queued)
        tern__codel_empty(&g->codel, now);
}

/* The queue is full: who has the least right to be in it goes. False: that is `it` itself. */
static bool make_place(tern__gate *g, const tern__gate_item *it, tern__list *decided)
{
    bool newest_first = g->codel.overloaded;
    for (unsigned p = LOWEST; p <= it->priority; p++) {
        if (tern__list_empty(&g->queue[p]) || (p == it->priority && !newest_first))
            continue;
        drop(g, item_of(newest_first ? g->queue[p].next : g->queue[p].prev),
             TERN__GATE_REFUSE_QUEUE, decided);
        return true;
    }
    return false;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* Whether somebody waits whom this one must not overtake. */
static bool others_first(const tern__gate *g, const tern__gate_item *it)
{
    for (unsigned p = it->priority; g->n_queued && p <= HIGHEST; p++)
        if (!tern__list_empty(&g->queue[p]))
            return true;
    return false;
}

/* The call could run at once: unless it has stood too long in a queue that the gate does not see,
 * that of the requests its loop has read and not come to yet. */
static tern__gate_verdict look_at_wait(tern__gate *g, tern__gate_item *it, int64_t now)
{
    if (!g->opt.queue_max || !it->unary)
        return TERN__GATE_RUN;
    (void)tern__codel_next(&g->codel, now, it->arrived);
    return judge(g, it, now);
}

static tern__gate_verdict decide(tern__gate *g, tern__gate_item *it, int64_t now,
                                 tern__list *decided)
{
    if (it->priority == TERN_PRIORITY_CRITICAL)
        return TERN__GATE_RUN;
    if (it->method->running_max && it->method->running >= it->method->running_max)
        return TERN__GATE_REFUSE_METHOD;
    bool queues = g->opt.queue_max && it->unary;
    tern__gate_verdict v = room(g, it);
    if (v == TERN__GATE_RUN && !(queues && others_first(g, it)))
        return look_at_wait(g, it, now);
    if (!queues)
        return v;
    if (g->n_queued >= g->opt.queue_max && !make_place(g, it, decided))
        return v == TERN__GATE_RUN ? TERN__GATE_REFUSE_QUEUE : v;
    return TERN__GATE_WAIT;
}

tern__gate_verdict tern__gate_arrive(tern__gate *g, tern__gate_item *it, int64_t now,
                                     tern__list *decided)
{
    tern__gate_verdict v = decide(g, it, now, decided);
    it->verdict = (uint8_t)v;
    if (v == TERN__GATE_WAIT) {
        g->n_waited++;
        g->n_queued++;
        it->state = TERN__GATE_WAITING;
        tern__list_append(&g->queue[it->priority], &it->node);
    } else {
        tern__gate_count(g, it, v);
    }
    if (v == TERN__GATE_RUN || v == TERN__GATE_WAIT)
        it->method->running++;
    if (v == TERN__GATE_RUN)
        let_in(g, it, now);
    return v;
}

void tern__gate_leave(tern__gate *g, tern__gate_item *it, int64_t now,
                      tern__concurrency_sample sample)
{
    it->state = TERN__GATE_OUT;
    it->method->running--;
    g->running--;
    if (sample == TERN__CONCURRENCY_SERVED && it->unary)
        tern__service_time_add(&it->method->took, now, g->opt.service_window, now - it->began);
    if (!it->limited)
        return;
    /* Health checks are quicker than what the limit is about. */
    if (it->priority == TERN_PRIORITY_CRITICAL)
        sample = TERN__CONCURRENCY_NO_SAMPLE;
    tern__concurrency_leave(&g->limit, now, it->began, sample);
}

/* --- priorities ------------------------------------------------------------------------------- */

static tern_priority priority_of(const char *value)
{
    static const char *const names[] = { "", "low", "normal", "high", "critical" };
    if (!value)
        return TERN_PRIORITY_DEFAULT;
    for (unsigned p = LOWEST; p <= TERN_PRIORITY_CRITICAL; p++)
        if (strcmp(value, names[p]) == 0 || (value[0] == (char)('0' + p) && !value[1]))
            return (tern_priority)p;
    return TERN_PRIORITY_DEFAULT;
}

tern_priority tern__gate_priority(tern_priority method, const char *value, tern_priority client_max)
{
    tern_priority own = method ? method : TERN_PRIORITY_NORMAL;
    tern_priority asked = priority_of(value);
    tern_priority max = client_max > own ? client_max : own;
    if (!asked)
        return own;
    return asked < max ? asked : max;
}
