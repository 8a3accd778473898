/* See lifetime.h. */
#include "server/lifetime.h"

#include <tern/limits.h>

#include "base/log.h"
#include "base/time.h"
#include "io/clock.h"
#include "server/conn.h"
#include "server/loop.h"
#include "server/server.h"

/* Has the timer fire at `at` or before. The heap has held the node before, so there is room. */
static void arm(tern__conn *c, int64_t at)
{
    tern__heap *timers = &c->loop->timers;
    if (tern__heap_node_linked(&c->timer) && c->timer.key <= at)
        return;
    tern__heap_remove(timers, &c->timer);
    tern__heap_insert(timers, &c->timer, at);
}

static int64_t span(uint32_t ms)
{
    return ms == TERN_NEVER_MS ? TERN__TIME_NEVER : tern__ms_to_ns(ms);
}

int tern__lifetime_begin(tern__conn *c, int64_t now)
{
    const tern_server_options *o = &c->loop->server->opt;
    const tern__age_limits limits = { span(o->max_connection_idle_ms),
                                      span(o->max_connection_age_ms),
                                      span(o->max_connection_age_grace_ms) };
    tern__lifetime *l = &c->lifetime;
    l->handshake_until = tern__time_add(now, tern__ms_to_ns(o->handshake_timeout_ms));
    l->stalled_until = l->drain_until = l->goodbye_until = TERN__TIME_NEVER;
    l->goaway = NULL;
    tern__keepalive_init(&l->keepalive, span(o->keepalive_time_ms), span(o->keepalive_timeout_ms),
                         true, now);
    tern__ping_strikes_init(&l->strikes, span(o->permit_keepalive_time_ms),
                            o->permit_keepalive_without_calls);
    tern__age_init(&l->age, &limits, now, &c->loop->rng);
    return tern__heap_insert(&c->loop->timers, &c->timer, l->handshake_until);
}

void tern__lifetime_watch_socket(tern__conn *c)
{
    const tern_server_options *o = &c->loop->server->opt;
    if (o->keepalive_time_ms != TERN_NEVER_MS && o->keepalive_timeout_ms != TERN_NEVER_MS)
        tern__socket_set_user_timeout(c->sock.fd, span(o->keepalive_timeout_ms));
}

void tern__lifetime_shook_hands(tern__conn *c)
{
    c->lifetime.handshake_until = TERN__TIME_NEVER;
    arm(c, 0); /* at once: keepalive and age begin to count */
}

void tern__lifetime_read(tern__conn *c, int64_t now)
{
    tern__keepalive *k = &c->lifetime.keepalive;
    bool answered = k->pinged_at != TERN__TIME_NEVER;
    tern__keepalive_read(k, now);
    if (answered)
        arm(c, tern__time_add(now, k->time));
}

void tern__lifetime_busy(tern__conn *c) { tern__age_busy(&c->lifetime.age); }

void tern__lifetime_rest(tern__conn *c)
{
    tern__age *age = &c->lifetime.age;
    int64_t now = age->idle == TERN__TIME_NEVER ? 0 : tern__clock_now();
    tern__age_rest(age, now);
    arm(c, tern__time_add(now, age->idle));
}

void tern__lifetime_stalled(tern__conn *c, bool progress)
{
    tern__lifetime *l = &c->lifetime;
    if (!progress && l->stalled_until != TERN__TIME_NEVER)
        return;
    l->stalled_until = tern__time_add(tern__clock_now(),
                                      tern__ms_to_ns(c->loop->server->opt.send_stall_timeout_ms));
    arm(c, l->stalled_until);
}

void tern__lifetime_flows(tern__conn *c) { c->lifetime.stalled_until = TERN__TIME_NEVER; }

void tern__lifetime_ping(tern__conn *c, bool payload_sent)
{
    tern__ping_strikes *strikes = &c->lifetime.strikes;
    if (payload_sent)
        tern__ping_strikes_forgive(strikes);
    if (c->closing || tern__ping_strikes_ping(strikes, tern__clock_now(), c->n_calls > 0))
        return;
    TERN__LOG(TERN_LOG_INFO, "%s: closed: it sends PINGs more often than is permitted "
                             "(permit_keepalive_time_ms, permit_keepalive_without_calls)", c->peer);
    tern__h2_goaway_debug(c->h2, TERN__H2_ENHANCE_YOUR_CALM, "too_many_pings");
    c->closing = true;
    tern__loop_dirty(c->loop, c);
}

void tern__lifetime_draining(tern__conn *c)
{
    c->lifetime.drain_until = tern__time_add(tern__clock_now(),
                                             tern__ms_to_ns(TERN_LIMIT_DRAIN_PING_MS));
    arm(c, c->lifetime.drain_until);
}

void tern__lifetime_warned(tern__conn *c)
{
    c->lifetime.drain_until = TERN__TIME_NEVER;
    tern__age_warned(&c->lifetime.age, tern__clock_now());
    arm(c, c->lifetime.age.cut_at);
}

void tern__lifetime_goodbye(tern__conn *c)
{
    tern__lifetime *l = &c->lifetime;
    l->handshake_until = l->stalled_until = l->drain_until = TERN__TIME_NEVER;
    if (l->goodbye_until == TERN__TIME_NEVER)
        l->goodbye_until = tern__time_add(tern__clock_now(), tern__ms_to_ns(TERN_LIMIT_GOODBYE_MS));
    arm(c, l->goodbye_until);
}

/* --- the timer -------------------------------------------------------------------------------- */

static void close_for(tern__conn *c, const char *why)
{
    TERN__LOG(TERN_LOG_INFO, "%s: closed: %s", c->peer, why);
    tern__conn_free(c);
}

/* Keepalive; false when the connection is gone. */
static bool keep_alive(tern__conn *c, int64_t now, int64_t *ret_until)
{
    tern__keepalive *k = &c->lifetime.keepalive;
    if (c->paused)
        tern__keepalive_read(k, now); /* it is we who do not read */
    tern__keepalive_action action = tern__keepalive_next(k, now, c->n_calls > 0, ret_until);
    if (action == TERN__KEEPALIVE_DEAD) {
        /* The loop may have been busy: what came meanwhile counts. */
        if (!tern__conn_readable(c))
            return false;
        action = tern__keepalive_next(k, now, c->n_calls > 0, ret_until);
    }
    if (action == TERN__KEEPALIVE_DEAD) {
        close_for(c, "its keepalive PING was not answered in time");
        return false;
    }
    if (action == TERN__KEEPALIVE_PING) {
        tern__h2_ping(c->h2, TERN__H2_PING_KEEPALIVE);
        tern__loop_dirty(c->loop, c);
    }
    return true;
}

static int64_t grow_old(tern__conn *c, int64_t now)
{
    int64_t until;
    switch (tern__age_next(&c->lifetime.age, now, &until)) {
    case TERN__AGE_DRAIN_IDLE:
        tern__conn_drain(c, "max_idle");
        break;
    case TERN__AGE_DRAIN_OLD:
        tern__conn_drain(c, "max_age");
        break;
    case TERN__AGE_CUT:
        tern__conn_cut(c, "the connection's age is over and the grace period, too");
        return TERN__TIME_NEVER;
    case TERN__AGE_WAIT:
        break;
    }
    return until;
}

void tern__conn_expired(tern__conn *c)
{
    tern__lifetime *l = &c->lifetime;
    int64_t now = tern__clock_now(), alive_until = TERN__TIME_NEVER, young_until = TERN__TIME_NEVER;
    if (now >= l->goodbye_until) {
        tern__conn_free(c);
        return;
    }
    if (now >= l->handshake_until) {
        close_for(c, "its handshake took too long");
        return;
    }
    if (now >= l->stalled_until) {
        close_for(c, "it takes nothing of what is sent to it");
        return;
    }
    if (now >= l->drain_until)
        tern__conn_drain_final(c);
    if (!c->closing && c->settings_seen) {
        if (!keep_alive(c, now, &alive_until))
            return;
        young_until = grow_old(c, now);
    }
    int64_t until = tern__time_min(alive_until, young_until);
    until = tern__time_min(until, tern__time_min(l->handshake_until, l->stalled_until));
    until = tern__time_min(until, l->goodbye_until);
    arm(c, tern__time_min(until, l->drain_until));
}
