/* A subchannel: one target, its addresses, and the connection to one of them (pick_first), or
 * several where one is not enough (scaling.h). It connects when a call needs it, in the calling
 * thread, and pauses after failures (connection-backoff.md). An attempt that takes longer than its
 * call begins anew on a thread of its own, with all the time that connecting may take: calls with
 * short deadlines must not keep each other from ever getting connected.
 *
 * States: idle → connecting → ready; connecting → failed (backoff) → connecting. A connection that
 * ends makes it idle again: the next call connects at once. */
#ifndef TERN__CLIENT_SUBCHANNEL_H
#define TERN__CLIENT_SUBCHANNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/channel.h>
#include <tern/context.h>
#include <tern/resolver.h>
#include <tern/status.h>

#include "base/rng.h"
#include "client/scaling.h"
#include "client/transport.h"
#include "io/address.h"
#include "io/tls.h"
#include "policy/backoff.h"
#include "policy/balancer.h"

typedef struct tern__subchannel {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    tern__target target;
    tern__tls_dial dial;      /* set by the channel, freed with the subchannel */
    uint32_t connect_timeout_ms, queue_max;
    tern_resolver *resolver;   /* set by the channel, whose it is; NULL: the target is literal */
    struct tern__proxy *proxy; /* set by the channel, freed with the subchannel; NULL: none */
    int64_t stagger;           /* from one address to the next, ns */
    bool shuffle;              /* set by the channel: addresses are tried in any order */
    tern__upkeep_options upkeep; /* keepalive_time grows when a server finds it too short */
    tern__connections conns;  /* none unless ready; mostly one */
    bool connecting;
    bool cut_short;           /* the newest attempt ended with its caller's patience */
    bool handed_over;         /* the connector is about to begin anew */
    bool left;                /* calls get their connections elsewhere */
    uint32_t n_left;          /* how often that began */
    tern_context *attempt;    /* while connecting: cancelled, it ends */
    bool failed;              /* in backoff until retry_at */
    int64_t retry_at;
    uint32_t n_lists;         /* lists of servers that have come from the resolver by itself */
    tern__backoff backoff;
    tern__rng rng;
    tern_status last_error;
    uint64_t n_connects;
    tern_loop *loop;          /* that watches the connections */
    struct tern__connector *connector; /* connects for calls that must not block; see connector.h */
    uint64_t n_resumed;       /* of them, by resuming a TLS session */
    tern__entity entity;      /* channelz; listed by the channel */
    tern__trace trace;
    tern__transport_owner *owner; /* of its connections; NULL: none */
} tern__subchannel;

typedef struct tern__subchannel_options {
    uint32_t connect_timeout_ms, backoff_ms, backoff_ms_max, queue_max, stagger_ms, connections_max;
    tern__upkeep_options upkeep;
    tern_loop *loop;
} tern__subchannel_options;

void tern__subchannel_init(tern__subchannel *sc, const tern__target *target,
                           const tern__subchannel_options *opt);
void tern__subchannel_deinit(tern__subchannel *sc);
/* Connects no more and lets go of its connections: `why`: what calls on them are told; NULL: they
 * end in peace. Waits for the connector. */
void tern__subchannel_end(tern__subchannel *sc, const char *why);

/* A reference to a ready connection; connects if need be. Without wait_for_ready a backoff or a
 * failed attempt is UNAVAILABLE at once. DEADLINE_EXCEEDED and CANCELLED as the words say. TERN_OK
 * with *ret as it was: the subchannel has been left. */
typedef struct tern__connect_wait {
    int64_t deadline; /* ns */
    tern_context *context;
    bool wait_for_ready;
    bool is_connector; /* connector.h: nobody begins in its place */
    tern__lb_key key;
} tern__connect_wait;
tern_code tern__subchannel_get(tern__subchannel *sc, const tern__connect_wait *wait,
                               tern__transport **ret, tern_status *reterr);

/* For calls that must not block: *ret when a connection is there, or TERN_OK and NULL when it has
 * to be made; without wait_for_ready the failure that a backoff means. */
tern_code tern__subchannel_look(tern__subchannel *sc, bool wait_for_ready, tern__transport **ret,
                                tern_status *reterr);
/* When the next attempt to connect may begin; 0: now. ns */
int64_t tern__subchannel_retry_at(tern__subchannel *sc);

/* Calls get their connections elsewhere from now on: nobody waits here any more, and there is no
 * connection. With the lock held; those there were are the caller's. tern__connector_let_go() is
 * due, without a lock. */
tern__connections tern__subchannel_leave(tern__subchannel *sc);
/* Back again, as after tern__subchannel_init(), with a connection (NULL: none), a reference that is
 * taken over. With the lock held. */
void tern__subchannel_enter(tern__subchannel *sc, tern__transport *t);
/* Lets go of a connection: calls on it end in peace. Takes the reference over. */
void tern__subchannel_release(tern__transport *t);

/* Whether there is a connection that takes streams; those that take no more are dropped. */
bool tern__subchannel_has_usable(tern__subchannel *sc);
/* A reference to its oldest connection, or NULL. */
tern__transport *tern__subchannel_any(tern__subchannel *sc);

/* Its servers are these: connections to others get no more calls, and a pause after failures is
 * over. */
void tern__subchannel_keep(tern__subchannel *sc, const tern__address_list *list);
/* Says that `t` takes no more streams: the next get connects anew. */
void tern__subchannel_drop(tern__subchannel *sc, tern__transport *t);

#endif
