/* Servers that break the rules, or keep them in ways that few do: a call ends with a status, in
 * time, and the client lives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/probe.h"
#include "support/rawh2.h"

#define PATIENCE_MS 10000
/* Deadline of the calls; a case that runs into it hangs. */
static int64_t call_ms = 4000;

/* One server for one connection: `act` runs when the request's header list is there. */
typedef struct odd_server {
    pthread_t thread;
    int listen_fd;
    uint16_t port;
    rawh2 raw;
    void (*act)(rawh2 *r);
    atomic_bool done; /* the client has its answer */
} odd_server;

static odd_server server;
static tern_status st;

static void *serve(void *arg)
{
    odd_server *s = arg;
    raw_frame f;
    if (!raw_accept(&s->raw, s->listen_fd, PATIENCE_MS))
        return NULL;
    if (raw_until(&s->raw, RAW_HEADERS, 1, &f, PATIENCE_MS))
        s->act(&s->raw);
    raw_send(&s->raw);
    while (!atomic_load(&s->done))
        probe_sleep_ms(1);
    raw_close(&s->raw);
    return NULL;
}

static tern_code call_odd(void (*act)(rawh2 *r), size_t request_len)
{
    static const tern_method m = { .path = "/t.T/M" };
    static uint8_t request[1024 * 1024];
    char target[64];
    void *bytes = NULL;
    size_t len;
    server.listen_fd = raw_listen(&server.port);
    server.act = act;
    atomic_store(&server.done, false);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", server.port);
    tern_channel *ch = probe_channel(target);
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = call_ms;
    st.message[0] = '\0';
    tern_code code = tern_call_unary(ch, &m, &opts, request, request_len, &bytes, &len, &st);
    free(bytes);
    atomic_store(&server.done, true);
    pthread_join(server.thread, NULL);
    close(server.listen_fd);
    tern_channel_free(ch);
    return code;
}

static size_t head(uint8_t *block)
{
    size_t n = 0;
    raw_field(block, &n, ":status", "200");
    raw_field(block, &n, "content-type", "application/grpc");
    return n;
}

static void put_head(rawh2 *r)
{
    uint8_t block[256];
    raw_put_frame(r, RAW_HEADERS, RAW_END_HEADERS, 1, block, head(block));
}

static void put_tail(rawh2 *r)
{
    uint8_t block[256];
    size_t n = 0;
    raw_field(block, &n, "grpc-status", "0");
    raw_put_frame(r, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 1, block, n);
}

/* --- unusual, but right ----------------------------------------------------------------------- */

static void answer(rawh2 *r)
{
    put_head(r);
    raw_put_empty_message(r, 1, 0);
    put_tail(r);
}

static void answer_byte_by_byte(rawh2 *r)
{
    uint8_t all[1024];
    answer(r);
    size_t n = r->n_out;
    memcpy(all, r->out, n);
    r->n_out = 0;
    for (size_t i = 0; i < n; i++) {
        raw_put(r, &all[i], 1);
        raw_send(r);
    }
}

static void answer_padded(rawh2 *r)
{
    static const uint8_t padded[] = { 4, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    put_head(r);
    raw_put_frame(r, RAW_DATA, RAW_PADDED, 1, padded, sizeof padded);
    put_tail(r);
}

static void answer_in_pieces(rawh2 *r)
{
    put_head(r);
    for (int i = 0; i < 5; i++)
        raw_put_frame(r, RAW_DATA, 0, 1, "\0", 1);
    raw_put_frame(r, RAW_DATA, 0, 1, NULL, 0);
    put_tail(r);
}

static void answer_with_noise(rawh2 *r)
{
    uint8_t block[64];
    size_t n = 0;
    raw_field(block, &n, ":status", "103");
    raw_put_frame(r, 0xaa, 0xff, 1, "extension", 9);
    raw_put_frame(r, RAW_PING, 0, 0, "12345678", 8);
    raw_put_frame(r, RAW_HEADERS, RAW_END_HEADERS, 1, block, n);
    raw_put_frame(r, RAW_SETTINGS, 0, 0, "\0\4\0\0\1\0", 6);
    raw_put_frame(r, RAW_PRIORITY, 0, 1, "\0\0\0\0\1", 5);
    raw_put_frame(r, RAW_WINDOW_UPDATE, 0, 0, "\0\0\1\0", 4);
    answer(r);
}

/* GOAWAY that keeps this stream, then its answer. */
static void answer_after_goaway(rawh2 *r)
{
    raw_put_frame(r, RAW_GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0bye", 11);
    raw_send(r);
    probe_sleep_ms(20);
    answer(r);
}

static void test_unusual(void **state)
{
    (void)state;
    static void (*const acts[])(
        rawh2 *) = { answer,           answer_byte_by_byte, answer_padded,
                     answer_in_pieces, answer_with_noise,   answer_after_goaway };
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        if (call_odd(acts[i], 3) != TERN_OK)
            fail_msg("case %zu: %s", i, st.message);
}

/* The whole answer before the request is out, and no RST_STREAM to say that it need not be sent. */
static void refuse_early(rawh2 *r)
{
    uint8_t block[256];
    size_t n = head(block);
    raw_field(block, &n, "grpc-status", "8");
    raw_field(block, &n, "grpc-message", "early");
    raw_put_frame(r, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 1, block, n);
}

static void test_early_answer(void **state)
{
    (void)state;
    assert_int_equal(call_odd(refuse_early, 1024 * 1024), TERN_RESOURCE_EXHAUSTED);
    assert_string_equal(st.message, "early");
    assert_int_equal(call_odd(answer, 1024 * 1024), TERN_OK);
}

/* --- wrong ------------------------------------------------------------------------------------ */

static void push(rawh2 *r)
{
    raw_put_frame(r, 5, 4, 1, "\0\0\0\2\x88", 5);
}
static void data_before_headers(rawh2 *r)
{
    raw_put_empty_message(r, 1, RAW_END_STREAM);
}
static void headers_of_another(rawh2 *r)
{
    uint8_t block[256];
    raw_put_frame(r, RAW_HEADERS, RAW_END_HEADERS, 7, block, head(block));
}
static void hpack_nonsense(rawh2 *r)
{
    raw_put_frame(r, RAW_HEADERS, RAW_END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff", 6);
}
static void huge_frame(rawh2 *r)
{
    static uint8_t big[20000];
    put_head(r);
    raw_put_frame(r, RAW_DATA, 0, 1, big, sizeof big);
}
static void window_overflow(rawh2 *r)
{
    raw_put_frame(r, RAW_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4);
}
static void bad_settings(rawh2 *r)
{
    raw_put_frame(r, RAW_SETTINGS, 0, 0, "\0\4\xff\xff\xff\xff", 6);
}
static void goaway_with_error(rawh2 *r)
{
    raw_put_frame(r, RAW_GOAWAY, 0, 0,
                  "\0\0\0\1\0\0\0\x0b"
                  "too_many_pings",
                  22);
    raw_send(r);
    shutdown(r->fd, SHUT_WR);
}
static void hang_up_in_the_middle(rawh2 *r)
{
    put_head(r);
    raw_put(r, "\0\0\5\0\1\0\0", 7);
    raw_send(r);
    shutdown(r->fd, SHUT_WR);
}
static void no_status(rawh2 *r)
{
    uint8_t block[64];
    size_t n = 0;
    raw_field(block, &n, "content-type", "application/grpc");
    raw_put_frame(r, RAW_HEADERS, RAW_END_HEADERS, 1, block, n);
}

static void test_wrong(void **state)
{
    (void)state;
    static void (*const acts[])(rawh2 *) = {
        push,           data_before_headers, headers_of_another,
        hpack_nonsense, huge_frame,          window_overflow,
        bad_settings,   goaway_with_error,   hang_up_in_the_middle,
        no_status,
    };
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        tern_code code = call_odd(acts[i], 3);
        if ((code != TERN_UNAVAILABLE && code != TERN_INTERNAL) || !st.message[0])
            fail_msg("case %zu: %s: %s", i, tern_code_name(code), st.message);
    }
}

/* What never ends: interim answers, empty frames, pings. The deadline does, or a limit. */
static void flood_1xx(rawh2 *r)
{
    uint8_t block[64];
    size_t n = 0;
    raw_field(block, &n, ":status", "103");
    while (!atomic_load(&server.done) && raw_send(r))
        for (int i = 0; i < 500; i++)
            raw_put_frame(r, RAW_HEADERS, RAW_END_HEADERS, 1, block, n);
    r->n_out = 0;
}
static void flood_empty_data(rawh2 *r)
{
    put_head(r);
    while (!atomic_load(&server.done) && raw_send(r))
        for (int i = 0; i < 500; i++)
            raw_put_frame(r, RAW_DATA, 0, 1, NULL, 0);
    r->n_out = 0;
}
static void flood_ping(rawh2 *r)
{
    while (!atomic_load(&server.done) && raw_send(r))
        for (int i = 0; i < 500; i++)
            raw_put_frame(r, RAW_PING, 0, 0, "12345678", 8);
    r->n_out = 0;
}
static void silence(rawh2 *r)
{
    (void)r;
}

static void test_endless(void **state)
{
    (void)state;
    static void (*const acts[])(rawh2 *) = { flood_1xx, flood_empty_data, flood_ping, silence };
    int64_t usual = call_ms;
    call_ms = 500;
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        int64_t began = probe_now_ms();
        tern_code code = call_odd(acts[i], 3);
        if (code != TERN_DEADLINE_EXCEEDED && code != TERN_UNAVAILABLE && code != TERN_INTERNAL)
            fail_msg("case %zu: %s: %s", i, tern_code_name(code), st.message);
        assert_true(probe_now_ms() - began < PATIENCE_MS);
    }
    call_ms = usual;
}

/* A call without a deadline does not listen to it for ever. */
static void test_endless_without_deadline(void **state)
{
    (void)state;
    int64_t usual = call_ms;
    call_ms = 0;
    assert_int_equal(call_odd(flood_1xx, 3), TERN_INTERNAL);
    assert_non_null(strstr(st.message, "1xx"));
    call_ms = usual;
}

/* A right answer, mutated. */
static tern__rng rng;

static void mutated(rawh2 *r)
{
    answer(r);
    for (int k = 0; k < 3; k++)
        r->out[tern__rng_below(&rng, (uint32_t)r->n_out)] = (uint8_t)tern__rng_next(&rng);
    raw_send(r);
    shutdown(r->fd, SHUT_WR);
}

static void test_mutated(void **state)
{
    (void)state;
    tern__rng_seed(&rng, 8);
    for (int i = 0; i < 200; i++) {
        tern_code code = call_odd(mutated, 3);
        assert_true(code <= TERN_UNAUTHENTICATED);
        assert_int_not_equal(code, TERN_DEADLINE_EXCEEDED);
    }
}

typedef struct talker {
    int listen_fd;
    const char *words;
} talker;

/* Says its words to the first client, and waits until that has gone. */
static void *talk(void *arg)
{
    const talker *t = arg;
    char bytes[4096];
    int fd = accept(t->listen_fd, NULL, NULL);
    send(fd, t->words, strlen(t->words), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
    close(fd);
    return NULL;
}

/* A server of another protocol: the status says so, and what it said. */
static void speaks_otherwise(const char *words, const char *expected)
{
    char target[64];
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    uint16_t port;
    int listen_fd = raw_listen(&port);
    options.breaker.disabled = options.retry.disabled = true;
    opts.timeout_ms = PATIENCE_MS;
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    tern_channel *ch = probe_channel_with(target, &options);
    talker t = { .listen_fd = listen_fd, .words = words };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, talk, &t), 0);
    assert_int_equal(probe_echo(ch, &opts, "x", &st), TERN_UNAVAILABLE);
    if (!strstr(st.message, expected))
        fail_msg("no \"%s\" in \"%s\"", expected, st.message);
    tern_channel_free(ch);
    pthread_join(thread, NULL);
    close(listen_fd);
}

static void test_other_protocols(void **state)
{
    (void)state;
    speaks_otherwise("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
                     "it does not speak HTTP/2, which gRPC needs, but HTTP/1 on this port: it said "
                     "\"HTTP/1.1 400 Bad Request\"");
    speaks_otherwise("SSH-2.0-OpenSSH_9.2\r\n",
                     "it does not speak HTTP/2 on this port: it said \"SSH-2.0-OpenSSH_9.2\"");
    speaks_otherwise("\x15\x03\x01\x02\x02\x46", "this port takes TLS only");
    speaks_otherwise("\x01\x02\x03 of no protocol that anybody knows",
                     "the HTTP/2 session with the server failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unusual), cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_wrong),   cmocka_unit_test(test_endless),
        cmocka_unit_test(test_endless_without_deadline),
        cmocka_unit_test(test_mutated),
        cmocka_unit_test(test_other_protocols),
    };
    return cmocka_run_group_tests_name("odd servers", tests, NULL, NULL);
}
