/* Another policy, or other settings, for the servers that a balancer has. The new one is made
 * beside the former and told of each server what is known of it, as if it had just been reported;
 * nothing is lost and nothing is half done when there is no memory. */
#include "policy/balancer.h"

/* What goes over whatever the policy: the calls that run, how the connection is, and, if outliers
 * are looked for before and after, what is counted of them. */
static void hand_over(tern__balancer *to, const tern__balancer *from, uint32_t i, int64_t now)
{
    const tern__lb_endpoint *former = &from->at[i];
    tern__lb_endpoint *e = &to->at[i];
    e->in_flight = former->in_flight;
    e->failed = former->failed;
    if (to->detects && from->detects) {
        e->record = former->record;
        e->ejected = former->ejected;
    }
    tern__balancer_report(to, i, former->state, now);
    if (to->policy == from->policy)
        e->own = former->own; /* latencies and weights, whatever the settings are now */
}

int tern__balancer_change(tern__balancer *b, const tern__lb_config *config, int64_t now,
                          uint64_t random)
{
    tern__lb_address list[TERN_LIMIT_ADDRESSES];
    uint32_t from[TERN_LIMIT_ADDRESSES];
    tern__balancer next;
    int rv = tern__balancer_init(&next, config);
    for (uint32_t i = 0; i < b->n; i++)
        list[i] = (tern__lb_address){ .name = b->at[i].name,
                                      .hash_key = b->at[i].hash_key,
                                      .weight = b->at[i].weight };
    if (rv == 0 && b->seeded) { /* a subset of the same size is the same servers */
        next.seeded = true;
        next.subset_seed = b->subset_seed;
        next.outlier.rng = b->outlier.rng;
        rv = tern__balancer_update(&next, list, b->n, random, from);
    }
    if (rv) {
        tern__balancer_deinit(&next);
        return rv;
    }
    for (uint32_t i = 0; i < b->n; i++)
        hand_over(&next, b, i, now);
    next.stirred = true; /* whom it wants to be connected may be others */
    tern__balancer_deinit(b);
    *b = next;
    return 0;
}
