/* Name resolution for a cluster: the system's resolver (getaddrinfo), which blocks for as long as
 * it likes, on a thread that lives for one look-up. A name is looked up when the first call comes
 * and again whenever a server can't be reached or a connection ends, but not more often than every
 * TERN_LIMIT_RESOLVE_INTERVAL_MS; after a failure with the pauses of reconnecting. What was found
 * before stays until there is something new.
 *
 * Guarded by the cluster's lock. */
#ifndef TERN__CLIENT_RESOLVER_H
#define TERN__CLIENT_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "io/address.h"
#include "policy/backoff.h"

struct tern__cluster;

typedef struct tern__resolver {
    const tern__target *target; /* NULL: the list does not come from a name */
    bool wanted, running;
    bool answered;      /* once, if only with a failure */
    int64_t not_before; /* ns */
    tern__backoff backoff;
} tern__resolver;

/* `target` literal: never anything to do. */
void tern__resolver_init(tern__resolver *r, const tern__target *target, int64_t backoff,
                         int64_t backoff_max);
/* Something suggests that the list is old. */
static inline void tern__resolver_ask(tern__resolver *r)
{
    r->wanted = true;
}
/* Begins what is due; returns when to call again (ns). The outcome goes to
 * tern__cluster_resolved(). */
int64_t tern__resolver_run(tern__resolver *r, struct tern__cluster *c, int64_t now);
/* There is an outcome. */
void tern__resolver_ended(tern__resolver *r, bool good, int64_t now, tern__rng *rng);

#endif
