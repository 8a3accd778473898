/* See endpoint.h. */
#include "client/endpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/channel.h"
#include "client/health_watch.h"
#include "client/proxy.h"

static tern__endpoint *of(tern__transport_owner *o)
{
    return TERN__CONTAINER(o, tern__endpoint, owner);
}

static void hold(tern__transport_owner *o)
{
    atomic_fetch_add_explicit(&of(o)->refs, 1, memory_order_relaxed);
}

static void unref(tern__endpoint *ep)
{
    if (atomic_fetch_sub_explicit(&ep->refs, 1, memory_order_acq_rel) != 1)
        return;
    tern__cluster *c = ep->cluster;
    tern__subchannel_deinit(&ep->sub);
    tern__health_watch_free(atomic_load(&ep->health));
    free(ep);
    tern__cluster_unref(c);
}

static void release(tern__transport_owner *o)
{
    unref(of(o));
}

static void on_end(tern__transport_owner *o)
{
    tern__endpoint *ep = of(o);
    tern__health_watch *w = atomic_load(&ep->health);
    if (w)
        tern__health_watch_stir(w);
    tern__cluster_stir(ep->cluster);
}

static void on_connect(tern__connect_op *op)
{
    tern__cluster_connected(TERN__CONTAINER(op, tern__endpoint, connect));
}

/* The address is the endpoint's; whom to expect there is what the channel says. */
static bool copy_means(tern__subchannel *to, const tern__subchannel *from)
{
    to->dial = from->dial;
    tern__tls_dial_hold(&to->dial);
    if (!from->proxy)
        return true;
    to->proxy = malloc(sizeof *to->proxy);
    if (to->proxy)
        *to->proxy = *from->proxy;
    return to->proxy != NULL;
}

tern__endpoint *tern__endpoint_new(tern__cluster *c, const tern__address *a, const char *name)
{
    const tern_channel *ch = c->ch;
    tern__endpoint *ep = calloc(1, sizeof *ep);
    if (!ep)
        return NULL;
    tern__target target = ch->sub.target;
    target.literal = true;
    target.addresses.n = 1;
    target.addresses.at[0] = *a;
    tern__subchannel_init(&ep->sub, &target, &c->options);
    ep->cluster = tern__cluster_ref(c);
    ep->owner = (tern__transport_owner){ .hold = hold, .on_end = on_end, .release = release };
    ep->sub.owner = &ep->owner;
    ep->index = TERN__LB_NONE;
    ep->connect.done = on_connect;
    tern__list_init(&ep->connect.node);
    atomic_init(&ep->refs, 1);
    snprintf(ep->name, sizeof ep->name, "%s", name);
    if (!copy_means(&ep->sub, &ch->sub)) {
        unref(ep);
        return NULL;
    }
    tern__entity *e = &ep->sub.entity;
    e->name = ep->name;
    e->trace = &ep->sub.trace;
    e->calls = &ep->calls;
    e->n_calls = 1;
    atomic_store(&e->state, TERN__IDLE);
    tern__registry_add(e, TERN__ENTITY_SUBCHANNEL, c->listed);
    return ep;
}

void tern__endpoint_retire(tern__endpoint *ep)
{
    tern__registry_remove(&ep->sub.entity);
    tern__health_watch_stop(atomic_load(&ep->health));
    tern__subchannel_end(&ep->sub, NULL);
    unref(ep);
}
