/* The Scheduler's end of the queue "requests": what Ingestion has accepted is carried out here,
 * once whatever happens, because a command has its client's idempotency key and is settled only
 * after the commit that knows the key. */
#ifndef DRONE_SCHEDULER_INTAKE_H
#define DRONE_SCHEDULER_INTAKE_H

#include "scheduler/engine.h"

/* Opens the bus and begins to consume. Once the store and the tasks run. */
tern_code drone_intake_new(drone_scheduler *s, const char *address, drone_intake **ret,
                           tern_status *reterr);
/* No more commands come. Before the tasks are stopped. NULL is fine. */
void drone_intake_stop(drone_intake *i);
/* Waits for the commands under way. After the tasks were stopped, while the store runs. */
void drone_intake_free(drone_intake *i);

#endif
