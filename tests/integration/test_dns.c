/* Channels whose servers DNS knows: by addresses, by SRV records, with a service config in TXT. The
 * DNS server is the test's own: dns://127.0.0.1:PORT/name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "client/channel.h"
#include "client/cluster.h"
#include "io/clock.h"
#include "support/dnskit.h"
#include "support/probe.h"

#define SERVERS 3u
#define PATIENCE_MS 10000
#define SRV "_grpc._tcp.shop.test"

static dnskit dns;
static probe_server servers[SERVERS];
static tern_channel *ch;
static tern_status st;

/* All on one port, so that one name can stand for all: 127.0.0.1, .2, .3. */
static void start_servers(void)
{
    for (unsigned tries = 0; tries < 50; tries++) {
        unsigned i = 1;
        probe_start(&servers[0], NULL, "ipv4:127.0.0.1:0");
        for (; i < SERVERS; i++) {
            char address[64];
            tern_server *probe;
            uint16_t port;
            snprintf(address, sizeof address, "ipv4:127.0.0.%u:%u", i + 1, servers[0].port);
            assert_int_equal(tern_server_new(NULL, &probe, &st), TERN_OK);
            tern_code code = tern_server_listen(probe, address, &port, &st);
            tern_server_free(probe);
            if (code != TERN_OK)
                break;
            probe_start(&servers[i], NULL, address);
        }
        if (i == SERVERS)
            return;
        while (i-- > 0)
            probe_stop(&servers[i], 1000);
    }
    fail_msg("no port is free on three addresses");
}

static int start_all(void **state)
{
    (void)state;
    dnskit_start(&dns);
    start_servers();
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVERS; i++)
        probe_stop(&servers[i], 1000);
    dnskit_stop(&dns);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    dnskit_clear(&dns);
    dnskit_mode_set(&dns, DNSKIT_ANSWER);
    unsetenv("TERN_DNS_RESOLVER");
    ch = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(ch);
    return 0;
}

static tern_code try_open(const char *target, const char *policy, bool config)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.load_balancing = policy;
    opts.dns_service_config = config;
    opts.breaker.disabled = true;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 20;
    return tern_channel_new(target, &opts, &ch, &st);
}

static void open_channel(const char *scheme, const char *rest, const char *policy, bool config)
{
    char target[200];
    snprintf(target, sizeof target, "%s://%s/%s", scheme, dns.address, rest);
    if (try_open(target, policy, config) != TERN_OK)
        fail_msg("%s", st.message);
}

static const char *with_port(const char *name)
{
    static char text[100];
    snprintf(text, sizeof text, "%s:%u", name, servers[0].port);
    return text;
}

static void close_channel(void)
{
    tern_channel_free(ch);
    ch = NULL;
}

static void call(void)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    if (probe_echo(ch, &opts, "hello", &st) != TERN_OK)
        fail_msg("%s", st.message);
}

/* Calls until exactly these servers (bits) get calls. */
static void reach(unsigned which)
{
    for (int64_t until = probe_now_ms() + PATIENCE_MS;;) {
        unsigned reached = 0;
        for (unsigned i = 0; i < SERVERS; i++)
            atomic_store(&servers[i].calls, 0);
        for (unsigned i = 0; i < 4 * SERVERS; i++)
            call();
        for (unsigned i = 0; i < SERVERS; i++)
            reached |= (unsigned)(atomic_load(&servers[i].calls) > 0) << i;
        if (reached == which)
            return;
        assert_true(probe_now_ms() < until);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    dnskit_add_address(&dns, "shop.test", 300, "127.0.0.1");
    dnskit_add_address(&dns, "shop.test", 300, "127.0.0.2");
    dnskit_add_address(&dns, "shop.test", 300, "127.0.0.3");
    open_channel("dns", with_port("shop.test"), "round_robin", false);
    assert_string_equal(ch->authority, with_port("shop.test"));
    reach(7);
    close_channel();
    open_channel("dns", with_port("shop.test"), NULL, false);
    call();
    tern_channel_stats stats;
    tern_channel_stats_get(ch, &stats);
    assert_int_equal(stats.connects, 1);
}

/* Which driver: the option, else the environment. localhost is in /etc/hosts, for both. */
static void test_drivers(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        tern_dns_resolver option;
        bool ares;
    } cases[] = {
        { NULL, TERN_DNS_DEFAULT, false },    { "", TERN_DNS_DEFAULT, false },
        { "native", TERN_DNS_DEFAULT, false }, { "ares", TERN_DNS_DEFAULT, true },
        { "other", TERN_DNS_DEFAULT, false }, { "ares", TERN_DNS_NATIVE, false },
        { "native", TERN_DNS_ARES, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
        unsetenv("TERN_DNS_RESOLVER");
        if (cases[i].said)
            setenv("TERN_DNS_RESOLVER", cases[i].said, 1);
        opts.dns_resolver = cases[i].option;
        opts.load_balancing = "round_robin";
        assert_int_equal(tern_channel_new(with_port("localhost"), &opts, &ch, &st), TERN_OK);
        reach(1);
        pthread_mutex_lock(&ch->sub.resolver->lock);
        bool timed = ch->sub.resolver->last->ttl != TERN__TIME_NEVER;
        pthread_mutex_unlock(&ch->sub.resolver->lock);
        assert_int_equal(timed, cases[i].ares);
        close_channel();
    }
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.dns_resolver = (tern_dns_resolver)3;
    assert_int_equal(tern_channel_new("a:1", &opts, &ch, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "dns_resolver"));
}

/* Ports and weights are the records'; only the best priority is spread over. */
static void test_srv(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVERS; i++) {
        char name[16], address[16];
        snprintf(name, sizeof name, "s%u.test", i);
        snprintf(address, sizeof address, "127.0.0.%u", i + 1);
        dnskit_add_srv(&dns, SRV, 300, (i == 1 ? 1u : 7u) << 16 | (i + 10), name,
                       servers[i].port);
        dnskit_add_address(&dns, name, 300, address);
    }
    dnskit_add_srv(&dns, SRV, 300, 1u << 16 | 40, "s2.test", servers[2].port);
    open_channel("srv", SRV, "round_robin", false);
    assert_string_equal(ch->authority, "shop.test");
    reach(6);
    pthread_mutex_lock(&ch->cluster->lock);
    assert_int_equal(ch->cluster->balancer.n, 2);
    const tern__lb_endpoint *at = ch->cluster->balancer.at;
    assert_int_equal(at[0].weight + at[1].weight, 11 + 40);
    pthread_mutex_unlock(&ch->cluster->lock);
    close_channel();
    open_channel("srv", SRV, NULL, false); /* pick_first goes on to the next priority, too */
    probe_stop(&servers[1], 1000);
    probe_stop(&servers[2], 1000);
    reach(1);
    for (unsigned i = 1; i < SERVERS; i++) {
        char address[64];
        snprintf(address, sizeof address, "ipv4:127.0.0.%u:%u", i + 1, servers[0].port);
        probe_start(&servers[i], NULL, address);
    }
}

/* When an answer has grown old it is asked for anew, though no connection has ended. */
static void test_ttl(void **state)
{
    (void)state;
    dnskit_add_address(&dns, "shop.test", 1, "127.0.0.1");
    open_channel("dns", with_port("shop.test"), "round_robin", false);
    reach(1);
    tern__resolver *r = ch->sub.resolver;
    pthread_mutex_lock(&r->lock);
    int64_t now = tern__clock_now();
    assert_true(r->old_at != TERN__TIME_NEVER && r->old_at <= now + 2 * TERN__NS_PER_S);
    /* The floor stands against it, which is as good as over now. */
    assert_true(r->not_before > now + 20 * TERN__NS_PER_S);
    r->not_before = now;
    pthread_mutex_unlock(&r->lock);
    dnskit_clear(&dns);
    dnskit_add_address(&dns, "shop.test", 300, "127.0.0.2");
    tern__cluster_stir(ch->cluster);
    reach(2);
    pthread_mutex_lock(&r->lock);
    assert_true(r->old_at > tern__clock_now() + 200 * TERN__NS_PER_S);
    pthread_mutex_unlock(&r->lock);
}

/* What was found stays when a server does not know any more, or says nothing. */
static void test_outage(void **state)
{
    (void)state;
    static const char *const policies[] = { NULL, "round_robin" };
    for (unsigned i = 0; i < 2; i++) {
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        setup(state);
        dnskit_mode_set(&dns, DNSKIT_REFUSE);
        open_channel("dns", with_port("shop.test"), policies[i], false);
        opts.timeout_ms = PATIENCE_MS;
        if (probe_echo(ch, &opts, "hello", &st) != TERN_UNAVAILABLE)
            fail_msg("%s", st.message);
        if (!strstr(st.message, "cannot resolve \"shop.test\""))
            fail_msg("%s", st.message);
        dnskit_add_address(&dns, "shop.test", 300, "127.0.0.1");
        dnskit_mode_set(&dns, DNSKIT_ANSWER);
        opts.wait_for_ready = TERN_CHOICE_YES;
        assert_int_equal(probe_echo(ch, &opts, "hello", &st), TERN_OK);
        for (unsigned k = 0; k < 2; k++) { /* its connection ends, and is made again */
            dnskit_mode_set(&dns, k ? DNSKIT_SILENT : DNSKIT_REFUSE);
            char address[sizeof servers[0].target];
            snprintf(address, sizeof address, "%s", servers[0].target);
            probe_stop(&servers[0], 1000);
            probe_start(&servers[0], NULL, address);
            if (probe_echo(ch, &opts, "hello", &st) != TERN_OK)
                fail_msg("%s", st.message);
        }
        close_channel();
    }
}

/* Calls end at their deadlines, and a channel goes at once. */
static void test_silent(void **state)
{
    (void)state;
    static const char *const policies[] = { NULL, "round_robin" };
    dnskit_mode_set(&dns, DNSKIT_SILENT);
    for (unsigned i = 0; i < 2; i++) {
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        int64_t began = probe_now_ms();
        open_channel("dns", with_port("shop.test"), policies[i], true);
        opts.timeout_ms = 50;
        assert_int_equal(probe_echo(ch, &opts, "hello", &st), TERN_DEADLINE_EXCEEDED);
        close_channel();
        assert_true(probe_now_ms() - began < 5000);
    }
}

#define BRIEF "{\"methodConfig\":[{\"name\":[{}],\"timeout\":\"0.02s\"}]}"

static tern_code sleep_40(void)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    return probe_sleep(ch, &opts, 40, NULL, &st);
}

/* The choice that is meant for this client; off unless it is asked for. */
static void test_service_config(void **state)
{
    (void)state;
    static const char *const policies[] = { NULL, "round_robin" };
    for (unsigned i = 0; i < 4; i++) {
        bool wanted = i % 2;
        setup(state);
        dnskit_add_address(&dns, "shop.test", 300, "127.0.0.1");
        dnskit_add_txt(&dns, "_grpc_config.shop.test",
                       "grpc_config=[{\"clientLanguage\":[\"java\"],\"serviceConfig\":{}},"
                       "{\"clientLanguage\":[\"c\"],\"percentage\":100,\"serviceConfig\":" BRIEF
                       "}]");
        open_channel("dns", with_port("shop.test"), policies[i / 2], wanted);
        call(); /* connects: the config has come by then, at the latest */
        assert_int_equal(sleep_40(), wanted ? TERN_DEADLINE_EXCEEDED : TERN_OK);
        close_channel();
    }
}

/* A config that makes no sense is none: calls go on. */
static void test_bad_service_config(void **state)
{
    (void)state;
    dnskit_add_address(&dns, "shop.test", 300, "127.0.0.1");
    dnskit_add_txt(&dns, "_grpc_config.shop.test",
                   "grpc_config=[{\"clientLangage\":[\"go\"],\"serviceConfig\":" BRIEF "}]");
    open_channel("dns", with_port("shop.test"), NULL, true);
    assert_int_equal(sleep_40(), TERN_OK);
}

/* Of an SRV name, the config is the domain's. */
static void test_service_config_of_srv(void **state)
{
    (void)state;
    dnskit_add_srv(&dns, SRV, 300, 1, "s0.test", servers[0].port);
    dnskit_add_address(&dns, "s0.test", 300, "127.0.0.1");
    dnskit_add_txt(&dns, "_grpc_config.shop.test",
                   "grpc_config=[{\"serviceConfig\":" BRIEF "}]");
    open_channel("srv", SRV, NULL, true);
    call();
    assert_int_equal(sleep_40(), TERN_DEADLINE_EXCEEDED);
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *target, *says;
    } cases[] = {
        { "dns://127.0.0.1:53", "what follows the server is missing" },
        { "dns://localhost/a:1", "the server must be an IP address" },
        { "dns://127.0.0.1:0x/a:1", "the server must be an IP address" },
        { "dns://[::1/a:1", "the server must be an IP address" },
        { "dns://127.0.0.1/a", "target \"dns://127.0.0.1/a\": the port is missing" },
        { "dns:///a", "target \"dns:///a\": the port is missing" },
        { "srv:", "not the name of an SRV record" },
        { "srv:///shop.test", "not the name of an SRV record" },
        { "srv:_grpc._tcp.", "not the name of an SRV record" },
        { "srv:_grpc._tcp.shop.test:80", "not the name of an SRV record" },
        { "srv://shop.test", "what follows the server is missing" },
    };
    static const char *const good[] = { "dns://127.0.0.1/a:1", "dns://[::1]/a:1",
                                        "dns://[::1]:5353/a:1", "dns://127.0.0.1:5353/a:1",
                                        "dns://127.0.0.1/10.0.0.1:80", "srv:_grpc._tcp.shop.test",
                                        "srv:///_grpc._tcp.shop.test",
                                        "srv://127.0.0.1/_grpc._tcp.shop.test" };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(try_open(cases[i].target, NULL, false), TERN_INVALID_ARGUMENT);
        if (!strstr(st.message, cases[i].says) || !strstr(st.message, cases[i].target))
            fail_msg("%s", st.message);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (try_open(good[i], NULL, false) != TERN_OK)
            fail_msg("%s", st.message);
        close_channel();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drivers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_srv, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ttl, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_service_config, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_service_config, setup, teardown),
        cmocka_unit_test_setup_teardown(test_service_config_of_srv, setup, teardown),
        cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
