/* The Scheduler on a temporary store: every field of every request, and what each request does to a
 * delivery in each state. */
#include "services_support.h"

#include "scheduler/engine.h"
#include "scheduler/requests.h"
#include "scheduler/schema.h"
#include <drone/supervisor/v1/supervisor.pb-c.h>

typedef Drone__Scheduler__V1__ScheduleDeliveryRequest schedule_message;
typedef Drone__Scheduler__V1__UpdateDeliveryRequest update_message;
typedef Drone__Scheduler__V1__CancelDeliveryRequest cancel_message;
typedef Drone__Scheduler__V1__ReportOutcomeRequest report_message;

#define SCHEDULE &drone__scheduler__v1__schedule_delivery_request__descriptor
#define UPDATE &drone__scheduler__v1__update_delivery_request__descriptor
#define CANCEL &drone__scheduler__v1__cancel_delivery_request__descriptor
#define REPORT &drone__scheduler__v1__report_outcome_request__descriptor

typedef struct fixture {
    drone_store *store;
    drone_reply mem;
    test_dir dir;
    drone_result result; /* of the last operation */
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->dir = test_dir_new();
    f->store = test_open(&f->dir, &drone_scheduler_schema);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    drone_store_close(f->store);
    drone_result_deinit(&f->result);
    drone_reply_deinit(&f->mem);
    test_dir_remove(&f->dir);
    free(f);
    return 0;
}

/* --- operations within a transaction ---------------------------------------------------------- */

typedef struct run_op {
    drone_store_op op;
    fixture *f;
    const void *request;
    tern_code (*run)(fixture *f, const void *request);
} run_op;

static tern_code run_run(drone_store *store, drone_store_op *op)
{
    run_op *r = (run_op *)op;
    (void)store;
    return r->run(r->f, r->request);
}

static tern_code run(fixture *f, tern_code (*fn)(fixture *, const void *), const void *request)
{
    run_op r = { .op = { .run = run_run }, .f = f, .request = request, .run = fn };
    drone_result_deinit(&f->result);
    f->result = (drone_result){ .follow = DRONE_FOLLOW_ANSWER };
    f->mem.status.message[0] = '\0';
    return drone_store_call(f->store, &r.op);
}

static tern_code do_schedule(fixture *f, const void *r)
{
    return drone_run_schedule(f->store, r, &f->result, &f->mem);
}

static tern_code do_update(fixture *f, const void *r)
{
    return drone_run_update(f->store, r, &f->result, &f->mem);
}

static tern_code do_cancel(fixture *f, const void *r)
{
    return drone_run_cancel(f->store, r, false, &f->result, &f->mem);
}

static tern_code do_cancel_checked(fixture *f, const void *r)
{
    return drone_run_cancel(f->store, r, true, &f->result, &f->mem);
}

static tern_code do_report(fixture *f, const void *r)
{
    return drone_run_report(f->store, r, &f->result, &f->mem);
}

static tern_code do_get(fixture *f, const void *id)
{
    return drone_run_get(f->store, id, &f->result, &f->mem);
}

static tern_code schedule(fixture *f, const char *id, const char *key, const char *weight)
{
    schedule_message *m = test_valid(&f->mem, SCHEDULE);
    test_set(m, "delivery.delivery_id", id);
    test_set(m, "delivery.package.weight_g", weight);
    test_set(m, "idempotency_key", key);
    return run(f, do_schedule, m);
}

static tern_code cancel(fixture *f, const char *id, const char *key, bool checked)
{
    cancel_message *m = test_valid(&f->mem, CANCEL);
    test_set(m, "delivery_id", id);
    test_set(m, "idempotency_key", key);
    return run(f, checked ? do_cancel_checked : do_cancel, m);
}

static tern_code update(fixture *f, const char *id, const char *key, const char *latitude)
{
    update_message *m = test_valid(&f->mem, UPDATE);
    test_set(m, "delivery_id", id);
    test_set(m, "idempotency_key", key);
    test_set(m, "route.dropoff.latitude", latitude);
    return run(f, do_update, m);
}

static tern_code report(fixture *f, const char *id, int outcome)
{
    report_message *m = test_valid(&f->mem, REPORT);
    test_set(m, "delivery_id", id);
    test_set(m, "message_id", "m-1");
    test_set_int(m, "state", outcome);
    return run(f, do_report, m);
}

/* How the delivery stands. */
static const drone_record *row(fixture *f, const char *id)
{
    assert_int_equal(run(f, do_get, id), TERN_OK);
    return &f->result.after;
}

/* Ends the workflow of d-1 with a drone. */
static void make_scheduled(fixture *f, const char *id)
{
    char sql[256];
    snprintf(
        sql, sizeof sql,
        "UPDATE delivery SET state = 2, phase = 0, drone_id = 'drone-1' WHERE delivery_id = '%s'",
        id);
    test_sql(f->store, sql);
}

static void set_state(fixture *f, int s)
{
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE delivery SET state = %d, phase = 0", s);
    test_sql(f->store, sql);
}

/* --- fields ----------------------------------------------------------------------------------- */

#define DELIVERY_PLACE(path)                                                       \
    { path, NULL, ": is missing" }, { path ".latitude", "91", ": 91 is outside" }, \
        { path ".longitude", "-181", ": -181 is outside" },                        \
    {                                                                              \
        path ".altitude_m", "9001", ": 9001 is outside"                            \
    }

#define LONG_DELIVERY_ID "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" /* 49 */

static const test_bad schedule_bad[] = {
    { "delivery", NULL, ": is missing" },
    { "delivery.delivery_id", "a b", ": character 2" },
    { "delivery.delivery_id", LONG_DELIVERY_ID, ": is longer than 48" },
    { "delivery.owner", NULL, ": is missing" },
    TEST_BAD_ID("delivery.owner.user_id"),
    TEST_BAD_ID("delivery.owner.account_id"),
    { "delivery.route", NULL, ": is missing" },
    DELIVERY_PLACE("delivery.route.pickup"),
    DELIVERY_PLACE("delivery.route.dropoff"),
    { "delivery.route.pickup_at_ms", "0", ": 0 is outside" },
    { "delivery.route.deadline_ms", "1700003600000", ": is not later" },
    { "delivery.confirmation", "0", ": is not set" },
    { "delivery.confirmation", "5", ": 5 is no" },
    { "delivery.package", NULL, ": is missing" },
    TEST_BAD_ID("delivery.package.package_id"),
    { "delivery.package.size", "9", ": 9 is no" },
    { "delivery.package.weight_g", "-1", ": -1 is outside" },
    { "delivery.package.tag", "\x01", ": is not printable" },
    TEST_BAD_ID("idempotency_key"),
};

static const test_bad update_bad[] = {
    TEST_BAD_ID("delivery_id"),
    TEST_BAD_ID("idempotency_key"),
    TEST_BAD_ROUTE,
    { "confirmation", "0", ": is not set" },
    { "confirmation", "-1", ": -1 is no" },
};

static const test_bad cancel_bad[] = { TEST_BAD_ID("delivery_id"), TEST_BAD_ID("idempotency_key") };

static const test_bad report_bad[] = {
    TEST_BAD_ID("message_id"),
    TEST_BAD_ID("delivery_id"),
    { "state", "0", ": must be" },
    { "state", "1", ": must be" },
    { "state", "2", ": must be" },
    { "state", "8", ": must be" },
    { "message", "\xff", ": is not printable" },
};

typedef tern_code (*checker)(drone_reply *reply, const void *request);

static tern_code check_schedule(drone_reply *reply, const void *r)
{
    return drone_check_schedule(reply, r);
}
static tern_code check_update(drone_reply *reply, const void *r)
{
    return drone_check_update(reply, r);
}
static tern_code check_cancel(drone_reply *reply, const void *r)
{
    return drone_check_cancel(reply, r);
}
static tern_code check_report(drone_reply *reply, const void *r)
{
    return drone_check_report(reply, r);
}

static void try_all(fixture *f, checker check, const ProtobufCMessageDescriptor *type,
                    const test_bad *bad, size_t n)
{
    test_covered(type, "", bad, n, "");
    for (size_t i = 0; i < n; i++) {
        char expected[192];
        void *m = test_valid(&f->mem, type);
        if (type == REPORT)
            test_set_int(m, "state", DRONE_PARKED);
        assert_int_equal(check(&f->mem, m), TERN_OK);
        test_set(m, bad[i].path, bad[i].value);
        assert_int_equal(check(&f->mem, m), TERN_INVALID_ARGUMENT);
        snprintf(expected, sizeof expected, "%s%s", bad[i].path, bad[i].why);
        if (strncmp(f->mem.status.message, expected, strlen(expected)) != 0)
            fail_msg("\"%s\" does not begin with \"%s\"", f->mem.status.message, expected);
    }
}

static void test_fields(void **state)
{
    fixture *f = *state;
    try_all(f, check_schedule, SCHEDULE, schedule_bad, TEST_N(schedule_bad));
    try_all(f, check_update, UPDATE, update_bad, TEST_N(update_bad));
    try_all(f, check_cancel, CANCEL, cancel_bad, TEST_N(cancel_bad));
    try_all(f, check_report, REPORT, report_bad, TEST_N(report_bad));
}

static void test_key_is_the_id(void **state)
{
    fixture *f = *state;
    schedule_message *m = test_valid(&f->mem, SCHEDULE);
    test_set(m, "delivery.delivery_id", "");
    assert_int_equal(drone_check_schedule(&f->mem, m), TERN_OK);
    test_set(m, "idempotency_key", LONG_DELIVERY_ID);
    assert_int_equal(drone_check_schedule(&f->mem, m), TERN_INVALID_ARGUMENT);
    test_set(m, "idempotency_key", "key-7");
    assert_int_equal(run(f, do_schedule, m), TERN_OK);
    assert_string_equal(row(f, "key-7")->delivery_id, "key-7");
}

/* --- schedule --------------------------------------------------------------------------------- */

static void test_schedule(void **state)
{
    fixture *f = *state;
    assert_int_equal(schedule(f, "d-1", "k-1", "1000"), TERN_OK);
    assert_int_equal(f->result.follow, DRONE_FOLLOW_START);
    assert_int_equal(f->result.before.state, 0);
    assert_non_null(f->result.request.data);
    const drone_record *r = row(f, "d-1");
    assert_int_equal(r->state, DRONE_RUNNING);
    assert_int_equal(r->phase, DRONE_WF_SCHEDULE);
    assert_int_equal(r->revision, 1);
    assert_int_equal(test_number(f->store, "SELECT count(*) FROM delivery WHERE account_id = "
                                           "'account-1' AND package_id = 'p-1'"),
                     1);
}

static void test_schedule_again_is_the_same(void **state)
{
    fixture *f = *state;
    assert_int_equal(schedule(f, "d-1", "k-1", "1000"), TERN_OK);
    assert_int_equal(schedule(f, "d-1", "k-1", "1000"), TERN_OK);
    assert_int_equal(f->result.follow, DRONE_FOLLOW_ANSWER);
    assert_int_equal(f->result.after.state, DRONE_RUNNING);
    /* Waiting or not is no part of the request. */
    schedule_message *m = test_valid(&f->mem, SCHEDULE);
    test_set(m, "wait", "0");
    assert_int_equal(run(f, do_schedule, m), TERN_OK);
    assert_int_equal(f->result.follow, DRONE_FOLLOW_ANSWER);
    assert_int_equal(test_number(f->store, "SELECT count(*) FROM delivery"), 1);
}

static void test_schedule_otherwise_is_aborted(void **state)
{
    fixture *f = *state;
    assert_int_equal(schedule(f, "d-1", "k-1", "1000"), TERN_OK);
    assert_int_equal(schedule(f, "d-1", "k-1", "1001"), TERN_ABORTED);
    assert_int_equal(schedule(f, "d-2", "k-1", "1000"), TERN_ABORTED);
    assert_int_equal(schedule(f, "d-1", "k-2", "1000"), TERN_ABORTED);
    assert_int_equal(test_number(f->store, "SELECT count(*) FROM delivery"), 1);
    assert_int_equal(test_number(f->store, "SELECT count(*) FROM change_key"), 1);
}

/* --- cancel ----------------------------------------------------------------------------------- */

static void test_cancel_overtakes(void **state)
{
    fixture *f = *state;
    assert_int_equal(cancel(f, "d-1", "c-1", false), TERN_OK);
    assert_int_equal(f->result.after.state, DRONE_CANCELLED);
    assert_int_equal(f->result.after.revision, 0);
    assert_int_equal(schedule(f, "d-1", "k-1", "1000"), TERN_OK);
    assert_int_equal(f->result.follow, DRONE_FOLLOW_ANSWER);
    assert_int_equal(f->result.after.state, DRONE_CANCELLED);
    assert_int_equal(update(f, "d-1", "u-1", "41"), TERN_NOT_FOUND);
    assert_int_equal(schedule(f, "d-1", "k-1", "2000"), TERN_ABORTED);
}

static void test_cancel_running(void **state)
{
    fixture *f = *state;
    schedule(f, "d-1", "k-1", "1000");
    assert_int_equal(cancel(f, "d-1", "c-1", false), TERN_OK);
    assert_int_equal(f->result.follow, DRONE_FOLLOW_CANCEL_JOB);
    const drone_record *r = row(f, "d-1");
    assert_int_equal(r->state, DRONE_CANCELLING);
    assert_int_equal(r->phase, DRONE_WF_SCHEDULE); /* resumed after a crash, and then undone */
    assert_int_equal(cancel(f, "d-1", "c-1", false), TERN_OK);
    assert_int_equal(f->result.follow, DRONE_FOLLOW_ANSWER);
    assert_int_equal(cancel(f, "d-1", "c-2", false), TERN_OK);
    assert_int_equal(f->result.follow, DRONE_FOLLOW_ANSWER);
}

static void test_cancel_scheduled(void **state)
{
    fixture *f = *state;
    schedule(f, "d-1", "k-1", "1000");
    make_scheduled(f, "d-1");
    assert_int_equal(cancel(f, "d-1", "c-1", false), TERN_OK);
    assert_int_equal(f->result.follow, DRONE_FOLLOW_CHECK_STAGE);
    assert_int_equal(row(f, "d-1")->state, DRONE_SCHEDULED);
    assert_int_equal(cancel(f, "d-1", "c-1", true), TERN_OK);
    assert_int_equal(f->result.follow, DRONE_FOLLOW_COMPENSATE);
    Drone__Supervisor__V1__CompensateRequest *m = drone__supervisor__v1__compensate_request__unpack(
        NULL, f->result.message.len, f->result.message.data);
    assert_non_null(m);
    assert_string_equal(m->message_id, "d-1/1");
    assert_int_equal(m->cause, DRONE__SUPERVISOR__V1__CAUSE__CAUSE_CANCELLED);
    assert_int_equal(m->n_steps, 4);
    assert_int_equal(m->steps[2]->step, DRONE_STEP_DRONE);
    drone__supervisor__v1__compensate_request__free_unpacked(m, NULL);
    assert_int_equal(row(f, "d-1")->state, DRONE_CANCELLING);
    assert_string_equal(row(f, "d-1")->drone_id, "");
    assert_int_equal(test_number(f->store, "SELECT count(*) FROM outbox"), 1);
}

static void test_cancel_in_other_states(void **state)
{
    fixture *f = *state;
    schedule(f, "d-1", "k-1", "1000");
    const int refused[] = { DRONE_COMPENSATING, DRONE_COMPENSATED, DRONE_PARKED };
    for (size_t i = 0; i < TEST_N(refused); i++) {
        set_state(f, refused[i]);
        assert_int_equal(cancel(f, "d-1", "c-1", true), TERN_FAILED_PRECONDITION);
        assert_message(f, drone_state_name(refused[i]));
    }
    set_state(f, DRONE_CANCELLED);
    assert_int_equal(cancel(f, "d-1", "c-1", true), TERN_OK);
    assert_int_equal(cancel(f, "d-2", "c-1", true), TERN_ABORTED);
}

/* --- update ----------------------------------------------------------------------------------- */

static void test_update(void **state)
{
    fixture *f = *state;
    schedule(f, "d-1", "k-1", "1000");
    assert_int_equal(update(f, "d-1", "u-1", "41"), TERN_FAILED_PRECONDITION);
    assert_message(f, "is running");
    make_scheduled(f, "d-1");
    assert_int_equal(update(f, "d-1", "u-1", "41"), TERN_OK);
    assert_int_equal(f->result.follow, DRONE_FOLLOW_START);
    assert_int_equal(f->result.key_revision, 2);
    Drone__Scheduler__V1__DeliveryRequest *now = drone__scheduler__v1__delivery_request__unpack(
        NULL, f->result.request.len, f->result.request.data);
    Drone__Scheduler__V1__DeliveryRequest *before = drone__scheduler__v1__delivery_request__unpack(
        NULL, f->result.former.len, f->result.former.data);
    assert_true(now && before);
    assert_true(now->route->dropoff->latitude == 41 && before->route->dropoff->latitude == 40.75);
    assert_string_equal(now->package->package_id, before->package->package_id);
    drone__scheduler__v1__delivery_request__free_unpacked(now, NULL);
    drone__scheduler__v1__delivery_request__free_unpacked(before, NULL);
    assert_int_equal(row(f, "d-1")->phase, DRONE_WF_UPDATE);
    assert_int_equal(row(f, "d-1")->revision, 2);

    assert_int_equal(update(f, "d-1", "u-1", "41"), TERN_OK); /* again: the same */
    assert_int_equal(f->result.follow, DRONE_FOLLOW_ANSWER);
    assert_int_equal(f->result.key_revision, 2);
    assert_int_equal(update(f, "d-1", "u-1", "42"), TERN_ABORTED);
    assert_int_equal(update(f, "d-1", "u-2", "42"), TERN_FAILED_PRECONDITION);
    assert_int_equal(update(f, "d-9", "u-3", "42"), TERN_NOT_FOUND);
}

/* --- report ----------------------------------------------------------------------------------- */

static void test_report(void **state)
{
    fixture *f = *state;
    static const struct {
        int from, to;
        tern_code code;
    } cases[] = {
        { DRONE_COMPENSATING, DRONE_COMPENSATED, TERN_OK },
        { DRONE_COMPENSATING, DRONE_PARKED, TERN_OK },
        { DRONE_CANCELLING, DRONE_CANCELLED, TERN_OK },
        { DRONE_CANCELLING, DRONE_PARKED, TERN_OK },
        { DRONE_PARKED, DRONE_COMPENSATED, TERN_OK },
        { DRONE_PARKED, DRONE_CANCELLED, TERN_OK },
        { DRONE_COMPENSATED, DRONE_COMPENSATED, TERN_OK },
        { DRONE_CANCELLED, DRONE_CANCELLED, TERN_OK },
        { DRONE_COMPENSATED, DRONE_PARKED, TERN_FAILED_PRECONDITION },
        { DRONE_SCHEDULED, DRONE_COMPENSATED, TERN_FAILED_PRECONDITION },
        { DRONE_RUNNING, DRONE_PARKED, TERN_FAILED_PRECONDITION },
    };
    assert_int_equal(report(f, "d-1", DRONE_PARKED), TERN_NOT_FOUND);
    schedule(f, "d-1", "k-1", "1000");
    for (size_t i = 0; i < TEST_N(cases); i++) {
        set_state(f, cases[i].from);
        assert_int_equal(report(f, "d-1", cases[i].to), cases[i].code);
        assert_int_equal(row(f, "d-1")->state,
                         cases[i].code == TERN_OK ? cases[i].to : cases[i].from);
    }
}

/* --- pure parts ------------------------------------------------------------------------------- */

static void test_keys(void **state)
{
    char key[DRONE_KEY_SIZE];
    (void)state;
    drone_change_key("d-1", 3, false, key);
    assert_string_equal(key, "d-1/3");
    drone_change_key("d-1", 3, true, key);
    assert_string_equal(key, "d-1/3/u");
    drone_change_key("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1000000000, true, key);
    assert_in_range(strlen(key), 60, 64);
}

static void test_backoff(void **state)
{
    (void)state;
    assert_int_equal(drone_backoff_ms(100, 1000, 1, 200), 100);
    assert_int_equal(drone_backoff_ms(100, 1000, 3, 200), 400);
    assert_int_equal(drone_backoff_ms(100, 1000, 1000, 200), 1000);
    assert_int_equal(drone_backoff_ms(100, 1000, 2, 0), 160);
    assert_int_equal(drone_backoff_ms(100, 1000, 2, 400), 240);
    assert_int_equal(drone_backoff_ms(1, 1, 1, 0), 1);
}

static void test_trimmed_text(void **state)
{
    static const char *const cases[][2] = {
        { "", "" },
        { "abc", "abc" },
        { "a\xc3\xa4", "a\xc3\xa4" },
        { "a\xc3", "a" },
        { "\xe2\x82", "" },
        { "x\xe2\x82\xac", "x\xe2\x82\xac" },
        { "x\xf0\x9f\x9a", "x" },
        { "x\xf0\x9f\x9a\x81", "x\xf0\x9f\x9a\x81" },
    };
    (void)state;
    for (size_t i = 0; i < TEST_N(cases); i++) {
        char s[16];
        strcpy(s, cases[i][0]);
        drone_text_trim(s);
        assert_string_equal(s, cases[i][1]);
    }
}

static void test_price(void **state)
{
    fixture *f = *state;
    schedule_message *m = test_valid(&f->mem, SCHEDULE);
    test_set(m, "delivery.package.weight_g", "2000");
    assert_int_equal(drone_price_cents(m->delivery), 500 + 100);
    test_set(m, "delivery.route.dropoff.latitude", "41.75"); /* a degree: 111.2 km */
    assert_in_range(drone_price_cents(m->delivery), 600 + 11100, 600 + 11150);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_fields),
        CASE(test_key_is_the_id),
        CASE(test_schedule),
        CASE(test_schedule_again_is_the_same),
        CASE(test_schedule_otherwise_is_aborted),
        CASE(test_cancel_overtakes),
        CASE(test_cancel_running),
        CASE(test_cancel_scheduled),
        CASE(test_cancel_in_other_states),
        CASE(test_update),
        CASE(test_report),
        CASE(test_keys),
        CASE(test_backoff),
        CASE(test_trimmed_text),
        CASE(test_price),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
