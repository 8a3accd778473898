/* Ingestion's store, DIR/ingestion.db.
 *
 * request: which request an idempotency key stood for; its delivery is what GET finds before the
 * Scheduler knows it. A delivery is scheduled once (`schedules` is 1), whatever the key.
 *
 * buffer: commands that are accepted and not in the queue yet; written in the commit that accepts
 * them. Sequences are never used twice, because the ids of messages are made of them. `body` is a
 * packed ingestion.v1.Command.
 *
 * door: one row, a number drawn when the store was made, which tells its messages from those of
 * another store. */
#ifndef DRONE_INGESTION_SCHEMA_H
#define DRONE_INGESTION_SCHEMA_H

#include "common/store.h"

extern const drone_store_schema drone_ingestion_schema;

enum drone_ingestion_stmt {
    DRONE_ING_KEY_FIND,      /* key -> digest, delivery_id */
    DRONE_ING_KEY_ADD,       /* key, digest, delivery_id, schedules, at_ms */
    DRONE_ING_DELIVERY_FIND, /* delivery_id -> whether it is scheduled by one of the keys */
    DRONE_ING_BUFFER_ADD,    /* delivery_id, traceparent, body */
    DRONE_ING_BUFFER_NEXT,   /* rows at most -> sequence, delivery_id, traceparent, body */
    DRONE_ING_BUFFER_DROP,   /* up to this sequence */
    DRONE_ING_BUFFER_COUNT,
    DRONE_ING_DOOR_ADD, /* number */
    DRONE_ING_DOOR,     /* -> number */
    DRONE_ING_N_STMTS
};

#endif
