/* See lbkit.h. */
#include "support/lbkit.h"

tern__balancer lb;
tern__lb_address lbkit_list[LBKIT_NAMES];
uint32_t lbkit_from[TERN_LIMIT_ADDRESSES];
tern__rng lbkit_rng;
static char names[LBKIT_NAMES][32];

void lbkit_update(uint32_t first, uint32_t n)
{
    assert_int_equal(
        tern__balancer_update(&lb, lbkit_list + first, n, tern__rng_next(&lbkit_rng), lbkit_from),
        0);
}

void lbkit_start(const tern__lb_config *config, uint32_t n, tern__lb_state state)
{
    for (unsigned i = 0; i < LBKIT_NAMES; i++) {
        (void)snprintf(names[i], sizeof names[i], "ipv4:10.0.0.%u:80", i);
        lbkit_list[i] = (tern__lb_address){ .name = names[i] };
    }
    if (lb.policy)
        tern__balancer_deinit(&lb);
    tern__rng_seed(&lbkit_rng, 1);
    assert_int_equal(tern__balancer_init(&lb, config), 0);
    lbkit_update(0, n);
    lbkit_all(state);
}

void lbkit_end(void)
{
    tern__balancer_deinit(&lb);
}

void lbkit_all(tern__lb_state state)
{
    for (uint32_t i = 0; i < lb.n; i++)
        tern__balancer_report(&lb, i, state, 0);
}

uint32_t lbkit_pick(int64_t now)
{
    uint32_t i;
    const tern__lb_request r = { .now = now, .random = tern__rng_next(&lbkit_rng) };
    assert_int_equal(tern__balancer_pick(&lb, &r, &i), TERN__LB_PICKED);
    return i;
}

tern__lb_verdict lbkit_pick_hash(uint64_t hash, uint32_t *ret)
{
    const tern__lb_request r = { .random = tern__rng_next(&lbkit_rng),
                                 .key = { .has_hash = true, .hash = hash } };
    return tern__balancer_pick(&lb, &r, ret);
}

void lbkit_ended(uint32_t i, int64_t now, int64_t latency, tern_code code)
{
    const tern__lb_outcome o = { .now = now, .latency = latency, .code = code, .answered = true };
    tern__balancer_ended(&lb, i, &o);
}
