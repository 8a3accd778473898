/* Compression of one message, whole in, whole out. Every message stands for itself: nothing of one
 * message helps or harms the next.
 *
 * A compressor keeps the memory of the algorithms (a quarter of a MiB for deflate) from message to
 * message. It is made of nothing but memory: whoever compresses holds one for the time being, no
 * two threads at once. */
#ifndef TERN__WIRE_COMPRESS_H
#define TERN__WIRE_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/compression.h>

#include "base/buf.h"

typedef struct tern__compressor tern__compressor;

/* Bytes of somebody else's. */
typedef struct tern__bytes {
    const uint8_t *data;
    size_t len;
} tern__bytes;

/* NULL when out of memory. Costs little until it is used. */
tern__compressor *tern__compressor_new(void);
void tern__compressor_free(tern__compressor *c);

/* Whether a message of n bytes is to be tried at all: `encoding` is one that compresses, and `mode`
 * (with TERN_LIMIT_COMPRESS_BYTES_MIN) has it so. */
bool tern__compress_wanted(tern_compression encoding, tern_compress_mode mode, size_t n);

/* Room that the compressed form may take: for AUTO one byte less than the message has, so that what
 * would not get smaller does not fit; for ALWAYS what the worst case takes. */
size_t tern__compress_room(tern_compression encoding, tern_compress_mode mode, size_t n);

/* Compresses `in` into out[0..cap). 0 and *ret_len; -EMSGSIZE: it does not fit, out holds nothing
 * of use; -ENOMEM; -EINVAL: `encoding` does not compress. */
int tern__compress(tern__compressor *c, tern_compression encoding, tern__bytes in, uint8_t *out,
                   size_t cap, size_t *ret_len);

/* Decompresses into *out, which must be empty. Room grows with what comes out, never with what the
 * message says of itself, and work stops when more than out_max bytes have. 0; -EMSGSIZE: more than
 * out_max bytes; -EBADMSG: not of that encoding, damaged, cut short, or followed by something else;
 * -ENOMEM; -EINVAL as above. On failure *out is freed and empty.
 *
 * gzip: several members after each other are one message (RFC 1952, 2.2; so in Go and Java). zstd:
 * several frames likewise (RFC 8878, 3); a frame whose window is larger than 8 MiB is -EBADMSG
 * (RFC 9659). */
int tern__decompress(tern__compressor *c, tern_compression encoding, tern__bytes in, size_t out_max,
                     tern__buf *out);

#endif
