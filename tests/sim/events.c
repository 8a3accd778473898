/* See events.h. */
#include "sim/events.h"

#include <stdio.h>
#include <stdlib.h>

static void *there(void *p, size_t size)
{
    if (!p) {
        fprintf(stderr, "sim: out of memory for %zu bytes\n", size);
        exit(2);
    }
    return p;
}

void *sim_alloc(size_t size)
{
    return there(calloc(1, size), size);
}

void *sim_realloc(void *p, size_t size)
{
    return there(realloc(p, size), size);
}

void sim_events_at(sim_events *q, sim_event *e, int64_t at)
{
    tern__heap_remove(&q->heap, &e->node);
    if (tern__heap_insert(&q->heap, &e->node, at > q->now ? at : q->now))
        there(NULL, sizeof *e);
}

void sim_events_cancel(sim_events *q, sim_event *e)
{
    tern__heap_remove(&q->heap, &e->node);
}

void sim_events_run(sim_events *q, int64_t until)
{
    tern__heap_node *n;
    while ((n = tern__heap_min(&q->heap)) && n->key < until) {
        sim_event *e = (sim_event *)(void *)n; /* its first member */
        q->now = n->key;
        tern__heap_remove(&q->heap, n);
        e->fire(e);
    }
    q->now = until;
}
