/* See ring_hash.h. The ring is made anew with each list, into memory of its own, so that a list for
 * which there is no memory changes nothing. A pick is a binary search and a step for each entry of
 * a server that has failed, up to the whole ring (TERN_LIMIT_LB_RING_ENTRIES) when nearly all
 * have. */
#include "policy/ring_hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xxh64.h"

typedef struct entry {
    uint64_t hash;
    uint32_t endpoint;
} entry;

typedef struct ring_hash {
    uint32_t min_size, max_size;
    entry *ring;
    uint32_t n;
    /* Of the endpoints, as tern__balancer_seen() has them: */
    uint32_t n_listed, n_failed, n_connecting;
    uint32_t first_idle; /* TERN__LB_NONE: there is none */
} ring_hash;

static int init(tern__balancer *b, const tern__lb_config *config)
{
    ring_hash *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->min_size = config->ring_hash.min_ring_size;
    h->max_size = config->ring_hash.max_ring_size;
    h->first_idle = TERN__LB_NONE;
    b->self = h;
    return 0;
}

static void deinit(tern__balancer *b)
{
    ring_hash *h = b->self;
    free(h->ring);
    free(h);
}

/* --- the ring --------------------------------------------------------------------------------- */

/* How the ring is shared out, in whole numbers: endpoint by endpoint, entries are added until they
 * are as many as
 *
 *     weights so far x times / parts
 *
 * which is what rounding up the sums of normalized weights gives, without its rounding errors. */
typedef struct sharing {
    uint64_t times, parts;
    uint64_t size;
} sharing;

/* A42: the smallest ring of at least min_size in which the smallest weight has a whole number of
 * entries, and of max_size at most. `sum` > 0, the smallest weight > 0. */
static sharing share_out(const ring_hash *h, uint64_t sum, uint64_t smallest)
{
    uint64_t of_smallest = (smallest * h->min_size + sum - 1) / sum;
    sharing s = { .times = of_smallest, .parts = smallest };
    if (of_smallest * sum > h->max_size * smallest)
        s = (sharing){ .times = h->max_size, .parts = sum };
    s.size = (sum * s.times + s.parts - 1) / s.parts;
    return s;
}

static const char *key_of(const tern__lb_endpoint *e)
{
    return e->hash_key && *e->hash_key ? e->hash_key : e->name;
}

static int by_hash(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->endpoint < y->endpoint ? -1 : x->endpoint > y->endpoint;
}

/* The next endpoint after `last` in the order of keys (and of the list, where keys are the same),
 * so that the ring does not depend on the order of the list. TERN__LB_NONE: that was the last. */
static uint32_t next_by_key(const tern__balancer *b, uint32_t last)
{
    uint32_t best = TERN__LB_NONE;
    for (uint32_t i = 0; i < b->n; i++) {
        const char *key = key_of(&b->at[i]);
        int to_last = last == TERN__LB_NONE ? 1 : strcmp(key, key_of(&b->at[last]));
        if (b->at[i].left_out || to_last < 0 || (to_last == 0 && i <= last))
            continue;
        if (best == TERN__LB_NONE || strcmp(key, key_of(&b->at[best])) < 0)
            best = i;
    }
    return best;
}

/* Puts entries of endpoint i at ring[n] and so on until there are `target`. */
static uint32_t add_entries(const tern__balancer *b, uint32_t i, entry *ring, uint32_t n,
                            uint64_t target)
{
    tern__xxh64 of_key;
    const char *key = key_of(&b->at[i]);
    tern__xxh64_init(&of_key, 0);
    tern__xxh64_add(&of_key, key, strlen(key));
    for (uint32_t k = 0; n < target; k++, n++) {
        char number[16];
        tern__xxh64 h = of_key;
        int len = snprintf(number, sizeof number, "_%u", k);
        tern__xxh64_add(&h, number, (size_t)len);
        ring[n] = (entry){ tern__xxh64_value(&h), i };
    }
    return n;
}

/* NULL: out of memory. There is at least one endpoint that is not left out. */
static entry *make_ring(const tern__balancer *b, uint32_t *ret_n)
{
    const ring_hash *h = b->self;
    uint64_t sum = 0, smallest = UINT64_MAX, so_far = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->at[i].left_out)
            continue;
        sum += b->at[i].weight;
        smallest = b->at[i].weight < smallest ? b->at[i].weight : smallest;
    }
    sharing s = share_out(h, sum, smallest);
    entry *ring = calloc((size_t)s.size, sizeof *ring);
    if (!ring)
        return NULL;
    for (uint32_t i = TERN__LB_NONE; (i = next_by_key(b, i)) != TERN__LB_NONE;) {
        so_far += b->at[i].weight;
        n = add_entries(b, i, ring, n, (so_far * s.times + s.parts - 1) / s.parts);
    }
    qsort(ring, n, sizeof *ring, by_hash);
    *ret_n = n;
    return ring;
}

static void count_states(tern__balancer *b)
{
    ring_hash *h = b->self;
    h->n_listed = h->n_failed = h->n_connecting = 0;
    h->first_idle = TERN__LB_NONE;
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->at[i].left_out)
            continue;
        tern__lb_state s = tern__balancer_seen(b, i);
        h->n_listed++;
        h->n_failed += s == TERN__LB_TRANSIENT_FAILURE;
        h->n_connecting += s == TERN__LB_CONNECTING;
        if (s == TERN__LB_IDLE && h->first_idle == TERN__LB_NONE)
            h->first_idle = i;
    }
}

static int update(tern__balancer *b, const uint32_t *from, uint64_t random)
{
    ring_hash *h = b->self;
    uint32_t n = 0;
    entry *ring = b->n ? make_ring(b, &n) : NULL;
    (void)from, (void)random;
    if (b->n && !ring)
        return -ENOMEM;
    free(h->ring);
    h->ring = ring;
    h->n = n;
    count_states(b);
    return 0;
}

uint32_t tern__lb_ring_entries_of(const tern__balancer *b, uint32_t i)
{
    const ring_hash *h = b->self;
    uint32_t n = 0;
    for (uint32_t k = 0; k < h->n; k++)
        n += h->ring[k].endpoint == i;
    return n;
}

/* --- states ----------------------------------------------------------------------------------- */

static void reported(tern__balancer *b, uint32_t i, int64_t now)
{
    (void)now;
    if (b->at[i].state != TERN__LB_IDLE)
        b->at[i].own.ring_hash.asked = false;
    count_states(b);
}

/* A42, "Aggregated Connectivity State". */
static tern__lb_state state(const tern__balancer *b)
{
    const ring_hash *h = b->self;
    if (b->n_ready)
        return TERN__LB_READY;
    if (h->n_failed >= 2)
        return TERN__LB_TRANSIENT_FAILURE;
    if (h->n_connecting || (h->n_failed == 1 && h->n_listed > 1))
        return TERN__LB_CONNECTING;
    return h->first_idle != TERN__LB_NONE ? TERN__LB_IDLE : TERN__LB_TRANSIENT_FAILURE;
}

/* A61, "Ring Hash": when some have failed, others are connected even if no call asks, one at a
 * time. */
static bool wants(const tern__balancer *b, uint32_t i)
{
    const ring_hash *h = b->self;
    if (b->at[i].failed || b->at[i].own.ring_hash.asked)
        return true;
    tern__lb_state s = state(b);
    return i == h->first_idle && h->n_connecting == 0 &&
           (s == TERN__LB_CONNECTING || s == TERN__LB_TRANSIENT_FAILURE);
}

/* --- picks ------------------------------------------------------------------------------------ */

static uint32_t find(const ring_hash *h, uint64_t hash)
{
    uint32_t lo = 0, hi = h->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (h->ring[mid].hash < hash)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == h->n ? 0 : lo;
}

static void ask_for(tern__balancer *b, uint32_t i)
{
    if (!b->at[i].own.ring_hash.asked)
        b->stirred = true;
    b->at[i].own.ring_hash.asked = true;
}

/* With a hash, A61: what is neither READY nor failed is waited for. */
static tern__lb_verdict by_given_hash(tern__balancer *b, uint64_t hash, uint32_t *ret)
{
    const ring_hash *h = b->self;
    uint32_t first = find(h, hash);
    for (uint32_t k = 0; k < h->n; k++) {
        uint32_t i = h->ring[(first + k) % h->n].endpoint;
        tern__lb_state s = tern__balancer_seen(b, i);
        if (s == TERN__LB_TRANSIENT_FAILURE)
            continue;
        *ret = i;
        if (s == TERN__LB_READY)
            return TERN__LB_PICKED;
        if (s == TERN__LB_IDLE)
            ask_for(b, i);
        return TERN__LB_QUEUE;
    }
    return TERN__LB_FAIL;
}

/* Without one, A76: the first READY one from anywhere on; of what is IDLE on the way one is
 * connected, so that calls spread over more servers by and by. */
static tern__lb_verdict by_random_hash(tern__balancer *b, uint64_t hash, uint32_t *ret)
{
    const ring_hash *h = b->self;
    uint32_t first = find(h, hash);
    bool asked = h->n_connecting > 0;
    for (uint32_t k = 0; k < h->n; k++) {
        uint32_t i = h->ring[(first + k) % h->n].endpoint;
        tern__lb_state s = tern__balancer_seen(b, i);
        if (s == TERN__LB_READY) {
            *ret = i;
            return TERN__LB_PICKED;
        }
        if (s == TERN__LB_IDLE && !asked) {
            ask_for(b, i);
            asked = true;
        }
    }
    return asked ? TERN__LB_QUEUE : TERN__LB_FAIL;
}

static tern__lb_verdict choose(tern__balancer *b, const tern__lb_request *r, uint32_t *ret)
{
    const ring_hash *h = b->self;
    if (h->n_failed == h->n_listed)
        return TERN__LB_FAIL;
    return r->key.has_hash ? by_given_hash(b, r->key.hash, ret) : by_random_hash(b, r->random, ret);
}

const tern__lb_policy tern__lb_ring_hash_policy = {
    .name = "ring_hash_experimental",
    .init = init,
    .deinit = deinit,
    .update = update,
    .reported = reported,
    .choose = choose,
    .wants = wants,
    .state = state,
};
