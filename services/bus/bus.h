/* Messages between the parts of Drone Delivery: queues of work and topics of events, over whatever
 * carries them. One narrow interface, several drivers (driver.h), one suite of tests for all of
 * them (tests/integration/test_bus.c).
 *
 * What publishing has answered is on disk. A message is delivered at least once: to one consumer of
 * its queue at a time, and again when that one dies, gives it back, or does not settle it within
 * its lease; after five attempts it is a dead letter. An event goes to every subscriber of its
 * topic, in the order of the topic; to a durable one at least once, even if it was away. The order
 * of a queue is that of publishing, except for what is delivered again.
 *
 * Threads: functions may be called by any thread. Callbacks come on a thread of the bus, one after
 * the other for each consumer or subscriber, and must not block. */
#ifndef DRONE_BUS_BUS_H
#define DRONE_BUS_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/status.h>

#define DRONE_BUS_IN_FLIGHT_MAX 1024 /* of one consumer or durable subscriber */
#define DRONE_BUS_BATCH_MAX 256      /* messages of one publishing, 1 MiB together at most */
#define DRONE_BUS_ATTEMPTS_MAX 5     /* of a message; then it is a dead letter */

typedef struct drone_bus drone_bus;
typedef struct drone_bus_consumer drone_bus_consumer;
typedef struct drone_bus_subscriber drone_bus_subscriber;

/* A message or an event. All texts are borrowed. */
typedef struct drone_bus_message {
    const char *message_id;  /* 1..64 characters; one that still waits in its queue is not added */
    const char *key;         /* what it is about, ""… 64 characters */
    const char *traceparent; /* W3C trace context, or "" */
    const void *body;        /* at most 256 KiB */
    size_t body_len;
    int64_t delay_ms; /* of a queue: not before this has passed */
} drone_bus_message;

/* Opens the bus at an address: "tern:unix:/path" or "tern:ADDRESS" (the message service). Does not
 * wait for a connection. *ret is owned by the caller. INVALID_ARGUMENT: no such address. */
tern_code drone_bus_open(const char *address, drone_bus **ret, tern_status *reterr);
/* After its consumers and subscribers were stopped, and the callbacks of all publishing have come:
 * waits for them. NULL is fine. */
void drone_bus_close(drone_bus *bus);

/* --- publishing ------------------------------------------------------------------------------- */

/* How a publishing ended: TERN_OK, all of it is on disk; UNAVAILABLE and other codes that pass:
 * perhaps it is: publish it again, with the same ids; RESOURCE_EXHAUSTED: the bus is full, nothing
 * was stored; INVALID_ARGUMENT: it never will be. */
typedef void (*drone_bus_published)(void *ctx, const tern_status *st);

/* Publishes to a queue. `done` comes once, if this returns TERN_OK; the messages are copied. */
tern_code drone_bus_publish_start(drone_bus *bus, const char *queue,
                                  const drone_bus_message *messages, size_t n,
                                  drone_bus_published done, void *ctx, tern_status *reterr);
/* Publishes to a topic. */
tern_code drone_bus_emit_start(drone_bus *bus, const char *topic, const drone_bus_message *events,
                               size_t n, drone_bus_published done, void *ctx, tern_status *reterr);
/* The same, waiting for the end. Not in callbacks. */
tern_code drone_bus_publish(drone_bus *bus, const char *queue, const drone_bus_message *messages,
                            size_t n, tern_status *reterr);
tern_code drone_bus_emit(drone_bus *bus, const char *topic, const drone_bus_message *events,
                         size_t n, tern_status *reterr);

/* --- work ------------------------------------------------------------------------------------- */

/* A message that this consumer has to settle. Valid until it has settled it; by any thread. */
typedef struct drone_bus_delivery {
    drone_bus_message message;
    uint32_t attempt; /* 1 for the first */
    int64_t enqueued_at_ms;
    drone_bus_consumer *consumer; /* that got it */
} drone_bus_delivery;

typedef void (*drone_bus_work)(void *ctx, drone_bus_delivery *d);

typedef struct drone_bus_consumer_options {
    const char *queue;
    const char *name;       /* for logs; "" */
    uint32_t in_flight_max; /* 1..DRONE_BUS_IN_FLIGHT_MAX delivered and not settled */
    int64_t lease_ms;       /* 100..3,600,000 */
    drone_bus_work work;
    void *ctx;
} drone_bus_consumer_options;

/* Begins to consume; connects, and connects again, by itself. Texts are copied. */
tern_code drone_bus_consume(drone_bus *bus, const drone_bus_consumer_options *options,
                            drone_bus_consumer **ret, tern_status *reterr);
/* No `work` comes any more once this has returned; what was settled before is told to the bus if it
 * can be reached within five seconds, and deliveries that are not settled are given up: settling
 * them is still allowed, and does nothing. Not in callbacks. */
void drone_bus_consumer_stop(drone_bus_consumer *c);
/* Waits for the last delivery to be settled, and frees. After stop. NULL is fine. */
void drone_bus_consumer_free(drone_bus_consumer *c);

/* It is done: forget it. */
void drone_bus_done(drone_bus_delivery *d);
/* It could not be done: again after delay_ms, up to the fifth attempt. `reason` is for the dead
 * letters, at most 256 bytes. */
void drone_bus_retry(drone_bus_delivery *d, int64_t delay_ms, const char *reason);
/* It can never be done: a dead letter at once. */
void drone_bus_reject(drone_bus_delivery *d, const char *reason);

/* --- events ----------------------------------------------------------------------------------- */

/* An event; borrowed for the callback. `sequence` grows within the topic. */
typedef void (*drone_bus_event)(void *ctx, const drone_bus_message *event, int64_t sequence);

typedef struct drone_bus_subscriber_options {
    const char *topic;
    const char *name;       /* durable under this name; "": live, events from now on */
    const char *key;        /* of a live one: only events with this key; "": all */
    uint32_t in_flight_max; /* of a durable one */
    drone_bus_event event;
    void *ctx;
} drone_bus_subscriber_options;

tern_code drone_bus_subscribe(drone_bus *bus, const drone_bus_subscriber_options *options,
                              drone_bus_subscriber **ret, tern_status *reterr);
/* A durable one is done with this event and all before it. */
void drone_bus_advance(drone_bus_subscriber *s, int64_t sequence);
/* No `event` comes any more; what it has advanced to is told if it can be. Then it is freed. Not in
 * callbacks. NULL is fine. */
void drone_bus_subscriber_stop(drone_bus_subscriber *s);

/* --- dead letters ----------------------------------------------------------------------------- */

typedef struct drone_bus_dead_letter {
    int64_t sequence; /* names it */
    const char *queue;
    const char *reason;
    int32_t attempts;
    int64_t died_at_ms;
    drone_bus_message message;
} drone_bus_dead_letter;

/* Calls `each` for the dead letters of a queue ("": of all), oldest first, until it returns false.
 * Waits. */
tern_code drone_bus_dead_letters(drone_bus *bus, const char *queue,
                                 bool (*each)(void *ctx, const drone_bus_dead_letter *d), void *ctx,
                                 tern_status *reterr);
/* Puts one back into its queue, or forgets it. NOT_FOUND: there is none. Waits. */
tern_code drone_bus_dead_letter_replay(drone_bus *bus, int64_t sequence, tern_status *reterr);
tern_code drone_bus_dead_letter_drop(drone_bus *bus, int64_t sequence, tern_status *reterr);

#endif
