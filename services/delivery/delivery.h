/* The Delivery service: deliveries and their stages. */
#ifndef DRONE_DELIVERY_DELIVERY_H
#define DRONE_DELIVERY_DELIVERY_H

#include "common/operation.h"
#include <drone/delivery/v1/delivery.pb-c.h>

/* delivery(delivery_id, the owner, the route, expedited, confirmation, package_id, drone_id,
 * order_id, stage, state, revision): stage as in Stage, state as in drone_life. One of drone_id
 * and order_id is empty; a tombstone has neither. */
extern const drone_store_schema drone_delivery_schema;

/* The operations; their service pointer is unused. */
extern const drone_operation drone_delivery_create;
extern const drone_operation drone_delivery_update;
extern const drone_operation drone_delivery_cancel;
extern const drone_operation drone_delivery_get;

#endif
