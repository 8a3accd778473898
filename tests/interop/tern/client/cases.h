/* The cases of grpc doc/interop-test-descriptions.md, client side. A case returns true when all
 * that it asserts holds; otherwise case_fail() has said what does not. */
#ifndef TERN__INTEROP_CASES_H
#define TERN__INTEROP_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/tern.h>

#include "grpc/testing/test.tern.h"

/* Sizes that most cases use, bytes. */
#define LARGE_REQUEST 271828
#define LARGE_RESPONSE 314159

typedef struct client_options {
    const char *host, *host_override, *test_case, *ca_file;
    int port;
    bool use_tls, use_test_ca;
    int soak_iterations, soak_max_failures, soak_latency_ms, soak_timeout_s, soak_pause_ms;
    int soak_request, soak_response, soak_threads;
} client_options;

typedef bool (*interop_case)(tern_channel *ch, const client_options *o);

/* Says on stderr what is wrong; returns false. */
bool case_fail(const char *fmt, ...) TERN_PRINTF(1, 2);
/* Whether a status is as it should be (message NULL: any). */
bool case_status(const char *what, tern_code got, const tern_status *st, tern_code wanted,
                 const char *message);

/* A channel as the options say; NULL: it was said why there is none. */
tern_channel *client_channel(const client_options *o);

/* Fills a payload of `size` zeros; the body is borrowed for ever. */
void fill_payload(Grpc__Testing__Payload *p, size_t size);
/* Whether the payload has `size` bytes, all of them zero. */
bool check_payload(const char *what, const Grpc__Testing__Payload *p, size_t size);

/* Unary. */
bool case_empty_unary(tern_channel *ch, const client_options *o);
bool case_large_unary(tern_channel *ch, const client_options *o);
bool case_cacheable_unary(tern_channel *ch, const client_options *o);
bool case_client_compressed_unary(tern_channel *ch, const client_options *o);
bool case_server_compressed_unary(tern_channel *ch, const client_options *o);
bool case_status_code_and_message(tern_channel *ch, const client_options *o);
bool case_special_status_message(tern_channel *ch, const client_options *o);
bool case_unimplemented_method(tern_channel *ch, const client_options *o);
bool case_unimplemented_service(tern_channel *ch, const client_options *o);
bool case_custom_metadata(tern_channel *ch, const client_options *o);
/* Streams. */
bool case_client_streaming(tern_channel *ch, const client_options *o);
bool case_server_streaming(tern_channel *ch, const client_options *o);
bool case_ping_pong(tern_channel *ch, const client_options *o);
bool case_half_duplex(tern_channel *ch, const client_options *o);
bool case_empty_stream(tern_channel *ch, const client_options *o);
bool case_client_compressed_streaming(tern_channel *ch, const client_options *o);
bool case_server_compressed_streaming(tern_channel *ch, const client_options *o);
bool case_cancel_after_begin(tern_channel *ch, const client_options *o);
bool case_cancel_after_first_response(tern_channel *ch, const client_options *o);
bool case_timeout_on_sleeping_server(tern_channel *ch, const client_options *o);
/* Soak. */
bool case_rpc_soak(tern_channel *ch, const client_options *o);
bool case_channel_soak(tern_channel *ch, const client_options *o);

/* One large unary call with its assertions. */
bool large_unary(tern_channel *ch, const tern_call_options *opts, size_t request, size_t response);
/* The halves of two cases that go over a stream. */
bool custom_metadata_duplex(tern_channel *ch, const tern_call_options *opts);
bool status_duplex(tern_channel *ch, tern_code code, const char *message);

#endif
