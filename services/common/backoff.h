/* Pauses between attempts that fail: growing, with a part of chance, so that many who failed
 * together do not come back together. */
#ifndef DRONE_COMMON_BACKOFF_H
#define DRONE_COMMON_BACKOFF_H

#include <stdint.h>

/* Milliseconds to wait before attempt n + 1 (n from 1) fails less likely: first_ms doubled with
 * each attempt, at most max_ms, and 20 % more or less at random. */
int64_t drone_backoff_ms(int64_t first_ms, int64_t max_ms, int64_t n, uint64_t random);

/* A random number, not for secrets. Any thread. */
uint64_t drone_random(void);

#endif
