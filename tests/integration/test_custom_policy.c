/* A load balancing policy of the program's own at work: "prefer_near" goes to the servers that its
 * settings call near, to the one with the fewest calls, and to the others only while none of those
 * is usable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/balancer.h>

#include "client/channel.h"
#include "client/cluster.h"
#include "support/probe.h"

#define SERVERS 3u
#define PATIENCE_MS 10000
#define CALLERS 3u

/* --- the policy ------------------------------------------------------------------------------- */

/* The settings, {"near":["ipv4:…",…]}: a server is near whose name is among them. */
typedef struct near_policy {
    char text[512];
    bool by_header; /* {"byHeader":true}: calls with the same "owner" go to the same near one */
} near_policy;

static atomic_int n_instances, n_records, n_ended, n_picked;

static tern_code near_create(void *ctx, const char *config, void **ret, tern_status *reterr)
{
    (void)ctx;
    if (!strstr(config, "\"near\":["))
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "near is missing, and required");
    near_policy *p = calloc(1, sizeof *p);
    if (!p)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "no memory");
    snprintf(p->text, sizeof p->text, "%s", config);
    p->by_header = strstr(config, "\"byHeader\":true") != NULL;
    atomic_fetch_add(&n_instances, 1);
    *ret = p;
    return TERN_OK;
}

static void near_destroy(void *self)
{
    atomic_fetch_sub(&n_instances, 1);
    free(self);
}

static const char *near_header(void *self)
{
    const near_policy *p = self;
    return p->by_header ? "owner" : NULL;
}

/* What is kept of a server: whether it is near. */
static bool *record(const near_policy *p, const tern_balancer_server *s)
{
    char quoted[256];
    bool *near = malloc(sizeof *near);
    assert_non_null(near);
    snprintf(quoted, sizeof quoted, "\"%s\"", tern_balancer_server_name(s));
    *near = strstr(p->text, quoted) != NULL;
    atomic_fetch_add(&n_records, 1);
    return near;
}

static void near_update(void *self, tern_balancer *b)
{
    for (uint32_t i = 0; i < tern_balancer_count(b); i++) {
        tern_balancer_server *s = tern_balancer_at(b, i);
        if (!tern_balancer_data(b, s))
            tern_balancer_set_data(b, s, record(self, s));
    }
}

static void near_gone(void *self, void *data)
{
    (void)self;
    atomic_fetch_sub(&n_records, 1);
    free(data);
}

/* Less is better. */
static uint64_t cost(const near_policy *p, tern_balancer *b, tern_balancer_server *s,
                     const tern_balancer_call *call)
{
    const bool *near = tern_balancer_data(b, s);
    uint64_t far = near && *near ? 0 : UINT64_C(1) << 40;
    if (!p->by_header || !call->has_hash)
        return far + tern_balancer_server_in_flight(s);
    uint64_t h = call->hash; /* rendezvous: each server has a number of its own for each hash */
    for (const char *c = tern_balancer_server_name(s); *c; c++)
        h = (h ^ (unsigned char)*c) * UINT64_C(1099511628211);
    return far + (h >> 32);
}

static tern_balancer_server *near_pick(void *self, tern_balancer *b, const tern_balancer_call *call)
{
    tern_balancer_server *best = NULL;
    uint32_t n = tern_balancer_count(b);
    for (uint32_t k = 0; k < n; k++) {
        tern_balancer_server *s = tern_balancer_at(b, (uint32_t)((call->random + k) % n));
        if (tern_balancer_server_usable(s) &&
            (!best || cost(self, b, s, call) < cost(self, b, best, call)))
            best = s;
    }
    atomic_fetch_add(&n_picked, best != NULL);
    return best;
}

static void near_ended(void *self, tern_balancer *b, tern_balancer_server *s,
                       const tern_balancer_outcome *o)
{
    (void)self, (void)b, (void)s;
    atomic_fetch_add(&n_ended, o->code == TERN_OK);
}

static tern_status st;

static int group_setup(void **state)
{
    (void)state;
    tern_balancer_policy p = TERN_BALANCER_POLICY_INIT;
    p.name = "prefer_near";
    p.create = near_create;
    p.destroy = near_destroy;
    p.hash_header = near_header;
    p.update = near_update;
    p.pick = near_pick;
    p.ended = near_ended;
    p.gone = near_gone;
    assert_int_equal(tern_balancer_register(&p, &st), TERN_OK);
    tern_balancer_policy plain = TERN_BALANCER_POLICY_INIT;
    plain.name = "plain"; /* no settings, nothing to remember */
    plain.pick = near_pick;
    static near_policy nobody_is_near;
    plain.ctx = &nobody_is_near;
    assert_int_equal(tern_balancer_register(&plain, &st), TERN_OK);
    return 0;
}

/* --- servers and channels --------------------------------------------------------------------- */

static probe_server servers[SERVERS];
static char target[256];
static tern_channel *ch;

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
    /* The cluster goes with the last who has it, which may be the loop. */
    for (int64_t until = probe_now_ms() + PATIENCE_MS; probe_now_ms() < until;)
        if (atomic_load(&n_instances) == 0)
            break;
    assert_int_equal(atomic_load(&n_instances), 0);
    assert_int_equal(atomic_load(&n_records), 0);
    return 0;
}

/* A config with this before the policy; the servers of `near` (a bit each) are near. */
static const char *config(unsigned near, const char *before, const char *after)
{
    static char text[1024];
    char list[256] = "";
    size_t len = 0;
    for (unsigned i = 0; i < SERVERS; i++)
        if (near & (1u << i))
            len += (size_t)snprintf(list + len, sizeof list - len, "%s\"ipv4:127.0.0.1:%u\"",
                                    len ? "," : "", servers[i].port);
    snprintf(text, sizeof text,
             "{\"loadBalancingConfig\":[%s{\"prefer_near\":{\"near\":[%s]%s}}%s", before, list,
             after, strstr(before, "childPolicy") ? "]}}]}" : "]}");
    return text;
}

static void open_with(const char *json)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.service_config = json;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 20;
    opts.breaker.disabled = true;
    opts.retry.disabled = true;
    ch = probe_channel_with(target, &opts);
}

static void set(const char *json)
{
    if (tern_channel_set_service_config(ch, json, strlen(json), &st) != TERN_OK)
        fail_msg("%s", st.message);
}

/* Which servers (a bit each) n calls have reached. */
static unsigned calls(unsigned n, const tern_call_options *opts)
{
    unsigned which = 0;
    for (unsigned i = 0; i < SERVERS; i++)
        atomic_store(&servers[i].calls, 0);
    for (unsigned i = 0; i < n; i++)
        if (probe_echo(ch, opts, "hello", &st) != TERN_OK)
            fail_msg("call %u: %s", i, st.message);
    for (unsigned i = 0; i < SERVERS; i++)
        which |= (unsigned)(atomic_load(&servers[i].calls) > 0) << i;
    return which;
}

/* Until calls reach these servers, all of them and no others. */
static void comes_to(unsigned which)
{
    unsigned reached = 0;
    for (int64_t until = probe_now_ms() + PATIENCE_MS; probe_now_ms() < until;)
        if ((reached = calls(10 * SERVERS, NULL)) == which)
            return;
    fail_msg("calls reach %u, not %u", reached, which);
}

static void nothing_in_flight(void)
{
    tern__cluster *c = ch->cluster;
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->balancer.n; i++)
        assert_int_equal(c->balancer.at[i].in_flight, 0);
    pthread_mutex_unlock(&c->lock);
}

/* --- cases ------------------------------------------------------------------------------------ */

static void test_prefers_what_is_near(void **state)
{
    (void)state;
    char address[sizeof servers[0].target];
    snprintf(address, sizeof address, "%s", servers[1].target);
    open_with(config(2, "{\"a_policy_of_tomorrow\":{}},", ""));
    comes_to(2);
    probe_stop(&servers[1], 1000);
    servers[1].srv = NULL;
    comes_to(5); /* none is near: both of the others */
    probe_start(&servers[1], NULL, address);
    comes_to(2);
    int picked = atomic_load(&n_picked), good = atomic_load(&n_ended);
    calls(20, NULL);
    assert_int_equal(atomic_load(&n_picked) - picked, 20);
    assert_int_equal(atomic_load(&n_ended) - good, 20);
    nothing_in_flight();
}

/* Other settings, other policies, pick_first: all at run time. */
static void test_changes(void **state)
{
    (void)state;
    static const char round_robin[] = "{\"loadBalancingConfig\":[{\"round_robin\":{}}]}";
    static const char first[] = "{\"loadBalancingConfig\":[{\"pick_first\":{}}]}";
    static const char plain[] = "{\"loadBalancingConfig\":[{\"plain\":{}}]}";
    open_with(config(3, "", ""));
    comes_to(3);
    set(config(4, "", ""));
    comes_to(4);
    set(plain);
    comes_to(7);
    set(config(1, "", ""));
    comes_to(1);
    set(round_robin);
    comes_to(7);
    set(first);
    comes_to(1);
    set(config(6, "{\"outlier_detection_experimental\":{\"childPolicy\":[", ""));
    comes_to(6);
}

static void test_refused(void **state)
{
    (void)state;
    static const char bad[] = "{\"loadBalancingConfig\":[{\"prefer_near\":{\"nearby\":[]}}]}";
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_channel *none;
    open_with(config(1, "", ""));
    comes_to(1);
    assert_int_equal(tern_channel_set_service_config(ch, bad, strlen(bad), &st),
                     TERN_INVALID_ARGUMENT);
    assert_string_equal(st.message,
                        "loadBalancingConfig[0].prefer_near: near is missing, and required");
    comes_to(1);
    opts.load_balancing = "prefer_near"; /* by name there are no settings, which it needs */
    assert_int_equal(tern_channel_new(target, &opts, &none, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "near is missing"));
    assert_non_null(strstr(st.message, "load_balancing"));
}

static void test_by_name(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.load_balancing = "plain";
    ch = probe_channel_with(target, &opts);
    comes_to(7);
    set(config(1, "", "")); /* the option goes before */
    comes_to(7);
}

/* What it tells calls apart by is theirs alone. */
static void test_header(void **state)
{
    (void)state;
    unsigned all = 0;
    open_with(config(7, "", ",\"byHeader\":true"));
    comes_to(7);
    for (unsigned i = 0; i < 40; i++) {
        char owner[16];
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        tern_metadata *md = tern_metadata_new();
        snprintf(owner, sizeof owner, "owner %u", i);
        assert_int_equal(tern_metadata_add(md, "owner", owner), 0);
        opts.metadata = md;
        unsigned which = calls(5, &opts);
        assert_true(which == 1 || which == 2 || which == 4);
        all |= which;
        tern_metadata_free(md);
    }
    assert_int_equal(all, 7);
}

static atomic_bool stopping;
static atomic_uint n_bad;

static void *call_on(void *arg)
{
    tern_status why;
    (void)arg;
    while (!atomic_load(&stopping))
        if (probe_echo(ch, NULL, "hello", &why) != TERN_OK && atomic_fetch_add(&n_bad, 1) == 0)
            fprintf(stderr, "%s\n", why.message);
    return NULL;
}

static void test_under_load(void **state)
{
    (void)state;
    pthread_t threads[CALLERS];
    open_with(config(1, "", ""));
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_on, NULL), 0);
    for (unsigned i = 0; i < 60; i++) {
        set(i % 4 == 3 ? "{}" : config(i % 8, "", i & 1 ? ",\"byHeader\":true" : ""));
        probe_sleep_ms(i % 5);
    }
    set(config(2, "", ""));
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&n_bad), 0);
    comes_to(2);
    nothing_in_flight();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_prefers_what_is_near, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header, setup, teardown),
        cmocka_unit_test_setup_teardown(test_under_load, setup, teardown),
    };
    return cmocka_run_group_tests_name("policy of the program's own", tests, group_setup, NULL);
}
