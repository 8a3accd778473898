/* The JSON documents of the REST door as requests to the Scheduler. Every fault is named by its
 * JSON path: "$.pickupLocation.latitude: 91 is outside -90..90". Pure. */
#ifndef DRONE_INGESTION_DOCUMENT_H
#define DRONE_INGESTION_DOCUMENT_H

#include <stddef.h>

#include "common/reply.h"
#include <drone/scheduler/v1/scheduler.pb-c.h>

/* Bytes of a document at most: a good one has less than 2 KiB. */
#define DRONE_DOCUMENT_BYTES_MAX 65536

/* Reads and checks the body of POST /api/deliveryrequests; `key` is the idempotency key, borrowed
 * by *ret, whose memory is the reply's. INVALID_ARGUMENT with the path and the reason. */
tern_code drone_document_schedule(drone_reply *reply, const char *body, size_t len, const char *key,
                                  Drone__Scheduler__V1__ScheduleDeliveryRequest **ret);

/* The same for PATCH /api/deliveryrequests/{id}. */
tern_code drone_document_update(drone_reply *reply, const char *body, size_t len, const char *key,
                                const char *delivery_id,
                                Drone__Scheduler__V1__UpdateDeliveryRequest **ret);

/* The request of DELETE /api/deliveryrequests/{id}, checked. */
tern_code drone_document_cancel(drone_reply *reply, const char *key, const char *delivery_id,
                                Drone__Scheduler__V1__CancelDeliveryRequest **ret);

#endif
