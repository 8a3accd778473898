/* Handlers: check the fields, queue an operation, answer after the commit. They run on the
 * event loop. */
#include "supervisor/handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/names.h"
#include "common/operation.h"
#include "common/validate.h"
#include "scheduler/requests.h"
#include "supervisor/engine.h"
#include "supervisor/takeover.h"

#define NOTE_BYTES_MAX 256

/* A request on its way. Lives in its call's memory. */
typedef struct request_op {
    drone_store_op op; /* first, so that a drone_store_op * is a request_op * */
    drone_supervisor *supervisor;
    tern_server_call *call;
    const void *request;
    void *response;
    drone_reply reply;
    drone_takeover takeover; /* the row, and what was done to it */
    drone_comp *page;
    int64_t n_page;
} request_op;

static request_op *request_new(void *self, tern_server_call *call, const void *request,
                               void *response,
                               tern_code (*run)(drone_store *store, drone_store_op *op),
                               void (*done)(drone_store_op *op, tern_code code))
{
    request_op *r = tern_server_call_alloc(call, sizeof(*r));
    if (!r)
        return NULL;
    r->op.run = run;
    r->op.done = done;
    r->supervisor = self;
    r->call = call;
    r->request = request;
    r->response = response;
    r->reply.call = call;
    return r;
}

static tern_code go(request_op *r)
{
    tern_server_call_defer(r->call);
    if (drone_store_submit(r->supervisor->store, &r->op) != 0)
        tern_server_call_finish(
            r->call, tern_server_call_fail(r->call, TERN_UNAVAILABLE,
                                           "the supervisor has too much to do, or is stopping; try "
                                           "again later"));
    return TERN_OK;
}

static tern_code failed(request_op *r, tern_code code, const tern_status *status)
{
    return drone_reply_fail(&r->reply, code, "%s", status->message);
}

static bool fill(tern_server_call *call, const drone_comp *c,
                 Drone__Supervisor__V1__Compensation *ret)
{
    ret->message_id = tern_server_call_strdup(call, c->message_id);
    ret->delivery_id = tern_server_call_strdup(call, c->delivery_id);
    ret->last_error = tern_server_call_strdup(call, c->last_error);
    ret->state = (Drone__Supervisor__V1__CompensationState)c->state;
    ret->cause = (Drone__Supervisor__V1__Cause)c->cause;
    ret->attempts = (int32_t)c->attempts;
    ret->failing_step = (Drone__Scheduler__V1__Step)c->failing_step;
    ret->created_at_ms = c->created_at_ms;
    ret->updated_at_ms = c->updated_at_ms;
    return ret->message_id && ret->delivery_id && ret->last_error;
}

static tern_code no_memory(tern_server_call *call)
{
    return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory");
}

/* Answers with r->takeover.comp, after what follows from the commit. */
static void comp_done(drone_store_op *op, tern_code code)
{
    request_op *r = (request_op *)op;
    if (code == TERN_OK) {
        drone_takeover_follow(r->supervisor, &r->takeover);
        if (!fill(r->call, &r->takeover.comp, r->response))
            code = no_memory(r->call);
    }
    tern_server_call_finish(r->call, code);
}

/* --- compensate ------------------------------------------------------------------------------- */

static tern_code compensate_run(drone_store *store, drone_store_op *op)
{
    request_op *r = (request_op *)op;
    return drone_run_compensate(store, r->request, &r->takeover, &r->reply);
}

static void compensate_done(drone_store_op *op, tern_code code)
{
    request_op *r = (request_op *)op;
    if (code == TERN_OK)
        drone_takeover_follow(r->supervisor, &r->takeover);
    tern_server_call_finish(r->call, code);
}

static tern_code handle_compensate(void *self, tern_server_call *call,
                                   const Drone__Supervisor__V1__CompensateRequest *req,
                                   Drone__Supervisor__V1__CompensateResponse *res)
{
    drone_supervisor *s = self;
    request_op *r = request_new(self, call, req, res, compensate_run, compensate_done);
    if (!r)
        return no_memory(call);
    tern_code code = drone_check_compensate(&r->reply, req);
    if (code != TERN_OK)
        return code;
    if (atomic_load(&s->states[DRONE_COMP_PENDING]) >= s->pending_max)
        return tern_server_call_fail(call, TERN_UNAVAILABLE,
                                     "%lld compensations are under way; try again later",
                                     (long long)s->pending_max);
    return go(r);
}

/* --- look and resolve ------------------------------------------------------------------------- */

static tern_code get_run(drone_store *store, drone_store_op *op)
{
    request_op *r = (request_op *)op;
    const Drone__Supervisor__V1__GetCompensationRequest *req = r->request;
    tern_status status;
    bool found;
    tern_code code =
        drone_comp_find_latest(store, req->delivery_id, &r->takeover.comp, &found, &status);

    if (code != TERN_OK)
        return failed(r, code, &status);
    r->takeover.before = r->takeover.comp.state;
    return found ? TERN_OK
                 : drone_reply_fail(&r->reply, TERN_NOT_FOUND, "no compensation of delivery %s",
                                    req->delivery_id);
}

static tern_code handle_get(void *self, tern_server_call *call,
                            const Drone__Supervisor__V1__GetCompensationRequest *req,
                            Drone__Supervisor__V1__Compensation *res)
{
    request_op *r = request_new(self, call, req, res, get_run, comp_done);
    if (!r)
        return no_memory(call);
    r->op.reads_only = true;
    tern_code code = drone_check_delivery_id(&r->reply, "delivery_id", req->delivery_id);
    return code == TERN_OK ? go(r) : code;
}

static tern_code list_run(drone_store *store, drone_store_op *op)
{
    request_op *r = (request_op *)op;
    const Drone__Supervisor__V1__ListParkedRequest *req = r->request;
    tern_status status;
    tern_code code = drone_comp_parked(store, req->after_message_id, r->n_page + 1, r->page,
                                       &r->n_page, &status);
    return code == TERN_OK ? TERN_OK : failed(r, code, &status);
}

static bool fill_page(request_op *r, int64_t page_size)
{
    Drone__Supervisor__V1__ListParkedResponse *res = r->response;
    int64_t n = r->n_page < page_size ? r->n_page : page_size;
    Drone__Supervisor__V1__Compensation *items =
        tern_server_call_alloc(r->call, sizeof(*items) * (size_t)(n > 0 ? n : 1));

    res->parked = tern_server_call_alloc(r->call, sizeof(*res->parked) * (size_t)(n > 0 ? n : 1));
    if (!items || !res->parked)
        return false;
    for (int64_t i = 0; i < n; i++) {
        items[i] = (Drone__Supervisor__V1__Compensation)DRONE__SUPERVISOR__V1__COMPENSATION__INIT;
        if (!fill(r->call, &r->page[i], &items[i]))
            return false;
        res->parked[i] = &items[i];
    }
    res->n_parked = (size_t)n;
    if (r->n_page > n)
        res->next_after_message_id = items[n - 1].message_id;
    return true;
}

static int64_t page_size_of(const Drone__Supervisor__V1__ListParkedRequest *req)
{
    return req->page_size > 0 ? req->page_size : DRONE_PAGE_SIZE_DEFAULT;
}

static void list_done(drone_store_op *op, tern_code code)
{
    request_op *r = (request_op *)op;
    if (code == TERN_OK && !fill_page(r, page_size_of(r->request)))
        code = no_memory(r->call);
    tern_server_call_finish(r->call, code);
}

static tern_code handle_list(void *self, tern_server_call *call,
                             const Drone__Supervisor__V1__ListParkedRequest *req,
                             Drone__Supervisor__V1__ListParkedResponse *res)
{
    request_op *r = request_new(self, call, req, res, list_run, list_done);
    if (!r)
        return no_memory(call);
    r->op.reads_only = true;
    tern_code code = drone_check_page_size(&r->reply, "page_size", req->page_size);
    if (code == TERN_OK)
        code = drone_check_id_or_empty(&r->reply, "after_message_id", req->after_message_id);
    if (code != TERN_OK)
        return code;
    /* One more than asked for says whether there is another page. */
    r->n_page = page_size_of(req);
    r->page = tern_server_call_alloc(call, sizeof(*r->page) * (size_t)(r->n_page + 1));
    return r->page ? go(r) : no_memory(call);
}

static tern_code resolve_run(drone_store *store, drone_store_op *op)
{
    request_op *r = (request_op *)op;
    const Drone__Supervisor__V1__ResolveParkedRequest *req = r->request;
    bool retry = req->resolution == DRONE__SUPERVISOR__V1__RESOLUTION__RESOLUTION_RETRY;
    tern_status status;
    bool found;
    tern_code code = drone_comp_find(store, req->message_id, &r->takeover.comp, &found, &status);

    if (code != TERN_OK)
        return failed(r, code, &status);
    if (!found)
        return drone_reply_fail(&r->reply, TERN_NOT_FOUND, "no message %s", req->message_id);
    r->takeover.before = r->takeover.comp.state;
    int wanted = retry ? DRONE_COMP_PENDING : DRONE_COMP_UNDONE;
    if (r->takeover.before == wanted)
        return TERN_OK; /* decided before */
    if (r->takeover.before != DRONE_COMP_PARKED)
        return drone_reply_fail(&r->reply, TERN_FAILED_PRECONDITION, "message %s is not parked",
                                req->message_id);
    r->takeover.comp.state = wanted;
    r->takeover.changed = true;
    snprintf(r->takeover.comp.last_error, sizeof(r->takeover.comp.last_error), "%s: %s",
             retry ? "to be tried again" : "undone by a person", req->note);
    /* A retry gets all its attempts again, the first of them counted now. */
    int64_t more = retry ? 1 - r->takeover.comp.attempts : 0;
    r->takeover.comp.attempts += more;
    code = drone_comp_end(store, &r->takeover.comp, more, &status);
    return code == TERN_OK ? TERN_OK : failed(r, code, &status);
}

static tern_code handle_resolve(void *self, tern_server_call *call,
                                const Drone__Supervisor__V1__ResolveParkedRequest *req,
                                Drone__Supervisor__V1__Compensation *res)
{
    request_op *r = request_new(self, call, req, res, resolve_run, comp_done);
    if (!r)
        return no_memory(call);
    tern_code code = drone_check_id(&r->reply, "message_id", req->message_id);
    if (code == TERN_OK)
        code = drone_check_enum(&r->reply, "resolution", (int)req->resolution,
                                &drone__supervisor__v1__resolution__descriptor);
    if (code == TERN_OK)
        code = drone_check_text(&r->reply, "note", req->note, NOTE_BYTES_MAX);
    return code == TERN_OK ? go(r) : code;
}

/* --- counters --------------------------------------------------------------------------------- */

static tern_code handle_stats(void *self, tern_server_call *call,
                              const Drone__Supervisor__V1__GetStatsRequest *req,
                              Drone__Supervisor__V1__Stats *res)
{
    drone_supervisor *s = self;
    tern_channel_stats calls;

    (void)call;
    (void)req;
    drone_backends_stats(&s->backends, &calls);
    res->pending = atomic_load(&s->states[DRONE_COMP_PENDING]);
    res->undone = atomic_load(&s->states[DRONE_COMP_UNDONE]);
    res->parked = atomic_load(&s->states[DRONE_COMP_PARKED]);
    res->calls = (int64_t)calls.calls;
    res->calls_failed = (int64_t)calls.calls_failed;
    res->retries = (int64_t)(calls.retries + calls.transparent_retries);
    res->breaker_openings = (int64_t)calls.breaker_opened;
    res->breaker_rejections = (int64_t)calls.breaker_rejected;
    return TERN_OK;
}

const struct drone_supervisor_v1_supervisor_service_handlers drone_supervisor_handlers = {
    .compensate = handle_compensate,
    .get_compensation = handle_get,
    .list_parked = handle_list,
    .resolve_parked = handle_resolve,
    .get_stats = handle_stats,
};
