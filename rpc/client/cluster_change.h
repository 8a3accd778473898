/* A channel's policy changes: within the cluster, from pick_first (the channel's subchannel) to the
 * cluster, and back. All with the channel's update_lock.
 *
 * The cluster is made when a policy first needs it and stays until the channel is freed; while the
 * policy is pick_first it sleeps, without servers. So calls need no reference to it. A call that
 * comes to the one of the two that is not in use, or waits there, is told to ask anew. */
#ifndef TERN__CLIENT_CLUSTER_CHANGE_H
#define TERN__CLIENT_CLUSTER_CHANGE_H

#include "client/cluster.h"

/* The policy of `to` (NULL, or none in it: pick_first) from now on. No call fails for it. Those
 * under way end where they are; connections of servers that stay are kept, from pick_first until
 * there is another. 0, -ENOMEM or -ENOTSUP (no balancer has that policy), and then all is as it
 * was. */
int tern__lb_apply(struct tern_channel *ch, tern__service_config *to);

/* Servers and policy for a cluster that sleeps; nobody is sent there yet. As above. */
int tern__cluster_wake(tern__cluster *c, tern__service_config *config);

/* With the cluster's lock, while none of its own connections is there: one that pick_first had (a
 * reference), NULL: there is none that takes calls; and the end of that. */
tern__transport *tern__bridge_take(tern__cluster *c);
void tern__bridge_leave(tern__cluster *c);

#endif
