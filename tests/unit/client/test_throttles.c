/* The retry throttles that channels share by their server's name. */
#include "client/throttles.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "support/failmalloc.h"

#define N_THREADS 4

static tern__throttle *take(const char *target)
{
    tern__throttle *t = tern__throttles_take(target, 10, 0.1, false);
    assert_non_null(t);
    return t;
}

static void by_name(void **state)
{
    (void)state;
    static const char *const same[] = { "h:1", "dns:h:1", "dns:///h:1" };
    static const char *const others[] = { "h:2", "unix:/h:1", "ipv4:1.2.3.4:5", "ipv6:[::1]:5" };
    tern__throttle *t = take(same[0]);
    for (size_t i = 1; i < sizeof same / sizeof *same; i++) {
        assert_ptr_equal(take(same[i]), t);
        tern__throttles_give_back(t);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        tern__throttle *other = take(others[i]);
        assert_ptr_not_equal(other, t);
        tern__throttles_give_back(other);
    }
    tern__throttles_give_back(t);
    tern__throttles_give_back(NULL);
}

/* It lasts as long as somebody has it; then the name begins anew. */
static void as_long_as_it_is_had(void **state)
{
    (void)state;
    tern__throttle *t = take("h:1"), *same = take("h:1");
    tern__throttle_failure(t);
    tern__throttles_give_back(t);
    assert_int_equal(tern__throttle_milli(same), 9000);
    assert_ptr_equal(take("h:1"), same);
    tern__throttles_give_back(same);
    tern__throttles_give_back(same);
    t = take("h:1");
    assert_int_equal(tern__throttle_milli(t), 10000);
    tern__throttles_give_back(t);
}

/* Parameters that somebody gives hold for all; who gives none takes it as it is. */
static void parameters(void **state)
{
    (void)state;
    tern__throttle *t = take("h:1");
    tern__throttle_failure(t);
    assert_ptr_equal(tern__throttles_take("h:1", 20, 0.5, false), t);
    assert_int_equal(tern__throttle_max_milli(t), 10000);
    assert_ptr_equal(tern__throttles_take("h:1", 20, 0.5, true), t);
    assert_int_equal(tern__throttle_max_milli(t), 20000);
    assert_int_equal(tern__throttle_ratio_milli(t), 500);
    assert_int_equal(tern__throttle_milli(t), 18000);
    for (int i = 0; i < 3; i++)
        tern__throttles_give_back(t);
}

/* Beyond the limit each has its own, until a place is free again. */
static void more_names_than_are_shared(void **state)
{
    (void)state;
    static tern__throttle *all[TERN_LIMIT_THROTTLE_NAMES];
    char name[32];
    for (unsigned i = 0; i < TERN_LIMIT_THROTTLE_NAMES; i++) {
        snprintf(name, sizeof name, "h:%u", i);
        all[i] = take(name);
    }
    tern__throttle *one = take("more:1"), *other = take("more:1");
    assert_ptr_not_equal(one, other);
    assert_ptr_equal(take("h:0"), all[0]);
    tern__throttles_give_back(all[0]);
    tern__throttles_give_back(one);
    tern__throttles_give_back(other);
    tern__throttles_give_back(all[7]);
    one = take("more:1");
    other = take("more:1");
    assert_ptr_equal(one, other);
    tern__throttles_give_back(one);
    tern__throttles_give_back(other);
    for (unsigned i = 0; i < TERN_LIMIT_THROTTLE_NAMES; i++)
        if (i != 7)
            tern__throttles_give_back(all[i]);
}

static void out_of_memory(void **state)
{
    (void)state;
    failmalloc_after(0);
    tern__throttle *t = tern__throttles_take("h:1", 10, 0.1, false);
    failmalloc_off();
    assert_null(t);
    t = take("h:1");
    tern__throttles_give_back(t);
}

/* Takes and gives back, and takes a token each time. */
static void *come_and_go(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        tern__throttle *t = tern__throttles_take("h:1", 1000, 0.1, true);
        if (t)
            tern__throttle_failure(t);
        tern__throttles_give_back(t);
    }
    return NULL;
}

/* No token is lost between them. */
static void many_threads(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    tern__throttle *t = tern__throttles_take("h:1", 1000, 0.1, true);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(tern__throttle_milli(t), 1000000 - N_THREADS * 200 * 1000);
    tern__throttles_give_back(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_name),       cmocka_unit_test(as_long_as_it_is_had),
        cmocka_unit_test(parameters),    cmocka_unit_test(more_names_than_are_shared),
        cmocka_unit_test(out_of_memory), cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
