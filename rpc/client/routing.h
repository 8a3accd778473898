/* Routing of a channel's calls to clusters (policy/route.h). A cluster that the service config
 * names is a channel of its own behind the channel that the program has: with its own resolver,
 * balancer, connections, circuit breaker and throttle, and with the options and the service config
 * of its parent. The program's interceptors run before the choice, so that a route may go by what
 * they add.
 *
 * The choice is made once for each call, at its beginning; attempts stay in the cluster (A31). A
 * cluster lives for as long as a config names it or a call is in it: what a new config leaves out
 * goes with the last of its calls.
 *
 * Locks: that of the parent guards the pointer to the routing and the list of clusters, and is
 * taken before those of a cluster's channel. */
#ifndef TERN__CLIENT_ROUTING_H
#define TERN__CLIENT_ROUTING_H

#include <stdatomic.h>

#include <tern/limits.h>
#include <tern/call.h>

#include "client/channel.h"
#include "client/config.h"
#include "policy/service_config.h"

typedef struct tern__named_cluster {
    atomic_uint refs; /* routings that have it, calls in it */
    tern_channel *parent, *ch;
    char *name, *authority; /* authority: as configured; NULL: the target's */
    tern__list node;        /* of the parent's clusters */
} tern__named_cluster;

/* The routes of a config, and its clusters in the config's order. */
typedef struct tern__routing {
    atomic_uint refs; /* the channel's, choices under way */
    tern__service_config *parsed;
    uint32_t n;
    tern__named_cluster *at[TERN_LIMIT_CLUSTERS];
    /* Of clusters that were there before: what they go by from now on, and what that changes. */
    tern__config *fresh[TERN_LIMIT_CLUSTERS];
    tern__breaker_change changes[TERN_LIMIT_CLUSTERS];
} tern__routing;

/* With the parent's update_lock: what `parsed` says, with clusters of the routing now in use where
 * name, target and authority are the same, and new ones else. *ret NULL: no clusters; else it has
 * two references, the channel's and the caller's. On failure
 * nothing has changed: INVALID_ARGUMENT with the path of a cluster that cannot be meant,
 * RESOURCE_EXHAUSTED. */
tern_code tern__routing_new(tern_channel *ch, tern__service_config *parsed, tern__routing **ret,
                            tern_status *reterr);
/* With the parent's update_lock: takes back what it has changed, and both references. NULL is fine,
 * here and below. */
void tern__routing_undo(tern__routing *r);
/* With the parent's update_lock: clusters that stay go by the new config from now on. */
void tern__routing_commit(tern__routing *r);
/* Without any: tells of what has changed thereby. */
void tern__routing_tell(tern__routing *r);
void tern__routing_unref(tern__routing *r);

/* Where a call goes: a reference, or NULL for the channel's own target. */
tern__named_cluster *tern__routing_choose(tern_channel *ch, const tern_method *method,
                                          const tern_metadata *md);
/* The last one ends the cluster. Without any lock. */
void tern__named_cluster_unref(tern__named_cluster *c);

/* Before the end of the channel, on which no call is any more: its clusters end. */
void tern__channel_unroute(tern_channel *ch);

/* Adds what the clusters have counted, and those that are gone. */
void tern__routing_add_stats(tern_channel *ch, tern_channel_stats *ret);
/* Waits until there is a connection wherever a call may go to by the routes. */
tern_code tern__routing_wait_ready(tern__routing *r, int64_t deadline, tern_status *reterr);
/* A reference, or NULL. */
tern__routing *tern__routing_of(tern_channel *ch);
/* Whether calls may go to the channel's own target. */
bool tern__routing_uses_own(const tern__routing *r);

#endif
