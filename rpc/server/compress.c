/* See compress.h, and tern/server.h for the functions of a program. */
#include "server/compress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/compressors.h"
#include "server/loop.h"
#include "server/server.h"
#include "server/stream.h"
#include "wire/encoding.h"

/* --- who can what ----------------------------------------------------------------------------- */

static bool is(const tern__h2_field *f, const char *name, size_t len)
{
    return f->name_len == len && memcmp(f->name, name, len) == 0;
}

bool tern__server_encoding_field(tern_server_call *call, const tern__h2_field *f)
{
    if (is(f, "grpc-encoding", 13)) {
        call->request_encoding = tern__encoding_parse(f->value, f->value_len);
        call->unknown_encoding = call->request_encoding == TERN_COMPRESSION_DEFAULT;
    } else if (is(f, "grpc-accept-encoding", 20)) {
        call->accepted |= tern__encodings_parse(f->value, f->value_len);
    } else {
        return false;
    }
    return true;
}

void tern__server_tell_encodings(tern_server_call *call)
{
    /* Once for a connection, and to whoever compresses: in every answer it would cost a twentieth
     * of a small call. */
    call->tell_encodings = !call->conn->encodings_told ||
                           call->request_encoding != TERN_COMPRESSION_DEFAULT;
    call->conn->encodings_told = true;
}

bool tern__server_may_be_compressed(const tern_server_call *call)
{
    return call->request_encoding != TERN_COMPRESSION_DEFAULT &&
           call->request_encoding != TERN_COMPRESSION_IDENTITY;
}

tern_compression tern__server_encoding(const tern_server_call *call)
{
    tern_compression wanted = call->compression;
    if (wanted == TERN_COMPRESSION_DEFAULT)
        wanted = call->loop->server->opt.compression;
    return tern__encoding_choose(wanted, call->accepted);
}

bool tern__server_compress_wanted(const tern_server_call *call, size_t n)
{
    return tern__compress_wanted(tern__server_encoding(call), call->compress_mode, n);
}

const tern__h2_field *tern__server_encoding_name(tern_compression encoding)
{
    static const tern__h2_field names[] = {
        [TERN_COMPRESSION_GZIP] = TERN__H2_FIXED("grpc-encoding", "gzip"),
        [TERN_COMPRESSION_DEFLATE] = TERN__H2_FIXED("grpc-encoding", "deflate"),
        [TERN_COMPRESSION_ZSTD] = TERN__H2_FIXED("grpc-encoding", "zstd"),
    };
    return &names[encoding];
}

/* --- in --------------------------------------------------------------------------------------- */

tern_code tern__server_decompress(const tern_server_call *call, tern__bytes in, tern__buf *out,
                                  tern_status *reterr)
{
    size_t max = call->reader.len_max;
    switch (tern__decompress_message(call->request_encoding, in, max, out)) {
    case 0:
        return TERN_OK;
    case -EMSGSIZE:
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "a request message of %zu bytes decompresses to more than this "
                               "server's limit of %zu bytes",
                               in.len, max);
    case -ENOMEM:
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for decompressing a request message");
    default:
        return tern_status_set(reterr, TERN_INTERNAL,
                               "a request message cannot be decompressed with %s",
                               tern_compression_name(call->request_encoding));
    }
}

tern_code tern__server_decompress_request(tern_server_call *call)
{
    tern__buf plain = { 0 };
    tern_status why;
    const tern__bytes in = { call->request, call->request_len };
    tern_code code = tern__server_decompress(call, in, &plain, &why);
    if (code != TERN_OK)
        return tern_server_call_fail(call, code, "%s", why.message);
    if (call->request_owned)
        free(call->request);
    call->request = plain.data; /* a new buffer begins at its first byte */
    call->request_len = plain.len;
    call->request_owned = plain.data != NULL;
    return TERN_OK;
}

/* --- out -------------------------------------------------------------------------------------- */

tern_code tern__server_compress_response(tern_server_call *call)
{
    const tern__bytes plain = { call->response + TERN__MESSAGE_PREFIX_LEN,
                                call->response_len - TERN__MESSAGE_PREFIX_LEN };
    tern_compression encoding = tern__server_encoding(call);
    if (!tern__compress_wanted(encoding, call->compress_mode, plain.len))
        return TERN_OK;
    size_t room = tern__compress_room(encoding, call->compress_mode, plain.len), len;
    uint8_t *to = tern__arena_alloc(&call->arena, TERN__MESSAGE_PREFIX_LEN + room);
    int rv = to ? tern__compress_message(encoding, plain, to + TERN__MESSAGE_PREFIX_LEN, room, &len)
                : -ENOMEM;
    if (rv && call->compress_mode == TERN_COMPRESS_ALWAYS)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                     "out of memory for compressing the response");
    if (rv)
        return TERN_OK; /* it does not get smaller, or there is no memory for it: as it is, then */
    tern__message_prefix_write(to, (uint32_t)len, true);
    call->response = to;
    call->response_len = TERN__MESSAGE_PREFIX_LEN + len;
    call->response_compressed = true;
    return TERN_OK;
}

/* --- the handler's ---------------------------------------------------------------------------- */

bool tern_server_call_set_compression(tern_server_call *call, tern_compression c)
{
    if ((unsigned)c > TERN_COMPRESSION_ZSTD || (call->stream && call->stream->head_made))
        return false;
    call->compression = c;
    return c <= TERN_COMPRESSION_IDENTITY || tern__server_encoding(call) == c;
}

void tern_server_call_set_compress_mode(tern_server_call *call, tern_compress_mode mode)
{
    call->compress_mode = mode;
}

bool tern_server_call_message_compressed(const tern_server_call *call)
{
    return call->request_compressed;
}
