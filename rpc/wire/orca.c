/* See orca.h. Fields of protobuf's wire format, read one after the other: of a field that comes
 * twice the last counts, fields that are not known are skipped, whatever is cut short is refused.
 * Done by hand because this layer knows no serializer, and the message is five numbers. */
#include "wire/orca.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

typedef struct input {
    const unsigned char *p, *end;
} input;

static size_t left(const input *in)
{
    return (size_t)(in->end - in->p);
}

static int read_varint(input *in, uint64_t *ret)
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

static int skip(input *in, uint64_t len)
{
    if (len > left(in))
        return -EBADMSG;
    in->p += len;
    return 0;
}

static int read_double(input *in, double *ret)
{
    uint64_t bits = 0;
    if (left(in) < 8)
        return -EBADMSG;
    for (unsigned i = 0; i < 8; i++)
        bits |= (uint64_t)in->p[i] << (8 * i);
    in->p += 8;
    memcpy(ret, &bits, sizeof *ret);
    return 0;
}

/* Where field `number` goes; NULL: nowhere. */
static double *member(tern__orca_load *load, uint64_t number)
{
    return number == 1   ? &load->cpu_utilization
           : number == 2 ? &load->mem_utilization
           : number == 6 ? &load->rps
           : number == 7 ? &load->eps
           : number == 9 ? &load->application_utilization
                         : NULL;
}

static int read_field(input *in, tern__orca_load *load)
{
    uint64_t key, x;
    if (read_varint(in, &key) || key >> 3 == 0 || key >> 32)
        return -EBADMSG;
    double *to = member(load, key >> 3);
    switch (key & 7) {
    case VARINT:
        return read_varint(in, &x);
    case FIXED64:
        return to ? read_double(in, to) : skip(in, 8);
    case BYTES:
        return read_varint(in, &x) ? -EBADMSG : skip(in, x);
    case FIXED32:
        return skip(in, 4);
    default: /* groups are not in use any more */
        return -EBADMSG;
    }
}

int tern__orca_read(const void *bytes, size_t len, tern__orca_load *ret)
{
    tern__orca_load load = { 0 };
    input in = { bytes, len ? (const unsigned char *)bytes + len : bytes };
    while (in.p != in.end)
        if (read_field(&in, &load))
            return -EBADMSG;
    *ret = load;
    return 0;
}

size_t tern__orca_write(const tern__orca_load *load, unsigned char ret[TERN__ORCA_BYTES_MAX])
{
    static const unsigned char numbers[] = { 1, 2, 6, 7, 9 };
    tern__orca_load copy = *load;
    size_t n = 0;
    for (size_t k = 0; k < sizeof numbers; k++) {
        uint64_t bits;
        memcpy(&bits, member(&copy, numbers[k]), sizeof bits);
        if (bits == 0) /* proto3: what is 0 is not written */
            continue;
        ret[n++] = (unsigned char)(numbers[k] << 3 | FIXED64);
        for (unsigned i = 0; i < 8; i++)
            ret[n++] = (unsigned char)(bits >> (8 * i));
    }
    return n;
}
