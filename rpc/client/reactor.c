/* See reactor.h. */
#include "client/reactor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <tern/limits.h>

#include "base/log.h"
#include "base/time.h"
#include "client/drive.h"
#include "client/upkeep.h"
#include "io/clock.h"

/* A connection is watched after it has been idle so long, and looked at so often until then. */
#define IDLE_NS (100 * TERN__NS_PER_MS)
#define TICK_NS (100 * TERN__NS_PER_MS)
#define EVENTS_PER_TURN 64
/* A socket that is full while its leader sleeps in a read is tried again after so long. */
#define FLUSH_AGAIN_NS (10 * TERN__NS_PER_MS)

/* Marks in epoll_data for what is not a connection. */
static char wake_mark, timer_mark;

/* --- connections ------------------------------------------------------------------------------ */

void tern__reactor_arm(tern__transport *t)
{
    int epoll_fd = t->loop->epoll_fd;
    struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = t };
    if (tern__drive_unsent(t))
        ev.events |= EPOLLOUT;
    int op = t->bg_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    t->bg_armed = t->bg_known = epoll_ctl(epoll_fd, op, t->sock.fd, &ev) == 0;
}

void tern__reactor_disarm(tern__transport *t)
{
    epoll_ctl(t->loop->epoll_fd, EPOLL_CTL_DEL, t->sock.fd, NULL);
    t->bg_armed = t->bg_known = false;
    tern__reactor_wake(t->loop); /* the loop ticks again until this connection is idle */
}

/* Whether streams are open on it. Those of a dead one have ended, whoever has yet to see that. */
static bool in_use(const tern__transport *t)
{
    return !t->dead && (t->n_streams || t->n_async);
}

/* Takes it off the loop, with both locks; its reference is the caller's to drop. */
static void let_go(tern_loop *loop, tern__transport *t)
{
    tern__list_remove(&t->bg_node);
    if (t->bg_known)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, t->sock.fd, NULL);
    t->bg_armed = t->bg_known = false;
}

/* Something that nobody will tell of: looks again after `span`. On a test's clock that is of real
 * time; what is idle there need not be so for long. */
static int64_t look_again(tern_loop *loop, int64_t until, int64_t span)
{
    if (!tern__clock_source_get())
        return tern__time_min(until, tern__clock_now() + span);
    loop->slice = span;
    return until;
}

static bool just_used(const tern__transport *t, int64_t now)
{
    return now - t->last_active < IDLE_NS && !tern__clock_source_get();
}

/* Watches what is idle and does its upkeep. Returns when to look again. */
static int64_t look_around(tern_loop *loop)
{
    int64_t now = tern__clock_now(), until = TERN__TIME_NEVER;
    loop->slice = 0;
    pthread_mutex_lock(&loop->lock);
    for (tern__list *n = loop->transports.next, *next; n != &loop->transports; n = next) {
        tern__transport *t = TERN__CONTAINER(n, tern__transport, bg_node);
        next = n->next;
        pthread_mutex_lock(&t->lock);
        bool over = t->retired && !in_use(t);
        if (over) {
            let_go(loop, t);
        } else if (!t->dead && (t->led || (!t->bg_armed && just_used(t, now)))) {
            until = look_again(loop, until, TICK_NS); /* in use */
        } else if (!t->dead) {
            until = tern__time_min(until, tern__upkeep(t, t->n_streams > 0));
            tern__drive_rest(t);
            if (!t->dead && (!t->bg_armed || tern__drive_unsent(t)))
                tern__reactor_arm(t);
        }
        pthread_mutex_unlock(&t->lock);
        if (over)
            tern__transport_unref(t);
    }
    pthread_mutex_unlock(&loop->lock);
    return until;
}

/* An event for `t`, which may have been removed meanwhile: look it up, hold it, serve it, watch
 * on. */
static void serve(tern_loop *loop, const void *ptr)
{
    tern__transport *t = NULL;
    pthread_mutex_lock(&loop->lock);
    for (tern__list *n = loop->transports.next; n != &loop->transports && !t; n = n->next)
        if (TERN__CONTAINER(n, tern__transport, bg_node) == ptr)
            t = tern__transport_ref(TERN__CONTAINER(n, tern__transport, bg_node));
    pthread_mutex_unlock(&loop->lock);
    if (!t)
        return;
    if (tern__transport_service(t)) {
        pthread_mutex_lock(&t->lock);
        if (t->bg_armed && !t->led)
            tern__reactor_arm(t);
        pthread_mutex_unlock(&t->lock);
    }
    tern__transport_unref(t);
}

void tern__reactor_add(tern_loop *loop, tern__transport *t)
{
    if (!tern__reactor_ready(loop))
        return;
    pthread_mutex_lock(&loop->lock);
    t->loop = loop;
    tern__list_append(&loop->transports, &tern__transport_ref(t)->bg_node);
    pthread_mutex_unlock(&loop->lock);
    tern__reactor_wake(loop);
}

void tern__reactor_retire(tern__transport *t)
{
    tern_loop *loop = t->loop;
    if (!loop)
        return;
    pthread_mutex_lock(&loop->lock);
    pthread_mutex_lock(&t->lock);
    bool used = in_use(t);
    t->retired = true;
    if (!used)
        let_go(loop, t);
    pthread_mutex_unlock(&t->lock);
    pthread_mutex_unlock(&loop->lock);
    if (!used)
        tern__transport_unref(t);
}

void tern__reactor_begin(tern__transport *t)
{
    tern_loop *loop = t->loop;
    t->n_async++;
    if (!t->retired || !loop)
        return;
    pthread_mutex_unlock(&t->lock);
    pthread_mutex_lock(&loop->lock);
    pthread_mutex_lock(&t->lock);
    if (!t->dead && tern__list_empty(&t->bg_node))
        tern__list_append(&loop->transports, &tern__transport_ref(t)->bg_node);
    pthread_mutex_unlock(&loop->lock);
}

/* --- ops -------------------------------------------------------------------------------------- */

static void rouse(tern_loop *loop)
{
    uint64_t one = 1;
    ssize_t n = write(loop->event_fd, &one, sizeof one);
    (void)n; /* full means that a wake-up is under way */
}

void tern__reactor_wake(tern_loop *loop)
{
    if (!atomic_exchange(&loop->look, true))
        rouse(loop);
}

void tern__op_init(tern__op *op, void (*run)(tern__op *op))
{
    tern__list_init(&op->node);
    op->timer.index = 0;
    op->run = run;
}

void tern__reactor_post(tern_loop *loop, tern__op *op)
{
    tern__reactor_raise(loop, op, NULL);
}

void tern__reactor_raise(tern_loop *loop, tern__op *op, atomic_bool *flag)
{
    pthread_mutex_lock(&loop->op_lock);
    if (flag)
        atomic_store(flag, true);
    bool first = tern__list_empty(&loop->ops);
    if (tern__list_empty(&op->node))
        tern__list_append(&loop->ops, &op->node);
    bool asleep = loop->sleeps_until != 0;
    pthread_mutex_unlock(&loop->op_lock);
    if (first && asleep)
        rouse(loop);
}

int tern__reactor_set_timer(tern_loop *loop, tern__op *op, int64_t at)
{
    int rv = 0;
    pthread_mutex_lock(&loop->op_lock);
    tern__heap_remove(&loop->timers, &op->timer);
    rv = tern__heap_insert(&loop->timers, &op->timer, at);
    bool sooner = at < loop->sleeps_until;
    pthread_mutex_unlock(&loop->op_lock);
    if (sooner)
        rouse(loop);
    return rv;
}

void tern__reactor_forget(tern_loop *loop, tern__op *op)
{
    pthread_mutex_lock(&loop->op_lock);
    tern__list_remove(&op->node);
    tern__heap_remove(&loop->timers, &op->timer);
    pthread_mutex_unlock(&loop->op_lock);
}

void tern__reactor_cancel(tern_loop *loop, tern__op *op)
{
    pthread_mutex_lock(&loop->op_lock);
    loop->n_cancelling++;
    for (;;) {
        tern__list_remove(&op->node);
        tern__heap_remove(&loop->timers, &op->timer);
        if (loop->running != op)
            break;
        pthread_cond_wait(&loop->op_done, &loop->op_lock);
    }
    loop->n_cancelling--;
    pthread_mutex_unlock(&loop->op_lock);
}

/* With op_lock: what ran before has ended. */
static void set_running(tern_loop *loop, const tern__op *op)
{
    loop->running = op;
    if (loop->n_cancelling)
        pthread_cond_broadcast(&loop->op_done);
}

static tern__op *next_op(tern_loop *loop, int64_t now)
{
    tern__op *op = NULL;
    pthread_mutex_lock(&loop->op_lock);
    tern__heap_node *timer = tern__heap_min(&loop->timers);
    if (!tern__list_empty(&loop->ops)) {
        op = TERN__CONTAINER(tern__list_pop(&loop->ops), tern__op, node);
    } else if (timer && timer->key <= now) {
        /* It stays in the heap, for ever: setting it again needs no memory. */
        op = TERN__CONTAINER(timer, tern__op, timer);
        tern__heap_remove(&loop->timers, timer);
        tern__heap_insert(&loop->timers, timer, TERN__TIME_NEVER);
    }
    set_running(loop, op);
    pthread_mutex_unlock(&loop->op_lock);
    return op;
}

/* As many as were there at the beginning, and what those bring: a turn ends all the same. */
static unsigned run_ops(tern_loop *loop)
{
    unsigned n = 0;
    tern__op *op;
    int64_t now = tern__clock_now();
    while (n < TERN_LIMIT_CALLBACKS_PER_TURN && (op = next_op(loop, now))) {
        op->run(op);
        n++;
    }
    return n;
}

/* Writes what the ops of a turn had to say: one write for each connection. */
static void flush_all(tern_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    for (tern__list *n = loop->transports.next; n != &loop->transports; n = n->next) {
        tern__transport *t = TERN__CONTAINER(n, tern__transport, bg_node);
        pthread_mutex_lock(&t->lock);
        if (t->unflushed && !t->dead) {
            t->unflushed = false;
            tern__drive_flush(t);
            if (tern__drive_unsent(t)) {
                tern__drive_wake(t); /* the leader must poll for room in the socket */
                t->unflushed = !t->led || t->deaf; /* there is none, or it cannot */
            }
            tern__drive_pass_lead(t);
        }
        if (t->unflushed && !t->dead)
            loop->look_at = look_again(loop, loop->look_at, FLUSH_AGAIN_NS);
        pthread_mutex_unlock(&t->lock);
    }
    pthread_mutex_unlock(&loop->lock);
}

/* --- a turn ----------------------------------------------------------------------------------- */

static int64_t next_time(tern_loop *loop)
{
    pthread_mutex_lock(&loop->op_lock);
    int64_t until = loop->look_at;
    const tern__heap_node *timer = tern__heap_min(&loop->timers);
    if (timer)
        until = tern__time_min(until, timer->key);
    if (!tern__list_empty(&loop->ops) || atomic_load(&loop->look))
        until = 0;
    loop->sleeps_until = until;
    set_running(loop, NULL);
    pthread_mutex_unlock(&loop->op_lock);
    return until;
}

/* What is posted from now on is seen before the loop sleeps again. */
static void stay_awake(tern_loop *loop)
{
    pthread_mutex_lock(&loop->op_lock);
    loop->sleeps_until = 0;
    pthread_mutex_unlock(&loop->op_lock);
}

/* For a program's own loop: the descriptor must become readable when time does something. */
static void set_timer_fd(tern_loop *loop, int64_t until)
{
    struct itimerspec spec = { 0 };
    const tern__clock_source *other = tern__clock_source_get();
    if (other && loop->timer_fd >= 0)
        other->alarm(&loop->alarm, until);
    if (loop->timer_fd < 0 || until == loop->timer_at || other)
        return;
    loop->timer_at = until;
    if (until != TERN__TIME_NEVER)
        spec.it_value = tern__clock_timespec(until > 0 ? until : 1);
    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void drain_fd(int fd)
{
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got; /* non-blocking; only the wake-up counts */
}

unsigned tern__reactor_turn(tern_loop *loop, int64_t deadline)
{
    struct epoll_event ev[EVENTS_PER_TURN];
    int64_t now = tern__clock_now();
    int64_t until = deadline <= now ? deadline : tern__time_min(deadline, next_time(loop));
    int n = epoll_wait(loop->epoll_fd, ev, EVENTS_PER_TURN,
                       tern__clock_epoll_ms(loop->epoll_fd, now, until, loop->slice));
    stay_awake(loop);
    for (int i = 0; i < n; i++) {
        if (ev[i].data.ptr == &wake_mark) {
            drain_fd(loop->event_fd);
        } else if (ev[i].data.ptr == &timer_mark) {
            drain_fd(loop->timer_fd);
            loop->timer_at = TERN__TIME_NEVER; /* it has run out */
        } else {
            serve(loop, ev[i].data.ptr);
        }
    }
    unsigned ran = run_ops(loop);
    if (atomic_exchange(&loop->look, false) || loop->slice || tern__clock_now() >= loop->look_at)
        loop->look_at = look_around(loop);
    flush_all(loop);
    set_timer_fd(loop, next_time(loop));
    return ran;
}

/* --- life ------------------------------------------------------------------------------------- */

static int watch_fd(tern_loop *loop, int fd, char *mark)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = mark };
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static bool init(tern_loop *loop, bool threaded)
{
    tern__list_init(&loop->transports);
    tern__list_init(&loop->ops);
    pthread_mutex_init(&loop->op_lock, NULL);
    pthread_cond_init(&loop->op_done, NULL);
    loop->threaded = threaded;
    loop->timer_at = loop->sleeps_until = TERN__TIME_NEVER;
    tern__list_init(&loop->alarm.node);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->event_fd = loop->alarm.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->timer_fd = threaded ? -1
                              : timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return loop->epoll_fd >= 0 && loop->event_fd >= 0 && (threaded || loop->timer_fd >= 0) &&
           watch_fd(loop, loop->event_fd, &wake_mark) == 0 &&
           (threaded || watch_fd(loop, loop->timer_fd, &timer_mark) == 0);
}

static void *run(void *arg)
{
    for (;;)
        tern__reactor_turn(arg, TERN__TIME_NEVER);
    return NULL;
}

static bool start_thread(tern_loop *loop)
{
    pthread_t thread;
    sigset_t all, old;
    /* The program's signals are not this thread's business. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rv = pthread_create(&thread, NULL, run, loop);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rv == 0)
        pthread_detach(thread);
    return rv == 0;
}

static tern_loop default_loop = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* In a child after fork(): the thread has stayed in the parent, and so has its epoll, which the
 * child must not touch. What hung on it belongs to channels that the child cannot use; it is left.
 */
static void forget_default(void)
{
    if (default_loop.started) {
        close(default_loop.epoll_fd);
        close(default_loop.event_fd);
    }
    memset(&default_loop, 0, sizeof default_loop);
    pthread_mutex_init(&default_loop.lock, NULL);
}

tern_loop *tern__reactor_default(void)
{
    return &default_loop;
}

bool tern__reactor_ready(tern_loop *loop)
{
    if (loop != &default_loop)
        return true;
    pthread_mutex_lock(&loop->lock);
    if (!loop->started && !loop->failed) {
        static bool watches_forks; /* inherited, like the handler */
        if (!watches_forks)
            watches_forks = pthread_atfork(NULL, NULL, forget_default) == 0;
        loop->started = init(loop, true) && start_thread(loop);
        loop->failed = !loop->started;
        if (loop->failed)
            TERN__LOG(TERN_LOG_WARNING,
                      "no background thread could be started: idle connections are not watched");
    }
    bool ok = loop->started;
    pthread_mutex_unlock(&loop->lock);
    return ok;
}

tern_code tern_loop_new(tern_loop **ret, tern_status *reterr)
{
    tern_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a loop");
    pthread_mutex_init(&loop->lock, NULL);
    if (!init(loop, false)) {
        int e = errno;
        tern_loop_free(loop);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "no file descriptors for a loop: %s", strerror(e));
    }
    *ret = loop;
    return TERN_OK;
}

void tern_loop_free(tern_loop *loop)
{
    if (!loop)
        return;
    tern__list *node;
    while (loop->ops.next && run_ops(loop) > 0)
        ; /* what is left of channels that are gone */
    while (loop->transports.next && (node = tern__list_pop(&loop->transports)))
        tern__transport_unref(TERN__CONTAINER(node, tern__transport, bg_node)); /* retired ones */
    tern__heap_deinit(&loop->timers);
    const tern__clock_source *other = tern__clock_source_get();
    if (other && loop->alarm.node.next)
        other->alarm(&loop->alarm, TERN__TIME_NEVER);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    if (loop->event_fd >= 0)
        close(loop->event_fd);
    if (loop->timer_fd >= 0)
        close(loop->timer_fd);
    pthread_cond_destroy(&loop->op_done);
    pthread_mutex_destroy(&loop->op_lock);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

int tern_loop_fd(const tern_loop *loop) { return loop->epoll_fd; }

unsigned tern_loop_process(tern_loop *loop) { return tern__reactor_turn(loop, 0); }

unsigned tern_loop_wait(tern_loop *loop, int64_t timeout_ms)
{
    int64_t span = timeout_ms > 0 ? tern__ms_to_ns(timeout_ms) : 0;
    return tern__reactor_turn(loop, tern__time_add(tern__clock_now(), span));
}

unsigned tern_loop_calls(const tern_loop *loop) { return atomic_load(&loop->n_calls); }
