/* See cluster_health.h. */
#include "client/cluster_health.h"

#include <string.h>

#include "base/time.h"
#include "client/cluster_change.h"
#include "client/endpoint.h"
#include "client/health_watch.h"
#include "io/clock.h"

static bool same_service(const tern__service_config *a, const tern__service_config *b)
{
    if (!a || !b)
        return a == b;
    return strcmp(a->health_check_service, b->health_check_service) == 0;
}

static void stir(tern__endpoint *ep)
{
    tern__health_watch *w = atomic_load(&ep->health);
    if (w)
        tern__health_watch_stir(w);
}

/* Somebody who watches it. With the lock. */
static bool has_watch(tern__endpoint *ep)
{
    if (!atomic_load(&ep->health))
        atomic_store(&ep->health, tern__health_watch_new(ep));
    return atomic_load(&ep->health) != NULL;
}

/* Of a server that is connected and has said nothing yet. Without memory it is not asked, and gets
 * no calls. With the lock. */
static tern__lb_state state_unasked(tern__cluster *c, tern__endpoint *ep)
{
    if (!c->health)
        return TERN__LB_READY;
    if (has_watch(ep))
        return TERN__LB_CONNECTING;
    ep->connected = false; /* it is connected anew, to the same connection */
    ep->not_before = tern__time_add(tern__clock_now(), tern__ms_to_ns(c->options.backoff_ms));
    tern_status_set(&c->last_error, TERN_UNAVAILABLE,
                    "out of memory for watching the health of %s", ep->name);
    return TERN__LB_TRANSIENT_FAILURE;
}

void tern__cluster_set_health(tern__cluster *c, tern__service_config *config)
{
    int64_t now = tern__clock_now();
    if (config && (!config->has_health_check || !c->loop))
        config = NULL;
    pthread_mutex_lock(&c->lock);
    tern__service_config *former = c->health;
    bool same = same_service(former, config);
    c->health = config ? tern__service_config_ref(config) : NULL;
    c->health_epoch += !same;
    for (uint32_t i = 0; i < c->balancer.n && !same; i++) {
        tern__endpoint *ep = c->at[i];
        c->balancer.at[i].failed &= !ep->connected; /* what it said of another service is past */
        if (ep->connected)
            tern__cluster_report(c, ep, state_unasked(c, ep), now);
        stir(ep);
    }
    pthread_mutex_unlock(&c->lock);
    tern__service_config_unref(former);
    tern__cluster_stir(c);
}

tern__lb_state tern__cluster_health_begin(tern__cluster *c, tern__endpoint *ep)
{
    ep->connected = true;
    ep->connection++;
    tern__lb_state state = state_unasked(c, ep);
    stir(ep);
    return state;
}

void tern__cluster_health_wanted(tern__endpoint *ep, tern__health_wanted *ret)
{
    tern__cluster *c = ep->cluster;
    pthread_mutex_lock(&c->lock);
    bool listed = ep->index != TERN__LB_NONE && !c->over;
    *ret = (tern__health_wanted){
        .config = listed && c->health ? tern__service_config_ref(c->health) : NULL,
        .connected = listed && c->health && ep->connected,
        .epoch = c->health_epoch,
        .connection = ep->connection,
    };
    pthread_mutex_unlock(&c->lock);
}

void tern__cluster_health_changed(tern__endpoint *ep, uint32_t connection, tern__lb_state state,
                                  const char *why)
{
    tern__cluster *c = ep->cluster;
    bool changed = false;
    pthread_mutex_lock(&c->lock);
    if (ep->index != TERN__LB_NONE && ep->connected && ep->connection == connection && c->health) {
        changed = c->balancer.at[ep->index].state != state;
        if (state == TERN__LB_TRANSIENT_FAILURE && why)
            tern_status_set(&c->last_error, TERN_UNAVAILABLE, "%s is not healthy: %s", ep->name,
                            why);
        if (changed)
            tern__cluster_report(c, ep, state, tern__clock_now());
        if (state == TERN__LB_READY)
            tern__bridge_leave(c);
    }
    pthread_mutex_unlock(&c->lock);
    if (changed)
        tern__registry_tell(&ep->sub.entity, TERN__SEVERITY_INFO, "health: %s%s%s",
                            state == TERN__LB_READY        ? "it serves"
                            : state == TERN__LB_CONNECTING ? "it is asked"
                                                           : "it does not serve",
                            why ? ": " : "", why ? why : "");
    if (changed)
        tern__cluster_stir(c);
}
