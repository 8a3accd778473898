/* See tern/channel.h. A channel holds what its calls share: one subchannel, the breaker, the retry
 * throttle, and the header fields that never change. */
#include "client/channel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>
#include <tern/version.h>

#include "base/log.h"
#include "base/time.h"
#include "client/cluster.h"
#include "client/cluster_change.h"
#include "client/config.h"
#include "client/config_file.h"
#include "client/pick.h"
#include "client/proxy.h"
#include "client/reactor.h"
#include "client/resolver.h"
#include "client/routing.h"
#include "client/target.h"
#include "client/throttles.h"
#include "io/clock.h"
#include "io/random.h"
#include "policy/lb_custom.h"
#include "policy/service_config.h"

/* The user agent's own part (PROTOCOL-HTTP2.md, "User Agents"). */
#define USER_AGENT "grpc-c-tern/" TERN_VERSION_STRING

uint32_t tern__channel_keepalive_floor_ms = TERN_LIMIT_KEEPALIVE_MS_MIN;

static void fill_options(tern_channel_options *o)
{
    if (!o->connect_timeout_ms)
        o->connect_timeout_ms = TERN_LIMIT_CONNECT_TIMEOUT_MS;
    if (!o->reconnect_backoff_ms)
        o->reconnect_backoff_ms = TERN_LIMIT_RECONNECT_BACKOFF_MS;
    if (!o->reconnect_backoff_ms_max)
        o->reconnect_backoff_ms_max = TERN_LIMIT_RECONNECT_BACKOFF_MS_MAX;
    if (o->reconnect_backoff_ms_max < o->reconnect_backoff_ms)
        o->reconnect_backoff_ms_max = o->reconnect_backoff_ms;
    if (!o->receive_message_bytes_max)
        o->receive_message_bytes_max = TERN_LIMIT_RECEIVE_MESSAGE_BYTES;
    if (!o->calls_waiting_max)
        o->calls_waiting_max = TERN_LIMIT_CALLS_WAITING;
    if (!o->idle_timeout_ms)
        o->idle_timeout_ms = TERN_LIMIT_IDLE_TIMEOUT_MS;
    if (!o->connections_max)
        o->connections_max = 1;
    if (o->connections_max > TERN_LIMIT_CONNECTIONS_PER_CHANNEL)
        o->connections_max = TERN_LIMIT_CONNECTIONS_PER_CHANNEL;
    if (!o->connect_stagger_ms)
        o->connect_stagger_ms = TERN_LIMIT_CONNECT_STAGGER_MS;
    if (o->connect_stagger_ms < TERN_LIMIT_CONNECT_STAGGER_MS_MIN)
        o->connect_stagger_ms = TERN_LIMIT_CONNECT_STAGGER_MS_MIN;
    if (o->connect_stagger_ms > TERN_LIMIT_CONNECT_STAGGER_MS_MAX)
        o->connect_stagger_ms = TERN_LIMIT_CONNECT_STAGGER_MS_MAX;
    if (!o->metadata_bytes_max)
        o->metadata_bytes_max = TERN_LIMIT_HEADER_LIST_BYTES;
    if (!o->receive_window_bytes_max)
        o->receive_window_bytes_max = TERN_LIMIT_WINDOW_BYTES_MAX;
    tern__retry_options_fill(&o->retry);
    tern__breaker_options_fill(&o->breaker);
}

static tern__h2_field fixed(const char *name, const char *value)
{
    return (tern__h2_field){ name, value, (uint32_t)strlen(name), (uint32_t)strlen(value), true };
}

static bool printable(const char *s)
{
    for (; s && *s; s++)
        if (*s < 0x21 || *s > 0x7e)
            return false;
    return true;
}

static bool make_strings(tern_channel *ch, const char *target, const tern__target *parsed)
{
    const char *authority = ch->opt.authority ? ch->opt.authority : parsed->authority;
    const char *own = ch->opt.user_agent;
    size_t len = strlen(USER_AGENT) + (own ? strlen(own) + 1 : 0) + 1;
    ch->target_text = strdup(target);
    ch->authority = strdup(authority);
    ch->user_agent = malloc(len);
    if (!ch->target_text || !ch->authority || !ch->user_agent)
        return false;
    snprintf(ch->user_agent, len, "%s%s%s", own ? own : "", own ? " " : "", USER_AGENT);
    ch->opt.authority = ch->opt.user_agent = NULL;
    ch->method = fixed(":method", "POST");
    ch->scheme = fixed(":scheme", ch->opt.tls ? "https" : "http");
    ch->authority_field = fixed(":authority", ch->authority);
    ch->te = fixed("te", "trailers");
    ch->content_type = fixed("content-type", "application/grpc");
    ch->user_agent_field = fixed("user-agent", ch->user_agent);
    return true;
}

/* The name's, with what the program says of it, if anything. */
static bool take_throttle(tern_channel *ch, const char *target, const tern_retry_options *said)
{
    const tern_retry_options *o = &ch->opt.retry;
    bool given = !ch->parent && (said->throttle_max_tokens > 0 || said->throttle_token_ratio > 0);
    ch->throttle = tern__throttles_take(target, o->throttle_max_tokens, o->throttle_token_ratio,
                                        given);
    return ch->throttle != NULL;
}

static bool copy_interceptors(tern_channel *ch)
{
    size_t n = ch->opt.n_interceptors;
    if (n == 0)
        return true;
    ch->interceptors = calloc(n, sizeof *ch->interceptors);
    if (!ch->interceptors)
        return false;
    memcpy(ch->interceptors, ch->opt.interceptors, n * sizeof *ch->interceptors);
    ch->n_interceptors = (uint32_t)n;
    ch->opt.interceptors = NULL;
    return true;
}

static void free_strings(tern_channel *ch)
{
    free(ch->target_text);
    free(ch->authority);
    free(ch->user_agent);
    tern__service_config_unref(ch->lb_given);
    free(ch->interceptors);
    tern__throttles_give_back(ch->throttle);
    tern_fault_unref(ch->opt.fault);
    free(ch);
}

static tern_code check_options(const tern_channel_options *o, tern_status *reterr)
{
    if (o->size != sizeof *o)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "tern_channel_options.size is %zu, this library's is %zu: begin "
                               "with TERN_CHANNEL_OPTIONS_INIT",
                               o->size, sizeof *o);
    if (o->n_interceptors > TERN_LIMIT_INTERCEPTORS)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "%zu interceptors are more than TERN_LIMIT_INTERCEPTORS (%u)",
                               o->n_interceptors, TERN_LIMIT_INTERCEPTORS);
    if (o->metadata_bytes_max > TERN_LIMIT_HEADER_LIST_BYTES_MAX)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "metadata_bytes_max is %u, at most %u are possible",
                               o->metadata_bytes_max, TERN_LIMIT_HEADER_LIST_BYTES_MAX);
    if (o->receive_window_bytes_max > TERN_LIMIT_WINDOW_BYTES_MAX)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "receive_window_bytes_max is %u, at most %u are possible",
                               o->receive_window_bytes_max, TERN_LIMIT_WINDOW_BYTES_MAX);
    if ((unsigned)o->compression > TERN_COMPRESSION_ZSTD)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "compression is %d, which is no value of tern_compression",
                               (int)o->compression);
    if ((unsigned)o->dns_resolver > TERN_DNS_ARES)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "dns_resolver is %d, which is no value of tern_dns_resolver",
                               (int)o->dns_resolver);
    if (!printable(o->authority))
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "authority has a character that may not be sent");
    if (o->user_agent)
        for (const char *s = o->user_agent; *s; s++)
            if (*s < 0x20 || *s > 0x7e)
                return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                                       "user_agent has a character that may not be sent");
    return TERN_OK;
}

static tern__upkeep_options upkeep_of(const tern_channel_options *o)
{
    return (tern__upkeep_options){
        .keepalive_time = tern__keepalive_span(o->keepalive_time_ms, TERN_NEVER_MS,
                                               tern__channel_keepalive_floor_ms),
        .keepalive_timeout =
            tern__keepalive_span(o->keepalive_timeout_ms, TERN_LIMIT_KEEPALIVE_TIMEOUT_MS, 1),
        .keepalive_without_calls = o->keepalive_without_calls,
        .idle_timeout = tern__keepalive_span(o->idle_timeout_ms, TERN_LIMIT_IDLE_TIMEOUT_MS, 1),
        .window_bytes_max = o->receive_window_bytes_max,
        .header_list_bytes_max = o->metadata_bytes_max,
    };
}

/* *ret stays NULL where none is to be used. False: out of memory. */
static bool find_proxy(const tern_channel *ch, const tern__target *target, tern__proxy **ret)
{
    tern__proxy found;
    if (ch->opt.proxy_disabled || !tern__proxy_find(target, &found))
        return true;
    *ret = malloc(sizeof found);
    if (*ret)
        **ret = found;
    return *ret != NULL;
}

/* In channelz. */
static void list_channel(tern_channel *ch)
{
    tern__entity *e = &ch->entity, *sub = &ch->sub.entity;
    e->name = sub->name = ch->target_text;
    e->trace = &ch->trace;
    e->calls = &ch->calls;
    sub->trace = &ch->sub.trace;
    sub->calls = &ch->attempts;
    e->n_calls = sub->n_calls = 1;
    atomic_store(&sub->state, TERN__IDLE);
    tern__registry_add(e, TERN__ENTITY_CHANNEL, ch->parent ? &ch->parent->entity : NULL);
    tern__registry_add(sub, TERN__ENTITY_SUBCHANNEL, e);
}

tern__subchannel_options tern__channel_subchannel_options(const tern_channel *ch)
{
    return (tern__subchannel_options){
        .connect_timeout_ms = ch->opt.connect_timeout_ms,
        .backoff_ms = ch->opt.reconnect_backoff_ms,
        .backoff_ms_max = ch->opt.reconnect_backoff_ms_max,
        .queue_max = ch->opt.calls_waiting_max,
        .stagger_ms = ch->opt.connect_stagger_ms,
        .connections_max = ch->opt.connections_max,
        .upkeep = upkeep_of(&ch->opt),
        .loop = ch->opt.loop ? ch->opt.loop : tern__reactor_default(),
    };
}

static tern_code no_policy(const tern_channel *ch, tern_status *reterr)
{
    return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                           "load_balancing is \"%.100s\", which is no policy (tern/channel.h)",
                           ch->opt.load_balancing);
}

/* What the policy of that name does by itself. *ret: a reference. */
static tern_code named_policy(const tern_channel *ch, tern__service_config **ret,
                              tern_status *reterr)
{
    char json[128];
    int n = snprintf(json, sizeof json, "{\"loadBalancingConfig\":[{\"%s\":{}}]}",
                     ch->opt.load_balancing);
    size_t good = strspn(ch->opt.load_balancing, TERN__LB_NAME_CHARS);
    tern_code code = TERN_INVALID_ARGUMENT;
    tern_status why;
    why.message[0] = '\0';
    if (n < (int)sizeof json && good == strlen(ch->opt.load_balancing))
        code = tern__service_config_parse(json, (size_t)n, ret, &why);
    if (code == TERN_INVALID_ARGUMENT && tern__lb_custom_find(ch->opt.load_balancing))
        return tern_status_set(reterr, code, "load_balancing: %s", why.message);
    if (code == TERN_INVALID_ARGUMENT)
        return no_policy(ch, reterr);
    return code ? tern_status_set(reterr, code, "%s", why.message) : TERN_OK;
}

/* The policy that the program gives; to a cluster it has given its parent's. */
static tern_code balance(tern_channel *ch, const tern__channel_origin *origin, tern_status *reterr)
{
    tern__service_config *config = NULL;
    tern_code code = TERN_OK;
    if (ch->opt.load_balancing)
        code = named_policy(ch, &config, reterr);
    else if (origin && !origin->own_policy)
        config = tern__service_config_ref(origin->parent->lb_given);
    ch->opt.load_balancing = NULL;
    if (code != TERN_OK || !config)
        return code;
    ch->lb_given = config;
    ch->hash_header = tern__lb_hash_header(config->lb);
    int rv = tern__lb_apply(ch, config);
    return rv ? tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a channel")
              : TERN_OK;
}

/* The service config that the options give, or of which a cluster is. */
static tern_code configure(tern_channel *ch, const tern_channel_options *opts,
                           const tern__channel_origin *origin, tern_status *reterr)
{
    const char *json = opts->service_config;
    if (origin)
        return tern__channel_take_config(ch, tern__service_config_ref(origin->config), reterr);
    if (json) {
        tern_status why;
        tern_code code = tern_channel_set_service_config(ch, json, strlen(json), &why);
        if (code != TERN_OK)
            return tern_status_set(reterr, code, "service_config: %s", why.message);
    }
    return tern__config_file_new(ch, opts, &ch->config_file, reterr);
}

static void end_resolver(tern__resolver *r)
{
    tern__resolver_close(r);
    tern__resolver_unref(r);
}

/* What a cluster has of its parent besides its options. */
static bool inherit(tern_channel *ch)
{
    if (!ch->parent)
        return true;
    ch->receive_max_given = ch->parent->receive_max_given;
    char *user_agent = strdup(ch->parent->user_agent);
    if (!user_agent)
        return false;
    free(ch->user_agent);
    ch->user_agent = user_agent;
    ch->user_agent_field = fixed("user-agent", ch->user_agent);
    return true;
}

tern_code tern_channel_new(const char *target, const tern_channel_options *opts,
                           tern_channel **ret, tern_status *reterr)
{
    static const tern_channel_options defaults = TERN_CHANNEL_OPTIONS_INIT;
    return tern__channel_make(target, opts ? opts : &defaults, NULL, ret, reterr);
}

tern_code tern__channel_make(const char *target, const tern_channel_options *opts,
                             const tern__channel_origin *origin, tern_channel **ret,
                             tern_status *reterr)
{
    tern__target parsed;
    tern__tls_dial dial = { .creds = NULL };
    tern__resolver *resolver = NULL;
    tern_code code = check_options(opts, reterr);
    if (code == TERN_OK)
        code = tern__target_open(target, opts, &parsed, &resolver, reterr);
    if (code == TERN_OK)
        code = tern__tls_dial_init(&dial, opts->tls, opts->authority, &parsed, reterr);
    tern_channel *ch = code == TERN_OK ? calloc(1, sizeof *ch) : NULL;
    if (!ch)
        end_resolver(resolver);
    if (code != TERN_OK)
        return code;
    if (!ch) {
        tern__tls_dial_deinit(&dial);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a channel");
    }
    ch->opt = *opts;
    ch->parent = origin ? origin->parent : NULL;
    ch->opt.service_config = ch->opt.service_config_file = NULL; /* read below, not kept */
    ch->receive_max_given = opts->receive_message_bytes_max != 0;
    ch->opt.fault = tern_fault_ref(opts->fault);
    fill_options(&ch->opt);
    tern__proxy *proxy = NULL;
    if (!make_strings(ch, target, &parsed) || !inherit(ch) || !copy_interceptors(ch) ||
        !take_throttle(ch, target, &opts->retry) || !find_proxy(ch, &parsed, &proxy)) {
        tern__tls_dial_deinit(&dial);
        end_resolver(resolver);
        free_strings(ch);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a channel");
    }
    tern__channel_config_init(ch, tern__random_seed());
    const tern__subchannel_options sub = tern__channel_subchannel_options(ch);
    tern__subchannel_init(&ch->sub, &parsed, &sub);
    ch->sub.dial = dial;
    ch->sub.proxy = proxy;
    ch->sub.resolver = resolver;
    list_channel(ch);
    code = balance(ch, origin, reterr);
    if (code == TERN_OK)
        code = configure(ch, opts, origin, reterr);
    if (code == TERN_OK && resolver)
        code = tern__resolver_start(resolver, ch, opts, reterr);
    if (code != TERN_OK) {
        tern_channel_free(ch);
        return code;
    }
    *ret = ch;
    return TERN_OK;
}

void tern_channel_free(tern_channel *ch)
{
    if (!ch)
        return;
    tern__config_file_free(ch->config_file);
    tern__resolver_close(ch->sub.resolver);
    tern__channel_unroute(ch);
    tern__cluster_free(ch->cluster);
    tern__registry_remove(&ch->entity);
    tern__registry_remove(&ch->sub.entity);
    tern__subchannel_deinit(&ch->sub);
    tern__resolver_unref(ch->sub.resolver);
    tern__channel_config_deinit(ch);
    free_strings(ch);
}

tern_code tern_channel_wait_ready(tern_channel *ch, int64_t timeout_ms, tern_status *reterr)
{
    int64_t span = timeout_ms > 0 ? tern__ms_to_ns(timeout_ms) : 0;
    int64_t deadline = tern__time_add(tern__clock_now(), span);
    tern__routing *routing = tern__routing_of(ch);
    tern_code code = TERN_OK;
    if (!routing || tern__routing_uses_own(routing))
        code = tern__channel_wait_own(ch, deadline, reterr);
    if (routing && code == TERN_OK)
        code = tern__routing_wait_ready(routing, deadline, reterr);
    tern__routing_unref(routing);
    return code;
}

tern_code tern__channel_wait_own(tern_channel *ch, int64_t deadline, tern_status *reterr)
{
    const tern__connect_wait wait = { .deadline = deadline, .wait_for_ready = true };
    tern__transport *t;
    tern_status why;
    if (tern__pick_get(ch, &wait, &t, &why) != TERN_OK) {
        if (reterr)
            *reterr = why;
        if (reterr)
            reterr->code = TERN_UNAVAILABLE;
        return TERN_UNAVAILABLE;
    }
    tern__pick_unused(t, TERN_OK);
    tern__transport_unref(t);
    return TERN_OK;
}

void tern_channel_stats_get(tern_channel *ch, tern_channel_stats *ret)
{
    pthread_mutex_lock(&ch->lock);
    *ret = ch->stats;
    ret->breaker = ch->breaker.state;
    ret->breaker_opened = ch->breaker.n_opened;
    ret->breaker_forced = (tern_breaker_force)ch->breaker.forced;
    pthread_mutex_unlock(&ch->lock);
    tern__cluster *c = atomic_load(&ch->cluster);
    if (c)
        tern__cluster_stats(c, &ret->connects, &ret->tls_resumed);
    pthread_mutex_lock(&ch->sub.lock);
    ret->connects += ch->sub.n_connects;
    ret->tls_resumed += ch->sub.n_resumed;
    pthread_mutex_unlock(&ch->sub.lock);
    tern__routing_add_stats(ch, ret);
}

/* One names what the other does. */
_Static_assert((int)TERN_BREAKER_FORCE_OPEN == (int)TERN__BREAKER_FORCED_OPEN &&
                   (int)TERN_BREAKER_FORCE_CLOSED == (int)TERN__BREAKER_FORCED_CLOSED &&
                   (int)TERN_BREAKER_AUTOMATIC == (int)TERN__BREAKER_AUTOMATIC,
               "the values are those of the policy");

void tern_channel_breaker_force(tern_channel *ch, tern_breaker_force how)
{
    tern__breaker_change change;
    int64_t now = tern__clock_now();
    pthread_mutex_lock(&ch->lock);
    tern__breaker_force(&ch->breaker, now, (tern__breaker_forced)how, &change);
    pthread_mutex_unlock(&ch->lock);
    tern__channel_tell(ch, &change);
}

const tern_peer_identity *tern_channel_peer_identity(tern_channel *ch)
{
    const tern_peer_identity *id = NULL;
    tern__cluster *c = atomic_load(&ch->cluster);
    tern__transport *t = c ? tern__cluster_any(c) : NULL;
    if (!t)
        t = tern__subchannel_any(&ch->sub);
    if (t && t->sock.tls)
        id = tern__identity_ref(tern__tls_identity(t->sock.tls));
    tern__transport_unref(t);
    return id;
}

const char *tern_channel_target(const tern_channel *ch) { return ch->target_text; }

static const char *const breaker_names[] = { "closed", "open", "half open" };

void tern__channel_tell_method(tern_channel *ch, uint32_t entry, const tern__breaker_change *change)
{
    const char *from = breaker_names[change->from], *to = breaker_names[change->to];
    TERN__LOG(TERN_LOG_WARNING, "circuit breaker of %s, methodConfig[%u]: %s -> %s: %s",
              ch->target_text, entry, from, to, change->reason);
    tern__registry_tell(&ch->entity, TERN__SEVERITY_WARNING,
                        "circuit breaker of methodConfig[%u]: %s -> %s: %s", entry, from, to,
                        change->reason);
}

void tern__channel_tell(tern_channel *ch, const tern__breaker_change *change)
{
    const char *const *names = breaker_names;
    if (!change->changed)
        return;
    TERN__LOG(TERN_LOG_WARNING, "circuit breaker of %s: %s -> %s: %s", ch->target_text,
              names[change->from], names[change->to], change->reason);
    tern__registry_tell(&ch->entity, TERN__SEVERITY_WARNING, "circuit breaker: %s -> %s: %s",
                        names[change->from], names[change->to], change->reason);
    if (ch->opt.on_breaker)
        ch->opt.on_breaker(change->from, change->to, change->reason, ch->opt.on_breaker_ctx);
}
