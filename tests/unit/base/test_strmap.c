/* The string map: what is put is found, what is not is not, with many keys and without memory. */
#include "base/strmap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failmalloc.h"

#define N_KEYS 5000
static char keys[N_KEYS][48];
static int values[N_KEYS];

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < N_KEYS; i++)
        snprintf(keys[i], sizeof keys[i], "/package.v1.Service%d/Method%d", i % 7, i);
    return 0;
}

static void test_empty(void **state)
{
    (void)state;
    tern__strmap m = {0};
    assert_null(tern__strmap_get(&m, "a", 1));
    assert_null(tern__strmap_get(&m, "", 0));
    tern__strmap_deinit(&m);
    tern__strmap_deinit(&m);
}

static void test_many_keys(void **state)
{
    (void)state;
    tern__strmap m = {0};
    for (int i = 0; i < N_KEYS; i++)
        assert_int_equal(tern__strmap_put(&m, keys[i], strlen(keys[i]), &values[i]), 0);
    assert_int_equal(m.n, N_KEYS);
    assert_true(m.cap >= 2 * m.n && (m.cap & (m.cap - 1)) == 0);
    char other[48];
    for (int i = 0; i < N_KEYS; i++) {
        size_t len = strlen(keys[i]);
        memcpy(other, keys[i], len); /* by content, not by address; no NUL behind it */
        assert_ptr_equal(tern__strmap_get(&m, other, len), &values[i]);
        other[len - 1] = '!';
        assert_null(tern__strmap_get(&m, other, len));
    }
    tern__strmap_deinit(&m);
}

static void test_twice(void **state)
{
    (void)state;
    tern__strmap m = {0};
    assert_int_equal(tern__strmap_put(&m, "key", 3, &values[0]), 0);
    assert_int_equal(tern__strmap_put(&m, "keyring", 3, &values[1]), -EEXIST);
    assert_ptr_equal(tern__strmap_get(&m, "key", 3), &values[0]);
    assert_int_equal(m.n, 1);
    tern__strmap_deinit(&m);
}

static void test_lengths_count(void **state)
{
    (void)state;
    /* Prefixes of one text, the empty one and one with NULs: all different. */
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaa\0\0\0\0\0\0\0\0";
    tern__strmap m = {0};
    for (size_t len = 0; len < sizeof text; len++)
        assert_int_equal(tern__strmap_put(&m, text, len, &values[len]), 0);
    for (size_t len = 0; len < sizeof text; len++)
        assert_ptr_equal(tern__strmap_get(&m, text, len), &values[len]);
    tern__strmap_deinit(&m);
}

/* Two keys with one hash, which no real text is likely to give: made by writing into the slots. */
static void test_equal_hashes(void **state)
{
    (void)state;
    static const char text[] = "collision";
    tern__strmap donor = {0}, m = {0};
    assert_int_equal(tern__strmap_put(&donor, text, 9, &values[0]), 0);
    assert_int_equal(tern__strmap_put(&m, text, 3, &values[1]), 0);
    tern__strmap_slot *from = donor.slots, *to = m.slots, moved;
    while (!from->key)
        from++;
    while (!to->key)
        to++;
    moved = *to;
    moved.hash = from->hash;
    *to = (tern__strmap_slot){0};
    m.slots[from - donor.slots] = moved;
    assert_null(tern__strmap_get(&m, text, 9)); /* same hash, same beginning, another length */
    assert_int_equal(tern__strmap_put(&m, text, 9, &values[2]), 0);
    assert_ptr_equal(tern__strmap_get(&m, text, 9), &values[2]);
    tern__strmap_deinit(&donor);
    tern__strmap_deinit(&m);
}

static void test_no_memory(void **state)
{
    (void)state;
    tern__strmap m = {0};
    int failures = 0;
    for (int i = 0; i < 300; i++) {
        failmalloc_after(0);
        int rv = tern__strmap_put(&m, keys[i], strlen(keys[i]), &values[i]);
        if (failmalloc_off()) {
            failures++;
            assert_int_equal(rv, -ENOMEM);
            assert_int_equal(m.n, i);
            assert_null(tern__strmap_get(&m, keys[i], strlen(keys[i])));
            if (i > 0)
                assert_ptr_equal(tern__strmap_get(&m, keys[0], strlen(keys[0])), &values[0]);
            rv = tern__strmap_put(&m, keys[i], strlen(keys[i]), &values[i]);
        }
        assert_int_equal(rv, 0);
    }
    assert_in_range(failures, 3, 10);
    tern__strmap_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),     cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_twice),     cmocka_unit_test(test_lengths_count),
        cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
