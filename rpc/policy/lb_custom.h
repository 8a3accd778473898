/* Policies that the program has registered (tern/balancer.h), and the one tern__lb_policy through
 * which balancers use them. The table only grows, up to TERN_LIMIT_LB_POLICIES; it is read without
 * a lock. */
#ifndef TERN__POLICY_LB_CUSTOM_H
#define TERN__POLICY_LB_CUSTOM_H

#include <tern/balancer.h>

#include "policy/balancer.h"

extern const tern__lb_policy tern__lb_custom_policy;

/* Copies a policy that has all that is required. 0, -EEXIST, -ENOSPC (the table is full) or
 * -ENOMEM. */
int tern__lb_custom_add(const tern_balancer_policy *p);
/* NULL: none of that name was registered. */
const tern_balancer_policy *tern__lb_custom_find(const char *name);

/* Of the policy that it has, registered or not. */
const char *tern__lb_policy_name(const tern__balancer *b);

/* What names of policies consist of. */
#define TERN__LB_NAME_CHARS "abcdefghijklmnopqrstuvwxyz_0123456789"
#define TERN__LB_NAME_MAX 64u

#endif
