/* What a request does to the store. See requests.h; the states are those of scheduler.proto.
 *
 *     schedule: (none) -> RUNNING
 *     update:   SCHEDULED -> RUNNING
 *     cancel:   (none) -> CANCELLED (a tombstone);  RUNNING, SCHEDULED -> CANCELLING
 *     report:   COMPENSATING -> COMPENSATED | PARKED;  CANCELLING -> CANCELLED | PARKED;
 *               PARKED -> COMPENSATED | CANCELLED, when a person has resolved it */
#include "scheduler/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/operation.h"
#include "common/service.h"

void drone_result_deinit(drone_result *r)
{
    free(r->request.data);
    free(r->former.data);
    free(r->message.data);
    r->request.data = r->former.data = r->message.data = NULL;
}

/* A failure of the store, as the call's status. */
static tern_code failed(drone_reply *reply, tern_code code, const tern_status *status)
{
    return drone_reply_fail(reply, code, "%s", status->message);
}

/* Looks the key up. OK with *ret_known, or ABORTED when it stood for something else. */
static tern_code known_key(drone_store *store, const char *key, const drone_key *want,
                           drone_key *ret_found, bool *ret_known, drone_reply *reply)
{
    tern_status status;
    tern_code code = drone_key_find(store, key, ret_found, ret_known, &status);

    if (code != TERN_OK)
        return failed(reply, code, &status);
    if (*ret_known && (ret_found->digest != want->digest ||
                       strcmp(ret_found->delivery_id, want->delivery_id) != 0))
        return drone_reply_fail(reply, TERN_ABORTED,
                                "idempotency_key: %s was used for another request", key);
    return TERN_OK;
}

static tern_code find(drone_store *store, const char *id, drone_result *ret, bool *ret_found,
                      drone_reply *reply)
{
    tern_status status;
    tern_code code = drone_record_find(store, id, &ret->before, ret_found, &status);
    ret->after = ret->before;
    return code == TERN_OK ? TERN_OK : failed(reply, code, &status);
}

static tern_code not_found(drone_reply *reply, const char *id)
{
    return drone_reply_fail(reply, TERN_NOT_FOUND, "no delivery %s was accepted", id);
}

static bool pack(const Drone__Scheduler__V1__DeliveryRequest *d, drone_bytes *ret)
{
    ret->len = drone__scheduler__v1__delivery_request__get_packed_size(d);
    ret->data = malloc(ret->len > 0 ? ret->len : 1);
    if (ret->data)
        drone__scheduler__v1__delivery_request__pack(d, ret->data);
    return ret->data != NULL;
}

/* --- schedule --------------------------------------------------------------------------------- */

static tern_code accept(drone_store *store, const Drone__Scheduler__V1__DeliveryRequest *d,
                        drone_result *ret, tern_status *status)
{
    drone_record *rec = &ret->after;

    rec->state = DRONE_RUNNING;
    rec->phase = DRONE_WF_SCHEDULE;
    rec->revision = 1;
    rec->accepted_at_ms = drone_now_ms();
    ret->follow = DRONE_FOLLOW_START;
    if (!pack(d, &ret->request))
        return tern_status_set(status, TERN_RESOURCE_EXHAUSTED, "out of memory");
    return drone_record_insert(store, rec, d->package->package_id, d->owner->account_id,
                               &ret->request, status);
}

tern_code drone_run_schedule(drone_store *store,
                             const Drone__Scheduler__V1__ScheduleDeliveryRequest *req,
                             drone_result *ret, drone_reply *reply)
{
    Drone__Scheduler__V1__DeliveryRequest d = *req->delivery;
    Drone__Scheduler__V1__ScheduleDeliveryRequest unwaited = *req;
    drone_key want = { 0 }, have;
    tern_status status;
    bool known, found;

    if (d.delivery_id[0] == '\0')
        d.delivery_id = req->idempotency_key;
    unwaited.wait = false; /* how long the client waits is no part of what it asks for */
    want.digest = drone_request_digest("ScheduleDelivery", &unwaited.base);
    want.revision = 1;
    snprintf(want.delivery_id, sizeof(want.delivery_id), "%s", d.delivery_id);
    tern_code code = known_key(store, req->idempotency_key, &want, &have, &known, reply);
    if (code == TERN_OK)
        code = find(store, d.delivery_id, ret, &found, reply);
    if (code != TERN_OK || known)
        return code;
    if (found && ret->before.revision > 0)
        return drone_reply_fail(reply, TERN_ABORTED,
                                "delivery.delivery_id: %s was used for another request",
                                d.delivery_id);
    if (!found) {
        snprintf(ret->after.delivery_id, sizeof(ret->after.delivery_id), "%s", d.delivery_id);
        code = accept(store, &d, ret, &status);
    } /* else the cancel was here first, and stands */
    if (code == TERN_OK)
        code = drone_key_add(store, req->idempotency_key, &want, &status);
    return code == TERN_OK ? TERN_OK : failed(reply, code, &status);
}

/* --- update ----------------------------------------------------------------------------------- */

/* The request that is to stand: the one that stands, with what the update changes. */
static tern_code merge(drone_store *store, const Drone__Scheduler__V1__UpdateDeliveryRequest *req,
                       drone_result *ret, tern_status *status)
{
    drone_bytes former_of_former;
    tern_code code =
        drone_record_bodies(store, req->delivery_id, &ret->former, &former_of_former, status);

    if (code != TERN_OK)
        return code;
    free(former_of_former.data);
    Drone__Scheduler__V1__DeliveryRequest *d =
        drone__scheduler__v1__delivery_request__unpack(NULL, ret->former.len, ret->former.data);
    if (!d)
        return tern_status_set(status, TERN_DATA_LOSS,
                               "delivery %s: out of memory, or its stored request is damaged",
                               req->delivery_id);
    Drone__Common__V1__Route *route = d->route;
    d->route = req->route;
    d->expedited = req->expedited;
    d->confirmation = req->confirmation;
    bool packed = pack(d, &ret->request);
    d->route = route;
    drone__scheduler__v1__delivery_request__free_unpacked(d, NULL);
    return packed ? TERN_OK : tern_status_set(status, TERN_RESOURCE_EXHAUSTED, "out of memory");
}

tern_code drone_run_update(drone_store *store,
                           const Drone__Scheduler__V1__UpdateDeliveryRequest *req,
                           drone_result *ret, drone_reply *reply)
{
    Drone__Scheduler__V1__UpdateDeliveryRequest unwaited = *req;
    drone_key want = { 0 }, have;
    tern_status status;
    bool known, found;

    unwaited.wait = false;
    want.digest = drone_request_digest("UpdateDelivery", &unwaited.base);
    snprintf(want.delivery_id, sizeof(want.delivery_id), "%s", req->delivery_id);
    tern_code code = known_key(store, req->idempotency_key, &want, &have, &known, reply);
    if (code == TERN_OK)
        code = find(store, req->delivery_id, ret, &found, reply);
    if (code != TERN_OK)
        return code;
    if (!found || ret->before.revision == 0)
        return not_found(reply, req->delivery_id);
    if (known) {
        ret->key_revision = have.revision;
        return TERN_OK;
    }
    if (ret->before.state != DRONE_SCHEDULED)
        return drone_reply_fail(reply, TERN_FAILED_PRECONDITION,
                                "delivery %s is %s: only a scheduled one can be updated",
                                req->delivery_id, drone_state_name(ret->before.state));
    code = merge(store, req, ret, &status);
    if (code == TERN_OK)
        code = drone_record_begin_update(store, &ret->after, &ret->request, &status);
    ret->key_revision = want.revision = ret->after.revision;
    if (code == TERN_OK)
        code = drone_key_add(store, req->idempotency_key, &want, &status);
    ret->follow = DRONE_FOLLOW_START;
    return code == TERN_OK ? TERN_OK : failed(reply, code, &status);
}

/* --- cancel ----------------------------------------------------------------------------------- */

/* Undoes a scheduled delivery: every step of it was begun. */
static tern_code cancel_scheduled(drone_store *store, drone_result *ret, tern_status *status)
{
    drone_record *rec = &ret->after;
    drone_wf wf;

    drone_wf_begin(&wf, DRONE_WF_UPDATE, drone_record_carrier(rec), false);
    rec->state = DRONE_CANCELLING;
    rec->drone_id[0] = rec->order_id[0] = '\0';
    rec->ended_at_ms = 0;
    snprintf(rec->message, sizeof(rec->message), "cancelled by the client");
    ret->follow = DRONE_FOLLOW_COMPENSATE;
    tern_code code = drone_outbox_add(store, rec, true, &wf, &ret->message, status);
    return code == TERN_OK ? drone_record_end(store, rec, false, status) : code;
}

/* An id that is not known yet: whatever comes for it later meets this. */
static tern_code leave_tombstone(drone_store *store, const char *id, drone_result *ret,
                                 tern_status *status)
{
    drone_record *rec = &ret->after;

    snprintf(rec->delivery_id, sizeof(rec->delivery_id), "%s", id);
    snprintf(rec->message, sizeof(rec->message), "cancelled before it was scheduled");
    rec->state = DRONE_CANCELLED;
    rec->accepted_at_ms = rec->ended_at_ms = drone_now_ms();
    return drone_record_insert(store, rec, "", "", NULL, status);
}

static tern_code cancel_found(drone_store *store, bool stage_checked, drone_result *ret,
                              drone_reply *reply, tern_status *status)
{
    switch (ret->before.state) {
    case DRONE_RUNNING:
        ret->follow = DRONE_FOLLOW_CANCEL_JOB;
        return drone_record_set_state(store, &ret->after, DRONE_CANCELLING, status);
    case DRONE_SCHEDULED:
        if (stage_checked)
            return cancel_scheduled(store, ret, status);
        ret->follow = DRONE_FOLLOW_CHECK_STAGE;
        return TERN_OK;
    case DRONE_CANCELLING:
    case DRONE_CANCELLED:
        return TERN_OK;
    default:
        drone_reply_fail(reply, TERN_FAILED_PRECONDITION, "delivery %s is %s already",
                         ret->before.delivery_id, drone_state_name(ret->before.state));
        return TERN_FAILED_PRECONDITION;
    }
}

tern_code drone_run_cancel(drone_store *store,
                           const Drone__Scheduler__V1__CancelDeliveryRequest *req,
                           bool stage_checked, drone_result *ret, drone_reply *reply)
{
    Drone__Scheduler__V1__CancelDeliveryRequest unwaited = *req;
    drone_key want = { 0 }, have;
    tern_status status;
    bool known, found;

    unwaited.wait = false;
    want.digest = drone_request_digest("CancelDelivery", &unwaited.base);
    snprintf(want.delivery_id, sizeof(want.delivery_id), "%s", req->delivery_id);
    tern_code code = known_key(store, req->idempotency_key, &want, &have, &known, reply);
    if (code == TERN_OK)
        code = find(store, req->delivery_id, ret, &found, reply);
    if (code != TERN_OK || known)
        return code;
    code = found ? cancel_found(store, stage_checked, ret, reply, &status)
                 : leave_tombstone(store, req->delivery_id, ret, &status);
    if (code == TERN_FAILED_PRECONDITION)
        return code;
    want.revision = ret->after.revision;
    if (code == TERN_OK && ret->follow != DRONE_FOLLOW_CHECK_STAGE)
        code = drone_key_add(store, req->idempotency_key, &want, &status);
    return code == TERN_OK ? TERN_OK : failed(reply, code, &status);
}

/* --- get, report ------------------------------------------------------------------------------ */

tern_code drone_run_get(drone_store *store, const char *delivery_id, drone_result *ret,
                        drone_reply *reply)
{
    bool found;
    tern_code code = find(store, delivery_id, ret, &found, reply);
    return code == TERN_OK && !found ? not_found(reply, delivery_id) : code;
}

tern_code drone_run_report(drone_store *store,
                           const Drone__Scheduler__V1__ReportOutcomeRequest *req, drone_result *ret,
                           drone_reply *reply)
{
    tern_status status;
    bool found;
    tern_code code = find(store, req->delivery_id, ret, &found, reply);

    if (code != TERN_OK)
        return code;
    if (!found)
        return not_found(reply, req->delivery_id);
    int state = ret->before.state;
    if (state == (int)req->state)
        return TERN_OK; /* told before */
    if (state != DRONE_COMPENSATING && state != DRONE_CANCELLING && state != DRONE_PARKED)
        return drone_reply_fail(reply, TERN_FAILED_PRECONDITION,
                                "delivery %s is %s: nothing is being undone", req->delivery_id,
                                drone_state_name(state));
    ret->after.state = (int)req->state;
    ret->after.ended_at_ms = drone_now_ms();
    if (req->message[0] != '\0')
        snprintf(ret->after.message, sizeof(ret->after.message), "%.*s", DRONE_MESSAGE_SIZE - 1,
                 req->message);
    drone_text_trim(ret->after.message);
    code = drone_record_close(store, &ret->after, &status);
    return code == TERN_OK ? TERN_OK : failed(reply, code, &status);
}
