/* Queues of work. See work.h and engine.h. */
#include "messages/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "messages/request.h"
#include "messages/schema.h"

#define LEASE_MS_MIN 100
#define LEASE_MS_MAX 3600000
#define DELAY_MS_MAX 86400000

/* --- enqueue ---------------------------------------------------------------------------------- */

typedef struct item {
    const Drone__Messages__V1__Message *message;
    uint8_t *body; /* the message, packed */
    size_t body_len;
    drone_entry *entry; /* NULL: it was known, or is not stored yet */
} item;

typedef struct enqueue {
    drone_msg_request r;
    drone_queue *queue;
    int64_t now_ms;
    size_t n;
    item items[];
} enqueue;

static tern_code add_item(enqueue *e, drone_store *store, item *it)
{
    const Drone__Messages__V1__EnqueueRequest *req = e->r.req;
    Drone__Messages__V1__EnqueueResponse *res = e->r.res;
    int64_t due = it->message->delay_ms > 0 ? e->now_ms + it->message->delay_ms : 0;
    sqlite3_stmt *s = drone_store_stmt(store, DRONE_MSG_ADD);
    if (drone_sql_step(s, "ttbii", req->queue, it->message->message_id, it->body, it->body_len,
                       e->now_ms, due) < 0)
        return drone_reply_store(&e->r.reply, store);
    if (sqlite3_changes(drone_store_db(store)) == 0) {
        res->known++;
        return TERN_OK;
    }
    it->entry = drone_entry_new(e->queue, it->body, it->body_len);
    if (!it->entry)
        return drone_reply_nomem(&e->r.reply);
    it->entry->sequence = sqlite3_last_insert_rowid(drone_store_db(store));
    it->entry->enqueued_at_ms = e->now_ms;
    it->entry->due_ms = due;
    return TERN_OK;
}

static tern_code enqueue_run(drone_msg_request *r, drone_store *store)
{
    enqueue *e = (enqueue *)r;
    const Drone__Messages__V1__EnqueueRequest *req = r->req;
    tern_code code = TERN_OK;

    if (drone_queues_count(r->m->queues) + e->n > DRONE_QUEUE_ENTRIES_MAX)
        return drone_reply_fail(&r->reply, TERN_RESOURCE_EXHAUSTED,
                                "the queues are full: %zu messages wait; try again later",
                                drone_queues_count(r->m->queues));
    e->queue = drone_queues_get(r->m->queues, req->queue);
    if (!e->queue)
        return drone_reply_fail(&r->reply, TERN_RESOURCE_EXHAUSTED,
                                "queue %s would be one more than %d, or memory is short",
                                req->queue, DRONE_QUEUES_MAX);
    e->now_ms = drone_now_ms();
    for (size_t i = 0; i < e->n && code == TERN_OK; i++)
        code = add_item(e, store, &e->items[i]);
    if (code != TERN_OK)
        for (size_t i = 0; i < e->n; i++)
            if (e->items[i].entry)
                drone_entry_discard(r->m->queues, e->items[i].entry);
    return code;
}

static void enqueue_after(drone_msg_request *r, tern_code code)
{
    enqueue *e = (enqueue *)r;
    int64_t n = 0;
    if (code != TERN_OK)
        return;
    for (size_t i = 0; i < e->n; i++)
        if (e->items[i].entry) {
            drone_queues_add(r->m->queues, e->items[i].entry, e->items[i].entry->due_ms, e->now_ms);
            n++;
        }
    atomic_fetch_add_explicit(&r->m->enqueued, n, memory_order_relaxed);
    drone_messages_dispatch(r->m, e->queue, e->now_ms);
}

tern_code drone_handle_enqueue(void *self, tern_server_call *call,
                               const Drone__Messages__V1__EnqueueRequest *req,
                               Drone__Messages__V1__EnqueueResponse *res)
{
    size_t bytes = 0;
    drone_reply reply = { .call = call };
    tern_code code = drone_check_id(&reply, "queue", req->queue);
    if (code == TERN_OK)
        code = drone_msg_check_count(&reply, "messages", req->n_messages, DRONE_MESSAGES_BATCH_MAX);
    for (size_t i = 0; i < req->n_messages && code == TERN_OK; i++)
        code = drone_msg_check(&reply, "messages", i, req->messages[i], &bytes);
    if (code != TERN_OK)
        return code;

    enqueue *e =
        drone_msg_request_new(sizeof(*e) + req->n_messages * sizeof(item), self, call, req, res);
    if (!e)
        return TERN_RESOURCE_EXHAUSTED;
    e->r.run = enqueue_run;
    e->r.after = enqueue_after;
    e->n = req->n_messages;
    for (size_t i = 0; i < e->n; i++) {
        item *it = &e->items[i];
        it->message = req->messages[i];
        it->body_len = drone__messages__v1__message__get_packed_size(it->message);
        it->body = tern_server_call_alloc(call, it->body_len);
        if (!it->body)
            return TERN_RESOURCE_EXHAUSTED;
        drone__messages__v1__message__pack(it->message, it->body);
    }
    return drone_msg_request_go(&e->r);
}

/* --- consume ---------------------------------------------------------------------------------- */

/* The call may be over before the store gets to it, so this does not live in the call's memory. */
typedef struct consume {
    drone_store_op op; /* first, so that a drone_store_op * is a consume * */
    drone_messages *m;
    drone_outlet *outlet;
    char queue[DRONE_ID_BYTES_MAX + 1];
    uint32_t in_flight_max;
    int64_t lease_ms;
} consume;

static tern_code consume_run(drone_store *store, drone_store_op *op)
{
    (void)store;
    (void)op;
    return TERN_OK;
}

static void consume_done(drone_store_op *op, tern_code code)
{
    consume *c = (consume *)op;
    drone_queue *q = code == TERN_OK ? drone_queues_get(c->m->queues, c->queue) : NULL;
    if (q && drone_consumer_new(q, c->in_flight_max, c->lease_ms, c->outlet)) {
        drone_messages_dispatch(c->m, q, drone_now_ms());
    } else {
        drone_outlet_end(c->outlet, TERN_RESOURCE_EXHAUSTED,
                         "one queue too many, or out of memory");
        drone_outlet_release(c->outlet);
    }
    free(c);
}

tern_code drone_handle_consume(void *self, drone_messages_v1_message_service_consume_stream *stream,
                               const Drone__Messages__V1__ConsumeRequest *req)
{
    drone_messages *m = self;
    drone_reply reply = { .call = stream->call };
    tern_code code = drone_check_id(&reply, "queue", req->queue);
    if (code == TERN_OK)
        code = drone_check_id_or_empty(&reply, "consumer", req->consumer);
    if (code == TERN_OK)
        code = drone_check_int(&reply, "in_flight_max", req->in_flight_max, 1, DRONE_IN_FLIGHT_MAX);
    if (code == TERN_OK)
        code = drone_check_int(&reply, "lease_ms", req->lease_ms, LEASE_MS_MIN, LEASE_MS_MAX);
    if (code != TERN_OK)
        return code;
    consume *c = calloc(1, sizeof(*c));
    if (!c)
        return TERN_RESOURCE_EXHAUSTED;
    c->op.run = consume_run;
    c->op.done = consume_done;
    c->op.reads_only = true;
    c->m = m;
    c->in_flight_max = (uint32_t)req->in_flight_max;
    c->lease_ms = req->lease_ms;
    snprintf(c->queue, sizeof(c->queue), "%s", req->queue);
    c->outlet = drone_outlet_new(stream->call);
    if (!c->outlet) {
        free(c);
        return TERN_RESOURCE_EXHAUSTED;
    }
    if (drone_store_submit(m->store, &c->op) != 0) {
        drone_outlet_end(c->outlet, TERN_UNAVAILABLE,
                         "the message service has too much to do, or is stopping; try again later");
        drone_outlet_release(c->outlet);
        free(c);
    }
    return TERN_OK; /* parked */
}

/* --- settle ----------------------------------------------------------------------------------- */

typedef struct settle {
    drone_msg_request r;
    int64_t now_ms;
    drone_entry *entries[]; /* of each settlement; NULL: nothing is to be done */
} settle;

/* Whether a settlement means what the entry is now. */
static bool applies(const drone_entry *e, const char *queue,
                    const Drone__Messages__V1__Settlement *s)
{
    if (!e || e->claimed || strcmp(e->queue->name, queue) != 0)
        return false;
    if (s->verdict == DRONE__MESSAGES__V1__VERDICT__VERDICT_DONE)
        return true; /* whoever has done it: it is done */
    return e->state == DRONE_ENTRY_LEASED && (uint32_t)s->attempt == e->attempts + 1;
}

static tern_code write_one(settle *t, drone_store *store, const drone_entry *e,
                           const Drone__Messages__V1__Settlement *s)
{
    int rc = 0;
    switch (s->verdict) {
    case DRONE__MESSAGES__V1__VERDICT__VERDICT_DONE:
        rc = drone_sql_step(drone_store_stmt(store, DRONE_MSG_DROP), "i", e->sequence);
        break;
    case DRONE__MESSAGES__V1__VERDICT__VERDICT_RETRY:
        return drone_messages_write_return(store, e, t->now_ms + s->delay_ms, s->reason, t->now_ms);
    case DRONE__MESSAGES__V1__VERDICT__VERDICT_REJECT:
        rc = drone_sql_step(drone_store_stmt(store, DRONE_MSG_BURY), "iiti", e->sequence,
                            (int64_t)e->attempts + 1, s->reason, t->now_ms);
        break;
    default: /* EXTEND */
        break;
    }
    return rc < 0 ? TERN_INTERNAL : TERN_OK;
}

static tern_code settle_run(drone_msg_request *r, drone_store *store)
{
    settle *t = (settle *)r;
    const Drone__Messages__V1__SettleRequest *req = r->req;
    Drone__Messages__V1__SettleResponse *res = r->res;
    tern_code code = TERN_OK;

    t->now_ms = drone_now_ms();
    res->unknown = 0;
    for (size_t i = 0; i < req->n_settlements && code == TERN_OK; i++) {
        const Drone__Messages__V1__Settlement *s = req->settlements[i];
        drone_entry *e = drone_queues_find(r->m->queues, s->sequence);
        t->entries[i] = NULL;
        if (!applies(e, req->queue, s)) {
            res->unknown++;
            continue;
        }
        code = write_one(t, store, e, s);
        if (code == TERN_OK) {
            e->claimed = true;
            t->entries[i] = e;
        }
    }
    if (code == TERN_OK)
        return TERN_OK;
    for (size_t i = 0; i < req->n_settlements; i++)
        if (t->entries[i])
            t->entries[i]->claimed = false;
    return drone_reply_store(&r->reply, store);
}

static void settle_one(drone_messages *m, drone_entry *e, const Drone__Messages__V1__Settlement *s,
                       int64_t now_ms)
{
    e->claimed = false;
    switch (s->verdict) {
    case DRONE__MESSAGES__V1__VERDICT__VERDICT_DONE:
        drone_queues_remove(m->queues, e);
        atomic_fetch_add_explicit(&m->settled, 1, memory_order_relaxed);
        break;
    case DRONE__MESSAGES__V1__VERDICT__VERDICT_RETRY:
        drone_messages_apply_return(m, e, now_ms + s->delay_ms, now_ms);
        break;
    case DRONE__MESSAGES__V1__VERDICT__VERDICT_REJECT:
        e->queue->n_dead++;
        drone_queues_remove(m->queues, e);
        break;
    default:
        if (e->state == DRONE_ENTRY_LEASED)
            drone_queues_extend(e, now_ms);
        break;
    }
}

static void settle_after(drone_msg_request *r, tern_code code)
{
    settle *t = (settle *)r;
    const Drone__Messages__V1__SettleRequest *req = r->req;
    if (code != TERN_OK)
        return;
    for (size_t i = 0; i < req->n_settlements; i++)
        if (t->entries[i])
            settle_one(r->m, t->entries[i], req->settlements[i], t->now_ms);
    drone_queue *q = drone_queues_look_up(r->m->queues, req->queue);
    if (q)
        drone_messages_dispatch(r->m, q, t->now_ms);
}

static tern_code check_settlement(drone_reply *reply, size_t i,
                                  const Drone__Messages__V1__Settlement *s)
{
    char path[64];
    snprintf(path, sizeof(path), "settlements[%zu].verdict", i);
    tern_code code =
        drone_check_enum(reply, path, (int)s->verdict, &drone__messages__v1__verdict__descriptor);
    snprintf(path, sizeof(path), "settlements[%zu].delay_ms", i);
    if (code == TERN_OK)
        code = drone_check_int(reply, path, s->delay_ms, 0, DELAY_MS_MAX);
    snprintf(path, sizeof(path), "settlements[%zu].reason", i);
    return code == TERN_OK ? drone_check_text(reply, path, s->reason, DRONE_MESSAGE_REASON_MAX)
                           : code;
}

tern_code drone_handle_settle(void *self, tern_server_call *call,
                              const Drone__Messages__V1__SettleRequest *req,
                              Drone__Messages__V1__SettleResponse *res)
{
    drone_reply reply = { .call = call };
    tern_code code = drone_check_id(&reply, "queue", req->queue);
    if (code == TERN_OK)
        code =
            drone_msg_check_count(&reply, "settlements", req->n_settlements, DRONE_SETTLEMENTS_MAX);
    for (size_t i = 0; i < req->n_settlements && code == TERN_OK; i++)
        code = check_settlement(&reply, i, req->settlements[i]);
    if (code != TERN_OK)
        return code;
    settle *t = drone_msg_request_new(sizeof(*t) + req->n_settlements * sizeof(drone_entry *), self,
                                      call, req, res);
    if (!t)
        return TERN_RESOURCE_EXHAUSTED;
    t->r.run = settle_run;
    t->r.after = settle_after;
    return drone_msg_request_go(&t->r);
}
