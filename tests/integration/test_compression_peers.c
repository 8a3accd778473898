/* Compressed messages (grpc doc/compression.md): a raw client against a server of Tern, and a
 * client of Tern against a raw server, which say what no honest library would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/hpack.h"
#include "support/packing.h"
#include "support/probe.h"
#include "support/rawh2.h"
#include "wire/compress.h"

/* --- a raw client ----------------------------------------------------------------------------- */

typedef struct raw_answer {
    hpack head;     /* the first list */
    char status[8]; /* of the last */
    char message[512];
    uint8_t body[70000];
    size_t len;
} raw_answer;

static raw_answer got;

/* Makes one call with these fields (pairs, NULL at the end) and this body, flag and all. `last` is
 * the connection's decoder; the last list is left in it. */
static void raw_call_on(rawh2 *raw, uint32_t stream, hpack *last, const char *path,
                        const char *const *fields, tern__bytes body)
{
    uint8_t block[4096];
    size_t n = 0;
    raw_frame f;
    raw_field(block, &n, ":method", "POST");
    raw_field(block, &n, ":scheme", "http");
    raw_field(block, &n, ":path", path);
    raw_field(block, &n, ":authority", "test");
    raw_field(block, &n, "te", "trailers");
    raw_field(block, &n, "content-type", "application/grpc");
    for (; fields && fields[0]; fields += 2)
        raw_field(block, &n, fields[0], fields[1]);
    raw_put_frame(raw, RAW_HEADERS, RAW_END_HEADERS, stream, block, n);
    raw_put_frame(raw, RAW_DATA, RAW_END_STREAM, stream, body.data, body.len);
    assert_true(raw_send(raw));
    memset(&got, 0, sizeof got);
    for (bool end = false, first = true; !end;) {
        assert_true(raw_next(raw, &f, PACK_PATIENCE_MS));
        if (f.stream != stream)
            continue;
        assert_int_not_equal(f.type, RAW_RST_STREAM);
        end = f.type != RAW_WINDOW_UPDATE && f.flags & RAW_END_STREAM;
        if (f.type == RAW_HEADERS) {
            hpack_read(last, f.payload, f.len);
            if (first)
                got.head = *last;
            first = false;
        } else if (f.type == RAW_DATA) {
            assert_true(got.len + f.len <= sizeof got.body);
            memcpy(got.body + got.len, f.payload, f.len);
            got.len += f.len;
        }
    }
    snprintf(got.status, sizeof got.status, "%s", hpack_get(last, "grpc-status"));
    const char *message = hpack_get(last, "grpc-message");
    snprintf(got.message, sizeof got.message, "%s", message ? message : "");
}

/* On a connection of its own. */
static void raw_call(const char *path, const char *const *fields, const void *body, size_t len)
{
    static rawh2 raw;
    hpack last;
    raw_connect(&raw, pack.port, true);
    hpack_init(&last);
    raw_call_on(&raw, 1, &last, path, fields, (tern__bytes){ body, len });
    hpack_deinit(&last);
    raw_close(&raw);
}

/* A message with its prefix. */
static size_t framed(uint8_t *out, bool compressed, const void *data, size_t len)
{
    out[0] = compressed;
    out[1] = (uint8_t)(len >> 24);
    out[2] = (uint8_t)(len >> 16);
    out[3] = (uint8_t)(len >> 8);
    out[4] = (uint8_t)len;
    memcpy(out + 5, data, len);
    return 5 + len;
}

static size_t packed(uint8_t *out, tern_compression e, const void *data, size_t len)
{
    static uint8_t room[100000];
    size_t n;
    tern__compressor *c = tern__compressor_new();
    assert_int_equal(tern__compress(c, e, (tern__bytes){ data, len }, room, sizeof room, &n), 0);
    tern__compressor_free(c);
    return framed(out, true, room, n);
}

static const char *const paths[] = { "/t.T/Echo", "/t.T/Sum" };

/* Compressed flag, but no grpc-encoding, or identity: INTERNAL (protocol.md, "Messages"). */
static void test_flag_without_encoding(void **state)
{
    (void)state;
    uint8_t body[1000];
    size_t len = packed(body, TERN_COMPRESSION_GZIP, "hello", 5);
    static const char *const identity[] = { "grpc-encoding", "identity", NULL };
    for (int i = 0; i < 4; i++) {
        raw_call(paths[i / 2], i % 2 ? identity : NULL, body, len);
        assert_string_equal(got.status, "13");
        assert_non_null(strstr(got.message, "marked as compressed"));
    }
}

/* Unknown encoding: UNIMPLEMENTED and what would do, whether or not a message has its flag set. */
static void test_unknown_encoding(void **state)
{
    (void)state;
    static const char *const snappy[] = { "grpc-encoding", "snappy", NULL };
    uint8_t body[100];
    for (int i = 0; i < 4; i++) {
        raw_call(paths[i / 2], snappy, body, framed(body, i % 2, "hello", 5));
        assert_string_equal(got.status, "12");
        assert_string_equal(hpack_get(&got.head, "grpc-accept-encoding"), PACK_ACCEPTED);
        assert_non_null(strstr(got.message, PACK_ACCEPTED));
    }
}

static void test_damaged_request(void **state)
{
    (void)state;
    uint8_t good[1000], body[1100];
    static const char *const gzip[] = { "grpc-encoding", "gzip", NULL };
    size_t len = packed(good, TERN_COMPRESSION_GZIP, pack.big, 300);
    for (int i = 0; i < 2; i++) {
        raw_call(paths[i], gzip, good, len);
        assert_string_equal(got.status, "0");
        raw_call(paths[i], gzip, body, framed(body, true, good + 5, len - 6)); /* cut short */
        assert_string_equal(got.status, "13");
        assert_non_null(strstr(got.message, "cannot be decompressed with gzip"));
        memcpy(body + 5, good + 5, len - 5);
        memcpy(body + len, "xyz", 3); /* something behind */
        uint8_t copy[1100];
        memcpy(copy, body + 5, len - 2);
        raw_call(paths[i], gzip, body, framed(body, true, copy, len - 2));
        assert_string_equal(got.status, "13");
        raw_call(paths[i], gzip, body, framed(body, true, "", 0));
        assert_string_equal(got.status, "13");
        raw_call(paths[i], gzip, body, framed(body, false, "plain", 5)); /* the flag decides */
        assert_string_equal(got.status, "0");
    }
}

/* 60 MiB in 60 KB: no more than the limit comes out of it. */
static void test_bomb(void **state)
{
    (void)state;
    size_t n = 60u * 1024 * 1024 / 4, len;
    uint8_t *zeros = calloc(1, n), *body = malloc(100000);
    static const char *const gzip[] = { "grpc-encoding", "gzip", NULL };
    tern__compressor *c = tern__compressor_new();
    assert_int_equal(
        tern__compress(c, TERN_COMPRESSION_GZIP, (tern__bytes){ zeros, n }, body + 5, 99000, &len),
        0);
    tern__compressor_free(c);
    uint8_t *copy = malloc(len);
    memcpy(copy, body + 5, len);
    assert_in_range(len, 1, 16000); /* one frame, within the limit as it comes */
    for (int i = 0; i < 2; i++) {
        raw_call(paths[i], gzip, body, framed(body, true, copy, len));
        assert_string_equal(got.status, "8");
    }
    free(copy);
    free(body);
    free(zeros);
}

/* A server compresses only with what the client accepts. */
static void test_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *accept, *encoding, *named;
    } cases[] = {
        { "identity,gzip", "gzip", "gzip" },
        { "zstd, deflate", "deflate", "deflate" },
        { "zstd", "zstd", "zstd" },
        { "identity,gzip", "zstd", NULL },
        { "", "gzip", NULL },
        { NULL, "gzip", NULL },
        { "gzip", "identity", NULL },
    };
    uint8_t body[1000];
    size_t len = framed(body, false, pack.big, 400);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int path = 0; path < 2; path++) {
            const char *fields[] = { "x-encoding", cases[i].encoding, "grpc-accept-encoding",
                                     cases[i].accept, NULL };
            if (!cases[i].accept)
                fields[2] = NULL;
            raw_call(paths[path], fields, body, len);
            assert_string_equal(got.status, "0");
            assert_string_equal(hpack_get(&got.head, "grpc-accept-encoding"), PACK_ACCEPTED);
            const char *named = hpack_get(&got.head, "grpc-encoding");
            if (cases[i].named)
                assert_string_equal(named, cases[i].named);
            else
                assert_null(named);
            assert_int_equal(got.body[0], cases[i].named != NULL);
            assert_string_equal(
                hpack_get(&got.head, "x-accepted"),
                cases[i].named || strcmp(cases[i].encoding, "identity") == 0 ? "yes" : "no");
        }
    }
}

/* What the server accepts is said once to a connection, and to whoever names an encoding. */
static void test_told(void **state)
{
    (void)state;
    static rawh2 raw;
    hpack last;
    uint8_t body[100];
    const tern__bytes message = { body, framed(body, false, "hello", 5) };
    static const char *const gzip[] = { "grpc-encoding", "gzip", NULL };
    raw_connect(&raw, pack.port, true);
    hpack_init(&last);
    for (uint32_t i = 0; i < 6; i++) {
        const char *const *fields = i / 2 == 2 ? gzip : NULL;
        raw_call_on(&raw, 2 * i + 1, &last, paths[i % 2], fields, message);
        assert_string_equal(got.status, "0");
        const char *told = hpack_get(&got.head, "grpc-accept-encoding");
        if (i == 0 || fields)
            assert_string_equal(told, PACK_ACCEPTED);
        else
            assert_null(told);
    }
    hpack_deinit(&last);
    raw_close(&raw);
}

/* --- a raw server ----------------------------------------------------------------------------- */

typedef struct odd_server {
    pthread_t thread;
    int listen_fd;
    uint16_t port;
    rawh2 raw;
    raw_frame request, body; /* the first of each */
    const char *encoding;    /* grpc-encoding of the answer, or NULL */
    const uint8_t *answer;
    size_t len;
    atomic_bool done;
} odd_server;

static odd_server odd;

static void *serve(void *arg)
{
    odd_server *s = arg;
    uint8_t block[256];
    size_t n = 0;
    if (!raw_accept(&s->raw, s->listen_fd, PACK_PATIENCE_MS))
        return NULL;
    if (raw_until(&s->raw, RAW_HEADERS, 1, &s->request, PACK_PATIENCE_MS) &&
        raw_until(&s->raw, RAW_DATA, 1, &s->body, PACK_PATIENCE_MS)) {
        raw_field(block, &n, ":status", "200");
        raw_field(block, &n, "content-type", "application/grpc");
        if (s->encoding)
            raw_field(block, &n, "grpc-encoding", s->encoding);
        raw_put_frame(&s->raw, RAW_HEADERS, RAW_END_HEADERS, 1, block, n);
        raw_put_frame(&s->raw, RAW_DATA, 0, 1, s->answer, s->len);
        n = 0;
        raw_field(block, &n, "grpc-status", "0");
        raw_put_frame(&s->raw, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 1, block, n);
        raw_send(&s->raw);
    }
    while (!atomic_load(&s->done))
        probe_sleep_ms(1);
    raw_close(&s->raw);
    return NULL;
}

/* A call, unary or as a stream, to a server that answers so. */
static tern_code call_odd(bool streamed, tern_call_options *opts, const char *encoding,
                          const uint8_t *answer, size_t len)
{
    memset(&odd, 0, sizeof odd);
    odd.encoding = encoding;
    odd.answer = answer;
    odd.len = len;
    odd.listen_fd = raw_listen(&odd.port);
    assert_int_equal(pthread_create(&odd.thread, NULL, serve, &odd), 0);
    tern_channel *ch = pack_channel(odd.port, TERN_COMPRESSION_DEFAULT);
    tern_code code;
    void *ret = NULL;
    const void *data;
    size_t ret_len;
    pack.st.message[0] = '\0';
    opts->timeout_ms = PACK_PATIENCE_MS;
    if (streamed) {
        tern_stream *s;
        assert_int_equal(tern_stream_open(ch, &pack_chat, opts, &s, &pack.st), TERN_OK);
        tern_stream_send(s, pack.big, 1000);
        tern_stream_close_send(s);
        while (tern_stream_recv(s, &data, &ret_len))
            ;
        code = tern_stream_finish(s, &pack.st);
    } else {
        code = tern_call_unary(ch, &pack_echo, opts, pack.big, 1000, &ret, &ret_len, &pack.st);
    }
    free(ret);
    atomic_store(&odd.done, true);
    pthread_join(odd.thread, NULL);
    close(odd.listen_fd);
    tern_channel_free(ch);
    return code;
}

/* Data in an encoding that the client does not know, or that names none: INTERNAL. */
static void test_odd_servers(void **state)
{
    (void)state;
    uint8_t flagged[1000], plain[100], bomb[30000];
    static char zeros[10 * PACK_LIMIT];
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    size_t len = packed(flagged, TERN_COMPRESSION_GZIP, pack.big, 300);
    size_t plain_len = framed(plain, false, "hello", 5);
    size_t bomb_len = packed(bomb, TERN_COMPRESSION_ZSTD, zeros, sizeof zeros);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(call_odd(i, &opts, NULL, flagged, len), TERN_INTERNAL);
        assert_non_null(strstr(pack.st.message, "named no grpc-encoding"));
        assert_int_equal(call_odd(i, &opts, "identity", flagged, len), TERN_INTERNAL);
        assert_int_equal(call_odd(i, &opts, "snappy", flagged, len), TERN_INTERNAL);
        assert_non_null(strstr(pack.st.message, "it accepts " PACK_ACCEPTED));
        assert_int_equal(call_odd(i, &opts, "snappy", plain, plain_len), TERN_OK);
        assert_int_equal(call_odd(i, &opts, "gzip", flagged, len), TERN_OK);
        assert_int_equal(call_odd(i, &opts, "deflate", flagged, len), TERN_INTERNAL);
        assert_non_null(strstr(pack.st.message, "cannot be decompressed with deflate"));
        assert_int_equal(call_odd(i, &opts, "zstd", bomb, bomb_len), TERN_RESOURCE_EXHAUSTED);
        assert_non_null(strstr(pack.st.message, "limit of 65536 bytes"));
    }
}

/* What the request looks like on the wire. */
static void test_request_on_the_wire(void **state)
{
    (void)state;
    uint8_t plain[100];
    size_t len = framed(plain, false, "hello", 5);
    for (int i = 0; i < 2; i++) {
        for (int e = TERN_COMPRESSION_DEFAULT; e <= TERN_COMPRESSION_ZSTD; e++) {
            tern_call_options opts = TERN_CALL_OPTIONS_INIT;
            opts.compression = (tern_compression)e;
            assert_int_equal(call_odd(i, &opts, NULL, plain, len), TERN_OK);
            hpack h;
            hpack_init(&h);
            hpack_read(&h, odd.request.payload, odd.request.len);
            assert_string_equal(hpack_get(&h, "grpc-accept-encoding"), PACK_ACCEPTED);
            const char *named = hpack_get(&h, "grpc-encoding");
            bool compressed = e >= TERN_COMPRESSION_GZIP;
            assert_int_equal(odd.body.payload[0], compressed);
            if (!compressed) {
                assert_null(named);
            } else {
                tern__compressor *c = tern__compressor_new();
                tern__buf out = { 0 };
                const tern__bytes in = { odd.body.payload + 5, odd.body.len - 5 };
                assert_string_equal(named, tern_compression_name(opts.compression));
                assert_int_equal(tern__decompress(c, opts.compression, in, 1000, &out), 0);
                assert_int_equal(out.len, 1000);
                assert_memory_equal(tern__buf_head(&out), pack.big, 1000);
                tern__buf_deinit(&out);
                tern__compressor_free(c);
            }
            hpack_deinit(&h);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flag_without_encoding, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_unknown_encoding, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_request, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_bomb, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_accepted, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_told, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_odd_servers, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_request_on_the_wire, pack_setup, pack_teardown),
    };
    return cmocka_run_group_tests_name("compression, raw peers", tests, NULL, NULL);
}
