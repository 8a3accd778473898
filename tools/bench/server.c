/* tern-bench server: BenchmarkService with its one unary method. The streaming methods are in the
 * .proto for the sake of its numbers; the server answers them with UNIMPLEMENTED. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tern/tern.h>

#include "grpc/testing/benchmark_service.tern.h"
#include "tools/bench/commands.h"
#include "tools/bench/payload.h"

static tern_code unary_call(void *self, tern_server_call *call,
                            const Grpc__Testing__SimpleRequest *request,
                            Grpc__Testing__SimpleResponse *response)
{
    (void)self;
    const Grpc__Testing__EchoStatus *status = request->response_status;
    if (status && (status->code < TERN_OK || status->code > TERN_UNAUTHENTICATED))
        return tern_server_call_fail(call, TERN_INVALID_ARGUMENT,
                                     "response_status.code: %" PRId32 " is not a gRPC code",
                                     status->code);
    if (status && status->code != TERN_OK)
        return tern_server_call_fail(call, (tern_code)status->code, "%s", status->message);
    if (request->response_size < 0 || request->response_size > (int32_t)BENCH_PAYLOAD_BYTES_MAX)
        return tern_server_call_fail(call, TERN_INVALID_ARGUMENT,
                                     "response_size: %" PRId32 " is not within 0 and %u",
                                     request->response_size, BENCH_PAYLOAD_BYTES_MAX);
    size_t len = (size_t)request->response_size;
    Grpc__Testing__Payload *payload = tern_server_call_alloc(call, sizeof(*payload));
    uint8_t *body = tern_server_call_alloc(call, len ? len : 1);
    if (!payload || !body)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory");
    grpc__testing__payload__init(payload);
    static const ProtobufCBinaryData none = { 0, NULL };
    const ProtobufCBinaryData *sent = request->payload ? &request->payload->body : &none;
    bench_payload_answer(body, len, sent->data, sent->len);
    payload->body.data = body;
    payload->body.len = len;
    response->payload = payload;
    return TERN_OK;
}

static const struct grpc_testing_benchmark_service_handlers handlers = { .unary_call = unary_call };

/* Says where the server can be reached: the address as given, with the port that was really
 * taken. */
static void print_listening(const char *address, uint16_t port)
{
    const char *colon = strrchr(address, ':');
    if (port && colon)
        printf("listening on %.*s:%u\n", (int)(colon - address), address, port);
    else
        printf("listening on %s\n", address);
    fflush(stdout);
}

static tern_code set_up(tern_server *srv, const bench_options *o, uint16_t *ret_port,
                        tern_status *reterr)
{
    tern_code code = grpc_testing_benchmark_service_register(srv, &handlers, NULL, reterr);
    if (code != TERN_OK)
        return code;
    tern_server_set_execution(srv, grpc_testing_benchmark_service.name,
                              (tern_execution)o->execution);
    return tern_server_listen(srv, o->listen, ret_port, reterr);
}

int bench_run_server(const bench_options *o)
{
    tern_server *srv = NULL;
    tern_status err;
    uint16_t port = 0;
    tern_server_options options = TERN_SERVER_OPTIONS_INIT;
    options.loops = o->threads;
    options.receive_message_bytes_max = BENCH_PAYLOAD_BYTES_MAX + 1024;
    /* A load may put all it has on one connection. */
    options.concurrent_streams_max = BENCH_CONCURRENCY_MAX;
    tern_server_block_signals();
    tern_code code = tern_server_new(&options, &srv, &err);
    if (code == TERN_OK)
        code = set_up(srv, o, &port, &err);
    if (code == TERN_OK) {
        print_listening(o->listen, port);
        code = tern_server_run(srv, &err);
    }
    tern_server_free(srv);
    if (code == TERN_OK)
        return 0;
    fprintf(stderr, "tern-bench: %s: %s\n", tern_code_name(code), err.message);
    return 1;
}
