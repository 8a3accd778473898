/* The Transport service: orders with the third party that takes over what no drone can carry. */
#ifndef DRONE_TRANSPORT_TRANSPORT_H
#define DRONE_TRANSPORT_TRANSPORT_H

#include "common/operation.h"
#include <drone/transport/v1/transport.pb-c.h>

/* carrier_order(delivery_id, number, package_id, weight_g, the route, state, revision): state as
 * in drone_life; `number` is the third party's own, and NULL in a tombstone that never was an
 * order. */
extern const drone_store_schema drone_transport_schema;

#define DRONE_TRANSPORT_ROUTE_M_MAX 500000 /* what the carrier drives, as the crow flies */

/* The operations; their service pointer is unused. */
extern const drone_operation drone_transport_take_over;
extern const drone_operation drone_transport_recall;
extern const drone_operation drone_transport_get;

#endif
