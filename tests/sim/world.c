/* See world.h. The life of a request: on its way; at the server, where it waits in the gate, then
 * for a core, then has one; on its way back. It is freed when its answer arrives, when it is
 * dropped on the way, or when its server crashes. */
#include "sim/world.h"

#include <math.h>
#include <stdlib.h>

#include <tern/limits.h>

#include "base/time.h"
#include "sim/client.h"

#define LATENCY_NS (500 * TERN__NS_PER_US)       /* one way, at least */
#define LATENCY_JITTER_NS (100e3)                /* mean of what is added */
#define LOST_OF_100000 5u                        /* packets */
#define RETRANSMIT_NS (200 * TERN__NS_PER_MS)    /* Linux: TCP_RTO_MIN */

int64_t sim_world_exponential(tern__rng *rng, double mean_ns)
{
    return (int64_t)(-mean_ns * log(1 - tern__rng_uniform(rng, 0, 1)));
}

int64_t sim_world_latency(sim_world *w)
{
    int64_t ns = LATENCY_NS + sim_world_exponential(&w->rng, LATENCY_JITTER_NS);
    return tern__rng_below(&w->rng, 100000) < LOST_OF_100000 ? ns + RETRANSMIT_NS : ns;
}

bool sim_server_listens(const sim_server *s)
{
    return s->up && !s->draining;
}

/* --- requests --------------------------------------------------------------------------------- */

static sim_request *of_gate(tern__list *node)
{
    return TERN__CONTAINER(TERN__CONTAINER(node, tern__gate_item, node), sim_request, gate);
}

static void free_request(sim_request *r)
{
    sim_events *q = &r->server->world->events;
    sim_events_cancel(q, &r->transit);
    sim_events_cancel(q, &r->timer);
    tern__list_remove(&r->at_server);
    tern__list_remove(&r->waits);
    tern__list_remove(&r->at_link);
    free(r);
}

void sim_request_abandon(sim_request *r)
{
    r->call = NULL;
    tern__list_remove(&r->at_link);
    if (!tern__heap_node_linked(&r->transit.node) && tern__list_empty(&r->at_server))
        free_request(r); /* it was lost, and nobody but the client knew of it */
}

static void on_answer(sim_event *e)
{
    sim_request *r = TERN__CONTAINER(e, sim_request, transit);
    struct sim_call *call = r->call;
    const sim_answer answer = r->answer;
    free_request(r);
    if (call)
        sim_client_answered(call, &answer);
}

static void respond(sim_request *r, const sim_answer *answer)
{
    sim_world *w = r->server->world;
    r->answer = *answer;
    tern__list_remove(&r->at_server);
    r->transit.fire = on_answer;
    sim_events_at(&w->events, &r->transit, w->events.now + sim_world_latency(w));
}

/* As refuse() of rpc/server/overload.c. */
static void refuse(sim_request *r, tern__gate_verdict v)
{
    sim_answer a = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_ANSWERED };
    if (v == TERN__GATE_DROP_LATE) {
        a.code = TERN_DEADLINE_EXCEEDED;
    } else {
        const uint32_t jitter = TERN_LIMIT_RETRY_PUSHBACK_JITTER_PERCENT;
        uint32_t percent = 100 - jitter + tern__rng_below(&r->server->world->rng, 2 * jitter + 1);
        a.has_pushback = true;
        a.pushback_ms = (int64_t)TERN_LIMIT_RETRY_PUSHBACK_MS * percent / 100;
    }
    respond(r, &a);
}

/* --- handlers --------------------------------------------------------------------------------- */

static void give_cores(sim_server *s);
static void take_decided(tern__list *decided);

static void on_handler_end(sim_event *e)
{
    sim_request *r = TERN__CONTAINER(e, sim_request, timer);
    sim_server *s = r->server;
    int64_t now = s->world->events.now;
    sim_answer a = { .code = TERN_OK, .fate = TERN__FATE_COMMITTED };
    bool late = now >= r->deadline;
    if (s->failing)
        a = (sim_answer){ .code = TERN_UNAVAILABLE, .fate = TERN__FATE_ANSWERED };
    if (late)
        a = (sim_answer){ .code = TERN_DEADLINE_EXCEEDED, .fate = TERN__FATE_ANSWERED };
    s->busy--;
    if (s->gated) { /* as leave() and sample_of() of overload.c */
        tern__list decided;
        tern__list_init(&decided);
        tern__gate_leave(&s->gate, &r->gate, now,
                         late || s->failing ? TERN__CONCURRENCY_OVERLOADED
                                            : TERN__CONCURRENCY_SERVED);
        tern__gate_next(&s->gate, now, &decided);
        take_decided(&decided);
    }
    respond(r, &a);
    give_cores(s);
}

static void give_cores(sim_server *s)
{
    sim_world *w = s->world;
    tern__list *node;
    while (!s->frozen && s->busy < w->setup->cores && (node = tern__list_pop(&s->ready))) {
        sim_request *r = TERN__CONTAINER(node, sim_request, waits);
        double ms = w->setup->work_ms * s->slow;
        s->busy++;
        r->timer.fire = on_handler_end;
        sim_events_at(&w->events, &r->timer,
                      w->events.now + sim_world_exponential(&w->rng, ms * 1e6));
    }
}

static void start_handler(sim_request *r)
{
    tern__list_append(&r->server->ready, &r->waits);
    give_cores(r->server);
}

/* --- the gate, as rpc/server/overload.c uses it ----------------------------------------------- */

static void on_waited(sim_event *e)
{
    sim_request *r = TERN__CONTAINER(e, sim_request, timer);
    sim_server *s = r->server;
    bool late = s->world->events.now >= r->deadline;
    tern__gate_verdict v = late ? TERN__GATE_DROP_LATE : TERN__GATE_DROP_STALE;
    tern__gate_forget(&s->gate, &r->gate, v);
    refuse(r, v);
}

static void take_decided(tern__list *decided)
{
    tern__list *node;
    while ((node = tern__list_pop(decided))) {
        sim_request *r = of_gate(node);
        sim_events_cancel(&r->server->world->events, &r->timer);
        if (r->gate.verdict == TERN__GATE_RUN)
            start_handler(r);
        else
            refuse(r, (tern__gate_verdict)r->gate.verdict);
    }
}

static void pass_gate(sim_request *r)
{
    sim_server *s = r->server;
    sim_events *q = &s->world->events;
    tern__list decided;
    tern__list_init(&decided);
    tern__list_init(&r->gate.node);
    r->gate.arrived = q->now;
    bool drops = s->world->setup->queue != SIM_QUEUE_FIFO;
    r->gate.deadline = drops ? r->deadline : TERN__TIME_NEVER;
    r->gate.method = &s->method;
    r->gate.priority = TERN_PRIORITY_NORMAL;
    r->gate.unary = true;
    tern__gate_verdict v = tern__gate_arrive(&s->gate, &r->gate, q->now, &decided);
    if (v == TERN__GATE_WAIT) {
        r->timer.fire = on_waited;
        int64_t longest = q->now + (int64_t)TERN_LIMIT_QUEUE_MS * TERN__NS_PER_MS;
        if (drops)
            sim_events_at(q, &r->timer, tern__time_min(r->deadline, longest));
    } else if (v == TERN__GATE_RUN) {
        start_handler(r);
    } else {
        refuse(r, v);
    }
    take_decided(&decided);
}

/* --- arrivals --------------------------------------------------------------------------------- */

static void on_arrival(sim_event *e)
{
    sim_request *r = TERN__CONTAINER(e, sim_request, transit);
    sim_server *s = r->server;
    if (!s->up || r->epoch != s->epoch) {
        if (!r->call)
            free_request(r);
        return; /* lost with its connection: the client hears of the reset */
    }
    tern__list_append(&s->here, &r->at_server);
    if (s->draining) { /* behind the last stream that the GOAWAY named */
        const sim_answer a = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_REFUSED };
        respond(r, &a);
    } else if (s->gated) {
        pass_gate(r);
    } else {
        start_handler(r);
    }
}

void sim_request_send(sim_request *r)
{
    sim_world *w = r->server->world;
    tern__list_init(&r->at_server);
    tern__list_init(&r->waits);
    int64_t latency = sim_world_latency(w);
    r->transit.fire = on_arrival;
    /* grpc-timeout says how much is left: the server's deadline is later by the way. */
    r->deadline = tern__time_add(r->deadline, latency);
    sim_events_at(&w->events, &r->transit, w->events.now + latency);
}

/* --- faults ----------------------------------------------------------------------------------- */

static void init_gate(sim_server *s)
{
    const sim_setup *setup = s->world->setup;
    tern__concurrency_options limit = TERN__CONCURRENCY_DEFAULTS;
    limit.kind = TERN__CONCURRENCY_AIMD;
    limit.initial = TERN_LIMIT_ADAPTIVE_INITIAL;
    limit.min = TERN_LIMIT_ADAPTIVE_MIN;
    limit.max = TERN_LIMIT_ADAPTIVE_MAX;
    limit.latency_max = setup->latency_ms_max * TERN__NS_PER_MS;
    const tern__gate_options o = { /* as gate_options() of overload_options.c */
        .adaptive = true,
        .limit = limit,
        .queue_max = TERN_LIMIT_QUEUE_CALLS,
        .codel = { .target = TERN_LIMIT_CODEL_TARGET_MS * TERN__NS_PER_MS,
                   .interval = TERN_LIMIT_CODEL_INTERVAL_MS * TERN__NS_PER_MS },
        .low_percent = TERN_LIMIT_LOW_PRIORITY_PERCENT,
        .service_window = TERN_LIMIT_SERVICE_TIME_MS * TERN__NS_PER_MS,
    };
    tern__gate_options own = o;
    if (setup->queue != SIM_QUEUE_DEFAULT) {
        own.adaptive = false;
        own.running_max = setup->cores;
    }
    if (setup->queue > SIM_QUEUE_CODEL) /* no queue is old enough to stand */
        own.codel.target = own.codel.interval = TERN__TIME_NEVER;
    s->gated = setup->gated;
    tern__gate_init(&s->gate, &own);
    s->method = (tern__gate_method){ .priority = TERN_PRIORITY_NORMAL };
}

/* The process and all that it had are gone. */
static void crash(sim_server *s)
{
    tern__list *node;
    s->up = false;
    s->epoch++;
    s->busy = 0;
    while ((node = tern__list_pop(&s->here))) {
        sim_request *r = TERN__CONTAINER(node, sim_request, at_server);
        sim_events_cancel(&s->world->events, &r->timer);
        tern__list_remove(&r->waits);
        if (!r->call)
            free_request(r);
    }
    init_gate(s); /* what it had in its queue is gone, too */
    for (uint32_t i = 0; i < s->world->setup->n_clients; i++)
        sim_client_told(&s->world->clients[i], s->index, SIM_LINK_RESET);
}

static void apply(sim_server *s, const sim_fault *f)
{
    switch (f->kind) {
    case SIM_CRASH:
        crash(s);
        break;
    case SIM_START:
        s->up = true;
        s->draining = false;
        break;
    case SIM_DRAIN:
        s->draining = true;
        for (uint32_t i = 0; i < s->world->setup->n_clients; i++)
            sim_client_told(&s->world->clients[i], s->index, SIM_LINK_GOAWAY);
        break;
    case SIM_SLOW:
        s->slow = f->factor;
        break;
    case SIM_FAIL:
        s->failing = true;
        s->slow = f->factor;
        break;
    case SIM_FREEZE:
        s->frozen = true;
        break;
    case SIM_WELL:
        s->slow = 1;
        s->failing = s->frozen = false;
        give_cores(s);
        break;
    case SIM_LOAD:
        break;
    }
}

static void on_fault(sim_event *e)
{
    struct sim_fault_event *fe = (struct sim_fault_event *)(void *)e;
    sim_world *w = fe->world;
    if (fe->fault->kind == SIM_LOAD)
        w->load = fe->fault->factor;
    for (uint32_t i = 0; i < w->setup->n_servers; i++)
        if (fe->fault->server == SIM_ALL || fe->fault->server == i)
            apply(&w->servers[i], fe->fault);
}

/* --- the whole -------------------------------------------------------------------------------- */

static void on_sample(sim_event *e)
{
    sim_world *w = TERN__CONTAINER(e, sim_world, sampler);
    uint32_t open = 0, half = 0;
    for (uint32_t i = 0; i < w->setup->n_clients; i++) {
        open += w->clients[i].breaker.state == TERN_BREAKER_OPEN;
        half += w->clients[i].breaker.state == TERN_BREAKER_HALF_OPEN;
    }
    sim_series_breakers(w->series, w->events.now - 1, open, half);
    sim_events_at(&w->events, e, w->events.now + SIM_BUCKET_NS);
}

static void init_servers(sim_world *w)
{
    for (uint32_t i = 0; i < w->setup->n_servers; i++) {
        sim_server *s = &w->servers[i];
        *s = (sim_server){ .world = w, .index = i, .up = true, .slow = 1 };
        tern__list_init(&s->ready);
        tern__list_init(&s->here);
        init_gate(s);
    }
}

static void deinit(sim_world *w)
{
    for (uint32_t i = 0; i < w->setup->n_clients; i++)
        sim_client_deinit(&w->clients[i]);
    /* What is left has been abandoned: on its way, or at a server. */
    tern__heap_node *n;
    while ((n = tern__heap_min(&w->events.heap))) {
        sim_event *e = (sim_event *)(void *)n;
        tern__heap_remove(&w->events.heap, n);
        if (e->fire == on_arrival || e->fire == on_answer)
            free_request(TERN__CONTAINER(e, sim_request, transit));
    }
    for (uint32_t i = 0; i < w->setup->n_servers; i++)
        while (!tern__list_empty(&w->servers[i].here))
            free_request(TERN__CONTAINER(w->servers[i].here.next, sim_request, at_server));
    tern__heap_deinit(&w->events.heap);
    free(w->faults);
    free(w->clients);
}

void sim_world_run(const sim_setup *setup, uint64_t seed, sim_series *series)
{
    sim_world *w = sim_alloc(sizeof *w);
    w->setup = setup;
    w->series = series;
    w->load = 1;
    tern__rng_seed(&w->rng, seed);
    init_servers(w);
    w->clients = sim_alloc(setup->n_clients * sizeof *w->clients);
    w->faults = sim_alloc((setup->n_faults + 1) * sizeof *w->faults);
    for (uint32_t i = 0; i < setup->n_clients; i++)
        sim_client_init(&w->clients[i], w);
    for (uint32_t i = 0; i < setup->n_faults; i++) {
        w->faults[i] = (struct sim_fault_event){ { .fire = on_fault }, w, &setup->faults[i] };
        sim_events_at(&w->events, &w->faults[i].event,
                      setup->faults[i].at_ms * TERN__NS_PER_MS);
    }
    w->sampler.fire = on_sample;
    sim_events_at(&w->events, &w->sampler, SIM_BUCKET_NS);
    sim_events_run(&w->events, setup->duration_ms * TERN__NS_PER_MS);
    deinit(w);
    free(w);
}
