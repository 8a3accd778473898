/* The inside of the Supervisor: compensations under way.
 *
 * A compensation undoes the steps of its message from the last to the first, each until it
 * succeeds. A failure that may pass is tried again after a growing pause, attempts_max times in
 * all; one that will not pass, or the last attempt, parks it with an alarm. How it ended is
 * then reported to the Scheduler until that acknowledges it. Everything can be repeated: a
 * process that dies begins again with what its store says. */
#ifndef DRONE_SUPERVISOR_ENGINE_H
#define DRONE_SUPERVISOR_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bus/bus.h"
#include "common/service.h"
#include "scheduler/backends.h"
#include "scheduler/tasks.h"
#include "supervisor/records.h"

typedef struct drone_super_intake drone_super_intake;

typedef struct drone_supervisor {
    drone_store *store;
    drone_backends backends;
    tern_channel *scheduler;
    const char *scheduler_address; /* NULL: unix:DIR/scheduler.sock */
    const char *bus_address;       /* NULL: compensations come, and are reported, by calls */
    drone_bus *bus;
    drone_super_intake *intake;
    drone_tasks *tasks;
    int64_t n_threads;
    int64_t attempts_max;
    int64_t pause_ms;
    int64_t pause_ms_max;
    int64_t pending_max;
    atomic_llong states[DRONE_COMP_N_STATES];
} drone_supervisor;

/* What an undoing call's outcome means for its compensation. */
typedef enum drone_undo_verdict {
    DRONE_UNDO_GO_ON, /* the step is undone: the one before it is next */
    DRONE_UNDO_RETRY, /* it may succeed later */
    DRONE_UNDO_PARK   /* a person is needed */
} drone_undo_verdict;

/* Decides about an outcome after `attempts` attempts, the present one included. Pure. */
drone_undo_verdict drone_undo_decide(tern_code code, int64_t attempts, int64_t attempts_max);

/* Takes up a compensation whose row is on disk: queues its next attempt, or its report. Without
 * memory it is taken up at the next start. Any thread. */
void drone_supervisor_take_up(drone_supervisor *s, const char *message_id);

/* Counts a row that went from a state (0: new) to another. Any thread. */
void drone_supervisor_count(drone_supervisor *s, int from, int to);

/* Counts what the store holds; before it runs. */
tern_code drone_supervisor_load(drone_supervisor *s, tern_status *reterr);

/* Takes up every row with work left, each with one attempt more. */
tern_code drone_supervisor_resume(drone_supervisor *s, tern_status *reterr);

#endif
