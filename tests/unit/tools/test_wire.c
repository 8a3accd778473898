/* The protobuf wire format (tools/tern/wire.c). */
#include <errno.h>

#include "unit/tools/cli_support.h"

static void varints_come_back(void **state)
{
    static const uint64_t values[] = { 0,         1, 127, 128, 300, UINT32_MAX, UINT64_C(1) << 63,
                                       UINT64_MAX };
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        cli_buf b;
        uint64_t back = 0;
        cli_buf_init(&b, 100);
        cli_put_varint(&b, values[i]);
        for (size_t len = 0; len < b.len; len++) {
            cli_reader part = { b.data, b.data + len };
            assert_int_equal(cli_get_varint(&part, &back), CLI_WIRE_TRUNCATED);
        }
        cli_reader r = { b.data, b.data + b.len };
        assert_int_equal(cli_get_varint(&r, &back), CLI_WIRE_OK);
        assert_true(back == values[i]);
        assert_ptr_equal(r.p, r.end);
        cli_buf_deinit(&b);
    }
}

static void a_varint_of_eleven_bytes_is_refused(void **state)
{
    static const uint8_t bytes[11] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1 };
    cli_reader r = { bytes, bytes + sizeof(bytes) };
    uint64_t v;
    (void)state;
    assert_int_equal(cli_get_varint(&r, &v), CLI_WIRE_LONG_VARINT);
}

static void zigzag_keeps_the_edges(void **state)
{
    static const int64_t values[] = { 0, -1, 1, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX };
    (void)state;
    assert_true(cli_zigzag(-1) == 1 && cli_zigzag(1) == 2);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_true(cli_unzigzag(cli_zigzag(values[i])) == values[i]);
    }
}

static void fixed_numbers_are_little_endian(void **state)
{
    cli_buf b;
    uint32_t u32;
    uint64_t u64;
    (void)state;
    cli_buf_init(&b, 100);
    cli_put_fixed32(&b, 0x04030201);
    cli_put_fixed64(&b, UINT64_C(0x0807060504030201));
    assert_memory_equal(b.data, "\1\2\3\4\1\2\3\4\5\6\7\10", 12);
    cli_reader r = { b.data, b.data + b.len };
    assert_int_equal(cli_get_fixed32(&r, &u32), CLI_WIRE_OK);
    assert_int_equal(cli_get_fixed64(&r, &u64), CLI_WIRE_OK);
    assert_true(u32 == 0x04030201 && u64 == UINT64_C(0x0807060504030201));
    assert_int_equal(cli_get_fixed32(&r, &u32), CLI_WIRE_TRUNCATED);
    assert_int_equal(cli_get_fixed64(&r, &u64), CLI_WIRE_TRUNCATED);
    cli_buf_deinit(&b);
}

static void tags_are_checked(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        cli_wire_fault fault;
    } cases[] = {
        { "\x08", 1, CLI_WIRE_OK },
        { "\x00", 1, CLI_WIRE_BAD_NUMBER },
        { "\x07", 1, CLI_WIRE_BAD_NUMBER },
        { "\x0e", 1, CLI_WIRE_BAD_TYPE },
        { "\x0f", 1, CLI_WIRE_BAD_TYPE },
        { "\xf8\xff\xff\xff\x0f", 5, CLI_WIRE_OK },
        { "\x80\x80\x80\x80\x10", 5, CLI_WIRE_BAD_NUMBER },
        { "\x80", 1, CLI_WIRE_TRUNCATED },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const uint8_t *p = (const uint8_t *)cases[i].bytes;
        cli_reader r = { p, p + cases[i].len };
        uint32_t number;
        cli_wire_type type;
        assert_int_equal(cli_get_tag(&r, &number, &type), cases[i].fault);
        assert_true(strlen(cli_wire_reason(cases[i].fault)) > 10);
    }
}

static cli_wire_fault skip_one(const char *bytes, size_t len)
{
    const uint8_t *p = (const uint8_t *)bytes;
    cli_reader r = { p, p + len };
    uint32_t number;
    cli_wire_type type;
    cli_wire_fault fault = cli_get_tag(&r, &number, &type);
    if (fault == CLI_WIRE_OK) {
        fault = cli_skip(&r, number, type);
    }
    assert_true(fault != CLI_WIRE_OK || r.p == r.end);
    return fault;
}

static void unknown_values_are_skipped_whole(void **state)
{
    (void)state;
    assert_int_equal(skip_one("\x08\x96\x01", 3), CLI_WIRE_OK);
    assert_int_equal(skip_one("\x0d"
                              "1234",
                              5),
                     CLI_WIRE_OK);
    assert_int_equal(skip_one("\x09"
                              "12345678",
                              9),
                     CLI_WIRE_OK);
    assert_int_equal(skip_one("\x0a\x03"
                              "abc",
                              5),
                     CLI_WIRE_OK);
    assert_int_equal(skip_one("\x0a\x04"
                              "abc",
                              5),
                     CLI_WIRE_TRUNCATED);
    assert_int_equal(skip_one("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11),
                     CLI_WIRE_TRUNCATED);
    assert_int_equal(skip_one("\x0b\x13\x10\x01\x14\x0c", 6), CLI_WIRE_OK);
    assert_int_equal(skip_one("\x0b\x13\x10\x01\x0c", 5), CLI_WIRE_OTHER_END);
    assert_int_equal(skip_one("\x0b\x10\x01", 3), CLI_WIRE_TRUNCATED);
    assert_int_equal(skip_one("\x0c", 1), CLI_WIRE_STRAY_END);
}

static void groups_nest_to_a_limit(void **state)
{
    char bytes[2 * CLI_MESSAGE_DEPTH_MAX + 2];
    (void)state;
    memset(bytes, 0x0b, CLI_MESSAGE_DEPTH_MAX);
    memset(bytes + CLI_MESSAGE_DEPTH_MAX, 0x0c, CLI_MESSAGE_DEPTH_MAX);
    assert_int_equal(skip_one(bytes, 2 * CLI_MESSAGE_DEPTH_MAX), CLI_WIRE_OK);
    memset(bytes, 0x0b, sizeof(bytes));
    assert_int_equal(skip_one(bytes, sizeof(bytes)), CLI_WIRE_DEEP);
}

static void nested_messages_get_their_length(void **state)
{
    cli_buf b;
    (void)state;
    cli_buf_init(&b, 1000);
    cli_put_tag(&b, 1, CLI_WIRE_BYTES);
    size_t outer = cli_put_begin(&b);
    cli_put_tag(&b, 2, CLI_WIRE_BYTES);
    size_t inner = cli_put_begin(&b);
    for (int i = 0; i < 200; i++) {
        cli_put_varint(&b, 0);
    }
    cli_put_end(&b, inner);
    cli_put_end(&b, outer);
    assert_int_equal(b.error, 0);
    assert_int_equal(b.len, 1 + 2 + 1 + 2 + 200);
    assert_memory_equal(b.data, "\x0a\xcb\x01\x12\xc8\x01", 6);
    cli_buf_deinit(&b);
}

static void a_full_buffer_stays_failed(void **state)
{
    cli_buf b;
    (void)state;
    cli_buf_init(&b, 4);
    cli_buf_append(&b, "abcd", 4);
    assert_int_equal(b.error, 0);
    cli_buf_append(&b, "e", 1);
    assert_int_equal(b.error, -EFBIG);
    size_t len = b.len;
    cli_put_end(&b, 0);
    cli_put_varint(&b, 5);
    assert_int_equal(b.len, len);
    cli_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_come_back),
        cmocka_unit_test(a_varint_of_eleven_bytes_is_refused),
        cmocka_unit_test(zigzag_keeps_the_edges),
        cmocka_unit_test(fixed_numbers_are_little_endian),
        cmocka_unit_test(tags_are_checked),
        cmocka_unit_test(unknown_values_are_skipped_whole),
        cmocka_unit_test(groups_nest_to_a_limit),
        cmocka_unit_test(nested_messages_get_their_length),
        cmocka_unit_test(a_full_buffer_stays_failed),
    };
    return cmocka_run_group_tests_name("tern/wire", tests, NULL, NULL);
}
