/* Compression of messages: which encodings there are, and what is done with one message. Peers
 * agree by headers (grpc doc/compression.md): each names the encodings that it accepts in
 * grpc-accept-encoding, and the one that it uses in grpc-encoding. Requests and responses are
 * compressed independently of each other. Nothing is compressed unless the program asks for it:
 * the length of compressed data can tell of secrets that stand beside what an attacker may choose
 * (CRIME, BREACH). */
#ifndef TERN_COMPRESSION_H
#define TERN_COMPRESSION_H

#include <tern/export.h>

TERN_BEGIN_DECLS

/* An encoding of messages. A client must choose one that its server is known to accept: a server
 * that does not answers UNIMPLEMENTED. A server is told by each call what the client accepts. */
typedef enum tern_compression {
    TERN_COMPRESSION_DEFAULT = 0,  /* a call's: its channel's or server's; of these: IDENTITY */
    TERN_COMPRESSION_IDENTITY = 1, /* messages stay as they are */
    TERN_COMPRESSION_GZIP = 2,     /* "gzip" (RFC 1952): known to every gRPC implementation */
    TERN_COMPRESSION_DEFLATE = 3,  /* "deflate" (the zlib format, RFC 1950) */
    TERN_COMPRESSION_ZSTD = 4      /* "zstd" (RFC 8878): not one of gRPC's own, but in wide use */
} tern_compression;

/* Which messages of a call are compressed with the call's encoding. Those that are not are sent as
 * they are, with their flag saying so. */
typedef enum tern_compress_mode {
    TERN_COMPRESS_AUTO = 0,  /* those of TERN_LIMIT_COMPRESS_BYTES_MIN and more that get smaller */
    TERN_COMPRESS_NEVER = 1, /* none: for messages that hold secrets */
    TERN_COMPRESS_ALWAYS = 2 /* all, even those that grow by it */
} tern_compress_mode;

/* The name of an encoding in headers ("gzip"); NULL for DEFAULT and what is no encoding. Static.
 * Any thread. */
TERN_API const char *tern_compression_name(tern_compression c);

/* Finds an encoding by its name ("identity", "gzip", "deflate", "zstd"; case-sensitive). Returns 0
 * and sets *ret, or -1. */
TERN_API int tern_compression_from_name(const char *name, tern_compression *ret);

TERN_END_DECLS

#endif
