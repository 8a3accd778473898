/* The eight negative HTTP/2 cases of grpc doc/http2-interop-test-descriptions.md: a server that
 * does to its client what each of them describes, and a Tern client that makes the large unary
 * calls they ask for. The server counts what its side of the case asserts: connections, PINGs that
 * were not acknowledged, streams open at once. Its windows are what the client announced, padding
 * counted. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "grpc/testing/test.tern.h"
#include "support/probe.h"
#include "support/rawh2.h"

#define REQUEST_SIZE 271828u
#define RESPONSE_SIZE 314159u
#define CALL_MS 30000
#define CONNECTIONS_MAX 8
#define CALLS_AT_ONCE 10
/* RFC 9113, 6.5.2 and 6.9.2. */
#define SETTING_MAX_CONCURRENT_STREAMS 3
#define SETTING_INITIAL_WINDOW_SIZE 4
#define DEFAULT_WINDOW 65535
/* Enough for the requests of all the streams of a case. */
#define WINDOW (8u * 1024 * 1024)

typedef enum misdeed {
    BEHAVE, /* but as the fields say */
    GOAWAY,
    RST_AFTER_HEADER,
    RST_DURING_DATA,
    RST_AFTER_DATA
} misdeed;

typedef struct script_of {
    misdeed what;
    bool ping;            /* around headers and around data */
    uint32_t streams_max; /* SETTINGS after the first request; 0: none */
    size_t data_bytes;    /* payload of a DATA frame; 0: as much as a frame holds */
    uint8_t padding;
} script_of;

typedef struct server {
    script_of script;
    int listen_fd;
    uint16_t port;
    atomic_bool stop;
    pthread_t thread;
    pthread_t connection[CONNECTIONS_MAX];
    unsigned n_connections;
    atomic_uint requests, bad_requests, open_at_once_max;
    atomic_uint pings, acks; /* sent, acknowledged */
} server;

/* One connection: the client's windows, and the request that is being received. */
typedef struct connection {
    server *of;
    rawh2 raw;
    raw_frame frame;
    int64_t window;                               /* of the connection */
    int64_t stream_window[CALLS_AT_ONCE * 2 + 4]; /* by (id - 1) / 2: what the client has added */
    int64_t initial_window;
    size_t received[CALLS_AT_ONCE * 2 + 4];
    uint32_t ended[CALLS_AT_ONCE + 2]; /* requests that wait for their response */
    unsigned n_ended, open;
    bool limited; /* streams_max has been announced and acknowledged */
    unsigned settings_acks;
} connection;

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static void put_setting(connection *c, uint16_t id, uint32_t value)
{
    uint8_t setting[6] = { (uint8_t)(id >> 8), (uint8_t)id };
    put_u32(setting + 2, value);
    raw_put_frame(&c->raw, RAW_SETTINGS, 0, 0, setting, sizeof setting);
}

/* --- receiving
 * ---------------------------------------------------------------------------------- */

static void take_settings(connection *c)
{
    const raw_frame *f = &c->frame;
    if (f->flags & RAW_ACK) {
        c->limited |= ++c->settings_acks == 3 && c->of->script.streams_max;
        return;
    }
    for (uint32_t i = 0; i + 6 <= f->len; i += 6)
        if ((f->payload[i] << 8 | f->payload[i + 1]) == SETTING_INITIAL_WINDOW_SIZE)
            c->initial_window = u32(f->payload + i + 2); /* raw_accept() has acknowledged it */
}

static void request_ended(connection *c, uint32_t id)
{
    server *s = c->of;
    /* 5 bytes of prefix, and the message with its tags and lengths. */
    size_t got = c->received[id / 2];
    if (got < REQUEST_SIZE + 5 || got > REQUEST_SIZE + 40)
        atomic_fetch_add(&s->bad_requests, 1);
    atomic_fetch_add(&s->requests, 1);
    if (c->n_ended < CALLS_AT_ONCE + 2)
        c->ended[c->n_ended++] = id;
}

/* Takes one frame; false when the connection has ended. */
static bool take(connection *c, int timeout_ms)
{
    raw_frame *f = &c->frame;
    server *s = c->of;
    if (!raw_next(&c->raw, f, timeout_ms))
        return false;
    size_t slot = f->stream / 2;
    if (slot >= sizeof c->received / sizeof *c->received)
        return false;
    switch (f->type) {
    case RAW_SETTINGS:
        take_settings(c);
        break;
    case RAW_PING:
        if (f->flags & RAW_ACK) {
            atomic_fetch_add(&s->acks, 1);
        } else {
            raw_put_frame(&c->raw, RAW_PING, RAW_ACK, 0, f->payload, f->len);
            raw_send(&c->raw);
        }
        break;
    case RAW_WINDOW_UPDATE:
        *(f->stream ? &c->stream_window[slot] : &c->window) += u32(f->payload);
        break;
    case RAW_HEADERS:
        if (++c->open > atomic_load(&s->open_at_once_max) && (c->limited || !s->script.streams_max))
            atomic_store(&s->open_at_once_max, c->open);
        break;
    case RAW_DATA:
        c->received[slot] += f->len;
        break;
    default:
        break;
    }
    if ((f->type == RAW_DATA || f->type == RAW_HEADERS) && (f->flags & RAW_END_STREAM))
        request_ended(c, f->stream);
    return true;
}

/* --- responding
 * --------------------------------------------------------------------------------- */

static bool ping(connection *c)
{
    if (!c->of->script.ping)
        return true;
    atomic_fetch_add(&c->of->pings, 1);
    raw_put_frame(&c->raw, RAW_PING, 0, 0, "negative", 8);
    return raw_send(&c->raw);
}

static void put_list(connection *c, uint32_t id, uint8_t flags, const char *const fields[][2])
{
    uint8_t block[256];
    size_t n = 0;
    for (size_t i = 0; fields[i][0]; i++)
        raw_field(block, &n, fields[i][0], fields[i][1]);
    raw_put_frame(&c->raw, RAW_HEADERS, flags | RAW_END_HEADERS, id, block, n);
}

/* One DATA frame as the script wants it, within the client's windows; waits for them if need be.
 * The bytes of payload sent, 0: the connection has ended. */
static size_t send_data(connection *c, uint32_t id, const uint8_t *data, size_t len)
{
    const script_of *script = &c->of->script;
    uint8_t payload[1 + 16384];
    size_t most = script->data_bytes ? script->data_bytes : 16000, overhead = 0;
    size_t n = len < most ? len : most;
    int64_t *window = &c->stream_window[id / 2];
    if (script->padding)
        overhead = 1u + script->padding;
    while (c->window < (int64_t)(n + overhead) ||
           *window + c->initial_window < (int64_t)(n + overhead))
        if (!raw_send(&c->raw) || !take(c, CALL_MS))
            return 0;
    c->window -= (int64_t)(n + overhead);
    *window -= (int64_t)(n + overhead);
    size_t at = 0;
    if (script->padding)
        payload[at++] = script->padding;
    memcpy(payload + at, data, n);
    memset(payload + at + n, 0, script->padding);
    raw_put_frame(&c->raw, RAW_DATA, script->padding ? RAW_PADDED : 0, id, payload, n + overhead);
    if (c->raw.n_out + sizeof payload + 9 > sizeof c->raw.out && !raw_send(&c->raw))
        return 0;
    return n;
}

/* The body of the response: prefix and SimpleResponse. Freed by the caller. */
static uint8_t *make_body(size_t *ret_len)
{
    Grpc__Testing__SimpleResponse res = GRPC__TESTING__SIMPLE_RESPONSE__INIT;
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
    static uint8_t zeros[RESPONSE_SIZE];
    payload.body.data = zeros;
    payload.body.len = sizeof zeros;
    res.payload = &payload;
    size_t len = grpc__testing__simple_response__get_packed_size(&res);
    uint8_t *body = malloc(5 + len);
    if (!body)
        return NULL;
    body[0] = 0;
    put_u32(body + 1, (uint32_t)len);
    grpc__testing__simple_response__pack(&res, body + 5);
    *ret_len = 5 + len;
    return body;
}

static bool reset(connection *c, uint32_t id)
{
    raw_put_frame(&c->raw, RAW_RST_STREAM, 0, id, "\0\0\0\0", 4);
    return raw_send(&c->raw);
}

static bool send_body(connection *c, uint32_t id)
{
    size_t len, half;
    uint8_t *body = make_body(&len);
    if (!body)
        return false;
    half = c->of->script.what == RST_DURING_DATA ? len / 2 : len;
    for (size_t at = 0; at < half;) {
        size_t n = send_data(c, id, body + at, half - at);
        if (!n)
            break;
        at += n;
    }
    free(body);
    return raw_send(&c->raw);
}

static bool respond(connection *c, uint32_t id)
{
    static const char *const head[][2] = { { ":status", "200" },
                                           { "content-type", "application/grpc" },
                                           { NULL, NULL } };
    static const char *const tail[][2] = { { "grpc-status", "0" }, { NULL, NULL } };
    const script_of *script = &c->of->script;
    c->open--;
    if (script->what == GOAWAY) {
        uint8_t goaway[8] = { 0 };
        put_u32(goaway, id);
        raw_put_frame(&c->raw, RAW_GOAWAY, 0, 0, goaway, sizeof goaway);
    }
    if (script->streams_max && id == 1)
        put_setting(c, SETTING_MAX_CONCURRENT_STREAMS, script->streams_max);
    if (!ping(c))
        return false;
    put_list(c, id, 0, head);
    if (!raw_send(&c->raw) || !ping(c))
        return false;
    if (script->what == RST_AFTER_HEADER)
        return reset(c, id);
    if (!ping(c) || !send_body(c, id) || !ping(c))
        return false;
    if (script->what == RST_DURING_DATA || script->what == RST_AFTER_DATA)
        return reset(c, id);
    put_list(c, id, RAW_END_STREAM, tail);
    return raw_send(&c->raw);
}

static void *serve(void *arg)
{
    connection *c = arg;
    uint8_t update[4];
    bool alive = true;
    put_u32(update, WINDOW);
    put_setting(c, SETTING_INITIAL_WINDOW_SIZE, WINDOW);
    raw_put_frame(&c->raw, RAW_WINDOW_UPDATE, 0, 0, update, sizeof update);
    alive = raw_send(&c->raw);
    while (alive && !atomic_load(&c->of->stop)) {
        if (c->n_ended) {
            uint32_t id = c->ended[0];
            memmove(c->ended, c->ended + 1, --c->n_ended * sizeof *c->ended);
            alive = respond(c, id);
        } else {
            alive = take(c, CALL_MS);
        }
    }
    raw_close(&c->raw);
    free(c);
    return NULL;
}

static void *run_server(void *arg)
{
    server *s = arg;
    while (!atomic_load(&s->stop) && s->n_connections < CONNECTIONS_MAX) {
        connection *c = calloc(1, sizeof *c);
        if (!c)
            break;
        c->of = s;
        c->window = c->initial_window = DEFAULT_WINDOW;
        if (!raw_accept(&c->raw, s->listen_fd, 50)) {
            if (c->raw.fd >= 0)
                raw_close(&c->raw);
            free(c);
        } else if (pthread_create(&s->connection[s->n_connections], NULL, serve, c) == 0) {
            s->n_connections++;
        } else {
            raw_close(&c->raw);
            free(c);
            break;
        }
    }
    for (unsigned i = 0; i < s->n_connections; i++)
        pthread_join(s->connection[i], NULL);
    return NULL;
}

/* --- the client
 * --------------------------------------------------------------------------------- */

static server srv;
static tern_channel *ch;

static void start(script_of script)
{
    memset(&srv, 0, sizeof srv);
    srv.script = script;
    srv.listen_fd = raw_listen(&srv.port);
    assert_int_equal(pthread_create(&srv.thread, NULL, run_server, &srv), 0);
    char target[64];
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", srv.port);
    ch = probe_channel(target);
}

static void stop(void)
{
    tern_channel_free(ch);
    atomic_store(&srv.stop, true);
    pthread_join(srv.thread, NULL);
    close(srv.listen_fd);
    assert_int_equal(atomic_load(&srv.bad_requests), 0);
}

/* large_unary: any thread. *ret_good: the response is as it should be. */
static tern_code large_unary(bool *ret_good)
{
    static uint8_t zeros[RESPONSE_SIZE];
    Grpc__Testing__SimpleRequest req = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
    Grpc__Testing__SimpleResponse *res;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_status st;
    opts.timeout_ms = CALL_MS;
    payload.body.data = zeros;
    payload.body.len = REQUEST_SIZE;
    req.payload = &payload;
    req.response_size = RESPONSE_SIZE;
    *ret_good = false;
    tern_code code = grpc_testing_test_service_unary_call(ch, &opts, &req, &res, &st);
    if (code != TERN_OK) {
        print_message("%s: %s\n", tern_code_name(code), st.message);
        return code;
    }
    *ret_good = res->payload && res->payload->type == GRPC__TESTING__PAYLOAD_TYPE__COMPRESSABLE &&
                res->payload->body.len == RESPONSE_SIZE &&
                memcmp(res->payload->body.data, zeros, RESPONSE_SIZE) == 0;
    grpc__testing__simple_response__free_unpacked(res, NULL);
    return TERN_OK;
}

static void expect_success(void)
{
    bool good;
    assert_int_equal(large_unary(&good), TERN_OK);
    assert_true(good);
}

/* A reset with code 0 behind which there is no status: gRPC says no more than that the call has
 * failed; here it is UNKNOWN, and it is not repeated, for the server may have done its work. */
static void expect_failure(misdeed what)
{
    bool good;
    start((script_of){ .what = what });
    assert_int_equal(large_unary(&good), TERN_UNKNOWN);
    assert_int_equal(large_unary(&good), TERN_UNKNOWN); /* the connection is as good as before */
    stop();
    assert_int_equal(srv.n_connections, 1);
    assert_int_equal(atomic_load(&srv.requests), 2);
}

static void goaway(void **state)
{
    (void)state;
    start((script_of){ .what = GOAWAY });
    expect_success();
    expect_success(); /* without the pause of the description: its GOAWAY came before the answer */
    stop();
    assert_int_equal(srv.n_connections, 2);
    assert_int_equal(atomic_load(&srv.requests), 2);
}

static void rst_after_header(void **state)
{
    (void)state;
    expect_failure(RST_AFTER_HEADER);
}

static void rst_during_data(void **state)
{
    (void)state;
    expect_failure(RST_DURING_DATA);
}

static void rst_after_data(void **state)
{
    (void)state;
    expect_failure(RST_AFTER_DATA);
}

static void ping_case(void **state)
{
    (void)state;
    start((script_of){ .ping = true });
    expect_success();
    expect_success();
    /* The client acknowledges when it reads, and its background loop reads when nobody calls. */
    assert_true(probe_wait(&srv.acks, 8));
    stop();
    assert_int_equal(atomic_load(&srv.pings), 8);
    assert_int_equal(atomic_load(&srv.acks), 8);
}

static atomic_uint n_good;

static void *call_once(void *arg)
{
    bool good;
    (void)arg;
    if (large_unary(&good) == TERN_OK && good)
        atomic_fetch_add(&n_good, 1);
    return NULL;
}

static void max_streams(void **state)
{
    pthread_t threads[CALLS_AT_ONCE];
    (void)state;
    start((script_of){ .streams_max = 1 });
    expect_success();
    atomic_store(&n_good, 0);
    for (int i = 0; i < CALLS_AT_ONCE; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_once, NULL), 0);
    for (int i = 0; i < CALLS_AT_ONCE; i++)
        pthread_join(threads[i], NULL);
    stop();
    assert_int_equal(atomic_load(&n_good), CALLS_AT_ONCE);
    assert_int_equal(atomic_load(&srv.requests), CALLS_AT_ONCE + 1);
    assert_int_equal(atomic_load(&srv.open_at_once_max), 1);
}

static void data_frame_padding(void **state)
{
    (void)state;
    start((script_of){ .data_bytes = 5, .padding = 255 });
    expect_success();
    stop();
}

static void no_df_padding_sanity_test(void **state)
{
    (void)state;
    start((script_of){ .data_bytes = 5 });
    expect_success();
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goaway),
        cmocka_unit_test(rst_after_header),
        cmocka_unit_test(rst_during_data),
        cmocka_unit_test(rst_after_data),
        { "ping", ping_case, NULL, NULL, NULL },
        cmocka_unit_test(max_streams),
        cmocka_unit_test(data_frame_padding),
        cmocka_unit_test(no_df_padding_sanity_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
