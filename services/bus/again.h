/* What to do with a message that cannot be carried out now. */
#ifndef DRONE_BUS_AGAIN_H
#define DRONE_BUS_AGAIN_H

#include "bus/bus.h"

/* It may succeed later, and perhaps never: the next of five attempts, within 72 s in all; then it
 * is a dead letter. */
void drone_bus_again(drone_bus_delivery *d, const char *reason);

/* It will succeed, only not now, and that is not its fault: it comes again after `delay_ms` as if
 * for the first time. It is published once more, under another id, and only then settled; so it
 * may come twice. */
void drone_bus_put_back(drone_bus *bus, const char *queue, drone_bus_delivery *d, int64_t delay_ms);

#endif
