/* See operation.h. A request's struct lives in the memory of its call: one allocation, gone with
 * it. */
#include "common/operation.h"

#include <time.h>

#include "common/service.h"

/* A request on its way through the store. */
typedef struct request_op {
    drone_store_op op; /* first, so that a drone_store_op * is a request_op * */
    const drone_operation *operation;
    drone_operation_call c;
    drone_reply reply;
    drone_fault fault;
    const drone_service *service;
} request_op;

/* Looks the idempotency key up: TERN_OK with *ret_replay, or ABORTED. */
static tern_code find_key(const drone_operation_call *c, bool *ret_replay)
{
    sqlite3_stmt *stmt = drone_store_stmt(c->store, DRONE_STMT_KEY_FIND);
    int rc = drone_sql_step(stmt, "t", c->change->idempotency_key);
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    if (rc > 0 && sqlite3_column_int64(stmt, 0) != c->digest) {
        return drone_reply_fail(c->reply, TERN_ABORTED,
                                "change.idempotency_key: %s was used for another request",
                                c->change->idempotency_key);
    }
    *ret_replay = rc > 0;
    return TERN_OK;
}

static tern_code add_key(const drone_operation_call *c)
{
    sqlite3_stmt *stmt = drone_store_stmt(c->store, DRONE_STMT_KEY_ADD);
    if (drone_sql_step(stmt, "tit", c->change->idempotency_key, c->digest, c->change->delivery_id) <
        0) {
        return drone_reply_store(c->reply, c->store);
    }
    return TERN_OK;
}

static tern_code run_request(drone_store *store, drone_store_op *op)
{
    request_op *r = (request_op *)op;
    r->c.store = store;
    if (r->c.change == NULL) {
        return r->operation->run(&r->c);
    }
    tern_code code = find_key(&r->c, &r->c.replay);
    if (code == TERN_OK && !r->c.replay) {
        code = add_key(&r->c); /* before run: run may change memory, after which nothing may fail */
    }
    return code == TERN_OK ? r->operation->run(&r->c) : code;
}

static void fill(request_op *r, const drone_operation *op, const ProtobufCMessage *request,
                 ProtobufCMessage *response)
{
    r->operation = op;
    r->op.run = run_request;
    r->op.reads_only = op->reads_only;
    r->c.request = request;
    r->c.response = response;
    r->c.reply = &r->reply;
    if (op->change_offset != DRONE_NO_CHANGE) {
        const char *at = (const char *)request + op->change_offset;
        r->c.change = *(Drone__Common__V1__Change *const *)(const void *)at;
        r->c.digest = drone_request_digest(op->name, request);
    }
}

tern_code drone_operation_call_now(const drone_operation *op, void *service, drone_store *store,
                                   const ProtobufCMessage *request, ProtobufCMessage *response,
                                   drone_reply *reply)
{
    request_op r = { .reply = *reply };
    tern_code code = op->check(request, reply);
    if (code != TERN_OK) {
        return code;
    }
    fill(&r, op, request, response);
    r.c.service = service;
    r.c.reply = reply;
    return drone_store_call(store, &r.op);
}

static void finish_request(drone_store_op *op, tern_code code)
{
    request_op *r = (request_op *)op;
    tern_server_call *call = r->reply.call;
    if (code == TERN_OK && r->fault == DRONE_FAULT_AFTER) {
        code = tern_server_call_fail(call, r->service->faults.code,
                                     "fault played on demand: done, but answered with a failure");
    }
    tern_server_call_finish(call, code);
}

/* Draws a fault for a request that changes something; TERN_OK when it is to be carried out. */
static tern_code play_fault(drone_service *service, tern_server_call *call, drone_fault *ret)
{
    int64_t slow_ms = 0;
    *ret = drone_faults_draw(&service->faults, &slow_ms);
    if (slow_ms > 0) {
        struct timespec delay = { .tv_sec = slow_ms / 1000, .tv_nsec = slow_ms % 1000 * 1000000 };
        tern_will_block();
        nanosleep(&delay, NULL);
    }
    if (*ret == DRONE_FAULT_BEFORE) {
        return tern_server_call_fail(call, service->faults.code,
                                     "fault played on demand: nothing was done");
    }
    return TERN_OK;
}

tern_code drone_operation_serve(const drone_operation *op, struct drone_service *service,
                                tern_server_call *call, const ProtobufCMessage *request,
                                ProtobufCMessage *response)
{
    request_op *r = tern_server_call_alloc(call, sizeof *r);
    if (r == NULL) {
        return TERN_RESOURCE_EXHAUSTED;
    }
    r->reply.call = call;
    r->service = service;
    tern_code code = op->check(request, &r->reply);
    if (code != TERN_OK) {
        return code;
    }
    fill(r, op, request, response);
    if (r->c.change != NULL && (code = play_fault(service, call, &r->fault)) != TERN_OK) {
        return code;
    }
    r->c.service = service->state;
    r->op.done = finish_request;
    r->op.context = tern_server_call_context(call);
    tern_server_call_defer(call);
    if (drone_store_submit(service->store, &r->op) != 0) {
        tern_server_call_finish(call, tern_server_call_fail(call, TERN_UNAVAILABLE,
                                                            "the %s service has too much to do; "
                                                            "try again later",
                                                            service->name));
    }
    return TERN_OK;
}

tern_code drone_operation_serve_here(const drone_operation *op, struct drone_service *service,
                                     tern_server_call *call, const ProtobufCMessage *request,
                                     ProtobufCMessage *response)
{
    drone_reply reply = { .call = call };
    const drone_operation_call c = {
        .service = service->state, .request = request, .response = response, .reply = &reply
    };
    tern_code code = op->check(request, &reply);
    return code != TERN_OK ? code : op->run(&c);
}
