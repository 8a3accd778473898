/* See client.h. A call is admitted, picks a connection, is sent, and its answer is judged; then it
 * has ended, or goes round again after a pause. Its one deadline ends it wherever it is. */
#include "sim/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"

#define PATH "/sim.Sim/Call"

typedef struct sim_call {
    sim_client *client;
    tern__list node;     /* in calls */
    tern__list wait;     /* in waiting */
    sim_event pause;     /* until the next attempt */
    sim_event expiry;    /* its deadline */
    int64_t began, deadline;
    tern__retry retry;
    tern_code former;    /* of the attempt that is repeated */
    bool counted;        /* in the retry budget */
    tern__breaker_ticket ticket;
    sim_request *request; /* under way; NULL: none */
    uint32_t endpoint;    /* where it went, */
    int64_t sent;         /* and when */
    bool picking;         /* admitted, and waiting for a connection */
} sim_call;

static void attempt(sim_call *call);

static int64_t now_of(const sim_client *c)
{
    return c->world->events.now;
}

/* --- connections: client/cluster.c, client/subchannel.c --------------------------------------- */

/* post() of cluster.c. */
static void stir(sim_client *c)
{
    sim_events_at(&c->world->events, &c->look, now_of(c));
}

static void report(sim_client *c, sim_link *l, tern__lb_state state)
{
    tern__balancer_report(&c->balancer, l->index, state, now_of(c));
}

static void connect_to(sim_client *c, sim_link *l)
{
    l->connecting = true;
    report(c, l, TERN__LB_CONNECTING);
    /* SYN and its answer; the first bytes of HTTP/2 and the server's SETTINGS. */
    bool listens = sim_server_listens(&c->world->servers[l->index]);
    int64_t took = sim_world_latency(c->world) + sim_world_latency(c->world);
    if (listens)
        took += sim_world_latency(c->world) + sim_world_latency(c->world);
    sim_events_at(&c->world->events, &l->event, now_of(c) + took);
}

/* look_after() of cluster.c; returns when to do it again. */
static int64_t look_after(sim_client *c, sim_link *l)
{
    tern__lb_state state = c->balancer.at[l->index].state;
    if (state == TERN__LB_READY && !l->usable)
        report(c, l, TERN__LB_IDLE);
    if (l->connecting)
        return TERN__TIME_NEVER;
    if (!tern__balancer_wants(&c->balancer, l->index)) {
        if (state != TERN__LB_TRANSIENT_FAILURE)
            return TERN__TIME_NEVER;
        if (now_of(c) < l->retry_at)
            return l->retry_at;
    } else if (l->failed && now_of(c) < l->retry_at) {
        return l->retry_at;
    }
    connect_to(c, l);
    return TERN__TIME_NEVER;
}

/* take() of cluster.c. */
static tern__lb_verdict take(sim_client *c, sim_link **ret)
{
    for (;;) {
        uint32_t i;
        const tern__lb_request r = { .now = now_of(c), .random = tern__rng_next(&c->pick_rng) };
        tern__lb_verdict v = tern__balancer_pick(&c->balancer, &r, &i);
        if (c->balancer.stirred) {
            c->balancer.stirred = false;
            stir(c);
        }
        if (v != TERN__LB_PICKED)
            return v;
        *ret = &c->links[i];
        if ((*ret)->usable)
            return v;
        tern__balancer_undo(&c->balancer, i);
        report(c, *ret, TERN__LB_IDLE);
        stir(c);
    }
}

static void found(sim_call *call, tern__lb_verdict v, sim_link *l);

/* settle() of cluster.c: what is due, then those who wait. */
static void on_look(sim_event *e)
{
    sim_client *c = TERN__CONTAINER(e, sim_client, look);
    tern__list again, *node;
    int64_t next = tern__balancer_tick(&c->balancer, now_of(c));
    for (uint32_t i = 0; i < c->balancer.n; i++)
        next = tern__time_min(next, look_after(c, &c->links[i]));
    if (next != TERN__TIME_NEVER)
        sim_events_at(&c->world->events, &c->look, next);
    tern__list_init(&again);
    tern__list_splice(&again, &c->waiting);
    while ((node = tern__list_pop(&again))) {
        sim_call *call = TERN__CONTAINER(node, sim_call, wait);
        sim_link *l = NULL;
        tern__lb_verdict v = take(c, &l);
        found(call, v, l);
    }
}

static void on_connected(sim_event *e)
{
    sim_link *l = TERN__CONTAINER(e, sim_link, event);
    sim_client *c = l->client;
    const sim_server *s = &c->world->servers[l->index];
    l->connecting = false;
    l->usable = sim_server_listens(s);
    l->failed = !l->usable;
    if (l->usable) {
        l->epoch = s->epoch;
        tern__backoff_reset(&l->backoff);
        report(c, l, TERN__LB_READY);
    } else {
        l->retry_at = tern__time_add(now_of(c), tern__backoff_next(&l->backoff, &c->pick_rng));
        report(c, l, TERN__LB_TRANSIENT_FAILURE);
    }
    stir(c);
}

/* tern__cluster_drop(): the connection takes no more calls. With a reset those under way end. */
static void on_news(sim_event *e)
{
    sim_link *l = TERN__CONTAINER(e, sim_link, news);
    sim_client *c = l->client;
    const sim_answer lost = { .code = TERN_UNAVAILABLE, .fate = TERN__FATE_IN_DOUBT };
    tern__list gone, *node;
    tern__list_init(&gone);
    if (l->usable && l->epoch <= l->news_epoch) {
        l->usable = false;
        if (c->balancer.at[l->index].state == TERN__LB_READY)
            report(c, l, TERN__LB_IDLE);
        stir(c);
    }
    if (l->what == SIM_LINK_GOAWAY)
        return;
    for (tern__list *n = l->requests.next, *next; n != &l->requests; n = next) {
        next = n->next;
        if (TERN__CONTAINER(n, sim_request, at_link)->epoch <= l->news_epoch) {
            tern__list_remove(n);
            tern__list_append(&gone, n);
        }
    }
    while ((node = tern__list_pop(&gone))) {
        sim_request *r = TERN__CONTAINER(node, sim_request, at_link);
        sim_call *call = r->call;
        call->request = NULL;
        sim_request_abandon(r);
        sim_client_answered(call, &lost);
    }
}

void sim_client_told(sim_client *c, uint32_t server, sim_link_news what)
{
    sim_link *l = &c->links[server];
    const sim_server *s = &c->world->servers[server];
    l->what = what;
    l->news_epoch = what == SIM_LINK_RESET ? s->epoch - 1 : s->epoch; /* it was raised by then */
    sim_events_at(&c->world->events, &l->news, now_of(c) + sim_world_latency(c->world));
}

/* --- gates: client/admission.c ---------------------------------------------------------------- */

static bool admit(sim_call *call)
{
    sim_client *c = call->client;
    tern__breaker_change change;
    int64_t now = now_of(c);
    if (!call->counted && c->has_budget)
        tern__retry_budget_call(&c->budget, now);
    call->counted = true;
    if (tern__breaker_admit(&c->breaker, now, &call->ticket, &change) != TERN__BREAKER_ADMIT)
        return false;
    if (c->has_adaptive && !tern__adaptive_throttle_admit(&c->adaptive, now, &c->rng)) {
        tern__breaker_cancel(&c->breaker, call->ticket);
        return false;
    }
    sim_series_attempt(c->world->series, now);
    return true;
}

static void pass_outcome(sim_call *call, tern_code code)
{
    sim_client *c = call->client;
    tern__breaker_change change;
    tern__breaker_outcome(&c->breaker, now_of(c), call->ticket, code, &change);
    if (c->has_adaptive)
        tern__adaptive_throttle_outcome(&c->adaptive, now_of(c), code);
}

static void pass_cancel(sim_call *call)
{
    sim_client *c = call->client;
    tern__breaker_cancel(&c->breaker, call->ticket);
    if (c->has_adaptive)
        tern__adaptive_throttle_outcome(&c->adaptive, now_of(c), TERN_CANCELLED);
}

/* --- calls: client/call.c, client/attempt.c --------------------------------------------------- */

static void free_call(sim_call *call)
{
    sim_events *q = &call->client->world->events;
    sim_events_cancel(q, &call->pause);
    sim_events_cancel(q, &call->expiry);
    tern__list_remove(&call->wait);
    tern__list_remove(&call->node);
    free(call);
}

static void end(sim_call *call, tern_code code)
{
    int64_t now = now_of(call->client);
    sim_series_call(call->client->world->series, call->began, now - call->began,
                    code == TERN_OK);
    free_call(call);
}

/* tern__retry_judge(). */
static tern__retry_action retry_judge(sim_call *call, const tern__attempt_result *result,
                                      int64_t *ret_delay)
{
    sim_client *c = call->client;
    int64_t now = now_of(c);
    tern__retry_action action =
        tern__retry_decide(&call->retry, result, c->world->setup->naive ? NULL : &c->throttle, now,
                           call->deadline, &c->rng, ret_delay);
    if (action == TERN__RETRY_AFTER && c->has_budget && !tern__retry_budget_take(&c->budget, now))
        return TERN__RETRY_STOP;
    return action;
}

static void follow(sim_call *call, tern__retry_action action, tern_code code, int64_t delay)
{
    sim_events *q = &call->client->world->events;
    call->former = code;
    if (action == TERN__RETRY_STOP)
        end(call, code);
    else if (action == TERN__RETRY_AFTER)
        sim_events_at(q, &call->pause, q->now + delay);
    else
        attempt(call);
}

/* tern__call_unreachable(). */
static void unreachable(sim_call *call, tern_code code)
{
    const tern__attempt_result result = { .code = code, .fate = TERN__FATE_NOT_PICKED };
    tern__retry_action action = TERN__RETRY_STOP;
    int64_t delay = 0;
    pass_outcome(call, code);
    if (code == TERN_UNAVAILABLE && call->retry.codes)
        action = retry_judge(call, &result, &delay);
    follow(call, action, code, delay);
}

/* tern__pick_ended(), then judge() of attempt.c. `here`: this side's own deadline. */
static void judge(sim_call *call, const sim_answer *a, bool here)
{
    sim_client *c = call->client;
    tern__retry_action action = TERN__RETRY_STOP;
    int64_t delay = 0;
    const tern__lb_outcome o = {
        .now = now_of(c),
        .latency = now_of(c) - call->sent,
        .code = a->code,
        .answered = a->fate == TERN__FATE_COMMITTED || a->code == TERN_OK,
    };
    tern__balancer_ended(&c->balancer, call->endpoint, &o);
    if (a->code == TERN_OK) {
        tern__throttle_success(&c->throttle);
    } else if (!here) {
        const tern__attempt_result result = { a->code, a->fate, a->has_pushback, a->pushback_ms };
        action = retry_judge(call, &result, &delay);
    }
    if (action == TERN__RETRY_TRANSPARENT)
        pass_cancel(call);
    else
        pass_outcome(call, a->code);
    follow(call, action, a->code, delay);
}

void sim_client_answered(sim_call *call, const sim_answer *answer)
{
    call->request = NULL;
    judge(call, answer, false);
}

static void on_expiry(sim_event *e)
{
    sim_call *call = TERN__CONTAINER(e, sim_call, expiry);
    const sim_answer late = { .code = TERN_DEADLINE_EXCEEDED, .fate = TERN__FATE_IN_DOUBT };
    if (call->request) {
        sim_request_abandon(call->request);
        call->request = NULL;
        judge(call, &late, true);
    } else if (call->picking) {
        tern__list_remove(&call->wait);
        call->picking = false;
        unreachable(call, TERN_DEADLINE_EXCEEDED);
    }
}

static void send_on(sim_call *call, sim_link *l)
{
    sim_client *c = call->client;
    sim_request *r = sim_alloc(sizeof *r);
    r->server = &c->world->servers[l->index];
    r->epoch = l->epoch;
    r->call = call;
    r->deadline = call->deadline;
    tern__list_init(&r->at_link);
    tern__list_append(&l->requests, &r->at_link);
    call->request = r;
    call->endpoint = l->index;
    call->sent = now_of(c);
    sim_request_send(r);
}

/* A pick has an answer, or none yet. */
static void found(sim_call *call, tern__lb_verdict v, sim_link *l)
{
    call->picking = v == TERN__LB_QUEUE;
    if (v == TERN__LB_PICKED) {
        send_on(call, l);
    } else if (v == TERN__LB_QUEUE) {
        tern__list_append(&call->client->waiting, &call->wait);
    } else {
        unreachable(call, TERN_UNAVAILABLE);
    }
}

/* begin_attempt() of call.c. */
static void attempt(sim_call *call)
{
    sim_link *l = NULL;
    if (!admit(call)) {
        end(call, call->former != TERN_OK ? call->former : TERN_UNAVAILABLE);
        return;
    }
    tern__lb_verdict v = take(call->client, &l);
    if (v == TERN__LB_QUEUE)
        stir(call->client); /* as tern__cluster_wait() */
    found(call, v, l);
}

static void on_pause_end(sim_event *e)
{
    attempt(TERN__CONTAINER(e, sim_call, pause));
}

static void begin(sim_client *c)
{
    sim_call *call = sim_alloc(sizeof *call);
    call->client = c;
    call->began = now_of(c);
    call->deadline = call->began + c->world->setup->timeout_ms * TERN__NS_PER_MS;
    call->pause.fire = on_pause_end;
    call->expiry.fire = on_expiry;
    tern__list_init(&call->wait);
    tern__list_append(&c->calls, &call->node);
    sim_events_at(&c->world->events, &call->expiry, call->deadline);
    if (c->method && c->method->has_retry) /* init_retry() of attempt.c */
        tern__retry_init_policy(&call->retry, &c->method->retry);
    else
        tern__retry_init(&call->retry, &c->retry_options, c->world->setup->idempotent);
    attempt(call);
}

static void on_next_call(sim_event *e)
{
    sim_client *c = TERN__CONTAINER(e, sim_client, next_call);
    const sim_setup *setup = c->world->setup;
    double per_s = setup->calls_per_s * c->world->load / setup->n_clients;
    int64_t wait = sim_world_exponential(&c->arrivals, 1e9 / per_s);
    sim_events_at(&c->world->events, e, now_of(c) + wait);
    begin(c);
}

/* --- life: client/channel.c, client/config.c -------------------------------------------------- */

static void read_config(sim_client *c)
{
    tern_status why = { .code = TERN_OK };
    const char *text = c->world->setup->config;
    if (tern__service_config_parse(text, strlen(text), &c->config, &why) != TERN_OK) {
        fprintf(stderr, "sim: the scenario's service config: %s\n", why.message);
        exit(2);
    }
    c->method = tern__service_config_method(c->config, PATH, strlen(PATH));
}

/* fill_in() of channel.c, tern__channel_config_init() and take_config() of config.c. */
static void init_policies(sim_client *c, uint64_t seed)
{
    const tern__service_config *sc = c->config;
    tern_breaker_options breaker = { .disabled = c->world->setup->naive };
    tern__retry_options_fill(&c->retry_options);
    tern__breaker_options_fill(&breaker);
    tern__rng_seed(&c->rng, seed);
    tern__breaker_init(&c->breaker, sc->guard.has_breaker ? &sc->guard.breaker : &breaker,
                       seed + 1);
    if (sc->has_throttling)
        tern__throttle_init(&c->throttle, sc->throttle_max_tokens, sc->throttle_token_ratio);
    else
        tern__throttle_init(&c->throttle, c->retry_options.throttle_max_tokens,
                            c->retry_options.throttle_token_ratio);
    c->has_budget = sc->has_retry_budget;
    if (c->has_budget)
        tern__retry_budget_init(&c->budget, &sc->retry_budget);
    c->has_adaptive = sc->has_adaptive_throttle;
    if (c->has_adaptive)
        tern__adaptive_throttle_init(&c->adaptive, &sc->adaptive_throttle);
}

static void init_links(sim_client *c)
{
    uint32_t from[TERN_LIMIT_ADDRESSES];
    char names[SIM_SERVERS_MAX][24];
    tern__lb_address list[SIM_SERVERS_MAX] = { 0 };
    uint32_t n = c->world->setup->n_servers;
    for (uint32_t i = 0; i < n; i++) {
        sim_link *l = &c->links[i];
        *l = (sim_link){ .client = c, .index = i };
        l->event.fire = on_connected;
        l->news.fire = on_news;
        tern__list_init(&l->requests);
        tern__backoff_init(&l->backoff, tern__ms_to_ns(TERN_LIMIT_RECONNECT_BACKOFF_MS),
                           tern__ms_to_ns(TERN_LIMIT_RECONNECT_BACKOFF_MS_MAX),
                           TERN_LIMIT_RECONNECT_BACKOFF_MULTIPLIER,
                           TERN_LIMIT_RECONNECT_BACKOFF_JITTER);
        snprintf(names[i], sizeof names[i], "server-%u", i);
        list[i].name = names[i];
    }
    if (!c->config->lb || tern__balancer_init(&c->balancer, c->config->lb) ||
        tern__balancer_update(&c->balancer, list, n, tern__rng_next(&c->pick_rng), from)) {
        fprintf(stderr, "sim: no balancer for the scenario's loadBalancingConfig\n");
        exit(2);
    }
}

void sim_client_init(sim_client *c, sim_world *w)
{
    *c = (sim_client){ .world = w };
    c->look.fire = on_look;
    c->next_call.fire = on_next_call;
    tern__list_init(&c->waiting);
    tern__list_init(&c->calls);
    read_config(c);
    init_policies(c, tern__rng_next(&w->rng));
    tern__rng_seed(&c->pick_rng, tern__rng_next(&w->rng));
    tern__rng_seed(&c->arrivals, tern__rng_next(&w->rng));
    init_links(c);
    stir(c);
    double mean_ns = 1e9 * w->setup->n_clients / w->setup->calls_per_s;
    sim_events_at(&w->events, &c->next_call, sim_world_exponential(&c->arrivals, mean_ns));
}

void sim_client_deinit(sim_client *c)
{
    while (!tern__list_empty(&c->calls)) {
        sim_call *call = TERN__CONTAINER(c->calls.next, sim_call, node);
        if (call->request)
            sim_request_abandon(call->request);
        free_call(call);
    }
    tern__balancer_deinit(&c->balancer);
    tern__service_config_unref(c->config);
}
