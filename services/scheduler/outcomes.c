/* See outcomes.h. An outcome that the Scheduler refuses is a defect of one of the two: a dead
 * letter, with an alarm. */
#include "scheduler/outcomes.h"

#include <stdio.h>
#include <stdlib.h>

#include "bus/again.h"
#include "scheduler/requests.h"

#define IN_FLIGHT_MAX 256
#define LEASE_MS 60000
#define BUSY_MS 200

struct drone_outcomes {
    drone_scheduler *scheduler;
    drone_bus_consumer *consumer;
};

/* An outcome under way. */
typedef struct outcome {
    drone_store_op op; /* first, so that a drone_store_op * is an outcome * */
    drone_scheduler *scheduler;
    drone_bus_delivery *delivery;
    Drone__Scheduler__V1__ReportOutcomeRequest *what;
    drone_reply reply;
    drone_result result;
} outcome;

static void outcome_free(outcome *o)
{
    drone_result_deinit(&o->result);
    drone_reply_deinit(&o->reply);
    if (o->what)
        drone__scheduler__v1__report_outcome_request__free_unpacked(o->what, NULL);
    free(o);
}

static tern_code outcome_run(drone_store *store, drone_store_op *op)
{
    outcome *o = (outcome *)op;
    return drone_run_report(store, o->what, &o->result, &o->reply);
}

static void outcome_done(drone_store_op *op, tern_code code)
{
    outcome *o = (outcome *)op;
    const char *why = o->reply.status.message;

    if (code == TERN_OK) {
        drone_scheduler_count(o->scheduler, &o->result.before, &o->result.after);
        drone_scheduler_wake(o->scheduler, &o->result.after);
        drone_bus_done(o->delivery);
    } else if (code == TERN_FAILED_PRECONDITION || code == TERN_NOT_FOUND) {
        fprintf(stderr, "scheduler: ALARM: outcome %s is a dead letter: %s\n", o->what->message_id,
                why);
        drone_bus_reject(o->delivery, why);
    } else {
        drone_bus_again(o->delivery, why);
    }
    outcome_free(o);
}

static void on_delivery(void *ctx, drone_bus_delivery *d)
{
    drone_outcomes *all = ctx;
    outcome *o = calloc(1, sizeof(*o));

    if (!o) {
        drone_bus_again(d, "out of memory");
        return;
    }
    o->op = (drone_store_op){ .run = outcome_run, .done = outcome_done };
    o->scheduler = all->scheduler;
    o->delivery = d;
    o->what = drone__scheduler__v1__report_outcome_request__unpack(NULL, d->message.body_len,
                                                                   d->message.body);
    if (!o->what)
        drone_bus_again(d, "it is no scheduler.v1.ReportOutcomeRequest, or there is no memory");
    else if (drone_check_report(&o->reply, o->what) != TERN_OK)
        drone_bus_again(d, o->reply.status.message);
    else if (drone_store_submit(all->scheduler->store, &o->op) == 0)
        return;
    else
        drone_bus_put_back(all->scheduler->bus, DRONE_QUEUE_OUTCOMES, d, BUSY_MS);
    outcome_free(o);
}

tern_code drone_outcomes_new(drone_scheduler *s, drone_outcomes **ret, tern_status *reterr)
{
    drone_outcomes *o = calloc(1, sizeof(*o));

    if (!o)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    o->scheduler = s;
    const drone_bus_consumer_options options = { .queue = DRONE_QUEUE_OUTCOMES,
                                                 .name = "scheduler",
                                                 .in_flight_max = IN_FLIGHT_MAX,
                                                 .lease_ms = LEASE_MS,
                                                 .work = on_delivery,
                                                 .ctx = o };
    tern_code code = drone_bus_consume(s->bus, &options, &o->consumer, reterr);
    if (code != TERN_OK) {
        free(o);
        return code;
    }
    *ret = o;
    return TERN_OK;
}

void drone_outcomes_free(drone_outcomes *o)
{
    if (!o)
        return;
    drone_bus_consumer_stop(o->consumer);
    drone_bus_consumer_free(o->consumer);
    free(o);
}
