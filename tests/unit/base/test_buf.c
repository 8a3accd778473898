/* The byte buffer against a plain model, and what it does without memory. */
#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/failmalloc.h"

static void test_empty(void **state)
{
    (void)state;
    tern__buf b = {0};
    failmalloc_count_reset();
    assert_int_equal(tern__buf_append(&b, NULL, 0), 0);
    tern__buf_consume(&b, 0);
    tern__buf_trim(&b, 0);
    assert_int_equal(failmalloc_count(), 0);
    assert_non_null(tern__buf_reserve(&b, 0)); /* NULL would mean out of memory */
    assert_int_equal(b.len, 0);
    tern__buf_deinit(&b);
    tern__buf_deinit(&b);
    assert_null(b.data);
}

static void test_append_and_consume(void **state)
{
    (void)state;
    tern__buf b = {0};
    assert_int_equal(tern__buf_append(&b, "hello, ", 7), 0);
    assert_int_equal(tern__buf_append(&b, "world", 5), 0);
    tern__buf_consume(&b, 7);
    assert_int_equal(b.len, 5);
    assert_memory_equal(tern__buf_head(&b), "world", 5);
    tern__buf_consume(&b, 5);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.off, 0); /* an empty buffer starts over without moving anything */
    tern__buf_deinit(&b);
}

static void test_reserve_then_commit(void **state)
{
    (void)state;
    tern__buf b = {0};
    uint8_t *to = tern__buf_reserve(&b, 3000);
    memset(to, 'x', 3000);
    assert_int_equal(b.len, 0);
    b.len += 3000;
    assert_true(b.cap >= 3000);
    assert_int_equal(tern__buf_head(&b)[2999], 'x');
    tern__buf_deinit(&b);
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    tern__buf b = {0};
    assert_int_equal(tern__buf_append(&b, "abc", 3), 0);
    failmalloc_count_reset();
    assert_null(tern__buf_reserve(&b, SIZE_MAX));
    assert_null(tern__buf_reserve(&b, SIZE_MAX - 3));
    assert_null(tern__buf_reserve(&b, SIZE_MAX / 2));
    assert_int_equal(failmalloc_count(), 0);
    assert_memory_equal(tern__buf_head(&b), "abc", 3);
    tern__buf_deinit(&b);
}

static void test_random_against_model(void **state)
{
    (void)state;
    enum { MODEL = 200000 };
    static uint8_t model[MODEL];
    for (uint64_t seed = 1; seed <= 4; seed++) {
        tern__rng rng;
        tern__rng_seed(&rng, seed);
        tern__buf b = {0};
        size_t head = 0, tail = 0;
        uint8_t chunk[400];
        while (tail + sizeof chunk < MODEL) {
            size_t n = tern__rng_below(&rng, sizeof chunk);
            for (size_t i = 0; i < n; i++)
                chunk[i] = (uint8_t)tern__rng_next(&rng);
            assert_int_equal(tern__buf_append(&b, chunk, n), 0);
            memcpy(model + tail, chunk, n);
            tail += n;
            if (tern__rng_below(&rng, 3) > 0) {
                size_t drop = tern__rng_below(&rng, (uint32_t)b.len + 1);
                tern__buf_consume(&b, drop);
                head += drop;
            }
            if (tern__rng_below(&rng, 20) == 0)
                tern__buf_trim(&b, tern__rng_below(&rng, 1000));
            assert_int_equal(b.len, tail - head);
            if (b.len)
                assert_memory_equal(tern__buf_head(&b), model + head, b.len);
            assert_true(b.off + b.len <= b.cap);
        }
        tern__buf_deinit(&b);
    }
}

/* A queue that is never quite empty must not grow with the bytes that pass through it. */
static void test_memory_follows_content(void **state)
{
    (void)state;
    tern__buf b = {0};
    uint8_t chunk[100] = {0};
    assert_int_equal(tern__buf_append(&b, chunk, 50), 0);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(tern__buf_append(&b, chunk, 100), 0);
        tern__buf_consume(&b, 100);
    }
    assert_int_equal(b.len, 50);
    assert_true(b.cap <= 2048);
    tern__buf_deinit(&b);
}

static void test_trim(void **state)
{
    (void)state;
    tern__buf b = {0};
    uint8_t chunk[5000] = {0};
    assert_int_equal(tern__buf_append(&b, chunk, sizeof chunk), 0);
    tern__buf_trim(&b, 0); /* not empty: nothing happens */
    assert_int_equal(b.len, sizeof chunk);
    tern__buf_consume(&b, sizeof chunk);
    tern__buf_trim(&b, 100000);
    assert_true(b.cap >= sizeof chunk);
    tern__buf_trim(&b, 1000);
    assert_int_equal(b.cap, 1000);
    assert_int_equal(tern__buf_append(&b, chunk, 1000), 0);
    tern__buf_consume(&b, 1000);
    tern__buf_trim(&b, 0);
    assert_null(b.data);
    assert_int_equal(b.cap, 0);
    tern__buf_deinit(&b);
}

static void test_trim_unused(void **state)
{
    (void)state;
    tern__buf b = {0};
    uint8_t chunk[8000] = {0};
    assert_int_equal(tern__buf_append(&b, chunk, sizeof chunk), 0);
    tern__buf_consume(&b, sizeof chunk);
    size_t cap = b.cap;
    tern__buf_trim_unused(&b, 100, sizeof chunk); /* it was needed */
    assert_int_equal(b.cap, cap);
    tern__buf_trim_unused(&b, 100, cap / 4); /* and still is */
    assert_int_equal(b.cap, cap);
    tern__buf_trim_unused(&b, 100, cap / 4 - 1);
    assert_int_equal(b.cap, 100);
    tern__buf_deinit(&b);
}

static void test_no_memory(void **state)
{
    (void)state;
    tern__buf b = {0};
    failmalloc_after(0);
    assert_int_equal(tern__buf_append(&b, "abc", 3), -ENOMEM);
    assert_true(failmalloc_off());
    assert_int_equal(b.len, 0);
    assert_null(b.data);

    uint8_t chunk[300];
    memset(chunk, 1, sizeof chunk);
    int failures = 0;
    size_t sum = 0;
    for (int i = 0; i < 200; i++) {
        failmalloc_after(0);
        int rv = tern__buf_append(&b, chunk, sizeof chunk);
        if (failmalloc_off() && rv != 0) {
            failures++;
            assert_int_equal(rv, -ENOMEM);
            assert_int_equal(b.len, sum);
            rv = tern__buf_append(&b, chunk, sizeof chunk);
        }
        assert_int_equal(rv, 0);
        sum += sizeof chunk;
        if (i % 5 == 0) {
            tern__buf_consume(&b, 7); /* so that both ways to grow are met */
            sum -= 7;
        }
    }
    assert_true(failures >= 5);
    for (size_t i = 0; i < b.len; i++)
        assert_int_equal(tern__buf_head(&b)[i], 1);
    tern__buf_deinit(&b);
}

/* Without memory to grow, moving the bytes to the front still makes the room that there is. */
static void test_no_memory_but_room_in_front(void **state)
{
    (void)state;
    tern__buf b = {0};
    uint8_t *p = tern__buf_reserve(&b, 1);
    assert_non_null(p);
    size_t cap = b.cap;
    for (size_t i = 0; i < cap; i++)
        p[i] = (uint8_t)i;
    b.len = cap;
    tern__buf_consume(&b, 10); /* less than what remains: normally it would grow */
    failmalloc_after(0);
    assert_int_equal(tern__buf_append(&b, "0123456789", 10), 0);
    assert_true(failmalloc_off());
    assert_int_equal(b.cap, cap);
    assert_int_equal(tern__buf_head(&b)[0], 10);
    assert_memory_equal(tern__buf_head(&b) + cap - 10, "0123456789", 10);
    tern__buf_consume(&b, b.len);
    failmalloc_after(0);
    tern__buf_trim(&b, 1); /* what cannot shrink stays */
    assert_true(failmalloc_off());
    assert_int_equal(b.cap, cap);
    tern__buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_append_and_consume),
        cmocka_unit_test(test_reserve_then_commit),
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_random_against_model),
        cmocka_unit_test(test_memory_follows_content),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_trim_unused),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_but_room_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
