/* A file that lists servers, watched: the driver of file: targets. A line is an address and what
 * there is to say of it, a comment begins with '#':
 *
 *     # the shop's back ends
 *     10.0.0.1:50051
 *     10.0.0.2:50051   weight=3
 *     [fd00::1]:50051  hash_key=shard-1  # the old machine
 *     unix:/run/shop.sock
 *
 * A list that has a fault is refused as a whole, and the former one stays. */
#ifndef TERN__CLIENT_SERVERS_H
#define TERN__CLIENT_SERVERS_H

#include <stddef.h>

#include "client/resolver.h"

/* Reads text[0..len) into *ret, which is empty. INVALID_ARGUMENT: "PATH:LINE: what is wrong"; or
 * RESOURCE_EXHAUSTED. */
tern_code tern__servers_parse(const char *path, const char *text, size_t len, tern__resolved *ret,
                              tern_status *reterr);

/* For a file, which is read first when the resolver starts, and may be missing then.
 * RESOURCE_EXHAUSTED: out of memory. */
tern_code tern__servers_open(const char *path, uint32_t reload_ms, tern__resolver **ret,
                             tern_status *reterr);

#endif
