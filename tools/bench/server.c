/* tern-bench server: BenchmarkService, in cleartext or with TLS. The unary method is here, the
 * streaming ones are in serve_streams.c. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <tern/tern.h>

#include "grpc/testing/benchmark_service.tern.h"
#include "tools/bench/commands.h"
#include "tools/bench/payload.h"
#include "tools/bench/serving.h"

tern_code bench_serving_check(tern_server_call *call, const Grpc__Testing__SimpleRequest *request)
{
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
    return TERN_OK;
}

const ProtobufCBinaryData *bench_serving_sent(const Grpc__Testing__SimpleRequest *request)
{
    static const ProtobufCBinaryData none = { 0, NULL };
    return request->payload ? &request->payload->body : &none;
}

static tern_code unary_call(void *self, tern_server_call *call,
                            const Grpc__Testing__SimpleRequest *request,
                            Grpc__Testing__SimpleResponse *response)
{
    (void)self;
    tern_code code = bench_serving_check(call, request);
    if (code != TERN_OK)
        return code;
    size_t len = (size_t)request->response_size;
    Grpc__Testing__Payload *payload = tern_server_call_alloc(call, sizeof(*payload));
    uint8_t *body = tern_server_call_alloc(call, len ? len : 1);
    if (!payload || !body)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory");
    grpc__testing__payload__init(payload);
    const ProtobufCBinaryData *sent = bench_serving_sent(request);
    bench_payload_answer(body, len, sent->data, sent->len);
    payload->body.data = body;
    payload->body.len = len;
    response->payload = payload;
    return TERN_OK;
}

static const struct grpc_testing_benchmark_service_handlers handlers = {
    .unary_call = unary_call,
    .streaming_call = bench_serve_ping_pong,
    .streaming_from_client = bench_serve_from_client,
    .streaming_from_server = bench_serve_from_server,
    .streaming_both_ways = bench_serve_both_ways,
};

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
    code = tern_server_add_reflection(srv, reterr);
    if (code != TERN_OK)
        return code;
    tern_server_set_execution(srv, grpc_testing_benchmark_service.name,
                              (tern_execution)o->execution);
    if (!o->tls_cert)
        return tern_server_listen(srv, o->listen, ret_port, reterr);
    tern_tls_server *tls = NULL;
    tern_tls_server_options options = TERN_TLS_SERVER_OPTIONS_INIT;
    options.certificate.chain_file = o->tls_cert;
    options.certificate.key_file = o->tls_key;
    code = tern_tls_server_new(&options, &tls, reterr);
    if (code == TERN_OK)
        code = tern_server_listen_tls(srv, o->listen, tls, ret_port, reterr);
    tern_tls_server_unref(tls);
    return code;
}

/* As many connections as the server takes, each a descriptor; as far as the system lets it. */
static void raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
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
    raise_files();
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
