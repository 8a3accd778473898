/* What follows the commit of a request, whoever brought it: a call (handlers.c) or a message
 * (intake.c). See engine.h. */
#include <stdio.h>

#include "scheduler/engine.h"
#include "scheduler/requests.h"
#include <drone/delivery/v1/delivery.tern.h>

/* The workflow that the commit has begun. */
static void start_job(drone_scheduler *s, const drone_result *r)
{
    drone_job *job = drone_job_new(s, &r->after, &r->request, &r->former, false);

    if (job)
        drone_job_start(job);
    else
        fprintf(stderr,
                "scheduler: out of memory: delivery %s is stored and will be taken up at the next "
                "start\n",
                r->after.delivery_id);
}

bool drone_scheduler_follow(drone_scheduler *s, drone_result *r)
{
    char message_id[DRONE_KEY_SIZE];

    drone_scheduler_count(s, &r->before, &r->after);
    switch (r->follow) {
    case DRONE_FOLLOW_ANSWER:
        break;
    case DRONE_FOLLOW_START:
        start_job(s, r);
        break;
    case DRONE_FOLLOW_CANCEL_JOB:
        drone_scheduler_cancel_job(s, r->after.delivery_id);
        break;
    case DRONE_FOLLOW_COMPENSATE:
        drone_change_key(r->after.delivery_id, r->after.revision, false, message_id);
        drone_outbox_push(s->outbox, message_id, r->message);
        r->message.data = NULL;
        break;
    case DRONE_FOLLOW_CHECK_STAGE:
        return false;
    }
    return true;
}

tern_code drone_scheduler_check_stage(drone_scheduler *s, const char *delivery_id, bool stopping,
                                      tern_status *reterr)
{
    const drone_backends *b = &s->backends;
    Drone__Delivery__V1__GetDeliveryRequest get = DRONE__DELIVERY__V1__GET_DELIVERY_REQUEST__INIT;
    tern_call_options options = drone_backends_call(b);
    Drone__Delivery__V1__Delivery *delivery = NULL;
    tern_status status;
    tern_code code;
    char id[DRONE_KEY_SIZE];

    snprintf(id, sizeof(id), "%s", delivery_id);
    get.delivery_id = id;
    if (stopping)
        code = tern_status_set(&status, TERN_UNAVAILABLE, "the scheduler is stopping");
    else
        code = drone_delivery_v1_delivery_service_get_delivery(b->channels[DRONE_BACKEND_DELIVERY],
                                                               &options, &get, &delivery, &status);
    if (code != TERN_OK)
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "whether it can still be cancelled is not known: %s: %s; nothing "
                               "was done, try again",
                               tern_code_name(code), status.message);
    int stage = (int)delivery->stage;
    drone__delivery__v1__delivery__free_unpacked(delivery, NULL);
    if (stage == DRONE__DELIVERY__V1__STAGE__STAGE_HEADED_TO_DROPOFF ||
        stage == DRONE__DELIVERY__V1__STAGE__STAGE_COMPLETED)
        return tern_status_set(reterr, TERN_FAILED_PRECONDITION,
                               "delivery %s cannot be cancelled: its package has been picked up",
                               delivery_id);
    return TERN_OK;
}
