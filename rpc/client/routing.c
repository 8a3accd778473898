/* See routing.h. */
#include "client/routing.h"

#include <stdlib.h>
#include <string.h>

#include "client/resolver.h"
#include "client/target.h"

/* --- the life of a cluster -------------------------------------------------------------------- */

/* It is a channel as the program's own is, but for what the program sees of it. */
static tern_code make_channel(tern_channel *parent, const tern__cluster_config *from,
                              tern__service_config *config, tern_channel **ret, tern_status *reterr)
{
    tern_channel_options o = parent->opt;
    o.authority = from->authority;
    o.dns_service_config = false;
    o.interceptors = NULL; /* theirs have run before a cluster is chosen */
    o.n_interceptors = 0;
    o.on_breaker = NULL;
    o.on_breaker_ctx = NULL;
    const tern__channel_origin origin = { .parent = parent,
                                          .config = config,
                                          .own_policy = from->lb != NULL };
    return tern__channel_make(from->target, &o, &origin, ret, reterr);
}

/* Which of its fields cannot be meant, for the path. */
static const char *field_at_fault(const tern_channel *parent, const tern__cluster_config *from)
{
    tern__target target;
    tern__resolver *resolver = NULL;
    tern_status why;
    if (tern__target_open(from->target, &parent->opt, &target, &resolver, &why) != TERN_OK)
        return ".target";
    tern__resolver_close(resolver);
    tern__resolver_unref(resolver);
    return from->authority ? ".authority" : "";
}

static void free_strings(tern__named_cluster *c)
{
    free(c->name);
    free(c->authority);
    free(c);
}

static tern_code no_memory(tern_status *reterr)
{
    return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a service config");
}

static tern_code cluster_new(tern_channel *parent, const tern__cluster_config *from,
                             tern__service_config *config, tern__named_cluster **ret,
                             tern_status *reterr)
{
    tern_status why;
    why.message[0] = '\0';
    tern__named_cluster *c = calloc(1, sizeof *c);
    if (!c)
        return no_memory(reterr);
    atomic_init(&c->refs, 1);
    tern__list_init(&c->node);
    c->parent = parent;
    c->name = strdup(from->name);
    c->authority = from->authority ? strdup(from->authority) : NULL;
    if (!c->name || (from->authority && !c->authority)) {
        free_strings(c);
        return no_memory(reterr);
    }
    tern_code code = make_channel(parent, from, config, &c->ch, &why);
    if (code != TERN_OK) {
        code = tern_status_set(
            reterr, code, "tern.clusters.%s%s: %s", from->name,
            code == TERN_INVALID_ARGUMENT ? field_at_fault(parent, from) : "", why.message);
        free_strings(c);
        return code;
    }
    pthread_mutex_lock(&parent->lock);
    tern__list_append(&parent->clusters, &c->node);
    pthread_mutex_unlock(&parent->lock);
    tern__registry_tell(&parent->entity, TERN__SEVERITY_INFO, "cluster %s: its target is %s",
                        c->name, c->ch->target_text);
    *ret = c;
    return TERN_OK;
}

static void add_stats(tern_channel_stats *to, const tern_channel_stats *s)
{
    to->calls += s->calls;
    to->calls_failed += s->calls_failed;
    to->attempts += s->attempts;
    to->retries += s->retries;
    to->transparent_retries += s->transparent_retries;
    to->breaker_opened += s->breaker_opened;
    to->breaker_rejected += s->breaker_rejected;
    to->rejected_open += s->rejected_open;
    to->rejected_half_open += s->rejected_half_open;
    to->rejected_in_flight += s->rejected_in_flight;
    to->rejected_forced += s->rejected_forced;
    to->throttled += s->throttled;
    to->retries_denied += s->retries_denied;
    to->hedges += s->hedges;
    to->connects += s->connects;
    to->tls_resumed += s->tls_resumed;
}

static void add_counters(tern__call_counters *to, const tern__call_counters *c)
{
    int64_t last = tern__gauge_get(&c->last_started);
    tern__count(&to->started, tern__counter_get(&c->started));
    tern__count(&to->succeeded, tern__counter_get(&c->succeeded));
    tern__count(&to->failed, tern__counter_get(&c->failed));
    if (last > tern__gauge_get(&to->last_started))
        tern__gauge_set(&to->last_started, last);
}

/* What it counted stays with the parent. */
void tern__named_cluster_unref(tern__named_cluster *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    tern_channel *parent = c->parent;
    tern_channel_stats last;
    tern__call_counters calls = { 0 };
    tern_channel_stats_get(c->ch, &last);
    add_counters(&calls, &c->ch->calls);
    tern__registry_tell(&parent->entity, TERN__SEVERITY_INFO, "cluster %s, %s, is in use no more",
                        c->name, c->ch->target_text);
    pthread_mutex_lock(&parent->lock);
    tern__list_remove(&c->node);
    add_stats(&parent->gone, &last);
    pthread_mutex_unlock(&parent->lock);
    tern_channel_free(c->ch);
    pthread_mutex_lock(&parent->lock);
    add_counters(&parent->calls, &calls); /* only now: channelz adds up what is listed */
    pthread_mutex_unlock(&parent->lock);
    free_strings(c);
}

static tern__named_cluster *cluster_ref(tern__named_cluster *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

/* --- routings --------------------------------------------------------------------------------- */

void tern__routing_unref(tern__routing *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < r->n; i++) {
        tern__config_free(r->fresh[i]);
        tern__named_cluster_unref(r->at[i]);
    }
    tern__service_config_unref(r->parsed);
    free(r);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The one of the former routing that goes on as `c`. */
static tern__named_cluster *find(const tern__routing *former, const tern__cluster_config *c)
{
    for (uint32_t i = 0; former && i < former->n; i++) {
        tern__named_cluster *at = former->at[i];
        bool follows = c->lb || !at->parent->lb_given; /* the config, in its policy */
        if (strcmp(at->name, c->name) == 0 && strcmp(at->ch->target_text, c->target) == 0 &&
            same_text(at->authority, c->authority) && follows == !at->ch->lb_given)
            return at;
    }
    return NULL;
}

/* The i-th cluster of the config: one that goes on by it, or a new one. */
static tern_code fill(tern__routing *r, uint32_t i, tern_channel *ch, const tern__routing *former,
                      tern_status *reterr)
{
    const tern__cluster_config *from = &r->parsed->clusters[i];
    tern__named_cluster *c = find(former, from);
    tern__service_config *config = tern__service_config_of_cluster(r->parsed, i);
    if (!config)
        return no_memory(reterr);
    if (!c) {
        tern_code code = cluster_new(ch, from, config, &c, reterr);
        tern__service_config_unref(config);
        r->at[i] = c;
        r->n += code == TERN_OK;
        return code;
    }
    tern__config *fresh = tern__config_new(config);
    if (!fresh || tern__config_prepare(c->ch, fresh)) {
        tern__config_free(fresh);
        return no_memory(reterr);
    }
    r->at[i] = cluster_ref(c);
    r->fresh[i] = fresh;
    r->n++;
    return TERN_OK;
}

tern_code tern__routing_new(tern_channel *ch, tern__service_config *parsed, tern__routing **ret,
                            tern_status *reterr)
{
    const tern__routing *former = atomic_load_explicit(&ch->routing, memory_order_relaxed);
    tern_code code = TERN_OK;
    *ret = NULL;
    if (parsed->n_clusters == 0)
        return TERN_OK; /* routes can lead nowhere else */
    tern__routing *r = calloc(1, sizeof *r);
    if (!r)
        return no_memory(reterr);
    atomic_init(&r->refs, 2); /* the channel's, and that of who makes it */
    r->parsed = tern__service_config_ref(parsed);
    for (uint32_t i = 0; i < parsed->n_clusters && code == TERN_OK; i++)
        code = fill(r, i, ch, former, reterr);
    if (code == TERN_OK)
        *ret = r;
    else
        tern__routing_undo(r);
    return code;
}

void tern__routing_undo(tern__routing *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->n; i++)
        if (r->fresh[i])
            tern__config_unprepare(r->at[i]->ch);
    atomic_store(&r->refs, 1);
    tern__routing_unref(r);
}

void tern__routing_commit(tern__routing *r)
{
    for (uint32_t i = 0; r && i < r->n; i++)
        if (r->fresh[i])
            tern__config_swap(r->at[i]->ch, r->fresh[i], &r->changes[i]);
}

void tern__routing_tell(tern__routing *r)
{
    for (uint32_t i = 0; r && i < r->n; i++) {
        if (r->fresh[i])
            tern__config_tell(r->at[i]->ch, true, &r->changes[i]);
        r->fresh[i] = NULL; /* the cluster's */
    }
}

void tern__channel_unroute(tern_channel *ch)
{
    tern__routing_unref(atomic_load_explicit(&ch->routing, memory_order_relaxed));
    atomic_store_explicit(&ch->routing, NULL, memory_order_relaxed);
}

tern__routing *tern__routing_of(tern_channel *ch)
{
    pthread_mutex_lock(&ch->lock);
    tern__routing *r = atomic_load_explicit(&ch->routing, memory_order_relaxed);
    if (r)
        atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&ch->lock);
    return r;
}

/* --- choices ---------------------------------------------------------------------------------- */

tern__named_cluster *tern__routing_choose(tern_channel *ch, const tern_method *method,
                                          const tern_metadata *md)
{
    tern__named_cluster *c = NULL;
    tern__routing *r = tern__routing_of(ch);
    if (!r)
        return NULL;
    const tern__service_config *s = r->parsed;
    const tern__route_call call = { .path = method->path,
                                    .metadata = tern_metadata_at(md, 0), /* and those behind it */
                                    .n_metadata = tern_metadata_count(md) };
    const tern__route *route = tern__route_find(s->routes, s->n_routes, &call);
    uint64_t random = 0;
    if (route && route->n_shares > 1) {
        pthread_mutex_lock(&ch->lock);
        random = tern__rng_next(&ch->rng);
        pthread_mutex_unlock(&ch->lock);
    }
    uint32_t chosen = route ? tern__route_draw(route, random) : TERN__ROUTE_OWN;
    if (chosen != TERN__ROUTE_OWN)
        c = cluster_ref(r->at[chosen]);
    tern__routing_unref(r);
    return c;
}

/* Whether calls may go to this cluster, or the channel's own target. A route that takes all calls
 * leaves those behind it none. */
static bool in_use(const tern__service_config *s, uint32_t cluster)
{
    for (uint32_t i = 0; i < s->n_routes; i++) {
        const tern__route *route = &s->routes[i];
        for (uint32_t k = 0; k < route->n_shares; k++)
            if (route->shares[k].cluster == cluster && route->shares[k].weight)
                return true;
        if (tern__route_takes_all(route))
            return false;
    }
    return cluster == TERN__ROUTE_OWN;
}

bool tern__routing_uses_own(const tern__routing *r)
{
    return in_use(r->parsed, TERN__ROUTE_OWN);
}

tern_code tern__routing_wait_ready(tern__routing *r, int64_t deadline, tern_status *reterr)
{
    for (uint32_t i = 0; i < r->n; i++) {
        tern_status why;
        if (!in_use(r->parsed, i) ||
            tern__channel_wait_own(r->at[i]->ch, deadline, &why) == TERN_OK)
            continue;
        return tern_status_set(reterr, TERN_UNAVAILABLE, "cluster %s: %.400s", r->at[i]->name,
                               why.message);
    }
    return TERN_OK;
}

/* --- figures ---------------------------------------------------------------------------------- */

void tern__routing_add_stats(tern_channel *ch, tern_channel_stats *ret)
{
    pthread_mutex_lock(&ch->lock);
    add_stats(ret, &ch->gone);
    for (tern__list *at = ch->clusters.next; at != &ch->clusters; at = at->next) {
        tern_channel_stats s;
        tern_channel_stats_get(TERN__CONTAINER(at, tern__named_cluster, node)->ch, &s);
        add_stats(ret, &s);
    }
    pthread_mutex_unlock(&ch->lock);
}

/* The channel of a cluster by its name; NULL: there is none in `r`. */
static tern_channel *channel_of(const tern__routing *r, const char *cluster)
{
    for (uint32_t i = 0; r && i < r->n; i++)
        if (strcmp(r->at[i]->name, cluster) == 0)
            return r->at[i]->ch;
    return NULL;
}

bool tern_channel_cluster_stats_get(tern_channel *ch, const char *cluster, tern_channel_stats *ret)
{
    tern__routing *r = tern__routing_of(ch);
    tern_channel *found = channel_of(r, cluster);
    if (found)
        tern_channel_stats_get(found, ret);
    tern__routing_unref(r);
    return found != NULL;
}

bool tern_channel_cluster_breaker_force(tern_channel *ch, const char *cluster,
                                        tern_breaker_force how)
{
    tern__routing *r = tern__routing_of(ch);
    tern_channel *found = channel_of(r, cluster);
    if (found)
        tern_channel_breaker_force(found, how);
    tern__routing_unref(r);
    return found != NULL;
}
