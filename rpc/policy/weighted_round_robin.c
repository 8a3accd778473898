/* See weighted_round_robin.h.
 *
 * The schedule is a static stride: the servers are asked in turn, each time one is asked its share
 * is added to its credit, and when that is FULL, it is taken, for FULL. The heaviest has the share
 * FULL and is taken each time; so there are at most as many questions as servers before one is
 * taken. Shares are kept between a tenth and ten times the mean, as in grpc-core: the lightest
 * still gets calls, by whose reports its weight can grow again, and a pick asks ten on average at
 * most.
 *
 * Weights are looked at anew each update period, by the pick that finds it has passed: a channel
 * without calls needs no timer. */
#include "policy/weighted_round_robin.h"

#include <errno.h>
#include <stdlib.h>

#include "base/time.h"

#define FULL 65535u
#define RATIO_MAX 10.0
#define WEIGHT_MAX 1e12 /* calls a second; more is no report to go by */

typedef struct weighted_round_robin {
    tern__lb_weighted_round_robin config;
    uint32_t next; /* whose turn it is to be asked */
    int64_t due;   /* when shares are to be worked out anew */
    bool stale;    /* at once */
} weighted_round_robin;

static int init(tern__balancer *b, const tern__lb_config *config)
{
    weighted_round_robin *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->config = config->weighted_round_robin;
    w->stale = true;
    b->self = w;
    return 0;
}

static void deinit(tern__balancer *b)
{
    free(b->self);
}

static int update(tern__balancer *b, const uint32_t *from, uint64_t random)
{
    weighted_round_robin *w = b->self;
    w->next = b->n ? (uint32_t)(random % b->n) : 0;
    w->stale = true;
    /* Those that come get some credit to begin with, not the same: else they would all miss their
     * first turns, and be taken at once. */
    for (uint32_t i = 0; i < b->n; i++)
        if (from[i] == TERN__LB_NONE)
            b->at[i].own.weighted_round_robin.credit = (uint32_t)((random >> 32) + i * 40503u) %
                                                       FULL;
    return 0;
}

static void changed(tern__balancer *b, uint32_t i, int64_t now)
{
    weighted_round_robin *w = b->self;
    (void)now;
    w->stale = true;
    if (tern__balancer_usable(b, i))
        b->at[i].own.weighted_round_robin.reports = false; /* the blackout begins anew */
}

/* --- weights ---------------------------------------------------------------------------------- */

/* A58's UpdateWeight(). What a server sends can be anything: a weight that is none, or not a
 * number, is not taken. */
static void take(tern__balancer *b, uint32_t i, const tern__lb_outcome *o)
{
    const weighted_round_robin *w = b->self;
    tern__lb_own *own = &b->at[i].own;
    if (!(o->qps > 0) || !(o->utilization > 0))
        return;
    double errors = o->eps > 0 ? o->eps / o->qps * w->config.error_utilization_penalty : 0;
    double weight = o->qps / (o->utilization + errors);
    if (!(weight > 0) || !(weight <= WEIGHT_MAX))
        return;
    if (!own->weighted_round_robin.reports)
        own->weighted_round_robin.since = o->now;
    own->weighted_round_robin.reports = true;
    own->weighted_round_robin.updated = o->now;
    own->weighted_round_robin.weight = weight;
}

static void ended(tern__balancer *b, uint32_t i, const tern__lb_outcome *o)
{
    const weighted_round_robin *w = b->self;
    if (o->has_load && !w->config.enable_oob_load_report)
        take(b, i, o);
}

static void loaded(tern__balancer *b, uint32_t i, const tern__lb_outcome *o)
{
    const weighted_round_robin *w = b->self;
    if (w->config.enable_oob_load_report)
        take(b, i, o);
}

/* A58's GetWeight(); 0: there is none to go by. */
static double weight_of(tern__balancer *b, uint32_t i, int64_t now)
{
    const weighted_round_robin *w = b->self;
    tern__lb_own *own = &b->at[i].own;
    if (own->weighted_round_robin.weight <= 0)
        return 0;
    if (now - own->weighted_round_robin.updated >= w->config.weight_expiration_period) {
        own->weighted_round_robin.reports = false;
        return 0;
    }
    if (w->config.blackout_period > 0 &&
        (!own->weighted_round_robin.reports ||
         now - own->weighted_round_robin.since < w->config.blackout_period))
        return 0;
    return own->weighted_round_robin.weight;
}

/* --- the schedule ----------------------------------------------------------------------------- */

static uint32_t share_of(double weight, double mean, double max)
{
    if (weight <= 0)
        weight = mean;
    if (weight < mean / RATIO_MAX)
        weight = mean / RATIO_MAX;
    return weight >= max ? FULL : (uint32_t)(weight / max * FULL + 0.5);
}

static void weigh(tern__balancer *b, int64_t now)
{
    weighted_round_robin *w = b->self;
    double sum = 0, max = 0;
    uint32_t n = 0;
    w->stale = false;
    w->due = tern__time_add(now, w->config.weight_update_period);
    for (uint32_t k = 0; k < b->n_ready; k++) {
        double weight = weight_of(b, b->ready[k], now);
        sum += weight;
        max = weight > max ? weight : max;
        n += weight > 0;
    }
    double mean = n ? sum / n : 0;
    if (max > mean * RATIO_MAX)
        max = mean * RATIO_MAX;
    for (uint32_t k = 0; k < b->n_ready; k++) {
        uint32_t i = b->ready[k];
        b->at[i].own.weighted_round_robin.share = n < 2 ? FULL
                                                        : share_of(weight_of(b, i, now), mean, max);
    }
}

static uint32_t pick(tern__balancer *b, const tern__lb_request *r)
{
    weighted_round_robin *w = b->self;
    if (w->stale || r->now >= w->due)
        weigh(b, r->now);
    for (;;) {
        uint32_t i = w->next;
        w->next = i + 1 == b->n ? 0 : i + 1;
        if (!tern__balancer_usable(b, i))
            continue;
        tern__lb_own *own = &b->at[i].own;
        own->weighted_round_robin.credit += own->weighted_round_robin.share;
        if (own->weighted_round_robin.credit >= FULL) {
            own->weighted_round_robin.credit -= FULL;
            return i;
        }
    }
}

const tern__lb_policy tern__lb_weighted_round_robin_policy = {
    .name = "weighted_round_robin",
    .init = init,
    .deinit = deinit,
    .update = update,
    .changed = changed,
    .pick = pick,
    .ended = ended,
    .loaded = loaded,
};
