/* Streams from the client's side, against a peer that does frame by frame what a case asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <tern/tern.h>

#include "client/streaming_parts.h"
#include "support/probe.h"
#include "support/rawh2.h"

#define PATIENCE_MS 10000
/* The window of a peer that announces none (RFC 9113, 6.9.2). */
#define WINDOW 65535u

typedef struct peer {
    pthread_t thread;
    int listen_fd;
    uint16_t port;
    rawh2 raw;
    raw_frame f;
    void (*act)(struct peer *p);
    atomic_uint step;    /* how far the peer is */
    atomic_bool go;      /* the test's word to the peer */
    size_t received;     /* bytes of DATA */
    unsigned window_updates;
    uint32_t reset;      /* error code of RST_STREAM, UINT32_MAX: none */
    atomic_bool done;
} peer;

static peer p;
static tern_channel *ch;
static tern_status st;
static const tern_method bidi = { .path = "/t.T/Bidi", .kind = TERN_KIND_BIDI_STREAMING };

static void *serve(void *arg)
{
    peer *self = arg;
    if (!raw_accept(&self->raw, self->listen_fd, PATIENCE_MS))
        return NULL;
    if (raw_until(&self->raw, RAW_HEADERS, 1, &self->f, PATIENCE_MS))
        self->act(self);
    raw_send(&self->raw);
    while (!atomic_load(&self->done))
        probe_sleep_ms(1);
    raw_close(&self->raw);
    return NULL;
}

static tern_stream *start(void (*act)(peer *), const tern_call_options *opts)
{
    char target[64];
    tern_stream *s = NULL;
    memset(&p, 0, sizeof p);
    p.reset = UINT32_MAX;
    p.listen_fd = raw_listen(&p.port);
    p.act = act;
    assert_int_equal(pthread_create(&p.thread, NULL, serve, &p), 0);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", p.port);
    ch = probe_channel(target);
    st.message[0] = '\0';
    assert_int_equal(tern_stream_open(ch, &bidi, opts, &s, &st), TERN_OK);
    return s;
}

static void stop(void)
{
    atomic_store(&p.done, true);
    pthread_join(p.thread, NULL);
    close(p.listen_fd);
    tern_channel_free(ch);
}

static void await_go(peer *self)
{
    for (int64_t until = probe_now_ms() + PATIENCE_MS;
         !atomic_load(&self->go) && probe_now_ms() < until;)
        probe_sleep_ms(1);
}

/* --- what the peer says ----------------------------------------------------------------------- */

static void put_head(peer *self)
{
    uint8_t block[256];
    size_t n = 0;
    raw_field(block, &n, ":status", "200");
    raw_field(block, &n, "content-type", "application/grpc");
    raw_field(block, &n, "x-first", "one");
    raw_put_frame(&self->raw, RAW_HEADERS, RAW_END_HEADERS, 1, block, n);
}

static void put_end(peer *self, const char *code, bool only)
{
    uint8_t block[256];
    size_t n = 0;
    if (only) {
        raw_field(block, &n, ":status", "200");
        raw_field(block, &n, "content-type", "application/grpc");
    }
    raw_field(block, &n, "grpc-status", code);
    raw_field(block, &n, "grpc-message", "as told");
    raw_field(block, &n, "x-last", "two");
    raw_put_frame(&self->raw, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 1, block, n);
}

static size_t message(uint8_t *to, uint8_t fill, size_t len)
{
    memset(to, 0, 5);
    to[1] = (uint8_t)(len >> 24);
    to[2] = (uint8_t)(len >> 16);
    to[3] = (uint8_t)(len >> 8);
    to[4] = (uint8_t)len;
    memset(to + 5, fill, len);
    return len + 5;
}

static void put_message(peer *self, uint8_t fill, size_t len)
{
    uint8_t bytes[20000];
    size_t n = message(bytes, fill, len);
    raw_put_frame(&self->raw, RAW_DATA, 0, 1, bytes, n);
}

/* Reads frames until the end of the requests, a reset, or the end of the connection; says what came
 * in the peer's counters. With `echo`, DATA goes straight back. */
static void read_all(peer *self, bool echo)
{
    while (raw_next(&self->raw, &self->f, PATIENCE_MS)) {
        raw_frame *f = &self->f;
        if (f->type == RAW_WINDOW_UPDATE && f->stream == 1)
            self->window_updates++;
        if (f->type == RAW_RST_STREAM) {
            memcpy(&self->reset, f->payload, 4);
            self->reset = __builtin_bswap32(self->reset);
            return;
        }
        if (f->type != RAW_DATA)
            continue;
        self->received += f->len;
        if (echo && f->len) {
            uint8_t inc[4] = { 0, (uint8_t)(f->len >> 16), (uint8_t)(f->len >> 8),
                               (uint8_t)f->len };
            raw_put_frame(&self->raw, RAW_WINDOW_UPDATE, 0, 0, inc, 4);
            raw_put_frame(&self->raw, RAW_WINDOW_UPDATE, 0, 1, inc, 4);
            raw_put_frame(&self->raw, RAW_DATA, 0, 1, f->payload, f->len);
            if (!raw_send(&self->raw))
                return;
        }
        if (f->flags & RAW_END_STREAM)
            return;
    }
}

/* --- cases ------------------------------------------------------------------------------------ */

static void act_echo(peer *self)
{
    put_head(self);
    raw_send(&self->raw);
    read_all(self, true);
    put_end(self, "0", false);
}

static void test_ping_pong(void **state)
{
    (void)state;
    const void *data;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.ret_initial_metadata = tern_metadata_new();
    opts.ret_trailing_metadata = tern_metadata_new();
    opts.timeout_ms = PATIENCE_MS;
    tern_call_options gone = opts; /* what a function that opens a stream has on its stack */
    tern_stream *s = start(act_echo, &gone);
    memset(&gone, 0xaa, sizeof gone);
    assert_string_equal(tern_metadata_get(tern_stream_initial_metadata(s), "x-first"), "one");
    for (unsigned i = 0; i < 300; i++) {
        assert_true(tern_stream_send(s, &i, i % 5));
        assert_true(tern_stream_recv(s, &data, &len));
        assert_int_equal(len, i % 5);
        assert_memory_equal(data, &i, len);
    }
    assert_true(tern_stream_close_send(s));
    assert_true(tern_stream_close_send(s)); /* again: nothing happens */
    assert_false(tern_stream_send(s, "x", 1));
    assert_false(tern_stream_recv(s, &data, &len));
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_OK);
    assert_string_equal(tern_metadata_get(opts.ret_initial_metadata, "x-first"), "one");
    assert_string_equal(tern_metadata_get(opts.ret_trailing_metadata, "x-last"), "two");
    assert_int_equal(p.reset, UINT32_MAX);
    tern_metadata_free(opts.ret_initial_metadata);
    tern_metadata_free(opts.ret_trailing_metadata);
    stop();
}

/* Messages across frame borders: byte by byte, several in one frame, padded, empty ones. */
static void act_odd_borders(peer *self)
{
    uint8_t bytes[64], padded[64];
    size_t n = message(bytes, 'a', 3);
    put_head(self);
    for (size_t i = 0; i < n; i++)
        raw_put_frame(&self->raw, RAW_DATA, 0, 1, bytes + i, 1);
    n = message(bytes, 'b', 0);
    n += message(bytes + n, 'c', 2);
    n += message(bytes + n, 'd', 0);
    padded[0] = 7;
    memcpy(padded + 1, bytes, n);
    memset(padded + 1 + n, 0, 7);
    raw_put_frame(&self->raw, RAW_DATA, RAW_PADDED, 1, padded, n + 8);
    put_end(self, "0", false);
}

static void test_odd_borders(void **state)
{
    (void)state;
    static const char *const want[] = { "aaa", "", "cc", "" };
    const void *data;
    size_t len;
    tern_stream *s = start(act_odd_borders, NULL);
    for (int i = 0; i < 4; i++) {
        assert_true(tern_stream_recv(s, &data, &len));
        assert_int_equal(len, strlen(want[i]));
        assert_memory_equal(data, want[i], len);
    }
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_OK);
    stop();
}

static void act_fail_late(peer *self)
{
    put_head(self);
    put_message(self, 'x', 10);
    put_message(self, 'y', 10);
    put_end(self, "9", false);
}

static void test_status_after_messages(void **state)
{
    (void)state;
    const void *data;
    size_t len;
    tern_stream *s = start(act_fail_late, NULL);
    assert_true(tern_stream_recv(s, &data, &len));
    assert_true(tern_stream_recv(s, &data, &len));
    assert_int_equal(((const char *)data)[9], 'y');
    assert_false(tern_stream_recv(s, &data, &len));
    assert_false(tern_stream_send(s, "x", 1));
    assert_int_equal(tern_stream_finish(s, &st), TERN_FAILED_PRECONDITION);
    assert_string_equal(st.message, "as told");
    stop();
}

static void act_trailers_only(peer *self)
{
    put_end(self, "5", true);
}

static void test_trailers_only(void **state)
{
    (void)state;
    const void *data;
    size_t len;
    tern_stream *s = start(act_trailers_only, NULL);
    assert_int_equal(tern_metadata_count(tern_stream_initial_metadata(s)), 0);
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_NOT_FOUND);
    stop();
}

static void act_short(peer *self)
{
    uint8_t bytes[64];
    put_head(self);
    message(bytes, 'x', 20);
    raw_put_frame(&self->raw, RAW_DATA, 0, 1, bytes, 24);
    put_end(self, "0", false);
}

static void act_compressed(peer *self)
{
    put_head(self);
    raw_put_frame(&self->raw, RAW_DATA, 0, 1, "\1\0\0\0\1x", 6);
    raw_send(&self->raw);
    read_all(self, false);
}

static void act_bad_flag(peer *self)
{
    put_head(self);
    put_message(self, 'x', 1);
    raw_put_frame(&self->raw, RAW_DATA, 0, 1, "\7\0\0\0\1x", 6);
    raw_send(&self->raw);
    read_all(self, false);
}

static void act_too_large(peer *self)
{
    put_head(self);
    put_message(self, 'x', 2000);
    put_message(self, 'x', 2001);
    raw_send(&self->raw);
    read_all(self, false);
}

static void act_reset(peer *self)
{
    put_head(self);
    put_message(self, 'x', 1);
    raw_put_frame(&self->raw, RAW_RST_STREAM, 0, 1, "\0\0\0\13", 4);
}

static void act_vanish(peer *self)
{
    put_head(self);
    put_message(self, 'x', 1);
    raw_send(&self->raw);
    close(self->raw.fd);
    self->raw.fd = -1;
}

static void act_not_grpc(peer *self)
{
    uint8_t block[256];
    size_t n = 0;
    raw_field(block, &n, ":status", "503");
    raw_field(block, &n, "content-type", "text/html");
    raw_put_frame(&self->raw, RAW_HEADERS, RAW_END_HEADERS, 1, block, n);
    raw_put_frame(&self->raw, RAW_DATA, RAW_END_STREAM, 1, "<html>", 6);
}

static void test_bad_ends(void **state)
{
    (void)state;
    static const struct {
        void (*act)(peer *);
        unsigned messages;
        tern_code code;
    } cases[] = {
        { act_short, 0, TERN_INTERNAL },
        { act_compressed, 0, TERN_INTERNAL },
        { act_bad_flag, 1, TERN_INTERNAL },
        { act_too_large, 1, TERN_RESOURCE_EXHAUSTED },
        { act_reset, 1, TERN_RESOURCE_EXHAUSTED },
        { act_vanish, 1, TERN_UNAVAILABLE },
        { act_not_grpc, 0, TERN_UNAVAILABLE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const void *data;
        size_t len;
        unsigned n = 0;
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.timeout_ms = PATIENCE_MS;
        opts.receive_message_bytes_max = 2000;
        tern_stream *s = start(cases[i].act, &opts);
        while (tern_stream_recv(s, &data, &len))
            n++;
        assert_int_equal(n, cases[i].messages);
        assert_int_equal(tern_stream_finish(s, &st), cases[i].code);
        assert_true(st.message[0]);
        stop();
    }
}

/* --- back-pressure ---------------------------------------------------------------------------- */

static void act_never_opens(peer *self)
{
    read_all(self, false);
}

/* A server that takes nothing beyond its window: the sender waits, nothing grows. */
static void test_send_waits(void **state)
{
    (void)state;
    static uint8_t chunk[1000];
    size_t sent = 0;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 300;
    tern_stream *s = start(act_never_opens, &opts);
    while (tern_stream_send(s, chunk, sizeof chunk))
        sent += sizeof chunk;
    assert_in_range(sent, WINDOW, WINDOW + TERN_LIMIT_STREAM_SEND_BYTES + 2 * sizeof chunk);
    assert_int_equal(tern_stream_finish(s, &st), TERN_DEADLINE_EXCEEDED);
    stop();
    assert_in_range(p.received, WINDOW - 1005, WINDOW);
    assert_int_equal(p.reset, 8); /* CANCEL */
}

static void act_flood(peer *self)
{
    uint8_t bytes[10005];
    size_t sent = 0, n = message(bytes, 'f', 10000);
    put_head(self);
    for (; sent + n <= TERN_LIMIT_STREAM_WINDOW_BYTES; sent += n) {
        raw_put_frame(&self->raw, RAW_DATA, 0, 1, bytes, n);
        raw_send(&self->raw);
    }
    raw_send(&self->raw);
    self->received = sent;
    atomic_store(&self->step, 1);
    /* While nobody receives no window opens; a PING shows that all was read. */
    raw_put_frame(&self->raw, RAW_PING, 0, 0, "12345678", 8);
    raw_send(&self->raw);
    while (raw_next(&self->raw, &self->f, PATIENCE_MS) && self->f.type != RAW_PING)
        self->window_updates += self->f.type == RAW_WINDOW_UPDATE && self->f.stream == 1;
    atomic_store(&self->step, 2);
    if (!raw_until(&self->raw, RAW_WINDOW_UPDATE, 1, &self->f, PATIENCE_MS))
        return;
    atomic_store(&self->step, 3);
    put_end(self, "0", false);
}

/* A program that does not receive: the stream's window stays shut until it does. */
static void test_receive_opens_window(void **state)
{
    (void)state;
    const void *data;
    size_t len, n = 0;
    tern_stream *s = start(act_flood, NULL);
    assert_true(probe_wait(&p.step, 2));
    assert_int_equal(p.window_updates, 0);
    while (tern_stream_recv(s, &data, &len))
        n += len + 5;
    assert_int_equal(n, p.received);
    assert_int_equal(atomic_load(&p.step), 3);
    assert_int_equal(tern_stream_finish(s, &st), TERN_OK);
    stop();
}

/* --- cancellation ----------------------------------------------------------------------------- */

static void *cancel_soon(void *s)
{
    probe_sleep_ms(50);
    tern_stream_cancel(s);
    return NULL;
}

static void test_cancel_while_waiting(void **state)
{
    (void)state;
    static uint8_t chunk[1000];
    for (int sending = 0; sending < 2; sending++) {
        pthread_t thread;
        const void *data;
        size_t len;
        tern_stream *s = start(act_never_opens, NULL);
        assert_int_equal(pthread_create(&thread, NULL, cancel_soon, s), 0);
        if (sending)
            while (tern_stream_send(s, chunk, sizeof chunk))
                ;
        else
            assert_false(tern_stream_recv(s, &data, &len));
        pthread_join(thread, NULL);
        assert_int_equal(tern_stream_finish(s, &st), TERN_CANCELLED);
        stop();
        assert_int_equal(p.reset, 8);
    }
}

static void *cancel_context_soon(void *ctx)
{
    probe_sleep_ms(50);
    tern_context_cancel(ctx);
    return NULL;
}

static void test_context_and_deadline(void **state)
{
    (void)state;
    pthread_t thread;
    const void *data;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.context = tern_context_new(NULL, 0);
    tern_stream *s = start(act_never_opens, &opts);
    assert_int_equal(pthread_create(&thread, NULL, cancel_context_soon, opts.context), 0);
    assert_false(tern_stream_recv(s, &data, &len));
    pthread_join(thread, NULL);
    assert_int_equal(tern_stream_finish(s, &st), TERN_CANCELLED);
    stop();
    tern_context_free(opts.context);
    opts.context = NULL;
    opts.timeout_ms = 50;
    s = start(act_never_opens, &opts);
    assert_false(tern_stream_recv(s, &data, &len));
    assert_false(tern_stream_send(s, "x", 1));
    assert_int_equal(tern_stream_finish(s, &st), TERN_DEADLINE_EXCEEDED);
    assert_string_equal(st.message, "the deadline passed before the server had answered");
    stop();
    assert_int_equal(p.reset, 8);
}

/* A server cancels the context of a call that runs into its deadline. Calls made on its behalf have
 * the same deadline, and that is what ends them, whoever is the first to notice. */
static void test_context_with_deadline(void **state)
{
    (void)state;
    const void *data;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.context = tern_context_new(NULL, 50);
    tern_stream *s = start(act_never_opens, &opts);
    while (tern_context_error(opts.context) != TERN_DEADLINE_EXCEEDED)
        probe_sleep_ms(5);
    tern_context_cancel(opts.context);
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_DEADLINE_EXCEEDED);
    stop();
    tern_context_free(opts.context);
}

static void act_stall(peer *self)
{
    put_head(self);
    put_message(self, 'a', 3);
    raw_send(&self->raw);
    read_all(self, false);
}

/* The status does not deny what has come. */
static void test_deadline_within_answer(void **state)
{
    (void)state;
    const void *data;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 300;
    tern_stream *s = start(act_stall, &opts);
    assert_true(tern_stream_recv(s, &data, &len));
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_DEADLINE_EXCEEDED);
    assert_string_equal(st.message, "the deadline passed before the server's answer had ended");
    stop();
    assert_int_equal(p.reset, 8);
}

static void act_fail_by_deadline(peer *self)
{
    put_head(self);
    put_message(self, 'a', 3);
    put_message(self, 'b', 4);
    put_message(self, 'c', 5);
    put_end(self, "4", false);
    raw_send(&self->raw);
    read_all(self, false);
}

/* The deadline was the server's, or of whom it asked: what it had to say before is heard. */
static void test_deadline_of_the_server(void **state)
{
    (void)state;
    const void *data;
    size_t len;
    tern_stream *s = start(act_fail_by_deadline, NULL);
    probe_sleep_ms(50); /* all has come by then */
    for (size_t i = 0; i < 3; i++) {
        assert_true(tern_stream_recv(s, &data, &len));
        assert_int_equal(len, 3 + i);
    }
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_DEADLINE_EXCEEDED);
    assert_string_equal(st.message, "as told");
    stop();
}

static void act_all_at_once(peer *self)
{
    put_head(self);
    put_message(self, 'a', 3);
    raw_send(&self->raw);
    await_go(self);
    put_message(self, 'b', 10000);
    put_end(self, "0", false);
    raw_send(&self->raw);
    read_all(self, false);
}

/* What was cancelled is CANCELLED, and not OK, if messages are left that nobody will get. */
static void test_cancel_behind_the_end(void **state)
{
    (void)state;
    const void *data;
    size_t len;
    tern_stream *s = start(act_all_at_once, NULL);
    assert_true(tern_stream_recv(s, &data, &len));
    atomic_store(&p.go, true);
    for (int64_t until = probe_now_ms() + PATIENCE_MS; probe_now_ms() < until;) {
        pthread_mutex_lock(&s->t->lock);
        bool done = s->s.done;
        pthread_mutex_unlock(&s->t->lock);
        if (done)
            break;
        probe_sleep_ms(1);
    }
    tern_stream_cancel(s);
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_CANCELLED);
    assert_non_null(strstr(st.message, "cancelled by its caller"));
    stop();
}

static void act_go_on(peer *self)
{
    put_head(self);
    for (int i = 0; i < 10; i++)
        put_message(self, 'x', 100);
    raw_send(&self->raw);
    atomic_store(&self->step, 1);
    read_all(self, false);
}

static void test_finish_early(void **state)
{
    (void)state;
    const void *data;
    size_t len;
    tern_stream *s = start(act_go_on, NULL);
    assert_true(probe_wait(&p.step, 1));
    assert_true(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_CANCELLED);
    stop();
    assert_int_equal(p.reset, 8);
}

/* --- threads ---------------------------------------------------------------------------------- */

#define MANY 20000u

static void *send_many(void *s)
{
    for (uint32_t i = 0; i < MANY; i++)
        if (!tern_stream_send(s, &i, sizeof i))
            return NULL;
    tern_stream_close_send(s);
    return NULL;
}

static void test_send_and_receive_at_once(void **state)
{
    (void)state;
    pthread_t thread;
    const void *data;
    size_t len;
    uint32_t n = 0;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 6 * PATIENCE_MS;
    tern_stream *s = start(act_echo, &opts);
    assert_int_equal(pthread_create(&thread, NULL, send_many, s), 0);
    while (tern_stream_recv(s, &data, &len)) {
        assert_int_equal(len, 4);
        assert_memory_equal(data, &n, 4);
        n++;
    }
    pthread_join(thread, NULL);
    assert_int_equal(tern_stream_finish(s, &st), TERN_OK);
    assert_int_equal(n, MANY);
    stop();
}

/* Buffered messages leave when they are many, when this side receives, flushes or closes. */
static void test_buffering(void **state)
{
    (void)state;
    const void *data;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    tern_stream *s = start(act_echo, &opts);
    tern_stream_set_buffering(s, true);
    for (uint32_t i = 0; i < 5000; i++) /* more than the buffer */
        assert_true(tern_stream_send(s, &i, sizeof i));
    for (uint32_t i = 0; i < 5000; i++) {
        assert_true(tern_stream_recv(s, &data, &len));
        assert_memory_equal(data, &i, 4);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(tern_stream_send(s, &i, sizeof i));
        if (i == 1)
            assert_true(tern_stream_flush(s));
        assert_true(tern_stream_recv(s, &data, &len)); /* flushes by itself */
    }
    assert_true(tern_stream_send(s, "last", 4));
    assert_true(tern_stream_close_send(s));
    assert_true(tern_stream_recv(s, &data, &len));
    assert_memory_equal(data, "last", 4);
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_OK);
    stop();
}

static void act_break_while_sending(peer *self)
{
    put_head(self);
    raw_send(&self->raw);
    await_go(self); /* the client's sender waits for a window */
    raw_put_frame(&self->raw, RAW_DATA, 0, 1, "\2\0\0\0\1x", 6);
    raw_send(&self->raw);
    read_all(self, false);
}

static void *send_until_over(void *s)
{
    static uint8_t chunk[100000];
    while (tern_stream_send(s, chunk, sizeof chunk))
        ;
    return NULL;
}

/* The sender leads, asleep in poll, when the receiver finds what is no message: it must hear of
 * it. */
static void test_receiver_breaks_for_sender(void **state)
{
    (void)state;
    pthread_t thread;
    const void *data;
    size_t len;
    tern_stream *s = start(act_break_while_sending, NULL);
    assert_int_equal(pthread_create(&thread, NULL, send_until_over, s), 0);
    probe_sleep_ms(100);
    atomic_store(&p.go, true);
    assert_false(tern_stream_recv(s, &data, &len));
    pthread_join(thread, NULL);
    assert_int_equal(tern_stream_finish(s, &st), TERN_INTERNAL);
    stop();
}

static void act_goaway_first(peer *self)
{
    put_head(self);
    put_message(self, 'x', 5);
    raw_put_frame(&self->raw, RAW_GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
    raw_send(&self->raw);
    await_go(self);
    put_message(self, 'y', 5);
    put_end(self, "0", false);
}

/* A connection that takes no new streams still carries the old ones to their end. */
static void test_goaway_lets_finish(void **state)
{
    (void)state;
    const void *data;
    size_t len;
    tern_stream *s = start(act_goaway_first, NULL);
    assert_true(tern_stream_recv(s, &data, &len));
    atomic_store(&p.go, true);
    assert_true(tern_stream_recv(s, &data, &len));
    assert_memory_equal(data, "yyyyy", 5);
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_OK);
    stop();
}

static void test_refused_at_once(void **state)
{
    (void)state;
    tern_stream *s = NULL;
    tern_channel *nobody = probe_channel("ipv4:127.0.0.1:1");
    st.message[0] = '\0';
    assert_int_equal(tern_stream_open(nobody, &bidi, NULL, &s, &st), TERN_UNAVAILABLE);
    assert_null(s);
    assert_true(st.message[0]);
    tern_channel_free(nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping_pong),
        cmocka_unit_test(test_odd_borders),
        cmocka_unit_test(test_status_after_messages),
        cmocka_unit_test(test_trailers_only),
        cmocka_unit_test(test_bad_ends),
        cmocka_unit_test(test_send_waits),
        cmocka_unit_test(test_receive_opens_window),
        cmocka_unit_test(test_cancel_while_waiting),
        cmocka_unit_test(test_deadline_within_answer),
        cmocka_unit_test(test_deadline_of_the_server),
        cmocka_unit_test(test_cancel_behind_the_end),
        cmocka_unit_test(test_context_and_deadline),
        cmocka_unit_test(test_context_with_deadline),
        cmocka_unit_test(test_finish_early),
        cmocka_unit_test(test_send_and_receive_at_once),
        cmocka_unit_test(test_buffering),
        cmocka_unit_test(test_receiver_breaks_for_sender),
        cmocka_unit_test(test_goaway_lets_finish),
        cmocka_unit_test(test_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
