/* The entrance of tern/balancer.h, which says in words what policy/lb_custom.h says in numbers. */
#include <tern/balancer.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <tern/limits.h>

#include "policy/lb_custom.h"

static tern_code check(const tern_balancer_policy *p, tern_status *reterr)
{
    const size_t first_size = offsetof(tern_balancer_policy, gone) + sizeof p->gone;
    if (p->size < first_size || p->size > sizeof *p)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "tern_balancer_policy.size is %zu, this library's is %zu: begin "
                               "with TERN_BALANCER_POLICY_INIT",
                               p->size, sizeof *p);
    size_t len = p->name ? strlen(p->name) : 0;
    if (len == 0 || len > TERN__LB_NAME_MAX || strspn(p->name, TERN__LB_NAME_CHARS) != len)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "a policy's name is \"%.80s\": 1 to %u letters a to z, digits and "
                               "\"_\" are possible",
                               p->name ? p->name : "", TERN__LB_NAME_MAX);
    if (!p->pick)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "the policy \"%s\" has no pick(), which is required", p->name);
    return TERN_OK;
}

tern_code tern_balancer_register(const tern_balancer_policy *p, tern_status *reterr)
{
    tern_code code = check(p, reterr);
    if (code != TERN_OK)
        return code;
    switch (tern__lb_custom_add(p)) {
    case 0:
        return TERN_OK;
    case -EEXIST:
        return tern_status_set(reterr, TERN_ALREADY_EXISTS,
                               "there is a load balancing policy \"%s\" already", p->name);
    case -ENOSPC:
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "there are %u load balancing policies already "
                               "(TERN_LIMIT_LB_POLICIES)",
                               TERN_LIMIT_LB_POLICIES);
    default:
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a policy");
    }
}
