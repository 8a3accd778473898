/* See cluster_change.h. What can fail comes first: memory for servers and policy. Then the cluster
 * and the subchannel change places under both of their locks. */
#include "client/cluster_change.h"

#include <errno.h>
#include <string.h>

#include "client/channel.h"
#include "client/endpoint.h"
#include "io/clock.h"
#include "policy/lb_custom.h"

/* --- the bridge ------------------------------------------------------------------------------- */

void tern__bridge_leave(tern__cluster *c)
{
    while (c->bridge.n)
        tern__subchannel_release(c->bridge.at[--c->bridge.n]);
}

tern__transport *tern__bridge_take(tern__cluster *c)
{
    bool more;
    tern__transport *t;
    while ((t = tern__connections_pick(&c->bridge, &more)) && !tern__transport_usable(t)) {
        tern__connections_remove(&c->bridge, t);
        tern__subchannel_release(t);
    }
    return t ? tern__transport_ref(t) : NULL;
}

/* --- within the cluster ----------------------------------------------------------------------- */

/* The cluster's policy is that of `config`. Returns whose it was, to be let go of. */
static tern__service_config *take_source(tern__cluster *c, tern__service_config *config)
{
    tern__service_config *former = c->source;
    c->source = tern__service_config_ref(config);
    return former;
}

/* Channelz. */
static void tell(tern__cluster *c)
{
    pthread_mutex_lock(&c->lock);
    const char *name = tern__lb_policy_name(&c->balancer);
    pthread_mutex_unlock(&c->lock);
    tern__registry_tell(c->listed, TERN__SEVERITY_INFO, "load balancing: %s", name);
}

static int change(tern__cluster *c, tern__service_config *config)
{
    tern__service_config *former = NULL;
    int rv = 0;
    pthread_mutex_lock(&c->lock);
    bool other = !tern__lb_config_same(c->source->lb, config->lb);
    if (other)
        rv = tern__balancer_change(&c->balancer, config->lb, tern__clock_now(),
                                   tern__rng_next(&c->rng));
    if (rv == 0)
        former = take_source(c, config);
    pthread_cond_broadcast(&c->changed); /* those who wait may be served now */
    pthread_mutex_unlock(&c->lock);
    if (other && rv == 0)
        tell(c);
    tern__service_config_unref(former);
    tern__cluster_stir(c);
    return rv;
}

/* --- from pick_first -------------------------------------------------------------------------- */

/* Has no servers and no policy any more. With the lock held. */
static uint32_t clear(tern__cluster *c, tern__endpoint **ret_gone)
{
    uint32_t n = c->balancer.n;
    memcpy(ret_gone, c->at, n * sizeof ret_gone[0]);
    for (uint32_t i = 0; i < n; i++)
        ret_gone[i]->index = TERN__LB_NONE;
    tern__cluster_count_gone(c, ret_gone, n);
    tern__balancer_deinit(&c->balancer);
    return n;
}

/* Connectors are told to stop all at once, then waited for: each looks up every
 * TERN__CONNECT_SLICE_NS. */
static void retire(tern__endpoint *const *gone, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        pthread_mutex_lock(&gone[i]->sub.lock);
        tern__connector *connector = gone[i]->sub.connector; /* ours to free, below */
        pthread_mutex_unlock(&gone[i]->sub.lock);
        tern__connector_stop(connector);
    }
    for (uint32_t i = 0; i < n; i++)
        tern__endpoint_retire(gone[i]);
}

int tern__cluster_wake(tern__cluster *c, tern__service_config *config)
{
    const tern__target *target = &c->ch->sub.target;
    tern__endpoint *gone[TERN_LIMIT_ADDRESSES];
    uint32_t n_gone = 0;
    pthread_mutex_lock(&c->lock);
    int rv = tern__balancer_init(&c->balancer, config->lb);
    c->last_error.code = TERN_OK;
    pthread_mutex_unlock(&c->lock);
    tern__resolver_ask(c->resolver);
    if (rv == 0)
        rv = target->literal ? tern__cluster_update(c, &target->addresses)
                             : tern__cluster_catch_up(c);
    pthread_mutex_lock(&c->lock);
    tern__service_config *former = rv == 0 ? take_source(c, config) : NULL;
    if (rv)
        n_gone = clear(c, gone);
    pthread_mutex_unlock(&c->lock);
    retire(gone, n_gone);
    tern__service_config_unref(former);
    return rv;
}

/* Calls come to the cluster, which is awake but for that. */
static void cross(tern__cluster *c, tern__subchannel *sub)
{
    pthread_mutex_lock(&c->lock);
    pthread_mutex_lock(&sub->lock);
    c->bridge = tern__subchannel_leave(sub);
    bool crossing = c->bridge.n > 0;
    atomic_store(&c->asleep, false);
    pthread_mutex_unlock(&sub->lock);
    pthread_mutex_unlock(&c->lock);
    tern__connector_let_go(sub);
    tern__registry_remove(&sub->entity);
    tell(c);
    if (crossing) /* nobody may wait, so nobody would have it connect */
        tern__cluster_stir(c);
}

static int from_pick_first(tern_channel *ch, tern__service_config *to)
{
    tern__cluster *c = atomic_load(&ch->cluster), *made = NULL;
    const tern__subchannel_options options = tern__channel_subchannel_options(ch);
    int rv = c ? tern__cluster_wake(c, to) : tern__cluster_new(ch, to, &options, &made);
    if (rv)
        return rv;
    if (made)
        atomic_store(&ch->cluster, made);
    if (made)
        c = made;
    cross(c, &ch->sub);
    /* What was found meanwhile was not told to it. Without memory it is asked for again. */
    if (tern__cluster_catch_up(c))
        tern__resolver_ask(c->resolver);
    return 0;
}

/* --- to pick_first ---------------------------------------------------------------------------- */

/* The connection to the first server on the list that has one, which is what pick_first would have
 * come to. With the lock held. */
static tern__transport *first_ready(tern__cluster *c)
{
    tern__transport *t = NULL;
    for (uint32_t i = 0; i < c->balancer.n && !t; i++) {
        tern__subchannel *sc = &c->at[i]->sub;
        if (c->balancer.at[i].state != TERN__LB_READY || !tern__subchannel_has_usable(sc))
            continue;
        pthread_mutex_lock(&sc->lock);
        tern__connections conns = tern__subchannel_leave(sc);
        pthread_mutex_unlock(&sc->lock);
        t = conns.n ? conns.at[0] : NULL; /* there is one at most */
    }
    if (!t && (t = tern__bridge_take(c)) != NULL) {
        tern__connections_remove(&c->bridge, t);
        tern__transport_unref(t); /* the bridge's goes over */
    }
    return t;
}

static void to_pick_first(tern_channel *ch, tern__cluster *c)
{
    tern__endpoint *gone[TERN_LIMIT_ADDRESSES];
    tern__subchannel *sub = &ch->sub;
    tern__registry_add(&sub->entity, TERN__ENTITY_SUBCHANNEL, c->listed);
    pthread_mutex_lock(&c->lock);
    tern__transport *t = first_ready(c);
    if (t)
        tern__registry_move(&t->entity, &sub->entity);
    pthread_mutex_lock(&sub->lock);
    tern__subchannel_enter(sub, t);
    atomic_store(&c->asleep, true);
    pthread_mutex_unlock(&sub->lock);
    tern__bridge_leave(c);
    uint32_t n = clear(c, gone);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    tern__registry_tell(c->listed, TERN__SEVERITY_INFO, "load balancing: pick_first");
    tern__cluster_stir(c); /* calls with callbacks that wait */
    retire(gone, n);
}

/* --- either ----------------------------------------------------------------------------------- */

static void shuffle(tern__subchannel *sub, bool on)
{
    pthread_mutex_lock(&sub->lock);
    sub->shuffle = on;
    pthread_mutex_unlock(&sub->lock);
}

int tern__lb_apply(tern_channel *ch, tern__service_config *to)
{
    tern__cluster *c = atomic_load(&ch->cluster);
    bool sleeps = !c || atomic_load(&c->asleep);
    const tern__lb_config *leaf = to && to->lb ? tern__lb_leaf(to->lb) : NULL;
    if (leaf && leaf->kind != TERN__LB_PICK_FIRST)
        return sleeps ? from_pick_first(ch, to) : change(c, to);
    shuffle(&ch->sub, leaf && leaf->pick_first.shuffle_address_list);
    if (!sleeps)
        to_pick_first(ch, c);
    return 0;
}
