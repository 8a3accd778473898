/* See rng.h. xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number generators",
 * 2018); its state is filled by splitmix64 from the seed, as its authors advise, so that seeds that
 * differ in one bit give unrelated sequences and the state is never all zero. */
#include "base/rng.h"

static uint64_t splitmix64(uint64_t *x)
{
    uint64_t z = *x += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void tern__rng_seed(tern__rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix64(&seed);
}

uint64_t tern__rng_next(tern__rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

double tern__rng_uniform(tern__rng *r, double lo, double hi)
{
    double unit = (double)(tern__rng_next(r) >> 11) * 0x1.0p-53; /* 53 bits: [0, 1) exactly */
    double x = lo + unit * (hi - lo);
    return x < hi ? x : lo; /* rounding can reach hi; an empty range gives lo */
}

uint32_t tern__rng_below(tern__rng *r, uint32_t n)
{
    if (n == 0)
        return 0;
    /* Lemire, "Fast random integer generation in an interval" (2019): the high word of a product,
     * with the few values refused that would make some results likelier. */
    uint32_t refuse = (uint32_t)(-n) % n;
    for (;;) {
        uint64_t product = (tern__rng_next(r) >> 32) * (uint64_t)n;
        if ((uint32_t)product >= refuse)
            return (uint32_t)(product >> 32);
    }
}
