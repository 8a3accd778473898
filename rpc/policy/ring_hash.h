/* ring_hash (gRFC A42, A61, A76): calls with the same hash go to the same server, and few of them
 * move when servers come and go. Each server has entries on a ring, as many as its weight asks for,
 * at the hashes (XXH64) of its key and their number; a call goes to the server of the first entry
 * at or after its own hash, or, if that has failed, to the next.
 *
 * Connections are made when a call asks for one. While none is READY and one has failed, they are
 * also made without calls, one after the other. A call without a hash goes anywhere. */
#ifndef TERN__POLICY_RING_HASH_H
#define TERN__POLICY_RING_HASH_H

#include "policy/balancer.h"

extern const tern__lb_policy tern__lb_ring_hash_policy;

/* Entries of endpoint i on the ring as it is now; its size is their sum. For tests and channelz. */
uint32_t tern__lb_ring_entries_of(const tern__balancer *b, uint32_t i);

#endif
