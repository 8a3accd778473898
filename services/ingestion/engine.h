/* The inside of Ingestion: what the door, the store, the publisher and the look-ups share.
 *
 * Threads. The door's threads (libmicrohttpd's) read requests and send answers, and never wait. The
 * store's writing thread accepts. The publisher's thread moves what was accepted into the queue.
 * Look-ups are answered by Tern's thread of the background. */
#ifndef DRONE_INGESTION_ENGINE_H
#define DRONE_INGESTION_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/channel.h>
#include <tern/context.h>

#include "bus/bus.h"
#include "common/reply.h"
#include "common/service.h"
#include "common/trace.h"
#include "ingestion/answer.h"

typedef struct drone_door drone_door;
typedef struct drone_publisher drone_publisher;

typedef struct drone_ingestion {
    drone_service *service;
    drone_store *store;
    drone_bus *bus;
    drone_publisher *publisher;
    drone_door *door;
    tern_channel *scheduler, *delivery;
    tern_context *context; /* of look-ups; cancelled when the process ends */
    uint32_t number;       /* of the store, see schema.h */
    /* --- options --- */
    const char *http;
    const char *bus_address, *scheduler_address, *delivery_address;
    int64_t threads, connections_max, buffer_max, lookup_timeout_ms;
    /* --- counters --- */
    atomic_llong accepted, repeated, refused, unavailable, buffered, published, connections;
} drone_ingestion;

/* --- accepting (accept.c) --------------------------------------------------------------------- */

/* A command on its way to the disk. */
typedef struct drone_accept {
    drone_store_op op; /* first, so that a drone_store_op * is a drone_accept * */
    drone_ingestion *ingestion;
    const char *key; /* borrowed, like the next, until `done` */
    const char *delivery_id;
    bool schedules; /* makes the delivery; false: changes it */
    int64_t digest; /* of the request */
    uint8_t *body;  /* packed Command */
    size_t len;
    char traceparent[DRONE_TRACEPARENT_SIZE];
    bool replayed;
    drone_reply reply;
    drone_answer *answer;                 /* is filled in before `done` */
    void (*done)(struct drone_accept *a); /* on the writing thread, or before start returns */
} drone_accept;

void drone_accept_start(drone_accept *a);

/* Reads what the store has: the buffer's length, its number (made if missing). Before the store
 * runs. */
tern_code drone_ingestion_load(drone_ingestion *g, tern_status *reterr);

/* A delivery that is asked for, and which the Scheduler does not know: whether it waits here. */
typedef struct drone_pending {
    drone_store_op op; /* first */
    const char *delivery_id;
    bool found;
    drone_reply reply;
    void *ctx;
    void (*done)(struct drone_pending *p, tern_code code); /* on the writing thread */
} drone_pending;

/* False when the store has too much to do: `done` does not come then. */
bool drone_pending_start(drone_ingestion *g, drone_pending *p);

/* --- publishing (publisher.c) ----------------------------------------------------------------- */

/* Starts the thread; the bus is open. */
tern_code drone_publisher_new(drone_ingestion *g, drone_publisher **ret, tern_status *reterr);
/* Something new is in the buffer. Any thread. NULL is fine. */
void drone_publisher_wake(drone_publisher *p);
/* Ends with the batch under way, and frees. NULL is fine. */
void drone_publisher_free(drone_publisher *p);

/* --- looking up (lookup.c) -------------------------------------------------------------------- */

/* A look-up by RPC. */
typedef struct drone_lookup {
    drone_ingestion *ingestion;
    const char *id; /* borrowed until `done` */
    int resource;   /* drone_resource */
    drone_pending pending;
    drone_answer *answer;                 /* is filled in before `done` */
    void (*done)(struct drone_lookup *l); /* on some thread, or before start returns */
} drone_lookup;

void drone_lookup_start(drone_lookup *l);

/* --- the door (door.c) ------------------------------------------------------------------------ */

/* Listens and serves. UNAVAILABLE: the address cannot be had; INVALID_ARGUMENT: it is none. */
tern_code drone_door_new(drone_ingestion *g, drone_door **ret, tern_status *reterr);
/* "http://127.0.0.1:8080"; with the port that was taken. */
const char *drone_door_url(const drone_door *d);
/* No new connections; waits until every request under way is answered. The store and the channels
 * still run. */
void drone_door_stop(drone_door *d);
void drone_door_free(drone_door *d);

#endif
