/* The queues of the message service in memory: which message is ready, delayed or leased, and who
 * gets it next. Decisions only: the time comes in as an argument, nothing is stored or sent here,
 * and one thread (the store's writing thread) calls it all.
 *
 * An entry is in the table of sequences from drone_queues_add() on, and in one of three places:
 *
 *     ready    a list, oldest first, but what came back goes before what is new
 *     delayed  a heap by the time from which it is ready
 *     leased   a list of its consumer, by the end of the lease
 *
 * A consumer has credit for so many leased entries. Of those with credit the one with the fewest
 * is served first, so that a slow consumer holds up nobody else. */
#ifndef DRONE_MESSAGES_QUEUES_H
#define DRONE_MESSAGES_QUEUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/queue.h>

#include "common/names.h"

#define DRONE_QUEUES_MAX 256 /* queues; a further one is refused */
#define DRONE_QUEUE_ENTRIES_MAX \
    1000000 /* unsettled messages of all queues; enqueueing is refused */
#define DRONE_QUEUE_CACHE_BYTES (64 << 20) /* of bodies in memory; further ones are read again */
#define DRONE_MESSAGE_ATTEMPTS_MAX 5       /* then it is a dead letter */

typedef struct drone_queues drone_queues;
typedef struct drone_queue drone_queue;
typedef struct drone_consumer drone_consumer;

typedef enum drone_entry_state {
    DRONE_ENTRY_OUT = 0, /* not added yet, or removed */
    DRONE_ENTRY_READY,
    DRONE_ENTRY_DELAYED,
    DRONE_ENTRY_LEASED
} drone_entry_state;

typedef struct drone_entry {
    TAILQ_ENTRY(drone_entry) link; /* of ready, or of its consumer's leases */
    struct drone_entry *bucket;    /* next in the table of sequences */
    drone_queue *queue;
    drone_consumer *holder; /* of a leased one */
    int64_t sequence;
    int64_t enqueued_at_ms;
    int64_t due_ms;       /* of a delayed one */
    int64_t lease_end_ms; /* of a leased one */
    size_t heap_index;    /* of a delayed one */
    uint32_t attempts;    /* that have ended without success */
    drone_entry_state state;
    bool claimed;  /* an operation has settled it, and its commit is on the way */
    uint8_t *body; /* NULL: read it from the store */
    size_t body_len;
} drone_entry;

TAILQ_HEAD(drone_entry_list, drone_entry);

struct drone_consumer {
    TAILQ_ENTRY(drone_consumer) link;
    drone_queue *queue;
    struct drone_entry_list leased;
    uint32_t n_leased;
    uint32_t in_flight_max;
    int64_t lease_ms;
    void *outlet; /* where its messages go */
};

TAILQ_HEAD(drone_consumer_list, drone_consumer);

struct drone_queue {
    char name[DRONE_ID_BYTES_MAX + 1];
    drone_queues *set;
    struct drone_entry_list ready;
    struct drone_consumer_list consumers;
    size_t n_ready, n_delayed, n_leased, n_consumers, n_dead;
};

/* NULL when out of memory. */
drone_queues *drone_queues_new(void);
/* With all entries, queues and consumers. NULL is fine. */
void drone_queues_free(drone_queues *qs);

/* The queue of this name, made if need be; NULL when it would be one too many, or out of memory. */
drone_queue *drone_queues_get(drone_queues *qs, const char *name);
/* The queue of this name, or NULL. */
drone_queue *drone_queues_look_up(drone_queues *qs, const char *name);
/* Queue `i` in the order in which they were made; NULL behind the last. */
drone_queue *drone_queues_at(drone_queues *qs, size_t i);
/* Entries of all queues. */
size_t drone_queues_count(const drone_queues *qs);

/* An entry that is not added yet, with a copy of its body, if that is given and there is room for
 * it. Makes room for it everywhere, so that drone_queues_add() cannot fail. NULL when out of
 * memory. */
drone_entry *drone_entry_new(drone_queue *q, const void *body, size_t body_len);
/* Frees one that was not added. */
void drone_entry_discard(drone_queues *qs, drone_entry *e);

/* Adds it: ready now, or at due_ms. Its sequence is set. */
void drone_queues_add(drone_queues *qs, drone_entry *e, int64_t due_ms, int64_t now_ms);
/* The entry of this sequence, or NULL. */
drone_entry *drone_queues_find(drone_queues *qs, int64_t sequence);
/* Takes it out, wherever it is, and frees it. */
void drone_queues_remove(drone_queues *qs, drone_entry *e);
/* It comes back: one attempt more, ready at due_ms. */
void drone_queues_return(drone_queues *qs, drone_entry *e, int64_t due_ms, int64_t now_ms);
/* A leased one goes back unseen: no attempt, ready now. */
void drone_queues_unlease(drone_queues *qs, drone_entry *e);
/* The lease of a leased one begins anew. */
void drone_queues_extend(drone_entry *e, int64_t now_ms);

/* Makes what is due ready. */
void drone_queues_wake(drone_queues *qs, int64_t now_ms);
/* Leases the next ready entry to the consumer that is to have it (e->holder); NULL: none is
 * ready, or nobody has credit. */
drone_entry *drone_queue_lease(drone_queue *q, int64_t now_ms);

/* A consumer. NULL when out of memory. */
drone_consumer *drone_consumer_new(drone_queue *q, uint32_t in_flight_max, int64_t lease_ms,
                                   void *outlet);
/* Takes it away and frees it; what it has leased must have been returned or removed. */
void drone_consumer_free(drone_consumer *c);

#endif
