/* What the handlers of tern-bench server share. */
#ifndef TERN_TOOLS_BENCH_SERVING_H
#define TERN_TOOLS_BENCH_SERVING_H

#include <tern/tern.h>

#include "grpc/testing/benchmark_service.tern.h"

/* Whether the request can be meant. TERN_OK, or the status that it asks for or deserves, which is
 * the call's then. */
tern_code bench_serving_check(tern_server_call *call, const Grpc__Testing__SimpleRequest *request);

/* The payload that a request carries: length 0 without. */
const ProtobufCBinaryData *bench_serving_sent(const Grpc__Testing__SimpleRequest *request);

/* The handlers of the streaming methods (serve_streams.c). */
tern_code bench_serve_ping_pong(void *self,
                                grpc_testing_benchmark_service_streaming_call_stream *stream);
tern_code bench_serve_from_client(
    void *self, grpc_testing_benchmark_service_streaming_from_client_stream *stream,
    Grpc__Testing__SimpleResponse *response);
tern_code bench_serve_from_server(
    void *self, grpc_testing_benchmark_service_streaming_from_server_stream *stream,
    const Grpc__Testing__SimpleRequest *request);
tern_code bench_serve_both_ways(void *self,
                                grpc_testing_benchmark_service_streaming_both_ways_stream *stream);

#endif
