/* Splitting of a stream's payload into messages: whole, in every pair of portions, byte by byte;
 * limits; memory. */
#include "server/inbound.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failmalloc.h"

#define LEN_MAX 1000u
#define SCRATCH 16u

static tern__message_reader reader;
static tern__inbound inbound;
static tern__buf portion;
static uint8_t scratch[SCRATCH];

static int setup(void **state)
{
    (void)state;
    tern__message_reader_init(&reader, LEN_MAX, scratch, sizeof scratch);
    tern__inbound_init(&inbound, &reader);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern__inbound_deinit(&inbound);
    tern__message_reader_deinit(&reader);
    tern__buf_deinit(&portion);
    return 0;
}

static void feed(const void *data, size_t len)
{
    tern__buf_consume(&portion, portion.len);
    assert_int_equal(tern__buf_append(&portion, data, len), 0);
    tern__inbound_refill(&inbound, &portion);
}

static void expect_message(const void *data, size_t len)
{
    const void *got;
    size_t got_len;
    assert_int_equal(tern__inbound_next(&inbound, &got, &got_len), TERN__INBOUND_MESSAGE);
    assert_non_null(got);
    assert_int_equal(got_len, len);
    assert_memory_equal(got, data, len);
}

static void expect(int rv)
{
    const void *got;
    size_t got_len;
    assert_int_equal(tern__inbound_next(&inbound, &got, &got_len), rv);
}

/* Messages shorter and longer than the scratch buffer, and empty ones. */
static const uint8_t wire[] = "\0\0\0\0\3abc\0\0\0\0\0\1\0\0\0\x14"
                              "01234567890123456789\0\0\0\0\1z";
#define WIRE_LEN (sizeof wire - 1)

static void expect_next_of(unsigned i)
{
    static const char *const messages[] = { "abc", "", "01234567890123456789", "z" };
    expect_message(messages[i], strlen(messages[i]));
    assert_int_equal(reader.compressed, i == 2);
}

static void test_whole(void **state)
{
    (void)state;
    expect(TERN__INBOUND_MORE);
    feed(wire, WIRE_LEN);
    failmalloc_after(0); /* nothing is copied */
    for (unsigned i = 0; i < 4; i++)
        expect_next_of(i);
    expect(TERN__INBOUND_MORE);
    assert_false(failmalloc_off());
    assert_false(tern__inbound_partial(&inbound));
}

static void test_every_pair_of_portions(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= WIRE_LEN; cut++) {
        static const size_t ends[] = { 8, 13, 38, WIRE_LEN };
        unsigned i = 0;
        feed(wire, cut);
        for (; i < 4 && ends[i] <= cut; i++)
            expect_next_of(i);
        expect(TERN__INBOUND_MORE);
        assert_int_equal(tern__inbound_partial(&inbound),
                         cut != 0 && cut != 8 && cut != 13 && cut != 38 && cut != WIRE_LEN);
        feed(wire + cut, WIRE_LEN - cut);
        for (; i < 4; i++)
            expect_next_of(i);
        expect(TERN__INBOUND_MORE);
        assert_false(tern__inbound_partial(&inbound));
        tern__inbound_trim(&inbound, 0);
    }
}

static void test_byte_at_a_time(void **state)
{
    (void)state;
    unsigned n = 0;
    for (size_t i = 0; i < WIRE_LEN; i++) {
        expect(TERN__INBOUND_MORE);
        feed(wire + i, 1);
        if (i == 7 || i == 12 || i == 37 || i == WIRE_LEN - 1)
            expect_next_of(n++);
    }
    assert_int_equal(n, 4);
}

static void test_limits(void **state)
{
    (void)state;
    uint8_t most[5 + LEN_MAX] = { 0, 0, 0, LEN_MAX >> 8, LEN_MAX & 0xff };
    memset(most + 5, 'm', LEN_MAX);
    feed(most, sizeof most);
    expect_message(most + 5, LEN_MAX);
    expect(TERN__INBOUND_MORE);
    most[4]++;
    for (size_t n = 5; n <= sizeof most; n += LEN_MAX) {
        feed(most, n);
        expect(-EMSGSIZE);
        assert_int_equal(reader.len, LEN_MAX + 1);
        teardown(NULL);
        setup(NULL);
    }
    feed("\2\0\0\0\0", 5);
    expect(-EPROTO);
    teardown(NULL);
    setup(NULL);
    feed("\2", 1); /* before the rest is there */
    expect(-EPROTO);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const uint8_t head[] = "\0\0\0\0\x64half";
    feed(head, 9);
    failmalloc_after(0);
    expect(-ENOMEM);
    assert_true(failmalloc_off());
}

/* What tern__inbound_put() takes of `data`, *ret being its answer. */
static size_t put(const void *data, size_t len, int *ret)
{
    const uint8_t *p = data;
    size_t left = len;
    *ret = tern__inbound_put(&inbound, &p, &left);
    assert_ptr_equal(p, (const uint8_t *)data + (len - left));
    return len - left;
}

static void test_put_in_place(void **state)
{
    (void)state;
    int rv;
    expect(TERN__INBOUND_MORE); /* the receiver waits */
    /* Whole messages are not for it: they are split where they lie. */
    assert_int_equal(put("\0\0\0\0\3abc", 8, &rv), 0);
    assert_int_equal(rv, TERN__INBOUND_MORE);
    assert_int_equal(put("\0\0\0", 3, &rv), 0); /* nor is what is no prefix yet */
    assert_int_equal(rv, TERN__INBOUND_MORE);
    /* The parts of one that comes in several; what follows it is left. */
    assert_int_equal(put("\0\0\0\0\x1e" "0123456789", 15, &rv), 15);
    assert_int_equal(rv, TERN__INBOUND_MORE);
    assert_true(tern__inbound_partial(&inbound));
    assert_int_equal(put("0123456789", 10, &rv), 10);
    assert_int_equal(rv, TERN__INBOUND_MORE);
    assert_int_equal(put("0123456789\0\0\0\0\1z", 16, &rv), 10);
    assert_int_equal(rv, TERN__INBOUND_MESSAGE);
    assert_int_equal(put("0123", 4, &rv), 0); /* not before next() has had it */
    assert_int_equal(rv, TERN__INBOUND_MESSAGE);
    assert_false(tern__inbound_partial(&inbound));
    feed("\0\0\0\0\1z", 6);
    expect_message("012345678901234567890123456789", 30);
    expect_message("z", 1);
    expect(TERN__INBOUND_MORE);
}

static void test_put_refuses(void **state)
{
    (void)state;
    int rv;
    expect(TERN__INBOUND_MORE);
    assert_int_equal(put("\0\0\0\x10\0ab", 7, &rv), 5);
    assert_int_equal(rv, -EMSGSIZE);
    expect(-EMSGSIZE);
    assert_int_equal(reader.len, 4096);
}

static void test_put_without_memory(void **state)
{
    (void)state;
    int rv;
    failmalloc_after(0);
    put("\0\0\0\0\x1e" "0123456789", 15, &rv);
    assert_true(failmalloc_off());
    assert_int_equal(rv, -ENOMEM);
    expect(-ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_pair_of_portions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_byte_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_without_memory, setup, teardown),
    };
    return cmocka_run_group_tests_name("server/inbound", tests, NULL, NULL);
}
