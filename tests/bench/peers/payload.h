/* grpc.testing.SimpleRequest and SimpleResponse with their gRPC prefix, coded by hand: the nghttp2
 * peers measure HTTP/2, not a protobuf library. */
#ifndef PEER_PAYLOAD_H
#define PEER_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that a message may need beyond its payload. */
#define PEER_MESSAGE_OVERHEAD 32

/* Writes prefix and SimpleRequest{response_size, payload.body}. Returns the length. */
size_t peer_encode_request(uint8_t *out, const uint8_t *body, size_t len, uint32_t response_size);

/* Writes prefix and SimpleResponse{payload.body}, `body` repeated to `size` bytes (zeros when len
 * is 0). Returns the length. */
size_t peer_encode_response(uint8_t *out, const uint8_t *body, size_t len, size_t size);

/* Read one whole prefixed message. Return 0, or -1 when it is not one. *ret_body points into
 * `in`. */
int peer_decode_request(const uint8_t *in, size_t len, const uint8_t **ret_body, size_t *ret_len,
                        uint32_t *ret_response_size);
int peer_decode_response(const uint8_t *in, size_t len, const uint8_t **ret_body, size_t *ret_len);

/* Whether `got` is `sent` repeated to got_len bytes, or all zeros as the official servers
 * answer. */
int peer_payload_good(const uint8_t *got, size_t got_len, const uint8_t *sent, size_t sent_len);

#endif
