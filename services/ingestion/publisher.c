/* The publisher: moves what was accepted from the buffer into the queue "requests", in the order of
 * acceptance. A batch is taken from the buffer only when the bus has said that it is on disk there;
 * what is published twice, because nobody heard that, has the same id and is one message. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/backoff.h"
#include "ingestion/engine.h"
#include "ingestion/schema.h"

#define PAUSE_MS 20
#define PAUSE_MS_MAX 2000
/* A command has less than 1 KiB, so that a batch keeps far from the 1 MiB of a publishing. */
#define BATCH_MAX DRONE_BUS_BATCH_MAX

typedef struct row {
    int64_t sequence;
    char message_id[32];
    char delivery_id[DRONE_ID_BYTES_MAX + 1];
    char traceparent[DRONE_TRACEPARENT_SIZE];
    void *body;
    size_t len;
} row;

struct drone_publisher {
    drone_ingestion *ingestion;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool told, stopping;
    row rows[BATCH_MAX];
    size_t n;
};

/* --- the buffer ------------------------------------------------------------------------------- */

/* Drops what was published, and reads what comes next. */
typedef struct turn_op {
    drone_store_op op;
    drone_publisher *publisher;
    int64_t published; /* the last sequence; 0: none */
    tern_status status;
} turn_op;

static void clear(drone_publisher *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->rows[i].body);
    p->n = 0;
}

static bool read_row(drone_publisher *p, sqlite3_stmt *q)
{
    row *r = &p->rows[p->n];
    size_t len = (size_t)sqlite3_column_bytes(q, 3);
    r->body = malloc(len ? len : 1);
    if (!r->body)
        return false;
    memcpy(r->body, len ? sqlite3_column_blob(q, 3) : "", len);
    r->len = len;
    r->sequence = sqlite3_column_int64(q, 0);
    snprintf(r->message_id, sizeof(r->message_id), "%08x-%lld", p->ingestion->number,
             (long long)r->sequence);
    snprintf(r->delivery_id, sizeof(r->delivery_id), "%s", drone_sql_text(q, 1));
    snprintf(r->traceparent, sizeof(r->traceparent), "%s", drone_sql_text(q, 2));
    p->n++;
    return true;
}

static tern_code turn_run(drone_store *store, drone_store_op *op)
{
    turn_op *t = (turn_op *)op;
    drone_publisher *p = t->publisher;
    int rc;
    clear(p);
    if (t->published &&
        drone_sql_step(drone_store_stmt(store, DRONE_ING_BUFFER_DROP), "i", t->published) < 0)
        return drone_store_fail(store, &t->status);
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_ING_BUFFER_NEXT);
    for (rc = drone_sql_step(q, "i", (int64_t)BATCH_MAX); rc > 0; rc = drone_sql_next(q))
        if (p->n == BATCH_MAX || !read_row(p, q))
            break;
    if (rc < 0)
        return drone_store_fail(store, &t->status);
    sqlite3_reset(q);
    return TERN_OK;
}

/* --- the thread ------------------------------------------------------------------------------- */

static bool stopping(drone_publisher *p)
{
    pthread_mutex_lock(&p->lock);
    bool yes = p->stopping;
    pthread_mutex_unlock(&p->lock);
    return yes;
}

static void pause_for(drone_publisher *p, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&p->lock);
    while (!p->stopping && pthread_cond_timedwait(&p->wake, &p->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&p->lock);
}

/* Until something is new, or it is stopped. */
static void await_news(drone_publisher *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->told && !p->stopping)
        pthread_cond_wait(&p->wake, &p->lock);
    p->told = false;
    pthread_mutex_unlock(&p->lock);
}

static tern_code publish(drone_publisher *p, tern_status *reterr)
{
    drone_bus_message messages[BATCH_MAX];
    for (size_t i = 0; i < p->n; i++)
        messages[i] = (drone_bus_message){ .message_id = p->rows[i].message_id,
                                           .key = p->rows[i].delivery_id,
                                           .traceparent = p->rows[i].traceparent,
                                           .body = p->rows[i].body,
                                           .body_len = p->rows[i].len };
    return drone_bus_publish(p->ingestion->bus, DRONE_QUEUE_REQUESTS, messages, p->n, reterr);
}

/* Publishes the batch, again and again if need be. False: it is to stop. */
static bool publish_batch(drone_publisher *p)
{
    for (int64_t n = 1;; n++) {
        tern_status status;
        if (publish(p, &status) == TERN_OK)
            return true;
        if (n == 1)
            fprintf(stderr,
                    "ingestion: requests wait, for they cannot be put into the queue: %s: %s; it "
                    "is tried again until they can\n",
                    tern_code_name(status.code), status.message);
        pause_for(p, drone_backoff_ms(PAUSE_MS, PAUSE_MS_MAX, n, drone_random()));
        if (stopping(p))
            return false;
    }
}

static void *run(void *arg)
{
    drone_publisher *p = arg;
    drone_ingestion *g = p->ingestion;
    turn_op t = { .publisher = p };
    while (!stopping(p)) {
        t.op = (drone_store_op){ .run = turn_run };
        if (drone_store_call(g->store, &t.op) != TERN_OK) { /* too much to do, or no memory */
            pause_for(p, PAUSE_MS);
            continue;
        }
        if (t.published)
            t.published = 0;
        if (p->n == 0) {
            await_news(p);
            continue;
        }
        if (!publish_batch(p))
            break;
        t.published = p->rows[p->n - 1].sequence;
        atomic_fetch_add(&g->published, (long long)p->n);
        atomic_fetch_sub(&g->buffered, (long long)p->n);
    }
    if (t.published) { /* so that the next start does not publish them again */
        t.op = (drone_store_op){ .run = turn_run };
        drone_store_call(g->store, &t.op);
    }
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

tern_code drone_publisher_new(drone_ingestion *g, drone_publisher **ret, tern_status *reterr)
{
    pthread_condattr_t attr;
    drone_publisher *p = calloc(1, sizeof(*p));
    if (!p)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    p->ingestion = g;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&p->thread, NULL, run, p);
    if (rc != 0) {
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->lock);
        free(p);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "cannot start a thread: %s",
                               strerror(rc));
    }
    *ret = p;
    return TERN_OK;
}

void drone_publisher_wake(drone_publisher *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->told = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void drone_publisher_free(drone_publisher *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    clear(p);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
