/* How the codes of gRPC, HTTP and HTTP/2 map onto each other (PROTOCOL-HTTP2.md; grpc
 * doc/http-grpc-status-mapping.md). tern_code_name() and tern_status_set() are here too. */
#ifndef TERN__WIRE_STATUS_H
#define TERN__WIRE_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include <tern/status.h>

/* Parses the value of grpc-status. Digits only; anything else, or a number above 16, is UNKNOWN. */
tern_code tern__status_parse(const char *s, size_t len);

/* The status of a response that has no grpc-status, by its HTTP status. */
tern_code tern__status_from_http(int http_status);

/* The status of a stream that was reset with an HTTP/2 error code (RFC 9113, 7). */
tern_code tern__status_from_h2_error(uint32_t error_code);

/* "PROTOCOL_ERROR" and so on; a code that RFC 9113 does not name gives "unknown error". */
const char *tern__h2_error_name(uint32_t error_code);

/* Copies a message of len bytes into st->message, cut at a character boundary. */
void tern__status_set_message(tern_status *st, const char *msg, size_t len);

#endif
