/* The inside of the message service.
 *
 * Threads. Event loops check requests and queue operations. The store's writing thread runs them,
 * and is the only one that touches queues and topics: what follows from a commit happens in `done`,
 * in the order of the commits. Another thread queues a tick every DRONE_MESSAGES_TICK_MS, for what
 * time and lost consumers bring about.
 *
 * A message is in the store from the answer to its publisher on until it is settled; in memory
 * there is an entry for each. An attempt is written down when it ends without success, before the
 * next one begins; a restart of this service costs no attempt. */
#ifndef DRONE_MESSAGES_ENGINE_H
#define DRONE_MESSAGES_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/service.h"
#include "messages/outlet.h"
#include "messages/queues.h"
#include "messages/topics.h"
#include <drone/messages/v1/messages.pb-c.h>

#define DRONE_MESSAGES_TICK_MS 50
#define DRONE_MESSAGES_BATCH_MAX 256         /* messages or events of one request */
#define DRONE_MESSAGES_BATCH_BYTES (1 << 20) /* of them together */
#define DRONE_MESSAGE_BODY_MAX (256 << 10)
#define DRONE_MESSAGE_REASON_MAX 256
#define DRONE_SETTLEMENTS_MAX 1024  /* of one request */
#define DRONE_TICK_RETURNS_MAX 1024 /* messages that one tick returns; the next one goes on */
#define DRONE_FEED_MAX 256          /* events read for one subscriber at a time */
#define DRONE_PRUNE_MAX 1000        /* events that one tick deletes of a topic */

typedef struct drone_messages {
    drone_service *service;
    drone_store *store;
    drone_queues *queues; /* writing thread, as is what follows */
    drone_topics topics;
    drone_store_op tick;
    struct drone_entry *returned[DRONE_TICK_RETURNS_MAX]; /* of the tick that runs */
    size_t n_returned;

    atomic_bool ticking; /* the tick is on its way */
    atomic_llong enqueued, settled, redelivered, emitted;

    pthread_t ticker;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool started, stopping;
} drone_messages;

/* Reads the store into memory. Before it runs. */
tern_code drone_messages_load(drone_messages *m, tern_status *reterr);
/* Frees queues and topics. After the store was closed. */
void drone_messages_unload(drone_messages *m);
/* The thread that ticks. */
tern_code drone_messages_start(drone_messages *m, tern_status *reterr);
void drone_messages_stop(drone_messages *m);

/* --- writing thread --------------------------------------------------------------------------- */

/* Writes down that an attempt has ended without success: again at due_ms, or a dead letter. */
tern_code drone_messages_write_return(drone_store *store, const drone_entry *e, int64_t due_ms,
                                      const char *reason, int64_t now_ms);
/* The same in memory, after the commit. */
void drone_messages_apply_return(drone_messages *m, drone_entry *e, int64_t due_ms, int64_t now_ms);

/* Sends what is ready to whom has credit. */
void drone_messages_dispatch(drone_messages *m, drone_queue *q, int64_t now_ms);
/* Sends a topic's subscribers what they have room for. */
void drone_messages_feed(drone_messages *m, drone_topic *t);

/* What time brings about. */
tern_code drone_messages_tick_run(drone_store *store, drone_store_op *op);
void drone_messages_tick_done(drone_store_op *op, tern_code code);

/* A Delivered (third >= 0) or an Event as a parcel. NULL when out of memory. */
drone_parcel *drone_messages_parcel(int64_t sequence, int64_t second, int64_t third,
                                    const void *message, size_t len);

struct drone_messages_v1_message_service_handlers;
extern const struct drone_messages_v1_message_service_handlers drone_messages_handlers;

#endif
