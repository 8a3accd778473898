/* Inside of tern_channel. `lock` guards breaker, adaptive throttle, budget, rng, the counters, and
 * the references of the service config. */
#ifndef TERN__CLIENT_CHANNEL_H
#define TERN__CLIENT_CHANNEL_H

#include <pthread.h>
#include <stdatomic.h>

#include <tern/channel.h>
#include <tern/interceptor.h>

#include "base/rng.h"
#include "client/subchannel.h"
#include "h2/session.h"
#include "policy/adaptive_throttle.h"
#include "policy/breaker.h"
#include "policy/retry.h"
#include "policy/retry_budget.h"
#include "policy/throttle.h"

/* Fields that are the same in every request of the channel. */
#define TERN__CHANNEL_FIXED_FIELDS 6u

struct tern_channel {
    tern_channel_options opt; /* filled; strings are our copies or NULL */
    bool receive_max_given;   /* receive_message_bytes_max is no default */
    char *target_text, *authority, *user_agent;
    tern__h2_field method, scheme, authority_field, te, content_type, user_agent_field;
    tern__subchannel sub; /* with a cluster: what its endpoints take after */
    /* Several servers, for as long as there is a policy for them; NULL, or while it sleeps: `sub`
     * has them all (pick_first). Changes with update_lock: cluster_change.h */
    _Atomic(struct tern__cluster *) cluster;
    /* By the options: a service config's policy does not count. A reference; NULL: none. */
    struct tern__service_config *lb_given;
    const char *hash_header; /* of that, whose values choose a server; NULL: none */
    tern_interceptor *interceptors; /* our copy, in order */
    uint32_t n_interceptors;

    /* Service config (config.h): changed with both locks, so that either is enough for reading. */
    pthread_mutex_t update_lock;         /* taken before `lock` and the subchannel's */
    _Atomic(struct tern__config *) config; /* a reference; NULL: none */
    struct tern__config_file *config_file; /* NULL: none */

    /* Clusters of routes (routing.h). */
    tern_channel *parent; /* it is a cluster of this one; NULL: the program's own */
    _Atomic(struct tern__routing *) routing; /* a reference, changed as `config`; NULL: no routes */
    tern__list clusters;                     /* with `lock`: those there are */
    tern_channel_stats gone;                 /* with `lock`: what was counted in former ones */

    tern__throttle *throttle; /* shared with the channels to the same name (throttles.h) */

    pthread_mutex_t lock;
    tern__breaker breaker;
    uint32_t calls_in_flight_max; /* of the config, whatever the breaker's options are; 0: none */
    bool has_retry_budget, has_adaptive;
    tern__retry_budget retry_budget;
    tern__adaptive_throttle adaptive;
    tern__rng rng;
    tern_channel_stats stats;
    /* Channelz; changed under `lock`. */
    tern__entity entity;
    tern__trace trace;
    tern__call_counters calls, attempts; /* of the subchannel: its calls */
};

/* The shortest keepalive time there is, ms. Tests lower it, to see in a moment what takes 10 s. */
extern uint32_t tern__channel_keepalive_floor_ms;

/* Of a subchannel of the channel's. */
tern__subchannel_options tern__channel_subchannel_options(const tern_channel *ch);

/* What a cluster's channel begins with besides its options: whose it is, and what the service
 * config says to it. */
typedef struct tern__channel_origin {
    tern_channel *parent;
    struct tern__service_config *config;
    bool own_policy; /* it is in `config`, whatever the parent was given */
} tern__channel_origin;

/* tern_channel_new(); `origin` NULL: the program's own. */
tern_code tern__channel_make(const char *target, const tern_channel_options *opts,
                             const tern__channel_origin *origin, tern_channel **ret,
                             tern_status *reterr);
/* Blocks until the channel's own target is connected; UNAVAILABLE with the reason. */
tern_code tern__channel_wait_own(tern_channel *ch, int64_t deadline, tern_status *reterr);

/* Tells the program of a change of the breaker's state. Without the lock. */
void tern__channel_tell(tern_channel *ch, const tern__breaker_change *change);
/* The same of the breaker of an entry of methodConfig, which the program is told by the log. */
void tern__channel_tell_method(tern_channel *ch, uint32_t entry,
                               const tern__breaker_change *change);

#endif
