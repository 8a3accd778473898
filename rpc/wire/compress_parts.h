/* Within compress*.c: the state of the two libraries, and the room that decompression writes into.
 * Nobody else includes this: it brings zlib and zstd with it. */
#ifndef TERN__WIRE_COMPRESS_PARTS_H
#define TERN__WIRE_COMPRESS_PARTS_H

#ifndef ZLIB_CONST
#define ZLIB_CONST
#endif
#include <zlib.h>
#include <zstd.h>

#include "wire/compress.h"

/* Each stream is set up when it is first used, and reset before every use after it. */
typedef struct tern__zlib {
    z_stream inflate;
    z_stream deflate[2]; /* zlib format, gzip format */
    bool inflate_ready, deflate_ready[2];
} tern__zlib;

typedef struct tern__zstd {
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
} tern__zstd;

struct tern__compressor {
    tern__zlib zlib;
    tern__zstd zstd;
};

/* Where decompressed bytes go. */
typedef struct tern__sink {
    tern__buf *out;
    size_t end;         /* out_max + 1: with that many bytes the message is too long */
    size_t blocks_left; /* that the message may still have */
} tern__sink;

void tern__sink_init(tern__sink *sink, tern__buf *out, size_t out_max);
/* The message says that it has `len` bytes: makes room for them and one more at once, if that is
 * believable and nothing has come out yet. 0 or -ENOMEM. */
int tern__sink_hint(tern__sink *sink, uint64_t len, size_t in_len);
/* Where the next bytes go and how many may, at least one. 0, -EMSGSIZE: the limit is passed;
 * -ENOMEM. What was written there is added to out->len by the caller. */
int tern__sink_room(tern__sink *sink, uint8_t **ret, size_t *ret_room);
/* Takes note of n more blocks; false: they are more than allowed. */
bool tern__sink_blocks(tern__sink *sink, size_t n);
/* Whether more bytes than allowed have come out. */
bool tern__sink_overflowed(const tern__sink *sink);

/* As the functions of compress.h. in.len is at most UINT32_MAX, and above 0 to decompress. */
void tern__zlib_deinit(tern__zlib *z);
size_t tern__zlib_bound(size_t n);
int tern__zlib_compress(tern__zlib *z, bool gzip, tern__bytes in, uint8_t *out, size_t cap,
                        size_t *ret_len);
int tern__zlib_decompress(tern__zlib *z, bool gzip, tern__bytes in, tern__sink *sink);

void tern__zstd_deinit(tern__zstd *z);
size_t tern__zstd_bound(size_t n);
int tern__zstd_compress(tern__zstd *z, tern__bytes in, uint8_t *out, size_t cap, size_t *ret_len);
/* Counts the blocks of all frames beforehand; false: more than sink->blocks_left. */
bool tern__zstd_blocks_ok(tern__bytes in, tern__sink *sink);
int tern__zstd_decompress(tern__zstd *z, tern__bytes in, tern__sink *sink);

#endif
