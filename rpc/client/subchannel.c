/* See subchannel.h. One caller connects, the others wait for it on `changed`. A caller whose own
 * deadline ends before the attempt does gives the work up without a backoff; the next in line
 * begins anew, or, if nobody waits, the connector does. */
#include "client/subchannel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/log.h"
#include "base/time.h"
#include "client/connector.h"
#include "client/reactor.h"
#include "client/connect.h"
#include "client/resolved.h"
#include "io/clock.h"
#include "io/random.h"

/* A call that waits for a further connection looks so often whether a stream has become free. */
#define PLACE_SLICE_NS (10 * TERN__NS_PER_MS)

void tern__subchannel_init(tern__subchannel *sc, const tern__target *target,
                           const tern__subchannel_options *opt)
{
    memset(sc, 0, sizeof *sc);
    pthread_mutex_init(&sc->lock, NULL);
    pthread_cond_init(&sc->changed, NULL);
    sc->target = *target;
    sc->connect_timeout_ms = opt->connect_timeout_ms;
    sc->queue_max = opt->queue_max;
    sc->loop = opt->loop;
    sc->upkeep = opt->upkeep;
    sc->stagger = tern__ms_to_ns(opt->stagger_ms);
    sc->conns.max = opt->connections_max;
    tern__rng_seed(&sc->rng, tern__random_seed());
    tern__backoff_init(&sc->backoff, tern__ms_to_ns(opt->backoff_ms),
                       tern__ms_to_ns(opt->backoff_ms_max), TERN_LIMIT_RECONNECT_BACKOFF_MULTIPLIER,
                       TERN_LIMIT_RECONNECT_BACKOFF_JITTER);
}

void tern__subchannel_release(tern__transport *t)
{
    tern__reactor_retire(t);
    tern__transport_unref(t);
}

void tern__subchannel_end(tern__subchannel *sc, const char *why)
{
    tern__connections conns;
    tern__connector_free(sc->connector);
    pthread_mutex_lock(&sc->lock);
    sc->connector = NULL;
    conns = sc->conns;
    sc->conns.n = 0;
    pthread_mutex_unlock(&sc->lock);
    for (uint32_t i = 0; i < conns.n; i++) {
        if (why)
            tern__transport_shutdown(conns.at[i], why);
        tern__subchannel_release(conns.at[i]);
    }
}

void tern__subchannel_deinit(tern__subchannel *sc)
{
    tern__subchannel_end(sc, "the channel was closed");
    tern__tls_dial_deinit(&sc->dial);
    free(sc->proxy);
    pthread_cond_destroy(&sc->changed);
    pthread_mutex_destroy(&sc->lock);
}

/* What channelz shows, after each change. With the lock held. */
static void set_state(tern__subchannel *sc)
{
    int state = sc->conns.n      ? TERN__READY
                : sc->connecting ? TERN__CONNECTING
                : sc->failed     ? TERN__TRANSIENT_FAILURE
                                 : TERN__IDLE;
    atomic_store_explicit(&sc->entity.state, state, memory_order_relaxed);
}

/* No backoff stands against an attempt. */
static bool may_connect(const tern__subchannel *sc)
{
    return !sc->failed || tern__clock_now() >= sc->retry_at;
}

tern_code tern__subchannel_look(tern__subchannel *sc, bool wait_for_ready, tern__transport **ret,
                                tern_status *reterr)
{
    tern_code code = TERN_OK;
    bool more;
    pthread_mutex_lock(&sc->lock);
    tern__transport *t = tern__connections_pick(&sc->conns, &more);
    if (t && more && (sc->connecting || may_connect(sc)))
        t = NULL; /* a further one is worth the wait */
    *ret = t ? tern__transport_ref(t) : NULL;
    if (!sc->conns.n && sc->failed && !sc->left && !sc->connecting && !wait_for_ready &&
        tern__clock_now() < sc->retry_at) {
        *reterr = sc->last_error;
        code = TERN_UNAVAILABLE;
    }
    pthread_mutex_unlock(&sc->lock);
    return code;
}

tern__transport *tern__subchannel_any(tern__subchannel *sc)
{
    pthread_mutex_lock(&sc->lock);
    tern__transport *t = sc->conns.n ? tern__transport_ref(sc->conns.at[0]) : NULL;
    pthread_mutex_unlock(&sc->lock);
    return t;
}

bool tern__subchannel_has_usable(tern__subchannel *sc)
{
    tern__transport *t;
    while ((t = tern__subchannel_any(sc))) {
        bool usable = tern__transport_usable(t);
        if (!usable)
            tern__subchannel_drop(sc, t);
        tern__transport_unref(t);
        if (usable)
            return true;
    }
    return false;
}

int64_t tern__subchannel_retry_at(tern__subchannel *sc)
{
    pthread_mutex_lock(&sc->lock);
    int64_t at = sc->failed ? sc->retry_at : 0;
    pthread_mutex_unlock(&sc->lock);
    return at;
}

void tern__subchannel_drop(tern__subchannel *sc, tern__transport *t)
{
    pthread_mutex_lock(&t->lock);
    bool too_many_pings = t->too_many_pings;
    char why[sizeof t->error];
    memcpy(why, t->error, sizeof why);
    pthread_mutex_unlock(&t->lock);
    pthread_mutex_lock(&sc->lock);
    bool mine = tern__connections_remove(&sc->conns, t);
    /* The server has had enough of PINGs: the next connection sends half as many (gRFC A8). */
    too_many_pings &= mine && sc->upkeep.keepalive_time != TERN__TIME_NEVER;
    if (too_many_pings)
        sc->upkeep.keepalive_time = tern__keepalive_doubled(sc->upkeep.keepalive_time);
    int64_t time = sc->upkeep.keepalive_time;
    set_state(sc);
    pthread_mutex_unlock(&sc->lock);
    if (mine)
        tern__registry_tell(&sc->entity, TERN__SEVERITY_INFO, "a connection takes no more calls: "
                            "%s", why[0] ? why : "its stream ids are used up");
    if (too_many_pings)
        TERN__LOG(TERN_LOG_WARNING, "%s: the server closed the connection because of too many "
                                    "keepalive PINGs: keepalive_time_ms is %lld from now on",
                  sc->target.authority, (long long)(time / TERN__NS_PER_MS));
    if (mine)
        tern__subchannel_release(t);
}

void tern__subchannel_keep(tern__subchannel *sc, const tern__address_list *list)
{
    tern__transport *gone[TERN_LIMIT_CONNECTIONS_PER_CHANNEL];
    uint32_t n = 0;
    pthread_mutex_lock(&sc->lock);
    for (uint32_t i = sc->conns.n; i-- > 0;)
        if (!tern__address_listed(list, &sc->conns.at[i]->peer)) {
            gone[n++] = sc->conns.at[i];
            tern__connections_remove(&sc->conns, sc->conns.at[i]);
        }
    sc->n_lists++;
    if (sc->failed)
        sc->retry_at = tern__clock_now();
    set_state(sc);
    pthread_cond_broadcast(&sc->changed);
    pthread_mutex_unlock(&sc->lock);
    for (uint32_t i = 0; i < n; i++) {
        tern__registry_tell(&sc->entity, TERN__SEVERITY_INFO,
                            "a connection takes no more calls: its server is listed no more");
        tern__subchannel_release(gone[i]);
    }
}

/* To channelz. `t`: the new connection; NULL: it failed, or was given up (`why` NULL). */
static void tell_outcome(tern__subchannel *sc, const tern__transport *t, const char *why)
{
    if (t)
        tern__registry_tell(&sc->entity, TERN__SEVERITY_INFO, "connected: socket %llu",
                            (unsigned long long)t->entity.id);
    else if (why)
        tern__registry_tell(&sc->entity, TERN__SEVERITY_WARNING, "%s", why);
}

/* An attempt to connect: it ends with its caller's context, or when the subchannel is left. */
typedef struct attempt {
    tern__context_listener link;
    tern_context context;
} attempt;

static void on_caller_cancel(tern__context_listener *self)
{
    tern_context_cancel(&TERN__CONTAINER(self, attempt, link)->context);
}

/* Both without the lock: a context's comes before it. */
static void attempt_begin(tern__subchannel *sc, attempt *a, tern_context *caller)
{
    tern__context_init(&a->context, caller ? caller->deadline : TERN__TIME_NEVER);
    tern__list_init(&a->link.node);
    a->link.on_cancel = on_caller_cancel;
    if (caller && !tern__context_listen(caller, &a->link))
        tern_context_cancel(&a->context);
    pthread_mutex_lock(&sc->lock);
    sc->attempt = &a->context;
    if (sc->left)
        tern_context_cancel(&a->context);
    pthread_mutex_unlock(&sc->lock);
}

static void attempt_end(tern__subchannel *sc, attempt *a, tern_context *caller)
{
    pthread_mutex_lock(&sc->lock);
    sc->attempt = NULL;
    pthread_mutex_unlock(&sc->lock);
    if (caller)
        tern__context_unlisten(caller, &a->link);
    tern__context_deinit(&a->context);
}

/* Connects, with the lock released meanwhile. TERN_OK without a connection: the subchannel was left
 * before the attempt was over. */
static tern_code connect_now(tern__subchannel *sc, const tern__connect_wait *wait,
                             tern_status *reterr)
{
    tern__transport *t = NULL, *out = NULL;
    int64_t pause = 0;
    tern_status why;
    why.message[0] = '\0';
    sc->connecting = true;
    sc->handed_over &= !wait->is_connector;
    set_state(sc);
    const tern__upkeep_options upkeep = sc->upkeep;
    uint32_t lists = sc->n_lists, n_left = sc->n_left;
    bool shuffle = sc->shuffle;
    uint64_t random = shuffle ? tern__rng_next(&sc->rng) : 0;
    attempt a;
    pthread_mutex_unlock(&sc->lock);
    attempt_begin(sc, &a, wait->context);
    int64_t limit = tern__time_add(tern__clock_now(), tern__ms_to_ns(sc->connect_timeout_ms));
    const tern__connect_bounds bounds = { tern__time_min(limit, wait->deadline), &a.context,
                                          sc->queue_max, &upkeep };
    const tern__destination to = { &sc->target, &sc->dial, sc->proxy, sc->resolver,
                                   sc->stagger, shuffle,   random };
    tern_code code = tern__connect(&to, &bounds, &t, &why);
    if (code == TERN_OK) {
        tern__transport_list(t, &sc->entity);
        if (sc->owner)
            tern__transport_own(t, sc->owner);
        tern__reactor_add(sc->loop, t);
    }
    attempt_end(sc, &a, wait->context);
    pthread_mutex_lock(&sc->lock);
    sc->connecting = false;
    int64_t now = tern__clock_now();
    if (code == TERN_OK) {
        out = sc->left ? t : tern__connections_add(&sc->conns, t);
        sc->failed = false;
        sc->n_connects++;
        sc->n_resumed += t->sock.tls && tern__tls_resumed(t->sock.tls);
        tern__backoff_reset(&sc->backoff);
    } else if (n_left != sc->n_left) {
        code = TERN_OK; /* given up, not failed, and calls may have come back to it since */
    } else if (tern_context_error(wait->context) == TERN_OK && now < wait->deadline) {
        sc->failed = true;
        pause = lists == sc->n_lists ? tern__backoff_next(&sc->backoff, &sc->rng) : 0;
        sc->retry_at = tern__time_add(now, pause); /* a new list is tried at once */
        sc->last_error = why;
        sc->last_error.code = TERN_UNAVAILABLE;
    } else {
        sc->cut_short = true;
    }
    set_state(sc);
    tell_outcome(sc, t, pause ? why.message : NULL);
    if (reterr)
        *reterr = why;
    pthread_cond_broadcast(&sc->changed);
    if (out || pause) { /* what runs the program's log or takes other locks */
        pthread_mutex_unlock(&sc->lock);
        if (pause)
            TERN__LOG(TERN_LOG_INFO, "%s; next attempt in %lld ms", why.message,
                      (long long)(pause / TERN__NS_PER_MS));
        if (out)
            tern__subchannel_release(out);
        pthread_mutex_lock(&sc->lock);
    }
    return code;
}

tern__connections tern__subchannel_leave(tern__subchannel *sc)
{
    tern__connections conns = sc->conns;
    sc->left = true;
    sc->n_left++;
    sc->conns.n = 0;
    if (sc->attempt)
        tern_context_cancel(sc->attempt);
    set_state(sc);
    pthread_cond_broadcast(&sc->changed);
    return conns;
}

void tern__subchannel_enter(tern__subchannel *sc, tern__transport *t)
{
    sc->left = sc->failed = false;
    tern__backoff_reset(&sc->backoff);
    if (t)
        tern__connections_add(&sc->conns, t);
    set_state(sc);
}

static tern_code expired(const tern__subchannel *sc, const tern__connect_wait *wait,
                         tern_status *reterr)
{
    tern_code error = tern_context_error(wait->context);
    if (error == TERN_CANCELLED)
        return tern_status_set(reterr, TERN_CANCELLED, "the call was cancelled by its caller");
    if (error == TERN_OK && tern__clock_now() < wait->deadline)
        return TERN_OK;
    return tern_status_set(reterr, TERN_DEADLINE_EXCEEDED,
                           "the deadline passed while waiting for a connection%s%.400s",
                           sc->failed ? ": " : "", sc->failed ? sc->last_error.message : "");
}

typedef struct get_link {
    tern__context_listener listener;
    tern__subchannel *sc;
} get_link;

static void on_context_cancel(tern__context_listener *self)
{
    tern__subchannel *sc = TERN__CONTAINER(self, get_link, listener)->sc;
    pthread_mutex_lock(&sc->lock);
    pthread_cond_broadcast(&sc->changed);
    pthread_mutex_unlock(&sc->lock);
}

static void wait_changed(tern__subchannel *sc, int64_t until, int64_t slice)
{
    tern__clock_wait(&sc->changed, &sc->lock, until, slice);
}

/* The slow path: there is no connection. With the lock held. */
static tern_code get_slow(tern__subchannel *sc, const tern__connect_wait *wait, tern_status *reterr)
{
    while (!sc->conns.n && !sc->left) {
        tern_code code = expired(sc, wait, reterr);
        if (code != TERN_OK)
            return code;
        if (sc->connecting || (sc->handed_over && !wait->is_connector)) {
            wait_changed(sc, wait->deadline, 0);
            if (sc->failed && !sc->left && !sc->connecting && !sc->conns.n &&
                !wait->wait_for_ready) {
                if (reterr)
                    *reterr = sc->last_error;
                return TERN_UNAVAILABLE;
            }
        } else if (sc->failed && tern__clock_now() < sc->retry_at) {
            if (!wait->wait_for_ready) {
                if (reterr)
                    *reterr = sc->last_error;
                return TERN_UNAVAILABLE;
            }
            wait_changed(sc, tern__time_min(wait->deadline, sc->retry_at), 0);
        } else {
            code = connect_now(sc, wait, reterr);
            if (code != TERN_OK && !sc->left && expired(sc, wait, NULL) == TERN_OK &&
                !wait->wait_for_ready)
                return code;
        }
    }
    return TERN_OK;
}

/* There is a connection, or more: one with a place for a stream, or a further one, or, if that
 * cannot be made, one to wait on. With the lock held. NULL: there is none any more. */
static tern__transport *get_place(tern__subchannel *sc, const tern__connect_wait *wait)
{
    for (;;) {
        bool more;
        tern__transport *t = tern__connections_pick(&sc->conns, &more);
        if (!t || !more || expired(sc, wait, NULL) != TERN_OK)
            return t;
        if (sc->connecting) /* a stream may end meanwhile, which nobody tells us */
            wait_changed(sc, wait->deadline, PLACE_SLICE_NS);
        else if (!may_connect(sc) || connect_now(sc, wait, NULL) != TERN_OK)
            return tern__connections_pick(&sc->conns, &more);
    }
}

/* As get_slow(), then a place; what was there may go while a further one is made. */
static tern_code get_slow_place(tern__subchannel *sc, const tern__connect_wait *wait,
                                tern__transport **ret, tern_status *reterr)
{
    tern_code code;
    tern__transport *t = NULL;
    do
        code = get_slow(sc, wait, reterr);
    while (code == TERN_OK && !(t = get_place(sc, wait)) && !sc->left);
    if (code == TERN_OK && t)
        *ret = tern__transport_ref(t);
    return code;
}

/* There is no connector: the next call tries by itself. */
static void take_back(tern__subchannel *sc)
{
    pthread_mutex_lock(&sc->lock);
    sc->handed_over = false;
    pthread_cond_broadcast(&sc->changed);
    pthread_mutex_unlock(&sc->lock);
}

tern_code tern__subchannel_get(tern__subchannel *sc, const tern__connect_wait *wait,
                               tern__transport **ret, tern_status *reterr)
{
    tern_code code = TERN_OK;
    bool more;
    pthread_mutex_lock(&sc->lock);
    tern__transport *t = tern__connections_pick(&sc->conns, &more);
    if (!t || more) {
        get_link link = { .listener.on_cancel = on_context_cancel, .sc = sc };
        pthread_mutex_unlock(&sc->lock);
        if (wait->context)
            tern__context_listen(wait->context, &link.listener);
        pthread_mutex_lock(&sc->lock);
        code = get_slow_place(sc, wait, ret, reterr);
        bool carry_on = sc->cut_short && !sc->connecting && !sc->conns.n && !sc->handed_over;
        sc->cut_short = false;
        sc->handed_over = (sc->handed_over && !wait->is_connector) || carry_on;
        pthread_mutex_unlock(&sc->lock);
        if (wait->context)
            tern__context_unlisten(wait->context, &link.listener);
        if (carry_on && !tern__connector_carry_on(sc))
            take_back(sc);
        return code;
    }
    *ret = tern__transport_ref(t);
    pthread_mutex_unlock(&sc->lock);
    return code;
}
