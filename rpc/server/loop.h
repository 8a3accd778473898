/* An event loop of a server: epoll, timers, its connections, and the calls that are ready to run.
 *
 * A loop is not a thread. One thread at a time owns it; when that thread blocks in a handler,
 * another takes the loop over (exec.h). So everything a turn needs lies in the struct, nothing on
 * the stack: at any handler's start the rest of the turn can go on elsewhere. */
#ifndef TERN__SERVER_LOOP_H
#define TERN__SERVER_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/rng.h"
#include "server/call.h"
#include "server/conn.h"
#include "server/server.h"

#define TERN__LOOP_READ_BYTES (64u * 1024)
#define TERN__LOOP_EVENTS 64

typedef struct tern__loop {
    tern_server *server;
    int epoll_fd, event_fd;
    tern__pool pool;
    tern__heap timers;    /* of connections */
    tern__rng rng;        /* spreads their ages */
    tern__heap deadlines; /* of calls */
    tern__list conns, dirty;
    tern__list ready;   /* calls to run */
    tern__list unarmed; /* calls with a deadline that is not in the heap yet */
    tern__list decided; /* calls that come back from the gate; with its lock */
    uint32_t n_conns;
    tern__call_counters *calls; /* the server's for this loop */
    int64_t now;        /* a moment ago, for what is only shown; ns */
    uint32_t n_running; /* handlers under way */
    uint32_t n_parked;  /* of these: without a thread (tern_server_call_park) */
    tern_server_call *talks_to; /* the stream that had the last event, NULL when another call was */
    uint64_t talks;             /* dispatched since; how many it had in a row */
    bool draining;      /* seen and begun */
    bool cut;           /* the grace period is over, seen */
    bool listening;     /* loop 0: the listeners are in epoll */
    int64_t accept_again; /* loop 0: after running out of descriptors; TIME_NEVER */
    uint32_t next_loop; /* loop 0: who gets the next connection */
    uint8_t *read_buf;
    tern__buf out;      /* lent to the connection that is being written */

    /* Ownership: bits 32.. epoch, raised at each take-over; bits 1..31 a count of handlers; bit 0:
     * in a handler that may lose the loop. */
    _Atomic uint64_t owner;
    uint64_t watched;   /* watchdog: owner word at its last look */

    /* From other threads. */
    _Atomic(tern_server_call *) done; /* stack of completed calls */
    _Atomic(tern_server_call *) posted; /* stack of streams that want service (stream.h) */
    atomic_uint posting;              /* threads within tern__loop_post(): deinit waits for them */
    atomic_bool sleeping;             /* in epoll_wait, or about to: wants a wake-up */
    atomic_bool poked;                /* somebody wants the loop to look around */
    pthread_mutex_t inbox_lock;
    tern__accepted *inbox;            /* sockets handed over by loop 0 */
    uint32_t n_inbox, inbox_cap;
} tern__loop;

#define TERN__OWNER_IN_HANDLER UINT64_C(1)
#define TERN__OWNER_NEXT_HANDLER UINT64_C(2)
#define TERN__OWNER_EPOCH UINT64_C(0x100000000)

/* 0 or -errno. */
int tern__loop_init(tern__loop *l, tern_server *srv);
void tern__loop_deinit(tern__loop *l);

/* Runs turns until this thread loses the loop (false) or the loop has ended (true). */
bool tern__loop_run(tern__loop *l);

/* By a handler's thread that owns the loop and has claimed it (exec.h): runs turns without
 * handlers, until `until` says that it is enough (true) or there is a call to run (false). */
bool tern__loop_drive(tern__loop *l, bool (*until)(void *ctx), void *ctx);

/* By the owner: serves the streams that were posted. Frees nothing. */
void tern__loop_service(tern__loop *l);

/* By the owner: a request is complete; a connection has something to write; a deadline is not
 * armed. */
void tern__loop_ready(tern__loop *l, tern_server_call *call);
void tern__loop_dirty(tern__loop *l, tern__conn *c);

/* By the threads of a call's handler: the call wants service. Wakes the loop unless the thread owns
 * it. */
void tern__loop_post_stream(tern__loop *l, tern_server_call *call);

/* From any thread: a call's handler is done; look around; a socket to take over (0 or -ENOMEM). */
void tern__loop_post(tern__loop *l, tern_server_call *call);
void tern__loop_wake(tern__loop *l);
int tern__loop_hand_over(tern__loop *l, const tern__accepted *a);

#endif
