/* Percent coding of grpc-message: bytes outside 0x20..0x7E and '%' become %XX (PROTOCOL-HTTP2.md,
 * "Status-Message"). Decoding never fails: what is not a valid escape stays as it is. */
#ifndef TERN__WIRE_PERCENT_H
#define TERN__WIRE_PERCENT_H

#include <stddef.h>

/* Encodes len bytes into out[0..cap) without a NUL; returns the length needed, which may be > cap:
 * then out holds as many whole units as fit. */
size_t tern__percent_encode(const char *s, size_t len, char *out, size_t cap);

/* Decodes into out[0..cap) including a NUL (cap >= 1), cut at a UTF-8 character boundary when it
 * does not fit. Returns the length written without the NUL. Control character NUL (%00) becomes '?'
 * so that a C string shows all of the message. */
size_t tern__percent_decode(const char *s, size_t len, char *out, size_t cap);

#endif
