/* What the REST door answers: a status, a JSON body, and the few headers that go with it. Pure. */
#ifndef DRONE_INGESTION_ANSWER_H
#define DRONE_INGESTION_ANSWER_H

#include <stdbool.h>

#include <tern/status.h>

#include "common/names.h"
#include <drone/delivery/v1/delivery.pb-c.h>
#include <drone/scheduler/v1/scheduler.pb-c.h>

/* Seconds after which a client that was told 503 does well to come again. */
#define DRONE_RETRY_AFTER_S 1

typedef struct drone_answer {
    unsigned status; /* 0: none yet */
    char *body;      /* malloc'ed JSON; NULL: none, or no memory for it */
    bool problem;    /* application/problem+json, RFC 9457 */
    bool retry;      /* Retry-After */
    bool replayed;   /* Idempotency-Replayed: true */
    char location[sizeof("/api/deliveryrequests/") + DRONE_ID_BYTES_MAX * 3];
} drone_answer;

void drone_answer_deinit(drone_answer *a);

/* A failure; `detail` says what happened and what to do. */
void drone_answer_problem(drone_answer *a, unsigned status, const char *detail);

/* A failure of a check, of the store or of a call. */
void drone_answer_failure(drone_answer *a, tern_code code, const char *detail);

/* 202 with the Location. */
void drone_answer_accepted(drone_answer *a, const char *delivery_id, bool replayed);

/* 200. A request that waits here, or is with the Scheduler. */
void drone_answer_waiting(drone_answer *a, const char *delivery_id);
void drone_answer_request(drone_answer *a, const Drone__Scheduler__V1__DeliveryStatus *s);

/* 200. A delivery, how far it is, and whose. */
void drone_answer_delivery(drone_answer *a, const Drone__Delivery__V1__Delivery *d);
void drone_answer_status(drone_answer *a, const Drone__Delivery__V1__Delivery *d);
void drone_answer_owner(drone_answer *a, const Drone__Delivery__V1__Delivery *d);

/* 200. */
void drone_answer_text(drone_answer *a, const char *json);

#endif
