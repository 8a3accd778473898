/* See exec.h. The owner word of a loop is changed by compare-and-swap only: whoever turns "epoch e,
 * in a handler" into "epoch e+1" has taken the loop from the thread that runs the handler, and
 * hands it to another through the list of orphans. */
#include "server/exec.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "io/blocking.h"
#include "io/clock.h"
#include "server/compress.h"
#include "server/intercept.h"
#include "server/loop.h"
#include "server/server.h"
#include "server/stream.h"

/* The watchdog looks this often: a handler seen at two looks has run for one to two periods. */
#define WATCHDOG_NS (TERN_LIMIT_SLOW_HANDLER_US * TERN__NS_PER_US / 2)
/* Looks without any handler after which it goes to sleep until one starts. */
#define WATCHDOG_IDLE_LOOKS 20

/* A stream's handler may wait for its peer for ever. One in so many threads is kept for others. */
#define STREAM_SHARE 16u

/* The thread's handles, for joining. */
struct thread_list {
    uint32_t n;
    pthread_t at[];
};

static struct thread_list *threads_of(tern_server *srv) { return srv->exec.threads; }

int tern__exec_init(tern__exec *e, uint32_t n_loops, uint32_t handler_threads, uint32_t calls_max)
{
    memset(e, 0, sizeof *e);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    pthread_cond_init(&e->ended, NULL);
    pthread_cond_init(&e->watchdog_cond, NULL);
    tern__list_init(&e->calls);
    e->calls_max = calls_max;
    e->away_max = handler_threads;
    e->threads_max = 2 * n_loops + handler_threads;
    e->streams_max = handler_threads - (handler_threads + STREAM_SHARE - 1) / STREAM_SHARE;
    if (!e->streams_max)
        e->streams_max = 1;
    e->orphans = calloc(n_loops, sizeof(struct tern__loop *));
    e->threads = calloc(1, sizeof *e->threads + e->threads_max * sizeof(pthread_t));
    return e->orphans && e->threads ? 0 : -ENOMEM;
}

void tern__exec_deinit(tern__exec *e)
{
    free(e->orphans);
    free(e->threads);
    pthread_cond_destroy(&e->watchdog_cond);
    pthread_cond_destroy(&e->ended);
    pthread_cond_destroy(&e->work);
    pthread_mutex_destroy(&e->lock);
}

/* --- threads ---------------------------------------------------------------------------------- */

static void *thread_main(void *arg);

static int start_thread(pthread_t *ret, void *(*fn)(void *), void *arg)
{
    sigset_t all, old;
    sigfillset(&all); /* signals are the program's business, on its own threads */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rv = pthread_create(ret, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -rv;
}

/* Of the calls that wait for a thread, those that may have one. With the lock held. */
static uint32_t calls_to_run(tern__exec *e)
{
    uint32_t away = atomic_load(&e->n_away);
    uint32_t spare = away < e->away_max ? e->away_max - away : 0;
    return e->n_calls < spare ? e->n_calls : spare;
}

/* There is work: wake a sleeping thread, or start one. With the lock held. */
static void want_thread(tern_server *srv)
{
    tern__exec *e = &srv->exec;
    struct thread_list *t = threads_of(srv);
    uint32_t work = e->n_orphans + calls_to_run(e);
    if (work == 0)
        return; /* a handler that returns takes the next call */
    if (work <= e->n_idle) {
        pthread_cond_signal(&e->work);
    } else if (t->n < e->threads_max) {
        int rv = start_thread(&t->at[t->n], thread_main, srv);
        if (rv == 0)
            t->n++;
        else
            TERN__LOG(TERN_LOG_WARNING, "cannot start a thread for handlers: %s", strerror(-rv));
    }
    /* else every thread is busy: the first that is done takes the work */
}

/* With the lock held. */
static void orphan(tern__loop *l)
{
    tern__exec *e = &l->server->exec;
    e->orphans[e->n_orphans++] = l;
    want_thread(l->server);
}

/* --- handlers --------------------------------------------------------------------------------- */

/* What goes on with a parked call. */
static tern_code resume(tern_server_call *call)
{
    tern_server_resume fn = call->stream->resume;
    call->stream->resume = NULL;
    return fn(call->stream->resume_ctx, call);
}

static tern_code handle(tern_server_call *call)
{
    const tern__server_method *m = call->method;
    if (call->stream && call->stream->resume)
        return resume(call);
    tern_code code = tern_context_error(&call->context);
    if (code != TERN_OK)
        code = tern_server_call_fail(call, code, "the deadline passed before the handler ran");
    else if (call->request_compressed)
        code = tern__server_decompress_request(call);
    if (code == TERN_OK)
        code = tern__server_intercept_begin(call);
    if (code == TERN_OK)
        code = m->handler(m->self, call);
    return code;
}

/* Runs the handler and its conclusion; false when the call is deferred and somebody else completes
 * it. A call that is to be parked has no conclusion yet. */
static bool run_handler(tern_server_call *call)
{
    tern_code code = handle(call);
    if (call->stream) {
        atomic_fetch_sub(&call->loop->server->exec.n_streams, 1);
        if (call->stream->told_over)
            call->stream->resume = NULL;
        if (call->stream->resume)
            return true;
    }
    if (call->deferred)
        return atomic_fetch_or(&call->deferral, TERN__CALL_RETURNED) & TERN__CALL_FINISHED;
    tern__server_call_conclude(call, code);
    return true;
}

typedef struct inline_run {
    tern__loop *loop;
    uint64_t word;
} inline_run;

/* The run that this thread is in. */
static _Thread_local inline_run *current_run;

static uint64_t next_epoch(uint64_t word)
{
    return (word & ~(TERN__OWNER_EPOCH - 1)) + TERN__OWNER_EPOCH;
}

static void on_will_block(void *ctx)
{
    inline_run *run = ctx;
    uint64_t expected = run->word;
    if (!atomic_compare_exchange_strong(&run->loop->owner, &expected, next_epoch(run->word)))
        return; /* lost already */
    tern__exec *e = &run->loop->server->exec;
    pthread_mutex_lock(&e->lock);
    atomic_fetch_add(&e->n_away, 1);
    orphan(run->loop);
    pthread_mutex_unlock(&e->lock);
}

static void kick_watchdog(tern__exec *e)
{
    if (!atomic_load(&e->watchdog_asleep))
        return;
    pthread_mutex_lock(&e->lock);
    atomic_store(&e->watchdog_asleep, false);
    pthread_cond_signal(&e->watchdog_cond);
    pthread_mutex_unlock(&e->lock);
}

/* --- a handler that lends a hand -------------------------------------------------------------- */

/* The owner word of the next handler. */
static uint64_t next_handler(uint64_t word)
{
    uint64_t count = (word + TERN__OWNER_NEXT_HANDLER) & (TERN__OWNER_EPOCH - 2);
    return (word & ~(TERN__OWNER_EPOCH - 1)) | count | TERN__OWNER_IN_HANDLER;
}

bool tern__exec_owns(const tern__loop *l)
{
    const inline_run *run = current_run;
    return run && run->loop == l && atomic_load(&l->owner) == run->word;
}

bool tern__exec_claim(tern__loop *l)
{
    inline_run *run = current_run;
    if (!run || run->loop != l)
        return false;
    uint64_t expected = run->word;
    return atomic_compare_exchange_strong(&l->owner, &expected,
                                          run->word & ~TERN__OWNER_IN_HANDLER);
}

void tern__exec_unclaim(tern__loop *l)
{
    atomic_store(&l->owner, current_run->word);
    kick_watchdog(&l->server->exec);
}

void tern__exec_resume(tern__loop *l)
{
    current_run->word = next_handler(current_run->word);
    tern__exec_unclaim(l);
}

bool tern__exec_may_adopt(const tern__loop *l)
{
    return current_run && current_run->loop == l;
}

void tern__exec_adopt(tern__loop *l)
{
    tern__exec *e = &l->server->exec;
    current_run->word = atomic_load(&l->owner) | TERN__OWNER_IN_HANDLER;
    pthread_mutex_lock(&e->lock);
    atomic_fetch_sub(&e->n_away, 1);
    want_thread(l->server); /* for a call that found too many away */
    pthread_mutex_unlock(&e->lock);
}

void tern__exec_hand_over(tern__loop *l)
{
    tern__exec *e = &l->server->exec;
    atomic_store(&l->owner, next_epoch(atomic_load(&l->owner)));
    pthread_mutex_lock(&e->lock);
    atomic_fetch_add(&e->n_away, 1);
    orphan(l);
    pthread_mutex_unlock(&e->lock);
}

/* --- ways to run a handler -------------------------------------------------------------------- */

/* The loop's thread runs the handler; false when it lost the loop meanwhile. */
static bool run_on_loop(tern__loop *l, tern_server_call *call)
{
    uint64_t word = atomic_load_explicit(&l->owner, memory_order_relaxed);
    inline_run run = { l, next_handler(word) };
    const tern__blocking_hook hook = { on_will_block, &run };
    atomic_store(&l->owner, run.word);
    kick_watchdog(&l->server->exec);
    const tern__blocking_hook *former = tern__blocking_set(&hook);
    inline_run *former_run = current_run;
    current_run = &run;
    bool complete = run_handler(call);
    current_run = former_run;
    tern__blocking_set(former);
    uint64_t expected = run.word;
    if (atomic_compare_exchange_strong(&l->owner, &expected, run.word & ~TERN__OWNER_IN_HANDLER)) {
        if (complete)
            tern__conn_complete(call);
        return true;
    }
    atomic_fetch_sub(&l->server->exec.n_away, 1);
    if (complete)
        tern__loop_post(l, call);
    return false;
}

static void run_inline_only(tern_server_call *call)
{
    if (run_handler(call))
        tern__conn_complete(call);
}

static void refuse(tern_server_call *call, const char *why)
{
    call->code = tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "%s", why);
    tern__conn_complete(call);
}

/* Gives the call to a thread of its own. */
static void run_pooled(tern__loop *l, tern_server_call *call)
{
    tern__exec *e = &l->server->exec;
    pthread_mutex_lock(&e->lock);
    bool resumed = call->stream && call->stream->resume; /* it has been let in already */
    bool room = resumed || e->n_calls < e->calls_max;
    if (room) {
        tern__list_append(&e->calls, &call->pool_node);
        e->n_calls++;
        want_thread(l->server);
    }
    pthread_mutex_unlock(&e->lock);
    if (!room && call->stream)
        atomic_fetch_sub(&e->n_streams, 1);
    if (!room)
        refuse(call, "too many requests wait for a handler (handlers_waiting_max)");
}

/* Streams of methods that never block and must get through (health's Watch): they need not wait for
 * a thread that could take the loop over from them. */
static bool spared(const tern_server_call *call)
{
    return call->method->execution == TERN_EXEC_INLINE &&
           call->method->gate.priority == TERN_PRIORITY_CRITICAL;
}

bool tern__exec_dispatch(tern__loop *l, tern_server_call *call)
{
    bool resumed = call->running;
    if (!resumed)
        l->n_running++;
    call->running = true;
    l->talks_to = NULL;
    /* A handler that goes on without the loop is watched by the deadline timer: whoever owns the
     * loop then arms it. One that ends here takes it off the list again. */
    if (call->timeout > 0 && call->conn && !call->answered)
        tern__list_append(&l->unarmed, &call->node);
    if (call->stream) {
        tern__exec *e = &l->server->exec;
        if (atomic_fetch_add(&e->n_streams, 1) >= e->streams_max && !resumed &&
            call->method->gate.priority != TERN_PRIORITY_CRITICAL) {
            atomic_fetch_sub(&e->n_streams, 1);
            refuse(call, "too many streams are being served (handler_threads_max)");
            return true;
        }
    }
    switch (call->stream && call->method->execution == TERN_EXEC_INLINE
                ? TERN_EXEC_AUTO /* a stream always waits for its peer */
                : call->method->execution) {
    case TERN_EXEC_INLINE:
        run_inline_only(call);
        return true;
    case TERN_EXEC_POOLED:
        run_pooled(l, call);
        return true;
    default:
        if (atomic_load_explicit(&l->server->exec.n_away, memory_order_relaxed) <
                l->server->exec.away_max ||
            spared(call))
            return run_on_loop(l, call);
        run_pooled(l, call); /* were it to block, nobody could take the loop */
        return true;
    }
}

static void *thread_main(void *arg)
{
    tern_server *srv = arg;
    tern__exec *e = &srv->exec;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        if (e->n_orphans) {
            tern__loop *l = e->orphans[--e->n_orphans];
            pthread_mutex_unlock(&e->lock);
            bool over = tern__loop_run(l);
            pthread_mutex_lock(&e->lock);
            if (over && --e->n_loops_live == 0) {
                uint64_t one = 1;
                ssize_t n = write(srv->stop_fd, &one, sizeof one);
                (void)n; /* an eventfd of this use is never full */
                pthread_cond_broadcast(&e->ended);
            }
        } else if (calls_to_run(e)) {
            tern_server_call *call =
                TERN__CONTAINER(tern__list_pop(&e->calls), tern_server_call, pool_node);
            tern__loop *l = call->loop;
            e->n_calls--;
            atomic_fetch_add(&e->n_away, 1);
            pthread_mutex_unlock(&e->lock);
            bool complete = run_handler(call);
            atomic_fetch_sub(&e->n_away, 1);
            if (complete)
                tern__loop_post(l, call);
            pthread_mutex_lock(&e->lock);
        } else if (e->stopping) {
            break;
        } else {
            e->n_idle++;
            pthread_cond_wait(&e->work, &e->lock);
            e->n_idle--;
        }
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* --- watchdog --------------------------------------------------------------------------------- */

/* Looks at every loop; takes those from handlers that were there at the last look too. True when
 * some handler ran since. With the lock held. */
static bool look(tern_server *srv)
{
    bool active = false;
    for (uint32_t i = 0; i < srv->n_loops; i++) {
        tern__loop *l = &srv->loops[i];
        uint64_t word = atomic_load(&l->owner);
        active |= word != l->watched || (word & TERN__OWNER_IN_HANDLER);
        /* The same handler as last time: its count tells, also when it had claimed the loop. */
        if (((word ^ l->watched) | TERN__OWNER_IN_HANDLER) == TERN__OWNER_IN_HANDLER &&
            (word & TERN__OWNER_IN_HANDLER)) {
            uint64_t expected = word;
            if (atomic_compare_exchange_strong(&l->owner, &expected, next_epoch(word))) {
                atomic_fetch_add(&srv->exec.n_away, 1);
                orphan(l);
            }
        }
        l->watched = word;
    }
    return active;
}

static void *watchdog_main(void *arg)
{
    tern_server *srv = arg;
    tern__exec *e = &srv->exec;
    int idle = 0;
    pthread_mutex_lock(&e->lock);
    while (!e->stopping) {
        idle = look(srv) ? 0 : idle + 1;
        if (idle >= WATCHDOG_IDLE_LOOKS) {
            atomic_store(&e->watchdog_asleep, true);
            if (!look(srv)) /* a handler that began before it could see the flag */
                while (atomic_load(&e->watchdog_asleep) && !e->stopping)
                    pthread_cond_wait(&e->watchdog_cond, &e->lock);
            atomic_store(&e->watchdog_asleep, false);
            idle = 0;
        }
        tern__clock_wait(&e->watchdog_cond, &e->lock, TERN__TIME_NEVER, WATCHDOG_NS);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

int tern__exec_start(tern_server *srv)
{
    tern__exec *e = &srv->exec;
    e->stopping = false; /* of a start that failed */
    int rv = start_thread(&e->watchdog, watchdog_main, srv);
    if (rv)
        return rv;
    e->watchdog_runs = true;
    pthread_mutex_lock(&e->lock);
    e->n_loops_live = srv->n_loops;
    for (uint32_t i = 0; i < srv->n_loops; i++)
        orphan(&srv->loops[i]);
    rv = threads_of(srv)->n ? 0 : -EAGAIN;
    if (rv)
        e->n_orphans = e->n_loops_live = 0;
    pthread_mutex_unlock(&e->lock);
    if (rv)
        tern__exec_join(srv); /* the watchdog */
    return rv;
}

void tern__exec_join(tern_server *srv)
{
    tern__exec *e = &srv->exec;
    pthread_mutex_lock(&e->lock);
    while (e->n_loops_live)
        pthread_cond_wait(&e->ended, &e->lock);
    e->stopping = true;
    pthread_cond_broadcast(&e->work);
    pthread_cond_broadcast(&e->watchdog_cond);
    pthread_mutex_unlock(&e->lock);
    for (uint32_t i = 0; i < threads_of(srv)->n; i++)
        pthread_join(threads_of(srv)->at[i], NULL);
    threads_of(srv)->n = 0;
    if (e->watchdog_runs)
        pthread_join(e->watchdog, NULL);
    e->watchdog_runs = false;
}
