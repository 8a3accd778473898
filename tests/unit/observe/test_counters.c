#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "observe/counters.h"

#define CALLS 200000u

static tern__call_counters calls;

static void test_calls(void **state)
{
    (void)state;
    tern__call_counters c = { 0 };
    tern__count_call(&c, 5);
    tern__count_call(&c, 9);
    tern__count_end(&c, true);
    tern__count_end(&c, false);
    tern__count_end(&c, false);
    assert_int_equal(tern__counter_get(&c.started), 2);
    assert_int_equal(tern__counter_get(&c.succeeded), 1);
    assert_int_equal(tern__counter_get(&c.failed), 2);
    assert_int_equal(tern__gauge_get(&c.last_started), 9);
    tern__count(&c.succeeded, UINT64_MAX); /* one less */
    assert_int_equal(tern__counter_get(&c.succeeded), 0);
}

static void test_messages(void **state)
{
    (void)state;
    tern__socket_counters c = { 0 };
    tern__count_sent(&c, 3, 7);
    tern__count_received(&c, 1, 8);
    tern__count_received(&c, 4, 9);
    assert_int_equal(tern__counter_get(&c.messages_sent), 3);
    assert_int_equal(tern__gauge_get(&c.last_message_sent), 7);
    assert_int_equal(tern__counter_get(&c.messages_received), 5);
    assert_int_equal(tern__gauge_get(&c.last_message_received), 9);
}

static void *count_on(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < CALLS; i++)
        tern__count_call(&calls, (int64_t)i);
    return NULL;
}

/* A reader beside the one who counts: what it sees only grows. */
static void test_read_meanwhile(void **state)
{
    (void)state;
    pthread_t writer;
    uint64_t last = 0;
    assert_int_equal(pthread_create(&writer, NULL, count_on, NULL), 0);
    while (last < CALLS) {
        uint64_t now = tern__counter_get(&calls.started);
        assert_true(now >= last && now <= CALLS);
        last = now;
    }
    pthread_join(writer, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_read_meanwhile),
    };
    return cmocka_run_group_tests_name("observe/counters", tests, NULL, NULL);
}
