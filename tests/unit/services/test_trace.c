/* The header traceparent: what is good, and what goes on. */
#include "services_support.h"

#include "common/trace.h"

#define GOOD "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void test_good(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
        GOOD " ",
    };
    (void)state;
    assert_true(drone_traceparent_is_good(GOOD));
    assert_false(drone_traceparent_is_good(NULL));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(drone_traceparent_is_good(bad[i]));
}

static void test_next(void **state)
{
    static const uint64_t random[2] = { 0x1234, 0 };
    char text[DRONE_TRACEPARENT_SIZE];
    (void)state;
    drone_traceparent_next(GOOD, random, 0xabc, text);
    assert_string_equal(text, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01");
    assert_true(drone_traceparent_is_good(text));
    static const char *const none[] = { NULL, "", "nonsense" };
    for (size_t i = 0; i < 3; i++) {
        drone_traceparent_next(none[i], random, 0, text);
        assert_string_equal(text, "00-00000000000012340000000000000001-0000000000000001-01");
        assert_true(drone_traceparent_is_good(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_next),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
