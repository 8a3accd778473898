/* A server whose only loop runs out of memory: allocation by allocation, while a client makes calls
 * over new and old connections. A handler arms the failure in its own thread, which is the
 * loop's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/failmalloc.h"
#include "support/probe.h"
#include "tests/v1/probe.tern.h"

#define CALL_MS 20000
/* More than the calls of a round need. */
#define ALLOCATIONS_MAX 400

static const tern_method arm_method = { .path = "/t.Arm/Arm" };
static tern_server *srv;
static char target[64];
static tern_status st;
static atomic_uint handled;

static tern_code arm(void *self, tern_server_call *call)
{
    (void)self;
    size_t len;
    const int32_t *n = tern_server_call_request(call, &len);
    if (*n < 0)
        failmalloc_off();
    else
        failmalloc_once(*n);
    return TERN_OK;
}

static tern_code echo(void *self, tern_server_call *call, const Tests__V1__EchoRequest *req,
                      Tests__V1__EchoResponse *res)
{
    (void)self;
    atomic_fetch_add(&handled, 1);
    tern_metadata *md = tern_server_call_trailing_metadata(call);
    char *copy = tern_server_call_strdup(call, req->text);
    if (!md || !copy || tern_metadata_add(md, "x-much", copy))
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory in the handler");
    res->text = copy;
    res->payload = req->payload;
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

static tern_code call_echo(tern_channel *ch, size_t payload)
{
    static uint8_t blob[200000];
    Tests__V1__EchoRequest req = TESTS__V1__ECHO_REQUEST__INIT;
    Tests__V1__EchoResponse *res = NULL;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    char text[] = "text";
    opts.timeout_ms = CALL_MS;
    opts.retry = TERN_RETRY_NEVER;
    req.text = text;
    req.payload = (ProtobufCBinaryData){ payload, blob };
    tern_code code = tests_v1_probe_echo(ch, &opts, &req, &res, &st);
    if (code == TERN_OK) {
        assert_int_equal(res->payload.len, payload);
        tests__v1__echo_response__free_unpacked(res, NULL);
    }
    return code;
}

static void expect_recovery(tern_channel *ch)
{
    int64_t until = probe_now_ms() + 10000;
    while (call_arm(ch, -1) != TERN_OK || call_echo(ch, 10) != TERN_OK)
        if (probe_now_ms() > until)
            fail_msg("no recovery: %s", st.message);
}

static void test_every_allocation(void **state)
{
    (void)state;
    static const tests_v1_probe_handlers handlers = { .echo = echo };
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 1;
    snprintf(target, sizeof target, "unix-abstract:tern-test-server-memory-%d", (int)getpid());
    assert_int_equal(tern_server_new(&opts, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &arm_method, arm, NULL, &st), TERN_OK);
    assert_int_equal(tests_v1_probe_register(srv, &handlers, NULL, &st), TERN_OK);
    tern_server_set_execution(srv, "t.Arm", TERN_EXEC_INLINE);
    tern_server_set_execution(srv, "tests.v1.Probe", TERN_EXEC_INLINE);
    assert_int_equal(tern_server_listen(srv, target, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    tern_channel *old = connect_anew();
    unsigned not_ok = 0;
    for (int32_t n = 0; n < ALLOCATIONS_MAX; n++) {
        if (call_arm(old, n) != TERN_OK)
            not_ok++; /* its own answer met the failure */
        tern_channel *fresh = connect_anew();
        static const size_t sizes[] = { 10, 200000 };
        for (int i = 0; i < 2; i++) {
            tern_code codes[2] = { call_echo(fresh, sizes[i]), call_echo(old, sizes[i]) };
            for (int k = 0; k < 2; k++) {
                if (codes[k] == TERN_DEADLINE_EXCEEDED)
                    fail_msg("allocation %d, %zu bytes: no answer", n, sizes[i]);
                not_ok += codes[k] != TERN_OK;
            }
        }
        tern_channel_free(fresh);
        expect_recovery(old);
    }
    assert_true(not_ok > 10); /* the failures were felt */
    tern_channel_free(old);
    tern_server_free(srv);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_allocation) };
    return cmocka_run_group_tests_name("server/memory", tests, NULL, NULL);
}
