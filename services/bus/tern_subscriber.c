/* Subscribing to topics of the message service. See tern_driver.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/tern_driver.h"
#include <drone/messages/v1/messages.tern.h>

typedef struct tern_subscriber {
    drone_bus_subscriber base;
    tern_receiver r;
    char *topic, *name, *key;
    uint32_t in_flight_max;
    drone_bus_event event;
    void *ctx;
    int64_t done, told; /* with r.lock held */
} tern_subscriber;

static tern_subscriber *of_receiver(tern_receiver *r)
{
    return (tern_subscriber *)((char *)r - offsetof(tern_subscriber, r));
}

static void take(tern_subscriber *s, const Drone__Messages__V1__Event *e)
{
    const Drone__Messages__V1__Message *m = e->message;
    pthread_mutex_lock(&s->r.lock);
    /* what was done before the connection broke comes again */
    bool skip = s->r.stopping || !m || (s->name[0] && e->sequence <= s->done);
    pthread_mutex_unlock(&s->r.lock);
    if (skip)
        return;
    const drone_bus_message out = { .message_id = m->message_id,
                                    .key = m->key,
                                    .traceparent = m->traceparent,
                                    .body = m->body.data,
                                    .body_len = m->body.len };
    s->event(s->ctx, &out, e->sequence);
}

static tern_code read_stream(tern_receiver *r, tern_status *reterr)
{
    tern_subscriber *s = of_receiver(r);
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    Drone__Messages__V1__SubscribeRequest req = DRONE__MESSAGES__V1__SUBSCRIBE_REQUEST__INIT;
    drone_messages_v1_message_service_subscribe_call call;
    const Drone__Messages__V1__SubscribeResponse *res;

    options.context = r->context;
    req.topic = s->topic;
    req.subscriber = s->name;
    req.key = s->key;
    req.in_flight_max = (int32_t)s->in_flight_max;
    tern_code code =
        drone_messages_v1_message_service_subscribe(r->bus->channel, &options, &req, &call, reterr);
    if (code != TERN_OK)
        return code;
    while (drone_messages_v1_message_service_subscribe_recv(&call, &res))
        for (size_t i = 0; i < res->n_events; i++)
            take(s, res->events[i]);
    return drone_messages_v1_message_service_subscribe_finish(&call, reterr);
}

static bool has_news(tern_receiver *r)
{
    const tern_subscriber *s = of_receiver(r);
    return s->done > s->told;
}

static tern_code tell(tern_receiver *r, const tern_call_options *options, tern_status *reterr)
{
    tern_subscriber *s = of_receiver(r);
    Drone__Messages__V1__AdvanceRequest req = DRONE__MESSAGES__V1__ADVANCE_REQUEST__INIT;
    Drone__Messages__V1__AdvanceResponse *res;
    req.topic = s->topic;
    req.subscriber = s->name;
    req.sequence = s->done;
    pthread_mutex_unlock(&r->lock);
    tern_code code =
        drone_messages_v1_message_service_advance(r->bus->channel, options, &req, &res, reterr);
    if (code == TERN_OK)
        drone__messages__v1__advance_response__free_unpacked(res, NULL);
    pthread_mutex_lock(&r->lock);
    if (code == TERN_OK && req.sequence > s->told)
        s->told = req.sequence;
    return code;
}

static void subscriber_free(tern_subscriber *s)
{
    free(s->topic);
    free(s->name);
    free(s->key);
    free(s);
}

tern_code drone_bus_tern_subscribe(drone_bus *bus, const drone_bus_subscriber_options *options,
                                   drone_bus_subscriber **ret, tern_status *reterr)
{
    tern_subscriber *s = calloc(1, sizeof(*s));
    if (s) {
        s->topic = strdup(options->topic);
        s->name = strdup(options->name);
        s->key = strdup(options->key);
    }
    if (!s || !s->topic || !s->name || !s->key) {
        if (s)
            subscriber_free(s);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    }
    s->base.driver = &drone_bus_tern;
    s->in_flight_max = options->in_flight_max;
    s->event = options->event;
    s->ctx = options->ctx;
    s->r.read = read_stream;
    s->r.has_news = has_news;
    s->r.tell = tell;
    s->r.what = "topic";
    s->r.name = s->topic;
    tern_code code = drone_bus_receiver_start(&s->r, (tern_bus *)bus, reterr);
    if (code != TERN_OK) {
        subscriber_free(s);
        return code;
    }
    *ret = &s->base;
    return TERN_OK;
}

void drone_bus_tern_advance(drone_bus_subscriber *subscriber, int64_t sequence)
{
    tern_subscriber *s = (tern_subscriber *)subscriber;
    pthread_mutex_lock(&s->r.lock);
    if (sequence > s->done) {
        s->done = sequence;
        drone_bus_receiver_news(&s->r);
    }
    pthread_mutex_unlock(&s->r.lock);
}

void drone_bus_tern_subscriber_stop(drone_bus_subscriber *subscriber)
{
    tern_subscriber *s = (tern_subscriber *)subscriber;
    drone_bus_receiver_stop(&s->r);
    drone_bus_receiver_deinit(&s->r);
    subscriber_free(s);
}
