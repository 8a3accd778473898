/* The store: shared commits, operations that fail alone, limits, versions, and what opening
 * refuses. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "services_support.h"

#include "common/names.h"

enum { PUT, COUNT };

static const char *const statements[] = {
    [PUT] = "INSERT INTO item(id, value) VALUES(?1, ?2)",
    [COUNT] = "SELECT count(*) FROM item",
};

static const drone_store_schema schema = {
    .name = "test",
    .version = 1,
    .ddl = "CREATE TABLE item(id INTEGER PRIMARY KEY, value TEXT CHECK(value <> 'bad')) STRICT;",
    .statements = statements,
    .n_statements = 2,
};

/* Writes two items, and then ends with `code`. */
typedef struct item_op {
    drone_store_op op;
    int64_t id;
    const char *second;
    tern_code code;
    tern_code answered;
    _Atomic int *n_done;
    tern_status status;
} item_op;

static tern_code item_run(drone_store *store, drone_store_op *op)
{
    item_op *i = (item_op *)op;
    if (drone_sql_step(drone_store_stmt(store, PUT), "it", i->id, "good") < 0 ||
        drone_sql_step(drone_store_stmt(store, PUT), "it", i->id + 1, i->second) < 0) {
        return drone_store_fail(store, &i->status);
    }
    return i->code;
}

static void item_done(drone_store_op *op, tern_code code)
{
    item_op *i = (item_op *)op;
    i->answered = code;
    if (i->n_done != NULL) {
        atomic_fetch_add(i->n_done, 1);
    }
}

static item_op item(int64_t id, const char *second, tern_code code)
{
    return (item_op){
        .op = { .run = item_run, .done = item_done }, .id = id, .second = second, .code = code
    };
}

static int setup(void **state)
{
    test_dir *dir = calloc(1, sizeof *dir);
    *dir = test_dir_new();
    *state = dir;
    return 0;
}

static int teardown(void **state)
{
    test_dir_remove(*state);
    free(*state);
    return 0;
}

static int64_t items(const test_dir *dir)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    tern_status status;
    if (drone_store_open_read(dir->path, &schema, &db, &status) != TERN_OK) {
        fail_msg("%s", status.message);
    }
    assert_int_equal(sqlite3_prepare_v2(db, statements[COUNT], -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

/* Whatever an operation wrote before it failed is gone; its neighbours in the batch are not. */
static void test_failure_alone(void **state)
{
    const test_dir *dir = *state;
    drone_store *store = test_open(dir, &schema);
    item_op ops[] = { item(1, "good", TERN_OK), item(11, "bad", TERN_OK),
                      item(21, "good", TERN_ABORTED), item(31, "good", TERN_OK),
                      item(31, "good", TERN_OK) };
    uint64_t commits = 0;
    uint64_t operations = 0;
    for (size_t i = 0; i < TEST_N(ops); i++) {
        assert_int_equal(drone_store_submit(store, &ops[i].op), 0); /* no thread yet: they gather */
    }
    assert_int_equal(drone_store_start(store, NULL), TERN_OK);
    item_op last = item(41, "good", TERN_OK);
    assert_int_equal(drone_store_call(store, &last.op), TERN_OK);
    assert_int_equal(ops[0].answered, TERN_OK);
    assert_int_equal(ops[1].answered, TERN_INTERNAL); /* CHECK failed at its second statement */
    assert_non_null(strstr(ops[1].status.message, "store test: CHECK constraint failed"));
    assert_int_equal(ops[2].answered, TERN_ABORTED);
    assert_int_equal(ops[3].answered, TERN_OK);
    assert_int_equal(ops[4].answered, TERN_INTERNAL); /* the id is taken */
    drone_store_counts(store, &commits, &operations);
    assert_int_equal(operations, 6);
    assert_in_range(commits, 1, 2); /* five shared one */
    assert_int_equal(items(dir), 6);
    drone_store_close(store);
    assert_int_equal(items(dir), 6);
}

static void test_closing_runs_the_rest(void **state)
{
    const test_dir *dir = *state;
    drone_store *store = test_open(dir, &schema);
    static item_op ops[1000];
    _Atomic int n_done = 0;
    for (int i = 0; i < 1000; i++) {
        ops[i] = item(i * 2, "good", TERN_OK);
        ops[i].n_done = &n_done;
        assert_int_equal(drone_store_submit(store, &ops[i].op), 0);
    }
    assert_int_equal(drone_store_start(store, NULL), TERN_OK);
    drone_store_close(store);
    assert_int_equal(n_done, 1000);
    assert_int_equal(items(dir), 2000);
}

static void test_queue_limit(void **state)
{
    const test_dir *dir = *state;
    drone_store *store = test_open(dir, &schema);
    static item_op ops[DRONE_STORE_QUEUE_MAX + 1];
    for (int i = 0; i <= DRONE_STORE_QUEUE_MAX; i++) {
        ops[i] = item(i * 2, "good", TERN_OK);
        assert_int_equal(drone_store_submit(store, &ops[i].op),
                         i < DRONE_STORE_QUEUE_MAX ? 0 : -EAGAIN);
    }
    assert_int_equal(drone_store_start(store, NULL), TERN_OK);
    drone_store_close(store);
    assert_int_equal(items(dir), 2 * DRONE_STORE_QUEUE_MAX);
}

/* An operation whose caller has given up is not run. */
static void test_ended_context(void **state)
{
    const test_dir *dir = *state;
    drone_store *store = test_open(dir, &schema);
    tern_context *context = tern_context_new(NULL, 0);
    item_op op = item(1, "good", TERN_OK);
    op.op.context = context;
    assert_int_equal(drone_store_call(store, &op.op), TERN_OK);
    tern_context_cancel(context);
    op = item(11, "good", TERN_OK);
    op.op.context = context;
    assert_int_equal(drone_store_call(store, &op.op), TERN_CANCELLED);
    drone_store_close(store);
    tern_context_free(context);
    assert_int_equal(items(dir), 2);
}

#define THREADS 4
#define PER_THREAD 200

typedef struct caller {
    drone_store *store;
    int64_t first;
} caller;

static void *call_many(void *arg)
{
    const caller *c = arg;
    for (int64_t i = 0; i < PER_THREAD; i++) {
        item_op op = item(c->first + i * 2, "good", i % 5 == 4 ? TERN_ABORTED : TERN_OK);
        if (drone_store_call(c->store, &op.op) != op.code) {
            return arg;
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    const test_dir *dir = *state;
    drone_store *store = test_open(dir, &schema);
    pthread_t threads[THREADS];
    caller callers[THREADS];
    assert_int_equal(drone_store_start(store, NULL), TERN_OK);
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (caller){ store, i * 10000 };
        assert_int_equal(pthread_create(&threads[i], NULL, call_many, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    drone_store_close(store);
    assert_int_equal(items(dir), THREADS * PER_THREAD * 2 * 4 / 5);
}

static void test_settings(void **state)
{
    drone_store *store = test_open(*state, &schema);
    assert_int_equal(test_number(store, "PRAGMA synchronous"), 2); /* FULL */
    assert_int_equal(test_number(store, "PRAGMA mmap_size"), 0);
    assert_int_equal(test_number(store, "PRAGMA user_version"), 1);
    assert_int_equal(test_number(store, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    drone_store_close(store);
}

static void assert_refused(const char *dir, const drone_store_schema *which, tern_code expected,
                           const char *part)
{
    drone_store *store = NULL;
    tern_status status;
    assert_int_equal(drone_store_open(dir, which, &store, &status), expected);
    assert_null(store);
    if (strstr(status.message, part) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", status.message, part);
    }
}

static void test_second_process(void **state)
{
    const test_dir *dir = *state;
    drone_store *store = test_open(dir, &schema);
    assert_refused(dir->path, &schema, TERN_ABORTED, "is in use");
    drone_store_close(store);
    drone_store_close(test_open(dir, &schema));
}

static void test_wrong_version(void **state)
{
    const test_dir *dir = *state;
    drone_store_schema newer = schema;
    sqlite3 *db = NULL;
    tern_status status;
    newer.version = 2;
    drone_store_close(test_open(dir, &schema));
    assert_refused(dir->path, &newer, TERN_FAILED_PRECONDITION,
                   "has version 1, this program reads version 2");
    assert_int_equal(drone_store_open_read(dir->path, &newer, &db, &status),
                     TERN_FAILED_PRECONDITION);
    newer.name = "missing";
    assert_int_equal(drone_store_open_read(dir->path, &newer, &db, &status), TERN_NOT_FOUND);
    assert_non_null(strstr(status.message, "missing.db: No such file"));
}

static void write_file(const test_dir *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_not_a_store(void **state)
{
    const test_dir *dir = *state;
    char path[256];
    sqlite3 *db = NULL;
    write_file(dir, "test.db",
               "this is a text file, and long enough to be taken for a header ......"
               "........................................................");
    assert_refused(dir->path, &schema, TERN_FAILED_PRECONDITION, "is not a database");
    snprintf(path, sizeof path, "%s/test.db", dir->path);
    unlink(path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_refused(dir->path, &schema, TERN_FAILED_PRECONDITION, "belongs to another program");
}

static void test_unusable_folder(void **state)
{
    const test_dir *dir = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/no/such", dir->path);
    assert_refused(path, &schema, TERN_UNAVAILABLE, "cannot make the folder");
    write_file(dir, "file", "x");
    snprintf(path, sizeof path, "%s/file", dir->path);
    assert_refused(path, &schema, TERN_UNAVAILABLE, "cannot write");
}

/* A process that is killed while it commits loses nothing that was answered. (A kill does not
 * test the fsync, only that no answer runs ahead of its commit.) */
static void test_killed(void **state)
{
    const test_dir *dir = *state;
    int pipe_fds[2];
    int64_t last = -1;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        drone_store *store = NULL;
        if (drone_store_open(dir->path, &schema, &store, NULL) != TERN_OK ||
            drone_store_start(store, NULL) != TERN_OK) {
            _exit(1);
        }
        for (int64_t i = 0;; i++) {
            item_op op = item(i * 2, "good", TERN_OK);
            if (drone_store_call(store, &op.op) != TERN_OK ||
                write(pipe_fds[1], &i, sizeof i) != sizeof i) {
                _exit(1);
            }
        }
    }
    assert_true(child > 0);
    close(pipe_fds[1]);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(read(pipe_fds[0], &last, sizeof last), sizeof last);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(pipe_fds[0], &last, sizeof last) == sizeof last) {
    }
    close(pipe_fds[0]);
    drone_store *store = test_open(dir, &schema);
    assert_true(test_number(store, statements[COUNT]) >= (last + 1) * 2);
    assert_int_equal(test_number(store, statements[COUNT]) % 2, 0); /* whole operations only */
    drone_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_failure_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closing_runs_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended_context, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_a_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unusable_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
