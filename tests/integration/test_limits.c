/* Limits that a program can set: each is set, and the breach has the status, or the end of the
 * connection, that limits.h says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "support/probe.h"
#include "support/rawh2.h"

#define PATIENCE_MS 10000
#define ENHANCE_YOUR_CALM 11u
#define KIB 1024u

static tern_status st;

/* --- metadata --------------------------------------------------------------------------------- */

static uint32_t answer_bytes; /* of trailing metadata that the handler sends */

static const char *text_of(size_t len)
{
    static char text[TERN_LIMIT_HEADER_LIST_BYTES_MAX];
    memset(text, 'm', len);
    text[len] = '\0';
    return text;
}

/* Characters of two bytes, each of which percent-encoding makes three of. */
static const char *wide_text(size_t n)
{
    static char text[TERN_STATUS_MESSAGE_MAX];
    for (size_t i = 0; i < n; i++)
        memcpy(text + 2 * i, "\xc3\xbc", 2);
    text[2 * n] = '\0';
    return text;
}

static tern_code on_echo(void *self, tern_server_call *call, const Tests__V1__EchoRequest *req,
                         Tests__V1__EchoResponse *res)
{
    (void)self;
    res->text = req->text;
    if (strcmp(req->text, "fail") == 0)
        return tern_server_call_fail(call, TERN_ABORTED, "%s", wide_text(500));
    if (answer_bytes)
        tern_metadata_add(tern_server_call_trailing_metadata(call), "x", text_of(answer_bytes));
    return TERN_OK;
}

typedef struct pair {
    tern_server *srv;
    tern_channel *ch;
} pair;

static pair join(uint32_t server_max, uint32_t client_max)
{
    static const tests_v1_probe_handlers handlers = { .echo = on_echo };
    tern_server_options so = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    char target[64];
    uint16_t port;
    pair p;
    so.metadata_bytes_max = server_max;
    co.metadata_bytes_max = client_max;
    assert_int_equal(tern_server_new(&so, &p.srv, &st), TERN_OK);
    assert_int_equal(tests_v1_probe_register(p.srv, &handlers, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(p.srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(p.srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    p.ch = probe_channel_with(target, &co);
    return p;
}

static void part(pair *p)
{
    tern_channel_free(p->ch);
    tern_server_drain(p->srv, 1000);
    tern_server_wait(p->srv);
    tern_server_free(p->srv);
}

static tern_code call(pair *p, size_t request_bytes, uint32_t response_bytes)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_metadata *md = tern_metadata_new(), *trailing = tern_metadata_new();
    opts.timeout_ms = PATIENCE_MS;
    opts.metadata = md;
    opts.ret_trailing_metadata = trailing;
    assert_int_equal(tern_metadata_add(md, "x", text_of(request_bytes)), 0);
    answer_bytes = response_bytes;
    tern_code code = probe_echo(p->ch, &opts, "x", &st);
    if (code == TERN_OK && response_bytes)
        assert_int_equal(strlen(tern_metadata_get(trailing, "x")), response_bytes);
    tern_metadata_free(md);
    tern_metadata_free(trailing);
    return code;
}

static void metadata_by_default(void **state)
{
    (void)state;
    pair p = join(0, 0);
    assert_int_equal(call(&p, 15 * KIB, 15 * KIB), TERN_OK);
    assert_int_equal(call(&p, 17 * KIB, 1), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "metadata_bytes_max"));
    assert_int_equal(call(&p, 1, 17 * KIB), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(call(&p, 1, 1), TERN_OK);
    part(&p);
}

static void more_metadata(void **state)
{
    (void)state;
    pair p = join(64 * KIB, 64 * KIB);
    assert_int_equal(call(&p, 60 * KIB, 60 * KIB), TERN_OK);
    assert_int_equal(call(&p, 65 * KIB, 1), TERN_RESOURCE_EXHAUSTED);
    part(&p);
    p = join(128 * KIB, 128 * KIB);
    assert_int_equal(call(&p, 64 * KIB, 64 * KIB), TERN_OK);
    assert_int_equal(call(&p, 64 * KIB + 1, 1), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "a value of more than 65536"));
    assert_int_equal(call(&p, 1, 64 * KIB + 1), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(call(&p, 1, 1), TERN_OK);
    tern_channel_stats stats;
    tern_channel_stats_get(p.ch, &stats);
    assert_int_equal(stats.connects, 1); /* the connection has survived */
    part(&p);
}

static void less_metadata(void **state)
{
    (void)state;
    pair server_less = join(2 * KIB, 0), client_less = join(0, 2 * KIB);
    assert_int_equal(call(&server_less, 1 * KIB, 1 * KIB), TERN_OK);
    assert_int_equal(call(&server_less, 3 * KIB, 1), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(call(&server_less, 1, 3 * KIB), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(call(&client_less, 1 * KIB, 1 * KIB), TERN_OK);
    assert_int_equal(call(&client_less, 3 * KIB, 1), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(call(&client_less, 1, 3 * KIB), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(call(&client_less, 1, 1), TERN_OK); /* the connection has survived */
    part(&server_less);
    part(&client_less);
}

/* The limit is of metadata: a status gets through whatever it is. */
static void long_status_and_little_metadata(void **state)
{
    (void)state;
    pair p = join(640, 0);
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    assert_int_equal(probe_echo(p.ch, &opts, "x", &st), TERN_OK);
    assert_int_equal(probe_echo(p.ch, &opts, "fail", &st), TERN_ABORTED);
    assert_string_equal(st.message, wide_text(500));
    part(&p);
}

static void beyond_what_can_be_set(void **state)
{
    (void)state;
    tern_server_options so = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    tern_server *srv;
    tern_channel *ch;
    so.metadata_bytes_max = co.metadata_bytes_max = TERN_LIMIT_HEADER_LIST_BYTES_MAX + 1;
    assert_int_equal(tern_server_new(&so, &srv, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "metadata_bytes_max is 131073, at most 131072"));
    assert_int_equal(tern_channel_new("localhost:1", &co, &ch, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "metadata_bytes_max is 131073, at most 131072"));
}

/* --- what a client may do to a server --------------------------------------------------------- */

static probe_server server;
static rawh2 raw;
static raw_frame f;

static void reset_streams(uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        raw_put_request(&raw, first + 2 * i, RAW_END_HEADERS, "/tests.v1.Probe/Sleep", NULL, NULL);
        raw_put_frame(&raw, RAW_RST_STREAM, 0, first + 2 * i, "\0\0\0\10", 4);
    }
    raw_send(&raw);
}

static void begin(const tern_server_options *so)
{
    probe_start(&server, so, "ipv4:127.0.0.1:0");
    raw_connect(&raw, server.port, true);
}

static void end(void)
{
    raw_close(&raw);
    probe_stop(&server, 1000);
}

static bool answers_ping(void)
{
    raw_put_frame(&raw, RAW_PING, 0, 0, "12345678", 8);
    return raw_send(&raw) && raw_until(&raw, RAW_PING, 0, &f, PATIENCE_MS);
}

static void resets(void **state)
{
    (void)state;
    tern_server_options so = TERN_SERVER_OPTIONS_INIT;
    uint32_t error;
    so.resets_burst = 20;
    so.resets_per_second = 1;
    begin(&so);
    reset_streams(1, 20);
    assert_true(answers_ping());
    reset_streams(41, 60); /* a slow machine forgives one a second */
    assert_true(raw_closed(&raw, PATIENCE_MS, &error));
    assert_true(error == ENHANCE_YOUR_CALM || error == UINT32_MAX);
    end();
    so.resets_burst = 500;
    begin(&so);
    reset_streams(1, 250);
    reset_streams(501, 240);
    assert_true(answers_ping());
    end();
    /* more than nghttp2 bears by itself */
    so.resets_burst = 5000;
    begin(&so);
    for (uint32_t first = 1; first < 3000; first += 200)
        reset_streams(first, 100);
    assert_true(answers_ping());
    end();
}

/* A client that asks for megabytes and never reads is cut off after the time that the program has
 * set. */
static void stall(void **state)
{
    (void)state;
    tern_server_options so = TERN_SERVER_OPTIONS_INIT;
    so.send_stall_timeout_ms = 50;
    so.connections_max = 1;
    begin(&so);
    raw_put_frame(&raw, RAW_SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff", 6);
    raw_put_frame(&raw, RAW_WINDOW_UPDATE, 0, 0, "\x7f\xfe\0\0", 4);
    for (uint32_t i = 0; i < 90; i++) {
        raw_put_request(&raw, 2 * i + 1, RAW_END_HEADERS, "/tests.v1.Probe/Echo", NULL, NULL);
        /* EchoRequest { answer_bytes = 1 MiB } */
        raw_put_frame(&raw, RAW_DATA, RAW_END_STREAM, 2 * i + 1, "\0\0\0\0\4\x18\x80\x80\x40", 9);
    }
    assert_true(raw_send(&raw));
    /* Its place is free again for somebody else. */
    tern_channel *ch = probe_channel(server.target);
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    opts.wait_for_ready = true;
    int64_t ends = probe_now_ms() + PATIENCE_MS;
    tern_code code = TERN_UNAVAILABLE;
    while (code == TERN_UNAVAILABLE && probe_now_ms() < ends)
        code = probe_echo(ch, &opts, "x", &st);
    assert_int_equal(code, TERN_OK);
    tern_channel_free(ch);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_by_default),
        cmocka_unit_test(more_metadata),
        cmocka_unit_test(less_metadata),
        cmocka_unit_test(long_status_and_little_metadata),
        cmocka_unit_test(beyond_what_can_be_set),
        cmocka_unit_test(resets),
        cmocka_unit_test(stall),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
