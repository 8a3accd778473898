/* Resolvers of the program: what they report reaches the channel, from any thread, with and without
 * a cluster; what is wrong is refused and changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/balancer.h>

#include "base/time.h"
#include "client/channel.h"
#include "client/cluster.h"
#include "client/pick.h"
#include "support/probe.h"

#define SERVERS 3u
#define PATIENCE_MS 10000

/* What the tests' own resolver has been told, and what it is to do. */
static struct {
    tern_resolver *r; /* of the newest channel */
    atomic_uint made, asked, destroyed;
    tern_code code;      /* of create() */
    bool report_at_once; /* in create() */
    atomic_uint answers; /* servers, bits, that resolve_now() reports; 0: it reports nothing */
    char authority[32], path[32];
    atomic_bool fails;
} own;

static probe_server servers[SERVERS];
static tern_channel *ch;
static tern_status st;

static tern_code report(unsigned which, const char *config, tern_status *reterr)
{
    tern_resolver_address at[SERVERS];
    tern_resolver_result found = TERN_RESOLVER_RESULT_INIT;
    found.addresses = at;
    found.service_config = config;
    for (unsigned i = 0; i < SERVERS; i++)
        if (which & 1u << i)
            at[found.n_addresses++] = (tern_resolver_address){ .address = servers[i].target };
    return tern_resolver_report(own.r, &found, reterr);
}

static tern_code create(tern_resolver *r, const tern_resolver_target *target, void **ret_self,
                        tern_status *reterr, void *ctx)
{
    assert_ptr_equal(ctx, &own);
    if (own.code != TERN_OK)
        return tern_status_set(reterr, own.code, "not today");
    own.r = r;
    snprintf(own.authority, sizeof own.authority, "%s", target->authority);
    snprintf(own.path, sizeof own.path, "%s", target->path);
    *ret_self = &own;
    atomic_fetch_add(&own.made, 1);
    return own.report_at_once ? report(atomic_load(&own.answers), NULL, reterr) : TERN_OK;
}

static void resolve_now(void *self)
{
    assert_ptr_equal(self, &own);
    unsigned which = atomic_load(&own.answers);
    if (atomic_load(&own.fails))
        tern_resolver_report_error(own.r, "the registry is down");
    else if (which)
        report(which, NULL, NULL);
    atomic_fetch_add(&own.asked, 1);
}

static void destroy(void *self)
{
    assert_ptr_equal(self, &own);
    atomic_fetch_add(&own.destroyed, 1);
}

static int start_all(void **state)
{
    (void)state;
    tern_resolver_driver d = TERN_RESOLVER_DRIVER_INIT;
    d.scheme = "own";
    d.create = create;
    d.resolve_now = resolve_now;
    d.destroy = destroy;
    d.ctx = &own;
    assert_int_equal(tern_resolver_register(&d, &st), TERN_OK);
    d.scheme = "push";
    d.resolve_now = NULL;
    assert_int_equal(tern_resolver_register(&d, &st), TERN_OK);
    for (unsigned i = 0; i < SERVERS; i++)
        probe_start(&servers[i], NULL, "ipv4:127.0.0.1:0");
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVERS; i++)
        probe_stop(&servers[i], 1000);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    memset(&own, 0, sizeof own);
    ch = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(ch);
    assert_int_equal(atomic_load(&own.destroyed), atomic_load(&own.made));
    return 0;
}

static void open_channel(const char *target, const char *policy)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.load_balancing = policy;
    opts.breaker.disabled = true;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 20;
    opts.service_config = "{\"methodConfig\":[{\"name\":[{}],\"timeout\":\"60s\"}]}";
    if (tern_channel_new(target, &opts, &ch, &st) != TERN_OK)
        fail_msg("%s", st.message);
}

static void reset_counts(void)
{
    for (unsigned i = 0; i < SERVERS; i++)
        atomic_store(&servers[i].calls, 0);
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
        reset_counts();
        for (unsigned i = 0; i < 4 * SERVERS; i++)
            call();
        for (unsigned i = 0; i < SERVERS; i++)
            reached |= (unsigned)(atomic_load(&servers[i].calls) > 0) << i;
        if (reached == which)
            return;
        assert_true(probe_now_ms() < until);
    }
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *target, *authority, *path, *host;
    } cases[] = {
        { "own://agent:8500/orders", "agent:8500", "orders", "orders" },
        { "own:///orders", "", "orders", "orders" },
        { "OWN:orders", "", "orders", "orders" },
        { "own:/a/b", "", "a/b", "localhost" },
        { "own://agent", "agent", "", "localhost" },
        { "own:", "", "", "localhost" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_channel(cases[i].target, NULL);
        assert_string_equal(own.authority, cases[i].authority);
        assert_string_equal(own.path, cases[i].path);
        assert_string_equal(ch->authority, cases[i].host);
        tern_channel_free(ch);
        ch = NULL;
    }
    own.code = TERN_PERMISSION_DENIED;
    assert_int_equal(tern_channel_new("own:x", NULL, &ch, &st), TERN_PERMISSION_DENIED);
    assert_string_equal(st.message, "target \"own:x\": not today");
    assert_int_equal(tern_channel_new("strange://x", NULL, &ch, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "unknown scheme"));
}

static void test_register(void **state)
{
    (void)state;
    static const struct {
        const char *scheme;
        tern_code code;
        const char *says;
    } cases[] = {
        { NULL, TERN_INVALID_ARGUMENT, "cannot be a scheme" },
        { "", TERN_INVALID_ARGUMENT, "cannot be a scheme" },
        { "1a", TERN_INVALID_ARGUMENT, "cannot be a scheme" },
        { "a:b", TERN_INVALID_ARGUMENT, "cannot be a scheme" },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", TERN_INVALID_ARGUMENT, "cannot be" },
        { "DNS", TERN_ALREADY_EXISTS, "Tern's own" },
        { "file", TERN_ALREADY_EXISTS, "Tern's own" },
        { "Own", TERN_ALREADY_EXISTS, "registered already" },
    };
    tern_resolver_driver d = TERN_RESOLVER_DRIVER_INIT;
    d.create = create;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        d.scheme = cases[i].scheme;
        assert_int_equal(tern_resolver_register(&d, &st), cases[i].code);
        assert_non_null(strstr(st.message, cases[i].says));
    }
    d.scheme = "nobody";
    d.create = NULL;
    assert_int_equal(tern_resolver_register(&d, &st), TERN_INVALID_ARGUMENT);
    d.create = create;
    d.size--;
    assert_int_equal(tern_resolver_register(&d, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "TERN_RESOLVER_DRIVER_INIT"));
}

/* The first call asks; the answer comes on the thread that was asked on. */
static void test_asked(void **state)
{
    static const char *const policies[] = { NULL, "round_robin" };
    for (unsigned i = 0; i < 2; i++) {
        setup(state);
        atomic_store(&own.answers, 5);
        open_channel("own:///orders", policies[i]);
        if (!policies[i]) /* a cluster may look as soon as it has a config */
            assert_int_equal(atomic_load(&own.asked), 0);
        call();
        assert_true(probe_wait(&own.asked, 1));
        reach(i ? 5 : 1);
        tern_channel_free(ch);
        ch = NULL;
    }
}

/* Reports as they come, from a thread that nobody asked: servers come and go under load. */
static void test_changes(void **state)
{
    (void)state;
    static const unsigned lists[] = { 7, 3, 6, 1, 7 };
    own.report_at_once = true;
    atomic_store(&own.answers, 2);
    open_channel("push:x", "round_robin");
    reach(2);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        assert_int_equal(report(lists[i], NULL, &st), TERN_OK);
        reach(lists[i]);
    }
}

/* The same for pick_first: a connection to a server that stays is kept, another is given up. */
static void test_changes_of_pick_first(void **state)
{
    (void)state;
    tern_channel_stats stats;
    own.report_at_once = true;
    atomic_store(&own.answers, 1);
    open_channel("push:x", NULL);
    reach(1);
    assert_int_equal(report(7, NULL, &st), TERN_OK);
    reach(1);
    tern_channel_stats_get(ch, &stats);
    assert_int_equal(stats.connects, 1);
    assert_int_equal(report(6, NULL, &st), TERN_OK);
    reach(2);
    tern_channel_stats_get(ch, &stats);
    assert_int_equal(stats.connects, 2);
}

static void *report_soon(void *arg)
{
    (void)arg;
    probe_sleep_ms(30);
    report(1, NULL, NULL);
    return NULL;
}

/* A call waits for the first report; with none it ends at its deadline. */
static void test_waits_for_the_first(void **state)
{
    static const char *const policies[] = { NULL, "round_robin" };
    for (unsigned i = 0; i < 2; i++) {
        pthread_t t;
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        setup(state);
        open_channel("push:x", policies[i]);
        opts.timeout_ms = 20;
        assert_int_equal(probe_echo(ch, &opts, "hello", &st), TERN_DEADLINE_EXCEEDED);
        assert_int_equal(pthread_create(&t, NULL, report_soon, NULL), 0);
        call();
        pthread_join(t, NULL);
        tern_channel_free(ch);
        ch = NULL;
    }
}

/* Without anything to go by calls fail with the reason; what was there before stays. */
static void test_errors(void **state)
{
    static const char *const policies[] = { NULL, "round_robin" };
    for (unsigned i = 0; i < 2; i++) {
        setup(state);
        atomic_store(&own.fails, true);
        open_channel("own:///orders", policies[i]);
        assert_int_equal(probe_echo(ch, NULL, "hello", &st), TERN_UNAVAILABLE);
        if (!strstr(st.message, "cannot resolve \"own:///orders\": the registry is down"))
            fail_msg("%s", st.message);
        atomic_store(&own.fails, false);
        atomic_store(&own.answers, 1);
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.timeout_ms = PATIENCE_MS;
        opts.wait_for_ready = TERN_CHOICE_YES;
        assert_int_equal(probe_echo(ch, &opts, "hello", &st), TERN_OK); /* asked again */
        tern_resolver_report_error(own.r, "the registry is down");
        reach(1);
        tern_channel_free(ch);
        ch = NULL;
    }
}

/* A call that comes while the first report is on its way: what is found is known, but has not
 * arrived where calls look. A policy that is tried for the report's config holds it up there. */
static struct {
    unsigned tried;
    pthread_t thread;
    atomic_uint ended;
    tern_code code;
    tern_status st;
} early;

static void *call_early(void *arg)
{
    (void)arg;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    early.code = probe_echo(ch, &opts, "hello", &early.st);
    atomic_store(&early.ended, 1);
    return NULL;
}

static tern_code try_policy(void *ctx, const char *settings, void **ret, tern_status *why)
{
    (void)settings;
    *ret = ctx;
    if (++early.tried == 1) /* by what checks the report, before it is told */
        return TERN_OK;
    assert_int_equal(pthread_create(&early.thread, NULL, call_early, NULL), 0);
    for (int i = 0; i < 100 && !atomic_load(&early.ended); i++)
        probe_sleep_ms(2);
    return tern_status_set(why, TERN_INVALID_ARGUMENT, "not this one");
}

static tern_balancer_server *pick_nobody(void *self, tern_balancer *b,
                                         const tern_balancer_call *call_made)
{
    (void)self;
    (void)b;
    (void)call_made;
    return NULL;
}

static void test_call_beside_the_first(void **state)
{
    (void)state;
    tern_balancer_policy p = TERN_BALANCER_POLICY_INIT;
    p.name = "held_up";
    p.create = try_policy;
    p.pick = pick_nobody;
    assert_int_equal(tern_balancer_register(&p, &st), TERN_OK);
    open_channel("push:x", "round_robin");
    report(1, "{\"loadBalancingConfig\":[{\"held_up\":{}}]}", &st);
    assert_int_equal(early.tried, 2);
    pthread_join(early.thread, NULL);
    if (early.code != TERN_OK)
        fail_msg("%s", early.st.message);
}

static void test_nobody_there(void **state)
{
    static const char *const policies[] = { NULL, "round_robin" };
    for (unsigned i = 0; i < 2; i++) {
        setup(state);
        own.report_at_once = true;
        open_channel("push:x", policies[i]);
        assert_int_equal(probe_echo(ch, NULL, "hello", &st), TERN_UNAVAILABLE);
        if (!strstr(st.message, "no server is known of \"push:x\""))
            fail_msg("%s", st.message);
        assert_int_equal(report(1, NULL, &st), TERN_OK);
        call();
        tern_channel_free(ch);
        ch = NULL;
    }
}

static void refused(const tern_resolver_result *result, const char *says)
{
    assert_int_equal(tern_resolver_report(own.r, result, &st), TERN_INVALID_ARGUMENT);
    if (!strstr(st.message, says))
        fail_msg("%s", st.message);
    assert_int_equal(tern_resolver_report(own.r, result, NULL), TERN_INVALID_ARGUMENT);
}

static void test_refused(void **state)
{
    (void)state;
    char long_key[TERN_LIMIT_HASH_KEY_BYTES + 2];
    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    const struct {
        tern_resolver_address one;
        const char *says;
    } cases[] = {
        { { .address = NULL }, "empty" },
        { { .address = "10.0.0.1" }, "addresses[1]: target \"10.0.0.1\": the port is missing" },
        { { .address = "localhost:1" }, "a name is no address" },
        { { .address = "ipv4:10.0.0.1:1,10.0.0.2:1" }, "several addresses" },
        { { .address = "127.0.0.1:1" }, "is there already" },
        { { .address = "10.0.0.1:1", .weight = 65536 }, "TERN_LIMIT_ADDRESS_WEIGHT" },
        { { .address = "10.0.0.1:1", .hash_key = long_key }, "TERN_LIMIT_HASH_KEY_BYTES" },
    };
    own.report_at_once = true;
    atomic_store(&own.answers, 1);
    open_channel("push:x", "round_robin");
    reach(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const tern_resolver_address two[] = { { .address = "127.0.0.1:1" }, cases[i].one };
        tern_resolver_result result = TERN_RESOLVER_RESULT_INIT;
        result.addresses = two;
        result.n_addresses = 2;
        refused(&result, cases[i].says);
    }
    tern_resolver_result result = TERN_RESOLVER_RESULT_INIT;
    result.service_config = "{\"methodConfig\":7}";
    refused(&result, "service_config: methodConfig");
    result.size++;
    refused(&result, "TERN_RESOLVER_RESULT_INIT");
    char texts[TERN_LIMIT_ADDRESSES + 1][32];
    tern_resolver_address many[TERN_LIMIT_ADDRESSES + 1];
    for (unsigned i = 0; i <= TERN_LIMIT_ADDRESSES; i++) {
        snprintf(texts[i], sizeof texts[i], "10.0.0.1:%u", i + 1);
        many[i] = (tern_resolver_address){ .address = texts[i] };
    }
    result = (tern_resolver_result)TERN_RESOLVER_RESULT_INIT;
    result.addresses = many;
    result.n_addresses = TERN_LIMIT_ADDRESSES + 1;
    refused(&result, "TERN_LIMIT_ADDRESSES");
    reach(1); /* nothing has changed */
}

/* What is said of the servers reaches the balancer. */
static void test_weights(void **state)
{
    (void)state;
    const tern_resolver_address two[] = {
        { .address = servers[0].target, .weight = 3 },
        { .address = servers[1].target, .hash_key = "b" },
    };
    tern_resolver_result result = TERN_RESOLVER_RESULT_INIT;
    result.addresses = two;
    result.n_addresses = 2;
    open_channel("push:x", "round_robin");
    assert_int_equal(tern_resolver_report(own.r, &result, &st), TERN_OK);
    const tern__lb_endpoint *at = ch->cluster->balancer.at;
    assert_int_equal(ch->cluster->balancer.n, 2);
    assert_int_equal(at[0].weight, 3);
    assert_null(at[0].hash_key);
    assert_int_equal(at[1].weight, 1);
    assert_string_equal(at[1].hash_key, "b");
}

/* The resolver's config goes before that of the options, which comes back when there is none. */
static void test_service_config(void **state)
{
    (void)state;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    static const char brief[] = "{\"methodConfig\":[{\"name\":[{}],\"timeout\":\"0.02s\"}]}";
    own.report_at_once = true;
    atomic_store(&own.answers, 1);
    open_channel("push:x", NULL);
    assert_int_equal(probe_sleep(ch, &opts, 40, NULL, &st), TERN_OK);
    assert_int_equal(report(1, brief, &st), TERN_OK);
    assert_int_equal(probe_sleep(ch, &opts, 2000, NULL, &st), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(report(1, NULL, &st), TERN_OK);
    assert_int_equal(probe_sleep(ch, &opts, 40, NULL, &st), TERN_OK);
}

#define SPREAD "{\"loadBalancingConfig\":[{\"round_robin\":{}}]}"

/* Its policy, too: the servers that are known go along, whichever way it changes. */
static void test_policy(void **state)
{
    (void)state;
    own.report_at_once = true;
    atomic_store(&own.answers, 3);
    open_channel("push:x", NULL);
    reach(1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(report(i % 2 ? 7 : 3, SPREAD, &st), TERN_OK);
        reach(i % 2 ? 7 : 3);
        assert_int_equal(report(6, NULL, &st), TERN_OK);
        reach(2);
    }
    assert_int_equal(report(6, SPREAD, &st), TERN_OK);
    reach(6);
}

static atomic_bool over;

static void *report_on(void *arg)
{
    for (unsigned i = 0; !atomic_load(&over); i++) {
        if (i % 16 == 15)
            tern_resolver_report_error(own.r, "now and then");
        else
            assert_int_equal(report(1 + (i + (unsigned)(uintptr_t)arg) % 7,
                                    i % 8 < 4 ? NULL : SPREAD, NULL), TERN_OK);
    }
    return NULL;
}

/* Two threads report, calls go on and lose nothing, and in the end the last report holds. */
static void test_many_reports(void **state)
{
    static const char *const policies[] = { NULL, "round_robin" };
    for (unsigned i = 0; i < 2; i++) {
        pthread_t t[2];
        setup(state);
        own.report_at_once = true;
        atomic_store(&own.answers, 7);
        atomic_store(&over, false);
        open_channel("push:x", policies[i]);
        for (uintptr_t k = 0; k < 2; k++)
            assert_int_equal(pthread_create(&t[k], NULL, report_on, (void *)k), 0);
        for (unsigned k = 0; k < 100; k++)
            call();
        atomic_store(&over, true);
        for (unsigned k = 0; k < 2; k++)
            pthread_join(t[k], NULL);
        assert_int_equal(report(6, SPREAD, &st), TERN_OK);
        reach(6);
        tern_channel_free(ch);
        ch = NULL;
    }
}

/* tern_channel_free() waits for resolve_now(), and for a report that is under way. */
static void test_freed_while_it_looks(void **state)
{
    for (unsigned i = 0; i < 10; i++) {
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        setup(state);
        atomic_store(&own.answers, 1);
        open_channel("own:x", i % 2 ? NULL : "round_robin");
        opts.timeout_ms = 1;
        probe_echo(ch, &opts, "hello", &st);
        tern_channel_free(ch);
        ch = NULL;
        assert_int_equal(atomic_load(&own.destroyed), 1);
        assert_true(atomic_load(&own.asked) <= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_register, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes_of_pick_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waits_for_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_service_config, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call_beside_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_reports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_while_it_looks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
