/* Fields of protobuf's wire format: whole, cut short, too long, of every type. */
#include "wire/protobuf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_varints(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint64_t value;
    } good[] = {
        { "\x00", 1, 0 },
        { "\x7f", 1, 127 },
        { "\x80\x01", 2, 128 },
        { "\xff\xff\xff\xff\x0f", 5, UINT32_MAX },
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, UINT64_MAX },
        { "\x80\x00", 2, 0 }, /* longer than need be, which protobuf permits */
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t x = 1;
        tern__pb_input in = tern__pb_begin(good[i].bytes, good[i].len);
        assert_int_equal(tern__pb_varint(&in, &x), 0);
        assert_true(x == good[i].value);
        assert_int_equal(tern__pb_left(&in), 0);
        for (size_t cut = 0; cut < good[i].len; cut++) {
            in = tern__pb_begin(good[i].bytes, cut);
            assert_int_equal(tern__pb_varint(&in, &x), -EBADMSG);
        }
    }
    uint64_t x;
    tern__pb_input in = tern__pb_begin("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    assert_int_equal(tern__pb_varint(&in, &x), -EBADMSG);
    in = tern__pb_begin(NULL, 0);
    assert_int_equal(tern__pb_varint(&in, &x), -EBADMSG);
}

static void test_keys(void **state)
{
    (void)state;
    uint32_t number;
    unsigned type;
    tern__pb_input in = tern__pb_begin("\x0a\xf9\xff\xff\xff\x0f", 6);
    assert_int_equal(tern__pb_key(&in, &number, &type), 0);
    assert_int_equal(number, 1);
    assert_int_equal(type, TERN__PB_BYTES);
    assert_int_equal(tern__pb_key(&in, &number, &type), 0);
    assert_int_equal(number, (1u << 29) - 1);
    assert_int_equal(type, TERN__PB_FIXED64);
    in = tern__pb_begin("\x02", 1); /* field 0 */
    assert_int_equal(tern__pb_key(&in, &number, &type), -EBADMSG);
    in = tern__pb_begin("\xff\xff\xff\xff\x1f", 5); /* more than 32 bits */
    assert_int_equal(tern__pb_key(&in, &number, &type), -EBADMSG);
}

static void test_skip(void **state)
{
    static const struct {
        unsigned type;
        const char *bytes;
        size_t len;
    } fields[] = {
        { TERN__PB_VARINT, "\x80\x01", 2 },
        { TERN__PB_FIXED64, "12345678", 8 },
        { TERN__PB_BYTES, "\x03" "abc", 4 },
        { TERN__PB_FIXED32, "1234", 4 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        tern__pb_input in = tern__pb_begin(fields[i].bytes, fields[i].len);
        assert_int_equal(tern__pb_skip(&in, fields[i].type), 0);
        assert_int_equal(tern__pb_left(&in), 0);
        for (size_t cut = 0; cut < fields[i].len; cut++) {
            in = tern__pb_begin(fields[i].bytes, cut);
            assert_int_equal(tern__pb_skip(&in, fields[i].type), -EBADMSG);
        }
    }
    for (unsigned type = 3; type < 8; type++) {
        tern__pb_input in = tern__pb_begin("12345678", 8);
        if (type != TERN__PB_FIXED32)
            assert_int_equal(tern__pb_skip(&in, type), -EBADMSG);
    }
    /* a length that no memory holds */
    tern__pb_input in = tern__pb_begin("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" "a", 11);
    assert_int_equal(tern__pb_skip(&in, TERN__PB_BYTES), -EBADMSG);
}

static void test_fixed64(void **state)
{
    (void)state;
    uint64_t x;
    tern__pb_input in = tern__pb_begin("\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_int_equal(tern__pb_fixed64(&in, &x), 0);
    assert_true(x == UINT64_C(0x0807060504030201));
    assert_int_equal(tern__pb_fixed64(&in, &x), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varints),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_skip),
        cmocka_unit_test(test_fixed64),
    };
    return cmocka_run_group_tests_name("wire/protobuf", tests, NULL, NULL);
}
