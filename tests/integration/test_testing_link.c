/* The link of the test harness (tern/testing.h): what each of its faults does to calls, on the
 * virtual clock; wrong settings fail and say why. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <tern/tern.h>
#include <tern/testing_cmocka.h>

#define SAFE "/t.T/Safe"
#define UNSAFE "/t.T/Unsafe"
#define REAL_MS 60000 /* a limit for what comes at once */

static const tern_method safe = { .path = SAFE, .idempotency = TERN_IDEMPOTENT };
static const tern_method unsafe = { .path = UNSAFE };

static tern_testing_clock *clk;
static tern_testing_server *peer;
static tern_testing_link *net;
static tern_channel *channel;
static tern_status st;

static void open_channel(const tern_channel_options *opts)
{
    tern_channel_free(channel);
    channel = NULL;
    tern_assert_ok(tern_channel_new(tern_testing_link_target(net), opts, &channel, &st), &st);
}

static int setup(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.breaker.disabled = true;
    tern_assert_ok(tern_testing_clock_new(&clk, &st), &st);
    tern_assert_ok(tern_testing_clock_run(clk, true, &st), &st);
    tern_assert_ok(tern_testing_server_new(&peer, &st), &st);
    tern_assert_ok(tern_testing_link_new(tern_testing_server_target(peer), &net, &st), &st);
    open_channel(&opts);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(channel);
    channel = NULL;
    tern_testing_link_free(net);
    tern_testing_server_free(peer);
    tern_testing_clock_free(clk);
    return 0;
}

static char *got; /* the response of the last call */
static size_t got_len;

static tern_code call_with(const tern_method *m, int64_t timeout_ms, const void *request,
                           size_t len)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    void *bytes = NULL;
    opts.timeout_ms = timeout_ms;
    opts.wait_for_ready = true;
    tern_code code = tern_call_unary(channel, m, &opts, request, len, &bytes, &got_len, &st);
    free(got);
    got = code == TERN_OK ? bytes : NULL;
    return code;
}

static tern_code call(const tern_method *m, int64_t timeout_ms)
{
    return call_with(m, timeout_ms, "hello", 5);
}

static void reply(const char *path, const void *bytes, size_t len)
{
    assert_true(tern_testing_reply(peer, path, bytes, len));
}

static void set(tern_testing_way way, const tern_testing_faults *f)
{
    tern_assert_ok(tern_testing_link_set(net, way, f, &st), &st);
}

static int64_t elapsed(void) { return tern_testing_clock_elapsed_ms(clk); }

/* --- time ------------------------------------------------------------------------------------- */

static void test_no_faults(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        reply(UNSAFE, "x", 1);
        tern_assert_ok(call(&unsafe, 1000), &st);
    }
    assert_int_equal(elapsed(), 0);
    assert_int_equal(tern_testing_link_connections(net), 1);
    assert_int_equal(tern_testing_link_open(net), 1);
    uint64_t there = tern_testing_link_bytes(net, TERN_TESTING_TO_SERVER);
    uint64_t back = tern_testing_link_bytes(net, TERN_TESTING_TO_CLIENT);
    assert_in_range(there, 50, 2000);
    assert_in_range(back, 50, 2000);
}

static void test_delay(void **state)
{
    (void)state;
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    reply(UNSAFE, "x", 1);
    tern_assert_ok(call(&unsafe, 0), &st);
    int64_t began = elapsed();
    f.delay_ms = 400;
    set(TERN_TESTING_TO_SERVER, &f);
    f.delay_ms = 300;
    set(TERN_TESTING_TO_CLIENT, &f);
    reply(UNSAFE, "x", 1);
    tern_assert_ok(call(&unsafe, 701), &st);
    assert_int_equal(elapsed() - began, 700);
    reply(UNSAFE, "x", 1);
    began = elapsed();
    tern_assert_status(call(&unsafe, 699), &st, TERN_DEADLINE_EXCEEDED, NULL);
    assert_int_equal(elapsed() - began, 699);
    set(TERN_TESTING_BOTH_WAYS, NULL);
    reply(UNSAFE, "x", 1);
    began = elapsed();
    tern_assert_ok(call(&unsafe, 0), &st); /* behind what was under way */
    assert_in_range(elapsed() - began, 0, 400);
}

static void test_rate(void **state)
{
    (void)state;
    static char big[100000];
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    memset(big, 'b', sizeof big);
    f.bytes_per_second = 10000;
    set(TERN_TESTING_TO_CLIENT, &f);
    reply(UNSAFE, big, sizeof big);
    tern_assert_ok(call(&unsafe, 0), &st);
    assert_int_equal(got_len, sizeof big);
    assert_memory_equal(got, big, sizeof big);
    assert_in_range(elapsed(), 9900, 10500);
}

/* Frames come in pieces of every size. */
static void test_pieces(void **state)
{
    (void)state;
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    static const uint32_t sizes[] = { 1, 5, 9, 64 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        f.bytes_at_once = sizes[i];
        set(TERN_TESTING_BOTH_WAYS, &f);
        reply(UNSAFE, "piece by piece", 14);
        tern_assert_ok(call(&unsafe, 0), &st);
        assert_int_equal(got_len, 14);
        assert_memory_equal(got, "piece by piece", 14);
        const tern_testing_call *seen = tern_testing_server_call(peer, UNSAFE, i);
        assert_int_equal(seen->messages[0].len, 5);
        assert_memory_equal(seen->messages[0].data, "hello", 5);
    }
    assert_int_equal(elapsed(), 0); /* however many pieces there are */
    assert_int_equal(tern_testing_link_connections(net), 1);
}

/* --- silence ---------------------------------------------------------------------------------- */

/* Nobody is told of anything: only keepalive finds out, at its time. */
static void test_drop_and_keepalive(void **state)
{
    (void)state;
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    static const tern_testing_way ways[] = { TERN_TESTING_TO_SERVER, TERN_TESTING_TO_CLIENT,
                                             TERN_TESTING_BOTH_WAYS };
    opts.keepalive_time_ms = 10000;
    opts.keepalive_timeout_ms = 5000;
    f.drop = true;
    for (int i = 0; i < 3; i++) {
        open_channel(&opts);
        unsigned before = tern_testing_link_connections(net);
        reply(UNSAFE, "x", 1);
        tern_assert_ok(call(&unsafe, 0), &st);
        int64_t began = elapsed();
        set(ways[i], &f);
        reply(UNSAFE, "lost", 4);
        tern_assert_status(call(&unsafe, 3600000), &st, TERN_UNAVAILABLE, "keepalive");
        assert_int_equal(elapsed() - began, 15000);
        assert_int_equal(tern_testing_link_connections(net), before + 1);
        set(TERN_TESTING_BOTH_WAYS, NULL);
        if (ways[i] & TERN_TESTING_TO_SERVER) { /* it has never come */
            assert_int_equal(tern_testing_server_unused(peer, UNSAFE), 1);
            tern_assert_ok(call(&unsafe, 0), &st);
            assert_int_equal(tern_testing_link_connections(net), before + 2);
        }
        tern_assert_script_used(peer);
    }
}

static void test_stall(void **state)
{
    (void)state;
    static char big[4000000];
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    reply(UNSAFE, "x", 1);
    tern_assert_ok(call(&unsafe, 0), &st);
    f.stall = true;
    set(TERN_TESTING_TO_SERVER, &f);
    uint64_t before = tern_testing_link_bytes(net, TERN_TESTING_TO_SERVER);
    tern_assert_status(call_with(&unsafe, 1000, big, sizeof big), &st, TERN_DEADLINE_EXCEEDED,
                       NULL);
    assert_int_equal(tern_testing_link_bytes(net, TERN_TESTING_TO_SERVER), before);
    set(TERN_TESTING_BOTH_WAYS, NULL);
    reply(UNSAFE, "y", 1); /* for the one that was given up, if it still comes */
    reply(UNSAFE, "y", 1);
    tern_assert_ok(call(&unsafe, 1000), &st);
    assert_int_equal(tern_testing_link_connections(net), 1);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void *call_apart(void *code)
{
    *(tern_code *)code = call(&unsafe, 0);
    return NULL;
}

static void test_reset_and_close(void **state)
{
    (void)state;
    tern_testing_answer never = TERN_TESTING_ANSWER_INIT;
    never.action = TERN_TESTING_DROP;
    for (unsigned i = 0; i < 3; i++) {
        pthread_t thread;
        tern_code code = TERN_OK;
        tern_assert_ok(tern_testing_server_add(peer, UNSAFE, &never, &st), &st);
        assert_int_equal(pthread_create(&thread, NULL, call_apart, &code), 0);
        assert_true(tern_testing_server_wait(peer, UNSAFE, i + 1, REAL_MS));
        if (i == 0)
            tern_testing_link_reset(net);
        else
            tern_testing_link_close(net, i == 1 ? TERN_TESTING_TO_CLIENT : TERN_TESTING_TO_SERVER);
        pthread_join(thread, NULL);
        tern_assert_status(code, &st, TERN_UNAVAILABLE, "connection");
        assert_int_equal(tern_testing_link_connections(net), i + 1);
    }
    reply(UNSAFE, "x", 1);
    tern_assert_ok(call(&unsafe, 0), &st);
    assert_int_equal(tern_testing_link_connections(net), 4);
}

/* Wherever the bytes are cut, once: a call that may be repeated succeeds, unless the answer has
 * begun; and nothing is taken for an answer that is not whole. */
static void test_cut(void **state)
{
    (void)state;
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    const tern_testing_message text = { "all of it", 9, false };
    a.replies = &text;
    a.n_replies = 1;
    int n_failed = 0;
    tern_assert_ok(tern_testing_server_set_default(peer, SAFE, &a, &st), &st);
    for (int way = TERN_TESTING_TO_SERVER; way <= TERN_TESTING_TO_CLIENT; way++)
        for (f.cut_after = 1; f.cut_after < 120; f.cut_after += 7) {
            set((tern_testing_way)way, &f);
            tern_code code = call(&safe, 0);
            if (way == TERN_TESTING_TO_CLIENT && code != TERN_OK) {
                tern_assert_status(code, &st, TERN_UNAVAILABLE, "connection");
                n_failed++;
                continue;
            }
            tern_assert_ok(code, &st);
            assert_int_equal(got_len, 9);
            assert_memory_equal(got, "all of it", 9);
        }
    assert_in_range(tern_testing_link_connections(net), 10, 40);
    assert_in_range(n_failed, 1, 16);
}

static void test_refuse(void **state)
{
    (void)state;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    void *bytes;
    size_t len;
    tern_testing_link_refuse(net, true);
    tern_assert_status(tern_call_unary(channel, &unsafe, &opts, "", 0, &bytes, &len, &st), &st,
                       TERN_UNAVAILABLE, "connection");
    assert_int_equal(tern_testing_link_connections(net), 0);
    tern_testing_link_refuse(net, false);
    reply(UNSAFE, "x", 1);
    tern_assert_ok(call(&unsafe, 0), &st); /* after the pause for that failure */
    assert_in_range(elapsed(), 700, 1300);
    tern_testing_server_free(peer); /* nobody is behind it */
    peer = NULL;
    open_channel(NULL);
    tern_assert_status(call(&unsafe, 5000), &st, TERN_DEADLINE_EXCEEDED, "connection");
}

/* --- the link itself -------------------------------------------------------------------------- */

static tern_code echo(void *self, tern_server_call *c)
{
    (void)self;
    size_t len;
    const void *request = tern_server_call_request(c, &len);
    void *response = tern_server_call_response_buffer(c, len);
    if (!response)
        return TERN_RESOURCE_EXHAUSTED;
    memcpy(response, request, len);
    return TERN_OK;
}

static void test_own_server(void **state)
{
    (void)state;
    char target[TERN_TESTING_TARGET_MAX];
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    tern_server *srv;
    tern_testing_link *scripted = net;
    tern_assert_ok(tern_server_new(NULL, &srv, &st), &st);
    tern_assert_ok(tern_server_add_raw(srv, &unsafe, echo, NULL, &st), &st);
    tern_assert_ok(tern_testing_listen(srv, target, &st), &st);
    tern_assert_ok(tern_server_start(srv, &st), &st);
    tern_assert_ok(tern_testing_link_new(target, &net, &st), &st);
    open_channel(NULL);
    f.delay_ms = 2500;
    tern_assert_ok(call(&unsafe, 0), &st);
    int64_t began = elapsed();
    set(TERN_TESTING_BOTH_WAYS, &f);
    tern_assert_ok(call(&unsafe, 0), &st);
    assert_int_equal(elapsed() - began, 5000);
    assert_memory_equal(got, "hello", 5);
    tern_channel_free(channel);
    channel = NULL;
    tern_server_free(srv);
    tern_testing_link_free(net);
    net = scripted;
}

static void test_wrong_uses(void **state)
{
    (void)state;
    static const char *targets[] = { "", "ipv4:127.0.0.1:1", "unix-abstract:", "unix:/tmp/socket" };
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    tern_testing_link *l = NULL;
    for (int i = 0; i < 4; i++)
        tern_assert_status(tern_testing_link_new(targets[i], &l, &st), &st, TERN_INVALID_ARGUMENT,
                           targets[i]);
    assert_null(l);
    tern_assert_status(tern_testing_link_set(net, (tern_testing_way)0, &f, &st), &st,
                       TERN_INVALID_ARGUMENT, "TERN_TESTING_BOTH_WAYS");
    tern_assert_status(tern_testing_link_set(net, (tern_testing_way)4, &f, &st), &st,
                       TERN_INVALID_ARGUMENT, "no way 4");
    f.size--;
    tern_assert_status(tern_testing_link_set(net, TERN_TESTING_TO_SERVER, &f, &st), &st,
                       TERN_INVALID_ARGUMENT, "TERN_TESTING_FAULTS_INIT");
    f.size++;
    f.drop = f.stall = true;
    tern_assert_status(tern_testing_link_set(net, TERN_TESTING_TO_SERVER, &f, &st), &st,
                       TERN_INVALID_ARGUMENT, "stall");
    tern_testing_link_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop_and_keepalive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stall, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset_and_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_uses, setup, teardown),
    };
    int failed = cmocka_run_group_tests_name("testing_link", tests, NULL, NULL);
    free(got);
    return failed;
}
