/* A server at its limits: no thread left for handlers, a client that reads its answers drop by
 * drop, no file descriptors to start with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"
#include "support/rawh2.h"

#define PATIENCE_MS 15000
#define CALLERS 6
#define BIG (8u << 20)

static tern_server *srv;
static tern_status st;
static char target[64];
static uint16_t port;
static atomic_uint blocked;

static const tern_method block_method = { .path = "/t.Block/Block" };
static const tern_method quick_method = { .path = "/t.Quick/Quick" };
static const tern_method big_method = { .path = "/t.Big/Big" };

/* Waits for the end of its call, as in a client call of its own without a deadline. */
static tern_code handle_block(void *self, tern_server_call *call)
{
    (void)self;
    tern_will_block();
    atomic_fetch_add(&blocked, 1);
    for (int64_t until = probe_now_ms() + PATIENCE_MS;
         tern_context_error(tern_server_call_context(call)) == TERN_OK && probe_now_ms() < until;)
        probe_sleep_ms(1);
    return TERN_OK;
}

static tern_code handle_quick(void *self, tern_server_call *call)
{
    (void)self;
    (void)call;
    return TERN_OK;
}

static tern_code handle_big(void *self, tern_server_call *call)
{
    (void)self;
    memset(tern_server_call_response_buffer(call, BIG), 'x', BIG);
    return TERN_OK;
}

static void start_server(const tern_server_options *opts)
{
    assert_int_equal(tern_server_new(opts, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &block_method, handle_block, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &quick_method, handle_quick, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &big_method, handle_big, NULL, &st), TERN_OK);
    tern_server_set_execution(srv, "t.Quick", TERN_EXEC_INLINE);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
}

static void *call_block(void *channel)
{
    void *bytes = NULL;
    size_t len;
    if (tern_call_unary(channel, &block_method, NULL, "", 0, &bytes, &len, NULL) == TERN_OK)
        free(bytes);
    return NULL;
}

/* More handlers block than there are threads for them: what needs no handler thread goes on, and a
 * drain ends in time. */
static void test_no_threads_left(void **state)
{
    (void)state;
    pthread_t threads[CALLERS];
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    tern_call_options quick = TERN_CALL_OPTIONS_INIT;
    void *bytes = NULL;
    size_t len;
    opts.loops = 2;
    opts.handler_threads_max = 2;
    start_server(&opts);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    tern_channel *ch = probe_channel(target);
    tern_channel *other = probe_channel(target);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_block, ch), 0);
    assert_true(probe_wait(&blocked, 2));
    probe_sleep_ms(50);
    assert_in_range(atomic_load(&blocked), 2, 3); /* with two loops one more may slip in */
    quick.timeout_ms = PATIENCE_MS / 2;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(tern_call_unary(other, &quick_method, &quick, "", 0, &bytes, &len, &st),
                         TERN_OK);
        free(bytes);
    }
    int64_t began = probe_now_ms();
    tern_server_drain(srv, 200);
    tern_server_wait(srv);
    assert_in_range(probe_now_ms() - began, 0, PATIENCE_MS / 2);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    tern_channel_free(ch);
    tern_channel_free(other);
    tern_server_free(srv);
}

typedef struct trickle {
    rawh2 raw;
    atomic_bool stop;
} trickle;

static void *read_drop_by_drop(void *arg)
{
    trickle *t = arg;
    char drop[4096];
    while (!atomic_load(&t->stop) && recv(t->raw.fd, drop, sizeof drop, MSG_DONTWAIT) != 0)
        probe_sleep_ms(10);
    return NULL;
}

/* Every drop is progress, and still the drain has an end. */
static void test_drip_does_not_hold_up_drain(void **state)
{
    (void)state;
    static trickle t;
    pthread_t thread;
    static const uint8_t windows[] = { 0, 4, 0x7f, 0xff, 0xff, 0xff };
    static const uint8_t more[] = { 0x7f, 0xf0, 0, 0 };
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.loops = 1;
    start_server(&opts);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    raw_connect(&t.raw, port, true);
    raw_put_frame(&t.raw, RAW_SETTINGS, 0, 0, windows, sizeof windows);
    raw_put_frame(&t.raw, RAW_WINDOW_UPDATE, 0, 0, more, sizeof more);
    for (uint32_t i = 1; i < 8; i += 2) {
        raw_put_request(&t.raw, i, RAW_END_HEADERS, "/t.Big/Big", NULL, NULL);
        raw_put_empty_message(&t.raw, i, RAW_END_STREAM);
    }
    assert_true(raw_send(&t.raw));
    assert_int_equal(pthread_create(&thread, NULL, read_drop_by_drop, &t), 0);
    probe_sleep_ms(200);
    int64_t began = probe_now_ms();
    tern_server_drain(srv, 200);
    tern_server_wait(srv);
    assert_in_range(probe_now_ms() - began, 0, 200 + TERN_LIMIT_GOODBYE_MS + 3000);
    atomic_store(&t.stop, true);
    pthread_join(thread, NULL);
    raw_close(&t.raw);
    tern_server_free(srv);
}

static void test_start_again(void **state)
{
    (void)state;
    struct rlimit old, few;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    void *bytes = NULL;
    size_t len;
    opts.loops = 4;
    start_server(&opts);
    int next = dup(0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = (rlim_t)next + 3; /* enough for one loop and a half */
    close(next);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(tern_server_start(srv, &st), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    tern_channel *ch = probe_channel(target);
    assert_int_equal(tern_call_unary(ch, &quick_method, NULL, "", 0, &bytes, &len, &st), TERN_OK);
    free(bytes);
    tern_channel_free(ch);
    tern_server_free(srv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_threads_left),
        cmocka_unit_test(test_drip_does_not_hold_up_drain),
        cmocka_unit_test(test_start_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
