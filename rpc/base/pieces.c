/* See pieces.h. */
#include "base/pieces.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void tern__pieces_add(tern__pieces *p, const tern__buf *out, const uint8_t *data, size_t len)
{
    assert(!tern__pieces_full(p) && len);
    p->at[p->n++] = (tern__piece){ .data = data, .len = len, .at = out->len };
    p->len += len;
}

static struct iovec vec(const uint8_t *data, size_t len)
{
    /* iovec is for reading, too, and has no const */
    return (struct iovec){ .iov_base = (void *)(uintptr_t)data, .iov_len = len };
}

unsigned tern__pieces_iov(const tern__pieces *p, const tern__buf *out, struct iovec *ret)
{
    unsigned n = 0;
    size_t at = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->at[i].at > at)
            ret[n++] = vec(tern__buf_head(out) + at, p->at[i].at - at);
        ret[n++] = vec(p->at[i].data, p->at[i].len);
        at = p->at[i].at;
    }
    if (out->len > at)
        ret[n++] = vec(tern__buf_head(out) + at, out->len - at);
    return n;
}

static void drop_first(tern__pieces *p, uint32_t n)
{
    p->n -= n;
    memmove(p->at, p->at + n, p->n * sizeof p->at[0]);
}

void tern__pieces_consume(tern__pieces *p, tern__buf *out, size_t n)
{
    size_t of_out = 0; /* bytes of the buffer among them */
    uint32_t gone = 0; /* whole pieces */
    while (gone < p->n) {
        tern__piece *first = &p->at[gone];
        size_t before = first->at - of_out;
        if (n <= before)
            break;
        of_out += before;
        n -= before;
        size_t part = n < first->len ? n : first->len;
        p->len -= part;
        n -= part;
        if (part < first->len) {
            first->data += part;
            first->len -= part;
            break;
        }
        gone++;
    }
    of_out += n;
    drop_first(p, gone);
    for (uint32_t i = 0; i < p->n; i++)
        p->at[i].at -= of_out;
    tern__buf_consume(out, of_out);
}

int tern__pieces_flatten(tern__pieces *p, tern__buf *out)
{
    size_t from = out->len, to = out->len + p->len;
    if (p->n == 0)
        return 0;
    bool room = tern__buf_reserve(out, p->len) != NULL;
    /* From the end, so that each byte is moved once. */
    for (uint32_t i = p->n; room && i-- > 0;) {
        const tern__piece *piece = &p->at[i];
        uint8_t *head = tern__buf_head(out);
        to -= from - piece->at;
        memmove(head + to, head + piece->at, from - piece->at);
        from = piece->at;
        to -= piece->len;
        memcpy(head + to, piece->data, piece->len);
    }
    out->len += room ? p->len : 0;
    p->n = 0;
    p->len = 0;
    return room ? 0 : -ENOMEM;
}
