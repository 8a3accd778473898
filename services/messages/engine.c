/* Loading, dispatching, feeding, ticking. See engine.h. */
#include "messages/engine.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "messages/schema.h"

/* --- loading ---------------------------------------------------------------------------------- */

typedef struct load_op {
    drone_store_op op;
    drone_messages *m;
    tern_status status;
} load_op;

static drone_queue *queue_named(load_op *l, const char *name)
{
    drone_queue *q = drone_queues_get(l->m->queues, name);
    if (!q)
        tern_status_set(&l->status, TERN_RESOURCE_EXHAUSTED,
                        "store messages: more than %d queues, or out of memory", DRONE_QUEUES_MAX);
    return q;
}

static tern_code load_queues(drone_store *store, load_op *l)
{
    int rc;
    sqlite3_stmt *s = drone_store_stmt(store, DRONE_MSG_ALIVE);
    for (rc = drone_sql_step(s, ""); rc > 0; rc = drone_sql_next(s)) {
        drone_queue *q = queue_named(l, drone_sql_text(s, 1));
        drone_entry *e = q ? drone_entry_new(q, NULL, 0) : NULL;
        if (!e)
            return q ? tern_status_set(&l->status, TERN_RESOURCE_EXHAUSTED, "out of memory")
                     : l->status.code;
        e->sequence = sqlite3_column_int64(s, 0);
        e->attempts = (uint32_t)sqlite3_column_int64(s, 2);
        e->enqueued_at_ms = sqlite3_column_int64(s, 3);
        drone_queues_add(l->m->queues, e, sqlite3_column_int64(s, 4), drone_now_ms());
    }
    if (rc < 0)
        return drone_store_fail(store, &l->status);
    s = drone_store_stmt(store, DRONE_MSG_DEAD_COUNT);
    for (rc = drone_sql_step(s, ""); rc > 0; rc = drone_sql_next(s)) {
        drone_queue *q = queue_named(l, drone_sql_text(s, 0));
        if (!q)
            return l->status.code;
        q->n_dead = (size_t)sqlite3_column_int64(s, 1);
    }
    return rc < 0 ? drone_store_fail(store, &l->status) : TERN_OK;
}

static tern_code load_topics(drone_store *store, load_op *l)
{
    int rc;
    const char *full = "store messages: more topics or subscribers than the limits, or out of "
                       "memory";
    sqlite3_stmt *s = drone_store_stmt(store, DRONE_EVENT_LAST);
    for (rc = drone_sql_step(s, ""); rc > 0; rc = drone_sql_next(s)) {
        drone_topic *t = drone_topics_get(&l->m->topics, drone_sql_text(s, 0));
        if (!t)
            return tern_status_set(&l->status, TERN_RESOURCE_EXHAUSTED, "%s", full);
        t->last = sqlite3_column_int64(s, 1);
        t->count = sqlite3_column_int64(s, 2);
    }
    if (rc < 0)
        return drone_store_fail(store, &l->status);
    s = drone_store_stmt(store, DRONE_CURSOR_ALL);
    for (rc = drone_sql_step(s, ""); rc > 0; rc = drone_sql_next(s)) {
        drone_topic *t = drone_topics_get(&l->m->topics, drone_sql_text(s, 0));
        int64_t cursor = sqlite3_column_int64(s, 2);
        if (!t || !drone_subscriber_new(t, drone_sql_text(s, 1), cursor))
            return tern_status_set(&l->status, TERN_RESOURCE_EXHAUSTED, "%s", full);
        if (t->last < cursor) /* all of it is pruned */
            t->last = cursor;
    }
    return rc < 0 ? drone_store_fail(store, &l->status) : TERN_OK;
}

static tern_code load_run(drone_store *store, drone_store_op *op)
{
    load_op *l = (load_op *)op;
    tern_code code = load_queues(store, l);
    return code == TERN_OK ? load_topics(store, l) : code;
}

tern_code drone_messages_load(drone_messages *m, tern_status *reterr)
{
    load_op l = { .op = { .run = load_run, .reads_only = true }, .m = m };
    m->queues = drone_queues_new();
    if (!m->queues)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    tern_code code = drone_store_call(m->store, &l.op);
    if (code != TERN_OK && reterr)
        *reterr = l.status;
    return code;
}

void drone_messages_unload(drone_messages *m)
{
    for (size_t i = 0; m->queues && drone_queues_at(m->queues, i); i++) {
        drone_consumer *c;
        TAILQ_FOREACH(c, &drone_queues_at(m->queues, i)->consumers, link)
        drone_outlet_release(c->outlet);
    }
    drone_queues_free(m->queues);
    m->queues = NULL;
    drone_topics_free(&m->topics);
}

/* --- what goes out ---------------------------------------------------------------------------- */

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *at++ = (uint8_t)(v | 0x80);
    *at++ = (uint8_t)v;
    return at;
}

static uint8_t *put_field(uint8_t *at, unsigned number, unsigned wire_type, uint64_t v)
{
    *at++ = (uint8_t)(number << 3 | wire_type);
    return put_varint(at, v);
}

#define VARINT_MAX 10
#define LENGTH_DELIMITED 2

drone_parcel *drone_messages_parcel(int64_t sequence, int64_t second, int64_t third,
                                    const void *message, size_t len)
{
    uint8_t head[4 * (1 + VARINT_MAX)], *end;
    uint8_t outer[1 + VARINT_MAX];
    unsigned number = 1;

    end = put_field(head, number++, 0, (uint64_t)sequence);
    end = put_field(end, number++, 0, (uint64_t)second);
    if (third >= 0)
        end = put_field(end, number++, 0, (uint64_t)third);
    end = put_field(end, number, LENGTH_DELIMITED, len);
    size_t head_len = (size_t)(end - head);
    size_t outer_len = (size_t)(put_field(outer, 1, LENGTH_DELIMITED, head_len + len) - outer);

    drone_parcel *p = drone_parcel_new(outer_len + head_len + len);
    if (p) {
        memcpy(p->data, outer, outer_len);
        memcpy(p->data + outer_len, head, head_len);
        memcpy(p->data + outer_len + head_len, message, len);
    }
    return p;
}

/* Sends one leased entry; false when it could not be. */
static bool deliver(drone_messages *m, drone_entry *e)
{
    const void *body = e->body;
    size_t len = e->body_len;
    sqlite3_stmt *s = NULL;
    if (!body) {
        s = drone_store_stmt(m->store, DRONE_MSG_BODY);
        if (drone_sql_step(s, "i", e->sequence) <= 0)
            return false;
        body = sqlite3_column_blob(s, 0);
        len = (size_t)sqlite3_column_bytes(s, 0);
    }
    drone_parcel *p =
        drone_messages_parcel(e->sequence, e->attempts + 1, e->enqueued_at_ms, body, len);
    if (s)
        sqlite3_reset(s);
    return p && drone_outlet_push(e->holder->outlet, p);
}

void drone_messages_dispatch(drone_messages *m, drone_queue *q, int64_t now_ms)
{
    for (drone_entry *e; (e = drone_queue_lease(q, now_ms));) {
        drone_consumer *c = e->holder;
        if (deliver(m, e)) {
            if (e->attempts > 0)
                atomic_fetch_add_explicit(&m->redelivered, 1, memory_order_relaxed);
            continue;
        }
        drone_queues_unlease(m->queues, e);
        if (!drone_outlet_is_over(c->outlet))
            return;           /* out of memory: the next tick tries again */
        c->in_flight_max = 0; /* the next tick takes it away */
    }
}

static void feed_one(drone_messages *m, drone_subscriber *s)
{
    for (size_t room; (room = drone_subscriber_room(s)) > 0;) {
        int64_t limit = room < DRONE_FEED_MAX ? (int64_t)room : DRONE_FEED_MAX;
        sqlite3_stmt *q = drone_store_stmt(m->store, DRONE_EVENT_NEXT);
        int rc = drone_sql_step(q, "tii", s->topic->name, s->sent, limit);
        bool pushed = rc > 0;
        for (; rc > 0; rc = drone_sql_next(q)) {
            int64_t sequence = sqlite3_column_int64(q, 0);
            if (!s->key[0] || strcmp(s->key, drone_sql_text(q, 3)) == 0) {
                drone_parcel *p = drone_messages_parcel(sequence, sqlite3_column_int64(q, 1), -1,
                                                        sqlite3_column_blob(q, 2),
                                                        (size_t)sqlite3_column_bytes(q, 2));
                pushed = p && drone_outlet_push(s->outlet, p);
            }
            if (!pushed)
                break;
            drone_subscriber_sent(s, sequence);
        }
        sqlite3_reset(q);
        if (!pushed) /* over, out of memory, or nothing there: the next tick looks again */
            return;
    }
}

void drone_messages_feed(drone_messages *m, drone_topic *t)
{
    drone_subscriber *s;
    TAILQ_FOREACH(s, &t->subscribers, link)
    feed_one(m, s);
}

/* --- what comes back -------------------------------------------------------------------------- */

tern_code drone_messages_write_return(drone_store *store, const drone_entry *e, int64_t due_ms,
                                      const char *reason, int64_t now_ms)
{
    int64_t attempts = (int64_t)e->attempts + 1;
    int rc = attempts < DRONE_MESSAGE_ATTEMPTS_MAX
                 ? drone_sql_step(drone_store_stmt(store, DRONE_MSG_RETRY), "iiit", e->sequence,
                                  attempts, due_ms, reason)
                 : drone_sql_step(drone_store_stmt(store, DRONE_MSG_BURY), "iiti", e->sequence,
                                  attempts, reason, now_ms);
    return rc < 0 ? TERN_INTERNAL : TERN_OK;
}

void drone_messages_apply_return(drone_messages *m, drone_entry *e, int64_t due_ms, int64_t now_ms)
{
    e->claimed = false;
    if (e->attempts + 1 < DRONE_MESSAGE_ATTEMPTS_MAX) {
        drone_queues_return(m->queues, e, due_ms, now_ms);
        return;
    }
    e->queue->n_dead++;
    drone_queues_remove(m->queues, e);
}

/* --- ticks ------------------------------------------------------------------------------------ */

/* Writes down the leases of one consumer that have ended. */
static tern_code return_leases(drone_messages *m, drone_consumer *c, int64_t now)
{
    bool over = drone_outlet_is_over(c->outlet);
    const char *reason = over ? "its consumer went away" : "its lease ended";
    drone_entry *e;
    TAILQ_FOREACH(e, &c->leased, link)
    {
        if (!over && e->lease_end_ms > now)
            return TERN_OK; /* they are in this order */
        if (e->claimed)
            continue;
        if (m->n_returned == DRONE_TICK_RETURNS_MAX)
            return TERN_OK;
        if (drone_messages_write_return(m->store, e, now, reason, now) != TERN_OK)
            return TERN_INTERNAL;
        e->claimed = true;
        m->returned[m->n_returned++] = e;
    }
    return TERN_OK;
}

static tern_code prune(drone_messages *m, drone_topic *t)
{
    t->pruned = 0;
    if (t->count == 0)
        return TERN_OK;
    sqlite3_stmt *s = drone_store_stmt(m->store, DRONE_EVENT_PRUNE);
    if (drone_sql_step(s, "tii", t->name, drone_topic_floor(t), (int64_t)DRONE_PRUNE_MAX) < 0)
        return TERN_INTERNAL;
    t->pruned = sqlite3_changes(drone_store_db(m->store));
    return TERN_OK;
}

tern_code drone_messages_tick_run(drone_store *store, drone_store_op *op)
{
    drone_messages *m = (drone_messages *)((char *)op - offsetof(drone_messages, tick));
    int64_t now = drone_now_ms();
    tern_code code = TERN_OK;
    drone_queue *q;
    (void)store;
    m->n_returned = 0;
    for (size_t i = 0; code == TERN_OK && (q = drone_queues_at(m->queues, i)); i++) {
        drone_consumer *c;
        TAILQ_FOREACH(c, &q->consumers, link)
        if (code == TERN_OK)
            code = return_leases(m, c, now);
    }
    for (size_t i = 0; code == TERN_OK && i < m->topics.n; i++)
        code = prune(m, m->topics.topics[i]);
    return code;
}

/* Consumers and subscribers whose calls are over. */
static void drop_gone(drone_messages *m)
{
    drone_queue *q;
    for (size_t i = 0; (q = drone_queues_at(m->queues, i)); i++)
        for (drone_consumer *c = TAILQ_FIRST(&q->consumers), *next; c; c = next) {
            next = TAILQ_NEXT(c, link);
            if (c->n_leased > 0 || !drone_outlet_is_over(c->outlet))
                continue;
            drone_outlet_release(c->outlet);
            drone_consumer_free(c);
        }
    for (size_t i = 0; i < m->topics.n; i++)
        for (drone_subscriber *s = TAILQ_FIRST(&m->topics.topics[i]->subscribers), *next; s;
             s = next) {
            next = TAILQ_NEXT(s, link);
            if (!s->outlet)
                continue;
            if (drone_outlet_is_over(s->outlet))
                drone_subscriber_disconnect(s);
            else if (!s->name[0] && s->topic->count > 0 && s->sent < s->topic->last &&
                     s->topic->last - s->sent > DRONE_LIVE_LAG_MAX)
                drone_outlet_end(s->outlet, TERN_RESOURCE_EXHAUSTED,
                                 "fell too far behind the events: subscribe again");
        }
}

void drone_messages_tick_done(drone_store_op *op, tern_code code)
{
    drone_messages *m = (drone_messages *)((char *)op - offsetof(drone_messages, tick));
    int64_t now = drone_now_ms();
    drone_queue *q;
    for (size_t i = 0; i < m->n_returned; i++) {
        if (code == TERN_OK)
            drone_messages_apply_return(m, m->returned[i], now, now);
        else
            m->returned[i]->claimed = false;
    }
    m->n_returned = 0;
    drop_gone(m);
    drone_queues_wake(m->queues, now);
    for (size_t i = 0; (q = drone_queues_at(m->queues, i)); i++)
        drone_messages_dispatch(m, q, now);
    for (size_t i = 0; i < m->topics.n; i++) {
        if (code == TERN_OK)
            m->topics.topics[i]->count -= m->topics.topics[i]->pruned;
        drone_messages_feed(m, m->topics.topics[i]);
    }
    atomic_store(&m->ticking, false);
}

static void *ticker(void *arg)
{
    drone_messages *m = arg;
    pthread_mutex_lock(&m->lock);
    while (!m->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += DRONE_MESSAGES_TICK_MS * 1000000L;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        while (!m->stopping && pthread_cond_timedwait(&m->wake, &m->lock, &until) != ETIMEDOUT)
            ;
        if (m->stopping || atomic_exchange(&m->ticking, true))
            continue;
        if (drone_store_submit(m->store, &m->tick) != 0)
            atomic_store(&m->ticking, false);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

tern_code drone_messages_start(drone_messages *m, tern_status *reterr)
{
    pthread_condattr_t attr;
    m->tick.run = drone_messages_tick_run;
    m->tick.done = drone_messages_tick_done;
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&m->ticker, NULL, ticker, m);
    if (rc != 0)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "cannot start a thread: %s",
                               strerror(rc));
    m->started = true;
    return TERN_OK;
}

void drone_messages_stop(drone_messages *m)
{
    if (!m->started)
        return;
    pthread_mutex_lock(&m->lock);
    m->stopping = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->ticker, NULL);
    m->started = false;
}
