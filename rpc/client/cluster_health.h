/* What a cluster makes of the health of its servers (gRFC A17): a server that is connected is
 * watched (health_watch.h), and the balancer hears that it is READY when it says that it serves. */
#ifndef TERN__CLIENT_CLUSTER_HEALTH_H
#define TERN__CLIENT_CLUSTER_HEALTH_H

#include "client/cluster.h"

struct tern__endpoint;

/* The healthCheckConfig of `config` holds from now on; NULL, or none in it: servers are not asked.
 * Calls wait for what the servers say of a service that was not asked about before. Without the
 * lock. */
void tern__cluster_set_health(tern__cluster *c, tern__service_config *config);

/* An endpoint has a connection: what the balancer is to be told of it now. With the lock. */
tern__lb_state tern__cluster_health_begin(tern__cluster *c, struct tern__endpoint *ep);

/* For the watch: what it is to do. Takes the lock. */
typedef struct tern__health_wanted {
    tern__service_config *config; /* whose service to ask about, a reference; NULL: do not ask */
    bool connected;               /* and there is a connection */
    uint32_t epoch, connection;   /* differ from the last time when these are others */
} tern__health_wanted;
void tern__cluster_health_wanted(struct tern__endpoint *ep, tern__health_wanted *ret);
/* For the watch: what has come of it, on that connection. `why` (borrowed; NULL: as before) is why
 * it is not READY. Takes the lock. */
void tern__cluster_health_changed(struct tern__endpoint *ep, uint32_t connection,
                                  tern__lb_state state, const char *why);

#endif
