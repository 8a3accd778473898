/* See lb_custom.h. The public handles are the balancer's own structs by other names: a server is
 * its tern__lb_endpoint, as long as the list is the same. */
#include "policy/lb_custom.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "policy/service_config_parts.h"

/* --- the table -------------------------------------------------------------------------------- */

static _Atomic(tern_balancer_policy *) table[TERN_LIMIT_LB_POLICIES];

const tern_balancer_policy *tern__lb_custom_find(const char *name)
{
    for (uint32_t i = 0; i < TERN_LIMIT_LB_POLICIES; i++) {
        const tern_balancer_policy *p = atomic_load_explicit(&table[i], memory_order_acquire);
        if (!p)
            return NULL;
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

/* The struct and its name in one piece. NULL: out of memory. */
static tern_balancer_policy *copy(const tern_balancer_policy *p)
{
    size_t len = strlen(p->name) + 1;
    tern_balancer_policy *own = calloc(1, sizeof *own + len);
    if (!own)
        return NULL;
    memcpy(own, p, p->size);
    own->name = memcpy(own + 1, p->name, len);
    return own;
}

int tern__lb_custom_add(const tern_balancer_policy *p)
{
    if (tern__lb_is_built_in(p->name))
        return -EEXIST;
    tern_balancer_policy *own = copy(p);
    if (!own)
        return -ENOMEM;
    for (uint32_t i = 0; i < TERN_LIMIT_LB_POLICIES; i++) {
        tern_balancer_policy *there = NULL;
        if (atomic_compare_exchange_strong(&table[i], &there, own))
            return 0;
        if (strcmp(there->name, own->name) == 0) {
            free(own);
            return -EEXIST;
        }
    }
    free(own);
    return -ENOSPC;
}

/* --- handles ---------------------------------------------------------------------------------- */

/* An instance, which is what the balancer has as `self`. */
typedef struct custom {
    const tern_balancer_policy *p;
    void *self;
    void *data[TERN_LIMIT_ADDRESSES]; /* of each server; NULL: none */
} custom;

static tern_balancer *outside(const tern__balancer *b)
{
    return (tern_balancer *)(uintptr_t)b;
}

static tern__balancer *inside(const tern_balancer *b)
{
    return (tern__balancer *)(uintptr_t)b;
}

static tern_balancer_server *server(const tern__balancer *b, uint32_t i)
{
    return (tern_balancer_server *)(void *)&b->at[i];
}

static const tern__lb_endpoint *endpoint(const tern_balancer_server *s)
{
    return (const tern__lb_endpoint *)(const void *)s;
}

static uint32_t index_of(const tern__balancer *b, const tern_balancer_server *s)
{
    uintptr_t off = (uintptr_t)s - (uintptr_t)b->at; /* huge for one before it */
    bool mine = off % sizeof b->at[0] == 0 && off / sizeof b->at[0] < b->n;
    return mine ? (uint32_t)(off / sizeof b->at[0]) : TERN__LB_NONE;
}

uint32_t tern_balancer_count(const tern_balancer *b) { return inside(b)->n; }

tern_balancer_server *tern_balancer_at(tern_balancer *b, uint32_t i)
{
    return i < inside(b)->n ? server(inside(b), i) : NULL;
}

const char *tern_balancer_server_name(const tern_balancer_server *s) { return endpoint(s)->name; }

uint32_t tern_balancer_server_weight(const tern_balancer_server *s)
{
    return endpoint(s)->weight;
}

tern_balancer_state tern_balancer_server_state(const tern_balancer_server *s)
{
    static const tern_balancer_state states[] = {
        [TERN__LB_IDLE] = TERN_BALANCER_IDLE,
        [TERN__LB_CONNECTING] = TERN_BALANCER_CONNECTING,
        [TERN__LB_READY] = TERN_BALANCER_READY,
        [TERN__LB_TRANSIENT_FAILURE] = TERN_BALANCER_FAILED,
    };
    const tern__lb_endpoint *e = endpoint(s);
    return e->failed || e->ejected ? TERN_BALANCER_FAILED : states[e->state];
}

uint32_t tern_balancer_server_in_flight(const tern_balancer_server *s)
{
    return endpoint(s)->in_flight;
}

bool tern_balancer_server_usable(const tern_balancer_server *s)
{
    const tern__lb_endpoint *e = endpoint(s);
    return e->state == TERN__LB_READY && !e->ejected && !e->left_out;
}

void *tern_balancer_data(const tern_balancer *b, const tern_balancer_server *s)
{
    const custom *c = inside(b)->self;
    uint32_t i = index_of(inside(b), s);
    return i == TERN__LB_NONE ? NULL : c->data[i];
}

void tern_balancer_set_data(tern_balancer *b, const tern_balancer_server *s, void *data)
{
    custom *c = inside(b)->self;
    uint32_t i = index_of(inside(b), s);
    if (i != TERN__LB_NONE)
        c->data[i] = data;
}

/* --- the policy ------------------------------------------------------------------------------- */

static int init(tern__balancer *b, const tern__lb_config *config)
{
    custom *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->p = config->custom.policy;
    c->self = c->p->ctx;
    tern_status why;
    if (c->p->create && c->p->create(c->p->ctx, config->custom.json, &c->self, &why) != TERN_OK) {
        free(c); /* the same was good when the config was read: it must be for want of memory */
        return -ENOMEM;
    }
    b->self = c;
    return 0;
}

static void let_go(custom *c, uint32_t i)
{
    if (c->data[i] && c->p->gone)
        c->p->gone(c->self, c->data[i]);
    c->data[i] = NULL;
}

static void deinit(tern__balancer *b)
{
    custom *c = b->self;
    for (uint32_t i = 0; i < TERN_LIMIT_ADDRESSES; i++)
        let_go(c, i);
    if (c->p->destroy)
        c->p->destroy(c->self);
    free(c);
}

static int update(tern__balancer *b, const uint32_t *from, uint64_t random)
{
    custom *c = b->self;
    void *data[TERN_LIMIT_ADDRESSES] = { NULL };
    (void)random;
    for (uint32_t i = 0; i < b->n; i++) {
        if (from[i] == TERN__LB_NONE)
            continue;
        data[i] = c->data[from[i]];
        c->data[from[i]] = NULL; /* it is not gone */
    }
    for (uint32_t i = 0; i < TERN_LIMIT_ADDRESSES; i++)
        let_go(c, i);
    memcpy(c->data, data, sizeof data);
    if (c->p->update)
        c->p->update(c->self, outside(b));
    return 0;
}

static void reported(tern__balancer *b, uint32_t i, int64_t now)
{
    const custom *c = b->self;
    (void)now;
    if (c->p->changed)
        c->p->changed(c->self, outside(b), server(b, i));
}

static bool wants(const tern__balancer *b, uint32_t i)
{
    const custom *c = b->self;
    return !c->p->wants || c->p->wants(c->self, outside(b), server(b, i));
}

static tern__lb_verdict choose(tern__balancer *b, const tern__lb_request *r, uint32_t *ret)
{
    const custom *c = b->self;
    const tern_balancer_call call = { .size = sizeof call,
                                      .now_ns = r->now,
                                      .random = r->random,
                                      .has_hash = r->key.has_hash,
                                      .hash = r->key.hash };
    if (b->n_ready == 0)
        return tern__balancer_state(b) == TERN__LB_TRANSIENT_FAILURE ? TERN__LB_FAIL
                                                                     : TERN__LB_QUEUE;
    const tern_balancer_server *s = c->p->pick(c->self, outside(b), &call);
    uint32_t i = s ? index_of(b, s) : TERN__LB_NONE;
    if (i == TERN__LB_NONE || !tern__balancer_usable(b, i))
        return TERN__LB_QUEUE;
    *ret = i;
    return TERN__LB_PICKED;
}

static void ended(tern__balancer *b, uint32_t i, const tern__lb_outcome *o)
{
    const custom *c = b->self;
    const tern_balancer_outcome out = {
        .size = sizeof out,
        .now_ns = o->now,
        .latency_ns = o->latency == TERN__TIME_NEVER ? -1 : o->latency,
        .code = o->code,
        .answered = o->answered,
        .has_load = o->has_load,
        .qps = o->qps,
        .eps = o->eps,
        .utilization = o->utilization,
    };
    if (c->p->ended)
        c->p->ended(c->self, outside(b), server(b, i), &out);
}

const char *tern__lb_policy_name(const tern__balancer *b)
{
    const custom *c = b->self;
    return b->policy == &tern__lb_custom_policy ? c->p->name : b->policy->name;
}

const tern__lb_policy tern__lb_custom_policy = {
    .name = "of the program's own",
    .init = init,
    .deinit = deinit,
    .update = update,
    .reported = reported,
    .choose = choose,
    .ended = ended,
    .wants = wants,
};
