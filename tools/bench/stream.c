/* tern-bench stream: messages per second over the service's streaming methods. A stream is a thread
 * (of both-ways two: one sends, one receives), as the blocking API has it; streams are spread over
 * the connections. What is counted is what has arrived here, and of from-client what was taken for
 * sending: the server may be behind by a window's worth of it, no more.
 *
 * A stream ends as its method has it: from-server by cancelling, the others by closing this side
 * and reading to the end. One that ends before it was told to is a failure of the whole run. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tern/tern.h>

#include "grpc/testing/benchmark_service.tern.h"
#include "tools/bench/commands.h"
#include "tools/bench/dial.h"
#include "tools/bench/payload.h"
#include "tools/bench/stats.h"
#include "tools/bench/window.h"

/* How long streams may still take after the end, s: then the server is taken for dead. */
#define STOP_WAIT_S 30
/* Messages of more than this are not worth gathering, bytes. */
#define BUFFERED_BYTES_MAX 16384u

typedef struct run run;

typedef struct worker {
    run *run;
    tern_channel *ch;
    pthread_t thread;
    Grpc__Testing__SimpleRequest request;
    Grpc__Testing__Payload payload;
    uint64_t sent, received; /* in the measured phase */
    bool failed;
    tern_status why;
} worker;

struct run {
    const bench_options *options;
    worker *workers;
    uint32_t n_started;
    tern_channel **channels;
    uint32_t n_channels;
    _Atomic int phase;
};

static bool stopped(const worker *w)
{
    return atomic_load_explicit(&w->run->phase, memory_order_relaxed) == BENCH_PHASE_STOP;
}

static unsigned counts(const worker *w)
{
    return atomic_load_explicit(&w->run->phase, memory_order_relaxed) == BENCH_PHASE_MEASURED;
}

/* A message has come: counts it. False when it is not what was asked for. */
static bool take(worker *w, const Grpc__Testing__SimpleResponse *response)
{
    static const ProtobufCBinaryData none = { 0, NULL };
    const ProtobufCBinaryData *got = response->payload ? &response->payload->body : &none;
    const ProtobufCBinaryData *sent = &w->payload.body;
    if (got->len != sent->len || !bench_payload_good(got->data, got->len, sent->data, sent->len)) {
        tern_status_set(&w->why, TERN_DATA_LOSS,
                        "a wrong message: %zu bytes of payload came for %zu", got->len, sent->len);
        return false;
    }
    w->received += counts(w);
    return true;
}

static bool is_small(const worker *w)
{
    const bench_options *o = w->run->options;
    return !o->unbuffered && o->message_bytes <= BUFFERED_BYTES_MAX;
}

/* Each returns whether the stream went on until it was told to stop, and ended well. */

static bool ping_pong(worker *w)
{
    grpc_testing_benchmark_service_streaming_call_call call;
    const Grpc__Testing__SimpleResponse *response;
    bool good = true;
    if (grpc_testing_benchmark_service_streaming_call(w->ch, NULL, &call, &w->why) != TERN_OK)
        return false;
    while (good && !stopped(w))
        good = grpc_testing_benchmark_service_streaming_call_send(&call, &w->request) &&
               grpc_testing_benchmark_service_streaming_call_recv(&call, &response) &&
               take(w, response);
    if (good) {
        grpc_testing_benchmark_service_streaming_call_close_send(&call);
        while (grpc_testing_benchmark_service_streaming_call_recv(&call, &response))
            good = false;
    }
    tern_status why;
    bool ok = grpc_testing_benchmark_service_streaming_call_finish(&call, &why) == TERN_OK;
    if (!ok && !w->why.message[0])
        w->why = why;
    return good && ok;
}

static bool from_server(worker *w)
{
    grpc_testing_benchmark_service_streaming_from_server_call call;
    const Grpc__Testing__SimpleResponse *response;
    bool good = true;
    if (grpc_testing_benchmark_service_streaming_from_server(w->ch, NULL, &w->request, &call,
                                                             &w->why) != TERN_OK)
        return false;
    while (good && !stopped(w))
        good = grpc_testing_benchmark_service_streaming_from_server_recv(&call, &response) &&
               take(w, response);
    if (good)
        tern_stream_cancel(call.stream);
    tern_status why;
    tern_code code = grpc_testing_benchmark_service_streaming_from_server_finish(&call, &why);
    if (!good && !w->why.message[0])
        w->why = why;
    return good && code == TERN_CANCELLED;
}

static bool from_client(worker *w)
{
    grpc_testing_benchmark_service_streaming_from_client_call call;
    Grpc__Testing__SimpleResponse *response = NULL;
    bool good = true;
    if (grpc_testing_benchmark_service_streaming_from_client(w->ch, NULL, &call, &w->why) !=
        TERN_OK)
        return false;
    tern_stream_set_buffering(call.stream, is_small(w));
    while (good && !stopped(w)) {
        good = grpc_testing_benchmark_service_streaming_from_client_send(&call, &w->request);
        w->sent += good && counts(w);
    }
    tern_code code =
        grpc_testing_benchmark_service_streaming_from_client_finish(&call, &response, &w->why);
    if (code == TERN_OK) {
        good = good && take(w, response);
        grpc__testing__simple_response__free_unpacked(response, NULL);
    }
    return good && code == TERN_OK;
}

typedef struct both {
    worker *w;
    grpc_testing_benchmark_service_streaming_both_ways_call call;
} both;

static void *send_both(void *ctx)
{
    both *b = ctx;
    worker *w = b->w;
    tern_stream_set_buffering(b->call.stream, is_small(w));
    while (!stopped(w) &&
           grpc_testing_benchmark_service_streaming_both_ways_send(&b->call, &w->request))
        w->sent += counts(w);
    grpc_testing_benchmark_service_streaming_both_ways_close_send(&b->call);
    return NULL;
}

static bool both_ways(worker *w)
{
    both b = { .w = w };
    const Grpc__Testing__SimpleResponse *response;
    pthread_t thread;
    bool good = true;
    if (grpc_testing_benchmark_service_streaming_both_ways(w->ch, NULL, &b.call, &w->why) !=
        TERN_OK)
        return false;
    if (pthread_create(&thread, NULL, send_both, &b) != 0) {
        grpc_testing_benchmark_service_streaming_both_ways_finish(&b.call, NULL);
        tern_status_set(&w->why, TERN_RESOURCE_EXHAUSTED, "no thread for the stream's sender");
        return false;
    }
    while (good && grpc_testing_benchmark_service_streaming_both_ways_recv(&b.call, &response))
        good = take(w, response);
    good = good && stopped(w);
    if (!good)
        tern_stream_cancel(b.call.stream); /* the sender is to hear of it */
    pthread_join(thread, NULL);
    tern_status why;
    bool ok = grpc_testing_benchmark_service_streaming_both_ways_finish(&b.call, &why) == TERN_OK;
    if (!ok && !w->why.message[0])
        w->why = why;
    return good && ok;
}

static void *run_worker(void *ctx)
{
    static bool (*const kinds[])(worker *) = { ping_pong, from_server, from_client, both_ways };
    worker *w = ctx;
    w->failed = !kinds[w->run->options->stream_kind](w);
    if (w->failed && !w->why.message[0])
        tern_status_set(&w->why, TERN_UNKNOWN, "the server ended it too early");
    return NULL;
}

static int worker_init(worker *w, run *r, uint32_t index)
{
    const bench_options *o = r->options;
    w->run = r;
    w->ch = r->channels[index % r->n_channels];
    grpc__testing__simple_request__init(&w->request);
    grpc__testing__payload__init(&w->payload);
    w->request.response_size = (int32_t)o->message_bytes;
    w->request.payload = &w->payload;
    w->payload.body.len = o->message_bytes;
    w->payload.body.data = malloc(o->message_bytes + 1);
    if (!w->payload.body.data)
        return -ENOMEM;
    memset(w->payload.body.data, 'x', o->message_bytes);
    bench_payload_number(w->payload.body.data, o->message_bytes, index);
    return 0;
}

static int start(run *r)
{
    for (uint32_t i = 0; i < r->options->streams; i++) {
        worker *w = &r->workers[i];
        int rv = -worker_init(w, r, i);
        if (rv == 0)
            rv = pthread_create(&w->thread, NULL, run_worker, w);
        if (rv != 0) {
            fprintf(stderr, "tern-bench: no stream %u of %u: %s\n", i + 1, r->options->streams,
                    strerror(rv));
            return -1;
        }
        r->n_started++;
    }
    return 0;
}

static void stop(run *r)
{
    atomic_store(&r->phase, BENCH_PHASE_STOP);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_WAIT_S;
    for (uint32_t i = 0; i < r->n_started; i++) {
        if (pthread_timedjoin_np(r->workers[i].thread, NULL, &until) != 0) {
            fprintf(stderr, "tern-bench: streams to %s have not ended %d s after they should\n",
                    r->options->target, STOP_WAIT_S);
            exit(1); /* its thread uses memory that could not be freed below it */
        }
    }
}

static void print(const bench_options *o, const bench_window *w, uint64_t sent, uint64_t received)
{
    static const char *const kinds[] = { "ping-pong", "from-server", "from-client", "both-ways" };
    double n = (double)(sent + received);
    double seconds = (double)(w->end_ns - w->begin_ns) / 1e9;
    double mb = n * (double)o->message_bytes / 1e6;
    if (o->json) {
        printf(
            "{\"kind\": \"%s\", \"sent\": %llu, \"received\": %llu, \"seconds\": %.3f, "
            "\"messages_per_s\": %.1f, \"mb_per_s\": %.3f, \"client_cpu_us_per_message\": %.4f, ",
            kinds[o->stream_kind], (unsigned long long)sent, (unsigned long long)received, seconds,
            n / seconds, mb / seconds, (double)w->client_us / n);
        if (w->server_known)
            printf("\"server_cpu_us_per_message\": %.4f}\n", (double)w->server_us / n);
        else
            printf("\"server_cpu_us_per_message\": null}\n");
        return;
    }
    printf("stream          %s, %u on %u connections, %u bytes, %.1f s\n"
           "messages        %llu sent, %llu received, all right: %.0f messages/s, %.1f MB/s\n"
           "cpu us/message  client %.3f",
           kinds[o->stream_kind], o->streams, o->connections, o->message_bytes, seconds,
           (unsigned long long)sent, (unsigned long long)received, n / seconds, mb / seconds,
           (double)w->client_us / n);
    if (w->server_known)
        printf("  server %.3f", (double)w->server_us / n);
    putchar('\n');
}

static int report(run *r, const bench_window *window)
{
    uint64_t sent = 0, received = 0;
    for (uint32_t i = 0; i < r->n_started; i++) {
        const worker *w = &r->workers[i];
        if (w->failed) {
            fprintf(stderr, "tern-bench: a stream to %s failed: %s: %s\n", r->options->target,
                    tern_code_name(w->why.code), w->why.message);
            return 1;
        }
        sent += w->sent;
        received += w->received;
    }
    if (sent + received == 0) {
        fprintf(stderr, "tern-bench: no message came through to %s in %.1f s\n", r->options->target,
                r->options->duration_s);
        return 1;
    }
    print(r->options, window, sent, received);
    return 0;
}

int bench_run_stream(const bench_options *o)
{
    run r = { .options = o };
    int status = 1;
    r.channels = calloc(o->connections, sizeof(tern_channel *));
    r.workers = calloc(o->streams, sizeof(worker));
    if (!r.channels || !r.workers) {
        fprintf(stderr, "tern-bench: out of memory for %u streams\n", o->streams);
    } else if (bench_dial_many(o, o->connections, r.channels, &r.n_channels) == 0) {
        bool started = start(&r) == 0;
        bench_window w = { 0 };
        if (started)
            w = bench_window_measure(o, &r.phase);
        stop(&r);
        if (started)
            status = report(&r, &w);
    }
    for (uint32_t i = 0; r.workers && i < o->streams; i++)
        free(r.workers[i].payload.body.data);
    if (r.channels)
        bench_dial_hang_up(r.channels, r.n_channels);
    free(r.channels);
    free(r.workers);
    return status;
}
