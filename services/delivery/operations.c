/* What the Delivery service does. The stages that follow from a drone's flight are beyond these
 * operations; they only refuse what comes too late for them:
 *
 *     CREATED --update--> RESCHEDULED --update--> RESCHEDULED
 *     either of them, or HEADED_TO_PICKUP --cancel--> CANCELLED
 *     HEADED_TO_DROPOFF and COMPLETED can neither be updated nor cancelled */
#include "delivery/delivery.h"

#include "common/revision.h"
#include "common/validate.h"
#include "delivery/statements.h"

typedef Drone__Delivery__V1__CreateDeliveryRequest create_request;
typedef Drone__Delivery__V1__UpdateDeliveryRequest update_request;
typedef Drone__Delivery__V1__CancelDeliveryRequest cancel_request;
typedef Drone__Delivery__V1__GetDeliveryRequest get_request;
typedef Drone__Delivery__V1__Stage stage_type;
typedef Drone__Common__V1__Route route_message;

/* --- checks ----------------------------------------------------------------------------------- */

static tern_code check_carrier(drone_reply *reply, const char *drone_id, const char *order_id)
{
    tern_code code = drone_check_id_or_empty(reply, "drone_id", drone_id);
    if (code == TERN_OK) {
        code = drone_check_id_or_empty(reply, "order_id", order_id);
    }
    if (code == TERN_OK && (drone_id[0] == '\0') == (order_id[0] == '\0')) {
        code = drone_reply_fail(reply, TERN_INVALID_ARGUMENT,
                                "drone_id: exactly one of drone_id and order_id must be set");
    }
    return code;
}

static tern_code create_check(const void *request, drone_reply *reply)
{
    const create_request *r = request;
    tern_code code = drone_check_change(reply, "change", r->change);
    if (code == TERN_OK) {
        code = drone_check_owner(reply, "owner", r->owner);
    }
    if (code == TERN_OK) {
        code = drone_check_route(reply, "route", r->route);
    }
    if (code == TERN_OK) {
        code = drone_check_enum(reply, "confirmation", (int)r->confirmation,
                                &drone__common__v1__confirmation_type__descriptor);
    }
    if (code == TERN_OK) {
        code = drone_check_id(reply, "package_id", r->package_id);
    }
    return code != TERN_OK ? code : check_carrier(reply, r->drone_id, r->order_id);
}

static tern_code update_check(const void *request, drone_reply *reply)
{
    const update_request *r = request;
    tern_code code = drone_check_change(reply, "change", r->change);
    if (code == TERN_OK) {
        code = drone_check_route(reply, "route", r->route);
    }
    if (code == TERN_OK) {
        code = drone_check_enum(reply, "confirmation", (int)r->confirmation,
                                &drone__common__v1__confirmation_type__descriptor);
    }
    return code != TERN_OK ? code : check_carrier(reply, r->drone_id, r->order_id);
}

static tern_code cancel_check(const void *request, drone_reply *reply)
{
    return drone_check_change(reply, "change", ((const cancel_request *)request)->change);
}

static tern_code get_check(const void *request, drone_reply *reply)
{
    return drone_check_id(reply, "delivery_id", ((const get_request *)request)->delivery_id);
}

/* --- rows ------------------------------------------------------------------------------------- */

typedef struct delivery_row {
    drone_stored stored;
    stage_type stage;
    sqlite3_stmt *stmt; /* stands on the row, for answer() */
} delivery_row;

static tern_code find(const drone_operation_call *c, const char *delivery_id, delivery_row *ret)
{
    sqlite3_stmt *stmt = drone_store_stmt(c->store, DELIVERY_FIND);
    int rc = drone_sql_step(stmt, "t", delivery_id);
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    *ret = (delivery_row){ .stmt = stmt };
    if (rc > 0) {
        ret->stored.life = (drone_life)sqlite3_column_int(stmt, 0);
        ret->stored.revision = sqlite3_column_int64(stmt, 1);
        ret->stage = (stage_type)sqlite3_column_int(stmt, 2);
    }
    return TERN_OK;
}

static Drone__Common__V1__Location *read_location(drone_reply *reply, sqlite3_stmt *stmt,
                                                  int column)
{
    Drone__Common__V1__Location *location = drone_reply_alloc(reply, sizeof *location);
    if (location != NULL) {
        drone__common__v1__location__init(location);
        location->latitude = sqlite3_column_double(stmt, column);
        location->longitude = sqlite3_column_double(stmt, column + 1);
        location->altitude_m = sqlite3_column_double(stmt, column + 2);
    }
    return location;
}

/* Fills the response from the row that `stmt` stands on. */
static tern_code answer_row(const drone_operation_call *c, const char *delivery_id,
                            sqlite3_stmt *stmt)
{
    Drone__Delivery__V1__Delivery *res = c->response;
    Drone__Common__V1__Owner *owner = drone_reply_alloc(c->reply, sizeof *owner);
    route_message *route = drone_reply_alloc(c->reply, sizeof *route);
    if (owner == NULL || route == NULL) {
        return drone_reply_nomem(c->reply);
    }
    drone__common__v1__owner__init(owner);
    drone__common__v1__route__init(route);
    res->revision = sqlite3_column_int64(stmt, 1);
    res->stage = (stage_type)sqlite3_column_int(stmt, 2);
    owner->user_id = drone_reply_strdup(c->reply, drone_sql_text(stmt, 3));
    owner->account_id = drone_reply_strdup(c->reply, drone_sql_text(stmt, 4));
    res->package_id = drone_reply_strdup(c->reply, drone_sql_text(stmt, 5));
    route->pickup = read_location(c->reply, stmt, 6);
    route->dropoff = read_location(c->reply, stmt, 9);
    route->pickup_at_ms = sqlite3_column_int64(stmt, 12);
    route->deadline_ms = sqlite3_column_int64(stmt, 13);
    res->expedited = sqlite3_column_int(stmt, 14) != 0;
    res->confirmation = (Drone__Common__V1__ConfirmationType)sqlite3_column_int(stmt, 15);
    res->drone_id = drone_reply_strdup(c->reply, drone_sql_text(stmt, 16));
    res->order_id = drone_reply_strdup(c->reply, drone_sql_text(stmt, 17));
    res->delivery_id = drone_reply_strdup(c->reply, delivery_id);
    res->owner = owner;
    res->route = route;
    if (owner->user_id == NULL || owner->account_id == NULL || res->package_id == NULL ||
        route->pickup == NULL || route->dropoff == NULL || res->drone_id == NULL ||
        res->order_id == NULL || res->delivery_id == NULL) {
        return drone_reply_nomem(c->reply);
    }
    return TERN_OK;
}

/* Reads the delivery that was just written and answers it. */
static tern_code answer_written(const drone_operation_call *c)
{
    delivery_row row;
    tern_code code = find(c, c->change->delivery_id, &row);
    return code != TERN_OK ? code : answer_row(c, c->change->delivery_id, row.stmt);
}

/* --- operations ------------------------------------------------------------------------------- */

static tern_code create_run(const drone_operation_call *c)
{
    const create_request *r = c->request;
    const route_message *route = r->route;
    delivery_row row;
    tern_code code = find(c, c->change->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    if (row.stored.life == DRONE_LIFE_LIVE && !c->replay) {
        return drone_reply_fail(c->reply, TERN_ALREADY_EXISTS,
                                "delivery %s exists already, from another request",
                                c->change->delivery_id);
    }
    switch (drone_revision_create("delivery", c->change, c->replay, row.stored, c->reply, &code)) {
    case DRONE_CREATE_REFUSE:
        return code;
    case DRONE_CREATE_REPEAT:
        return answer_row(c, c->change->delivery_id, row.stmt);
    case DRONE_CREATE_INSERT:
    case DRONE_CREATE_REPLACE:
        break;
    }
    if (drone_sql_step(drone_store_stmt(c->store, DELIVERY_PUT), "tiddddddiiiittttt",
                       c->change->delivery_id, c->change->revision, route->pickup->latitude,
                       route->pickup->longitude, route->pickup->altitude_m,
                       route->dropoff->latitude, route->dropoff->longitude,
                       route->dropoff->altitude_m, route->pickup_at_ms, route->deadline_ms,
                       (int64_t)r->expedited, (int64_t)r->confirmation, r->drone_id, r->order_id,
                       r->owner->user_id, r->owner->account_id, r->package_id) < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    return answer_written(c);
}

/* Whether the package is still where it was, so that the delivery can be changed or cancelled. */
static tern_code check_not_picked_up(const drone_operation_call *c, stage_type stage,
                                     stage_type last_allowed)
{
    if (stage == DRONE__DELIVERY__V1__STAGE__STAGE_COMPLETED) {
        return drone_reply_fail(c->reply, TERN_FAILED_PRECONDITION, "delivery %s is completed",
                                c->change->delivery_id);
    }
    if (stage > last_allowed) {
        return drone_reply_fail(
            c->reply, TERN_FAILED_PRECONDITION,
            "delivery %s is on its way: the drone is headed to the %s", c->change->delivery_id,
            stage == DRONE__DELIVERY__V1__STAGE__STAGE_HEADED_TO_PICKUP ? "pickup" : "dropoff");
    }
    return TERN_OK;
}

static tern_code write_update(const drone_operation_call *c)
{
    const update_request *r = c->request;
    const route_message *route = r->route;
    if (drone_sql_step(drone_store_stmt(c->store, DELIVERY_RESCHEDULE), "tiddddddiiiitt",
                       c->change->delivery_id, c->change->revision, route->pickup->latitude,
                       route->pickup->longitude, route->pickup->altitude_m,
                       route->dropoff->latitude, route->dropoff->longitude,
                       route->dropoff->altitude_m, route->pickup_at_ms, route->deadline_ms,
                       (int64_t)r->expedited, (int64_t)r->confirmation, r->drone_id,
                       r->order_id) < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    return answer_written(c);
}

static tern_code update_run(const drone_operation_call *c)
{
    delivery_row row;
    tern_code code = find(c, c->change->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    if (row.stored.life == DRONE_LIFE_NONE || row.stored.life == DRONE_LIFE_TOMBSTONE) {
        return drone_reply_fail(c->reply, TERN_NOT_FOUND, "there is no delivery %s",
                                c->change->delivery_id);
    }
    if (row.stored.life == DRONE_LIFE_UNDONE) {
        return drone_reply_fail(c->reply, TERN_FAILED_PRECONDITION, "delivery %s is cancelled",
                                c->change->delivery_id);
    }
    switch (drone_revision_create("delivery", c->change, c->replay, row.stored, c->reply, &code)) {
    case DRONE_CREATE_REFUSE:
        return code;
    case DRONE_CREATE_REPEAT:
        return answer_row(c, c->change->delivery_id, row.stmt);
    case DRONE_CREATE_INSERT:
    case DRONE_CREATE_REPLACE:
        break;
    }
    code = check_not_picked_up(c, row.stage, DRONE__DELIVERY__V1__STAGE__STAGE_RESCHEDULED);
    return code != TERN_OK ? code : write_update(c);
}

static tern_code cancel_run(const drone_operation_call *c)
{
    Drone__Delivery__V1__CancelDeliveryResponse *res = c->response;
    const char *id = c->change->delivery_id;
    delivery_row row;
    int rc = 0;
    tern_code code = find(c, id, &row);
    if (code != TERN_OK) {
        return code;
    }
    drone_undo undo = drone_revision_undo("delivery", c->change, row.stored, c->reply, &code);
    switch (undo) {
    case DRONE_UNDO_REFUSE:
        return code;
    case DRONE_UNDO_TOMBSTONE:
        rc = drone_sql_step(drone_store_stmt(c->store, DELIVERY_TOMBSTONE), "ti", id,
                            c->change->revision);
        break;
    case DRONE_UNDO_UNDO:
        code =
            check_not_picked_up(c, row.stage, DRONE__DELIVERY__V1__STAGE__STAGE_HEADED_TO_PICKUP);
        if (code != TERN_OK) {
            return code;
        }
        rc = drone_sql_step(drone_store_stmt(c->store, DELIVERY_UNDO), "tii", id,
                            (int64_t)DRONE_LIFE_UNDONE, c->change->revision);
        break;
    case DRONE_UNDO_RAISE_DONE:
    case DRONE_UNDO_RAISE_NOTHING:
        rc = drone_sql_step(drone_store_stmt(c->store, DELIVERY_UNDO), "tii", id,
                            (int64_t)row.stored.life, c->change->revision);
        break;
    }
    res->outcome = drone_undo_outcome(undo);
    return rc < 0 ? drone_reply_store(c->reply, c->store) : TERN_OK;
}

static tern_code get_run(const drone_operation_call *c)
{
    const get_request *r = c->request;
    delivery_row row;
    tern_code code = find(c, r->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    if (row.stored.life == DRONE_LIFE_NONE || row.stored.life == DRONE_LIFE_TOMBSTONE) {
        return drone_reply_fail(c->reply, TERN_NOT_FOUND, "there is no delivery %s",
                                r->delivery_id);
    }
    return answer_row(c, r->delivery_id, row.stmt);
}

const drone_operation drone_delivery_create = { .name = "CreateDelivery",
                                                .check = create_check,
                                                .run = create_run,
                                                .change_offset = offsetof(create_request, change) };
const drone_operation drone_delivery_update = { .name = "UpdateDelivery",
                                                .check = update_check,
                                                .run = update_run,
                                                .change_offset = offsetof(update_request, change) };
const drone_operation drone_delivery_cancel = { .name = "CancelDelivery",
                                                .check = cancel_check,
                                                .run = cancel_run,
                                                .change_offset = offsetof(cancel_request, change) };
const drone_operation drone_delivery_get = { .name = "GetDelivery",
                                             .check = get_check,
                                             .run = get_run,
                                             .change_offset = DRONE_NO_CHANGE,
                                             .reads_only = true };
