/* Making a connection: name, address, socket, HTTP/2 SETTINGS. */
#ifndef TERN__CLIENT_CONNECT_H
#define TERN__CLIENT_CONNECT_H

#include "client/subchannel.h"

/* Tries the target's addresses in order. Blocks until done, until the deadline, or until the
 * context ends. On success *ret is a new transport. UNAVAILABLE: the message names address and
 * reason. */
tern_code tern__connect(const tern__target *target, const tern__connect_bounds *bounds,
                        tern__transport **ret, tern_status *reterr);

#endif
