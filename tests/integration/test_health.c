/* grpc.health.v1.Health of a server, by generated stubs: Check, List, Watch and what ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "grpc/health/v1/health.tern.h"
#include "support/probe.h"

#define PATIENCE_MS 20000
#define CROWD 200u
#define FLIPS 20000
/* Fewer than the resets that a server takes in a row. */
#define LEAVERS 100u

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus wire_status;
#define UNKNOWN_SERVICE GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN
#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING

typedef grpc_health_v1_health_watch_call watch_call;

static probe_server server;
static tern_channel *channel;
static tern_status st;

static int setup(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.concurrent_streams_max = 2 * TERN_LIMIT_HEALTH_WATCHERS;
    opts.handler_threads_max = 4;
    probe_start(&server, &opts, "ipv4:127.0.0.1:0");
    tern_channel_options with = TERN_CHANNEL_OPTIONS_INIT;
    with.breaker.disabled = true; /* its limit of calls is the watchers' */
    channel = probe_channel_with(server.target, &with);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(channel);
    probe_stop(&server, 60000);
    return 0;
}

static watch_call watch_for(const char *service, int64_t timeout_ms)
{
    char name[64];
    watch_call w;
    Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = timeout_ms;
    snprintf(name, sizeof name, "%s", service);
    req.service = name;
    if (grpc_health_v1_health_watch(channel, &opts, &req, &w, &st) != TERN_OK)
        fail_msg("no stream: %s", st.message);
    return w;
}

static watch_call watch(const char *service) { return watch_for(service, PATIENCE_MS); }

static void expect(watch_call *w, wire_status status)
{
    const Grpc__Health__V1__HealthCheckResponse *res;
    if (!grpc_health_v1_health_watch_recv(w, &res)) {
        grpc_health_v1_health_watch_finish(w, &st);
        fail_msg("no status: %s: %s", tern_code_name(st.code), st.message);
    }
    assert_int_equal(res->status, status);
}

static tern_code check(const char *service, wire_status *ret)
{
    char name[64];
    Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    Grpc__Health__V1__HealthCheckResponse *res;
    snprintf(name, sizeof name, "%s", service);
    req.service = name;
    tern_code code = grpc_health_v1_health_check(channel, NULL, &req, &res, &st);
    if (code != TERN_OK)
        return code;
    *ret = res->status;
    grpc__health__v1__health_check_response__free_unpacked(res, NULL);
    return TERN_OK;
}

static void set(const char *service, tern_serving_status status)
{
    assert_int_equal(tern_health_set(server.health, service, status), 0);
}

/* --- Check and List --------------------------------------------------------------------------- */

static void test_check(void **state)
{
    (void)state;
    wire_status status;
    assert_int_equal(check("", &status), TERN_OK);
    assert_int_equal(status, SERVING);
    assert_int_equal(check("a.B", &status), TERN_NOT_FOUND);
    assert_non_null(strstr(st.message, "\"a.B\""));
    set("a.B", TERN_NOT_SERVING);
    assert_int_equal(check("a.B", &status), TERN_OK);
    assert_int_equal(status, NOT_SERVING);
}

static void test_list(void **state)
{
    (void)state;
    set("a.B", TERN_NOT_SERVING);
    set("c.D", TERN_SERVING);
    Grpc__Health__V1__HealthListRequest req = GRPC__HEALTH__V1__HEALTH_LIST_REQUEST__INIT;
    Grpc__Health__V1__HealthListResponse *res;
    assert_int_equal(grpc_health_v1_health_list(channel, NULL, &req, &res, &st), TERN_OK);
    assert_int_equal(res->n_statuses, 3);
    static const struct {
        const char *name;
        wire_status status;
    } expected[] = { { "", SERVING }, { "a.B", NOT_SERVING }, { "c.D", SERVING } };
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(res->statuses[i]->key, expected[i].name);
        assert_int_equal(res->statuses[i]->value->status, expected[i].status);
    }
    grpc__health__v1__health_list_response__free_unpacked(res, NULL);
}

static void test_list_of_all_there_can_be(void **state)
{
    (void)state;
    char name[64];
    for (unsigned i = 1; i < TERN_LIMIT_HEALTH_SERVICES; i++) {
        snprintf(name, sizeof name, "service.%u", i);
        set(name, TERN_SERVING);
    }
    assert_true(tern_health_set(server.health, "one.more", TERN_SERVING) < 0);
    Grpc__Health__V1__HealthListRequest req = GRPC__HEALTH__V1__HEALTH_LIST_REQUEST__INIT;
    Grpc__Health__V1__HealthListResponse *res;
    assert_int_equal(grpc_health_v1_health_list(channel, NULL, &req, &res, &st), TERN_OK);
    assert_int_equal(res->n_statuses, TERN_LIMIT_HEALTH_SERVICES);
    grpc__health__v1__health_list_response__free_unpacked(res, NULL);
}

/* --- Watch ------------------------------------------------------------------------------------ */

static void test_watch(void **state)
{
    (void)state;
    watch_call all = watch(""), one = watch("a.B");
    expect(&all, SERVING);
    expect(&one, UNKNOWN_SERVICE); /* and the stream goes on */
    set("a.B", TERN_NOT_SERVING);
    expect(&one, NOT_SERVING);
    set("a.B", TERN_NOT_SERVING); /* no change */
    set("other", TERN_SERVING);
    set("a.B", TERN_SERVING);
    expect(&one, SERVING);
    set("", TERN_NOT_SERVING);
    expect(&all, NOT_SERVING);
    set("", TERN_SERVING_UNKNOWN);
    expect(&all, GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN);
    tern_stream_cancel(one.stream);
    assert_int_equal(grpc_health_v1_health_watch_finish(&one, &st), TERN_CANCELLED);
    set("a.B", TERN_NOT_SERVING); /* nobody hears it */
    set("", TERN_SERVING);
    expect(&all, SERVING);
    assert_int_equal(grpc_health_v1_health_watch_finish(&all, &st), TERN_CANCELLED);
}

static void test_watch_with_deadline(void **state)
{
    (void)state;
    watch_call w = watch_for("", 200);
    expect(&w, SERVING);
    const Grpc__Health__V1__HealthCheckResponse *res;
    assert_false(grpc_health_v1_health_watch_recv(&w, &res));
    assert_int_equal(grpc_health_v1_health_watch_finish(&w, &st), TERN_DEADLINE_EXCEEDED);
    set("", TERN_NOT_SERVING);
}

/* Many more watchers than threads; calls are served beside them. */
static void test_watchers_hold_no_thread(void **state)
{
    (void)state;
    watch_call w[CROWD];
    for (unsigned i = 0; i < CROWD; i++) {
        w[i] = watch(i % 2 ? "a.B" : "");
        expect(&w[i], i % 2 ? UNKNOWN_SERVICE : SERVING);
    }
    assert_int_equal(probe_echo(channel, NULL, "beside", &st), TERN_OK);
    set("a.B", TERN_SERVING);
    set("", TERN_NOT_SERVING);
    for (unsigned i = 0; i < CROWD; i++) {
        expect(&w[i], i % 2 ? SERVING : NOT_SERVING);
        grpc_health_v1_health_watch_finish(&w[i], &st);
    }
}

static void expect_refused(void)
{
    const Grpc__Health__V1__HealthCheckResponse *res;
    watch_call more = watch("");
    assert_false(grpc_health_v1_health_watch_recv(&more, &res));
    assert_int_equal(grpc_health_v1_health_watch_finish(&more, &st), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "TERN_LIMIT_HEALTH_WATCHERS"));
}

/* Up to the limit, and again when others have left. */
static void test_limit(void **state)
{
    (void)state;
    static watch_call w[TERN_LIMIT_HEALTH_WATCHERS];
    for (unsigned i = 0; i < TERN_LIMIT_HEALTH_WATCHERS; i++) {
        w[i] = watch("");
        expect(&w[i], SERVING);
    }
    expect_refused();
    for (unsigned i = 0; i < LEAVERS; i++)
        grpc_health_v1_health_watch_finish(&w[i], &st);
    for (unsigned i = 0; i < LEAVERS; i++) {
        w[i] = watch("");
        expect(&w[i], SERVING);
    }
    expect_refused();
    for (unsigned i = 0; i < TERN_LIMIT_HEALTH_WATCHERS; i++)
        grpc_health_v1_health_watch_finish(&w[i], &st);
}

/* --- changes that come fast ------------------------------------------------------------------- */

static void *flip(void *arg)
{
    (void)arg;
    for (int i = 0; i < FLIPS; i++)
        tern_health_set(server.health, "a.B", i % 2 ? TERN_SERVING : TERN_NOT_SERVING);
    return NULL;
}

/* Nobody reads meanwhile; whoever reads later finds fewer than were made, each another than the one
 * before, and the newest at the end. */
static void test_flood(void **state)
{
    (void)state;
    watch_call w[8];
    pthread_t threads[2];
    for (int i = 0; i < 8; i++) {
        w[i] = watch("a.B");
        expect(&w[i], UNKNOWN_SERVICE);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flip, NULL), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    set("a.B", TERN_SERVING_UNKNOWN);
    for (int i = 0; i < 8; i++) {
        const Grpc__Health__V1__HealthCheckResponse *res;
        wire_status last = UNKNOWN_SERVICE;
        int n = 0;
        do {
            assert_true(grpc_health_v1_health_watch_recv(&w[i], &res));
            assert_int_not_equal(res->status, last);
            last = res->status;
            n++;
        } while (last != GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN);
        assert_true(n <= 2 * FLIPS + 1);
        grpc_health_v1_health_watch_finish(&w[i], &st);
    }
}

/* --- the end of the server -------------------------------------------------------------------- */

static void expect_shutdown(watch_call *w)
{
    const Grpc__Health__V1__HealthCheckResponse *res;
    assert_false(grpc_health_v1_health_watch_recv(w, &res));
    assert_int_equal(grpc_health_v1_health_watch_finish(w, &st), TERN_UNAVAILABLE);
    assert_string_equal(st.message, "the server is shutting down");
}

static void test_drain(void **state)
{
    (void)state;
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    probe_start(&server, &opts, "ipv4:127.0.0.1:0");
    channel = probe_channel(server.target);
    set("down", TERN_NOT_SERVING);
    watch_call all = watch(""), down = watch("down"), unknown = watch("who");
    expect(&all, SERVING);
    expect(&down, NOT_SERVING);
    expect(&unknown, UNKNOWN_SERVICE);
    int64_t began = probe_now_ms();
    tern_server_drain(server.srv, 60000);
    expect(&all, NOT_SERVING);
    expect_shutdown(&all);
    expect_shutdown(&down); /* nothing new for it */
    expect_shutdown(&unknown);
    tern_server_wait(server.srv);
    assert_true(probe_now_ms() - began < PATIENCE_MS); /* the grace period did not have to end */
    tern_channel_free(channel);
    probe_stop(&server, 1);
}

/* Freed with watchers that nobody has told, and whose clients are still there. */
static void test_free_with_watchers(void **state)
{
    (void)state;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    channel = probe_channel(server.target);
    watch_call a = watch(""), b = watch("who");
    expect(&a, SERVING);
    expect(&b, UNKNOWN_SERVICE);
    tern_server_free(server.srv);
    tern_health_free(server.health);
    grpc_health_v1_health_watch_finish(&a, &st);
    grpc_health_v1_health_watch_finish(&b, &st);
    tern_channel_free(channel);
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_check),
        WITH(test_list),
        WITH(test_list_of_all_there_can_be),
        WITH(test_watch),
        WITH(test_watch_with_deadline),
        WITH(test_watchers_hold_no_thread),
        WITH(test_limit),
        WITH(test_flood),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_free_with_watchers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
