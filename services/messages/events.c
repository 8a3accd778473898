/* Topics. See events.h and engine.h. */
#include "messages/events.h"

#include <stdio.h>
#include <stdlib.h>

#include "messages/request.h"
#include "messages/schema.h"

/* --- emit ------------------------------------------------------------------------------------- */

typedef struct event {
    const char *key;
    uint8_t *body; /* the message, packed */
    size_t body_len;
} event;

typedef struct emit {
    drone_msg_request r;
    drone_topic *topic;
    size_t n;
    event events[];
} emit;

static tern_code emit_run(drone_msg_request *r, drone_store *store)
{
    emit *e = (emit *)r;
    const Drone__Messages__V1__EmitRequest *req = r->req;
    Drone__Messages__V1__EmitResponse *res = r->res;
    int64_t now = drone_now_ms();

    e->topic = drone_topics_get(&r->m->topics, req->topic);
    if (!e->topic)
        return drone_reply_fail(&r->reply, TERN_RESOURCE_EXHAUSTED,
                                "topic %s would be one more than %d, or memory is short",
                                req->topic, DRONE_TOPICS_MAX);
    if (e->topic->count + (int64_t)e->n > DRONE_TOPIC_EVENTS_MAX)
        return drone_reply_fail(&r->reply, TERN_RESOURCE_EXHAUSTED,
                                "topic %s is full: %lld events wait for its slowest subscriber",
                                req->topic, (long long)e->topic->count);
    for (size_t i = 0; i < e->n; i++) {
        const event *v = &e->events[i];
        if (drone_sql_step(drone_store_stmt(store, DRONE_EVENT_ADD), "ttbi", req->topic, v->key,
                           v->body, v->body_len, now) < 0)
            return drone_reply_store(&r->reply, store);
    }
    res->last_sequence = sqlite3_last_insert_rowid(drone_store_db(store));
    return TERN_OK;
}

static void emit_after(drone_msg_request *r, tern_code code)
{
    emit *e = (emit *)r;
    const Drone__Messages__V1__EmitResponse *res = r->res;
    if (code != TERN_OK)
        return;
    e->topic->last = res->last_sequence;
    e->topic->count += (int64_t)e->n;
    atomic_fetch_add_explicit(&r->m->emitted, (long long)e->n, memory_order_relaxed);
    drone_messages_feed(r->m, e->topic);
}

tern_code drone_handle_emit(void *self, tern_server_call *call,
                            const Drone__Messages__V1__EmitRequest *req,
                            Drone__Messages__V1__EmitResponse *res)
{
    size_t bytes = 0;
    drone_reply reply = { .call = call };
    tern_code code = drone_check_id(&reply, "topic", req->topic);
    if (code == TERN_OK)
        code = drone_msg_check_count(&reply, "events", req->n_events, DRONE_MESSAGES_BATCH_MAX);
    for (size_t i = 0; i < req->n_events && code == TERN_OK; i++)
        code = drone_msg_check(&reply, "events", i, req->events[i], &bytes);
    if (code != TERN_OK)
        return code;
    emit *e =
        drone_msg_request_new(sizeof(*e) + req->n_events * sizeof(event), self, call, req, res);
    if (!e)
        return TERN_RESOURCE_EXHAUSTED;
    e->r.run = emit_run;
    e->r.after = emit_after;
    e->n = req->n_events;
    for (size_t i = 0; i < e->n; i++) {
        event *v = &e->events[i];
        v->key = req->events[i]->key;
        v->body_len = drone__messages__v1__message__get_packed_size(req->events[i]);
        v->body = tern_server_call_alloc(call, v->body_len);
        if (!v->body)
            return TERN_RESOURCE_EXHAUSTED;
        drone__messages__v1__message__pack(req->events[i], v->body);
    }
    return drone_msg_request_go(&e->r);
}

/* --- subscribe -------------------------------------------------------------------------------- */

/* The call may be over before the store gets to it, so this does not live in the call's memory. */
typedef struct subscribe {
    drone_store_op op; /* first, so that a drone_store_op * is a subscribe * */
    drone_messages *m;
    drone_outlet *outlet;
    char topic[DRONE_ID_BYTES_MAX + 1];
    char subscriber[DRONE_ID_BYTES_MAX + 1];
    char key[DRONE_ID_BYTES_MAX + 1];
    uint32_t in_flight_max;
    int64_t cursor; /* of a durable one that is new */
} subscribe;

/* A durable subscriber that is seen for the first time is written down. */
static tern_code subscribe_run(drone_store *store, drone_store_op *op)
{
    subscribe *s = (subscribe *)op;
    drone_topic *t = drone_topics_get(&s->m->topics, s->topic);
    if (!t)
        return TERN_RESOURCE_EXHAUSTED;
    s->cursor = t->last;
    if (!s->subscriber[0] || drone_topic_find(t, s->subscriber))
        return TERN_OK;
    if (t->n_subscribers >= DRONE_SUBSCRIBERS_MAX)
        return TERN_RESOURCE_EXHAUSTED;
    return drone_sql_step(drone_store_stmt(store, DRONE_CURSOR_SET), "tti", s->topic, s->subscriber,
                          s->cursor) < 0
               ? TERN_INTERNAL
               : TERN_OK;
}

static drone_subscriber *make(subscribe *s, drone_topic *t)
{
    drone_subscriber *sub = s->subscriber[0] ? drone_topic_find(t, s->subscriber) : NULL;
    if (!sub)
        sub = drone_subscriber_new(t, s->subscriber, s->subscriber[0] ? s->cursor : t->last);
    if (sub) {
        snprintf(sub->key, sizeof(sub->key), "%s", s->key);
        drone_subscriber_connect(sub, s->outlet, s->in_flight_max);
    }
    return sub;
}

static void subscribe_done(drone_store_op *op, tern_code code)
{
    subscribe *s = (subscribe *)op;
    drone_topic *t = code == TERN_OK ? drone_topics_get(&s->m->topics, s->topic) : NULL;
    if (t && make(s, t)) {
        drone_messages_feed(s->m, t);
    } else {
        drone_outlet_end(s->outlet, code == TERN_OK ? TERN_RESOURCE_EXHAUSTED : code,
                         "one topic or subscriber too many, or out of memory, or the store failed");
        drone_outlet_release(s->outlet);
    }
    free(s);
}

tern_code drone_handle_subscribe(void *self,
                                 drone_messages_v1_message_service_subscribe_stream *stream,
                                 const Drone__Messages__V1__SubscribeRequest *req)
{
    drone_messages *m = self;
    drone_reply reply = { .call = stream->call };
    bool durable = req->subscriber[0] != '\0';
    tern_code code = drone_check_id(&reply, "topic", req->topic);
    if (code == TERN_OK)
        code = drone_check_id_or_empty(&reply, "subscriber", req->subscriber);
    if (code == TERN_OK)
        code = drone_check_id_or_empty(&reply, "key", req->key);
    if (code == TERN_OK && durable && req->key[0])
        code = drone_reply_fail(&reply, TERN_INVALID_ARGUMENT,
                                "key: a durable subscriber gets all events");
    if (code == TERN_OK && durable)
        code = drone_check_int(&reply, "in_flight_max", req->in_flight_max, 1, DRONE_IN_FLIGHT_MAX);
    if (code != TERN_OK)
        return code;
    subscribe *s = calloc(1, sizeof(*s));
    if (!s)
        return TERN_RESOURCE_EXHAUSTED;
    s->op.run = subscribe_run;
    s->op.done = subscribe_done;
    s->m = m;
    s->in_flight_max = (uint32_t)req->in_flight_max;
    snprintf(s->topic, sizeof(s->topic), "%s", req->topic);
    snprintf(s->subscriber, sizeof(s->subscriber), "%s", req->subscriber);
    snprintf(s->key, sizeof(s->key), "%s", req->key);
    s->outlet = drone_outlet_new(stream->call);
    if (!s->outlet) {
        free(s);
        return TERN_RESOURCE_EXHAUSTED;
    }
    if (drone_store_submit(m->store, &s->op) != 0) {
        drone_outlet_end(s->outlet, TERN_UNAVAILABLE,
                         "the message service has too much to do, or is stopping; try again later");
        drone_outlet_release(s->outlet);
        free(s);
    }
    return TERN_OK; /* parked */
}

/* --- advance ---------------------------------------------------------------------------------- */

static drone_subscriber *find(drone_msg_request *r)
{
    const Drone__Messages__V1__AdvanceRequest *req = r->req;
    drone_topic *t = drone_topics_get(&r->m->topics, req->topic);
    return t ? drone_topic_find(t, req->subscriber) : NULL;
}

static tern_code advance_run(drone_msg_request *r, drone_store *store)
{
    const Drone__Messages__V1__AdvanceRequest *req = r->req;
    drone_subscriber *s = find(r);
    if (!s)
        return drone_reply_fail(&r->reply, TERN_NOT_FOUND,
                                "topic %s has no durable subscriber %s: subscribe first",
                                req->topic, req->subscriber);
    if (req->sequence > s->topic->last)
        return drone_reply_fail(&r->reply, TERN_INVALID_ARGUMENT,
                                "sequence: %lld is behind the last event, %lld",
                                (long long)req->sequence, (long long)s->topic->last);
    if (drone_sql_step(drone_store_stmt(store, DRONE_CURSOR_SET), "tti", req->topic,
                       req->subscriber, req->sequence) < 0)
        return drone_reply_store(&r->reply, store);
    return TERN_OK;
}

static void advance_after(drone_msg_request *r, tern_code code)
{
    const Drone__Messages__V1__AdvanceRequest *req = r->req;
    drone_subscriber *s = code == TERN_OK ? find(r) : NULL;
    if (!s)
        return;
    drone_subscriber_advance(s, req->sequence);
    drone_messages_feed(r->m, s->topic);
}

tern_code drone_handle_advance(void *self, tern_server_call *call,
                               const Drone__Messages__V1__AdvanceRequest *req,
                               Drone__Messages__V1__AdvanceResponse *res)
{
    drone_reply reply = { .call = call };
    tern_code code = drone_check_id(&reply, "topic", req->topic);
    if (code == TERN_OK)
        code = drone_check_id(&reply, "subscriber", req->subscriber);
    if (code == TERN_OK)
        code = drone_check_int(&reply, "sequence", req->sequence, 0, INT64_MAX);
    if (code != TERN_OK)
        return code;
    drone_msg_request *r = drone_msg_request_new(sizeof(*r), self, call, req, res);
    if (!r)
        return TERN_RESOURCE_EXHAUSTED;
    r->run = advance_run;
    r->after = advance_after;
    return drone_msg_request_go(r);
}
