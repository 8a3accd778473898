/* The fleet and its time, in memory: which drone is free when, and which one is the right one.
 *
 * Drones stand in squads: up to 64 of one model at one base. Time is cut into slots of five
 * minutes, and each squad has one 64-bit word for each slot of the coming two months, a bit for
 * each drone: a drone that is free for a whole flight is found by or-ing the words of its slots,
 * 64 drones at a time. A request costs one distance for each squad and a few words for each of
 * the nearest.
 *
 * Reservations occupy whole slots. What is past is forgotten; the store keeps it. The squads
 * never change after drone_fleet_new() and may be read by any thread; everything else belongs to
 * one thread. */
#ifndef DRONE_DRONE_FLEET_H
#define DRONE_DRONE_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/geo.h"

#define DRONE_SLOT_MS 300000 /* five minutes */
#define DRONE_SLOTS_PER_DAY 288
#define DRONE_AHEAD_DAYS_MAX 60   /* a pickup may be so far ahead */
#define DRONE_BEHIND_DAYS_MAX 1   /* or so late */
#define DRONE_FLIGHT_SLOTS_MAX 64 /* no flight takes longer; five hours */
#define DRONE_SLOTS 18432         /* slots kept: 64 days, more than all of these */
#define DRONE_SQUAD_DRONES_MAX 64 /* bits of a word */
#define DRONE_SQUADS_MAX 512      /* 32,768 drones, 75 MB of slots if all are used */

#define DRONE_HANDLING_MS 120000   /* taking up a package, and handing it over */
#define DRONE_TURNAROUND_MS 600000 /* back at the base: charging, looking over */

typedef struct drone_squad {
    int64_t number; /* 1.. */
    drone_latlon home;
    int64_t payload_g_max;
    double range_m_max; /* home to pickup to dropoff to home */
    int64_t size_max;   /* the numbers of PackageSize are in order */
    double speed_mps;
    int64_t n_drones; /* 1..DRONE_SQUAD_DRONES_MAX */
} drone_squad;

/* What is to be flown. */
typedef struct drone_errand {
    drone_latlon pickup, dropoff;
    int64_t weight_g;
    int64_t size;
    int64_t pickup_at_ms, deadline_ms;
    bool expedited;
} drone_errand;

/* A reservation of one drone. */
typedef struct drone_flight {
    int64_t squad;                 /* its number */
    int64_t drone;                 /* 1..n_drones */
    int64_t first_slot, last_slot; /* both included; slot n begins at n * DRONE_SLOT_MS */
    int64_t start_at_ms, arrival_at_ms, end_at_ms;
} drone_flight;

typedef enum drone_found {
    DRONE_FOUND = 0,
    DRONE_TOO_HEAVY, /* no drone carries such a package */
    DRONE_TOO_FAR,   /* those that carry it do not fly so far */
    DRONE_TOO_LATE,  /* none that is able arrives before the deadline */
    DRONE_ALL_BUSY   /* every one that is able is reserved at that time */
} drone_found;

typedef struct drone_fleet drone_fleet;

/* A fleet of these squads (copied, at most DRONE_SQUADS_MAX), all free. NULL when out of memory. */
drone_fleet *drone_fleet_new(const drone_squad *squads, size_t n_squads, int64_t now_ms);
void drone_fleet_free(drone_fleet *fleet);

/* The squads. Any thread. */
const drone_squad *drone_fleet_squads(const drone_fleet *fleet, size_t *ret_n);

/* Whether a drone could carry it, were it free: FOUND, TOO_HEAVY or TOO_FAR. Any thread. */
drone_found drone_fleet_able(const drone_fleet *fleet, const drone_errand *errand);

/* Looks for the right drone: the nearest that is able and free (of several as near the smallest),
 * or, expedited, the one that is soonest at the pickup. On FOUND *ret is its flight, not yet
 * reserved. */
drone_found drone_fleet_find(drone_fleet *fleet, const drone_errand *errand, int64_t now_ms,
                             drone_flight *ret);

/* Reserves the drone of a flight, as far as it lies ahead. 0, or -1 (and nothing is reserved)
 * when the drone does not exist, is reserved already, or the flight lies beyond the slots kept. */
int drone_fleet_reserve(drone_fleet *fleet, const drone_flight *flight);

/* Frees it again, as far as it lies ahead. Only what drone_fleet_reserve() took. */
void drone_fleet_release(drone_fleet *fleet, const drone_flight *flight);

/* Squads to begin with: n_drones of three models on bases spread evenly over a circle. Writes at
 * most DRONE_SQUADS_MAX and returns how many. */
size_t drone_fleet_seed(drone_squad *ret, int64_t n_drones, drone_latlon centre, double radius_m);

#endif
