/* Pseudo-random numbers for jitter and choice (xoshiro256**), seeded by the caller: pure,
 * repeatable, not for secrets. */
#ifndef TERN__BASE_RNG_H
#define TERN__BASE_RNG_H

#include <stdint.h>

typedef struct tern__rng {
    uint64_t s[4];
} tern__rng;

void tern__rng_seed(tern__rng *r, uint64_t seed);
uint64_t tern__rng_next(tern__rng *r);
/* Evenly distributed in [lo, hi). */
double tern__rng_uniform(tern__rng *r, double lo, double hi);
/* Evenly distributed in [0, n); 0 for n == 0. */
uint32_t tern__rng_below(tern__rng *r, uint32_t n);

#endif
