/* The message service's store: unsettled messages and dead letters, events of topics, and how far
 * each durable subscriber is. */
#ifndef DRONE_MESSAGES_SCHEMA_H
#define DRONE_MESSAGES_SCHEMA_H

#include "common/store.h"

extern const drone_store_schema drone_messages_schema;

/* Statements, by their index in the schema. */
enum {
    DRONE_MSG_ADD,   /* queue, id, body, enqueued_at_ms, due_ms: no row changes if it is known */
    DRONE_MSG_BODY,  /* sequence -> body */
    DRONE_MSG_DROP,  /* sequence */
    DRONE_MSG_RETRY, /* sequence, attempts, due_ms, reason */
    DRONE_MSG_BURY,  /* sequence, attempts, reason, died_at_ms */
    DRONE_MSG_ALIVE, /* -> sequence, queue, attempts, enqueued_at_ms, due_ms */
    DRONE_MSG_DEAD_COUNT, /* -> queue, count */
    DRONE_MSG_DEAD_LIST,  /* after, queue or '', limit -> rows of DRONE_MSG_DEAD_ONE */
    DRONE_MSG_DEAD_ONE,   /* sequence -> sequence, queue, attempts, reason, times, body */
    DRONE_MSG_REVIVE,     /* sequence */
    DRONE_EVENT_ADD,      /* topic, key, body, emitted_at_ms */
    DRONE_EVENT_NEXT,     /* topic, after, limit -> sequence, emitted_at_ms, body, key */
    DRONE_EVENT_LAST,     /* -> topic, highest sequence, count */
    DRONE_EVENT_PRUNE,    /* topic, up to, limit */
    DRONE_CURSOR_ALL,     /* -> topic, subscriber, sequence */
    DRONE_CURSOR_SET,     /* topic, subscriber, sequence */
    DRONE_MSG_N_STMTS
};

#endif
