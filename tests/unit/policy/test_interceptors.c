/* The order in which interceptors run, what they may change, and what they may not. */
#include "policy/interceptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char trace[200];

typedef struct layer {
    char name;
    tern_code stop;   /* before() ends the call with this */
    tern_code change; /* after() makes this of the outcome; -1: leaves it */
} layer;

static tern_code before(void *self, tern_call_info *info)
{
    layer *l = self;
    snprintf(trace + strlen(trace), sizeof trace - strlen(trace), "%c", l->name);
    assert_null(info->state);
    info->state = l;
    if (l->stop != TERN_OK)
        return tern_status_set(info->status, l->stop, "stopped by %c", l->name);
    return TERN_OK;
}

static void after(void *self, tern_call_info *info)
{
    layer *l = self;
    assert_ptr_equal(info->state, l);
    snprintf(trace + strlen(trace), sizeof trace - strlen(trace), "%c%d", l->name - 'a' + 'A',
             (int)info->status->code);
    assert_int_equal(info->elapsed_us, 7);
    if ((int)l->change >= 0)
        info->status->code = l->change;
}

static tern_code run(layer *layers, uint32_t n, tern_code outcome)
{
    tern_interceptor list[4];
    tern__interception x;
    memset(&x, 0, sizeof x);
    trace[0] = '\0';
    for (uint32_t i = 0; i < n; i++)
        list[i] = (tern_interceptor){ before, after, &layers[i] };
    if (tern__intercept_before(&x, list, n, 1000) == TERN_OK)
        x.status.code = outcome;
    tern__intercept_after(&x, 8000);
    return x.status.code;
}

#define NONE ((tern_code)-1)

static void test_onion(void **state)
{
    (void)state;
    layer l[] = { { 'a', TERN_OK, NONE }, { 'b', TERN_OK, NONE }, { 'c', TERN_OK, NONE } };
    assert_int_equal(run(l, 3, TERN_OK), TERN_OK);
    assert_string_equal(trace, "abcC0B0A0");
    assert_int_equal(run(l, 0, TERN_NOT_FOUND), TERN_NOT_FOUND);
    assert_string_equal(trace, "");
}

static void test_stop(void **state)
{
    (void)state;
    layer l[] = { { 'a', TERN_OK, NONE }, { 'b', TERN_PERMISSION_DENIED, NONE },
                  { 'c', TERN_OK, NONE } };
    assert_int_equal(run(l, 3, TERN_OK), TERN_PERMISSION_DENIED);
    assert_string_equal(trace, "abA7"); /* c never ran, b did not let it pass */
    l[1].stop = (tern_code)99;
    assert_int_equal(run(l, 3, TERN_OK), TERN_UNKNOWN);
}

static void test_change(void **state)
{
    (void)state;
    layer l[] = { { 'a', TERN_OK, NONE }, { 'b', TERN_OK, TERN_INTERNAL } };
    assert_int_equal(run(l, 2, TERN_OK), TERN_INTERNAL);
    assert_string_equal(trace, "abB0A13");
    l[1].change = TERN_OK; /* a failure has no response: it stays one */
    assert_int_equal(run(l, 2, TERN_ABORTED), TERN_ABORTED);
    l[1].change = (tern_code)17;
    assert_int_equal(run(l, 2, TERN_OK), TERN_UNKNOWN);
}

static void test_without_functions(void **state)
{
    (void)state;
    tern_interceptor nothing = { NULL, NULL, NULL };
    tern__interception x;
    memset(&x, 0, sizeof x);
    assert_int_equal(tern__intercept_before(&x, &nothing, 1, 0), TERN_OK);
    x.status.code = TERN_ABORTED;
    tern__intercept_after(&x, 0);
    assert_int_equal(x.status.code, TERN_ABORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_onion),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_without_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
