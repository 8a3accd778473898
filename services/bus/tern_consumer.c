/* Consuming from the message service. A delivery is its own settlement: what was settled goes into
 * a list, which the teller sends in batches; so settling needs no memory, and cannot fail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/tern_driver.h"
#include <drone/messages/v1/messages.tern.h>

#define REASON_MAX 256
#define TELL_MAX 256 /* settlements of one request */

typedef struct tern_delivery {
    drone_bus_delivery base;
    struct tern_delivery *next; /* of the list of what is settled */
    int64_t sequence;
    int64_t delay_ms;
    drone_bus_verdict verdict;
    char reason[REASON_MAX + 1];
} tern_delivery;

typedef struct tern_consumer {
    drone_bus_consumer base;
    tern_receiver r;
    char *queue, *name;
    uint32_t in_flight_max;
    int64_t lease_ms;
    drone_bus_work work;
    void *ctx;
    tern_delivery *settled, **settled_end; /* with r.lock held */
    size_t n_out;                          /* deliveries that are not settled, or not freed */
    bool stopped;
} tern_consumer;

static tern_consumer *of_receiver(tern_receiver *r)
{
    return (tern_consumer *)((char *)r - offsetof(tern_consumer, r));
}

/* --- deliveries ------------------------------------------------------------------------------- */

static char *append(char **at, const char *s)
{
    char *begin = *at;
    size_t len = strlen(s) + 1;
    memcpy(begin, s, len);
    *at += len;
    return begin;
}

static tern_delivery *delivery_new(tern_consumer *c, const Drone__Messages__V1__Delivered *in)
{
    const Drone__Messages__V1__Message *m = in->message;
    size_t len = strlen(m->message_id) + strlen(m->key) + strlen(m->traceparent) + 3;
    tern_delivery *d = calloc(1, sizeof(*d) + len + m->body.len);
    if (!d)
        return NULL;
    char *at = (char *)(d + 1);
    d->base.consumer = &c->base;
    d->base.attempt = (uint32_t)in->attempt;
    d->base.enqueued_at_ms = in->enqueued_at_ms;
    d->base.message.message_id = append(&at, m->message_id);
    d->base.message.key = append(&at, m->key);
    d->base.message.traceparent = append(&at, m->traceparent);
    if (m->body.len)
        memcpy(at, m->body.data, m->body.len);
    d->base.message.body = at;
    d->base.message.body_len = m->body.len;
    d->sequence = in->sequence;
    return d;
}

/* With the lock held. */
static void delivery_free(tern_consumer *c, tern_delivery *d)
{
    free(d);
    if (--c->n_out == 0)
        pthread_cond_broadcast(&c->r.wake);
}

void drone_bus_tern_settle(drone_bus_delivery *delivery, drone_bus_verdict verdict,
                           int64_t delay_ms, const char *reason)
{
    tern_delivery *d = (tern_delivery *)delivery;
    tern_consumer *c = (tern_consumer *)delivery->consumer;
    d->verdict = verdict;
    d->delay_ms = delay_ms;
    snprintf(d->reason, sizeof(d->reason), "%s", reason);
    pthread_mutex_lock(&c->r.lock);
    if (c->stopped) {
        delivery_free(c, d);
    } else {
        d->next = NULL;
        *c->settled_end = d;
        c->settled_end = &d->next;
        drone_bus_receiver_news(&c->r);
    }
    pthread_mutex_unlock(&c->r.lock);
}

/* --- the reader ------------------------------------------------------------------------------- */

static void take(tern_consumer *c, const Drone__Messages__V1__Delivered *in)
{
    tern_delivery *d = in->message ? delivery_new(c, in) : NULL;
    if (!d) /* it comes again when its lease has ended */
        return;
    pthread_mutex_lock(&c->r.lock);
    bool stopping = c->r.stopping;
    c->n_out++;
    if (stopping)
        delivery_free(c, d);
    pthread_mutex_unlock(&c->r.lock);
    if (!stopping)
        c->work(c->ctx, &d->base);
}

static tern_code read_stream(tern_receiver *r, tern_status *reterr)
{
    tern_consumer *c = of_receiver(r);
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    Drone__Messages__V1__ConsumeRequest req = DRONE__MESSAGES__V1__CONSUME_REQUEST__INIT;
    drone_messages_v1_message_service_consume_call call;
    const Drone__Messages__V1__ConsumeResponse *res;

    options.context = r->context;
    req.queue = c->queue;
    req.consumer = c->name;
    req.in_flight_max = (int32_t)c->in_flight_max;
    req.lease_ms = c->lease_ms;
    tern_code code =
        drone_messages_v1_message_service_consume(r->bus->channel, &options, &req, &call, reterr);
    if (code != TERN_OK)
        return code;
    while (drone_messages_v1_message_service_consume_recv(&call, &res))
        for (size_t i = 0; i < res->n_delivered; i++)
            take(c, res->delivered[i]);
    return drone_messages_v1_message_service_consume_finish(&call, reterr);
}

/* --- the teller ------------------------------------------------------------------------------- */

static bool has_news(tern_receiver *r)
{
    return of_receiver(r)->settled != NULL;
}

/* Takes up to TELL_MAX from the list, with the lock held. */
static tern_delivery *take_settled(tern_consumer *c, size_t *ret_n)
{
    tern_delivery *first = c->settled, **end = &c->settled;
    size_t n = 0;
    for (; *end && n < TELL_MAX; n++)
        end = &(*end)->next;
    c->settled = *end;
    if (!c->settled)
        c->settled_end = &c->settled;
    *end = NULL;
    *ret_n = n;
    return first;
}

/* The list as it was, with the lock held. */
static void put_back(tern_consumer *c, tern_delivery *first)
{
    tern_delivery **end = &first;
    while (*end)
        end = &(*end)->next;
    *end = c->settled;
    if (!c->settled)
        c->settled_end = end;
    c->settled = first;
}

static tern_code send_settled(tern_consumer *c, tern_delivery *first, size_t n,
                              const tern_call_options *options, tern_status *reterr)
{
    static const Drone__Messages__V1__Verdict verdicts[] = {
        [DRONE_BUS_DONE] = DRONE__MESSAGES__V1__VERDICT__VERDICT_DONE,
        [DRONE_BUS_RETRY] = DRONE__MESSAGES__V1__VERDICT__VERDICT_RETRY,
        [DRONE_BUS_REJECT] = DRONE__MESSAGES__V1__VERDICT__VERDICT_REJECT,
    };
    Drone__Messages__V1__Settlement settlements[TELL_MAX], *pointers[TELL_MAX];
    Drone__Messages__V1__SettleRequest req = DRONE__MESSAGES__V1__SETTLE_REQUEST__INIT;
    Drone__Messages__V1__SettleResponse *res;
    size_t i = 0;

    for (tern_delivery *d = first; d; d = d->next, i++) {
        Drone__Messages__V1__Settlement *s = pointers[i] = &settlements[i];
        drone__messages__v1__settlement__init(s);
        s->sequence = d->sequence;
        s->attempt = (int32_t)d->base.attempt;
        s->verdict = verdicts[d->verdict];
        s->delay_ms = d->delay_ms;
        s->reason = d->reason;
    }
    req.queue = c->queue;
    req.settlements = pointers;
    req.n_settlements = n;
    tern_code code =
        drone_messages_v1_message_service_settle(c->r.bus->channel, options, &req, &res, reterr);
    if (code == TERN_OK)
        drone__messages__v1__settle_response__free_unpacked(res, NULL);
    return code;
}

static tern_code tell(tern_receiver *r, const tern_call_options *options, tern_status *reterr)
{
    tern_consumer *c = of_receiver(r);
    size_t n;
    tern_delivery *first = take_settled(c, &n);
    pthread_mutex_unlock(&r->lock);
    tern_code code = send_settled(c, first, n, options, reterr);
    pthread_mutex_lock(&r->lock);
    if (code == TERN_INVALID_ARGUMENT) { /* will never be taken: their leases end */
        fprintf(stderr, "bus: queue %s: settling is refused: %s\n", c->queue,
                reterr ? reterr->message : "");
        code = TERN_OK;
    }
    if (code != TERN_OK) {
        put_back(c, first);
        return code;
    }
    while (first) {
        tern_delivery *next = first->next;
        delivery_free(c, first);
        first = next;
    }
    return TERN_OK;
}

/* --- life ------------------------------------------------------------------------------------- */

static void consumer_free(tern_consumer *c)
{
    free(c->queue);
    free(c->name);
    free(c);
}

tern_code drone_bus_tern_consume(drone_bus *bus, const drone_bus_consumer_options *options,
                                 drone_bus_consumer **ret, tern_status *reterr)
{
    tern_consumer *c = calloc(1, sizeof(*c));
    if (c) {
        c->queue = strdup(options->queue);
        c->name = strdup(options->name);
    }
    if (!c || !c->queue || !c->name) {
        if (c)
            consumer_free(c);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    }
    c->base.driver = &drone_bus_tern;
    c->in_flight_max = options->in_flight_max;
    c->lease_ms = options->lease_ms;
    c->work = options->work;
    c->ctx = options->ctx;
    c->settled_end = &c->settled;
    c->r.read = read_stream;
    c->r.has_news = has_news;
    c->r.tell = tell;
    c->r.what = "queue";
    c->r.name = c->queue;
    tern_code code = drone_bus_receiver_start(&c->r, (tern_bus *)bus, reterr);
    if (code != TERN_OK) {
        consumer_free(c);
        return code;
    }
    *ret = &c->base;
    return TERN_OK;
}

void drone_bus_tern_consumer_stop(drone_bus_consumer *consumer)
{
    tern_consumer *c = (tern_consumer *)consumer;
    drone_bus_receiver_stop(&c->r);
    pthread_mutex_lock(&c->r.lock);
    c->stopped = true;
    for (size_t n; c->settled;)
        for (tern_delivery *d = take_settled(c, &n), *next; d; d = next) {
            next = d->next;
            delivery_free(c, d);
        }
    pthread_mutex_unlock(&c->r.lock);
}

void drone_bus_tern_consumer_free(drone_bus_consumer *consumer)
{
    tern_consumer *c = (tern_consumer *)consumer;
    pthread_mutex_lock(&c->r.lock);
    while (c->n_out)
        pthread_cond_wait(&c->r.wake, &c->r.lock);
    pthread_mutex_unlock(&c->r.lock);
    drone_bus_receiver_deinit(&c->r);
    consumer_free(c);
}
