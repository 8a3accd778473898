/* See buf.h. Room is made in the cheapest way that keeps appending linear in the bytes appended: at
 * the end if there is room; by moving the valid bytes to the front if at least as many have been
 * consumed since the last move; else by growing to twice the size. */
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAP_MIN ((size_t)512)

void tern__buf_deinit(tern__buf *b)
{
    free(b->data);
    *b = (tern__buf){0};
}

static void move_to_front(tern__buf *b)
{
    if (b->len)
        memmove(b->data, b->data + b->off, b->len);
    b->off = 0;
}

/* Grows to hold `need` bytes at least. */
static int grow(tern__buf *b, size_t need)
{
    if (need > SIZE_MAX / 2)
        return -ENOMEM;
    size_t cap = b->cap > BUF_CAP_MIN ? b->cap : BUF_CAP_MIN;
    while (cap < need || cap == b->cap)
        cap *= 2;
    if (b->off == 0) {
        uint8_t *data = realloc(b->data, cap);
        if (!data)
            return -ENOMEM;
        b->data = data;
    } else {
        /* Only the valid bytes are worth copying. */
        uint8_t *data = malloc(cap);
        if (!data)
            return -ENOMEM;
        if (b->len)
            memcpy(data, b->data + b->off, b->len);
        free(b->data);
        b->data = data;
        b->off = 0;
    }
    b->cap = cap;
    return 0;
}

uint8_t *tern__buf_reserve(tern__buf *b, size_t extra)
{
    size_t need;
    if (extra == 0)
        extra = 1; /* an empty buffer without memory must not look like a failure */
    if (__builtin_add_overflow(b->len, extra, &need))
        return NULL;
    if (b->cap - b->off - b->len < extra) {
        if (need <= b->cap && b->off >= b->len)
            move_to_front(b);
        else if (grow(b, need) < 0) {
            if (need > b->cap)
                return NULL;
            move_to_front(b);
        }
    }
    return b->data + b->off + b->len;
}

int tern__buf_append(tern__buf *b, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    uint8_t *to = tern__buf_reserve(b, len);
    if (!to)
        return -ENOMEM;
    memcpy(to, data, len);
    b->len += len;
    return 0;
}

void tern__buf_consume(tern__buf *b, size_t len)
{
    assert(len <= b->len);
    b->len -= len;
    b->off = b->len ? b->off + len : 0;
}

void tern__buf_trim(tern__buf *b, size_t keep)
{
    if (b->len || b->cap <= keep)
        return;
    if (keep == 0) {
        tern__buf_deinit(b);
        return;
    }
    b->off = 0;
    uint8_t *data = realloc(b->data, keep);
    if (!data)
        return; /* what cannot shrink stays */
    b->data = data;
    b->cap = keep;
}

void tern__buf_trim_unused(tern__buf *b, size_t keep, size_t used)
{
    if (b->cap / 4 > used)
        tern__buf_trim(b, keep);
}
