/* The inside of the Scheduler: workflows under way, who waits for them, and what is sent to the
 * Supervisor.
 *
 * Threads. The event loop checks requests and queues operations. The store's writing thread
 * decides and records, and is the only one that touches the table of live deliveries:
 * everything that follows from a commit happens in its `done` callbacks, in the order of the
 * commits, so that no wake-up is ever lost. Task threads make the calls to the services. One
 * more thread delivers the outbox. */
#ifndef DRONE_SCHEDULER_ENGINE_H
#define DRONE_SCHEDULER_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/server.h>

#include "bus/bus.h"
#include "common/service.h"
#include "scheduler/backends.h"
#include "scheduler/outbox.h"
#include "scheduler/records.h"
#include "scheduler/tasks.h"
#include "scheduler/workflow.h"
#include <drone/scheduler/v1/scheduler.pb-c.h>

/* Calls that wait for one delivery at most; a further one is answered with how it stands. */
#define DRONE_WAITERS_MAX 16
/* Pause between two looks for waiting calls that have ended. */
#define DRONE_SWEEP_MS 100
/* Buckets of the table of live deliveries: about as many as deliveries are under way at most. */
#define DRONE_LIVE_BUCKETS 16384

typedef struct drone_scheduler drone_scheduler;
typedef struct drone_job drone_job;
typedef struct drone_intake drone_intake;
typedef struct drone_outcomes drone_outcomes;
struct drone_result;

/* A call that is answered when its delivery has ended. Lives in the call's memory. */
typedef struct drone_waiter {
    struct drone_waiter *next;
    tern_server_call *call;
    Drone__Scheduler__V1__DeliveryStatus *response;
    int64_t update_revision; /* of an update: what it made; 0: not an update */
} drone_waiter;

/* A delivery with a workflow under way, or with calls that wait for it. */
typedef struct drone_live {
    struct drone_live *next;
    char delivery_id[DRONE_KEY_SIZE];
    drone_job *job; /* NULL: no workflow under way */
    drone_waiter *waiters;
    int n_waiters;
} drone_live;

/* A workflow under way. Belongs to one task thread or to the writing thread, never to both. */
struct drone_job {
    drone_store_op op; /* first, so that a drone_store_op * is a drone_job * */
    drone_task task;
    drone_scheduler *scheduler;
    drone_record rec; /* as last stored */
    drone_wf wf;
    Drone__Scheduler__V1__DeliveryRequest *request; /* what is to stand */
    Drone__Scheduler__V1__DeliveryRequest *former;  /* of an update: what stood; NULL otherwise */
    char drone_id[DRONE_KEY_SIZE];                  /* as the latest step settled it */
    char order_id[DRONE_KEY_SIZE];
    char message[DRONE_MESSAGE_SIZE]; /* of the first failure */
    int64_t step_began_ms;            /* monotonic; 0: not tried yet */
    int64_t tries;                    /* of this step */
    atomic_bool cancel;               /* the client wants it cancelled */
    drone_record before;              /* the row before the operation */
    drone_bytes message_body;         /* for the outbox */
};

/* Looks now and then for waiting calls whose client has given up, or that a drain has cut off. */
typedef struct drone_sweep {
    drone_store_op op; /* first, so that a drone_store_op * is a drone_sweep * */
    drone_task task;
    drone_scheduler *scheduler;
} drone_sweep;

struct drone_scheduler {
    drone_service *service;
    drone_store *store;
    drone_backends backends;
    drone_tasks *tasks;
    drone_outbox *outbox;
    const char *bus_address; /* NULL: there is none, all goes by calls */
    drone_bus *bus;
    drone_intake *intake;
    drone_outcomes *outcomes;
    const char *supervisor; /* address; NULL: unix:DIR/supervisor.sock */
    int64_t n_threads;
    int64_t patience_ms;
    int64_t in_progress_max;
    drone_live *live[DRONE_LIVE_BUCKETS]; /* writing thread */
    atomic_llong states[DRONE_N_STATES];  /* rows in each */
    atomic_llong by_drone;
    atomic_llong by_transport;
    drone_sweep sweep;
};

/* --- jobs ------------------------------------------------------------------------------------- */

/* A job for a row and its packed requests (`former` NULL or empty: none); `resumed` as in
 * drone_wf_begin. NULL when out of memory or when a body is no DeliveryRequest. Any thread. */
drone_job *drone_job_new(drone_scheduler *s, const drone_record *rec, const drone_bytes *request,
                         const drone_bytes *former, bool resumed);
void drone_job_free(drone_job *job);

/* Registers the job and queues it. Writing thread, after the commit that made it. */
void drone_job_start(drone_job *job);

/* Takes the job from the table and frees it. Writing thread. */
void drone_live_end_job(drone_scheduler *s, drone_job *job);

/* Reads every row with a workflow under way and starts it again. Once the store and the tasks
 * run. */
tern_code drone_scheduler_resume(drone_scheduler *s, tern_status *reterr);

/* Counts the rows of each state. Before the store runs. */
tern_code drone_scheduler_load_counts(drone_scheduler *s, tern_status *reterr);

/* --- after a commit: writing thread ----------------------------------------------------------- */

/* Does what the result of a request says: counts, starts or stops a workflow, sends a compensation
 * message. False when nothing was done yet, because drone_scheduler_check_stage() comes first. */
bool drone_scheduler_follow(drone_scheduler *s, struct drone_result *r);

/* Accounts for a row that changed from `before` (state 0: it is new) to `after`. */
void drone_scheduler_count(drone_scheduler *s, const drone_record *before,
                           const drone_record *after);

/* Answers a call with how its delivery stands; an update that was refused is
 * FAILED_PRECONDITION. The waiter is gone then. */
void drone_scheduler_answer(drone_waiter *w, const drone_record *rec);

/* Makes a call wait for the end of rec's delivery, or answers it at once when it has ended. */
void drone_scheduler_wait(drone_scheduler *s, const drone_record *rec, drone_waiter *waiter);

/* Answers whoever waits for a delivery that has ended. */
void drone_scheduler_wake(drone_scheduler *s, const drone_record *rec);

/* Tells the workflow of a delivery, if there is one, that it is cancelled. */
void drone_scheduler_cancel_job(drone_scheduler *s, const char *delivery_id);

/* Answers every waiting call with UNAVAILABLE: the process ends. Any thread; while the store
 * runs. */
void drone_scheduler_release_waiters(drone_scheduler *s);

/* Begins to end waiting calls whose context has ended, every DRONE_SWEEP_MS; goes on until the
 * tasks stop. Without it a server could not drain while a call waits for a report that comes no
 * more. */
void drone_scheduler_start_sweep(drone_scheduler *s);

/* Frees the table and the jobs that were given up. After the store was closed. */
void drone_scheduler_free_live(drone_scheduler *s);

/* Deliveries that are neither at their end nor refused: what in_progress_max bounds. Any thread. */
int64_t drone_scheduler_in_progress(drone_scheduler *s);

/* Fills a response with a row. False when out of memory. */
bool drone_status_fill(tern_server_call *call, const drone_record *rec,
                       Drone__Scheduler__V1__DeliveryStatus *ret);

/* Asks the Delivery service whether a delivery can still be cancelled: blocks. FAILED_PRECONDITION:
 * its package has been picked up; UNAVAILABLE: nobody knows, or `stopping`. */
tern_code drone_scheduler_check_stage(drone_scheduler *s, const char *delivery_id, bool stopping,
                                      tern_status *reterr);

/* --- steps ------------------------------------------------------------------------------------ */

/* Makes the call job->wf.at: blocks. *ret_able matters after CAN_CARRY. Settles job->drone_id and
 * order_id. */
tern_code drone_step_call(drone_job *job, bool *ret_able, tern_status *reterr);

/* What a delivery costs, in cents: 5.00, 1.00 a kilometre and 0.50 a kilogram. Pure. */
int64_t drone_price_cents(const Drone__Scheduler__V1__DeliveryRequest *request);

#endif
