/* Dead letters and counters. See dead.h and engine.h. */
#include "messages/dead.h"

#include <string.h>

#include "messages/request.h"
#include "messages/schema.h"

#define PAGE_MAX 100
/* A page is cut short here, so that it stays below what a client takes. */
#define PAGE_BYTES (2 << 20)

/* Copies a row of DRONE_MSG_DEAD_ONE. False when out of memory. */
static bool fill(drone_reply *reply, sqlite3_stmt *s, Drone__Messages__V1__DeadLetter *d)
{
    const void *body = sqlite3_column_blob(s, 6);
    size_t len = (size_t)sqlite3_column_bytes(s, 6);
    ProtobufCAllocator *const heap = NULL;
    Drone__Messages__V1__Message *stored = drone__messages__v1__message__unpack(heap, len, body);
    Drone__Messages__V1__Message *m = drone_reply_alloc(reply, sizeof(*m));
    bool ok = stored && m;

    d->sequence = sqlite3_column_int64(s, 0);
    d->queue = drone_reply_strdup(reply, drone_sql_text(s, 1));
    d->attempts = sqlite3_column_int(s, 2);
    d->reason = drone_reply_strdup(reply, drone_sql_text(s, 3));
    d->enqueued_at_ms = sqlite3_column_int64(s, 4);
    d->died_at_ms = sqlite3_column_int64(s, 5);
    d->message = m;
    if (ok) {
        drone__messages__v1__message__init(m);
        m->message_id = drone_reply_strdup(reply, stored->message_id);
        m->key = drone_reply_strdup(reply, stored->key);
        m->traceparent = drone_reply_strdup(reply, stored->traceparent);
        m->delay_ms = stored->delay_ms;
        m->body.len = stored->body.len;
        m->body.data = drone_reply_alloc(reply, stored->body.len + 1);
        ok = d->queue && d->reason && m->message_id && m->key && m->traceparent && m->body.data;
    }
    if (ok)
        memcpy(m->body.data, stored->body.data, stored->body.len);
    if (stored)
        drone__messages__v1__message__free_unpacked(stored, heap);
    return ok;
}

/* --- list ------------------------------------------------------------------------------------- */

static tern_code list_run(drone_msg_request *r, drone_store *store)
{
    const Drone__Messages__V1__ListDeadLettersRequest *req = r->req;
    Drone__Messages__V1__ListDeadLettersResponse *res = r->res;
    int64_t limit = req->page_size > 0 ? req->page_size : PAGE_MAX;
    size_t bytes = 0;
    int rc;

    res->dead_letters = drone_reply_alloc(&r->reply, (size_t)limit * sizeof(res->dead_letters[0]));
    if (!res->dead_letters)
        return drone_reply_nomem(&r->reply);
    sqlite3_stmt *s = drone_store_stmt(store, DRONE_MSG_DEAD_LIST);
    /* one more than asked for tells whether there are more */
    for (rc = drone_sql_step(s, "iti", req->after_sequence, req->queue, limit + 1); rc > 0;
         rc = drone_sql_next(s)) {
        if (res->n_dead_letters == (size_t)limit || bytes > PAGE_BYTES) {
            res->next_after_sequence = res->dead_letters[res->n_dead_letters - 1]->sequence;
            return TERN_OK;
        }
        Drone__Messages__V1__DeadLetter *d = drone_reply_alloc(&r->reply, sizeof(*d));
        if (!d)
            return drone_reply_nomem(&r->reply);
        drone__messages__v1__dead_letter__init(d);
        if (!fill(&r->reply, s, d))
            return drone_reply_nomem(&r->reply);
        bytes += d->message->body.len;
        res->dead_letters[res->n_dead_letters++] = d;
    }
    return rc < 0 ? drone_reply_store(&r->reply, store) : TERN_OK;
}

tern_code drone_handle_list_dead(void *self, tern_server_call *call,
                                 const Drone__Messages__V1__ListDeadLettersRequest *req,
                                 Drone__Messages__V1__ListDeadLettersResponse *res)
{
    drone_reply reply = { .call = call };
    tern_code code = drone_check_id_or_empty(&reply, "queue", req->queue);
    if (code == TERN_OK)
        code = drone_check_int(&reply, "page_size", req->page_size, 0, PAGE_MAX);
    if (code == TERN_OK)
        code = drone_check_int(&reply, "after_sequence", req->after_sequence, 0, INT64_MAX);
    if (code != TERN_OK)
        return code;
    drone_msg_request *r = drone_msg_request_new(sizeof(*r), self, call, req, res);
    if (!r)
        return TERN_RESOURCE_EXHAUSTED;
    r->run = list_run;
    r->op.reads_only = true;
    return drone_msg_request_go(r);
}

/* --- replay and drop -------------------------------------------------------------------------- */

typedef struct dead_request {
    drone_msg_request r;
    int64_t sequence;
    drone_queue *queue;
    drone_entry *entry; /* of replay: what it becomes */
} dead_request;

static tern_code find(dead_request *d, drone_store *store)
{
    Drone__Messages__V1__DeadLetter *res = d->r.res;
    sqlite3_stmt *s = drone_store_stmt(store, DRONE_MSG_DEAD_ONE);
    int rc = drone_sql_step(s, "i", d->sequence);
    if (rc < 0)
        return drone_reply_store(&d->r.reply, store);
    if (rc == 0)
        return drone_reply_fail(&d->r.reply, TERN_NOT_FOUND, "there is no dead letter %lld",
                                (long long)d->sequence);
    if (!fill(&d->r.reply, s, res))
        return drone_reply_nomem(&d->r.reply);
    d->queue = drone_queues_get(d->r.m->queues, res->queue);
    return d->queue ? TERN_OK : drone_reply_nomem(&d->r.reply);
}

static tern_code replay_run(drone_msg_request *r, drone_store *store)
{
    dead_request *d = (dead_request *)r;
    tern_code code = find(d, store);
    if (code != TERN_OK)
        return code;
    d->entry = drone_entry_new(d->queue, NULL, 0);
    if (!d->entry)
        return drone_reply_nomem(&r->reply);
    d->entry->sequence = d->sequence;
    d->entry->enqueued_at_ms = ((Drone__Messages__V1__DeadLetter *)r->res)->enqueued_at_ms;
    if (drone_sql_step(drone_store_stmt(store, DRONE_MSG_REVIVE), "i", d->sequence) >= 0)
        return TERN_OK;
    drone_entry_discard(r->m->queues, d->entry);
    return drone_reply_store(&r->reply, store);
}

static void replay_after(drone_msg_request *r, tern_code code)
{
    dead_request *d = (dead_request *)r;
    if (code != TERN_OK)
        return;
    int64_t now = drone_now_ms();
    d->queue->n_dead--;
    drone_queues_add(r->m->queues, d->entry, 0, now);
    drone_messages_dispatch(r->m, d->queue, now);
}

static tern_code drop_run(drone_msg_request *r, drone_store *store)
{
    dead_request *d = (dead_request *)r;
    tern_code code = find(d, store);
    if (code != TERN_OK)
        return code;
    return drone_sql_step(drone_store_stmt(store, DRONE_MSG_DROP), "i", d->sequence) < 0
               ? drone_reply_store(&r->reply, store)
               : TERN_OK;
}

static void drop_after(drone_msg_request *r, tern_code code)
{
    if (code == TERN_OK)
        ((dead_request *)r)->queue->n_dead--;
}

static tern_code handle_dead(void *self, tern_server_call *call, const void *req, void *res,
                             int64_t sequence, bool replay)
{
    drone_reply reply = { .call = call };
    tern_code code = drone_check_int(&reply, "sequence", sequence, 1, INT64_MAX);
    if (code != TERN_OK)
        return code;
    dead_request *d = drone_msg_request_new(sizeof(*d), self, call, req, res);
    if (!d)
        return TERN_RESOURCE_EXHAUSTED;
    d->sequence = sequence;
    d->r.run = replay ? replay_run : drop_run;
    d->r.after = replay ? replay_after : drop_after;
    return drone_msg_request_go(&d->r);
}

tern_code drone_handle_replay_dead(void *self, tern_server_call *call,
                                   const Drone__Messages__V1__ReplayDeadLetterRequest *req,
                                   Drone__Messages__V1__DeadLetter *res)
{
    return handle_dead(self, call, req, res, req->sequence, true);
}

tern_code drone_handle_drop_dead(void *self, tern_server_call *call,
                                 const Drone__Messages__V1__DropDeadLetterRequest *req,
                                 Drone__Messages__V1__DeadLetter *res)
{
    return handle_dead(self, call, req, res, req->sequence, false);
}

/* --- counters --------------------------------------------------------------------------------- */

static tern_code fill_queues(drone_msg_request *r, Drone__Messages__V1__Stats *res)
{
    res->queues = drone_reply_alloc(&r->reply, DRONE_QUEUES_MAX * sizeof(res->queues[0]));
    if (!res->queues)
        return drone_reply_nomem(&r->reply);
    for (drone_queue *q; (q = drone_queues_at(r->m->queues, res->n_queues));) {
        Drone__Messages__V1__QueueStats *s = drone_reply_alloc(&r->reply, sizeof(*s));
        if (!s)
            return drone_reply_nomem(&r->reply);
        drone__messages__v1__queue_stats__init(s);
        s->queue = drone_reply_strdup(&r->reply, q->name);
        if (!s->queue)
            return drone_reply_nomem(&r->reply);
        s->ready = (int64_t)q->n_ready;
        s->leased = (int64_t)q->n_leased;
        s->delayed = (int64_t)q->n_delayed;
        s->dead = (int64_t)q->n_dead;
        s->consumers = (int32_t)q->n_consumers;
        res->queues[res->n_queues++] = s;
    }
    return TERN_OK;
}

static tern_code fill_topics(drone_msg_request *r, Drone__Messages__V1__Stats *res)
{
    const drone_topics *ts = &r->m->topics;
    res->topics = drone_reply_alloc(&r->reply, (ts->n + 1) * sizeof(res->topics[0]));
    if (!res->topics)
        return drone_reply_nomem(&r->reply);
    for (size_t i = 0; i < ts->n; i++) {
        Drone__Messages__V1__TopicStats *s = drone_reply_alloc(&r->reply, sizeof(*s));
        if (!s)
            return drone_reply_nomem(&r->reply);
        drone__messages__v1__topic_stats__init(s);
        s->topic = drone_reply_strdup(&r->reply, ts->topics[i]->name);
        if (!s->topic)
            return drone_reply_nomem(&r->reply);
        s->last_sequence = ts->topics[i]->last;
        s->subscribers = (int32_t)ts->topics[i]->n_subscribers;
        res->topics[res->n_topics++] = s;
    }
    return TERN_OK;
}

static tern_code stats_run(drone_msg_request *r, drone_store *store)
{
    Drone__Messages__V1__Stats *res = r->res;
    (void)store;
    res->enqueued = atomic_load(&r->m->enqueued);
    res->settled = atomic_load(&r->m->settled);
    res->redelivered = atomic_load(&r->m->redelivered);
    res->emitted = atomic_load(&r->m->emitted);
    tern_code code = fill_queues(r, res);
    return code == TERN_OK ? fill_topics(r, res) : code;
}

tern_code drone_handle_messages_stats(void *self, tern_server_call *call,
                                      const Drone__Messages__V1__GetStatsRequest *req,
                                      Drone__Messages__V1__Stats *res)
{
    drone_msg_request *r = drone_msg_request_new(sizeof(*r), self, call, req, res);
    if (!r)
        return TERN_RESOURCE_EXHAUSTED;
    r->run = stats_run;
    r->op.reads_only = true;
    return drone_msg_request_go(r);
}
