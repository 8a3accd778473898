/* Compressed messages from end to end (grpc doc/compression.md): a client and a server of Tern with
 * each other. With peers that say what no honest library would: test_compression_peers.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/packing.h"

/* --- Tern with Tern: unary -------------------------------------------------------------------- */

typedef struct unary {
    tern_call_options opts;
    const char *encoding, *mode; /* of the answer, as obey() has them */
    const void *data;
    size_t len;
    bool came, back; /* compressed, there and back */
    bool accepted;   /* by the client, as the handler was told */
} unary;

static tern_code call_echo(unary *u)
{
    void *ret = NULL;
    size_t len = 0;
    tern_metadata *md = tern_metadata_new(), *initial = tern_metadata_new();
    if (u->encoding)
        tern_metadata_add(md, "x-encoding", u->encoding);
    if (u->mode)
        tern_metadata_add(md, "x-mode", u->mode);
    u->opts.size = sizeof u->opts;
    u->opts.timeout_ms = PACK_PATIENCE_MS;
    u->opts.metadata = md;
    u->opts.ret_initial_metadata = initial;
    u->opts.ret_compressed = &u->back;
    tern_code code =
        tern_call_unary(pack.ch, &pack_echo, &u->opts, u->data, u->len, &ret, &len, &pack.st);
    if (code == TERN_OK) {
        assert_int_equal(len, u->len);
        assert_memory_equal(ret, u->data, len);
        u->came = strcmp(tern_metadata_get(initial, "x-came"), "compressed") == 0;
        const char *accepted = tern_metadata_get(initial, "x-accepted");
        u->accepted = accepted && strcmp(accepted, "yes") == 0;
    }
    free(ret);
    tern_metadata_free(md);
    tern_metadata_free(initial);
    return code;
}

static void test_unary(void **state)
{
    (void)state;
    for (int there = 0; there <= TERN_COMPRESSION_ZSTD; there++) {
        for (int back = TERN_COMPRESSION_IDENTITY; back <= TERN_COMPRESSION_ZSTD; back++) {
            unary u = { .encoding = tern_compression_name((tern_compression)back),
                        .data = pack.big,
                        .len = PACK_BIG };
            u.opts.compression = (tern_compression)there;
            assert_int_equal(call_echo(&u), TERN_OK);
            assert_int_equal(u.came, there >= TERN_COMPRESSION_GZIP);
            assert_int_equal(u.back, back >= TERN_COMPRESSION_GZIP);
            assert_true(u.accepted);
        }
    }
}

/* What is small, does not get smaller, or must not be compressed goes as it is; ALWAYS is
 * always. */
static void test_unary_modes(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        bool noisy;
        tern_compress_mode mode;
        bool compressed;
    } cases[] = {
        { TERN_LIMIT_COMPRESS_BYTES_MIN, false, TERN_COMPRESS_AUTO, true },
        { TERN_LIMIT_COMPRESS_BYTES_MIN - 1, false, TERN_COMPRESS_AUTO, false },
        { PACK_BIG, true, TERN_COMPRESS_AUTO, false },
        { PACK_BIG, false, TERN_COMPRESS_NEVER, false },
        { PACK_BIG, true, TERN_COMPRESS_ALWAYS, true },
        { 3, false, TERN_COMPRESS_ALWAYS, true },
        { 0, false, TERN_COMPRESS_ALWAYS, true },
        { 0, false, TERN_COMPRESS_AUTO, false },
    };
    for (int e = TERN_COMPRESSION_GZIP; e <= TERN_COMPRESSION_ZSTD; e++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            static const char *const modes[] = { "0", "1", "2" };
            unary u = { .encoding = tern_compression_name((tern_compression)e),
                        .mode = modes[cases[i].mode],
                        .data = cases[i].noisy ? pack.noise : pack.big,
                        .len = cases[i].len };
            u.opts.compression = (tern_compression)e;
            u.opts.compress_mode = cases[i].mode;
            assert_int_equal(call_echo(&u), TERN_OK);
            assert_int_equal(u.came, cases[i].compressed);
            assert_int_equal(u.back, cases[i].compressed);
        }
    }
}

static void test_defaults(void **state)
{
    (void)state;
    tern_channel_free(pack.ch);
    tern_server_free(pack.srv);
    pack_start_server(TERN_COMPRESSION_DEFLATE);
    pack.ch = pack_channel(pack.port, TERN_COMPRESSION_GZIP);
    unary u = { .data = pack.big, .len = PACK_BIG };
    assert_int_equal(call_echo(&u), TERN_OK);
    assert_true(u.came && u.back);
    u.opts.compression = TERN_COMPRESSION_IDENTITY; /* the call and the handler know better */
    u.encoding = "identity";
    assert_int_equal(call_echo(&u), TERN_OK);
    assert_true(!u.came && !u.back && u.accepted);
}

static void test_bad_options(void **state)
{
    (void)state;
    tern_channel_options channel = TERN_CHANNEL_OPTIONS_INIT;
    tern_server_options server = TERN_SERVER_OPTIONS_INIT;
    tern_channel *c;
    tern_server *s;
    channel.compression = (tern_compression)5;
    server.compression = (tern_compression)-1;
    assert_int_equal(tern_channel_new("ipv4:127.0.0.1:1", &channel, &c, &pack.st),
                     TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(pack.st.message, "compression is 5"));
    assert_int_equal(tern_server_new(&server, &s, &pack.st), TERN_INVALID_ARGUMENT);
    unary u = { .data = pack.big, .len = 1 };
    u.opts.compression = (tern_compression)5;
    assert_int_equal(call_echo(&u), TERN_INTERNAL);
    u.opts.compression = TERN_COMPRESSION_GZIP;
    u.opts.compress_mode = (tern_compress_mode)3;
    assert_int_equal(call_echo(&u), TERN_INTERNAL);
}

/* The limit is for what comes out (protocol.md): RESOURCE_EXHAUSTED on either side. */
static void test_limits(void **state)
{
    (void)state;
    static char zeros[PACK_LIMIT + 1];
    for (int e = TERN_COMPRESSION_GZIP; e <= TERN_COMPRESSION_ZSTD; e++) {
        unary u = { .data = zeros, .len = PACK_LIMIT };
        u.opts.compression = (tern_compression)e;
        u.encoding = tern_compression_name((tern_compression)e);
        assert_int_equal(call_echo(&u), TERN_OK);
        assert_true(u.came && u.back);
        u.len = PACK_LIMIT + 1;
        assert_int_equal(call_echo(&u), TERN_RESOURCE_EXHAUSTED);
        assert_non_null(
            strstr(pack.st.message, "decompresses to more than this server's limit of 65536"));
        u.len = PACK_LIMIT; /* now it is the client's limit that is passed */
        u.opts.receive_message_bytes_max = PACK_LIMIT - 1;
        assert_int_equal(call_echo(&u), TERN_RESOURCE_EXHAUSTED);
        assert_non_null(strstr(pack.st.message, "receive_message_bytes_max"));
    }
}

/* --- Tern with Tern: streams ------------------------------------------------------------------ */

static tern_stream *open_stream(const tern_method *m, tern_compression c, const char *encoding,
                                tern_metadata **md)
{
    static tern_call_options opts;
    tern_stream *s = NULL;
    opts = (tern_call_options)TERN_CALL_OPTIONS_INIT;
    *md = tern_metadata_new();
    if (encoding)
        tern_metadata_add(*md, "x-encoding", encoding);
    opts.timeout_ms = PACK_PATIENCE_MS;
    opts.metadata = *md;
    opts.compression = c;
    assert_int_equal(tern_stream_open(pack.ch, m, &opts, &s, &pack.st), TERN_OK);
    return s;
}

/* Sends with `mode`, to be answered with `answer`. */
static bool say(tern_stream *s, tern_compress_mode mode, tern_compress_mode answer, size_t len)
{
    pack.big[0] = mode == TERN_COMPRESS_NEVER || (mode == TERN_COMPRESS_AUTO && len < 256) ? 'P'
                                                                                           : 'C';
    pack.big[1] = (char)('0' + answer);
    tern_stream_set_compress_mode(s, mode);
    return tern_stream_send(s, pack.big, len);
}

static void test_chat(void **state)
{
    (void)state;
    static const size_t sizes[] = { 2, 300, PACK_BIG };
    for (int e = TERN_COMPRESSION_GZIP; e <= TERN_COMPRESSION_ZSTD; e++) {
        const char *name = tern_compression_name((tern_compression)e);
        tern_metadata *md;
        tern_stream *s = open_stream(&pack_chat, (tern_compression)e, name, &md);
        for (int i = 0; i < 27; i++) {
            tern_compress_mode mode = (tern_compress_mode)(i % 3),
                               answer = (tern_compress_mode)(i / 3 % 3);
            size_t len = sizes[i / 9], got;
            const void *data;
            assert_true(say(s, mode, answer, len));
            if (!tern_stream_recv(s, &data, &got)) {
                tern_stream_finish(s, &pack.st);
                fail_msg("%s, message %d: %s", name, i, pack.st.message);
            }
            assert_int_equal(got, len);
            assert_memory_equal(data, pack.big, len);
            bool compressed = answer == TERN_COMPRESS_ALWAYS ||
                              (answer == TERN_COMPRESS_AUTO && len >= 256);
            assert_int_equal(tern_stream_message_compressed(s), compressed);
        }
        const void *data;
        size_t got;
        tern_stream_close_send(s);
        assert_false(tern_stream_recv(s, &data, &got));
        assert_int_equal(tern_stream_finish(s, &pack.st), TERN_OK);
        tern_metadata_free(md);
    }
}

/* Many messages under way at once, in both directions, over the windows. */
static void test_chat_at_once(void **state)
{
    (void)state;
    enum { N = 60 };
    tern_metadata *md;
    tern_stream *s = open_stream(&pack_chat, TERN_COMPRESSION_ZSTD, "gzip", &md);
    for (int i = 0; i < N; i++)
        assert_true(say(s, (tern_compress_mode)(i % 3), (tern_compress_mode)(i / 3 % 3), 300));
    tern_stream_close_send(s);
    const void *data;
    size_t len;
    int n = 0;
    for (; tern_stream_recv(s, &data, &len); n++)
        assert_int_equal(len, 300);
    assert_int_equal(n, N);
    assert_int_equal(tern_stream_finish(s, &pack.st), TERN_OK);
    tern_metadata_free(md);
}

static void test_sum(void **state)
{
    (void)state;
    for (int headers_first = 0; headers_first < 2; headers_first++) {
        tern_metadata *md;
        tern_stream *s = open_stream(&pack_sum, TERN_COMPRESSION_GZIP, "zstd", &md);
        tern_stream_cancel(s); /* made anew with one more pair */
        tern_stream_finish(s, &pack.st);
        if (headers_first)
            tern_metadata_add(md, "x-headers-first", "1");
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.metadata = md;
        opts.compression = TERN_COMPRESSION_GZIP;
        opts.timeout_ms = PACK_PATIENCE_MS;
        assert_int_equal(tern_stream_open(pack.ch, &pack_sum, &opts, &s, &pack.st), TERN_OK);
        assert_true(tern_stream_send(s, pack.big, PACK_BIG));
        assert_true(tern_stream_send(s, pack.noise, 1000));
        assert_true(tern_stream_send(s, pack.big, 10));
        assert_true(tern_stream_send(s, pack.big, 5000));
        tern_stream_close_send(s);
        const void *data;
        size_t len;
        assert_true(tern_stream_recv(s, &data, &len));
        assert_int_equal(len, 400);
        assert_memory_equal(data, "56010 bytes, 2 compressed", 25);
        assert_true(tern_stream_message_compressed(s));
        assert_false(tern_stream_recv(s, &data, &len));
        assert_int_equal(tern_stream_finish(s, &pack.st), TERN_OK);
        tern_metadata_free(md);
    }
}

static void test_stream_limits(void **state)
{
    (void)state;
    static char zeros[PACK_LIMIT + 1];
    tern_metadata *md;
    const void *data;
    size_t len;
    tern_stream *s = open_stream(&pack_sum, TERN_COMPRESSION_GZIP, NULL, &md);
    assert_true(tern_stream_send(s, zeros, PACK_LIMIT));
    tern_stream_send(s, zeros, PACK_LIMIT + 1);
    tern_stream_close_send(s);
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &pack.st), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(pack.st.message, "limit of 65536 bytes"));
    tern_metadata_free(md);

    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    md = tern_metadata_new();
    tern_metadata_add(md, "x-encoding", "gzip");
    opts.metadata = md;
    opts.receive_message_bytes_max = 1000;
    assert_int_equal(tern_stream_open(pack.ch, &pack_chat, &opts, &s, &pack.st), TERN_OK);
    assert_true(say(s, TERN_COMPRESS_AUTO, TERN_COMPRESS_ALWAYS, 200));
    assert_true(tern_stream_recv(s, &data, &len));
    pack.big[0] = 'P';
    assert_true(tern_stream_send(s, pack.big, 1001));
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &pack.st), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(pack.st.message, "receive_message_bytes_max"));
    tern_metadata_free(md);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_unary, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_unary_modes, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_defaults, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_bad_options, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_limits, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_chat, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_chat_at_once, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_sum, pack_setup, pack_teardown),
        cmocka_unit_test_setup_teardown(test_stream_limits, pack_setup, pack_teardown),
    };
    return cmocka_run_group_tests_name("compression", tests, NULL, NULL);
}
