/* See probe.h. */
#include "support/probe.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* What a sleep looks at between two naps, ms. */
#define NAP_MS 2u
#define WAIT_MS 10000

int64_t probe_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void probe_sleep_ms(unsigned ms)
{
    struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    while (nanosleep(&ts, &ts) && errno == EINTR)
        ;
}

bool probe_wait(atomic_uint *value, unsigned least)
{
    int64_t until = probe_now_ms() + WAIT_MS;
    while (atomic_load(value) < least) {
        if (probe_now_ms() > until)
            return false;
        probe_sleep_ms(1);
    }
    return true;
}

void probe_unix_path(char out[96])
{
    static atomic_uint n;
    const char *b = getenv("B");
    /* sun_path is short, the build folder may be deep. */
    snprintf(out, 96, "%.60s/probe-%d-%u.sock", b && strlen(b) < 60 ? b : "/tmp", (int)getpid(),
             atomic_fetch_add(&n, 1));
}

/* --- handlers --------------------------------------------------------------------------------- */

static void echo_metadata(tern_server_call *call)
{
    const tern_metadata *md = tern_server_call_metadata(call);
    for (size_t i = 0; i < tern_metadata_count(md); i++) {
        const tern_metadata_entry *e = tern_metadata_at(md, i);
        tern_metadata *to;
        if (strncmp(e->key, "x-echo-", 7) == 0)
            to = tern_server_call_initial_metadata(call);
        else if (strncmp(e->key, "x-trail-", 8) == 0)
            to = tern_server_call_trailing_metadata(call);
        else
            continue;
        size_t len = strlen(e->key);
        if (len > 4 && strcmp(e->key + len - 4, "-bin") == 0)
            tern_metadata_add_bin(to, e->key, e->value, e->value_len);
        else
            tern_metadata_add(to, e->key, e->value);
    }
}

/* x-encoding: what the answer is compressed with; x-accepted and x-came tell what became of it, and
 * how the request came. */
static void answer_compressed(tern_server_call *call)
{
    tern_compression c;
    const char *name = tern_metadata_get(tern_server_call_metadata(call), "x-encoding");
    tern_metadata *initial = name ? tern_server_call_initial_metadata(call) : NULL;
    if (!initial || tern_compression_from_name(name, &c))
        return;
    bool accepted = tern_server_call_set_compression(call, c);
    tern_metadata_add(initial, "x-accepted", accepted ? "yes" : "no");
    tern_metadata_add(initial, "x-came",
                      tern_server_call_message_compressed(call) ? "compressed" : "plain");
}

static tern_code echo(void *self, tern_server_call *call, const Tests__V1__EchoRequest *req,
                      Tests__V1__EchoResponse *res)
{
    probe_server *p = self;
    atomic_fetch_add(&p->calls, 1);
    echo_metadata(call);
    answer_compressed(call);
    res->text = tern_server_call_strdup(call, req->text);
    res->payload = req->payload;
    if (req->answer_bytes) {
        res->payload.data = tern_server_call_alloc(call, req->answer_bytes);
        res->payload.len = req->answer_bytes;
    }
    return res->text && (res->payload.data || !res->payload.len) ? TERN_OK
                                                                 : TERN_RESOURCE_EXHAUSTED;
}

/* How many calls with this key there were, this one included. */
static unsigned count_key(probe_server *p, const char *key)
{
    unsigned n = 0;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < PROBE_KEYS_MAX && n == 0; i++) {
        if (!p->keys[i].key[0])
            snprintf(p->keys[i].key, sizeof p->keys[i].key, "%s", key);
        if (strcmp(p->keys[i].key, key) == 0)
            n = ++p->keys[i].n;
    }
    pthread_mutex_unlock(&p->lock);
    return n;
}

static tern_code fail_as_told(void *self, tern_server_call *call, const Tests__V1__FailRequest *req,
                              Tests__V1__Empty *res)
{
    probe_server *p = self;
    (void)res;
    atomic_fetch_add(&p->calls, 1);
    echo_metadata(call);
    if (*req->key && count_key(p, req->key) > req->times && req->times)
        return TERN_OK;
    return req->code ? tern_server_call_fail(call, (tern_code)req->code, "%s", req->message)
                     : TERN_OK;
}

static tern_code nap(void *self, tern_server_call *call, const Tests__V1__SleepRequest *req,
                     Tests__V1__SleepResponse *res)
{
    probe_server *p = self;
    tern_context *ctx = tern_server_call_context(call);
    int64_t left = tern_context_remaining_ms(ctx);
    int64_t until = probe_now_ms() + req->sleep_ms;
    atomic_fetch_add(&p->calls, 1);
    atomic_fetch_add(&p->running, 1);
    res->remaining_ms = left == TERN_NO_DEADLINE ? -1 : left;
    while (probe_now_ms() < until && tern_context_error(ctx) == TERN_OK)
        probe_sleep_ms(NAP_MS);
    tern_code code = tern_context_error(ctx);
    if (code == TERN_CANCELLED)
        atomic_fetch_add(&p->cancelled, 1);
    atomic_fetch_sub(&p->running, 1);
    return code;
}

static tern_code forward(void *self, tern_server_call *call, const Tests__V1__ForwardRequest *req,
                         Tests__V1__ForwardResponse *res)
{
    probe_server *p = self;
    tern_channel *ch;
    tern_status st;
    atomic_fetch_add(&p->calls, 1);
    atomic_fetch_add(&p->running, 1);
    tern_code code = tern_channel_new(req->target, NULL, &ch, &st);
    if (code == TERN_OK) {
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.context = tern_server_call_context(call);
        st.message[0] = '\0';
        res->code = (int32_t)probe_sleep(ch, &opts, req->sleep_ms, &res->remaining_ms, &st);
        res->message = tern_server_call_strdup(call, res->code ? st.message : "");
        tern_channel_free(ch);
    }
    atomic_fetch_sub(&p->running, 1);
    return code;
}

static tern_code grow(void *self, tern_server_call *call, const Tests__V1__Tree *req,
                      Tests__V1__Tree *res)
{
    probe_server *p = self;
    (void)call;
    atomic_fetch_add(&p->calls, 1);
    res->name = req->name;
    res->n_children = req->n_children;
    res->children = req->children;
    return TERN_OK;
}

static tern_code nothing(void *self, tern_server_call *call, const Tests__V1__Empty *req,
                         Tests__V1__Empty *res)
{
    probe_server *p = self;
    (void)call;
    (void)req;
    (void)res;
    atomic_fetch_add(&p->calls, 1);
    return TERN_OK;
}

static const tests_v1_probe_handlers handlers = {
    .echo = echo,
    .fail = fail_as_told,
    .fail_safe = fail_as_told,
    .sleep = nap,
    .forward = forward,
    .grow = grow,
    .nothing = nothing,
};

/* --- server and channel ----------------------------------------------------------------------- */

void probe_start(probe_server *p, const tern_server_options *opts, const char *address)
{
    tern_status st;
    st.message[0] = '\0';
    memset(p, 0, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    if (tern_server_new(opts, &p->srv, &st) || tests_v1_probe_register(p->srv, &handlers, p, &st) ||
        tern_health_new(p->srv, &p->health, &st) ||
        tern_server_listen(p->srv, address, &p->port, &st) || tern_server_start(p->srv, &st))
        fail_msg("cannot serve on %s: %s", address, st.message);
    if (p->port) /* the port that was asked for may have been 0 */
        snprintf(p->target, sizeof p->target, "%.*s:%u", (int)(strrchr(address, ':') - address),
                 address, p->port);
    else
        snprintf(p->target, sizeof p->target, "%s", address);
}

void probe_stop(probe_server *p, uint32_t grace_ms)
{
    tern_server_drain(p->srv, grace_ms);
    tern_server_wait(p->srv);
    tern_server_free(p->srv);
    tern_health_free(p->health);
    pthread_mutex_destroy(&p->lock);
    p->srv = NULL;
}

tern_channel *probe_channel_with(const char *target, const tern_channel_options *opts)
{
    tern_channel *ch = NULL;
    tern_status st;
    if (tern_channel_new(target, opts, &ch, &st))
        fail_msg("no channel to %s: %s", target, st.message);
    return ch;
}

tern_channel *probe_channel(const char *target)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.reconnect_backoff_ms = 10;
    opts.reconnect_backoff_ms_max = 50;
    opts.connect_timeout_ms = 5000;
    return probe_channel_with(target, &opts);
}

tern_code probe_echo(tern_channel *ch, const tern_call_options *opts, const char *text,
                     tern_status *st)
{
    Tests__V1__EchoRequest req = TESTS__V1__ECHO_REQUEST__INIT;
    Tests__V1__EchoResponse *res = NULL;
    char copy[256];
    snprintf(copy, sizeof copy, "%s", text);
    req.text = copy;
    tern_code code = tests_v1_probe_echo(ch, opts, &req, &res, st);
    if (code == TERN_OK && strcmp(res->text, copy) != 0)
        code =
            tern_status_set(st, TERN_DATA_LOSS, "\"%s\" came back as \"%.100s\"", copy, res->text);
    if (res)
        tests__v1__echo_response__free_unpacked(res, NULL);
    return code;
}

tern_code probe_sleep(tern_channel *ch, const tern_call_options *opts, uint32_t ms,
                      int64_t *ret_remaining, tern_status *st)
{
    Tests__V1__SleepRequest req = TESTS__V1__SLEEP_REQUEST__INIT;
    Tests__V1__SleepResponse *res = NULL;
    req.sleep_ms = ms;
    tern_code code = tests_v1_probe_sleep(ch, opts, &req, &res, st);
    if (code == TERN_OK && ret_remaining)
        *ret_remaining = res->remaining_ms;
    if (res)
        tests__v1__sleep_response__free_unpacked(res, NULL);
    return code;
}

tern_code probe_fail(tern_channel *ch, const tern_call_options *opts,
                     const Tests__V1__FailRequest *req, bool safe, tern_status *st)
{
    Tests__V1__Empty *res = NULL;
    tern_code code = safe ? tests_v1_probe_fail_safe(ch, opts, req, &res, st)
                          : tests_v1_probe_fail(ch, opts, req, &res, st);
    if (res)
        tests__v1__empty__free_unpacked(res, NULL);
    return code;
}
