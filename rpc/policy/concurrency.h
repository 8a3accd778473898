/* How many handlers may run at once, found out while they run (docs/resilience.md speaks of fixed
 * limits; this is the adaptive one). Two ways:
 *
 * AIMD: while the limit is used it grows by one for each limit's worth of good answers; a failure
 * that says "too much", or an answer later than latency_max, cuts it to nine tenths, once for all
 * calls that were under way then.
 *
 * Gradient (Netflix's concurrency-limits, Gradient2): the mean latency of the last moments is
 * compared with its long-term average. Longer by more than the tolerance means a queue: the limit
 * shrinks in proportion; otherwise it grows by a small queue's length.
 *
 * Pure: `now` is handed in; ns. */
#ifndef TERN__POLICY_CONCURRENCY_H
#define TERN__POLICY_CONCURRENCY_H

#include <stdbool.h>
#include <stdint.h>

typedef enum tern__concurrency_kind {
    TERN__CONCURRENCY_AIMD,
    TERN__CONCURRENCY_GRADIENT
} tern__concurrency_kind;

typedef struct tern__concurrency_options {
    tern__concurrency_kind kind;
    uint32_t initial, min, max; /* 20, 1, 1024; min <= initial <= max, min > 0 */
    int64_t latency_max;        /* AIMD: a later answer is as bad as a failure; 0: no such limit */
    double tolerance;           /* gradient: growth of latency that is let be; 1.5, >= 1 */
    uint32_t queue;             /* gradient: calls that may wait in the handlers; 4 */
    int64_t window;             /* gradient: from one decision to the next; 100 ms */
} tern__concurrency_options;

#define TERN__CONCURRENCY_DEFAULTS                                                              \
    {                                                                                           \
        .initial = 20, .min = 1, .max = 1024, .tolerance = 1.5, .queue = 4, .window = 100000000 \
    }

/* How a call ended, for the limit. */
typedef enum tern__concurrency_sample {
    TERN__CONCURRENCY_SERVED,     /* it ran, whatever it answered: its latency counts */
    TERN__CONCURRENCY_OVERLOADED, /* it failed for want of something: time, memory, a backend */
    TERN__CONCURRENCY_NO_SAMPLE   /* cancelled, or ended before it did anything */
} tern__concurrency_sample;

typedef struct tern__concurrency {
    tern__concurrency_options opt;
    double limit;
    uint32_t in_flight;
    int64_t cut_at; /* AIMD: calls that began before the last cut do not cut again */
    /* Gradient: the window. */
    int64_t window_end, latency_sum;
    uint32_t samples, in_flight_max;
    bool overloaded;
    double average;   /* long-term latency, ns */
    uint32_t windows; /* averaged so far, up to the warm-up's length */
    uint64_t n_refused;
} tern__concurrency;

void tern__concurrency_init(tern__concurrency *c, const tern__concurrency_options *o);
/* A call wants to run. False: refuse it. `vital` calls (health checks, compensations) are counted
 * and never refused. */
bool tern__concurrency_enter(tern__concurrency *c, bool vital);
/* A call that was let in has ended; `began` is when it was. */
void tern__concurrency_leave(tern__concurrency *c, int64_t now, int64_t began,
                             tern__concurrency_sample sample);
/* The limit now, within min .. max. */
uint32_t tern__concurrency_limit(const tern__concurrency *c);

#endif
