/* Taking a compensation over, whoever brings it: a call (handlers.c) or a message (intake.c). */
#ifndef DRONE_SUPERVISOR_TAKEOVER_H
#define DRONE_SUPERVISOR_TAKEOVER_H

#include "common/reply.h"
#include "supervisor/engine.h"
#include <drone/supervisor/v1/supervisor.pb-c.h>

/* What was done. */
typedef struct drone_takeover {
    drone_comp comp;
    int before;   /* state of the row, 0: there was none */
    bool changed; /* the row has work to do now */
} drone_takeover;

/* Checks every field of a message. Pure. */
tern_code drone_check_compensate(drone_reply *reply,
                                 const Drone__Supervisor__V1__CompensateRequest *req);

/* Puts it into the store. ABORTED: its id was used for another one. Writing thread. */
tern_code drone_run_compensate(drone_store *store,
                               const Drone__Supervisor__V1__CompensateRequest *req,
                               drone_takeover *ret, drone_reply *reply);

/* After the commit: counts the change, and takes up what has work to do. */
void drone_takeover_follow(drone_supervisor *s, const drone_takeover *t);

#endif
