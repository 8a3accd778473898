/* Compensations under way. A job is one message's; it is nothing but an id, a place in the list
 * of steps, and a task: what counts is read from the row each time it is taken up. Jobs run on
 * task threads, which may wait for the disk. */
#include "supervisor/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/validate.h"
#include "scheduler/records.h"
#include "supervisor/schema.h"
#include <drone/scheduler/v1/scheduler.tern.h>

#define STORE_FAILED_MS 1000
#define REPORT_TIMEOUT_MS 5000
#define REPORT_BYTES_MAX 1024 /* two ids and a message of less than 512 bytes */

typedef struct job {
    drone_task task; /* first, so that a drone_task * is a job * */
    drone_supervisor *supervisor;
    char message_id[DRONE_KEY_SIZE];
    Drone__Supervisor__V1__CompensateRequest *message;
    size_t n_left;   /* steps that are still to be undone: message->steps[0 .. n_left) */
    int64_t reports; /* attempts to report */
    bool resumed;    /* the next attempt is not counted yet */
    bool ended;      /* nothing but the report is left; whoever decides anew makes a new job */
} job;

/* An operation of a job, for which its thread waits. */
typedef struct job_op {
    drone_store_op op;
    job *job;
    drone_comp comp;
    bool found;
    tern_status status;
} job_op;

static void job_free(job *j)
{
    if (j->message)
        drone__supervisor__v1__compensate_request__free_unpacked(j->message, NULL);
    free(j);
}

static tern_code call_store(job *j, job_op *o,
                            tern_code (*run)(drone_store *store, drone_store_op *op))
{
    o->op = (drone_store_op){ .run = run };
    o->job = j;
    return drone_store_call(j->supervisor->store, &o->op);
}

void drone_supervisor_count(drone_supervisor *s, int from, int to)
{
    if (from > 0)
        atomic_fetch_sub(&s->states[from], 1);
    if (to > 0)
        atomic_fetch_add(&s->states[to], 1);
}

drone_undo_verdict drone_undo_decide(tern_code code, int64_t attempts, int64_t attempts_max)
{
    if (code == TERN_OK)
        return DRONE_UNDO_GO_ON;
    bool may_pass = drone_outcome_of(code) == DRONE_OUTCOME_IN_DOUBT;
    return may_pass && attempts < attempts_max ? DRONE_UNDO_RETRY : DRONE_UNDO_PARK;
}

/* --- reporting -------------------------------------------------------------------------------- */

static tern_code find_run(drone_store *store, drone_store_op *op)
{
    job_op *o = (job_op *)op;
    return drone_comp_find(store, o->job->message_id, &o->comp, &o->found, &o->status);
}

static tern_code reported_run(drone_store *store, drone_store_op *op)
{
    job_op *o = (job_op *)op;
    return drone_comp_reported(store, o->job->message_id, o->comp.state, &o->status);
}

static tern_code report_by_call(const drone_supervisor *s,
                                const Drone__Scheduler__V1__ReportOutcomeRequest *req,
                                tern_status *reterr)
{
    Drone__Scheduler__V1__ReportOutcomeResponse *res;
    tern_call_options options = drone_backends_call(&s->backends);

    options.timeout_ms = REPORT_TIMEOUT_MS;
    tern_code code = drone_scheduler_v1_scheduler_service_report_outcome(s->scheduler, &options,
                                                                         req, &res, reterr);
    if (code == TERN_OK)
        drone__scheduler__v1__report_outcome_response__free_unpacked(res, NULL);
    return code;
}

static tern_code report_by_message(const drone_supervisor *s,
                                   const Drone__Scheduler__V1__ReportOutcomeRequest *req,
                                   tern_status *reterr)
{
    uint8_t body[REPORT_BYTES_MAX];
    char id[DRONE_KEY_SIZE + 16];

    /* A person may change the outcome: that is another message. */
    snprintf(id, sizeof(id), "%s/%d", req->message_id, (int)req->state);
    if (drone__scheduler__v1__report_outcome_request__get_packed_size(req) > sizeof(body))
        return tern_status_set(reterr, TERN_INTERNAL, "the report is longer than %zu bytes",
                               sizeof(body));
    const drone_bus_message m = {
        .message_id = id,
        .key = req->delivery_id,
        .traceparent = "",
        .body = body,
        .body_len = drone__scheduler__v1__report_outcome_request__pack(req, body),
    };
    return drone_bus_publish(s->bus, DRONE_QUEUE_OUTCOMES, &m, 1, reterr);
}

static tern_code send_report(const drone_supervisor *s, drone_comp *comp, tern_status *reterr)
{
    Drone__Scheduler__V1__ReportOutcomeRequest req =
        DRONE__SCHEDULER__V1__REPORT_OUTCOME_REQUEST__INIT;

    req.message_id = comp->message_id;
    req.delivery_id = comp->delivery_id;
    if (comp->state == DRONE_COMP_PARKED) {
        req.state = DRONE__SCHEDULER__V1__STATE__STATE_PARKED;
        req.message = comp->last_error;
    } else {
        req.state = comp->cause == DRONE__SUPERVISOR__V1__CAUSE__CAUSE_CANCELLED
                        ? DRONE__SCHEDULER__V1__STATE__STATE_CANCELLED
                        : DRONE__SCHEDULER__V1__STATE__STATE_COMPENSATED;
    }
    return s->bus ? report_by_message(s, &req, reterr) : report_by_call(s, &req, reterr);
}

/* Tells the Scheduler how the row stands now, which a person may have changed since. */
static void report(job *j)
{
    drone_supervisor *s = j->supervisor;
    job_op o;
    tern_code code = call_store(j, &o, find_run);

    if (code == TERN_OK &&
        (!o.found || o.comp.state == DRONE_COMP_PENDING || o.comp.state == o.comp.reported_state)) {
        job_free(j);
        return;
    }
    if (code == TERN_OK)
        code = send_report(s, &o.comp, &o.status);
    if (code == TERN_OK)
        code = call_store(j, &o, reported_run);
    if (code == TERN_OK) {
        job_free(j);
        return;
    }
    j->reports++;
    if (drone_outcome_of(code) == DRONE_OUTCOME_REFUSED && j->reports > 1)
        fprintf(stderr, "supervisor: ALARM: the Scheduler refuses the report of %s: %s: %s\n",
                j->message_id, tern_code_name(code), o.status.message);
    drone_tasks_push(s->tasks, &j->task,
                     drone_backoff_ms(s->pause_ms, s->pause_ms_max, j->reports, drone_random()));
}

/* --- undoing ---------------------------------------------------------------------------------- */

static tern_code end_run(drone_store *store, drone_store_op *op)
{
    job_op *o = (job_op *)op;
    return drone_comp_end(store, &o->comp, 0, &o->status);
}

static tern_code attempt_run(drone_store *store, drone_store_op *op)
{
    job_op *o = (job_op *)op;
    return drone_comp_attempt(store, &o->comp, &o->status);
}

static void store_failed(job *j, const tern_status *status)
{
    fprintf(stderr, "supervisor: %s cannot be recorded, will try again: %s\n", j->message_id,
            status->message);
    drone_tasks_push(j->supervisor->tasks, &j->task, STORE_FAILED_MS);
}

/* The compensation has ended; what is left is the report. */
static void job_end(job *j, job_op *o, int state)
{
    o->comp.state = state;
    if (state == DRONE_COMP_UNDONE) {
        o->comp.failing_step = DRONE_STEP_NONE;
        o->comp.last_error[0] = '\0';
    }
    snprintf(o->status.message, sizeof(o->status.message), "the store is busy");
    if (call_store(j, o, end_run) != TERN_OK) {
        store_failed(j, &o->status);
        return;
    }
    j->ended = true;
    drone_supervisor_count(j->supervisor, DRONE_COMP_PENDING, state);
    if (state == DRONE_COMP_PARKED)
        fprintf(
            stderr,
            "supervisor: ALARM: compensation %s of delivery %s is parked after %lld attempts and "
            "waits for a person: %s\n",
            j->message_id, o->comp.delivery_id, (long long)o->comp.attempts, o->comp.last_error);
    report(j);
}

static void undo_failed(job *j, job_op *o, tern_code code, const char *message)
{
    drone_supervisor *s = j->supervisor;
    drone_step step = (drone_step)j->message->steps[j->n_left - 1]->step;
    drone_comp *comp = &o->comp;

    comp->failing_step = (int)step;
    snprintf(comp->last_error, sizeof(comp->last_error), "%s: %s: %.300s", drone_step_name(step),
             tern_code_name(code), message);
    drone_text_trim(comp->last_error);
    drone_text_clean(comp->last_error); /* the Scheduler takes printable text only */
    if (drone_undo_decide(code, comp->attempts, s->attempts_max) == DRONE_UNDO_PARK) {
        job_end(j, o, DRONE_COMP_PARKED);
        return;
    }
    int64_t pause_ms =
        drone_backoff_ms(s->pause_ms, s->pause_ms_max, comp->attempts, drone_random());
    comp->attempts++;
    snprintf(o->status.message, sizeof(o->status.message), "the store is busy");
    if (call_store(j, o, attempt_run) != TERN_OK)
        store_failed(j, &o->status);
    else
        drone_tasks_push(s->tasks, &j->task, pause_ms);
}

/* One attempt: goes on undoing where the last one stopped. */
static void attempt(job *j, job_op *o)
{
    drone_supervisor *s = j->supervisor;
    const Drone__Supervisor__V1__CompensateRequest *m = j->message;

    while (j->n_left > 0) {
        tern_status status;
        tern_code code = drone_backends_undo(&s->backends,
                                             (drone_step)m->steps[j->n_left - 1]->step,
                                             m->delivery_id, m->revision, &status);
        if (code != TERN_OK && drone_tasks_stopping(s->tasks)) {
            job_free(j); /* the next start takes it up */
            return;
        }
        if (code != TERN_OK) {
            undo_failed(j, o, code, status.message);
            return;
        }
        j->n_left--;
    }
    job_end(j, o, DRONE_COMP_UNDONE);
}

/* Attempts that were begun and never ended: the process died of them. */
static void give_up(job *j, job_op *o)
{
    if (o->comp.last_error[0] == '\0')
        snprintf(o->comp.last_error, sizeof(o->comp.last_error),
                 "%lld attempts were begun and none came to an end", (long long)o->comp.attempts);
    job_end(j, o, DRONE_COMP_PARKED);
}

/* Reads the row, and the message when it is not known yet. */
static tern_code load_run(drone_store *store, drone_store_op *op)
{
    job_op *o = (job_op *)op;
    job *j = o->job;
    tern_code code = find_run(store, op);

    if (code != TERN_OK || !o->found || o->comp.state != DRONE_COMP_PENDING)
        return code;
    if (!j->message) {
        sqlite3_stmt *q = drone_store_stmt(store, DRONE_SUPER_BODY);
        if (drone_sql_step(q, "t", j->message_id) < 0)
            return drone_store_fail(store, &o->status);
        j->message = drone__supervisor__v1__compensate_request__unpack(
            NULL, (size_t)sqlite3_column_bytes(q, 0), sqlite3_column_blob(q, 0));
        if (!j->message)
            return tern_status_set(&o->status, TERN_DATA_LOSS,
                                   "out of memory, or the stored message is damaged");
        j->n_left = j->message->n_steps;
    }
    if (!j->resumed)
        return TERN_OK;
    o->comp.attempts++;
    code = drone_comp_attempt(store, &o->comp, &o->status);
    if (code == TERN_OK)
        j->resumed = false;
    return code;
}

static void job_run(drone_task *task, bool stopping)
{
    job *j = (job *)task;
    job_op o;

    if (stopping) {
        job_free(j);
        return;
    }
    snprintf(o.status.message, sizeof(o.status.message), "the store is busy");
    if (call_store(j, &o, load_run) != TERN_OK)
        store_failed(j, &o.status);
    else if (j->ended || !o.found || o.comp.state != DRONE_COMP_PENDING)
        report(j);
    else if (o.comp.attempts > j->supervisor->attempts_max)
        give_up(j, &o);
    else
        attempt(j, &o);
}

static void take_up(drone_supervisor *s, const char *message_id, bool resumed)
{
    job *j = calloc(1, sizeof(*j));
    if (!j) {
        fprintf(stderr, "supervisor: out of memory: %s is taken up at the next start\n",
                message_id);
        return;
    }
    j->task.run = job_run;
    j->supervisor = s;
    j->resumed = resumed;
    snprintf(j->message_id, sizeof(j->message_id), "%s", message_id);
    drone_tasks_push(s->tasks, &j->task, 0);
}

void drone_supervisor_take_up(drone_supervisor *s, const char *message_id)
{
    take_up(s, message_id, false);
}

/* --- at the start ----------------------------------------------------------------------------- */

typedef struct start_op {
    drone_store_op op;
    drone_supervisor *supervisor;
    tern_status status;
    int64_t n;
} start_op;

static tern_code counts_run(drone_store *store, drone_store_op *op)
{
    start_op *o = (start_op *)op;
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SUPER_COUNTS);
    int rc;

    for (rc = drone_sql_step(q, ""); rc > 0; rc = drone_sql_next(q)) {
        int state = sqlite3_column_int(q, 0);
        if (state <= 0 || state >= DRONE_COMP_N_STATES)
            return tern_status_set(&o->status, TERN_DATA_LOSS, "the store has a state %d", state);
        atomic_store(&o->supervisor->states[state], sqlite3_column_int64(q, 1));
    }
    return rc < 0 ? drone_store_fail(store, &o->status) : TERN_OK;
}

tern_code drone_supervisor_load(drone_supervisor *s, tern_status *reterr)
{
    start_op o = { .op = { .run = counts_run, .reads_only = true }, .supervisor = s };
    tern_code code = drone_store_call(s->store, &o.op);
    if (code != TERN_OK)
        *reterr = o.status;
    return code;
}

static tern_code resume_run(drone_store *store, drone_store_op *op)
{
    start_op *o = (start_op *)op;
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SUPER_OPEN);
    int rc;

    for (rc = drone_sql_step(q, ""); rc > 0; rc = drone_sql_next(q)) {
        take_up(o->supervisor, drone_sql_text(q, 0), true);
        o->n++;
    }
    return rc < 0 ? drone_store_fail(store, &o->status) : TERN_OK;
}

tern_code drone_supervisor_resume(drone_supervisor *s, tern_status *reterr)
{
    start_op o = { .op = { .run = resume_run, .reads_only = true }, .supervisor = s };
    tern_code code = drone_store_call(s->store, &o.op);
    if (code != TERN_OK)
        *reterr = o.status;
    else if (o.n > 0)
        printf("supervisor: resumed %lld compensations\n", (long long)o.n);
    fflush(stdout);
    return code;
}
