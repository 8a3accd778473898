/* What Tern's client and server put on the wire, frame by frame and field by field: a raw server
 * reads the client's requests, a raw client the server's answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/hpack.h"
#include "support/probe.h"
#include "support/rawh2.h"

#define PATIENCE_MS 10000
#define SHORT_MS 100
#define SETTING_NO_RFC7540_PRIORITIES 9
#define SETTING_ENABLE_PUSH 2

static tern_status st;
static rawh2 raw;
static raw_frame f;
static hpack list;

/* --- a client's calls, made on a thread of their own ------------------------------------------ */

typedef struct caller {
    pthread_t thread;
    int listen_fd;
    tern_channel *channel;
    tern_call_options opts;
    tern_metadata *trailing;
    bool streaming;
    tern_code code;
} caller;

static caller call;

static void *run_call(void *arg)
{
    static const tern_method unary = { .path = "/pkg.Service/Method" };
    static const tern_method bidi = { .path = "/pkg.Service/Method",
                                      .kind = TERN_KIND_BIDI_STREAMING };
    caller *c = arg;
    void *bytes = NULL;
    const void *message;
    size_t len;
    tern_stream *stream;
    if (!c->streaming) {
        c->code = tern_call_unary(c->channel, &unary, &c->opts, "hi", 2, &bytes, &len, &st);
        free(bytes);
        return NULL;
    }
    c->code = tern_stream_open(c->channel, &bidi, &c->opts, &stream, &st);
    if (c->code != TERN_OK)
        return NULL;
    tern_stream_send(stream, "hi", 2);
    while (tern_stream_recv(stream, &message, &len))
        tern_stream_close_send(stream);
    c->code = tern_stream_finish(stream, &st);
    return NULL;
}

/* Begins a call to a raw server and takes its connection. */
static void begin(void)
{
    char target[64];
    uint16_t port;
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    options.retry.disabled = options.breaker.disabled = true;
    call.listen_fd = raw_listen(&port);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    call.channel = probe_channel_with(target, &options);
    call.opts = (tern_call_options)TERN_CALL_OPTIONS_INIT;
    call.trailing = tern_metadata_new();
    call.opts.timeout_ms = PATIENCE_MS;
    call.opts.ret_trailing_metadata = call.trailing;
    hpack_init(&list);
}

static void go(bool first)
{
    assert_int_equal(pthread_create(&call.thread, NULL, run_call, &call), 0);
    if (first)
        assert_true(raw_accept(&raw, call.listen_fd, PATIENCE_MS));
}

static void end(void)
{
    raw_close(&raw);
    close(call.listen_fd);
    hpack_deinit(&list);
    tern_channel_free(call.channel);
    tern_metadata_free(call.trailing);
    memset(&call, 0, sizeof call);
}

static tern_code join(void)
{
    pthread_join(call.thread, NULL);
    return call.code;
}

/* The request's header list on stream `id`, in `list`. */
static void read_head(uint32_t id)
{
    assert_true(raw_until(&raw, RAW_HEADERS, id, &f, PATIENCE_MS));
    assert_true(f.flags & RAW_END_HEADERS);
    hpack_read(&list, f.payload, f.len);
}

static void answer_head(uint32_t id)
{
    uint8_t block[256];
    size_t n = 0;
    raw_field(block, &n, ":status", "200");
    raw_field(block, &n, "content-type", "application/grpc+proto");
    raw_put_frame(&raw, RAW_HEADERS, RAW_END_HEADERS, id, block, n);
}

static void answer_tail(uint32_t id, const char *status)
{
    uint8_t block[256];
    size_t n = 0;
    raw_field(block, &n, "grpc-status", status);
    raw_field(block, &n, "x-late", "yes");
    raw_put_frame(&raw, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, id, block, n);
}

static int place_of(const char *name)
{
    for (size_t i = 0; i < list.n; i++)
        if (strcmp(list.fields[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* POST, te: trailers; grpc-timeout right behind the pseudo-headers, the caller's metadata last;
 * -bin without padding; the user agent. (PROTOCOL-HTTP2.md, "Requests".) */
static void request_head(void **state)
{
    (void)state;
    tern_metadata *md = tern_metadata_new();
    assert_int_equal(tern_metadata_add(md, "x-text", "caf\x7e"), 0);
    assert_int_equal(tern_metadata_add_bin(md, "x-raw-bin", "\xab\xcd", 2), 0);
    begin();
    call.opts.metadata = md;
    go(true);
    read_head(1);
    assert_string_equal(hpack_get(&list, ":method"), "POST");
    assert_string_equal(hpack_get(&list, ":scheme"), "http");
    assert_string_equal(hpack_get(&list, ":path"), "/pkg.Service/Method");
    assert_string_equal(hpack_get(&list, "te"), "trailers");
    assert_memory_equal(hpack_get(&list, "content-type"), "application/grpc", 16);
    assert_memory_equal(hpack_get(&list, "user-agent"), "grpc-c-tern/", 12);
    for (int i = 0; i < 4; i++)
        assert_int_equal(list.fields[i].name[0], ':');
    assert_int_equal(place_of("grpc-timeout"), 4);
    size_t digits = strspn(hpack_get(&list, "grpc-timeout"), "0123456789");
    assert_in_range(digits, 1, 8);
    assert_non_null(strchr("HMSmun", hpack_get(&list, "grpc-timeout")[digits]));
    assert_int_equal(place_of("x-text"), list.n - 2);
    assert_int_equal(place_of("x-raw-bin"), list.n - 1);
    assert_string_equal(hpack_get(&list, "x-raw-bin"), "q80");
    answer_head(1);
    raw_put_empty_message(&raw, 1, 0);
    answer_tail(1, "0");
    assert_true(raw_send(&raw));
    assert_int_equal(join(), TERN_OK);
    tern_metadata_free(md);
    end();
}

/* Without a deadline there is no grpc-timeout. */
static void no_timeout(void **state)
{
    (void)state;
    begin();
    call.opts.timeout_ms = 0;
    go(true);
    read_head(1);
    assert_null(hpack_get(&list, "grpc-timeout"));
    answer_tail(1, "0"); /* without :status: no answer at all */
    assert_true(raw_send(&raw));
    assert_int_not_equal(join(), TERN_OK);
    end();
}

/* The client's SETTINGS: no priorities of RFC 7540, no pushes. */
static void client_settings(void **state)
{
    (void)state;
    unsigned seen = 0;
    begin();
    go(true);
    assert_true(raw_until(&raw, RAW_SETTINGS, 0, &f, PATIENCE_MS));
    for (size_t i = 0; i + 6 <= f.len; i += 6) {
        unsigned id = (unsigned)f.payload[i] << 8 | f.payload[i + 1];
        if (id == SETTING_NO_RFC7540_PRIORITIES)
            seen |= f.payload[i + 5] == 1 ? 1u : 0;
        if (id == SETTING_ENABLE_PUSH)
            seen |= f.payload[i + 5] == 0 ? 2u : 0;
    }
    assert_int_equal(seen, 3);
    read_head(1);
    answer_tail(1, "0"); /* without :status: no answer at all */
    assert_true(raw_send(&raw));
    assert_int_not_equal(join(), TERN_OK);
    end();
}

/* A client with nothing left to send: an empty DATA frame with END_STREAM. */
static void half_close(void **state)
{
    (void)state;
    begin();
    call.streaming = true;
    go(true);
    read_head(1);
    assert_false(f.flags & RAW_END_STREAM);
    assert_true(raw_until(&raw, RAW_DATA, 1, &f, PATIENCE_MS));
    assert_false(f.flags & RAW_END_STREAM);
    assert_int_equal(f.len, 7);
    assert_memory_equal(f.payload, "\0\0\0\0\2hi", 7);
    answer_head(1);
    raw_put_empty_message(&raw, 1, 0);
    assert_true(raw_send(&raw));
    assert_true(raw_until(&raw, RAW_DATA, 1, &f, PATIENCE_MS));
    assert_true(f.flags & RAW_END_STREAM);
    assert_int_equal(f.len, 0);
    answer_tail(1, "0");
    assert_true(raw_send(&raw));
    assert_int_equal(join(), TERN_OK);
    end();
}

/* Expiry: RST_STREAM(CANCEL). Trailers that come later count for nothing, and hurt nobody else on
 * the connection. */
static void expiry(void **state)
{
    (void)state;
    begin();
    call.opts.timeout_ms = SHORT_MS;
    go(true);
    read_head(1);
    answer_head(1);
    assert_true(raw_send(&raw));
    assert_true(raw_until(&raw, RAW_RST_STREAM, 1, &f, PATIENCE_MS));
    assert_memory_equal(f.payload, "\0\0\0\10", 4);
    raw_put_empty_message(&raw, 1, 0);
    answer_tail(1, "0");
    assert_true(raw_send(&raw));
    assert_int_equal(join(), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(tern_metadata_count(call.trailing), 0);
    call.opts.timeout_ms = PATIENCE_MS;
    go(false);
    read_head(3);
    answer_head(3);
    raw_put_empty_message(&raw, 3, 0);
    answer_tail(3, "0");
    assert_true(raw_send(&raw));
    assert_int_equal(join(), TERN_OK);
    assert_string_equal(tern_metadata_get(call.trailing, "x-late"), "yes");
    end();
}

/* --- a server's answers ----------------------------------------------------------------------- */

static probe_server server;

static int start_server(void **state)
{
    (void)state;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    raw_connect(&raw, server.port, true);
    hpack_init(&list);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    hpack_deinit(&list);
    raw_close(&raw);
    probe_stop(&server, 1000);
    return 0;
}

/* A request with everything of its own: content type and path. */
static void put_odd_request(uint32_t id, const char *method, const char *path, const char *type)
{
    uint8_t block[512];
    size_t n = 0;
    raw_field(block, &n, ":method", method);
    raw_field(block, &n, ":scheme", "http");
    raw_field(block, &n, ":path", path);
    raw_field(block, &n, ":authority", "test");
    raw_field(block, &n, "te", "trailers");
    if (type)
        raw_field(block, &n, "content-type", type);
    raw_put_frame(&raw, RAW_HEADERS, RAW_END_HEADERS, id, block, n);
    raw_put_empty_message(&raw, id, RAW_END_STREAM);
    assert_true(raw_send(&raw));
}

/* Content types: what begins with application/grpc is gRPC, anything else is 415. */
static void content_types(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool good;
    } cases[] = { { "application/grpc", true },           { "application/grpc+proto", true },
                  { "application/grpc;charset=x", true }, { "application/json", false },
                  { "application/grpcx", false },         { NULL, false } };
    uint32_t id = 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++, id += 2) {
        put_odd_request(id, "POST", "/tests.v1.Probe/Nothing", cases[i].type);
        read_head(id);
        if (cases[i].good) {
            assert_string_equal(hpack_get(&list, ":status"), "200");
            assert_memory_equal(hpack_get(&list, "content-type"), "application/grpc", 16);
            read_head(id);
            assert_string_equal(hpack_get(&list, "grpc-status"), "0");
        } else {
            assert_string_equal(hpack_get(&list, ":status"), "415");
            assert_null(hpack_get(&list, "grpc-status"));
        }
    }
}

/* Paths are compared byte for byte; what is not served is UNIMPLEMENTED, trailers-only. */
static void paths(void **state)
{
    (void)state;
    static const char *const cases[] = { "/tests.v1.Probe/nothing",  "/Tests.v1.Probe/Nothing",
                                         "/tests.v1.Probe/Nothing/", "/tests.v1.Probe//Nothing",
                                         "/tests.v1.Probe/Nothing?", "/tests.v1.Prob%65/Nothing",
                                         "/no.Service/Method" };
    uint32_t id = 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++, id += 2) {
        put_odd_request(id, "POST", cases[i], "application/grpc");
        read_head(id);
        assert_true(f.flags & RAW_END_STREAM);
        assert_string_equal(hpack_get(&list, ":status"), "200");
        assert_string_equal(hpack_get(&list, "grpc-status"), "12");
    }
}

/* A failure before the first message is trailers-only: one HEADERS frame with END_STREAM, with the
 * message percent-encoded. */
static void early_failure(void **state)
{
    (void)state;
    Tests__V1__FailRequest req = TESTS__V1__FAIL_REQUEST__INIT;
    uint8_t body[128];
    req.code = 9;
    req.message = (char *)(uintptr_t) "50 % of \xc3\xa9t\xc3\xa9\n";
    size_t len = tests__v1__fail_request__pack(&req, body + 5);
    memcpy(body, (uint8_t[]){ 0, 0, 0, 0, (uint8_t)len }, 5);
    raw_put_request(&raw, 1, RAW_END_HEADERS, "/tests.v1.Probe/Fail", NULL, NULL);
    raw_put_frame(&raw, RAW_DATA, RAW_END_STREAM, 1, body, len + 5);
    assert_true(raw_send(&raw));
    read_head(1);
    assert_true(f.flags & RAW_END_STREAM);
    assert_string_equal(hpack_get(&list, ":status"), "200");
    assert_string_equal(hpack_get(&list, "grpc-status"), "9");
    assert_string_equal(hpack_get(&list, "grpc-message"), "50 %25 of %C3%A9t%C3%A9%0A");
}

/* A final status before the client has ended its side: RST_STREAM(NO_ERROR) follows it. */
static void early_end(void **state)
{
    (void)state;
    raw_put_request(&raw, 1, RAW_END_HEADERS, "/no.Service/Method", NULL, NULL);
    assert_true(raw_send(&raw));
    read_head(1);
    assert_true(f.flags & RAW_END_STREAM);
    assert_true(raw_until(&raw, RAW_RST_STREAM, 1, &f, PATIENCE_MS));
    assert_memory_equal(f.payload, "\0\0\0\0", 4);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start_server, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_head),
        cmocka_unit_test(no_timeout),
        cmocka_unit_test(client_settings),
        cmocka_unit_test(half_close),
        cmocka_unit_test(expiry),
        WITH_SERVER(content_types),
        WITH_SERVER(paths),
        WITH_SERVER(early_failure),
        WITH_SERVER(early_end),
    };
    return cmocka_run_group_tests_name("on the wire", tests, NULL, NULL);
}
