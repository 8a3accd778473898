/* See window.h. */
#include "tools/bench/window.h"

#include <errno.h>
#include <time.h>

#include "tools/bench/stats.h"

/* Warm-up: a tenth of the duration, within these bounds, s. */
#define WARMUP_S_MIN 0.2
#define WARMUP_S_MAX 1.0

void bench_pause_s(double seconds)
{
    struct timespec ts = { .tv_sec = (time_t)seconds };
    ts.tv_nsec = (long)((seconds - (double)ts.tv_sec) * 1e9);
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

bench_window bench_window_measure(const bench_options *o, _Atomic int *phase)
{
    double warmup = o->duration_s / 10;
    if (warmup < WARMUP_S_MIN)
        warmup = WARMUP_S_MIN;
    bench_pause_s(warmup > WARMUP_S_MAX ? WARMUP_S_MAX : warmup);
    bench_window w = { .client_us = -bench_cpu_self_us() };
    int64_t begin_us = 0, end_us = 0;
    w.server_known = o->server_pid && bench_cpu_process_us(o->server_pid, &begin_us) == 0;
    w.begin_ns = bench_now_ns();
    atomic_store(phase, BENCH_PHASE_MEASURED);
    bench_pause_s(o->duration_s);
    w.end_ns = bench_now_ns();
    w.client_us += bench_cpu_self_us();
    w.server_known = w.server_known && bench_cpu_process_us(o->server_pid, &end_us) == 0;
    w.server_us = end_us - begin_us;
    return w;
}
