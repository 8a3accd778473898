/* The arena: alignment, lent and own blocks, its limit, and every allocation failing once. */
#include "base/arena.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/sanitize.h"
#include "support/failmalloc.h"

static char *print(tern__arena *a, const char *fmt, ...) TERN_PRINTF(2, 3);
static char *print(tern__arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = tern__arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

static void test_aligned_and_apart(void **state)
{
    (void)state;
    enum { N = 2000 };
    static struct {
        uint8_t *p;
        size_t size;
    } piece[N];
    tern__rng rng;
    tern__rng_seed(&rng, 7);
    tern__arena a;
    tern__arena_init(&a, NULL, 0, 0);
    for (int i = 0; i < N; i++) {
        piece[i].size = tern__rng_below(&rng, i % 50 == 0 ? 40000 : 100);
        piece[i].p = tern__arena_alloc(&a, piece[i].size);
        assert_non_null(piece[i].p);
        assert_int_equal((uintptr_t)piece[i].p % 16, 0);
        memset(piece[i].p, i & 0xFF, piece[i].size);
    }
    for (int i = 0; i < N; i++) {
        for (size_t k = 0; k < piece[i].size; k++)
            assert_int_equal(piece[i].p[k], i & 0xFF);
    }
    tern__arena_deinit(&a);
}

static void test_size_zero(void **state)
{
    (void)state;
    tern__arena a;
    tern__arena_init(&a, NULL, 0, 0);
    void *p = tern__arena_alloc(&a, 0), *q = tern__arena_zalloc(&a, 0);
    assert_non_null(p);
    assert_non_null(q);
    assert_ptr_not_equal(p, q);
    tern__arena_deinit(&a);
    tern__arena_deinit(&a);
}

static void test_lent_block_first(void **state)
{
    (void)state;
    uint8_t lent[512 + 7];
    for (size_t skew = 0; skew < 8; skew++) {
        tern__arena a;
        tern__arena_init(&a, lent + skew, 512, 0);
        failmalloc_count_reset();
        for (int i = 0; i < 8; i++) {
            uint8_t *p = tern__arena_alloc(&a, 24);
            assert_true(p >= lent + skew && p + 24 <= lent + skew + 512);
            assert_int_equal((uintptr_t)p % 16, 0);
            memset(p, 0xAA, 24);
        }
        assert_int_equal(failmalloc_count(), 0);
        uint8_t *outside = tern__arena_alloc(&a, 600);
        assert_int_equal(failmalloc_count(), 1);
        assert_true(outside + 600 <= lent || outside >= lent + sizeof lent);
        tern__arena_deinit(&a);
        TERN__UNPOISON(lent, sizeof lent); /* the frame is used again */
    }
}

static void test_lent_block_too_small(void **state)
{
    (void)state;
    uint8_t lent[16];
    tern__arena a;
    tern__arena_init(&a, lent + 1, 3, 0); /* not even room to align */
    void *p = tern__arena_alloc(&a, 1);
    assert_non_null(p);
    tern__arena_deinit(&a);
}

static void test_large_piece_keeps_block(void **state)
{
    (void)state;
    tern__arena a;
    tern__arena_init(&a, NULL, 0, 0);
    uint8_t *first = tern__arena_alloc(&a, 16);
    assert_non_null(tern__arena_alloc(&a, 1000000));
    uint8_t *second = tern__arena_alloc(&a, 16);
    assert_true(second > first && second - first <= 64); /* still from the first block */
    tern__arena_deinit(&a);
}

static void test_grows_geometrically(void **state)
{
    (void)state;
    tern__arena a;
    tern__arena_init(&a, NULL, 0, 0);
    failmalloc_count_reset();
    for (int i = 0; i < 16384; i++)
        assert_non_null(tern__arena_alloc(&a, 64));
    /* 1 MiB in blocks of 1 KiB, 2 KiB … 64 KiB. */
    assert_in_range(failmalloc_count(), 16, 32);
    tern__arena_deinit(&a);
}

static void test_limit(void **state)
{
    (void)state;
    tern__arena a;
    tern__arena_init(&a, NULL, 0, 100);
    assert_non_null(tern__arena_alloc(&a, 33)); /* counts 48 */
    assert_int_equal(a.used, 48);
    assert_null(tern__arena_alloc(&a, 49));
    assert_int_equal(a.used, 48);
    assert_non_null(tern__arena_alloc(&a, 48)); /* 96 */
    assert_null(tern__arena_alloc(&a, 1));
    assert_null(tern__arena_alloc(&a, SIZE_MAX));
    tern__arena_deinit(&a);
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    tern__arena a;
    tern__arena_init(&a, NULL, 0, 0);
    failmalloc_count_reset();
    for (size_t below = 0; below < 64; below++)
        assert_null(tern__arena_alloc(&a, SIZE_MAX - below));
    assert_null(tern__arena_strndup(&a, "x", SIZE_MAX));
    assert_int_equal(failmalloc_count(), 0);
    assert_int_equal(a.used, 0);
    tern__arena_deinit(&a);
}

static void test_copies(void **state)
{
    (void)state;
    tern__arena a;
    tern__arena_init(&a, NULL, 0, 0);
    uint8_t *dirty = tern__arena_alloc(&a, 200);
    memset(dirty, 0xFF, 200);
    uint8_t *zero = tern__arena_zalloc(&a, 200);
    for (int i = 0; i < 200; i++)
        assert_int_equal(zero[i], 0);
    assert_memory_equal(tern__arena_strndup(&a, "ab\0cd", 5), "ab\0cd", 6);
    assert_string_equal(tern__arena_strndup(&a, NULL, 0), "");
    assert_string_equal(print(&a, "%s has %d of %zu", "x", -3, (size_t)9), "x has -3 of 9");
    assert_string_equal(print(&a, "%s", ""), "");
    char *longer = print(&a, "%5000d", 1);
    assert_int_equal(strlen(longer), 5000);
    tern__arena_deinit(&a);
}

static void test_no_memory(void **state)
{
    (void)state;
    int failures = 0;
    for (long n = 0;; n++) {
        tern__arena a;
        tern__arena_init(&a, NULL, 0, 0);
        failmalloc_once(n);
        for (int i = 0; i < 200; i++) {
            size_t before = a.used;
            uint8_t *p = i % 3 == 0   ? tern__arena_alloc(&a, (size_t)i * 30)
                         : i % 3 == 1 ? (uint8_t *)tern__arena_strndup(&a, "text", 4)
                                      : (uint8_t *)print(&a, "%d", i);
            if (!p) {
                failures++;
                assert_int_equal(a.used, before);
            }
        }
        bool failed = failmalloc_off();
        tern__arena_deinit(&a);
        if (!failed)
            break;
        assert_int_equal(failures, n + 1); /* one failure, and then it went on */
    }
    assert_true(failures > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aligned_and_apart),
        cmocka_unit_test(test_size_zero),
        cmocka_unit_test(test_lent_block_first),
        cmocka_unit_test(test_lent_block_too_small),
        cmocka_unit_test(test_large_piece_keeps_block),
        cmocka_unit_test(test_grows_geometrically),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
