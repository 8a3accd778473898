/* least_request (gRFC A48): of a few that are drawn at random, the one with the fewest calls in
 * flight. Two draws already keep the busiest close to the rest. */
#ifndef TERN__POLICY_LEAST_REQUEST_H
#define TERN__POLICY_LEAST_REQUEST_H

#include "policy/balancer.h"

extern const tern__lb_policy tern__lb_least_request_policy;

#endif
