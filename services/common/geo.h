/* Distances on the ground. Pure. */
#ifndef DRONE_COMMON_GEO_H
#define DRONE_COMMON_GEO_H

#include <drone/common/v1/common.pb-c.h>

typedef struct drone_latlon {
    double latitude, longitude; /* degrees */
} drone_latlon;

/* The point of a (checked, not NULL) location. */
drone_latlon drone_point(const Drone__Common__V1__Location *location);

/* Length of the great circle between two points, in metres. */
double drone_distance_m(drone_latlon a, drone_latlon b);

#endif
