/* The interop server of grpc doc/interop-test-descriptions.md on Tern: grpc.testing.TestService,
 * with the official flags. UnimplementedCall and UnimplementedService are left out, as they should
 * be. Port 0 takes a free one; the port is printed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <tern/tern.h>

#include "grpc/testing/test.tern.h"
#include "tests/interop/tern/flags.h"

/* Largest payload that a client may ask for, bytes, and longest pause before one, microseconds. */
#define PAYLOAD_BYTES_MAX (4 * 1024 * 1024)
#define PAUSE_US_MAX (60 * 1000 * 1000)
#define PAUSE_STEP_US 10000
/* channel_soak of grpc-go keeps every channel that it made until its end. */
#define CONNECTIONS_MAX 20000u

#define ECHO_INITIAL "x-grpc-test-echo-initial"
#define ECHO_TRAILING "x-grpc-test-echo-trailing-bin"

/* Echo Metadata: on every call, whatever its method. */
static void echo_metadata(tern_server_call *call)
{
    const tern_metadata *md = tern_server_call_metadata(call);
    for (size_t i = 0; i < tern_metadata_count(md); i++) {
        const tern_metadata_entry *e = tern_metadata_at(md, i);
        if (strcmp(e->key, ECHO_INITIAL) == 0)
            tern_metadata_add(tern_server_call_initial_metadata(call), e->key, e->value);
        else if (strcmp(e->key, ECHO_TRAILING) == 0)
            tern_metadata_add_bin(tern_server_call_trailing_metadata(call), e->key, e->value,
                                  e->value_len);
    }
}

/* Echo Status. TERN_OK: the call goes on. */
static tern_code echo_status(tern_server_call *call, const Grpc__Testing__EchoStatus *status)
{
    if (!status || status->code == TERN_OK)
        return TERN_OK;
    if (status->code < 0 || status->code > TERN_UNAUTHENTICATED)
        return tern_server_call_fail(call, TERN_INVALID_ARGUMENT,
                                     "response_status.code: %" PRId32 " is not a gRPC code",
                                     status->code);
    return tern_server_call_fail(call, (tern_code)status->code, "%s", status->message);
}

/* CompressedRequest. */
static tern_code check_compressed(tern_server_call *call, const Grpc__Testing__BoolValue *expected)
{
    if (!expected || expected->value == tern_server_call_message_compressed(call))
        return TERN_OK;
    return tern_server_call_fail(call, TERN_INVALID_ARGUMENT, "the request came %s",
                                 expected->value ? "uncompressed" : "compressed");
}

/* CompressedResponse: of the messages sent from now on. */
static void compress(tern_server_call *call, const Grpc__Testing__BoolValue *wanted)
{
    if (wanted)
        tern_server_call_set_compress_mode(call, wanted->value ? TERN_COMPRESS_ALWAYS
                                                               : TERN_COMPRESS_NEVER);
}

/* The body of every payload: never written, so it costs no memory. */
static uint8_t zeros[PAYLOAD_BYTES_MAX];

static tern_code make_payload(tern_server_call *call, int32_t size, Grpc__Testing__PayloadType type,
                              Grpc__Testing__Payload *ret)
{
    if (type != GRPC__TESTING__PAYLOAD_TYPE__COMPRESSABLE)
        return tern_server_call_fail(call, TERN_INVALID_ARGUMENT, "response_type: %d is not known",
                                     (int)type);
    if (size < 0 || size > PAYLOAD_BYTES_MAX)
        return tern_server_call_fail(call, TERN_INVALID_ARGUMENT,
                                     "a payload of %" PRId32 " bytes is not within 0 and %d", size,
                                     PAYLOAD_BYTES_MAX);
    grpc__testing__payload__init(ret);
    ret->body.data = zeros;
    ret->body.len = (size_t)size;
    return TERN_OK;
}

/* Waits as interval_us asks; false: the call is over. */
static bool pause_before(tern_server_call *call, int32_t us)
{
    tern_context *ctx = tern_server_call_context(call);
    tern_will_block();
    for (int32_t left = us < PAUSE_US_MAX ? us : PAUSE_US_MAX; left > 0; left -= PAUSE_STEP_US) {
        int32_t step = left < PAUSE_STEP_US ? left : PAUSE_STEP_US;
        nanosleep(&(struct timespec){ 0, step * 1000L }, NULL);
        if (tern_context_error(ctx) != TERN_OK)
            return false;
    }
    return true;
}

static tern_code empty_call(void *self, tern_server_call *call, const Grpc__Testing__Empty *req,
                            Grpc__Testing__Empty *res)
{
    (void)self, (void)req, (void)res;
    echo_metadata(call);
    return TERN_OK;
}

static tern_code unary_call(void *self, tern_server_call *call,
                            const Grpc__Testing__SimpleRequest *req,
                            Grpc__Testing__SimpleResponse *res)
{
    (void)self;
    echo_metadata(call);
    tern_code code = check_compressed(call, req->expect_compressed);
    if (code == TERN_OK)
        code = echo_status(call, req->response_status);
    if (code != TERN_OK)
        return code;
    tern_server_call_set_compression(call, TERN_COMPRESSION_GZIP);
    compress(call, req->response_compressed);
    res->payload = tern_server_call_alloc(call, sizeof *res->payload);
    if (!res->payload)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory");
    return make_payload(call, req->response_size, req->response_type, res->payload);
}

/* The time, so that no two answers are the same; a proxy may keep it for a minute. */
static tern_code cacheable_unary_call(void *self, tern_server_call *call,
                                      const Grpc__Testing__SimpleRequest *req,
                                      Grpc__Testing__SimpleResponse *res)
{
    struct timespec now;
    (void)self, (void)req;
    clock_gettime(CLOCK_REALTIME, &now);
    char *text = tern_server_call_printf(call, "%lld%09ld", (long long)now.tv_sec, now.tv_nsec);
    Grpc__Testing__Payload *p = tern_server_call_alloc(call, sizeof *p);
    if (!text || !p)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory");
    tern_metadata_add(tern_server_call_initial_metadata(call), "cache-control",
                      "max-age=60, public");
    grpc__testing__payload__init(p);
    p->body.data = (uint8_t *)text;
    p->body.len = strlen(text);
    res->payload = p;
    return TERN_OK;
}

/* Sends one response for each entry. */
static tern_code answer(tern_server_call *call,
                        const Grpc__Testing__StreamingOutputCallRequest *req)
{
    for (size_t i = 0; i < req->n_response_parameters; i++) {
        const Grpc__Testing__ResponseParameters *p = req->response_parameters[i];
        Grpc__Testing__StreamingOutputCallResponse res =
            GRPC__TESTING__STREAMING_OUTPUT_CALL_RESPONSE__INIT;
        Grpc__Testing__Payload payload;
        if (!pause_before(call, p->interval_us))
            return TERN_CANCELLED;
        res.payload = &payload;
        tern_code code = make_payload(call, p->size, req->response_type, &payload);
        if (code != TERN_OK)
            return code;
        compress(call, p->compressed);
        if (!tern_stub_server_send(call, &res.base))
            return TERN_CANCELLED;
    }
    return TERN_OK;
}

static tern_code streaming_output_call(
    void *self, grpc_testing_test_service_streaming_output_call_stream *stream,
    const Grpc__Testing__StreamingOutputCallRequest *req)
{
    (void)self;
    echo_metadata(stream->call);
    tern_server_call_set_compression(stream->call, TERN_COMPRESSION_GZIP);
    tern_code code = echo_status(stream->call, req->response_status);
    return code != TERN_OK ? code : answer(stream->call, req);
}

static tern_code streaming_input_call(void *self,
                                      grpc_testing_test_service_streaming_input_call_stream *stream,
                                      Grpc__Testing__StreamingInputCallResponse *res)
{
    const Grpc__Testing__StreamingInputCallRequest *req;
    uint64_t sum = 0;
    (void)self;
    echo_metadata(stream->call);
    while (grpc_testing_test_service_streaming_input_call_stream_recv(stream, &req)) {
        tern_code code = check_compressed(stream->call, req->expect_compressed);
        if (code != TERN_OK)
            return code;
        sum += req->payload ? req->payload->body.len : 0;
        if (sum > INT32_MAX)
            return tern_server_call_fail(stream->call, TERN_OUT_OF_RANGE,
                                         "the payloads have more than 2^31-1 bytes");
    }
    res->aggregated_payload_size = (int32_t)sum;
    return TERN_OK;
}

static tern_code full_duplex_call(void *self,
                                  grpc_testing_test_service_full_duplex_call_stream *stream)
{
    const Grpc__Testing__StreamingOutputCallRequest *req;
    (void)self;
    echo_metadata(stream->call);
    tern_server_call_set_compression(stream->call, TERN_COMPRESSION_GZIP);
    while (grpc_testing_test_service_full_duplex_call_stream_recv(stream, &req)) {
        tern_code code = echo_status(stream->call, req->response_status);
        if (code == TERN_OK)
            code = answer(stream->call, req);
        if (code != TERN_OK)
            return code;
    }
    return TERN_OK;
}

/* Only the sizes are kept until the client has sent all. */
#define HALF_DUPLEX_RESPONSES_MAX 1024u
static tern_code half_duplex_call(void *self,
                                  grpc_testing_test_service_half_duplex_call_stream *stream)
{
    const Grpc__Testing__StreamingOutputCallRequest *req;
    tern_server_call *call = stream->call;
    size_t n = 0;
    (void)self;
    echo_metadata(call);
    int32_t *sizes = tern_server_call_alloc(call, HALF_DUPLEX_RESPONSES_MAX * sizeof *sizes);
    if (!sizes)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory");
    while (grpc_testing_test_service_half_duplex_call_stream_recv(stream, &req))
        for (size_t i = 0; i < req->n_response_parameters; i++) {
            if (n == HALF_DUPLEX_RESPONSES_MAX)
                return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                             "more than %u responses are asked for",
                                             HALF_DUPLEX_RESPONSES_MAX);
            sizes[n++] = req->response_parameters[i]->size;
        }
    for (size_t i = 0; i < n; i++) {
        Grpc__Testing__StreamingOutputCallResponse res =
            GRPC__TESTING__STREAMING_OUTPUT_CALL_RESPONSE__INIT;
        Grpc__Testing__Payload payload;
        res.payload = &payload;
        tern_code code =
            make_payload(call, sizes[i], GRPC__TESTING__PAYLOAD_TYPE__COMPRESSABLE, &payload);
        if (code != TERN_OK)
            return code;
        if (!grpc_testing_test_service_half_duplex_call_stream_send(stream, &res))
            return TERN_CANCELLED;
    }
    return TERN_OK;
}

static const struct grpc_testing_test_service_handlers handlers = {
    .empty_call = empty_call,
    .unary_call = unary_call,
    .cacheable_unary_call = cacheable_unary_call,
    .streaming_output_call = streaming_output_call,
    .streaming_input_call = streaming_input_call,
    .full_duplex_call = full_duplex_call,
    .half_duplex_call = half_duplex_call,
};

static struct {
    int port;
    bool use_tls;
    const char *cert, *key;
} opt = { .port = 10000 };

static const interop_flag flags[] = {
    { "port", INTEROP_NUMBER, &opt.port, "port to listen on; 0: a free one; default 10000" },
    { "use_tls", INTEROP_BOOL, &opt.use_tls, "TLS, with:" },
    { "tls_cert_file", INTEROP_TEXT, &opt.cert, "certificate chain, PEM" },
    { "tls_key_file", INTEROP_TEXT, &opt.key, "its key, PEM" },
    { NULL, INTEROP_TEXT, NULL, NULL },
};

static tern_code listen_on(tern_server *srv, uint16_t *ret_port, tern_status *reterr)
{
    char address[64];
    snprintf(address, sizeof address, "ipv4:127.0.0.1:%d", opt.port);
    if (!opt.use_tls)
        return tern_server_listen(srv, address, ret_port, reterr);
    tern_tls_server_options o = TERN_TLS_SERVER_OPTIONS_INIT;
    tern_tls_server *tls;
    o.certificate.chain_file = opt.cert;
    o.certificate.key_file = opt.key;
    o.allow_tls12 = true;
    tern_code code = tern_tls_server_new(&o, &tls, reterr);
    if (code != TERN_OK)
        return code;
    code = tern_server_listen_tls(srv, address, tls, ret_port, reterr);
    tern_tls_server_unref(tls);
    return code;
}

int main(int argc, char **argv)
{
    tern_server_options options = TERN_SERVER_OPTIONS_INIT;
    tern_server *srv = NULL;
    tern_status err;
    uint16_t port;
    bool quit;
    int rc = interop_flags_parse(flags, "tern-interop-server", argc, argv, &quit);
    if (quit)
        return rc;
    tern_server_block_signals();
    options.connections_max = CONNECTIONS_MAX;
    tern_code code = tern_server_new(&options, &srv, &err);
    if (code == TERN_OK)
        code = grpc_testing_test_service_register(srv, &handlers, NULL, &err);
    if (code == TERN_OK)
        code = tern_server_add_reflection(srv, &err);
    if (code == TERN_OK)
        code = listen_on(srv, &port, &err);
    if (code == TERN_OK) {
        printf("listening on port %u\n", port);
        fflush(stdout);
        code = tern_server_run(srv, &err);
    }
    tern_server_free(srv);
    if (code == TERN_OK)
        return 0;
    fprintf(stderr, "tern-interop-server: %s: %s\n", tern_code_name(code), err.message);
    return 1;
}
