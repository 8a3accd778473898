/* Delivery of the outbox. The store is what counts; the list in memory only saves reading it
 * again and again. It is as long as there are deliveries being undone, which the Scheduler
 * bounds.
 *
 * A message that the Supervisor refuses for good is a defect of one of the two. It is kept,
 * complained about, and tried again with the longest pause: a renewed Supervisor may take it. */
#include "scheduler/outbox.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/service.h"
#include "scheduler/schema.h"
#include <drone/supervisor/v1/supervisor.tern.h>

#define CALL_TIMEOUT_MS 5000
#define PAUSE_MS 50
#define PAUSE_MS_MAX 2000
#define STOP_GRACE_S 1

typedef struct message {
    drone_store_op op; /* first: drops the row */
    struct message *next;
    char message_id[DRONE_KEY_SIZE];
    drone_bytes body;
} message;

struct drone_outbox {
    drone_store *store;
    drone_bus *bus; /* NULL: by calls */
    tern_channel *channel;
    tern_context *context;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    message *head, *tail;
    pthread_t thread;
    bool started;
    bool stopping;
    tern_status status; /* of loading */
};

static void message_free(message *m)
{
    free(m->body.data);
    free(m);
}

/* Puts a message behind all others. With the lock held. */
static void requeue(drone_outbox *o, message *m)
{
    m->next = NULL;
    if (o->tail)
        o->tail->next = m;
    else
        o->head = m;
    o->tail = m;
}

static void append(drone_outbox *o, message *m)
{
    pthread_mutex_lock(&o->lock);
    requeue(o, m);
    pthread_cond_signal(&o->wake);
    pthread_mutex_unlock(&o->lock);
}

/* --- the deliverer ---------------------------------------------------------------------------- */

static tern_code drop_run(drone_store *store, drone_store_op *op)
{
    tern_status status;
    return drone_outbox_drop(store, ((message *)op)->message_id, &status);
}

/* Should the row stay, it is delivered once more after the next start, which changes nothing. */
static void drop_done(drone_store_op *op, tern_code code)
{
    (void)code;
    message_free((message *)op);
}

/* Waits until woken or stopped; with the lock held. False when stopping. */
static bool pause_for(drone_outbox *o, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!o->stopping && pthread_cond_timedwait(&o->wake, &o->lock, &until) == 0)
        ;
    return !o->stopping;
}

static tern_code send_call(drone_outbox *o, const message *m, tern_status *reterr)
{
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    Drone__Supervisor__V1__CompensateResponse *res;
    Drone__Supervisor__V1__CompensateRequest *req =
        drone__supervisor__v1__compensate_request__unpack(NULL, m->body.len, m->body.data);

    if (!req)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    options.timeout_ms = CALL_TIMEOUT_MS;
    options.context = o->context;
    tern_code code =
        drone_supervisor_v1_supervisor_service_compensate(o->channel, &options, req, &res, reterr);
    if (code == TERN_OK)
        drone__supervisor__v1__compensate_response__free_unpacked(res, NULL);
    drone__supervisor__v1__compensate_request__free_unpacked(req, NULL);
    return code;
}

static tern_code send_message(drone_outbox *o, const message *m, tern_status *reterr)
{
    const drone_bus_message out = { .message_id = m->message_id,
                                    .key = "",
                                    .traceparent = "",
                                    .body = m->body.data,
                                    .body_len = m->body.len };
    return o->bus ? drone_bus_publish(o->bus, DRONE_QUEUE_COMPENSATIONS, &out, 1, reterr)
                  : send_call(o, m, reterr);
}

/* Sends one message until it is acknowledged, or refused: then the others come first. With the lock
 * held, which it lets go meanwhile. */
static void deliver(drone_outbox *o, message *m)
{
    for (int64_t n = 1; !o->stopping; n++) {
        tern_status status;
        pthread_mutex_unlock(&o->lock);
        tern_code code = send_message(o, m, &status);
        if (code == TERN_OK && drone_store_submit(o->store, &m->op) == 0) {
            pthread_mutex_lock(&o->lock);
            return;
        }
        bool refused = drone_outcome_of(code) == DRONE_OUTCOME_REFUSED;
        if (refused)
            fprintf(stderr, "scheduler: ALARM: the Supervisor refuses message %s: %s: %s\n",
                    m->message_id, tern_code_name(code), status.message);
        pthread_mutex_lock(&o->lock);
        bool go_on = pause_for(o, drone_backoff_ms(refused ? PAUSE_MS_MAX : PAUSE_MS, PAUSE_MS_MAX,
                                                   n, drone_random()));
        if (go_on && refused) {
            requeue(o, m);
            return;
        }
    }
    message_free(m);
}

static void *deliverer(void *arg)
{
    drone_outbox *o = arg;

    pthread_mutex_lock(&o->lock);
    while (!o->stopping) {
        message *m = o->head;
        if (!m) {
            pthread_cond_wait(&o->wake, &o->lock);
            continue;
        }
        o->head = m->next;
        if (!o->head)
            o->tail = NULL;
        deliver(o, m);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

static message *message_new(const char *message_id, drone_bytes body)
{
    message *m = calloc(1, sizeof(*m));
    if (!m) {
        free(body.data);
        return NULL;
    }
    m->op.run = drop_run;
    m->op.done = drop_done;
    snprintf(m->message_id, sizeof(m->message_id), "%s", message_id);
    m->body = body;
    return m;
}

typedef struct load_op {
    drone_store_op op;
    drone_outbox *outbox;
} load_op;

static tern_code load_run(drone_store *store, drone_store_op *op)
{
    drone_outbox *o = ((load_op *)op)->outbox;
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_OUTBOX_ALL);
    int rc;

    for (rc = drone_sql_step(q, ""); rc > 0; rc = drone_sql_next(q)) {
        drone_bytes body = { NULL, (size_t)sqlite3_column_bytes(q, 2) };
        message *m = NULL;
        if (body.len > 0 && (body.data = malloc(body.len)) != NULL) {
            memcpy(body.data, sqlite3_column_blob(q, 2), body.len);
            m = message_new(drone_sql_text(q, 0), body);
        }
        if (!m)
            return tern_status_set(&o->status, TERN_RESOURCE_EXHAUSTED,
                                   "the outbox cannot be read: out of memory, or an empty message");
        append(o, m);
    }
    return rc < 0 ? drone_store_fail(store, &o->status) : TERN_OK;
}

tern_code drone_outbox_new(drone_store *store, const char *address, drone_bus *bus,
                           drone_outbox **ret, tern_status *reterr)
{
    pthread_condattr_t attr;
    tern_channel_options options = drone_channel_options();
    drone_outbox *o = calloc(1, sizeof(*o));

    if (!o)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    o->store = store;
    o->bus = bus;
    pthread_mutex_init(&o->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&o->wake, &attr);
    pthread_condattr_destroy(&attr);
    tern_code code = tern_channel_new(address, &options, &o->channel, reterr);
    if (code == TERN_OK && !(o->context = tern_context_new(NULL, 0)))
        code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    if (code == TERN_OK) {
        load_op l = { .op = { .run = load_run, .reads_only = true }, .outbox = o };
        code = drone_store_call(store, &l.op);
        if (code != TERN_OK && reterr)
            *reterr = o->status;
    }
    if (code != TERN_OK) {
        drone_outbox_free(o);
        return code;
    }
    *ret = o;
    return TERN_OK;
}

tern_code drone_outbox_start(drone_outbox *o, tern_status *reterr)
{
    int rc = pthread_create(&o->thread, NULL, deliverer, o);
    if (rc != 0)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "cannot start a thread: %s",
                               strerror(rc));
    o->started = true;
    return TERN_OK;
}

void drone_outbox_push(drone_outbox *o, const char *message_id, drone_bytes body)
{
    message *m = message_new(message_id, body);
    if (m)
        append(o, m);
    else
        fprintf(stderr,
                "scheduler: out of memory: message %s stays in the outbox until the next "
                "start\n",
                message_id);
}

void drone_outbox_stop(drone_outbox *o)
{
    struct timespec until;

    if (!o || !o->started)
        return;
    pthread_mutex_lock(&o->lock);
    o->stopping = true;
    pthread_cond_broadcast(&o->wake);
    pthread_mutex_unlock(&o->lock);
    /* A call that is on its way may end well; one that hangs is cancelled. */
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_GRACE_S;
    if (pthread_timedjoin_np(o->thread, NULL, &until) != 0) {
        tern_context_cancel(o->context);
        pthread_join(o->thread, NULL);
    }
    o->started = false;
}

void drone_outbox_free(drone_outbox *o)
{
    if (!o)
        return;
    while (o->head) {
        message *m = o->head;
        o->head = m->next;
        message_free(m);
    }
    tern_channel_free(o->channel);
    tern_context_free(o->context);
    pthread_cond_destroy(&o->wake);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

void drone_outbox_stats(drone_outbox *o, tern_channel_stats *ret)
{
    tern_channel_stats_get(o->channel, ret);
}
