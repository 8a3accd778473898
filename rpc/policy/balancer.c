/* See balancer.h. */
#include "policy/balancer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "policy/lb_custom.h"
#include "policy/least_request.h"
#include "policy/peak_ewma.h"
#include "policy/ring_hash.h"
#include "policy/round_robin.h"
#include "policy/subset.h"
#include "policy/weighted_round_robin.h"

/* By kind. pick_first is none of them: a subchannel with all the addresses does that. */
static const tern__lb_policy *const policies[] = {
    [TERN__LB_ROUND_ROBIN] = &tern__lb_round_robin_policy,
    [TERN__LB_LEAST_REQUEST] = &tern__lb_least_request_policy,
    [TERN__LB_WEIGHTED_ROUND_ROBIN] = &tern__lb_weighted_round_robin_policy,
    [TERN__LB_RING_HASH] = &tern__lb_ring_hash_policy,
    [TERN__LB_PEAK_EWMA] = &tern__lb_peak_ewma_policy,
    [TERN__LB_CUSTOM] = &tern__lb_custom_policy,
};

int tern__balancer_init(tern__balancer *b, const tern__lb_config *config)
{
    memset(b, 0, sizeof *b);
    for (const tern__lb_config *child; (child = tern__lb_child(config)) != NULL; config = child) {
        if (config->kind == TERN__LB_RANDOM_SUBSETTING) {
            b->subset_size = config->random_subsetting.subset_size;
        } else {
            b->detects = true;
            tern__outlier_init(&b->outlier, &config->outlier_detection);
        }
    }
    b->policy = config->kind < sizeof policies / sizeof *policies ? policies[config->kind] : NULL;
    if (!b->policy)
        return -ENOTSUP;
    return b->policy->init ? b->policy->init(b, config) : 0;
}

static void free_endpoints(tern__lb_endpoint *at, uint32_t n)
{
    for (uint32_t i = 0; at && i < n; i++) {
        free(at[i].name);
        free(at[i].hash_key);
    }
    free(at);
}

void tern__balancer_deinit(tern__balancer *b)
{
    if (b->self && b->policy->deinit)
        b->policy->deinit(b);
    free_endpoints(b->at, b->n);
    free(b->ready);
    free(b->place);
    memset(b, 0, sizeof *b);
}

/* --- the list --------------------------------------------------------------------------------- */

static uint32_t find(const tern__lb_endpoint *at, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(at[i].name, name) == 0)
            return i;
    return TERN__LB_NONE;
}

static bool make_endpoint(tern__lb_endpoint *e, const tern__lb_address *a)
{
    e->name = strdup(a->name);
    e->hash_key = a->hash_key ? strdup(a->hash_key) : NULL;
    e->weight = a->weight ? a->weight : 1;
    return e->name && (e->hash_key || !a->hash_key);
}

/* The endpoints of a new list, each once; from[] as tern__balancer_update() has it. NULL: out of
 * memory. */
static tern__lb_endpoint *make_list(const tern__balancer *b, const tern__lb_address *list,
                                    uint32_t n, uint32_t *from, uint32_t *ret_n)
{
    uint32_t made = 0;
    tern__lb_endpoint *at = calloc(TERN_LIMIT_ADDRESSES, sizeof *at);
    for (uint32_t i = 0; at && i < n && made < TERN_LIMIT_ADDRESSES; i++) {
        if (find(at, made, list[i].name) != TERN__LB_NONE)
            continue;
        tern__lb_endpoint *e = &at[made];
        if (!make_endpoint(e, &list[i])) {
            free_endpoints(at, made + 1);
            return NULL;
        }
        from[made] = find(b->at, b->n, e->name);
        if (from[made] != TERN__LB_NONE) {
            const tern__lb_endpoint *former = &b->at[from[made]];
            e->state = former->state;
            e->failed = former->failed;
            e->ejected = former->ejected;
            e->in_flight = former->in_flight;
            e->record = former->record;
            e->own = former->own;
        }
        made++;
    }
    *ret_n = made;
    return at;
}

static bool can_be_taken(const tern__lb_endpoint *e)
{
    return e->state == TERN__LB_READY && !e->ejected && !e->left_out;
}

static void list_ready(tern__balancer *b)
{
    b->n_ready = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        bool usable = can_be_taken(&b->at[i]);
        b->place[i] = usable ? b->n_ready : TERN__LB_NONE;
        if (usable)
            b->ready[b->n_ready++] = i;
    }
}

static void free_lists(tern__balancer *b)
{
    free_endpoints(b->at, b->n);
    free(b->ready);
    free(b->place);
}

int tern__balancer_update(tern__balancer *b, const tern__lb_address *list, uint32_t n,
                          uint64_t random, uint32_t *ret_from)
{
    if (!b->seeded) { /* the subset is the same for all lists */
        b->seeded = true;
        b->subset_seed = random;
        tern__rng_seed(&b->outlier.rng, random);
    }
    tern__balancer former = *b;
    uint32_t *ready = calloc(TERN_LIMIT_ADDRESSES, sizeof *ready);
    uint32_t *place = calloc(TERN_LIMIT_ADDRESSES, sizeof *place);
    uint32_t made = 0;
    tern__lb_endpoint *at = ready && place ? make_list(b, list, n, ret_from, &made) : NULL;
    if (!at) {
        free(ready);
        free(place);
        return -ENOMEM;
    }
    b->at = at;
    b->n = made;
    b->ready = ready;
    b->place = place;
    if (b->subset_size)
        tern__lb_subset(at, made, b->subset_size, b->subset_seed);
    list_ready(b);
    int rv = b->policy->update ? b->policy->update(b, ret_from, random) : 0;
    if (rv) {
        free_lists(b);
        *b = former;
        return rv;
    }
    free_lists(&former);
    return 0;
}

/* --- states ----------------------------------------------------------------------------------- */

/* Puts endpoint i among those that can be taken, or takes it out. */
static void list_or_not(tern__balancer *b, uint32_t i, int64_t now)
{
    bool is = b->place[i] != TERN__LB_NONE;
    bool should = can_be_taken(&b->at[i]);
    if (is == should)
        return;
    if (should) {
        b->place[i] = b->n_ready;
        b->ready[b->n_ready++] = i;
    } else {
        uint32_t last = b->ready[--b->n_ready];
        b->ready[b->place[i]] = last;
        b->place[last] = b->place[i];
        b->place[i] = TERN__LB_NONE;
    }
    if (b->policy->changed)
        b->policy->changed(b, i, now);
}

static void settle(tern__balancer *b, uint32_t i, int64_t now)
{
    list_or_not(b, i, now);
    if (b->policy->reported)
        b->policy->reported(b, i, now);
}

void tern__balancer_report(tern__balancer *b, uint32_t i, tern__lb_state state, int64_t now)
{
    tern__lb_endpoint *e = &b->at[i];
    e->state = state;
    if (state == TERN__LB_TRANSIENT_FAILURE)
        e->failed = true;
    else if (state == TERN__LB_READY)
        e->failed = false;
    settle(b, i, now);
}

void tern__balancer_eject(tern__balancer *b, uint32_t i, bool ejected, int64_t now)
{
    b->at[i].ejected = ejected;
    settle(b, i, now);
}

bool tern__balancer_wants(const tern__balancer *b, uint32_t i)
{
    const tern__lb_endpoint *e = &b->at[i];
    return e->state == TERN__LB_IDLE && !e->left_out &&
           (!b->policy->wants || b->policy->wants(b, i));
}

tern__lb_state tern__balancer_state(const tern__balancer *b)
{
    if (b->policy->state)
        return b->policy->state(b);
    if (b->n_ready)
        return TERN__LB_READY;
    bool connecting = false, idle = false;
    for (uint32_t i = 0; i < b->n; i++) {
        tern__lb_state seen = tern__balancer_seen(b, i);
        connecting |= seen == TERN__LB_CONNECTING && !b->at[i].left_out;
        idle |= seen == TERN__LB_IDLE && !b->at[i].left_out;
    }
    return connecting ? TERN__LB_CONNECTING : idle ? TERN__LB_IDLE : TERN__LB_TRANSIENT_FAILURE;
}

/* --- calls ------------------------------------------------------------------------------------ */

static tern__lb_verdict choose(tern__balancer *b, const tern__lb_request *r, uint32_t *ret)
{
    if (b->policy->choose)
        return b->policy->choose(b, r, ret);
    if (b->n_ready == 0)
        return tern__balancer_state(b) == TERN__LB_TRANSIENT_FAILURE ? TERN__LB_FAIL
                                                                     : TERN__LB_QUEUE;
    *ret = b->n_ready == 1 ? b->ready[0] : b->policy->pick(b, r);
    return TERN__LB_PICKED;
}

tern__lb_verdict tern__balancer_pick(tern__balancer *b, const tern__lb_request *r, uint32_t *ret)
{
    tern__lb_verdict v = choose(b, r, ret);
    if (v == TERN__LB_PICKED)
        b->at[*ret].in_flight++;
    return v;
}

void tern__balancer_ended(tern__balancer *b, uint32_t i, const tern__lb_outcome *o)
{
    b->at[i].in_flight--;
    if (b->detects)
        tern__outlier_count(&b->outlier, &b->at[i].record, o->code);
    if (b->policy->ended)
        b->policy->ended(b, i, o);
}

void tern__balancer_undo(tern__balancer *b, uint32_t i)
{
    b->at[i].in_flight--;
}

void tern__balancer_loaded(tern__balancer *b, uint32_t i, const tern__lb_outcome *o)
{
    if (b->policy->loaded)
        b->policy->loaded(b, i, o);
}

int64_t tern__balancer_tick(tern__balancer *b, int64_t now)
{
    return b->detects ? tern__outlier_tick(b, now) : TERN__TIME_NEVER;
}
