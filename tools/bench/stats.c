/* See stats.h. The histogram's buckets are exact up to 2^BENCH_SUB_BITS ns; above, each power of
 * two is cut into as many again, found by shifting the value until it fits. */
#include "tools/bench/stats.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint32_t bucket_of(uint64_t ns)
{
    if (ns >= (uint64_t)1 << BENCH_VALUE_BITS)
        return BENCH_BUCKETS - 1;
    if (ns < (1u << BENCH_SUB_BITS))
        return (uint32_t)ns;
    uint32_t shift = 63u - BENCH_SUB_BITS - (uint32_t)__builtin_clzll(ns);
    return ((shift + 1) << BENCH_SUB_BITS) + (uint32_t)(ns >> shift) - (1u << BENCH_SUB_BITS);
}

static uint64_t middle_of(uint32_t bucket)
{
    uint32_t octave = bucket >> BENCH_SUB_BITS;
    if (octave == 0)
        return bucket;
    uint32_t shift = octave - 1;
    uint64_t low = ((uint64_t)(bucket & ((1u << BENCH_SUB_BITS) - 1)) + (1u << BENCH_SUB_BITS))
                   << shift;
    return low + (((uint64_t)1 << shift) >> 1);
}

void bench_histogram_add(bench_histogram *h, uint64_t ns)
{
    if (h->count == 0 || ns < h->min)
        h->min = ns;
    if (ns > h->max)
        h->max = ns;
    h->count++;
    h->sum += ns;
    h->buckets[bucket_of(ns)]++;
}

void bench_histogram_merge(bench_histogram *h, const bench_histogram *from)
{
    if (from->count == 0)
        return;
    if (h->count == 0 || from->min < h->min)
        h->min = from->min;
    if (from->max > h->max)
        h->max = from->max;
    h->count += from->count;
    h->sum += from->sum;
    for (uint32_t i = 0; i < BENCH_BUCKETS; i++)
        h->buckets[i] += from->buckets[i];
}

uint64_t bench_histogram_percentile(const bench_histogram *h, double share)
{
    if (h->count == 0)
        return 0;
    uint64_t wanted = (uint64_t)((double)h->count * share + 0.5);
    if (wanted == 0)
        wanted = 1;
    uint64_t seen = 0;
    uint32_t i = 0;
    while (i < BENCH_BUCKETS - 1 && (seen += h->buckets[i]) < wanted)
        i++;
    uint64_t ns = middle_of(i);
    if (ns < h->min)
        return h->min;
    return ns > h->max ? h->max : ns;
}

double bench_histogram_mean(const bench_histogram *h)
{
    return h->count ? (double)h->sum / (double)h->count : 0;
}

int64_t bench_cpu_self_us(void)
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    return ((int64_t)ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 + ru.ru_utime.tv_usec +
           ru.ru_stime.tv_usec;
}

int bench_cpu_process_us(long pid, int64_t *ret)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    /* utime and stime are fields 14 and 15 of proc(5). The second field, the program's name, may
     * contain anything, but ends at the last parenthesis. */
    const char *p = strrchr(text, ')');
    unsigned long user, system;
    if (!p ||
        sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return -1;
    *ret = (int64_t)(user + system) * 1000000 / sysconf(_SC_CLK_TCK);
    return 0;
}

int bench_memory_process(long pid, int64_t *ret)
{
    char path[64];
    long pages = -1;
    snprintf(path, sizeof(path), "/proc/%ld/statm", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    int n = fscanf(f, "%*d %ld", &pages);
    fclose(f);
    if (n != 1)
        return -1;
    *ret = (int64_t)pages * sysconf(_SC_PAGESIZE);
    return 0;
}

uint64_t bench_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
