/* Channelz when memory fails: allocation by allocation, in the thread that answers. What it tells
 * is tested in tests/integration/test_channelz.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <tern/tern.h>

#include "grpc/channelz/v1/channelz.tern.h"
#include "support/failmalloc.h"
#include "support/probe.h"

#define ALLOCATIONS_MAX 120
#define CALL_MS 20000
#define CHANNELS 30

static const tern_method arm_method = { .path = "/t.Arm/Arm" };
static tern_server *srv;
static tern_channel *more[CHANNELS];
static tern_status st;

static tern_code arm(void *self, tern_server_call *call)
{
    (void)self;
    size_t len;
    int32_t n;
    memcpy(&n, tern_server_call_request(call, &len), sizeof n);
    if (n < 0)
        failmalloc_off();
    else
        failmalloc_once(n);
    return TERN_OK;
}

static tern_code call_arm(tern_channel *ch, int32_t n)
{
    void *bytes = NULL;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = CALL_MS;
    tern_code code = tern_call_unary(ch, &arm_method, &opts, &n, sizeof n, &bytes, &len, &st);
    free(bytes);
    return code;
}

/* A page with many allocations. */
static tern_code ask(tern_channel *ch)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    Grpc__Channelz__V1__GetTopChannelsRequest req =
        GRPC__CHANNELZ__V1__GET_TOP_CHANNELS_REQUEST__INIT;
    Grpc__Channelz__V1__GetTopChannelsResponse *res;
    opts.timeout_ms = CALL_MS;
    tern_code code = grpc_channelz_v1_channelz_get_top_channels(ch, &opts, &req, &res, &st);
    if (code != TERN_OK)
        return code;
    assert_int_equal(res->n_channel, CHANNELS + 1);
    for (size_t i = 0; i < res->n_channel; i++)
        assert_int_equal(res->channel[i]->n_subchannel_ref, 1);
    grpc__channelz__v1__get_top_channels_response__free_unpacked(res, NULL);
    return TERN_OK;
}

static void test_every_allocation(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options quick = TERN_CHANNEL_OPTIONS_INIT;
    char target[64];
    opts.loops = 1;
    quick.breaker.disabled = true;
    quick.reconnect_backoff_ms = quick.reconnect_backoff_ms_max = 1;
    snprintf(target, sizeof target, "unix-abstract:tern-test-channelz-memory-%d", (int)getpid());
    assert_int_equal(tern_server_new(&opts, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &arm_method, arm, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_channelz(srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_channelz(srv, &st), TERN_ALREADY_EXISTS);
    tern_server_set_execution(srv, "t.Arm", TERN_EXEC_INLINE);
    assert_int_equal(tern_server_listen(srv, target, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    tern_channel *ch = probe_channel_with(target, &quick);
    for (int i = 0; i < CHANNELS; i++)
        more[i] = probe_channel_with("ipv4:127.0.0.1:1", &quick);
    unsigned exhausted = 0;
    for (int32_t n = 0; n < ALLOCATIONS_MAX; n++) {
        call_arm(ch, n);
        tern_code code = ask(ch);
        if (code == TERN_DEADLINE_EXCEEDED)
            fail_msg("allocation %d: no answer", n);
        exhausted += code == TERN_RESOURCE_EXHAUSTED;
        int64_t until = probe_now_ms() + 10000;
        while (call_arm(ch, -1) != TERN_OK || ask(ch) != TERN_OK)
            if (probe_now_ms() > until)
                fail_msg("no recovery: %s", st.message);
    }
    assert_true(exhausted > 2); /* the failures were felt, and told */
    for (int i = 0; i < CHANNELS; i++)
        tern_channel_free(more[i]);
    tern_channel_free(ch);
    tern_server_free(srv);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_allocation) };
    return cmocka_run_group_tests_name("stub/channelz", tests, NULL, NULL);
}
