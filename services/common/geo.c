/* See geo.h. The haversine formula is accurate for short distances, where the law of cosines is
 * not; a sphere instead of the ellipsoid costs at most 0.6 %. */
#include "common/geo.h"

#include <math.h>

#define EARTH_RADIUS_M 6371008.8 /* mean radius, IUGG */
#define RADIANS_PER_DEGREE 0.017453292519943295

drone_latlon drone_point(const Drone__Common__V1__Location *location)
{
    return (drone_latlon){ location->latitude, location->longitude };
}

double drone_distance_m(drone_latlon a, drone_latlon b)
{
    double south_north = sin((b.latitude - a.latitude) * RADIANS_PER_DEGREE / 2);
    double west_east = sin((b.longitude - a.longitude) * RADIANS_PER_DEGREE / 2);
    double h = south_north * south_north + cos(a.latitude * RADIANS_PER_DEGREE) *
                                               cos(b.latitude * RADIANS_PER_DEGREE) * west_east *
                                               west_east;
    return 2 * EARTH_RADIUS_M * asin(sqrt(fmin(h, 1.0)));
}
