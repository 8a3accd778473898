/* Upkeep of a client's connection while it lasts: keepalive (gRFC A8), and letting go of one that
 * nobody has used for long. It is done by whoever drives: the leader, while calls wait; else the
 * channel's loop. All with the transport's lock held. */
#ifndef TERN__CLIENT_UPKEEP_H
#define TERN__CLIENT_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"
#include "client/transport.h"

/* Begins with the connection. */
void tern__upkeep_begin(tern__transport *t, const tern__upkeep_options *opt);

/* Whether there is anything to do for a connection that has calls. */
static inline bool tern__upkeep_on(const tern__transport *t)
{
    return t->keepalive.time != TERN__TIME_NEVER;
}

/* Does what is due: sends a PING, ends a connection that is dead or was idle for too long (look at
 * t->dead). Returns when to ask again. `has_calls`: there are, or one is about to begin. By the
 * leader, or when nobody leads. */
int64_t tern__upkeep(tern__transport *t, bool has_calls);

/* A GOAWAY came: was it for too many PINGs? */
bool tern__upkeep_is_calm_down(uint32_t error, const char *debug, size_t len);

#endif
