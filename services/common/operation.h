/* An operation of a service: the part of an RPC behind the wire. It checks a request, runs on the
 * store, and fills a response.
 *
 * Every operation that changes something carries a common.v1.Change. What follows from it is done
 * here, once, for all services: an idempotency key that is known with the same request is a
 * replay, with another request it is refused with ABORTED; a new key is stored with the change it
 * made, in the same commit. A request that fails stores nothing, not even its key. */
#ifndef DRONE_COMMON_OPERATION_H
#define DRONE_COMMON_OPERATION_H

#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

#include "common/reply.h"
#include "common/store.h"
#include <drone/common/v1/common.pb-c.h>

/* What run is given. */
typedef struct drone_operation_call {
    void *service; /* the service's state */
    drone_store *store;
    const void *request;                     /* the unpacked message */
    void *response;                          /* initialised; strings from drone_reply_strdup() */
    const Drone__Common__V1__Change *change; /* of the request; NULL for reads */
    int64_t digest;                          /* of the request */
    bool replay;                             /* this key was carried out before */
    drone_reply *reply;
} drone_operation_call;

typedef struct drone_operation {
    const char *name; /* of the RPC: "PlaceHold" */
    /* Checks every field of the request without looking at any state. Any thread. */
    tern_code (*check)(const void *request, drone_reply *reply);
    /* Carries it out, on the writing thread. */
    tern_code (*run)(const drone_operation_call *c);
    size_t change_offset; /* offsetof(Request, change), or DRONE_NO_CHANGE */
    bool reads_only;
} drone_operation;

#define DRONE_NO_CHANGE ((size_t)-1)

/* Checks and carries out an operation at once, waiting for the disk: what tests and tools call. */
tern_code drone_operation_call_now(const drone_operation *op, void *service, drone_store *store,
                                   const ProtobufCMessage *request, ProtobufCMessage *response,
                                   drone_reply *reply);

/* The body of a handler: checks, queues, and answers when the commit is on disk (the call is
 * deferred). Returns what the handler returns. */
struct drone_service;
tern_code drone_operation_serve(const drone_operation *op, struct drone_service *service,
                                tern_server_call *call, const ProtobufCMessage *request,
                                ProtobufCMessage *response);

/* The body of a handler whose operation reads nothing but memory that never changes: checks, runs
 * and answers here, without the store. */
tern_code drone_operation_serve_here(const drone_operation *op, struct drone_service *service,
                                     tern_server_call *call, const ProtobufCMessage *request,
                                     ProtobufCMessage *response);

/* The table of keys, part of every store's DDL. */
#define DRONE_KEYS_DDL                             \
    "CREATE TABLE change_key("                     \
    "  idempotency_key TEXT NOT NULL PRIMARY KEY," \
    "  digest INTEGER NOT NULL,"                   \
    "  delivery_id TEXT NOT NULL"                  \
    ") STRICT, WITHOUT ROWID;"

/* The first statements of every schema: the two that the keys need. */
#define DRONE_KEYS_STATEMENTS                                   \
    "SELECT digest FROM change_key WHERE idempotency_key = ?1", \
        "INSERT INTO change_key(idempotency_key, digest, delivery_id) VALUES(?1, ?2, ?3)"
#define DRONE_STMT_KEY_FIND 0
#define DRONE_STMT_KEY_ADD 1
#define DRONE_STMT_FIRST 2 /* the service's own begin here */

/* A number for a request: equal for equal requests to one RPC, different otherwise but for one
 * chance in 2^64. `name` is the RPC's. Pure. */
int64_t drone_request_digest(const char *name, const ProtobufCMessage *request);

#endif
