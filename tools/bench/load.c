/* tern-bench load: many callers at once, each a thread with one call in flight, as a blocking API
 * has it; they share the connections, caller i beginning on connection i modulo C and moving on
 * from call to call only when there are fewer callers than connections.
 *
 * Phases: warm-up, measured, stop. Callers look at the phase before each call and count a call when
 * the measured phase covers its end. Nothing is shared between callers but the phase and the
 * channels. A failed call is counted, its caller pauses, and the run goes on: a load generator that
 * stops at the first failure shows nothing about a server that has some. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/bench/caller.h"
#include "tools/bench/commands.h"
#include "tools/bench/dial.h"
#include "tools/bench/stats.h"
#include "tools/bench/window.h"

/* Pause of a caller after a failure, ms. */
#define FAILURE_PAUSE_MS 10
/* How long calls may still take after the end, s: then the server is taken for dead. */
#define STOP_WAIT_S 30
#define CALLER_STACK_BYTES (256u * 1024)

typedef struct load load;

typedef struct worker {
    load *load;
    pthread_t thread;
    uint32_t index;
    bench_caller caller;
    bench_histogram latencies;
    uint64_t failed; /* in the measured phase, wrong answers included */
    tern_status first_failure;
    bool has_failed; /* in any phase */
} worker;

struct load {
    const bench_options *options;
    tern_channel **channels;
    uint32_t n_channels;
    worker *workers;
    uint32_t n_started;
    _Atomic int phase;
};

static void *run_worker(void *ctx)
{
    worker *w = ctx;
    load *l = w->load;
    uint64_t n_calls = 0;
    for (;;) {
        uint32_t at = w->index;
        if (l->options->concurrency < l->n_channels)
            at += (uint32_t)(n_calls * l->options->concurrency % l->n_channels);
        tern_status err;
        uint64_t ns;
        tern_code code = bench_caller_call(&w->caller, l->channels[at % l->n_channels], &ns, &err);
        n_calls++;
        int now = atomic_load_explicit(&l->phase, memory_order_relaxed);
        if (code == TERN_OK && now == BENCH_PHASE_MEASURED)
            bench_histogram_add(&w->latencies, ns);
        if (now == BENCH_PHASE_STOP)
            return NULL;
        if (code == TERN_OK)
            continue;
        w->failed += now == BENCH_PHASE_MEASURED;
        if (!w->has_failed)
            w->first_failure = err;
        w->has_failed = true;
        bench_pause_s(FAILURE_PAUSE_MS / 1e3);
    }
}

static int start_workers(load *l)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return -1;
    pthread_attr_setstacksize(&attr, CALLER_STACK_BYTES);
    int result = 0;
    for (uint32_t i = 0; i < l->options->concurrency && result == 0; i++) {
        worker *w = &l->workers[i];
        w->load = l;
        w->index = i;
        if (bench_caller_init(&w->caller, l->options, (uint64_t)(i + 1) << 32) < 0) {
            fprintf(stderr, "tern-bench: out of memory\n");
            result = -1;
        } else if ((errno = pthread_create(&w->thread, &attr, run_worker, w)) != 0) {
            fprintf(stderr, "tern-bench: no thread for caller %u of %u: %s\n", i + 1,
                    l->options->concurrency, strerror(errno));
            bench_caller_deinit(&w->caller);
            result = -1;
        } else {
            l->n_started++;
        }
    }
    pthread_attr_destroy(&attr);
    return result;
}

/* Waits for the callers' last calls. A caller that never comes back ends the program: its thread
 * uses memory that could not be freed below it. */
static void stop_workers(load *l)
{
    atomic_store(&l->phase, BENCH_PHASE_STOP);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_WAIT_S;
    for (uint32_t i = 0; i < l->n_started; i++) {
        if (pthread_timedjoin_np(l->workers[i].thread, NULL, &until) != 0) {
            fprintf(stderr,
                    "tern-bench: calls to %s have had no answer for %d s; give them a deadline "
                    "with --timeout-ms\n",
                    l->options->target, STOP_WAIT_S);
            exit(1);
        }
        bench_caller_deinit(&l->workers[i].caller);
    }
}

static void print_json(const bench_histogram *h, const bench_window *w, uint64_t failed)
{
    double n = (double)h->count, seconds = (double)(w->end_ns - w->begin_ns) / 1e9;
    printf("{\"calls\": %.0f, \"failed\": %llu, \"seconds\": %.3f, \"calls_per_s\": %.1f, "
           "\"mean_us\": %.3f, \"p50_us\": %.3f, \"p90_us\": %.3f, \"p99_us\": %.3f, "
           "\"p999_us\": %.3f, \"max_us\": %.3f, \"client_cpu_us_per_call\": %.4f, ",
           n, (unsigned long long)failed, seconds, n / seconds, bench_histogram_mean(h) / 1e3,
           (double)bench_histogram_percentile(h, 0.5) / 1e3,
           (double)bench_histogram_percentile(h, 0.9) / 1e3,
           (double)bench_histogram_percentile(h, 0.99) / 1e3,
           (double)bench_histogram_percentile(h, 0.999) / 1e3, (double)h->max / 1e3,
           (double)w->client_us / n);
    if (w->server_known)
        printf("\"server_cpu_us_per_call\": %.4f}\n", (double)w->server_us / n);
    else
        printf("\"server_cpu_us_per_call\": null}\n");
}

static void print_text(const bench_options *o, const bench_histogram *h, const bench_window *w,
                       uint64_t failed)
{
    double n = (double)h->count, seconds = (double)(w->end_ns - w->begin_ns) / 1e9;
    printf("load          %u connections, %u calls in flight, %u/%u bytes, %.1f s\n"
           "calls         %.0f right, %llu failed, %.0f calls/s\n"
           "latency us    mean %.1f  p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n"
           "cpu us/call   client %.3f",
           o->connections, o->concurrency, o->request_bytes, o->response_bytes, seconds, n,
           (unsigned long long)failed, n / seconds, bench_histogram_mean(h) / 1e3,
           (double)bench_histogram_percentile(h, 0.5) / 1e3,
           (double)bench_histogram_percentile(h, 0.9) / 1e3,
           (double)bench_histogram_percentile(h, 0.99) / 1e3,
           (double)bench_histogram_percentile(h, 0.999) / 1e3, (double)h->max / 1e3,
           (double)w->client_us / n);
    if (w->server_known)
        printf("  server %.3f", (double)w->server_us / n);
    putchar('\n');
}

/* Sums up; 0 when every call succeeded. */
static int report(load *l, const bench_window *w)
{
    const bench_options *o = l->options;
    bench_histogram *sum = &l->workers[0].latencies;
    const tern_status *failure = l->workers[0].has_failed ? &l->workers[0].first_failure : NULL;
    uint64_t failed = l->workers[0].failed;
    for (uint32_t i = 1; i < l->n_started; i++) {
        const worker *from = &l->workers[i];
        bench_histogram_merge(sum, &from->latencies);
        failed += from->failed;
        if (!failure && from->has_failed)
            failure = &from->first_failure;
    }
    if (failure)
        fprintf(stderr, "tern-bench: calls to %s failed, the first with %s: %s\n", o->target,
                tern_code_name(failure->code), failure->message);
    if (sum->count == 0) {
        fprintf(stderr, "tern-bench: no call to %s succeeded in %.1f s\n", o->target,
                o->duration_s);
        return 1;
    }
    if (o->server_pid && !w->server_known)
        fprintf(stderr, "tern-bench: there is no process %ld to take the CPU time of\n",
                o->server_pid);
    if (o->json)
        print_json(sum, w, failed);
    else
        print_text(o, sum, w, failed);
    return failure ? 1 : 0;
}

int bench_run_load(const bench_options *o)
{
    load l = { .options = o };
    l.channels = calloc(o->connections, sizeof(tern_channel *));
    l.workers = calloc(o->concurrency, sizeof(worker));
    int status = 1;
    if (!l.channels || !l.workers) {
        fprintf(stderr, "tern-bench: out of memory for %u callers\n", o->concurrency);
    } else if (bench_dial_many(o, o->connections, l.channels, &l.n_channels) == 0) {
        bool started = start_workers(&l) == 0;
        bench_window w = { 0 };
        if (started)
            w = bench_window_measure(o, &l.phase);
        stop_workers(&l);
        if (started)
            status = report(&l, &w);
    }
    if (l.channels)
        bench_dial_hang_up(l.channels, l.n_channels);
    free(l.channels);
    free(l.workers);
    return status;
}
