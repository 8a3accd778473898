/* See inbound.h. */
#include "server/inbound.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void tern__inbound_init(tern__inbound *in, tern__message_reader *reader)
{
    *in = (tern__inbound){ .reader = reader };
}

static void drop_last(tern__inbound *in)
{
    tern__message_reader_give_back(in->reader, in->message, in->message_cap);
    in->message = NULL;
    if (in->handed)
        tern__buf_consume(&in->bytes, in->handed);
    in->handed = 0;
}

void tern__inbound_deinit(tern__inbound *in)
{
    drop_last(in);
    tern__buf_deinit(&in->bytes);
}

static uint32_t length_of(const uint8_t *prefix)
{
    return (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 |
           prefix[4];
}

/* A message that lies whole in the portion; MORE when it does not, and nothing has happened. */
static int next_in_place(tern__inbound *in, const void **ret, size_t *ret_len)
{
    tern__message_reader *r = in->reader;
    const uint8_t *p = in->bytes.len ? tern__buf_head(&in->bytes) : NULL;
    if (in->bytes.len < TERN__MESSAGE_PREFIX_LEN)
        return TERN__INBOUND_MORE;
    uint32_t len = length_of(p);
    if (p[0] > 1 || len > r->len_max || in->bytes.len - TERN__MESSAGE_PREFIX_LEN < len)
        return TERN__INBOUND_MORE; /* the reader judges these */
    r->compressed = p[0] == 1;
    r->len = len;
    *ret = p + TERN__MESSAGE_PREFIX_LEN;
    *ret_len = len;
    in->handed = TERN__MESSAGE_PREFIX_LEN + len;
    return TERN__INBOUND_MESSAGE;
}

__attribute__((hot)) int tern__inbound_next(tern__inbound *in, const void **ret, size_t *ret_len)
{
    tern__message_reader *r = in->reader;
    int rv = in->fed;
    drop_last(in);
    in->fed = 0;
    if (rv == TERN__MESSAGE_MORE) {
        if (!tern__message_reader_partial(r) &&
            next_in_place(in, ret, ret_len) == TERN__INBOUND_MESSAGE)
            return TERN__INBOUND_MESSAGE;
        if (!in->bytes.len)
            return TERN__INBOUND_MORE;
        const uint8_t *p = tern__buf_head(&in->bytes);
        size_t left = in->bytes.len;
        rv = tern__message_reader_feed(r, &p, &left);
        tern__buf_consume(&in->bytes, in->bytes.len - left);
    }
    if (rv != TERN__MESSAGE_DONE)
        return rv;
    bool owned, compressed = r->compressed;
    uint8_t *data = tern__message_reader_take(r, ret_len, &owned);
    r->compressed = compressed;
    if (owned) {
        in->message = data;
        in->message_cap = r->taken_cap;
    }
    *ret = *ret_len ? (const void *)data : (const void *)"";
    return TERN__INBOUND_MESSAGE;
}

void tern__inbound_replace(tern__inbound *in, uint8_t *message)
{
    tern__message_reader_give_back(in->reader, in->message, in->message_cap);
    in->message = message;
    in->message_cap = 0;
}

int tern__inbound_put(tern__inbound *in, const uint8_t **data, size_t *len)
{
    tern__message_reader *r = in->reader;
    bool cut = *len >= TERN__MESSAGE_PREFIX_LEN &&
               *len - TERN__MESSAGE_PREFIX_LEN < length_of(*data);
    if (in->fed || (!cut && !tern__message_reader_partial(r)))
        return in->fed;
    in->fed = tern__message_reader_feed(r, data, len);
    return in->fed;
}

void tern__inbound_refill(tern__inbound *in, tern__buf *portion)
{
    assert(in->bytes.len == 0);
    tern__buf empty = in->bytes;
    in->bytes = *portion;
    *portion = empty;
}

bool tern__inbound_partial(const tern__inbound *in)
{
    return tern__message_reader_partial(in->reader);
}

void tern__inbound_trim(tern__inbound *in, size_t keep)
{
    tern__buf_trim(&in->bytes, keep);
}
