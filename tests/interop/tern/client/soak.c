/* rpc_soak and channel_soak: large unary calls over and over, on one channel or each on a channel
 * of its own, with a limit on how long one may take. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "tests/interop/tern/client/cases.h"

#define THREADS_MAX 64

typedef struct soak {
    const client_options *o;
    tern_channel *ch; /* NULL: a new one for each call */
    int64_t ends_ms;
    atomic_int next, failures, slowest_ms;
} soak;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool iteration(soak *s)
{
    size_t request = (size_t)s->o->soak_request, response = (size_t)s->o->soak_response;
    if (s->ch)
        return large_unary(s->ch, NULL, request, response);
    tern_channel *ch = client_channel(s->o);
    bool ok = ch && large_unary(ch, NULL, request, response);
    tern_channel_free(ch);
    return ok;
}

static void *work(void *arg)
{
    soak *s = arg;
    while (now_ms() < s->ends_ms) {
        int i = atomic_fetch_add(&s->next, 1);
        if (i >= s->o->soak_iterations)
            return NULL;
        int64_t began = now_ms();
        bool ok = iteration(s);
        int64_t took = now_ms() - began;
        if (took > atomic_load(&s->slowest_ms))
            atomic_store(&s->slowest_ms, (int)took);
        if (ok && took > s->o->soak_latency_ms)
            ok = case_fail("iteration %d took %lld ms", i, (long long)took);
        if (!ok)
            atomic_fetch_add(&s->failures, 1);
        int64_t rest = s->o->soak_pause_ms - (now_ms() - began);
        if (rest > 0)
            nanosleep(&(struct timespec){ rest / 1000, rest % 1000 * 1000000 }, NULL);
    }
    return NULL;
}

static bool run(tern_channel *ch, const client_options *o)
{
    soak s = { .o = o, .ch = ch, .ends_ms = now_ms() + (int64_t)o->soak_timeout_s * 1000 };
    pthread_t threads[THREADS_MAX];
    int n = o->soak_threads < 1 ? 1 : o->soak_threads < THREADS_MAX ? o->soak_threads : THREADS_MAX;
    int64_t began = now_ms();
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, work, &s))
            n = i;
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    int failures = atomic_load(&s.failures), begun = atomic_load(&s.next);
    int done = begun < o->soak_iterations ? begun : o->soak_iterations;
    printf("%d iterations, %d failures, slowest %d ms, %lld ms in all\n", done, failures,
           atomic_load(&s.slowest_ms), (long long)(now_ms() - began));
    if (done < o->soak_iterations)
        return case_fail("only %d of %d iterations within %d s", done, o->soak_iterations,
                         o->soak_timeout_s);
    return failures <= o->soak_max_failures || case_fail("%d iterations failed", failures);
}

bool case_rpc_soak(tern_channel *ch, const client_options *o)
{
    return run(ch, o);
}

bool case_channel_soak(tern_channel *ch, const client_options *o)
{
    (void)ch;
    return run(NULL, o);
}
