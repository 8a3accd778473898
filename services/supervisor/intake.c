/* See intake.h. A compensation that is refused is a defect: a dead letter, with an alarm, for what
 * it should have undone still stands. */
#include "supervisor/intake.h"

#include <stdio.h>
#include <stdlib.h>

#include "bus/again.h"
#include "supervisor/takeover.h"

#define IN_FLIGHT_MAX 256
#define LEASE_MS 60000
#define BUSY_MS 200

struct drone_super_intake {
    drone_supervisor *supervisor;
    drone_bus_consumer *consumer;
};

/* A message on its way to the disk. */
typedef struct arrival {
    drone_store_op op; /* first, so that a drone_store_op * is an arrival * */
    drone_supervisor *supervisor;
    drone_bus_delivery *delivery;
    Drone__Supervisor__V1__CompensateRequest *what;
    drone_reply reply;
    drone_takeover takeover;
} arrival;

static void arrival_free(arrival *a)
{
    drone_reply_deinit(&a->reply);
    if (a->what)
        drone__supervisor__v1__compensate_request__free_unpacked(a->what, NULL);
    free(a);
}

static tern_code arrival_run(drone_store *store, drone_store_op *op)
{
    arrival *a = (arrival *)op;
    return drone_run_compensate(store, a->what, &a->takeover, &a->reply);
}

static void arrival_done(drone_store_op *op, tern_code code)
{
    arrival *a = (arrival *)op;
    const char *why = a->reply.status.message;

    if (code == TERN_OK) {
        drone_takeover_follow(a->supervisor, &a->takeover);
        drone_bus_done(a->delivery);
    } else if (code == TERN_ABORTED) {
        fprintf(stderr, "supervisor: ALARM: compensation %s is a dead letter: %s\n",
                a->what->message_id, why);
        drone_bus_reject(a->delivery, why);
    } else {
        drone_bus_again(a->delivery, why);
    }
    arrival_free(a);
}

static bool has_room(drone_supervisor *s)
{
    return atomic_load(&s->states[DRONE_COMP_PENDING]) < s->pending_max;
}

static void on_delivery(void *ctx, drone_bus_delivery *d)
{
    drone_supervisor *s = ((drone_super_intake *)ctx)->supervisor;
    arrival *a = calloc(1, sizeof(*a));

    if (!a) {
        drone_bus_again(d, "out of memory");
        return;
    }
    a->op = (drone_store_op){ .run = arrival_run, .done = arrival_done };
    a->supervisor = s;
    a->delivery = d;
    a->what = drone__supervisor__v1__compensate_request__unpack(NULL, d->message.body_len,
                                                                d->message.body);
    if (!a->what)
        drone_bus_again(d, "it is no supervisor.v1.CompensateRequest, or there is no memory");
    else if (drone_check_compensate(&a->reply, a->what) != TERN_OK)
        drone_bus_again(d, a->reply.status.message);
    else if (has_room(s) && drone_store_submit(s->store, &a->op) == 0)
        return;
    else
        drone_bus_put_back(s->bus, DRONE_QUEUE_COMPENSATIONS, d, BUSY_MS);
    arrival_free(a);
}

tern_code drone_super_intake_new(drone_supervisor *s, drone_super_intake **ret, tern_status *reterr)
{
    drone_super_intake *i = calloc(1, sizeof(*i));

    if (!i)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    i->supervisor = s;
    const drone_bus_consumer_options options = { .queue = DRONE_QUEUE_COMPENSATIONS,
                                                 .name = "supervisor",
                                                 .in_flight_max = IN_FLIGHT_MAX,
                                                 .lease_ms = LEASE_MS,
                                                 .work = on_delivery,
                                                 .ctx = i };
    tern_code code = drone_bus_consume(s->bus, &options, &i->consumer, reterr);
    if (code != TERN_OK) {
        free(i);
        return code;
    }
    *ret = i;
    return TERN_OK;
}

void drone_super_intake_free(drone_super_intake *i)
{
    if (!i)
        return;
    drone_bus_consumer_stop(i->consumer);
    drone_bus_consumer_free(i->consumer);
    free(i);
}
