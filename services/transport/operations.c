/* What the Transport service does: it keeps the orders that the third party has confirmed. An
 * order keeps its number when a newer revision changes it, also if it was recalled in between. */
#include "transport/transport.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/geo.h"
#include "common/names.h"
#include "common/revision.h"
#include "common/validate.h"
#include "transport/statements.h"

typedef Drone__Transport__V1__TakeOverRequest take_request;
typedef Drone__Transport__V1__RecallRequest recall_request;
typedef Drone__Transport__V1__GetOrderRequest get_request;

typedef struct order_row {
    drone_stored stored;
    int64_t number; /* 0: none */
} order_row;

static tern_code find(const drone_operation_call *c, const char *delivery_id, order_row *ret)
{
    sqlite3_stmt *stmt = drone_store_stmt(c->store, ORDER_FIND);
    int rc = drone_sql_step(stmt, "t", delivery_id);
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    *ret = (order_row){ .number = 0 };
    if (rc > 0) {
        ret->stored.life = (drone_life)sqlite3_column_int(stmt, 0);
        ret->stored.revision = sqlite3_column_int64(stmt, 1);
        ret->number = sqlite3_column_int64(stmt, 2);
    }
    return TERN_OK;
}

static tern_code answer(const drone_operation_call *c, const char *delivery_id,
                        const order_row *row)
{
    Drone__Transport__V1__Order *res = c->response;
    char number[DRONE_ID_BYTES_MAX];
    snprintf(number, sizeof number, "order-%" PRId64, row->number);
    res->delivery_id = drone_reply_strdup(c->reply, delivery_id);
    res->order_id = drone_reply_strdup(c->reply, number);
    res->revision = row->stored.revision;
    res->state = row->stored.life == DRONE_LIFE_LIVE
                     ? DRONE__TRANSPORT__V1__ORDER_STATE__ORDER_STATE_TAKEN
                     : DRONE__TRANSPORT__V1__ORDER_STATE__ORDER_STATE_RECALLED;
    return res->delivery_id != NULL && res->order_id != NULL ? TERN_OK
                                                             : drone_reply_nomem(c->reply);
}

static tern_code take_check(const void *request, drone_reply *reply)
{
    const take_request *r = request;
    tern_code code = drone_check_change(reply, "change", r->change);
    if (code == TERN_OK) {
        code = drone_check_package(reply, "package", r->package);
    }
    return code != TERN_OK ? code : drone_check_route(reply, "route", r->route);
}

/* Gives an order that has no number yet the next one. */
static tern_code number_order(const drone_operation_call *c, order_row *row)
{
    if (row->number != 0) {
        return TERN_OK;
    }
    sqlite3_stmt *stmt = drone_store_stmt(c->store, ORDER_NUMBER);
    if (drone_sql_step(stmt, "") <= 0) {
        return drone_reply_store(c->reply, c->store);
    }
    row->number = sqlite3_column_int64(stmt, 0);
    return TERN_OK;
}

static tern_code write_order(const drone_operation_call *c, const order_row *row)
{
    const take_request *r = c->request;
    const Drone__Common__V1__Route *route = r->route;
    if (drone_sql_step(drone_store_stmt(c->store, ORDER_PUT), "titiddddiiii",
                       c->change->delivery_id, row->number, r->package->package_id,
                       r->package->weight_g, route->pickup->latitude, route->pickup->longitude,
                       route->dropoff->latitude, route->dropoff->longitude, route->pickup_at_ms,
                       route->deadline_ms, (int64_t)DRONE_LIFE_LIVE, c->change->revision) < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    return TERN_OK;
}

static tern_code take_run(const drone_operation_call *c)
{
    const take_request *r = c->request;
    order_row row;
    tern_code code = find(c, c->change->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    switch (drone_revision_create("order", c->change, c->replay, row.stored, c->reply, &code)) {
    case DRONE_CREATE_REFUSE:
        return code;
    case DRONE_CREATE_REPEAT:
        return answer(c, c->change->delivery_id, &row);
    case DRONE_CREATE_INSERT:
    case DRONE_CREATE_REPLACE:
        break;
    }
    double metres = drone_distance_m(drone_point(r->route->pickup), drone_point(r->route->dropoff));
    if (metres > DRONE_TRANSPORT_ROUTE_M_MAX) {
        return drone_reply_fail(c->reply, TERN_FAILED_PRECONDITION,
                                "the route is %.0f km long, the carrier drives at most %d km",
                                metres / 1000, DRONE_TRANSPORT_ROUTE_M_MAX / 1000);
    }
    code = number_order(c, &row);
    if (code == TERN_OK) {
        code = write_order(c, &row);
    }
    if (code != TERN_OK) {
        return code;
    }
    row.stored = (drone_stored){ DRONE_LIFE_LIVE, c->change->revision };
    return answer(c, c->change->delivery_id, &row);
}

static tern_code recall_check(const void *request, drone_reply *reply)
{
    return drone_check_change(reply, "change", ((const recall_request *)request)->change);
}

static int write_tombstone(const drone_operation_call *c)
{
    return drone_sql_step(drone_store_stmt(c->store, ORDER_PUT), "titiddddiiii",
                          c->change->delivery_id, (int64_t)0, (const char *)NULL, (int64_t)0, 0.0,
                          0.0, 0.0, 0.0, (int64_t)0, (int64_t)0, (int64_t)DRONE_LIFE_TOMBSTONE,
                          c->change->revision);
}

static tern_code recall_run(const drone_operation_call *c)
{
    Drone__Transport__V1__RecallResponse *res = c->response;
    const char *id = c->change->delivery_id;
    order_row row;
    int rc = 0;
    tern_code code = find(c, id, &row);
    if (code != TERN_OK) {
        return code;
    }
    drone_undo undo = drone_revision_undo("order", c->change, row.stored, c->reply, &code);
    switch (undo) {
    case DRONE_UNDO_REFUSE:
        return code;
    case DRONE_UNDO_TOMBSTONE:
        rc = write_tombstone(c);
        break;
    case DRONE_UNDO_UNDO:
        rc = drone_sql_step(drone_store_stmt(c->store, ORDER_UNDO), "tii", id,
                            (int64_t)DRONE_LIFE_UNDONE, c->change->revision);
        break;
    case DRONE_UNDO_RAISE_DONE:
    case DRONE_UNDO_RAISE_NOTHING:
        rc = drone_sql_step(drone_store_stmt(c->store, ORDER_UNDO), "tii", id,
                            (int64_t)row.stored.life, c->change->revision);
        break;
    }
    res->outcome = drone_undo_outcome(undo);
    return rc < 0 ? drone_reply_store(c->reply, c->store) : TERN_OK;
}

static tern_code get_check(const void *request, drone_reply *reply)
{
    return drone_check_id(reply, "delivery_id", ((const get_request *)request)->delivery_id);
}

static tern_code get_run(const drone_operation_call *c)
{
    const get_request *r = c->request;
    order_row row;
    tern_code code = find(c, r->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    if (row.stored.life == DRONE_LIFE_NONE || row.stored.life == DRONE_LIFE_TOMBSTONE) {
        return drone_reply_fail(c->reply, TERN_NOT_FOUND, "delivery %s has no order",
                                r->delivery_id);
    }
    return answer(c, r->delivery_id, &row);
}

const drone_operation drone_transport_take_over = { .name = "TakeOver",
                                                    .check = take_check,
                                                    .run = take_run,
                                                    .change_offset =
                                                        offsetof(take_request, change) };
const drone_operation drone_transport_recall = { .name = "Recall",
                                                 .check = recall_check,
                                                 .run = recall_run,
                                                 .change_offset =
                                                     offsetof(recall_request, change) };
const drone_operation drone_transport_get = { .name = "GetOrder",
                                              .check = get_check,
                                              .run = get_run,
                                              .change_offset = DRONE_NO_CHANGE,
                                              .reads_only = true };
