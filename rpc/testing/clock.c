/* See tern/testing.h. The virtual clock of a process.
 *
 * All of Tern reads the time and waits by io/clock.h. While there is a virtual clock, what is read
 * there is a number that only this file changes, and who waits for a point in time enrols here and
 * sleeps without a limit: in poll() with an event descriptor of its own beside what it waits for,
 * or on its condition. Moving the clock is a step: the number becomes the earliest time that
 * anybody waits for, those whose time has come are woken, and the step is over when nothing goes on
 * any more (testing/quiet.h). Only then comes the next. So whatever a timer sets off, calls and
 * answers through sockets included, happens before the next timer, as if machines took no time at
 * all.
 *
 * It is one clock for the process, because deadlines outlive the channel they began on: contexts,
 * handlers that call on, the loop that all channels share. Clients, servers and the scripted server
 * (which has its own copy of io/clock.c) all see the same.
 *
 * Some waits look now and then for what nobody tells them of (io/clock.h: slices). What they would
 * find is part of what goes on, so before a step they are woken, and looked at again, until they
 * find nothing; at least LOOKS times, because some look for what was there the last time, too.
 *
 * A condition that is signalled before its waiter sleeps is signalled in vain: who is due is
 * woken again and again until it has come. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tern/testing.h>

#include "base/time.h"
#include "io/clock.h"
#include "testing/quiet.h"

#define FDS_MAX 256u
#define LOOKS 3
/* A link may have that many pieces to pass on, each when the one before was read. */
#define LOOKS_MAX 100000
/* Real time: between two looks at what goes on, at first and at most; until it is given up. */
#define PAUSE_MIN_NS (20 * TERN__NS_PER_US)
#define PAUSE_MAX_NS TERN__NS_PER_MS
#ifndef PATIENCE_NS
#define PATIENCE_NS (30 * TERN__NS_PER_S)
#endif

/* A thread that waits. */
typedef struct wait {
    tern__list node;
    int64_t at;
    int fd;               /* -1: none */
    pthread_cond_t *cond; /* NULL: none */
    bool sliced;
    bool woken; /* for nothing but to look */
    pid_t tid;
} wait;

/* How long a step may take. */
typedef struct patience {
    int64_t until; /* real */
    bool by_itself; /* also no longer than the clock runs and nobody else moves it */
} patience;

struct tern_testing_clock {
    pthread_mutex_t step; /* held for a step; before `lock` */
    pthread_mutex_t lock; /* of what follows; a leaf */
    pthread_cond_t changed;
    tern__list waits, alarms;
    /* Of waits in which somebody looks now and then: how often one began or ended, and how often
     * by what it waited for. */
    uint64_t looks, events;
    bool runs;
    pthread_t thread; /* when it runs */
    atomic_bool on;   /* these are changed with the lock, but read without */
    atomic_bool stop; /* is told to the thread */
    atomic_uint n_movers; /* threads that move it, or wait to; they do not sleep */
    int64_t began;
    _Atomic int64_t now;
};

/* For ever: who has just read that there is a clock may come here after it was freed. */
static tern_testing_clock the_clock = {
    .step = PTHREAD_MUTEX_INITIALIZER,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
    .waits = { &the_clock.waits, &the_clock.waits },
    .alarms = { &the_clock.alarms, &the_clock.alarms },
};

/* --- who waits -------------------------------------------------------------------------------- */

/* False: it is time already, or there is no clock any more. */
static bool enrol(wait *w)
{
    tern_testing_clock *c = &the_clock;
    pthread_mutex_lock(&c->lock);
    bool early = c->on && w->at > c->now;
    if (early) {
        w->tid = gettid();
        tern__list_append(&c->waits, &w->node);
        c->looks += w->sliced;
        pthread_cond_signal(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return early;
}

/* `event`: what it waited for is there; of a condition that is also how it is told to look. */
static void leave(wait *w, bool event)
{
    pthread_mutex_lock(&the_clock.lock);
    tern__list_remove(&w->node);
    the_clock.looks += w->sliced;
    the_clock.events += w->sliced && event && !(w->cond && w->woken);
    pthread_mutex_unlock(&the_clock.lock);
}

static int64_t source_now(void)
{
    return the_clock.now;
}

static int source_poll(struct pollfd *p, nfds_t n, int64_t until, int64_t slice)
{
    struct pollfd q[FDS_MAX];
    wait w = { .at = until, .sliced = slice != 0 };
    int limit = slice ? tern__clock_poll_ms(0, slice) : -1;
    w.fd = n < FDS_MAX ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
    if (w.fd < 0 || !enrol(&w)) { /* without a descriptor it looks often */
        int rv = poll(p, n, w.fd < 0 && until > the_clock.now);
        if (w.fd >= 0)
            close(w.fd);
        return rv;
    }
    memcpy(q, p, n * sizeof *p);
    q[n] = (struct pollfd){ .fd = w.fd, .events = POLLIN };
    int rv = poll(q, n + 1, limit);
    int error = errno;
    rv -= rv > 0 && q[n].revents;
    leave(&w, rv > 0);
    close(w.fd);
    errno = error;
    memcpy(p, q, n * sizeof *p);
    return rv;
}

static void source_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until, int64_t slice)
{
    wait w = { .at = until, .fd = -1, .cond = cond, .sliced = slice != 0 };
    struct timespec ts = tern__clock_timespec(tern__time_add(tern__clock_real(), slice));
    if (!enrol(&w))
        return;
    int rc = slice ? pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &ts)
                   : pthread_cond_wait(cond, lock);
    leave(&w, rc == 0);
}

static void ring(int fd)
{
    static const uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n; /* full means that it is readable */
}

static void source_alarm(tern__clock_alarm *a, int64_t at)
{
    tern_testing_clock *c = &the_clock;
    pthread_mutex_lock(&c->lock);
    tern__list_remove(&a->node);
    a->at = at;
    if (c->on && at <= c->now) {
        ring(a->fd);
    } else if (c->on && at != TERN__TIME_NEVER) {
        tern__list_append(&c->alarms, &a->node);
        pthread_cond_signal(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
}

static const tern__clock_source source = { source_now, source_poll, source_wait, source_alarm };

/* --- waking ----------------------------------------------------------------------------------- */

/* All with the lock held. */

static void wake(const wait *w)
{
    if (w->cond)
        pthread_cond_broadcast(w->cond);
    else
        ring(w->fd);
}

/* Wakes who is due, all at the end of the clock, and those that were told to look. How many have
 * not come yet. */
static size_t wake_due(tern_testing_clock *c)
{
    size_t n = 0;
    for (tern__list *node = c->waits.next; node != &c->waits; node = node->next) {
        const wait *w = TERN__CONTAINER(node, wait, node);
        if (w->at <= c->now || w->woken || !c->on) {
            wake(w);
            n++;
        }
    }
    for (tern__list *node = c->alarms.next, *next; node != &c->alarms; node = next) {
        tern__clock_alarm *a = TERN__CONTAINER(node, tern__clock_alarm, node);
        next = node->next;
        if (a->at <= c->now || !c->on) {
            tern__list_remove(node);
            ring(a->fd);
        }
    }
    return n;
}

static bool is_over(const patience *p)
{
    return tern__clock_real() >= p->until ||
           (p->by_itself && (the_clock.stop || the_clock.n_movers));
}

static void pause_for(int64_t ns)
{
    const struct timespec ts = { .tv_nsec = (long)ns };
    nanosleep(&ts, NULL);
}

/* Until all have come; false: one of them did not. */
static bool wake_all(tern_testing_clock *c, const patience *p)
{
    while (wake_due(c)) {
        if (is_over(p))
            return false;
        pthread_mutex_unlock(&c->lock);
        pause_for(PAUSE_MIN_NS);
        pthread_mutex_lock(&c->lock);
    }
    return true;
}

static int64_t next_time(const tern_testing_clock *c)
{
    int64_t at = TERN__TIME_NEVER;
    for (tern__list *n = c->waits.next; n != &c->waits; n = n->next)
        at = tern__time_min(at, TERN__CONTAINER(n, wait, node)->at);
    for (tern__list *n = c->alarms.next; n != &c->alarms; n = n->next)
        at = tern__time_min(at, TERN__CONTAINER(n, tern__clock_alarm, node)->at);
    return at;
}

/* --- a step ----------------------------------------------------------------------------------- */

/* Why something does not come to rest. */
static tern_code restless(pid_t awake, tern_status *reterr)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%ld/comm", (long)awake);
    FILE *f = awake ? fopen(path, "re") : NULL;
    if (f && fgets(name, sizeof name, f))
        name[strcspn(name, "\n")] = '\0';
    if (f)
        fclose(f);
    return tern_status_set(reterr, TERN_DEADLINE_EXCEEDED,
                           "the virtual clock waits for all threads of the process to sleep, which "
                           "they did not in %d s: thread %ld (\"%s\") runs on",
                           (int)(PATIENCE_NS / TERN__NS_PER_S), (long)awake, name);
}

/* Until nothing goes on. */
static bool await_quiet(const tern__testing_skip *skip, const patience *p, uint64_t *ret_tally,
                        pid_t *ret_awake)
{
    int64_t span = PAUSE_MIN_NS;
    while (!tern__testing_quiet(skip, ret_tally, ret_awake)) {
        if (is_over(p))
            return false;
        pause_for(span);
        span = tern__time_min(2 * span, PAUSE_MAX_NS);
    }
    return true;
}

/* Who looks now and then: their threads. With `told`, tells them to look now. */
static void lookers(tern_testing_clock *c, bool told, tern__testing_skip *ret)
{
    ret->n = 0;
    for (tern__list *n = c->waits.next; n != &c->waits; n = n->next) {
        wait *w = TERN__CONTAINER(n, wait, node);
        if (w->sliced && ret->n < sizeof ret->at / sizeof ret->at[0])
            ret->at[ret->n++] = w->tid;
        w->woken = w->woken || (told && w->sliced);
    }
}

/* With the step. Until nothing goes on and nobody finds anything. */
static bool settle(tern_testing_clock *c, const patience *p, pid_t *ret_awake)
{
    tern__testing_skip skip;
    uint64_t before, tally;
    *ret_awake = 0;
    for (int i = 0; i < LOOKS_MAX && !(i && is_over(p)); i++) {
        pthread_mutex_lock(&c->lock);
        lookers(c, false, &skip);
        bool alone = !skip.n;
        uint64_t looks = c->looks;
        pthread_mutex_unlock(&c->lock);
        if (!await_quiet(&skip, p, &before, ret_awake))
            return false;
        pthread_mutex_lock(&c->lock);
        lookers(c, true, &skip);
        alone = alone && c->looks == looks; /* else one may be looking by itself right now */
        uint64_t events = c->events;
        bool came = alone || wake_all(c, p);
        pthread_mutex_unlock(&c->lock);
        if (alone)
            return true;
        if (!came || !await_quiet(&skip, p, &tally, ret_awake))
            return false;
        pthread_mutex_lock(&c->lock);
        bool found = tally != before || c->events != events;
        pthread_mutex_unlock(&c->lock);
        if (!found && i >= LOOKS - 1)
            return true;
    }
    return true; /* of the program's own there may be one that ticks: it is not waited for */
}

/* With the step: to `at`, or to the timer before. */
static bool move(tern_testing_clock *c, int64_t at, const patience *p)
{
    pthread_mutex_lock(&c->lock);
    at = tern__time_min(at, next_time(c));
    if (at != TERN__TIME_NEVER && at > c->now)
        c->now = at;
    bool came = wake_all(c, p);
    pthread_mutex_unlock(&c->lock);
    return came;
}

static void *run(void *arg)
{
    tern_testing_clock *c = arg;
    pid_t awake;
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        if (next_time(c) == TERN__TIME_NEVER || c->n_movers) {
            pthread_cond_wait(&c->changed, &c->lock);
            continue;
        }
        pthread_mutex_unlock(&c->lock);
        pthread_mutex_lock(&c->step);
        const patience p = { TERN__TIME_NEVER, true };
        if (settle(c, &p, &awake) && !is_over(&p))
            move(c, TERN__TIME_NEVER, &p);
        pthread_mutex_unlock(&c->step);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

tern_code tern_testing_clock_advance(tern_testing_clock *c, int64_t ms, tern_status *reterr)
{
    pid_t awake;
    if (ms < 0 || ms > TERN_TESTING_CLOCK_MS_MAX)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "the virtual clock goes forward, and at most by "
                               "TERN_TESTING_CLOCK_MS_MAX; %lld ms were asked for",
                               (long long)ms);
    atomic_fetch_add(&c->n_movers, 1);
    pthread_mutex_lock(&c->step);
    int64_t target = tern__time_add(c->now, tern__ms_to_ns(ms));
    bool quiet;
    do {
        const patience p = { .until = tern__clock_real() + PATIENCE_NS };
        quiet = settle(c, &p, &awake);
        if (quiet && c->now == target)
            break;
        quiet = quiet && move(c, target, &p);
    } while (quiet);
    pthread_mutex_unlock(&c->step);
    pthread_mutex_lock(&c->lock);
    atomic_fetch_sub(&c->n_movers, 1);
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return quiet ? TERN_OK : restless(awake, reterr);
}

/* --- life ------------------------------------------------------------------------------------- */

tern_code tern_testing_clock_new(tern_testing_clock **ret, tern_status *reterr)
{
    tern_testing_clock *c = &the_clock;
    tern_code code = TERN_OK;
    if (!tern__testing_quiet_known())
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "a virtual clock needs /proc/self/task, to see what goes on: %s",
                               strerror(errno));
    pthread_mutex_lock(&c->lock);
    if (c->on)
        code = tern_status_set(reterr, TERN_FAILED_PRECONDITION,
                               "there is a virtual clock already, and a process can have one only: "
                               "tern_testing_clock_free() it first");
    else if (!tern_hook_clock(&source, sizeof source))
        code = tern_status_set(reterr, TERN_FAILED_PRECONDITION,
                               "libtern is of another version than libtern-testing");
    if (code == TERN_OK) {
        c->began = tern__clock_real();
        c->now = c->began;
        c->on = true;
        tern__clock_source_set(&source); /* of this library's own copy */
        *ret = c;
    }
    pthread_mutex_unlock(&c->lock);
    return code;
}

tern_code tern_testing_clock_run(tern_testing_clock *c, bool on, tern_status *reterr)
{
    int rv = 0;
    pthread_mutex_lock(&c->lock);
    bool begin = on && !c->runs, end = !on && c->runs;
    if (begin) {
        rv = pthread_create(&c->thread, NULL, run, c);
        c->runs = rv == 0;
    } else if (end) {
        c->stop = true;
        pthread_cond_signal(&c->changed);
        c->runs = false;
    }
    pthread_t thread = c->thread;
    pthread_mutex_unlock(&c->lock);
    if (end) {
        pthread_join(thread, NULL);
        c->stop = false;
    }
    return rv ? tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                                "no thread for a virtual clock: %s", strerror(rv))
              : TERN_OK;
}

void tern_testing_clock_free(tern_testing_clock *c)
{
    if (!c)
        return;
    tern_testing_clock_run(c, false, NULL);
    pthread_mutex_lock(&c->step);
    pthread_mutex_lock(&c->lock);
    tern_hook_clock(NULL, sizeof source);
    tern__clock_source_set(NULL);
    c->on = false;
    const patience p = { .until = tern__clock_real() + PATIENCE_NS };
    wake_all(c, &p); /* they go on by the system's clock */
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_unlock(&c->step);
}

int64_t tern_testing_clock_elapsed_ms(const tern_testing_clock *c)
{
    return (c->now - c->began) / TERN__NS_PER_MS;
}

void tern_testing_clock_sleep(tern_testing_clock *c, int64_t ms)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    int64_t until = tern__time_add(c->now, tern__ms_to_ns(ms > 0 ? ms : 0));
    pthread_mutex_lock(&lock);
    while (c->on && c->now < until)
        source_wait(&cond, &lock, until, 0);
    pthread_mutex_unlock(&lock);
}
