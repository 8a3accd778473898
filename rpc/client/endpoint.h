/* A server of a cluster: its subchannel, and how its connections tell of themselves. It lives as
 * long as the list has it, and as one of its connections lives: calls on a server that is on the
 * list no more end in peace. */
#ifndef TERN__CLIENT_ENDPOINT_H
#define TERN__CLIENT_ENDPOINT_H

#include "client/cluster.h"

typedef struct tern__endpoint {
    tern__transport_owner owner;
    atomic_uint refs;
    tern__cluster *cluster; /* a reference */
    tern__subchannel sub;
    char name[TERN__ADDRESS_TEXT_MAX];
    tern__call_counters calls;
    _Atomic(struct tern__health_watch *) health; /* made when it is needed first, and kept */

    /* the cluster's lock */
    uint32_t index; /* in the balancer; TERN__LB_NONE: it is on the list no more */
    tern__connect_op connect;
    bool connecting; /* and `connect` is out */
    bool connected;  /* it has had a connection since, which may be READY or not healthy */
    uint32_t connection; /* which one */
    int64_t not_before; /* ns: there was no memory or no thread for an attempt */
} tern__endpoint;

/* With one reference, the list's. With the cluster's lock held. NULL: out of memory. */
tern__endpoint *tern__endpoint_new(tern__cluster *c, const tern__address *a, const char *name);
/* It is on the list no more: connects no more, drops the list's reference. Waits for its connector;
 * without a lock. */
void tern__endpoint_retire(tern__endpoint *ep);
/* For what is left to count of those that go. With the cluster's lock held. */
void tern__cluster_count_gone(tern__cluster *c, tern__endpoint *const *gone, uint32_t n);

#endif
