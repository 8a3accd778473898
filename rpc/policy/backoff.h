/* Exponential backoff with jitter: min(initial x multiplier^n, max) x uniform(1-jitter, 1+jitter).
 * Sources: grpc doc/connection-backoff.md, gRFC A6. Pure: the random source is handed in. */
#ifndef TERN__POLICY_BACKOFF_H
#define TERN__POLICY_BACKOFF_H

#include <stdint.h>

#include "base/rng.h"

typedef struct tern__backoff {
    int64_t initial_ns, max_ns;
    double multiplier; /* > 0; below 1 the pauses shrink, which A6 permits */
    double jitter;     /* 0 .. 1 */
    uint32_t n;        /* pauses given since the last reset, saturating */
} tern__backoff;

void tern__backoff_init(tern__backoff *b, int64_t initial_ns, int64_t max_ns, double multiplier,
                        double jitter);
/* The next pause, ns (>= 0). */
int64_t tern__backoff_next(tern__backoff *b, tern__rng *rng);
void tern__backoff_reset(tern__backoff *b);

#endif
