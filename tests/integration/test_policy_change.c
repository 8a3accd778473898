/* A service config that changes the load balancing of a channel at work: no call fails for it,
 * connections of servers that stay are kept, and who waits is answered by the new policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time.h"
#include "client/channel.h"
#include "client/cluster.h"
#include "client/endpoint.h"
#include "support/probe.h"

#define SERVERS 3u
#define PATIENCE_MS 10000
#define CALLERS 3u
#define LB(text) "{\"loadBalancingConfig\":[{" text "}]}"
#define PICK_FIRST LB("\"pick_first\":{}")
#define ROUND_ROBIN LB("\"round_robin\":{}")
#define SUBSET                                                                \
    LB("\"random_subsetting_experimental\":{\"subsetSize\":2,\"childPolicy\":" \
       "[{\"round_robin\":{}}]}")
#define HEALTH                                                                \
    "{\"healthCheckConfig\":{\"serviceName\":\"\"},\"loadBalancingConfig\":" \
    "[{\"round_robin\":{}}]}"
#define RING(header) LB("\"ring_hash_experimental\":{\"requestHashHeader\":\"" header "\"}")

static const char *const clusters[] = {
    ROUND_ROBIN,
    LB("\"least_request_experimental\":{}"),
    LB("\"least_request_experimental\":{\"choiceCount\":3}"),
    LB("\"tern_peak_ewma\":{}"),
    LB("\"tern_peak_ewma\":{\"decay\":\"1s\"}"),
    LB("\"weighted_round_robin\":{}"),
    LB("\"ring_hash_experimental\":{}"),
    LB("\"ring_hash_experimental\":{\"minRingSize\":16,\"maxRingSize\":16}"),
    LB("\"outlier_detection_experimental\":{\"childPolicy\":[{\"tern_peak_ewma\":{}}]}"),
};
#define N_CLUSTERS (sizeof clusters / sizeof *clusters)

static probe_server servers[SERVERS];
static char target[256];
static tern_channel *ch;
static tern_status st;

static tern_channel *channel_with(const char *to, const char *json)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.service_config = json;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 20;
    opts.breaker.disabled = true;
    opts.retry.disabled = true;
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
        if (servers[i].srv)
            probe_stop(&servers[i], 1000);
    return 0;
}

static void stop(unsigned i)
{
    probe_stop(&servers[i], 1000);
    servers[i].srv = NULL;
}

static void start_again(unsigned i)
{
    char address[sizeof servers[i].target];
    snprintf(address, sizeof address, "%s", servers[i].target);
    probe_start(&servers[i], NULL, address);
}

static void set(const char *json)
{
    if (tern_channel_set_service_config(ch, json, json ? strlen(json) : 0, &st) != TERN_OK)
        fail_msg("%s", st.message);
}

static void calls(unsigned n)
{
    for (unsigned i = 0; i < SERVERS; i++)
        atomic_store(&servers[i].calls, 0);
    for (unsigned i = 0; i < n; i++)
        if (probe_echo(ch, NULL, "hello", &st) != TERN_OK)
            fail_msg("call %u: %s", i, st.message);
}

/* How many servers have had calls since calls() began. */
static unsigned n_called(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SERVERS; i++)
        n += atomic_load(&servers[i].calls) > 0;
    return n;
}

static void reach_all(void)
{
    int64_t until = probe_now_ms() + PATIENCE_MS;
    do
        calls(SERVERS);
    while (n_called() < SERVERS && probe_now_ms() < until);
    assert_int_equal(n_called(), SERVERS);
}

static uint64_t connects(void)
{
    tern_channel_stats s;
    tern_channel_stats_get(ch, &s);
    return s.connects;
}

static void nothing_in_flight(void)
{
    tern__cluster *c = ch->cluster;
    assert_non_null(c);
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->balancer.n; i++)
        assert_int_equal(c->balancer.at[i].in_flight, 0);
    pthread_mutex_unlock(&c->lock);
}

/* --- between policies ------------------------------------------------------------------------- */

/* All on the connections that there are. */
static void test_within_the_cluster(void **state)
{
    (void)state;
    ch = channel_with(target, ROUND_ROBIN);
    reach_all();
    uint64_t before = connects();
    for (unsigned i = 0; i < N_CLUSTERS; i++) {
        set(clusters[i]);
        calls(20);
        nothing_in_flight();
    }
    set(ROUND_ROBIN);
    calls(3 * SERVERS);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(atomic_load(&servers[i].calls), 3);
    assert_int_equal(connects(), before);
}

static unsigned n_connected(void)
{
    unsigned n = 0;
    tern__cluster *c = ch->cluster;
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->balancer.n; i++) {
        pthread_mutex_lock(&c->at[i]->sub.lock);
        n += c->at[i]->sub.conns.n;
        pthread_mutex_unlock(&c->at[i]->sub.lock);
    }
    pthread_mutex_unlock(&c->lock);
    return n;
}

/* A subset of those that are connected: calls go on, and who is no part of it is let go of. */
static void test_subset(void **state)
{
    (void)state;
    ch = channel_with(target, ROUND_ROBIN);
    reach_all();
    for (unsigned i = 0; i < 3; i++) {
        set(SUBSET);
        calls(20);
        assert_int_equal(n_called(), 2);
        for (int64_t until = probe_now_ms() + PATIENCE_MS; n_connected() != 2;) {
            assert_true(probe_now_ms() < until);
            probe_sleep_ms(1);
        }
        calls(20);
        set(ROUND_ROBIN);
        reach_all();
        assert_int_equal(n_connected(), SERVERS);
    }
    nothing_in_flight();
}

/* Servers that are asked whether they serve (gRFC A17), and then are not any more. */
static void test_health(void **state)
{
    (void)state;
    static const char *const others[] = { PICK_FIRST, ROUND_ROBIN, SUBSET, RING("x") };
    ch = channel_with(target, HEALTH);
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
        reach_all();
        set(others[i]);
        calls(20);
        set(HEALTH);
        calls(20);
    }
    reach_all();
    nothing_in_flight();
}

/* The same config again begins nothing anew: the turn goes on. */
static void test_same_again(void **state)
{
    (void)state;
    ch = channel_with(target, ROUND_ROBIN);
    reach_all();
    for (unsigned i = 0; i < 4; i++) {
        tern__cluster *c = ch->cluster;
        void *was = c->balancer.self;
        set(i & 1 ? ROUND_ROBIN : LB("\"no_such_policy\":{}},{\"round_robin\":{}"));
        assert_ptr_equal(c->balancer.self, was);
    }
}

/* To several servers: while they are connected calls go on where they are. Back: one connection is
 * kept, that to the first server. */
static void test_from_pick_first_and_back(void **state)
{
    (void)state;
    ch = channel_with(target, NULL);
    calls(10);
    assert_int_equal(atomic_load(&servers[0].calls), 10);
    assert_int_equal(connects(), 1);
    for (unsigned i = 0; i < N_CLUSTERS; i++) {
        uint64_t before = connects();
        set(clusters[i]);
        calls(10);
        set(ROUND_ROBIN);
        reach_all();
        assert_in_range(connects() - before, 2, SERVERS);
        before = connects();
        set(i & 1 ? NULL : PICK_FIRST);
        calls(10);
        assert_int_equal(atomic_load(&servers[0].calls), 10);
        assert_int_equal(connects(), before);
    }
    stop(0);
    probe_echo(ch, NULL, "x", &st); /* may meet the end of the connection */
    calls(10);
    assert_int_equal(n_called(), 1);
    set(ROUND_ROBIN);
    start_again(0);
    reach_all();
}

/* Names are looked up by the one and by the other. */
static void test_names(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "dns:localhost:%u", servers[0].port);
    ch = channel_with(name, NULL);
    for (unsigned i = 0; i < 6; i++) {
        calls(5);
        set(i & 1 ? PICK_FIRST : ROUND_ROBIN);
    }
    set(ROUND_ROBIN); /* nobody has called since: it has not connected yet */
    set(PICK_FIRST);
    calls(5);
}

/* What the options say goes before any config. */
static void test_option_goes_before(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.load_balancing = "round_robin";
    opts.service_config = PICK_FIRST;
    ch = probe_channel_with(target, &opts);
    reach_all();
    set(PICK_FIRST);
    calls(10 * SERVERS);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(atomic_load(&servers[i].calls), 10);
}

/* An invalid config changes no policy. */
static void test_refused(void **state)
{
    (void)state;
    static const char bad[] = LB("\"ring_hash_experimental\":{\"minRingSize\":-1}");
    ch = channel_with(target, ROUND_ROBIN);
    reach_all();
    assert_int_equal(tern_channel_set_service_config(ch, bad, strlen(bad), &st),
                     TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "minRingSize"));
    calls(10 * SERVERS);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(atomic_load(&servers[i].calls), 10);
}

/* Which header chooses changes, too. */
static void test_settings(void **state)
{
    (void)state;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_metadata *md = tern_metadata_new();
    char value[16];
    ch = channel_with(target, RING("user"));
    assert_int_equal(tern_metadata_add(md, "user", "always the same"), 0);
    opts.metadata = md;
    for (unsigned round = 0; round < 2; round++) {
        calls(0);
        for (unsigned i = 0; i < 60; i++) {
            tern_metadata *both = tern_metadata_new();
            snprintf(value, sizeof value, "%u", i);
            assert_int_equal(tern_metadata_add(both, "user", "always the same"), 0);
            assert_int_equal(tern_metadata_add(both, "cart", value), 0);
            opts.metadata = both;
            assert_int_equal(probe_echo(ch, &opts, "x", &st), TERN_OK);
            tern_metadata_free(both);
        }
        assert_int_equal(n_called(), round == 0 ? 1 : SERVERS);
        set(RING("cart"));
    }
    tern_metadata_free(md);
}

static void write_file(const char *path, const char *text)
{
    char other[300];
    snprintf(other, sizeof other, "%s.new", path);
    FILE *f = fopen(other, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(other, path), 0);
}

/* The loop that watches the file does it. */
static void test_by_file(void **state)
{
    (void)state;
    char path[64];
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    snprintf(path, sizeof path, "/tmp/tern-policy-%d.json", (int)getpid());
    write_file(path, PICK_FIRST);
    opts.service_config_file = path;
    opts.service_config_reload_ms = 100;
    ch = probe_channel_with(target, &opts);
    calls(10);
    assert_int_equal(n_called(), 1);
    write_file(path, ROUND_ROBIN);
    reach_all();
    write_file(path, PICK_FIRST);
    int64_t until = probe_now_ms() + PATIENCE_MS;
    do
        calls(SERVERS);
    while (n_called() > 1 && probe_now_ms() < until);
    assert_int_equal(n_called(), 1);
    unlink(path);
}

/* --- who waits -------------------------------------------------------------------------------- */

typedef struct waiter {
    pthread_t thread;
    tern_code code;
} waiter;

typedef struct answers {
    atomic_uint done, good;
} answers;

static tern_call_options patient(void)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.wait_for_ready = true;
    opts.timeout_ms = PATIENCE_MS;
    return opts;
}

static void *wait_blocking(void *arg)
{
    waiter *w = arg;
    tern_status why;
    tern_call_options opts = patient();
    w->code = probe_echo(ch, &opts, "hello", &why);
    return NULL;
}

static void on_done(void *ctx, const tern_status *s, const void *response, size_t len)
{
    answers *a = ctx;
    (void)response, (void)len;
    if (s->code == TERN_OK)
        atomic_fetch_add(&a->good, 1);
    atomic_fetch_add(&a->done, 1);
}

#define HEDGED_OR_NOT \
    "\"methodConfig\":[{\"name\":[{\"service\":\"tests.v1.Probe\",\"method\":\"Echo\"}]," \
    "\"hedgingPolicy\":{\"maxAttempts\":2,\"hedgingDelay\":\"0.02s\"}}]"

/* Calls of all kinds wait for a server; the policy changes several times meanwhile; then one
 * comes. */
static void all_wait(const char *const *configs, size_t n)
{
    waiter blocking[CALLERS];
    answers a = { .done = 0 };
    tern_call_options opts = patient();
    for (unsigned i = 0; i < SERVERS; i++)
        stop(i);
    ch = channel_with(target, configs[0]);
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&blocking[i].thread, NULL, wait_blocking, &blocking[i]), 0);
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(tern_call_unary_start(ch, &tests_v1_probe.methods[0], &opts, "", 0,
                                               on_done, &a, &st),
                         TERN_OK);
    for (size_t i = 1; i < n; i++) {
        probe_sleep_ms(30);
        set(configs[i]);
    }
    assert_int_equal(atomic_load(&a.done), 0);
    start_again(1);
    assert_true(probe_wait(&a.done, CALLERS));
    assert_int_equal(atomic_load(&a.good), CALLERS);
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(blocking[i].thread, NULL);
        assert_int_equal(blocking[i].code, TERN_OK);
    }
    nothing_in_flight();
    tern_channel_free(ch);
    ch = NULL;
    for (unsigned i = 0; i < SERVERS; i += 2)
        start_again(i);
}

static void test_who_waits(void **state)
{
    (void)state;
    static const char *const to_cluster[] = { PICK_FIRST, ROUND_ROBIN };
    static const char *const to_first[] = { ROUND_ROBIN, PICK_FIRST };
    static const char *const within[] = { ROUND_ROBIN, LB("\"tern_peak_ewma\":{}"), RING("x") };
    static const char *const to_and_fro[] = { PICK_FIRST, ROUND_ROBIN, PICK_FIRST,
                                              RING("x"),  ROUND_ROBIN, PICK_FIRST };
    all_wait(to_cluster, 2);
    all_wait(to_first, 2);
    all_wait(within, 3);
    all_wait(to_and_fro, 6);
}

static void test_who_waits_hedged(void **state)
{
    (void)state;
    static const char *const to_and_fro[] = {
        "{" HEDGED_OR_NOT "}",
        "{" HEDGED_OR_NOT ",\"loadBalancingConfig\":[{\"round_robin\":{}}]}",
        "{" HEDGED_OR_NOT "}",
        "{" HEDGED_OR_NOT ",\"loadBalancingConfig\":[{\"round_robin\":{}}]}",
    };
    all_wait(to_and_fro, 4);
}

/* The first server takes connections and says nothing, for as long as connecting may take (20 s):
 * who waits for it does not wait any longer. */
static void test_who_waits_for_a_deaf_server(void **state)
{
    (void)state;
    waiter blocking[CALLERS];
    answers a = { .done = 0 };
    tern_call_options opts = patient();
    char to[128];
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    snprintf(to, sizeof to, "ipv4:127.0.0.1:%u,127.0.0.1:%u", ntohs(sin.sin_port),
             servers[1].port);
    ch = channel_with(to, PICK_FIRST);
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&blocking[i].thread, NULL, wait_blocking, &blocking[i]), 0);
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(tern_call_unary_start(ch, &tests_v1_probe.methods[0], &opts, "", 0,
                                               on_done, &a, &st),
                         TERN_OK);
    probe_sleep_ms(100);
    assert_int_equal(atomic_load(&a.done), 0);
    set(ROUND_ROBIN);
    assert_true(probe_wait(&a.done, CALLERS));
    assert_int_equal(atomic_load(&a.good), CALLERS);
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(blocking[i].thread, NULL);
        assert_int_equal(blocking[i].code, TERN_OK);
    }
    nothing_in_flight();
    set(PICK_FIRST); /* with the connection that there is; nobody asks the deaf one */
    calls(5);
    close(fd);
}

/* --- calls under way -------------------------------------------------------------------------- */

static void *sleeper(void *arg)
{
    tern_status why;
    return probe_sleep(arg, NULL, 300, NULL, &why) == TERN_OK ? NULL : arg;
}

static void test_calls_under_way(void **state)
{
    (void)state;
    static const char *const way[] = { PICK_FIRST, ROUND_ROBIN, PICK_FIRST, ROUND_ROBIN };
    pthread_t threads[4 * SERVERS];
    void *failed;
    unsigned n = 0;
    ch = channel_with(target, ROUND_ROBIN);
    reach_all();
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < SERVERS; k++)
            assert_int_equal(pthread_create(&threads[n++], NULL, sleeper, ch), 0);
        probe_sleep_ms(20);
        set(way[i]);
    }
    while (n--) {
        pthread_join(threads[n], &failed);
        assert_null(failed);
    }
    nothing_in_flight();
}

static atomic_bool stopping;
static atomic_uint n_good, n_bad;

static void count(tern_code code, const char *what, const tern_status *why)
{
    if (code != TERN_OK && atomic_fetch_add(&n_bad, 1) == 0)
        fprintf(stderr, "%s: %d %s\n", what, (int)code, why->message);
    atomic_fetch_add(&n_good, code == TERN_OK);
}

static tern_code by_stream(tern_status *why)
{
    static const tern_method echo = { .path = "/tests.v1.Probe/Echo",
                                      .kind = TERN_KIND_CLIENT_STREAMING };
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    const void *data;
    size_t len;
    tern_stream *s;
    opts.timeout_ms = PATIENCE_MS;
    tern_code code = tern_stream_open(ch, &echo, &opts, &s, why);
    if (code != TERN_OK)
        return code;
    if (tern_stream_send(s, "", 0))
        tern_stream_close_send(s);
    while (tern_stream_recv(s, &data, &len))
        ;
    code = tern_stream_finish(s, why);
    return code;
}

static void *call_on(void *arg)
{
    bool streams = arg != NULL;
    tern_status why;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    while (!atomic_load(&stopping)) {
        why.message[0] = '\0';
        if (streams)
            count(by_stream(&why), "stream", &why);
        else
            count(probe_echo(ch, &opts, "hello", &why), "call", &why);
    }
    return NULL;
}

static atomic_uint n_running;

/* A call with a callback, and then another. */
static void on_next(void *ctx, const tern_status *s, const void *response, size_t len)
{
    tern_status why;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    (void)response, (void)len;
    if (s)
        count(s->code, "callback", s);
    if (atomic_load(&stopping) ||
        tern_call_unary_start(ch, &tests_v1_probe.methods[0], &opts, "", 0, on_next, ctx, &why))
        atomic_fetch_add(&n_running, 1); /* in fact: has ended */
}

/* Calls of all kinds, none of which is ever repeated by a policy, while the policy changes all the
 * time: none fails. */
static void test_under_load(void **state)
{
    (void)state;
    pthread_t threads[2 * CALLERS];
    atomic_store(&stopping, false);
    ch = channel_with(target, NULL);
    for (size_t i = 0; i < 2 * CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_on, i & 1 ? &stopping : NULL), 0);
    for (unsigned i = 0; i < CALLERS; i++)
        on_next(NULL, NULL, NULL, 0);
    for (unsigned i = 0; i < 120; i++) {
        set(i % 3 == 2    ? PICK_FIRST
            : i % 10 == 0 ? SUBSET
            : i % 10 == 5 ? HEALTH
                          : clusters[i % N_CLUSTERS]);
        probe_sleep_ms(i % 7);
    }
    set(ROUND_ROBIN);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < 2 * CALLERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(probe_wait(&n_running, CALLERS));
    assert_int_equal(atomic_load(&n_bad), 0);
    assert_true(atomic_load(&n_good) > 100);
    reach_all();
    nothing_in_flight();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_within_the_cluster, setup, teardown),
        cmocka_unit_test_setup_teardown(test_subset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_health, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_from_pick_first_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_option_goes_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_waits_hedged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_waits_for_a_deaf_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_under_load, setup, teardown),
    };
    return cmocka_run_group_tests_name("change of policy", tests, NULL, NULL);
}
