/* A client of the REST door, as small as `submit` needs it: the Scheduler's calls by other means.
 * One thread each. */
#ifndef DRONE_SUBMIT_WEB_H
#define DRONE_SUBMIT_WEB_H

#include <stdint.h>

#include <tern/status.h>

#include <drone/scheduler/v1/scheduler.pb-c.h>

typedef struct drone_web drone_web;

/* Once, before there are threads that use the others. 0, or -ENOMEM. */
int drone_web_init(void);

/* For a door like "http://127.0.0.1:8080"; connects when it is used. NULL when out of memory. */
drone_web *drone_web_new(const char *url);
void drone_web_free(drone_web *w);

/* As the Scheduler's methods of these names, but the answer of a change is only that it was
 * accepted: *ret then is RUNNING, and get() says how it goes on. `ret` is freed with
 * free_unpacked(). UNAVAILABLE: the door is not there, or has too much to do. */
tern_code drone_web_schedule(drone_web *w, int64_t timeout_ms,
                             const Drone__Scheduler__V1__ScheduleDeliveryRequest *req,
                             Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr);
tern_code drone_web_update(drone_web *w, int64_t timeout_ms,
                           const Drone__Scheduler__V1__UpdateDeliveryRequest *req,
                           Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr);
tern_code drone_web_cancel(drone_web *w, int64_t timeout_ms,
                           const Drone__Scheduler__V1__CancelDeliveryRequest *req,
                           Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr);
tern_code drone_web_get(drone_web *w, int64_t timeout_ms, const char *delivery_id,
                        Drone__Scheduler__V1__DeliveryStatus **ret, tern_status *reterr);

#endif
