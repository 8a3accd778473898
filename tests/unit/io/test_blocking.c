/* The hook that tells the owner of a thread that it will block. */
#include "io/blocking.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <tern/server.h>

static void count(void *ctx) { ++*(int *)ctx; }

static void *other_thread(void *arg)
{
    (void)arg;
    tern_will_block(); /* another thread's hook is not ours */
    return NULL;
}

static void test_hooks(void **state)
{
    (void)state;
    int outer = 0, inner = 0;
    const tern__blocking_hook a = { count, &outer }, b = { count, &inner };
    tern_will_block(); /* harmless without a hook */
    assert_null(tern__blocking_set(&a));
    tern_will_block();
    assert_ptr_equal(tern__blocking_set(&b), &a);
    tern__blocking_announce();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    pthread_join(thread, NULL);
    assert_ptr_equal(tern__blocking_set(&a), &b);
    tern_will_block();
    assert_ptr_equal(tern__blocking_set(NULL), &a);
    tern_will_block();
    assert_int_equal(outer, 2);
    assert_int_equal(inner, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_hooks) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
