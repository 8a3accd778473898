/* Ready lists, the heap of delays, leases. See queues.h. */
#include "messages/queues.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 65536u /* of the table of sequences, which grow one by one */
#define HEAP_FIRST 64u

struct drone_queues {
    drone_queue *queues[DRONE_QUEUES_MAX];
    size_t n_queues;
    drone_entry *buckets[BUCKETS];
    drone_entry **heap; /* of delayed entries, the soonest first */
    size_t heap_len, heap_cap;
    size_t n_entries; /* added, or about to be */
    size_t cached;    /* bytes of bodies */
};

drone_queues *drone_queues_new(void)
{
    return calloc(1, sizeof(drone_queues));
}

static void free_entries(struct drone_entry_list *list)
{
    drone_entry *e;
    while ((e = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, e, link);
        free(e->body);
        free(e);
    }
}

void drone_queues_free(drone_queues *qs)
{
    if (!qs)
        return;
    for (size_t i = 0; i < qs->heap_len; i++) {
        free(qs->heap[i]->body);
        free(qs->heap[i]);
    }
    for (size_t i = 0; i < qs->n_queues; i++) {
        drone_queue *q = qs->queues[i];
        drone_consumer *c;
        free_entries(&q->ready);
        while ((c = TAILQ_FIRST(&q->consumers))) {
            free_entries(&c->leased);
            drone_consumer_free(c);
        }
        free(q);
    }
    free(qs->heap);
    free(qs);
}

drone_queue *drone_queues_look_up(drone_queues *qs, const char *name)
{
    for (size_t i = 0; i < qs->n_queues; i++)
        if (strcmp(qs->queues[i]->name, name) == 0)
            return qs->queues[i];
    return NULL;
}

drone_queue *drone_queues_get(drone_queues *qs, const char *name)
{
    drone_queue *known = drone_queues_look_up(qs, name);
    if (known)
        return known;
    if (qs->n_queues == DRONE_QUEUES_MAX || strlen(name) > DRONE_ID_BYTES_MAX)
        return NULL;
    drone_queue *q = calloc(1, sizeof(*q));
    if (!q)
        return NULL;
    strcpy(q->name, name);
    q->set = qs;
    TAILQ_INIT(&q->ready);
    TAILQ_INIT(&q->consumers);
    qs->queues[qs->n_queues++] = q;
    return q;
}

drone_queue *drone_queues_at(drone_queues *qs, size_t i)
{
    return i < qs->n_queues ? qs->queues[i] : NULL;
}

size_t drone_queues_count(const drone_queues *qs)
{
    return qs->n_entries;
}

/* --- the heap of delays ----------------------------------------------------------------------- */

static void heap_put(drone_queues *qs, size_t i, drone_entry *e)
{
    qs->heap[i] = e;
    e->heap_index = i;
}

static void heap_up(drone_queues *qs, size_t i, drone_entry *e)
{
    for (; i > 0 && qs->heap[(i - 1) / 2]->due_ms > e->due_ms; i = (i - 1) / 2)
        heap_put(qs, i, qs->heap[(i - 1) / 2]);
    heap_put(qs, i, e);
}

static void heap_down(drone_queues *qs, size_t i, drone_entry *e)
{
    for (size_t child; (child = 2 * i + 1) < qs->heap_len; i = child) {
        if (child + 1 < qs->heap_len && qs->heap[child + 1]->due_ms < qs->heap[child]->due_ms)
            child++;
        if (qs->heap[child]->due_ms >= e->due_ms)
            break;
        heap_put(qs, i, qs->heap[child]);
    }
    heap_put(qs, i, e);
}

static void heap_remove(drone_queues *qs, drone_entry *e)
{
    size_t i = e->heap_index;
    drone_entry *last = qs->heap[--qs->heap_len];
    if (last == e)
        return;
    if (i > 0 && qs->heap[(i - 1) / 2]->due_ms > last->due_ms)
        heap_up(qs, i, last);
    else
        heap_down(qs, i, last);
}

/* Room for as many delayed entries as there are entries. */
static bool heap_reserve(drone_queues *qs, size_t n)
{
    if (n <= qs->heap_cap)
        return true;
    size_t cap = qs->heap_cap ? 2 * qs->heap_cap : HEAP_FIRST;
    drone_entry **heap = realloc(qs->heap, cap * sizeof(drone_entry *));
    if (!heap)
        return false;
    qs->heap = heap;
    qs->heap_cap = cap;
    return true;
}

/* --- entries ---------------------------------------------------------------------------------- */

drone_entry *drone_entry_new(drone_queue *q, const void *body, size_t body_len)
{
    drone_queues *qs = q->set;
    drone_entry *e = heap_reserve(qs, qs->n_entries + 1) ? calloc(1, sizeof(*e)) : NULL;
    if (!e)
        return NULL;
    e->queue = q;
    if (body && qs->cached + body_len <= DRONE_QUEUE_CACHE_BYTES) {
        e->body = malloc(body_len ? body_len : 1);
        if (e->body) { /* without it, it is read from the store */
            memcpy(e->body, body, body_len);
            e->body_len = body_len;
            qs->cached += body_len;
        }
    }
    qs->n_entries++;
    return e;
}

void drone_entry_discard(drone_queues *qs, drone_entry *e)
{
    if (e->body)
        qs->cached -= e->body_len;
    qs->n_entries--;
    free(e->body);
    free(e);
}

static drone_entry **bucket_of(drone_queues *qs, int64_t sequence)
{
    return &qs->buckets[(uint64_t)sequence % BUCKETS];
}

/* Into the ready list or the heap. */
static void place(drone_queues *qs, drone_entry *e, int64_t due_ms, int64_t now_ms, bool first)
{
    e->due_ms = due_ms;
    if (due_ms > now_ms) {
        e->state = DRONE_ENTRY_DELAYED;
        e->queue->n_delayed++;
        heap_up(qs, qs->heap_len++, e);
        return;
    }
    e->state = DRONE_ENTRY_READY;
    e->queue->n_ready++;
    if (first)
        TAILQ_INSERT_HEAD(&e->queue->ready, e, link);
    else
        TAILQ_INSERT_TAIL(&e->queue->ready, e, link);
}

/* Out of wherever it is. */
static void displace(drone_queues *qs, drone_entry *e)
{
    switch (e->state) {
    case DRONE_ENTRY_READY:
        TAILQ_REMOVE(&e->queue->ready, e, link);
        e->queue->n_ready--;
        break;
    case DRONE_ENTRY_DELAYED:
        heap_remove(qs, e);
        e->queue->n_delayed--;
        break;
    case DRONE_ENTRY_LEASED:
        TAILQ_REMOVE(&e->holder->leased, e, link);
        e->holder->n_leased--;
        e->holder = NULL;
        e->queue->n_leased--;
        break;
    case DRONE_ENTRY_OUT:
        break;
    }
    e->state = DRONE_ENTRY_OUT;
}

void drone_queues_add(drone_queues *qs, drone_entry *e, int64_t due_ms, int64_t now_ms)
{
    drone_entry **bucket = bucket_of(qs, e->sequence);
    e->bucket = *bucket;
    *bucket = e;
    place(qs, e, due_ms, now_ms, false);
}

drone_entry *drone_queues_find(drone_queues *qs, int64_t sequence)
{
    drone_entry *e = *bucket_of(qs, sequence);
    while (e && e->sequence != sequence)
        e = e->bucket;
    return e;
}

void drone_queues_remove(drone_queues *qs, drone_entry *e)
{
    drone_entry **at = bucket_of(qs, e->sequence);
    displace(qs, e);
    while (*at != e)
        at = &(*at)->bucket;
    *at = e->bucket;
    drone_entry_discard(qs, e);
}

void drone_queues_return(drone_queues *qs, drone_entry *e, int64_t due_ms, int64_t now_ms)
{
    displace(qs, e);
    e->attempts++;
    place(qs, e, due_ms, now_ms, true);
}

void drone_queues_unlease(drone_queues *qs, drone_entry *e)
{
    displace(qs, e);
    place(qs, e, 0, 0, true);
}

void drone_queues_extend(drone_entry *e, int64_t now_ms)
{
    drone_consumer *c = e->holder;
    e->lease_end_ms = now_ms + c->lease_ms;
    TAILQ_REMOVE(&c->leased, e, link);
    TAILQ_INSERT_TAIL(&c->leased, e, link);
}

void drone_queues_wake(drone_queues *qs, int64_t now_ms)
{
    while (qs->heap_len && qs->heap[0]->due_ms <= now_ms) {
        drone_entry *e = qs->heap[0];
        displace(qs, e);
        place(qs, e, e->due_ms, now_ms, false);
    }
}

/* --- consumers -------------------------------------------------------------------------------- */

drone_entry *drone_queue_lease(drone_queue *q, int64_t now_ms)
{
    drone_entry *e = TAILQ_FIRST(&q->ready);
    drone_consumer *c, *best = NULL;
    if (!e)
        return NULL;
    TAILQ_FOREACH(c, &q->consumers, link)
    if (c->n_leased < c->in_flight_max && (!best || c->n_leased < best->n_leased))
        best = c;
    if (!best)
        return NULL;
    /* the next of equals comes first the next time */
    TAILQ_REMOVE(&q->consumers, best, link);
    TAILQ_INSERT_TAIL(&q->consumers, best, link);
    displace(q->set, e);
    e->state = DRONE_ENTRY_LEASED;
    e->holder = best;
    e->lease_end_ms = now_ms + best->lease_ms;
    best->n_leased++;
    q->n_leased++;
    TAILQ_INSERT_TAIL(&best->leased, e, link);
    return e;
}

drone_consumer *drone_consumer_new(drone_queue *q, uint32_t in_flight_max, int64_t lease_ms,
                                   void *outlet)
{
    drone_consumer *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->queue = q;
    c->in_flight_max = in_flight_max;
    c->lease_ms = lease_ms;
    c->outlet = outlet;
    TAILQ_INIT(&c->leased);
    TAILQ_INSERT_TAIL(&q->consumers, c, link);
    q->n_consumers++;
    return c;
}

void drone_consumer_free(drone_consumer *c)
{
    TAILQ_REMOVE(&c->queue->consumers, c, link);
    c->queue->n_consumers--;
    free(c);
}
