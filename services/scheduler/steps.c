/* The calls of a workflow: one function for each, which builds the request from the delivery's
 * and takes from the answer what the next steps need. */
#include <math.h>
#include <stdio.h>

#include "common/geo.h"
#include "scheduler/engine.h"

#include <drone/account/v1/account.tern.h>
#include <drone/delivery/v1/delivery.tern.h>
#include <drone/drone/v1/drone.tern.h>
#include <drone/package/v1/package.tern.h>
#include <drone/transport/v1/transport.tern.h>

#define PRICE_BASE_CENTS 500
#define PRICE_CENTS_PER_KM 100.0
#define PRICE_CENTS_PER_KG 50

/* What every call is given. */
typedef struct step_call {
    drone_job *job;
    tern_channel *channel;
    tern_call_options options;
    const Drone__Scheduler__V1__DeliveryRequest *body;
    Drone__Common__V1__Change change;
    char delivery_id[DRONE_KEY_SIZE];
    char key[DRONE_KEY_SIZE];
    bool able;
    tern_status *reterr;
} step_call;

int64_t drone_price_cents(const Drone__Scheduler__V1__DeliveryRequest *request)
{
    double km = drone_distance_m(drone_point(request->route->pickup),
                                 drone_point(request->route->dropoff)) /
                1000.0;
    return PRICE_BASE_CENTS + (int64_t)llround(km * PRICE_CENTS_PER_KM) +
           request->package->weight_g * PRICE_CENTS_PER_KG / 1000;
}

static tern_code hold(step_call *c)
{
    Drone__Account__V1__PlaceHoldRequest req = DRONE__ACCOUNT__V1__PLACE_HOLD_REQUEST__INIT;
    Drone__Account__V1__Hold *res;

    req.change = &c->change;
    req.account_id = c->body->owner->account_id;
    req.amount_cents = drone_price_cents(c->body);
    tern_code code =
        drone_account_v1_account_service_place_hold(c->channel, &c->options, &req, &res, c->reterr);
    if (code == TERN_OK)
        drone__account__v1__hold__free_unpacked(res, NULL);
    return code;
}

static tern_code package(step_call *c)
{
    Drone__Package__V1__PutPackageRequest req = DRONE__PACKAGE__V1__PUT_PACKAGE_REQUEST__INIT;
    Drone__Package__V1__DeliveryPackage *res;

    req.change = &c->change;
    req.package = c->body->package;
    tern_code code = drone_package_v1_package_service_put_package(c->channel, &c->options, &req,
                                                                  &res, c->reterr);
    if (code == TERN_OK)
        drone__package__v1__delivery_package__free_unpacked(res, NULL);
    return code;
}

static tern_code can_carry(step_call *c)
{
    Drone__Drone__V1__CanCarryRequest req = DRONE__DRONE__V1__CAN_CARRY_REQUEST__INIT;
    Drone__Drone__V1__CanCarryResponse *res;

    req.package = c->body->package;
    req.pickup = c->body->route->pickup;
    req.dropoff = c->body->route->dropoff;
    tern_code code =
        drone_drone_v1_drone_service_can_carry(c->channel, &c->options, &req, &res, c->reterr);
    if (code == TERN_OK) {
        c->able = res->able;
        drone__drone__v1__can_carry_response__free_unpacked(res, NULL);
    }
    return code;
}

static tern_code take_over(step_call *c)
{
    Drone__Transport__V1__TakeOverRequest req = DRONE__TRANSPORT__V1__TAKE_OVER_REQUEST__INIT;
    Drone__Transport__V1__Order *res;

    req.change = &c->change;
    req.package = c->body->package;
    req.route = c->body->route;
    tern_code code = drone_transport_v1_transport_service_take_over(c->channel, &c->options, &req,
                                                                    &res, c->reterr);
    if (code == TERN_OK) {
        snprintf(c->job->order_id, sizeof(c->job->order_id), "%s", res->order_id);
        drone__transport__v1__order__free_unpacked(res, NULL);
    }
    return code;
}

static tern_code assign(step_call *c)
{
    Drone__Drone__V1__AssignDroneRequest req = DRONE__DRONE__V1__ASSIGN_DRONE_REQUEST__INIT;
    Drone__Drone__V1__Assignment *res;

    req.change = &c->change;
    req.package = c->body->package;
    req.route = c->body->route;
    req.expedited = c->body->expedited;
    tern_code code =
        drone_drone_v1_drone_service_assign_drone(c->channel, &c->options, &req, &res, c->reterr);
    if (code == TERN_OK) {
        snprintf(c->job->drone_id, sizeof(c->job->drone_id), "%s", res->drone_id);
        drone__drone__v1__assignment__free_unpacked(res, NULL);
    }
    return code;
}

static tern_code create_delivery(step_call *c, char *drone_id, char *order_id)
{
    Drone__Delivery__V1__CreateDeliveryRequest req =
        DRONE__DELIVERY__V1__CREATE_DELIVERY_REQUEST__INIT;
    Drone__Delivery__V1__Delivery *res;

    req.change = &c->change;
    req.owner = c->body->owner;
    req.route = c->body->route;
    req.expedited = c->body->expedited;
    req.confirmation = c->body->confirmation;
    req.package_id = c->body->package->package_id;
    req.drone_id = drone_id;
    req.order_id = order_id;
    tern_code code = drone_delivery_v1_delivery_service_create_delivery(c->channel, &c->options,
                                                                        &req, &res, c->reterr);
    if (code == TERN_OK)
        drone__delivery__v1__delivery__free_unpacked(res, NULL);
    return code;
}

static tern_code update_delivery(step_call *c, char *drone_id, char *order_id)
{
    Drone__Delivery__V1__UpdateDeliveryRequest req =
        DRONE__DELIVERY__V1__UPDATE_DELIVERY_REQUEST__INIT;
    Drone__Delivery__V1__Delivery *res;

    req.change = &c->change;
    req.route = c->body->route;
    req.expedited = c->body->expedited;
    req.confirmation = c->body->confirmation;
    req.drone_id = drone_id;
    req.order_id = order_id;
    tern_code code = drone_delivery_v1_delivery_service_update_delivery(c->channel, &c->options,
                                                                        &req, &res, c->reterr);
    if (code == TERN_OK)
        drone__delivery__v1__delivery__free_unpacked(res, NULL);
    return code;
}

static tern_code delivery(step_call *c)
{
    char none[1] = "";
    bool by_drone = c->job->wf.carrier == DRONE_CARRIER_DRONE;
    char *drone_id = by_drone ? c->job->drone_id : none;
    char *order_id = by_drone ? none : c->job->order_id;

    return c->job->wf.kind == DRONE_WF_SCHEDULE ? create_delivery(c, drone_id, order_id)
                                                : update_delivery(c, drone_id, order_id);
}

tern_code drone_step_call(drone_job *job, bool *ret_able, tern_status *reterr)
{
    static const struct {
        tern_code (*call)(step_call *);
        enum drone_backend backend;
    } calls[DRONE_WF_N_CALLS] = {
        [DRONE_WF_CALL_HOLD] = { hold, DRONE_BACKEND_ACCOUNT },
        [DRONE_WF_CALL_PACKAGE] = { package, DRONE_BACKEND_PACKAGE },
        [DRONE_WF_CALL_CAN_CARRY] = { can_carry, DRONE_BACKEND_DRONE },
        [DRONE_WF_CALL_TAKE_OVER] = { take_over, DRONE_BACKEND_TRANSPORT },
        [DRONE_WF_CALL_ASSIGN] = { assign, DRONE_BACKEND_DRONE },
        [DRONE_WF_CALL_DELIVERY] = { delivery, DRONE_BACKEND_DELIVERY },
    };
    const drone_backends *b = &job->scheduler->backends;
    drone_wf_action at = job->wf.at;

    if (at == DRONE_WF_CALL_DROP_DRONE || at == DRONE_WF_CALL_DROP_ORDER)
        return drone_backends_undo(b, drone_wf_step_of(at), job->rec.delivery_id, job->rec.revision,
                                   reterr);
    step_call c = { .job = job,
                    .channel = b->channels[calls[at].backend],
                    .options = drone_backends_call(b),
                    .body = job->request,
                    .change = DRONE__COMMON__V1__CHANGE__INIT,
                    .reterr = reterr };
    snprintf(c.delivery_id, sizeof(c.delivery_id), "%s", job->rec.delivery_id);
    drone_change_key(c.delivery_id, job->rec.revision, false, c.key);
    c.change.delivery_id = c.delivery_id;
    c.change.revision = job->rec.revision;
    c.change.idempotency_key = c.key;
    tern_code code = calls[at].call(&c);
    *ret_able = c.able;
    return code;
}
