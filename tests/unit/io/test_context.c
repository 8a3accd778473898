/* Contexts: deadlines, cancellation down the generations, listeners. */
#include "io/context.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/time.h"
#include "io/clock.h"
#include "support/failmalloc.h"

static void test_deadlines(void **state)
{
    (void)state;
    tern_context *none = tern_context_new(NULL, 0);
    assert_int_equal(tern_context_remaining_ms(none), TERN_NO_DEADLINE);
    assert_int_equal(tern_context_remaining_ms(NULL), TERN_NO_DEADLINE);
    assert_int_equal(tern_context_error(none), TERN_OK);
    assert_int_equal(tern_context_error(NULL), TERN_OK);
    tern_context *long_one = tern_context_new(none, 60000);
    assert_in_range(tern_context_remaining_ms(long_one), 1, 60000);
    /* the earlier deadline counts, whoever's it is */
    tern_context *shorter = tern_context_new(long_one, 1000),
                 *longer = tern_context_new(shorter, 5000), *plain = tern_context_new(shorter, 0),
                 *huge = tern_context_new(shorter, INT64_MAX);
    assert_in_range(tern_context_remaining_ms(shorter), 0, 1000);
    assert_int_equal(longer->deadline, shorter->deadline);
    assert_int_equal(plain->deadline, shorter->deadline);
    assert_int_equal(huge->deadline, shorter->deadline);
    /* passed: without sleeping, by moving it */
    shorter->deadline = tern__clock_now() - 1;
    assert_int_equal(tern_context_error(shorter), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(tern_context_remaining_ms(shorter), 0);
    tern_context_cancel(shorter); /* the deadline stays the reason */
    assert_int_equal(tern_context_error(shorter), TERN_DEADLINE_EXCEEDED);
    tern_context_free(huge);
    tern_context_free(plain);
    tern_context_free(longer);
    tern_context_free(shorter);
    tern_context_free(long_one);
    tern_context_free(none);
    tern_context_free(NULL);
}

static void test_cancel_goes_down(void **state)
{
    (void)state;
    tern_context *top = tern_context_new(NULL, 0), *a = tern_context_new(top, 0),
                 *b = tern_context_new(top, 0), *aa = tern_context_new(a, 0);
    tern_context_cancel(a);
    assert_int_equal(tern_context_error(top), TERN_OK);
    assert_int_equal(tern_context_error(b), TERN_OK);
    assert_int_equal(tern_context_error(a), TERN_CANCELLED);
    assert_int_equal(tern_context_error(aa), TERN_CANCELLED);
    tern_context *late = tern_context_new(aa, 0);
    assert_int_equal(tern_context_error(late), TERN_CANCELLED);
    tern_context_cancel(top);
    assert_int_equal(tern_context_error(b), TERN_CANCELLED);
    tern_context_free(late);
    tern_context_free(aa);
    tern_context_free(a);
    tern_context_free(b);
    tern_context_free(top);
}

typedef struct listener {
    tern__context_listener base;
    int called;
} listener;

static void on_cancel(tern__context_listener *self)
{
    TERN__CONTAINER(self, listener, base)->called++;
}

static void test_listeners(void **state)
{
    (void)state;
    listener l[4] = { { .called = 0 } };
    tern_context *ctx = tern_context_new(NULL, 0);
    for (int i = 0; i < 4; i++)
        l[i].base.on_cancel = on_cancel;
    for (int i = 0; i < 3; i++)
        assert_true(tern__context_listen(ctx, &l[i].base));
    tern__context_unlisten(ctx, &l[1].base);
    tern_context_cancel(ctx);
    tern_context_cancel(ctx);
    assert_int_equal(l[0].called, 1);
    assert_int_equal(l[1].called, 0);
    assert_int_equal(l[2].called, 1);
    assert_false(tern__context_listen(ctx, &l[3].base)); /* cancelled already: not called */
    assert_int_equal(l[3].called, 0);
    for (int i = 0; i < 4; i++)
        tern__context_unlisten(ctx, &l[i].base);
    tern_context_free(ctx);
}

static void *cancel(void *ctx)
{
    tern_context_cancel(ctx);
    return NULL;
}

/* A sleep that has passed, one that is cancelled before, and one that is cancelled meanwhile: none
 * of them takes its time. */
static void test_sleep(void **state)
{
    (void)state;
    pthread_t thread;
    int64_t never_reached = tern__clock_now() + 3600 * TERN__NS_PER_S;
    assert_int_equal(tern__context_sleep(NULL, 0), TERN_OK);
    tern_context *ctx = tern_context_new(NULL, 0);
    assert_int_equal(tern__context_sleep(ctx, tern__clock_now()), TERN_OK);
    assert_int_equal(pthread_create(&thread, NULL, cancel, ctx), 0);
    assert_int_equal(tern__context_sleep(ctx, never_reached), TERN_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(tern__context_sleep(ctx, never_reached), TERN_CANCELLED);
    tern_context_free(ctx);
    /* One that has run into its deadline, and was cancelled for that. */
    tern_context expired;
    tern__context_init(&expired, tern__clock_now());
    tern_context_cancel(&expired);
    assert_int_equal(tern__context_sleep(&expired, never_reached), TERN_DEADLINE_EXCEEDED);
    tern__context_deinit(&expired);
}

/* Children come and go while the parent is cancelled. */
static void *make_children(void *parent)
{
    for (int i = 0; i < 2000; i++) {
        tern_context *c = tern_context_new(parent, 0);
        tern_context *cc = tern_context_new(c, 1000);
        tern_context_free(cc);
        tern_context_free(c);
    }
    return NULL;
}

static void test_races(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        pthread_t makers[2], canceller;
        tern_context *top = tern_context_new(NULL, 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&makers[i], NULL, make_children, top), 0);
        assert_int_equal(pthread_create(&canceller, NULL, cancel, top), 0);
        for (int i = 0; i < 2; i++)
            pthread_join(makers[i], NULL);
        pthread_join(canceller, NULL);
        assert_int_equal(tern_context_error(top), TERN_CANCELLED);
        tern_context_free(top);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    tern_context *top = tern_context_new(NULL, 0);
    failmalloc_after(0);
    tern_context *c = tern_context_new(top, 1);
    assert_true(failmalloc_off());
    assert_null(c);
    tern_context_cancel(top);
    tern_context_free(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadlines), cmocka_unit_test(test_cancel_goes_down),
        cmocka_unit_test(test_listeners), cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_races),     cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("io/context", tests, NULL, NULL);
}
