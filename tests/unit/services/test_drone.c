/* The Drone service on a temporary store: assignments, moves, restarts, and random histories in
 * which neither a drone nor a delivery nor a package is ever booked twice. */
#include "services_support.h"

#include "common/names.h"
#include "drone/drone.h"
#include "support/failmalloc.h"

typedef Drone__Drone__V1__Assignment assignment;
typedef Drone__Drone__V1__CancelAssignmentResponse cancel_message;
typedef Drone__Drone__V1__CanCarryResponse can_message;
typedef Drone__Drone__V1__ListDronesResponse list_message;

#define ASSIGN &drone__drone__v1__assign_drone_request__descriptor
#define CANCEL &drone__drone__v1__cancel_assignment_request__descriptor
#define GET &drone__drone__v1__get_assignment_request__descriptor
#define CAN &drone__drone__v1__can_carry_request__descriptor
#define LIST &drone__drone__v1__list_drones_request__descriptor
#define ASSIGNMENT &drone__drone__v1__assignment__descriptor
#define CANCELLED &drone__drone__v1__cancel_assignment_response__descriptor
#define CAN_ANSWER &drone__drone__v1__can_carry_response__descriptor
#define LIST_ANSWER &drone__drone__v1__list_drones_response__descriptor

#define N_DRONES 6

typedef struct fixture {
    test_service s;
    test_dir dir;
    drone_hangar hangar;
} fixture;

static int64_t clock_ms = TEST_NOW_MS;

static int64_t test_clock(void)
{
    return clock_ms;
}

static void open_hangar(fixture *f, int64_t n_drones)
{
    drone_squad squads[DRONE_SQUADS_MAX];
    const drone_latlon centre = { 40.75, -73.95 };
    size_t n = drone_fleet_seed(squads, n_drones, centre, 1000);
    tern_status status;
    f->s.store = test_open(&f->dir, &drone_drone_schema);
    f->hangar = (drone_hangar){ .now_ms = test_clock };
    f->s.state = &f->hangar;
    if (drone_hangar_load(&f->hangar, f->s.store, squads, n, &status) != TERN_OK) {
        fail_msg("%s", status.message);
    }
}

static void close_hangar(fixture *f)
{
    drone_store_close(f->s.store);
    drone_hangar_deinit(&f->hangar);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    clock_ms = TEST_NOW_MS;
    f->dir = test_dir_new();
    open_hangar(f, N_DRONES);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    close_hangar(f);
    drone_reply_deinit(&f->s.mem);
    test_dir_remove(&f->dir);
    free(f);
    return 0;
}

static void *request(fixture *f, const ProtobufCMessageDescriptor *type, const char *delivery,
                     int64_t revision, const char *key)
{
    void *r = test_valid(&f->s.mem, type);
    test_set(r, "change.delivery_id", delivery);
    test_set_int(r, "change.revision", revision);
    test_set(r, "change.idempotency_key", key);
    return r;
}

/* A request whose package is named after the delivery. */
static void *assign_request(fixture *f, const char *delivery, int64_t revision, const char *key)
{
    void *r = request(f, ASSIGN, delivery, revision, key);
    test_set(r, "package.package_id", delivery);
    return r;
}

static tern_code assign(fixture *f, void *r, assignment **ret)
{
    return test_call(&f->s, &drone_drone_assign, r, ASSIGNMENT, ret);
}

static tern_code cancel(fixture *f, const char *delivery, int64_t revision, const char *key,
                        cancel_message **ret)
{
    return test_call(&f->s, &drone_drone_cancel, request(f, CANCEL, delivery, revision, key),
                     CANCELLED, ret);
}

static tern_code get(fixture *f, const char *delivery, assignment **ret)
{
    void *r = test_valid(&f->s.mem, GET);
    test_set(r, "delivery_id", delivery);
    return test_call(&f->s, &drone_drone_get, r, ASSIGNMENT, ret);
}

static int64_t live(fixture *f)
{
    return test_number(f->s.store, "SELECT count(*) FROM reservation WHERE state = 1");
}

static int64_t double_booked(fixture *f)
{
    return test_number(f->s.store,
                       "SELECT count(*) FROM reservation a JOIN reservation b ON a.squad = b.squad "
                       "AND a.drone = b.drone AND a.delivery_id < b.delivery_id "
                       "AND a.state = 1 AND b.state = 1 "
                       "AND a.first_slot <= b.last_slot AND b.first_slot <= a.last_slot");
}

static void test_fields(void **state)
{
    fixture *f = *state;
    static const test_bad assigning[] = { TEST_BAD_CHANGE, TEST_BAD_PACKAGE, TEST_BAD_ROUTE };
    static const test_bad cancelling[] = { TEST_BAD_CHANGE };
    static const test_bad getting[] = { TEST_BAD_ID("delivery_id") };
    static const test_bad can[] = { TEST_BAD_PACKAGE, TEST_BAD_LOCATION("pickup"),
                                    TEST_BAD_LOCATION("dropoff") };
    static const test_bad listing[] = {
        { "page_size", "-1", ": -1 is outside 0..1000" },
        { "page_size", "1001", ": 1001 is outside" },
        { "after_drone_id", TEST_LONG_ID, ": is longer" },
        { "after_drone_id", "drone-1", ": drone-1 is not the id of a drone" },
        { "after_drone_id", "drone-1-2-3", ": drone-1-2-3 is not" },
        { "after_drone_id", "drone-0-1", ": drone-0-1 is not" },
    };
    test_bad_values(&f->s, &drone_drone_assign, ASSIGN, ASSIGNMENT, assigning, TEST_N(assigning),
                    "");
    test_bad_values(&f->s, &drone_drone_cancel, CANCEL, CANCELLED, cancelling, TEST_N(cancelling),
                    "");
    test_bad_values(&f->s, &drone_drone_get, GET, ASSIGNMENT, getting, TEST_N(getting), "");
    test_bad_values(&f->s, &drone_drone_can_carry, CAN, CAN_ANSWER, can, TEST_N(can), "");
    test_bad_values(&f->s, &drone_drone_list, LIST, LIST_ANSWER, listing, TEST_N(listing), "");
}

static void test_assign_and_cancel(void **state)
{
    fixture *f = *state;
    assignment *first = NULL;
    assignment *again = NULL;
    cancel_message *done = NULL;
    void *r = assign_request(f, "d-1", 1, "k-1");
    assert_int_equal(assign(f, r, &first), TERN_OK);
    assert_int_equal(first->state, DRONE__DRONE__V1__ASSIGNMENT_STATE__ASSIGNMENT_STATE_ASSIGNED);
    assert_true(first->start_at_ms < first->arrival_at_ms);
    assert_true(first->arrival_at_ms < first->end_at_ms);
    assert_int_equal(assign(f, r, &again), TERN_OK); /* a retry sends no second drone */
    assert_string_equal(again->drone_id, first->drone_id);
    assert_int_equal(again->end_at_ms, first->end_at_ms);
    assert_int_equal(live(f), 1);
    assert_int_equal(cancel(f, "d-1", 1, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_DONE);
    assert_int_equal(live(f), 0);
    assert_int_equal(assign(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(get(f, "d-1", &again), TERN_OK);
    assert_int_equal(again->state, DRONE__DRONE__V1__ASSIGNMENT_STATE__ASSIGNMENT_STATE_CANCELLED);
    /* The drone is free: another delivery gets it. */
    assert_int_equal(assign(f, assign_request(f, "d-2", 1, "k-2"), &again), TERN_OK);
    assert_string_equal(again->drone_id, first->drone_id);
}

static void test_busy_then_free(void **state)
{
    fixture *f = *state;
    void *seventh = assign_request(f, "d-7", 1, "d-7/1");
    for (int i = 1; i <= N_DRONES; i++) {
        char id[16];
        snprintf(id, sizeof id, "d-%d", i);
        assert_int_equal(
            assign(f, assign_request(f, id, 1, drone_reply_strdup(&f->s.mem, id)), NULL), TERN_OK);
    }
    assert_int_equal(double_booked(f), 0);
    assert_int_equal(assign(f, seventh, NULL), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(live(f), N_DRONES);
    assert_int_equal(get(f, "d-7", NULL), TERN_NOT_FOUND);
    assert_int_equal(cancel(f, "d-3", 1, "u-3", NULL), TERN_OK);
    assert_int_equal(assign(f, seventh, NULL), TERN_OK); /* the same key: it had stored nothing */
    assert_int_equal(live(f), N_DRONES);
    assert_int_equal(double_booked(f), 0);
}

static void test_one_drone_for_a_package(void **state)
{
    fixture *f = *state;
    void *second = assign_request(f, "d-2", 1, "k-2");
    test_set(second, "package.package_id", "d-1");
    assert_int_equal(assign(f, assign_request(f, "d-1", 1, "k-1"), NULL), TERN_OK);
    assert_int_equal(assign(f, second, NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "has a drone already, for delivery d-1");
    assert_int_equal(cancel(f, "d-1", 1, "u-1", NULL), TERN_OK);
    assert_int_equal(assign(f, second, NULL), TERN_OK);
}

/* A newer revision moves the reservation; one that fails leaves it where it was. */
static void test_move(void **state)
{
    fixture *f = *state;
    assignment *first = NULL;
    assignment *moved = NULL;
    assert_int_equal(assign(f, assign_request(f, "d-1", 1, "k-1"), &first), TERN_OK);
    void *heavy = assign_request(f, "d-1", 2, "k-2");
    test_set(heavy, "package.weight_g", "900000");
    assert_int_equal(assign(f, heavy, NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(get(f, "d-1", &moved), TERN_OK);
    assert_int_equal(moved->revision, 1);
    assert_int_equal(moved->start_at_ms, first->start_at_ms);
    /* Its slots are still taken: only the others are left for the same hour. */
    for (int i = 2; i <= N_DRONES; i++) {
        char id[16];
        snprintf(id, sizeof id, "d-%d", i);
        assert_int_equal(
            assign(f, assign_request(f, id, 1, drone_reply_strdup(&f->s.mem, id)), NULL), TERN_OK);
    }
    assert_int_equal(double_booked(f), 0);
    assert_int_equal(assign(f, assign_request(f, "d-9", 1, "k-9"), NULL), TERN_RESOURCE_EXHAUSTED);
    /* By one slot: overlaps only with itself, and may. */
    void *later = assign_request(f, "d-1", 3, "k-3");
    test_set_int(later, "route.pickup_at_ms", TEST_NOW_MS + TEST_HOUR_MS + DRONE_SLOT_MS);
    assert_int_equal(assign(f, later, &moved), TERN_OK);
    assert_string_equal(moved->drone_id, first->drone_id);
    assert_int_equal(moved->start_at_ms, first->start_at_ms + DRONE_SLOT_MS);
    assert_int_equal(assign(f, assign_request(f, "d-1", 1, "k-1"), NULL), TERN_ABORTED);
    assert_int_equal(cancel(f, "d-1", 2, "u-1", NULL), TERN_ABORTED);
    assert_int_equal(live(f), N_DRONES);
    assert_int_equal(double_booked(f), 0);
}

static void test_why_not(void **state)
{
    fixture *f = *state;
    can_message *can = NULL;
    void *r = assign_request(f, "d-1", 1, "k-1");
    test_set(r, "route.dropoff.latitude", "41.75");
    assert_int_equal(assign(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "flies so far");
    r = assign_request(f, "d-1", 1, "k-1");
    test_set_int(r, "route.deadline_ms", TEST_NOW_MS + TEST_HOUR_MS + 1000);
    assert_int_equal(assign(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "before the deadline");
    r = assign_request(f, "d-1", 1, "k-1");
    test_set_int(r, "route.deadline_ms", TEST_NOW_MS + 2000 * (int64_t)TEST_HOUR_MS);
    test_set_int(r, "route.pickup_at_ms", TEST_NOW_MS + 24 * 61 * (int64_t)TEST_HOUR_MS);
    assert_int_equal(assign(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "more than 60 days ahead");
    test_set_int(r, "route.pickup_at_ms", TEST_NOW_MS - 25 * (int64_t)TEST_HOUR_MS);
    assert_int_equal(assign(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "more than 1 day back");
    assert_int_equal(test_number(f->s.store, "SELECT count(*) FROM reservation"), 0);
    r = test_valid(&f->s.mem, CAN);
    assert_int_equal(test_call(&f->s, &drone_drone_can_carry, r, CAN_ANSWER, &can), TERN_OK);
    assert_true(can->able);
    assert_string_equal(can->reason, "");
    test_set(r, "package.weight_g", "15001");
    assert_int_equal(test_call(&f->s, &drone_drone_can_carry, r, CAN_ANSWER, &can), TERN_OK);
    assert_false(can->able);
    assert_non_null(strstr(can->reason, "15001 g"));
    test_set(r, "package.weight_g", "15000");
    test_set(r, "dropoff.longitude", "-73");
    assert_int_equal(test_call(&f->s, &drone_drone_can_carry, r, CAN_ANSWER, &can), TERN_OK);
    assert_false(can->able);
    assert_non_null(strstr(can->reason, "km"));
}

static void test_keys_and_tombstone(void **state)
{
    fixture *f = *state;
    cancel_message *done = NULL;
    void *r = assign_request(f, "d-1", 1, "k-1");
    assert_int_equal(cancel(f, "d-1", 1, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_NOTHING);
    assert_int_equal(assign(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(get(f, "d-1", NULL), TERN_NOT_FOUND);
    r = assign_request(f, "d-1", 2, "k-2");
    assert_int_equal(assign(f, r, NULL), TERN_OK);
    test_set(r, "expedited", "1");
    assert_int_equal(assign(f, r, NULL), TERN_ABORTED);
    assert_int_equal(live(f), 1);
}

/* After a restart the store alone knows: the same drones are busy. */
static void test_restart(void **state)
{
    fixture *f = *state;
    for (int i = 1; i <= N_DRONES; i++) {
        char id[16];
        snprintf(id, sizeof id, "d-%d", i);
        assert_int_equal(
            assign(f, assign_request(f, id, 1, drone_reply_strdup(&f->s.mem, id)), NULL), TERN_OK);
    }
    close_hangar(f);
    open_hangar(f, 4000); /* the seed only counts for an empty store */
    assert_int_equal(test_number(f->s.store, "SELECT sum(drones) FROM squad"), N_DRONES);
    assert_int_equal(assign(f, assign_request(f, "d-9", 1, "k-9"), NULL), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(cancel(f, "d-2", 1, "u-2", NULL), TERN_OK);
    assert_int_equal(assign(f, assign_request(f, "d-9", 1, "k-9"), NULL), TERN_OK);
    assert_int_equal(double_booked(f), 0);
}

/* A store in which a drone is reserved twice is not served. */
static void test_broken_store(void **state)
{
    fixture *f = *state;
    tern_status status;
    drone_hangar other = { .now_ms = test_clock };
    assert_int_equal(assign(f, assign_request(f, "d-1", 1, "k-1"), NULL), TERN_OK);
    test_sql(f->s.store, "INSERT INTO reservation SELECT 'd-2', 'p-2', squad, drone, first_slot, "
                         "last_slot, start_at_ms, arrival_at_ms, end_at_ms, 1, 1 FROM reservation");
    assert_int_equal(drone_hangar_load(&other, f->s.store, NULL, 0, &status), TERN_DATA_LOSS);
    assert_non_null(strstr(status.message, "reserved twice"));
    assert_null(other.fleet);
}

static void test_list(void **state)
{
    fixture *f = *state;
    list_message *page = NULL;
    char after[DRONE_ID_BYTES_MAX + 1] = "";
    int64_t n = 0;
    for (int pages = 0; pages < 10; pages++) {
        void *r = test_valid(&f->s.mem, LIST);
        test_set(r, "page_size", "4");
        test_set(r, "after_drone_id", after);
        assert_int_equal(test_call(&f->s, &drone_drone_list, r, LIST_ANSWER, &page), TERN_OK);
        n += (int64_t)page->n_drones;
        if (page->next_after_drone_id[0] == '\0') {
            break;
        }
        assert_int_equal(page->n_drones, 4);
        snprintf(after, sizeof after, "%s", page->next_after_drone_id);
    }
    assert_int_equal(n, N_DRONES);
    assert_string_equal(page->drones[page->n_drones - 1]->drone_id, "drone-3-2");
    assert_int_equal(page->drones[page->n_drones - 1]->payload_g_max, 15000);
}

/* Out of memory fails the one request; the drone it would have had is free for the next. */
static void test_no_memory(void **state)
{
    fixture *f = *state;
    long n_failed = 0;
    void *r = assign_request(f, "d-1", 1, "k-1");
    for (;; n_failed++) {
        ProtobufCMessage *res = test_message_new(&f->s.mem, ASSIGNMENT);
        failmalloc_after(n_failed);
        tern_code code = drone_operation_call_now(&drone_drone_assign, f->s.state, f->s.store, r,
                                                  res, &f->s.mem);
        if (!failmalloc_off()) {
            assert_int_equal(code, TERN_OK);
            break;
        }
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        assert_int_equal(live(f), 0);
    }
    assert_true(n_failed > 0);
    for (int i = 2; i <= N_DRONES; i++) {
        char id[16];
        snprintf(id, sizeof id, "d-%d", i);
        char *key = drone_reply_strdup(&f->s.mem, id);
        assert_int_equal(assign(f, assign_request(f, id, 1, key), NULL), TERN_OK);
    }
    failmalloc_after(2);
    drone_squad one = { .number = 1, .speed_mps = 1, .n_drones = 1 };
    drone_fleet *none = drone_fleet_new(&one, 1, TEST_NOW_MS);
    assert_true(failmalloc_off());
    assert_null(none);
}

/* --- random histories ------------------------------------------------------------------------- */

#define HISTORY_DELIVERIES 40
#define HISTORY_STEPS 600

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void random_step(fixture *f, uint64_t *seed, int64_t *revisions, int step)
{
    size_t i = next_random(seed) % HISTORY_DELIVERIES;
    char *id = drone_reply_alloc(&f->s.mem, 32);
    char *key = drone_reply_alloc(&f->s.mem, 32);
    snprintf(id, 32, "d-%zu", i);
    snprintf(key, 32, "k-%d", step);
    if (next_random(seed) % 3 == 0) {
        assert_int_equal(cancel(f, id, revisions[i] + 1, key, NULL), TERN_OK);
        return;
    }
    revisions[i] += (int64_t)(next_random(seed) % 3); /* 0: of the same revision, to be refused */
    void *r = assign_request(f, id, revisions[i] > 0 ? revisions[i] : 1, key);
    int64_t pickup = clock_ms + (int64_t)(next_random(seed) % TEST_HOUR_MS);
    test_set_int(r, "route.pickup_at_ms", pickup);
    test_set_int(r, "route.deadline_ms", pickup + TEST_HOUR_MS);
    tern_code code = assign(f, r, NULL);
    assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED || code == TERN_ABORTED ||
                code == TERN_FAILED_PRECONDITION);
    if (code == TERN_OK && next_random(seed) % 2 == 0) {
        assert_int_equal(assign(f, r, NULL), TERN_OK); /* a retry */
    }
}

static void test_random_histories(void **state)
{
    fixture *f = *state;
    for (uint64_t n = 1; n <= 3; n++) {
        uint64_t seed = n * 0x9e3779b97f4a7c15u;
        int64_t revisions[HISTORY_DELIVERIES] = { 0 };
        print_message("seed %d\n", (int)n);
        test_sql(f->s.store,
                 "PRAGMA synchronous=OFF"); /* nothing is being proven about disks here */
        for (int step = 0; step < HISTORY_STEPS; step++) {
            clock_ms += (int64_t)(next_random(&seed) % 30000);
            random_step(f, &seed, revisions, step);
            if (step % 20 == 0) {
                assert_int_equal(double_booked(f), 0);
            }
            if (step % 200 == 199) {
                close_hangar(f); /* loading refuses a store with a double booking */
                open_hangar(f, N_DRONES);
                test_sql(f->s.store, "PRAGMA synchronous=OFF");
            }
        }
        assert_int_equal(double_booked(f), 0);
        test_sql(f->s.store, "DELETE FROM reservation; DELETE FROM change_key");
        close_hangar(f);
        open_hangar(f, N_DRONES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_assign_and_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy_then_free, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_drone_for_a_package, setup, teardown),
        cmocka_unit_test_setup_teardown(test_move, setup, teardown),
        cmocka_unit_test_setup_teardown(test_why_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys_and_tombstone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_histories, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
