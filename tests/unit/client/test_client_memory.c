/* Whole calls while the calling thread runs out of memory: allocation by allocation, everything a
 * client does for a call. Only this thread's allocations fail; the server beside it has all it
 * wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/failmalloc.h"
#include "support/probe.h"

static probe_server server;
static tern_status st;
static uint8_t blob[100000];
static const char *config; /* service config of the channels; NULL: none */

#define GUARDS                                                                                  \
    "\"tern\":{\"breaker\":{}}}],\"tern\":{\"retryBudget\":{},\"adaptiveThrottling\":{}}}"
#define RETRIES                                                                                 \
    "{\"methodConfig\":[{\"name\":[{}],\"retryPolicy\":{\"maxAttempts\":2,"                    \
    "\"initialBackoff\":\"0.001s\",\"maxBackoff\":\"0.001s\",\"backoffMultiplier\":1,"         \
    "\"retryableStatusCodes\":[\"UNAVAILABLE\"]}," GUARDS
#define HEDGES                                                                                  \
    "{\"methodConfig\":[{\"name\":[{}],\"hedgingPolicy\":{\"maxAttempts\":2,"                  \
    "\"hedgingDelay\":\"0s\"}," GUARDS

static int start(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "unix-abstract:tern-test-client-memory-%d", (int)getpid());
    probe_start(&server, NULL, name);
    return 0;
}

static int end(void **state)
{
    (void)state;
    probe_stop(&server, 1000);
    return 0;
}

static tern_code one_call(tern_channel *ch, const tern_metadata *md, tern_metadata *got)
{
    Tests__V1__EchoRequest req = TESTS__V1__ECHO_REQUEST__INIT;
    Tests__V1__EchoResponse *res = NULL;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 20000;
    opts.metadata = md;
    opts.ret_initial_metadata = got;
    req.payload = (ProtobufCBinaryData){ sizeof blob, blob };
    tern_code code = tests_v1_probe_echo(ch, &opts, &req, &res, &st);
    if (code == TERN_OK)
        tests__v1__echo_response__free_unpacked(res, NULL);
    return code;
}

/* From the channel to the answer. */
static tern_code everything(const tern_metadata *md, tern_metadata *got)
{
    tern_channel *ch = NULL;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.user_agent = "test";
    opts.service_config = config;
    st.code = TERN_OK;
    st.message[0] = '\0';
    tern_code code = tern_channel_new(server.target, &opts, &ch, &st);
    if (code == TERN_OK)
        code = one_call(ch, md, got);
    tern_channel_free(ch);
    return code;
}

static void every_allocation(void)
{
    tern_metadata *md = tern_metadata_new(), *got = tern_metadata_new();
    tern_metadata_add_bin(md, "x-echo-bin", blob, 2000);
    tern_metadata_add(md, "x-echo-a", "b");
    for (int once = 0; once < 2; once++) {
        bool failed = true;
        for (long n = 0; failed; n++) {
            tern_metadata_clear(got);
            if (once)
                failmalloc_once(n);
            else
                failmalloc_after(n);
            tern_code code = everything(md, got);
            failed = failmalloc_off();
            if (code != TERN_OK) {
                assert_true(failed);
                assert_int_equal(st.code, code);
                assert_true(st.message[0] != '\0');
                if (code != TERN_RESOURCE_EXHAUSTED && code != TERN_UNAVAILABLE)
                    fail_msg("allocation %ld: %s: %s", n, tern_code_name(code), st.message);
            }
            if (!failed)
                assert_int_equal(code, TERN_OK);
            assert_true(n < 1000);
        }
    }
    tern_metadata_free(md);
    tern_metadata_free(got);
}

static void test_every_allocation(void **state)
{
    (void)state;
    static const char *const configs[] = { NULL, RETRIES, HEDGES };
    for (int i = 0; i < 3; i++) {
        config = configs[i];
        every_allocation();
    }
    config = NULL;
}

/* A stream, from the channel to its end. Its threads may run out at any time; what it says of that
 * is its status. */
static tern_code whole_stream(const tern_metadata *md)
{
    static const tern_method m = { .path = "/tests.v1.Probe/Echo",
                                   .kind = TERN_KIND_BIDI_STREAMING };
    tern_channel *ch = NULL;
    tern_stream *s;
    const void *message;
    size_t len;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_call_options call = TERN_CALL_OPTIONS_INIT;
    opts.service_config = config;
    call.timeout_ms = 20000;
    call.metadata = md;
    st.message[0] = '\0';
    tern_code code = tern_channel_new(server.target, &opts, &ch, &st);
    if (code == TERN_OK)
        code = tern_stream_open(ch, &m, &call, &s, &st);
    if (code == TERN_OK) {
        (void)(tern_stream_send(s, "\n\5hello", 7) && tern_stream_close_send(s));
        while (tern_stream_recv(s, &message, &len))
            assert_true(len > 0);
        code = tern_stream_finish(s, &st);
    }
    tern_channel_free(ch);
    return code;
}

static void test_stream(void **state)
{
    (void)state;
    tern_metadata *md = tern_metadata_new();
    tern_metadata_add(md, "x-echo-a", "b");
    for (int once = 0; once < 2; once++) {
        bool failed = true;
        config = RETRIES;
        for (long n = 0; failed; n++) {
            if (once)
                failmalloc_once(n);
            else
                failmalloc_after(n);
            tern_code code = whole_stream(md);
            failed = failmalloc_off();
            if (code != TERN_OK && code != TERN_RESOURCE_EXHAUSTED && code != TERN_UNAVAILABLE)
                fail_msg("allocation %ld: %s: %s", n, tern_code_name(code), st.message);
            if (!failed) /* without memory for keeping what is sent it is only not repeated */
                assert_int_equal(code, TERN_OK);
            assert_true(n < 1000);
        }
    }
    tern_metadata_free(md);
    config = NULL;
}

/* An update that runs out of memory changes nothing. */
static void test_update(void **state)
{
    (void)state;
    config = RETRIES;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.service_config = config;
    tern_channel *ch = probe_channel_with(server.target, &opts);
    bool failed = true;
    for (long n = 0; failed; n++) {
        failmalloc_once(n);
        tern_code code = tern_channel_set_service_config(ch, HEDGES, strlen(HEDGES), &st);
        failed = failmalloc_off();
        assert_int_equal(code, failed ? TERN_RESOURCE_EXHAUSTED : TERN_OK);
        assert_true(n < 1000);
    }
    assert_int_equal(one_call(ch, NULL, NULL), TERN_OK);
    tern_channel_free(ch);
    config = NULL;
}

/* One channel goes on being used: after each failure it works again. */
static void test_channel_recovers(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.breaker.disabled = true;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 1;
    tern_channel *ch = probe_channel_with(server.target, &opts);
    tern_metadata *got = tern_metadata_new();
    bool failed = true;
    for (long n = 0; failed; n++) {
        failmalloc_once(n);
        tern_code code = one_call(ch, NULL, got);
        failed = failmalloc_off();
        if (!failed)
            assert_int_equal(code, TERN_OK);
        int64_t until = probe_now_ms() + 10000;
        while ((code = one_call(ch, NULL, got)) != TERN_OK)
            if (probe_now_ms() > until)
                fail_msg("after allocation %ld: %s: %s", n, tern_code_name(code), st.message);
        assert_true(n < 1000);
    }
    tern_metadata_free(got);
    tern_channel_free(ch);
}

/* A config whose policy there is no memory for is refused, and calls go on by the former one. */
static void test_another_policy(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        { "{}", "{\"loadBalancingConfig\":[{\"round_robin\":{}}]}" },
        { "{\"loadBalancingConfig\":[{\"round_robin\":{}}]}",
          "{\"loadBalancingConfig\":[{\"ring_hash_experimental\":{}}]}" },
        { "{\"loadBalancingConfig\":[{\"tern_peak_ewma\":{}}]}", "{}" },
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        tern_channel *ch;
        tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
        const char *to = changes[i][1];
        opts.service_config = changes[i][0];
        assert_int_equal(tern_channel_new(server.target, &opts, &ch, &st), TERN_OK);
        assert_int_equal(one_call(ch, NULL, NULL), TERN_OK);
        long n = 0;
        for (tern_code code = TERN_UNKNOWN; code != TERN_OK; n++) {
            failmalloc_after(n);
            code = tern_channel_set_service_config(ch, to, strlen(to), &st);
            failmalloc_off();
            if (code != TERN_OK)
                assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
            assert_int_equal(one_call(ch, NULL, NULL), TERN_OK);
        }
        assert_in_range(n, 3, 1000);
        tern_channel_free(ch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_channel_recovers),
        cmocka_unit_test(test_another_policy),
    };
    return cmocka_run_group_tests_name("client/memory", tests, start, end);
}
