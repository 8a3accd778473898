/* The mix of calls. Each kind knows what has to come of it, failures included; what a call sends is
 * worked out from random numbers whose seed is fixed, so that a failure can be had again. */
#include <inttypes.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "soak/soak.h"
#include "tests/v1/probe.tern.h"

/* The deadline of calls that shall succeed, ms: one that hangs is a failure. */
#define PATIENCE_MS 30000
#define LARGE_BYTES 2000000u
#define STREAM_MESSAGES 200u
/* Messages of more than 16 MiB in all, to which windows grow, so that a cancelled stream has
 * something waiting. */
#define LONG_STREAM 4000000u

const char *const soak_kind_names[SOAK_KINDS] = {
    "unary, small", "unary, up to 300 KB", "unary, 2 MB",    "unary, failing",
    "deadline",     "cancelled",           "server stream",  "client stream",
    "both ways",    "stream cancelled",    "new connection",
};

typedef struct caller {
    soak_mix *mix;
    tern__rng rng;
    tern_channel *ch;
    tern_status why;
    tern_call_options opts;
} caller;

tern_channel *soak_channel(soak_mix *m, unsigned which, tern_status *why)
{
    tern_channel *ch;
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    options.breaker.disabled = true; /* the failures are on purpose */
    options.tls = which ? m->tls : NULL;
    options.reconnect_backoff_ms = 10;
    options.reconnect_backoff_ms_max = 100;
    return tern_channel_new(m->targets[which], &options, &ch, why) == TERN_OK ? ch : NULL;
}

static soak_result judge(tern_code code, tern_code wanted)
{
    if (code == wanted)
        return SOAK_GOOD;
    return code == TERN_UNAVAILABLE ? SOAK_CUT : SOAK_WRONG;
}

/* --- unary ------------------------------------------------------------------------------------ */

static soak_result echo(caller *c, size_t len)
{
    Tests__V1__EchoRequest req = TESTS__V1__ECHO_REQUEST__INIT;
    Tests__V1__EchoResponse *res = NULL;
    static const tern_compression encodings[] = { TERN_COMPRESSION_GZIP, TERN_COMPRESSION_ZSTD };
    req.payload.len = len;
    req.payload.data = malloc(len + 1);
    if (!req.payload.data)
        return SOAK_WRONG;
    memset(req.payload.data, (int)(len % 251), len);
    if (tern__rng_below(&c->rng, 10) == 0)
        c->opts.compression = encodings[tern__rng_below(&c->rng, 2)];
    tern_code code = tests_v1_probe_echo(c->ch, &c->opts, &req, &res, &c->why);
    if (code == TERN_OK) {
        if (res->payload.len != len ||
            (len && memcmp(res->payload.data, req.payload.data, len) != 0))
            code = tern_status_set(&c->why, TERN_DATA_LOSS, "%zu bytes came back changed", len);
        tests__v1__echo_response__free_unpacked(res, NULL);
    }
    free(req.payload.data);
    return judge(code, TERN_OK);
}

static soak_result small(caller *c)
{
    return echo(c, tern__rng_below(&c->rng, 200));
}

static soak_result medium(caller *c)
{
    return echo(c, tern__rng_below(&c->rng, 300000));
}

static soak_result large(caller *c)
{
    return echo(c, LARGE_BYTES);
}

static soak_result failing(caller *c)
{
    Tests__V1__FailRequest req = TESTS__V1__FAIL_REQUEST__INIT;
    Tests__V1__Empty *res = NULL;
    char message[] = "as it was told";
    req.code = 1 + (int32_t)tern__rng_below(&c->rng, 16);
    req.message = message;
    tern_code code = tests_v1_probe_fail_safe(c->ch, &c->opts, &req, &res, &c->why);
    return judge(code, (tern_code)req.code);
}

static soak_result deadline(caller *c)
{
    Tests__V1__SleepRequest req = TESTS__V1__SLEEP_REQUEST__INIT;
    Tests__V1__SleepResponse *res = NULL;
    req.sleep_ms = 200;
    c->opts.timeout_ms = 1 + tern__rng_below(&c->rng, 10);
    tern_code code = tests_v1_probe_sleep(c->ch, &c->opts, &req, &res, &c->why);
    return judge(code, TERN_DEADLINE_EXCEEDED);
}

typedef struct waiting {
    sem_t done;
    tern_status status;
} waiting;

static void on_done(void *ctx, const tern_status *st, const void *response, size_t len)
{
    waiting *w = ctx;
    (void)response;
    (void)len;
    w->status = *st;
    sem_post(&w->done);
}

/* A call with a callback, cancelled through its context. */
static soak_result cancelled(caller *c)
{
    static const tern_method sleep_method = { .path = "/tests.v1.Probe/Sleep" };
    static const uint8_t request[] = { 0x08, 0xc8, 0x01 }; /* sleep_ms: 200 */
    waiting w;
    tern_context *context = tern_context_new(NULL, 0);
    if (!context)
        return SOAK_WRONG;
    sem_init(&w.done, 0, 0);
    c->opts.context = context;
    tern_code code = tern_call_unary_start(c->ch, &sleep_method, &c->opts, request, sizeof request,
                                           on_done, &w, &c->why);
    if (code == TERN_OK) {
        if (tern__rng_below(&c->rng, 2))
            sched_yield(); /* it may be on its way by then */
        tern_context_cancel(context);
        while (sem_wait(&w.done))
            ;
        c->why = w.status;
        code = w.status.code;
    }
    sem_destroy(&w.done);
    tern_context_free(context);
    return judge(code, TERN_CANCELLED);
}

/* --- streams ---------------------------------------------------------------------------------- */

static soak_result server_stream(caller *c)
{
    Tests__V1__CountRequest req = TESTS__V1__COUNT_REQUEST__INIT;
    const Tests__V1__Number *n;
    tests_v1_probe_count_call call;
    int64_t expected = 0;
    req.n = tern__rng_below(&c->rng, STREAM_MESSAGES);
    req.code = tern__rng_below(&c->rng, 4) ? TERN_OK : TERN_ABORTED;
    tern_code code = tests_v1_probe_count(c->ch, &c->opts, &req, &call, &c->why);
    if (code != TERN_OK)
        return judge(code, TERN_OK);
    while (tests_v1_probe_count_recv(&call, &n) && n->value == expected + 1)
        expected++;
    code = tests_v1_probe_count_finish(&call, &c->why);
    if (code == (tern_code)req.code && expected != req.n)
        return SOAK_WRONG;
    return judge(code, (tern_code)req.code);
}

static soak_result client_stream(caller *c)
{
    Tests__V1__Number n = TESTS__V1__NUMBER__INIT;
    Tests__V1__Number *res = NULL;
    tests_v1_probe_sum_call call;
    int64_t sum = 0;
    uint32_t n_messages = tern__rng_below(&c->rng, STREAM_MESSAGES);
    bool below = tern__rng_below(&c->rng, 4) == 0;
    tern_code code = tests_v1_probe_sum(c->ch, &c->opts, &call, &c->why);
    if (code != TERN_OK)
        return judge(code, TERN_OK);
    tern_stream_set_buffering(call.stream, tern__rng_below(&c->rng, 2));
    for (uint32_t i = 0; i < n_messages; i++) {
        n.value = i;
        sum += i;
        if (!tests_v1_probe_sum_send(&call, &n))
            break;
    }
    n.value = -1;
    if (below)
        tests_v1_probe_sum_send(&call, &n);
    code = tests_v1_probe_sum_finish(&call, &res, &c->why);
    if (code == TERN_OK && res->value != sum)
        code = tern_status_set(&c->why, TERN_DATA_LOSS, "a sum of %" PRId64 " and not %" PRId64,
                               res->value, sum);
    if (res)
        tests__v1__number__free_unpacked(res, NULL);
    return judge(code, below ? TERN_OUT_OF_RANGE : TERN_OK);
}

static soak_result both_ways(caller *c)
{
    Tests__V1__Number n = TESTS__V1__NUMBER__INIT;
    const Tests__V1__Number *answer;
    tests_v1_probe_double_call call;
    uint32_t n_messages = tern__rng_below(&c->rng, STREAM_MESSAGES);
    bool good = true;
    tern_code code = tests_v1_probe_double(c->ch, &c->opts, &call, &c->why);
    if (code != TERN_OK)
        return judge(code, TERN_OK);
    for (uint32_t i = 0; i < n_messages && good; i++) {
        n.value = i;
        good = tests_v1_probe_double_send(&call, &n) &&
               tests_v1_probe_double_recv(&call, &answer) && answer->value == 2 * (int64_t)i;
    }
    tests_v1_probe_double_close_send(&call);
    bool more = good && tests_v1_probe_double_recv(&call, &answer);
    code = tests_v1_probe_double_finish(&call, &c->why);
    return code == TERN_OK && (!good || more) ? SOAK_WRONG : judge(code, TERN_OK);
}

/* Left while messages are waiting: by cancelling, by finishing too early, by its deadline. */
static soak_result stream_cancelled(caller *c)
{
    Tests__V1__CountRequest req = TESTS__V1__COUNT_REQUEST__INIT;
    const Tests__V1__Number *n;
    tests_v1_probe_count_call call;
    unsigned how = tern__rng_below(&c->rng, 3);
    uint32_t reads = tern__rng_below(&c->rng, 100);
    req.n = LONG_STREAM;
    if (how == 2)
        c->opts.timeout_ms = 1 + tern__rng_below(&c->rng, 5);
    tern_code code = tests_v1_probe_count(c->ch, &c->opts, &req, &call, &c->why);
    if (code != TERN_OK)
        return judge(code, how == 2 ? TERN_DEADLINE_EXCEEDED : TERN_OK);
    while (reads-- && tests_v1_probe_count_recv(&call, &n))
        ;
    if (how == 0)
        tern_stream_cancel(call.stream);
    while (how == 2 && tests_v1_probe_count_recv(&call, &n))
        ;
    code = tests_v1_probe_count_finish(&call, &c->why);
    return judge(code, how == 2 ? TERN_DEADLINE_EXCEEDED : TERN_CANCELLED);
}

static soak_result new_connection(caller *c)
{
    tern_channel *shared = c->ch;
    c->ch = soak_channel(c->mix, tern__rng_below(&c->rng, 2), &c->why);
    soak_result result = c->ch ? small(c) : SOAK_WRONG;
    tern_channel_free(c->ch);
    c->ch = shared;
    return result;
}

/* --- the mix ---------------------------------------------------------------------------------- */

typedef struct kind {
    soak_result (*call)(caller *c);
    unsigned share; /* of their sum */
} kind;

static const kind kinds[SOAK_KINDS] = {
    { small, 60 },    { medium, 5 },           { large, 1 },          { failing, 8 },
    { deadline, 3 },  { cancelled, 6 },        { server_stream, 8 },  { client_stream, 8 },
    { both_ways, 4 }, { stream_cancelled, 4 }, { new_connection, 3 },
};

static unsigned pick(tern__rng *rng)
{
    unsigned sum = 0, i = 0;
    for (unsigned k = 0; k < SOAK_KINDS; k++)
        sum += kinds[k].share;
    unsigned at = tern__rng_below(rng, sum);
    while (at >= kinds[i].share)
        at -= kinds[i++].share;
    return i;
}

static void leak(size_t bytes)
{
    static _Atomic(void *) lost; /* visible from outside, or the compiler leaves it out */
    void *p = malloc(bytes);
    if (p)
        memset(p, 1, bytes);
    atomic_store(&lost, p);
}

void soak_mix_run(soak_mix *m, uint64_t seed)
{
    caller c = { .mix = m };
    tern__rng_seed(&c.rng, seed);
    while (!atomic_load(&m->stop) && !atomic_load(&m->failed)) {
        unsigned k = pick(&c.rng);
        c.ch = m->channels[tern__rng_below(&c.rng, 2)];
        c.opts = (tern_call_options)TERN_CALL_OPTIONS_INIT;
        c.opts.timeout_ms = PATIENCE_MS;
        c.why.message[0] = '\0';
        c.why.code = TERN_OK;
        soak_result result = kinds[k].call(&c);
        atomic_fetch_add(&m->calls[k], 1);
        atomic_fetch_add(&m->cut, result == SOAK_CUT);
        if (m->leak_bytes)
            leak(m->leak_bytes);
        bool first = false;
        if (result == SOAK_WRONG && atomic_compare_exchange_strong(&m->failed, &first, true))
            snprintf(m->failure, sizeof m->failure, "%s: %s: %.500s", soak_kind_names[k],
                     tern_code_name(c.why.code), c.why.message);
    }
}
