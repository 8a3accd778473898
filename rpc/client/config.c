/* See config.h. An update builds the new config first, then takes over what goes on, then swaps:
 *
 * With update_lock, which makes updates follow one another: guards of the former config are taken
 * over by the new one where they are for the same method and with the same options. With the
 * channel's lock: the pointer is swapped, and breaker, budget and adaptive throttle of the channel
 * begin anew if their options have changed, and only then. The retry throttle, which other channels
 * share, gets the new parameters and stays as full as it is. */
#include "client/config.h"

#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/log.h"
#include "base/time.h"
#include "client/call.h"
#include "client/cluster_change.h"
#include "client/cluster_health.h"
#include "client/pick.h"
#include "client/routing.h"
#include "io/clock.h"
#include "io/random.h"

/* --- guards ----------------------------------------------------------------------------------- */

static bool wanted(const tern__config_guard *g)
{
    return g->has_breaker || g->calls_in_flight_max;
}

static tern__guard *guard_new(const tern__method_config *m, uint64_t seed)
{
    tern__guard *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    tern_breaker_options opt = m->guard.breaker;
    opt.disabled |= !m->guard.has_breaker;
    atomic_init(&g->refs, 1);
    g->entry = m->index;
    g->calls_in_flight_max = m->guard.calls_in_flight_max;
    g->has_breaker = m->guard.has_breaker;
    tern__breaker_init(&g->breaker, &opt, seed);
    return g;
}

static void guard_unref(tern__guard *g)
{
    if (g && atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) == 1)
        free(g);
}

static bool same_guard(const tern__guard *a, const tern__guard *b)
{
    return a->calls_in_flight_max == b->calls_in_flight_max && a->has_breaker == b->has_breaker &&
           tern__breaker_options_same(&a->breaker.opt, &b->breaker.opt);
}

/* The new config's entry `to` goes on with the guard that the former one has in entry `from`. Each
 * guard has one successor, so that methods that were parted are judged apart. */
static void take_over(tern__config *fresh, const tern__method_config *to, const tern__config *old,
                      const tern__method_config *from)
{
    tern__guard *g = to ? fresh->guards[to->index] : NULL;
    tern__guard *former = from ? old->guards[from->index] : NULL;
    if (!g || !former || former->taken == fresh || g->taken == fresh || !same_guard(g, former))
        return;
    former->taken = fresh;
    atomic_fetch_add_explicit(&former->refs, 1, memory_order_relaxed);
    fresh->guards[to->index] = former;
    guard_unref(g);
}

static void take_over_all(tern__config *fresh, const tern__config *old)
{
    const tern__strmap *paths = &fresh->parsed->by_path;
    for (uint32_t i = 0; i < paths->cap; i++) {
        const tern__strmap_slot *slot = &paths->slots[i];
        if (slot->key)
            take_over(fresh, slot->value, old,
                      tern__strmap_get(&old->parsed->by_path, slot->key, slot->key_len));
    }
    take_over(fresh, fresh->parsed->dflt, old, old->parsed->dflt);
}

/* --- configs ---------------------------------------------------------------------------------- */

void tern__config_free(tern__config *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; c->guards && i < c->parsed->n_methods; i++)
        guard_unref(c->guards[i]);
    free(c->guards);
    tern__service_config_unref(c->parsed);
    free(c);
}

tern__config *tern__config_new(tern__service_config *parsed)
{
    tern__config *c = calloc(1, sizeof *c);
    if (!c) {
        tern__service_config_unref(parsed);
        return NULL;
    }
    c->refs = 1;
    c->parsed = parsed;
    c->hash_header = tern__lb_hash_header(parsed->lb);
    uint32_t n = parsed->n_methods;
    bool ok = n == 0 || (c->guards = calloc(n, sizeof *c->guards)) != NULL;
    uint64_t seed = tern__random_seed();
    for (uint32_t i = 0; i < n && ok; i++)
        if (wanted(&parsed->methods[i].guard))
            ok = (c->guards[i] = guard_new(&parsed->methods[i], seed + i)) != NULL;
    if (ok)
        return c;
    tern__config_free(c);
    return NULL;
}

static bool same_budget(const tern__retry_budget_options *a, const tern__retry_budget_options *b)
{
    return a->window_ns == b->window_ns && a->percent == b->percent &&
           a->per_second_min == b->per_second_min;
}

static bool same_adaptive(const tern__adaptive_throttle_options *a,
                          const tern__adaptive_throttle_options *b)
{
    return a->window_ns == b->window_ns && !(a->ratio < b->ratio) && !(b->ratio < a->ratio) &&
           a->requests_min == b->requests_min && a->percent_max == b->percent_max;
}

static bool same_throttling(const tern__service_config *a, const tern__service_config *b)
{
    if (!a || !a->has_throttling || !b || !b->has_throttling)
        return !(a && a->has_throttling) && !(b && b->has_throttling);
    return !(a->throttle_max_tokens < b->throttle_max_tokens) &&
           !(b->throttle_max_tokens < a->throttle_max_tokens) &&
           !(a->throttle_token_ratio < b->throttle_token_ratio) &&
           !(b->throttle_token_ratio < a->throttle_token_ratio);
}

/* For all channels to the name: the newest parameters hold. */
static void set_throttle(tern_channel *ch, const tern__service_config *c)
{
    if (c && c->has_throttling)
        tern__throttle_configure(ch->throttle, c->throttle_max_tokens, c->throttle_token_ratio);
    else
        tern__throttle_configure(ch->throttle, ch->opt.retry.throttle_max_tokens,
                                 ch->opt.retry.throttle_token_ratio);
}

/* With the channel's lock: what the channel has of its own begins anew where `to` differs from
 * `from`; NULL: no config. */
static void set_channel(tern_channel *ch, const tern__service_config *from,
                        const tern__service_config *to, tern__breaker_change *change)
{
    const tern_breaker_options *breaker =
        to && to->guard.has_breaker ? &to->guard.breaker : &ch->opt.breaker;
    change->changed = false;
    if (!tern__breaker_options_same(&ch->breaker.opt, breaker))
        tern__breaker_reconfigure(&ch->breaker, breaker, change);
    ch->calls_in_flight_max = to ? to->guard.calls_in_flight_max : 0;
    if (!same_throttling(from, to))
        set_throttle(ch, to);
    bool had_budget = ch->has_retry_budget;
    ch->has_retry_budget = to && to->has_retry_budget;
    if (ch->has_retry_budget &&
        !(had_budget && same_budget(&from->retry_budget, &to->retry_budget)))
        tern__retry_budget_init(&ch->retry_budget, &to->retry_budget);
    bool had_adaptive = ch->has_adaptive;
    ch->has_adaptive = to && to->has_adaptive_throttle;
    if (ch->has_adaptive &&
        !(had_adaptive && same_adaptive(&from->adaptive_throttle, &to->adaptive_throttle)))
        tern__adaptive_throttle_init(&ch->adaptive, &to->adaptive_throttle);
}

/* A105: what the config says goes before the option. */
static void set_connections(tern_channel *ch, const tern__service_config *to)
{
    pthread_mutex_lock(&ch->sub.lock);
    ch->sub.conns.max = to && to->connections_max ? to->connections_max : ch->opt.connections_max;
    pthread_mutex_unlock(&ch->sub.lock);
}

/* A17: of servers that are balanced; pick_first asks nobody. */
static void set_health(tern_channel *ch, tern__service_config *to)
{
    tern__cluster *c = atomic_load(&ch->cluster);
    if (c)
        tern__cluster_set_health(c, ch->opt.health_check_disabled ? NULL : to);
}

/* With update_lock: may fail, and is what comes first. */
static int apply_policy(tern_channel *ch, tern__config *c)
{
    return ch->lb_given ? 0 : tern__lb_apply(ch, c ? c->parsed : NULL);
}

/* With update_lock. The former config is returned if nobody uses it any more. */
static tern__config *swap_locked(tern_channel *ch, tern__config *fresh,
                                 tern__breaker_change *change)
{
    tern__config *old = atomic_load_explicit(&ch->config, memory_order_relaxed);
    if (fresh && old)
        take_over_all(fresh, old);
    pthread_mutex_lock(&ch->lock);
    set_channel(ch, old ? old->parsed : NULL, fresh ? fresh->parsed : NULL, change);
    atomic_store_explicit(&ch->config, fresh, memory_order_release);
    bool last = old && --old->refs == 0;
    pthread_mutex_unlock(&ch->lock);
    set_connections(ch, fresh ? fresh->parsed : NULL);
    set_health(ch, fresh ? fresh->parsed : NULL);
    return last ? old : NULL;
}

int tern__config_prepare(tern_channel *ch, tern__config *fresh)
{
    pthread_mutex_lock(&ch->update_lock);
    int rv = apply_policy(ch, fresh);
    pthread_mutex_unlock(&ch->update_lock);
    return rv;
}

void tern__config_unprepare(tern_channel *ch)
{
    pthread_mutex_lock(&ch->update_lock);
    (void)apply_policy(ch, atomic_load_explicit(&ch->config, memory_order_relaxed));
    pthread_mutex_unlock(&ch->update_lock);
}

void tern__config_swap(tern_channel *ch, tern__config *fresh, tern__breaker_change *change)
{
    pthread_mutex_lock(&ch->update_lock);
    tern__config *last = swap_locked(ch, fresh, change);
    pthread_mutex_unlock(&ch->update_lock);
    tern__config_free(last);
}

void tern__config_tell(tern_channel *ch, bool some, const tern__breaker_change *change)
{
    tern__channel_tell(ch, change);
    tern__registry_tell(&ch->entity, TERN__SEVERITY_INFO, "service config: %s",
                        some ? "a new one is in use" : "none any more");
}

/* With update_lock: everything that a config needs and that may fail. Else all is as it was. */
static tern_code prepare_all(tern_channel *ch, tern__config *fresh, tern__routing **ret,
                             tern_status *reterr)
{
    tern_code code = TERN_OK;
    *ret = NULL;
    if (fresh)
        code = tern__routing_new(ch, fresh->parsed, ret, reterr);
    if (code == TERN_OK && apply_policy(ch, fresh)) {
        tern__routing_undo(*ret);
        code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for the load balancing of a service config");
    }
    return code;
}

/* Swaps, the routes too; all or nothing. Takes `fresh` (NULL: none) over, also when it fails. */
static tern_code set_config(tern_channel *ch, tern__config *fresh, tern_status *reterr)
{
    tern__breaker_change change;
    tern__routing *routing, *former;
    pthread_mutex_lock(&ch->update_lock);
    tern_code code = prepare_all(ch, fresh, &routing, reterr);
    if (code != TERN_OK) {
        pthread_mutex_unlock(&ch->update_lock);
        tern__config_free(fresh);
        return code;
    }
    tern__routing_commit(routing); /* one reference is kept until it has been told of */
    tern__config *last = swap_locked(ch, fresh, &change);
    pthread_mutex_lock(&ch->lock);
    former = atomic_load_explicit(&ch->routing, memory_order_relaxed);
    atomic_store_explicit(&ch->routing, routing, memory_order_release);
    pthread_mutex_unlock(&ch->lock);
    pthread_mutex_unlock(&ch->update_lock);
    tern__config_free(last);
    tern__config_tell(ch, fresh != NULL, &change);
    tern__routing_tell(routing);
    tern__routing_unref(routing);
    tern__routing_unref(former);
    return TERN_OK;
}

tern_code tern__channel_take_config(tern_channel *ch, tern__service_config *parsed,
                                    tern_status *reterr)
{
    if (parsed->ignored)
        TERN__LOG(TERN_LOG_WARNING, "%s: its service config has fields that are not known, and "
                                    "ignored: %s", tern_channel_target(ch), parsed->ignored);
    tern__config *fresh = tern__config_new(parsed);
    return fresh ? set_config(ch, fresh, reterr)
                 : tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                                   "out of memory for a service config");
}

tern_code tern_channel_set_service_config(tern_channel *ch, const char *json, size_t len,
                                          tern_status *reterr)
{
    tern__service_config *parsed;
    if (!json)
        return set_config(ch, NULL, reterr);
    tern_code code = tern__service_config_parse(json, len, &parsed, reterr);
    return code == TERN_OK ? tern__channel_take_config(ch, parsed, reterr) : code;
}

void tern__channel_config_init(tern_channel *ch, uint64_t seed)
{
    pthread_mutex_init(&ch->lock, NULL);
    pthread_mutex_init(&ch->update_lock, NULL);
    tern__rng_seed(&ch->rng, seed);
    tern__breaker_init(&ch->breaker, &ch->opt.breaker, seed + 1);
    atomic_init(&ch->config, NULL);
    atomic_init(&ch->routing, NULL);
    tern__list_init(&ch->clusters);
}

void tern__channel_config_deinit(tern_channel *ch)
{
    tern__config_free(atomic_load_explicit(&ch->config, memory_order_relaxed));
    pthread_mutex_destroy(&ch->update_lock);
    pthread_mutex_destroy(&ch->lock);
}

/* --- calls ------------------------------------------------------------------------------------ */

static tern__config *config_ref(tern_channel *ch)
{
    pthread_mutex_lock(&ch->lock);
    tern__config *c = atomic_load_explicit(&ch->config, memory_order_relaxed);
    if (c)
        c->refs++;
    pthread_mutex_unlock(&ch->lock);
    return c;
}

/* grpc doc/service_config.md: the smaller limit of two; a default of the library's is none. */
static void apply_limits(tern__call_terms *t, const tern_channel *ch, const tern_call_options *opts)
{
    uint64_t max = t->method->response_message_bytes_max;
    bool own = opts->receive_message_bytes_max || ch->receive_max_given;
    t->request_max = t->method->request_message_bytes_max;
    if (max != TERN__CONFIG_NO_LIMIT && (!own || max < t->receive_max))
        t->receive_max = (size_t)max;
}

static void apply(tern__call_terms *t, tern_channel *ch, const tern_method *method,
                  const tern_call_options *opts)
{
    t->config = config_ref(ch);
    if (!t->config)
        return;
    if (t->config->hash_header && !ch->lb_given)
        t->key = tern__pick_key(opts->metadata, t->config->hash_header);
    const tern__method_config *m =
        tern__service_config_method(t->config->parsed, method->path, strlen(method->path));
    if (!m)
        return;
    t->method = m;
    t->guard = t->config->guards[m->index];
    if (opts->wait_for_ready == TERN_CHOICE_DEFAULT)
        t->wait_for_ready = m->wait_for_ready == TERN__CONFIG_TRUE;
    if (m->timeout != TERN__TIME_NEVER) {
        t->began = tern__clock_now();
        t->deadline = tern__time_min(t->deadline, tern__time_add(t->began, m->timeout));
    }
    apply_limits(t, ch, opts);
}

tern_channel *tern__call_terms_begin(tern__call_terms *t, tern_channel *ch,
                                     const tern_method *method, const tern_call_options *opts)
{
    tern__named_cluster *cluster = NULL;
    if (atomic_load_explicit(&ch->routing, memory_order_relaxed))
        cluster = tern__routing_choose(ch, method, opts->metadata);
    if (cluster)
        ch = cluster->ch;
    *t = (tern__call_terms){
        .deadline = tern__call_deadline(ch, opts),
        .request_max = TERN__CONFIG_NO_LIMIT,
        .receive_max = opts->receive_message_bytes_max ? opts->receive_message_bytes_max
                                                       : ch->opt.receive_message_bytes_max,
        .wait_for_ready = opts->wait_for_ready == TERN_CHOICE_YES,
        .cluster = cluster,
    };
    if (ch->hash_header)
        t->key = tern__pick_key(opts->metadata, ch->hash_header);
    if (atomic_load_explicit(&ch->config, memory_order_relaxed))
        apply(t, ch, method, opts);
    return ch;
}

tern__config *tern__call_terms_end_locked(tern__call_terms *t)
{
    tern__config *c = t->config;
    t->config = NULL;
    t->method = NULL;
    t->guard = NULL;
    return c && --c->refs == 0 ? c : NULL;
}

void tern__call_terms_end(tern__call_terms *t, tern_channel *ch)
{
    if (t->config) {
        pthread_mutex_lock(&ch->lock);
        tern__config *last = tern__call_terms_end_locked(t);
        pthread_mutex_unlock(&ch->lock);
        tern__config_free(last);
    }
    if (t->cluster) {
        tern__named_cluster *cluster = t->cluster;
        t->cluster = NULL;
        tern__named_cluster_unref(cluster);
    }
}

tern_code tern__call_terms_check(const tern__call_terms *t, size_t len, tern_status *reterr)
{
    if (len <= t->request_max)
        return TERN_OK;
    return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                           "a request message of %zu bytes is longer than the limit of %llu bytes "
                           "(maxRequestMessageBytes of the service config)",
                           len, (unsigned long long)t->request_max);
}
