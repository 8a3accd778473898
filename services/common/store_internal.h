/* The inside of a store, shared by store.c (queue, thread, commits) and store_open.c (the file). */
#ifndef DRONE_COMMON_STORE_INTERNAL_H
#define DRONE_COMMON_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/names.h"
#include "common/store.h"

#define DRONE_STORE_STATEMENTS_MAX 64 /* bits of drone_store.used */

struct drone_store {
    const drone_store_schema *schema;
    char path[DRONE_PATH_MAX];
    int lock_fd; /* -1: none */

    /* The writing thread's own; before drone_store_start(), the opener's. */
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *savepoint, *release, *rollback;
    sqlite3_stmt *stmts[DRONE_STORE_STATEMENTS_MAX];
    uint64_t used; /* statements that the running operation has touched, to be reset after it */

    /* Behind the lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    drone_store_op *head, *tail;
    size_t n_waiting;
    bool closing;
    bool started;
    pthread_t thread;

    _Atomic uint64_t commits;
    _Atomic uint64_t operations;
};

/* Prepares the store's own statements and those of the schema. */
tern_code drone_store_prepare(drone_store *store, tern_status *reterr);

/* Finalizes them, and closes the connection and the lock file. */
void drone_store_close_file(drone_store *store);

#endif
