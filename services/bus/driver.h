/* What a driver of the bus implements. See bus.h for what each function has to hold; arguments were
 * checked before. */
#ifndef DRONE_BUS_DRIVER_H
#define DRONE_BUS_DRIVER_H

#include "bus/bus.h"

typedef enum drone_bus_verdict {
    DRONE_BUS_DONE = 1,
    DRONE_BUS_RETRY,
    DRONE_BUS_REJECT
} drone_bus_verdict;

typedef struct drone_bus_driver {
    const char *scheme; /* of its addresses: "tern:" */
    tern_code (*open)(const char *address, drone_bus **ret, tern_status *reterr);
    void (*close)(drone_bus *bus);
    tern_code (*publish)(drone_bus *bus, const char *queue, const drone_bus_message *messages,
                         size_t n, drone_bus_published done, void *ctx, tern_status *reterr);
    tern_code (*emit)(drone_bus *bus, const char *topic, const drone_bus_message *events, size_t n,
                      drone_bus_published done, void *ctx, tern_status *reterr);
    tern_code (*consume)(drone_bus *bus, const drone_bus_consumer_options *options,
                         drone_bus_consumer **ret, tern_status *reterr);
    void (*consumer_stop)(drone_bus_consumer *c);
    void (*consumer_free)(drone_bus_consumer *c);
    void (*settle)(drone_bus_delivery *d, drone_bus_verdict verdict, int64_t delay_ms,
                   const char *reason);
    tern_code (*subscribe)(drone_bus *bus, const drone_bus_subscriber_options *options,
                           drone_bus_subscriber **ret, tern_status *reterr);
    void (*advance)(drone_bus_subscriber *s, int64_t sequence);
    void (*subscriber_stop)(drone_bus_subscriber *s);
    tern_code (*dead_letters)(drone_bus *bus, const char *queue,
                              bool (*each)(void *ctx, const drone_bus_dead_letter *d), void *ctx,
                              tern_status *reterr);
    tern_code (*dead_letter_replay)(drone_bus *bus, int64_t sequence, tern_status *reterr);
    tern_code (*dead_letter_drop)(drone_bus *bus, int64_t sequence, tern_status *reterr);
} drone_bus_driver;

/* The drivers' own structs begin with these. */
struct drone_bus {
    const drone_bus_driver *driver;
};
struct drone_bus_consumer {
    const drone_bus_driver *driver;
};
struct drone_bus_subscriber {
    const drone_bus_driver *driver;
};

extern const drone_bus_driver drone_bus_tern; /* the message service, services/messages */

#endif
