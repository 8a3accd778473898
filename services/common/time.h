/* Times as text, RFC 3339, and as milliseconds since 1970-01-01 UTC. Pure. */
#ifndef DRONE_COMMON_TIME_H
#define DRONE_COMMON_TIME_H

#include <stdint.h>

#define DRONE_TIME_SIZE 32 /* of a text, NUL included */

/* Reads "2019-02-28T23:29:03" (a space for the T, fractions of a second and a final Z are fine).
 * Returns 0, or -EINVAL when it is no such time. */
int drone_time_read(const char *s, int64_t *ret_ms);

/* The same, but it must say its zone: "Z", "+01:00". */
int drone_time_read_zoned(const char *s, int64_t *ret_ms);

/* Writes "2019-02-28T23:29:03.000Z". `ms` is not before 1970 nor after 9999. */
void drone_time_write(int64_t ms, char ret[DRONE_TIME_SIZE]);

#endif
