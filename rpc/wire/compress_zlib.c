/* gzip and deflate by zlib. "deflate" is what HTTP means by it and grpc-core writes: the zlib
 * format of RFC 1950, not bare deflate. Level, window and memory are zlib's defaults, as in
 * grpc-core and grpc-go. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "wire/compress_parts.h"

/* windowBits: 32 KiB, the format's largest; 16 more stand for a gzip header. */
#define WINDOW_BITS 15
#define GZIP_BITS (WINDOW_BITS + 16)
#define MEM_LEVEL 8
/* Most that a gzip header and trailer take beyond those of zlib, which compressBound() counts. */
#define GZIP_EXTRA 12u
/* The trailer of a gzip member ends with the length of its content modulo 2^32. */
#define GZIP_TRAILER_LEN 8u

static voidpf zlib_alloc(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    /* Zeroed: deflate compares bytes of its window that it has not written yet, which is harmless
     * but looks like a mistake to memory checkers. */
    return calloc(items, size);
}

static void zlib_free(voidpf opaque, voidpf address)
{
    (void)opaque;
    free(address);
}

/* zlib's results as ours. Z_DATA_ERROR, Z_NEED_DICT and the rest speak of the message. */
static int failure(int rv)
{
    return rv == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

void tern__zlib_deinit(tern__zlib *z)
{
    if (z->inflate_ready)
        inflateEnd(&z->inflate);
    for (int i = 0; i < 2; i++)
        if (z->deflate_ready[i])
            deflateEnd(&z->deflate[i]);
    memset(z, 0, sizeof *z);
}

size_t tern__zlib_bound(size_t n)
{
    return compressBound(n) + GZIP_EXTRA;
}

/* A stream at its beginning, whatever became of the message before. */
static int deflate_begin(tern__zlib *z, bool gzip)
{
    z_stream *s = &z->deflate[gzip];
    if (z->deflate_ready[gzip])
        return deflateReset(s) == Z_OK ? 0 : -ENOMEM;
    s->zalloc = zlib_alloc;
    s->zfree = zlib_free;
    if (deflateInit2(s, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip ? GZIP_BITS : WINDOW_BITS,
                     MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    z->deflate_ready[gzip] = true;
    return 0;
}

int tern__zlib_compress(tern__zlib *z, bool gzip, tern__bytes in, uint8_t *out, size_t cap,
                        size_t *ret_len)
{
    z_stream *s = &z->deflate[gzip];
    int rv = deflate_begin(z, gzip);
    if (rv)
        return rv;
    s->next_in = in.data;
    s->avail_in = (uInt)in.len;
    s->next_out = out;
    s->avail_out = cap < UINT_MAX ? (uInt)cap : UINT_MAX;
    if (deflate(s, Z_FINISH) != Z_STREAM_END)
        return -EMSGSIZE; /* nothing else can be wrong with one piece and room of its own */
    *ret_len = (size_t)(s->next_out - out);
    return 0;
}

static int inflate_begin(tern__zlib *z, bool gzip)
{
    z_stream *s = &z->inflate;
    int bits = gzip ? GZIP_BITS : WINDOW_BITS;
    if (z->inflate_ready)
        return inflateReset2(s, bits) == Z_OK ? 0 : -ENOMEM;
    s->zalloc = zlib_alloc;
    s->zfree = zlib_free;
    if (inflateInit2(s, bits) != Z_OK)
        return -ENOMEM;
    z->inflate_ready = true;
    return 0;
}

static uint32_t gzip_stated_len(tern__bytes in)
{
    const uint8_t *p = in.data + in.len - 4;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Bit of z_stream.data_type: inflate() has stopped behind a header or at the end of a block. */
#define AT_BORDER 128
/* Blocks may end within bits that zlib took in before: it then says that it got nowhere. Several in
 * a row mean that it really does not. */
#define STALLS_MAX 8

typedef struct inflation {
    z_stream *s;
    tern__sink *sink;
    bool in_blocks; /* the header of this member has been read */
    unsigned stalls;
} inflation;

/* One turn: up to a border, or as far as room and input go. inflate()'s result, or a negative
 * errno. */
static int inflate_some(inflation *i)
{
    z_stream *s = i->s;
    uint8_t *to;
    size_t room;
    int rv = tern__sink_room(i->sink, &to, &room);
    if (rv)
        return rv;
    s->next_out = to;
    s->avail_out = room < UINT_MAX ? (uInt)room : UINT_MAX;
    rv = inflate(s, Z_BLOCK);
    i->sink->out->len += (size_t)(s->next_out - to);
    if (rv == Z_STREAM_END)
        return rv;
    if (rv != Z_OK && rv != Z_BUF_ERROR)
        return failure(rv);
    bool border = s->data_type & AT_BORDER, block = border && i->in_blocks;
    i->in_blocks |= border;
    i->stalls = rv == Z_OK ? 0 : i->stalls + 1;
    if (rv == Z_BUF_ERROR && (!border || i->stalls > STALLS_MAX))
        return -EBADMSG; /* there is room: the input was cut short */
    return block && !tern__sink_blocks(i->sink, 1) ? -EBADMSG : Z_OK;
}

int tern__zlib_decompress(tern__zlib *z, bool gzip, tern__bytes in, tern__sink *sink)
{
    inflation i = { .s = &z->inflate, .sink = sink };
    int rv = inflate_begin(z, gzip);
    if (!rv && gzip && in.len > GZIP_TRAILER_LEN)
        rv = tern__sink_hint(sink, gzip_stated_len(in), in.len);
    if (rv)
        return rv;
    i.s->next_in = in.data;
    i.s->avail_in = (uInt)in.len;
    for (;;) {
        rv = inflate_some(&i);
        if (rv < 0)
            return rv;
        if (rv == Z_OK)
            continue;
        if (i.s->avail_in == 0)
            return 0;
        if (!gzip || inflateReset(i.s) != Z_OK) /* only gzip goes on, with another member */
            return -EBADMSG;
        i.in_blocks = false;
    }
}
