/* grpc-timeout: units, digits, rounding up, and saturation. */
#include "wire/timeout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/time.h"

static void check_encode(int64_t ns, const char *text)
{
    char out[TERN__TIMEOUT_TEXT_MAX];
    assert_int_equal(tern__timeout_encode(ns, out), strlen(text));
    assert_string_equal(out, text);
}

static void check_decode(const char *text, int64_t ns)
{
    int64_t got = -1;
    assert_int_equal(tern__timeout_decode(text, strlen(text), &got), 0);
    assert_true(got == ns);
}

static void test_decode_units(void **state)
{
    (void)state;
    check_decode("1n", 1);
    check_decode("1u", 1000);
    check_decode("1m", 1000000);
    check_decode("1S", TERN__NS_PER_S);
    check_decode("1M", 60 * TERN__NS_PER_S);
    check_decode("1H", 3600 * TERN__NS_PER_S);
    check_decode("99999999n", 99999999);
    check_decode("00000005S", 5 * TERN__NS_PER_S);
    check_decode("0n", 0); /* a deadline that has passed */
    check_decode("00000000H", 0);
}

static void test_decode_saturates(void **state)
{
    (void)state;
    check_decode("99999999S", 99999999 * TERN__NS_PER_S);
    check_decode("99999999M", INT64_C(99999999) * 60 * TERN__NS_PER_S);
    check_decode("99999999H", INT64_MAX);
    check_decode("2562047H", INT64_C(2562047) * 3600 * TERN__NS_PER_S); /* the last that fits */
    check_decode("2562048H", INT64_MAX);
}

static void test_decode_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",    "S",   "5",    "123456789S", "000000001S", "5s",   "5h",   "5N",  "5U",
        "5 S", " 5S", "5S ",  "+5S",        "-5S",        "5.0S", "0x5S", "S5",  "5SS",
        "5mS", "5ms", "\n5S", "5\xC2\xB5",  "1e3S",       "5,S",  "/5S",  ":5S",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ns = 4711;
        if (tern__timeout_decode(bad[i], strlen(bad[i]), &ns) != -EINVAL)
            fail_msg("'%s' was accepted", bad[i]);
        assert_true(ns == 4711); /* set on success only */
    }
    int64_t ns;
    assert_int_equal(tern__timeout_decode("5S\0", 3, &ns), -EINVAL);
    assert_int_equal(tern__timeout_decode("5Strailing", 2, &ns), 0); /* no NUL is needed */
}

static void test_encode_units(void **state)
{
    (void)state;
    check_encode(1, "1n");
    check_encode(999, "999n");
    check_encode(1000, "1u");
    check_encode(1500, "1500n");
    check_encode(TERN__NS_PER_MS, "1m");
    check_encode(TERN__NS_PER_S, "1S");
    check_encode(1500 * TERN__NS_PER_MS, "1500m");
    check_encode(90 * 60 * TERN__NS_PER_S, "5400S");
    check_encode(0, "1n"); /* positive by the specification */
    check_encode(-5, "1n");
    check_encode(INT64_MIN, "1n");
}

static void test_encode_rounds_up(void **state)
{
    (void)state;
    /* The time that passes before the header is written must not show. */
    check_encode(5 * TERN__NS_PER_S - 12345, "5S");
    check_encode(5 * TERN__NS_PER_S - 999999, "5S");
    check_encode(TERN__NS_PER_S - 1, "1S");
    check_encode(250 * TERN__NS_PER_MS - 40000, "250m");
    check_encode(1001, "1010n");
    check_encode(1234567, "1240u");
    check_encode(1230001, "1240u");
    check_encode(1230000, "1230u");
    check_encode(TERN__NS_PER_S + 1, "1010m");
    check_encode(99950 * TERN__NS_PER_MS + 1, "100S");
}

static void test_encode_long_spans(void **state)
{
    (void)state;
    check_encode(INT64_C(99900000) * TERN__NS_PER_S, "99900000S"); /* eight digits */
    check_encode(INT64_C(99900001) * TERN__NS_PER_S, "1666667M");  /* rounded to 100000000 s */
    check_encode(INT64_C(100000000) * TERN__NS_PER_S, "1666667M");
    check_encode(INT64_C(5990000000) * TERN__NS_PER_S, "99833334M");
    check_encode(INT64_C(6000000000) * TERN__NS_PER_S, "1666667H");
    check_encode(INT64_MAX, "2563889H");
}

static void test_round_trip(void **state)
{
    (void)state;
    tern__rng rng;
    tern__rng_seed(&rng, 11);
    for (int i = 0; i < 200000; i++) {
        int64_t ns = (int64_t)(tern__rng_next(&rng) >> (1 + tern__rng_below(&rng, 62)));
        char text[TERN__TIMEOUT_TEXT_MAX];
        size_t len = tern__timeout_encode(ns, text);
        assert_true(len >= 2 && len <= 9 && text[len] == '\0');
        int64_t back;
        assert_int_equal(tern__timeout_decode(text, len, &back), 0);
        assert_true(back >= ns); /* never sooner */
        if (ns > 0 && back != INT64_MAX)
            assert_true(back - ns <= ns / 100); /* two digits at least are kept */
        char again[TERN__TIMEOUT_TEXT_MAX];
        if (ns > 0 && ns < 99000000 * TERN__NS_PER_S) {
            tern__timeout_encode(back, again);
            assert_string_equal(again, text); /* a text stands for itself */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_units),     cmocka_unit_test(test_decode_saturates),
        cmocka_unit_test(test_decode_refused),   cmocka_unit_test(test_encode_units),
        cmocka_unit_test(test_encode_rounds_up), cmocka_unit_test(test_encode_long_spans),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
