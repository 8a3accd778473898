/* Bytes to write of which large parts are left where they lie: a buffer, and pieces of somebody
 * else's memory that belong between its bytes. One system call writes both (iovec(3type)), and what
 * it does not take is put together in the buffer, so that nothing is borrowed for longer than
 * that. */
#ifndef TERN__BASE_PIECES_H
#define TERN__BASE_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

#include "base/buf.h"

/* As many as there are full frames of HTTP/2 in TERN_LIMIT_OUTBOUND_BYTES, and as many again. */
#define TERN__PIECES_MAX 32u
#define TERN__PIECES_IOV_MAX (2u * TERN__PIECES_MAX + 1)

typedef struct tern__piece {
    const uint8_t *data; /* borrowed */
    size_t len;          /* not 0 */
    size_t at;           /* behind so many of the buffer's bytes; not below the former's */
} tern__piece;

/* Zeroed it is empty. It goes with one buffer, whose bytes are only changed by appending and by the
 * functions below. */
typedef struct tern__pieces {
    uint32_t n;
    size_t len; /* of all */
    tern__piece at[TERN__PIECES_MAX];
} tern__pieces;

static inline bool tern__pieces_full(const tern__pieces *p)
{
    return p->n == TERN__PIECES_MAX;
}

/* Puts `len` (not 0) bytes behind what there is. Only when it is not full. */
void tern__pieces_add(tern__pieces *p, const tern__buf *out, const uint8_t *data, size_t len);

/* All that is to be written, in order; ret has room for TERN__PIECES_IOV_MAX. Returns how many. */
unsigned tern__pieces_iov(const tern__pieces *p, const tern__buf *out, struct iovec *ret);

/* The first `n` bytes have been written: at most all there are. */
void tern__pieces_consume(tern__pieces *p, tern__buf *out, size_t n);

/* What is left is copied: `out` has all of it, nothing is borrowed any more. 0, or -ENOMEM: the
 * pieces are lost. */
int tern__pieces_flatten(tern__pieces *p, tern__buf *out);

#endif
