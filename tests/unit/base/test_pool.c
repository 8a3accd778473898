/* The pool: reuse, its limits, and that blocks stay apart. What concerns the free lists is left out
 * under AddressSanitizer, where the pool hands everything to malloc (pool.c says why). */
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/sanitize.h"
#include "support/failmalloc.h"

static void test_sizes_and_alignment(void **state)
{
    (void)state;
    tern__pool p = {0};
    static const size_t sizes[] = {0,  1,  15,  16,  31,   32,   33,   63,   64,    65,
                                   95, 96, 127, 128, 4096, 8191, 8192, 8193, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *ptr = tern__pool_alloc(&p, sizes[i]);
        assert_non_null(ptr);
        assert_int_equal((uintptr_t)ptr % 16, 0);
        memset(ptr, 0x5A, sizes[i]);
        tern__pool_free(&p, ptr);
        /* Reuse must hold as much as the first use. */
        ptr = tern__pool_alloc(&p, sizes[i]);
        memset(ptr, 0x5B, sizes[i]);
        tern__pool_free(&p, ptr);
    }
    tern__pool_free(&p, NULL);
    tern__pool_deinit(&p);
}

static void test_zeroed(void **state)
{
    (void)state;
    tern__pool p = {0};
    for (size_t n = 0; n < 300; n += 7) {
        uint8_t *ptr = tern__pool_alloc(&p, n * 40);
        memset(ptr, 0xFF, n * 40);
        tern__pool_free(&p, ptr);
        ptr = tern__pool_calloc(&p, n, 40);
        assert_non_null(ptr);
        for (size_t i = 0; i < n * 40; i++)
            assert_int_equal(ptr[i], 0);
        tern__pool_free(&p, ptr);
    }
    tern__pool_deinit(&p);
}

#if !TERN__ASAN /* the sanitizer reports such sizes itself and ends the program */
static void test_sizes_that_overflow(void **state)
{
    (void)state;
    tern__pool p = {0};
    void *ptr = tern__pool_alloc(&p, 10), *large = tern__pool_alloc(&p, 10000);
    failmalloc_count_reset();
    for (size_t below = 0; below < 16; below++) {
        assert_null(tern__pool_alloc(&p, SIZE_MAX - below));
        assert_null(tern__pool_realloc(&p, ptr, SIZE_MAX - below));
        assert_null(tern__pool_realloc(&p, large, SIZE_MAX - below));
    }
    assert_null(tern__pool_calloc(&p, SIZE_MAX / 2 + 1, 2));
    assert_null(tern__pool_calloc(&p, SIZE_MAX / 16, 17));
    assert_int_equal(failmalloc_count(), 0);
    tern__pool_free(&p, ptr);
    tern__pool_free(&p, large);
    tern__pool_deinit(&p);
}

static void test_reuse_needs_no_malloc(void **state)
{
    (void)state;
    tern__pool p = {0};
    tern__pool_free(&p, tern__pool_alloc(&p, 100));
    failmalloc_count_reset();
    for (size_t size = 65; size <= 128; size++)
        tern__pool_free(&p, tern__pool_alloc(&p, size));
    assert_int_equal(failmalloc_count(), 0);
    tern__pool_free(&p, tern__pool_alloc(&p, 64)); /* another class */
    assert_int_equal(failmalloc_count(), 1);
    tern__pool_deinit(&p);
}

static void test_keeps_no_more_than_its_limit(void **state)
{
    (void)state;
    enum { N = 100 };
    void *ptr[N];
    tern__pool p = {0};
    for (int i = 0; i < N; i++)
        ptr[i] = tern__pool_alloc(&p, 8000);
    for (int i = 0; i < N; i++)
        tern__pool_free(&p, ptr[i]);
    size_t kept = 0;
    for (uint32_t c = 0; c < TERN__POOL_CLASSES; c++)
        kept += (size_t)p.n_free[c] * (32u << c);
    assert_int_equal(kept, TERN__POOL_KEEP_BYTES);
    void *large = tern__pool_alloc(&p, TERN__POOL_BLOCK_MAX + 1);
    tern__pool_free(&p, large);
    failmalloc_count_reset();
    large = tern__pool_alloc(&p, TERN__POOL_BLOCK_MAX + 1); /* never kept */
    assert_int_equal(failmalloc_count(), 1);
    tern__pool_free(&p, large);
    tern__pool_deinit(&p);
}
#endif

static void test_deinit_with_blocks_in_use(void **state)
{
    (void)state;
    tern__pool p = {0};
    char *ptr = tern__pool_alloc(&p, 40);
    strcpy(ptr, "in use");
    tern__pool_free(&p, tern__pool_alloc(&p, 40));
    tern__pool_deinit(&p);
    assert_string_equal(ptr, "in use");
    tern__pool_free(&p, ptr);
    tern__pool_deinit(&p);
}

static void test_realloc_keeps_bytes(void **state)
{
    (void)state;
    tern__pool p = {0};
    static const size_t sizes[] = {1, 32, 33, 500, 20, 9000, 20000, 8192, 9000, 10, 0, 5};
    uint8_t *ptr = tern__pool_realloc(&p, NULL, 0);
    size_t size = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ptr = tern__pool_realloc(&p, ptr, sizes[i]);
        assert_non_null(ptr);
        assert_int_equal((uintptr_t)ptr % 16, 0);
        size_t common = size < sizes[i] ? size : sizes[i];
        for (size_t k = 0; k < common; k++)
            assert_int_equal(ptr[k], (uint8_t)k);
        size = sizes[i];
        for (size_t k = 0; k < size; k++)
            ptr[k] = (uint8_t)k;
    }
    tern__pool_free(&p, ptr);
    tern__pool_deinit(&p);
}

static void test_random_blocks_stay_apart(void **state)
{
    (void)state;
    enum { N = 200, STEPS = 50000 };
    static struct {
        uint8_t *p;
        size_t size;
        uint8_t fill;
    } block[N];
    tern__pool p = {0};
    tern__rng rng;
    tern__rng_seed(&rng, 3);
    for (int step = 0; step < STEPS; step++) {
        int i = (int)tern__rng_below(&rng, N);
        if (block[i].p) {
            assert_int_equal(block[i].p[0], block[i].fill);
            assert_int_equal(block[i].p[block[i].size - 1], block[i].fill);
        }
        size_t size = 1 + tern__rng_below(&rng, step % 20 == 0 ? 20000 : 300);
        switch (tern__rng_below(&rng, 3)) {
        case 0:
            tern__pool_free(&p, block[i].p);
            block[i].p = NULL;
            continue;
        case 1:
            tern__pool_free(&p, block[i].p);
            block[i].p = tern__pool_alloc(&p, size);
            break;
        default:
            block[i].p = tern__pool_realloc(&p, block[i].p, size);
        }
        block[i].size = size;
        block[i].fill = (uint8_t)step;
        memset(block[i].p, block[i].fill, size);
    }
    for (int i = 0; i < N; i++)
        tern__pool_free(&p, block[i].p);
    tern__pool_deinit(&p);
}

static void test_no_memory(void **state)
{
    (void)state;
    tern__pool p = {0};
    failmalloc_after(0);
    assert_null(tern__pool_alloc(&p, 5));
    assert_null(tern__pool_calloc(&p, 5, 5));
    assert_null(tern__pool_realloc(&p, NULL, 5));
    assert_null(tern__pool_alloc(&p, 50000));
    assert_true(failmalloc_off());
    static const size_t from[] = {20, 20, 9000, 9000}, to[] = {100, 9000, 20000, 100};
    for (int i = 0; i < 4; i++) {
        uint8_t *ptr = tern__pool_alloc(&p, from[i]);
        memset(ptr, 0x77, from[i]);
        failmalloc_after(0);
        void *moved = tern__pool_realloc(&p, ptr, to[i]);
        if (failmalloc_off()) {
            assert_null(moved);
            for (size_t k = 0; k < from[i]; k++)
                assert_int_equal(ptr[k], 0x77); /* the old block is as it was */
        } else {
            ptr = moved;
        }
        tern__pool_free(&p, ptr);
    }
    tern__pool_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_and_alignment),
        cmocka_unit_test(test_zeroed),
#if !TERN__ASAN
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_reuse_needs_no_malloc),
        cmocka_unit_test(test_keeps_no_more_than_its_limit),
#endif
        cmocka_unit_test(test_deinit_with_blocks_in_use),
        cmocka_unit_test(test_realloc_keeps_bytes),
        cmocka_unit_test(test_random_blocks_stay_apart),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
