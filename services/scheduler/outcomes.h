/* The Scheduler's end of the queue "outcomes": how compensations ended, told by Supervisors. */
#ifndef DRONE_SCHEDULER_OUTCOMES_H
#define DRONE_SCHEDULER_OUTCOMES_H

#include "scheduler/engine.h"

/* Begins to consume. Once the store runs; the Scheduler's bus is open. */
tern_code drone_outcomes_new(drone_scheduler *s, drone_outcomes **ret, tern_status *reterr);
/* No more come; waits for those under way. While the store runs. NULL is fine. */
void drone_outcomes_free(drone_outcomes *o);

#endif
