/* The harness for users (tern/testing.h): each of its promises, by what a client sees and by what
 * the server remembers; and its assertions, which must fail when what they say is not so. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <tern/tern.h>
#include <tern/testing_cmocka.h>

#include "support/probe.h"

#define SAFE "/t.T/Safe"
#define UNSAFE "/t.T/Unsafe"
#define CHAT "/t.T/Chat"
#define SOON_MS 10000
#define REFUSED_STREAM 7u

static const tern_method safe = { .path = SAFE, .idempotency = TERN_IDEMPOTENT };
static const tern_method unsafe = { .path = UNSAFE };
static const tern_method chat = { .path = CHAT, .kind = TERN_KIND_BIDI_STREAMING };

static tern_testing_clock *clk; /* NULL: time is real */
static tern_testing_server *peer;
static tern_channel *channel;
static tern_status st;

static int setup(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.retry.initial_backoff_ms = opts.retry.max_backoff_ms = 2;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 5;
    opts.breaker.disabled = true;
    tern_assert_ok(tern_testing_server_new(&peer, &st), &st);
    tern_assert_ok(tern_channel_new(tern_testing_server_target(peer), &opts, &channel, &st), &st);
    return 0;
}

static int setup_clock(void **state)
{
    tern_assert_ok(tern_testing_clock_new(&clk, &st), &st);
    tern_assert_ok(tern_testing_clock_run(clk, true, &st), &st);
    return setup(state);
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(channel);
    tern_testing_server_free(peer);
    tern_testing_clock_free(clk);
    clk = NULL;
    return 0;
}

static tern_call_options options(void)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = SOON_MS;
    return opts;
}

static char got[256]; /* the response of the last call */

static tern_code call_with(const tern_method *m, const tern_call_options *opts, const char *request)
{
    void *bytes = NULL;
    size_t len = 0;
    tern_code code =
        tern_call_unary(channel, m, opts, request, strlen(request), &bytes, &len, &st);
    if (code == TERN_OK) {
        assert_true(len < sizeof got);
        memcpy(got, bytes, len);
        got[len] = '\0';
        free(bytes);
    }
    return code;
}

static tern_code call(const tern_method *m)
{
    tern_call_options opts = options();
    return call_with(m, &opts, "hello");
}

static void add(const char *path, const tern_testing_answer *a)
{
    tern_assert_ok(tern_testing_server_add(peer, path, a, &st), &st);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void test_order(void **state)
{
    (void)state;
    tern_testing_answer any_default = TERN_TESTING_ANSWER_INIT;
    any_default.code = TERN_ABORTED;
    tern_testing_answer own_default = any_default;
    own_default.code = TERN_DATA_LOSS;
    tern_assert_status(call(&unsafe), &st, TERN_UNIMPLEMENTED, "told no answer");
    tern_assert_ok(tern_testing_server_set_default(peer, NULL, &any_default, &st), &st);
    assert_true(tern_testing_fail(peer, NULL, TERN_NOT_FOUND, "any"));
    assert_true(tern_testing_reply(peer, UNSAFE, "one", 3));
    assert_true(tern_testing_reply(peer, UNSAFE, "", 0));
    assert_int_equal(tern_testing_server_unused(peer, NULL), 3);
    assert_int_equal(tern_testing_server_unused(peer, UNSAFE), 2);
    tern_assert_ok(call(&unsafe), &st);
    assert_string_equal(got, "one");
    tern_assert_ok(call(&unsafe), &st);
    assert_string_equal(got, "");
    tern_assert_status(call(&unsafe), &st, TERN_NOT_FOUND, "any");
    tern_assert_status(call(&unsafe), &st, TERN_ABORTED, NULL);
    tern_assert_ok(tern_testing_server_set_default(peer, UNSAFE, &own_default, &st), &st);
    for (int i = 0; i < 3; i++)
        tern_assert_status(call(&unsafe), &st, TERN_DATA_LOSS, NULL);
    tern_assert_ok(tern_testing_server_set_default(peer, UNSAFE, NULL, &st), &st);
    tern_assert_status(call(&unsafe), &st, TERN_ABORTED, NULL);
    tern_assert_script_used(peer);
    tern_assert_attempts(peer, UNSAFE, 9);
    tern_assert_attempts(peer, SAFE, 0);
}

static void test_times(void **state)
{
    (void)state;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.code = TERN_UNAVAILABLE;
    a.times = 2;
    add(SAFE, &a);
    assert_true(tern_testing_reply(peer, SAFE, "at last", 7));
    assert_int_equal(tern_testing_server_unused(peer, SAFE), 3);
    tern_assert_ok(call(&safe), &st);
    assert_string_equal(got, "at last");
    tern_assert_attempts(peer, SAFE, 3);
    for (int i = 0; i < 3; i++)
        tern_assert_previous_attempts(peer, SAFE, (size_t)i, i);
    tern_assert_script_used(peer);
}

static void test_status_and_metadata(void **state)
{
    (void)state;
    tern_metadata *first = tern_metadata_new(), *last = tern_metadata_new();
    tern_metadata *seen_first = tern_metadata_new(), *seen_last = tern_metadata_new();
    assert_int_equal(tern_metadata_add(first, "x-first", "1"), 0);
    assert_int_equal(tern_metadata_add_bin(last, "x-last-bin", "\0\xff", 2), 0);
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.code = TERN_FAILED_PRECONDITION;
    a.message = "50 % \xc3\xbc\n";
    a.details = "\x08\x09";
    a.details_len = 2;
    a.initial_metadata = first;
    a.trailing_metadata = last;
    add(UNSAFE, &a);
    a.initial_metadata = NULL; /* trailers-only: all metadata are trailing */
    add(UNSAFE, &a);
    tern_metadata_free(first); /* it was copied */
    tern_metadata_free(last);
    tern_call_options opts = options();
    opts.ret_initial_metadata = seen_first;
    opts.ret_trailing_metadata = seen_last;
    for (int i = 0; i < 2; i++) {
        size_t len;
        tern_assert_status(call_with(&unsafe, &opts, ""), &st, TERN_FAILED_PRECONDITION, NULL);
        assert_string_equal(st.message, "50 % \xc3\xbc\n");
        if (i == 0)
            tern_assert_metadata(seen_first, "x-first", "1");
        else
            tern_assert_no_metadata(seen_first, "x-first");
        assert_non_null(tern_metadata_get(seen_last, "x-last-bin"));
        assert_memory_equal(tern_metadata_get(seen_last, "x-last-bin"), "\0\xff", 2);
        const void *details = tern_metadata_status_details(seen_last, &len);
        assert_int_equal(len, 2);
        assert_memory_equal(details, "\x08\x09", 2);
        tern_metadata_clear(seen_first);
        tern_metadata_clear(seen_last);
    }
    tern_metadata_free(seen_first);
    tern_metadata_free(seen_last);
}

/* Headers of their own commit an attempt; trailers-only does not. */
static void test_headers_commit(void **state)
{
    (void)state;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.code = TERN_UNAVAILABLE;
    a.headers = true;
    add(SAFE, &a);
    tern_assert_status(call(&safe), &st, TERN_UNAVAILABLE, NULL);
    tern_assert_attempts(peer, SAFE, 1);
    a.headers = false;
    add(SAFE, &a);
    assert_true(tern_testing_reply(peer, SAFE, "x", 1));
    tern_assert_ok(call(&safe), &st);
    tern_assert_attempts(peer, SAFE, 3);
}

static void test_delay(void **state)
{
    (void)state;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    tern_call_options opts = options();
    a.code = TERN_ABORTED;
    a.delay_ms = 60;
    add(UNSAFE, &a);
    tern_assert_status(call(&unsafe), &st, TERN_ABORTED, NULL);
    assert_int_equal(tern_testing_clock_elapsed_ms(clk), 60);
    a.delay_ms = 60000;
    add(UNSAFE, &a);
    opts.timeout_ms = 30;
    tern_assert_status(call_with(&unsafe, &opts, ""), &st, TERN_DEADLINE_EXCEEDED, NULL);
    assert_true(tern_testing_server_wait_cancelled(peer, UNSAFE, 1, SOON_MS));
}

static void test_pushback(void **state)
{
    (void)state;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.code = TERN_UNAVAILABLE;
    a.pushback = "80";
    add(SAFE, &a);
    assert_true(tern_testing_reply(peer, SAFE, "x", 1));
    tern_assert_ok(call(&safe), &st);
    assert_int_equal(tern_testing_clock_elapsed_ms(clk), 80);
    a.pushback = "never";
    add(SAFE, &a);
    tern_assert_status(call(&safe), &st, TERN_UNAVAILABLE, NULL);
    tern_assert_attempts(peer, SAFE, 3);
}

static void test_drop(void **state)
{
    (void)state;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    tern_call_options opts = options();
    a.action = TERN_TESTING_DROP;
    add(UNSAFE, &a);
    opts.timeout_ms = 40;
    tern_assert_status(call_with(&unsafe, &opts, "lost"), &st, TERN_DEADLINE_EXCEEDED, NULL);
    assert_true(tern_testing_server_wait_cancelled(peer, UNSAFE, 1, SOON_MS));
    const tern_testing_call *c = tern_testing_server_call(peer, UNSAFE, 0);
    assert_non_null(c);
    assert_true(c->complete && c->cancelled);
    assert_in_range(c->timeout_ms, 1, 40);
    assert_false(tern_testing_server_wait_cancelled(peer, UNSAFE, 2, 1));
}

static void test_resets(void **state)
{
    (void)state;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.action = TERN_TESTING_RESET_STREAM;
    a.reset_code = 11; /* ENHANCE_YOUR_CALM */
    add(UNSAFE, &a);
    tern_assert_status(call(&unsafe), &st, TERN_RESOURCE_EXHAUSTED, "ENHANCE_YOUR_CALM");
    a.reset_code = REFUSED_STREAM; /* nobody looked at it: any method is sent again, at once */
    add(UNSAFE, &a);
    assert_true(tern_testing_reply(peer, UNSAFE, "x", 1));
    tern_assert_ok(call(&unsafe), &st);
    tern_assert_previous_attempts(peer, UNSAFE, 2, 0);
    assert_false(tern_testing_server_call(peer, UNSAFE, 0)->cancelled);
    assert_int_equal(tern_testing_server_connections(peer), 1);
    a.action = TERN_TESTING_RESET_CONNECTION;
    add(UNSAFE, &a);
    tern_assert_status(call(&unsafe), &st, TERN_UNAVAILABLE, "connection");
    assert_true(tern_testing_reply(peer, UNSAFE, "again", 5));
    tern_assert_ok(call(&unsafe), &st); /* it connects again */
    assert_int_equal(tern_testing_server_connections(peer), 2);
    assert_int_equal(tern_testing_server_call(peer, UNSAFE, 4)->connection, 2);
}

/* GOAWAY says that this attempt was not begun, though one before it on the connection was. */
static void test_goaway(void **state)
{
    (void)state;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.action = TERN_TESTING_GOAWAY;
    assert_true(tern_testing_reply(peer, UNSAFE, "x", 1));
    add(UNSAFE, &a);
    assert_true(tern_testing_reply(peer, UNSAFE, "y", 1));
    tern_assert_ok(call(&unsafe), &st);
    tern_assert_ok(call(&unsafe), &st);
    assert_string_equal(got, "y");
    tern_channel_stats stats;
    tern_channel_stats_get(channel, &stats);
    assert_int_equal(stats.transparent_retries, 1);
    assert_int_equal(tern_testing_server_connections(peer), 2);
}

static void test_wrong_answers(void **state)
{
    (void)state;
    tern_testing_message m = { .len = 1 };
    tern_testing_answer good = TERN_TESTING_ANSWER_INIT, a[8];
    const char *says[] = { "size", "action", "when", "code", "replies is NULL",
                           "GOAWAY", "delayed", "no data" };
    for (int i = 0; i < 8; i++)
        a[i] = good;
    a[0].size = 0;
    a[1].action = (tern_testing_action)9;
    a[2].when = (tern_testing_when)9;
    a[3].code = (tern_code)17;
    a[4].n_replies = 1;
    a[5].action = TERN_TESTING_GOAWAY;
    a[5].headers = true;
    a[6].when = TERN_TESTING_PER_MESSAGE;
    a[6].delay_ms = 1;
    a[7].replies = &m;
    a[7].n_replies = 1;
    for (int i = 0; i < 8; i++)
        tern_assert_status(tern_testing_server_add(peer, SAFE, &a[i], &st), &st,
                           TERN_INVALID_ARGUMENT, says[i]);
    tern_assert_status(tern_testing_server_add(peer, "t.T/Safe", &good, &st), &st,
                       TERN_INVALID_ARGUMENT, "slash");
    tern_assert_status(tern_testing_server_add(peer, SAFE, NULL, &st), &st, TERN_INVALID_ARGUMENT,
                       SAFE);
    good.times = TERN_TESTING_ANSWERS_MAX;
    add(SAFE, &good);
    assert_false(tern_testing_fail(peer, SAFE, TERN_ABORTED, "one too many"));
}

/* --- streams ---------------------------------------------------------------------------------- */

static tern_stream *open_chat(void)
{
    tern_stream *s;
    tern_call_options opts = options();
    tern_assert_ok(tern_stream_open(channel, &chat, &opts, &s, &st), &st);
    return s;
}

static void expect(tern_stream *s, const char *text)
{
    const void *bytes;
    size_t len;
    if (!tern_stream_recv(s, &bytes, &len))
        fail_msg("no message, but \"%s\" was expected", text);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, len);
}

static void expect_end(tern_stream *s, tern_code code, const char *says)
{
    const void *bytes;
    size_t len;
    assert_false(tern_stream_recv(s, &bytes, &len));
    tern_assert_status(tern_stream_finish(s, &st), &st, code, says);
}

static void test_per_message(void **state)
{
    (void)state;
    const tern_testing_message replies[] = { { "a", 1, false }, { "bb", 2, false },
                                             { "", 0, false } };
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.when = TERN_TESTING_PER_MESSAGE;
    a.replies = replies;
    a.n_replies = 3;
    a.code = TERN_ABORTED;
    a.message = "enough";
    add(CHAT, &a);
    tern_stream *s = open_chat();
    assert_true(tern_stream_send(s, "1", 1));
    expect(s, "a");
    assert_true(tern_stream_send(s, "22", 2));
    expect(s, "bb");
    const tern_testing_call *c = tern_testing_server_call(peer, CHAT, 0);
    assert_int_equal(c->n_messages, 2);
    assert_false(c->complete);
    assert_true(tern_stream_close_send(s));
    expect(s, "");
    expect_end(s, TERN_ABORTED, "enough");
    c = tern_testing_server_call(peer, CHAT, 0);
    assert_true(c->complete);
    assert_memory_equal(c->messages[0].data, "1", 1);
    assert_int_equal(c->messages[1].len, 2);
    assert_memory_equal(c->messages[1].data, "22", 2);
}

/* An answer before the request is there; replies that get through before what ends the stream. */
static void test_stream_ends(void **state)
{
    (void)state;
    static char big[300000]; /* more than a window of the client's, at first */
    memset(big, 'b', sizeof big);
    const tern_testing_message replies[] = { { big, sizeof big, false }, { "last", 4, false } };
    static const struct {
        tern_testing_action action;
        tern_code code;
    } cases[] = { { TERN_TESTING_ANSWER, TERN_OK },
                  { TERN_TESTING_RESET_STREAM, TERN_CANCELLED },
                  { TERN_TESTING_RESET_CONNECTION, TERN_UNAVAILABLE },
                  { TERN_TESTING_DROP, TERN_CANCELLED } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const void *bytes;
        size_t len;
        tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
        a.action = cases[i].action;
        a.when = TERN_TESTING_AT_HEADERS;
        a.replies = replies;
        a.n_replies = 2;
        a.reset_code = 8;
        add(CHAT, &a);
        tern_stream *s = open_chat();
        assert_true(tern_stream_recv(s, &bytes, &len));
        assert_int_equal(len, sizeof big);
        assert_memory_equal(bytes, big, len);
        expect(s, "last");
        if (a.action == TERN_TESTING_DROP)
            tern_stream_cancel(s);
        expect_end(s, cases[i].code, NULL);
    }
    assert_true(tern_testing_server_wait_cancelled(peer, CHAT, 1, SOON_MS));
}

/* --- records ---------------------------------------------------------------------------------- */

static void test_record(void **state)
{
    (void)state;
    tern_call_options opts = options();
    tern_metadata *md = tern_metadata_new();
    assert_int_equal(tern_metadata_add(md, "x-tenant", "blue"), 0);
    assert_int_equal(tern_metadata_add(md, "x-tenant", "green"), 0);
    opts.metadata = md;
    opts.timeout_ms = 1500;
    assert_true(tern_testing_reply(peer, UNSAFE, "x", 1));
    tern_assert_ok(call_with(&unsafe, &opts, "request"), &st);
    opts.timeout_ms = 0;
    opts.metadata = NULL;
    assert_true(tern_testing_reply(peer, UNSAFE, "x", 1));
    tern_assert_ok(call_with(&unsafe, &opts, ""), &st);
    const tern_testing_call *c = tern_testing_server_call(peer, NULL, 0);
    assert_string_equal(c->path, UNSAFE);
    assert_string_not_equal(c->authority, "");
    tern_assert_metadata(c->metadata, "x-tenant", "blue");
    tern_assert_metadata(c->metadata, "x-tenant", "green");
    tern_assert_no_metadata(c->metadata, "grpc-timeout");
    assert_in_range(c->timeout_ms, 1, 1500);
    assert_int_equal(c->previous_attempts, 0);
    assert_int_equal(c->connection, 1);
    assert_int_equal(c->n_messages, 1);
    assert_int_equal(c->messages[0].len, 7);
    assert_memory_equal(c->messages[0].data, "request", 7);
    assert_true(c->complete);
    c = tern_testing_server_call(peer, NULL, 1);
    assert_int_equal(c->timeout_ms, -1);
    assert_int_equal(c->messages[0].len, 0);
    tern_assert_no_metadata(c->metadata, "x-tenant");
    assert_null(tern_testing_server_call(peer, NULL, 2));
    assert_null(tern_testing_server_call(peer, SAFE, 0));
    tern_metadata_free(md);
}

static void test_compressed(void **state)
{
    (void)state;
    static char long_one[5000];
    memset(long_one, 'l', sizeof long_one - 1);
    const tern_testing_message lie = { .data = "x", .len = 1, .compressed = true };
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    tern_call_options opts = options();
    opts.compression = TERN_COMPRESSION_GZIP;
    a.replies = &lie;
    a.n_replies = 1;
    add(UNSAFE, &a);
    tern_assert_status(call_with(&unsafe, &opts, long_one), &st, TERN_INTERNAL, "compressed");
    const tern_testing_call *c = tern_testing_server_call(peer, UNSAFE, 0);
    assert_int_equal(c->n_messages, 1);
    assert_true(c->messages[0].compressed);
    assert_in_range(c->messages[0].len, 1, 500);
    assert_true(tern_testing_reply(peer, UNSAFE, "x", 1));
    tern_assert_ok(call(&unsafe), &st);
    assert_false(tern_testing_server_call(peer, UNSAFE, 1)->messages[0].compressed);
}

static void test_too_many_connections(void **state)
{
    (void)state;
    const char *target = tern_testing_server_target(peer);
    tern_channel *ch[TERN_TESTING_CONNECTIONS_MAX];
    for (unsigned i = 0; i < TERN_TESTING_CONNECTIONS_MAX; i++) {
        tern_assert_ok(tern_channel_new(target, NULL, &ch[i], &st), &st);
        tern_assert_ok(tern_channel_wait_ready(ch[i], SOON_MS, &st), &st);
    }
    tern_assert_status(call(&unsafe), &st, TERN_UNAVAILABLE, NULL);
    tern_channel_free(ch[0]);
    assert_true(tern_testing_reply(peer, UNSAFE, "x", 1));
    int64_t until = probe_now_ms() + SOON_MS;
    while (call(&unsafe) != TERN_OK) { /* when it has seen the end of that one */
        assert_true(probe_now_ms() < until);
        probe_sleep_ms(2);
    }
    for (unsigned i = 1; i < TERN_TESTING_CONNECTIONS_MAX; i++)
        tern_channel_free(ch[i]);
}

static void *call_later(void *code)
{
    tern_call_options opts = options();
    void *bytes = NULL;
    size_t len;
    *(tern_code *)code = tern_call_unary(channel, &unsafe, &opts, "x", 1, &bytes, &len, NULL);
    free(bytes);
    return NULL;
}

static void test_wait(void **state)
{
    (void)state;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.action = TERN_TESTING_DROP;
    tern_assert_ok(tern_testing_server_set_default(peer, NULL, &a, &st), &st);
    int64_t began = probe_now_ms();
    assert_false(tern_testing_server_wait(peer, UNSAFE, 1, 20));
    assert_in_range(probe_now_ms() - began, 19, SOON_MS);
    pthread_t threads[3];
    tern_code codes[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_later, &codes[i]), 0);
    assert_true(tern_testing_server_wait(peer, UNSAFE, 3, SOON_MS));
    static const tern_method other = { .path = "/t.T/Other" };
    a.action = TERN_TESTING_RESET_CONNECTION; /* ends theirs, too */
    add(other.path, &a);
    tern_assert_status(call(&other), &st, TERN_UNAVAILABLE, NULL);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(codes[i], TERN_UNAVAILABLE);
    }
}

static void test_too_many_calls(void **state)
{
    (void)state;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    a.code = TERN_ABORTED;
    tern_assert_ok(tern_testing_server_set_default(peer, NULL, &a, &st), &st);
    for (unsigned i = 0; i < TERN_TESTING_CALLS_MAX; i++)
        tern_assert_status(call(&unsafe), &st, TERN_ABORTED, NULL);
    tern_assert_status(call(&unsafe), &st, TERN_RESOURCE_EXHAUSTED, "CALLS_MAX");
    tern_assert_attempts(peer, NULL, TERN_TESTING_CALLS_MAX);
}

/* --- assertions ------------------------------------------------------------------------------- */

typedef enum lie {
    LIE_OK, LIE_CODE, LIE_MESSAGE, LIE_VALUE, LIE_NO_KEY, LIE_ATTEMPTS, LIE_PREVIOUS, LIE_MISSING,
    LIE_USED, LIES
} lie;

static lie which;

static void tell_a_lie(void **state)
{
    (void)state;
    tern_metadata *md = tern_metadata_new();
    tern_metadata_add(md, "k", "v");
    tern_status_set(&st, TERN_ABORTED, "said this");
    switch (which) {
    case LIE_OK: tern_assert_ok(TERN_ABORTED, &st); break;
    case LIE_CODE: tern_assert_status(TERN_ABORTED, &st, TERN_NOT_FOUND, "said"); break;
    case LIE_MESSAGE: tern_assert_status(TERN_ABORTED, &st, TERN_ABORTED, "that"); break;
    case LIE_VALUE: tern_assert_metadata(md, "k", "w"); break;
    case LIE_NO_KEY: tern_assert_no_metadata(md, "k"); break;
    case LIE_ATTEMPTS: tern_assert_attempts(peer, UNSAFE, 2); break;
    case LIE_PREVIOUS: tern_assert_previous_attempts(peer, UNSAFE, 0, 1); break;
    case LIE_MISSING: tern_assert_previous_attempts(peer, UNSAFE, 1, 0); break;
    case LIE_USED: tern_assert_script_used(peer); break;
    case LIES: break;
    }
    tern_metadata_free(md);
}

/* Each assertion fails when it should, and says what was seen. They run in a process of their own:
 * cmocka does not nest. */
static void test_assertions_fail(void **state)
{
    (void)state;
    static const char *const says[] = { "said this",    "NOT_FOUND",    "that",
                                        "k: v",         "expected none", "1 attempt(s)",
                                        "said 0 previous", "no attempt 1", "1 scripted answer" };
    tern_assert_status(call(&unsafe), &st, TERN_UNIMPLEMENTED, NULL);
    assert_true(tern_testing_reply(peer, SAFE, "x", 1));
    char seen[512];
    assert_true(tern_testing_server_describe(peer, seen, sizeof seen) > 0);
    assert_non_null(strstr(seen, UNSAFE ", connection 1, previous attempts 0, messages 1"));
    assert_int_equal(tern_testing_server_describe(peer, seen, 8), 0);
    for (which = LIE_OK; which < LIES; which++) {
        char self[512], number[8], said[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        assert_true(n > 0);
        self[n] = '\0';
        snprintf(number, sizeof number, "%d", (int)which);
        char command[640];
        snprintf(command, sizeof command, "'%s' lie %s 2>&1", self, number);
        FILE *f = popen(command, "r");
        assert_non_null(f);
        size_t len = fread(said, 1, sizeof said - 1, f);
        said[len] = '\0';
        assert_int_not_equal(pclose(f), 0);
        if (!strstr(said, says[which]) || !strstr(said, "test_testing.c"))
            fail_msg("lie %d: \"%s\" is not in what was said:\n%s", (int)which, says[which], said);
    }
}

static int setup_lie(void **state)
{
    setup(state);
    tern_assert_status(call(&unsafe), &st, TERN_UNIMPLEMENTED, NULL);
    assert_true(tern_testing_reply(peer, SAFE, "x", 1));
    return 0;
}

/* --- a server of one's own -------------------------------------------------------------------- */

static tern_code answer(void *self, tern_server_call *c)
{
    size_t len;
    const void *request = tern_server_call_request(c, &len);
    atomic_fetch_add((atomic_int *)self, 1);
    void *response = tern_server_call_response_buffer(c, len);
    if (!response)
        return TERN_RESOURCE_EXHAUSTED;
    memcpy(response, request, len);
    return TERN_OK;
}

static void test_join(void **state)
{
    (void)state;
    atomic_int calls = 0;
    char target[TERN_TESTING_TARGET_MAX];
    tern_server *srv;
    tern_channel *own, *scripted = channel;
    tern_assert_ok(tern_server_new(NULL, &srv, &st), &st);
    tern_assert_ok(tern_server_add_raw(srv, &unsafe, answer, &calls, &st), &st);
    tern_assert_ok(tern_testing_listen(srv, target, &st), &st); /* a second way in */
    tern_assert_ok(tern_testing_join(srv, NULL, &own, &st), &st);
    channel = own;
    tern_assert_ok(call(&unsafe), &st);
    assert_string_equal(got, "hello");
    assert_string_not_equal(tern_channel_target(own), target);
    tern_assert_ok(tern_channel_new(target, NULL, &channel, &st), &st);
    tern_assert_ok(call(&unsafe), &st);
    assert_int_equal(atomic_load(&calls), 2);
    tern_channel_free(channel);
    tern_server_free(srv);
    tern_call_options opts = options();
    channel = own;
    tern_assert_status(call_with(&unsafe, &opts, "x"), &st, TERN_UNAVAILABLE, NULL);
    tern_channel_free(own);
    channel = scripted;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "lie") == 0) {
        const struct CMUnitTest lies[] = {
            cmocka_unit_test_setup_teardown(tell_a_lie, setup_lie, teardown),
        };
        which = (lie)atoi(argv[2]);
        return cmocka_run_group_tests_name("a lie", lies, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status_and_metadata, setup, teardown),
        cmocka_unit_test_setup_teardown(test_headers_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delay, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(test_pushback, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(test_drop, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(test_resets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_goaway, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_per_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stream_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compressed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_assertions_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_join, setup, teardown),
    };
    return cmocka_run_group_tests_name("testing", tests, NULL, NULL);
}
