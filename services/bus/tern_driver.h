/* The inside of the driver for Drone Delivery's own message service: tern_driver.c publishes and
 * looks after dead letters, tern_consumer.c and tern_subscriber.c receive. */
#ifndef DRONE_BUS_TERN_DRIVER_H
#define DRONE_BUS_TERN_DRIVER_H

#include <pthread.h>

#include <tern/call.h>
#include <tern/channel.h>
#include <tern/context.h>

#include "bus/driver.h"

#define DRONE_BUS_CALL_TIMEOUT_MS 5000
#define DRONE_BUS_PAUSE_MS 50
#define DRONE_BUS_PAUSE_MS_MAX 1000
#define DRONE_BUS_STOP_GRACE_MS 5000 /* for what is to be told at the end */

typedef struct tern_bus {
    drone_bus base;
    tern_channel *channel;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    size_t n_publishing; /* callbacks that have not come */
} tern_bus;

/* A receiver's two threads, one that reads a stream and one that tells what became of it;
 * what consumers and subscribers have in common. */
typedef struct tern_receiver {
    tern_bus *bus;
    tern_context *context; /* of the stream */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* the teller, and pauses; by the monotonic clock */
    pthread_t reader, teller;
    bool stopping;    /* the reader is to end */
    int64_t tell_end; /* of a stop: until when the teller may go on; 0: no stop */
    /* Opens a stream and receives until it ends; returns its code. */
    tern_code (*read)(struct tern_receiver *r, tern_status *reterr);
    /* Whether there is something to tell. With the lock held. */
    bool (*has_news)(struct tern_receiver *r);
    /* Takes what there is, with the lock held, lets the lock go, tells it, and takes it again.
     * Anything but TERN_OK: what could not be told is still there. */
    tern_code (*tell)(struct tern_receiver *r, const tern_call_options *options,
                      tern_status *reterr);
    const char *what; /* for messages: "queue" */
    const char *name; /* of the queue or the topic */
} tern_receiver;

/* Starts the threads; the functions and names are set. After a failure nothing is left. */
tern_code drone_bus_receiver_start(tern_receiver *r, tern_bus *bus, tern_status *reterr);
/* Ends them: first the reader, then the teller when it has told all, or after the grace. */
void drone_bus_receiver_stop(tern_receiver *r);
/* Frees what start made. */
void drone_bus_receiver_deinit(tern_receiver *r);
/* There is something to tell. With the lock held. */
void drone_bus_receiver_news(tern_receiver *r);

tern_code drone_bus_tern_consume(drone_bus *bus, const drone_bus_consumer_options *options,
                                 drone_bus_consumer **ret, tern_status *reterr);
void drone_bus_tern_consumer_stop(drone_bus_consumer *c);
void drone_bus_tern_consumer_free(drone_bus_consumer *c);
void drone_bus_tern_settle(drone_bus_delivery *d, drone_bus_verdict verdict, int64_t delay_ms,
                           const char *reason);
tern_code drone_bus_tern_subscribe(drone_bus *bus, const drone_bus_subscriber_options *options,
                                   drone_bus_subscriber **ret, tern_status *reterr);
void drone_bus_tern_advance(drone_bus_subscriber *s, int64_t sequence);
void drone_bus_tern_subscriber_stop(drone_bus_subscriber *s);

#endif
