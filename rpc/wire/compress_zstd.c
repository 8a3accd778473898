/* zstd by libzstd. Only its stable interface is used: the other one may change under a program that
 * is linked with the shared library.
 *
 * libzstd reads frames of its own past (before 0.8) where a distribution has it so. No gRPC peer
 * writes them, and their decoders are little tested: the number that a frame begins with is checked
 * here first. */
#include <errno.h>

#include <zstd_errors.h>

#include <tern/limits.h>

#include "wire/compress_parts.h"

/* Contexts that a message has blown up beyond this are not kept for the next. */
#define KEEP_BYTES (2u * 1024 * 1024)

void tern__zstd_deinit(tern__zstd *z)
{
    ZSTD_freeCCtx(z->compress);
    ZSTD_freeDCtx(z->decompress);
    *z = (tern__zstd){ 0 };
}

size_t tern__zstd_bound(size_t n)
{
    return ZSTD_compressBound(n);
}

static int failure(size_t rv)
{
    switch (ZSTD_getErrorCode(rv)) {
    case ZSTD_error_memory_allocation:
        return -ENOMEM;
    case ZSTD_error_dstSize_tooSmall:
        return -EMSGSIZE;
    default:
        return -EBADMSG;
    }
}

int tern__zstd_compress(tern__zstd *z, tern__bytes in, uint8_t *out, size_t cap, size_t *ret_len)
{
    if (!z->compress && !(z->compress = ZSTD_createCCtx()))
        return -ENOMEM;
    size_t rv = ZSTD_compressCCtx(z->compress, out, cap, in.data, in.len, ZSTD_CLEVEL_DEFAULT);
    if (ZSTD_sizeof_CCtx(z->compress) > KEEP_BYTES) {
        ZSTD_freeCCtx(z->compress);
        z->compress = NULL;
    }
    if (ZSTD_isError(rv))
        return failure(rv);
    *ret_len = rv;
    return 0;
}

static int decompress_begin(tern__zstd *z)
{
    if (z->decompress) {
        ZSTD_DCtx_reset(z->decompress, ZSTD_reset_session_only);
        return 0;
    }
    ZSTD_DCtx *d = ZSTD_createDCtx();
    if (!d)
        return -ENOMEM;
    size_t rv = ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, TERN_LIMIT_ZSTD_WINDOW_LOG);
    if (ZSTD_isError(rv)) {
        ZSTD_freeDCtx(d);
        return failure(rv);
    }
    z->decompress = d;
    return 0;
}

static uint32_t little_endian_32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Whether a frame begins here, one with content or one to skip. */
static bool frame_begins(const uint8_t *p, size_t n)
{
    uint32_t magic = n < 4 ? 0 : little_endian_32(p);
    return magic == ZSTD_MAGICNUMBER ||
           (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

/* Length of the frame's header (RFC 8878, 3.1.1.1), n >= 5. */
static size_t head_len(const uint8_t *p)
{
    static const uint8_t dictionary[] = { 0, 1, 2, 4 }, content[] = { 0, 2, 4, 8 };
    bool single = p[4] & 0x20;
    return 5u + !single + dictionary[p[4] & 3] + content[p[4] >> 6] + (single && !(p[4] >> 6));
}

/* Walks over the blocks of a frame, from *pos to behind it, and counts those that cost something to
 * begin: compressed ones, and the frame itself. Bytes that are missing are libzstd's to find. */
static size_t count_blocks(const uint8_t *p, size_t n, size_t *pos)
{
    size_t count = 1, at = *pos;
    *pos = n;
    if (n - at < 8)
        return count;
    if (little_endian_32(p + at) != ZSTD_MAGICNUMBER) {
        uint32_t skip = little_endian_32(p + at + 4);
        *pos = skip > n - at - 8 ? n : at + 8 + skip;
        return count;
    }
    bool checksum = p[at + 4] & 4, last = false;
    at += head_len(p + at);
    while (!last && at < n && n - at >= 3) {
        uint32_t block = (uint32_t)p[at] | (uint32_t)p[at + 1] << 8 | (uint32_t)p[at + 2] << 16;
        unsigned type = block >> 1 & 3;
        last = block & 1;
        count += type == 2;
        at += 3 + (type == 1 ? 1 : block >> 3);
    }
    at += checksum ? 4 : 0;
    *pos = last && at < n ? at : n;
    return count;
}

bool tern__zstd_blocks_ok(tern__bytes in, tern__sink *sink)
{
    for (size_t pos = 0; pos < in.len && frame_begins(in.data + pos, in.len - pos);)
        if (!tern__sink_blocks(sink, count_blocks(in.data, in.len, &pos)))
            return false;
    return true;
}

/* One frame, from in->pos. */
static int decompress_frame(tern__zstd *z, ZSTD_inBuffer *in, tern__sink *sink)
{
    size_t rv;
    do {
        uint8_t *to;
        size_t room;
        int failed = tern__sink_room(sink, &to, &room);
        if (failed)
            return failed;
        ZSTD_outBuffer out = { to, room, 0 };
        rv = ZSTD_decompressStream(z->decompress, &out, in);
        if (ZSTD_isError(rv))
            return failure(rv) == -ENOMEM ? -ENOMEM : -EBADMSG;
        sink->out->len += out.pos;
        if (rv && in->pos == in->size && out.pos < out.size)
            return -EBADMSG; /* room is left: the input was cut short */
    } while (rv);
    return 0;
}

static int decompress_frames(tern__zstd *z, tern__bytes in, tern__sink *sink)
{
    ZSTD_inBuffer input = { in.data, in.len, 0 };
    if (!tern__zstd_blocks_ok(in, sink))
        return -EBADMSG;
    do {
        const uint8_t *frame = in.data + input.pos;
        size_t left = in.len - input.pos, before = sink->out->len;
        if (!frame_begins(frame, left))
            return -EBADMSG;
        unsigned long long stated = ZSTD_getFrameContentSize(frame, left);
        bool known = stated != ZSTD_CONTENTSIZE_UNKNOWN && stated != ZSTD_CONTENTSIZE_ERROR;
        int rv = known ? tern__sink_hint(sink, stated, left) : 0;
        if (!rv)
            rv = decompress_frame(z, &input, sink);
        if (rv)
            return rv;
        /* libzstd does not look at it when the last block is empty. */
        if (known && sink->out->len - before != stated)
            return -EBADMSG;
    } while (input.pos < input.size);
    return 0;
}

int tern__zstd_decompress(tern__zstd *z, tern__bytes in, tern__sink *sink)
{
    int rv = decompress_begin(z);
    if (rv)
        return rv;
    rv = decompress_frames(z, in, sink);
    if (ZSTD_sizeof_DCtx(z->decompress) > KEEP_BYTES) {
        ZSTD_freeDCtx(z->decompress);
        z->decompress = NULL;
    }
    return rv;
}
