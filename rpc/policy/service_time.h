/* How long a method's handler takes at least: the shortest time it took lately. Somebody who has
 * less time left than that need not be served. The minimum, not the mean: it says what is
 * impossible, and a burst of slow answers does not shut out those who could still make it. What was
 * seen is forgotten after one to two windows; then nothing is known, so a method whose callers were
 * all turned away gets another chance. Pure: `now` is handed in; ns. */
#ifndef TERN__POLICY_SERVICE_TIME_H
#define TERN__POLICY_SERVICE_TIME_H

#include <stdint.h>

/* Zeroed: nothing is known. */
typedef struct tern__service_time {
    int64_t window_end;
    int64_t current, former; /* shortest of this window and of the one before; 0: none was seen */
} tern__service_time;

/* A handler took `took` (less than 1 counts as 1). `window` > 0 is the same at each call. */
void tern__service_time_add(tern__service_time *s, int64_t now, int64_t window, int64_t took);
/* The shortest of late; 0: not known. */
int64_t tern__service_time_least(tern__service_time *s, int64_t now, int64_t window);

#endif
