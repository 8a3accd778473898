/* The Package service on a temporary store: a package is in one delivery at a time. */
#include "services_support.h"

#include "package/package.h"

typedef Drone__Package__V1__DeliveryPackage package_message;
typedef Drone__Package__V1__ReleasePackageResponse release_message;

#define PUT &drone__package__v1__put_package_request__descriptor
#define RELEASE &drone__package__v1__release_package_request__descriptor
#define GET &drone__package__v1__get_package_request__descriptor
#define PACKAGE &drone__package__v1__delivery_package__descriptor
#define RELEASED &drone__package__v1__release_package_response__descriptor

typedef struct fixture {
    test_service s;
    test_dir dir;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->dir = test_dir_new();
    f->s.store = test_open(&f->dir, &drone_package_schema);
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

static tern_code put(fixture *f, void *r, package_message **ret)
{
    return test_call(&f->s, &drone_package_put, r, PACKAGE, ret);
}

static tern_code release(fixture *f, const char *delivery, int64_t revision, const char *key,
                         release_message **ret)
{
    return test_call(&f->s, &drone_package_release, request(f, RELEASE, delivery, revision, key),
                     RELEASED, ret);
}

static int64_t live(fixture *f)
{
    return test_number(f->s.store, "SELECT count(*) FROM reservation WHERE state = 1");
}

static void test_fields(void **state)
{
    fixture *f = *state;
    static const test_bad putting[] = { TEST_BAD_CHANGE, TEST_BAD_PACKAGE };
    static const test_bad releasing[] = { TEST_BAD_CHANGE };
    static const test_bad get[] = { TEST_BAD_ID("delivery_id") };
    test_bad_values(&f->s, &drone_package_put, PUT, PACKAGE, putting, TEST_N(putting), "");
    test_bad_values(&f->s, &drone_package_release, RELEASE, RELEASED, releasing, TEST_N(releasing),
                    "");
    test_bad_values(&f->s, &drone_package_get, GET, PACKAGE, get, TEST_N(get), "");
}

static void test_put_and_release(void **state)
{
    fixture *f = *state;
    package_message *p = NULL;
    release_message *done = NULL;
    void *r = request(f, PUT, "d-1", 1, "k-1");
    assert_int_equal(put(f, r, &p), TERN_OK);
    assert_string_equal(p->delivery_id, "d-1");
    assert_string_equal(p->package->package_id, "p-1");
    assert_string_equal(p->package->tag, "4006381333931");
    assert_int_equal(p->package->weight_g, 1000);
    assert_int_equal(p->state, DRONE__PACKAGE__V1__PACKAGE_STATE__PACKAGE_STATE_RESERVED);
    assert_int_equal(put(f, r, NULL), TERN_OK); /* replay */
    assert_int_equal(live(f), 1);
    assert_int_equal(release(f, "d-1", 1, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_DONE);
    assert_int_equal(live(f), 0);
    assert_int_equal(put(f, r, NULL), TERN_FAILED_PRECONDITION); /* too late */
    assert_int_equal(test_call(&f->s, &drone_package_get, test_valid(&f->s.mem, GET), PACKAGE, &p),
                     TERN_OK);
    assert_int_equal(p->state, DRONE__PACKAGE__V1__PACKAGE_STATE__PACKAGE_STATE_RELEASED);
}

static void test_one_delivery_at_a_time(void **state)
{
    fixture *f = *state;
    void *second = request(f, PUT, "d-2", 1, "k-2");
    assert_int_equal(put(f, request(f, PUT, "d-1", 1, "k-1"), NULL), TERN_OK);
    assert_int_equal(put(f, second, NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "package p-1 is in delivery d-1");
    assert_int_equal(release(f, "d-1", 1, "u-1", NULL), TERN_OK);
    assert_int_equal(put(f, second, NULL), TERN_OK);
    assert_int_equal(put(f, request(f, PUT, "d-1", 2, "k-3"), NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(live(f), 1);
}

static void test_newer_revision(void **state)
{
    fixture *f = *state;
    package_message *p = NULL;
    void *second = request(f, PUT, "d-1", 2, "k-2");
    assert_int_equal(put(f, request(f, PUT, "d-1", 1, "k-1"), NULL), TERN_OK);
    test_set(second, "package.package_id", "p-2");
    test_set(second, "package.tag", "\xc3\xbc");
    assert_int_equal(put(f, second, &p), TERN_OK);
    assert_string_equal(p->package->package_id, "p-2");
    assert_string_equal(p->package->tag, "\xc3\xbc");
    assert_int_equal(live(f), 1);
    assert_int_equal(put(f, request(f, PUT, "d-3", 1, "k-3"), NULL), TERN_OK); /* p-1 is free */
    assert_int_equal(put(f, request(f, PUT, "d-1", 1, "k-1"), NULL), TERN_ABORTED);
    assert_int_equal(release(f, "d-1", 1, "u-1", NULL), TERN_ABORTED);
    assert_int_equal(live(f), 2);
}

static void test_keys(void **state)
{
    fixture *f = *state;
    void *r = request(f, PUT, "d-1", 1, "k-1");
    assert_int_equal(put(f, r, NULL), TERN_OK);
    test_set(r, "package.weight_g", "1001");
    assert_int_equal(put(f, r, NULL), TERN_ABORTED);
    assert_int_equal(release(f, "d-1", 1, "k-1", NULL), TERN_ABORTED);
    assert_int_equal(
        test_number(f->s.store, "SELECT weight_g FROM reservation WHERE delivery_id = 'd-1'"),
        1000);
}

static void test_tombstone(void **state)
{
    fixture *f = *state;
    release_message *done = NULL;
    assert_int_equal(release(f, "d-1", 1, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_NOTHING);
    assert_int_equal(put(f, request(f, PUT, "d-1", 1, "k-1"), NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(
        test_call(&f->s, &drone_package_get, test_valid(&f->s.mem, GET), PACKAGE, NULL),
        TERN_NOT_FOUND);
    assert_int_equal(put(f, request(f, PUT, "d-1", 2, "k-2"), NULL), TERN_OK);
    assert_int_equal(release(f, "d-1", 2, "u-2", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_DONE);
    assert_int_equal(live(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_and_release, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_delivery_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_revision, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tombstone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
