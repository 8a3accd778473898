/* Handlers: check the fields, queue an operation, and do after the commit what the operation's
 * result says. They run on the event loop and never block; the one call that a cancel needs is
 * made on a task thread. */
#include "scheduler/handlers.h"

#include "common/names.h"
#include "scheduler/engine.h"
#include "scheduler/requests.h"

/* A request on its way. Lives in its call's memory. */
typedef struct request_op {
    drone_store_op op; /* first, so that a drone_store_op * is a request_op * */
    drone_task task;   /* of a cancel: looks at the stage */
    drone_scheduler *scheduler;
    const void *request;
    tern_code (*run)(struct request_op *r, drone_store *store);
    drone_waiter waiter; /* holds call and response */
    bool wait;
    bool stage_checked;
    drone_reply reply;
    drone_result result;
} request_op;

static void finish(request_op *r, tern_code code)
{
    drone_result_deinit(&r->result);
    tern_server_call_finish(r->waiter.call, code);
}

static void look_at_stage(drone_task *task, bool stopping);

static void request_done(drone_store_op *op, tern_code code)
{
    request_op *r = (request_op *)op;
    drone_scheduler *s = r->scheduler;
    drone_record after = r->result.after;

    if (code != TERN_OK) {
        finish(r, code);
        return;
    }
    if (!drone_scheduler_follow(s, &r->result)) {
        r->task.run = look_at_stage;
        drone_tasks_push(s->tasks, &r->task, 0);
        return;
    }
    r->waiter.update_revision = r->result.key_revision;
    drone_result_deinit(&r->result);
    if (r->wait)
        drone_scheduler_wait(s, &after, &r->waiter);
    else
        drone_scheduler_answer(&r->waiter, &after);
}

static tern_code request_run(drone_store *store, drone_store_op *op)
{
    request_op *r = (request_op *)op;
    drone_result_deinit(&r->result);
    r->result = (drone_result){ .follow = DRONE_FOLLOW_ANSWER };
    return r->run(r, store);
}

static void submit(request_op *r)
{
    if (drone_store_submit(r->scheduler->store, &r->op) != 0)
        finish(r,
               tern_server_call_fail(r->waiter.call, TERN_UNAVAILABLE,
                                     "the scheduler has too much to do, or is stopping; try again "
                                     "later"));
}

/* A new request_op, or NULL after out of memory. */
static request_op *request_new(void *self, tern_server_call *call, const void *request,
                               Drone__Scheduler__V1__DeliveryStatus *response,
                               tern_code (*run)(request_op *, drone_store *))
{
    request_op *r = tern_server_call_alloc(call, sizeof(*r));
    if (!r)
        return NULL;
    r->op.run = request_run;
    r->op.done = request_done;
    r->scheduler = self;
    r->request = request;
    r->run = run;
    r->waiter.call = call;
    r->waiter.response = response;
    r->reply.call = call;
    return r;
}

/* Refuses what would be more than the process may have under way; TERN_OK otherwise. */
static tern_code check_room(drone_scheduler *s, tern_server_call *call)
{
    if (drone_scheduler_in_progress(s) < s->in_progress_max)
        return TERN_OK;
    return tern_server_call_fail(
        call, TERN_UNAVAILABLE,
        "%lld deliveries are under way; nothing was accepted, try again later",
        (long long)s->in_progress_max);
}

/* Sends a checked request on its way. */
static tern_code go(request_op *r)
{
    tern_server_call_defer(r->waiter.call);
    submit(r);
    return TERN_OK;
}

/* --- schedule, update, get -------------------------------------------------------------------- */

static tern_code run_schedule(request_op *r, drone_store *store)
{
    return drone_run_schedule(store, r->request, &r->result, &r->reply);
}

static tern_code handle_schedule(void *self, tern_server_call *call,
                                 const Drone__Scheduler__V1__ScheduleDeliveryRequest *req,
                                 Drone__Scheduler__V1__DeliveryStatus *res)
{
    request_op *r = request_new(self, call, req, res, run_schedule);
    if (!r)
        return TERN_RESOURCE_EXHAUSTED;
    tern_code code = drone_check_schedule(&r->reply, req);
    if (code == TERN_OK)
        code = check_room(self, call);
    if (code != TERN_OK)
        return code;
    r->wait = req->wait != 0;
    return go(r);
}

static tern_code run_update(request_op *r, drone_store *store)
{
    return drone_run_update(store, r->request, &r->result, &r->reply);
}

static tern_code handle_update(void *self, tern_server_call *call,
                               const Drone__Scheduler__V1__UpdateDeliveryRequest *req,
                               Drone__Scheduler__V1__DeliveryStatus *res)
{
    request_op *r = request_new(self, call, req, res, run_update);
    if (!r)
        return TERN_RESOURCE_EXHAUSTED;
    tern_code code = drone_check_update(&r->reply, req);
    if (code == TERN_OK)
        code = check_room(self, call);
    if (code != TERN_OK)
        return code;
    r->wait = req->wait != 0;
    return go(r);
}

static tern_code run_get(request_op *r, drone_store *store)
{
    const Drone__Scheduler__V1__GetDeliveryRequest *req = r->request;
    return drone_run_get(store, req->delivery_id, &r->result, &r->reply);
}

static tern_code handle_get(void *self, tern_server_call *call,
                            const Drone__Scheduler__V1__GetDeliveryRequest *req,
                            Drone__Scheduler__V1__DeliveryStatus *res)
{
    request_op *r = request_new(self, call, req, res, run_get);
    if (!r)
        return TERN_RESOURCE_EXHAUSTED;
    tern_code code = drone_check_delivery_id(&r->reply, "delivery_id", req->delivery_id);
    if (code != TERN_OK)
        return code;
    r->op.reads_only = true;
    r->op.context = tern_server_call_context(call);
    return go(r);
}

/* --- cancel ----------------------------------------------------------------------------------- */

static tern_code run_cancel(request_op *r, drone_store *store)
{
    return drone_run_cancel(store, r->request, r->stage_checked, &r->result, &r->reply);
}

/* Asks the Delivery service whether the package has been picked up. Task thread. */
static void look_at_stage(drone_task *task, bool stopping)
{
    request_op *r = (request_op *)((char *)task - offsetof(request_op, task));
    const Drone__Scheduler__V1__CancelDeliveryRequest *req = r->request;
    tern_status status;
    tern_code code = drone_scheduler_check_stage(r->scheduler, req->delivery_id, stopping, &status);

    if (code != TERN_OK) {
        finish(r, tern_server_call_fail(r->waiter.call, code, "%s", status.message));
        return;
    }
    r->stage_checked = true;
    submit(r);
}

static tern_code handle_cancel(void *self, tern_server_call *call,
                               const Drone__Scheduler__V1__CancelDeliveryRequest *req,
                               Drone__Scheduler__V1__DeliveryStatus *res)
{
    request_op *r = request_new(self, call, req, res, run_cancel);
    if (!r)
        return TERN_RESOURCE_EXHAUSTED;
    tern_code code = drone_check_cancel(&r->reply, req);
    if (code != TERN_OK)
        return code;
    r->wait = req->wait != 0;
    return go(r);
}

/* --- the Supervisor's report ------------------------------------------------------------------ */

static tern_code run_report(request_op *r, drone_store *store)
{
    return drone_run_report(store, r->request, &r->result, &r->reply);
}

static void report_done(drone_store_op *op, tern_code code)
{
    request_op *r = (request_op *)op;
    drone_record after = r->result.after;
    drone_scheduler *s = r->scheduler;

    if (code == TERN_OK)
        drone_scheduler_count(s, &r->result.before, &after);
    finish(r, code);
    if (code == TERN_OK)
        drone_scheduler_wake(s, &after);
}

static tern_code handle_report(void *self, tern_server_call *call,
                               const Drone__Scheduler__V1__ReportOutcomeRequest *req,
                               Drone__Scheduler__V1__ReportOutcomeResponse *res)
{
    (void)res;
    request_op *r = request_new(self, call, req, NULL, run_report);
    if (!r)
        return TERN_RESOURCE_EXHAUSTED;
    tern_code code = drone_check_report(&r->reply, req);
    if (code != TERN_OK)
        return code;
    r->op.done = report_done;
    return go(r);
}

/* --- counters --------------------------------------------------------------------------------- */

static tern_code handle_stats(void *self, tern_server_call *call,
                              const Drone__Scheduler__V1__GetStatsRequest *req,
                              Drone__Scheduler__V1__Stats *res)
{
    drone_scheduler *s = self;
    tern_channel_stats calls;
    int64_t *const states[DRONE_N_STATES] = { [DRONE_RUNNING] = &res->running,
                                              [DRONE_SCHEDULED] = &res->scheduled,
                                              [DRONE_COMPENSATING] = &res->compensating,
                                              [DRONE_COMPENSATED] = &res->compensated,
                                              [DRONE_CANCELLING] = &res->cancelling,
                                              [DRONE_CANCELLED] = &res->cancelled,
                                              [DRONE_PARKED] = &res->parked };

    (void)call;
    (void)req;
    for (int i = DRONE_RUNNING; i < DRONE_N_STATES; i++) {
        *states[i] = atomic_load(&s->states[i]);
        res->accepted += *states[i];
    }
    res->by_drone = atomic_load(&s->by_drone);
    res->by_transport = atomic_load(&s->by_transport);
    drone_backends_stats(&s->backends, &calls);
    res->calls = (int64_t)calls.calls;
    res->calls_failed = (int64_t)calls.calls_failed;
    res->retries = (int64_t)(calls.retries + calls.transparent_retries);
    res->breaker_openings = (int64_t)calls.breaker_opened;
    res->breaker_rejections = (int64_t)calls.breaker_rejected;
    return TERN_OK;
}

const struct drone_scheduler_v1_scheduler_service_handlers drone_scheduler_handlers = {
    .schedule_delivery = handle_schedule,
    .update_delivery = handle_update,
    .cancel_delivery = handle_cancel,
    .get_delivery = handle_get,
    .report_outcome = handle_report,
    .get_stats = handle_stats,
};
