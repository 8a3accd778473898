/* What an operation answers: a status with a message, and memory for the strings of its response.
 *
 * Operations are written against this instead of tern_server_call, so that they run on a temporary
 * store without a server: within a call the memory is the call's; elsewhere it is a list that
 * drone_reply_deinit() frees. */
#ifndef DRONE_COMMON_REPLY_H
#define DRONE_COMMON_REPLY_H

#include <stddef.h>

#include <tern/server.h>
#include <tern/status.h>

#include "common/store.h"

typedef struct drone_reply_block drone_reply_block;

typedef struct drone_reply {
    tern_server_call *call;    /* NULL outside of a server */
    tern_status status;        /* of a failure, outside of a server */
    drone_reply_block *blocks; /* memory, outside of a server */
} drone_reply;

#define DRONE_REPLY_INIT \
    {                    \
        .call = NULL     \
    }

/* Frees the memory of a reply outside of a server. */
void drone_reply_deinit(drone_reply *reply);

/* Zeroed memory that lives as long as the reply. NULL when out of memory. */
void *drone_reply_alloc(drone_reply *reply, size_t size);

/* A copy of `s` (NULL: "") that lives as long as the reply. NULL when out of memory. */
char *drone_reply_strdup(drone_reply *reply, const char *s);

/* Sets the status message and returns `code`. */
tern_code drone_reply_fail(drone_reply *reply, tern_code code, const char *fmt, ...)
    TERN_PRINTF(3, 4);

/* RESOURCE_EXHAUSTED, "out of memory". */
tern_code drone_reply_nomem(drone_reply *reply);

/* INTERNAL, with the reason of SQLite's latest failure. */
tern_code drone_reply_store(drone_reply *reply, drone_store *store);

#endif
