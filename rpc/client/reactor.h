/* Inside of tern_loop (tern/async.h): the event loop that watches connections nobody drives, and
 * runs what is posted to it. The default one has the only lasting thread that Tern starts unasked,
 * one for the process; a program's own is driven by tern_loop_process().
 *
 * A connection in use by blocking calls costs the loop nothing: it is watched only after it has
 * been idle for a while, or while calls with callbacks are open on it, and taking it back is one
 * system call at the next blocking call.
 *
 * Locks: the loop's lock is taken before a transport's, never after. Posting and timers have a lock
 * of their own, which is a leaf: they may be used under any other. */
#ifndef TERN__CLIENT_REACTOR_H
#define TERN__CLIENT_REACTOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <tern/async.h>

#include "base/heap.h"
#include "base/list.h"
#include "client/transport.h"
#include "io/clock.h"

/* Something that runs on the loop's thread, with no lock held. Posting it again before it has run
 * does nothing. */
typedef struct tern__op {
    tern__list node;       /* in the loop's list of posted ones */
    tern__heap_node timer; /* posts it, too */
    void (*run)(struct tern__op *op);
} tern__op;

struct tern_loop {
    pthread_mutex_t lock;
    tern__list transports;
    bool threaded;             /* the default loop */
    bool started, failed;      /* its thread */
    int epoll_fd, event_fd, timer_fd;
    int64_t look_at;           /* by the loop's thread: when to look at all connections again */
    int64_t timer_at;          /* by the loop's thread: what timer_fd is set to */
    int64_t slice;             /* by the loop's thread, on a test's clock: look after so long */
    tern__clock_alarm alarm;   /* the same: instead of timer_fd */
    atomic_bool look;          /* look now */

    pthread_mutex_t op_lock;
    tern__list ops;
    tern__heap timers;
    int64_t sleeps_until;      /* with op_lock: when the loop will wake by itself; 0: it is awake */
    const struct tern__op *running; /* with op_lock: it runs, or was the last of this turn to */
    unsigned n_cancelling;     /* with op_lock: threads that wait for its end */
    pthread_cond_t op_done;
    atomic_uint n_calls;       /* open calls with callbacks */
};

/* The default loop. Its thread starts with the first connection or call. */
tern_loop *tern__reactor_default(void);
/* Starts the default loop's thread if need be; true when the loop is of use. */
bool tern__reactor_ready(tern_loop *loop);

/* Adds a transport (a reference is taken). Without memory or a thread the transport works all the
 * same, only unwatched between calls. */
void tern__reactor_add(tern_loop *loop, tern__transport *t);
/* It will get no more calls: removes it and drops the reference, at once or when the last of its
 * calls has ended. */
void tern__reactor_retire(tern__transport *t);
/* With the transport's lock held: a call with a callback begins on it, which the loop drives. If it
 * was retired and let go of after the call had got it, it is taken back until the call has ended,
 * for which the lock is given up and taken again. */
void tern__reactor_begin(tern__transport *t);
/* Has the loop look at all connections again: when one of them needs it next has changed. */
void tern__reactor_wake(tern_loop *loop);
/* With the transport's lock held: takes the socket back for a caller, when t->bg_armed; watches it
 * now, when nobody leads. */
void tern__reactor_disarm(tern__transport *t);
void tern__reactor_arm(tern__transport *t);

void tern__op_init(tern__op *op, void (*run)(tern__op *op));
/* Runs the op on the loop's thread, soon. Any thread. */
void tern__reactor_post(tern_loop *loop, tern__op *op);
/* The same, and raises *flag in one step with it: an op that runs for another reason and finds the
 * flag raised may end, since tern__reactor_forget() waits for this. */
void tern__reactor_raise(tern_loop *loop, tern__op *op, atomic_bool *flag);
/* At `at` (ns), unless it is called again before; TERN__TIME_NEVER: not any more. 0 or -ENOMEM, and
 * never fails for an op that has a timer already. */
int tern__reactor_set_timer(tern_loop *loop, tern__op *op, int64_t at);
/* By the loop's thread, when the op ends: it is neither posted nor timed any more. */
void tern__reactor_forget(tern_loop *loop, tern__op *op);

/* By any thread: the same, and does not return while the op runs. Not from within that op. */
void tern__reactor_cancel(tern_loop *loop, tern__op *op);

/* One turn: waits at most until `deadline` (ns) for something to do. Returns how many ops ran. */
unsigned tern__reactor_turn(tern_loop *loop, int64_t deadline);

#endif
