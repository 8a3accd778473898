/* weighted_round_robin (gRFC A58): turns as often as a server can take calls, by its own account:
 *
 *     weight = qps / (utilization + eps / qps x error_utilization_penalty)
 *
 * of its last load report (A51). A report counts when there have been such for the blackout period,
 * and until it expires; a server without one gets the mean, and with fewer than two that have one
 * all are alike. */
#ifndef TERN__POLICY_WEIGHTED_ROUND_ROBIN_H
#define TERN__POLICY_WEIGHTED_ROUND_ROBIN_H

#include "policy/balancer.h"

extern const tern__lb_policy tern__lb_weighted_round_robin_policy;

#endif
