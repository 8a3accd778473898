/* Load reports that come with answers (gRFC A51): servers send them, weighted_round_robin weighs
 * the servers by them, whatever else comes in their place does no harm. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/probe.h"
#include "wire/orca.h"

#define SERVERS 2u
#define ROUND 60u
#define PATIENCE_MS 15000

typedef struct own_server {
    tern_server *srv;
    atomic_uint calls;
    tern_load_report load;
    const void *junk; /* sent in the place of a report; NULL: `load` is */
    size_t junk_len;
} own_server;

static own_server servers[SERVERS];
static tern_channel *ch;
static tern_status st;
static const tern_method unary = { .path = "/t.L/Unary", .kind = TERN_KIND_UNARY };
static const tern_method upload = { .path = "/t.L/Unary", .kind = TERN_KIND_CLIENT_STREAMING };

static tern_code answer(void *self, tern_server_call *call)
{
    own_server *s = self;
    atomic_fetch_add(&s->calls, 1);
    if (!s->junk)
        assert_int_equal(tern_server_call_report_load(call, &s->load), 0);
    else
        assert_int_equal(tern_metadata_add_bin(tern_server_call_trailing_metadata(call),
                                               TERN__ORCA_TRAILER, s->junk, s->junk_len),
                         0);
    return tern_server_call_response_buffer(call, 1) ? TERN_OK : TERN_RESOURCE_EXHAUSTED;
}

static uint16_t start(own_server *s)
{
    uint16_t port;
    assert_int_equal(tern_server_new(NULL, &s->srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(s->srv, &unary, answer, s, &st), TERN_OK);
    assert_int_equal(tern_server_listen(s->srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(s->srv, &st), TERN_OK);
    return port;
}

static int setup(void **state)
{
    (void)state;
    char target[64];
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    memset(servers, 0, sizeof servers);
    uint16_t first = start(&servers[0]), second = start(&servers[1]);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u,127.0.0.1:%u", first, second);
    opts.service_config = "{\"loadBalancingConfig\":[{\"weighted_round_robin\":"
                          "{\"blackoutPeriod\":\"0s\",\"weightUpdatePeriod\":\"0.1s\"}}]}";
    ch = probe_channel_with(target, &opts);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(ch);
    for (unsigned i = 0; i < SERVERS; i++)
        tern_server_free(servers[i].srv);
    return 0;
}

static void call_once(void)
{
    void *response;
    size_t len;
    tern_code code = tern_call_unary(ch, &unary, NULL, "", 0, &response, &len, &st);
    if (code != TERN_OK)
        fail_msg("%s", st.message);
    free(response);
}

static void stream_once(void)
{
    const void *data;
    size_t len;
    tern_stream *s;
    assert_int_equal(tern_stream_open(ch, &upload, NULL, &s, &st), TERN_OK);
    assert_true(tern_stream_send(s, "", 0));
    tern_stream_close_send(s);
    assert_true(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_OK);
}

/* Calls until of ROUND calls the second server gets `least` to `most`: weights are looked at anew
 * from time to time only. */
static void expect_share(void (*call)(void), unsigned least, unsigned most)
{
    unsigned n = 0;
    for (int64_t until = probe_now_ms() + PATIENCE_MS; probe_now_ms() < until;) {
        atomic_store(&servers[1].calls, 0);
        for (unsigned i = 0; i < ROUND; i++)
            call();
        n = atomic_load(&servers[1].calls);
        if (n >= least && n <= most)
            return;
        probe_sleep_ms(20);
    }
    fail_msg("%u of %u calls, not %u to %u", n, ROUND, least, most);
}

/* The first has a utilization of 0.9 where the second has 0.3: of four calls three are the
 * second's. Then it is the other way round. */
static void weigh(void (*call)(void))
{
    servers[0].load = (tern_load_report){ .calls_per_second = 100, .cpu_utilization = 0.9 };
    servers[1].load = (tern_load_report){ .calls_per_second = 100,
                                          .cpu_utilization = 0.9,
                                          .application_utilization = 0.3 };
    expect_share(call, 43, 47);
    tern_load_report first = servers[0].load;
    servers[0].load = servers[1].load;
    servers[1].load = first;
    expect_share(call, 13, 17);
}

static void test_weights(void **state)
{
    (void)state;
    weigh(call_once);
}

static void test_weights_by_streams(void **state)
{
    (void)state;
    weigh(stream_once);
}

/* What is no report says nothing: both stay alike, and no call fails. */
static void test_no_report(void **state)
{
    (void)state;
    static char large[TERN_LIMIT_LOAD_REPORT_BYTES + 1];
    static const struct {
        const void *bytes;
        size_t len;
    } junk[] = { { "", 0 },
                 { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11 },
                 { "\x31 short", 7 },
                 { large, sizeof large } };
    servers[0].load = (tern_load_report){ .calls_per_second = 100, .cpu_utilization = 0.9 };
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        servers[1].junk = junk[i].bytes;
        servers[1].junk_len = junk[i].len;
        expect_share(call_once, 29, 31);
    }
}

static tern_code report_nonsense(void *self, tern_server_call *call)
{
    static const tern_load_report bad[] = { { .calls_per_second = -1 },
                                            { .errors_per_second = -0.5 },
                                            { .application_utilization = INFINITY },
                                            { .cpu_utilization = NAN },
                                            { .memory_utilization = -INFINITY } };
    (void)self;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (tern_server_call_report_load(call, &bad[i]) != -EINVAL)
            return tern_server_call_fail(call, TERN_INTERNAL, "report %zu was taken", i);
    return tern_server_call_response_buffer(call, 1) ? TERN_OK : TERN_RESOURCE_EXHAUSTED;
}

static void test_reports_that_make_no_sense(void **state)
{
    (void)state;
    static const tern_method method = { .path = "/t.N/Unary", .kind = TERN_KIND_UNARY };
    void *response;
    size_t len;
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(tern_server_add_raw(servers[i].srv, &method, report_nonsense, NULL, &st),
                         TERN_OK);
    tern_code code = tern_call_unary(ch, &method, NULL, "", 0, &response, &len, &st);
    if (code != TERN_OK)
        fail_msg("%s", st.message);
    free(response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weights_by_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_report, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reports_that_make_no_sense, setup, teardown),
    };
    return cmocka_run_group_tests_name("load reports", tests, NULL, NULL);
}
