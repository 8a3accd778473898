/* The streaming half of BenchmarkService. An answer is made once for a stream and again only when a
 * request asks for another one: what is measured is the moving of messages.
 *
 * StreamingBothWays is two loops that do not wait for each other, so its handler has a second
 * thread, which sends; the answer is to the stream's first request. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/payload.h"
#include "tools/bench/serving.h"

#define SENDER_STACK_BYTES (128u * 1024)

/* A response with room of its own, which is kept from answer to answer. */
typedef struct answer {
    Grpc__Testing__SimpleResponse response;
    Grpc__Testing__Payload payload;
    size_t cap;
} answer;

static void answer_init(answer *a)
{
    grpc__testing__simple_response__init(&a->response);
    grpc__testing__payload__init(&a->payload);
    a->response.payload = &a->payload;
    a->cap = 0;
}

static void answer_deinit(answer *a)
{
    free(a->payload.body.data);
}

/* The answer to a request. Returns the status if there is none. */
static tern_code answer_make(answer *a, tern_server_call *call,
                             const Grpc__Testing__SimpleRequest *request)
{
    tern_code code = bench_serving_check(call, request);
    if (code != TERN_OK)
        return code;
    size_t len = (size_t)request->response_size;
    if (len > a->cap) {
        uint8_t *room = realloc(a->payload.body.data, len);
        if (!room)
            return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory");
        a->payload.body.data = room;
        a->cap = len;
    }
    const ProtobufCBinaryData *sent = bench_serving_sent(request);
    bench_payload_answer(a->payload.body.data, len, sent->data, sent->len);
    a->payload.body.len = len;
    return TERN_OK;
}

tern_code bench_serve_ping_pong(void *self,
                                grpc_testing_benchmark_service_streaming_call_stream *stream)
{
    (void)self;
    const Grpc__Testing__SimpleRequest *request;
    answer a;
    tern_code code = TERN_OK;
    answer_init(&a);
    while (code == TERN_OK &&
           grpc_testing_benchmark_service_streaming_call_stream_recv(stream, &request)) {
        code = answer_make(&a, stream->call, request);
        if (code == TERN_OK &&
            !grpc_testing_benchmark_service_streaming_call_stream_send(stream, &a.response))
            break; /* the call is over, whatever is returned */
    }
    answer_deinit(&a);
    return code;
}

tern_code bench_serve_from_server(
    void *self, grpc_testing_benchmark_service_streaming_from_server_stream *stream,
    const Grpc__Testing__SimpleRequest *request)
{
    (void)self;
    answer a;
    answer_init(&a);
    tern_code code = answer_make(&a, stream->call, request);
    if (code == TERN_OK) {
        while (
            grpc_testing_benchmark_service_streaming_from_server_stream_send(stream, &a.response))
            ;
        code = TERN_CANCELLED; /* this is how such a stream ends */
    }
    answer_deinit(&a);
    return code;
}

/* The answer is to the last request: its size, and a payload of zeros, as the official servers give
 * it; to keep every payload until the next one comes would be measured as well. */
tern_code bench_serve_from_client(
    void *self, grpc_testing_benchmark_service_streaming_from_client_stream *stream,
    Grpc__Testing__SimpleResponse *response)
{
    (void)self;
    const Grpc__Testing__SimpleRequest *request;
    int32_t len = 0;
    while (grpc_testing_benchmark_service_streaming_from_client_stream_recv(stream, &request)) {
        tern_code code = bench_serving_check(stream->call, request);
        if (code != TERN_OK)
            return code;
        len = request->response_size;
    }
    Grpc__Testing__Payload *payload = tern_server_call_alloc(stream->call, sizeof(*payload));
    uint8_t *body = tern_server_call_alloc(stream->call, len ? (size_t)len : 1);
    if (!payload || !body)
        return tern_server_call_fail(stream->call, TERN_RESOURCE_EXHAUSTED, "out of memory");
    grpc__testing__payload__init(payload);
    payload->body.data = body;
    payload->body.len = (size_t)len;
    response->payload = payload;
    return TERN_OK;
}

typedef struct sender {
    grpc_testing_benchmark_service_streaming_both_ways_stream *stream;
    answer a;
    atomic_bool stop;
} sender;

static void *run_sender(void *ctx)
{
    sender *s = ctx;
    while (
        !atomic_load_explicit(&s->stop, memory_order_relaxed) &&
        grpc_testing_benchmark_service_streaming_both_ways_stream_send(s->stream, &s->a.response))
        ;
    return NULL;
}

static int start_sender(sender *s, pthread_t *ret)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return -1;
    pthread_attr_setstacksize(&attr, SENDER_STACK_BYTES);
    int rv = pthread_create(ret, &attr, run_sender, s);
    pthread_attr_destroy(&attr);
    return rv ? -1 : 0;
}

tern_code bench_serve_both_ways(void *self,
                                grpc_testing_benchmark_service_streaming_both_ways_stream *stream)
{
    (void)self;
    const Grpc__Testing__SimpleRequest *request;
    sender s = { .stream = stream };
    pthread_t thread;
    if (!grpc_testing_benchmark_service_streaming_both_ways_stream_recv(stream, &request))
        return TERN_OK;
    answer_init(&s.a);
    tern_code code = answer_make(&s.a, stream->call, request);
    if (code == TERN_OK && start_sender(&s, &thread) < 0)
        code = tern_server_call_fail(stream->call, TERN_RESOURCE_EXHAUSTED,
                                     "no thread for the stream's sender");
    if (code == TERN_OK) {
        while (grpc_testing_benchmark_service_streaming_both_ways_stream_recv(stream, &request))
            ;
        atomic_store(&s.stop, true);
        tern_will_block();
        pthread_join(thread, NULL);
    }
    answer_deinit(&s.a);
    return code;
}
