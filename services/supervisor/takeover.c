/* See takeover.h. */
#include "supervisor/takeover.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/names.h"
#include "common/operation.h"
#include "common/validate.h"
#include "scheduler/requests.h"

#define STEPS_MAX 5
#define REASON_BYTES_MAX 1024

tern_code drone_check_compensate(drone_reply *reply,
                                 const Drone__Supervisor__V1__CompensateRequest *req)
{
    tern_code code = drone_check_id(reply, "message_id", req->message_id);
    if (code == TERN_OK)
        code = drone_check_delivery_id(reply, "delivery_id", req->delivery_id);
    if (code == TERN_OK)
        code = drone_check_int(reply, "revision", req->revision, 1, DRONE_REVISION_MAX);
    if (code == TERN_OK)
        code = drone_check_enum(reply, "cause", (int)req->cause,
                                &drone__supervisor__v1__cause__descriptor);
    if (code == TERN_OK && req->n_steps > STEPS_MAX)
        code = drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "steps: more than %d", STEPS_MAX);
    for (size_t i = 0; i < req->n_steps && code == TERN_OK; i++) {
        char field[48];
        snprintf(field, sizeof(field), "steps[%zu].step", i);
        code = drone_check_enum(reply, field, (int)req->steps[i]->step,
                                &drone__scheduler__v1__step__descriptor);
    }
    return code == TERN_OK ? drone_check_text(reply, "reason", req->reason, REASON_BYTES_MAX)
                           : code;
}

static tern_code insert(drone_store *store, const Drone__Supervisor__V1__CompensateRequest *req,
                        int64_t digest, drone_takeover *ret, drone_reply *reply)
{
    tern_status status;
    size_t len = drone__supervisor__v1__compensate_request__get_packed_size(req);
    uint8_t *body = malloc(len);

    if (!body)
        return drone_reply_nomem(reply);
    drone__supervisor__v1__compensate_request__pack(req, body);
    ret->comp = (drone_comp){ .revision = req->revision,
                              .state = DRONE_COMP_PENDING,
                              .cause = (int)req->cause,
                              .digest = digest,
                              .created_at_ms = drone_now_ms() };
    snprintf(ret->comp.message_id, sizeof(ret->comp.message_id), "%s", req->message_id);
    snprintf(ret->comp.delivery_id, sizeof(ret->comp.delivery_id), "%s", req->delivery_id);
    ret->changed = true;
    tern_code code = drone_comp_insert(store, &ret->comp, body, len, &status);
    free(body);
    return code == TERN_OK ? TERN_OK : drone_reply_fail(reply, code, "%s", status.message);
}

tern_code drone_run_compensate(drone_store *store,
                               const Drone__Supervisor__V1__CompensateRequest *req,
                               drone_takeover *ret, drone_reply *reply)
{
    int64_t digest = drone_request_digest("Compensate", &req->base);
    tern_status status;
    bool found;
    tern_code code = drone_comp_find(store, req->message_id, &ret->comp, &found, &status);

    if (code != TERN_OK)
        return drone_reply_fail(reply, code, "%s", status.message);
    if (!found)
        return insert(store, req, digest, ret, reply);
    ret->before = ret->comp.state;
    if (ret->comp.digest != digest)
        return drone_reply_fail(reply, TERN_ABORTED, "message_id: %s was used for another message",
                                req->message_id);
    return TERN_OK;
}

void drone_takeover_follow(drone_supervisor *s, const drone_takeover *t)
{
    if (t->before != t->comp.state)
        drone_supervisor_count(s, t->before, t->comp.state);
    if (t->changed)
        drone_supervisor_take_up(s, t->comp.message_id);
}
