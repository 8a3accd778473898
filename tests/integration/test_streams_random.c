/* Streams of random length, sizes, pauses and ends, many at once, by every way to make and to serve
 * them: each message arrives once, whole and in its place, and each stream ends as it was meant to.
 * STREAMS_SEED and STREAMS_ROUNDS repeat a run, or make it longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/probe.h"
#include "support/tlskit.h"

#define THREADS 4u
#define ROUNDS 60u /* streams of a thread */
#define BYTES_MAX 200000u
#define PATIENCE_MS 60000

/* What a stream is to be; its first message tells the server. */
typedef struct plan {
    uint64_t seed;
    uint32_t n;       /* messages each way, after this one */
    uint8_t down, up; /* who sends */
    uint8_t sleeps;   /* both sides pause at times */
    uint8_t late;     /* the server reads nothing before it has sent all */
    uint32_t code;
} plan;

static tern_server *srv;
static tern_channel *ch;
static uint64_t base_seed = 1;
static unsigned rounds = ROUNDS;
static atomic_uint streams_done;

/* --- messages --------------------------------------------------------------------------------- */

static void maybe_sleep(const plan *p, tern__rng *rng)
{
    if (p->sleeps && tern__rng_below(rng, 8) == 0)
        usleep(tern__rng_below(rng, 3000));
}

/* Message i of one direction: mostly short, some longer than a frame, than a window, than a
 * buffer. */
static size_t size_of(uint64_t seed, uint32_t i)
{
    tern__rng rng;
    tern__rng_seed(&rng, seed + i);
    switch (tern__rng_below(&rng, 8)) {
    case 0:
        return tern__rng_below(&rng, BYTES_MAX);
    case 1:
        return 60000 + tern__rng_below(&rng, 10000);
    case 2:
    case 3:
        return tern__rng_below(&rng, 20000);
    default:
        return tern__rng_below(&rng, 60);
    }
}

static uint8_t byte_of(uint64_t seed, uint32_t i, size_t k)
{
    return (uint8_t)(seed * 7 + i * 31 + k * 13 + k / 251);
}

static size_t make(uint64_t seed, uint32_t i, uint8_t *to)
{
    size_t len = size_of(seed, i);
    for (size_t k = 0; k < len; k++)
        to[k] = byte_of(seed, i, k);
    return len;
}

/* NULL: it is message i. */
static const char *compare(uint64_t seed, uint32_t i, const uint8_t *data, size_t len)
{
    if (len != size_of(seed, i))
        return "has another length";
    for (size_t k = 0; k < len; k++)
        if (data[k] != byte_of(seed, i, k))
            return "has other bytes";
    return NULL;
}

#define UP 0x5555u /* what is added to the seed for each direction */
#define DOWN 0xaaaau

/* --- the server ------------------------------------------------------------------------------- */

static tern_code wrong(tern_server_call *call, uint32_t i, const char *what)
{
    return tern_server_call_fail(call, TERN_DATA_LOSS, "request message %u %s", i, what);
}

static tern_code receive_rest(tern_server_call *call, const plan *p, tern__rng *rng)
{
    const void *data;
    size_t len;
    uint32_t i = 0;
    while (tern_server_call_recv(call, &data, &len)) {
        const char *what = i < p->n ? compare(p->seed + UP, i, data, len) : "is one too many";
        if (what)
            return wrong(call, i, what);
        i++;
        maybe_sleep(p, rng);
    }
    if (p->up && i < p->n && !tern_context_error(tern_server_call_context(call)))
        return wrong(call, i, "never came");
    return TERN_OK;
}

static bool send_all(tern_server_call *call, const plan *p, tern__rng *rng)
{
    uint8_t *bytes = malloc(BYTES_MAX);
    bool ok = bytes != NULL;
    for (uint32_t i = 0; i < p->n && ok; i++) {
        ok = tern_server_call_send(call, bytes, make(p->seed + DOWN, i, bytes));
        maybe_sleep(p, rng);
    }
    free(bytes);
    return ok;
}

static tern_code handle(void *self, tern_server_call *call)
{
    const void *data;
    size_t len;
    plan p;
    tern__rng rng;
    (void)self;
    if (!tern_server_call_recv(call, &data, &len) || len != sizeof p)
        return tern_server_call_fail(call, TERN_DATA_LOSS, "the plan did not come");
    memcpy(&p, data, sizeof p);
    tern__rng_seed(&rng, p.seed);
    tern_code code = p.late ? TERN_OK : receive_rest(call, &p, &rng);
    if (code == TERN_OK && p.down && !send_all(call, &p, &rng))
        return TERN_CANCELLED;
    if (code == TERN_OK && p.late)
        code = receive_rest(call, &p, &rng);
    if (code == TERN_OK && p.code)
        code = tern_server_call_fail(call, (tern_code)p.code, "as planned");
    return code;
}

static const tern_method methods[] = {
    { .path = "/t.Auto/Run", .kind = TERN_KIND_BIDI_STREAMING },
    { .path = "/t.Pool/Run", .kind = TERN_KIND_BIDI_STREAMING },
};

/* --- clients ---------------------------------------------------------------------------------- */

/* Who sends much is read meanwhile: so only one side does, or the client has callbacks. */
static plan draw(tern__rng *rng, bool both)
{
    plan p = { .seed = tern__rng_next(rng), .n = tern__rng_below(rng, 40) };
    uint32_t way = tern__rng_below(rng, both ? 4 : 3);
    p.down = way != 1;
    p.up = way != 0;
    if (way == 2)
        p.n = tern__rng_below(rng, 3);
    p.late = way == 3;
    p.sleeps = tern__rng_below(rng, 3) == 0;
    if (tern__rng_below(rng, 4) == 0)
        p.code = 1 + tern__rng_below(rng, 16);
    return p;
}

typedef struct client {
    plan p;
    const char *how;
    tern_stream *s;
    uint32_t sent, received;
    const char *what; /* what is wrong with a message; NULL: nothing */
    bool cancels;
    uint32_t cancel_at;
    atomic_uint over;
    tern_status st;
    uint8_t *bytes;
} client;

/* The status and what came, against the plan. */
static void expect_end(client *c, tern_code code, const tern_status *st)
{
    const plan *p = &c->p;
    unsigned due = p->down ? p->n : 0;
    bool cut = c->cancels &&
               (code == TERN_CANCELLED || (code != TERN_OK && code == (tern_code)p->code));
    if (c->what || (code != (tern_code)p->code && !cut) || (!cut && c->received != due) ||
        c->received > due) {
        fprintf(stderr,
                "%s: seed 0x%llx, n %u, down %d, up %d, late %d, sleeps %d, code %u, cancels %d: "
                "status %d \"%s\", %u of %u messages, %s\n",
                c->how, (unsigned long long)p->seed, p->n, p->down, p->up, p->late, p->sleeps,
                p->code, c->cancels, code, st->message, c->received, due,
                c->what ? c->what : "each right");
        abort(); /* not the test's own thread */
    }
    atomic_fetch_add(&streams_done, 1);
}

static void check(client *c, const void *data, size_t len)
{
    uint32_t due = c->p.down ? c->p.n : 0;
    const char *what = c->received < due ? compare(c->p.seed + DOWN, c->received, data, len)
                                         : "is one too many";
    if (what && !c->what)
        c->what = what;
    c->received++;
}

static void run_blocking(client *c, const tern_method *method, tern__rng *rng)
{
    const void *data;
    size_t len;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    tern_code code = tern_stream_open(ch, method, &opts, &c->s, &c->st);
    if (code != TERN_OK) {
        expect_end(c, code, &c->st);
        return;
    }
    tern_stream_set_buffering(c->s, tern__rng_below(rng, 2));
    bool ok = tern_stream_send(c->s, &c->p, sizeof c->p);
    for (uint32_t i = 0; i < c->p.n && ok && c->p.up; i++) {
        if (c->cancels && i == c->cancel_at)
            tern_stream_cancel(c->s);
        ok = tern_stream_send(c->s, c->bytes, make(c->p.seed + UP, i, c->bytes));
        maybe_sleep(&c->p, rng);
    }
    tern_stream_close_send(c->s);
    while (tern_stream_recv(c->s, &data, &len)) {
        check(c, data, len);
        if (c->cancels && c->received == c->cancel_at)
            tern_stream_cancel(c->s);
        maybe_sleep(&c->p, rng);
    }
    code = tern_stream_finish(c->s, &c->st);
    expect_end(c, code, &c->st);
}

static void on_end(void *ctx, const tern_status *st)
{
    client *c = ctx;
    expect_end(c, st->code, st);
    atomic_fetch_add(&c->over, 1);
}

static void on_message(void *ctx, const void *data, size_t len)
{
    client *c = ctx;
    if (!data) {
        tern_stream_finish_start(c->s, on_end, c);
        return;
    }
    check(c, data, len);
    if (c->cancels && c->received == c->cancel_at)
        tern_stream_cancel(c->s);
    tern_stream_recv_start(c->s, on_message, c);
}

static void on_room(void *ctx, bool ok)
{
    client *c = ctx;
    if (!ok)
        return;
    if (!c->p.up || c->sent == c->p.n) {
        tern_stream_close_send(c->s);
        return;
    }
    size_t len = make(c->p.seed + UP, c->sent++, c->bytes);
    tern_stream_send_start(c->s, c->bytes, len, on_room, c);
}

static void run_with_callbacks(client *c, const tern_method *method)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = PATIENCE_MS;
    if (tern_stream_start(ch, method, &opts, &c->s, &c->st) != TERN_OK) {
        expect_end(c, c->st.code, &c->st);
        return;
    }
    tern_stream_recv_start(c->s, on_message, c);
    tern_stream_send_start(c->s, &c->p, sizeof c->p, on_room, c);
    while (!atomic_load(&c->over))
        usleep(500);
}

static void *run_streams(void *arg)
{
    tern__rng rng;
    uint8_t *bytes = malloc(BYTES_MAX);
    if (!bytes)
        abort();
    tern__rng_seed(&rng, base_seed * 1000 + *(unsigned *)arg);
    for (unsigned i = 0; i < rounds; i++) {
        bool callbacks = tern__rng_below(&rng, 2);
        client c = { .p = draw(&rng, callbacks), .bytes = bytes };
        c.how = callbacks ? "callbacks" : "blocking";
        c.cancels = tern__rng_below(&rng, 10) == 0;
        c.cancel_at = tern__rng_below(&rng, 20);
        const tern_method *method = &methods[tern__rng_below(&rng, 2)];
        if (callbacks)
            run_with_callbacks(&c, method);
        else
            run_blocking(&c, method, &rng);
    }
    free(bytes);
    return NULL;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void run(tern_tls_server *server_tls, tern_tls_client *client_tls,
                tern_compression compression)
{
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    tern_channel_options copts = TERN_CHANNEL_OPTIONS_INIT;
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    uint16_t port;
    char target[64];
    tern_status st;
    opts.loops = 1;
    opts.compression = copts.compression = compression;
    opts.resets_burst = opts.resets_per_second = 100000;
    assert_int_equal(tern_server_new(&opts, &srv, &st), TERN_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(tern_server_add_raw(srv, &methods[i], handle, NULL, &st), TERN_OK);
    tern_server_set_execution(srv, "t.Pool", TERN_EXEC_POOLED);
    assert_int_equal(server_tls
                         ? tern_server_listen_tls(srv, "ipv4:127.0.0.1:0", server_tls, &port, &st)
                         : tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st),
                     TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    copts.tls = client_tls;
    copts.breaker.disabled = true; /* half of the codes it would count */
    assert_int_equal(tern_channel_new(target, &copts, &ch, &st), TERN_OK);
    atomic_store(&streams_done, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run_streams, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&streams_done), THREADS * rounds);
    tern_channel_free(ch);
    tern_server_free(srv);
}

static void test_cleartext(void **state)
{
    (void)state;
    run(NULL, NULL, TERN_COMPRESSION_DEFAULT);
}

static void test_compressed(void **state)
{
    (void)state;
    run(NULL, NULL, TERN_COMPRESSION_GZIP);
}

static void test_tls(void **state)
{
    (void)state;
    tls_certs certs;
    tls_certs_make(&certs);
    tern_tls_server *s =
        tls_server_creds(&certs, (tern_tls_server_options)TERN_TLS_SERVER_OPTIONS_INIT);
    tern_tls_client *c =
        tls_client_creds(&certs, (tern_tls_client_options)TERN_TLS_CLIENT_OPTIONS_INIT);
    run(s, c, TERN_COMPRESSION_DEFAULT);
    tern_tls_client_unref(c);
    tern_tls_server_unref(s);
    tls_certs_free(&certs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cleartext),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_tls),
    };
    const char *seed = getenv("STREAMS_SEED"), *more = getenv("STREAMS_ROUNDS");
    if (seed)
        base_seed = strtoull(seed, NULL, 10);
    if (more)
        rounds = (unsigned)strtoul(more, NULL, 10);
    return cmocka_run_group_tests_name("streams, random", tests, NULL, NULL);
}
