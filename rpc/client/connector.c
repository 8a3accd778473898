/* See connector.h. */
#include "client/connector.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/time.h"
#include "io/clock.h"
#include "io/context.h"

/* How often a pause looks whether it is still as long. */
#define PAUSE_SLICE_NS (500 * TERN__NS_PER_MS)

struct tern__connector {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    tern__subchannel *sc;
    tern__list waiting;
    bool wanted;          /* an attempt, even if nobody waits */
    bool runs;            /* the thread */
    tern_context context; /* cancelled to stop it */
};

static tern__connector *connector_new(tern__subchannel *sc)
{
    tern__connector *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->ended, NULL);
    tern__list_init(&c->waiting);
    tern__context_init(&c->context, TERN__TIME_NEVER);
    c->sc = sc;
    return c;
}

void tern__connector_stop(tern__connector *c)
{
    if (c)
        tern_context_cancel(&c->context);
}

void tern__connector_free(tern__connector *c)
{
    if (!c)
        return;
    tern_context_cancel(&c->context);
    pthread_mutex_lock(&c->lock);
    while (c->runs)
        pthread_cond_wait(&c->ended, &c->lock);
    pthread_mutex_unlock(&c->lock);
    tern__context_deinit(&c->context);
    pthread_cond_destroy(&c->ended);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Takes out who has an answer now: everybody, or, of a failure, those that do not insist. */
static void take_answered(tern__connector *c, bool failure, tern__list *ret)
{
    tern__list_init(ret);
    for (tern__list *n = c->waiting.next, *next; n != &c->waiting; n = next) {
        tern__connect_op *op = TERN__CONTAINER(n, tern__connect_op, node);
        next = n->next;
        if (failure && op->wait_for_ready)
            continue;
        op->answered = true;
        tern__list_remove(n);
        tern__list_append(ret, n);
    }
}

/* A call that is cancelled while others are answered leaves the list, too. */
static tern__list *pop(tern__connector *c, tern__list *answered)
{
    pthread_mutex_lock(&c->lock);
    tern__list *node = tern__list_pop(answered);
    pthread_mutex_unlock(&c->lock);
    return node;
}

static void answer(tern__connector *c, tern__transport *t, const tern_status *why)
{
    tern__list answered, *node;
    pthread_mutex_lock(&c->lock);
    take_answered(c, why->code != TERN_OK, &answered);
    pthread_mutex_unlock(&c->lock);
    while ((node = pop(c, &answered))) {
        tern__connect_op *op = TERN__CONTAINER(node, tern__connect_op, node);
        op->transport = t ? tern__transport_ref(t) : NULL;
        op->status = *why;
        op->done(op);
    }
}

/* The pause after a failure, which new servers may cut short. */
static void pause_for(tern__connector *c)
{
    int64_t at;
    while (tern__clock_now() < (at = tern__subchannel_retry_at(c->sc)))
        if (tern__context_nap(&c->context, at, PAUSE_SLICE_NS) != TERN_OK)
            return;
}

/* True while there is something to do; else the thread is to end, and has said so. */
static bool go_on(tern__connector *c)
{
    pthread_mutex_lock(&c->lock);
    bool more = (c->wanted || !tern__list_empty(&c->waiting)) &&
                tern_context_error(&c->context) == TERN_OK;
    c->wanted = false;
    if (!more) {
        c->runs = false;
        pthread_cond_broadcast(&c->ended);
    }
    pthread_mutex_unlock(&c->lock);
    return more;
}

static bool somebody_waits(tern__connector *c)
{
    pthread_mutex_lock(&c->lock);
    bool some = !tern__list_empty(&c->waiting);
    pthread_mutex_unlock(&c->lock);
    return some;
}

static void *run(void *arg)
{
    tern__connector *c = arg;
    const tern__connect_wait wait = { .deadline = TERN__TIME_NEVER,
                                      .context = &c->context,
                                      .is_connector = true };
    while (go_on(c)) {
        tern__transport *t = NULL;
        tern_status why = { .code = TERN_OK };
        if (tern__subchannel_get(c->sc, &wait, &t, &why) == TERN_OK) {
            answer(c, t, &why);
            tern__transport_unref(t);
        } else {
            answer(c, NULL, &why);
            if (somebody_waits(c)) /* and insists */
                pause_for(c);
        }
    }
    return NULL;
}

static int start_thread(tern__connector *c)
{
    pthread_t thread;
    sigset_t all, old;
    sigfillset(&all); /* signals are the program's business, on its own threads */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rv = pthread_create(&thread, NULL, run, c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rv == 0)
        pthread_detach(thread);
    return -rv;
}

/* The subchannel's connector, made if need be. NULL: out of memory. */
static tern__connector *connector_of(tern__subchannel *sc)
{
    pthread_mutex_lock(&sc->lock);
    if (!sc->connector)
        sc->connector = connector_new(sc);
    tern__connector *c = sc->connector;
    pthread_mutex_unlock(&sc->lock);
    return c;
}

static bool is_left(tern__subchannel *sc)
{
    pthread_mutex_lock(&sc->lock);
    bool left = sc->left;
    pthread_mutex_unlock(&sc->lock);
    return left;
}

/* With the lock held. */
static int wake(tern__connector *c)
{
    int rv = c->runs ? 0 : start_thread(c);
    c->runs |= rv == 0;
    return rv;
}

int tern__connector_wait(tern__subchannel *sc, tern__connect_op *op)
{
    tern__connector *c = connector_of(sc);
    if (!c)
        return -ENOMEM;
    pthread_mutex_lock(&c->lock);
    op->answered = false;
    tern__list_append(&c->waiting, &op->node);
    int rv = wake(c);
    if (rv)
        tern__list_remove(&op->node);
    pthread_mutex_unlock(&c->lock);
    if (rv == 0 && is_left(sc)) /* in between: those who waited have been told before */
        tern__connector_let_go(sc);
    return rv;
}

bool tern__connector_carry_on(tern__subchannel *sc)
{
    tern__connector *c = connector_of(sc);
    if (!c)
        return false;
    pthread_mutex_lock(&c->lock);
    bool good = wake(c) == 0;
    c->wanted |= good;
    pthread_mutex_unlock(&c->lock);
    return good;
}

void tern__connector_let_go(tern__subchannel *sc)
{
    const tern_status anew = { .code = TERN_OK };
    pthread_mutex_lock(&sc->lock);
    tern__connector *c = sc->connector;
    pthread_mutex_unlock(&sc->lock);
    if (c)
        answer(c, NULL, &anew);
}

bool tern__connector_cancel(tern__subchannel *sc, tern__connect_op *op)
{
    tern__connector *c = sc->connector;
    pthread_mutex_lock(&c->lock);
    bool waiting = !op->answered;
    if (waiting)
        tern__list_remove(&op->node);
    pthread_mutex_unlock(&c->lock);
    return waiting;
}
