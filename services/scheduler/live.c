/* The table of live deliveries, the calls that wait for them, and the counters of states.
 * Everything but the counters belongs to the store's writing thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/engine.h"

static size_t bucket_of(const char *id)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 0x100000001b3u;
    return (size_t)((h ^ (h >> 32)) % DRONE_LIVE_BUCKETS);
}

static drone_live **find(drone_scheduler *s, const char *id)
{
    drone_live **at = &s->live[bucket_of(id)];
    while (*at && strcmp((*at)->delivery_id, id) != 0)
        at = &(*at)->next;
    return at;
}

/* Finds or makes the entry; NULL when out of memory. */
static drone_live *get(drone_scheduler *s, const char *id)
{
    drone_live **at = find(s, id);
    if (!*at) {
        *at = calloc(1, sizeof(**at));
        if (*at)
            snprintf((*at)->delivery_id, sizeof((*at)->delivery_id), "%s", id);
    }
    return *at;
}

static void drop_if_idle(drone_live **at)
{
    drone_live *l = *at;
    if (!l || l->job || l->waiters)
        return;
    *at = l->next;
    free(l);
}

bool drone_status_fill(tern_server_call *call, const drone_record *rec,
                       Drone__Scheduler__V1__DeliveryStatus *ret)
{
    ret->delivery_id = tern_server_call_strdup(call, rec->delivery_id);
    ret->drone_id = tern_server_call_strdup(call, rec->drone_id);
    ret->order_id = tern_server_call_strdup(call, rec->order_id);
    ret->message = tern_server_call_strdup(call, rec->message);
    ret->state = (Drone__Scheduler__V1__State)rec->state;
    ret->revision = rec->revision;
    ret->failed_step = (Drone__Scheduler__V1__Step)rec->failed_step;
    ret->failed_code = rec->failed_code;
    ret->accepted_at_ms = rec->accepted_at_ms;
    ret->ended_at_ms = rec->ended_at_ms;
    return ret->delivery_id && ret->drone_id && ret->order_id && ret->message;
}

void drone_scheduler_answer(drone_waiter *w, const drone_record *rec)
{
    tern_server_call *call = w->call;
    bool refused = w->update_revision != 0 && rec->state == DRONE_SCHEDULED &&
                   rec->failed_revision == w->update_revision;
    tern_code code = TERN_OK;

    if (refused)
        code = tern_server_call_fail(call, TERN_FAILED_PRECONDITION,
                                     "the delivery stays as it was: %s", rec->message);
    else if (!drone_status_fill(call, rec, w->response))
        code = tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory");
    tern_server_call_finish(call, code);
}

void drone_scheduler_wait(drone_scheduler *s, const drone_record *rec, drone_waiter *waiter)
{
    drone_live *l = drone_state_is_final(rec->state) ? NULL : get(s, rec->delivery_id);
    if (!l || l->n_waiters >= DRONE_WAITERS_MAX) {
        drone_scheduler_answer(waiter, rec);
        return;
    }
    waiter->next = l->waiters;
    l->waiters = waiter;
    l->n_waiters++;
}

void drone_scheduler_wake(drone_scheduler *s, const drone_record *rec)
{
    drone_live **at = find(s, rec->delivery_id);
    drone_waiter *w = *at ? (*at)->waiters : NULL;

    if (!w)
        return;
    (*at)->waiters = NULL;
    (*at)->n_waiters = 0;
    drop_if_idle(at);
    while (w) {
        drone_waiter *next = w->next; /* gone with its call */
        drone_scheduler_answer(w, rec);
        w = next;
    }
}

void drone_job_start(drone_job *job)
{
    drone_live *l = get(job->scheduler, job->rec.delivery_id);
    /* Without memory for the entry the workflow still runs; only a cancel finds it later, at
     * its end. */
    if (l)
        l->job = job;
    drone_tasks_push(job->scheduler->tasks, &job->task, 0);
}

void drone_live_end_job(drone_scheduler *s, drone_job *job)
{
    drone_live **at = find(s, job->rec.delivery_id);
    if (*at) {
        (*at)->job = NULL;
        drop_if_idle(at);
    }
    drone_job_free(job);
}

void drone_scheduler_cancel_job(drone_scheduler *s, const char *delivery_id)
{
    const drone_live *l = *find(s, delivery_id);
    if (l && l->job)
        atomic_store(&l->job->cancel, true);
}

typedef struct release_op {
    drone_store_op op;
    drone_scheduler *scheduler;
} release_op;

static tern_code release_run(drone_store *store, drone_store_op *op)
{
    drone_scheduler *s = ((release_op *)op)->scheduler;
    (void)store;
    for (size_t i = 0; i < DRONE_LIVE_BUCKETS; i++) {
        for (drone_live *l = s->live[i]; l; l = l->next) {
            drone_waiter *w = l->waiters;
            l->waiters = NULL;
            l->n_waiters = 0;
            while (w) {
                drone_waiter *next = w->next;
                tern_server_call_finish(
                    w->call,
                    tern_server_call_fail(w->call, TERN_UNAVAILABLE,
                                          "the scheduler is stopping; the delivery is safe, "
                                          "ask again later"));
                w = next;
            }
        }
    }
    return TERN_OK;
}

void drone_scheduler_release_waiters(drone_scheduler *s)
{
    release_op r = { .op = { .run = release_run, .reads_only = true }, .scheduler = s };
    drone_store_call(s->store, &r.op);
}

/* --- waiting calls that have ended by themselves ---------------------------------------------- */

static void sweep_entry(drone_live *l)
{
    for (drone_waiter **at = &l->waiters; *at;) {
        drone_waiter *w = *at;
        tern_code code = tern_context_error(tern_server_call_context(w->call));
        if (code == TERN_OK) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        l->n_waiters--;
        tern_server_call_finish(w->call, code);
    }
}

static tern_code sweep_run(drone_store *store, drone_store_op *op)
{
    drone_scheduler *s = ((drone_sweep *)op)->scheduler;
    (void)store;
    for (size_t i = 0; i < DRONE_LIVE_BUCKETS; i++) {
        for (drone_live **at = &s->live[i]; *at;) {
            drone_live *l = *at;
            sweep_entry(l);
            drop_if_idle(at);
            if (*at == l)
                at = &l->next;
        }
    }
    return TERN_OK;
}

static void sweep_done(drone_store_op *op, tern_code code)
{
    drone_sweep *w = (drone_sweep *)op;
    (void)code;
    drone_tasks_push(w->scheduler->tasks, &w->task, DRONE_SWEEP_MS);
}

static void sweep_task(drone_task *task, bool stopping)
{
    drone_sweep *w = (drone_sweep *)(void *)((char *)task - offsetof(drone_sweep, task));
    if (!stopping && drone_store_submit(w->scheduler->store, &w->op) != 0)
        drone_tasks_push(w->scheduler->tasks, task, DRONE_SWEEP_MS);
}

void drone_scheduler_start_sweep(drone_scheduler *s)
{
    s->sweep.op.run = sweep_run;
    s->sweep.op.done = sweep_done;
    s->sweep.op.reads_only = true;
    s->sweep.task.run = sweep_task;
    s->sweep.scheduler = s;
    drone_tasks_push(s->tasks, &s->sweep.task, DRONE_SWEEP_MS);
}

void drone_scheduler_free_live(drone_scheduler *s)
{
    for (size_t i = 0; i < DRONE_LIVE_BUCKETS; i++) {
        while (s->live[i]) {
            drone_live *l = s->live[i];
            s->live[i] = l->next;
            drone_job_free(l->job);
            free(l);
        }
    }
}

static void count(drone_scheduler *s, const drone_record *rec, long long by)
{
    if (rec->state == 0 || rec->revision == 0)
        return;
    atomic_fetch_add(&s->states[rec->state], by);
    if (rec->drone_id[0] != '\0')
        atomic_fetch_add(&s->by_drone, by);
    if (rec->order_id[0] != '\0')
        atomic_fetch_add(&s->by_transport, by);
}

void drone_scheduler_count(drone_scheduler *s, const drone_record *before,
                           const drone_record *after)
{
    count(s, before, -1);
    count(s, after, 1);
}

int64_t drone_scheduler_in_progress(drone_scheduler *s)
{
    return atomic_load(&s->states[DRONE_RUNNING]) + atomic_load(&s->states[DRONE_COMPENSATING]) +
           atomic_load(&s->states[DRONE_CANCELLING]);
}
