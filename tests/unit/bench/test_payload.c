/* Answers, numbers and the check that finds a wrong answer. */
#include "tools/bench/payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t sent[] = "abcdef";
#define SENT_LEN 6

static void answer_repeats_the_request(void **state)
{
    (void)state;
    uint8_t out[16];
    bench_payload_answer(out, 15, sent, SENT_LEN);
    assert_memory_equal(out, "abcdefabcdefabc", 15);
    bench_payload_answer(out, 4, sent, SENT_LEN);
    assert_memory_equal(out, "abcd", 4);
    bench_payload_answer(out, 6, sent, SENT_LEN);
    assert_memory_equal(out, "abcdef", 6);
    bench_payload_answer(NULL, 0, sent, SENT_LEN);
    bench_payload_answer(NULL, 0, NULL, 0);
}

static void answer_to_nothing_is_zeros(void **state)
{
    (void)state;
    uint8_t out[4] = { 9, 9, 9, 9 };
    bench_payload_answer(out, 3, NULL, 0);
    assert_memory_equal(out, "\0\0\0\x09", 4);
}

static void numbers_differ_and_hold_no_zero(void **state)
{
    (void)state;
    uint8_t a[8], b[8];
    static const uint64_t numbers[] = {
        0, 1, 127, 128, (uint64_t)1 << 32, ((uint64_t)1 << 56) - 1
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        bench_payload_number(a, 8, numbers[i]);
        assert_null(memchr(a, 0, 8));
        for (size_t k = 0; k < i; k++) {
            bench_payload_number(b, 8, numbers[k]);
            assert_memory_not_equal(a, b, 8);
        }
    }
}

static void numbers_keep_within_the_payload(void **state)
{
    (void)state;
    uint8_t out[10];
    memset(out, 'x', sizeof(out));
    bench_payload_number(out, 3, 0x123456789abc);
    assert_memory_equal(out + 3, "xxxxxxx", 7);
    bench_payload_number(out, 10, 1);
    assert_memory_equal(out + 8, "xx", 2);
    bench_payload_number(NULL, 0, 1);
}

static void right_answers_pass(void **state)
{
    (void)state;
    uint8_t out[40];
    for (size_t len = 0; len <= sizeof(out); len++) {
        bench_payload_answer(out, len, sent, SENT_LEN);
        assert_true(bench_payload_good(out, len, sent, SENT_LEN));
        memset(out, 0, len);
        assert_true(bench_payload_good(out, len, sent, SENT_LEN));
        assert_true(bench_payload_good(out, len, NULL, 0));
    }
}

static void a_wrong_byte_is_found_anywhere(void **state)
{
    (void)state;
    uint8_t out[40];
    for (size_t at = 0; at < sizeof(out); at++) {
        bench_payload_answer(out, sizeof(out), sent, SENT_LEN);
        out[at] ^= 1;
        assert_false(bench_payload_good(out, sizeof(out), sent, SENT_LEN));
        memset(out, 0, sizeof(out));
        out[at] = 1;
        assert_false(bench_payload_good(out, sizeof(out), sent, SENT_LEN));
        assert_false(bench_payload_good(out, sizeof(out), NULL, 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_repeats_the_request),
        cmocka_unit_test(answer_to_nothing_is_zeros),
        cmocka_unit_test(numbers_differ_and_hold_no_zero),
        cmocka_unit_test(numbers_keep_within_the_payload),
        cmocka_unit_test(right_answers_pass),
        cmocka_unit_test(a_wrong_byte_is_found_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
