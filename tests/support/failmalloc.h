/* Makes chosen allocations fail, so that tests can walk through every out-of-memory path. Works in
 * the unit tests, which are linked with --wrap=malloc,calloc,realloc (tests/tests.mk); libraries
 * that come as shared objects, cmocka among them, keep their own malloc. Counted for each thread by
 * itself.
 *
 *     for (long n = 0;; n++) {
 *         failmalloc_after(n);
 *         int rv = code_under_test();
 *         if (!failmalloc_off())
 *             break;                   // it ran through without reaching the n-th allocation
 *         assert_int_equal(rv, -ENOMEM);
 *         …the state is unchanged…
 *     }
 */
#ifndef TERN__TESTS_FAILMALLOC_H
#define TERN__TESTS_FAILMALLOC_H

#include <stdbool.h>

/* From now on `n` allocations succeed, and every one after them fails. */
void failmalloc_after(long n);

/* From now on only the allocation after the next `n` fails: what cleans up or retries gets memory.
 */
void failmalloc_once(long n);

/* Back to normal. Returns whether an allocation was made to fail since failmalloc_after/_once. */
bool failmalloc_off(void);

/* The same, while it goes on. */
bool failmalloc_failed(void);

/* Allocations, failed ones included, since the last failmalloc_after/_once/_count_reset. */
long failmalloc_count(void);
void failmalloc_count_reset(void);

#endif
