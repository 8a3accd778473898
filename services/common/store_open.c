/* The file of a store: opening, settings, version, statements. See store.h.
 *
 * A second process is kept out by a lock on DIR/<name>.lock, not on the database itself: closing
 * any descriptor of a file drops the POSIX locks that SQLite holds on it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store_internal.h"

#define APPLICATION_ID \
    0x44724456               /* "DrDV": marks the file as one of ours (PRAGMA application_id) */
#define BUSY_TIMEOUT_MS 5000 /* a reader that opens or closes holds the file for a moment */
#define PRAGMA_BYTES_MAX 128
#define LOOKASIDE_BYTES \
    1200 /* SQLite's small allocations come from so many slots of this size, and */
#define LOOKASIDE_SLOTS 512 /* not from malloc */

/* Puts SQLite's reason into *reterr. */
static tern_code file_error(const char *path, const char *what, sqlite3 *db, tern_status *reterr)
{
    return tern_status_set(reterr, TERN_UNAVAILABLE, "store %s: %s: %s", path, what,
                           db != NULL ? sqlite3_errmsg(db) : "out of memory");
}

static tern_code take_lock(drone_store *store, const char *dir, tern_status *reterr)
{
    char path[DRONE_PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s.lock", dir, store->schema->name);
    if (len < 0 || (size_t)len >= sizeof path) {
        return tern_status_set(reterr, TERN_UNAVAILABLE, "store: the path of %s is too long", dir);
    }
    if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
        return tern_status_set(reterr, TERN_UNAVAILABLE, "store: cannot make the folder %s: %s",
                               dir, strerror(errno));
    }
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (store->lock_fd < 0) {
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "store: cannot write %s: %s; choose another folder with --dir", path,
                               strerror(errno));
    }
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        return TERN_OK;
    }
    if (errno == EWOULDBLOCK) {
        return tern_status_set(reterr, TERN_ABORTED,
                               "store: %s is in use: another %s service runs on this folder", path,
                               store->schema->name);
    }
    return tern_status_set(reterr, TERN_UNAVAILABLE, "store: cannot lock %s: %s", path,
                           strerror(errno));
}

/* Reads a pragma that is one number. */
static int pragma_int(sqlite3 *db, const char *sql, int64_t *ret)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        *ret = sqlite3_column_int64(stmt, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_OK ? 0 : -1;
}

/* Compares application_id and user_version with what is expected; *ret_empty for a new file. */
static tern_code check_version(sqlite3 *db, const char *path, const drone_store_schema *schema,
                               bool *ret_empty, tern_status *reterr)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t tables = 0;
    if (pragma_int(db, "PRAGMA application_id", &application) != 0 ||
        pragma_int(db, "PRAGMA user_version", &version) != 0 ||
        pragma_int(db, "SELECT count(*) FROM sqlite_schema", &tables) != 0) {
        if (sqlite3_errcode(db) == SQLITE_NOTADB) {
            return tern_status_set(reterr, TERN_FAILED_PRECONDITION, "store %s: is not a database",
                                   path);
        }
        return file_error(path, "cannot be read", db, reterr);
    }
    *ret_empty = application == 0 && version == 0 && tables == 0;
    if (*ret_empty) {
        return TERN_OK;
    }
    if (application != APPLICATION_ID) {
        return tern_status_set(reterr, TERN_FAILED_PRECONDITION,
                               "store %s: belongs to another program", path);
    }
    if (version != schema->version) {
        return tern_status_set(reterr, TERN_FAILED_PRECONDITION,
                               "store %s: has version %lld, this program reads version %d", path,
                               (long long)version, schema->version);
    }
    return TERN_OK;
}

static int run_sql(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

/* Turns the new connection into one that syncs each commit. */
static tern_code configure(drone_store *store, tern_status *reterr)
{
    sqlite3 *db = store->db;
    sqlite3_stmt *stmt = NULL;
    bool wal = false;
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    sqlite3_extended_result_codes(db, 1);
    if (sqlite3_prepare_v2(db, "PRAGMA journal_mode=WAL", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW) {
        wal = strcmp(drone_sql_text(stmt, 0), "wal") == 0;
    }
    if (sqlite3_finalize(stmt) != SQLITE_OK || !wal) {
        return file_error(store->path, "cannot switch to a write-ahead log", db, reterr);
    }
    char sizes[PRAGMA_BYTES_MAX];
    snprintf(sizes, sizeof sizes, "PRAGMA wal_autocheckpoint=%d; PRAGMA cache_size=-%d;",
             DRONE_STORE_CHECKPOINT_PAGES, DRONE_STORE_CACHE_KIB);
    if (run_sql(db, "PRAGMA synchronous=FULL; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;") !=
            0 ||
        run_sql(db, sizes) != 0) {
        return file_error(store->path, "cannot be set up", db, reterr);
    }
    return TERN_OK;
}

static tern_code create_schema(drone_store *store, tern_status *reterr)
{
    char version[PRAGMA_BYTES_MAX];
    snprintf(version, sizeof version, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;",
             APPLICATION_ID, store->schema->version);
    if (run_sql(store->db, "BEGIN IMMEDIATE") != 0 || run_sql(store->db, store->schema->ddl) != 0 ||
        run_sql(store->db, version) != 0) {
        return file_error(store->path, "cannot be made", store->db, reterr);
    }
    return TERN_OK;
}

static int prepare_one(drone_store *store, const char *sql, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK
               ? 0
               : -1;
}

tern_code drone_store_prepare(drone_store *store, tern_status *reterr)
{
    const drone_store_schema *schema = store->schema;
    if (schema->n_statements > DRONE_STORE_STATEMENTS_MAX) {
        return tern_status_set(reterr, TERN_INTERNAL,
                               "store %s: has %zu statements, at most %d fit", schema->name,
                               schema->n_statements, DRONE_STORE_STATEMENTS_MAX);
    }
    if (prepare_one(store, "BEGIN IMMEDIATE", &store->begin) != 0 ||
        prepare_one(store, "COMMIT", &store->commit) != 0 ||
        prepare_one(store, "SAVEPOINT op", &store->savepoint) != 0 ||
        prepare_one(store, "RELEASE op", &store->release) != 0 ||
        prepare_one(store, "ROLLBACK TO op", &store->rollback) != 0) {
        return file_error(store->path, "cannot prepare a statement", store->db, reterr);
    }
    for (size_t i = 0; i < schema->n_statements; i++) {
        if (prepare_one(store, schema->statements[i], &store->stmts[i]) != 0) {
            return file_error(store->path, schema->statements[i], store->db, reterr);
        }
    }
    return TERN_OK;
}

void drone_store_close_file(drone_store *store)
{
    for (size_t i = 0; i < DRONE_STORE_STATEMENTS_MAX; i++) {
        sqlite3_finalize(store->stmts[i]);
    }
    sqlite3_finalize(store->begin);
    sqlite3_finalize(store->commit);
    sqlite3_finalize(store->savepoint);
    sqlite3_finalize(store->release);
    sqlite3_finalize(store->rollback);
    sqlite3_close(store->db);
    if (store->lock_fd >= 0) {
        close(store->lock_fd);
    }
}

/* Without SQLite's own memory statistics, which take a lock for each allocation. Has to come before
 * anything else of SQLite; where a program was faster, it stays as it is. */
static void configure_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static tern_code open_file(drone_store *store, const char *dir, tern_status *reterr)
{
    bool empty = false;
    int len = snprintf(store->path, sizeof store->path, "%s/%s.db", dir, store->schema->name);
    if (len < 0 || (size_t)len >= sizeof store->path) {
        return tern_status_set(reterr, TERN_UNAVAILABLE, "store: the path of %s is too long", dir);
    }
    tern_code code = take_lock(store, dir, reterr);
    if (code != TERN_OK) {
        return code;
    }
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_library);
    if (sqlite3_open_v2(store->path, &store->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        return file_error(store->path, "cannot be opened", store->db, reterr);
    }
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, LOOKASIDE_BYTES, LOOKASIDE_SLOTS);
    code = check_version(store->db, store->path, store->schema, &empty, reterr);
    if (code == TERN_OK) {
        code = configure(store, reterr);
    }
    if (code == TERN_OK && empty) {
        code = create_schema(store, reterr);
    }
    return code != TERN_OK ? code : drone_store_prepare(store, reterr);
}

tern_code drone_store_open(const char *dir, const drone_store_schema *schema, drone_store **ret,
                           tern_status *reterr)
{
    drone_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "store %s: out of memory",
                               schema->name);
    }
    store->schema = schema;
    store->lock_fd = -1;
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->wake, NULL);
    tern_code code = open_file(store, dir, reterr);
    if (code != TERN_OK) {
        drone_store_close(store);
        return code;
    }
    *ret = store;
    return TERN_OK;
}

tern_code drone_store_open_read(const char *dir, const drone_store_schema *schema, sqlite3 **ret,
                                tern_status *reterr)
{
    char path[DRONE_PATH_MAX];
    sqlite3 *db = NULL;
    bool empty = false;
    int len = snprintf(path, sizeof path, "%s/%s.db", dir, schema->name);
    if (len < 0 || (size_t)len >= sizeof path) {
        return tern_status_set(reterr, TERN_UNAVAILABLE, "store: the path of %s is too long", dir);
    }
    if (access(path, F_OK) != 0) {
        return tern_status_set(reterr, TERN_NOT_FOUND, "store %s: %s", path, strerror(errno));
    }
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        tern_code code = file_error(path, "cannot be opened", db, reterr);
        sqlite3_close(db);
        return code;
    }
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    tern_code code = check_version(db, path, schema, &empty, reterr);
    if (code == TERN_OK && empty) {
        code = tern_status_set(reterr, TERN_FAILED_PRECONDITION, "store %s: is empty", path);
    }
    if (code != TERN_OK) {
        sqlite3_close(db);
        return code;
    }
    *ret = db;
    return TERN_OK;
}
