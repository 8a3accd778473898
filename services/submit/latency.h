/* A histogram of durations with a relative error below 1 %: 64 buckets for each power of two of
 * microseconds, up to about an hour. Plain memory, to be filled by one thread each and merged.
 * Pure. */
#ifndef DRONE_SUBMIT_LATENCY_H
#define DRONE_SUBMIT_LATENCY_H

#include <stdint.h>

#define DRONE_LATENCY_SUB 64u
#define DRONE_LATENCY_POWERS 27u

typedef struct drone_latency {
    uint64_t n;
    uint64_t buckets[DRONE_LATENCY_SUB * DRONE_LATENCY_POWERS];
} drone_latency;

/* Counts one duration in microseconds; longer ones than the last bucket are counted there. */
void drone_latency_add(drone_latency *l, uint64_t us);

/* Adds everything that `from` counted. */
void drone_latency_merge(drone_latency *into, const drone_latency *from);

/* The duration in microseconds below which `percent` (0..100) of the counted ones lie (nearest
 * rank, the middle of its bucket); 0 when nothing was counted. */
double drone_latency_percentile(const drone_latency *l, double percent);

#endif
