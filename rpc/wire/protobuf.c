/* See protobuf.h. Done by hand because this layer knows no serializer. */
#include "wire/protobuf.h"

#include <errno.h>

int tern__pb_varint(tern__pb_input *in, uint64_t *ret)
{
    uint64_t x = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (in->p == in->end)
            return -EBADMSG;
        unsigned char c = *in->p++;
        x |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            *ret = x;
            return 0;
        }
    }
    return -EBADMSG;
}

int tern__pb_fixed64(tern__pb_input *in, uint64_t *ret)
{
    uint64_t bits = 0;
    if (tern__pb_left(in) < 8)
        return -EBADMSG;
    for (unsigned i = 0; i < 8; i++)
        bits |= (uint64_t)in->p[i] << (8 * i);
    in->p += 8;
    *ret = bits;
    return 0;
}

int tern__pb_key(tern__pb_input *in, uint32_t *ret_number, unsigned *ret_type)
{
    uint64_t key;
    if (tern__pb_varint(in, &key) || key >> 3 == 0 || key >> 32)
        return -EBADMSG;
    *ret_number = (uint32_t)(key >> 3);
    *ret_type = key & 7;
    return 0;
}

static int skip_bytes(tern__pb_input *in, uint64_t len)
{
    if (len > tern__pb_left(in))
        return -EBADMSG;
    in->p += len;
    return 0;
}

int tern__pb_skip(tern__pb_input *in, unsigned type)
{
    uint64_t x;
    switch (type) {
    case TERN__PB_VARINT:
        return tern__pb_varint(in, &x);
    case TERN__PB_FIXED64:
        return skip_bytes(in, 8);
    case TERN__PB_BYTES:
        return tern__pb_varint(in, &x) ? -EBADMSG : skip_bytes(in, x);
    case TERN__PB_FIXED32:
        return skip_bytes(in, 4);
    default:
        return -EBADMSG;
    }
}
