/* Cases of streams. */
#include <stdlib.h>

#include "tests/interop/tern/client/cases.h"

#define N(a) (sizeof(a) / sizeof *(a))

static const size_t request_sizes[] = { 27182, 8, 1828, 45904 };
static const size_t response_sizes[] = { 31415, 9, 2653, 58979 };

typedef Grpc__Testing__StreamingOutputCallRequest output_request;
typedef Grpc__Testing__StreamingOutputCallResponse output_response;
typedef grpc_testing_test_service_full_duplex_call_call duplex;
typedef grpc_testing_test_service_streaming_input_call_call input;

/* One request of FullDuplexCall: a payload, and at most one response asked for (size 0: none). */
static bool duplex_send(duplex *call, size_t payload_size, size_t response_size)
{
    output_request req = GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    Grpc__Testing__ResponseParameters param = GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
    Grpc__Testing__ResponseParameters *params[] = { &param };
    Grpc__Testing__Payload payload;
    fill_payload(&payload, payload_size);
    req.payload = payload_size ? &payload : NULL;
    param.size = (int32_t)response_size;
    req.response_parameters = params;
    req.n_response_parameters = response_size ? 1 : 0;
    return grpc_testing_test_service_full_duplex_call_send(call, &req);
}

/* Whatever went wrong: the status of the call, unless it is OK, says more. */
static bool duplex_failed(duplex *call, const char *what)
{
    tern_status st;
    tern_code code = grpc_testing_test_service_full_duplex_call_finish(call, &st);
    return case_fail("%s; the call ended with %s%s%s", what, tern_code_name(code),
                     code == TERN_OK ? "" : ": ", code == TERN_OK ? "" : st.message);
}

/* The good end: no further response, OK. */
static bool duplex_end(duplex *call)
{
    const output_response *res;
    tern_status st;
    if (grpc_testing_test_service_full_duplex_call_recv(call, &res))
        return duplex_failed(call, "FullDuplexCall: a response too many");
    tern_code code = grpc_testing_test_service_full_duplex_call_finish(call, &st);
    return case_status("FullDuplexCall", code, &st, TERN_OK, NULL);
}

static bool duplex_open(tern_channel *ch, const tern_call_options *opts, duplex *ret)
{
    tern_status st;
    tern_code code = grpc_testing_test_service_full_duplex_call(ch, opts, ret, &st);
    return case_status("FullDuplexCall", code, &st, TERN_OK, NULL);
}

static bool duplex_recv(duplex *call, size_t size)
{
    const output_response *res;
    if (!grpc_testing_test_service_full_duplex_call_recv(call, &res))
        return case_fail("FullDuplexCall: no response came");
    return check_payload("FullDuplexCall", res->payload, size);
}

bool case_ping_pong(tern_channel *ch, const client_options *o)
{
    duplex call;
    (void)o;
    if (!duplex_open(ch, NULL, &call))
        return false;
    for (size_t i = 0; i < N(request_sizes); i++)
        if (!duplex_send(&call, request_sizes[i], response_sizes[i]) ||
            !duplex_recv(&call, response_sizes[i]))
            return duplex_failed(&call, "ping_pong");
    grpc_testing_test_service_full_duplex_call_close_send(&call);
    return duplex_end(&call);
}

bool case_empty_stream(tern_channel *ch, const client_options *o)
{
    duplex call;
    (void)o;
    if (!duplex_open(ch, NULL, &call))
        return false;
    grpc_testing_test_service_full_duplex_call_close_send(&call);
    return duplex_end(&call);
}

bool custom_metadata_duplex(tern_channel *ch, const tern_call_options *opts)
{
    duplex call;
    if (!duplex_open(ch, opts, &call))
        return false;
    if (!duplex_send(&call, LARGE_REQUEST, LARGE_RESPONSE))
        return duplex_failed(&call, "custom_metadata: sending");
    grpc_testing_test_service_full_duplex_call_close_send(&call);
    if (!duplex_recv(&call, LARGE_RESPONSE))
        return duplex_failed(&call, "custom_metadata");
    return duplex_end(&call);
}

bool status_duplex(tern_channel *ch, tern_code wanted, const char *message)
{
    output_request req = GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    Grpc__Testing__EchoStatus status = GRPC__TESTING__ECHO_STATUS__INIT;
    const output_response *res;
    duplex call;
    tern_status st;
    if (!duplex_open(ch, NULL, &call))
        return false;
    status.code = (int32_t)wanted;
    status.message = (char *)(uintptr_t)message;
    req.response_status = &status;
    grpc_testing_test_service_full_duplex_call_send(&call, &req);
    grpc_testing_test_service_full_duplex_call_close_send(&call);
    if (grpc_testing_test_service_full_duplex_call_recv(&call, &res))
        return duplex_failed(&call, "FullDuplexCall: a response came");
    tern_code code = grpc_testing_test_service_full_duplex_call_finish(&call, &st);
    return case_status("FullDuplexCall", code, &st, wanted, message);
}

bool case_cancel_after_first_response(tern_channel *ch, const client_options *o)
{
    duplex call;
    tern_status st;
    (void)o;
    if (!duplex_open(ch, NULL, &call))
        return false;
    if (!duplex_send(&call, request_sizes[0], response_sizes[0]) ||
        !duplex_recv(&call, response_sizes[0]))
        return duplex_failed(&call, "cancel_after_first_response");
    tern_stream_cancel(call.stream);
    tern_code code = grpc_testing_test_service_full_duplex_call_finish(&call, &st);
    return case_status("FullDuplexCall", code, &st, TERN_CANCELLED, NULL);
}

bool case_timeout_on_sleeping_server(tern_channel *ch, const client_options *o)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    const output_response *res;
    duplex call;
    tern_status st;
    (void)o;
    opts.timeout_ms = 1;
    tern_code code = grpc_testing_test_service_full_duplex_call(ch, &opts, &call, &st);
    if (code == TERN_OK) {
        duplex_send(&call, request_sizes[0], 0);
        while (grpc_testing_test_service_full_duplex_call_recv(&call, &res))
            continue;
        code = grpc_testing_test_service_full_duplex_call_finish(&call, &st);
    }
    return case_status("FullDuplexCall", code, &st, TERN_DEADLINE_EXCEEDED, NULL);
}

bool case_half_duplex(tern_channel *ch, const client_options *o)
{
    grpc_testing_test_service_half_duplex_call_call call;
    const output_response *res;
    tern_status st;
    bool ok = true;
    (void)o;
    tern_code code = grpc_testing_test_service_half_duplex_call(ch, NULL, &call, &st);
    if (!case_status("HalfDuplexCall", code, &st, TERN_OK, NULL))
        return false;
    for (size_t i = 0; i < N(response_sizes) && ok; i++) {
        output_request req = GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
        Grpc__Testing__ResponseParameters param = GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
        Grpc__Testing__ResponseParameters *params[] = { &param };
        param.size = (int32_t)response_sizes[i];
        req.response_parameters = params;
        req.n_response_parameters = 1;
        ok = grpc_testing_test_service_half_duplex_call_send(&call, &req);
    }
    grpc_testing_test_service_half_duplex_call_close_send(&call);
    for (size_t i = 0; i < N(response_sizes) && ok; i++)
        ok = grpc_testing_test_service_half_duplex_call_recv(&call, &res) &&
             check_payload("HalfDuplexCall", res->payload, response_sizes[i]);
    if (ok && grpc_testing_test_service_half_duplex_call_recv(&call, &res))
        ok = case_fail("HalfDuplexCall: a response too many");
    code = grpc_testing_test_service_half_duplex_call_finish(&call, &st);
    return case_status("HalfDuplexCall", code, &st, TERN_OK, NULL) && ok;
}

/* --- client streaming
 * --------------------------------------------------------------------------- */

static bool input_open(tern_channel *ch, const tern_call_options *opts, input *ret)
{
    tern_status st;
    tern_code code = grpc_testing_test_service_streaming_input_call(ch, opts, ret, &st);
    return case_status("StreamingInputCall", code, &st, TERN_OK, NULL);
}

/* Sends a payload; `expect` NULL: nothing is said about its compression. False only counts at the
 * end of the call, whose status tells why. */
static void input_send(input *call, size_t size, const bool *expect)
{
    Grpc__Testing__StreamingInputCallRequest req =
        GRPC__TESTING__STREAMING_INPUT_CALL_REQUEST__INIT;
    Grpc__Testing__BoolValue compressed = GRPC__TESTING__BOOL_VALUE__INIT;
    Grpc__Testing__Payload payload;
    fill_payload(&payload, size);
    req.payload = &payload;
    if (expect) {
        compressed.value = *expect;
        req.expect_compressed = &compressed;
    }
    grpc_testing_test_service_streaming_input_call_send(call, &req);
}

static bool input_end(input *call, tern_code wanted, int32_t sum)
{
    Grpc__Testing__StreamingInputCallResponse *res;
    tern_status st;
    tern_code code = grpc_testing_test_service_streaming_input_call_finish(call, &res, &st);
    bool ok = case_status("StreamingInputCall", code, &st, wanted, NULL);
    if (code != TERN_OK)
        return ok;
    if (res->aggregated_payload_size != sum)
        ok = case_fail("aggregated_payload_size is %d, not %d", (int)res->aggregated_payload_size,
                       (int)sum);
    grpc__testing__streaming_input_call_response__free_unpacked(res, NULL);
    return ok;
}

bool case_client_streaming(tern_channel *ch, const client_options *o)
{
    input call;
    (void)o;
    if (!input_open(ch, NULL, &call))
        return false;
    for (size_t i = 0; i < N(request_sizes); i++)
        input_send(&call, request_sizes[i], NULL);
    return input_end(&call, TERN_OK, 74922);
}

bool case_client_compressed_streaming(tern_channel *ch, const client_options *o)
{
    static const bool yes = true, no = false;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    input call;
    (void)o;
    opts.compression = TERN_COMPRESSION_GZIP;
    opts.compress_mode = TERN_COMPRESS_NEVER;
    if (!input_open(ch, &opts, &call))
        return false;
    input_send(&call, 27182, &yes); /* the probe: it is a lie */
    if (!input_end(&call, TERN_INVALID_ARGUMENT, 0) || !input_open(ch, &opts, &call))
        return false;
    tern_stream_set_compress_mode(call.stream, TERN_COMPRESS_ALWAYS);
    input_send(&call, 27182, &yes);
    tern_stream_set_compress_mode(call.stream, TERN_COMPRESS_NEVER);
    input_send(&call, 45904, &no);
    return input_end(&call, TERN_OK, 73086);
}

bool case_cancel_after_begin(tern_channel *ch, const client_options *o)
{
    Grpc__Testing__StreamingInputCallResponse *res;
    input call;
    tern_status st;
    (void)o;
    if (!input_open(ch, NULL, &call))
        return false;
    tern_stream_cancel(call.stream);
    tern_code code = grpc_testing_test_service_streaming_input_call_finish(&call, &res, &st);
    if (code == TERN_OK)
        grpc__testing__streaming_input_call_response__free_unpacked(res, NULL);
    return case_status("StreamingInputCall", code, &st, TERN_CANCELLED, NULL);
}

/* --- server streaming
 * --------------------------------------------------------------------------- */

/* StreamingOutputCall with n responses; `compressed` NULL: nothing is asked for. */
static bool output(tern_channel *ch, const size_t *sizes, const bool *compressed, size_t n)
{
    Grpc__Testing__ResponseParameters params[4], *list[4];
    Grpc__Testing__BoolValue wanted[4];
    output_request req = GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    grpc_testing_test_service_streaming_output_call_call call;
    const output_response *res;
    tern_status st;
    for (size_t i = 0; i < n; i++) {
        list[i] = &params[i];
        grpc__testing__response_parameters__init(&params[i]);
        grpc__testing__bool_value__init(&wanted[i]);
        params[i].size = (int32_t)sizes[i];
        if (compressed) {
            wanted[i].value = compressed[i];
            params[i].compressed = &wanted[i];
        }
    }
    req.response_parameters = list;
    req.n_response_parameters = n;
    tern_code code = grpc_testing_test_service_streaming_output_call(ch, NULL, &req, &call, &st);
    if (!case_status("StreamingOutputCall", code, &st, TERN_OK, NULL))
        return false;
    bool ok = true;
    size_t got = 0;
    while (grpc_testing_test_service_streaming_output_call_recv(&call, &res)) {
        bool came = tern_stream_message_compressed(call.stream);
        ok = ok && got < n && check_payload("StreamingOutputCall", res->payload, sizes[got]);
        if (ok && compressed && came != compressed[got])
            ok = case_fail("response %zu came %s", got + 1, came ? "compressed" : "uncompressed");
        got++;
    }
    code = grpc_testing_test_service_streaming_output_call_finish(&call, &st);
    if (!case_status("StreamingOutputCall", code, &st, TERN_OK, NULL))
        return false;
    return ok && (got == n || case_fail("%zu responses instead of %zu", got, n));
}

bool case_server_streaming(tern_channel *ch, const client_options *o)
{
    (void)o;
    return output(ch, response_sizes, NULL, N(response_sizes));
}

bool case_server_compressed_streaming(tern_channel *ch, const client_options *o)
{
    static const size_t sizes[] = { 31415, 92653 };
    static const bool compressed[] = { true, false };
    (void)o;
    return output(ch, sizes, compressed, N(sizes));
}
