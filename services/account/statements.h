/* Numbers of the Account service's prepared statements; their texts are in schema.c. */
#ifndef DRONE_ACCOUNT_STATEMENTS_H
#define DRONE_ACCOUNT_STATEMENTS_H

#include "common/operation.h"

enum {
    ACCOUNT_FIND = DRONE_STMT_FIRST,
    ACCOUNT_PUT,
    ACCOUNT_SEED,
    ACCOUNT_ADD,
    HOLD_FIND,
    HOLD_PUT,
    HOLD_UNDO
};

#endif
