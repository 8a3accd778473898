/* Times as text, with and without a zone. */
#include "services_support.h"

#include <errno.h>

#include "common/names.h"
#include "common/time.h"

static void test_times(void **state)
{
    static const char *const bad[] = { "",
                                       "2019-03-01",
                                       "2019-02-29T00:00:00",
                                       "2019-13-01T00:00:00",
                                       "2019-00-01T00:00:00",
                                       "2019-01-00T00:00:00",
                                       "2019-01-01T24:00:00",
                                       "2019-01-01T00:60:00",
                                       "2019-01-01T00:00:60",
                                       "2019-01-01T00:00:00+01:00",
                                       "2019-01-01T00:00:00.",
                                       "19-01-01T00:00:00",
                                       "1969-12-31T23:59:59",
                                       "2019-01-01t00:00:00" };
    int64_t ms;
    (void)state;
    assert_int_equal(drone_time_read("1970-01-01T00:00:00", &ms), 0);
    assert_int_equal(ms, 0);
    assert_int_equal(drone_time_read("2019-02-28T23:29:03", &ms), 0);
    assert_int_equal(ms, 1551396543000);
    assert_int_equal(drone_time_read("2000-02-29 12:00:00.25Z", &ms), 0);
    assert_int_equal(ms, 951825600250);
    assert_int_equal(drone_time_read("2100-03-01T00:00:00", &ms), 0);
    assert_int_equal(ms, 4107542400000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(drone_time_read(bad[i], &ms), -EINVAL);
}

static void test_zoned(void **state)
{
    static const char *const bad[] = { "2019-02-28T23:29:03",
                                       "2019-02-28T23:29:03z",
                                       "2019-02-28T23:29:03Z ",
                                       "2019-02-28T23:29:03+1:00",
                                       "2019-02-28T23:29:03+24:00",
                                       "2019-02-28T23:29:03+01:60",
                                       "2019-02-28T23:29:03+01",
                                       "2019-02-28T23:29:03+01:00Z",
                                       "Z",
                                       "" };
    int64_t ms;
    (void)state;
    assert_int_equal(drone_time_read_zoned("2019-02-28T23:29:03Z", &ms), 0);
    assert_int_equal(ms, 1551396543000);
    assert_int_equal(drone_time_read_zoned("2019-03-01T00:59:03.5+01:30", &ms), 0);
    assert_int_equal(ms, 1551396543500);
    assert_int_equal(drone_time_read_zoned("2019-02-28T23:29:03-00:01", &ms), 0);
    assert_int_equal(ms, 1551396603000);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(drone_time_read_zoned(bad[i], &ms), -EINVAL);
}

static void test_written(void **state)
{
    char text[DRONE_TIME_SIZE];
    int64_t ms;
    (void)state;
    drone_time_write(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    for (int64_t t = 1; t < DRONE_TIME_MS_MAX; t = t * 3 + 7) {
        drone_time_write(t, text);
        assert_int_equal(drone_time_read_zoned(text, &ms), 0);
        assert_int_equal(ms, t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_zoned),
        cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
