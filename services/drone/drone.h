/* The Drone service: the fleet, and which drone flies which delivery when. */
#ifndef DRONE_DRONE_DRONE_H
#define DRONE_DRONE_DRONE_H

#include "common/operation.h"
#include "drone/fleet.h"
#include <drone/drone/v1/drone.pb-c.h>

/* squad(squad, latitude, longitude, payload_g_max, range_m_max, size_max, speed_mps, drones): the
 *   fleet; drone k of squad s is "drone-s-k".
 * reservation(delivery_id, package_id, squad, drone, first_slot, last_slot, start_at_ms,
 *   arrival_at_ms, end_at_ms, state, revision): state as in drone_life. Live rows of one drone
 *   never overlap in first_slot..last_slot; a unique index over the live rows keeps a package from
 *   having two drones. */
extern const drone_store_schema drone_drone_schema;

/* The service's state. */
typedef struct drone_hangar {
    drone_fleet *fleet;
    int64_t (*now_ms)(void); /* the clock; drone_now_ms() but in tests */
} drone_hangar;

/* Seeds an empty store with a fleet, and reads fleet and reservations into *ret, which
 * drone_hangar_deinit() frees. DATA_LOSS when the store holds a drone that is reserved twice. */
tern_code drone_hangar_load(drone_hangar *ret, drone_store *store, const drone_squad *seed,
                            size_t n_seed, tern_status *reterr);
void drone_hangar_deinit(drone_hangar *hangar);

/* The operations; their service pointer is the drone_hangar. */
extern const drone_operation drone_drone_can_carry; /* memory only: any thread */
extern const drone_operation drone_drone_assign;
extern const drone_operation drone_drone_cancel;
extern const drone_operation drone_drone_get;
extern const drone_operation drone_drone_list; /* memory only: any thread */

#endif
