/* Peak-EWMA, after Finagle and Linkerd: of two that are drawn at random, the one where a call costs
 * less. The cost is the moving average of the latency, times the calls in flight with this one. The
 * average takes a latency above it over at once (the peak), one below it slowly, and with nothing
 * to go by it falls: a server that has become slow loses its calls with the first slow answer, and
 * gets one again when the average has fallen to that of the others, after
 *
 *     decay x ln(its latency / theirs)
 *
 * which is 23 s for one ten times slower, by default. */
#ifndef TERN__POLICY_PEAK_EWMA_H
#define TERN__POLICY_PEAK_EWMA_H

#include "policy/balancer.h"

extern const tern__lb_policy tern__lb_peak_ewma_policy;

/* e^-(elapsed / period), to 7 digits; 1 for elapsed <= 0. period > 0. */
double tern__lb_decay(int64_t elapsed, int64_t period);

#endif
