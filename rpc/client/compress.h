/* Compression of what a call sends and receives. Both are done by the thread that makes the call,
 * never by the one that drives the connection. */
#ifndef TERN__CLIENT_COMPRESS_H
#define TERN__CLIENT_COMPRESS_H

#include <tern/call.h>

#include "client/call.h"
#include "client/channel.h"
#include "client/stream.h"
#include "wire/compress.h"

/* The encoding of a call's requests: its own, else its channel's. */
tern_compression tern__call_compression(const tern_channel *ch, const tern_call_options *opts);

/* A request that was serialized and perhaps compressed already. */
typedef struct tern__packed {
    uint8_t *data;          /* NULL: it was not worth trying */
    tern__call_codec codec; /* sends `data` */
} tern__packed;

/* What is to be sent in the place of `codec`'s message: *codec stays when no compression is to be
 * tried, else it becomes p->codec. 0 or -ENOMEM. p must go to tern__packed_deinit() in either
 * case. */
int tern__pack_compressed(tern__packed *p, tern_compression encoding, tern_compress_mode mode,
                          const tern__call_codec **codec);
void tern__packed_deinit(tern__packed *p);

/* Decompresses a message that came with its flag set on stream s into *out (empty before, and on
 * failure). TERN_OK, or code and reason. */
tern_code tern__unpack_compressed(const tern__client_stream *s, tern__bytes in, tern__buf *out,
                                  tern_status *reterr);
/* Why a flagged message cannot be read at all; NULL when it can: its encoding is known. */
const char *tern__response_encoding_fault(const tern__client_stream *s);

#endif
