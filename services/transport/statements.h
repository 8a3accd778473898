/* Numbers of the Transport service's prepared statements; their texts are in schema.c. */
#ifndef DRONE_TRANSPORT_STATEMENTS_H
#define DRONE_TRANSPORT_STATEMENTS_H

#include "common/operation.h"

enum { ORDER_FIND = DRONE_STMT_FIRST, ORDER_PUT, ORDER_NUMBER, ORDER_UNDO };

#endif
