/* Watches the health of one server of a cluster (gRFC A17): a stream of grpc.health.v1.Health/Watch
 * on the connection that its calls use; policy/health_check.h decides. It is an op of the channel's
 * loop and no call of the channel's: no breaker, counter, interceptor or balancer hears of
 * it. The stream takes one of the connection's places (MAX_CONCURRENT_STREAMS) and keeps it from
 * becoming idle; on a connection that has one place only nothing is watched, and it counts as
 * healthy.
 *
 * Locks: the watch's own is taken before the cluster's and a transport's. Posting needs a leaf
 * only. */
#ifndef TERN__CLIENT_HEALTH_WATCH_H
#define TERN__CLIENT_HEALTH_WATCH_H

#include "client/head.h"
#include "client/reactor.h"
#include "client/transport.h"
#include "policy/health_check.h"

struct tern__endpoint;

typedef struct tern__health_watch {
    tern__op op;
    struct tern__endpoint *ep; /* whose, which has it */
    tern_loop *loop;
    pthread_mutex_t end_lock; /* a leaf: */
    bool closed;              /* nothing is posted any more */

    pthread_mutex_t lock; /* what follows */
    tern__health_check check;
    tern__rng rng;
    uint32_t epoch, connection; /* which service was asked about, and where */
    char why[256];       /* it is not READY; "": it is */
    bool told;           /* that the server knows nothing of health checks */
    tern__transport *t;  /* the connection with the open stream, a reference; NULL: there is none */
    tern__client_stream s;
    tern__stream_body body;
    tern__buf taken;     /* payload with its windows opened */
    tern__head head;
    tern__request request;
    uint8_t *message;    /* prefix and HealthCheckRequest */
} tern__health_watch;

/* For an endpoint of a cluster with a loop. NULL: out of memory. */
tern__health_watch *tern__health_watch_new(struct tern__endpoint *ep);
/* Ends the stream and waits for the op, which runs no more. Not from within the op, without a lock.
 * NULL is fine here and below. */
void tern__health_watch_stop(tern__health_watch *w);
/* One that was stopped, or has never run. */
void tern__health_watch_free(tern__health_watch *w);
/* Something has happened to the server's connections, or another service is asked about. Under any
 * lock. */
void tern__health_watch_stir(tern__health_watch *w);

#endif
