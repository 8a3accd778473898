/* The three phases of a load, and what is taken at the borders of the middle one: time and CPU time
 * of both sides. */
#ifndef TERN_TOOLS_BENCH_WINDOW_H
#define TERN_TOOLS_BENCH_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/bench/options.h"

typedef enum bench_phase { BENCH_PHASE_WARMUP, BENCH_PHASE_MEASURED, BENCH_PHASE_STOP } bench_phase;

/* What was measured around the middle phase. */
typedef struct bench_window {
    uint64_t begin_ns, end_ns;
    int64_t client_us, server_us; /* differences */
    bool server_known;
} bench_window;

/* Sleeps, whatever signals come. */
void bench_pause_s(double seconds);

/* Sleeps through warm-up and measured phase and returns what passed in the latter. *phase is moved
 * on to MEASURED in between; it is the caller's to set it to STOP afterwards. */
bench_window bench_window_measure(const bench_options *o, _Atomic int *phase);

#endif
