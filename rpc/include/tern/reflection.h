/* Server reflection (grpc doc/server-reflection.md): tells clients what services a server has and
 * what their messages look like, so that `tern list`, `tern call`, grpcurl and the like need no
 * .proto files. */
#ifndef TERN_REFLECTION_H
#define TERN_REFLECTION_H

#include <tern/export.h>
#include <tern/server.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

/* Adds grpc.reflection.v1.ServerReflection and its predecessor, v1alpha, to `srv`. Once, before
 * start. They tell of every service that is registered by a generated _register() function, before
 * or after; one that was generated with reflection=no is listed by name only. Whoever reaches the
 * server may ask: leave it out where the shape of the API is a secret. At most
 * TERN_LIMIT_REFLECTION_STREAMS clients are served at once, beyond it RESOURCE_EXHAUSTED.
 * ALREADY_EXISTS when one of the services is there already. */
TERN_API tern_code tern_server_add_reflection(tern_server *srv, tern_status *reterr);

TERN_END_DECLS

#endif
