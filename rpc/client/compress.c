/* See compress.h. */
#include "client/compress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/compressors.h"
#include "wire/encoding.h"

tern_compression tern__call_compression(const tern_channel *ch, const tern_call_options *opts)
{
    if (opts->compression != TERN_COMPRESSION_DEFAULT)
        return opts->compression;
    return ch->opt.compression != TERN_COMPRESSION_DEFAULT ? ch->opt.compression
                                                           : TERN_COMPRESSION_IDENTITY;
}

static void copy_packed(uint8_t *out, void *ctx)
{
    const tern__packed *p = ctx;
    if (p->codec.request_len)
        memcpy(out, p->data, p->codec.request_len);
}

int tern__pack_compressed(tern__packed *p, tern_compression encoding, tern_compress_mode mode,
                          const tern__call_codec **codec)
{
    size_t n = (*codec)->request_len, len = 0;
    p->data = NULL;
    if (!tern__compress_wanted(encoding, mode, n))
        return 0;
    uint8_t *plain = malloc(n ? n : 1);
    if (!plain)
        return -ENOMEM;
    (*codec)->pack(plain, (*codec)->ctx);
    size_t room = tern__compress_room(encoding, mode, n);
    uint8_t *out = malloc(room);
    int rv = out ? tern__compress_message(encoding, (tern__bytes){ plain, n }, out, room, &len)
                 : -ENOMEM;
    bool compressed = rv == 0;
    if (mode == TERN_COMPRESS_ALWAYS && rv) {
        free(plain);
        free(out);
        return -ENOMEM; /* the room is what the worst case takes */
    }
    /* Without memory to make it smaller, or if it does not get smaller, it goes as it is. */
    p->data = compressed ? out : plain;
    free(compressed ? plain : out);
    p->codec = **codec;
    p->codec.request_len = compressed ? len : n;
    p->codec.compressed = compressed;
    p->codec.pack = copy_packed;
    p->codec.ctx = p;
    *codec = &p->codec;
    return 0;
}

void tern__packed_deinit(tern__packed *p)
{
    free(p->data);
    p->data = NULL;
}

const char *tern__response_encoding_fault(const tern__client_stream *s)
{
    if (s->encoding == TERN_COMPRESSION_DEFAULT)
        return "the server sent a message in an encoding that this client does not support; it "
               "accepts " TERN__ACCEPT_ENCODING;
    if (s->encoding == TERN_COMPRESSION_IDENTITY)
        return "the server sent a message that is marked as compressed, but named no grpc-encoding";
    return NULL;
}

tern_code tern__unpack_compressed(const tern__client_stream *s, tern__bytes in, tern__buf *out,
                                  tern_status *reterr)
{
    size_t max = s->reader.len_max;
    switch (tern__decompress_message(s->encoding, in, max, out)) {
    case 0:
        return TERN_OK;
    case -EMSGSIZE:
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "a message of %zu bytes decompresses to more than the limit of %zu "
                               "bytes (receive_message_bytes_max)",
                               in.len, max);
    case -ENOMEM:
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory while decompressing a message");
    default:
        return tern_status_set(reterr, TERN_INTERNAL,
                               "a message that the server sent cannot be decompressed with %s",
                               tern_compression_name(s->encoding));
    }
}
