/* Looking up: requests at the Scheduler, or here when it does not know them yet; deliveries at the
 * Delivery service. See engine.h. */
#include <string.h>

#include "ingestion/engine.h"
#include "ingestion/paths.h"
#include <drone/delivery/v1/delivery.tern.h>
#include <drone/scheduler/v1/scheduler.tern.h>

static tern_call_options call_options(const drone_ingestion *g)
{
    tern_call_options o = TERN_CALL_OPTIONS_INIT;
    o.timeout_ms = g->lookup_timeout_ms;
    o.context = g->context;
    return o;
}

static void fail(drone_lookup *l, const tern_status *st)
{
    drone_answer_failure(l->answer, st->code, st->message);
    l->done(l);
}

/* --- requests --------------------------------------------------------------------------------- */

static void pending_done(drone_pending *p, tern_code code)
{
    drone_lookup *l = p->ctx;
    if (code != TERN_OK)
        drone_answer_problem(l->answer, 503, "the store has too much to do; come again later");
    else if (p->found)
        drone_answer_waiting(l->answer, l->id);
    else
        drone_answer_problem(l->answer, 404, "no delivery of this id was requested");
    l->done(l);
}

static void on_request(void *ctx, const tern_status *st,
                       const Drone__Scheduler__V1__DeliveryStatus *res)
{
    drone_lookup *l = ctx;
    if (st->code == TERN_NOT_FOUND) {
        l->pending = (drone_pending){ .delivery_id = l->id, .ctx = l, .done = pending_done };
        if (!drone_pending_start(l->ingestion, &l->pending))
            pending_done(&l->pending, TERN_UNAVAILABLE);
        return;
    }
    if (st->code != TERN_OK) {
        fail(l, st);
        return;
    }
    drone_answer_request(l->answer, res);
    l->done(l);
}

/* --- deliveries ------------------------------------------------------------------------------- */

static void on_delivery(void *ctx, const tern_status *st, const Drone__Delivery__V1__Delivery *res)
{
    drone_lookup *l = ctx;
    if (st->code != TERN_OK) {
        fail(l, st);
        return;
    }
    if (l->resource == DRONE_RESOURCE_STATUS)
        drone_answer_status(l->answer, res);
    else if (l->resource == DRONE_RESOURCE_OWNER)
        drone_answer_owner(l->answer, res);
    else
        drone_answer_delivery(l->answer, res);
    l->done(l);
}

void drone_lookup_start(drone_lookup *l)
{
    const drone_ingestion *g = l->ingestion;
    tern_call_options o = call_options(g);
    tern_status st;
    tern_code code;
    char id[DRONE_PATH_ID_SIZE];
    memcpy(id, l->id, strlen(l->id) + 1);
    if (l->resource == DRONE_RESOURCE_REQUEST) {
        Drone__Scheduler__V1__GetDeliveryRequest req =
            DRONE__SCHEDULER__V1__GET_DELIVERY_REQUEST__INIT;
        req.delivery_id = id;
        code = drone_scheduler_v1_scheduler_service_get_delivery_start(g->scheduler, &o, &req,
                                                                       on_request, l, &st);
    } else {
        Drone__Delivery__V1__GetDeliveryRequest req =
            DRONE__DELIVERY__V1__GET_DELIVERY_REQUEST__INIT;
        req.delivery_id = id;
        code = drone_delivery_v1_delivery_service_get_delivery_start(g->delivery, &o, &req,
                                                                     on_delivery, l, &st);
    }
    if (code != TERN_OK)
        fail(l, &st);
}
