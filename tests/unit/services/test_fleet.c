/* The fleet in memory: which drone is found, and random histories that never book one twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drone/fleet.h"

#define NOW 1700000000000
#define HOUR 3600000
#define DAY (24 * (int64_t)HOUR)

static const drone_latlon here = { 40.75, -73.95 };

static drone_latlon at(double north_m, double east_m)
{
    return (drone_latlon){ here.latitude + north_m / 111195, here.longitude + east_m / 84240 };
}

static drone_squad squad(int64_t number, double north_m, int64_t payload_g, int64_t n)
{
    return (drone_squad){ .number = number,
                          .home = at(north_m, 0),
                          .payload_g_max = payload_g,
                          .range_m_max = 20000,
                          .size_max = 2,
                          .speed_mps = 20,
                          .n_drones = n };
}

static drone_errand errand(void)
{
    return (drone_errand){ .pickup = at(0, 0),
                           .dropoff = at(0, 4000),
                           .weight_g = 1000,
                           .size = 1,
                           .pickup_at_ms = NOW + HOUR,
                           .deadline_ms = NOW + 3 * HOUR };
}

static void test_nearest(void **state)
{
    (void)state;
    const drone_squad squads[] = { squad(1, 3000, 5000, 1), squad(2, 1000, 5000, 1),
                                   squad(3, 2000, 5000, 1) };
    drone_fleet *fleet = drone_fleet_new(squads, 3, NOW);
    const drone_errand e = errand();
    drone_flight flight;
    static const int64_t order[] = { 2, 3, 1 };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_FOUND);
        assert_int_equal(flight.squad, order[i]);
        assert_int_equal(drone_fleet_reserve(fleet, &flight), 0);
        assert_int_equal(drone_fleet_reserve(fleet, &flight), -1);
    }
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_ALL_BUSY);
    drone_fleet_release(fleet, &flight); /* the last that was found: squad 1 */
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_FOUND);
    assert_int_equal(flight.squad, 1);
    drone_fleet_free(fleet);
}

/* All 64 bits of a word, each drone once. */
static void test_whole_squad(void **state)
{
    (void)state;
    const drone_squad squads[] = { squad(1, 1000, 5000, DRONE_SQUAD_DRONES_MAX) };
    drone_fleet *fleet = drone_fleet_new(squads, 1, NOW);
    const drone_errand e = errand();
    drone_flight flight;
    uint64_t seen = 0;
    for (int i = 0; i < DRONE_SQUAD_DRONES_MAX; i++) {
        assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_FOUND);
        assert_in_range(flight.drone, 1, DRONE_SQUAD_DRONES_MAX);
        assert_int_equal(drone_fleet_reserve(fleet, &flight), 0);
        seen |= (uint64_t)1 << (flight.drone - 1);
    }
    assert_true(seen == UINT64_MAX);
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_ALL_BUSY);
    drone_fleet_free(fleet);
}

/* Of several at one base the smallest that is able; expedited, the fastest to the pickup. */
static void test_smallest_and_fastest(void **state)
{
    (void)state;
    drone_squad squads[] = { squad(1, 1000, 9000, 1), squad(2, 1000, 2000, 1),
                             squad(3, 1000, 500, 1), squad(4, 1500, 9000, 1) };
    squads[3].speed_mps = 40;
    drone_fleet *fleet = drone_fleet_new(squads, 4, NOW);
    drone_errand e = errand();
    drone_flight flight;
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_FOUND);
    assert_int_equal(flight.squad, 2);
    e.expedited = true;
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_FOUND);
    assert_int_equal(flight.squad, 4);
    drone_fleet_free(fleet);
}

static void test_why_not(void **state)
{
    (void)state;
    const drone_squad squads[] = { squad(1, 1000, 5000, 1) };
    drone_fleet *fleet = drone_fleet_new(squads, 1, NOW);
    drone_flight flight;
    drone_errand e = errand();
    assert_int_equal(drone_fleet_able(fleet, &e), DRONE_FOUND);
    e.weight_g = 5001;
    assert_int_equal(drone_fleet_able(fleet, &e), DRONE_TOO_HEAVY);
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_TOO_HEAVY);
    e = errand();
    e.size = 3;
    assert_int_equal(drone_fleet_able(fleet, &e), DRONE_TOO_HEAVY);
    e = errand();
    e.dropoff = at(0, 12000);
    assert_int_equal(drone_fleet_able(fleet, &e), DRONE_TOO_FAR);
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_TOO_FAR);
    e = errand();
    e.deadline_ms = e.pickup_at_ms + 60000;
    assert_int_equal(drone_fleet_able(fleet, &e), DRONE_FOUND);
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_TOO_LATE);
    drone_fleet_free(fleet);
    fleet = drone_fleet_new(NULL, 0, NOW);
    assert_int_equal(drone_fleet_able(fleet, &e), DRONE_TOO_HEAVY);
    drone_fleet_free(fleet);
    assert_null(drone_fleet_new(squads, DRONE_SQUADS_MAX + 1, NOW));
}

/* There on time; and when the pickup time has passed, as soon as it can. */
static void test_times(void **state)
{
    (void)state;
    const drone_squad squads[] = { squad(1, 2000, 5000, 1) };
    drone_fleet *fleet = drone_fleet_new(squads, 1, NOW);
    drone_flight flight;
    drone_errand e = errand();
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_FOUND);
    assert_in_range(flight.start_at_ms, NOW + HOUR - 100500,
                    NOW + HOUR - 99500); /* 2 km at 20 m/s */
    assert_in_range(flight.arrival_at_ms, NOW + HOUR + DRONE_HANDLING_MS + 199000,
                    NOW + HOUR + DRONE_HANDLING_MS + 201000);
    assert_true(flight.end_at_ms > flight.arrival_at_ms + DRONE_HANDLING_MS + DRONE_TURNAROUND_MS);
    assert_int_equal(flight.first_slot, flight.start_at_ms / DRONE_SLOT_MS);
    assert_int_equal(flight.last_slot, (flight.end_at_ms - 1) / DRONE_SLOT_MS);
    e.pickup_at_ms = NOW - HOUR;
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_FOUND);
    assert_int_equal(flight.start_at_ms, NOW);
    drone_fleet_free(fleet);
}

/* The ring comes round: what was reserved two months ago does not block today's slots. */
static void test_time_passes(void **state)
{
    (void)state;
    const drone_squad squads[] = { squad(1, 2000, 5000, 1) };
    drone_fleet *fleet = drone_fleet_new(squads, 1, NOW);
    drone_flight flight;
    drone_errand e = errand();
    for (int64_t day = 0; day < 400; day += 7) {
        int64_t now = NOW + day * DAY;
        for (int64_t ahead = 0; ahead < 60; ahead += 30) {
            e.pickup_at_ms = now + ahead * DAY + HOUR * (1 + day % 5);
            e.deadline_ms = e.pickup_at_ms + 2 * HOUR;
            assert_int_equal(drone_fleet_find(fleet, &e, now, &flight), DRONE_FOUND);
            assert_int_equal(drone_fleet_reserve(fleet, &flight), 0);
            assert_int_equal(drone_fleet_find(fleet, &e, now, &flight), DRONE_ALL_BUSY);
        }
    }
    /* The clock goes back: nothing that is kept gets lost, and nothing breaks. */
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_ALL_BUSY);
    /* A release of what is past does not free a slot of the future. */
    drone_flight past = flight;
    past.first_slot -= DRONE_SLOTS;
    past.last_slot -= DRONE_SLOTS;
    drone_fleet_release(fleet, &past);
    assert_int_equal(drone_fleet_find(fleet, &e, NOW, &flight), DRONE_ALL_BUSY);
    drone_fleet_free(fleet);
}

static void test_reserve_refuses(void **state)
{
    (void)state;
    const drone_squad squads[] = { squad(1, 2000, 5000, 3) };
    drone_fleet *fleet = drone_fleet_new(squads, 1, NOW);
    const int64_t slot = NOW / DRONE_SLOT_MS;
    const drone_flight good = { .squad = 1, .drone = 3, .first_slot = slot, .last_slot = slot + 3 };
    drone_flight bad = good;
    bad.squad = 2;
    assert_int_equal(drone_fleet_reserve(fleet, &bad), -1);
    bad = good;
    bad.drone = 4;
    assert_int_equal(drone_fleet_reserve(fleet, &bad), -1);
    bad.drone = 0;
    assert_int_equal(drone_fleet_reserve(fleet, &bad), -1);
    bad = good;
    bad.last_slot = slot + DRONE_FLIGHT_SLOTS_MAX;
    assert_int_equal(drone_fleet_reserve(fleet, &bad), -1);
    bad.first_slot = slot + DRONE_SLOTS - 2;
    bad.last_slot = slot + DRONE_SLOTS;
    assert_int_equal(drone_fleet_reserve(fleet, &bad), -1);
    assert_int_equal(drone_fleet_reserve(fleet, &good), 0);
    drone_fleet_free(fleet);
}

static void test_seed(void **state)
{
    (void)state;
    drone_squad squads[DRONE_SQUADS_MAX];
    static const int64_t sizes[] = { 1, 2, 3, 10, 64, 193, 4000, 32768 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = drone_fleet_seed(squads, sizes[i], here, 10000);
        int64_t drones = 0;
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(squads[k].number, k + 1);
            assert_in_range(squads[k].n_drones, 1, DRONE_SQUAD_DRONES_MAX);
            assert_true(drone_distance_m(squads[k].home, here) < 10100);
            drones += squads[k].n_drones;
        }
        assert_int_equal(drones, sizes[i]);
        assert_true(n >= 3 || sizes[i] < 3); /* every model */
    }
}

/* --- random histories ------------------------------------------------------------------------- */

#define HISTORY_FLIGHTS 600
#define HISTORY_STEPS 4000

typedef struct booked {
    drone_flight flight;
    bool live;
} booked;

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* The model: a plain list. A drone may not have two live flights that share a slot. */
static void assert_no_overlap(const booked *all, const drone_flight *f)
{
    for (size_t i = 0; i < HISTORY_FLIGHTS; i++) {
        const drone_flight *g = &all[i].flight;
        if (all[i].live && g->squad == f->squad && g->drone == f->drone) {
            assert_true(g->last_slot < f->first_slot || f->last_slot < g->first_slot);
        }
    }
}

/* Whether some drone of the fleet is free in the model for what was refused. */
static void assert_none_free(const booked *all, const drone_squad *squads, size_t n_squads,
                             const drone_flight *like)
{
    for (size_t s = 0; s < n_squads; s++) {
        for (int64_t d = 1; d <= squads[s].n_drones; d++) {
            bool busy = false;
            for (size_t i = 0; i < HISTORY_FLIGHTS && !busy; i++) {
                const drone_flight *g = &all[i].flight;
                busy = all[i].live && g->squad == squads[s].number && g->drone == d &&
                       g->first_slot <= like->last_slot && like->first_slot <= g->last_slot;
            }
            assert_true(busy);
        }
    }
}

static void history(uint64_t seed)
{
    /* All at one place, so that every drone has the same slots for an errand. */
    const drone_squad squads[] = { squad(1, 500, 5000, 3), squad(2, 500, 6000, 20),
                                   squad(7, 500, 4000, 5) };
    static booked all[HISTORY_FLIGHTS];
    drone_fleet *fleet = drone_fleet_new(squads, 3, NOW);
    int64_t now = NOW;
    size_t n_found = 0;
    size_t n_refused = 0;
    memset(all, 0, sizeof all);
    for (int step = 0; step < HISTORY_STEPS; step++) {
        booked *b = &all[next_random(&seed) % HISTORY_FLIGHTS];
        now += (int64_t)(next_random(&seed) % 20000);
        if (b->live) {
            drone_fleet_release(fleet, &b->flight);
            b->live = false;
            continue;
        }
        drone_errand e = errand();
        e.pickup_at_ms = now + (int64_t)(next_random(&seed) % (3 * HOUR));
        e.deadline_ms = e.pickup_at_ms + 2 * HOUR;
        e.expedited = next_random(&seed) % 2 == 0;
        drone_found found = drone_fleet_find(fleet, &e, now, &b->flight);
        if (found == DRONE_FOUND) {
            assert_no_overlap(all, &b->flight);
            assert_int_equal(drone_fleet_reserve(fleet, &b->flight), 0);
            b->live = true;
            n_found++;
        } else {
            drone_fleet *empty = drone_fleet_new(squads, 3, now);
            drone_flight like;
            assert_int_equal(found, DRONE_ALL_BUSY);
            assert_int_equal(drone_fleet_find(empty, &e, now, &like), DRONE_FOUND);
            assert_none_free(all, squads, 3, &like);
            drone_fleet_free(empty);
            n_refused++;
        }
    }
    assert_true(n_found > 500);
    assert_true(n_refused > 10); /* the fleet was really full at times */
    drone_fleet_free(fleet);
}

static void test_never_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        print_message("seed %d\n", (int)seed);
        history(seed * 0x9e3779b97f4a7c15u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest),     cmocka_unit_test(test_smallest_and_fastest),
        cmocka_unit_test(test_why_not),     cmocka_unit_test(test_times),
        cmocka_unit_test(test_time_passes), cmocka_unit_test(test_reserve_refuses),
        cmocka_unit_test(test_seed),        cmocka_unit_test(test_whole_squad),
        cmocka_unit_test(test_never_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
