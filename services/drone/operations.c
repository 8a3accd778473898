/* What the Drone service does. The store is the truth and the fleet its index: a reservation is
 * written first and marked in memory once nothing can fail any more. Both belong to the writing
 * thread.
 *
 * Moving a reservation (a newer revision) frees the old one for the search, so that it may
 * overlap the new one, and marks it again when nothing was found or written. */
#include "drone/drone.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/names.h"
#include "common/revision.h"
#include "common/validate.h"
#include "drone/statements.h"

#define DAY_MS 86400000

typedef Drone__Drone__V1__AssignDroneRequest assign_request;
typedef Drone__Drone__V1__CancelAssignmentRequest cancel_request;
typedef Drone__Drone__V1__GetAssignmentRequest get_request;

typedef struct flight_row {
    drone_stored stored;
    drone_flight flight;
} flight_row;

static tern_code find(const drone_operation_call *c, const char *delivery_id, flight_row *ret)
{
    sqlite3_stmt *stmt = drone_store_stmt(c->store, FLIGHT_FIND);
    int rc = drone_sql_step(stmt, "t", delivery_id);
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    *ret = (flight_row){ .stored = { DRONE_LIFE_NONE, 0 } };
    if (rc > 0) {
        ret->stored.life = (drone_life)sqlite3_column_int(stmt, 0);
        ret->stored.revision = sqlite3_column_int64(stmt, 1);
        ret->flight.squad = sqlite3_column_int64(stmt, 2);
        ret->flight.drone = sqlite3_column_int64(stmt, 3);
        ret->flight.first_slot = sqlite3_column_int64(stmt, 4);
        ret->flight.last_slot = sqlite3_column_int64(stmt, 5);
        ret->flight.start_at_ms = sqlite3_column_int64(stmt, 6);
        ret->flight.arrival_at_ms = sqlite3_column_int64(stmt, 7);
        ret->flight.end_at_ms = sqlite3_column_int64(stmt, 8);
    }
    return TERN_OK;
}

static tern_code answer(const drone_operation_call *c, const char *delivery_id,
                        const flight_row *row)
{
    Drone__Drone__V1__Assignment *res = c->response;
    char drone_id[DRONE_ID_BYTES_MAX];
    snprintf(drone_id, sizeof drone_id, "drone-%" PRId64 "-%" PRId64, row->flight.squad,
             row->flight.drone);
    res->delivery_id = drone_reply_strdup(c->reply, delivery_id);
    res->drone_id = drone_reply_strdup(c->reply, drone_id);
    res->start_at_ms = row->flight.start_at_ms;
    res->arrival_at_ms = row->flight.arrival_at_ms;
    res->end_at_ms = row->flight.end_at_ms;
    res->revision = row->stored.revision;
    res->state = row->stored.life == DRONE_LIFE_LIVE
                     ? DRONE__DRONE__V1__ASSIGNMENT_STATE__ASSIGNMENT_STATE_ASSIGNED
                     : DRONE__DRONE__V1__ASSIGNMENT_STATE__ASSIGNMENT_STATE_CANCELLED;
    return res->delivery_id != NULL && res->drone_id != NULL ? TERN_OK
                                                             : drone_reply_nomem(c->reply);
}

/* --- assigning -------------------------------------------------------------------------------- */

static tern_code assign_check(const void *request, drone_reply *reply)
{
    const assign_request *r = request;
    tern_code code = drone_check_change(reply, "change", r->change);
    if (code == TERN_OK) {
        code = drone_check_package(reply, "package", r->package);
    }
    return code != TERN_OK ? code : drone_check_route(reply, "route", r->route);
}

static tern_code check_pickup_time(const drone_operation_call *c, int64_t pickup_at_ms,
                                   int64_t now_ms)
{
    if (pickup_at_ms < now_ms - DRONE_BEHIND_DAYS_MAX * (int64_t)DAY_MS) {
        return drone_reply_fail(c->reply, TERN_FAILED_PRECONDITION,
                                "the pickup time lies more than %d day back",
                                DRONE_BEHIND_DAYS_MAX);
    }
    if (pickup_at_ms > now_ms + DRONE_AHEAD_DAYS_MAX * (int64_t)DAY_MS) {
        return drone_reply_fail(c->reply, TERN_FAILED_PRECONDITION,
                                "the pickup time lies more than %d days ahead",
                                DRONE_AHEAD_DAYS_MAX);
    }
    return TERN_OK;
}

/* Refuses a package that another delivery's drone carries. */
static tern_code check_package_free(const drone_operation_call *c, const char *package_id)
{
    sqlite3_stmt *stmt = drone_store_stmt(c->store, FLIGHT_OF_PACKAGE);
    int rc = drone_sql_step(stmt, "t", package_id);
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    if (rc > 0 && strcmp(drone_sql_text(stmt, 0), c->change->delivery_id) != 0) {
        return drone_reply_fail(c->reply, TERN_FAILED_PRECONDITION,
                                "package %s has a drone already, for delivery %s", package_id,
                                drone_sql_text(stmt, 0));
    }
    return TERN_OK;
}

static tern_code not_found(drone_reply *reply, drone_found why)
{
    switch (why) {
    case DRONE_TOO_HEAVY:
        return drone_reply_fail(reply, TERN_FAILED_PRECONDITION,
                                "no drone of the fleet carries so heavy or large a package");
    case DRONE_TOO_FAR:
        return drone_reply_fail(reply, TERN_FAILED_PRECONDITION,
                                "no drone that carries the package flies so far");
    case DRONE_TOO_LATE:
        return drone_reply_fail(reply, TERN_FAILED_PRECONDITION,
                                "no drone arrives before the deadline");
    case DRONE_ALL_BUSY:
        return drone_reply_fail(reply, TERN_RESOURCE_EXHAUSTED,
                                "every drone that could is reserved at that time");
    case DRONE_FOUND:
        break;
    }
    return TERN_OK;
}

static drone_errand errand_of(const Drone__Common__V1__Package *package,
                              const Drone__Common__V1__Location *pickup,
                              const Drone__Common__V1__Location *dropoff)
{
    return (drone_errand){ .pickup = drone_point(pickup),
                           .dropoff = drone_point(dropoff),
                           .weight_g = package->weight_g,
                           .size = (int64_t)package->size };
}

/* Finds a drone, writes the reservation, and marks it. The old one is free while this runs. */
static tern_code book(const drone_operation_call *c, int64_t now_ms, drone_flight *ret)
{
    const assign_request *r = c->request;
    drone_hangar *hangar = c->service;
    drone_errand errand = errand_of(r->package, r->route->pickup, r->route->dropoff);
    errand.pickup_at_ms = r->route->pickup_at_ms;
    errand.deadline_ms = r->route->deadline_ms;
    errand.expedited = r->expedited != 0;
    drone_found found = drone_fleet_find(hangar->fleet, &errand, now_ms, ret);
    if (found != DRONE_FOUND) {
        return not_found(c->reply, found);
    }
    if (drone_sql_step(drone_store_stmt(c->store, FLIGHT_PUT), "ttiiiiiiii", c->change->delivery_id,
                       r->package->package_id, ret->squad, ret->drone, ret->first_slot,
                       ret->last_slot, ret->start_at_ms, ret->arrival_at_ms, ret->end_at_ms,
                       c->change->revision) < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    return TERN_OK;
}

static tern_code assign_run(const drone_operation_call *c)
{
    const assign_request *r = c->request;
    drone_hangar *hangar = c->service;
    int64_t now_ms = hangar->now_ms();
    flight_row row;
    tern_code code = find(c, c->change->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    switch (drone_revision_create("drone", c->change, c->replay, row.stored, c->reply, &code)) {
    case DRONE_CREATE_REFUSE:
        return code;
    case DRONE_CREATE_REPEAT:
        return answer(c, c->change->delivery_id, &row);
    case DRONE_CREATE_INSERT:
    case DRONE_CREATE_REPLACE:
        break;
    }
    code = check_pickup_time(c, r->route->pickup_at_ms, now_ms);
    if (code == TERN_OK) {
        code = check_package_free(c, r->package->package_id);
    }
    if (code != TERN_OK) {
        return code;
    }
    flight_row now = { .stored = { DRONE_LIFE_LIVE, c->change->revision } };
    bool moves = row.stored.life == DRONE_LIFE_LIVE;
    if (moves) {
        drone_fleet_release(hangar->fleet, &row.flight);
    }
    code = book(c, now_ms, &now.flight);
    if (code == TERN_OK) {
        code = answer(c, c->change->delivery_id, &now); /* the last that can fail */
    }
    const drone_flight *held = code == TERN_OK ? &now.flight : moves ? &row.flight : NULL;
    if (held != NULL && drone_fleet_reserve(hangar->fleet, held) != 0) {
        return drone_reply_fail(c->reply, TERN_INTERNAL,
                                "drone-%" PRId64 "-%" PRId64 " was free and is not", held->squad,
                                held->drone);
    }
    return code;
}

/* --- cancelling and reading ------------------------------------------------------------------- */

static tern_code cancel_check(const void *request, drone_reply *reply)
{
    return drone_check_change(reply, "change", ((const cancel_request *)request)->change);
}

static tern_code cancel_run(const drone_operation_call *c)
{
    Drone__Drone__V1__CancelAssignmentResponse *res = c->response;
    drone_hangar *hangar = c->service;
    const char *id = c->change->delivery_id;
    flight_row row;
    int rc = 0;
    tern_code code = find(c, id, &row);
    if (code != TERN_OK) {
        return code;
    }
    drone_undo undo = drone_revision_undo("drone", c->change, row.stored, c->reply, &code);
    switch (undo) {
    case DRONE_UNDO_REFUSE:
        return code;
    case DRONE_UNDO_TOMBSTONE:
        rc = drone_sql_step(drone_store_stmt(c->store, FLIGHT_TOMBSTONE), "ti", id,
                            c->change->revision);
        break;
    case DRONE_UNDO_UNDO:
        rc = drone_sql_step(drone_store_stmt(c->store, FLIGHT_UNDO), "tii", id,
                            (int64_t)DRONE_LIFE_UNDONE, c->change->revision);
        break;
    case DRONE_UNDO_RAISE_DONE:
    case DRONE_UNDO_RAISE_NOTHING:
        rc = drone_sql_step(drone_store_stmt(c->store, FLIGHT_UNDO), "tii", id,
                            (int64_t)row.stored.life, c->change->revision);
        break;
    }
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    if (undo == DRONE_UNDO_UNDO) {
        drone_fleet_release(hangar->fleet, &row.flight);
    }
    res->outcome = drone_undo_outcome(undo);
    return TERN_OK;
}

static tern_code get_check(const void *request, drone_reply *reply)
{
    return drone_check_id(reply, "delivery_id", ((const get_request *)request)->delivery_id);
}

static tern_code get_run(const drone_operation_call *c)
{
    const get_request *r = c->request;
    flight_row row;
    tern_code code = find(c, r->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    if (row.stored.life == DRONE_LIFE_NONE || row.stored.life == DRONE_LIFE_TOMBSTONE) {
        return drone_reply_fail(c->reply, TERN_NOT_FOUND, "delivery %s has no drone",
                                r->delivery_id);
    }
    return answer(c, r->delivery_id, &row);
}

/* --- the fleet -------------------------------------------------------------------------------- */

static tern_code can_carry_check(const void *request, drone_reply *reply)
{
    const Drone__Drone__V1__CanCarryRequest *r = request;
    tern_code code = drone_check_package(reply, "package", r->package);
    if (code == TERN_OK) {
        code = drone_check_location(reply, "pickup", r->pickup);
    }
    return code != TERN_OK ? code : drone_check_location(reply, "dropoff", r->dropoff);
}

static tern_code can_carry_run(const drone_operation_call *c)
{
    const Drone__Drone__V1__CanCarryRequest *r = c->request;
    Drone__Drone__V1__CanCarryResponse *res = c->response;
    const drone_hangar *hangar = c->service;
    const drone_errand errand = errand_of(r->package, r->pickup, r->dropoff);
    drone_found found = drone_fleet_able(hangar->fleet, &errand);
    char reason[128] = "";
    if (found == DRONE_TOO_HEAVY) {
        snprintf(reason, sizeof reason, "no drone of the fleet carries %" PRId64 " g of that size",
                 r->package->weight_g);
    } else if (found == DRONE_TOO_FAR) {
        snprintf(reason, sizeof reason,
                 "no drone that carries it flies from its base %.1f km there "
                 "and back",
                 drone_distance_m(errand.pickup, errand.dropoff) / 1000);
    }
    res->able = found == DRONE_FOUND;
    res->reason = drone_reply_strdup(c->reply, reason);
    return res->reason != NULL ? TERN_OK : drone_reply_nomem(c->reply);
}

typedef Drone__Drone__V1__ListDronesRequest list_request;

/* Splits "drone-s-k"; the empty id stands before the first. Returns 0, or -1. */
static int split_id(const char *id, int64_t *ret_squad, int64_t *ret_drone)
{
    int end = 0;
    *ret_squad = 0;
    *ret_drone = 0;
    if (id[0] == '\0') {
        return 0;
    }
    int n = sscanf(id, "drone-%9" SCNd64 "-%9" SCNd64 "%n", ret_squad, ret_drone, &end);
    return n == 2 && id[end] == '\0' && *ret_squad > 0 && *ret_drone > 0 ? 0 : -1;
}

static tern_code list_check(const void *request, drone_reply *reply)
{
    const list_request *r = request;
    int64_t squad = 0;
    int64_t drone = 0;
    tern_code code = drone_check_page_size(reply, "page_size", r->page_size);
    if (code == TERN_OK) {
        code = drone_check_id_or_empty(reply, "after_drone_id", r->after_drone_id);
    }
    if (code == TERN_OK && split_id(r->after_drone_id, &squad, &drone) != 0) {
        code = drone_reply_fail(reply, TERN_INVALID_ARGUMENT,
                                "after_drone_id: %s is not the id of a drone", r->after_drone_id);
    }
    return code;
}

static Drone__Drone__V1__Drone *drone_message(drone_reply *reply, const drone_squad *squad,
                                              int64_t drone)
{
    Drone__Drone__V1__Drone *m = drone_reply_alloc(reply, sizeof *m);
    Drone__Common__V1__Location *home = drone_reply_alloc(reply, sizeof *home);
    char id[DRONE_ID_BYTES_MAX];
    if (m == NULL || home == NULL) {
        return NULL;
    }
    snprintf(id, sizeof id, "drone-%" PRId64 "-%" PRId64, squad->number, drone);
    drone__drone__v1__drone__init(m);
    drone__common__v1__location__init(home);
    home->latitude = squad->home.latitude;
    home->longitude = squad->home.longitude;
    m->drone_id = drone_reply_strdup(reply, id);
    m->home = home;
    m->payload_g_max = squad->payload_g_max;
    m->range_m_max = (int64_t)squad->range_m_max;
    m->size_max = (Drone__Common__V1__PackageSize)squad->size_max;
    return m->drone_id != NULL ? m : NULL;
}

static tern_code list_run(const drone_operation_call *c)
{
    const list_request *r = c->request;
    Drone__Drone__V1__ListDronesResponse *res = c->response;
    size_t page = r->page_size > 0 ? (size_t)r->page_size : DRONE_PAGE_SIZE_DEFAULT;
    size_t n_squads = 0;
    const drone_squad *squads =
        drone_fleet_squads(((const drone_hangar *)c->service)->fleet, &n_squads);
    int64_t after_squad = 0;
    int64_t after_drone = 0;
    split_id(r->after_drone_id, &after_squad, &after_drone);
    res->drones = drone_reply_alloc(c->reply, page * sizeof *res->drones);
    res->next_after_drone_id = drone_reply_strdup(c->reply, "");
    if (res->drones == NULL || res->next_after_drone_id == NULL) {
        return drone_reply_nomem(c->reply);
    }
    for (size_t i = 0; i < n_squads; i++) {
        int64_t drone = squads[i].number == after_squad ? after_drone + 1 : 1;
        for (; squads[i].number >= after_squad && drone <= squads[i].n_drones; drone++) {
            if (res->n_drones == page) { /* there are more */
                res->next_after_drone_id = res->drones[page - 1]->drone_id;
                return TERN_OK;
            }
            res->drones[res->n_drones] = drone_message(c->reply, &squads[i], drone);
            if (res->drones[res->n_drones++] == NULL) {
                return drone_reply_nomem(c->reply);
            }
        }
    }
    return TERN_OK;
}

const drone_operation drone_drone_can_carry = { .name = "CanCarry",
                                                .check = can_carry_check,
                                                .run = can_carry_run,
                                                .change_offset = DRONE_NO_CHANGE,
                                                .reads_only = true };
const drone_operation drone_drone_assign = { .name = "AssignDrone",
                                             .check = assign_check,
                                             .run = assign_run,
                                             .change_offset = offsetof(assign_request, change) };
const drone_operation drone_drone_cancel = { .name = "CancelAssignment",
                                             .check = cancel_check,
                                             .run = cancel_run,
                                             .change_offset = offsetof(cancel_request, change) };
const drone_operation drone_drone_get = { .name = "GetAssignment",
                                          .check = get_check,
                                          .run = get_run,
                                          .change_offset = DRONE_NO_CHANGE,
                                          .reads_only = true };
const drone_operation drone_drone_list = { .name = "ListDrones",
                                           .check = list_check,
                                           .run = list_run,
                                           .change_offset = DRONE_NO_CHANGE,
                                           .reads_only = true };
