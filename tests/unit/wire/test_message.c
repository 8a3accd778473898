/* Length-prefixed messages: whole, byte by byte and in random portions; limits; memory. */
#include "wire/message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/failmalloc.h"

#define LEN_MAX (4u * 1024 * 1024)

static int feed(tern__message_reader *r, const void *data, size_t n, size_t *left)
{
    const uint8_t *p = data;
    *left = n;
    int rv = tern__message_reader_feed(r, &p, left);
    assert_ptr_equal(p, (const uint8_t *)data + (n - *left)); /* both move together */
    return rv;
}

static void test_prefix(void **state)
{
    (void)state;
    uint8_t out[6] = {9, 9, 9, 9, 9, 9};
    tern__message_prefix_write(out, 0x12345678, false);
    assert_memory_equal(out, "\0\x12\x34\x56\x78\x09", 6);
    tern__message_prefix_write(out, UINT32_MAX, true);
    assert_memory_equal(out, "\1\xFF\xFF\xFF\xFF\x09", 6);
}

static void test_whole_messages(void **state)
{
    (void)state;
    static const char two[] = "\0\0\0\0\3abc\1\0\0\0\2xy";
    uint8_t scratch[16];
    tern__message_reader r;
    tern__message_reader_init(&r, LEN_MAX, scratch, sizeof scratch);
    assert_false(tern__message_reader_partial(&r));
    size_t left, len;
    bool owned;
    failmalloc_count_reset();
    assert_int_equal(feed(&r, two, sizeof two - 1, &left), TERN__MESSAGE_DONE);
    assert_int_equal(left, 7); /* the second message is not touched */
    assert_int_equal(r.len, 3);
    assert_false(r.compressed);
    assert_memory_equal(r.data, "abc", 3);
    assert_false(tern__message_reader_partial(&r));
    assert_int_equal(feed(&r, two + 8, 7, &left), TERN__MESSAGE_DONE); /* not taken yet: stays */
    assert_int_equal(left, 7);
    uint8_t *data = tern__message_reader_take(&r, &len, &owned);
    assert_ptr_equal(data, scratch);
    assert_int_equal(len, 3);
    assert_false(owned);
    assert_int_equal(feed(&r, two + 8, 7, &left), TERN__MESSAGE_DONE);
    assert_int_equal(left, 0);
    assert_true(r.compressed);
    data = tern__message_reader_take(&r, &len, &owned);
    assert_int_equal(len, 2);
    assert_memory_equal(data, "xy", 2);
    assert_int_equal(failmalloc_count(), 0);
    tern__message_reader_deinit(&r);
}

static void test_empty_message(void **state)
{
    (void)state;
    tern__message_reader r;
    tern__message_reader_init(&r, 0, NULL, 0); /* even with a limit of 0 */
    size_t left, len = 1;
    bool owned = true;
    assert_int_equal(feed(&r, "", 0, &left), TERN__MESSAGE_MORE);
    assert_false(tern__message_reader_partial(&r));
    failmalloc_count_reset();
    assert_int_equal(feed(&r, "\0\0\0\0\0", 5, &left), TERN__MESSAGE_DONE);
    assert_null(tern__message_reader_take(&r, &len, &owned));
    assert_int_equal(len, 0);
    assert_false(owned);
    assert_int_equal(failmalloc_count(), 0);
    tern__message_reader_deinit(&r);
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    static const char two[] = "\1\0\0\0\3abc\0\0\0\0\0\0\0\0\0\2xy";
    tern__message_reader r;
    tern__message_reader_init(&r, LEN_MAX, NULL, 0);
    int n_done = 0;
    for (size_t i = 0; i < sizeof two - 1; i++) {
        size_t left, len;
        bool owned;
        int rv = feed(&r, two + i, 1, &left);
        assert_int_equal(left, 0);
        bool end = i == 7 || i == 12 || i == 19;
        assert_int_equal(rv, end ? TERN__MESSAGE_DONE : TERN__MESSAGE_MORE);
        assert_int_equal(tern__message_reader_partial(&r), !end);
        if (!end)
            continue;
        bool compressed = r.compressed;
        uint8_t *data = tern__message_reader_take(&r, &len, &owned);
        assert_int_equal(compressed, i == 7);
        assert_int_equal(len, i == 7 ? 3 : i == 12 ? 0 : 2);
        assert_int_equal(owned, len > 0); /* no scratch was lent */
        if (len)
            assert_memory_equal(data, two + i + 1 - len, len);
        if (owned)
            free(data);
        n_done++;
    }
    assert_int_equal(n_done, 3);
    tern__message_reader_deinit(&r);
}

static void test_scratch_border(void **state)
{
    (void)state;
    for (size_t size = 7; size <= 9; size++) {
        uint8_t *scratch = malloc(8); /* exactly, for AddressSanitizer */
        uint8_t message[5 + 9] = {0, 0, 0, 0, (uint8_t)size, 1, 2, 3, 4, 5, 6, 7, 8, 9};
        tern__message_reader r;
        tern__message_reader_init(&r, LEN_MAX, scratch, 8);
        size_t left, len;
        bool owned;
        assert_int_equal(feed(&r, message, 5 + size, &left), TERN__MESSAGE_DONE);
        uint8_t *data = tern__message_reader_take(&r, &len, &owned);
        assert_memory_equal(data, message + 5, size);
        assert_int_equal(owned, size > 8);
        if (owned)
            free(data);
        tern__message_reader_deinit(&r);
        free(scratch);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    tern__message_reader r;
    tern__message_reader_init(&r, 100, NULL, 0);
    size_t left;
    failmalloc_count_reset();
    assert_int_equal(feed(&r, "\0\0\0\0", 4, &left), TERN__MESSAGE_MORE);
    assert_int_equal(feed(&r,
                          "\x65"
                          "abc",
                          4, &left),
                     -EMSGSIZE); /* 101, known from the prefix */
    assert_int_equal(r.len, 101);
    assert_int_equal(feed(&r, "abc", 3, &left), -EMSGSIZE); /* and it stays so */
    assert_int_equal(failmalloc_count(), 0);
    tern__message_reader_deinit(&r);

    tern__message_reader_init(&r, 100, NULL, 0);
    assert_int_equal(feed(&r, "\0\0\0\0\x64", 5, &left), TERN__MESSAGE_MORE); /* 100 is fine */
    tern__message_reader_deinit(&r);
    tern__message_reader_init(&r, LEN_MAX, NULL, 0);
    assert_int_equal(feed(&r, "\0\xFF\xFF\xFF\xFF", 5, &left), -EMSGSIZE);
    assert_true(r.len == UINT32_MAX);
    tern__message_reader_deinit(&r);
}

static void test_bad_flag(void **state)
{
    (void)state;
    for (int flag = 2; flag < 256; flag++) {
        uint8_t byte = (uint8_t)flag;
        tern__message_reader r;
        tern__message_reader_init(&r, LEN_MAX, NULL, 0);
        size_t left;
        assert_int_equal(feed(&r, &byte, 1, &left), -EPROTO); /* on the first byte */
        assert_int_equal(feed(&r, "\0\0\0\0\0", 5, &left), -EPROTO);
        tern__message_reader_deinit(&r);
    }
}

/* A peer that announces much and sends little must not cost much. */
static void test_memory_follows_bytes(void **state)
{
    (void)state;
    tern__message_reader r;
    tern__message_reader_init(&r, UINT32_MAX, NULL, 0);
    size_t left;
    assert_int_equal(feed(&r,
                          "\0\x7F\xFF\xFF\xFF"
                          "abc",
                          8, &left),
                     TERN__MESSAGE_MORE);
    assert_in_range(r.cap, 3, 64 * 1024);
    uint8_t chunk[1000] = {0};
    for (size_t sum = 3; sum < 1000000; sum += sizeof chunk) {
        assert_int_equal(feed(&r, chunk, sizeof chunk, &left), TERN__MESSAGE_MORE);
        assert_true(r.cap <= 2 * (sum + sizeof chunk) + 16 * 1024);
    }
    assert_true(tern__message_reader_partial(&r));
    tern__message_reader_deinit(&r); /* in the middle */
    assert_false(tern__message_reader_partial(&r));
    tern__message_reader_deinit(&r);
}

/* A message that is there in one piece costs one allocation of its size. */
static void test_whole_costs_one_allocation(void **state)
{
    (void)state;
    size_t n = 300000;
    uint8_t *message = calloc(1, n + 5);
    tern__message_prefix_write(message, (uint32_t)n, false);
    tern__message_reader r;
    tern__message_reader_init(&r, LEN_MAX, NULL, 0);
    size_t left;
    failmalloc_count_reset();
    assert_int_equal(feed(&r, message, n + 5, &left), TERN__MESSAGE_DONE);
    assert_int_equal(failmalloc_count(), 1);
    assert_int_equal(r.cap, n);
    tern__message_reader_deinit(&r); /* done, not taken */
    free(message);
}

static void test_random_portions(void **state)
{
    (void)state;
    enum { STREAM = 400000 };
    uint8_t *stream = malloc(STREAM + 5 + 70000);
    tern__rng rng;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        tern__rng_seed(&rng, seed);
        size_t total = 0;
        while (total < STREAM) {
            uint32_t len = tern__rng_below(&rng, tern__rng_below(&rng, 10) == 0 ? 70000 : 200);
            tern__message_prefix_write(stream + total, len, tern__rng_below(&rng, 2));
            for (uint32_t i = 0; i < len; i++)
                stream[total + 5 + i] = (uint8_t)tern__rng_next(&rng);
            total += 5 + len;
        }
        uint8_t scratch[128];
        tern__message_reader r;
        tern__message_reader_init(&r, LEN_MAX, scratch, sizeof scratch);
        size_t fed = 0, checked = 0;
        while (fed < total) {
            size_t n = 1 + tern__rng_below(&rng, seed % 2 ? 50 : 40000);
            n = n < total - fed ? n : total - fed;
            const uint8_t *p = stream + fed;
            fed += n;
            int rv;
            while ((rv = tern__message_reader_feed(&r, &p, &n)) == TERN__MESSAGE_DONE) {
                size_t len;
                bool owned, compressed = r.compressed;
                uint8_t *data = tern__message_reader_take(&r, &len, &owned);
                assert_int_equal(stream[checked], compressed);
                if (len)
                    assert_memory_equal(data, stream + checked + 5, len);
                checked += 5 + len;
                if (owned)
                    free(data);
            }
            assert_int_equal(rv, TERN__MESSAGE_MORE);
            assert_int_equal(n, 0);
        }
        assert_int_equal(checked, total);
        assert_false(tern__message_reader_partial(&r));
        tern__message_reader_deinit(&r);
    }
    free(stream);
}

static void test_no_memory(void **state)
{
    (void)state;
    enum { LEN = 100000 };
    uint8_t *message = malloc(LEN + 5);
    tern__message_prefix_write(message, LEN, false);
    for (size_t i = 0; i < LEN; i++)
        message[5 + i] = (uint8_t)(i * 7);
    for (long n = 0;; n++) {
        tern__message_reader r;
        tern__message_reader_init(&r, LEN_MAX, NULL, 0);
        size_t at = 0;
        int rv = TERN__MESSAGE_MORE, failures = 0;
        failmalloc_once(n);
        while (rv == TERN__MESSAGE_MORE || rv == -ENOMEM) {
            size_t portion = at + 1000 < LEN + 5 ? 1000 : LEN + 5 - at, left = portion;
            const uint8_t *p = message + at;
            uint32_t before = r.got;
            rv = tern__message_reader_feed(&r, &p, &left);
            at += portion - left;
            if (rv == -ENOMEM) {
                failures++;
                assert_int_equal(r.got, before);
                assert_true(tern__message_reader_partial(&r));
            }
        }
        bool failed = failmalloc_off();
        assert_int_equal(failures, failed); /* and the same bytes went in the second time */
        assert_int_equal(rv, TERN__MESSAGE_DONE);
        assert_memory_equal(r.data, message + 5, LEN);
        assert_int_equal(r.cap, LEN); /* grew to what was announced, not to twice of it */
        tern__message_reader_deinit(&r);
        if (!failed) {
            assert_true(n >= 3);
            break;
        }
    }
    free(message);
}

/* A message of `len` bytes, all `c`, through the reader; checked, and taken. */
static uint8_t *pass(tern__message_reader *r, size_t len, char c)
{
    size_t left, got;
    bool owned;
    uint8_t *message = malloc(len + 5);
    assert_non_null(message);
    tern__message_prefix_write(message, (uint32_t)len, false);
    memset(message + 5, c, len);
    /* In two parts: the second one finds the memory of the first. */
    assert_int_equal(feed(r, message, 5 + len / 2, &left), TERN__MESSAGE_MORE);
    assert_int_equal(feed(r, message + 5 + len / 2, len - len / 2, &left), TERN__MESSAGE_DONE);
    uint8_t *data = tern__message_reader_take(r, &got, &owned);
    assert_int_equal(got, len);
    assert_true(owned);
    assert_memory_equal(data, message + 5, len);
    free(message);
    return data;
}

static void test_memory_is_used_again(void **state)
{
    (void)state;
    tern__message_reader r;
    tern__message_reader_init(&r, 8u << 20, NULL, 0);
    uint8_t *first = pass(&r, 100000, 'a');
    tern__message_reader_give_back(&r, first, r.taken_cap);
    failmalloc_count_reset();
    uint8_t *second = pass(&r, 60000, 'b');
    assert_ptr_equal(second, first);
    assert_int_equal(failmalloc_count(), 1); /* pass() itself */
    /* What is larger grows from it; its memory is told. */
    tern__message_reader_give_back(&r, second, r.taken_cap);
    uint8_t *third = pass(&r, 300000, 'c');
    assert_true(r.taken_cap >= 300000);
    tern__message_reader_give_back(&r, third, r.taken_cap);
    /* A small one does not keep it. */
    uint8_t *small = pass(&r, 1000, 'd');
    assert_int_equal(r.taken_cap, 1000);
    assert_null(r.spare);
    /* Not known, or too much: freed. */
    tern__message_reader_give_back(&r, small, 0);
    assert_null(r.spare);
    uint8_t *huge = pass(&r, TERN__MESSAGE_SPARE_BYTES + 1, 'e');
    tern__message_reader_give_back(&r, huge, r.taken_cap);
    assert_null(r.spare);
    tern__message_reader_give_back(&r, NULL, 100);
    assert_null(r.spare);
    /* Two at once: one is kept, and freed with the reader. */
    uint8_t *one = pass(&r, 5000, 'f');
    size_t cap = r.taken_cap;
    uint8_t *two = pass(&r, 5000, 'g');
    tern__message_reader_give_back(&r, one, cap);
    tern__message_reader_give_back(&r, two, r.taken_cap);
    assert_ptr_equal(r.spare, one);
    tern__message_reader_deinit(&r);
    assert_null(r.spare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_whole_messages),
        cmocka_unit_test(test_empty_message),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_scratch_border),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_bad_flag),
        cmocka_unit_test(test_memory_follows_bytes),
        cmocka_unit_test(test_whole_costs_one_allocation),
        cmocka_unit_test(test_random_portions),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_memory_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
