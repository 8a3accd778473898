/* See intake.h. How a command ends:
 *
 *   committed                       done
 *   there is no room for it         held here; after HOLD_MS put back, to come again
 *   an update of what still runs    put back, to come again when that has ended
 *   an update of what never came    tried five times (it may have overtaken), then refused: done
 *   a service it needs is away      put back
 *   refused: it is too late for it  done: that is its outcome
 *   its key or id is another's      a dead letter: two clients contradict each other
 *   no Command at all               tried five times, then a dead letter
 *
 * What is put back may come twice (bus/again.h): both have the same key. */
#include "scheduler/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/again.h"
#include "scheduler/requests.h"
#include <drone/ingestion/v1/ingestion.pb-c.h>

#define IN_FLIGHT_MAX 1024
#define LEASE_MS 600000
/* Looks for room again after this, and puts the command back after that. */
#define ROOM_MS 20
#define HOLD_MS 60000
#define BACK_MS 1000

struct drone_intake {
    drone_scheduler *scheduler;
    drone_bus_consumer *consumer;
};

/* A command under way. */
typedef struct command {
    drone_store_op op; /* first, so that a drone_store_op * is a command * */
    drone_task task;
    drone_intake *intake;
    drone_bus_delivery *delivery;
    Drone__Ingestion__V1__Command *what;
    bool stage_checked;
    int64_t held_ms;
    drone_reply reply;
    drone_result result;
} command;

/* --- ends ------------------------------------------------------------------------------------- */

static void command_free(command *c)
{
    drone_result_deinit(&c->result);
    drone_reply_deinit(&c->reply);
    if (c->what)
        drone__ingestion__v1__command__free_unpacked(c->what, NULL);
    free(c);
}

/* Has it come again, as if for the first time. */
static void put_back(command *c)
{
    drone_bus *bus = c->intake->scheduler->bus;
    drone_bus_delivery *d = c->delivery;

    command_free(c);
    drone_bus_put_back(bus, DRONE_QUEUE_REQUESTS, d, BACK_MS);
}

static void log_refusal(const drone_bus_delivery *d, const char *why)
{
    fprintf(stderr, "scheduler: delivery %s: a request is refused: %s (trace %s)\n", d->message.key,
            why, d->message.traceparent);
}

/* --- what it says ----------------------------------------------------------------------------- */

static tern_code check(command *c)
{
    switch (c->what->what_case) {
    case DRONE__INGESTION__V1__COMMAND__WHAT_SCHEDULE:
        return drone_check_schedule(&c->reply, c->what->schedule);
    case DRONE__INGESTION__V1__COMMAND__WHAT_UPDATE:
        return drone_check_update(&c->reply, c->what->update);
    case DRONE__INGESTION__V1__COMMAND__WHAT_CANCEL:
        return drone_check_cancel(&c->reply, c->what->cancel);
    default:
        return drone_reply_fail(&c->reply, TERN_INVALID_ARGUMENT,
                                "it is neither schedule, update nor cancel");
    }
}

static bool is_update(const command *c)
{
    return c->what->what_case == DRONE__INGESTION__V1__COMMAND__WHAT_UPDATE;
}

static bool is_cancel(const command *c)
{
    return c->what->what_case == DRONE__INGESTION__V1__COMMAND__WHAT_CANCEL;
}

/* --- carrying it out -------------------------------------------------------------------------- */

static tern_code command_run(drone_store *store, drone_store_op *op)
{
    command *c = (command *)op;
    drone_result_deinit(&c->result);
    c->result = (drone_result){ .follow = DRONE_FOLLOW_ANSWER };
    if (is_cancel(c))
        return drone_run_cancel(store, c->what->cancel, c->stage_checked, &c->result, &c->reply);
    if (is_update(c))
        return drone_run_update(store, c->what->update, &c->result, &c->reply);
    return drone_run_schedule(store, c->what->schedule, &c->result, &c->reply);
}

/* It was not carried out. */
static void refused(command *c, tern_code code)
{
    drone_bus_delivery *d = c->delivery;
    const char *why = c->reply.status.message;

    bool early = code == TERN_FAILED_PRECONDITION && is_update(c) &&
                 c->result.before.state == DRONE_RUNNING;
    if (early || code == TERN_UNAVAILABLE) {
        put_back(c);
        return;
    }
    bool never_came = code == TERN_NOT_FOUND && d->attempt >= DRONE_BUS_ATTEMPTS_MAX;
    if (code == TERN_FAILED_PRECONDITION || never_came) {
        log_refusal(d, why);
        drone_bus_done(d);
    } else if (code == TERN_ABORTED) {
        log_refusal(d, why);
        drone_bus_reject(d, why);
    } else {
        drone_bus_again(d, why);
    }
    command_free(c);
}

static void look_at_stage(drone_task *task, bool stopping);

static void command_done(drone_store_op *op, tern_code code)
{
    command *c = (command *)op;
    drone_scheduler *s = c->intake->scheduler;

    if (code != TERN_OK) {
        refused(c, code);
        return;
    }
    if (!drone_scheduler_follow(s, &c->result)) {
        c->task.run = look_at_stage;
        drone_tasks_push(s->tasks, &c->task, 0);
        return;
    }
    drone_bus_done(c->delivery);
    command_free(c);
}

static void hold(drone_task *task, bool stopping);

/* To the store, when there is room; else it waits. */
static void go(command *c)
{
    drone_scheduler *s = c->intake->scheduler;
    bool room = is_cancel(c) || drone_scheduler_in_progress(s) < s->in_progress_max;

    if (room && drone_store_submit(s->store, &c->op) == 0)
        return;
    if (c->held_ms >= HOLD_MS) {
        put_back(c);
        return;
    }
    c->held_ms += ROOM_MS;
    c->task.run = hold;
    drone_tasks_push(s->tasks, &c->task, ROOM_MS);
}

/* The process ends: what is not settled comes again to whoever is there then. */
static void give_up(command *c)
{
    drone_bus_retry(c->delivery, 0, "the scheduler is stopping");
    command_free(c);
}

static void hold(drone_task *task, bool stopping)
{
    command *c = (command *)(void *)((char *)task - offsetof(command, task));
    if (stopping)
        give_up(c);
    else
        go(c);
}

static void look_at_stage(drone_task *task, bool stopping)
{
    command *c = (command *)(void *)((char *)task - offsetof(command, task));
    tern_status status;
    tern_code code;

    if (stopping) {
        give_up(c);
        return;
    }
    code = drone_scheduler_check_stage(c->intake->scheduler, c->what->cancel->delivery_id, false,
                                       &status);
    if (code != TERN_OK) {
        drone_reply_fail(&c->reply, code, "%s", status.message);
        refused(c, code);
        return;
    }
    c->stage_checked = true;
    go(c);
}

/* --- from the bus ----------------------------------------------------------------------------- */

static void on_delivery(void *ctx, drone_bus_delivery *d)
{
    command *c = calloc(1, sizeof(*c));

    if (!c) {
        drone_bus_again(d, "out of memory");
        return;
    }
    c->op = (drone_store_op){ .run = command_run, .done = command_done };
    c->intake = ctx;
    c->delivery = d;
    c->what = drone__ingestion__v1__command__unpack(NULL, d->message.body_len, d->message.body);
    if (!c->what) {
        drone_bus_again(d, "it is no ingestion.v1.Command, or there is no memory for it");
        command_free(c);
    } else if (check(c) != TERN_OK) {
        drone_bus_again(d, c->reply.status.message);
        command_free(c);
    } else {
        go(c);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

tern_code drone_intake_new(drone_scheduler *s, drone_intake **ret, tern_status *reterr)
{
    drone_intake *i = calloc(1, sizeof(*i));

    if (!i)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    i->scheduler = s;
    const drone_bus_consumer_options options = { .queue = DRONE_QUEUE_REQUESTS,
                                                 .name = "scheduler",
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

void drone_intake_stop(drone_intake *i)
{
    if (i && i->consumer)
        drone_bus_consumer_stop(i->consumer);
}

void drone_intake_free(drone_intake *i)
{
    if (!i)
        return;
    drone_bus_consumer_free(i->consumer);
    free(i);
}
