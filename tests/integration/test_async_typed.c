/* The generated functions with callbacks, for all four kinds of method, against a server of this
 * process: each call is run to its end on a loop of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/tern.h>

#include "tests/v1/probe.tern.h"

#define PATIENCE_MS 20000
#define MANY 500

typedef Tests__V1__Number number;

static tern_server *srv;
static tern_loop *loop;
static tern_channel *channel;
static tern_call_options opts;

/* --- handlers --------------------------------------------------------------------------------- */

static tern_code echo(void *self, tern_server_call *call, const Tests__V1__EchoRequest *req,
                      Tests__V1__EchoResponse *res)
{
    (void)self;
    if (strcmp(req->text, "fail") == 0)
        return tern_server_call_fail(call, TERN_ABORTED, "as told");
    res->text = tern_server_call_strdup(call, req->text);
    return res->text ? TERN_OK : TERN_RESOURCE_EXHAUSTED;
}

static tern_code count(void *self, tests_v1_probe_count_stream *stream,
                       const Tests__V1__CountRequest *req)
{
    (void)self;
    number n = TESTS__V1__NUMBER__INIT;
    for (n.value = 1; n.value <= req->n; n.value++)
        if (!tests_v1_probe_count_stream_send(stream, &n))
            break;
    return (tern_code)req->code;
}

static tern_code sum(void *self, tests_v1_probe_sum_stream *stream, number *res)
{
    const number *n;
    (void)self;
    while (tests_v1_probe_sum_stream_recv(stream, &n)) {
        if (n->value < 0)
            return tern_server_call_fail(stream->call, TERN_OUT_OF_RANGE, "below zero");
        res->value += n->value;
    }
    return TERN_OK;
}

static tern_code twice(void *self, tests_v1_probe_double_stream *stream)
{
    const number *n;
    number out = TESTS__V1__NUMBER__INIT;
    (void)self;
    while (tests_v1_probe_double_stream_recv(stream, &n)) {
        out.value = 2 * n->value;
        if (!tests_v1_probe_double_stream_send(stream, &out))
            break;
    }
    return TERN_OK;
}

static const tests_v1_probe_handlers handlers = {
    .echo = echo, .count = count, .sum = sum, .double_ = twice
};

static void must(tern_code code, const tern_status *st)
{
    if (code != TERN_OK)
        fail_msg("%s: %s", tern_code_name(code), st->message);
}

static int set_up(void **state)
{
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    tern_status st;
    uint16_t port;
    char target[64];
    (void)state;
    must(tern_server_new(NULL, &srv, &st), &st);
    must(tests_v1_probe_register(srv, &handlers, NULL, &st), &st);
    must(tern_server_listen(srv, "127.0.0.1:0", &port, &st), &st);
    must(tern_server_start(srv, &st), &st);
    must(tern_loop_new(&loop, &st), &st);
    options.loop = loop;
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    must(tern_channel_new(target, &options, &channel, &st), &st);
    opts = (tern_call_options)TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tern_channel_free(channel);
    tern_loop_free(loop);
    tern_server_free(srv);
    return 0;
}

static void run(void)
{
    while (tern_loop_calls(loop) > 0)
        tern_loop_wait(loop, PATIENCE_MS);
}

/* --- calls ------------------------------------------------------------------------------------ */

/* What a call has told its callbacks. */
typedef struct heard {
    int done;
    tern_status st;
    char text[32];
    int64_t value;
    bool response;
    int64_t n_sent, n_received;
    tests_v1_probe_count_async counted;
    tests_v1_probe_sum_async summed;
    tests_v1_probe_double_async doubled;
} heard;

static void on_echo(void *ctx, const tern_status *st, const Tests__V1__EchoResponse *res)
{
    heard *h = ctx;
    h->done++;
    h->st = *st;
    h->response = res != NULL;
    if (res)
        snprintf(h->text, sizeof h->text, "%s", res->text);
}

static void unary(void **state)
{
    Tests__V1__EchoRequest req = TESTS__V1__ECHO_REQUEST__INIT;
    tern_status st;
    heard h = { 0 };
    (void)state;
    req.text = (char[]){ "hello" };
    must(tests_v1_probe_echo_start(channel, &opts, &req, on_echo, &h, &st), &st);
    run();
    assert_true(h.done == 1 && h.st.code == TERN_OK && h.response);
    assert_string_equal(h.text, "hello");
    req.text = (char[]){ "fail" };
    must(tests_v1_probe_echo_start(channel, &opts, &req, on_echo, &h, &st), &st);
    run();
    assert_true(h.done == 2 && h.st.code == TERN_ABORTED && !h.response);
    assert_string_equal(h.st.message, "as told");
}

static void on_end(void *ctx, const tern_status *st)
{
    heard *h = ctx;
    h->done++;
    h->st = *st;
}

static void on_counted(void *ctx, const number *n)
{
    heard *h = ctx;
    if (!n) {
        tests_v1_probe_count_finish_start(&h->counted, on_end, h);
        return;
    }
    assert_int_equal(n->value, ++h->n_received);
    assert_int_equal(tests_v1_probe_count_recv_start(&h->counted, on_counted, h), TERN_OK);
}

static void server_streaming(void **state)
{
    Tests__V1__CountRequest req = TESTS__V1__COUNT_REQUEST__INIT;
    tern_status st;
    heard h = { 0 };
    (void)state;
    req.n = MANY;
    req.code = TERN_DATA_LOSS;
    must(tests_v1_probe_count_start(channel, &opts, &req, &h.counted, &st), &st);
    assert_int_equal(tests_v1_probe_count_recv_start(&h.counted, on_counted, &h), TERN_OK);
    run();
    assert_true(h.done == 1 && h.st.code == TERN_DATA_LOSS && h.n_received == MANY);
}

static void on_sum(void *ctx, const tern_status *st, const number *res)
{
    heard *h = ctx;
    h->done++;
    h->st = *st;
    h->response = res != NULL;
    h->value = res ? res->value : 0;
}

static void on_summand(void *ctx, bool ok)
{
    heard *h = ctx;
    number n = TESTS__V1__NUMBER__INIT;
    n.value = ok ? ++h->n_sent : 0;
    if (!ok || h->n_sent > MANY)
        tests_v1_probe_sum_finish_start(&h->summed, on_sum, h);
    else
        tests_v1_probe_sum_send_start(&h->summed, &n, on_summand, h);
}

static void client_streaming(void **state)
{
    number n = TESTS__V1__NUMBER__INIT;
    tern_status st;
    heard h = { 0 };
    (void)state;
    must(tests_v1_probe_sum_start(channel, &opts, &h.summed, &st), &st);
    tests_v1_probe_sum_send_start(&h.summed, &n, on_summand, &h);
    run();
    assert_true(h.done == 1 && h.st.code == TERN_OK && h.response);
    assert_int_equal(h.value, MANY * (MANY + 1) / 2);
    /* Nothing sent at all; then a failure. */
    h = (heard){ 0 };
    must(tests_v1_probe_sum_start(channel, &opts, &h.summed, &st), &st);
    tests_v1_probe_sum_finish_start(&h.summed, on_sum, &h);
    run();
    assert_true(h.done == 1 && h.st.code == TERN_OK && h.response && h.value == 0);
    h = (heard){ .n_sent = MANY };
    n.value = -1;
    must(tests_v1_probe_sum_start(channel, &opts, &h.summed, &st), &st);
    tests_v1_probe_sum_send_start(&h.summed, &n, on_summand, &h);
    run();
    assert_true(h.done == 1 && h.st.code == TERN_OUT_OF_RANGE && !h.response);
}

static void on_doubled(void *ctx, const number *n);

static void on_to_double(void *ctx, bool ok)
{
    heard *h = ctx;
    assert_true(ok);
    if (++h->n_sent == MANY)
        tests_v1_probe_double_async_close_send(&h->doubled);
    assert_int_equal(tests_v1_probe_double_recv_start(&h->doubled, on_doubled, h), TERN_OK);
}

static void on_doubled(void *ctx, const number *n)
{
    heard *h = ctx;
    number next = TESTS__V1__NUMBER__INIT;
    if (!n) {
        tests_v1_probe_double_finish_start(&h->doubled, on_end, h);
        return;
    }
    assert_int_equal(n->value, 2 * h->n_received++);
    next.value = h->n_received;
    if (h->n_sent < MANY)
        tests_v1_probe_double_send_start(&h->doubled, &next, on_to_double, h);
    else
        assert_int_equal(tests_v1_probe_double_recv_start(&h->doubled, on_doubled, h), TERN_OK);
}

static void bidirectional(void **state)
{
    number n = TESTS__V1__NUMBER__INIT;
    tern_status st;
    heard h = { 0 };
    (void)state;
    must(tests_v1_probe_double_start(channel, &opts, &h.doubled, &st), &st);
    tests_v1_probe_double_send_start(&h.doubled, &n, on_to_double, &h);
    run();
    assert_true(h.done == 1 && h.st.code == TERN_OK);
    assert_true(h.n_sent == MANY && h.n_received == MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unary, set_up, tear_down),
        cmocka_unit_test_setup_teardown(server_streaming, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_streaming, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bidirectional, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("async/typed", tests, NULL, NULL);
}
