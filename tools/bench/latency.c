/* tern-bench latency: the lone round trip. One thread, one connection, one call at a time: what a
 * call costs when nothing is shared and nothing is batched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/bench/caller.h"
#include "tools/bench/commands.h"
#include "tools/bench/dial.h"
#include "tools/bench/stats.h"

/* Calls before the measurement: windows, tables and pools have settled by then. */
#define WARMUP_CALLS 2000u

typedef struct cpu_times {
    int64_t client_us, server_us;
    bool server_known;
} cpu_times;

static cpu_times read_cpu(const bench_options *o)
{
    cpu_times t = { .client_us = bench_cpu_self_us() };
    t.server_known = o->server_pid && bench_cpu_process_us(o->server_pid, &t.server_us) == 0;
    return t;
}

static void print_result(const bench_options *o, const bench_histogram *h, cpu_times begin,
                         cpu_times end)
{
    double n = (double)h->count;
    double mean = bench_histogram_mean(h) / 1e3;
    double p50 = (double)bench_histogram_percentile(h, 0.50) / 1e3;
    double p99 = (double)bench_histogram_percentile(h, 0.99) / 1e3;
    double client = (double)(end.client_us - begin.client_us) / n;
    double server = (double)(end.server_us - begin.server_us) / n;
    bool server_known = begin.server_known && end.server_known;
    if (o->json) {
        printf("{\"count\": %.0f, \"mean_us\": %.3f, \"p50_us\": %.3f, \"p99_us\": %.3f, "
               "\"min_us\": %.3f, \"max_us\": %.3f, \"cpu_us_per_call\": %.3f, ",
               n, mean, p50, p99, (double)h->min / 1e3, (double)h->max / 1e3, client);
        if (server_known)
            printf("\"server_cpu_us_per_call\": %.3f}\n", server);
        else
            printf("\"server_cpu_us_per_call\": null}\n");
        return;
    }
    printf("round trips   %.0f, one after the other, all answers right\n"
           "latency us    mean %.2f  p50 %.2f  p99 %.2f  min %.2f  max %.2f\n"
           "cpu us/call   client %.2f",
           n, mean, p50, p99, (double)h->min / 1e3, (double)h->max / 1e3, client);
    if (server_known)
        printf("  server %.2f", server);
    putchar('\n');
}

static tern_code measure(bench_caller *caller, tern_channel *ch, const bench_options *o,
                         bench_histogram *h, tern_status *reterr)
{
    uint64_t ns;
    cpu_times begin = { 0 };
    for (uint64_t i = 0; i < (uint64_t)WARMUP_CALLS + o->count; i++) {
        if (i == WARMUP_CALLS)
            begin = read_cpu(o);
        tern_code code = bench_caller_call(caller, ch, &ns, reterr);
        if (code != TERN_OK)
            return code;
        if (i >= WARMUP_CALLS)
            bench_histogram_add(h, ns);
    }
    print_result(o, h, begin, read_cpu(o));
    return TERN_OK;
}

int bench_run_latency(const bench_options *o)
{
    tern_channel *ch = NULL;
    tern_status err;
    bench_caller caller;
    bench_histogram *h = calloc(1, sizeof(*h));
    uint32_t n_channels;
    tern_code code;
    if (!h || bench_caller_init(&caller, o, 1) < 0) {
        fprintf(stderr, "tern-bench: out of memory\n");
        free(h);
        return 1;
    }
    if (bench_dial_many(o, 1, &ch, &n_channels) == 0)
        code = measure(&caller, ch, o, h, &err);
    else
        code = TERN_UNAVAILABLE; /* told already */
    if (n_channels && code != TERN_OK)
        fprintf(stderr, "tern-bench: a call to %s failed: %s: %s\n", o->target,
                tern_code_name(code), err.message);
    bench_dial_hang_up(&ch, n_channels);
    bench_caller_deinit(&caller);
    free(h);
    return code == TERN_OK ? 0 : 1;
}
