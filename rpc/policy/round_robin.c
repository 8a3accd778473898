/* See round_robin.h. */
#include "policy/round_robin.h"

#include <errno.h>
#include <stdlib.h>

typedef struct round_robin {
    uint32_t next; /* the endpoint whose turn it is, if it can be taken */
} round_robin;

static int init(tern__balancer *b, const tern__lb_config *config)
{
    (void)config;
    b->self = calloc(1, sizeof(round_robin));
    return b->self ? 0 : -ENOMEM;
}

static void deinit(tern__balancer *b)
{
    free(b->self);
}

/* Clients that all began with the first would make it the busiest. */
static int update(tern__balancer *b, const uint32_t *from, uint64_t random)
{
    round_robin *rr = b->self;
    (void)from;
    rr->next = b->n ? (uint32_t)(random % b->n) : 0;
    return 0;
}

static uint32_t pick(tern__balancer *b, const tern__lb_request *r)
{
    round_robin *rr = b->self;
    (void)r;
    uint32_t i = rr->next;
    while (!tern__balancer_usable(b, i))
        i = i + 1 == b->n ? 0 : i + 1;
    rr->next = i + 1 == b->n ? 0 : i + 1;
    return i;
}

const tern__lb_policy tern__lb_round_robin_policy = {
    .name = "round_robin",
    .init = init,
    .deinit = deinit,
    .update = update,
    .pick = pick,
};
