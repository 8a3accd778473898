/* Names of message encodings, and what two peers make of them (grpc doc/compression.md,
 * PROTOCOL-HTTP2.md "Message-Encoding", "Message-Accept-Encoding"). */
#ifndef TERN__WIRE_ENCODING_H
#define TERN__WIRE_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/compression.h>

/* What this library accepts, as the value of grpc-accept-encoding. */
#define TERN__ACCEPT_ENCODING "identity,deflate,gzip,zstd"

/* A set of encodings: bit 1 << tern_compression of each. IDENTITY is in every one of them. */
typedef uint32_t tern__encodings;
#define TERN__ENCODINGS_IDENTITY ((tern__encodings)1u << TERN_COMPRESSION_IDENTITY)
#define TERN__ENCODINGS_ALL                                                                    \
    (TERN__ENCODINGS_IDENTITY | 1u << TERN_COMPRESSION_GZIP | 1u << TERN_COMPRESSION_DEFLATE | \
     1u << TERN_COMPRESSION_ZSTD)

/* The encoding of that name, or TERN_COMPRESSION_DEFAULT for one that is not known here. */
tern_compression tern__encoding_parse(const char *s, size_t len);

/* Reads the value of a grpc-accept-encoding header, names between commas, blanks around them;
 * unknown and empty ones are ignored. */
tern__encodings tern__encodings_parse(const char *s, size_t len);

/* `wanted` when `accepted` has it, else IDENTITY. */
static inline tern_compression tern__encoding_choose(tern_compression wanted,
                                                     tern__encodings accepted)
{
    return (unsigned)wanted < 32 && (accepted >> wanted & 1u) ? wanted : TERN_COMPRESSION_IDENTITY;
}

#endif
