/* HealthCheckRequest and HealthCheckResponse: the bytes that protoc writes, and others. */
#include "wire/health.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_request(void **state)
{
    static const uint8_t small[] = { 0x0a, 3, 'a', '.', 'B' };
    static char name[70000];
    static uint8_t bytes[sizeof name + TERN__HEALTH_REQUEST_OVERHEAD];
    (void)state;
    assert_int_equal(tern__health_request_write("", 0, bytes), 0);
    assert_int_equal(tern__health_request_write("a.B", 3, bytes), sizeof small);
    assert_memory_equal(bytes, small, sizeof small);
    memset(name, 'n', sizeof name);
    assert_int_equal(tern__health_request_write(name, 200, bytes), 203);
    assert_memory_equal(bytes, "\x0a\xc8\x01nnn", 6);
    assert_int_equal(tern__health_request_write(name, sizeof name, bytes), sizeof name + 4);
    assert_memory_equal(bytes, "\x0a\xf0\xa2\x04nnn", 7);
    assert_memory_equal(bytes + 4, name, sizeof name);
}

static uint32_t status_of(const char *bytes, size_t len)
{
    uint32_t status = 99;
    assert_int_equal(tern__health_response_read(bytes, len, &status), 0);
    return status;
}

static void test_response(void **state)
{
    (void)state;
    assert_int_equal(status_of("", 0), TERN__HEALTH_UNKNOWN);
    assert_int_equal(status_of(NULL, 0), TERN__HEALTH_UNKNOWN);
    assert_int_equal(status_of("\x08\x01", 2), TERN__HEALTH_SERVING);
    assert_int_equal(status_of("\x08\x02", 2), TERN__HEALTH_NOT_SERVING);
    assert_int_equal(status_of("\x08\x03", 2), TERN__HEALTH_SERVICE_UNKNOWN);
    assert_int_equal(status_of("\x08\x04", 2), TERN__HEALTH_UNKNOWN);
    /* negative, as an enum may be: ten bytes */
    assert_int_equal(status_of("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11),
                     TERN__HEALTH_UNKNOWN);
    /* the last one counts; unknown fields, and the known number of another type, are skipped */
    assert_int_equal(status_of("\x08\x02\x08\x01", 4), TERN__HEALTH_SERVING);
    assert_int_equal(status_of("\x12\x02hi\x08\x01\x0a\x01x\x1d" "1234", 14),
                     TERN__HEALTH_SERVING);
}

static void test_what_is_none(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        { "\x08", 1 },
        { "\x08\x80", 2 },
        { "\x00\x01", 2 },
        { "\x0b", 1 },
        { "\x0a\x05" "abc", 5 },
        { "\x08\x01\x12", 3 },
        { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t status = 99;
        assert_int_equal(tern__health_response_read(bad[i].bytes, bad[i].len, &status), -EBADMSG);
        assert_int_equal(status, 99);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(tern__health_status_name(TERN__HEALTH_SERVING), "SERVING");
    assert_string_equal(tern__health_status_name(TERN__HEALTH_SERVICE_UNKNOWN), "SERVICE_UNKNOWN");
    assert_string_equal(tern__health_status_name(77), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_response),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("wire/health", tests, NULL, NULL);
}
