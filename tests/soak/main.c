/* tern-soak: calls of every kind against a server in another process, for as long as one likes, and
 * a look at what both processes hold, again and again.
 *
 *     tern-soak server CERT KEY
 *     tern-soak client CLEARTEXT-TARGET TLS-TARGET ROOTS SECONDS [LEAK]
 *
 * The time is cut into rounds. After each the callers rest, the channels stay: what the processes
 * hold then is held for good. The first rounds are the warm-up, in which pools, arenas and tables
 * come to their size; the highest figures of it are what all later ones are measured by
 * (figures.h). LEAK loses so many bytes with every call, to see that it is found. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "soak/figures.h"
#include "soak/soak.h"

#define CALLERS 6
#define ROUNDS 20
#define WARM_UP_ROUNDS 6
#define SECONDS_MAX 86400
#define SEED 20240607u
/* Callers at rest: what they left behind is cleared away meanwhile, ms. */
#define REST_MS 300
#define FIGURES_TIMEOUT_MS 10000
/* More calls cut by a connection's end, in percent, are not what max_connection_age promises. */
#define CUT_PERCENT_MAX 1

typedef struct caller_thread {
    pthread_t thread;
    soak_mix *mix;
    uint64_t seed;
} caller_thread;

static void sleep_ms(int64_t ms)
{
    struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&ts, NULL);
}

static void *run_caller(void *ctx)
{
    caller_thread *t = ctx;
    soak_mix_run(t->mix, t->seed);
    return NULL;
}

static int run_round(soak_mix *m, unsigned round, int64_t ms)
{
    caller_thread threads[CALLERS];
    int n = 0;
    atomic_store(&m->stop, false);
    for (; n < CALLERS; n++) {
        threads[n] = (caller_thread){ .mix = m, .seed = SEED + round * CALLERS + (unsigned)n };
        if (pthread_create(&threads[n].thread, NULL, run_caller, &threads[n]))
            break;
    }
    sleep_ms(ms);
    atomic_store(&m->stop, true);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i].thread, NULL);
    sleep_ms(REST_MS);
    if (n < CALLERS)
        fprintf(stderr, "tern-soak: no thread for caller %d\n", n + 1);
    return n < CALLERS ? -1 : 0;
}

static int server_figures(soak_mix *m, soak_figures *ret)
{
    void *text;
    size_t len;
    tern_status why;
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    options.timeout_ms = FIGURES_TIMEOUT_MS;
    options.retry = TERN_RETRY_SAFE;
    tern_code code =
        tern_call_unary(m->channels[0], &soak_figures_method, &options, "", 0, &text, &len, &why);
    if (code != TERN_OK) {
        fprintf(stderr, "tern-soak: the server does not tell what it holds: %s: %s\n",
                tern_code_name(code), why.message);
        return -1;
    }
    bool good = soak_figures_parse(text, len, ret);
    free(text);
    return good ? 0 : -1;
}

static unsigned long total(const soak_mix *m)
{
    unsigned long n = 0;
    for (int k = 0; k < SOAK_KINDS; k++)
        n += atomic_load(&m->calls[k]);
    return n;
}

static void print_side(const soak_figures *f)
{
    printf(" | %8.1f %8.1f %5d %7d", (double)f->heap_bytes / 1024, (double)f->rss_bytes / 1024,
           (int)f->files, (int)f->threads);
}

static bool holds(const char *who, const soak_figures *now, const soak_figures *warm)
{
    char why[300];
    if (soak_figures_within(now, warm, why, sizeof why))
        return true;
    printf("tern-soak: the %s has grown: %s\n", who, why);
    return false;
}

/* All rounds; 0 when nothing has grown and every call came out as it had to. */
static int soak(soak_mix *m, int64_t seconds)
{
    soak_figures warm[2] = { 0 }, now[2];
    printf("        calls      cut |             client            |             server\n"
           "                       | heap KiB  rss KiB files threads | heap KiB  rss KiB files "
           "threads\n");
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (run_round(m, round, seconds * 1000 / ROUNDS) < 0)
            return 1;
        if (atomic_load(&m->failed)) {
            printf("tern-soak: round %u, seed %u: %s\n", round + 1, SEED, m->failure);
            return 1;
        }
        if (server_figures(m, &now[1]) < 0)
            return 1;
        now[0] = soak_figures_take();
        printf("%13lu %8lu", total(m), atomic_load(&m->cut));
        print_side(&now[0]);
        print_side(&now[1]);
        printf("%s\n", round < WARM_UP_ROUNDS ? " (warm-up)" : "");
        fflush(stdout);
        for (int i = 0; i < 2 && round < WARM_UP_ROUNDS; i++)
            soak_figures_max(&warm[i], &now[i]);
        if (round >= WARM_UP_ROUNDS &&
            (!holds("client", &now[0], &warm[0]) || !holds("server", &now[1], &warm[1])))
            return 1;
    }
    return 0;
}

/* Every kind was there, and few calls were cut. */
static int sum_up(const soak_mix *m)
{
    unsigned long all = total(m), cut = atomic_load(&m->cut);
    int status = 0;
    for (int k = 0; k < SOAK_KINDS; k++) {
        printf("%13lu %s\n", atomic_load(&m->calls[k]), soak_kind_names[k]);
        if (atomic_load(&m->calls[k]) == 0)
            status = 1;
    }
    if (status)
        printf("tern-soak: a kind of call was never made\n");
    if (cut * 100 > all * CUT_PERCENT_MAX) {
        printf("tern-soak: %lu of %lu calls were cut: more than %d %%\n", cut, all,
               CUT_PERCENT_MAX);
        status = 1;
    }
    for (int i = 0; i < 2; i++) {
        tern_channel_stats stats;
        tern_channel_stats_get(m->channels[i], &stats);
        printf("%13llu connections of the channel %s TLS\n", (unsigned long long)stats.connects,
               i ? "with" : "without");
    }
    return status;
}

static int run_client(char **argv, int argc)
{
    soak_mix m = { .targets = { argv[2], argv[3] } };
    tern_tls_client_options tls = TERN_TLS_CLIENT_OPTIONS_INIT;
    tern_status why;
    long seconds = strtol(argv[5], NULL, 10);
    int status = 1;
    if (seconds < 1 || seconds > SECONDS_MAX) {
        fprintf(stderr, "tern-soak: SECONDS must be from 1 to %d, not '%s'\n", SECONDS_MAX,
                argv[5]);
        return 2;
    }
    m.leak_bytes = argc > 6 ? (size_t)strtoul(argv[6], NULL, 10) : 0;
    tls.roots_file = argv[4];
    if (tern_tls_client_new(&tls, &m.tls, &why) == TERN_OK &&
        (m.channels[0] = soak_channel(&m, 0, &why)) && (m.channels[1] = soak_channel(&m, 1, &why)))
        status = soak(&m, seconds);
    else
        fprintf(stderr, "tern-soak: %s\n", why.message);
    if (status == 0)
        status = sum_up(&m);
    tern_channel_free(m.channels[0]);
    tern_channel_free(m.channels[1]);
    tern_tls_client_unref(m.tls);
    if (status == 0)
        printf("no growth: heap within %d KiB, resident set %d MiB, files %d, threads %d of the "
               "warm-up's highest\n",
               SOAK_HEAP_GROWTH_BYTES / 1024, SOAK_RSS_GROWTH_BYTES / 1048576, SOAK_FILES_GROWTH,
               SOAK_THREADS_GROWTH);
    return status;
}

int main(int argc, char **argv)
{
    soak_figures_prepare();
    if (argc == 4 && strcmp(argv[1], "server") == 0)
        return soak_serve(argv[2], argv[3]);
    if ((argc == 6 || argc == 7) && strcmp(argv[1], "client") == 0)
        return run_client(argv, argc);
    fprintf(stderr, "usage: tern-soak server CERT KEY\n"
                    "       tern-soak client CLEARTEXT-TARGET TLS-TARGET ROOTS SECONDS [LEAK]\n");
    return 2;
}
