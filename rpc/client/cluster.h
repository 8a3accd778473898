/* The servers of a channel that spreads its calls: a subchannel for each address, all of them kept
 * connected, and a balancer (policy/balancer.h) that says which one a call goes to. A call gets a
 * connection that is there; when there is none it waits for the first, or fails if all have failed.
 *
 * Nothing runs by itself. What is due (connecting again after a backoff, a connection that has
 * ended, names to look up anew) is done by the channel's loop, and by calls that wait; to connect
 * is the work of each subchannel's connector.
 *
 * Locks: the cluster's is taken before a subchannel's, which is taken before a transport's. A
 * transport that ends tells so with its lock held, by posting the cluster's op. */
#ifndef TERN__CLIENT_CLUSTER_H
#define TERN__CLIENT_CLUSTER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <tern/limits.h>

#include "client/connector.h"
#include "client/reactor.h"
#include "client/resolver.h"
#include "client/subchannel.h"
#include "policy/balancer.h"
#include "policy/service_config.h"

typedef struct tern__cluster tern__cluster;

struct tern__endpoint;

struct tern__cluster {
    atomic_uint refs;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const struct tern_channel *ch;    /* whose; while it is not closed */
    tern__entity *listed;             /* the channel in channelz */
    tern__subchannel_options options; /* of each endpoint */
    tern__balancer balancer;
    struct tern__endpoint *at[TERN_LIMIT_ADDRESSES]; /* as the balancer has them */
    tern__rng rng;
    tern__list waiting;     /* connect ops of calls with callbacks */
    tern_status last_error; /* why there is no connection */
    tern__resolver *resolver; /* a reference; NULL: the list does not come from a name */
    uint64_t n_connects, n_resumed; /* of endpoints that are gone */
    bool told;                      /* what name resolution has found, or that it has failed */
    bool over;                      /* the channel is being freed: nothing is due any more */
    /* The policy is pick_first at present, calls get their connections from the channel's
     * subchannel. Changes with the lock; a call that reads it without is told to ask anew. */
    atomic_bool asleep;
    /* Connections that pick_first had: calls go there until one of the cluster's own is there. */
    tern__connections bridge;
    tern__service_config *source; /* whose policy it has; a reference */
    tern__service_config *health; /* whose healthCheckConfig holds, a reference; NULL: none */
    uint32_t health_epoch;        /* raised when that asks about another service */

    tern_loop *loop;          /* NULL: there is none that works */
    tern__op op;              /* does what is due */
    pthread_mutex_t end_lock; /* a leaf: */
    bool closed;              /* nothing is posted any more */
};

/* A cluster that sleeps (cluster_change.h), with the policy of `config` and the servers of a
 * literal target; a name is looked up when the first call comes. `ch` is complete but for its
 * cluster. 0, -ENOMEM, or -ENOTSUP: no balancer has that policy. */
int tern__cluster_new(struct tern_channel *ch, tern__service_config *config,
                      const tern__subchannel_options *options, tern__cluster **ret);
/* Calls are over. NULL is fine. */
void tern__cluster_free(tern__cluster *c);
tern__cluster *tern__cluster_ref(tern__cluster *c);
void tern__cluster_unref(tern__cluster *c);

/* The servers are these from now on: those that stay keep their connections, calls on the others
 * end in peace. 0 or -errno: all is as it was. Without the lock. */
int tern__cluster_update(tern__cluster *c, const tern__address_list *list);
/* Takes what the resolver knows by now, and what it finds out meanwhile: for a cluster that it did
 * not tell so far. 0 or -errno. Without the lock. */
int tern__cluster_catch_up(tern__cluster *c);
/* What the resolver has found: servers, or why there are none. 0, or -errno if the servers cannot
 * be put in place. Without the lock. */
int tern__cluster_resolved(tern__cluster *c, const tern__resolved *found, const tern_status *why);

/* As pick.h has it. TERN_OK with *ret NULL: it sleeps, or, of tern__cluster_look(), there is none
 * yet. Else *ret is a connection on which a call has been started for the balancer:
 * tern__cluster_done() is due, once. */
tern_code tern__cluster_get(tern__cluster *c, const tern__connect_wait *wait, tern__transport **ret,
                            tern_status *reterr);
tern_code tern__cluster_look(tern__cluster *c, tern__lb_key key, bool wait_for_ready,
                             tern__transport **ret, tern_status *reterr);
int tern__cluster_wait(tern__cluster *c, tern__connect_op *op);
bool tern__cluster_cancel(tern__cluster *c, tern__connect_op *op);
void tern__cluster_done(tern__transport *t, const tern__lb_outcome *o);
/* `t` takes no more calls. */
void tern__cluster_drop(tern__transport *t);

/* An endpoint's attempt to connect has ended: ep->connect says how. */
void tern__cluster_connected(struct tern__endpoint *ep);
/* With the lock: the balancer is told, and who waits. */
void tern__cluster_report(tern__cluster *c, struct tern__endpoint *ep, tern__lb_state state,
                          int64_t now);
/* Something has happened to a connection: what follows is done soon. Under any lock. */
void tern__cluster_stir(tern__cluster *c);

/* The oldest connection of the first server that has one, or NULL: a reference. */
tern__transport *tern__cluster_any(tern__cluster *c);
void tern__cluster_stats(tern__cluster *c, uint64_t *ret_connects, uint64_t *ret_resumed);

#endif
