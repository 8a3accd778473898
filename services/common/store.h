/* A service's store: one SQLite file, one thread that writes it, and commits that many requests
 * share.
 *
 * Handlers put operations into a queue. The writing thread takes what is waiting, runs all of it
 * in one transaction (each operation inside a savepoint of its own, so that a failed one undoes
 * itself only), commits once, and answers all after the commit is on disk. While the disk works
 * the next batch gathers: nothing waits on purpose, and under load a commit costs each request a
 * fraction.
 *
 * WAL with synchronous=FULL; no mmap; one connection. A commit or a transaction that fails is the
 * end of the process: after an fsync error nobody knows what is on disk, and a fresh start reads
 * it again. A lock file keeps a second process out. */
#ifndef DRONE_COMMON_STORE_H
#define DRONE_COMMON_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include <tern/context.h>
#include <tern/status.h>

typedef struct drone_store drone_store;
typedef struct drone_store_op drone_store_op;

/* An operation: embedded in the request's own struct, borrowed by the store until `done` has
 * returned. */
struct drone_store_op {
    /* Runs on the writing thread inside the transaction. Anything but TERN_OK undoes what this
     * operation wrote, and nothing else. State in memory may be changed only once nothing can
     * fail. */
    tern_code (*run)(drone_store *store, drone_store_op *op);
    /* Called on the writing thread after the commit is on disk, or when the operation was not run;
     * `code` is what run returned. Must not block. The store does not touch `op` afterwards. */
    void (*done)(drone_store_op *op, tern_code code);
    tern_context *context; /* an operation whose context has ended is not run; NULL: none */
    bool reads_only;       /* writes nothing: saves the savepoint */
    /* --- the store's own --- */
    drone_store_op *next;
    tern_code code;
};

/* What a store consists of. Static. */
typedef struct drone_store_schema {
    const char *name;              /* "account": the file is DIR/account.db */
    int version;                   /* user_version; a store of another version is refused */
    const char *ddl;               /* makes an empty file into a store */
    const char *const *statements; /* prepared when the store is opened */
    size_t n_statements;
} drone_store_schema;

/* Opens (or creates) DIR/<name>.db, checks its version, prepares the statements. No thread is
 * started. *ret is owned by the caller. ABORTED: another process has it; FAILED_PRECONDITION: its
 * version is another, or it is no store; UNAVAILABLE: it cannot be opened or written. The message
 * names the file and the reason. */
tern_code drone_store_open(const char *dir, const drone_store_schema *schema, drone_store **ret,
                           tern_status *reterr);

/* Starts the writing thread. */
tern_code drone_store_start(drone_store *store, tern_status *reterr);

/* Runs what is still queued, stops the thread, closes the file and frees. NULL is fine. */
void drone_store_close(drone_store *store);

/* Queues an operation. Returns 0, or -EAGAIN when DRONE_STORE_QUEUE_MAX operations are waiting or
 * the store is closing (`done` is not called then). Any thread. */
int drone_store_submit(drone_store *store, drone_store_op *op);

/* Queues an operation and waits until it is on disk; before drone_store_start() it runs it here,
 * in a transaction of its own. op->done is ignored. UNAVAILABLE when the queue is full. Not from
 * run or done. */
tern_code drone_store_call(drone_store *store, drone_store_op *op);

/* Commits so far, and operations in them. Any thread. */
void drone_store_counts(drone_store *store, uint64_t *ret_commits, uint64_t *ret_operations);

/* --- within run ------------------------------------------------------------------------------- */

/* Statement `index` of the schema, reset, with its bindings cleared. */
sqlite3_stmt *drone_store_stmt(drone_store *store, size_t index);

/* Binds the arguments to ?1, ?2 … as `types` says ('t' const char *, borrowed, NULL is SQL NULL;
 * 'i' int64_t; 'd' double; 'b' const void * and size_t, borrowed, not NULL) and makes one step.
 * Returns 1 when a row is there (read it with
 * sqlite3_column_*, then reset or fetch on), 0 when the statement is finished, -1 on failure
 * (drone_store_fail()). */
int drone_sql_step(sqlite3_stmt *stmt, const char *types, ...);

/* The next row of a statement: 1, 0 or -1 likewise. */
int drone_sql_next(sqlite3_stmt *stmt);

/* A text column, "" for NULL; borrowed until the next step or reset. */
const char *drone_sql_text(sqlite3_stmt *stmt, int column);

/* Puts the reason of the latest failure of SQLite into *reterr and returns INTERNAL. */
tern_code drone_store_fail(drone_store *store, tern_status *reterr);

/* The connection, for what the above does not do. Writing thread only. */
sqlite3 *drone_store_db(drone_store *store);

/* The name of the schema. Any thread. */
const char *drone_store_name(const drone_store *store);

/* --- for readers ------------------------------------------------------------------------------ */

/* Opens DIR/<name>.db for reading only, beside a running service or without one. *ret is closed
 * with sqlite3_close(). NOT_FOUND: no such file; FAILED_PRECONDITION: another version or not a
 * store. */
tern_code drone_store_open_read(const char *dir, const drone_store_schema *schema, sqlite3 **ret,
                                tern_status *reterr);

#endif
