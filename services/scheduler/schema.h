/* The Scheduler's store, DIR/scheduler.db.
 *
 * delivery: one row for each delivery that was accepted, and one for each id that was cancelled
 * before it came (revision 0, request NULL). `state` is scheduler.v1.State. `phase` says which
 * workflow is under way (drone_wf_kind; 0: none): exactly these rows are resumed at the start.
 * `request` is the packed DeliveryRequest that stands or is being made to stand, `former` the
 * one before it while an update or a restore is under way. drone_id or order_id says who
 * carries it, as last settled; failed_* describe the latest failure. Revisions only grow; a
 * kept update leaves a higher one here than at the services.
 *
 * change_key: which request an idempotency key stood for, and the revision that it made.
 *
 * outbox: compensation messages that the Supervisor has not acknowledged yet; written in the
 * commit that makes the delivery COMPENSATING or CANCELLING. `body` is a packed
 * supervisor.v1.CompensateRequest. */
#ifndef DRONE_SCHEDULER_SCHEMA_H
#define DRONE_SCHEDULER_SCHEMA_H

#include "common/store.h"

extern const drone_store_schema drone_scheduler_schema;

/* Statements, by index. */
enum drone_scheduler_stmt {
    DRONE_SCHED_KEY_FIND,  /* key -> digest, delivery_id, revision */
    DRONE_SCHED_KEY_ADD,   /* key, digest, delivery_id, revision */
    DRONE_SCHED_FIND,      /* delivery_id -> all columns but request and former */
    DRONE_SCHED_FIND_BODY, /* delivery_id -> request, former */
    DRONE_SCHED_INSERT,
    DRONE_SCHED_SET_STATE, /* delivery_id, state */
    DRONE_SCHED_BEGIN_UPDATE,
    DRONE_SCHED_BEGIN_RESTORE,
    DRONE_SCHED_END,       /* of a workflow */
    DRONE_SCHED_CLOSE,     /* the Supervisor's outcome */
    DRONE_SCHED_UNDER_WAY, /* -> delivery_id of every row with a phase */
    DRONE_SCHED_COUNTS,    /* -> state, rows, by drone, by transport */
    DRONE_SCHED_OUTBOX_ADD,
    DRONE_SCHED_OUTBOX_DROP,
    DRONE_SCHED_OUTBOX_ALL,
    DRONE_SCHED_N_STMTS
};

#endif
