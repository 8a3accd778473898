/* Generated rows. Each draws its numbers from a generator of its own, seeded by (seed, index),
 * so that many threads can take rows without sharing state. */
#include "submit/generate.h"

#include <math.h>
#include <stdio.h>

/* The middle of New York City (Manhattan) and how far around it pickups lie. */
#define CENTRE_LATITUDE 40.75
#define CENTRE_LONGITUDE (-73.97)
#define SPREAD_M 6000.0
#define METRES_PER_DEGREE 111320.0
#define DAY_MS (24ll * 3600 * 1000)
/* A trip's length is log-normal: median 2.4 km, and about one in twelve beyond 10 km. */
#define TRIP_MEDIAN_M 2400.0
#define TRIP_SIGMA 1.0
#define TRIP_M_MAX 60000.0
#define EXPEDITED_PERCENT 10
#define HEAVY_PERCENT 4
#define TWO_PI 6.28318530717958647692

uint64_t drone_mix64(uint64_t seed, uint64_t index)
{
    /* splitmix64 (Steele, Lea, Flood 2014), from a state that depends on both. */
    uint64_t z = seed * 0xD1342543DE82EF95u + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

typedef struct source {
    uint64_t seed;
    uint64_t n;
} source;

static uint64_t draw(source *s)
{
    return drone_mix64(s->seed, s->n++);
}

/* Evenly in (0, 1). */
static double draw_unit(source *s)
{
    return ((double)(draw(s) >> 11) + 0.5) / 9007199254740992.0;
}

/* Standard normal (Box-Muller). */
static double draw_normal(source *s)
{
    double u = draw_unit(s), v = draw_unit(s);
    return sqrt(-2.0 * log(u)) * cos(TWO_PI * v);
}

static void move(double *latitude, double *longitude, double north_m, double east_m)
{
    *latitude += north_m / METRES_PER_DEGREE;
    *longitude += east_m / (METRES_PER_DEGREE * cos(*latitude * TWO_PI / 360.0));
}

void drone_generate_row(uint64_t seed, uint64_t index, drone_row *ret)
{
    source s = { drone_mix64(seed, index), 0 };

    drone_row_init(ret);
    ret->line = (unsigned long)index + 1;
    ret->requested_at_ms = (int64_t)(draw(&s) % (uint64_t)DAY_MS);
    ret->pickup_latitude = CENTRE_LATITUDE;
    ret->pickup_longitude = CENTRE_LONGITUDE;
    double north_m = draw_normal(&s) * SPREAD_M;
    double east_m = draw_normal(&s) * SPREAD_M * 0.6;
    move(&ret->pickup_latitude, &ret->pickup_longitude, north_m, east_m);

    double trip_m = fmin(TRIP_MEDIAN_M * exp(TRIP_SIGMA * draw_normal(&s)), TRIP_M_MAX);
    double heading = TWO_PI * draw_unit(&s);
    ret->dropoff_latitude = ret->pickup_latitude;
    ret->dropoff_longitude = ret->pickup_longitude;
    move(&ret->dropoff_latitude, &ret->dropoff_longitude, trip_m * cos(heading),
         trip_m * sin(heading));

    drone_row_set_units(ret, 1 + (int64_t)(draw(&s) % 3));
    if (draw(&s) % 100 < HEAVY_PERCENT)
        drone_row_set_units(ret, 20 + (int64_t)(draw(&s) % 80));
    ret->expedited = draw(&s) % 100 < EXPEDITED_PERCENT;
    ret->confirmation = 1 + (int)(draw(&s) % 4);
    snprintf(ret->tag, sizeof(ret->tag), "P%012llX", (unsigned long long)(draw(&s) >> 16));
}
