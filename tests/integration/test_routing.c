/* Routes of the service config: which of two versions of a server a call reaches, by weight, method
 * and metadata, with every kind of call; that its attempts stay there; that each version has a
 * breaker of its own; and what updates of the config do to calls under way. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "grpc/channelz/v1/channelz.tern.h"
#include "support/certs.h"
#include "support/probe.h"
#include "support/script.h"

#define PATIENCE_MS 20000
#define SHARE_CALLS 4000u
#define CALLERS 3

/* A server that counts the calls it gets. */
static struct version {
    tern_server *srv;
    char target[64];
    atomic_uint calls, running;
    atomic_bool held; /* a call that asks for it stays until this is false */
} v[2];

static tern_channel *ch;
static tern_status st;

static const tern_method get = { .path = "/t.S/Get" }, put = { .path = "/t.S/Put" };
static const tern_method bidi = { .path = "/t.S/Bidi", .kind = TERN_KIND_BIDI_STREAMING };

/* --- servers ---------------------------------------------------------------------------------- */

static tern_code unary(void *self, tern_server_call *call)
{
    struct version *at = self;
    size_t len;
    const char *how = tern_server_call_request(call, &len);
    atomic_fetch_add(&at->calls, 1);
    atomic_fetch_add(&at->running, 1);
    if (len && *how == 'H') {
        tern_will_block();
        for (unsigned i = 0; i < 10000 && atomic_load(&at->held); i++)
            probe_sleep_ms(1);
    }
    atomic_fetch_sub(&at->running, 1);
    if (len && *how == 'F')
        return tern_server_call_fail(call, TERN_UNAVAILABLE, "told so");
    char *answer = tern_server_call_response_buffer(call, 2);
    if (!answer)
        return TERN_RESOURCE_EXHAUSTED;
    memcpy(answer, at == v ? "v1" : "v2", 2);
    return TERN_OK;
}

static tern_code stream(void *self, tern_server_call *call)
{
    struct version *at = self;
    const void *data;
    size_t len;
    atomic_fetch_add(&at->calls, 1);
    while (tern_server_call_recv(call, &data, &len))
        tern_server_call_send(call, at == v ? "v1" : "v2", 2);
    return TERN_OK;
}

static void start(struct version *at)
{
    uint16_t port;
    assert_int_equal(tern_server_new(NULL, &at->srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_channelz(at->srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(at->srv, &get, unary, at, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(at->srv, &put, unary, at, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(at->srv, &bidi, stream, at, &st), TERN_OK);
    assert_int_equal(tern_server_listen(at->srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(at->srv, &st), TERN_OK);
    snprintf(at->target, sizeof at->target, "ipv4:127.0.0.1:%u", port);
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        start(&v[i]);
        atomic_store(&v[i].calls, 0);
        atomic_store(&v[i].held, false);
    }
    ch = probe_channel(v[0].target);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(ch);
    for (int i = 0; i < 2; i++)
        tern_server_free(v[i].srv);
    return 0;
}

/* --- configs ---------------------------------------------------------------------------------- */

#define HEADER "\"headers\":[{\"name\":\"x-version\",\"exact\":\"2\"}]"
#define TO_V2 "\"clusters\":[{\"name\":\"v2\"}]"
#define BY_HEADER "{\"match\":{" HEADER "}," TO_V2 "}"

/* `more` of the config, cluster v2 at `target`, and these routes. */
static const char *config(const char *more, const char *target, const char *routes)
{
    static char text[2048];
    snprintf(text, sizeof text,
             "{%s\"tern\":{\"clusters\":{\"v2\":{\"target\":\"%s\"}},\"routes\":[%s]}}", more,
             target, routes);
    return text;
}

static void set_text(const char *text)
{
    if (tern_channel_set_service_config(ch, text, strlen(text), &st) != TERN_OK)
        fail_msg("%s\n%s", text, st.message);
}

static void set(const char *routes)
{
    set_text(config("", v[1].target, routes));
}

/* --- calls ------------------------------------------------------------------------------------ */

static tern_metadata *version_2(void)
{
    tern_metadata *md = tern_metadata_new();
    assert_non_null(md);
    assert_int_equal(tern_metadata_add(md, "x-version", "2"), 0);
    return md;
}

/* 1 or 2: which version answered; 0: none, the reason is in st. */
static int call_as(const tern_method *m, const char *how, const tern_metadata *md)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    char *answer = NULL;
    size_t len;
    opts.timeout_ms = PATIENCE_MS;
    opts.metadata = md;
    st.message[0] = '\0';
    st.code = tern_call_unary(ch, m, &opts, how, strlen(how), (void **)&answer, &len, &st);
    int who = st.code == TERN_OK ? answer[1] - '0' : 0;
    free(answer);
    return who;
}

static int call(const tern_method *m) { return call_as(m, "", NULL); }

static int call_v2(const char *how)
{
    tern_metadata *md = version_2();
    int who = call_as(&get, how, md);
    tern_metadata_free(md);
    return who;
}

static tern_channel_stats stats(void)
{
    tern_channel_stats s;
    tern_channel_stats_get(ch, &s);
    return s;
}

static tern_channel_stats stats_v2(void)
{
    tern_channel_stats s;
    assert_true(tern_channel_cluster_stats_get(ch, "v2", &s));
    return s;
}

/* --- where calls go --------------------------------------------------------------------------- */

/* Within five standard deviations of 5 in 100. */
static void test_weights(void **state)
{
    (void)state;
    set("{\"clusters\":[{\"name\":\"v2\",\"weight\":5},{\"weight\":95}]}");
    for (unsigned i = 0; i < SHARE_CALLS; i++)
        if (!call(&get))
            fail_msg("%s", st.message);
    unsigned n = atomic_load(&v[1].calls);
    assert_in_range(n, SHARE_CALLS / 20 - 70, SHARE_CALLS / 20 + 70);
    assert_int_equal(atomic_load(&v[0].calls), SHARE_CALLS - n);
    tern_channel_stats all = stats(), v2 = stats_v2();
    assert_int_equal(all.calls, SHARE_CALLS);
    assert_int_equal(all.attempts, SHARE_CALLS);
    assert_int_equal(all.calls_failed, 0);
    assert_int_equal(all.connects, 2);
    assert_int_equal(v2.calls, n);
    assert_int_equal(v2.connects, 1);
    tern_channel_stats none;
    assert_false(tern_channel_cluster_stats_get(ch, "v3", &none));
}

static void test_by_method(void **state)
{
    (void)state;
    set("{\"match\":{\"service\":\"t.S\",\"method\":\"Put\"}," TO_V2 "}");
    for (int i = 0; i < 10; i++) {
        assert_int_equal(call(&get), 1);
        assert_int_equal(call(&put), 2);
    }
    set("{\"match\":{\"service\":\"t.S\"}," TO_V2 "}");
    assert_int_equal(call(&get), 2);
    set("{\"match\":{\"service\":\"t.T\"}," TO_V2 "}");
    assert_int_equal(call(&put), 1);
    char name[96]; /* a cluster has a resolver, too */
    snprintf(name, sizeof name, "dns:localhost:%s", strrchr(v[1].target, ':') + 1);
    set_text(config("", name, "{" TO_V2 "}"));
    assert_int_equal(call(&put), 2);
    set_text("{}");
    assert_int_equal(call(&put), 1);
    assert_int_equal(stats().calls_failed, 0);
}

static tern_code add_header(void *self, tern_call_info *info)
{
    (void)self;
    return tern_metadata_add(info->request, "x-version", "2") ? TERN_RESOURCE_EXHAUSTED : TERN_OK;
}

static void test_by_header(void **state)
{
    (void)state;
    const tern_interceptor adds = { .before = add_header };
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    set(BY_HEADER);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(call(&get), 1);
        assert_int_equal(call_v2(""), 2);
    }
    /* a route sees what interceptors add, and they run once */
    tern_channel_free(ch);
    opts.interceptors = &adds;
    opts.n_interceptors = 1;
    opts.service_config = config("", v[1].target, BY_HEADER);
    ch = probe_channel_with(v[0].target, &opts);
    assert_int_equal(call(&get), 2);
    tern_metadata *md = version_2();
    assert_int_equal(call_as(&get, "", md), 1); /* "2,2" */
    tern_metadata_free(md);
}

/* --- every kind of call ----------------------------------------------------------------------- */

static void test_blocking_stream(void **state)
{
    (void)state;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_metadata *md = version_2();
    opts.timeout_ms = PATIENCE_MS;
    for (int retried = 0; retried < 2; retried++) {
        tern_stream *s[2];
        set_text(config(retried ? "\"methodConfig\":[{\"name\":[{}],\"retryPolicy\":{"
                                  "\"maxAttempts\":2,\"initialBackoff\":\"0.01s\","
                                  "\"maxBackoff\":\"0.01s\",\"backoffMultiplier\":1,"
                                  "\"retryableStatusCodes\":[\"UNAVAILABLE\"]}}],"
                                : "",
                        v[1].target, BY_HEADER));
        for (int i = 0; i < 2; i++) {
            opts.metadata = i ? md : NULL;
            assert_int_equal(tern_stream_open(ch, &bidi, &opts, &s[i], &st), TERN_OK);
        }
        set_text("{}"); /* streams under way stay where they are */
        for (int i = 0; i < 20; i++) {
            const void *message;
            size_t len;
            assert_true(tern_stream_send(s[i % 2], "x", 1));
            assert_true(tern_stream_recv(s[i % 2], &message, &len));
            assert_memory_equal(message, i % 2 ? "v2" : "v1", 2);
        }
        for (int i = 0; i < 2; i++) {
            assert_true(tern_stream_close_send(s[i]));
            const void *message;
            size_t len;
            assert_false(tern_stream_recv(s[i], &message, &len));
            assert_int_equal(tern_stream_finish(s[i], &st), TERN_OK);
        }
    }
    assert_int_equal(stats().calls, 4);
    assert_int_equal(stats().calls_failed, 0);
    tern_metadata_free(md);
}

typedef struct heard {
    char from[4];
    atomic_uint n;
    tern_code code;
} heard;

static void on_answer(void *ctx, const tern_status *s, const void *response, size_t len)
{
    heard *h = ctx;
    h->code = s->code;
    if (s->code == TERN_OK && len == 2)
        memcpy(h->from, response, 2);
    atomic_fetch_add(&h->n, 1);
}

static void on_sent(void *ctx, bool ok)
{
    (void)ctx;
    (void)ok;
}

static void on_message(void *ctx, const void *message, size_t len)
{
    heard *h = ctx;
    if (message && len == 2)
        memcpy(h->from, message, 2);
    atomic_fetch_add(&h->n, 1);
}

static void on_finished(void *ctx, const tern_status *s)
{
    heard *h = ctx;
    h->code = s->code;
    atomic_fetch_add(&h->n, 1);
}

/* The call that is last in a cluster which no config names any more ends it, on the loop. */
static void test_callbacks(void **state)
{
    (void)state;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_metadata *md = version_2();
    opts.timeout_ms = PATIENCE_MS;
    opts.metadata = md;
    for (int i = 0; i < 10; i++) {
        heard h = { .n = 0 };
        set(BY_HEADER);
        atomic_store(&v[1].held, true);
        assert_int_equal(tern_call_unary_start(ch, &get, &opts, "H", 1, on_answer, &h, &st),
                         TERN_OK);
        if (i % 2)
            assert_true(probe_wait(&v[1].running, 1));
        set_text("{}");
        atomic_store(&v[1].held, false);
        assert_true(probe_wait(&h.n, 1));
        assert_int_equal(h.code, TERN_OK);
        assert_string_equal(h.from, "v2");
    }
    for (int i = 0; i < 10; i++) {
        heard h = { .n = 0 };
        tern_stream *s;
        set(BY_HEADER);
        assert_int_equal(tern_stream_start(ch, &bidi, &opts, &s, &st), TERN_OK);
        tern_stream_send_start(s, "x", 1, on_sent, &h);
        tern_stream_recv_start(s, on_message, &h);
        if (i % 2)
            assert_true(probe_wait(&h.n, 1));
        set_text("{}");
        assert_true(probe_wait(&h.n, 1));
        tern_stream_close_send(s);
        tern_stream_recv_start(s, on_message, &h);
        assert_true(probe_wait(&h.n, 2));
        tern_stream_finish_start(s, on_finished, &h);
        assert_true(probe_wait(&h.n, 3));
        assert_int_equal(h.code, TERN_OK);
        assert_string_equal(h.from, "v2");
    }
    tern_metadata_free(md);
    assert_int_equal(stats().calls, 20);
    assert_int_equal(stats().calls_failed, 0);
}

/* The same on a loop of the program's own, which runs in this thread. */
static void test_own_loop(void **state)
{
    (void)state;
    tern_loop *loop;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_metadata *md = version_2();
    tern_call_options with = TERN_CALL_OPTIONS_INIT;
    assert_int_equal(tern_loop_new(&loop, &st), TERN_OK);
    tern_channel_free(ch);
    opts.loop = loop;
    ch = probe_channel_with(v[0].target, &opts);
    with.timeout_ms = PATIENCE_MS;
    with.metadata = md;
    for (int i = 0; i < 10; i++) {
        heard h = { .n = 0 };
        set(BY_HEADER);
        assert_int_equal(tern_call_unary_start(ch, &get, &with, "", 0, on_answer, &h, &st),
                         TERN_OK);
        if (i % 2)
            (void)tern_loop_wait(loop, 1);
        set_text("{}");
        while (tern_loop_calls(loop))
            (void)tern_loop_wait(loop, 1000);
        assert_int_equal(h.code, TERN_OK);
        assert_string_equal(h.from, "v2");
    }
    assert_int_equal(stats().calls, 10);
    tern_channel_free(ch);
    tern_loop_free(loop);
    ch = NULL;
    tern_metadata_free(md);
}

static void test_hedged(void **state)
{
    (void)state;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_metadata *md = version_2();
    heard h = { .n = 0 };
    opts.timeout_ms = PATIENCE_MS;
    opts.metadata = md;
    set_text(config("\"methodConfig\":[{\"name\":[{}],\"hedgingPolicy\":{\"maxAttempts\":3,"
                    "\"hedgingDelay\":\"0s\"}}],",
                    v[1].target, BY_HEADER));
    assert_int_equal(call_v2(""), 2);
    assert_int_equal(tern_call_unary_start(ch, &get, &opts, "", 0, on_answer, &h, &st), TERN_OK);
    assert_true(probe_wait(&h.n, 1));
    assert_string_equal(h.from, "v2");
    assert_int_equal(atomic_load(&v[0].calls), 0);
    assert_int_equal(call(&get), 1);
    assert_int_equal(stats().calls, 3);
    tern_metadata_free(md);
}

/* --- attempts, breakers ----------------------------------------------------------------------- */

#define GRPC_HEAD { ":status", "200" }, { "content-type", "application/grpc" }
#define SAYS_NO { .headers = { GRPC_HEAD, { "grpc-status", "14" } } }
#define SAYS_YES                                                                                \
    {                                                                                           \
        .headers = { GRPC_HEAD }, .body = "\0\0\0\0\2ok", .body_len = 7,                        \
        .trailers = { { "grpc-status", "0" } }                                                  \
    }

/* Each server refuses every other request: a retry that went elsewhere would leave one of them with
 * an odd number. */
static void test_retries_stay(void **state)
{
    (void)state;
    static const script_step steps[] = { SAYS_NO,  SAYS_YES, SAYS_NO,  SAYS_YES, SAYS_NO,
                                         SAYS_YES, SAYS_NO,  SAYS_YES, SAYS_NO,  SAYS_YES,
                                         SAYS_NO,  SAYS_YES, SAYS_NO,  SAYS_YES, SAYS_NO,
                                         SAYS_YES, SAYS_NO,  SAYS_YES, SAYS_NO,  SAYS_YES };
    static const char retry[] = "\"methodConfig\":[{\"name\":[{}],\"retryPolicy\":{"
                                "\"maxAttempts\":2,\"initialBackoff\":\"0.001s\","
                                "\"maxBackoff\":\"0.001s\",\"backoffMultiplier\":1,"
                                "\"retryableStatusCodes\":[\"UNAVAILABLE\"]}}],";
    static script peers[2];
    tern_channel_free(ch);
    for (int i = 0; i < 2; i++)
        script_start(&peers[i], steps, 20, false);
    ch = probe_channel(peers[0].target);
    set_text(config(retry, peers[1].target, "{\"clusters\":[{\"name\":\"v2\"},{}]}"));
    for (unsigned i = 0; i < 10; i++) {
        void *answer = NULL;
        size_t len;
        if (tern_call_unary(ch, &get, NULL, "", 0, &answer, &len, &st) != TERN_OK)
            fail_msg("%s", st.message);
        free(answer);
        for (int k = 0; k < 2; k++)
            assert_int_equal(atomic_load(&peers[k].requests) % 2, 0);
    }
    assert_int_equal(atomic_load(&peers[0].requests) + atomic_load(&peers[1].requests), 20);
    assert_int_equal(stats().retries, 10);
    for (int i = 0; i < 2; i++)
        script_stop(&peers[i]);
}

static void test_breaker(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_channel_free(ch);
    opts.breaker.consecutive_failures = 3;
    opts.breaker.open_ms = opts.breaker.open_ms_max = 60000;
    ch = probe_channel_with(v[0].target, &opts);
    set(BY_HEADER);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call_v2("F"), 0);
        assert_string_equal(st.message, "told so");
    }
    assert_int_equal(call_v2(""), 0);
    assert_int_equal(st.code, TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "circuit breaker of"));
    assert_non_null(strstr(st.message, v[1].target));
    assert_int_equal(atomic_load(&v[1].calls), 3);
    for (int i = 0; i < 10; i++)
        assert_int_equal(call(&get), 1);
    assert_int_equal(stats().breaker, TERN_BREAKER_CLOSED);
    assert_int_equal(stats().breaker_rejected, 1);
    assert_int_equal(stats().calls_failed, 4);
    assert_int_equal(stats_v2().breaker, TERN_BREAKER_OPEN);
    assert_int_equal(stats_v2().breaker_rejected, 1);
    /* a config with the same cluster leaves its breaker as it is, one with another begins anew */
    set(BY_HEADER "," BY_HEADER);
    assert_int_equal(call_v2(""), 0);
    set_text("{}");
    set(BY_HEADER);
    assert_int_equal(call_v2(""), 2);
    assert_int_equal(stats().breaker_rejected, 2); /* of the former one, too */
}

static void test_forced_breaker(void **state)
{
    (void)state;
    set(BY_HEADER);
    assert_false(tern_channel_cluster_breaker_force(ch, "v3", TERN_BREAKER_FORCE_OPEN));
    assert_true(tern_channel_cluster_breaker_force(ch, "v2", TERN_BREAKER_FORCE_OPEN));
    assert_int_equal(call_v2(""), 0);
    assert_non_null(strstr(st.message, "forced open by an operator"));
    assert_int_equal(call(&get), 1);
    assert_int_equal(stats_v2().breaker_forced, TERN_BREAKER_FORCE_OPEN);
    assert_int_equal(stats().breaker_forced, TERN_BREAKER_AUTOMATIC);
    set(BY_HEADER "," BY_HEADER); /* with the same cluster */
    assert_int_equal(call_v2(""), 0);
    assert_true(tern_channel_cluster_breaker_force(ch, "v2", TERN_BREAKER_AUTOMATIC));
    assert_int_equal(call_v2(""), 2);
}

/* Each entry of methodConfig has its guard anew in each cluster. */
static void test_method_breaker(void **state)
{
    (void)state;
    set_text(config("\"methodConfig\":[{\"name\":[{\"service\":\"t.S\",\"method\":\"Get\"}],"
                    "\"tern\":{\"breaker\":{\"consecutiveFailures\":2,\"open\":\"60s\","
                    "\"openMax\":\"60s\"}}}],",
                    v[1].target, BY_HEADER));
    for (int i = 0; i < 2; i++)
        assert_int_equal(call_v2("F"), 0);
    assert_int_equal(call_v2(""), 0);
    assert_non_null(strstr(st.message, "methodConfig[0]"));
    assert_int_equal(call(&get), 1);
}

/* --- balancing -------------------------------------------------------------------------------- */

/* A cluster whose target is both servers, with this policy of its own ("": none). */
static void set_balanced(const char *policy, const char *channels)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{%s\"tern\":{\"clusters\":{\"all\":{\"target\":\"%s,%s\"%s}},\"routes\":["
             "{\"clusters\":[{\"name\":\"all\"}]}]}}",
             channels, v[0].target, v[1].target + 5, policy);
    set_text(text);
}

#define POLICY(name) "\"loadBalancingConfig\":[{\"" name "\":{}}]"

/* How many of 40 calls each server has got, once both are connected. */
static unsigned spread_calls(void)
{
    unsigned before;
    for (int64_t until = probe_now_ms() + PATIENCE_MS;;) {
        before = atomic_load(&v[1].calls);
        for (int i = 0; i < 40; i++)
            if (!call(&get))
                fail_msg("%s", st.message);
        unsigned n = atomic_load(&v[1].calls) - before;
        if (n == 0 || n == 20 || probe_now_ms() > until)
            return n;
    }
}

static void wait_spread(void)
{
    for (int64_t until = probe_now_ms() + PATIENCE_MS; spread_calls() != 20;)
        assert_true(probe_now_ms() < until);
}

/* The cluster's own policy, else what the program gave to the channel, else the channel's config;
 * and changes of it. */
static void test_policies(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    set_balanced("", "");
    assert_int_equal(spread_calls(), 0);
    set_balanced("," POLICY("round_robin"), "");
    wait_spread();
    set_balanced("", POLICY("round_robin") ",");
    wait_spread();
    set_balanced("," POLICY("pick_first"), POLICY("round_robin") ",");
    unsigned n = atomic_load(&v[1].calls);
    for (int i = 0; i < 20; i++)
        assert_true(call(&get));
    assert_true(atomic_load(&v[1].calls) == n || atomic_load(&v[1].calls) == n + 20);
    tern_channel_free(ch);
    opts.load_balancing = "round_robin";
    ch = probe_channel_with(v[0].target, &opts);
    set_balanced("", POLICY("pick_first") ",");
    wait_spread();
    set_balanced("," POLICY("pick_first"), "");
    assert_int_equal(spread_calls(), 0);
    set_balanced("", "");
    wait_spread();
    assert_int_equal(stats().calls_failed, 0);
}

/* --- updates ---------------------------------------------------------------------------------- */

static atomic_bool done;
static atomic_uint failures;

static void *caller(void *arg)
{
    (void)arg;
    while (!atomic_load(&done)) {
        void *answer = NULL;
        size_t len;
        tern_status mine;
        if (tern_call_unary(ch, &get, NULL, "", 0, &answer, &len, &mine) != TERN_OK)
            atomic_fetch_add(&failures, 1);
        free(answer);
    }
    return NULL;
}

/* All calls move to the other version and back, again and again, while others call. */
static void test_moving(void **state)
{
    (void)state;
    static const char *const shares[] = { "[{\"name\":\"v2\"}]",
                                          "[{\"name\":\"v2\"},{}]",
                                          "[{\"name\":\"v2\",\"weight\":0},{}]" };
    pthread_t threads[CALLERS];
    char routes[128];
    atomic_store(&done, false);
    atomic_store(&failures, 0);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, caller, NULL), 0);
    for (unsigned i = 0; i < 60; i++) {
        snprintf(routes, sizeof routes, "{\"clusters\":%s}", shares[i % 3]);
        if (i % 4 == 3)
            set_text("{}"); /* the cluster itself goes */
        else
            set(routes);
        probe_sleep_ms(2);
    }
    set("{\"clusters\":[{\"name\":\"v2\"}]}");
    atomic_store(&done, true);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&failures), 0);
    tern_channel_stats all = stats();
    assert_int_equal(all.calls, atomic_load(&v[0].calls) + atomic_load(&v[1].calls));
    assert_int_equal(all.calls_failed, 0);
    assert_true(atomic_load(&v[0].calls) > 0 && atomic_load(&v[1].calls) > 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(call(&get), 2);
}

static void refused(const char *text, const char *message)
{
    assert_int_equal(tern_channel_set_service_config(ch, text, strlen(text), &st),
                     TERN_INVALID_ARGUMENT);
    if (strncmp(st.message, message, strlen(message)) != 0)
        fail_msg("%s\n   not: %s", st.message, message);
}

static void test_invalid(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_channel *none = NULL;
    set(BY_HEADER);
    refused(config("", v[1].target, "{" TO_V2 ",\"match\":{\"method\":\"M\"}}"),
            "tern.routes[0].match.method: ");
    refused(config("", v[1].target, "{\"clusters\":[{\"weight\":0}]}"),
            "tern.routes[0].clusters: the weights");
    refused(config("", "ipv4:nowhere", ""), "tern.clusters.v2.target: ");
    refused("{\"tern\":{\"clusters\":{\"v2\":{\"target\":\"ipv4:127.0.0.1:1\"},"
            "\"v3\":{\"target\":\"ipv4:127.0.0.1:1\",\"authority\":\"a b\"}}}}",
            "tern.clusters.v3.authority: ");
    assert_int_equal(call_v2(""), 2); /* the former one is still in use */
    assert_int_equal(call(&get), 1);
    assert_int_equal(stats().connects, 2);
    opts.service_config = config("", "ipv4:nowhere", "");
    assert_int_equal(tern_channel_new(v[0].target, &opts, &none, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "service_config: tern.clusters.v2.target: "));
}

/* The file's changes are found by the loop, which then ends clusters, and makes them. */
static void test_file(void **state)
{
    (void)state;
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    char path[96];
    snprintf(path, sizeof path, "/tmp/tern-test-routing-%d.json", (int)getpid());
    cert_write(path, "{}", 0600, true);
    tern_channel_free(ch);
    opts.service_config_file = path;
    opts.service_config_reload_ms = 100;
    ch = probe_channel_with(v[0].target, &opts);
    assert_int_equal(call(&get), 1);
    for (int to = 2; to >= 1; to--) {
        const char *text = to == 2 ? config("", v[1].target, "{" TO_V2 "}") : "{}";
        cert_write(path, text, 0600, true);
        int64_t until = probe_now_ms() + PATIENCE_MS;
        while (call(&get) != to) {
            assert_int_equal(st.code, TERN_OK);
            assert_true(probe_now_ms() < until);
            probe_sleep_ms(10);
        }
    }
    unlink(path);
}

/* --- what is seen of it ----------------------------------------------------------------------- */

static void test_ready(void **state)
{
    (void)state;
    static const char nobody[] = "ipv4:127.0.0.1:1";
    set_text(config("", nobody, BY_HEADER));
    assert_int_equal(tern_channel_wait_ready(ch, 50, &st), TERN_UNAVAILABLE);
    assert_true(strncmp(st.message, "cluster v2: ", 12) == 0);
    set_text(config("", nobody, "")); /* no route leads to it */
    assert_int_equal(tern_channel_wait_ready(ch, PATIENCE_MS, &st), TERN_OK);
    set(BY_HEADER);
    assert_int_equal(tern_channel_wait_ready(ch, PATIENCE_MS, &st), TERN_OK);
    assert_int_equal(stats_v2().connects, 1);
    tern_channel_free(ch); /* nor to the target */
    ch = probe_channel(nobody);
    set("{" TO_V2 "}");
    assert_int_equal(tern_channel_wait_ready(ch, PATIENCE_MS, &st), TERN_OK);
    assert_int_equal(call(&get), 2);
}

/* The program's channel is at the top, with all calls; its cluster is in it. */
static void test_channelz(void **state)
{
    (void)state;
    Grpc__Channelz__V1__GetTopChannelsRequest top =
        GRPC__CHANNELZ__V1__GET_TOP_CHANNELS_REQUEST__INIT;
    Grpc__Channelz__V1__GetTopChannelsResponse *all = NULL;
    Grpc__Channelz__V1__GetChannelRequest one = GRPC__CHANNELZ__V1__GET_CHANNEL_REQUEST__INIT;
    Grpc__Channelz__V1__GetChannelResponse *v2 = NULL;
    set(BY_HEADER);
    for (int i = 0; i < 3; i++)
        assert_int_equal(call_v2(""), 2);
    assert_int_equal(call(&get), 1);
    assert_int_equal(call_v2("F"), 0);
    tern_channel *z = probe_channel(v[0].target);
    assert_int_equal(grpc_channelz_v1_channelz_get_top_channels(z, NULL, &top, &all, &st), TERN_OK);
    assert_int_equal(all->n_channel, 2); /* ours, and the one that asks */
    Grpc__Channelz__V1__Channel *mine = all->channel[0];
    assert_string_equal(mine->data->target, v[0].target);
    assert_int_equal(mine->data->calls_started, 5);
    assert_int_equal(mine->data->calls_succeeded, 4);
    assert_int_equal(mine->data->calls_failed, 1);
    assert_int_equal(mine->n_channel_ref, 1);
    assert_string_equal(mine->channel_ref[0]->name, v[1].target);
    one.channel_id = mine->channel_ref[0]->channel_id;
    assert_int_equal(grpc_channelz_v1_channelz_get_channel(z, NULL, &one, &v2, &st), TERN_OK);
    assert_string_equal(v2->channel->data->target, v[1].target);
    assert_int_equal(v2->channel->data->calls_started, 4);
    assert_int_equal(v2->channel->n_subchannel_ref, 1);
    grpc__channelz__v1__get_top_channels_response__free_unpacked(all, NULL);
    grpc__channelz__v1__get_channel_response__free_unpacked(v2, NULL);
    set_text("{}"); /* what the cluster has counted stays */
    assert_int_equal(grpc_channelz_v1_channelz_get_top_channels(z, NULL, &top, &all, &st), TERN_OK);
    assert_int_equal(all->channel[0]->n_channel_ref, 0);
    assert_int_equal(all->channel[0]->data->calls_started, 5);
    grpc__channelz__v1__get_top_channels_response__free_unpacked(all, NULL);
    tern_channel_free(z);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_weights),      T(test_by_method),      T(test_by_header), T(test_blocking_stream),
        T(test_callbacks),    T(test_hedged),         T(test_breaker),   T(test_forced_breaker),
        T(test_retries_stay), T(test_method_breaker), T(test_moving),    T(test_invalid),
        T(test_ready),        T(test_channelz),       T(test_file),      T(test_policies),
        T(test_own_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
