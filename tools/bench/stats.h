/* Numbers of a run: a histogram of latencies, and the CPU time of processes. */
#ifndef TERN_TOOLS_BENCH_STATS_H
#define TERN_TOOLS_BENCH_STATS_H

#include <stdbool.h>
#include <stdint.h>

/* Buckets: 256 for each power of two, so that a percentile is right to 0.4 %, up to 2^40 ns (18
 * minutes); what is longer counts as that. */
#define BENCH_SUB_BITS 8u
#define BENCH_VALUE_BITS 40u
#define BENCH_BUCKETS ((BENCH_VALUE_BITS - BENCH_SUB_BITS + 1u) << BENCH_SUB_BITS)

/* Latencies of one thread, ns. Zero it before use. */
typedef struct bench_histogram {
    uint64_t count;
    uint64_t sum, min, max; /* exact */
    uint32_t buckets[BENCH_BUCKETS];
} bench_histogram;

/* Adds one value. */
void bench_histogram_add(bench_histogram *h, uint64_t ns);

/* Adds all of `from` to `h`. */
void bench_histogram_merge(bench_histogram *h, const bench_histogram *from);

/* The value that `share` (0..1) of all values do not exceed, ns: the middle of its bucket, within
 * min and max. 0 when there are none. */
uint64_t bench_histogram_percentile(const bench_histogram *h, double share);

/* Mean, ns; 0 when there are none. */
double bench_histogram_mean(const bench_histogram *h);

/* User + system time so far, microseconds: of this process, and of any other (the kernel gives it
 * in ticks of 10 ms). The latter returns 0, or -1 when there is no such process. */
int64_t bench_cpu_self_us(void);
int bench_cpu_process_us(long pid, int64_t *ret);

/* Resident memory of a process, bytes. 0, or -1 when there is no such process. */
int bench_memory_process(long pid, int64_t *ret);

/* Monotonic clock, ns. */
uint64_t bench_now_ns(void);

#endif
