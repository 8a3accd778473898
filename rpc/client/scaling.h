/* The connections of a subchannel (gRFC A105). One is enough until all the streams that the server
 * permits on it are taken (MAX_CONCURRENT_STREAMS); then, if the channel may have more, another is
 * made rather than let calls wait. A call goes to the oldest connection that has a place, so that
 * those made for a rush empty first and end by their idleness.
 *
 * Guarded by the subchannel's lock, which is taken before a transport's. */
#ifndef TERN__CLIENT_SCALING_H
#define TERN__CLIENT_SCALING_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/limits.h>

#include "client/transport.h"

typedef struct tern__connections {
    tern__transport *at[TERN_LIMIT_CONNECTIONS_PER_CHANNEL]; /* references, oldest first */
    uint32_t n, max;
} tern__connections;

/* Takes the reference over. When there are as many as may be, one that is of no more use goes: it
 * is returned, to be released; NULL: none. */
tern__transport *tern__connections_add(tern__connections *c, tern__transport *t);
/* Takes it out; false when it is not among them. */
bool tern__connections_remove(tern__connections *c, const tern__transport *t);

/* The oldest with a place for a stream. If none has one: the one on which the fewest calls wait,
 * and *ret_more says that another connection may be made first. NULL: there is none at all. */
tern__transport *tern__connections_pick(const tern__connections *c, bool *ret_more);

#endif
