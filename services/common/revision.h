/* The life of what a delivery holds at a service (a hold, a package, a drone, an order), by
 * revisions. Pure decisions; the services' tables carry the columns `state` and `revision`.
 *
 *     (no row) --create r--> LIVE r --create s>r--> LIVE s --undo s--> UNDONE s
 *     UNDONE s --create t>s--> LIVE t
 *     (no row) --undo r----> TOMBSTONE r            --create t>r--> LIVE t
 *
 * A creation at or below the revision that was undone comes too late and is refused, as is
 * anything older than what is stored. */
#ifndef DRONE_COMMON_REVISION_H
#define DRONE_COMMON_REVISION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/reply.h"
#include <drone/common/v1/common.pb-c.h>

/* Values of a `state` column. */
typedef enum drone_life {
    DRONE_LIFE_NONE = 0, /* no row */
    DRONE_LIFE_LIVE = 1,
    DRONE_LIFE_UNDONE = 2,
    DRONE_LIFE_TOMBSTONE = 3 /* undone before it was made */
} drone_life;

typedef enum drone_create {
    DRONE_CREATE_REFUSE = 0, /* the reply holds the status */
    DRONE_CREATE_INSERT,     /* no row: make one */
    DRONE_CREATE_REPLACE,    /* a row of an older revision: write over it */
    DRONE_CREATE_REPEAT      /* done before: answer from the row */
} drone_create;

typedef enum drone_undo {
    DRONE_UNDO_REFUSE = 0,
    DRONE_UNDO_TOMBSTONE,    /* no row: leave a tombstone, answer NOTHING */
    DRONE_UNDO_UNDO,         /* live: undo it, answer DONE */
    DRONE_UNDO_RAISE_DONE,   /* undone already: keep the higher revision, answer DONE */
    DRONE_UNDO_RAISE_NOTHING /* a tombstone: keep the higher revision, answer NOTHING */
} drone_undo;

/* What stands in the store for the change's delivery. */
typedef struct drone_stored {
    drone_life life;
    int64_t revision;
} drone_stored;

/* Decides on creating or updating. `what` names the thing for messages: "hold". On REFUSE
 * *ret_code is the code to return: ABORTED or FAILED_PRECONDITION. */
drone_create drone_revision_create(const char *what, const Drone__Common__V1__Change *change,
                                   bool replay, drone_stored stored, drone_reply *reply,
                                   tern_code *ret_code);

/* Decides on undoing; ABORTED when something newer than the change is live. */
drone_undo drone_revision_undo(const char *what, const Drone__Common__V1__Change *change,
                               drone_stored stored, drone_reply *reply, tern_code *ret_code);

/* What an undo answers. */
Drone__Common__V1__Undone drone_undo_outcome(drone_undo undo);

#endif
