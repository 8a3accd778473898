/* Which resource a request is about: method and path, and nothing else. Pure. */
#ifndef DRONE_INGESTION_PATHS_H
#define DRONE_INGESTION_PATHS_H

#include <stdbool.h>

#include "common/names.h"

/* Room for an id and one character more, so that one that is too long is seen to be. */
#define DRONE_PATH_ID_SIZE (DRONE_ID_BYTES_MAX + 2)

typedef enum drone_resource {
    DRONE_RESOURCE_NONE = 0, /* 404 */
    DRONE_RESOURCE_REQUESTS, /* /api/deliveryrequests */
    DRONE_RESOURCE_REQUEST,  /* /api/deliveryrequests/{id} */
    DRONE_RESOURCE_DELIVERY, /* /api/deliveries/{id} */
    DRONE_RESOURCE_STATUS,   /* /api/deliveries/{id}/status */
    DRONE_RESOURCE_OWNER,    /* /api/deliveries/{id}/owner */
    DRONE_RESOURCE_OPENAPI,  /* /openapi.json */
    DRONE_RESOURCE_LIVE,     /* /healthz */
    DRONE_RESOURCE_READY     /* /readyz */
} drone_resource;

typedef enum drone_verb {
    DRONE_VERB_OTHER = 0, /* 405 everywhere */
    DRONE_VERB_GET,       /* HEAD as well */
    DRONE_VERB_POST,
    DRONE_VERB_PATCH,
    DRONE_VERB_DELETE
} drone_verb;

typedef struct drone_path {
    drone_resource resource;
    drone_verb verb;
    const char *allow;           /* what the header Allow says of the resource */
    bool allowed;                /* the verb is one of these */
    char id[DRONE_PATH_ID_SIZE]; /* of the resource; cut, and thereby refused, when too long */
} drone_path;

/* `path` is decoded already. */
void drone_path_read(const char *method, const char *path, drone_path *ret);

#endif
