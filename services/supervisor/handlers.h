/* The RPCs of the Supervisor. */
#ifndef DRONE_SUPERVISOR_HANDLERS_H
#define DRONE_SUPERVISOR_HANDLERS_H

#include "common/reply.h"
#include <drone/supervisor/v1/supervisor.tern.h>

/* The table of handlers; their `self` is the drone_supervisor. None of them blocks. */
extern const struct drone_supervisor_v1_supervisor_service_handlers drone_supervisor_handlers;

#endif
