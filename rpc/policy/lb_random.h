/* As many choices as a pick needs from the one random number it is given. */
#ifndef TERN__POLICY_LB_RANDOM_H
#define TERN__POLICY_LB_RANDOM_H

#include <stdint.h>

/* In [0, n), n > 0; *random goes on to the next (splitmix64). What the product rounds makes some
 * results likelier by n in 2^32: nobody will notice with servers. */
static inline uint32_t tern__lb_below(uint64_t *random, uint32_t n)
{
    uint64_t z = *random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return (uint32_t)(((z >> 32) * n) >> 32);
}

#endif
