/* See orca.h. Of a field that comes twice the last counts, fields that are not known are
 * skipped. */
#include "wire/orca.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "wire/protobuf.h"

/* Where field `number` goes; NULL: nowhere. */
static double *member(tern__orca_load *load, uint32_t number)
{
    return number == 1   ? &load->cpu_utilization
           : number == 2 ? &load->mem_utilization
           : number == 6 ? &load->rps
           : number == 7 ? &load->eps
           : number == 9 ? &load->application_utilization
                         : NULL;
}

static int read_field(tern__pb_input *in, tern__orca_load *load)
{
    uint32_t number;
    unsigned type;
    uint64_t bits;
    if (tern__pb_key(in, &number, &type))
        return -EBADMSG;
    double *to = member(load, number);
    if (!to || type != TERN__PB_FIXED64)
        return tern__pb_skip(in, type);
    if (tern__pb_fixed64(in, &bits))
        return -EBADMSG;
    memcpy(to, &bits, sizeof *to);
    return 0;
}

int tern__orca_read(const void *bytes, size_t len, tern__orca_load *ret)
{
    tern__orca_load load = { 0 };
    tern__pb_input in = tern__pb_begin(bytes, len);
    while (tern__pb_left(&in))
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
        ret[n++] = (unsigned char)(numbers[k] << 3 | TERN__PB_FIXED64);
        for (unsigned i = 0; i < 8; i++)
            ret[n++] = (unsigned char)(bits >> (8 * i));
    }
    return n;
}
