/* A request of the message service on its way through the store: what its handlers share. */
#ifndef DRONE_MESSAGES_REQUEST_H
#define DRONE_MESSAGES_REQUEST_H

#include "common/reply.h"
#include "common/validate.h"
#include "messages/engine.h"

typedef struct drone_msg_request drone_msg_request;

/* Lives in its call's memory, in front of what its kind needs. */
struct drone_msg_request {
    drone_store_op op; /* first, so that a drone_store_op * is a drone_msg_request * */
    drone_messages *m;
    drone_reply reply;
    const void *req;
    void *res;
    tern_code (*run)(drone_msg_request *r, drone_store *store);
    void (*after)(drone_msg_request *r, tern_code code); /* before the answer; NULL: nothing */
};

/* `size` bytes that begin with a drone_msg_request. NULL when out of memory. */
void *drone_msg_request_new(size_t size, void *self, tern_server_call *call, const void *req,
                            void *res);

/* Defers the call and queues the request; when the store is full or closing `after` is called, and
 * UNAVAILABLE answered. Returns what the handler returns. */
tern_code drone_msg_request_go(drone_msg_request *r);

/* A message of a request: INVALID_ARGUMENT with its path ("messages[3].key: …") if it is wrong.
 * Adds its size to *bytes. */
tern_code drone_msg_check(drone_reply *reply, const char *field, size_t i,
                          const Drone__Messages__V1__Message *message, size_t *bytes);
/* How many there are of a repeated field: 1..max. */
tern_code drone_msg_check_count(drone_reply *reply, const char *field, size_t n, size_t max);

#endif
