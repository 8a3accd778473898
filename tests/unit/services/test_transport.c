/* The Transport service on a temporary store: orders, their numbers, recalls. */
#include "services_support.h"

#include "transport/transport.h"

typedef Drone__Transport__V1__Order order_message;
typedef Drone__Transport__V1__RecallResponse recall_message;

#define TAKE &drone__transport__v1__take_over_request__descriptor
#define RECALL &drone__transport__v1__recall_request__descriptor
#define GET &drone__transport__v1__get_order_request__descriptor
#define ORDER &drone__transport__v1__order__descriptor
#define RECALLED &drone__transport__v1__recall_response__descriptor

typedef struct fixture {
    test_service s;
    test_dir dir;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->dir = test_dir_new();
    f->s.store = test_open(&f->dir, &drone_transport_schema);
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

static void *request(fixture *f, const ProtobufCMessageDescriptor *type, const char *delivery,
                     int64_t revision, const char *key)
{
    void *r = test_valid(&f->s.mem, type);
    test_set(r, "change.delivery_id", delivery);
    test_set_int(r, "change.revision", revision);
    test_set(r, "change.idempotency_key", key);
    return r;
}

static tern_code take(fixture *f, void *r, order_message **ret)
{
    return test_call(&f->s, &drone_transport_take_over, r, ORDER, ret);
}

static tern_code recall(fixture *f, const char *delivery, int64_t revision, const char *key,
                        recall_message **ret)
{
    return test_call(&f->s, &drone_transport_recall, request(f, RECALL, delivery, revision, key),
                     RECALLED, ret);
}

static int64_t live(fixture *f)
{
    return test_number(f->s.store, "SELECT count(*) FROM carrier_order WHERE state = 1");
}

static void test_fields(void **state)
{
    fixture *f = *state;
    static const test_bad taking[] = { TEST_BAD_CHANGE, TEST_BAD_PACKAGE, TEST_BAD_ROUTE };
    static const test_bad recalling[] = { TEST_BAD_CHANGE };
    static const test_bad get[] = { TEST_BAD_ID("delivery_id") };
    test_bad_values(&f->s, &drone_transport_take_over, TAKE, ORDER, taking, TEST_N(taking), "");
    test_bad_values(&f->s, &drone_transport_recall, RECALL, RECALLED, recalling, TEST_N(recalling),
                    "");
    test_bad_values(&f->s, &drone_transport_get, GET, ORDER, get, TEST_N(get), "");
}

static void test_take_and_recall(void **state)
{
    fixture *f = *state;
    order_message *order = NULL;
    recall_message *done = NULL;
    void *r = request(f, TAKE, "d-1", 1, "k-1");
    assert_int_equal(take(f, r, &order), TERN_OK);
    assert_string_equal(order->order_id, "order-1");
    assert_int_equal(order->state, DRONE__TRANSPORT__V1__ORDER_STATE__ORDER_STATE_TAKEN);
    assert_int_equal(take(f, r, &order), TERN_OK); /* replay: the same order */
    assert_string_equal(order->order_id, "order-1");
    assert_int_equal(take(f, request(f, TAKE, "d-2", 1, "k-2"), &order), TERN_OK);
    assert_string_equal(order->order_id, "order-2");
    assert_int_equal(recall(f, "d-1", 1, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_DONE);
    assert_int_equal(live(f), 1);
    assert_int_equal(take(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(
        test_call(&f->s, &drone_transport_get, test_valid(&f->s.mem, GET), ORDER, &order), TERN_OK);
    assert_int_equal(order->state, DRONE__TRANSPORT__V1__ORDER_STATE__ORDER_STATE_RECALLED);
}

static void test_keeps_its_number(void **state)
{
    fixture *f = *state;
    order_message *order = NULL;
    void *second = request(f, TAKE, "d-1", 2, "k-2");
    assert_int_equal(take(f, request(f, TAKE, "d-1", 1, "k-1"), NULL), TERN_OK);
    test_set(second, "route.dropoff.latitude", "41.5");
    assert_int_equal(take(f, second, &order), TERN_OK);
    assert_string_equal(order->order_id, "order-1");
    assert_int_equal(order->revision, 2);
    assert_int_equal(recall(f, "d-1", 1, "u-1", NULL), TERN_ABORTED);
    assert_int_equal(recall(f, "d-1", 2, "u-2", NULL), TERN_OK);
    assert_int_equal(take(f, request(f, TAKE, "d-1", 3, "k-3"), &order), TERN_OK);
    assert_string_equal(order->order_id, "order-1");
    assert_int_equal(live(f), 1);
}

/* A failed order takes no number and leaves the former one as it was. */
static void test_too_far(void **state)
{
    fixture *f = *state;
    order_message *order = NULL;
    void *r = request(f, TAKE, "d-1", 1, "k-1");
    test_set(r, "route.dropoff.latitude", "50");
    assert_int_equal(take(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "drives at most 500 km");
    assert_int_equal(test_number(f->s.store, "SELECT count(*) FROM carrier_order"), 0);
    assert_int_equal(take(f, request(f, TAKE, "d-1", 2, "k-2"), &order), TERN_OK);
    assert_string_equal(order->order_id, "order-1");
    r = request(f, TAKE, "d-1", 3, "k-3");
    test_set(r, "route.dropoff.latitude", "50");
    assert_int_equal(take(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(test_number(f->s.store, "SELECT revision FROM carrier_order"), 2);
}

static void test_keys_and_tombstone(void **state)
{
    fixture *f = *state;
    recall_message *done = NULL;
    void *r = request(f, TAKE, "d-1", 1, "k-1");
    assert_int_equal(recall(f, "d-1", 1, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_NOTHING);
    assert_int_equal(take(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(
        test_call(&f->s, &drone_transport_get, test_valid(&f->s.mem, GET), ORDER, NULL),
        TERN_NOT_FOUND);
    r = request(f, TAKE, "d-1", 2, "k-2");
    assert_int_equal(take(f, r, NULL), TERN_OK);
    test_set(r, "route.pickup.latitude", "40.8");
    assert_int_equal(take(f, r, NULL), TERN_ABORTED);
    assert_int_equal(live(f), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_take_and_recall, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keeps_its_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_far, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys_and_tombstone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
