/* Routes of a channel while the calling thread runs out of memory: a config with clusters, the
 * update of one, and calls that are routed. Only this thread's allocations fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/cluster.h"
#include "client/routing.h"
#include "support/failmalloc.h"
#include "support/probe.h"

#define MOST 2000

static probe_server servers[2];
static tern_channel *ch;
static tern_status st;
static char first[2048], second[2048];

/* Calls go to v2, which has the channel's policy; the other has one of its own. */
static void write_config(char *text, size_t size, const char *name, const char *policy)
{
    snprintf(text, size,
             "{\"methodConfig\":[{\"name\":[{}],\"tern\":{\"breaker\":{}}}],"
             "\"loadBalancingConfig\":[{\"%s\":{}}],"
             "\"tern\":{\"clusters\":{\"v2\":{\"target\":\"%s\"},\"%s\":{\"target\":\"%s\","
             "\"authority\":\"other.example\",\"loadBalancingConfig\":[{\"pick_first\":{}}]}},"
             "\"routes\":[{\"match\":{\"headers\":[{\"name\":\"x-v\",\"exact\":\"3\"}]},"
             "\"clusters\":[{\"name\":\"%s\"}]},{\"clusters\":[{\"name\":\"v2\"}]}]}}",
             policy, servers[1].target, name, servers[1].target, name);
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "unix-abstract:tern-test-routing-%d-%d", (int)getpid(), i);
        probe_start(&servers[i], NULL, name);
    }
    write_config(first, sizeof first, "v3", "round_robin");
    write_config(second, sizeof second, "v4", "pick_first");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        probe_stop(&servers[i], 1000);
    return 0;
}

static void begin(long n, int once)
{
    st.message[0] = '\0';
    if (once)
        failmalloc_once(n);
    else
        failmalloc_after(n);
}

static void test_new(void **state)
{
    (void)state;
    for (int once = 0; once < 2; once++) {
        bool failed = true;
        for (long n = 0; failed; n++) {
            tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
            opts.service_config = first;
            opts.load_balancing = n % 2 ? "round_robin" : NULL;
            ch = NULL;
            begin(n, once);
            tern_code code = tern_channel_new(servers[0].target, &opts, &ch, &st);
            failed = failmalloc_off();
            assert_true(code == TERN_OK || (failed && code == TERN_RESOURCE_EXHAUSTED));
            assert_int_equal(code == TERN_OK, ch != NULL);
            tern_channel_free(ch);
            assert_true(n < MOST);
        }
    }
}

static bool picks_first(tern_channel *of)
{
    const tern__cluster *c = atomic_load(&of->cluster);
    return !c || atomic_load(&c->asleep);
}

/* One that fails leaves everything as it was: the cluster that goes on, its policy, and the cluster
 * that would have been replaced. */
static void test_update(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.service_config = first;
    ch = probe_channel_with(servers[0].target, &opts);
    for (int round = 0; round < 4; round++) {
        const char *text = round % 2 ? first : second;
        bool failed = true, once = round > 1, first_before = round % 2;
        for (long n = 0; failed; n++) {
            const tern__routing *before = atomic_load(&ch->routing);
            const tern__named_cluster *v2 = before->at[0];
            begin(n, once);
            tern_code code = tern_channel_set_service_config(ch, text, strlen(text), &st);
            failed = failmalloc_off();
            assert_true(code == TERN_OK || (failed && code == TERN_RESOURCE_EXHAUSTED));
            assert_int_equal(code == TERN_OK, atomic_load(&ch->routing) != before);
            assert_ptr_equal(atomic_load(&ch->routing)->at[0], v2);
            if (code == TERN_OK || once) /* taking it back needs memory, too */
                assert_int_equal(picks_first(v2->ch), (code == TERN_OK) != first_before);
            assert_true(n < MOST);
        }
        assert_int_equal(probe_echo(ch, NULL, "hello", &st), TERN_OK);
    }
    assert_int_equal(atomic_load(&servers[0].calls), 0);
    assert_int_equal(atomic_load(&servers[1].calls), 4);
    tern_channel_free(ch);
}

/* A call that runs out of memory leaves its cluster all the same. */
static void test_calls(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_call_options call = TERN_CALL_OPTIONS_INIT;
    bool failed = true;
    opts.service_config = first;
    ch = probe_channel_with(servers[0].target, &opts);
    call.wait_for_ready = TERN_CHOICE_YES; /* after a connection that could not be made, too */
    call.timeout_ms = 20000;
    for (long n = 0; failed; n++) {
        begin(n, true);
        tern_code code = probe_echo(ch, &call, "hello", &st);
        failed = failmalloc_off();
        assert_true(code == TERN_OK || failed);
        assert_int_equal(atomic_load(&atomic_load(&ch->routing)->at[0]->refs), 1);
        assert_true(n < MOST);
    }
    tern_channel_stats s;
    tern_channel_stats_get(ch, &s);
    assert_true(s.calls > 0);
    tern_channel_free(ch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_new, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
