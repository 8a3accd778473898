/* The Scheduler's end of the queue "requests": what Ingestion has accepted is carried out here,
 * once whatever happens, because a command has its client's idempotency key and is settled only
 * after the commit that knows the key. */
#ifndef DRONE_SCHEDULER_INTAKE_H
#define DRONE_SCHEDULER_INTAKE_H

#include "scheduler/engine.h"

/* Begins to consume. Once store and tasks run; the Scheduler's bus is open. */
tern_code drone_intake_new(drone_scheduler *s, drone_intake **ret, tern_status *reterr);
/* No more commands come. Before the tasks are stopped. NULL is fine. */
void drone_intake_stop(drone_intake *i);
/* Waits for the commands under way. After the tasks were stopped, while the store runs. */
void drone_intake_free(drone_intake *i);

#endif
