/* A hedged call by the thread that makes it (hedged.h). Its attempts may run on several
 * connections, so the thread leads all of them at once that nobody else leads (transport.h): it
 * polls their sockets, reads for whoever follows on them, and gives the lead back when the call is
 * over. Of those that others lead it hears by a bell; and looks now and then whether they still
 * do. */
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/time.h"
#include "client/drive.h"
#include "client/hedged.h"
#include "client/reactor.h"
#include "client/upkeep.h"
#include "io/clock.h"
#include "io/context.h"

/* How often it looks whether a connection that another thread led is led by nobody. */
#define LOOK_NS (10 * TERN__NS_PER_MS)

typedef struct waiting {
    tern__hedged hd;
    int bell;
    atomic_bool rung, cancelled;
    tern__context_listener listener;
    tern__transport *led[TERN_LIMIT_ATTEMPTS]; /* references */
    uint32_t n_led;
} waiting;

static void ring(void *ctx)
{
    waiting *w = ctx;
    uint64_t one = 1;
    if (!atomic_exchange(&w->rung, true)) {
        ssize_t n = write(w->bell, &one, sizeof one);
        (void)n; /* it cannot be full */
    }
}

static void on_cancel(tern__context_listener *self)
{
    waiting *w = TERN__CONTAINER(self, waiting, listener);
    atomic_store(&w->cancelled, true);
    ring(w);
}

static bool leads(const waiting *w, const tern__transport *t)
{
    for (uint32_t i = 0; i < w->n_led; i++)
        if (w->led[i] == t)
            return true;
    return false;
}

static bool uses(const waiting *w, const tern__transport *t)
{
    for (uint32_t i = 0; i < TERN_LIMIT_ATTEMPTS; i++)
        if (w->hd.attempts[i] && w->hd.attempts[i]->t == t)
            return true;
    return false;
}

/* Gives the lead back on what it has no use for any more. */
static void let_go(waiting *w, bool all)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->n_led; i++) {
        tern__transport *t = w->led[i];
        if (!all && uses(w, t)) {
            w->led[n++] = t;
            continue;
        }
        pthread_mutex_lock(&t->lock);
        t->led = false;
        tern__drive_pass_lead(t);
        pthread_mutex_unlock(&t->lock);
        tern__transport_unref(t);
    }
    w->n_led = n;
}

/* Leads the attempt's connection if nobody does. False: somebody else does. */
static bool lead(waiting *w, tern__transport *t)
{
    if (leads(w, t))
        return true;
    pthread_mutex_lock(&t->lock);
    bool mine = !t->led;
    if (mine) {
        t->led = true;
        if (t->bg_armed)
            tern__reactor_disarm(t);
        w->led[w->n_led++] = tern__transport_ref(t);
    }
    pthread_mutex_unlock(&t->lock);
    return mine;
}

/* When to poll again, whatever happens; in *ret_slice, how soon to look again, if need be. */
static int64_t lead_all(waiting *w, int64_t until, int64_t *ret_slice)
{
    for (uint32_t i = 0; i < TERN_LIMIT_ATTEMPTS; i++) {
        tern__hedge_attempt *a = w->hd.attempts[i];
        if (a && a->step == TERN__HEDGE_STREAM && !lead(w, a->t))
            *ret_slice = LOOK_NS;
    }
    for (uint32_t i = 0; i < w->n_led; i++) {
        tern__transport *t = w->led[i];
        pthread_mutex_lock(&t->lock);
        if (tern__upkeep_on(t) && !t->dead)
            until = tern__time_min(until, tern__upkeep(t, true));
        if (t->dead) /* its streams are done: look at them */
            until = 0;
        pthread_mutex_unlock(&t->lock);
    }
    return until;
}

static void serve(tern__transport *t, bool readable, bool woken)
{
    pthread_mutex_lock(&t->lock);
    if (woken) {
        uint64_t n;
        ssize_t got = read(t->wake_fd, &n, sizeof n);
        (void)got; /* non-blocking; nothing to read is fine */
        t->wake_sent = false;
    }
    if (!t->dead && (!readable || tern__drive_take_in_all(t)))
        tern__drive_flush(t);
    pthread_mutex_unlock(&t->lock);
}

static void wait_for_any(waiting *w, int64_t until)
{
    struct pollfd p[1 + 2 * TERN_LIMIT_ATTEMPTS];
    nfds_t n = 1;
    let_go(w, false);
    int64_t slice = 0;
    until = lead_all(w, until, &slice);
    p[0] = (struct pollfd){ .fd = w->bell, .events = POLLIN };
    for (uint32_t i = 0; i < w->n_led; i++) {
        tern__transport *t = w->led[i];
        pthread_mutex_lock(&t->lock);
        int events = POLLIN | (tern__drive_unsent(t) ? POLLOUT : 0);
        pthread_mutex_unlock(&t->lock);
        p[n++] = (struct pollfd){ .fd = t->sock.fd, .events = (short)events };
        p[n++] = (struct pollfd){ .fd = t->wake_fd, .events = POLLIN };
    }
    if (tern__clock_poll(p, n, until, slice) <= 0)
        return;
    if (p[0].revents) {
        uint64_t count;
        ssize_t got = read(w->bell, &count, sizeof count);
        (void)got;
        /* Behind the read: it would take along what was rung in between, and leave it marked as
         * rung. What rings before this is looked at now. */
        atomic_store(&w->rung, false);
    }
    for (uint32_t i = 0; i < w->n_led; i++) {
        bool socket = p[1 + 2 * i].revents, woken = p[2 + 2 * i].revents;
        if (socket || woken)
            serve(w->led[i], p[1 + 2 * i].revents & (POLLIN | POLLHUP | POLLERR), woken);
    }
}

tern_code tern__hedged_run(tern__call *c)
{
    tern_code code = TERN_OK;
    int64_t until;
    waiting w = { .bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
    if (w.bell < 0)
        return tern_status_set(&c->status, TERN_RESOURCE_EXHAUSTED,
                               "no file descriptor for a hedged call");
    tern__hedged_init(&w.hd, c, ring, &w);
    w.listener.on_cancel = on_cancel;
    if (c->context && !tern__context_listen(c->context, &w.listener))
        atomic_store(&w.cancelled, true);
    while (!tern__hedged_step(&w.hd, atomic_load(&w.cancelled), &code, &until))
        wait_for_any(&w, until);
    let_go(&w, true);
    if (c->context)
        tern__context_unlisten(c->context, &w.listener);
    tern__hedged_deinit(&w.hd);
    close(w.bell);
    return code;
}
