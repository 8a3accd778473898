/* See least_request.h. The same endpoint may be drawn more than once, as A48 has it: even the
 * busiest is taken now and then, and nothing has to be remembered of what was drawn. */
#include "policy/least_request.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/lb_random.h"

typedef struct least_request {
    uint32_t choices;
} least_request;

static int init(tern__balancer *b, const tern__lb_config *config)
{
    least_request *lr = calloc(1, sizeof *lr);
    if (!lr)
        return -ENOMEM;
    lr->choices = config->least_request.choice_count;
    b->self = lr;
    return 0;
}

static void deinit(tern__balancer *b)
{
    free(b->self);
}

static uint32_t pick(tern__balancer *b, const tern__lb_request *r)
{
    const least_request *lr = b->self;
    uint64_t random = r->random;
    uint32_t best = b->ready[tern__lb_below(&random, b->n_ready)];
    for (uint32_t k = 1; k < lr->choices; k++) {
        uint32_t i = b->ready[tern__lb_below(&random, b->n_ready)];
        if (b->at[i].in_flight < b->at[best].in_flight)
            best = i;
    }
    return best;
}

const tern__lb_policy tern__lb_least_request_policy = {
    .name = "least_request_experimental",
    .init = init,
    .deinit = deinit,
    .pick = pick,
};
