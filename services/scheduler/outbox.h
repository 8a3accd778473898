/* Delivers the compensation messages of the outbox to the Supervisor, at least once each, on a
 * thread of its own: until they are acknowledged, with growing pauses. With a bus they go into its
 * queue "compensations", else by calls. */
#ifndef DRONE_SCHEDULER_OUTBOX_H
#define DRONE_SCHEDULER_OUTBOX_H

#include <tern/channel.h>
#include <tern/status.h>

#include "bus/bus.h"
#include "common/store.h"
#include "scheduler/records.h"

typedef struct drone_outbox drone_outbox;

/* Reads what the store holds, but starts nothing. `bus` is borrowed; NULL: calls go to the
 * Supervisor's address. */
tern_code drone_outbox_new(drone_store *store, const char *address, drone_bus *bus,
                           drone_outbox **ret, tern_status *reterr);

/* Starts the thread. */
tern_code drone_outbox_start(drone_outbox *outbox, tern_status *reterr);

/* Queues a message that was committed; takes `body` over. Writing thread. */
void drone_outbox_push(drone_outbox *outbox, const char *message_id, drone_bytes body);

/* Ends the thread; what was not acknowledged stays in the store. NULL is fine. */
void drone_outbox_stop(drone_outbox *outbox);

/* After the store was closed. NULL is fine. */
void drone_outbox_free(drone_outbox *outbox);

/* Counters of the channel to the Supervisor. */
void drone_outbox_stats(drone_outbox *outbox, tern_channel_stats *ret);

#endif
