/* See fault.h. */
#include "io/fault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "io/fault_config.h"
#include "io/random.h"

struct tern_fault {
    atomic_uint refs;
    pthread_mutex_t lock; /* the following */
    tern__fault state;    /* its options are those of `config` */
    tern__fault_config config;
    tern__rng rng;
};

tern_code tern_fault_new(const tern_fault_options *opts, tern_fault **ret, tern_status *reterr)
{
    tern__fault_config config;
    tern_code code = tern__fault_config_init(&config, opts, reterr);
    if (code != TERN_OK)
        return code;
    tern_fault *f = calloc(1, sizeof *f);
    if (!f) {
        tern__fault_config_deinit(&config);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for faults");
    }
    atomic_init(&f->refs, 1);
    pthread_mutex_init(&f->lock, NULL);
    tern__rng_seed(&f->rng, tern__random_seed());
    tern__fault_init(&f->state, &config.opt);
    f->config = config;
    *ret = f;
    return TERN_OK;
}

tern_fault *tern_fault_ref(tern_fault *f)
{
    if (f)
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void tern_fault_unref(tern_fault *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
        return;
    tern__fault_config_deinit(&f->config);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* Takes the new options; counters and what is under way stay. */
static void install(tern_fault *f, tern__fault_config config)
{
    pthread_mutex_lock(&f->lock);
    tern__fault_config former = f->config;
    f->config = config;
    f->state.opt = config.opt;
    pthread_mutex_unlock(&f->lock);
    tern__fault_config_deinit(&former);
}

tern_code tern_fault_set(tern_fault *f, const tern_fault_options *opts, tern_status *reterr)
{
    tern__fault_config config;
    tern_code code = tern__fault_config_init(&config, opts, reterr);
    if (code == TERN_OK)
        install(f, config);
    return code;
}

tern_code tern_fault_set_json(tern_fault *f, const char *json, size_t len, tern_status *reterr)
{
    tern__fault_config config;
    tern_code code = tern__fault_config_parse(&config, json, len, reterr);
    if (code == TERN_OK)
        install(f, config);
    return code;
}

void tern_fault_stats_get(tern_fault *f, tern_fault_stats *ret)
{
    pthread_mutex_lock(&f->lock);
    *ret = (tern_fault_stats){ .delayed = f->state.n_delayed,
                               .aborted = f->state.n_aborted,
                               .spared = f->state.n_spared,
                               .active = f->state.active };
    pthread_mutex_unlock(&f->lock);
}

tern__fault_decision tern__faults_begin(tern_fault *f, const tern_method *method,
                                        const tern_metadata *request)
{
    const tern__fault_headers h = {
        .abort_http = tern_metadata_get(request, TERN__FAULT_ABORT_HTTP),
        .abort_grpc = tern_metadata_get(request, TERN__FAULT_ABORT_GRPC),
        .abort_percentage = tern_metadata_get(request, TERN__FAULT_ABORT_PERCENTAGE),
        .delay = tern_metadata_get(request, TERN__FAULT_DELAY),
        .delay_percentage = tern_metadata_get(request, TERN__FAULT_DELAY_PERCENTAGE),
    };
    tern__fault_decision d = { .active = false };
    pthread_mutex_lock(&f->lock);
    if (tern__fault_config_covers(&f->config, method->path))
        d = tern__fault_decide(&f->state, &h, &f->rng);
    pthread_mutex_unlock(&f->lock);
    return d;
}

void tern__faults_end(tern_fault *f)
{
    pthread_mutex_lock(&f->lock);
    tern__fault_end(&f->state);
    pthread_mutex_unlock(&f->lock);
}
