/* See compress.h: the choice between zlib (compress_zlib.c) and zstd (compress_zstd.c), and the
 * room that both write into.
 *
 * What decompression may cost is bounded thrice. Memory: the output grows by doubling, up to
 * out_max + 1 bytes, beside the windows of the algorithms. Output: work ends with the byte after
 * out_max. Input: each byte is read once, and the dearest thing that few bytes can say, new code
 * tables for a block with nothing in it, is counted (TERN_LIMIT_COMPRESSED_BLOCKS). */
#include "wire/compress.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <tern/limits.h>

#include "wire/compress_parts.h"

/* The first piece of room for a message that says nothing believable about its length. */
#define FIRST_ROOM ((size_t)4096)
/* A length that a message states is believed up to so many times its compressed length: so much
 * memory an honest peer may need at once, and a liar gets for bytes that he has really sent. */
#define HINT_FACTOR 16u

tern__compressor *tern__compressor_new(void)
{
    return calloc(1, sizeof(tern__compressor));
}

void tern__compressor_free(tern__compressor *c)
{
    if (!c)
        return;
    tern__zlib_deinit(&c->zlib);
    tern__zstd_deinit(&c->zstd);
    free(c);
}

/* Whether `encoding` is one that this file can do something with. */
static bool compresses(tern_compression encoding)
{
    return encoding == TERN_COMPRESSION_GZIP || encoding == TERN_COMPRESSION_DEFLATE ||
           encoding == TERN_COMPRESSION_ZSTD;
}

bool tern__compress_wanted(tern_compression encoding, tern_compress_mode mode, size_t n)
{
    if (!compresses(encoding) || mode == TERN_COMPRESS_NEVER)
        return false;
    return mode == TERN_COMPRESS_ALWAYS || n >= TERN_LIMIT_COMPRESS_BYTES_MIN;
}

size_t tern__compress_room(tern_compression encoding, tern_compress_mode mode, size_t n)
{
    if (mode != TERN_COMPRESS_ALWAYS)
        return n ? n - 1 : 0;
    return encoding == TERN_COMPRESSION_ZSTD ? tern__zstd_bound(n) : tern__zlib_bound(n);
}

int tern__compress(tern__compressor *c, tern_compression encoding, tern__bytes in, uint8_t *out,
                   size_t cap, size_t *ret_len)
{
    if (!compresses(encoding))
        return -EINVAL;
    if (cap == 0 || in.len > UINT32_MAX)
        return -EMSGSIZE;
    if (encoding == TERN_COMPRESSION_ZSTD)
        return tern__zstd_compress(&c->zstd, in, out, cap, ret_len);
    return tern__zlib_compress(&c->zlib, encoding == TERN_COMPRESSION_GZIP, in, out, cap, ret_len);
}

/* --- room for what comes out ------------------------------------------------------------------ */

void tern__sink_init(tern__sink *sink, tern__buf *out, size_t out_max)
{
    assert(out->len == 0);
    sink->out = out;
    sink->end = out_max < SIZE_MAX ? out_max + 1 : SIZE_MAX;
    sink->blocks_left = TERN_LIMIT_COMPRESSED_BLOCKS + out_max / TERN_LIMIT_COMPRESSED_BLOCK_BYTES;
}

int tern__sink_hint(tern__sink *sink, uint64_t len, size_t in_len)
{
    size_t most = in_len < SIZE_MAX / HINT_FACTOR ? in_len * HINT_FACTOR : SIZE_MAX;
    if (sink->out->len || len > most || len >= sink->end)
        return 0;
    return tern__buf_reserve(sink->out, (size_t)len + 1) ? 0 : -ENOMEM;
}

int tern__sink_room(tern__sink *sink, uint8_t **ret, size_t *ret_room)
{
    tern__buf *b = sink->out;
    if (b->len >= sink->end)
        return -EMSGSIZE;
    size_t left = sink->end - b->len, room = b->cap - b->off - b->len;
    if (room == 0) {
        size_t want = b->len > FIRST_ROOM ? b->len : FIRST_ROOM;
        if (!tern__buf_reserve(b, want < left ? want : left))
            return -ENOMEM;
        room = b->cap - b->off - b->len;
    }
    *ret = b->data + b->off + b->len;
    *ret_room = room < left ? room : left;
    return 0;
}

bool tern__sink_blocks(tern__sink *sink, size_t n)
{
    if (n > sink->blocks_left)
        return false;
    sink->blocks_left -= n;
    return true;
}

bool tern__sink_overflowed(const tern__sink *sink)
{
    return sink->out->len >= sink->end;
}

int tern__decompress(tern__compressor *c, tern_compression encoding, tern__bytes in, size_t out_max,
                     tern__buf *out)
{
    tern__sink sink;
    int rv;
    if (!compresses(encoding))
        return -EINVAL;
    tern__sink_init(&sink, out, out_max);
    if (in.len == 0 || in.len > UINT32_MAX)
        rv = -EBADMSG;
    else if (encoding == TERN_COMPRESSION_ZSTD)
        rv = tern__zstd_decompress(&c->zstd, in, &sink);
    else
        rv = tern__zlib_decompress(&c->zlib, encoding == TERN_COMPRESSION_GZIP, in, &sink);
    if (rv == 0 && tern__sink_overflowed(&sink))
        rv = -EMSGSIZE;
    if (rv)
        tern__buf_deinit(out);
    return rv;
}
