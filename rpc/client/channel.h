/* Inside of tern_channel. `lock` guards breaker, throttle, rng and the counters. */
#ifndef TERN__CLIENT_CHANNEL_H
#define TERN__CLIENT_CHANNEL_H

#include <pthread.h>

#include <tern/channel.h>
#include <tern/interceptor.h>

#include "base/rng.h"
#include "client/subchannel.h"
#include "h2/session.h"
#include "policy/breaker.h"
#include "policy/retry.h"
#include "policy/throttle.h"

/* Fields that are the same in every request of the channel. */
#define TERN__CHANNEL_FIXED_FIELDS 6u

struct tern_channel {
    tern_channel_options opt; /* filled; strings are our copies or NULL */
    char *target_text, *authority, *user_agent;
    tern__h2_field method, scheme, authority_field, te, content_type, user_agent_field;
    tern__subchannel sub; /* with a cluster: what its endpoints take after */
    struct tern__cluster *cluster; /* several servers; NULL: `sub` has them all (pick_first) */
    tern_interceptor *interceptors; /* our copy, in order */
    uint32_t n_interceptors;

    pthread_mutex_t lock;
    tern__breaker breaker;
    tern__throttle throttle;
    tern__rng rng;
    tern_channel_stats stats;
    /* Channelz; changed under `lock`. */
    tern__entity entity;
    tern__trace trace;
    tern__call_counters calls, attempts; /* of the subchannel: its calls */
};

/* The shortest keepalive time there is, ms. Tests lower it, to see in a moment what takes 10 s. */
extern uint32_t tern__channel_keepalive_floor_ms;

/* Tells the program of a change of the breaker's state. Without the lock. */
void tern__channel_tell(tern_channel *ch, const tern__breaker_change *change);

#endif
