/* The simulation's command: runs the scenarios with one seed or several and prints a table.
 *
 *     tern-sim [--seed N] [--seeds COUNT] [--only NAME] [--csv FOLDER] [--load TIMES]
 *
 * --load multiplies the calls of the scenarios: to see what gives way, and how limits are broken.
 * Exit status: 0, 1 if a limit was broken, 2 for a mistake in the command or the machine. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/scenarios.h"

#define SEEDS_MAX 100000u
#define LOAD_MAX 100u

typedef struct options {
    uint64_t seed, seeds;
    const char *only, *csv;
    uint64_t load;
} options;

/* The loads at which the peak is looked for, of what the cores could do. */
static const double peak_loads[] = { 0.9, 1.0, 1.2 };

typedef struct run {
    const sim_scenario *s;
    sim_numbers n;
    double p99_of_calm, goodput_of_peak; /* 0: not looked at */
    unsigned n_broken;
} run;

static void live(const sim_setup *setup, const sim_window *w, uint64_t seed, sim_numbers *ret)
{
    sim_series series;
    sim_series_init(&series, setup->duration_ms);
    sim_world_run(setup, seed, &series);
    sim_series_numbers(&series, w, ret);
    sim_series_deinit(&series);
}

static void compare_calm(run *r, uint64_t seed)
{
    sim_setup calm = r->s->setup;
    sim_numbers n;
    calm.n_faults = 0;
    live(&calm, &r->s->window, seed, &n);
    r->p99_of_calm = n.p99 ? (double)r->n.p99 / (double)n.p99 : 0;
}

static void compare_peak(run *r, uint64_t seed)
{
    sim_setup calm = r->s->setup;
    double peak = 0;
    double can = calm.n_servers * calm.cores * 1000 / calm.work_ms;
    calm.n_faults = 0;
    for (size_t i = 0; i < sizeof peak_loads / sizeof peak_loads[0]; i++) {
        sim_numbers n;
        calm.calls_per_s = can * peak_loads[i];
        live(&calm, &r->s->window, seed, &n);
        if (n.goodput > peak)
            peak = n.goodput;
    }
    r->goodput_of_peak = peak > 0 ? r->n.goodput / peak : 0;
}

/* --- limits ----------------------------------------------------------------------------------- */

static void broken(run *r, const char *what, double is, double limit)
{
    printf("    BROKEN: %s is %.4f, the limit %.4f\n", what, is, limit);
    r->n_broken++;
}

static void at_least(run *r, const char *what, double is, double min)
{
    if (min > 0 && !(is >= min))
        broken(r, what, is, min);
}

static void at_most(run *r, const char *what, double is, double max)
{
    if (max > 0 && !(is <= max))
        broken(r, what, is, max);
}

static void check(run *r)
{
    const sim_limits *l = &r->s->limits;
    /* Never is later than anything. */
    double recover = r->n.recover_ms < 0 ? 1e9 : (double)r->n.recover_ms;
    if (r->n.calls == 0)
        broken(r, "number of calls", 0, 1);
    at_least(r, "success rate", r->n.success, l->success_min);
    at_most(r, "amplification", r->n.amplification, l->amplification_max);
    at_least(r, "amplification", r->n.amplification, l->amplification_min);
    at_most(r, "time to recover (ms)", recover, (double)l->recover_ms_max);
    at_least(r, "time to recover (ms)", recover, (double)l->recover_ms_min);
    at_most(r, "p99 of that without the fault", r->p99_of_calm, l->p99_of_calm_max);
    at_least(r, "p99 of that without the fault", r->p99_of_calm, l->p99_of_calm_min);
    at_most(r, "p99 (ms)", (double)r->n.p99 / 1e6, l->p99_ms_max);
    at_least(r, "p99 (ms)", (double)r->n.p99 / 1e6, l->p99_ms_min);
    at_least(r, "goodput of peak", r->goodput_of_peak, l->goodput_of_peak_min);
    at_most(r, "goodput of peak", r->goodput_of_peak, l->goodput_of_peak_max);
}

/* --- the table -------------------------------------------------------------------------------- */

static void print_head(void)
{
    printf("%-16s %8s %9s %6s %8s %8s %9s %9s  %s\n", "scenario", "calls", "success", "ampl.",
           "p50 ms", "p99 ms", "recover s", "good/s", "compared");
}

static void print_row(const run *r)
{
    char recover[24] = "-", beside[48] = "";
    if (r->s->window.cured_at && r->n.recover_ms < 0)
        snprintf(recover, sizeof recover, "never");
    else if (r->s->window.cured_at)
        snprintf(recover, sizeof recover, "%.1f", (double)r->n.recover_ms / 1000);
    if (r->p99_of_calm > 0)
        snprintf(beside, sizeof beside, "p99 %.2f x calm", r->p99_of_calm);
    if (r->goodput_of_peak > 0)
        snprintf(beside, sizeof beside, "%.1f %% of peak", r->goodput_of_peak * 100);
    printf("%-16s %8" PRIu64 " %8.3f%% %6.3f %8.2f %8.2f %9s %9.1f  %s\n", r->s->name, r->n.calls,
           r->n.success * 100, r->n.amplification, (double)r->n.p50 / 1e6, (double)r->n.p99 / 1e6,
           recover, r->n.goodput, beside);
}

static void write_csv(const sim_series *series, const char *folder, const char *name)
{
    char path[512];
    int n = snprintf(path, sizeof path, "%s/%s.csv", folder, name);
    int rv = n < 0 || (size_t)n >= sizeof path ? -1 : sim_series_csv(series, path);
    if (rv == 0)
        return;
    fprintf(stderr, "tern-sim: cannot write %s: %s; --csv needs a folder that can be written\n",
            path, rv == -1 ? "the path is too long" : strerror(-rv));
    exit(2);
}

static unsigned run_scenario(const sim_scenario *s, uint64_t seed, const char *csv)
{
    run r = { .s = s };
    sim_series series;
    sim_series_init(&series, s->setup.duration_ms);
    sim_world_run(&s->setup, seed, &series);
    sim_series_numbers(&series, &s->window, &r.n);
    if (s->limits.p99_of_calm_max > 0 || s->limits.p99_of_calm_min > 0)
        compare_calm(&r, seed);
    if (s->limits.goodput_of_peak_min > 0 || s->limits.goodput_of_peak_max > 0)
        compare_peak(&r, seed);
    print_row(&r);
    check(&r);
    if (csv)
        write_csv(&series, csv, s->name);
    sim_series_deinit(&series);
    return r.n_broken;
}

/* --- the command ------------------------------------------------------------------------------ */

static uint64_t number(const char *option, const char *text)
{
    char *end;
    uint64_t v = strtoull(text, &end, 10);
    if (end == text || *end || text[0] == '-') {
        fprintf(stderr, "tern-sim: %s needs a whole number, not \"%s\"\n", option, text);
        exit(2);
    }
    return v;
}

static options read_options(int argc, char **argv)
{
    options o = { .seed = 1, .seeds = 1, .load = 1 };
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--seed") == 0)
            o.seed = number(argv[i], value);
        else if (strcmp(argv[i], "--seeds") == 0)
            o.seeds = number(argv[i], value);
        else if (strcmp(argv[i], "--load") == 0)
            o.load = number(argv[i], value);
        else if (strcmp(argv[i], "--only") == 0)
            o.only = value;
        else if (strcmp(argv[i], "--csv") == 0)
            o.csv = value;
        else {
            fprintf(stderr, "usage: tern-sim [--seed N] [--seeds COUNT] [--only NAME] "
                            "[--csv FOLDER] [--load TIMES]\n");
            exit(2);
        }
    }
    if (o.seeds == 0 || o.seeds > SEEDS_MAX) {
        fprintf(stderr, "tern-sim: --seeds must be from 1 to %u\n", SEEDS_MAX);
        exit(2);
    }
    if (o.load == 0 || o.load > LOAD_MAX) {
        fprintf(stderr, "tern-sim: --load must be from 1 to %u\n", LOAD_MAX);
        exit(2);
    }
    return o;
}

int main(int argc, char **argv)
{
    options o = read_options(argc, argv);
    unsigned n_broken = 0, n_run = 0;
    for (uint64_t k = 0; k < o.seeds; k++) {
        printf("seed %" PRIu64 "\n", o.seed + k);
        print_head();
        for (size_t i = 0; i < sim_n_scenarios; i++) {
            const sim_scenario *s = &sim_scenarios[i];
            if (o.only && strcmp(o.only, s->name) != 0)
                continue;
            sim_scenario loaded = *s;
            loaded.setup.calls_per_s *= (double)o.load;
            n_broken += run_scenario(&loaded, o.seed + k, o.csv);
            n_run++;
        }
    }
    if (n_run == 0) {
        fprintf(stderr, "tern-sim: there is no scenario \"%s\"\n", o.only);
        return 2;
    }
    printf("%s: %u limits broken\n", n_broken ? "FAILED" : "good", n_broken);
    return n_broken ? 1 : 0;
}
