/* round_robin: each server in its turn, from a random one on. */
#ifndef TERN__POLICY_ROUND_ROBIN_H
#define TERN__POLICY_ROUND_ROBIN_H

#include "policy/balancer.h"

extern const tern__lb_policy tern__lb_round_robin_policy;

#endif
