/* The grpc-timeout header: at most 8 digits and a unit H M S m u n (PROTOCOL-HTTP2.md). */
#ifndef TERN__WIRE_TIMEOUT_H
#define TERN__WIRE_TIMEOUT_H

#include <stddef.h>
#include <stdint.h>

#define TERN__TIMEOUT_TEXT_MAX 10u /* 8 digits, unit, NUL */

/* Writes `ns` (>= 1; smaller is taken as 1) into out with a NUL and returns the length. Rounded up,
 * so that the server never gives up before the client, to at least two significant digits: equal
 * timeouts stay equal texts. Spans beyond 99999999H are written as that. */
size_t tern__timeout_encode(int64_t ns, char out[TERN__TIMEOUT_TEXT_MAX]);

/* Reads a timeout into *ret_ns (saturating at INT64_MAX). 0, or -EINVAL: empty, no or more than 8
 * digits, unknown unit. Zero is accepted (a deadline that has passed). */
int tern__timeout_decode(const char *s, size_t len, int64_t *ret_ns);

#endif
