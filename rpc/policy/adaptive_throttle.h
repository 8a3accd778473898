/* Adaptive throttling on the client's side (Google's SRE book, "Handling Overload"): of the calls
 * of the last two minutes the server accepted some; when there were more than K times as many as
 * that, new ones are refused here with probability
 *
 *     (requests - K x accepts) / (requests + 1)
 *
 * so that a server that is overloaded does not spend what it has left on refusing. What is refused
 * here counts as a request, too, so that it goes on as long as the program tries as hard; what is
 * under way does not count yet. Pure: `now` and the random source are handed in; ns. */
#ifndef TERN__POLICY_ADAPTIVE_THROTTLE_H
#define TERN__POLICY_ADAPTIVE_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/status.h>

#include "base/rng.h"
#include "policy/window.h"

typedef struct tern__adaptive_throttle_options {
    int64_t window_ns;     /* 2 min */
    double ratio;          /* K: 2; lower refuses earlier, 1 lets the server refuse nothing */
    uint32_t requests_min; /* 10: with fewer in the window nothing is refused */
    uint32_t percent_max;  /* 90: never is more refused than that; 100: the book's formula alone */
} tern__adaptive_throttle_options;

#define TERN__ADAPTIVE_THROTTLE_DEFAULTS                                                      \
    {                                                                                         \
        .window_ns = INT64_C(120000000000), .ratio = 2, .requests_min = 10, .percent_max = 90 \
    }

typedef struct tern__adaptive_throttle {
    tern__window window; /* a: requests, b: accepts */
    double ratio, probability_max;
    uint32_t requests_min;
    uint64_t n_refused;
} tern__adaptive_throttle;

void tern__adaptive_throttle_init(tern__adaptive_throttle *t,
                                  const tern__adaptive_throttle_options *o);
/* An attempt is to begin; false: refuse it here. */
bool tern__adaptive_throttle_admit(tern__adaptive_throttle *t, int64_t now, tern__rng *rng);
/* How an admitted attempt ended. UNAVAILABLE, RESOURCE_EXHAUSTED and DEADLINE_EXCEEDED say that the
 * server did not accept it; everything else that it did, CANCELLED among it, which says nothing and
 * must not throttle anybody. */
void tern__adaptive_throttle_outcome(tern__adaptive_throttle *t, int64_t now, tern_code code);
/* The probability with which the next attempt is refused, 0 to below 1. */
double tern__adaptive_throttle_probability(tern__adaptive_throttle *t, int64_t now);

#endif
