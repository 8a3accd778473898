/* See report.h. */
#include "sim/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/events.h"

#define MS INT64_C(1000000)
#define SMOOTH_BUCKETS 5u /* recovery is seen over half a second */
#define RECOVERED 0.99

void sim_series_init(sim_series *s, int64_t duration_ms)
{
    *s = (sim_series){ .n_buckets = (uint32_t)(duration_ms / SIM_BUCKET_MS) };
    s->buckets = sim_alloc(s->n_buckets * sizeof *s->buckets);
}

void sim_series_deinit(sim_series *s)
{
    free(s->buckets);
    free(s->samples);
}

/* Never NULL: what is later than the end is counted at the end. */
static sim_bucket *bucket(sim_series *s, int64_t at)
{
    int64_t i = at / SIM_BUCKET_NS;
    return &s->buckets[i < s->n_buckets ? i : s->n_buckets - 1];
}

void sim_series_call(sim_series *s, int64_t began, int64_t latency, bool good)
{
    sim_bucket *b = bucket(s, began);
    b->calls++;
    b->good += good;
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 4096;
        s->samples = sim_realloc(s->samples, s->cap * sizeof *s->samples);
    }
    s->samples[s->n++] = (sim_sample){ began, latency, good };
}

void sim_series_attempt(sim_series *s, int64_t now)
{
    bucket(s, now)->attempts++;
}

void sim_series_breakers(sim_series *s, int64_t now, uint32_t open, uint32_t half_open)
{
    sim_bucket *b = bucket(s, now);
    b->open = open;
    b->half_open = half_open;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t percentile(const int64_t *sorted, size_t n, unsigned percent)
{
    return n ? sorted[(n - 1) * percent / 100] : 0;
}

static void latencies(const sim_series *s, const sim_window *w, sim_numbers *ret)
{
    int64_t *good = sim_alloc((s->n + 1) * sizeof *good);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const sim_sample *c = &s->samples[i];
        if (c->began < w->from * MS || c->began >= w->to * MS)
            continue;
        ret->calls++;
        if (c->good)
            good[n++] = c->latency;
    }
    qsort(good, n, sizeof *good, compare);
    ret->p50 = percentile(good, n, 50);
    ret->p99 = percentile(good, n, 99);
    ret->success = ret->calls ? (double)n / (double)ret->calls : 0;
    ret->goodput = (double)n * 1000 / (double)(w->to - w->from);
    free(good);
}

static double amplification(const sim_series *s, int64_t from, int64_t to)
{
    uint64_t calls = 0, attempts = 0;
    for (int64_t i = from / SIM_BUCKET_MS; i < to / SIM_BUCKET_MS && i < s->n_buckets; i++) {
        calls += s->buckets[i].calls;
        attempts += s->buckets[i].attempts;
    }
    return calls ? (double)attempts / (double)calls : 0;
}

/* Looks from the end for the last half second that was not good. The window's end bounds it: calls
 * that began later may not have ended. */
static int64_t recovery(const sim_series *s, const sim_window *w)
{
    uint32_t first = (uint32_t)(w->cured_at / SIM_BUCKET_MS);
    uint32_t end = (uint32_t)(w->to / SIM_BUCKET_MS);
    for (uint32_t i = end - SMOOTH_BUCKETS; i >= first; i--) {
        uint64_t calls = 0, good = 0;
        for (uint32_t k = i; k < i + SMOOTH_BUCKETS; k++) {
            calls += s->buckets[k].calls;
            good += s->buckets[k].good;
        }
        if (calls && (double)good < RECOVERED * (double)calls)
            return i == end - SMOOTH_BUCKETS ? -1 : (int64_t)(i + 1 - first) * SIM_BUCKET_MS;
    }
    return 0;
}

void sim_series_numbers(const sim_series *s, const sim_window *w, sim_numbers *ret)
{
    bool own = w->repeat_to != 0;
    *ret = (sim_numbers){ 0 };
    latencies(s, w, ret);
    ret->amplification =
        amplification(s, own ? w->repeat_from : w->from, own ? w->repeat_to : w->to);
    if (w->cured_at)
        ret->recover_ms = recovery(s, w);
}

/* --- time series ------------------------------------------------------------------------------ */

static int by_time(const void *a, const void *b)
{
    const sim_sample *x = a, *y = b;
    int64_t i = x->began / SIM_BUCKET_NS, k = y->began / SIM_BUCKET_NS;
    if (i != k)
        return i < k ? -1 : 1;
    if (x->good != y->good)
        return x->good ? -1 : 1;
    return (x->latency > y->latency) - (x->latency < y->latency);
}

static void write_lines(const sim_series *s, const sim_sample *sorted, FILE *f)
{
    size_t at = 0;
    fputs("t_ms,calls,good,attempts,p50_us,p99_us,breakers_open,breakers_half_open\n", f);
    for (uint32_t i = 0; i < s->n_buckets; i++) {
        const sim_bucket *b = &s->buckets[i];
        int64_t p50 = b->good ? sorted[at + (b->good - 1) * 50 / 100].latency / 1000 : 0;
        int64_t p99 = b->good ? sorted[at + (b->good - 1) * 99 / 100].latency / 1000 : 0;
        fprintf(f, "%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRId64 ",%" PRId64
                ",%" PRIu32 ",%" PRIu32 "\n", i * SIM_BUCKET_MS, b->calls, b->good, b->attempts,
                p50, p99, b->open, b->half_open);
        at += b->calls;
    }
}

int sim_series_csv(const sim_series *s, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return -errno;
    sim_sample *sorted = sim_alloc((s->n + 1) * sizeof *sorted);
    for (size_t i = 0; i < s->n; i++)
        sorted[i] = s->samples[i];
    qsort(sorted, s->n, sizeof *sorted, by_time);
    write_lines(s, sorted, f);
    free(sorted);
    int rv = ferror(f) ? -EIO : 0;
    return fclose(f) ? -errno : rv;
}
