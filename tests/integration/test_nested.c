/* Calls that handlers make on behalf of a call, three servers deep: the deadline gets shorter by
 * each channel's margin, cancellation reaches all of them, and a call that is detached inherits
 * neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/probe.h"

#define HOPS 3
#define PATIENCE_MS 20000
#define DEADLINE_MS 60000
#define MARGIN_MS 5000

/* How a handler calls the next server. */
typedef enum manner { BLOCKING, STREAM, CALLBACK } manner;

typedef struct hop {
    tern_server *srv;
    tern_channel *next; /* NULL: the last */
    bool detached;
    atomic_uint begun, cancelled, ended;
    tern_server_call *deferred; /* CALLBACK */
} hop;

static hop hops[HOPS];
static tern_channel *first;
static manner how;
static bool wait_at_the_end; /* the last handler waits until its call is cancelled, or: */
static atomic_bool release;

static const tern_method hop_method = { .path = "/t.Hop/Hop" };
static const tern_method hop_stream = { .path = "/t.Hop/HopStream",
                                        .kind = TERN_KIND_SERVER_STREAMING };

/* The answer is the time that the last handler has, ms; -1: all of it. */
static tern_code answer(tern_server_call *call, const void *data, size_t len)
{
    if (tern_server_call_method(call)->kind == TERN_KIND_SERVER_STREAMING)
        return tern_server_call_send(call, data, len) ? TERN_OK : TERN_CANCELLED;
    void *to = tern_server_call_response_buffer(call, len);
    if (!to)
        return TERN_RESOURCE_EXHAUSTED;
    memcpy(to, data, len);
    return TERN_OK;
}

static tern_code note(hop *h, tern_code code)
{
    if (code == TERN_CANCELLED)
        atomic_fetch_add(&h->cancelled, 1);
    atomic_fetch_add(&h->ended, 1);
    return code;
}

static tern_code last_hop(hop *h, tern_server_call *call)
{
    tern_context *ctx = tern_server_call_context(call);
    int64_t left = tern_context_remaining_ms(ctx);
    char text[32];
    while (wait_at_the_end && tern_context_error(ctx) == TERN_OK && !atomic_load(&release))
        probe_sleep_ms(1);
    tern_code code = tern_context_error(ctx);
    if (code != TERN_OK)
        return note(h, code);
    int len = snprintf(text, sizeof text, "%lld",
                       left == TERN_NO_DEADLINE ? -1LL : (long long)left);
    return note(h, answer(call, text, (size_t)len));
}

static tern_code next_unary(hop *h, tern_server_call *call, const tern_call_options *opts)
{
    void *bytes;
    size_t len;
    tern_status st;
    tern_code code = tern_call_unary(h->next, &hop_method, opts, "", 0, &bytes, &len, &st);
    if (code != TERN_OK)
        return tern_server_call_fail(call, code, "%s", st.message);
    code = answer(call, bytes, len);
    free(bytes);
    return code;
}

static tern_code next_stream(hop *h, tern_server_call *call, const tern_call_options *opts)
{
    tern_status st;
    tern_stream *s;
    const void *data;
    size_t len;
    tern_code code = tern_stream_open(h->next, &hop_stream, opts, &s, &st);
    if (code != TERN_OK)
        return tern_server_call_fail(call, code, "%s", st.message);
    tern_stream_send(s, "", 0);
    tern_stream_close_send(s);
    while (tern_stream_recv(s, &data, &len))
        answer(call, data, len);
    code = tern_stream_finish(s, &st);
    return code == TERN_OK ? code : tern_server_call_fail(call, code, "%s", st.message);
}

static void on_done(void *ctx, const tern_status *st, const void *response, size_t len)
{
    hop *h = ctx;
    tern_server_call *call = h->deferred;
    tern_code code = st->code == TERN_OK ? answer(call, response, len)
                                         : tern_server_call_fail(call, st->code, "%s", st->message);
    tern_server_call_finish(call, note(h, code));
}

static tern_code handle(void *self, tern_server_call *call)
{
    hop *h = self;
    tern_status st;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    atomic_fetch_add(&h->begun, 1);
    if (!h->next)
        return last_hop(h, call);
    opts.context = tern_server_call_context(call);
    opts.detached = h->detached;
    if (how == BLOCKING)
        return note(h, next_unary(h, call, &opts));
    if (how == STREAM)
        return note(h, next_stream(h, call, &opts));
    h->deferred = call;
    tern_code code = tern_call_unary_start(h->next, &hop_method, &opts, "", 0, on_done, h, &st);
    if (code != TERN_OK)
        return note(h, tern_server_call_fail(call, code, "%s", st.message));
    tern_server_call_defer(call);
    return TERN_OK;
}

/* From the last to the first, so that each knows the one behind it. */
static void chain(manner m, uint32_t margin_ms)
{
    tern_channel *next = NULL;
    tern_status st;
    how = m;
    atomic_store(&release, false);
    for (int i = HOPS - 1; i >= 0; i--) {
        hop *h = &hops[i];
        tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
        char target[64];
        uint16_t port;
        memset(h, 0, sizeof *h);
        h->next = next;
        assert_int_equal(tern_server_new(NULL, &h->srv, &st), TERN_OK);
        assert_int_equal(tern_server_add_raw(h->srv, &hop_method, handle, h, &st), TERN_OK);
        assert_int_equal(tern_server_add_raw(h->srv, &hop_stream, handle, h, &st), TERN_OK);
        assert_int_equal(tern_server_listen(h->srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
        assert_int_equal(tern_server_start(h->srv, &st), TERN_OK);
        snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
        co.deadline_margin_ms = i > 0 ? margin_ms : 0; /* the client itself has no context */
        next = probe_channel_with(target, &co);
    }
    first = next;
}

static void unchain(void)
{
    atomic_store(&release, true);
    tern_channel_free(first);
    for (int i = 0; i < HOPS; i++) {
        tern_server_drain(hops[i].srv, PATIENCE_MS);
        tern_server_wait(hops[i].srv);
        tern_server_free(hops[i].srv);
        tern_channel_free(hops[i].next);
    }
}

static tern_code call(tern_context *ctx, int64_t timeout_ms, long *ret_left, tern_status *st)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    void *bytes;
    size_t len;
    opts.timeout_ms = timeout_ms;
    opts.context = ctx;
    tern_code code = tern_call_unary(first, &hop_method, &opts, "", 0, &bytes, &len, st);
    if (code != TERN_OK)
        return code;
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)len, (const char *)bytes);
    free(bytes);
    *ret_left = atol(text);
    return TERN_OK;
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void margins_add_up(void **state)
{
    (void)state;
    for (manner m = BLOCKING; m <= CALLBACK; m++) {
        tern_status st;
        long left = 0;
        chain(m, MARGIN_MS);
        wait_at_the_end = false;
        if (call(NULL, DEADLINE_MS, &left, &st) != TERN_OK)
            fail_msg("manner %d: %s", (int)m, st.message);
        assert_in_range(left, 1, DEADLINE_MS - 2 * MARGIN_MS);
        unchain();
        chain(m, 0);
        assert_int_equal(call(NULL, DEADLINE_MS, &left, &st), TERN_OK);
        assert_in_range(left, DEADLINE_MS - 2 * MARGIN_MS + 1, DEADLINE_MS);
        assert_int_equal(call(NULL, 0, &left, &st), TERN_OK);
        assert_int_equal(left, -1); /* a margin of nothing is nothing */
        unchain();
    }
}

static void no_time_left(void **state)
{
    (void)state;
    for (manner m = BLOCKING; m <= CALLBACK; m++) {
        tern_status st;
        long left;
        chain(m, DEADLINE_MS * 2 / 3); /* enough for one hop, not for two */
        assert_int_equal(call(NULL, DEADLINE_MS, &left, &st), TERN_DEADLINE_EXCEEDED);
        assert_non_null(strstr(st.message, "(deadline_margin_ms)"));
        assert_int_equal(atomic_load(&hops[HOPS - 1].begun), 0);
        unchain();
    }
}

static void detached_calls_have_their_own(void **state)
{
    (void)state;
    tern_status st;
    long left = 0;
    chain(BLOCKING, MARGIN_MS);
    wait_at_the_end = false;
    hops[1].detached = true;
    assert_int_equal(call(NULL, DEADLINE_MS, &left, &st), TERN_OK);
    assert_int_equal(left, -1);
    unchain();
}

/* --- cancellation ----------------------------------------------------------------------------- */

static tern_context *ctx;

static void *canceller(void *arg)
{
    (void)arg;
    if (probe_wait(&hops[HOPS - 1].begun, 1))
        tern_context_cancel(ctx);
    return NULL;
}

static void cancel_while_the_last_waits(tern_status *st)
{
    pthread_t thread;
    long left;
    wait_at_the_end = true;
    ctx = tern_context_new(NULL, 0);
    assert_non_null(ctx);
    assert_int_equal(pthread_create(&thread, NULL, canceller, NULL), 0);
    assert_int_equal(call(ctx, 0, &left, st), TERN_CANCELLED);
    pthread_join(thread, NULL);
    tern_context_free(ctx);
}

static void cancellation_reaches_all(void **state)
{
    (void)state;
    for (manner m = BLOCKING; m <= CALLBACK; m++) {
        tern_status st;
        chain(m, MARGIN_MS);
        cancel_while_the_last_waits(&st);
        for (int i = 0; i < HOPS; i++)
            assert_true(probe_wait(&hops[i].cancelled, 1));
        unchain();
    }
}

static void but_not_those_that_are_detached(void **state)
{
    (void)state;
    for (manner m = BLOCKING; m <= CALLBACK; m++) {
        tern_status st;
        chain(m, 0);
        hops[1].detached = true;
        cancel_while_the_last_waits(&st);
        assert_true(probe_wait(&hops[0].cancelled, 1));
        assert_int_equal(atomic_load(&hops[2].ended), 0); /* it goes on */
        atomic_store(&release, true);
        assert_true(probe_wait(&hops[2].ended, 1));
        assert_int_equal(atomic_load(&hops[2].cancelled), 0);
        assert_true(probe_wait(&hops[1].ended, 1));
        unchain();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(margins_add_up),
        cmocka_unit_test(no_time_left),
        cmocka_unit_test(detached_calls_have_their_own),
        cmocka_unit_test(cancellation_reaches_all),
        cmocka_unit_test(but_not_those_that_are_detached),
    };
    return cmocka_run_group_tests_name("nested", tests, NULL, NULL);
}
