/* Random subsetting (gRFC A68): of many servers a client uses but a few, so that neither has more
 * connections than it needs. Rendezvous hashing: each server's name is hashed with the client's own
 * seed, and those with the smallest hashes are taken. So each client has its own subset, and a
 * server that comes or goes changes one place in it at most. */
#ifndef TERN__POLICY_SUBSET_H
#define TERN__POLICY_SUBSET_H

#include <stdint.h>

struct tern__lb_endpoint;

/* Sets left_out of all but `size` of n <= TERN_LIMIT_ADDRESSES endpoints, whose names differ. */
void tern__lb_subset(struct tern__lb_endpoint *at, uint32_t n, uint32_t size, uint64_t seed);

#endif
