/* The queue, the writing thread and its commits. See store.h.
 *
 *     handlers --submit--> queue --take up to DRONE_STORE_BATCH_MAX--> BEGIN
 *                                     for each: SAVEPOINT, run, RELEASE or ROLLBACK TO
 *                                 COMMIT (WAL, fsync) --> done of each
 *
 * What a later operation of a batch reads may have been written by an earlier one that is not yet
 * on disk; no answer leaves before the commit, so nobody outside ever sees what could still be
 * lost. */
#include "common/store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/store_internal.h"

/* After a failed commit the state of the file is unknown; only a fresh start knows it again. */
static _Noreturn void die(drone_store *store, const char *what)
{
    fprintf(
        stderr,
        "%s: store %s: %s failed: %s (SQLite code %d); stopping, because what is on disk is only "
        "certain after a restart\n",
        store->schema->name, store->path, what, sqlite3_errmsg(store->db),
        sqlite3_extended_errcode(store->db));
    fflush(stderr);
    _exit(DRONE_EXIT_FAILURE);
}

/* Runs one of the store's own statements; they fail only when the transaction does. */
static void control(drone_store *store, sqlite3_stmt *stmt, const char *what)
{
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE || sqlite3_reset(stmt) != SQLITE_OK) {
        die(store, what);
    }
}

/* A statement that is left in the middle of its rows would keep the read snapshot open. */
static void reset_used(drone_store *store)
{
    while (store->used != 0) {
        int i = __builtin_ctzll(store->used);
        store->used &= store->used - 1;
        sqlite3_reset(store->stmts[i]);
    }
}

static tern_code run_one(drone_store *store, drone_store_op *op)
{
    tern_code code = tern_context_error(op->context);
    if (code != TERN_OK) {
        return code;
    }
    if (op->reads_only) {
        code = op->run(store, op);
        reset_used(store);
        return code;
    }
    control(store, store->savepoint, "SAVEPOINT");
    code = op->run(store, op);
    reset_used(store);
    /* Full disks and I/O errors may make SQLite roll the whole transaction back by itself. */
    if (sqlite3_get_autocommit(store->db) != 0) {
        die(store, "the transaction");
    }
    if (code != TERN_OK) {
        control(store, store->rollback, "ROLLBACK");
    }
    control(store, store->release, "RELEASE");
    return code;
}

static void run_batch(drone_store *store, drone_store_op *first)
{
    uint64_t n = 0;
    control(store, store->begin, "BEGIN");
    for (drone_store_op *op = first; op != NULL; op = op->next) {
        op->code = run_one(store, op);
        n++;
    }
    control(store, store->commit, "COMMIT");
    atomic_fetch_add_explicit(&store->commits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&store->operations, n, memory_order_relaxed);
    for (drone_store_op *op = first; op != NULL;) {
        drone_store_op *next = op->next;
        op->done(op, op->code);
        op = next;
    }
}

/* Takes what is waiting, at most a batch; NULL when the store is closing and nothing is left. */
static drone_store_op *take_batch(drone_store *store)
{
    pthread_mutex_lock(&store->lock);
    while (store->head == NULL && !store->closing) {
        pthread_cond_wait(&store->wake, &store->lock);
    }
    drone_store_op *first = store->head;
    if (first != NULL) {
        drone_store_op *last = first;
        size_t n = 1;
        while (last->next != NULL && n < DRONE_STORE_BATCH_MAX) {
            last = last->next;
            n++;
        }
        store->head = last->next;
        if (store->head == NULL) {
            store->tail = NULL;
        }
        last->next = NULL;
        store->n_waiting -= n;
    }
    pthread_mutex_unlock(&store->lock);
    return first;
}

static void *writing_thread(void *arg)
{
    drone_store *store = arg;
    for (drone_store_op *first; (first = take_batch(store)) != NULL;) {
        run_batch(store, first);
    }
    return NULL;
}

tern_code drone_store_start(drone_store *store, tern_status *reterr)
{
    int rc = pthread_create(&store->thread, NULL, writing_thread, store);
    if (rc != 0) {
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "store %s: cannot start the writing thread (error %d)",
                               store->schema->name, rc);
    }
    pthread_mutex_lock(&store->lock);
    store->started = true;
    pthread_mutex_unlock(&store->lock);
    return TERN_OK;
}

void drone_store_close(drone_store *store)
{
    if (store == NULL) {
        return;
    }
    pthread_mutex_lock(&store->lock);
    bool started = store->started;
    store->closing = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
    if (started) {
        pthread_join(store->thread, NULL);
    }
    drone_store_close_file(store);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

int drone_store_submit(drone_store *store, drone_store_op *op)
{
    op->next = NULL;
    pthread_mutex_lock(&store->lock);
    if (store->closing || store->n_waiting >= DRONE_STORE_QUEUE_MAX) {
        pthread_mutex_unlock(&store->lock);
        return -EAGAIN;
    }
    bool was_empty = store->head == NULL;
    if (was_empty) {
        store->head = op;
    } else {
        store->tail->next = op;
    }
    store->tail = op;
    store->n_waiting++;
    if (was_empty) {
        pthread_cond_signal(&store->wake);
    }
    pthread_mutex_unlock(&store->lock);
    return 0;
}

/* An operation whose caller waits. */
typedef struct waiting_op {
    drone_store_op op; /* first, so that a drone_store_op * is a waiting_op * */
    drone_store_op *inner;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool finished;
} waiting_op;

static tern_code waiting_run(drone_store *store, drone_store_op *op)
{
    drone_store_op *inner = ((waiting_op *)op)->inner;
    return inner->run(store, inner);
}

static void waiting_done(drone_store_op *op, tern_code code)
{
    waiting_op *w = (waiting_op *)op;
    pthread_mutex_lock(&w->lock);
    w->inner->code = code;
    w->finished = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static void here_done(drone_store_op *op, tern_code code)
{
    ((waiting_op *)op)->inner->code = code;
}

tern_code drone_store_call(drone_store *store, drone_store_op *op)
{
    waiting_op w = {
        .op = { .run = waiting_run,
                .done = waiting_done,
                .context = op->context,
                .reads_only = op->reads_only },
        .inner = op,
    };
    pthread_mutex_lock(&store->lock);
    bool started = store->started;
    pthread_mutex_unlock(&store->lock);
    if (!started) {
        w.op.done = here_done;
        run_batch(store, &w.op);
        return op->code;
    }
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.wake, NULL);
    op->code = TERN_UNAVAILABLE;
    if (drone_store_submit(store, &w.op) == 0) {
        pthread_mutex_lock(&w.lock);
        while (!w.finished) {
            pthread_cond_wait(&w.wake, &w.lock);
        }
        pthread_mutex_unlock(&w.lock);
    }
    pthread_cond_destroy(&w.wake);
    pthread_mutex_destroy(&w.lock);
    return op->code;
}

void drone_store_counts(drone_store *store, uint64_t *ret_commits, uint64_t *ret_operations)
{
    *ret_commits = atomic_load_explicit(&store->commits, memory_order_relaxed);
    *ret_operations = atomic_load_explicit(&store->operations, memory_order_relaxed);
}

sqlite3_stmt *drone_store_stmt(drone_store *store, size_t index)
{
    sqlite3_stmt *stmt = store->stmts[index];
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    store->used |= (uint64_t)1 << index;
    return stmt;
}

static int bind_one(sqlite3_stmt *stmt, int index, char type, va_list *args)
{
    switch (type) {
    case 't':
        return sqlite3_bind_text(stmt, index, va_arg(*args, const char *), -1, SQLITE_STATIC);
    case 'i':
        return sqlite3_bind_int64(stmt, index, va_arg(*args, int64_t));
    case 'd':
        return sqlite3_bind_double(stmt, index, va_arg(*args, double));
    case 'b': {
        const void *data = va_arg(*args, const void *);
        return sqlite3_bind_blob64(stmt, index, data, va_arg(*args, size_t), SQLITE_STATIC);
    }
    default:
        return SQLITE_MISUSE;
    }
}

int drone_sql_step(sqlite3_stmt *stmt, const char *types, ...)
{
    va_list args;
    int rc = SQLITE_OK;
    va_start(args, types);
    for (int i = 0; types[i] != '\0' && rc == SQLITE_OK; i++) {
        rc = bind_one(stmt, i + 1, types[i], &args);
    }
    va_end(args);
    return rc == SQLITE_OK ? drone_sql_next(stmt) : -1;
}

int drone_sql_next(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        return 1;
    }
    rc = sqlite3_reset(stmt);
    return rc == SQLITE_OK ? 0 : -1;
}

const char *drone_sql_text(sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);
    return text != NULL ? (const char *)text : "";
}

tern_code drone_store_fail(drone_store *store, tern_status *reterr)
{
    return tern_status_set(reterr, TERN_INTERNAL, "store %s: %s", store->schema->name,
                           sqlite3_errmsg(store->db));
}

sqlite3 *drone_store_db(drone_store *store)
{
    return store->db;
}

const char *drone_store_name(const drone_store *store)
{
    return store->schema->name;
}
