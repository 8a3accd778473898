/* Numbers of the Delivery service's prepared statements; their texts are in schema.c. */
#ifndef DRONE_DELIVERY_STATEMENTS_H
#define DRONE_DELIVERY_STATEMENTS_H

#include "common/operation.h"

enum {
    DELIVERY_FIND = DRONE_STMT_FIRST,
    DELIVERY_PUT,
    DELIVERY_RESCHEDULE,
    DELIVERY_TOMBSTONE,
    DELIVERY_UNDO
};

#endif
