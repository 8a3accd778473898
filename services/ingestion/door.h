/* One HTTP request at the door, from its headers to its answer. Shared by door.c (connections) and
 * exchange.c (what a request means). */
#ifndef DRONE_INGESTION_DOOR_H
#define DRONE_INGESTION_DOOR_H

#include <microhttpd.h>

#include "ingestion/document.h"
#include "ingestion/engine.h"
#include "ingestion/paths.h"

typedef struct drone_exchange {
    drone_ingestion *ingestion;
    drone_door *door;
    struct MHD_Connection *connection;
    drone_path path;
    char key[DRONE_ID_BYTES_MAX + 2]; /* Idempotency-Key; one character more, as in a path */
    char traceparent[DRONE_TRACEPARENT_SIZE];
    char *body;
    size_t len, room; /* at most DRONE_DOCUMENT_BYTES_MAX */
    size_t dropped;   /* bytes of a body that is too large or unwanted */
    char delivery_id[DRONE_PATH_ID_SIZE];
    drone_accept accept;
    drone_lookup lookup;
    drone_answer answer; /* status 0: not settled yet */
} drone_exchange;

/* Looks at method, path and headers, and settles the answer if they are wrong already. */
void drone_exchange_begin(drone_exchange *x, const char *method, const char *path);
/* Adds to the body. False: it goes on for ever; the connection is to be closed. */
bool drone_exchange_body(drone_exchange *x, const char *data, size_t len);
/* The request is whole, its connection suspended: settles the answer now or later, and calls
 * drone_exchange_settled() then, on whatever thread that is. */
void drone_exchange_go(drone_exchange *x);
/* Whether `go` is to be called. */
bool drone_exchange_waits(const drone_exchange *x);
void drone_exchange_free(drone_exchange *x);

/* In door.c: has the answer sent. */
void drone_exchange_settled(drone_exchange *x);

/* openapi.json, a text. Generated. */
extern const char drone_openapi_json[];

#endif
