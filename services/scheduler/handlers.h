/* The RPCs of the Scheduler. */
#ifndef DRONE_SCHEDULER_HANDLERS_H
#define DRONE_SCHEDULER_HANDLERS_H

#include <drone/scheduler/v1/scheduler.tern.h>

/* The table of handlers; their `self` is the drone_scheduler. None of them blocks. */
extern const struct drone_scheduler_v1_scheduler_service_handlers drone_scheduler_handlers;

#endif
