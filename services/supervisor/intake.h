/* The Supervisor's end of the queue "compensations". A message is settled when its compensation is
 * on disk here. */
#ifndef DRONE_SUPERVISOR_INTAKE_H
#define DRONE_SUPERVISOR_INTAKE_H

#include "supervisor/engine.h"

/* Begins to consume. Once store and tasks run; the Supervisor's bus is open. */
tern_code drone_super_intake_new(drone_supervisor *s, drone_super_intake **ret,
                                 tern_status *reterr);
/* No more come; waits for those under way. While the store runs. NULL is fine. */
void drone_super_intake_free(drone_super_intake *i);

#endif
