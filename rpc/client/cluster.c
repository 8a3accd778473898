/* See cluster.h. */
#include "client/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "client/channel.h"
#include "client/cluster_change.h"
#include "client/cluster_health.h"
#include "client/endpoint.h"
#include "client/health_watch.h"
#include "client/proxy.h"
#include "io/clock.h"
#include "io/context.h"
#include "io/random.h"

/* --- what is due ------------------------------------------------------------------------------ */

/* All with the lock held. */

void tern__cluster_report(tern__cluster *c, tern__endpoint *ep, tern__lb_state state, int64_t now)
{
    if (ep->index == TERN__LB_NONE)
        return;
    tern__balancer_report(&c->balancer, ep->index, state, now);
    if (state == TERN__LB_TRANSIENT_FAILURE || state == TERN__LB_IDLE)
        tern__resolver_ask(c->resolver); /* the server may live elsewhere by now */
    pthread_cond_broadcast(&c->changed);
}

/* Returns when to look after it again; the connector tells how it went. */
static int64_t connect_to(tern__cluster *c, tern__endpoint *ep, int64_t now)
{
    ep->connecting = true;
    tern__cluster_report(c, ep, TERN__LB_CONNECTING, now);
    if (tern__connector_wait(&ep->sub, &ep->connect) == 0)
        return TERN__TIME_NEVER;
    ep->connecting = false;
    ep->not_before = tern__time_add(now, tern__ms_to_ns(c->options.backoff_ms));
    tern_status_set(&c->last_error, TERN_UNAVAILABLE,
                    "out of memory or threads for a connection to %s", ep->name);
    tern__cluster_report(c, ep, TERN__LB_TRANSIENT_FAILURE, now);
    return ep->not_before;
}

/* Has no connection that takes calls. */
static void unwatched(tern__endpoint *ep)
{
    tern__health_watch *w = atomic_load(&ep->health);
    ep->connected = false;
    if (w)
        tern__health_watch_stir(w);
}

/* Its connection takes no more calls. */
static void lost(tern__cluster *c, tern__endpoint *ep, int64_t now)
{
    unwatched(ep);
    tern__cluster_report(c, ep, TERN__LB_IDLE, now);
}

/* A server that is no part of the subset any more needs no connection; calls on it end in peace. */
static void disconnect(tern__cluster *c, tern__endpoint *ep, int64_t now)
{
    pthread_mutex_lock(&ep->sub.lock);
    tern__connections conns = tern__subchannel_leave(&ep->sub);
    tern__subchannel_enter(&ep->sub, NULL);
    pthread_mutex_unlock(&ep->sub.lock);
    while (conns.n)
        tern__subchannel_release(conns.at[--conns.n]);
    unwatched(ep);
    tern__balancer_report(&c->balancer, ep->index, TERN__LB_IDLE, now);
}

/* Sees to the connection of endpoint i; returns when to do it again. */
static int64_t look_after(tern__cluster *c, uint32_t i, int64_t now)
{
    tern__endpoint *ep = c->at[i];
    if (c->balancer.at[i].left_out && ep->connected)
        disconnect(c, ep, now);
    tern__lb_state state = c->balancer.at[i].state;
    if (ep->connected && !tern__subchannel_has_usable(&ep->sub))
        lost(c, ep, now);
    if (ep->connecting)
        return TERN__TIME_NEVER;
    if (tern__balancer_wants(&c->balancer, i))
        return connect_to(c, ep, now);
    if (state != TERN__LB_TRANSIENT_FAILURE || ep->connected) /* connected: it is not healthy */
        return TERN__TIME_NEVER;
    int64_t at = tern__subchannel_retry_at(&ep->sub);
    if (at < ep->not_before)
        at = ep->not_before;
    return now >= at ? connect_to(c, ep, now) : at;
}

/* Connects what is to be connected, looks names up; returns when there is more to do. */
static int64_t look(tern__cluster *c, int64_t now)
{
    if (c->over || atomic_load(&c->asleep))
        return TERN__TIME_NEVER;
    int64_t next = tern__time_min(tern__resolver_run(c->resolver, now),
                                  tern__balancer_tick(&c->balancer, now));
    for (uint32_t i = 0; i < c->balancer.n; i++)
        next = tern__time_min(next, look_after(c, i, now));
    return next;
}

/* Has it done soon. A leaf: under any lock. */
static void post(tern__cluster *c)
{
    pthread_mutex_lock(&c->end_lock);
    if (c->loop && !c->closed)
        tern__reactor_post(c->loop, &c->op);
    pthread_mutex_unlock(&c->end_lock);
}

/* A connection that is there, as the balancer chooses. */
static tern__lb_verdict take(tern__cluster *c, tern__lb_key key, tern__transport **ret)
{
    for (;;) {
        uint32_t i;
        tern_status why;
        const tern__lb_request r = { .now = tern__clock_coarse(),
                                     .random = tern__rng_next(&c->rng),
                                     .key = key };
        tern__lb_verdict v = tern__balancer_pick(&c->balancer, &r, &i);
        if (c->balancer.stirred) {
            c->balancer.stirred = false;
            post(c); /* to connect what the pick asks for, though it may have found another */
        }
        if (v == TERN__LB_FAIL && c->balancer.n == 0 && c->resolver && !c->told)
            v = TERN__LB_QUEUE; /* nobody knows the servers yet */
        if (v != TERN__LB_PICKED)
            return (*ret = tern__bridge_take(c)) ? TERN__LB_PICKED : v;
        tern__endpoint *ep = c->at[i];
        if (tern__subchannel_look(&ep->sub, true, ret, &why) == TERN_OK && *ret) {
            tern__count_call(&ep->calls, r.now);
            return v;
        }
        tern__balancer_undo(&c->balancer, i);
        lost(c, ep, r.now);
    }
}

static tern_code failure(const tern__cluster *c, tern_status *reterr)
{
    if (c->last_error.code == TERN_OK)
        return tern_status_set(reterr, TERN_UNAVAILABLE, "no server is known of \"%s\"",
                               c->ch->target_text);
    if (reterr)
        *reterr = c->last_error;
    return TERN_UNAVAILABLE;
}

/* Takes calls with callbacks that have their answer off the list. */
static void collect(tern__cluster *c, tern__list *ret)
{
    tern__list_init(ret);
    for (tern__list *n = c->waiting.next, *next; n != &c->waiting; n = next) {
        tern__connect_op *op = TERN__CONTAINER(n, tern__connect_op, node);
        next = n->next;
        op->transport = NULL;
        bool asleep = atomic_load(&c->asleep); /* to ask anew */
        tern__lb_verdict v = asleep ? TERN__LB_PICKED : take(c, op->key, &op->transport);
        if (v == TERN__LB_QUEUE || (v == TERN__LB_FAIL && op->wait_for_ready))
            continue;
        op->status.code = TERN_OK;
        if (v == TERN__LB_FAIL)
            failure(c, &op->status);
        op->answered = true;
        tern__list_remove(n);
        tern__list_append(ret, n);
    }
}

/* Does what is due, and tells those who wait. Takes the lock. */
static void settle(tern__cluster *c)
{
    tern__list answered, *node;
    pthread_mutex_lock(&c->lock);
    int64_t next = look(c, tern__clock_now());
    collect(c, &answered);
    pthread_mutex_unlock(&c->lock);
    if (c->loop)
        tern__reactor_set_timer(c->loop, &c->op, next);
    while ((node = tern__list_pop(&answered))) {
        tern__connect_op *op = TERN__CONTAINER(node, tern__connect_op, node);
        op->done(op);
    }
}

static void run(tern__op *op)
{
    tern__cluster *c = TERN__CONTAINER(op, tern__cluster, op);
    pthread_mutex_lock(&c->end_lock);
    bool closed = c->closed;
    pthread_mutex_unlock(&c->end_lock);
    if (!closed) {
        settle(c);
        return;
    }
    tern__reactor_forget(c->loop, op);
    tern__cluster_unref(c);
}

void tern__cluster_connected(tern__endpoint *ep)
{
    tern__cluster *c = ep->cluster;
    tern__transport *t = ep->connect.transport;
    pthread_mutex_lock(&c->lock);
    ep->connecting = false;
    if (ep->index != TERN__LB_NONE) { /* else it is being retired: nobody is to watch it any more */
        if (!t)
            c->last_error = ep->connect.status;
        tern__lb_state state = t ? tern__cluster_health_begin(c, ep) : TERN__LB_TRANSIENT_FAILURE;
        tern__cluster_report(c, ep, state, tern__clock_now());
        if (state == TERN__LB_READY)
            tern__bridge_leave(c);
    }
    pthread_mutex_unlock(&c->lock);
    tern__transport_unref(t);
    post(c);
}

void tern__cluster_stir(tern__cluster *c)
{
    post(c);
}

/* --- calls ------------------------------------------------------------------------------------ */

static tern_code expired(const tern__cluster *c, const tern__connect_wait *wait,
                         tern_status *reterr)
{
    tern_code error = tern_context_error(wait->context);
    if (error == TERN_CANCELLED)
        return tern_status_set(reterr, TERN_CANCELLED, "the call was cancelled by its caller");
    if (error == TERN_OK && tern__clock_now() < wait->deadline)
        return TERN_OK;
    return tern_status_set(reterr, TERN_DEADLINE_EXCEEDED,
                           "the deadline passed while waiting for a connection%s%.400s",
                           c->last_error.code ? ": " : "",
                           c->last_error.code ? c->last_error.message : "");
}

typedef struct get_link {
    tern__context_listener listener;
    tern__cluster *cluster;
} get_link;

static void on_context_cancel(tern__context_listener *self)
{
    tern__cluster *c = TERN__CONTAINER(self, get_link, listener)->cluster;
    pthread_mutex_lock(&c->lock);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* With the lock held. */
static tern_code get_slow(tern__cluster *c, const tern__connect_wait *wait, tern__transport **ret,
                          tern_status *reterr)
{
    while (!atomic_load(&c->asleep)) {
        tern__lb_verdict v = take(c, wait->key, ret);
        if (v == TERN__LB_PICKED)
            return TERN_OK;
        if (v == TERN__LB_FAIL && !wait->wait_for_ready)
            return failure(c, reterr);
        tern_code code = expired(c, wait, reterr);
        if (code != TERN_OK)
            return code;
        tern__clock_wait(&c->changed, &c->lock,
                         tern__time_min(wait->deadline, look(c, tern__clock_now())), 0);
    }
    return TERN_OK; /* to ask anew */
}

tern_code tern__cluster_get(tern__cluster *c, const tern__connect_wait *wait, tern__transport **ret,
                            tern_status *reterr)
{
    get_link link = { .listener.on_cancel = on_context_cancel, .cluster = c };
    *ret = NULL;
    pthread_mutex_lock(&c->lock);
    bool asleep = atomic_load(&c->asleep);
    tern__lb_verdict v = asleep ? TERN__LB_PICKED : take(c, wait->key, ret);
    pthread_mutex_unlock(&c->lock);
    if (v == TERN__LB_PICKED)
        return TERN_OK;
    if (wait->context)
        tern__context_listen(wait->context, &link.listener);
    pthread_mutex_lock(&c->lock);
    tern_code code = get_slow(c, wait, ret, reterr);
    pthread_mutex_unlock(&c->lock);
    if (wait->context)
        tern__context_unlisten(wait->context, &link.listener);
    post(c); /* what a call has begun, the loop goes on with */
    return code;
}

tern_code tern__cluster_look(tern__cluster *c, tern__lb_key key, bool wait_for_ready,
                             tern__transport **ret, tern_status *reterr)
{
    *ret = NULL;
    pthread_mutex_lock(&c->lock);
    bool asleep = atomic_load(&c->asleep);
    tern__lb_verdict v = asleep ? TERN__LB_PICKED : take(c, key, ret);
    tern_code code = v == TERN__LB_FAIL && !wait_for_ready ? failure(c, reterr) : TERN_OK;
    pthread_mutex_unlock(&c->lock);
    return code;
}

int tern__cluster_wait(tern__cluster *c, tern__connect_op *op)
{
    pthread_mutex_lock(&c->lock);
    op->answered = false;
    tern__list_append(&c->waiting, &op->node);
    pthread_mutex_unlock(&c->lock);
    post(c);
    return 0;
}

bool tern__cluster_cancel(tern__cluster *c, tern__connect_op *op)
{
    pthread_mutex_lock(&c->lock);
    bool waiting = !op->answered;
    if (waiting)
        tern__list_remove(&op->node);
    pthread_mutex_unlock(&c->lock);
    return waiting;
}

static tern__endpoint *endpoint_of(tern__transport *t)
{
    return TERN__CONTAINER(t->owner, tern__endpoint, owner);
}

void tern__cluster_done(tern__transport *t, const tern__lb_outcome *o)
{
    tern__endpoint *ep = endpoint_of(t);
    tern__cluster *c = ep->cluster;
    pthread_mutex_lock(&c->lock);
    tern__count_end(&ep->calls, o->code == TERN_OK);
    if (ep->index != TERN__LB_NONE)
        tern__balancer_ended(&c->balancer, ep->index, o);
    pthread_mutex_unlock(&c->lock);
}

void tern__cluster_drop(tern__transport *t)
{
    tern__endpoint *ep = endpoint_of(t);
    tern__cluster *c = ep->cluster;
    tern__subchannel_drop(&ep->sub, t);
    pthread_mutex_lock(&c->lock);
    if (ep->index != TERN__LB_NONE && ep->connected && !tern__subchannel_has_usable(&ep->sub))
        lost(c, ep, tern__clock_now());
    pthread_mutex_unlock(&c->lock);
    post(c);
}

/* --- the list --------------------------------------------------------------------------------- */

typedef struct new_list {
    tern__lb_address addresses[TERN_LIMIT_ADDRESSES];
    tern__endpoint *endpoints[TERN_LIMIT_ADDRESSES];
    bool made[TERN_LIMIT_ADDRESSES]; /* for this list */
    uint32_t n;
} new_list;

static tern__endpoint *find(tern__endpoint *const *at, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(at[i]->name, name) == 0)
            return at[i];
    return NULL;
}

/* The first `n` addresses, each once, with its endpoint and, if there is a `found`, what it says of
 * it. With the lock held. 0 or -ENOMEM. */
static int make_list(tern__cluster *c, const tern__address_list *list, const tern__resolved *found,
                     new_list *ret)
{
    uint32_t n = found ? found->n_best : list->n;
    for (uint32_t i = 0; i < n; i++) {
        char name[TERN__ADDRESS_TEXT_MAX];
        tern__address_text(&list->at[i], name);
        if (find(ret->endpoints, ret->n, name))
            continue;
        tern__endpoint *ep = find(c->at, c->balancer.n, name);
        ret->made[ret->n] = ep == NULL;
        if (!ep)
            ep = tern__endpoint_new(c, &list->at[i], name);
        if (!ep)
            return -ENOMEM;
        ret->addresses[ret->n] = (tern__lb_address){
            .name = ep->name,
            .weight = found ? found->weight[i] : 0,
            .hash_key = found ? found->hash_key[i] : NULL,
        };
        ret->endpoints[ret->n++] = ep;
    }
    return 0;
}

/* With the lock held. Returns how many are on the list no more; they go to ret_gone. */
static uint32_t put_in_place(tern__cluster *c, const new_list *list, tern__endpoint **former,
                             uint32_t n_former)
{
    uint32_t n_gone = 0;
    for (uint32_t i = 0; i < n_former; i++)
        former[i]->index = TERN__LB_NONE;
    for (uint32_t i = 0; i < list->n; i++) {
        c->at[i] = list->endpoints[i];
        c->at[i]->index = i;
    }
    for (uint32_t i = 0; i < n_former; i++)
        if (former[i]->index == TERN__LB_NONE)
            former[n_gone++] = former[i];
    return n_gone;
}

void tern__cluster_count_gone(tern__cluster *c, tern__endpoint *const *gone, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) { /* a connector may be at work */
        pthread_mutex_lock(&gone[i]->sub.lock);
        c->n_connects += gone[i]->sub.n_connects;
        c->n_resumed += gone[i]->sub.n_resumed;
        pthread_mutex_unlock(&gone[i]->sub.lock);
    }
}

static int update(tern__cluster *c, const tern__address_list *list, const tern__resolved *found)
{
    new_list *next = calloc(1, sizeof *next);
    tern__endpoint *gone[TERN_LIMIT_ADDRESSES];
    uint32_t from[TERN_LIMIT_ADDRESSES], n_gone = 0;
    if (!next)
        return -ENOMEM;
    pthread_mutex_lock(&c->lock);
    bool of_no_use = c->over || !c->balancer.policy;
    uint32_t n_former = of_no_use ? 0 : c->balancer.n;
    int rv = of_no_use ? -ECANCELED : make_list(c, list, found, next);
    if (rv == 0)
        rv = tern__balancer_update(&c->balancer, next->addresses, next->n, tern__rng_next(&c->rng),
                                   from);
    if (rv == 0) {
        memcpy(gone, c->at, n_former * sizeof gone[0]);
        n_gone = put_in_place(c, next, gone, n_former);
    } else { /* what was made for it goes again */
        for (uint32_t i = 0; i < next->n; i++)
            if (next->made[i])
                gone[n_gone++] = next->endpoints[i];
    }
    c->told |= rv == 0;
    tern__cluster_count_gone(c, gone, n_gone);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    for (uint32_t i = 0; i < n_gone; i++)
        tern__endpoint_retire(gone[i]);
    free(next);
    post(c);
    return rv;
}

int tern__cluster_update(tern__cluster *c, const tern__address_list *list)
{
    return update(c, list, NULL);
}

int tern__cluster_catch_up(tern__cluster *c)
{
    tern_status why = { .code = TERN_OK };
    tern__resolved *seen = NULL;
    int rv = 0;
    for (bool news = true; news && rv == 0;) { /* what was replaced may have been newer */
        tern__resolved *found = tern__resolver_last(c->resolver, &why);
        news = found != seen;
        if (news)
            rv = update(c, &found->list, found);
        tern__resolved_unref(seen);
        seen = found;
    }
    pthread_mutex_lock(&c->lock);
    if (!seen && why.code != TERN_OK) {
        c->last_error = why;
        c->told = true;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    tern__resolved_unref(seen);
    post(c);
    return rv;
}

int tern__cluster_resolved(tern__cluster *c, const tern__resolved *found, const tern_status *why)
{
    tern_status no_memory = { .code = TERN_OK };
    int rv = found ? update(c, &found->list, found) : 0;
    if (rv == -ECANCELED) /* it sleeps, or its channel is being freed */
        return rv;
    if (rv) {
        tern_status_set(&no_memory, TERN_UNAVAILABLE, "out of memory for %u addresses",
                        found->list.n);
        found = NULL;
        why = &no_memory;
    }
    pthread_mutex_lock(&c->lock);
    if (!found && c->balancer.n == 0)
        c->last_error = *why;
    c->told = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    post(c);
    return rv;
}

/* --- life ------------------------------------------------------------------------------------- */

int tern__cluster_new(tern_channel *ch, tern__service_config *config,
                      const tern__subchannel_options *options, tern__cluster **ret)
{
    tern__cluster *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->end_lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    tern__list_init(&c->waiting);
    tern__rng_seed(&c->rng, tern__random_seed());
    tern__op_init(&c->op, run);
    c->ch = ch;
    c->listed = &ch->entity;
    c->options = *options;
    c->options.connections_max = 1;
    c->resolver = tern__resolver_ref(ch->sub.resolver);
    if (tern__reactor_ready(options->loop)) {
        c->loop = options->loop;
        tern__cluster_ref(c); /* the op's, until it sees that all is over */
    }
    atomic_init(&c->asleep, true);
    int rv = tern__cluster_wake(c, config);
    if (rv == 0) {
        *ret = c;
        return 0;
    }
    tern__cluster_free(c);
    return rv;
}

tern__cluster *tern__cluster_ref(tern__cluster *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tern__cluster_unref(tern__cluster *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    tern__balancer_deinit(&c->balancer);
    tern__service_config_unref(c->source);
    tern__service_config_unref(c->health);
    tern__resolver_unref(c->resolver);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->end_lock);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void tern__cluster_free(tern__cluster *c)
{
    tern__endpoint *gone[TERN_LIMIT_ADDRESSES];
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->over = true;
    uint32_t n = c->balancer.n;
    memcpy(gone, c->at, n * sizeof gone[0]);
    for (uint32_t i = 0; i < n; i++)
        gone[i]->index = TERN__LB_NONE;
    tern__bridge_leave(c);
    pthread_mutex_unlock(&c->lock);
    for (uint32_t i = 0; i < n; i++) {
        tern__subchannel_end(&gone[i]->sub, "the channel was closed");
        tern__endpoint_retire(gone[i]);
    }
    pthread_mutex_lock(&c->end_lock);
    c->closed = true;
    if (c->loop)
        tern__reactor_post(c->loop, &c->op);
    pthread_mutex_unlock(&c->end_lock);
    tern__cluster_unref(c);
}

/* --- questions -------------------------------------------------------------------------------- */

tern__transport *tern__cluster_any(tern__cluster *c)
{
    tern__transport *t = NULL;
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->balancer.n && !t; i++)
        t = tern__subchannel_any(&c->at[i]->sub);
    if (!t)
        t = tern__bridge_take(c);
    pthread_mutex_unlock(&c->lock);
    return t;
}

void tern__cluster_stats(tern__cluster *c, uint64_t *ret_connects, uint64_t *ret_resumed)
{
    pthread_mutex_lock(&c->lock);
    *ret_connects = c->n_connects;
    *ret_resumed = c->n_resumed;
    for (uint32_t i = 0; i < c->balancer.n; i++) {
        tern__subchannel *sc = &c->at[i]->sub;
        pthread_mutex_lock(&sc->lock);
        *ret_connects += sc->n_connects;
        *ret_resumed += sc->n_resumed;
        pthread_mutex_unlock(&sc->lock);
    }
    pthread_mutex_unlock(&c->lock);
}
