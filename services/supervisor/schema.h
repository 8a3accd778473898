/* The Supervisor's store, DIR/supervisor.db.
 *
 * compensation: one row for each message that was taken over. `state` is
 * supervisor.v1.CompensationState, `body` the packed CompensateRequest, `digest` its digest, so
 * that a repeat with another body is told apart. `attempts` is counted before an attempt
 * begins: a message that makes the process die is parked at last, too. reported_state is the
 * state that the Scheduler has acknowledged (0: none): where it differs from `state`, a report
 * is still owed. */
#ifndef DRONE_SUPERVISOR_SCHEMA_H
#define DRONE_SUPERVISOR_SCHEMA_H

#include "common/store.h"

extern const drone_store_schema drone_supervisor_schema;

/* Statements, by index. Rows come with the columns of DRONE_SUPER_FIND. */
enum drone_supervisor_stmt {
    DRONE_SUPER_FIND,        /* message_id -> a row */
    DRONE_SUPER_FIND_LATEST, /* delivery_id -> a row */
    DRONE_SUPER_PARKED,      /* after this message_id, so many -> rows */
    DRONE_SUPER_INSERT,
    DRONE_SUPER_ATTEMPT,  /* message_id, attempts, failing_step, last_error, now */
    DRONE_SUPER_END,      /* message_id, state, failing_step, last_error, now, more attempts */
    DRONE_SUPER_REPORTED, /* message_id, state */
    DRONE_SUPER_OPEN,     /* -> message_id of every row with work left */
    DRONE_SUPER_BODY,     /* message_id -> body */
    DRONE_SUPER_COUNTS,   /* -> state, rows */
    DRONE_SUPER_N_STMTS
};

#endif
