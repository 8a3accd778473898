/* Runs a test again and again, each time with another of its allocations failing: once alone, and
 * once with all that follow. From the failure on nothing has to succeed any more, so the first
 * assertion that does not hold ends the run instead of failing the test; until then, and when no
 * allocation is left to fail, all of them must hold. What remains is what such a run is for: no
 * crash, no use of memory that is gone, no leak (under AddressSanitizer).
 *
 * Included behind cmocka.h, it puts itself into the place of cmocka's assertions for the code that
 * follows. Callbacks stand before it: what they assert has to hold always, and nobody may leave
 * the library through them. */
#ifndef TERN__TESTS_LEAN_H
#define TERN__TESTS_LEAN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* `clean` frees whatever the test has left, wherever it stopped, and is fine with nothing. */
void lean_run(void (*test)(void **state), void (*clean)(void));

/* Ends the run if `good` is false and an allocation has failed. */
void lean_check(bool good);

#define LEAN_INT(cmp, original, a, b)                                                              \
    do {                                                                                           \
        LargestIntegralType lean_a = cast_to_largest_integral_type(a);                             \
        LargestIntegralType lean_b = cast_to_largest_integral_type(b);                             \
        lean_check(lean_a cmp lean_b);                                                             \
        original(lean_a, lean_b, __FILE__, __LINE__);                                              \
    } while (0)
#define LEAN_TRUE(condition, text)                                                                 \
    do {                                                                                           \
        bool lean_good = (condition);                                                              \
        lean_check(lean_good);                                                                     \
        _assert_true(lean_good, text, __FILE__, __LINE__);                                         \
    } while (0)

#undef assert_true
#undef assert_false
#undef assert_null
#undef assert_non_null
#undef assert_int_equal
#undef assert_int_not_equal
#undef assert_ptr_equal
#undef assert_string_equal
#undef assert_in_range
#define assert_true(c) LEAN_TRUE((c), #c)
#define assert_false(c) LEAN_TRUE(!(c), "!(" #c ")")
#define assert_null(p) LEAN_TRUE((p) == NULL, #p " == NULL")
#define assert_non_null(p) LEAN_TRUE((p) != NULL, #p " != NULL")
#define assert_ptr_equal(a, b) LEAN_TRUE((const void *)(a) == (const void *)(b), #a " == " #b)
#define assert_int_equal(a, b) LEAN_INT(==, _assert_int_equal, a, b)
#define assert_int_not_equal(a, b) LEAN_INT(!=, _assert_int_not_equal, a, b)
#define assert_in_range(v, least, most) LEAN_TRUE((v) >= (least) && (v) <= (most), #v)
#define assert_string_equal(a, b)                                                                  \
    do {                                                                                           \
        const char *lean_a = (a), *lean_b = (b);                                                   \
        lean_check(lean_a && lean_b && strcmp(lean_a, lean_b) == 0);                               \
        _assert_string_equal(lean_a, lean_b, __FILE__, __LINE__);                                  \
    } while (0)

#endif
