/* Growable contiguous byte buffer with a limit. Bytes are appended at the end and may be dropped
 * from the front (`off`); memory is moved, not leaked. Not thread-safe. */
#ifndef TERN__BASE_BUF_H
#define TERN__BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

typedef struct tern__buf {
    uint8_t *data;
    size_t off, len, cap; /* valid bytes are data[off .. off+len) */
} tern__buf;

/* A zeroed buffer is empty and valid. */
void tern__buf_deinit(tern__buf *b);

/* Makes room for `extra` more bytes behind the valid ones and returns where they go, or NULL: out
 * of memory or size_t would overflow. */
uint8_t *tern__buf_reserve(tern__buf *b, size_t extra);

/* 0 or -ENOMEM; on failure nothing changed. */
int tern__buf_append(tern__buf *b, const void *data, size_t len);

/* Drops `len` (at most b->len) bytes from the front. */
void tern__buf_consume(tern__buf *b, size_t len);

/* Gives memory beyond `keep` bytes back when the buffer is empty. */
void tern__buf_trim(tern__buf *b, size_t keep);

/* The same, unless a good part of its memory was used last: `used` bytes. Large contents in a row
 * keep the room they need, which costs page after page to get anew; the first small ones give it
 * back. */
void tern__buf_trim_unused(tern__buf *b, size_t keep, size_t used);

static inline uint8_t *tern__buf_head(const tern__buf *b)
{
    return b->data + b->off;
}

#endif
