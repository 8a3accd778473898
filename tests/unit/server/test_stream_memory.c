/* A server that runs out of memory within streams: allocation by allocation, while a client talks
 * over them. A handler arms the failure in its own thread, which drives the loop, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <tern/tern.h>

#include "support/failmalloc.h"
#include "support/probe.h"

#define CALL_MS 20000
/* More than the calls of a round need. */
#define ALLOCATIONS_MAX 150
#define LARGE 150000u

static const tern_method arm_method = { .path = "/t.Arm/Arm" };
static const tern_method stream_method = { .path = "/t.S/Echo", .kind = TERN_KIND_BIDI_STREAMING };
static tern_server *srv;
static char target[64];
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

static tern_code echo(void *self, tern_server_call *call)
{
    (void)self;
    const void *data;
    size_t len;
    tern_metadata *md = tern_server_call_initial_metadata(call);
    if (!md || tern_metadata_add_bin(md, "x-much-bin", "0123456789", 10) ||
        !(md = tern_server_call_trailing_metadata(call)) || tern_metadata_add(md, "x-more", "y"))
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory in the handler");
    while (tern_server_call_recv(call, &data, &len))
        if (!tern_server_call_send(call, data, len))
            break;
    return TERN_OK;
}

static tern_channel *connect_anew(void)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.breaker.disabled = true;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 1;
    return probe_channel_with(target, &opts);
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

static tern_code talk(tern_channel *ch)
{
    static uint8_t large[LARGE];
    const size_t sizes[] = { 10, LARGE, 0, 3000 };
    const void *data;
    size_t len, got = 0;
    tern_stream *s;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = CALL_MS;
    tern_code code = tern_stream_open(ch, &stream_method, &opts, &s, &st);
    if (code)
        return code;
    for (unsigned i = 0; i < 4 && tern_stream_send(s, large, sizes[i]); i++)
        if (tern_stream_recv(s, &data, &len))
            got += len == sizes[i];
    tern_stream_close_send(s);
    while (tern_stream_recv(s, &data, &len))
        ;
    code = tern_stream_finish(s, &st);
    if (code == TERN_OK)
        assert_int_equal(got, 4);
    return code;
}

static void expect_recovery(tern_channel *ch)
{
    int64_t until = probe_now_ms() + 10000;
    while (call_arm(ch, -1) != TERN_OK || talk(ch) != TERN_OK)
        if (probe_now_ms() > until)
            fail_msg("no recovery: %s", st.message);
}

static void test_every_allocation(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 1;
    snprintf(target, sizeof target, "unix-abstract:tern-test-stream-memory-%d", (int)getpid());
    assert_int_equal(tern_server_new(&opts, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &arm_method, arm, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &stream_method, echo, NULL, &st), TERN_OK);
    tern_server_set_execution(srv, "t.Arm", TERN_EXEC_INLINE);
    assert_int_equal(tern_server_listen(srv, target, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    tern_channel *ch = connect_anew();
    unsigned not_ok = 0;
    for (int32_t n = 0; n < ALLOCATIONS_MAX; n++) {
        not_ok += call_arm(ch, n) != TERN_OK;
        for (int i = 0; i < 2; i++) {
            tern_code code = talk(ch);
            if (code == TERN_DEADLINE_EXCEEDED)
                fail_msg("allocation %d: no answer", n);
            not_ok += code != TERN_OK;
        }
        expect_recovery(ch);
    }
    assert_true(not_ok > 5); /* the failures were felt */
    tern_channel_free(ch);
    tern_server_free(srv);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_allocation) };
    return cmocka_run_group_tests_name("server/stream memory", tests, NULL, NULL);
}
