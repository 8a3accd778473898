/* The Delivery service on a temporary store: stages, updates, cancels. */
#include "services_support.h"

#include "delivery/delivery.h"

typedef Drone__Delivery__V1__Delivery delivery_message;
typedef Drone__Delivery__V1__CancelDeliveryResponse cancel_message;

#define CREATE &drone__delivery__v1__create_delivery_request__descriptor
#define UPDATE &drone__delivery__v1__update_delivery_request__descriptor
#define CANCEL &drone__delivery__v1__cancel_delivery_request__descriptor
#define GET &drone__delivery__v1__get_delivery_request__descriptor
#define DELIVERY &drone__delivery__v1__delivery__descriptor
#define CANCELLED &drone__delivery__v1__cancel_delivery_response__descriptor

typedef struct fixture {
    test_service s;
    test_dir dir;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->dir = test_dir_new();
    f->s.store = test_open(&f->dir, &drone_delivery_schema);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    drone_store_close(f->s.store);
    drone_reply_deinit(&f->s.mem);
    test_dir_remove(&f->dir);
    free(f);
    return 0;
}

static void *request(fixture *f, const ProtobufCMessageDescriptor *type, int64_t revision,
                     const char *key)
{
    void *r = test_valid(&f->s.mem, type);
    test_set_int(r, "change.revision", revision);
    test_set(r, "change.idempotency_key", key);
    return r;
}

static tern_code create(fixture *f, void *r, delivery_message **ret)
{
    return test_call(&f->s, &drone_delivery_create, r, DELIVERY, ret);
}

static tern_code update(fixture *f, void *r, delivery_message **ret)
{
    return test_call(&f->s, &drone_delivery_update, r, DELIVERY, ret);
}

static tern_code cancel(fixture *f, int64_t revision, const char *key, cancel_message **ret)
{
    return test_call(&f->s, &drone_delivery_cancel, request(f, CANCEL, revision, key), CANCELLED,
                     ret);
}

static tern_code get(fixture *f, delivery_message **ret)
{
    return test_call(&f->s, &drone_delivery_get, test_valid(&f->s.mem, GET), DELIVERY, ret);
}

#define TEST_BAD_CONFIRMATION                             \
    { "confirmation", "0", ": is not set" },              \
    {                                                     \
        "confirmation", "5", ": 5 is no ConfirmationType" \
    }
#define TEST_BAD_CARRIER                                                                     \
    { "drone_id", "", ": exactly one of drone_id and order_id must be set" },                \
        { "drone_id", "a b", ": character 2" }, { "drone_id", TEST_LONG_ID, ": is longer" }, \
        { "order_id", "a b", ": character 2" },                                              \
    {                                                                                        \
        "order_id", TEST_LONG_ID, ": is longer"                                              \
    }

static void test_fields(void **state)
{
    fixture *f = *state;
    static const test_bad creating[] = {
        TEST_BAD_CHANGE,
        { "owner", NULL, ": is missing" },
        TEST_BAD_ID("owner.user_id"),
        TEST_BAD_ID("owner.account_id"),
        TEST_BAD_ROUTE,
        TEST_BAD_CONFIRMATION,
        TEST_BAD_ID("package_id"),
        TEST_BAD_CARRIER,
    };
    static const test_bad updating[] = { TEST_BAD_CHANGE, TEST_BAD_ROUTE, TEST_BAD_CONFIRMATION,
                                         TEST_BAD_CARRIER };
    static const test_bad cancelling[] = { TEST_BAD_CHANGE };
    static const test_bad getting[] = { TEST_BAD_ID("delivery_id") };
    test_bad_values(&f->s, &drone_delivery_create, CREATE, DELIVERY, creating, TEST_N(creating),
                    "");
    test_bad_values(&f->s, &drone_delivery_update, UPDATE, DELIVERY, updating, TEST_N(updating),
                    "");
    test_bad_values(&f->s, &drone_delivery_cancel, CANCEL, CANCELLED, cancelling,
                    TEST_N(cancelling), "");
    test_bad_values(&f->s, &drone_delivery_get, GET, DELIVERY, getting, TEST_N(getting), "");
}

static void test_both_carriers(void **state)
{
    fixture *f = *state;
    void *r = request(f, CREATE, 1, "k-1");
    test_set(r, "order_id", "order-1");
    assert_int_equal(create(f, r, NULL), TERN_INVALID_ARGUMENT);
    assert_message(&f->s, "exactly one");
}

static void test_create_and_get(void **state)
{
    fixture *f = *state;
    delivery_message *d = NULL;
    void *r = request(f, CREATE, 1, "k-1");
    test_set(r, "expedited", "1");
    test_set(r, "route.dropoff.altitude_m", "33.5");
    assert_int_equal(create(f, r, NULL), TERN_OK);
    assert_int_equal(create(f, r, NULL), TERN_OK); /* replay */
    assert_int_equal(get(f, &d), TERN_OK);
    assert_string_equal(d->delivery_id, "d-1");
    assert_string_equal(d->owner->user_id, "user-1");
    assert_string_equal(d->owner->account_id, "account-1");
    assert_string_equal(d->package_id, "p-1");
    assert_string_equal(d->drone_id, "drone-1-1");
    assert_string_equal(d->order_id, "");
    assert_true(d->expedited);
    assert_int_equal(d->confirmation, 1);
    assert_true(d->route->pickup->latitude == 40.75);
    assert_true(d->route->dropoff->altitude_m == 33.5);
    assert_int_equal(d->route->pickup_at_ms, TEST_NOW_MS + TEST_HOUR_MS);
    assert_int_equal(d->route->deadline_ms, TEST_NOW_MS + 3 * TEST_HOUR_MS);
    assert_int_equal(d->stage, DRONE__DELIVERY__V1__STAGE__STAGE_CREATED);
    assert_int_equal(create(f, request(f, CREATE, 2, "k-2"), NULL), TERN_ALREADY_EXISTS);
    test_set(r, "package_id", "p-2");
    assert_int_equal(create(f, r, NULL), TERN_ABORTED); /* the key, another body */
    assert_int_equal(test_number(f->s.store, "SELECT count(*) FROM delivery"), 1);
}

static void test_update(void **state)
{
    fixture *f = *state;
    delivery_message *d = NULL;
    void *r = request(f, UPDATE, 2, "k-2");
    assert_int_equal(update(f, r, NULL), TERN_NOT_FOUND);
    assert_int_equal(create(f, request(f, CREATE, 1, "k-1"), NULL), TERN_OK);
    test_set_int(r, "route.pickup_at_ms", TEST_NOW_MS + 2 * TEST_HOUR_MS);
    test_set(r, "drone_id", "");
    test_set(r, "order_id", "order-7");
    assert_int_equal(update(f, r, &d), TERN_OK);
    assert_int_equal(d->stage, DRONE__DELIVERY__V1__STAGE__STAGE_RESCHEDULED);
    assert_int_equal(d->route->pickup_at_ms, TEST_NOW_MS + 2 * TEST_HOUR_MS);
    assert_string_equal(d->order_id, "order-7");
    assert_string_equal(d->drone_id, "");
    assert_string_equal(d->owner->user_id, "user-1");
    assert_int_equal(update(f, r, NULL), TERN_OK); /* replay */
    assert_int_equal(update(f, request(f, UPDATE, 1, "k-3"), NULL), TERN_ABORTED);
    assert_int_equal(cancel(f, 1, "u-1", NULL), TERN_ABORTED);
    assert_int_equal(cancel(f, 2, "u-2", NULL), TERN_OK);
    assert_int_equal(update(f, request(f, UPDATE, 3, "k-4"), NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "is cancelled");
}

static void test_cancel(void **state)
{
    fixture *f = *state;
    cancel_message *done = NULL;
    delivery_message *d = NULL;
    assert_int_equal(create(f, request(f, CREATE, 1, "k-1"), NULL), TERN_OK);
    assert_int_equal(cancel(f, 1, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_DONE);
    assert_int_equal(cancel(f, 1, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_DONE);
    assert_int_equal(get(f, &d), TERN_OK);
    assert_int_equal(d->stage, DRONE__DELIVERY__V1__STAGE__STAGE_CANCELLED);
    assert_int_equal(create(f, request(f, CREATE, 1, "k-1"), NULL), TERN_FAILED_PRECONDITION);
}

static void test_tombstone(void **state)
{
    fixture *f = *state;
    cancel_message *done = NULL;
    assert_int_equal(cancel(f, 1, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_NOTHING);
    assert_int_equal(get(f, NULL), TERN_NOT_FOUND);
    assert_int_equal(create(f, request(f, CREATE, 1, "k-1"), NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(update(f, request(f, UPDATE, 2, "k-2"), NULL), TERN_NOT_FOUND);
    assert_int_equal(create(f, request(f, CREATE, 2, "k-3"), NULL), TERN_OK);
}

/* What the drone's flight does to the stage decides what is still possible. */
static void test_under_way(void **state)
{
    fixture *f = *state;
    cancel_message *done = NULL;
    assert_int_equal(create(f, request(f, CREATE, 1, "k-1"), NULL), TERN_OK);
    test_sql(f->s.store, "UPDATE delivery SET stage = 4");
    assert_int_equal(update(f, request(f, UPDATE, 2, "k-2"), NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "headed to the dropoff");
    assert_int_equal(cancel(f, 1, "u-1", NULL), TERN_FAILED_PRECONDITION);
    test_sql(f->s.store, "UPDATE delivery SET stage = 5");
    assert_int_equal(cancel(f, 1, "u-1", NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "is completed");
    test_sql(f->s.store, "UPDATE delivery SET stage = 3");
    assert_int_equal(update(f, request(f, UPDATE, 2, "k-2"), NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "headed to the pickup");
    assert_int_equal(cancel(f, 1, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_carriers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_create_and_get, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tombstone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_under_way, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
