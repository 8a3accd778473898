/* The Package service: which package belongs to which delivery. */
#ifndef DRONE_PACKAGE_PACKAGE_H
#define DRONE_PACKAGE_PACKAGE_H

#include "common/operation.h"
#include <drone/package/v1/package.pb-c.h>

/* reservation(delivery_id, package_id, size, weight_g, tag, state, revision): state as in
 * drone_life; the package's columns are NULL in a tombstone. A unique index over the live rows
 * keeps a package from being in two deliveries. */
extern const drone_store_schema drone_package_schema;

/* The operations; their service pointer is unused. */
extern const drone_operation drone_package_put;
extern const drone_operation drone_package_release;
extern const drone_operation drone_package_get;

#endif
