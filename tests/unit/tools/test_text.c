/* Text pieces and times of the tern command (tools/tern/text.c, times.c). */
#include "tools/tern/text.h"
#include "unit/tools/cli_support.h"

static void base64_goes_both_ways(void **state)
{
    static const struct {
        const char *bytes;
        const char *padded;
    } cases[] = { { "", "" },
                  { "f", "Zg==" },
                  { "fo", "Zm8=" },
                  { "foo", "Zm9v" },
                  { "foob", "Zm9vYg==" },
                  { "fooba", "Zm9vYmE=" },
                  { "foobar", "Zm9vYmFy" } };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].bytes);
        size_t digits = strcspn(cases[i].padded, "=");
        for (int pad = 0; pad < 2; pad++) {
            cli_buf text;
            cli_buf back;
            cli_buf_init(&text, 100);
            cli_buf_init(&back, 100);
            cli_base64_encode(&text, cases[i].bytes, len, pad);
            assert_int_equal(text.len, pad ? strlen(cases[i].padded) : digits);
            assert_true(text.len == 0 || memcmp(text.data, cases[i].padded, text.len) == 0);
            assert_int_equal(
                cli_base64_decode(&back, text.len == 0 ? "" : (char *)text.data, text.len), 0);
            assert_int_equal(back.len, len);
            assert_true(len == 0 || memcmp(back.data, cases[i].bytes, len) == 0);
            cli_buf_deinit(&text);
            cli_buf_deinit(&back);
        }
    }
}

static void what_is_not_base64_is_refused(void **state)
{
    static const char *const texts[] = { "A",     "A===", "AA=", "AAA==", "AA=A",  "AA AA",
                                         "AAAAA", "A*==", "=",   "====",  "AAAA=", "AAAA==" };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cli_buf b;
        cli_buf_init(&b, 100);
        if (cli_base64_decode(&b, texts[i], strlen(texts[i])) == 0) {
            fail_msg("\"%s\" was taken for base64", texts[i]);
        }
        cli_buf_deinit(&b);
    }
}

static void utf8_is_checked(void **state)
{
    static const struct {
        const char *text;
        size_t good;
    } cases[] = {
        { "abc", 3 },
        { "gr\xc3\xbc\xc3\x9f", 6 },
        { "\xf0\x9f\x9a\x81", 4 },
        { "a\x80", 1 },
        { "\xc0\x80", 0 },
        { "\xc1\xbf", 0 },
        { "\xe0\x9f\xbf", 0 },
        { "\xed\xa0\x80", 0 },
        { "\xed\x9f\xbf", 3 },
        { "\xf4\x8f\xbf\xbf", 4 },
        { "\xf4\x90\x80\x80", 0 },
        { "\xf5\x80\x80\x80", 0 },
        { "\xe2\x82", 0 },
        { "ok\xff", 2 },
        { "\xf0\x8f\xbf\xbf", 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(cli_utf8_check((const uint8_t *)cases[i].text, strlen(cases[i].text)),
                         cases[i].good);
    }
}

static void names_become_camel_case_as_protoc_makes_them(void **state)
{
    static const char *const pairs[][2] = { { "unit_price", "unitPrice" },
                                            { "a", "a" },
                                            { "odd__name_", "oddName" },
                                            { "_x", "X" },
                                            { "a_1b", "a1b" },
                                            { "Already_Up", "AlreadyUp" } };
    char out[40];
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        cli_camel_case(pairs[i][0], out);
        assert_string_equal(out, pairs[i][1]);
    }
}

static void numbers_are_those_of_json(void **state)
{
    static const char *const good[] = { "0", "-0", "10", "1.5", "1e5", "1E+5", "-1.25e-7" };
    static const char *const bad[] = { "",   "-",   "+1", "01", "1.",  ".5",
                                       "1e", "1e+", " 1", "1 ", "0x1", "inf" };
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(cli_is_json_number(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cli_is_json_number(bad[i], strlen(bad[i])));
    }
}

static void whole_numbers_keep_every_bit(void **state)
{
    int64_t i64;
    uint64_t u64;
    (void)state;
    assert_int_equal(cli_parse_i64("-9223372036854775808", 20, &i64), 0);
    assert_true(i64 == INT64_MIN);
    assert_int_equal(cli_parse_i64("9223372036854775808", 19, &i64), -1);
    assert_int_equal(cli_parse_u64("18446744073709551615", 20, &u64), 0);
    assert_true(u64 == UINT64_MAX);
    assert_int_equal(cli_parse_u64("18446744073709551616", 20, &u64), -1);
    assert_int_equal(cli_parse_u64("-1", 2, &u64), -1);
    assert_int_equal(cli_parse_i64("1e3", 3, &i64), 0);
    assert_true(i64 == 1000);
    assert_int_equal(cli_parse_i64("1.5", 3, &i64), -1);
    assert_int_equal(cli_parse_i64("1e400", 5, &i64), -1);
    assert_int_equal(cli_parse_i64("9.3e18", 6, &i64), -1);
}

static void likeness_finds_typing_mistakes(void **state)
{
    char longer[200];
    (void)state;
    assert_int_equal(cli_likeness("latitude", "latitude"), 0);
    assert_int_equal(cli_likeness("latitdue", "latitude"), 1);
    assert_int_equal(cli_likeness("Latitude", "latitude"), 0);
    assert_int_equal(cli_likeness("pikcup", "pickup"), 1);
    assert_true(cli_likeness("latitude", "weight") == SIZE_MAX);
    assert_true(cli_likeness("ab", "xy") == SIZE_MAX);
    memset(longer, 'a', sizeof(longer));
    longer[199] = '\0';
    assert_true(cli_likeness(longer, longer) == SIZE_MAX);
}

static void times_go_both_ways(void **state)
{
    static const struct {
        int64_t seconds;
        int32_t nanos;
        const char *text;
    } cases[] = {
        { 0, 0, "1970-01-01T00:00:00Z" },
        { -1, 500000000, "1969-12-31T23:59:59.500Z" },
        { 951868799, 1000, "2000-02-29T23:59:59.000001Z" },
        { -62135596800, 0, "0001-01-01T00:00:00Z" },
        { 253402300799, 999999999, "9999-12-31T23:59:59.999999999Z" },
        { 4107542400, 0, "2100-03-01T00:00:00Z" },
    };
    char text[CLI_TIME_TEXT_MAX];
    int64_t seconds;
    int32_t nanos;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(cli_timestamp_print(cases[i].seconds, cases[i].nanos, text), 0);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(cli_timestamp_parse(text, &seconds, &nanos), 0);
        assert_true(seconds == cases[i].seconds && nanos == cases[i].nanos);
    }
    /* Every day of 800 years comes back, leap years and centuries among them. */
    for (int64_t day = -250000; day < 42000; day++) {
        assert_int_equal(cli_timestamp_print(day * 86400, 0, text), 0);
        assert_int_equal(cli_timestamp_parse(text, &seconds, &nanos), 0);
        assert_true(seconds == day * 86400);
    }
}

static void bad_times_are_refused(void **state)
{
    static const char *const texts[] = { "",
                                         "2024-01-01",
                                         "2024-01-01T00:00:00",
                                         "2024-13-01T00:00:00Z",
                                         "2024-00-01T00:00:00Z",
                                         "2024-04-31T00:00:00Z",
                                         "2023-02-29T00:00:00Z",
                                         "1900-02-29T00:00:00Z",
                                         "2024-01-01T24:00:00Z",
                                         "2024-01-01T00:60:00Z",
                                         "2024-01-01T00:00:60Z",
                                         "2024-01-01T00:00:00.Z",
                                         "2024-01-01T00:00:00.1234567890Z",
                                         "0000-01-01T00:00:00Z",
                                         "0001-01-01T00:00:00+01:00",
                                         "9999-12-31T23:59:59-01:00",
                                         "2024-01-01T00:00:00Zx",
                                         "2024-01-01t00:00:00Z",
                                         "2024-01-01T00:00:00+24:00",
                                         "2024-01-01T00:00:00+0100" };
    int64_t seconds;
    int32_t nanos;
    char text[CLI_TIME_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (cli_timestamp_parse(texts[i], &seconds, &nanos) == 0) {
            fail_msg("\"%s\" was taken for a time", texts[i]);
        }
    }
    assert_int_equal(cli_timestamp_print(253402300800, 0, text), -1);
    assert_int_equal(cli_timestamp_print(0, -1, text), -1);
    assert_int_equal(cli_timestamp_print(0, 1000000000, text), -1);
}

static void durations_go_both_ways(void **state)
{
    static const struct {
        int64_t seconds;
        int32_t nanos;
        const char *text;
    } cases[] = { { 0, 0, "0s" },
                  { 1, 500000000, "1.500s" },
                  { 0, -500000000, "-0.500s" },
                  { -3, -1, "-3.000000001s" },
                  { 315576000000, 0, "315576000000s" } };
    static const char *const bad[] = {
        "", "s", "1", "1.s", ".5s", "1.0000000001s", "+1s", "--1s", "315576000001s", "1 s", "1sx"
    };
    char text[CLI_TIME_TEXT_MAX];
    int64_t seconds;
    int32_t nanos;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(cli_duration_print(cases[i].seconds, cases[i].nanos, text), 0);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(cli_duration_parse(text, &seconds, &nanos), 0);
        assert_true(seconds == cases[i].seconds && nanos == cases[i].nanos);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(cli_duration_parse(bad[i], &seconds, &nanos), -1);
    }
    assert_int_equal(cli_duration_print(1, -1, text), -1);
    assert_int_equal(cli_duration_print(-1, 1, text), -1);
    assert_int_equal(cli_duration_print(315576000001, 0, text), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_goes_both_ways),
        cmocka_unit_test(what_is_not_base64_is_refused),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(names_become_camel_case_as_protoc_makes_them),
        cmocka_unit_test(numbers_are_those_of_json),
        cmocka_unit_test(whole_numbers_keep_every_bit),
        cmocka_unit_test(likeness_finds_typing_mistakes),
        cmocka_unit_test(times_go_both_ways),
        cmocka_unit_test(bad_times_are_refused),
        cmocka_unit_test(durations_go_both_ways),
    };
    return cmocka_run_group_tests_name("tern/text", tests, NULL, NULL);
}
