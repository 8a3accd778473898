/* Virtual time: events in the order of their times, and a clock that jumps from one to the next.
 * Events of the same nanosecond come in an order that is the same in each run. */
#ifndef TESTS_SIM_EVENTS_H
#define TESTS_SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/heap.h"

/* Embedded in what it is about; zeroed but for `fire` it is not armed. */
typedef struct sim_event {
    tern__heap_node node;
    void (*fire)(struct sim_event *self);
} sim_event;

typedef struct sim_events {
    tern__heap heap;
    int64_t now; /* ns since the world began */
} sim_events;

/* Arms an event, or moves it. A time that has passed is now. */
void sim_events_at(sim_events *q, sim_event *e, int64_t at);
void sim_events_cancel(sim_events *q, sim_event *e);
/* Fires all events before `until`, and it is `until`. */
void sim_events_run(sim_events *q, int64_t until);

/* Memory that is there, or the end of the program with a message: a simulation cannot go on without
 * what it was about to do. */
void *sim_alloc(size_t size);
void *sim_realloc(void *p, size_t size);

#endif
