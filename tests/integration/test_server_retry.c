/* What a handler has to do with the attempts of a call (gRFC A6): it sees how many came before, and
 * says when, or that not, to come again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "support/probe.h"

#define CONFIG                                                                              \
    "{\"methodConfig\":[{\"name\":[{}],\"retryPolicy\":{\"maxAttempts\":4,"                 \
    "\"initialBackoff\":\"0.002s\",\"maxBackoff\":\"0.01s\",\"backoffMultiplier\":2,"       \
    "\"retryableStatusCodes\":[\"UNAVAILABLE\"]}}]}"

static const tern_method unary = { .path = "/t.T/Unary", .kind = TERN_KIND_UNARY };
static const tern_method stream = { .path = "/t.T/Stream", .kind = TERN_KIND_BIDI_STREAMING };

static tern_server *srv;
static tern_channel *channel;
static atomic_uint calls;
static unsigned previous[8]; /* of each attempt, as the handler saw it */

/* The request's first byte: 'a' fails without a word, 'p' with a pause, 'n' for good, all but the
 * third attempt. */
static tern_code handler(void *self, tern_server_call *call)
{
    (void)self;
    size_t len;
    unsigned n = atomic_fetch_add(&calls, 1);
    const void *request = "";
    if (tern_server_call_method(call)->kind == TERN_KIND_UNARY)
        request = tern_server_call_request(call, &len);
    else
        tern_server_call_recv(call, &request, &len);
    char how = *(const char *)request;
    if (n < 8)
        previous[n] = tern_server_call_previous_attempts(call);
    if (n == 2)
        return TERN_OK;
    if (how == 'p')
        assert_int_equal(tern_server_call_set_retry_pushback(call, 60), 0);
    if (how == 'n')
        assert_int_equal(tern_server_call_set_retry_pushback(call, TERN_NEVER_MS), 0);
    return tern_server_call_fail(call, TERN_UNAVAILABLE, "attempt %u", n);
}

static int setup(void **state)
{
    (void)state;
    char target[64];
    uint16_t port;
    tern_status st;
    tern_channel_options o = TERN_CHANNEL_OPTIONS_INIT;
    o.service_config = CONFIG;
    o.breaker.disabled = true;
    assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &unary, handler, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &stream, handler, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    assert_int_equal(tern_channel_new(target, &o, &channel, &st), TERN_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(channel);
    tern_server_free(srv);
    return 0;
}

static tern_code call_as(const tern_method *method, const char *how)
{
    tern_status st;
    void *answer;
    const void *message;
    size_t len;
    tern_stream *s;
    atomic_store(&calls, 0);
    memset(previous, 0xFF, sizeof previous);
    if (method->kind == TERN_KIND_UNARY) {
        tern_code code = tern_call_unary(channel, method, NULL, how, 1, &answer, &len, &st);
        if (code == TERN_OK)
            free(answer);
        return code;
    }
    assert_int_equal(tern_stream_open(channel, method, NULL, &s, &st), TERN_OK);
    tern_stream_send(s, how, 1);
    tern_stream_close_send(s);
    while (tern_stream_recv(s, &message, &len))
        ;
    return tern_stream_finish(s, &st);
}

static void test_attempts_are_counted(void **state)
{
    (void)state;
    const tern_method *const methods[] = { &unary, &stream };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(call_as(methods[i], "a"), TERN_OK);
        assert_int_equal(atomic_load(&calls), 3);
        for (unsigned n = 0; n < 3; n++)
            assert_int_equal(previous[n], n);
    }
}

static void test_pause(void **state)
{
    (void)state;
    const tern_method *const methods[] = { &unary, &stream };
    for (int i = 0; i < 2; i++) {
        int64_t began = probe_now_ms();
        assert_int_equal(call_as(methods[i], "p"), TERN_OK);
        assert_int_equal(atomic_load(&calls), 3);
        assert_true(probe_now_ms() - began >= 2 * 60);
    }
}

static void test_never(void **state)
{
    (void)state;
    const tern_method *const methods[] = { &unary, &stream };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(call_as(methods[i], "n"), TERN_UNAVAILABLE);
        assert_int_equal(atomic_load(&calls), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts_are_counted),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_never),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
