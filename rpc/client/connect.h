/* Making a connection: name, address, socket, proxy, TLS, HTTP/2 SETTINGS. */
#ifndef TERN__CLIENT_CONNECT_H
#define TERN__CLIENT_CONNECT_H

#include "client/subchannel.h"

/* Whereto and how; all borrowed. */
typedef struct tern__destination {
    const tern__target *target;
    const tern__tls_dial *dial;
    const struct tern__proxy *proxy; /* NULL: directly */
    tern_resolver *resolver;         /* of a target that is not literal */
    int64_t stagger;                 /* ns from one address to the next (race.h) */
    bool shuffle;                    /* try the target's addresses in any order: as */
    uint64_t random;                 /* this says */
} tern__destination;

/* Tries the addresses of the target or its proxy, as race.h has it. Blocks until done, until the
 * deadline, or until the context ends. On success *ret is a new transport. UNAVAILABLE: the message
 * names address and reason. */
tern_code tern__connect(const tern__destination *to, const tern__connect_bounds *bounds,
                        tern__transport **ret, tern_status *reterr);

#endif
