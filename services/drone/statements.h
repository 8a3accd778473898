/* Numbers of the Drone service's prepared statements; their texts are in schema.c. */
#ifndef DRONE_DRONE_STATEMENTS_H
#define DRONE_DRONE_STATEMENTS_H

#include "common/operation.h"

enum {
    SQUAD_ADD = DRONE_STMT_FIRST,
    SQUAD_LIST,
    FLIGHT_FIND,
    FLIGHT_OF_PACKAGE,
    FLIGHT_PUT,
    FLIGHT_TOMBSTONE,
    FLIGHT_UNDO,
    FLIGHT_AHEAD
};

#endif
