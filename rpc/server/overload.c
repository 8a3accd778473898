/* See overload.h and tern/overload.h. */
#include "server/overload.h"

#include <stdio.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "io/clock.h"
#include "server/conn.h"
#include "server/loop.h"
#include "server/server.h"
#include "server/stream.h"

/* Channelz hears no more often of the beginning and end of overload: its trace has few places. */
#define TELL_NS TERN__NS_PER_S

/* --- answers ---------------------------------------------------------------------------------- */

static void explain(const tern_server_call *call, tern__gate_verdict v, char *text, size_t cap)
{
    const tern_server_options *o = &call->loop->server->opt;
    switch (v) {
    case TERN__GATE_REFUSE_SERVER:
        snprintf(text, cap, "the server runs as many handlers as it may (handlers_max: %u)",
                 o->handlers_max);
        break;
    case TERN__GATE_REFUSE_CONNECTION:
        snprintf(text, cap,
                 "as many calls of this connection are served as may be "
                 "(handlers_per_connection_max: %u)",
                 o->handlers_per_connection_max);
        break;
    case TERN__GATE_REFUSE_METHOD:
        snprintf(text, cap, "as many calls of %.200s are served as may be (its handlers_max: %u)",
                 call->method->method->path, call->method->gate.running_max);
        break;
    case TERN__GATE_REFUSE_ADAPTIVE:
        snprintf(text, cap,
                 "the server is overloaded: it runs as many handlers as it can "
                 "(adaptive limit)");
        break;
    case TERN__GATE_REFUSE_QUEUE:
        snprintf(text, cap,
                 "the server is overloaded: others were preferred for the places in its "
                 "queue (queue_calls_max: %u)",
                 o->overload.queue_calls_max);
        break;
    case TERN__GATE_DROP_LATE:
        snprintf(text, cap,
                 "the server is overloaded: the deadline would have passed before the "
                 "handler had answered, it was not run");
        break;
    default:
        snprintf(text, cap,
                 "the server is overloaded: the call waited too long for a handler "
                 "(codel_target_ms: %u, queue_ms_max: %u)",
                 o->overload.codel_target_ms, o->overload.queue_ms_max);
    }
}

/* Spread, so that those who were refused together do not come back together. */
static void write_pushback(tern__loop *l, char *text, size_t cap)
{
    const uint32_t jitter = TERN_LIMIT_RETRY_PUSHBACK_JITTER_PERCENT;
    uint32_t ms = l->server->opt.overload.retry_pushback_ms;
    if (ms == TERN_NEVER_MS) {
        snprintf(text, cap, "-1");
        return;
    }
    uint64_t percent = 100 - jitter + tern__rng_below(&l->rng, 2 * jitter + 1);
    snprintf(text, cap, "%llu", (unsigned long long)((uint64_t)ms * percent / 100));
}

/* The call's handler never runs. */
static void refuse(tern_server_call *call, tern__gate_verdict v)
{
    char text[360], pushback[24];
    explain(call, v, text, sizeof text);
    if (v == TERN__GATE_DROP_LATE) {
        tern__respond_status(call, TERN_DEADLINE_EXCEEDED, text);
    } else {
        write_pushback(call->loop, pushback, sizeof pushback);
        tern__respond_pushback(call, TERN_UNAVAILABLE, text, pushback);
    }
    call->rejected = true;
    if (call->stream)
        tern__server_stream_stop(call);
}

/* --- the gate --------------------------------------------------------------------------------- */

static tern_server_call *call_of(tern__list *node)
{
    return TERN__CONTAINER(TERN__CONTAINER(node, tern__gate_item, node), tern_server_call, gate);
}

/* Leaves the decided ones with their loops. Whether some are of `self`. With the lock. */
static bool distribute(const tern__loop *self, tern__list *decided)
{
    tern__list *node;
    bool own = false;
    while ((node = tern__list_pop(decided))) {
        tern__loop *l = call_of(node)->loop;
        tern__list_append(&l->decided, node);
        own |= l == self;
        if (l != self)
            tern__loop_wake(l);
    }
    return own;
}

/* With the lock. What is to be told to channelz: > 0 that overload has begun, < 0 that it is over,
 * 0 nothing. */
static int change_of(tern__overload *o, int64_t now)
{
    if (o->gate.codel.overloaded == o->told || (o->told_at && now - o->told_at < TELL_NS))
        return 0;
    o->told = !o->told;
    o->told_at = now;
    return o->told ? 1 : -1;
}

static void tell(tern__loop *l, int change)
{
    if (change)
        tern__registry_tell(&l->server->entity,
                            change > 0 ? TERN__SEVERITY_WARNING : TERN__SEVERITY_INFO,
                            change > 0 ? "overloaded: calls wait longer than codel_target_ms (%u) "
                                         "all the time, some are dropped"
                                       : "no longer overloaded (codel_target_ms: %u)",
                            l->server->opt.overload.codel_target_ms);
}

static void describe(tern_server_call *call)
{
    const tern_overload_options *v = &call->loop->server->opt.overload;
    const tern__server_method *m = call->method;
    const char *asked = tern_metadata_get(&call->metadata, TERN_PRIORITY_KEY);
    tern__list_init(&call->gate.node);
    call->gate.deadline = call->context.deadline;
    call->gate.method = &call->method->gate;
    call->gate.unary = !call->stream;
    call->gate.priority =
        (uint8_t)tern__gate_priority(m->gate.priority, asked, v->client_priority_max);
}

static bool connection_full(const tern_server_call *call)
{
    uint32_t max = call->loop->server->opt.handlers_per_connection_max;
    return max && call->conn->n_gated >= max && call->gate.priority != TERN_PRIORITY_CRITICAL;
}

/* The call waits: until when at the longest. */
static void arm(tern_server_call *call, int64_t now)
{
    tern__loop *l = call->loop;
    int64_t longest = tern__ms_to_ns(l->server->opt.overload.queue_ms_max);
    int64_t until = tern__time_min(call->context.deadline, tern__time_add(now, longest));
    tern__heap_remove(&l->deadlines, &call->timer); /* there since its headers came */
    if (tern__heap_insert(&l->deadlines, &call->timer, until) == 0)
        return;
    tern__overload_gone(call); /* no memory for its timer: better refused than forgotten */
    refuse(call, TERN__GATE_REFUSE_QUEUE);
}

bool tern__overload_pass(tern__loop *l, tern_server_call *call)
{
    tern__overload *o = l->server->overload;
    tern__list decided;
    int64_t now = tern__clock_now();
    tern__gate_verdict v = TERN__GATE_REFUSE_CONNECTION;
    tern__list_init(&decided);
    describe(call);
    bool full = connection_full(call);
    pthread_mutex_lock(&o->lock);
    if (full)
        tern__gate_count(&o->gate, &call->gate, v);
    else
        v = tern__gate_arrive(&o->gate, &call->gate, now, &decided);
    bool own = distribute(l, &decided);
    int change = change_of(o, now);
    pthread_mutex_unlock(&o->lock);
    tell(l, change);
    if (v == TERN__GATE_RUN || v == TERN__GATE_WAIT) {
        call->gated = v == TERN__GATE_RUN ? TERN__GATED_IN : TERN__GATED_WAITS;
        call->gate_conn = call->conn;
        call->gate_conn->n_gated++;
    }
    if (v == TERN__GATE_WAIT)
        arm(call, now);
    else if (v != TERN__GATE_RUN)
        refuse(call, v);
    if (own)
        tern__overload_take(l); /* who has lost its place to this one */
    return v == TERN__GATE_RUN;
}

static void out(tern_server_call *call)
{
    call->gated = TERN__GATED_NOT;
    if (!call->gate_conn)
        return;
    call->gate_conn->n_gated--;
    call->gate_conn = NULL;
    if (!call->conn)
        tern__list_remove(&call->conn_node);
}

void tern__overload_abandon(tern_server_call *call)
{
    tern__list_append(&call->gate_conn->abandoned, &call->conn_node);
}

void tern__overload_forget(tern__conn *c)
{
    tern__list *node;
    while ((node = tern__list_pop(&c->abandoned)))
        TERN__CONTAINER(node, tern_server_call, conn_node)->gate_conn = NULL;
}

void tern__overload_take(tern__loop *l)
{
    tern__overload *o = l->server->overload;
    for (;;) {
        pthread_mutex_lock(&o->lock);
        tern__list *node = tern__list_pop(&l->decided);
        pthread_mutex_unlock(&o->lock);
        if (!node)
            return;
        tern_server_call *call = call_of(node);
        tern__heap_remove(&l->deadlines, &call->timer);
        if (call->gate.verdict == TERN__GATE_RUN) {
            call->gated = TERN__GATED_IN;
            tern__loop_ready(l, call);
        } else {
            out(call);
            refuse(call, (tern__gate_verdict)call->gate.verdict);
        }
    }
}

/* How the call went, for the adaptive limit. */
static tern__concurrency_sample sample_of(tern_server_call *call)
{
    switch (tern_context_error(&call->context)) {
    case TERN_DEADLINE_EXCEEDED:
        return TERN__CONCURRENCY_OVERLOADED;
    case TERN_CANCELLED:
        return TERN__CONCURRENCY_NO_SAMPLE;
    default:
        break;
    }
    switch (call->code) {
    case TERN_UNAVAILABLE:
    case TERN_RESOURCE_EXHAUSTED:
    case TERN_DEADLINE_EXCEEDED:
        return TERN__CONCURRENCY_OVERLOADED;
    case TERN_CANCELLED:
        return TERN__CONCURRENCY_NO_SAMPLE;
    default:
        return TERN__CONCURRENCY_SERVED;
    }
}

/* A call that was let in leaves. */
static void leave(tern_server_call *call, tern__concurrency_sample sample)
{
    tern__loop *l = call->loop;
    tern__overload *o = l->server->overload;
    int64_t now = tern__clock_now();
    tern__list decided;
    tern__list_init(&decided);
    pthread_mutex_lock(&o->lock);
    tern__gate_leave(&o->gate, &call->gate, now, sample);
    tern__gate_next(&o->gate, now, &decided);
    bool own = distribute(l, &decided);
    int change = change_of(o, now);
    pthread_mutex_unlock(&o->lock);
    tell(l, change);
    out(call);
    if (own)
        tern__overload_take(l);
}

void tern__overload_end(tern_server_call *call)
{
    leave(call, sample_of(call));
}

void tern__overload_gone(tern_server_call *call)
{
    tern__overload *o = call->loop->server->overload;
    pthread_mutex_lock(&o->lock);
    bool waits = call->gate.state == TERN__GATE_WAITING, in = call->gate.state == TERN__GATE_IN;
    if (waits)
        tern__gate_forget(&o->gate, &call->gate, TERN__GATE_DROP_CANCELLED);
    else
        tern__list_remove(&call->gate.node); /* from the decided ones */
    pthread_mutex_unlock(&o->lock);
    tern__heap_remove(&call->loop->deadlines, &call->timer);
    if (in)
        leave(call, TERN__CONCURRENCY_NO_SAMPLE);
    else
        out(call);
}

void tern__overload_expired(tern_server_call *call)
{
    tern__overload *o = call->loop->server->overload;
    bool late = tern__clock_now() >= call->context.deadline;
    tern__gate_verdict v = late ? TERN__GATE_DROP_LATE : TERN__GATE_DROP_STALE;
    pthread_mutex_lock(&o->lock);
    bool waits = call->gate.state == TERN__GATE_WAITING;
    if (waits)
        tern__gate_forget(&o->gate, &call->gate, v);
    pthread_mutex_unlock(&o->lock);
    if (!waits)
        return; /* it is on its way back */
    out(call);
    refuse(call, v);
}

/* --- counters --------------------------------------------------------------------------------- */

void tern_server_stats_get(tern_server *srv, tern_server_stats *ret)
{
    *ret = (tern_server_stats){ 0 };
    for (uint32_t i = 0; i < srv->opt.loops; i++) {
        ret->calls_ok += tern__counter_get(&srv->calls[i].succeeded);
        ret->calls_failed += tern__counter_get(&srv->calls[i].failed);
        ret->calls += tern__counter_get(&srv->calls[i].started);
    }
    if (!srv->overload)
        return;
    const tern__gate *g = &srv->overload->gate;
    pthread_mutex_lock(&srv->overload->lock);
    ret->handlers_running = g->running;
    ret->handlers_limit = g->opt.adaptive ? tern__concurrency_limit(&g->limit) : 0;
    ret->queue_calls = g->n_queued;
    ret->overloaded = g->codel.overloaded;
    ret->refused_server = g->n[TERN__GATE_REFUSE_SERVER];
    ret->refused_connection = g->n[TERN__GATE_REFUSE_CONNECTION];
    ret->refused_method = g->n[TERN__GATE_REFUSE_METHOD];
    ret->refused_adaptive = g->n[TERN__GATE_REFUSE_ADAPTIVE];
    ret->refused_queue = g->n[TERN__GATE_REFUSE_QUEUE];
    ret->dropped_stale = g->n[TERN__GATE_DROP_STALE];
    ret->dropped_late = g->n[TERN__GATE_DROP_LATE];
    ret->dropped_cancelled = g->n[TERN__GATE_DROP_CANCELLED];
    ret->queued = g->n_waited;
    memcpy(ret->shed, g->n_shed, sizeof ret->shed);
    pthread_mutex_unlock(&srv->overload->lock);
}
