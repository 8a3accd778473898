/* Accepting a command: its key and its place in the buffer, in one commit. See engine.h. */
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "ingestion/engine.h"
#include "ingestion/schema.h"

/* --- within the transaction ------------------------------------------------------------------- */

/* OK with a->replayed, or ABORTED when the key stood for something else. */
static tern_code look_for_key(drone_accept *a, drone_store *store)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_ING_KEY_FIND);
    int rc = drone_sql_step(q, "t", a->key);
    if (rc < 0)
        return drone_reply_store(&a->reply, store);
    if (rc == 0)
        return TERN_OK;
    a->replayed = sqlite3_column_int64(q, 0) == a->digest &&
                  strcmp(drone_sql_text(q, 1), a->delivery_id) == 0;
    sqlite3_reset(q);
    return a->replayed ? TERN_OK
                       : drone_reply_fail(&a->reply, TERN_ABORTED,
                                          "the header Idempotency-Key: %s was used for another "
                                          "request; repeat that one, or take another key",
                                          a->key);
}

static tern_code look_for_delivery(drone_accept *a, drone_store *store)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_ING_DELIVERY_FIND);
    int rc = drone_sql_step(q, "t", a->delivery_id);
    if (rc < 0)
        return drone_reply_store(&a->reply, store);
    sqlite3_reset(q);
    return rc == 0 ? TERN_OK
                   : drone_reply_fail(&a->reply, TERN_ABORTED,
                                      "$.deliveryId: %s was used for another request; take another "
                                      "id",
                                      a->delivery_id);
}

static tern_code accept_run(drone_store *store, drone_store_op *op)
{
    drone_accept *a = (drone_accept *)op;
    a->replayed = false;
    tern_code code = look_for_key(a, store);
    if (code == TERN_OK && !a->replayed && a->schedules)
        code = look_for_delivery(a, store);
    if (code != TERN_OK || a->replayed)
        return code;
    if (drone_sql_step(drone_store_stmt(store, DRONE_ING_KEY_ADD), "titii", a->key, a->digest,
                       a->delivery_id, (int64_t)a->schedules, drone_now_ms()) < 0 ||
        drone_sql_step(drone_store_stmt(store, DRONE_ING_BUFFER_ADD), "ttb", a->delivery_id,
                       a->traceparent, (const void *)a->body, a->len) < 0)
        return drone_reply_store(&a->reply, store);
    return TERN_OK;
}

/* --- after the commit ------------------------------------------------------------------------- */

static void end(drone_accept *a, tern_code code)
{
    drone_ingestion *g = a->ingestion;
    free(a->body);
    a->body = NULL;
    if (code == TERN_OK)
        drone_answer_accepted(a->answer, a->delivery_id, a->replayed);
    else
        drone_answer_failure(a->answer, code, a->reply.status.message);
    if (code == TERN_OK)
        atomic_fetch_add(a->replayed ? &g->repeated : &g->accepted, 1);
    drone_reply_deinit(&a->reply);
    a->done(a);
}

static void accept_done(drone_store_op *op, tern_code code)
{
    drone_accept *a = (drone_accept *)op;
    drone_ingestion *g = a->ingestion;
    bool added = code == TERN_OK && !a->replayed;
    if (added)
        drone_publisher_wake(g->publisher);
    else
        atomic_fetch_sub(&g->buffered, 1);
    end(a, code); /* the last: whoever stops waits for it */
}

void drone_accept_start(drone_accept *a)
{
    drone_ingestion *g = a->ingestion;
    a->reply = (drone_reply)DRONE_REPLY_INIT;
    a->op = (drone_store_op){ .run = accept_run, .done = accept_done };
    /* Counted before it is there, so that the limit holds whatever comes at once. */
    if (atomic_fetch_add(&g->buffered, 1) < g->buffer_max &&
        drone_store_submit(g->store, &a->op) == 0)
        return;
    atomic_fetch_sub(&g->buffered, 1);
    end(a, drone_reply_fail(&a->reply, TERN_UNAVAILABLE,
                            "too many requests wait to be taken up; nothing was accepted, come "
                            "again later"));
}

/* --- looking for what waits ------------------------------------------------------------------- */

static tern_code pending_run(drone_store *store, drone_store_op *op)
{
    drone_pending *p = (drone_pending *)op;
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_ING_DELIVERY_FIND);
    int rc = drone_sql_step(q, "t", p->delivery_id);
    if (rc < 0)
        return drone_reply_store(&p->reply, store);
    p->found = rc > 0;
    sqlite3_reset(q);
    return TERN_OK;
}

static void pending_done(drone_store_op *op, tern_code code)
{
    drone_pending *p = (drone_pending *)op;
    drone_reply_deinit(&p->reply);
    p->done(p, code);
}

bool drone_pending_start(drone_ingestion *g, drone_pending *p)
{
    p->reply = (drone_reply)DRONE_REPLY_INIT;
    p->op = (drone_store_op){ .run = pending_run, .done = pending_done, .reads_only = true };
    return drone_store_submit(g->store, &p->op) == 0;
}

/* --- at the start ----------------------------------------------------------------------------- */

typedef struct load_op {
    drone_store_op op;
    drone_ingestion *ingestion;
    tern_status status;
} load_op;

static tern_code load_run(drone_store *store, drone_store_op *op)
{
    load_op *l = (load_op *)op;
    drone_ingestion *g = l->ingestion;
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_ING_BUFFER_COUNT);
    if (drone_sql_step(q, "") <= 0)
        return drone_store_fail(store, &l->status);
    atomic_store(&g->buffered, sqlite3_column_int64(q, 0));
    sqlite3_reset(q);
    q = drone_store_stmt(store, DRONE_ING_DOOR);
    int rc = drone_sql_step(q, "");
    if (rc < 0)
        return drone_store_fail(store, &l->status);
    if (rc > 0) {
        g->number = (uint32_t)sqlite3_column_int64(q, 0);
        sqlite3_reset(q);
        return TERN_OK;
    }
    g->number = (uint32_t)drone_random();
    if (drone_sql_step(drone_store_stmt(store, DRONE_ING_DOOR_ADD), "i", (int64_t)g->number) < 0)
        return drone_store_fail(store, &l->status);
    return TERN_OK;
}

tern_code drone_ingestion_load(drone_ingestion *g, tern_status *reterr)
{
    load_op l = { .op = { .run = load_run }, .ingestion = g };
    tern_code code = drone_store_call(g->store, &l.op);
    if (code != TERN_OK && reterr)
        *reterr = l.status;
    return code;
}
