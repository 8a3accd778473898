/* Compression of what a call receives and answers, by the rules of grpc doc/compression.md. It is
 * done by the handler's thread, never by the loop for somebody else's. */
#ifndef TERN__SERVER_COMPRESS_H
#define TERN__SERVER_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "server/call.h"
#include "wire/compress.h"

/* grpc-encoding and grpc-accept-encoding of the request; false: the field is another one. */
bool tern__server_encoding_field(tern_server_call *call, const tern__h2_field *f);
/* Once the request's head is there: decides whether the answer names what this server accepts. */
void tern__server_tell_encodings(tern_server_call *call);
/* Whether a request message may carry the compressed flag: its encoding is named, and known. */
bool tern__server_may_be_compressed(const tern_server_call *call);

/* What the call's answers are compressed with, for what the client accepts. */
tern_compression tern__server_encoding(const tern_server_call *call);
/* Whether an answer of n bytes is to be tried. */
bool tern__server_compress_wanted(const tern_server_call *call, size_t n);
/* The grpc-encoding field of it; not for IDENTITY. */
const tern__h2_field *tern__server_encoding_name(tern_compression encoding);

/* Decompresses a message of the client's into *out (empty before, and on failure). TERN_OK, or code
 * and reason. */
tern_code tern__server_decompress(const tern_server_call *call, tern__bytes in, tern__buf *out,
                                  tern_status *reterr);

/* Unary: before the handler, puts the plain request in the place of the one that came; TERN_OK, or
 * the code to end the call with. After it, puts a compressed response in the place of the plain
 * one, if that is wanted and makes it smaller. */
tern_code tern__server_decompress_request(tern_server_call *call);
tern_code tern__server_compress_response(tern_server_call *call);

#endif
