/* What the Scheduler decides about a request, apart from the server: checks of fields, and the
 * operation on the store. Each operation runs on the writing thread and tells in its result
 * what is to follow the commit. */
#ifndef DRONE_SCHEDULER_REQUESTS_H
#define DRONE_SCHEDULER_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/reply.h"
#include "common/store.h"
#include "scheduler/records.h"
#include <drone/scheduler/v1/scheduler.pb-c.h>

/* What follows an operation. */
typedef enum drone_follow {
    DRONE_FOLLOW_ANSWER,     /* nothing but the answer */
    DRONE_FOLLOW_START,      /* a workflow begins, for the bodies of the result */
    DRONE_FOLLOW_CANCEL_JOB, /* the workflow under way is to stop */
    DRONE_FOLLOW_COMPENSATE, /* the message of the result was put into the outbox */
    DRONE_FOLLOW_CHECK_STAGE /* nothing was done: first find out whether it still can be */
} drone_follow;

typedef struct drone_result {
    drone_follow follow;
    drone_record before; /* state 0: there was no row */
    drone_record after;
    int64_t key_revision; /* of an update: the revision that it made, also when it is repeated */
    drone_bytes request;  /* START; malloc'ed */
    drone_bytes former;   /* START of an update; malloc'ed */
    drone_bytes message;  /* COMPENSATE; malloc'ed */
} drone_result;

/* Frees the bytes that nobody took over. */
void drone_result_deinit(drone_result *r);

/* --- checks: any thread, no state ------------------------------------------------------------- */

tern_code drone_check_schedule(drone_reply *reply,
                               const Drone__Scheduler__V1__ScheduleDeliveryRequest *req);
tern_code drone_check_update(drone_reply *reply,
                             const Drone__Scheduler__V1__UpdateDeliveryRequest *req);
tern_code drone_check_cancel(drone_reply *reply,
                             const Drone__Scheduler__V1__CancelDeliveryRequest *req);
tern_code drone_check_report(drone_reply *reply,
                             const Drone__Scheduler__V1__ReportOutcomeRequest *req);
/* A delivery's id: an id of at most DRONE_DELIVERY_ID_BYTES_MAX. */
tern_code drone_check_delivery_id(drone_reply *reply, const char *field, const char *id);

/* --- operations: writing thread --------------------------------------------------------------- */

tern_code drone_run_schedule(drone_store *store,
                             const Drone__Scheduler__V1__ScheduleDeliveryRequest *req,
                             drone_result *ret, drone_reply *reply);
tern_code drone_run_update(drone_store *store,
                           const Drone__Scheduler__V1__UpdateDeliveryRequest *req,
                           drone_result *ret, drone_reply *reply);
/* `stage_checked`: the Delivery service says that it can still be cancelled. */
tern_code drone_run_cancel(drone_store *store,
                           const Drone__Scheduler__V1__CancelDeliveryRequest *req,
                           bool stage_checked, drone_result *ret, drone_reply *reply);
tern_code drone_run_get(drone_store *store, const char *delivery_id, drone_result *ret,
                        drone_reply *reply);
tern_code drone_run_report(drone_store *store,
                           const Drone__Scheduler__V1__ReportOutcomeRequest *req, drone_result *ret,
                           drone_reply *reply);

#endif
