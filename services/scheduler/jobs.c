/* Workflows under way.
 *
 *     start -> [task thread: call, decide]* -> end: operation on the store -> done
 *                 |  transient failure: again after a pause, for patience_ms a step
 *                 |  process ends: given up; the row says RUNNING and is resumed at the next start
 *     done: scheduled, kept, compensating … -> freed;   restore -> started again as such
 *
 * A channel already repeats a call within its deadline. The patience beyond that bridges what a
 * repeat can't: a breaker that is open, a service that is being restarted. What lasts longer
 * counts as non-transient. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/validate.h"
#include "scheduler/engine.h"
#include "scheduler/schema.h"

#define PAUSE_MS 25
#define PAUSE_MS_MAX 400
/* When the store takes no operation, or failed at one. */
#define STORE_BUSY_MS 5
#define STORE_FAILED_MS 1000

static int64_t monotonic_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static drone_job *job_of(drone_task *task)
{
    return (drone_job *)((char *)task - offsetof(drone_job, task));
}

static void job_run(drone_task *task, bool stopping);
static tern_code end_run(drone_store *store, drone_store_op *op);
static void end_done(drone_store_op *op, tern_code code);

static Drone__Scheduler__V1__DeliveryRequest *unpack(const drone_bytes *b)
{
    return drone__scheduler__v1__delivery_request__unpack(NULL, b->len, b->data);
}

drone_job *drone_job_new(drone_scheduler *s, const drone_record *rec, const drone_bytes *request,
                         const drone_bytes *former, bool resumed)
{
    drone_job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->scheduler = s;
    job->rec = *rec;
    job->op.run = end_run;
    job->op.done = end_done;
    job->task.run = job_run;
    memcpy(job->drone_id, rec->drone_id, sizeof(job->drone_id));
    memcpy(job->order_id, rec->order_id, sizeof(job->order_id));
    atomic_init(&job->cancel, rec->state == DRONE_CANCELLING);
    job->request = unpack(request);
    if (former && former->data)
        job->former = unpack(former);
    if (!job->request || (rec->phase != DRONE_WF_SCHEDULE && !job->former)) {
        drone_job_free(job);
        return NULL;
    }
    drone_wf_kind kind = (drone_wf_kind)rec->phase;
    if (kind == DRONE_WF_RESTORE) {
        Drone__Scheduler__V1__DeliveryRequest *failed = job->request;
        job->request = job->former;
        job->former = failed;
    }
    drone_wf_begin(&job->wf, kind, drone_record_carrier(rec), resumed);
    if (resumed && rec->state == DRONE_CANCELLING)
        job->wf.at = DRONE_WF_END_CANCEL;
    return job;
}

void drone_job_free(drone_job *job)
{
    if (!job)
        return;
    if (job->request)
        drone__scheduler__v1__delivery_request__free_unpacked(job->request, NULL);
    if (job->former)
        drone__scheduler__v1__delivery_request__free_unpacked(job->former, NULL);
    free(job->message_body.data);
    free(job);
}

/* --- on a task thread ------------------------------------------------------------------------- */

/* Whether a step that failed is to be tried again instead of failing the workflow. */
static bool try_again(drone_job *job, tern_code code)
{
    if (code != TERN_UNAVAILABLE || atomic_load(&job->cancel))
        return false;
    return monotonic_ms() - job->step_began_ms < job->scheduler->patience_ms;
}

static void note_failure(drone_job *job, tern_code code, const tern_status *status)
{
    if (job->wf.failed_step != DRONE_STEP_NONE)
        return;
    snprintf(job->message, sizeof(job->message), "%s: %s: %.300s",
             drone_step_name(drone_wf_step_of(job->wf.at)), tern_code_name(code), status->message);
    drone_text_trim(job->message);
    /* A service of another make may say anything; the Supervisor takes printable text only. */
    drone_text_clean(job->message);
}

static void job_end(drone_job *job)
{
    drone_scheduler *s = job->scheduler;
    if (drone_store_submit(s->store, &job->op) != 0 && !drone_tasks_stopping(s->tasks))
        drone_tasks_push(s->tasks, &job->task, STORE_BUSY_MS);
}

static void job_run(drone_task *task, bool stopping)
{
    drone_job *job = job_of(task);
    drone_scheduler *s = job->scheduler;

    if (stopping)
        return; /* stays in the table until drone_scheduler_free_live() */
    while (job->wf.at < DRONE_WF_N_CALLS) {
        tern_status status;
        bool able = false;
        if (job->tries == 0)
            job->step_began_ms = monotonic_ms();
        job->tries++;
        tern_code code = drone_step_call(job, &able, &status);
        if (code != TERN_OK) {
            if (drone_tasks_stopping(s->tasks))
                return;
            if (try_again(job, code)) {
                drone_tasks_push(
                    s->tasks, task,
                    drone_backoff_ms(PAUSE_MS, PAUSE_MS_MAX, job->tries, drone_random()));
                return;
            }
            note_failure(job, code, &status);
        }
        job->tries = 0;
        drone_wf_next(&job->wf, code, able, atomic_load(&job->cancel));
    }
    job_end(job);
}

/* --- on the writing thread -------------------------------------------------------------------- */

static void set_failure(const drone_job *job, drone_record *rec)
{
    if (job->wf.failed_step == DRONE_STEP_NONE)
        return;
    rec->failed_step = (int)job->wf.failed_step;
    rec->failed_code = (int)job->wf.failed_code;
    rec->failed_revision = rec->revision;
    memcpy(rec->message, job->message, sizeof(rec->message));
}

/* What was begun is to be undone: by the Supervisor, unless it is nothing. */
static tern_code end_undo(drone_job *job, drone_store *store, drone_record *rec, bool cancelled,
                          tern_status *reterr)
{
    tern_code code = TERN_OK;
    if (job->wf.begun == 0) {
        rec->state = cancelled ? DRONE_CANCELLED : DRONE_COMPENSATED;
        rec->ended_at_ms = drone_now_ms();
    } else {
        rec->state = cancelled ? DRONE_CANCELLING : DRONE_COMPENSATING;
        code = drone_outbox_add(store, rec, cancelled, &job->wf, &job->message_body, reterr);
    }
    rec->drone_id[0] = rec->order_id[0] = '\0';
    return code == TERN_OK ? drone_record_end(store, rec, false, reterr) : code;
}

static tern_code end_standing(const drone_job *job, drone_store *store, drone_record *rec,
                              tern_status *reterr)
{
    const drone_wf *wf = &job->wf;
    bool kept = wf->at == DRONE_WF_END_KEPT;

    rec->state = DRONE_SCHEDULED;
    rec->ended_at_ms = drone_now_ms();
    if (kept) {
        set_failure(job, rec);
    } else {
        rec->failed_step = rec->failed_code = 0;
        rec->failed_revision = 0;
        rec->message[0] = '\0';
    }
    /* An update that was refused before it changed anything leaves the ids of the row. */
    if (!kept || wf->kind == DRONE_WF_RESTORE) {
        bool by_drone = wf->carrier == DRONE_CARRIER_DRONE;
        snprintf(rec->drone_id, sizeof(rec->drone_id), "%s", by_drone ? job->drone_id : "");
        snprintf(rec->order_id, sizeof(rec->order_id), "%s", by_drone ? "" : job->order_id);
    }
    return drone_record_end(store, rec, kept, reterr);
}

static tern_code end_run(drone_store *store, drone_store_op *op)
{
    drone_job *job = (drone_job *)op;
    drone_wf_action at = job->wf.at;
    tern_status status;
    bool found = false;
    tern_code code = drone_record_find(store, job->rec.delivery_id, &job->before, &found, &status);

    if (code == TERN_OK && !found)
        code = tern_status_set(&status, TERN_INTERNAL, "its row is gone");
    if (code == TERN_OK) {
        drone_record rec = job->before;
        bool cancelled = rec.state == DRONE_CANCELLING;
        if (cancelled || at == DRONE_WF_END_CANCEL || at == DRONE_WF_END_COMPENSATE) {
            set_failure(job, &rec);
            code = end_undo(job, store, &rec, cancelled, &status);
        } else if (at == DRONE_WF_END_RESTORE) {
            set_failure(job, &rec);
            code = drone_record_begin_restore(store, &rec, &status);
        } else {
            code = end_standing(job, store, &rec, &status);
        }
        if (code == TERN_OK)
            job->rec = rec;
    }
    if (code != TERN_OK)
        fprintf(stderr, "scheduler: delivery %s: cannot be recorded, will try again: %s\n",
                job->rec.delivery_id, status.message);
    return code;
}

/* The update was refused half-way: its former body is put back. */
static void begin_restore(drone_job *job)
{
    Drone__Scheduler__V1__DeliveryRequest *failed = job->request;

    job->request = job->former;
    job->former = failed;
    drone_wf_begin(&job->wf, DRONE_WF_RESTORE, drone_record_carrier(&job->rec), false);
    memcpy(job->drone_id, job->rec.drone_id, sizeof(job->drone_id));
    memcpy(job->order_id, job->rec.order_id, sizeof(job->order_id));
    drone_tasks_push(job->scheduler->tasks, &job->task, 0);
}

static void end_done(drone_store_op *op, tern_code code)
{
    drone_job *job = (drone_job *)op;
    drone_scheduler *s = job->scheduler;
    drone_record rec = job->rec;

    if (code != TERN_OK) {
        free(job->message_body.data);
        job->message_body.data = NULL;
        drone_tasks_push(s->tasks, &job->task, STORE_FAILED_MS);
        return;
    }
    drone_scheduler_count(s, &job->before, &rec);
    if (rec.phase == DRONE_WF_RESTORE && rec.state == DRONE_RUNNING &&
        job->wf.at == DRONE_WF_END_RESTORE) {
        begin_restore(job);
        return;
    }
    if (job->message_body.data) {
        char message_id[DRONE_KEY_SIZE];
        drone_change_key(rec.delivery_id, rec.revision, false, message_id);
        drone_outbox_push(s->outbox, message_id, job->message_body);
        job->message_body.data = NULL;
    }
    drone_live_end_job(s, job);
    if (drone_state_is_final(rec.state))
        drone_scheduler_wake(s, &rec);
}

/* --- at the start ----------------------------------------------------------------------------- */

typedef struct resume_op {
    drone_store_op op;
    drone_scheduler *scheduler;
    tern_status status;
    char (*ids)[DRONE_KEY_SIZE];
    size_t n_ids;
} resume_op;

/* Collects the ids first: the statement can't stay open while rows are read. */
static tern_code collect(drone_store *store, resume_op *r)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_UNDER_WAY);
    size_t size = 0;
    int rc;

    for (rc = drone_sql_step(q, ""); rc > 0; rc = drone_sql_next(q)) {
        if (r->n_ids == size) {
            size = size ? size * 2 : 64;
            void *ids = realloc(r->ids, size * sizeof(*r->ids));
            if (!ids)
                return tern_status_set(&r->status, TERN_RESOURCE_EXHAUSTED, "out of memory");
            r->ids = ids;
        }
        snprintf(r->ids[r->n_ids++], DRONE_KEY_SIZE, "%s", drone_sql_text(q, 0));
    }
    return rc < 0 ? drone_store_fail(store, &r->status) : TERN_OK;
}

static tern_code resume_one(drone_store *store, resume_op *r, const char *id)
{
    drone_record rec;
    drone_bytes request, former;
    bool found;
    tern_code code = drone_record_find(store, id, &rec, &found, &r->status);

    if (code == TERN_OK)
        code = drone_record_bodies(store, id, &request, &former, &r->status);
    if (code != TERN_OK)
        return code;
    drone_job *job = drone_job_new(r->scheduler, &rec, &request, &former, true);
    free(request.data);
    free(former.data);
    if (!job)
        return tern_status_set(
            &r->status, TERN_DATA_LOSS,
            "delivery %s cannot be resumed: out of memory, or its stored request "
            "is damaged",
            id);
    drone_job_start(job);
    return TERN_OK;
}

static tern_code resume_run(drone_store *store, drone_store_op *op)
{
    resume_op *r = (resume_op *)op;
    tern_code code = collect(store, r);
    for (size_t i = 0; i < r->n_ids && code == TERN_OK; i++)
        code = resume_one(store, r, r->ids[i]);
    return code;
}

tern_code drone_scheduler_resume(drone_scheduler *s, tern_status *reterr)
{
    resume_op r = { .op = { .run = resume_run, .reads_only = true }, .scheduler = s };
    tern_code code = drone_store_call(s->store, &r.op);

    if (code != TERN_OK)
        *reterr = r.status;
    else if (r.n_ids > 0)
        printf("scheduler: resumed %zu deliveries\n", r.n_ids);
    fflush(stdout);
    free(r.ids);
    return code;
}

static tern_code counts_run(drone_store *store, drone_store_op *op)
{
    resume_op *r = (resume_op *)op;
    drone_scheduler *s = r->scheduler;
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_COUNTS);
    int rc;

    for (rc = drone_sql_step(q, ""); rc > 0; rc = drone_sql_next(q)) {
        int state = sqlite3_column_int(q, 0);
        if (state <= 0 || state >= DRONE_N_STATES)
            return tern_status_set(&r->status, TERN_DATA_LOSS, "the store has a state %d", state);
        atomic_store(&s->states[state], sqlite3_column_int64(q, 1));
        atomic_fetch_add(&s->by_drone, sqlite3_column_int64(q, 2));
        atomic_fetch_add(&s->by_transport, sqlite3_column_int64(q, 3));
    }
    return rc < 0 ? drone_store_fail(store, &r->status) : TERN_OK;
}

tern_code drone_scheduler_load_counts(drone_scheduler *s, tern_status *reterr)
{
    resume_op r = { .op = { .run = counts_run, .reads_only = true }, .scheduler = s };
    tern_code code = drone_store_call(s->store, &r.op);
    if (code != TERN_OK)
        *reterr = r.status;
    return code;
}
