/* Asking a part whether it is ready, with the standard health service. */
#ifndef DRONE_UP_HEALTH_H
#define DRONE_UP_HEALTH_H

#include <stdbool.h>

/* Whether the server at `target` answers SERVING within a short deadline. Blocks. */
bool drone_health_check(const char *target);

#endif
