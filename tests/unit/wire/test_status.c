/* The tables of codes, the parsing of grpc-status, and the struct that carries an outcome. */
#include "wire/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i <= 16; i++) {
        tern_code code = TERN_OK;
        assert_string_equal(tern_code_name((tern_code)i), names[i]);
        assert_int_equal(tern_code_from_name(names[i], &code), 0);
        assert_int_equal(code, i);
    }
    assert_string_equal(tern_code_name((tern_code)17), "UNKNOWN");
    assert_string_equal(tern_code_name((tern_code)-1), "UNKNOWN");
    static const char *const bad[] = {"", "ok", "Ok", "OK ", "CANCELED", "5", "NOT FOUND"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tern_code code = TERN_ABORTED;
        assert_int_equal(tern_code_from_name(bad[i], &code), -1);
        assert_int_equal(code, TERN_ABORTED);
    }
}

static void test_parse(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                       "9", "10", "11", "12", "13", "14", "15", "16"};
    for (int i = 0; i <= 16; i++)
        assert_int_equal(tern__status_parse(good[i], strlen(good[i])), i);
    assert_int_equal(tern__status_parse("05", 2), TERN_NOT_FOUND);
    assert_int_equal(tern__status_parse("123", 2), TERN_UNIMPLEMENTED); /* len decides */
    static const char *const bad[] = {
        "",
        "17",
        "99",
        "-1",
        "+5",
        " 5",
        "5 ",
        "5a",
        "0x5",
        "OK",
        "5.0",
        "256",
        "4294967296",
        "4294967301",
        "18446744073709551621",
        "184467440737095516160000000000000005",
        "/",
        ":",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (tern__status_parse(bad[i], strlen(bad[i])) != TERN_UNKNOWN)
            fail_msg("'%s' is not UNKNOWN", bad[i]);
    }
    assert_int_equal(tern__status_parse("0\0", 2), TERN_UNKNOWN);
}

static void test_from_http(void **state)
{
    (void)state;
    static const struct {
        int http;
        tern_code code;
    } map[] = {
        {400, TERN_INTERNAL},      {401, TERN_UNAUTHENTICATED}, {403, TERN_PERMISSION_DENIED},
        {404, TERN_UNIMPLEMENTED}, {429, TERN_UNAVAILABLE},     {502, TERN_UNAVAILABLE},
        {503, TERN_UNAVAILABLE},   {504, TERN_UNAVAILABLE},
    };
    const size_t n = sizeof map / sizeof map[0];
    for (int http = -1; http <= 1000; http++) {
        tern_code expected = TERN_UNKNOWN; /* 200 too: a status was due */
        for (size_t i = 0; i < n; i++) {
            if (map[i].http == http)
                expected = map[i].code;
        }
        assert_int_equal(tern__status_from_http(http), expected);
    }
}

static void test_from_h2_error(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        tern_code code;
    } map[] = {
        {"NO_ERROR", TERN_INTERNAL},
        {"PROTOCOL_ERROR", TERN_INTERNAL},
        {"INTERNAL_ERROR", TERN_INTERNAL},
        {"FLOW_CONTROL_ERROR", TERN_INTERNAL},
        {"SETTINGS_TIMEOUT", TERN_INTERNAL},
        {"STREAM_CLOSED", TERN_INTERNAL},
        {"FRAME_SIZE_ERROR", TERN_INTERNAL},
        {"REFUSED_STREAM", TERN_UNAVAILABLE},
        {"CANCEL", TERN_CANCELLED},
        {"COMPRESSION_ERROR", TERN_INTERNAL},
        {"CONNECT_ERROR", TERN_INTERNAL},
        {"ENHANCE_YOUR_CALM", TERN_RESOURCE_EXHAUSTED},
        {"INADEQUATE_SECURITY", TERN_PERMISSION_DENIED},
        {"HTTP_1_1_REQUIRED", TERN_INTERNAL},
    };
    const uint32_t n = sizeof map / sizeof map[0];
    for (uint32_t i = 0; i < n; i++) {
        assert_string_equal(tern__h2_error_name(i), map[i].name);
        assert_int_equal(tern__status_from_h2_error(i), map[i].code);
    }
    assert_string_equal(tern__h2_error_name(n), "unknown error");
    assert_string_equal(tern__h2_error_name(UINT32_MAX), "unknown error");
    assert_int_equal(tern__status_from_h2_error(UINT32_MAX), TERN_INTERNAL);
}

static void test_set(void **state)
{
    (void)state;
    tern_status st;
    memset(&st, 0xAA, sizeof st);
    assert_int_equal(tern_status_set(&st, TERN_NOT_FOUND, "no %s with id %d", "drone", 7),
                     TERN_NOT_FOUND);
    assert_int_equal(st.code, TERN_NOT_FOUND);
    assert_string_equal(st.message, "no drone with id 7");
    assert_int_equal(tern_status_set(NULL, TERN_ABORTED, "%s", "nobody looks"), TERN_ABORTED);
    assert_int_equal(tern_status_set(&st, TERN_OK, "%s", ""), TERN_OK);
    assert_string_equal(st.message, "");
    /* The message may take part in its own replacement. */
    tern_status_set(&st, TERN_INTERNAL, "inner");
    tern_status_set(&st, TERN_INTERNAL, "outer: %s", st.message);
    assert_string_equal(st.message, "outer: inner");
}

static void test_long_messages(void **state)
{
    (void)state;
    char text[3000];
    for (size_t shift = 0; shift < 4; shift++) {
        /* Four-byte characters behind 0 to 3 letters: the cut meets every place in a character. */
        memset(text, 'a', shift);
        size_t n = shift;
        while (n + 5 < sizeof text) {
            memcpy(text + n, "\xF0\x9F\x9A\x81", 4);
            n += 4;
        }
        text[n] = '\0';
        for (int k = 0; k < 2; k++) {
            tern_status st;
            if (k == 0)
                tern_status_set(&st, TERN_INTERNAL, "%s", text);
            else
                tern__status_set_message(&st, text, n);
            size_t len = strlen(st.message);
            assert_in_range(len, TERN_STATUS_MESSAGE_MAX - 4, TERN_STATUS_MESSAGE_MAX - 1);
            assert_int_equal((len - shift) % 4, 0);
            assert_memory_equal(st.message, text, len);
        }
    }
    /* Exactly as long as fits: nothing is cut. */
    memset(text, 'x', sizeof text);
    tern_status st;
    tern__status_set_message(&st, text, TERN_STATUS_MESSAGE_MAX - 1);
    assert_int_equal(strlen(st.message), TERN_STATUS_MESSAGE_MAX - 1);
    tern__status_set_message(&st, text, TERN_STATUS_MESSAGE_MAX);
    assert_int_equal(strlen(st.message), TERN_STATUS_MESSAGE_MAX - 1);
}

static void test_set_message(void **state)
{
    (void)state;
    tern_status st;
    memset(&st, 0xAA, sizeof st);
    st.code = TERN_ABORTED;
    tern__status_set_message(&st, "hello", 4);
    assert_string_equal(st.message, "hell");
    tern__status_set_message(&st, st.message + 1, 3); /* a part of itself */
    assert_string_equal(st.message, "ell");
    tern__status_set_message(&st, "a\0b\0", 4);
    assert_string_equal(st.message, "a?b?");
    tern__status_set_message(&st, NULL, 0);
    assert_string_equal(st.message, "");
    assert_int_equal(st.code, TERN_ABORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_parse),
        cmocka_unit_test(test_from_http),   cmocka_unit_test(test_from_h2_error),
        cmocka_unit_test(test_set),         cmocka_unit_test(test_long_messages),
        cmocka_unit_test(test_set_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
