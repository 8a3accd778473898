/* Who runs what: the threads of a server. Every thread is alike; it takes a loop that has no owner,
 * else a call that waits for a thread, else it sleeps.
 *
 * A handler runs on the thread that owns the loop. It loses the loop when it says that it will
 * block (tern_will_block, every client call), or when the watchdog sees it run longer than
 * TERN_LIMIT_SLOW_HANDLER_US: then the loop goes to another thread, and the handler's answer comes
 * back through the loop's stack of completed calls. */
#ifndef TERN__SERVER_EXEC_H
#define TERN__SERVER_EXEC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "server/call.h"

struct tern__loop;

typedef struct tern__exec {
    pthread_mutex_t lock;
    pthread_cond_t work;   /* sleeping threads */
    pthread_cond_t ended;  /* the last loop has ended */
    struct tern__loop **orphans; /* loops without an owner; room for all */
    uint32_t n_orphans;
    tern__list calls;      /* calls that wait for a thread */
    uint32_t n_calls, calls_max;
    struct thread_list *threads;
    uint32_t n_idle, threads_max;
    /* Threads in a handler without the loop. At the maximum further calls wait for one of them, so
     * that there is always a thread for every loop: who reads cancellations, answers health and
     * carries out a drain must not depend on the handlers. Loops that lose their threads at the
     * same moment go beyond it, by less than one each. */
    atomic_uint n_away;
    uint32_t away_max;
    uint32_t streams_max;  /* handlers of streams at a time: the other threads stay for the rest */
    atomic_uint n_streams;
    uint32_t n_loops_live; /* loops that have not ended */
    bool stopping;

    pthread_t watchdog;
    bool watchdog_runs;
    atomic_bool watchdog_asleep;
    pthread_cond_t watchdog_cond;
} tern__exec;

int tern__exec_init(tern__exec *e, uint32_t n_loops, uint32_t handler_threads, uint32_t calls_max);
void tern__exec_deinit(tern__exec *e);

/* Starts watchdog and a thread for each loop. 0 or -errno. */
int tern__exec_start(tern_server *srv);
/* Blocks until all loops have ended, then ends the threads. */
void tern__exec_join(tern_server *srv);

/* In a handler's thread, for streams. claim(): whether this thread owns the loop; if so it cannot
 * lose it any more, and is the loop's owner as between handlers, until one of the others: unclaim()
 * goes on with the handler, resume() likewise after a pause (the watchdog's clock begins anew),
 * hand_over() gives the loop to another thread. owns(): whether it owns the loop; it may lose it at
 * any time. */
bool tern__exec_claim(struct tern__loop *l);
void tern__exec_unclaim(struct tern__loop *l);
void tern__exec_resume(struct tern__loop *l);
void tern__exec_hand_over(struct tern__loop *l);
bool tern__exec_owns(const struct tern__loop *l);
/* Whether this thread, having lost the loop in its handler, could have it again; it has been given
 * it by its owner, and owns it now as after claim(). */
bool tern__exec_may_adopt(const struct tern__loop *l);
void tern__exec_adopt(struct tern__loop *l);

/* By the owner of the loop: runs a call, or queues it for a thread. False when the loop was
 * lost. */
bool tern__exec_dispatch(struct tern__loop *l, tern_server_call *call);

#endif
