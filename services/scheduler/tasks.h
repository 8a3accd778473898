/* Threads for work that blocks, and the queue before them: now, or after a delay. Used by the
 * Scheduler for workflows and by the Supervisor for compensations. */
#ifndef DRONE_SCHEDULER_TASKS_H
#define DRONE_SCHEDULER_TASKS_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/status.h>

typedef struct drone_tasks drone_tasks;
typedef struct drone_task drone_task;

/* One piece of work: embedded in its owner's struct, borrowed until `run` is called. */
struct drone_task {
    /* Called on one of the threads. `stopping`: the process is ending; give up what can be
     * resumed. */
    void (*run)(drone_task *task, bool stopping);
    /* --- the queue's own --- */
    drone_task *next;
    int64_t due_ms; /* monotonic */
};

/* Threads at most. */
#define DRONE_TASK_THREADS_MAX 512

/* Starts `n_threads` threads. RESOURCE_EXHAUSTED when the system gives none. */
tern_code drone_tasks_new(int64_t n_threads, drone_tasks **ret, tern_status *reterr);

/* Queues a task, to be run at once (0) or after delay_ms. Never fails: without memory for the
 * delay it is run at once. What waits is bounded by who queues (drone_scheduler's in_progress).
 * Any thread. */
void drone_tasks_push(drone_tasks *tasks, drone_task *task, int64_t delay_ms);

/* Whether drone_tasks_stop() was called. */
bool drone_tasks_stopping(drone_tasks *tasks);

/* Makes drone_tasks_stopping() true, and joins nothing yet. */
void drone_tasks_stop_begin(drone_tasks *tasks);

/* Runs what is queued with stopping = true, the delayed ones as well, and joins the threads.
 * Tasks pushed from then on are run by the pushing thread. */
void drone_tasks_stop(drone_tasks *tasks);

/* After drone_tasks_stop(). NULL is fine. */
void drone_tasks_free(drone_tasks *tasks);

#endif
