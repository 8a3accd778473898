/* Bucket i < 64 holds the value i exactly; above, each power of two is cut into 64 even parts,
 * so that a bucket is at most 1/64 of its value wide and its middle at most 0.8 % off. */
#include "submit/latency.h"

#include <math.h>

#define SUB_BITS 6

static uint32_t bucket_of(uint64_t us)
{
    uint32_t shift = 0;

    if (us >= DRONE_LATENCY_SUB)
        shift = (uint32_t)(63 - __builtin_clzll(us)) - SUB_BITS;
    /* us >> shift is 64..127 when shifted, 0..63 when not. */
    uint64_t i = us < DRONE_LATENCY_SUB ? us
                                        : (uint64_t)(shift + 1) * DRONE_LATENCY_SUB +
                                              ((us >> shift) - DRONE_LATENCY_SUB);
    const uint32_t last = DRONE_LATENCY_SUB * DRONE_LATENCY_POWERS - 1;
    return i > last ? last : (uint32_t)i;
}

static double middle_of(uint32_t bucket)
{
    if (bucket < DRONE_LATENCY_SUB)
        return bucket;
    uint32_t shift = bucket / DRONE_LATENCY_SUB - 1;
    double low = (double)((uint64_t)(bucket % DRONE_LATENCY_SUB + DRONE_LATENCY_SUB) << shift);
    return low + ((double)((uint64_t)1 << shift) - 1.0) / 2.0;
}

void drone_latency_add(drone_latency *l, uint64_t us)
{
    l->n++;
    l->buckets[bucket_of(us)]++;
}

void drone_latency_merge(drone_latency *into, const drone_latency *from)
{
    into->n += from->n;
    for (uint32_t i = 0; i < DRONE_LATENCY_SUB * DRONE_LATENCY_POWERS; i++)
        into->buckets[i] += from->buckets[i];
}

double drone_latency_percentile(const drone_latency *l, double percent)
{
    uint64_t seen = 0;
    double rank = ceil(percent / 100.0 * (double)l->n);

    if (l->n == 0)
        return 0.0;
    if (rank < 1.0)
        rank = 1.0;
    for (uint32_t i = 0; i < DRONE_LATENCY_SUB * DRONE_LATENCY_POWERS; i++) {
        seen += l->buckets[i];
        if ((double)seen >= rank)
            return middle_of(i);
    }
    return middle_of(DRONE_LATENCY_SUB * DRONE_LATENCY_POWERS - 1);
}
