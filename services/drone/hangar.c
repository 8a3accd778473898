/* Reading the fleet and what it is reserved for from the store, when the service starts. */
#include <inttypes.h>

#include "common/service.h"
#include "drone/drone.h"
#include "drone/statements.h"

typedef struct load_op {
    drone_store_op op; /* first, so that a drone_store_op * is a load_op * */
    drone_hangar *hangar;
    const drone_squad *seed;
    size_t n_seed;
    tern_status *reterr;
} load_op;

/* Reads the squads, at most DRONE_SQUADS_MAX. Returns how many, or -1. */
static int read_squads(drone_store *store, drone_squad *squads)
{
    sqlite3_stmt *stmt = drone_store_stmt(store, SQUAD_LIST);
    int n = 0;
    int rc = drone_sql_step(stmt, "");
    for (; rc > 0 && n < DRONE_SQUADS_MAX; rc = drone_sql_next(stmt)) {
        squads[n++] = (drone_squad){
            .number = sqlite3_column_int64(stmt, 0),
            .home = { sqlite3_column_double(stmt, 1), sqlite3_column_double(stmt, 2) },
            .payload_g_max = sqlite3_column_int64(stmt, 3),
            .range_m_max = sqlite3_column_double(stmt, 4),
            .size_max = sqlite3_column_int64(stmt, 5),
            .speed_mps = sqlite3_column_double(stmt, 6),
            .n_drones = sqlite3_column_int64(stmt, 7),
        };
    }
    return rc < 0 ? -1 : n;
}

static tern_code write_seed(drone_store *store, const load_op *l)
{
    for (size_t i = 0; i < l->n_seed; i++) {
        const drone_squad *s = &l->seed[i];
        if (drone_sql_step(drone_store_stmt(store, SQUAD_ADD), "iddididi", s->number,
                           s->home.latitude, s->home.longitude, s->payload_g_max, s->range_m_max,
                           s->size_max, s->speed_mps, s->n_drones) < 0) {
            return drone_store_fail(store, l->reterr);
        }
    }
    return TERN_OK;
}

/* Reserves what still lies ahead. */
static tern_code read_flights(drone_store *store, const load_op *l, int64_t now_ms)
{
    sqlite3_stmt *stmt = drone_store_stmt(store, FLIGHT_AHEAD);
    int rc = drone_sql_step(stmt, "i", now_ms / DRONE_SLOT_MS);
    for (; rc > 0; rc = drone_sql_next(stmt)) {
        const drone_flight flight = { .squad = sqlite3_column_int64(stmt, 0),
                                      .drone = sqlite3_column_int64(stmt, 1),
                                      .first_slot = sqlite3_column_int64(stmt, 2),
                                      .last_slot = sqlite3_column_int64(stmt, 3) };
        if (drone_fleet_reserve(l->hangar->fleet, &flight) != 0) {
            return tern_status_set(l->reterr, TERN_DATA_LOSS,
                                   "store drone: the reservation of delivery %s does not fit: "
                                   "drone-%" PRId64 "-%" PRId64 " is reserved twice or unknown",
                                   drone_sql_text(stmt, 4), flight.squad, flight.drone);
        }
    }
    return rc < 0 ? drone_store_fail(store, l->reterr) : TERN_OK;
}

static tern_code load_run(drone_store *store, drone_store_op *op)
{
    const load_op *l = (const load_op *)op;
    drone_squad squads[DRONE_SQUADS_MAX];
    int64_t now_ms = l->hangar->now_ms();
    int n = read_squads(store, squads);
    if (n == 0 && l->n_seed > 0) {
        tern_code code = write_seed(store, l);
        if (code != TERN_OK) {
            return code;
        }
        n = read_squads(store, squads);
    }
    if (n < 0) {
        return drone_store_fail(store, l->reterr);
    }
    l->hangar->fleet = drone_fleet_new(squads, (size_t)n, now_ms);
    if (l->hangar->fleet == NULL) {
        return tern_status_set(l->reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for a fleet of %d squads", n);
    }
    return read_flights(store, l, now_ms);
}

tern_code drone_hangar_load(drone_hangar *ret, drone_store *store, const drone_squad *seed,
                            size_t n_seed, tern_status *reterr)
{
    load_op l = {
        .op = { .run = load_run }, .hangar = ret, .seed = seed, .n_seed = n_seed, .reterr = reterr
    };
    ret->fleet = NULL;
    if (ret->now_ms == NULL) {
        ret->now_ms = drone_now_ms;
    }
    tern_code code = drone_store_call(store, &l.op);
    if (code != TERN_OK) {
        drone_hangar_deinit(ret);
    }
    return code;
}

void drone_hangar_deinit(drone_hangar *hangar)
{
    drone_fleet_free(hangar->fleet);
    hangar->fleet = NULL;
}
