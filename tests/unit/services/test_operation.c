/* What operations are made of: digests, text checks, distances, and faults on demand. */
#include "services_support.h"

#include "common/geo.h"
#include "common/revision.h"
#include "common/service.h"
#include "common/validate.h"
#include <drone/account/v1/account.pb-c.h>

static void test_digest(void **state)
{
    (void)state;
    drone_reply mem = DRONE_REPLY_INIT;
    void *a = test_valid(&mem, &drone__account__v1__place_hold_request__descriptor);
    void *b = test_valid(&mem, &drone__account__v1__place_hold_request__descriptor);
    int64_t digest = drone_request_digest("PlaceHold", a);
    assert_true(digest == drone_request_digest("PlaceHold", b));
    assert_true(digest != drone_request_digest("RefundHold", a));
    static const char *const changes[][2] = {
        { "amount_cents", "501" },           { "account_id", "account-2" },
        { "change.delivery_id", "d-2" },     { "change.revision", "2" },
        { "change.idempotency_key", "k-2" },
    };
    for (size_t i = 0; i < TEST_N(changes); i++) {
        b = test_valid(&mem, &drone__account__v1__place_hold_request__descriptor);
        test_set(b, changes[i][0], changes[i][1]);
        assert_true(digest != drone_request_digest("PlaceHold", b));
    }
    drone_reply_deinit(&mem);
}

static void test_printable(void **state)
{
    (void)state;
    static const char *const good[] = { "",
                                        "abc 123",
                                        "\xc3\xbc",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x9a\x81",
                                        "\xef\xbf\xbd",
                                        "\xf4\x8f\xbf\xbf",
                                        "\xc2\xa0" };
    static const char *const bad[] = {
        "\x01",
        "a\tb",
        "\x7f",
        "\x80",
        "\xc2",
        "\xc2\x80",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xe2\x82",
        "\xf0\x9f\x9a",
        "\xff",
        "ok\xc2\x9f",
    };
    for (size_t i = 0; i < TEST_N(good); i++) {
        char text[64];
        assert_true(drone_text_is_printable(good[i]));
        snprintf(text, sizeof text, "%s", good[i]);
        drone_text_clean(text);
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < TEST_N(bad); i++) {
        char text[64];
        assert_false(drone_text_is_printable(bad[i]));
        snprintf(text, sizeof text, "%s", bad[i]);
        drone_text_clean(text);
        assert_true(drone_text_is_printable(text));
        assert_int_equal(strlen(text), strlen(bad[i]));
    }
    char mixed[] = "no lorry:\n\t\xc3\xa9\xe2\x82 \x1b[2J\xc2\x85";
    drone_text_clean(mixed);
    assert_string_equal(mixed, "no lorry:??\xc3\xa9?? ?[2J??");
}

/* Known distances, to 0.6 %: JFK to LGA, and half way round the world. */
static void test_distance(void **state)
{
    (void)state;
    const drone_latlon jfk = { 40.6413, -73.7781 };
    const drone_latlon lga = { 40.7769, -73.8740 };
    const drone_latlon east = { 0, 90 };
    const drone_latlon west = { 0, -90 };
    assert_true(drone_distance_m(jfk, jfk) == 0);
    assert_in_range(drone_distance_m(jfk, lga), 17000, 17300);
    assert_in_range(drone_distance_m(lga, jfk), 17000, 17300);
    assert_in_range(drone_distance_m(east, west), 20015000, 20016000);
}

/* Every state of what a delivery holds, against every kind of request. */
static void test_revisions(void **state)
{
    (void)state;
    static const struct {
        drone_stored stored;
        int64_t revision;
        bool replay;
        drone_create create;
        tern_code code; /* when refused */
        drone_undo undo;
    } cases[] = {
        { { DRONE_LIFE_NONE, 0 }, 1, false, DRONE_CREATE_INSERT, TERN_OK, DRONE_UNDO_TOMBSTONE },
        { { DRONE_LIFE_LIVE, 2 }, 1, false, DRONE_CREATE_REFUSE, TERN_ABORTED, DRONE_UNDO_REFUSE },
        { { DRONE_LIFE_LIVE, 2 }, 1, true, DRONE_CREATE_REFUSE, TERN_ABORTED, DRONE_UNDO_REFUSE },
        { { DRONE_LIFE_LIVE, 2 }, 2, false, DRONE_CREATE_REFUSE, TERN_ABORTED, DRONE_UNDO_UNDO },
        { { DRONE_LIFE_LIVE, 2 }, 2, true, DRONE_CREATE_REPEAT, TERN_OK, DRONE_UNDO_UNDO },
        { { DRONE_LIFE_LIVE, 2 }, 3, false, DRONE_CREATE_REPLACE, TERN_OK, DRONE_UNDO_UNDO },
        { { DRONE_LIFE_UNDONE, 2 },
          1,
          true,
          DRONE_CREATE_REFUSE,
          TERN_FAILED_PRECONDITION,
          DRONE_UNDO_RAISE_DONE },
        { { DRONE_LIFE_UNDONE, 2 },
          2,
          false,
          DRONE_CREATE_REFUSE,
          TERN_FAILED_PRECONDITION,
          DRONE_UNDO_RAISE_DONE },
        { { DRONE_LIFE_UNDONE, 2 },
          3,
          false,
          DRONE_CREATE_REPLACE,
          TERN_OK,
          DRONE_UNDO_RAISE_DONE },
        { { DRONE_LIFE_TOMBSTONE, 2 },
          2,
          false,
          DRONE_CREATE_REFUSE,
          TERN_FAILED_PRECONDITION,
          DRONE_UNDO_RAISE_NOTHING },
        { { DRONE_LIFE_TOMBSTONE, 2 },
          3,
          false,
          DRONE_CREATE_REPLACE,
          TERN_OK,
          DRONE_UNDO_RAISE_NOTHING },
    };
    drone_reply mem = DRONE_REPLY_INIT;
    for (size_t i = 0; i < TEST_N(cases); i++) {
        Drone__Common__V1__Change *change =
            test_valid(&mem, &drone__common__v1__change__descriptor);
        tern_code code = TERN_OK;
        change->revision = cases[i].revision;
        assert_int_equal(
            drone_revision_create("thing", change, cases[i].replay, cases[i].stored, &mem, &code),
            cases[i].create);
        assert_int_equal(code, cases[i].code);
        code = TERN_OK;
        assert_int_equal(drone_revision_undo("thing", change, cases[i].stored, &mem, &code),
                         cases[i].undo);
        assert_int_equal(code, cases[i].undo == DRONE_UNDO_REFUSE ? TERN_ABORTED : TERN_OK);
    }
    drone_reply_deinit(&mem);
}

#define DRAWS 20000

static void test_faults(void **state)
{
    (void)state;
    static drone_fault first[DRAWS];
    drone_faults none = { .seed = 1 };
    drone_faults a = { .before_percent = 10, .after_percent = 5, .slow_percent = 2, .slow_ms = 7 };
    drone_faults b = { .before_percent = 10, .after_percent = 5, .slow_percent = 2, .slow_ms = 7 };
    drone_faults all = { .after_percent = 100 };
    int64_t slow_ms = -1;
    int n[3] = { 0 };
    int n_slow = 0;
    a.seed = b.seed = 42;
    for (int i = 0; i < DRAWS; i++) {
        assert_int_equal(drone_faults_draw(&none, &slow_ms), DRONE_FAULT_NONE);
        assert_int_equal(slow_ms, 0);
        first[i] = drone_faults_draw(&a, &slow_ms);
        assert_true(slow_ms == 0 || slow_ms == 7);
        n_slow += slow_ms > 0;
        n[first[i]]++;
        assert_int_equal(drone_faults_draw(&all, &slow_ms), DRONE_FAULT_AFTER);
    }
    assert_in_range(n[DRONE_FAULT_BEFORE], DRAWS * 9 / 100, DRAWS * 11 / 100);
    assert_in_range(n[DRONE_FAULT_AFTER], DRAWS * 4 / 100, DRAWS * 6 / 100);
    assert_in_range(n_slow, DRAWS / 100, DRAWS * 3 / 100);
    for (int i = 0; i < DRAWS; i++) {
        assert_int_equal(drone_faults_draw(&b, &slow_ms), first[i]); /* the seed repeats it */
    }
}

static void test_address(void **state)
{
    (void)state;
    char address[32];
    assert_int_equal(drone_default_address("/tmp/d", "account", address, sizeof address), 0);
    assert_string_equal(address, "unix:/tmp/d/account.sock");
    assert_true(
        drone_default_address("/tmp/a/much/longer/path", "account", address, sizeof address) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest),   cmocka_unit_test(test_printable),
        cmocka_unit_test(test_distance), cmocka_unit_test(test_revisions),
        cmocka_unit_test(test_faults),   cmocka_unit_test(test_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
