/* The timer heap against a plain array: whatever is inserted and removed, the smallest key is on
 * top. */
#include "base/heap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/failmalloc.h"

static void check_order(const tern__heap *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        assert_int_equal(h->nodes[i]->index, i + 1);
        if (i > 0)
            assert_true(h->nodes[(i - 1) / 2]->key <= h->nodes[i]->key);
    }
}

static void test_empty(void **state)
{
    (void)state;
    tern__heap h = {0};
    tern__heap_node node = {0};
    assert_null(tern__heap_min(&h));
    assert_false(tern__heap_node_linked(&node));
    tern__heap_remove(&h, &node); /* in no heap: nothing happens */
    tern__heap_deinit(&h);
    tern__heap_deinit(&h);
}

static void test_one_by_one(void **state)
{
    (void)state;
    tern__heap h = {0};
    tern__heap_node a = {0}, b = {0}, c = {0};
    assert_int_equal(tern__heap_insert(&h, &b, 20), 0);
    assert_int_equal(tern__heap_insert(&h, &c, INT64_MAX), 0);
    assert_int_equal(tern__heap_insert(&h, &a, INT64_MIN), 0);
    assert_ptr_equal(tern__heap_min(&h), &a);
    assert_true(tern__heap_node_linked(&a));
    tern__heap_remove(&h, &a);
    assert_false(tern__heap_node_linked(&a));
    assert_ptr_equal(tern__heap_min(&h), &b);
    tern__heap_remove(&h, &a); /* twice is fine */
    tern__heap_remove(&h, &c); /* the last one of the array */
    assert_ptr_equal(tern__heap_min(&h), &b);
    assert_int_equal(tern__heap_insert(&h, &a, 5), 0); /* a node may come back with another key */
    assert_ptr_equal(tern__heap_min(&h), &a);
    tern__heap_remove(&h, &a);
    tern__heap_remove(&h, &b);
    assert_null(tern__heap_min(&h));
    tern__heap_deinit(&h);
}

static void test_sorts(void **state)
{
    (void)state;
    enum { N = 1000 };
    static tern__heap_node nodes[N];
    tern__heap h = {0};
    tern__rng rng;
    tern__rng_seed(&rng, 1);
    for (int i = 0; i < N; i++)
        assert_int_equal(tern__heap_insert(&h, &nodes[i], (int64_t)tern__rng_below(&rng, 300)), 0);
    check_order(&h);
    int64_t before = -1;
    for (int i = 0; i < N; i++) {
        tern__heap_node *min = tern__heap_min(&h);
        assert_non_null(min);
        assert_true(min->key >= before);
        before = min->key;
        tern__heap_remove(&h, min);
    }
    assert_null(tern__heap_min(&h));
    tern__heap_deinit(&h);
}

static void test_random_against_array(void **state)
{
    (void)state;
    enum { N = 64, STEPS = 20000 };
    for (uint64_t seed = 1; seed <= 5; seed++) {
        tern__heap_node nodes[N] = {0};
        tern__heap h = {0};
        tern__rng rng;
        tern__rng_seed(&rng, seed);
        for (int step = 0; step < STEPS; step++) {
            tern__heap_node *node = &nodes[tern__rng_below(&rng, N)];
            if (tern__heap_node_linked(node))
                tern__heap_remove(&h, node);
            else
                assert_int_equal(
                    tern__heap_insert(&h, node, (int64_t)tern__rng_next(&rng) >> (step % 60)), 0);
            uint32_t linked = 0;
            int64_t min = INT64_MAX;
            for (int i = 0; i < N; i++) {
                if (!tern__heap_node_linked(&nodes[i]))
                    continue;
                linked++;
                min = nodes[i].key < min ? nodes[i].key : min;
            }
            assert_int_equal(h.n, linked);
            if (linked)
                assert_true(tern__heap_min(&h)->key == min);
            if (step % 64 == 0)
                check_order(&h);
        }
        tern__heap_deinit(&h);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    tern__heap_node nodes[100] = {0};
    tern__heap h = {0};
    int failures = 0;
    for (int i = 0; i < 100; i++) {
        failmalloc_after(0);
        int rv = tern__heap_insert(&h, &nodes[i], -i);
        if (failmalloc_off()) {
            failures++;
            assert_int_equal(rv, -ENOMEM);
            assert_int_equal(h.n, i);
            assert_false(tern__heap_node_linked(&nodes[i]));
            check_order(&h);
            rv = tern__heap_insert(&h, &nodes[i], -i);
        }
        assert_int_equal(rv, 0);
        assert_ptr_equal(tern__heap_min(&h), &nodes[i]);
    }
    assert_in_range(failures, 2, 10); /* it doubles: few allocations */
    tern__heap_deinit(&h);
}

static void test_full(void **state)
{
    (void)state;
    /* At its limit the heap refuses before it touches anything. */
    tern__heap h = {.n = UINT32_C(1) << 28, .cap = UINT32_C(1) << 28};
    tern__heap_node node = {0};
    assert_int_equal(tern__heap_insert(&h, &node, 1), -ENOMEM);
    assert_false(tern__heap_node_linked(&node));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),     cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_sorts),     cmocka_unit_test(test_random_against_array),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
