/* Typed values of proto3's JSON: each kind in every form that is valid and many that are not, null,
 * the first fault, and places. */
#include "policy/service_config_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static tern__json_reader r;
static tern_status st;
static tern__json *root;

/* {"v": <value>}. */
static void open_value(const char *value)
{
    char text[400];
    (void)snprintf(text, sizeof text, "{\"v\": %s}", value);
    st.code = TERN_OK;
    st.message[0] = '\0';
    root = tern__json_open(&r, text, strlen(text), &st);
    if (!root)
        fail_msg("%s: %s", text, st.message);
}

/* NULL: no fault is wanted. */
static void close_value(const char *value, const char *message)
{
    tern_code code = tern__json_close(&r);
    if (!message && code == TERN_OK)
        return;
    if (code == TERN_OK || !message || strcmp(st.message, message) != 0)
        fail_msg("%s: %s\nnot: %s", value, code ? st.message : "accepted",
                 message ? message : "accepted");
}

static void whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t wanted;
        const char *message;
    } rows[] = {
        { "5", 5, NULL },
        { "\"5\"", 5, NULL },
        { "5.0", 5, NULL },
        { "1e3", 1000, NULL },
        { "\"1e3\"", 1000, NULL },
        { "\"5.000\"", 5, NULL },
        { "-7", -7, NULL },
        { "\"-7\"", -7, NULL },
        { "9007199254740993", INT64_C(9007199254740993), NULL },
        { "\"9223372036854775807\"", INT64_MAX, NULL },
        { "\"12345678901234567\"", INT64_C(12345678901234567), NULL },
        { "null", 42, NULL },
        { "5.5", 42, "v: must be a whole number" },
        { "\"5.5\"", 42, "v: must be a whole number" },
        { "1e300", 42, "v: must be a whole number" },
        { "\"1e9999\"", 42, "v: must be a whole number" },
        { "\"9223372036854775808\"", 42, "v: must be a whole number" },
        { "\"\"", 42, "v: must be a whole number" },
        { "\" 5\"", 42, "v: must be a whole number" },
        { "\"5 \"", 42, "v: must be a whole number" },
        { "\"05\"", 42, "v: must be a whole number" },
        { "\"+5\"", 42, "v: must be a whole number" },
        { "\"0x5\"", 42, "v: must be a whole number" },
        { "\"5e\"", 42, "v: must be a whole number" },
        { "\"5.\"", 42, "v: must be a whole number" },
        { "\".5\"", 42, "v: must be a whole number" },
        { "\"-\"", 42, "v: must be a whole number" },
        { "\"5],[5\"", 42, "v: must be a whole number" },
        { "true", 42, "v: must be a whole number" },
        { "[5]", 42, "v: must be a whole number" },
        { "{}", 42, "v: must be a whole number" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_value(rows[i].value);
        const tern__json_bounds all = { .min = INT64_MIN, .max = INT64_MAX, .dflt = 42 };
        assert_int_equal(tern__json_int(&r, root, "v", all), rows[i].wanted);
        close_value(rows[i].value, rows[i].message);
    }
}

static void bounds(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t min, max;
        const char *message;
    } rows[] = {
        { "2", 2, 5, NULL },
        { "5", 2, 5, NULL },
        { "1", 2, 5, "v: must be above 1, is 1" },
        { "-1", 0, 5, "v: must not be negative, is -1" },
        { "6", 2, 5, "v: must be at most 5, is 6" },
        { "4294967296", 0, UINT32_MAX, "v: must be at most 4294967295, is 4294967296" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_value(rows[i].value);
        const tern__json_bounds b = { .min = rows[i].min, .max = rows[i].max, .dflt = 3 };
        int64_t got = tern__json_int(&r, root, "v", b);
        assert_true(rows[i].message ? got == 3 : got >= b.min && got <= b.max);
        close_value(rows[i].value, rows[i].message);
    }
}

static void real_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        double wanted;
        const char *message;
    } rows[] = {
        { "0.5", 0.5, NULL },
        { "\"0.5\"", 0.5, NULL },
        { "3", 3, NULL },
        { "\"3\"", 3, NULL },
        { "2.5e-1", 0.25, NULL },
        { "null", 7, NULL },
        { "0", 7, "v: must be above 0, is 0" },
        { "-0.0", 7, "v: must be above 0, is -0" },
        { "-2.5", 7, "v: must be above 0, is -2.5" },
        { "\"NaN\"", 7, "v: must be a number" },
        { "\"Infinity\"", 7, "v: must be a number" },
        { "\"abc\"", 7, "v: must be a number" },
        { "false", 7, "v: must be a number" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_value(rows[i].value);
        const tern__json_real_bounds b = { .min = 0, .above = true, .dflt = 7 };
        double got = tern__json_real(&r, root, "v", b);
        assert_true(got >= rows[i].wanted && got <= rows[i].wanted);
        close_value(rows[i].value, rows[i].message);
    }
    open_value("0.9");
    (void)tern__json_real(&r, root, "v", (tern__json_real_bounds){ .min = 1 });
    close_value("0.9", "v: must be at least 1, is 0.9");
}

#define NO_DURATION "v: must be a duration in seconds, such as \"1.5s\""

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t wanted;
        const char *message;
    } rows[] = {
        { "\"1.5s\"", 1500000000, NULL },
        { "\"0s\"", 0, NULL },
        { "\"-0s\"", 0, NULL },
        { "\"1s\"", 1000000000, NULL },
        { "\"0.000000001s\"", 1, NULL },
        { "\"1.000340012s\"", 1000340012, NULL }, /* proto3's own example */
        { "\"9223372035.999999999s\"", INT64_C(9223372035999999999), NULL },
        { "\"9223372037s\"", INT64_MAX, NULL },
        { "\"315576000000s\"", INT64_MAX, NULL },
        { "null", 42, NULL },
        { "\"-1s\"", 42, "v: must not be negative, is \"-1s\"" },
        { "\"-0.5s\"", 42, "v: must not be negative, is \"-0.5s\"" },
        { "\"315576000001s\"", 42, NO_DURATION },
        { "\"9999999999999s\"", 42, NO_DURATION },
        { "\"1.0000000001s\"", 42, NO_DURATION },
        { "\"1.s\"", 42, NO_DURATION },
        { "\".5s\"", 42, NO_DURATION },
        { "\"s\"", 42, NO_DURATION },
        { "\"\"", 42, NO_DURATION },
        { "\"1\"", 42, NO_DURATION },
        { "\"1ms\"", 42, NO_DURATION },
        { "\"1S\"", 42, NO_DURATION },
        { "\"1 s\"", 42, NO_DURATION },
        { "\" 1s\"", 42, NO_DURATION },
        { "\"1s \"", 42, NO_DURATION },
        { "\"+1s\"", 42, NO_DURATION },
        { "\"--1s\"", 42, NO_DURATION },
        { "\"1e3s\"", 42, NO_DURATION },
        { "1.5", 42, NO_DURATION },
        { "{\"seconds\": 1}", 42, NO_DURATION },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_value(rows[i].value);
        const tern__json_bounds b = { .max = INT64_MAX, .dflt = 42 };
        assert_int_equal(tern__json_duration(&r, root, "v", b), rows[i].wanted);
        close_value(rows[i].value, rows[i].message);
    }
    static const struct {
        const char *value;
        tern__json_bounds b;
        const char *message;
    } bounded[] = {
        { "\"0s\"", { .min = 1, .max = INT64_MAX }, "v: must be above 0s, is \"0s\"" },
        { "\"0.01s\"",
          { .min = 100000000, .max = INT64_MAX },
          "v: must be at least 0.1s, is \"0.01s\"" },
        { "\"3.5s\"", { .max = 3000000000 }, "v: must be at most 3s, is \"3.5s\"" },
    };
    for (size_t i = 0; i < sizeof bounded / sizeof *bounded; i++) {
        open_value(bounded[i].value);
        (void)tern__json_duration(&r, root, "v", bounded[i].b);
        close_value(bounded[i].value, bounded[i].message);
    }
}

static void codes(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        tern__code_set wanted;
        const char *message;
    } rows[] = {
        { "[14]", 1 << 14, NULL }, /* A6's three */
        { "[\"UNAVAILABLE\"]", 1 << 14, NULL },
        { "[\"unavailable\"]", 1 << 14, NULL },
        { "[\"Aborted\", 14, 10, \"INTERNAL\"]", 1 << 14 | 1 << 10 | 1 << 13, NULL },
        { "[0, 16]", 1 << 0 | 1 << 16, NULL },
        { "null", 0, NULL },
        { "[]", 0, NULL },
        { "[17]", 0, "v[0]: no status code has the number 17" },
        { "[14, -1]", 0, "v[1]: no status code has the number -1" },
        { "[14.5]", 0, "v[0]: no status code has the number 14.5" },
        { "[\"14\"]", 0, "v[0]: no status code is called \"14\"" },
        { "[\"FOO\"]", 0, "v[0]: no status code is called \"FOO\"" },
        { "[null]", 0, "v[0]: must be a status code, by name or number" },
        { "[[14]]", 0, "v[0]: must be a status code, by name or number" },
        { "\"UNAVAILABLE\"", 0, "v: must be an array" },
        { "14", 0, "v: must be an array" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_value(rows[i].value);
        tern__code_set got = tern__json_codes(&r, root, "v", false);
        if (!rows[i].message)
            assert_int_equal(got, rows[i].wanted);
        close_value(rows[i].value, rows[i].message);
    }
    open_value("[]");
    (void)tern__json_codes(&r, root, "v", true);
    close_value("[]", "v: must not be empty");
    open_value("null");
    (void)tern__json_codes(&r, root, "v", true);
    close_value("null", "v: is missing, and required");
}

static void strings_booleans_objects(void **state)
{
    (void)state;
    open_value("\"text\"");
    assert_string_equal(tern__json_string(&r, root, "v"), "text");
    assert_string_equal(tern__json_string(&r, root, "w"), "");
    assert_true(tern__json_has(&r, root, "v"));
    assert_false(tern__json_has(&r, root, "w"));
    close_value("", NULL);
    open_value("null");
    assert_string_equal(tern__json_string(&r, root, "v"), "");
    assert_true(tern__json_bool(&r, root, "v", true));
    assert_null(tern__json_object_of(&r, root, "v"));
    assert_null(tern__json_array_of(&r, root, "v"));
    assert_false(tern__json_has(&r, root, "v"));
    assert_int_equal(tern__json_len(NULL), 0);
    close_value("", NULL);
    open_value("true");
    assert_true(tern__json_bool(&r, root, "v", false));
    close_value("", NULL);
    open_value("false");
    assert_false(tern__json_bool(&r, root, "v", true));
    close_value("", NULL);
    open_value("\"true\"");
    (void)tern__json_bool(&r, root, "v", false);
    close_value("", "v: must be true or false");
    open_value("1");
    assert_string_equal(tern__json_string(&r, root, "v"), "");
    close_value("", "v: must be a string");
    open_value("[]");
    assert_null(tern__json_object_of(&r, root, "v"));
    close_value("", "v: must be an object");
    open_value("{}");
    assert_null(tern__json_array_of(&r, root, "v"));
    close_value("", "v: must be an array");
    open_value("{\"one\": 1}");
    assert_string_equal(tern__json_only_key(tern__json_object_of(&r, root, "v")), "one");
    close_value("", NULL);
    open_value("{\"one\": 1, \"two\": 2}");
    assert_null(tern__json_only_key(tern__json_object_of(&r, root, "v")));
    close_value("", NULL);
}

/* The first fault stays, whatever is read after it; nothing but defaults comes back. */
static void the_first_fault_counts(void **state)
{
    (void)state;
    open_value("7");
    tern__json_fault(&r, "a", "first %d", 1);
    tern__json_fault(&r, "b", "second");
    tern__json_out_of_memory(&r);
    const tern__json_bounds b = { .max = 100, .dflt = 3, .required = true };
    assert_int_equal(tern__json_int(&r, root, "v", b), 3);
    assert_int_equal(tern__json_int(&r, root, "absent", b), 3);
    assert_false(tern__json_has(&r, root, "v"));
    close_value("", "a: first 1");
    assert_int_equal(st.code, TERN_INVALID_ARGUMENT);
}

static void places(void **state)
{
    (void)state;
    open_value("[{\"x\": {}}]");
    size_t a = tern__json_enter(&r, "v");
    size_t b = tern__json_enter_at(&r, 0);
    size_t c = tern__json_enter(&r, "x");
    assert_string_equal(r.path, "v[0].x");
    tern__json_leave(&r, c);
    assert_string_equal(r.path, "v[0]");
    tern__json_leave(&r, b);
    tern__json_leave(&r, a);
    assert_string_equal(r.path, "");
    /* A place too deep for the message is cut, and found back from. */
    size_t marks[200];
    for (int i = 0; i < 200; i++)
        marks[i] = tern__json_enter(&r, "childPolicy");
    assert_int_equal(strlen(r.path), TERN__JSON_PATH_MAX - 1);
    tern__json_fault(&r, "key", "%s", "wrong");
    for (int i = 199; i >= 0; i--)
        tern__json_leave(&r, marks[i]);
    assert_string_equal(r.path, "");
    assert_int_equal(tern__json_close(&r), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "childPolicy"));
    assert_string_equal(st.message + strlen(st.message) - 7, ": wrong");
}

/* What the user wrote is shown without what a terminal would obey, and not without end. */
static void quoting(void **state)
{
    (void)state;
    open_value("[\"\\u001b[31mFOO\\n\\u007f\"]");
    (void)tern__json_codes(&r, root, "v", false);
    close_value("", "v[0]: no status code is called \"?[31mFOO??\"");
    open_value("[\"123456789012345678901234567890123456789012345678901234567890\"]");
    (void)tern__json_codes(&r, root, "v", false);
    close_value("", "v[0]: no status code is called "
                    "\"123456789012345678901234567890123456789012345678901234567890\"");
    open_value("[\"12345678901234567890123456789012345678901234567890123456789\xc3\xa9\"]");
    (void)tern__json_codes(&r, root, "v", false);
    close_value("", "v[0]: no status code is called "
                    "\"12345678901234567890123456789012345678901234567890123456789...\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(bounds),
        cmocka_unit_test(real_numbers),
        cmocka_unit_test(durations),
        cmocka_unit_test(codes),
        cmocka_unit_test(strings_booleans_objects),
        cmocka_unit_test(the_first_fault_counts),
        cmocka_unit_test(places),
        cmocka_unit_test(quoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
