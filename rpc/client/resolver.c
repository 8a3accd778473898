/* See resolver.h. */
#include "client/resolver.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tern/limits.h>

#include "base/log.h"
#include "base/time.h"
#include "client/cluster.h"
#include "client/channel.h"
#include "client/config.h"
#include "io/clock.h"
#include "io/random.h"

/* What is to be delivered. */
#define TODO_LIST 1u  /* `last` */
#define TODO_ERROR 2u /* `error` */
#define TODO_STIR 4u  /* when to look again has changed */

/* --- life ------------------------------------------------------------------------------------- */

static void init_client(tern__resolver *r)
{
    uint64_t seed = tern__random_seed();
    tern__rng_seed(&r->rng, seed);
    r->who.draw = (uint32_t)tern__rng_below(&r->rng, 100);
    if (gethostname(r->hostname, sizeof r->hostname - 1) == 0)
        r->who.hostname = r->hostname;
}

static void set_backoff(tern__resolver *r, uint32_t first_ms, uint32_t max_ms)
{
    tern__backoff_init(&r->backoff, tern__ms_to_ns(first_ms), tern__ms_to_ns(max_ms),
                       TERN_LIMIT_RECONNECT_BACKOFF_MULTIPLIER,
                       TERN_LIMIT_RECONNECT_BACKOFF_JITTER);
}

tern__resolver *tern__resolver_new(const tern__resolver_driver *driver, void *self,
                                   const char *name)
{
    tern__resolver *r = calloc(1, sizeof *r);
    if (!r) {
        driver->free(self);
        return NULL;
    }
    atomic_init(&r->refs, 1);
    atomic_init(&r->closed, false);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    r->driver = driver;
    r->self = self;
    snprintf(r->name, sizeof r->name, "%s", name);
    r->wanted = driver->resolve != NULL;
    r->old_at = TERN__TIME_NEVER;
    init_client(r);
    set_backoff(r, TERN_LIMIT_RECONNECT_BACKOFF_MS, TERN_LIMIT_RECONNECT_BACKOFF_MS_MAX);
    return r;
}

tern__resolver *tern__resolver_ref(tern__resolver *r)
{
    if (r)
        atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void tern__resolver_unref(tern__resolver *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (r->self)
        r->driver->free(r->self);
    tern__resolved_unref(r->last);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r->dflt_config);
    free(r->config);
    free(r);
}

void tern__resolver_close(tern__resolver *r)
{
    if (!r)
        return;
    atomic_store_explicit(&r->closed, true, memory_order_relaxed);
    if (r->driver->stop)
        r->driver->stop(r);
    pthread_mutex_lock(&r->lock);
    r->ch = NULL;
    while (r->delivering || (r->running && r->driver->joins))
        pthread_cond_wait(&r->changed, &r->lock);
    void *self = r->driver->joins ? r->self : NULL;
    if (self)
        r->self = NULL;
    pthread_mutex_unlock(&r->lock);
    if (self)
        r->driver->free(self);
}

/* --- delivery --------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The service config that was found, or if there is none that of the options. */
static tern_code set_config(tern__resolver *r, tern_channel *ch, const tern__resolved *found,
                            tern_status *reterr)
{
    tern__service_config *chosen = NULL;
    tern_code code = TERN_OK;
    size_t len = found->config ? strlen(found->config) : 0;
    if (found->config && found->choices)
        code = tern__service_config_choose(found->config, len, &r->who, &chosen, reterr);
    else if (found->config)
        code = tern__service_config_parse(found->config, len, &chosen, reterr);
    if (code != TERN_OK)
        return code;
    if (chosen)
        return tern__channel_take_config(ch, chosen, reterr);
    len = r->dflt_config ? strlen(r->dflt_config) : 0;
    return tern_channel_set_service_config(ch, r->dflt_config, len, reterr);
}

static void deliver_config(tern__resolver *r, tern_channel *ch, const tern__resolved *found)
{
    tern_status why;
    if (!r->config_wanted || found->config_unknown || same_text(found->config, r->config))
        return;
    char *copy = found->config ? strdup(found->config) : NULL;
    tern_code code = found->config && !copy
                         ? tern_status_set(&why, TERN_RESOURCE_EXHAUSTED, "out of memory")
                         : set_config(r, ch, found, &why);
    if (code == TERN_OK) {
        free(r->config);
        r->config = copy;
        return;
    }
    free(copy);
    TERN__LOG(TERN_LOG_ERROR, "%s: the service config that name resolution has found: %s: the "
                              "former one stays in use", tern_channel_target(ch), why.message);
}

static int deliver(tern_channel *ch, unsigned todo, const tern__resolved *found,
                   const tern_status *error, bool exact)
{
    tern__cluster *c = atomic_load(&ch->cluster);
    int rv = 0;
    if (c && !atomic_load(&c->asleep)) {
        if (todo & (TODO_LIST | TODO_ERROR))
            rv = tern__cluster_resolved(c, todo & TODO_LIST ? found : NULL, error);
        else
            tern__cluster_stir(c);
    }
    /* It may have fallen asleep just now; if it wakes just now, it catches up. */
    if ((todo & TODO_LIST) && exact && (!c || atomic_load(&c->asleep)))
        tern__subchannel_keep(&ch->sub, &found->list);
    return rv == -ECANCELED ? 0 : rv;
}

/* Has `todo` delivered. With the lock held, and released meanwhile. 0, or -errno of what could not
 * be put in place, which counts as an error that was reported. */
static int deliver_all(tern__resolver *r, unsigned todo)
{
    int rv = 0;
    r->todo |= todo;
    pthread_cond_broadcast(&r->changed);
    if (r->delivering)
        return 0;
    r->delivering = true;
    while (r->todo && r->ch) {
        unsigned now = r->todo;
        tern_channel *ch = r->ch;
        tern__resolved *found = r->last ? tern__resolved_ref(r->last) : NULL;
        const tern_status error = r->error;
        r->todo = 0;
        pthread_mutex_unlock(&r->lock);
        if (now & TODO_LIST)
            deliver_config(r, ch, found);
        rv = deliver(ch, now, found, &error, r->driver->exact);
        tern__resolved_unref(found);
        pthread_mutex_lock(&r->lock);
        if (rv && !r->todo)
            tern_status_set(&r->error, TERN_UNAVAILABLE, "out of memory for the servers of \"%s\"",
                            r->name);
    }
    r->delivering = false;
    pthread_cond_broadcast(&r->changed);
    return rv;
}

tern_code tern__resolver_start(tern__resolver *r, tern_channel *ch,
                               const tern_channel_options *opts, tern_status *reterr)
{
    if (opts->service_config && !(r->dflt_config = strdup(opts->service_config)))
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a channel");
    pthread_mutex_lock(&r->lock);
    r->ch = ch;
    r->config_wanted = !opts->service_config_file && !ch->parent; /* a cluster has its parent's */
    set_backoff(r, ch->opt.reconnect_backoff_ms, ch->opt.reconnect_backoff_ms_max);
    deliver_all(r, 0);
    pthread_mutex_unlock(&r->lock);
    return r->driver->start ? r->driver->start(r, reterr) : TERN_OK;
}

int tern__resolver_report(tern__resolver *r, tern__resolved *found, const tern_status *why)
{
    int rv = 0;
    tern__resolved *former = NULL;
    pthread_mutex_lock(&r->lock);
    if (atomic_load_explicit(&r->closed, memory_order_relaxed)) {
        former = found;
    } else {
        r->answered = true;
        if (found) {
            former = r->last;
            r->last = found;
            r->error.code = TERN_OK;
            r->todo &= ~TODO_ERROR;
        } else {
            r->error = *why;
            r->error.code = TERN_UNAVAILABLE;
        }
        rv = deliver_all(r, found ? TODO_LIST : TODO_ERROR);
    }
    pthread_mutex_unlock(&r->lock);
    tern__resolved_unref(former);
    return rv;
}

/* --- looking ---------------------------------------------------------------------------------- */

/* resolve() has returned. With the lock held. */
static void ended(tern__resolver *r)
{
    int64_t now = tern__clock_now();
    int64_t floor = tern__time_add(now, tern__ms_to_ns(TERN_LIMIT_RESOLVE_INTERVAL_MS));
    r->running = false;
    r->n_looks++;
    r->old_at = TERN__TIME_NEVER;
    if (r->error.code == TERN_OK) {
        tern__backoff_reset(&r->backoff);
        r->not_before = floor;
        if (r->last && r->last->ttl != TERN__TIME_NEVER)
            r->old_at = tern__time_add(now, r->last->ttl);
    } else {
        r->wanted = true;
        r->not_before = tern__time_add(now, tern__backoff_next(&r->backoff, &r->rng));
    }
    deliver_all(r, TODO_STIR);
}

static void *run(void *arg)
{
    tern__resolver *r = arg;
    r->driver->resolve(r);
    pthread_mutex_lock(&r->lock);
    ended(r);
    pthread_mutex_unlock(&r->lock);
    tern__resolver_unref(r);
    return NULL;
}

/* With the lock held. False: no thread. */
static bool begin(tern__resolver *r)
{
    pthread_t thread;
    sigset_t all, old;
    if (atomic_load_explicit(&r->closed, memory_order_relaxed))
        return false;
    sigfillset(&all); /* signals are the program's business, on its own threads */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rv = pthread_create(&thread, NULL, run, tern__resolver_ref(r));
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rv) {
        atomic_fetch_sub_explicit(&r->refs, 1, memory_order_relaxed); /* the caller has one */
        return false;
    }
    pthread_detach(thread);
    r->running = true;
    r->wanted = false;
    return true;
}

/* With the lock held; returns when to do it again. */
static int64_t run_due(tern__resolver *r, int64_t now)
{
    if (!r->driver->resolve || r->running)
        return TERN__TIME_NEVER;
    int64_t at = r->wanted ? r->not_before
                 : r->old_at == TERN__TIME_NEVER || r->old_at > r->not_before ? r->old_at
                                                                              : r->not_before;
    if (now < at)
        return at;
    if (begin(r))
        return TERN__TIME_NEVER;
    r->not_before = tern__time_add(now, tern__ms_to_ns(TERN_LIMIT_RECONNECT_BACKOFF_MS));
    r->wanted = true;
    return r->not_before;
}

void tern__resolver_ask(tern__resolver *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->wanted = true;
    pthread_mutex_unlock(&r->lock);
}

int64_t tern__resolver_run(tern__resolver *r, int64_t now)
{
    if (!r)
        return TERN__TIME_NEVER;
    pthread_mutex_lock(&r->lock);
    int64_t next = run_due(r, now);
    pthread_mutex_unlock(&r->lock);
    return next;
}

tern__resolved *tern__resolver_last(tern__resolver *r, tern_status *ret_why)
{
    if (!r)
        return NULL;
    pthread_mutex_lock(&r->lock);
    tern__resolved *last = r->last ? tern__resolved_ref(r->last) : NULL;
    if (!last && r->answered)
        *ret_why = r->error;
    pthread_mutex_unlock(&r->lock);
    return last;
}

/* Whether there is something to wait for, with the lock held; `looks` were over at first. */
static bool coming(const tern__resolver *r, uint64_t looks)
{
    if (atomic_load_explicit(&r->closed, memory_order_relaxed))
        return false;
    if (!r->driver->exact)
        return r->running && r->n_looks == looks;
    return !r->last && (r->running || !r->answered);
}

static tern_code outcome(const tern__resolver *r, bool too_long, tern__address_list *ret,
                         tern_status *reterr)
{
    if (r->last && r->last->list.n) {
        *ret = r->last->list;
        return TERN_OK;
    }
    if (r->last)
        return tern_status_set(reterr, TERN_UNAVAILABLE, "no server is known of \"%s\"", r->name);
    if (too_long)
        return tern_status_set(reterr, TERN_UNAVAILABLE, "resolving \"%s\" took too long",
                               r->name);
    if (r->error.code == TERN_OK)
        return tern_status_set(reterr, TERN_UNAVAILABLE, "no thread to resolve \"%s\"", r->name);
    if (reterr)
        *reterr = r->error;
    return TERN_UNAVAILABLE;
}

tern_code tern__resolver_await(tern__resolver *r, int64_t deadline, tern_context *context,
                               tern__address_list *ret, tern_status *reterr)
{
    bool too_long = false;
    int64_t now = tern__clock_now();
    pthread_mutex_lock(&r->lock);
    uint64_t looks = r->n_looks;
    r->wanted = true;
    if (r->last) /* what was found before is better than to wait for ever */
        deadline = tern__time_min(
            deadline, tern__time_add(now, tern__ms_to_ns(TERN_LIMIT_RESOLVE_PATIENCE_MS)));
    if (r->driver->exact)
        run_due(r, now);
    else if (!r->running)
        begin(r);
    while (coming(r, looks) && !too_long && tern_context_error(context) == TERN_OK) {
        now = tern__clock_now();
        too_long = now >= deadline;
        if (!too_long)
            tern__clock_wait(&r->changed, &r->lock, deadline, TERN__CONNECT_SLICE_NS);
    }
    tern_code code = outcome(r, too_long, ret, reterr);
    pthread_mutex_unlock(&r->lock);
    return code;
}
