/* The standard health service, grpc.health.v1.Health (grpc doc/health-checking.md): Check, List and
 * Watch. A server has it once tern_health_new() was called; a drain turns every service to
 * NOT_SERVING, tells that to the watchers and ends their streams. See docs/standard-services.md. */
#ifndef TERN_HEALTH_H
#define TERN_HEALTH_H

#include <tern/export.h>
#include <tern/server.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

typedef enum tern_serving_status {
    TERN_SERVING_UNKNOWN = 0,
    TERN_SERVING = 1,
    TERN_NOT_SERVING = 2
} tern_serving_status;

typedef struct tern_health tern_health;

/* Adds the health service to `srv`, with "" (the server as a whole) SERVING. The object belongs to
 * the caller, and is freed with tern_health_free() after the server. */
TERN_API tern_code tern_health_new(tern_server *srv, tern_health **ret, tern_status *reterr);
TERN_API void tern_health_free(tern_health *health);

/* Sets the status of `service` ("" is the server as a whole), and tells those who watch it. Any
 * thread; never waits for a watcher. Returns 0, -ENOMEM, or -ENOSPC beyond
 * TERN_LIMIT_HEALTH_SERVICES. */
TERN_API int tern_health_set(tern_health *health, const char *service, tern_serving_status status);

TERN_END_DECLS

#endif
