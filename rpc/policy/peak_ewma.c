/* See peak_ewma.h. What differs from Finagle: a server that says quickly that it is not well must
 * not look like a fast one, so such an answer counts as the default latency at least. */
#include "policy/peak_ewma.h"

#include <errno.h>
#include <stdlib.h>

#include "base/time.h"
#include "policy/lb_random.h"

typedef struct peak_ewma {
    int64_t decay;
    double default_latency;
} peak_ewma;

double tern__lb_decay(int64_t elapsed, int64_t period)
{
    if (elapsed <= 0)
        return 1;
    double x = (double)elapsed / (double)period;
    unsigned halvings = 0;
    if (x > 64)
        return 0; /* 1.6e-28 */
    for (; x > 1.0 / 64; x /= 2)
        halvings++;
    /* Taylor's series; its error, x^5/120 < 8e-12, doubles with each of at most 12 squarings. */
    double y = 1 - x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4)));
    while (halvings--)
        y *= y;
    return y;
}

static int init(tern__balancer *b, const tern__lb_config *config)
{
    peak_ewma *pe = calloc(1, sizeof *pe);
    if (!pe)
        return -ENOMEM;
    pe->decay = config->peak_ewma.decay;
    pe->default_latency = (double)config->peak_ewma.default_latency;
    b->self = pe;
    return 0;
}

static void deinit(tern__balancer *b)
{
    free(b->self);
}

/* A server that comes (back) has to show anew how fast it is. */
static void changed(tern__balancer *b, uint32_t i, int64_t now)
{
    (void)now;
    b->at[i].own.peak_ewma.known = false;
}

/* One that has not answered yet is tried, with one call; until that is answered it costs the
 * default latency. */
static double cost(const tern__balancer *b, uint32_t i, int64_t now)
{
    const peak_ewma *pe = b->self;
    const tern__lb_endpoint *e = &b->at[i];
    double calls = (double)e->in_flight + 1;
    if (!e->own.peak_ewma.known)
        return e->in_flight == 0 ? 0 : pe->default_latency * calls;
    return e->own.peak_ewma.latency * tern__lb_decay(now - e->own.peak_ewma.at, pe->decay) * calls;
}

static uint32_t pick(tern__balancer *b, const tern__lb_request *r)
{
    uint64_t random = r->random;
    uint32_t k = tern__lb_below(&random, b->n_ready);
    uint32_t l = tern__lb_below(&random, b->n_ready - 1);
    uint32_t i = b->ready[k], j = b->ready[l < k ? l : l + 1];
    return cost(b, j, r->now) < cost(b, i, r->now) ? j : i;
}

static bool is_unwell(tern_code code)
{
    return code == TERN_UNAVAILABLE || code == TERN_INTERNAL || code == TERN_UNKNOWN ||
           code == TERN_RESOURCE_EXHAUSTED;
}

static void ended(tern__balancer *b, uint32_t i, const tern__lb_outcome *o)
{
    const peak_ewma *pe = b->self;
    tern__lb_own *own = &b->at[i].own;
    double latency = (double)o->latency;
    if (o->latency == TERN__TIME_NEVER)
        return;
    if (is_unwell(o->code) && latency < pe->default_latency)
        latency = pe->default_latency;
    double w = own->peak_ewma.known ? tern__lb_decay(o->now - own->peak_ewma.at, pe->decay) : 0;
    double projected = own->peak_ewma.known ? own->peak_ewma.latency * w : pe->default_latency;
    /* The caller went away before the answer: it would have taken at least so long. */
    if (o->code == TERN_CANCELLED && latency <= projected)
        return;
    bool peak = !own->peak_ewma.known || latency > projected;
    own->peak_ewma.latency = peak ? latency : own->peak_ewma.latency * w + latency * (1 - w);
    own->peak_ewma.at = o->now;
    own->peak_ewma.known = true;
}

const tern__lb_policy tern__lb_peak_ewma_policy = {
    .name = "tern_peak_ewma",
    .init = init,
    .deinit = deinit,
    .changed = changed,
    .pick = pick,
    .ended = ended,
};
