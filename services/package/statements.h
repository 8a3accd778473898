/* Numbers of the Package service's prepared statements; their texts are in schema.c. */
#ifndef DRONE_PACKAGE_STATEMENTS_H
#define DRONE_PACKAGE_STATEMENTS_H

#include "common/operation.h"

enum { PACKAGE_FIND = DRONE_STMT_FIRST, PACKAGE_HOLDER, PACKAGE_PUT, PACKAGE_UNDO };

#endif
