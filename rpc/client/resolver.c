/* See resolver.h. */
#include "client/resolver.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/cluster.h"

typedef struct lookup {
    tern__cluster *cluster; /* a reference */
    char host[TERN__HOST_MAX];
    char port[8];
} lookup;

void tern__resolver_init(tern__resolver *r, const tern__target *target, int64_t backoff,
                         int64_t backoff_max)
{
    *r = (tern__resolver){ .target = target->literal ? NULL : target };
    r->wanted = r->target != NULL;
    tern__backoff_init(&r->backoff, backoff, backoff_max, TERN_LIMIT_RECONNECT_BACKOFF_MULTIPLIER,
                       TERN_LIMIT_RECONNECT_BACKOFF_JITTER);
}

static void *run(void *arg)
{
    lookup *l = arg;
    tern__address_list list;
    tern_status why;
    why.message[0] = '\0';
    why.code = tern__target_lookup(l->host, l->port, &list, &why);
    tern__cluster_resolved(l->cluster, why.code == TERN_OK ? &list : NULL, &why);
    tern__cluster_unref(l->cluster);
    free(l);
    return NULL;
}

static bool start(const tern__target *target, tern__cluster *c)
{
    pthread_t thread;
    sigset_t all, old;
    lookup *l = calloc(1, sizeof *l);
    if (!l)
        return false;
    l->cluster = tern__cluster_ref(c);
    snprintf(l->host, sizeof l->host, "%s", target->host);
    snprintf(l->port, sizeof l->port, "%s", target->port);
    sigfillset(&all); /* signals are the program's business, on its own threads */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rv = pthread_create(&thread, NULL, run, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rv == 0) {
        pthread_detach(thread);
        return true;
    }
    tern__cluster_unref(c);
    free(l);
    return false;
}

int64_t tern__resolver_run(tern__resolver *r, tern__cluster *c, int64_t now)
{
    if (!r->target || !r->wanted || r->running)
        return TERN__TIME_NEVER;
    if (now < r->not_before)
        return r->not_before;
    r->running = start(r->target, c);
    if (r->running) {
        r->wanted = false;
        return TERN__TIME_NEVER;
    }
    r->not_before = tern__time_add(now, tern__ms_to_ns(TERN_LIMIT_RECONNECT_BACKOFF_MS));
    return r->not_before;
}

void tern__resolver_ended(tern__resolver *r, bool good, int64_t now, tern__rng *rng)
{
    r->running = false;
    r->answered = true;
    if (good) {
        tern__backoff_reset(&r->backoff);
        r->not_before = tern__time_add(now, tern__ms_to_ns(TERN_LIMIT_RESOLVE_INTERVAL_MS));
    } else {
        r->wanted = true;
        r->not_before = tern__time_add(now, tern__backoff_next(&r->backoff, rng));
    }
}
