/* How much memory decoding a message of a given size may take (tern/limits.h). */
#ifndef TERN__STUB_BUDGET_H
#define TERN__STUB_BUDGET_H

#include <stddef.h>

#include <tern/limits.h>

static inline size_t tern__decode_bytes_max(size_t wire_len)
{
    if (wire_len >= TERN_LIMIT_DECODE_BYTES_MAX / TERN_LIMIT_DECODE_FACTOR)
        return TERN_LIMIT_DECODE_BYTES_MAX;
    size_t n = wire_len * TERN_LIMIT_DECODE_FACTOR;
    return n < TERN_LIMIT_DECODE_BYTES_FLOOR ? TERN_LIMIT_DECODE_BYTES_FLOOR : n;
}

#endif
