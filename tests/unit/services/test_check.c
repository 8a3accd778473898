/* The invariants: a sound set of stores passes, and each way to break it is found, by id. */
#include "services_support.h"

#include "account/account.h"
#include "check/check.h"
#include "delivery/delivery.h"
#include "drone/drone.h"
#include "ingestion/schema.h"
#include "messages/schema.h"
#include "package/package.h"
#include "scheduler/schema.h"
#include "supervisor/schema.h"
#include "transport/transport.h"

enum {
    ACCOUNT,
    PACKAGE,
    DRONE,
    TRANSPORT,
    DELIVERY,
    SCHEDULER,
    SUPERVISOR,
    MESSAGES,
    INGESTION,
    N_STORES
};

static const drone_store_schema *const schemas[N_STORES] = {
    [ACCOUNT] = &drone_account_schema,       [PACKAGE] = &drone_package_schema,
    [DRONE] = &drone_drone_schema,           [TRANSPORT] = &drone_transport_schema,
    [DELIVERY] = &drone_delivery_schema,     [SCHEDULER] = &drone_scheduler_schema,
    [SUPERVISOR] = &drone_supervisor_schema, [MESSAGES] = &drone_messages_schema,
    [INGESTION] = &drone_ingestion_schema,
};

typedef struct fixture {
    test_dir dir;
    drone_store *stores[N_STORES];
} fixture;

/* A row of the Scheduler; the columns that do not matter here are filled by their type. */
static void accepted(fixture *f, const char *id, int state, const char *drone, const char *order)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "INSERT INTO delivery(delivery_id, state, phase, revision, drone_id, order_id, "
             "package_id, account_id, failed_step, failed_code, failed_revision, message, "
             "accepted_at_ms, ended_at_ms, request) VALUES('%s', %d, 0, 1, '%s', '%s', 'p-%s', "
             "'account-1', 0, 0, 0, '', 1, 2, x'00')",
             id, state, drone, order, id);
    test_sql(f->stores[SCHEDULER], sql);
}

/* What the services keep for a delivery that is scheduled. */
static void held(fixture *f, const char *id, const char *drone, const char *order)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "INSERT INTO hold VALUES('%s', 'account-1', 500, 1, 1);"
             "UPDATE account SET held_cents = held_cents + 500 WHERE account_id = 'account-1'",
             id);
    test_sql(f->stores[ACCOUNT], sql);
    snprintf(sql, sizeof sql, "INSERT INTO reservation VALUES('%s', 'p-%s', 1, 1000, '', 1, 1)", id,
             id);
    test_sql(f->stores[PACKAGE], sql);
    snprintf(sql, sizeof sql,
             "INSERT INTO delivery(delivery_id, package_id, drone_id, order_id, stage, state, "
             "revision) VALUES('%s', 'p-%s', '%s', '%s', 1, 1, 1)",
             id, id, drone, order);
    test_sql(f->stores[DELIVERY], sql);
}

static void flight(fixture *f, const char *id, int drone, int first_slot, int last_slot)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "INSERT INTO reservation VALUES('%s', 'p-%s', 1, %d, %d, %d, 1, 2, 3, 1, 1)", id, id,
             drone, first_slot, last_slot);
    test_sql(f->stores[DRONE], sql);
}

static void compensation(fixture *f, const char *id, int state)
{
    sqlite3 *db = drone_store_db(f->stores[SUPERVISOR]);
    sqlite3_stmt *stmt = NULL;
    char columns[1024] = "";
    char values[1024] = "";
    /* Every column that must have a value gets one; the Supervisor's own affairs do not matter
     * here. */
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT name, type, \"notnull\" FROM "
                                        "pragma_table_info('compensation')",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *name = drone_sql_text(stmt, 0);
        char value[64] = "0";
        if (strcmp(name, "message_id") == 0) {
            snprintf(value, sizeof value, "'%s/1'", id);
        } else if (strcmp(name, "delivery_id") == 0) {
            snprintf(value, sizeof value, "'%s'", id);
        } else if (strcmp(name, "state") == 0) {
            snprintf(value, sizeof value, "%d", state);
        } else if (strcmp(drone_sql_text(stmt, 1), "TEXT") == 0) {
            snprintf(value, sizeof value, "''");
        } else if (strcmp(drone_sql_text(stmt, 1), "BLOB") == 0) {
            snprintf(value, sizeof value, "x'00'");
        }
        size_t at = strlen(columns);
        snprintf(columns + at, sizeof columns - at, "%s%s", at > 0 ? ", " : "", name);
        at = strlen(values);
        snprintf(values + at, sizeof values - at, "%s%s", at > 0 ? ", " : "", value);
    }
    sqlite3_finalize(stmt);
    char sql[2200];
    snprintf(sql, sizeof sql, "INSERT INTO compensation(%s) VALUES(%s)", columns, values);
    test_sql(f->stores[SUPERVISOR], sql);
}

/* One delivery of each kind of end, and two flights of one drone one after the other. */
static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    const drone_account_seed seed = { .accounts = 2, .credit_limit_cents = 100000 };
    drone_squad squads[DRONE_SQUADS_MAX];
    drone_hangar hangar = { .fleet = NULL };
    f->dir = test_dir_new();
    for (int i = 0; i < N_STORES; i++) {
        f->stores[i] = test_open(&f->dir, schemas[i]);
    }
    assert_int_equal(drone_account_seed_store(f->stores[ACCOUNT], &seed, NULL), TERN_OK);
    size_t n = drone_fleet_seed(squads, 6, (drone_latlon){ 40, -73 }, 1000);
    assert_int_equal(drone_hangar_load(&hangar, f->stores[DRONE], squads, n, NULL), TERN_OK);
    drone_hangar_deinit(&hangar);
    accepted(f, "flown", 2, "drone-1-1", "");
    held(f, "flown", "drone-1-1", "");
    flight(f, "flown", 1, 10, 14);
    accepted(f, "flown2", 2, "drone-1-1", "");
    held(f, "flown2", "drone-1-1", "");
    flight(f, "flown2", 1, 15, 18);
    accepted(f, "driven", 2, "", "order-7");
    held(f, "driven", "", "order-7");
    test_sql(f->stores[TRANSPORT],
             "INSERT INTO carrier_order VALUES('driven', 7, 'p-driven', 1000, "
             "1, 1, 1, 1, 1, 2, 1, 1)");
    accepted(f, "undone", 4, "", "");
    compensation(f, "undone", 2);
    accepted(f, "cancelled", 6, "", "");
    compensation(f, "cancelled", 2);
    accepted(f, "parked", 7, "", "");
    compensation(f, "parked", 3);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < N_STORES; i++) {
        drone_store_close(f->stores[i]);
    }
    test_dir_remove(&f->dir);
    free(f);
    return 0;
}

/* Runs the check; *ret is what it printed, to be freed. */
static int64_t run(fixture *f, bool live, char **ret)
{
    const drone_check_options options = { .dir = f->dir.path, .live = live, .shown_max = 2 };
    size_t len = 0;
    int64_t n = -1;
    tern_status status;
    FILE *out = open_memstream(ret, &len);
    if (drone_check_run(&options, out, &n, &status) != TERN_OK) {
        fail_msg("%s", status.message);
    }
    fclose(out);
    return n;
}

static void test_sound(void **state)
{
    char *text = NULL;
    if (run(*state, false, &text) != 0) {
        fail_msg("%s", text);
    }
    assert_non_null(strstr(text, "drones: none is reserved twice"));
    assert_null(strstr(text, "violated"));
    free(text);
}

/* A change to one store, and what must be said about it. */
typedef struct breach {
    int store;
    const char *sql;
    const char *found;
} breach;

static const breach breaches[] = {
    { SCHEDULER, "UPDATE delivery SET state = 1 WHERE delivery_id = 'undone'",
      "undone: is still running" },
    { SCHEDULER, "UPDATE delivery SET state = 3 WHERE delivery_id = 'undone'",
      "undone: is still being compensated" },
    { SCHEDULER, "UPDATE delivery SET state = 5 WHERE delivery_id = 'cancelled'",
      "cancelled: is still being cancelled" },
    { SCHEDULER, "UPDATE delivery SET phase = 2 WHERE delivery_id = 'flown'",
      "flown: has a workflow under way" },
    { ACCOUNT, "UPDATE hold SET state = 2 WHERE delivery_id = 'flown'",
      "flown: has no hold on account account-1" },
    { ACCOUNT, "UPDATE hold SET state = 2 WHERE delivery_id = 'flown'",
      "account-1: holds 1500 cents, its deliveries 1000" },
    { PACKAGE, "UPDATE reservation SET state = 2 WHERE delivery_id = 'flown'",
      "flown: does not have package p-flown" },
    { PACKAGE, "UPDATE reservation SET package_id = 'other' WHERE delivery_id = 'flown'",
      "flown: does not have package p-flown" },
    { DRONE, "UPDATE reservation SET state = 2 WHERE delivery_id = 'flown'",
      "flown: has 0 drones and 0 orders" },
    { TRANSPORT, "INSERT INTO carrier_order VALUES('flown', 8, 'p', 1, 1, 1, 1, 1, 1, 2, 1, 1)",
      "flown: has 1 drones and 1 orders" },
    { DRONE, "UPDATE reservation SET drone = 2 WHERE delivery_id = 'flown'",
      "flown: scheduler: drone-1-1, delivery: drone-1-1, carrier: drone-1-2" },
    { DELIVERY, "UPDATE delivery SET state = 2 WHERE delivery_id = 'driven'",
      "driven: scheduler: order-7, delivery: none, carrier: order-7" },
    { DELIVERY, "UPDATE delivery SET order_id = 'order-9' WHERE delivery_id = 'driven'",
      "driven: scheduler: order-7, delivery: order-9, carrier: order-7" },
    { ACCOUNT, "INSERT INTO hold VALUES('undone', 'account-2', 0, 1, 1)",
      "undone: the account is held, but the delivery is compensated" },
    { ACCOUNT, "INSERT INTO hold VALUES('lost', 'account-2', 0, 1, 1)",
      "lost: the account is held, but the delivery is unknown to the scheduler" },
    { ACCOUNT, "INSERT INTO hold VALUES('parked', 'nobody', 0, 1, 1)",
      "parked: holds on account nobody, which does not exist" },
    { PACKAGE, "INSERT INTO reservation VALUES('cancelled', 'p-x', 1, 1, '', 1, 1)",
      "cancelled: the package is held, but the delivery is cancelled" },
    { DRONE, "INSERT INTO reservation VALUES('undone', 'p-x', 1, 2, 1, 2, 1, 2, 3, 1, 1)",
      "undone: a drone is held, but the delivery is compensated" },
    { TRANSPORT, "INSERT INTO carrier_order VALUES('cancelled', 9, '', 1, 1, 1, 1, 1, 1, 2, 1, 1)",
      "cancelled: an order is held, but the delivery is cancelled" },
    { DELIVERY, "INSERT INTO delivery(delivery_id, stage, state, revision) VALUES('lost', 1, 1, 1)",
      "lost: the delivery record is held, but the delivery is unknown to the scheduler" },
    { DRONE, "UPDATE reservation SET first_slot = 14 WHERE delivery_id = 'flown2'",
      "drone-1-1: flies flown2 while it flies flown" },
    { DRONE, "UPDATE reservation SET drone = 60 WHERE delivery_id = 'flown'",
      "flown: drone-1-60 is not in the fleet" },
    { PACKAGE,
      "DROP INDEX reservation_package;"
      "UPDATE reservation SET package_id = 'p-flown' WHERE delivery_id = 'driven'",
      "p-flown: is in 2 deliveries, driven and flown" },
    { DRONE,
      "DROP INDEX reservation_package;"
      "UPDATE reservation SET package_id = 'p-flown' WHERE delivery_id = 'flown2'",
      "p-flown: has 2 drones, for flown and flown2" },
    { SUPERVISOR, "UPDATE compensation SET state = 1 WHERE delivery_id = 'undone'",
      "undone/1: is still under way" },
    { SUPERVISOR, "UPDATE compensation SET state = 3 WHERE delivery_id = 'undone'",
      "undone/1: is parked, the delivery is not" },
    { SCHEDULER, "UPDATE delivery SET state = 7 WHERE delivery_id = 'undone'",
      "undone/1: is done, the delivery is not compensated or cancelled" },
    { SUPERVISOR, "UPDATE compensation SET delivery_id = 'lost' WHERE delivery_id = 'undone'",
      "undone/1: is for a delivery that the scheduler does not know" },
    { SUPERVISOR, "DELETE FROM compensation WHERE delivery_id = 'parked'",
      "parked: is parked, but no compensation of it is" },
    { SCHEDULER, "INSERT INTO outbox VALUES('m-1', 'undone', x'00', 1)",
      "m-1: for delivery undone is not delivered" },
    { MESSAGES, "INSERT INTO message VALUES(7, 'requests', 'm-7', 0, 1, 1, 0, '', x'00')",
      "m-7: waits in the queue requests" },
    { MESSAGES, "INSERT INTO message VALUES(7, 'requests', 'm-7', 5, 1, 1, 9, 'odd', x'00')",
      "m-7: is a dead letter of the queue requests: odd" },
    { INGESTION, "INSERT INTO buffer VALUES(1, 'flown', '', x'00')",
      "flown: is not in the queue yet" },
    { INGESTION, "INSERT INTO request VALUES('k-1', 1, 'lost', 1, 1)",
      "lost: was accepted, and the scheduler does not know it" },
};

/* Each breach on stores of its own, so that no other can be what is found. */
static void test_breaches(void **state)
{
    (void)state;
    size_t n_rules = 0;
    const drone_rule *rules = drone_rules(&n_rules);
    static bool violated[64];
    assert_in_range(n_rules, 1, TEST_N(violated));
    for (size_t i = 0; i < TEST_N(breaches); i++) {
        void *one = NULL;
        char *text = NULL;
        setup(&one);
        fixture *f = one;
        test_sql(f->stores[breaches[i].store], breaches[i].sql);
        assert_true(run(f, false, &text) > 0);
        if (strstr(text, breaches[i].found) == NULL) {
            fail_msg("\"%s\" was not found after %s:\n%s", breaches[i].found, breaches[i].sql,
                     text);
        }
        for (size_t k = 0; k < n_rules; k++) {
            char line[256];
            snprintf(line, sizeof line, "violated: %s\n", rules[k].title);
            violated[k] = violated[k] || strstr(text, line) != NULL;
        }
        free(text);
        teardown(&one);
    }
    for (size_t k = 0; k < n_rules; k++) {
        if (!violated[k]) {
            fail_msg("no breach of \"%s\" is tried", rules[k].title);
        }
    }
}

/* While the system is at work, what is under way is no violation; a double booking still is. */
static void test_live(void **state)
{
    fixture *f = *state;
    char *text = NULL;
    test_sql(f->stores[SCHEDULER], "UPDATE delivery SET state = 3 WHERE delivery_id = 'undone'");
    test_sql(f->stores[SUPERVISOR], "UPDATE compensation SET state = 1");
    assert_int_equal(run(f, true, &text), 0);
    free(text);
    test_sql(f->stores[DRONE],
             "UPDATE reservation SET first_slot = 12 WHERE delivery_id = 'flown2'");
    assert_int_equal(run(f, true, &text), 1);
    free(text);
}

static void test_shown_max(void **state)
{
    fixture *f = *state;
    char *text = NULL;
    test_sql(f->stores[ACCOUNT], "UPDATE hold SET state = 2");
    assert_int_equal(run(f, false, &text), 4);
    assert_non_null(strstr(text, "  and 1 more\n"));
    free(text);
}

/* A system without a message service and a door has no rules for them. */
static void test_small_system(void **state)
{
    static const int away[] = { MESSAGES, INGESTION };
    fixture *f = *state;
    char *text = NULL;
    for (size_t i = 0; i < TEST_N(away); i++) {
        char path[128];
        drone_store_close(f->stores[away[i]]);
        f->stores[away[i]] = NULL;
        snprintf(path, sizeof path, "%s/%s.db", f->dir.path, schemas[away[i]]->name);
        unlink(path);
    }
    assert_int_equal(run(f, false, &text), 0);
    assert_null(strstr(text, "requests: "));
    free(text);
}

static void test_unreadable(void **state)
{
    fixture *f = *state;
    const drone_check_options options = { .dir = f->dir.path, .shown_max = 2 };
    int64_t n = -1;
    char path[128];
    tern_status status;
    drone_store_close(f->stores[TRANSPORT]);
    f->stores[TRANSPORT] = NULL;
    snprintf(path, sizeof path, "%s/transport.db", f->dir.path);
    unlink(path);
    assert_int_equal(drone_check_run(&options, stdout, &n, &status), TERN_NOT_FOUND);
    assert_non_null(strstr(status.message, "transport.db"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sound, setup, teardown),
        cmocka_unit_test(test_breaches),
        cmocka_unit_test_setup_teardown(test_live, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shown_max, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_system, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
