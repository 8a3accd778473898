/* Client-side health checking (gRFC A17): calls go where the server says that it serves, while its
 * connection is kept; servers that know nothing of health, that say nonsense, or that end the
 * watch; and configs that change at run time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/testing_cmocka.h>

#include "support/probe.h"

#define SERVERS 3u
#define PATIENCE_MS 10000
#define BACKOFF_MS 20
#define LB "\"loadBalancingConfig\":[{\"round_robin\":{}}]"
#define BALANCED "{" LB "}"
#define CHECKED(service) "{" LB ",\"healthCheckConfig\":{\"serviceName\":\"" service "\"}}"

static probe_server servers[SERVERS];
static char target[256];
static tern_channel *ch;
static tern_status st;

static tern_channel *channel_with(const char *to, const char *json, bool disabled)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.service_config = json;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = BACKOFF_MS;
    opts.breaker.disabled = true;
    opts.retry.disabled = true;
    opts.health_check_disabled = disabled;
    return probe_channel_with(to, &opts);
}

static int setup(void **state)
{
    (void)state;
    size_t len = 0;
    for (unsigned i = 0; i < SERVERS; i++) {
        probe_start(&servers[i], NULL, "ipv4:127.0.0.1:0");
        len += (size_t)snprintf(target + len, sizeof target - len, "%s127.0.0.1:%u",
                                i ? "," : "ipv4:", servers[i].port);
    }
    ch = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(ch);
    for (unsigned i = 0; i < SERVERS; i++)
        probe_stop(&servers[i], 1000);
    return 0;
}

static void set(const char *json)
{
    if (tern_channel_set_service_config(ch, json, json ? strlen(json) : 0, &st) != TERN_OK)
        fail_msg("%s", st.message);
}

static void serve(unsigned i, const char *service, bool on)
{
    assert_int_equal(tern_health_set(servers[i].health, service,
                                     on ? TERN_SERVING : TERN_NOT_SERVING), 0);
}

/* None fails. */
static void calls(unsigned n)
{
    for (unsigned i = 0; i < SERVERS; i++)
        atomic_store(&servers[i].calls, 0);
    for (unsigned i = 0; i < n; i++)
        if (probe_echo(ch, NULL, "hello", &st) != TERN_OK)
            fail_msg("call %u: %s", i, st.message);
}

/* Calls until those servers have them that are bits of `which`, and no others. */
static void wait_until_called(unsigned which)
{
    unsigned now;
    int64_t until = probe_now_ms() + PATIENCE_MS;
    do {
        calls(2 * SERVERS);
        now = 0;
        for (unsigned i = 0; i < SERVERS; i++)
            now |= atomic_load(&servers[i].calls) ? 1u << i : 0;
    } while (now != which && probe_now_ms() < until);
    assert_int_equal(now, which);
}

static uint64_t connects(void)
{
    tern_channel_stats s;
    tern_channel_stats_get(ch, &s);
    return s.connects;
}

static tern_code waiting_call(void)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.wait_for_ready = TERN_CHOICE_YES;
    opts.timeout_ms = PATIENCE_MS;
    return probe_echo(ch, &opts, "hello", &st);
}

/* --- what servers say ------------------------------------------------------------------------- */

/* Calls leave a server that does not serve and come back to it, on the same connection. */
static void test_calls_follow(void **state)
{
    (void)state;
    ch = channel_with(target, CHECKED(""), false);
    wait_until_called(7);
    assert_int_equal(connects(), SERVERS);
    for (unsigned round = 0; round < 3; round++) {
        serve(1, "", false);
        wait_until_called(5);
        serve(0, "", false);
        wait_until_called(4);
        serve(0, "", true);
        serve(1, "", true);
        wait_until_called(7);
    }
    assert_int_equal(connects(), SERVERS);
}

/* One that serves nothing at first gets its calls when it does. */
static void test_starts_unhealthy(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVERS; i++)
        serve(i, "", false);
    ch = channel_with(target, CHECKED(""), false);
    tern_code code = probe_echo(ch, NULL, "hello", &st);
    assert_int_equal(code, TERN_UNAVAILABLE);
    if (!strstr(st.message, "is not healthy: grpc.health.v1 says NOT_SERVING"))
        fail_msg("%s", st.message);
    serve(2, "", true);
    assert_int_equal(waiting_call(), TERN_OK);
    wait_until_called(4);
}

/* The service that is asked about, and nothing else, counts. */
static void test_service_names(void **state)
{
    (void)state;
    ch = channel_with(target, CHECKED("orders.v1.Orders"), false);
    assert_int_equal(probe_echo(ch, NULL, "hello", &st), TERN_UNAVAILABLE);
    if (!strstr(st.message, "SERVICE_UNKNOWN"))
        fail_msg("%s", st.message);
    serve(0, "orders.v1.Orders", true);
    serve(1, "orders.v1.Orders", true);
    assert_int_equal(waiting_call(), TERN_OK);
    wait_until_called(3);
    serve(0, "", false);
    calls(20);
    assert_true(atomic_load(&servers[0].calls) > 0);
}

/* A connection that ends takes its watch along; the next one has its own. */
static void test_restart(void **state)
{
    (void)state;
    char address[sizeof servers[0].target];
    ch = channel_with(target, CHECKED(""), false);
    wait_until_called(7);
    snprintf(address, sizeof address, "%s", servers[1].target);
    probe_stop(&servers[1], 1000);
    wait_until_called(5);
    probe_start(&servers[1], NULL, address);
    wait_until_called(7);
    serve(1, "", false);
    wait_until_called(5);
}

/* --- configs ---------------------------------------------------------------------------------- */

static void test_changes_at_run_time(void **state)
{
    (void)state;
    ch = channel_with(target, BALANCED, false);
    serve(1, "", false);
    wait_until_called(7); /* nobody asks */
    set(CHECKED(""));
    wait_until_called(5);
    for (unsigned i = 0; i < SERVERS; i++)
        serve(i, "other", i == 1);
    set(CHECKED("other"));
    wait_until_called(2);
    set(BALANCED);
    wait_until_called(7);
    set(CHECKED(""));
    wait_until_called(5);
    set(NULL); /* pick_first asks nobody */
    wait_until_called(1);
    serve(0, "", false);
    calls(10);
    set(CHECKED("")); /* and now they are asked again */
    wait_until_called(4);
    assert_true(connects() <= 3 * SERVERS);
}

static void test_disabled(void **state)
{
    (void)state;
    serve(1, "", false);
    ch = channel_with(target, CHECKED(""), true);
    wait_until_called(7);
}

/* Policies that come and go while everything is watched. */
static void test_under_changes(void **state)
{
    (void)state;
    ch = channel_with(target, CHECKED(""), false);
    for (unsigned i = 0; i < 30; i++) {
        set(i % 3 == 0 ? CHECKED("") : i % 3 == 1 ? BALANCED : NULL);
        calls(5);
        serve(1, "", i & 1);
    }
    serve(1, "", true);
    set(CHECKED(""));
    wait_until_called(7);
}

/* --- odd servers, on a virtual clock ---------------------------------------------------------- */

static struct odd {
    tern_server *srv;
    char target[TERN_TESTING_TARGET_MAX];
    const char *answer; /* of a watch; NULL: none */
    size_t answer_len;
    tern_code code;     /* the watch ends with */
    atomic_uint watches, calls;
} odd;

static tern_testing_clock *clk;

static tern_code odd_watch(void *self, tern_server_call *call)
{
    const void *request;
    size_t len;
    (void)self;
    atomic_fetch_add(&odd.watches, 1);
    while (tern_server_call_recv(call, &request, &len))
        ;
    if (odd.answer)
        tern_server_call_send(call, odd.answer, odd.answer_len);
    return odd.code ? tern_server_call_fail(call, odd.code, "odd") : TERN_OK;
}

static tern_code odd_call(void *self, tern_server_call *call)
{
    (void)self;
    (void)call;
    atomic_fetch_add(&odd.calls, 1);
    return TERN_OK;
}

static const tern_method odd_method = { .path = "/t.Odd/Call" };

static void start_odd(const char *answer, size_t len, tern_code code, uint32_t streams_max,
                      bool with_watch)
{
    static const tern_method watch = { .path = "/grpc.health.v1.Health/Watch",
                                       .kind = TERN_KIND_SERVER_STREAMING };
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    memset(&odd, 0, sizeof odd);
    odd.answer = answer;
    odd.answer_len = len;
    odd.code = code;
    opts.concurrent_streams_max = streams_max;
    assert_int_equal(tern_server_new(&opts, &odd.srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(odd.srv, &odd_method, odd_call, NULL, &st), TERN_OK);
    if (with_watch)
        assert_int_equal(tern_server_add_raw(odd.srv, &watch, odd_watch, NULL, &st), TERN_OK);
    assert_int_equal(tern_testing_listen(odd.srv, odd.target, &st), TERN_OK);
    assert_int_equal(tern_server_start(odd.srv, &st), TERN_OK);
    ch = channel_with(odd.target, CHECKED(""), false);
}

static int setup_clock(void **state)
{
    (void)state;
    tern_assert_ok(tern_testing_clock_new(&clk, &st), &st);
    return 0;
}

static int teardown_clock(void **state)
{
    (void)state;
    tern_testing_clock_free(clk);
    return 0;
}

static void advance(int64_t ms)
{
    tern_assert_ok(tern_testing_clock_advance(clk, ms, &st), &st);
}

static tern_code call_odd(void)
{
    void *bytes = NULL;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    tern_code code = tern_call_unary(ch, &odd_method, &opts, "x", 1, &bytes, &len, &st);
    free(bytes);
    return code;
}

static void stop_odd(void)
{
    tern_channel_free(ch);
    ch = NULL;
    tern_server_free(odd.srv);
}

/* Without the service a server counts as healthy, and is not asked again and again. */
static void test_unimplemented(void **state)
{
    (void)state;
    start_odd(NULL, 0, TERN_OK, 0, false);
    for (int i = 0; i < 20; i++)
        assert_int_equal(call_odd(), TERN_OK);
    stop_odd();
    start_odd(NULL, 0, TERN_UNIMPLEMENTED, 0, true);
    assert_int_equal(call_odd(), TERN_OK);
    advance(600000);
    assert_int_equal(atomic_load(&odd.watches), 1);
    stop_odd();
}

/* A watch that fails is opened again with pauses, and so is one that answers and ends. */
static void test_watch_ends(void **state)
{
    static const struct {
        const char *answer;
        size_t len;
        tern_code code;
        const char *says;
    } cases[] = {
        { NULL, 0, TERN_PERMISSION_DENIED, "ended with PERMISSION_DENIED" },
        { NULL, 0, TERN_OK, "ended with OK" },
        { "\x08\x02", 2, TERN_OK, "ended with OK" },
        { "\x08\x01", 2, TERN_OK, "ended with OK" },
        { "\x08", 1, TERN_OK, "no HealthCheckResponse" },
        { "\x0b", 1, TERN_OK, "no HealthCheckResponse" },
        { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, TERN_OK, "HealthCheckResponse" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start_odd(cases[i].answer, cases[i].len, cases[i].code, 0, true);
        assert_int_equal(call_odd(), TERN_UNAVAILABLE);
        advance(1000); /* with pauses of BACKOFF_MS, a fifth more or less */
        assert_in_range(atomic_load(&odd.watches), 1000 * 10 / 12 / BACKOFF_MS,
                        1000 * 10 / 8 / BACKOFF_MS + 1);
        assert_int_equal(call_odd(), TERN_UNAVAILABLE);
        if (!strstr(st.message, cases[i].says) && !strstr(st.message, "says NOT_SERVING"))
            fail_msg("case %zu: %s", i, st.message);
        assert_int_equal(atomic_load(&odd.calls), 0);
        stop_odd();
    }
}

/* More than an answer can be. */
static void test_long_answer(void **state)
{
    static char much[TERN_LIMIT_HEALTH_RESPONSE_BYTES + 1];
    (void)state;
    start_odd(much, sizeof much, TERN_OK, 0, true);
    assert_int_equal(call_odd(), TERN_UNAVAILABLE);
    stop_odd();
}

/* Where there is one place for a stream, that is for calls. */
static void test_one_place(void **state)
{
    (void)state;
    start_odd("\x08\x02", 2, TERN_OK, 1, true);
    for (int i = 0; i < 5; i++)
        assert_int_equal(call_odd(), TERN_OK);
    assert_int_equal(atomic_load(&odd.watches), 0);
    stop_odd();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define TIMED(fn) cmocka_unit_test_setup_teardown(fn, setup_clock, teardown_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_calls_follow),
        TEST(test_starts_unhealthy),
        TEST(test_service_names),
        TEST(test_restart),
        TEST(test_changes_at_run_time),
        TEST(test_disabled),
        TEST(test_under_changes),
        TIMED(test_unimplemented),
        TIMED(test_watch_ends),
        TIMED(test_long_answer),
        TIMED(test_one_place),
    };
    return cmocka_run_group_tests_name("health check", tests, NULL, NULL);
}
