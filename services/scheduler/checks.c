/* Checks of the Scheduler's requests, field by field. Pure. */
#include <string.h>

#include "common/validate.h"
#include "scheduler/requests.h"

tern_code drone_check_delivery_id(drone_reply *reply, const char *field, const char *id)
{
    tern_code code = drone_check_id(reply, field, id);
    if (code == TERN_OK && strlen(id) > DRONE_DELIVERY_ID_BYTES_MAX)
        code = drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "%s: is longer than %d characters",
                                field, DRONE_DELIVERY_ID_BYTES_MAX);
    return code;
}

static tern_code check_confirmation(drone_reply *reply, const char *field, int value)
{
    return drone_check_enum(reply, field, value, &drone__common__v1__confirmation_type__descriptor);
}

tern_code drone_check_schedule(drone_reply *reply,
                               const Drone__Scheduler__V1__ScheduleDeliveryRequest *req)
{
    const Drone__Scheduler__V1__DeliveryRequest *d = req->delivery;
    tern_code code = drone_check_id(reply, "idempotency_key", req->idempotency_key);

    if (code == TERN_OK && !d)
        code = drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "delivery: is missing");
    if (code == TERN_OK)
        code = d->delivery_id[0] != '\0'
                   ? drone_check_delivery_id(reply, "delivery.delivery_id", d->delivery_id)
                   : drone_check_delivery_id(reply, "idempotency_key", req->idempotency_key);
    if (code == TERN_OK)
        code = drone_check_owner(reply, "delivery.owner", d->owner);
    if (code == TERN_OK)
        code = drone_check_route(reply, "delivery.route", d->route);
    if (code == TERN_OK)
        code = check_confirmation(reply, "delivery.confirmation", (int)d->confirmation);
    return code == TERN_OK ? drone_check_package(reply, "delivery.package", d->package) : code;
}

tern_code drone_check_update(drone_reply *reply,
                             const Drone__Scheduler__V1__UpdateDeliveryRequest *req)
{
    tern_code code = drone_check_delivery_id(reply, "delivery_id", req->delivery_id);
    if (code == TERN_OK)
        code = drone_check_id(reply, "idempotency_key", req->idempotency_key);
    if (code == TERN_OK)
        code = drone_check_route(reply, "route", req->route);
    return code == TERN_OK ? check_confirmation(reply, "confirmation", (int)req->confirmation)
                           : code;
}

tern_code drone_check_cancel(drone_reply *reply,
                             const Drone__Scheduler__V1__CancelDeliveryRequest *req)
{
    tern_code code = drone_check_delivery_id(reply, "delivery_id", req->delivery_id);
    return code == TERN_OK ? drone_check_id(reply, "idempotency_key", req->idempotency_key) : code;
}

tern_code drone_check_report(drone_reply *reply,
                             const Drone__Scheduler__V1__ReportOutcomeRequest *req)
{
    tern_code code = drone_check_id(reply, "message_id", req->message_id);
    if (code == TERN_OK)
        code = drone_check_delivery_id(reply, "delivery_id", req->delivery_id);
    int state = (int)req->state;
    if (code == TERN_OK && state != DRONE_COMPENSATED && state != DRONE_CANCELLED &&
        state != DRONE_PARKED)
        code = drone_reply_fail(reply, TERN_INVALID_ARGUMENT,
                                "state: must be COMPENSATED, CANCELLED or PARKED, not %d", state);
    return code == TERN_OK
               ? drone_check_text(reply, "message", req->message, TERN_STATUS_MESSAGE_MAX)
               : code;
}
