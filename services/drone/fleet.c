/* See fleet.h. The slots of a squad form a ring: slot n is at n % DRONE_SLOTS, and the ring holds
 * the slots from `oldest` on. When time passes, the words of past slots are cleared for the
 * future that takes their places. */
#include "drone/fleet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEGREES_PER_METRE (1 / 111194.9) /* of latitude, on the sphere of geo.c */
#define GOLDEN_ANGLE 2.399963229728653   /* radians */

typedef struct squad_slots {
    uint64_t *busy; /* DRONE_SLOTS words; bit k is drone k + 1 */
} squad_slots;

struct drone_fleet {
    drone_squad *squads;
    squad_slots *slots;
    size_t n_squads;
    int64_t oldest; /* first slot that is kept */
};

/* A squad that could take an errand. */
typedef struct candidate {
    size_t index;
    double key; /* metres, or seconds when expedited: less is better */
    double to_pickup_m, to_dropoff_m, to_home_m;
} candidate;

void drone_fleet_free(drone_fleet *fleet)
{
    if (fleet == NULL) {
        return;
    }
    for (size_t i = 0; fleet->slots != NULL && i < fleet->n_squads; i++) {
        free(fleet->slots[i].busy);
    }
    free(fleet->slots);
    free(fleet->squads);
    free(fleet);
}

drone_fleet *drone_fleet_new(const drone_squad *squads, size_t n_squads, int64_t now_ms)
{
    drone_fleet *fleet = n_squads <= DRONE_SQUADS_MAX ? calloc(1, sizeof *fleet) : NULL;
    if (fleet == NULL) {
        return NULL;
    }
    fleet->oldest = now_ms / DRONE_SLOT_MS;
    fleet->n_squads = n_squads;
    fleet->squads = calloc(n_squads > 0 ? n_squads : 1, sizeof *fleet->squads);
    fleet->slots = calloc(n_squads > 0 ? n_squads : 1, sizeof *fleet->slots);
    bool complete = fleet->squads != NULL && fleet->slots != NULL;
    for (size_t i = 0; complete && i < n_squads; i++) {
        fleet->squads[i] = squads[i];
        fleet->slots[i].busy = calloc(DRONE_SLOTS, sizeof(uint64_t));
        complete = fleet->slots[i].busy != NULL;
    }
    if (!complete) {
        drone_fleet_free(fleet);
        return NULL;
    }
    return fleet;
}

const drone_squad *drone_fleet_squads(const drone_fleet *fleet, size_t *ret_n)
{
    *ret_n = fleet->n_squads;
    return fleet->squads;
}

/* Time passes: forgets the slots before now. Never goes back, whatever the clock does. */
static void advance(drone_fleet *fleet, int64_t now_ms)
{
    int64_t now = now_ms / DRONE_SLOT_MS;
    if (now - fleet->oldest > DRONE_SLOTS) {
        fleet->oldest = now - DRONE_SLOTS; /* once round is enough to clear everything */
    }
    while (fleet->oldest < now) {
        for (size_t i = 0; i < fleet->n_squads; i++) {
            fleet->slots[i].busy[fleet->oldest % DRONE_SLOTS] = 0;
        }
        fleet->oldest++;
    }
}

/* The legs of an errand, from and to one base. Squads come base by base, so that a distance is
 * computed once for a base and not once for each squad. */
typedef struct legs {
    double over_m; /* pickup to dropoff, the same for all */
    drone_latlon home;
    double out_m, back_m;
    bool known;
} legs;

static void measure(legs *l, const drone_squad *squad, const drone_errand *e)
{
    if (!l->known) {
        l->over_m = drone_distance_m(e->pickup, e->dropoff);
    } else if (l->home.latitude == squad->home.latitude &&
               l->home.longitude == squad->home.longitude) {
        return;
    }
    l->known = true;
    l->home = squad->home;
    l->out_m = drone_distance_m(squad->home, e->pickup);
    l->back_m = drone_distance_m(e->dropoff, squad->home);
}

/* Whether the squad could carry it so far; fills the candidate's distances. */
static drone_found consider(const drone_squad *squad, const drone_errand *e, legs *l,
                            candidate *ret)
{
    if (e->weight_g > squad->payload_g_max || e->size > squad->size_max) {
        return DRONE_TOO_HEAVY;
    }
    measure(l, squad, e);
    double metres = l->out_m + l->over_m + l->back_m;
    /* One slot may be lost at each end by rounding. */
    double flight_ms = metres / squad->speed_mps * 1000 + 2 * DRONE_HANDLING_MS;
    double slots = (flight_ms + DRONE_TURNAROUND_MS) / DRONE_SLOT_MS;
    if (metres > squad->range_m_max || slots > DRONE_FLIGHT_SLOTS_MAX - 2) {
        return DRONE_TOO_FAR;
    }
    ret->to_pickup_m = l->out_m;
    ret->to_dropoff_m = l->over_m;
    ret->to_home_m = l->back_m;
    ret->key = e->expedited ? l->out_m / squad->speed_mps : l->out_m;
    return DRONE_FOUND;
}

drone_found drone_fleet_able(const drone_fleet *fleet, const drone_errand *errand)
{
    drone_found best = DRONE_TOO_HEAVY;
    legs l = { .known = false };
    for (size_t i = 0; i < fleet->n_squads && best != DRONE_FOUND; i++) {
        candidate c;
        drone_found found = consider(&fleet->squads[i], errand, &l, &c);
        if (found != DRONE_TOO_HEAVY) {
            best = found;
        }
    }
    return best;
}

/* Where and when this squad would fly. It leaves so that it is at the pickup on time, or now. */
static void plan(const drone_squad *squad, const candidate *c, const drone_errand *e,
                 int64_t now_ms, drone_flight *ret)
{
    int64_t out_ms = (int64_t)ceil(c->to_pickup_m / squad->speed_mps * 1000);
    int64_t over_ms = (int64_t)ceil(c->to_dropoff_m / squad->speed_mps * 1000);
    int64_t back_ms = (int64_t)ceil(c->to_home_m / squad->speed_mps * 1000);
    int64_t start = e->pickup_at_ms - out_ms;
    ret->squad = squad->number;
    ret->start_at_ms = start > now_ms ? start : now_ms;
    ret->arrival_at_ms = ret->start_at_ms + out_ms + DRONE_HANDLING_MS + over_ms;
    ret->end_at_ms = ret->arrival_at_ms + DRONE_HANDLING_MS + back_ms + DRONE_TURNAROUND_MS;
    ret->first_slot = ret->start_at_ms / DRONE_SLOT_MS;
    ret->last_slot = (ret->end_at_ms - 1) / DRONE_SLOT_MS;
}

/* Bits of the drones that have something to do in these slots. */
static uint64_t busy_in(const squad_slots *slots, int64_t first, int64_t last)
{
    uint64_t busy = 0;
    for (int64_t slot = first; slot <= last; slot++) {
        busy |= slots->busy[slot % DRONE_SLOTS];
    }
    return busy;
}

static uint64_t all_of(const drone_squad *squad)
{
    return squad->n_drones >= DRONE_SQUAD_DRONES_MAX ? UINT64_MAX
                                                     : ((uint64_t)1 << squad->n_drones) - 1;
}

static int by_key(const void *a, const void *b, const drone_squad *squads)
{
    const candidate *x = a;
    const candidate *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    int64_t px = squads[x->index].payload_g_max;
    int64_t py = squads[y->index].payload_g_max;
    if (px != py) {
        return px < py ? -1 : 1;
    }
    return x->index < y->index ? -1 : 1;
}

static void sift_down(candidate *heap, size_t n, size_t at, const drone_squad *squads)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++) {
            if (by_key(&heap[child], &heap[least], squads) < 0) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        candidate swap = heap[at];
        heap[at] = heap[least];
        heap[least] = swap;
        at = least;
    }
}

/* Collects the squads that are able as a heap whose first is the best: most errands need one. */
static size_t collect(const drone_fleet *fleet, const drone_errand *errand, candidate *heap,
                      drone_found *ret_why)
{
    size_t n = 0;
    legs l = { .known = false };
    *ret_why = DRONE_TOO_HEAVY;
    for (size_t i = 0; i < fleet->n_squads; i++) {
        drone_found found = consider(&fleet->squads[i], errand, &l, &heap[n]);
        if (found == DRONE_FOUND) {
            heap[n++].index = i;
        }
        if (found != DRONE_TOO_HEAVY && *ret_why != DRONE_FOUND) {
            *ret_why = found;
        }
    }
    for (size_t i = n / 2; i-- > 0;) {
        sift_down(heap, n, i, fleet->squads);
    }
    return n;
}

drone_found drone_fleet_find(drone_fleet *fleet, const drone_errand *errand, int64_t now_ms,
                             drone_flight *ret)
{
    candidate heap[DRONE_SQUADS_MAX];
    drone_found why = DRONE_TOO_HEAVY;
    advance(fleet, now_ms);
    if (now_ms < fleet->oldest * DRONE_SLOT_MS) {
        now_ms = fleet->oldest * DRONE_SLOT_MS;
    }
    size_t n = collect(fleet, errand, heap, &why);
    if (why != DRONE_FOUND) {
        return why;
    }
    why = DRONE_TOO_LATE;
    while (n > 0) {
        const drone_squad *squad = &fleet->squads[heap[0].index];
        drone_flight flight = { .squad = 0 };
        plan(squad, &heap[0], errand, now_ms, &flight);
        if (flight.arrival_at_ms <= errand->deadline_ms) {
            uint64_t free_drones = all_of(squad) & ~busy_in(&fleet->slots[heap[0].index],
                                                            flight.first_slot, flight.last_slot);
            if (free_drones != 0 && flight.last_slot < fleet->oldest + DRONE_SLOTS) {
                flight.drone = __builtin_ctzll(free_drones) + 1;
                *ret = flight;
                return DRONE_FOUND;
            }
            why = DRONE_ALL_BUSY;
        }
        heap[0] = heap[--n];
        sift_down(heap, n, 0, fleet->squads);
    }
    return why;
}

static const drone_squad *squad_of(const drone_fleet *fleet, const drone_flight *flight,
                                   size_t *ret_index)
{
    for (size_t i = 0; i < fleet->n_squads; i++) {
        if (fleet->squads[i].number == flight->squad) {
            *ret_index = i;
            return &fleet->squads[i];
        }
    }
    return NULL;
}

int drone_fleet_reserve(drone_fleet *fleet, const drone_flight *flight)
{
    size_t index = 0;
    const drone_squad *squad = squad_of(fleet, flight, &index);
    int64_t first = flight->first_slot > fleet->oldest ? flight->first_slot : fleet->oldest;
    if (squad == NULL || flight->drone < 1 || flight->drone > squad->n_drones ||
        flight->last_slot >= fleet->oldest + DRONE_SLOTS ||
        flight->last_slot - flight->first_slot >= DRONE_FLIGHT_SLOTS_MAX) {
        return -1;
    }
    uint64_t bit = (uint64_t)1 << (flight->drone - 1);
    if ((busy_in(&fleet->slots[index], first, flight->last_slot) & bit) != 0) {
        return -1;
    }
    for (int64_t slot = first; slot <= flight->last_slot; slot++) {
        fleet->slots[index].busy[slot % DRONE_SLOTS] |= bit;
    }
    return 0;
}

void drone_fleet_release(drone_fleet *fleet, const drone_flight *flight)
{
    size_t index = 0;
    int64_t first = flight->first_slot > fleet->oldest ? flight->first_slot : fleet->oldest;
    if (squad_of(fleet, flight, &index) == NULL) {
        return;
    }
    uint64_t bit = (uint64_t)1 << (flight->drone - 1);
    for (int64_t slot = first; slot <= flight->last_slot; slot++) {
        fleet->slots[index].busy[slot % DRONE_SLOTS] &= ~bit;
    }
}

size_t drone_fleet_seed(drone_squad *ret, int64_t n_drones, drone_latlon centre, double radius_m)
{
    /* Small, medium and large, in the order of PackageSize. */
    static const drone_squad models[] = {
        { .payload_g_max = 2500, .range_m_max = 18000, .size_max = 1, .speed_mps = 18 },
        { .payload_g_max = 7000, .range_m_max = 28000, .size_max = 2, .speed_mps = 20 },
        { .payload_g_max = 15000, .range_m_max = 40000, .size_max = 3, .speed_mps = 22 },
    };
    const size_t n_models = sizeof models / sizeof models[0];
    size_t n = 0;
    /* A small fleet has drones of every model, too. */
    int64_t third = (n_drones + (int64_t)n_models - 1) / (int64_t)n_models;
    int64_t per_squad = third < DRONE_SQUAD_DRONES_MAX ? third : DRONE_SQUAD_DRONES_MAX;
    int64_t n_squads = per_squad > 0 ? (n_drones + per_squad - 1) / per_squad : 0;
    int64_t n_bases = (n_squads + (int64_t)n_models - 1) / (int64_t)n_models;
    while (n_drones > 0 && n < DRONE_SQUADS_MAX) {
        int64_t base = (int64_t)(n / n_models);
        /* A sunflower: evenly spread, whatever the number. */
        double away = radius_m * sqrt(((double)base + 0.5) / (double)n_bases);
        double angle = (double)base * GOLDEN_ANGLE;
        drone_squad *squad = &ret[n];
        *squad = models[n % n_models];
        squad->number = (int64_t)++n;
        squad->home.latitude = centre.latitude + away * cos(angle) * DEGREES_PER_METRE;
        squad->home.longitude = centre.longitude + away * sin(angle) * DEGREES_PER_METRE /
                                                       cos(centre.latitude * 0.017453292519943295);
        squad->n_drones = n_drones < per_squad ? n_drones : per_squad;
        n_drones -= squad->n_drones;
    }
    return n;
}
