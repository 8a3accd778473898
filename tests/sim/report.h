/* What happened in a world: calls, attempts and breakers over time, and the numbers that come of
 * them. Calls count when they began, attempts when they were made. */
#ifndef TESTS_SIM_REPORT_H
#define TESTS_SIM_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_BUCKET_MS 100
#define SIM_BUCKET_NS (INT64_C(1000000) * SIM_BUCKET_MS)

typedef struct sim_bucket {
    uint32_t calls, good, attempts, open, half_open;
} sim_bucket;

typedef struct sim_sample {
    int64_t began, latency; /* ns */
    bool good;
} sim_sample;

typedef struct sim_series {
    sim_bucket *buckets;
    uint32_t n_buckets;
    sim_sample *samples;
    size_t n, cap;
} sim_series;

void sim_series_init(sim_series *s, int64_t duration_ms);
void sim_series_deinit(sim_series *s);
void sim_series_call(sim_series *s, int64_t began, int64_t latency, bool good);
void sim_series_attempt(sim_series *s, int64_t now);
/* How many clients' breakers are open and half open. */
void sim_series_breakers(sim_series *s, int64_t now, uint32_t open, uint32_t half_open);

/* What is looked at, ms. */
typedef struct sim_window {
    int64_t from, to;         /* of success, latency, goodput */
    int64_t repeat_from, repeat_to; /* of amplification; both 0: as above */
    int64_t cured_at;         /* from when on recovery is expected; 0: nothing to recover from */
} sim_window;

typedef struct sim_numbers {
    uint64_t calls;
    double success;       /* of 1 */
    double amplification; /* attempts for each call */
    int64_t p50, p99;     /* of good calls, ns */
    int64_t recover_ms;   /* until less than 1 in 100 calls failed, for good; -1: never */
    double goodput;       /* good calls a second */
} sim_numbers;

void sim_series_numbers(const sim_series *s, const sim_window *w, sim_numbers *ret);
/* One line for each bucket. 0 or -errno. */
int sim_series_csv(const sim_series *s, const char *path);

#endif
