/* Contexts: inheritance of deadlines, cancellation downwards, listeners. */
#include "io/context.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/time.h"
#include "io/clock.h"
#include "support/failmalloc.h"

static void test_plain(void **state)
{
    (void)state;
    tern_context *ctx = tern_context_new(NULL, 0);
    assert_int_equal(tern_context_error(ctx), TERN_OK);
    assert_true(tern_context_remaining_ms(ctx) == TERN_NO_DEADLINE);
    tern_context_cancel(ctx);
    tern_context_cancel(ctx);
    assert_int_equal(tern_context_error(ctx), TERN_CANCELLED);
    tern_context_free(ctx);
    tern_context_free(NULL);
    assert_int_equal(tern_context_error(NULL), TERN_OK);
    assert_true(tern_context_remaining_ms(NULL) == TERN_NO_DEADLINE);
}

static void test_deadline_is_inherited(void **state)
{
    (void)state;
    tern_context *parent = tern_context_new(NULL, 60000);
    tern_context *longer = tern_context_new(parent, 3600000);
    tern_context *shorter = tern_context_new(parent, 1000);
    tern_context *none = tern_context_new(parent, 0);
    assert_true(longer->deadline == parent->deadline);
    assert_true(none->deadline == parent->deadline);
    assert_true(shorter->deadline < parent->deadline);
    assert_in_range(tern_context_remaining_ms(shorter), 1, 1000);
    tern_context_free(none);
    tern_context_free(shorter);
    tern_context_free(longer);
    tern_context_free(parent);
}

static void test_passed_deadline(void **state)
{
    (void)state;
    tern_context ctx;
    tern__context_init(&ctx, tern__clock_now() - 1);
    assert_int_equal(tern_context_error(&ctx), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(tern_context_remaining_ms(&ctx), 0);
    tern_context_cancel(&ctx); /* the deadline stays the reason */
    assert_int_equal(tern_context_error(&ctx), TERN_DEADLINE_EXCEEDED);
    tern__context_deinit(&ctx);
}

static void test_cancel_goes_down_not_up(void **state)
{
    (void)state;
    tern_context *top = tern_context_new(NULL, 0);
    tern_context *mid = tern_context_new(top, 0);
    tern_context *low = tern_context_new(mid, 0);
    tern_context *side = tern_context_new(top, 0);
    tern_context_cancel(mid);
    assert_int_equal(tern_context_error(low), TERN_CANCELLED);
    assert_int_equal(tern_context_error(top), TERN_OK);
    assert_int_equal(tern_context_error(side), TERN_OK);
    tern_context_cancel(top);
    assert_int_equal(tern_context_error(side), TERN_CANCELLED);
    /* a child of a cancelled context is born cancelled */
    tern_context *late = tern_context_new(top, 0);
    assert_int_equal(tern_context_error(late), TERN_CANCELLED);
    tern_context_free(late);
    tern_context_free(low);
    tern_context_free(mid);
    tern_context_free(side);
    tern_context_free(top);
}

typedef struct counter {
    tern__context_listener listener;
    int calls;
} counter;

static void count(tern__context_listener *self)
{
    TERN__CONTAINER(self, counter, listener)->calls++;
}

static void test_listeners(void **state)
{
    (void)state;
    tern_context *ctx = tern_context_new(NULL, 0);
    counter a = { .listener.on_cancel = count }, b = a, c = a;
    assert_true(tern__context_listen(ctx, &a.listener));
    assert_true(tern__context_listen(ctx, &b.listener));
    tern__context_unlisten(ctx, &b.listener);
    tern_context_cancel(ctx);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 0);
    assert_false(tern__context_listen(ctx, &c.listener));
    tern__context_unlisten(ctx, &c.listener); /* allowed, though it was never added */
    tern__context_unlisten(ctx, &a.listener);
    tern_context_cancel(ctx);
    assert_int_equal(a.calls, 1);
    assert_int_equal(c.calls, 0);
    tern_context_free(ctx);
}

static void *cancel_it(void *arg)
{
    tern_context_cancel(arg);
    return NULL;
}

static void test_sleep(void **state)
{
    (void)state;
    int64_t until = tern__clock_now() + 2 * TERN__NS_PER_MS;
    assert_int_equal(tern__context_sleep(NULL, until), TERN_OK);
    assert_true(tern__clock_now() >= until);
    tern_context *ctx = tern_context_new(NULL, 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_it, ctx), 0);
    /* would be an hour, were it not cancelled from the other thread, before or during the sleep */
    assert_int_equal(tern__context_sleep(ctx, tern__clock_now() + 3600 * TERN__NS_PER_S),
                     TERN_CANCELLED);
    pthread_join(thread, NULL);
    tern_context_free(ctx);
}

static void test_no_memory(void **state)
{
    (void)state;
    failmalloc_after(0);
    tern_context *ctx = tern_context_new(NULL, 0);
    assert_true(failmalloc_off());
    assert_null(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_deadline_is_inherited),
        cmocka_unit_test(test_passed_deadline),
        cmocka_unit_test(test_cancel_goes_down_not_up),
        cmocka_unit_test(test_listeners),
        cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
