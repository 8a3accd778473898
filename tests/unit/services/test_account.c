/* The Account service on a temporary store: holds, refunds, tombstones, keys, and its sums. */
#include "services_support.h"

#include "account/account.h"
#include "support/failmalloc.h"

typedef Drone__Account__V1__Account account_message;
typedef Drone__Account__V1__Hold hold_message;
typedef Drone__Account__V1__RefundHoldResponse refund_message;

#define PLACE &drone__account__v1__place_hold_request__descriptor
#define REFUND &drone__account__v1__refund_hold_request__descriptor
#define HOLD &drone__account__v1__hold__descriptor
#define REFUNDED &drone__account__v1__refund_hold_response__descriptor

typedef struct fixture {
    test_service s;
    test_dir dir;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    const drone_account_seed seed = { .accounts = 4,
                                      .suspend_every = 3,
                                      .credit_limit_cents = 1000 };
    f->dir = test_dir_new();
    f->s.store = test_open(&f->dir, &drone_account_schema);
    assert_int_equal(drone_account_seed_store(f->s.store, &seed, NULL), TERN_OK);
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

static tern_code place(fixture *f, void *r, hold_message **ret)
{
    return test_call(&f->s, &drone_account_place_hold, r, HOLD, ret);
}

static tern_code refund(fixture *f, const char *delivery, int64_t revision, const char *key,
                        refund_message **ret)
{
    return test_call(&f->s, &drone_account_refund_hold, request(f, REFUND, delivery, revision, key),
                     REFUNDED, ret);
}

static int64_t held(fixture *f)
{
    return test_number(f->s.store, "SELECT sum(held_cents) FROM account");
}

static void test_fields(void **state)
{
    fixture *f = *state;
    static const test_bad put[] = {
        { "account", NULL, ": is missing" },
        TEST_BAD_ID("account.account_id"),
        { "account.state", "0", ": is not set" },
        { "account.state", "3", ": 3 is no AccountState" },
        { "account.credit_limit_cents", "-1", ": -1 is outside" },
        { "account.credit_limit_cents", "1000000000000001", ": 1000000000000001 is outside" },
    };
    static const test_bad get[] = { TEST_BAD_ID("account_id") };
    static const test_bad placing[] = {
        TEST_BAD_CHANGE,
        TEST_BAD_ID("account_id"),
        { "amount_cents", "-1", ": -1 is outside 0..100000000" },
        { "amount_cents", "100000001", ": 100000001 is outside" },
    };
    static const test_bad refunding[] = { TEST_BAD_CHANGE };
    static const test_bad get_hold[] = { TEST_BAD_ID("delivery_id") };
    const ProtobufCMessageDescriptor *account = &drone__account__v1__account__descriptor;
    test_bad_values(&f->s, &drone_account_put, &drone__account__v1__put_account_request__descriptor,
                    account, put, TEST_N(put), "account.held_cents");
    test_bad_values(&f->s, &drone_account_get, &drone__account__v1__get_account_request__descriptor,
                    account, get, TEST_N(get), "");
    test_bad_values(&f->s, &drone_account_place_hold, PLACE, HOLD, placing, TEST_N(placing), "");
    test_bad_values(&f->s, &drone_account_refund_hold, REFUND, REFUNDED, refunding,
                    TEST_N(refunding), "");
    test_bad_values(&f->s, &drone_account_get_hold,
                    &drone__account__v1__get_hold_request__descriptor, HOLD, get_hold,
                    TEST_N(get_hold), "");
}

static void test_hold_and_refund(void **state)
{
    fixture *f = *state;
    hold_message *hold = NULL;
    refund_message *done = NULL;
    assert_int_equal(place(f, request(f, PLACE, "d-1", 1, "d-1/1"), &hold), TERN_OK);
    assert_string_equal(hold->delivery_id, "d-1");
    assert_string_equal(hold->account_id, "account-1");
    assert_int_equal(hold->amount_cents, 500);
    assert_int_equal(hold->state, DRONE__ACCOUNT__V1__HOLD_STATE__HOLD_STATE_HELD);
    assert_int_equal(held(f), 500);
    assert_int_equal(refund(f, "d-1", 1, "d-1/1/u", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_DONE);
    assert_int_equal(held(f), 0);
    assert_int_equal(refund(f, "d-1", 1, "d-1/1/u", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_DONE);
    assert_int_equal(held(f), 0);
}

static void test_same_key(void **state)
{
    fixture *f = *state;
    hold_message *hold = NULL;
    void *r = request(f, PLACE, "d-1", 1, "key");
    assert_int_equal(place(f, r, NULL), TERN_OK);
    assert_int_equal(place(f, r, &hold), TERN_OK);
    assert_int_equal(hold->amount_cents, 500);
    assert_int_equal(held(f), 500);
    test_set(r, "amount_cents", "501");
    assert_int_equal(place(f, r, NULL), TERN_ABORTED);
    assert_message(&f->s, "key was used for another request");
    assert_int_equal(refund(f, "d-1", 1, "key", NULL), TERN_ABORTED); /* another method */
    assert_int_equal(place(f, request(f, PLACE, "d-2", 1, "key"), NULL), TERN_ABORTED);
    assert_int_equal(held(f), 500);
    assert_int_equal(test_number(f->s.store, "SELECT count(*) FROM hold"), 1);
}

static void test_business_failures(void **state)
{
    fixture *f = *state;
    void *r = request(f, PLACE, "d-1", 1, "k-1");
    test_set(r, "account_id", "account-3");
    assert_int_equal(place(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "account-3 is suspended");
    test_set(r, "account_id", "nobody");
    assert_int_equal(place(f, r, NULL), TERN_NOT_FOUND);
    test_set(r, "account_id", "account-1");
    test_set(r, "amount_cents", "1001");
    assert_int_equal(place(f, r, NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "exceed its credit of 1000");
    /* A failure stores nothing, not even the key. */
    assert_int_equal(test_number(f->s.store, "SELECT count(*) FROM change_key"), 0);
    assert_int_equal(test_number(f->s.store, "SELECT count(*) FROM hold"), 0);
    test_set(r, "amount_cents", "1000");
    assert_int_equal(place(f, r, NULL), TERN_OK);
}

static void test_revisions(void **state)
{
    fixture *f = *state;
    hold_message *hold = NULL;
    void *second = request(f, PLACE, "d-1", 2, "k-2");
    assert_int_equal(place(f, request(f, PLACE, "d-1", 1, "k-1"), NULL), TERN_OK);
    test_set(second, "account_id", "account-2");
    test_set(second, "amount_cents", "700");
    assert_int_equal(place(f, second, &hold), TERN_OK);
    assert_int_equal(hold->revision, 2);
    assert_int_equal(held(f), 700); /* account-1 got its own back */
    assert_int_equal(
        test_number(f->s.store, "SELECT held_cents FROM account WHERE account_id = 'account-1'"),
        0);
    assert_int_equal(place(f, request(f, PLACE, "d-1", 1, "k-1"), NULL), TERN_ABORTED);
    assert_message(&f->s, "newer revision 2");
    assert_int_equal(place(f, request(f, PLACE, "d-1", 2, "k-3"), NULL), TERN_ABORTED);
    assert_int_equal(refund(f, "d-1", 1, "u-1", NULL), TERN_ABORTED);
    assert_int_equal(held(f), 700);
    assert_int_equal(refund(f, "d-1", 2, "u-2", NULL), TERN_OK);
    assert_int_equal(held(f), 0);
    assert_int_equal(place(f, second, NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(place(f, request(f, PLACE, "d-1", 3, "k-4"), NULL), TERN_OK);
    assert_int_equal(held(f), 500);
}

/* A raise within the same account counts only the difference against the credit. */
static void test_raise_within_credit(void **state)
{
    fixture *f = *state;
    void *r = request(f, PLACE, "d-1", 2, "k-2");
    assert_int_equal(place(f, request(f, PLACE, "d-1", 1, "k-1"), NULL), TERN_OK);
    test_set(r, "amount_cents", "1000");
    assert_int_equal(place(f, r, NULL), TERN_OK);
    assert_int_equal(held(f), 1000);
    assert_int_equal(place(f, request(f, PLACE, "d-2", 1, "k-3"), NULL), TERN_FAILED_PRECONDITION);
}

static void test_tombstone(void **state)
{
    fixture *f = *state;
    refund_message *done = NULL;
    hold_message *hold = NULL;
    void *get = test_valid(&f->s.mem, &drone__account__v1__get_hold_request__descriptor);
    assert_int_equal(refund(f, "d-1", 2, "u-1", &done), TERN_OK);
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_NOTHING);
    assert_int_equal(place(f, request(f, PLACE, "d-1", 2, "k-1"), NULL), TERN_FAILED_PRECONDITION);
    assert_message(&f->s, "was undone up to revision 2");
    assert_int_equal(test_call(&f->s, &drone_account_get_hold, get, HOLD, NULL), TERN_NOT_FOUND);
    assert_int_equal(refund(f, "d-1", 3, "u-2", &done), TERN_OK); /* raises it */
    assert_int_equal(done->outcome, DRONE__COMMON__V1__UNDONE__UNDONE_NOTHING);
    assert_int_equal(place(f, request(f, PLACE, "d-1", 3, "k-2"), NULL), TERN_FAILED_PRECONDITION);
    assert_int_equal(place(f, request(f, PLACE, "d-1", 4, "k-3"), NULL), TERN_OK);
    assert_int_equal(test_call(&f->s, &drone_account_get_hold, get, HOLD, &hold), TERN_OK);
    assert_int_equal(hold->revision, 4);
}

static void test_accounts(void **state)
{
    fixture *f = *state;
    account_message *a = NULL;
    void *put = test_valid(&f->s.mem, &drone__account__v1__put_account_request__descriptor);
    void *get = test_valid(&f->s.mem, &drone__account__v1__get_account_request__descriptor);
    const ProtobufCMessageDescriptor *type = &drone__account__v1__account__descriptor;
    assert_int_equal(place(f, request(f, PLACE, "d-1", 1, "k-1"), NULL), TERN_OK);
    test_set(put, "account.state", "2");
    test_set(put, "account.held_cents", "77"); /* not the caller's to say */
    assert_int_equal(test_call(&f->s, &drone_account_put, put, type, NULL), TERN_OK);
    assert_int_equal(test_call(&f->s, &drone_account_get, get, type, &a), TERN_OK);
    assert_int_equal(a->state, DRONE__ACCOUNT__V1__ACCOUNT_STATE__ACCOUNT_STATE_SUSPENDED);
    assert_int_equal(a->credit_limit_cents, 10000);
    assert_int_equal(a->held_cents, 500);
    test_set(get, "account_id", "nobody");
    assert_int_equal(test_call(&f->s, &drone_account_get, get, type, NULL), TERN_NOT_FOUND);
}

/* Seeding twice changes nothing that happened in between. */
static void test_seed_again(void **state)
{
    fixture *f = *state;
    const drone_account_seed seed = { .accounts = 5, .suspend_every = 0, .credit_limit_cents = 1 };
    assert_int_equal(place(f, request(f, PLACE, "d-1", 1, "k-1"), NULL), TERN_OK);
    assert_int_equal(drone_account_seed_store(f->s.store, &seed, NULL), TERN_OK);
    assert_int_equal(test_number(f->s.store, "SELECT count(*) FROM account"), 5);
    assert_int_equal(test_number(f->s.store, "SELECT count(*) FROM account WHERE state = 2"), 1);
    assert_int_equal(held(f), 500);
}

/* Out of memory at any point fails the one request, and stores nothing. */
static void test_no_memory(void **state)
{
    fixture *f = *state;
    long n_failed = 0;
    void *r = request(f, PLACE, "d-1", 1, "k-1");
    for (;; n_failed++) {
        ProtobufCMessage *res = test_message_new(&f->s.mem, HOLD);
        failmalloc_after(n_failed);
        tern_code code = drone_operation_call_now(&drone_account_place_hold, NULL, f->s.store, r,
                                                  res, &f->s.mem);
        if (!failmalloc_off()) {
            assert_int_equal(code, TERN_OK);
            break;
        }
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        assert_int_equal(test_number(f->s.store, "SELECT count(*) FROM change_key"), 0);
        assert_int_equal(held(f), 0);
    }
    assert_true(n_failed > 0);
    assert_int_equal(held(f), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold_and_refund, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_business_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revisions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_raise_within_credit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tombstone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_accounts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seed_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
